//! Two IP stacks on one board, with a tunnel between them.
//!
//! What each module is for:
//!
//! | module | |
//! |---|---|
//! | `tunnelled` | **how a stack gets a tunnel**, and what must work through it |
//! | `ends`, `steps` | two smoltcp stacks, and what they do with each other |
//! | `link` | the cable between them, with a router |
//! | `counts` | counters |
//! | `measure`, `instructions`, `stack`, `sizes` | what it costs |
//! | `board` | what the boards differ in |
#![no_std]
#![no_main]

mod board;
mod counts;
mod ends;
mod instructions;
mod link;
mod measure;
mod packets;
mod sizes;
mod stack;
mod steps;
mod tunnelled;

use ipencap::encap::Tunnel;
use ipencap::shim::{Fou, IpIp, Shim};
use ipencap::tunnel::{Path, PeerTunnel};
use semihosting::{println, process};
use static_cell::ConstStaticCell;

// What tells these crates how to lock on a machine with one core.
#[cfg(target_arch = "arm")]
use cortex_m as _;
#[cfg(target_arch = "riscv32")]
use riscv as _;

use ends::{End, Ends, Fault, LEFT, RIGHT};
use instructions::Counter;
use link::Link;
use steps::SocketMemory;
use tunnelled::{EndMemory, OUTER_LEFT, OUTER_RIGHT};

const FOU: Fou = Fou::new(5555);

/// All of it begins as zero, so it lies in `.bss` and takes no flash.
struct Memory {
    link: Link,
    ends: [EndMemory; 2],
    sockets: SocketMemory,
}

static MEMORY: ConstStaticCell<Memory> = ConstStaticCell::new(Memory {
    link: Link::new(),
    ends: [EndMemory::NEW; 2],
    sockets: [[0; board::SOCKET_LEN]; 2],
});

/// Apart, because an empty path is not all zero.
static PATHS: ConstStaticCell<[[Path; 1]; 2]> = ConstStaticCell::new([[Path::EMPTY]; 2]);

/// Runs everything through one kind of tunnel. Not inlined: the frames of both kinds would add up.
#[inline(never)]
fn run<T: PeerTunnel + Copy>(
    name: &str,
    tunnels: (T, T),
    memory: &mut Memory,
    paths: &mut [[Path; 1]; 2],
) -> Result<(), Fault> {
    println!("{name}");
    let Memory {
        link,
        ends,
        sockets,
    } = memory;
    // By reference: to move the ends out of the result would take their size of stack once more.
    let ends = &mut tunnelled::ends(tunnels.0, tunnels.1, link, ends, paths);
    let ends = ends.as_mut().map_err(|fault| *fault)?;
    tunnelled::run(ends, tunnels, link, sockets)
}

/// Prints what a packet costs in one kind of tunnel.
#[inline(never)]
fn measure<T: PeerTunnel + Copy>(
    counter: &Counter,
    [alone, with_stacks]: [&str; 2],
    tunnels: (T, T),
    memory: &mut Memory,
    paths: &mut [[Path; 1]; 2],
) -> Result<(), Fault> {
    let Memory {
        link,
        ends,
        sockets,
    } = memory;
    let ends = &mut tunnelled::ends(tunnels.0, tunnels.1, link, ends, paths);
    let ends = ends.as_mut().map_err(|fault| *fault)?;
    let left = ends.left.device.queue_mut().endpoint_mut();
    let right = ends.right.device.queue_mut().endpoint_mut();
    measure::endpoints(counter, alone, left, right, sockets)?;
    measure::stacks(counter, with_stacks, ends, sockets)
}

/// The tunnels from the left end to the right one, and back.
fn both_ways<S: Shim>(shim: S) -> Result<(Tunnel<S>, Tunnel<S>), Fault> {
    let wrong = |_| "a tunnel's addresses are wrong";
    let to_right = Tunnel::new(OUTER_LEFT, OUTER_RIGHT, shim).map_err(wrong)?;
    let to_left = Tunnel::new(OUTER_RIGHT, OUTER_LEFT, shim).map_err(wrong)?;
    Ok((to_right, to_left))
}

fn run_all(memory: &mut Memory, paths: &mut [[Path; 1]; 2]) -> Result<(), Fault> {
    run("through IPIP", both_ways(IpIp)?, memory, paths)?;
    run("through FOU", both_ways(FOU)?, memory, paths)
}

fn measure_all(memory: &mut Memory, paths: &mut [[Path; 1]; 2]) -> Result<(), Fault> {
    let counter = Counter::new()?;
    measure::print_heading();
    measure_plain(&counter, memory)?;
    measure(
        &counter,
        ["IPIP endpoint alone", "smoltcp through IPIP"],
        both_ways(IpIp)?,
        memory,
        paths,
    )?;
    measure(
        &counter,
        ["FOU endpoint alone", "smoltcp through FOU"],
        both_ways(FOU)?,
        memory,
        paths,
    )
}

/// Prints what a packet costs without a tunnel.
#[inline(never)]
fn measure_plain(counter: &Counter, memory: &mut Memory) -> Result<(), Fault> {
    memory.link.set_mtu(link::LINK_MTU);
    let mut plain = Ends {
        left: End::new(memory.link.left(), LEFT, 1),
        right: End::new(memory.link.right(), RIGHT, 2),
        now: smoltcp::time::Instant::ZERO,
    };
    measure::stacks(
        counter,
        "smoltcp without a tunnel",
        &mut plain,
        &mut memory.sockets,
    )
}

#[board::entry]
fn main() -> ! {
    println!("{}", board::NAME);
    let (memory, paths) = (MEMORY.take(), PATHS.take());
    let (peak, result) = stack::used_by(|| run_all(memory, paths));
    sizes::print(peak);
    let result = result
        .and_then(|()| peak.ok_or("the stack has reached the statics"))
        .and_then(|_| measure_all(memory, paths));
    match result {
        Ok(()) => println!("all passed"),
        Err(fault) => println!("FAILED: {fault}"),
    }
    process::exit(i32::from(result.is_err()))
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    println!("FAILED: {info}");
    process::exit(1)
}
