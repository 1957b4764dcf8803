//! What the examples share. None of it is part of the library.

pub(crate) mod args;
pub(crate) mod connection;
pub(crate) mod dissect;
pub(crate) mod drawing;
pub(crate) mod input;
pub(crate) mod link;
pub(crate) mod output;
pub(crate) mod pcapng;
#[allow(dead_code, reason = "the example mtu draws the headers")]
pub(crate) mod spec;
pub(crate) mod stream;
pub(crate) mod summary;
pub(crate) mod tour;
pub(crate) mod tunnel;
