//! Shows what is there: every IPv4 header from the outside in, GRE headers between them, UDP headers
//! of tunnels whose ports are known, and the transport header behind the last.
//!
//! More tolerant than a decapsulator: a bad checksum or an impossible total length is shown and does
//! not end the walk. Nothing is verified but what the headers need to be told apart.

use core::net::Ipv4Addr;
use core::ops::Range;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use ipencap::wire::{
    Gre, GreHeader, GueHeader, GueVariant, Icmpv4Header, IpProtocol, Ipv4Flags, Ipv4Header,
    TcpHeader, UdpHeader,
};
use serde_json::{Value, json};

use super::args::Failure;
use super::input::Input;
use super::link;
use super::summary::Summary;

/// A header found in a frame. `offset` counts from the first captured byte.
pub(crate) enum Layer {
    Ipv4 {
        offset: usize,
        header: Ipv4Header,
        checksum_good: bool,
        /// 1 is outermost.
        depth: usize,
    },
    Udp {
        offset: usize,
        header: UdpHeader,
    },
    Tcp {
        offset: usize,
        header: TcpHeader,
        header_len: u8,
    },
    Icmp {
        offset: usize,
        header: Icmpv4Header,
    },
    Gre {
        offset: usize,
        header: GreHeader,
        checksum: Option<u16>,
        key: Option<u32>,
        sequence: Option<u32>,
        /// With its optional fields, in bytes.
        header_len: usize,
    },
    /// Bytes that should have been an IPv4 header.
    Error {
        offset: usize,
        reason: &'static str,
    },
}

/// UDP destination ports behind which packets are looked for: UDP does not say what it carries.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ports {
    pub(crate) fou: Vec<u16>,
    pub(crate) gue: Vec<u16>,
}

/// The headers in a frame, outermost first; `start` is where the IPv4 packet begins.
pub(crate) fn walk(frame: &[u8], start: usize, ports: &Ports) -> Vec<Layer> {
    let mut layers = Vec::new();
    // Where the next packet begins and the enclosing one ends; at first, where the capture ends.
    let mut next = Some(start..frame.len());
    for depth in 1.. {
        let Some(place) = next else { break };
        let packet = &frame[place.clone()];
        let offset = place.start;
        let (header, options) = match Ipv4Header::split(packet) {
            Ok((header, options, _)) => (*header, options),
            Err(error) => {
                layers.push(Layer::Error {
                    offset,
                    reason: error.name(),
                });
                break;
            }
        };
        let checksum_good = header.verifies(options);
        layers.push(Layer::Ipv4 {
            offset,
            header,
            checksum_good,
            depth,
        });
        let header_len = usize::from(header.header_len());
        let total_len = usize::from(header.total_len());
        let end = if (header_len..=packet.len()).contains(&total_len) {
            offset + total_len
        } else {
            place.end
        };
        // A later fragment begins in the middle of whatever it carries.
        if header.fragment_offset().units() > 0 {
            break;
        }
        let payload = offset + header_len..end;
        next = match header.protocol() {
            IpProtocol::IPENCAP => Some(payload),
            IpProtocol::GRE => gre(frame, payload, &mut layers),
            protocol => {
                let transport = transport(protocol, payload.start, &frame[payload.clone()]);
                let inside = match &transport {
                    Some(Layer::Udp { header, .. }) => behind_udp(frame, payload, *header, ports),
                    _ => None,
                };
                layers.extend(transport);
                inside
            }
        };
    }
    layers
}

/// The GRE header at the start of a payload, and where the IPv4 packet behind it lies.
fn gre(frame: &[u8], payload: Range<usize>, layers: &mut Vec<Layer>) -> Option<Range<usize>> {
    let gre = Gre::parse(&frame[payload.clone()]).ok()?;
    let header = *gre.header();
    let header_len = payload.len() - gre.payload().len();
    layers.push(Layer::Gre {
        offset: payload.start,
        header,
        checksum: gre.checksum(),
        // In version 1 the place of the key holds a length and a call.
        key: gre.key().filter(|_| header.version() == 0),
        sequence: gre.sequence(),
        header_len,
    });
    (header.version() == 0 && header.protocol() == GreHeader::IPV4)
        .then(|| payload.start + header_len..payload.end)
}

/// Where the IPv4 packet in a datagram lies, if its port says that there is one.
fn behind_udp(
    frame: &[u8],
    datagram: Range<usize>,
    header: UdpHeader,
    ports: &Ports,
) -> Option<Range<usize>> {
    let len = usize::from(header.len());
    let end = if (UdpHeader::LEN..=datagram.len()).contains(&len) {
        datagram.start + len
    } else {
        datagram.end
    };
    let payload = datagram.start + UdpHeader::LEN..end;
    let port = header.destination_port();
    if ports.fou.contains(&port) {
        return Some(payload);
    }
    if !ports.gue.contains(&port) {
        return None;
    }
    let bytes = &frame[payload.clone()];
    match GueVariant::of(bytes)? {
        GueVariant::DirectIp { version: 4 } => Some(payload),
        GueVariant::Header => {
            let (gue, _, behind) = GueHeader::split(bytes).ok()?;
            (!gue.is_control() && gue.protocol() == IpProtocol::IPENCAP)
                .then(|| payload.end - behind.len()..payload.end)
        }
        GueVariant::DirectIp { .. } | GueVariant::Unknown => None,
    }
}

/// The transport header at the start of a payload, if it is there.
fn transport(protocol: IpProtocol, offset: usize, payload: &[u8]) -> Option<Layer> {
    match protocol {
        IpProtocol::UDP => {
            let (&header, _) = UdpHeader::split(payload).ok()?;
            Some(Layer::Udp { offset, header })
        }
        IpProtocol::TCP => {
            // The fixed part is shown even where its data offset is nonsense or its options are cut.
            let mut fixed: [u8; TcpHeader::LEN] = *payload.first_chunk()?;
            let header_len = fixed[12] >> 4 << 2;
            fixed[12] = 0x50 | fixed[12] & 0x0f;
            let (&header, ..) = TcpHeader::split(&fixed).ok()?;
            Some(Layer::Tcp {
                offset,
                header,
                header_len,
            })
        }
        IpProtocol::ICMP => {
            let (&header, _) = Icmpv4Header::split(payload).ok()?;
            Some(Layer::Icmp { offset, header })
        }
        _ => None,
    }
}

impl Layer {
    fn json(&self) -> Value {
        match self {
            Self::Ipv4 {
                offset,
                header,
                checksum_good,
                depth,
            } => json!({
                "t": "ipv4",
                "off": offset,
                "hlen": header.header_len(),
                "tos": header.tos(),
                "tlen": header.total_len(),
                "id": header.identification(),
                "rf": flag(header, Ipv4Flags::RESERVED),
                "df": flag(header, Ipv4Flags::DF),
                "mf": flag(header, Ipv4Flags::MF),
                "fo": header.fragment_offset().units(),
                "ttl": header.ttl(),
                "proto": header.protocol().0,
                "ck": header.checksum(),
                "src": address(header.source()),
                "dst": address(header.destination()),
                "ck_status": if *checksum_good { "good" } else { "bad" },
                "depth": depth,
            }),
            Self::Udp { offset, header } => json!({
                "t": "udp",
                "off": offset,
                "sport": header.source_port(),
                "dport": header.destination_port(),
                "ulen": header.len(),
                "ck": header.checksum(),
            }),
            Self::Tcp {
                offset,
                header,
                header_len,
            } => json!({
                "t": "tcp",
                "off": offset,
                "sport": header.source_port(),
                "dport": header.destination_port(),
                "hlen": header_len,
                "ck": header.checksum(),
            }),
            Self::Icmp { offset, header } => json!({
                "t": "icmp",
                "off": offset,
                "type": header.message_type(),
                "code": header.code(),
                "ck": header.checksum(),
            }),
            Self::Gre {
                offset,
                header,
                checksum,
                key,
                sequence,
                ..
            } => json!({
                "t": "gre",
                "off": offset,
                "gre_flags": header.flags_and_version(),
                "proto": header.protocol(),
                "key": key,
                "seq": sequence,
                "ck": checksum,
            }),
            Self::Error { offset, reason } => json!({
                "t": "error",
                "off": offset,
                "reason": reason,
            }),
        }
    }
}

fn flag(header: &Ipv4Header, flag: Ipv4Flags) -> u8 {
    u8::from(header.flags().contains(flag))
}

fn address(address: Ipv4Addr) -> String {
    address.to_string()
}

/// `capture dissect`: one JSON object a packet on standard output.
pub(crate) fn run(input: &Path, ports: &Ports) -> Result<(), Failure> {
    let mut input = Input::open(input)?;
    let mut lines = BufWriter::new(io::stdout().lock());
    let mut summary = Summary::default();
    let outcome = dissect(&mut input, &mut lines, ports, &mut summary);
    // What could be read is shown even where the file breaks off.
    lines.flush().map_err(|error| cannot_write(&error))?;
    outcome?;
    summary.report();
    Ok(())
}

fn dissect(
    input: &mut Input,
    lines: &mut impl Write,
    ports: &Ports,
    summary: &mut Summary,
) -> Result<(), Failure> {
    while let Some(record) = input.next()? {
        summary.packets += 1;
        let start = link::ipv4_offset(record.link_type, record.frame);
        summary.passed_over += u64::from(start.is_none());
        let layers = start.map_or_else(Vec::new, |start| walk(record.frame, start, ports));
        let layers: Vec<Value> = layers.iter().map(Layer::json).collect();
        let line = json!({ "n": summary.packets, "layers": layers });
        writeln!(lines, "{line}").map_err(|error| cannot_write(&error))?;
    }
    Ok(())
}

fn cannot_write(error: &io::Error) -> Failure {
    Failure::new(format_args!("cannot write standard output: {error}"))
}
