//! The load balancer and its peers in turns: for machines on which others work too, where the median of a minute says
//! more about the minute than about the contender.
//!
//! `cargo run --profile bench -p ipencap-bench --bin services` prints of each the least time, and the median of its
//! ratios to ours in the same turn. With `instructions` behind `--`, valgrind counts those of each policy.

use core::fmt::Debug;
use core::hint::black_box;
use std::process::Command;
use std::time::Instant;
use std::{env, fs, process};

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

/// As many packets as one window has where it is not the ring.
const WINDOW: usize = 4096;

const TURNS: usize = 200;

fn ring(count: usize) -> Ring {
    let mut ring = Ring::new(count, INNER_LEN);
    to_vips(&mut ring);
    ring
}

/// A contender at its turn: nanoseconds a packet.
type Turn<'s> = Box<dyn FnMut(&mut Ring) -> f64 + 's>;

/// What a contender took.
struct Took {
    /// The least nanoseconds a packet.
    least: f64,
    /// The median of the ratios to the first contender's time in the same turn.
    ratio: f64,
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

fn in_turns(contenders: &mut [Turn<'_>], ring: &mut Ring) -> Vec<Took> {
    let turns: Vec<Vec<f64>> = (0..TURNS)
        .map(|_| contenders.iter_mut().map(|turn| turn(ring)).collect())
        .collect();
    let took = |place: usize| {
        let mut ratios: Vec<_> = turns.iter().map(|turn| turn[place] / turn[0]).collect();
        ratios.sort_by(f64::total_cmp);
        Took {
            least: turns
                .iter()
                .map(|turn| turn[place])
                .fold(f64::INFINITY, f64::min),
            ratio: ratios[TURNS / 2],
        }
    };
    (0..contenders.len()).map(took).collect()
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
    let beyond_l3 = fixtures::packets_beyond(l3);
    for (label, window, count, in_bursts) in [
        ("64 hot packets", 64, 64, false),
        ("4096 packets to all VIPs", WINDOW, WINDOW, false),
        ("a ring beyond L3", WINDOW, beyond_l3, false),
        ("the same in bursts", WINDOW, beyond_l3, true),
    ] {
        let mut ring = ring(count);
        let rounds = WINDOW / window * 2;
        let mut turns = Vec::new();
        for contender in &everybody {
            let run = if in_bursts {
                contender.bursts
            } else {
                contender.batch
            };
            let services = &services;
            let turn = move |ring: &mut Ring| least(run, services, ring, window, rounds);
            turns.push(Box::new(turn) as Turn<'_>);
        }
        let took = in_turns(&mut turns, &mut ring);
        // The last is the way without any crate, and no peer.
        let best = took[1..4].iter().map(|took| took.ratio);
        let best = best.fold(f64::INFINITY, f64::min);
        let shown: Vec<_> = took.iter().map(|t| format!("{:.1}", t.least)).collect();
        println!("| {label} | {} | {best:.2} |", shown.join(" | "));
    }
}

#[derive(Default)]
struct Policies {
    labels: Vec<&'static str>,
    turns: Vec<Turn<'static>>,
}

impl Rows for Policies {
    fn row<S: Shim + Debug + 'static>(
        &mut self,
        label: &'static str,
        services: Services<Tunnel<S>>,
    ) {
        let run = contender::<_, Ours>("ipencap").batch;
        let turn = move |ring: &mut Ring| least(run, &services, ring, WINDOW, 8);
        self.labels.push(label);
        self.turns.push(Box::new(turn));
    }
}

fn policies() {
    let mut policies = Policies::default();
    each_row(&mut policies);
    println!("\n| policy, state or tunnel | ns a packet | ÷ default |\n|---|---:|---:|");
    let took = in_turns(&mut policies.turns, &mut ring(WINDOW));
    for (label, Took { least, ratio }) in policies.labels.iter().zip(took) {
        println!("| {label} | {least:.1} | {ratio:.2} |");
    }
}

/// One window of each policy, for [`instructions`].
fn once() {
    struct Once(Ring);

    impl Rows for Once {
        fn row<S: Shim + Debug + 'static>(
            &mut self,
            label: &'static str,
            services: Services<Tunnel<S>>,
        ) {
            println!("{label}");
            let run = contender::<_, Ours>("ipencap").batch;
            black_box(run(&services, self.0.window(WINDOW), INNER));
        }
    }

    each_row(&mut Once(ring(WINDOW)));
}

/// Counts the instructions of [`once`]. They do not move with the machine's load, nor do they tell of misses.
fn instructions() {
    let folder = env::temp_dir().join(format!("ipencap-services-{}", process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let said = Command::new("valgrind")
        .args(["--tool=callgrind", "--dump-before=*packet_work::batch"])
        .arg("--dump-after=*packet_work::batch")
        .arg(format!(
            "--callgrind-out-file={}/part",
            folder.to_string_lossy()
        ))
        .arg(env::current_exe().expect("this program"))
        .arg("once")
        .output()
        .expect("valgrind");
    println!("| policy, state or tunnel | instructions a packet |\n|---|---:|");
    let labels = String::from_utf8(said.stdout).expect("labels");
    // Parts count from 1, and those with odd numbers are what is between the windows.
    for (label, part) in labels.lines().zip((2..).step_by(2)) {
        let part = fs::read_to_string(folder.join(format!("part.{part}"))).expect("a part");
        let total = part.lines().find_map(|line| line.strip_prefix("totals: "));
        let total: usize = total.and_then(|n| n.parse().ok()).expect("a total");
        println!("| {label} | {} |", total / WINDOW);
    }
    fs::remove_dir_all(folder).expect("the folder");
}

fn main() {
    match env::args().nth(1).as_deref() {
        Some("once") => once(),
        Some("instructions") => instructions(),
        _ => {
            peers();
            policies();
        }
    }
}
