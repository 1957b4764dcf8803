//! Packets on a byte stream: length prefixes over TCP, without a socket in sight.
//!
//! ```text
//!  exclusive   [length 2][packet        ]…            OpenVPN, RFC 4571: the packet's length
//!  inclusive   "IKETCP" [length 2][packet        ]…   RFC 9329: the prefix counts itself
//!  bare        [packet        ][packet        ]…      each packet's own total length
//! ```
//!
//! Bytes come in any split; packets go out as slices of the decoder's buffer or of the caller's. When
//! a length is impossible the framing is lost: the connection must be closed, there is no way back
//! (S-13, S-17).
//!
//! ```
//! use ipencap::stream::{Decoder, Event, StreamFraming};
//! # fn main() -> Result<(), Box<dyn core::error::Error>> {
//! # let packet = *b"\x45\x00\x00\x24\x12\x34\x40\x00\x40\x11\x14\x85\x0a\x01\x00\x05\x0a\x02\x00\x09\
//! #                 \x9c\x40\x00\x35\x00\x10\xac\xe6ipencap!";
//! // Sender: the prefix goes into two bytes of headroom.
//! let mut frame = [0; 38];
//! frame[2..].copy_from_slice(&packet);
//! let framing = StreamFraming::Exclusive;
//! framing.frame(&mut frame)?;
//!
//! // Receiver: read() may return any piece.
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
//! # Who may send what
//!
//! The framing knows packets, not peers: [`Event::Packet`] is a valid IPv4 packet from whoever is at
//! the other end, with any inner addresses. Judge it by the same pipeline as every other tunnel
//! before it goes anywhere:
//!
//! ```
//! use core::net::Ipv4Addr;
//! use ipencap::decap::{Receiver, OuterMeta};
//! use ipencap::encap::TcpCarrier;
//! use ipencap::decap::{PointToPoint, Prefix};
//! use ipencap::wire::Ecn;
//! # let packet = *b"\x45\x00\x00\x24\x12\x34\x40\x00\x40\x11\x14\x85\x0a\x01\x00\x05\x0a\x02\x00\x09\
//! #                 \x9c\x40\x00\x35\x00\x10\xac\xe6ipencap!";
//! let (left, right) = (Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2));
//! let inner_sources = [Prefix::new(Ipv4Addr::new(10, 1, 0, 0), 16).unwrap()];
//! let receiver = Receiver::tcp(
//!     TcpCarrier::new(443), PointToPoint::new(right, left, &inner_sources));
//!
//! // Of the connection; its ECN field is TCP's own affair.
//! let connection = OuterMeta {
//!     source: left, source_port: 40001, destination: right, destination_port: 443, ecn: Ecn::NotEct,
//! };
//! assert!(receiver.inspect_payload(&connection, &packet).is_ok());
//! ```
//!
//! TCP inside TCP melts down when the path loses packets: both layers retransmit (RFC 9329 §9.1). It
//! is still the only way where nothing but TCP passes.

use core::fmt;

use crate::error::{EncapError, ParseError, numbered};
use crate::wire::{Ipv4, LengthPrefix, Options, copy};

/// How packets are told apart on a stream (S-10 to S-16).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum StreamFraming {
    /// A 16-bit length of the packet; 0 is an error (OpenVPN).
    Exclusive,
    /// The same, where 0 is a null packet and skipped (RFC 4571 §2).
    Rfc4571,
    /// A 16-bit length of packet and prefix, behind the magic `IKETCP` at the start; empty messages
    /// and keepalives are skipped (RFC 9329 §3, §4, §6.6).
    Inclusive,
    /// No prefix: each packet's own total length.
    Bare,
}

impl StreamFraming {
    /// What the originator of a connection sends once, first (S-21; RFC 9329 §4).
    pub const MAGIC: [u8; 6] = *b"IKETCP";

    /// The bytes in front of each packet.
    #[inline]
    #[must_use]
    pub const fn prefix_len(self) -> usize {
        match self.length_prefix() {
            Some(_) => LengthPrefix::LEN,
            None => 0,
        }
    }

    /// What the originator sends before the first frame: the magic, or nothing.
    #[inline]
    #[must_use]
    pub const fn preamble(self) -> &'static [u8] {
        match self {
            Self::Inclusive => &Self::MAGIC,
            Self::Exclusive | Self::Rfc4571 | Self::Bare => &[],
        }
    }

    /// The prefix in front of each packet, if there is one.
    #[inline]
    #[must_use]
    pub const fn length_prefix(self) -> Option<LengthPrefix> {
        match self {
            Self::Exclusive | Self::Rfc4571 => Some(LengthPrefix::Exclusive),
            Self::Inclusive => Some(LengthPrefix::Inclusive),
            Self::Bare => None,
        }
    }

    /// Frames a packet in place: `frame` is [`prefix_len`](Self::prefix_len) free bytes and the
    /// packet, which must be valid and fill the rest (S-20, S-22). Returns the frame.
    ///
    /// # Errors
    /// [`EncapError`], and `frame` is unchanged: the packet is invalid, longer or shorter than its
    /// total length, or too long for the prefix.
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

    /// The length of the frame that begins with `head`, and what it is; `None` until the head is
    /// whole.
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
    /// With its prefix, in bytes.
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

/// What the decoder found on the stream.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Event<'a> {
    /// A valid packet.
    Packet(&'a [u8]),
    /// A frame without a packet: an empty message, a null packet or a keepalive (S-13, S-15, S-16).
    Skipped,
    /// A frame whose packet is broken: it is dropped, the stream goes on (S-20).
    Dropped(FrameError),
}

/// Why one frame's packet is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum FrameError {
    /// It is no valid IPv4 packet.
    Inner(ParseError),
    /// Its total length is not the frame's (S-20).
    InnerLengthMismatch,
}

impl FrameError {
    /// One more than the largest [`counter`](Self::counter): the length of an array of counters.
    pub const COUNT: usize = ParseError::COUNT + 1;

    /// The stable number of the reason, below [`COUNT`](Self::COUNT): [`ParseError`]'s, and one more.
    #[inline]
    #[must_use]
    pub const fn counter(self) -> usize {
        match self {
            Self::Inner(error) => error.index(),
            Self::InnerLengthMismatch => ParseError::COUNT,
        }
    }

    /// Every [`counter`](Self::counter) with its [`name`](Self::name).
    #[inline]
    pub fn counters() -> impl Iterator<Item = (usize, &'static str)> {
        let own = Self::InnerLengthMismatch;
        let own = core::iter::once((own.counter(), own.name()));
        ParseError::NAMES.iter().copied().chain(own)
    }

    /// The bare name of the reason.
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
    /// Why the framing is lost: close the connection (S-13, S-14, S-17, S-21).
    pub enum StreamError (3) {
        /// A length that no frame can have, or a bare packet without an IPv4 header.
        BadFrameLength = 0, "impossible frame length; close the connection";
        /// A frame longer than the decoder's buffer or limit.
        FrameTooLong = 1, "frame exceeds the limit; close the connection";
        /// The stream does not begin with the magic.
        BadMagic = 2, "stream does not begin with its magic; close the connection";
    }
}

/// Takes packets off a byte stream that arrives in any split.
///
/// It holds at most one frame, in a buffer of the caller's, and only frames that arrive in pieces:
/// the others are handed out of the caller's bytes. What it yields does not depend on the split.
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
    /// A decoder at the start of a stream. `buffer` bounds the frames, prefix included; a buffer of
    /// 65537 bytes takes any, and one of less than 4 bytes none.
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

    /// Bounds the packets to the tunnel's MTU, or a little more (S-17).
    #[inline]
    #[must_use]
    pub const fn with_max_packet_len(mut self, max_packet_len: usize) -> Self {
        self.max_packet_len = max_packet_len;
        self
    }

    /// For the side that has originated the connection: the other sends no magic (S-21).
    #[inline]
    #[must_use]
    pub const fn without_preamble(mut self) -> Self {
        self.magic_seen = self.framing.preamble().len();
        self
    }

    /// Takes bytes from the front of `input` up to the end of one frame and says what it was; `None`
    /// once all of them are taken and the frame is not whole. Call it until then.
    ///
    /// # Errors
    /// [`StreamError`]: the framing is lost. Every later call says the same.
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

    /// The packet at the front of `input`, if nothing is held, and frame and packet are whole and as
    /// most are; else nothing is taken.
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

    /// The bytes needed until the frame at hand, or its prefix, is whole (S-18); 0 between frames.
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

    /// Takes one frame: out of `input` if it is whole there, else through the buffer.
    #[allow(
        clippy::type_complexity,
        reason = "a frame, and its bytes if they are not held"
    )]
    fn take_frame<'a>(
        &mut self,
        input: &mut &'a [u8],
    ) -> Result<Option<(Frame, Option<&'a [u8]>)>, StreamError> {
        let is_beyond_hope = self.buffer.len() < self.framing.head_len();
        if is_beyond_hope && !input.is_empty() {
            // Before a head is read that other splits of the stream would not show.
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

    /// Copies from `input` until `len` bytes are held.
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
    /// The bytes that say a frame's length.
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
            // Without a prefix the broken header is what said where the next packet begins.
            Err(_) if self == Self::Bare => Err(StreamError::BadFrameLength),
            Err(error) => Ok(Event::Dropped(FrameError::Inner(error))),
        }
    }
}
