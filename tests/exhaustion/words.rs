//! Every value of every word: of flags and fragment offset, through every carrier, and of what stands
//! between the outer header and the inner packet.

use ipencap::error::Reason;
use ipencap_kit::oracle::{self, Plain};
use ipencap_kit::registry::ENCAPSULATORS;

use crate::{
    DATAGRAM, ENDPOINTS, Form, NESTED, decapsulated, default_policy, forms, inner_for, said, wrap,
};

/// Every flags and offset word of an inner packet: refused, or wrapped into the bytes that the rules say.
/// GRE in UDP insists on a checksum for fragments (U-16), minimal encapsulation takes none (M-01).
#[test]
fn e_08_e_09_e_21_m_01_u_16_every_flags_and_offset_word_goes_in() {
    let typical = ENCAPSULATORS.iter().chain(&NESTED).map(|enrolled| Form {
        name: enrolled.name.to_owned(),
        subject: enrolled.typical(ENDPOINTS),
    });
    let chosen = [
        "Tunnel<GreInUdp> | GRE, zero",
        "Tunnel<Gue> | GUE, full",
        "Tunnel<Gre> | checksum",
    ];
    let chosen = forms(default_policy())
        .into_iter()
        .filter(|form| chosen.contains(&form.name.as_str()));
    let (mut accepted, mut refused) = (0, 0);
    let (mut expected_accepted, mut expected_refused) = (0, 0);
    for form in typical.chain(chosen) {
        // Those without MF and offset are four; minimal encapsulation refuses the others.
        let is_minimal = form.name.contains("MinEnc");
        let fragments = if is_minimal { 0x1_0000 - 4 } else { 0 };
        expected_refused += fragments;
        expected_accepted += 0x1_0000 - fragments;
        let naive = form.subject.naive();
        let mut packet = inner_for(&form).packet(DATAGRAM);
        for word in 0..=0xffff {
            oracle::put_u16(&mut packet, 6, word);
            oracle::fill_checksum(&mut packet);
            match wrap(&form, &packet) {
                Ok(outer) => {
                    let expected = naive.outer(&packet, &said());
                    assert_eq!(outer, expected, "{}: {word:04x}", form.name);
                    accepted += 1;
                }
                Err(error) => {
                    let objections = naive.objections(&packet, &said());
                    assert!(
                        objections.contains(&error),
                        "{}: {word:04x}: {error}",
                        form.name
                    );
                    refused += 1;
                }
            }
        }
    }
    assert_eq!((accepted, refused), (expected_accepted, expected_refused));
    assert!(accepted > 10 * 0x1_0000 && refused > 0x1_0000);
}

/// Every flags and offset word of an outer packet: fragments are refused, and nothing else is.
#[test]
fn d_03_f_10_every_flags_and_offset_word_comes_out() {
    for form in forms(default_policy()) {
        let packet = inner_for(&form).packet(DATAGRAM);
        let wrapped = wrap(&form, &packet).unwrap();
        for word in 0..=0xffff {
            // The reserved flag says nothing; the other bits are the offset and MF.
            let is_fragment = word & 0x3fff != 0;
            let mut outer = wrapped.clone();
            oracle::put_u16(&mut outer, 6, word);
            oracle::fill_checksum(&mut outer);
            match ipencap::decap(form.subject.decapsulator(), &mut outer) {
                Ok(inner) => {
                    assert!(!is_fragment, "{}: {word:04x}", form.name);
                    let mut expected = packet.clone();
                    // M-06: there is only one such word.
                    if form.subject.naive().is_transparent() {
                        oracle::put_u16(&mut expected, 6, word);
                        oracle::fill_checksum(&mut expected);
                    }
                    assert_eq!(inner.packet, expected, "{}: {word:04x}", form.name);
                }
                Err(refused) => {
                    assert!(is_fragment, "{}: {word:04x}: {refused}", form.name);
                    assert_eq!((refused.reason, refused.layer), (Reason::OuterFragment, 0));
                }
            }
        }
    }
}

/// Forms that have each kind of word between the headers.
const SHIMS: &[&str] = &[
    "Tunnel<Fou> | FOU, zero",
    "Tunnel<Gue> | GUE, offload",
    "Tunnel<Gue<2>> | GUE words, zero",
    "Tunnel<GueVariant1> | GUE variant 1, offload",
    "Tunnel<GreInUdp> | GRE key, offload",
    "Tunnel<GreInUdp> | GRE checksum key sequence, zero",
    "Tunnel<Tcp> | exclusive, no options",
    "Tunnel<Gre> | plain",
    "Tunnel<Gre> | checksum key sequence",
    "MinEnc | with source",
];

/// With the checksum that belongs to it, each word is accepted or refused as the rules say, and for
/// their reason; what comes out is what they say.
///
/// D-10, U-05 to U-11, G-01 to G-12, R-01 to R-09, S-01, S-18, S-20, M-04 to M-08.
#[test]
fn every_word_of_every_shim() {
    let forms = forms(default_policy());
    let mut words = 0;
    let (mut accepted, mut refused) = (0, 0);
    for enrolled in ENCAPSULATORS {
        // A stack is of others, and IP-in-IP has no word.
        let is_shim = enrolled.typical(ENDPOINTS).carrier().is_some();
        let start = format!("{} | ", enrolled.name);
        let is_tried = SHIMS.iter().any(|name| name.starts_with(&start));
        assert!(
            is_tried || !is_shim || start == "Tunnel<IpIp> | ",
            "SHIMS lacks {start}"
        );
    }
    for &name in SHIMS {
        let form = forms.iter().find(|form| form.name == name).expect(name);
        let packet = inner_for(form).packet(DATAGRAM);
        let mut outer = wrap(form, &packet).unwrap();
        let header = Plain {
            protocol: outer[9],
            source: oracle::address_at(&outer, 12),
            destination: oracle::address_at(&outer, 16),
            ..inner_for(form)
        };
        let naive = form.subject.carrier().unwrap().naive();
        let shim_end = outer.len() - DATAGRAM.len() - if outer[9] == 55 { 0 } else { 20 };
        let has_checksum = !name.ends_with("zero");
        for at in (20..shim_end).step_by(2) {
            words += 1;
            let before = outer.clone();
            for word in 0..=0xffff {
                oracle::put_u16(&mut outer, at, word);
                if has_checksum {
                    oracle::refill(&header, &mut outer[20..]);
                }
                let opened = form.subject.decapsulator().inspect(&outer);
                let expected = decapsulated(naive, &outer);
                match (&opened, &expected) {
                    (Ok(opened), Ok(expected)) => {
                        let mut delivered = outer.clone();
                        let delivered = opened.apply(&mut delivered);
                        assert_eq!(delivered, expected.inner.0, "{name}: {word:04x} at {at}");
                        assert_eq!(opened.sequence(), expected.sequence);
                        accepted += 1;
                    }
                    (Err(refusal), Err(expected)) => {
                        assert_eq!(
                            refusal.reason, expected.reason,
                            "{name}: {word:04x} at {at}"
                        );
                        refused += 1;
                    }
                    _ => panic!("{name}: {word:04x} at {at}: {opened:?}, {expected:?}"),
                }
            }
            outer = before;
        }
    }
    println!("{words} words: {accepted} packets accepted, {refused} refused");
    assert!(words > 50 && accepted > 500_000 && refused > 500_000);
}
