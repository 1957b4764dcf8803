use ipencap::error::TableError;

use super::{Net, in_net};

/// Prefixes with their tenants and numbers in no order.
#[derive(Clone, Debug, Default)]
pub struct NaiveTable {
    /// Tenant, prefix, number.
    pub prefixes: Vec<(u32, Net, u32)>,
    /// The most that there may be.
    pub capacity: usize,
}

impl NaiveTable {
    /// The number of this very prefix.
    #[must_use]
    pub fn get(&self, tenant: u32, net: Net) -> Option<u32> {
        let is_it = |entry: &&(u32, Net, u32)| (entry.0, entry.1) == (tenant, net);
        self.prefixes.iter().find(is_it).map(|entry| entry.2)
    }

    /// Puts a prefix in or gives it another number.
    ///
    /// # Errors
    /// The table is full.
    pub fn insert(&mut self, tenant: u32, net: Net, value: u32) -> Result<Option<u32>, TableError> {
        let old = self.get(tenant, net);
        if old.is_none() && self.prefixes.len() == self.capacity {
            return Err(TableError::Full);
        }
        self.remove(tenant, net);
        self.prefixes.push((tenant, net, value));
        Ok(old)
    }

    /// Puts many in, if there is room for all, even if some are in it already.
    ///
    /// # Errors
    /// There is not.
    pub fn load(&mut self, prefixes: &[(u32, Net, u32)]) -> Result<(), TableError> {
        if self.prefixes.len() + prefixes.len() > self.capacity {
            return Err(TableError::Full);
        }
        for &(tenant, net, value) in prefixes {
            self.insert(tenant, net, value)?;
        }
        Ok(())
    }

    /// Takes a prefix out.
    pub fn remove(&mut self, tenant: u32, net: Net) -> Option<u32> {
        let old = self.get(tenant, net);
        self.prefixes.retain(|&(t, n, _)| (t, n) != (tenant, net));
        old
    }

    /// Takes out all with this number.
    pub fn remove_value(&mut self, value: u32) {
        self.prefixes.retain(|&(.., other)| other != value);
    }

    /// The longest prefix of a tenant that holds an address.
    #[must_use]
    pub fn longest(&self, tenant: u32, address: [u8; 4]) -> Option<(Net, u32)> {
        let holding = |entry: &&(u32, Net, u32)| entry.0 == tenant && in_net(address, entry.1);
        let longest = self.prefixes.iter().filter(holding);
        longest
            .max_by_key(|entry| entry.1.1)
            .map(|&(_, net, value)| (net, value))
    }

    /// All of them, by tenant, then address, then length.
    #[must_use]
    pub fn sorted(&self) -> Vec<(u32, Net, u32)> {
        let mut sorted = self.prefixes.clone();
        sorted.sort_unstable();
        sorted
    }
}
