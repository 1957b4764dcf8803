use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{IpProtocol, reported_len};
use crate::error::ParseError;

/// The variant of a GUE payload: the top two bits of the first byte (draft-ietf-intarea-gue-09 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_enums, reason = "two bits have four values")]
pub enum GueVariant {
    /// 00: a GUE header.
    Header,
    /// 01: an IP packet without GUE header. Its version field is 4 to 7.
    DirectIp {
        /// The version field of that packet.
        version: u8,
    },
    /// 10 or 11: undefined.
    Unknown,
}

impl GueVariant {
    /// The variant of a UDP payload. `None` if it is empty.
    #[inline]
    #[must_use]
    pub fn of(payload: &[u8]) -> Option<Self> {
        let first = payload.first()?;
        Some(match first >> 6 {
            0 => Self::Header,
            1 => Self::DirectIp {
                version: first >> 4,
            },
            _ => Self::Unknown,
        })
    }
}

/// The first 4 bytes of a GUE header, variant 0 (draft-ietf-intarea-gue-09 §3.1).
///
/// ```text
///  0   2 3       8              16                             31
/// +---+-+---------+---------------+-------------------------------+
/// | 0 |C|  Hlen   |   protocol    |             flags             |  bytes 0..4
/// +---+-+---------+---------------+-------------------------------+
/// |        extension fields and private data, Hlen * 4 bytes      |
/// +---------------------------------------------------------------+
/// ```
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct GueHeader {
    variant_hlen: u8,
    protocol: u8,
    flags: U16,
}

impl GueHeader {
    /// The most 4-byte words that can follow the fixed part.
    pub const MAX_WORDS: usize = 31;

    /// The length of the fixed part, in bytes.
    pub const LEN: usize = 4;
    /// The UDP port of GUE (IANA).
    pub const PORT: u16 = 6080;

    /// A data header for `protocol` without flags. `extension_words` is the number of 4-byte words that
    /// follow, from 0 to 31. Only its low five bits are used.
    #[inline]
    #[must_use]
    pub const fn new(protocol: IpProtocol, extension_words: u8) -> Self {
        Self {
            variant_hlen: extension_words & 0x1f,
            protocol: protocol.0,
            flags: U16::ZERO,
        }
    }

    super::as_bytes!();

    /// Splits a UDP payload into the header, the extension bytes and the bytes that follow.
    ///
    /// # Errors
    /// [`ParseError::Truncated`].
    #[inline]
    pub fn split(bytes: &[u8]) -> Result<(&Self, &[u8], &[u8]), ParseError> {
        let have = reported_len(bytes.len());
        let (header, behind) =
            Self::ref_from_prefix(bytes).map_err(|_| ParseError::Truncated { need: 4, have })?;
        let extension_len = header.extension_len();
        let need = u16::from(extension_len).saturating_add(4);
        let (extension, rest) = behind
            .split_at_checked(usize::from(extension_len))
            .ok_or(ParseError::Truncated { need, have })?;
        Ok((header, extension, rest))
    }

    /// Whether this is a control message. Then the protocol field is a control type.
    #[inline]
    #[must_use]
    pub const fn is_control(self) -> bool {
        self.variant_hlen & 0x20 != 0
    }

    /// The length of the extension bytes, in bytes: 0 to 124.
    #[inline]
    #[must_use]
    pub const fn extension_len(self) -> u8 {
        (self.variant_hlen & 0x1f) << 2
    }

    /// The protocol of the payload.
    #[inline]
    #[must_use]
    pub const fn protocol(self) -> IpProtocol {
        IpProtocol(self.protocol)
    }

    /// The flags. A receiver must drop packets with flags that it does not support
    /// (draft-ietf-intarea-gue-09 §3.3).
    #[inline]
    #[must_use]
    pub const fn flags(self) -> u16 {
        self.flags.get()
    }
}
