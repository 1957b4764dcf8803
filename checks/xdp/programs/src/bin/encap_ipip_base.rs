//! Moves the start of the frame by -20 bytes, and puts the frame back.

#![no_std]
#![no_main]

use ipencap_xdp_bench::{only_moves, restoring};
use ipencap_xdp_programs::glue::Action;
use ipencap_xdp_programs::xdp;

xdp!(
    encap_ipip_base =
        |context| restoring::<-20, 14>(context, |context| only_moves::<-20>(context, Action::Tx))
);
ipencap_xdp_programs::license!();
