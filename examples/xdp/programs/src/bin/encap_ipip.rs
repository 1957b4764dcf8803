//! Puts packets into IP-in-IP tunnels (RFC 2003).

#![no_std]
#![no_main]

use ipencap::shim::IpIp;
use ipencap_xdp_programs::encap::Tunnels;
use ipencap_xdp_programs::glue::{Context, Map};
use ipencap_xdp_programs::tally::Verdict;
use ipencap_xdp_programs::{encap, map, xdp};

map!(TUNNELS: Tunnels<IpIp> = Map::array(1024));

fn program(context: &mut Context) -> Verdict {
    encap::program::<IpIp, 20>(context, &TUNNELS)
}

fn compose_one(context: &mut Context) -> u32 {
    encap::compose(context, &TUNNELS, |_| IpIp)
}

xdp!(encap_ipip = |context| program(context).settle());
xdp!(compose = compose_one);
ipencap_xdp_programs::license!();
