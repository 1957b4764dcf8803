//! MSS options in every place: at every offset, among all others, of every value.

use ipencap::mss;
use ipencap_kit::oracle::{self, Plain};

use crate::inner;
use crate::layouts::{lay_out, layouts};

/// What options are made of: the end, padding, MSS above and at the limit, options of two, three and ten
/// bytes, and what is invalid.
const ALPHABET: [&[u8]; 10] = [
    &[0],
    &[1],
    &[2, 4, 0x05, 0xb4],
    &[2, 4, 0x05, 0xa0],
    &[4, 2],
    &[3, 3, 7],
    &[8, 10, 0, 0, 0, 1, 0, 0, 0, 2],
    &[2, 3, 5],
    &[7, 1],
    &[5, 30],
];

const LIMIT: u16 = 1440;

/// A SYN with these options and a right checksum.
fn syn(options: &[u8]) -> Vec<u8> {
    let padded = options.len().next_multiple_of(4);
    let words = u8::try_from(5 + padded / 4).unwrap();
    let mut segment = vec![0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0];
    segment.extend([words << 4, 0x02, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend(options);
    segment.resize(20 + padded, 0);
    let mut packet = Plain {
        protocol: 6,
        ..inner()
    }
    .packet(&segment);
    let checksum = oracle::tcp_checksum(&oracle::covered_by_tcp(&packet, 20));
    oracle::put_u16(&mut packet, 36, checksum);
    packet
}

/// Whether the options are to be lowered, after comparing with the oracle.
fn check(options: &[u8]) -> bool {
    let before = syn(options);
    let patch = mss::inspect(&before, LIMIT);
    let expected = oracle::clamped(&before, LIMIT);
    assert_eq!(patch.is_some(), expected.is_some(), "{options:?}");
    let (Some(patch), Some(mut expected)) = (patch, expected) else {
        return false;
    };
    let checksum = oracle::tcp_checksum(&oracle::covered_by_tcp(&expected, 20));
    oracle::put_u16(&mut expected, 36, checksum);
    let mut after = before;
    patch.apply(&mut after);
    assert_eq!(after, expected, "{options:?}");
    true
}

/// Calls `check` with every word over the alphabet of at most `len` bytes.
fn words(len: usize, options: &mut Vec<u8>, check: &mut impl FnMut(&[u8])) {
    check(options);
    for letter in ALPHABET {
        if options.len() + letter.len() <= len {
            let before = options.len();
            options.extend(letter);
            words(len, options, check);
            options.truncate(before);
        }
    }
}

#[test]
fn s_32_every_word_of_options() {
    let (mut count, mut lowered) = (0, 0);
    words(12, &mut Vec::new(), &mut |options| {
        count += 1;
        lowered += u32::from(check(options));
    });
    assert!(count > 100_000 && lowered > 10_000, "{count} {lowered}");
}

/// In 40 bytes of at most four options, each of four bytes in turn is an MSS.
#[test]
fn s_32_every_layout_of_the_longest_header() {
    let (mut options, mut lowered, mut odd) = (Vec::new(), 0, 0);
    layouts(40, 4, &mut Vec::new(), &mut |lengths| {
        for place in (0..lengths.len()).filter(|&place| lengths[place] == 4) {
            lay_out(lengths, 148, &mut options);
            let at = lengths[..place].iter().sum::<usize>();
            options[at..at + 4].copy_from_slice(&[2, 4, 0x23, 0x28]);
            assert!(check(&options), "{lengths:?}");
            lowered += 1;
            odd += at % 2;
        }
    });
    assert!(lowered > 2000 && odd > 600, "{lowered} {odd}");
}

/// Every value, at an even and at an odd offset.
#[test]
fn s_32_s_33_every_value() {
    for value in 0..=u16::MAX {
        let [high, low] = value.to_be_bytes();
        for options in [&[2, 4, high, low][..], &[1, 2, 4, high, low, 1, 1, 1]] {
            assert_eq!(check(options), value > LIMIT);
        }
    }
}
