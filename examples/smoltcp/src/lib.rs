//! IPv4 tunnels as devices of smoltcp: IP-in-IP, FOU, GUE, GRE, minimal encapsulation, and nested ones.
//!
//! The stack inside knows nothing of the tunnel. Its [`Interface`](smoltcp::iface::Interface) has a device of
//! [`Medium::Ip`](smoltcp::phy::Medium::Ip), and this crate carries that device's packets through an
//! [`Endpoint`](ipencap::tunnel::Endpoint). `no_std`, without an allocator, all memory is the caller's.
//!
//! | your board has | take |
//! |---|---|
//! | a device of `Medium::Ip`: a modem, PPP, a TUN device, another tunnel | [`TunnelDevice`] around it |
//! | Ethernet or radio | a stack of its own on that, and a [`TunnelQueue`] between its raw or UDP socket and a second stack |
//!
//! # Around a device
//!
//! ```
//! use ipencap::decap::Prefix;
//! use ipencap::encap::Tunnel;
//! use ipencap::shim::IpIp;
//! use ipencap::tunnel::{Endpoint, EndpointConfig, OnePeer, Path};
//! use ipencap_smoltcp::{Buffer, TunnelDevice};
//! use smoltcp::iface::{Config, Interface, SocketSet};
//! use smoltcp::phy::{Loopback, Medium};
//! use smoltcp::time::Instant;
//! use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};
//!
//! # fn main() -> Result<(), Box<dyn core::error::Error>> {
//! # let modem = Loopback::new(Medium::Ip);
//! # let now = Instant::ZERO;
//! // Statics, in a firmware. 1500 is the longest packet that the modem carries.
//! let mut path = [Path::EMPTY];
//! let mut outgoing = [Buffer::<1500>::EMPTY; 2];
//! let mut incoming = [Buffer::<1500>::EMPTY; 1];
//! let behind = [Prefix::new([10, 2, 0, 0].into(), 16)?];
//!
//! // The outer addresses, here and there, and what may come from there.
//! let tunnel = Tunnel::new([198, 51, 100, 1].into(), [203, 0, 113, 2].into(), IpIp)?;
//! let endpoint = Endpoint::new(OnePeer::new(tunnel, &behind), &mut path, EndpointConfig::DEFAULT);
//! let mut device = TunnelDevice::new(modem, endpoint, &mut outgoing, &mut incoming, now)?;
//!
//! // As ever, with the inner address of this board.
//! let mut interface = Interface::new(Config::new(HardwareAddress::Ip), &mut device, now);
//! interface.update_ip_addrs(|addresses| {
//!     let _ = addresses.push(IpCidr::new(IpAddress::v4(10, 1, 0, 5), 32));
//! });
//! let mut sockets = SocketSet::new(vec![]);
//!
//! // In the loop, which may sleep until `interface.poll_at` or `device.poll_at`:
//! device.follow_mtu(now, &mut interface, 0x1234); // a random number
//! interface.poll(now, &mut device, &mut sockets);
//! # Ok(())
//! # }
//! ```
//!
//! The peer needs a route for 10.1.0.5 into its end of the tunnel, and takes packets from there.
//!
//! # An Ethernet board
//!
//! The Ethernet interface is the outer stack: it has the outer address, ARP and DHCP, and may have sockets of its own. A
//! socket there carries the tunnel: a raw one for IP-in-IP, GRE and minimal encapsulation, a UDP one for FOU and GUE. The
//! inner stack is a second interface with sockets of its own, whose device is a [`TunnelQueue`].
//!
//! ```text
//!   your sockets                          a raw or UDP socket
//!        │                                        │
//!  ┌─────┴───────┐      ┌─────────────┐     ┌─────┴───────┐      ┌──────────┐
//!  │  interface  ├──────┤ TunnelQueue ├─────┤  interface  ├──────┤ Ethernet │
//!  │  10.1.0.5   │ Ip   └─────────────┘carry│ 198.51.100.1│      └──────────┘
//!  └─────────────┘                          └─────────────┘
//! ```
//!
#![cfg_attr(feature = "socket-raw", doc = "```")]
#![cfg_attr(not(feature = "socket-raw"), doc = "```ignore")]
//! # use ipencap::encap::Tunnel;
//! # use ipencap::shim::IpIp;
//! # use ipencap::tunnel::{Endpoint, EndpointConfig, OnePeer, Path};
//! # use ipencap_smoltcp::{Buffer, TunnelQueue};
//! # use smoltcp::iface::{Config, Interface, SocketSet};
//! # use smoltcp::phy::{Loopback, Medium};
//! # use smoltcp::time::Instant;
//! # use smoltcp::wire::HardwareAddress;
//! use smoltcp::socket::raw;
//! use smoltcp::wire::{EthernetAddress, IpProtocol, IpVersion};
//!
//! # fn main() -> Result<(), Box<dyn core::error::Error>> {
//! # let now = Instant::ZERO;
//! # let mut path = [Path::EMPTY];
//! # let (mut outgoing, mut incoming) = ([Buffer::<1500>::EMPTY; 2], [Buffer::<1500>::EMPTY; 2]);
//! # let behind = ["10.2.0.0/16".parse()?];
//! # let tunnel = Tunnel::new([198, 51, 100, 1].into(), [203, 0, 113, 2].into(), IpIp)?;
//! # let endpoint = Endpoint::new(OnePeer::new(tunnel, &behind), &mut path, EndpointConfig::DEFAULT);
//! # let mut ethernet = Loopback::new(Medium::Ethernet);
//! # let mut outer = Interface::new(Config::new(HardwareAddress::Ethernet(EthernetAddress([2, 0, 0, 0, 0, 1]))), &mut ethernet, now);
//! # let mut outer_sockets = SocketSet::new(vec![]);
//! # let mut inner_sockets = SocketSet::new(vec![]);
//! # let buffer = || raw::PacketBuffer::new(vec![raw::PacketMetadata::EMPTY; 4], vec![0; 6000]);
//! // Once. The endpoint is as above; `EndpointConfig::link_mtu` is the Ethernet interface's, 1500.
//! let mut queue = TunnelQueue::new(endpoint, &mut outgoing, &mut incoming, now)?;
//! let mut inner = Interface::new(Config::new(HardwareAddress::Ip), &mut queue, now);
//! let ipip = raw::Socket::new(Some(IpVersion::Ipv4), Some(IpProtocol::from(4)), buffer(), buffer());
//! let icmp = raw::Socket::new(Some(IpVersion::Ipv4), Some(IpProtocol::Icmp), buffer(), buffer());
//! let (ipip, icmp) = (outer_sockets.add(ipip), outer_sockets.add(icmp));
//!
//! // In the loop:
//! outer.poll(now, &mut ethernet, &mut outer_sockets);
//! queue.receive_raw(now, outer_sockets.get_mut(icmp));
//! queue.carry_raw(now, outer_sockets.get_mut(ipip));
//! queue.follow_mtu(now, &mut inner, 0x1234); // a random number
//! inner.poll(now, &mut queue, &mut inner_sockets);
//! queue.receive_raw(now, outer_sockets.get_mut(icmp)); // before others take the room
//! queue.carry_raw(now, outer_sockets.get_mut(ipip)); // what was just sent
//! # Ok(())
//! # }
//! ```
//!
//! For FOU and GUE bind a UDP socket to the tunnel's port and call `TunnelQueue::carry_udp` (feature `socket-udp`) instead of
//! `carry_raw`.
//!
//! The loop may sleep until `outer.poll_at`, `inner.poll_at` or `queue.poll_at`, whichever is first. None of them leaves out
//! what waits: packets to the network are in the socket then, or there is no room in it, and `outer.poll_at` knows.
//!
//! `outer.poll` takes all frames from the device before the queue sees one of them, and smoltcp's sockets drop what they
//! cannot hold, uncounted. So give the tunnel's socket room for as many packets as the driver holds frames, or take one frame at
//! a time: [`poll_ingress_single`](smoltcp::iface::Interface::poll_ingress_single) and
//! [`poll_egress`](smoltcp::iface::Interface::poll_egress) in place of `poll`, with no sleep until the first has returned
//! `None`.
//!
//! # What to know
//!
//! - smoltcp's TCP sets DF, ignores ICMP errors, and asks a device for its MTU only when an interface is made. So call
//!   [`follow_mtu`](TunnelDevice::follow_mtu) before each poll, or a path that becomes narrower swallows long segments for
//!   good. Where routers are silent about that, add a `PathCheck` (feature `path-check`).
//! - All checksums of inner packets are computed and checked: hardware sees only outer packets.
//! - Around a device, outer fragments are joined only if the endpoint has a reassembler
//!   ([`with_reassembler`](ipencap::tunnel::Endpoint::with_reassembler)). One that never does
//!   ([`without_reassembler`](ipencap::tunnel::Endpoint::without_reassembler)) saves the code, too: give
//!   `R = ()` where the type of the device is written out. On Ethernet the outer stack sees fragments first: it joins them,
//!   and splits what is too long for its interface, with smoltcp's feature `proto-ipv4-fragmentation`, and drops them
//!   without. There the endpoint needs no reassembler.
//! - The endpoint counts what became of each packet, if it has a [`Tally`](ipencap::tunnel::Tally), and [`Losses`] is what
//!   was lost besides. Nothing else is lost here, but an outer stack and its sockets lose packets without a count. No
//!   packet takes a token of the device below before it is wrapped.

#![no_std]

mod buffer;
mod clock;
mod device;
#[cfg(feature = "embassy-net-driver")]
pub mod embassy;
mod error;
mod interface;
mod losses;
#[cfg(not(feature = "path-check"))]
mod no_path_check;
mod outgoing;
mod queue;
mod ring;
mod sending;
#[cfg(any(feature = "socket-raw", feature = "socket-udp"))]
mod sockets;

pub use buffer::Buffer;
pub use device::{TunnelDevice, TxToken};
pub use error::SetUpError;
#[cfg(feature = "path-check")]
pub use ipencap::tunnel::PathCheck;
pub use losses::Losses;
pub use queue::{RxToken, TunnelQueue, TxToken as QueueTxToken};
