//! Who the peers are.

use core::net::Ipv4Addr;

use super::arrival::Arrival;
use super::peer_tunnel::PeerTunnel;
use crate::decap::{Access, InnerPolicy, Prefix};
use crate::packet::Flow;
use crate::pmtu::PathMtuConfig;
use crate::time::Duration;
use crate::wire::{IpProtocol, is_rare};

/// A peer: its place in the table, and how many others had that place before it. The handle of a peer that
/// was removed does not reach the one that took its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PeerId {
    place: u32,
    generation: u32,
}

impl PeerId {
    /// The peer at this place, after so many others.
    #[inline]
    #[must_use]
    pub const fn new(place: u32, generation: u32) -> Self {
        Self { place, generation }
    }

    /// Its place, below the [`capacity`](Peers::capacity) of the peers: an index for counters.
    #[inline]
    #[must_use]
    pub const fn place(self) -> u32 {
        self.place
    }

    /// How many peers had the place before it.
    #[inline]
    #[must_use]
    pub const fn generation(self) -> u32 {
        self.generation
    }
}

/// What an endpoint does for one peer, as data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(
    clippy::exhaustive_structs,
    reason = "a set of choices, built by the caller"
)]
pub struct PeerPolicy {
    /// The MTU of the path, for outer packets: found out, or given.
    pub mtu: MtuPolicy,
    /// What the MSS option of SYN segments is lowered to, in both directions.
    pub mss: MssPolicy,
    /// What is allowed and refused of inner packets from the peer.
    pub inner: InnerPolicy,
    /// The tenant whose inner prefixes the peer's are. Prefixes of different tenants may be equal.
    pub tenant: u32,
    /// The UDP or TCP port from which alone the peer sends, `None` for any: what tells peers behind one
    /// address translator apart.
    pub source_port: Option<u16>,
    /// After how long without a packet to the peer a keepalive is due: the endpoint sends none itself.
    /// [`Change::KeepaliveDue`](super::Change::KeepaliveDue) says what to send.
    pub keepalive: Option<Duration>,
    /// After how long without a packet from the peer it counts as silent.
    ///
    /// A packet that is delivered ([`Inbound::Deliver`](super::Inbound::Deliver), [`Whole`](super::Inbound::Whole))
    /// ends the silence, and so does a probe that the peer confirms
    /// ([`Endpoint::on_confirmed`](super::Endpoint::on_confirmed)). A fragment that is held, a packet that is
    /// refused, an empty datagram and an ICMP error do not: anybody can send these.
    ///
    /// [`Change::Silent`](super::Change::Silent) tells when it falls silent. Nothing tells when it is heard again: ask
    /// [`Endpoint::is_silent`](super::Endpoint::is_silent).
    pub silence: Option<Duration>,
}

impl PeerPolicy {
    /// Path MTU from reports, MSS clamped to it, unicast only, tenant 0, no keepalive.
    pub const DEFAULT: Self = Self::new();

    /// As a function: the constant is copied by a call of `memcpy`.
    #[inline(always)]
    const fn new() -> Self {
        Self {
            mtu: MtuPolicy::Discover(PathMtuConfig::DEFAULT),
            mss: MssPolicy::Path,
            inner: InnerPolicy::DEFAULT,
            tenant: 0,
            source_port: None,
            keepalive: None,
            silence: None,
        }
    }
}

impl Default for PeerPolicy {
    #[inline]
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Where the MTU of a path comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum MtuPolicy {
    /// The link's, less what routers and the system report (RFC 1191).
    Discover(PathMtuConfig),
    /// This value in bytes, or the link's if that is less. Reports of routers do not change it. A lower MTU that
    /// the system reports ([`Endpoint::local_mtu`](super::Endpoint::local_mtu)) does, for ten minutes.
    Static(u16),
}

/// What the MSS option of SYN segments is lowered to (RFC 9293 §3.7.1, RFC 6691). It is never raised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum MssPolicy {
    /// It stays.
    Off,
    /// What fits the path: the inner MTU less 40 bytes.
    #[default]
    Path,
    /// This, or what fits the path if that is less.
    AtMost(u16),
}

/// The peers of an endpoint: which tunnel leads to each, and which inner addresses are behind it.
///
/// | implementer | for |
/// |---|---|
/// | [`OnePeer`] | one peer, `const` |
/// | [`PeerTable`](super::PeerTable) | many, added and removed at run time, in the caller's memory |
///
/// The longest prefix that holds an address decides, for sending and for receiving: a packet to an inner
/// address goes to the peer whose prefix it is, and a packet from an inner address is taken from that peer
/// only (RFC 2827). An [`OnePeer`] may have a [default route](OnePeer::with_default_route) besides.
pub trait Peers {
    /// The tunnels to the peers.
    type Tunnel: PeerTunnel;

    /// How many places for peers there are.
    fn capacity(&self) -> u32;

    /// The peer at this place.
    fn at(&self, place: u32) -> Option<PeerId>;

    /// The tunnel to this peer, and what is done for it. `None` if the peer was removed.
    fn get(&self, peer: PeerId) -> Option<(&Self::Tunnel, &PeerPolicy)>;

    /// The same peer, which these peers have named before. Where there is only one, it as a constant: then the
    /// optimiser leaves out what tells peers apart.
    #[inline]
    fn known(&self, peer: PeerId) -> PeerId {
        peer
    }

    /// The peer of this tenant that has the longest prefix which holds the inner address.
    fn owner(&self, tenant: u32, inner_address: Ipv4Addr) -> Option<PeerId>;

    /// Whether this peer of this tenant may send packets from the inner address: if its prefix is the longest
    /// that holds the address.
    #[inline]
    fn allows(&self, peer: PeerId, tenant: u32, inner_source: Ipv4Addr) -> bool {
        self.owner(tenant, inner_source) == Some(peer)
    }

    /// The peer whose packets arrive from this address, with this protocol and port or key. `None` if there is none.
    fn sender(&self, arrival: &Arrival) -> Option<PeerId>;

    /// The peer with this number among those with this outer address, counted from 0.
    fn with_outer_address(&self, address: Ipv4Addr, number: usize) -> Option<PeerId>;

    /// Whether `address` is one of our own addresses. The outer sources of all tunnels must be among them.
    fn is_local(&self, address: Ipv4Addr) -> bool;

    /// [`is_local`](Self::is_local) of two addresses. Override it where one search can look for both.
    #[inline]
    fn are_local(&self, source: Ipv4Addr, destination: Ipv4Addr) -> (bool, bool) {
        (self.is_local(source), self.is_local(destination))
    }

    /// Whether a tunnel of ours receives at this UDP or TCP port of this address.
    fn listens(&self, address: Ipv4Addr, protocol: IpProtocol, port: u16) -> bool;
}

impl<P: Peers + ?Sized> Peers for &P {
    type Tunnel = P::Tunnel;

    #[inline]
    fn capacity(&self) -> u32 {
        (**self).capacity()
    }

    #[inline]
    fn at(&self, place: u32) -> Option<PeerId> {
        (**self).at(place)
    }

    #[inline]
    fn get(&self, peer: PeerId) -> Option<(&Self::Tunnel, &PeerPolicy)> {
        (**self).get(peer)
    }

    #[inline]
    fn known(&self, peer: PeerId) -> PeerId {
        (**self).known(peer)
    }

    #[inline]
    fn owner(&self, tenant: u32, inner_address: Ipv4Addr) -> Option<PeerId> {
        (**self).owner(tenant, inner_address)
    }

    #[inline]
    fn allows(&self, peer: PeerId, tenant: u32, inner_source: Ipv4Addr) -> bool {
        (**self).allows(peer, tenant, inner_source)
    }

    #[inline]
    fn sender(&self, arrival: &Arrival) -> Option<PeerId> {
        (**self).sender(arrival)
    }

    #[inline]
    fn with_outer_address(&self, address: Ipv4Addr, number: usize) -> Option<PeerId> {
        (**self).with_outer_address(address, number)
    }

    #[inline]
    fn is_local(&self, address: Ipv4Addr) -> bool {
        (**self).is_local(address)
    }

    #[inline]
    fn are_local(&self, source: Ipv4Addr, destination: Ipv4Addr) -> (bool, bool) {
        (**self).are_local(source, destination)
    }

    #[inline]
    fn listens(&self, address: Ipv4Addr, protocol: IpProtocol, port: u16) -> bool {
        (**self).listens(address, protocol, port)
    }
}

/// One peer, and the inner prefixes behind it.
///
/// ```
/// use core::net::Ipv4Addr;
/// use ipencap::decap::Prefix;
/// use ipencap::encap::Tunnel;
/// use ipencap::shim::IpIp;
/// use ipencap::tunnel::{OnePeer, Peers};
///
/// # fn main() -> Result<(), Box<dyn core::error::Error>> {
/// let (here, there) = (Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2));
/// let behind = ["10.2.0.0/16".parse::<Prefix>()?];
/// let peers = OnePeer::new(Tunnel::new(here, there, IpIp)?, &behind);
/// assert!(peers.owner(0, Ipv4Addr::new(10, 2, 0, 9)).is_some());
/// assert!(peers.owner(0, Ipv4Addr::new(10, 3, 0, 9)).is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct OnePeer<'a, T> {
    tunnel: T,
    policy: PeerPolicy,
    prefixes: &'a [Prefix],
    is_default_route: bool,
}

impl<'a, T> OnePeer<'a, T> {
    /// The peer at the other end of `tunnel`, with these inner prefixes behind it.
    #[inline]
    pub const fn new(tunnel: T, prefixes: &'a [Prefix]) -> Self {
        Self {
            tunnel,
            policy: PeerPolicy::new(),
            prefixes,
            is_default_route: false,
        }
    }

    /// Sends packets to the peer whatever their inner destination. From the peer it still takes only those
    /// whose inner source is in its prefixes.
    ///
    /// Whatever means the peer's outer address too: a packet from the inner side to it goes into the tunnel as any
    /// other. Only the tunnel's own outer packets are refused
    /// ([`Cause::RoutingLoop`](super::Cause::RoutingLoop)). So the host needs a route of its own to that address,
    /// outside of the tunnel.
    #[inline]
    pub const fn with_default_route(mut self) -> Self {
        self.is_default_route = true;
        self
    }

    /// Sets what is done for the peer.
    #[inline]
    pub const fn with_policy(mut self, policy: PeerPolicy) -> Self {
        self.policy = policy;
        self
    }

    const ID: PeerId = PeerId::new(0, 0);

    #[inline]
    fn holds(&self, tenant: u32, inner_address: Ipv4Addr) -> bool {
        let holds = |prefix: &Prefix| prefix.contains(inner_address);
        tenant == self.policy.tenant && self.prefixes.iter().any(holds)
    }
}

impl<T: PeerTunnel> Peers for OnePeer<'_, T> {
    type Tunnel = T;

    #[inline]
    fn capacity(&self) -> u32 {
        1
    }

    #[inline]
    fn at(&self, place: u32) -> Option<PeerId> {
        (place == 0).then_some(Self::ID)
    }

    #[inline]
    fn get(&self, peer: PeerId) -> Option<(&T, &PeerPolicy)> {
        (peer == Self::ID).then_some((&self.tunnel, &self.policy))
    }

    #[inline]
    fn known(&self, _peer: PeerId) -> PeerId {
        Self::ID
    }

    #[inline]
    fn owner(&self, tenant: u32, inner_address: Ipv4Addr) -> Option<PeerId> {
        let is_default_route = || self.is_default_route && tenant == self.policy.tenant;
        (self.holds(tenant, inner_address) || is_default_route()).then_some(Self::ID)
    }

    #[inline]
    fn allows(&self, peer: PeerId, tenant: u32, inner_source: Ipv4Addr) -> bool {
        peer == Self::ID && self.holds(tenant, inner_source)
    }

    #[inline]
    fn sender(&self, arrival: &Arrival) -> Option<PeerId> {
        let wanted = self.tunnel.arrival();
        // One after the other: what the protocol decides is left out then.
        if arrival.protocol() != wanted.protocol() {
            is_rare();
            return None;
        }
        if arrival.source() != wanted.source() {
            is_rare();
            return None;
        }
        if arrival.number() != wanted.number() {
            return None;
        }
        let is_port = match self.policy.source_port {
            None => true,
            port => port == arrival.source_port(),
        };
        is_port.then_some(Self::ID)
    }

    #[inline]
    fn with_outer_address(&self, address: Ipv4Addr, number: usize) -> Option<PeerId> {
        (number == 0 && self.tunnel.ends().1 == address).then_some(Self::ID)
    }

    #[inline]
    fn is_local(&self, address: Ipv4Addr) -> bool {
        self.tunnel.ends().0 == address
    }

    #[inline]
    fn listens(&self, address: Ipv4Addr, protocol: IpProtocol, port: u16) -> bool {
        self.tunnel.listens(address, protocol, port)
    }
}

/// Who may send what to the receiver of one peer.
#[derive(Clone, Copy, Debug)]
pub struct PeerAccess<'p, P: Peers> {
    peers: &'p P,
    peer: PeerId,
    tenant: u32,
    tunnel: &'p P::Tunnel,
    outer_source: Ipv4Addr,
}

impl<'p, P: Peers> PeerAccess<'p, P> {
    /// Of the innermost layer of this peer's tunnel.
    pub(super) fn new(
        peers: &'p P,
        peer: PeerId,
        (tunnel, policy): (&'p P::Tunnel, &PeerPolicy),
    ) -> Self {
        let (_, outer_source) = tunnel.inner_ends();
        Self {
            peers,
            peer,
            tenant: policy.tenant,
            tunnel,
            outer_source,
        }
    }

    /// Whether this is our address, and whether it is the peer's, in a layer of a stack. The peers know those of the
    /// outermost.
    #[inline(always)]
    fn is_end(&self, address: Ipv4Addr) -> (bool, bool) {
        if P::Tunnel::IS_STACK {
            self.tunnel.is_end(address)
        } else {
            (false, false)
        }
    }
}

impl<P: Peers> Access for PeerAccess<'_, P> {
    #[inline]
    fn is_local(&self, address: Ipv4Addr) -> bool {
        self.is_end(address).0 || self.peers.is_local(address)
    }

    #[inline]
    fn are_local(&self, source: Ipv4Addr, destination: Ipv4Addr) -> (bool, bool) {
        let (is_source, is_destination) = self.peers.are_local(source, destination);
        (
            is_source || self.is_end(source).0,
            is_destination || self.is_end(destination).0,
        )
    }

    #[inline]
    fn peer(&self, outer: Flow) -> Option<u32> {
        (outer.source == self.outer_source).then_some(self.peer.place())
    }

    #[inline]
    fn allows_inner(&self, _peer: u32, inner_source: Ipv4Addr) -> bool {
        self.peers.allows(self.peer, self.tenant, inner_source)
    }

    #[inline]
    fn is_tunnel_port(&self, address: Ipv4Addr, protocol: IpProtocol, port: u16) -> bool {
        (P::Tunnel::IS_STACK && self.tunnel.listens(address, protocol, port))
            || self.peers.listens(address, protocol, port)
    }

    #[inline]
    fn is_endpoint(&self, address: Ipv4Addr) -> bool {
        self.is_end(address).1 || self.peers.with_outer_address(address, 0).is_some()
    }
}
