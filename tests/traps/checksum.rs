//! T1 to T15: sums, updates, and the two encodings of zero.

use core::net::Ipv4Addr;

use ipencap::Span;
use ipencap::checksum::{Delta, Sum, checksum, const_checksum, update_odd_u16, update_u16, verify};
use ipencap::decap::Decapsulate;
use ipencap::encap::OuterPolicy;
use ipencap::error::{EncapError, ParseError};
use ipencap::packet::Facts;
use ipencap::shim;
use ipencap::wire::{
    Ecn, Icmpv4, Icmpv4Header, IpProtocol, Ipv4, Ipv4Header, Ipv4Mut, Tcp, TcpHeader, Udp,
    UdpChecksum, UdpHeader,
};
use ipencap_kit::oracle::{self, Plain};

use crate::{A, B, L, R, inner, outer, over, reason, receiver, tunnel, wrap};

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

/// C-12.
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
    let zeroed = tunnel().with_policy(OuterPolicy {
        atomic_identification: identification,
        ..OuterPolicy::DEFAULT
    });
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

/// U-03.
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

/// C-13.
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

/// C-04.
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

/// C-11.
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

/// The byte that stands alone is the upper half of its word (RFC 1071 §4.1), whatever the machine's
/// byte order is; this can fail on big-endian ones only, so it is of use where it runs on one.
#[test]
fn t14_the_odd_byte_is_the_upper_half_of_its_word() {
    assert_eq!(checksum(&[0x01]), 0xfeff);
    assert_eq!(checksum(&[0x01, 0x02, 0x03]), 0xfbfd);
    assert_eq!(const_checksum(&[0x01, 0x02, 0x03]), 0xfbfd);
    for len in (1..300).step_by(2) {
        // All zero but the last byte, so that its place alone decides.
        let mut data = vec![0; len];
        *data.last_mut().unwrap() = 0xab;
        assert_eq!(checksum(&data), 0x54ff, "{len}");
        assert_eq!(const_checksum(&data), 0x54ff, "{len}");
    }
}

/// Found on a big-endian machine, where the sum of the options' words lost its carries; it can fail on
/// such ones only.
#[test]
fn t14_tcp_options_that_carry_are_summed_whole() {
    for word in [
        [0xff; 4],
        [0x01, 0x01, 0x08, 0x0a],
        [0x80, 0x00, 0x7f, 0xff],
    ] {
        for words in 0..=10 {
            let shim = tcp().with_options(&word.repeat(words)).unwrap();
            assert!(writes_valid_segments(shim), "{words} of {word:?}");
        }
    }
}

/// The checksum summed what longer options had left behind shorter ones.
#[test]
fn s_02_shorter_options_leave_nothing_of_longer_ones() {
    for shorter in [&[][..], &[2, 4, 5, 0xb4]] {
        let once = tcp().with_options(shorter).unwrap();
        let again = tcp().with_timestamps(7, 9).with_options(shorter).unwrap();
        assert_eq!(again, once);
        assert!(writes_valid_segments(again), "{shorter:?}");
    }
}

const fn tcp() -> shim::Tcp {
    shim::Tcp::new(40000, 443)
}

fn writes_valid_segments(shim: shim::Tcp) -> bool {
    let packet = wrap(&over(shim), &inner().packet(b"payload")).unwrap();
    Tcp::parse(&packet[20..])
        .unwrap()
        .verifies(L.into(), R.into())
}

/// V-05.
#[test]
fn t15_corrupt_checksum_is_refused() {
    let packet = inner().packet(b"payload");
    for bit in 0..160 {
        let mut corrupt = packet.clone();
        corrupt[bit / 8] ^= 1 << (bit % 8);
        assert!(Ipv4::parse(&corrupt).is_err(), "bit {bit}");
        assert!(Ipv4Mut::parse(&mut corrupt).is_err(), "bit {bit}");
        assert!(Facts::read(&corrupt).is_err(), "bit {bit}");
        assert!(wrap(&tunnel(), &corrupt).is_err(), "bit {bit}");
        assert!(reason(&outer().packet(&corrupt)).is_some(), "bit {bit}");
    }
    let mut corrupt = packet;
    corrupt[10] ^= 1;
    assert_eq!(Ipv4::parse(&corrupt).err(), Some(ParseError::BadChecksum));
    // Leaving it out takes a function that says so.
    assert!(Ipv4::parse_hardware_verified(&corrupt).is_ok());
}
