//! T16 to T30: the bounds of an IPv4 header and what its fields mean.

use ipencap::decap::PointToPoint;
use ipencap::decap::{Decapsulate, Receiver, inspect_without_filter};
use ipencap::encap::Encapsulate;
use ipencap::error::{EncapError, ParseError, Reason};
use ipencap::shim::IpIp;
use ipencap::wire::{
    Dscp, Ecn, FragmentOffset, GreFlags, GreHeader, HeaderOption, HeaderOptions, IpProtocol, Ipv4,
    Ipv4Flags, Ipv4Header, Ipv4Mut, Tcp, TcpFlags, TcpHeader, Udp,
};
use ipencap_kit::oracle::{self, Plain};

use crate::{A, ANY, B, inner, outer, reason, receiver, tunnel, wrap};

#[test]
fn t16_ihl_below_5_is_refused_by_every_parser() {
    for ihl in 0..5 {
        let mut packet = inner().packet(&[0x45; 60]);
        packet[0] = 0x40 | ihl;
        oracle::fill_checksum(&mut packet);
        let error = Some(ParseError::BadIhl { ihl });
        assert_eq!(Ipv4::parse(&packet).err(), error);
        assert_eq!(Ipv4::parse_hardware_verified(&packet).err(), error);
        assert_eq!(Ipv4::parse_quoted(&packet).err(), error);
        assert_eq!(Ipv4Header::split(&packet).err(), error);
        assert_eq!(Ipv4Header::split_mut(&mut packet).err(), error);
        assert_eq!(Ipv4Mut::parse(&mut packet).err(), error);
        assert_eq!(wrap(&tunnel(), &packet).err(), error.map(EncapError::from));
        assert_eq!(reason(&outer().packet(&packet)), Some(Reason::InnerBadIhl));
        packet[9] = 4;
        assert_eq!(reason(&packet), Some(Reason::OuterBadIhl));
    }
}

#[test]
fn t17_ihl_0_with_protocol_4_does_not_recurse() {
    // Read with IHL 0, the payload of such a packet would be the packet itself.
    let mut packet = outer().packet(&inner().packet(&[]));
    packet[0] = 0x40;
    oracle::fill_checksum(&mut packet);
    assert_eq!(reason(&packet), Some(Reason::OuterBadIhl));
    let unfiltered = inspect_without_filter(&IpIp, &packet);
    assert_eq!(unfiltered.unwrap_err().reason, Reason::OuterBadIhl);
    let mut nested = outer().packet(&packet);
    assert_eq!(reason(&nested), Some(Reason::InnerBadIhl));
    // One call takes off one layer, however many there are (L-01).
    for _ in 0..64 {
        nested = outer().packet(&nested);
    }
    let opened = inspect_without_filter(&IpIp, &nested).unwrap();
    assert_eq!((opened.layers(), opened.span().start), (1, 20));
    assert_eq!(reason(&nested), Some(Reason::InnerEqualsOuter));
}

/// V-06.
#[test]
fn t18_t21_total_length_below_the_header() {
    for total_len in 0..20 {
        let mut packet = inner().packet(b"payload");
        oracle::put_u16(&mut packet, 2, total_len);
        oracle::fill_checksum(&mut packet);
        let error = ParseError::BadTotalLength { total_len };
        assert_eq!(Ipv4::parse(&packet).err(), Some(error));
        assert_eq!(wrap(&tunnel(), &packet).err(), Some(error.into()));
        assert_eq!(
            reason(&outer().packet(&packet)),
            Some(Reason::InnerBadTotalLength)
        );
        packet[9] = 4;
        oracle::fill_checksum(&mut packet);
        assert_eq!(reason(&packet), Some(Reason::OuterBadTotalLength));
        // T21: 0, as segmentation offload leaves it, is not "as long as the buffer" (V-09).
        assert!(error.to_string().contains("segmentation offload"));
    }
    // Below a header with options, too.
    let mut packet = Plain {
        options: vec![1; 8],
        ..inner()
    }
    .packet(&[]);
    oracle::put_u16(&mut packet, 2, 27);
    oracle::fill_checksum(&mut packet);
    let error = ParseError::BadTotalLength { total_len: 27 };
    assert_eq!(Ipv4::parse(&packet).err(), Some(error));
}

/// V-07.
#[test]
fn t19_total_length_beyond_the_buffer() {
    let whole = inner().packet(&[0x77; 100]);
    for len in 20..120u16 {
        let cut = &whole[..usize::from(len)];
        let error = ParseError::Truncated {
            need: 120,
            have: len,
        };
        assert_eq!(Ipv4::parse(cut).err(), Some(error));
        assert_eq!(wrap(&tunnel(), cut).err(), Some(error.into()));
        let refused = receiver().inspect(&outer().packet(cut)).unwrap_err();
        assert_eq!(refused.reason, Reason::InnerTruncated);
        assert_eq!((refused.need, refused.have), (120, len));
    }
}

/// V-08 and E-20.
#[test]
fn t20_padding_reaches_neither_the_inner_packet_nor_the_outer_length() {
    let packet = inner().packet(b"ok");
    let padded = [&packet[..], &[0xff; 24]].concat(); // to 46 bytes, as Ethernet does
    let parsed = Ipv4::parse(&padded).unwrap();
    assert_eq!((parsed.payload(), parsed.slack()), (&b"ok"[..], 24));
    let wrapped = wrap(&tunnel(), &padded).unwrap();
    assert_eq!(wrapped, wrap(&tunnel(), &packet).unwrap());
    assert_eq!(wrapped.len(), 42);

    // Behind the outer packet it vanishes; between the two lengths it is counted (D-02, D-12).
    let mut behind = [&wrapped[..], &[0xff; 4]].concat();
    let opened = ipencap::decap(&receiver(), &mut behind).unwrap();
    assert_eq!((&*opened.packet, opened.opened.slack()), (&packet[..], 0));
    let mut between = outer().packet(&padded);
    let opened = ipencap::decap(&receiver(), &mut between).unwrap();
    assert_eq!((&*opened.packet, opened.opened.slack()), (&packet[..], 24));
    let strict = receiver().with_exact_length();
    let refused = strict.inspect(&outer().packet(&padded)).unwrap_err();
    assert_eq!(refused.reason, Reason::InnerLengthMismatch);
    assert!(strict.inspect(&[&wrapped[..], &[0xff; 4]].concat()).is_ok());

    // UDP's length below the IP payload's.
    let datagram = [0x9c, 0x40, 0, 53, 0, 9, 0, 0, b'x', 0xff, 0xff];
    let udp = Udp::parse(&datagram).unwrap();
    assert_eq!((udp.payload(), udp.slack()), (&b"x"[..], 2));
}

#[test]
fn t22_ihl_15_in_20_bytes() {
    let mut quote = inner().packet(&[]);
    quote[0] = 0x4f;
    oracle::fill_checksum(&mut quote);
    let error = Some(ParseError::Truncated { need: 60, have: 20 });
    assert_eq!(Ipv4::parse_quoted(&quote).err(), error);
    assert_eq!(Ipv4::parse(&quote).err(), error);
    assert_eq!(Ipv4Header::split(&quote).err(), error);
    // The fixed header alone can still be looked at, and says so.
    let header = Ipv4Header::from_bytes(quote[..20].try_into().unwrap());
    assert_eq!(header.header_len(), 60);
}

#[test]
fn t23_header_length_and_options_agree_in_what_is_emitted() {
    for words in 0..=10 {
        let packet = Plain {
            options: vec![1; words * 4],
            ..inner()
        }
        .packet(b"payload");
        let wrapped = wrap(&tunnel(), &packet).unwrap();
        assert_eq!(wrapped[0], 0x45, "E-03");
        assert_eq!(wrapped.len(), packet.len() + tunnel().overhead());
        assert_eq!(wrapped[20..], packet, "E-15");
    }
    let fresh = Ipv4Header::new(A.into(), B.into(), IpProtocol::UDP, 20);
    assert_eq!(usize::from(fresh.header_len()), fresh.as_bytes().len());
}

#[test]
fn t24_flags_and_offset_share_a_word_and_commute() {
    let offset = FragmentOffset::from_units(100).unwrap();
    let word = |header: &Ipv4Header| oracle::u16_at(header.as_bytes(), 6);
    let mut first = Ipv4Header::new(A.into(), B.into(), IpProtocol::UDP, 20);
    first.set_flags(Ipv4Flags::empty());
    let mut second = first;
    first.set_fragment_offset(offset);
    first.set_flags(Ipv4Flags::DF);
    second.set_flags(Ipv4Flags::DF);
    second.set_fragment_offset(offset);
    assert_eq!((word(&first), word(&second)), (0x4064, 0x4064));
    assert_eq!(first, second);
    assert!(first.verifies(&[]));

    for (wire, flag) in [
        (0x2000, Ipv4Flags::MF),
        (0x4000, Ipv4Flags::DF),
        (0x8000, Ipv4Flags::RESERVED),
    ] {
        let packet = Plain {
            flags_offset: wire,
            ..inner()
        }
        .packet(&[]);
        assert_eq!(Ipv4::parse(&packet).unwrap().header().flags(), flag);
    }
}

/// A set of flags can hold bits that are none: they belong to other fields.
#[test]
fn t24_bits_that_are_no_flags_change_no_other_field() {
    let mut header = Ipv4Header::new(A.into(), B.into(), IpProtocol::UDP, 20);
    header.set_fragment_offset(FragmentOffset::from_units(100).unwrap());
    header.set_flags(Ipv4Flags::from_bits_retain(0xffff));
    assert_eq!(oracle::u16_at(header.as_bytes(), 6), 0xe064);
    assert!(header.verifies(&[]));
    let gre = GreHeader::new(GreFlags::from_bits_retain(0x2007));
    assert_eq!((gre.flags_and_version(), gre.version()), (0x2000, 0));
    let ends = ((1, 2), (3, 4));
    let tcp = TcpHeader::new(ends.0, ends.1, 5, TcpFlags::from_bits_retain(0xffff), 0);
    assert_eq!((tcp.header_len(), tcp.flags()), (20, TcpFlags::all()));
}

#[test]
fn t25_ecn_setter_keeps_dscp() {
    let mut header = Ipv4Header::new(A.into(), B.into(), IpProtocol::UDP, 20);
    header.set_dscp(Dscp::new(63).unwrap());
    header.set_ecn(Ecn::Ce);
    assert_eq!(header.tos(), 0xff);
    header.set_ecn(Ecn::NotEct);
    assert_eq!(header.tos(), 0xfc);
    header.set_ecn(Ecn::Ce);
    header.set_dscp(Dscp::DEFAULT);
    assert_eq!(header.tos(), 0x03);
    assert!(header.verifies(&[]));
}

#[test]
fn t26_ect_0_is_10_and_ect_1_is_01() {
    assert_eq!(Ecn::Ect0.bits(), 0b10);
    assert_eq!(Ecn::Ect1.bits(), 0b01);
    assert_eq!(Ecn::from_bits_truncated(0b10), Ecn::Ect0);
    assert_eq!(Ecn::from_bits_truncated(0b01), Ecn::Ect1);
    assert_eq!(Ecn::from_bits_truncated(0b11), Ecn::Ce);
}

#[test]
fn t27_fragment_offset_says_its_unit() {
    let packet = Plain {
        flags_offset: 0x20b9,
        ..inner()
    }
    .packet(&[0; 8]);
    let offset = Ipv4::parse(&packet).unwrap().header().fragment_offset();
    assert_eq!((offset.units(), offset.bytes()), (185, 1480));
    assert_eq!(FragmentOffset::from_bytes(1480), Some(offset));
    assert_eq!(FragmentOffset::from_bytes(1479), None);
}

#[test]
fn t28_v_15_fragments_are_told_and_the_ping_of_death_is_flagged() {
    // Offset 65528 with 8 bytes of data: 20 + 65528 + 8 is beyond 65535.
    let last = Plain {
        flags_offset: 0x1fff,
        ..inner()
    }
    .packet(&[0; 8]);
    let parsed = Ipv4::parse(&last).unwrap();
    assert!(
        parsed.header().is_fragment(),
        "MF alone does not tell the last fragment"
    );
    assert!(parsed.header().exceeds_reassembly());
    let within = Plain {
        flags_offset: 0x1ffc,
        ..inner()
    }
    .packet(&[0; 8]);
    assert!(!Ipv4::parse(&within).unwrap().header().exceeds_reassembly());
    // 20 + 65512 + 3 are 65535.
    for (payload_len, exceeds) in [(3, false), (4, true)] {
        let end = Plain {
            flags_offset: 0x1ffd,
            ..inner()
        }
        .packet(&[0; 4][..payload_len]);
        let header = *Ipv4::parse(&end).unwrap().header();
        assert_eq!(header.exceeds_reassembly(), exceeds);
    }

    // E-21, DC-36: a fragment is wrapped and opened as any packet, and nobody looks at the
    // transport header that it does not have.
    for flags_offset in [0x2000, 0x20b9, 0x00b9, 0x1fff] {
        let fragment = Plain {
            flags_offset,
            ..inner()
        }
        .packet(&[0xff; 3]);
        let mut wrapped = wrap(&tunnel(), &fragment).unwrap();
        assert_eq!(oracle::u16_at(&wrapped, 6), 0x4000, "E-09");
        let opened = ipencap::decap(&receiver(), &mut wrapped).unwrap();
        assert_eq!(opened.packet, fragment);
        let outer_fragment = Plain {
            flags_offset,
            ..outer()
        }
        .packet(&inner().packet(&[]));
        assert_eq!(reason(&outer_fragment), Some(Reason::OuterFragment), "D-03");
    }
}

#[test]
fn t29_options_of_length_0_1_and_past_the_end() {
    for bytes in [
        &[7, 0, 0, 0][..],
        &[7, 1, 0, 0],
        &[7, 5, 0, 0],
        &[7, 255, 0, 0],
        &[7],
        &[131, 0, 0, 0],
    ] {
        let mut options = HeaderOptions::new(bytes);
        let kind = bytes[0];
        assert_eq!(options.next(), Some(Err(ParseError::BadOption { kind })));
        assert_eq!(options.next(), None, "no endless loop");
    }
    // A malformed list is no error of the header (V-13).
    let packet = Plain {
        options: vec![7, 0, 0, 0],
        ..inner()
    }
    .packet(b"payload");
    assert!(Ipv4::parse(&packet).is_ok());
    assert_eq!(wrap(&tunnel(), &packet).unwrap()[20..], packet);

    // An MSS option of length 2 has no value, and asking for it is no panic.
    let mut segment = [0; 24];
    segment[12] = 0x60;
    segment[20..].copy_from_slice(&[HeaderOption::TCP_MSS, 2, 1, 0]);
    let tcp = Tcp::parse(&segment).unwrap();
    let mss = tcp.options().next().unwrap().unwrap();
    assert_eq!((mss.kind(), mss.data().first_chunk::<2>()), (2, None));
    assert_eq!(tcp.options().count(), 2);
}

#[test]
fn t30_e_15_d_09_options_survive_and_are_skipped() {
    for words in 0..=10 {
        let options: Vec<u8> = (0..words * 4)
            .map(|at| if at < 4 { 1 } else { 0xee })
            .collect();
        let options = if words > 1 {
            // One unknown option behind four NOPs, of the length that is left.
            let mut options = options;
            options[5] = u8::try_from(words * 4 - 4).unwrap();
            options
        } else {
            options
        };
        let packet = Plain {
            options: options.clone(),
            ..inner()
        }
        .packet(b"payload");
        let mut wrapped = wrap(&tunnel(), &packet).unwrap();
        let opened = ipencap::decap(&receiver(), &mut wrapped).unwrap();
        assert_eq!(opened.packet, packet);
        let mut with_outer_options = Plain { options, ..outer() }.packet(&packet);
        let opened = ipencap::decap(&receiver(), &mut with_outer_options).unwrap();
        assert_eq!(opened.packet, packet);
        assert_eq!(opened.opened.span().start, 20 + words * 4);
    }
}

/// D-12: it was the slack of the innermost layer only.
#[test]
fn the_slack_of_a_stack_is_that_of_all_its_layers() {
    let (near, far) = ([192, 0, 2, 1], [192, 0, 2, 2]);
    let middle = Plain {
        source: near,
        destination: far,
        ..outer()
    };
    let middle = middle.packet(&[&inner().packet(b"ok")[..], &[0xff; 3]].concat());
    let packet = outer().packet(&[&middle[..], &[0xff; 5]].concat());
    let access = PointToPoint::new(far.into(), near.into(), &ANY);
    let stack = (Receiver::new(IpIp, access), receiver());
    assert_eq!(stack.inspect(&packet).unwrap().slack(), 8);
}
