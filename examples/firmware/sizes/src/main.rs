//! A TCP echo server that answers pings: what a small firmware does with smoltcp. See `Cargo.toml`.
#![no_std]
#![no_main]

#[cfg(any(feature = "send", feature = "receive", feature = "device"))]
mod carrier;
mod driver;
#[cfg(feature = "defmt")]
mod log;
#[cfg(any(feature = "send", feature = "receive"))]
mod thin;
#[cfg(feature = "device")]
mod whole;

#[cfg(target_arch = "arm")]
use cortex_m_rt::entry;
#[cfg(target_arch = "riscv32")]
use riscv_rt::entry;

// What tells these crates how to lock on a machine with one core.
#[cfg(target_arch = "arm")]
use cortex_m as _;
#[cfg(target_arch = "riscv32")]
use riscv as _;

use smoltcp::iface::{Config, Interface, SocketSet, SocketStorage};
use smoltcp::socket::tcp;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};
use static_cell::ConstStaticCell;

use driver::{Driver, MTU};

static RECEIVED: ConstStaticCell<[u8; 2048]> = ConstStaticCell::new([0; 2048]);
static TO_SEND: ConstStaticCell<[u8; 2048]> = ConstStaticCell::new([0; 2048]);
static FRAME: ConstStaticCell<[u8; MTU]> = ConstStaticCell::new([0; MTU]);

/// What is in front of the driver: nothing, or a tunnel.
#[cfg(not(any(feature = "send", feature = "receive", feature = "device")))]
fn device(driver: Driver) -> Driver {
    driver
}

#[cfg(any(feature = "send", feature = "receive"))]
use thin::device;
#[cfg(feature = "device")]
use whole::device;

#[cfg(not(feature = "follow-mtu"))]
fn before_poll<D>(_: &mut D, _: &mut Interface) {}

#[cfg(feature = "follow-mtu")]
use whole::before_poll;

#[entry]
fn main() -> ! {
    #[cfg(all(feature = "defmt", not(feature = "device")))]
    defmt::info!("no tunnel");
    let mut device = device(Driver::new(FRAME.take()));
    let mut interface =
        Interface::new(Config::new(HardwareAddress::Ip), &mut device, driver::now());
    interface.update_ip_addrs(|addresses| {
        let _ = addresses.push(IpCidr::new(IpAddress::v4(10, 9, 0, 1), 24));
    });
    let mut storage = [SocketStorage::EMPTY];
    let mut sockets = SocketSet::new(&mut storage[..]);
    let socket = sockets.add(tcp::Socket::new(
        tcp::SocketBuffer::new(&mut RECEIVED.take()[..]),
        tcp::SocketBuffer::new(&mut TO_SEND.take()[..]),
    ));
    loop {
        before_poll(&mut device, &mut interface);
        interface.poll(driver::now(), &mut device, &mut sockets);
        let socket = sockets.get_mut::<tcp::Socket>(socket);
        if !socket.is_open() {
            let _ = socket.listen(7);
        }
        let mut bytes = [0; 64];
        if socket.can_send()
            && let Ok(len) = socket.recv_slice(&mut bytes)
        {
            let _ = socket.send_slice(&bytes[..len]);
        }
        if cfg!(feature = "plant-bytes") {
            core::hint::black_box(&[0x5a_u8; 4096]);
        }
        driver::wait();
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
