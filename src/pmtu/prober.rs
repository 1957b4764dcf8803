use super::{
    BASE_PLPMTU, CONFIRMATION_TIMER, Effect, MAX_PROBES, MIN_PLPMTU, MIN_PROBE_TIMER,
    PMTU_RAISE_TIMER, PROBE_TIMER, PathMtu, QuotedLen,
};
use crate::error::PathMtuIgnored;
use crate::time::{Duration, Instant};

/// Lengths, counts and times of a [`Prober`] (RFC 8899 §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(
    clippy::exhaustive_structs,
    reason = "built by the caller, the fields not named from DEFAULT"
)]
pub struct ProberConfig {
    /// The length that every path is expected to carry, in bytes: 1200 by default, at least 68.
    pub base_plpmtu: u16,
    /// How many probes of one length are lost before the path is taken not to carry it: 3 by default, at
    /// least 1.
    pub max_probes: u8,
    /// How long to wait for a confirmation: 16 seconds by default, at least 1.
    pub probe_timer: Duration,
    /// How long after a search a larger MTU is looked for: 10 minutes by default, at least 1 second;
    /// [`Duration::MAX`] for never.
    pub raise_timer: Duration,
    /// How long a prober that has found the path MTU rests until it confirms it again: 1 minute by default,
    /// at least 1 second. [`Duration::MAX`] for never: where the packets are acknowledged anyway, and the
    /// caller tells of a [black hole](Prober::on_black_hole) (RFC 8899 §5.1.1).
    pub confirmation_timer: Duration,
}

impl ProberConfig {
    /// The defaults.
    pub const DEFAULT: Self = Self {
        base_plpmtu: BASE_PLPMTU,
        max_probes: MAX_PROBES,
        probe_timer: PROBE_TIMER,
        raise_timer: PMTU_RAISE_TIMER,
        confirmation_timer: CONFIRMATION_TIMER,
    };
}

impl Default for ProberConfig {
    #[inline]
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What a [`Prober`] is doing (RFC 8899 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_enums, reason = "the phases of RFC 8899")]
pub enum Phase {
    /// It finds out whether the path carries [`BASE_PLPMTU`].
    Base,
    /// It looks for the path MTU above that.
    Search,
    /// It has found the path MTU, and confirms it from time to time.
    Complete,
    /// The path does not carry [`BASE_PLPMTU`]. It looks for the path MTU below, or has found it.
    Error,
}

/// A packet to be sent so that the other end confirms it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Probe {
    /// The length of the outer packet, in bytes. It must have DF.
    pub len: u16,
}

/// Finds the MTU of a path by sending probes (RFC 8899).
///
/// The path MTU itself is in a [`PathMtu`], which the functions take: so it has one owner, whether it comes
/// from reports or from probes. A prober sets it to the longest confirmed length, and no longer lets time raise it.
/// If the path is raised behind its back, as by [`PathMtu::set_link_mtu`], the prober's next call lowers it again
/// and looks for what a wider link carries. [`PathMtu::poll`] tells of each change.
///
/// The caller sends the probes and tells which are confirmed. What is not confirmed in time is lost, and so
/// is a probe that the caller does not send. Use it only where the other end confirms probes: without any
/// confirmation the path MTU falls to 68 bytes.
///
/// # Search
///
/// The first probe has the base length. If it is confirmed, the MTU of the link follows, or what a router
/// reported; then the middle between the longest confirmed and the shortest lost length, and so on until they
/// are neighbours. If the base is lost, the search is the same below it. A length is lost after
/// [`max_probes`](ProberConfig::max_probes) probes. So at most 18 lengths are tried on any link: the base, the
/// link's MTU, and 16 halves. Reports shorten that, but for those below the floor of the path.
///
/// ```
/// use ipencap::pmtu::{PathMtu, PathMtuConfig, Phase, Prober, ProberConfig};
/// use ipencap::time::Instant;
///
/// let mut path = PathMtu::new(1500, PathMtuConfig::DEFAULT);
/// let mut prober = Prober::new(ProberConfig::DEFAULT);
/// let mut now = Instant::ZERO;
/// while prober.phase(&path) != Phase::Complete {
///     if let Some(probe) = prober.poll(now, &mut path) {
///         // Send an outer packet of this length. This path carries 1400 bytes, and drops the others.
///         if probe.len <= 1400 {
///             prober.on_confirmed(now, probe.len, &mut path);
///         }
///     }
///     now = prober.next_deadline().unwrap_or(now);
/// }
/// assert_eq!(path.get(now), 1400);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Prober {
    config: ProberConfig,
    /// When the probe on its way is lost; without one, when the next is to be sent.
    deadline: Instant,
    /// When a larger MTU is looked for, after a search; [`Instant::MAX`] for never.
    raise_at: Instant,
    /// The longest length confirmed, 68 if none was.
    low: u16,
    /// The longest length that may still pass. The search ends where both are equal.
    high: u16,
    /// The link's MTU when the path was seen last, 0 for none: a wider link is searched.
    link_mtu: u16,
    /// The length of the probe on its way, 0 if there is none.
    probed: u16,
    /// How many probes of that length have been sent.
    probes: u8,
    /// Whether `high` itself is the next length to try, not the middle.
    tries_high: bool,
}

impl Prober {
    /// A prober that has not sent anything. The first [`poll`](Self::poll) sets the path MTU to the base.
    #[inline]
    #[must_use]
    pub const fn new(config: ProberConfig) -> Self {
        Self {
            config: ProberConfig {
                base_plpmtu: if config.base_plpmtu < MIN_PLPMTU {
                    MIN_PLPMTU
                } else {
                    config.base_plpmtu
                },
                max_probes: if config.max_probes == 0 {
                    1
                } else {
                    config.max_probes
                },
                probe_timer: at_least_1_s(config.probe_timer),
                raise_timer: at_least_1_s(config.raise_timer),
                confirmation_timer: at_least_1_s(config.confirmation_timer),
            },
            deadline: Instant::ZERO,
            raise_at: Instant::MAX,
            low: MIN_PLPMTU,
            high: u16::MAX,
            link_mtu: 0,
            probed: 0,
            probes: 0,
            tries_high: true,
        }
    }

    /// What it is doing.
    #[inline]
    #[must_use]
    pub fn phase(&self, path: &PathMtu) -> Phase {
        let base = self.base(path);
        if self.low >= base {
            if self.low < self.high {
                Phase::Search
            } else {
                Phase::Complete
            }
        } else if self.high >= base {
            Phase::Base
        } else {
            Phase::Error
        }
    }

    /// When [`poll`](Self::poll) has something to do next; `None` for never.
    #[inline]
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let next = if self.probed > 0 {
            self.deadline
        } else {
            self.deadline.min(self.raise_at)
        };
        (next < Instant::MAX).then_some(next)
    }

    /// The probe to send now, if any. Call it at the start, at every [deadline](Self::next_deadline), and
    /// after all that the prober is told. The probe counts as [sent](PathMtu::sent).
    #[inline]
    pub fn poll(&mut self, now: Instant, path: &mut PathMtu) -> Option<Probe> {
        let now = self.begin(now, path);
        if self.probed > 0 {
            if !has_come(self.deadline, now) {
                return None;
            }
            if self.probes < self.config.max_probes {
                return Some(self.send(now, self.probed, path));
            }
            self.give_up(now, path);
        } else if has_come(self.raise_at, now) {
            self.raise_at = Instant::MAX;
            self.high = path.link_mtu();
            self.tries_high = true;
        }
        let len = if self.low < self.high {
            self.next_len(path)
        } else if has_come(self.deadline, now) {
            self.low
        } else {
            return None;
        };
        self.probes = 0;
        Some(self.send(now, len, path))
    }

    /// The other end has confirmed a probe of `len` bytes. Only the probe on its way counts.
    ///
    /// Returns the new path MTU if it has changed.
    #[inline]
    pub fn on_confirmed(&mut self, now: Instant, len: u16, path: &mut PathMtu) -> Option<u16> {
        let now = self.begin(now, path);
        if self.probed > 0 && self.probed == len {
            self.probed = 0;
            if len > self.low || self.low < self.high {
                self.low = self.low.max(len);
                self.plan(now, path);
            } else {
                self.deadline = now + self.config.confirmation_timer;
            }
            path.set(self.low);
        }
        path.poll(now)
    }

    /// [`PathMtu::on_report`], for a path with a prober. A report that is believed bounds the search, also
    /// one about a probe, which does not change the path MTU (RFC 8899 §4.6.2).
    ///
    /// If it is below the path MTU, the base is confirmed first, and the path MTU is at most that until then.
    /// A report without an MTU, about a packet that is not longer than the path MTU, is a sign of a [black
    /// hole](Self::on_black_hole).
    #[inline]
    pub fn on_report(
        &mut self,
        now: Instant,
        reported: u16,
        quoted: QuotedLen,
        path: &mut PathMtu,
    ) -> Effect {
        let now = self.begin(now, path);
        let believed = path.judge(reported, quoted);
        if reported == 0 {
            return self.on_report_without_mtu(now, believed, quoted, path);
        }
        let report = path.on_report(now, reported, quoted);
        let bound = believed.map_or(u16::MAX, |mtu| mtu.max(path.floor()));
        if bound < self.low {
            // What was confirmed no longer holds.
            self.low = MIN_PLPMTU;
        }
        self.bound(now, bound, path);
        // The report has set a time to raise the path MTU, and the base is to be confirmed first.
        self.begin(now, path);
        match report {
            Effect::Ignored(_) => report,
            Effect::Lowered { .. } => Effect::Lowered {
                mtu: path.poll(now).unwrap_or(path.get(now)),
            },
            Effect::BelowFloor { .. } => Effect::BelowFloor {
                mtu: path.poll(now).unwrap_or(path.get(now)),
            },
        }
    }

    /// [`PathMtu::on_local`], for a path with a prober.
    ///
    /// Returns the new path MTU if it has changed.
    #[inline]
    pub fn on_local(&mut self, now: Instant, mtu: u16, path: &mut PathMtu) -> Option<u16> {
        let now = self.begin(now, path);
        let mtu = mtu.max(MIN_PLPMTU);
        self.low = self.low.min(mtu);
        self.bound(now, mtu, path);
        path.set(path.get(now).min(mtu));
        path.poll(now)
    }

    /// [`PathMtu::set_link_mtu`], for a path with a prober. It searches again.
    ///
    /// Returns the new path MTU if it has changed.
    #[inline]
    pub fn set_link_mtu(&mut self, now: Instant, mtu: u16, path: &mut PathMtu) -> Option<u16> {
        let now = self.begin(now, path);
        let confirmed = path.get(now);
        path.change_link(mtu);
        path.set(confirmed);
        // Another link is searched, however wide it is.
        self.link_mtu = 0;
        self.begin(now, path);
        path.poll(now)
    }

    /// The caller suspects that packets of the path MTU no longer arrive, because acknowledgments are
    /// missing (RFC 8899 §4.3). The path MTU falls to the base, and the search begins again.
    ///
    /// Returns the new path MTU if it has changed.
    #[inline]
    pub fn on_black_hole(&mut self, now: Instant, path: &mut PathMtu) -> Option<u16> {
        let now = self.begin(now, path);
        self.suspect(now, path);
        path.poll(now)
    }

    fn suspect(&mut self, now: Instant, path: &mut PathMtu) {
        // Otherwise nothing is confirmed, and the search that is under way will find out.
        if self.low > MIN_PLPMTU {
            self.probed = 0;
            self.fall_back(now, path);
        }
    }

    fn on_report_without_mtu(
        &mut self,
        now: Instant,
        believed: Result<u16, PathMtuIgnored>,
        quoted: QuotedLen,
        path: &mut PathMtu,
    ) -> Effect {
        if let Err(reason) = believed {
            return Effect::Ignored(reason);
        }
        let before = path.get(now);
        // Probes find the path MTU exactly, plateaus do not.
        if quoted.total_len <= before {
            self.suspect(now, path);
        }
        let mtu = path.get(now);
        if mtu < before {
            let _ = path.poll(now);
            Effect::Lowered { mtu }
        } else {
            Effect::Ignored(PathMtuIgnored::NotLower)
        }
    }

    /// The smaller of base and link.
    fn base(&self, path: &PathMtu) -> u16 {
        self.config.base_plpmtu.min(path.link_mtu())
    }

    /// What every function does first. Returns the time that it is.
    fn begin(&mut self, now: Instant, path: &mut PathMtu) -> Instant {
        // Before time goes on, so that nothing is due.
        path.never_raise();
        let now = path.advance(now);
        let link_mtu = path.link_mtu();
        if self.high > link_mtu {
            self.low = self.low.min(link_mtu);
            self.bound(now, link_mtu, path);
        } else if self.high < link_mtu && self.link_mtu < link_mtu {
            self.high = link_mtu;
            self.tries_high = true;
            if self.probed == 0 {
                self.plan(now, path);
            }
        }
        self.link_mtu = link_mtu;
        // The path may have been raised since: its owner has told it of a wider link, or a report has aged.
        let safe = if self.low > MIN_PLPMTU {
            self.low
        } else {
            self.base(path).min(self.high)
        };
        path.set(path.get(now).min(safe));
        now
    }

    fn send(&mut self, now: Instant, len: u16, path: &mut PathMtu) -> Probe {
        self.probed = len;
        self.probes = self.probes.saturating_add(1);
        self.deadline = now + self.config.probe_timer;
        path.sent(now, len);
        Probe { len }
    }

    /// The length to try next, above `low` and at most `high`.
    fn next_len(&mut self, path: &PathMtu) -> u16 {
        let base = self.base(path);
        if self.low < base && self.high >= base {
            base
        } else if self.tries_high {
            self.tries_high = false;
            self.high
        } else {
            let half = self.high.wrapping_sub(self.low).div_ceil(2);
            self.low.wrapping_add(half)
        }
    }

    /// All probes of this length are lost.
    fn give_up(&mut self, now: Instant, path: &mut PathMtu) {
        let lost = self.probed;
        self.probed = 0;
        if lost <= self.low {
            self.fall_back(now, path);
            return;
        }
        self.high = lost.saturating_sub(1);
        self.tries_high = false;
        if path.get(now) > self.high {
            path.set(self.low);
        }
        self.plan(now, path);
    }

    /// What was confirmed does not arrive any more. It may again, so it is tried first.
    fn fall_back(&mut self, now: Instant, path: &mut PathMtu) {
        let base = self.base(path);
        let safe = if self.high >= base { base } else { MIN_PLPMTU };
        path.set(path.get(now).min(safe));
        self.low = MIN_PLPMTU;
        self.tries_high = true;
        self.plan(now, path);
    }

    /// Nothing above `high` passes.
    fn bound(&mut self, now: Instant, high: u16, path: &PathMtu) {
        if high >= self.high {
            return;
        }
        self.high = high;
        self.tries_high = true;
        if self.probed > high {
            self.probed = 0;
        }
        if self.probed == 0 {
            self.plan(now, path);
        }
    }

    /// When something is due next, after the search has moved.
    fn plan(&mut self, now: Instant, path: &PathMtu) {
        self.deadline = now;
        self.raise_at = Instant::MAX;
        if self.low < self.high {
            return;
        }
        self.deadline = if self.low > MIN_PLPMTU {
            now + self.config.confirmation_timer
        } else {
            // Every path carries 68 bytes.
            Instant::MAX
        };
        if self.low < path.link_mtu() {
            self.raise_at = now + self.config.raise_timer;
        }
    }
}

/// Whether it is time. [`Instant::MAX`] never comes.
fn has_come(deadline: Instant, now: Instant) -> bool {
    deadline < Instant::MAX && now >= deadline
}

const fn at_least_1_s(timer: Duration) -> Duration {
    if timer.as_millis() < MIN_PROBE_TIMER.as_millis() {
        MIN_PROBE_TIMER
    } else {
        timer
    }
}
