//! Packets that mean ill: each dies, is counted, and costs nobody else anything.

use core::net::Ipv4Addr;

use ipencap::decap::{InnerPolicy, OuterMeta};
use ipencap::encap;
use ipencap::encap::{AnyTunnel, OuterPolicy, Role, Tunnel};
use ipencap::error::{EncapError, Eviction, PathMtuIgnored, Reason, ReassemblyError, Refused};
use ipencap::packet::{PerPacket, Span};
use ipencap::shim::{Fou, Gre, IpIp, Tcp};
use ipencap::time::Instant;
use ipencap::tunnel::{
    Cause, EndpointConfig, Event, Inbound, Outbound, PeerId, PeerPolicy, PeerTunnel, Peers, TwoWay,
};
use ipencap::wire::{Ecn, IpProtocol, LengthPrefix};
use ipencap_kit::oracle::{self, Plain};

use crate::ends::{
    COPY_DF, ELSEWHERE, FAR, HERE, Many, NEAR, ROUTER, START, THERE, at, between, delivered, inner,
    ipip, joining, many, one, pair, prefix, receive, send, sent, told, too_big, with,
};

const fn refused(reason: Reason) -> Event {
    Event::DroppedInbound(Cause::Refused(Refused::new(reason)))
}

/// I-20. A report that does not quote a packet of the tunnel changes nothing.
#[test]
fn i_20_reports_about_packets_of_others_are_ignored() {
    let fou = |from, to, port| Tunnel::new(from, to, Fou::new(port)).unwrap();
    let mut near = one(fou(HERE, THERE, 5555), FAR);
    let packet = inner(1400, true);
    let outer = sent(&mut near, START, &packet);
    let id = near.peers().at(0).unwrap();
    let mtu = near.path_mtu(START, id);
    let mut forged = vec![];
    for (at, byte) in [
        (9, 4),
        (12, 9),
        (15, 2),
        (16, 9),
        (19, 3),
        (22, 1),
        (23, 1),
        (6, 0x41),
    ] {
        let mut quote = outer[..48].to_vec();
        quote[at] = byte;
        oracle::fill_checksum(&mut quote);
        let mut report = too_big(&quote, 600);
        // To us all the same.
        report[16..20].copy_from_slice(&HERE.octets());
        oracle::fill_checksum(&mut report);
        forged.push(report);
    }
    for report in &forged {
        let (verdict, _) = receive(&mut near, START, report);
        let Inbound::Ignored {
            cause: Cause::NotOurs,
            peer: None,
            ..
        } = verdict
        else {
            panic!("{verdict:?}")
        };
        assert_eq!(near.path_mtu(START, id), mtu);
    }
    assert_eq!(
        near.tally().of(Event::Ignored(Cause::NotOurs)),
        forged.len()
    );
}

/// A report about more than was ever sent, about a packet that fits, or without a change, is
/// counted; one below the floor comes to the floor; and a flood of them does no more.
#[test]
fn a_15_forged_mtus_are_bounded() {
    let (mut near, _) = pair();
    let id = near.peers().at(0).unwrap();
    let outer = sent(&mut near, START, &inner(1000, true));
    let ignored = |reason| Event::Ignored(Cause::PathMtu(reason));
    let mut larger = outer[..48].to_vec();
    oracle::put_u16(&mut larger, 2, 1400);
    oracle::fill_checksum(&mut larger);
    let _ = receive(&mut near, START, &too_big(&larger, 700));
    assert_eq!(near.tally().last(), ignored(PathMtuIgnored::NeverSent));
    let _ = receive(&mut near, START, &too_big(&outer[..48], 1020));
    assert_eq!(near.tally().last(), ignored(PathMtuIgnored::PacketFits));
    let _ = receive(&mut near, START, &too_big(&outer[..48], 67));
    assert_eq!(near.tally().last(), ignored(PathMtuIgnored::BelowMinimum));
    assert_eq!(near.path_mtu(START, id), Some(1500));

    let before = near.tally().packets();
    let mut relayed = 0;
    for number in 0..10_000 {
        let (verdict, _) = receive(&mut near, START, &too_big(&outer[..48], 68 + number % 900));
        relayed += usize::from(matches!(verdict, Inbound::Relay { .. }));
        assert!(near.path_mtu(START, id) >= Some(552));
    }
    assert_eq!(near.path_mtu(START, id), Some(552));
    // No more ICMP errors than the rate, and each report counted.
    assert!((1..=20).contains(&relayed), "{relayed}");
    assert_eq!(near.tally().packets(), before + 10_000);
    // Packets that are small enough still pass, and the path recovers.
    sent(&mut near, START, &inner(532, true));
    assert_eq!(near.path_mtu(at(601), id), Some(1500));
}

/// What a router has told the system is no more believed than what it tells us.
#[test]
fn a_15_forged_mtus_from_an_error_queue_are_bounded() {
    let (mut near, _) = pair();
    let id = near.peers().at(0).unwrap();
    let ignored = |reason| Event::Ignored(Cause::PathMtu(reason));
    // Nothing was sent yet.
    let _ = near.reported_mtu(START, id, 600);
    assert_eq!(near.tally().last(), ignored(PathMtuIgnored::PacketFits));
    sent(&mut near, START, &inner(1480, true));
    let _ = near.reported_mtu(START, id, 67);
    assert_eq!(near.tally().last(), ignored(PathMtuIgnored::BelowMinimum));
    let _ = near.reported_mtu(START, id, 1500);
    assert_eq!(near.tally().last(), ignored(PathMtuIgnored::PacketFits));
    assert_eq!(near.path_mtu(START, id), Some(1500));
    // A router that knows no MTU: the plateau below.
    let learnt = near.reported_mtu(START, id, 0);
    let inner_mtu = 1492 - 20;
    assert_eq!(
        learnt,
        Inbound::Learnt {
            peer: id,
            inner_mtu
        }
    );
    let _ = near.reported_mtu(START, id, 68);
    assert_eq!(near.tally().last(), Event::Learnt);
    assert_eq!(near.path_mtu(START, id), Some(552));
    assert_eq!(near.path_mtu(at(601), id), Some(1500));
}

/// With a configured MTU no report changes anything.
#[test]
fn a_19_a_configured_mtu_stays() {
    let policy = PeerPolicy {
        mtu: ipencap::tunnel::MtuPolicy::Static(1400),
        ..PeerPolicy::DEFAULT
    };
    let mut near = with(ipip(HERE, THERE), FAR, policy, EndpointConfig::DEFAULT);
    let id = near.peers().at(0).unwrap();
    assert_eq!(told(&mut near, START, &inner(1400, true)), Some(1380));
    let outer = sent(&mut near, START, &inner(1380, true));
    let _ = receive(&mut near, START, &too_big(&outer[..48], 600));
    let cause = Cause::PathMtu(PathMtuIgnored::Static);
    assert_eq!(near.tally().last(), Event::Ignored(cause));
    assert_eq!(near.inner_mtu(START, id), Some(1380));
}

/// An endpoint that joins fragments, with two peers that may send them.
fn hub() -> Many<Tunnel<IpIp>> {
    let mut hub = many(2, EndpointConfig::DEFAULT);
    for (peer, net) in [(THERE, FAR), (ELSEWHERE, "10.3.0.0/16")] {
        let id = hub.peers_mut().add(ipip(HERE, peer), PeerPolicy::DEFAULT);
        hub.peers_mut().allow(id.unwrap(), prefix(net)).unwrap();
    }
    joining(hub, 4, 1600)
}

fn fragments_from(peer: Ipv4Addr, source: [u8; 4], number: u16) -> (Vec<u8>, Vec<Vec<u8>>) {
    let packet = between(source, [10, 1, 0, 5], 1200, false);
    let header = Plain {
        source: peer.octets(),
        destination: HERE.octets(),
        flags_offset: 0,
        identification: number,
        ..Plain::of(4)
    };
    let fragments = oracle::fragments(&header.packet(&packet), 700).unwrap();
    (packet, fragments)
}

/// Overlapping, tiny and endless fragments are dropped and counted; those of strangers
/// take no slot.
#[test]
fn x_22_x_33_bad_fragments_are_counted() {
    let mut hub = hub();
    let (_, fragments) = fragments_from(THERE, [10, 2, 0, 9], 1);
    let _ = receive(&mut hub, START, &fragments[0]);
    let mut overlapping = fragments[1].clone();
    overlapping[7] -= 1;
    oracle::fill_checksum(&mut overlapping);
    let _ = receive(&mut hub, START, &overlapping);
    let dropped = |error| Event::DroppedInbound(Cause::Reassembly(error));
    assert_eq!(
        hub.tally().last(),
        dropped(ReassemblyError::OverlappingFragment)
    );
    // The datagram is lost, also if the right one comes.
    let _ = receive(&mut hub, START, &fragments[1]);
    assert_eq!(hub.tally().last(), dropped(ReassemblyError::Discarded));

    let ping_of_death = Plain {
        source: THERE.octets(),
        destination: HERE.octets(),
        flags_offset: 0x1fff,
        ..Plain::of(4)
    };
    let _ = receive(&mut hub, START, &ping_of_death.packet(&[0; 16]));
    assert_eq!(
        hub.tally().last(),
        dropped(ReassemblyError::ReassembledTooLong)
    );

    let (_, stranger) = fragments_from(Ipv4Addr::new(192, 0, 2, 66), [10, 2, 0, 9], 1);
    let deadline = hub.next_deadline();
    for _ in 0..1000 {
        let _ = receive(&mut hub, START, &stranger[0]);
        assert_eq!(hub.tally().last(), refused(Reason::UnknownPeer));
    }
    assert_eq!(hub.next_deadline(), deadline);
    // Those that are for others not either.
    let mut astray = fragments[0].clone();
    astray[19] = 77;
    oracle::fill_checksum(&mut astray);
    let _ = receive(&mut hub, START, &astray);
    assert_eq!(hub.tally().last(), refused(Reason::OuterDstNotLocal));
}

/// Ten thousand lone fragments of one peer cost the other none of its datagrams, although each of
/// the latter waits for a fragment in between.
#[test]
fn x_31_a_flood_of_lone_fragments_evicts_itself() {
    let mut hub = hub();
    for number in 0..10_000 {
        let (packet, fragments) = fragments_from(ELSEWHERE, [10, 3, 0, 9], number);
        let (_, lone) = fragments_from(THERE, [10, 2, 0, 9], number);
        let _ = receive(&mut hub, START, &fragments[1]);
        let _ = receive(&mut hub, START, &lone[0]);
        let (verdict, arrived) = receive(&mut hub, START, &fragments[0]);
        assert_eq!(arrived, Some(packet), "{number}: {verdict:?}");
    }
    let tally = hub.tally();
    let given_up = tally.of(Event::GivenUp(Eviction::SlotNeeded))
        + tally.of(Event::GivenUp(Eviction::PeerLimit));
    assert_eq!(tally.packets(), 30_000);
    assert_eq!(tally.of(Event::Delivered), 10_000);
    // All but those in the slots.
    assert!((9_996..10_000).contains(&given_up), "{given_up}");
}

/// Fragments of two peers are never joined, whatever their identifications; nor are those of a datagram
/// delivered that its receiver refuses.
#[test]
fn x_20_fragments_of_two_peers_do_not_meet() {
    let mut hub = hub();
    let (_, mine) = fragments_from(THERE, [10, 2, 0, 9], 1);
    let (_, others) = fragments_from(ELSEWHERE, [10, 2, 0, 9], 1);
    let _ = receive(&mut hub, START, &mine[0]);
    let _ = receive(&mut hub, START, &others[1]);
    assert_eq!(hub.tally().of(Event::Held), 2);
    let _ = receive(&mut hub, START, &others[0]);
    assert_eq!(hub.tally().last(), refused(Reason::InnerSourceNotAllowed));
}

/// D-16, D-19. An inner packet to a tunnel endpoint, the sender's or another's, does not go out again.
#[test]
fn d_16_d_19_ping_pong_dies_at_once() {
    let mut hub = hub();
    for (destination, reason) in [(THERE, Reason::LoopToPeer), (ELSEWHERE, Reason::LoopToPeer)] {
        let mut far = one(ipip(THERE, HERE), "0.0.0.0/0");
        let packet = between([10, 2, 0, 9], destination.octets(), 60, true);
        let outer = sent(&mut far, START, &packet);
        let _ = receive(&mut hub, START, &outer);
        assert_eq!(hub.tally().last(), refused(reason));
    }
    // Inner addresses as the outer ones.
    let header = Plain {
        source: THERE.octets(),
        destination: HERE.octets(),
        ..Plain::of(4)
    };
    let outer = header.packet(&between(THERE.octets(), HERE.octets(), 60, true));
    let _ = receive(&mut hub, START, &outer);
    assert_eq!(hub.tally().last(), refused(Reason::InnerEqualsOuter));
}

/// D-17, T-09. Two ends whose routes point at each other: the packet dies on its way back, whether or not
/// the ends decrement the TTL.
#[test]
fn d_17_t_09_two_ends_that_bounce_a_packet_lose_it() {
    for role in [Role::Originate, Role::Forward] {
        let policy = OuterPolicy {
            role,
            ..OuterPolicy::DEFAULT
        };
        // Each has a default route to the other.
        let mut near = one(ipip(HERE, THERE).with_policy(policy), "10.8.0.0/14");
        let mut far = one(ipip(THERE, HERE).with_policy(policy), "10.0.0.0/8");
        let mut packet = between([10, 1, 0, 5], [10, 9, 0, 1], 60, true);
        let mut hops = 0;
        loop {
            let (verdict, outers) = send(&mut near, START, &packet);
            let Some(outer) = outers.first() else {
                assert!(matches!(verdict, Outbound::Answer { .. }), "{verdict:?}");
                break;
            };
            let Some(arrived) = receive(&mut far, START, outer).1 else {
                break;
            };
            let (_, outers) = send(&mut far, START, &arrived);
            let Some(outer) = outers.first() else { break };
            // Back at the near end, where that source is not the far end's.
            let (verdict, returned) = receive(&mut near, START, outer);
            hops += 2;
            let Some(returned) = returned else {
                assert!(matches!(verdict, Inbound::Drop { .. }), "{verdict:?}");
                break;
            };
            packet = returned;
        }
        assert_eq!(hops, 2, "{role:?}");
    }
}

/// L-04. An outer packet that its route leads into its own tunnel.
#[test]
fn l_04_a_tunnel_does_not_swallow_its_own_packets() {
    let mut near = one(ipip(HERE, THERE), "0.0.0.0/0");
    let outer = sent(&mut near, START, &inner(60, true));
    let (verdict, outers) = send(&mut near, START, &outer);
    assert!(
        matches!(
            verdict,
            Outbound::Drop {
                cause: Cause::RoutingLoop,
                ..
            }
        ),
        "{verdict:?}"
    );
    assert!(outers.is_empty());

    // A stack: its outermost packets come back.
    let fou = Tunnel::new(HERE, THERE, Fou::new(5555)).unwrap();
    let (here, there) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2));
    let mut near = one((ipip(here, there), fou), "0.0.0.0/0");
    let outer = sent(&mut near, START, &inner(60, true));
    let (verdict, _) = send(&mut near, START, &outer);
    assert!(
        matches!(
            verdict,
            Outbound::Drop {
                cause: Cause::RoutingLoop,
                ..
            }
        ),
        "{verdict:?}"
    );
}

/// L-04. A packet between the ends of a tunnel is the tunnel's own only if it goes to the tunnel's port.
#[test]
fn l_04_what_goes_to_another_port_is_not_the_tunnels_own() {
    fn dropped<T: PeerTunnel>(tunnel: T, packet: &[u8]) -> bool {
        let mut near = one(tunnel, "0.0.0.0/0");
        let (verdict, _) = send(&mut near, START, packet);
        match verdict {
            Outbound::Send { .. } => false,
            Outbound::Drop {
                cause: Cause::RoutingLoop,
                ..
            } => true,
            _ => panic!("{verdict:?}"),
        }
    }
    let packet = |protocol, flags_offset, port: u16| {
        let [high, low] = port.to_be_bytes();
        let header = Plain {
            source: HERE.octets(),
            destination: THERE.octets(),
            flags_offset,
            ..Plain::of(protocol)
        };
        header.packet(&[
            0x0f, 0xa0, high, low, 0, 24, 0, 0, 0, 0, 0, 0, 0x50, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ])
    };
    let fou = |port| Tunnel::new(HERE, THERE, Fou::new(port)).unwrap();
    let tcp = Tunnel::new(HERE, THERE, Tcp::new(40_001, 443)).unwrap();
    let inside = ipip(Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2));
    for (port, is_own) in [(53, false), (5555, true)] {
        let packet = packet(17, 0, port);
        assert_eq!(dropped(fou(5555), &packet), is_own);
        let by_reference = &fou(5555);
        assert_eq!(dropped(by_reference, &packet), is_own);
        assert_eq!(dropped((inside, fou(5555)), &packet), is_own);
        assert_eq!(dropped(AnyTunnel::from(fou(5555)), &packet), is_own);
        let layers = [inside.into(), AnyTunnel::from(fou(5555))];
        assert_eq!(dropped(layers, &packet), is_own);
        // As it sends, not as it receives.
        let both_ways = TwoWay::new(fou(5555), Fou::new(53));
        assert_eq!(dropped(both_ways, &packet), is_own);
        assert_eq!(dropped((inside, both_ways), &packet), is_own);
        let both_ways = TwoWay::new(fou(5555), IpIp);
        assert_eq!(dropped(both_ways, &packet), is_own);
        // What is inside tells no port.
        assert!(!dropped(ipip(HERE, THERE), &packet));
    }
    assert!(!dropped(tcp, &packet(6, 0, 22)));
    assert!(dropped(tcp, &packet(6, 0, 443)));
    assert!(!dropped(tcp, &packet(17, 0, 443)));
    assert!(!dropped(TwoWay::new(fou(5555), IpIp), &packet(4, 0, 5555)));
    // A fragment shows no port. It may be the tunnel's own: to wrap it again could go on for ever.
    for flags_offset in [0x2000, 0x0009] {
        assert!(dropped(fou(5555), &packet(17, flags_offset, 53)));
    }
    // Of GRE the key tells nothing to a router.
    let gre = Tunnel::new(HERE, THERE, Gre::new().with_key(7)).unwrap();
    assert!(dropped(gre, &packet(47, 0, 53)));
    // Of addresses of its own it is not.
    let other = between(HERE.octets(), ELSEWHERE.octets(), 60, true);
    assert!(!dropped(fou(5555), &other));
}

/// D-20, L-01. A stack is not opened once more inside of itself.
#[test]
fn d_20_a_stack_inside_of_itself_is_not_delivered() {
    let (inside, exit) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2));
    let fou = |from, to| Tunnel::new(from, to, Fou::new(5555)).unwrap();
    let far = (ipip(exit, inside), fou(THERE, HERE));
    let wrapped = |packet: &[u8]| {
        let mut buffer = [&[0; 60], packet].concat();
        let span = Span::new(60, packet.len());
        encap(&far, &mut buffer, span, &PerPacket::new())
            .unwrap()
            .to_vec()
    };
    let packet = between([10, 2, 0, 9], [10, 1, 0, 5], 60, true);
    let once = wrapped(&packet);
    let mut near = one((ipip(inside, exit), fou(HERE, THERE)), "0.0.0.0/0");
    assert_eq!(delivered(&mut near, START, &once), packet);
    let (verdict, inner) = receive(&mut near, START, &wrapped(&once));
    assert!(inner.is_none(), "{verdict:?}");
    let Event::DroppedInbound(Cause::Refused(refused)) = near.tally().last() else {
        panic!("{verdict:?}")
    };
    assert_eq!(refused.reason, Reason::NestingLimit);
    // To another port there is nothing to be opened.
    let mut other = once;
    oracle::put_u16(&mut other, 22, 53);
    oracle::put_u16(&mut other, 26, 0);
    assert_eq!(delivered(&mut near, START, &wrapped(&other)), other);
}

/// D-15, D-19, D-20. The addresses of every layer of a stack are ours or the peer's.
#[test]
fn d_15_a_stack_knows_the_addresses_of_all_its_layers() {
    let here = |layer| Ipv4Addr::new(198, 51, layer, 1);
    let there = |layer| Ipv4Addr::new(203, 0, layer, 2);
    let between = |source: Ipv4Addr, destination: Ipv4Addr, protocol| Plain {
        source: source.octets(),
        destination: destination.octets(),
        ..Plain::of(protocol)
    };
    // By hand: no encapsulator writes the packets inside.
    let from = |layer| between(there(layer), here(layer), 4);
    let mut endpoint = one([0, 1, 2].map(|at| ipip(here(at), there(at))), "0.0.0.0/0");
    let mut verdict = |source, destination, protocol| {
        let packet = between(source, destination, protocol).packet(&[0; 20]);
        let outer = from(2).packet(&from(1).packet(&from(0).packet(&packet)));
        let (_, inner) = receive(&mut endpoint, START, &outer);
        assert!(inner.is_none_or(|inner| inner == packet));
        reason_of(endpoint.tally().last())
    };
    let (inside, outside) = (Ipv4Addr::new(10, 1, 0, 5), Ipv4Addr::new(10, 2, 0, 9));
    assert_eq!(verdict(outside, inside, 17), None);
    for layer in 0..3 {
        let reason = verdict(here(layer), inside, 17);
        assert_eq!(reason, Some(Reason::InnerSourceIsLocal), "{layer}");
        let reason = verdict(outside, there(layer), 17);
        assert_eq!(reason, Some(Reason::LoopToPeer), "{layer}");
        let reason = verdict(outside, here(layer), 4);
        assert_eq!(reason, Some(Reason::NestingLimit), "{layer}");
    }

    // A port of a layer inside is one that would be opened, too.
    let fou = |from, to| Tunnel::new(from, to, Fou::new(5555)).unwrap();
    let mut endpoint = one(
        (fou(here(0), there(0)), ipip(here(1), there(1))),
        "0.0.0.0/0",
    );
    let datagram = |from, to, port: u16, payload: &[u8]| {
        let len = u16::try_from(8 + payload.len()).unwrap();
        let [[port_high, port_low], [high, low]] = [port.to_be_bytes(), len.to_be_bytes()];
        let header = [0x0f, 0xa0, port_high, port_low, high, low, 0, 0];
        between(from, to, 17).packet(&[&header, payload].concat())
    };
    for (port, is_opened_again) in [(5555, true), (5556, false)] {
        let packet = datagram(outside, here(0), port, &[]);
        let outer = from(1).packet(&datagram(there(0), here(0), 5555, &packet));
        let (_, inner) = receive(&mut endpoint, START, &outer);
        let reason = is_opened_again.then_some(Reason::NestingLimit);
        assert_eq!(reason_of(endpoint.tally().last()), reason);
        assert_eq!(inner, (!is_opened_again).then_some(packet));
    }
}

/// Why a packet was refused, in whatever layer.
const fn reason_of(event: Event) -> Option<Reason> {
    match event {
        Event::DroppedInbound(Cause::Refused(refused)) => Some(refused.reason),
        _ => None,
    }
}

/// D-20. Nor does one peer send what another's tunnel at another own address would open.
#[test]
fn d_20_a_packet_for_the_tunnel_at_another_own_address_is_not_delivered() {
    let second_here = Ipv4Addr::new(198, 51, 100, 2);
    let mut hub = many(2, EndpointConfig::DEFAULT);
    let table = hub.peers_mut();
    let fou = AnyTunnel::from(Tunnel::new(HERE, THERE, Fou::new(5555)).unwrap());
    table.add(fou, PeerPolicy::DEFAULT).unwrap();
    let plain = AnyTunnel::from(ipip(second_here, ELSEWHERE));
    let plain = table.add(plain, PeerPolicy::DEFAULT).unwrap();
    table.allow(plain, prefix("0.0.0.0/0")).unwrap();

    for (destination, port, is_opened_again) in [
        (HERE, 5555u16, true),
        (HERE, 5556, false),
        (second_here, 5555, false),
    ] {
        let [high, low] = port.to_be_bytes();
        let header = Plain {
            source: THERE.octets(),
            destination: destination.octets(),
            ..Plain::of(17)
        };
        let packet = header.packet(&[0x0f, 0xa0, high, low, 0, 8, 0, 0]);
        let outer = Plain {
            source: ELSEWHERE.octets(),
            destination: second_here.octets(),
            ..Plain::of(4)
        };
        let (verdict, inner) = receive(&mut hub, START, &outer.packet(&packet));
        if is_opened_again {
            assert_eq!(hub.tally().last(), refused(Reason::NestingLimit));
        } else {
            assert_eq!(inner.as_ref(), Some(&packet), "{verdict:?}");
        }
    }
}

/// L-03, L-07. Two tunnels that lead into each other: the packet grows until it fits no more, and dies.
#[test]
fn l_03_two_tunnels_that_lead_into_each_other_end() {
    let mut first = one(ipip(HERE, THERE), "0.0.0.0/0");
    let mut second = one(ipip(HERE, ELSEWHERE), "0.0.0.0/0");
    let mut packet = inner(60, true);
    let mut layers = 0;
    let answer = loop {
        let (verdict, outers) = send(&mut first, START, &packet);
        let Some(outer) = outers.first() else {
            break verdict;
        };
        let (verdict, outers) = send(&mut second, START, outer);
        let Some(outer) = outers.first() else {
            break verdict;
        };
        packet = outer.clone();
        layers += 2;
    };
    assert!(matches!(answer, Outbound::Answer { .. }), "{answer:?}");
    assert_eq!(layers, (1500 - 60) / 20);
}

/// D-05 to D-07, I-06. Spoofed outer and inner sources are dropped in silence, by reason.
#[test]
fn i_06_spoofed_packets_are_dropped_in_silence() {
    let packet = inner(60, true);
    let outer = |source: [u8; 4], packet: &[u8]| {
        let header = Plain {
            source,
            destination: THERE.octets(),
            ..Plain::of(4)
        };
        header.packet(packet)
    };
    let from = |source| between(source, [10, 2, 0, 9], 60, true);
    let here = HERE.octets();
    for (arriving, reason) in [
        (outer([192, 0, 2, 66], &packet), Reason::UnknownPeer),
        (outer([127, 0, 0, 1], &packet), Reason::OuterMartianSource),
        (outer(THERE.octets(), &packet), Reason::OuterMartianSource),
        (
            outer(here, &from([10, 2, 0, 1])),
            Reason::InnerSourceNotAllowed,
        ),
        (
            outer(here, &from([127, 0, 0, 1])),
            Reason::InnerMartianSource,
        ),
        (
            outer(here, &from(THERE.octets())),
            Reason::InnerSourceIsLocal,
        ),
        (
            outer(here, &from([8, 8, 8, 8])),
            Reason::InnerSourceNotAllowed,
        ),
    ] {
        let (_, mut far) = pair();
        let (verdict, inner) = receive(&mut far, START, &arriving);
        assert!(matches!(verdict, Inbound::Drop { .. }) && inner.is_none());
        let Event::DroppedInbound(Cause::Refused(refused)) = far.tally().last() else {
            panic!("{verdict:?}")
        };
        assert_eq!(refused.reason, reason);
    }
}

/// I-07, I-32. Whoever asks for many ICMP errors gets as many as the rate of his peer; others are unaffected, and
/// there are never more answers than packets.
#[test]
fn i_07_a_storm_is_answered_at_the_rate_of_its_peer() {
    let config = EndpointConfig {
        icmp_source: Some(Ipv4Addr::new(10, 1, 0, 1)),
        ..EndpointConfig::DEFAULT
    };
    let mut hub = many(2, config);
    for (peer, net) in [(THERE, FAR), (ELSEWHERE, "10.3.0.0/16")] {
        let id = hub.peers_mut().add(ipip(HERE, peer), PeerPolicy::DEFAULT);
        hub.peers_mut().allow(id.unwrap(), prefix(net)).unwrap();
    }
    let answers = |hub: &mut Many<_>, now, destination, count| {
        let packet = between([10, 1, 0, 5], destination, 1500, true);
        let storm = (0..count).filter(|_| {
            let (verdict, outers) = send(hub, now, &packet);
            assert!(outers.is_empty());
            matches!(verdict, Outbound::Answer { .. })
        });
        storm.count()
    };
    let first = answers(&mut hub, START, [10, 2, 0, 9], 10_000);
    assert!((10..=20).contains(&first), "{first}");
    assert_eq!(
        hub.tally().of(Event::DroppedOutbound(Cause::RateLimited)),
        10_000 - first
    );
    assert_eq!(answers(&mut hub, START, [10, 3, 0, 9], 1), 1);
    // Nor is who has no peer.
    let nobody = answers(&mut hub, START, [10, 4, 0, 9], 10_000);
    assert!((10..=20).contains(&nobody), "{nobody}");
    assert_eq!(answers(&mut hub, START, [10, 3, 0, 9], 1), 1);
    // A second later there are some more, at most ten.
    let later = answers(&mut hub, at(1), [10, 2, 0, 9], 1000);
    assert!((1..=10).contains(&later), "{later}");
    // A year later no more than at once.
    let much_later = answers(&mut hub, at(31_536_000), [10, 2, 0, 9], 1000);
    assert!((10..=20).contains(&much_later), "{much_later}");
}

/// D-19. Packets to the peer itself loop, unless its policy says that they are meant.
#[test]
fn d_19_the_policy_of_a_peer_lets_packets_to_it_in() {
    for allows_destination_peer in [false, true] {
        let policy = PeerPolicy {
            inner: InnerPolicy {
                allows_destination_peer,
                ..InnerPolicy::DEFAULT
            },
            ..PeerPolicy::DEFAULT
        };
        let mut near = with(ipip(HERE, THERE), FAR, policy, EndpointConfig::DEFAULT);
        let outer = Plain {
            source: THERE.octets(),
            destination: HERE.octets(),
            ..Plain::of(4)
        };
        let outer = outer.packet(&between([10, 2, 0, 9], THERE.octets(), 60, true));
        let _ = receive(&mut near, START, &outer);
        let expected = if allows_destination_peer {
            Event::Delivered
        } else {
            refused(Reason::LoopToPeer)
        };
        assert_eq!(near.tally().last(), expected);
    }
}

/// I-07. Forged ICMP errors, which are relayed, leave answers to our own sources.
#[test]
fn i_07_relays_leave_what_answers_need() {
    let (mut near, _) = pair();
    let outer = sent(&mut near, START, &inner(1000, true));
    let report = oracle::icmp_error((3, 1, 0), &outer[..48], ROUTER, None);
    for _ in 0..1000 {
        let _ = receive(&mut near, START, &report);
    }
    let relayed = near.tally().of(Event::Relayed);
    assert!((3..=10).contains(&relayed), "{relayed}");
    assert_eq!(told(&mut near, START, &inner(1500, true)), Some(1480));
}

/// I-07, I-31, I-32. Forged ICMP errors that quote too little to be relayed are told to the sources of later packets. They
/// leave answers, too.
#[test]
fn i_07_notices_leave_what_answers_need() {
    let (mut near, _) = pair();
    let packet = inner(1000, true);
    let outer = sent(&mut near, START, &packet);
    let report = oracle::icmp_error((3, 1, 0), &outer[..28], ROUTER, None);
    let (mut noticed, mut answered) = (0, 0);
    for hundredth in 0..6000 {
        let now = Instant::from_millis(hundredth * 10);
        let _ = receive(&mut near, now, &report);
        let (verdict, _) = send(&mut near, now, &packet);
        noticed += usize::from(matches!(
            verdict,
            Outbound::Send {
                notice: Some(_),
                ..
            }
        ));
        if hundredth % 100 == 0 && told(&mut near, now, &inner(1500, true)) == Some(1480) {
            answered += 1;
        }
    }
    assert_eq!(answered, 60);
    assert!(noticed >= 60, "{noticed}");
}

/// I-20. An ICMP error about a packet that does not go to the quoted peer is none about ours, and our sources hear
/// nothing of it.
#[test]
fn i_20_reports_about_flows_to_others_are_ignored() {
    for (destination, is_ours) in [([10, 2, 0, 9], true), ([198, 18, 5, 5], false)] {
        let (mut near, _) = pair();
        let forged = Plain {
            source: HERE.octets(),
            destination: THERE.octets(),
            ..Plain::of(4)
        };
        let forged = forged.packet(&between([10, 1, 0, 5], destination, 40, true));
        let report = oracle::icmp_error((3, 1, 0), &forged, ROUTER, None);
        let expected = if is_ours {
            Event::Relayed
        } else {
            Event::Ignored(Cause::NotOurs)
        };
        let _ = receive(&mut near, START, &report);
        assert_eq!(near.tally().last(), expected);
    }
}

/// D-04. A packet of another kind from a peer is that peer's, and no stranger's.
#[test]
fn d_04_another_kind_from_a_peer_is_counted_for_it() {
    let fou = Tunnel::new(HERE, THERE, Fou::new(5555)).unwrap();
    let mut near = one(fou, FAR);
    let peer = near.peers().at(0);
    let (_, mut far) = pair();
    let packet = between([10, 2, 0, 9], [10, 1, 0, 5], 60, true);
    let (verdict, _) = receive(&mut near, START, &sent(&mut far, START, &packet));
    let Inbound::Drop { peer: whose, .. } = verdict else {
        panic!("{verdict:?}")
    };
    assert_eq!(whose, peer);
    assert_eq!(near.tally().last(), refused(Reason::NotTunnel));
}

/// D-04, D-07, A-25. What comes by UDP is no frame of a TCP peer, nor the other way round, at one port and address.
#[test]
fn d_04_a_datagram_does_not_enter_by_a_connection() {
    let mut hub = many(2, EndpointConfig::DEFAULT);
    let fou: AnyTunnel = Tunnel::new(HERE, THERE, Fou::new(7000)).unwrap().into();
    let framed = Tcp::new(7000, 7000).with_framing(LengthPrefix::Exclusive);
    let tcp: AnyTunnel = Tunnel::new(HERE, THERE, framed).unwrap().into();
    let udp_peer = hub.peers_mut().add(fou, PeerPolicy::DEFAULT).unwrap();
    let tcp_peer = hub.peers_mut().add(tcp, PeerPolicy::DEFAULT).unwrap();
    for (peer, net) in [(udp_peer, "10.3.0.0/16"), (tcp_peer, FAR)] {
        hub.peers_mut().allow(peer, prefix(net)).unwrap();
    }
    let packet = between([10, 2, 0, 9], [10, 1, 0, 5], 60, true);
    let frame = [&[0, 60][..], &packet].concat();
    let meta = |protocol| OuterMeta {
        source: THERE,
        destination: HERE,
        protocol,
        source_port: 40_000,
        destination_port: 7000,
        ecn: Ecn::NotEct,
    };
    let judge = |hub: &mut Many<_>, protocol, bytes: &[u8]| {
        let verdict = hub.receive_payload(START, &meta(protocol), &mut bytes.to_vec());
        match verdict {
            Inbound::Deliver { peer, .. } => Ok(peer),
            Inbound::Drop { peer, cause } => Err((peer, cause)),
            other => panic!("{other:?}"),
        }
    };
    let not_allowed = Cause::Refused(Refused::new(Reason::InnerSourceNotAllowed));
    let stranger = Cause::Refused(Refused::new(Reason::UnknownPeer));
    assert_eq!(judge(&mut hub, IpProtocol::TCP, &frame), Ok(tcp_peer));
    assert_eq!(
        judge(&mut hub, IpProtocol::UDP, &packet),
        Err((Some(udp_peer), not_allowed))
    );
    assert!(hub.peers_mut().remove(udp_peer));
    for bytes in [&packet, &frame] {
        assert_eq!(
            judge(&mut hub, IpProtocol::UDP, bytes),
            Err((None, stranger))
        );
    }
}

/// The buckets of two peers spend differently, wherever they lie.
#[test]
fn i_07_no_two_peers_have_the_same_jitter() {
    let config = EndpointConfig {
        icmp_rate: ipencap::icmp::BucketConfig {
            per_second: 0,
            burst: 40,
            key: 0x1234_5678_9abc_def1,
        },
        ..EndpointConfig::DEFAULT
    };
    let mut hub = many(200, config);
    for number in 0..200 {
        let peer = Ipv4Addr::new(203, 0, 113, number);
        let id = hub
            .peers_mut()
            .add(ipip(HERE, peer), PeerPolicy::DEFAULT)
            .unwrap();
        hub.peers_mut()
            .allow(id, prefix(&format!("10.2.{number}.0/24")))
            .unwrap();
    }
    // How many answers each gives in all: the sum of their costs is 40.
    let counts: Vec<usize> = (0..200u8)
        .map(|number| {
            let packet = between([10, 1, 0, 5], [10, 2, number, 9], 1500, true);
            let answered = (0..41).filter(|_| {
                let (verdict, _) = send(&mut hub, START, &packet);
                matches!(verdict, Outbound::Answer { .. })
            });
            answered.count()
        })
        .collect();
    let same = (0..136)
        .filter(|place| counts[*place] == counts[place + 64])
        .count();
    assert!(
        same < 100,
        "{same} of 136 peers spend as the one 64 places on: {counts:?}"
    );
}

/// I-01, I-08. No ICMP error about an ICMP error, and none about a report that was relayed.
#[test]
fn i_01_i_08_errors_breed_no_errors() {
    let (mut near, _) = pair();
    let error = oracle::icmp_error((3, 1, 0), &inner(1400, true), [10, 1, 0, 5], None);
    let mut error = error[..].to_vec();
    error[16..20].copy_from_slice(&[10, 2, 0, 9]);
    error.resize(1600, 0);
    oracle::put_u16(&mut error, 2, 1600);
    oracle::fill_checksum(&mut error);
    let (verdict, _) = send(&mut near, START, &error);
    assert!(
        matches!(
            verdict,
            Outbound::Drop {
                cause: Cause::Silent(_),
                ..
            }
        ),
        "{verdict:?}"
    );

    // A report about an outer packet with an ICMP error inside.
    let mut small = oracle::icmp_error((3, 1, 0), &inner(60, true), [10, 1, 0, 5], None);
    small[16..20].copy_from_slice(&[10, 2, 0, 9]);
    oracle::fill_checksum(&mut small);
    let outer = sent(&mut near, START, &small);
    let report = oracle::icmp_error((3, 1, 0), &outer, ROUTER, None);
    let (verdict, _) = receive(&mut near, START, &report);
    assert!(
        matches!(
            verdict,
            Inbound::Ignored {
                cause: Cause::Silent(_),
                ..
            }
        ),
        "{verdict:?}"
    );
}

/// Nor does a handle that nobody gave reach an only peer.
#[test]
fn other_handles_do_not_reach_an_only_peer() {
    let mut near = one(ipip(HERE, THERE), FAR);
    let own = near.peers().at(0).unwrap();
    for other in [PeerId::new(0, 1), PeerId::new(1, 0)] {
        assert_eq!(near.inner_mtu(START, other), None);
        assert_eq!(near.path_mtu(START, other), None);
        let told = [
            near.local_mtu(START, other, 600),
            near.reported_mtu(START, other, 600),
            near.unreachable(START, other),
        ];
        for verdict in told {
            let cause = Cause::NoPeer;
            assert_eq!(verdict, Inbound::Ignored { peer: None, cause });
        }
    }
    assert_eq!(near.inner_mtu(START, own), Some(1480));
    let (verdict, _) = send(&mut near, START, &inner(1480, true));
    assert!(
        matches!(verdict, Outbound::Send { notice: None, .. }),
        "{verdict:?}"
    );
}

/// The handle of a peer that was removed reaches nobody, not even the one that took its place.
#[test]
fn handles_of_removed_peers_reach_nobody() {
    let mut hub = many(1, EndpointConfig::DEFAULT);
    let table = hub.peers_mut();
    let old = table.add(ipip(HERE, THERE), PeerPolicy::DEFAULT).unwrap();
    table.allow(old, prefix(FAR)).unwrap();
    let outer = sent(&mut hub, START, &inner(1480, true));
    let _ = receive(&mut hub, START, &too_big(&outer[..28], 1000));
    assert_eq!(hub.inner_mtu(START, old), Some(980));
    assert!(hub.peers_mut().remove(old));
    let new = hub
        .peers_mut()
        .add(ipip(HERE, ELSEWHERE), PeerPolicy::DEFAULT)
        .unwrap();
    assert_eq!(old.place(), new.place());
    hub.peers_mut().allow(new, prefix(FAR)).unwrap();

    assert_eq!(hub.inner_mtu(START, old), None);
    assert_eq!(hub.path_mtu(START, old), None);
    assert!(!hub.is_silent(old));
    let verdict = hub.local_mtu(START, old, 600);
    assert!(
        matches!(
            verdict,
            Inbound::Ignored {
                cause: Cause::NoPeer,
                ..
            }
        ),
        "{verdict:?}"
    );
    let _ = hub.unreachable(START, old);
    // The new one knows nothing of the old one's path, and of what was said of it.
    assert_eq!(hub.inner_mtu(START, new), Some(1480));
    let (verdict, _) = send(&mut hub, START, &inner(1480, true));
    assert!(matches!(verdict, Outbound::Send { peer, notice: None, .. } if peer == new));
    // A report about the old one's packet is nobody's.
    let _ = receive(&mut hub, START, &too_big(&outer[..28], 900));
    assert_eq!(hub.tally().last(), Event::Ignored(Cause::NotOurs));
    // Nor does it send any more.
    let mut gone = one(ipip(THERE, HERE), NEAR);
    let outer = sent(
        &mut gone,
        START,
        &between([10, 2, 0, 9], [10, 1, 0, 5], 60, true),
    );
    let _ = receive(&mut hub, START, &outer);
    assert_eq!(hub.tally().last(), refused(Reason::UnknownPeer));
}

/// E-17. A packet that claims to come from the far end is not sent there.
#[test]
fn e_17_a_packet_from_the_exit_is_not_sent_there() {
    let (mut near, _) = pair();
    let (verdict, _) = send(
        &mut near,
        START,
        &between(THERE.octets(), [10, 2, 0, 9], 60, true),
    );
    let Outbound::Drop {
        cause: Cause::Encap(EncapError::LoopToExit { .. }),
        ..
    } = verdict
    else {
        panic!("{verdict:?}")
    };
}

/// A peer for which there is no memory counts as none, in both directions.
#[test]
fn a_peer_without_a_path_is_none() {
    use ipencap::tunnel::{Endpoint, OnePeer};
    let behind = [prefix(FAR)];
    let mut near = Endpoint::new(
        OnePeer::new(ipip(HERE, THERE), &behind),
        &mut [],
        EndpointConfig::DEFAULT,
    );
    let packet = inner(60, true);
    let verdict = near.outbound(START, &packet, &crate::ends::SAID);
    assert!(
        matches!(
            verdict,
            Outbound::Drop {
                cause: Cause::NoPeer,
                ..
            }
        ),
        "{verdict:?}"
    );
    let mut far = one(ipip(THERE, HERE), NEAR);
    let outer = sent(
        &mut far,
        START,
        &between([10, 2, 0, 9], [10, 1, 0, 5], 60, true),
    );
    let verdict = near.inbound(START, &outer);
    let unknown = Cause::Refused(Refused::new(Reason::UnknownPeer));
    assert!(
        matches!(verdict, Inbound::Drop { cause, .. } if cause == unknown),
        "{verdict:?}"
    );
}

/// What is not for a tunnel is the host's.
#[test]
fn what_is_not_for_a_tunnel_is_the_hosts() {
    let mut hub = hub();
    let to_us = |protocol, payload: &[u8]| {
        let header = Plain {
            source: ROUTER,
            destination: HERE.octets(),
            ..Plain::of(protocol)
        };
        header.packet(payload)
    };
    let mut echo = vec![8, 0, 0, 0, 0, 1, 0, 1];
    let checksum = oracle::checksum(&echo);
    oracle::put_u16(&mut echo, 2, checksum);
    for packet in [to_us(1, &echo), to_us(6, &[0; 20]), to_us(17, &[0; 8])] {
        let _ = receive(&mut hub, START, &packet);
        assert_eq!(hub.tally().last(), Event::HostsOwn);
    }
    // A tunnel's protocol is not, from whomever.
    let _ = receive(&mut hub, START, &to_us(4, &inner(60, true)));
    assert_eq!(hub.tally().last(), refused(Reason::UnknownPeer));
}

/// Outer fragments where nobody joins them.
#[test]
fn a_27_outer_fragments_are_refused_without_a_reassembler() {
    let mut near = with(
        ipip(HERE, THERE).with_policy(COPY_DF),
        FAR,
        PeerPolicy::DEFAULT,
        EndpointConfig::DEFAULT,
    );
    let mut far = one(ipip(THERE, HERE), NEAR);
    let outer = sent(&mut near, START, &inner(1400, false));
    for fragment in oracle::fragments(&outer, 800).unwrap() {
        let _ = receive(&mut far, START, &fragment);
        assert_eq!(far.tally().last(), refused(Reason::OuterFragment));
    }
    let _ = delivered(&mut far, START, &outer);
}

/// The same of an endpoint that can never join any, though it could before.
#[test]
fn a_27_outer_fragments_are_refused_where_nobody_can_join_them() {
    let mut near = with(
        ipip(HERE, THERE).with_policy(COPY_DF),
        FAR,
        PeerPolicy::DEFAULT,
        EndpointConfig::DEFAULT,
    );
    let mut far = joining(one(ipip(THERE, HERE), NEAR), 1, 2000).without_reassembler();
    let outer = sent(&mut near, START, &inner(1400, false));
    for fragment in oracle::fragments(&outer, 800).unwrap() {
        let verdict = far.inbound(START, &fragment);
        assert_eq!(
            far.tally().last(),
            refused(Reason::OuterFragment),
            "{verdict:?}"
        );
    }
    far.expire(START, |change| panic!("{change:?}"));
    assert_eq!(far.next_deadline(), None, "nothing is held");
    let verdict = far.receive(START, &mut outer.clone());
    assert!(matches!(verdict, Inbound::Deliver { .. }), "{verdict:?}");
}
