//! The load balancer and its peers in turns, and the least time of each: for machines on which others work too, where
//! the median of a minute says more about the minute than about the contender.
//!
//! `cargo run --profile bench -p ipencap-bench --bin services`

use core::fmt::Debug;
use core::hint::black_box;
use std::time::Instant;

use ipencap::Span;
use ipencap::encap::Tunnel;
use ipencap::shim::Shim;
use ipencap_balance::State;
use ipencap_bench::contenders::ours::ipip;
use ipencap_bench::contenders::services::{
    INNER_LEN, Ours, Rows, Services, each_row, everybody, to_vips,
};
use ipencap_bench::fixtures::{self, Ring, START};
use ipencap_bench::packet_work::{Run, contender};

const INNER: Span = Span::new(START, INNER_LEN);

fn ring(count: usize) -> Ring {
    let mut ring = Ring::new(count, INNER_LEN);
    to_vips(&mut ring);
    ring
}

/// Nanoseconds a packet: the least of `rounds` windows.
fn least<S>(run: Run<S>, services: &S, ring: &mut Ring, window: usize, rounds: usize) -> f64 {
    let mut least = f64::INFINITY;
    for _ in 0..rounds {
        let packets = black_box(ring.window(window));
        let start = Instant::now();
        black_box(run(black_box(services), packets, black_box(INNER)));
        least = least.min(start.elapsed().as_secs_f64());
    }
    least * 1e9 / f64::from(u32::try_from(window).expect("a window"))
}

fn peers() {
    let [layer, ..] = fixtures::layers();
    let services = Services::new(layer, State::Active, ipip);
    let (_, l3) = fixtures::cache_sizes();
    let everybody = everybody();
    println!(
        "| ns a packet | {} | best peer ÷ ipencap |",
        everybody.each_ref().map(|c| c.one.name).join(" | ")
    );
    println!("|---|{}---:|", "---:|".repeat(everybody.len()));
    for (label, window, count) in [
        ("64 hot packets", 64, 64),
        ("4096 packets to all VIPs", 4096, 4096),
        ("a ring beyond L3", 4096, fixtures::packets_beyond(l3)),
    ] {
        let mut ring = ring(count);
        let mut times = vec![f64::INFINITY; everybody.len()];
        for _ in 0..400 {
            for (time, contender) in times.iter_mut().zip(&everybody) {
                let rounds = 4096 / window * 2;
                let run = contender.batch;
                *time = time.min(least(run, &services, &mut ring, window, rounds));
            }
        }
        // The last is the way without any crate, and no peer.
        let best = times[1..4].iter().copied().fold(f64::INFINITY, f64::min);
        let shown: Vec<_> = times.iter().map(|time| format!("{time:.1}")).collect();
        println!(
            "| {label} | {} | {:.2} |",
            shown.join(" | "),
            best / times[0]
        );
    }
}

fn policies() {
    struct Print {
        ring: Ring,
        default: Option<f64>,
    }

    impl Rows for Print {
        fn row<S: Shim + Debug + 'static>(&mut self, label: &str, services: &Services<Tunnel<S>>) {
            let run = contender::<_, Ours>("ipencap").batch;
            let time = least(run, services, &mut self.ring, 4096, 2000);
            let default = *self.default.get_or_insert(time);
            println!("| {label} | {time:.1} | {:.2} |", time / default);
        }
    }

    println!("\n| policy, state or tunnel | ns a packet | ÷ default |\n|---|---:|---:|");
    each_row(&mut Print {
        ring: ring(4096),
        default: None,
    });
}

fn main() {
    peers();
    policies();
}
