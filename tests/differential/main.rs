//! Two other parsers, etherparse and smoltcp, asked the same questions: what they accept and what they
//! see, of IPv4, UDP and TCP.
//!
//! The questions are our own packets, and other people's where `IPENCAP_CAPTURES` names their folder,
//! whole and changed in twenty ways, the same in every run. `differences.txt` says where a peer answers
//! otherwise, by the rule that makes us answer as we do. A difference that does not stand there fails,
//! and so does one that stands there and no longer occurs.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that panics fails"
)]

use std::collections::{BTreeMap, BTreeSet};

use ipencap::wire::Ipv4;

mod packets;
mod parsers;

#[path = "../../examples/cli/src/capture/mod.rs"]
#[allow(dead_code, unreachable_pub, reason = "the program uses the rest")]
mod capture;

use packets::{CHANGES, Packets, Random, changed};
use parsers::{Ends, IPV4, OURS, PEERS, Parser, Reading, TCP, TCP_OPTIONS, UDP};

const TABLE: &str = include_str!("differences.txt");
const RULES: &str = include_str!("../compliance/rules.txt");

/// How often each change is made to each packet.
const ROUNDS: u64 = 20;

/// A kind of difference: whose answer, of which layer, and what about it.
type Kind = (String, String, String);

/// Kinds of differences with how often they were seen, and the first packet of each.
#[derive(Default)]
struct Found {
    kinds: BTreeMap<Kind, (usize, String)>,
    questions: usize,
}

impl Found {
    fn add(&mut self, peer: &Parser, layer: &str, what: String, packet: &dyn Fn() -> String) {
        let kind = (peer.name.to_owned(), layer.to_owned(), what);
        let seen = self.kinds.entry(kind).or_insert_with(|| (0, packet()));
        seen.0 += 1;
    }

    /// Asks everybody about one layer.
    fn ask(
        &mut self,
        peers: &[Parser],
        layer: &str,
        bytes: &[u8],
        ends: Ends,
        packet: &dyn Fn() -> String,
    ) {
        let ours = read(&OURS, layer, bytes, ends);
        for peer in peers {
            self.questions += 1;
            let theirs = read(peer, layer, bytes, ends);
            for mut what in differences(&ours, &theirs, peer.has_reasons) {
                if what == "accepts BadChecksum" || what == "refuses: BadChecksum" {
                    what += circumstance(layer, bytes);
                }
                self.add(peer, layer, what, packet);
            }
        }
    }

    /// Asks everybody about a packet, what it carries, and so on where that is a packet again.
    fn ask_of_packet(&mut self, peers: &[Parser], name: &str, packet: &[u8]) {
        let shown = || format!("{name}: {packet:02x?}");
        let nobody = Ends {
            source: [0; 4].into(),
            destination: [0; 4].into(),
        };
        let mut bytes = packet;
        for _ in 0..4 {
            self.ask(peers, IPV4, bytes, nobody, &shown);
            let Ok(parsed) = Ipv4::parse_hardware_verified(bytes) else {
                break;
            };
            let header = parsed.header();
            let ends = Ends {
                source: header.source(),
                destination: header.destination(),
            };
            match header.protocol().0 {
                17 => self.ask(peers, UDP, parsed.payload(), ends, &shown),
                6 => {
                    self.ask(peers, TCP, parsed.payload(), ends, &shown);
                    self.ask(peers, TCP_OPTIONS, parsed.payload(), ends, &shown);
                }
                4 => {
                    bytes = parsed.payload();
                    continue;
                }
                _ => {}
            }
            break;
        }
    }

    fn ask_of_all(&mut self, peers: &[Parser], packets: &Packets) {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for (name, packet) in &packets.all {
            self.ask_of_packet(peers, name, packet);
            for change in &CHANGES {
                for _ in 0..ROUNDS {
                    if let Some(changed) = changed(packet, change, &mut random) {
                        self.ask_of_packet(peers, &format!("{name}, {}", change.0), &changed);
                    }
                }
            }
        }
    }
}

fn read<'a>(parser: &Parser, layer: &str, bytes: &'a [u8], ends: Ends) -> Reading<'a> {
    let layer = parser.layers.iter().find(|known| known.name == layer);
    (layer.expect("all have all layers").read)(bytes, ends)
}

/// What is unusual about a checksum that is judged differently, so that each circumstance needs its own
/// explanation.
fn circumstance(layer: &str, bytes: &[u8]) -> &'static str {
    match layer {
        IPV4 if bytes[6] & 0x80 != 0 => ", reserved flag",
        IPV4 if bytes[10..12] == [0xff; 2] => ", 0xFFFF",
        TCP if bytes[16..18] == [0xff; 2] => ", 0xFFFF",
        _ => "",
    }
}

/// In what two readings of the same bytes differ.
fn differences(ours: &Reading<'_>, theirs: &Reading<'_>, has_reasons: bool) -> Vec<String> {
    let (ours, theirs) = match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => (ours, theirs),
        (Err(_), Err(_)) if !has_reasons => return Vec::new(),
        (Err(ours), Err(theirs)) if ours == theirs => return Vec::new(),
        (Err(ours), Err(theirs)) => return vec![format!("says {theirs} of {ours}")],
        (Err(reason), Ok(_)) => return vec![format!("accepts {reason}")],
        (Ok(_), Err(reason)) => return vec![format!("refuses: {reason}")],
    };
    let mut found = Vec::new();
    if ours.fields.len() != theirs.fields.len() {
        found.push("sees another number of fields".to_owned());
    }
    for (our, their) in ours.fields.iter().zip(&theirs.fields) {
        if our != their {
            found.push(format!("sees another {}", our.0));
        }
    }
    if let (Some(our), Some(their)) = (ours.options, theirs.options) {
        if our != their {
            found.push("sees other options".to_owned());
        }
    }
    if ours.payload != theirs.payload {
        found.push("sees another payload".to_owned());
    }
    found
}

/// The rows of the table: kinds of differences with their rule, and all that is wrong with the table.
fn explained(table: &str, complaints: &mut Vec<String>) -> BTreeSet<Kind> {
    let rules: BTreeSet<&str> = RULES
        .lines()
        .filter_map(|line| line.split(" | ").next())
        .collect();
    let mut rows = BTreeSet::new();
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let cells: Vec<&str> = line.split(" | ").collect();
        let [peer, layer, what, rule, why] = cells[..] else {
            complaints.push(format!("no five cells: {line}"));
            continue;
        };
        if !rules.contains(rule) || why.is_empty() {
            complaints.push(format!("no rule and reason: {line}"));
        }
        let kind = (peer.to_owned(), layer.to_owned(), what.to_owned());
        if !rows.insert(kind) {
            complaints.push(format!("stands twice: {line}"));
        }
    }
    rows
}

/// What does not agree between the table and the differences found.
fn complaints(table: &str, found: &Found, all_must_occur: bool) -> Vec<String> {
    let mut complaints = Vec::new();
    let rows = explained(table, &mut complaints);
    for (kind, (count, packet)) in &found.kinds {
        if !rows.contains(kind) {
            let (peer, layer, what) = kind;
            complaints.push(format!(
                "unexplained: {peer} | {layer} | {what} ({count} times), {packet}"
            ));
        }
    }
    for kind in rows.iter().filter(|_| all_must_occur) {
        if !found.kinds.contains_key(kind) {
            let (peer, layer, what) = kind;
            complaints.push(format!("no longer occurs: {peer} | {layer} | {what}"));
        }
    }
    complaints
}

fn report(found: &Found, packets: &Packets) {
    println!(
        "{} packets, {} questions",
        packets.all.len(),
        found.questions
    );
    for ((peer, layer, what), (count, _)) in &found.kinds {
        println!("{peer} | {layer} | {what}: {count} times");
    }
}

/// V-01 to V-16, U-05 to U-10, S-01 to S-03 as two others see them, in our own packets.
#[test]
fn peers_answer_as_the_table_says() {
    let packets = packets::committed();
    let mut found = Found::default();
    found.ask_of_all(&PEERS, &packets);
    report(&found, &packets);
    assert!(
        packets.all.len() > 1000 && found.questions > 100_000,
        "the packets are there"
    );
    let complaints = complaints(TABLE, &found, true);
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// The same in the captures of others. They need not have everything that the table names.
#[test]
fn peers_answer_as_the_table_says_in_captures() {
    let Some(packets) = packets::captured() else {
        return;
    };
    assert!(!packets.all.is_empty(), "the folder has captures");
    let mut found = Found::default();
    found.ask_of_all(&PEERS, &packets);
    report(&found, &packets);
    let complaints = complaints(TABLE, &found, false);
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// The control: a row too few, too many, twice or without a rule, and a parser with a fault are found.
#[test]
fn what_is_wrong_is_reported() {
    let mut packets = packets::committed();
    packets.all.truncate(40);
    let mut found = Found::default();
    found.ask_of_all(&PEERS, &packets);
    let begins = |complaints: Vec<String>, with: &str| {
        assert!(
            complaints
                .iter()
                .any(|complaint| complaint.starts_with(with)),
            "{with}: {complaints:?}"
        );
    };
    let known = "etherparse | IPv4 | refuses: authentication header";
    let row = TABLE.lines().find(|line| line.starts_with(known)).unwrap();
    let too_few = TABLE.replace(row, "# nothing");
    begins(
        complaints(&too_few, &found, false),
        &format!("unexplained: {known}"),
    );
    let too_many = format!("{TABLE}smoltcp | IPv4 | sees another TTL | V-11 | why\n");
    begins(
        complaints(&too_many, &found, true),
        "no longer occurs: smoltcp | IPv4 | sees another TTL",
    );
    begins(
        complaints(&format!("{TABLE}{row}\n"), &found, false),
        "stands twice: etherparse",
    );
    begins(
        complaints(&TABLE.replace("| V-03 |", "| no rule |"), &found, false),
        "no rule and reason",
    );
    begins(
        complaints(&format!("{TABLE}smoltcp | IPv4\n"), &found, false),
        "no five cells",
    );

    // A parser that takes the TTL for something else, or forgets the last byte of the payload.
    let mut faulty = PEERS;
    for peer in &mut faulty {
        peer.layers[0].read = |bytes, ends| {
            let mut seen = read(&OURS, IPV4, bytes, ends)?;
            seen.fields[8].1 ^= 1;
            Ok(seen)
        };
        peer.layers[1].read = |bytes, ends| {
            let mut seen = read(&OURS, UDP, bytes, ends)?;
            seen.payload = seen
                .payload
                .split_last()
                .map_or(&[], |(_, payload)| payload);
            Ok(seen)
        };
    }
    let mut found = Found::default();
    found.ask_of_all(&faulty, &packets);
    begins(
        complaints(TABLE, &found, false),
        "unexplained: etherparse | IPv4 | sees another TTL",
    );
    begins(
        complaints(TABLE, &found, false),
        "unexplained: etherparse | UDP | sees another payload",
    );
}
