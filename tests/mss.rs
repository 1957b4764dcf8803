//! The MSS option of SYN segments: when it is lowered, and what is left as it is.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that panics fails"
)]

use ipencap::mss::{self, MAX_DEPTH, MIN_MSS};
use ipencap::mtu::Overhead;
use ipencap::packet::InnerChecksum;
use ipencap_kit::oracle::{self, Plain};

const SYN: u8 = 0x02;
const SYN_ACK: u8 = 0x12;
const ACK: u8 = 0x10;

/// The option with this value.
const fn option(mss: u16) -> [u8; 4] {
    let [high, low] = mss.to_be_bytes();
    [2, 4, high, low]
}

/// A segment from 10.1.0.5 to 10.2.0.9, with a right checksum.
fn segment(flags: u8, options: &[u8], payload: &[u8]) -> Vec<u8> {
    assert!(options.len().is_multiple_of(4) && options.len() <= 40);
    let words = u8::try_from(5 + options.len() / 4).unwrap();
    let mut segment = vec![0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0];
    segment.extend([words << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend(options);
    segment.extend(payload);
    let packet = Plain::of(6).packet(&segment);
    let checksum = oracle::tcp_checksum(&oracle::covered_by_tcp(&packet, 20));
    oracle::put_u16(&mut segment, 16, checksum);
    segment
}

fn packet(flags: u8, options: &[u8]) -> Vec<u8> {
    Plain::of(6).packet(&segment(flags, options, b"data"))
}

/// The packet after all that is to be done.
fn clamp(packet: &[u8], mss: u16) -> Vec<u8> {
    let mut clamped = packet.to_vec();
    if let Some(patch) = mss::inspect(packet, mss) {
        patch.apply(&mut clamped);
        assert_ne!(clamped, packet);
    }
    clamped
}

/// Known bytes: a SYN with 1460 as its only option, and with a NOP in front, at an odd offset. The checksums
/// were computed over all bytes by another program.
#[test]
fn s_32_known_answers() {
    let known = [
        (
            *b"\x02\x04\x05\xb4\x01\x01\x01\x00",
            0xd57f,
            *b"\x02\x04\x05\xa0\x01\x01\x01\x00",
            0xd593,
        ),
        (
            *b"\x01\x02\x04\x05\xb4\x01\x01\x00",
            0x2530,
            *b"\x01\x02\x04\x05\xa0\x01\x01\x00",
            0x3930,
        ),
    ];
    for (options, checksum, lowered, updated) in known {
        let before = Plain::of(6).packet(&segment(SYN, &options, b""));
        assert_eq!(oracle::u16_at(&before, 36), checksum);
        let after = clamp(&before, 1440);
        assert_eq!(after[40..], lowered);
        assert_eq!(oracle::u16_at(&after, 36), updated);
        // The inner IP header is not touched.
        assert_eq!(after[..20], before[..20]);
    }
}

/// S-32: a SYN that goes out and a SYN-ACK that comes in are both lowered; an equal or smaller value stays as
/// it is, checksum and all.
#[test]
fn s_32_both_directions_are_lowered() {
    let limit = u16::try_from(Overhead::IPIP.tcp_mss(1500).unwrap()).unwrap();
    assert_eq!(limit, 1440);
    for flags in [SYN, SYN_ACK, SYN | 0xc0, SYN_ACK | 0x40] {
        let lowered = packet(flags, &option(1440));
        for mss in [1441, 1460, 8960, 65_535] {
            assert_eq!(clamp(&packet(flags, &option(mss)), limit), lowered);
        }
        for mss in [0, 1, 27, 28, 536, 1439, 1440] {
            assert_eq!(mss::inspect(&packet(flags, &option(mss)), limit), None);
        }
    }
    for flags in [ACK, 0, 0x04, 0x01, 0x18, 0x19, 0x20, !SYN] {
        assert_eq!(mss::inspect(&packet(flags, &option(1460)), limit), None);
    }
}

/// S-32: without the option nothing is inserted.
#[test]
fn s_32_a_missing_option_is_not_inserted() {
    let timestamps = [&[1, 1, 8, 10][..], &[0; 8]].concat();
    for options in [&[][..], &[1, 1, 1, 0], &[0, 2, 4, 5], &timestamps] {
        assert_eq!(mss::inspect(&packet(SYN, options), 100), None);
    }
}

/// S-33: nothing below 28 is ever written, whatever is asked for.
#[test]
fn s_33_the_least_value() {
    assert_eq!(MIN_MSS, 28);
    for asked in 0..=28 {
        let patch = mss::inspect(&packet(SYN, &option(1460)), asked).unwrap();
        assert_eq!(patch.mss(), 28);
        assert_eq!(
            clamp(&packet(SYN, &option(1460)), asked),
            packet(SYN, &option(28))
        );
        assert_eq!(mss::inspect(&packet(SYN, &option(28)), asked), None);
        assert_eq!(mss::inspect(&packet(SYN, &option(0)), asked), None);
    }
}

/// S-32: an invalid option anywhere leaves the packet as it is.
#[test]
fn s_32_invalid_options() {
    let mss = option(1460);
    let invalid: [&[u8]; 9] = [
        &[2, 0, 5, 180],
        &[2, 1, 5, 180],
        &[2, 2, 1, 1],
        &[2, 3, 5, 1],
        &[2, 5, 5, 180, 0, 1, 1, 1],
        &[2, 6, 5, 180, 0, 0, 1, 1],
        &[8, 40, 0, 0],
        &[1, 1, 1, 2],
        &[3, 0, 0, 0],
    ];
    for options in invalid {
        for options in [options.to_vec(), [&mss, options].concat()] {
            assert_eq!(
                mss::inspect(&packet(SYN, &options), 1440),
                None,
                "{options:?}"
            );
        }
        // Behind the end of the list nothing is read.
        let options = [&mss, &[0, 0, 0, 0], options].concat();
        assert!(mss::inspect(&packet(SYN, &options), 1440).is_some());
    }
}

/// S-32: all of several options, because receivers differ in which one they take.
#[test]
fn s_32_several_options() {
    let options = [
        option(1400),
        option(9000),
        option(1440),
        option(1441),
        option(28),
    ]
    .concat();
    let lowered = [
        option(1400),
        option(1440),
        option(1440),
        option(1440),
        option(28),
    ]
    .concat();
    assert_eq!(clamp(&packet(SYN, &options), 1440), packet(SYN, &lowered));
    let most = option(65_535).repeat(10);
    assert_eq!(
        clamp(&packet(SYN, &most), 536),
        packet(SYN, &option(536).repeat(10))
    );
}

/// S-32: only in a first fragment that has the header with all options.
#[test]
fn s_32_fragments() {
    let options = [&[1, 1, 1, 1][..], &option(1460)].concat();
    let segment = segment(SYN, &options, &[0x5a; 12]);
    let fragment = |flags_offset, len: usize| {
        let header = Plain {
            flags_offset,
            ..Plain::of(6)
        };
        header.packet(&segment[..len])
    };
    for len in 0..=40 {
        let patch = mss::inspect(&fragment(0x2000, len), 1440);
        assert_eq!(patch.is_some(), len >= 28, "{len} bytes");
        for offset in [1, 2, 0x1fff] {
            assert_eq!(mss::inspect(&fragment(0x2000 | offset, len), 1440), None);
            assert_eq!(mss::inspect(&fragment(offset, len), 1440), None);
        }
    }
    // The checksum of the whole segment, of which the first fragment has a part, is right afterwards.
    let clamped = clamp(&fragment(0x2000, 32), 1440);
    let whole = Plain::of(6).packet(&[&clamped[20..], &segment[32..]].concat());
    assert!(oracle::verifies(&oracle::covered_by_tcp(&whole, 20)));
}

/// S-32: inside of up to four IP-in-IP headers, with options or without, and not inside of a fragment.
#[test]
fn s_32_nested_tunnels() {
    assert_eq!(MAX_DEPTH, 4);
    for depth in 0..=6 {
        for options in [vec![], vec![1; 4], vec![1; 40]] {
            let tunnel = Plain {
                options,
                ..Plain::of(4)
            };
            let nest = |inner: Vec<u8>| (0..depth).fold(inner, |inner, _| tunnel.packet(&inner));
            let before = nest(packet(SYN, &option(1460)));
            let after = clamp(&before, 1400);
            if depth <= 4 {
                // Each header takes its length from what the innermost packet may be.
                let around = depth * tunnel.packet(&[]).len();
                let left = 1400 - u16::try_from(around).unwrap();
                assert_eq!(after, nest(packet(SYN, &option(left))), "{depth}");
            } else {
                assert_eq!(after, before, "{depth}");
            }
        }
    }
    for flags_offset in [0x2000, 0x0001, 0x2001] {
        let tunnel = Plain {
            flags_offset,
            ..Plain::of(4)
        };
        let before = tunnel.packet(&packet(SYN, &option(1460)));
        assert_eq!(mss::inspect(&before, 1400), None);
    }
    for protocol in [17, 47, 55, 41, 0] {
        let before = Plain::of(protocol).packet(&packet(SYN, &option(1460)));
        assert_eq!(mss::inspect(&before, 1400), None);
    }
}

/// S-32: a checksum that hardware will fill in is the sum of the pseudo-header: it stays.
#[test]
fn s_32_a_partial_checksum_stays() {
    let before = packet(SYN, &option(1460));
    let patch = mss::inspect(&before, 1440).unwrap();
    let lowered = packet(SYN, &option(1440));
    for (state, checksum) in [
        (InnerChecksum::Partial, &before[36..38]),
        (InnerChecksum::Complete, &lowered[36..38]),
        (InnerChecksum::Verified, &lowered[36..38]),
    ] {
        let mut after = before.clone();
        patch.with_inner_checksum(state).apply(&mut after);
        assert_eq!((&after[36..38], &after[38..]), (checksum, &lowered[38..]));
    }
}

/// A patch may be applied to another packet by mistake: that is no panic, and nothing but an option above the
/// limit changes.
#[test]
fn a_patch_for_another_packet() {
    let patch = mss::inspect(&packet(SYN, &option(1460)), 1440).unwrap();
    let other = packet(SYN, &[&[1, 1, 1, 1][..], &option(1300)].concat());
    for len in 0..=other.len() {
        let mut bytes = other[..len].to_vec();
        patch.apply(&mut bytes);
        assert_eq!(bytes, other[..len]);
    }
    let mut invalid = packet(SYN, &[2, 1, 5, 180]);
    let before = invalid.clone();
    patch.apply(&mut invalid);
    assert_eq!(invalid, before);
}
