use core::fmt;
use core::net::Ipv4Addr;

use crate::checksum::Sum;
use crate::error::ParseError;
use crate::wire::{IpProtocol, Ipv4, Ipv4Header, QuotedIpv4, TcpHeader, UdpHeader};

/// What an encapsulator knows of the packet it wraps, and says of the packet it makes: the fixed
/// header by value, the length, the flow inside, and the sum of its bytes where the headers tell it.
///
/// [`read`](Self::read) proves the packet first; [`trusted`](Self::trusted) is for a header that
/// somebody else has proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PacketMeta {
    header: Ipv4Header,
    /// In bytes; with [`NOT_IPV4`] where the packet is of another version, so that it exceeds every
    /// limit.
    len: u32,
    flow: Flow,
    known_sum: KnownSum,
    byte_sum: KnownSum,
    /// The header's, apart: a header that was just composed is not read.
    tos: u8,
    has_source_route: bool,
}

/// An `Option<u16>` in plain bits, so that an `Option<PacketMeta>` is not told by a value that was
/// only handed on: the fast paths would read it for nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct KnownSum(u32);

impl KnownSum {
    const UNKNOWN: Self = Self(u32::MAX);

    #[inline]
    const fn new(sum: Option<u16>) -> Self {
        match sum {
            Some(sum) => {
                let [high, low] = sum.to_be_bytes();
                Self(u32::from_be_bytes([0, 0, high, low]))
            }
            None => Self::UNKNOWN,
        }
    }

    #[inline]
    const fn get(self) -> Option<u16> {
        if self.0 == Self::UNKNOWN.0 {
            return None;
        }
        let [_, _, high, low] = self.0.to_be_bytes();
        Some(u16::from_be_bytes([high, low]))
    }
}

impl fmt::Debug for KnownSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

impl PacketMeta {
    /// Proves the packet at the start of `bytes` by V-01 to V-07.
    ///
    /// # Errors
    /// As [`Ipv4::parse`].
    #[inline]
    pub fn read(bytes: &[u8]) -> Result<Self, ParseError> {
        match Self::read_ordinary(bytes) {
            Some(meta) => Ok(meta),
            None => Self::read_any(bytes),
        }
    }

    /// [`read`](Self::read), check by check.
    #[inline(always)]
    pub(crate) fn read_any(bytes: &[u8]) -> Result<Self, ParseError> {
        Ipv4::parse_any(bytes).map(Self::of)
    }

    /// [`read`](Self::read) where the packet has neither options nor another packet inside, and
    /// nothing is wrong.
    #[inline(always)]
    pub(crate) fn read_ordinary(bytes: &[u8]) -> Option<Self> {
        let packet = Ipv4::parse_plain(bytes)?;
        if packet.header().protocol() == IpProtocol::IPENCAP {
            return None;
        }
        Some(Self::of_innermost(packet, packet))
    }

    /// Of a packet that was parsed.
    #[inline(always)]
    #[must_use]
    pub fn of(packet: Ipv4<'_>) -> Self {
        // Packets inside tell the flow and the sum (L-05).
        Self::of_innermost(packet, innermost(packet))
    }

    #[inline(always)]
    fn of_innermost(packet: Ipv4<'_>, innermost: Ipv4<'_>) -> Self {
        Self {
            flow: Flow::of(innermost),
            known_sum: KnownSum::new(sum_from_headers(innermost)),
            has_source_route: packet.options().has_source_route(),
            ..Self::trusted(*packet.header())
        }
    }

    /// [`read`](Self::read), and sums all of the packet's bytes: for a header by value whose checksum
    /// covers them.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    #[inline]
    pub fn summed(bytes: &[u8]) -> Result<Self, ParseError> {
        let packet = Ipv4::parse(bytes)?;
        // A valid header adds nothing.
        let sum = Sum::new().add_bytes(packet.payload()).fold();
        Ok(Self {
            byte_sum: KnownSum::new(Some(sum)),
            ..Self::of(packet)
        })
    }

    /// The same with the sum of its bytes, if that of the packet inside is known and the headers in
    /// front of that have this sum.
    #[inline]
    pub(crate) fn summed_around(self, inner: &Self, headers: impl FnOnce() -> Sum) -> Self {
        match inner.byte_sum() {
            Some(sum) => Self {
                byte_sum: KnownSum::new(Some(headers().add_u16(sum).fold())),
                ..self
            },
            None => self,
        }
    }

    /// Of a packet whose header is known to be valid: verified elsewhere, or just composed. Nothing
    /// is known of what it carries.
    #[inline]
    #[must_use]
    pub const fn trusted(header: Ipv4Header) -> Self {
        let [high, low] = header.total_len().to_be_bytes();
        let len = u32::from_be_bytes([0, 0, high, low]);
        Self::composed(header, (len, header.tos()), Flow::without_ports(&header))
    }

    /// Of a header that was just composed, its total length and TOS byte, and its flow.
    #[inline]
    pub(crate) const fn composed(header: Ipv4Header, (len, tos): (u32, u8), flow: Flow) -> Self {
        Self {
            header,
            len,
            flow,
            known_sum: KnownSum::UNKNOWN,
            byte_sum: KnownSum::UNKNOWN,
            tos,
            has_source_route: false,
        }
    }

    /// Of a packet of another IP version, which no IPv4 encapsulator can wrap: what an encapsulator
    /// says of an outer packet that is not IPv4.
    ///
    /// `len` is its whole length in bytes, `traffic_class` its DSCP and ECN.
    #[inline]
    #[must_use]
    pub const fn not_ipv4(version: u8, len: u32, traffic_class: u8) -> Self {
        let mut bytes = [0; Ipv4Header::LEN];
        bytes[0] = version << 4;
        bytes[1] = traffic_class;
        Self {
            len: len | NOT_IPV4,
            ..Self::trusted(Ipv4Header::from_bytes(bytes))
        }
    }

    /// The same with what an IPv4 header around `inner` leaves unchanged: the flow, and the sum, to
    /// which a valid header adds nothing.
    #[inline]
    #[must_use]
    pub const fn carrying(self, inner: &Self) -> Self {
        Self {
            flow: inner.flow,
            known_sum: inner.known_sum,
            ..self
        }
    }

    /// The same with the ports of its own UDP or TCP header and the sum of its bytes, where that is
    /// known.
    #[inline]
    #[must_use]
    pub const fn with_transport(
        self,
        source_port: u16,
        destination_port: u16,
        known_sum: Option<u16>,
    ) -> Self {
        let flow = Flow {
            source_port,
            destination_port,
            ..self.flow
        };
        Self {
            flow,
            known_sum: KnownSum::new(known_sum),
            ..self
        }
    }

    /// The fixed header; meaningless but for DSCP and ECN if [`version`](Self::version) is not 4.
    #[inline]
    #[must_use]
    pub const fn header(&self) -> &Ipv4Header {
        &self.header
    }

    /// The IP version.
    #[inline]
    #[must_use]
    pub const fn version(&self) -> u8 {
        self.header.version()
    }

    /// The length of the whole packet, in bytes.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.len & !NOT_IPV4
    }

    /// Whether the same outer header is in front of both: all that one follows from is the same.
    #[inline]
    pub(crate) fn travels_like(&self, other: &Self) -> bool {
        self.len == other.len && self.known_sum == other.known_sum && self.is_of_train(other)
    }

    /// Whether only lengths make its outer header differ from a longer packet's.
    #[inline]
    pub(crate) fn ends_train_of(&self, other: &Self) -> bool {
        let both_known = self.known_sum().is_some() == other.known_sum().is_some();
        self.len < other.len && both_known && self.is_of_train(other)
    }

    #[inline]
    fn is_of_train(&self, other: &Self) -> bool {
        let (own, others) = (&self.header, &other.header);
        self.flow == other.flow
            && own.source() == others.source()
            && self.tos == other.tos
            && own.ttl() == others.ttl()
            && own.flags() == others.flags()
            && own.is_fragment() == others.is_fragment()
    }

    /// The header's TOS byte.
    #[inline]
    pub(crate) const fn tos(&self) -> u8 {
        self.tos
    }

    /// [`len`](Self::len) of an IPv4 packet; of another, more than any limit.
    #[inline]
    pub(crate) const fn len_if_ipv4(&self) -> u32 {
        self.len
    }

    /// Whether its header has a loose or strict source route (V-14); `false` where only the fixed header
    /// was at hand.
    #[inline]
    #[must_use]
    pub const fn has_source_route(&self) -> bool {
        self.has_source_route
    }

    /// Whether the packet has no bytes; no valid one does.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The flow that the packet belongs to: of the innermost packet, where it is IP-in-IP.
    #[inline]
    #[must_use]
    pub const fn flow(&self) -> Flow {
        self.flow
    }

    /// The ones' complement sum of the packet's bytes, where its headers tell it: the checksum of a
    /// TCP segment or UDP datagram cancels its payload (C-20; local checksum offload).
    ///
    /// The inner checksum is trusted, not verified: where it is wrong, this sum is wrong by the same
    /// amount, and so is a checksum built on it: the receiver drops the packet (C-21).
    #[inline]
    #[must_use]
    pub const fn known_sum(&self) -> Option<u16> {
        self.known_sum.get()
    }

    /// The sum of the packet's bytes, where these were summed ([`summed`](Self::summed)).
    #[inline]
    #[must_use]
    pub const fn byte_sum(&self) -> Option<u16> {
        self.byte_sum.get()
    }
}

/// A length that no IPv4 packet has.
const NOT_IPV4: u32 = 1 << 31;

/// The flow that a packet belongs to: what its outer headers may be spread by.
///
/// A fragment has no ports, nor has a packet of a protocol other than TCP and UDP: all fragments of
/// a datagram are one flow (E-22; RFC 8086 §4.1).
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

    /// The flow of a packet that an ICMP error quotes, the same as [`PacketMeta::flow`] said of the whole
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
    #[inline]
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
    /// # use ipencap::packet::PacketMeta;
    /// # let packet = *b"\x45\x00\x00\x24\x12\x34\x40\x00\x40\x11\x14\x85\x0a\x01\x00\x05\x0a\x02\x00\x09\
    /// #                 \x9c\x40\x00\x35\x00\x10\xac\xe6ipencap!";
    /// // 10.1.0.5:40000 to 10.2.0.9:53 over UDP
    /// let flow = PacketMeta::read(&packet).unwrap().flow();
    /// assert_eq!(flow.hash(0), 0x83d8_0564);
    /// assert_eq!(flow.hash(0x9747_b28c), 0x61c4_d21b);
    /// ```
    #[inline]
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

#[inline]
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

/// Whether the packet begins with the ports of its flow (E-22).
#[inline]
const fn has_ports(header: &Ipv4Header) -> bool {
    matches!(header.protocol(), IpProtocol::TCP | IpProtocol::UDP) && !header.is_fragment()
}

#[inline]
fn is_ipip(header: &Ipv4Header) -> bool {
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

/// How many IP-in-IP headers are looked behind for the innermost flow and sum (L-05).
const LOOKED_BEHIND: u8 = 8;

/// The packet behind the IP-in-IP headers: the last one that is valid, whole and without slack.
fn innermost(packet: Ipv4<'_>) -> Ipv4<'_> {
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

/// The sum of a packet's bytes from its headers alone (C-20).
///
/// The IPv4 header sums to -0 with its checksum, a segment to the complement of its pseudo-header.
#[inline]
fn sum_from_headers(packet: Ipv4<'_>) -> Option<u16> {
    let header = packet.header();
    let payload = packet.payload();
    let len = u16::try_from(payload.len()).ok()?;
    let is_complete = match header.protocol() {
        _ if header.is_fragment() => false,
        // The pseudo-header has the last address of the route, not the header's destination.
        _ if !packet.option_bytes().is_empty()
            && packet.options().unfinished_route() != Ok(None) =>
        {
            false
        }
        IpProtocol::TCP => payload.len() >= TcpHeader::LEN,
        IpProtocol::UDP => {
            UdpHeader::split(payload).is_ok_and(|(udp, _)| udp.checksum() != 0 && udp.len() == len)
        }
        _ => false,
    };
    let protocol = header.protocol().0;
    let pseudo = Sum::pseudo_header(header.source(), header.destination(), protocol, len);
    is_complete.then_some(!pseudo.fold())
}
