//! The program `ipencap`: captures into tunnels, out of tunnels, and a look at what is inside; and what one
//! end of a tunnel does with each packet.
//!
//! [`capture`] is meant for tests that read captures, [`tunnel`] and [`failure`] for the VPN, which takes the same
//! specifications of tunnels, [`input`] and [`output`] for the load balancer.
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
#![allow(
    clippy::missing_inline_in_public_items,
    clippy::exhaustive_enums,
    reason = "nobody depends on this crate"
)]

use std::process::ExitCode;

pub mod capture;

mod args;
mod dissect;
mod draw;
mod drawing;
mod endpoint;
pub mod failure;
mod help;
pub mod input;
mod mtu;
pub mod output;
mod packets;
mod stream;
mod summary;
mod tour;
pub mod tunnel;
mod walk;

use args::{Asked, Command};
use failure::{Failure, print};

/// The name in front of every error message.
const PROGRAM: &str = "ipencap";

/// Runs the program with the arguments of the process.
#[must_use]
pub fn run() -> ExitCode {
    let outcome = args::parse().and_then(|asked| match asked {
        Asked::Text(text) => print(&text).map(|()| ExitCode::SUCCESS),
        Asked::Command(command) => execute(command),
    });
    outcome.unwrap_or_else(|failure| failure.report(PROGRAM))
}

fn execute(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Tour { out } => {
            if !tour::run(out.as_deref())? {
                return Ok(ExitCode::FAILURE);
            }
        }
        Command::Dissect { input, ports } => dissect::run(&input, &ports)?,
        Command::Draw {
            input,
            packet,
            ports,
        } => draw::run(&input, packet, &ports)?,
        Command::Encap(of) => packets::encap(&of.tunnels, &of.input, &of.output)?,
        Command::Decap(of) => packets::decap(&of.tunnels, &of.input, &of.output)?,
        Command::Stream(of) => stream::write(of.framing, &of.input, &of.output)?,
        Command::Unstream(of) => stream::read(of.framing, &of.input, &of.output)?,
        Command::Mtu {
            links,
            tunnels,
            json,
        } => mtu::run(&links, &tunnels, json)?,
        Command::Endpoint { tunnels, policy } => endpoint::run(&tunnels, policy)?,
    }
    Ok(ExitCode::SUCCESS)
}
