//! The load balancer in user space, and its configuration, which the XDP program shares.

mod config;
mod engine;
mod layout;
mod live;
mod offload;
mod program;
mod report;

pub use config::{Backend, Balance, Kind, PoolConfig, Service};
pub use engine::{Engine, Out, Tally};
pub use layout::Layout;
pub use program::run;
pub use report::Report;
