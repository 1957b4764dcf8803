//! Tells senders of packets that are too long (RFC 792, RFC 1191).

use core::net::Ipv4Addr;

use ipencap::icmp::{IcmpError, Kind};
use ipencap_xdp_maps::Counter;

use crate::encap::{HEADERS, head};
use crate::ethernet::{ETHERNET, Ethernet};
use crate::glue::{Action, Context, Map};
use crate::tally::Verdict;

crate::map!(ERRORS: Map<u32, u64> = Map::counters(1));

/// The time between two ICMP errors of a processor, in nanoseconds: 1000 a second.
const PAUSE: u64 = 1_000_000;

/// What is quoted of a packet: its header and eight bytes (RFC 792).
pub const QUOTE: usize = 28;

/// The flag in the first byte of flags and fragment offset.
const DF: u8 = 0x40;

/// `N` bytes of the headers from a constant place on, where they lie: on the stack the sum would read across words.
#[inline(always)]
fn behind<const N: usize, const LEN: usize>(head: &[u8; LEN], place: usize) -> Option<&[u8; N]> {
    head.get(place..)?.first_chunk()
}

/// Answers a packet with DF that is too long, from the address that `source` tells of its headers. Without DF it has
/// this verdict.
#[inline(always)]
pub fn answer(
    context: &mut Context,
    mtu: u16,
    source: impl FnOnce(&[u8; HEADERS]) -> Ipv4Addr,
    without_df: Verdict,
) -> Verdict {
    if head(context).is_none_or(|head| head[ETHERNET + 6] & DF == 0) {
        return without_df;
    }
    // Before the packet is read: see `wrap`.
    let Some(turn) = ERRORS.turn(0, PAUSE) else {
        return unanswered();
    };
    let Some(head) = head(context) else {
        return unanswered();
    };
    let ethernet = Ethernet::read(head).reversed();
    let Some(packet) = behind::<QUOTE, HEADERS>(head, ETHERNET) else {
        return unanswered();
    };
    let source = source(head);
    if packet[0] != 0x45 {
        return unanswered();
    }
    let kind = Kind::FragmentationNeeded { mtu };
    let error = match IcmpError::about_quoted(packet, kind, source) {
        // It is, but the verifier wants to see a constant.
        Ok(error) if error.quote_len() == QUOTE => error,
        _ => return unanswered(),
    };
    let Some(headers) = error.header(packet) else {
        return unanswered();
    };
    // A packet that nobody may be told about takes no turn.
    turn.take();
    let rest = context.len().wrapping_sub(HEADERS as u32) as i32;
    if !context.move_end(-rest) || !context.move_start(-(IcmpError::HEADER_LEN as i32)) {
        return unanswered();
    }
    let Some((start, behind)) = context
        .frame::<{ ETHERNET + IcmpError::HEADER_LEN }>()
        .and_then(|frame| frame.split_first_chunk_mut::<ETHERNET>())
    else {
        return unanswered();
    };
    let Some(place) = behind.first_chunk_mut::<{ IcmpError::HEADER_LEN }>() else {
        return unanswered();
    };
    ethernet.write(start);
    *place = headers;
    Verdict::of(Action::Tx, Counter::TooLong)
}

#[inline(always)]
fn unanswered() -> Verdict {
    Verdict::of(Action::Drop, Counter::Unanswered)
}
