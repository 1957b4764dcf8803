//! Prints what the benchmark `growth` has measured as tables in Markdown, and draws it.
//!
//! ```sh
//! cargo run --release --manifest-path benches/Cargo.toml --bin growth -- benches/records/2026-01-31-growth
//! ```
//!
//! The first argument is where the plots go: a path to which `-peers.svg` and the like are appended. More
//! arguments are folders of several runs, each made with a `CRITERION_HOME` of its own. Times are those of the
//! shortest sample of all runs, in nanoseconds.

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::path::Path;

use ipencap_bench::measured::{self, Group};
use plotters::prelude::*;

/// A line of a plot, by contender: what grows, and the time.
type Lines = BTreeMap<String, Vec<(f64, f64)>>;

/// Groups, with what grows in each and whether it does so by powers of ten.
const GROUPS: [(&str, &str, bool); 8] = [
    ("encap", "layers", false),
    ("decap", "layers", false),
    ("length", "bytes of the inner packet", true),
    ("peers", "peers", true),
    ("prefixes", "inner prefixes", true),
    ("addresses", "local addresses", true),
    ("load", "prefixes", true),
    ("change", "prefixes", true),
];

const COLOURS: [RGBColor; 4] = [
    RGBColor(0x1f, 0x77, 0xb4),
    RGBColor(0xd6, 0x27, 0x28),
    RGBColor(0x2c, 0xa0, 0x2c),
    RGBColor(0x94, 0x67, 0xbd),
];

fn main() -> Result<(), Box<dyn Error>> {
    let path = env::args().nth(1).ok_or("where do the plots go?")?;
    let mut runs = Vec::new();
    for folder in env::args().skip(2) {
        runs.push(measured::all_in(Path::new(&folder))?);
    }
    if runs.is_empty() {
        runs.push(measured::all()?);
    }
    for (name, what, is_log) in GROUPS {
        let of_group = runs
            .iter()
            .filter_map(|run| run.get(&format!("growth_{name}")));
        let lines = lines(of_group);
        if lines.is_empty() {
            return Err(format!("growth_{name} was not measured yet").into());
        }
        table(name, what, &lines);
        plot(&format!("{path}-{name}.svg"), what, &lines, is_log)?;
    }
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "at most 100,000")]
fn lines<'a>(runs: impl Iterator<Item = &'a Group>) -> Lines {
    let mut least = BTreeMap::<(&str, u64), f64>::new();
    for group in runs {
        for (row, contenders) in &group.rows {
            for (name, times) in contenders {
                let time = least.entry((name, row.0)).or_insert(times.least);
                *time = time.min(times.least);
            }
        }
    }
    let mut lines = Lines::new();
    for ((name, count), time) in least {
        let line = lines.entry(name.to_owned()).or_default();
        line.push((count as f64, time));
    }
    lines
}

fn table(name: &str, what: &str, lines: &Lines) {
    let names: Vec<&str> = lines.keys().map(String::as_str).collect();
    println!(
        "### growth_{name} (ns)\n\n| {what} | {} |",
        names.join(" | ")
    );
    println!("|---{}|", "|---:".repeat(names.len()));
    let rows = lines.values().next().map_or(0, Vec::len);
    for row in 0..rows {
        let count = lines.values().next().map_or(0.0, |line| line[row].0);
        let cells: Vec<String> = lines
            .values()
            .map(|line| format!("{:.1}", line[row].1))
            .collect();
        println!("| {count} | {} |", cells.join(" | "));
    }
    println!();
}

fn plot(path: &str, what: &str, lines: &Lines, is_log: bool) -> Result<(), Box<dyn Error>> {
    let points = || lines.values().flatten();
    let range = |of: fn(&(f64, f64)) -> f64| {
        let values = || points().map(of);
        let least = values().fold(f64::MAX, f64::min);
        (least, values().fold(least, f64::max))
    };
    let ((left, right), (bottom, top)) = (range(|point| point.0), range(|point| point.1));
    let area = SVGBackend::new(path, (720, 440)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut builder = ChartBuilder::on(&area);
    builder
        .margin(16)
        .x_label_area_size(40)
        .y_label_area_size(64);
    // The two charts have types of their own.
    macro_rules! draw {
        ($chart:expr) => {{
            let mut chart = $chart;
            chart
                .configure_mesh()
                .x_desc(what)
                .y_desc("ns")
                .light_line_style(WHITE)
                .draw()?;
            for ((name, line), colour) in lines.iter().zip(COLOURS) {
                let points = line
                    .iter()
                    .map(move |point| Circle::new(*point, 3, colour.filled()));
                chart
                    .draw_series(LineSeries::new(
                        line.iter().copied(),
                        colour.stroke_width(2),
                    ))?
                    .label(name)
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour));
                chart.draw_series(points)?;
            }
            chart
                .configure_series_labels()
                .position(SeriesLabelPosition::UpperLeft)
                .background_style(WHITE)
                .border_style(BLACK)
                .draw()?;
        }};
    }
    if is_log {
        let (x, y) = (
            (left..right).log_scale(),
            (bottom / 2.0..top * 2.0).log_scale(),
        );
        draw!(builder.build_cartesian_2d(x, y)?);
    } else {
        draw!(builder.build_cartesian_2d(0.0..right + 0.5, 0.0..top * 1.1)?);
    }
    area.present()?;
    Ok(())
}
