//! FOU with a source port and a checksum of any kind, which the configuration says.
#![no_std]
#![no_main]

use ipencap::Span;
use ipencap::encap::{PerPacket, Tunnel};
use ipencap::shim::Fou;

ipencap_size::entry!(|tunnel: &Tunnel<Fou>,
                      buffer: &mut [u8; 2048],
                      span: &Span,
                      said: &PerPacket| {
    ipencap::encap(tunnel, buffer, *span, said).map_or(0, |outer| outer.len())
});
