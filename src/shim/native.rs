//! Sums of a few words in native byte order, for headers composed from values.
//!
//! A sum of at most 2^15 16-bit words fits 32 bits, so there are no carries to bring around before
//! [`fold`]; the bytes are swapped once, when they are stored.

/// The ones' complement sum in 16 bits.
pub(crate) use crate::checksum::fold_u32 as fold;

/// The sum of a word's two 16-bit halves.
#[inline]
pub(crate) const fn halves(word: u32) -> u32 {
    (word & 0xffff).wrapping_add(word >> 16)
}

/// A value, such as a port or a length, as it is stored.
#[inline]
pub(crate) const fn stored(value: u16) -> u32 {
    widened(value.to_be())
}

#[inline]
pub(crate) const fn widened(value: u16) -> u32 {
    let [high, low] = value.to_be_bytes();
    u32::from_be_bytes([0, 0, high, low])
}

/// Two stored values beside each other, as a word is stored.
#[inline]
pub(super) const fn beside(first: u32, second: u32) -> u32 {
    if cfg!(target_endian = "little") {
        first | second << 16
    } else {
        first << 16 | second
    }
}

/// The pseudo-header of an outer packet: what a TCP or UDP checksum covers besides the segment
/// (RFC 768, RFC 9293 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PseudoHeader {
    /// Addresses and protocol, summed in native byte order.
    constant: u16,
    /// The segment's length in bytes, as it is stored.
    stored_len: u32,
}

impl PseudoHeader {
    #[inline(always)]
    pub(crate) const fn new(constant: u16, segment_len: u16) -> Self {
        Self {
            constant,
            stored_len: stored(segment_len),
        }
    }

    /// The segment's length, as it is stored.
    #[inline(always)]
    pub(super) const fn stored_len(self) -> u32 {
        self.stored_len
    }

    /// The sum of the words, in native byte order.
    #[inline(always)]
    pub(super) const fn native_sum(self) -> u32 {
        widened(self.constant).wrapping_add(self.stored_len)
    }

    /// The sum of the pseudo-header's 16-bit words.
    #[inline]
    #[must_use]
    pub const fn sum(self) -> u16 {
        u16::from_be(fold(self.native_sum()))
    }
}
