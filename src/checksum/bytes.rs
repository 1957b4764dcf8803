//! Sums of byte slices in native byte order, with a loop for each kind of processor.
//!
//! | bytes | 64-bit | 32-bit | BPF |
//! |---|---|---|---|
//! | a 20-byte header | [`header_sum`], without a loop | the same | `sum_without_carries` |
//! | multiples of 128 | `wide_sum`, vector code | [`chained_sum`] | `sum_without_carries` |
//! | the remainder | [`chained_sum`] | [`chained_sum`] | `sum_without_carries` |
//!
//! For every length and alignment the result is the sum of RFC 1071 (`tests/laws.rs`).

#[cfg(target_pointer_width = "64")]
use zerocopy::FromBytes as _;

/// The type of a sum: as wide as a register.
#[cfg(target_pointer_width = "64")]
pub(super) type Word = u64;
#[cfg(not(target_pointer_width = "64"))]
pub(super) type Word = u32;

const WORD: usize = size_of::<Word>();

#[inline]
pub(super) const fn add_with_end_around_carry(left: Word, right: Word) -> Word {
    let (sum, carry) = left.overflowing_add(right);
    // After a carry the sum is at most 2^N - 2, so adding 1 cannot carry again.
    if carry { sum.wrapping_add(1) } else { sum }
}

/// The sum folded to 16 bits, with all carries (RFC 1071 §4.1).
#[cfg(target_pointer_width = "64")]
#[inline]
pub(super) const fn fold(sum: Word) -> u16 {
    // The upper half of this addition is the ones' complement sum of both halves.
    let [a, b, c, d, ..] = sum.wrapping_add(sum.rotate_left(32)).to_be_bytes();
    fold_u32(u32::from_be_bytes([a, b, c, d]))
}
#[cfg(not(target_pointer_width = "64"))]
#[inline]
pub(super) const fn fold(sum: Word) -> u16 {
    fold_u32(sum)
}

/// [`fold`] for a 32-bit sum.
#[inline]
pub(crate) const fn fold_u32(sum: u32) -> u16 {
    let [a, b, ..] = sum.wrapping_add(sum.rotate_left(16)).to_be_bytes();
    u16::from_be_bytes([a, b])
}

#[inline]
pub(super) const fn widen(value: u16) -> Word {
    let [high, low] = value.to_be_bytes();
    let mut bytes = [0; WORD];
    if let Some((_, end)) = bytes.split_last_chunk_mut() {
        *end = [high, low];
    }
    Word::from_be_bytes(bytes)
}

#[inline]
pub(super) const fn widen_u32(value: u32) -> Word {
    let mut bytes = [0; WORD];
    if let Some((_, end)) = bytes.split_last_chunk_mut() {
        *end = value.to_be_bytes();
    }
    Word::from_be_bytes(bytes)
}

/// A 20-byte header in the words that a 64-bit processor loads.
#[cfg(target_pointer_width = "64")]
#[derive(zerocopy::FromBytes)]
#[repr(C)]
struct Header {
    words: [[u8; 8]; 2],
    last: [u8; 4],
}

#[cfg(target_pointer_width = "64")]
#[inline]
pub(super) fn header_sum(header: &[u8; 20]) -> Word {
    if cfg!(target_arch = "bpf") {
        return sum_without_carries(header);
    }
    let Header { words, last }: Header = zerocopy::transmute!(*header);
    let [first, second] = words.map(Word::from_ne_bytes);
    let last = Word::from(u32::from_ne_bytes(last));
    add_with_end_around_carry(add_with_end_around_carry(first, second), last)
}
#[cfg(not(target_pointer_width = "64"))]
#[inline]
pub(super) fn header_sum(header: &[u8; 20]) -> Word {
    let words = header.chunks_exact(WORD).map(|word| {
        let word = word.first_chunk();
        word.map_or(0, |word| Word::from_ne_bytes(*word))
    });
    words.fold(0, add_with_end_around_carry)
}

/// The bits of a length that [`wide_sum`] handles: multiples of 128 bytes, two halves of whole vectors
/// of any width.
///
/// It is limited to 1 MiB, far more than a packet, so that the sums of the high halves in [`wide_sum`]
/// cannot wrap.
#[cfg(target_pointer_width = "64")]
const WIDE_LEN_MASK: usize = 0xf_ff80;

/// Inlined into its few callers, because a call costs as much as summing a header.
#[cfg(target_pointer_width = "64")]
#[inline(always)]
pub(super) fn sum(bytes: &[u8]) -> Word {
    if cfg!(target_arch = "bpf") {
        return sum_without_carries(bytes);
    }
    let (wide, rest) = match split_wide(bytes) {
        Some((left, right, rest)) => (wide_sum(left, right), rest),
        None => (0, bytes),
    };
    add_with_end_around_carry(wide, chained_sum(bytes, rest))
}
#[cfg(not(target_pointer_width = "64"))]
pub(super) fn sum(bytes: &[u8]) -> Word {
    chained_sum(bytes, bytes)
}

/// The sum for the Linux kernel, whose verifier follows both ways of each carry, to the end of the program: of halves of
/// words, as no packet is long enough to make them overflow a word.
#[cfg(target_pointer_width = "64")]
#[inline]
fn sum_without_carries(mut bytes: &[u8]) -> Word {
    let mut sum: Word = 0;
    while let Some((half, behind)) = bytes.split_first_chunk() {
        sum = sum.wrapping_add(Word::from(u32::from_ne_bytes(*half)));
        bytes = behind;
    }
    sum.wrapping_add(tiny_sum(bytes))
}

/// Splits off two equal parts of whole vectors; the third part is the remainder.
#[cfg(target_pointer_width = "64")]
#[inline]
fn split_wide(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let len = bytes.len() & WIDE_LEN_MASK;
    if len == 0 {
        return None;
    }
    let (wide, rest) = bytes.split_at_checked(len)?;
    let (left, right) = wide.split_at_checked(len / 2)?;
    Some((left, right, rest))
}

/// The sum of `left` and `right`, which have the same length.
///
/// The loop computes two sums: of the words, which may wrap, and of their high halves, which cannot.
/// The sum of the low halves follows from them. No carry is needed, so the compiler vectorises the loop.
/// Two inputs in parallel use more of the processor's adders.
#[cfg(target_pointer_width = "64")]
#[inline]
fn wide_sum(left: &[u8], right: &[u8]) -> Word {
    let (mut left_words, mut right_words) = (0u64, 0u64);
    let (mut left_highs, mut right_highs) = (0u64, 0u64);
    let [left, right] = [left, right].map(|half| {
        let words = <[[u8; WORD]]>::ref_from_bytes(half);
        words.unwrap_or_default()
    });
    for (left, right) in left.iter().zip(right) {
        let [left, right] = [left, right].map(|word| Word::from_ne_bytes(*word));
        left_words = left_words.wrapping_add(left);
        right_words = right_words.wrapping_add(right);
        left_highs = left_highs.wrapping_add(left >> 32);
        right_highs = right_highs.wrapping_add(right >> 32);
    }
    let high_halves = left_highs.wrapping_add(right_highs);
    let words = left_words.wrapping_add(right_words);
    let low_halves = words.wrapping_sub(high_halves << 32);
    add_with_end_around_carry(high_halves, low_halves)
}

/// The sum of `rest`, the end of `bytes`, by additions with carry, four words in each step.
#[inline(always)]
fn chained_sum(bytes: &[u8], mut rest: &[u8]) -> Word {
    let mut sum = 0;
    while let Some((chunk, behind)) = rest.split_first_chunk::<{ 4 * WORD }>() {
        let words: [[u8; WORD]; 4] = zerocopy::transmute!(*chunk);
        let [a, b, c, d] = words.map(Word::from_ne_bytes);
        let (first, carry) = carrying_add(sum, a, false);
        let (second, carry) = carrying_add(first, b, carry);
        let (third, carry) = carrying_add(second, c, carry);
        let (fourth, carry) = carrying_add(third, d, carry);
        sum = fourth.wrapping_add(Word::from(carry));
        rest = behind;
    }
    if let Some((chunk, behind)) = rest.split_first_chunk::<{ 2 * WORD }>() {
        let words: [[u8; WORD]; 2] = zerocopy::transmute!(*chunk);
        let [a, b] = words.map(Word::from_ne_bytes);
        let (first, carry) = carrying_add(sum, a, false);
        let (second, carry) = carrying_add(first, b, carry);
        sum = second.wrapping_add(Word::from(carry));
        rest = behind;
    }
    if let Some((word, behind)) = rest.split_first_chunk() {
        sum = add_with_end_around_carry(sum, Word::from_ne_bytes(*word));
        rest = behind;
    }
    add_with_end_around_carry(sum, tail_sum(bytes, rest))
}

/// `left + right + carry` and the new carry. Compilers translate this form to an addition with carry.
/// The standard library's `carrying_add` needs a newer compiler than this crate.
#[inline]
fn carrying_add(left: Word, right: Word, carry: bool) -> (Word, bool) {
    let (sum, first) = left.overflowing_add(right);
    let (sum, second) = sum.overflowing_add(Word::from(carry));
    (sum, first | second)
}

/// The word of `tail`, the last bytes of `bytes`, less than a word, padded with zero.
#[inline]
fn tail_sum(bytes: &[u8], tail: &[u8]) -> Word {
    if tail.is_empty() {
        return 0;
    }
    match bytes.last_chunk() {
        Some(word) => {
            let others = WORD.wrapping_sub(tail.len());
            let word = Word::from_ne_bytes(*word);
            let shift = u32::try_from(others).unwrap_or(0).wrapping_shl(3);
            if cfg!(target_endian = "little") {
                word.wrapping_shr(shift)
            } else {
                word.wrapping_shl(shift)
            }
        }
        None => tiny_sum(tail),
    }
}

/// The sum of a slice shorter than a word.
#[inline]
fn tiny_sum(mut tail: &[u8]) -> Word {
    let mut sum: Word = 0;
    if let Some((&[a, b, c, d], rest)) = tail.split_first_chunk() {
        sum = Word::from(u32::from_ne_bytes([a, b, c, d]));
        tail = rest;
    }
    if let Some((&[a, b], rest)) = tail.split_first_chunk() {
        sum = add_with_end_around_carry(sum, Word::from(u16::from_ne_bytes([a, b])));
        tail = rest;
    }
    if let [last] = *tail {
        sum = add_with_end_around_carry(sum, Word::from(u16::from_ne_bytes([last, 0])));
    }
    sum
}
