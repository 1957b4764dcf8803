//! Every pair of ECN fields in every mode, through every shim; every tuple of them through nested
//! tunnels.

use core::net::Ipv4Addr;

use ipencap::decap::{Decapsulate, Receiver, decap_nested};
use ipencap::decap::{PointToPoint, Prefix};
use ipencap::error::Reason;
use ipencap::shim::IpIp;
use ipencap_kit::oracle::{self, OuterPolicy, Plain};

use crate::{DATAGRAM, Form, decapsulated, default_policy, forms, inner, inner_for, said, wrap};

const MODES: [(&str, oracle::EcnRow); 3] = [
    ("normal", oracle::ECN_NORMAL),
    ("compatibility", oracle::ECN_COMPATIBILITY),
    ("RFC 3168", oracle::ECN_RFC3168),
];

fn with_mode(ecn: oracle::EcnRow) -> Vec<Form> {
    forms(OuterPolicy {
        ecn,
        ..default_policy()
    })
}

/// N-01, N-02, N-06, N-10, N-17, M-06: what TCP and minimal encapsulation make of it as well.
#[test]
fn every_ecn_pair_in_every_mode_through_every_shim() {
    let (mut pairs, mut dropped) = (0, 0);
    let is_layer = |form: &&Form| form.subject.carrier().is_some();
    let layers = forms(default_policy()).iter().filter(is_layer).count();
    for (mode, row) in MODES {
        for form in with_mode(row) {
            for inner_ecn in 0..4 {
                let packet = Plain {
                    tos: 10 << 2 | inner_ecn,
                    ..inner_for(&form)
                }
                .packet(DATAGRAM);
                let wrapped = wrap(&form, &packet).unwrap();
                let expected = form.subject.naive().outer(&packet, &said());
                assert_eq!(wrapped, expected, "{} in mode {mode}", form.name);
                let Some(carrier) = form.subject.carrier() else {
                    continue;
                };
                if !form.subject.naive().is_transparent() {
                    let outer = row[usize::from(inner_ecn)];
                    assert_eq!(wrapped[1] & 3, outer, "{} in mode {mode}", form.name);
                }
                for mark in 0..4 {
                    let mut marked = wrapped.clone();
                    marked[1] = marked[1] & 0xfc | mark;
                    oracle::fill_checksum(&mut marked);
                    let expected = decapsulated(carrier.naive(), &marked);
                    let opened = ipencap::decap(form.subject.decapsulator(), &mut marked);
                    match (opened, expected) {
                        (Ok(inner), Ok(accepted)) => {
                            assert_eq!(inner.packet, accepted.inner.0, "{}", form.name);
                            assert_eq!(inner.opened.alarm(), accepted.alarm, "N-13");
                        }
                        (Err(refused), Err(refusal)) => {
                            assert_eq!(refused.reason, refusal.reason, "{}", form.name);
                            assert_eq!(refused.reason, Reason::EcnDrop);
                            dropped += 1;
                        }
                        (opened, expected) => panic!("{}: {opened:?}, {expected:?}", form.name),
                    }
                    pairs += 1;
                }
            }
        }
    }
    assert!(
        pairs == layers * 48 && layers > 50 && dropped > 100,
        "{layers} forms: {pairs} pairs, {dropped} dropped"
    );
}

/// What an inner ECN field becomes under those of `layers`, the outermost first, or the number of the
/// layer that drops it.
fn folded(layers: &[u8], inner: u8) -> Result<u8, u8> {
    let mut arrived = layers[0];
    for (layer, &next) in (0..).zip(layers[1..].iter().chain([&inner])) {
        match oracle::ECN_DECAPSULATED[usize::from(next * 4 + arrived)] {
            oracle::DROP => return Err(layer),
            ecn => arrived = ecn,
        }
    }
    Ok(arrived)
}

/// N-11: a mark on any layer comes out of all of them, or the layer that must drop it does.
#[test]
fn n_10_n_18_every_tuple_through_nested_tunnels() {
    assert_eq!(folded(&[3, 2], 1), Ok(3), "CE goes down");
    assert_eq!(
        folded(&[3, 0], 2),
        Err(0),
        "the outer one must not be marked"
    );

    let ends = |layer: u8| {
        let [source, destination] = [1, 2].map(|end| Ipv4Addr::new(192, 0, 2, layer * 16 + end));
        (source, destination)
    };
    let receiver = |layer| {
        let (source, destination) = ends(layer);
        Receiver::new(IpIp, PointToPoint::new(destination, source, &[Prefix::ANY]))
    };
    let [a, b, c, d] = [0, 1, 2, 3].map(receiver);
    let two = (b, a);
    let three = (c, two);
    let four = (((d, c), b), a);
    let stacks: [&dyn Decapsulate; 4] = [&a, &two, &three, &four];
    let tunnels: [&dyn Decapsulate; 4] = [&a, &b, &c, &d];

    let mut tuples = 0;
    for (layers, stack) in (1..).zip(stacks) {
        for tuple in 0..4_u32.pow(layers + 1) {
            let ecn_of = |layer| u8::try_from(tuple >> (2 * layer) & 3).unwrap();
            let fields: Vec<u8> = (0..=layers).map(ecn_of).collect();
            let (inner_ecn, outer) = fields.split_last().unwrap();
            let plain = Plain {
                tos: 10 << 2 | inner_ecn,
                ..inner()
            };
            let mut packet = plain.packet(DATAGRAM);
            for (layer, ecn) in (0..u8::try_from(layers).unwrap())
                .rev()
                .zip(outer.iter().rev())
            {
                let (source, destination) = ends(layer);
                let header = Plain {
                    tos: 46 << 2 | ecn,
                    protocol: 4,
                    source: source.octets(),
                    destination: destination.octets(),
                    ..inner()
                };
                packet = header.packet(&packet);
            }
            let expected = folded(outer, *inner_ecn);
            let mut at_once = packet.clone();
            let at_once =
                decap_nested(&tunnels, &mut at_once, 4).map(|inner| inner.packet.to_vec());
            match (ipencap::decap(stack, &mut packet), expected) {
                (Ok(opened), Ok(ecn)) => {
                    let tos = 10 << 2 | ecn;
                    let delivered = Plain { tos, ..plain }.packet(DATAGRAM);
                    assert_eq!(opened.packet, delivered, "{fields:?}");
                    assert_eq!(at_once, Ok(delivered), "{fields:?}");
                }
                (Err(refused), Err(layer)) => {
                    assert_eq!(
                        (refused.reason, refused.layer),
                        (Reason::EcnDrop, layer),
                        "{fields:?}"
                    );
                    assert_eq!(at_once.err(), Some(refused), "{fields:?}");
                }
                (opened, expected) => panic!("{fields:?}: {opened:?}, {expected:?}"),
            }
            tuples += 1;
        }
    }
    assert_eq!(tuples, 16 + 64 + 256 + 1024);
}

/// The control: one mode taken for another.
#[test]
fn n_01_wrong_modes_are_found() {
    let form = with_mode(oracle::ECN_RFC3168).remove(0);
    let outer_ecn = |inner_ecn| {
        let tos = inner_ecn;
        let packet = Plain { tos, ..inner() }.packet(DATAGRAM);
        wrap(&form, &packet).unwrap()[1] & 3
    };
    let rows = MODES.map(|(_, row)| (0..4).all(|ecn| row[usize::from(ecn)] == outer_ecn(ecn)));
    assert_eq!(rows, [false, false, true]);
}
