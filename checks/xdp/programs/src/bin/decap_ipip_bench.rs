//! `decap_ipip`, and then the frame as it was.

#![no_std]
#![no_main]

use ipencap::shim::IpIp;
use ipencap_xdp_bench::restoring;
use ipencap_xdp_programs::glue::Context;
use ipencap_xdp_programs::tally::Verdict;
use ipencap_xdp_programs::{decap, xdp};

fn program(context: &mut Context) -> Verdict {
    decap::program::<IpIp, { 14 + 20 + 20 + 4 }>(context, |_port| IpIp, |_| true)
}

xdp!(
    decap_ipip_bench = |context| restoring::<20, 34>(context, |context| program(context).settle())
);
ipencap_xdp_programs::license!();
