//! The arguments: what is asked for, or one line about what is wrong.
//!
//! clap's builder and not its derive macros: these take longer to compile than all the rest.

use core::net::Ipv4Addr;
use std::path::PathBuf;

use clap::builder::PossibleValue;
use clap::{Arg, ArgAction, ArgMatches, Command as Parser, value_parser};
use ipencap::mss::MIN_MSS;
use ipencap::pmtu::PathMtuConfig;
use ipencap::stream::StreamFraming;
use ipencap::tunnel::{MssPolicy, MtuPolicy};
use ipencap::wire::is_unicast;

use crate::failure::Failure;
use crate::help;
use crate::tunnel::{Policy, Spec, prefix};
use crate::walk::Ports;

/// What the arguments ask for.
pub(crate) enum Asked {
    /// Help or the version.
    Text(String),
    /// Work.
    Command(Command),
}

pub(crate) enum Command {
    /// Without a command.
    Tour {
        out: Option<PathBuf>,
    },
    Dissect {
        input: PathBuf,
        ports: Ports,
    },
    Draw {
        input: PathBuf,
        packet: Option<u64>,
        ports: Ports,
    },
    Encap(Tunnelled),
    Decap(Tunnelled),
    Stream(Streamed),
    Unstream(Streamed),
    Mtu {
        links: Vec<u32>,
        tunnels: Vec<Spec>,
        json: bool,
    },
    Endpoint {
        tunnels: Vec<Spec>,
        policy: Policy,
    },
}

pub(crate) struct Tunnelled {
    pub(crate) tunnels: Vec<Spec>,
    pub(crate) input: PathBuf,
    pub(crate) output: PathBuf,
}

pub(crate) struct Streamed {
    pub(crate) framing: StreamFraming,
    pub(crate) input: PathBuf,
    pub(crate) output: PathBuf,
}

/// Reads the arguments of the process.
pub(crate) fn parse() -> Result<Asked, Failure> {
    match parser().try_get_matches() {
        Ok(mut arguments) => Ok(Asked::Command(command(&mut arguments))),
        Err(asked) if !asked.use_stderr() => Ok(Asked::Text(asked.to_string())),
        Err(wrong) => Err(Failure::new(first_paragraph(&wrong.to_string()))),
    }
}

fn command(arguments: &mut ArgMatches) -> Command {
    let Some((name, mut of)) = arguments.remove_subcommand() else {
        return Command::Tour {
            out: arguments.remove_one("out"),
        };
    };
    let of = &mut of;
    match name.as_str() {
        "dissect" => Command::Dissect {
            input: path(of, "IN"),
            ports: ports(of),
        },
        "draw" => Command::Draw {
            input: path(of, "IN"),
            packet: of.remove_one("packet"),
            ports: ports(of),
        },
        "encap" => Command::Encap(tunnelled(of)),
        "decap" => Command::Decap(tunnelled(of)),
        "stream" => Command::Stream(streamed(of)),
        "unstream" => Command::Unstream(streamed(of)),
        "endpoint" => Command::Endpoint {
            tunnels: all(of, "tunnel"),
            policy: policy(of),
        },
        // clap lets no other name through.
        _ => Command::Mtu {
            links: all(of, "link"),
            tunnels: all(of, "tunnel"),
            json: of.get_flag("json"),
        },
    }
}

fn parser() -> Parser {
    Parser::new("ipencap")
        .version(env!("CARGO_PKG_VERSION"))
        .propagate_version(true)
        .args_conflicts_with_subcommands(true)
        .about("Wraps the packets of a capture into tunnels, takes them out again, and shows what is inside")
        .long_about(
            "Wraps the packets of a capture into tunnels, takes them out again, and shows what is inside.\n\n\
             Without a command it gives a tour: it sends a bundled capture of LAN traffic through every kind of \
             tunnel and out again, compares every byte, and writes captures that Wireshark opens.",
        )
        .after_help(help::tour())
        .arg(
            option("out", "DIR", "Where the tour writes its captures [default: ipencap-tour in cargo's target directory, or else in the directory for temporary files]")
                .value_parser(value_parser!(PathBuf)),
        )
        .subcommand(
            Parser::new("dissect")
                .about("Prints the headers of each packet as one JSON object a line")
                .after_help(help::dissect())
                .args([capture(), fou_port(), gue_port()]),
        )
        .subcommand(
            Parser::new("draw")
                .about("Draws one packet, layer by layer")
                .after_help(help::draw())
                .arg(
                    option("packet", "N", "The number of the packet, counted from 1 [default: the first packet with a tunnel, or else the first packet]")
                        .value_parser(value_parser!(u64).range(1..)),
                )
                .args([capture(), fou_port(), gue_port()]),
        )
        .subcommand(
            Parser::new("encap")
                .about("Wraps each IPv4 packet in the first tunnel, the result in the second, and so on")
                .after_help(help::encap())
                .args([tunnel().required(true), capture(), pcap_out()]),
        )
        .subcommand(
            Parser::new("decap")
                .about("Unwraps each packet: takes the same --tunnel options as encap, and removes the last tunnel first")
                .after_help(help::decap())
                .args([tunnel().required(true), capture(), pcap_out()]),
        )
        .subcommand(
            Parser::new("stream")
                .about("Writes the packets as the byte stream that a TCP connection would carry")
                .after_help(help::stream())
                .args([framing(), capture(), file("OUT", "The file to write, or - for standard output")]),
        )
        .subcommand(
            Parser::new("unstream")
                .about("Reads the byte stream that 'stream' writes back into a capture")
                .after_help(help::unstream())
                .args([framing(), file("IN", "The byte stream, or - for standard input"), pcap_out()]),
        )
        .subcommand(
            Parser::new("mtu")
                .about("Shows what tunnels cost on a link: overhead, inner MTU, TCP segment size, efficiency")
                .long_about(
                    "Shows what tunnels cost on a link: overhead, inner MTU, TCP segment size, efficiency.\n\n\
                     Without --tunnel it compares all kinds and draws their headers to scale.",
                )
                .after_help(help::mtu())
                .args([
                    option("link", "N", "The MTU of a link in bytes; may be repeated [default: 1500]")
                        .value_parser(value_parser!(u32).range(1..=65_535))
                        .action(ArgAction::Append),
                    tunnel(),
                    Arg::new("json")
                        .long("json")
                        .help("Prints an array of JSON objects instead of a table")
                        .action(ArgAction::SetTrue),
                ]),
        )
        .subcommand(endpoint())
}

fn endpoint() -> Parser {
    Parser::new("endpoint")
        .about("Shows what one end of a tunnel does with each packet of a script: send, split, answer, drop, deliver")
        .after_help(help::endpoint())
        .args([
            tunnel().required(true),
            option("allowed", "PREFIX", "Inner sources that the peer may use; may be repeated [default: 0.0.0.0/0]")
                .value_parser(prefix)
                .action(ArgAction::Append),
            option("link-mtu", "N", "The MTU in bytes of the link by which the outer packets leave")
                .value_parser(value_parser!(u16).range(68..))
                .default_value("1500"),
            option("mtu", "discover|N", "The MTU in bytes of the path, for outer packets: learnt from what routers and the system report, or fixed (at most that of the link)")
                .value_parser(mtu_policy)
                .default_value("discover"),
            option("mss", "off|path|N", "Lower the MSS option of inner SYN segments, both ways: not at all, to what fits the path, or also to N bytes")
                .value_parser(mss_policy)
                .default_value("path"),
            Arg::new("reassemble")
                .long("reassemble")
                .help("Join outer fragments [default: drop them]")
                .action(ArgAction::SetTrue),
            option("icmp-source", "A", "The address that ICMP errors to inner sources come from [default: src of the last SPEC]")
                .value_parser(icmp_source),
            option("seed", "N", "Permute identifications, and draw the rate limit of ICMP errors, by this key [default: count from 1]")
                .value_parser(value_parser!(u64)),
        ])
}

/// `discover`, or the MTU of the path.
fn mtu_policy(text: &str) -> Result<MtuPolicy, String> {
    match (text, text.parse()) {
        ("discover", _) => Ok(MtuPolicy::Discover(PathMtuConfig::DEFAULT)),
        (_, Ok(mtu)) if mtu >= 68 => Ok(MtuPolicy::Static(mtu)),
        _ => Err("expected discover, or 68 to 65535".to_owned()),
    }
}

/// `off`, `path`, or the most that a segment may carry.
fn mss_policy(text: &str) -> Result<MssPolicy, String> {
    match (text, text.parse()) {
        ("off", _) => Ok(MssPolicy::Off),
        ("path", _) => Ok(MssPolicy::Path),
        (_, Ok(most)) if most >= MIN_MSS => Ok(MssPolicy::AtMost(most)),
        _ => Err(format!("expected off, path, or {MIN_MSS} to 65535")),
    }
}

fn icmp_source(text: &str) -> Result<Ipv4Addr, String> {
    text.parse()
        .ok()
        .filter(|address| is_unicast(*address))
        .ok_or_else(|| "expected the IPv4 address of a host".to_owned())
}

fn option(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help)
}

fn file(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .value_name(name)
        .help(help)
        .required(true)
        .value_parser(value_parser!(PathBuf))
}

fn capture() -> Arg {
    file("IN", "A pcap or pcapng file, or - for standard input")
}

fn pcap_out() -> Arg {
    file("OUT", "The pcap file to write, or - for standard output")
}

fn tunnel() -> Arg {
    let help = "A tunnel: kind,key=value,...; the first is the innermost; may be repeated";
    option("tunnel", "SPEC", help)
        .value_parser(Spec::parse)
        .action(ArgAction::Append)
}

fn fou_port() -> Arg {
    let help = "Look for IPv4 packets in UDP to this destination port; may be repeated";
    port("fou-port", help)
}

fn gue_port() -> Arg {
    let help = "Look for GUE in UDP to this destination port; may be repeated";
    port("gue-port", help)
}

fn port(name: &'static str, help: &'static str) -> Arg {
    option(name, "N", help)
        .value_parser(value_parser!(u16))
        .action(ArgAction::Append)
}

fn framing() -> Arg {
    let values = [
        PossibleValue::new("exclusive").help("The packet's length in 16 bits (OpenVPN, RFC 4571)"),
        PossibleValue::new("inclusive")
            .help("A 16-bit length that includes its own two bytes; the stream begins with the six bytes IKETCP (RFC 9329)"),
        PossibleValue::new("bare").help("Nothing: each packet's own total length"),
    ];
    option("framing", "FRAMING", "What goes in front of each packet")
        .required(true)
        .value_parser(values)
}

fn path(of: &mut ArgMatches, name: &str) -> PathBuf {
    // clap has made sure that it is there.
    of.remove_one(name).unwrap_or_default()
}

fn all<T: Clone + Send + Sync + 'static>(of: &mut ArgMatches, name: &str) -> Vec<T> {
    of.remove_many(name)
        .map_or_else(Vec::new, Iterator::collect)
}

fn ports(of: &mut ArgMatches) -> Ports {
    Ports {
        fou: all(of, "fou-port"),
        gue: all(of, "gue-port"),
    }
}

fn tunnelled(of: &mut ArgMatches) -> Tunnelled {
    Tunnelled {
        tunnels: all(of, "tunnel"),
        input: path(of, "IN"),
        output: path(of, "OUT"),
    }
}

fn policy(of: &mut ArgMatches) -> Policy {
    Policy {
        allowed: all(of, "allowed"),
        // clap sees to the defaults of these.
        link_mtu: of.remove_one("link-mtu").unwrap_or(1500),
        mtu: of
            .remove_one("mtu")
            .unwrap_or(MtuPolicy::Discover(PathMtuConfig::DEFAULT)),
        mss: of.remove_one("mss").unwrap_or_default(),
        reassemble: of.get_flag("reassemble"),
        icmp_source: of.remove_one("icmp-source"),
        seed: of.remove_one("seed"),
    }
}

fn streamed(of: &mut ArgMatches) -> Streamed {
    let framing: Option<String> = of.remove_one("framing");
    Streamed {
        framing: match framing.as_deref() {
            Some("inclusive") => StreamFraming::Inclusive,
            Some("bare") => StreamFraming::Bare,
            // clap lets no other word through.
            _ => StreamFraming::Exclusive,
        },
        input: path(of, "IN"),
        output: path(of, "OUT"),
    }
}

/// clap spreads a complaint, the usage and a hint over several paragraphs; the first one says it.
fn first_paragraph(complaint: &str) -> String {
    let paragraph: Vec<&str> = complaint
        .lines()
        .map(str::trim)
        .take_while(|line| !line.is_empty())
        .collect();
    let joined = paragraph.join(" ");
    joined.strip_prefix("error: ").unwrap_or(&joined).to_owned()
}
