//! RFC 1624: a change of one word, for every word, every new one, and checksums at every border.
//!
//! What depends on three words has 2^48 cases. Equation 3 adds `~HC`, `~m` and `m'`; an end-around sum
//! depends on its terms only through their sum, here `~HC + (65535 + m' - m)`. So the cases fall into
//! 2^16 x 131071 classes: a checksum and a difference. Covered in every run are
//!
//! * every class of every checksum in [`EDGES`], by its smallest, its middle and its largest pair
//!   (so all 2^16 words occur as old and as new ones);
//! * every checksum, with every pair out of [`EDGES`];
//! * the premise, that nothing but the difference counts, for all pairs of 256 words that differ in their
//!   high or low byte only, against every edge.
//!
//! The ignored test needs no premise: it takes all 2^32 pairs, with every checksum in [`EDGES`].

use ipencap::checksum::{Delta, update_odd_u16, update_u16};
use ipencap::wire::UdpHeader;
use ipencap_kit::oracle;

/// Checksums where carries change: both zeros, their neighbours, single bits, and some without a pattern.
pub(crate) const EDGES: [u16; 24] = [
    0x0000, 0x0001, 0x0002, 0x00fe, 0x00ff, 0x0100, 0x0101, 0x1485, 0x3fff, 0x4000, 0x5555, 0x7ffe,
    0x7fff, 0x8000, 0x8001, 0xaaaa, 0xb861, 0xc000, 0xfefe, 0xfeff, 0xff00, 0xfffd, 0xfffe, 0xffff,
];

/// Equation 3 in closed form: the folded sum of `~HC`, `~m` and `m'` is 0 only if all are 0, and else the
/// number from 1 to 65535 that is congruent to it.
fn closed_form(checksum: u16, old: u16, new: u16) -> u16 {
    let sum = u32::from(!checksum) + u32::from(!old) + u32::from(new);
    let folded = if sum == 0 { 0 } else { (sum - 1) % 65535 + 1 };
    !u16::try_from(folded).expect("at most 65535")
}

/// The closed form is the RFC's loop: every sum that there can be.
#[test]
fn c_07_closed_form_is_equation_3() {
    for [checksum, old] in [[0xffff, 0xffff], [0x0000, 0xffff], [0x0000, 0x0000]] {
        for new in 0..=0xffff {
            let expected = oracle::equation_3(checksum, old, new);
            assert_eq!(closed_form(checksum, old, new), expected);
        }
    }
}

/// What all ways to update answer, and UDP's with its two zeros (C-13, C-14).
fn check(checksum: u16, old: u16, new: u16) {
    let expected = closed_form(checksum, old, new);
    assert_eq!(
        update_u16(checksum, old, new),
        expected,
        "{checksum:04x}: {old:04x} to {new:04x}"
    );
    let swapped = [old, new].map(u16::swap_bytes);
    assert_eq!(
        update_odd_u16(checksum, swapped[0], swapped[1]),
        expected,
        "C-11"
    );
    let of_udp = match (checksum, expected) {
        (0, _) => 0,
        (_, 0) => 0xffff,
        _ => expected,
    };
    let delta = Delta::new().replace_u16(old, new);
    assert_eq!(UdpHeader::patched(checksum, delta), of_udp, "C-13, C-14");
}

#[test]
fn c_07_c_11_c_13_c_14_every_difference_of_words() {
    for difference in -0xffff..=0xffff_i32 {
        let [least, most] = [0.max(-difference), 0xffff.min(0xffff - difference)];
        for old in [least, i32::midpoint(least, most), most] {
            let [old, new] = [old, old + difference].map(|word| u16::try_from(word).unwrap());
            for checksum in EDGES {
                check(checksum, old, new);
            }
        }
    }
}

#[test]
fn c_07_c_09_every_checksum() {
    for checksum in 0..=0xffff {
        for old in EDGES {
            for new in EDGES {
                check(checksum, old, new);
            }
        }
    }
}

/// P-07: recomputed over the word and another, it is the same unless all that is covered is 0.
#[test]
fn c_09_every_checksum_recomputed() {
    let covers = |word: u16, beside: u16| {
        let [[a, b], [c, d]] = [word, beside].map(u16::to_be_bytes);
        oracle::checksum(&[a, b, c, d])
    };
    let mut compared = 0;
    for checksum in 0..=0xffff {
        for old in EDGES {
            let beside = !closed_form(checksum, old, 0);
            if covers(old, beside) != checksum || beside == 0 {
                continue;
            }
            for new in [0, 1, 0x00ff, 0x8000, 0xfffe, 0xffff] {
                compared += 1;
                assert_eq!(update_u16(checksum, old, new), covers(new, beside), "C-09");
            }
        }
    }
    assert!(compared > 9_000_000, "{compared}");
}

#[test]
fn c_07_only_the_difference_counts() {
    let words = (0..=0xff_u16).flat_map(|byte| [byte, byte << 8]);
    let words: Vec<u16> = words.collect();
    for &old in &words {
        for &new in &words {
            // The pair of the same difference that begins at 0 or ends there.
            let [low_old, low_new] = [old, new].map(|word| word - old.min(new));
            for checksum in EDGES {
                let expected = update_u16(checksum, low_old, low_new);
                assert_eq!(update_u16(checksum, old, new), expected);
            }
        }
    }
}

/// The control: equation 2 of RFC 1141 (C-08), and an update that forgets the last carry.
#[test]
fn c_08_wrong_equations_are_found() {
    let equation_2 = |checksum: u16, old: u16, new: u16| {
        let sum = u32::from(checksum) + u32::from(old) + u32::from(!new);
        let folded = (sum & 0xffff) + (sum >> 16);
        u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap()
    };
    let one_fold = |checksum: u16, old: u16, new: u16| {
        let sum = u32::from(!checksum) + u32::from(!old) + u32::from(new);
        !u16::try_from(((sum & 0xffff) + (sum >> 16)) & 0xffff).unwrap()
    };
    let wrong: [fn(u16, u16, u16) -> u16; 2] = [equation_2, one_fold];
    for wrong in wrong {
        let differs = |checksum: u16| {
            (0..=0xffff)
                .any(|new| wrong(checksum, 0x1234, new) != closed_form(checksum, 0x1234, new))
        };
        assert!(EDGES.into_iter().any(differs));
    }
}

/// 24 times 2^32 updates; `records/` says how long they took.
#[test]
#[ignore = "takes a minute; cargo test --release --test exhaustion -- --ignored"]
fn c_07_every_pair_of_words() {
    for checksum in EDGES {
        for old in 0..=0xffff {
            let mut wrong = 0;
            for new in 0..=0xffff {
                wrong +=
                    u32::from(update_u16(checksum, old, new) != closed_form(checksum, old, new));
            }
            assert_eq!(wrong, 0, "{checksum:04x}: from {old:04x}");
        }
    }
}
