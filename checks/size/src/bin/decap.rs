//! The whole pipeline of a receiver for one peer.
#![no_std]
#![no_main]

use ipencap::decap::{PointToPoint, Receiver};
use ipencap::shim::IpIp;

type FromPeer = Receiver<IpIp, PointToPoint<'static>>;

ipencap_size::entry!(|receiver: &FromPeer, packet: &mut [u8; 1500], len: usize| {
    let packet = packet.get_mut(..len).unwrap_or_default();
    ipencap::decap(receiver, packet).map_or(0, |inner| inner.packet.len())
});
