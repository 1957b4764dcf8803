//! Moves the start of the frame by 32 bytes, and puts the frame back.

#![no_std]
#![no_main]

use ipencap_xdp_bench::{only_moves, restoring};
use ipencap_xdp_programs::glue::Action;
use ipencap_xdp_programs::xdp;

xdp!(
    decap_gue_base =
        |context| restoring::<32, 46>(context, |context| only_moves::<32>(context, Action::Pass))
);
ipencap_xdp_programs::license!();
