//! `balance_ipip`, and then the frame as it was.

#![no_std]
#![no_main]

use ipencap::shim::IpIp;
use ipencap_xdp_bench::restoring;
use ipencap_xdp_programs::encap::Tunnels;
use ipencap_xdp_programs::glue::{Context, Map};
use ipencap_xdp_programs::tally::Verdict;
use ipencap_xdp_programs::{balance, encap, map, xdp};

// One for each backend: the loader makes it as long as the configuration needs.
map!(TUNNELS: Tunnels<IpIp> = Map::array(1));

fn program(context: &mut Context) -> Verdict {
    balance::program::<IpIp, 20>(context, &TUNNELS)
}

fn compose_one(context: &mut Context) -> u32 {
    encap::compose(context, &TUNNELS, |_| IpIp)
}

xdp!(
    balance_ipip_bench =
        |context| restoring::<-20, 14>(context, |context| program(context).settle())
);
xdp!(compose = compose_one);
ipencap_xdp_programs::license!();
