//! Every packet is counted once, whatever becomes of it.

use ipencap::packet::{Packet, PerPacket, Span};
use ipencap::time::{Duration, Instant};
use ipencap::tunnel::{
    Cause, Counters, EndpointConfig, Event, Inbound, Outbound, PeerPolicy, Peers, Tally,
};
use ipencap_kit::oracle;

use crate::ends::{
    COPY_DF, Dice, End, FAR, HERE, Ledger, NEAR, START, THERE, between, inner, ipip, joining, one,
    receive, send, too_big, with,
};

/// The event that a verdict stands for.
fn outbound_event(verdict: &Outbound) -> Event {
    match *verdict {
        Outbound::Send { .. } => Event::Sent,
        Outbound::Split { .. } => Event::Split,
        Outbound::Answer { cause, .. } => Event::Answered(cause),
        Outbound::Drop { cause, .. } => Event::DroppedOutbound(cause),
        ref other => panic!("{other:?}"),
    }
}

fn inbound_event(verdict: &Inbound) -> Event {
    match *verdict {
        Inbound::Deliver { .. } | Inbound::Whole { .. } => Event::Delivered,
        Inbound::Held => Event::Held,
        Inbound::Learnt { .. } => Event::Learnt,
        Inbound::Relay { .. } => Event::Relayed,
        Inbound::HostsOwn => Event::HostsOwn,
        Inbound::Ignored { cause, .. } => Event::Ignored(cause),
        Inbound::Drop { cause, .. } => Event::DroppedInbound(cause),
        ref other => panic!("{other:?}"),
    }
}

/// What an end's own counters make of its ledger.
fn counted(ledger: &Ledger) -> Counters {
    let mut counters = Counters::new();
    for &(peer, event, len) in &ledger.0 {
        counters.count(peer, event, len);
    }
    counters
}

/// What one end has been given, and what came out of it.
#[derive(Debug, Default)]
struct Books {
    outbound: u64,
    inbound: u64,
    /// Outer packets that it sent.
    outers: u64,
    bytes: u64,
}

impl Books {
    fn send<P: Peers>(&mut self, end: &mut End<P>, now: Instant, packet: &[u8]) -> Vec<Vec<u8>> {
        let before = end.tally().packets();
        let (verdict, outers) = send(end, now, packet);
        self.outbound += 1;
        self.outers += u64::try_from(outers.len()).unwrap();
        let ledger = end.tally();
        assert_eq!(ledger.packets(), before + 1, "{verdict:?}");
        let (_, event, len) = *ledger.0.last().unwrap();
        assert_eq!((event, len), (outbound_event(&verdict), packet.len()));
        if matches!(event, Event::Sent | Event::Split) {
            self.bytes += u64::try_from(len).unwrap();
        } else {
            assert_eq!(outers, [[0; 0]; 0]);
        }
        outers
    }

    fn receive<P: Peers>(&mut self, end: &mut End<P>, now: Instant, packet: &[u8]) -> Event {
        let before = end.tally().packets();
        let (verdict, delivered) = receive(end, now, packet);
        self.inbound += 1;
        let ledger = end.tally();
        assert_eq!(ledger.packets(), before + 1, "{verdict:?}");
        let (_, event, len) = *ledger.0.last().unwrap();
        assert_eq!((event, len), (inbound_event(&verdict), packet.len()));
        assert_eq!(delivered.is_some(), event == Event::Delivered);
        event
    }

    /// in = out + answered + held + dropped, by reason.
    fn close<P: Peers>(&self, end: &End<P>) {
        let counters = counted(end.tally());
        assert_eq!(
            (counters.outbound(), counters.inbound()),
            (self.outbound, self.inbound)
        );
        let all: u64 = counters.iter().map(|(.., count)| count).sum();
        let besides = counters
            .iter()
            .filter(|(event, ..)| ["Fragments", "GivenUp"].contains(event));
        let besides: u64 = besides.map(|(.., count)| count).sum();
        assert_eq!(all - besides, self.outbound + self.inbound);
        let outers = counters.packets(Event::Sent) + counters.packets(Event::Fragments);
        assert_eq!(outers, self.outers);
        let bytes = counters.bytes(Event::Sent) + counters.bytes(Event::Split);
        assert_eq!(bytes, self.bytes);
    }
}

/// Packets of all kinds from both inner sides, over a network that loses, doubles, reorders, splits, cuts and
/// changes them.
#[test]
#[allow(clippy::too_many_lines, reason = "all that a network does")]
fn every_packet_is_counted_once() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 1..120 {
        let mut dice = Dice(seed);
        let tunnel = |from, to| ipip(from, to).with_policy(COPY_DF);
        let config = EndpointConfig {
            icmp_source: (seed % 2 == 0).then_some(HERE),
            ..EndpointConfig::DEFAULT
        };
        let policy = PeerPolicy::DEFAULT;
        let mut near = joining(with(tunnel(HERE, THERE), FAR, policy, config), 3, 1600);
        let mut far = joining(with(tunnel(THERE, HERE), NEAR, policy, config), 3, 1600);
        let (mut near_books, mut far_books) = (Books::default(), Books::default());
        // To the far end, and to the near one.
        let mut under_way: [Vec<Vec<u8>>; 2] = [vec![], vec![]];
        let mut now = START;
        for _ in 0..150 {
            now = now + Duration::from_millis(dice.below(4000));
            let len = 20 + dice.index(1600);
            let mut packet = inner(len, dice.below(2) == 0);
            match dice.below(12) {
                0 => packet[19] = 99,                                 // another checksum
                1 => packet[8] = 0,                                   // TTL
                2 => packet[16] = 44,                                 // to nobody
                3 => packet[12..16].copy_from_slice(&THERE.octets()), // from the exit
                4 => packet[9] = 1,                                   // ICMP, of any type
                _ => {}
            }
            if dice.below(8) > 0 {
                oracle::fill_checksum(&mut packet);
            }
            let outers = near_books.send(&mut near, now, &packet);
            under_way[0].extend(outers);
            let packet = between([10, 2, 0, 9], [10, 1, 0, 5], 20 + dice.index(1600), false);
            let outers = far_books.send(&mut far, now, &packet);
            under_way[1].extend(outers);

            for (way, outers) in under_way.iter_mut().enumerate() {
                for _ in 0..dice.below(4) {
                    if outers.is_empty() {
                        break;
                    }
                    let at = dice.index(outers.len());
                    let mut outer = outers.swap_remove(at);
                    match dice.below(10) {
                        0 => continue,                   // lost
                        1 => outers.push(outer.clone()), // doubled
                        2 => outer.truncate(dice.index(outer.len())),
                        3 => {
                            let at = dice.index(outer.len().min(60));
                            outer[at] ^= 1 << dice.below(8);
                        }
                        4 | 5 => {
                            if let Ok(fragments) = oracle::fragments(&outer, 600) {
                                outers.extend(fragments);
                                continue;
                            }
                        }
                        6 => {
                            // A router's report goes back.
                            let quote = &outer[..outer.len().min(48)];
                            let report = too_big(quote, u16::try_from(dice.below(1500)).unwrap());
                            let event = if way == 0 {
                                near_books.receive(&mut near, now, &report)
                            } else {
                                far_books.receive(&mut far, now, &report)
                            };
                            seen.insert(event.name());
                            continue;
                        }
                        _ => {}
                    }
                    let event = if way == 0 {
                        far_books.receive(&mut far, now, &outer)
                    } else {
                        near_books.receive(&mut near, now, &outer)
                    };
                    seen.insert(event.name());
                }
            }
        }
        near_books.close(&near);
        far_books.close(&far);
        // What is held at the end is given up in time, and no datagram is given up twice.
        let given_up = |end: &Ledger| {
            let events = end.0.iter();
            events
                .filter(|(_, event, _)| matches!(event, Event::GivenUp(_)))
                .count()
        };
        far.expire(now + Duration::from_secs(31), |_| {});
        assert!(given_up(far.tally()) <= far.tally().of(Event::Held));
        for (_, event, _) in near.tally().0.iter().chain(&far.tally().0) {
            seen.insert(event.name());
        }
    }
    let kinds = [
        "Answered",
        "Delivered",
        "DroppedInbound",
        "DroppedOutbound",
        "Fragments",
        "GivenUp",
        "Held",
        "Ignored",
        "Learnt",
        "Relayed",
        "Sent",
        "Split",
    ];
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), kinds);
}

/// All calls that take a packet count it, also those that write nothing, and those through sockets.
#[test]
fn every_door_counts() {
    use ipencap::decap::OuterMeta;
    use ipencap::encap::Tunnel;
    use ipencap::shim::Fou;
    use ipencap::wire::{Ecn, IpProtocol};

    let fou = |from, to| Tunnel::new(from, to, Fou::new(5555)).unwrap();
    let (mut near, mut far) = (one(fou(HERE, THERE), FAR), one(fou(THERE, HERE), NEAR));
    let said = PerPacket::new();
    let packet = inner(100, true);
    let _ = near.outbound(START, &packet, &said);
    let _ = near.outbound_of(START, 3, &packet, &said);
    let mut datagrams = vec![];
    for tenant in [0, 3] {
        let mut buffer = [&[0; 60], &packet[..]].concat();
        let mut place = Packet::new(&mut buffer, Span::new(60, 100));
        let _ = near.send_payload_of(START, tenant, &mut place, &said, |_, datagram| {
            datagrams.push(datagram.to_vec());
        });
    }
    // Without room for the headers.
    let mut buffer = packet.clone();
    let mut place = Packet::new(&mut buffer, Span::new(0, 100));
    let verdict = near.send(START, &mut place, &said, |_| panic!("sent"));
    assert!(matches!(verdict, Outbound::Drop { .. }), "{verdict:?}");
    assert_eq!(near.tally().packets(), 5);
    assert_eq!(near.tally().of(Event::Sent), 2);
    assert_eq!(near.tally().of(Event::DroppedOutbound(Cause::NoPeer)), 2);

    let [ref mut datagram] = datagrams[..] else {
        panic!("{datagrams:?}")
    };
    let meta = OuterMeta {
        source: HERE,
        destination: THERE,
        protocol: IpProtocol::UDP,
        source_port: 50_000,
        destination_port: 5555,
        ecn: Ecn::NotEct,
    };
    let verdict = far.inbound_payload(START, &meta, datagram);
    assert!(matches!(verdict, Inbound::Deliver { .. }), "{verdict:?}");
    let verdict = far.receive_payload(START, &meta, datagram);
    assert!(matches!(verdict, Inbound::Deliver { .. }), "{verdict:?}");
    let verdict = far.inbound_payload(
        START,
        &OuterMeta {
            destination_port: 0,
            ..meta
        },
        datagram,
    );
    assert!(matches!(verdict, Inbound::Drop { .. }), "{verdict:?}");
    let _ = far.inbound(START, datagram);
    assert_eq!(far.tally().packets(), 4);
}

/// A kind of tunnel that no socket carries is refused, and nothing has changed.
#[test]
fn a_tunnel_without_a_payload_form_sends_nothing() {
    use ipencap::encap::AnyTunnel;
    use ipencap::error::EncapError;

    let mut near = one(AnyTunnel::from(ipip(HERE, THERE)), FAR);
    let packet = crate::ends::syn(1460, 2);
    let mut buffer = [&[0; 60], &packet[..]].concat();
    let before = buffer.clone();
    let mut place = Packet::new(&mut buffer, Span::new(60, packet.len()));
    let verdict = near.send_payload(START, &mut place, &PerPacket::new(), |_, _| panic!("sent"));
    let cause = Cause::Encap(EncapError::NoPayloadForm);
    assert!(matches!(verdict, Outbound::Drop { cause: found, .. } if found == cause));
    assert_eq!(buffer, before);
    assert_eq!(near.tally().last(), Event::DroppedOutbound(cause));
}

/// Behind a socket nobody fills a partial checksum in: the packet is refused as it is.
#[test]
fn a_partial_checksum_goes_through_no_socket() {
    use ipencap::encap::Tunnel;
    use ipencap::error::EncapError;
    use ipencap::packet::InnerChecksum;
    use ipencap::shim::Fou;

    let fou = Tunnel::new(HERE, THERE, Fou::new(5555)).unwrap();
    let mut near = one((ipip(HERE, THERE), fou), FAR);
    let packet = crate::ends::syn(1460, 2);
    let mut buffer = [&[0; 60], &packet[..]].concat();
    let before = buffer.clone();
    let mut place = Packet::new(&mut buffer, Span::new(60, packet.len()));
    let said = PerPacket::new().with_inner_checksum(InnerChecksum::Partial);
    let verdict = near.send_payload(START, &mut place, &said, |_, _| panic!("sent"));
    let cause = Cause::Encap(EncapError::PartialChecksum);
    assert!(matches!(verdict, Outbound::Drop { cause: found, .. } if found == cause));
    assert_eq!(buffer, before);
    assert_eq!(near.tally().last(), Event::DroppedOutbound(cause));
}

/// E-20. Bytes behind the inner packet go through no socket, and into no stream.
#[test]
fn e_20_slack_goes_through_no_socket() {
    use ipencap::encap::AnyTunnel;
    use ipencap::encap::Tunnel;
    use ipencap::shim::{Fou, Tcp};

    let fou = AnyTunnel::from(Tunnel::new(HERE, THERE, Fou::new(5555)).unwrap());
    let tcp = AnyTunnel::from(Tunnel::new(HERE, THERE, Tcp::new(40_001, 443)).unwrap());
    let ipip = AnyTunnel::from(ipip(HERE, THERE));
    for (layers, overhead) in [(vec![fou], 0), (vec![tcp], 0), (vec![ipip, fou], 20)] {
        let mut near = one(&*layers.leak(), FAR);
        let packet = inner(100, true);
        let mut buffer = [&[0; 60], &packet[..], &[0xee; 7]].concat();
        let mut place = Packet::new(&mut buffer, Span::new(60, 107));
        let mut datagrams = vec![];
        let _ = near.send_payload(START, &mut place, &PerPacket::new(), |_, datagram| {
            datagrams.push(datagram.to_vec());
        });
        assert_eq!(datagrams.len(), 1);
        assert_eq!(datagrams[0][overhead..], packet);
    }
}

/// Counters of several cores add up, and are exported by name.
#[test]
fn counters_merge_and_have_names() {
    let names: Vec<_> = Cause::counters().collect();
    let mut indices: Vec<_> = names.iter().map(|(index, ..)| *index).collect();
    indices.sort_unstable();
    indices.dedup();
    assert_eq!(indices.len(), names.len());
    assert!(indices.iter().all(|index| *index < Cause::COUNT));

    let mut both = Counters::new();
    for (times, event) in [
        (1, Event::Sent),
        (2, Event::Answered(Cause::NoPeer)),
        (3, Event::Held),
    ] {
        let mut counters = Counters::new();
        for _ in 0..times {
            counters.count(None, event, 100);
        }
        assert_eq!(counters.packets(event), times);
        both.merge(&counters);
    }
    assert_eq!((both.outbound(), both.inbound()), (3, 3));
    assert_eq!(
        (both.bytes(Event::Sent), both.bytes(Event::Held)),
        (100, 300)
    );
    let exported: Vec<_> = both.iter().collect();
    assert_eq!(
        exported,
        [("Sent", "", 1), ("Held", "", 3), ("Answered", "NoPeer", 2)]
    );
    assert!(Event::Answered(Cause::NoPeer).index() < Event::COUNT);
}

/// Each event is listed once, under its number and its names.
#[test]
fn events_are_listed_under_their_numbers() {
    use ipencap::error::{Eviction, ParseError, Refused, Silence};

    let listed: Vec<_> = Event::counters().collect();
    let numbers: std::collections::BTreeSet<_> = listed.iter().map(|(index, ..)| *index).collect();
    assert_eq!(numbers.len(), listed.len());
    assert!(numbers.iter().all(|index| *index < Event::COUNT));

    let reasons = [
        Cause::NoPeer,
        Cause::RoutingLoop,
        Cause::Encap(ParseError::BadVersion { version: 6 }.into()),
        Cause::Silent(Silence::Multicast),
        Cause::Refused(Refused::new(ipencap::error::Reason::GreSequence)),
    ];
    let with_cause = reasons.into_iter().flat_map(|cause| {
        let events: [fn(Cause) -> Event; 4] = [
            Event::Answered,
            Event::DroppedOutbound,
            Event::DroppedInbound,
            Event::Ignored,
        ];
        events.map(|event| (event(cause), cause.name()))
    });
    let plain = [
        Event::Sent,
        Event::Split,
        Event::Delivered,
        Event::Held,
        Event::Learnt,
        Event::Relayed,
        Event::HostsOwn,
        Event::Fragments,
    ];
    let plain = plain.into_iter().map(|event| (event, ""));
    let given_up = (Event::GivenUp(Eviction::TimedOut), "TimedOut");
    for (event, cause) in with_cause.chain(plain).chain([given_up]) {
        let (index, name) = (event.index(), event.name());
        assert!(listed.contains(&(index, name, cause)), "{event:?}");
    }
}

/// What has counted at all is printed with its cause; a reference to a tally counts in it.
#[test]
fn counters_print_what_they_have_counted() {
    let mut counters = Counters::new();
    assert_eq!(format!("{counters:?}"), "[]");
    let mut near = one(ipip(HERE, THERE), FAR).with_tally(&mut counters);
    let nowhere = between([10, 1, 0, 5], [10, 9, 0, 9], 100, true);
    for packet in [inner(100, true), nowhere] {
        let _ = near.outbound(START, &packet, &PerPacket::new());
    }
    assert_eq!(
        format!("{counters:?}"),
        "[Sent 1, DroppedOutbound NoPeer 1]"
    );
}
