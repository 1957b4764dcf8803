//! Faults that tunnels had, others and this one, one test each.

use core::net::Ipv4Addr;

use ipencap::decap::OuterMeta;
use ipencap::encap::{MinEnc, Tunnel};
use ipencap::error::{EncapError, Eviction, Reason, Refused};
use ipencap::mss::Patch;
use ipencap::packet::{InnerChecksum, PerPacket};
use ipencap::shim::{Fou, Gre};
use ipencap::time::{Duration, Instant};
use ipencap::tunnel::{
    Cause, Change, EndpointConfig, Event, Identifications, Inbound, Outbound, PeerId, PeerPolicy,
    PeerTunnel, Peers,
};
use ipencap::wire::{Ecn, IpProtocol};
use ipencap_kit::oracle::{self, Plain};

use crate::ends::{
    COPY_DF, Dice, ELSEWHERE, FAR, HERE, NEAR, SAID, START, THERE, at, between, delivered, inner,
    ipip, joining, many, one, pair, prefix, receive, send, send_as, sent, syn, told, too_big, with,
};

const fn refused(reason: Reason) -> Event {
    Event::DroppedInbound(Cause::Refused(Refused::new(reason)))
}

/// D-17. With 10.0.0.0/8 and 10.1.0.0/16 at two peers, the first may not send from within the second's.
#[test]
fn d_17_the_longest_prefix_says_who_may_send() {
    let mut hub = many(2, EndpointConfig::DEFAULT);
    let table = hub.peers_mut();
    let wide = table.add(ipip(HERE, THERE), PeerPolicy::DEFAULT).unwrap();
    let narrow = table
        .add(ipip(HERE, ELSEWHERE), PeerPolicy::DEFAULT)
        .unwrap();
    table.allow(wide, prefix("10.0.0.0/8")).unwrap();
    table.allow(narrow, prefix("10.1.0.0/16")).unwrap();
    let from = |source| between(source, [10, 77, 0, 1], 60, true);
    let mut first = one(ipip(THERE, HERE), "10.77.0.0/16");
    let mut second = one(ipip(ELSEWHERE, HERE), "10.77.0.0/16");

    let outer = sent(&mut first, START, &from([10, 1, 0, 5]));
    let (verdict, _) = receive(&mut hub, START, &outer);
    assert!(matches!(verdict, Inbound::Drop { peer, .. } if peer == Some(wide)));
    assert_eq!(hub.tally().last(), refused(Reason::InnerSourceNotAllowed));

    let outer = sent(&mut first, START, &from([10, 9, 0, 5]));
    assert_eq!(delivered(&mut hub, START, &outer), from([10, 9, 0, 5]));
    let outer = sent(&mut second, START, &from([10, 1, 0, 5]));
    assert_eq!(delivered(&mut hub, START, &outer), from([10, 1, 0, 5]));
    let outer = sent(&mut second, START, &from([10, 9, 0, 5]));
    let _ = receive(&mut hub, START, &outer);
    assert_eq!(hub.tally().last(), refused(Reason::InnerSourceNotAllowed));
}

/// D-17. That the destination is one of ours makes no source right.
#[test]
fn d_17_an_allowed_destination_does_not_excuse_a_foreign_source() {
    let (mut near, mut far) = pair();
    let outer = sent(
        &mut near,
        START,
        &between([10, 3, 0, 5], [10, 2, 0, 9], 60, true),
    );
    let (verdict, inner) = receive(&mut far, START, &outer);
    assert!(matches!(verdict, Inbound::Drop { .. }) && inner.is_none());
    assert_eq!(far.tally().last(), refused(Reason::InnerSourceNotAllowed));
}

/// A lone first fragment holds the only slot; the next datagram takes it, and that is counted.
#[test]
fn x_31_a_lone_first_fragment_does_not_hold_the_only_slot() {
    let mut near = with(
        ipip(HERE, THERE).with_policy(COPY_DF),
        FAR,
        PeerPolicy::DEFAULT,
        EndpointConfig::DEFAULT,
    );
    let mut far = joining(one(ipip(THERE, HERE), NEAR), 1, 1600);
    let packet = inner(1400, false);
    let lone = oracle::fragments(&sent(&mut near, START, &packet), 1000).unwrap();
    let whole = oracle::fragments(&sent(&mut near, START, &packet), 1000).unwrap();
    let _ = receive(&mut far, START, &lone[0]);
    let _ = receive(&mut far, START, &whole[0]);
    let (verdict, arrived) = receive(&mut far, START, &whole[1]);
    assert!(matches!(verdict, Inbound::Whole { .. }), "{verdict:?}");
    assert_eq!(arrived.unwrap(), packet);
    assert_eq!(far.tally().of(Event::GivenUp(Eviction::SlotNeeded)), 1);
    assert_eq!((far.tally().of(Event::Held), far.tally().packets()), (2, 3));
}

/// The largest datagram in 45 fragments, the even ones first.
#[test]
fn x_21_45_fragments_the_even_ones_first() {
    let config = EndpointConfig {
        link_mtu: u16::MAX,
        ..EndpointConfig::DEFAULT
    };
    let tunnel = ipip(HERE, THERE).with_policy(COPY_DF);
    let mut near = with(tunnel, FAR, PeerPolicy::DEFAULT, config);
    let mut far = joining(one(ipip(THERE, HERE), NEAR), 1, 65_515);
    let packet = inner(65_515, false);
    let fragments = oracle::fragments(&sent(&mut near, START, &packet), 1500).unwrap();
    assert_eq!(fragments.len(), 45);
    let even = fragments.iter().step_by(2);
    let mut arrived = None;
    for fragment in even.chain(fragments.iter().skip(1).step_by(2)) {
        assert_eq!(arrived, None);
        arrived = receive(&mut far, START, fragment).1;
    }
    assert_eq!(arrived.unwrap(), packet);
}

/// After a report of 1400 a packet of 1440 that may be fragmented is. Linux loses it.
#[test]
fn x_10_x_13_a_14_what_may_be_fragmented_is_after_a_report() {
    let (mut near, mut far) = pair();
    let outer = sent(&mut near, START, &inner(1480, true));
    let _ = receive(&mut near, START, &too_big(&outer[..28], 1400));
    assert_eq!(near.tally().last(), Event::Learnt);

    let packet = inner(1440, false);
    let (verdict, outers) = send(&mut near, START, &packet);
    assert!(matches!(verdict, Outbound::Split { .. }), "{verdict:?}");
    assert_eq!(outers.len(), 2);
    let arrived: Vec<_> = outers
        .iter()
        .map(|outer| {
            assert!(outer.len() <= 1400);
            delivered(&mut far, START, outer)
        })
        .collect();
    assert_eq!(arrived, oracle::fragments(&packet, 1380).unwrap());
    assert_eq!(near.tally().of(Event::Fragments), 2);
}

/// A super-packet is judged by its segments: 1460 bytes fit 1500 in FOU and 40 bytes more, 1461 do not.
#[test]
fn i_14_segments_are_judged_not_the_super_packet() {
    let config = EndpointConfig {
        link_mtu: 1480,
        ..EndpointConfig::DEFAULT
    };
    let mut near = with(ipip(HERE, THERE), FAR, PeerPolicy::DEFAULT, config);
    let packet = inner(2920, true);
    let said = |len| PerPacket::new().with_segment_len(len);
    let (verdict, outers) = send_as(&mut near, START, 0, &packet, &said(1460));
    assert!(matches!(verdict, Outbound::Send { .. }), "{verdict:?}");
    assert_eq!(outers[0].len(), 2940);
    let (verdict, outers) = send_as(&mut near, START, 0, &packet, &said(1461));
    let Outbound::Answer { error, .. } = verdict else {
        panic!("{verdict:?}")
    };
    let mut out = vec![0; error.len()];
    let heard = error.write(&packet, &mut out).unwrap();
    assert_eq!(oracle::u16_at(heard, 26), 1460);
    assert!(outers.is_empty());
    assert_eq!(near.tally().packets(), 2);

    // Without DF the caller must segment it. One whose segments are not shorter than itself is none.
    let packet = inner(2920, false);
    let _ = send_as(&mut near, START, 0, &packet, &said(1461));
    assert_eq!(
        near.tally().last(),
        Event::DroppedOutbound(Cause::SegmentTooLong)
    );
    let (verdict, outers) = send_as(&mut near, START, 0, &packet, &said(2920));
    assert!(matches!(verdict, Outbound::Split { .. }), "{verdict:?}");
    assert_eq!(outers.len(), 3);
}

/// I-14, E-06. One whose segments fit, but not the whole in 16 bits: no MTU that its source were told would help, as its
/// segments fit already.
#[test]
fn i_14_a_super_packet_too_long_for_16_bits_is_to_be_segmented() {
    for has_df in [true, false] {
        let (mut near, _) = pair();
        let said = PerPacket::new().with_segment_len(1400);
        let (verdict, outers) = send_as(&mut near, START, 0, &inner(65_515, has_df), &said);
        assert!(matches!(verdict, Outbound::Send { .. }), "{verdict:?}");
        assert_eq!(outers[0].len(), 65_535);
        for len in [65_516, 65_530, 65_535] {
            let (verdict, outers) = send_as(&mut near, START, 0, &inner(len, has_df), &said);
            assert!(
                matches!(
                    verdict,
                    Outbound::Drop {
                        cause: Cause::SegmentTooLong,
                        ..
                    }
                ),
                "{verdict:?}"
            );
            assert!(outers.is_empty());
        }
    }
}

/// A system that refuses 1320 bytes is believed at once.
#[test]
fn a_15_emsgsize_counts_for_the_next_packet() {
    let (mut near, mut far) = pair();
    let id = near.peers().at(0).unwrap();
    let verdict = near.local_mtu(START, id, 1320);
    assert!(
        matches!(
            verdict,
            Inbound::Learnt {
                inner_mtu: 1300,
                ..
            }
        ),
        "{verdict:?}"
    );
    assert_eq!(told(&mut near, START, &inner(1400, true)), Some(1300));
    let (_, outers) = send(&mut near, START, &inner(1400, false));
    assert_eq!(outers.len(), 2);
    for outer in outers {
        assert!(outer.len() <= 1320);
        delivered(&mut far, START, &outer);
    }
}

/// What is due at a deadline is done at it, whatever the history: the next is later.
#[test]
fn x_30_deadlines_move_on() {
    let policy = PeerPolicy {
        keepalive: Some(Duration::from_secs(25)),
        silence: Some(Duration::from_secs(60)),
        ..PeerPolicy::DEFAULT
    };
    for seed in 1..300 {
        let mut dice = Dice(seed);
        let tunnel = ipip(HERE, THERE).with_policy(COPY_DF);
        let mut near = joining(with(tunnel, FAR, policy, EndpointConfig::DEFAULT), 2, 1600);
        let mut far = one(ipip(THERE, HERE).with_policy(COPY_DF), NEAR);
        let id = near.peers().at(0).unwrap();
        let mut now = START;
        for _ in 0..60 {
            match dice.below(9) {
                0 => drop(send(&mut near, now, &inner(1480, true))),
                1 => drop(send(&mut near, now, &inner(1700, false))),
                2 => {
                    let (_, outers) = send(&mut near, now, &inner(1000, true));
                    if let Some(outer) = outers.first() {
                        let _ = receive(&mut near, now, &too_big(&outer[..48], 900));
                    }
                }
                3 => drop(near.local_mtu(now, id, 1320)),
                4 => {
                    let outer = sent(
                        &mut far,
                        now,
                        &between([10, 2, 0, 9], [10, 1, 0, 5], 900, false),
                    );
                    let fragments = oracle::fragments(&outer, 500).unwrap();
                    let _ = receive(&mut near, now, &fragments[dice.index(2)]);
                }
                5 => {
                    let outer = sent(
                        &mut far,
                        now,
                        &between([10, 2, 0, 9], [10, 1, 0, 5], 90, false),
                    );
                    let _ = receive(&mut near, now, &outer);
                }
                6 => near.set_link_mtu(now, 1400 + u16::try_from(dice.below(200)).unwrap()),
                7 => drop(near.unreachable(now, id)),
                _ => now = now + Duration::from_millis(dice.below(700_000)),
            }
            let deadline = near.next_deadline().expect("a keepalive is always due");
            near.expire(deadline, |_| {});
            let next = near.next_deadline().unwrap();
            assert!(next > deadline, "seed {seed}: {next} after {deadline}");
            now = now.max(deadline);
        }
    }
}

/// I-34. A quote of 28 bytes with an extension behind it: the MTU is learnt, the extension is no packet.
#[test]
fn i_34_i_31_an_extension_is_no_part_of_the_quote() {
    let (mut near, _) = pair();
    let packet = inner(1480, true);
    let outer = sent(&mut near, START, &packet);
    let extension = [0x20, 0, 0, 0, 0, 8, 1, 1, 0x45, 0, 0, 99];
    let mut report = too_big(&[&outer[..28], &extension].concat(), 1400);
    // The quote has 7 words.
    report[25] = 7;
    oracle::put_u16(&mut report, 22, 0);
    let checksum = oracle::checksum(&report[20..]);
    oracle::put_u16(&mut report, 22, checksum);
    let (verdict, _) = receive(&mut near, START, &report);
    assert!(
        matches!(
            verdict,
            Inbound::Learnt {
                inner_mtu: 1380,
                ..
            }
        ),
        "{verdict:?}"
    );

    // With the whole inner header and 8 bytes, it is passed on, and not the extension.
    let outer = sent(&mut near, START, &inner(1380, true));
    let mut report = too_big(&[&outer[..48], &extension].concat(), 1300);
    report[25] = 12;
    oracle::put_u16(&mut report, 22, 0);
    let checksum = oracle::checksum(&report[20..]);
    oracle::put_u16(&mut report, 22, checksum);
    let (verdict, _) = receive(&mut near, START, &report);
    let Inbound::Relay {
        error,
        quoted,
        inner_mtu: 1280,
        ..
    } = verdict
    else {
        panic!("{verdict:?}")
    };
    assert_eq!(quoted.get(&report).unwrap(), &outer[20..48]);
    let mut out = vec![0; error.len()];
    let message = error.write(&outer[20..48], &mut out).unwrap();
    assert_eq!(oracle::hear_icmp(message).unwrap().quote, &outer[20..48]);
}

/// S-32. SYN out and SYN-ACK in are lowered to what fits; what fits stays as it is, checksum and all.
#[test]
fn s_32_syn_and_syn_ack_are_clamped() {
    const SYN: u8 = 2;
    const SYN_ACK: u8 = 18;
    let (mut near, mut far) = pair();
    let id = near.peers().at(0).unwrap();
    let _ = near.local_mtu(START, id, 1400);
    for (mss, lowered) in [(1460, 1340), (1341, 1340), (1340, 1340), (536, 536)] {
        let packet = syn(mss, SYN);
        let outer = sent(&mut near, START, &packet);
        assert_eq!(&outer[20..], syn(lowered, SYN), "{mss}");

        // The far end knows nothing of the narrow path.
        let back = |mss| {
            let mut packet = syn(mss, SYN_ACK);
            packet[12..20].copy_from_slice(&[10, 2, 0, 9, 10, 1, 0, 5]);
            packet
        };
        let outer = sent(&mut far, START, &back(mss.min(1440)));
        assert_eq!(&outer[20..], back(mss.min(1440)));
        assert_eq!(delivered(&mut near, START, &outer), back(lowered));
    }
}

/// A packet of the inner MTU is not split; of one more all outer packets fit the link.
#[test]
fn x_01_x_10_only_what_does_not_fit_is_split() {
    for has_df in [false, true] {
        let (mut near, mut far) = pair();
        let packet = inner(1480, has_df);
        let outer = sent(&mut near, START, &packet);
        assert_eq!(outer.len(), 1500);
        assert_eq!(delivered(&mut far, START, &outer), packet);
    }
    let (mut near, mut far) = pair();
    let packet = inner(1481, false);
    let (_, outers) = send(&mut near, START, &packet);
    assert!(outers.iter().all(|outer| outer.len() <= 1500));
    let arrived: Vec<_> = outers
        .iter()
        .map(|outer| delivered(&mut far, START, outer))
        .collect();
    assert_eq!(arrived, oracle::fragments(&packet, 1480).unwrap());
    assert_eq!(told(&mut near, START, &inner(1481, true)), Some(1480));
    let cause = Cause::Encap(EncapError::FragmentationNeeded { mtu: 1480 });
    assert_eq!(near.tally().last(), Event::Answered(cause));
}

/// The clock runs back an hour: nothing expires, and everything works.
#[test]
fn x_30_a_clock_that_runs_back_stands_still() {
    let policy = PeerPolicy {
        keepalive: Some(Duration::from_secs(25)),
        silence: Some(Duration::from_secs(60)),
        ..PeerPolicy::DEFAULT
    };
    let config = EndpointConfig {
        identifications: Identifications::keyed(7),
        ..EndpointConfig::DEFAULT
    };
    let tunnel = ipip(HERE, THERE).with_policy(COPY_DF);
    let mut near = joining(with(tunnel, FAR, policy, config), 2, 1600);
    let mut far: crate::ends::One<Tunnel<_>> = one(ipip(THERE, HERE).with_policy(COPY_DF), NEAR);
    let late = at(7200);
    let outer = sent(&mut near, late, &inner(1480, true));
    let _ = receive(&mut near, late, &too_big(&outer[..28], 1400));
    let packet = between([10, 2, 0, 9], [10, 1, 0, 5], 900, false);
    let fragments = oracle::fragments(&sent(&mut far, late, &packet), 500).unwrap();
    let _ = receive(&mut near, late, &fragments[0]);

    let earlier = at(3600);
    near.expire(earlier, |change| panic!("{change:?}"));
    let id = near.peers().at(0).unwrap();
    assert_eq!(near.inner_mtu(earlier, id), Some(1380));
    assert!(!near.is_silent(id));
    sent(&mut near, earlier, &inner(1380, true));
    assert_eq!(
        receive(&mut near, earlier, &fragments[1]).1.unwrap(),
        packet
    );
    let _ = near.next_deadline().unwrap();
    assert_eq!(near.tally().of(Event::GivenUp(Eviction::TimedOut)), 0);

    // To the end of time and back.
    near.expire(Instant::MAX, |_| {});
    sent(&mut near, START, &inner(1380, true));
    let _ = send_as(&mut near, START, 0, &inner(9000, false), &SAID);
    assert_eq!(near.tally().packets(), 7);
}

/// C-22. Of a packet whose checksum a device is to fill in, no fragment has the bytes that it covers.
#[test]
fn c_22_t39_a_packet_with_a_partial_checksum_is_not_split() {
    let header = |flags_offset| Plain {
        flags_offset,
        ..Plain::of(17)
    };
    let mut datagram = vec![0x9c, 0x40, 0, 53, 11, 0xa4, 0, 0];
    datagram.resize(2980, 7);
    let said = SAID.with_inner_checksum(InnerChecksum::Partial);
    let (mut near, _) = pair();
    let packet = header(0).packet(&datagram);
    let (verdict, outers) = send_as(&mut near, START, 0, &packet, &said);
    let cause = Cause::Encap(EncapError::PartialChecksum);
    assert!(
        matches!(verdict, Outbound::Drop { cause: found, .. } if found == cause),
        "{verdict:?}"
    );
    assert!(outers.is_empty());
    assert_eq!(near.tally().last(), Event::DroppedOutbound(cause));
    assert_eq!(near.outbound(START, &packet, &said), verdict);
    // One that fits goes, one that must not be fragmented is answered, and a filled one is split.
    let short = header(0).packet(&datagram[..1000]);
    let (verdict, _) = send_as(&mut near, START, 0, &short, &said);
    assert!(matches!(verdict, Outbound::Send { .. }), "{verdict:?}");
    let (verdict, _) = send_as(
        &mut near,
        START,
        0,
        &header(0x4000).packet(&datagram),
        &said,
    );
    assert!(matches!(verdict, Outbound::Answer { .. }), "{verdict:?}");
    let (verdict, _) = send(&mut near, START, &packet);
    assert!(matches!(verdict, Outbound::Split { .. }), "{verdict:?}");
}

/// F-02, R-11. The numbers that a caller gives are those of the first fragment: each outer packet has its own, and
/// GRE's go on from there.
#[test]
fn f_02_fragments_do_not_share_the_numbers_that_the_caller_gives() {
    let tunnel = |from, to| {
        let gre = Gre::new().with_sequence();
        Tunnel::new(from, to, gre).unwrap().with_policy(COPY_DF)
    };
    let said = SAID.with_sequence(7).with_identification(0x0505);
    let packet = inner(4000, false);
    let numbers = |outers: &[Vec<u8>]| -> Vec<(u16, u16)> {
        let numbers = outers
            .iter()
            .map(|outer| (oracle::u16_at(outer, 4), oracle::u16_at(outer, 26)));
        numbers.collect()
    };
    let near = || {
        with(
            tunnel(HERE, THERE),
            FAR,
            PeerPolicy::DEFAULT,
            EndpointConfig::DEFAULT,
        )
    };
    let expected = [(0x0505, 7), (1, 8), (2, 9)];
    let (verdict, outers) = send_as(&mut near(), START, 0, &packet, &said);
    assert!(matches!(verdict, Outbound::Split { .. }), "{verdict:?}");
    assert_eq!(numbers(&outers), expected);

    let mut near = near();
    let verdict = near.outbound(START, &packet, &said);
    let Outbound::Split {
        peer,
        plan,
        per_packet,
        ..
    } = verdict
    else {
        panic!("{verdict:?}")
    };
    let mut fragments = plan.fragments(&packet).unwrap();
    fragments.next();
    let mut given = vec![per_packet];
    given.extend(fragments.map(|it| near.next_fragment(START, peer, &said, &it).unwrap()));
    let given: Vec<_> = given
        .iter()
        .map(|it| (it.identification().unwrap(), it.sequence().unwrap()))
        .collect();
    assert_eq!(given, expected.map(|(id, sequence)| (id, sequence.into())));
}

/// A fragment that no longer fits, because the path has become narrower since, is counted.
#[test]
fn x_10_a_fragment_that_no_longer_fits_is_counted() {
    let (mut near, _) = pair();
    let packet = inner(2900, false);
    let verdict = near.outbound(START, &packet, &SAID);
    let Outbound::Split { peer, plan, .. } = verdict else {
        panic!("{verdict:?}")
    };
    let mut fragments = plan.fragments(&packet).unwrap();
    fragments.next();
    let _ = near.local_mtu(START, peer, 1400);
    let second = fragments.next().unwrap();
    assert_eq!(near.next_fragment(START, peer, &SAID, &second), None);
    let cause = Cause::Encap(EncapError::FragmentationNeeded { mtu: 1380 });
    let expected = (Some(peer), Event::DroppedOutbound(cause), second.len());
    assert_eq!(near.tally().0.last(), Some(&expected));
    // So is one of a peer that is gone.
    let nobody = PeerId::new(7, 0);
    assert_eq!(near.next_fragment(START, nobody, &SAID, &second), None);
    let expected = (None, Event::DroppedOutbound(Cause::NoPeer), second.len());
    assert_eq!(near.tally().0.last(), Some(&expected));
}

/// S-32. What comes out of minimal encapsulation is clamped through every door, by the header that is restored.
#[test]
fn s_32_minimal_encapsulation_is_clamped_through_every_door() {
    fn clamped<T: PeerTunnel>(tunnel: T, outer: &[u8], path_mtu: u16) -> [Vec<u8>; 2] {
        let mut far = one(tunnel, NEAR);
        let id = far.peers().at(0).unwrap();
        let _ = far.local_mtu(START, id, path_mtu);
        let received = delivered(&mut far, START, outer);
        let verdict = far.inbound(START, outer);
        let Inbound::Deliver { opened, clamp, .. } = verdict else {
            panic!("{verdict:?}")
        };
        let mut buffer = outer.to_vec();
        let inner = opened.apply(&mut buffer);
        if let Some(clamp) = clamp {
            clamp.apply(inner);
        }
        [received, inner.to_vec()]
    }
    let minimal = |from, to| MinEnc::new(from, to).unwrap();
    let fou = |from, to| Tunnel::new(from, to, Fou::new(5555)).unwrap();
    for (flags, mss) in [(2, 1460u16), (18, 1460), (2, 1000), (16, 1460)] {
        let packet = syn(mss, flags);
        let outer = sent(&mut one(minimal(HERE, THERE), FAR), START, &packet);
        let is_lowered = flags != 16 && mss > 1348;
        for inner in clamped(minimal(THERE, HERE), &outer, 1400) {
            let expected = if is_lowered { 1400 - 12 - 40 } else { mss };
            assert_eq!(oracle::u16_at(&inner, 42), expected);
            assert_eq!(oracle::checksum(&oracle::covered_by_tcp(&inner, 20)), 0);
            assert_eq!(inner[..20], packet[..20]);
        }
        // Inside of a datagram, too.
        let (here, there) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2));
        let outer = sent(
            &mut one((minimal(here, there), fou(HERE, THERE)), FAR),
            START,
            &packet,
        );
        let far = (minimal(there, here), fou(THERE, HERE));
        for inner in clamped(far, &outer, 1400) {
            let expected = if is_lowered { 1400 - 28 - 12 - 40 } else { mss };
            assert_eq!(oracle::u16_at(&inner, 42), expected);
        }
        let mut far = one(far, NEAR);
        let meta = OuterMeta {
            source: HERE,
            destination: THERE,
            protocol: IpProtocol::UDP,
            source_port: 50_000,
            destination_port: 5555,
            ecn: Ecn::NotEct,
        };
        let id = far.peers().at(0).unwrap();
        let _ = far.local_mtu(START, id, 1400);
        let verdict = far.inbound_payload(START, &meta, &outer[28..]);
        let Inbound::Deliver { clamp, .. } = verdict else {
            panic!("{verdict:?}")
        };
        let expected = is_lowered.then_some(1400 - 28 - 12 - 40);
        assert_eq!(clamp.map(Patch::mss), expected);
    }
}

/// I-20, RFC 792. A quote that does not reach the key is about each tunnel to that address that fits: all learn.
#[test]
fn i_25_a_report_that_tells_no_key_is_for_all_peers_there() {
    let gre = |key| {
        let gre = Gre::new().with_checksum().with_key(key);
        Tunnel::new(HERE, THERE, gre).unwrap()
    };
    let mut hub = many(3, EndpointConfig::DEFAULT);
    let table = hub.peers_mut();
    let peers = [1, 2, 3].map(|key| table.add(gre(key), PeerPolicy::DEFAULT).unwrap());
    for (peer, network) in peers
        .into_iter()
        .zip(["10.2.0.0/16", "10.3.0.0/16", "10.4.0.0/16"])
    {
        table.allow(peer, prefix(network)).unwrap();
    }
    // The third has sent nothing that long.
    let mut outers = [2, 3]
        .map(|network| between([10, 1, 0, 5], [10, network, 0, 9], 1468, true))
        .map(|packet| sent(&mut hub, START, &packet));
    let _ = sent(
        &mut hub,
        START,
        &between([10, 1, 0, 5], [10, 4, 0, 9], 60, true),
    );
    hub.expire(START, |change| panic!("{change:?}"));
    let (verdict, _) = receive(&mut hub, START, &too_big(&outers[1][..28], 1400));
    let inner_mtu = 1400 - 20 - 12;
    let learnt = Inbound::Learnt {
        peer: peers[0],
        inner_mtu,
    };
    assert_eq!(verdict, learnt);
    let mtus = peers.map(|peer| hub.path_mtu(START, peer).unwrap());
    assert_eq!(mtus, [1400, 1400, 1500]);
    // Who got no verdict is told when time passes, once, and soon.
    assert_eq!(hub.next_deadline(), Some(START));
    let mut changes = vec![];
    hub.expire(START, |change| changes.push(change));
    let change = Change::InnerMtu {
        peer: peers[1],
        inner_mtu,
    };
    assert_eq!(changes, [change]);
    hub.expire(START, |change| panic!("{change:?}"));

    // One that tells the key is about that tunnel alone.
    outers[1].truncate(60);
    let (verdict, _) = receive(&mut hub, START, &too_big(&outers[1], 1300));
    assert!(
        matches!(verdict, Inbound::Relay { peer, .. } if peer == peers[1]),
        "{verdict:?}"
    );
    let mtus = peers.map(|peer| hub.path_mtu(START, peer).unwrap());
    assert_eq!(mtus, [1400, 1300, 1500]);
}
