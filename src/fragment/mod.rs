//! Fragments: split packets that are too long for a link, and join those that arrive in pieces.
//!
//! ```text
//!  split     [header|payload                       ]      plan, Plan::fragments
//!                      │
//!            [header|data 0 ] [header|data 1 ] [header|data 2 ]
//!                      │
//!  reassemble   slot  [header|data 0  ······  data 2 ]      Reassembler::add, until Complete
//! ```
//!
//! | task | start at |
//! |---|---|
//! | split a packet that exceeds the MTU of a tunnel or link | [`plan`] |
//! | write the fragments to buffers of their own | [`Fragment::write`] |
//! | split in one buffer, and wrap each fragment in place | [`Fragment::write_in_place`] |
//! | hand header and data to an I/O vector | [`Fragment::header`], [`Fragment::option_bytes`], [`Fragment::body`] |
//! | join the fragments that peers send | [`Reassembler`] |
//! | know how much memory that takes | [`Reassembler::memory_len`] |
//! | bound what one peer may do | [`Limits`] |
//! | drop fragments that deceive packet filters | [`check_tcp_fragment`] |
//!
//! # Which packet to split
//!
//! The inner packet, before it is wrapped: each fragment then has an outer header of its own, the far end
//! of the tunnel reassembles nothing, and no outer identification is needed (RFC 2003 §5.1, RFC 7588
//! §3.3.1.1). This is possible if the inner packet has DF clear. With DF set, [`plan`] refuses, and the
//! caller answers with ICMP 3/4.
//!
//! An outer packet can be split in the same way if its DF is clear and it has an identification
//! ([`DfPolicy`](crate::encap::DfPolicy), RFC 6864 §4.3). The far end must then reassemble.
//!
//! # Reassemble or not
//!
//! A receiver refuses outer fragments ([`OuterFragment`](crate::error::Reason::OuterFragment)), the safe
//! default of RFC 7588 §3.4. Where peers must be able to send them, put a [`Reassembler`] in front of the
//! receiver, and read its paragraph on who may send fragments. Inner fragments pass a tunnel as they are;
//! their destination joins them.

mod filter;
mod plan;
mod reassembly;
mod slot;

pub use filter::check_tcp_fragment;
pub(crate) use plan::plan_parsed;
pub use plan::{Fragment, Fragments, Plan, plan};
pub use reassembly::{Added, Evicted, Limits, Reassembler, SlotId};
pub use slot::Slot;
