//! The program `balance`.

use core::hash::{BuildHasher, Hasher};
use std::hash::RandomState;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgGroup, Command, value_parser};
use ipencap::Span;
use ipencap::encap::AnyTunnel;
use ipencap::time::Instant;
use ipencap_balance::{Backend, Balancer, Begun, Set, Tables, VipEntry};
use ipencap_cli::capture::{Timestamp, link};
use ipencap_cli::failure::{Failure, print};
use ipencap_cli::input::{Input, refuse_same_file};
use ipencap_cli::output::Output;

use super::live::{Until, of_device};
use super::{Balance, Engine, Layout, Out, Report};
use crate::Config;

const PROGRAM: &str = "balance";

/// Room for 64 thousand connections that begin while a backend is drained: 256 KiB.
const SETS: usize = 8192;

/// Runs the program with the arguments of the process.
#[must_use]
pub fn run() -> ExitCode {
    match parse().and_then(execute) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(PROGRAM),
    }
}

struct Arguments {
    config: PathBuf,
    source: Source,
    json: bool,
}

/// Where packets come from.
enum Source {
    Capture { from: PathBuf, to: Option<PathBuf> },
    Device { name: String, until: Until },
}

fn parse() -> Result<Option<Arguments>, Failure> {
    let parser = Command::new(PROGRAM)
        .version(env!("CARGO_PKG_VERSION"))
        .about("Sends packets to virtual IPs (VIPs) on to backends, by Maglev hashing, and shows how they spread")
        .after_help(HELP)
        .args([
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .help("The services and backends, the same file as of `xdp attach`")
                .value_parser(value_parser!(PathBuf))
                .required(true),
            Arg::new("capture")
                .long("capture")
                .value_name("FILE")
                .help("Read packets from a capture, pcap or pcapng; - is standard input")
                .value_parser(value_parser!(PathBuf)),
            Arg::new("write")
                .long("write")
                .value_name("FILE")
                .help("Write what would be sent, to backends and to clients, to a capture")
                .requires("capture")
                .value_parser(value_parser!(PathBuf)),
            Arg::new("device")
                .long("device")
                .value_name("NAME")
                .help("Read packets from a network interface, and send them; needs root"),
            Arg::new("packets")
                .long("packets")
                .value_name("N")
                .help("With --device: end after so many packets to VIPs")
                .requires("device")
                .value_parser(value_parser!(u64)),
            Arg::new("seconds")
                .long("seconds")
                .value_name("N")
                .help("With --device: end after so many seconds")
                .requires("device")
                .value_parser(value_parser!(u64)),
            Arg::new("json")
                .long("json")
                .help("Print one JSON object instead of the table")
                .action(ArgAction::SetTrue),
        ])
        .group(ArgGroup::new("source").args(["capture", "device"]).required(true));
    let mut of = match parser.try_get_matches() {
        Ok(of) => of,
        Err(asked) if !asked.use_stderr() => {
            print(&asked.to_string())?;
            return Ok(None);
        }
        Err(wrong) => {
            let text = wrong.to_string();
            let first = text.split("\n\n").next().unwrap_or_default();
            return Err(Failure::new(first.trim_start_matches("error: ")));
        }
    };
    let missing = || Failure::new("an argument is missing");
    Ok(Some(Arguments {
        config: of.remove_one("config").ok_or_else(missing)?,
        source: match of.remove_one("capture") {
            Some(from) => Source::Capture {
                from,
                to: of.remove_one("write"),
            },
            None => Source::Device {
                name: of.remove_one("device").ok_or_else(missing)?,
                until: Until {
                    packets: of.remove_one("packets"),
                    seconds: of.remove_one("seconds"),
                },
            },
        },
        json: of.get_flag("json"),
    }))
}

const HELP: &str = "\
Try it, without root:

  balance --config examples/xdp/data/balance.toml --capture examples/xdp/data/clients.pcap

A packet to a VIP is wrapped into IP-in-IP or GUE to the backend of its flow. An ICMP error to a VIP goes to the backend
of the flow that it quotes. A packet that is too long is answered with the MTU that fits, or split if it has no DF flag.
Packets to other addresses are left alone.

With --device the addresses of the VIPs must lead to this host, but it should not have them: else it answers itself. It
ends by Ctrl-C, or after --packets or --seconds, and prints the table then.

The device must not merge packets: switch that off by ethtool -K NAME gro off. If clients are on this machine, as
containers are, their devices must not either: ethtool -K THEIR_DEVICE tx off tx-udp-segmentation off. Merged packets
that are longer than the device's MTU are dropped and counted; shorter ones are not recognized, and datagrams in them
arrive as one. UDP and TCP checksums that a client on this machine has left to its device are computed.";

fn execute(arguments: Option<Arguments>) -> Result<(), Failure> {
    let Some(Arguments {
        config: path,
        source,
        json,
    }) = arguments
    else {
        return Ok(());
    };
    let wrong = |error: crate::Failure| Failure::new(error);
    let Config::Balance(config) = Config::read(&path).map_err(wrong)? else {
        return Err(Failure::new(format_args!(
            "{}: this is for another program: it has no program = \"balance\"",
            path.display()
        )));
    };
    let layout = Layout::new(&config)
        .map_err(|error| Failure::new(format_args!("{}: {error}", path.display())))?;
    let mut memory = Memory::new(&config, &layout)
        .map_err(|error| Failure::new(format_args!("{}: {error}", path.display())))?;
    let mut engine = memory.engine(&config, &layout).map_err(wrong)?;
    match source {
        Source::Capture { from, to } => of_capture(&mut engine, &from, to.as_deref())?,
        Source::Device { name, until } => of_device(&mut engine, &name, until)?,
    }
    let report = Report {
        backends: &layout.backends,
        counts: engine.counts().collect(),
        tally: engine.tally(),
    };
    if json {
        print(&format!("{}\n", report.json()))
    } else {
        print(&report.table())
    }
}

/// What a balancer borrows.
pub(super) struct Memory {
    entries: Vec<VipEntry>,
    sets: Vec<Set>,
    backends: Vec<Backend<AnyTunnel>>,
}

impl Memory {
    pub(super) fn new(config: &Balance, layout: &Layout) -> Result<Self, String> {
        let backend = |&address| {
            config
                .tunnel_to(address)
                .map(Backend::new)
                .map_err(|error| format!("the tunnel from {} to {address}: {error}", config.source))
        };
        Ok(Self {
            entries: Vec::new(),
            sets: vec![[0; 8]; SETS],
            backends: layout
                .backends
                .iter()
                .map(backend)
                .collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn engine<'m>(
        &'m mut self,
        config: &Balance,
        layout: &'m Layout,
    ) -> Result<Engine<'m>, crate::Failure> {
        let tables = Tables {
            vips: layout.vips(&mut self.entries)?,
            slots: &layout.slots,
            begun: Begun::new(&mut self.sets),
            seed: config.seed,
        };
        let balancer = Balancer {
            tables,
            backends: &mut self.backends,
        };
        // Random: a key of the system's.
        let key = RandomState::new().build_hasher().finish();
        Ok(Engine::new(balancer, key))
    }
}

/// Balances the packets of a capture.
fn of_capture(engine: &mut Engine<'_>, from: &Path, to: Option<&Path>) -> Result<(), Failure> {
    if let Some(to) = to {
        refuse_same_file(from, to)?;
    }
    let mut input = Input::open(from)?;
    let mut output = to.map(Output::create).transpose()?;
    let mut buffer = vec![0; Engine::HEADROOM];
    let mut outcome = Ok(());
    while let Some(record) = input.next_record()? {
        let Some(packet) = link::ipv4_packet(record.link_type, record.frame) else {
            engine.pass_over();
            continue;
        };
        buffer.truncate(Engine::HEADROOM);
        buffer.extend_from_slice(packet);
        let time = record.time;
        let span = Span::new(Engine::HEADROOM, packet.len());
        engine.take(instant(time), &mut buffer, span, |out| {
            let (Out::Backend(bytes) | Out::Client(bytes)) = out;
            if let (Some(output), Ok(())) = (&mut output, &outcome) {
                outcome = output.packet(time, bytes);
            }
        });
    }
    outcome?;
    output.as_mut().map_or(Ok(()), Output::flush)
}

fn instant(time: Timestamp) -> Instant {
    Instant::from_millis(u64::from(time.seconds) * 1000 + u64::from(time.microseconds / 1000))
}
