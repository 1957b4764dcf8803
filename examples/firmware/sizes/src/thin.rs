//! A device that only wraps, or only unwraps: what the smallest firmware does by itself. It knows no path MTU, answers
//! no packet that is too long, clamps no MSS and joins no fragments.

use ipencap::Span;
use ipencap::decap::PointToPoint;
use ipencap::encap::{Encapsulate, PerPacket};
use smoltcp::phy::{self, Device, DeviceCapabilities};
use smoltcp::time::Instant;
use static_cell::ConstStaticCell;

use crate::carrier::{BEHIND, LOCAL, PEER, TUNNEL};
use crate::driver::{Driver, MTU};

static PACKET: ConstStaticCell<[u8; MTU]> = ConstStaticCell::new([0; MTU]);

pub fn device(driver: Driver) -> impl Device {
    Thin {
        below: driver,
        packet: PACKET.take(),
    }
}

struct Thin {
    below: Driver,
    packet: &'static mut [u8; MTU],
}

impl Device for Thin {
    type RxToken<'a> = Received<'a, <Driver as Device>::RxToken<'a>>;
    type TxToken<'a> = Sending<<Driver as Device>::TxToken<'a>>;

    fn receive(&mut self, timestamp: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        let (received, sending) = self.below.receive(timestamp)?;
        let received = Received {
            below: received,
            packet: self.packet,
        };
        Some((received, Sending(sending)))
    }

    fn transmit(&mut self, timestamp: Instant) -> Option<Self::TxToken<'_>> {
        self.below.transmit(timestamp).map(Sending)
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = self.below.capabilities();
        capabilities.max_transmission_unit -= TUNNEL.overhead();
        capabilities
    }
}

struct Received<'a, T> {
    below: T,
    packet: &'a mut [u8; MTU],
}

impl<T: phy::RxToken> phy::RxToken for Received<'_, T> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        if !cfg!(feature = "receive") {
            return self.below.consume(read);
        }
        self.below.consume(|bytes| {
            // What is unwrapped may change: its ECN field.
            let packet = &mut self.packet[..bytes.len()];
            packet.copy_from_slice(bytes);
            let receiver = TUNNEL.receiver(PointToPoint::new(LOCAL, PEER, BEHIND));
            match ipencap::decap(&receiver, packet) {
                Ok(inner) => read(inner.packet),
                // The stack drops it.
                Err(_) => read(&[]),
            }
        })
    }
}

struct Sending<T>(T);

impl<T: phy::TxToken> phy::TxToken for Sending<T> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, fill: F) -> R {
        if !cfg!(feature = "send") {
            return self.0.consume(len, fill);
        }
        let headroom = TUNNEL.overhead();
        self.0.consume(headroom + len, |frame| {
            let result = fill(&mut frame[headroom..]);
            let inner = Span::new(headroom, len);
            if ipencap::encap(&TUNNEL, frame, inner, &PerPacket::new()).is_err() {
                // A token must be used: nobody takes a packet of zeros.
                frame.fill(0);
            }
            result
        })
    }
}
