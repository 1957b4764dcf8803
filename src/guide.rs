//! Guide pages without code: how to choose a tunnel, where packets come from and go to, what becomes of packets that
//! are too long, what went wrong in other tunnels, how a VPN is made, what a tunnel in a microcontroller costs, and
//! which RFC requirements this crate meets.

#[doc = include_str!("guide/carriers.md")]
pub mod carriers {}

#[doc = include_str!("guide/conformance.md")]
pub mod conformance {}

#[doc = include_str!("guide/datapaths.md")]
pub mod datapaths {}

#[doc = include_str!("guide/embedded.md")]
pub mod embedded {}

#[doc = include_str!("guide/mtu.md")]
pub mod mtu {}

#[doc = include_str!("guide/pitfalls.md")]
pub mod pitfalls {}

#[doc = include_str!("guide/vpn.md")]
pub mod vpn {}
