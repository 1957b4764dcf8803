//! Guide pages without code: how to choose a tunnel, and which RFC requirements this crate meets.

#[doc = include_str!("guide/carriers.md")]
pub mod carriers {}

#[doc = include_str!("guide/conformance.md")]
pub mod conformance {}
