//! Can panic, and so must not link: else linking the other program proves nothing.
#![no_std]
#![no_main]

#[path = "../../../../../checks/no-panic/src/handler.rs"]
mod handler;

use core::hint::black_box;

/// The entry point.
// SAFETY: nothing else in the program has this name.
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    let bytes = black_box([0_u8; 4].as_slice());
    black_box(bytes[black_box(0_usize)]);
    loop {
        core::hint::spin_loop();
    }
}
