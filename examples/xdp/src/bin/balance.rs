//! The load balancer in user space.

use std::process::ExitCode;

fn main() -> ExitCode {
    ipencap_xdp::balance::run()
}
