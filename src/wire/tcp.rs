use core::net::Ipv4Addr;

use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{HeaderOptions, IpProtocol, TcpFlags, reported_len};
use crate::checksum::{Delta, Sum};
use crate::error::{EncapError, ParseError};

/// The fixed 20 bytes of a TCP header (RFC 9293 §3.1).
///
/// ```text
///  0               8              16              24            31
/// +-------------------------------+-------------------------------+
/// |          source port          |       destination port        |  bytes 0..4
/// +-------------------------------+-------------------------------+
/// |                        sequence number                        |  bytes 4..8
/// +---------------------------------------------------------------+
/// |                     acknowledgment number                     |  bytes 8..12
/// +-------+-----+-----------------+-------------------------------+
/// |offset | rsv |      flags      |            window             |  bytes 12..16
/// +-------+-----+-----------------+-------------------------------+
/// |           checksum            |        urgent pointer         |  bytes 16..20
/// +-------------------------------+-------------------------------+
/// |                 options, data offset * 4 - 20 bytes           |
/// ```
///
/// Any 20 bytes are a valid value, and getters never fail. Setters update the checksum (RFC 1624). Unlike
/// in UDP, a checksum of 0 has no special meaning.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct TcpHeader {
    source_port: U16,
    destination_port: U16,
    sequence: U32,
    acknowledgment: U32,
    offset_flags: U16,
    window: U16,
    checksum: U16,
    urgent_pointer: U16,
}

impl TcpHeader {
    /// The length of the fixed part, in bytes.
    pub const LEN: usize = 20;
    /// The length of the longest header, with 40 bytes of options.
    pub const MAX_LEN: usize = 60;

    /// A header with checksum and urgent pointer 0.
    ///
    /// `words` is the data offset in 4-byte words, from 5 to 15. Only its low four bits are used.
    #[inline]
    #[must_use]
    pub const fn new(
        (source_port, destination_port): (u16, u16),
        (sequence, acknowledgment): (u32, u32),
        words: u8,
        flags: TcpFlags,
        window: u16,
    ) -> Self {
        let offset = u16::from_be_bytes([words << 4, 0]);
        Self {
            source_port: U16::new(source_port),
            destination_port: U16::new(destination_port),
            sequence: U32::new(sequence),
            acknowledgment: U32::new(acknowledgment),
            offset_flags: U16::new(offset | (flags.bits() & TcpFlags::all().bits())),
            window: U16::new(window),
            checksum: U16::ZERO,
            urgent_pointer: U16::ZERO,
        }
    }

    super::as_bytes!();

    /// Splits `bytes` into the fixed header, the options and the bytes that follow.
    ///
    /// # Errors
    /// [`ParseError::Truncated`] or [`ParseError::BadDataOffset`].
    #[inline]
    pub fn split(bytes: &[u8]) -> Result<(&Self, &[u8], &[u8]), ParseError> {
        let (header, behind) =
            Self::ref_from_prefix(bytes).map_err(|_| too_short(20, bytes.len()))?;
        let options_len = header.options_len()?;
        let (options, rest) = behind
            .split_at_checked(options_len)
            .ok_or_else(|| too_short(header.header_len(), bytes.len()))?;
        Ok((header, options, rest))
    }

    /// [`split`](Self::split) with mutable results.
    ///
    /// # Errors
    /// As [`split`](Self::split).
    #[inline]
    pub fn split_mut(bytes: &mut [u8]) -> Result<(&mut Self, &mut [u8], &mut [u8]), ParseError> {
        let len = bytes.len();
        let (header, behind) = Self::mut_from_prefix(bytes).map_err(|_| too_short(20, len))?;
        let options_len = header.options_len()?;
        let short = too_short(header.header_len(), len);
        let (options, rest) = behind.split_at_mut_checked(options_len).ok_or(short)?;
        Ok((header, options, rest))
    }

    fn options_len(&self) -> Result<usize, ParseError> {
        let words = self.header_len() >> 2;
        match words.checked_sub(5) {
            Some(option_words) => Ok(usize::from(option_words) << 2),
            None => Err(ParseError::BadDataOffset { words }),
        }
    }

    /// The source port.
    #[inline]
    #[must_use]
    pub const fn source_port(&self) -> u16 {
        self.source_port.get()
    }

    /// The destination port.
    #[inline]
    #[must_use]
    pub const fn destination_port(&self) -> u16 {
        self.destination_port.get()
    }

    /// The sequence number.
    #[inline]
    #[must_use]
    pub const fn sequence(&self) -> u32 {
        self.sequence.get()
    }

    /// The acknowledgment number: the next sequence number expected from the other side.
    #[inline]
    #[must_use]
    pub const fn acknowledgment(&self) -> u32 {
        self.acknowledgment.get()
    }

    /// The length of the header with its options by the data offset, in bytes: 0 to 60, and at least 20 if
    /// the header comes from [`split`](Self::split).
    #[inline]
    #[must_use]
    pub const fn header_len(&self) -> u8 {
        let [high, _] = self.offset_flags.to_bytes();
        (high >> 4) << 2
    }

    /// The flags.
    #[inline]
    #[must_use]
    pub const fn flags(&self) -> TcpFlags {
        TcpFlags::from_bits_truncate(self.offset_flags.get())
    }

    /// The window field, without scaling.
    #[inline]
    #[must_use]
    pub const fn window(&self) -> u16 {
        self.window.get()
    }

    /// The checksum field.
    #[inline]
    #[must_use]
    pub const fn checksum(&self) -> u16 {
        self.checksum.get()
    }

    /// The urgent pointer.
    #[inline]
    #[must_use]
    pub const fn urgent_pointer(&self) -> u16 {
        self.urgent_pointer.get()
    }

    /// Sets the source port.
    #[inline]
    pub fn set_source_port(&mut self, port: u16) {
        self.patch(Delta::new().replace_u16(self.source_port(), port));
        self.source_port.set(port);
    }

    /// Sets the destination port.
    #[inline]
    pub fn set_destination_port(&mut self, port: u16) {
        self.patch(Delta::new().replace_u16(self.destination_port(), port));
        self.destination_port.set(port);
    }

    /// Sets the sequence number.
    #[inline]
    pub fn set_sequence(&mut self, sequence: u32) {
        self.patch(Delta::new().replace_u32(self.sequence(), sequence));
        self.sequence.set(sequence);
    }

    /// Sets the acknowledgment number.
    #[inline]
    pub fn set_acknowledgment(&mut self, acknowledgment: u32) {
        self.patch(Delta::new().replace_u32(self.acknowledgment(), acknowledgment));
        self.acknowledgment.set(acknowledgment);
    }

    /// Sets the flags. Data offset and reserved bits do not change.
    #[inline]
    pub fn set_flags(&mut self, flags: TcpFlags) {
        let old = self.offset_flags.get();
        let new = (old & !TcpFlags::all().bits()) | (flags & TcpFlags::all()).bits();
        self.patch(Delta::new().replace_u16(old, new));
        self.offset_flags.set(new);
    }

    /// Sets the window field.
    #[inline]
    pub fn set_window(&mut self, window: u16) {
        self.patch(Delta::new().replace_u16(self.window(), window));
        self.window.set(window);
    }

    /// Sets the urgent pointer.
    #[inline]
    pub fn set_urgent_pointer(&mut self, urgent_pointer: u16) {
        self.patch(Delta::new().replace_u16(self.urgent_pointer(), urgent_pointer));
        self.urgent_pointer.set(urgent_pointer);
    }

    /// Updates the checksum for a change of the source or destination address in the IPv4 header.
    #[inline]
    pub fn patch_address(&mut self, old: Ipv4Addr, new: Ipv4Addr) {
        self.patch(Delta::new().replace_u32(old.to_bits(), new.to_bits()));
    }

    /// Updates the checksum for `delta`.
    #[inline]
    pub fn patch(&mut self, delta: Delta) {
        self.checksum.set(delta.apply(self.checksum()));
    }

    /// Sets the checksum field to this value.
    #[inline]
    pub const fn set_raw_checksum(&mut self, checksum: u16) {
        self.checksum = U16::new(checksum);
    }

    /// Computes and sets the checksum over pseudo-header, header, `options` and `payload`.
    ///
    /// # Errors
    /// [`EncapError::TooLong`] if header, options and payload exceed 65535 bytes. The header is unchanged
    /// then.
    #[inline]
    pub fn fill_checksum(
        &mut self,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        options: &[u8],
        payload: &[u8],
    ) -> Result<(), EncapError> {
        let mut blank = *self;
        blank.checksum = U16::ZERO;
        let sum = blank.sum(source, destination, options, payload)?;
        self.checksum.set(sum.checksum());
        Ok(())
    }

    fn sum(
        &self,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        options: &[u8],
        payload: &[u8],
    ) -> Result<Sum, EncapError> {
        let len = Self::LEN
            .saturating_add(options.len())
            .saturating_add(payload.len());
        let len = u16::try_from(len).map_err(|_| EncapError::TooLong {
            len: u32::try_from(len).unwrap_or(u32::MAX),
        })?;
        Ok(
            Sum::pseudo_header(source, destination, IpProtocol::TCP.0, len)
                .add_header(zerocopy::transmute_ref!(self))
                .add_bytes(options)
                .add_bytes(payload),
        )
    }
}

/// A TCP segment: header, options and payload (RFC 9293 §3.1).
#[derive(Clone, Copy, Debug)]
pub struct Tcp<'a> {
    header: &'a TcpHeader,
    options: &'a [u8],
    payload: &'a [u8],
}

impl<'a> Tcp<'a> {
    /// Parses the segment that fills an IPv4 payload. Checks the data offset, but not the checksum: for
    /// that [`verifies`](Self::verifies) needs the IPv4 addresses.
    ///
    /// # Errors
    /// As [`TcpHeader::split`].
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let (header, options, payload) = TcpHeader::split(bytes)?;
        Ok(Self {
            header,
            options,
            payload,
        })
    }

    /// The fixed header.
    #[inline]
    #[must_use]
    pub const fn header(self) -> &'a TcpHeader {
        self.header
    }

    /// The bytes of the options, 0 to 40.
    #[inline]
    #[must_use]
    pub const fn option_bytes(self) -> &'a [u8] {
        self.options
    }

    /// An iterator over the options.
    #[inline]
    pub const fn options(self) -> HeaderOptions<'a> {
        HeaderOptions::new(self.options)
    }

    /// The payload.
    #[inline]
    #[must_use]
    pub const fn payload(self) -> &'a [u8] {
        self.payload
    }

    /// Whether the checksum is right, with the addresses of the IPv4 header (RFC 9293 §3.1).
    #[inline]
    #[must_use]
    pub fn verifies(self, source: Ipv4Addr, destination: Ipv4Addr) -> bool {
        self.header
            .sum(source, destination, self.options, self.payload)
            .is_ok_and(Sum::is_valid)
    }
}

fn too_short(need: u8, len: usize) -> ParseError {
    ParseError::Truncated {
        need: u16::from(need),
        have: reported_len(len),
    }
}
