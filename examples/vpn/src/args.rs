//! The arguments: what is asked for, or one line about what is wrong.
//!
//! clap's builder and not its derive macros: these take longer to compile than all the rest.

use core::net::Ipv4Addr;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command as Parser, value_parser};
use ipencap::decap::Prefix;
use ipencap::pmtu::PathMtuConfig;
use ipencap::tunnel::{MssPolicy, MtuPolicy};
use ipencap_cli::failure::Failure;

use crate::config::Config;
use crate::draft::{Draft, DraftInterface, DraftPeer, Probe};
use crate::layers::Layers;
use crate::place::{Place, Placed, Wrong};
use crate::{file, help, values};

/// What the arguments ask for.
pub(crate) enum Asked {
    /// Help or the version.
    Text(String),
    /// To look at the configuration only.
    Check {
        config: Config,
        warnings: Vec<String>,
        json: bool,
    },
    Run {
        config: Config,
        warnings: Vec<String>,
        /// What to read again on a reload.
        file: Option<PathBuf>,
    },
}

const TUNNEL: Place = Place::Option("--tunnel");
const ALLOWED: Place = Place::Option("--allowed");
const ADDRESS: Place = Place::Option("--address");

/// The name of the peer that no file names.
const PEER: &str = "peer";

/// Reads the arguments of the process.
pub(crate) fn parse() -> Result<Asked, Failure> {
    let mut arguments = match parser().try_get_matches() {
        Ok(arguments) => arguments,
        Err(asked) if !asked.use_stderr() => return Ok(Asked::Text(asked.to_string())),
        Err(wrong) => return Err(Failure::new(first_paragraph(&wrong.to_string()))),
    };
    let of = &mut arguments;
    let routes = !of.get_flag("no-routes");
    let file: Option<PathBuf> = of.remove_one("config");
    let (config, warnings) = match &file {
        Some(path) => file::read(path, routes)?,
        None => one_peer(of, routes)?,
    };
    Ok(if of.get_flag("check") {
        Asked::Check {
            config,
            warnings,
            json: of.get_flag("json"),
        }
    } else {
        Asked::Run {
            config,
            warnings,
            file,
        }
    })
}

/// The configuration of one peer, without a file.
fn one_peer(of: &mut ArgMatches, routes: bool) -> Result<(Config, Vec<String>), Failure> {
    let (config, warnings) = draft(of, routes).map_err(|wrong| wrong.failure(None))?;
    let warnings = warnings.iter().map(|warning| warning.line(None));
    Ok((config, warnings.collect()))
}

fn draft(of: &mut ArgMatches, routes: bool) -> Result<(Config, Vec<Wrong>), Wrong> {
    let texts = placed::<String>(of, "tunnel", TUNNEL);
    let mut layers = Layers::read(&texts, TUNNEL)?;
    let mut allowed = placed::<Prefix>(of, "allowed", ALLOWED);
    allowed.append(&mut layers.inner);
    let mut warnings = Vec::new();
    if allowed.is_empty() {
        warnings.push(Wrong::new(
            ALLOWED,
            "it is missing, so 0.0.0.0/0 is assumed: inner sources of any address are accepted from the peer, and all packets may be routed to it; name the networks behind the peer",
        ));
        allowed.push(Placed::new(Prefix::ANY, ALLOWED));
    }
    let draft = Draft {
        interface: DraftInterface {
            name: of.remove_one("tun"),
            addresses: placed::<(Ipv4Addr, u8)>(of, "address", ADDRESS),
            link_mtu: of.remove_one("link-mtu"),
            offload: true,
            stats_interval: None,
            routes,
        },
        peers: vec![DraftPeer {
            place: TUNNEL,
            name: Placed::new(PEER.to_owned(), TUNNEL),
            texts,
            layers,
            allowed,
            mtu: Placed::new(MtuPolicy::Discover(PathMtuConfig::DEFAULT), TUNNEL),
            mss: MssPolicy::default(),
            keepalive: None,
            probe: Probe::Default,
        }],
        place: TUNNEL,
    };
    let (config, more) = draft.complete()?;
    warnings.extend(more);
    Ok((config, warnings))
}

fn placed<T: Clone + Send + Sync + 'static>(
    of: &mut ArgMatches,
    name: &str,
    place: Place,
) -> Vec<Placed<T>> {
    let values = of.remove_many(name).into_iter().flatten();
    values.map(|value| Placed::new(value, place)).collect()
}

fn parser() -> Parser {
    Parser::new("ipencap-vpn")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Joins networks through IPv4 tunnels: a TUN device on one side, sockets to the peers on the other")
        .after_help(help::text())
        .args([
            option("config", "FILE", "The configuration file, read again on SIGHUP")
                .value_parser(value_parser!(PathBuf)),
            many("tunnel", "SPEC", "Without a file: a tunnel to one peer, kind,key=value,...; the first is the innermost; may be repeated up to four times"),
            option("tun", "NAME", "The name of the TUN device [default: the system chooses one]")
                .value_parser(values::interface_name),
            many("address", "CIDR", "An address of the TUN device, as in 10.0.0.1/24; may be repeated")
                .value_parser(values::cidr),
            many("allowed", "PREFIX", "A network behind the peer: routed to it, and the inner sources that it may use; may be repeated [default: 0.0.0.0/0]")
                .value_parser(values::prefix),
            option("link-mtu", "N", "The MTU in bytes of the link by which outer packets leave [default: the link's own]")
                .value_parser(value_parser!(u16).range(68..)),
            flag("no-routes", "Set no routes to the networks behind the peers"),
            flag("check", "Print what the configuration comes to, with all warnings; open nothing"),
            flag("json", "With --check: print one JSON object").requires("check"),
        ])
        .group(ArgGroup::new("what").args(["config", "tunnel"]).required(true))
        .mut_args(|arg| match arg.get_id().as_str() {
            "tunnel" | "tun" | "address" | "allowed" | "link-mtu" => arg.conflicts_with("config"),
            _ => arg,
        })
}

fn option(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help)
}

fn many(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    option(name, value, help).action(ArgAction::Append)
}

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .help(help)
        .action(ArgAction::SetTrue)
}

/// clap spreads a complaint, the usage and a hint over several paragraphs; the first one says it.
fn first_paragraph(complaint: &str) -> String {
    let paragraph: Vec<&str> = complaint
        .lines()
        .take_while(|line| !line.is_empty())
        .collect();
    let joined = paragraph.join(" ");
    joined.strip_prefix("error: ").unwrap_or(&joined).to_owned()
}
