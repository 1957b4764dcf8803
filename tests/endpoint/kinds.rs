//! Every kind of tunnel, both ways: alone, by reference and in stacks, in packets and through sockets.

use core::net::Ipv4Addr;
use std::collections::BTreeSet;

use ipencap::decap::{Decapsulate, InnerPolicy, OuterMeta, PointToPoint, Prefix};
use ipencap::encap::{AnyTunnel, Encapsulate, MinEnc, Tunnel};
use ipencap::error::EncapError;
use ipencap::packet::{Packet, Span};
use ipencap::shim::{Fou, Gre, GreInUdp, Gue, GueVariant1, IpIp, Shim, SourcePort, Tcp};
use ipencap::tunnel::{
    Cause, Counters, Endpoint, EndpointConfig, Inbound, OnePeer, Outbound, Path, PeerPolicy,
    PeerTunnel, Peers, SocketTunnel, TwoWay,
};
use ipencap::wire::{Ecn, IpProtocol, Ipv4, LengthPrefix};
use ipencap_kit::oracle::Plain;

use super::ends::{FAR, HERE, NEAR, SAID, START, THERE, memory, prefix};

const INNER_HERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const INNER_THERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// UDP from behind HERE to behind THERE.
/// Expedited forwarding (RFC 3246).
const TOS: u8 = 0xb8;

fn inner() -> Vec<u8> {
    let plain = Plain {
        source: [10, 1, 0, 5],
        destination: [10, 2, 0, 9],
        tos: TOS,
        ..Plain::of(17)
    };
    plain.packet(b"\x9c\x40\x00\x35\x00\x10\x00\x00ipencap!")
}

type End<T> = Endpoint<'static, &'static OnePeer<'static, T>>;

/// The two ends of a tunnel: what sends here, and what receives there.
fn ends<T: PeerTunnel + 'static>(here: T, there: T) -> (End<T>, End<T>) {
    let [near, far] = [NEAR, FAR].map(|net| memory(prefix(net), 1));
    let peers = Box::leak(Box::new(OnePeer::new(here, far)));
    let others = Box::leak(Box::new(OnePeer::new(there, near)));
    (
        Endpoint::new(
            &*peers,
            memory(Path::default(), 1),
            EndpointConfig::default(),
        ),
        Endpoint::new(
            &*others,
            memory(Path::default(), 1),
            EndpointConfig::default(),
        ),
    )
}

fn room(packet: &[u8]) -> Vec<u8> {
    let mut buffer = vec![0xa5; 200];
    buffer.extend_from_slice(packet);
    buffer
}

/// What goes in here comes out there, byte for byte.
fn passes<T: PeerTunnel + 'static>(here: T, there: T) {
    let (mut sender, mut receiver) = ends(here, there);
    let packet = inner();
    let mut buffer = room(&packet);
    let mut outers = Vec::new();
    let mut sent = Packet::new(&mut buffer, Span::new(200, packet.len()));
    let verdict = sender.send(START, &mut sent, &SAID, |outer| outers.push(outer.to_vec()));
    assert!(matches!(verdict, Outbound::Send { .. }), "{verdict:?}");
    let [outer] = &mut outers[..] else {
        panic!("{} outer packets", outers.len());
    };
    let verdict = receiver.receive(START, outer);
    let Inbound::Deliver { opened, .. } = verdict else {
        panic!("{verdict:?}");
    };
    assert_eq!(opened.span().get(outer), Some(&packet[..]));
    // Through references to the peers all else is answered too.
    let peers = sender.peers();
    let peer = peers.at(0).unwrap();
    assert_eq!((peers.capacity(), peers.at(1)), (1, None));
    let (own, exit) = peers.get(peer).unwrap().0.ends();
    assert!(peers.is_local(own) && !peers.is_local(exit));
    assert_eq!(peers.with_outer_address(exit, 0), Some(peer));
    // Of GRE the number is its key, which is no port.
    let arrival = peers.get(peer).unwrap().0.arrival();
    let is_port = [IpProtocol::UDP, IpProtocol::TCP].contains(&arrival.protocol());
    let number = arrival
        .number()
        .and_then(|number| u16::try_from(number).ok());
    assert_eq!(
        peers.listens(own, arrival.protocol(), number.unwrap_or(1)),
        is_port
    );
}

/// The same through sockets.
fn passes_as_payload<T: SocketTunnel + 'static>(here: T, there: T) {
    let (mut sender, mut receiver) = ends(here, there);
    let packet = inner();
    let mut buffer = room(&packet);
    let mut payloads = Vec::new();
    let mut sent = Packet::new(&mut buffer, Span::new(200, packet.len()));
    let mut tos = 0;
    let verdict = sender.send_payload(START, &mut sent, &SAID, |outer, payload| {
        assert_eq!((outer.source(), outer.destination()), (HERE, THERE));
        tos = outer.tos();
        payloads.push(payload.to_vec());
    });
    assert!(matches!(verdict, Outbound::Send { .. }), "{verdict:?}");
    // Copied by default, but not to the segments of a connection.
    let peer = receiver.peers().at(0).unwrap();
    let arrival = receiver.peers().get(peer).unwrap().0.arrival();
    let is_connection = arrival.protocol() == IpProtocol::TCP;
    assert_eq!(tos, if is_connection { 0 } else { TOS });
    let [payload] = &mut payloads[..] else {
        panic!("{} payloads", payloads.len());
    };
    let (source, destination) = (HERE, THERE);
    let port = arrival.number();
    let meta = OuterMeta {
        source,
        destination,
        protocol: arrival.protocol(),
        source_port: 49152,
        destination_port: u16::try_from(port.unwrap()).unwrap(),
        ecn: Ecn::NotEct,
    };
    let verdict = receiver.receive_payload(START, &meta, payload);
    let Inbound::Deliver { opened, .. } = verdict else {
        panic!("{verdict:?}");
    };
    assert_eq!(opened.span().get(payload), Some(&packet[..]));
}

/// A notice is about the inner packet, and that is where it was, whatever went in front of it.
#[test]
fn a_notice_finds_the_inner_packet_where_it_was() {
    let gue = || both(Gue::new());
    let packet = inner();
    let told = |verdict: Outbound, sent: &Packet<'_>| {
        let Outbound::Send {
            notice: Some(notice),
            ..
        } = verdict
        else {
            panic!("{verdict:?}")
        };
        let mut out = vec![0; notice.len()];
        let icmp = notice.write(sent.as_slice(), &mut out).unwrap();
        assert_eq!(&icmp[28..], packet);
    };
    let mut buffer = room(&packet);
    let mut sent = Packet::new(&mut buffer, Span::new(200, packet.len()));
    let (mut sender, _) = ends(gue().0, gue().1);
    let peer = sender.peers().at(0).unwrap();
    let _ = sender.unreachable(START, peer);
    let verdict = sender.send_payload(START, &mut sent, &SAID, |_, payload| {
        assert_eq!(payload.len(), 4 + packet.len());
    });
    told(verdict, &sent);
    let _ = sender.unreachable(START, peer);
    let verdict = sender.send(START, &mut sent, &SAID, |outer| {
        assert_eq!(outer.len(), 32 + packet.len());
    });
    told(verdict, &sent);
}

/// The tunnel's overhead is all the room that a packet needs, also one that is split. Room comes first: without
/// it nothing is answered.
#[test]
fn the_overhead_is_the_room_for_fragments_too() {
    let mut buffer = vec![0; 32];
    let long = |is_whole: bool| crate::ends::inner(3000, is_whole);
    for (room, is_whole) in [(32, false), (31, false), (31, true)] {
        buffer.truncate(room);
        buffer.extend_from_slice(&long(is_whole));
        let (mut sender, _) = ends(both(Gue::new()).0, both(Gue::new()).1);
        let mut count = 0;
        let mut packet = Packet::new(&mut buffer, Span::new(room, 3000));
        let verdict = sender.send(START, &mut packet, &SAID, |_| count += 1);
        if room == 32 {
            assert!(matches!(verdict, Outbound::Split { .. }), "{verdict:?}");
            assert_eq!(count, 3);
        } else {
            let (need, have) = (32, 31);
            let cause = Cause::Encap(EncapError::NoHeadroom { need, have });
            let peer = sender.peers().at(0);
            assert_eq!((verdict, count), (Outbound::Drop { peer, cause }, 0));
        }
    }
}

fn both<S: Shim>(shim: S) -> (Tunnel<S>, Tunnel<S>) {
    (
        Tunnel::new(HERE, THERE, shim).unwrap(),
        Tunnel::new(THERE, HERE, shim).unwrap(),
    )
}

fn innermost() -> (Tunnel<IpIp>, Tunnel<IpIp>) {
    (
        Tunnel::new(INNER_HERE, INNER_THERE, IpIp).unwrap(),
        Tunnel::new(INNER_THERE, INNER_HERE, IpIp).unwrap(),
    )
}

const TCP: Tcp = Tcp::new(4500, 4500);

/// D-04: each kind, as itself and as one chosen at run time.
#[test]
fn d_04_every_kind_passes_both_ways() {
    macro_rules! each {
        ($($pair:expr),+ $(,)?) => { $({
            let (here, there) = $pair;
            passes(here, there);
            passes(AnyTunnel::from(here), AnyTunnel::from(there));
        })+ };
    }
    each!(
        both(IpIp),
        both(Fou::new(5555)),
        both(Gue::new()),
        both(GueVariant1::new()),
        both(GreInUdp::new(Gre::new())),
        both(Gre::new().with_key(7)),
        both(TCP),
        both(TCP.with_framing(LengthPrefix::Exclusive)),
        both(TCP.with_framing(LengthPrefix::Inclusive)),
        (
            MinEnc::new(HERE, THERE).unwrap(),
            MinEnc::new(THERE, HERE).unwrap()
        ),
    );
}

/// D-04: each kind that a socket of the host carries.
#[test]
fn d_04_every_kind_over_a_socket_passes_as_payload() {
    macro_rules! each {
        ($($pair:expr),+ $(,)?) => { $({
            let (here, there) = $pair;
            passes_as_payload(here, there);
            passes_as_payload(AnyTunnel::from(here), AnyTunnel::from(there));
        })+ };
    }
    each!(
        both(Fou::new(5555)),
        both(Gue::new()),
        both(GueVariant1::new()),
        both(GreInUdp::new(Gre::new())),
        both(TCP),
        both(TCP.with_framing(LengthPrefix::Exclusive)),
        both(TCP.with_framing(LengthPrefix::Inclusive)),
    );
}

/// N-18, L-08: stacks in every form, references to tunnels, and directions that differ.
#[test]
fn n_18_stacks_and_references_pass_both_ways() {
    let (inside, inside_there) = innermost();
    let (fou, fou_there) = both(Fou::new(5555));
    let tuple = ((inside, fou), (inside_there, fou_there));
    passes(tuple.0, tuple.1);
    passes_as_payload(tuple.0, tuple.1);

    let [here, there] = [
        [AnyTunnel::from(inside), AnyTunnel::from(fou)],
        [AnyTunnel::from(inside_there), AnyTunnel::from(fou_there)],
    ];
    passes(here, there);
    passes_as_payload(here, there);
    let (here, there): (&'static [AnyTunnel], &'static [AnyTunnel]) = (
        memory(here, 1).as_flattened(),
        memory(there, 1).as_flattened(),
    );
    passes(here, there);
    passes_as_payload(here, there);
    let (here, there) = (&*memory(fou, 1), &*memory(fou_there, 1));
    passes(here, there);
    passes_as_payload(&here[0], &there[0]);

    // We listen on another port than the peer does.
    let (own_port, far_port) = (Fou::new(5556), Fou::new(5557));
    let sending = Tunnel::new(HERE, THERE, far_port).unwrap();
    let answering = Tunnel::new(THERE, HERE, own_port).unwrap();
    let (here, there) = (
        TwoWay::new(sending, own_port),
        TwoWay::new(answering, far_port),
    );
    assert_eq!(here.receiving(), own_port);
    assert_eq!(here.overhead(), 28);
    assert_eq!(here.max_len(), u16::MAX);
    passes(here, there);
    passes_as_payload(here, there);
}

/// Sends two packets, and compares the numbers of their segments, which begin at `at`.
fn segments_follow<T: PeerTunnel + 'static>(tunnel: T, at: usize) {
    let far = memory(prefix(FAR), 1);
    let peers = OnePeer::new(tunnel, far);
    let mut sender = Endpoint::new(peers, memory(Path::default(), 1), EndpointConfig::default());
    let packet = inner();
    let mut segments = Vec::new();
    for _ in 0..2 {
        let mut buffer = room(&packet);
        let mut sent = Packet::new(&mut buffer, Span::new(200, packet.len()));
        let _ = sender.send(START, &mut sent, &SAID, |outer| {
            segments.push(outer[at..].to_vec());
        });
    }
    let number = |segment: &[u8]| u32::from_be_bytes(segment[4..8].try_into().unwrap());
    let payload_len = segments[0].len() - usize::from(segments[0][12] >> 4) * 4;
    let expected = number(&segments[0]) + u32::try_from(payload_len).unwrap();
    assert_eq!(number(&segments[1]), expected, "behind {payload_len} bytes");
}

/// RFC 9293 §3.4: a segment begins where the one before has ended, whatever the segments carry.
#[test]
fn the_segments_of_an_endpoint_follow_one_another() {
    let (inside, _) = innermost();
    for tcp in [
        TCP,
        TCP.with_timestamps(1, 2),
        TCP.with_framing(LengthPrefix::Exclusive),
        TCP.with_framing(LengthPrefix::Inclusive),
    ] {
        let (outermost, _) = both(tcp);
        let further_in = Tunnel::new(INNER_HERE, INNER_THERE, tcp).unwrap();
        let (ipip, _) = both(IpIp);
        segments_follow(outermost, 20);
        segments_follow(AnyTunnel::from(outermost), 20);
        segments_follow(memory(outermost, 1).first().unwrap(), 20);
        segments_follow(TwoWay::new(outermost, IpIp), 20);
        segments_follow((inside, outermost), 20);
        segments_follow((further_in, ipip), 40);
        segments_follow((further_in, outermost), 20);
        segments_follow([AnyTunnel::from(inside), AnyTunnel::from(outermost)], 20);
        segments_follow([AnyTunnel::from(further_in), AnyTunnel::from(ipip)], 40);
        let three = [
            AnyTunnel::from(further_in),
            AnyTunnel::from(inside),
            AnyTunnel::from(outermost),
        ];
        segments_follow(memory(three, 1).as_flattened(), 20);
    }
}

/// A receiver of a stack takes off each layer, and knows the outermost one.
#[test]
fn l_01_a_receiver_of_layers_knows_its_outermost() {
    let (inside, inside_there) = innermost();
    let (outer, outer_there) = both(Fou::new(5555).with_source_port(SourcePort::Fixed(49152)));
    let stack = [AnyTunnel::from(inside), AnyTunnel::from(outer)];
    let mut buffer = room(&inner());
    let mut packet = Packet::new(&mut buffer, Span::new(200, inner().len()));
    packet.wrap(&stack, &SAID).unwrap();

    let receiving = [AnyTunnel::from(inside_there), AnyTunnel::from(outer_there)];
    let any = [Prefix::ANY];
    let access = PointToPoint::new(INNER_THERE, INNER_HERE, &any);
    let receiver = receiving.peer_receiver(access, InnerPolicy::default());
    assert_eq!(receiver.layers(), 2);
    let outermost =
        receiving[1..].peer_receiver(PointToPoint::new(THERE, HERE, &any), InnerPolicy::DEFAULT);
    assert!(outermost.recognises(Ipv4::parse(packet.as_slice()).unwrap()));
    assert_eq!(receiver.inspect(packet.as_slice()).unwrap().layers(), 2);
    assert_eq!(PeerPolicy::default(), PeerPolicy::DEFAULT);
    assert_eq!(receiving.inner_ends(), (INNER_THERE, INNER_HERE));
}

/// Every cause has a number of its own, a name and a sentence.
#[test]
fn causes_have_numbers_names_and_sentences() {
    use ipencap::error::{
        EncapError, FragmentError, Ignored, PathMtuIgnored, Reason, ReassemblyError, Refused,
        Silence,
    };
    let causes = [
        Cause::NoPeer,
        Cause::MtuTooSmall,
        Cause::SegmentTooLong,
        Cause::RateLimited,
        Cause::NotOurs,
        Cause::RoutingLoop,
        Cause::Encap(EncapError::TtlZero),
        Cause::Fragment(FragmentError::FragmentationNeeded { mtu: 1480 }),
        Cause::Silent(Silence::Multicast),
        Cause::Refused(Refused::new(Reason::UnknownPeer)),
        Cause::Reassembly(ReassemblyError::EmptyFragment),
        Cause::Ignored(Ignored::BadChecksum),
        Cause::PathMtu(PathMtuIgnored::NeverSent),
    ];
    let names: Vec<(usize, &str, &str)> = Cause::counters().collect();
    let numbers: BTreeSet<usize> = names.iter().map(|&(number, ..)| number).collect();
    assert_eq!(numbers.len(), names.len(), "no two are equal");
    assert!(numbers.iter().all(|&number| number < Cause::COUNT));
    let mut sentences = BTreeSet::new();
    for cause in causes {
        let found = names.iter().find(|&&(number, ..)| number == cause.index());
        assert_eq!(
            found.map(|&(.., name)| name),
            Some(cause.name()),
            "{cause:?}"
        );
        assert!(sentences.insert(cause.to_string()), "{cause}");
        assert!(cause.to_string().len() > 15, "{cause}");
    }
    assert_eq!(Counters::default(), Counters::new());
}

/// What a tunnel shows of itself names its ends and what it does.
#[test]
fn kinds_show_their_ends() {
    let minenc = format!("{:?}", MinEnc::new(HERE, THERE).unwrap());
    for part in [
        "MinEnc",
        "keeps_source: true",
        &HERE.to_string(),
        &THERE.to_string(),
    ] {
        assert!(minenc.contains(part), "{minenc}");
    }
}
