//! Tables of peers: what they refuse, and what they keep. The law in `laws.rs` compares them with lists.

use core::net::Ipv4Addr;

use ipencap::decap::PrefixEntry;
use ipencap::encap::Tunnel;
use ipencap::error::PeerError;
use ipencap::shim::{Fou, Gre, IpIp};
use ipencap::tunnel::{
    Arrival, ArrivalEntry, OnePeer, PeerId, PeerPolicy, PeerSlot, PeerTable, PeerTunnel, Peers,
    TwoWay,
};
use ipencap::wire::{IpProtocol, Ipv4};
use ipencap_kit::oracle::Plain;

use crate::ends::{ELSEWHERE, FAR, HERE, THERE, ipip, memory, prefix, table};

const DEFAULT: PeerPolicy = PeerPolicy::DEFAULT;

fn owner<T: PeerTunnel>(table: &PeerTable<'_, T>, address: [u8; 4]) -> Option<PeerId> {
    table.owner(0, address.into())
}

/// A prefix that another peer has taken over stays with it when the first is removed.
#[test]
fn d_17_a_prefix_taken_over_outlives_its_first_owner() {
    let mut table = table(2);
    let first = table.add(ipip(HERE, THERE), DEFAULT).unwrap();
    let second = table.add(ipip(HERE, ELSEWHERE), DEFAULT).unwrap();
    assert_eq!(table.allow(first, prefix(FAR)), Ok(None));
    assert_eq!(table.allow(first, prefix("10.3.0.0/16")), Ok(None));
    assert_eq!(table.allow(second, prefix(FAR)), Ok(Some(first)));
    assert!(!table.disallow(first, prefix(FAR)));
    assert!(table.remove(first));
    assert_eq!(owner(&table, [10, 2, 0, 9]), Some(second));
    assert_eq!(owner(&table, [10, 3, 0, 9]), None);
    assert!(!table.remove(first));
    // The successor in its place has nothing of it.
    let third = table.add(ipip(HERE, THERE), DEFAULT).unwrap();
    assert_eq!(
        (third.place(), third.generation()),
        (first.place(), first.generation() + 1)
    );
    assert_eq!(table.prefixes(third).count(), 0);
    assert_eq!(table.allow(first, prefix(FAR)), Err(PeerError::NoPeer));
    assert!(!table.disallow(first, prefix(FAR)));
    assert_eq!(
        table.replace(first, ipip(HERE, THERE), DEFAULT),
        Err(PeerError::NoPeer)
    );
    assert!(table.get(first).is_none() && table.prefixes(first).next().is_none());
}

/// What a full table refuses changes nothing, whichever memory is full.
#[test]
fn full_tables_change_nothing() {
    let fou = |port| Tunnel::new(HERE, THERE, Fou::new(port)).unwrap();
    // Slots, arrivals, prefixes, own addresses and ports.
    for room in [[1, 9, 9, 9], [9, 1, 9, 9], [9, 9, 1, 9], [9, 9, 9, 2]] {
        let mut table = PeerTable::new(
            memory(PeerSlot::EMPTY, room[0]),
            memory(ArrivalEntry::EMPTY, room[1]),
            memory(PrefixEntry::EMPTY, room[2]),
            memory(PrefixEntry::EMPTY, room[3]),
        );
        let first = table.add(fou(1), DEFAULT).unwrap();
        table.allow(first, prefix(FAR)).unwrap();
        let refused = table.add(fou(2), DEFAULT);
        match room {
            [1, ..] | [_, 1, ..] => assert_eq!(refused, Err(PeerError::NoPlace)),
            [.., 2] => assert_eq!(refused, Err(PeerError::OwnFull)),
            _ => {
                let second = refused.unwrap();
                let full = Err(PeerError::PrefixesFull);
                assert_eq!(table.allow(second, prefix("10.3.0.0/16")), full);
                assert_eq!(table.allow(second, prefix(FAR)), Ok(Some(first)));
                assert!(table.remove(second));
                table.allow(first, prefix(FAR)).unwrap();
            }
        }
        assert_eq!(table.iter().collect::<Vec<_>>(), [first]);
        assert_eq!(owner(&table, [10, 2, 0, 9]), Some(first));
        assert!(table.listens(HERE, IpProtocol::UDP, 1) && table.is_local(HERE));
        assert!(!table.listens(HERE, IpProtocol::UDP, 2));
        let of = |port| Arrival::new(THERE, IpProtocol::UDP, Some(port));
        assert_eq!(
            (table.sender(&of(1)), table.sender(&of(2))),
            (Some(first), None)
        );
        // With the first away there is room.
        assert!(table.remove(first));
        assert!(!table.is_local(HERE) && !table.listens(HERE, IpProtocol::UDP, 1));
        table.add(fou(2), DEFAULT).unwrap();
    }
}

/// A peer takes its own address and port with it, so a table that is as large as its documentation says is large enough.
/// What does not fit changes nothing.
#[test]
fn a_peer_that_is_replaced_needs_no_room_for_two() {
    let fou = |port| Tunnel::new(HERE, THERE, Fou::new(port)).unwrap();
    let mut table = PeerTable::new(
        memory(PeerSlot::EMPTY, 2),
        memory(ArrivalEntry::EMPTY, 2),
        memory(PrefixEntry::EMPTY, 1),
        memory(PrefixEntry::EMPTY, 2),
    );
    let first = table.add(fou(5555), DEFAULT).unwrap();
    table.allow(first, prefix(FAR)).unwrap();
    let moved = table.replace(first, fou(5556), DEFAULT).unwrap();
    assert!(table.listens(HERE, IpProtocol::UDP, 5556) && table.is_local(HERE));
    assert!(!table.listens(HERE, IpProtocol::UDP, 5555));
    assert_eq!(owner(&table, [10, 2, 0, 9]), Some(moved));

    let other = Tunnel::new(HERE, ELSEWHERE, Fou::new(5556)).unwrap();
    let other = table.add(other, DEFAULT).unwrap();
    assert_eq!(
        table.replace(moved, fou(5555), DEFAULT),
        Err(PeerError::OwnFull)
    );
    assert!(table.listens(HERE, IpProtocol::UDP, 5556) && table.is_local(HERE));
    assert!(!table.listens(HERE, IpProtocol::UDP, 5555));
    let of = |port| Arrival::new(THERE, IpProtocol::UDP, Some(port));
    assert_eq!(table.sender(&of(5556)), Some(moved));
    // They are counted as before.
    assert!(table.remove(other));
    assert!(table.listens(HERE, IpProtocol::UDP, 5556) && table.is_local(HERE));
    assert!(table.remove(moved));
    assert!(!table.listens(HERE, IpProtocol::UDP, 5556) && !table.is_local(HERE));
}

/// Peers that cannot be told apart are refused, and tenants do not change.
#[test]
fn peers_must_be_distinct() {
    let mut table = table(4);
    let first = table.add(ipip(HERE, THERE), DEFAULT).unwrap();
    let other_local = ipip(Ipv4Addr::new(198, 51, 100, 2), THERE);
    assert_eq!(table.add(other_local, DEFAULT), Err(PeerError::NotDistinct));
    let second = table.add(ipip(HERE, ELSEWHERE), DEFAULT).unwrap();
    assert_eq!(
        table.replace(second, ipip(HERE, THERE), DEFAULT),
        Err(PeerError::NotDistinct)
    );
    let tenant = PeerPolicy {
        tenant: 1,
        ..DEFAULT
    };
    assert_eq!(
        table.replace(second, ipip(HERE, ELSEWHERE), tenant),
        Err(PeerError::OtherTenant)
    );
    // It moves, with its prefixes, to another handle.
    table.allow(second, prefix(FAR)).unwrap();
    let moved = Ipv4Addr::new(203, 0, 113, 77);
    let third = table.replace(second, ipip(HERE, moved), DEFAULT).unwrap();
    assert_ne!(third, second);
    assert!(table.get(second).is_none());
    assert_eq!(owner(&table, [10, 2, 0, 9]), Some(third));
    assert_eq!(table.with_outer_address(ELSEWHERE, 0), None);
    assert_eq!(table.with_outer_address(moved, 0), Some(third));
    assert_eq!(table.with_outer_address(moved, 1), None);
    assert_eq!(table.iter().collect::<Vec<_>>(), [first, third]);
}

/// Peers behind one address translator differ in their source port only.
#[test]
fn a_source_port_tells_peers_apart() {
    let fou = Tunnel::new(HERE, THERE, Fou::new(5555)).unwrap();
    let from = |source_port| PeerPolicy {
        source_port,
        ..DEFAULT
    };
    let mut table = table(3);
    let any = table.add(fou, from(None)).unwrap();
    let one = table.add(fou, from(Some(40_001))).unwrap();
    let other = table.add(fou, from(Some(40_002))).unwrap();
    assert_eq!(
        table.add(fou, from(Some(40_002))),
        Err(PeerError::NotDistinct)
    );
    let sender = |port| {
        let arrival = Arrival::new(THERE, IpProtocol::UDP, Some(5555));
        table.sender(&arrival.with_source_port(Some(port)))
    };
    assert_eq!(
        [sender(40_001), sender(40_002), sender(1)],
        [Some(one), Some(other), Some(any)]
    );
    let at_address: Vec<_> = (0..4)
        .map_while(|number| table.with_outer_address(THERE, number))
        .collect();
    assert_eq!(at_address.len(), 3);
}

/// The key of a GRE header stands where its flags say.
#[test]
fn g_05_arrivals_of_gre_have_the_key() {
    let arrival = |payload: &[u8]| {
        let packet = Plain::of(47).packet(payload);
        Arrival::of(Ipv4::parse(&packet).unwrap()).number()
    };
    assert_eq!(arrival(&[0x20, 0, 8, 0, 1, 2, 3, 4]), Some(0x0102_0304));
    assert_eq!(
        arrival(&[0xa0, 0, 8, 0, 9, 9, 9, 9, 1, 2, 3, 4]),
        Some(0x0102_0304)
    );
    assert_eq!(
        arrival(&[0x60, 0, 8, 0, 9, 9, 9, 9, 1, 2, 3, 4]),
        Some(0x0102_0304)
    );
    assert_eq!(arrival(&[0x00, 0, 8, 0, 1, 2, 3, 4]), None);
    assert_eq!(arrival(&[0x20, 1, 8, 0, 1, 2, 3, 4]), None);
    assert_eq!(arrival(&[0x20, 0, 8, 0, 1, 2, 3]), None);
    assert_eq!(arrival(&[0x20, 0, 8]), None);
    let gre = Tunnel::new(HERE, THERE, Gre::new().with_key(7)).unwrap();
    let expected = Arrival::new(THERE, IpProtocol::GRE, Some(7));
    assert_eq!(gre.arrival(), expected);
    assert_eq!(
        (expected.source(), expected.protocol()),
        (THERE, IpProtocol::GRE)
    );
}

/// One peer answers as a table with one does.
#[test]
fn one_peer_is_a_small_table() {
    let tunnel = TwoWay::new(
        Tunnel::new(HERE, THERE, Fou::new(5555)).unwrap(),
        Fou::new(5556),
    );
    let policy = PeerPolicy {
        tenant: 3,
        source_port: Some(40_001),
        ..DEFAULT
    };
    let behind = [prefix(FAR), prefix("10.3.0.0/24")];
    let one = OnePeer::new(tunnel, &behind).with_policy(policy);
    let mut table = table(1);
    let id = table.add(tunnel, policy).unwrap();
    for prefix in behind {
        table.allow(id, prefix).unwrap();
    }
    assert_eq!((one.capacity(), one.at(0), one.at(1)), (1, Some(id), None));
    assert_eq!(
        (table.capacity(), table.at(0), table.at(1)),
        (1, Some(id), None)
    );
    let stale = PeerId::new(0, 1);
    assert!(one.get(stale).is_none() && table.get(stale).is_none());
    assert_eq!((one.known(id), table.known(id)), (id, id));
    for address in [
        HERE,
        THERE,
        ELSEWHERE,
        [10, 2, 0, 9].into(),
        [10, 3, 1, 0].into(),
    ] {
        for tenant in [0, 3] {
            assert_eq!(one.owner(tenant, address), table.owner(tenant, address));
        }
        assert_eq!(one.is_local(address), table.is_local(address));
        for number in [0, 1] {
            let at = one.with_outer_address(address, number);
            assert_eq!(at, table.with_outer_address(address, number));
        }
        for port in [0, 5555, 5556] {
            for protocol in [IpProtocol::UDP, IpProtocol::TCP, IpProtocol::GRE] {
                let listens = one.listens(address, protocol, port);
                assert_eq!(
                    listens,
                    table.listens(address, protocol, port),
                    "{address} {port}"
                );
                for source_port in [None, Some(40_001), Some(40_002)] {
                    let arrival = Arrival::new(address, protocol, Some(port.into()));
                    let arrival = arrival.with_source_port(source_port);
                    assert_eq!(one.sender(&arrival), table.sender(&arrival), "{arrival:?}");
                }
            }
        }
    }
}

/// A stack without layers is no tunnel: nothing comes from there.
#[test]
fn a_stack_without_layers_opens_nothing() {
    let none: &[Tunnel<IpIp>] = &[];
    assert_eq!(none.ends(), (Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED));
    assert_eq!(none.inner_ends(), none.ends());
    assert_eq!(
        none.arrival(),
        Arrival::new(Ipv4Addr::UNSPECIFIED, IpProtocol(0), None)
    );
}
