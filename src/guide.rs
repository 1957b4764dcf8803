//! Pages to read: no code of the crate, only what to know before choosing.

#[doc = include_str!("guide/carriers.md")]
pub mod carriers {}

#[doc = include_str!("guide/conformance.md")]
pub mod conformance {}
