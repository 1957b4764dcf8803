//! `ipencap draw`: one packet of a capture, layer by layer.

use std::path::Path;

use crate::capture::{Record, link};
use crate::drawing;
use crate::failure::{Failure, print};
use crate::input::Input;
use crate::summary::Summary;
use crate::walk::{Layer, Ports};

/// Draws packet `wanted`, from 1; without it the first with a tunnel in it, else the first. Reads no further than that
/// packet, and counts what was read.
pub(crate) fn run(path: &Path, wanted: Option<u64>, ports: &Ports) -> Result<(), Failure> {
    let mut input = Input::open(path)?;
    let name = input.name().to_owned();
    let mut summary = Summary::default();
    let mut first = None;
    let outcome = loop {
        let record = match input.next_record() {
            Ok(Some(record)) => record,
            Ok(None) => break Ok(()),
            Err(failure) => break Err(failure),
        };
        summary.packets += 1;
        let layers = layers(&record, ports);
        summary.passed_over += u64::from(layers.is_empty());
        let found = match wanted {
            Some(number) => number == summary.packets,
            None => drawing::has_tunnel(&layers),
        };
        if found {
            print(&drawn(summary.packets, &name, &record, &layers))?;
            summary.report();
            return Ok(());
        }
        if summary.packets == 1 && wanted.is_none() {
            first = Some(drawn(summary.packets, &name, &record, &layers));
        }
    };
    // What could be read is shown even where the file breaks off.
    if let Some(text) = first {
        print(&text)?;
    }
    outcome?;
    match wanted {
        Some(number) => {
            return Err(Failure::new(format_args!(
                "--packet {number}: {name} has {} packets",
                summary.packets
            )));
        }
        None if summary.packets == 0 => print(&format!("{name} has no packets.\n"))?,
        None => {}
    }
    summary.report();
    Ok(())
}

fn layers(record: &Record<'_>, ports: &Ports) -> Vec<Layer> {
    link::ipv4_offset(record.link_type, record.frame).map_or_else(Vec::new, |start| {
        drawing::layers(record.frame, start, ports)
    })
}

fn drawn(number: u64, name: &str, record: &Record<'_>, layers: &[Layer]) -> String {
    let in_front = if layers.is_empty() {
        format!(
            "no IPv4 packet behind link type {} ({})",
            record.link_type,
            link::name(record.link_type)
        )
    } else {
        link::name(record.link_type).to_owned()
    };
    let mut lines = vec![format!(
        "Packet {number} of {name}, {} bytes; offsets and lengths in bytes:",
        record.frame.len()
    )];
    lines.extend(drawing::whole(record.frame, layers, &in_front));
    lines.join("\n") + "\n"
}
