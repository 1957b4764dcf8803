//! Puts packets into FOU tunnels.

#![no_std]
#![no_main]

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

xdp!(encap_fou = |context| program(context).settle());
xdp!(compose = compose_one);
ipencap_xdp_programs::license!();
