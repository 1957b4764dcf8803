//! A packet somewhere in a buffer, with free bytes in front and behind.
//!
//! ```text
//!  buffer   [ headroom |  packet  | tailroom ]
//!                      └─ Span ───┘
//! ```
//!
//! [`Span`] says where the packet lies, [`Packet`] borrows the buffer with it, `PacketBuf` (feature
//! `heapless`) owns one. [`PacketMeta`] is what an encapsulator needs to know of a packet.
//!
//! ```
//! use core::net::Ipv4Addr;
//! use ipencap::{Span, encap::{IpIp, PerPacket}, packet::Packet};
//! # use ipencap::wire::{IpProtocol, Ipv4Header};
//! # fn main() -> Result<(), Box<dyn core::error::Error>> {
//! # let bytes = *Ipv4Header::new(Ipv4Addr::new(10, 1, 0, 5), Ipv4Addr::new(10, 2, 0, 9), IpProtocol(253), 20).as_bytes();
//! let tunnel = IpIp::new(Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2))?;
//!
//! let mut buffer = [0; 2048];
//! buffer[64..84].copy_from_slice(&bytes);
//! let mut packet = Packet::new(&mut buffer, Span::new(64, 20));
//! packet.encap(&tunnel, &PerPacket::new())?;
//! assert_eq!(packet.headroom(), 44);
//! assert_eq!(packet.as_slice().len(), 40);
//! # Ok(())
//! # }
//! ```

use core::net::Ipv4Addr;
use core::ops::Range;

use crate::checksum::Sum;
use crate::error::ParseError;
use crate::wire::{IpProtocol, Ipv4, Ipv4Header, TcpHeader, UdpHeader};

/// A run of bytes in a buffer: like a `Range`, but `Copy`, and reading through it cannot panic.
///
/// ```
/// use ipencap::Span;
/// let span = Span::new(2, 3);
/// assert_eq!(span.get(b"headroom"), Some(&b"adr"[..]));
/// assert_eq!(span.get(b"head"), None);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Span {
    /// Bytes in front of it.
    pub start: usize,
    /// Its length, in bytes.
    pub len: usize,
}

impl Span {
    /// The span of `len` bytes behind `start` bytes.
    #[inline]
    #[must_use]
    pub const fn new(start: usize, len: usize) -> Self {
        Self { start, len }
    }

    /// The offset of the first byte behind it, at most `usize::MAX`.
    #[inline]
    #[must_use]
    pub const fn end(self) -> usize {
        self.start.saturating_add(self.len)
    }

    /// Its bytes in `buffer`, `None` where it does not lie inside.
    #[inline]
    #[must_use]
    pub fn get(self, buffer: &[u8]) -> Option<&[u8]> {
        buffer.get(self.start..self.end())
    }

    /// Its bytes in `buffer`, for writing.
    #[inline]
    #[must_use]
    pub fn get_mut(self, buffer: &mut [u8]) -> Option<&mut [u8]> {
        buffer.get_mut(self.start..self.end())
    }
}

impl From<Range<usize>> for Span {
    #[inline]
    fn from(range: Range<usize>) -> Self {
        Self {
            start: range.start,
            len: range.end.saturating_sub(range.start),
        }
    }
}

/// What an encapsulator knows of the packet it wraps, and says of the packet it makes: the fixed
/// header by value, the length, the flow inside, and the sum of its bytes where the headers tell it.
///
/// [`read`](Self::read) proves the packet first; [`trusted`](Self::trusted) is for a header that
/// somebody else has proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PacketMeta {
    header: Ipv4Header,
    len: u32,
    flow: Flow,
    known_sum: Option<u16>,
}

impl PacketMeta {
    /// Proves the packet at the start of `bytes` by V-01 to V-07.
    ///
    /// # Errors
    /// As [`Ipv4::parse`].
    #[inline]
    pub fn read(bytes: &[u8]) -> Result<Self, ParseError> {
        Ipv4::parse(bytes).map(Self::of)
    }

    /// Of a packet that was parsed.
    #[inline]
    #[must_use]
    pub fn of(packet: Ipv4<'_>) -> Self {
        let innermost = innermost(packet);
        Self {
            flow: Flow::of(innermost),
            known_sum: sum_from_headers(innermost),
            ..Self::trusted(*packet.header())
        }
    }

    /// Of a packet whose header is known to be valid: verified elsewhere, or just composed. Nothing
    /// is known of what it carries.
    #[inline]
    #[must_use]
    pub const fn trusted(header: Ipv4Header) -> Self {
        let [high, low] = header.total_len().to_be_bytes();
        Self {
            header,
            len: u32::from_be_bytes([0, 0, high, low]),
            flow: Flow::without_ports(&header),
            known_sum: None,
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
            len,
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
            known_sum,
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
        self.len
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
        self.known_sum
    }
}

/// The flow that a packet belongs to: what its outer headers may be spread by.
///
/// A fragment has no ports, nor has a packet of a protocol other than TCP and UDP: all fragments of
/// a datagram are one flow (E-22; RFC 8086 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    const fn without_ports(header: &Ipv4Header) -> Self {
        Self {
            source: header.source(),
            destination: header.destination(),
            protocol: header.protocol(),
            source_port: 0,
            destination_port: 0,
        }
    }

    const fn of(packet: Ipv4<'_>) -> Self {
        let header = packet.header();
        let flow = Self::without_ports(header);
        let has_ports = matches!(header.protocol(), IpProtocol::TCP | IpProtocol::UDP);
        match packet.payload().first_chunk::<4>() {
            Some(&[a, b, c, d]) if has_ports && !header.is_fragment() => Self {
                source_port: u16::from_be_bytes([a, b]),
                destination_port: u16::from_be_bytes([c, d]),
                ..flow
            },
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

/// How many IP-in-IP headers are looked behind for the innermost flow and sum (L-05).
const LOOKED_BEHIND: u8 = 8;

/// The packet behind the IP-in-IP headers: the last one that is valid, whole and without slack.
fn innermost(packet: Ipv4<'_>) -> Ipv4<'_> {
    let mut innermost = packet;
    for _ in 0..LOOKED_BEHIND {
        let header = innermost.header();
        if header.protocol() != IpProtocol::IPENCAP || header.is_fragment() {
            break;
        }
        match Ipv4::parse(innermost.payload()) {
            Ok(inner) if inner.slack() == 0 => innermost = inner,
            _ => break,
        }
    }
    innermost
}

/// The sum of a packet's bytes from its headers alone (C-20).
///
/// The IPv4 header sums to -0 with its checksum, a segment to the complement of its pseudo-header.
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

/// A packet in a borrowed buffer, with headroom and tailroom.
#[derive(Debug)]
pub struct Packet<'b> {
    buffer: &'b mut [u8],
    span: Span,
}

impl<'b> Packet<'b> {
    /// The packet at `span` in `buffer`; a span that reaches beyond the buffer is cut to it.
    #[inline]
    #[must_use]
    pub fn new(buffer: &'b mut [u8], span: Span) -> Self {
        let span = clipped(span, buffer.len());
        Self { buffer, span }
    }

    /// Free bytes in front of the packet.
    #[inline]
    #[must_use]
    pub const fn headroom(&self) -> usize {
        self.span.start
    }

    /// Free bytes behind the packet.
    #[inline]
    #[must_use]
    pub const fn tailroom(&self) -> usize {
        self.buffer.len().saturating_sub(self.span.end())
    }

    /// Where the packet lies in its buffer.
    #[inline]
    #[must_use]
    pub const fn span(&self) -> Span {
        self.span
    }

    /// The packet's bytes.
    #[inline]
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.span.get(self.buffer).unwrap_or_default()
    }

    /// The packet's bytes, for writing.
    #[inline]
    #[must_use]
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        self.span.get_mut(self.buffer).unwrap_or_default()
    }

    /// The whole buffer with the packet's place in it.
    #[inline]
    #[must_use]
    pub const fn into_parts(self) -> (&'b mut [u8], Span) {
        (self.buffer, self.span)
    }

    /// Proves the packet once, so that it need not be validated again when it is wrapped.
    ///
    /// ```
    /// # use core::net::Ipv4Addr;
    /// # use ipencap::{Span, encap::{IpIp, PerPacket}, packet::Packet};
    /// # use ipencap::wire::{IpProtocol, Ipv4Header};
    /// # fn main() -> Result<(), Box<dyn core::error::Error>> {
    /// # let bytes = *Ipv4Header::new(Ipv4Addr::new(10, 1, 0, 5), Ipv4Addr::new(10, 2, 0, 9), IpProtocol(253), 20).as_bytes();
    /// # let mut buffer = [0; 2048];
    /// # buffer[64..84].copy_from_slice(&bytes);
    /// # let tunnel = IpIp::new(Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2))?;
    /// let proven = Packet::new(&mut buffer, Span::new(64, 20)).prove()?;
    /// let backend = proven.meta().header().destination(); // look the tunnel up by proven fields
    /// # let _ = backend;
    /// let outer = proven.encap(&tunnel, &PerPacket::new())?;
    /// assert_eq!(outer.len(), 40);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Ipv4::parse`].
    #[inline]
    pub fn prove(self) -> Result<Proven<'b>, ParseError> {
        let meta = PacketMeta::read(self.as_slice())?;
        Ok(Proven {
            buffer: self.buffer,
            start: self.span.start,
            meta,
        })
    }

    /// Moves the packet's borders to `span`, cut to the buffer.
    pub(crate) fn set_span(&mut self, span: Span) {
        self.span = clipped(span, self.buffer.len());
    }

    pub(crate) const fn parts_mut(&mut self) -> (&mut [u8], Span) {
        (self.buffer, self.span)
    }
}

/// A packet whose header was proven, with the only way to change it.
#[derive(Debug)]
pub struct Proven<'b> {
    buffer: &'b mut [u8],
    start: usize,
    meta: PacketMeta,
}

impl<'b> Proven<'b> {
    /// The proven values.
    #[inline]
    #[must_use]
    pub const fn meta(&self) -> &PacketMeta {
        &self.meta
    }

    /// The packet's bytes, without slack.
    #[inline]
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        let len = usize::from(self.meta.header.total_len());
        Span::new(self.start, len)
            .get(self.buffer)
            .unwrap_or_default()
    }

    pub(crate) const fn into_parts(self) -> (&'b mut [u8], usize, PacketMeta) {
        (self.buffer, self.start, self.meta)
    }
}

/// A packet that owns its buffer of `N` bytes, on the stack or in a static; no allocator.
///
/// ```
/// use ipencap::packet::PacketBuf;
///
/// let mut packet = PacketBuf::<256>::new(60, b"received from somewhere").unwrap();
/// assert_eq!(packet.headroom(), 60);
/// assert_eq!(packet.as_packet().as_slice(), b"received from somewhere");
/// assert!(PacketBuf::<64>::new(60, b"too long for it").is_none());
/// ```
#[cfg(feature = "heapless")]
#[cfg_attr(docsrs, doc(cfg(feature = "heapless")))]
#[derive(Clone, Debug)]
pub struct PacketBuf<const N: usize> {
    bytes: heapless::Vec<u8, N>,
    span: Span,
}

#[cfg(feature = "heapless")]
impl<const N: usize> PacketBuf<N> {
    /// A copy of `packet` behind `headroom` free bytes, `None` if the two exceed `N` bytes.
    #[inline]
    #[must_use]
    pub fn new(headroom: usize, packet: &[u8]) -> Option<Self> {
        let mut bytes = heapless::Vec::new();
        bytes.resize(headroom, 0).ok()?;
        bytes.extend_from_slice(packet).ok()?;
        Some(Self {
            bytes,
            span: Span::new(headroom, packet.len()),
        })
    }

    /// Free bytes in front of the packet.
    #[inline]
    #[must_use]
    pub const fn headroom(&self) -> usize {
        self.span.start
    }

    /// Free bytes behind the packet.
    #[inline]
    #[must_use]
    pub const fn tailroom(&self) -> usize {
        N.saturating_sub(self.span.end())
    }

    /// The packet's bytes.
    #[inline]
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.span.get(&self.bytes).unwrap_or_default()
    }

    /// The packet, borrowed: with what it can do. What moves its borders is forgotten;
    /// [`with_packet`](Self::with_packet) keeps it.
    #[inline]
    #[must_use]
    pub fn as_packet(&mut self) -> Packet<'_> {
        Packet::new(&mut self.bytes, self.span)
    }

    /// Lets `change` work on the packet and keeps the borders it leaves.
    ///
    /// ```
    /// # use core::net::Ipv4Addr;
    /// # use ipencap::{encap::{IpIp, PerPacket}, packet::PacketBuf};
    /// # use ipencap::wire::{IpProtocol, Ipv4Header};
    /// # fn main() -> Result<(), Box<dyn core::error::Error>> {
    /// # let bytes = *Ipv4Header::new(Ipv4Addr::new(10, 1, 0, 5), Ipv4Addr::new(10, 2, 0, 9), IpProtocol(253), 20).as_bytes();
    /// # let tunnel = IpIp::new(Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2))?;
    /// let mut packet = PacketBuf::<1600>::new(60, &bytes).ok_or("too long")?;
    /// packet.with_packet(|packet| packet.encap(&tunnel, &PerPacket::new()))?;
    /// assert_eq!((packet.headroom(), packet.as_slice().len()), (40, 40));
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn with_packet<T>(&mut self, change: impl FnOnce(&mut Packet<'_>) -> T) -> T {
        let mut packet = Packet::new(&mut self.bytes, self.span);
        let result = change(&mut packet);
        self.span = packet.span;
        result
    }
}

fn clipped(span: Span, buffer_len: usize) -> Span {
    let start = span.start.min(buffer_len);
    Span {
        start,
        len: span.len.min(buffer_len.saturating_sub(start)),
    }
}
