#![no_std]
//! Which backend a packet goes to: the tables of a layer-4 load balancer, for XDP programs and for user space.
//!
//! ```text
//!  packet ──▶ Vip ───────▶ Pool ──────────────▶ Slot ───────▶ backend ──▶ tunnel
//!             address,     where its slots are  two bytes for number      IP-in-IP or GUE
//!             port,        [ · · · · · · · · ]  new flows,
//!             protocol           ▲              two for old
//!         ──▶ flow ──▶ hash ─────┘              connections
//! ```
//!
//! `no_std`, no allocator, no `unsafe`, no floating point, no recursion, and no panic on any input. A lookup is one probe
//! of a hash table and one of an array; its loops are bounded. All memory is the caller's: slices in user space
//! ([`Tables`]), maps in an XDP program (which implements [`Maps`] and calls [`choose()`]). Tables are built in user
//! space ([`build`]).
//!
//! ```
//! use core::net::Ipv4Addr;
//! use ipencap::{Span, encap::Tunnel, shim::IpIp, wire::{IpProtocol, Ipv4Header}};
//! use ipencap_balance::{
//!     Backend, Balancer, Begun, Member, Outcome, Pool, Slot, State, Tables, Turn, Vip, VipEntry, Vips, build, table_len,
//! };
//!
//! # fn main() -> Result<(), Box<dyn core::error::Error>> {
//! // Three backends; the third is drained.
//! let addresses = [1, 2, 3].map(|number| Ipv4Addr::new(192, 0, 2, number));
//! let member = |backend: u16| Member {
//!     backend,
//!     identity: addresses[usize::from(backend)].to_bits(),
//!     weight: 1,
//!     state: if backend == 2 { State::Draining } else { State::Active },
//! };
//! let members = [0, 1, 2].map(member);
//! let len = table_len(&members);
//! let mut slots = vec![Slot::EMPTY; len as usize];
//! build(&mut slots, &members, &mut [Turn::default(); 3])?;
//!
//! // One service.
//! let vip = Vip { address: Ipv4Addr::new(203, 0, 113, 53), port: 0, protocol: IpProtocol::UDP };
//! let mut entries = [VipEntry::default(); 4];
//! let mut begun = [[0; 8]; 1024];
//! let tables = Tables {
//!     vips: Vips::new(&mut entries, [(vip, Pool::new(0, len))])?,
//!     slots: &slots,
//!     begun: Begun::new(&mut begun),
//!     seed: 0x5eed_1e55,
//! };
//!
//! // A tunnel to each backend.
//! let here = Ipv4Addr::new(198, 51, 100, 1);
//! let tunnels = addresses.map(|address| Tunnel::new(here, address, IpIp));
//! let mut backends = [Backend::new(tunnels[0]?), Backend::new(tunnels[1]?), Backend::new(tunnels[2]?)];
//! let mut balancer = Balancer { tables, backends: &mut backends };
//!
//! let mut buffer = [0; 128];
//! for client in 0..1000 {
//!     let header = Ipv4Header::new(Ipv4Addr::from_bits(0x0a00_0000 + client), vip.address, vip.protocol, 28);
//!     buffer[64..84].copy_from_slice(header.as_bytes());
//!     let Outcome::Send { backend, outer } = balancer.forward(&mut buffer, Span::new(64, 28)) else { panic!() };
//!     assert!(backend < 2 && outer == Span::new(44, 48)); // on its way to the network
//! }
//! let packets = backends.map(|backend| backend.count.packets);
//! assert!(packets[0] > 450 && packets[1] > 450 && packets[2] == 0);
//! # Ok(())
//! # }
//! ```
//!
//! # What moves when backends change
//!
//! | change | flows that move |
//! |---|---|
//! | a backend goes [`Down`](State::Down) | its own, to all others by their weights |
//! | it comes back | the same ones back to it |
//! | it is [`Draining`](State::Draining) | its new ones; its TCP connections stay until [`finish`] |
//! | it is taken out of the list, or its weight changes | those that must, and about as many others, unless [`keep_old`] holds the connections until [`finish`] |
//!
//! A balancer at rest keeps nothing for each flow, so it can be restarted, and several can share a VIP (ECMP). While a
//! slot changes, its packets are told apart: a TCP SYN begins a connection, which goes to the new backend and is noted in
//! [`Begun`]; every other TCP packet goes to the old backend unless its connection stands there. Of UDP nobody can tell
//! whether a packet begins a flow, so all of it moves at once.
//!
//! So while slots change, as they do as long as a backend drains, [`Begun`] is state: keep its memory over a restart, or
//! the connections in it go to the old backend, which refuses them. So do those that ECMP moves to another balancer then.
//!
//! **ICMP errors** to a VIP go to the backend of the flow that they quote: the quoted packet is an answer, so its flow
//! reversed is the client's ([`answered_flow`]).
//!
//! **Fragments** have no ports. They go by a VIP that is for all ports, whole datagrams to one backend; a VIP with a
//! port does not get them.
//!
//! # How many slots?
//!
//! With few slots shares are uneven, and more flows move without need when a member is taken out; every slot takes four
//! bytes, and a table that no cache holds makes each lookup slower. With 100 members of equal weight, of which one is
//! taken out (a test has these figures):
//!
//! | slots | memory | greatest share ÷ mean | other flows that move, mean |
//! |---:|---:|---:|---:|
//! | 1021 | 4 KiB | 1.08 | 4.0 % |
//! | 4093 | 16 KiB | 1.00 | 2.8 % |
//! | **16,381** | **64 KiB** | **1.00** | **1.3 %** |
//! | 65,521 | 256 KiB | 1.00 | 0.5 % |
//! | 262,139 | 1 MiB | 1.00 | 0.2 % |
//!
//! [`table_len`] takes 100 slots or more a member, as the paper advises: at most 2 % move, and shares differ by 1 %.
//! Tables of one length for all VIPs, as Katran has them (65,537 slots), would take 250 MiB for 1,000 VIPs; with
//! [`table_len`] 1,000 pools of ten backends take 4 MiB. VIPs with the same backends share a pool, and take 16 bytes
//! more each.
//!
//! # Memory
//!
//! | for | bytes |
//! |---|---:|
//! | a slot | 4 |
//! | a VIP, with the empty entries beside it | 64 |
//! | a backend: IP-in-IP tunnel and counters | 64 |
//! | a connection that begins while slots change | 8, with the empty entries |
//! | a member, while a table is built | 24 |
//!
//! # Limits
//!
//! At most 65,535 backends, and 4 billion slots in all. The seed of the flows' hash must be secret, and the order of
//! members the same in all balancers that share a VIP.

mod balancer;
mod begun;
mod choose;
mod maglev;
mod service;

pub use balancer::{Backend, Balancer, Count, Outcome};
pub use begun::{Begun, Set};
pub use choose::{Choice, Maps, Stage, Tables, answered_flow, choose, own_flow};
pub use maglev::{BuildError, Member, Slot, State, Turn, build, finish, keep_old, table_len};
pub use service::{Pool, TableFull, Vip, VipEntry, Vips};
