//! The cable between the two ends, with a router in the middle whose next link may be narrow.

use core::cell::{Cell, RefCell};
use core::net::Ipv4Addr;

use ipencap::icmp::{IcmpError, Kind};
use smoltcp::phy::{self, DeviceCapabilities, Medium};
use smoltcp::time::Instant;

/// How many packets are on their way in each direction, at most.
const DEPTH: usize = 2;

pub const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);

/// The MTU of the cable, in bytes.
pub const LINK_MTU: u16 = crate::board::LINK_MTU;

#[derive(Clone, Copy)]
struct Frame {
    bytes: [u8; LINK_MTU as usize],
    len: usize,
}

/// The packets that are on their way in one direction: a ring.
struct Direction {
    frames: [Frame; DEPTH],
    first: usize,
    count: usize,
}

impl Direction {
    const EMPTY: Self = Self {
        frames: [Frame {
            bytes: [0; LINK_MTU as usize],
            len: 0,
        }; DEPTH],
        first: 0,
        count: 0,
    };

    fn next(&mut self) -> Option<&mut [u8]> {
        let frame = self.frames.get_mut(self.first).filter(|_| self.count > 0)?;
        frame.bytes.get_mut(..frame.len)
    }

    fn drop_next(&mut self) {
        self.first = (self.first + 1) % DEPTH;
        self.count = self.count.saturating_sub(1);
    }

    fn is_full(&self) -> bool {
        self.count == DEPTH
    }

    /// The place of a new packet. If there is none left, the last packet gives up its own.
    fn add(&mut self, len: usize) -> &mut [u8] {
        self.count = self.count.min(DEPTH - 1);
        let frame = &mut self.frames[(self.first + self.count) % DEPTH];
        self.count += 1;
        frame.len = len;
        &mut frame.bytes[..len]
    }
}

/// Both directions, and what the router does.
pub struct Link {
    to_left: RefCell<Direction>,
    to_right: RefCell<Direction>,
    mtu: Cell<u16>,
    refused: Cell<u32>,
    lost: Cell<u32>,
}

impl Link {
    /// A link that passes nothing yet. All of it is zero, so it takes no flash.
    pub const fn new() -> Self {
        Self {
            to_left: RefCell::new(Direction::EMPTY),
            to_right: RefCell::new(Direction::EMPTY),
            mtu: Cell::new(0),
            refused: Cell::new(0),
            lost: Cell::new(0),
        }
    }

    pub fn left(&self) -> Port<'_> {
        Port {
            link: self,
            from: &self.to_left,
            to: &self.to_right,
        }
    }

    pub fn right(&self) -> Port<'_> {
        Port {
            link: self,
            from: &self.to_right,
            to: &self.to_left,
        }
    }

    /// From now on the router passes packets of up to `mtu` bytes; it begins to count anew.
    pub fn set_mtu(&self, mtu: u16) {
        self.mtu.set(mtu);
        self.refused.set(0);
    }

    /// How many packets the router has refused as too long.
    pub fn refused(&self) -> u32 {
        self.refused.get()
    }

    /// How many packets found the cable full.
    pub fn lost(&self) -> u32 {
        self.lost.get()
    }
}

/// One end of the cable: an IP device.
#[derive(Clone, Copy)]
pub struct Port<'l> {
    link: &'l Link,
    from: &'l RefCell<Direction>,
    to: &'l RefCell<Direction>,
}

impl Port<'_> {
    /// Puts a packet onto the cable, which loses one if it is full.
    pub fn put<R>(&self, len: usize, write: impl FnOnce(&mut [u8]) -> R) -> R {
        let mut to = self.to.borrow_mut();
        if to.is_full() {
            self.link.lost.set(self.link.lost.get() + 1);
        }
        write(to.add(len))
    }

    /// Reports packets that are too long for the router to their source, and drops them.
    fn route(&self) {
        let mtu = self.link.mtu.get();
        let mut from = self.from.borrow_mut();
        while let Some(packet) = from.next()
            && packet.len() > usize::from(mtu)
            // Its own reports leave by the link that the packet came by, which is not narrow.
            && packet.get(12..16) != Some(&ROUTER.octets())
        {
            self.link.refused.set(self.link.refused.get() + 1);
            if let Ok(error) = IcmpError::about(packet, Kind::FragmentationNeeded { mtu }, ROUTER) {
                self.put(error.len(), |report| {
                    let _ = error.write(packet, report);
                });
            }
            from.drop_next();
        }
    }
}

impl phy::Device for Port<'_> {
    type RxToken<'a>
        = Arrived<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Leaving<'a>
    where
        Self: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Arrived<'_>, Leaving<'_>)> {
        self.route();
        self.from.borrow_mut().next()?;
        Some((Arrived(self), Leaving(self)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Leaving<'_>> {
        (!self.to.borrow().is_full()).then_some(Leaving(self))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = usize::from(LINK_MTU);
        capabilities
    }
}

/// A packet that has come.
pub struct Arrived<'a>(&'a Port<'a>);

impl phy::RxToken for Arrived<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        let mut from = self.0.from.borrow_mut();
        let result = read(from.next().unwrap_or_default());
        from.drop_next();
        result
    }
}

/// Room for a packet that leaves.
pub struct Leaving<'a>(&'a Port<'a>);

impl phy::TxToken for Leaving<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        self.0.put(len, write)
    }
}
