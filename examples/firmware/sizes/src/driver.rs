//! A driver for hardware that nobody has: it moves packets by registers, byte by byte.

use core::ptr;

use smoltcp::phy::{self, Device, DeviceCapabilities, Medium};
use smoltcp::time::Instant;

/// The longest packet, in bytes.
pub const MTU: usize = 1500;

/// Milliseconds since the start.
const CLOCK: usize = 0x4000_0000;
/// The length of the packet that has come, 0 for none.
const RECEIVED: usize = 0x4000_0004;
/// Its next byte, or the next one to send.
const DATA: usize = 0x4000_0008;
/// Whether a packet can be sent; sends it when its length is written.
const SEND: usize = 0x4000_000c;

fn read(register: usize) -> u32 {
    // SAFETY: this program is never run.
    unsafe { ptr::with_exposed_provenance::<u32>(register).read_volatile() }
}

fn write(register: usize, value: u32) {
    // SAFETY: as above.
    unsafe { ptr::with_exposed_provenance_mut::<u32>(register).write_volatile(value) }
}

pub fn now() -> Instant {
    Instant::from_millis(i64::from(read(CLOCK)))
}

/// Sleeps until something happens.
pub fn wait() {
    write(CLOCK, 0);
}

/// The device, with room for one packet.
pub struct Driver {
    frame: &'static mut [u8; MTU],
}

impl Driver {
    pub fn new(frame: &'static mut [u8; MTU]) -> Self {
        Self { frame }
    }
}

impl Device for Driver {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Sending;

    fn receive(&mut self, _: Instant) -> Option<(Received<'_>, Sending)> {
        let len = usize::try_from(read(RECEIVED)).ok()?;
        let packet = self
            .frame
            .get_mut(..len)
            .filter(|place| !place.is_empty())?;
        packet.fill_with(|| read(DATA).to_le_bytes()[0]);
        Some((Received(packet), Sending))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sending> {
        (read(SEND) != 0).then_some(Sending)
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = MTU;
        capabilities
    }
}

pub struct Received<'a>(&'a mut [u8]);

impl phy::RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(self.0)
    }
}

pub struct Sending;

impl phy::TxToken for Sending {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, fill: F) -> R {
        let mut frame = [0; MTU];
        let packet = &mut frame[..len];
        let result = fill(packet);
        for byte in &*packet {
            write(DATA, u32::from(*byte));
        }
        write(SEND, u32::try_from(len).unwrap_or(0));
        result
    }
}
