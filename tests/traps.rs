//! Bugs that bit other implementations, one function each.
//!
//! The numbers are those of the project's survey of peers. A trap of something that the crate does
//! not have yet is tested where it touches what there is.

#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    reason = "a test that panics fails"
)]

use core::net::Ipv4Addr;

use ipencap::Span;
use ipencap::checksum::{Delta, Sum, checksum, const_checksum, update_odd_u16, update_u16, verify};
use ipencap::encap::{
    Decapsulate, Decapsulator, DfPolicy, Encapsulate, IdSource, IpIp, IpIpCarrier, PerPacket, Role,
    inspect_without_filter,
};
use ipencap::error::{EncapError, ParseError, Reason};
use ipencap::filter::{PointToPoint, Prefix};
use ipencap::packet::{Packet, PacketMeta};
use ipencap::wire::{
    Dscp, Ecn, FragmentOffset, HeaderOption, HeaderOptions, Icmpv4, Icmpv4Header, IpProtocol, Ipv4,
    Ipv4Flags, Ipv4Header, Ipv4Mut, Tcp, TcpHeader, Udp, UdpChecksum, UdpHeader,
};
use ipencap_kit::oracle::{self, Plain};

const A: [u8; 4] = [10, 1, 0, 5];
const B: [u8; 4] = [10, 2, 0, 9];
const L: [u8; 4] = [198, 51, 100, 1];
const R: [u8; 4] = [203, 0, 113, 2];

const fn inner() -> Plain {
    Plain {
        tos: 0,
        identification: 0x1234,
        flags_offset: 0x4000,
        ttl: 64,
        protocol: 17,
        source: A,
        destination: B,
        options: vec![],
    }
}

const fn outer() -> Plain {
    Plain {
        tos: 0,
        identification: 0,
        flags_offset: 0x4000,
        ttl: 64,
        protocol: 4,
        source: L,
        destination: R,
        options: vec![],
    }
}

fn tunnel() -> IpIp {
    IpIp::new(L.into(), R.into()).unwrap()
}

static ANY: [Prefix; 1] = [Prefix::ANY];

fn receiver() -> Decapsulator<IpIpCarrier, PointToPoint<'static>> {
    Decapsulator::ipip(PointToPoint::new(R.into(), L.into(), &ANY))
}

fn reason(packet: &[u8]) -> Option<Reason> {
    receiver()
        .inspect(packet)
        .err()
        .map(|refused| refused.reason)
}

/// `packet` wrapped into `tunnel`, in a buffer that is poisoned in front and behind.
fn wrap(tunnel: &IpIp, packet: &[u8]) -> Result<Vec<u8>, EncapError> {
    let mut buffer = [&[0xa5; 20], packet, &[0x5a; 4]].concat();
    let inner = Span::new(20, packet.len());
    ipencap::encap(tunnel, &mut buffer, inner, &PerPacket::new()).map(|outer| outer.to_vec())
}

// ---- Checksums

#[test]
fn t01_carry_chain_is_not_lost() {
    let data = [
        &[0xff; 16][..],
        &[0x01],
        &[0x00; 15],
        &[0xff; 16],
        &[0x00; 16],
    ]
    .concat();
    assert_eq!(data.len(), 64);
    assert_eq!(checksum(&data), 0xfeff);
    assert_eq!(const_checksum(&data), 0xfeff);
    // The same in front of the other code paths: behind and in front of 64-byte blocks.
    for copies in 1..=8 {
        let repeated = data.repeat(copies);
        assert_eq!(checksum(&repeated), oracle::checksum(&repeated));
        for cut in 0..64 {
            let cut = &repeated[cut..];
            assert_eq!(checksum(cut), oracle::checksum(cut));
        }
    }
}

#[test]
fn t02_c_09_update_that_changes_nothing_still_verifies() {
    // Any header has a word that is not 0, and then the updated checksum is the recomputed one.
    let header = *Ipv4Header::new(A.into(), B.into(), IpProtocol::UDP, 20).as_bytes();
    for at in (0..20).step_by(2).filter(|&at| at != 10) {
        let mut bytes = header;
        let word = oracle::u16_at(&bytes, at);
        let updated = update_u16(oracle::u16_at(&bytes, 10), word, word);
        oracle::put_u16(&mut bytes, 10, updated);
        assert_eq!(bytes, header);
    }
    let mut same = Ipv4Header::from_bytes(header);
    same.edit(|edit| {
        edit.set_ttl(64).set_ecn(Ecn::NotEct).set_source(A.into());
    });
    assert_eq!(*same.as_bytes(), header);

    // Twenty zeros, as in the trap: with nothing else covered, equation 3 gives the other zero (C-09).
    let zeros = checksum(&[0; 20]);
    assert_eq!((zeros, update_u16(zeros, 0, 0)), (0xffff, 0x0000));
    assert_eq!(Delta::new().apply(zeros), zeros, "no change at all");
}

#[test]
fn t03_both_zeros_verify_and_only_0000_is_emitted() {
    let atomic = Plain {
        identification: 0,
        ..inner()
    };
    let complement = oracle::u16_at(&atomic.packet(&[]), 10);
    let mut packet = Plain {
        identification: complement,
        ..inner()
    }
    .packet(&[]);
    assert_eq!(oracle::u16_at(&packet, 10), 0x0000);
    for zero in [0x0000, 0xffff] {
        oracle::put_u16(&mut packet, 10, zero);
        assert!(verify(&packet));
        assert!(Ipv4::parse(&packet).is_ok());
        assert_eq!(
            wrap(&tunnel(), &packet).unwrap()[20..],
            packet,
            "carried as it is"
        );
        assert_eq!(reason(&outer().packet(&packet)), None);
    }

    // An outer header whose checksum computes to 0 is sent with 0x0000 (ipbus-firmware#210).
    let payload = inner().packet(&[]);
    let first = wrap(&tunnel(), &payload).unwrap();
    let identification = oracle::u16_at(&first, 10);
    let zeroed = tunnel().with_atomic_identification(identification);
    let wrapped = wrap(&zeroed, &payload).unwrap();
    assert_eq!(oracle::u16_at(&wrapped, 10), 0x0000);
    assert!(Ipv4::parse(&wrapped).is_ok());
    let mut filled = Ipv4Header::from_bytes(wrapped[..20].try_into().unwrap());
    filled.fill_checksum(&[]);
    assert_eq!(filled.checksum(), 0x0000);
    // And where a receiver meets the other encoding, it opens the packet.
    let mut other = wrapped;
    oracle::put_u16(&mut other, 10, 0xffff);
    assert_eq!(reason(&other), None);
}

#[test]
fn t04_computed_udp_zero_goes_out_as_ffff() {
    // Source port 65498, everything else zero: 0xffda + protocol 17 + twice the length 10 is 0xffff.
    let none = Ipv4Addr::UNSPECIFIED;
    let mut header = UdpHeader::new(65498, 0, 10);
    header.fill_checksum(none, none, &[0, 0]);
    assert_eq!(header.checksum(), 0xffff);
    let datagram = [
        &65498u16.to_be_bytes()[..],
        &[0, 0, 0, 10, 0xff, 0xff, 0, 0],
    ]
    .concat();
    let udp = Udp::parse(&datagram).unwrap();
    assert_eq!(udp.checksum_status(none, none), UdpChecksum::Valid);

    // An update that comes out at 0 (C-14), by a setter and by value.
    let mut near = UdpHeader::new(65497, 0, 10);
    near.fill_checksum(none, none, &[0, 0]);
    assert_eq!(near.checksum(), 0x0001);
    near.set_source_port(65498);
    assert_eq!(near.checksum(), 0xffff);
    assert_eq!(UdpHeader::transmitted(0), 0xffff);

    // TCP has no such rule: CK-18.
    let mut segment = [
        0x9c, 0x40, 0x00, 0x50, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01, 0x50, 0x10, 0x00,
        0x01, 0x12, 0x34, 0xff, 0x30,
    ];
    let (header, options, payload) = TcpHeader::split_mut(&mut segment).unwrap();
    header
        .fill_checksum(A.into(), B.into(), options, payload)
        .unwrap();
    assert_eq!(header.checksum(), 0x0000);
    assert!(Tcp::parse(&segment).unwrap().verifies(A.into(), B.into()));
}

#[test]
fn t05_absent_udp_checksum_stays_absent() {
    let mut header = UdpHeader::new(40000, 53, 8);
    header.set_source_port(1);
    header.set_destination_port(2);
    header.set_len(9);
    header.patch_address(A.into(), B.into());
    header.patch(Delta::new().replace_u16(0x1111, 0x2222));
    assert_eq!(header.checksum(), 0);
    let mut datagram = [0, 1, 0, 2, 0, 9, 0, 0, b'x'];
    let udp = Udp::parse(&datagram).unwrap();
    assert_eq!(udp.checksum_status(A.into(), B.into()), UdpChecksum::Absent);
    let (header, payload) = UdpHeader::split_mut(&mut datagram).unwrap();
    header.fill_checksum(A.into(), B.into(), payload);
    assert_ne!(header.checksum(), 0);
    header.clear_checksum();
    assert_eq!(header.checksum(), 0);
}

#[test]
fn t06_t07_every_split_of_every_length() {
    let split = Sum::new().add_bytes(&[1, 2, 3]).add_bytes(&[4, 5]);
    assert_eq!(split.checksum(), 0xf6f9);

    let bytes: Vec<u8> = (0..70).map(|at: u8| at.wrapping_mul(37) ^ 0xa5).collect();
    for len in 0..=70 {
        let data = &bytes[..len];
        let whole = oracle::checksum(data);
        for cut in 0..=len {
            let (head, tail) = data.split_at(cut);
            assert_eq!(Sum::new().add_bytes(head).add_bytes(tail).checksum(), whole);
            let joined = Sum::new().add_bytes(head).join(Sum::new().add_bytes(tail));
            assert_eq!(joined.checksum(), whole);
            // T7: nothing at all behind an odd slice.
            let empty = Sum::new().add_bytes(head).add_bytes(&[]).join(Sum::new());
            assert_eq!(empty.add_bytes(tail).checksum(), whole);
            for second in cut..=len {
                let (middle, last) = (&data[cut..second], &data[second..]);
                let three = Sum::new().add_bytes(head).add_bytes(middle).add_bytes(last);
                assert_eq!(
                    three.checksum(),
                    whole,
                    "{len} bytes cut at {cut} and {second}"
                );
            }
        }
    }
}

#[test]
fn t08_taking_odd_bytes_away_gives_back_what_was() {
    let three = Sum::new().add_bytes(&[0x12, 0x34, 0x56]);
    for before in [0xac68, 0x0000, 0x0001, 0xfffe] {
        let with = Delta::between(Sum::new(), three).apply(before);
        let without = Delta::between(three, Sum::new()).apply(with);
        assert_eq!(without, before);
    }
    // In data: three bytes become zeros, and the checksum follows.
    let mut data = [0, 0, 0xde, 0xad, 0x12, 0x34, 0x56, 0xbe];
    let filled = checksum(&data);
    oracle::put_u16(&mut data, 0, filled);
    data[4..7].fill(0);
    let zeros = Sum::new().add_bytes(&[0, 0, 0]);
    let updated = Delta::between(three, zeros).apply(filled);
    oracle::put_u16(&mut data, 0, updated);
    assert!(verify(&data));
}

#[test]
fn t09_field_at_an_odd_offset() {
    // The options NOP, MSS 1460: the value begins at the odd offset 23 of the segment.
    let mut segment = [
        0x9c, 0x40, 0x00, 0x50, 0x01, 0x02, 0x03, 0x04, 0x00, 0x00, 0x00, 0x00, 0x70, 0x02, 0xff,
        0xff, 0x00, 0x00, 0x00, 0x00, 1, 2, 4, 0x05, 0xb4, 1, 1, 0,
    ];
    let (header, options, payload) = TcpHeader::split_mut(&mut segment).unwrap();
    header
        .fill_checksum(A.into(), B.into(), options, payload)
        .unwrap();
    let before = header.checksum();
    let (old, new) = (1460, 1400);
    assert_eq!(oracle::u16_at(&segment, 23), old);
    oracle::put_u16(&mut segment, 23, new);

    let updated = update_odd_u16(before, old, new);
    assert_eq!(
        Delta::new().replace_odd_u16(old, new).apply(before),
        updated
    );
    assert_ne!(
        update_u16(before, old, new),
        updated,
        "as if at an even offset"
    );
    oracle::put_u16(&mut segment, 16, updated);
    assert!(Tcp::parse(&segment).unwrap().verifies(A.into(), B.into()));
    let (header, options, payload) = TcpHeader::split_mut(&mut segment).unwrap();
    header
        .fill_checksum(A.into(), B.into(), options, payload)
        .unwrap();
    assert_eq!(header.checksum(), updated);

    // The same for every pair of words around 0x0000 and 0xffff, against a recomputation.
    let values = [
        0x0000, 0x0001, 0x00ff, 0x0100, 0x5a5a, 0xff00, 0xfffe, 0xffff,
    ];
    for old in values {
        for new in values {
            let mut data = [0, 0, 0x45, 0, 0, 0x99];
            oracle::put_u16(&mut data, 3, old);
            let before = oracle::checksum(&data);
            oracle::put_u16(&mut data, 3, new);
            assert_eq!(update_odd_u16(before, old, new), oracle::checksum(&data));
        }
    }
}

#[test]
fn t10_end_around_carry_of_an_icmp_type() {
    // Echo request to echo reply: the checksum grows by 0x0800, around the end too.
    for checksum in 0..=0xffffu16 {
        let mut message = [8, 0, 0, 0, 0x12, 0x34, 0, 1];
        oracle::put_u16(&mut message, 2, checksum);
        let before = oracle::residue(&message);
        let (header, _) = Icmpv4Header::split_mut(&mut message).unwrap();
        header.set_type_and_code(0, 0);
        assert_eq!(oracle::residue(&message), before);
    }
    // The table of a load balancer's bug: the field on the wire, and what it must become.
    let rows = [
        (0xf7ff, 0x0000),
        (0xf8ff, 0x0100),
        (0xf9ff, 0x0200),
        (0xfdff, 0x0600),
        (0xfeff, 0x0700),
        (0xffff, 0x0800),
    ];
    for (before, after) in rows {
        let mut message = [8, 0, 0, 0];
        oracle::put_u16(&mut message, 2, before);
        let (header, _) = Icmpv4Header::split_mut(&mut message).unwrap();
        header.set_type_and_code(0, 0);
        assert_eq!(header.checksum(), after, "{before:04x}");
    }
    let mut message = [8, 0, 0, 0, 0x12, 0x34, 0xe5, 0xcb];
    let (header, rest) = Icmpv4Header::split_mut(&mut message).unwrap();
    header.fill_checksum(rest);
    assert_eq!(header.checksum(), 0x0000, "so the addition carries nothing");
    header.set_type_and_code(0, 0);
    assert_eq!(header.checksum(), 0x0800);
    assert!(Icmpv4::parse(&message).is_ok());
    let mut message = [8, 0, 0, 0, 0x00, 0x10, 0, 0];
    let (header, rest) = Icmpv4Header::split_mut(&mut message).unwrap();
    header.fill_checksum(rest);
    assert_eq!(header.checksum(), 0xf7ef);
    header.set_type_and_code(0, 0);
    assert_eq!(header.checksum(), 0xffef);
    assert!(Icmpv4::parse(&message).is_ok());
}

#[test]
fn t11_accumulator_holds_megabytes_of_ones() {
    // 131 078 is where a 32-bit accumulator overflows; 1 << 20 is the length of our own blocks.
    for len in [
        131_078,
        131_079,
        (1 << 20) - 1,
        1 << 20,
        (1 << 20) + 1,
        (3 << 20) + 77,
    ] {
        let ones = vec![0xff; len];
        let expected = if len % 2 == 0 { 0x0000 } else { 0x00ff };
        assert_eq!(checksum(&ones), expected, "{len} bytes");
        let (head, tail) = ones.split_at(len / 3);
        assert_eq!(
            Sum::new().add_bytes(head).add_bytes(tail).checksum(),
            expected
        );
        if len < 200_000 {
            assert_eq!(const_checksum(&ones), expected);
        }
    }
    // CK-10, CK-10b.
    assert_eq!(checksum(&vec![0xff; 65535]), 0x00ff);
    assert_eq!(checksum(&vec![0xff; 65534]), 0x0000);
}

#[test]
fn t12_length_beyond_16_bits_is_refused() {
    // A pseudo-header takes a 16-bit length by its type; a longer TCP segment is an error.
    let mut header = [0; 20];
    header[12] = 0x50;
    for (len, fits) in [
        (65515, true),
        (65516, false),
        (65536, false),
        (70000, false),
    ] {
        let payload = vec![0; len];
        let (header, _, _) = TcpHeader::split_mut(&mut header).unwrap();
        let before = *header;
        let filled = header.fill_checksum(A.into(), B.into(), &[], &payload);
        if fits {
            assert_eq!(filled, Ok(()));
        } else {
            let len = u32::try_from(len + 20).unwrap();
            assert_eq!(filled, Err(EncapError::TooLong { len }));
            assert_eq!(*header, before);
        }
    }
    let mut long = vec![0; 65536];
    long[12] = 0x50;
    assert!(!Tcp::parse(&long).unwrap().verifies(A.into(), B.into()));
}

#[test]
fn t13_header_of_60_bytes() {
    let longest = Plain {
        options: (0..40).map(|at| at % 2 + 1).collect(),
        ..inner()
    };
    let packet = longest.packet(b"payload");
    let (header, options, _) = Ipv4Header::split(&packet).unwrap();
    assert_eq!((header.header_len(), options.len()), (60, 40));
    assert!(header.verifies(options));
    let mut refilled = *header;
    refilled.fill_checksum(options);
    assert_eq!(refilled, *header);
    // The last byte counts.
    let mut flipped = packet.clone();
    flipped[59] ^= 1;
    assert_eq!(Ipv4::parse(&flipped).err(), Some(ParseError::BadChecksum));

    let as_outer = Plain {
        options: longest.options,
        ..outer()
    };
    let opened = receiver().inspect(&as_outer.packet(&packet)).unwrap();
    assert_eq!(opened.span(), Span::new(60, packet.len()));
}

#[test]
fn t15_corrupt_checksum_is_refused() {
    let packet = inner().packet(b"payload");
    for bit in 0..160 {
        let mut corrupt = packet.clone();
        corrupt[bit / 8] ^= 1 << (bit % 8);
        assert!(Ipv4::parse(&corrupt).is_err(), "bit {bit}");
        assert!(Ipv4Mut::parse(&mut corrupt).is_err(), "bit {bit}");
        assert!(PacketMeta::read(&corrupt).is_err(), "bit {bit}");
        assert!(wrap(&tunnel(), &corrupt).is_err(), "bit {bit}");
        assert!(reason(&outer().packet(&corrupt)).is_some(), "bit {bit}");
    }
    let mut corrupt = packet;
    corrupt[10] ^= 1;
    assert_eq!(Ipv4::parse(&corrupt).err(), Some(ParseError::BadChecksum));
    // Leaving it out takes a function that says so.
    assert!(Ipv4::parse_hardware_verified(&corrupt).is_ok());
}

// ---- IPv4 header bounds

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
    let unfiltered = inspect_without_filter(&IpIpCarrier, &packet);
    assert_eq!(unfiltered.unwrap_err().reason, Reason::OuterBadIhl);
    let mut nested = outer().packet(&packet);
    assert_eq!(reason(&nested), Some(Reason::InnerBadIhl));
    // One call takes off one layer, however many there are (L-01).
    for _ in 0..64 {
        nested = outer().packet(&nested);
    }
    let opened = inspect_without_filter(&IpIpCarrier, &nested).unwrap();
    assert_eq!((opened.layers(), opened.span().start), (1, 20));
    assert_eq!(reason(&nested), Some(Reason::InnerEqualsOuter));
}

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

// ---- Encap

#[test]
fn t31_lengths_around_65535() {
    for (len, expected) in [
        (65515usize, Ok(65535)),
        (65516, Err(EncapError::TooLong { len: 65536 })),
        (65520, Err(EncapError::TooLong { len: 65540 })),
        (65535, Err(EncapError::TooLong { len: 65555 })),
    ] {
        let packet = inner().packet(&vec![0x42; len - 20]);
        assert_eq!(wrap(&tunnel(), &packet).map(|outer| outer.len()), expected);
    }
    // 65536 bytes cannot be said in a header: what lies behind 65535 is slack.
    let longest = [&inner().packet(&vec![0x42; 65515])[..], &[0x42]].concat();
    assert_eq!(longest.len(), 65536);
    assert_eq!(
        wrap(&tunnel(), &longest),
        Err(EncapError::TooLong { len: 65555 })
    );
}

#[test]
fn t32_e_19_short_headroom_is_an_error_and_changes_nothing() {
    let packet = inner().packet(b"payload");
    for have in 0..20u16 {
        let mut buffer = vec![0xa5; usize::from(have)];
        buffer.extend(&packet);
        let before = buffer.clone();
        let span = Span::new(usize::from(have), packet.len());
        let error = EncapError::NoHeadroom { need: 20, have };
        let said = PerPacket::new();
        let result = ipencap::encap(&tunnel(), &mut buffer, span, &said);
        assert_eq!(result.unwrap_err(), error);
        let mut place = Packet::new(&mut buffer, span);
        assert_eq!(place.encap(&tunnel(), &said), Err(error));
        assert_eq!(place.span(), span);
        let proven = Packet::new(&mut buffer, span).prove().unwrap();
        assert_eq!(proven.encap(&tunnel(), &said).unwrap_err(), error);
        assert_eq!(buffer, before);
    }
    // A frame that ends before its headroom does.
    for have in 0..20u16 {
        let mut frame = vec![0xa5; usize::from(have)];
        let error = EncapError::NoHeadroom { need: 20, have };
        assert_eq!(tunnel().encap(&mut frame, &PerPacket::new()), Err(error));
        assert!(frame.iter().all(|&byte| byte == 0xa5));
    }
}

#[test]
fn t33_dirty_headroom_is_written_over() {
    let packet = inner().packet(b"payload");
    let clean = wrap(&tunnel(), &packet).unwrap();
    for poison in 0..=255u8 {
        let mut buffer = vec![poison; 25];
        buffer.extend(&packet);
        let span = Span::new(25, packet.len());
        let outer = ipencap::encap(&tunnel(), &mut buffer, span, &PerPacket::new()).unwrap();
        assert_eq!(outer, clean);
        assert_eq!(buffer[..5], [poison; 5]);
    }
}

#[test]
fn t34_f_01_f_04_identification_is_never_the_inner_one() {
    let packet = Plain {
        flags_offset: 0,
        ..inner()
    }
    .packet(b"payload");
    // Atomic: any value, 0 by default.
    assert_eq!(oracle::u16_at(&wrap(&tunnel(), &packet).unwrap(), 4), 0);
    // Not atomic: without an ordinal there is no identification (F-02, F-03), so never 0 by chance.
    let copying = tunnel().with_df(DfPolicy::Copy(IdSource::Ordinal));
    assert_eq!(wrap(&copying, &packet), Err(EncapError::NoIdentification));
    let meta = PacketMeta::read(&packet).unwrap();
    let mut seen = vec![false; 65536];
    for ordinal in 0x0001_fff0..0x0002_fff0u32 {
        let said = PerPacket::new().with_ordinal(ordinal);
        let header = copying.header(&meta, &said).unwrap();
        assert_eq!(oracle::u16_at(&header, 6), 0);
        let identification = usize::from(oracle::u16_at(&header, 4));
        assert!(
            !seen[identification],
            "65536 packets in a row are told apart"
        );
        seen[identification] = true;
    }
}

#[test]
fn t35_ttl_0_and_1_and_the_checksum_after_the_decrement() {
    let with_ttl = |ttl| Plain { ttl, ..inner() }.packet(b"payload");
    let forwarding = tunnel().with_role(Role::Forward);
    assert_eq!(wrap(&forwarding, &with_ttl(0)), Err(EncapError::TtlZero));
    assert_eq!(wrap(&forwarding, &with_ttl(1)), Err(EncapError::TtlExpired));
    assert_eq!(wrap(&tunnel(), &with_ttl(0)), Err(EncapError::TtlZero));
    assert_eq!(wrap(&tunnel(), &with_ttl(1)).unwrap()[20..], with_ttl(1));
    for ttl in 2..=255 {
        assert_eq!(
            wrap(&forwarding, &with_ttl(ttl)).unwrap()[20..],
            with_ttl(ttl - 1)
        );
    }
    // The error survives the hop (C-15): a header that was proven by nobody is not repaired.
    let mut wrong = Ipv4Header::from_bytes(with_ttl(64)[..20].try_into().unwrap());
    let mut bytes = *wrong.as_bytes();
    bytes[10] ^= 0x40;
    wrong = Ipv4Header::from_bytes(bytes);
    assert!(wrong.decrement_ttl());
    assert!(!wrong.verifies(&[]));
}

#[test]
fn t36_inner_df_is_always_kept() {
    for df in [
        DfPolicy::Set,
        DfPolicy::Copy(IdSource::Ordinal),
        DfPolicy::Copy(IdSource::Constant(7)),
    ] {
        for (inner_word, outer_word) in [(0x4000, 0x4000), (0xc000, 0x4000), (0x6000, 0x4000)] {
            let packet = Plain {
                flags_offset: inner_word,
                ..inner()
            }
            .packet(&[]);
            let wrapped = wrap(&tunnel().with_df(df), &packet).unwrap();
            assert_eq!(oracle::u16_at(&wrapped, 6), outer_word, "{df:?}");
            assert_eq!(wrapped[20..], packet);
        }
    }
}

#[test]
fn t38_self_encapsulation_is_noticed_on_both_ends() {
    let forwarding = tunnel().with_role(Role::Forward);
    let from = |source, destination| {
        Plain {
            source,
            destination,
            protocol: 4,
            ..inner()
        }
        .packet(&inner().packet(&[]))
    };
    // E-17, E-18 going in; a host's own traffic may (TX-07).
    let to_exit = EncapError::LoopToExit { layer: 0 };
    let own_source = EncapError::LoopOwnSource { layer: 0 };
    assert_eq!(wrap(&tunnel(), &from(R, B)), Err(to_exit));
    assert_eq!(wrap(&forwarding, &from(R, B)), Err(to_exit));
    assert_eq!(wrap(&forwarding, &from(L, B)), Err(own_source));
    assert!(wrap(&tunnel(), &from(L, B)).is_ok());
    assert!(wrap(&tunnel().allowing_hairpin(), &from(R, B)).is_ok());

    // L-04: its own outer packet once more.
    let meta = |packet: &[u8]| PacketMeta::read(packet).unwrap();
    let once = wrap(&tunnel(), &inner().packet(&[])).unwrap();
    assert!(tunnel().would_loop(&meta(&once)));
    assert!(forwarding.would_loop(&meta(&once)));
    assert!(tunnel().would_loop(&meta(&from(R, B))));
    assert!(!tunnel().would_loop(&meta(&from(L, B))));
    assert!(forwarding.would_loop(&meta(&from(L, B))));
    assert!(!tunnel().would_loop(&meta(&inner().packet(&[]))));

    // D-16 coming out, at depth N + 1 for every N; D-20 where only the destination is ours.
    let mut nested = inner().packet(&[]);
    for depth in 1..=12 {
        nested = outer().packet(&nested);
        let expected = (depth > 1).then_some(Reason::InnerEqualsOuter);
        assert_eq!(reason(&nested), expected, "{depth} layers");
    }
    let to_us = outer().packet(&from(A, R));
    assert_eq!(reason(&to_us), Some(Reason::NestingLimit));
    assert!(receiver().with_max_depth(2).inspect(&to_us).is_ok());
}

#[test]
fn t40_protocol_94_is_not_ip_in_ip() {
    assert_eq!(IpProtocol::IPENCAP, IpProtocol(4));
    assert!(!IpProtocol(94).is_tunnel());
    let packet = Plain {
        protocol: 94,
        ..outer()
    }
    .packet(&inner().packet(&[]));
    assert_eq!(reason(&packet), Some(Reason::NotTunnel));
    let unfiltered = inspect_without_filter(&IpIpCarrier, &packet);
    assert_eq!(unfiltered.unwrap_err().reason, Reason::NotTunnel);
}

// ---- Decap and links

#[test]
fn t41_failed_decapsulation_changes_nothing() {
    // Each of these would be written to (outer CE, inner ECT(0)) if a later check did not fail.
    let marked = |outer_header: Plain, inner_header: Plain| {
        Plain {
            tos: 3,
            ..outer_header
        }
        .packet(
            &Plain {
                tos: 2,
                ..inner_header
            }
            .packet(b"payload"),
        )
    };
    let packets = [
        (
            marked(
                Plain {
                    destination: A,
                    ..outer()
                },
                inner(),
            ),
            Reason::OuterDstNotLocal,
        ),
        (
            marked(
                Plain {
                    source: B,
                    ..outer()
                },
                inner(),
            ),
            Reason::UnknownPeer,
        ),
        (
            marked(outer(), Plain { ttl: 0, ..inner() }),
            Reason::InnerTtlZero,
        ),
        (
            marked(
                outer(),
                Plain {
                    destination: L,
                    ..inner()
                },
            ),
            Reason::LoopToPeer,
        ),
        (
            marked(
                outer(),
                Plain {
                    source: R,
                    ..inner()
                },
            ),
            Reason::InnerSourceIsLocal,
        ),
    ];
    for (packet, expected) in packets {
        let mut buffer = [&[0xa5; 3], &packet[..], &[0xa5; 3]].concat();
        let before = buffer.clone();
        let span = Span::new(3, packet.len());
        let mut place = Packet::new(&mut buffer, span);
        assert_eq!(place.decap(&receiver()).unwrap_err().reason, expected);
        assert_eq!(place.span(), span);
        assert_eq!(place.as_slice(), packet);
        let refused = ipencap::decap(&receiver(), span.get_mut(&mut buffer).unwrap());
        assert_eq!(refused.unwrap_err().reason, expected);
        assert_eq!(buffer, before);
    }
    // LAND comes last, behind ECN: even there nothing has been written.
    let mut land = marked(
        outer(),
        Plain {
            source: B,
            ..inner()
        },
    );
    let before = land.clone();
    let refused = ipencap::decap(&receiver().refusing_land(), &mut land).unwrap_err();
    assert_eq!(refused.reason, Reason::InnerSourceEqualsDestination);
    assert_eq!(land, before);
    assert!(
        ipencap::decap(&receiver(), &mut land)
            .unwrap()
            .opened
            .changes_bytes()
    );
}

#[test]
fn t48_address_family_prefix_of_a_tun_device() {
    let packet = inner().packet(b"payload");
    // Linux's packet information, macOS's address family in both byte orders.
    for prefix in [[0, 0, 8, 0], [0, 0, 0, 2], [2, 0, 0, 0]] {
        let prefixed = [&prefix[..], &packet].concat();
        let error = ParseError::BadVersion { version: 0 };
        assert_eq!(Ipv4::parse(&prefixed).err(), Some(error));
        assert_eq!(wrap(&tunnel(), &prefixed), Err(error.into()));
        assert!(error.to_string().contains("skip a link prefix"), "{error}");
        assert!(Ipv4::parse(&prefixed[4..]).is_ok());
    }
}
