//! The peers and the plain way, all at once, for each job: in every list they stand between our doors
//! and the machine's limits.

use super::etherparse::Etherparse;
use super::ours::Setup;
use super::peer::{Ipip, Tcp, Udp, Unwrap};
use super::plain::Plain;
use super::pnet::Pnet;
use super::smoltcp::Smoltcp;
use crate::packet_work::{PacketContender, contender};

type Peers = [PacketContender<Setup>; 4];

/// Ours, then the peers, then the limits.
pub fn listed<const OURS: usize, const LIMITS: usize>(
    ours: [PacketContender<Setup>; OURS],
    peers: Peers,
    limits: [PacketContender<Setup>; LIMITS],
) -> Vec<PacketContender<Setup>> {
    ours.into_iter().chain(peers).chain(limits).collect()
}

/// `N` IPv4 headers in front of a packet, which is validated first or not.
pub fn ipip<const N: usize, const VALIDATED: bool>() -> Peers {
    [
        contender::<_, Ipip<Etherparse, N, VALIDATED>>("etherparse"),
        contender::<_, Ipip<Smoltcp, N, VALIDATED>>("smoltcp"),
        contender::<_, Ipip<Pnet, N, VALIDATED>>("pnet_packet"),
        contender::<_, Ipip<Plain, N, VALIDATED>>("plain"),
    ]
}

/// `N` headers validated, or those and the inner one, and the packet inside found.
pub fn unwrap<const N: usize, const INNER_TOO: bool>() -> Peers {
    [
        contender::<_, Unwrap<Etherparse, N, INNER_TOO>>("etherparse"),
        contender::<_, Unwrap<Smoltcp, N, INNER_TOO>>("smoltcp"),
        contender::<_, Unwrap<Pnet, N, INNER_TOO>>("pnet_packet"),
        contender::<_, Unwrap<Plain, N, INNER_TOO>>("plain"),
    ]
}

/// UDP in front of a packet, with a checksum or without.
pub fn udp<const CHECKSUM: bool>() -> Peers {
    [
        contender::<_, Udp<Etherparse, CHECKSUM>>("etherparse"),
        contender::<_, Udp<Smoltcp, CHECKSUM>>("smoltcp"),
        contender::<_, Udp<Pnet, CHECKSUM>>("pnet_packet"),
        contender::<_, Udp<Plain, CHECKSUM>>("plain"),
    ]
}

/// TCP in front of a packet.
pub fn tcp() -> Peers {
    [
        contender::<_, Tcp<Etherparse>>("etherparse"),
        contender::<_, Tcp<Smoltcp>>("smoltcp"),
        contender::<_, Tcp<Pnet>>("pnet_packet"),
        contender::<_, Tcp<Plain>>("plain"),
    ]
}
