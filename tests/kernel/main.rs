//! What a real Linux kernel emits and accepts, against what this crate does.
//!
//! The records under `data/kernel/` are packets of Debian's Linux 6.12, sent through its `ipip` and
//! `gre` devices, alone, nested, and over UDP. Where the specification wants something else than Linux does, or where Linux dropped a
//! packet for reasons of its own routing, the record stands in a table with the rule or the reason,
//! with what this crate does instead, and with the traces that Linux left. Nothing else is
//! tolerated, and a row that is no longer needed fails as well.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "tests index and unwrap what they have built and read; a panic is how they fail"
)]

mod decapsulation;
mod device;
mod encapsulation;
mod errors;
mod exceptions;
mod fragments;
mod verdicts;

use ipencap::wire::{Icmpv4, IpProtocol, Ipv4};
use serde_json::Value;

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// A list of packets, empty where the record has none.
fn packets(list: &Value) -> Vec<Vec<u8>> {
    let list = list.as_array().into_iter().flatten();
    list.map(|packet| unhex(packet.as_str().unwrap())).collect()
}

fn text<'a>(record: &'a Value, key: &str) -> &'a str {
    record[key].as_str().unwrap()
}

fn records(lines: &str) -> Vec<Value> {
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The kernel functions that dropped something, with the kernel's reason where it names one.
fn drops(record: &Value) -> Vec<String> {
    let drops = record["drops"].as_array().into_iter().flatten();
    drops
        .map(|drop| {
            let symbol = drop[0].as_str().unwrap();
            let function = symbol.split('.').next().unwrap();
            match drop[1].as_str().unwrap() {
                "NOT_SPECIFIED" => function.to_owned(),
                reason => format!("{function} {reason}"),
            }
        })
        .collect()
}

/// `ICMP type/code` of an ICMP packet, with the next-hop MTU of "fragmentation needed".
fn icmp(packet: &[u8]) -> Option<String> {
    let packet = Ipv4::parse(packet).unwrap();
    if packet.header().protocol() != IpProtocol::ICMP {
        return None;
    }
    let message = Icmpv4::parse(packet.payload()).unwrap();
    let header = message.header();
    Some(match (header.message_type(), header.code()) {
        (3, 4) => {
            let [_, _, high, low] = message.rest_of_header();
            format!("ICMP 3/4 {}", u16::from_be_bytes([high, low]))
        }
        (message_type, code) => format!("ICMP {message_type}/{code}"),
    })
}
