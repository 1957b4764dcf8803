//! Captures into tunnels, out of tunnels, and a look at what is inside.
//!
//! ```text
//! cargo run --example capture                 a tour through every kind of tunnel
//! cargo run --example capture -- dissect IN   the headers of each packet, as JSON
//! cargo run --example capture -- encap --tunnel ipip,src=198.51.100.1,dst=203.0.113.2 IN OUT
//! cargo run --example capture -- decap --tunnel ipip,src=198.51.100.1,dst=203.0.113.2 IN OUT
//! cargo run --example capture -- stream --framing exclusive IN OUT
//! cargo run --example capture -- unstream --framing exclusive IN OUT
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
use ipencap::stream::StreamFraming;

#[path = "support/mod.rs"]
mod support;

use support::args::{self, Failure};
use support::dissect::Ports;
use support::spec::Spec;
use support::{dissect, stream, tour, tunnel};

const TOUR_HELP: &str = "\
Example:
  cargo run --example capture";

const DISSECT_HELP: &str = "\
Example:
  cargo run --example capture -- dissect examples/data/lan.pcap";

const STREAM_HELP: &str = "\
Example:
  cargo run --example capture -- stream --framing exclusive examples/data/lan.pcap /tmp/lan.stream";

const UNSTREAM_HELP: &str = concat!(
    "\
Example:
  cargo run --example capture -- stream --framing exclusive examples/data/lan.pcap - ",
    "| cargo run --example capture -- unstream --framing exclusive - /tmp/lan.pcap"
);

/// The keys of a specification, and then the example of either command.
macro_rules! tunnel_help {
    ($example:literal) => {
        concat!(
            "\
SPEC is kind,key=value,... with these kinds and their keys [defaults]:
  ipip                     IPv4 in IPv4, RFC 2003
  fou                      IPv4 in UDP
    dport=1..65535         destination port
    sport=0..65535|auto    source port [auto: by a hash of the inner flow]
    csum=lco|full|zero     UDP checksum: from headers, over all bytes, none [lco]
  gue                      IPv4 in UDP behind a GUE header; the keys of fou
    dport=1..65535         destination port [6080]
    variant=0|1            with a 4-byte header, or IPv4 directly [0]
  gre                      IPv4 in GRE, RFC 2784 and 2890
    key=0..4294967295      a key [none]
    csum=yes|no            a checksum [no]
    seq=yes|no             a sequence number, from 0 [no]
  tcp                      IPv4 in one TCP segment
    sport=N  dport=N       ports
    seq=N  ack=N           numbers; seq advances by the payload [0, 0]
    window=0..65535        window [512]
    timestamps=yes|no      timestamps option, or ts=VALUE:ECHO [no]
    framing=none|exclusive|inclusive   16-bit length in front of the packet [none]
  minenc                   minimal encapsulation, RFC 2004: src, dst, forward and
    keep_source=yes|no     carry the original source [yes]
Keys of all kinds but minenc:
    src=A  dst=B           outer addresses; for decap, src is the peer and dst is here
    ttl=1..255|inherit     outer TTL [64]
    dscp=copy|0..63        outer DSCP [copy; tcp: 0]
    ecn=normal|compat|rfc3168   outer ECN [normal; tcp: compat]
    df=set|copy            outer DF [set]
    id=0..65535            outer identification [0 with DF, else counted from 1]
    forward=yes|no         whether the inner TTL is decremented [no]
    mtu=1..65535           refuse packets that would be longer [no limit]
Keys for decap, of all kinds:
    inner=PREFIX           inner sources to accept; may be repeated [0.0.0.0/0]
    multicast=yes|no       accept inner packets to groups [no]
    nested=transit|refuse  other people's tunnels inside [transit]

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
        /// A UDP destination port behind which IPv4 packets are shown; may be repeated
        #[arg(long, value_name = "N")]
        fou_port: Vec<u16>,
        /// A UDP destination port behind which GUE packets are shown; may be repeated
        #[arg(long, value_name = "N")]
        gue_port: Vec<u16>,
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
    /// Writes the packets as the byte stream that a TCP connection would carry
    #[command(after_help = STREAM_HELP)]
    Stream(Streamed),
    /// Reads such a byte stream back into a capture
    #[command(after_help = UNSTREAM_HELP)]
    Unstream(Streamed),
}

#[derive(clap::Args)]
struct Streamed {
    /// How the packets are told apart
    #[arg(long)]
    framing: Framing,
    /// What to read, or - for standard input
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// What to write, or - for standard output
    #[arg(value_name = "OUT")]
    output: PathBuf,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Framing {
    /// A 16-bit length of the packet (OpenVPN, RFC 4571)
    Exclusive,
    /// A 16-bit length that counts itself, behind a magic (RFC 9329)
    Inclusive,
    /// Each packet's own total length
    Bare,
}

impl Framing {
    const fn of_library(self) -> StreamFraming {
        match self {
            Self::Exclusive => StreamFraming::Exclusive,
            Self::Inclusive => StreamFraming::Inclusive,
            Self::Bare => StreamFraming::Bare,
        }
    }
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
            Some(Command::Dissect {
                input,
                fou_port,
                gue_port,
            }) => {
                let ports = Ports {
                    fou: fou_port,
                    gue: gue_port,
                };
                dissect::run(&input, &ports)?;
            }
            Some(Command::Stream(of)) => {
                stream::write(of.framing.of_library(), &of.input, &of.output)?;
            }
            Some(Command::Unstream(of)) => {
                stream::read(of.framing.of_library(), &of.input, &of.output)?;
            }
            Some(Command::Encap(of)) => tunnel::encap(&of.tunnels, &of.input, &of.output)?,
            Some(Command::Decap(of)) => tunnel::decap(&of.tunnels, &of.input, &of.output)?,
        }
        Ok::<_, Failure>(ExitCode::SUCCESS)
    })
}
