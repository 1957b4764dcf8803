//! What the tour prints.

use std::path::Path;

use ipencap::mtu::{Efficiency, Overhead};

use super::{Journey, Stop};
use crate::drawing;
use crate::summary::Summary;

/// The stop whose packet is drawn.
const DRAWN: &str = "ipip in fou";

/// The link of the comparison: Ethernet's, in bytes.
const LINK_MTU: u32 = 1500;

/// So that the list of files is no wider than the tables.
const FILES_A_LINE: usize = 5;

pub(super) fn report(journeys: &[(&Stop, Journey)], directory: &Path) -> String {
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
    lines.push(String::new());
    lines.push(conclusion(journeys));
    lines.join("\n") + "\n"
}

/// What it all came to, in one sentence.
fn conclusion(journeys: &[(&Stop, Journey)]) -> String {
    let sum = |count: fn(&Journey) -> u64| journeys.iter().map(|(_, of)| count(of)).sum::<u64>();
    let (wrapped, opened) = (sum(|of| of.wrapped.written), sum(|of| of.opened.written));
    let different = opened - sum(|of| of.identical);
    let missing = wrapped - sum(|of| of.opened.packets);
    if different + missing == 0 {
        format!(
            "All {opened} packets that came out of {} tunnels again are identical to what went in, \
             byte for byte.",
            journeys.len()
        )
    } else {
        format!(
            "Of {wrapped} packets {missing} are missing and {different} came back DIFFERENT: this \
             is a bug, please report it."
        )
    }
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
    let head = "Refused, by reason (a sender gets no answer):";
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
