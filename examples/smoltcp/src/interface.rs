//! Another MTU for an interface.

use smoltcp::iface::{Config, Interface};
use smoltcp::phy::Device;
use smoltcp::time::Instant;
use smoltcp::wire::HardwareAddress;

/// Makes the interface of a device of `Medium::Ip` anew, with the same addresses and routes.
pub(crate) fn renew(
    interface: &mut Interface,
    device: &mut impl Device,
    random_seed: u64,
    timestamp: Instant,
) {
    let mut config = Config::new(HardwareAddress::Ip);
    config.random_seed = random_seed;
    let mut renewed = Interface::new(config, device, timestamp);
    renewed.update_ip_addrs(|addresses| {
        // All fit: both have the same capacity.
        let _ = addresses.extend_from_slice(interface.ip_addrs());
    });
    renewed
        .routes_mut()
        .update(|routes| interface.routes_mut().update(|old| routes.clone_from(old)));
    renewed.set_any_ip(interface.any_ip());
    *interface = renewed;
}
