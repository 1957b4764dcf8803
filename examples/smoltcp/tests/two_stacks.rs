//! Two smoltcp stacks exchange 10 MB each way through tunnels, over a network that loses, reorders, duplicates, and
//! narrows from 1500 to 1280 bytes half-way.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::std_instead_of_core,
    reason = "a test may panic"
)]

mod sim;

use ipencap_smoltcp::Losses;
use sim::{Case, Host, Outcome, Weather, Wire};

/// Losses decide how fast one transfer is, so several are judged together; in detail the first.
const SEEDS: u64 = 6;

/// Every byte arrives, whether routers tell or not.
fn exchange(case: Case) {
    for weather in [Weather::ROUGH, Weather::SILENT] {
        let (mut before, mut after) = (0.0, 0.0);
        for seed in 1..=SEEDS {
            case.run(seed, weather, |outcome, overhead, hosts, wire| {
                before += outcome.before.per_second();
                after += outcome.after.per_second();
                if seed == 1 {
                    judge(outcome, overhead, hosts, wire);
                }
            });
        }
        assert!(after > before * 0.6, "slow for good");
    }
}

fn judge(outcome: Outcome, overhead: usize, hosts: [&dyn Host; 2], wire: &Wire) {
    let (before, after) = (outcome.before.per_second(), outcome.after.per_second());
    println!(
        "{:.0} kB/s before, {:.0} after; {:?}",
        before / 1e3,
        after / 1e3,
        wire.tally
    );
    assert!(wire.tally.too_long > 0, "nothing was too long");
    assert!(wire.tally.lost > 0 && wire.tally.duplicated > 0 && wire.tally.reordered > 0);
    let narrow = wire.weather.mtu - overhead;
    for host in hosts {
        assert_eq!(host.losses(), Losses::default());
        if let Some((taken, used)) = host.tokens() {
            assert_eq!(taken, used);
        }
        if wire.weather.icmp {
            assert_eq!(host.mtu(), narrow);
        } else {
            // The search may still go on.
            assert!((1200 - overhead..=narrow).contains(&host.mtu()));
        }
    }
}

#[test]
fn ipip_around_devices() {
    exchange(Case::IpIp);
}

#[test]
fn fou_around_devices() {
    exchange(Case::Fou);
}

#[test]
fn nested_around_devices() {
    exchange(Case::Nested);
}

#[test]
fn ipip_through_raw_sockets() {
    exchange(Case::IpIpByRawSocket);
}

#[test]
fn fou_through_udp_sockets() {
    exchange(Case::FouByUdpSocket);
}

#[test]
fn nested_through_udp_sockets() {
    exchange(Case::NestedByUdpSocket);
}
