//! A VPN: a TUN device on one side, tunnels over sockets on the other, and the library's endpoint between
//! them.
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a program may stop on a bug of its own; the library may not"
)]
#![allow(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "places and lengths are small"
)]
#![allow(
    clippy::missing_inline_in_public_items,
    reason = "nobody depends on this crate"
)]

use core::hash::{BuildHasher, Hasher};
use std::hash::RandomState;
use std::process::ExitCode;

mod args;
mod check;
mod config;
mod cost;
mod device;
mod draft;
mod engine;
mod file;
mod fits;
mod help;
mod judge;
mod layers;
mod ledger;
mod links;
mod membership;
mod parts;
mod peers;
mod place;
mod routes;
mod run;
mod sockets;
mod table;
mod timers;
mod values;
mod warnings;
mod ways;

use args::Asked;

/// The name in front of every message.
const PROGRAM: &str = "ipencap-vpn";

/// Runs the program with the arguments of the process.
#[must_use]
pub fn run() -> ExitCode {
    match args::parse() {
        Ok(Asked::Text(text)) => match ipencap_cli::failure::print(&text) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => failure.report(PROGRAM),
        },
        Ok(Asked::Check {
            config,
            warnings,
            json,
        }) => match check::run(&config, &warnings, json) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => failure.report(PROGRAM),
        },
        Ok(Asked::Run {
            config,
            warnings,
            file,
        }) => {
            for warning in &warnings {
                say(warning);
            }
            run::vpn(config, file)
        }
        Err(failure) => failure.report(PROGRAM),
    }
}

/// A line for the person who runs the program.
fn say(line: &str) {
    print_line(&format!("{PROGRAM}: {line}"));
}

/// A line for programs that read ours.
fn print_line(line: &str) {
    ipencap_cli::failure::say(line);
}

/// A number that nobody can guess: the system seeds the hasher.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
