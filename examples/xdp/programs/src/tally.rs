//! The counters, which the loader prints.

use ipencap_xdp_maps::{COUNTERS as COUNT, Counter, DROPPED};

use crate::glue::{Action, Map};

crate::map!(COUNTERS: Map<u32, u64> = Map::counters(COUNT));

/// Leaves the packet to the kernel, and counts why.
#[inline(always)]
pub fn pass(why: Counter) -> u32 {
    count(why);
    Action::Pass as u32
}

/// Counts a packet.
#[inline(always)]
pub fn count(what: Counter) {
    COUNTERS.add(what as u32, 1);
}

/// Drops the packet, and counts the library's reason.
#[inline(always)]
pub fn drop(reason: usize) -> u32 {
    COUNTERS.add(DROPPED + reason as u32, 1);
    Action::Drop as u32
}

/// Counts a packet that was opened or wrapped, and its inner bytes.
#[inline(always)]
pub fn take(inner_bytes: usize) {
    COUNTERS.add(Counter::Taken as u32, 1);
    COUNTERS.add(Counter::TakenBytes as u32, inner_bytes as u64);
}
