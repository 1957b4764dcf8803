//! Packets that this crate emits, to be put on the wire in front of a Linux kernel, and the comparison of
//! what that kernel delivers with the inner packets.
//!
//!   emit      one JSON line for each setup of the kernel and for each packet
//!   judge     reads the kernel's answers, a line for each packet, and prints a table of them
//!
//! Both make the same plan, so nothing that is expected passes through the virtual machine.

mod judge;
mod plan;

use std::io;
use std::process::ExitCode;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("emit") => {
            plan::emit(&plan::plan());
            ExitCode::SUCCESS
        }
        Some("judge") => judge::judge(&plan::plan(), io::stdin().lines().map(Result::unwrap)),
        _ => {
            eprintln!("ipencap-kernel-check emit | judge");
            ExitCode::from(2)
        }
    }
}
