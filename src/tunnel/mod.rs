//! A complete tunnel endpoint: it says what to do with each packet, from either side.
//!
//! ```text
//!  inner side                        Endpoint                          network
//!  (TUN device, IP stack)                                     (raw or UDP socket, driver)
//!
//!  packet ──► outbound, send ──► Send, Split ─────────────────► outer packets
//!      ◄── ICMP error ◄───────── Answer                          to the peer
//!
//!  packet ◄──────────────────── Deliver, Whole ◄── inbound, ◄── outer packets,
//!      ◄── ICMP error ◄───────── Relay              receive      fragments,
//!                                Learnt, Held                    ICMP errors
//! ```
//!
//! [`encap`](mod@crate::encap) and [`decap`](mod@crate::decap) handle one packet and keep no state. An [`Endpoint`]
//! keeps state: the [peers](Peers), the MTUs of their paths, the last sequence numbers, the fragments held. It
//! opens no socket, reads no clock, allocates nothing and sends nothing by itself. Each call takes the time
//! and one packet, and returns one verdict, a small value that borrows nothing.
//!
//! | task | start at |
//! |---|---|
//! | one peer | [`OnePeer`] |
//! | many peers, added and removed at run time | [`PeerTable`] |
//! | send in place, through a raw socket or a driver | [`Endpoint::send`] |
//! | receive in place | [`Endpoint::receive`] |
//! | send and receive through a UDP socket or a connection | [`Endpoint::send_payload`], [`Endpoint::receive_payload`] |
//! | only ask what to do: headers by value, tokens, descriptors | [`Endpoint::outbound`], [`Endpoint::inbound`] |
//! | set up sockets, and read their error queues | [sockets of the host](#sockets-of-the-host) |
//! | say that the system refused a length (`EMSGSIZE`), or what its error queue holds | [`Endpoint::local_mtu`], [`Endpoint::reported_mtu`], [`Endpoint::unreachable`] |
//! | hear of raised MTUs, due keepalives, silent peers | [`Endpoint::expire`], [`Endpoint::next_deadline`] |
//! | join outer fragments | [`Endpoint::with_reassembler`] |
//! | find the MTU of a path that filters ICMP | [`PathCheck`]; with probes of your own: [`Endpoint::probe`] |
//! | count every packet | [`Endpoint::with_tally`], [`Counters`]; of your own: [`Tally`], [`Event::counters`] |
//! | a tunnel of your own | [`PeerTunnel`] |
//! | understand path MTU discovery through a tunnel | [`guide::mtu`](crate::guide::mtu) |
//!
//! # A packet there and back
//!
//! ```
//! use core::net::Ipv4Addr;
//! use ipencap::decap::Prefix;
//! use ipencap::encap::Tunnel;
//! use ipencap::packet::{Packet, PerPacket, Span};
//! use ipencap::shim::IpIp;
//! use ipencap::time::Instant;
//! use ipencap::tunnel::{Endpoint, EndpointConfig, Inbound, OnePeer, Outbound, Path};
//! # use ipencap::wire::{IpProtocol, Ipv4Header};
//!
//! # fn main() -> Result<(), Box<dyn core::error::Error>> {
//! let (left, right) = (Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2));
//! let (behind_left, behind_right) = (["10.1.0.0/16".parse::<Prefix>()?], ["10.2.0.0/16".parse::<Prefix>()?]);
//! let (mut paths, mut other_paths) = ([Path::EMPTY], [Path::EMPTY]);
//! let mut here = Endpoint::new(
//!     OnePeer::new(Tunnel::new(left, right, IpIp)?, &behind_right), &mut paths, EndpointConfig::DEFAULT);
//! let mut there = Endpoint::new(
//!     OnePeer::new(Tunnel::new(right, left, IpIp)?, &behind_left), &mut other_paths, EndpointConfig::DEFAULT);
//! let now = Instant::from_millis(0);
//!
//! // From the inner side, behind some free bytes. `network` is what would go to a socket.
//! # let header = *Ipv4Header::new(Ipv4Addr::new(10, 1, 0, 5), Ipv4Addr::new(10, 2, 0, 9), IpProtocol(253), 1480).as_bytes();
//! let mut buffer = [0; 64 + 1480];
//! # buffer[64..84].copy_from_slice(&header);
//! let mut packet = Packet::new(&mut buffer, Span::new(64, 1480));
//! let mut network = Vec::new();
//! match here.send(now, &mut packet, &PerPacket::new(), |outer| network.push(outer.to_vec())) {
//!     Outbound::Send { .. } | Outbound::Split { .. } => {}
//!     Outbound::Answer { error, .. } => {
//!         let mut icmp = [0; 576];
//!         let _to_inner_side = error.write(packet.as_slice(), &mut icmp);
//!     }
//!     Outbound::Drop { cause, .. } => println!("{cause}"),
//!     _ => {}
//! }
//! assert_eq!(network[0].len(), 1500);
//!
//! // From the network.
//! match there.receive(now, &mut network[0]) {
//!     Inbound::Deliver { opened, .. } => assert_eq!(opened.span(), Span::new(20, 1480)),
//!     other => panic!("{other:?}"),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Memory
//!
//! All of it is the caller's. In bytes, for IP-in-IP:
//!
//! | for | with 64-bit pointers | with 32-bit pointers |
//! |---|---|---|
//! | an [`Endpoint`] of [`OnePeer`] | 336 | 288 |
//! | an [`Endpoint`] of a [`PeerTable`] | 376 | 280 |
//! | what is known of a peer's path, a [`Path`] | 112 | 112 |
//! | a peer of a table: a [`PeerSlot`] and an [`ArrivalEntry`] | 152 | 152 |
//! | an inner prefix of a table | 16 | 16 |
//! | an index entry of a table ([`PeerTable::with_index`]) | 4 | 4 |
//! | a datagram that may be joined, of up to 1600 bytes behind its header | 1742 | 1742 |
//!
//! | [`Counters`] of everything | 5664 | 5664 |
//!
//! A firmware with one peer and two such datagrams takes 3884 bytes with 32-bit pointers. A datagram takes a
//! [`Slot`](crate::fragment::Slot) and its share of
//! [`Reassembler::memory_len`](crate::fragment::Reassembler::memory_len). `Counters` are 64 bits wide, one for each
//! [`Event`] and cause ([`Event::COUNT`] is 700); where that is too much, a [`Tally`] of your own counts what you
//! want to know, and `()` nothing.
//!
//! In firmware, put [`PeerSlot`] and [`PrefixEntry`](crate::decap::PrefixEntry) into statics of their own. Their `EMPTY`
//! is not all zero, so the linker puts the whole static into `.data`, and a copy of it into flash. [`Path`]s, fragments,
//! [`ArrivalEntry`] and [`Counters`] begin as zero: they lie in `.bss` and take no flash.
//!
//! # Sockets of the host
//!
//! On Linux, a raw socket goes with [`Endpoint::send`] and [`Endpoint::receive`], a UDP socket or a connection with
//! [`Endpoint::send_payload`] and [`Endpoint::receive_payload`]. What to set, and what to expect:
//!
//! | setting | why |
//! |---|---|
//! | `IP_MTU_DISCOVER` = `IP_PMTUDISC_PROBE` | each packet has DF, and the path MTU is the endpoint's: the system keeps none of its own |
//! | `IP_TOS` with each datagram | [`Facts::tos`](crate::packet::Facts::tos), as `send_payload` tells it |
//! | `IP_RECVTOS` | [`OuterMeta::ecn`](crate::decap::OuterMeta) |
//! | `IP_RECVERR` | the error queue, below |
//! | megabytes of `SO_RCVBUF` | Linux answers a packet for a raw socket that is full with ICMP 3/2, "protocol unreachable" |
//! | no [`with_reassembler`](Endpoint::with_reassembler) | sockets deliver datagrams that the system has joined already; it is for drivers and packet sockets |
//! | IPv6 from a TUN device | is dropped as `BadVersion`: switch it off there (`disable_ipv6`) |
//! | `accept_local` = 1 of the TUN device | else Linux drops ICMP errors from its own address ([`EndpointConfig::icmp_source`]) |
//!
//! The **error queue** (`recvmsg` with `MSG_ERRQUEUE`) has a `sock_extended_err` for each packet that did not get
//! through, with the address that it was sent to. [`Peers::with_outer_address`] tells the peers there; call this
//! for each:
//!
//! | `ee_origin` | `ee_errno` | call |
//! |---|---|---|
//! | `SO_EE_ORIGIN_LOCAL` | `EMSGSIZE` | [`Endpoint::local_mtu`] with `ee_info` |
//! | `SO_EE_ORIGIN_ICMP` | `EMSGSIZE` | [`Endpoint::reported_mtu`] with `ee_info` |
//! | `SO_EE_ORIGIN_ICMP` | any other | [`Endpoint::unreachable`] |
//!
//! - A send that fails by itself with `EMSGSIZE` was too long for the link: `local_mtu` too.
//! - With `IP_RECVERR` a send may fail with the error of an **earlier** packet. The packet has not gone out then:
//!   send it once more.
//! - A program that may open raw sockets opens one for ICMP (protocol 1) too and gives its packets to `receive`: the
//!   endpoint sees the whole errors and checks what they quote. Then take only `SO_EE_ORIGIN_LOCAL` from the queues,
//!   else each error counts twice.
//!
//! [`guide::vpn`](crate::guide::vpn) has the settings of a whole program.
//!
//! # Several cores
//!
//! Share the peers (`&PeerTable` is [`Peers`] too) and give each core an endpoint with paths of its own. Set
//! [`Identifications::with_shard`], so that two cores never use the same identification, and add the
//! [`Counters`] up. Each core learns path MTUs from what it receives, and believes only reports about what it has
//! sent itself; pass ICMP errors to all of them. Several may [relay](Inbound::Relay) the same one then: send one of
//! these to the inner side.
//!
//! GRE sequence numbers and TCP numbers cannot be shared out: each core's [`Path`] counts from 0, and a peer that checks
//! them drops about half of what two cores send ([`SequenceWindow`](crate::shim::SequenceWindow), RFC 2890 §2.2). Let one
//! core send to such a peer.
//!
//! # Load balancers
//!
//! Where many peers share one inner address, the inner destination does not name the peer. Give each backend a
//! [tenant](PeerPolicy::tenant) of its own with the prefix [`ANY`](crate::decap::Prefix::ANY), choose one by the flow's
//! hash, and call [`Endpoint::send_of`] or [`Endpoint::outbound_of`] with it: TTL ([`Role::Forward`]), MTU, ICMP, fragments
//! and counters are the endpoint's then. Where answers do not come back through the tunnel, set [`MssPolicy::Off`].
//! The rate of ICMP errors holds for each peer, so for all clients of a backend together.
//!
//! [`Role::Forward`]: crate::encap::Role::Forward

mod accept;
mod arrival;
mod arrivals;
mod cause;
mod endpoint;
mod identification;
mod inbound;
mod outbound;
mod path;
mod path_check;
mod path_probe;
mod peer_table;
mod peer_tunnel;
mod peers;
mod reassembly;
mod refusal;
mod reports;
mod socket;
mod socket_tunnel;
mod stack;
mod tally;
mod verdict;

pub use arrival::Arrival;
pub use arrivals::ArrivalEntry;
pub use cause::Cause;
pub use endpoint::{Endpoint, EndpointConfig};
pub use identification::Identifications;
pub use path::Path;
pub use path_check::PathCheck;
pub use path_probe::{ClosedPort, Echo, PathProbe};
pub use peer_table::{PeerSlot, PeerTable};
pub use peer_tunnel::{PeerTunnel, TwoWay};
pub use peers::{MssPolicy, MtuPolicy, OnePeer, PeerAccess, PeerId, PeerPolicy, Peers};
pub use reassembly::Reassembly;
pub use socket_tunnel::{Received, SocketTunnel};
pub use stack::{Around, LayersReceiver};
pub use tally::{Counters, Event, Tally};
pub use verdict::{Change, Inbound, Outbound};

/// What the documentation says of memory. Some 32-bit targets align less.
const _: () = {
    use crate::decap::PrefixEntry;
    use crate::encap::Tunnel;
    use crate::fragment::{Reassembler, Slot};
    use crate::shim::IpIp;

    const IS_64_BIT: bool = cfg!(target_pointer_width = "64");
    const ONE_PEER: usize = size_of::<Endpoint<'static, OnePeer<'static, Tunnel<IpIp>>>>();
    const TABLE: usize = size_of::<Endpoint<'static, PeerTable<'static, Tunnel<IpIp>>>>();
    const DATAGRAMS: usize = Reassembler::memory_len(2, 1600).wrapping_add(size_of::<[Slot; 2]>());
    const FIRMWARE: usize = DATAGRAMS
        .wrapping_add(ONE_PEER)
        .wrapping_add(size_of::<Path>());

    assert!(ONE_PEER <= if IS_64_BIT { 336 } else { 288 });
    assert!(TABLE <= if IS_64_BIT { 376 } else { 280 });
    assert!(size_of::<Path>() <= 112);
    assert!(size_of::<(PeerSlot<Tunnel<IpIp>>, ArrivalEntry)>() <= 152);
    assert!(size_of::<PrefixEntry>() == 16);
    assert!(DATAGRAMS == 2 * 1742);
    assert!(size_of::<Counters>() == 5664);
    assert!(Event::COUNT == 700);
    assert!(IS_64_BIT || FIRMWARE <= 3884);
};
