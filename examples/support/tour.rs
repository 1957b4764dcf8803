//! The tour: a capture of ordinary LAN traffic through every kind of tunnel there is, and back.

use core::net::Ipv4Addr;
use std::fs;
use std::io::{self, Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ipencap::mtu::{Efficiency, Overhead};
use ipencap::stream::{Decoder, StreamFraming};
use ipencap::wire::Ipv4;

use super::args::Failure;
use super::connection::{self, Connection};
use super::drawing;
use super::input::{Input, Timestamp};
use super::link;
use super::output::Output;
use super::spec::Spec;
use super::stream::{self, Frames};
use super::summary::Summary;
use super::tunnel::{Change, Unwrap, Wrap};

/// Recorded between two machines that did what machines on a LAN do; see the note beside it.
const LAN: &[u8] = include_bytes!("../data/lan.pcap");

/// A stop of the tour: a row here is all that a new kind of tunnel needs.
struct Stop {
    name: &'static str,
    file: &'static str,
    way: Way,
}

enum Way {
    /// Packets in packets; the first tunnel is the innermost.
    Tunnels(&'static [&'static str]),
    /// Packets on the byte stream of a TCP connection.
    Stream(StreamFraming),
}

const fn stop(name: &'static str, file: &'static str, tunnels: &'static [&'static str]) -> Stop {
    let way = Way::Tunnels(tunnels);
    Stop { name, file, way }
}

const STOPS: [Stop; 10] = [
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
        "gre with key",
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
        &["tcp,src=198.51.100.1,dst=203.0.113.2,sport=40001,dport=443"],
    ),
    stop(
        "tcp with ts",
        "tcp-timestamps.pcap",
        &["tcp,src=198.51.100.1,dst=203.0.113.2,sport=40001,dport=443,timestamps=yes"],
    ),
    Stop {
        name: "tcp stream",
        file: "tcp-stream.pcap",
        way: Way::Stream(StreamFraming::Exclusive),
    },
];

/// The ends of the connection whose stream carries packets.
const CLIENT: (Ipv4Addr, u16) = (Ipv4Addr::new(198, 51, 100, 1), 40001);
const SERVER: (Ipv4Addr, u16) = (Ipv4Addr::new(203, 0, 113, 2), 443);
/// What a segment of the stream carries on Ethernet, in bytes. It ends wherever it ends.
const SEGMENT: usize = 1460;
/// What the stream is read by, in bytes: frames and prefixes are cut anywhere.
const READ: usize = 7;

/// The stop whose packet is drawn.
const DRAWN: &str = "ipip in fou";

/// The link of the comparison: Ethernet's, in bytes.
const LINK_MTU: u32 = 1500;

/// So that the list of files is no wider than the tables.
const FILES_A_LINE: usize = 5;

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
    before: Traveller,
    after: Vec<u8>,
}

/// A packet that sets out.
struct Traveller {
    /// Its place in the capture, from 1.
    number: u64,
    packet: Vec<u8>,
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
    let path = directory.join(stop.file);
    match stop.way {
        Way::Tunnels(specs) => {
            let tunnels = specs
                .iter()
                .map(|text| Spec::parse(text).map_err(Failure::new))
                .collect::<Result<Vec<_>, _>>()?;
            through_tunnels(&tunnels, &path)
        }
        Way::Stream(framing) => over_stream(framing, &path),
    }
}

fn through_tunnels(tunnels: &[Spec], path: &Path) -> Result<Journey, Failure> {
    let mut wrap = Wrap::new(tunnels);
    let mut file = Output::create(path)?;
    let (wrapped, travellers) = depart(&mut wrap, |time, outer| file.packet(time, outer))?;
    file.flush()?;

    let mut unwrap = Unwrap::new(tunnels);
    let mut opened = Summary::default();
    let mut identical = 0;
    let mut sample = None;
    let mut file = Input::open(path)?;
    let mut travellers = travellers.into_iter();
    while let Some(record) = file.next()? {
        opened.packets += 1;
        let Some(before) = travellers.next() else {
            break;
        };
        match unwrap.change(record.frame) {
            Ok(inner) => {
                opened.written += 1;
                identical += u64::from(inner == before.packet);
                if sample.is_none() && drawing::is_instructive(&before.packet) {
                    let after = record.frame.to_vec();
                    sample = Some(Sample { before, after });
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

/// All packets on one connection, whose segments end where they are full and not where packets do.
fn over_stream(framing: StreamFraming, path: &Path) -> Result<Journey, Failure> {
    let mut stream = framing.preamble().to_vec();
    let mut last = Timestamp::ZERO;
    let (wrapped, travellers) = depart(&mut Frames::new(framing), |time, frame| {
        stream.extend_from_slice(frame);
        last = time;
        Ok(())
    })?;
    let mut connection = Connection::new(CLIENT, SERVER);
    let mut file = Output::create(path)?;
    for bytes in stream.chunks(SEGMENT) {
        file.packet(last, &connection.segment(bytes).map_err(Failure::new)?)?;
    }
    file.flush()?;

    let mut held = vec![0; stream::LONGEST_FRAME];
    let mut decoder = Decoder::new(framing, &mut held);
    let mut opened = Summary::default();
    let mut identical = 0;
    let mut travellers = travellers.into_iter();
    let mut compare = |packet: &[u8]| {
        let before = travellers.next();
        identical += u64::from(before.is_some_and(|before| before.packet == packet));
        Ok(())
    };
    let mut file = Input::open(path)?;
    while let Some(record) = file.next()? {
        for bytes in connection::bytes_of(record.frame)
            .unwrap_or_default()
            .chunks(READ)
        {
            stream::decode(&mut decoder, bytes, &mut opened, &mut compare)?;
        }
    }
    Ok(Journey {
        // With one packet a segment; a stream may do a little better or worse.
        overhead: connection::HEADERS_LEN + framing.prefix_len(),
        wrapped,
        opened,
        identical,
        sample: None,
    })
}

/// Changes every packet of the bundled capture and hands on what comes out. Says which packets these
/// were, in the order of the capture.
fn depart(
    by: &mut impl Change,
    mut hand_on: impl FnMut(Timestamp, &[u8]) -> Result<(), Failure>,
) -> Result<(Summary, Vec<Traveller>), Failure> {
    let mut summary = Summary::default();
    let mut travellers = Vec::new();
    let mut lan = Input::new(Box::new(Cursor::new(LAN)), "the bundled capture".to_owned())?;
    while let Some(record) = lan.next()? {
        summary.packets += 1;
        let Some(packet) = link::ipv4_packet(record.link_type, record.frame) else {
            summary.passed_over += 1;
            continue;
        };
        match by.change(packet) {
            Ok(changed) => {
                hand_on(record.time, changed)?;
                summary.written += 1;
                travellers.push(Traveller {
                    number: summary.packets,
                    packet: without_padding(packet),
                });
            }
            Err(reason) => summary.drop_for(reason),
        }
    }
    Ok((summary, travellers))
}

/// What of the captured bytes is the packet.
fn without_padding(packet: &[u8]) -> Vec<u8> {
    let padding = Ipv4::parse(packet).map_or(0, Ipv4::slack);
    packet[..packet.len() - padding].to_vec()
}

fn report(journeys: &[(&Stop, Journey)], directory: &Path) -> String {
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
    for stops in journeys.chunks(FILES_A_LINE) {
        let files: Vec<&str> = stops.iter().map(|(stop, _)| stop.file).collect();
        lines.push(format!("  {}", files.join("  ")));
    }
    lines.join("\n") + "\n"
}

fn counts(journeys: &[(&Stop, Journey)]) -> Vec<String> {
    let head = "  tunnel         frames  not IPv4   wrapped  refused    opened  refused   came back identical";
    let mut lines = vec![head.to_owned(), rule(94)];
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
    let ways_in = journeys
        .iter()
        .map(|(stop, journey)| ("in", stop.name, &journey.wrapped));
    let ways_out = journeys
        .iter()
        .map(|(stop, journey)| ("out", stop.name, &journey.opened));
    for (way, name, summary) in ways_in.chain(ways_out) {
        for (&reason, &count) in &summary.dropped {
            let known = refusals
                .iter_mut()
                .find(|known| (known.0, known.1, known.2) == (way, reason, count));
            match known {
                Some((.., stops)) => stops.push(name),
                None => refusals.push((way, reason, count, vec![name])),
            }
        }
    }
    let lines = refusals.iter().map(|(way, reason, count, stops)| {
        let others: Vec<&str> = journeys
            .iter()
            .map(|(stop, _)| stop.name)
            .filter(|name| !stops.contains(name))
            .collect();
        let by = if others.is_empty() {
            "every tunnel".to_owned()
        } else if others.len() < stops.len() {
            format!("every tunnel but {}", others.join(", "))
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
        format!("What it costs on a link of {LINK_MTU} bytes, with one packet a segment on TCP:"),
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
            sample.before.number, stop.name
        )];
        lines.extend(drawing::before_and_after(
            &sample.before.packet,
            &sample.after,
        ));
        lines
    })
}

fn rule(width: usize) -> String {
    format!("  {}", "─".repeat(width))
}

fn dropped(summary: &Summary) -> u64 {
    summary.dropped.values().sum()
}
