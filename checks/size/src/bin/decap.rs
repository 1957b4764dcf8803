//! The whole pipeline of a decapsulator for one peer.
#![no_std]
#![no_main]

use ipencap::decap::PointToPoint;
use ipencap::decap::Receiver;
use ipencap::encap::IpIpCarrier;

type Opener = Receiver<IpIpCarrier, PointToPoint<'static>>;

ipencap_size::entry!(|receiver: &Opener, packet: &mut [u8; 1500], len: usize| {
    let packet = packet.get_mut(..len).unwrap_or_default();
    ipencap::decap(receiver, packet).map_or(0, |inner| inner.packet.len())
});
