//! The ICMP errors that a tunnel endpoint sends, and those that come back about its packets.
//!
//! ```text
//!  inner source ──packet──▶ encapsulator ──outer packet──▶ router on the way
//!               ◀──────────              ◀───────────────
//!               IcmpError                read → Report
//! ```
//!
//! | task | start at |
//! |---|---|
//! | answer a packet that does not fit, or whose TTL expires | [`IcmpError::about`] |
//! | read what comes back from inside the tunnel | [`read`] |
//! | tell whether it is about a packet of yours | [`Encapsulate::inside_quote`](crate::encap::Encapsulate::inside_quote) |
//! | hand it on to the inner source | [`Report::relayed`], [`IcmpError::about_quoted`] |
//! | limit the rate of errors | [`Bucket`] |
//!
//! Nothing here sends anything. Why nothing is sent is a [`Silence`](crate::error::Silence), why nothing
//! follows from a received message an [`Ignored`](crate::error::Ignored). A receiver never answers packets
//! that it [refuses](crate::error::Refused) (RFC 1812 §4.3.2.7, RFC 4213 §3.6).
//!
//! # Answer a packet that is too long
//!
//! ```
//! use core::net::Ipv4Addr;
//! use ipencap::encap::{PerPacket, Tunnel};
//! use ipencap::error::EncapError;
//! use ipencap::icmp::{IcmpError, Kind};
//! use ipencap::shim::IpIp;
//! use ipencap::{Span, encap};
//! # use ipencap::wire::{IpProtocol, Ipv4Header};
//! # fn main() -> Result<(), Box<dyn core::error::Error>> {
//! # let (from, to) = (Ipv4Addr::new(10, 1, 0, 5), Ipv4Addr::new(10, 2, 0, 9));
//! # let mut buffer = vec![0; 1520];
//! # buffer[20..40].copy_from_slice(Ipv4Header::new(from, to, IpProtocol::UDP, 1500).as_bytes());
//! let tunnel = Tunnel::new(Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2), IpIp)?;
//! let link = PerPacket::new().with_link_mtu(1500);
//! let Err(EncapError::FragmentationNeeded { mtu }) = encap(&tunnel, &mut buffer, Span::new(20, 1500), &link)
//! else { panic!("1520 bytes do not fit") };
//!
//! let gateway = Ipv4Addr::new(10, 1, 0, 1); // of the interface that received the packet
//! let answer = IcmpError::about(&buffer[20..], Kind::FragmentationNeeded { mtu }, gateway)?;
//! let mut frame = vec![0; answer.len()];
//! let answer = answer.write(&buffer[20..], &mut frame).ok_or("the frame is too short")?;
//! assert_eq!((mtu, answer.len()), (1480, 576));
//! # Ok(())
//! # }
//! ```

mod bucket;
mod outgoing;
mod report;

pub use bucket::{Bucket, BucketConfig};
pub(crate) use bucket::{halves, mixed};
pub(crate) use outgoing::Offending;
pub use outgoing::{IcmpError, Kind};
pub(crate) use report::read_parsed;
pub use report::{Relay, Report, ReportKind, read};

/// The least MTU that an IPv4 link has (RFC 791 §3.2).
const MIN_MTU: u16 = 68;

/// The types of `ICMPv4` errors (RFC 792).
mod message {
    pub(super) const UNREACHABLE: u8 = 3;
    pub(super) const SOURCE_QUENCH: u8 = 4;
    pub(super) const REDIRECT: u8 = 5;
    pub(super) const TIME_EXCEEDED: u8 = 11;
    pub(super) const PARAMETER_PROBLEM: u8 = 12;
}
