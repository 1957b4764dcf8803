//! Shows what is there: every IPv4 header from the outside in, GRE headers between them, UDP headers
//! of tunnels whose ports are known, and the transport header behind the last.
//!
//! More tolerant than a decapsulator: a bad checksum or an impossible total length is shown and does
//! not end the walk. Nothing is verified but what the headers need to be told apart.

use core::ops::Range;

use ipencap::wire::{
    Gre, GreHeader, GueHeader, GueVariant, Icmpv4Header, IpProtocol, Ipv4Header, TcpHeader,
    UdpHeader,
};

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
    let bytes = &frame[payload.clone()];
    let Ok(gre) = Gre::parse(bytes) else {
        // Its optional fields are cut, or it has a routing field that is none: what is there is shown.
        let fixed = bytes.first_chunk::<{ GreHeader::LEN }>()?;
        layers.push(Layer::Gre {
            offset: payload.start,
            header: GreHeader::from_bytes(*fixed),
            checksum: None,
            key: None,
            sequence: None,
            header_len: bytes.len(),
        });
        return None;
    };
    let header = *gre.header();
    let header_len = payload.len() - gre.payload().len();
    layers.push(Layer::Gre {
        offset: payload.start,
        header,
        checksum: gre.checksum(),
        // In PPTP's GRE, version 1, the place of the key holds a length and a call.
        key: gre
            .key()
            .filter(|_| header.version() == 0 || header.protocol() == GreHeader::IPV4),
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

impl Ports {
    pub(crate) const fn is_empty(&self) -> bool {
        self.fou.is_empty() && self.gue.is_empty()
    }
}

impl Layer {
    /// Where it begins, from the first captured byte.
    pub(crate) const fn offset(&self) -> usize {
        match self {
            Self::Ipv4 { offset, .. }
            | Self::Udp { offset, .. }
            | Self::Tcp { offset, .. }
            | Self::Icmp { offset, .. }
            | Self::Gre { offset, .. }
            | Self::Error { offset, .. } => *offset,
        }
    }
}
