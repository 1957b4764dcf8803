//! The tour: a capture of ordinary LAN traffic through every kind of tunnel there is, and back.

use core::net::Ipv4Addr;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use ipencap::stream::{Decoder, StreamFraming};
use ipencap::wire::Ipv4;

use crate::capture::Timestamp;
use crate::drawing;
use crate::failure::{Failure, print};
use crate::input::Input;
use crate::output::Output;
use crate::packets::{Before, Change, change_all};
use crate::stream::{self, Frames};
use crate::summary::Summary;
use crate::tunnel::{Spec, Unwrap, Wrap};

mod connection;
mod report;

use connection::Connection;

/// Recorded between two machines that did what machines on a LAN do; see the note beside it.
const LAN: &[u8] = include_bytes!("../../data/lan.pcap");

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
#[derive(Clone)]
struct Traveller {
    /// Its place in the capture, from 1.
    number: u64,
    packet: Vec<u8>,
}

/// `ipencap` without a command. Says whether every packet came back as it went in.
pub(crate) fn run(out: Option<&Path>) -> Result<bool, Failure> {
    let directory = directory(out)?;
    let mut journeys = Vec::new();
    for stop in &STOPS {
        journeys.push((stop, travel(stop, &directory)?));
    }
    print(&report::report(&journeys, &directory))?;
    // What went into the files, of all stops together. What became of it on the way out is in the report.
    let mut summary = Summary::default();
    for (_, journey) in &journeys {
        summary.add(&journey.wrapped);
    }
    summary.report();
    Ok(journeys.iter().all(|(_, journey)| journey.is_intact()))
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
    // target/release/ipencap
    let target = program.ancestors().nth(2);
    let target = target.filter(|target| target.join("CACHEDIR.TAG").exists());
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

    let mut opened = Summary::default();
    let mut identical = 0;
    let mut sample = None;
    let mut input = Input::open(path)?;
    let mut compare = |outer: Before<'_>, inner: &[u8]| {
        // Packet N of the file is traveller N - 1.
        let Some(before) = travellers.get(outer.number as usize - 1) else {
            return Ok(());
        };
        identical += u64::from(inner == before.packet);
        if sample.is_none() && drawing::is_instructive(&before.packet) {
            sample = Some(Sample {
                before: before.clone(),
                after: outer.packet.to_vec(),
            });
        }
        Ok(())
    };
    change_all(
        &mut input,
        &mut Unwrap::new(tunnels),
        &mut opened,
        &mut compare,
    )?;
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
    let mut last = Timestamp::default();
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
    while let Some(record) = file.next_record()? {
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
    change_all(&mut lan, by, &mut summary, |before, changed| {
        travellers.push(Traveller {
            number: before.number,
            packet: without_padding(before.packet),
        });
        hand_on(before.time, changed)
    })?;
    Ok((summary, travellers))
}

/// What of the captured bytes is the packet.
fn without_padding(packet: &[u8]) -> Vec<u8> {
    let padding = Ipv4::parse(packet).map_or(0, Ipv4::slack);
    packet[..packet.len() - padding].to_vec()
}
