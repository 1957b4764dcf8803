#![no_std]
//! Layer-4 load balancing.

mod balancer;
mod begun;
mod choose;
mod maglev;
mod service;

pub use balancer::{Balancer, Count, Outcome};
pub use begun::{Begun, Set};
pub use choose::{Choice, Maps, Stage, Tables, answered_flow, choose, own_flow};
pub use maglev::{BuildError, Member, Slot, State, Turn, build, finish, keep_old, table_len};
pub use service::{Pool, TableFull, Vip, VipEntry, Vips};
