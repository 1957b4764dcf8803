//! `ipencap dissect` against real captures, with what two other dissectors saw in them.
//!
//! The captures are other people's and stay where they are: in the folder that the environment
//! variable `IPENCAP_CAPTURES` names. Without it these tests say that they are skipped.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::as_conversions,
    clippy::panic,
    reason = "a test may panic: that is how it fails"
)]

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

#[path = "cli/program.rs"]
mod program;

/// Captures, and where in them our answer is not the truth's, packet by packet, with the reason.
struct Exception {
    capture: &'static str,
    packet: usize,
    /// What `dissect` shows behind the truth's layers.
    more: &'static str,
}

/// Both oracles want 8 bytes of an ICMP message before they show it; the capture has 6. Type, code
/// and checksum are in the first 4, so `dissect` shows them.
const EXCEPTIONS: [Exception; 10] = [
    cut_icmp(3, r#"{"t":"icmp","off":54,"type":8,"code":0,"ck":7235}"#),
    cut_icmp(4, r#"{"t":"icmp","off":54,"type":0,"code":0,"ck":9283}"#),
    cut_icmp(5, r#"{"t":"icmp","off":54,"type":8,"code":0,"ck":30830}"#),
    cut_icmp(6, r#"{"t":"icmp","off":54,"type":0,"code":0,"ck":32878}"#),
    cut_icmp(7, r#"{"t":"icmp","off":54,"type":8,"code":0,"ck":52882}"#),
    cut_icmp(8, r#"{"t":"icmp","off":54,"type":0,"code":0,"ck":54930}"#),
    cut_icmp(9, r#"{"t":"icmp","off":54,"type":8,"code":0,"ck":1463}"#),
    cut_icmp(10, r#"{"t":"icmp","off":54,"type":0,"code":0,"ck":3511}"#),
    cut_icmp(13, r#"{"t":"icmp","off":54,"type":3,"code":3,"ck":4679}"#),
    cut_icmp(14, r#"{"t":"icmp","off":54,"type":3,"code":3,"ck":4680}"#),
];

const fn cut_icmp(packet: usize, more: &'static str) -> Exception {
    Exception {
        capture: "live_ipip_snap60.pcap",
        packet,
        more,
    }
}

/// What the oracles were told of UDP ports.
const FOU_PORTS: [u16; 2] = [5555, 5556];
const GUE_PORT: u16 = 6080;

/// Link types that `ipencap` knows, by number.
const LINK_TYPES: [u64; 9] = [0, 1, 12, 14, 101, 108, 113, 228, 276];

#[test]
fn dissect_shows_what_two_dissectors_saw() {
    let Some(folder) = captures() else { return };
    let mut unused: Vec<&Exception> = EXCEPTIONS.iter().collect();
    let mut wrong = Vec::new();
    let (mut packets, mut layers) = (0, 0);
    let manifest = lines(&fs::read(folder.join("captures.jsonl")).expect("the manifest"));
    assert!(!manifest.is_empty(), "the manifest lists no captures");
    for entry in &manifest {
        let name = text(&entry["name"]);
        let shown = dissect(&folder.join(name));
        let truth = fs::read(folder.join("truth").join(format!("{name}.jsonl")));
        let truth = lines(&truth.expect("ground truth"));
        assert_eq!(shown.len(), truth.len(), "packets in {name}");
        for (number, (shown, truth)) in (1..).zip(shown.iter().zip(&truth)) {
            let mut expected = in_reach(truth);
            if let Some(index) = unused
                .iter()
                .position(|known| known.capture == name && known.packet == number)
            {
                let exception = unused.swap_remove(index);
                expected.push(serde_json::from_str(exception.more).expect("a layer"));
            }
            packets += 1;
            layers += expected.len();
            let expected = json!({ "n": number, "layers": expected });
            if *shown != expected {
                wrong.push(format!(
                    "{name}, packet {number}:\n  truth {expected}\n  shown {shown}"
                ));
            }
        }
        // A copy in the other format holds the same packets.
        if let Some(copy) = entry["conv"].as_str() {
            assert_eq!(
                dissect(&folder.join(copy)),
                shown,
                "{copy} differs from {name}"
            );
        }
    }
    println!(
        "{} captures, {packets} packets, {layers} layers compared",
        manifest.len()
    );
    assert!(
        wrong.is_empty(),
        "{} packets differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(unused.is_empty(), "{} exceptions are none", unused.len());
}

/// The folder of the captures, or a word about why there is nothing to do.
fn captures() -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("IPENCAP_CAPTURES").map(PathBuf::from) else {
        println!("skipped: IPENCAP_CAPTURES is not set");
        return None;
    };
    if !folder.is_dir() {
        println!(
            "skipped: IPENCAP_CAPTURES names no folder: {}",
            folder.display()
        );
        return None;
    }
    Some(folder)
}

fn dissect(capture: &Path) -> Vec<Value> {
    let ports = FOU_PORTS.map(|port| format!("--fou-port={port}"));
    let gue_port = format!("--gue-port={GUE_PORT}");
    let options = ports.iter().chain([&gue_port]).map(OsStr::new);
    let arguments: Vec<&OsStr> = [OsStr::new("dissect"), capture.as_os_str()]
        .into_iter()
        .chain(options)
        .collect();
    let run = program::ipencap(&arguments, b"");
    assert_eq!(run.status, Some(0), "{}: {}", capture.display(), run.stderr);
    lines(&run.stdout)
}

fn lines(text: &[u8]) -> Vec<Value> {
    let text = core::str::from_utf8(text).expect("UTF-8");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

/// The layers of a ground-truth packet that a walk from the first IPv4 header reaches, as `dissect`
/// shows them.
///
/// The walk follows IPv4 in IPv4, in GRE, and in UDP to a tunnel's port, and ends with one transport
/// header. It does not look into what an ICMP error quotes, nor behind anything else.
fn in_reach(packet: &Value) -> Vec<Value> {
    let mut expected = Vec::new();
    if !begins_with_ipv4(packet) {
        return expected;
    }
    let mut outer: Option<&Value> = None;
    for layer in packet["layers"].as_array().expect("layers") {
        let kind = text(&layer["t"]);
        let directly_behind = outer.map_or(kind == "ipv4", |outer| {
            carries(outer, kind) && follows(outer, layer)
        });
        if !directly_behind || layer["quoted"] == true {
            break;
        }
        if kind != "ipv4" && layer["partial"] == true {
            // A header that was cut is not shown at all.
            break;
        }
        if let Some(reason) = broken(layer) {
            expected.push(json!({ "t": "error", "off": layer["off"], "reason": reason }));
            break;
        }
        expected.push(shown(layer));
        outer = Some(layer);
    }
    expected
}

/// Whether an IPv4 header comes directly behind a link layer that `ipencap` knows, and its tags.
fn begins_with_ipv4(packet: &Value) -> bool {
    let link_type = packet["lt"].as_u64().expect("a link type");
    let chain = text(&packet["chain_tshark"]);
    // IPV4, 228, has no name in the chain: nothing is in front of the packet.
    let behind_link = if link_type == 228 {
        Some(chain)
    } else {
        chain.split_once('/').map(|c| c.1)
    };
    let first = behind_link.and_then(|chain| chain.split('/').find(|name| *name != "vlan"));
    LINK_TYPES.contains(&link_type) && first == Some("ip")
}

/// Whether this header says that such a layer is behind it.
fn carries(outer: &Value, kind: &str) -> bool {
    match text(&outer["t"]) {
        "ipv4" => {
            let protocol = match kind {
                "ipv4" => 4,
                "icmp" => 1,
                "tcp" => 6,
                "udp" => 17,
                "gre" => 47,
                _ => return false,
            };
            outer["proto"] == protocol && outer["fo"] == 0
        }
        "gre" => kind == "ipv4" && outer["proto"] == 0x0800,
        "udp" => {
            kind == "ipv4"
                && (FOU_PORTS.iter().any(|port| outer["dport"] == *port)
                    || outer["dport"] == GUE_PORT)
        }
        _ => false,
    }
}

/// Whether a layer begins where the one in front of it ends. GUE headers are not listed: behind one of
/// those it begins a little later.
fn follows(outer: &Value, layer: &Value) -> bool {
    let number = |value: &Value| value.as_u64().expect("a number");
    let distance = number(&layer["off"]).checked_sub(number(&outer["off"]));
    let lengths = match text(&outer["t"]) {
        "ipv4" => {
            let header_len = number(&outer["hlen"]);
            header_len..=header_len
        }
        "gre" => {
            let optional = ["ck", "key", "seq"]
                .iter()
                .filter(|field| !outer[**field].is_null());
            let header_len = 4 + 4 * optional.count() as u64;
            header_len..=header_len
        }
        _ if outer["dport"] == GUE_PORT => 8..=8 + 4 + 31 * 4,
        _ => 8..=8,
    };
    distance.is_some_and(|distance| lengths.contains(&distance))
}

/// Why a header can not be walked, in the order of V-02 to V-04.
fn broken(ipv4: &Value) -> Option<&'static str> {
    let has = |flag: &str| {
        ipv4["flags"]
            .as_array()
            .is_some_and(|flags| flags.iter().any(|known| known == flag))
    };
    if has("ver!=4") {
        Some("BadVersion")
    } else if has("ihl<5") {
        Some("BadIhl")
    } else if has("hdr_beyond_capture") || has("hdr_beyond_container") {
        Some("Truncated")
    } else {
        None
    }
}

/// A layer with the fields that `dissect` shows.
fn shown(layer: &Value) -> Value {
    let fields: &[&str] = match text(&layer["t"]) {
        "ipv4" => &[
            "t",
            "off",
            "hlen",
            "tos",
            "tlen",
            "id",
            "rf",
            "df",
            "mf",
            "fo",
            "ttl",
            "proto",
            "ck",
            "src",
            "dst",
            "ck_status",
            "depth",
        ],
        "udp" => &["t", "off", "sport", "dport", "ulen", "ck"],
        "tcp" => &["t", "off", "sport", "dport", "hlen", "ck"],
        "icmp" => &["t", "off", "type", "code", "ck"],
        "gre" => &["t", "off", "gre_flags", "proto", "key", "seq", "ck"],
        other => panic!("no fields known of a {other} layer"),
    };
    fields
        .iter()
        .map(|&field| (field.to_owned(), layer[field].clone()))
        .collect()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}
