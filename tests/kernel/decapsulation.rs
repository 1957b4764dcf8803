//! Linux as a decapsulator and router: what it forwards is what this crate opens.

use core::net::Ipv4Addr;
use std::collections::BTreeSet;

use ipencap::encap::{Decapsulate, Decapsulator};
use ipencap::filter::{PointToPoint, Prefix};
use ipencap::packet::Packet;
use ipencap::wire::{IpProtocol, Ipv4, Ipv4Header};
use ipencap::{Span, decap};
use serde_json::Value;

use crate::{drops, icmp, packets, records, text};

/// The configurations of the corpus that are one IP-in-IP device from 192.0.2.2 to 192.0.2.1.
const CONFIGURATIONS: [&str; 5] = ["ipip", "ipip-any", "ipip-rpf1", "ipip-rpf2", "ipip-ttl64"];

/// Refused by both, here for this reason. Linux drops for its own: it validates the inner packet
/// behind the device, and answers some of them with ICMP.
const REFUSED_BY_BOTH: &[(&str, &[&str])] = &[
    ("OuterTruncated", &["ipip-outer-012", "ipip-outer-013"]),
    ("OuterBadVersion", &["ipip-outer-004"]),
    ("OuterBadChecksum", &["ipip-outer-002"]),
    (
        "OuterBadTotalLength",
        &["ipip-outer-010", "ipip-outer-011", "ipip-outer-015"],
    ),
    (
        "OuterFragment",
        &[
            "ipip-frag-004",
            "ipip-frag-005",
            "ipip-frag-006",
            "ipip-frag-007",
            "ipip-frag-012",
            "ipip-frag-013",
            "ipip-any-match-006",
            "ipip-ttl64-match-006",
        ],
    ),
    (
        "NotTunnel",
        &[
            "ipip-proto-002",
            "ipip-proto-004",
            "ipip-proto-005",
            "ipip-proto-006",
            "ipip-proto-007",
            "ipip-proto-008",
            "ipip-proto-010",
            "ipip-udp-001",
        ],
    ),
    (
        "OuterDstNotLocal",
        &[
            "ipip-addr-008",
            "ipip-addr-009",
            "ipip-addr-011",
            "ipip-addr-012",
            "ipip-any-match-003",
            "ipip-any-match-004",
            "ipip-ttl64-match-003",
            "ipip-ttl64-match-004",
        ],
    ),
    (
        "OuterMartianSource",
        &["ipip-addr-003", "ipip-addr-005", "ipip-addr-007"],
    ),
    (
        "UnknownPeer",
        &[
            "ipip-rpf1-rpf-004",
            "ipip-rpf2-rpf-004",
            "ipip-ttl64-match-002",
        ],
    ),
    (
        "InnerTruncated",
        &[
            "ipip-outer-008",
            "ipip-inner-001",
            "ipip-inner-002",
            "ipip-inner-004",
            "ipip-inner-005",
            "ipip-inner-006",
            "ipip-inner-007",
            "ipip-inner-008",
            "ipip-any-match-005",
            "ipip-ttl64-match-005",
        ],
    ),
    (
        "InnerBadVersion",
        &[
            "ipip-inner-016",
            "ipip-inner-018",
            "ipip-inner-019",
            "ipip-inner-024",
        ],
    ),
    (
        "InnerBadIhl",
        &["ipip-outer-006", "ipip-inner-020", "ipip-inner-021"],
    ),
    ("InnerBadChecksum", &["ipip-inner-014"]),
    ("InnerBadTotalLength", &["ipip-inner-012"]),
    (
        "InnerMartianSource",
        &[
            "ipip-inaddr-010",
            "ipip-inaddr-011",
            "ipip-inaddr-015",
            "ipip-inaddr-016",
        ],
    ),
    ("InnerSourceIsLocal", &["ipip-inaddr-013"]),
    (
        "InnerMartianDestination",
        &["ipip-inaddr-008", "ipip-inaddr-009"],
    ),
];

/// Records on which the two differ.
struct Difference {
    ids: &'static [&'static str],
    /// The reason of the refusal here, `None` where the packet is opened.
    ours: Option<&'static str>,
    /// What Linux did, by the traces in the record.
    linux: &'static str,
    why: &'static str,
}

const DIFFERENCES: &[Difference] = &[
    Difference {
        ids: &[
            "ipip-frag-001",
            "ipip-frag-003",
            "ipip-frag-008",
            "ipip-frag-010",
            "ipip-frag-011",
        ],
        ours: Some("OuterFragment"),
        linux: "forwarded",
        why: "D-03, A-27: Linux reassembles, here the caller does if the tunnel needs it",
    },
    Difference {
        ids: &["ipip-inner-030", "ipip-inner-031", "ipip-inner-032"],
        ours: Some("InnerEqualsOuter"),
        linux: "forwarded",
        why: "D-16, A-43: a self-nested packet, which Linux opens to the bottom",
    },
    Difference {
        ids: &["ipip-any-match-002"],
        ours: Some("UnknownPeer"),
        linux: "forwarded",
        why: "D-07, A-24: a device without a remote takes packets from anybody",
    },
    Difference {
        ids: &["ipip-ttl-006"],
        ours: None,
        linux: "ip_forward IP_INHDR, ICMP 11/0 through the tunnel",
        why: "caller's routing: inner TTL 1 ends at the next router, not here (D-13, §7.2)",
    },
    Difference {
        ids: &["ipip-inaddr-001", "ipip-inaddr-002"],
        ours: None,
        linux: "__udp4_lib_rcv NO_SOCKET, ICMP 3/3 through the tunnel",
        why: "caller's routing: delivered to the host itself, where nobody listened",
    },
    Difference {
        ids: &["ipip-inaddr-004"],
        ours: None,
        linux: "routed through the tunnel",
        why: "caller's routing: the route leads back into the tunnel (§7.2)",
    },
    Difference {
        ids: &["ipip-inaddr-005"],
        ours: None,
        linux: "routed outside",
        why: "caller's routing: sent on, but by the default route and not to the inner host",
    },
    Difference {
        ids: &["ipip-rpf1-rpf-002", "ipip-rpf1-rpf-003"],
        ours: None,
        linux: "ip_rcv_finish_core IP_RPFILTER",
        why: "caller's routing: rp_filter; here the prefixes of the peer do this (D-17, A-26)",
    },
];

/// Records whose options Linux has written to when it forwarded the inner packet.
const OPTIONS_REWRITTEN: &[&str] = &["ipip-inner-026"];

/// `inner` as a router sends it on.
fn routed(inner: &[u8]) -> Vec<u8> {
    let mut inner = inner.to_vec();
    let (header, _, _) = Ipv4Header::split_mut(&mut inner).unwrap();
    assert!(header.decrement_ttl());
    inner
}

/// What Linux did, by the traces in the record.
fn traces(record: &Value, inner: Option<&[u8]>) -> String {
    let mut traces = drops(record);
    if record["forwarded"][0].is_string() {
        traces.push("forwarded".to_owned());
    }
    for sent in packets(&record["wire"]) {
        let outer = Ipv4::parse(&sent).unwrap();
        let through_tunnel = outer.header().protocol() == IpProtocol::IPENCAP;
        let (packet, way) = if through_tunnel {
            (outer.payload(), "through the tunnel")
        } else {
            (&sent[..], "outside")
        };
        if let Some(message) = icmp(packet) {
            traces.push(format!("{message} {way}"));
        } else {
            assert_eq!(Some(packet), inner.map(routed).as_deref());
            traces.push(format!("routed {way}"));
        }
    }
    traces.join(", ")
}

/// What is opened of `packet`, or why nothing is; the same through every door.
fn opened<D: Decapsulate>(id: &str, receiver: &D, packet: &[u8]) -> Result<(Vec<u8>, u16), String> {
    let inspected = receiver.inspect(packet);
    let mut buffer = packet.to_vec();
    let answer = match decap(receiver, &mut buffer) {
        Ok(inner) => Ok((inner.packet.to_vec(), inner.opened.slack())),
        Err(refused) => Err(refused.name().to_owned()),
    };
    match (&answer, inspected) {
        (Ok((_, slack)), Ok(verdict)) => assert_eq!(verdict.slack(), *slack, "{id}"),
        (Err(reason), Err(refused)) => {
            assert_eq!(refused.name(), reason, "{id}");
            assert_eq!(buffer, packet, "{id}: refused and changed");
        }
        (answer, inspected) => panic!("{id}: decap {answer:?}, inspect {inspected:?}"),
    }
    let mut again = packet.to_vec();
    let mut borrowed = Packet::new(&mut again, Span::new(0, packet.len()));
    assert_eq!(borrowed.decap(receiver).is_ok(), answer.is_ok(), "{id}");
    assert_eq!(again, buffer, "{id}: Packet::decap");
    answer
}

/// The bytes that Linux delivered and sent on are those that were opened here.
fn check_delivery(record: &Value, inner: &[u8], slack: u16) {
    let id = text(record, "id");
    let delivered = packets(&record["decap"]["t0"]);
    assert_eq!(delivered.len(), 1, "{id}");
    let (start, rest) = delivered[0].split_at(inner.len());
    assert_eq!(start, inner, "{id}: delivered by the device");
    // Linux trims the inner packet behind the device (D-12).
    assert_eq!(rest.len(), usize::from(slack), "{id}: slack");
    for forwarded in packets(&record["forwarded"]) {
        let same = forwarded == routed(inner);
        let rewritten = OPTIONS_REWRITTEN.contains(&id);
        assert_ne!(same, rewritten, "{id}: sent on by the router");
    }
}

#[test]
fn d_01_to_d_21_what_linux_forwards() {
    let local = Ipv4Addr::new(192, 0, 2, 1);
    let peer = Ipv4Addr::new(192, 0, 2, 2);
    let receiver = Decapsulator::ipip(PointToPoint::new(local, peer, &[Prefix::ANY]));

    let corpus = records(include_str!("../data/kernel/decap.jsonl"));
    let mut opened_by_both = BTreeSet::new();
    let mut refused_by_both = BTreeSet::new();
    let mut different = BTreeSet::new();
    for record in &corpus {
        let in_scope = CONFIGURATIONS.contains(&text(record, "cfg"));
        if !in_scope || record.get("setup").is_some() {
            continue;
        }
        let id = text(record, "id");
        let answers: Vec<_> = packets(&record["inject"])
            .iter()
            .map(|packet| opened(id, &receiver, packet))
            .collect();
        let answer = &answers[0];
        let uniform = answers.iter().all(|other| other == answer);
        // Several packets are the fragments of one, none of which is opened.
        assert!(uniform, "{id}: {answers:?}");
        let inner = answer.as_ref().ok();
        if let Some((inner, slack)) = inner {
            check_delivery(record, inner, *slack);
        }
        let traces = traces(record, inner.map(|(inner, _)| &inner[..]));
        let forwarded = record["forwarded"][0].is_string();
        let reason = answer.as_ref().err().map(String::as_str);

        if let Some(row) = DIFFERENCES.iter().find(|row| row.ids.contains(&id)) {
            assert_ne!(
                answer.is_ok(),
                forwarded,
                "{id}: no difference any more: {}",
                row.why
            );
            assert_eq!(reason, row.ours, "{id}: {}", row.why);
            assert_eq!(traces, row.linux, "{id}: {}", row.why);
            assert!(different.insert(id), "{id} stands twice in the corpus");
        } else if let Some(reason) = reason {
            let row = REFUSED_BY_BOTH.iter().find(|(_, ids)| ids.contains(&id));
            let expected = row.map(|(reason, _)| *reason);
            assert_eq!(Some(reason), expected, "{id}: {traces}");
            assert!(!forwarded, "{id}: refused here only: {reason}");
            assert!(
                refused_by_both.insert(id),
                "{id} stands twice in the corpus"
            );
        } else {
            assert_eq!(traces, "forwarded", "{id}: opened here only");
            assert!(opened_by_both.insert(id), "{id} stands twice in the corpus");
        }
    }

    let rows = DIFFERENCES.iter().flat_map(|row| row.ids).copied();
    check_rows(rows, &different);
    let rows = REFUSED_BY_BOTH.iter().flat_map(|(_, ids)| *ids).copied();
    check_rows(rows, &refused_by_both);
    println!(
        "decapsulation: {} records, {} opened by both, {} refused by both, {} different in {} rows",
        opened_by_both.len() + refused_by_both.len() + different.len(),
        opened_by_both.len(),
        refused_by_both.len(),
        different.len(),
        DIFFERENCES.len(),
    );
    assert_eq!(opened_by_both.len(), 41);
}

/// Every row was needed, once.
fn check_rows<'a>(rows: impl Iterator<Item = &'a str>, needed: &BTreeSet<&str>) {
    let mut seen = BTreeSet::new();
    for id in rows {
        assert!(seen.insert(id), "{id} stands in two rows");
        assert!(
            needed.contains(id),
            "{id} stands in a row that is not needed"
        );
    }
}
