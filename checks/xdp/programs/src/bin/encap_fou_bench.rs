//! `encap_fou`, and then the frame as it was.

#![no_std]
#![no_main]

use ipencap_xdp_bench::restoring;
use ipencap_xdp_programs::encap::Tunnels;
use ipencap_xdp_programs::glue::{Context, Map};
use ipencap_xdp_programs::tally::Verdict;
use ipencap_xdp_programs::udp::{OverFou, Plain};
use ipencap_xdp_programs::{encap, map, xdp};

map!(TUNNELS: Tunnels<Plain<OverFou>> = Map::array(1024));

fn program(context: &mut Context) -> Verdict {
    encap::program::<Plain<OverFou>, 28>(context, &TUNNELS)
}

fn compose_one(context: &mut Context) -> u32 {
    encap::compose(context, &TUNNELS, Plain::new)
}

xdp!(
    encap_fou_bench = |context| restoring::<-28, 14>(context, |context| program(context).settle())
);
xdp!(compose = compose_one);
ipencap_xdp_programs::license!();
