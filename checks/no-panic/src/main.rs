//! Calls every public function of `ipencap`, and does not link if one of them can panic.
//!
//! The panic handler calls a function that is defined nowhere. If the optimiser has removed every
//! panic, the handler goes too and nobody misses the function; else the linker does:
//! `undefined symbol: ipencap_can_panic`. So a link is the proof, for this compiler, this target and
//! this optimisation level, that no argument whatsoever makes the library panic. The program is never
//! run.
//!
//! Every argument and every result goes through [`black_box`]: the optimiser must take each for any
//! value of its type. Calls are written out with their type, `Type::method(…)` or `<Type as
//! Trait>::method(…)`: `tests/no_panic_coverage` of the library reads this source and fails if a
//! public function is neither called nor excluded with a reason.
//!
//! `Display` is in, and with current compilers links without a panic, integers and padding included.
//! So is `Debug`, but for types that contain an address or have many fields: what core keeps for these
//! is named there too.
//!
//! `bin/control.rs` is a program that can panic: it must not link.

#![no_std]
#![no_main]

mod given;
mod handler;
mod helper;

mod checksum;
mod decap;
mod encap;
mod error;
mod fragment;
#[cfg(feature = "heapless")]
mod heapless;
mod icmp;
mod mss;
mod mtu;
mod packet;
mod pmtu;
mod shim;
mod stream;
mod time;
mod tunnel;
mod wire;

use core::hint::black_box;

/// The entry point, where the linker starts to look for what is reachable.
// SAFETY: nothing else in the program has this name.
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    let mut memory = [0; 4096];
    let buffer = black_box(memory.as_mut_slice());
    checksum::call();
    error::call();
    mss::call(buffer);
    mtu::call();
    pmtu::call();
    time::call();
    packet::call(buffer);
    #[cfg(feature = "heapless")]
    heapless::call();
    icmp::call(buffer);
    stream::call(buffer);
    fragment::call(buffer);
    wire::call(buffer);
    shim::call(buffer);
    decap::call(buffer);
    encap::call(buffer);
    tunnel::call(buffer);
    loop {
        core::hint::spin_loop();
    }
}
