//! The counters, which the loader prints.

use ipencap_xdp_maps::{COUNTERS as COUNT, Counter, DROPPED};

use crate::glue::{Action, Map};

crate::map!(COUNTERS: Map<u32, u64> = Map::counters(COUNT));

/// What the kernel shall do with a packet, and the counter of the packet: one number, so that there is one place where
/// packets are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Verdict(u32);

impl Verdict {
    #[inline(always)]
    fn new(action: u32, counter: u32) -> Self {
        Self(action << 16 | counter)
    }

    /// This action and counter.
    #[inline(always)]
    pub fn of(action: Action, counter: Counter) -> Self {
        Self::new(action as u32, counter as u32)
    }

    /// Leaves the packet to the kernel.
    #[inline(always)]
    pub fn pass(why: Counter) -> Self {
        Self::of(Action::Pass, why)
    }

    /// Drops the packet, for a reason of the library.
    #[inline(always)]
    pub fn drop(reason: usize) -> Self {
        Self::new(Action::Drop as u32, DROPPED + reason as u32)
    }

    /// A packet that was opened or wrapped; its inner bytes are counted.
    #[inline(always)]
    pub fn take(action: u32, inner_bytes: usize) -> Self {
        COUNTERS.add(Counter::TakenBytes as u32, inner_bytes as u64);
        Self::new(action, Counter::Taken as u32)
    }

    /// Counts the packet; what the kernel shall do.
    #[inline(always)]
    pub fn settle(self) -> u32 {
        COUNTERS.add(self.0 & 0xffff, 1);
        self.0 >> 16
    }
}
