//! Bugs that bit other implementations, one function each, in a file per subject.
//!
//! The numbers are those of the project's survey of peers. A trap of something that the crate does
//! not have yet is tested where it touches what there is.

#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    reason = "a test that panics fails"
)]

mod carriers;
mod checksum;
mod decapsulation;
mod encapsulation;
mod header;
mod mtu;
mod streams;

use ipencap::Span;
use ipencap::decap::{Decapsulate, Receiver};
use ipencap::decap::{PointToPoint, Prefix};
use ipencap::encap::{Encapsulate, OuterPolicy, PerPacket, Role, Tunnel};
use ipencap::error::{EncapError, Reason};
use ipencap::shim::{IpIp, Shim};
use ipencap_kit::oracle::Plain;

const A: [u8; 4] = [10, 1, 0, 5];
const B: [u8; 4] = [10, 2, 0, 9];
const L: [u8; 4] = [198, 51, 100, 1];
const R: [u8; 4] = [203, 0, 113, 2];

const fn inner() -> Plain {
    Plain {
        tos: 0,
        identification: 0x1234,
        flags_offset: 0x4000,
        ttl: 64,
        protocol: 17,
        source: A,
        destination: B,
        options: vec![],
    }
}

const fn outer() -> Plain {
    Plain {
        tos: 0,
        identification: 0,
        flags_offset: 0x4000,
        ttl: 64,
        protocol: 4,
        source: L,
        destination: R,
        options: vec![],
    }
}

/// A tunnel from L to R with the default policies.
fn over<S: Shim>(shim: S) -> Tunnel<S> {
    Tunnel::new(L.into(), R.into(), shim).unwrap()
}

fn tunnel() -> Tunnel<IpIp> {
    over(IpIp)
}

/// The same on the packets' way.
fn forwarding() -> Tunnel<IpIp> {
    tunnel().with_policy(OuterPolicy {
        role: Role::Forward,
        ..OuterPolicy::DEFAULT
    })
}

static ANY: [Prefix; 1] = [Prefix::ANY];

fn receiver() -> Receiver<IpIp, PointToPoint<'static>> {
    Receiver::new(IpIp, PointToPoint::new(R.into(), L.into(), &ANY))
}

fn reason(packet: &[u8]) -> Option<Reason> {
    receiver()
        .inspect(packet)
        .err()
        .map(|refused| refused.reason)
}

/// `packet` wrapped into `tunnel`, in a buffer that is poisoned in front and behind.
fn wrap(tunnel: &dyn Encapsulate, packet: &[u8]) -> Result<Vec<u8>, EncapError> {
    let overhead = tunnel.overhead();
    let mut buffer = [&vec![0xa5; overhead], packet, &[0x5a; 4]].concat();
    let inner = Span::new(overhead, packet.len());
    ipencap::encap(tunnel, &mut buffer, inner, &PerPacket::new()).map(|outer| outer.to_vec())
}

/// Every trap has a test that bears its number.
#[test]
fn every_trap_has_a_test() {
    let sources = [
        include_str!("carriers.rs"),
        include_str!("checksum.rs"),
        include_str!("decapsulation.rs"),
        include_str!("encapsulation.rs"),
        include_str!("header.rs"),
        include_str!("mtu.rs"),
        include_str!("streams.rs"),
    ];
    let names: Vec<&str> = sources
        .iter()
        .flat_map(|source| source.lines())
        .filter_map(|line| line.strip_prefix("fn t"))
        .collect();
    for trap in 1..=49 {
        let number = format!("{trap:02}_");
        let is_there =
            |name: &&str| name.starts_with(&number) || name.contains(&format!("_t{number}"));
        let found = names.iter().any(is_there) || names.iter().any(|name| within(name, trap));
        assert!(found, "T{trap}");
    }
}

/// Whether the name begins with two numbers between which the trap's lies: `06_t07_…`.
fn within(name: &str, trap: u32) -> bool {
    let mut numbers = name.split('_');
    let first = numbers.next().and_then(|number| number.parse().ok());
    let second = numbers
        .next()
        .and_then(|number| number.strip_prefix('t')?.parse().ok());
    matches!((first, second), (Some(first), Some(second)) if (first..=second).contains(&trap))
}
