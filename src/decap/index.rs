//! Where to start a search in a sorted list.

/// Divides the range of the sorted keys into equal slots, and remembers where each slot begins in the list.
#[derive(Debug)]
pub(crate) struct Index<'m> {
    /// At each slot how many entries belong into lower ones.
    starts: &'m mut [u32],
    /// The key from which slots count.
    first: u64,
    /// How far a key is shifted to be a slot.
    shift: u32,
}

impl<'m> Index<'m> {
    /// Of an empty list.
    #[inline]
    pub(crate) const fn new(starts: &'m mut [u32]) -> Self {
        // One slot says nothing, and keys of 64 bits cannot be shifted to nothing.
        let starts = if starts.len() < 2 { &mut [] } else { starts };
        Self {
            starts,
            first: 0,
            shift: 0,
        }
    }

    /// Between which places of a list of `len` entries the first one behind `key` lies.
    #[inline(always)]
    pub(crate) fn window(&self, key: u64, len: usize) -> (usize, usize) {
        if self.starts.is_empty() {
            return (0, len);
        }
        let slot = self.slot(key);
        (
            self.start_of(slot, len),
            self.start_of(slot.saturating_add(1), len),
        )
    }

    /// Divides the keys into as many slots as there is room for, or half of them. They are the keys of all
    /// entries; the slots are those of the range from `first` to the last key.
    pub(crate) fn fill<K>(&mut self, first: Option<u64>, keys: K)
    where
        K: Iterator<Item = u64> + DoubleEndedIterator + Clone,
    {
        if self.starts.is_empty() {
            return;
        }
        self.first = first.unwrap_or(0);
        self.shift = 0;
        let last = keys.clone().next_back().unwrap_or(0);
        while self.slot(last) >= self.starts.len() && self.shift < 63 {
            self.shift = self.shift.wrapping_add(1);
        }
        let (mut free, mut len) = (0, 0u32);
        for key in keys {
            // Slots without an entry start where the next one does.
            let slot = self.slot(key);
            self.fill_slots(free, slot, len);
            free = free.max(slot.saturating_add(1));
            len = len.saturating_add(1);
        }
        self.fill_slots(free, usize::MAX, len);
    }

    fn fill_slots(&mut self, first: usize, last: usize, start: u32) {
        let behind = last.saturating_add(1).min(self.starts.len());
        self.starts
            .get_mut(first..behind)
            .unwrap_or_default()
            .fill(start);
    }

    /// The slot for a key. A higher key has no lower slot.
    #[inline(always)]
    fn slot(&self, key: u64) -> usize {
        let slot = key.saturating_sub(self.first).wrapping_shr(self.shift);
        usize::try_from(slot).unwrap_or(usize::MAX)
    }

    /// How many entries belong into lower slots than this one.
    #[inline(always)]
    fn start_of(&self, slot: usize, len: usize) -> usize {
        let start = self.starts.get(slot);
        let start = start.and_then(|&start| usize::try_from(start).ok());
        start.unwrap_or(len)
    }
}
