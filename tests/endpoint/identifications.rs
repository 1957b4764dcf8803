//! Identifications of outer headers: none comes again too soon.

use std::collections::BTreeSet;

use ipencap::encap::Tunnel;
use ipencap::shim::{Fou, Gre};
use ipencap::tunnel::{EndpointConfig, Identifications, PeerPolicy, PeerTunnel};
use ipencap_kit::oracle;

use crate::ends::{
    COPY_DF, ELSEWHERE, FAR, HERE, START, THERE, inner, ipip, many, prefix, send_as, sent, with,
};

/// F-02. Whatever the key and the peer, 65,536 ordinals have as many identifications.
#[test]
fn f_02_f_07_every_key_permutes() {
    let keys = [
        0,
        1,
        u64::MAX,
        0x1b87_3bd5_d8a4_5f11,
        1 << 32,
        0x8000_0000_0000_0000,
    ];
    let all =
        [Identifications::SEQUENTIAL]
            .into_iter()
            .chain(keys.map(Identifications::keyed))
            .chain((0..30).map(|number| {
                Identifications::keyed(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(number))
            }));
    let mut seen = vec![0u32; 65_536];
    let mut round = 0;
    for identifications in all {
        for peer in [0, 1, 77, u32::MAX] {
            round += 1;
            for ordinal in 0..=u16::MAX {
                let place = usize::from(identifications.of(peer, ordinal));
                assert_ne!(
                    seen[place], round,
                    "{identifications:?} repeats at {ordinal}"
                );
                seen[place] = round;
            }
        }
    }
}

/// F-02. Cores that share a peer never use the same one, for any number of them.
#[test]
fn f_02_shards_never_meet() {
    for secret in [None, Some(7), Some(0x1b87_3bd5_d8a4_5f11)] {
        let all = secret.map_or(Identifications::SEQUENTIAL, Identifications::keyed);
        for shards in [1u16, 2, 3, 4, 7, 64, 1000, 32_768, 40_000, u16::MAX] {
            let rounded = shards.checked_next_power_of_two().unwrap_or(32_768);
            let each =
                u16::try_from(65_536 / u32::from(rounded) - u32::from(rounded == 1)).unwrap();
            let mut seen = vec![false; 65_536];
            for shard in 0..rounded {
                let of_shard = all.with_shard(shard, shards);
                for ordinal in 0..each {
                    let place = usize::from(of_shard.of(3, ordinal));
                    assert!(!seen[place], "{shards} shards: {shard} meets another");
                    seen[place] = true;
                }
            }
        }
    }
}

/// F-07. They depend on the key and on the peer, and the key is not shown.
#[test]
fn f_07_each_peer_and_key_has_its_own() {
    let first: BTreeSet<Vec<u16>> = (0..64)
        .map(|number| Identifications::keyed(number % 8 + 1))
        .zip((0..64).map(|number| number / 8))
        .map(|(keyed, peer)| (0..8).map(|ordinal| keyed.of(peer, ordinal)).collect())
        .collect();
    assert_eq!(first.len(), 64);
    let shown = format!("{:?}", Identifications::keyed(0x1234_5678_9abc_def0));
    assert!(
        !shown.contains("305419896") && !shown.contains("12345678"),
        "{shown}"
    );
}

fn identification(outer: &[u8], layer_at: usize) -> u16 {
    oracle::u16_at(outer, layer_at + 4)
}

/// F-02. Outer packets that may be fragmented are numbered; those with DF use up no number.
#[test]
fn f_02_an_endpoint_numbers_what_may_be_fragmented() {
    let mut near = with(
        ipip(HERE, THERE).with_policy(COPY_DF),
        FAR,
        PeerPolicy::DEFAULT,
        EndpointConfig::DEFAULT,
    );
    let numbers: Vec<u16> = [false, true, false, true, true, false]
        .map(|has_df| identification(&sent(&mut near, START, &inner(100, has_df)), 0))
        .to_vec();
    assert_eq!(numbers, [1, 0, 2, 0, 0, 3]);
}

/// F-02. So are those of an inner layer, although the outermost has DF.
#[test]
fn f_02_inner_layers_are_numbered_too() {
    let stack = (
        ipip(HERE, THERE).with_policy(COPY_DF),
        Tunnel::new(HERE, THERE, Fou::new(5555)).unwrap(),
    );
    let mut near = with(stack, FAR, PeerPolicy::DEFAULT, EndpointConfig::DEFAULT);
    let numbers: BTreeSet<u16> = (0..10)
        .map(|_| identification(&sent(&mut near, START, &inner(100, false)), 28))
        .collect();
    assert_eq!(numbers.len(), 10);
}

fn meet<T: PeerTunnel + Clone + 'static>(tunnels: [T; 3], identifications: Identifications) {
    let config = EndpointConfig {
        identifications,
        ..EndpointConfig::DEFAULT
    };
    let mut hub = many(3, config);
    for (number, tunnel) in (0..).zip(tunnels) {
        let policy = PeerPolicy {
            tenant: number,
            ..PeerPolicy::DEFAULT
        };
        let id = hub.peers_mut().add(tunnel, policy).unwrap();
        hub.peers_mut().allow(id, prefix(FAR)).unwrap();
    }
    let mut seen = BTreeSet::new();
    for round in 0..300 {
        for tenant in [0, 1, 2, 1] {
            let (_, outers) = send_as(
                &mut hub,
                START,
                tenant,
                &inner(100, false),
                &crate::ends::SAID,
            );
            assert!(
                seen.insert(identification(&outers[0], 0)),
                "{round}: {tenant}"
            );
        }
    }
}

/// F-02. Peers behind one address share source, destination and protocol: they share the numbers too.
#[test]
fn f_02_peers_behind_one_address_do_not_meet() {
    for identifications in [Identifications::SEQUENTIAL, Identifications::keyed(77)] {
        let gre = [1, 2, 3].map(|key| {
            let tunnel = Tunnel::new(HERE, THERE, Gre::new().with_key(key)).unwrap();
            tunnel.with_policy(COPY_DF)
        });
        meet(gre, identifications);
        let fou = [5555, 5556, 5557].map(|port| {
            let tunnel = Tunnel::new(HERE, THERE, Fou::new(port)).unwrap();
            tunnel.with_policy(COPY_DF)
        });
        meet(fou, identifications);
    }
}

/// F-02. Peers share an address, come and go there, and move: the packets to it are counted on.
#[test]
fn f_02_peers_that_come_and_go_at_one_address_do_not_meet() {
    let fou = |port: u16, to| {
        let tunnel = Tunnel::new(HERE, to, Fou::new(port)).unwrap();
        tunnel.with_policy(COPY_DF)
    };
    for identifications in [Identifications::SEQUENTIAL, Identifications::keyed(77)] {
        let config = EndpointConfig {
            identifications,
            ..EndpointConfig::DEFAULT
        };
        let mut hub = many(4, config);
        let mut seen = BTreeSet::new();
        // Lower ports come first at their address.
        let later = hub
            .peers_mut()
            .add(fou(6000, THERE), PeerPolicy::DEFAULT)
            .unwrap();
        let mut sending = later;
        for round in 0..40 {
            let table = hub.peers_mut();
            match round % 5 {
                // Another comes in front of it.
                1 => {
                    let first = fou(5000 + round, THERE);
                    sending = table.add(first, PeerPolicy::DEFAULT).unwrap();
                }
                // That one goes to another port, to another address and back, and away.
                2 => {
                    let moved = fou(7000 + round, THERE);
                    sending = table.replace(sending, moved, PeerPolicy::DEFAULT).unwrap();
                }
                3 => {
                    let away = fou(5000, ELSEWHERE);
                    sending = table.replace(sending, away, PeerPolicy::DEFAULT).unwrap();
                    let back = fou(5000, THERE);
                    sending = table.replace(sending, back, PeerPolicy::DEFAULT).unwrap();
                }
                4 => {
                    assert!(table.remove(sending));
                    sending = later;
                }
                _ => {}
            }
            table.allow(sending, prefix(FAR)).unwrap();
            for _ in 0..3 {
                let outer = sent(&mut hub, START, &inner(100, false));
                assert_eq!(oracle::address_at(&outer, 16), THERE.octets());
                let is_new = seen.insert(identification(&outer, 0));
                assert!(is_new, "{identifications:?}: {round}");
            }
        }
    }
}
