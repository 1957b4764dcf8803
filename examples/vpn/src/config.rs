//! What the program is told to do, by a file or by its arguments.

use core::net::{Ipv4Addr, SocketAddrV4};
use core::time::Duration;

use ipencap::decap::{InnerPolicy, Prefix};
use ipencap::encap::AnyTunnel;
use ipencap::tunnel::{MssPolicy, MtuPolicy, PeerTunnel};

/// All of it.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) interface: Interface,
    pub(crate) peers: Vec<Peer>,
}

/// The TUN device, and the link behind.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Interface {
    /// `None`: the system chooses one.
    pub(crate) name: Option<String>,
    /// Addresses with the lengths of their prefixes.
    pub(crate) addresses: Vec<(Ipv4Addr, u8)>,
    /// The MTU of the link that outer packets leave by, in bytes. `None`: the link is asked.
    pub(crate) link_mtu: Option<u16>,
    pub(crate) offload: bool,
    pub(crate) stats_interval: Option<Duration>,
    /// Whether to set routes to the peers' networks.
    pub(crate) routes: bool,
}

/// A host at the other end of a tunnel, and the networks behind it.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) name: String,
    /// The specifications as they were written, the first one innermost.
    pub(crate) text: Vec<String>,
    /// The layers as the endpoint has them.
    pub(crate) stack: Box<[AnyTunnel]>,
    pub(crate) inner_policy: InnerPolicy,
    pub(crate) carrier: Carrier,
    pub(crate) allowed: Vec<Prefix>,
    pub(crate) mtu: MtuPolicy,
    pub(crate) mss: MssPolicy,
    pub(crate) keepalive: Option<Duration>,
    /// An inner address that answers pings, to find the path MTU where routers are silent (RFC 8899).
    pub(crate) probe: Option<Ipv4Addr>,
}

impl Peer {
    /// The outermost addresses: ours, and the peer's.
    pub(crate) fn ends(&self) -> (Ipv4Addr, Ipv4Addr) {
        (*self.stack).ends()
    }
}

/// What carries the packets of a peer: what its outermost tunnel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// A raw socket of this IP protocol: 4, 47 or 55.
    Raw { protocol: u8, local: Ipv4Addr },
    /// A UDP socket.
    Udp {
        /// Where packets from the peer arrive.
        local: SocketAddrV4,
        remote: SocketAddrV4,
        /// Where packets to the peer come from, if not from `local`.
        source_port: Option<u16>,
    },
    /// A connection.
    Tcp {
        /// Whether the peer connects to us.
        listen: bool,
        local: SocketAddrV4,
        remote: SocketAddrV4,
        framing: ipencap::wire::LengthPrefix,
    },
}
