//! What carries the tunnels: raw sockets, UDP sockets, connections.

use core::net::{Ipv4Addr, SocketAddrV4};
use core::slice::ChunksExactMut;
use std::io;

use ipencap::tunnel::PeerId;
use nix::sys::socket::{getsockopt, setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

pub(crate) mod batch;
pub(crate) mod errors;
pub(crate) mod raw;
pub(crate) mod tcp;
pub(crate) mod udp;

/// The longest IPv4 packet.
pub(crate) const MAX_LEN: usize = 65_535;
/// Bytes that wait in the system for us: 20 ms at 3 Gbit/s.
const BUFFER_LEN: usize = 8 << 20;

/// Buffers for packets of any length, in one piece: so large a one comes from the system, and takes memory only where
/// it has been written.
struct Buffers(Vec<u8>);

impl Buffers {
    fn new(count: usize) -> Self {
        Self(vec![0; count * MAX_LEN])
    }

    const fn count(&self) -> usize {
        self.0.len() / MAX_LEN
    }

    fn iter_mut(&mut self) -> ChunksExactMut<'_, u8> {
        self.0.chunks_exact_mut(MAX_LEN)
    }
}

/// Whose packet one is that waits to be sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner {
    pub(crate) peer: PeerId,
    /// Which of the packets from the TUN device it is, or is a piece of.
    pub(crate) number: u64,
    /// The bytes of that packet, without headers of the tunnel.
    pub(crate) len: u16,
}

impl Owner {
    /// Of a packet that the program sends by itself.
    pub(crate) const fn beside_tun(peer: PeerId) -> Self {
        Self {
            peer,
            number: 0,
            len: 0,
        }
    }
}

/// A packet that the system did not take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NotSent {
    pub(crate) owner: Owner,
    pub(crate) why: Refusal,
}

/// Why the system did not take a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is longer than the MTU of the link (`EMSGSIZE`).
    TooLong,
    /// The queue of the socket is full.
    Full,
    /// There is no way to the peer now.
    Unreachable,
}

impl Refusal {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::TooLong => "SocketTooLong",
            Self::Full => "SocketFull",
            Self::Unreachable => "SocketUnreachable",
        }
    }

    const fn of(error: nix::Error) -> Self {
        match error {
            nix::Error::EMSGSIZE => Self::TooLong,
            nix::Error::EAGAIN | nix::Error::ENOBUFS | nix::Error::ENOMEM => Self::Full,
            _ => Self::Unreachable,
        }
    }
}

/// A socket that does not block, bound to this address.
fn open(kind: Type, protocol: Option<Protocol>, local: SocketAddrV4) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, kind, protocol)?;
    socket.set_nonblocking(true)?;
    // Without the privilege the system's limits hold.
    if setsockopt(&socket, sockopt::RcvBufForce, &BUFFER_LEN).is_err() {
        socket.set_recv_buffer_size(BUFFER_LEN)?;
    }
    if setsockopt(&socket, sockopt::SndBufForce, &BUFFER_LEN).is_err() {
        socket.set_send_buffer_size(BUFFER_LEN)?;
    }
    socket.bind(&local.into())?;
    Ok(socket)
}

/// The MTU of the link that has this address of ours.
pub(crate) fn link_mtu(local: Ipv4Addr) -> Option<u16> {
    let links = netconfig_rs::list_interfaces().ok()?;
    let has_it = |link: &netconfig_rs::Interface| {
        let addresses = link.addresses().unwrap_or_default();
        addresses.iter().any(|address| address.addr() == local)
    };
    let mtu = links.into_iter().find(has_it)?.mtu().ok()?;
    Some(u16::try_from(mtu).unwrap_or(u16::MAX))
}

/// The MTU to this address that the system knows: the link's or the route's, or what a router has told.
pub(crate) fn mtu_to(local: Ipv4Addr, remote: Ipv4Addr) -> io::Result<u16> {
    let socket = open(Type::DGRAM, None, SocketAddrV4::new(local, 0))?;
    // The port does not matter: nothing is sent.
    socket.connect(&SocketAddrV4::new(remote, 9).into())?;
    let mtu = getsockopt(&socket, sockopt::IpMtu)?;
    Ok(u16::try_from(mtu).unwrap_or(u16::MAX))
}
