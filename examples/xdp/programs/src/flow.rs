//! The flow of a packet.

use ipencap::packet::Flow;
use ipencap::wire::IpProtocol;

use crate::ethernet::octets;

/// A flow in words. The shorter fields of a [`Flow`] that is put together on several ways would lie at odd places of the
/// stack, where the verifier allows no words.
#[derive(Clone, Copy, Debug)]
pub struct FlowWords {
    source: u32,
    pub destination: u32,
    source_port: u32,
    destination_port: u32,
    pub protocol: u32,
}

impl FlowWords {
    /// Of the packet at `ip`, a constant place, whose IPv4 header has no options: as the library sees it, unless it has
    /// another packet inside.
    #[inline(always)]
    pub fn read<const N: usize>(head: &[u8; N], ip: usize) -> Self {
        let protocol = IpProtocol(head[ip + 9]);
        let has_ports = matches!(protocol, IpProtocol::TCP | IpProtocol::UDP)
            && !is_fragment(head, ip)
            && u16::from_be_bytes(octets(head, ip + 2)) >= 24;
        let port = |place| {
            if has_ports {
                u16::from_be_bytes(octets(head, place)).into()
            } else {
                0
            }
        };
        Self {
            source: u32::from_be_bytes(octets(head, ip + 12)),
            destination: u32::from_be_bytes(octets(head, ip + 16)),
            source_port: port(ip + 20),
            destination_port: port(ip + 22),
            protocol: protocol.0.into(),
        }
    }

    /// The flow of the answers.
    #[inline(always)]
    pub fn reversed(self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            source_port: self.destination_port,
            destination_port: self.source_port,
            protocol: self.protocol,
        }
    }

    /// The library's value.
    #[inline(always)]
    pub fn flow(self) -> Flow {
        Flow::new(
            self.source.into(),
            self.destination.into(),
            IpProtocol(self.protocol as u8),
        )
        .with_ports(self.source_port as u16, self.destination_port as u16)
    }
}

/// Whether the packet at `ip` is a fragment.
#[inline(always)]
pub fn is_fragment<const N: usize>(head: &[u8; N], ip: usize) -> bool {
    u16::from_be_bytes(octets(head, ip + 6)) & 0x3fff != 0
}
