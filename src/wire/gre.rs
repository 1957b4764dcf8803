use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::reported_len;
use crate::checksum::Sum;
use crate::error::ParseError;

bitflags::bitflags! {
    /// The flags of a GRE header: the first 16 bits without the version (RFC 2784 §2.1, RFC 2890 §2, RFC
    /// 1701).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct GreFlags: u16 {
        /// A checksum is present.
        const CHECKSUM = 0x8000;
        /// A routing field is present (RFC 1701). A decapsulator must discard the packet (RFC 2784 §2.3).
        const ROUTING = 0x4000;
        /// A key is present.
        const KEY = 0x2000;
        /// A sequence number is present.
        const SEQUENCE = 0x1000;
        /// Strict source route (RFC 1701). A decapsulator must discard the packet (RFC 2784 §2.3).
        const STRICT_ROUTE = 0x0800;
        /// The high bit of recursion control (RFC 1701). A decapsulator must discard the packet (RFC 2784
        /// §2.3).
        const RECURSION = 0x0400;
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for GreFlags {
    #[inline]
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{=u16:x}", self.bits());
    }
}

/// The first 4 bytes of a GRE header (RFC 2784 §2.1, RFC 2890 §2, RFC 1701).
///
/// ```text
///  0               8              16                           31
/// +-+-+-+-+---------------+------+-------------------------------+
/// |C|R|K|S|   reserved    | ver  |         protocol type         |  bytes 0..4
/// +-+-+-+-+---------------+------+-------------------------------+
/// |      checksum (if C)         |    reserved 1, offset (if R)  |  4 bytes if C or R
/// +------------------------------+-------------------------------+
/// |                          key (if K)                          |  4 bytes if K
/// +--------------------------------------------------------------+
/// |                    sequence number (if S)                    |  4 bytes if S
/// +--------------------------------------------------------------+
/// |                        routing (if R)                        |  its entries, if R
/// +--------------------------------------------------------------+
/// ```
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct GreHeader {
    flags_version: U16,
    protocol: U16,
}

impl GreHeader {
    /// The length without optional fields, in bytes.
    pub const LEN: usize = 4;
    /// The length with checksum, key and sequence number, in bytes.
    pub const MAX_LEN: usize = 16;
    /// The protocol type of an IPv4 payload, its `EtherType` (RFC 2784 §2.4).
    pub const IPV4: u16 = 0x0800;
    /// The protocol type of a PPP payload, used by PPTP (RFC 2637 §4.1).
    pub const PPP: u16 = 0x880b;

    /// A header of version 0 for an IPv4 payload, with these flags.
    #[inline]
    #[must_use]
    pub const fn new(flags: GreFlags) -> Self {
        Self {
            flags_version: U16::new(flags.bits() & GreFlags::all().bits()),
            protocol: U16::new(Self::IPV4),
        }
    }

    super::as_bytes!();

    /// The flags. Reserved bits are ignored (RFC 2784 §2.3).
    #[inline]
    #[must_use]
    pub const fn flags(self) -> GreFlags {
        GreFlags::from_bits_truncate(self.flags_version.get())
    }

    /// The first 16 bits: flags, reserved bits and version.
    #[inline]
    #[must_use]
    pub const fn flags_and_version(self) -> u16 {
        self.flags_version.get()
    }

    /// The version: 0, or 1 for PPTP (RFC 2637 §4.1).
    #[inline]
    #[must_use]
    pub const fn version(self) -> u8 {
        let [_, low] = self.flags_version.to_bytes();
        low & 0x07
    }

    /// The protocol type of the payload, an `EtherType`.
    #[inline]
    #[must_use]
    pub const fn protocol(self) -> u16 {
        self.protocol.get()
    }

    /// Whether this is a PPTP header: version 1 with a PPP payload. It has a payload length and a call id
    /// instead of the key, and may end with an acknowledgment number (RFC 2637 §4.1).
    #[inline]
    #[must_use]
    pub const fn is_pptp(self) -> bool {
        self.version() == 1 && self.protocol() == Self::PPP
    }
}

/// The flag of the acknowledgment number in a PPTP header (RFC 2637 §4.1). It is reserved in others.
const ACKNOWLEDGMENT: u16 = 0x0080;

/// A GRE packet: the header, its optional fields and the payload (RFC 2784 §2.1, RFC 2890 §2).
///
/// Headers with a routing field (RFC 1701) and those of PPTP (RFC 2637) are parsed too, so that a tool can
/// display them. A decapsulator refuses both.
#[derive(Clone, Copy, Debug)]
pub struct Gre<'a> {
    header: &'a GreHeader,
    checksum: Option<u16>,
    key: Option<u32>,
    sequence: Option<u32>,
    routing: &'a [u8],
    payload: &'a [u8],
    sum: Option<Sum>,
}

impl<'a> Gre<'a> {
    /// Parses the GRE packet that fills an IPv4 payload. Checks the lengths, but not version, reserved bits
    /// and checksum.
    ///
    /// # Errors
    /// [`ParseError::Truncated`].
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let have = reported_len(bytes.len());
        let cut = |need| ParseError::Truncated { need, have };
        let (header, mut rest) = GreHeader::ref_from_prefix(bytes).map_err(|_| cut(4))?;
        let flags = header.flags();
        let mut need = 4u16;
        let mut word = |is_present: bool| -> Result<Option<u32>, ParseError> {
            if !is_present {
                return Ok(None);
            }
            need = need.saturating_add(4);
            let (word, behind) = U32::ref_from_prefix(rest).map_err(|_| cut(need))?;
            rest = behind;
            Ok(Some(word.get()))
        };
        // Checksum and routing offset share a word, which is present if either flag is set (RFC 1701).
        let checksum_and_offset = word(flags.intersects(GreFlags::CHECKSUM | GreFlags::ROUTING))?;
        let key = word(flags.contains(GreFlags::KEY))?;
        let sequence = word(flags.contains(GreFlags::SEQUENCE))?;
        let acknowledges = header.flags_and_version() & ACKNOWLEDGMENT != 0;
        let _acknowledgment = word(header.is_pptp() && acknowledges)?;

        let checksum = checksum_and_offset
            .filter(|_| flags.contains(GreFlags::CHECKSUM))
            .map(|word| {
                let [high, low, _, _] = word.to_be_bytes();
                u16::from_be_bytes([high, low])
            });
        let (routing, payload) = if flags.contains(GreFlags::ROUTING) {
            split_routing(rest).ok_or_else(|| cut(have.saturating_add(1)))?
        } else {
            (<&[u8]>::default(), rest)
        };
        Ok(Self {
            header,
            checksum,
            key: key.filter(|_| !header.is_pptp()),
            sequence,
            routing,
            payload,
            sum: checksum.map(|_| Sum::new().add_bytes(bytes)),
        })
    }

    /// The first 4 bytes of the header.
    #[inline]
    #[must_use]
    pub const fn header(self) -> &'a GreHeader {
        self.header
    }

    /// The checksum over header and payload, if present.
    #[inline]
    #[must_use]
    pub const fn checksum(self) -> Option<u16> {
        self.checksum
    }

    /// Whether the checksum is right (RFC 2784 §2.5). `None` if there is no checksum. A checksum of 0 has no
    /// special meaning.
    #[inline]
    #[must_use]
    pub fn verifies(self) -> Option<bool> {
        self.sum.map(Sum::is_valid)
    }

    /// The key, if present. PPTP has other fields in its place.
    #[inline]
    #[must_use]
    pub const fn key(self) -> Option<u32> {
        self.key
    }

    /// The sequence number, if present.
    #[inline]
    #[must_use]
    pub const fn sequence(self) -> Option<u32> {
        self.sequence
    }

    /// The routing field with its last entry, empty if there is none (RFC 1701).
    #[inline]
    #[must_use]
    pub const fn routing(self) -> &'a [u8] {
        self.routing
    }

    /// The payload.
    #[inline]
    #[must_use]
    pub const fn payload(self) -> &'a [u8] {
        self.payload
    }
}

/// Splits `bytes` into the source route entries of RFC 1701 and the bytes that follow. The last entry has
/// length 0. `None` if the entries are truncated.
///
/// ```text
/// | address family, 2 | offset, 1 | length, 1 | length bytes |
/// ```
fn split_routing(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut rest = bytes;
    loop {
        let (&[_, _, _, len], behind) = rest.split_first_chunk()?;
        rest = behind.get(usize::from(len)..)?;
        if len == 0 {
            return bytes.split_at_checked(bytes.len().saturating_sub(rest.len()));
        }
    }
}
