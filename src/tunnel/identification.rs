use crate::icmp::{halves, mixed};

/// Where the identifications of outer headers come from (RFC 6864 §4.3).
///
/// Every packet to an address has a number, its ordinal. The identification is that number, or a permutation of
/// it by a key: then an observer cannot foretell it (RFC 7739), and still none repeats within 65,536 packets.
///
/// An endpoint counts by address, because peers come, go, move and share addresses. It has a count for each of its
/// paths: addresses may share one, which is 65,536 packets to all of them then.
///
/// Several cores that send to the same peer take ordinals in turn, so their identifications never meet:
/// see [`with_shard`](Self::with_shard).
///
/// ```
/// use ipencap::tunnel::Identifications;
///
/// let counted = Identifications::SEQUENTIAL;
/// assert_eq!([0, 1, 2].map(|ordinal| counted.of(7, ordinal)), [1, 2, 3]);
///
/// // The key is random, and kept secret.
/// let secret = Identifications::keyed(0x1b87_3bd5_d8a4_5f11);
/// let mut seen = vec![false; 65_536];
/// for ordinal in 0..=u16::MAX {
///     seen[usize::from(secret.of(7, ordinal))] = true;
/// }
/// assert!(seen.into_iter().all(|seen| seen));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[must_use]
pub struct Identifications {
    key: Option<[u32; 2]>,
    shard: u16,
    /// A power of two.
    shards: u16,
}

impl Identifications {
    /// One after the other from 1. Whoever sees one can foretell the next.
    pub const SEQUENTIAL: Self = Self {
        key: None,
        shard: 0,
        shards: 1,
    };

    /// Permuted by a secret key.
    #[inline]
    pub const fn keyed(secret: u64) -> Self {
        Self {
            key: Some(halves(secret)),
            ..Self::SEQUENTIAL
        }
    }

    /// The same for one of several cores, each of which counts its own packets. All must have the same
    /// key. `shards` is rounded up to a power of two, at most 32768: each core has as many
    /// identifications less.
    #[inline]
    pub const fn with_shard(self, shard: u16, shards: u16) -> Self {
        let shards = match shards.checked_next_power_of_two() {
            Some(shards) => shards,
            None => 1 << 15,
        };
        Self {
            // The remainder by a power of two.
            shard: shard & shards.wrapping_sub(1),
            shards,
            ..self
        }
    }

    /// The identification of a packet with this ordinal. `destination` tells the addresses apart, each of which has a
    /// permutation of its own: an endpoint takes the peer's outer address, as a number.
    #[inline]
    #[must_use]
    pub fn of(&self, destination: u32, ordinal: u16) -> u16 {
        let ordinal = ordinal.wrapping_mul(self.shards).wrapping_add(self.shard);
        match self.key {
            None => ordinal.wrapping_add(1),
            Some(key) => permuted(key, destination, ordinal),
        }
    }
}

/// A Feistel network of two halves of 8 bits and four rounds: a permutation, whatever the function of a
/// round is.
fn permuted([first, second]: [u32; 2], destination: u32, number: u16) -> u16 {
    let [mut left, mut right] = number.to_be_bytes();
    // Each has its own permutation: the identifications to one tell nothing about another's.
    let own_key = mixed(destination ^ first) ^ second;
    for round in 0..4_u32 {
        let word = mixed(own_key.rotate_left(round) ^ first ^ u32::from(right) ^ (round << 8));
        let [changed, ..] = word.to_be_bytes();
        (left, right) = (right, left ^ changed);
    }
    u16::from_be_bytes([left, right])
}

impl core::fmt::Debug for Identifications {
    /// Without the key.
    #[inline]
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Identifications")
            .field("is_keyed", &self.key.is_some())
            .field("shard", &self.shard)
            .field("shards", &self.shards)
            .finish()
    }
}
