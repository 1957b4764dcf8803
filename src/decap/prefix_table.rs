//! Prefixes in the caller's memory, sorted, each with the number of what it belongs to.

use core::mem::{replace, swap};
use core::net::Ipv4Addr;

use super::index::Index;
use crate::error::TableError;
use crate::wire::Prefix;

/// The low bits of [`PrefixEntry::link`]: a place in the table, or all ones.
const PLACE_BITS: u32 = 26;
const NO_PLACE: u32 = (1 << PLACE_BITS) - 1;

/// The memory of one prefix of a [`PrefixTable`]: 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefixEntry {
    /// The tenant in the high half, the network in the low one: every prefix is one of 64 bits.
    key: u64,
    value: u32,
    /// The length of the prefix in the high bits. Below, the place of the next shorter prefix that encloses
    /// it; while the table is loaded, its own place.
    link: u32,
}

impl PrefixEntry {
    /// What to fill the memory of a table with.
    pub const EMPTY: Self = Self {
        key: 0,
        value: 0,
        link: NO_PLACE,
    };

    const fn new(tenant: u32, prefix: Prefix, value: u32) -> Self {
        Self {
            key: key(tenant, prefix.network()),
            value,
            link: NO_PLACE | (u32_of(prefix.len()) << PLACE_BITS),
        }
    }

    #[inline(always)]
    pub(super) const fn value(self) -> u32 {
        self.value
    }

    /// The length of the prefix, 0 to 32.
    #[inline(always)]
    pub(super) const fn len(self) -> u32 {
        self.link >> PLACE_BITS
    }

    const fn tenant(self) -> u32 {
        high_half(self.key)
    }

    fn prefix(self) -> Prefix {
        let [.., a, b, c, d] = self.key.to_be_bytes();
        let [.., len] = self.len().to_be_bytes();
        Prefix::new(Ipv4Addr::new(a, b, c, d), len).unwrap_or(Prefix::ANY)
    }

    /// Whether the address and tenant of this key are in the prefix.
    #[inline(always)]
    const fn holds(self, key: u64) -> bool {
        let host_bits = 32u32.wrapping_sub(self.len());
        (self.key ^ key).wrapping_shr(host_bits) == 0
    }

    /// The place of the next shorter prefix that encloses it; beyond every table if there is none.
    #[inline(always)]
    fn parent(self) -> usize {
        usize::try_from(self.link & NO_PLACE).unwrap_or(usize::MAX)
    }

    #[inline]
    fn set_place(&mut self, place: usize) {
        let place = u32::try_from(place).unwrap_or(NO_PLACE).min(NO_PLACE);
        self.link = (self.link & !NO_PLACE) | place;
    }

    /// Entries are sorted by this. An enclosing prefix stands in front of what it encloses.
    const fn order(self) -> (u64, u32) {
        (self.key, self.len())
    }
}

/// Prefixes, each with a number of the caller's, in which the longest that holds an address is found in
/// logarithmic time (RFC 1812 §5.2.4.3).
///
/// The memory is the caller's: 16 bytes a prefix. The same prefix can be in the table once for each tenant:
/// tenants told apart by a GRE key or a UDP port may use the same addresses. Where there is one tenant, it
/// is 0.
///
/// | call | time, with `n` prefixes |
/// |---|---|
/// | [`longest`](Self::longest), [`get`](Self::get) | log `n`, and one step for each shorter prefix that encloses a neighbour, at most 32 |
/// | [`insert`](Self::insert) in ascending order | log `n` |
/// | [`insert`](Self::insert), [`remove`](Self::remove), [`retain`](Self::retain) | `n` |
/// | [`load`](Self::load) | `n` log `n` for all of them, `n` in ascending order |
///
/// ```
/// use ipencap::decap::{PrefixEntry, PrefixTable};
///
/// # fn main() -> Result<(), Box<dyn core::error::Error>> {
/// let mut memory = [PrefixEntry::EMPTY; 8];
/// let mut table = PrefixTable::new(&mut memory);
/// table.insert(0, "10.0.0.0/8".parse()?, 1)?;
/// table.insert(0, "10.1.0.0/16".parse()?, 2)?;
/// assert_eq!(table.longest(0, "10.1.0.5".parse()?), Some(2));
/// assert_eq!(table.longest(0, "10.9.0.5".parse()?), Some(1));
/// assert_eq!(table.longest(7, "10.9.0.5".parse()?), None); // another tenant
///
/// // Peer 3 takes the prefix over; then peer 2 goes, with all that is still its own.
/// assert_eq!(table.insert(0, "10.1.0.0/16".parse()?, 3)?, Some(2));
/// table.retain(|_, _, peer| peer != 2);
/// assert_eq!(table.longest(0, "10.1.0.5".parse()?), Some(3));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PrefixTable<'m> {
    entries: &'m mut [PrefixEntry],
    len: usize,
    index: Index<'m>,
}

impl<'m> PrefixTable<'m> {
    /// The most prefixes of a table, however much memory it has.
    pub const MAX_LEN: usize = 0x3ff_ffff;

    /// An empty table with room for one prefix an entry. What the entries hold does not matter.
    #[inline]
    #[must_use]
    pub const fn new(entries: &'m mut [PrefixEntry]) -> Self {
        Self {
            entries,
            len: 0,
            index: Index::new(&mut []),
        }
    }

    /// The same with memory for an index, which spares most of the search: one number for every one to four
    /// prefixes.
    ///
    /// It divides the range of the prefixes into equal slots, and a search starts in a slot. Where all prefixes
    /// crowd into a few slots, a search takes as long as without an index.
    #[inline]
    #[must_use]
    pub fn with_index(self, index: &'m mut [u32]) -> Self {
        let index = Index::new(index);
        let mut table = Self { index, ..self };
        table.fill_index();
        table
    }

    /// Takes all prefixes out of the table.
    #[inline]
    pub fn clear(&mut self) {
        self.len = 0;
        self.fill_index();
    }

    /// How many prefixes it holds.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds none.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many prefixes it has room for.
    #[inline]
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.entries.len().min(Self::MAX_LEN)
    }

    /// The number of this very prefix.
    #[inline]
    #[must_use]
    pub fn get(&self, tenant: u32, prefix: Prefix) -> Option<u32> {
        let place = self
            .place(PrefixEntry::new(tenant, prefix, 0).order())
            .ok()?;
        self.used().get(place).map(|entry| entry.value)
    }

    /// The number of the longest prefix that holds `address`.
    #[inline]
    #[must_use]
    pub fn longest(&self, tenant: u32, address: Ipv4Addr) -> Option<u32> {
        self.find(tenant, address).map(|entry| entry.value)
    }

    /// The longest prefix that holds `address`, and its number.
    #[inline]
    #[must_use]
    pub fn longest_match(&self, tenant: u32, address: Ipv4Addr) -> Option<(Prefix, u32)> {
        let entry = self.find(tenant, address)?;
        Some((entry.prefix(), entry.value))
    }

    /// Puts a prefix into the table, or gives it another number. Returns the number that it had.
    ///
    /// # Errors
    /// [`TableError::Full`] if the prefix is new and there is no room. Nothing has changed then.
    #[inline]
    pub fn insert(
        &mut self,
        tenant: u32,
        prefix: Prefix,
        value: u32,
    ) -> Result<Option<u32>, TableError> {
        self.insert_entry(PrefixEntry::new(tenant, prefix, value))
    }

    /// Puts many prefixes into the table, as [`insert`](Self::insert) would one after the other, but sorts
    /// once.
    ///
    /// # Errors
    /// [`TableError::Full`] if there are fewer free entries than prefixes, counting those that are in the
    /// table already or come twice. Nothing has changed then.
    #[inline]
    pub fn load(
        &mut self,
        prefixes: impl IntoIterator<Item = (u32, Prefix, u32)>,
    ) -> Result<(), TableError> {
        let (old_len, capacity) = (self.len, self.capacity());
        let mut new_len = old_len;
        for (tenant, prefix, value) in prefixes {
            let free = self.entries.get_mut(..capacity).unwrap_or_default();
            let slot = free.get_mut(new_len).ok_or(TableError::Full)?;
            *slot = PrefixEntry::new(tenant, prefix, value);
            new_len = new_len.wrapping_add(1);
        }
        self.len = new_len;
        self.arrange();
        Ok(())
    }

    /// Takes this very prefix out of the table. Returns its number.
    #[inline]
    pub fn remove(&mut self, tenant: u32, prefix: Prefix) -> Option<u32> {
        let place = self
            .place(PrefixEntry::new(tenant, prefix, 0).order())
            .ok()?;
        Some(self.remove_at(place).value)
    }

    /// Keeps the prefixes of which `keep` is true, given tenant, prefix and number, in ascending order.
    #[inline]
    pub fn retain(&mut self, mut keep: impl FnMut(u32, Prefix, u32) -> bool) {
        self.keep(|entry, _| keep(entry.tenant(), entry.prefix(), entry.value));
    }

    /// All prefixes with tenant and number, in ascending order.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = (u32, Prefix, u32)> + '_ {
        let fields = |entry: &PrefixEntry| (entry.tenant(), entry.prefix(), entry.value);
        self.used().iter().map(fields)
    }

    #[inline(always)]
    fn used(&self) -> &[PrefixEntry] {
        self.entries.get(..self.len).unwrap_or_default()
    }

    #[inline(always)]
    fn used_mut(&mut self) -> &mut [PrefixEntry] {
        self.entries.get_mut(..self.len).unwrap_or_default()
    }

    /// The last entry: of the highest tenant that has one.
    #[inline(always)]
    pub(super) fn last_tenant(&self) -> u32 {
        self.used().last().map_or(0, |entry| entry.tenant())
    }

    /// The entry of the longest prefix that holds `address`.
    ///
    /// The last entry that does not come behind the address is it, or is enclosed by it: a prefix between
    /// the two that does not hold the address has ended in front of it.
    // One copy for all searches of a packet is as fast, and a quarter of the code.
    #[inline(never)]
    pub(super) fn find(&self, tenant: u32, address: Ipv4Addr) -> Option<&PrefixEntry> {
        let (used, key) = (self.used(), key(tenant, address));
        let (start, end) = self.index.window(key, self.len);
        let window = used.get(start..end).unwrap_or_default();
        let behind = start.wrapping_add(window.partition_point(|entry| entry.key <= key));
        let mut entry = used.get(behind.wrapping_sub(1))?;
        while !entry.holds(key) {
            entry = used.get(entry.parent())?;
        }
        Some(entry)
    }

    /// Whether each of two addresses is in the table as a prefix of 32 bits, where this tenant has no shorter
    /// ones.
    // Own addresses: most tables have one or two, for which a search is too much.
    #[inline]
    pub(crate) fn are_hosts(&self, tenant: u32, a: Ipv4Addr, b: Ipv4Addr) -> (bool, bool) {
        const FEW: usize = 4;
        let used = self.used();
        if used.len() > FEW {
            let is_host = |address| self.find(tenant, address).is_some();
            return (is_host(a), is_host(b));
        }
        let (key_a, key_b) = (key(tenant, a), key(tenant, b));
        used.iter().fold((false, false), |(is_a, is_b), entry| {
            (is_a || entry.key == key_a, is_b || entry.key == key_b)
        })
    }

    /// The place of the entry with this order, or where it would stand.
    fn place(&self, order: (u64, u32)) -> Result<usize, usize> {
        let place = self.used().partition_point(|entry| entry.order() < order);
        match self.used().get(place) {
            Some(entry) if entry.order() == order => Ok(place),
            _ => Err(place),
        }
    }

    fn insert_entry(&mut self, mut entry: PrefixEntry) -> Result<Option<u32>, TableError> {
        let place = match self.place(entry.order()) {
            Err(place) => place,
            Ok(place) => {
                let found = self.used_mut().get_mut(place);
                return Ok(found.map(|found| replace(&mut found.value, entry.value)));
            }
        };
        if self.len >= self.capacity() {
            return Err(TableError::Full);
        }
        self.len = self.len.wrapping_add(1);
        for slot in self.used_mut().get_mut(place..).unwrap_or_default() {
            swap(slot, &mut entry);
        }
        self.link(place);
        Ok(None)
    }

    fn remove_at(&mut self, place: usize) -> PrefixEntry {
        let mut entry = PrefixEntry::EMPTY;
        let behind = self.used_mut().get_mut(place..).unwrap_or_default();
        for slot in behind.iter_mut().rev() {
            swap(slot, &mut entry);
        }
        self.len = self.len.saturating_sub(1);
        self.link(place);
        entry
    }

    /// Keeps the entries of which `keep` is true, given the next one too.
    fn keep(&mut self, mut keep: impl FnMut(PrefixEntry, Option<&PrefixEntry>) -> bool) {
        let mut kept = 0usize;
        for place in 0..self.len {
            let Some(&entry) = self.entries.get(place) else {
                break;
            };
            let next = self.used().get(place.wrapping_add(1));
            if keep(entry, next) {
                if let Some(slot) = self.entries.get_mut(kept) {
                    *slot = entry;
                }
                kept = kept.wrapping_add(1);
            }
        }
        self.len = kept;
        self.link(0);
    }

    /// Sorts all entries. Of several of the same prefix the last stays.
    fn arrange(&mut self) {
        for (place, entry) in self.used_mut().iter_mut().enumerate() {
            entry.set_place(place);
        }
        // The place in the low bits of the link decides between entries of the same prefix.
        if !self.used().is_sorted_by_key(place_order) {
            sort(self.used_mut());
        }
        self.keep(|entry, next| next.is_none_or(|next| next.order() != entry.order()));
    }

    /// Finds for each entry from `first` on the next shorter prefix that encloses it: the entry in front of
    /// it, or one of those that enclose that.
    fn link(&mut self, first: usize) {
        for place in first..self.len {
            let used = self.used();
            let Some(&entry) = used.get(place) else {
                return;
            };
            let mut parent = place.wrapping_sub(1);
            while let Some(candidate) = used.get(parent) {
                if candidate.holds(entry.key) {
                    break;
                }
                parent = candidate.parent();
            }
            if let Some(entry) = self.entries.get_mut(place) {
                entry.set_place(parent);
            }
        }
        self.fill_index();
    }

    fn fill_index(&mut self) {
        let used = self.entries.get(..self.len).unwrap_or_default();
        // A default route would make the range that of all addresses.
        let first = used.iter().find(|entry| entry.len() > 0);
        let keys = used.iter().map(|entry| entry.key);
        self.index.fill(first.map(|entry| entry.key), keys);
    }
}

#[inline(always)]
const fn key(tenant: u32, address: Ipv4Addr) -> u64 {
    let [tenant_0, tenant_1, tenant_2, tenant_3] = tenant.to_be_bytes();
    let [a, b, c, d] = address.octets();
    u64::from_be_bytes([tenant_0, tenant_1, tenant_2, tenant_3, a, b, c, d])
}

const fn high_half(key: u64) -> u32 {
    let [a, b, c, d, ..] = key.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

const fn u32_of(byte: u8) -> u32 {
    u32::from_be_bytes([0, 0, 0, byte])
}

const fn place_order(entry: &PrefixEntry) -> (u64, u32) {
    (entry.key, entry.link)
}

/// Heapsort: `core`'s sorts have a panic for orders that contradict themselves.
fn sort(entries: &mut [PrefixEntry]) {
    for root in (0..entries.len()).rev() {
        sift(entries, root);
    }
    for end in (1..entries.len()).rev() {
        if let Some([first, .., last]) = entries.get_mut(..=end) {
            swap(first, last);
        }
        sift(entries.get_mut(..end).unwrap_or_default(), 0);
    }
}

/// Moves the entry at `root` down until no entry below it is greater.
fn sift(heap: &mut [PrefixEntry], mut root: usize) {
    let Some(&moved) = heap.get(root) else {
        return;
    };
    loop {
        let left = root.saturating_mul(2).saturating_add(1);
        let right = left.saturating_add(1);
        let (place, child) = match (heap.get(left), heap.get(right)) {
            (Some(a), Some(b)) if place_order(a) < place_order(b) => (right, *b),
            (Some(a), _) => (left, *a),
            _ => break,
        };
        if place_order(&child) <= place_order(&moved) {
            break;
        }
        if let Some(slot) = heap.get_mut(root) {
            *slot = child;
        }
        root = place;
    }
    if let Some(slot) = heap.get_mut(root) {
        *slot = moved;
    }
}

const _: () = assert!(size_of::<PrefixEntry>() == 16);
