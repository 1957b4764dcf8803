//! Time as the caller tells it: the crate reads no clock.
//!
//! What depends on time takes an [`Instant`] with each call. A clock that runs backwards is taken to stand
//! still.
//!
//! ```
//! use ipencap::time::{Duration, Instant};
//!
//! let start = Instant::from_millis(5_000);
//! let deadline = start + Duration::from_secs(30);
//! assert_eq!(deadline.as_millis(), 35_000);
//! assert_eq!(deadline.since(start), Duration::from_secs(30));
//! assert_eq!(start.since(deadline), Duration::ZERO);
//! ```
//!
//! An [`Instant`] has 64 bits and never wraps. A tick of 32 bits does, after 49.7 days if it counts milliseconds,
//! and would seem to stand still from then on. Widen it: add up what has passed since it was read before. Read it at
//! least once before it has gone all the way round.
//!
//! ```
//! # use ipencap::time::{Duration, Instant};
//! # let mut ticks = [4_294_967_000_u32, 4_294_967_290, 4, 1004].into_iter();
//! # let mut read_tick = || ticks.next().unwrap();
//! let mut last = read_tick(); // 4_294_967_000
//! let mut now = Instant::ZERO;
//! for _ in 0..3 {
//!     // In the loop of the firmware:
//!     let tick: u32 = read_tick();
//!     now = now + Duration::from_millis(u64::from(tick.wrapping_sub(last)));
//!     last = tick;
//! }
//! assert_eq!(now, Instant::from_millis(1300)); // at the tick 1004, once round
//! ```

use core::fmt;
use core::ops::Add;

/// A point in time: milliseconds since a moment of the caller's choice, such as the start of the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Instant(u64);

impl Instant {
    /// The moment from which the caller counts.
    pub const ZERO: Self = Self(0);

    /// The last instant there is: a deadline that never comes.
    pub const MAX: Self = Self(u64::MAX);

    /// So many milliseconds after the moment from which the caller counts.
    #[inline]
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the moment from which the caller counts.
    #[inline]
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; nothing if it is before.
    #[inline]
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// The instant so much later, at most [`Instant::MAX`].
    #[inline]
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.0))
    }
}

impl fmt::Display for Instant {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

/// A length of time, in milliseconds.
///
/// Smaller than [`core::time::Duration`] and without its divisions; it converts from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Duration(u64);

impl Duration {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// Longer than anything lasts.
    pub const MAX: Self = Self(u64::MAX);

    /// So many milliseconds.
    #[inline]
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// So many seconds, at most [`Duration::MAX`].
    #[inline]
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// How many milliseconds it is.
    #[inline]
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }
}

impl From<core::time::Duration> for Duration {
    /// Rounds down to milliseconds, and to [`Duration::MAX`] what is longer.
    #[inline]
    fn from(duration: core::time::Duration) -> Self {
        Self(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Duration {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}
