use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::reported_len;
use crate::checksum::{Delta, Sum};
use crate::error::ParseError;

/// The first 4 bytes of an `ICMPv4` message, the same for all types (RFC 792).
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
/// Any 4 bytes are a valid value, and getters never fail. Setters update the checksum (RFC 1624). It
/// covers the whole message, without a pseudo-header.
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
    /// The length of this part of the header, in bytes.
    pub const LEN: usize = 4;

    super::as_bytes!();

    /// Splits `bytes` into the first 4 bytes of the header and the bytes that follow.
    ///
    /// # Errors
    /// [`ParseError::Truncated`] if there are fewer than 4 bytes.
    #[inline]
    pub fn split(bytes: &[u8]) -> Result<(&Self, &[u8]), ParseError> {
        Self::ref_from_prefix(bytes).map_err(|_| too_short(4, bytes.len()))
    }

    /// [`split`](Self::split) with mutable results.
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

    /// The checksum field.
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

    /// Updates the checksum for `delta`, a change of other bytes of the message.
    #[inline]
    pub fn patch(&mut self, delta: Delta) {
        self.checksum.set(delta.apply(self.checksum()));
    }

    /// Computes and sets the checksum over the header and `rest`, all bytes that follow it.
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

/// An `ICMPv4` message with a valid checksum (RFC 792).
#[derive(Clone, Copy, Debug)]
pub struct Icmpv4<'a> {
    header: &'a Icmpv4Header,
    rest_of_header: [u8; 4],
    payload: &'a [u8],
}

impl<'a> Icmpv4<'a> {
    /// Parses the message that fills an IPv4 payload, and verifies the checksum.
    ///
    /// # Errors
    /// [`ParseError::Truncated`] if there are fewer than 8 bytes, [`ParseError::BadChecksum`].
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

    /// Bytes 4 to 7. Their meaning depends on the type: identifier and sequence number, or the next-hop
    /// MTU, for example.
    #[inline]
    #[must_use]
    pub const fn rest_of_header(self) -> [u8; 4] {
        self.rest_of_header
    }

    /// The bytes that follow the 8-byte header. In an ICMP error this is the quoted packet, for
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
