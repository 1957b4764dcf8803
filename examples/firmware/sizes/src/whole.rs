//! The whole device.

#[cfg(feature = "reassembly")]
use ipencap::fragment::{Limits, Reassembler, Slot};
use ipencap::tunnel::{Endpoint, EndpointConfig, OnePeer, Path};
use ipencap_smoltcp::{Buffer, TunnelDevice};
use static_cell::ConstStaticCell;

use crate::carrier::{BEHIND, Chosen, TUNNEL};
use crate::driver::{self, Driver, MTU};

#[cfg(feature = "counters")]
type Tally = &'static mut ipencap::tunnel::Counters;
#[cfg(feature = "defmt")]
type Tally = crate::log::Logged;
#[cfg(not(any(feature = "counters", feature = "defmt")))]
type Tally = ();

#[cfg(feature = "counters")]
fn tally() -> Tally {
    use ipencap::tunnel::Counters;
    static COUNTERS: ConstStaticCell<Counters> = ConstStaticCell::new(Counters::new());
    COUNTERS.take()
}

#[cfg(feature = "defmt")]
fn tally() -> Tally {
    crate::log::Logged
}

#[cfg(feature = "reassembly")]
type Reassembly = Option<Reassembler<'static>>;
#[cfg(not(feature = "reassembly"))]
type Reassembly = ();

type Tunnelled = TunnelDevice<'static, Driver, OnePeer<'static, Chosen>, Tally, MTU, Reassembly>;

static PATH: ConstStaticCell<[Path; 1]> = ConstStaticCell::new([Path::EMPTY]);
static OUTGOING: ConstStaticCell<[Buffer<MTU>; 1]> = ConstStaticCell::new([Buffer::EMPTY]);
static INCOMING: ConstStaticCell<[Buffer<MTU>; 1]> = ConstStaticCell::new([Buffer::EMPTY]);
#[cfg(feature = "reassembly")]
static SLOTS: ConstStaticCell<[Slot; 1]> = ConstStaticCell::new([Slot::new()]);
#[cfg(feature = "reassembly")]
static FRAGMENTS: ConstStaticCell<[u8; Reassembler::memory_len(1, MTU)]> =
    ConstStaticCell::new([0; Reassembler::memory_len(1, MTU)]);

pub fn device(driver: Driver) -> Tunnelled {
    let endpoint = Endpoint::new(
        OnePeer::new(TUNNEL, BEHIND),
        PATH.take(),
        EndpointConfig::DEFAULT,
    );
    #[cfg(feature = "reassembly")]
    let endpoint = endpoint.with_reassembler(Reassembler::new(
        SLOTS.take(),
        FRAGMENTS.take(),
        Limits::DEFAULT,
    ));
    #[cfg(not(feature = "reassembly"))]
    let endpoint = endpoint.without_reassembler();
    #[cfg(any(feature = "counters", feature = "defmt"))]
    let endpoint = endpoint.with_tally(tally());
    let (outgoing, incoming) = (OUTGOING.take(), INCOMING.take());
    let Ok(device) = TunnelDevice::new(driver, endpoint, outgoing, incoming, driver::now()) else {
        panic!("the device refuses its set-up");
    };
    device
}

#[cfg(feature = "follow-mtu")]
pub fn before_poll(device: &mut Tunnelled, interface: &mut smoltcp::iface::Interface) {
    device.follow_mtu(driver::now(), interface, 0x2545_f491);
}
