//! Moves the start of the frame by -28 bytes, and puts the frame back.

#![no_std]
#![no_main]

use ipencap_xdp_bench::{only_moves, restoring};
use ipencap_xdp_programs::glue::Action;
use ipencap_xdp_programs::xdp;

xdp!(
    encap_fou_base =
        |context| restoring::<-28, 14>(context, |context| only_moves::<-28>(context, Action::Tx))
);
ipencap_xdp_programs::license!();
