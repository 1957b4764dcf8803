//! Loads the XDP programs, fills their maps from a configuration, attaches them, and reads their counters.

mod config;
mod failure;
mod object;

pub use config::{Config, Decap, Peer, Prefix};
pub use failure::Failure;
pub use object::{Object, objects_folder};
