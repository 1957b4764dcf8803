use core::net::Ipv4Addr;

use crate::error::ParseError;
use crate::wire::{IpProtocol, Ipv4, Ipv4Header, QuotedIpv4};

/// The flow that a packet belongs to: what its outer headers may be spread by.
///
/// A fragment has no ports, nor has a packet of a protocol other than TCP and UDP: all fragments of
/// a datagram are one flow (RFC 8086 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Flow {
    /// The source address.
    pub source: Ipv4Addr,
    /// The destination address.
    pub destination: Ipv4Addr,
    /// The protocol.
    pub protocol: IpProtocol,
    /// The source port, 0 where there is none.
    pub source_port: u16,
    /// The destination port, 0 where there is none.
    pub destination_port: u16,
}

impl Flow {
    /// The flow of these addresses and this protocol, without ports.
    #[inline]
    #[must_use]
    pub const fn new(source: Ipv4Addr, destination: Ipv4Addr, protocol: IpProtocol) -> Self {
        Self {
            source,
            destination,
            protocol,
            source_port: 0,
            destination_port: 0,
        }
    }

    /// The same with these ports.
    #[inline]
    #[must_use]
    pub const fn with_ports(self, source_port: u16, destination_port: u16) -> Self {
        Self {
            source_port,
            destination_port,
            ..self
        }
    }

    /// The flow of the answers: source and destination exchanged.
    #[inline]
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            protocol: self.protocol,
            source_port: self.destination_port,
            destination_port: self.source_port,
        }
    }

    /// The flow of a packet that an ICMP error quotes, the same as [`Facts::flow`](super::Facts::flow) of the whole
    /// packet; `None` where the quote ends before that can be told.
    ///
    /// The 28 bytes that every router quotes are enough for TCP and UDP; an IP-in-IP packet takes 20 more
    /// for each header (RFC 792, RFC 1812 §4.3.2.3).
    ///
    /// ```
    /// use ipencap::packet::Flow;
    /// use ipencap::wire::{IpProtocol, Ipv4};
    ///
    /// // The quote in an ICMP error: 10.1.0.5:40000 to 10.2.0.9:53, 8 bytes of UDP.
    /// let quote = *b"\x45\x00\x05\xdc\x77\x77\x40\x00\x40\x11\xa9\x89\x0a\x01\x00\x05\x0a\x02\x00\x09\
    ///                \x9c\x40\x00\x35\x05\xc8\x00\x00";
    /// let flow = Flow::of_quoted(Ipv4::parse_quoted(&quote).unwrap()).unwrap();
    /// let expected = Flow::new([10, 1, 0, 5].into(), [10, 2, 0, 9].into(), IpProtocol::UDP);
    /// assert_eq!(flow, expected.with_ports(40000, 53));
    /// // A load balancer that sees only what comes in knows the connection by its other direction.
    /// assert_eq!(flow.reversed().source_port, 53);
    /// ```
    #[inline]
    #[must_use]
    pub fn of_quoted(quoted: QuotedIpv4<'_>) -> Option<Self> {
        let mut innermost = quoted;
        for _ in 0..LOOKED_BEHIND {
            if !is_ipip(innermost.header()) {
                break;
            }
            match inside_quoted(innermost) {
                Inside::Packet(inner) => innermost = inner,
                Inside::Nothing => break,
                Inside::CutOff => return None,
            }
        }
        let header = innermost.header();
        if !has_ports(header) {
            return Some(Self::without_ports(header));
        }
        match innermost.payload().first_chunk() {
            Some(ports) => Some(Self::without_ports(header).with_first_bytes(*ports)),
            // A whole packet too short for ports has none.
            None if !innermost.is_cut() => Some(Self::without_ports(header)),
            None => None,
        }
    }

    #[inline]
    const fn with_first_bytes(self, [a, b, c, d]: [u8; 4]) -> Self {
        self.with_ports(u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
    }

    #[inline]
    const fn without_ports(header: &Ipv4Header) -> Self {
        Self::new(header.source(), header.destination(), header.protocol())
    }

    /// The flow of a packet, whatever is inside it.
    #[inline(always)]
    pub(crate) const fn of(packet: Ipv4<'_>) -> Self {
        let header = packet.header();
        let flow = Self::without_ports(header);
        match packet.payload().first_chunk::<4>() {
            Some(ports) if has_ports(header) => flow.with_first_bytes(*ports),
            _ => flow,
        }
    }

    /// A hash of the flow: the same on every machine and in every version of this crate.
    ///
    /// It is `MurmurHash3_x86_32` with `seed` over 16 bytes: source and destination address, source
    /// and destination port, three bytes 0 and the protocol, each high byte first.
    ///
    /// ```
    /// # use ipencap::packet::Facts;
    /// # let packet = *b"\x45\x00\x00\x24\x12\x34\x40\x00\x40\x11\x14\x85\x0a\x01\x00\x05\x0a\x02\x00\x09\
    /// #                 \x9c\x40\x00\x35\x00\x10\xac\xe6ipencap!";
    /// // 10.1.0.5:40000 to 10.2.0.9:53 over UDP
    /// let flow = Facts::read(&packet).unwrap().flow();
    /// assert_eq!(flow.hash(0), 0x83d8_0564);
    /// assert_eq!(flow.hash(0x9747_b28c), 0x61c4_d21b);
    /// ```
    #[inline(always)]
    #[must_use]
    pub const fn hash(self, seed: u32) -> u32 {
        let [a, b] = self.source_port.to_be_bytes();
        let [c, d] = self.destination_port.to_be_bytes();
        // The hash reads little-endian words of a big-endian layout.
        let hash = murmur_round(seed, self.source.to_bits().swap_bytes());
        let hash = murmur_round(hash, self.destination.to_bits().swap_bytes());
        let hash = murmur_round(hash, u32::from_le_bytes([a, b, c, d]));
        let hash = murmur_round(hash, u32::from_le_bytes([0, 0, 0, self.protocol.0]));
        let hash = hash ^ 16;
        let hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
        let hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
        hash ^ (hash >> 16)
    }
}

#[inline(always)]
const fn murmur_round(hash: u32, word: u32) -> u32 {
    let word = word
        .wrapping_mul(0xcc9e_2d51)
        .rotate_left(15)
        .wrapping_mul(0x1b87_3593);
    (hash ^ word)
        .rotate_left(13)
        .wrapping_mul(5)
        .wrapping_add(0xe654_6b64)
}

/// Whether the packet begins with the ports of its flow.
#[inline]
const fn has_ports(header: &Ipv4Header) -> bool {
    matches!(header.protocol(), IpProtocol::TCP | IpProtocol::UDP) && !header.is_fragment()
}

#[inline]
pub(super) fn is_ipip(header: &Ipv4Header) -> bool {
    header.protocol() == IpProtocol::IPENCAP && !header.is_fragment()
}

/// What a quoted IP-in-IP packet shows of the packet inside.
enum Inside<'a> {
    Packet(QuotedIpv4<'a>),
    /// None that counts as one.
    Nothing,
    /// Too little to tell.
    CutOff,
}

/// The packet inside by the rules of [`innermost`]: valid, whole and without slack, by the total lengths.
fn inside_quoted(outer: QuotedIpv4<'_>) -> Inside<'_> {
    let payload = outer.payload();
    let inner = match Ipv4::parse_quoted(payload) {
        Ok(inner) => inner,
        Err(ParseError::Truncated { .. }) if outer.is_cut() => return Inside::CutOff,
        Err(_) => return Inside::Nothing,
    };
    let header = outer.header();
    let payload_len = header
        .total_len()
        .checked_sub(u16::from(header.header_len()));
    if inner.verifies() && payload_len == Some(inner.header().total_len()) {
        Inside::Packet(inner)
    } else {
        Inside::Nothing
    }
}

/// How many IP-in-IP headers are looked behind for the flow and the sum of the innermost packet.
const LOOKED_BEHIND: u8 = 8;

/// The packet behind the IP-in-IP headers: the last one that is valid, whole and without slack.
pub(super) fn innermost(packet: Ipv4<'_>) -> Ipv4<'_> {
    let mut innermost = packet;
    for _ in 0..LOOKED_BEHIND {
        if !is_ipip(innermost.header()) {
            break;
        }
        match Ipv4::parse_any(innermost.payload()) {
            Ok(inner) if inner.slack() == 0 => innermost = inner,
            _ => break,
        }
    }
    innermost
}
