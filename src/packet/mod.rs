//! A packet in a buffer with free bytes before and behind it.
//!
//! ```text
//!  buffer   [ headroom |  packet  | tailroom ]
//!                      └─ Span ───┘
//! ```
//!
//! [`Span`] is the position of the packet, [`Packet`] borrows the buffer, and `PacketBuf` (feature
//! `heapless`) owns it. [`Facts`] are the fields of a packet that tunnels need. [`PerPacket`] is what the
//! caller supplies for each packet. [`Quote`] is a packet in an ICMP error.
//!
//! ```
//! use core::net::Ipv4Addr;
//! use ipencap::{Span, encap::Tunnel, packet::{Packet, PerPacket}, shim::IpIp};
//! # use ipencap::wire::{IpProtocol, Ipv4Header};
//! # fn main() -> Result<(), Box<dyn core::error::Error>> {
//! # let bytes = *Ipv4Header::new(Ipv4Addr::new(10, 1, 0, 5), Ipv4Addr::new(10, 2, 0, 9), IpProtocol(253), 20).as_bytes();
//! let tunnel = Tunnel::new(Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2), IpIp)?;
//!
//! let mut buffer = [0; 2048];
//! buffer[64..84].copy_from_slice(&bytes);
//! let mut packet = Packet::new(&mut buffer, Span::new(64, 20));
//! packet.wrap(&tunnel, &PerPacket::new())?;
//! assert_eq!(packet.headroom(), 44);
//! assert_eq!(packet.as_slice().len(), 40);
//! # Ok(())
//! # }
//! ```

use core::ops::Range;

use crate::error::ParseError;
#[cfg(feature = "heapless")]
use crate::wire::copy;

mod facts;
mod flow;
mod optional_sum;
mod per_packet;
mod quote;

pub use facts::Facts;
pub(crate) use facts::{Composed, Figures};
pub use flow::Flow;
pub(crate) use per_packet::by_rules;
pub use per_packet::{InnerChecksum, PerPacket, Rules};
pub use quote::Quote;

/// A range of bytes in a buffer. Unlike `Range` it is `Copy`, and getting its bytes cannot panic.
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
    /// The offset of the first byte.
    pub start: usize,
    /// The length, in bytes.
    pub len: usize,
}

impl Span {
    /// The span of `len` bytes from offset `start`.
    #[inline]
    #[must_use]
    pub const fn new(start: usize, len: usize) -> Self {
        Self { start, len }
    }

    /// The offset of the first byte behind the span, at most `usize::MAX`.
    #[inline]
    #[must_use]
    pub const fn end(self) -> usize {
        self.start.saturating_add(self.len)
    }

    /// The bytes of the span in `buffer`. `None` if it exceeds the buffer.
    #[inline]
    #[must_use]
    pub fn get(self, buffer: &[u8]) -> Option<&[u8]> {
        buffer.get(self.start..self.start.checked_add(self.len)?)
    }

    /// The mutable bytes of the span in `buffer`. `None` if it exceeds the buffer.
    #[inline]
    #[must_use]
    pub fn get_mut(self, buffer: &mut [u8]) -> Option<&mut [u8]> {
        buffer.get_mut(self.start..self.start.checked_add(self.len)?)
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

/// A packet in a borrowed buffer, with headroom and tailroom.
#[derive(Debug)]
pub struct Packet<'b> {
    buffer: &'b mut [u8],
    span: Span,
}

impl<'b> Packet<'b> {
    /// The packet at `span` in `buffer`. A span that exceeds the buffer is shortened.
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

    /// The position of the packet in its buffer.
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

    /// The whole buffer, and the position of the packet in it.
    #[inline]
    #[must_use]
    pub const fn into_parts(self) -> (&'b mut [u8], Span) {
        (self.buffer, self.span)
    }

    /// Validates the packet, so that wrapping it does not validate it again.
    ///
    /// ```
    /// # use core::net::Ipv4Addr;
    /// # use ipencap::{Span, encap::Tunnel, packet::{Packet, PerPacket}, shim::IpIp};
    /// # use ipencap::wire::{IpProtocol, Ipv4Header};
    /// # fn main() -> Result<(), Box<dyn core::error::Error>> {
    /// # let bytes = *Ipv4Header::new(Ipv4Addr::new(10, 1, 0, 5), Ipv4Addr::new(10, 2, 0, 9), IpProtocol(253), 20).as_bytes();
    /// # let mut buffer = [0; 2048];
    /// # buffer[64..84].copy_from_slice(&bytes);
    /// # let tunnel = Tunnel::new(Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2), IpIp)?;
    /// let proven = Packet::new(&mut buffer, Span::new(64, 20)).prove()?;
    /// let flow = proven.facts().flow(); // choose a tunnel by valid fields
    /// # let _ = flow;
    /// let outer = proven.wrap(&tunnel, &PerPacket::new())?;
    /// assert_eq!(outer.len(), 40);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// If the choice of the tunnel does not depend on the packet, [`encap`](crate::encap()) is faster: it
    /// validates and wraps at once.
    ///
    /// # Errors
    /// As [`Ipv4::parse`](crate::wire::Ipv4::parse).
    #[inline(always)]
    pub fn prove(self) -> Result<Proven<'b>, ParseError> {
        let facts = Facts::read(self.as_slice())?;
        let start = self.span.start;
        let end = start.saturating_add(facts.len_with(0));
        Ok(Proven {
            buffer: self.buffer.get_mut(..end).unwrap_or_default(),
            facts,
        })
    }

    /// Sets the position of the packet. A span that exceeds the buffer is shortened.
    pub(crate) fn set_span(&mut self, span: Span) {
        self.span = clipped(span, self.buffer.len());
    }

    pub(crate) const fn parts_mut(&mut self) -> (&mut [u8], Span) {
        (self.buffer, self.span)
    }
}

/// A packet with a validated header. The bytes cannot change except by wrapping, so the packet stays
/// valid.
#[derive(Debug)]
pub struct Proven<'b> {
    /// It ends where the packet ends.
    pub(crate) buffer: &'b mut [u8],
    pub(crate) facts: Facts,
}

impl Proven<'_> {
    /// The facts of the packet.
    #[inline]
    #[must_use]
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The packet's bytes, up to its total length.
    #[inline]
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.span().get(self.buffer).unwrap_or_default()
    }

    /// The position of the packet, at the end of the buffer.
    pub(crate) fn span(&self) -> Span {
        let len = self.facts.len_with(0);
        Span::new(self.buffer.len().saturating_sub(len), len)
    }
}

/// A packet that owns its buffer of `N` bytes, without an allocator.
///
/// ```
/// use ipencap::packet::PacketBuf;
///
/// # let mut radio: &[u8] = b"received from somewhere";
/// # use std::io::Read as _;
/// let mut packet = PacketBuf::<256>::EMPTY; // or in a static, behind a lock
/// packet.receive(60, |free| radio.read(free).unwrap_or(0)); // without a copy
/// assert_eq!((packet.headroom(), packet.as_slice()), (60, &b"received from somewhere"[..]));
///
/// assert!(PacketBuf::<64>::new(60, b"too long").is_none());
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
    /// A buffer without a packet.
    pub const EMPTY: Self = Self {
        bytes: heapless::Vec::new(),
        span: Span::new(0, 0),
    };

    /// A copy of `packet` behind `headroom` free bytes. `None` if both exceed `N` bytes.
    #[inline]
    #[must_use]
    pub fn new(headroom: usize, packet: &[u8]) -> Option<Self> {
        if packet.len() > N.checked_sub(headroom)? {
            return None;
        }
        let mut new = Self::EMPTY;
        new.receive(headroom, |free| {
            copy(packet, free);
            packet.len()
        });
        Some(new)
    }

    /// Replaces the packet. `read` gets the bytes behind `headroom` free bytes, writes a packet there, and
    /// returns its length in bytes.
    ///
    /// If `headroom` is `N` or more, `read` gets an empty slice.
    #[inline]
    pub fn receive(&mut self, headroom: usize, read: impl FnOnce(&mut [u8]) -> usize) {
        // Cannot fail: the capacity is `N`.
        let _ = self.bytes.resize(N, 0);
        let free = self.bytes.get_mut(headroom..).unwrap_or_default();
        let len = read(free).min(free.len());
        self.span = Span::new(headroom.min(N), len);
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

    /// Borrows the packet. If an operation moves it in the buffer, such as wrapping, use
    /// [`with_packet`](Self::with_packet) instead: this method does not store the new position.
    #[inline]
    #[must_use]
    pub fn as_packet(&mut self) -> Packet<'_> {
        Packet::new(&mut self.bytes, self.span)
    }

    /// Calls `change` with the packet, and stores the packet's new position.
    ///
    /// ```
    /// # use core::net::Ipv4Addr;
    /// # use ipencap::{encap::Tunnel, packet::{PacketBuf, PerPacket}, shim::IpIp};
    /// # use ipencap::wire::{IpProtocol, Ipv4Header};
    /// # fn main() -> Result<(), Box<dyn core::error::Error>> {
    /// # let bytes = *Ipv4Header::new(Ipv4Addr::new(10, 1, 0, 5), Ipv4Addr::new(10, 2, 0, 9), IpProtocol(253), 20).as_bytes();
    /// # let tunnel = Tunnel::new(Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2), IpIp)?;
    /// let mut packet = PacketBuf::<1600>::new(60, &bytes).ok_or("too long")?;
    /// packet.with_packet(|packet| packet.wrap(&tunnel, &PerPacket::new()))?;
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
