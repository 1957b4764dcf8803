//! The XDP programs in the kernel: that its verifier takes them, within bounds, and that they do what the library does and
//! what Linux's devices do.
//!
//! ```text
//! ipencap-xdp-check permission OBJECTS   ends with 77 if this kernel does not let us load any program
//! ipencap-xdp-check OBJECTS              loads
//! ipencap-xdp-check OBJECTS DATA         and compares
//! ipencap-xdp-check OBJECTS DATA C       measures, beside the objects in C
//! ```

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "a check that fails loudly; its numbers are small"
)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ipencap_xdp::Failure;

mod balance;
mod corpus;
mod counters;
mod interpreter;
mod run;
mod speed;
mod too_long;

/// As many instructions as the verifier may follow in a program. Of the kernels that are tried, that of Linux 6.1 follows
/// most: it recognises fewer states as ones that it has seen.
const MOST_VERIFIED: u32 = 2000;

const PROGRAMS: [&str; 9] = [
    "decap_ipip",
    "decap_fou",
    "decap_gue",
    "encap_ipip",
    "encap_fou",
    "encap_gue",
    "balance_ipip",
    "balance_gue",
    "pass",
];

/// The status that stands for "not permitted".
const NOT_PERMITTED: u8 = 77;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    if let [command, objects] = &args[..]
        && command == "permission"
    {
        return permission(Path::new(objects));
    }
    match check() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            println!("FAILED");
            ExitCode::FAILURE
        }
        Err(failure) => {
            println!("{failure}\nFAILED");
            ExitCode::FAILURE
        }
    }
}

/// Loads the program that leaves every packet to the kernel. Anything but a permission that is missing, or a kernel without
/// `bpf()`, is a failure.
fn permission(objects: &Path) -> ExitCode {
    match run::Program::load(objects, "pass") {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            if error.is_not_permitted() {
                ExitCode::from(NOT_PERMITTED)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

fn check() -> Result<bool, Failure> {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let Some(objects) = args.next() else {
        return Err(Failure::new("usage: ipencap-xdp-check OBJECTS [DATA [C]]"));
    };
    let Some(data) = args.next() else {
        return sizes(&objects);
    };
    if let Some(c) = args.next() {
        let as_c = speed::table(&objects, &c)?;
        return Ok(balance::check(&objects, true)? && as_c);
    }
    let mut passes = counters::check(&objects)?;
    passes &= sizes(&objects)?;
    println!("\n{}", corpus::HEAD);
    for kind in ["ipip", "fou", "gue"] {
        for (name, row) in [
            (
                format!("decap_{kind}"),
                corpus::decap_row(&objects, &data, kind)?,
            ),
            (
                format!("encap_{kind}"),
                corpus::encap_row(&objects, &data, kind)?,
            ),
        ] {
            row.print(&name);
            for different in row.different.iter().take(10) {
                println!("DIFFERENT: {name}: {different}");
            }
            passes &= row.different.is_empty() && row.is_whole(&name);
        }
        for wrong in too_long::encap(&objects, kind)? {
            println!("DIFFERENT: encap_{kind}: too long: {wrong}");
            passes = false;
        }
    }
    Ok(balance::check(&objects, false)? && passes)
}

/// What the verifier says of every program in the folder.
fn sizes(objects: &Path) -> Result<bool, Failure> {
    let mut passes = true;
    println!("| program | instructions | verified | bytes of machine code |\n|---|---|---|---|");
    for name in PROGRAMS {
        let mut program = run::Program::load(objects, name)?;
        let info = program
            .object
            .program()?
            .info()
            .map_err(|error| Failure::of(name, &error))?;
        let verified = info.verified_instruction_count().unwrap_or_default();
        let len = info.size_translated().unwrap_or_default() / 8;
        println!("| {name} | {len} | {verified} | {} |", info.size_jitted());
        if verified > MOST_VERIFIED || verified == 0 {
            println!(
                "{name}: the verifier followed {verified} instructions, more than {MOST_VERIFIED}"
            );
            passes = false;
        }
    }
    Ok(passes)
}
