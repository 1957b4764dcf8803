//! Rules that no vector, table or law is about.

#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    reason = "a test that panics fails"
)]

use core::net::Ipv4Addr;
use core::num::NonZeroU8;

use ipencap::Span;
use ipencap::decap::{Decapsulate, OuterMeta, Receiver, inspect_without_filter};
use ipencap::decap::{Edge, Peer, PointToPoint, Prefix};
use ipencap::encap::{
    AnyTunnel, DfPolicy, DscpPolicy, EcnPolicy, Encapsulate, IdSource, InnerChecksum, MinEnc,
    OuterPolicy, PerPacket, Role, Rules, TtlPolicy, Tunnel,
};
use ipencap::error::{EncapError, ParseError, Reason, Refused};
use ipencap::mtu::fragment_count;
use ipencap::packet::Facts;
use ipencap::shim::{
    ChecksumPolicy, Fou, Gre, GreInUdp, Gue, GueVariant1, IpIp, PortRange, SequenceWindow, Shim,
    SourcePort, Tcp,
};
use ipencap::wire::{Dscp, Ecn, HeaderOptions, IpProtocol, Ipv4, LengthPrefix, TcpFlags};
use ipencap_kit::oracle::{self, Plain};

const L: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const R: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
static ANY: [Prefix; 1] = [Prefix::ANY];

/// A UDP datagram to the given port, in a packet of its own.
fn inner(destination_port: u8) -> Vec<u8> {
    Plain::of(17).packet(&[0x9c, 0x40, 0, destination_port, 0, 8, 0, 0])
}

fn from_peer() -> PointToPoint<'static> {
    PointToPoint::new(R, L, &ANY)
}

/// `packet` in a buffer, `start` bytes behind its beginning.
fn wrap_at(start: usize, packet: &[u8]) -> Vec<u8> {
    let mut buffer = vec![0; start + 20];
    buffer.extend(packet);
    let inner = Span::new(start + 20, packet.len());
    ipencap::encap(
        &Tunnel::new(L, R, IpIp).unwrap(),
        &mut buffer,
        inner,
        &PerPacket::new(),
    )
    .unwrap();
    buffer
}

fn wrap(tunnel: &dyn Encapsulate, packet: &[u8]) -> Vec<u8> {
    let overhead = tunnel.overhead();
    let mut buffer = [&vec![0; overhead], packet].concat();
    let inner = Span::new(overhead, packet.len());
    ipencap::encap(tunnel, &mut buffer, inner, &PerPacket::new()).unwrap();
    buffer
}

/// The distance to the next 16-byte boundary is whatever the allocator gave and one more each time.
#[test]
fn v_16_any_alignment() {
    let packet = inner(53);
    let expected = wrap_at(0, &packet);
    for start in 0..16 {
        let mut buffer = wrap_at(start, &packet);
        let outer = &mut buffer[start..];
        assert_eq!(*outer, expected, "{start}");
        let header = *Ipv4::parse(outer).unwrap().header();
        assert_eq!((header.source(), header.destination()), (L, R), "{start}");
        assert_eq!(
            (header.total_len(), header.checksum()),
            (48, 0xd492),
            "{start}"
        );
        let receiver: Receiver<IpIp, _> = Receiver::new(IpIp, from_peer());
        assert_eq!(
            ipencap::decap(&receiver, outer).unwrap().packet,
            packet,
            "{start}"
        );
    }
}

/// Up to eight, as [`Plain`]'s packets are nested; the ninth header is not looked behind.
#[test]
fn l_05_flows_are_looked_for_behind_eight_headers() {
    let mut packet = inner(53);
    let innermost = Facts::read(&packet).unwrap().flow();
    let mut flows = Vec::new();
    for _ in 0..10 {
        packet = wrap_at(0, &packet);
        flows.push(Facts::read(&packet).unwrap().flow() == innermost);
    }
    assert_eq!(
        flows,
        [true, true, true, true, true, true, true, true, false, false]
    );
}

/// A flow is looked for only behind IP-in-IP headers of whole packets, in what is a packet and nothing else.
#[test]
fn l_05_where_flows_are_not_looked_for() {
    let packet = inner(53);
    let around = |protocol, flags_offset, payload: &[u8]| {
        let header = Plain {
            tos: 0,
            identification: 0,
            flags_offset,
            ttl: 64,
            protocol,
            source: L.octets(),
            destination: R.octets(),
            options: vec![],
        };
        Facts::read(&header.packet(payload)).unwrap().flow()
    };
    let of_packet = Facts::read(&packet).unwrap().flow();
    assert_eq!(around(4, 0x4000, &packet), of_packet);
    let mut broken = packet.clone();
    broken[8] ^= 1;
    let others = [
        (253, 0x4000, packet.clone()),
        (4, 0x2000, packet.clone()),
        (4, 0x0001, packet.clone()),
        (4, 0x4000, [&packet[..], &[0; 4]].concat()),
        (4, 0x4000, packet[..27].to_vec()),
        (4, 0x4000, broken),
    ];
    for (protocol, flags_offset, payload) in others {
        let flow = around(protocol, flags_offset, &payload);
        let ends = (flow.source, flow.destination, flow.protocol.0);
        assert_eq!(ends, (L, R, protocol), "{flags_offset:04x} {payload:02x?}");
        assert_eq!((flow.source_port, flow.destination_port), (0, 0));
    }
}

#[test]
fn u_10_length_0() {
    let mut outer = wrap(&Tunnel::new(L, R, Fou::new(5555)).unwrap(), &inner(53));
    outer[24..26].fill(0);
    let receiver = Receiver::new(Fou::new(5555), from_peer());
    let refused = ipencap::decap(&receiver, &mut outer).unwrap_err();
    assert_eq!(refused.reason, Reason::UdpBadLength);
}

#[test]
fn u_12_any_source_port() {
    let packet = inner(53);
    let receiver = Receiver::new(Fou::new(5555), from_peer());
    for port in 0..=u16::MAX {
        let fou = Fou::new(5555)
            .with_source_port(SourcePort::Fixed(port))
            .with_checksum(ChecksumPolicy::Zero);
        let tunnel = Tunnel::new(L, R, fou).unwrap();
        let mut outer = wrap(&tunnel, &packet);
        assert_eq!(outer[20..22], port.to_be_bytes());
        assert_eq!(
            ipencap::decap(&receiver, &mut outer).unwrap().packet,
            packet,
            "{port}"
        );
    }
}

#[test]
fn u_14_constant_source_port() {
    let port_of = |tunnel: &Tunnel<Fou>, packet: &[u8]| wrap(tunnel, packet)[20..22].to_vec();
    let spread = Tunnel::new(L, R, Fou::new(5555)).unwrap();
    let constant = Fou::new(5555).with_source_port(SourcePort::Fixed(0xc123));
    let constant = Tunnel::new(L, R, constant).unwrap();
    let flows = [53, 54, 55, 56].map(inner);
    for packet in &flows {
        assert_eq!(port_of(&constant, packet), [0xc1, 0x23]);
    }
    // The control: these are flows that entropy tells apart.
    let mut spread_ports = flows.map(|packet| port_of(&spread, &packet)).to_vec();
    spread_ports.sort();
    spread_ports.dedup();
    assert_eq!(spread_ports.len(), 4);
}

#[test]
fn s_03_options_of_tcp() {
    // NOP, NOP, timestamps, MSS, end; what is behind the end is no option.
    let options = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 2, 4, 5, 0xb4, 0, 8];
    let found: Vec<_> = HeaderOptions::new(&options)
        .map(|option| option.map(|option| (option.kind(), option.data().to_vec())))
        .collect();
    let expected = [
        Ok((1, vec![])),
        Ok((1, vec![])),
        Ok((8, vec![0, 0, 0, 1, 0, 0, 0, 2])),
        Ok((2, vec![5, 0xb4])),
    ];
    assert_eq!(found, expected);
    for broken in [&[2][..], &[2, 0], &[2, 1, 0, 0], &[2, 4, 5]] {
        let answers: Vec<_> = HeaderOptions::new(broken).collect();
        let bad = matches!(answers[..], [Err(ParseError::BadOption { .. })]);
        assert!(bad, "{broken:?}: {answers:?}");
    }
}

/// RFC 791's procedure, counted step by step.
#[test]
fn x_01_x_03_fragments_are_counted_as_they_would_be_made() {
    let count = |total_len: u32, header_len: u32, mtu: u32| {
        if total_len <= mtu {
            return Some(1);
        }
        let room = mtu.checked_sub(header_len)? / 8 * 8;
        if room == 0 {
            return None;
        }
        let mut left = total_len - header_len;
        let mut fragments = 1;
        while left + header_len > mtu {
            left -= room;
            fragments += 1;
        }
        Some(fragments)
    };
    for header_len in (20..=60).step_by(4) {
        for mtu in (0..140).chain([576, 1280, 1480, 1500, 9000, 65535]) {
            for total_len in (header_len..700).chain([1480, 1481, 1500, 9000, 65535]) {
                assert_eq!(
                    fragment_count(total_len, header_len, mtu),
                    count(total_len, header_len, mtu),
                    "{total_len} {header_len} {mtu}"
                );
            }
        }
    }
}

/// Of a tunnel with ports only what goes to its port is its own; of the others all of the protocol is.
#[test]
fn l_04_a_tunnels_own_packet_would_loop() {
    let packet = inner(53);
    let (other, there) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2));
    let wrapped = |tunnel: &dyn Encapsulate| Facts::read(&wrap(tunnel, &packet)).unwrap();
    let ipip = Tunnel::new(L, R, IpIp).unwrap();
    let gre = Tunnel::new(L, R, Gre::new()).unwrap();
    assert!(ipip.would_loop(&wrapped(&ipip)));
    assert!(!ipip.would_loop(&wrapped(&gre)));
    let key = Tunnel::new(L, R, Gre::new().with_key(1)).unwrap();
    let elsewhere = Tunnel::new(L, there, Gre::new()).unwrap();
    let from_elsewhere = Tunnel::new(other, R, Gre::new()).unwrap();
    let answers = [&gre, &key, &elsewhere, &from_elsewhere].map(|it| gre.would_loop(&wrapped(it)));
    assert_eq!(answers, [true, true, false, false]);

    let fou = Tunnel::new(L, R, Fou::new(5555)).unwrap();
    let answers = [5555, 5556].map(|port| {
        let same = Tunnel::new(L, R, Fou::new(port)).unwrap();
        fou.would_loop(&wrapped(&same))
    });
    assert_eq!(answers, [true, false]);
    assert!(!fou.would_loop(&wrapped(&gre)));

    let tcp = Tunnel::new(L, R, Tcp::new(40000, 443)).unwrap();
    let answers = [(40000, 443), (1, 443), (40000, 444)].map(|(from, to)| {
        let same = Tunnel::new(L, R, Tcp::new(from, to)).unwrap();
        tcp.would_loop(&wrapped(&same))
    });
    assert_eq!(answers, [true, true, false]);
}

/// The verdict on this inner packet, from the peer to `receiver`.
fn verdict<A: ipencap::decap::Access>(
    receiver: &Receiver<IpIp, A>,
    packet: &[u8],
) -> Option<Reason> {
    let refused = receiver.inspect(&wrap_at(0, packet)).err()?;
    Some(refused.reason)
}

fn to(destination: Ipv4Addr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let header = Plain {
        destination: destination.octets(),
        ..Plain::of(protocol)
    };
    header.packet(payload)
}

#[test]
fn d_19_packets_to_the_peer_where_they_are_let_through() {
    let receiver = Receiver::new(IpIp, from_peer());
    let to_peer = to(L, 253, &[]);
    assert_eq!(verdict(&receiver, &to_peer), Some(Reason::LoopToPeer));
    let receiver = receiver.allowing_destination_peer();
    assert_eq!(verdict(&receiver, &to_peer), None);
    // Another endpoint stays one.
    let other = Ipv4Addr::new(192, 0, 2, 7);
    let peers = [Peer::new(Prefix::host(L), &ANY)];
    let ends = [other];
    let receiver = Receiver::new(IpIp, Edge::new(&[R], &peers).with_endpoints(&ends));
    let receiver = receiver.allowing_destination_peer();
    let refused = verdict(&receiver, &to(other, 253, &[]));
    assert_eq!(refused, Some(Reason::LoopToPeer));
}

/// A balancer's backend gets the packets that it sent to the service itself: E-16 there, D-15 here.
#[test]
fn d_15_packets_from_our_own_address_where_they_are_let_through() {
    let policy = OuterPolicy {
        hairpin: true,
        ..OuterPolicy::DEFAULT
    };
    let balancer = Tunnel::new(L, R, IpIp).unwrap().with_policy(policy);
    let called = Plain {
        source: R.octets(),
        ..Plain::of(253)
    };
    let mut buffer = vec![0; 20];
    buffer.extend(called.packet(&[]));
    let inner = Span::new(20, buffer.len() - 20);
    let outer = ipencap::encap(&balancer, &mut buffer, inner, &PerPacket::new()).unwrap();
    let receiver = balancer.receiver(from_peer());
    let refused = receiver.inspect(outer).unwrap_err();
    assert_eq!(refused.reason, Reason::InnerSourceIsLocal);
    let receiver = receiver.allowing_own_source();
    assert_eq!(receiver.inspect(outer).unwrap().span(), inner);
    // The access list is asked all the same.
    let others = PointToPoint::new(R, L, &[]);
    let refused = balancer
        .receiver(others)
        .allowing_own_source()
        .inspect(outer);
    assert_eq!(refused.unwrap_err().reason, Reason::InnerSourceNotAllowed);
}

/// A packet to one of our own addresses is opened again only if it is for a tunnel.
#[test]
fn d_20_packets_to_our_own_address() {
    let peers = [Peer::new(Prefix::host(L), &ANY)];
    let access = Edge::new(&[R], &peers).with_tunnel_ports(&[5555]);
    let receiver = Receiver::new(IpIp, access);
    let ports = |port: u8| [0x15, 0xb3, 0x15, port, 0, 8, 0, 0];
    let limit = Some(Reason::NestingLimit);
    for (protocol, payload, expected) in [
        (17, &ports(0xb3)[..], limit),
        (6, &ports(0xb3), limit),
        (17, &ports(0xb4), None),
        (17, &ports(0xb3)[..3], None),
        (1, &ports(0xb3), None),
        (132, &ports(0xb3), None),
        (4, &[], limit),
        (47, &[], limit),
    ] {
        let packet = to(R, protocol, payload);
        assert_eq!(
            verdict(&receiver, &packet),
            expected,
            "{protocol} {payload:?}"
        );
        // In transit, it is none of our business.
        let packet = to(Ipv4Addr::new(192, 0, 2, 7), protocol, payload);
        assert_eq!(verdict(&receiver, &packet), None, "{protocol} {payload:?}");
    }
    // Behind the first fragment there are no ports.
    let mut later = to(R, 17, &ports(0xb3));
    later[7] = 1;
    oracle::fill_checksum(&mut later);
    assert_eq!(verdict(&receiver, &later), None);
}

/// Makes all of these bytes the outer packet.
fn lengthen(outer: &mut [u8]) {
    let len = u16::try_from(outer.len()).unwrap();
    oracle::put_u16(outer, 2, len);
    oracle::fill_checksum(outer);
}

/// Who sent it is not asked; what it is must still be right.
#[test]
fn d_03_d_04_d_13_s_20_without_a_filter() {
    fn reason(shim: &impl Shim, packet: &[u8]) -> Option<Reason> {
        let refused = inspect_without_filter(shim, packet).err()?;
        Some(refused.reason)
    }
    let martian = to(Ipv4Addr::LOCALHOST, 253, &[]);
    assert_eq!(reason(&IpIp, &wrap_at(0, &martian)), None);
    let fou = Fou::new(5555);
    assert_eq!(reason(&fou, &wrap_at(0, &martian)), Some(Reason::NotTunnel));
    let mut fragment = wrap_at(0, &martian);
    fragment[6] = 0x20;
    oracle::fill_checksum(&mut fragment);
    assert_eq!(reason(&IpIp, &fragment), Some(Reason::OuterFragment));
    let mut dead = wrap_at(0, &martian);
    dead[28] = 0;
    oracle::fill_checksum(&mut dead[20..]);
    assert_eq!(reason(&IpIp, &dead), Some(Reason::InnerTtlZero));

    // A segment must be filled, any other packet need not.
    let tunnel = Tunnel::new(L, R, Tcp::new(40000, 443)).unwrap();
    for slack in [0, 1] {
        let mut buffer = [&wrap(&tunnel, &martian), &vec![0; slack][..]].concat();
        lengthen(&mut buffer);
        let header = Plain {
            source: L.octets(),
            destination: R.octets(),
            ..Plain::of(6)
        };
        oracle::refill(&header, &mut buffer[20..]);
        let expected = (slack > 0).then_some(Reason::InnerLengthMismatch);
        assert_eq!(reason(&Tcp::new(0, 443), &buffer), expected);
        let mut longer = [&wrap_at(0, &martian), &vec![0; slack][..]].concat();
        lengthen(&mut longer);
        let opened = inspect_without_filter(&IpIp, &longer).unwrap();
        assert_eq!(usize::from(opened.slack()), slack, "D-12");
    }
}

/// A receiver whose kind was chosen at run time answers as that kind does, and the kinds without sockets refuse.
#[test]
fn d_04_payloads_of_a_kind_chosen_at_run_time() {
    fn tunnel<S: Shim>(shim: S) -> AnyTunnel
    where
        AnyTunnel: From<Tunnel<S>>,
    {
        Tunnel::new(R, L, shim).unwrap().into()
    }
    let packet = inner(53);
    let meta = |protocol| OuterMeta {
        source: L,
        source_port: 40000,
        destination: R,
        protocol,
        destination_port: 443,
        ecn: Ecn::NotEct,
    };
    let behind_gue = [&[0, 4, 0, 0][..], &packet].concat();
    let with_gre = [&[0, 0, 8, 0][..], &packet].concat();
    let there = |tunnel: AnyTunnel| tunnel.receiver(from_peer());
    let (udp, tcp) = (IpProtocol::UDP, IpProtocol::TCP);
    for (kind, protocol, payload, start) in [
        (tunnel(Fou::new(443)), udp, &packet, 0),
        (
            tunnel(Gue::new().with_destination_port(443)),
            udp,
            &behind_gue,
            4,
        ),
        (
            tunnel(GueVariant1::new().with_destination_port(443)),
            udp,
            &packet,
            0,
        ),
        (
            tunnel(GreInUdp::new(Gre::new()).with_destination_port(443)),
            udp,
            &with_gre,
            4,
        ),
        (tunnel(Tcp::new(443, 443)), tcp, &packet, 0),
    ] {
        let opened = there(kind)
            .inspect_payload(&meta(protocol), payload)
            .unwrap();
        assert_eq!(opened.span(), Span::new(start, packet.len()), "{kind:?}");
    }
    for kind in [
        tunnel(IpIp),
        tunnel(Gre::new()),
        MinEnc::new(R, L).unwrap().into(),
    ] {
        let refused = there(kind)
            .inspect_payload(&meta(udp), &packet)
            .unwrap_err();
        assert_eq!(refused.reason, Reason::NotTunnel, "{kind:?}");
    }
}

/// A socket of another port is another tunnel's.
#[test]
fn d_04_payloads_from_a_socket() {
    let packet = inner(53);
    let framed = [&[0, 28][..], &packet].concat();
    let receiver = Receiver::new(
        Tcp::new(0, 443).with_framing(LengthPrefix::Exclusive),
        from_peer(),
    );
    for (destination_port, expected) in [(443, None), (444, Some(Reason::NotTunnel))] {
        let meta = |protocol| OuterMeta {
            source: L,
            source_port: 40000,
            destination: R,
            protocol,
            destination_port,
            ecn: Ecn::NotEct,
        };
        let (segment, datagram) = (meta(IpProtocol::TCP), meta(IpProtocol::UDP));
        let reason = |refused: Refused| refused.reason;
        let verdict = receiver.inspect_payload(&segment, &framed).err();
        assert_eq!(verdict.map(reason), expected);
        let udp = Receiver::new(Fou::new(443), from_peer());
        let verdict = udp.inspect_payload(&datagram, &packet).err();
        assert_eq!(verdict.map(reason), expected);
        // Neither takes what came by the other.
        for verdict in [
            receiver.inspect_payload(&datagram, &framed),
            udp.inspect_payload(&segment, &packet),
        ] {
            assert_eq!(verdict.err().map(reason), Some(Reason::NotTunnel));
        }
    }
}

/// RFC 8086, RFC 2890 §2: the number is told behind a socket, too, if numbers are asked for.
#[test]
fn r_11_sequence_numbers_from_a_socket() {
    let payload = [&[0x10, 0, 8, 0, 0, 0, 1, 2][..], &inner(53)].concat();
    let meta = OuterMeta {
        source: L,
        source_port: 50000,
        destination: R,
        protocol: IpProtocol::UDP,
        destination_port: 4754,
        ecn: Ecn::NotEct,
    };
    let gre = Gre::new();
    for (gre, sequence) in [(gre, None), (gre.with_sequence(), Some(0x0102))] {
        let receiver = Receiver::new(GreInUdp::new(gre), from_peer());
        let opened = receiver.inspect_payload(&meta, &payload).unwrap();
        assert_eq!(opened.sequence(), sequence);
        assert_eq!(opened.span().get(&payload), Some(&inner(53)[..]));
    }
}

/// C-22: no device fills in behind a socket; E-23: and nothing is written.
#[test]
fn c_22_e_01_e_23_payloads_that_are_refused() {
    let tunnel = Tunnel::new(L, R, Gue::new()).unwrap();
    let partial = PerPacket::new().with_inner_checksum(InnerChecksum::Partial);
    let mut broken = inner(53);
    broken[10] ^= 1;
    let wrong = EncapError::from(ParseError::BadChecksum);
    let room = EncapError::NoHeadroom { need: 4, have: 3 };
    for (frame, said, error) in [
        (
            &[&[0xa5; 4], &inner(53)[..]].concat(),
            partial,
            EncapError::PartialChecksum,
        ),
        (&[&[0xa5; 4], &broken[..]].concat(), PerPacket::new(), wrong),
        (&vec![0xa5; 3], PerPacket::new(), room),
    ] {
        let mut written = frame.clone();
        assert_eq!(tunnel.encap_payload(&mut written, &said), Err(error));
        assert_eq!(written, *frame);
    }
}

/// E-17, E-18, I-14, as of every other tunnel.
#[test]
fn e_17_e_18_i_14_minimal_encapsulation() {
    let from = |source: Ipv4Addr, payload_len: usize| {
        let header = Plain {
            source: source.octets(),
            ..Plain::of(253)
        };
        Facts::read(&header.packet(&vec![0; payload_len])).unwrap()
    };
    let tunnel = MinEnc::new(L, R).unwrap();
    let forwarding = tunnel.with_role(Role::Forward);
    let judged = |tunnel: &MinEnc, inner: &Facts, said: &PerPacket| {
        tunnel
            .check(inner, said, Rules::Explained)
            .map(|outer| outer.len())
    };
    let said = PerPacket::new();
    let to_exit = Err(EncapError::LoopToExit { layer: 0 });
    let own_source = Err(EncapError::LoopOwnSource { layer: 0 });
    assert_eq!(judged(&tunnel, &from(R, 0), &said), to_exit);
    assert_eq!(judged(&tunnel, &from(L, 0), &said), Ok(32));
    assert_eq!(judged(&forwarding, &from(L, 0), &said), own_source);
    let other = Ipv4Addr::new(10, 1, 0, 5);
    assert_eq!(judged(&forwarding, &from(other, 0), &said), Ok(32));
    let hidden = tunnel.without_source();
    for (mtu, shim, tunnel, packet_mtu) in [
        (1500, 12, tunnel.with_link_mtu(Some(1500)), 65535),
        (1400, 12, tunnel.with_link_mtu(Some(1500)), 1400),
        (1500, 12, tunnel.with_link_mtu(Some(1500)), 1600),
        (1500, 8, hidden, 1500),
    ] {
        let said = PerPacket::new().with_link_mtu(packet_mtu);
        let longest = from(L, usize::from(mtu - shim - 20));
        assert_eq!(judged(&tunnel, &longest, &said), Ok(u32::from(mtu)));
        let longer = from(L, usize::from(mtu - shim - 19));
        let error = EncapError::FragmentationNeeded { mtu: mtu - shim };
        assert_eq!(judged(&tunnel, &longer, &said), Err(error));
    }
}

#[test]
fn a_packet_of_which_nothing_is_said() {
    let said = PerPacket::default();
    assert_eq!(said, PerPacket::new());
    assert_eq!((said.identification(), said.sequence()), (None, None));
    assert_eq!((said.link_mtu(), said.flow_hash()), (None, None));
    assert_eq!(said.inner_checksum(), InnerChecksum::Complete);
    assert_eq!(said.tcp_numbers(), (0, 0));
}

/// I-14, C-34: a super-packet is judged by the packets that it will be cut into, at every layer.
#[test]
fn i_14_c_34_super_packets_are_judged_by_their_segments() {
    let inner = inner(53);
    let super_packet = |len: u16| {
        let mut header = *Ipv4::parse(&inner).unwrap().header();
        header.set_total_len(len);
        header.set_protocol(IpProtocol(253));
        Facts::trusted(&header)
    };
    let ipip = Tunnel::new(L, R, IpIp).unwrap();
    let minimal = MinEnc::new(L, R).unwrap();
    let far = Tunnel::new([192, 0, 2, 1].into(), [192, 0, 2, 2].into(), IpIp).unwrap();
    let middle = Tunnel::new([192, 0, 2, 5].into(), [192, 0, 2, 6].into(), IpIp).unwrap();
    let two = (ipip, far);
    let three = (ipip, (middle, far));
    let right = ((ipip, middle), far);
    let array = [ipip, middle, far];
    let mixed: [AnyTunnel; 4] = [ipip.into(), minimal.into(), middle.into(), far.into()];
    let tunnels: [&dyn Encapsulate; 7] = [
        &ipip,
        &minimal,
        &two,
        &three,
        &right,
        &array,
        &mixed.as_slice(),
    ];
    for tunnel in tunnels {
        let overhead = u16::try_from(tunnel.overhead()).unwrap();
        let link = 1460 + overhead;
        let said = PerPacket::new().with_link_mtu(link);
        let judge = |len, said: PerPacket| {
            let meta = super_packet(len);
            tunnel
                .check(&meta, &said, Rules::Explained)
                .map(|outer| outer.len())
        };
        let needed = Err(EncapError::FragmentationNeeded { mtu: 1460 });
        // cilium#48782: segments of 1460 pass, segments of 1461 do not.
        let outer_len = Ok(2920 + u32::from(overhead));
        assert_eq!(judge(2920, said), needed);
        assert_eq!(judge(2920, said.with_segment_len(1460)), outer_len);
        assert_eq!(judge(2920, said.with_segment_len(1461)), needed);
        // A packet that is not cut is as long as it is.
        assert_eq!(judge(1460, said.with_segment_len(9000)), Ok(link.into()));
        assert_eq!(judge(1461, said.with_segment_len(9000)), needed);
        // All of it fits 16 bits, or none (E-06).
        let segments = said.with_segment_len(1460);
        assert_eq!(judge(65535 - overhead, segments), Ok(65535));
        assert_eq!(
            judge(65535 - overhead + 1, segments),
            Err(EncapError::TooLong { len: 65536 })
        );

        // And in place: the bytes are those of the super-packet without a limit.
        let mut packet = [&inner[..], &[0; 2920]].concat();
        packet.truncate(2920);
        packet[2..4].copy_from_slice(&2920u16.to_be_bytes());
        packet[9] = 253;
        oracle::fill_checksum(&mut packet);
        let wrap = |said: &PerPacket| {
            let mut buffer = [&vec![0; tunnel.overhead()], &packet[..]].concat();
            let place = Span::new(tunnel.overhead(), packet.len());
            ipencap::encap(tunnel, &mut buffer, place, said).map(|outer| outer.to_vec())
        };
        assert_eq!(wrap(&segments), wrap(&PerPacket::new()));
        assert_eq!(wrap(&segments).unwrap().len(), 2920 + usize::from(overhead));
        assert_eq!(
            wrap(&said.with_segment_len(1461)),
            needed.map(|_: u32| Vec::new())
        );
    }
}

/// U-13: 49152 to 65535.
#[test]
fn u_13_the_default_source_port_spreads() {
    let by_default = Tunnel::new(L, R, Fou::new(5555)).unwrap();
    let said = Fou::new(5555).with_source_port(SourcePort::default());
    let said = Tunnel::new(L, R, said).unwrap();
    for port in [53, 54] {
        let made = wrap(&said, &inner(port));
        assert!((49152..=65535).contains(&oracle::u16_at(&made, 20)));
        assert_eq!(made, wrap(&by_default, &inner(port)));
    }
    let dynamic = SourcePort::Entropy {
        seed: 0,
        range: PortRange::Dynamic,
    };
    assert_eq!(SourcePort::default(), dynamic);
}

/// RFC 9293 §3.1: the flags are the low bits of the word behind the numbers.
#[test]
fn s_04_flags_of_a_segment() {
    let packet = inner(53);
    for (flags, expected) in [
        (TcpFlags::ACK, 0x10),
        (TcpFlags::PSH | TcpFlags::ACK | TcpFlags::FIN, 0x19),
        (TcpFlags::empty(), 0),
    ] {
        let tcp = Tcp::new(40000, 443).with_flags(flags);
        let tunnel = Tunnel::new(L, R, tcp).unwrap();
        let mut buffer = wrap(&tunnel, &packet);
        assert_eq!(buffer[32..34], [0x50, expected]);
        let receiver = Receiver::new(Tcp::new(0, 443), from_peer());
        assert_eq!(
            ipencap::decap(&receiver, &mut buffer).unwrap().packet,
            packet
        );
    }
}

/// Every policy by itself and all of them, with every value that differs.
fn policies() -> Vec<OuterPolicy> {
    let all = OuterPolicy {
        ttl: TtlPolicy::Inherit,
        dscp: DscpPolicy::Fixed(Dscp::AF11),
        ecn: EcnPolicy::Rfc3168,
        df: DfPolicy::Copy(IdSource::PerPacket),
        atomic_identification: 9,
        role: Role::Forward,
        link_mtu: Some(1500),
        hairpin: true,
    };
    let default = OuterPolicy::DEFAULT;
    let ttl = TtlPolicy::Fixed(NonZeroU8::MAX);
    let dscp = DscpPolicy::Fixed(Dscp::DEFAULT);
    let ecn = EcnPolicy::Compatibility;
    let constant = |id| DfPolicy::Copy(IdSource::Constant(id));
    vec![
        default,
        OuterPolicy::CONNECTION,
        all,
        OuterPolicy {
            ttl: all.ttl,
            ..default
        },
        OuterPolicy { ttl, ..default },
        OuterPolicy {
            dscp: all.dscp,
            ..default
        },
        OuterPolicy { dscp, ..default },
        OuterPolicy {
            dscp,
            ecn,
            ..default
        },
        OuterPolicy { ecn, ..default },
        OuterPolicy {
            ecn: all.ecn,
            ..default
        },
        OuterPolicy {
            df: all.df,
            ..default
        },
        OuterPolicy {
            df: constant(0),
            ..default
        },
        OuterPolicy {
            df: constant(0xbeef),
            ..all
        },
        OuterPolicy {
            atomic_identification: 0xbeef,
            ..default
        },
        OuterPolicy {
            role: all.role,
            ..default
        },
        OuterPolicy {
            link_mtu: Some(0),
            ..default
        },
        OuterPolicy {
            link_mtu: Some(65534),
            ..default
        },
        OuterPolicy {
            hairpin: true,
            ..default
        },
    ]
}

/// A tunnel keeps what the policies come to, and still tells what was set. What was set before leaves
/// nothing behind.
#[test]
fn policies_are_told_as_they_were_set_last() {
    let tunnel = Tunnel::new(L, R, IpIp).unwrap();
    assert_eq!(tunnel.policy(), OuterPolicy::default());
    let tcp = Tunnel::new(L, R, Tcp::new(1, 2)).unwrap();
    assert_eq!(tcp.policy(), OuterPolicy::CONNECTION);
    for policy in policies() {
        let set = tunnel.with_policy(policy);
        assert_eq!(set.policy(), policy);
        assert_eq!(set == tunnel, policy == OuterPolicy::DEFAULT, "{policy:?}");
        for before in policies() {
            assert_eq!(tunnel.with_policy(before).with_policy(policy), set);
        }
        let text = format!("{set:?}");
        let expected = format!(
            "Tunnel {{ source: 198.51.100.1, destination: 203.0.113.2, policy: {policy:?}, shim: IpIp }}"
        );
        assert_eq!(text, expected);
    }
    // No limit is none, however it is said.
    let limited = OuterPolicy {
        link_mtu: Some(65535),
        ..OuterPolicy::DEFAULT
    };
    assert_eq!(tunnel.with_policy(limited), tunnel);
}

/// RFC 2890 §2.2: a number is less or equal if it is the last one or of the 2^31 - 1 before it. Linux takes
/// the same half of all numbers for newer.
#[test]
fn r_11_half_of_all_sequence_numbers_are_newer() {
    let newest = 0x1234_5678u32;
    let ahead = [
        (0, false),
        (1, true),
        (0x7fff_ffff, true),
        (0x8000_0000, true),
        (0x8000_0001, false),
        (0xffff_ffff, false),
    ];
    for (ahead, is_newer) in ahead {
        let mut window = SequenceWindow::new();
        assert!(window.accept(newest), "the first");
        let number = newest.wrapping_add(ahead);
        assert_eq!(window.accept(number), is_newer, "{ahead:#x} ahead");
        assert!(!window.accept(number), "{ahead:#x} ahead, again");
    }
}
