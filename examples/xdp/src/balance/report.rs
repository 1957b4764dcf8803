use core::fmt::Write as _;
use core::net::Ipv4Addr;

use ipencap::error::EncapError;
use ipencap_balance::Count;
use serde_json::{Map, Value, json};

use super::Tally;

/// What a run has come to: a table for people, and JSON for programs.
#[derive(Debug)]
pub struct Report<'a> {
    /// The address of each backend.
    pub backends: &'a [Ipv4Addr],
    /// What it was sent.
    pub counts: Vec<Count>,
    /// What became of all packets.
    pub tally: &'a Tally,
}

impl Report<'_> {
    /// Backends with their packets, bytes and shares; then the totals that are not 0.
    #[must_use]
    pub fn table(&self) -> String {
        let total: u64 = self.counts.iter().map(|count| count.packets).sum();
        let mut text = format!(
            "{:<15} {:>12} {:>15} {:>8}\n",
            "backend", "packets", "bytes", "share"
        );
        for (backend, count) in self.backends.iter().zip(&self.counts) {
            // In tenths of a percent, rounded.
            let share = (count.packets * 1000 + total / 2) / total.max(1);
            let Count { packets, bytes } = count;
            let _ = writeln!(
                text,
                "{:<15} {packets:>12} {bytes:>15} {:>5}.{} %",
                backend.to_string(),
                share / 10,
                share % 10
            );
        }
        let _ = writeln!(text, "\n{} packets", self.tally.total());
        for (name, number) in self.totals() {
            if number > 0 {
                let _ = writeln!(text, "{number:>12} {}", name.replace('_', " "));
            }
        }
        for (reason, number) in self.dropped() {
            let _ = writeln!(text, "{number:>12} dropped: {reason}");
        }
        text
    }

    /// One object.
    #[must_use]
    pub fn json(&self) -> String {
        let backends: Vec<Value> = self.backends.iter().zip(&self.counts)
            .map(|(backend, count)| {
                json!({ "address": backend.to_string(), "packets": count.packets, "bytes": count.bytes })
            })
            .collect();
        let totals: Map<_, _> = self
            .totals()
            .map(|(name, number)| (name.to_owned(), number.into()))
            .into_iter()
            .collect();
        let dropped: Map<_, _> = self
            .dropped()
            .map(|(name, number)| (name.to_owned(), number.into()))
            .collect();
        let mut report = Map::new();
        report.insert("packets".to_owned(), self.tally.total().into());
        report.extend(totals);
        report.insert("dropped".to_owned(), dropped.into());
        report.insert("backends".to_owned(), backends.into());
        Value::Object(report).to_string()
    }

    const fn totals(&self) -> [(&'static str, u64); 8] {
        let tally = self.tally;
        [
            ("sent", tally.sent),
            ("sent_in_fragments", tally.split),
            ("answered_too_long", tally.too_long),
            ("answered_ttl_expired", tally.expired),
            ("dropped_without_answer", tally.unanswered),
            ("passed_no_vip", tally.passed),
            ("dropped_no_backend", tally.no_backend),
            ("dropped_merged", tally.merged),
        ]
    }

    fn dropped(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counters = EncapError::counters();
        counters
            .map(|(counter, name)| (name, self.tally.dropped[counter]))
            .filter(|&(_, number)| number > 0)
    }
}
