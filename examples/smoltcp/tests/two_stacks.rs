//! Two smoltcp stacks exchange 10 MB each way through tunnels, over a network that loses, reorders, duplicates, and
//! narrows from 1500 to 1280 bytes half-way.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::std_instead_of_core,
    reason = "a test may panic"
)]

mod sim;

use std::net::Ipv4Addr;

use ipencap::encap::Tunnel;
use ipencap::shim::{Fou, IpIp, SourcePort};
use ipencap::tunnel::{PeerTunnel, SocketTunnel};
use ipencap_smoltcp::Losses;
use sim::{EthernetHost, Host, Link, Outcome, TunnelHost, Weather, Wire, narrowing, raw_socket};
use smoltcp::phy::Medium;
use smoltcp::socket::udp;
use smoltcp::time::Instant;
use smoltcp::wire::IpProtocol;

const LEFT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const RIGHT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
const MIDDLE_LEFT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const MIDDLE_RIGHT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const INNER_LEFT: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 5);
const INNER_RIGHT: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 9);
const PORT: u16 = 5555;

/// With ICMP, and without.
const WEATHERS: [Weather; 2] = [
    Weather::ROUGH,
    Weather {
        icmp: false,
        ..Weather::ROUGH
    },
];

fn ipip(here: Ipv4Addr, there: Ipv4Addr) -> Tunnel<IpIp> {
    Tunnel::new(here, there, IpIp).unwrap()
}

fn fou(here: Ipv4Addr, there: Ipv4Addr) -> Tunnel<Fou> {
    let fou = Fou::new(PORT).with_source_port(SourcePort::Fixed(PORT));
    Tunnel::new(here, there, fou).unwrap()
}

/// Both ends around devices of bare IP.
fn around_devices<T: PeerTunnel>(there: T, back: T) {
    for weather in WEATHERS {
        let wire = Wire::new(1, weather);
        let link = |end| Link::new(&wire, end, Medium::Ip);
        let overhead = there.overhead();
        let mut left = TunnelHost::new(&there, INNER_LEFT, link(0), Instant::ZERO);
        let mut right = TunnelHost::new(&back, INNER_RIGHT, link(1), Instant::ZERO);
        if !weather.icmp {
            left = left.checking(INNER_RIGHT);
            right = right.checking(INNER_LEFT);
        }
        let outcome = narrowing(&mut left, &mut right, &wire);
        judge(outcome, overhead, (&left, &right), &wire.borrow());
    }
}

fn judge(outcome: Outcome, overhead: usize, hosts: (&dyn Host, &dyn Host), wire: &Wire) {
    let Outcome {
        before,
        during,
        after,
    } = outcome;
    println!(
        "before {:>8.0} B/s, during {:>8.0}, after {:>8.0}; {:?}",
        before.per_second(),
        during.per_second(),
        after.per_second(),
        wire.tally
    );
    let weather = wire.weather;
    assert!(wire.tally.too_long > 0, "nothing was too long");
    assert!(
        after.per_second() > before.per_second() * 0.6,
        "slow for good"
    );
    for host in [hosts.0, hosts.1] {
        assert_eq!(host.losses(), Losses::default());
        // All that arrived was for the tunnel, and came in.
        for (event, cause, packets) in host.counters().iter() {
            println!("    {event} {cause} {packets}");
        }
        if let Some((taken, used)) = host.tokens() {
            assert_eq!(taken, used);
        }
        if weather.icmp {
            assert_eq!(host.mtu(), weather.mtu - overhead);
        } else {
            // The search may still go on.
            assert!((1200 - overhead..=weather.mtu - overhead).contains(&host.mtu()));
        }
    }
}

#[test]
fn ipip_around_devices() {
    around_devices(ipip(LEFT, RIGHT), ipip(RIGHT, LEFT));
}

#[test]
fn fou_around_devices() {
    around_devices(fou(LEFT, RIGHT), fou(RIGHT, LEFT));
}

#[test]
fn nested_around_devices() {
    let nested = |middle: (Ipv4Addr, Ipv4Addr), outer: (Ipv4Addr, Ipv4Addr)| {
        (ipip(middle.0, middle.1), fou(outer.0, outer.1))
    };
    around_devices(
        nested((MIDDLE_LEFT, MIDDLE_RIGHT), (LEFT, RIGHT)),
        nested((MIDDLE_RIGHT, MIDDLE_LEFT), (RIGHT, LEFT)),
    );
}

#[test]
fn ipip_through_raw_sockets() {
    for weather in WEATHERS {
        let wire = Wire::new(1, weather);
        let host = |end, tunnel, inner| {
            let link = Link::new(&wire, end, Medium::Ethernet);
            let socket = raw_socket(IpProtocol::from(4));
            EthernetHost::new(
                (tunnel, inner),
                link,
                socket,
                |queue, now, sockets, socket| {
                    queue.carry_raw(now, sockets.get_mut(socket));
                },
                Instant::ZERO,
            )
        };
        let mut left = host(0, ipip(LEFT, RIGHT), INNER_LEFT);
        let mut right = host(1, ipip(RIGHT, LEFT), INNER_RIGHT);
        if !weather.icmp {
            left = left.checking(INNER_RIGHT);
            right = right.checking(INNER_LEFT);
        }
        let outcome = narrowing(&mut left, &mut right, &wire);
        judge(outcome, 20, (&left, &right), &wire.borrow());
    }
}

fn udp_socket() -> udp::Socket<'static> {
    let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 8], vec![0; 12_000]);
    let mut socket = udp::Socket::new(buffer(), buffer());
    socket.bind(PORT).unwrap();
    socket
}

fn through_udp_sockets<T: SocketTunnel + Copy>(there: T, back: T) {
    for weather in WEATHERS {
        let wire = Wire::new(1, weather);
        let host = |end, tunnel, inner| {
            let link = Link::new(&wire, end, Medium::Ethernet);
            EthernetHost::new(
                (tunnel, inner),
                link,
                udp_socket(),
                |queue, now, sockets, socket| {
                    queue.carry_udp(now, sockets.get_mut(socket));
                },
                Instant::ZERO,
            )
        };
        let mut left = host(0, there, INNER_LEFT);
        let mut right = host(1, back, INNER_RIGHT);
        if !weather.icmp {
            left = left.checking(INNER_RIGHT);
            right = right.checking(INNER_LEFT);
        }
        let outcome = narrowing(&mut left, &mut right, &wire);
        judge(outcome, there.overhead(), (&left, &right), &wire.borrow());
    }
}

#[test]
fn fou_through_udp_sockets() {
    through_udp_sockets(fou(LEFT, RIGHT), fou(RIGHT, LEFT));
}
