//! Prints what criterion has measured as tables in Markdown, the medians in nanoseconds.
//!
//! ```sh
//! cargo run --release --manifest-path benches/Cargo.toml --bin table
//! cargo run --release --manifest-path benches/Cargo.toml --bin table -- checksum udp
//! ```
//!
//! Arguments choose groups by the beginning of their names. Whatever lies in criterion's folder is
//! printed, so remove the folder before a run for a record.

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::fs;

use ipencap_bench::measured::{self, Group, RowKey};

fn main() -> Result<(), Box<dyn Error>> {
    let wanted: Vec<String> = env::args().skip(1).collect();
    let mut groups = measured::all()?;
    groups.retain(|name, _| {
        wanted.is_empty()
            || wanted
                .iter()
                .any(|wanted| name.starts_with(wanted.as_str()))
    });
    if groups.is_empty() {
        return Err("nothing was measured yet: run `cargo bench` first".into());
    }
    println!("{}\n", machine());
    for (name, group) in &groups {
        print(name, group);
    }
    Ok(())
}

/// Whose a contender is; columns stand in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Ours,
    Peer,
    Plain,
    Limit,
}

impl Kind {
    fn of(contender: &str) -> Self {
        match contender {
            name if name.starts_with("ipencap") => Self::Ours,
            name if name.starts_with("limit") => Self::Limit,
            "plain" => Self::Plain,
            _ => Self::Peer,
        }
    }
}

fn print(name: &str, group: &Group) {
    let mut contenders: Vec<&String> = group.rows.values().flat_map(BTreeMap::keys).collect();
    contenders.sort_by_key(|name| (Kind::of(name), *name));
    contenders.dedup();
    let unit = if group.by_packet { "ns a packet" } else { "ns" };
    println!("### {name} ({unit})\n");

    // One pair of ratios for each door of ours.
    let ours: Vec<_> = of_kind(&contenders, Kind::Ours).collect();
    let mut header: Vec<String> = vec![String::new()];
    header.extend(contenders.iter().map(ToString::to_string));
    for door in &ours {
        header.push(format!("best peer ÷ {door}"));
        header.push(format!("{door} ÷ limit"));
    }
    println!("| {} |", header.join(" | "));
    println!("|---{}|", "|---:".repeat(header.len() - 1));
    for (RowKey(_, row), times) in &group.rows {
        let mut cells = vec![row.clone()];
        cells.extend(contenders.iter().map(|name| {
            times
                .get(*name)
                .map_or_else(String::new, |time| digits(time.median))
        }));
        let least = |kind| {
            of_kind(&contenders, kind)
                .filter_map(|name| times.get(name))
                .map(|times| times.median)
                .reduce(f64::min)
        };
        for door in &ours {
            let time = times.get(*door).map(|times| times.median);
            cells.push(ratio(least(Kind::Peer), time));
            cells.push(ratio(time, least(Kind::Limit)));
        }
        println!("| {} |", cells.join(" | "));
    }
    println!();
}

fn of_kind<'a>(contenders: &[&'a String], kind: Kind) -> impl Iterator<Item = &'a String> {
    contenders
        .iter()
        .copied()
        .filter(move |name| Kind::of(name) == kind)
}

fn ratio(above: Option<f64>, below: Option<f64>) -> String {
    match (above, below) {
        (Some(above), Some(below)) => format!("{:.2}", above / below),
        _ => String::new(),
    }
}

/// Three digits that mean something.
fn digits(nanoseconds: f64) -> String {
    match nanoseconds {
        n if n < 10.0 => format!("{n:.2}"),
        n if n < 100.0 => format!("{n:.1}"),
        n => format!("{n:.0}"),
    }
}

/// What the figures depend on.
fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        })
        .unwrap_or_else(|| "unknown".to_owned());
    let (l2, l3) = ipencap_bench::fixtures::cache_sizes();
    let level = match () {
        () if cfg!(target_feature = "avx512f") => "AVX-512",
        () if cfg!(target_feature = "avx2") => "AVX2",
        () if cfg!(target_arch = "x86_64") => "SSE2, the baseline",
        () => "the target's baseline",
    };
    let (l2, l3) = (l2 >> 10, l3 >> 10);
    format!("CPU: {cpu}; L2 {l2} KiB, L3 {l3} KiB; vectors: {level}")
}
