use core::net::Ipv4Addr;
use std::collections::HashMap;

use ipencap_balance::{Member, Pool, Slot, Turn, Vip, VipEntry, Vips, build, table_len};

use super::config::{Balance, PoolConfig};
use crate::Failure;

/// What a configuration comes to: the contents of maps or slices.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Layout {
    /// The address of each backend, by its number.
    pub backends: Vec<Ipv4Addr>,
    /// The pool of each VIP.
    pub vips: Vec<(Vip, Pool)>,
    /// The slots of all pools.
    pub slots: Vec<Slot>,
}

impl Layout {
    /// Numbers the backends, and builds the tables.
    ///
    /// # Errors
    /// There are too many backends, a VIP stands in two pools, or a table cannot be built.
    pub fn new(config: &Balance) -> Result<Self, Failure> {
        let mut new = Self {
            backends: Vec::new(),
            vips: Vec::new(),
            slots: Vec::new(),
        };
        let mut numbers = HashMap::new();
        let mut seen = HashMap::new();
        for (place, pool) in (1..).zip(&config.pool) {
            for &super::Service(vip) in &pool.vip {
                if let Some(other) = seen.insert(vip, place) {
                    let Vip { address, port, .. } = vip;
                    return Err(Failure::new(format!(
                        "the VIP {address}, port {port}, stands in pool {other} and in pool {place}: a VIP has one \
                         pool"
                    )));
                }
            }
            let members = new.members(pool, place, &mut numbers)?;
            new.add(pool, &members)
                .map_err(|error| Failure::new(format!("pool {place}: {error}")))?;
        }
        Ok(new)
    }

    fn members(
        &mut self,
        pool: &PoolConfig,
        place: usize,
        numbers: &mut HashMap<Ipv4Addr, u16>,
    ) -> Result<Vec<Member>, Failure> {
        let mut members: Vec<Member> = Vec::with_capacity(pool.backend.len());
        let mut seen = std::collections::HashSet::new();
        for backend in &pool.backend {
            let address = backend.address;
            if !seen.insert(address) {
                return Err(Failure::new(format!(
                    "pool {place} has the backend {address} twice: give it a weight instead"
                )));
            }
            let next = u16::try_from(self.backends.len()).ok();
            let known = numbers.get(&address).copied();
            let number = known.or(next).filter(|&number| number != Slot::NONE);
            let number =
                number.ok_or_else(|| Failure::new("there are more than 65535 backends"))?;
            if known.is_none() {
                numbers.insert(address, number);
                self.backends.push(address);
            }
            members.push(Member {
                backend: number,
                identity: address.to_bits(),
                weight: backend.weight,
                state: backend.state,
            });
        }
        Ok(members)
    }

    fn add(&mut self, pool: &PoolConfig, members: &[Member]) -> Result<(), String> {
        let len = pool.slots.unwrap_or_else(|| table_len(members));
        let first = self.slots.len();
        let end = u32::try_from(first).ok().and_then(|at| at.checked_add(len));
        // A place that no `u32` tells has no slot.
        let (Some(end), Ok(from)) = (end, u32::try_from(first)) else {
            return Err("the tables have more than 2^32 slots".to_owned());
        };
        if len > 1 << 24 {
            return Err(format!("{len} slots are too many: at most 16777216"));
        }
        self.slots
            .resize(usize::try_from(end).unwrap_or(first), Slot::EMPTY);
        let mut turns = vec![Turn::default(); members.len()];
        build(&mut self.slots[first..], members, &mut turns).map_err(|error| error.to_string())?;
        let vips = pool.vip.iter();
        self.vips
            .extend(vips.map(|&super::Service(vip)| (vip, Pool::new(from, len))));
        Ok(())
    }

    /// The VIPs in `entries`, which becomes as long as it needs.
    ///
    /// # Errors
    /// None that so much room has.
    pub fn vips<'e>(&self, entries: &'e mut Vec<VipEntry>) -> Result<Vips<'e>, Failure> {
        let len = (self.vips.len() * 4).next_power_of_two().max(64);
        entries.clear();
        entries.resize(len, VipEntry::default());
        Vips::new(entries, self.vips.iter().copied()).map_err(|error| Failure::of("VIPs", &error))
    }
}
