//! Two stacks and the network between them, on a clock of its own: everything that happens follows from the seed.

#![allow(dead_code, unused_imports, reason = "each program uses a part of it")]

mod cases;
mod ethernet;
mod host;
mod narrowing;
mod transfer;
mod wire;

pub(crate) use cases::Case;
pub(crate) use host::{Host, Memory, Stack, endpoint};
pub(crate) use narrowing::Outcome;
pub(crate) use transfer::{Stream, byte_at, exchange};
pub(crate) use wire::{Weather, Wire};
