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

fn exchange<T: PeerTunnel>(there: T, back: T, weather: Weather) {
    let wire = Wire::new(1, weather);
    let mut left = TunnelHost::new(
        there,
        INNER_LEFT,
        Link::new(&wire, 0, Medium::Ip),
        Instant::ZERO,
    );
    let mut right = TunnelHost::new(
        back,
        INNER_RIGHT,
        Link::new(&wire, 1, Medium::Ip),
        Instant::ZERO,
    );
    let mut transfer = Transfer::new(&mut left, &mut right, &wire, TOTAL);
    let before = transfer.run(TOTAL);
    wire.borrow_mut().weather.mtu = 1280;
    let during = transfer.run_for(smoltcp::time::Duration::from_secs(5));
    let after = transfer.run(2 * TOTAL);
    println!(
        "{:.0} {:.0} {:.0}",
        before.per_second(),
        during.per_second(),
        after.per_second()
    );
    println!("{:?}", wire.borrow().tally);
    for host in [&left.counters(), &right.counters()] {
        println!("{:?}", host.iter().collect::<Vec<_>>());
    }
    println!("{:?} {:?}", left.device, right.device);
}

#[test]
fn ipip() {
    let to = |a, b| Tunnel::new(a, b, IpIp).unwrap();
    exchange(to(LEFT, RIGHT), to(RIGHT, LEFT), Weather::FAIR);
    exchange(to(LEFT, RIGHT), to(RIGHT, LEFT), Weather::ROUGH);
}

#[test]
fn fou() {
    let to = |a, b| Tunnel::new(a, b, Fou::new(5555)).unwrap();
    exchange(to(LEFT, RIGHT), to(RIGHT, LEFT), Weather::ROUGH);
}
