use crate::time::Instant;

/// How many ICMP errors are sent to one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(
    clippy::exhaustive_structs,
    reason = "a rate, a burst and a secret are all there is"
)]
pub struct BucketConfig {
    /// At most so many errors in a second, over a long time. On average two thirds of it, see [`Bucket`].
    pub per_second: u16,
    /// At most so many errors at once; 65535 for no limit at all. Below 4 there is nothing for
    /// [`take_spare`](Bucket::take_spare): an endpoint relays no errors of routers then, and tells later sources of none.
    pub burst: u16,
    /// A secret number, another for each bucket.
    pub key: u64,
}

/// Limits the rate of ICMP errors to one peer: a token bucket (RFC 1812 §4.3.2.8).
///
/// A limit that others can predict tells them how many errors this host has sent, and with that, for
/// example, which UDP ports are open (CVE-2020-25705). So keep a bucket for each peer, not one for all. And
/// each error costs between one and two tokens: how many is drawn from the key, so that counting
/// errors does not show how many tokens are left.
///
/// ```
/// use ipencap::icmp::{Bucket, BucketConfig};
/// use ipencap::time::{Duration, Instant};
///
/// let secret = 0x0123_4567_89ab_cdef; // from the system's random numbers
/// let mut bucket = Bucket::new(BucketConfig { per_second: 10, burst: 6, key: secret });
/// let now = Instant::from_millis(5_000);
/// let sent = (0..100).filter(|_| bucket.take(now)).count();
/// assert!((3..=6).contains(&sent));
/// assert!(bucket.take(now + Duration::from_secs(1)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Bucket {
    last: Instant,
    /// A counter, and the rest of the key.
    random: [u32; 2],
    /// In thousandths of a token, and [`MOST_DEBT`] more: an error may cost more than is there.
    tokens: u32,
    per_second: u16,
    burst: u16,
}

const _: () = assert!(size_of::<Bucket>() <= 24);

/// A token in the unit of the bucket: a token per second is a unit per millisecond.
const TOKEN: u32 = 1000;

/// How much more than a token an error costs at most.
const MOST_DEBT: u32 = 1023;

/// So many tokens are kept for an answer: then one is left after an error that costs most.
const LEAST_KEPT: u16 = 3;

impl Bucket {
    /// Of nobody: all zero, for memory without a value.
    pub(crate) const UNKNOWN: Self = Self {
        last: Instant::ZERO,
        random: [0; 2],
        tokens: 0,
        per_second: 0,
        burst: 0,
    };

    /// A full bucket.
    #[inline]
    pub const fn new(config: BucketConfig) -> Self {
        Self {
            last: Instant::ZERO,
            random: halves(config.key),
            tokens: capacity(config.burst),
            per_second: config.per_second,
            burst: config.burst,
        }
    }

    /// Whether an error may be sent `now`. If so, it is counted.
    ///
    /// A clock that runs backwards stands still; one that jumps ahead fills the bucket once.
    #[inline]
    pub fn take(&mut self, now: Instant) -> bool {
        self.take_above(now, 0)
    }

    /// The same for an error that others can cause at will, such as one that is relayed: it may be sent if it leaves
    /// half of the burst, and always enough for [`take`](Self::take). A burst below 4 has nothing to spare.
    #[inline]
    pub fn take_spare(&mut self, now: Instant) -> bool {
        self.take_above(now, (self.burst / 2).max(LEAST_KEPT))
    }

    /// Takes a token if that leaves `kept` of them.
    fn take_above(&mut self, now: Instant, kept: u16) -> bool {
        if self.burst == u16::MAX {
            return true;
        }
        let elapsed = now.since(self.last).as_millis();
        self.last = self.last.max(now);
        let gained = u32::try_from(elapsed)
            .unwrap_or(u32::MAX)
            .saturating_mul(u32::from(self.per_second));
        self.tokens = self.tokens.saturating_add(gained).min(capacity(self.burst));
        if self.tokens < capacity(kept).saturating_add(TOKEN) {
            return false;
        }
        self.tokens = self
            .tokens
            .saturating_sub(TOKEN.saturating_add(self.next_random()));
        true
    }

    /// The next of a sequence of numbers from 0 to 1023 that depends on the key.
    const fn next_random(&mut self) -> u32 {
        let [counter, key] = &mut self.random;
        *counter = counter.wrapping_add(0x9e37_79b9);
        mixed(mixed(*counter) ^ *key) >> 22
    }
}

/// The high and the low half.
#[inline]
#[allow(clippy::many_single_char_names, reason = "bytes have no other names")]
pub(crate) const fn halves(secret: u64) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = secret.to_be_bytes();
    [
        u32::from_be_bytes([a, b, c, d]),
        u32::from_be_bytes([e, f, g, h]),
    ]
}

/// A word in which every bit depends on every bit of `word`.
#[cfg_attr(
    all(target_os = "none", not(target_pointer_width = "64")),
    inline(never)
)]
pub(crate) const fn mixed(word: u32) -> u32 {
    let word = (word ^ (word >> 16)).wrapping_mul(0x7feb_352d);
    let word = (word ^ (word >> 15)).wrapping_mul(0x846c_a68b);
    word ^ (word >> 16)
}

/// What a full bucket holds.
const fn capacity(burst: u16) -> u32 {
    let [high, low] = burst.to_be_bytes();
    u32::from_be_bytes([0, 0, high, low])
        .wrapping_mul(TOKEN)
        .wrapping_add(MOST_DEBT)
}
