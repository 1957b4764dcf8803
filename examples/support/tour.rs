//! The tour: a capture of ordinary LAN traffic through every kind of tunnel there is, and back.

use std::fs;
use std::io::{self, Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

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

const STOPS: [Stop; 2] = [
    Stop {
        name: "ipip",
        file: "ipip.pcap",
        tunnels: &["ipip,src=198.51.100.1,dst=203.0.113.2"],
    },
    Stop {
        name: "ipip in ipip",
        file: "ipip-ipip.pcap",
        tunnels: &[
            "ipip,src=198.51.100.1,dst=203.0.113.2",
            "ipip,src=192.0.2.1,dst=192.0.2.2",
        ],
    },
];

/// The link of the comparison: Ethernet's, in bytes.
const LINK_MTU: usize = 1500;
/// An IPv4 and a TCP header without options, which the MSS leaves out of the MTU (RFC 6691 §2).
const TCP_IPV4_LEN: usize = 40;

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
    fn is_intact(&self) -> bool {
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
    lines.extend(deepest(journeys));
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

fn reasons(journeys: &[(&Stop, Journey)]) -> Vec<String> {
    let mut lines = vec!["Refused without a word to the sender, and counted by reason:".to_owned()];
    for (stop, journey) in journeys {
        for (way, summary) in [("in", &journey.wrapped), ("out", &journey.opened)] {
            for (reason, count) in &summary.dropped {
                lines.push(format!("  {:<14} {way:<4} {count:>5}  {reason}", stop.name));
            }
        }
    }
    lines
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
        let mtu = LINK_MTU - overhead;
        let mss = mtu - TCP_IPV4_LEN;
        let (percent, tenths) = (mss * 100 / LINK_MTU, mss * 1000 / LINK_MTU % 10);
        lines.push(format!(
            "  {name:<14} {overhead:>8}  {mtu:>9}  {mss:>7}  {percent:>8}.{tenths} %"
        ));
    }
    lines
}

/// The packet that travelled under the most headers.
fn deepest(journeys: &[(&Stop, Journey)]) -> Vec<String> {
    let deepest = journeys.iter().max_by_key(|(_, journey)| journey.overhead);
    let sample = deepest.and_then(|(stop, journey)| Some((stop, journey.sample.as_ref()?)));
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
