//! The limits of the machine: the loads of a sum without the adding, the stores of headers without
//! the thinking. Nobody is faster who touches the same bytes.

use core::hint::black_box;

use ipencap::Span;

use crate::fixtures::STRIDE;
use crate::packet_work::{PacketWork, REFUSED};

/// Loads `bytes` in words of 8, one load each.
#[inline(never)]
#[allow(
    unsafe_code,
    reason = "only a volatile load is never joined with its neighbour into a wider one"
)]
pub fn load_words(bytes: &[u8]) -> u16 {
    let (groups, rest) = bytes.as_chunks::<32>();
    let load = |word: &[u8]| {
        debug_assert!(word.len() >= 8);
        // SAFETY: the slice has at least 8 bytes. `Unaligned` has no alignment to miss.
        unsafe { core::ptr::read_volatile(word.as_ptr().cast::<Unaligned>()) }.0
    };
    // Four accumulators, so that no load waits for the one before.
    let mut all = [0; 4];
    for group in groups {
        all[0] ^= load(&group[..8]);
        all[1] ^= load(&group[8..16]);
        all[2] ^= load(&group[16..24]);
        all[3] ^= load(&group[24..]);
    }
    let (words, rest) = rest.as_chunks::<8>();
    for word in words {
        all[0] ^= load(word);
    }
    folded(all[0] ^ all[1] ^ all[2] ^ all[3] ^ tail(rest))
}

#[repr(C, packed)]
#[derive(Clone, Copy)]
struct Unaligned(u64);

/// Loads `bytes` by the widest loads there are at this target-cpu: 16 bytes at the baseline of
/// x86-64, 32 at x86-64-v3.
#[inline(never)]
pub fn load_vectors(bytes: &[u8]) -> u16 {
    let (groups, rest) = bytes.as_chunks::<128>();
    // Sixteen words are eight vectors: no load waits for the one before.
    let mut all = [0; 16];
    for group in groups {
        let (words, _) = group.as_chunks::<8>();
        for (all, &word) in all.iter_mut().zip(words) {
            *all ^= u64::from_ne_bytes(word);
        }
    }
    let all = all.into_iter().fold(0, |all, word| all ^ word);
    let (words, rest) = rest.as_chunks::<8>();
    let all = words
        .iter()
        .fold(all, |all, &word| all ^ u64::from_ne_bytes(word));
    folded(all ^ tail(rest))
}

fn tail(rest: &[u8]) -> u64 {
    rest.iter().fold(0, |all, &byte| all ^ u64::from(byte))
}

fn folded(all: u64) -> u16 {
    (all ^ (all >> 32)) as u16
}

/// The empty call: what everybody pays for being called.
#[inline(never)]
pub fn empty_update(checksum: u16, _old: u16, _new: u16) -> u16 {
    checksum
}

/// Stores a ToS and a checksum.
#[inline(never)]
pub fn store_tos(packet: &mut [u8], tos: u8) {
    let header = packet.first_chunk_mut::<20>().expect("20 bytes");
    header[1] = tos;
    header[10..12].copy_from_slice(&[tos, tos]);
}

/// Stores `LEN` bytes in front of the packet, out of registers.
#[derive(Debug)]
pub struct Store<const LEN: usize>;

impl<S, const LEN: usize> PacketWork<S> for Store<LEN> {
    #[inline(always)]
    fn run(_: &S, buffer: &mut [u8], packet: Span) -> usize {
        let start = packet.start - LEN;
        let target = buffer[start..].first_chunk_mut::<LEN>().expect("headroom");
        *target = [0x45; LEN];
        start
    }
}

/// Loads the first `LEN` bytes of the packet.
#[derive(Debug)]
pub struct Load<const LEN: usize>;

impl<S, const LEN: usize> PacketWork<S> for Load<LEN> {
    #[inline(always)]
    fn run(_: &S, buffer: &mut [u8], packet: Span) -> usize {
        let Some(header) = buffer[packet.start..].first_chunk::<LEN>() else {
            return REFUSED;
        };
        let (words, rest) = header.as_chunks::<8>();
        let all = words
            .iter()
            .fold(0, |all, &word| all ^ u64::from_ne_bytes(word));
        let (rest, _) = rest.as_chunks::<4>();
        rest.iter()
            .fold(all, |all, &word| all ^ u64::from(u32::from_ne_bytes(word))) as usize
    }
}

/// Loads all bytes of the packet by the widest loads, and stores `LEN` bytes in front of it.
#[derive(Debug)]
pub struct LoadAllAndStore<const LEN: usize>;

impl<S, const LEN: usize> PacketWork<S> for LoadAllAndStore<LEN> {
    #[inline(always)]
    fn run(setup: &S, buffer: &mut [u8], packet: Span) -> usize {
        let all = load_vectors(&buffer[packet.start..packet.start + packet.len]);
        Store::<LEN>::run(setup, buffer, packet) ^ usize::from(all)
    }
}

/// Copies the packets, one after the other, into `output`.
#[inline(never)]
pub fn copy_all(packets: &[u8], packet: Span, output: &mut [u8]) -> usize {
    let mut end = 0;
    for slot in packets.chunks_exact(STRIDE) {
        let bytes = &slot[packet.start..packet.start + packet.len];
        output[end..end + bytes.len()].copy_from_slice(bytes);
        end += bytes.len();
    }
    black_box(end)
}
