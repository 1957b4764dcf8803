//! Layers together: stacks, templates, references and the identity; what is opened layer by layer; and
//! encapsulators and carriers of one's own.

#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    reason = "a test that panics fails"
)]

use core::net::Ipv4Addr;

use ipencap::Span;
use ipencap::decap::{
    Decapsulate, MAX_NESTING, Opened, OuterPacket, Receiver, decap_nested, inspect_nested,
};
use ipencap::decap::{Edge, Peer, PointToPoint, Prefix};
use ipencap::encap::{
    ChecksumPolicy, Encapsulate, Gre, GreCarrier, IpIp, Layer, Layered, MinEnc, PerPacket, Stack,
    Tcp, TcpCarrier, Template, Udp, UdpCarrier, encap_train,
};
use ipencap::error::{EncapError, ParseError, Reason, Refused};
use ipencap::packet::{Packet, PacketMeta};
use ipencap::wire::{EcnAlarm, Ipv4};
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

fn site() -> IpIp {
    IpIp::new(M, N).unwrap()
}

fn wan() -> IpIp {
    IpIp::new(L, R).unwrap()
}

/// One of every kind that a template can hold, but for the identity.
fn layers(source: Ipv4Addr, destination: Ipv4Addr) -> [Layer; 7] {
    let fou = Udp::fou(source, destination, 5555).unwrap();
    let gre = Gre::new(source, destination).unwrap();
    [
        IpIp::new(source, destination).unwrap().into(),
        fou.into(),
        fou.with_checksum(ChecksumPolicy::Full).into(),
        fou.with_checksum(ChecksumPolicy::Zero).into(),
        Tcp::new((source, 40000), (destination, 443))
            .unwrap()
            .into(),
        gre.with_key(5).into(),
        gre.with_checksum().with_sequence().into(),
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
    ipencap::encap(tunnel, &mut buffer, place, said).map(|outer| outer.to_vec())
}

const fn from(peer: Ipv4Addr, to: Ipv4Addr) -> PointToPoint<'static> {
    PointToPoint::new(to, peer, &ANY)
}

fn reason<T>(verdict: Result<T, Refused>) -> Option<(Reason, u8)> {
    let refused = verdict.err()?;
    Some((refused.reason, refused.layer))
}

#[test]
fn l_08_p_05_a_template_is_one_layer_after_the_other() {
    for packet in [packet(30), datagram()] {
        let meta = PacketMeta::summed(&packet).unwrap();
        for inner in layers(M, N) {
            for outer in layers(L, R) {
                let once = wrap(&inner, &packet, &said()).unwrap();
                let twice = wrap(&outer, &once, &said()).unwrap();
                let template = Template::<_, 3>::compile(&[inner, outer]).unwrap();
                assert_eq!(wrap(&template, &packet, &said()).unwrap(), twice);

                let (headers, _) = twice.split_at(template.overhead());
                let by_value: [u8; 100] = template.header(&meta, &said()).unwrap();
                assert!(by_value.ends_with(headers), "{template:?}");
            }
        }
        let template = Template::nested([site(), wan()]);
        let once = wrap(&site(), &packet, &said()).unwrap();
        let twice = wrap(&wan(), &once, &said()).unwrap();
        assert_eq!(wrap(&template, &packet, &said()).unwrap(), twice);
        let exact: [u8; 40] = template.header(&meta, &said()).unwrap();
        assert_eq!(exact, twice[..40]);
        let error = EncapError::NoHeadroom { need: 40, have: 39 };
        assert_eq!(template.header::<39>(&meta, &said()), Err(error));
    }
}

/// C-20: only where the headers tell no sum, or the checksum is of the bytes whatever they tell.
#[test]
fn c_20_a_header_by_value_asks_for_the_sum_that_it_needs() {
    let of_other = [false, true, true, false, true, false, true];
    let of_datagram = [false, false, true, false, false, false, true];
    for (packet, needs) in [(packet(30), of_other), (datagram(), of_datagram)] {
        let meta = PacketMeta::read(&packet).unwrap();
        for (layer, needs) in layers(L, R).into_iter().zip(needs) {
            let template = Template::<_, 1>::compile(&[layer]).unwrap();
            let answer = template.header::<60>(&meta, &said()).err();
            assert_eq!(answer, needs.then_some(EncapError::UnknownSum), "{layer:?}");
        }
    }
}

/// I-14: around every limit, whichever layer sets it.
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
        let inner = site().with_link_mtu(inner_mtu);
        let outer = wan().with_link_mtu(outer_mtu);
        let said = PerPacket::new().with_link_mtu(packet_mtu);
        let stack = Stack { outer, inner };
        let by_reference = Stack {
            outer: &outer,
            inner: &inner,
        };
        let nested = Template::nested([inner, outer]);
        let compiled = Template::<Layer, 2>::compile(&stack).unwrap();
        let tunnels: [&dyn Encapsulate; 4] = [&stack, &by_reference, &nested, &compiled];

        // What is left for a layer; 65535 is no limit, but what 16 bits can say.
        let [inner_mtu, outer_mtu] = [(inner_mtu, 20), (outer_mtu, 0)].map(|(mtu, around)| {
            let left = if packet_mtu == 65535 {
                65535
            } else {
                packet_mtu - around
            };
            mtu.min(left)
        });
        let refusal = |len: u16, mtu: u16, around: u16| match u32::from(len) + u32::from(around) {
            len if len <= u32::from(mtu) => None,
            len if len > 65535 => Some(EncapError::TooLong { len }),
            _ => Some(EncapError::FragmentationNeeded { mtu: mtu - around }),
        };
        let fits = (inner_mtu - 20).min(outer_mtu - 40);
        for len in fits - 45..=fits.saturating_add(45) {
            let packet = packet(usize::from(len) - 20);
            let refused = refusal(len, inner_mtu, 20).or(refusal(len, outer_mtu, 40));
            let expected = refused.map_or(Ok(usize::from(len) + 40), Err);
            for tunnel in tunnels {
                let made = wrap(tunnel, &packet, &said).map(|outer| outer.len());
                assert_eq!(made, expected, "{len} {inner_mtu} {outer_mtu}");
            }
        }
    }
}

/// E-17, E-18: the layer is counted from the innermost.
#[test]
fn l_08_e_17_a_loop_is_told_with_its_layer() {
    let loops = IpIp::new(R, L).unwrap();
    let two = Stack {
        outer: &wan(),
        inner: &site(),
    };
    let three = Stack {
        outer: &loops,
        inner: &two,
    };
    let nested = Template::nested([site(), wan(), loops]);
    let compiled = Template::<Layer, 4>::compile(&[site().into(), wan().into(), loops.into()]);
    let error = Err(EncapError::LoopToExit { layer: 2 });
    let tunnels: [&dyn Encapsulate; 3] = [&three, &nested, &compiled.unwrap()];
    for tunnel in tunnels {
        assert_eq!((tunnel.layers(), tunnel.overhead()), (3, 60));
        assert_eq!(wrap(tunnel, &packet(30), &said()), error);
    }
    // Where no other pair of layers keeps the fast path from it.
    let nested = Template::nested([wan(), loops]);
    let compiled = Template::<Layer, 2>::compile(&[wan().into(), loops.into()]);
    let error = Err(EncapError::LoopToExit { layer: 1 });
    assert_eq!(wrap(&nested, &packet(30), &said()), error);
    assert_eq!(wrap(&compiled.unwrap(), &packet(30), &said()), error);
}

/// E-19, E-23: neither is a header written half.
#[test]
fn e_19_a_frame_too_short_for_the_headers_is_left_as_it_is() {
    let mut tunnels: Vec<Box<dyn Encapsulate>> = vec![
        Box::new(MinEnc::new(L, R).unwrap()),
        Box::new(Udp::gue(L, R).unwrap().with_private_words([1, 2]).unwrap()),
    ];
    let (inside, outside) = (layers(M, N), layers(L, R));
    for (inner, outer) in inside.into_iter().zip(outside) {
        tunnels.push(Box::new(outer));
        tunnels.push(Box::new(Stack { outer, inner }));
        let template = Template::<_, 2>::compile(&[inner, outer]).unwrap();
        tunnels.push(Box::new(template));
    }
    let meta = PacketMeta::summed(&datagram()).unwrap();
    for tunnel in tunnels {
        let overhead = tunnel.overhead();
        let outer = tunnel.judge(&meta, &said()).unwrap();
        for len in 0..overhead {
            let mut frame = vec![0xa5; len];
            tunnel.write(&mut frame, &meta, &outer, &said());
            assert_eq!(frame, vec![0xa5; len], "{overhead} bytes");
        }
    }
    // One that ends with the headers has room for them.
    let [inner, ..] = inside;
    let expected = wrap(
        &Stack {
            outer: wan(),
            inner,
        },
        &datagram(),
        &said(),
    )
    .unwrap();
    let stack = Stack {
        outer: wan(),
        inner,
    };
    let template = Template::<_, 2>::compile(&[inner, wan().into()]).unwrap();
    let tunnels: [&dyn Encapsulate; 2] = [&stack, &template];
    for tunnel in tunnels {
        let outer = tunnel.judge(&meta, &said()).unwrap();
        let mut frame = [0xa5; 40];
        tunnel.write(&mut frame, &meta, &outer, &said());
        assert_eq!(frame, expected[..40]);
    }
}

/// An encapsulator of one's own that has a fast way to judge, and none to write.
struct Own(IpIp);

impl Encapsulate for Own {
    fn overhead(&self) -> usize {
        self.0.overhead()
    }

    fn judge(&self, inner: &PacketMeta, packet: &PerPacket) -> Result<PacketMeta, EncapError> {
        self.0.judge(inner, packet)
    }

    fn judge_ordinary(&self, inner: &PacketMeta, packet: &PerPacket) -> Option<PacketMeta> {
        self.0.judge_ordinary(inner, packet)
    }

    fn write(&self, frame: &mut [u8], inner: &PacketMeta, outer: &PacketMeta, packet: &PerPacket) {
        self.0.write(frame, inner, outer, packet);
    }
}

/// C-32: and it is asked for every header, as it has not said that its headers can be shared.
#[test]
fn p_05_an_encapsulator_of_ones_own_is_its_judge_and_its_write() {
    let packet = datagram();
    assert_eq!(
        wrap(&Own(wan()), &packet, &said()),
        wrap(&wan(), &packet, &said())
    );
    let mut buffers = [0; 3].map(|byte| [&[byte; 20][..], &packet].concat());
    let mut train = buffers
        .each_mut()
        .map(|buffer| Packet::new(buffer, Span::new(20, packet.len())));
    assert_eq!(encap_train(&Own(wan()), &mut train, &said()), Ok(1));
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

    let identities: [&dyn Encapsulate; 3] = [&(), &Layer::Identity, &&()];
    for identity in identities {
        assert_eq!(wrap(identity, &packet, &said()).unwrap(), packet);
        assert_eq!((identity.overhead(), identity.layers()), (0, 0));
        let mut buffers = [packet.clone(), packet.clone()];
        let mut train = buffers
            .each_mut()
            .map(|buffer| Packet::new(buffer, Span::new(0, len)));
        assert_eq!(encap_train(identity, &mut train, &said()), Ok(2), "C-32");
        assert_eq!(buffers, [packet.clone(), packet.clone()]);
    }

    // As a layer it says nothing: what the tunnel has said of the packet stands.
    let gre = Gre::new(L, R).unwrap().with_sequence();
    let mut outer = wrap(&gre, &packet, &said()).unwrap();
    outer[1] = 0b01; // ECT(1) over Not-ECT: dangerous (N-13).
    oracle::fill_checksum(&mut outer);
    let receiver = Receiver::gre(GreCarrier::new().with_sequence(), from(L, R));
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
    let ipip = Receiver::ipip(from(L, R));
    let fou = Receiver::udp(UdpCarrier::fou(5555), from(M, N));
    let to_ipip = wrap(&wan(), &packet(0), &said()).unwrap();
    let to_fou = wrap(&Udp::fou(M, N, 5555).unwrap(), &packet(0), &said()).unwrap();
    let identity: &dyn Decapsulate = &();
    let cases: [(&dyn Decapsulate, bool, [bool; 2]); 6] = [
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
    let ipip = |peer| Receiver::ipip(from(peer, R));
    let once = wrap(&IpIp::new(M, R).unwrap(), &packet(0), &said()).unwrap();
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
        &wrap(&IpIp::new(M, R).unwrap(), &once, &said()).unwrap(),
        &said(),
    );
    assert_eq!(
        reason(two.inspect(&thrice.unwrap())),
        Some((Reason::InnerEqualsOuter, 1))
    );
}

#[test]
fn l_01_d_20_layers_opened_before_count() {
    let receiver = Receiver::ipip(from(L, R)).with_max_depth(3);
    let to_us = wrap(&IpIp::new(M, R).unwrap(), &packet(0), &said()).unwrap();
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
    let stack = ((Receiver::ipip(from(M, N)), ()), Receiver::ipip(from(L, R)));
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
    let gre = |source, destination| {
        let gre = Gre::new(source, destination).unwrap();
        gre.with_sequence()
    };
    let outside = said().with_sequence(5);
    let inner = wrap(&gre(M, N), &packet(0), &said()).unwrap();
    let outer = wrap(&gre(L, R), &inner, &outside).unwrap();
    let receiver = |carrier, peer, to| Receiver::gre(carrier, from(peer, to));
    let counting = GreCarrier::new().with_sequence();
    let stack = (receiver(counting, M, N), receiver(counting, L, R));
    let opened = stack.inspect(&outer).unwrap();
    assert_eq!((opened.sequence(), opened.layers()), (Some(9), 2));
    let only_outside = (receiver(GreCarrier::new(), M, N), receiver(counting, L, R));
    let plain_inside = Gre::new(M, N).unwrap();
    let inner = wrap(&plain_inside, &packet(0), &said()).unwrap();
    let outer = wrap(&gre(L, R), &inner, &outside).unwrap();
    assert_eq!(only_outside.inspect(&outer).unwrap().sequence(), Some(5));
}

#[test]
fn l_02_l_03_layers_of_unknown_depth_are_bounded() {
    let peers = [L, M].map(|peer| Peer::new(Prefix::host(peer), &ANY));
    let receiver = Receiver::ipip(Edge::new(&[R], &peers));
    let tunnels: [&dyn Decapsulate; 1] = [&receiver];
    let mut nested = packet(0);
    for depth in 1..=MAX_NESTING + 2 {
        // By turns, lest a packet is in its like (D-16).
        let source = if depth % 2 == 0 { L } else { M };
        nested = wrap(&IpIp::new(source, R).unwrap(), &nested, &said()).unwrap();
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
    let both = (Receiver::ipip(from(M, N)), Receiver::ipip(from(L, R)));
    let stack = Stack {
        outer: wan(),
        inner: site(),
    };
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
    let ipip = Receiver::ipip(from(L, R));
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
    let of_peer = |peer, inner| Receiver::ipip(PointToPoint::new(R, peer, inner));
    let from_m = of_peer(M, &ANY);
    let from_l = of_peer(L, &narrow);
    let key = |key| Receiver::gre(GreCarrier::new().with_key(key), from(L, R));
    let keys = [key(1), key(2)];
    let tunnels: [&dyn Decapsulate; 4] = [&from_m, &from_l, &keys[0], &keys[1]];
    let ask = |tunnel: &dyn Encapsulate, packet: &[u8]| {
        let outer = wrap(tunnel, packet, &said()).unwrap();
        reason(inspect_nested(&tunnels, &outer, 4))
    };
    let gre = Gre::new(L, R).unwrap();
    let other = Plain {
        source: [10, 3, 0, 1],
        ..Plain::of(253)
    };
    let other = other.packet(&[]);
    assert_eq!(ask(&IpIp::new(M, R).unwrap(), &other), None);
    assert_eq!(ask(&wan(), &packet(0)), None);
    let refused = Some((Reason::InnerSourceNotAllowed, 0));
    assert_eq!(ask(&wan(), &other), refused);
    let refused = Some((Reason::UnknownPeer, 0));
    assert_eq!(ask(&IpIp::new(N, R).unwrap(), &other), refused);
    assert_eq!(ask(&gre.with_key(1), &other), None);
    assert_eq!(ask(&gre.with_key(2), &other), None);
    let refused = Some((Reason::GreKeyMismatch, 0));
    assert_eq!(ask(&gre.with_key(3), &other), refused);
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
        let tunnel = Stack {
            outer: MinEnc::new(L, R).unwrap(),
            inner: MinEnc::new(M, N).unwrap(),
        };
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
        let both = (second, Receiver::ipip(from(L, R)));
        assert_eq!(ipencap::decap(&both, &mut marked).unwrap().packet, ect);
    }
}

/// A reference to a carrier answers as the carrier does.
#[test]
fn d_20_a_carrier_by_reference() {
    let fou = UdpCarrier::fou(5555);
    let receiver = Receiver::new(&fou, from(L, R));
    for (port, is_ours) in [(5555, true), (5556, false)] {
        let outer = wrap(&Udp::fou(L, R, port).unwrap(), &packet(0), &said()).unwrap();
        assert_eq!(receiver.recognises(Ipv4::parse(&outer).unwrap()), is_ours);
        assert_eq!(receiver.inspect(&outer).is_ok(), is_ours);
    }
}

/// The same of what differs between carriers: UDP relays a mark, and lets slack be; for TCP a mark says
/// nothing of the packet, which must fill its segment.
#[test]
fn n_17_s_20_carriers_by_reference() {
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

    let tcp = TcpCarrier::new(443);
    let receiver = Receiver::new(&tcp, from(L, R));
    let segment = Tcp::new((L, 40000), (R, 443)).unwrap();
    let segment = wrap(&segment, &inner, &said()).unwrap();
    let mut marked = arrived(6, &segment, &[]);
    let opened = receiver.inspect(&marked).unwrap();
    assert_eq!(opened.apply(&mut marked), inner);
    let verdict = receiver.inspect(&arrived(6, &segment, b"?"));
    assert_eq!(reason(verdict), Some((Reason::InnerLengthMismatch, 0)));

    let udp = UdpCarrier::fou(5555);
    let receiver = Receiver::new(&udp, from(L, R));
    let datagram = Udp::fou(L, R, 5555).unwrap();
    let datagram = datagram.with_checksum(ChecksumPolicy::Zero);
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
        (&marked, Receiver::ipip(from(L, R)).inspect(&marked)),
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

/// Past its last layer nothing has one, whatever it is made of; `()` has none at all.
#[test]
fn l_08_layers_by_number() {
    let layer = |number| Layer::from(if number == 0 { site() } else { wan() });
    let stack = Stack {
        outer: Stack {
            outer: (),
            inner: wan(),
        },
        inner: Stack {
            outer: site(),
            inner: (),
        },
    };
    let pair = [layer(0), layer(1)];
    let made: [&dyn Layered<Layer>; 2] = [&stack, &pair];
    for layers in made {
        assert_eq!(layers.depth(), 2);
        for number in 0..4 {
            let expected = (number < 2).then(|| layer(number));
            assert_eq!(layers.layer(number), expected, "{number}");
        }
    }
}

/// E-02: minimal encapsulation takes a header apart, which must be an IPv4 one.
#[test]
fn e_02_only_ipv4_goes_into_an_ipv4_layer() {
    let version = 6;
    let six = PacketMeta::not_ipv4(version, 100, 0);
    let error = EncapError::from(ParseError::BadVersion { version });
    let mut tunnels: Vec<Box<dyn Encapsulate>> = vec![Box::new(MinEnc::new(L, R).unwrap())];
    for layer in layers(L, R) {
        tunnels.push(Box::new(layer));
    }
    for tunnel in tunnels {
        assert_eq!(tunnel.judge(&six, &said()).unwrap_err(), error);
        assert_eq!(tunnel.judge_ordinary(&six, &said()), None);
    }
}
