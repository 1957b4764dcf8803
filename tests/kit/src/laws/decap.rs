use core::net::Ipv4Addr;

use ipencap::Span;
use ipencap::decap::{Access, Edge, Peer, PointToPoint, Prefix};
use ipencap::decap::{Decapsulate, OuterPacket};
use ipencap::packet::Packet;

use crate::generate::{Bytes, DecapCase};
use crate::oracle::{self, Accepted};
use crate::registry::CarrierSubject;

/// Calls `check` with a decapsulator of the case's network for every carrier.
fn for_each_receiver(
    case: &DecapCase,
    mut check: impl FnMut(&dyn CarrierSubject, &dyn Decapsulate, &[u8]),
) {
    for_each_access(case, |access| {
        for (subject, packet) in &case.arrivals {
            let carrier = subject.carrier().unwrap();
            let receiver = carrier.receiver(access, case.switches);
            check(carrier, &*receiver, &packet.0);
        }
    });
}

/// Calls `check` with the case's network in every form that it has.
pub(super) fn for_each_access(case: &DecapCase, mut check: impl FnMut(&dyn Access)) {
    let prefixes = |nets: &[oracle::Net]| -> Vec<Prefix> {
        nets.iter()
            .map(|&(network, len)| Prefix::new(network.into(), len).unwrap())
            .collect()
    };
    let inner: Vec<Vec<Prefix>> = case
        .network
        .peers
        .iter()
        .map(|peer| prefixes(&peer.inner))
        .collect();
    let peers: Vec<Peer<'_>> = case
        .network
        .peers
        .iter()
        .zip(&inner)
        .map(|(peer, inner)| Peer::new(prefixes(&[peer.outer])[0], inner).with_tag(peer.tag))
        .collect();
    let addresses =
        |list: &[[u8; 4]]| -> Vec<Ipv4Addr> { list.iter().copied().map(Into::into).collect() };
    let local = addresses(&case.network.local);
    let endpoints = addresses(&case.network.endpoints);
    let edge = Edge::new(&local, &peers).with_endpoints(&endpoints);
    let mut accesses: Vec<&dyn Access> = vec![&edge];
    let point_to_point;
    if case.point_to_point {
        let peer = case.network.peers[0].outer.0;
        point_to_point = PointToPoint::new(local[0], peer.into(), &inner[0]);
        accesses.push(&point_to_point);
    }
    for access in accesses {
        check(access);
    }
}

/// P-11: accepted if and only if the rules D-01 to D-22 accept it, refused for the first rule that is
/// broken, and delivered as the rules say.
pub fn law_decap_matches_oracle(case: &DecapCase) {
    for_each_receiver(case, |carrier, receiver, packet| {
        let expected = oracle::decapsulate(carrier.naive(), &case.network, case.switches, packet);
        let mut bytes = packet.to_vec();
        let got = ipencap::decap(receiver, &mut bytes);
        match (&got, &expected) {
            (Ok(inner), Ok(accepted)) => {
                let opened = inner.opened;
                let delivered = Accepted {
                    start: opened.span().start,
                    inner: Bytes(inner.packet.to_vec()),
                    slack: opened.slack().into(),
                    alarm: opened.alarm(),
                    tag: opened.tag(),
                    sequence: opened.sequence(),
                };
                assert_eq!(delivered, *accepted);
            }
            (Err(refused), Err(refusal)) => {
                assert_eq!((refused.reason, refused.layer), (refusal.reason, 0));
                if let Some(need_have) = refusal.need_have {
                    assert_eq!((refused.need, refused.have), need_have);
                }
            }
            _ => panic!("{got:?}, but by the rules {expected:?}"),
        }

        // Without the filter: nothing that the pipeline accepts is refused.
        if let Ok(accepted) = &expected {
            let unfiltered = carrier.inspect_without_filter(packet).unwrap();
            assert_eq!(unfiltered.span().start, accepted.start);
            assert_eq!(unfiltered.span().len, accepted.inner.0.len());
            assert_eq!(usize::from(unfiltered.slack()), accepted.slack);
            assert_eq!((unfiltered.alarm(), unfiltered.tag()), (accepted.alarm, 0));
        }
    });
}

/// P-03, trap T41: a refused packet, its buffer and its place are as before.
pub fn law_decap_is_all_or_nothing(case: &DecapCase) {
    for_each_receiver(case, |_, receiver, packet| {
        let mut bytes = packet.to_vec();
        if ipencap::decap(receiver, &mut bytes).is_err() {
            assert_eq!(bytes, packet);
        }
        let mut buffer = [&[0xa5; 7], packet, &[0x5a; 3]].concat();
        let before = buffer.clone();
        let mut place = Packet::new(&mut buffer, Span::new(7, packet.len()));
        if place.open(receiver).is_err() {
            assert_eq!(place.span(), Span::new(7, packet.len()));
            assert_eq!(buffer, before);
        }
    });
}

/// N-12, A-45: inspecting and applying is what the doors do; little is written, and only if said.
pub fn law_inspect_apply_agree(case: &DecapCase) {
    for_each_receiver(case, |carrier, receiver, packet| {
        let inspected = receiver.inspect(packet);
        assert_eq!(receiver.inspect_outer(OuterPacket::new(packet)), inspected);

        let mut by_door = packet.to_vec();
        let door = ipencap::decap(receiver, &mut by_door).map(|inner| inner.opened);
        assert_eq!(door, inspected);

        let mut buffer = [&[0xa5; 7], packet, &[0x5a; 3]].concat();
        let mut place = Packet::new(&mut buffer, Span::new(7, packet.len()));
        assert_eq!(place.open(receiver), inspected);
        let Ok(opened) = inspected else {
            return;
        };
        let span = opened.span();
        assert_eq!(place.span(), Span::new(7 + span.start, span.len));

        let mut applied = packet.to_vec();
        let inner = opened.apply(&mut applied).to_vec();
        assert_eq!(inner.len(), span.len);
        assert_eq!(Some(&*inner), span.get(&by_door));
        assert_eq!(applied, by_door);
        assert_eq!(place.as_slice(), inner);
        assert_eq!(buffer[..7], [0xa5; 7]);
        assert_eq!(buffer[7 + packet.len()..], [0x5a; 3]);

        let changed: Vec<usize> = (0..packet.len())
            .filter(|&at| applied[at] != packet[at])
            .collect();
        if carrier.naive().protocol() == 55 {
            // M-07: the header moves back to where it was, over the minimal one.
            assert!(opened.changes_bytes());
            let header_len = usize::from(inner[0] & 15) * 4;
            assert!(changed.iter().all(|&at| at < span.start + header_len));
        } else {
            assert_eq!(opened.changes_bytes(), !changed.is_empty(), "N-12");
            let may_change = [1, 10, 11].map(|field| span.start + field);
            assert!(
                changed.iter().all(|at| may_change.contains(at)),
                "{changed:?}"
            );
        }
        assert_eq!(
            oracle::residue(&inner[..usize::from(inner[0] & 15) * 4]),
            0,
            "N-11: the checksum follows"
        );

        // Applied to a buffer that was not inspected: nothing happens.
        for len in [0, span.start, span.start + span.len - 1] {
            let mut short = packet[..len].to_vec();
            assert!(opened.apply(&mut short).is_empty());
            assert_eq!(short, packet[..len]);
            assert!(opened.outer_packet(&short).bytes().is_empty());
        }
        assert_eq!(
            opened.outer_packet(packet).bytes(),
            span.get(packet).unwrap()
        );
        assert_eq!(opened.layers(), 1);
    });
}
