//! Which packets share one outer header, and how many: C-30 to C-32, C-35. (That their bytes are those
//! of one by one is a law.)

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test may panic: that is how it fails"
)]

use core::net::Ipv4Addr;

use ipencap::Span;
use ipencap::encap::{
    ChecksumPolicy, DfPolicy, Encapsulate, Gre, IdSource, IpIp, PerPacket, SourcePort, Stack, Tcp,
    Template, Udp, encap_train,
};
use ipencap::packet::Packet;
use ipencap_kit::oracle::{Plain, fill_checksum, put_u16};

const L: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const R: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
const HEADROOM: usize = 64;

/// A TCP segment of a flow to this port, `len` bytes with its headers.
fn segment(number: u16, port: u16, len: usize) -> Vec<u8> {
    let header = Plain {
        tos: 0,
        identification: number,
        flags_offset: 0x4000,
        ttl: 64,
        protocol: 6,
        source: [10, 1, 0, 5],
        destination: [10, 2, 0, 9],
        options: vec![],
    };
    let mut packet = header.packet(&vec![0; len - 20]);
    put_u16(&mut packet, 22, port);
    packet[32] = 5 << 4;
    fill_checksum(&mut packet);
    packet
}

/// How many of these packets are a train into `tunnel`; checks that no other has changed.
fn train(tunnel: &dyn Encapsulate, packets: &[Vec<u8>]) -> usize {
    let mut buffers: Vec<_> = packets
        .iter()
        .map(|packet| [&[0; HEADROOM], &packet[..]].concat())
        .collect();
    let mut cars: Vec<_> = buffers
        .iter_mut()
        .zip(packets)
        .map(|(buffer, packet)| Packet::new(buffer, Span::new(HEADROOM, packet.len())))
        .collect();
    let said = PerPacket::new().with_ordinal(7);
    let taken = encap_train(tunnel, &mut cars, &said).unwrap();
    for (place, (car, packet)) in cars.iter().zip(packets).enumerate() {
        assert_eq!(car.as_slice() != packet, place < taken, "{place}");
    }
    taken
}

fn segments(lens: &[usize]) -> Vec<Vec<u8>> {
    (1..)
        .zip(lens)
        .map(|(number, len)| segment(number, 443, *len))
        .collect()
}

#[test]
fn c_30_equal_segments_are_one_train() {
    let ipip = IpIp::new(L, R).unwrap();
    let fou = Udp::fou(L, R, 5555).unwrap();
    let gre = Gre::new(L, R).unwrap();
    let tunnels: [&dyn Encapsulate; 3] = [&ipip, &fou, &gre];
    for tunnel in tunnels {
        assert_eq!(train(tunnel, &segments(&[500; 6])), 6, "all");
        assert_eq!(train(tunnel, &[]), 0, "none");
    }
}

#[test]
fn c_31_a_shorter_segment_is_the_last() {
    let ipip = IpIp::new(L, R).unwrap();
    assert_eq!(train(&ipip, &segments(&[500, 500, 100, 100])), 3);
    assert_eq!(train(&ipip, &segments(&[500, 500, 501, 500])), 2, "longer");
}

#[test]
fn c_32_what_travels_differently_is_no_part() {
    let ipip = IpIp::new(L, R).unwrap();
    let mut other_flow = segments(&[500; 3]);
    other_flow[1] = segment(2, 80, 500);
    assert_eq!(train(&ipip, &other_flow), 1);
    for (at, what) in [(1, "TOS"), (8, "TTL")] {
        let mut packets = segments(&[500; 3]);
        packets[2][at] ^= 4;
        fill_checksum(&mut packets[2]);
        assert_eq!(train(&ipip, &packets), 2, "{what}");
    }
}

#[test]
fn c_32_headers_that_count_make_no_train() {
    let counting = IpIp::new(L, R)
        .unwrap()
        .with_df(DfPolicy::Copy(IdSource::Ordinal));
    let tcp = Tcp::new((L, 40001), (R, 443)).unwrap();
    let sequence = Gre::new(L, R).unwrap().with_sequence(0);
    let tunnels: [&dyn Encapsulate; 3] = [&counting, &tcp, &sequence];
    for tunnel in tunnels {
        assert_eq!(train(tunnel, &segments(&[500; 3])), 1);
    }
}

/// Each had the checksum of the first, whatever its bytes.
#[test]
fn c_32_u_02_checksums_over_all_bytes_make_no_train() {
    let udp = Udp::fou(L, R, 5555).unwrap();
    let full = udp.with_checksum(ChecksumPolicy::Full);
    let lens = [300; 3];
    let stack = Stack {
        outer: full,
        inner: IpIp::new(Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)).unwrap(),
    };
    let full: [&dyn Encapsulate; 3] = [&full, &stack, &Template::single(full)];
    for tunnel in full {
        assert_eq!(train(tunnel, &segments(&lens)), 1);
    }
    assert_eq!(train(&udp, &segments(&lens)), 3);
}

#[test]
fn c_35_payload_train_ends_where_the_header_would_change() {
    let tunnel = Udp::gue(L, R)
        .unwrap()
        .with_source_port(SourcePort::Fixed(50000));
    let free = tunnel.payload_overhead();
    let taken = |packets: &[Vec<u8>]| {
        let mut segments = Vec::new();
        for packet in packets {
            segments.extend(vec![0; free]);
            segments.extend(packet);
        }
        let segment_len = free + packets[0].len();
        let said = PerPacket::new();
        let result = tunnel.encap_payload_train(&mut segments, segment_len, &said);
        result.unwrap().0
    };
    assert_eq!(taken(&segments(&[500; 4])), 4 * 504);
    assert_eq!(taken(&segments(&[500, 500, 100])), 2 * 504 + 104);
    let mut other_flow = segments(&[500; 3]);
    other_flow[2] = segment(3, 80, 500);
    assert_eq!(taken(&other_flow), 2 * 504);
}
