//! The path MTU by RFC 1191, with a list of all that was sent.

use ipencap::error::PathMtuIgnored;
use ipencap::pmtu::{Effect, QuotedLen};

/// RFC 1191 §7.1, in ascending order.
const PLATEAUS: [u16; 11] = [
    68, 296, 508, 1006, 1492, 2002, 4352, 8166, 17914, 32000, 65535,
];

/// What a path is taken to carry, in place of what its link does.
#[derive(Clone, Copy, Debug)]
struct Limit {
    mtu: u16,
    /// In milliseconds.
    until: Option<u64>,
}

/// A path, in the plainest way.
#[derive(Clone, Debug)]
pub struct NaivePath {
    link: u16,
    floor: u16,
    /// In milliseconds; `None` for never.
    raise_after: Option<u64>,
    clock: u64,
    limit: Option<Limit>,
    sent: Vec<(u64, u16)>,
}

impl NaivePath {
    /// A path behind a link, with the floor and the milliseconds after which it is raised.
    #[must_use]
    pub fn new(link: u16, floor: u16, raise_after: u64) -> Self {
        let raise_after = raise_after.max(300_000);
        Self {
            link: link.max(68),
            floor: floor.max(68),
            raise_after: (raise_after < u64::from(u32::MAX)).then_some(raise_after),
            clock: 0,
            limit: None,
            sent: vec![],
        }
    }

    /// The path MTU when no time passes any more.
    #[must_use]
    pub fn mtu(&self) -> u16 {
        self.limit.map_or(self.link, |limit| limit.mtu)
    }

    /// When it is raised.
    #[must_use]
    pub fn deadline(&self) -> Option<u64> {
        self.limit?.until
    }

    /// It is `now`, or still what it was.
    pub fn tick(&mut self, now: u64) {
        if now > self.clock {
            self.clock = now;
        }
        if self.deadline().is_some_and(|until| until <= self.clock) {
            self.limit = None;
        }
    }

    /// A packet is sent.
    pub fn sent(&mut self, len: u16) {
        self.sent.push((self.clock, len));
    }

    /// Packets count in the 32.768 seconds in which they were sent, and in the next 32.768.
    fn longest(&self) -> u16 {
        let epoch = |at: u64| at / 32_768;
        self.sent
            .iter()
            .filter(|(at, _)| epoch(*at) + 1 >= epoch(self.clock))
            .map(|(_, len)| *len)
            .max()
            .unwrap_or(0)
    }

    /// The end of time never comes.
    fn in_ms(&self, later: u64) -> Option<u64> {
        let then = self.clock.checked_add(later)?;
        (then < u64::MAX).then_some(then)
    }

    fn limit_to(&mut self, mtu: u16) {
        if mtu >= self.link {
            self.limit = None;
            return;
        }
        let until = self.raise_after.and_then(|after| self.in_ms(after));
        self.limit = Some(Limit { mtu, until });
    }

    /// §15.4, step by step.
    pub fn report(&mut self, reported: u16, quoted: QuotedLen) -> Effect {
        if self.floor == 65_535 {
            return Effect::Ignored(PathMtuIgnored::Static);
        }
        let mut total_len = quoted.total_len;
        let new = if reported == 0 {
            if total_len >= self.mtu() {
                total_len -= u16::from(quoted.header_len).min(total_len);
            }
            let below = PLATEAUS.iter().rev().find(|plateau| **plateau < total_len);
            below.copied().unwrap_or(0)
        } else {
            reported
        };
        if new < 68 {
            return Effect::Ignored(PathMtuIgnored::BelowMinimum);
        }
        if total_len > self.longest() {
            return Effect::Ignored(PathMtuIgnored::NeverSent);
        }
        if total_len <= new {
            return Effect::Ignored(PathMtuIgnored::PacketFits);
        }
        let current = self.mtu();
        if new >= current {
            self.limit_to(current);
            return Effect::Ignored(PathMtuIgnored::NotLower);
        }
        if new >= self.floor {
            self.limit_to(new);
            return Effect::Lowered { mtu: new };
        }
        if self.floor >= current {
            self.limit_to(current);
            return Effect::Ignored(PathMtuIgnored::AtFloor);
        }
        self.limit_to(self.floor);
        Effect::BelowFloor { mtu: self.floor }
    }

    /// A report that does not say what it is about: §15.4 about the longest packet.
    pub fn unquoted_report(&mut self, reported: u16) -> Effect {
        let total_len = self.longest();
        self.report(
            reported,
            QuotedLen {
                total_len,
                header_len: 0,
            },
        )
    }

    /// EMSGSIZE.
    pub fn local(&mut self, mtu: u16) {
        let mtu = mtu.max(68);
        if mtu <= self.mtu() {
            self.limit_to(mtu);
        }
    }

    /// A packet arrived.
    pub fn confirmed(&mut self, len: u16) {
        let soonest = self.in_ms(120_000);
        let Some(limit) = &mut self.limit else {
            return;
        };
        if len >= self.link {
            self.limit = None;
        } else if len > limit.mtu {
            limit.mtu = len;
            limit.until = limit.until.and_then(|until| Some(until.max(soonest?)));
        }
    }

    /// Another link.
    pub fn set_link(&mut self, mtu: u16) {
        self.link = mtu.max(68);
        if self.mtu() >= self.link {
            self.limit = None;
        }
    }
}
