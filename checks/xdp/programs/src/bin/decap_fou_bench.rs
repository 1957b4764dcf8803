//! `decap_fou`, and then the frame as it was.

#![no_std]
#![no_main]

use ipencap::shim::Fou;
use ipencap_xdp_bench::restoring;
use ipencap_xdp_programs::glue::Context;
use ipencap_xdp_programs::tally::Verdict;
use ipencap_xdp_programs::{decap, xdp};

fn program(context: &mut Context) -> Verdict {
    decap::program::<Fou, { 14 + 20 + 8 + 20 + 4 }>(context, Fou::new, |_| true)
}

xdp!(decap_fou_bench = |context| restoring::<28, 42>(context, |context| program(context).settle()));
ipencap_xdp_programs::license!();
