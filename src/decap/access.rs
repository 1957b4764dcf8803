//! Who may send what: own addresses, peers, and the inner prefixes of each peer.

use core::net::Ipv4Addr;

use crate::packet::Flow;
use crate::wire::{IpProtocol, Prefix};

/// Who may send what to a decapsulator.
///
/// A receiver that takes packets from anybody lets them inject packets into the network behind it
/// (CVE-2020-10136, CVE-2024-7595, CVE-2024-7596). So each is built with an `Access`: its own
/// addresses, its peers, and the inner sources of each peer (RFC 4213 §3.6, RFC 2827).
///
/// | type | for |
/// |---|---|
/// | [`PointToPoint`] | one peer, `const` |
/// | [`Edge`] | one or more local addresses and a list of [`Peer`]s, each with a tag; `const` |
/// | [`EdgeTable`](super::EdgeTable) | more than some twenty peers, or peers that come and go |
/// | your own | another table, such as one that the system has |
///
/// The implementer numbers the peers, for example by their place in a table. A receiver looks the peer
/// up once per packet and passes the number on.
pub trait Access {
    /// Whether `address` is one of our own unicast addresses.
    fn is_local(&self, address: Ipv4Addr) -> bool;

    /// [`is_local`](Self::is_local) of two addresses, an outer or inner packet's source and destination.
    /// Override it where one search can look for both.
    #[inline]
    fn are_local(&self, source: Ipv4Addr, destination: Ipv4Addr) -> (bool, bool) {
        (self.is_local(source), self.is_local(destination))
    }

    /// The number of the peer that sends packets of the flow `outer`, `None` if there is none (RFC 4213
    /// §3.6). Without configured peers the answer must be `None`.
    ///
    /// A receiver asks only if the flow's destination is local; the implementer need not check that.
    ///
    /// The ports are those of the outer UDP or TCP header, 0 where the tunnel has none. Peers behind
    /// one address translator differ only in the source port.
    fn peer(&self, outer: Flow) -> Option<u32>;

    /// Whether the peer with this number may use `inner_source`: if the longest prefix that holds it is
    /// one of the peer's (RFC 2827).
    fn allows_inner(&self, peer: u32, inner_source: Ipv4Addr) -> bool;

    /// The tag of the peer with this number, which the verdict hands to the caller. The number itself
    /// unless overridden.
    #[inline]
    fn tag(&self, peer: u32) -> u32 {
        peer
    }

    /// Whether a tunnel of this host listens on this UDP or TCP port of `address`, which is one of our own: an
    /// inner packet to it would be opened here again (RFC 2473 §4.1).
    #[inline]
    fn is_tunnel_port(&self, address: Ipv4Addr, protocol: IpProtocol, port: u16) -> bool {
        let _ = (address, protocol, port);
        false
    }

    /// Whether `address` is another tunnel endpoint, to which an inner packet must not go.
    #[inline]
    fn is_endpoint(&self, address: Ipv4Addr) -> bool {
        let _ = address;
        false
    }
}

impl<A: Access + ?Sized> Access for &A {
    #[inline]
    fn is_local(&self, address: Ipv4Addr) -> bool {
        (**self).is_local(address)
    }

    #[inline]
    fn are_local(&self, source: Ipv4Addr, destination: Ipv4Addr) -> (bool, bool) {
        (**self).are_local(source, destination)
    }

    #[inline]
    fn peer(&self, outer: Flow) -> Option<u32> {
        (**self).peer(outer)
    }

    #[inline]
    fn allows_inner(&self, peer: u32, inner_source: Ipv4Addr) -> bool {
        (**self).allows_inner(peer, inner_source)
    }

    #[inline]
    fn tag(&self, peer: u32) -> u32 {
        (**self).tag(peer)
    }

    #[inline]
    fn is_tunnel_port(&self, address: Ipv4Addr, protocol: IpProtocol, port: u16) -> bool {
        (**self).is_tunnel_port(address, protocol, port)
    }

    #[inline]
    fn is_endpoint(&self, address: Ipv4Addr) -> bool {
        (**self).is_endpoint(address)
    }
}

/// One local address, one peer, and the inner sources the peer may use.
///
/// ```
/// use core::net::Ipv4Addr;
/// use ipencap::decap::{PointToPoint, Prefix};
///
/// // In flash, checked at compile time.
/// static INNER: [Prefix; 1] = [match Prefix::new(Ipv4Addr::new(10, 1, 0, 0), 16) {
///     Ok(prefix) => prefix,
///     Err(_) => panic!("not a prefix"),
/// }];
/// static ACCESS: PointToPoint<'static> =
///     PointToPoint::new(Ipv4Addr::new(203, 0, 113, 2), Ipv4Addr::new(198, 51, 100, 1), &INNER);
/// # let _ = &ACCESS;
/// ```
#[derive(Clone, Copy, Debug)]
pub struct PointToPoint<'a> {
    local: Ipv4Addr,
    peer: Ipv4Addr,
    source_port: Option<u16>,
    inner: &'a [Prefix],
}

impl<'a> PointToPoint<'a> {
    /// Lets `peer` send to `local` packets whose inner source is in one of `inner`; an empty list
    /// lets nothing in.
    #[inline]
    #[must_use]
    pub const fn new(local: Ipv4Addr, peer: Ipv4Addr, inner: &'a [Prefix]) -> Self {
        Self {
            local,
            peer,
            source_port: None,
            inner,
        }
    }

    /// The same, where the peer sends from this UDP or TCP port only.
    #[inline]
    #[must_use]
    pub const fn with_source_port(self, port: u16) -> Self {
        Self {
            source_port: Some(port),
            ..self
        }
    }
}

impl Access for PointToPoint<'_> {
    #[inline]
    fn is_local(&self, address: Ipv4Addr) -> bool {
        address == self.local
    }

    #[inline]
    fn peer(&self, outer: Flow) -> Option<u32> {
        let is_peer = outer.source == self.peer && comes_from(outer, self.source_port);
        is_peer.then_some(0)
    }

    #[inline]
    fn allows_inner(&self, _peer: u32, inner_source: Ipv4Addr) -> bool {
        self.inner
            .iter()
            .any(|prefix| prefix.contains(inner_source))
    }
}

/// A peer of an [`Edge`]: where it sends from, which inner sources it may use, and the caller's tag.
#[derive(Clone, Copy, Debug)]
pub struct Peer<'a> {
    outer: Prefix,
    source_port: Option<u16>,
    inner: &'a [Prefix],
    tag: Option<u32>,
}

impl<'a> Peer<'a> {
    /// A peer that sends from an address in `outer` packets with an inner source in one of `inner`.
    #[inline]
    #[must_use]
    pub const fn new(outer: Prefix, inner: &'a [Prefix]) -> Self {
        Self {
            outer,
            source_port: None,
            inner,
            tag: None,
        }
    }

    /// The same, where the peer sends from this UDP or TCP port only: what tells peers behind one
    /// address translator apart.
    #[inline]
    #[must_use]
    pub const fn with_source_port(self, port: u16) -> Self {
        Self {
            source_port: Some(port),
            ..self
        }
    }

    /// The same with a tag that comes back with every packet of this peer. Without one that is the
    /// peer's place in the list.
    #[inline]
    #[must_use]
    pub const fn with_tag(self, tag: u32) -> Self {
        Self {
            tag: Some(tag),
            ..self
        }
    }

    /// The length of its longest prefix that holds this inner source, `None` if none does.
    #[inline]
    fn prefix_len(&self, inner_source: Ipv4Addr) -> Option<u8> {
        let holding = |prefix: &&Prefix| prefix.contains(inner_source);
        self.inner
            .iter()
            .filter(holding)
            .map(|prefix| prefix.len())
            .max()
    }
}

/// Some local addresses and a list of peers.
///
/// The list is searched from its start, for each packet. From some twenty peers on an
/// [`EdgeTable`](super::EdgeTable) is faster.
///
/// The first peer whose outer prefix holds the outer source, and from whose port the packet comes, is
/// the one that sent it. It may use an inner source if, of all prefixes of all peers, the longest that
/// holds this source is one of its own: a peer with 10.0.0.0/8 may not send from 10.1.0.5 if
/// 10.1.0.0/16 is another's. Several peers may have the same prefix, as the balancers in front of a backend
/// do; then each may use it. (In an [`EdgeTable`](super::EdgeTable) a prefix has one owner.)
///
/// ```
/// use core::net::Ipv4Addr;
/// use ipencap::decap::{Access, Edge, Peer, Prefix};
/// use ipencap::packet::Flow;
/// use ipencap::wire::IpProtocol;
///
/// let branch = [Prefix::new(Ipv4Addr::new(10, 1, 0, 0), 16).unwrap()];
/// let lab = [Prefix::new(Ipv4Addr::new(10, 9, 0, 0), 24).unwrap()];
/// let peers = [
///     Peer::new(Prefix::host(Ipv4Addr::new(198, 51, 100, 1)), &branch).with_tag(1),
///     Peer::new(Prefix::new(Ipv4Addr::new(192, 0, 2, 0), 28).unwrap(), &lab).with_tag(2),
/// ];
/// let local = [Ipv4Addr::new(203, 0, 113, 2)];
/// let access = Edge::new(&local, &peers);
/// let from = |source: [u8; 4]| Flow::new(source.into(), local[0], IpProtocol::IPENCAP);
/// let lab = access.peer(from([192, 0, 2, 7])).unwrap();
/// assert_eq!(access.tag(lab), 2);
/// assert!(access.allows_inner(lab, Ipv4Addr::new(10, 9, 0, 1)));
/// assert!(!access.allows_inner(lab, Ipv4Addr::new(10, 1, 0, 1)));
/// assert_eq!(access.peer(from([192, 0, 2, 66])), None);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Edge<'a> {
    local: &'a [Ipv4Addr],
    peers: &'a [Peer<'a>],
    endpoints: &'a [Ipv4Addr],
    tunnel_ports: &'a [u16],
}

impl<'a> Edge<'a> {
    /// Lets `peers` send to any of `local`; an empty list lets nothing in.
    #[inline]
    #[must_use]
    pub const fn new(local: &'a [Ipv4Addr], peers: &'a [Peer<'a>]) -> Self {
        Self {
            local,
            peers,
            endpoints: &[],
            tunnel_ports: &[],
        }
    }

    /// The same, refusing inner packets to any of these tunnel endpoints.
    #[inline]
    #[must_use]
    pub const fn with_endpoints(self, endpoints: &'a [Ipv4Addr]) -> Self {
        Self { endpoints, ..self }
    }

    /// The same, where other tunnels of this host listen on these UDP and TCP ports: inner packets
    /// to them count against the nesting limit.
    #[inline]
    #[must_use]
    pub const fn with_tunnel_ports(self, tunnel_ports: &'a [u16]) -> Self {
        Self {
            tunnel_ports,
            ..self
        }
    }

    fn get(&self, peer: u32) -> Option<&Peer<'a>> {
        usize::try_from(peer)
            .ok()
            .and_then(|place| self.peers.get(place))
    }
}

impl Access for Edge<'_> {
    #[inline]
    fn is_local(&self, address: Ipv4Addr) -> bool {
        self.local.contains(&address)
    }

    #[inline]
    fn are_local(&self, source: Ipv4Addr, destination: Ipv4Addr) -> (bool, bool) {
        let mut found = (false, false);
        for local in self.local {
            found.0 |= *local == source;
            found.1 |= *local == destination;
        }
        found
    }

    #[inline]
    fn peer(&self, outer: Flow) -> Option<u32> {
        let place = self.peers.iter().position(|peer| {
            peer.outer.contains(outer.source) && comes_from(outer, peer.source_port)
        })?;
        u32::try_from(place).ok()
    }

    #[inline]
    fn allows_inner(&self, peer: u32, inner_source: Ipv4Addr) -> bool {
        let own = self
            .get(peer)
            .and_then(|peer| peer.prefix_len(inner_source));
        let lens = self.peers.iter().map(|peer| peer.prefix_len(inner_source));
        own.is_some() && own == lens.max().flatten()
    }

    #[inline]
    fn tag(&self, peer: u32) -> u32 {
        self.get(peer).and_then(|peer| peer.tag).unwrap_or(peer)
    }

    #[inline]
    fn is_tunnel_port(&self, _address: Ipv4Addr, _protocol: IpProtocol, port: u16) -> bool {
        self.tunnel_ports.contains(&port)
    }

    #[inline]
    fn is_endpoint(&self, address: Ipv4Addr) -> bool {
        self.endpoints.contains(&address)
    }
}

#[inline]
fn comes_from(outer: Flow, source_port: Option<u16>) -> bool {
    source_port.is_none_or(|port| port == outer.source_port)
}
