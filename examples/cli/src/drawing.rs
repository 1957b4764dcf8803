//! A packet as a stack of boxes, one a header.

use ipencap::wire::{IpProtocol, Ipv4Flags, Ipv4Header, MinimalHeader, UdpHeader};

use crate::walk::{Layer, Ports, walk};

/// A box: where it begins in the frame, how long it is, and what is written in it.
struct Part {
    offset: usize,
    len: usize,
    text: Vec<String>,
}

/// The ports of the tour's tunnels. GUE's is registered, FOU has none of its own.
fn ports_of_the_tour() -> Ports {
    Ports {
        fou: vec![5555],
        gue: vec![6080],
    }
}

/// The headers in a frame. Unless ports are given, those of the tour are looked behind, but only what
/// is an IPv4 header beyond doubt is shown there.
pub(crate) fn layers(frame: &[u8], start: usize, ports: &Ports) -> Vec<Layer> {
    if !ports.is_empty() {
        return walk(frame, start, ports);
    }
    let layers = walk(frame, start, &ports_of_the_tour());
    let doubtful = layers.windows(2).any(|pair| {
        let behind_udp = matches!(pair, [Layer::Udp { .. }, _]);
        let good = matches!(pair, [_, Layer::Ipv4 { checksum_good, .. }] if *checksum_good);
        behind_udp && !good
    });
    if doubtful {
        walk(frame, start, ports)
    } else {
        layers
    }
}

/// Whether one packet is inside of another.
pub(crate) fn has_tunnel(layers: &[Layer]) -> bool {
    layers.iter().any(|layer| match layer {
        Layer::Ipv4 { header, depth, .. } => *depth > 1 || header.protocol() == IpProtocol::MINIMAL,
        Layer::Gre { .. } => true,
        _ => false,
    })
}

/// Whether a drawing of this packet shows something: a transport header and a payload.
pub(crate) fn is_instructive(packet: &[u8]) -> bool {
    let layers = layers(packet, 0, &Ports::default());
    layers.len() == 2 && parts(packet, &layers, None).len() == 3
}

/// A frame from its first byte on: `link` is the name of what lies in front of its first layer.
pub(crate) fn whole(frame: &[u8], layers: &[Layer], link: &str) -> Vec<String> {
    let parts = parts(frame, layers, Some(link));
    let lines = column(&parts, frame.len(), width(&parts));
    lines
        .into_iter()
        .map(|(offset, line)| format!("  {:>6} {line}", number(offset)))
        .collect()
}

/// The packet without and with its tunnel headers, side by side and aligned at the end, so that what
/// has not changed stands on the same line.
pub(crate) fn before_and_after(before: &[u8], after: &[u8]) -> Vec<String> {
    let parts_of = |packet| parts(packet, &layers(packet, 0, &Ports::default()), None);
    let (left, right) = (parts_of(before), parts_of(after));
    let width = width(&left).max(width(&right));
    let (mut left, right) = (
        column(&left, before.len(), width),
        column(&right, after.len(), width),
    );
    while left.len() < right.len() {
        left.insert(0, (None, " ".repeat(width + 4)));
    }
    left.into_iter()
        .zip(right)
        .map(|((at, left), (offset, right))| {
            format!("  {:>5} {left}  {right} {}", number(at), number(offset))
                .trim_end()
                .to_owned()
        })
        .collect()
}

fn number(offset: Option<usize>) -> String {
    offset.map_or(String::new(), |offset| offset.to_string())
}

/// How wide the boxes must be inside, with the length at the right of the first line.
fn width(parts: &[Part]) -> usize {
    let lines = parts.iter().flat_map(|part| {
        let others = part.text.iter().skip(1).map(|line| line.chars().count());
        let first = part.text.first().map_or(0, |line| {
            line.chars().count() + 2 + part.len.to_string().len()
        });
        others.chain([first])
    });
    lines.max().unwrap_or(0)
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
        for (row, text) in part.text.iter().enumerate() {
            let len = if row == 0 {
                part.len.to_string()
            } else {
                String::new()
            };
            let room = width - len.len();
            lines.push((None, format!("│ {text:<room$}{len} │")));
        }
    }
    lines.push((Some(end), rule('└', '┘')));
    lines
}

fn parts(frame: &[u8], layers: &[Layer], link: Option<&str>) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut push = |offset, len, text| parts.push(Part { offset, len, text });
    let mut end = 0;
    if let Some(link) = link {
        end = layers.first().map_or(frame.len(), Layer::offset);
        if end > 0 {
            push(0, end, vec![link.to_owned()]);
        }
    }
    for layer in layers {
        // Nothing but a GUE header is passed over between two layers.
        if layer.offset() > end {
            push(end, layer.offset() - end, vec!["GUE".to_owned()]);
        }
        let (len, text) = described(layer);
        push(layer.offset(), len, text);
        end = layer.offset() + len;
    }
    if let Some((len, text)) = layers.last().and_then(|last| minimal(frame, last)) {
        push(end, len, text);
        end += len;
    }
    // What lies behind the packet's total length is the link's padding.
    let packet_end = layers.first().map_or(frame.len(), |layer| match layer {
        Layer::Ipv4 { offset, header, .. } => {
            let stated = offset + usize::from(header.total_len());
            if (end..=frame.len()).contains(&stated) {
                stated
            } else {
                frame.len()
            }
        }
        _ => frame.len(),
    });
    for (from, to, name) in [
        (end, packet_end, "payload"),
        (packet_end.max(end), frame.len(), "padding"),
    ] {
        if from < to {
            push(from, to - from, vec![name.to_owned()]);
        }
    }
    parts
}

/// Its length, and what is written about it.
fn described(layer: &Layer) -> (usize, Vec<String>) {
    match layer {
        Layer::Ipv4 {
            header,
            checksum_good,
            ..
        } => (
            usize::from(header.header_len()),
            ipv4(header, *checksum_good),
        ),
        Layer::Udp { header, .. } => {
            let (from, to) = (header.source_port(), header.destination_port());
            let none = if header.checksum() == 0 {
                ", no checksum"
            } else {
                ""
            };
            (UdpHeader::LEN, vec![format!("UDP   {from} → {to}{none}")])
        }
        Layer::Tcp {
            header, header_len, ..
        } => {
            let (from, to) = (header.source_port(), header.destination_port());
            let len = usize::from(*header_len).max(20);
            (len, vec![format!("TCP   {from} → {to}")])
        }
        Layer::Icmp { header, .. } => {
            let (kind, code) = (header.message_type(), header.code());
            (4, vec![format!("ICMP  type {kind}, code {code}")])
        }
        Layer::Gre {
            header,
            key,
            sequence,
            header_len,
            ..
        } => {
            let key = key.map_or(String::new(), |key| format!(", key {key}"));
            let sequence = sequence.map_or(String::new(), |number| format!(", number {number}"));
            let text = format!("GRE   of {:#06x}{key}{sequence}", header.protocol());
            (*header_len, vec![text])
        }
        Layer::Error { reason, .. } => (0, vec![(*reason).to_owned()]),
    }
}

fn ipv4(header: &Ipv4Header, checksum_good: bool) -> Vec<String> {
    let carries = match header.protocol() {
        IpProtocol::IPENCAP => "IPv4".to_owned(),
        other => other.to_string(),
    };
    let mut fields = vec![
        format!("total {}", header.total_len()),
        format!("TTL {}", header.ttl()),
    ];
    if header.tos() != 0 {
        fields.push(format!("TOS {:#04x}", header.tos()));
    }
    fields.push(if header.flags().contains(Ipv4Flags::DF) {
        "DF".to_owned()
    } else {
        format!("id {}", header.identification())
    });
    if header.flags().contains(Ipv4Flags::MF) {
        fields.push("MF".to_owned());
    }
    let from = u32::from(header.fragment_offset().units()) * 8;
    if from > 0 {
        fields.push(format!("from {from}"));
    }
    if !checksum_good {
        fields.push("bad checksum".to_owned());
    }
    vec![
        format!("IPv4  {} → {}", header.source(), header.destination()),
        format!("      {}: {carries}", fields.join(", ")),
    ]
}

/// The header of minimal encapsulation behind the last IPv4 header, which the walk does not follow.
fn minimal(frame: &[u8], last: &Layer) -> Option<(usize, Vec<String>)> {
    let Layer::Ipv4 { offset, header, .. } = last else {
        return None;
    };
    if header.protocol() != IpProtocol::MINIMAL || header.fragment_offset().units() > 0 {
        return None;
    }
    let payload = frame.get(offset + usize::from(header.header_len())..)?;
    let (minimal, _) = MinimalHeader::parse(payload).ok()?;
    let from = minimal
        .source()
        .map_or(String::new(), |source| format!("{source} "));
    let text = format!("minimal  {from}→ {}", minimal.destination());
    Some((
        minimal.wire_len(),
        vec![text, format!("      of {}", minimal.protocol())],
    ))
}
