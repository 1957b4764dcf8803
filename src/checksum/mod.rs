//! The Internet checksum: sums, pseudo-headers, verification and incremental updates.
//!
//! Ones' complement sums of bytes ([RFC 1071], [RFC 1624]), the same for every protocol. UDP writes
//! 0xFFFF instead of 0: [`wire::UdpHeader`](crate::wire::UdpHeader) handles that.
//!
//! # Compute a checksum
//!
//! ```
//! use ipencap::checksum::{Sum, checksum, verify};
//!
//! // RFC 1071 §3
//! let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
//! assert_eq!(checksum(&bytes), 0x220d);
//!
//! // The same bytes in pieces of any length.
//! let sum = Sum::new().add_bytes(&bytes[..3]).add_bytes(&bytes[3..]);
//! assert_eq!(sum.checksum(), 0x220d);
//!
//! // A header with a correct checksum sums to 0xFFFF.
//! let header = [0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0xb8, 0x61, 192, 168, 0, 1, 192, 168, 0, 199];
//! assert!(verify(&header));
//! ```
//!
//! # Change a field
//!
//! ```
//! use ipencap::checksum::{Delta, update_u16};
//!
//! // TTL 64 -> 63 in a header whose checksum is 0x1485 (RFC 1624, equation 3).
//! assert_eq!(update_u16(0x1485, 0x4011, 0x3f11), 0x1585);
//!
//! // Several fields at once.
//! let delta = Delta::new().replace_u16(0x4500, 0x4528).replace_u16(0x4011, 0x3f11);
//! assert_eq!(delta.apply(0x1485), 0x155d);
//! ```
//!
//! [RFC 1071]: https://www.rfc-editor.org/rfc/rfc1071
//! [RFC 1624]: https://www.rfc-editor.org/rfc/rfc1624

use core::net::Ipv4Addr;

mod bytes;

pub(crate) use bytes::fold_u32;
use bytes::{Word, add_with_end_around_carry, fold, header_sum, sum, widen, widen_u32};

/// The Internet checksum of `bytes`: the complement of their ones' complement sum (RFC 1071 §1).
///
/// If the length is odd, a zero byte is added at the end.
#[inline]
#[must_use]
pub fn checksum(bytes: &[u8]) -> u16 {
    Sum::of(bytes).checksum()
}

/// Whether `bytes`, which contain their own checksum, sum to 0xFFFF (RFC 1624 §5).
///
/// A checksum of zero is valid in both encodings, 0x0000 and 0xFFFF.
#[inline]
#[must_use]
pub fn verify(bytes: &[u8]) -> bool {
    Sum::of(bytes).is_valid()
}

/// [`checksum`] for constant evaluation. At run time it is slower.
///
/// ```
/// const CHECKSUM: u16 = ipencap::checksum::const_checksum(&[0x00, 0x01, 0xf2, 0x03]);
/// assert_eq!(CHECKSUM, ipencap::checksum::checksum(&[0x00, 0x01, 0xf2, 0x03]));
/// ```
#[inline]
#[must_use]
pub const fn const_checksum(bytes: &[u8]) -> u16 {
    Sum::new().const_add_bytes(bytes).checksum()
}

/// The checksum after a 16-bit word of the covered data changed from `old` to `new`.
///
/// RFC 1624 §3, equation 3: `HC' = ~(~HC + ~m + m')`. The word must be at an even offset from the start
/// of the covered data. An update does not repair a wrong checksum.
#[inline]
#[must_use]
pub const fn update_u16(checksum: u16, old: u16, new: u16) -> u16 {
    Delta::new().replace_u16(old, new).apply(checksum)
}

/// The checksum after a 32-bit value at an even offset changed, such as an address (RFC 1624 §3).
#[inline]
#[must_use]
pub const fn update_u32(checksum: u16, old: u32, new: u32) -> u16 {
    Delta::new().replace_u32(old, new).apply(checksum)
}

/// The checksum after a 16-bit value at an odd offset changed, such as a TCP MSS behind one NOP (RFC
/// 1624 §3).
#[inline]
#[must_use]
pub const fn update_odd_u16(checksum: u16, old: u16, new: u16) -> u16 {
    Delta::new().replace_odd_u16(old, new).apply(checksum)
}

/// A running ones' complement sum of 16-bit big-endian words (RFC 1071 §1).
///
/// Slices may have any length: after an odd number of bytes, the next one is the low byte of its word.
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct Sum {
    /// The sum of words in native byte order, modulo 0xFFFF. It is 0 only if all bytes are 0.
    native: Word,
    /// Whether an odd number of bytes has been added.
    odd: bool,
}

impl Sum {
    /// The sum of no bytes.
    #[inline]
    pub const fn new() -> Self {
        Self {
            native: 0,
            odd: false,
        }
    }

    /// The sum of the pseudo-header of a UDP datagram or TCP segment (RFC 768, RFC 9293 §3.1).
    ///
    /// ```text
    ///  +--------+--------+--------+--------+
    ///  |          source address           |
    ///  +--------+--------+--------+--------+
    ///  |        destination address        |
    ///  +--------+--------+--------+--------+
    ///  |  zero  |protocol|  length (bytes) |
    ///  +--------+--------+--------+--------+
    /// ```
    ///
    /// `len` is the length of transport header and payload, in bytes.
    ///
    /// ```
    /// use core::net::Ipv4Addr;
    /// use ipencap::checksum::Sum;
    ///
    /// let datagram = [0x9c, 0x40, 0x00, 0x35, 0x00, 0x0b, 0x8a, 0xef, b'a', b'b', b'c'];
    /// let pseudo = Sum::pseudo_header(Ipv4Addr::new(10, 1, 0, 5), Ipv4Addr::new(10, 2, 0, 9), 17, 11);
    /// assert!(pseudo.add_bytes(&datagram).is_valid());
    /// ```
    #[inline]
    pub const fn pseudo_header(
        source: Ipv4Addr,
        destination: Ipv4Addr,
        protocol: u8,
        len: u16,
    ) -> Self {
        Self::new()
            .add_u32(source.to_bits())
            .add_u32(destination.to_bits())
            .add_u16(u16::from_be_bytes([0, protocol]))
            .add_u16(len)
    }

    /// Adds `bytes`, which follow the bytes added before.
    #[inline]
    pub fn add_bytes(self, bytes: &[u8]) -> Self {
        self.join(Self::of(bytes))
    }

    #[inline]
    fn of(bytes: &[u8]) -> Self {
        Self {
            native: sum(bytes),
            odd: bytes.len() % 2 == 1,
        }
    }

    /// Adds the 20 bytes of a header: [`add_bytes`](Self::add_bytes) without a loop.
    #[inline]
    pub fn add_header(self, header: &[u8; 20]) -> Self {
        self.append(header_sum(header), false)
    }

    /// [`add_bytes`](Self::add_bytes) for constant evaluation. At run time it is slower.
    #[inline]
    pub const fn const_add_bytes(mut self, mut bytes: &[u8]) -> Self {
        while let Some((&[high, low], rest)) = bytes.split_first_chunk::<2>() {
            self = self.append(widen(u16::from_ne_bytes([high, low])), false);
            bytes = rest;
        }
        if let [last] = *bytes {
            self = self.append(widen(u16::from_ne_bytes([last, 0])), true);
        }
        self
    }

    /// Adds a 16-bit value as two bytes, high byte first.
    #[inline]
    pub const fn add_u16(self, value: u16) -> Self {
        self.append(widen(value.to_be()), false)
    }

    /// Adds a 32-bit value as four bytes, high byte first.
    #[inline]
    pub const fn add_u32(self, value: u32) -> Self {
        self.append(widen_u32(value.to_be()), false)
    }

    /// The sum of the bytes of `self`, followed by those of `other`.
    #[inline]
    pub const fn join(self, other: Self) -> Self {
        self.append(other.native, other.odd)
    }

    #[inline]
    const fn append(self, native: Word, odd: bool) -> Self {
        // After an odd number of bytes, high and low bytes are swapped. Rotating by 8 multiplies by 2^8
        // modulo 2^64 - 1 (or 2^32 - 1), which swaps the bytes modulo 2^16 - 1 (RFC 1071 §2).
        let native = if self.odd {
            native.rotate_left(8)
        } else {
            native
        };
        Self {
            native: add_with_end_around_carry(self.native, native),
            odd: self.odd != odd,
        }
    }

    /// The sum folded to 16 bits. It is 0x0000 only if every byte is 0.
    #[inline]
    #[must_use]
    pub const fn fold(self) -> u16 {
        u16::from_be(fold(self.native))
    }

    /// The checksum: the complement of the sum.
    ///
    /// 0x0000 and 0xFFFF both mean zero. IPv4, TCP, ICMP and GRE send 0x0000, UDP sends 0xFFFF (RFC 768).
    #[inline]
    #[must_use]
    pub const fn checksum(self) -> u16 {
        !self.fold()
    }

    /// Whether the sum of data that contains its own checksum is 0xFFFF (RFC 1624 §5).
    #[inline]
    #[must_use]
    pub const fn is_valid(self) -> bool {
        self.fold() == 0xffff
    }
}

/// A change of several fields of checksummed data, applied to the checksum at once (RFC 1624 §3).
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct Delta {
    /// `~m + m'` of all replaced words, as numbers.
    sum: Word,
}

impl Delta {
    /// No change.
    #[inline]
    pub const fn new() -> Self {
        Self { sum: 0 }
    }

    /// The change from data with the sum `old` to data with the sum `new`.
    ///
    /// Both must begin at an even offset from the start of the covered data.
    #[inline]
    pub const fn between(old: Sum, new: Sum) -> Self {
        Self::new().replace_u16(old.fold(), new.fold())
    }

    /// Replaces a 16-bit word at an even offset.
    #[inline]
    pub const fn replace_u16(self, old: u16, new: u16) -> Self {
        let sum = add_with_end_around_carry(self.sum, widen(!old));
        Self {
            sum: add_with_end_around_carry(sum, widen(new)),
        }
    }

    /// Replaces a 32-bit value at an even offset.
    #[inline]
    pub const fn replace_u32(self, old: u32, new: u32) -> Self {
        let [old_a, old_b, old_c, old_d] = old.to_be_bytes();
        let [new_a, new_b, new_c, new_d] = new.to_be_bytes();
        self.replace_u16(
            u16::from_be_bytes([old_a, old_b]),
            u16::from_be_bytes([new_a, new_b]),
        )
        .replace_u16(
            u16::from_be_bytes([old_c, old_d]),
            u16::from_be_bytes([new_c, new_d]),
        )
    }

    /// Replaces a 16-bit value at an odd offset: its bytes belong to two words, in swapped places.
    #[inline]
    pub const fn replace_odd_u16(self, old: u16, new: u16) -> Self {
        self.replace_u16(old.swap_bytes(), new.swap_bytes())
    }

    /// Replaces a 32-bit value at an odd offset.
    #[inline]
    pub const fn replace_odd_u32(self, old: u32, new: u32) -> Self {
        // The value's first byte is the low byte of its word, the last one a high byte. Rotated by one
        // byte, both are in one word and in the right half of it.
        self.replace_u32(old.rotate_left(8), new.rotate_left(8))
    }

    /// The checksum after the change: `~(~HC + ~m + m')` (RFC 1624 §3, equation 3).
    #[inline]
    #[must_use]
    pub const fn apply(self, checksum: u16) -> u16 {
        !fold(add_with_end_around_carry(self.sum, widen(!checksum)))
    }
}
