//! Logs each event of an endpoint.

#[cfg(feature = "device")]
use ipencap::tunnel::{Event, PeerId, Tally};

/// Where the bytes of the log go.
const OUTPUT: usize = 0x4000_0010;

#[cfg(feature = "device")]
pub struct Logged;

#[cfg(feature = "device")]
impl Tally for Logged {
    fn count(&mut self, peer: Option<PeerId>, event: Event, len: usize) {
        defmt::info!("{} {} {}", peer, event, len);
    }
}

/// Nothing interrupts it, and nothing else logs.
#[defmt::global_logger]
struct Logger;

// SAFETY: this program is never run.
unsafe impl defmt::Logger for Logger {
    fn acquire() {}

    unsafe fn flush() {}

    unsafe fn release() {}

    unsafe fn write(bytes: &[u8]) {
        for byte in bytes {
            // SAFETY: as above.
            unsafe { core::ptr::with_exposed_provenance_mut::<u8>(OUTPUT).write_volatile(*byte) };
        }
    }
}

defmt::timestamp!("{=u8}", 0);
