#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc(html_root_url = "https://docs.rs/ipencap/0.1.0")]
//! Wrap IPv4 packets in other IP packets, in place, and take them out again.
//!
//! ```text
//!  before    [··· headroom ···][inner IPv4|payload]
//!  after     [outer IPv4][shim][inner IPv4|payload]      the inner bytes have not moved
//! ```
//!
//! The shim is what stands between the outer IPv4 header and the inner packet: nothing for IP-in-IP, a UDP header
//! for FOU (Foo over UDP), UDP and a GUE header for GUE (Generic UDP Encapsulation), or a GRE or TCP header. `no_std`, no
//! allocator, no `unsafe`, no panic on any input. A receiver opens packets from its peers only, with the
//! inner sources that it was told to expect.
//!
//! # Wrap and unwrap
//!
//! ```
//! use core::net::Ipv4Addr;
//! use ipencap::decap::{PointToPoint, Prefix};
//! use ipencap::encap::{PerPacket, Tunnel};
//! use ipencap::shim::IpIp;
//! use ipencap::{Span, decap, encap};
//!
//! # fn main() -> Result<(), Box<dyn core::error::Error>> {
//! # let inner = *b"\x45\x00\x00\x24\x12\x34\x40\x00\x40\x11\x14\x85\x0a\x01\x00\x05\x0a\x02\x00\x09\
//! #     \x9c\x40\x00\x35\x00\x10\xac\xe6ipencap!";
//! let (left, right) = (Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2));
//! let tunnel = Tunnel::new(left, right, IpIp)?;
//!
//! // Sender: the inner packet lies behind at least 20 free bytes.
//! let mut buffer = [0; 1520];
//! buffer[20..56].copy_from_slice(&inner);
//! let outer = encap(&tunnel, &mut buffer, Span::new(20, 36), &PerPacket::new())?;
//! assert_eq!(outer.len(), 56);
//!
//! // Receiver: its own address, its peer's, and which inner sources the peer may use.
//! let inner_sources = [Prefix::new(Ipv4Addr::new(10, 1, 0, 0), 16)?];
//! let receiver = tunnel.receiver(PointToPoint::new(right, left, &inner_sources));
//! assert_eq!(decap(&receiver, outer)?.packet, inner);
//! # Ok(())
//! # }
//! ```
//!
//! # Layers
//!
//! ```text
//!  layer 3   tunnel     a complete tunnel endpoint: peers, paths, fragments, ICMP; takes the time as an argument
//!  layer 2   encap      IPv4 packet → outer packet: tunnels, their policies, stacks
//!            decap      outer packet → IPv4 packet: receivers, who may send what, nesting
//!            fragment   split packets, and reassemble fragments in bounded memory
//!            shim       one file for each header between outer IPv4 and inner packet: write and read
//!            icmp       ICMP errors: build them, read those that come back
//!            mss        lower the MSS option of an inner SYN
//!            pmtu       the MTU of a path: learnt from reports, or probed
//!            stream     IPv4 packets ↔ byte stream
//!  layer 1   packet     a packet with headroom, and the facts parsed from it
//!            wire       bytes → &header, and the small values inside
//!  layer 0   checksum   bytes → ones' complement sum      mtu   lengths → lengths      error   time
//! ```
//!
//! # Where to start
//!
//! | task | start at |
//! |---|---|
//! | run one end of a tunnel: MTU, ICMP, peers and all | [`tunnel::Endpoint`] |
//! | wrap and unwrap | [`encap()`], [`decap()`] |
//! | balance load | [`tunnel`], its section on load balancers; [`packet::Flow::hash`] |
//! | choose a kind of tunnel | [`guide::carriers`], [`shim`] |
//! | choose TTL, DSCP, ECN, DF, MTU | [`encap::OuterPolicy`] |
//! | say who may send what | [`decap::PointToPoint`], [`decap::Edge`], [`decap::EdgeTable`], [`decap::Access`] |
//! | find one of many peers | [`decap::PrefixTable`] |
//! | know what a tunnel costs in MTU and MSS | [`mtu`] |
//! | keep the MTU of a path | [`pmtu::PathMtu`], [`pmtu::Prober`] |
//! | keep the segments of inner TCP connections short enough (MSS clamping) | [`mss::inspect`] |
//! | split a packet that is too long for a tunnel or a link | [`fragment::plan`] |
//! | reassemble outer fragments | [`fragment::Reassembler`] |
//! | count drops | [`error`] |
//! | nest tunnels | [`encap`](mod@encap), [`decap::decap_nested`] |
//! | choose tunnels at run time | [`encap::AnyTunnel`] |
//! | validate once, hand on | [`packet::Packet::prove`] |
//! | get the headers by value | [`encap::header`] |
//! | tunnel through an ordinary UDP socket | [`encap::Tunnel::encap_payload`] |
//! | send packets over a TCP connection | [`stream`] |
//! | parse a packet, patch a field | [`wire`] |
//! | compute or update a checksum | [`checksum`] |
//! | answer a packet with an ICMP error | [`icmp::IcmpError`] |
//! | read an ICMP error about a packet of a tunnel | [`icmp::read`] |
//! | read a packet quoted in an ICMP error | [`wire::Ipv4::parse_quoted`], [`packet::Flow::of_quoted`] |
//! | add an encapsulation of your own | [`shim`] |
//! | understand path MTU discovery through a tunnel | [`guide::mtu`] |
//! | know what went wrong in other tunnels | [`guide::pitfalls`] |
//! | write a VPN | [`guide::vpn`] |
//! | choose between sockets, XDP, `AF_XDP` and DPDK | [`guide::datapaths`] |
//! | put a tunnel into a microcontroller | [`guide::embedded`] |
//! | see what of the RFCs is met, and where | [`guide::conformance`] |
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
pub mod fragment;
pub mod guide;
pub mod icmp;
pub mod mss;
pub mod mtu;
pub mod packet;
pub mod pmtu;
pub mod shim;
pub mod stream;
pub mod time;
pub mod tunnel;
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
