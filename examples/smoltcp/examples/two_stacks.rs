//! Two smoltcp stacks exchange 10 MB each way through each kind of tunnel, over a simulated network that loses, reorders,
//! duplicates, and narrows from 1500 to 1280 bytes half-way. Run it with
//! `cargo run --release -p ipencap-smoltcp --example two_stacks`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::std_instead_of_core,
    reason = "a simulation may panic"
)]

#[path = "../tests/sim/mod.rs"]
mod sim;

use sim::{Case, Host, Outcome, Weather, Wire};

fn main() {
    println!(
        "10 MB each way, in kB/s: before the path narrows to 1280 bytes, for the next 400 kB, and after those\n\n\
         {:<24} {:<9} {:>7} {:>7} {:>7}   lost of packets   inner MTU",
        "tunnel", "router", "before", "during", "after"
    );
    let mut counters = Vec::new();
    for case in Case::ALL {
        for weather in [Weather::ROUGH, Weather::SILENT] {
            let router = if weather.icmp { "tells" } else { "is silent" };
            case.run(1, weather, |outcome, _, hosts, wire| {
                print(case.name(), router, outcome, hosts[0], wire);
                counters.push((case.name(), router, count(hosts)));
            });
        }
    }
    println!("\nWhat the endpoints counted, of both ends:");
    for (tunnel, router, counts) in counters {
        println!("  {tunnel:<24} {router:<9} {counts}");
    }
}

fn print(tunnel: &str, router: &str, outcome: Outcome, host: &dyn Host, wire: &Wire) {
    let [before, during, after] =
        [outcome.before, outcome.during, outcome.after].map(|goodput| goodput.per_second() / 1e3);
    let tally = wire.tally;
    println!(
        "{tunnel:<24} {router:<9} {before:>7.0} {during:>7.0} {after:>7.0}   {:>4} of {:>6}   {:>9}",
        tally.lost + tally.too_long,
        tally.sent,
        host.mtu()
    );
}

fn count(hosts: [&dyn Host; 2]) -> String {
    let mut both = hosts[0].counters().clone();
    both.merge(hosts[1].counters());
    let counts: Vec<_> = both
        .iter()
        .map(|(event, cause, packets)| format!("{event} {cause} {packets}").replace("  ", " "))
        .collect();
    counts.join(", ")
}
