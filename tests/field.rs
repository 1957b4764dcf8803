//! Faults that users and their networks met, each as the bytes or the setup that showed it.

#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    reason = "a test that panics fails"
)]

use core::net::Ipv4Addr;

use ipencap::decap::{Access, Edge, Peer, PointToPoint, Prefix};
use ipencap::decap::{
    Decapsulate, EgressDscp, Opened, OuterMeta, OuterPacket, Receiver, decap_nested,
    inspect_nested, inspect_without_filter,
};
use ipencap::encap::{AnyTunnel, Encapsulate, OuterPolicy, PerPacket, Rules, Tunnel};
use ipencap::error::{EncapError, Reason, Refused};
use ipencap::packet::{Facts, Packet};
use ipencap::shim::{Fou, Gre, Gue, IpIp, Shim, SourcePort, Tcp};
use ipencap::wire::{Ecn, IpProtocol, Ipv4Header};
use ipencap::{Span, decap, encap};
use ipencap_kit::oracle::Plain;

const L: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const R: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
static ANY: [Prefix; 1] = [Prefix::ANY];

fn prefix(network: [u8; 4], len: u8) -> Prefix {
    Prefix::new(network.into(), len).unwrap()
}

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|digits| u8::from_str_radix(core::str::from_utf8(digits).unwrap(), 16).unwrap())
        .collect()
}

fn wrapped(tunnel: &dyn Encapsulate, packet: &[u8]) -> Vec<u8> {
    let overhead = tunnel.overhead();
    let mut buffer = [&vec![0; overhead], packet].concat();
    let place = Span::new(overhead, packet.len());
    encap(tunnel, &mut buffer, place, &PerPacket::new())
        .unwrap()
        .to_vec()
}

/// An IPv4 packet of protocol 253 from here to there.
fn packet(source: Ipv4Addr, destination: Ipv4Addr) -> Vec<u8> {
    let mut plain = Plain::of(253);
    plain.source = source.octets();
    plain.destination = destination.octets();
    plain.packet(b"ipencap!")
}

// --- Nesting depth (D-20, L-01, L-02)

/// A local address and a peer for each of four layers, the outermost first.
const LAYERS: [(Ipv4Addr, Ipv4Addr); 4] = [
    (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)),
    (Ipv4Addr::new(192, 0, 2, 11), Ipv4Addr::new(192, 0, 2, 12)),
    (Ipv4Addr::new(192, 0, 2, 21), Ipv4Addr::new(192, 0, 2, 22)),
    (Ipv4Addr::new(192, 0, 2, 31), Ipv4Addr::new(192, 0, 2, 32)),
];

type EdgeReceiver = Receiver<IpIp, Edge<'static>>;

/// The receivers of the first three layers. Each knows the addresses of all layers as its host's own.
fn receivers(max_depth: u8) -> [EdgeReceiver; 3] {
    static LOCAL: [Ipv4Addr; 4] = [LAYERS[0].1, LAYERS[1].1, LAYERS[2].1, LAYERS[3].1];
    static PEERS: [[Peer<'static>; 1]; 3] = [
        [Peer::new(Prefix::host(LAYERS[0].0), &ANY)],
        [Peer::new(Prefix::host(LAYERS[1].0), &ANY)],
        [Peer::new(Prefix::host(LAYERS[2].0), &ANY)],
    ];
    PEERS
        .each_ref()
        .map(|peers| Receiver::new(IpIp, Edge::new(&LOCAL, peers)).with_max_depth(max_depth))
}

/// Three IP-in-IP tunnels around GRE, which none of the receivers opens, all of them to this host.
fn four_layers() -> Vec<u8> {
    let bytes = packet(Ipv4Addr::new(10, 1, 0, 5), Ipv4Addr::new(10, 2, 0, 9));
    let [outer @ .., (source, destination)] = LAYERS;
    let mut bytes = wrapped(
        &Tunnel::new(source, destination, Gre::new()).unwrap(),
        &bytes,
    );
    for (source, destination) in outer.iter().rev() {
        bytes = wrapped(&Tunnel::new(*source, *destination, IpIp).unwrap(), &bytes);
    }
    bytes
}

/// Three layers opened in every way there is: all that the ways say of the third one.
fn three_opened(max_depth: u8) -> Vec<Result<u8, Reason>> {
    let [first, second, third] = receivers(max_depth);
    let bytes = four_layers();
    let layers = |result: Result<Opened, Refused>| {
        result.map(|opened| opened.layers()).map_err(|refused| {
            assert_eq!(refused.layer, 2, "the third layer refuses");
            refused.reason
        })
    };
    let to_right = ((third, second), first);
    let to_left = (third, (second, first));
    let with_identity = ((third, ((), second)), (first, ()));
    let dynamic: &dyn Decapsulate = &to_right;
    let mut results = vec![
        layers(to_right.inspect(&bytes)),
        layers(to_left.inspect(&bytes)),
        layers(Decapsulate::inspect(&&to_left, &bytes)),
        layers(with_identity.inspect(&bytes)),
        layers(dynamic.inspect(&bytes)),
        layers(decap(&to_right, &mut bytes.clone()).map(|inner| inner.opened)),
    ];
    let mut buffer = bytes.clone();
    let len = bytes.len();
    results.push(layers(
        Packet::new(&mut buffer, Span::new(0, len)).open(&to_left),
    ));
    let tunnels: [&dyn Decapsulate; 3] = [&first, &second, &third];
    results.push(layers(inspect_nested(&tunnels, &bytes, 9)));
    results.push(layers(
        decap_nested(&tunnels, &mut bytes.clone(), 9).map(|inner| inner.opened),
    ));
    // By hand, layer by layer.
    let next = |receiver: &EdgeReceiver, outer: OuterPacket<'_>, layer: u8| {
        receiver
            .inspect_outer(outer)
            .map_err(|refused| refused.inside(layer))
    };
    results.push(layers((|| {
        let one = next(&first, OuterPacket::new(&bytes).expecting_tunnel(), 0)?;
        let two = next(&second, one.outer_packet(&bytes).expecting_tunnel(), 1)?;
        let three = next(&third, two.outer_packet(&bytes), 2)?;
        Ok(three.behind(&two.behind(&one)))
    })()));
    // The first layer was opened elsewhere in this host, at an earlier pass.
    let inside = &bytes[20..];
    results.push(layers((|| {
        let two = next(
            &second,
            OuterPacket::new(inside).at_depth(1).expecting_tunnel(),
            1,
        )?;
        let three = next(&third, two.outer_packet(inside), 2)?;
        Ok(three.behind(
            &two.behind(&first.inspect_outer(OuterPacket::new(&bytes).expecting_tunnel())?),
        ))
    })()));
    results
}

#[test]
fn d_20_third_layer_counts_as_the_third() {
    for result in three_opened(3) {
        assert_eq!(result, Err(Reason::NestingLimit));
    }
    for result in three_opened(4) {
        assert_eq!(result, Ok(3));
    }
}

// --- Source routes and the transport checksum (C-20)

/// A TCP segment whose LSRR pointer is at its last address, 192.0.2.77.
const SOURCE_ROUTED: &str = "470000381234400040063db20a0100050a020009830704c000024d009c40005000\
                             0000010000000250182000847c00006970656e63617021";

#[test]
fn c_20_source_route_needs_the_full_sum() {
    let bytes = hex(SOURCE_ROUTED);
    let fou = Fou::new(5555).with_source_port(SourcePort::Fixed(40001));
    let fou = Tunnel::new(L, R, fou).unwrap();
    let outer = wrapped(&fou, &bytes);
    assert_eq!(outer[26..28], [0xb3, 0xb7]);
    assert_eq!(Facts::read(&bytes).unwrap().known_sum(), None);

    // Each carrier's receiver verifies what it gets.
    let access = PointToPoint::new(R, L, &ANY);
    let mut outer = outer;
    let receiver = Receiver::new(Fou::new(5555), access);
    assert_eq!(decap(&receiver, &mut outer).unwrap().packet, bytes);
    let mut gue = wrapped(&Tunnel::new(L, R, Gue::new()).unwrap(), &bytes);
    let receiver = Receiver::new(Gue::new(), access);
    assert_eq!(decap(&receiver, &mut gue).unwrap().packet, bytes);
    let mut tcp = wrapped(&Tunnel::new(L, R, Tcp::new(40001, 443)).unwrap(), &bytes);
    let receiver = Receiver::new(Tcp::new(0, 443), access);
    assert_eq!(decap(&receiver, &mut tcp).unwrap().packet, bytes);
    // And where IP-in-IP lies between.
    let nested = wrapped(
        &Tunnel::new(L, Ipv4Addr::new(203, 0, 113, 9), IpIp).unwrap(),
        &bytes,
    );
    let mut outer = wrapped(&fou, &nested);
    let receiver = Receiver::new(Fou::new(5555), access);
    assert_eq!(decap(&receiver, &mut outer).unwrap().packet, nested);
}

/// The pointer is behind the route, or there is no route: the header's destination is the segment's.
#[test]
fn c_20_used_up_route_tells_the_sum() {
    for (pointer, kind, is_known) in [
        (4, 131, false),
        (7, 131, false), // within the length, behind the last whole address
        (8, 131, true),
        (255, 131, true),
        (0, 131, false),
        (4, 137, false),
        (8, 137, true),
        (4, 7, true), // record route
    ] {
        let mut bytes = hex(SOURCE_ROUTED);
        (bytes[20], bytes[22]) = (kind, pointer);
        let header = Ipv4Header::split_mut(&mut bytes).unwrap();
        header.0.fill_checksum(header.1);
        let meta = Facts::read(&bytes).unwrap();
        assert_eq!(meta.known_sum().is_some(), is_known, "{kind} {pointer}");
    }
    // Options that cannot be read may hide a route.
    for broken in [[131, 1, 4, 0, 0, 0, 0, 0], [131, 9, 4, 0, 0, 0, 0, 0]] {
        let mut bytes = hex(SOURCE_ROUTED);
        bytes[20..28].copy_from_slice(&broken);
        let header = Ipv4Header::split_mut(&mut bytes).unwrap();
        header.0.fill_checksum(header.1);
        assert_eq!(Facts::read(&bytes).unwrap().known_sum(), None);
    }
}

/// Without a filter an outer source route is no reason to refuse; its datagram is summed as its sender
/// did, to the last address of the route.
#[test]
fn c_20_outer_source_route_without_filter() {
    let inner = packet(Ipv4Addr::new(10, 1, 0, 5), Ipv4Addr::new(10, 2, 0, 9));
    let outer = wrapped(&Tunnel::new(L, R, Fou::new(5555)).unwrap(), &inner);
    // On its way over 192.0.2.77, with R the last address of the route.
    let route = [131, 7, 4, 203, 0, 113, 2, 0];
    let mut routed = [&outer[..20], &route, &outer[20..]].concat();
    routed[0] = 0x47;
    let total_len = u16::try_from(routed.len()).unwrap();
    routed[2..4].copy_from_slice(&total_len.to_be_bytes());
    routed[16..20].copy_from_slice(&[192, 0, 2, 77]);
    let (header, options, _) = Ipv4Header::split_mut(&mut routed).unwrap();
    header.fill_checksum(options);
    let opened = inspect_without_filter(&Fou::new(5555), &routed).unwrap();
    assert_eq!(opened.span().get(&routed).unwrap(), inner);
}

// --- Inner sources by longest prefix (D-17)

const A: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const B: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);

#[test]
fn d_17_longest_prefix_decides_who_may_send() {
    let wide = [prefix([10, 0, 0, 0], 8)];
    let narrow = [prefix([10, 1, 0, 0], 16), prefix([10, 1, 9, 0], 24)];
    let again = [prefix([10, 1, 0, 0], 16)];
    let peers = [
        Peer::new(Prefix::host(A), &wide),
        Peer::new(Prefix::host(B), &narrow),
        Peer::new(Prefix::host(L_C), &again),
    ];
    let local = [R];
    let edge = Edge::new(&local, &peers);
    for (outer, inner, may) in [
        (A, [10, 1, 0, 5], false),
        (B, [10, 1, 0, 5], true),
        (L_C, [10, 1, 0, 5], true), // the same prefix twice: both may
        (L_C, [10, 1, 9, 5], false),
        (A, [10, 2, 0, 5], true),
        (B, [10, 2, 0, 5], false),
        (B, [11, 1, 0, 5], false),
    ] {
        let inner = packet(inner.into(), Ipv4Addr::new(10, 200, 0, 9));
        let expected = if may {
            Ok(inner.clone())
        } else {
            Err(Reason::InnerSourceNotAllowed)
        };
        let plain = wrapped(&Tunnel::new(outer, R, IpIp).unwrap(), &inner);
        // With options in the outer header, and with a mark: no receiver's fast way.
        let mut slow = [&plain[..20], &[1, 1, 1, 0], &plain[20..]].concat();
        slow[0] = 0x46;
        slow[3] += 4;
        let (header, options, _) = Ipv4Header::split_mut(&mut slow).unwrap();
        header.fill_checksum(options);
        let ipip = Receiver::new(IpIp, edge);
        let fou = Receiver::new(Fou::new(5555), edge);
        let tunnels: [&dyn Decapsulate; 2] = [&ipip, &fou];
        let mut fou_packet = wrapped(&Tunnel::new(outer, R, Fou::new(5555)).unwrap(), &inner);
        let meta = OuterMeta {
            source: outer,
            destination: R,
            protocol: IpProtocol::UDP,
            source_port: 1,
            destination_port: 5555,
            ecn: Ecn::NotEct,
        };
        let results = [
            decap(&ipip, &mut plain.clone()).map(|inner| inner.packet.to_vec()),
            decap(&ipip, &mut slow.clone()).map(|inner| inner.packet.to_vec()),
            decap(
                &ipip.with_egress_dscp(EgressDscp::Uniform),
                &mut plain.clone(),
            )
            .map(|inner| inner.packet.to_vec()),
            decap_nested(&tunnels, &mut plain.clone(), 4).map(|inner| inner.packet.to_vec()),
            decap(&fou, &mut fou_packet).map(|inner| inner.packet.to_vec()),
            fou.inspect_payload(&meta, &inner)
                .map(|opened| opened.apply(&mut inner.clone()).to_vec()),
        ];
        for result in results {
            assert_eq!(result.map_err(|refused| refused.reason), expected);
        }
    }
}

const L_C: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 3);

// --- Peers (D-07)

/// Two peers behind one address translator, told apart by the source port that it gave them.
#[test]
fn d_07_peers_behind_one_nat_differ_by_port() {
    let (left, right) = ([prefix([10, 1, 0, 0], 16)], [prefix([10, 2, 0, 0], 16)]);
    let peers = [
        Peer::new(Prefix::host(L), &left).with_source_port(40001),
        Peer::new(Prefix::host(L), &right).with_source_port(40002),
    ];
    let local = [R];
    let receiver = Receiver::new(Fou::new(5555), Edge::new(&local, &peers));
    let point = PointToPoint::new(R, L, &ANY).with_source_port(40002);
    let point = Receiver::new(Fou::new(5555), point);
    let destination = Ipv4Addr::new(10, 200, 0, 9);
    for (port, source, peer, to_point) in [
        (40001, [10, 1, 0, 5], Ok(Some(0)), false),
        (40002, [10, 2, 0, 5], Ok(Some(1)), true),
        (
            40002,
            [10, 1, 0, 5],
            Err(Reason::InnerSourceNotAllowed),
            true,
        ),
        (
            40001,
            [10, 2, 0, 5],
            Err(Reason::InnerSourceNotAllowed),
            false,
        ),
        (40003, [10, 1, 0, 5], Err(Reason::UnknownPeer), false),
    ] {
        let inner = packet(source.into(), destination);
        let fou = Fou::new(5555).with_source_port(SourcePort::Fixed(port));
        let tunnel = Tunnel::new(L, R, fou).unwrap();
        let mut outer = wrapped(&tunnel, &inner);
        let meta = OuterMeta {
            source: L,
            destination: R,
            protocol: IpProtocol::UDP,
            source_port: port,
            destination_port: 5555,
            ecn: Ecn::NotEct,
        };
        let by_payload = receiver.inspect_payload(&meta, &inner);
        let opened = receiver.inspect(&outer);
        for opened in [opened, by_payload] {
            assert_eq!(
                opened
                    .map(|opened| opened.peer())
                    .map_err(|refused| refused.reason),
                peer
            );
        }
        assert_eq!(point.inspect(&outer).is_ok(), to_point);
        assert_eq!(decap(&receiver, &mut outer).is_ok(), peer.is_ok());
    }
    // Without a port in the packet nobody with a port is known.
    let ipip = Receiver::new(IpIp, Edge::new(&local, &peers));
    let outer = wrapped(
        &Tunnel::new(L, R, IpIp).unwrap(),
        &packet([10, 1, 0, 5].into(), destination),
    );
    assert_eq!(
        ipip.inspect(&outer).unwrap_err().reason,
        Reason::UnknownPeer
    );
}

/// The verdict names the peer; a peer without a tag has its number for one.
#[test]
fn d_07_verdict_names_the_peer() {
    let inner_sources = [prefix([10, 0, 0, 0], 8)];
    let peers = [
        Peer::new(Prefix::host(A), &inner_sources),
        Peer::new(Prefix::host(B), &inner_sources),
        Peer::new(Prefix::host(L_C), &inner_sources).with_tag(7),
    ];
    let local = [R];
    let edge = Edge::new(&local, &peers);
    let receiver = Receiver::new(IpIp, edge);
    let inner = packet([10, 1, 0, 5].into(), [10, 2, 0, 9].into());
    for (outer, number, tag) in [(A, 0, 0), (B, 1, 1), (L_C, 2, 7)] {
        let packet = wrapped(&Tunnel::new(outer, R, IpIp).unwrap(), &inner);
        let opened = receiver.inspect(&packet).unwrap();
        assert_eq!((opened.peer(), opened.tag()), (Some(number), tag));
        assert_eq!(edge.tag(number), tag);
        let slow = receiver.inspect_outer(OuterPacket::new(&packet)).unwrap();
        assert_eq!(slow, opened);
    }
    let packet = wrapped(&Tunnel::new(A, R, IpIp).unwrap(), &inner);
    let opened = inspect_without_filter(&IpIp, &packet).unwrap();
    assert_eq!(opened.peer(), None);
}

// --- Too long for the link, or for 16 bits (E-06, I-14)

/// Checks a packet of `len` bytes, and wraps it: the length of the outer packet.
fn checked(tunnel: &dyn Encapsulate, len: usize, packet: &PerPacket) -> Result<u32, EncapError> {
    let bytes = Plain::of(253).packet(&vec![0; len - 20]);
    let facts = Facts::read(&bytes).unwrap();
    let checked = tunnel.check(&facts, packet, Rules::Explained);
    let overhead = tunnel.overhead();
    let mut buffer = [&vec![0xa5; overhead], &bytes[..]].concat();
    let before = buffer.clone();
    let wrapped = encap(tunnel, &mut buffer, Span::new(overhead, len), packet);
    let wrapped = wrapped.map(|outer| u32::try_from(outer.len()).unwrap());
    assert_eq!(checked.map(|outer| outer.len()), wrapped);
    if wrapped.is_err() {
        assert_eq!(buffer, before);
    }
    wrapped
}

const fn limited<S: Shim>(tunnel: Tunnel<S>, link_mtu: u16) -> Tunnel<S> {
    tunnel.with_policy(OuterPolicy {
        link_mtu: Some(link_mtu),
        ..tunnel.policy()
    })
}

#[test]
fn i_14_link_mtu_is_named_however_long_the_packet() {
    let ipip = Tunnel::new(L, R, IpIp).unwrap();
    let fou = Tunnel::new(L, R, Fou::new(5555)).unwrap();
    let told = PerPacket::new().with_link_mtu(1500);
    let needed = |mtu| Err(EncapError::FragmentationNeeded { mtu });
    let longest = |tunnel: &dyn Encapsulate, packet: &PerPacket| checked(tunnel, 65516, packet);
    assert_eq!(longest(&ipip, &told), needed(1480));
    assert_eq!(longest(&limited(ipip, 1400), &told), needed(1380));
    assert_eq!(
        longest(&limited(ipip, 1400), &PerPacket::new()),
        needed(1380)
    );
    assert_eq!(longest(&fou, &told), needed(1472));
    assert_eq!(longest(&(ipip, fou), &told), needed(1452));
    let too_long = Err(EncapError::TooLong { len: 65536 });
    assert_eq!(longest(&ipip, &PerPacket::new()), too_long);
}

/// Only the outermost layer of a stack knows the link: its MTU counts, not that the packet is too long for
/// the layer inside.
#[test]
fn i_14_e_06_link_mtu_of_the_outermost_layer_of_a_stack() {
    let [near, far] = [(LAYERS[0].0, LAYERS[0].1), (L, R)]
        .map(|(source, destination)| Tunnel::new(source, destination, IpIp).unwrap());
    let link = limited(far, 1500);
    let fou = limited(Tunnel::new(L, R, Fou::new(5555)).unwrap(), 1500);
    let any_fou: &dyn Encapsulate = &fou;
    let said = PerPacket::new();
    let two: [AnyTunnel; 2] = [near.into(), link.into()];
    let three: [AnyTunnel; 3] = [near.into(), far.into(), fou.into()];
    let stacks: [(&dyn Encapsulate, u16); 8] = [
        (&(near, link), 1460),
        (&[near, link], 1460),
        (&&[near, link][..], 1460),
        (&two, 1460),
        (&&two[..], 1460),
        (&(near, any_fou), 1452),
        (&&three[..], 1432),
        (&(near, (far, fou)), 1432),
    ];
    for (number, (stack, mtu)) in stacks.into_iter().enumerate() {
        let needed = Err(EncapError::FragmentationNeeded { mtu });
        for len in [65516, 65515, 65496, mtu + 1] {
            assert_eq!(checked(stack, len.into(), &said), needed, "{number}: {len}");
        }
        assert_eq!(checked(stack, mtu.into(), &said), Ok(1500), "{number}");
        // The same said of the packet, where it is less.
        let said = said.with_link_mtu(1400);
        let needed = Err(EncapError::FragmentationNeeded { mtu: mtu - 100 });
        assert_eq!(checked(stack, 65516, &said), needed, "{number}");
    }
    // Without an MTU anywhere it is too long for the layer that it does not fit.
    let without = (near, far);
    let too_long = |len| Err(EncapError::TooLong { len });
    assert_eq!(checked(&without, 65516, &said), too_long(65536));
    assert_eq!(checked(&without, 65496, &said), too_long(65536));
    assert_eq!(checked(&without, 65495, &said), Ok(65535));
}
