//! Who may send what, for many peers that come and go.

use core::net::Ipv4Addr;

use super::access::Access;
use super::prefix_table::PrefixTable;
use crate::error::TableError;
use crate::packet::Flow;
use crate::wire::{IpProtocol, Prefix};

/// The tenants of the table of addresses.
const LOCAL: u32 = 0;
const ENDPOINT: u32 = 1;

/// The tenant of the other tables, where the source port does not matter. The number of what belongs to
/// no peer.
const ANY: u32 = 0;

/// Local addresses and peers, found in logarithmic time, which can change while packets arrive.
///
/// An [`Edge`](super::Edge) is a constant list that is searched from its start. This is faster from some twenty
/// peers on, and for peers that come and go.
///
/// A peer has a number of the caller's choice, and no memory of its own: it exists as long as a prefix
/// has its number. The number comes back with every packet, as [`Opened::peer`](super::Opened::peer) and
/// [`Opened::tag`](super::Opened::tag). Give a new peer a number that none had before it, so that what is
/// still on its way under the old number does not reach it.
///
/// Of several outer prefixes that hold the outer source the longest says who sent the packet; of two that
/// are equal, that of the peer from whose port the packet comes. A peer may use an inner source if the
/// longest inner prefix that holds it, of all peers, is its own (RFC 2827). A prefix belongs to one peer
/// at a time: who inserts it last takes it over.
///
/// The memory is the caller's, in three tables. An [index](PrefixTable::with_index) is worth its memory from a
/// few hundred peers on.
///
/// ```
/// use core::net::Ipv4Addr;
/// use ipencap::decap::{EdgeTable, PrefixEntry, PrefixTable, Receiver};
/// use ipencap::shim::IpIp;
///
/// # fn main() -> Result<(), Box<dyn core::error::Error>> {
/// let mut addresses = [PrefixEntry::EMPTY; 2];
/// let (mut outer, mut inner) = ([PrefixEntry::EMPTY; 100], [PrefixEntry::EMPTY; 200]);
/// let mut edge = EdgeTable::new(
///     PrefixTable::new(&mut addresses),
///     PrefixTable::new(&mut outer),
///     PrefixTable::new(&mut inner),
/// );
/// edge.insert_local("203.0.113.2/32".parse()?)?;
///
/// // Peer 7 sends from 198.51.100.1, with inner sources in 10.7.0.0/16.
/// edge.insert_outer(7, "198.51.100.1/32".parse()?, None)?;
/// edge.insert_inner(7, "10.7.0.0/16".parse()?)?;
///
/// let receiver = Receiver::new(IpIp, &edge);
/// # let _ = receiver;
///
/// // It goes.
/// edge.remove_peer(7);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct EdgeTable<'m> {
    addresses: PrefixTable<'m>,
    /// The tenant tells the source port.
    outer: PrefixTable<'m>,
    inner: PrefixTable<'m>,
    tunnel_ports: &'m [u16],
}

impl<'m> EdgeTable<'m> {
    /// A table without local addresses and peers, which lets nothing in.
    ///
    /// `addresses` has an entry for each local address and endpoint, `outer` for each outer prefix and `inner`
    /// for each inner prefix. What is in them is taken out.
    #[inline]
    #[must_use]
    pub fn new(
        mut addresses: PrefixTable<'m>,
        mut outer: PrefixTable<'m>,
        mut inner: PrefixTable<'m>,
    ) -> Self {
        addresses.clear();
        outer.clear();
        inner.clear();
        Self {
            addresses,
            outer,
            inner,
            tunnel_ports: &[],
        }
    }

    /// The same, where other tunnels of this host listen on these UDP and TCP ports: inner packets
    /// to them count against the nesting limit. A handful: they are compared one by one.
    #[inline]
    #[must_use]
    pub const fn with_tunnel_ports(self, tunnel_ports: &'m [u16]) -> Self {
        Self {
            tunnel_ports,
            ..self
        }
    }

    /// Makes the addresses of `prefix` our own. One address is a prefix of 32 bits.
    ///
    /// # Errors
    /// [`TableError::Full`] if there is no room. Nothing has changed then.
    #[inline]
    pub fn insert_local(&mut self, prefix: Prefix) -> Result<(), TableError> {
        self.addresses.insert(LOCAL, prefix, ANY).map(|_| ())
    }

    /// Takes a prefix back from our own addresses. Whether it was among them.
    #[inline]
    pub fn remove_local(&mut self, prefix: Prefix) -> bool {
        self.addresses.remove(LOCAL, prefix).is_some()
    }

    /// Refuses inner packets to the addresses of `prefix`, other tunnel endpoints.
    ///
    /// # Errors
    /// [`TableError::Full`] if there is no room. Nothing has changed then.
    #[inline]
    pub fn insert_endpoint(&mut self, prefix: Prefix) -> Result<(), TableError> {
        self.addresses.insert(ENDPOINT, prefix, ANY).map(|_| ())
    }

    /// Lets inner packets to the addresses of `prefix` pass again. Whether it was among the endpoints.
    #[inline]
    pub fn remove_endpoint(&mut self, prefix: Prefix) -> bool {
        self.addresses.remove(ENDPOINT, prefix).is_some()
    }

    /// Lets `peer` send from the addresses of `prefix`: from this UDP or TCP port, or from any. Returns the
    /// peer from which it takes them over.
    ///
    /// # Errors
    /// [`TableError::Full`] if there is no room. Nothing has changed then.
    #[inline]
    pub fn insert_outer(
        &mut self,
        peer: u32,
        prefix: Prefix,
        source_port: Option<u16>,
    ) -> Result<Option<u32>, TableError> {
        self.outer.insert(port_tenant(source_port), prefix, peer)
    }

    /// Lets nobody send from `prefix` and this port, or from any, any more. Returns whose it was.
    #[inline]
    pub fn remove_outer(&mut self, prefix: Prefix, source_port: Option<u16>) -> Option<u32> {
        self.outer.remove(port_tenant(source_port), prefix)
    }

    /// Lets `peer` use inner sources in `prefix`. Returns the peer from which it takes them over.
    ///
    /// # Errors
    /// [`TableError::Full`] if there is no room. Nothing has changed then.
    #[inline]
    pub fn insert_inner(&mut self, peer: u32, prefix: Prefix) -> Result<Option<u32>, TableError> {
        self.inner.insert(ANY, prefix, peer)
    }

    /// Lets nobody use inner sources by `prefix` any more. Returns whose it was.
    #[inline]
    pub fn remove_inner(&mut self, prefix: Prefix) -> Option<u32> {
        self.inner.remove(ANY, prefix)
    }

    /// Removes what is still the peer's: not the prefixes that another has taken over.
    #[inline]
    pub fn remove_peer(&mut self, peer: u32) {
        self.outer.retain(|_, _, other| other != peer);
        self.inner.retain(|_, _, other| other != peer);
    }

    /// [`insert_outer`](Self::insert_outer) of many, in a fraction of the time.
    ///
    /// # Errors
    /// [`TableError::Full`] as [`PrefixTable::load`]. Nothing has changed then.
    #[inline]
    pub fn load_outer(
        &mut self,
        peers: impl IntoIterator<Item = (u32, Prefix, Option<u16>)>,
    ) -> Result<(), TableError> {
        let entry = |(peer, prefix, port)| (port_tenant(port), prefix, peer);
        self.outer.load(peers.into_iter().map(entry))
    }

    /// [`insert_inner`](Self::insert_inner) of many, in a fraction of the time.
    ///
    /// # Errors
    /// [`TableError::Full`] as [`PrefixTable::load`]. Nothing has changed then.
    #[inline]
    pub fn load_inner(
        &mut self,
        peers: impl IntoIterator<Item = (u32, Prefix)>,
    ) -> Result<(), TableError> {
        let entry = |(peer, prefix)| (ANY, prefix, peer);
        self.inner.load(peers.into_iter().map(entry))
    }

    /// The peer to which packets for this inner destination go: the one with the longest inner prefix that
    /// holds it.
    #[inline]
    #[must_use]
    pub fn route(&self, inner_destination: Ipv4Addr) -> Option<u32> {
        self.inner.longest(ANY, inner_destination)
    }
}

impl Access for EdgeTable<'_> {
    #[inline]
    fn is_local(&self, address: Ipv4Addr) -> bool {
        self.addresses.find(LOCAL, address).is_some()
    }

    #[inline]
    fn peer(&self, outer: Flow) -> Option<u32> {
        let any_port = self.outer.find(ANY, outer.source);
        // Without peers that have a port one search does.
        let with_port = if self.outer.last_tenant() == ANY {
            None
        } else {
            let tenant = port_tenant(Some(outer.source_port));
            self.outer.find(tenant, outer.source)
        };
        let entry = match (any_port, with_port) {
            (Some(any_port), Some(with_port)) if any_port.len() > with_port.len() => any_port,
            (_, Some(with_port)) => with_port,
            (any_port, None) => any_port?,
        };
        Some(entry.value())
    }

    #[inline]
    fn allows_inner(&self, peer: u32, inner_source: Ipv4Addr) -> bool {
        self.route(inner_source) == Some(peer)
    }

    #[inline]
    fn is_tunnel_port(&self, _address: Ipv4Addr, _protocol: IpProtocol, port: u16) -> bool {
        self.tunnel_ports.contains(&port)
    }

    #[inline]
    fn is_endpoint(&self, address: Ipv4Addr) -> bool {
        // Without endpoints, which are behind the local addresses, there is nothing to search.
        self.addresses.last_tenant() == ENDPOINT && self.addresses.find(ENDPOINT, address).is_some()
    }
}

/// The tenant of peers that send from this port.
fn port_tenant(port: Option<u16>) -> u32 {
    port.map_or(ANY, |port| u32::from(port).wrapping_add(1))
}
