//! Rules that no vector, table or law is about.

#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    reason = "a test that panics fails"
)]

use core::net::Ipv4Addr;

use ipencap::Span;
use ipencap::encap::{
    ChecksumPolicy, Decapsulator, IpIp, IpIpCarrier, PerPacket, SourcePort, Udp, UdpCarrier,
};
use ipencap::error::{ParseError, Reason};
use ipencap::filter::{PointToPoint, Prefix};
use ipencap::mtu::fragment_count;
use ipencap::packet::PacketMeta;
use ipencap::wire::{HeaderOptions, Ipv4};
use ipencap_kit::oracle::Plain;

const L: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const R: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
static ANY: [Prefix; 1] = [Prefix::ANY];

/// A UDP datagram to the given port, in a packet of its own.
fn inner(destination_port: u8) -> Vec<u8> {
    let header = Plain {
        tos: 0,
        identification: 0x1234,
        flags_offset: 0x4000,
        ttl: 64,
        protocol: 17,
        source: [10, 1, 0, 5],
        destination: [10, 2, 0, 9],
        options: vec![],
    };
    header.packet(&[0x9c, 0x40, 0, destination_port, 0, 8, 0, 0])
}

fn from_peer() -> PointToPoint<'static> {
    PointToPoint::new(R, L, &ANY)
}

/// `packet` in a buffer, `start` bytes behind its beginning.
fn wrap_at(start: usize, packet: &[u8]) -> Vec<u8> {
    let mut buffer = vec![0; start + IpIp::OVERHEAD];
    buffer.extend(packet);
    let inner = Span::new(start + IpIp::OVERHEAD, packet.len());
    ipencap::encap(
        &IpIp::new(L, R).unwrap(),
        &mut buffer,
        inner,
        &PerPacket::new(),
    )
    .unwrap();
    buffer
}

fn wrap_udp(tunnel: &Udp, packet: &[u8]) -> Vec<u8> {
    let mut buffer = [&[0; 28], packet].concat();
    let inner = Span::new(28, packet.len());
    ipencap::encap(tunnel, &mut buffer, inner, &PerPacket::new()).unwrap();
    buffer
}

/// The distance to the next 16-byte boundary is whatever the allocator gave and one more each time.
#[test]
fn v_16_any_alignment() {
    let packet = inner(53);
    let expected = wrap_at(0, &packet);
    for start in 0..16 {
        let mut buffer = wrap_at(start, &packet);
        let outer = &mut buffer[start..];
        assert_eq!(*outer, expected, "{start}");
        let header = *Ipv4::parse(outer).unwrap().header();
        assert_eq!((header.source(), header.destination()), (L, R), "{start}");
        assert_eq!(
            (header.total_len(), header.checksum()),
            (48, 0xd492),
            "{start}"
        );
        let receiver: Decapsulator<IpIpCarrier, _> = Decapsulator::ipip(from_peer());
        assert_eq!(
            ipencap::decap(&receiver, outer).unwrap().packet,
            packet,
            "{start}"
        );
    }
}

/// Up to eight, as [`Plain`]'s packets are nested; the ninth header is not looked behind.
#[test]
fn l_05_flows_are_looked_for_behind_eight_headers() {
    let mut packet = inner(53);
    let innermost = PacketMeta::read(&packet).unwrap().flow();
    let mut flows = Vec::new();
    for _ in 0..10 {
        packet = wrap_at(0, &packet);
        flows.push(PacketMeta::read(&packet).unwrap().flow() == innermost);
    }
    assert_eq!(
        flows,
        [true, true, true, true, true, true, true, true, false, false]
    );
}

#[test]
fn u_10_length_0() {
    let mut outer = wrap_udp(&Udp::fou(L, R, 5555).unwrap(), &inner(53));
    outer[24..26].fill(0);
    let receiver = Decapsulator::udp(UdpCarrier::fou(5555), from_peer());
    let refused = ipencap::decap(&receiver, &mut outer).unwrap_err();
    assert_eq!(refused.reason, Reason::UdpBadLength);
}

#[test]
fn u_12_any_source_port() {
    let packet = inner(53);
    let receiver = Decapsulator::udp(UdpCarrier::fou(5555), from_peer());
    for port in 0..=u16::MAX {
        let tunnel = Udp::fou(L, R, 5555)
            .unwrap()
            .with_source_port(SourcePort::Fixed(port))
            .with_checksum(ChecksumPolicy::Zero);
        let mut outer = wrap_udp(&tunnel, &packet);
        assert_eq!(outer[20..22], port.to_be_bytes());
        assert_eq!(
            ipencap::decap(&receiver, &mut outer).unwrap().packet,
            packet,
            "{port}"
        );
    }
}

#[test]
fn u_14_constant_source_port() {
    let port_of = |tunnel: &Udp, packet: &[u8]| wrap_udp(tunnel, packet)[20..22].to_vec();
    let spread = Udp::fou(L, R, 5555).unwrap();
    let constant = spread.with_source_port(SourcePort::Fixed(0xc123));
    let flows = [53, 54, 55, 56].map(inner);
    for packet in &flows {
        assert_eq!(port_of(&constant, packet), [0xc1, 0x23]);
    }
    // The control: these are flows that entropy tells apart.
    let mut spread_ports = flows.map(|packet| port_of(&spread, &packet)).to_vec();
    spread_ports.sort();
    spread_ports.dedup();
    assert_eq!(spread_ports.len(), 4);
}

#[test]
fn s_03_options_of_tcp() {
    // NOP, NOP, timestamps, MSS, end; what is behind the end is no option.
    let options = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 2, 4, 5, 0xb4, 0, 8];
    let found: Vec<_> = HeaderOptions::new(&options)
        .map(|option| option.map(|option| (option.kind(), option.data().to_vec())))
        .collect();
    let expected = [
        Ok((1, vec![])),
        Ok((1, vec![])),
        Ok((8, vec![0, 0, 0, 1, 0, 0, 0, 2])),
        Ok((2, vec![5, 0xb4])),
    ];
    assert_eq!(found, expected);
    for broken in [&[2][..], &[2, 0], &[2, 1, 0, 0], &[2, 4, 5]] {
        let answers: Vec<_> = HeaderOptions::new(broken).collect();
        let bad = matches!(answers[..], [Err(ParseError::BadOption { .. })]);
        assert!(bad, "{broken:?}: {answers:?}");
    }
}

/// RFC 791's procedure, counted step by step.
#[test]
fn x_01_x_03_fragments_are_counted_as_they_would_be_made() {
    let count = |total_len: u32, header_len: u32, mtu: u32| {
        if total_len <= mtu {
            return Some(1);
        }
        let room = mtu.checked_sub(header_len)? / 8 * 8;
        if room == 0 {
            return None;
        }
        let mut left = total_len - header_len;
        let mut fragments = 1;
        while left + header_len > mtu {
            left -= room;
            fragments += 1;
        }
        Some(fragments)
    };
    for header_len in (20..=60).step_by(4) {
        for mtu in (0..140).chain([576, 1280, 1480, 1500, 9000, 65535]) {
            for total_len in (header_len..700).chain([1480, 1481, 1500, 9000, 65535]) {
                assert_eq!(
                    fragment_count(total_len, header_len, mtu),
                    count(total_len, header_len, mtu),
                    "{total_len} {header_len} {mtu}"
                );
            }
        }
    }
}
