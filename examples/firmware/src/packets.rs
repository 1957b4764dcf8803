//! Packets that no stack has sent.

use core::net::Ipv4Addr;

use ipencap::checksum;
use ipencap::wire::{IpProtocol, Ipv4Flags, Ipv4Header, UdpHeader};

/// A UDP datagram in an IP packet that fills `place`, of at least 28 bytes.
pub fn udp(place: &mut [u8], source: Ipv4Addr, destination: Ipv4Addr, port: u16) {
    let len = u16::try_from(place.len()).unwrap_or(u16::MAX);
    let mut header = Ipv4Header::new(source, destination, IpProtocol::UDP, len);
    header.set_flags(Ipv4Flags::DF);
    header.set_ttl(64);
    header.fill_checksum(&[]);
    let (front, payload) = place.split_at_mut(28);
    payload.fill(0x42);
    let mut udp = UdpHeader::new(port, port, len - 20);
    udp.fill_checksum(source, destination, payload);
    front[..20].copy_from_slice(header.as_bytes());
    front[20..].copy_from_slice(udp.as_bytes());
}

/// Makes the checksum of the first header right again, if there is a header.
pub fn repair(packet: &mut [u8]) {
    let len = packet
        .first()
        .map_or(0, |first| usize::from(first & 15) * 4);
    if let Some(header) = packet.get_mut(..len)
        && header.len() >= 20
    {
        header[10..12].fill(0);
        let sum = checksum::checksum(header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
    }
}

/// Numbers that look random, the same each time (xorshift32).
pub struct Numbers(pub u32);

impl Numbers {
    pub fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next()).unwrap_or(0) % limit
    }
}
