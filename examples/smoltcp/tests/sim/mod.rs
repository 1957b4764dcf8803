//! Two stacks and the network between them, on a clock of its own: everything that happens follows from the seed.

mod ethernet;
mod host;
mod narrowing;
mod transfer;
mod wire;

pub(crate) use ethernet::{EthernetHost, raw_socket};
pub(crate) use host::{Host, TunnelHost};
pub(crate) use narrowing::{Outcome, narrowing};
pub(crate) use wire::{Link, Weather, Wire};
