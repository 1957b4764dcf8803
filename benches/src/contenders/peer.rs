//! What a crate that knows headers must be able to do, and the jobs made of it.
//!
//! The jobs are written once, so that peers differ in nothing but their own code.

use core::marker::PhantomData;
use core::net::Ipv4Addr;

use ipencap::Span;

use super::ours::Setup;
use crate::fixtures::Layer;
use crate::packet_work::{PacketWork, REFUSED};

/// What is read of an IPv4 header. A job that needs less pays for less: it is all inlined.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// DSCP and ECN.
    pub tos: u8,
    /// Of the whole packet, in bytes.
    pub total_len: u16,
    /// Options included, in bytes.
    pub header_len: usize,
    /// The number of what it carries.
    pub protocol: u8,
    /// Whether it is a part of a packet only.
    pub is_fragment: bool,
    /// Where it comes from.
    pub source: Ipv4Addr,
    /// Where it goes.
    pub destination: Ipv4Addr,
}

/// A crate that reads and writes headers. Every function is `inline(always)` where it is implemented.
pub trait Peer {
    /// Reads the header at the start of `bytes`, by the crate's own quickest way that checks no sum.
    fn read(bytes: &[u8]) -> Option<Seen>;

    /// The same with all that makes a packet valid: version, lengths, checksum.
    fn validate(bytes: &[u8]) -> Option<Seen>;

    /// Writes an IPv4 header without options, DF set and identification 0, into the first 20 of
    /// `bytes`.
    fn write_ipv4(bytes: &mut [u8], layer: &Layer, protocol: u8, tos: u8, total_len: u16);

    /// Writes a UDP header in front of the payload in `datagram`.
    fn write_udp(datagram: &mut [u8], layer: &Layer, has_checksum: bool);

    /// Writes a TCP header without options, flags PSH and ACK, in front of the payload in `segment`.
    fn write_tcp(segment: &mut [u8], layer: &Layer);
}

/// Wraps a packet into `N` IPv4 headers.
#[derive(Debug)]
pub struct Ipip<P, const N: usize, const VALIDATED: bool>(PhantomData<P>);

impl<P: Peer, const N: usize, const VALIDATED: bool> PacketWork<Setup> for Ipip<P, N, VALIDATED> {
    #[inline(always)]
    fn run((layers, _): &Setup, buffer: &mut [u8], packet: Span) -> usize {
        let bytes = &buffer[packet.start..packet.start + packet.len];
        let Some(seen) = seen::<P>(bytes, VALIDATED) else {
            return REFUSED;
        };
        let mut start = packet.start;
        let mut total_len = seen.total_len;
        for layer in &layers[..N] {
            start -= 20;
            total_len += 20;
            P::write_ipv4(&mut buffer[start..], layer, 4, seen.tos, total_len);
        }
        start
    }
}

/// Finds the packet behind `N` IPv4 headers, all of them validated.
#[derive(Debug)]
pub struct Unwrap<P, const N: usize, const INNER_TOO: bool>(PhantomData<P>);

impl<S, P: Peer, const N: usize, const INNER_TOO: bool> PacketWork<S> for Unwrap<P, N, INNER_TOO> {
    #[inline(always)]
    fn run(_: &S, buffer: &mut [u8], packet: Span) -> usize {
        let mut bytes = &buffer[packet.start..packet.start + packet.len];
        let mut start = packet.start;
        for _ in 0..N {
            match P::validate(bytes) {
                Some(seen) if seen.protocol == 4 && !seen.is_fragment => {
                    bytes = &bytes[seen.header_len..usize::from(seen.total_len)];
                    start += seen.header_len;
                }
                _ => return REFUSED,
            }
        }
        if INNER_TOO && P::validate(bytes).is_none() {
            return REFUSED;
        }
        start
    }
}

/// Wraps a packet into UDP and IPv4.
#[derive(Debug)]
pub struct Udp<P, const CHECKSUM: bool>(PhantomData<P>);

impl<P: Peer, const CHECKSUM: bool> PacketWork<Setup> for Udp<P, CHECKSUM> {
    #[inline(always)]
    fn run((layers, _): &Setup, buffer: &mut [u8], packet: Span) -> usize {
        let bytes = &buffer[packet.start..packet.start + packet.len];
        let Some(seen) = seen::<P>(bytes, true) else {
            return REFUSED;
        };
        let start = packet.start - 28;
        let outer = &mut buffer[start..packet.start + usize::from(seen.total_len)];
        let total_len = seen.total_len + 28;
        P::write_ipv4(outer, &layers[0], 17, seen.tos, total_len);
        P::write_udp(&mut outer[20..], &layers[0], CHECKSUM);
        start
    }
}

/// Wraps a packet into TCP and IPv4. One connection has one ToS: 0.
#[derive(Debug)]
pub struct Tcp<P>(PhantomData<P>);

impl<P: Peer> PacketWork<Setup> for Tcp<P> {
    #[inline(always)]
    fn run((layers, _): &Setup, buffer: &mut [u8], packet: Span) -> usize {
        let bytes = &buffer[packet.start..packet.start + packet.len];
        let Some(seen) = seen::<P>(bytes, true) else {
            return REFUSED;
        };
        let start = packet.start - 40;
        let outer = &mut buffer[start..packet.start + usize::from(seen.total_len)];
        let total_len = seen.total_len + 40;
        P::write_ipv4(outer, &layers[0], 6, 0, total_len);
        P::write_tcp(&mut outer[20..], &layers[0]);
        start
    }
}

#[inline(always)]
fn seen<P: Peer>(bytes: &[u8], is_validated: bool) -> Option<Seen> {
    if is_validated {
        P::validate(bytes)
    } else {
        P::read(bytes)
    }
}

/// What a load balancer knows: where its backends are.
#[derive(Debug)]
pub struct Backends<T> {
    /// One for each value of the low half of a flow's hash.
    pub tunnels: Box<[T; 65536]>,
    /// The seed of the flows' hash.
    pub seed: u32,
}

impl<T> Backends<T> {
    /// These 65,536.
    pub fn new(tunnels: Vec<T>, seed: u32) -> Self {
        let tunnels = tunnels.try_into().ok().expect("65,536 tunnels");
        Self { tunnels, seed }
    }
}

/// How far the balancer's step is carried out: 1 validate, 2 and hash the flow, 3 and look the
/// backend up, 4 and wrap the packet.
#[derive(Debug)]
pub struct Balance<P, const PARTS: u8>(PhantomData<P>);

impl<T, P: Peer, const PARTS: u8> PacketWork<(Backends<T>, Backends<Layer>)> for Balance<P, PARTS> {
    #[inline(always)]
    fn run(
        (_, backends): &(Backends<T>, Backends<Layer>),
        buffer: &mut [u8],
        packet: Span,
    ) -> usize {
        let bytes = &buffer[packet.start..packet.start + packet.len];
        let Some(seen) = P::validate(bytes) else {
            return REFUSED;
        };
        if PARTS == 1 {
            return usize::from(seen.total_len);
        }
        let hash = flow_hash(&seen, bytes, backends.seed);
        if PARTS == 2 {
            return hash as usize;
        }
        let layer = &backends.tunnels[usize::from(hash as u16)];
        if PARTS == 3 {
            return layer.destination.to_bits() as usize;
        }
        let start = packet.start - 20;
        P::write_ipv4(
            &mut buffer[start..],
            layer,
            4,
            seen.tos,
            seen.total_len + 20,
        );
        start
    }
}

/// What `ipencap::packet::Flow::hash` computes, for those who have no such thing.
#[inline(always)]
pub(super) fn flow_hash(header: &Seen, bytes: &[u8], seed: u32) -> u32 {
    let ports = match bytes.get(header.header_len..header.header_len + 4) {
        Some(&[a, b, c, d]) if matches!(header.protocol, 6 | 17) && !header.is_fragment => {
            [a, b, c, d]
        }
        _ => [0; 4],
    };
    let words = [
        u32::from_le_bytes(header.source.octets()),
        u32::from_le_bytes(header.destination.octets()),
        u32::from_le_bytes(ports),
        u32::from_le_bytes([0, 0, 0, header.protocol]),
    ];
    let hash = words.into_iter().fold(seed, |hash, word| {
        let word = word.wrapping_mul(0xcc9e_2d51).rotate_left(15);
        (hash ^ word.wrapping_mul(0x1b87_3593))
            .rotate_left(13)
            .wrapping_mul(5)
            .wrapping_add(0xe654_6b64)
    }) ^ 16;
    let hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    let hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}
