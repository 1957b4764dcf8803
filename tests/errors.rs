//! Every error that can be had today: how it comes about, what it says, and how it is counted.

#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    reason = "a test that panics fails"
)]

use core::error::Error;
use core::net::Ipv4Addr;
use std::collections::BTreeSet;

use ipencap::Span;
use ipencap::decap::{Decapsulate, Receiver};
use ipencap::decap::{PointToPoint, Prefix, PrefixTable};
use ipencap::encap::{
    AnyTunnel, DfPolicy, Encapsulate, IdSource, InnerChecksum, MinEnc, OuterPolicy, PerPacket,
    Role, Tunnel, header,
};
use ipencap::error::{
    ConfigError, EncapError, Eviction, FragmentAttack, FragmentError, Ignored, ParseError,
    PathMtuIgnored, PeerError, Reason, ReassemblyError, Refused, Silence, TableError,
};
use ipencap::fragment::{Added, Limits, Reassembler, Slot, check_tcp_fragment, plan};
use ipencap::icmp::{self, IcmpError, Kind};
use ipencap::packet::Facts;
use ipencap::pmtu::{Effect, PathMtu, PathMtuConfig, QuotedLen};
use ipencap::shim::{ChecksumPolicy, Fou, Gre, GreInUdp, Gue, IpIp, Shim, Tcp};
use ipencap::stream::StreamFraming::{Bare, Exclusive, Inclusive};
use ipencap::stream::{Decoder, Event, FrameError, StreamError};
use ipencap::time::Instant;
use ipencap::wire::{self, HeaderOptions, Icmpv4, Ipv4, TcpHeader};
use ipencap_kit::oracle::{self, Plain};

const A: [u8; 4] = [10, 1, 0, 5];
const B: [u8; 4] = [10, 2, 0, 9];
const L: [u8; 4] = [198, 51, 100, 1];
const R: [u8; 4] = [203, 0, 113, 2];
const ENDS: (Ipv4Addr, Ipv4Addr) = (
    Ipv4Addr::new(198, 51, 100, 1),
    Ipv4Addr::new(203, 0, 113, 2),
);

const fn plain(source: [u8; 4], destination: [u8; 4], protocol: u8) -> Plain {
    Plain {
        tos: 0,
        identification: 0,
        flags_offset: 0x4000,
        ttl: 64,
        protocol,
        source,
        destination,
        options: vec![],
    }
}

const fn inner() -> Plain {
    plain(A, B, 253)
}

const fn outer() -> Plain {
    plain(L, R, 4)
}

/// `packet` with `value` as its byte at `at`, and the right checksum.
fn with_byte(mut packet: Vec<u8>, at: usize, value: u8) -> Vec<u8> {
    packet[at] = value;
    oracle::fill_checksum(&mut packet);
    packet
}

/// The message says what to do: it is not empty, and holds each of these.
fn assert_says(error: &dyn Error, parts: &[&str]) {
    let message = error.to_string();
    assert!(message.len() > 10, "{message}");
    for part in parts {
        assert!(message.contains(part), "{message:?} lacks {part:?}");
    }
}

// ---- ParseError: one test per variant

#[test]
fn truncated_v_01_v_04_v_07() {
    let error = Ipv4::parse(&[0x45; 19]).unwrap_err();
    assert_eq!(error, ParseError::Truncated { need: 20, have: 19 });
    assert_says(&error, &["20", "19", "drop"]);
    // A length beyond 16 bits is reported as the longest that an error can carry.
    let long = with_byte(inner().packet(&[]), 0, 0x4f);
    assert_eq!(
        Ipv4::parse(&long).unwrap_err(),
        ParseError::Truncated { need: 60, have: 20 }
    );
}

#[test]
fn bad_version_v_02() {
    let error = Ipv4::parse(&[0x60; 40]).unwrap_err();
    assert_eq!(error, ParseError::BadVersion { version: 6 });
    assert_says(&error, &["6", "not 4", "skip"]);
}

#[test]
fn bad_ihl_v_03() {
    let error = Ipv4::parse(&with_byte(inner().packet(&[]), 0, 0x44)).unwrap_err();
    assert_eq!(error, ParseError::BadIhl { ihl: 4 });
    assert_says(&error, &["4 words", "5", "drop"]);
}

#[test]
fn bad_checksum_v_05() {
    let mut packet = inner().packet(&[]);
    packet[11] ^= 1;
    let error = Ipv4::parse(&packet).unwrap_err();
    assert_eq!(error, ParseError::BadChecksum);
    assert_says(&error, &["checksum", "drop"]);
    assert_eq!(Icmpv4::parse(&[8, 0, 0, 0, 0, 0, 0, 0]).err(), Some(error));
}

#[test]
fn bad_total_length_v_06_v_09() {
    let error = Ipv4::parse(&with_byte(inner().packet(&[]), 3, 19)).unwrap_err();
    assert_eq!(error, ParseError::BadTotalLength { total_len: 19 });
    assert_says(&error, &["19", "offload", "drop"]);
}

#[test]
fn bad_udp_length_u_07() {
    let error = wire::Udp::parse(&[0, 1, 0, 2, 0, 7, 0, 0]).unwrap_err();
    assert_eq!(error, ParseError::BadUdpLength { len: 7 });
    assert_says(&error, &["7", "8", "drop"]);
}

#[test]
fn bad_data_offset_s_01() {
    let mut segment = [0; 20];
    segment[12] = 0x40;
    let error = TcpHeader::split(&segment).unwrap_err();
    assert_eq!(error, ParseError::BadDataOffset { words: 4 });
    assert_says(&error, &["4 words", "5", "drop"]);
}

#[test]
fn bad_option_v_13() {
    let error = HeaderOptions::new(&[7, 1]).next().unwrap().unwrap_err();
    assert_eq!(error, ParseError::BadOption { kind: 7 });
    assert_says(&error, &["7", "ignore"]);
}

// ---- EncapError: one test per variant

fn over<S: Shim>(shim: S) -> Tunnel<S> {
    Tunnel::new(ENDS.0, ENDS.1, shim).unwrap()
}

fn tunnel() -> Tunnel<IpIp> {
    over(IpIp)
}

fn with(policy: OuterPolicy) -> Tunnel<IpIp> {
    tunnel().with_policy(policy)
}

fn forwarding() -> Tunnel<IpIp> {
    with(OuterPolicy {
        role: Role::Forward,
        ..OuterPolicy::DEFAULT
    })
}

fn refusal(tunnel: &dyn Encapsulate, packet: &[u8], said: &PerPacket) -> EncapError {
    let mut buffer = [&vec![0xa5; tunnel.overhead()], packet].concat();
    let before = buffer.clone();
    let span = Span::new(tunnel.overhead(), packet.len());
    let error = ipencap::encap(tunnel, &mut buffer, span, said).unwrap_err();
    assert_eq!(buffer, before, "E-23");
    error
}

fn plainly(tunnel: &dyn Encapsulate, packet: &[u8]) -> EncapError {
    refusal(tunnel, packet, &PerPacket::new())
}

#[test]
fn inner_e_01() {
    let error = plainly(&tunnel(), &[0x45; 12]);
    let cause = ParseError::Truncated { need: 20, have: 12 };
    assert_eq!(error, EncapError::Inner { error: cause });
    assert_eq!((error.name(), error.reason()), ("Inner", "Truncated"));
    assert_eq!(error.counter(), cause.index());
    assert_says(&error, &["inner packet", "20", "12"]);
}

#[test]
fn no_headroom_e_19() {
    let mut buffer = [&[0; 3], &inner().packet(&[])[..]].concat();
    let said = PerPacket::new();
    let error = ipencap::encap(&tunnel(), &mut buffer, Span::new(3, 20), &said).unwrap_err();
    assert_eq!(error, EncapError::NoHeadroom { need: 20, have: 3 });
    assert_says(&error, &["20", "3", "headroom"]);
}

#[test]
fn too_long_e_06() {
    let error = plainly(&tunnel(), &inner().packet(&vec![0; 65516 - 20]));
    assert_eq!(error, EncapError::TooLong { len: 65536 });
    assert_says(&error, &["65536", "65535", "shorter"]);
}

#[test]
fn ttl_zero_t_06() {
    let error = plainly(&tunnel(), &Plain { ttl: 0, ..inner() }.packet(&[]));
    assert_eq!(error, EncapError::TtlZero);
    assert_says(&error, &["TTL", "0", "drop"]);
}

#[test]
fn ttl_expired_t_04() {
    let error = plainly(&forwarding(), &Plain { ttl: 1, ..inner() }.packet(&[]));
    assert_eq!(error, EncapError::TtlExpired);
    assert_says(&error, &["ICMP 11/0", "drop"]);
}

#[test]
fn loop_to_exit_e_17() {
    let error = plainly(&tunnel(), &plain(R, B, 253).packet(&[]));
    assert_eq!(error, EncapError::LoopToExit { layer: 0 });
    assert_says(&error, &["exit", "layer 0", "drop"]);
}

#[test]
fn loop_own_source_e_18() {
    let error = plainly(&forwarding(), &plain(L, B, 253).packet(&[]));
    assert_eq!(error, EncapError::LoopOwnSource { layer: 0 });
    assert_says(&error, &["encapsulator", "layer 0", "drop"]);
}

#[test]
fn fragmentation_needed_i_14() {
    let packet = inner().packet(&[0; 1481 - 20]);
    let limited = with(OuterPolicy {
        link_mtu: Some(1500),
        ..OuterPolicy::DEFAULT
    });
    let error = plainly(&limited, &packet);
    assert_eq!(error, EncapError::FragmentationNeeded { mtu: 1480 });
    assert_says(&error, &["1480", "fragment", "ICMP 3/4"]);
    let said = PerPacket::new().with_link_mtu(19);
    let nothing_fits = refusal(&tunnel(), &packet, &said);
    assert_eq!(nothing_fits, EncapError::FragmentationNeeded { mtu: 0 });
}

#[test]
fn no_identification_f_02() {
    let copying = with(OuterPolicy {
        df: DfPolicy::Copy(IdSource::PerPacket),
        ..OuterPolicy::DEFAULT
    });
    let packet = Plain {
        flags_offset: 0,
        ..inner()
    }
    .packet(&[]);
    let error = plainly(&copying, &packet);
    assert_eq!(error, EncapError::NoIdentification);
    assert_says(&error, &["DF", "with_identification"]);
}

#[test]
fn partial_checksum_c_22() {
    let gre = over(Gre::new().with_checksum());
    let said = PerPacket::new().with_inner_checksum(InnerChecksum::Partial);
    let error = refusal(&gre, &inner().packet(&[]), &said);
    assert_eq!(error, EncapError::PartialChecksum);
    assert_says(&error, &["partial", "fill it in"]);
    let tcp = over(Tcp::new(1, 2));
    assert_eq!(refusal(&tcp, &inner().packet(&[]), &said), error);
    let udp = over(Fou::new(5555));
    assert_eq!(refusal(&udp, &inner().packet(&[]), &said), error);
}

#[test]
fn no_sequence_r_11() {
    let gre = over(Gre::new().with_sequence());
    let error = plainly(&gre, &inner().packet(&[]));
    assert_eq!(error, EncapError::NoSequence);
    assert_says(&error, &["numbers", "with_sequence"]);
}

#[test]
fn fragment_m_01() {
    let minimal = MinEnc::new(ENDS.0, ENDS.1).unwrap();
    let fragment = Plain {
        flags_offset: 0x2000,
        ..inner()
    };
    let error = plainly(&minimal, &fragment.packet(&[]));
    assert_eq!(error, EncapError::Fragment);
    assert_says(&error, &["fragments", "another tunnel"]);
}

#[test]
fn source_not_kept_m_02() {
    let minimal = MinEnc::new(ENDS.0, ENDS.1).unwrap().without_source();
    let error = plainly(&minimal, &inner().packet(&[]));
    assert_eq!(error, EncapError::SourceNotKept);
    assert_says(&error, &["source", "configure"]);
}

fn wraps(tunnel: &dyn Encapsulate, packet: &[u8]) -> bool {
    let overhead = tunnel.overhead();
    let mut buffer = [&vec![0; overhead], packet].concat();
    let inner = Span::new(overhead, packet.len());
    ipencap::encap(tunnel, &mut buffer, inner, &PerPacket::new()).is_ok()
}

/// Our own decapsulator, and any that follows RFC 7126, drops a packet whose outer header has a source
/// route. Minimal encapsulation keeps the options in the outer header.
#[test]
fn source_route_v_14_m_03() {
    let minimal = MinEnc::new(ENDS.0, ENDS.1).unwrap();
    let fou = over(Fou::new(5555));
    let route = |kind, pointer| [&[1, kind, 7, pointer][..], &[192, 0, 2, 77]].concat();
    for options in [
        route(131, 4),
        route(137, 4),
        // The route is used up: the option is still there.
        route(131, 8),
    ] {
        let packet = Plain { options, ..inner() }.packet(b"payload");
        let error = plainly(&minimal, &packet);
        assert_eq!(error, EncapError::SourceRoute);
        assert_says(&error, &["source route", "another tunnel"]);
        // Inside any other tunnel it is payload (E-15), and a second header has no options.
        let around = (fou, minimal);
        assert!(wraps(&fou, &packet) && wraps(&around, &packet));
        let within = (minimal, fou);
        assert_eq!(plainly(&within, &packet), EncapError::SourceRoute);
    }
    for options in [vec![0x94, 4, 0, 0], vec![0, 131, 7, 4, 192, 0, 2, 77]] {
        let packet = Plain { options, ..inner() }.packet(b"payload");
        assert!(wraps(&minimal, &packet));
    }
}

/// A header by value cannot sum bytes that are not at hand, whatever layer's checksum covers them.
#[test]
fn unknown_sum_c_20_u_16() {
    let gre = over(Gre::new().with_checksum());
    let tcp = over(Tcp::new(1, 2));
    let fou = Fou::new(5555);
    let full = over(fou.with_checksum(ChecksumPolicy::Full));
    let unsummed = over(fou.with_checksum(ChecksumPolicy::Zero));
    let fou = over(fou);
    let gre_in_udp = over(GreInUdp::new(Gre::new()).with_checksum(ChecksumPolicy::Zero));
    let site = Tunnel::new(
        Ipv4Addr::new(192, 0, 2, 1),
        Ipv4Addr::new(192, 0, 2, 2),
        IpIp,
    )
    .unwrap();
    let opaque = inner().packet(b"payload");
    let datagram = plain(A, B, 17).packet(&[0, 1, 0, 2, 0, 8, 0, 1]);
    let fragment = Plain {
        flags_offset: 0x2000,
        ..plain(A, B, 17)
    };
    let fragment = fragment.packet(&[0; 8]);
    // (tunnel, inner packet, whether its headers tell too little)
    let cases: [(AnyTunnel, &[u8], bool); 11] = [
        (gre.into(), &opaque, true),
        (gre.into(), &datagram, true),
        (tcp.into(), &opaque, true),
        (fou.into(), &opaque, true),
        (fou.into(), &datagram, false),
        (full.into(), &datagram, true),
        (unsummed.into(), &opaque, false),
        (unsummed.into(), &fragment, false),
        (gre_in_udp.into(), &opaque, false),
        (gre_in_udp.into(), &fragment, true),
        (site.into(), &opaque, false),
    ];
    let said = PerPacket::new();
    for (number, (layer, packet, is_unknown)) in cases.into_iter().enumerate() {
        let read = Facts::read(packet).unwrap();
        let summed = Facts::summed(packet).unwrap();
        let stacks: [&[AnyTunnel]; 3] = [&[layer], &[layer, site.into()], &[site.into(), layer]];
        for stack in stacks {
            let made = header::<100, _>(stack, &read, &said);
            // IP-in-IP around a fragment is no fragment.
            let hides_fragment = read.is_fragment() && stack[0] != layer;
            let is_unknown = is_unknown && !hides_fragment;
            let unknown = Err(EncapError::UnknownSum);
            assert_eq!(made == unknown, is_unknown, "{number}: {stack:?}");

            // With the sum it is what stands in front of the packet.
            let made = header::<100, _>(stack, &summed, &said).unwrap();
            let mut buffer = [&[0; 100], packet].concat();
            let span = Span::new(100, packet.len());
            ipencap::encap(stack, &mut buffer, span, &said).unwrap();
            let start = 100 - stack.overhead();
            assert_eq!(*made.as_slice(), buffer[start..100], "{number}: {stack:?}");
        }
    }
    let error = EncapError::UnknownSum;
    assert_eq!((error.name(), error.index()), ("UnknownSum", 28));
    assert_says(&error, &["checksum", "bytes", "Facts::summed"]);
}

/// Minimal encapsulation moves the inner header: as a layer it has no header by value either.
#[test]
fn not_by_value_m_03() {
    let minimal = MinEnc::new(ENDS.0, ENDS.1).unwrap();
    let site = Tunnel::new(
        Ipv4Addr::new(192, 0, 2, 1),
        Ipv4Addr::new(192, 0, 2, 2),
        IpIp,
    )
    .unwrap();
    let facts = Facts::summed(&inner().packet(&[])).unwrap();
    let stacks: [&dyn Encapsulate; 4] = [
        &minimal,
        &AnyTunnel::from(minimal),
        &(site, minimal),
        &[minimal.into(), AnyTunnel::from(site)],
    ];
    for stack in stacks {
        let error = header::<100, _>(stack, &facts, &PerPacket::new()).unwrap_err();
        assert_eq!(error, EncapError::NotByValue);
        assert_eq!((error.name(), error.index()), ("NotByValue", 30));
        assert_says(&error, &["by value", "in place"]);
    }
}

/// Addresses and lengths are checked before what the shim asks for.
#[test]
fn e_17_i_14_before_the_demands_of_the_shim() {
    let gre = over(Gre::new().with_checksum().with_sequence());
    let said = PerPacket::new()
        .with_inner_checksum(InnerChecksum::Partial)
        .with_link_mtu(1500);
    let to_exit = plain(R, B, 253).packet(&[0; 1500]);
    let error = EncapError::LoopToExit { layer: 0 };
    assert_eq!(refusal(&gre, &to_exit, &said), error);
    let long = inner().packet(&[0; 1500]);
    let error = EncapError::FragmentationNeeded { mtu: 1500 - 32 };
    assert_eq!(refusal(&gre, &long, &said), error);
    let short = inner().packet(&[]);
    assert_eq!(refusal(&gre, &short, &said), EncapError::PartialChecksum);
    let said = said.with_inner_checksum(InnerChecksum::Complete);
    assert_eq!(refusal(&gre, &short, &said), EncapError::NoSequence);
}

/// L-08: a stack numbers its layers and leaves less room to the inner ones.
#[test]
fn l_08_the_layer_and_the_mtu_in_a_stack() {
    let site = Tunnel::new(
        Ipv4Addr::new(192, 0, 2, 1),
        Ipv4Addr::new(192, 0, 2, 2),
        IpIp,
    )
    .unwrap();
    let back = Tunnel::new(ENDS.1, ENDS.0, IpIp).unwrap();
    let stack = (site, (site, (tunnel(), back)));
    let packet = inner().packet(&[0; 100]);
    let error = EncapError::LoopToExit { layer: 3 };
    assert_eq!(plainly(&stack, &packet), error);
    let own = (site, forwarding());
    let again = (own, forwarding());
    let error = EncapError::LoopOwnSource { layer: 2 };
    assert_eq!(plainly(&again, &packet), error);
    for (mtu, left) in [(1500, 1500 - 48), (100, 52), (48, 0), (20, 0), (0, 0)] {
        let said = PerPacket::new().with_link_mtu(mtu);
        let packet = inner().packet(&[0; 1480]);
        let error = EncapError::FragmentationNeeded { mtu: left };
        assert_eq!(
            refusal(&(site, over(Fou::new(5555))), &packet, &said),
            error
        );
    }
}

// ---- Refused: one packet per reason

static ANY: [Prefix; 1] = [Prefix::ANY];
static BRANCH: [Prefix; 1] = [match Prefix::new(Ipv4Addr::new(10, 1, 0, 0), 16) {
    Ok(prefix) => prefix,
    Err(_) => Prefix::ANY,
}];

const fn access(inner: &'static [Prefix]) -> PointToPoint<'static> {
    PointToPoint::new(ENDS.1, ENDS.0, inner)
}

fn refused(receiver: &dyn Decapsulate, packet: &[u8]) -> Refused {
    let mut bytes = packet.to_vec();
    let refused = ipencap::decap(receiver, &mut bytes).unwrap_err();
    assert_eq!(bytes, packet, "P-03");
    assert_eq!(refused.name(), refused.reason.name());
    assert_says(&refused, &["layer 0", "drop silently"]);
    let numbers = [refused.need.to_string(), refused.have.to_string()];
    if refused.need > 0 {
        assert_says(&refused, &[&numbers[0], &numbers[1]]);
    } else {
        assert!(!refused.to_string().contains("needed"), "{refused}");
    }
    refused
}

/// What a receiver of `shim` says of `payload` behind an outer header of its protocol.
fn carried<S: Shim>(shim: S, payload: &[u8]) -> Reason {
    let header = plain(L, R, S::PROTOCOL.0);
    let receiver = Receiver::new(shim, access(&ANY));
    refused(&receiver, &header.packet(payload)).reason
}

/// The same of minimal encapsulation.
fn minimal(payload: &[u8]) -> Reason {
    let header = plain(L, R, 55);
    let receiver = Receiver::minimal(access(&ANY));
    refused(&receiver, &header.packet(payload)).reason
}

/// `payload` behind a UDP header, without checksum.
fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(8 + payload.len()).unwrap();
    [
        &[0xc0, 0x00][..],
        &port.to_be_bytes(),
        &len.to_be_bytes(),
        &[0, 0],
        payload,
    ]
    .concat()
}

/// A GRE header with these flags, and `payload`.
fn gre(flags: u16, protocol: u16, payload: &[u8]) -> Vec<u8> {
    [&flags.to_be_bytes()[..], &protocol.to_be_bytes(), payload].concat()
}

/// Each reason of the pipeline itself, with a packet that meets it.
fn pipeline_reasons() -> Vec<(Reason, Refused)> {
    let ipip = Receiver::new(IpIp, access(&BRANCH));
    let say = |packet: Vec<u8>| refused(&ipip, &packet);
    let around = |inner: Vec<u8>| refused(&ipip, &outer().packet(&inner));
    let valid = || outer().packet(&inner().packet(&[]));
    let flipped = |mut packet: Vec<u8>| {
        packet[11] ^= 1;
        packet
    };
    let marked = Plain { tos: 3, ..outer() };
    let routed = Plain {
        options: vec![131, 4, 4, 0],
        ..outer()
    };
    let fragment = Plain {
        flags_offset: 0x2000,
        ..outer()
    };
    let padded = [&inner().packet(&[])[..], &[0]].concat();
    let land = Receiver::new(IpIp, access(&ANY)).refusing_land();
    vec![
        (Reason::OuterTruncated, say(vec![0x45; 19])),
        (Reason::OuterBadVersion, say(with_byte(valid(), 0, 0x65))),
        (Reason::OuterBadIhl, say(with_byte(valid(), 0, 0x44))),
        (Reason::OuterBadChecksum, say(flipped(valid()))),
        (Reason::OuterBadTotalLength, say(with_byte(valid(), 3, 19))),
        (Reason::OuterFragment, say(fragment.packet(&[]))),
        (Reason::NotTunnel, say(plain(L, R, 94).packet(&[]))),
        (Reason::OuterDstNotLocal, say(plain(L, B, 4).packet(&[]))),
        (
            Reason::OuterMartianSource,
            say(plain([127, 0, 0, 1], R, 4).packet(&[])),
        ),
        (
            Reason::UnknownPeer,
            say(plain([192, 0, 2, 66], R, 4).packet(&[])),
        ),
        (Reason::OuterSourceRoute, say(routed.packet(&[]))),
        (Reason::InnerTruncated, around(vec![0x45; 19])),
        (
            Reason::InnerBadVersion,
            around(with_byte(inner().packet(&[]), 0, 0x65)),
        ),
        (
            Reason::InnerBadIhl,
            around(with_byte(inner().packet(&[]), 0, 0x44)),
        ),
        (
            Reason::InnerBadChecksum,
            around(flipped(inner().packet(&[]))),
        ),
        (
            Reason::InnerBadTotalLength,
            around(with_byte(inner().packet(&[]), 3, 19)),
        ),
        (
            Reason::InnerLengthMismatch,
            refused(&ipip.with_exact_length(), &outer().packet(&padded)),
        ),
        (
            Reason::InnerTtlZero,
            around(Plain { ttl: 0, ..inner() }.packet(&[])),
        ),
        (
            Reason::InnerMartianSource,
            around(plain([224, 0, 0, 1], B, 253).packet(&[])),
        ),
        (
            Reason::InnerSourceIsLocal,
            around(plain(R, B, 253).packet(&[])),
        ),
        (
            Reason::InnerEqualsOuter,
            around(plain(L, R, 253).packet(&[])),
        ),
        (
            Reason::InnerSourceNotAllowed,
            around(plain([8; 4], B, 253).packet(&[])),
        ),
        (
            Reason::InnerMartianDestination,
            around(plain(A, [255; 4], 253).packet(&[])),
        ),
        (Reason::LoopToPeer, around(plain(A, L, 253).packet(&[]))),
        (Reason::NestingLimit, around(plain(A, R, 4).packet(&[]))),
        (
            Reason::EcnDrop,
            refused(&ipip, &marked.packet(&inner().packet(&[]))),
        ),
        (
            Reason::InnerSourceEqualsDestination,
            refused(&land, &outer().packet(&plain(A, A, 253).packet(&[]))),
        ),
    ]
}

/// Each reason of a shim, with what the shim said.
fn shim_reasons() -> Vec<(Reason, Reason)> {
    let fou = Fou::new(5555);
    let gue = |bytes: &[u8]| carried(Gue::new(), &udp(6080, bytes));
    let keyed = Gre::new().with_key(42);
    let plain_gre = Gre::new();
    let packet = inner().packet(&[]);
    let mut wrong = udp(5555, &packet);
    wrong[7] = 1;
    let mut segment = [0; 20];
    [segment[2], segment[3], segment[12]] = [0x15, 0xb3, 0x50];
    let offset_4 = {
        let mut segment = segment;
        segment[12] = 0x40;
        segment
    };
    vec![
        (Reason::UdpTruncated, carried(fou, &[0; 7])),
        (
            Reason::UdpBadLength,
            carried(fou, &[0, 0, 0x15, 0xb3, 0, 7, 0, 0]),
        ),
        (Reason::UdpBadChecksum, carried(fou, &wrong)),
        (
            Reason::UdpChecksumRequired,
            carried(fou.requiring_checksum(), &udp(5555, &packet)),
        ),
        (Reason::GueTruncated, gue(&[0, 4, 0])),
        (Reason::GueBadVersion, gue(&[0x80, 4, 0, 0])),
        (Reason::GueBadVariant1Version, gue(&[0x55, 0, 0, 0])),
        (Reason::GueControl, gue(&[0x20, 4, 0, 0])),
        (Reason::GueUnknownFlags, gue(&[0, 4, 0x80, 0])),
        (Reason::GueProtoZero, gue(&[0, 0, 0, 0])),
        (Reason::GueNoNextHeader, gue(&[0, 59, 0, 0])),
        (Reason::UnsupportedInnerProtocol, gue(&[0, 41, 0, 0])),
        (Reason::GreTruncated, carried(plain_gre, &[0; 3])),
        (
            Reason::GreBadVersion,
            carried(plain_gre, &gre(0x0001, 0x0800, &packet)),
        ),
        (
            Reason::GreReservedBits,
            carried(plain_gre, &gre(0x4000, 0x0800, &packet)),
        ),
        (
            Reason::GreBadChecksum,
            carried(plain_gre.with_checksum(), &gre(0x8000, 0x0800, &[0; 4])),
        ),
        (
            Reason::GreKeyMismatch,
            carried(keyed, &gre(0x2000, 0x0800, &[0, 0, 0, 41])),
        ),
        (
            Reason::GreUnsupportedProtocol,
            carried(plain_gre, &gre(0, 0x86dd, &packet)),
        ),
        (
            Reason::TcpTruncated,
            carried(Tcp::new(0, 5555), &segment[..19]),
        ),
        (Reason::TcpBadOffset, carried(Tcp::new(0, 5555), &offset_4)),
        (Reason::TcpBadChecksum, carried(Tcp::new(0, 5555), &segment)),
        (Reason::MinTruncated, minimal(&[0; 7])),
        (Reason::MinBadChecksum, minimal(&[0; 8])),
        (
            Reason::GreSequence,
            carried(plain_gre.with_sequence(), &gre(0, 0x0800, &packet)),
        ),
    ]
}

#[test]
fn every_reason_of_the_pipeline_d_01_to_d_22() {
    for (expected, refused) in pipeline_reasons() {
        assert_eq!(refused.reason, expected);
        let is_length = matches!(expected, Reason::OuterTruncated | Reason::InnerTruncated);
        let numbers = if is_length { (20, 19) } else { (0, 0) };
        assert_eq!((refused.need, refused.have), numbers, "{expected}");
    }
}

/// R-07 among them.
#[test]
fn every_reason_of_a_shim_d_10() {
    for (expected, reason) in shim_reasons() {
        assert_eq!(reason, expected);
    }
}

/// The two tests above leave no reason out.
#[test]
fn every_reason_is_produced() {
    let produced: BTreeSet<usize> = pipeline_reasons()
        .into_iter()
        .map(|(_, refused)| refused.reason)
        .chain(shim_reasons().into_iter().map(|(_, reason)| reason))
        .map(Reason::index)
        .collect();
    let all: BTreeSet<usize> = (0..Reason::COUNT).collect();
    assert_eq!(produced, all);
}

#[test]
fn a_refusal_inside_of_a_stack_says_the_layer_l_02() {
    let refused = Refused::inner(ParseError::Truncated { need: 20, have: 7 }).inside(2);
    assert_eq!((refused.reason, refused.layer), (Reason::InnerTruncated, 2));
    assert_says(&refused, &["layer 2", "20", "7"]);
    assert_eq!(refused.inside(255).layer, 255);
    let refused = Refused::truncated(Reason::UdpTruncated, ParseError::BadChecksum);
    assert_eq!((refused.need, refused.have), (0, 0));
}

// ---- PathMtuIgnored: one report per reason

/// A report that meets each reason, on a path of 1500 bytes on which a packet of that length was sent.
#[test]
fn path_mtu_ignored_a_15() {
    let ignored = |config, mtu, reported, total_len| {
        let mut path = PathMtu::new(1500, config);
        path.sent(Instant::ZERO, 1500);
        let _ = path.on_local(Instant::ZERO, mtu);
        let before = path.get(Instant::ZERO);
        let header_len = 20;
        let quoted = QuotedLen {
            total_len,
            header_len,
        };
        match path.on_report(Instant::ZERO, reported, quoted) {
            Effect::Ignored(reason) => {
                assert_eq!(path.get(Instant::ZERO), before);
                reason
            }
            effect => panic!("{effect:?}"),
        }
    };
    let (usual, fixed) = (PathMtuConfig::DEFAULT, PathMtuConfig::STATIC);
    let mut counters = [0u32; PathMtuIgnored::COUNT];
    for (config, mtu, reported, total_len, reason, parts) in [
        (
            fixed,
            1500,
            1400,
            1500,
            PathMtuIgnored::Static,
            ["configured", "clear"],
        ),
        (
            usual,
            1500,
            67,
            1500,
            PathMtuIgnored::BelowMinimum,
            ["68", "ignore"],
        ),
        (
            usual,
            1500,
            1400,
            1501,
            PathMtuIgnored::NeverSent,
            ["longer", "forged"],
        ),
        (
            usual,
            1500,
            1500,
            1500,
            PathMtuIgnored::PacketFits,
            ["fits", "forged"],
        ),
        (
            usual,
            1400,
            1400,
            1500,
            PathMtuIgnored::NotLower,
            ["not below", "ignore"],
        ),
        (
            usual,
            552,
            551,
            1500,
            PathMtuIgnored::AtFloor,
            ["floor", "DF"],
        ),
    ] {
        let found = ignored(config, mtu, reported, total_len);
        assert_eq!(found, reason);
        assert_says(&found, &parts);
        counters[found.index()] += 1;
    }
    assert_eq!(counters, [1; PathMtuIgnored::COUNT]);
}

// ---- StreamError and FrameError

#[test]
fn stream_errors_s_13_s_17_s_21() {
    let rows: [(_, &[u8], _, &str); 4] = [
        (Exclusive, &[0, 0], StreamError::BadFrameLength, "length"),
        (Bare, &[0x60; 4], StreamError::BadFrameLength, "length"),
        (Exclusive, &[0, 63], StreamError::FrameTooLong, "limit"),
        (Inclusive, b"IKEUDP", StreamError::BadMagic, "magic"),
    ];
    for (framing, mut stream, error, part) in rows {
        let mut buffer = [0; 64];
        let mut decoder = Decoder::new(framing, &mut buffer);
        assert_eq!(decoder.push(&mut stream), Err(error));
        assert_says(&error, &[part, "close the connection"]);
        assert_eq!(error.name(), format!("{error:?}"));
    }
}

#[test]
fn frame_errors_s_14_s_20() {
    let packet = inner().packet(b"payload");
    let padded = [&packet[..], &[0; 4]].concat();
    let truncated = ParseError::Truncated { need: 20, have: 1 };
    let rows = [
        (&packet[..1], FrameError::Inner(truncated), ["20", "1"]),
        (&padded, FrameError::InnerLengthMismatch, ["fill", "drop"]),
    ];
    for (bytes, error, parts) in rows {
        let prefix = u16::try_from(bytes.len()).unwrap().to_be_bytes();
        let stream = [&prefix, bytes].concat();
        let mut buffer = [0; 64];
        let mut decoder = Decoder::new(Exclusive, &mut buffer);
        let answer = decoder.push(&mut &stream[..]);
        assert_eq!(answer, Ok(Some(Event::Dropped(error))));
        assert_says(&error, &["framed packet"]);
        assert_says(&error, &parts);
    }
    assert_eq!(FrameError::Inner(truncated).name(), "Truncated");
    let mismatch = FrameError::InnerLengthMismatch;
    assert_eq!(mismatch.name(), "InnerLengthMismatch");
}

// ---- Fragments

/// A part of `plain`, with these flags and this offset and so many bytes of data.
fn part(flags_offset: u16, len: usize) -> Vec<u8> {
    let plain = Plain {
        flags_offset,
        ..inner()
    };
    plain.packet(&vec![0; len])
}

#[test]
fn fragment_errors_x_02_x_03_v_15() {
    let packet = part(0, 100);
    let fragment = plan(&packet, 60).unwrap().fragments(&packet).unwrap();
    let fragment = fragment.last().unwrap();
    let mut bad_option = Plain {
        options: vec![7, 1, 0, 0],
        ..inner()
    };
    bad_option.flags_offset = 0;
    let bad_option = bad_option.packet(&[0; 100]);
    let rows = [
        (plan(&packet[..19], 60).err(), "Truncated", ["20", "19"]),
        (plan(&bad_option, 60).err(), "BadOption", ["7", "length"]),
        (
            plan(&part(0x4000, 100), 60).err(),
            "FragmentationNeeded",
            ["60", "ICMP 3/4"],
        ),
        (plan(&packet, 27).err(), "MtuTooSmall", ["27", "28"]),
        (
            plan(&part(0x1fff, 100), 60).err(),
            "ReassembledTooLong",
            ["65535", "drop"],
        ),
        (
            fragment.write(&packet, &mut [0; 39]).err(),
            "NoRoom",
            ["40", "39"],
        ),
        (
            plan(&packet, 60).unwrap().fragments(&part(0, 99)).err(),
            "OtherPacket",
            ["planned", "again"],
        ),
        (
            fragment.write(&packet[..119], &mut [0; 40]).err(),
            "Truncated",
            ["120", "119"],
        ),
    ];
    let mut counters = BTreeSet::new();
    for (error, reason, parts) in rows {
        let error = error.unwrap();
        assert_eq!(error.reason(), reason);
        assert_says(&error, &parts);
        assert!(FragmentError::counters().any(|named| named == (error.counter(), reason)));
        counters.insert(error.counter());
    }
    let own = FragmentError::NAMES
        .iter()
        .filter(|(_, name)| *name != "Packet");
    let missing: Vec<_> = own.filter(|(index, _)| !counters.contains(index)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn reassembly_errors_x_22_to_x_28() {
    let first = || part(0x2000, 16);
    let with_ecn = |packet, ecn| with_byte(packet, 1, ecn);
    let rows: [(Vec<Vec<u8>>, &str, &str); 12] = [
        (vec![first()[..19].to_vec()], "Truncated", "19"),
        (vec![part(0, 8)], "NotFragment", "whole"),
        (vec![part(0x2000, 0)], "EmptyFragment", "without data"),
        (vec![part(0x2000, 12)], "BadFragmentLength", "12"),
        (vec![part(0x1fff, 8)], "ReassembledTooLong", "65535"),
        (
            vec![first(), part(0x2001, 16)],
            "OverlappingFragment",
            "overlap",
        ),
        (vec![first(), part(1, 8)], "InconsistentEnd", "ends"),
        (
            vec![first(), with_ecn(part(2, 8), 3)],
            "EcnFragmentMix",
            "Not-ECT",
        ),
        (vec![part(0x2000, 8)], "TooSmall", "8 bytes"),
        (
            vec![first(), part(0x2002, 16), part(4, 1)],
            "TooManyFragments",
            "limit",
        ),
        (vec![part(100, 8)], "SlotTooShort", "808"),
        (
            vec![first(), part(0x2000, 0), part(2, 8)],
            "Discarded",
            "before",
        ),
    ];
    let limits = Limits {
        min_len: 16,
        max_fragments: 2,
        ..Limits::DEFAULT
    };
    let mut counters = BTreeSet::new();
    for (fragments, reason, part) in rows {
        let mut slots = [Slot::new()];
        let mut memory = [0; Reassembler::memory_len(1, 64)];
        let mut reassembler = Reassembler::new(&mut slots, &mut memory, limits);
        let answers = fragments
            .iter()
            .map(|fragment| reassembler.add(Instant::ZERO, 0, fragment));
        let error = answers.last().unwrap().unwrap_err();
        assert_eq!(error.reason(), reason);
        assert_says(&error, &[part]);
        assert!(ReassemblyError::counters().any(|named| named == (error.counter(), reason)));
        counters.insert(error.counter());
    }
    let own = ReassemblyError::NAMES
        .iter()
        .filter(|(_, name)| *name != "Packet");
    let missing: Vec<_> = own.filter(|(index, _)| !counters.contains(index)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// What is provoked in `tests/fragment.rs` says what to do.
#[test]
fn evictions_and_attacks_x_31() {
    let mut slots = [Slot::new()];
    let mut memory = [0; Reassembler::memory_len(1, 64)];
    let mut reassembler = Reassembler::new(&mut slots, &mut memory, Limits::DEFAULT);
    let first = part(0x2000, 16);
    assert!(reassembler.add(Instant::ZERO, 0, &first).is_ok());
    let added = reassembler.add(Instant::ZERO, 1, &first).unwrap();
    let Added::Held {
        evicted: Some(evicted),
    } = added
    else {
        panic!("{added:?}");
    };
    assert_eq!((evicted.reason, evicted.peer), (Eviction::SlotNeeded, 0));
    assert_says(&evicted.reason, &["slots"]);
    assert_says(&Eviction::TimedOut, &["timeout"]);
    assert_says(&Eviction::PeerLimit, &["peer"]);
    assert_says(&Eviction::Overtaken, &["identification"]);
    let plain = Plain {
        flags_offset: 1,
        protocol: 6,
        ..inner()
    };
    let packet = plain.packet(&[0; 8]);
    let attack = check_tcp_fragment(Ipv4::parse(&packet).unwrap()).unwrap_err();
    assert_says(&attack, &["offset 8", "drop"]);
    assert_says(&FragmentAttack::TinyFirstFragment, &["flags", "drop"]);
}
// ---- TableError

#[test]
fn table_error_full() {
    let error = PrefixTable::new(&mut [])
        .insert(0, Prefix::ANY, 1)
        .unwrap_err();
    assert_eq!(error, TableError::Full);
    assert_says(&error, &["full", "entries"]);
}

// ---- ConfigError: one test per variant that can be had

#[test]
fn forbidden_source_e_13() {
    let error = Tunnel::new(Ipv4Addr::LOCALHOST, ENDS.1, IpIp).unwrap_err();
    assert_eq!(error, ConfigError::ForbiddenSource);
    assert_says(&error, &["source", "unicast"]);
}

#[test]
fn forbidden_destination_e_14() {
    let error = Tunnel::new(ENDS.0, Ipv4Addr::BROADCAST, IpIp).unwrap_err();
    assert_eq!(error, ConfigError::ForbiddenDestination);
    assert_says(&error, &["destination", "unicast"]);
}

#[test]
fn bad_prefix_d_17() {
    let error = Prefix::new(ENDS.0, 33).unwrap_err();
    assert_eq!(error, ConfigError::BadPrefix);
    assert_eq!(Prefix::new(ENDS.0, 16), Err(error), "host bits");
    assert_says(&error, &["prefix", "0 to 32"]);
}

#[test]
fn too_many_private_words_g_08() {
    let gue = Gue::new();
    assert!(gue.with_private_words([1; 31]).is_ok());
    let errors = [
        gue.with_private_words([1; 32]).unwrap_err(),
        gue.with_private_words([1; 256]).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error, ConfigError::TooManyPrivateWords);
        assert_says(&error, &["31", "private words"]);
    }
}

#[test]
fn bad_tcp_options_s_03() {
    let tcp = Tcp::new(1, 2);
    assert!(tcp.with_options(&[1; 40]).is_ok());
    for len in [1, 41, 44, 300] {
        let error = tcp.with_options(&vec![1; len]).unwrap_err();
        assert_eq!(error, ConfigError::BadTcpOptions);
        assert_says(&error, &["40", "4"]);
    }
}

// ---- Numbers, names, counters

// ---- Silence and Ignored: one packet for each

const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);

/// I-01 to I-05, I-14, I-15, I-31.
fn silences() -> Vec<(Silence, Result<IcmpError, Silence>)> {
    let about = |plain: Plain, payload: &[u8]| {
        IcmpError::about(&plain.packet(payload), Kind::HostUnreachable, GATEWAY)
    };
    let too_long = |mtu, flags_offset| {
        let plain = Plain {
            flags_offset,
            ..inner()
        };
        let kind = Kind::FragmentationNeeded { mtu };
        IcmpError::about(&plain.packet(&[0; 80]), kind, GATEWAY)
    };
    let fragment = Plain {
        flags_offset: 1,
        ..inner()
    };
    let packet = inner().packet(&[0; 80]);
    let kind = Kind::HostUnreachable;
    let own = Ipv4Addr::UNSPECIFIED;
    vec![
        (
            Silence::Invalid,
            IcmpError::about(&packet[..99], kind, GATEWAY),
        ),
        (Silence::LaterFragment, about(fragment, &[0; 8])),
        (
            Silence::SourceNotAHost,
            about(plain([127, 0, 0, 1], B, 17), &[]),
        ),
        (Silence::Multicast, about(plain(A, [224, 0, 0, 1], 17), &[])),
        (Silence::Broadcast, about(plain(A, [255; 4], 17), &[])),
        (Silence::AboutAnError, about(plain(A, B, 1), &[11; 8])),
        (Silence::UnknownIcmpType, about(plain(A, B, 1), &[99; 8])),
        (Silence::IcmpTruncated, about(plain(A, B, 1), &[])),
        (Silence::MayBeFragmented, too_long(68, 0)),
        (Silence::MtuBelowMinimum, too_long(67, 0x4000)),
        (Silence::NoOwnAddress, IcmpError::about(&packet, kind, own)),
        (
            Silence::QuoteTooShort,
            IcmpError::about_quoted(&packet[..27], kind, GATEWAY),
        ),
    ]
}

/// The ICMP message of this type and code in a packet of this header.
fn message(plain: &Plain, kind: u8, code: u8, rest: [u8; 4], quote: &[u8]) -> Vec<u8> {
    let mut message = [&[kind, code, 0, 0], &rest[..], quote].concat();
    let computed = oracle::checksum(&message);
    oracle::put_u16(&mut message, 2, computed);
    plain.packet(&message)
}

/// I-20, I-24 to I-28, I-30.
fn ignored() -> Vec<(Ignored, Option<Ignored>)> {
    let plain = || plain([192, 0, 2, 254], L, 1);
    let quote = outer().packet(&[0; 40]);
    let heard = |packet: &[u8]| {
        icmp::read(packet)
            .and_then(|report| report.relayed(20))
            .err()
    };
    let of_kind = |kind, code, rest| heard(&message(&plain(), kind, code, rest, &quote));
    let quoting = |quote: &[u8]| heard(&message(&plain(), 3, 1, [0; 4], quote));
    let fragment = Plain {
        flags_offset: 0x2000,
        ..plain()
    };
    let stranger = Plain {
        source: [224, 0, 0, 1],
        ..plain()
    };
    let valid = message(&plain(), 3, 1, [0; 4], &quote);
    let mut broken = valid.clone();
    broken[30] ^= 1;
    vec![
        (Ignored::Invalid, heard(&valid[..40])),
        (Ignored::NotIcmp, heard(&quote)),
        (
            Ignored::Fragment,
            heard(&message(&fragment, 3, 1, [0; 4], &quote)),
        ),
        (
            Ignored::ReporterNotAHost,
            heard(&message(&stranger, 3, 1, [0; 4], &quote)),
        ),
        (
            Ignored::IcmpTruncated,
            heard(&plain().packet(&[3, 1, 0, 0])),
        ),
        (Ignored::BadChecksum, heard(&broken)),
        (Ignored::NotAnError, of_kind(8, 0, [0; 4])),
        (Ignored::UnknownCode, of_kind(11, 2, [0; 4])),
        (Ignored::QuoteNotIpv4, quoting(&[0x60; 40])),
        (Ignored::QuoteTooShort, quoting(&quote[..27])),
        (Ignored::MtuBelowMinimum, of_kind(3, 4, [0, 0, 0, 67])),
        (Ignored::PortUnreachable, of_kind(3, 3, [0; 4])),
        (Ignored::SourceRouteFailed, of_kind(3, 5, [0; 4])),
        (Ignored::SourceQuench, of_kind(4, 0, [0; 4])),
        (Ignored::Redirect, of_kind(5, 0, [0; 4])),
        (Ignored::ParameterProblem, of_kind(12, 0, [0; 4])),
    ]
}

#[test]
fn every_silence_has_a_packet() {
    let mut counted = [0; Silence::COUNT];
    for (silence, made) in silences() {
        assert_eq!(made, Err(silence));
        counted[silence.index()] += 1;
        assert_says(&silence, &["; "]);
    }
    assert_eq!(counted, [1; Silence::COUNT]);
}

#[test]
fn every_reason_to_ignore_has_a_packet() {
    let mut counted = [0; Ignored::COUNT];
    for (reason, heard) in ignored() {
        assert_eq!(heard, Some(reason));
        counted[reason.index()] += 1;
        assert_says(&reason, &["; "]);
    }
    assert_eq!(counted, [1; Ignored::COUNT]);
}

/// Numbers are stable and below the count, names are unique, and both agree with the table.
macro_rules! assert_numbered {
    ($Error:ty, $($error:expr),+ $(,)?) => {
        let names = <$Error>::NAMES;
        let indices: BTreeSet<usize> = names.iter().map(|&(index, _)| index).collect();
        let unique: BTreeSet<&str> = names.iter().map(|&(_, name)| name).collect();
        assert_eq!((indices.len(), unique.len()), (names.len(), names.len()));
        assert!(indices.iter().all(|&index| index < <$Error>::COUNT));
        $(
            let error: $Error = $error;
            assert!(names.contains(&(error.index(), error.name())), "{error:?}");
            assert!(format!("{error:?}").starts_with(error.name()), "{error:?}");
        )+
    };
}

#[test]
fn numbers_and_names_are_stable_unique_and_below_the_count() {
    assert_numbered!(
        ParseError,
        ParseError::Truncated { need: 1, have: 0 },
        ParseError::BadVersion { version: 6 },
        ParseError::BadIhl { ihl: 4 },
        ParseError::BadChecksum,
        ParseError::BadTotalLength { total_len: 0 },
        ParseError::BadUdpLength { len: 7 },
        ParseError::BadDataOffset { words: 4 },
        ParseError::BadOption { kind: 7 },
    );
    assert_numbered!(
        EncapError,
        EncapError::Inner {
            error: ParseError::BadChecksum
        },
        EncapError::NoHeadroom { need: 20, have: 0 },
        EncapError::TooLong { len: 65536 },
        EncapError::TtlZero,
        EncapError::TtlExpired,
        EncapError::LoopToExit { layer: 0 },
        EncapError::LoopOwnSource { layer: 0 },
        EncapError::FragmentationNeeded { mtu: 0 },
        EncapError::NoIdentification,
        EncapError::PartialChecksum,
        EncapError::NoSequence,
        EncapError::Fragment,
        EncapError::SourceNotKept,
        EncapError::UnknownSum,
        EncapError::SourceRoute,
        EncapError::NotByValue,
    );
    assert_numbered!(Reason, Reason::OuterTruncated, Reason::GreSequence);
    assert_numbered!(
        PathMtuIgnored,
        PathMtuIgnored::Static,
        PathMtuIgnored::AtFloor
    );
    assert_numbered!(
        FragmentError,
        FragmentError::from(ParseError::BadChecksum),
        FragmentError::OtherPacket,
    );
    assert_numbered!(
        ReassemblyError,
        ReassemblyError::from(ParseError::BadChecksum),
        ReassemblyError::Discarded,
    );
    assert_numbered!(Eviction, Eviction::TimedOut, Eviction::Overtaken);
    assert_numbered!(
        FragmentAttack,
        FragmentAttack::TinyFirstFragment,
        FragmentAttack::OverlappingHeader,
    );
    assert_numbered!(Silence, Silence::Invalid, Silence::QuoteTooShort);
    assert_numbered!(Ignored, Ignored::Invalid, Ignored::ParameterProblem);
    assert_numbered!(TableError, TableError::Full, TableError::Full);
    assert_numbered!(PeerError, PeerError::NoPlace, PeerError::OtherTenant);

    // Numbers that counters and logs have been built on: they never change.
    let parse = "Truncated BadVersion BadIhl BadChecksum BadTotalLength BadUdpLength \
                 BadDataOffset BadOption";
    for (index, name) in parse.split_whitespace().enumerate() {
        assert!(ParseError::NAMES.contains(&(index, name)), "{name}");
    }
    let encap = "NoHeadroom TooLong TtlZero TtlExpired LoopToExit LoopOwnSource \
                 FragmentationNeeded NoIdentification";
    for (index, name) in (16..).zip(encap.split_whitespace()) {
        assert!(EncapError::NAMES.contains(&(index, name)), "{name}");
    }
    let pipeline = "OuterTruncated OuterBadVersion OuterBadIhl OuterBadChecksum \
                    OuterBadTotalLength OuterFragment NotTunnel OuterDstNotLocal \
                    OuterMartianSource UnknownPeer OuterSourceRoute InnerTruncated \
                    InnerBadVersion InnerBadIhl InnerBadChecksum InnerBadTotalLength \
                    InnerLengthMismatch InnerTtlZero InnerMartianSource InnerSourceIsLocal \
                    InnerEqualsOuter InnerSourceNotAllowed InnerMartianDestination LoopToPeer \
                    NestingLimit EcnDrop InnerSourceEqualsDestination";
    for (index, name) in pipeline.split_whitespace().enumerate() {
        assert!(Reason::NAMES.contains(&(index, name)), "{name}");
    }
    let path_mtu = "Static BelowMinimum NeverSent PacketFits NotLower AtFloor";
    for (index, name) in path_mtu.split_whitespace().enumerate() {
        assert!(PathMtuIgnored::NAMES.contains(&(index, name)), "{name}");
    }
    assert_eq!(Reason::NAMES.len(), Reason::COUNT, "no gaps");
    let counted = PathMtuIgnored::NAMES.len();
    assert_eq!(counted, PathMtuIgnored::COUNT, "no gaps");
    assert_eq!(ParseError::NAMES.len(), ParseError::COUNT, "no gaps");
}

/// An invalid inner packet is counted under its own number, below those of the tunnel's reasons.
#[test]
fn counters_are_plain_arrays() {
    let mut drops = [0u32; Reason::COUNT];
    for (reason, refused) in pipeline_reasons() {
        drops[refused.reason.index()] += 1;
        assert_eq!(drops[reason.index()], 1, "{reason}");
    }
    for (reason, _) in shim_reasons() {
        drops[reason.index()] += 1;
    }
    assert_eq!(drops, [1; Reason::COUNT]);

    let mut refusals = [0u32; EncapError::COUNT];
    let errors = [
        plainly(&tunnel(), &[]),
        plainly(&tunnel(), &[0x60; 20]),
        plainly(&tunnel(), &Plain { ttl: 0, ..inner() }.packet(&[])),
        plainly(&tunnel(), &plain(R, B, 253).packet(&[])),
    ];
    for error in errors {
        refusals[error.counter()] += 1;
    }
    let counted: Vec<usize> = (0..EncapError::COUNT)
        .filter(|&at| refusals[at] == 1)
        .collect();
    let expected = [
        ParseError::Truncated { need: 20, have: 0 }.index(),
        ParseError::BadVersion { version: 6 }.index(),
        EncapError::TtlZero.index(),
        EncapError::LoopToExit { layer: 0 }.index(),
    ];
    assert_eq!(counted, expected);
    // Every counter has its name, and each only one.
    let names: Vec<(usize, &str)> = EncapError::counters().collect();
    for error in errors {
        assert!(names.contains(&(error.counter(), error.reason())));
    }
    let counters: BTreeSet<usize> = names.iter().map(|&(counter, _)| counter).collect();
    assert_eq!(counters.len(), names.len());
    assert_eq!(names.len(), ParseError::COUNT + EncapError::NAMES.len() - 1);
    // The two ranges do not meet.
    let own = EncapError::NAMES
        .iter()
        .map(|&(index, _)| index)
        .filter(|&index| index > 0);
    assert!(own.min().unwrap() >= 16);
    const { assert!(ParseError::COUNT <= 16) };
}

/// The drops of byte streams fit an array, too.
#[test]
fn stream_errors_have_counters_s_20() {
    let names: Vec<(usize, &str)> = FrameError::counters().collect();
    assert_eq!(names.len(), FrameError::COUNT);
    for (place, &(counter, _)) in names.iter().enumerate() {
        assert_eq!(place, counter);
    }
    for error in [
        FrameError::Inner(ParseError::BadChecksum),
        FrameError::Inner(ParseError::BadOption { kind: 7 }),
        FrameError::InnerLengthMismatch,
    ] {
        assert_eq!(names[error.counter()], (error.counter(), error.name()));
    }
    let lost = ["BadFrameLength", "FrameTooLong", "BadMagic"];
    let lost: Vec<(usize, &str)> = lost.into_iter().enumerate().collect();
    assert_eq!(StreamError::NAMES, lost);
    assert_eq!(StreamError::COUNT, lost.len());
}

/// Whoever passes errors on as trait objects can.
#[test]
fn errors_are_errors() {
    let errors: [Box<dyn Error + Send + Sync>; 7] = [
        Box::new(ParseError::BadChecksum),
        Box::new(EncapError::TtlZero),
        Box::new(Refused::new(Reason::UnknownPeer)),
        Box::new(ConfigError::BadPrefix),
        Box::new(PathMtuIgnored::NotLower),
        Box::new(TableError::Full),
        Box::new(PeerError::NoPeer),
    ];
    for error in errors {
        assert!(!error.to_string().is_empty());
    }
    assert_eq!(
        EncapError::from(ParseError::BadChecksum),
        EncapError::Inner {
            error: ParseError::BadChecksum
        }
    );
}
