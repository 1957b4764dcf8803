//! `ipencap dissect`: the headers of each packet as JSON.

use core::net::Ipv4Addr;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use ipencap::wire::{Ipv4Flags, Ipv4Header};
use serde_json::{Value, json};

use crate::capture::link;
use crate::failure::Failure;
use crate::input::Input;
use crate::summary::Summary;
use crate::walk::{Layer, Ports, walk};

/// `ipencap dissect`: one JSON object a packet on standard output.
pub(crate) fn run(input: &Path, ports: &Ports) -> Result<(), Failure> {
    let mut input = Input::open(input)?;
    let mut lines = BufWriter::new(io::stdout().lock());
    let mut summary = Summary::default();
    let outcome = dissect(&mut input, &mut lines, ports, &mut summary);
    // What could be read is shown even where the file breaks off.
    lines
        .flush()
        .map_err(|error| Failure::write("standard output", &error))?;
    outcome?;
    summary.report();
    Ok(())
}

fn dissect(
    input: &mut Input,
    lines: &mut impl Write,
    ports: &Ports,
    summary: &mut Summary,
) -> Result<(), Failure> {
    while let Some(record) = input.next_record()? {
        summary.packets += 1;
        let start = link::ipv4_offset(record.link_type, record.frame);
        summary.passed_over += u64::from(start.is_none());
        let layers = start.map_or_else(Vec::new, |start| walk(record.frame, start, ports));
        let layers: Vec<Value> = layers.iter().map(as_json).collect();
        let line = json!({ "n": summary.packets, "layers": layers });
        writeln!(lines, "{line}").map_err(|error| Failure::write("standard output", &error))?;
    }
    Ok(())
}

fn as_json(layer: &Layer) -> Value {
    match layer {
        Layer::Ipv4 {
            offset,
            header,
            checksum_good,
            depth,
        } => json!({
            "t": "ipv4",
            "off": offset,
            "hlen": header.header_len(),
            "tos": header.tos(),
            "tlen": header.total_len(),
            "id": header.identification(),
            "rf": flag(header, Ipv4Flags::RESERVED),
            "df": flag(header, Ipv4Flags::DF),
            "mf": flag(header, Ipv4Flags::MF),
            "fo": header.fragment_offset().units(),
            "ttl": header.ttl(),
            "proto": header.protocol().0,
            "ck": header.checksum(),
            "src": address(header.source()),
            "dst": address(header.destination()),
            "ck_status": if *checksum_good { "good" } else { "bad" },
            "depth": depth,
        }),
        Layer::Udp { offset, header } => json!({
            "t": "udp",
            "off": offset,
            "sport": header.source_port(),
            "dport": header.destination_port(),
            "ulen": header.len(),
            "ck": header.checksum(),
        }),
        Layer::Tcp {
            offset,
            header,
            header_len,
        } => json!({
            "t": "tcp",
            "off": offset,
            "sport": header.source_port(),
            "dport": header.destination_port(),
            "hlen": header_len,
            "ck": header.checksum(),
        }),
        Layer::Icmp { offset, header } => json!({
            "t": "icmp",
            "off": offset,
            "type": header.message_type(),
            "code": header.code(),
            "ck": header.checksum(),
        }),
        Layer::Gre {
            offset,
            header,
            checksum,
            key,
            sequence,
            ..
        } => json!({
            "t": "gre",
            "off": offset,
            "gre_flags": header.flags_and_version(),
            "proto": header.protocol(),
            "key": key,
            "seq": sequence,
            "ck": checksum,
        }),
        Layer::Error { offset, reason } => json!({
            "t": "error",
            "off": offset,
            "reason": reason,
        }),
    }
}

fn flag(header: &Ipv4Header, flag: Ipv4Flags) -> u8 {
    u8::from(header.flags().contains(flag))
}

fn address(address: Ipv4Addr) -> String {
    address.to_string()
}
