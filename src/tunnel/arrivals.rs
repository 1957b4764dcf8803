//! Which peer sends what: the peers in the order of their [`Arrival`]s.

use core::mem::swap;
use core::net::Ipv4Addr;

use super::arrival::Arrival;
use crate::decap::Index;

/// The memory for finding one peer of a [`PeerTable`](super::PeerTable): 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArrivalEntry {
    rest: u64,
    source: u32,
    place: u32,
}

impl ArrivalEntry {
    /// What to fill the memory of a table with.
    pub const EMPTY: Self = Self {
        rest: 0,
        source: 0,
        place: 0,
    };

    fn new(arrival: &Arrival, place: u32) -> Self {
        let present = |is_some: bool| u64::from(is_some);
        let number = (present(arrival.number().is_some()) << 32)
            | u64::from(arrival.number().unwrap_or_default());
        let port = (present(arrival.source_port().is_some()) << 16)
            | u64::from(arrival.source_port().unwrap_or_default());
        Self {
            // 8, 33 and 17 bits: different arrivals have different keys.
            rest: (u64::from(arrival.protocol().0) << 50) | (number << 17) | port,
            source: u32::from(arrival.source()),
            place,
        }
    }

    const fn key(&self) -> (u32, u64) {
        (self.source, self.rest)
    }
}

/// A sorted part of the caller's memory.
#[derive(Debug)]
pub(super) struct Arrivals<'m> {
    entries: &'m mut [ArrivalEntry],
    len: usize,
    /// By the source address.
    index: Index<'m>,
}

impl<'m> Arrivals<'m> {
    pub(super) const fn new(entries: &'m mut [ArrivalEntry]) -> Self {
        Self {
            entries,
            len: 0,
            index: Index::new(&mut []),
        }
    }

    pub(super) fn set_index(&mut self, starts: &'m mut [u32]) {
        self.index = Index::new(starts);
        self.fill_index();
    }

    fn fill_index(&mut self) {
        let used = self.entries.get(..self.len).unwrap_or_default();
        let keys = used.iter().map(|entry| u64::from(entry.source));
        self.index.fill(keys.clone().next(), keys);
    }

    fn used(&self) -> &[ArrivalEntry] {
        self.entries.get(..self.len).unwrap_or_default()
    }

    /// The place of the first entry that has this key or a higher one.
    fn place_of(&self, key: (u32, u64)) -> usize {
        let (source, _) = key;
        let (start, end) = self.index.window(u64::from(source), self.len);
        let window = self.used().get(start..end).unwrap_or_default();
        start.wrapping_add(window.partition_point(|entry| entry.key() < key))
    }

    pub(super) fn get(&self, arrival: &Arrival) -> Option<u32> {
        let wanted = ArrivalEntry::new(arrival, 0);
        let found = self.used().get(self.place_of(wanted.key()))?;
        (found.key() == wanted.key()).then_some(found.place)
    }

    /// The place of the `number`th peer with this source address.
    pub(super) fn nth_from(&self, source: Ipv4Addr, number: usize) -> Option<u32> {
        let source = u32::from(source);
        let first = self.place_of((source, 0));
        let found = self.used().get(first.checked_add(number)?)?;
        (found.source == source).then_some(found.place)
    }

    /// Adds an arrival that is not there. `false` if there is no room.
    pub(super) fn insert(&mut self, arrival: &Arrival, place: u32) -> bool {
        let mut entry = ArrivalEntry::new(arrival, place);
        let at = self.place_of(entry.key());
        let end = self.len.saturating_add(1);
        let Some(behind) = self.entries.get_mut(at..end) else {
            return false;
        };
        for slot in behind {
            swap(slot, &mut entry);
        }
        self.len = end;
        self.fill_index();
        true
    }

    pub(super) fn remove(&mut self, arrival: &Arrival) {
        let wanted = ArrivalEntry::new(arrival, 0);
        let at = self.place_of(wanted.key());
        let Some(behind) = self.entries.get_mut(at..self.len) else {
            return;
        };
        if behind
            .first()
            .is_none_or(|found| found.key() != wanted.key())
        {
            return;
        }
        let mut moved = ArrivalEntry::EMPTY;
        for slot in behind.iter_mut().rev() {
            swap(slot, &mut moved);
        }
        self.len = self.len.saturating_sub(1);
        self.fill_index();
    }
}

const _: () = assert!(size_of::<ArrivalEntry>() == 16);
