//! The plain way: a template of 20 bytes is copied, fields are poked into it, a loop over 16-bit
//! words sums it. What a careful programmer writes in an afternoon, and what most tunnels do.

use core::net::Ipv4Addr;

use super::peer::{Peer, Seen};
use crate::fixtures::Layer;

/// The plain way.
#[derive(Debug)]
pub struct Plain;

const IPV4: [u8; 20] = [
    0x45, 0, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

impl Peer for Plain {
    #[inline(always)]
    fn read(bytes: &[u8]) -> Option<Seen> {
        let header = bytes.first_chunk::<20>()?;
        let fragment = u16::from_be_bytes([header[6], header[7]]);
        Some(Seen {
            tos: header[1],
            total_len: u16::from_be_bytes([header[2], header[3]]),
            header_len: usize::from(header[0] & 0xf) * 4,
            protocol: header[9],
            is_fragment: fragment & 0x3fff != 0,
            source: Ipv4Addr::new(header[12], header[13], header[14], header[15]),
            destination: Ipv4Addr::new(header[16], header[17], header[18], header[19]),
        })
    }

    #[inline(always)]
    fn validate(bytes: &[u8]) -> Option<Seen> {
        let seen = Self::read(bytes)?;
        let total_len = usize::from(seen.total_len);
        let is_valid = bytes[0] >> 4 == 4
            && seen.header_len >= 20
            && total_len >= seen.header_len
            && total_len <= bytes.len()
            && fold(sum(&bytes[..seen.header_len])) == 0xffff;
        is_valid.then_some(seen)
    }

    #[inline(always)]
    fn write_ipv4(bytes: &mut [u8], layer: &Layer, protocol: u8, tos: u8, total_len: u16) {
        let header = &mut bytes[..20];
        header.copy_from_slice(&IPV4);
        header[1] = tos;
        header[2..4].copy_from_slice(&total_len.to_be_bytes());
        header[8] = layer.ttl;
        header[9] = protocol;
        header[12..16].copy_from_slice(&layer.source.octets());
        header[16..20].copy_from_slice(&layer.destination.octets());
        let checksum = !fold(sum(header));
        header[10..12].copy_from_slice(&checksum.to_be_bytes());
    }

    #[inline(always)]
    fn write_udp(datagram: &mut [u8], layer: &Layer, has_checksum: bool) {
        let len = datagram.len() as u16;
        datagram[0..2].copy_from_slice(&layer.source_port.to_be_bytes());
        datagram[2..4].copy_from_slice(&layer.destination_port.to_be_bytes());
        datagram[4..6].copy_from_slice(&len.to_be_bytes());
        datagram[6..8].fill(0);
        if has_checksum {
            let checksum = match !fold(pseudo(layer, 17, len) + sum(datagram)) {
                0 => 0xffff,
                checksum => checksum,
            };
            datagram[6..8].copy_from_slice(&checksum.to_be_bytes());
        }
    }

    #[inline(always)]
    fn write_tcp(segment: &mut [u8], layer: &Layer) {
        let len = segment.len() as u16;
        segment[0..2].copy_from_slice(&layer.source_port.to_be_bytes());
        segment[2..4].copy_from_slice(&layer.destination_port.to_be_bytes());
        segment[4..8].copy_from_slice(&layer.sequence.to_be_bytes());
        segment[8..12].copy_from_slice(&layer.acknowledgment.to_be_bytes());
        segment[12..14].copy_from_slice(&[0x50, 0x18]);
        segment[14..16].copy_from_slice(&layer.window.to_be_bytes());
        segment[16..20].fill(0);
        let checksum = !fold(pseudo(layer, 6, len) + sum(segment));
        segment[16..18].copy_from_slice(&checksum.to_be_bytes());
    }
}

/// The checksum by a loop over 16-bit words.
#[inline(never)]
pub fn checksum(bytes: &[u8]) -> u16 {
    !fold(sum(bytes))
}

/// A 16-bit word changes: RFC 1624, equation 3, as it stands there.
#[inline(never)]
pub fn update(checksum: u16, old: u16, new: u16) -> u16 {
    !fold(u32::from(!checksum) + u32::from(!old) + u32::from(new))
}

/// Another ToS, the header summed anew.
#[inline(never)]
pub fn set_tos(packet: &mut [u8], tos: u8) {
    packet[1] = tos;
    packet[10..12].fill(0);
    let checksum = !fold(sum(&packet[..20]));
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
}

#[inline(always)]
fn sum(bytes: &[u8]) -> u32 {
    let mut words = bytes.chunks_exact(2);
    let mut sum = 0;
    for word in &mut words {
        sum += u32::from(u16::from_be_bytes([word[0], word[1]]));
    }
    if let [last] = words.remainder() {
        sum += u32::from(*last) << 8;
    }
    sum
}

#[inline(always)]
fn pseudo(layer: &Layer, protocol: u8, len: u16) -> u32 {
    sum(&layer.source.octets())
        + sum(&layer.destination.octets())
        + u32::from(protocol)
        + u32::from(len)
}

#[inline(always)]
fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
