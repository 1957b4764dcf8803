//! Fragments: how packets are split (FR), what is joined (RA) and with which ECN field, and the fragments
//! that deceive filters (AT).

use ipencap::error::{FragmentAttack, FragmentError, ReassemblyError};
use ipencap::fragment::{Added, Limits, Reassembler, Slot, check_tcp_fragment, plan};
use ipencap::time::Instant;
use ipencap::wire::{Ecn, Ipv4, Ipv4Header};
use serde_json::Value;

use crate::Book;
use crate::oracle::{hex, mend, unhex};

///
#[test]
fn fr_splitting() {
    fr(&mut Book::open());
}

///
#[test]
fn ra_reassembly() {
    ra(&mut Book::open());
}

/// by the fields that arrive, in both orders.
#[test]
fn x_28_a_04_ecn_of_fragments() {
    reassembly_ecn(&mut Book::open());
}

/// RFC 1858 and RFC 3128.
#[test]
fn at_fragment_attacks() {
    at(&mut Book::open());
}

fn split(packet: &[u8], mtu: u16) -> Result<Vec<Vec<u8>>, FragmentError> {
    let plan = plan(packet, mtu)?;
    let fragments = plan.fragments(packet)?.map(|fragment| {
        let mut out = vec![0xa5; fragment.len()];
        fragment.write(packet, &mut out).unwrap();
        out
    });
    let fragments: Vec<_> = fragments.collect();
    assert_eq!(fragments.len(), usize::from(plan.count()));
    Ok(fragments)
}

pub(crate) fn fr(book: &mut Book) {
    book.each("fragmentation", "FR", |id, vector| {
        let packet = hex(&vector["packet"]);
        let mtu = u16::try_from(vector["mtu"].as_u64().unwrap()).unwrap();
        let answer = split(&packet, mtu);
        match vector["error"].as_str() {
            None => {
                let fragments = vector["fragments"].as_array().unwrap().iter();
                let expected: Vec<_> = fragments.map(hex).collect();
                assert_eq!(answer, Ok(expected), "{id}");
            }
            Some("DF") => {
                let needed = FragmentError::FragmentationNeeded { mtu };
                assert_eq!(answer, Err(needed), "{id}");
            }
            Some("mtu too small") => {
                let need = u16::from(packet[0] & 15) * 4 + 8;
                let error = FragmentError::MtuTooSmall { mtu, need };
                assert_eq!(answer, Err(error), "{id}");
            }
            Some(other) => panic!("{id}: {other}"),
        }
    });
}

/// FR-15, which stands in the text only.
#[test]
fn fr_15_the_longest_packet_at_1500_is_45_fragments() {
    let mut packet = vec![0; 65_535];
    let header = [0x45, 0, 0xff, 0xff, 0x77, 0x77, 0, 0, 64, 17];
    packet[..10].copy_from_slice(&header);
    mend(&mut packet);
    let fragments = split(&packet, 1500).unwrap();
    assert_eq!(fragments.len(), 45);
    let last = Ipv4::parse(fragments.last().unwrap()).unwrap();
    assert_eq!(last.header().fragment_offset().units(), 8140);
    assert_eq!(last.header().total_len(), 415);
}

/// What becomes of these, one after the other: the datagram where it is complete.
fn joined(fragments: &[Vec<u8>]) -> Vec<Result<Option<Vec<u8>>, ReassemblyError>> {
    let mut slots = [Slot::new(); 2];
    let mut memory = [0xa5; Reassembler::memory_len(2, 1532)];
    let mut reassembler = Reassembler::new(&mut slots, &mut memory, Limits::DEFAULT);
    let answers = (0..).zip(fragments).map(|(millis, fragment)| {
        match reassembler.add(Instant::from_millis(millis), 1, fragment)? {
            Added::Complete(slot) => Ok(Some(reassembler.packet(slot).unwrap().to_vec())),
            _ => Ok(None),
        }
    });
    answers.collect()
}

fn each_order(fragments: &[Vec<u8>]) -> Vec<Vec<Vec<u8>>> {
    let [] = fragments else {
        let orders = (0..fragments.len()).flat_map(|first| {
            let mut others = fragments.to_vec();
            let first = others.remove(first);
            each_order(&others)
                .into_iter()
                .map(move |order| [vec![first.clone()], order].concat())
        });
        return orders.collect();
    };
    vec![vec![]]
}

pub(crate) fn ra(book: &mut Book) {
    let group = crate::MIXED;
    book.each(group, "RA", |id, vector| {
        let fragments = vector["fragments"].as_array().unwrap();
        let fragments: Vec<_> = fragments.iter().map(hex).collect();
        // RA-15 is a packet whose fragments come in every order.
        if let Some(packet) = vector.get("packet") {
            let orders = each_order(&fragments);
            assert_eq!(orders.len(), 120, "{id}");
            for order in orders {
                let answers = joined(&order);
                assert_eq!(answers.last(), Some(&Ok(Some(hex(packet)))), "{id}");
                assert!(answers[..4].iter().all(|answer| *answer == Ok(None)));
            }
            return;
        }
        let answers = joined(&fragments);
        let result = vector["result"].as_str().unwrap();
        let (last, before) = answers.split_last().unwrap();
        if let Some(packet) = result.strip_prefix("COMPLETE ") {
            assert_eq!(*last, Ok(Some(unhex(packet))), "{id}");
            assert!(before.iter().all(|answer| *answer == Ok(None)), "{id}");
        } else if let Some(reason) = result.strip_prefix("DROP ") {
            let mut refused = answers.iter().skip_while(|answer| **answer == Ok(None));
            let first = refused.next().unwrap();
            assert_eq!(first.clone().unwrap_err().reason(), reason, "{id}");
            assert!(refused.all(|answer| *answer == Err(ReassemblyError::Discarded)));
        } else {
            assert_eq!(result, "incomplete", "{id}");
            assert!(answers.iter().all(|answer| *answer == Ok(None)), "{id}");
        }
    });
}

pub(crate) fn reassembly_ecn(book: &mut Book) {
    book.each("reassembly_ecn", "reassembly_ecn", |id, vector| {
        let fields: Vec<_> = id.split(" + ").map(ecn).collect();
        let fragments: Vec<Vec<u8>> = (0..3u8)
            .map(|number| {
                let field = fields[usize::from(number) % fields.len()];
                let more = if number < 2 { 0x20 } else { 0 };
                let mut packet = vec![0x45, 0xb8 | field.bits(), 0, 28, 0, 7, more, number];
                packet.extend([64, 4, 0, 0, 198, 51, 100, 1, 203, 0, 113, 2]);
                packet.extend([number; 8]);
                mend(&mut packet);
                packet
            })
            .collect();
        for order in each_order(&fragments) {
            let answers = joined(&order);
            let mix = Err(ReassemblyError::EcnFragmentMix);
            let whole = answers.last().unwrap();
            match vector["rfc"].as_str().unwrap() {
                "DROP" => assert!(
                    answers.contains(&mix) && whole.is_err(),
                    "{id}: {answers:?}"
                ),
                field => {
                    let packet = whole.clone().unwrap().unwrap();
                    let (header, _, _) = Ipv4Header::split(&packet).unwrap();
                    assert_eq!(header.ecn(), ecn(field), "{id}");
                    assert_eq!(header.dscp().value(), 0xb8 >> 2, "{id}");
                }
            }
        }
    });
}

fn ecn(name: &str) -> Ecn {
    let mut all = Ecn::ALL.into_iter();
    all.find(|ecn| ecn.to_string() == name).expect(name)
}

pub(crate) fn at(book: &mut Book) {
    let check = |packet: &Value| check_tcp_fragment(Ipv4::parse(&hex(packet)).unwrap());
    book.each(crate::MIXED, "AT", |id, packet| {
        let attack = match id {
            "AT-01" => FragmentAttack::TinyFirstFragment,
            "AT-02" => FragmentAttack::OverlappingHeader,
            _ => panic!("{id}"),
        };
        assert_eq!(check(packet), Err(attack), "{id}");
    });
}
