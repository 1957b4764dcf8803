//! Both ways: encapsulation with validation, and the whole pipeline of a receiver.
#![no_std]
#![no_main]

use ipencap::Span;
use ipencap::decap::{PointToPoint, Receiver};
use ipencap::encap::{PerPacket, Tunnel};
use ipencap::shim::IpIp;

type FromPeer = Receiver<IpIp, PointToPoint<'static>>;

ipencap_size::entry!(|tunnel: &Tunnel<IpIp>,
                      receiver: &FromPeer,
                      buffer: &mut [u8; 2048],
                      span: &Span,
                      said: &PerPacket| {
    let wrapped = ipencap::encap(tunnel, buffer, *span, said).map_or(0, |outer| outer.len());
    let opened = ipencap::decap(receiver, buffer).map_or(0, |inner| inner.packet.len());
    ipencap_size::planted(wrapped.wrapping_add(opened))
});
