//! Both ways in firmware that counts its drops by reason, which the other programs do not look at.
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
    let wrapped = match ipencap::encap(tunnel, buffer, *span, said) {
        Ok(outer) => outer.len(),
        Err(error) => error.counter(),
    };
    let opened = match ipencap::decap(receiver, buffer) {
        Ok(inner) => inner.packet.len(),
        Err(refused) => refused.reason.index(),
    };
    wrapped.wrapping_add(opened)
});
