//! DC and EC: what comes out of a tunnel, by every door.

use core::net::Ipv4Addr;
use std::collections::BTreeMap;

use ipencap::decap::{
    Access, Edge, EdgeTable, Peer, PointToPoint, Prefix, PrefixEntry, PrefixTable,
};
use ipencap::decap::{Decapsulate, EgressDscp, InnerTunnels, Receiver};
use ipencap::encap::{PerPacket, Role, Tunnel};
use ipencap::error::Refused;
use ipencap::packet::Packet;
use ipencap::shim::IpIp;
use ipencap::wire::{Ecn, EcnAlarm};
use ipencap::{Span, decap};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::encapsulation::wrapped;
use crate::oracle::{L, P, R, hex, plain_outer};
use crate::{Book, MIXED};

/// DC-00 to DC-37 show D-01 to D-07, D-09, D-11 to D-21, V-11, T-07, T-08, F-10, L-01 and A-45.
#[test]
fn dc_decapsulation_pipeline() {
    dc(&mut Book::open());
}

/// EC-01 to EC-16 show N-10, N-11, N-13, N-14, D-21 and Q-06.
#[test]
fn ec_ecn_at_decapsulation() {
    ec(&mut Book::open());
}

/// What a decapsulator says of a packet: the inner bytes after it has written, slack and alarm.
pub(crate) type Verdict = Result<(Vec<u8>, u16, Option<EcnAlarm>), Refused>;

/// The verdict of `receiver`, the same through every door.
///
/// Inspecting and refusing change no byte; opening changes none outside of the inner header.
pub(crate) fn opened<D: Decapsulate>(id: &str, receiver: &D, packet: &[u8]) -> Verdict {
    let shared = packet.to_vec();
    let dynamic: &dyn Decapsulate = receiver;
    let inspected = dynamic.inspect(&shared);
    assert_eq!(shared, packet, "{id}: inspect changed the packet");

    let mut buffer = packet.to_vec();
    let verdict = decap(receiver, &mut buffer).map(|inner| {
        let opened = inner.opened;
        (inner.packet.to_vec(), opened.slack(), opened.alarm())
    });

    let mut apart = [&[0xa5; 9], packet, &[0x5a; 3]].concat();
    let mut borrowed = Packet::new(&mut apart, Span::new(9, packet.len()));
    let by_packet = borrowed.open(receiver);
    let inner = borrowed.as_slice().to_vec();
    let by_packet = by_packet.map(|opened| (inner, opened.slack(), opened.alarm()));
    assert_eq!(by_packet, verdict, "{id}: Packet::open");
    assert_eq!(apart[9..9 + packet.len()], buffer, "{id}: Packet::open");
    assert_eq!(apart[..9], [0xa5; 9], "{id}: Packet::open");

    match (&verdict, inspected) {
        (Ok((inner, slack, alarm)), Ok(opened)) => {
            let span = opened.span();
            let before = span.get(packet).unwrap();
            assert_eq!(opened.layers(), 1, "{id}: L-01");
            assert_eq!(opened.slack(), *slack, "{id}");
            assert_eq!(opened.alarm(), *alarm, "{id}");
            assert_eq!(opened.changes_bytes(), before != inner, "{id}: A-45");
            assert_eq!(span.get(&buffer), Some(&inner[..]), "{id}");
            assert_eq!(buffer[..span.start], packet[..span.start], "{id}");
            assert_eq!(buffer[span.end()..], packet[span.end()..], "{id}");
        }
        (Err(refused), Err(inspected)) => {
            assert_eq!(*refused, inspected, "{id}");
            assert_eq!(buffer, packet, "{id}: refused and changed");
            let cut = refused.name().ends_with("Truncated");
            assert_eq!(refused.need > refused.have, cut, "{id}: {refused}");
        }
        (verdict, inspected) => panic!("{id}: decap {verdict:?}, inspect {inspected:?}"),
    }
    verdict
}

/// The policy of the vectors, by all of the ready-made forms of [`Access`].
pub(crate) fn opened_by_policy<S: Copy>(
    id: &str,
    shim: S,
    adjust: impl Fn(Receiver<S, &dyn Access>) -> Verdict,
) -> Verdict {
    let sources = [Prefix::new(Ipv4Addr::new(10, 1, 0, 0), 16).unwrap()];
    let point_to_point = PointToPoint::new(R, L, &sources);
    let peers = [Peer::new(Prefix::host(L), &sources)];
    let edge = Edge::new(&[R], &peers);
    let mut memory = [[PrefixEntry::EMPTY; 1]; 3];
    let [addresses, outer, inner] = memory.each_mut().map(|entries| PrefixTable::new(entries));
    let mut table = EdgeTable::new(addresses, outer, inner);
    table.insert_local(Prefix::host(R)).unwrap();
    table.insert_outer(0, Prefix::host(L), None).unwrap();
    table.insert_inner(0, sources[0]).unwrap();
    let accesses: [&dyn Access; 3] = [&point_to_point, &edge, &table];
    let [first, second, third] = accesses
        .map(|access| adjust(Receiver::new(shim, access).with_inner_tunnels(InnerTunnels::Refuse)));
    assert_eq!(first, second, "{id}: PointToPoint, Edge");
    assert_eq!(first, third, "{id}: PointToPoint, EdgeTable");
    first
}

fn alarm(mark: &str) -> Option<EcnAlarm> {
    match mark {
        "-" => None,
        "!" => Some(EcnAlarm::Possible),
        "!!!" => Some(EcnAlarm::Dangerous),
        _ => panic!("alarm {mark}"),
    }
}

/// DC-37: P inside `count` plain headers, the outermost from L to R.
fn nested(count: u8) -> Vec<u8> {
    let mut packet = P.to_vec();
    for k in 1..=count {
        let (source, destination) = if k == count {
            (L, R)
        } else {
            (Ipv4Addr::new(10, 1, 0, k), Ipv4Addr::new(10, 2, 0, k))
        };
        let outer = plain_outer(source, destination, 0, packet.len() + 20);
        let by_hand = [&outer[..], &packet].concat();
        let tunnel = Tunnel::new(source, destination, IpIp).unwrap();
        let wrapped = wrapped("DC-37", &tunnel, Role::Originate, &packet, PerPacket::new());
        assert_eq!(wrapped.as_ref(), Ok(&by_hand), "DC-37: header {k}");
        packet = by_hand;
    }
    packet
}

fn dc_37(id: &str, vector: &Value) -> Vec<u8> {
    let packet = nested(vector["headers"].as_u64().unwrap().try_into().unwrap());
    assert_eq!(vector["length"], packet.len(), "{id}");
    let start = hex(&vector["sha256_starts"]);
    assert!(Sha256::digest(&packet).starts_with(&start), "{id}");
    packet
}

pub(crate) fn dc(book: &mut Book) {
    let accepted: BTreeMap<String, Value> = book.group("decap_accepted");
    let refused_or_accepted = book.group("decap");
    book.each("decap", "DC", |id, vector| {
        let packet = match vector.get("packet") {
            Some(packet) => hex(packet),
            None => dc_37(id, vector),
        };
        let desc = vector["desc"].as_str().unwrap();
        let depth = match desc.split_once(", max_depth ") {
            Some((_, depth)) => depth.parse().unwrap(),
            None => 1,
        };
        let verdict = opened_by_policy(id, IpIp, |receiver| {
            opened(id, &receiver.with_max_depth(depth), &packet)
        });
        match (vector["result"].as_str().unwrap(), verdict) {
            ("ACCEPT", Ok((inner, slack, raised))) => {
                let expected = &accepted[id];
                assert_eq!(inner, hex(&expected["inner"]), "{id}: {desc}");
                assert_eq!(expected["slack"], slack, "{id}: {desc}");
                let mark = expected["alarm"].as_str().unwrap();
                assert_eq!(raised, alarm(mark), "{id}: {desc}");
            }
            (result, Err(refused)) => {
                assert_eq!(refused.name(), result, "{id}: {desc}");
                assert_eq!(refused.layer, 0, "{id}: {desc}");
            }
            (result, Ok(accepted)) => panic!("{id}: {desc}: {result} expected, got {accepted:?}"),
        }
    });
    book.each("decap_accepted", "DC", |id, _| {
        // Compared above, if the vector says that it is accepted.
        assert_eq!(refused_or_accepted[id]["result"], "ACCEPT", "{id}");
    });
}

fn ecn(name: &str) -> Ecn {
    let found = Ecn::ALL.into_iter().find(|ecn| ecn.to_string() == name);
    found.unwrap_or_else(|| panic!("{name} is no codepoint"))
}

/// The inner TOS byte and checksum where the uniform model takes EF over, by resulting ECN.
const fn uniform(ecn: Ecn) -> (u8, u16) {
    match ecn {
        Ecn::NotEct => (0xb8, 0x13cd),
        Ecn::Ect0 => (0xba, 0x13cb),
        Ecn::Ect1 => (0xb9, 0x13cc),
        Ecn::Ce => (0xbb, 0x13ca),
    }
}

pub(crate) fn ec(book: &mut Book) {
    book.each(MIXED, "EC", |id, vector| {
        let packet = hex(&vector["packet"]);
        let inner_ecn = ecn(vector["inner"].as_str().unwrap());
        let outer_ecn = ecn(vector["outer"].as_str().unwrap());
        let mark = alarm(vector["alarm"].as_str().unwrap());
        assert_eq!(inner_ecn.alarm(outer_ecn), mark, "{id}: N-13");

        let kept = opened_by_policy(id, IpIp, |receiver| opened(id, &receiver, &packet));
        let replaced = opened_by_policy(id, IpIp, |receiver| {
            let uniform = receiver.with_egress_dscp(EgressDscp::Uniform);
            opened(id, &uniform, &packet)
        });
        if vector["result"] == "EcnDrop" {
            assert_eq!(kept.unwrap_err().name(), "EcnDrop", "{id}: N-14");
            assert_eq!(replaced.unwrap_err().name(), "EcnDrop", "{id}: N-14");
            assert_eq!(inner_ecn.decapsulated(outer_ecn), None, "{id}: N-10");
            return;
        }
        let header = hex(&vector["result"]);
        let expected = [&header[..], &P[20..]].concat();
        assert_eq!(kept, Ok((expected.clone(), 0, mark)), "{id}");

        let result = Ecn::from_bits_truncated(header[1]);
        assert_eq!(
            inner_ecn.decapsulated(outer_ecn),
            Some(result),
            "{id}: N-10"
        );
        let (tos, checksum) = uniform(result);
        let mut expected = expected;
        expected[1] = tos;
        expected[10..12].copy_from_slice(&checksum.to_be_bytes());
        assert_eq!(replaced, Ok((expected, 0, mark)), "{id}: uniform, Q-06");
    });
}

#[test]
fn n_10_n_13_ecn_table() {
    // By `inner << 2 | outer`, 0xff for the dropped pair.
    const RESULT: [u8; 16] = [0, 0, 0, 0xff, 1, 1, 1, 3, 2, 1, 2, 3, 3, 3, 3, 3];
    const ALARMS: u16 = 0x204e;
    for inner in Ecn::ALL {
        for outer in Ecn::ALL {
            let index = usize::from(inner.bits() << 2 | outer.bits());
            let result = inner.decapsulated(outer).map_or(0xff, Ecn::bits);
            assert_eq!(result, RESULT[index], "N-10: {inner} in {outer}");
            let alarmed = ALARMS >> index & 1 == 1;
            assert_eq!(
                inner.alarm(outer).is_some(),
                alarmed,
                "N-13: {inner} in {outer}"
            );
        }
    }
}
