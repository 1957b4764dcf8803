//! What a tunnel costs: overhead, inner MTU, TCP segment size and efficiency.
//!
//! ```text
//! cargo run --example mtu                                 all kinds compared, on Ethernet
//! cargo run --example mtu -- --link 1492 --tunnel ipip,src=198.51.100.1,dst=203.0.113.2
//! ```
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "a program may stop on a bug of its own; the library may not"
)]

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use ipencap::mtu::{Efficiency, Overhead};
use serde_json::{Value, json};

#[path = "support/args.rs"]
mod args;
#[allow(dead_code, reason = "the other example wraps packets too")]
#[path = "support/spec.rs"]
mod spec;

use args::Failure;
use spec::Spec;

const HELP: &str = "\
SPEC is kind,key=value,... as of the example 'capture'; see its 'encap --help'.

Example:
  cargo run --example mtu -- --link 1500 --tunnel ipip,src=198.51.100.1,dst=203.0.113.2";

/// Says what tunnels cost on a link: overhead, inner MTU, TCP segment size, efficiency.
///
/// Without a tunnel: all kinds compared, and their headers drawn to scale.
#[derive(Parser)]
#[command(name = "mtu", version, after_help = HELP)]
struct Arguments {
    /// The MTU of a link in bytes; may be repeated [default: 1500]
    #[arg(long = "link", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_535))]
    links: Vec<u32>,
    /// A tunnel: kind,key=value,...; several are one stack, the first is the innermost
    #[arg(long = "tunnel", value_name = "SPEC", value_parser = Spec::parse)]
    tunnels: Vec<Spec>,
    /// Prints an array of JSON objects instead of a table
    #[arg(long)]
    json: bool,
}

/// A tunnel, or a stack of them, by name.
struct Stack {
    name: String,
    /// Outermost first: names and lengths in bytes.
    headers: Vec<(&'static str, usize)>,
    overhead: Overhead,
}

/// The comparison: each kind by its specifications, innermost first.
const KINDS: [(&str, &[&str]); 17] = [
    ("plain", &[]),
    ("minenc, own source", &["minenc,keep_source=no"]),
    ("minenc", &["minenc"]),
    ("ipip", &["ipip"]),
    ("ipip x2", &["ipip", "ipip"]),
    ("ipip x3", &["ipip", "ipip", "ipip"]),
    ("gre", &["gre"]),
    ("gre with key", &["gre,key=1"]),
    ("gre with all", &["gre,key=1,csum=yes,seq=yes"]),
    ("fou", &["fou,dport=5555"]),
    ("gue", &["gue"]),
    ("ipip in fou", &["ipip", "fou,dport=5555"]),
    ("ipip in gue", &["ipip", "gue"]),
    ("tcp", &["tcp,sport=40001,dport=443"]),
    (
        "tcp, timestamps",
        &["tcp,sport=40001,dport=443,timestamps=yes"],
    ),
    (
        "tcp stream",
        &["tcp,sport=40001,dport=443,framing=exclusive"],
    ),
    (
        "tcp stream, ts",
        &["tcp,sport=40001,dport=443,framing=exclusive,timestamps=yes"],
    ),
];

fn main() -> ExitCode {
    args::run("mtu", |arguments: Arguments| {
        let stacks = if arguments.tunnels.is_empty() {
            comparison()?
        } else {
            vec![Stack::of(named(&arguments.tunnels), &arguments.tunnels)]
        };
        let links = if arguments.links.is_empty() {
            vec![1500]
        } else {
            arguments.links
        };
        let text = if arguments.json {
            let rows = stacks
                .iter()
                .flat_map(|stack| links.iter().map(|&link| stack.json(link)));
            format!("{:#}\n", Value::Array(rows.collect()))
        } else {
            table(&stacks, &links)
        };
        io::stdout()
            .write_all(text.as_bytes())
            .map_err(|error| Failure::new(format_args!("cannot write standard output: {error}")))?;
        Ok(ExitCode::SUCCESS)
    })
}

fn comparison() -> Result<Vec<Stack>, Failure> {
    let ends = ",src=198.51.100.1,dst=203.0.113.2";
    let stack = |&(name, specs): &(&str, &[&str])| {
        let tunnels = specs
            .iter()
            .map(|spec| Spec::parse(&format!("{spec}{ends}")).map_err(Failure::new))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Stack::of(name.to_owned(), &tunnels))
    };
    KINDS.iter().map(stack).collect()
}

/// `ipip in fou`: the innermost first.
fn named(tunnels: &[Spec]) -> String {
    let kinds: Vec<&str> = tunnels.iter().map(Spec::kind).collect();
    kinds.join(" in ")
}

impl Stack {
    fn of(name: String, tunnels: &[Spec]) -> Self {
        let outermost_first = || tunnels.iter().rev();
        Self {
            name,
            headers: outermost_first()
                .flat_map(|tunnel| tunnel.headers().iter().copied())
                .collect(),
            overhead: tunnels.iter().fold(Overhead::NONE, |inside, tunnel| {
                Overhead::of_bytes(tunnel.encapsulator().overhead()).around(inside)
            }),
        }
    }

    fn json(&self, link: u32) -> Value {
        json!({
            "name": self.name,
            "link": link,
            "overhead": self.overhead.bytes(),
            "inner_mtu": self.overhead.inner_mtu(link),
            "tcp_mss": self.overhead.tcp_mss(link),
            "efficiency": self.overhead.efficiency(link).map(Efficiency::ratio),
        })
    }

    fn row(&self, link: u32) -> String {
        let or_none = |value: Option<u32>| value.map_or("-".to_owned(), |value| value.to_string());
        let share = |efficiency: Option<Efficiency>| {
            efficiency.map_or("-".to_owned(), |efficiency| {
                format!("{:.2} %", efficiency.ratio() * 100.0)
            })
        };
        format!(
            "  {:<20} {:>6} {:>9} {:>10} {:>8} {:>11} {:>12}\n",
            self.name,
            link,
            or_none(self.overhead.bytes()),
            or_none(self.overhead.inner_mtu(link)),
            or_none(self.overhead.tcp_mss(link)),
            share(self.overhead.efficiency(link)),
            share(self.overhead.ethernet_efficiency(link)),
        )
    }

    /// A column a byte; every header begins with a bar.
    fn drawing(&self) -> String {
        let headers = self.headers.iter().map(|&(name, len)| {
            let label: String = name.chars().take(len - 1).collect();
            format!("|{label:<width$}", width = len - 1)
        });
        format!(
            "  {:<20} {}| inner packet\n",
            self.name,
            headers.collect::<String>()
        )
    }
}

fn table(stacks: &[Stack], links: &[u32]) -> String {
    let mut text = format!(
        "  {:<20} {:>6} {:>9} {:>10} {:>8} {:>11} {:>12}\n  {}\n",
        "tunnel",
        "link",
        "overhead",
        "inner MTU",
        "TCP MSS",
        "of packet",
        "of Ethernet",
        "─".repeat(82)
    );
    for stack in stacks {
        for &link in links {
            text += &stack.row(link);
        }
    }
    text += "\nHeaders to scale, a column a byte:\n";
    for stack in stacks {
        text += &stack.drawing();
    }
    text
}
