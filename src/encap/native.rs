//! Sums of a few words in native byte order, for headers composed from values.
//!
//! A sum of at most 2^15 16-bit words fits 32 bits, so there are no carries to bring around before
//! [`fold`]; the bytes are swapped once, when they are stored.

use crate::packet::PacketMeta;

/// The ones' complement sum in 16 bits.
pub(super) use crate::checksum::fold_u32 as fold;

/// The sum of a word's two 16-bit halves.
#[inline]
pub(super) const fn halves(word: u32) -> u32 {
    (word & 0xffff).wrapping_add(word >> 16)
}

/// `left + right + carry`, with the carry that a chain of these hands on.
#[inline]
pub(super) const fn carrying_add(left: u32, right: u32, carry: bool) -> (u32, bool) {
    let (sum, first) = left.overflowing_add(right);
    let (sum, second) = sum.overflowing_add(if carry { 1 } else { 0 });
    (sum, first | second)
}

/// A value, such as a port or a length, as it is stored.
#[inline]
pub(super) const fn stored(value: u16) -> u32 {
    widened(value.to_be())
}

#[inline]
pub(super) const fn widened(value: u16) -> u32 {
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

/// The length of what stands behind the IPv4 header of this outer packet, as it is stored.
#[inline]
pub(super) const fn stored_payload_len(outer: &PacketMeta) -> u32 {
    let [_, _, high, low] = outer.len().wrapping_sub(20).to_be_bytes();
    stored(u16::from_be_bytes([high, low]))
}
