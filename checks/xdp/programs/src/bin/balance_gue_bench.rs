//! `balance_gue`, and then the frame as it was.

#![no_std]
#![no_main]

use ipencap_xdp_bench::restoring;
use ipencap_xdp_programs::encap::Tunnels;
use ipencap_xdp_programs::glue::{Context, Map};
use ipencap_xdp_programs::tally::Verdict;
use ipencap_xdp_programs::udp::{OverGue, Plain};
use ipencap_xdp_programs::{balance, encap, map, xdp};

// One for each backend: the loader makes it as long as the configuration needs.
map!(TUNNELS: Tunnels<Plain<OverGue>> = Map::array(1));

fn program(context: &mut Context) -> Verdict {
    balance::program::<Plain<OverGue>, 32>(context, &TUNNELS)
}

fn compose_one(context: &mut Context) -> u32 {
    encap::compose(context, &TUNNELS, Plain::new)
}

xdp!(
    balance_gue_bench =
        |context| restoring::<-32, 14>(context, |context| program(context).settle())
);
xdp!(compose = compose_one);
ipencap_xdp_programs::license!();
