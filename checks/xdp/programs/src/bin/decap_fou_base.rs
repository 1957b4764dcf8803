//! Moves the start of the frame by 28 bytes, and puts the frame back.

#![no_std]
#![no_main]

use ipencap_xdp_bench::{only_moves, restoring};
use ipencap_xdp_programs::glue::Action;
use ipencap_xdp_programs::xdp;

xdp!(
    decap_fou_base =
        |context| restoring::<28, 42>(context, |context| only_moves::<28>(context, Action::Pass))
);
ipencap_xdp_programs::license!();
