//! How much memory the program takes.

use semihosting::println;

use crate::tunnelled::{EndMemory, TunnelEndpoint};

type Ipip = ipencap::encap::Tunnel<ipencap::shim::IpIp>;

// Where sections begin and end. Both start-up codes have the same names.
unsafe extern "C" {
    /// Where the values of `.data` lie in flash: behind everything else.
    static __sidata: u8;
    static __sdata: u8;
    static __edata: u8;
    static __sheap: u8;
}

/// The first address of flash.
const FLASH: usize = if cfg!(target_arch = "riscv32") {
    0x8000_0000
} else {
    0
};

/// Prints flash, RAM, and of RAM what one end of a tunnel has.
pub fn print(peak: Option<usize>) {
    // The addresses alone are used.
    let [values, data, data_end, end] = [
        &raw const __sidata,
        &raw const __sdata,
        &raw const __edata,
        &raw const __sheap,
    ]
    .map(<*const u8>::addr);
    let flash = values - FLASH + (data_end - data);
    println!("flash: {flash} bytes, with all tests and their texts");
    println!(
        "RAM: {} bytes of statics, {} of stack at most",
        end - data,
        peak.unwrap_or(0)
    );
    println!(
        "  of the statics {} for one end of a tunnel: its buffers and one packet in fragments",
        size_of::<EndMemory>() + size_of::<ipencap::tunnel::Path>()
    );
    println!(
        "  of the stack {} for each endpoint",
        size_of::<TunnelEndpoint<'_, Ipip>>()
    );
}
