//! What the XDP programs in `src/bin/` are made of. The kernel's interface is in [`glue`]; everything else is safe code
//! around the library.

#![no_std]

pub mod answer;
pub mod balance;
pub mod decap;
pub mod encap;
pub mod ethernet;
pub mod flow;
pub mod glue;
pub mod tally;
pub mod udp;
