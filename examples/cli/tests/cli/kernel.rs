//! What a Linux kernel did with packets and ICMP errors, replayed through `ipencap endpoint`.
//!
//! The records under `tests/data/kernel/` are what Debian's Linux 6.12 did as a router with tunnel devices.
//! The program must do the same byte for byte, except for what Linux draws: the identifications, and DF of
//! its ICMP errors, which follows from having one (RFC 6864 §4). Where the specification wants
//! something else, the step stands in `kernel-differences.txt` with the rule and what both did. A row that is
//! not needed fails as well.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::PathBuf;

use flate2::read::GzDecoder;
use ipencap::wire::{Icmpv4, IpProtocol, Ipv4, Ipv4Flags};
use serde_json::{Value, json};

use crate::program::ipencap;
use crate::{changed, digits, hex, lines};

/// The router's address on the inner side.
const ROUTER: &str = "10.1.0.1";

fn data(name: &str) -> PathBuf {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/kernel");
    PathBuf::from(folder).join(name)
}

fn records(name: &str) -> Vec<Value> {
    let small = fs::read(data(&format!("{name}.jsonl"))).unwrap();
    let large = fs::File::open(data(&format!("{name}-large.jsonl.gz"))).unwrap();
    let mut all = small;
    GzDecoder::new(large).read_to_end(&mut all).unwrap();
    lines(&all)
}

fn text<'a>(record: &'a Value, key: &str) -> &'a str {
    record[key].as_str().unwrap()
}

fn packets(list: &Value) -> Vec<Vec<u8>> {
    let list = list.as_array().into_iter().flatten();
    list.map(|packet| hex(packet.as_str().unwrap())).collect()
}

/// A tunnel device as an `ip link` command makes it.
struct Device<'a> {
    kind: &'a str,
    options: Vec<(&'a str, &'a str)>,
    flags: BTreeSet<&'a str>,
}

impl<'a> Device<'a> {
    fn parse(command: &'a str) -> Self {
        let words: Vec<&str> = command.split(' ').collect();
        let kind = words.iter().position(|word| *word == "type").unwrap() + 1;
        Self {
            kind: words[kind],
            options: words.windows(2).map(|pair| (pair[0], pair[1])).collect(),
            flags: words.into_iter().collect(),
        }
    }

    fn option(&self, name: &str) -> Option<&'a str> {
        let mut options = self.options.iter();
        options.find_map(|&(key, value)| (key == name).then_some(value))
    }

    /// As a specification; `None` for GRE over UDP, for which there is no kind.
    fn spec(&self, forward: bool, source_port: Option<u16>) -> Option<String> {
        let ttl = self.option("ttl").unwrap();
        let dscp = match self.option("tos") {
            Some("inherit") => "copy".to_owned(),
            None => "0".to_owned(),
            Some(tos) => match u8::from_str_radix(tos.trim_start_matches("0x"), 16).unwrap() {
                inherits if inherits & 1 == 1 => "copy".to_owned(),
                fixed => (fixed >> 2).to_string(),
            },
        };
        let df = if self.flags.contains("nopmtudisc") {
            "copy"
        } else {
            "set"
        };
        let forward = if forward { "yes" } else { "no" };
        let outer = format!(
            "src={},dst={},ttl={ttl},dscp={dscp},ecn=rfc3168,df={df},forward={forward}",
            self.option("local").unwrap(),
            self.option("remote").unwrap(),
        );
        match (self.kind, self.option("encap")) {
            ("ipip", None) => Some(format!("ipip,{outer}")),
            ("ipip", Some(kind)) => {
                let fixed = self.option("encap-sport").filter(|port| *port != "auto");
                let drawn = source_port.map_or("auto".to_owned(), |port| port.to_string());
                let source_port = fixed.map_or(drawn, str::to_owned);
                let port = self.option("encap-dport").unwrap();
                let has_checksum = self.flags.contains("encap-csum");
                let checksum = if has_checksum { "lco" } else { "zero" };
                Some(format!(
                    "{kind},{outer},dport={port},sport={source_port},csum={checksum}"
                ))
            }
            ("gre", None) => {
                let key = self.option("key").map(|key| format!(",key={key}"));
                let yes = |flag: &str| {
                    if self.flags.contains(flag) {
                        "yes"
                    } else {
                        "no"
                    }
                };
                let (checksum, sequence) = (yes("ocsum"), yes("oseq"));
                let key = key.unwrap_or_default();
                Some(format!("gre,{outer},csum={checksum},seq={sequence}{key}"))
            }
            _ => None,
        }
    }

    fn overhead(&self) -> usize {
        match (self.kind, self.option("encap")) {
            ("gre", _) => 24,
            (_, Some("fou")) => 28,
            (_, Some(_)) => 32,
            _ => 20,
        }
    }
}

fn devices(record: &Value) -> Vec<Device<'_>> {
    let tunnels = record["tunnels"].as_array().unwrap();
    let commands = tunnels.iter().map(|tunnel| text(tunnel, "cmd"));
    commands.map(Device::parse).collect()
}

/// The arguments for the devices of a record, of which the outermost stands first.
fn arguments(
    devices: &[Device<'_>],
    forward: bool,
    source_port: Option<u16>,
) -> Option<Vec<String>> {
    let mut arguments = vec!["endpoint".to_owned()];
    let innermost = devices.len() - 1;
    for (place, device) in devices.iter().enumerate().rev() {
        arguments.push("--tunnel".to_owned());
        arguments.push(device.spec(forward && place == innermost, source_port)?);
    }
    let rest = ["--allowed", "0.0.0.0/0", "--icmp-source", ROUTER].map(str::to_owned);
    arguments.extend(rest);
    Some(arguments)
}

/// What leaves on both sides.
#[derive(PartialEq, Eq)]
struct Done {
    network: Vec<Vec<u8>>,
    inner: Vec<Vec<u8>>,
}

impl Done {
    fn linux(step: &Value) -> Self {
        Self {
            network: packets(&step["outer"]),
            inner: packets(&step["back"]),
        }
    }

    fn ours(line: &Value) -> Self {
        Self {
            network: packets(&line["network"]),
            inner: packets(&line["inner"]),
        }
    }

    /// Without what Linux draws; `layers` headers are the tunnel's.
    fn masked(&self, layers: usize) -> Self {
        let outer = |packet: &Vec<u8>| {
            let mut packet = packet.clone();
            let mut at = 0;
            for _ in 0..layers {
                packet[at + 4..at + 6].fill(0);
                packet[at + 10..at + 12].fill(0);
                at += 20;
                if packet.len() < at + 20 {
                    break;
                }
            }
            packet
        };
        let error = |packet: &Vec<u8>| {
            changed(packet, |header| {
                header.set_identification(0);
                header.set_flags(Ipv4Flags::empty());
            })
        };
        Self {
            network: self.network.iter().map(outer).collect(),
            inner: self.inner.iter().map(error).collect(),
        }
    }

    fn shown(&self) -> String {
        let network = self.network.iter().map(|packet| fragment(packet));
        let inner = self.inner.iter().map(|packet| icmp(packet));
        network.chain(inner).collect::<Vec<_>>().join(" + ")
    }
}

/// Length, DF, MF and offset.
fn fragment(packet: &[u8]) -> String {
    let header = Ipv4::parse(packet).unwrap().header();
    let offset = header.fragment_offset().bytes();
    let mut shown = packet.len().to_string();
    for (flag, name) in [(Ipv4Flags::DF, " DF"), (Ipv4Flags::MF, " MF")] {
        if header.flags().contains(flag) {
            shown += name;
        }
    }
    if offset > 0 {
        shown = format!("{shown} at {offset}");
    }
    shown
}

/// Type, code, and the MTU of "fragmentation needed".
fn icmp(packet: &[u8]) -> String {
    let packet = Ipv4::parse(packet).unwrap();
    assert_eq!(packet.header().protocol(), IpProtocol::ICMP);
    let message = Icmpv4::parse(packet.payload()).unwrap();
    let header = message.header();
    match (header.message_type(), header.code()) {
        (3, 4) => {
            let [_, _, high, low] = message.rest_of_header();
            format!("ICMP 3/4 {}", u16::from_be_bytes([high, low]))
        }
        (message_type, code) => format!("ICMP {message_type}/{code}"),
    }
}

/// The rows of `kernel-differences.txt`, and which of them were needed.
struct Differences {
    rows: Vec<Row>,
    needed: BTreeSet<usize>,
    missing: Vec<String>,
    equal: usize,
}

struct Row {
    record: String,
    step: String,
    linux: String,
    ours: String,
}

impl Differences {
    /// The rows of a section.
    fn of(section: &str) -> Self {
        let all = include_str!("kernel-differences.txt").lines();
        let heading = format!("[{section}]");
        let rows = all
            .skip_while(|line| *line != heading)
            .skip(1)
            .take_while(|line| !line.starts_with('['))
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| {
                let cells: Vec<&str> = line.split('|').map(str::trim).collect();
                let [record, step, linux, ours, rule, why] = cells[..] else {
                    panic!("not six cells: {line}");
                };
                assert!(!rule.is_empty() && !why.is_empty(), "{line}");
                Row {
                    record: record.to_owned(),
                    step: step.to_owned(),
                    linux: linux.to_owned(),
                    ours: ours.to_owned(),
                }
            });
        Self {
            rows: rows.collect(),
            needed: BTreeSet::new(),
            missing: Vec::new(),
            equal: 0,
        }
    }

    fn compare(&mut self, record: &str, step: usize, layers: usize, linux: &Done, line: &Value) {
        let ours = Done::ours(line);
        if ours.masked(layers) == linux.masked(layers) {
            self.equal += 1;
            return;
        }
        let reason = line["reason"].as_str();
        let verdict = reason.map_or(text(line, "verdict").to_owned(), |reason| {
            format!("{} {reason}", text(line, "verdict"))
        });
        let shown = format!("{verdict}: {}", ours.shown());
        let (step, linux, ours) = (
            step.to_string(),
            linux.shown(),
            shown.trim_end_matches(": "),
        );
        let row = self.rows.iter().position(|row| {
            matches(&row.record, record)
                && row.step == step
                && row.linux == linux
                && row.ours == ours
        });
        match row {
            Some(row) => {
                self.needed.insert(row);
            }
            None => self
                .missing
                .push(format!("{record} | {step} | {linux} | {ours}")),
        }
    }

    fn check(&self, equal: usize) {
        assert!(
            self.missing.is_empty(),
            "no row for:\n{}",
            self.missing.join("\n")
        );
        let unneeded = (0..self.rows.len()).filter(|row| !self.needed.contains(row));
        let unneeded: Vec<&str> = unneeded.map(|row| self.rows[row].record.as_str()).collect();
        assert!(unneeded.is_empty(), "no longer needed: {unneeded:?}");
        assert_eq!(self.equal, equal, "steps in which both do the same");
    }
}

/// Whether a name fits a pattern, in which `*` stands for anything.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => name == pattern,
        Some((start, rest)) => name.strip_prefix(start).is_some_and(|behind| {
            (0..=behind.len()).any(|skipped| {
                behind
                    .get(skipped..)
                    .is_some_and(|behind| matches(rest, behind))
            })
        }),
    }
}

/// The packet that entered the device, by what left it in one piece.
fn entered(step: &Value, overhead: usize) -> Option<Vec<u8>> {
    match packets(&step["outer"]).as_slice() {
        [outer] if !Ipv4::parse(outer).unwrap().header().is_fragment() => {
            Some(outer[overhead..].to_vec())
        }
        _ => None,
    }
}

/// I-20 to I-33, X-13, A-15 to A-22: what follows from ICMP errors about outer packets, step by step.
#[test]
fn icmp_errors_have_the_effects_that_they_have_on_linux() {
    let records = records("icmp");
    assert_eq!(records.len(), 42);
    let steps = |record: &Value| record["steps"].as_array().unwrap().clone();
    // Packets that Linux lost in one record, it sent in another.
    let mut sent_elsewhere = BTreeMap::new();
    for record in &records {
        let overhead = devices(record)[0].overhead();
        for step in steps(record) {
            if let Some(packet) = entered(&step, overhead) {
                sent_elsewhere.insert(text(&step, "step").to_owned(), packet);
            }
        }
    }
    let mut differences = Differences::of("icmp");
    let mut relayed_early = 0;
    for record in &records {
        let id = text(record, "id");
        let devices = devices(record);
        let first = changed(&hex(text(record, "inner")), |header| {
            header.set_ttl(header.ttl() - 1);
        });
        let mut script = Vec::new();
        for (time, step) in steps(record).iter().enumerate() {
            let name = text(step, "step");
            let event = if let Some(injected) = step.get("injected") {
                json!({"t": time * 1000, "in": injected})
            } else {
                let packet = match (entered(step, devices[0].overhead()), name) {
                    (Some(packet), _) => packet,
                    (None, "forward same inner again") => first.clone(),
                    (None, name) => sent_elsewhere[name].clone(),
                };
                for back in packets(&step["back"]) {
                    // The destination address and what is behind it.
                    assert_eq!(back[28 + 16..], packet[16..back.len() - 28], "{id}");
                }
                json!({"t": time * 1000, "out": digits(&packet)})
            };
            script.push(event.to_string());
        }
        let arguments = arguments(&devices, false, None).unwrap();
        let run = ipencap(&arguments, script.join("\n").as_bytes());
        assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""), "{id}");
        let answers = lines(&run.stdout);
        assert_eq!(answers.len(), steps(record).len(), "{id}");
        for (number, (step, answer)) in steps(record).iter().zip(&answers).enumerate() {
            differences.compare(id, number, 1, &Done::linux(step), answer);
            if answer["verdict"] == "Relay" {
                let relayed = Done::ours(answer).masked(1).inner;
                let steps = steps(record);
                let mut later = steps[number..].iter().map(Done::linux);
                relayed_early += usize::from(later.any(|step| step.masked(1).inner == relayed));
            }
        }
    }
    differences.check(142);
    // Linux tells the sources of these the same, byte for byte, when they send again.
    assert_eq!(relayed_early, 17);
}

/// F-01 to F-09, T-03, X-01 to X-13, I-11 to I-16, O-01: forwarded packets around every device's MTU, with DF
/// and without it; and those whose TTL ends.
#[test]
fn forwarded_packets_of_every_size_fare_as_on_linux() {
    let mut differences = Differences::of("sizes");
    let mut replayed = 0;
    for corpus in ["ipip", "fou", "gue", "gre", "nest"] {
        for record in records(&format!("encap-{corpus}")) {
            let is_replayed = record["path"] == "forward"
                && ["inner total length", "inner ttl"]
                    .iter()
                    .any(|start| text(&record, "note").starts_with(start));
            if !is_replayed {
                continue;
            }
            let devices = devices(&record);
            let linux = Done::linux(&record);
            // An answer of the device quotes what entered the device; all else is about what was sent.
            let (packet, forward) = match packets(&record["entered"]).into_iter().next() {
                Some(entered) if !linux.inner.is_empty() => (entered, false),
                _ => (hex(text(&record, "sent")), true),
            };
            let drawn = linux.network.first().map(|outer| {
                let port = [outer[20], outer[21]];
                u16::from_be_bytes(port)
            });
            let Some(arguments) = arguments(&devices, forward, drawn) else {
                continue;
            };
            replayed += 1;
            let id = text(&record, "id");
            let before = counted_before(&record, &devices);
            let mut script = format!(
                "{}\n",
                json!({"out": digits(&crate::packet(64, true, b""))})
            )
            .repeat(before);
            script += &json!({"out": digits(&packet)}).to_string();
            let run = ipencap(&arguments, script.as_bytes());
            assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""), "{id}");
            let answers = lines(&run.stdout);
            differences.compare(id, 0, devices.len(), &linux, &answers[before]);
        }
    }
    assert_eq!(replayed, 190);
    differences.check(137);
}

/// How many packets a device that counts them has sent before: the forwarded ones follow 35 others.
fn counted_before(record: &Value, devices: &[Device<'_>]) -> usize {
    if !devices[0].flags.contains("oseq") {
        return 0;
    }
    let (_, number) = text(record, "id").rsplit_once('-').unwrap();
    34 + number.parse::<usize>().unwrap()
}
