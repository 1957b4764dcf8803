//! Takes packets out of IP-in-IP tunnels (RFC 2003).

#![no_std]
#![no_main]

use ipencap::shim::IpIp;
use ipencap_xdp_programs::glue::Context;
use ipencap_xdp_programs::tally::Verdict;
use ipencap_xdp_programs::{decap, xdp};

fn program(context: &mut Context) -> Verdict {
    decap::program::<IpIp, { 14 + 20 + 20 + 4 }>(context, |_port| IpIp, |_| true)
}

xdp!(decap_ipip = |context| program(context).settle());
ipencap_xdp_programs::license!();
