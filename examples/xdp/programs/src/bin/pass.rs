//! Leaves every packet to the kernel: for the other end of a veth pair, which receives what XDP sends only if it has an
//! XDP program too.

#![no_std]
#![no_main]

use ipencap_xdp_programs::glue::{Action, Context};
use ipencap_xdp_programs::xdp;

fn program(_: &mut Context) -> u32 {
    Action::Pass as u32
}

xdp!(pass = program);
ipencap_xdp_programs::license!();
