//! The program from the outside: their arguments, their files, their exit status.
//!
//! Captures are built here byte by byte, so that no reader or writer is its own witness.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic: that is how it fails"
)]

use core::net::Ipv4Addr;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use ipencap::wire::{IpProtocol, Ipv4Flags, Ipv4Header};
use serde_json::Value;

mod arguments;
mod contract;
mod dissect;
mod draw;
mod endpoint;
mod files;
mod formats;
mod kernel;
mod kinds;
mod mtu;
mod numbering;
mod program;
mod round_trips;
mod specifications;
mod streams;
mod tour;
mod tunnels;

use files::{Pcap, packets};
use program::{Run, ipencap};

/// The tunnel of the fixtures of the specification: L to R.
const TUNNEL: &str = "ipip,src=198.51.100.1,dst=203.0.113.2";
/// A tunnel around it.
const AROUND: &str = "ipip,src=192.0.2.1,dst=192.0.2.2";

/// P: 36 bytes, UDP 40000 to 53 from 10.1.0.5 to 10.2.0.9, DF set.
const P: &str = "4500002412344000401114850a0100050a0200099c4000350010ace66970656e63617021";

const ETHERNET: u32 = 1;
const RAW: u32 = 101;

/// A folder of a test's own, which goes when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        // Left over from a run that failed.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn transform(command: &str, specs: &[&str], input: &Path, output: &Path) -> Run {
    let mut arguments: Vec<&OsStr> = vec![command.as_ref()];
    for spec in specs {
        arguments.push("--tunnel".as_ref());
        arguments.push(spec.as_ref());
    }
    arguments.push(input.as_ref());
    arguments.push(output.as_ref());
    ipencap(&arguments, b"")
}

/// The packets that `ipencap encap` makes of these, none of which may be dropped.
fn wrap(specs: &[&str], inners: &[&[u8]]) -> Vec<Vec<u8>> {
    pipe("encap", specs, inners)
}

fn unwrap(specs: &[&str], outers: &[&[u8]]) -> Vec<Vec<u8>> {
    pipe("decap", specs, outers)
}

fn pipe(command: &str, specs: &[&str], inputs: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut arguments = vec![command];
    for spec in specs {
        arguments.extend(["--tunnel", spec]);
    }
    arguments.extend(["-", "-"]);
    let pcap = inputs
        .iter()
        .fold(Pcap::new(RAW), |pcap, input| pcap.packet(0, 0, input));
    let run = ipencap(&arguments, &pcap.bytes());
    assert_eq!(
        summary(&run)["written"],
        inputs.len(),
        "{specs:?}: {}",
        run.stderr
    );
    packets(&run.stdout)
        .into_iter()
        .map(|(_, _, packet)| packet)
        .collect()
}

/// The packets of a capture with their times, after a journey in and out of a tunnel.
fn through_a_tunnel(capture_bytes: &[u8]) -> Vec<(u32, u32, Vec<u8>)> {
    let run = ipencap(&["encap", "--tunnel", TUNNEL, "-", "-"], capture_bytes);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    let run = ipencap(&["decap", "--tunnel", TUNNEL, "-", "-"], &run.stdout);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    packets(&run.stdout)
}

/// The last line on standard error of a run that went well.
fn summary(run: &Run) -> Value {
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    serde_json::from_str(run.stderr.lines().last().unwrap()).unwrap()
}

/// The sum of what became of the packets, which for all commands but `dissect` is all of them.
fn accounted_for(summary: &Value) -> u64 {
    let number = |value: &Value| value.as_u64().unwrap();
    let dropped = summary["dropped"].as_object().unwrap().values();
    number(&summary["passed_over"]) + number(&summary["written"]) + dropped.map(number).sum::<u64>()
}

/// A file of the specification's vectors.
fn vectors(group: &str) -> Value {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/data/semantics-vectors.json"
    );
    let mut all: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    all[group].take()
}

/// A capture of these packets without a link layer.
fn raw_capture<P: AsRef<[u8]>>(packets: &[P]) -> Vec<u8> {
    packets
        .iter()
        .fold(Pcap::new(RAW), |pcap, packet| {
            pcap.packet(0, 0, packet.as_ref())
        })
        .bytes()
}

/// The bundled capture, and the IPv4 packets in it with their times.
fn bundled() -> (PathBuf, Vec<(u32, u32, Vec<u8>)>) {
    let lan = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/lan.pcap");
    let packets = files::ethernet_ipv4(&fs::read(&lan).unwrap());
    assert!(!packets.is_empty());
    (lan, packets)
}

fn lines(text: &[u8]) -> Vec<Value> {
    let text = core::str::from_utf8(text).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits
        .chars()
        .filter_map(|c| c.to_digit(16))
        .map(|digit| digit as u8)
        .collect();
    digits
        .chunks_exact(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

fn digits(bytes: &[u8]) -> String {
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.concat()
}

/// A valid packet of an experimental protocol from 10.1.0.5 to 10.2.0.9.
fn packet(ttl: u8, df: bool, payload: &[u8]) -> Vec<u8> {
    let total_len = u16::try_from(20 + payload.len()).unwrap();
    let (source, destination) = (Ipv4Addr::new(10, 1, 0, 5), Ipv4Addr::new(10, 2, 0, 9));
    let mut header = Ipv4Header::new(source, destination, IpProtocol(253), total_len);
    header.set_ttl(ttl);
    header.set_flags(if df {
        Ipv4Flags::DF
    } else {
        Ipv4Flags::empty()
    });
    [header.as_bytes(), payload].concat()
}

/// The packet with a changed header; the checksum follows.
fn changed(packet: &[u8], change: impl FnOnce(&mut Ipv4Header)) -> Vec<u8> {
    let mut packet = packet.to_vec();
    let (header, ..) = Ipv4Header::split_mut(&mut packet).unwrap();
    change(header);
    packet
}
