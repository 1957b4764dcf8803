//! Captures into tunnels, out of tunnels, and a look at what is inside.
//!
//! ```text
//! cargo run --example capture                 a tour through every kind of tunnel
//! cargo run --example capture -- dissect IN   the headers of each packet, as JSON
//! cargo run --example capture -- encap --tunnel ipip,src=198.51.100.1,dst=203.0.113.2 IN OUT
//! cargo run --example capture -- decap --tunnel ipip,src=198.51.100.1,dst=203.0.113.2 IN OUT
//! ```
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a program may stop on a bug of its own; the library may not"
)]
#![allow(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "timestamps wrap by the definition of the file format"
)]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[path = "support/mod.rs"]
mod support;

use support::args::{self, Failure};
use support::spec::Spec;
use support::{dissect, tour, tunnel};

const TOUR_HELP: &str = "\
Example:
  cargo run --example capture";

const DISSECT_HELP: &str = "\
Example:
  cargo run --example capture -- dissect examples/data/lan.pcap";

/// The keys of a specification, and then the example of either command.
macro_rules! tunnel_help {
    ($example:literal) => {
        concat!(
            "\
SPEC is kind,key=value,... with these kinds and keys [defaults]:
  ipip                     IPv4 in IPv4, RFC 2003
    src=A  dst=B           outer addresses; for decap, src is the peer and dst is here
    ttl=1..255|inherit     outer TTL [64]
    dscp=copy|0..63        outer DSCP [copy]
    ecn=normal|compat|rfc3168   outer ECN [normal]
    df=set|copy            outer DF [set]
    id=0..65535            outer identification [0 with DF, else counted from 1]
    forward=yes|no         whether the inner TTL is decremented [no]
    mtu=1..65535           refuse packets that would be longer [no limit]
    inner=PREFIX           decap: inner sources to accept; may be repeated [0.0.0.0/0]
    multicast=yes|no       decap: accept inner packets to groups [no]
    nested=transit|refuse  decap: other people's tunnels inside [transit]

Example:
  ",
            $example
        )
    };
}

/// Wraps the packets of a capture into tunnels, takes them out again, and shows what is inside.
///
/// Without a command: a tour. It sends a capture of ordinary LAN traffic through every kind of
/// tunnel and out again, compares every byte, and leaves captures for Wireshark.
#[derive(Parser)]
#[command(name = "capture", version, propagate_version = true)]
#[command(args_conflicts_with_subcommands = true, after_help = TOUR_HELP)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Where the tour writes its captures [default: ipencap-tour in cargo's target directory]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Prints the headers of each packet as one JSON object a line
    #[command(after_help = DISSECT_HELP)]
    Dissect {
        /// A pcap or pcapng file, or - for standard input
        #[arg(value_name = "IN")]
        input: PathBuf,
    },
    /// Wraps each IPv4 packet by the first tunnel, the result by the second, and so on
    #[command(after_help = tunnel_help!(
        "cargo run --example capture -- encap --tunnel ipip,src=198.51.100.1,dst=203.0.113.2 \
         examples/data/lan.pcap /tmp/tunnelled.pcap"
    ))]
    Encap(Tunnelled),
    /// Takes each packet out of the tunnels of the same specifications, the last one first
    #[command(after_help = tunnel_help!(
        "cargo run --example capture -- encap --tunnel ipip,src=198.51.100.1,dst=203.0.113.2 \
         examples/data/lan.pcap - | cargo run --example capture -- decap --tunnel \
         ipip,src=198.51.100.1,dst=203.0.113.2 - /tmp/inner.pcap"
    ))]
    Decap(Tunnelled),
}

#[derive(clap::Args)]
struct Tunnelled {
    /// A tunnel: kind,key=value,...; the first is the innermost
    #[arg(long = "tunnel", value_name = "SPEC", required = true, value_parser = Spec::parse)]
    tunnels: Vec<Spec>,
    /// A pcap or pcapng file, or - for standard input
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// The pcap file to write, or - for standard output
    #[arg(value_name = "OUT")]
    output: PathBuf,
}

fn main() -> ExitCode {
    args::run("capture", |arguments: Arguments| {
        match arguments.command {
            None => return tour::run(arguments.out.as_deref()),
            Some(Command::Dissect { input }) => dissect::run(&input)?,
            Some(Command::Encap(of)) => tunnel::encap(&of.tunnels, &of.input, &of.output)?,
            Some(Command::Decap(of)) => tunnel::decap(&of.tunnels, &of.input, &of.output)?,
        }
        Ok::<_, Failure>(ExitCode::SUCCESS)
    })
}
