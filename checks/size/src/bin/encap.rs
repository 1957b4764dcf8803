//! Encapsulation with validation.
#![no_std]
#![no_main]

use ipencap::Span;
use ipencap::encap::{PerPacket, Tunnel};
use ipencap::shim::IpIp;

ipencap_size::entry!(|tunnel: &Tunnel<IpIp>,
                      buffer: &mut [u8; 2048],
                      span: &Span,
                      said: &PerPacket| {
    ipencap::encap(tunnel, buffer, *span, said).map_or(0, |outer| outer.len())
});
