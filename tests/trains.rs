//! Datagrams for a socket with segmentation offload: how many packets one call writes (C-30 to C-35).
//! That the bytes of a train are those of one by one is a law.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test may panic: that is how it fails"
)]

use core::net::Ipv4Addr;

use ipencap::Span;
use ipencap::encap::{
    DfPolicy, Encapsulate, IdSource, OuterPolicy, PerPacket, Rules, TtlPolicy, Tunnel,
};
use ipencap::error::{EncapError, ParseError};
use ipencap::packet::Facts;
use ipencap::shim::{ChecksumPolicy, Fou, Gre, GreInUdp, Gue, InUdp, SourcePort, Udp};
use ipencap_kit::oracle::{Plain, fill_checksum, put_u16};

const L: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const R: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);

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

fn segments(lens: &[usize]) -> Vec<Vec<u8>> {
    (1..)
        .zip(lens)
        .map(|(number, len)| segment(number, 443, *len))
        .collect()
}

/// F-07, R-11: an identification that nobody can guess, while GRE counts from 0.
#[test]
fn f_07_r_11_identification_and_sequence_are_independent() {
    let tunnel = Tunnel::new(L, R, Gre::new().with_sequence())
        .unwrap()
        .with_policy(OuterPolicy {
            df: DfPolicy::Copy(IdSource::PerPacket),
            ..OuterPolicy::DEFAULT
        });
    let packet = Plain {
        flags_offset: 0,
        ..Plain::of(253)
    }
    .packet(b"payload");
    for (sequence, identification) in (0..).zip([0xbeef, 0x0001, 0xffff, 0x8000]) {
        let said = PerPacket::new()
            .with_identification(identification)
            .with_sequence(sequence);
        let mut buffer = [&[0; 28], &packet[..]].concat();
        let outer =
            ipencap::encap(&tunnel, &mut buffer, Span::new(28, packet.len()), &said).unwrap();
        assert_eq!(outer[4..6], identification.to_be_bytes(), "F-07");
        assert_eq!(outer[24..28], sequence.to_be_bytes(), "R-11");
    }
}

/// How many bytes of these packets, each in its segment, a train takes. Whatever is behind them has not
/// changed.
fn train<I: InUdp>(tunnel: &Tunnel<Udp<I>>, packets: &[Vec<u8>], segment_len: usize) -> usize {
    let mut segments = Vec::new();
    for packet in packets {
        segments.extend(vec![0xa5; tunnel.payload_overhead()]);
        segments.extend(packet);
    }
    let before = segments.clone();
    let said = PerPacket::new().with_sequence(7);
    let result = tunnel.encap_payload_train(&mut segments, segment_len, &said);
    let (taken, outer) = result.unwrap();
    assert_eq!(segments[taken..], before[taken..]);
    let first = Facts::read(&packets[0]).unwrap();
    assert_eq!(tunnel.check(&first, &said, Rules::Explained), Ok(outer));
    taken
}

fn gue() -> Tunnel<Gue> {
    Tunnel::new(L, R, Gue::new()).unwrap()
}

/// Of one flow to a fixed port.
fn gue_train(packets: &[Vec<u8>], segment_len: usize) -> usize {
    let shim = Gue::new().with_source_port(SourcePort::Fixed(50000));
    train(&Tunnel::new(L, R, shim).unwrap(), packets, segment_len)
}

#[test]
fn c_30_equal_segments_are_one_train() {
    let packets = segments(&[500; 6]);
    let fou = Tunnel::new(L, R, Fou::new(5555)).unwrap();
    assert_eq!(train(&fou, &packets, 500), 6 * 500);
    assert_eq!(train(&gue(), &packets, 504), 6 * 504);
    let words = Gue::new().with_private_words([1, 2]).unwrap();
    let words = Tunnel::new(L, R, words).unwrap();
    assert_eq!(train(&words, &packets, 512), 6 * 512);
    // The host computes the datagram's checksum, whatever this policy says.
    let full = Fou::new(5555).with_checksum(ChecksumPolicy::Full);
    let full = Tunnel::new(L, R, full).unwrap();
    assert_eq!(train(&full, &packets, 500), 6 * 500);
}

#[test]
fn c_31_a_shorter_segment_is_the_last() {
    assert_eq!(gue_train(&segments(&[500, 500, 100]), 504), 2 * 504 + 104);
    // What follows it is not where a segment begins.
    assert_eq!(gue_train(&segments(&[500, 500, 100, 100]), 504), 2 * 504);
    assert_eq!(
        gue_train(&segments(&[500, 500, 501]), 504),
        2 * 504,
        "longer"
    );
}

/// The outer headers decide, not the inner flow: two flows are one train where they have one source port.
#[test]
fn c_32_packets_with_other_outer_headers_are_no_part() {
    let mut other_flow = segments(&[500; 3]);
    other_flow[2] = segment(3, 80, 500);
    assert_eq!(train(&gue(), &other_flow, 504), 2 * 504);
    assert_eq!(gue_train(&other_flow, 504), 3 * 504);

    let with = |at: usize, bit: u8| {
        let mut packets = segments(&[500; 3]);
        packets[2][at] ^= bit;
        fill_checksum(&mut packets[2]);
        packets
    };
    let (tos, ttl, df) = (with(1, 4), with(8, 4), with(6, 0x40));
    assert_eq!(train(&gue(), &tos, 504), 2 * 504);
    // By default neither TTL nor DF goes out.
    assert_eq!(train(&gue(), &ttl, 504), 3 * 504);
    assert_eq!(train(&gue(), &df, 504), 3 * 504);
    let inherits = gue().with_policy(OuterPolicy {
        ttl: TtlPolicy::Inherit,
        ..OuterPolicy::DEFAULT
    });
    assert_eq!(train(&inherits, &ttl, 504), 2 * 504);
    let copies = gue().with_policy(OuterPolicy {
        df: DfPolicy::Copy(IdSource::Constant(7)),
        ..OuterPolicy::DEFAULT
    });
    assert_eq!(train(&copies, &df, 504), 2 * 504);
}

/// What Linux takes in one call: 64 segments, and a datagram's payload of 65,507 bytes.
#[test]
fn c_33_a_train_is_what_one_call_takes() {
    assert_eq!(gue_train(&segments(&[100; 64]), 104), 64 * 104);
    assert_eq!(gue_train(&segments(&[100; 65]), 104), 64 * 104);
    assert_eq!(
        gue_train(&segments(&[1468; 64]), 1472),
        65_507 / 1472 * 1472
    );
    // 13 segments of 5039 bytes are 65,507 bytes.
    assert_eq!(gue_train(&segments(&[5035; 14]), 5039), 65_507);
    let mut packets = segments(&[5035; 12]);
    packets.push(segment(13, 443, 5034));
    assert_eq!(gue_train(&packets, 5039), 65_506);
    assert_eq!(gue_train(&segments(&[5036; 13]), 5040), 12 * 5040);
}

/// The error is that of the first; nothing has been written then.
#[test]
fn c_35_a_train_whose_first_packet_is_refused() {
    let tunnel = gue();
    let mut dead = segments(&[500; 2]);
    dead[0][8] = 0; // The TTL.
    fill_checksum(&mut dead[0]);
    let mut broken = segments(&[500; 2]);
    broken[0][10] ^= 1; // The checksum.
    for (packets, error) in [
        (dead, EncapError::TtlZero),
        (broken, ParseError::BadChecksum.into()),
    ] {
        let mut frames: Vec<u8> = packets
            .iter()
            .flat_map(|packet| [&[0xa5; 4], &packet[..]].concat())
            .collect();
        let before = frames.clone();
        let said = PerPacket::new();
        let refused = tunnel.encap_payload_train(&mut frames, 504, &said);
        assert_eq!(refused, Err(error));
        assert_eq!(frames, before);
    }
    let room = EncapError::NoHeadroom { need: 4, have: 3 };
    let refused = tunnel.encap_payload_train(&mut [0; 3], 504, &PerPacket::new());
    assert_eq!(refused, Err(room));
}

/// all packets of one call would have the same number.
#[test]
fn c_32_r_11_numbered_packets_are_no_train() {
    let counting = GreInUdp::new(Gre::new().with_sequence());
    let tunnel = Tunnel::new(L, R, counting).unwrap();
    assert_eq!(train(&tunnel, &segments(&[500; 3]), 508), 508);
}

#[test]
fn c_35_a_train_ends_with_what_does_not_fill_its_segment() {
    assert_eq!(gue_train(&segments(&[500]), 1000), 504, "a part of one");
    let mut slack = segments(&[500; 2]);
    slack[0].extend([0; 8]);
    assert_eq!(gue_train(&slack, 512), 504, "slack in the first");
    let mut slack = segments(&[500, 492, 500]);
    slack[1].extend([0; 8]);
    assert_eq!(gue_train(&slack, 504), 504, "slack in the second");
    let mut broken = segments(&[500; 3]);
    broken[1][10] ^= 1; // The checksum.
    assert_eq!(gue_train(&broken, 504), 504);
}
