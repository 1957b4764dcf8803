//! What the boards differ in.

#[cfg(target_arch = "arm")]
pub use cortex_m_rt::entry;
#[cfg(target_arch = "riscv32")]
pub use riscv_rt::entry;

/// Whether there is so little RAM that everything must be small: the micro:bit.
const IS_SMALL: bool = cfg!(all(target_arch = "arm", not(target_has_atomic = "32")));

/// What it is, and what it stands for.
pub const NAME: &str = if cfg!(target_arch = "riscv32") {
    "virt (RV32IMC)"
} else if IS_SMALL {
    "microbit (Cortex-M0)"
} else {
    "mps2-an386 (Cortex-M4)"
};

/// The MTU of the cable between the two ends, in bytes. Each direction holds two packets.
pub const LINK_MTU: u16 = if IS_SMALL { 576 } else { 1500 };

/// What the router passes when it has become narrow, in bytes.
pub const NARROW_MTU: u16 = if IS_SMALL { 400 } else { 1280 };

/// How many bytes are echoed.
pub const ECHO_LEN: usize = if IS_SMALL { 4_000 } else { 64_000 };

/// The buffers of an end's sockets, in bytes.
pub const SOCKET_LEN: usize = if IS_SMALL { 1024 } else { 4096 };

/// The lengths of the packets of which the instructions are counted, in bytes.
pub const PACKET_LENS: [usize; 2] = if IS_SMALL { [64, 512] } else { [64, 1280] };
