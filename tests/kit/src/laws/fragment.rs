use std::collections::BTreeMap;

use ipencap::error::{FragmentError, ParseError};
use ipencap::fragment::{Added, Limits, Reassembler, Slot, plan};
use ipencap::time::Instant;

use crate::generate::{Bytes, FragmentCase, ReassemblyCase};
use crate::oracle::{self, Joined, NaiveReassembler};

/// In front of a packet that is split in its buffer.
const HEADROOM: usize = 24;

/// and P-09: the fragments, in buffers of their own and in the packet's, and their
/// number.
pub fn law_fragments_match_oracle(case: &FragmentCase) {
    let packet = &case.packet.0;
    let expected = oracle::fragments(packet, case.mtu);
    let planned = plan(packet, case.mtu);
    let (plan, expected) = match (planned, expected) {
        (Ok(plan), Ok(expected)) => (plan, expected),
        (planned, expected) => {
            assert_eq!(planned.err(), expected.err());
            return;
        }
    };
    assert_eq!(usize::from(plan.count()), expected.len(), "{plan:?}");
    assert_eq!(
        plan.is_whole(),
        packet.len() <= usize::from(case.mtu) || expected.len() == 1
    );

    // In one buffer, whose other bytes nobody may touch.
    let around = |bytes: &[u8]| [&[case.dirt; HEADROOM], bytes, &[case.dirt; 8]].concat();
    let mut buffer = around(packet);
    let untouched = buffer.clone();
    let mut at = 0;
    for (fragment, expected) in plan.fragments(packet).unwrap().zip(&expected) {
        assert_eq!(fragment.len(), expected.len());
        assert!(fragment.len() <= usize::from(case.mtu) || plan.is_whole());
        let mut out = vec![case.dirt; fragment.len() + 3];
        let written = fragment.write(packet, &mut out).unwrap().to_vec();
        assert_eq!(Bytes(written), Bytes(expected.clone()));
        assert_eq!(out[fragment.len()..], [case.dirt; 3]);

        let body = fragment.body().get(packet).unwrap();
        let header = fragment.header().as_bytes();
        let parts = [header, fragment.option_bytes(), body].concat();
        assert_eq!(Bytes(parts), Bytes(expected.clone()));

        let place = fragment.write_in_place(&mut buffer, HEADROOM).unwrap();
        assert_eq!(place.get(&buffer), Some(&expected[..]));
        assert!(
            place.start >= HEADROOM + at,
            "more room than the one before"
        );
        assert_eq!(buffer[place.end()..], untouched[place.end()..]);
        at = place.start - HEADROOM;
        // What a tunnel or a driver makes of the room in front.
        buffer[..place.end()].fill(!case.dirt);

        let need = u16::try_from(fragment.len()).unwrap();
        let mut short = vec![case.dirt; fragment.len() - 1];
        let answer = fragment.write(packet, &mut short).err();
        let have = need - 1;
        assert_eq!(answer, Some(FragmentError::NoRoom { need, have }));
        assert_eq!(short, vec![case.dirt; fragment.len() - 1]);
        let cut = fragment.body().end() - 1;
        let answer = fragment.write_in_place(&mut buffer[..cut], 0).err();
        let (need, have) = (u16::try_from(cut + 1).unwrap(), u16::try_from(cut).unwrap());
        assert_eq!(answer, Some(FragmentError::NoRoom { need, have }));
        let answer = fragment.write(&packet[..cut], &mut out).err();
        let error = ParseError::Truncated { need, have };
        let is_cut = answer == Some(FragmentError::Packet { error });
        assert!(is_cut || fragment.body().len == 0, "{answer:?}");
    }
    let mut other = packet.clone();
    let total_len = oracle::u16_at(&other, 2);
    oracle::put_u16(&mut other, 2, total_len ^ 1);
    let answer = plan.fragments(&other).err();
    assert_eq!(answer, Some(FragmentError::OtherPacket));
}

/// and P-09: fragments, some of them split again, are the packet again in whatever order they
/// arrive.
pub fn law_fragments_reassemble(case: &FragmentCase) {
    let mut packet = case.packet.0.clone();
    if oracle::validate(&packet, true).is_err() {
        return;
    }
    // The datagram itself.
    packet.truncate(usize::from(oracle::u16_at(&packet, 2)));
    packet[6] &= 0x80;
    packet[7] = 0;
    oracle::fill_checksum(&mut packet);
    let Some(fragments) = split(&packet, case.mtu) else {
        return;
    };
    let mut left = Vec::new();
    for (number, fragment) in fragments.into_iter().enumerate() {
        let takes_detour = number < 64 && case.detours >> number & 1 == 1;
        match takes_detour.then(|| split(&fragment, case.second_mtu)) {
            Some(Some(pieces)) => left.extend(pieces),
            _ => left.push(fragment),
        }
    }
    if left.len() < 2 || left.len() > 255 {
        return;
    }
    let limits = Limits {
        max_fragments: 255,
        ..Limits::DEFAULT
    };
    let mut slots = [Slot::new()];
    let mut memory = vec![case.dirt; Reassembler::memory_len(1, packet.len() - 20)];
    let mut reassembler = Reassembler::new(&mut slots, &mut memory, limits);
    let mut order = case.order.iter().copied().cycle();
    while !left.is_empty() {
        let at = usize::from(order.next().unwrap_or(0)) % left.len();
        let fragment = left.swap_remove(at);
        let added = reassembler.add(Instant::ZERO, 7, &fragment);
        if left.is_empty() {
            let Ok(Added::Complete(slot)) = added else {
                panic!("{added:?}");
            };
            let whole = reassembler.packet(slot).unwrap();
            assert_eq!(Bytes(whole.to_vec()), Bytes(packet.clone()));
        } else {
            assert_eq!(added, Ok(Added::Held { evicted: None }));
        }
    }
}

/// The library's fragments, if the packet can be split.
fn split(packet: &[u8], mtu: u16) -> Option<Vec<Vec<u8>>> {
    let fragments = plan(packet, mtu).ok()?.fragments(packet).unwrap();
    let bytes = fragments.map(|fragment| {
        let mut bytes = vec![0; fragment.len()];
        fragment.write(packet, &mut bytes).unwrap();
        bytes
    });
    Some(bytes.collect())
}

/// with slots enough, what becomes of every fragment.
pub fn law_reassembly_matches_oracle(case: &ReassemblyCase) {
    let mut slots = [Slot::new(); ReassemblyCase::KEYS];
    let payload_len = usize::from(case.payload_len);
    let mut memory = vec![0xa5; Reassembler::memory_len(slots.len(), payload_len)];
    let mut reassembler = Reassembler::new(&mut slots, &mut memory, case.limits);
    assert_eq!(reassembler.payload_len(), case.payload_len);
    let mut naive = NaiveReassembler::new(case.limits, payload_len);
    for (number, arriving) in case.arriving.iter().enumerate() {
        let (peer, bytes) = (arriving.peer, &arriving.bytes.0);
        let expected = naive.add(arriving.now, peer, bytes);
        let now = Instant::from_millis(arriving.now);
        let answer = reassembler.add(now, peer, bytes).map(|added| match added {
            Added::Held { evicted } => {
                assert!(evicted.is_none_or(|evicted| evicted.peer == peer));
                Joined::Held(evicted.map(|evicted| evicted.reason))
            }
            Added::Duplicate => Joined::Duplicate,
            Added::Complete(slot) => Joined::Complete(reassembler.packet(slot).unwrap().to_vec()),
            added => panic!("{added:?}: unknown"),
        });
        assert_eq!(answer, expected, "fragment {number}");
    }
}

/// and P-10: with too few slots, whatever is complete has arrived, byte by byte at its place; and
/// all that is not is over some day.
pub fn law_reassembly_is_bounded(case: &ReassemblyCase) {
    let mut slots = vec![Slot::new(); case.few];
    let payload_len = usize::from(case.payload_len);
    let mut memory = vec![0xa5; Reassembler::memory_len(slots.len(), payload_len)];
    let mut reassembler = Reassembler::new(&mut slots, &mut memory, case.limits);
    // By peer, addresses, protocol, identification and offset: the bytes that have been there.
    let mut arrived: BTreeMap<_, Vec<Vec<u8>>> = BTreeMap::new();
    for arriving in &case.arriving {
        let (peer, bytes) = (arriving.peer, &arriving.bytes.0);
        let key = |packet: &[u8]| {
            (
                peer,
                packet[12..20].to_vec(),
                packet[9],
                packet[4..6].to_vec(),
            )
        };
        if let Ok(fields) = oracle::validate(bytes, true) {
            let offset = usize::from(fields.flags_offset & 0x1fff) * 8;
            let bytes = bytes[..fields.total_len].to_vec();
            let all = arrived.entry((key(&bytes), offset)).or_default();
            all.push(bytes);
        }
        let now = Instant::from_millis(arriving.now);
        let Ok(Added::Complete(slot)) = reassembler.add(now, peer, bytes) else {
            continue;
        };
        let packet = reassembler.packet(slot).unwrap();
        let whole = oracle::validate(packet, true).unwrap();
        assert!(!whole.is_fragment() && whole.slack == 0);
        assert!(whole.payload.len() <= payload_len);
        // A header that has arrived, but for what is changed.
        let firsts = &arrived[&(key(packet), 0)];
        let is_first = firsts.iter().any(|first| {
            let header_len = usize::from(first[0] & 15) * 4;
            header_len == whole.header_len
                && first[0] == packet[0]
                && first[1] >> 2 == packet[1] >> 2
                && first[6] & 0xc0 == packet[6]
                && first[8] == packet[8]
                && first[20..header_len] == packet[20..header_len]
        });
        assert!(is_first);
        // From the start to the end by fragments that have arrived.
        let mut ends = vec![0];
        let mut reached = vec![0];
        while let Some(at) = ends.pop() {
            for fragment in arrived.get(&(key(packet), at)).into_iter().flatten() {
                let payload = &fragment[usize::from(fragment[0] & 15) * 4..];
                let end = at + payload.len();
                if whole.payload.get(at..end) == Some(payload) && !reached.contains(&end) {
                    ends.push(end);
                    reached.push(end);
                }
            }
        }
        assert!(reached.contains(&whole.payload.len()));
    }
    let mut taken = 0;
    while let Some(deadline) = reassembler.next_deadline() {
        let given_up = reassembler.expire(deadline);
        taken += 1;
        assert!(given_up <= case.few && taken <= case.few);
        let next = reassembler.next_deadline();
        assert!(next.is_none_or(|next| next > deadline));
    }
}
