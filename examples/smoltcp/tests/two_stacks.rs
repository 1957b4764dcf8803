//! Two smoltcp stacks exchange bytes through tunnels over a network that loses, reorders, duplicates and narrows.

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
use ipencap::shim::{Fou, IpIp};
use ipencap::tunnel::PeerTunnel;
use sim::{Link, Transfer, TunnelHost, Weather, Wire};
use smoltcp::phy::Medium;
use smoltcp::time::Instant;

const LEFT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const RIGHT: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
const INNER_LEFT: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 5);
const INNER_RIGHT: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 9);
const TOTAL: usize = 10_000_000;

/// 10 MB each way. After half of them the path narrows.
fn exchange<T: PeerTunnel>(there: T, back: T, weather: Weather) {
    let wire = Wire::new(1, weather);
    let link = |end| Link::new(&wire, end, Medium::Ip);
    let mut left = TunnelHost::new(there, INNER_LEFT, link(0), Instant::ZERO);
    let mut right = TunnelHost::new(back, INNER_RIGHT, link(1), Instant::ZERO);
    if !weather.icmp {
        left = left.checking(INNER_RIGHT);
        right = right.checking(INNER_LEFT);
    }
    let mut transfer = Transfer::new(&mut left, &mut right, &wire, TOTAL);
    let before = transfer.run(TOTAL);
    wire.borrow_mut().weather.mtu = 1280;
    let during = transfer.run_for(smoltcp::time::Duration::from_secs(5));
    transfer.run_for(smoltcp::time::Duration::from_secs(30));
    let after = if weather.icmp { transfer.run(2 * TOTAL) } else {during};
    println!(
        "{:.0} {:.0} {:.0} {:?} {:?}",
        before.per_second(),
        during.per_second(),
        after.per_second(),
        during,
        after
    );
    println!("{:?}", wire.borrow().tally);
    for host in [&left.counters(), &right.counters()] {
        println!("{:?}", host.iter().collect::<Vec<_>>());
    }
    println!("{:?} {:?}", left.device, right.device);
}

const SILENT: Weather = Weather {
    icmp: false,
    ..Weather::ROUGH
};

#[test]
fn ipip() {
    let to = |a, b| Tunnel::new(a, b, IpIp).unwrap();
    exchange(to(LEFT, RIGHT), to(RIGHT, LEFT), Weather::ROUGH);
    exchange(to(LEFT, RIGHT), to(RIGHT, LEFT), SILENT);
}

#[test]
fn fou() {
    let to = |a, b| Tunnel::new(a, b, Fou::new(5555)).unwrap();
    exchange(to(LEFT, RIGHT), to(RIGHT, LEFT), Weather::ROUGH);
    exchange(to(LEFT, RIGHT), to(RIGHT, LEFT), SILENT);
}
