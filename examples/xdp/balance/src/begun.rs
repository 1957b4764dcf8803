/// A record of connections that have begun while a table changes, in the caller's memory.
///
/// It is asked only about TCP packets in slots that [change](crate::Slot::is_changing): whoever stands here goes to
/// the new backend, all others to the old one. So a balancer at rest writes and reads nothing here, however many
/// connections there are or an attacker opens.
///
/// Four bytes a connection, its flow's hash, in sets of eight. A set that is full forgets its oldest: the rest of
/// that connection goes to the old backend, which refuses it. Give it twice as many entries as connections begin
/// in changing slots before the change is [finished](crate::finish).
#[derive(Debug)]
pub struct Begun<'a> {
    sets: &'a mut [Set],
}

/// Eight hashes, the newest first, 0 where there is none: half a cache line.
pub type Set = [u32; 8];

impl<'a> Begun<'a> {
    /// The record in this memory: an empty one, if it is all 0.
    #[inline]
    pub const fn new(sets: &'a mut [Set]) -> Self {
        Self { sets }
    }

    /// Forgets all connections.
    #[inline]
    pub fn clear(&mut self) {
        self.sets.fill([0; 8]);
    }

    /// Whether a flow with this hash has begun.
    #[inline]
    #[must_use]
    pub fn contains(&self, hash: u32) -> bool {
        let set = set_of(hash, self.sets.len()).and_then(|place| self.sets.get(place));
        set.is_some_and(|set| set.contains(&entry(hash)))
    }

    /// Notes that a flow with this hash has begun.
    #[inline]
    pub fn insert(&mut self, hash: u32) {
        let place = set_of(hash, self.sets.len());
        let Some(set) = place.and_then(|place| self.sets.get_mut(place)) else {
            return;
        };
        if !set.contains(&entry(hash)) {
            set.rotate_right(1);
            set[0] = entry(hash);
        }
    }
}

/// By bits that differ within a slot: its flows have the high ones in common.
fn set_of(hash: u32, sets: usize) -> Option<usize> {
    let sets = u32::try_from(sets).unwrap_or(u32::MAX);
    let place = crate::maglev::scaled(hash.wrapping_mul(0x9e37_79b1), sets);
    usize::try_from(place).ok()
}

/// 0 means none.
const fn entry(hash: u32) -> u32 {
    if hash == 0 { 1 } else { hash }
}
