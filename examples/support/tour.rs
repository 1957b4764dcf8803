//! The tour: a capture of ordinary LAN traffic through every kind of tunnel there is, and back.

use std::fs;
use std::io::{self, Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ipencap::mtu::{Efficiency, Overhead};
use ipencap::wire::Ipv4;

use super::args::Failure;
use super::drawing;
use super::input::Input;
use super::link;
use super::output::Output;
use super::spec::Spec;
use super::summary::Summary;
use super::tunnel::{Change, Unwrap, Wrap};

/// Recorded between two machines that did what machines on a LAN do; see the note beside it.
const LAN: &[u8] = include_bytes!("../data/lan.pcap");

/// A stop of the tour: a row here is all that a new kind of tunnel needs.
struct Stop {
    name: &'static str,
    file: &'static str,
    /// The first is the innermost.
    tunnels: &'static [&'static str],
}

const fn stop(name: &'static str, file: &'static str, tunnels: &'static [&'static str]) -> Stop {
    Stop {
        name,
        file,
        tunnels,
    }
}

const STOPS: [Stop; 9] = [
    stop(
        "ipip",
        "ipip.pcap",
        &["ipip,src=198.51.100.1,dst=203.0.113.2"],
    ),
    stop(
        "ipip in ipip",
        "ipip-ipip.pcap",
        &[
            "ipip,src=192.0.2.1,dst=192.0.2.2",
            "ipip,src=198.51.100.1,dst=203.0.113.2",
        ],
    ),
    stop(
        "minenc",
        "minenc.pcap",
        &["minenc,src=198.51.100.1,dst=203.0.113.2"],
    ),
    stop(
        "gre",
        "gre.pcap",
        &["gre,src=198.51.100.1,dst=203.0.113.2,key=7"],
    ),
    stop(
        "fou (udp)",
        "fou.pcap",
        &["fou,src=198.51.100.1,dst=203.0.113.2,dport=5555"],
    ),
    stop(
        "gue (udp)",
        "gue.pcap",
        &["gue,src=198.51.100.1,dst=203.0.113.2"],
    ),
    stop(
        "ipip in fou",
        "ipip-fou.pcap",
        &[
            "ipip,src=192.0.2.1,dst=192.0.2.2",
            "fou,src=198.51.100.1,dst=203.0.113.2,dport=5555",
        ],
    ),
    stop(
        "tcp",
        "tcp.pcap",
        &["tcp,src=198.51.100.1,dst=203.0.113.2,sport=40001,dport=443,framing=exclusive"],
    ),
    stop(
        "tcp with ts",
        "tcp-timestamps.pcap",
        &[
            "tcp,src=198.51.100.1,dst=203.0.113.2,sport=40001,dport=443,framing=exclusive,timestamps=yes",
        ],
    ),
];

/// The stop whose packet is drawn.
const DRAWN: &str = "ipip in fou";

/// The link of the comparison: Ethernet's, in bytes.
const LINK_MTU: u32 = 1500;

/// What happened at a stop.
struct Journey {
    overhead: usize,
    /// On the way in.
    wrapped: Summary,
    /// On the way out.
    opened: Summary,
    identical: u64,
    /// A packet that came back, as it was and as it travelled.
    sample: Option<Sample>,
}

struct Sample {
    /// Its place in the capture, from 1.
    number: u64,
    before: Vec<u8>,
    after: Vec<u8>,
}

/// `capture` without a command. The status is 1 if a packet came back other than it went in.
pub(crate) fn run(out: Option<&Path>) -> Result<ExitCode, Failure> {
    let directory = directory(out)?;
    let mut journeys = Vec::new();
    for stop in &STOPS {
        journeys.push((stop, travel(stop, &directory)?));
    }
    let report = report(&journeys, &directory);
    io::stdout()
        .write_all(report.as_bytes())
        .map_err(|error| Failure::new(format_args!("cannot write standard output: {error}")))?;
    let mut total = Summary::default();
    for (_, journey) in &journeys {
        total.add(&journey.wrapped);
    }
    total.report();
    let intact = journeys.iter().all(|(_, journey)| journey.is_intact());
    Ok(if intact {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

impl Journey {
    /// Whether every packet that was wrapped was met again, and came back as it was if it was let
    /// through.
    const fn is_intact(&self) -> bool {
        self.opened.packets == self.wrapped.written && self.identical == self.opened.written
    }
}

/// Where to write: as told, or beside the program if that lies in cargo's target directory, or else
/// where temporary files go.
fn directory(out: Option<&Path>) -> Result<PathBuf, Failure> {
    const NAME: &str = "ipencap-tour";
    let create = |directory: PathBuf| match fs::create_dir_all(&directory) {
        Ok(()) => Ok(directory),
        Err(error) => Err(Failure::new(format_args!(
            "cannot create {}: {error}",
            directory.display()
        ))),
    };
    if let Some(told) = out {
        return create(told.to_owned());
    }
    let program = std::env::current_exe().unwrap_or_default();
    // target/debug/examples/capture
    let folder = program
        .parent()
        .filter(|folder| folder.ends_with("examples"));
    let target = folder.and_then(|folder| folder.ancestors().nth(2));
    match target.map(|target| create(target.join(NAME))) {
        Some(Ok(beside)) => Ok(beside),
        _ => create(std::env::temp_dir().join(NAME)),
    }
}

fn travel(stop: &Stop, directory: &Path) -> Result<Journey, Failure> {
    let tunnels = stop
        .tunnels
        .iter()
        .map(|text| Spec::parse(text).map_err(Failure::new))
        .collect::<Result<Vec<_>, _>>()?;
    let path = directory.join(stop.file);

    let mut wrap = Wrap::new(&tunnels);
    let mut wrapped = Summary::default();
    // Place and bytes of each packet that went in, in the order of the file.
    let mut travellers: Vec<(u64, Vec<u8>)> = Vec::new();
    let mut lan = Input::new(Box::new(Cursor::new(LAN)), "the bundled capture".to_owned())?;
    let mut file = Output::create(&path)?;
    while let Some(record) = lan.next()? {
        wrapped.packets += 1;
        let Some(packet) = link::ipv4_packet(record.link_type, record.frame) else {
            wrapped.passed_over += 1;
            continue;
        };
        match wrap.change(packet) {
            Ok(outer) => {
                file.packet(record.time, outer)?;
                wrapped.written += 1;
                travellers.push((wrapped.packets, without_padding(packet)));
            }
            Err(reason) => wrapped.drop_for(reason),
        }
    }
    file.flush()?;

    let mut unwrap = Unwrap::new(&tunnels);
    let mut opened = Summary::default();
    let mut identical = 0;
    let mut sample = None;
    let mut file = Input::open(&path)?;
    let mut travellers = travellers.into_iter();
    while let Some(record) = file.next()? {
        opened.packets += 1;
        let Some((number, before)) = travellers.next() else {
            break;
        };
        match unwrap.change(record.frame) {
            Ok(inner) => {
                opened.written += 1;
                identical += u64::from(inner == before);
                if sample.is_none() && drawing::is_instructive(&before) {
                    sample = Some(Sample {
                        number,
                        before,
                        after: record.frame.to_vec(),
                    });
                }
            }
            Err(reason) => opened.drop_for(reason),
        }
    }
    Ok(Journey {
        overhead: wrap.overhead(),
        wrapped,
        opened,
        identical,
        sample,
    })
}

/// What of the captured bytes is the packet.
fn without_padding(packet: &[u8]) -> Vec<u8> {
    let padding = Ipv4::parse(packet).map_or(0, Ipv4::slack);
    packet[..packet.len() - padding].to_vec()
}

fn report(journeys: &[(&Stop, Journey)], directory: &Path) -> String {
    let files: Vec<&str> = journeys.iter().map(|(stop, _)| stop.file).collect();
    let mut lines = vec![
        "ipencap: ordinary LAN traffic into every kind of tunnel, and out again.".to_owned(),
        String::new(),
    ];
    lines.extend(counts(journeys));
    lines.push(String::new());
    lines.extend(reasons(journeys));
    lines.push(String::new());
    lines.extend(costs(journeys));
    lines.push(String::new());
    lines.extend(drawing(journeys));
    lines.push(String::new());
    lines.push(format!(
        "Open them with Wireshark, in {}:",
        directory.display()
    ));
    lines.push(format!("  {}\n", files.join("  ")));
    lines.join("\n")
}

fn counts(journeys: &[(&Stop, Journey)]) -> Vec<String> {
    let head = "  tunnel         frames  not IPv4   wrapped  refused    opened  refused   came back identical";
    let mut lines = vec![head.to_owned(), rule(88)];
    lines.extend(journeys.iter().map(|(stop, journey)| {
        let (wrapped, opened) = (&journey.wrapped, &journey.opened);
        format!(
            "  {:<14} {:>6}  {:>8}   {:>7}  {:>7}    {:>6}  {:>7}   {} of {}, {}",
            stop.name,
            wrapped.packets,
            wrapped.passed_over,
            wrapped.written,
            dropped(wrapped),
            opened.written,
            dropped(opened),
            journey.identical,
            opened.written,
            if journey.is_intact() {
                "every byte"
            } else {
                "DIFFERENT"
            },
        )
    }));
    lines
}

/// Each reason once, with the tunnels that refused so many packets for it.
fn reasons(journeys: &[(&Stop, Journey)]) -> Vec<String> {
    let mut refusals: Vec<(&str, &str, u64, Vec<&str>)> = Vec::new();
    for (stop, journey) in journeys {
        for (way, summary) in [("in", &journey.wrapped), ("out", &journey.opened)] {
            for (&reason, &count) in &summary.dropped {
                let known = refusals
                    .iter_mut()
                    .find(|known| (known.0, known.1, known.2) == (way, reason, count));
                match known {
                    Some((.., stops)) => stops.push(stop.name),
                    None => refusals.push((way, reason, count, vec![stop.name])),
                }
            }
        }
    }
    let lines = refusals.iter().map(|(way, reason, count, stops)| {
        let by = if stops.len() == journeys.len() {
            "every tunnel".to_owned()
        } else {
            stops.join(", ")
        };
        format!("  on the way {way:<3} {count:>5}  {reason:<24} {by}")
    });
    let head = "Refused without a word to the sender, and counted by reason:";
    [head.to_owned()].into_iter().chain(lines).collect()
}

fn costs(journeys: &[(&Stop, Journey)]) -> Vec<String> {
    let mut lines = vec![
        format!("What it costs on a link of {LINK_MTU} bytes:"),
        "  tunnel         overhead  inner MTU  TCP MSS  TCP payload".to_owned(),
        rule(56),
    ];
    let tunnels = journeys
        .iter()
        .map(|(stop, journey)| (stop.name, journey.overhead));
    for (name, overhead) in [("none", 0)].into_iter().chain(tunnels) {
        let cost = Overhead::of_bytes(overhead);
        let or_none = |value: Option<u32>| value.map_or("-".to_owned(), |value| value.to_string());
        let share = cost.efficiency(LINK_MTU).map_or(0.0, Efficiency::ratio);
        lines.push(format!(
            "  {name:<14} {overhead:>8}  {:>9}  {:>7}  {:>9.1} %",
            or_none(cost.inner_mtu(LINK_MTU)),
            or_none(cost.tcp_mss(LINK_MTU)),
            share * 100.0,
        ));
    }
    lines
}

/// The packet that travelled through the most tunnels of different kinds.
fn drawing(journeys: &[(&Stop, Journey)]) -> Vec<String> {
    let drawn = journeys.iter().find(|(stop, _)| stop.name == DRAWN);
    let sample = drawn.and_then(|(stop, journey)| Some((stop, journey.sample.as_ref()?)));
    sample.map_or_else(Vec::new, |(stop, sample)| {
        let mut lines = vec![format!(
            "Frame {}, before and after {}; offsets and lengths in bytes:",
            sample.number, stop.name
        )];
        lines.extend(drawing::before_and_after(&sample.before, &sample.after));
        lines
    })
}

fn rule(width: usize) -> String {
    format!("  {}", "─".repeat(width))
}

fn dropped(summary: &Summary) -> u64 {
    summary.dropped.values().sum()
}
