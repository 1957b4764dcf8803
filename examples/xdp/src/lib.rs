//! Loads the XDP programs, fills their maps from a configuration, attaches them, and reads their counters.
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a program may stop on a bug of its own; the library may not"
)]
#![allow(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "places and lengths are small"
)]
#![allow(
    clippy::missing_inline_in_public_items,
    reason = "nobody depends on this crate"
)]

mod attach;
pub mod balance;
mod config;
mod failure;
mod object;
mod stats;

pub use attach::{Mode, attach, detach, replace};
pub use config::{Config, Decap, Encap, Mac, OutBy, Peer, Prefix, TunnelTo};
pub use failure::Failure;
pub use object::{Object, objects_folder};
pub use stats::{SentTo, Stats, stats};
