//! ICMP errors that come back from inside a tunnel, and what the inner source hears of them.

use core::net::Ipv4Addr;

use ipencap::encap::Tunnel;
use ipencap::error::Ignored;
use ipencap::shim::Fou;
use ipencap::tunnel::{Cause, Event, Inbound, Outbound, Peers, TwoWay};
use ipencap_kit::oracle;

use crate::ends::{FAR, HERE, ROUTER, START, THERE, at, inner, one, pair, receive, send, sent};

/// What is told of an ICMP error of this type and code about the first `quoted` bytes of an outer packet:
/// the message that goes to the inner source.
fn relayed(kind: u8, code: u8, quoted: usize) -> (Event, Option<(u8, u8)>) {
    let (mut near, _) = pair();
    let outer = sent(&mut near, START, &inner(1000, true));
    let report = oracle::icmp_error((kind, code, 0), &outer[..quoted], ROUTER, None);
    let (verdict, _) = receive(&mut near, START, &report);
    let message = match verdict {
        Inbound::Relay { error, quoted, .. } => {
            let quote = quoted.get(&report).unwrap();
            let mut out = vec![0; error.len()];
            let message = error.write(quote, &mut out).unwrap();
            let heard = oracle::hear_icmp(message).unwrap();
            assert_eq!(heard.quote, &outer[20..20 + quote.len()]);
            assert_eq!(oracle::address_at(message, 16), [10, 1, 0, 5]);
            Some((heard.kind, heard.code))
        }
        _ => None,
    };
    (near.tally().last(), message)
}

/// I-21 to I-30, A-20 to A-22: what becomes of each error, IP-in-IP.
#[test]
fn i_21_to_i_30_each_error_becomes_what_the_table_says() {
    let ignored = |reason| (Event::Ignored(Cause::Ignored(reason)), None);
    let told = |kind, code| (Event::Relayed, Some((kind, code)));
    for (kind, code, expected) in [
        (3, 0, told(3, 0)),
        (3, 1, told(3, 1)),
        (3, 2, told(3, 1)),
        (3, 3, ignored(Ignored::PortUnreachable)),
        (3, 5, ignored(Ignored::SourceRouteFailed)),
        (3, 13, told(3, 1)),
        (4, 0, ignored(Ignored::SourceQuench)),
        (5, 1, ignored(Ignored::Redirect)),
        (11, 0, told(3, 1)),
        (11, 1, told(3, 1)),
        (12, 0, ignored(Ignored::ParameterProblem)),
    ] {
        assert_eq!(relayed(kind, code, 48), expected, "{kind}/{code}");
    }
    // I-24 over UDP: the exit does not listen.
    let mut near = one(Tunnel::new(HERE, THERE, Fou::new(5555)).unwrap(), FAR);
    let outer = sent(&mut near, START, &inner(1000, true));
    let report = oracle::icmp_error((3, 3, 0), &outer[..56], ROUTER, None);
    let (verdict, _) = receive(&mut near, START, &report);
    assert!(matches!(verdict, Inbound::Relay { .. }), "{verdict:?}");
}

/// I-31, I-33. An error that quotes too little is remembered; the next packet goes out, and its source is
/// told, once.
#[test]
fn i_31_the_next_packet_hears_of_a_short_quote() {
    let (mut near, _) = pair();
    let packet = inner(1000, true);
    let outer = sent(&mut near, START, &packet);
    let report = oracle::icmp_error((3, 1, 0), &outer[..28], ROUTER, None);
    let hear = |near: &mut crate::ends::One<_>, now| {
        let (verdict, _) = receive(near, now, &report);
        assert!(matches!(verdict, Inbound::Learnt { .. }), "{verdict:?}");
    };
    let told = |near: &mut crate::ends::One<_>, now, packet: &[u8]| {
        let (verdict, outers) = send(near, now, packet);
        let notice = match verdict {
            Outbound::Send { notice, .. } => notice,
            Outbound::Split { .. } => None,
            _ => panic!("{verdict:?}"),
        };
        assert!(!outers.is_empty());
        notice.map(|error| (error.kind().message_type(), error.kind().code()))
    };
    hear(&mut near, START);
    assert_eq!(told(&mut near, START, &packet), Some((3, 1)));
    assert_eq!(told(&mut near, START, &packet), None);
    // For half a minute.
    hear(&mut near, at(100));
    assert_eq!(told(&mut near, at(131), &packet), None);
    assert_eq!(told(&mut near, at(131), &packet), None);
    hear(&mut near, at(200));
    assert_eq!(told(&mut near, at(229), &packet), Some((3, 1)));

    // A packet about which nothing may be said does not use it up: a fragment, an ICMP error, one that is split.
    hear(&mut near, at(300));
    let mut later = inner(1000, false);
    later[7] = 9;
    oracle::fill_checksum(&mut later);
    assert_eq!(told(&mut near, at(300), &later), None);
    let mut error = oracle::icmp_error((3, 1, 0), &packet[..28], [10, 1, 0, 5], None);
    error[16..20].copy_from_slice(&[10, 2, 0, 9]);
    oracle::fill_checksum(&mut error);
    assert_eq!(told(&mut near, at(300), &error), None);
    assert_eq!(told(&mut near, at(300), &inner(1600, false)), None);
    assert_eq!(told(&mut near, at(300), &packet), Some((3, 1)));
}

/// I-25. The MTU that is relayed is what the path leaves, whichever layer.
#[test]
fn i_25_the_mtu_relayed_is_the_inner_one() {
    let (mut near, _) = pair();
    let outer = sent(&mut near, START, &inner(1480, true));
    let report = oracle::icmp_error((3, 4, 1400), &outer[..48], ROUTER, None);
    let (verdict, _) = receive(&mut near, START, &report);
    let Inbound::Relay {
        error,
        quoted,
        inner_mtu: 1380,
        ..
    } = verdict
    else {
        panic!("{verdict:?}")
    };
    let quote = quoted.get(&report).unwrap();
    let mut out = vec![0; error.len()];
    let heard = error.write(quote, &mut out).unwrap();
    assert_eq!(oracle::u16_at(heard, 26), 1380);
    // What a caller hears from the system does the same.
    let id = near.peers().at(0).unwrap();
    let verdict = near.unreachable(START, id);
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
    let (verdict, _) = send(&mut near, START, &inner(1000, true));
    assert!(
        matches!(
            verdict,
            Outbound::Send {
                notice: Some(_),
                ..
            }
        ),
        "{verdict:?}"
    );
}

/// I-20. Also of a tunnel whose two directions differ.
#[test]
fn i_20_a_tunnel_with_two_ports_knows_its_packets() {
    let tunnel = Tunnel::new(HERE, THERE, Fou::new(5555)).unwrap();
    let mut near = one(TwoWay::new(tunnel, Fou::new(5556)), FAR);
    let outer = sent(&mut near, START, &inner(1400, true));
    let report = oracle::icmp_error((3, 4, 1300), &outer[..56], ROUTER, None);
    let (verdict, _) = receive(&mut near, START, &report);
    let Inbound::Relay {
        inner_mtu: 1272, ..
    } = verdict
    else {
        panic!("{verdict:?}")
    };
}

/// I-32. What must not be answered is not relayed: an inner packet that may be fragmented only lowers the MTU.
#[test]
fn i_32_the_rules_hold_for_relayed_errors() {
    let (mut near, _) = pair();
    let outer = sent(&mut near, START, &inner(1480, false));
    let report = oracle::icmp_error((3, 4, 1400), &outer[..48], ROUTER, None);
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
}

/// I-12. The source of errors changes with the address of the inner side.
#[test]
fn i_12_errors_come_from_the_address_that_was_set_last() {
    let (mut near, _) = pair();
    let address = Ipv4Addr::new(10, 1, 0, 1);
    for (given, expected) in [(None, HERE), (Some(address), address), (None, HERE)] {
        near.set_icmp_source(given);
        let (verdict, _) = send(&mut near, START, &inner(1500, true));
        let Outbound::Answer { error, .. } = verdict else {
            panic!("{verdict:?}")
        };
        let mut out = vec![0; error.len()];
        let message = error.write(&inner(1500, true), &mut out).unwrap();
        assert_eq!(oracle::address_at(message, 12), expected.octets());
    }
}
