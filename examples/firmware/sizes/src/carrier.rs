//! The tunnel that was chosen.

use core::net::Ipv4Addr;

use ipencap::decap::Prefix;
use ipencap::encap::Tunnel;

#[cfg(feature = "fou")]
type Shim = ipencap::shim::Fou;
#[cfg(feature = "gre")]
type Shim = ipencap::shim::Gre;
#[cfg(feature = "gue")]
type Shim = ipencap::shim::Gue;
#[cfg(feature = "ipip")]
type Shim = ipencap::shim::IpIp;

#[cfg(feature = "fou")]
const SHIM: Shim = Shim::new(5555);
#[cfg(any(feature = "gre", feature = "gue"))]
const SHIM: Shim = Shim::new();
#[cfg(feature = "ipip")]
const SHIM: Shim = ipencap::shim::IpIp;

pub const LOCAL: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
pub const PEER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);

pub type Chosen = Tunnel<Shim>;

/// The tunnel to the peer.
pub const TUNNEL: Chosen = match Tunnel::new(LOCAL, PEER, SHIM) {
    Ok(tunnel) => tunnel,
    Err(_) => panic!("the tunnel's addresses are wrong"),
};

/// What is behind the peer.
pub const BEHIND: &[Prefix] = &[match Prefix::new(Ipv4Addr::new(10, 9, 0, 0), 24) {
    Ok(prefix) => prefix,
    Err(_) => panic!("the prefix is wrong"),
}];
