//! The program. Everything is in the library of the package, where tests reach it.

fn main() -> std::process::ExitCode {
    ipencap_vpn::run()
}
