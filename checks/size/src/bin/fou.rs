//! FOU both ways with a fixed source port, between addresses that are known at run time only.
#![no_std]
#![no_main]

use core::net::Ipv4Addr;

use ipencap::Span;
use ipencap::decap::PointToPoint;
use ipencap::encap::{PerPacket, Tunnel};
use ipencap::shim::{Fou, SourcePort};

const FOU: Fou = Fou::new(5555).with_source_port(SourcePort::Fixed(49152));

ipencap_size::entry!(|ours: &Ipv4Addr,
                      theirs: &Ipv4Addr,
                      access: &PointToPoint<'static>,
                      buffer: &mut [u8; 2048],
                      span: &Span,
                      said: &PerPacket| {
    let Ok(tunnel) = Tunnel::new(*ours, *theirs, FOU) else {
        return 0;
    };
    let wrapped = ipencap::encap(&tunnel, buffer, *span, said).map_or(0, |outer| outer.len());
    let opened = ipencap::decap(&tunnel.receiver(*access), buffer);
    wrapped.wrapping_add(opened.map_or(0, |inner| inner.packet.len()))
});
