use core::net::Ipv4Addr;

use super::flow::{Flow, innermost, is_ipip};
use super::optional_sum::OptionalSum;
use super::per_packet::Rules;
use crate::checksum::Sum;
use crate::error::ParseError;
use crate::wire::{
    COMMON_FIRST, FragmentOffset, IpProtocol, Ipv4, Ipv4Flags, Ipv4Header, Options, TcpHeader,
    UdpHeader,
};

/// What a tunnel needs to know of the packet that it wraps, parsed once.
///
/// A tunnel answers with the facts of the outer packet, so the next tunnel around it parses nothing.
/// [`read`](Self::read) validates the packet first.
///
/// ```
/// use ipencap::packet::Facts;
/// let packet = *b"\x45\x00\x00\x24\x12\x34\x40\x00\x40\x11\x14\x85\x0a\x01\x00\x05\x0a\x02\x00\x09\
///                 \x9c\x40\x00\x35\x00\x10\xac\xe6ipencap!";
/// let facts = Facts::read(&packet).unwrap();
/// assert_eq!((facts.len(), facts.ttl(), facts.source().octets()), (36, 64, [10, 1, 0, 5]));
/// assert_eq!(facts.flow().destination_port, 53);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
// In this order: the error of a `Result<Facts, _>` lies over the first eight bytes, which the optimiser
// then keeps in memory. These are the ones that the common packets do not need.
#[repr(C)]
pub struct Facts {
    byte_sum: OptionalSum,
    /// Bytes that tunnels have put in front since the packet was read.
    overhead: u16,
    version: u8,
    layers: u8,
    /// The source address, as it is stored.
    source: u32,
    /// Bytes behind a 20-byte header: with [`NOT_IPV4`] where the packet is of another version, so that
    /// it exceeds every limit.
    behind: u32,
    known_sum: OptionalSum,
    flow: Flow,
    flags_offset: u16,
    tos: u8,
    ttl: u8,
    destination: Ipv4Addr,
    protocol: IpProtocol,
    has_source_route: bool,
    is_innermost: bool,
}

/// A length that no IPv4 packet has.
const NOT_IPV4: u32 = 1 << 31;

impl Facts {
    /// Reads the packet at the start of `bytes`, which must be valid: version, header length, checksum
    /// and total length (RFC 1812 §5.2.2). Bytes behind the total length are not part of it.
    ///
    /// # Errors
    /// As [`Ipv4::parse`].
    #[inline]
    pub fn read(bytes: &[u8]) -> Result<Self, ParseError> {
        if cfg!(all(target_os = "none", not(target_pointer_width = "64"))) {
            return Ipv4::parse_by_call(bytes).map(Self::of_any_by_call);
        }
        Ipv4::parse(bytes).map(Self::of)
    }

    /// [`read`](Self::read) of the packets that these rules cover. The error says what is wrong where
    /// they cover all.
    #[inline(always)]
    pub(crate) fn read_by(bytes: &[u8], rules: Rules) -> Result<Self, ParseError> {
        if !COMMON_FIRST && rules.explain() {
            return match Ipv4::parse_any(bytes) {
                Ok(packet) => Ok(Self::of_any(packet)),
                Err(error) => Err(error),
            };
        }
        if !rules.are_common() {
            return match Ipv4::checked(bytes, Options::Any) {
                Ok(packet) if is_plain(packet) => Ok(Self::of_plain(packet)),
                Ok(_) => Self::read_nested(bytes),
                Err(fault) if rules.explain() => Err(fault.error(bytes)),
                Err(_) => Err(ParseError::BadChecksum),
            };
        }
        match Ipv4::checked(bytes, Options::None) {
            Ok(packet) => Ok(Self {
                is_innermost: packet.header().protocol() != IpProtocol::IPENCAP,
                ..Self::of_plain(packet)
            }),
            Err(_) => Err(ParseError::BadChecksum),
        }
    }

    /// [`of`](Self::of) for programs that need it in several places. Without `reads_flow` nobody asks for the
    /// flow, the sum or a source route.
    #[inline(always)]
    pub(crate) fn of_by_call(packet: Ipv4<'_>, reads_flow: bool) -> Self {
        if reads_flow {
            Self::of_any_by_call(packet)
        } else {
            Self::trusted_by_call(packet.header())
        }
    }

    /// The facts of a parsed packet.
    #[inline(always)]
    #[must_use]
    pub fn of(packet: Ipv4<'_>) -> Self {
        if is_plain(packet) {
            Self::of_plain(packet)
        } else {
            Self::of_nested(packet)
        }
    }

    /// [`read`](Self::read) of a packet that may have options or another packet inside. It parses again:
    /// handing over what was parsed would cost the other packets more.
    #[cold]
    #[inline(never)]
    fn read_nested(bytes: &[u8]) -> Result<Self, ParseError> {
        Ipv4::parse_any(bytes).map(Self::of_nested)
    }

    /// The facts of a packet without options, in which no other is looked for.
    #[inline(always)]
    fn of_plain(packet: Ipv4<'_>) -> Self {
        Self {
            flow: Flow::of(packet),
            known_sum: OptionalSum::new(sum_from_headers(packet)),
            ..Self::trusted(packet.header())
        }
    }

    /// [`of_any`](Self::of_any) in one place, out of the way of most packets.
    #[cold]
    fn of_nested(packet: Ipv4<'_>) -> Self {
        Self::of_any(packet)
    }

    /// [`of_any`](Self::of_any), which on small targets is one function.
    #[cfg_attr(
        not(all(target_os = "none", not(target_pointer_width = "64"))),
        inline(always)
    )]
    #[cfg_attr(
        all(target_os = "none", not(target_pointer_width = "64")),
        inline(never)
    )]
    fn of_any_by_call(packet: Ipv4<'_>) -> Self {
        Self::of_any(packet)
    }

    /// The facts of a packet that may have options. The packets inside tell the flow and the sum.
    #[inline(always)]
    fn of_any(packet: Ipv4<'_>) -> Self {
        let innermost = innermost(packet);
        // The pseudo-header has the last address of the route, not the header's destination.
        let may_route_on = innermost.options().unfinished_route() != Ok(None);
        let sum = if may_route_on {
            None
        } else {
            sum_from_headers(innermost)
        };
        Self {
            flow: Flow::of(innermost),
            known_sum: OptionalSum::new(sum),
            has_source_route: packet.options().has_source_route(),
            ..Self::trusted(packet.header())
        }
    }

    /// [`read`](Self::read), and the sum of all of the packet's bytes: for a
    /// [header by value](crate::encap::header) whose checksum covers them.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    #[inline]
    pub fn summed(bytes: &[u8]) -> Result<Self, ParseError> {
        let packet = Ipv4::parse(bytes)?;
        // A valid header adds nothing.
        let sum = Sum::new().add_bytes(packet.payload()).fold();
        Ok(Self::of(packet).with_byte_sum(Some(sum)))
    }

    /// The facts of a packet whose header somebody else has validated. Nothing is known of what it
    /// carries.
    #[inline]
    #[must_use]
    pub const fn trusted(header: &Ipv4Header) -> Self {
        let [high, low] = header.total_len().to_be_bytes();
        let len = u32::from_be_bytes([0, 0, high, low]);
        let word = header.flags().bits() | header.fragment_offset().units();
        Self {
            source: u32::from_ne_bytes(header.source().octets()),
            behind: len.wrapping_sub(20),
            known_sum: OptionalSum::UNKNOWN,
            byte_sum: OptionalSum::UNKNOWN,
            flow: Flow::new(header.source(), header.destination(), header.protocol()),
            flags_offset: word,
            overhead: 0,
            tos: header.tos(),
            ttl: header.ttl(),
            destination: header.destination(),
            protocol: header.protocol(),
            version: header.version(),
            layers: 0,
            has_source_route: false,
            is_innermost: true,
        }
    }

    /// [`trusted`](Self::trusted) for programs that need it in several places: on small targets it is one function.
    #[cfg_attr(
        not(all(target_os = "none", not(target_pointer_width = "64"))),
        inline(always)
    )]
    #[cfg_attr(
        all(target_os = "none", not(target_pointer_width = "64")),
        inline(never)
    )]
    pub(crate) const fn trusted_by_call(header: &Ipv4Header) -> Self {
        Self::trusted(header)
    }

    /// Makes them those of its first fragment, which is `len` bytes long.
    pub(crate) fn make_first_fragment(&mut self, len: u16) {
        self.behind = u32::from(len).wrapping_sub(20);
        self.flags_offset |= Ipv4Flags::MF.bits();
    }

    /// The facts of the outer IPv4 packet around this one that a tunnel composes: `overhead` bytes
    /// longer, from `source` to `destination`.
    #[inline(always)]
    pub(crate) const fn inside(&self, outer: Composed, overhead: u16) -> Self {
        let [high, low] = overhead.to_be_bytes();
        let flags_offset = if outer.has_df {
            Ipv4Flags::DF.bits()
        } else {
            0
        };
        Self {
            source: u32::from_ne_bytes(outer.source.octets()),
            behind: self
                .behind
                .wrapping_add(u32::from_be_bytes([0, 0, high, low])),
            known_sum: OptionalSum::UNKNOWN,
            byte_sum: OptionalSum::UNKNOWN,
            flow: Flow::new(outer.source, outer.destination, outer.protocol),
            flags_offset,
            // More than 65535 bytes of headers fit around no packet.
            overhead: self.overhead.wrapping_add(overhead),
            tos: outer.tos,
            ttl: outer.ttl,
            destination: outer.destination,
            protocol: outer.protocol,
            version: 4,
            layers: self.layers.saturating_add(1),
            has_source_route: false,
            is_innermost: true,
        }
    }

    /// The facts of an outer packet of another IP version, for a tunnel of one's own. No IPv4 tunnel can
    /// wrap it again.
    ///
    /// `overhead` is what it puts in front of `self`, in bytes; `traffic_class` its DSCP and ECN. Flow and
    /// sum are those of the packet inside.
    #[inline]
    #[must_use]
    pub const fn inside_version(&self, version: u8, overhead: u16, traffic_class: u8) -> Self {
        let outer = Composed {
            source: Ipv4Addr::UNSPECIFIED,
            destination: Ipv4Addr::UNSPECIFIED,
            protocol: IpProtocol(0),
            tos: traffic_class,
            ttl: u8::MAX,
            has_df: true,
        };
        let outer = self.inside(outer, overhead);
        Self {
            version,
            behind: outer.behind | NOT_IPV4,
            ..outer.carrying(self)
        }
    }

    /// The same with the flow and the sum of the packet inside, which an IPv4 header around it leaves as
    /// they are: a valid header adds nothing to a sum.
    #[inline(always)]
    pub(crate) const fn carrying(self, inner: &Self) -> Self {
        Self {
            flow: inner.flow,
            known_sum: inner.known_sum,
            is_innermost: inner.is_innermost,
            ..self
        }
    }

    /// The same with the ports of its UDP or TCP header.
    #[inline(always)]
    pub(crate) const fn with_ports(self, source_port: u16, destination_port: u16) -> Self {
        Self {
            flow: self.flow.with_ports(source_port, destination_port),
            ..self
        }
    }

    /// The same with the sum of its bytes, as its headers tell it.
    #[inline(always)]
    pub(crate) const fn with_known_sum(self, sum: Option<u16>) -> Self {
        Self {
            known_sum: OptionalSum::new(sum),
            ..self
        }
    }

    /// The same with the sum of its bytes, where these were summed.
    #[inline(always)]
    pub(crate) const fn with_byte_sum(self, sum: Option<u16>) -> Self {
        Self {
            byte_sum: OptionalSum::new(sum),
            ..self
        }
    }

    /// The IP version.
    #[inline]
    #[must_use]
    pub const fn version(&self) -> u8 {
        self.version
    }

    /// The length of the whole packet, in bytes.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> u32 {
        // Of a header that says less than its own 20 bytes the difference is below zero.
        let behind = match self.version {
            4 => self.behind,
            _ => self.behind & !NOT_IPV4,
        };
        behind.wrapping_add(20)
    }

    /// Whether the packet has no bytes; no valid one does.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The length that an IPv4 packet around this one has with `overhead` bytes more; of another
    /// version's, more than any limit.
    #[inline(always)]
    pub(crate) fn len_with(&self, overhead: usize) -> usize {
        let behind = usize::try_from(self.behind).unwrap_or(usize::MAX);
        behind.wrapping_add(20).wrapping_add(overhead)
    }

    /// The source address.
    #[inline]
    #[must_use]
    pub const fn source(&self) -> Ipv4Addr {
        let [a, b, c, d] = self.source.to_ne_bytes();
        Ipv4Addr::new(a, b, c, d)
    }

    /// The source address, as it is stored.
    #[inline(always)]
    pub(crate) const fn stored_source(&self) -> u32 {
        self.source
    }

    /// The destination address.
    #[inline]
    #[must_use]
    pub const fn destination(&self) -> Ipv4Addr {
        self.destination
    }

    /// The protocol of the payload.
    #[inline]
    #[must_use]
    pub const fn protocol(&self) -> IpProtocol {
        self.protocol
    }

    /// The former type-of-service byte: DSCP and ECN.
    #[inline]
    #[must_use]
    pub const fn tos(&self) -> u8 {
        self.tos
    }

    /// The time to live, in hops.
    #[inline]
    #[must_use]
    pub const fn ttl(&self) -> u8 {
        self.ttl
    }

    /// Whether the packet must not be fragmented.
    #[inline]
    #[must_use]
    pub const fn has_df(&self) -> bool {
        self.flags_offset & Ipv4Flags::DF.bits() != 0
    }

    /// Whether the packet is a fragment.
    #[inline]
    #[must_use]
    pub const fn is_fragment(&self) -> bool {
        self.flags_offset & (Ipv4Flags::MF.bits() | FragmentOffset::MAX.units()) != 0
    }

    /// Whether its header has a loose or strict source route (RFC 791 §3.1).
    #[inline]
    #[must_use]
    pub const fn has_source_route(&self) -> bool {
        self.has_source_route
    }

    /// Whether [`flow`](Self::flow) and [`known_sum`](Self::known_sum) are of the innermost packet. By
    /// [`Rules::Common`] nobody looks into an IP-in-IP packet: a tunnel that needs them must refuse it.
    #[inline(always)]
    #[must_use]
    pub const fn is_innermost(&self) -> bool {
        self.is_innermost
    }

    /// The flow that the packet belongs to: of the innermost packet, where it is IP-in-IP.
    ///
    /// It spreads packets, and says nothing about where this one goes: anybody can wrap a packet for another
    /// address. Compare [`destination`](Self::destination) and [`protocol`](Self::protocol) with the addresses of a
    /// service.
    #[inline]
    #[must_use]
    pub const fn flow(&self) -> Flow {
        self.flow
    }

    /// The ones' complement sum of the packet's bytes, where its headers tell it: the checksum of a TCP
    /// segment or UDP datagram cancels its payload (local checksum offload).
    ///
    /// The inner checksum is trusted, not verified: where it is wrong, this sum is wrong by the same
    /// amount, and so is a checksum built on it: the receiver drops the packet.
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

    /// Whether an outer header in front of each differs in nothing but lengths and checksums.
    #[inline]
    pub(crate) fn has_header_of(&self, other: &Self) -> bool {
        self.flow == other.flow
            && self.tos == other.tos
            && self.ttl == other.ttl
            && self.flags_offset == other.flags_offset
    }

    #[inline(always)]
    pub(crate) const fn figures(&self) -> Figures {
        Figures {
            len: self.len(),
            overhead: self.overhead,
            ttl: self.ttl,
            version: self.version,
            layers: self.layers,
        }
    }

    /// How many tunnels are around the packet that was read.
    #[inline]
    #[must_use]
    pub const fn layers(&self) -> u8 {
        self.layers
    }

    /// Bytes that these tunnels have put in front.
    #[inline]
    #[must_use]
    pub const fn overhead(&self) -> u16 {
        self.overhead
    }
}

/// What errors say of a packet.
#[derive(Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) len: u32,
    pub(crate) overhead: u16,
    pub(crate) ttl: u8,
    pub(crate) version: u8,
    pub(crate) layers: u8,
}

/// The values of an outer IPv4 header that a further tunnel around it asks for.
#[derive(Clone, Copy)]
pub(crate) struct Composed {
    pub(crate) source: Ipv4Addr,
    pub(crate) destination: Ipv4Addr,
    pub(crate) protocol: IpProtocol,
    pub(crate) tos: u8,
    pub(crate) ttl: u8,
    pub(crate) has_df: bool,
}

/// Whether the packet has neither options nor another packet inside.
#[inline(always)]
fn is_plain(packet: Ipv4<'_>) -> bool {
    packet.option_bytes().is_empty() && !is_ipip(packet.header())
}

/// The sum of a packet's bytes from its headers alone, where it has no unfinished source route.
///
/// The IPv4 header sums to -0 with its checksum, a segment to the complement of its pseudo-header.
#[inline]
fn sum_from_headers(packet: Ipv4<'_>) -> Option<u16> {
    let header = packet.header();
    let payload = packet.payload();
    let len = u16::try_from(payload.len()).ok()?;
    let is_complete = match header.protocol() {
        _ if header.is_fragment() => false,
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
