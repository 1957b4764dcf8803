//! How much stack is used: what is free is painted, and what lost its paint was used.

use core::arch::asm;
use core::ptr;

const PAINT: u32 = 0x5a5a_a5a5;

/// A function that is called while the stack is painted may use as much before it is seen.
const MARGIN: usize = 64;

unsafe extern "C" {
    /// Both start-up codes give this name to the end of all statics. The stack grows down to it.
    static __sheap: u32;
}

fn limit() -> usize {
    // The address alone is used.
    (&raw const __sheap).addr()
}

/// How much stack `job` uses, in bytes, and what it returns; `None` if it used all that there is, and perhaps more.
#[inline(never)]
pub fn used_by<R>(job: impl FnOnce() -> R) -> (Option<usize>, R) {
    let top: usize;
    // SAFETY: it only reads the stack pointer.
    unsafe {
        #[cfg(target_arch = "arm")]
        asm!("mov {}, sp", out(reg) top, options(nomem, nostack, preserves_flags));
        #[cfg(target_arch = "riscv32")]
        asm!("mv {}, sp", out(reg) top, options(nomem, nostack, preserves_flags));
    }
    let words = (top - MARGIN - limit()) / 4;
    let bottom = ptr::with_exposed_provenance_mut::<u32>(limit());
    for word in 0..words {
        // SAFETY: between the statics and the stack pointer there is nothing.
        unsafe { bottom.add(word).write_volatile(PAINT) };
    }
    let result = call(job);
    // SAFETY: as above.
    let painted = (0..words)
        .take_while(|&word| unsafe { bottom.add(word).read_volatile() } == PAINT)
        .count();
    let peak = (painted > 0).then(|| top - limit() - painted * 4);
    (peak, result)
}

/// Not inlined: what it needs must lie below the stack pointer that was painted from.
#[inline(never)]
fn call<R>(job: impl FnOnce() -> R) -> R {
    job()
}
