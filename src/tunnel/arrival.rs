use core::net::Ipv4Addr;

use crate::decap::OuterMeta;
use crate::wire::{GreFlags, GreHeader, IpProtocol, Ipv4, Ipv4Header};

/// What tells the packets of one peer from those of another: where they come from, the outer protocol, and
/// the number by which that protocol tells tunnels apart.
///
/// | protocol | number |
/// |---|---|
/// | UDP, TCP | the destination port, ours |
/// | GRE | the key, if there is one (RFC 2890 §2.1) |
/// | others | none |
///
/// The source port is a part of it only where a peer is told from others behind the same address
/// translator; otherwise it spreads flows and says nothing (RFC 8086 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Arrival {
    source: Ipv4Addr,
    protocol: IpProtocol,
    number: Option<u32>,
    source_port: Option<u16>,
}

impl Arrival {
    /// Packets from this address, of this protocol and with this number.
    #[inline]
    #[must_use]
    pub const fn new(source: Ipv4Addr, protocol: IpProtocol, number: Option<u32>) -> Self {
        Self {
            source,
            protocol,
            number,
            source_port: None,
        }
    }

    /// The same, from this source port only.
    #[inline]
    #[must_use]
    pub const fn with_source_port(self, source_port: Option<u16>) -> Self {
        Self {
            source_port,
            ..self
        }
    }

    /// Of a packet from the network.
    #[inline]
    #[must_use]
    pub fn of(packet: Ipv4<'_>) -> Self {
        Self::of_parts(packet.header(), packet.payload())
    }

    /// Of a packet from the network of which nothing is checked, if its header has no options.
    #[inline(always)]
    pub(super) fn of_plain(packet: &[u8]) -> Option<Self> {
        let (fixed, behind) = packet.split_first_chunk()?;
        let header = Ipv4Header::from_bytes(*fixed);
        if fixed.first() != Some(&0x45) {
            return None;
        }
        if header.protocol() == IpProtocol::IPENCAP {
            // For the optimiser, which compares a constant later.
            return Some(Self::new(header.source(), IpProtocol::IPENCAP, None));
        }
        Some(Self::of_parts(&header, behind))
    }

    #[inline]
    fn of_parts(header: &Ipv4Header, payload: &[u8]) -> Self {
        let arrival = Self::new(header.source(), header.protocol(), None);
        match header.protocol() {
            IpProtocol::UDP | IpProtocol::TCP => match payload.first_chunk() {
                Some(&[a, b, c, d]) => Self {
                    number: Some(u32::from_be_bytes([0, 0, c, d])),
                    source_port: Some(u16::from_be_bytes([a, b])),
                    ..arrival
                },
                None => arrival,
            },
            IpProtocol::GRE => Self {
                number: gre_key(payload),
                ..arrival
            },
            _ => arrival,
        }
    }

    /// Of what a UDP socket or a connection has received.
    #[inline]
    #[must_use]
    pub fn of_payload(meta: &OuterMeta) -> Self {
        let number = u32::from(meta.destination_port);
        Self::new(meta.source, meta.protocol, Some(number)).with_source_port(Some(meta.source_port))
    }

    /// Where they come from.
    #[inline]
    #[must_use]
    pub const fn source(&self) -> Ipv4Addr {
        self.source
    }

    /// The outer protocol.
    #[inline]
    #[must_use]
    pub const fn protocol(&self) -> IpProtocol {
        self.protocol
    }

    /// The destination port or the key.
    #[inline]
    #[must_use]
    pub const fn number(&self) -> Option<u32> {
        self.number
    }

    /// The source port.
    #[inline]
    #[must_use]
    pub const fn source_port(&self) -> Option<u16> {
        self.source_port
    }
}

/// The key of a GRE header (RFC 2890 §2), without a look at what its checksum covers.
fn gre_key(bytes: &[u8]) -> Option<u32> {
    let (&fixed, behind) = bytes.split_first_chunk()?;
    let header = GreHeader::from_bytes(fixed);
    let flags = header.flags();
    if header.version() != 0 || !flags.contains(GreFlags::KEY) {
        return None;
    }
    // The checksum has a word of its own, which is there with a routing field too (RFC 1701).
    let before = if flags.intersects(GreFlags::CHECKSUM | GreFlags::ROUTING) {
        4
    } else {
        0
    };
    behind
        .get(before..)?
        .first_chunk()
        .copied()
        .map(u32::from_be_bytes)
}
