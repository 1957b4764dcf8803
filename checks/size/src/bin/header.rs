//! Header work: an outer header by value over a packet that is known, and the validation of one.
#![no_std]
#![no_main]

use ipencap::encap::{Header, PerPacket, Tunnel, header};
use ipencap::packet::Facts;
use ipencap::shim::IpIp;
use ipencap::wire::Ipv4;

ipencap_size::entry!(|tunnel: &Tunnel<IpIp>,
                      inner: &Facts,
                      out: &mut Option<Header<20>>,
                      packet: &[u8; 1500],
                      len: usize| {
    const SAID: &PerPacket = &PerPacket::new();
    *out = header(tunnel, inner, SAID).ok();
    match Ipv4::parse(packet.get(..len).unwrap_or_default()) {
        Ok(outer) => outer.payload().len(),
        Err(_) => 0,
    }
});
