use core::net::Ipv4Addr;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{IpProtocol, Ipv4Header, copy, reported_len};
use crate::checksum::Sum;
use crate::error::ParseError;

/// The header of minimal encapsulation: 8 bytes, or 12 with the original source (RFC 2004 §3).
///
/// ```text
///  0               8              16                             31
/// +---------------+-+-------------+-------------------------------+
/// |   protocol    |S|  reserved   |        header checksum        |  bytes 0..4
/// +---------------+-+-------------+-------------------------------+
/// |                     original destination                      |  bytes 4..8
/// +---------------------------------------------------------------+
/// |                   original source (if S)                      |  bytes 8..12
/// +---------------------------------------------------------------+
/// ```
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct MinimalHeader {
    protocol: u8,
    flags: u8,
    checksum: [u8; 2],
    destination: [u8; 4],
    source: [u8; 4],
}

const SOURCE_PRESENT: u8 = 0x80;

impl MinimalHeader {
    /// The length without the original source, in bytes.
    pub const MIN_LEN: usize = 8;
    /// The length with the original source, in bytes.
    pub const MAX_LEN: usize = 12;

    /// A header with the fields of `original` that the tunnel replaces, and the right checksum. The source
    /// is omitted unless `keeps_source` is set.
    #[inline]
    #[must_use]
    pub fn new(original: &Ipv4Header, keeps_source: bool) -> Self {
        let source = if keeps_source {
            original.source().octets()
        } else {
            [0; 4]
        };
        let mut header = Self {
            protocol: original.protocol().0,
            flags: if keeps_source { SOURCE_PRESENT } else { 0 },
            checksum: [0; 2],
            destination: original.destination().octets(),
            source,
        };
        header.checksum = Sum::new()
            .add_bytes(header.as_bytes())
            .checksum()
            .to_be_bytes();
        header
    }

    /// The header with these bytes. The checksum is not verified. If the S bit is 0, the last 4 bytes are
    /// ignored.
    #[inline]
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::MAX_LEN]) -> Self {
        let mut header: Self = zerocopy::transmute!(bytes);
        if header.flags & SOURCE_PRESENT == 0 {
            header.source = [0; 4];
        }
        header
    }

    /// The 8 or 12 bytes of the header.
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        let bytes: &[u8; Self::MAX_LEN] = zerocopy::transmute_ref!(self);
        bytes.get(..self.wire_len()).unwrap_or(bytes)
    }

    /// Parses the header at the start of an IPv4 payload and returns it with the bytes that follow.
    /// Reserved bits are ignored.
    ///
    /// # Errors
    /// [`ParseError::Truncated`] or [`ParseError::BadChecksum`].
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<(Self, &[u8]), ParseError> {
        let have = reported_len(bytes.len());
        let (short, rest) = bytes
            .split_first_chunk::<{ Self::MIN_LEN }>()
            .ok_or(ParseError::Truncated { need: 8, have })?;
        let [_, flags, ..] = *short;
        let (source, rest) = if flags & SOURCE_PRESENT == 0 {
            ([0; 4], rest)
        } else {
            let cut = ParseError::Truncated { need: 12, have };
            let (source, rest) = rest.split_first_chunk::<4>().ok_or(cut)?;
            (*source, rest)
        };
        if !Sum::new().add_bytes(short).add_bytes(&source).is_valid() {
            return Err(ParseError::BadChecksum);
        }
        let [protocol, flags, ck_high, ck_low, a, b, c, d] = *short;
        let header = Self {
            protocol,
            flags,
            checksum: [ck_high, ck_low],
            destination: [a, b, c, d],
            source,
        };
        Ok((header, rest))
    }

    /// The length of the header, in bytes: 8 or 12.
    #[inline]
    #[must_use]
    pub const fn wire_len(&self) -> usize {
        if self.flags & SOURCE_PRESENT == 0 {
            Self::MIN_LEN
        } else {
            Self::MAX_LEN
        }
    }

    /// The original protocol.
    #[inline]
    #[must_use]
    pub const fn protocol(&self) -> IpProtocol {
        IpProtocol(self.protocol)
    }

    /// The original destination.
    #[inline]
    #[must_use]
    pub const fn destination(&self) -> Ipv4Addr {
        let [a, b, c, d] = self.destination;
        Ipv4Addr::new(a, b, c, d)
    }

    /// The original source. `None` if the S bit is 0: then it equals the outer source.
    #[inline]
    #[must_use]
    pub const fn source(&self) -> Option<Ipv4Addr> {
        if self.flags & SOURCE_PRESENT == 0 {
            return None;
        }
        let [a, b, c, d] = self.source;
        Some(Ipv4Addr::new(a, b, c, d))
    }

    /// Writes the 8 or 12 bytes of the header to the start of `bytes`. Does nothing if they do not fit.
    #[inline]
    pub fn write(&self, bytes: &mut [u8]) {
        if let Some(target) = bytes.get_mut(..self.wire_len()) {
            copy(self.as_bytes(), target);
        }
    }
}
