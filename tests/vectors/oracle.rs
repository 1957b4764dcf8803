//! The fixtures, and oracles so plain that they need no test.

use core::net::Ipv4Addr;

use ipencap::encap::Tunnel;
use ipencap::shim::{IpIp, Shim};
use serde_json::Value;

pub(crate) const A: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 5);
pub(crate) const B: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 9);
pub(crate) const L: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
pub(crate) const R: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);

/// The inner packet P: UDP 40000 to 53, TTL 64, DF, identification 0x1234.
pub(crate) const P: &[u8; 36] =
    b"\x45\x00\x00\x24\x12\x34\x40\x00\x40\x11\x14\x85\x0a\x01\x00\x05\x0a\x02\x00\x09\
      \x9c\x40\x00\x35\x00\x10\xac\xe6ipencap!";

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

pub(crate) fn hex(value: &Value) -> Vec<u8> {
    unhex(value.as_str().unwrap())
}

/// A 16-bit number, written `0x1485` or `1485`.
pub(crate) fn word(value: &Value) -> u16 {
    number(value).try_into().unwrap()
}

pub(crate) fn number(value: &Value) -> u32 {
    let text = value.as_str().unwrap();
    u32::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).unwrap()
}

/// The raw sum of `bytes` as 16-bit words, nothing folded.
pub(crate) fn accumulate(bytes: &[u8], read: fn([u8; 2]) -> u16) -> u32 {
    bytes
        .chunks(2)
        .map(|pair| u32::from(read([pair[0], pair.get(1).copied().unwrap_or(0)])))
        .sum()
}

pub(crate) fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum.try_into().unwrap()
}

/// Writes the right checksum into an IPv4 header without options or with them.
pub(crate) fn mend(packet: &mut [u8]) {
    let header_len = usize::from(packet[0] & 0x0f) * 4;
    packet[10..12].fill(0);
    let sum = fold(accumulate(&packet[..header_len], u16::from_be_bytes));
    packet[10..12].copy_from_slice(&(!sum).to_be_bytes());
}

/// P with some header bytes changed and its header checksum made right again.
pub(crate) fn p_with(change: impl FnOnce(&mut [u8; 36])) -> Vec<u8> {
    let mut packet = *P;
    change(&mut packet);
    mend(&mut packet);
    packet.to_vec()
}

/// The outer header of the specification's defaults: DF, identification 0, TTL 64, protocol 4.
pub(crate) fn plain_outer(
    source: Ipv4Addr,
    destination: Ipv4Addr,
    tos: u8,
    total_len: usize,
) -> [u8; 20] {
    let mut header = [0; 20];
    header[0] = 0x45;
    header[1] = tos;
    header[2..4].copy_from_slice(&u16::try_from(total_len).unwrap().to_be_bytes());
    header[6] = 0x40;
    header[8] = 64;
    header[9] = 4;
    header[12..16].copy_from_slice(&source.octets());
    header[16..20].copy_from_slice(&destination.octets());
    mend(&mut header);
    header
}

/// A tunnel from L to R with the default policies.
pub(crate) fn over<S: Shim>(shim: S) -> Tunnel<S> {
    Tunnel::new(L, R, shim).unwrap()
}

pub(crate) fn tunnel() -> Tunnel<IpIp> {
    over(IpIp)
}
