//! Each kind of tunnel in each arrangement.

use std::net::Ipv4Addr;

use ipencap::encap::Tunnel;
use ipencap::shim::{Fou, IpIp, SourcePort};
use ipencap::tunnel::{PeerTunnel, SocketTunnel};
use smoltcp::phy::Medium;
use smoltcp::socket::udp;
use smoltcp::time::Instant;
use smoltcp::wire::IpProtocol;

use super::ethernet::{EthernetHost, raw_socket};
use super::host::{Host, TunnelHost};
use super::narrowing::{Outcome, narrowing};
use super::wire::{Link, Weather, Wire};

const LEFT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const RIGHT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
const MIDDLE_LEFT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const MIDDLE_RIGHT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const INNER: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 1, 0, 5), Ipv4Addr::new(10, 2, 0, 9)];
const PORT: u16 = 5555;
const NOW: Instant = Instant::ZERO;

/// A kind of tunnel, and how it is carried.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Case {
    IpIp,
    Fou,
    Nested,
    IpIpByRawSocket,
    FouByUdpSocket,
    NestedByUdpSocket,
}

/// What has come of it, the tunnel's overhead, both hosts, and the network.
pub(crate) type Judge<'j> = &'j mut dyn FnMut(Outcome, usize, [&dyn Host; 2], &Wire);

fn ipip(here: Ipv4Addr, there: Ipv4Addr) -> Tunnel<IpIp> {
    Tunnel::new(here, there, IpIp).unwrap()
}

fn fou(here: Ipv4Addr, there: Ipv4Addr) -> Tunnel<Fou> {
    let fou = Fou::new(PORT).with_source_port(SourcePort::Fixed(PORT));
    Tunnel::new(here, there, fou).unwrap()
}

fn nested() -> [(Tunnel<IpIp>, Tunnel<Fou>); 2] {
    [
        (ipip(MIDDLE_LEFT, MIDDLE_RIGHT), fou(LEFT, RIGHT)),
        (ipip(MIDDLE_RIGHT, MIDDLE_LEFT), fou(RIGHT, LEFT)),
    ]
}

impl Case {
    pub(crate) const ALL: [Self; 6] = [
        Self::IpIp,
        Self::Fou,
        Self::Nested,
        Self::IpIpByRawSocket,
        Self::FouByUdpSocket,
        Self::NestedByUdpSocket,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::IpIp => "IPIP",
            Self::Fou => "FOU",
            Self::Nested => "IPIP in FOU",
            Self::IpIpByRawSocket => "IPIP, raw socket",
            Self::FouByUdpSocket => "FOU, UDP socket",
            Self::NestedByUdpSocket => "IPIP in FOU, UDP socket",
        }
    }

    /// 10 MB each way. If routers tell nothing, both ends look for themselves.
    pub(crate) fn run(
        self,
        seed: u64,
        weather: Weather,
        mut judge: impl FnMut(Outcome, usize, [&dyn Host; 2], &Wire),
    ) {
        let judge: Judge<'_> = &mut judge;
        match self {
            Self::IpIp => around_devices(
                [ipip(LEFT, RIGHT), ipip(RIGHT, LEFT)],
                (seed, weather),
                judge,
            ),
            Self::Fou => {
                around_devices([fou(LEFT, RIGHT), fou(RIGHT, LEFT)], (seed, weather), judge);
            }
            Self::Nested => around_devices(nested(), (seed, weather), judge),
            Self::IpIpByRawSocket => {
                by_raw_sockets(
                    [ipip(LEFT, RIGHT), ipip(RIGHT, LEFT)],
                    (seed, weather),
                    judge,
                );
            }
            Self::FouByUdpSocket => {
                by_udp_sockets([fou(LEFT, RIGHT), fou(RIGHT, LEFT)], (seed, weather), judge);
            }
            Self::NestedByUdpSocket => by_udp_sockets(nested(), (seed, weather), judge),
        }
    }
}

fn around_devices<T: PeerTunnel + Copy>(
    tunnels: [T; 2],
    (seed, weather): (u64, Weather),
    judge: Judge<'_>,
) {
    let wire = Wire::new(seed, weather);
    let host = |end: usize| {
        let link = Link::new(&wire, end, Medium::Ip);
        let host = TunnelHost::new(tunnels[end], INNER[end], link, NOW);
        if weather.icmp {
            host
        } else {
            host.checking(INNER[1 - end])
        }
    };
    let [mut left, mut right] = [0, 1].map(host);
    let outcome = narrowing(&mut left, &mut right, &wire);
    judge(
        outcome,
        tunnels[0].overhead(),
        [&left, &right],
        &wire.borrow(),
    );
}

fn by_raw_sockets(tunnels: [Tunnel<IpIp>; 2], (seed, weather): (u64, Weather), judge: Judge<'_>) {
    let wire = Wire::new(seed, weather);
    let host = |end: usize| {
        let link = Link::new(&wire, end, Medium::Ethernet);
        let socket = raw_socket(IpProtocol::from(4));
        let host = EthernetHost::new(
            (tunnels[end], INNER[end]),
            link,
            socket,
            |queue, now, sockets, socket| {
                queue.carry_raw(now, sockets.get_mut(socket));
            },
            NOW,
        );
        if weather.icmp {
            host
        } else {
            host.checking(INNER[1 - end])
        }
    };
    let [mut left, mut right] = [0, 1].map(host);
    let outcome = narrowing(&mut left, &mut right, &wire);
    judge(outcome, 20, [&left, &right], &wire.borrow());
}

fn udp_socket() -> udp::Socket<'static> {
    let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 8], vec![0; 12_000]);
    let mut socket = udp::Socket::new(buffer(), buffer());
    socket.bind(PORT).unwrap();
    socket
}

fn by_udp_sockets<T: SocketTunnel + Copy>(
    tunnels: [T; 2],
    (seed, weather): (u64, Weather),
    judge: Judge<'_>,
) {
    let wire = Wire::new(seed, weather);
    let host = |end: usize| {
        let link = Link::new(&wire, end, Medium::Ethernet);
        let host = EthernetHost::new(
            (tunnels[end], INNER[end]),
            link,
            udp_socket(),
            |queue, now, sockets, socket| {
                queue.carry_udp(now, sockets.get_mut(socket));
            },
            NOW,
        );
        if weather.icmp {
            host
        } else {
            host.checking(INNER[1 - end])
        }
    };
    let [mut left, mut right] = [0, 1].map(host);
    let outcome = narrowing(&mut left, &mut right, &wire);
    judge(
        outcome,
        tunnels[0].overhead(),
        [&left, &right],
        &wire.borrow(),
    );
}
