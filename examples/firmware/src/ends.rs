//! Two IP stacks, and what they do with each other.

use core::net::Ipv4Addr;

use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::phy::Device;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{HardwareAddress, IpCidr};

pub const LEFT: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
pub const RIGHT: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);

/// How long a step may take, in simulated time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why a step has failed.
pub type Fault = &'static str;

/// A stack on a device.
pub struct End<D> {
    pub device: D,
    interface: Interface,
}

impl<D: Device> End<D> {
    pub fn new(mut device: D, address: Ipv4Addr, random_seed: u64) -> Self {
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = random_seed;
        let mut interface = Interface::new(config, &mut device, Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            let _ = addresses.push(IpCidr::new(address.into(), 24));
        });
        Self { device, interface }
    }

    pub fn context(&mut self) -> &mut smoltcp::iface::Context {
        self.interface.context()
    }

    pub fn poll(&mut self, now: Instant, sockets: &mut SocketSet<'_>) {
        let _ = self.interface.poll(now, &mut self.device, sockets);
    }
}

/// Both stacks. Their time is simulated: a millisecond each time that both are polled.
pub struct Ends<D> {
    pub left: End<D>,
    pub right: End<D>,
    pub now: Instant,
}

impl<D: Device> Ends<D> {
    /// Lets time pass until it is `done`.
    pub fn run(
        &mut self,
        left: &mut SocketSet<'_>,
        right: &mut SocketSet<'_>,
        mut done: impl FnMut(&mut SocketSet<'_>, &mut SocketSet<'_>) -> bool,
    ) -> Result<(), Fault> {
        let end = self.now + PATIENCE;
        while self.now < end {
            self.left.poll(self.now, left);
            self.right.poll(self.now, right);
            if done(left, right) {
                return Ok(());
            }
            self.now += Duration::from_millis(1);
        }
        Err("it takes too long")
    }
}
