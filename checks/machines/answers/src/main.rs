//! The known answers, on a machine that has no operating system, or one of another kind.
//!
//! Without one, and with words of 32 bits, the library has no fast path: these are the tests of that build.

#![cfg_attr(target_os = "none", no_std, no_main)]

mod answers;
mod arrivals;
mod checksums;
mod departures;
mod table;
mod tunnels;

#[cfg(target_os = "none")]
mod bare {
    use core::panic::PanicInfo;

    use semihosting::{eprintln, print, process};

    #[cfg_attr(target_arch = "arm", cortex_m_rt::entry)]
    #[cfg_attr(target_arch = "riscv32", riscv_rt::entry)]
    fn main() -> ! {
        let passed = crate::answers::check(&mut |text| print!("{text}"));
        process::exit(i32::from(!passed))
    }

    #[panic_handler]
    fn panic(info: &PanicInfo<'_>) -> ! {
        eprintln!("{info}");
        process::exit(101)
    }
}

#[cfg(not(target_os = "none"))]
fn main() -> std::process::ExitCode {
    let passed = answers::check(&mut |text| print!("{text}"));
    std::process::ExitCode::from(u8::from(!passed))
}
