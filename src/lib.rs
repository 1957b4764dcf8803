#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc(html_root_url = "https://docs.rs/ipencap/0.1.0")]
//! Wrap IPv4 packets in other IP packets, in place, and take them out again.
//!
//! ```text
//!  before   [······ headroom ······][inner IPv4 header|payload]
//!  after    [······][outer header  ][inner IPv4 header|payload]
//!                   └ overhead: 20 ┘ for IP-in-IP; the inner bytes have not moved
//! ```
//!
//! `no_std`, no allocator, no `unsafe`, no panic on any input; secure by default: a decapsulator
//! opens nothing but packets from its peers, with inner sources it was told to expect.
//!
//! # Wrap and unwrap
//!
//! ```
//! use core::net::Ipv4Addr;
//! use ipencap::decap::Receiver;
//! use ipencap::encap::{IpIp, PerPacket};
//! use ipencap::decap::{PointToPoint, Prefix};
//! use ipencap::Span;
//!
//! # fn main() -> Result<(), Box<dyn core::error::Error>> {
//! # let inner = *b"\x45\x00\x00\x24\x12\x34\x40\x00\x40\x11\x14\x85\x0a\x01\x00\x05\x0a\x02\x00\x09\
//! #     \x9c\x40\x00\x35\x00\x10\xac\xe6ipencap!";
//! let (left, right) = (Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2));
//!
//! // Sender: the inner packet lies behind at least 20 free bytes.
//! let tunnel = IpIp::new(left, right)?;
//! let mut buffer = [0; 1520];
//! buffer[20..56].copy_from_slice(&inner);
//! let outer = ipencap::encap(&tunnel, &mut buffer, Span::new(20, 36), &PerPacket::new())?;
//! assert_eq!(outer.len(), 56);
//!
//! // Receiver: its own address, who may send, and which inner sources the sender may use.
//! let inner_sources = [Prefix::new(Ipv4Addr::new(10, 1, 0, 0), 16)?];
//! let receiver = Receiver::ipip(PointToPoint::new(right, left, &inner_sources));
//! let opened = ipencap::decap(&receiver, outer)?;
//! assert_eq!(opened.packet, inner);
//! # Ok(())
//! # }
//! ```
//!
//! # Floors
//!
//! ```text
//!  floor 2   encap      IPv4 packet → IPv4 packet: encapsulators
//!            decap      checks outer packets and takes the inner ones out
//!            stream     IPv4 packets ↔ byte stream
//!  floor 1   wire       bytes → &header, and the small values inside
//!            packet     a packet with headroom: borrowed and owned
//!  floor 0   checksum   bytes → ones' complement sum      mtu   lengths → lengths      error
//! ```
//!
//! # Where to start
//!
//! | task | start at |
//! |---|---|
//! | wrap and unwrap | [`encap()`], [`decap()`] |
//! | choose a tunnel | [`guide::carriers`] |
//! | tunnel over UDP, TCP, GRE | [`encap::Udp`], [`encap::Tcp`], [`encap::Gre`], [`encap::MinEnc`] |
//! | say who may send what | [`decap::Access`] |
//! | choose TTL, DSCP, ECN, DF, MTU | [`encap::IpIp`] |
//! | know what a tunnel costs in MTU and MSS | [`mtu`] |
//! | count drops | [`error`] |
//! | nest tunnels | [`encap::Stack`], [`decap`](mod@decap), [`decap::decap_nested`] |
//! | keep a tunnel for each backend, choose layers at run time | [`encap::Template`] |
//! | wrap many packets at once | [`encap::encap_each`], [`encap::Ring`], [`encap::encap_train`] |
//! | validate once, hand on | [`packet::Packet::prove`] |
//! | tunnel through an ordinary UDP socket | [`encap::Udp::encap_payload`] |
//! | send packets over a TCP connection | [`stream`] |
//! | parse a packet, patch a field | [`wire`] |
//! | compute or update a checksum | [`checksum`] |
//! | read a packet quoted in an ICMP error | [`wire::Ipv4::parse_quoted`] |
//! | write an encapsulator of one's own | [`encap`](mod@encap) |
//! | see what of the RFCs is met, and where | [`guide::conformance`] |
//!
//! # Rule ids
//!
//! Ids such as V-03, E-17 or D-07 in these pages name the project's own rules, gathered from the RFCs
//! that stand beside them; the tests that check a rule carry its id. All of them, by RFC and section,
//! stand in [`guide::conformance`].
//!
//! # Features
//!
//! | feature | default | what |
//! |---|---|---|
//! | `heapless` | on | `packet::PacketBuf`, a packet that owns its buffer; sets the minimum Rust version to 1.87 |
//! | `defmt` | off | `defmt::Format` for errors, verdicts and small values |

pub mod checksum;
pub mod decap;
pub mod encap;
pub mod error;
pub mod guide;
pub mod mtu;
pub mod packet;
pub mod stream;
pub mod wire;

#[doc(inline)]
pub use decap::decap;
#[doc(inline)]
pub use encap::encap;
#[doc(inline)]
pub use packet::Span;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
