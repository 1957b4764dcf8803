//! What became of the packets of a run.

use std::collections::BTreeMap;

use serde_json::json;

use crate::failure::say;

/// Counts that add up: packets = passed over + written + dropped, where anything is written at all.
#[derive(Default)]
pub(crate) struct Summary {
    pub(crate) packets: u64,
    /// Frames in which no IPv4 packet was looked for.
    pub(crate) passed_over: u64,
    pub(crate) written: u64,
    /// By the name of the reason.
    pub(crate) dropped: BTreeMap<&'static str, u64>,
}

impl Summary {
    pub(crate) fn drop_for(&mut self, reason: &'static str) {
        *self.dropped.entry(reason).or_default() += 1;
    }

    /// Counts what another run has counted, too.
    pub(crate) fn add(&mut self, other: &Self) {
        self.packets += other.packets;
        self.passed_over += other.passed_over;
        self.written += other.written;
        for (reason, packets) in &other.dropped {
            *self.dropped.entry(reason).or_default() += packets;
        }
    }

    /// The last line on standard error of a run that succeeds.
    pub(crate) fn report(&self) {
        let summary = json!({
            "packets": self.packets,
            "passed_over": self.passed_over,
            "written": self.written,
            "dropped": self.dropped,
        });
        say(&summary.to_string());
    }
}
