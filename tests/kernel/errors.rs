//! ICMP errors that Linux has sent, and errors that it was sent about its own packets.

use std::collections::BTreeMap;
use std::io::Read;

use flate2::read::GzDecoder;
use ipencap::error::Ignored;
use ipencap::icmp::{self, IcmpError, Kind, Relay, ReportKind};
use ipencap::wire::{Icmpv4, IpProtocol, Ipv4};
use serde_json::Value;

use crate::encapsulation;
use crate::{packets, records, text, unhex};

fn own_records() -> Vec<Value> {
    let large = include_bytes!("../data/kernel/icmp-large.jsonl.gz");
    let mut lines = String::new();
    GzDecoder::new(&large[..])
        .read_to_string(&mut lines)
        .unwrap();
    let mut all = records(include_str!("../data/kernel/icmp.jsonl"));
    all.extend(records(&lines));
    all
}

fn is_icmp(packet: &[u8]) -> bool {
    packet[9] == IpProtocol::ICMP.0
}

/// I-10 to I-14: the errors that Linux sends, byte for byte, about the packets that they quote.
#[test]
fn i_10_to_i_14_errors_of_linux() {
    let mut errors: Vec<Vec<u8>> = encapsulation::all_records()
        .iter()
        .flat_map(|record| packets(&record["back"]))
        .collect();
    for record in own_records() {
        let steps = record["steps"].as_array().unwrap().iter();
        errors.extend(steps.flat_map(|step| packets(&step["back"])));
    }
    errors.retain(|packet| is_icmp(packet));
    let mut seen = BTreeMap::new();
    for bytes in errors {
        let packet = Ipv4::parse(&bytes).unwrap();
        let message = Icmpv4::parse(packet.payload()).unwrap();
        let header = message.header();
        let kind = match (header.message_type(), header.code()) {
            (3, 1) => Kind::HostUnreachable,
            (3, 4) => {
                let [_, _, high, low] = message.rest_of_header();
                let mtu = u16::from_be_bytes([high, low]);
                Kind::FragmentationNeeded { mtu }
            }
            (11, 0) => Kind::TimeExceeded,
            // A parameter problem with an option, which is none of a tunnel's business.
            (12, 0) => continue,
            other => panic!("{other:?}"),
        };
        *seen.entry((kind.message_type(), kind.code())).or_insert(0) += 1;
        let quote = message.payload();
        let source = packet.header().source();
        let error = match Ipv4::parse(quote) {
            Ok(whole) => {
                assert_eq!(whole.slack(), 0);
                IcmpError::about(quote, kind, source)
            }
            Err(_) => IcmpError::about_quoted(quote, kind, source),
        };
        let error = error.unwrap();
        let error = error.with_identification(packet.header().identification());
        let mut out = vec![0; error.len()];
        assert_eq!(error.write(quote, &mut out).unwrap(), bytes);
    }
    assert_eq!(
        seen,
        BTreeMap::from([((3, 1), 16), ((3, 4), 78), ((11, 0), 2)])
    );
}

/// Where Linux does not tell the inner source what this crate would, or the other way round.
const OTHERWISE: &[(&str, &str)] = &[
    (
        "icmp-3-3-quote48",
        "I-24: port unreachable about IP-in-IP is not relayed",
    ),
    (
        "-norxport",
        "Linux asks its sockets, and none has the port of the tunnel",
    ),
    (
        "-11-0",
        "I-29: Linux ignores time exceeded if the TTL is inherited",
    ),
    (
        "icmp-11-1-quote",
        "I-29: Linux ignores that fragments are missing",
    ),
    (
        "icmp-gue-3-1-rxport",
        "Linux takes a packet from its receiving port for a received one",
    ),
    (
        "fragneeded-9000",
        "I-25: the path MTU, which sees to that, is not asked here",
    ),
    (
        "fragneeded-0-",
        "RFC 1191 §5: the MTU is to be guessed by the path MTU",
    ),
    ("fragneeded-68-", "Linux has a floor of 552 bytes"),
];

/// I-20 to I-33: which errors about its own packets Linux believes, and what it tells the inner source.
#[test]
fn i_20_to_i_33_errors_that_linux_believes() {
    let mut used = vec![false; OTHERWISE.len()];
    let (mut strange, mut told) = (0, 0);
    for record in own_records() {
        let id = text(&record, "id");
        let steps = record["steps"].as_array().unwrap();
        let Some(at) = steps.iter().position(|step| step["injected"].is_string()) else {
            panic!("{id}: nothing was injected");
        };
        let outer = packets(&steps[0]["outer"]).remove(0);
        let injected = unhex(text(&steps[at], "injected"));
        let later = steps[at + 1..]
            .iter()
            .flat_map(|step| packets(&step["back"]));
        let answers: Vec<Vec<u8>> = later.filter(|packet| is_icmp(packet)).collect();

        let ours = match icmp::read(&injected) {
            Ok(report) => {
                let is_own = encapsulation::quotes(&record, &outer, report.quote());
                let is_strange = id.contains("other");
                assert_eq!(is_own, !is_strange, "{id}: I-20");
                strange += usize::from(is_strange);
                let overhead = encapsulation::overhead(&record);
                is_own.then(|| (report.kind(), report.relayed(overhead)))
            }
            Err(reason) => {
                assert!(id.starts_with("icmp-13-0"), "{id}");
                assert_eq!(reason, Ignored::NotAnError, "{id}");
                None
            }
        };
        let tells = match ours {
            Some((_, Ok(Relay::Tell(kind)))) => Some(kind),
            _ => None,
        };
        let by_linux = answers
            .first()
            .map(|answer| icmp::read(answer).unwrap().kind());
        let agree = match (tells, by_linux) {
            (Some(Kind::FragmentationNeeded { mtu }), Some(told)) => {
                told == ReportKind::FragmentationNeeded { mtu }
            }
            // Linux always says that the host cannot be reached.
            (None, None) | (Some(_), Some(ReportKind::HostUnreachable)) => true,
            _ => false,
        };
        told += usize::from(agree && tells.is_some());
        let exception = OTHERWISE.iter().position(|(part, _)| id.contains(part));
        match exception {
            Some(row) if !agree => used[row] = true,
            Some(_) => {}
            None => assert!(agree, "{id}: {tells:?} here, {by_linux:?} by Linux"),
        }
    }
    let unused: Vec<_> = OTHERWISE
        .iter()
        .zip(used)
        .filter(|(_, used)| !used)
        .collect();
    assert!(unused.is_empty(), "not needed any more: {unused:?}");
    assert_eq!((strange, told), (2, 21));
}
