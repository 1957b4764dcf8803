use core::fmt;
use core::net::Ipv4Addr;

use ipencap::packet::Flow;
use ipencap::wire::IpProtocol;
use zerocopy::FromBytes;

use crate::maglev::scaled;

/// An address that clients know, with its port: a virtual IP (VIP).
///
/// In the order of its fields, without padding, it is the key of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs, reason = "this is what packets tell")]
pub struct Vip {
    /// The address.
    pub address: Ipv4Addr,
    /// The port of TCP or UDP. 0 stands for all ports, and for fragments and the other protocols, which have none.
    pub port: u16,
    /// The protocol.
    pub protocol: IpProtocol,
}

impl Vip {
    /// The VIP that a packet of this flow goes to. The flow is the packet's own ([`own_flow`](crate::own_flow)): of an
    /// IP-in-IP packet, [`Facts::flow`](ipencap::packet::Facts::flow) is that of the packet inside.
    #[inline(always)]
    #[must_use]
    pub const fn of(flow: Flow) -> Self {
        Self {
            address: flow.destination,
            port: flow.destination_port,
            protocol: flow.protocol,
        }
    }

    /// The same with all ports.
    #[inline]
    #[must_use]
    pub const fn any_port(self) -> Self {
        Self { port: 0, ..self }
    }

    /// Eight bytes, the key in a map: address, port, both high byte first, protocol, 0.
    #[inline(always)]
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 8] {
        let [a, b, c, d] = self.address.octets();
        let [high, low] = self.port.to_be_bytes();
        [a, b, c, d, high, low, self.protocol.0, 0]
    }

    /// The same as a number; [`VipEntry::NOBODY`] for what is no VIP.
    #[inline(always)]
    const fn key(self) -> u64 {
        u64::from_be_bytes(self.to_bytes())
    }
}

/// Where the slots of a VIP's pool are, in the memory that holds the slots of all pools. Several VIPs may have the same
/// pool. Eight bytes: the first slot and the number of slots, the value in a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes)]
#[repr(C)]
pub struct Pool {
    first: u32,
    len: u32,
}

impl Pool {
    /// A pool without slots. Its first is where no slot is, so that none of another pool is found.
    pub const EMPTY: Self = Self {
        first: u32::MAX,
        len: 0,
    };

    /// The pool of `len` slots from `first` on; [`EMPTY`](Self::EMPTY) if there are none, or more than `u32` counts.
    #[inline]
    #[must_use]
    pub const fn new(first: u32, len: u32) -> Self {
        match first.checked_add(len) {
            Some(end) if end > first => Self { first, len },
            _ => Self::EMPTY,
        }
    }

    /// The first slot.
    #[inline]
    #[must_use]
    pub const fn first(self) -> u32 {
        self.first
    }

    /// How many slots there are.
    #[inline]
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "an empty one is a mistake")]
    pub const fn len(self) -> u32 {
        self.len
    }

    /// The place of the slot of a flow with this hash.
    #[inline(always)]
    #[must_use]
    pub const fn place(self, hash: u32) -> u32 {
        self.first.wrapping_add(scaled(hash, self.len))
    }
}

impl Default for Pool {
    #[inline]
    fn default() -> Self {
        Self::EMPTY
    }
}

/// An entry of [`Vips`], 16 bytes. The default is one without a VIP, to fill tables with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VipEntry {
    /// The VIP's key.
    key: u64,
    pool: Pool,
}

const _: () = assert!(size_of::<VipEntry>() == 16);

impl VipEntry {
    /// The key of an entry without a VIP.
    const NOBODY: u64 = 0;
}

/// The pools of VIPs, by a hash table in the caller's memory.
#[derive(Clone, Copy, Debug)]
pub struct Vips<'a> {
    /// A power of two, at least two, or none.
    entries: &'a [VipEntry],
    /// So many bits of a hash are not part of a place.
    shift: u32,
}

/// So many entries are looked at for a VIP.
const MOST_PROBES: usize = 16;

/// A VIP has no place near where it is looked for: the table is too full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs, reason = "there is nothing to tell")]
pub struct TableFull;

impl fmt::Display for TableFull {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "too many VIPs for the table: give it four entries for each, and the next power of two",
        )
    }
}

impl core::error::Error for TableFull {}

impl<'a> Vips<'a> {
    /// Puts all VIPs into `entries`, of which the greatest power of two is used. Take four entries for each, and the
    /// next power of two.
    /// Of several pools for one VIP the last counts. The unspecified address without port and protocol is no VIP.
    ///
    /// # Errors
    /// [`TableFull`].
    #[inline]
    pub fn new(
        entries: &'a mut [VipEntry],
        vips: impl IntoIterator<Item = (Vip, Pool)>,
    ) -> Result<Self, TableFull> {
        let bits = entries.len().checked_ilog2().unwrap_or(0);
        let len = match bits {
            0 => 0,
            bits => 1_usize.wrapping_shl(bits),
        };
        let shift = 64_u32.wrapping_sub(bits);
        let entries = entries.get_mut(..len).unwrap_or_default();
        entries.fill(VipEntry::default());
        for (vip, pool) in vips {
            let key = vip.key();
            let is_place = |place: &usize| {
                let entry = entries.get(*place);
                entry.is_some_and(|entry| entry.key == key || entry.key == VipEntry::NOBODY)
            };
            let place = probes(first_place(key, shift), len).find(is_place);
            let entry = place.and_then(|place| entries.get_mut(place));
            *entry.ok_or(TableFull)? = VipEntry { key, pool };
        }
        Ok(Self { entries, shift })
    }

    /// The pool of exactly this VIP.
    #[inline(always)]
    #[must_use]
    pub fn get(&self, vip: Vip) -> Option<Pool> {
        let key = vip.key();
        let first = first_place(key, self.shift);
        // Most are at their first place.
        let entry = self.entries.get(first)?;
        if entry.key == key && key != VipEntry::NOBODY {
            return Some(entry.pool);
        }
        if entry.key == VipEntry::NOBODY {
            return None;
        }
        let place = probes(first, self.entries.len()).skip(1).find(|&place| {
            let entry = self.entries.get(place);
            entry.is_none_or(|entry| entry.key == key || entry.key == VipEntry::NOBODY)
        })?;
        let entry = self.entries.get(place)?;
        (entry.key == key).then_some(entry.pool)
    }
}

/// Where a key would be, alone: by the high bits of a hash.
#[inline(always)]
fn first_place(key: u64, shift: u32) -> usize {
    let hash = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let hash = (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    usize::try_from(hash.wrapping_shr(shift)).unwrap_or(usize::MAX)
}

/// The places where an entry may be, the first free one of which it gets. `len` is a power of two.
#[inline(always)]
fn probes(first: usize, len: usize) -> impl Iterator<Item = usize> {
    let mask = len.wrapping_sub(1);
    (0..MOST_PROBES.min(len)).map(move |probe| first.wrapping_add(probe) & mask)
}
