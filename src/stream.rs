//! IPv4 packets on a byte stream such as a TCP connection. This module uses no sockets.
//!
//! ```text
//!  exclusive   [length 2][packet        ]…            OpenVPN, RFC 4571: length of the packet
//!  inclusive   "IKETCP" [length 2][packet        ]…   RFC 9329: length of prefix and packet
//!  bare        [packet        ][packet        ]…      no prefix: total length of each packet
//! ```
//!
//! The decoder accepts the bytes in pieces of any length. It returns packets as slices of its buffer or
//! of the caller's input. After an invalid length the start of the next packet is unknown, so the
//! connection must be closed (RFC 9329 §3).
//!
//! ```
//! use ipencap::stream::{Decoder, Event, StreamFraming};
//! # fn main() -> Result<(), Box<dyn core::error::Error>> {
//! # let packet = *b"\x45\x00\x00\x24\x12\x34\x40\x00\x40\x11\x14\x85\x0a\x01\x00\x05\x0a\x02\x00\x09\
//! #                 \x9c\x40\x00\x35\x00\x10\xac\xe6ipencap!";
//! // Sender: the length prefix goes into two bytes of headroom.
//! let mut frame = [0; 38];
//! frame[2..].copy_from_slice(&packet);
//! let framing = StreamFraming::Exclusive;
//! framing.frame(&mut frame)?;
//!
//! // Receiver: each read() may return any number of bytes.
//! let mut buffer = [0; 2048];
//! let mut decoder = Decoder::new(framing, &mut buffer);
//! let mut received = 0;
//! for piece in frame.chunks(7) {
//!     let mut piece = piece;
//!     while let Some(event) = decoder.push(&mut piece)? {
//!         if let Event::Packet(bytes) = event {
//!             assert_eq!(bytes, packet);
//!             received += 1;
//!         }
//!     }
//! }
//! assert_eq!(received, 1);
//! # Ok(())
//! # }
//! ```
//!
//! # Check the packets
//!
//! [`Event::Packet`] is a valid IPv4 packet, but its addresses are unchecked. Pass it to a
//! [`Receiver`](crate::decap::Receiver) before you forward it, as for every other tunnel:
//!
//! ```
//! use core::net::Ipv4Addr;
//! use ipencap::decap::{OuterMeta, PointToPoint, Prefix, Receiver};
//! use ipencap::shim::Tcp;
//! use ipencap::wire::{Ecn, IpProtocol};
//! # let packet = *b"\x45\x00\x00\x24\x12\x34\x40\x00\x40\x11\x14\x85\x0a\x01\x00\x05\x0a\x02\x00\x09\
//! #                 \x9c\x40\x00\x35\x00\x10\xac\xe6ipencap!";
//! let (left, right) = (Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2));
//! let inner_sources = [Prefix::new(Ipv4Addr::new(10, 1, 0, 0), 16).unwrap()];
//! let receiver = Receiver::new(Tcp::new(40001, 443), PointToPoint::new(right, left, &inner_sources));
//!
//! // The addresses and ports of the connection. TCP handles its ECN field itself.
//! let connection = OuterMeta {
//!     source: left,
//!     destination: right,
//!     protocol: IpProtocol::TCP,
//!     source_port: 40001,
//!     destination_port: 443,
//!     ecn: Ecn::NotEct,
//! };
//! assert!(receiver.inspect_payload(&connection, &packet).is_ok());
//! ```
//!
//! TCP inside TCP collapses when the path loses packets, because both layers retransmit (RFC 9329 §9.1).
//! Use it only where nothing but TCP passes.

use core::fmt;

use crate::error::{EncapError, ParseError, numbered};
use crate::wire::{Ipv4, LengthPrefix, Options, copy};

/// How the boundaries of packets are marked on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum StreamFraming {
    /// A 16-bit length of the packet in front of it. 0 is an error (OpenVPN).
    Exclusive,
    /// A 16-bit length of the packet in front of it. 0 is a null packet, which is skipped (RFC 4571 §2).
    Rfc4571,
    /// A 16-bit length of prefix and packet in front of it. The stream begins with the magic bytes
    /// `IKETCP`. Empty messages and keepalives are skipped (RFC 9329 §3, §4, §6.6).
    Inclusive,
    /// No prefix. The total length in the IPv4 header separates the packets.
    Bare,
}

impl StreamFraming {
    /// The magic bytes that the originator of an [`Inclusive`](Self::Inclusive) connection sends first
    /// (RFC 9329 §4).
    pub const MAGIC: [u8; 6] = *b"IKETCP";

    /// The length of the prefix in front of each packet, in bytes: 0 or 2.
    #[inline]
    #[must_use]
    pub const fn prefix_len(self) -> usize {
        match self.length_prefix() {
            Some(_) => LengthPrefix::LEN,
            None => 0,
        }
    }

    /// The bytes that the originator sends before the first frame: [`MAGIC`](Self::MAGIC), or none.
    #[inline]
    #[must_use]
    pub const fn preamble(self) -> &'static [u8] {
        match self {
            Self::Inclusive => &Self::MAGIC,
            Self::Exclusive | Self::Rfc4571 | Self::Bare => &[],
        }
    }

    /// The format of the prefix, or `None` for [`Bare`](Self::Bare).
    #[inline]
    #[must_use]
    pub const fn length_prefix(self) -> Option<LengthPrefix> {
        match self {
            Self::Exclusive | Self::Rfc4571 => Some(LengthPrefix::Exclusive),
            Self::Inclusive => Some(LengthPrefix::Inclusive),
            Self::Bare => None,
        }
    }

    /// Writes the prefix in front of a packet and returns the frame.
    ///
    /// `frame` holds [`prefix_len`](Self::prefix_len) free bytes, then a valid IPv4 packet that fills the
    /// rest.
    ///
    /// # Errors
    /// [`EncapError::Inner`] if the packet is invalid or does not fill the frame,
    /// [`EncapError::NoHeadroom`] if the frame is shorter than the prefix, [`EncapError::TooLong`] if the
    /// length does not fit the prefix. `frame` is unchanged then.
    #[inline]
    pub fn frame(self, frame: &mut [u8]) -> Result<&mut [u8], EncapError> {
        let have = u16::try_from(frame.len()).unwrap_or(u16::MAX);
        let need = u16::try_from(self.prefix_len()).unwrap_or(u16::MAX);
        let packet = frame
            .get(self.prefix_len()..)
            .ok_or(EncapError::NoHeadroom { need, have })?;
        let parsed = Ipv4::parse(packet)?;
        let len = parsed.header().total_len();
        if parsed.slack() > 0 {
            return Err(ParseError::BadTotalLength { total_len: len }.into());
        }
        if let Some(prefix) = self.length_prefix() {
            let framed = u32::from(len).wrapping_add(u32::from(need));
            let prefix = prefix.of(len).ok_or(EncapError::TooLong { len: framed })?;
            if let Some(start) = frame.first_chunk_mut() {
                *start = prefix;
            }
        }
        Ok(frame)
    }

    /// The frame that begins with `head`; `None` if `head` is too short to contain its length.
    #[inline]
    fn read_head(self, head: &[u8]) -> Option<Result<Frame, StreamError>> {
        let Some(prefix) = self.length_prefix() else {
            return read_bare_head(head);
        };
        let packet_len = prefix.packet_len(*head.first_chunk()?);
        Some(match (self, packet_len) {
            (_, None) | (Self::Exclusive, Some(0)) => Err(StreamError::BadFrameLength),
            (_, Some(packet_len)) => Ok(Frame {
                len: usize::from(packet_len).saturating_add(LengthPrefix::LEN),
                is_empty: packet_len == 0,
            }),
        })
    }
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    /// The length of prefix and packet, in bytes.
    len: usize,
    is_empty: bool,
}

#[inline]
fn read_bare_head(head: &[u8]) -> Option<Result<Frame, StreamError>> {
    let &[version_ihl, _, high, low] = head.first_chunk()?;
    let total_len = u16::from_be_bytes([high, low]);
    let header_len = u16::from(version_ihl & 0x0f) << 2;
    Some(
        if version_ihl >> 4 != 4 || header_len < 20 || total_len < header_len {
            Err(StreamError::BadFrameLength)
        } else {
            Ok(Frame {
                len: usize::from(total_len),
                is_empty: false,
            })
        },
    )
}

/// A frame that the [`Decoder`] took from the stream.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Event<'a> {
    /// A valid packet.
    Packet(&'a [u8]),
    /// A frame without a packet: a null packet (RFC 4571 §2), an empty message or a keepalive (RFC 9329
    /// §3, §6.6).
    Skipped,
    /// A frame with an invalid packet. The packet is dropped, and the stream continues.
    Dropped(FrameError),
}

/// Why the packet of a frame is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum FrameError {
    /// It is not a valid IPv4 packet.
    Inner(ParseError),
    /// Its total length does not match the frame.
    InnerLengthMismatch,
}

impl FrameError {
    /// The length of an array of counters: one more than the largest [`counter`](Self::counter).
    pub const COUNT: usize = ParseError::COUNT + 1;

    /// The stable number of the reason, below [`COUNT`](Self::COUNT).
    #[inline]
    #[must_use]
    pub const fn counter(self) -> usize {
        match self {
            Self::Inner(error) => error.index(),
            Self::InnerLengthMismatch => ParseError::COUNT,
        }
    }

    /// Every [`counter`](Self::counter) with its [`name`](Self::name), to export counters.
    #[inline]
    pub fn counters() -> impl Iterator<Item = (usize, &'static str)> {
        let own = Self::InnerLengthMismatch;
        let own = core::iter::once((own.counter(), own.name()));
        ParseError::NAMES.iter().copied().chain(own)
    }

    /// The name of the reason; for an invalid packet the name of its [`ParseError`].
    #[inline]
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inner(error) => error.name(),
            Self::InnerLengthMismatch => "InnerLengthMismatch",
        }
    }
}

impl fmt::Display for FrameError {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inner(error) => write!(f, "framed packet: {error}"),
            Self::InnerLengthMismatch => f.write_str("framed packet does not fill its frame; drop"),
        }
    }
}

impl core::error::Error for FrameError {}

numbered! {
    /// Why the start of the next packet cannot be found. Close the connection (RFC 9329 §3, §4).
    pub enum StreamError (3) {
        /// The length is invalid, or a packet without prefix has no valid IPv4 header.
        BadFrameLength = 0, "impossible frame length; close the connection";
        /// The frame is longer than the decoder's buffer or limit.
        FrameTooLong = 1, "frame exceeds the limit; close the connection";
        /// The stream does not begin with [`StreamFraming::MAGIC`].
        BadMagic = 2, "stream does not begin with its magic; close the connection";
    }
}

/// Decodes packets from a byte stream that is received in pieces of any length.
///
/// The decoder buffers at most one frame, and only if the frame is received in several pieces. Complete
/// frames are returned as slices of the input. The events do not depend on how the stream is split.
#[derive(Debug)]
pub struct Decoder<'b> {
    framing: StreamFraming,
    buffer: &'b mut [u8],
    held: usize,
    max_packet_len: usize,
    magic_seen: usize,
    failed: Option<StreamError>,
}

impl<'b> Decoder<'b> {
    /// A decoder at the start of a stream.
    ///
    /// The length of `buffer` limits the length of a frame with its prefix. A buffer of 65537 bytes holds
    /// every frame.
    #[inline]
    #[must_use]
    pub const fn new(framing: StreamFraming, buffer: &'b mut [u8]) -> Self {
        Self {
            framing,
            buffer,
            held: 0,
            max_packet_len: usize::MAX,
            magic_seen: 0,
            failed: None,
        }
    }

    /// Limits packets to `max_packet_len` bytes, for example the MTU of the tunnel. A longer one is
    /// [`StreamError::FrameTooLong`].
    #[inline]
    #[must_use]
    pub const fn with_max_packet_len(mut self, max_packet_len: usize) -> Self {
        self.max_packet_len = max_packet_len;
        self
    }

    /// Expects no magic bytes. Use this on the side that originated the connection: the other side sends
    /// none (RFC 9329 §4).
    #[inline]
    #[must_use]
    pub const fn without_preamble(mut self) -> Self {
        self.magic_seen = self.framing.preamble().len();
        self
    }

    /// Removes bytes from the front of `input` up to the end of one frame, and returns the frame.
    ///
    /// Returns `None` when `input` is used up and the frame is incomplete. Call it in a loop until then.
    ///
    /// # Errors
    /// [`StreamError`]: close the connection. Every later call returns the same error.
    #[inline]
    pub fn push<'e, 'i: 'e>(
        &'e mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Event<'e>>, StreamError> {
        match self.whole_packet(input) {
            Some(packet) => Ok(Some(Event::Packet(packet))),
            None => self.push_any(input),
        }
    }

    /// The packet at the front of `input`, if no bytes are buffered, the frame is complete, and the packet
    /// is valid and has no options. Otherwise removes nothing.
    #[inline(always)]
    fn whole_packet<'i>(&self, input: &mut &'i [u8]) -> Option<&'i [u8]> {
        let is_between = self.held == 0 && self.failed.is_none();
        if !is_between || self.magic_seen < self.framing.preamble().len() {
            return None;
        }
        let frame = self.bounded(self.framing.read_head(input)?.ok()?).ok()?;
        let (bytes, rest) = input.split_at_checked(frame.len)?;
        let packet = bytes.get(self.framing.prefix_len()..)?;
        if Ipv4::checked(packet, Options::None).ok()?.slack() > 0 {
            return None;
        }
        *input = rest;
        Some(packet)
    }

    #[inline(never)]
    fn push_any<'e, 'i: 'e>(
        &'e mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Event<'e>>, StreamError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.take_magic(input)
            .inspect_err(|&error| self.failed = Some(error))?;
        let taken = self
            .take_frame(input)
            .inspect_err(|&error| self.failed = Some(error))?;
        let Some((frame, from_input)) = taken else {
            return Ok(None);
        };
        let bytes = match from_input {
            Some(bytes) => bytes,
            None => self.buffer.get(..frame.len).unwrap_or_default(),
        };
        match self.framing.event(frame, bytes) {
            Err(error) => {
                self.failed = Some(error);
                Err(error)
            }
            Ok(event) => Ok(Some(event)),
        }
    }

    /// The number of bytes that are missing from the current frame, or from its length field if that is
    /// incomplete; 0 between frames.
    #[inline]
    #[must_use]
    pub fn missing(&self) -> usize {
        if self.held == 0 {
            return 0;
        }
        let held = self.buffer.get(..self.held).unwrap_or_default();
        let need = match self.framing.read_head(held) {
            Some(Ok(frame)) => frame.len,
            _ => self.framing.head_len(),
        };
        need.saturating_sub(self.held)
    }

    fn take_magic(&mut self, input: &mut &[u8]) -> Result<(), StreamError> {
        let magic = self.framing.preamble();
        while let Some(&expected) = magic.get(self.magic_seen) {
            let Some((&byte, rest)) = input.split_first() else {
                return Ok(());
            };
            if byte != expected {
                return Err(StreamError::BadMagic);
            }
            self.magic_seen = self.magic_seen.saturating_add(1);
            *input = rest;
        }
        Ok(())
    }

    /// Removes one frame from `input`. A frame that is incomplete there goes through the buffer.
    #[allow(
        clippy::type_complexity,
        reason = "a frame, and its bytes if they are not in the buffer"
    )]
    fn take_frame<'a>(
        &mut self,
        input: &mut &'a [u8],
    ) -> Result<Option<(Frame, Option<&'a [u8]>)>, StreamError> {
        let is_too_small = self.buffer.len() < self.framing.head_len();
        if is_too_small && !input.is_empty() {
            // Checked before a length is read, so that the error does not depend on the split.
            return Err(StreamError::FrameTooLong);
        }
        if self.held == 0 {
            if let Some(frame) = self.framing.read_head(input) {
                let frame = self.bounded(frame?)?;
                if let Some((bytes, rest)) = input.split_at_checked(frame.len) {
                    *input = rest;
                    return Ok(Some((frame, Some(bytes))));
                }
            }
        }
        self.hold(input, self.framing.head_len());
        let held = self.buffer.get(..self.held).unwrap_or_default();
        let Some(frame) = self.framing.read_head(held) else {
            return Ok(None);
        };
        let frame = self.bounded(frame?)?;
        self.hold(input, frame.len);
        if self.held < frame.len {
            return Ok(None);
        }
        self.held = 0;
        Ok(Some((frame, None)))
    }

    #[inline]
    const fn bounded(&self, frame: Frame) -> Result<Frame, StreamError> {
        let packet_len = frame.len.saturating_sub(self.framing.prefix_len());
        if frame.len > self.buffer.len() || packet_len > self.max_packet_len {
            return Err(StreamError::FrameTooLong);
        }
        Ok(frame)
    }

    /// Moves bytes from `input` to the buffer until it holds `len` bytes.
    fn hold(&mut self, input: &mut &[u8], len: usize) {
        let free = self.buffer.get_mut(self.held..len).unwrap_or_default();
        let count = free.len().min(input.len());
        if let (Some(free), Some((bytes, rest))) =
            (free.get_mut(..count), input.split_at_checked(count))
        {
            copy(bytes, free);
            self.held = self.held.saturating_add(count);
            *input = rest;
        }
    }
}

impl StreamFraming {
    /// How many bytes at the start of a frame contain its length.
    const fn head_len(self) -> usize {
        match self {
            Self::Bare => 4,
            _ => 2,
        }
    }

    fn event(self, frame: Frame, bytes: &[u8]) -> Result<Event<'_>, StreamError> {
        let packet = bytes.get(self.prefix_len()..).unwrap_or_default();
        let is_keepalive = self == Self::Inclusive && packet == [0xff];
        if frame.is_empty || is_keepalive {
            return Ok(Event::Skipped);
        }
        match Ipv4::parse(packet) {
            Ok(parsed) if parsed.slack() == 0 => Ok(Event::Packet(packet)),
            Ok(_) => Ok(Event::Dropped(FrameError::InnerLengthMismatch)),
            // Without a prefix only a valid header determines the start of the next packet.
            Err(_) if self == Self::Bare => Err(StreamError::BadFrameLength),
            Err(error) => Ok(Event::Dropped(FrameError::Inner(error))),
        }
    }
}
