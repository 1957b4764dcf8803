use core::net::Ipv4Addr;

use super::arrival::Arrival;
use super::arrivals::{ArrivalEntry, Arrivals};
use super::peer_tunnel::PeerTunnel;
use super::peers::{PeerId, PeerPolicy, Peers};
use crate::decap::{Prefix, PrefixEntry, PrefixTable};
use crate::error::{PeerError, TableError};
use crate::wire::IpProtocol;

/// The memory of one peer of a [`PeerTable`].
#[derive(Clone, Copy, Debug)]
pub struct PeerSlot<T> {
    peer: Option<(T, PeerPolicy)>,
    /// Of the peer, or of the next one.
    generation: u32,
}

impl<T> PeerSlot<T> {
    /// What to fill the memory of a table with. It is not all zero: keep slots in a static of their own, so that only
    /// they are in `.data`.
    pub const EMPTY: Self = Self {
        peer: None,
        generation: 0,
    };
}

/// Peers that are added, replaced and removed while packets pass, in the caller's memory.
///
/// | call | time, with `n` peers or prefixes |
/// |---|---|
/// | the lookups of [`Peers`], once or twice a packet | log `n`, with an [index](Self::with_index) hardly any |
/// | [`add`](Self::add), [`replace`](Self::replace), [`remove`](Self::remove), [`allow`](Self::allow), [`disallow`](Self::disallow) | `n` |
///
/// A prefix belongs to one peer of a tenant: the one that was given it last.
///
/// A table borrows its memory, so a struct that has both cannot be moved. Programs with an allocator `leak` the
/// memory of a table that lives as long as they do; others put it into a `static`.
///
/// ```
/// use core::net::Ipv4Addr;
/// use ipencap::decap::PrefixEntry;
/// use ipencap::encap::Tunnel;
/// use ipencap::shim::IpIp;
/// use ipencap::tunnel::{ArrivalEntry, PeerPolicy, PeerSlot, PeerTable, Peers};
///
/// # fn main() -> Result<(), Box<dyn core::error::Error>> {
/// let here = Ipv4Addr::new(198, 51, 100, 1);
/// let (mut slots, mut arrivals) = ([PeerSlot::EMPTY; 8], [ArrivalEntry::EMPTY; 8]);
/// let (mut prefixes, mut own) = ([PrefixEntry::EMPTY; 32], [PrefixEntry::EMPTY; 2]);
/// let mut peers = PeerTable::new(&mut slots, &mut arrivals, &mut prefixes, &mut own);
///
/// let branch = Tunnel::new(here, Ipv4Addr::new(203, 0, 113, 2), IpIp)?;
/// let branch = peers.add(branch, PeerPolicy::DEFAULT)?;
/// peers.allow(branch, "10.2.0.0/16".parse()?)?;
/// assert_eq!(peers.owner(0, Ipv4Addr::new(10, 2, 0, 9)), Some(branch));
///
/// peers.remove(branch);
/// assert_eq!(peers.owner(0, Ipv4Addr::new(10, 2, 0, 9)), None);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PeerTable<'m, T> {
    slots: &'m mut [PeerSlot<T>],
    arrivals: Arrivals<'m>,
    /// Of the peers' inner networks, with the place of the peer.
    prefixes: PrefixTable<'m>,
    /// Our own addresses, and those at which a port receives, with the number of tunnels there.
    own: PrefixTable<'m>,
    /// No slot before this place is free.
    first_free: usize,
}

impl<'m, T: PeerTunnel> PeerTable<'m, T> {
    /// A table without peers. It has room for one peer for each slot and each entry of `arrivals`, and for one
    /// inner prefix for each entry of `prefixes`.
    ///
    /// `own` is for the addresses that our tunnels send from: one entry for each address, and one more for each
    /// UDP or TCP port at which tunnels receive there. So 1 entry for any number of IP-in-IP tunnels from one
    /// address, 2 if they are FOU tunnels of one port, 3 if their ports are two.
    #[inline]
    #[must_use]
    pub const fn new(
        slots: &'m mut [PeerSlot<T>],
        arrivals: &'m mut [ArrivalEntry],
        prefixes: &'m mut [PrefixEntry],
        own: &'m mut [PrefixEntry],
    ) -> Self {
        Self {
            slots,
            arrivals: Arrivals::new(arrivals),
            prefixes: PrefixTable::new(prefixes),
            own: PrefixTable::new(own),
            first_free: 0,
        }
    }

    /// The same with memory for two indexes, which spare most of each search: one number for every one to four
    /// peers, and one for every one to four inner prefixes. Worth it from some hundred peers on. Where many
    /// are added at once, add them first.
    ///
    /// ```
    /// # use core::net::Ipv4Addr;
    /// # use ipencap::decap::PrefixEntry;
    /// # use ipencap::encap::Tunnel;
    /// # use ipencap::shim::IpIp;
    /// # use ipencap::tunnel::{ArrivalEntry, PeerPolicy, PeerSlot, PeerTable, Peers};
    /// # fn main() -> Result<(), Box<dyn core::error::Error>> {
    /// # let (mut slots, mut arrivals) = (vec![PeerSlot::EMPTY; 1000], vec![ArrivalEntry::EMPTY; 1000]);
    /// # let (mut prefixes, mut own) = (vec![PrefixEntry::EMPTY; 1000], [PrefixEntry::EMPTY; 1]);
    /// let mut peers = PeerTable::new(&mut slots, &mut arrivals, &mut prefixes, &mut own);
    /// for number in 0..1000 {
    ///     let there = Ipv4Addr::from(0xcb00_7101 + 7 * number);
    ///     let tunnel = Tunnel::new(Ipv4Addr::new(198, 51, 100, 1), there, IpIp)?;
    ///     let peer = peers.add(tunnel, PeerPolicy::DEFAULT)?;
    ///     peers.allow(peer, format!("10.{}.{}.0/24", number >> 8, number & 0xff).parse()?)?;
    /// }
    /// let (mut by_arrival, mut by_prefix) = ([0; 1024], [0; 1024]);
    /// let peers = peers.with_index(&mut by_arrival, &mut by_prefix);
    /// assert_eq!(peers.owner(0, Ipv4Addr::new(10, 2, 5, 9)).map(|peer| peer.place()), Some(517));
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    #[must_use]
    pub fn with_index(mut self, arrivals: &'m mut [u32], prefixes: &'m mut [u32]) -> Self {
        self.arrivals.set_index(arrivals);
        self.prefixes = self.prefixes.with_index(prefixes);
        self
    }

    /// Adds a peer. It has no inner prefixes yet.
    ///
    /// # Errors
    /// [`PeerError`]: there is no room, or another peer sends packets that look the same.
    #[inline]
    pub fn add(&mut self, tunnel: T, policy: PeerPolicy) -> Result<PeerId, PeerError> {
        let arrival = arrival(&tunnel, &policy);
        if self.arrivals.get(&arrival).is_some() {
            return Err(PeerError::NotDistinct);
        }
        let behind = self.slots.get(self.first_free..).unwrap_or_default();
        let free = behind.iter().position(|slot| slot.peer.is_none());
        let free = free
            .ok_or(PeerError::NoPlace)?
            .saturating_add(self.first_free);
        let place = u32::try_from(free).map_err(|_| PeerError::NoPlace)?;
        let own = Own::of(&tunnel);
        self.add_own(own)?;
        if !self.arrivals.insert(&arrival, place) {
            self.remove_own(own);
            return Err(PeerError::NoPlace);
        }
        let slot = self.slots.get_mut(free).ok_or(PeerError::NoPlace)?;
        slot.peer = Some((tunnel, policy));
        self.first_free = free.saturating_add(1);
        Ok(PeerId::new(place, slot.generation))
    }

    /// Gives a peer another tunnel or another policy: it may have moved. Its prefixes stay its own. The
    /// handle changes, because what was known of the path is no longer true.
    ///
    /// # Errors
    /// [`PeerError`]: there is no such peer, it was another tenant's, another peer sends packets that look the same, or
    /// there is no room for its own address or port ([`PeerError::OwnFull`]). The peer is as before then.
    #[inline]
    pub fn replace(
        &mut self,
        peer: PeerId,
        tunnel: T,
        policy: PeerPolicy,
    ) -> Result<PeerId, PeerError> {
        let Some((old_tunnel, old_policy)) = self.get(peer) else {
            return Err(PeerError::NoPeer);
        };
        let (old, old_own) = (arrival(old_tunnel, old_policy), Own::of(old_tunnel));
        let (new, own) = (arrival(&tunnel, &policy), Own::of(&tunnel));
        if old_policy.tenant != policy.tenant {
            return Err(PeerError::OtherTenant);
        }
        if self
            .arrivals
            .get(&new)
            .is_some_and(|place| place != peer.place())
        {
            return Err(PeerError::NotDistinct);
        }
        self.remove_own(old_own);
        if let Err(error) = self.add_own(own) {
            // There is room where it was.
            let _ = self.add_own(old_own);
            return Err(error);
        }
        self.arrivals.remove(&old);
        self.arrivals.insert(&new, peer.place());
        let slot = self.slot_mut(peer).ok_or(PeerError::NoPeer)?;
        slot.peer = Some((tunnel, policy));
        slot.generation = slot.generation.wrapping_add(1);
        Ok(PeerId::new(peer.place(), slot.generation))
    }

    /// Removes a peer with the prefixes that are still its own. Whether it was there.
    #[inline]
    pub fn remove(&mut self, peer: PeerId) -> bool {
        let Some((tunnel, policy)) = self.get(peer) else {
            return false;
        };
        let (arrival, own) = (arrival(tunnel, policy), Own::of(tunnel));
        self.arrivals.remove(&arrival);
        self.remove_own(own);
        self.prefixes.retain(|_, _, place| place != peer.place());
        if let Some(slot) = self.slot_mut(peer) {
            slot.peer = None;
            slot.generation = slot.generation.wrapping_add(1);
        }
        let place = usize::try_from(peer.place()).unwrap_or(usize::MAX);
        self.first_free = self.first_free.min(place);
        true
    }

    /// Gives an inner prefix to a peer: packets into it go there, and packets from it come from there.
    /// Returns the peer of the same tenant that had it.
    ///
    /// # Errors
    /// [`PeerError::NoPeer`], [`PeerError::PrefixesFull`].
    #[inline]
    pub fn allow(&mut self, peer: PeerId, prefix: Prefix) -> Result<Option<PeerId>, PeerError> {
        let (_, policy) = self.get(peer).ok_or(PeerError::NoPeer)?;
        let tenant = policy.tenant;
        match self.prefixes.insert(tenant, prefix, peer.place()) {
            Ok(before) => Ok(before.and_then(|place| self.at(place))),
            Err(_) => Err(PeerError::PrefixesFull),
        }
    }

    /// Takes an inner prefix from a peer. Whether it was the peer's.
    #[inline]
    pub fn disallow(&mut self, peer: PeerId, prefix: Prefix) -> bool {
        let Some((_, policy)) = self.get(peer) else {
            return false;
        };
        let tenant = policy.tenant;
        self.prefixes.get(tenant, prefix) == Some(peer.place())
            && self.prefixes.remove(tenant, prefix).is_some()
    }

    /// All peers.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = PeerId> + '_ {
        (0..self.capacity()).filter_map(|place| self.at(place))
    }

    /// The inner prefixes of a peer, in ascending order.
    #[inline]
    pub fn prefixes(&self, peer: PeerId) -> impl Iterator<Item = Prefix> + '_ {
        let is_there = self.get(peer).is_some();
        self.prefixes
            .iter()
            .filter(move |&(_, _, place)| is_there && place == peer.place())
            .map(|(_, prefix, _)| prefix)
    }

    fn slot(&self, place: u32) -> Option<&PeerSlot<T>> {
        self.slots.get(usize::try_from(place).ok()?)
    }

    fn slot_mut(&mut self, peer: PeerId) -> Option<&mut PeerSlot<T>> {
        self.slots.get_mut(usize::try_from(peer.place()).ok()?)
    }

    /// Counts a tunnel at its own address, and at its port there.
    fn add_own(&mut self, own: Own) -> Result<(), PeerError> {
        let host = Prefix::host(own.address);
        let mut is_full = self.count_own(ADDRESS, host, 1).is_err();
        if let (false, Some(port)) = (is_full, own.port) {
            is_full = self.count_own(port, host, 1).is_err();
            if is_full {
                let _ = self.count_own(ADDRESS, host, -1);
            }
        }
        if is_full {
            Err(PeerError::OwnFull)
        } else {
            Ok(())
        }
    }

    fn remove_own(&mut self, own: Own) {
        let host = Prefix::host(own.address);
        // What is there needs no room.
        let _ = self.count_own(ADDRESS, host, -1);
        if let Some(port) = own.port {
            let _ = self.count_own(port, host, -1);
        }
    }

    fn count_own(&mut self, at: u32, host: Prefix, by: i32) -> Result<(), TableError> {
        let tunnels = self.own.get(at, host).unwrap_or_default();
        match tunnels.saturating_add_signed(by) {
            0 => {
                self.own.remove(at, host);
                Ok(())
            }
            tunnels => self.own.insert(at, host, tunnels).map(|_| ()),
        }
    }
}

/// Where a tunnel of ours receives.
#[derive(Clone, Copy, Debug)]
struct Own {
    address: Ipv4Addr,
    /// Its protocol and port, as [`port_at`] has them.
    port: Option<u32>,
}

impl Own {
    fn of<T: PeerTunnel>(tunnel: &T) -> Self {
        let arrival = tunnel.arrival();
        let number = arrival
            .number()
            .and_then(|number| u16::try_from(number).ok());
        let has_ports = matches!(arrival.protocol(), IpProtocol::UDP | IpProtocol::TCP);
        let port = number.filter(|_| has_ports);
        Self {
            address: tunnel.ends().0,
            port: port.map(|port| port_at(arrival.protocol(), port)),
        }
    }
}

/// The tenant of own addresses whatever the port. No protocol is 0.
const ADDRESS: u32 = 0;

/// The tenant of own addresses at which this port receives.
fn port_at(protocol: IpProtocol, port: u16) -> u32 {
    (u32::from(protocol.0) << 16) | u32::from(port)
}

/// What the peer's packets look like.
fn arrival<T: PeerTunnel>(tunnel: &T, policy: &PeerPolicy) -> Arrival {
    tunnel.arrival().with_source_port(policy.source_port)
}

impl<T: PeerTunnel> Peers for PeerTable<'_, T> {
    type Tunnel = T;

    #[inline]
    fn capacity(&self) -> u32 {
        u32::try_from(self.slots.len()).unwrap_or(u32::MAX)
    }

    #[inline]
    fn at(&self, place: u32) -> Option<PeerId> {
        let slot = self.slot(place)?;
        slot.peer
            .as_ref()
            .map(|_| PeerId::new(place, slot.generation))
    }

    #[inline]
    fn get(&self, peer: PeerId) -> Option<(&T, &PeerPolicy)> {
        let slot = self.slot(peer.place())?;
        match &slot.peer {
            Some((tunnel, policy)) if slot.generation == peer.generation() => {
                Some((tunnel, policy))
            }
            _ => None,
        }
    }

    #[inline]
    fn owner(&self, tenant: u32, inner_address: Ipv4Addr) -> Option<PeerId> {
        self.at(self.prefixes.longest(tenant, inner_address)?)
    }

    /// The prefix tells the place, and that is this peer's as long as the peer is there.
    #[inline]
    fn allows(&self, peer: PeerId, tenant: u32, inner_source: Ipv4Addr) -> bool {
        self.prefixes.longest(tenant, inner_source) == Some(peer.place())
            && self.get(peer).is_some()
    }

    #[inline]
    fn sender(&self, arrival: &Arrival) -> Option<PeerId> {
        let any_port = arrival.with_source_port(None);
        let place = match arrival.source_port() {
            Some(_) => self.arrivals.get(arrival),
            None => None,
        };
        self.at(place.or_else(|| self.arrivals.get(&any_port))?)
    }

    #[inline]
    fn with_outer_address(&self, address: Ipv4Addr, number: usize) -> Option<PeerId> {
        self.at(self.arrivals.nth_from(address, number)?)
    }

    #[inline]
    fn is_local(&self, address: Ipv4Addr) -> bool {
        self.are_local(address, address).0
    }

    #[inline]
    fn are_local(&self, source: Ipv4Addr, destination: Ipv4Addr) -> (bool, bool) {
        self.own.are_hosts(ADDRESS, source, destination)
    }

    #[inline]
    fn listens(&self, address: Ipv4Addr, protocol: IpProtocol, port: u16) -> bool {
        let at = port_at(protocol, port);
        self.own.longest(at, address).is_some()
    }
}
