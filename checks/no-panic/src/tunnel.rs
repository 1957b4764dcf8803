mod endpoint;
mod peers;
mod values;

use core::hint::black_box;

use ipencap::encap::{AnyTunnel, MinEnc, Tunnel};
use ipencap::shim::{Fou, Gre, IpIp, Tcp};

use crate::given::address;
use crate::shim::{fou, gre, tcp};

pub fn call(buffer: &mut [u8]) {
    values::call();
    if let Some(tunnels) = tunnels() {
        peers::call(&tunnels, buffer);
        endpoint::call(&tunnels, buffer);
    }
}

/// A tunnel of each kind that differs in code.
pub struct Tunnels {
    ipip: Tunnel<IpIp>,
    fou: Tunnel<Fou>,
    gre: Tunnel<Gre>,
    tcp: Tunnel<Tcp>,
    minimal: MinEnc,
    any: AnyTunnel,
}

fn tunnels() -> Option<Tunnels> {
    let ipip = black_box(Tunnel::new(address(), address(), IpIp)).ok()?;
    Some(Tunnels {
        ipip,
        fou: black_box(Tunnel::new(address(), address(), fou())).ok()?,
        gre: black_box(Tunnel::new(address(), address(), gre())).ok()?,
        tcp: black_box(Tunnel::new(address(), address(), tcp())).ok()?,
        minimal: black_box(MinEnc::new(address(), address())).ok()?,
        any: black_box(AnyTunnel::from(ipip)),
    })
}
