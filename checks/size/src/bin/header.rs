//! Header work: an outer header by value over a packet that is known, and the validation of one.
#![no_std]
#![no_main]

use ipencap::encap::{IpIp, PerPacket};
use ipencap::packet::PacketMeta;
use ipencap::wire::Ipv4;

ipencap_size::entry!(|tunnel: &IpIp,
                      inner: &PacketMeta,
                      out: &mut [u8; 20],
                      packet: &[u8; 1500],
                      len: usize| {
    const SAID: &PerPacket = &PerPacket::new();
    if let Ok(header) = tunnel.header(inner, SAID) {
        *out = header;
    }
    match Ipv4::parse(packet.get(..len).unwrap_or_default()) {
        Ok(outer) => outer.payload().len(),
        Err(_) => 0,
    }
});
