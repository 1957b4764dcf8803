use super::{DEFAULT_FLOOR, MIN_PLPMTU, MIN_RAISE_AFTER, PLATEAUS, RAISE_AFTER, RAISE_INTERVAL};
use crate::error::PathMtuIgnored;
use crate::time::{Duration, Instant};
use crate::wire::{Ipv4Header, is_rare};

/// What a [`PathMtu`] does with reports, and when it is raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(
    clippy::exhaustive_structs,
    reason = "built by the caller, the fields not named from DEFAULT"
)]
pub struct PathMtuConfig {
    /// No report lowers the path MTU below this, in bytes: 552 by default. What a smaller path needs is
    /// told by [`Effect::BelowFloor`]. A value below 68 is taken for 68, and 65535 lets no report change
    /// anything.
    pub floor: u16,
    /// How long after the last report the path MTU is raised: 10 minutes by default, and never less than 5
    /// (RFC 1191 §3). From 49 days on: never.
    pub raise_after: Duration,
}

impl PathMtuConfig {
    /// The defaults.
    pub const DEFAULT: Self = Self {
        floor: DEFAULT_FLOOR,
        raise_after: RAISE_AFTER,
    };

    /// For a path MTU that is configured: no report changes it. Give the configured value to
    /// [`PathMtu::new`] as the MTU of the link.
    pub const STATIC: Self = Self {
        floor: u16::MAX,
        raise_after: RAISE_AFTER,
    };
}

impl Default for PathMtuConfig {
    #[inline]
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The lengths in the header of a packet that a report quotes, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_structs, reason = "built by the caller")]
pub struct QuotedLen {
    /// The total length.
    pub total_len: u16,
    /// The header length.
    pub header_len: u8,
}

impl QuotedLen {
    /// The lengths in this header.
    #[inline]
    #[must_use]
    pub const fn of(header: &Ipv4Header) -> Self {
        Self {
            total_len: header.total_len(),
            header_len: header.header_len(),
        }
    }
}

/// What a report changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
#[must_use]
pub enum Effect {
    /// The path MTU is lower now.
    Lowered {
        /// The new path MTU, in bytes.
        mtu: u16,
    },
    /// The path MTU is lower now, but not as low as the report asks for. Packets of its length may be lost;
    /// a caller that must get them through can clear DF and number its packets (RFC 5927 §7.2).
    BelowFloor {
        /// The new path MTU, the floor, in bytes.
        mtu: u16,
    },
    /// The path MTU has not changed.
    Ignored(PathMtuIgnored),
}

/// The MTU of the path to one tunnel exit, for outer packets (RFC 1191). 32 bytes.
///
/// Tell it of every packet that is [sent](Self::sent), of every report that was
/// [received](Self::on_report), and of every packet that the [system refused](Self::on_local). Each change is
/// told once: by the function that makes it, or by [`poll`](Self::poll).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PathMtu {
    /// The latest instant of all calls.
    seen: Instant,
    /// When the path MTU is raised to the link's; [`Instant::MAX`] for never.
    raise_at: Instant,
    /// In milliseconds; [`u32::MAX`] for never.
    raise_after: u32,
    link_mtu: u16,
    /// At most `link_mtu`, at least 68.
    mtu: u16,
    /// The path MTU that the caller knows of.
    told: u16,
    floor: u16,
    /// The longest packet sent in the epoch of `seen`, and in the one before.
    longest: u16,
    longest_before: u16,
}

/// Sent packets are remembered in this epoch, and in the one before: for 33 to 66 seconds.
const fn epoch(instant: Instant) -> u64 {
    instant.as_millis() >> 15
}

/// How long it is, in milliseconds.
const EPOCH: u64 = 1 << 15;

impl PathMtu {
    /// Of no path: all zero, for memory without a value.
    pub(crate) const UNKNOWN: Self = Self {
        seen: Instant::ZERO,
        raise_at: Instant::ZERO,
        raise_after: 0,
        link_mtu: 0,
        mtu: 0,
        told: 0,
        floor: 0,
        longest: 0,
        longest_before: 0,
    };

    /// The path behind a link of `link_mtu` bytes, of which nothing is known yet: its MTU is the link's. A
    /// link MTU below 68 is taken for 68.
    #[inline]
    #[must_use]
    pub const fn new(link_mtu: u16, config: PathMtuConfig) -> Self {
        let link_mtu = at_least_68(link_mtu);
        Self {
            seen: Instant::ZERO,
            raise_at: Instant::MAX,
            raise_after: millis(config.raise_after, MIN_RAISE_AFTER),
            link_mtu,
            mtu: link_mtu,
            told: link_mtu,
            floor: at_least_68(config.floor),
            longest: 0,
            longest_before: 0,
        }
    }

    /// The path MTU, in bytes: the longest outer packet to send.
    #[inline]
    #[must_use]
    pub fn get(&self, now: Instant) -> u16 {
        if self.is_due(now) {
            self.link_mtu
        } else {
            self.mtu
        }
    }

    /// The MTU for inner packets of a tunnel with this
    /// [overhead](crate::encap::Encapsulate::overhead), in bytes: the path MTU less the overhead, and at
    /// least 68 (RFC 2003 §5.1, RFC 791 §3.2).
    #[inline]
    #[must_use]
    pub fn inner_mtu(&self, now: Instant, overhead: usize) -> u16 {
        let overhead = u16::try_from(overhead).unwrap_or(u16::MAX);
        at_least_68(self.get(now).saturating_sub(overhead))
    }

    /// The MTU of the link, in bytes: the path MTU is never larger.
    #[inline]
    #[must_use]
    pub const fn link_mtu(&self) -> u16 {
        self.link_mtu
    }

    /// An outer packet of `len` bytes is sent. Reports about longer packets than those of the last 33
    /// seconds (up to 66) are not believed.
    #[inline]
    pub fn sent(&mut self, now: Instant, len: u16) {
        self.advance(now);
        self.longest = self.longest.max(len);
    }

    /// Whether nothing changes by the mere passing of time until `now`: then [`get`](Self::get) is
    /// [`current`](Self::current), and [`sent`](Self::sent) is [`sent_soon`](Self::sent_soon).
    #[inline(always)]
    pub(crate) const fn is_quiet(&self, now: Instant) -> bool {
        let (now, seen) = (now.as_millis(), self.seen.as_millis());
        if now >= self.raise_at.as_millis() {
            is_rare();
            return false;
        }
        // In the same epoch they differ in the low bits only.
        now ^ seen < EPOCH
    }

    #[inline(always)]
    pub(crate) const fn current(&self) -> u16 {
        self.mtu
    }

    /// [`sent`](Self::sent) by a caller whose clock does not go back: `seen` may stay behind within its epoch.
    #[inline(always)]
    pub(crate) fn sent_soon(&mut self, len: u32) {
        if len > u32::from(self.longest) {
            is_rare();
            self.longest = u16::try_from(len).unwrap_or(u16::MAX);
        }
    }

    /// A router reported that a packet of ours was too big: ICMP 3/4 with the next-hop MTU `reported`, 0
    /// from a router that knows none (RFC 1191 §4). `quoted` are the lengths of the packet that it quotes.
    ///
    /// Without a reported MTU the next plateau below the quoted length is the estimate (RFC 1191 §5).
    #[inline]
    pub fn on_report(&mut self, now: Instant, reported: u16, quoted: QuotedLen) -> Effect {
        self.advance(now);
        let mtu = match self.judge(reported, quoted) {
            Ok(mtu) => mtu,
            Err(reason) => return Effect::Ignored(reason),
        };
        let floored = mtu.max(self.floor);
        let report = if mtu >= self.mtu {
            Effect::Ignored(PathMtuIgnored::NotLower)
        } else if floored >= self.mtu {
            Effect::Ignored(PathMtuIgnored::AtFloor)
        } else if floored > mtu {
            Effect::BelowFloor { mtu: floored }
        } else {
            Effect::Lowered { mtu }
        };
        if !matches!(report, Effect::Ignored(_)) {
            self.mtu = floored;
            self.told = floored;
        }
        // Also after a report that changes nothing: RFC 1191 §3 counts from the last one.
        self.put_off_raise();
        report
    }

    /// [`on_report`](Self::on_report) where nobody says which packet the report quotes, as in the error queue
    /// of a socket: it is taken to be the longest one sent lately.
    #[inline]
    pub fn on_unquoted_report(&mut self, now: Instant, reported: u16) -> Effect {
        self.advance(now);
        let total_len = self.longest.max(self.longest_before);
        self.on_report(
            now,
            reported,
            QuotedLen {
                total_len,
                header_len: 0,
            },
        )
    }

    /// The system refused a packet as longer than `mtu` bytes (`EMSGSIZE`). That is believed at once, also
    /// below the floor, and raised again like what routers report.
    ///
    /// Returns the new path MTU if it has changed.
    #[inline]
    pub fn on_local(&mut self, now: Instant, mtu: u16) -> Option<u16> {
        self.advance(now);
        let mtu = at_least_68(mtu);
        if mtu <= self.mtu && mtu < self.link_mtu {
            self.mtu = mtu;
            self.put_off_raise();
        }
        self.tell()
    }

    /// The other end has confirmed a packet of `len` bytes. That raises the path MTU, up to the link's; the
    /// next raise by age follows after two minutes or more (RFC 1191 §3).
    ///
    /// Returns the new path MTU if it has changed.
    #[inline]
    pub fn on_confirmed(&mut self, now: Instant, len: u16) -> Option<u16> {
        self.advance(now);
        let len = len.min(self.link_mtu);
        if len > self.mtu {
            self.mtu = len;
            self.raise_at = if len == self.link_mtu {
                Instant::MAX
            } else {
                self.raise_at.max(self.seen + RAISE_INTERVAL)
            };
        }
        self.tell()
    }

    /// The link now has an MTU of `mtu` bytes. The path MTU follows it down; it follows it up only if
    /// nothing has lowered it.
    ///
    /// Returns the new path MTU if it has changed.
    #[inline]
    pub fn set_link_mtu(&mut self, now: Instant, mtu: u16) -> Option<u16> {
        self.advance(now);
        self.change_link(mtu);
        self.tell()
    }

    /// The new path MTU, in bytes, if it has changed and no other function has returned that change: after time or
    /// a [`Prober`](super::Prober) has raised it.
    #[inline]
    pub fn poll(&mut self, now: Instant) -> Option<u16> {
        self.advance(now);
        self.tell()
    }

    /// When the path MTU is raised next; `None` if that is not to be expected. Nothing needs to be done
    /// then, but [`poll`](Self::poll) tells of the change.
    #[inline]
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        (self.raise_at < Instant::MAX).then_some(self.raise_at)
    }

    /// The MTU of which a report tells, or an estimate, if it can be believed (RFC 1191 §5, RFC 5927 §7.2).
    /// It may be above the path MTU or below the floor.
    pub(super) fn judge(&self, reported: u16, quoted: QuotedLen) -> Result<u16, PathMtuIgnored> {
        if self.floor == u16::MAX {
            return Err(PathMtuIgnored::Static);
        }
        let mut len = quoted.total_len;
        let mtu = if reported == 0 {
            // Routers with code of 4.2BSD quote a length that is too large by the header.
            if len >= self.mtu {
                len = len.saturating_sub(u16::from(quoted.header_len));
            }
            let plateau = PLATEAUS.iter().find(|&&plateau| plateau < len);
            plateau.copied().unwrap_or_default()
        } else {
            reported
        };
        if mtu < MIN_PLPMTU {
            Err(PathMtuIgnored::BelowMinimum)
        } else if len > self.longest.max(self.longest_before) {
            Err(PathMtuIgnored::NeverSent)
        } else if len <= mtu {
            Err(PathMtuIgnored::PacketFits)
        } else {
            Ok(mtu)
        }
    }

    /// [`set_link_mtu`](Self::set_link_mtu), which tells of the change.
    pub(super) const fn change_link(&mut self, mtu: u16) {
        let link_mtu = at_least_68(mtu);
        if self.mtu == self.link_mtu || self.mtu >= link_mtu {
            self.mtu = link_mtu;
            self.raise_at = Instant::MAX;
        }
        self.link_mtu = link_mtu;
    }

    /// The smallest value to which a report can lower the path MTU.
    pub(super) fn floor(&self) -> u16 {
        self.floor.min(self.link_mtu)
    }

    /// Sets the path MTU for a prober, at most the link's.
    pub(super) fn set(&mut self, mtu: u16) {
        self.mtu = mtu.min(self.link_mtu);
    }

    /// A prober raises the path MTU, so its age does not.
    pub(super) const fn never_raise(&mut self) {
        self.raise_at = Instant::MAX;
    }

    /// Time goes on to `now`; what is due happens. Returns the time that it is.
    #[cfg_attr(
        not(all(target_os = "none", not(target_pointer_width = "64"))),
        inline(always)
    )]
    pub(crate) fn advance(&mut self, now: Instant) -> Instant {
        if self.is_due(now) {
            self.mtu = self.link_mtu;
            self.raise_at = Instant::MAX;
        }
        let now = now.max(self.seen);
        match epoch(now).wrapping_sub(epoch(self.seen)) {
            0 => {}
            passed => {
                self.longest_before = if passed == 1 { self.longest } else { 0 };
                self.longest = 0;
            }
        }
        self.seen = now;
        now
    }

    /// Whether the path MTU is to be raised. That was not so at any instant before.
    #[inline]
    fn is_due(&self, now: Instant) -> bool {
        if now < self.raise_at {
            return false;
        }
        is_rare();
        self.raise_at < Instant::MAX
    }

    #[cfg_attr(
        all(target_os = "none", not(target_pointer_width = "64")),
        inline(never)
    )]
    fn put_off_raise(&mut self) {
        self.raise_at = if self.raise_after == u32::MAX || self.mtu == self.link_mtu {
            Instant::MAX
        } else {
            self.seen + Duration::from_millis(u64::from(self.raise_after))
        };
    }

    fn tell(&mut self) -> Option<u16> {
        let has_changed = self.told != self.mtu;
        self.told = self.mtu;
        has_changed.then_some(self.mtu)
    }
}

const fn at_least_68(mtu: u16) -> u16 {
    if mtu < MIN_PLPMTU { MIN_PLPMTU } else { mtu }
}

/// The milliseconds of `duration`, at least those of `least`; [`u32::MAX`] if they do not fit.
const fn millis(duration: Duration, least: Duration) -> u32 {
    let (millis, least) = (duration.as_millis(), least.as_millis());
    let millis = if millis < least { least } else { millis };
    let [a, b, c, d, high @ ..] = millis.to_le_bytes();
    if u32::from_le_bytes(high) > 0 {
        u32::MAX
    } else {
        u32::from_le_bytes([a, b, c, d])
    }
}
