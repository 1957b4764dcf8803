//! What comes with time: raised MTUs, keepalives, silent peers.

use ipencap::decap::OuterMeta;
use ipencap::encap::{OuterPolicy, Tunnel};
use ipencap::error::Reason;
use ipencap::packet::Span;
use ipencap::pmtu::{Prober, ProberConfig};
use ipencap::shim::{Fou, Gre};
use ipencap::time::{Duration, Instant};
use ipencap::tunnel::{Cause, Change, EndpointConfig, Inbound, PeerId, PeerPolicy, Peers};
use ipencap::wire::{Ecn, IpProtocol};

use crate::ends::{
    FAR, HERE, NEAR, One, START, THERE, at, between, inner, ipip, one, receive, sent, too_big, with,
};

fn changes<T: ipencap::tunnel::PeerTunnel>(end: &mut One<T>, now: Instant) -> Vec<Change> {
    let mut changes = vec![];
    end.expire(now, |change| changes.push(change));
    changes
}

/// A peer that falls silent is told of, each time anew.
#[test]
fn a_silent_peer_is_told_of_each_time() {
    let policy = PeerPolicy {
        silence: Some(Duration::from_secs(60)),
        ..PeerPolicy::DEFAULT
    };
    let mut near = with(ipip(HERE, THERE), FAR, policy, EndpointConfig::DEFAULT);
    let mut far = one(ipip(THERE, HERE), NEAR);
    let peer = near.peers().at(0).unwrap();
    assert_eq!(changes(&mut near, START), []);
    assert_eq!(near.next_deadline(), Some(at(60)));
    assert_eq!(changes(&mut near, at(60)), [Change::Silent { peer }]);
    assert!(near.is_silent(peer));
    assert_eq!(near.next_deadline(), None);

    let outer = sent(
        &mut far,
        START,
        &between([10, 2, 0, 9], [10, 1, 0, 5], 60, true),
    );
    let _ = receive(&mut near, at(100), &outer);
    assert!(!near.is_silent(peer));
    let deadline = near.next_deadline().expect("it may fall silent again");
    assert!(deadline <= at(160), "{deadline}");
    assert_eq!(changes(&mut near, deadline.max(at(159))), []);
    assert_eq!(near.next_deadline(), Some(at(160)));
    assert_eq!(changes(&mut near, at(160)), [Change::Silent { peer }]);
}

/// RFC 3948 §4: what keeps an address translator's mapping alive says nothing of the peer.
#[test]
fn a_datagram_without_a_packet_is_no_sign_of_life() {
    let policy = PeerPolicy {
        silence: Some(Duration::from_secs(60)),
        ..PeerPolicy::DEFAULT
    };
    let fou = Tunnel::new(HERE, THERE, Fou::new(5555)).unwrap();
    let mut near = with(fou, FAR, policy, EndpointConfig::DEFAULT);
    let peer = near.peers().at(0).unwrap();
    let meta = OuterMeta {
        source: THERE,
        destination: HERE,
        protocol: IpProtocol::UDP,
        source_port: 5555,
        destination_port: 5555,
        ecn: Ecn::NotEct,
    };
    assert_eq!(changes(&mut near, START), []);
    for datagram in [&mut [][..], &mut [0xff]] {
        let verdict = near.receive_payload(at(50), &meta, datagram);
        let Inbound::Drop {
            cause: Cause::Refused(refused),
            ..
        } = verdict
        else {
            panic!("{verdict:?}")
        };
        assert_eq!(refused.reason, Reason::InnerTruncated);
    }
    assert_eq!(changes(&mut near, at(60)), [Change::Silent { peer }]);
}

/// Keepalives are due when nothing was sent, again and again.
#[test]
fn a_keepalive_is_due_when_nothing_was_sent() {
    let policy = PeerPolicy {
        keepalive: Some(Duration::from_secs(25)),
        ..PeerPolicy::DEFAULT
    };
    let mut near = with(ipip(HERE, THERE), FAR, policy, EndpointConfig::DEFAULT);
    let peer = near.peers().at(0).unwrap();
    assert_eq!(changes(&mut near, START), []);
    assert_eq!(changes(&mut near, at(25)), [Change::KeepaliveDue { peer }]);
    sent(&mut near, at(40), &inner(60, true));
    assert_eq!(changes(&mut near, at(50)), []);
    assert_eq!(near.next_deadline(), Some(at(65)));
    assert_eq!(changes(&mut near, at(65)), [Change::KeepaliveDue { peer }]);
    assert_eq!(changes(&mut near, at(90)), [Change::KeepaliveDue { peer }]);
}

/// Ten minutes after the last report the link's MTU is tried again, and whoever asks is told.
#[test]
fn a_15_a_lowered_mtu_is_raised_again() {
    let (mut near, _) = crate::ends::pair();
    let peer = near.peers().at(0).unwrap();
    assert_eq!(changes(&mut near, START), []);
    let outer = sent(&mut near, at(10), &inner(1480, true));
    let _ = receive(&mut near, at(10), &too_big(&outer[..28], 1400));
    assert_eq!(near.next_deadline(), Some(at(610)));
    assert_eq!(changes(&mut near, at(609)), []);
    assert_eq!(near.inner_mtu(at(609), peer), Some(1380));
    let inner_mtu = 1480;
    assert_eq!(
        changes(&mut near, at(610)),
        [Change::InnerMtu { peer, inner_mtu }]
    );
    assert_eq!(near.next_deadline(), None);
    sent(&mut near, at(610), &inner(1480, true));
}

/// Another MTU of the link is told of, and holds from then on.
#[test]
fn a_link_may_get_another_mtu() {
    let (mut near, _) = crate::ends::pair();
    let peer = near.peers().at(0).unwrap();
    sent(&mut near, START, &inner(1480, true));
    near.set_link_mtu(START, 1400);
    let inner_mtu = 1380;
    assert_eq!(
        changes(&mut near, START),
        [Change::InnerMtu { peer, inner_mtu }]
    );
    assert_eq!(
        crate::ends::told(&mut near, START, &inner(1480, true)),
        Some(1380)
    );
    near.set_link_mtu(START, 9000);
    let inner_mtu = 8980;
    assert_eq!(
        changes(&mut near, START),
        [Change::InnerMtu { peer, inner_mtu }]
    );
    sent(&mut near, START, &inner(8980, true));
    assert_eq!(near.path_mtu(START, peer), Some(9000));
}

/// O-07, RFC 8899: a prober finds what the path carries through the endpoint, which tells of it and answers by it.
#[test]
fn o_07_a_prober_finds_the_mtu_of_a_silent_path() {
    let (mut near, _) = crate::ends::pair();
    let peer = near.peers().at(0).unwrap();
    let mut prober = Prober::new(ProberConfig::DEFAULT);
    let mut now = START;
    let mut lens = vec![];
    while lens.len() < 100 {
        if let Some(probe) = near.probe(now, peer, &mut prober) {
            lens.push(probe.len);
            // The path carries 1400 bytes, and drops what is longer.
            if probe.len <= 1400 {
                near.on_confirmed(now, peer, &mut prober, probe.len);
            }
        }
        if near.path_mtu(now, peer) == Some(1400) && !lens.is_empty() {
            break;
        }
        now = prober.next_deadline().unwrap();
    }
    assert_eq!(lens.first(), Some(&1200));
    assert!(lens.len() < 30, "{lens:?}");
    assert_eq!(near.path_mtu(now, peer), Some(1400));
    let inner_mtu = 1380;
    assert_eq!(
        changes(&mut near, now),
        [Change::InnerMtu { peer, inner_mtu }]
    );
    let packet = inner(1381, true);
    assert_eq!(crate::ends::told(&mut near, now, &packet), Some(1380));
    // A peer that is not there has no path to probe.
    let stranger = PeerId::new(9, 0);
    assert_eq!(near.probe(now, stranger, &mut prober), None);
    near.on_confirmed(now, stranger, &mut prober, 1500);
    assert_eq!(near.path_mtu(now, peer), Some(1400));
}

/// RFC 2890 §2.2: a receiver that keeps order drops a packet with a number that it has passed. A probe that is longer
/// than the path MTU takes one of its own, and no room of the other packets.
#[test]
fn a_probe_has_the_next_number() {
    let gre = Tunnel::new(HERE, THERE, Gre::new().with_sequence()).unwrap();
    let mut near = one(gre, FAR);
    let peer = near.peers().at(0).unwrap();
    let _ = near.local_mtu(START, peer, 1000);
    let number = |outer: &[u8]| u32::from_be_bytes(*outer[24..].first_chunk().unwrap());
    let mut numbers = vec![number(&sent(&mut near, START, &inner(60, true)))];
    let probe = inner(1400, true);
    let numbered = near.number_probe(START, peer, &probe).unwrap();
    let mut buffer = [vec![0; 28], probe.clone()].concat();
    let outer = ipencap::encap(&gre, &mut buffer, Span::new(28, 1400), &numbered).unwrap();
    numbers.push(number(outer));
    numbers.push(number(&sent(&mut near, START, &inner(60, true))));
    assert_eq!(numbers, [0, 1, 2]);

    assert_eq!(near.number_probe(START, peer, &probe[..40]), None);
    let policy = OuterPolicy {
        link_mtu: Some(1300),
        ..gre.policy()
    };
    let mut mtu_of_its_own = one(gre.with_policy(policy), FAR);
    let peer = mtu_of_its_own.peers().at(0).unwrap();
    assert_eq!(mtu_of_its_own.number_probe(START, peer, &probe), None);
}

/// A tunnel through which only probes go needs no keepalives.
#[test]
fn a_probe_speaks_for_us() {
    let policy = PeerPolicy {
        keepalive: Some(Duration::from_secs(25)),
        ..PeerPolicy::DEFAULT
    };
    let mut near = with(ipip(HERE, THERE), FAR, policy, EndpointConfig::DEFAULT);
    let peer = near.peers().at(0).unwrap();
    assert_eq!(changes(&mut near, START), []);
    assert!(near.number_probe(at(20), peer, &inner(60, true)).is_some());
    assert_eq!(changes(&mut near, at(25)), []);
    assert_eq!(near.next_deadline(), Some(at(45)));
}
