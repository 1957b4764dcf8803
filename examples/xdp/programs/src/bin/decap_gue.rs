//! Takes packets out of GUE tunnels (draft-ietf-intarea-gue), version 0 without extensions.

#![no_std]
#![no_main]

use ipencap::shim::Gue;
use ipencap_xdp_programs::glue::Context;
use ipencap_xdp_programs::tally::Verdict;
use ipencap_xdp_programs::{decap, xdp};

const HEADERS: usize = 14 + 20 + 8 + 4 + 20 + 4;

fn program(context: &mut Context) -> Verdict {
    decap::program::<Gue, HEADERS>(
        context,
        |port| Gue::new().with_destination_port(port),
        // Version 0 and a header length of 0; the bit between them is for control messages.
        |head| head[14 + 20 + 8] & !0x20 == 0,
    )
}

xdp!(decap_gue = |context| program(context).settle());
ipencap_xdp_programs::license!();
