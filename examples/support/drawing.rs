//! A packet as a stack of boxes, one a header.

use ipencap::wire::{IpProtocol, Ipv4Flags, Ipv4Header, UdpHeader};

use super::dissect::{Layer, Ports, walk};

/// A box: where it begins in the packet, and what is written in it.
struct Part {
    offset: usize,
    text: Vec<String>,
}

/// Whether a drawing of this packet shows something: a transport header and a payload.
pub(crate) fn is_instructive(packet: &[u8]) -> bool {
    matches!(parts(packet).as_slice(), [_, _, payload] if payload.offset < packet.len())
}

/// The packet without and with its tunnel headers, side by side and aligned at the end, so that what
/// has not changed stands on the same line.
pub(crate) fn before_and_after(before: &[u8], after: &[u8]) -> Vec<String> {
    let (left, right) = (parts(before), parts(after));
    let texts = left.iter().chain(&right).flat_map(|part| &part.text);
    let width = texts.map(|text| text.chars().count()).max().unwrap_or(0);
    let (mut left, right) = (
        column(&left, before.len(), width),
        column(&right, after.len(), width),
    );
    while left.len() < right.len() {
        left.insert(0, (None, " ".repeat(width + 4)));
    }
    let number = |offset: Option<usize>| offset.map_or(String::new(), |offset| offset.to_string());
    left.into_iter()
        .zip(right)
        .map(|((at, left), (offset, right))| {
            format!("  {:>5} {left}  {right} {}", number(at), number(offset))
                .trim_end()
                .to_owned()
        })
        .collect()
}

/// Lines of boxes; a line between two boxes comes with the offset of the lower one.
fn column(parts: &[Part], end: usize, width: usize) -> Vec<(Option<usize>, String)> {
    let rule = |left, right| format!("{left}{}{right}", "─".repeat(width + 2));
    let mut lines = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let above = if index == 0 {
            rule('┌', '┐')
        } else {
            rule('├', '┤')
        };
        lines.push((Some(part.offset), above));
        lines.extend(
            part.text
                .iter()
                .map(|text| (None, format!("│ {text:<width$} │"))),
        );
    }
    lines.push((Some(end), rule('└', '┘')));
    lines
}

fn parts(packet: &[u8]) -> Vec<Part> {
    let mut stack = Vec::new();
    let mut end = 0;
    for layer in walk(packet, 0, &ports_of_the_tour()) {
        let (offset, len, text) = match layer {
            Layer::Ipv4 { offset, header, .. } => {
                (offset, usize::from(header.header_len()), ipv4(&header))
            }
            Layer::Udp { offset, header } => {
                let text = ports("UDP", header.source_port(), header.destination_port());
                (offset, UdpHeader::LEN, text)
            }
            Layer::Tcp {
                offset,
                header,
                header_len,
            } => {
                let text = ports("TCP", header.source_port(), header.destination_port());
                (offset, usize::from(header_len), text)
            }
            Layer::Icmp { offset, header } => {
                let (kind, code) = (header.message_type(), header.code());
                // Four bytes by type follow the four that all messages share.
                (offset, 8, vec![format!("ICMP  type {kind}, code {code}")])
            }
            Layer::Gre {
                offset,
                key,
                header_len,
                ..
            } => {
                let key = key.map_or(String::new(), |key| format!("  key {key}"));
                (offset, header_len, vec![format!("GRE {key}")])
            }
            Layer::Error { offset, reason } => (offset, 0, vec![format!("      {reason}")]),
        };
        end = offset + len;
        stack.push(Part { offset, text });
    }
    if end < packet.len() {
        let text = vec![format!("      {} bytes of payload", packet.len() - end)];
        stack.push(Part { offset: end, text });
    }
    stack
}

/// The ports that the tour's tunnels use.
fn ports_of_the_tour() -> Ports {
    Ports {
        fou: vec![5555],
        gue: vec![6080],
    }
}

fn ports(protocol: &str, source: u16, destination: u16) -> Vec<String> {
    vec![format!("{protocol}   {source} → {destination}")]
}

fn ipv4(header: &Ipv4Header) -> Vec<String> {
    let carries = match header.protocol() {
        IpProtocol::IPENCAP => "IPv4".to_owned(),
        other => other.to_string(),
    };
    let df = if header.flags().contains(Ipv4Flags::DF) {
        ", DF"
    } else {
        ""
    };
    vec![
        format!("IPv4  {} → {}", header.source(), header.destination()),
        format!(
            "      {} bytes, TTL {}{df}: {carries}",
            header.total_len(),
            header.ttl()
        ),
    ]
}
