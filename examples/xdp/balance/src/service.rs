use core::fmt;
use core::net::Ipv4Addr;

use ipencap::packet::Facts;
use ipencap::wire::IpProtocol;

use crate::maglev::{high_half, scaled};

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
    /// The VIP that a packet goes to, as far as its header tells.
    #[inline(always)]
    #[must_use]
    pub const fn of(packet: &Facts) -> Self {
        let protocol = packet.protocol();
        Self {
            address: packet.destination(),
            // The flow of an IP-in-IP packet is that of the packet inside.
            port: match protocol {
                IpProtocol::TCP | IpProtocol::UDP => packet.flow().destination_port,
                _ => 0,
            },
            protocol,
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

    /// [`VipEntry::NOBODY`] for what is no VIP.
    #[inline(always)]
    const fn key(self) -> u64 {
        u64::from_be_bytes(self.to_bytes())
    }
}

/// Where the slots of a VIP's pool are, in the memory that holds the slots of all pools.
///
/// Several VIPs may have the same pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs, reason = "a span")]
#[repr(C)]
pub struct Pool {
    /// The first slot.
    pub first: u32,
    /// How many there are.
    pub len: u32,
}

impl Pool {
    /// The place of the slot of a flow with this hash. In a pool without slots it is `u32::MAX`, where none is.
    #[inline(always)]
    #[must_use]
    pub const fn place(self, hash: u32) -> u32 {
        match self.len {
            0 => u32::MAX,
            len => self.first.saturating_add(scaled(hash, len)),
        }
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
    entries: &'a [VipEntry],
}

/// So many entries are looked at for a VIP.
const MOST_PROBES: u32 = 16;

/// A VIP has no place near where it is looked for: the table is too full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs, reason = "there is nothing to tell")]
pub struct TableFull;

impl fmt::Display for TableFull {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too many VIPs for the table: give it four entries for each")
    }
}

impl core::error::Error for TableFull {}

impl<'a> Vips<'a> {
    /// Puts all VIPs into `entries`. Take four entries for each, or more. Of several pools for one VIP the last
    /// counts. The unspecified address without port and protocol is no VIP.
    ///
    /// # Errors
    /// [`TableFull`].
    #[inline]
    pub fn new(
        entries: &'a mut [VipEntry],
        vips: impl IntoIterator<Item = (Vip, Pool)>,
    ) -> Result<Self, TableFull> {
        entries.fill(VipEntry::default());
        for (vip, pool) in vips {
            let key = vip.key();
            let is_place = |place: &usize| {
                let entry = entries.get(*place);
                entry.is_some_and(|entry| entry.key == key || entry.key == VipEntry::NOBODY)
            };
            let place = probes(key, entries.len()).find(is_place);
            let entry = place.and_then(|place| entries.get_mut(place));
            *entry.ok_or(TableFull)? = VipEntry { key, pool };
        }
        Ok(Self { entries })
    }

    /// The pool of exactly this VIP.
    #[inline(always)]
    #[must_use]
    pub fn get(&self, vip: Vip) -> Option<Pool> {
        let key = vip.key();
        for place in probes(key, self.entries.len()) {
            let entry = self.entries.get(place)?;
            if entry.key == key {
                return (key != VipEntry::NOBODY).then_some(entry.pool);
            }
            if entry.key == VipEntry::NOBODY {
                return None;
            }
        }
        None
    }
}

/// The places where an entry may be, the first free one of which it gets.
#[inline(always)]
fn probes(key: u64, len: usize) -> impl Iterator<Item = usize> {
    let hash = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let hash = high_half((hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9));
    // More entries than 2^32 are not used.
    let len = u32::try_from(len).unwrap_or(u32::MAX);
    let first = scaled(hash, len);
    (0..MOST_PROBES.min(len)).map(move |probe| {
        let place = first.wrapping_add(probe);
        let place = if place >= len {
            place.wrapping_sub(len)
        } else {
            place
        };
        usize::try_from(place).unwrap_or(usize::MAX)
    })
}
