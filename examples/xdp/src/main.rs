//! Attaches XDP programs to interfaces.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgAction, Command, value_parser};
use ipencap_xdp::{Config, Failure, Mode, attach, detach, objects_folder, replace, stats};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xdp: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Failure> {
    let interface = || Arg::new("interface").value_name("DEV").required(true);
    let program = || {
        [
            interface(),
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .help("Which program, and what stands in its maps")
                .value_parser(value_parser!(PathBuf))
                .required(true),
            Arg::new("objects")
                .long("objects")
                .value_name("FOLDER")
                .help("Where `examples/xdp/build.sh` has put the programs")
                .value_parser(value_parser!(PathBuf)),
        ]
    };
    let matches = Command::new("xdp")
        .version(env!("CARGO_PKG_VERSION"))
        .about("IPv4 tunnels and a load balancer in the kernel, as XDP programs")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("attach")
                .about("Loads a program and attaches it to an interface, where it stays")
                .after_help(
                    "In the driver (native), or behind it (generic) where the driver cannot. `examples/xdp/data/` has \
                     configurations.",
                )
                .args(program()),
        )
        .subcommand(
            Command::new("replace")
                .about("Loads a program and puts it in the place of the attached one of its kind, without a gap")
                .after_help("Counters by reason stay; those of backends begin at zero.")
                .args(program()),
        )
        .subcommand(
            Command::new("stats")
                .about("What became of the packets: opened, wrapped, left to the kernel, dropped by reason")
                .args([
                    interface(),
                    Arg::new("json")
                        .long("json")
                        .help("For programs")
                        .action(ArgAction::SetTrue),
                ]),
        )
        .subcommand(
            Command::new("detach")
                .about("Removes the program from the interface")
                .arg(interface()),
        )
        .get_matches();
    let Some((command, of)) = matches.subcommand() else {
        return Ok(());
    };
    let interface = of
        .get_one::<String>("interface")
        .ok_or_else(|| Failure::new("an interface is missing"))?;
    match command {
        "attach" | "replace" => {
            let path = of
                .get_one::<PathBuf>("config")
                .ok_or_else(|| Failure::new("--config is missing"))?;
            let objects = of
                .get_one::<PathBuf>("objects")
                .cloned()
                .unwrap_or_else(objects_folder);
            let config = Config::read(path)?;
            if command == "replace" {
                replace(&config, &objects, interface)?;
                println!("{} is attached to {interface} instead", config.program());
                return Ok(());
            }
            let mode = attach(&config, &objects, interface)?;
            let how = match mode {
                Mode::Native => "natively",
                Mode::Generic => "generically: the driver has no XDP for it",
            };
            println!("{} is attached to {interface}, {how}", config.program());
        }
        "stats" => {
            let stats = stats(interface)?;
            if of.get_flag("json") {
                println!("{}", stats.json());
            } else {
                print!("{stats}");
            }
        }
        _ => {
            detach(interface)?;
            println!("{interface} has no program any more");
        }
    }
    Ok(())
}
