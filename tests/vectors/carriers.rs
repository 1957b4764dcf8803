//! UDP, GRE, MIN and TCP: what goes into a tunnel of another carrier than IP-in-IP, by every door, and
//! out of it again.

use core::net::Ipv4Addr;

use ipencap::decap::{
    Decapsulate, Receiver, inspect_minimal_without_filter, inspect_without_filter,
};
use ipencap::decap::{PointToPoint, Prefix};
use ipencap::encap::{
    AnyTunnel, Encapsulate, InnerChecksum, MinEnc, OuterPolicy, PerPacket, Role, Tunnel,
};
use ipencap::error::EncapError;
use ipencap::packet::Facts;
use ipencap::shim::{
    ChecksumPolicy, Fou, Gre, GreInUdp, Gue, GueVariant1, InUdp, IpIp, PortRange, Shim, SourcePort,
    Tcp, Udp,
};
use ipencap::wire::{LengthPrefix, Udp as UdpView, UdpChecksum, UdpHeader};
use ipencap::{checksum::Sum, decap};

use crate::Book;
use crate::decapsulation::{opened, opened_by_policy};
use crate::doors::through_doors;
use crate::oracle::{A, B, L, P, R, hex, mend, over, p_with, tunnel};
use crate::reception::check_payload_form;

/// The ends of the tunnel inside the UDP tunnel of UDP-07.
pub(crate) const MIDDLE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(crate) const MIDDLE_EXIT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// UDP-01 to UDP-08 show U-01 to U-04, U-13, G-14, C-20 and C-22.
#[test]
fn udp_transmission() {
    udp(&mut Book::open());
}

/// GRE-01 to GRE-04 show and C-22.
#[test]
fn gre_transmission() {
    gre(&mut Book::open());
}

/// MIN-01 and MIN-02 show M-01 to M-03, M-06 and M-07.
#[test]
fn min_transmission() {
    min(&mut Book::open());
}

/// TCP-01 and TCP-02 show S-04 and S-10.
#[test]
fn tcp_transmission() {
    tcp(&mut Book::open());
}

/// A vector's packet is P again behind `shim`, with the policy of the vectors and without.
fn comes_back<S: Shim>(id: &str, shim: S, wire: &[u8]) {
    let verdict = opened_by_policy(id, shim, |receiver| opened(id, &receiver, wire));
    assert_eq!(verdict, Ok((P.to_vec(), 0, None)), "{id}: P-02");
    structurally_p(id, shim, wire);
}

fn structurally_p<S: Shim>(id: &str, shim: S, wire: &[u8]) {
    let mut buffer = wire.to_vec();
    let opened = inspect_without_filter(&shim, wire).expect(id);
    assert_eq!(opened.apply(&mut buffer), P, "{id}: inspect_without_filter");
}

/// The source port of most vectors.
const SOURCE_PORT: SourcePort = SourcePort::Fixed(0xc123);

/// FOU as in UDP-01.
pub(crate) const fn fou() -> Fou {
    Fou::new(5555).with_source_port(SOURCE_PORT)
}

const fn gre_in_udp() -> GreInUdp {
    GreInUdp::new(Gre::new()).with_source_port(SOURCE_PORT)
}

/// The UDP tunnel of a vector, the outer one of UDP-07; UDP-05 is apart.
pub(crate) fn udp_tunnel(id: &str, policy: ChecksumPolicy) -> AnyTunnel {
    fn any<I: InUdp>(shim: Udp<I>, policy: ChecksumPolicy) -> AnyTunnel
    where
        AnyTunnel: From<Tunnel<Udp<I>>>,
    {
        over(shim.with_source_port(SOURCE_PORT).with_checksum(policy)).into()
    }
    match id {
        "UDP-01" | "UDP-02" | "UDP-07" => any(fou(), policy),
        "UDP-03" => any(Gue::new(), policy),
        "UDP-04" => any(GueVariant1::new(), policy),
        "UDP-06" => any(gre_in_udp(), policy),
        "UDP-08" => any(Fou::new(60524), policy),
        _ => panic!("{id}: no check for this vector"),
    }
}

/// UDP-05: a private word and one hop, as the GLB director has it.
fn glb() -> Gue<2> {
    let hop = Ipv4Addr::new(192, 0, 2, 77);
    let words = [0x0000_0001, hop.to_bits()];
    let gue = Gue::new().with_private_words(words).unwrap();
    gue.with_destination_port(19523)
        .with_source_port(SourcePort::Fixed(0x8abc))
}

pub(crate) fn udp(book: &mut Book) {
    book.each("encap", "UDP", |id, wire| {
        let wire = hex(wire);
        // P is a whole datagram with a checksum, so C-20 holds.
        let summed = &[ChecksumPolicy::Full, ChecksumPolicy::Offload];
        let zero = &[ChecksumPolicy::Zero];
        match id {
            "UDP-01" => udp_both_ways(id, fou(), summed, &wire),
            "UDP-02" => udp_both_ways(id, fou(), zero, &wire),
            "UDP-03" => {
                let gue = Gue::new().with_source_port(SOURCE_PORT);
                udp_both_ways(id, gue, summed, &wire);
            }
            "UDP-04" => {
                let gue = GueVariant1::new().with_source_port(SOURCE_PORT);
                udp_both_ways(id, gue, summed, &wire);
                // The receivers of both variants take both.
                comes_back(id, Gue::new(), &wire);
            }
            "UDP-05" => udp_both_ways(id, glb(), zero, &wire),
            "UDP-06" => udp_both_ways(id, gre_in_udp(), summed, &wire),
            "UDP-07" => {
                for &policy in summed {
                    udp_07(id, over(fou().with_checksum(policy)), &wire);
                }
            }
            "UDP-08" => {
                let fou = Fou::new(60524).with_source_port(SOURCE_PORT);
                udp_both_ways(id, fou, summed, &wire);
            }
            _ => panic!("{id}: no check for this vector"),
        }
    });
}

fn udp_both_ways<I: InUdp>(id: &str, shim: Udp<I>, policies: &[ChecksumPolicy], wire: &Vec<u8>) {
    for &policy in policies {
        let shim = shim.with_checksum(policy);
        let tunnel = over(shim);
        let none = PerPacket::new();
        let outer = through_doors(id, &tunnel, P, none);
        assert_eq!(outer.as_ref(), Ok(wire), "{id}: {policy:?}");

        let payload_form = &mut [&vec![0xa5; tunnel.payload_overhead()], &P[..]].concat();
        let outer = tunnel.encap_payload(payload_form, &none).expect(id);
        assert_eq!(payload_form[..], wire[28..], "{id}: encap_payload");
        check_facts(id, &outer, wire);

        by_flow_hash(id, shim, wire);
        with_partial_checksum(id, &tunnel, policy, wire);
    }
    comes_back(id, shim, wire);
    let receiver = over(shim).receiver(PointToPoint::new(R, L, &[Prefix::ANY]));
    assert!(check_payload_form(id, &receiver, wire), "{id}");
}

/// The facts of an outer packet are those that are read from it.
fn check_facts(id: &str, outer: &Facts, wire: &[u8]) {
    let read = Facts::read(wire).expect(id);
    assert_eq!(outer.len(), read.len(), "{id}");
    assert_eq!(outer.source(), read.source(), "{id}");
    assert_eq!(outer.flow(), read.flow(), "{id}");
    let marks = |facts: &Facts| (facts.tos(), facts.ttl(), facts.has_df());
    assert_eq!(marks(outer), marks(&read), "{id}");
    assert_eq!(outer.known_sum(), read.known_sum(), "{id}");
    let added = wire.len() - P.len();
    assert_eq!(usize::from(outer.overhead()), added, "{id}: O-06");
}

/// The source port out of a flow hash that the caller has (U-13, U-15).
fn by_flow_hash<I: InUdp>(id: &str, shim: Udp<I>, wire: &[u8]) {
    let (range, hash) = match id {
        "UDP-05" => (PortRange::Glb, 0x7654_0abc),
        _ => (PortRange::Dynamic, 0x7654_0123),
    };
    let spread = shim.with_source_port(SourcePort::Entropy { seed: 9, range });
    let packet = PerPacket::new().with_flow_hash(hash);
    let outer = through_doors(id, &over(spread), P, packet);
    assert_eq!(outer.as_deref(), Ok(wire), "{id}: U-15");
}

/// The inner checksum is filled in only afterwards (C-22): right from the headers alone, refused
/// where all bytes would have to be summed.
fn with_partial_checksum<I: InUdp>(
    id: &str,
    tunnel: &Tunnel<Udp<I>>,
    policy: ChecksumPolicy,
    wire: &[u8],
) {
    let pseudo = Sum::pseudo_header(A, B, 17, 16).fold();
    let mut inner = *P;
    inner[26..28].copy_from_slice(&pseudo.to_be_bytes());
    let packet = PerPacket::new().with_inner_checksum(InnerChecksum::Partial);
    let answer = through_doors(id, tunnel, &inner, packet);
    if policy == ChecksumPolicy::Full {
        assert_eq!(answer, Err(EncapError::PartialChecksum), "{id}: C-22");
        return;
    }
    let mut outer = answer.expect(id);
    let inner_start = outer.len() - inner.len();
    let (header, payload) = UdpHeader::split_mut(&mut outer[inner_start + 20..]).unwrap();
    header.fill_checksum(A, B, payload);
    assert_eq!(outer, wire, "{id}: C-22");
}

/// IP-in-IP inside UDP: in one call, and layer by layer.
fn udp_07(id: &str, outside: Tunnel<Fou>, wire: &[u8]) {
    let none = PerPacket::new();
    let inside = Tunnel::new(MIDDLE, MIDDLE_EXIT, IpIp).unwrap();
    let stack = (inside, outside);
    assert_eq!(stack.overhead(), 48, "{id}: O-06");
    let outer = through_doors(id, &stack, P, none);
    assert_eq!(outer.as_deref(), Ok(wire), "{id}: in one call");
    let chosen = [AnyTunnel::from(inside), outside.into()];
    let outer = through_doors(id, &chosen, P, none);
    assert_eq!(outer.as_deref(), Ok(wire), "{id}: chosen at run time");

    let middle = through_doors(id, &inside, P, none).expect(id);
    let outer = through_doors(id, &outside, &middle, none);
    assert_eq!(outer.as_deref(), Ok(wire), "{id}: layer by layer");

    let any = &[Prefix::ANY];
    let outside = Receiver::new(Fou::new(5555), PointToPoint::new(R, L, any));
    let inside = Receiver::new(IpIp, PointToPoint::new(MIDDLE_EXIT, MIDDLE, any));
    let receiver = (inside, outside);
    let verdict = receiver.inspect(wire).expect(id);
    assert_eq!(verdict.layers(), 2, "{id}");
    let mut buffer = wire.to_vec();
    let opened = decap(&receiver, &mut buffer).expect(id);
    assert_eq!(opened.packet, P, "{id}: P-02");
    let mut buffer = wire.to_vec();
    let middle = decap(&outside, &mut buffer).expect(id).packet;
    assert_eq!(decap(&inside, middle).expect(id).packet, P, "{id}: P-02");
}

#[test]
fn u_16_fragments_in_gre_in_udp_have_a_checksum() {
    let fragment = p_with(|p| p[6] = 0x20);
    let carry = |tunnel: &dyn Encapsulate, inner: &[u8]| {
        let outer = through_doors("U-16", tunnel, inner, PerPacket::new()).unwrap();
        UdpView::parse(&outer[20..]).unwrap().checksum_status(L, R)
    };
    let gre_in_udp = over(gre_in_udp().with_checksum(ChecksumPolicy::Zero));
    let fou = over(fou().with_checksum(ChecksumPolicy::Zero));
    assert_eq!(carry(&gre_in_udp, &fragment), UdpChecksum::Valid, "U-16");
    assert_eq!(carry(&gre_in_udp, P), UdpChecksum::Absent, "U-04");
    assert_eq!(carry(&fou, &fragment), UdpChecksum::Absent, "U-04");
}

pub(crate) fn gre(book: &mut Book) {
    book.each("encap", "GRE", |id, wire| {
        let wire = hex(wire);
        let plain = Gre::new();
        let gre = match id {
            "GRE-01" => plain,
            "GRE-02" => plain.with_checksum(),
            "GRE-03" => plain.with_key(0xdead_beef),
            "GRE-04" => {
                let numbered = plain.with_key(0xdead_beef).with_checksum().with_sequence();
                let unnumbered = PerPacket::new().with_identification(7);
                let answer = through_doors(id, &over(numbered), P, unnumbered);
                assert_eq!(answer, Err(EncapError::NoSequence), "{id}: R-11");
                numbered
            }
            _ => panic!("{id}: no check for this vector"),
        };
        let tunnel = over(gre);
        let packet = PerPacket::new().with_sequence(7);
        let outer = through_doors(id, &tunnel, P, packet);
        assert_eq!(outer.as_ref(), Ok(&wire), "{id}");
        comes_back(id, gre, &wire);

        let opened = inspect_without_filter(&gre, &wire).expect(id);
        let sequence = (id == "GRE-04").then_some(7);
        assert_eq!(opened.sequence(), sequence, "{id}: R-11");
        let whole = matches!(id, "GRE-02" | "GRE-04");
        let partial = packet.with_inner_checksum(InnerChecksum::Partial);
        let answer = through_doors(id, &tunnel, P, partial);
        // The GRE checksum covers the inner packet, whatever that one says of itself.
        let refused = Err(EncapError::PartialChecksum);
        assert_eq!(answer, if whole { refused } else { Ok(wire) }, "{id}: C-22");
    });
}

pub(crate) fn min(book: &mut Book) {
    book.each("encap", "MIN", |id, wire| {
        let wire = hex(wire);
        let (tunnel, source) = match id {
            "MIN-01" => (MinEnc::new(A, R).unwrap().without_source(), A),
            "MIN-02" => (MinEnc::new(L, R).unwrap(), L),
            _ => panic!("{id}: no check for this vector"),
        };
        let none = PerPacket::new();
        let outer = through_doors(id, &tunnel, P, none);
        assert_eq!(outer.as_ref(), Ok(&wire), "{id}");

        let sources = [Prefix::new(Ipv4Addr::new(10, 1, 0, 0), 16).unwrap()];
        let access = PointToPoint::new(R, source, &sources);
        let verdict = opened(id, &Receiver::minimal(access), &wire);
        assert_eq!(verdict, Ok((P.to_vec(), 0, None)), "{id}: P-02");
        let unfiltered = inspect_minimal_without_filter(&wire).expect(id);
        let mut buffer = wire.clone();
        assert_eq!(unfiltered.apply(&mut buffer), P, "{id}: without filter");

        for flags in [0x20, 0x00] {
            let fragment = p_with(|p| (p[6], p[7]) = (flags, 3));
            let answer = through_doors(id, &tunnel, &fragment, none);
            assert_eq!(answer, Err(EncapError::Fragment), "{id}: M-01");
        }
        let elsewhere = MinEnc::new(L, R).unwrap().without_source();
        let answer = through_doors(id, &elsewhere, P, none);
        assert_eq!(answer, Err(EncapError::SourceNotKept), "{id}: M-02");

        // M-06, R-12: forwarding takes the only TTL down; the way back is one packet with it.
        if id == "MIN-02" {
            let forwarding = tunnel.with_role(Role::Forward);
            let outer = through_doors(id, &forwarding, P, none).expect(id);
            assert_eq!(outer[8], 63, "{id}: M-06");
            let verdict = opened(id, &Receiver::minimal(access), &outer);
            let forwarded = p_with(|p| p[8] = 63);
            assert_eq!(verdict, Ok((forwarded, 0, None)), "{id}: M-06, M-07");
        }
    });
}

#[test]
fn m_03_m_07_protocol_and_options_come_back() {
    // Another protocol than P's, and a Router Alert, which stays with the outer header.
    let mut inner = [&P[..20], b"\x94\x04\x00\x00", &P[20..]].concat();
    inner[0] = 0x46;
    inner[3] = 40;
    inner[9] = 253;
    mend(&mut inner);
    let access = PointToPoint::new(R, L, &[Prefix::ANY]);
    let tunnel = MinEnc::new(L, R).unwrap();
    let outer = through_doors("M-03", &tunnel, &inner, PerPacket::new()).unwrap();
    assert_eq!(outer[20..24], inner[20..24], "M-03: options");
    assert_eq!(outer[9], 55, "M-03");
    assert_eq!(outer[24], 253, "M-03: behind the options");
    let verdict = opened("M-07", &Receiver::minimal(access), &outer);
    assert_eq!(verdict, Ok((inner, 0, None)), "M-07");
}

/// The two encodings of zero are equal to a receiver; RFC 1624 arithmetic yields only one of them.
#[test]
fn c_09_m_07_a_header_checksum_of_ffff_comes_back_as_0() {
    let mut zero = P.to_vec();
    // The identification that makes the computed checksum 0.
    let identification = u16::from_be_bytes([P[4], P[5]]) + u16::from_be_bytes([P[10], P[11]]);
    zero[4..6].copy_from_slice(&identification.to_be_bytes());
    mend(&mut zero);
    assert_eq!(zero[10..12], [0, 0]);
    let mut ones = zero.clone();
    ones[10..12].fill(0xff);

    let access = PointToPoint::new(R, L, &[Prefix::ANY]);
    for tunnel in [
        MinEnc::new(L, R).unwrap(),
        MinEnc::new(A, R).unwrap().without_source(),
    ] {
        let access = if tunnel.overhead() == 8 {
            PointToPoint::new(R, A, &[Prefix::ANY])
        } else {
            access
        };
        for inner in [&zero, &ones] {
            let outer = through_doors("M-07", &tunnel, inner, PerPacket::new()).unwrap();
            let verdict = opened("M-07", &Receiver::minimal(access), &outer);
            assert_eq!(verdict, Ok((zero.clone(), 0, None)), "M-07");
        }
    }
    // Every other tunnel leaves the inner bytes alone.
    let outer = through_doors("E-16", &tunnel(), &ones, PerPacket::new()).unwrap();
    assert_eq!(outer[20..], ones, "E-16");
}

pub(crate) fn tcp(book: &mut Book) {
    book.each("encap", "TCP", |id, wire| {
        let wire = hex(wire);
        let plain = Tcp::new(40001, 443);
        let (shims, framing) = match id {
            "TCP-01" => (vec![plain], LengthPrefix::Exclusive),
            "TCP-02" => {
                let stamps = b"\x01\x01\x08\x0a\x11\x22\x33\x44\x55\x66\x77\x88";
                let by_bytes = plain.with_options(stamps).unwrap();
                let by_value = plain.with_timestamps(0x1122_3344, 0x5566_7788);
                (vec![by_value, by_bytes], LengthPrefix::Inclusive)
            }
            _ => panic!("{id}: no check for this vector"),
        };
        let packet = PerPacket::new().with_tcp_numbers(0x0102_0304, 0x0a0b_0c0d);
        for shim in shims {
            let tunnel = over(shim.with_framing(framing));
            assert_eq!(tunnel.policy(), OuterPolicy::CONNECTION, "{id}");
            let outer = through_doors(id, &tunnel, P, packet);
            assert_eq!(outer.as_ref(), Ok(&wire), "{id}");
        }
        let expected = Tcp::new(0, 443).with_framing(framing);
        comes_back(id, expected, &wire);
        let access = PointToPoint::new(R, L, &[Prefix::ANY]);
        let receiver = Receiver::new(expected, access);
        assert!(check_payload_form(id, &receiver, &wire), "{id}");

        // No header is another's: the same bytes are no IP-in-IP packet (D-04).
        let refused = inspect_without_filter(&IpIp, &wire).unwrap_err();
        assert_eq!(refused.name(), "NotTunnel", "{id}: D-04");
    });
}

/// S-02: a segment is right around a packet whose own checksum is wrong, if its bytes are summed.
#[test]
fn s_02_segments_around_a_wrong_checksum() {
    let wrong = p_with(|p| p[35] ^= 1);
    let trusting = Tcp::new(40001, 443);
    for (shim, is_right) in [(trusting, false), (trusting.with_full_checksum(), true)] {
        let outer = through_doors("S-02", &over(shim), &wrong, PerPacket::new()).unwrap();
        let segment = ipencap::wire::Tcp::parse(&outer[20..]).unwrap();
        assert_eq!(segment.verifies(L, R), is_right, "S-02");
        // The same bytes where the packet's is right.
        let outer = through_doors("S-02", &over(shim), P, PerPacket::new()).unwrap();
        let expected = through_doors("S-02", &over(trusting), P, PerPacket::new()).unwrap();
        assert_eq!(outer, expected, "S-02");
    }
}

/// And S-23.
#[test]
fn q_08_n_02_one_dscp_and_no_ecn_on_a_connection() {
    let marked = p_with(|p| p[1] = 0xbb);
    let tcp = over(Tcp::new(40001, 443));
    let outer = through_doors("Q-08", &tcp, &marked, PerPacket::new()).unwrap();
    assert_eq!(outer[1], 0, "Q-08, N-02");
    let outer = through_doors("Q-02", &tunnel(), &marked, PerPacket::new()).unwrap();
    assert_eq!(outer[1], 0xbb, "Q-02, N-01");
}
