//! Every single bit of a tunnelled packet, flipped: the packet is refused, or the bit lies in a field
//! that `unprotected.txt` names, with the rule that leaves it without protection.
//!
//! What is delivered after such a flip is the inner packet unchanged, unless the field is the inner
//! payload: that has the flipped bit then, and the inner transport's checksum to find it.

use std::collections::{BTreeMap, BTreeSet};

use ipencap::Span;
use ipencap::decap::{Decapsulate, Opened, OuterPacket};
use ipencap::error::Refused;
use ipencap::packet::{Facts, Rules};
use ipencap::wire::Ipv4;
use ipencap_kit::oracle::{self, Plain};

use crate::{DATAGRAM, Form, default_policy, forms, inner_for, said, wrap};

const TABLE: &str = include_str!("unprotected.txt");
const RULES: &str = include_str!("../compliance/rules.txt");

const PAYLOAD: &str = "inner payload";

/// The fields of a packet, bit by bit.
struct Names(Vec<&'static str>);

impl Names {
    fn add(&mut self, fields: &[(&'static str, usize)]) {
        for &(name, bits) in fields {
            self.0.resize(self.0.len() + bits, name);
        }
    }

    /// Where the next field begins, in bytes.
    fn at(&self) -> usize {
        assert_eq!(self.0.len() % 8, 0, "whole bytes");
        self.0.len() / 8
    }

    fn add_ipv4(&mut self, packet: &[u8], is_inner: bool) {
        let header_len = usize::from(packet[self.at()] % 16) * 4;
        if is_inner {
            self.add(&[("inner header", header_len * 8)]);
            return;
        }
        self.add(&[
            ("IPv4 version", 4),
            ("IPv4 IHL", 4),
            ("IPv4 DSCP and ECN", 8),
            ("IPv4 total length", 16),
            ("IPv4 identification", 16),
            ("IPv4 flags and offset", 16),
            ("IPv4 TTL", 8),
            ("IPv4 protocol", 8),
            ("IPv4 checksum", 16),
            ("IPv4 source", 32),
            ("IPv4 destination", 32),
            ("IPv4 options", (header_len - 20) * 8),
        ]);
    }

    fn add_gre(&mut self, packet: &[u8]) {
        let flags = packet[self.at()];
        self.add(&[
            ("GRE C", 1),
            ("GRE routing", 1),
            ("GRE K", 1),
            ("GRE S", 1),
            ("GRE strict source route and recursion", 2),
            ("GRE reserved flags", 7),
            ("GRE version", 3),
            ("GRE protocol", 16),
        ]);
        if flags & 0x80 != 0 {
            self.add(&[("GRE checksum", 16), ("GRE reserved 1", 16)]);
        }
        if flags & 0x20 != 0 {
            self.add(&[("GRE key", 32)]);
        }
        if flags & 0x10 != 0 {
            self.add(&[("GRE sequence", 32)]);
        }
    }

    fn add_tcp(&mut self, packet: &[u8], is_framed: bool) {
        let header_len = usize::from(packet[self.at() + 12] / 16) * 4;
        self.add(&[
            ("TCP ports", 32),
            ("TCP numbers", 64),
            ("TCP data offset", 4),
            ("TCP reserved bits and flags", 12),
            ("TCP window", 16),
            ("TCP checksum", 16),
            ("TCP urgent pointer", 16),
            ("TCP options", (header_len - 20) * 8),
            ("length prefix", if is_framed { 16 } else { 0 }),
        ]);
    }

    fn add_minimal(&mut self, packet: &[u8]) {
        let has_source = packet[self.at() + 1] & 0x80 != 0;
        self.add(&[
            ("minimal protocol", 8),
            ("minimal S", 1),
            ("minimal reserved bits", 7),
            ("minimal checksum", 16),
            ("minimal destination", 32),
            ("minimal source", if has_source { 32 } else { 0 }),
        ]);
    }
}

/// How many tunnels `form` puts around a packet.
fn layers(form: &Form) -> u8 {
    let packet = inner_for(form).packet(DATAGRAM);
    let inner = Facts::read(&packet).unwrap();
    let outer = form
        .subject
        .encapsulator()
        .check(&inner, &said(), Rules::Explained);
    outer.unwrap().layers()
}

/// The name of every bit of what `form` has made, read from the outside inwards.
fn names(form: &Form, packet: &[u8]) -> Vec<&'static str> {
    let mut names = Names(Vec::new());
    let layers = layers(form);
    for layer in 0..=layers {
        let start = names.at();
        let is_inner = layer == layers;
        names.add_ipv4(packet, is_inner);
        if is_inner {
            break;
        }
        match packet[start + 9] {
            17 => {
                names.add(&[
                    ("UDP source port", 16),
                    ("UDP destination port", 16),
                    ("UDP length", 16),
                    ("UDP checksum", 16),
                ]);
                if form.name.contains("| GRE") {
                    names.add_gre(packet);
                } else if form.name.contains("| GUE,") || form.name.contains("| GUE words") {
                    let words = usize::from(packet[names.at()] % 32);
                    names.add(&[
                        ("GUE variant", 2),
                        ("GUE control", 1),
                        ("GUE header length", 5),
                        ("GUE protocol", 8),
                        ("GUE flags", 16),
                        ("GUE private words", words * 32),
                    ]);
                }
            }
            47 => names.add_gre(packet),
            6 => names.add_tcp(packet, form.name.contains("clusive,")),
            55 => {
                names.add_minimal(packet);
                break; // The inner header is the outer one, changed.
            }
            protocol => assert_eq!(protocol, 4, "name the fields of this protocol here"),
        }
    }
    let rest = packet.len().checked_sub(names.at());
    let rest = rest.expect("the fields named here are longer than the packet");
    names.add(&[(PAYLOAD, rest * 8)]);
    names.0
}

/// What of a form decides about its protection: the encapsulators, and whether the outermost one's
/// optional checksums are there.
fn family(form: &Form) -> String {
    let (kind, form) = form.name.split_once(" | ").unwrap();
    // Of a tuple the last is the outermost.
    let outermost = kind.rsplit(", ").next().unwrap();
    let has_gre_checksum = form.contains("checksum");
    let checksum = if outermost.starts_with("Tunnel<Gre>") {
        if has_gre_checksum {
            " with checksum"
        } else {
            " without checksum"
        }
    } else if form.ends_with("zero") {
        if has_gre_checksum {
            " with a checksum of GRE alone"
        } else {
            " without checksum"
        }
    } else if form.contains(", ") && !outermost.starts_with("Tunnel<Tcp>") {
        " with checksum"
    } else {
        ""
    };
    format!("{kind}{checksum}")
}

/// How many flips were accepted, by family and field, and of how many.
#[derive(Default)]
struct Found {
    accepted: BTreeMap<(String, String), usize>,
    flips: usize,
}

impl Found {
    /// Flips every bit of `packet` wrapped, on the way to `tunnel`.
    fn flip(&mut self, form: &Form, tunnel: &dyn Decapsulate, packet: &[u8]) {
        let wrapped = wrap(form, packet).unwrap();
        let whole = ipencap::decap(tunnel, &mut wrapped.clone()).map(|inner| inner.packet.to_vec());
        assert_eq!(
            whole.as_deref(),
            Ok(packet),
            "{}: nothing is flipped yet",
            form.name
        );
        let family = family(form);
        for (bit, field) in names(form, &wrapped).into_iter().enumerate() {
            self.flips += 1;
            let mask = 0x80 >> (bit % 8);
            let mut flipped = wrapped.clone();
            flipped[bit / 8] ^= mask;
            let before = flipped.clone();
            match ipencap::decap(tunnel, &mut flipped) {
                Err(_) => assert_eq!(flipped, before, "P-03"),
                Ok(inner) => {
                    let mut expected = packet.to_vec();
                    if field == PAYLOAD {
                        let from_end = wrapped.len() - bit / 8;
                        let at = expected.len() - from_end;
                        expected[at] ^= mask;
                    }
                    let mut field = field.to_owned();
                    if inner.packet != expected {
                        field += ", and another packet comes out";
                    }
                    let key = (family.clone(), field);
                    *self.accepted.entry(key).or_default() += 1;
                }
            }
        }
    }
}

/// Inner packets of several shapes that a form takes: without and with options and marks, and of one byte
/// more than a word.
fn inner_packets(form: &Form) -> Vec<Vec<u8>> {
    let plain = inner_for(form);
    let marked = Plain {
        tos: 46 << 2 | 2,
        options: vec![148, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0, 0],
        ..plain.clone()
    };
    let other = Plain {
        protocol: 253,
        ..plain.clone()
    };
    vec![
        plain.packet(DATAGRAM),
        marked.packet(DATAGRAM),
        other.packet(b"odd"),
    ]
}

/// An inner packet for which the UDP checksum around it is a single bit, if there is such a checksum.
fn with_single_bit_checksum(form: &Form) -> Option<Vec<u8>> {
    let outer = wrap(form, &inner_for(form).packet(DATAGRAM)).unwrap();
    let names = names(form, &outer);
    let at = names.iter().position(|&name| name == "UDP checksum")? / 8;
    let sources = (0..=0xffff_u16).map(|host| {
        let [high, low] = host.to_be_bytes();
        [10, 1, high, low]
    });
    let mut packets = sources.map(|source| {
        let plain = Plain {
            source,
            ..inner_for(form)
        };
        let mut datagram = DATAGRAM.to_vec();
        oracle::refill(&plain, &mut datagram);
        plain.packet(&datagram)
    });
    packets.find(|packet| oracle::u16_at(&wrap(form, packet).unwrap(), at).is_power_of_two())
}

/// The rows of the table, and what is wrong with it.
fn rows(table: &str, complaints: &mut Vec<String>) -> BTreeSet<(String, String)> {
    let rules: BTreeSet<&str> = RULES
        .lines()
        .filter_map(|line| line.split(" | ").next())
        .collect();
    let mut rows = BTreeSet::new();
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let cells: Vec<&str> = line.split(" | ").collect();
        match cells[..] {
            [family, field, rule, why] if rules.contains(rule) && !why.is_empty() => {
                if !rows.insert((family.to_owned(), field.to_owned())) {
                    complaints.push(format!("stands twice: {line}"));
                }
            }
            _ => complaints.push(format!("no row: {line}")),
        }
    }
    rows
}

fn complaints(table: &str, found: &Found) -> Vec<String> {
    let mut complaints = Vec::new();
    let rows = rows(table, &mut complaints);
    for (key @ (family, field), count) in &found.accepted {
        if !rows.contains(key) {
            complaints.push(format!(
                "not in the table: {family} | {field}, {count} flips accepted"
            ));
        }
    }
    for (family, field) in &rows {
        if !found
            .accepted
            .contains_key(&(family.clone(), field.clone()))
        {
            complaints.push(format!("all flips are refused: {family} | {field}"));
        }
    }
    complaints
}

/// D-01, D-10, D-11: what is checked of a packet leaves no bit of its headers without protection but
/// those that the rules leave.
#[test]
fn u_05_u_06_u_12_g_08_r_03_r_04_s_02_m_04_every_flipped_bit() {
    let mut found = Found::default();
    let mut single = 0;
    for form in forms(default_policy()) {
        let mut packets = inner_packets(&form);
        let with_single_bit = with_single_bit_checksum(&form);
        single += usize::from(with_single_bit.is_some());
        packets.extend(with_single_bit);
        for packet in packets {
            found.flip(&form, form.subject.decapsulator(), &packet);
        }
    }
    println!("{} flips", found.flips);
    for ((family, field), count) in &found.accepted {
        println!("{family} | {field}: {count} accepted");
    }
    assert!(
        found.flips > 100_000 && single > 50,
        "{} flips, {single}",
        found.flips
    );
    let complaints = complaints(TABLE, &found);
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// Opens whatever it is given, behind 20 bytes.
struct Blind;

impl Decapsulate for Blind {
    fn recognises(&self, _: Ipv4<'_>) -> bool {
        true
    }

    fn inspect_outer(&self, arrived: OuterPacket<'_>) -> Result<Opened, Refused> {
        Ok(arrived.opened(Span::new(20, arrived.bytes().len() - 20)))
    }
}

/// The control: a decapsulator that checks nothing, a row too few, and a row too many.
#[test]
fn u_05_missing_checks_and_rows_are_reported() {
    let forms = forms(default_policy());
    let ipip = forms
        .iter()
        .find(|form| form.name == "Tunnel<IpIp> | plain")
        .unwrap();
    let packet = inner_for(ipip).packet(DATAGRAM);
    let mut found = Found::default();
    found.flip(ipip, ipip.subject.decapsulator(), &packet);
    assert_eq!(found.accepted.len(), 1);

    let row = TABLE
        .lines()
        .find(|line| line.starts_with("Tunnel<IpIp> |"))
        .unwrap();
    let reported = complaints(&TABLE.replace(row, "# nothing"), &found);
    assert!(
        reported
            .iter()
            .any(|one| one.starts_with("not in the table: Tunnel<IpIp> | inner payload"))
    );
    let reported = complaints(
        &format!("{row}\nTunnel<Tcp> | TCP checksum | S-02 | why\n"),
        &found,
    );
    assert_eq!(
        reported,
        ["all flips are refused: Tunnel<Tcp> | TCP checksum"]
    );
    assert_eq!(complaints(&format!("{row}\n{row}\n"), &found).len(), 1);
    assert_eq!(
        complaints(
            &format!("{row}\nTunnel<Tcp> | TCP checksum | no rule | why\n"),
            &found
        )
        .len(),
        1
    );

    let mut found = Found::default();
    found.flip(ipip, &Blind, &packet);
    let reported = complaints(row, &found);
    assert_eq!(
        reported.len(),
        12,
        "every field of both headers: {reported:?}"
    );
    let changed = "not in the table: Tunnel<IpIp> | inner header, and another packet comes out";
    assert!(reported.iter().any(|one| one.starts_with(changed)));
    assert!(
        reported
            .iter()
            .any(|one| one.starts_with("not in the table: Tunnel<IpIp> | IPv4 TTL"))
    );
}
