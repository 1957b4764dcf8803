//! Many packets in one call: what comes of each, which of them share one outer header, and how many:
//! P-05, C-30 to C-32, C-35. (That the bytes of a train are those of one by one is a law.)

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test may panic: that is how it fails"
)]

use core::net::Ipv4Addr;

use ipencap::Span;
use ipencap::decap::Receiver;
use ipencap::decap::{PointToPoint, Prefix};
use ipencap::encap::{
    ChecksumPolicy, DfPolicy, Encapsulate, Gre, IdSource, IpIp, Layer, PerPacket, Ring, SourcePort,
    Stack, Tcp, Template, Udp, decap_each, encap_each, encap_train,
};
use ipencap::error::{EncapError, Reason};
use ipencap::packet::Packet;
use ipencap_kit::oracle::{Plain, fill_checksum, put_u16};

const L: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const R: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
const HEADROOM: usize = 64;
const STRIDE: usize = HEADROOM + 80;
static ANY: [Prefix; 1] = [Prefix::ANY];

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
    let said = PerPacket::new().with_identification(7).with_sequence(7);
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

/// Slots of [`STRIDE`] bytes with a packet in each.
fn slots(packets: &[Vec<u8>]) -> (Vec<u8>, Vec<Span>) {
    let mut memory = vec![0; STRIDE * packets.len()];
    let mut spans = Vec::new();
    for (slot, packet) in memory.chunks_exact_mut(STRIDE).zip(packets) {
        slot[HEADROOM..HEADROOM + packet.len()].copy_from_slice(packet);
        spans.push(Span::new(HEADROOM, packet.len()));
    }
    (memory, spans)
}

/// F-02: every packet has a header of its own here, with its own identification. The second is not
/// let in (T-06), and so is no tunnel packet on the way back.
#[test]
fn p_05_many_in_one_call_are_each_alone() {
    let tunnel = Tunnel::new(L, R, IpIp)
        .unwrap()
        .with_df(DfPolicy::Copy(IdSource::PerPacket));
    let receiver = Receiver::new(IpIp, PointToPoint::new(R, L, &ANY));
    let said = |place| PerPacket::new().with_identification(7 + u16::try_from(place).unwrap());
    let mut packets = segments(&[60, 61, 62, 63]);
    for packet in &mut packets {
        packet[6] = 0; // DF is clear.
        fill_checksum(packet);
    }
    packets[1][8] = 0; // The TTL.
    fill_checksum(&mut packets[1]);
    let mut wrapped = packets.clone();
    for (place, identification) in [(0, 7), (2, 9), (3, 10)] {
        let header = Plain {
            tos: 0,
            identification,
            flags_offset: 0,
            ttl: 64,
            protocol: 4,
            source: L.octets(),
            destination: R.octets(),
            options: vec![],
        };
        wrapped[place] = header.packet(&packets[place]);
    }
    let refusals = [(1, EncapError::TtlZero)];
    let reasons = [None, Some(Reason::NotTunnel), None, None];

    let (mut memory, spans) = slots(&packets);
    let whole = memory.chunks_exact_mut(STRIDE).zip(&spans);
    let mut cars: Vec<_> = whole.map(|(slot, span)| Packet::new(slot, *span)).collect();
    let as_they_are = |cars: &[Packet<'_>]| -> Vec<_> {
        cars.iter().map(|car| car.as_slice().to_vec()).collect()
    };
    let mut refused = Vec::new();
    let tell = |place, error| refused.push((place, error));
    assert_eq!(encap_each(&tunnel, &mut cars, said, tell), 3);
    assert_eq!(
        (&refused[..], as_they_are(&cars)),
        (&refusals[..], wrapped.clone())
    );
    let mut verdicts = Vec::new();
    let tell = |place, verdict: Result<_, ipencap::error::Refused>| {
        assert_eq!(place, verdicts.len());
        verdicts.push(verdict.err().map(|refused| refused.reason));
    };
    assert_eq!(decap_each(&receiver, &mut cars, tell), 3);
    assert_eq!(
        (&verdicts[..], as_they_are(&cars)),
        (&reasons[..], packets.clone())
    );

    let (mut memory, mut spans) = slots(&packets);
    let in_ring = |memory: &[u8], spans: &[Span]| -> Vec<_> {
        let whole = memory.chunks_exact(STRIDE).zip(spans);
        whole
            .map(|(slot, span)| span.get(slot).unwrap().to_vec())
            .collect()
    };
    refused.clear();
    let tell = |place, error| refused.push((place, error));
    let mut ring = Ring::new(&mut memory, STRIDE, &mut spans);
    assert_eq!(ring.encap(&tunnel, said, tell), 3);
    assert_eq!(
        (&refused[..], in_ring(&memory, &spans)),
        (&refusals[..], wrapped)
    );
    verdicts.clear();
    let tell = |place, verdict: Result<_, ipencap::error::Refused>| {
        assert_eq!(place, verdicts.len());
        verdicts.push(verdict.err().map(|refused| refused.reason));
    };
    assert_eq!(
        Ring::new(&mut memory, STRIDE, &mut spans).decap(&receiver, tell),
        3
    );
    assert_eq!(
        (&verdicts[..], in_ring(&memory, &spans)),
        (&reasons[..], packets)
    );
}

#[test]
fn c_30_equal_segments_are_one_train() {
    let ipip = Tunnel::new(L, R, IpIp).unwrap();
    let fou = Tunnel::new(L, R, Fou::new(5555)).unwrap();
    let gre = Tunnel::new(L, R, Gre::new()).unwrap();
    let stack = ((Layer::from(ipip), ()), &fou);
    let template = Template::<Layer, 3>::compile(&[ipip.into(), gre.into()]).unwrap();
    let tunnels: [&dyn Encapsulate; 6] = [&ipip, &fou, &gre, &&ipip, &stack, &template];
    for tunnel in tunnels {
        assert_eq!(train(tunnel, &segments(&[500; 6])), 6, "all");
        assert_eq!(train(tunnel, &[]), 0, "none");
    }
}

#[test]
fn c_31_a_shorter_segment_is_the_last() {
    let ipip = Tunnel::new(L, R, IpIp).unwrap();
    assert_eq!(train(&ipip, &segments(&[500, 500, 100, 100])), 3);
    assert_eq!(train(&ipip, &segments(&[500, 500, 501, 500])), 2, "longer");
}

#[test]
fn c_32_what_travels_differently_is_no_part() {
    let ipip = Tunnel::new(L, R, IpIp).unwrap();
    let mut other_flow = segments(&[500; 3]);
    other_flow[1] = segment(2, 80, 500);
    assert_eq!(train(&ipip, &other_flow), 1);
    for (at, bit, what) in [(1, 4, "TOS"), (8, 4, "TTL"), (6, 0x40, "DF")] {
        let mut packets = segments(&[500; 3]);
        packets[2][at] ^= bit;
        fill_checksum(&mut packets[2]);
        assert_eq!(train(&ipip, &packets), 2, "{what}");
    }
}

#[test]
fn c_32_headers_that_count_make_no_train() {
    let counting = Tunnel::new(L, R, IpIp)
        .unwrap()
        .with_df(DfPolicy::Copy(IdSource::PerPacket));
    let tcp = Tunnel::new(L, R, Tcp::new(40001, 443)).unwrap();
    let sequence = Tunnel::new(L, R, Gre::new()).unwrap().with_sequence();
    let ipip = Tunnel::new(L, R, IpIp).unwrap();
    let around = (ipip, &tcp);
    let inside = (&tcp, ipip);
    let template = Template::<Layer, 2>::compile(&[ipip.into(), tcp.into()]).unwrap();
    let tunnels: [&dyn Encapsulate; 7] = [
        &counting, &tcp, &sequence, &&tcp, &around, &inside, &template,
    ];
    for tunnel in tunnels {
        assert_eq!(train(tunnel, &segments(&[500; 3])), 1);
    }
}

/// F-07, R-11: an identification that nobody can guess, while GRE counts from 0.
#[test]
fn f_07_r_11_identification_and_sequence_are_independent() {
    let tunnel = Tunnel::new(L, R, Gre::new())
        .unwrap()
        .with_df(DfPolicy::Copy(IdSource::PerPacket))
        .with_sequence();
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

/// Each had the checksum of the first, whatever its bytes.
#[test]
fn c_32_u_02_checksums_over_all_bytes_make_no_train() {
    let udp = Tunnel::new(L, R, Fou::new(5555)).unwrap();
    let full = udp.with_checksum(ChecksumPolicy::Full);
    let lens = [300; 3];
    let stack = (Tunnel::new(Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2), IpIp).unwrap(), full);
    let full: [&dyn Encapsulate; 3] = [&full, &stack, &Template::single(full)];
    for tunnel in full {
        assert_eq!(train(tunnel, &segments(&lens)), 1);
    }
    assert_eq!(train(&udp, &segments(&lens)), 3);
}

/// E-19: the one without enough room is left as it is, for its own call to say so.
#[test]
fn c_32_too_little_headroom_ends_a_train() {
    let tunnel = Tunnel::new(L, R, IpIp).unwrap();
    let mut buffers =
        [20, 20, 19, 20].map(|headroom| [&vec![0; headroom][..], &segment(1, 443, 500)].concat());
    let before = buffers.clone();
    let mut cars = buffers.each_mut().map(|buffer| {
        let headroom = buffer.len() - 500;
        Packet::new(buffer, Span::new(headroom, 500))
    });
    let said = PerPacket::new();
    assert_eq!(encap_train(&tunnel, &mut cars, &said), Ok(2));
    let error = EncapError::NoHeadroom { need: 20, have: 19 };
    assert_eq!(encap_train(&tunnel, &mut cars[2..], &said), Err(error));
    assert_eq!(buffers[2..], before[2..]);
    assert_eq!(buffers[0], buffers[1]);
}

/// How many bytes of these packets, each in its segment, a train takes.
fn payload_train(packets: &[Vec<u8>], segment_len: usize) -> usize {
    let tunnel = Tunnel::new(L, R, Gue::new())
        .unwrap()
        .with_source_port(SourcePort::Fixed(50000));
    let mut segments = Vec::new();
    for packet in packets {
        segments.extend(vec![0; tunnel.payload_overhead()]);
        segments.extend(packet);
    }
    let before = segments.clone();
    let said = PerPacket::new();
    let result = tunnel.encap_payload_train(&mut segments, segment_len, &said);
    let taken = result.unwrap().0;
    assert_eq!(segments[taken..], before[taken..]);
    taken
}

#[test]
fn c_35_payload_train_ends_where_the_header_would_change() {
    assert_eq!(payload_train(&segments(&[500; 4]), 504), 4 * 504);
    let shorter = segments(&[500, 500, 100]);
    assert_eq!(payload_train(&shorter, 504), 2 * 504 + 104);
    let mut other_flow = segments(&[500; 3]);
    other_flow[2] = segment(3, 80, 500);
    assert_eq!(payload_train(&other_flow, 504), 2 * 504);
}

#[test]
fn c_35_payload_train_ends_with_what_does_not_fill_its_segment() {
    assert_eq!(payload_train(&segments(&[500]), 1000), 504, "a part of one");
    let mut slack = segments(&[500; 2]);
    slack[0].extend([0; 8]);
    assert_eq!(payload_train(&slack, 512), 504, "slack in the first");
    let mut slack = segments(&[500, 492, 500]);
    slack[1].extend([0; 8]);
    assert_eq!(payload_train(&slack, 504), 504, "slack in the second");
    let mut broken = segments(&[500; 3]);
    broken[1][10] ^= 1; // The checksum.
    assert_eq!(payload_train(&broken, 504), 504);
}
