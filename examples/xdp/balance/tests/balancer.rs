//! From a packet to the outer packet for its backend.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use core::net::Ipv4Addr;

use ipencap::Span;
use ipencap::encap::{OuterPolicy, Role, Tunnel};
use ipencap::error::{EncapError, ParseError};
use ipencap::shim::IpIp;
use ipencap::wire::{IpProtocol, Ipv4, Ipv4Header};
use ipencap_balance::{
    Backend, Balancer, Begun, Count, Outcome, Pool, Slot, Tables, Vip, VipEntry, Vips,
};

const VIP: Vip = Vip {
    address: Ipv4Addr::new(203, 0, 113, 80),
    port: 0,
    protocol: IpProtocol::UDP,
};

/// What becomes of a packet of `len` bytes with this TTL, in the middle of a buffer; the buffer; what is counted.
fn forward(vip: Vip, len: u16, ttl: u8, slot: Slot) -> (Outcome, Vec<u8>, Vec<u8>, [Count; 2]) {
    let client = Ipv4Addr::new(10, 0, 0, 1);
    let mut header = Ipv4Header::new(client, vip.address, vip.protocol, len);
    header.set_ttl(ttl);
    let mut buffer = vec![0xa5; 64];
    buffer.extend_from_slice(header.as_bytes());
    buffer.resize(64 + usize::from(len), 7);
    let before = buffer.clone();

    let policy = OuterPolicy {
        link_mtu: Some(1500),
        role: Role::Forward,
        ..OuterPolicy::DEFAULT
    };
    let tunnel = |last| {
        let (here, there) = (
            Ipv4Addr::new(198, 51, 100, 1),
            Ipv4Addr::new(192, 0, 2, last),
        );
        Tunnel::new(here, there, IpIp).unwrap().with_policy(policy)
    };
    let mut backends = [1, 2].map(|last| Backend::new(tunnel(last)));
    let mut entries = [VipEntry::default(); 4];
    let mut balancer = Balancer {
        tables: Tables {
            vips: Vips::new(&mut entries, [(VIP, Pool::new(0, 1))]).unwrap(),
            slots: &[slot],
            begun: Begun::new(&mut []),
            seed: 1,
        },
        backends: &mut backends,
    };
    let outcome = balancer.forward(&mut buffer, Span::new(64, usize::from(len)));
    (outcome, before, buffer, backends.map(|b| b.count))
}

#[test]
fn a_packet_is_wrapped_and_counted() {
    let (outcome, before, after, counts) = forward(VIP, 100, 9, Slot::of(1));
    let outer = Span::new(44, 120);
    assert_eq!(outcome, Outcome::Send { backend: 1, outer });
    assert_eq!(
        counts,
        [
            Count::default(),
            Count {
                packets: 1,
                bytes: 100
            }
        ]
    );
    let packet = Ipv4::parse(outer.get(&after).unwrap()).unwrap();
    assert_eq!(packet.header().destination(), Ipv4Addr::new(192, 0, 2, 2));
    assert_eq!(packet.header().protocol(), IpProtocol::IPENCAP);
    assert_eq!(Ipv4::parse(packet.payload()).unwrap().header().ttl(), 8);
    assert_eq!(before[..44], after[..44]);
    assert_eq!(before[84..], after[84..]);
}

#[test]
fn what_is_not_sent_stays_as_it_was() {
    let backend = Slot::of(0);
    let elsewhere = Vip {
        address: Ipv4Addr::new(203, 0, 113, 81),
        ..VIP
    };
    for (vip, len, ttl, slot, expected) in [
        (elsewhere, 100, 9, backend, Outcome::NotAVip),
        (VIP, 100, 9, Slot::EMPTY, Outcome::NoBackend),
        // A backend without a tunnel.
        (VIP, 100, 9, Slot::of(2), Outcome::NoBackend),
        (
            VIP,
            1481,
            9,
            backend,
            Outcome::TooLong {
                backend: 0,
                mtu: 1480,
            },
        ),
        (
            VIP,
            100,
            1,
            backend,
            Outcome::Refused(EncapError::TtlExpired),
        ),
        (VIP, 100, 0, backend, Outcome::Refused(EncapError::TtlZero)),
        (
            VIP,
            19,
            9,
            backend,
            Outcome::Invalid(ParseError::Truncated { need: 20, have: 19 }),
        ),
    ] {
        let (outcome, before, after, counts) = forward(vip, len, ttl, slot);
        assert_eq!(outcome, expected);
        assert_eq!(before, after);
        assert_eq!(counts, [Count::default(); 2]);
    }
}
