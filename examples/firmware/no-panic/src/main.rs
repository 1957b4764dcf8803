//! All that a firmware calls for its tunnel, without the stacks on both sides of it: the endpoint, and the device in every
//! way that smoltcp's `Interface` uses one. Driver and packets are any.
#![no_std]
#![no_main]

#[path = "../../../../checks/no-panic/src/handler.rs"]
mod handler;

use core::hint::black_box;

use ipencap::decap::Prefix;
use ipencap::encap::Tunnel;
use ipencap::fragment::{Limits, Reassembler, Slot};
use ipencap::shim::{Fou, IpIp};
use ipencap::tunnel::{Endpoint, EndpointConfig, OnePeer, Path, PeerTunnel};
use ipencap_smoltcp::{Buffer, TunnelDevice};
use smoltcp::phy::{self, Device, DeviceCapabilities, Medium, RxToken as _, TxToken as _};
use smoltcp::time::Instant;

const MTU: usize = 1500;

struct Driver;
struct Received;
struct Sending;

impl Device for Driver {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sending;

    fn receive(&mut self, _: Instant) -> Option<(Received, Sending)> {
        black_box(Some((Received, Sending)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sending> {
        black_box(Some(Sending))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = black_box(MTU);
        capabilities
    }
}

impl phy::RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(black_box(&[0; MTU]).as_slice())
    }
}

impl phy::TxToken for Sending {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, fill: F) -> R {
        let mut frame = [0; MTU];
        fill(black_box(frame.get_mut(..len).unwrap_or_default()))
    }
}

/// A tunnel of this kind, from its set-up to every packet.
fn call<T: PeerTunnel>(tunnel: T) {
    let behind = [black_box(Prefix::ANY)];
    let mut path = [Path::EMPTY];
    let (mut slots, mut fragments) = ([Slot::new()], [0; Reassembler::memory_len(1, MTU)]);
    let (mut outgoing, mut incoming) = ([Buffer::<MTU>::EMPTY], [Buffer::<MTU>::EMPTY]);
    let endpoint = Endpoint::new(
        OnePeer::new(tunnel, &behind),
        &mut path,
        EndpointConfig::DEFAULT,
    )
    .with_reassembler(Reassembler::new(
        &mut slots,
        &mut fragments,
        Limits::DEFAULT,
    ));
    let now = || black_box(Instant::ZERO);
    let Ok(mut device) = TunnelDevice::new(Driver, endpoint, &mut outgoing, &mut incoming, now())
    else {
        return;
    };
    let written = |packet: &mut [u8]| {
        black_box(packet);
    };
    if let Some((received, sending)) = device.receive(now()) {
        received.consume(|packet| {
            black_box(packet);
            sending.consume(black_box(1), written);
        });
    }
    if let Some(sending) = device.transmit(now()) {
        sending.consume(black_box(1), written);
    }
    black_box(device.capabilities());
    device
        .queue_mut()
        .endpoint_mut()
        .expire(black_box(ipencap::time::Instant::ZERO), |change| {
            black_box(change);
        });
}

/// The entry point, where the linker starts to look for what is reachable.
// SAFETY: nothing else in the program has this name.
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    let (here, there) = black_box(([198, 51, 100, 1].into(), [203, 0, 113, 2].into()));
    if let Ok(tunnel) = Tunnel::new(here, there, IpIp) {
        call(tunnel);
    }
    if let Ok(tunnel) = Tunnel::new(here, there, black_box(Fou::new(5555))) {
        call(tunnel);
    }
    loop {
        core::hint::spin_loop();
    }
}
