//! Layers together: stacks, references and the identity; what is opened layer by layer; and tunnels of
//! one's own.

#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    reason = "a test that panics fails"
)]

use core::net::Ipv4Addr;

use ipencap::decap::{
    Decapsulate, MAX_NESTING, Opened, OuterPacket, Receiver, decap_nested, inspect_nested,
};
use ipencap::decap::{Edge, Peer, PointToPoint, Prefix};
use ipencap::encap::{
    AnyTunnel, EcnPolicy, Encapsulate, MinEnc, OuterPolicy, PerPacket, Role, Rules, TtlPolicy,
    Tunnel, header,
};
use ipencap::error::{EncapError, ParseError, Reason, Refused};
use ipencap::packet::{Facts, Packet};
use ipencap::shim::{
    Carried, ChecksumPolicy, Fou, Gre, GreInUdp, Gue, InUdp, IpIp, PseudoHeader, Shim, Tcp, Udp,
};
use ipencap::wire::{EcnAlarm, IpProtocol, Ipv4};
use ipencap::{Span, encap};
use ipencap_kit::oracle::{self, Plain};

const L: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const R: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
const M: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const N: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
static ANY: [Prefix; 1] = [Prefix::ANY];

/// A packet of a protocol whose headers tell no sum.
fn packet(payload_len: usize) -> Vec<u8> {
    Plain::of(253).packet(&vec![0x42; payload_len])
}

/// A UDP datagram whose checksum tells its sum (C-20).
fn datagram() -> Vec<u8> {
    let mut payload = vec![0x9c, 0x40, 0, 53, 0, 15, 0, 0, 1, 2, 3, 4, 5, 6, 7];
    oracle::refill(&Plain::of(17), &mut payload);
    Plain::of(17).packet(&payload)
}

fn site() -> Tunnel<IpIp> {
    Tunnel::new(M, N, IpIp).unwrap()
}

fn wan() -> Tunnel<IpIp> {
    Tunnel::new(L, R, IpIp).unwrap()
}

/// One of every kind whose headers can be had by value.
fn layers(source: Ipv4Addr, destination: Ipv4Addr) -> [AnyTunnel; 9] {
    fn tunnel<S: Shim>(source: Ipv4Addr, destination: Ipv4Addr, shim: S) -> AnyTunnel
    where
        AnyTunnel: From<Tunnel<S>>,
    {
        Tunnel::new(source, destination, shim).unwrap().into()
    }
    let fou = Fou::new(5555);
    let counting = Gre::new().with_checksum().with_sequence();
    [
        tunnel(source, destination, IpIp),
        tunnel(source, destination, fou),
        tunnel(source, destination, fou.with_checksum(ChecksumPolicy::Full)),
        tunnel(source, destination, fou.with_checksum(ChecksumPolicy::Zero)),
        tunnel(source, destination, Tcp::new(40000, 443)),
        tunnel(source, destination, Gre::new().with_key(5)),
        tunnel(source, destination, counting),
        tunnel(source, destination, Gue::new()),
        tunnel(source, destination, GreInUdp::new(counting.with_key(6))),
    ]
}

const fn said() -> PerPacket {
    PerPacket::new().with_sequence(9).with_tcp_numbers(1, 2)
}

fn wrap<E: Encapsulate + ?Sized>(
    tunnel: &E,
    packet: &[u8],
    said: &PerPacket,
) -> Result<Vec<u8>, EncapError> {
    let overhead = tunnel.overhead();
    let mut buffer = [&vec![0xa5; overhead], packet].concat();
    let place = Span::new(overhead, packet.len());
    encap(tunnel, &mut buffer, place, said).map(|outer| outer.to_vec())
}

const fn from(peer: Ipv4Addr, to: Ipv4Addr) -> PointToPoint<'static> {
    PointToPoint::new(to, peer, &ANY)
}

fn reason<T>(verdict: Result<T, Refused>) -> Option<(Reason, u8)> {
    let refused = verdict.err()?;
    Some((refused.reason, refused.layer))
}

/// P-05, C-20: whatever the stack is made of, and also where only its headers are written.
#[test]
fn l_08_a_stack_is_one_layer_after_the_other() {
    for packet in [packet(30), datagram()] {
        let facts = Facts::summed(&packet).unwrap();
        for inner in layers(M, N) {
            for outer in layers(L, R) {
                let once = wrap(&inner, &packet, &said()).unwrap();
                let twice = wrap(&outer, &once, &said()).unwrap();
                let array = [inner, outer];
                let stacks: [&dyn Encapsulate; 4] = [
                    &(inner, outer),
                    &array,
                    &array.as_slice(),
                    &(&inner, ((), outer)),
                ];
                for stack in stacks {
                    assert_eq!(wrap(stack, &packet, &said()).unwrap(), twice);
                    let (headers, _) = twice.split_at(stack.overhead());
                    let by_value = header::<112, _>(stack, &facts, &said()).unwrap();
                    assert_eq!(by_value.as_slice(), headers, "{array:?}");
                }
            }
        }
        let stack = [site(), wan()];
        let twice = wrap(&wan(), &wrap(&site(), &packet, &said()).unwrap(), &said()).unwrap();
        let exact = header::<40, _>(&stack, &facts, &said()).unwrap();
        assert_eq!(exact.as_slice(), &twice[..40]);
        let error = EncapError::NoHeadroom { need: 40, have: 39 };
        assert_eq!(header::<39, _>(&stack, &facts, &said()), Err(error));
    }
}

/// C-20: only where the headers tell no sum, or the checksum is of the bytes whatever they tell.
#[test]
fn c_20_a_header_by_value_asks_for_the_sum_that_it_needs() {
    let of_other = [false, true, true, false, true, false, true, true, true];
    let of_datagram = [false, false, true, false, false, false, true, false, true];
    for (packet, needs) in [(packet(30), of_other), (datagram(), of_datagram)] {
        let facts = Facts::read(&packet).unwrap();
        for (tunnel, needs) in layers(L, R).into_iter().zip(needs) {
            let answer = header::<60, _>(&tunnel, &facts, &said()).err();
            assert_eq!(
                answer,
                needs.then_some(EncapError::UnknownSum),
                "{tunnel:?}"
            );
        }
    }
}

/// I-14: around every limit, whichever layer sets it. The MTU of the error is what all layers leave.
#[test]
fn i_14_e_06_limits_of_two_layers() {
    for (inner_mtu, outer_mtu, packet_mtu) in [
        (65535, 65535, 65535),
        (1400, 1500, 65535),
        (1500, 1400, 65535),
        (1500, 1520, 65535),
        (1500, 1500, 1450),
        (65535, 65535, 1450),
    ] {
        let limited = |mtu| OuterPolicy {
            link_mtu: Some(mtu),
            ..OuterPolicy::DEFAULT
        };
        let inner = site().with_policy(limited(inner_mtu));
        let outer = wan().with_policy(limited(outer_mtu));
        let said = PerPacket::new().with_link_mtu(packet_mtu);
        let array = [inner, outer];
        let mixed = array.map(AnyTunnel::from);
        let tunnels: [&dyn Encapsulate; 5] = [
            &(inner, outer),
            &(&inner, &outer),
            &array,
            &mixed,
            &mixed.as_slice(),
        ];

        // 65535 is no limit, but what 16 bits can say.
        let outer_limit = outer_mtu.min(packet_mtu);
        let fits = (inner_mtu - 20).min(outer_limit - 40);
        let has_mtu = [inner_mtu, outer_limit] != [65535; 2];
        for len in fits - 45..=fits.saturating_add(45) {
            let packet = packet(usize::from(len) - 20);
            let outer_len = |around: u16| u32::from(len) + u32::from(around);
            let expected = if len <= fits {
                Ok(usize::from(len) + 40)
            } else if has_mtu {
                Err(EncapError::FragmentationNeeded { mtu: fits })
            } else {
                let len = [20, 40].map(outer_len);
                let len = len.into_iter().find(|len| *len > 65535).unwrap();
                Err(EncapError::TooLong { len })
            };
            for tunnel in tunnels {
                let made = wrap(tunnel, &packet, &said).map(|outer| outer.len());
                assert_eq!(made, expected, "{len} {inner_mtu} {outer_mtu} {packet_mtu}");
            }
        }
    }
}

/// E-17, E-18: the layer is counted from the innermost.
#[test]
fn l_08_e_17_a_loop_is_told_with_its_layer() {
    let loops = Tunnel::new(R, L, IpIp).unwrap();
    let array = [site(), wan(), loops];
    let mixed = array.map(AnyTunnel::from);
    let error = Err(EncapError::LoopToExit { layer: 2 });
    let tunnels: [&dyn Encapsulate; 5] = [
        &((site(), wan()), loops),
        &(site(), (wan(), loops)),
        &(&array[..2], ((), &array[2..])),
        &array,
        &mixed.as_slice(),
    ];
    for tunnel in tunnels {
        assert_eq!(tunnel.overhead(), 60);
        assert_eq!(wrap(tunnel, &packet(30), &said()), error);
    }
    let pair = [wan(), loops];
    let tunnels: [&dyn Encapsulate; 3] = [&(wan(), loops), &pair, &pair.map(AnyTunnel::from)];
    for tunnel in tunnels {
        let error = Err(EncapError::LoopToExit { layer: 1 });
        assert_eq!(wrap(tunnel, &packet(30), &said()), error);
    }
}

/// E-19, E-23: neither is a header written half.
#[test]
fn e_19_a_frame_too_short_for_the_headers_is_left_as_it_is() {
    let gue = Gue::new().with_private_words([1, 2]).unwrap();
    let mut tunnels: Vec<Box<dyn Encapsulate>> = vec![
        Box::new(MinEnc::new(L, R).unwrap()),
        Box::new(Tunnel::new(L, R, gue).unwrap()),
    ];
    let (inside, outside) = (layers(M, N), layers(L, R));
    for (inner, outer) in inside.into_iter().zip(outside) {
        tunnels.push(Box::new(outer));
        tunnels.push(Box::new((inner, outer)));
        tunnels.push(Box::new([inner, outer]));
    }
    let facts = Facts::summed(&datagram()).unwrap();
    for tunnel in tunnels {
        let overhead = tunnel.overhead();
        tunnel.check(&facts, &said(), Rules::Explained).unwrap();
        for len in 0..overhead {
            let mut frame = vec![0xa5; len];
            tunnel.write(&mut frame, &facts, &said(), Rules::Explained);
            assert_eq!(frame, vec![0xa5; len], "{overhead} bytes");
        }
    }
    // One that ends with the headers has room for them.
    let [inner, ..] = inside;
    let stack = (inner, wan());
    let expected = wrap(&stack, &datagram(), &said()).unwrap();
    let tunnels: [&dyn Encapsulate; 2] = [&stack, &[inner, wan().into()]];
    for tunnel in tunnels {
        let checked = tunnel.check(&facts, &said(), Rules::HeadersOnly).unwrap();
        let mut frame = [0xa5; 40];
        let written = tunnel.write(&mut frame, &facts, &said(), Rules::HeadersOnly);
        assert_eq!(frame, expected[..40]);
        assert_eq!(
            (checked.flow(), checked.len()),
            (written.flow(), written.len())
        );
    }
}

/// A shim that tells a length which no header has.
#[derive(Clone, Copy)]
struct Endless(usize);

impl Shim for Endless {
    const PROTOCOL: IpProtocol = IpProtocol(253);

    fn len(&self) -> usize {
        self.0
    }

    fn write(&self, _: &mut [u8], _: &Facts, _: &PerPacket, _: PseudoHeader, _: Rules) {}

    fn read(&self, _: Ipv4<'_>) -> Result<Carried, Refused> {
        Err(Refused::new(Reason::NotTunnel))
    }
}

impl InUdp for Endless {
    fn len(&self) -> usize {
        self.0
    }

    fn write(&self, _: &mut [u8], _: &Facts, _: &PerPacket) -> u16 {
        0
    }

    fn read(&self, _: &[u8]) -> Result<Carried, Refused> {
        Err(Refused::new(Reason::NotTunnel))
    }
}

/// E-23: an implementer's wrong length is an error through every door, not a packet without headers.
#[test]
fn e_23_a_shim_of_a_wrong_length_is_refused() {
    let packet = datagram();
    for len in [
        65_500,
        65_536,
        1 << 20,
        usize::MAX - 20,
        usize::MAX - 10,
        usize::MAX,
    ] {
        let shim = Tunnel::new(L, R, Endless(len)).unwrap();
        let stack = (site(), shim);
        let slice = [shim, shim];
        let udp = Tunnel::new(L, R, Udp::to_port(5555, Endless(len))).unwrap();
        let tunnels: [&dyn Encapsulate; 4] = [&shim, &stack, &slice, &udp];
        for tunnel in tunnels {
            let mut buffer = vec![0; 70_000];
            buffer.extend(&packet);
            let inner = Span::new(70_000, packet.len());
            let before = buffer.clone();
            assert!(encap(tunnel, &mut buffer, inner, &said()).is_err(), "{len}");
            let mut held = Packet::new(&mut buffer, inner);
            assert!(held.wrap(tunnel, &said()).is_err(), "{len}");
            let proven = Packet::new(&mut buffer, inner).prove().unwrap();
            assert!(proven.wrap(tunnel, &said()).is_err(), "{len}");
            assert_eq!(buffer, before, "{len}");
            let facts = Facts::read(&packet).unwrap();
            assert!(header::<100, _>(tunnel, &facts, &said()).is_err(), "{len}");
        }
    }
}

/// A tunnel of one's own that leaves out what a tunnel need not say.
struct Own(Tunnel<IpIp>);

impl Encapsulate for Own {
    fn overhead(&self) -> usize {
        self.0.overhead()
    }

    fn check(&self, inner: &Facts, packet: &PerPacket, rules: Rules) -> Result<Facts, EncapError> {
        self.0.check(inner, packet, rules)
    }

    fn write(&self, frame: &mut [u8], inner: &Facts, packet: &PerPacket, rules: Rules) -> Facts {
        self.0.write(frame, inner, packet, rules)
    }
}

/// P-05: its policies are kept although it does not know [`Encapsulate::rules`] of its own, and its MTU
/// although it does not tell [`Encapsulate::max_len`].
#[test]
fn p_05_a_tunnel_of_ones_own_is_its_check_and_its_write() {
    let forwarding = OuterPolicy {
        role: Role::Forward,
        ttl: TtlPolicy::Inherit,
        ecn: EcnPolicy::Rfc3168,
        link_mtu: Some(100),
        ..OuterPolicy::DEFAULT
    };
    for tunnel in [wan(), wan().with_policy(forwarding)] {
        for packet in [datagram(), packet(30), packet(81)] {
            let expected = wrap(&tunnel, &packet, &said());
            assert_eq!(wrap(&Own(tunnel), &packet, &said()), expected);
            let expected = wrap(&(tunnel, site()), &packet, &said());
            let stacks: [&dyn Encapsulate; 2] = [&(Own(tunnel), site()), &(&Own(tunnel), [site()])];
            for stack in stacks {
                assert_eq!(wrap(stack, &packet, &said()), expected);
            }
        }
    }
}

#[test]
fn p_05_the_identity_is_the_packet_itself() {
    let packet = datagram();
    let len = packet.len();
    let mut place = [&packet[..], &[0; 3]].concat();
    let opened = ipencap::decap(&(), &mut place).unwrap();
    assert_eq!(opened.packet, packet);
    let opened = opened.opened;
    assert_eq!((opened.span(), opened.layers()), (Span::new(0, len), 0));
    assert_eq!((opened.slack(), opened.changes_bytes()), (3, false));
    let mut broken = packet.clone();
    broken[10] ^= 1;
    let refused = reason(ipencap::decap(&(), &mut broken));
    assert_eq!(refused, Some((Reason::OuterBadChecksum, 0)));

    let none: &[Tunnel<IpIp>] = &[];
    let identities: [&dyn Encapsulate; 5] = [&(), &&(), &((), ()), &none, &[(); 3]];
    for identity in identities {
        assert_eq!(wrap(identity, &packet, &said()).unwrap(), packet);
        assert_eq!(identity.overhead(), 0);
    }

    // As a layer it says nothing: what the tunnel has said of the packet stands.
    let gre = Tunnel::new(L, R, Gre::new().with_sequence()).unwrap();
    let mut outer = wrap(&gre, &packet, &said()).unwrap();
    outer[1] = 0b01; // ECT(1) over Not-ECT: dangerous (N-13).
    oracle::fill_checksum(&mut outer);
    let receiver = Receiver::new(Gre::new().with_sequence(), from(L, R));
    let verdict = receiver.inspect(&outer).unwrap();
    assert_eq!(verdict.sequence(), Some(9));
    assert_eq!(verdict.alarm(), Some(EcnAlarm::Dangerous));
    let inside = ((), receiver);
    let outside = (receiver, ());
    assert_eq!(inside.inspect(&outer), Ok(verdict));
    assert_eq!(outside.inspect(&outer), Ok(verdict));
}

/// A stack is asked for by its outermost layer that takes a header off; references answer as what they
/// refer to.
#[test]
fn l_02_a_stack_recognises_what_its_first_layer_does() {
    let ipip = Receiver::new(IpIp, from(L, R));
    let fou = Receiver::new(Fou::new(5555), from(M, N));
    let to_ipip = wrap(&wan(), &packet(0), &said()).unwrap();
    let to_fou = wrap(
        &Tunnel::new(M, N, Fou::new(5555)).unwrap(),
        &packet(0),
        &said(),
    )
    .unwrap();
    let identity: &dyn Decapsulate = &();
    let layers: [&dyn Decapsulate; 2] = [&fou, &ipip];
    let transparent = [&fou, identity];
    let cases: [(&dyn Decapsulate, bool, [bool; 2]); 9] = [
        (&layers, true, [true, false]),
        (&&layers[..1], true, [false, true]),
        (&transparent, true, [false, true]),
        (&ipip, true, [true, false]),
        (identity, false, [false, false]),
        (&(&fou, &ipip), true, [true, false]),
        (&(&fou, &identity), true, [false, true]),
        (&(&identity, &ipip), true, [true, false]),
        (&((), &()), false, [false, false]),
    ];
    for (index, (tunnel, opens, recognised)) in cases.into_iter().enumerate() {
        let recognises = |bytes| tunnel.recognises(Ipv4::parse(bytes).unwrap());
        assert_eq!(tunnel.layers() > 0, opens, "{index}");
        assert_eq!(
            [recognises(&to_ipip), recognises(&to_fou)],
            recognised,
            "{index}"
        );
    }
}

/// D-20: what the inner layer of a stack will open is expected, whatever comes out of that is not.
#[test]
fn d_20_a_stack_opens_its_layers_and_no_more() {
    let ipip = |peer| Receiver::new(IpIp, from(peer, R));
    let once = wrap(&Tunnel::new(M, R, IpIp).unwrap(), &packet(0), &said()).unwrap();
    let twice = wrap(&wan(), &once, &said()).unwrap();
    let limit = |layer| Some((Reason::NestingLimit, layer));
    let [outer, inner] = [ipip(L), ipip(M)];
    let two = (&inner, &outer);
    let outermost = ((), &outer);
    assert_eq!(
        outer.inspect(&twice).err().map(|it| it.reason),
        Some(Reason::NestingLimit)
    );
    assert_eq!(reason(outermost.inspect(&twice)), limit(0));
    assert_eq!(two.inspect(&twice).unwrap().span(), Span::new(40, 20));
    // More of the same would nest itself (D-16).
    let thrice = wrap(
        &wan(),
        &wrap(&Tunnel::new(M, R, IpIp).unwrap(), &once, &said()).unwrap(),
        &said(),
    );
    assert_eq!(
        reason(two.inspect(&thrice.unwrap())),
        Some((Reason::InnerEqualsOuter, 1))
    );
}

#[test]
fn l_01_d_20_layers_opened_before_count() {
    let receiver = Receiver::new(IpIp, from(L, R)).with_max_depth(3);
    let to_us = wrap(&Tunnel::new(M, R, IpIp).unwrap(), &packet(0), &said()).unwrap();
    let outer = wrap(&wan(), &to_us, &said()).unwrap();
    for depth in 0..=u8::MAX {
        let arrived = OuterPacket::new(&outer).at_depth(depth);
        assert_eq!(arrived.depth(), depth);
        let expected = (depth >= 2).then_some((Reason::NestingLimit, 0));
        assert_eq!(reason(receiver.inspect_outer(arrived)), expected, "{depth}");
    }
}

/// N-13: of three ECN fields in each other, the alarm is the worst, and what comes out is as of one after
/// the other.
#[test]
fn n_10_n_13_n_18_ecn_fields_of_a_stack() {
    // The identity between them hands on what the outer one will change.
    let stack = (
        (Receiver::new(IpIp, from(M, N)), ()),
        Receiver::new(IpIp, from(L, R)),
    );
    let with_ecn = |packet: &[u8], ecn: u8| {
        let mut packet = packet.to_vec();
        packet[1] = ecn;
        oracle::fill_checksum(&mut packet);
        packet
    };
    let decapsulated = |inner, outer| oracle::ECN_DECAPSULATED[usize::from(inner * 4 + outer)];
    let cells = (0..4).flat_map(|i| (0..4).flat_map(move |m| (0..4).map(move |o| [i, m, o])));
    for [inner, middle, outer] in cells {
        let packet = packet(0);
        let once = wrap(&site(), &with_ecn(&packet, inner), &said()).unwrap();
        let twice = wrap(&wan(), &with_ecn(&once, middle), &said()).unwrap();
        let mut arrived = with_ecn(&twice, outer);
        let verdict = stack.inspect(&arrived);
        let seen = decapsulated(middle, outer);
        if seen == oracle::DROP {
            assert_eq!(reason(verdict), Some((Reason::EcnDrop, 0)));
            continue;
        }
        let result = decapsulated(inner, seen);
        if result == oracle::DROP {
            assert_eq!(reason(verdict), Some((Reason::EcnDrop, 1)));
            continue;
        }
        let alarms = [
            oracle::ecn_alarm(middle, outer),
            oracle::ecn_alarm(inner, seen),
        ];
        let worst = [EcnAlarm::Dangerous, EcnAlarm::Possible].map(Some);
        let worst = worst.into_iter().find(|alarm| alarms.contains(alarm));
        let verdict = verdict.unwrap();
        assert_eq!(verdict.alarm(), worst.flatten(), "{inner} {middle} {outer}");
        assert_eq!(verdict.apply(&mut arrived), with_ecn(&packet, result));
    }
}

/// The innermost number is told.
#[test]
fn r_11_sequence_numbers_of_a_stack() {
    let gre =
        |source, destination| Tunnel::new(source, destination, Gre::new().with_sequence()).unwrap();
    let outside = said().with_sequence(5);
    let inner = wrap(&gre(M, N), &packet(0), &said()).unwrap();
    let outer = wrap(&gre(L, R), &inner, &outside).unwrap();
    let receiver = |shim, peer, to| Receiver::new(shim, from(peer, to));
    let counting = Gre::new().with_sequence();
    let stack = (receiver(counting, M, N), receiver(counting, L, R));
    let opened = stack.inspect(&outer).unwrap();
    assert_eq!((opened.sequence(), opened.layers()), (Some(9), 2));
    let only_outside = (receiver(Gre::new(), M, N), receiver(counting, L, R));
    let plain_inside = Tunnel::new(M, N, Gre::new()).unwrap();
    let inner = wrap(&plain_inside, &packet(0), &said()).unwrap();
    let outer = wrap(&gre(L, R), &inner, &outside).unwrap();
    assert_eq!(only_outside.inspect(&outer).unwrap().sequence(), Some(5));
}

#[test]
fn l_02_l_03_layers_of_unknown_depth_are_bounded() {
    let peers = [L, M].map(|peer| Peer::new(Prefix::host(peer), &ANY));
    let receiver = Receiver::new(IpIp, Edge::new(&[R], &peers));
    let tunnels: [&dyn Decapsulate; 1] = [&receiver];
    let mut nested = packet(0);
    for depth in 1..=MAX_NESTING + 2 {
        // By turns, lest a packet is in its like (D-16).
        let source = if depth % 2 == 0 { L } else { M };
        nested = wrap(&Tunnel::new(source, R, IpIp).unwrap(), &nested, &said()).unwrap();
        let verdict = inspect_nested(&tunnels, &nested, u8::MAX).map(|opened| opened.layers());
        let limit = |layer| Some((Reason::NestingLimit, layer));
        if depth <= MAX_NESTING {
            assert_eq!(verdict, Ok(depth));
            assert_eq!(
                inspect_nested(&tunnels, &nested, depth).unwrap().layers(),
                depth
            );
        } else {
            assert_eq!(reason(verdict), limit(MAX_NESTING));
        }
        let too_few = reason(inspect_nested(&tunnels, &nested, depth - 1));
        assert_eq!(too_few, limit((depth - 1).min(MAX_NESTING)));
    }
}

/// L-02: a tunnel of two layers is two of those that are allowed.
#[test]
fn l_02_a_stack_counts_its_layers() {
    let both = (
        Receiver::new(IpIp, from(M, N)),
        Receiver::new(IpIp, from(L, R)),
    );
    let stack = (site(), wan());
    let mut outer = wrap(&stack, &packet(0), &said()).unwrap();
    let refused = reason(inspect_nested(&[&both], &outer, 1));
    assert_eq!(refused, Some((Reason::NestingLimit, 0)));
    let opened = decap_nested(&[&both], &mut outer, 2).unwrap();
    assert_eq!(
        (opened.packet, opened.opened.layers()),
        (&mut packet(0)[..], 2)
    );
}

/// Knows every packet as its own, and takes nothing off.
struct Onlooker;

impl Decapsulate for Onlooker {
    fn recognises(&self, _outer: Ipv4<'_>) -> bool {
        true
    }

    fn inspect_outer(&self, arrived: OuterPacket<'_>) -> Result<Opened, Refused> {
        ().inspect_outer(arrived)
    }
}

/// L-02: where nothing was opened there is no next layer, only the same packet again.
#[test]
fn l_02_a_tunnel_that_opens_nothing_is_the_last() {
    let ipip = Receiver::new(IpIp, from(L, R));
    let tunnels: [&dyn Decapsulate; 2] = [&ipip, &Onlooker];
    let outer = wrap(&wan(), &packet(0), &said()).unwrap();
    for (bytes, layers) in [(&outer, 1), (&packet(0), 0)] {
        let opened = inspect_nested(&tunnels, bytes, 4).unwrap();
        assert_eq!(opened.layers(), layers);
        assert_eq!(opened.span().get(bytes), Some(&packet(0)[..]));
    }
}

/// Of tunnels that share an address the one that knows the sender, or the key, is asked; if none does
/// the first gives the reason, if one does its own reason stands.
#[test]
fn l_02_d_07_r_07_the_tunnel_that_lets_the_sender_in() {
    let narrow = [Prefix::new(Ipv4Addr::new(10, 1, 0, 0), 16).unwrap()];
    let of_peer = |peer, inner| Receiver::new(IpIp, PointToPoint::new(R, peer, inner));
    let from_m = of_peer(M, &ANY);
    let from_l = of_peer(L, &narrow);
    let key = |key| Receiver::new(Gre::new().with_key(key), from(L, R));
    let keys = [key(1), key(2)];
    let tunnels: [&dyn Decapsulate; 4] = [&from_m, &from_l, &keys[0], &keys[1]];
    let ask = |tunnel: &dyn Encapsulate, packet: &[u8]| {
        let outer = wrap(tunnel, packet, &said()).unwrap();
        reason(inspect_nested(&tunnels, &outer, 4))
    };
    let gre = |key| Tunnel::new(L, R, Gre::new().with_key(key)).unwrap();
    let other = Plain {
        source: [10, 3, 0, 1],
        ..Plain::of(253)
    };
    let other = other.packet(&[]);
    assert_eq!(ask(&Tunnel::new(M, R, IpIp).unwrap(), &other), None);
    assert_eq!(ask(&wan(), &packet(0)), None);
    let refused = Some((Reason::InnerSourceNotAllowed, 0));
    assert_eq!(ask(&wan(), &other), refused);
    let refused = Some((Reason::UnknownPeer, 0));
    assert_eq!(ask(&Tunnel::new(N, R, IpIp).unwrap(), &other), refused);
    assert_eq!(ask(&gre(1), &other), None);
    assert_eq!(ask(&gre(2), &other), None);
    let refused = Some((Reason::GreKeyMismatch, 0));
    assert_eq!(ask(&gre(3), &other), refused);
}

/// M-07: a header restored by one layer is seen by the next although no byte has been written; its
/// options, which both have pushed to the front, go all the way back.
#[test]
fn n_18_m_07_minimal_encapsulation_in_itself() {
    for options in [vec![], vec![1, 1, 1, 0], vec![0x94, 4, 0, 0, 1, 1, 1, 0]] {
        let original = Plain {
            options,
            ..Plain::of(253)
        };
        let original = original.packet(b"whatever is inside");
        let tunnel = (MinEnc::new(M, N).unwrap(), MinEnc::new(L, R).unwrap());
        let outer = wrap(&tunnel, &original, &said()).unwrap();
        assert_eq!(outer.len(), original.len() + 24);
        let [first, second] = [(L, R), (M, N)].map(|(peer, to)| Receiver::minimal(from(peer, to)));

        let mut by_stack = outer.clone();
        let both = (second, first);
        assert_eq!(
            ipencap::decap(&both, &mut by_stack).unwrap().packet,
            original
        );
        let mut nested = outer.clone();
        let opened = decap_nested(&[&first, &second], &mut nested, 4).unwrap();
        assert_eq!(opened.packet, original);

        // And inside IP-in-IP that a router has marked: the outermost is applied first.
        let mut ect = original.clone();
        ect[1] = 0b10;
        oracle::fill_checksum(&mut ect);
        let minimal = wrap(&MinEnc::new(M, N).unwrap(), &ect, &said()).unwrap();
        let mut marked = wrap(&wan(), &minimal, &said()).unwrap();
        marked[1] = 0b11;
        oracle::fill_checksum(&mut marked);
        ect[1] = 0b11;
        oracle::fill_checksum(&mut ect);
        let both = (second, Receiver::new(IpIp, from(L, R)));
        assert_eq!(ipencap::decap(&both, &mut marked).unwrap().packet, ect);
    }
}

/// UDP relays a mark, and lets slack be; for TCP a mark says nothing of the packet, which must fill its
/// segment.
#[test]
fn n_17_s_20_marks_and_slack_by_shim() {
    let ect = Plain {
        tos: 2,
        ..Plain::of(253)
    };
    let inner = ect.packet(b"inside");
    let arrived = |protocol, frame: &[u8], slack: &[u8]| {
        let outer = Plain {
            tos: 3,
            source: L.octets(),
            destination: R.octets(),
            ..Plain::of(protocol)
        };
        let mut payload = [&frame[20..], slack].concat();
        oracle::refill(&outer, &mut payload);
        outer.packet(&payload)
    };

    let receiver = Receiver::new(Tcp::new(0, 443), from(L, R));
    let segment = Tunnel::new(L, R, Tcp::new(40000, 443)).unwrap();
    let segment = wrap(&segment, &inner, &said()).unwrap();
    let mut marked = arrived(6, &segment, &[]);
    let opened = receiver.inspect(&marked).unwrap();
    assert_eq!(opened.apply(&mut marked), inner);
    let verdict = receiver.inspect(&arrived(6, &segment, b"?"));
    assert_eq!(reason(verdict), Some((Reason::InnerLengthMismatch, 0)));

    let fou = Fou::new(5555).with_checksum(ChecksumPolicy::Zero);
    let receiver = Receiver::new(fou, from(L, R));
    let datagram = Tunnel::new(L, R, fou).unwrap();
    let mut datagram = wrap(&datagram, &inner, &said()).unwrap();
    let len = u16::from_be_bytes([datagram[24], datagram[25]]) + 1;
    datagram[24..26].copy_from_slice(&len.to_be_bytes());
    let mut marked = arrived(17, &datagram, b"?");
    let opened = receiver.inspect(&marked).unwrap();
    assert_eq!((opened.slack(), opened.apply(&mut marked)[1]), (1, 3));
}

/// What was inspected must be what is written to: to less, nothing is.
#[test]
fn p_03_a_verdict_applied_to_less_than_was_inspected() {
    let mut ect = packet(8);
    ect[1] = 0b10;
    oracle::fill_checksum(&mut ect);
    let mut marked = wrap(&wan(), &ect, &said()).unwrap();
    marked[1] = 0b11;
    oracle::fill_checksum(&mut marked);
    let minimal = wrap(&MinEnc::new(L, R).unwrap(), &ect, &said()).unwrap();
    for (outer, opened) in [
        (&marked, Receiver::new(IpIp, from(L, R)).inspect(&marked)),
        (&minimal, Receiver::minimal(from(L, R)).inspect(&minimal)),
    ] {
        let opened = opened.unwrap();
        assert!(opened.changes_bytes());
        for len in 0..outer.len() {
            let mut less = outer[..len].to_vec();
            assert!(opened.apply(&mut less).is_empty());
            assert_eq!(less, outer[..len]);
        }
    }
}

/// E-02: an outer IPv4 header goes in front of IPv4 packets only.
#[test]
fn e_02_only_ipv4_goes_into_an_ipv4_tunnel() {
    let version = 6;
    let error = EncapError::from(ParseError::BadVersion { version });
    let inner = Facts::read(&datagram()).unwrap();
    let six = inner.inside_version(version, 40, 0);
    let mut tunnels: Vec<Box<dyn Encapsulate>> = vec![Box::new(MinEnc::new(L, R).unwrap())];
    for layer in layers(L, R) {
        tunnels.push(Box::new(layer));
    }
    for tunnel in tunnels {
        assert_eq!(
            tunnel.check(&six, &said(), Rules::Explained).unwrap_err(),
            error
        );
        for rules in [Rules::Common, Rules::All] {
            assert!(tunnel.check(&six, &said(), rules).is_err(), "{rules:?}");
        }
    }
}

#[test]
fn defaults_are_what_is_made_without_arguments() {
    use ipencap::shim::GueVariant1;
    assert_eq!(Gue::default(), Gue::new());
    assert_eq!(GueVariant1::default(), GueVariant1::new());
    assert_eq!(Fou::new(5555).destination_port(), 5555);
    assert_eq!(Gue::new().destination_port(), 6080);
}
