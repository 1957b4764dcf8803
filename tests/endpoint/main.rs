//! Both ends of tunnels: what becomes of packets from either side, and of those that mean ill.
//!
//! The ends are chained in memory: what one sends the other receives. The naive endpoint of the kit answers the
//! same calls in `laws.rs`; here are the cases with names.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that panics fails"
)]

mod attacks;
mod black_holes;
mod counters;
mod ends;
mod icmp;
mod identifications;
mod kinds;
mod lessons;
mod path_check;
mod peers;
mod tenants;
mod time;
