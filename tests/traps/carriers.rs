//! T37, T39, T42, T46 and T49: what carriers move, sum and know of the packet inside.

use std::collections::BTreeSet;

use ipencap::checksum::Sum;
use ipencap::decap::PointToPoint;
use ipencap::decap::Receiver;
use ipencap::encap::{Encapsulate, InnerChecksum, MinEnc, PerPacket};
use ipencap::error::{EncapError, ParseError};
use ipencap::packet::{Facts, Packet};
use ipencap::shim::{ChecksumPolicy, Fou, Gre, SourcePort, Tcp};
use ipencap::wire::{IpProtocol, Ipv4};
use ipencap::{Span, encap};
use ipencap_kit::oracle;

use crate::{A, ANY, B, L, R, inner, over};

/// The header moves forwards over itself by less than its own length: a copy in the wrong direction
/// would smear it.
#[test]
fn t37_m_03_header_moves_over_itself() {
    for option_bytes in [0usize, 4, 12, 40] {
        let mut plain = inner();
        // No operation, all but the last three, which tell the places apart.
        plain.options = vec![1; option_bytes];
        if option_bytes >= 4 {
            plain.options[option_bytes - 4..].copy_from_slice(&[0x94, 4, 0, 0]);
        }
        let payload: Vec<u8> = (0..100).collect();
        let original = plain.packet(&payload);
        for (tunnel, shim) in [
            (MinEnc::new(L.into(), R.into()).unwrap(), 12),
            (MinEnc::new(A.into(), R.into()).unwrap().without_source(), 8),
        ] {
            let mut buffer = [&vec![0xa5; shim][..], &original].concat();
            let place = Span::new(shim, original.len());
            let header_len = 20 + option_bytes;
            encap(&tunnel, &mut buffer, place, &PerPacket::new()).unwrap();
            assert_eq!(
                buffer[20..header_len],
                plain.options[..],
                "options in front"
            );
            assert_eq!(buffer[header_len + shim..], payload[..]);
            assert_eq!((buffer[8], buffer[9]), (64, 55));

            let source = if shim == 12 { L } else { A };
            let access = PointToPoint::new(R.into(), source.into(), &ANY);
            let receiver = Receiver::minimal(access);
            let opened = ipencap::decap(&receiver, &mut buffer).unwrap();
            assert_eq!(opened.packet, original);
        }
    }
}

/// A TCP segment whose checksum field holds the pseudo-header's sum, as a TUN device with offload
/// hands it over.
fn partial_segment() -> (Vec<u8>, Vec<u8>) {
    let mut plain = inner();
    plain.protocol = 6;
    let mut segment = vec![0; 20 + 33];
    segment[..4].copy_from_slice(&[0x9c, 0x40, 0x01, 0xbb]);
    segment[12..14].copy_from_slice(&[0x50, 0x10]);
    segment[20..].fill(0x42);
    let len = u16::try_from(segment.len()).unwrap();
    let pseudo = Sum::pseudo_header(A.into(), B.into(), 6, len);
    let complete = pseudo.add_bytes(&segment).checksum();
    let mut partial = segment.clone();
    partial[16..18].copy_from_slice(&pseudo.fold().to_be_bytes());
    segment[16..18].copy_from_slice(&complete.to_be_bytes());
    (plain.packet(&partial), plain.packet(&segment))
}

/// calico#7040, smoltcp#328: an outer checksum over a partial inner one is right once that is filled
/// in, or there is none.
#[test]
fn t39_c_22_partial_inner_checksum() {
    let (partial, complete) = partial_segment();
    let said = PerPacket::new()
        .with_inner_checksum(InnerChecksum::Partial)
        .with_identification(1);
    let fou = Fou::new(5555).with_source_port(SourcePort::Fixed(7));
    let udp = over(fou);
    let tcp = over(Tcp::new(7, 443));
    let wrap = |tunnel: &dyn Encapsulate, packet: &[u8], said: &PerPacket| {
        let overhead = tunnel.overhead();
        let mut buffer = [&vec![0xa5; overhead][..], packet].concat();
        let place = Span::new(overhead, packet.len());
        encap(tunnel, &mut buffer, place, said).map(|outer| outer.to_vec())
    };
    let tunnels: [&dyn Encapsulate; 2] = [&udp, &tcp];
    for tunnel in tunnels {
        let mut made = wrap(tunnel, &partial, &said).unwrap();
        // The card fills the inner checksum in; the outer one, made before, is that of all bytes.
        let overhead = tunnel.overhead();
        made[overhead..].copy_from_slice(&complete);
        let outer = Ipv4::parse(&made).unwrap();
        let len = u16::try_from(outer.payload().len()).unwrap();
        let protocol = outer.header().protocol().0;
        let sum = Sum::pseudo_header(L.into(), R.into(), protocol, len);
        assert!(sum.add_bytes(outer.payload()).is_valid());
        assert_eq!(
            made,
            wrap(tunnel, &complete, &PerPacket::new().with_identification(1)).unwrap()
        );
    }
    let summed = over(fou.with_checksum(ChecksumPolicy::Full));
    let gre = over(Gre::new().with_checksum());
    let tunnels: [&dyn Encapsulate; 2] = [&summed, &gre];
    for tunnel in tunnels {
        assert_eq!(
            wrap(tunnel, &partial, &said),
            Err(EncapError::PartialChecksum)
        );
    }
}

/// smoltcp#16, #638: a quote is whole if its header is, whatever its total length says.
#[test]
fn t42_truncated_quoted_datagram() {
    let packet = inner().packet(&[0x42; 1400]);
    let quoted = Ipv4::parse_quoted(&packet[..28]).unwrap();
    assert_eq!(quoted.header().total_len(), 1420);
    assert_eq!((quoted.payload().len(), quoted.is_cut()), (8, true));

    for (len, is_cut) in [(1419, true), (1420, false)] {
        let quoted = Ipv4::parse_quoted(&packet[..len]).unwrap();
        assert_eq!(
            (quoted.payload().len(), quoted.is_cut()),
            (len - 20, is_cut)
        );
    }

    let mut plain = inner();
    plain.options = vec![1; 20];
    let packet = plain.packet(&[0x42; 1400]);
    let quoted = Ipv4::parse_quoted(&packet[..48]).unwrap();
    assert_eq!(quoted.payload(), [0x42; 8]);
    let quoted = Ipv4::parse_quoted(&packet[..40]).unwrap();
    assert!(quoted.payload().is_empty());
    // Whatever the total length says: here, less than the header.
    let mut packet = packet;
    oracle::put_u16(&mut packet, 2, 39);
    let quoted = Ipv4::parse_quoted(&packet[..48]).unwrap();
    assert_eq!((quoted.payload(), quoted.is_cut()), (&[0x42; 8][..], false));
    for len in [20, 28, 39] {
        let cut = Ipv4::parse_quoted(&packet[..len]).err();
        let have = u16::try_from(len).unwrap();
        assert_eq!(cut, Some(ParseError::Truncated { need: 40, have }));
    }
}

/// virtio's `csum_start` and `csum_offset` are the caller's; what it says of the checksum instead
/// cannot point anywhere, and so cannot point outside.
#[test]
fn t46_partial_checksum_of_a_packet_too_short_for_it() {
    let said = PerPacket::new().with_inner_checksum(InnerChecksum::Partial);
    let udp = over(Fou::new(5555));
    for payload_len in 0..20 {
        let mut plain = inner();
        plain.protocol = 6;
        let packet = plain.packet(&vec![0xff; payload_len]);
        let mut buffer = [&[0xa5; 28], &packet[..]].concat();
        let before = buffer.clone();
        let place = Span::new(28, packet.len());
        let answer = encap(&udp, &mut buffer, place, &said).map(|outer| outer.len());
        assert_eq!(answer, Err(EncapError::PartialChecksum));
        assert_eq!(buffer, before);
    }
}

/// dataplane#1249: fragments have no transport header, neither the first nor the last, so no ports to
/// spread them by and no checksum to trust.
#[test]
fn t49_e_22_c_20_fragments_have_no_transport() {
    let tunnel = over(Fou::new(5555));
    let mut ports = BTreeSet::new();
    for (flags_offset, first_bytes) in [
        (0x2000, [0x9c, 0x40, 0x00, 0x35]), // the first: ports are there, and not to be used
        (0x2001, [0x12, 0x34, 0x56, 0x78]),
        (0x00b9, [0xff, 0xff, 0xff, 0xff]), // the last
        (0x4001, [0x00, 0x00, 0x00, 0x00]), // with DF
    ] {
        let mut plain = inner();
        plain.flags_offset = flags_offset;
        let mut payload = vec![0x42; 64];
        payload[..4].copy_from_slice(&first_bytes);
        let packet = plain.packet(&payload);
        let facts = Facts::read(&packet).unwrap();
        let flow = facts.flow();
        assert_eq!(flow.protocol, IpProtocol::UDP);
        assert_eq!((flow.source_port, flow.destination_port), (0, 0));
        assert_eq!(facts.known_sum(), None);

        let mut buffer = [&[0xa5; 28], &packet[..]].concat();
        let mut place = Packet::new(&mut buffer, Span::new(28, packet.len()));
        place.wrap(&tunnel, &PerPacket::new()).unwrap();
        let outer = place.as_slice();
        ports.insert(oracle::u16_at(outer, 20));
        // Summed over all bytes: a trusted one would be of a checksum that is not there.
        let udp = ipencap::wire::Udp::parse(&outer[20..]).unwrap();
        assert_eq!(
            udp.checksum_status(L.into(), R.into()),
            ipencap::wire::UdpChecksum::Valid
        );
    }
    assert_eq!(ports.len(), 1, "all fragments take one path");
}
