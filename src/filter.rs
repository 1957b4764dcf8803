//! What a decapsulator must refuse: addresses, prefixes, and who may send what.
//!
//! An open decapsulator lets anybody inject packets into the network behind it (CVE-2020-10136,
//! CVE-2024-7595, CVE-2024-7596). So none can be built here without an [`Access`]: its own address,
//! its peers, and the inner sources each peer may use (RFC 4213 §3.6, RFC 2827).
//!
//! | form | for |
//! |---|---|
//! | [`PointToPoint`] | one peer, `const` |
//! | [`Edge`] | one or more local addresses and a list of [`Peer`]s, each with a tag |
//! | your own [`Access`] | a table of ten thousand peers |
//!
//! ```
//! use core::net::Ipv4Addr;
//! use ipencap::filter::{Access, Edge, Peer, Prefix};
//! use ipencap::packet::Flow;
//! use ipencap::wire::IpProtocol;
//!
//! let branch = [Prefix::new(Ipv4Addr::new(10, 1, 0, 0), 16).unwrap()];
//! let lab = [Prefix::new(Ipv4Addr::new(10, 9, 0, 0), 24).unwrap()];
//! let peers = [
//!     Peer::new(Prefix::host(Ipv4Addr::new(198, 51, 100, 1)), &branch).with_tag(1),
//!     Peer::new(Prefix::new(Ipv4Addr::new(192, 0, 2, 0), 28).unwrap(), &lab).with_tag(2),
//! ];
//! let local = [Ipv4Addr::new(203, 0, 113, 2)];
//! let access = Edge::new(&local, &peers);
//! let from = |source: [u8; 4]| Flow::new(source.into(), local[0], IpProtocol::IPENCAP);
//! let lab = access.peer(from([192, 0, 2, 7])).unwrap();
//! assert_eq!(access.tag(lab), 2);
//! assert!(access.allows_inner(lab, Ipv4Addr::new(10, 9, 0, 1)));
//! assert!(!access.allows_inner(lab, Ipv4Addr::new(10, 1, 0, 1)));
//! assert_eq!(access.peer(from([192, 0, 2, 66])), None);
//! ```

use core::fmt;
use core::net::Ipv4Addr;
use core::str::FromStr;

use crate::error::{ConfigError, PrefixError};
use crate::packet::Flow;
use crate::wire::IpProtocol;

/// An IPv4 prefix: an address without host bits and a length of 0 to 32.
///
/// ```
/// use ipencap::{error::PrefixError, filter::Prefix};
///
/// let branch: Prefix = "10.1.0.0/16".parse().unwrap();
/// assert_eq!((branch.network().octets(), branch.len()), ([10, 1, 0, 0], 16));
/// assert_eq!(branch.to_string(), "10.1.0.0/16");
/// assert_eq!("10.1.0.5/16".parse::<Prefix>(), Err(PrefixError::HostBits));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Prefix {
    network: u32,
    mask: u32,
}

#[cfg(feature = "defmt")]
impl defmt::Format for Prefix {
    #[inline]
    fn format(&self, formatter: defmt::Formatter<'_>) {
        let network = Ipv4Addr::from_bits(self.network);
        defmt::write!(formatter, "{}/{=u32}", network, self.mask.leading_ones());
    }
}

impl Prefix {
    /// `0.0.0.0/0`: every address. As a list of inner sources it is an explicit choice to let the
    /// peer spoof any of them.
    pub const ANY: Self = Self {
        network: 0,
        mask: 0,
    };

    /// The prefix `address/len`.
    ///
    /// # Errors
    /// [`ConfigError::BadPrefix`] for a length above 32 or an address with bits behind the prefix.
    #[inline]
    pub const fn new(address: Ipv4Addr, len: u8) -> Result<Self, ConfigError> {
        let mask = match len {
            0 => 0,
            1..=32 => u32::MAX << (32u8.wrapping_sub(len) & 31),
            _ => return Err(ConfigError::BadPrefix),
        };
        let network = address.to_bits();
        if network & !mask == 0 {
            Ok(Self { network, mask })
        } else {
            Err(ConfigError::BadPrefix)
        }
    }

    /// The prefix of one address, `address/32`.
    #[inline]
    #[must_use]
    pub const fn host(address: Ipv4Addr) -> Self {
        Self {
            network: address.to_bits(),
            mask: u32::MAX,
        }
    }

    /// Whether `address` lies in it.
    #[inline]
    #[must_use]
    pub const fn contains(self, address: Ipv4Addr) -> bool {
        address.to_bits() & self.mask == self.network
    }

    /// The address without host bits.
    #[inline]
    #[must_use]
    pub const fn network(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.network)
    }

    /// Its length, 0 to 32 bits.
    #[inline]
    #[must_use]
    #[allow(
        clippy::len_without_is_empty,
        reason = "a number of bits, not of items"
    )]
    pub const fn len(self) -> u8 {
        let [.., len] = self.mask.leading_ones().to_be_bytes();
        len
    }
}

/// As `10.1.0.0/16`.
impl fmt::Display for Prefix {
    #[inline]
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d] = self.network().octets();
        write!(formatter, "{a}.{b}.{c}.{d}/{}", self.len())
    }
}

/// Reads `10.1.0.0/16`, and nothing else.
impl FromStr for Prefix {
    type Err = PrefixError;

    #[inline]
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let slash = text.bytes().position(|byte| byte == b'/');
        let slash = slash.ok_or(PrefixError::NoLength)?;
        let address = text.get(..slash).unwrap_or_default();
        let address = address.parse().map_err(|_| PrefixError::BadAddress)?;
        let digit = |byte: u8| byte.wrapping_sub(b'0');
        // `parse` would also take a sign and leading zeros.
        let len = match *text
            .as_bytes()
            .get(slash.saturating_add(1)..)
            .unwrap_or_default()
        {
            [ones @ b'0'..=b'9'] => digit(ones),
            [tens @ b'1'..=b'3', ones @ b'0'..=b'9'] => {
                digit(tens).wrapping_mul(10).wrapping_add(digit(ones))
            }
            _ => return Err(PrefixError::BadLength),
        };
        if len > 32 {
            return Err(PrefixError::BadLength);
        }
        Self::new(address, len).map_err(|_| PrefixError::HostBits)
    }
}

/// Who may send what to a decapsulator.
///
/// Implement it for a table of your own. A peer is named by a number of the implementer's choice,
/// its place in the table say, so that it is looked up once per packet.
pub trait Access {
    /// Whether `address` is one of our own unicast addresses (D-05, D-06, D-15).
    fn is_local(&self, address: Ipv4Addr) -> bool;

    /// The number of the peer that sends packets of the flow `outer`, `None` if there is none (D-07).
    /// Nothing configured must mean `None`.
    ///
    /// The ports are those of the outer UDP or TCP header, 0 where the tunnel has none. Peers behind
    /// one address translator differ only in the source port.
    fn peer(&self, outer: Flow) -> Option<u32>;

    /// Whether the peer with this number may use `inner_source` (D-17): if the longest prefix that
    /// holds it is one of the peer's.
    fn allows_inner(&self, peer: u32, inner_source: Ipv4Addr) -> bool;

    /// What the verdict says of the peer with this number: the number itself, unless overridden.
    #[inline]
    fn tag(&self, peer: u32) -> u32 {
        peer
    }

    /// Whether another tunnel of this host listens on this UDP or TCP port: an inner packet to it
    /// would be opened here again (D-20).
    #[inline]
    fn is_tunnel_port(&self, protocol: IpProtocol, port: u16) -> bool {
        let _ = (protocol, port);
        false
    }

    /// Whether `address` is another tunnel endpoint, to which an inner packet must not go (D-19).
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
    fn is_tunnel_port(&self, protocol: IpProtocol, port: u16) -> bool {
        (**self).is_tunnel_port(protocol, port)
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
/// use ipencap::filter::{PointToPoint, Prefix};
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
        let is_peer = outer.source == self.peer
            && outer.destination == self.local
            && comes_from(outer, self.source_port);
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
    fn prefix_len(&self, inner_source: Ipv4Addr) -> Option<u32> {
        let holding = |prefix: &&Prefix| prefix.contains(inner_source);
        self.inner
            .iter()
            .filter(holding)
            .map(|prefix| prefix.mask.leading_ones())
            .max()
    }
}

/// Some local addresses and a list of peers.
///
/// The first peer whose outer prefix holds the outer source, and from whose port the packet comes, is
/// the one that sent it. It may use an inner source if, of all prefixes of all peers, the longest that
/// holds this source is one of its own: a peer with 10.0.0.0/8 may not send from 10.1.0.5 if
/// 10.1.0.0/16 is another's.
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

    /// The same, refusing inner packets to any of these tunnel endpoints (D-19).
    #[inline]
    #[must_use]
    pub const fn with_endpoints(self, endpoints: &'a [Ipv4Addr]) -> Self {
        Self { endpoints, ..self }
    }

    /// The same, where other tunnels of this host listen on these UDP and TCP ports: inner packets
    /// to them count against the nesting limit (D-20).
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
    fn peer(&self, outer: Flow) -> Option<u32> {
        if !self.is_local(outer.destination) {
            return None;
        }
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
    fn is_tunnel_port(&self, _protocol: IpProtocol, port: u16) -> bool {
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

/// Whether `address` can be a sender's or receiver's own on this network: not 0/8, 127/8,
/// multicast, class E or broadcast (RFC 1122 §3.2.1.3, RFC 1812 §5.3.7).
#[inline]
#[must_use]
pub const fn is_unicast(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    // Not 0, and not from 224 on.
    first.wrapping_sub(1) < 223 && first != 127
}

/// Whether `address` is in 240/4, other than the limited broadcast (A-28).
#[inline]
#[must_use]
pub const fn is_class_e(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    first >= 240 && !address.is_broadcast()
}
