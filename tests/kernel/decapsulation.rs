//! Linux as a decapsulator and router: what it forwards is what this crate opens.

use core::net::Ipv4Addr;
use std::collections::BTreeSet;

use ipencap::checksum::Sum;
use ipencap::decap::{Decapsulate, Opened, PointToPoint, Prefix, Receiver, inspect_without_filter};
use ipencap::encap::{
    EcnPolicy, Encapsulate, InnerChecksum, OuterPolicy, PerPacket, TtlPolicy, Tunnel,
};
use ipencap::error::Refused;
use ipencap::packet::Packet;
use ipencap::shim::{ChecksumPolicy, Fou, Gre, Gue, IpIp, SequenceWindow, Shim, SourcePort};
use ipencap::wire::{IpProtocol, Ipv4, Ipv4Header};
use ipencap::{Span, decap, encap};
use serde_json::Value;

use crate::verdicts::{DIFFERENCES, REFUSED_BY_BOTH};
use crate::{drops, icmp, packets, records, text};

/// The outer ends of all tunnels of the corpus.
const LOCAL: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// `inspect_without_filter` of a shim.
type Inspect = Box<dyn Fn(&[u8]) -> Result<Opened, Refused>>;

/// How the corpus configured Linux, and the same here.
struct Configuration {
    names: &'static [&'static str],
    receiver: Box<dyn Decapsulate>,
    /// Of the outermost layer.
    inspect: Inspect,
    /// The device that yields what comes out.
    device: &'static str,
    /// Whether packets must come in order.
    ordered: bool,
    /// How many records are opened by both.
    opened: usize,
}

impl Configuration {
    fn new<S: Shim + 'static>(names: &'static [&'static str], shim: S, opened: usize) -> Self {
        let access = PointToPoint::new(LOCAL, PEER, &[Prefix::ANY]);
        Self {
            names,
            receiver: Box::new(Receiver::new(shim, access)),
            inspect: Box::new(move |packet| inspect_without_filter(&shim, packet)),
            device: "t0",
            ordered: false,
            opened,
        }
    }
}

fn configurations() -> Vec<Configuration> {
    let gre = Gre::new();
    let ipip = &["ipip", "ipip-any", "ipip-rpf1", "ipip-rpf2", "ipip-ttl64"];
    let [inner_local, inner_peer] = [1, 2].map(|end| Ipv4Addr::new(10, 0, 0, end));
    let [outer, inner] = [(LOCAL, PEER), (inner_local, inner_peer)]
        .map(|(local, peer)| Receiver::new(IpIp, PointToPoint::new(local, peer, &[Prefix::ANY])));
    vec![
        Configuration::new(ipip, IpIp, 41),
        Configuration::new(&["fou"], Fou::new(5555), 14),
        Configuration::new(&["gue"], Gue::new(), 22),
        Configuration::new(&["gre"], gre, 20),
        Configuration::new(&["gre-key42"], gre.with_key(42), 0),
        Configuration::new(&["gre-csum"], gre.with_checksum(), 1),
        Configuration {
            ordered: true,
            ..Configuration::new(&["gre-seq"], gre.with_sequence(), 3)
        },
        Configuration {
            receiver: Box::new((inner, outer)),
            device: "t1",
            ..Configuration::new(&["ipip2"], IpIp, 38)
        },
    ]
}

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
fn traces(inspect: &Inspect, record: &Value, inner: Option<&[u8]>) -> String {
    let mut traces = drops(record);
    if record["forwarded"][0].is_string() {
        traces.push("forwarded".to_owned());
    }
    for sent in packets(&record["wire"]) {
        let (packet, way) = match inspect(&sent) {
            Ok(opened) => (opened.span().get(&sent).unwrap(), "through the tunnel"),
            Err(_) => (&sent[..], "outside"),
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
fn opened(id: &str, receiver: &dyn Decapsulate, packet: &[u8]) -> Result<(Vec<u8>, u16), String> {
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
    assert_eq!(borrowed.open(receiver).is_ok(), answer.is_ok(), "{id}");
    assert_eq!(again, buffer, "{id}: Packet::open");
    answer
}

/// The bytes that Linux delivered and sent on are those that were opened here.
fn check_delivery(device: &str, record: &Value, inner: &[u8], slack: u16) {
    let id = text(record, "id");
    let delivered = packets(&record["decap"][device]);
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

/// What became of the records so far, by id.
#[derive(Default)]
struct Tally {
    refused_by_both: BTreeSet<String>,
    different: BTreeSet<String>,
}

fn check(configuration: &Configuration, corpus: &[Value], tally: &mut Tally) {
    let receiver = &*configuration.receiver;
    let mut window = SequenceWindow::new();
    let mut opened_by_both = BTreeSet::new();
    let (mut refused, mut different) = (0, 0);
    for record in corpus {
        let in_scope = configuration.names.contains(&text(record, "cfg"));
        if !in_scope || record.get("setup").is_some() {
            continue;
        }
        let id = text(record, "id");
        let answers: Vec<_> = packets(&record["inject"])
            .iter()
            .map(|packet| match opened(id, receiver, packet) {
                Ok(_) if configuration.ordered && is_late(receiver, packet, &mut window) => {
                    Err("GreSequence".to_owned())
                }
                answer => answer,
            })
            .collect();
        let answer = &answers[0];
        let uniform = answers.iter().all(|other| other == answer);
        // Several packets are the fragments of one, none of which is opened.
        assert!(uniform, "{id}: {answers:?}");
        let inner = answer.as_ref().ok();
        if let Some((inner, slack)) = inner {
            check_delivery(configuration.device, record, inner, *slack);
        }
        let inner = inner.map(|(inner, _)| &inner[..]);
        let traces = traces(&configuration.inspect, record, inner);
        let forwarded = record["forwarded"][0].is_string();
        let reason = answer.as_ref().err().map(String::as_str);

        if let Some(row) = DIFFERENCES.iter().find(|row| row.ids.contains(&id)) {
            let same = answer.is_ok() == forwarded;
            assert!(!same, "{id}: no difference any more: {}", row.why);
            assert_eq!(reason, row.ours, "{id}: {}", row.why);
            assert_eq!(traces, row.linux, "{id}: {}", row.why);
            let new = tally.different.insert(id.to_owned());
            assert!(new, "{id} stands twice in the corpus");
            different += 1;
        } else if let Some(reason) = reason {
            let row = REFUSED_BY_BOTH.iter().find(|(_, ids)| ids.contains(&id));
            let expected = row.map(|(reason, _)| *reason);
            assert_eq!(Some(reason), expected, "{id}: {traces}");
            assert!(!forwarded, "{id}: refused here only: {reason}");
            let new = tally.refused_by_both.insert(id.to_owned());
            assert!(new, "{id} stands twice in the corpus");
            refused += 1;
        } else {
            assert_eq!(traces, "forwarded", "{id}: opened here only");
            assert!(opened_by_both.insert(id), "{id} stands twice in the corpus");
        }
    }
    let opened = opened_by_both.len();
    let names = configuration.names.join(", ");
    println!(
        "{names}: {} records, {opened} opened by both, {refused} refused by both, {different} \
         different",
        opened + refused + different,
    );
    assert_eq!(opened, configuration.opened, "{names}");
}

/// Whether the packet is not newer than all before.
fn is_late(receiver: &dyn Decapsulate, packet: &[u8], window: &mut SequenceWindow) -> bool {
    let sequence = receiver.inspect(packet).unwrap().sequence();
    !window.accept(sequence.expect("the carrier expects one"))
}

/// And R-11, on the GRE device that numbers.
#[test]
fn d_01_to_d_21_what_linux_forwards() {
    let corpus = records(include_str!("../data/kernel/decap.jsonl"));
    let mut tally = Tally::default();
    for configuration in configurations() {
        check(&configuration, &corpus, &mut tally);
    }
    let rows = DIFFERENCES.iter().flat_map(|row| row.ids).copied();
    check_rows(rows, &tally.different);
    let rows = REFUSED_BY_BOTH.iter().flat_map(|(_, ids)| *ids).copied();
    check_rows(rows, &tally.refused_by_both);
}

/// Every row was needed, once.
fn check_rows<'a>(rows: impl Iterator<Item = &'a str>, needed: &BTreeSet<String>) {
    let mut seen = BTreeSet::new();
    for id in rows {
        assert!(seen.insert(id), "{id} stands in two rows");
        assert!(
            needed.contains(id),
            "{id} stands in a row that is not needed"
        );
    }
}

/// Packets that Linux's own UDP and TCP handed to a GUE device with their checksums not filled in:
/// with remote checksum offload they stay so and are refused (G-13), without they are what this crate
/// makes of the same from the headers alone (C-22).
#[test]
fn g_13_c_22_checksums_of_linux_not_filled_in() {
    let access = PointToPoint::new(PEER, LOCAL, &[Prefix::ANY]);
    let receiver = Receiver::new(Gue::new(), access);
    let (mut refused, mut rebuilt) = (0, 0);
    for record in records(include_str!("../data/kernel/remcsum.jsonl")) {
        let options = text(&record, "opt");
        let id = format!("{options}, {}", text(&record, "local"));
        let wire = &packets(&record["outer"])[0];
        let answer = opened(&id, &receiver, wire);
        if options.ends_with("+remcsum") {
            assert_eq!(answer, Err("GueUnknownFlags".to_owned()), "{id}: G-13");
            refused += 1;
            continue;
        }
        let (mut inner, slack) = answer.expect(&id);
        assert_eq!(slack, 0, "{id}");
        let outer = Ipv4::parse(wire).unwrap();
        let policy = match options {
            "csum" => ChecksumPolicy::Offload,
            _ => ChecksumPolicy::Zero,
        };
        let source_port = u16::from_be_bytes([wire[20], wire[21]]);
        let gue = Gue::new()
            .with_source_port(SourcePort::Fixed(source_port))
            .with_checksum(policy);
        let tunnel = Tunnel::new(LOCAL, PEER, gue).unwrap();
        let tunnel = tunnel.with_policy(OuterPolicy {
            ttl: TtlPolicy::Inherit,
            ecn: EcnPolicy::Rfc3168,
            atomic_identification: outer.header().identification(),
            ..OuterPolicy::DEFAULT
        });

        let filled_in = unfill(&mut inner);
        let mut sent = [&vec![0; tunnel.overhead()], &inner[..]].concat();
        let packet = PerPacket::new().with_inner_checksum(InnerChecksum::Partial);
        let span = Span::new(tunnel.overhead(), inner.len());
        encap(&tunnel, &mut sent, span, &packet).expect(&id);
        sent[tunnel.overhead()..].copy_from_slice(&filled_in);
        assert_eq!(sent, *wire, "{id}: C-22");
        rebuilt += 1;
    }
    assert_eq!((refused, rebuilt), (4, 4));
}

/// Puts the sum of the pseudo-header in the place of a packet's transport checksum, as its sender
/// would for a card to finish; returns the packet as it was.
fn unfill(packet: &mut [u8]) -> Vec<u8> {
    let filled_in = packet.to_vec();
    let parsed = Ipv4::parse(&filled_in).unwrap();
    let header = parsed.header();
    let len = u16::try_from(parsed.payload().len()).unwrap();
    let protocol = header.protocol();
    let pseudo = Sum::pseudo_header(header.source(), header.destination(), protocol.0, len);
    let place = match protocol {
        IpProtocol::UDP => 26,
        _ => 36,
    };
    packet[place..place + 2].copy_from_slice(&pseudo.fold().to_be_bytes());
    assert_ne!(packet, filled_in);
    filled_in
}
