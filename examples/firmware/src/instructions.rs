//! How many instructions something takes.
//!
//! The emulator lets each instruction take one nanosecond of the board's time (`-icount shift=0` in `emulate.sh`), so a timer
//! counts them, as coarsely as it ticks: `SysTick` once in 40 instructions on the MPS2 (25 MHz), once in 62.5 on the
//! micro:bit (16 MHz). RISC-V has a counter of its own. These are not cycles, and say nothing about wait states or caches.

use core::arch::asm;

use crate::ends::Fault;

/// Counts instructions.
pub struct Counter(());

impl Counter {
    /// A counter that counts right.
    pub fn new() -> Result<Self, Fault> {
        timer::start().ok_or("there is no timer")?;
        let counter = Self(());
        // The control: loops of two instructions each.
        for loops in [1_000, 10_000, 100_000] {
            let instructions = counter.of(|| two_instructions(loops));
            if instructions.abs_diff(2 * loops) > 2 * timer::RESOLUTION {
                return Err("the emulator does not count instructions: it wants -icount shift=0");
            }
        }
        Ok(counter)
    }

    /// How many instructions `job` takes: less than 600 million, after which `SysTick` begins anew.
    #[allow(
        clippy::unused_self,
        reason = "who has a counter has a timer that was checked"
    )]
    pub fn of(&self, job: impl FnOnce()) -> u32 {
        let start = timer::now();
        job();
        timer::instructions_since(start)
    }

    /// How many `job` takes each time, on average.
    pub fn of_each(&self, times: u32, mut job: impl FnMut()) -> u32 {
        self.of(|| (0..times).for_each(|_| job())) / times
    }
}

/// A loop of two instructions, so many times.
#[inline(never)]
fn two_instructions(times: u32) {
    // SAFETY: only a register changes.
    unsafe {
        #[cfg(target_arch = "arm")]
        asm!("2: subs {0}, #1", "bne 2b", inout(reg) times => _, options(nomem, nostack));
        #[cfg(target_arch = "riscv32")]
        asm!("2: addi {0}, {0}, -1", "bnez {0}, 2b", inout(reg) times => _, options(nomem, nostack));
    }
}

#[cfg(target_arch = "arm")]
mod timer {
    use cortex_m::Peripherals;
    use cortex_m::peripheral::SYST;
    use cortex_m::peripheral::syst::SystClkSource;

    /// In half instructions.
    const HALVES_PER_TICK: u32 = if cfg!(target_has_atomic = "32") {
        80
    } else {
        125
    };
    const RELOAD: u32 = 0xff_ffff;

    /// How many instructions go uncounted at most.
    pub const RESOLUTION: u32 = HALVES_PER_TICK.div_ceil(2);

    pub fn start() -> Option<()> {
        let mut timer = Peripherals::take()?.SYST;
        timer.set_clock_source(SystClkSource::Core);
        timer.set_reload(RELOAD);
        timer.clear_current();
        timer.enable_counter();
        Some(())
    }

    pub fn now() -> u32 {
        SYST::get_current()
    }

    pub fn instructions_since(start: u32) -> u32 {
        // It counts down.
        let ticks = start.wrapping_sub(now()) & RELOAD;
        let halves = u64::from(ticks) * u64::from(HALVES_PER_TICK);
        u32::try_from(halves / 2).unwrap_or(u32::MAX)
    }
}

#[cfg(target_arch = "riscv32")]
mod timer {
    use riscv::register::minstret;

    /// What it takes to read the counter twice.
    pub const RESOLUTION: u32 = 10;

    #[allow(clippy::unnecessary_wraps, reason = "other boards may have none")]
    pub fn start() -> Option<()> {
        Some(())
    }

    pub fn now() -> usize {
        minstret::read()
    }

    pub fn instructions_since(start: usize) -> u32 {
        u32::try_from(now().wrapping_sub(start)).unwrap_or(u32::MAX)
    }
}
