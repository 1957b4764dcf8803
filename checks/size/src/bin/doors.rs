//! Both doors: encapsulation with validation, and the whole pipeline of a decapsulator.
#![no_std]
#![no_main]

use ipencap::Span;
use ipencap::decap::PointToPoint;
use ipencap::decap::Receiver;
use ipencap::encap::{IpIp, IpIpCarrier, PerPacket};

type Opener = Receiver<IpIpCarrier, PointToPoint<'static>>;

ipencap_size::entry!(|tunnel: &IpIp,
                      receiver: &Opener,
                      buffer: &mut [u8; 2048],
                      span: &Span,
                      said: &PerPacket| {
    let wrapped = ipencap::encap(tunnel, buffer, *span, said).map_or(0, |outer| outer.len());
    let opened = ipencap::decap(receiver, buffer).map_or(0, |inner| inner.packet.len());
    ipencap_size::planted(wrapped.wrapping_add(opened))
});
