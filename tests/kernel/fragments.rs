//! Fragments that Linux made, and fragments that it joined or refused to join.

use core::net::Ipv4Addr;

use ipencap::decap;
use ipencap::decap::{PointToPoint, Prefix};
use ipencap::encap::Tunnel;
use ipencap::fragment::{Added, Limits, Reassembler, Slot, plan};
use ipencap::shim::IpIp;
use ipencap::time::Instant;
use ipencap::wire::{Ecn, Ipv4, Ipv4Header};

use crate::{packets, records, text};

/// The datagram that is complete with the last of the fragments.
fn joined(fragments: &[Vec<u8>]) -> Result<Vec<u8>, String> {
    let mut slots = [Slot::new(); 2];
    let mut memory = [0; Reassembler::memory_len(2, 4000)];
    let mut reassembler = Reassembler::new(&mut slots, &mut memory, Limits::DEFAULT);
    let mut answer = Err("nothing arrived".to_owned());
    for fragment in fragments {
        answer = match reassembler.add(Instant::ZERO, 0, fragment) {
            Ok(Added::Complete(slot)) => Ok(reassembler.packet(slot).unwrap().to_vec()),
            Ok(_) => Err("incomplete".to_owned()),
            Err(error) => return Err(error.reason().to_owned()),
        };
    }
    answer
}

/// the outer packets that Linux sent in fragments are whole again, and
/// split at the same MTU they are the same fragments, byte for byte.
#[test]
fn x_02_to_x_09_x_21_outer_fragments_of_linux() {
    let mut sets = 0;
    for corpus in crate::encapsulation::CORPORA {
        for record in corpus.records() {
            let outers = packets(&record["outer"]);
            let is_fragment = |packet: &[u8]| Ipv4::parse(packet).unwrap().header().is_fragment();
            let fragments: Vec<_> = outers.into_iter().filter(|p| is_fragment(p)).collect();
            let ends = fragments.iter().enumerate().filter(|(_, packet)| {
                // The last of its datagram.
                packet[6] & 0x20 == 0
            });
            let mut from = 0;
            for (end, _) in ends {
                let set = &fragments[from..=end];
                from = end + 1;
                let id = text(&record, "id");
                let whole = joined(set).expect(id);
                let mut reversed = set.to_vec();
                reversed.reverse();
                assert_eq!(joined(&reversed).as_ref(), Ok(&whole), "{id}");
                let plan = plan(&whole, 1500).unwrap();
                let again = plan.fragments(&whole).unwrap().map(|fragment| {
                    let mut out = vec![0; fragment.len()];
                    fragment.write(&whole, &mut out).unwrap();
                    out
                });
                assert_eq!(again.collect::<Vec<_>>(), set, "{id}");
                sets += 1;
            }
        }
    }
    println!("{sets} sets of outer fragments");
    assert!(sets > 30, "only {sets}");
}

/// the fragments that Linux was given are joined where it joined them, with the same inner
/// packet, and refused where it refused them.
#[test]
fn x_20_to_x_29_fragments_that_linux_joined() {
    let (left, right) = (Ipv4Addr::new(192, 0, 2, 2), Ipv4Addr::new(192, 0, 2, 1));
    let access = PointToPoint::new(right, left, &[Prefix::ANY]);
    let receiver = Tunnel::new(left, right, IpIp).unwrap().receiver(access);
    let (mut whole, mut refused) = (0, 0);
    for record in records(include_str!("../data/kernel/decap.jsonl")) {
        let id = record["id"].as_str().unwrap_or("setup");
        // The last is no outer fragment.
        if !id.contains("-frag-") || id == "ipip-frag-014" {
            continue;
        }
        let linux = packets(&record["decap"]["t0"]);
        match joined(&packets(&record["inject"])) {
            Ok(mut packet) => {
                let mut opened = decap(&receiver, &mut packet).expect(id).packet.to_vec();
                if id == "ipip-frag-011" {
                    // ECT(0) and ECT(1) are ECT(1), where Linux takes the first.
                    assert_eq!((opened[1], linux[0][1]), (1, 2));
                    let (header, _, _) = Ipv4Header::split_mut(&mut opened).unwrap();
                    header.set_ecn(Ecn::Ect0);
                }
                assert_eq!([opened], linux[..], "{id}");
                whole += 1;
            }
            Err(reason) => {
                assert!(linux.is_empty(), "{id}: {reason}");
                let expected = match id {
                    "ipip-frag-004" => "incomplete",
                    "ipip-frag-005" => "OverlappingFragment",
                    _ => "EcnFragmentMix",
                };
                assert_eq!(reason, expected, "{id}");
                refused += 1;
            }
        }
    }
    assert_eq!((whole, refused), (5, 6));
}
