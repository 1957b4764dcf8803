//! The contenders, a file per family.

pub mod etherparse;
pub mod internet_checksum;
pub mod limit;
pub mod ours;
pub mod peer;
pub mod peers;
pub mod plain;
pub mod pnet;
pub mod services;
pub mod smoltcp;
pub mod stream;
pub mod tokio_util;
