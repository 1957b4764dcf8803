//! Two stacks and the network between them, on a clock of its own: everything that happens follows from the seed.

mod host;
mod transfer;
mod wire;

pub(crate) use host::{Memory, Stack, TunnelHost, endpoint};
pub(crate) use transfer::{Goodput, Transfer};
pub(crate) use wire::{Link, Tally, Weather, Wire};
