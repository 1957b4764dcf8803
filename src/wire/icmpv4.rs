use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::reported_len;
use crate::checksum::{Delta, Sum};
use crate::error::ParseError;

/// The first 4 bytes that all `ICMPv4` messages share (RFC 792).
///
/// ```text
///  0       7 8     15 16            31
/// +---------+--------+---------------+
/// |  type   |  code  |   checksum    |  bytes 0..4
/// +---------+--------+---------------+
/// |         rest of header           |  bytes 4..8, by type
/// +----------------------------------+
/// ```
///
/// Any 4 bytes are a value: getters never fail. Setters patch the checksum, which covers the whole
/// message and knows no pseudo-header.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct Icmpv4Header {
    message_type: u8,
    code: u8,
    checksum: U16,
}

impl Icmpv4Header {
    /// The length of the shared part, in bytes.
    pub const LEN: usize = 4;

    /// The header in these 4 bytes.
    #[inline]
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        zerocopy::transmute!(bytes)
    }

    /// The 4 bytes of the header.
    #[inline]
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        zerocopy::transmute_ref!(self)
    }

    /// Splits the header off the start of `bytes`.
    ///
    /// # Errors
    /// [`ParseError::Truncated`] below 4 bytes.
    #[inline]
    pub fn split(bytes: &[u8]) -> Result<(&Self, &[u8]), ParseError> {
        Self::ref_from_prefix(bytes).map_err(|_| too_short(4, bytes.len()))
    }

    /// [`split`](Self::split) for writing.
    ///
    /// # Errors
    /// As [`split`](Self::split).
    #[inline]
    pub fn split_mut(bytes: &mut [u8]) -> Result<(&mut Self, &mut [u8]), ParseError> {
        let len = bytes.len();
        Self::mut_from_prefix(bytes).map_err(|_| too_short(4, len))
    }

    /// The type of the message.
    #[inline]
    #[must_use]
    pub const fn message_type(&self) -> u8 {
        self.message_type
    }

    /// The code within the type.
    #[inline]
    #[must_use]
    pub const fn code(&self) -> u8 {
        self.code
    }

    /// The checksum as it stands.
    #[inline]
    #[must_use]
    pub const fn checksum(&self) -> u16 {
        self.checksum.get()
    }

    /// Sets type and code.
    #[inline]
    pub fn set_type_and_code(&mut self, message_type: u8, code: u8) {
        self.patch(Delta::new().replace_u16(
            u16::from_be_bytes([self.message_type, self.code]),
            u16::from_be_bytes([message_type, code]),
        ));
        self.message_type = message_type;
        self.code = code;
    }

    /// Makes the checksum follow `delta`, a change of the message's other bytes.
    #[inline]
    pub fn patch(&mut self, delta: Delta) {
        self.checksum.set(delta.apply(self.checksum()));
    }

    /// Computes the checksum over the header and `rest`, all that follows it.
    #[inline]
    pub fn fill_checksum(&mut self, rest: &[u8]) {
        self.checksum = U16::ZERO;
        self.checksum.set(
            Sum::new()
                .add_bytes(self.as_bytes())
                .add_bytes(rest)
                .checksum(),
        );
    }
}

/// An `ICMPv4` message whose checksum verifies.
#[derive(Clone, Copy, Debug)]
pub struct Icmpv4<'a> {
    header: &'a Icmpv4Header,
    rest_of_header: [u8; 4],
    payload: &'a [u8],
}

impl<'a> Icmpv4<'a> {
    /// The message that fills an IPv4 payload.
    ///
    /// # Errors
    /// [`ParseError::Truncated`] below 8 bytes, [`ParseError::BadChecksum`].
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let (header, rest) = Icmpv4Header::split(bytes)?;
        let (rest_of_header, payload) = rest
            .split_first_chunk::<4>()
            .ok_or(too_short(8, bytes.len()))?;
        if !Sum::new().add_bytes(bytes).is_valid() {
            return Err(ParseError::BadChecksum);
        }
        Ok(Self {
            header,
            rest_of_header: *rest_of_header,
            payload,
        })
    }

    /// Type, code and checksum.
    #[inline]
    #[must_use]
    pub const fn header(self) -> &'a Icmpv4Header {
        self.header
    }

    /// Bytes 4 to 7, whose meaning the type gives: identifier and sequence number, or the next-hop
    /// MTU.
    #[inline]
    #[must_use]
    pub const fn rest_of_header(self) -> [u8; 4] {
        self.rest_of_header
    }

    /// What follows the 8-byte header; in an error, the quoted packet for
    /// [`Ipv4::parse_quoted`](super::Ipv4::parse_quoted).
    #[inline]
    #[must_use]
    pub const fn payload(self) -> &'a [u8] {
        self.payload
    }
}

fn too_short(need: u16, len: usize) -> ParseError {
    ParseError::Truncated {
        need,
        have: reported_len(len),
    }
}
