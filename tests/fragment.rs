//! Fragments: what takes memory and for how long, who loses when it is scarce, and attacks.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that panics fails"
)]

use core::net::Ipv4Addr;
use std::collections::BTreeMap;

use ipencap::encap::{Encapsulate, MinEnc, OuterPolicy, PerPacket, Role, Tunnel};
use ipencap::error::{EncapError, Eviction, FragmentAttack, FragmentError, ReassemblyError};
use ipencap::fragment::{
    Added, Evicted, Fragment, Fragments, Limits, Plan, Reassembler, Slot, check_tcp_fragment, plan,
};
use ipencap::mtu::{Overhead, fragment_count};
use ipencap::shim::{Fou, Gre, IpIp};
use ipencap::time::{Duration, Instant};
use ipencap::wire::Ipv4;
use ipencap::{Span, encap};
use ipencap_kit::oracle::{self, Plain};

/// A packet of `len` bytes without DF, whose payload bytes tell where they stand.
fn packet(len: usize) -> Vec<u8> {
    let plain = Plain {
        flags_offset: 0,
        ..Plain::of(17)
    };
    let payload: Vec<u8> = (0..len - 20).map(|at| at.to_le_bytes()[0]).collect();
    plain.packet(&payload)
}

fn split(packet: &[u8], mtu: u16) -> Vec<Vec<u8>> {
    let fragments = plan(packet, mtu).unwrap().fragments(packet).unwrap();
    let bytes = fragments.map(|fragment| {
        let mut out = vec![0; fragment.len()];
        fragment.write(packet, &mut out).unwrap();
        out
    });
    bytes.collect()
}

/// A fragment of the datagram with this identification: 8-byte blocks `blocks` of it.
fn fragment(identification: u16, blocks: core::ops::Range<u16>, more: bool) -> Vec<u8> {
    let plain = Plain {
        identification,
        flags_offset: u16::from(more) << 13 | blocks.start,
        ..Plain::of(4)
    };
    let payload: Vec<u8> = (blocks.start * 8..blocks.end * 8)
        .map(|at| at.to_le_bytes()[0])
        .collect();
    plain.packet(&payload)
}

const fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

/// A reassembler with memory of its own.
struct Fixture {
    slots: Vec<Slot>,
    memory: Vec<u8>,
    limits: Limits,
}

impl Fixture {
    fn new(slots: usize, limits: Limits) -> Self {
        Self {
            slots: vec![Slot::new(); slots],
            memory: vec![0xa5; Reassembler::memory_len(slots, 1532)],
            limits,
        }
    }

    fn reassembler(&mut self) -> Reassembler<'_> {
        Reassembler::new(&mut self.slots, &mut self.memory, self.limits)
    }
}

const HELD: Result<Added, ReassemblyError> = Ok(Added::Held { evicted: None });

fn evicted(added: Result<Added, ReassemblyError>) -> Option<(Eviction, u32)> {
    match added {
        Ok(Added::Held { evicted }) => evicted.map(|Evicted { reason, peer, .. }| (reason, peer)),
        other => panic!("{other:?}"),
    }
}

fn complete(reassembler: &mut Reassembler<'_>, added: Result<Added, ReassemblyError>) -> Vec<u8> {
    match added {
        Ok(Added::Complete(slot)) => reassembler.packet(slot).unwrap().to_vec(),
        other => panic!("{other:?}"),
    }
}

// ---- What the documentation says of memory

#[test]
fn x_31_x_32_memory_is_what_the_documentation_says() {
    const { assert!(size_of::<Slot>() == 32) };
    const { assert!(size_of::<Plan>() == 6) };
    const { assert!(size_of::<Fragment>() <= 68) };
    const { assert!(size_of::<Evicted>() <= 8) };
    const { assert!(size_of::<Fragments>() <= 120) };
    // That it is 48 with 32-bit pointers is checked where it is compiled for such.
    #[cfg(target_pointer_width = "64")]
    const {
        assert!(size_of::<Reassembler<'_>>() == 72);
    };

    assert_eq!(Reassembler::memory_len(2, 1532), 3280);
    // With 32-bit pointers: the memory, two slots, and the reassembler.
    const { assert!(Reassembler::memory_len(2, 1532) + 2 * size_of::<Slot>() + 48 == 3392) };
    // 1500 bytes in any tunnel of this crate: the payload is all behind the outer header.
    let largest = [
        Overhead::IPIP,
        Overhead::FOU,
        Overhead::GUE,
        Overhead::GRE,
        Overhead::GRE_IN_UDP,
        Overhead::TCP,
        Overhead::TCP_TIMESTAMPS,
    ];
    let largest = largest.map(|overhead| overhead.outer_len(1500).unwrap());
    assert!(largest.iter().all(|outer_len| *outer_len <= 1532 + 20));
    assert!(largest.contains(&1552));

    // A share of a 32nd and the rounding, besides the header.
    for payload_len in [8, 64, 1532, 4096, 65_515] {
        let share_len = Reassembler::memory_len(1, payload_len);
        assert!(share_len - 60 - payload_len <= payload_len / 32 + 2);
        assert_eq!(Reassembler::memory_len(1024, payload_len), 1024 * share_len);
    }
}

/// Not a byte less, not a byte more.
#[test]
fn x_32_memory_len_is_exact_for_every_payload_length() {
    let mut slots = [Slot::new()];
    let mut memory = vec![0; Reassembler::memory_len(1, 65_600)];
    for payload_len in (0..=2000).chain(65_000..=65_515) {
        let len = Reassembler::memory_len(1, payload_len);
        let made = Reassembler::new(&mut slots, &mut memory[..len], Limits::DEFAULT);
        assert_eq!(usize::from(made.payload_len()), payload_len);
        let short = Reassembler::new(&mut slots, &mut memory[..len - 1], Limits::DEFAULT);
        assert!(usize::from(short.payload_len()) < payload_len.max(1));
    }
    // More than a datagram can have is no use.
    let made = Reassembler::new(&mut slots, &mut memory, Limits::DEFAULT);
    assert_eq!(made.payload_len(), 65_515);
    assert_eq!(Reassembler::memory_len(usize::MAX, 1), usize::MAX);
}

/// A datagram that does not fit gives its slot back; what fits exactly is complete.
#[test]
fn x_32_a_datagram_beyond_its_slot_releases_it() {
    let mut fixture = Fixture::new(1, Limits::DEFAULT);
    let mut reassembler = fixture.reassembler();
    assert_eq!(reassembler.add(at(0), 1, &fragment(1, 0..191, true)), HELD);
    let answer = reassembler.add(at(0), 1, &fragment(1, 191..193, false));
    let (need, have) = (1544, 1532);
    assert_eq!(answer, Err(ReassemblyError::SlotTooShort { need, have }));
    assert_eq!(
        reassembler.add(at(0), 1, &fragment(1, 0..191, true)),
        Err(ReassemblyError::Discarded)
    );
    // Nothing is given up for the next.
    assert_eq!(reassembler.add(at(0), 2, &fragment(2, 0..191, true)), HELD);
    // One that is too long by itself does not even begin.
    let answer = reassembler.add(at(0), 3, &fragment(3, 191..193, false));
    assert_eq!(answer, Err(ReassemblyError::SlotTooShort { need, have }));
    let last = packet(20 + 1532);
    let last = [&fragment(2, 191..191, false)[..20], &last[20 + 1528..]].concat();
    let last = with_total_len(last);
    let added = reassembler.add(at(0), 2, &last);
    assert_eq!(complete(&mut reassembler, added).len(), 1552);
}

fn with_total_len(mut packet: Vec<u8>) -> Vec<u8> {
    let total_len = u16::try_from(packet.len()).unwrap();
    oracle::put_u16(&mut packet, 2, total_len);
    oracle::fill_checksum(&mut packet);
    packet
}

#[test]
fn x_31_without_slots_or_memory_nothing_is_kept() {
    let first = fragment(1, 0..1, true);
    let mut none = Reassembler::new(&mut [], &mut [], Limits::DEFAULT);
    assert_eq!(none.payload_len(), 0);
    let refused = none.add(at(0), 1, &first).unwrap_err();
    assert_eq!(refused.reason(), "SlotTooShort");
    assert_eq!((none.next_deadline(), none.expire(at(0))), (None, 0));
    let mut memory = [0; 200];
    let mut none = Reassembler::new(&mut [], &mut memory, Limits::DEFAULT);
    assert!(none.add(at(0), 1, &first).is_err());
    let mut slots = [Slot::new(); 4];
    let mut short = Reassembler::new(&mut slots, &mut memory, Limits::DEFAULT);
    assert_eq!(short.payload_len(), 0);
    assert!(short.add(at(0), 1, &first).is_err());
}

// ---- Order, splitting

/// 45 fragments, the even ones first.
#[test]
fn x_21_even_fragments_first() {
    let whole = packet(65_535);
    let fragments = split(&whole, 1500);
    assert_eq!(fragments.len(), 45);
    let mut slots = [Slot::new(); 2];
    let mut memory = vec![0; Reassembler::memory_len(2, 65_515)];
    let mut reassembler = Reassembler::new(&mut slots, &mut memory, Limits::DEFAULT);
    let (even, odd) = (
        fragments.iter().step_by(2),
        fragments.iter().skip(1).step_by(2),
    );
    let order: Vec<_> = even.chain(odd).collect();
    for fragment in &order[..44] {
        assert_eq!(reassembler.add(at(0), 1, fragment), HELD);
    }
    let added = reassembler.add(at(0), 1, order[44]);
    assert_eq!(complete(&mut reassembler, added), whole);
}

/// With the tunnel's inner MTU: a packet of this length goes whole, one byte more in two, and all outers fit the
/// link.
#[test]
fn x_01_x_10_inner_mtu_and_one_more() {
    let (left, right) = (
        Ipv4Addr::new(198, 51, 100, 1),
        Ipv4Addr::new(203, 0, 113, 2),
    );
    let ipip = Tunnel::new(left, right, IpIp).unwrap();
    let fou = Tunnel::new(left, right, Fou::new(5555)).unwrap();
    let gre = Tunnel::new(left, right, Gre::new().with_key(7)).unwrap();
    let tunnels: [&dyn Encapsulate; 4] = [&ipip, &fou, &gre, &(ipip, fou)];
    for tunnel in tunnels {
        let overhead = Overhead::of_bytes(tunnel.overhead());
        let mtu = u16::try_from(overhead.inner_mtu(1500).unwrap()).unwrap();
        for (more, outers) in [(0, 1), (1, 2)] {
            let inner = packet(usize::from(mtu) + more);
            let fragments = split(&inner, mtu);
            assert_eq!(fragments.len(), outers);
            // unchanged.
            assert_eq!(fragments[0] == inner, more == 0);
            for fragment in fragments {
                let headroom = tunnel.overhead();
                let mut buffer = [&vec![0; headroom][..], &fragment].concat();
                let span = Span::new(headroom, fragment.len());
                let said = PerPacket::new().with_link_mtu(1500);
                let outer = encap(tunnel, &mut buffer, span, &said).unwrap();
                assert!(outer.len() <= 1500);
                assert_eq!(outer[headroom..], fragment);
            }
        }
    }
}

/// an outer packet with DF clear and an identification splits in the same way.
#[test]
fn x_11_x_12_outer_packets_split_and_join() {
    let whole = Plain {
        tos: 0x2a,
        flags_offset: 0x8000, // V-10: the reserved flag stays
        ..Plain::of(4)
    };
    let whole = whole.packet(&packet(1500));
    let fragments = split(&whole, 1500);
    assert_eq!(fragments.len(), 2);
    for fragment in &fragments {
        assert_eq!(fragment[1], 0x2a, "X-06, X-12");
        assert_eq!(fragment[6] & 0xc0, 0x80);
        assert_eq!((fragment[4], fragment[5]), (whole[4], whole[5]));
    }
    let mut fixture = Fixture::new(1, Limits::DEFAULT);
    let mut reassembler = fixture.reassembler();
    assert_eq!(reassembler.add(at(0), 1, &fragments[1]), HELD);
    let added = reassembler.add(at(0), 1, &fragments[0]);
    assert_eq!(complete(&mut reassembler, added), whole);
}

/// A router's tunnel changes the TTL of each fragment in the buffer. The next header is not made of that one.
#[test]
fn x_06_fragments_in_place_have_the_packets_ttl() {
    let (left, right) = (
        Ipv4Addr::new(198, 51, 100, 1),
        Ipv4Addr::new(203, 0, 113, 2),
    );
    let policy = OuterPolicy {
        role: Role::Forward,
        ..OuterPolicy::DEFAULT
    };
    let tunnel = Tunnel::new(left, right, Fou::new(5555))
        .unwrap()
        .with_policy(policy);
    let inner = packet(1000);
    let mut buffer = [&[0; 28][..], &inner].concat();
    let fragments = plan(&inner, 300).unwrap().fragments(&inner).unwrap();
    let mut count = 0;
    for (fragment, expected) in fragments.zip(split(&inner, 300)) {
        let span = fragment.write_in_place(&mut buffer, 28).unwrap();
        let outer = encap(&tunnel, &mut buffer, span, &PerPacket::new()).unwrap();
        let mut expected = expected;
        expected[8] -= 1;
        oracle::fill_checksum(&mut expected);
        assert_eq!(outer[28..], expected);
        count += 1;
    }
    assert_eq!(count, 4);
    // And minimal encapsulation takes none (M-01).
    let min = MinEnc::new(left, right).unwrap();
    let first = split(&inner, 300).remove(0);
    let mut buffer = [&[0; 12][..], &first].concat();
    let answer = encap(
        &min,
        &mut buffer,
        Span::new(12, first.len()),
        &PerPacket::new(),
    );
    assert_eq!(answer, Err(EncapError::Fragment));
}

/// `fragment_count` needs the lengths only; where there are no options they agree.
#[test]
fn x_03_every_mtu_has_as_many_fragments_as_planned() {
    let whole = packet(1000);
    for mtu in 28..=1001 {
        let fragments = split(&whole, mtu);
        let count = plan(&whole, mtu).unwrap().count();
        assert_eq!(usize::from(count), fragments.len(), "{mtu}");
        assert_eq!(fragment_count(1000, 20, mtu.into()), Some(count.into()));
    }
    let error = FragmentError::MtuTooSmall { mtu: 27, need: 28 };
    assert_eq!(plan(&whole, 27), Err(error));
    //
    let mut atomic = whole;
    atomic[6] = 0x40;
    oracle::fill_checksum(&mut atomic);
    assert!(plan(&atomic, 1000).unwrap().is_whole());
    let needed = FragmentError::FragmentationNeeded { mtu: 999 };
    assert_eq!(plan(&atomic, 999), Err(needed));
}

/// V-15: the offsets of its fragments would not fit 13 bits. As long as it fits the link it passes.
#[test]
fn v_15_x_05_a_fragment_beyond_the_end_is_not_split() {
    let plain = Plain {
        flags_offset: 0x1fff,
        ..Plain::of(17)
    };
    let beyond = plain.packet(&[0; 100]);
    assert_eq!(plan(&beyond, 100), Err(FragmentError::ReassembledTooLong));
    assert!(plan(&beyond, 120).unwrap().is_whole());
}

// ---- Time

#[test]
fn x_30_the_timeout_is_over_at_the_deadline() {
    let mut fixture = Fixture::new(2, Limits::DEFAULT);
    let mut reassembler = fixture.reassembler();
    assert_eq!(reassembler.next_deadline(), None);
    assert_eq!(reassembler.add(at(5), 1, &fragment(1, 0..1, true)), HELD);
    assert_eq!(reassembler.add(at(9), 2, &fragment(2, 0..1, true)), HELD);
    assert_eq!(reassembler.next_deadline(), Some(at(30_005)));
    assert_eq!(reassembler.expire(at(30_004)), 0);
    assert_eq!(reassembler.expire(at(30_005)), 1);
    assert_eq!(reassembler.next_deadline(), Some(at(30_009)));
    // Without a call of `expire`: in time, and too late.
    let added = reassembler.add(at(30_008), 2, &fragment(2, 1..2, false));
    assert_eq!(complete(&mut reassembler, added).len(), 36);
    assert_eq!(reassembler.next_deadline(), None);
    assert_eq!(
        reassembler.add(at(40_000), 2, &fragment(2, 0..1, true)),
        HELD
    );
    let added = reassembler.add(at(70_000), 2, &fragment(2, 1..2, false));
    assert_eq!(evicted(added), Some((Eviction::TimedOut, 2)));
    let added = reassembler.add(at(70_001), 2, &fragment(2, 0..1, true));
    assert_eq!(complete(&mut reassembler, added).len(), 36);
}

/// An hour back, then a year ahead: nothing expires too early, and nothing is held for a year.
#[test]
fn x_30_a_clock_that_jumps() {
    const HOUR: u64 = 3_600_000;
    const YEAR: u64 = 8760 * HOUR;
    let mut fixture = Fixture::new(4, Limits::DEFAULT);
    let mut reassembler = fixture.reassembler();
    assert_eq!(
        reassembler.add(at(2 * HOUR), 1, &fragment(1, 0..1, true)),
        HELD
    );
    assert_eq!(reassembler.expire(at(HOUR)), 0);
    assert_eq!(reassembler.add(at(HOUR), 1, &fragment(2, 0..1, true)), HELD);
    assert_eq!(reassembler.next_deadline(), Some(at(HOUR + 30_000)));
    let added = reassembler.add(at(HOUR), 1, &fragment(1, 1..2, false));
    assert_eq!(complete(&mut reassembler, added).len(), 36);

    // One from the future; then the clock is right again, and times run as if it had not been.
    assert_eq!(reassembler.add(at(YEAR), 1, &fragment(3, 0..1, true)), HELD);
    assert_eq!(reassembler.add(at(HOUR), 1, &fragment(4, 0..1, true)), HELD);
    assert_eq!(reassembler.expire(at(HOUR + 30_000)), 2);
    assert_eq!(reassembler.next_deadline(), Some(at(YEAR + 30_000)));
    assert_eq!(reassembler.expire(at(u64::MAX)), 1);

    // At the end of time.
    assert_eq!(
        reassembler.add(Instant::MAX, 1, &fragment(5, 0..1, true)),
        HELD
    );
    assert_eq!(reassembler.next_deadline(), Some(Instant::MAX));
    assert_eq!(reassembler.expire(Instant::MAX), 1);
}

/// Whatever was added, the next deadline after one that was kept is later.
#[test]
fn x_30_deadlines_only_advance() {
    let limits = Limits {
        timeout: Duration::from_millis(7),
        ..Limits::DEFAULT
    };
    let mut fixture = Fixture::new(8, limits);
    let mut reassembler = fixture.reassembler();
    for identification in 0..100u16 {
        let now = at(u64::from(identification * 37 % 41));
        // Some of them wrong.
        let len = identification % 3;
        let _ = reassembler.add(now, 1, &fragment(identification / 2, 0..len, true));
    }
    let mut last = None;
    while let Some(deadline) = reassembler.next_deadline() {
        assert!(last < Some(deadline));
        last = Some(deadline);
        reassembler.expire(deadline);
    }
    assert!(last.is_some());
}

/// A complete datagram is there until the next fragment is added, whatever that is.
#[test]
fn a_complete_packet_is_valid_until_the_next_add() {
    let mut fixture = Fixture::new(1, Limits::DEFAULT);
    let mut reassembler = fixture.reassembler();
    assert_eq!(reassembler.add(at(0), 1, &fragment(1, 0..1, true)), HELD);
    let Ok(Added::Complete(slot)) = reassembler.add(at(0), 1, &fragment(1, 1..2, false)) else {
        panic!("not complete");
    };
    assert_eq!(reassembler.expire(Instant::MAX), 0);
    for _ in 0..2 {
        let packet = reassembler.packet(slot).unwrap();
        assert_eq!(Ipv4::parse(packet).unwrap().payload().len(), 16);
        packet[0] = 0; // It is the caller's.
        packet[0] = 0x45;
    }
    assert!(reassembler.add(at(0), 1, &[]).is_err());
    assert_eq!(reassembler.packet(slot), None);
}

// ---- Who loses

/// One lone first fragment in the only slot; a whole other datagram arrives.
#[test]
fn x_31_a_lone_first_fragment_blocks_nobody() {
    for slots in 1..=3 {
        let mut fixture = Fixture::new(slots, Limits::DEFAULT);
        let mut reassembler = fixture.reassembler();
        for peer in 0..u32::try_from(slots).unwrap() {
            assert_eq!(reassembler.add(at(0), peer, &fragment(1, 0..1, true)), HELD);
        }
        let added = reassembler.add(at(1), 9, &fragment(2, 0..1, true));
        let (reason, peer) = evicted(added).unwrap();
        assert_eq!(reason, Eviction::SlotNeeded);
        assert!(peer < 9);
        let added = reassembler.add(at(2), 9, &fragment(2, 1..2, false));
        assert_eq!(complete(&mut reassembler, added).len(), 36);
    }
}

/// A flood of first fragments: it fills what is free, and then evicts itself only.
#[test]
fn x_31_a_flood_of_first_fragments_evicts_itself() {
    let mut fixture = Fixture::new(8, Limits::DEFAULT);
    let mut reassembler = fixture.reassembler();
    for peer in [1, 2] {
        assert_eq!(reassembler.add(at(0), peer, &fragment(7, 0..1, true)), HELD);
    }
    let mut losses = BTreeMap::new();
    for identification in 0..1000u16 {
        let first = fragment(identification, 0..1, true);
        if let Some((reason, peer)) = evicted(reassembler.add(at(1), 66, &first)) {
            *losses.entry((reason.name(), peer)).or_insert(0) += 1;
        }
    }
    assert_eq!(losses, BTreeMap::from([(("SlotNeeded", 66), 994)]));
    // And whoever comes now takes from the flood, not from each other.
    for peer in 10..15 {
        let added = reassembler.add(at(2), peer, &fragment(7, 0..1, true));
        assert_eq!(evicted(added), Some((Eviction::SlotNeeded, 66)));
    }
    for peer in [1, 2, 10, 11, 12, 13, 14] {
        let added = reassembler.add(at(3), peer, &fragment(7, 1..2, false));
        assert_eq!(complete(&mut reassembler, added).len(), 36);
    }
}

/// Whoever has no slot gets one, the oldest of who was overtaken most; but it gets one only.
#[test]
fn x_31_a_flood_without_a_slot_takes_one() {
    let mut fixture = Fixture::new(4, Limits::DEFAULT);
    let mut reassembler = fixture.reassembler();
    for (peer, identification) in [(1, 1), (2, 1), (2, 2), (3, 1)] {
        let first = fragment(identification, 0..1, true);
        assert_eq!(reassembler.add(at(0), peer, &first), HELD);
    }
    let mut victims = Vec::new();
    for identification in 0..100u16 {
        let first = fragment(identification, 0..1, true);
        victims.extend(evicted(reassembler.add(at(1), 66, &first)));
    }
    assert_eq!(victims[0], (Eviction::SlotNeeded, 2));
    assert!(
        victims[1..]
            .iter()
            .all(|victim| *victim == (Eviction::SlotNeeded, 66))
    );
    for (peer, identification) in [(1, 1), (2, 2), (3, 1)] {
        let added = reassembler.add(at(2), peer, &fragment(identification, 1..2, false));
        assert_eq!(complete(&mut reassembler, added).len(), 36);
    }
}

#[test]
fn x_31_a_peer_holds_no_more_than_its_share() {
    let limits = Limits {
        per_peer: 2,
        ..Limits::DEFAULT
    };
    let mut fixture = Fixture::new(8, limits);
    let mut reassembler = fixture.reassembler();
    let mut losses = Vec::new();
    for identification in 1..=5 {
        let first = fragment(identification, 0..1, true);
        losses.push(evicted(reassembler.add(at(0), 1, &first)));
    }
    let lost = Some((Eviction::PeerLimit, 1));
    assert_eq!(losses, [None, None, lost, lost, lost]);
    // The oldest went first: the two youngest are there.
    for identification in [4, 5] {
        let added = reassembler.add(at(0), 1, &fragment(identification, 1..2, false));
        assert_eq!(complete(&mut reassembler, added).len(), 36);
    }
    // One that is over is taken before one that is not.
    assert_eq!(reassembler.add(at(0), 1, &fragment(6, 0..1, true)), HELD);
    assert_eq!(
        reassembler.add(at(29_000), 1, &fragment(7, 0..1, true)),
        HELD
    );
    let added = reassembler.add(at(30_000), 1, &fragment(8, 0..1, true));
    assert_eq!(evicted(added), Some((Eviction::TimedOut, 1)));
}

/// Datagrams that were dropped are remembered, but their slots are as good as free.
#[test]
fn x_22_x_31_dropped_datagrams_block_nobody() {
    let mut fixture = Fixture::new(3, Limits::DEFAULT);
    let mut reassembler = fixture.reassembler();
    assert_eq!(reassembler.add(at(0), 1, &fragment(9, 0..1, true)), HELD);
    for identification in 1..=2 {
        assert_eq!(
            reassembler.add(at(0), 66, &fragment(identification, 0..2, true)),
            HELD
        );
        let answer = reassembler.add(at(0), 66, &fragment(identification, 1..3, true));
        assert_eq!(answer, Err(ReassemblyError::OverlappingFragment));
        // Later fragments too, also good ones.
        let answer = reassembler.add(at(29_999), 66, &fragment(identification, 2..3, false));
        assert_eq!(answer, Err(ReassemblyError::Discarded));
    }
    // Two others need slots: nobody loses a datagram.
    for identification in 3..=4 {
        assert_eq!(
            reassembler.add(at(1), 1, &fragment(identification, 0..1, true)),
            HELD
        );
    }
    for identification in [9, 3, 4] {
        let added = reassembler.add(at(2), 1, &fragment(identification, 1..2, false));
        assert_eq!(complete(&mut reassembler, added).len(), 36);
    }
    // After the timeout the identification is a new datagram's, and nothing is counted for the old one.
    assert_eq!(reassembler.add(at(2), 66, &fragment(1, 0..2, true)), HELD);
    assert!(
        reassembler
            .add(at(2), 66, &fragment(1, 0..1, true))
            .is_err()
    );
    assert_eq!(
        reassembler.add(at(30_002), 66, &fragment(1, 0..1, true)),
        HELD
    );
    assert_eq!(reassembler.expire(at(60_001)), 0);
    assert_eq!(reassembler.expire(at(60_002)), 1);
}

/// RFC 4963: a late fragment is not joined with those of a younger datagram.
#[test]
fn x_30_an_identification_used_again_is_a_new_datagram() {
    let limits = Limits {
        max_distance: 3,
        ..Limits::DEFAULT
    };
    let mut fixture = Fixture::new(8, limits);
    let mut reassembler = fixture.reassembler();
    for distance in [3, 4] {
        assert_eq!(reassembler.add(at(0), 1, &fragment(0, 0..1, true)), HELD);
        for identification in 1..=distance {
            // Of the same peer; others do not count.
            assert_eq!(reassembler.add(at(0), 2, &fragment(0, 0..1, true)), HELD);
            let _ = reassembler.add(at(0), 2, &fragment(0, 1..2, false));
            assert_eq!(
                reassembler.add(at(0), 1, &fragment(identification, 0..1, true)),
                HELD
            );
            let _ = reassembler.add(at(0), 1, &fragment(identification, 1..2, false));
        }
        let added = reassembler.add(at(0), 1, &fragment(0, 1..2, false));
        if distance == 3 {
            assert_eq!(complete(&mut reassembler, added).len(), 36);
        } else {
            assert_eq!(evicted(added), Some((Eviction::Overtaken, 1)));
        }
    }
}

// ---- Attacks

/// The same bytes in other fragments, a fragment inside of another, around it, at either end: every overlap
/// but the exact copy, and the datagram is lost with it.
#[test]
fn x_22_x_23_every_overlap_but_an_exact_copy_drops_the_datagram() {
    for first in 0..6u16 {
        for len in 1..=6 - first {
            let mut fixture = Fixture::new(1, Limits::DEFAULT);
            let mut reassembler = fixture.reassembler();
            // Two fragments with the right bytes, and nothing at 0 and behind 4.
            assert_eq!(reassembler.add(at(0), 1, &fragment(1, 1..3, true)), HELD);
            assert_eq!(reassembler.add(at(0), 1, &fragment(1, 3..4, true)), HELD);
            let range = first..first + len;
            let answer = reassembler.add(at(0), 1, &fragment(1, range.clone(), true));
            let expected = if range == (1..3) || range == (3..4) {
                Ok(Added::Duplicate)
            } else if range.end <= 1 || range.start >= 4 {
                HELD
            } else {
                Err(ReassemblyError::OverlappingFragment)
            };
            assert_eq!(answer, expected, "{range:?}");
        }
    }
}

/// the same place and length, but other bytes.
#[test]
fn x_22_a_copy_with_other_bytes_drops_the_datagram() {
    let mut fixture = Fixture::new(1, Limits::DEFAULT);
    let mut reassembler = fixture.reassembler();
    let first = fragment(1, 0..2, true);
    assert_eq!(reassembler.add(at(0), 1, &first), HELD);
    let mut other = first;
    other[35] ^= 1;
    let answer = reassembler.add(at(0), 1, &other);
    assert_eq!(answer, Err(ReassemblyError::OverlappingFragment));
}

/// The header at offset 0 is longer than that of the fragment at the end, and the two together too long.
#[test]
fn x_25_the_ping_of_death_with_options() {
    let options = vec![1; 40];
    let first = Plain {
        flags_offset: 0x2000,
        options,
        ..Plain::of(4)
    };
    let first = first.packet(&[0; 8]);
    let ends = |flags_offset, len: usize| {
        let plain = Plain {
            flags_offset,
            ..Plain::of(4)
        };
        plain.packet(&vec![0; len])
    };
    // 8 bytes, then 65,467 up to 65,475, the longest payload behind 60 bytes; or one more.
    for (more, is_complete) in [(0, true), (1, false)] {
        for last_first in [false, true] {
            let middle = ends(0x2001, 65_472 - 8);
            let last = ends(65_472 / 8, 3 + more);
            let mut slots = [Slot::new()];
            let mut memory = vec![0; Reassembler::memory_len(1, 65_515)];
            let mut reassembler = Reassembler::new(&mut slots, &mut memory, Limits::DEFAULT);
            let order = if last_first {
                [&last, &middle, &first]
            } else {
                [&first, &middle, &last]
            };
            let answers = order.map(|fragment| reassembler.add(at(0), 1, fragment));
            assert_eq!(answers[..2], [HELD, HELD]);
            if is_complete {
                let whole = complete(&mut reassembler, answers[2]);
                assert_eq!(whole.len(), 65_535);
                assert_eq!(Ipv4::parse(&whole).unwrap().option_bytes(), [1; 40], "X-29");
            } else {
                assert_eq!(answers[2], Err(ReassemblyError::ReassembledTooLong));
            }
        }
    }
}

/// The last byte of a slot's memory, bitmaps included, is no other slot's.
#[test]
fn x_31_slots_do_not_touch_each_other() {
    let mut fixture = Fixture::new(3, Limits::DEFAULT);
    let mut reassembler = fixture.reassembler();
    // The longest datagrams that fit, in turns.
    let fragments: Vec<_> = (1..=3u8)
        .map(|number| {
            let whole = Plain {
                identification: u16::from(number),
                flags_offset: 0,
                ..Plain::of(4)
            };
            let whole = whole.packet(&[number; 1532]);
            (split(&whole, 520), whole)
        })
        .collect();
    for turn in 0..4 {
        for (parts, whole) in &fragments {
            let added = reassembler.add(at(0), 1, &parts[turn]);
            if turn == 3 {
                assert_eq!(complete(&mut reassembler, added), *whole);
            } else {
                assert_eq!(added, HELD);
            }
        }
    }
}

/// Peers never share a datagram, whatever the addresses say; the check of the sender is the caller's.
#[test]
fn x_20_x_33_datagrams_of_two_peers_do_not_mix() {
    let mut fixture = Fixture::new(4, Limits::DEFAULT);
    let mut reassembler = fixture.reassembler();
    assert_eq!(reassembler.add(at(0), 1, &fragment(1, 0..1, true)), HELD);
    assert_eq!(reassembler.add(at(0), 2, &fragment(1, 1..2, false)), HELD);
    // Nor those that differ in one field of the key.
    for byte in [4, 9, 12, 16] {
        let mut other = fragment(1, 1..2, false);
        other[byte] ^= 1;
        oracle::fill_checksum(&mut other);
        let added = reassembler.add(at(0), 1, &other);
        assert!(matches!(added, Ok(Added::Held { .. })), "{byte}");
    }
}

#[test]
fn tiny_fragments_are_bounded() {
    let limits = Limits {
        min_len: 48,
        max_fragments: 3,
        ..Limits::DEFAULT
    };
    let mut fixture = Fixture::new(2, limits);
    let mut reassembler = fixture.reassembler();
    let answer = reassembler.add(at(0), 1, &fragment(1, 0..5, true));
    assert_eq!(answer, Err(ReassemblyError::TooSmall { len: 40 }));
    assert_eq!(reassembler.next_deadline(), None, "it has begun nothing");
    // The last one may be as short as it is.
    for first in [0, 6, 12] {
        assert_eq!(
            reassembler.add(at(0), 1, &fragment(2, first..first + 6, true)),
            HELD
        );
    }
    let answer = reassembler.add(at(0), 1, &fragment(2, 18..19, false));
    assert_eq!(answer, Err(ReassemblyError::TooManyFragments));
    // A limit of 0 is one of 1.
    let limits = Limits {
        max_fragments: 0,
        per_peer: 0,
        ..Limits::DEFAULT
    };
    let mut fixture = Fixture::new(2, limits);
    let mut reassembler = fixture.reassembler();
    assert_eq!(reassembler.add(at(0), 1, &fragment(1, 0..1, true)), HELD);
    let answer = reassembler.add(at(0), 1, &fragment(1, 1..2, false));
    assert_eq!(answer, Err(ReassemblyError::TooManyFragments));
}

/// RFC 1858 §3.2.1 and §4.2: every offset and length of TCP, and of what is not TCP.
#[test]
fn only_tcp_fragments_can_deceive_about_flags() {
    for protocol in [6, 17, 1] {
        for units in [0, 1, 2, 3] {
            for len in 0..=24 {
                for more in [0, 0x2000] {
                    let plain = Plain {
                        flags_offset: more | units,
                        ..Plain::of(protocol)
                    };
                    let packet = plain.packet(&vec![0; len]);
                    let answer = check_tcp_fragment(Ipv4::parse(&packet).unwrap());
                    let expected = match (protocol, units) {
                        (6, 0) if len < 16 => Err(FragmentAttack::TinyFirstFragment),
                        (6, 1) => Err(FragmentAttack::OverlappingHeader),
                        _ => Ok(()),
                    };
                    assert_eq!(answer, expected, "{protocol} {units} {len}");
                }
            }
        }
    }
}

/// With 1024 slots the promise is the same: every datagram gets one, and the flood its own.
#[test]
fn x_31_a_thousand_slots() {
    let limits = Limits {
        per_peer: 1000,
        ..Limits::DEFAULT
    };
    let mut slots = vec![Slot::new(); 1024];
    let mut memory = vec![0; Reassembler::memory_len(1024, 64)];
    let mut reassembler = Reassembler::new(&mut slots, &mut memory, limits);
    for identification in 0..3000 {
        let added = reassembler.add(at(0), 66, &fragment(identification, 0..1, true));
        let lost = evicted(added);
        let is_limited = identification >= 1000;
        assert_eq!(lost, is_limited.then_some((Eviction::PeerLimit, 66)));
    }
    for peer in 100..200 {
        let added = reassembler.add(at(1), peer, &fragment(1, 0..1, true));
        assert!(evicted(added).is_none_or(|(_, victim)| victim == 66));
    }
    for peer in 100..200 {
        let added = reassembler.add(at(2), peer, &fragment(1, 1..2, false));
        assert_eq!(complete(&mut reassembler, added).len(), 36);
    }
}
