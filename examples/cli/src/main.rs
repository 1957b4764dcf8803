//! See `ipencap --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ipencap_cli::run()
}
