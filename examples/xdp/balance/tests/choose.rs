//! Packets to backends: VIPs, flows that begin and go on, draining, ICMP errors.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::missing_const_for_fn,
    clippy::panic,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "the numbers are small, and a test fails by panicking"
)]

use core::net::Ipv4Addr;
use std::collections::HashMap;

use ipencap::icmp::{IcmpError, Kind};
use ipencap::packet::{Facts, Flow};
use ipencap::wire::{IpProtocol, Ipv4, Ipv4Header};
use ipencap_balance::{
    Begun, Choice, Member, Pool, Slot, Stage, State, TableFull, Tables, Turn, Vip, VipEntry, Vips,
    answered_flow, build, finish, own_flow,
};
use proptest::prelude::*;

const SERVICE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 80);
const WEB: Vip = Vip {
    address: SERVICE,
    port: 443,
    protocol: IpProtocol::TCP,
};
const DNS: Vip = Vip {
    address: SERVICE,
    port: 53,
    protocol: IpProtocol::UDP,
};
const ANY_UDP: Vip = Vip { port: 0, ..DNS };

const SYN: u8 = 2;
const ACK: u8 = 16;

/// A packet of TCP or UDP, or of another protocol without ports.
fn packet(flow: Flow, flags: u8) -> Vec<u8> {
    let payload_len: u16 = match flow.protocol {
        IpProtocol::TCP => 20,
        _ => 8,
    };
    let header = Ipv4Header::new(
        flow.source,
        flow.destination,
        flow.protocol,
        20 + payload_len,
    );
    let mut packet = header.as_bytes().to_vec();
    packet.resize(20 + usize::from(payload_len), 0);
    packet[20..22].copy_from_slice(&flow.source_port.to_be_bytes());
    packet[22..24].copy_from_slice(&flow.destination_port.to_be_bytes());
    if flow.protocol == IpProtocol::TCP {
        packet[32..34].copy_from_slice(&[0x50, flags]);
    }
    packet
}

/// The `number`-th client of a VIP.
fn client(number: u32, vip: Vip) -> Flow {
    let source = Ipv4Addr::from_bits(0x0a00_0000 + number / 7);
    Flow::new(source, vip.address, vip.protocol).with_ports(40_000 + (number % 7) as u16, vip.port)
}

/// The pool of `WEB` is backends 0 to 9, that of `DNS` 10 to 12.
struct Balancer {
    members: Vec<Member>,
    slots: Vec<Slot>,
    entries: Vec<VipEntry>,
    sets: Vec<[u32; 8]>,
}

impl Balancer {
    fn new() -> Self {
        let member = |backend| Member {
            backend,
            identity: u32::from(backend),
            weight: 1,
            state: State::Active,
        };
        let mut new = Self {
            members: (0..13).map(member).collect(),
            slots: vec![Slot::EMPTY; 1021 + 509],
            entries: vec![VipEntry::default(); 16],
            sets: vec![[0; 8]; 4096],
        };
        new.build();
        new
    }

    fn build(&mut self) {
        let turns = &mut [Turn::default(); 13];
        build(&mut self.slots[..1021], &self.members[..10], turns).unwrap();
        build(&mut self.slots[1021..], &self.members[10..], turns).unwrap();
    }

    fn set(&mut self, backend: usize, state: State) {
        self.members[backend].state = state;
        self.build();
    }

    fn tables(&mut self) -> Tables<'_> {
        let web = Pool::new(0, 1021);
        let dns = Pool::new(1021, 509);
        Tables {
            vips: Vips::new(&mut self.entries, [(WEB, web), (ANY_UDP, dns)]).unwrap(),
            slots: &self.slots,
            begun: Begun::new(&mut self.sets),
            seed: 0x5eed,
        }
    }
}

fn choose(tables: &mut Tables<'_>, packet: &[u8]) -> Choice {
    tables.choose(packet).unwrap().0
}

fn backend(choice: Choice) -> u16 {
    match choice {
        Choice::Backend(backend) => backend,
        other => panic!("{other:?}"),
    }
}

#[test]
fn flows_to_vips_spread_and_others_are_left() {
    let mut balancer = Balancer::new();
    let mut tables = balancer.tables();
    let mut counts = HashMap::new();
    for number in 0..100_000 {
        let flow = client(number, WEB);
        let choice = choose(&mut tables, &packet(flow, SYN));
        assert_eq!(
            choice,
            choose(&mut tables, &packet(flow, ACK)),
            "one flow, one backend"
        );
        *counts.entry(backend(choice)).or_insert(0) += 1;
    }
    assert_eq!(counts.len(), 10);
    for (backend, count) in counts {
        assert!(backend < 10);
        // max / mean <= 1.1
        assert!((9_000..=11_000).contains(&count), "{count} flows");
    }

    assert!((10..13).contains(&backend(choose(&mut tables, &packet(client(1, DNS), 0)))));
    let web_by_udp = Vip {
        protocol: IpProtocol::UDP,
        ..WEB
    };
    assert!((10..13).contains(&backend(choose(
        &mut tables,
        &packet(client(1, web_by_udp), 0)
    ))));
    for not_a_vip in [
        Vip { port: 80, ..WEB },
        Vip {
            address: Ipv4Addr::new(203, 0, 113, 81),
            ..WEB
        },
        Vip {
            protocol: IpProtocol::GRE,
            port: 0,
            ..WEB
        },
        Vip {
            protocol: IpProtocol::ICMP,
            port: 0,
            ..WEB
        },
    ] {
        let choice = choose(&mut tables, &packet(client(1, not_a_vip), 0));
        assert_eq!(choice, Choice::NotAVip, "{not_a_vip:?}");
    }
}

/// All fragments of a datagram have one backend, by a VIP that is for all ports.
#[test]
fn fragments_have_the_backend_of_all_ports() {
    let mut balancer = Balancer::new();
    let mut tables = balancer.tables();
    let fragment = |flow, offset: u8, more: u8| {
        let mut fragment = packet(flow, SYN);
        fragment[6..8].copy_from_slice(&[more, offset]);
        let (header, ..) = Ipv4Header::split_mut(&mut fragment).unwrap();
        header.fill_checksum(&[]);
        fragment
    };
    for number in 0..100 {
        let flow = client(number, DNS);
        let first = backend(choose(&mut tables, &fragment(flow, 0, 0x20)));
        assert_eq!(first, backend(choose(&mut tables, &fragment(flow, 9, 0))));
        let web = fragment(client(number, WEB), 0, 0x20);
        assert_eq!(choose(&mut tables, &web), Choice::NotAVip, "it has no port");
    }
}

#[test]
fn a_packet_inside_another_does_not_choose_the_vip() {
    let mut balancer = Balancer::new();
    let mut tables = balancer.tables();
    let inner = packet(client(1, WEB), SYN);
    let elsewhere = Ipv4Addr::new(192, 0, 2, 1);
    for destination in [elsewhere, SERVICE] {
        let len = 20 + inner.len() as u16;
        let outer = Ipv4Header::new(elsewhere, destination, IpProtocol::IPENCAP, len);
        let outer = [outer.as_bytes(), &inner[..]].concat();
        assert_eq!(choose(&mut tables, &outer), Choice::NotAVip);
    }
}

#[test]
fn drained_backends_get_no_new_flows_and_keep_connections() {
    let mut balancer = Balancer::new();
    let before: Vec<u16> = {
        let mut tables = balancer.tables();
        let choices =
            (0..2000).map(|number| choose(&mut tables, &packet(client(number, WEB), SYN)));
        choices.map(backend).collect()
    };
    balancer.set(4, State::Draining);
    let mut tables = balancer.tables();
    let mut kept = 0;
    for (number, was) in (0..).zip(&before) {
        // Even numbers have begun before, odd ones begin now.
        let flow = client(number, WEB);
        if number % 2 == 0 {
            let is = backend(choose(&mut tables, &packet(flow, ACK)));
            assert_eq!(is, *was, "a connection goes on");
            kept += usize::from(is == 4);
            continue;
        }
        let first = backend(choose(&mut tables, &packet(flow, SYN)));
        assert_ne!(first, 4, "no new one");
        assert!(first == *was || *was == 4, "nobody else's moves");
        for flags in [ACK, ACK | 1, 4, SYN] {
            assert_eq!(first, backend(choose(&mut tables, &packet(flow, flags))));
        }
    }
    assert!(kept > 50, "{kept} connections of the drained one were seen");

    // At its end the others take over.
    finish(&mut balancer.slots);
    let mut tables = balancer.tables();
    for number in 0..2000 {
        assert_ne!(
            backend(choose(&mut tables, &packet(client(number, WEB), ACK))),
            4
        );
    }
}

/// Nobody can tell whether a UDP packet begins a flow, so all go to stand-ins at once.
#[test]
fn udp_leaves_drained_backends_at_once() {
    let mut balancer = Balancer::new();
    balancer.set(11, State::Draining);
    let mut tables = balancer.tables();
    for number in 0..1000 {
        assert_ne!(
            backend(choose(&mut tables, &packet(client(number, DNS), 0))),
            11
        );
    }
}

#[test]
fn without_backends_nothing_is_chosen() {
    let mut balancer = Balancer::new();
    for backend in 10..13 {
        balancer.set(backend, State::Down);
    }
    let mut tables = balancer.tables();
    assert_eq!(
        choose(&mut tables, &packet(client(1, DNS), 0)),
        Choice::NoBackend
    );
    // Slots that are not there.
    tables.slots = &[];
    assert_eq!(
        choose(&mut tables, &packet(client(1, WEB), SYN)),
        Choice::NoBackend
    );
    let nothing = Pool::default();
    let mut entries = [VipEntry::default(); 4];
    tables.vips = Vips::new(&mut entries, [(WEB, nothing)]).unwrap();
    let slots = [Slot::of(1); 1021];
    tables.slots = &slots;
    assert_eq!(
        choose(&mut tables, &packet(client(1, WEB), SYN)),
        Choice::NoBackend
    );
}

/// A router tells a backend, which it knows by the VIP, that an answer did not get through.
fn icmp_error(answer: &[u8], quoted_len: usize, to: Ipv4Addr) -> Vec<u8> {
    let router = Ipv4Addr::new(192, 0, 2, 254);
    let error = IcmpError::about(answer, Kind::FragmentationNeeded { mtu: 1400 }, router).unwrap();
    let error = error.with_quote_len(u16::try_from(quoted_len).unwrap());
    let mut packet = vec![0; error.len()];
    error.write(answer, &mut packet).unwrap();
    let (header, ..) = Ipv4Header::split_mut(&mut packet).unwrap();
    header.edit(|edit| {
        edit.set_destination(to);
    });
    packet
}

#[test]
fn icmp_errors_reach_the_backend_of_the_flow_that_they_quote() {
    let mut balancer = Balancer::new();
    balancer.set(4, State::Draining);
    let mut tables = balancer.tables();
    for number in 0..500 {
        for (vip, flags) in [(WEB, ACK), (DNS, 0)] {
            let flow = client(number, vip);
            let expected = choose(&mut tables, &packet(flow, flags));
            let answer = packet(flow.reversed(), ACK);
            for quoted_len in [28, answer.len()] {
                let error = icmp_error(&answer, quoted_len, SERVICE);
                assert_eq!(choose(&mut tables, &error), expected);
                // The hash is the flow's too: both leave by one source port.
                let hash = tables.choose(&error).unwrap().1;
                assert_eq!(hash, flow.hash(tables.seed));
            }
        }
    }
    // And to that of the new connection while its slot changes.
    let began = (0..100_000)
        .map(|n| client(n, WEB))
        .find(|&flow| backend(choose(&mut tables, &packet(flow, ACK))) == 4);
    let flow = began.unwrap();
    let first = choose(&mut tables, &packet(flow, SYN));
    assert_ne!(first, Choice::Backend(4));
    let error = icmp_error(&packet(flow.reversed(), ACK), 28, SERVICE);
    assert_eq!(choose(&mut tables, &error), first);
}

#[test]
fn icmp_errors_that_are_not_for_a_backend_are_left() {
    let mut balancer = Balancer::new();
    let mut tables = balancer.tables();
    let flow = client(1, WEB);
    let answer = packet(flow.reversed(), ACK);
    assert!(matches!(
        choose(&mut tables, &icmp_error(&answer, 28, SERVICE)),
        Choice::Backend(_)
    ));
    // To another host than the one that has sent the quoted packet.
    let other = Ipv4Addr::new(203, 0, 113, 99);
    assert_eq!(
        choose(&mut tables, &icmp_error(&answer, 28, other)),
        Choice::NotAVip
    );
    // It quotes what a client sends: nobody's answer.
    let sent = packet(flow, ACK);
    assert_eq!(
        choose(&mut tables, &icmp_error(&sent, 28, SERVICE)),
        Choice::NotAVip
    );
    // Another service of the address.
    let other = packet(client(1, Vip { port: 80, ..WEB }).reversed(), ACK);
    assert_eq!(
        choose(&mut tables, &icmp_error(&other, 28, SERVICE)),
        Choice::NotAVip
    );
    // A damaged one.
    let mut damaged = icmp_error(&answer, 28, SERVICE);
    damaged[50] ^= 1;
    assert_eq!(choose(&mut tables, &damaged), Choice::NotAVip);
}

#[test]
fn a_quote_that_is_cut_tells_no_flow() {
    let answer = packet(client(1, WEB).reversed(), ACK);
    let of = |len: usize| answered_flow(Ipv4::parse_quoted(&answer[..len]).unwrap());
    assert_eq!(of(23), None);
    let flow = of(24).unwrap();
    assert_eq!((Vip::of(flow), flow), (WEB, client(1, WEB)));
    assert_eq!(Stage::of_answered(flow), Stage::GoesOn);
    assert_eq!(Stage::of_answered(client(1, DNS)), Stage::Unknown);
}

/// The flow of the outer header, in packets and in quotes alike.
#[test]
fn the_flow_of_a_tunnel_is_its_own() {
    let inner = packet(client(1, WEB), SYN);
    let tunnel = Flow::new(
        WEB.address,
        Ipv4Addr::new(192, 0, 2, 1),
        IpProtocol::IPENCAP,
    );
    let outer = Ipv4Header::new(tunnel.source, tunnel.destination, tunnel.protocol, 60);
    let outer = [outer.as_bytes(), &inner[..]].concat();
    assert_eq!(own_flow(Ipv4::parse(&outer).unwrap()), tunnel);
    for len in [28, 60] {
        let quoted = Ipv4::parse_quoted(&outer[..len]).unwrap();
        assert_eq!(answered_flow(quoted), Some(tunnel.reversed()));
    }
}

#[test]
fn the_own_flow_is_that_of_the_facts_where_nothing_is_inside() {
    for (vip, ports) in [
        (WEB, true),
        (DNS, true),
        (
            Vip {
                protocol: IpProtocol(253),
                ..WEB
            },
            false,
        ),
    ] {
        let bytes = packet(client(1, vip), ACK);
        let flow = own_flow(Ipv4::parse(&bytes).unwrap());
        assert_eq!(flow, Facts::read(&bytes).unwrap().flow());
        assert_eq!(flow.destination_port != 0, ports);
    }
}

#[test]
fn the_stage_of_a_flow() {
    let stage = |flags| Stage::of(Ipv4::parse(&packet(client(1, WEB), flags)).unwrap());
    for flags in 0..=255 {
        let begins = flags & SYN != 0 && flags & ACK == 0;
        assert_eq!(stage(flags) == Stage::Begins, begins, "{flags:#x}");
        assert_eq!(stage(flags) == Stage::GoesOn, !begins, "{flags:#x}");
    }
    let udp = packet(client(1, DNS), 0);
    assert_eq!(Stage::of(Ipv4::parse(&udp).unwrap()), Stage::Unknown);
}

#[test]
fn a_full_set_forgets_the_oldest() {
    let mut sets = [[0; 8]];
    let mut begun = Begun::new(&mut sets);
    for hash in 0..10 {
        assert!(!begun.contains(hash) || hash == 1, "0 and 1 are one");
        begun.insert(hash);
        begun.insert(hash);
    }
    let known: Vec<u32> = (0..10).filter(|&hash| begun.contains(hash)).collect();
    assert_eq!(known, [2, 3, 4, 5, 6, 7, 8, 9]);
    begun.clear();
    assert!((0..10).all(|hash| !begun.contains(hash)));

    let mut nothing = Begun::new(&mut []);
    nothing.insert(5);
    assert!(!nothing.contains(5));
}

fn arbitrary_vip() -> impl Strategy<Value = Vip> {
    (0..40_u32, 0..3_u16, prop::sample::select(vec![6, 17, 1])).prop_map(
        |(address, port, protocol)| Vip {
            address: Ipv4Addr::from_bits(0xc000_0200 + address),
            port,
            protocol: IpProtocol(protocol),
        },
    )
}

proptest! {
    #[test]
    fn vips_are_found_as_in_a_map(
        vips in proptest::collection::vec((arbitrary_vip(), any::<u32>()), 0..100),
        asked in proptest::collection::vec(arbitrary_vip(), 100),
    ) {
        let mut entries = vec![VipEntry::default(); 512];
        let pools = vips.iter().map(|&(vip, first)| (vip, Pool::new(first, 1)));
        let table = Vips::new(&mut entries, pools.clone()).unwrap();
        let map: HashMap<Vip, Pool> = pools.collect();
        for vip in asked.iter().chain(map.keys()) {
            prop_assert_eq!(table.get(*vip), map.get(vip).copied());
        }
    }

    #[test]
    fn a_table_that_is_too_small_says_so(count in 1..60_u32) {
        let mut entries = vec![VipEntry::default(); 16];
        let vip = |n| Vip { address: Ipv4Addr::from_bits(n), ..WEB };
        let table = Vips::new(&mut entries, (0..count).map(|n| (vip(n), Pool::default())));
        prop_assert_eq!(table.err(), (count > 16).then_some(TableFull));
    }

    #[test]
    fn nothing_panics(mut bytes in proptest::collection::vec(any::<u8>(), 0..80), protocol in 0..20_u8) {
        let mut balancer = Balancer::new();
        balancer.set(3, State::Draining);
        let mut tables = balancer.tables();
        let _ = tables.choose(&bytes);
        // Now with a valid header in front.
        let len = 20 + bytes.len() as u16;
        let header = Ipv4Header::new(SERVICE, SERVICE, IpProtocol(protocol), len);
        bytes.splice(..0, *header.as_bytes());
        prop_assert!(tables.choose(&bytes).is_ok());
    }
}

#[test]
fn a_thousand_vips_fit_four_entries_each() {
    let vip = |n: u32| Vip {
        address: Ipv4Addr::from_bits(0xcb00_7100 + n / 4),
        port: [80, 443, 53, 0][n as usize % 4],
        protocol: IpProtocol::TCP,
    };
    for count in [10, 100, 1000, 10_000, 60_000] {
        let mut entries = vec![VipEntry::default(); (4 * count as usize).next_power_of_two()];
        let pools = (0..count).map(|n| (vip(n), Pool::new(n, 1)));
        let table = Vips::new(&mut entries, pools).unwrap();
        assert!((0..count).all(|n| table.get(vip(n)).unwrap().first() == n));
    }
}
