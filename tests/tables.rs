//! Every finite table, exhaustively.
//!
//! Expected values are literal tables or the kit's naive oracles, never the library's own.

#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    reason = "a test that panics fails"
)]

use core::net::Ipv4Addr;
use core::num::NonZeroU8;

use ipencap::Span;
use ipencap::checksum::{Sum, checksum, const_checksum, update_u16};
use ipencap::decap::{Access, Edge, Peer, PointToPoint, Prefix};
use ipencap::decap::{Decapsulate, EgressDscp, InnerTunnels, Receiver, inspect_without_filter};
use ipencap::encap::{
    DfPolicy, DscpPolicy, EcnPolicy, IdSource, OuterPolicy, PerPacket, Role, TtlPolicy, Tunnel,
    header,
};
use ipencap::error::{ConfigError, EncapError, ParseError, PrefixError, Reason};
use ipencap::packet::{Facts, Flow};
use ipencap::shim::{Gue, IpIp};
use ipencap::wire::{
    Dscp, Ecn, EcnAlarm, FragmentOffset, HeaderOptions, IpProtocol, Ipv4, Ipv4Flags, Ipv4Header,
    Ipv4Mut, TcpFlags,
};
use ipencap::wire::{is_class_e, is_unicast};
use ipencap_kit::oracle::{self, Plain};

const A: [u8; 4] = [10, 1, 0, 5];
const B: [u8; 4] = [10, 2, 0, 9];
const L: [u8; 4] = [198, 51, 100, 1];
const R: [u8; 4] = [203, 0, 113, 2];

/// An ordinary inner header, to be changed.
const fn inner() -> Plain {
    Plain {
        tos: 0,
        identification: 0x1234,
        flags_offset: 0x4000,
        ttl: 64,
        protocol: 17,
        source: A,
        destination: B,
        options: vec![],
    }
}

/// An ordinary outer header, to be changed.
fn outer() -> Plain {
    Plain {
        identification: 0,
        protocol: 4,
        source: L,
        destination: R,
        ..inner()
    }
}

fn tunnel() -> Tunnel<IpIp> {
    Tunnel::new(L.into(), R.into(), IpIp).unwrap()
}

const DEFAULT: OuterPolicy = OuterPolicy::DEFAULT;

fn with(policy: OuterPolicy) -> Tunnel<IpIp> {
    tunnel().with_policy(policy)
}

/// The header that `tunnel` puts in front of a packet.
fn header_of(
    tunnel: &Tunnel<IpIp>,
    inner: &Facts,
    packet: &PerPacket,
) -> Result<[u8; 20], EncapError> {
    let header = header::<20, _>(tunnel, inner, packet)?;
    Ok(header.as_slice().try_into().unwrap())
}

static ANY: [Prefix; 1] = [Prefix::ANY];

fn receiver() -> Receiver<IpIp, PointToPoint<'static>> {
    Receiver::new(IpIp, PointToPoint::new(R.into(), L.into(), &ANY))
}

/// `packet` wrapped into `tunnel`.
fn wrap(tunnel: &Tunnel<IpIp>, packet: &[u8]) -> Result<Vec<u8>, EncapError> {
    let mut buffer = [&[0xa5; 20], packet].concat();
    let inner = Span::new(20, packet.len());
    ipencap::encap(tunnel, &mut buffer, inner, &PerPacket::new()).map(|outer| outer.to_vec())
}

/// What becomes of `packet` at the receiver.
fn open(
    receiver: &Receiver<IpIp, PointToPoint<'static>>,
    packet: &[u8],
) -> Result<(Vec<u8>, Option<EcnAlarm>), Reason> {
    let mut bytes = packet.to_vec();
    ipencap::decap(receiver, &mut bytes)
        .map(|inner| (inner.packet.to_vec(), inner.opened.alarm()))
        .map_err(|refused| refused.reason)
}

/// The four ECN fields by name, as RFC 3168 §5 numbers them.
const NOT_ECT: u8 = 0b00;
const ECT_1: u8 = 0b01;
const ECT_0: u8 = 0b10;
const CE: u8 = 0b11;

#[test]
fn n_01_n_02_n_06_ecn_policies_3_by_4() {
    // Semantics §5.1, row by row: inner, normal, compatibility, RFC 3168.
    let rows = [
        (NOT_ECT, [NOT_ECT, NOT_ECT, NOT_ECT]),
        (ECT_0, [ECT_0, NOT_ECT, ECT_0]),
        (ECT_1, [ECT_1, NOT_ECT, ECT_1]),
        (CE, [CE, NOT_ECT, ECT_0]),
    ];
    let policies = [
        EcnPolicy::Normal,
        EcnPolicy::Compatibility,
        EcnPolicy::Rfc3168,
    ];
    for (inner_ecn, outers) in rows {
        for (policy, expected) in policies.into_iter().zip(outers) {
            let by_policy = policy.outer(Ecn::from_bits_truncated(inner_ecn));
            assert_eq!(
                by_policy.bits(),
                expected,
                "{policy:?} over {inner_ecn:02b}"
            );

            // And on the wire, beside every DSCP, without touching the inner field (N-03).
            for dscp in 0..64 {
                let packet = Plain {
                    tos: dscp << 2 | inner_ecn,
                    ..inner()
                }
                .packet(b"payload");
                let wrapped = wrap(
                    &with(OuterPolicy {
                        ecn: policy,
                        ..DEFAULT
                    }),
                    &packet,
                )
                .unwrap();
                assert_eq!(wrapped[1], dscp << 2 | expected);
                assert_eq!(wrapped[20..], packet);
            }
        }
    }
}

#[test]
fn p_16_n_10_n_13_ecn_decapsulation_4_by_4() {
    // Semantics §5.2, the figure itself: rows are inner, columns are outer Not-ECT, ECT(0), ECT(1), CE.
    const DROP: u8 = 0xff;
    let columns = [NOT_ECT, ECT_0, ECT_1, CE];
    let figure = [
        (
            NOT_ECT,
            [NOT_ECT, NOT_ECT, NOT_ECT, DROP],
            ["", "!!!", "!!!", "!!!"],
        ),
        (ECT_0, [ECT_0, ECT_0, ECT_1, CE], ["", "", "", ""]),
        (ECT_1, [ECT_1, ECT_1, ECT_1, CE], ["", "!", "", ""]),
        (CE, [CE, CE, CE, CE], ["", "", "!!!", ""]),
    ];
    let mut results = [0; 16];
    let mut alarms = 0u16;
    for (inner_ecn, row, marks) in figure {
        for ((outer_ecn, expected), mark) in columns.into_iter().zip(row).zip(marks) {
            let index = inner_ecn << 2 | outer_ecn;
            let [inner_value, outer_value] = [inner_ecn, outer_ecn].map(Ecn::from_bits_truncated);
            let result = inner_value
                .decapsulated(outer_value)
                .map_or(DROP, Ecn::bits);
            let alarm = inner_value.alarm(outer_value);
            assert_eq!(result, expected, "{inner_value} under {outer_value}");
            let expected_alarm = match mark {
                "!!!" => Some(EcnAlarm::Dangerous),
                "!" => Some(EcnAlarm::Possible),
                _ => None,
            };
            assert_eq!(alarm, expected_alarm, "{inner_value} under {outer_value}");
            results[usize::from(index)] = result;
            alarms |= u16::from(alarm.is_some()) << index;

            // And in packets, with different DSCPs.
            let packet = Plain {
                tos: 10 << 2 | inner_ecn,
                ..inner()
            }
            .packet(b"payload");
            let wrapped = Plain {
                tos: 46 << 2 | outer_ecn,
                ..outer()
            }
            .packet(&packet);
            match open(&receiver(), &wrapped) {
                Ok((delivered, alarm)) => {
                    let expected = Plain {
                        tos: 10 << 2 | result,
                        ..inner()
                    }
                    .packet(b"payload");
                    assert_eq!(delivered, expected);
                    assert_eq!(alarm, expected_alarm);
                }
                Err(reason) => {
                    assert_eq!((reason, result), (Reason::EcnDrop, DROP));
                }
            }
            let inspected = receiver().inspect(&wrapped);
            let changes = inspected.is_ok_and(|opened| opened.changes_bytes());
            assert_eq!(changes, result != inner_ecn && result != DROP, "N-12");
        }
    }
    assert_eq!(results, [0, 0, 0, DROP, 1, 1, 1, 3, 2, 1, 2, 3, 3, 3, 3, 3]);
    assert_eq!(results, oracle::ECN_DECAPSULATED);
    assert_eq!(alarms, 0x204e);
}

#[test]
fn n_10_q_05_q_06_every_pair_of_tos_bytes() {
    let keep = receiver();
    let uniform = receiver().with_egress_dscp(EgressDscp::Uniform);
    for inner_tos in 0..=255u8 {
        let packet = Plain {
            tos: inner_tos,
            ..inner()
        }
        .packet(&[]);
        for outer_tos in 0..=255u8 {
            let cell = usize::from((inner_tos & 3) << 2 | outer_tos & 3);
            let ecn = oracle::ECN_DECAPSULATED[cell];
            let wrapped = Plain {
                tos: outer_tos,
                ..outer()
            }
            .packet(&packet);
            for (receiver, dscp) in [(&keep, inner_tos & 0xfc), (&uniform, outer_tos & 0xfc)] {
                let opened = open(receiver, &wrapped);
                if ecn == oracle::DROP {
                    assert_eq!(opened, Err(Reason::EcnDrop));
                } else {
                    let (delivered, _) = opened.unwrap();
                    assert_eq!(
                        delivered[1],
                        dscp | ecn,
                        "{inner_tos:02x} under {outer_tos:02x}"
                    );
                    assert!(oracle::verifies(&delivered), "N-11");
                }
            }
        }
    }
}

#[test]
fn q_02_q_03_every_dscp_copied_and_fixed() {
    for inner_dscp in 0..64 {
        let packet = Plain {
            tos: inner_dscp << 2 | ECT_0,
            ..inner()
        }
        .packet(&[]);
        assert_eq!(
            wrap(&tunnel(), &packet).unwrap()[1],
            inner_dscp << 2 | ECT_0
        );
        for fixed in 0..64 {
            let policy = DscpPolicy::Fixed(Dscp::new(fixed).unwrap());
            let wrapped = wrap(
                &with(OuterPolicy {
                    dscp: policy,
                    ..DEFAULT
                }),
                &packet,
            )
            .unwrap();
            assert_eq!(wrapped[1], fixed << 2 | ECT_0);
            assert_eq!(wrapped[21], inner_dscp << 2 | ECT_0, "the inner one stays");
        }
    }
}

#[test]
fn q_01_every_tos_byte_is_a_dscp_and_an_ecn_field() {
    for byte in 0..=255u8 {
        let (dscp, ecn) = (Dscp::from_tos(byte), Ecn::from_bits_truncated(byte));
        assert_eq!((dscp.value(), ecn.bits()), (byte / 4, byte % 4));
        assert_eq!(dscp.with_ecn(ecn), byte);
        assert_eq!(dscp.to_string(), (byte / 4).to_string());
        assert_eq!(
            Dscp::new(byte).map(Dscp::value),
            (byte < 64).then_some(byte)
        );
    }
    assert_eq!(Ecn::ALL.map(Ecn::bits), [0, 1, 2, 3]);
    assert_eq!(
        Ecn::ALL.map(|ecn| ecn.to_string()),
        ["Not-ECT", "ECT(1)", "ECT(0)", "CE"]
    );
    assert_eq!(
        [Dscp::DEFAULT, Dscp::AF11, Dscp::EF, Dscp::CS6].map(Dscp::value),
        [0, 10, 46, 48]
    );
}

#[test]
fn v_03_v_04_t16_every_ihl_in_every_buffer() {
    for ihl in 0..=15u8 {
        for len in 0..=64usize {
            // Total lengths around every border: of the header, of the buffer, none.
            for total_len in (0..=66).chain([0xffff]) {
                let mut bytes = vec![0x11; len];
                if len >= 20 {
                    let header = Ipv4Header::new(A.into(), B.into(), IpProtocol::UDP, total_len);
                    bytes[..20].copy_from_slice(header.as_bytes());
                    bytes[0] = 0x40 | ihl;
                    oracle::fill_checksum(&mut bytes);
                }
                let parsed = Ipv4::parse(&bytes);
                let expected = oracle::validate(&bytes, true);
                assert_eq!(
                    parsed.map(|_| ()),
                    expected.as_ref().map(|_| ()).map_err(|e| *e)
                );

                let need = u16::from(ihl) * 4;
                let have = u16::try_from(len).unwrap();
                match parsed {
                    _ if len < 20 => {
                        let error = ParseError::Truncated { need: 20, have };
                        assert_eq!(parsed.err(), Some(error), "V-01");
                    }
                    _ if ihl < 5 => {
                        assert_eq!(parsed.err(), Some(ParseError::BadIhl { ihl }), "V-03");
                    }
                    _ if need > have => {
                        let error = ParseError::Truncated { need, have };
                        assert_eq!(parsed.err(), Some(error), "V-04");
                    }
                    _ if total_len < need => {
                        let error = ParseError::BadTotalLength { total_len };
                        assert_eq!(parsed.err(), Some(error), "V-06");
                    }
                    _ if total_len > have => {
                        let need = total_len;
                        let error = ParseError::Truncated { need, have };
                        assert_eq!(parsed.err(), Some(error), "V-07");
                    }
                    _ => {
                        let packet = parsed.unwrap();
                        let header_len = usize::from(need);
                        assert_eq!(usize::from(packet.header().header_len()), header_len);
                        assert_eq!(packet.option_bytes(), &bytes[20..header_len]);
                        assert_eq!(packet.payload(), &bytes[header_len..usize::from(total_len)]);
                        assert_eq!(packet.slack(), len - usize::from(total_len), "V-08");
                    }
                }
                let quoted = Ipv4::parse_quoted(&bytes);
                assert_eq!(quoted.is_ok(), len >= 20 && ihl >= 5 && need <= have);
                assert_eq!(Ipv4Header::split(&bytes).is_ok(), quoted.is_ok());
                assert_eq!(Ipv4Mut::parse(&mut bytes).is_ok(), expected_ok(&bytes));
            }
        }
    }
}

fn expected_ok(bytes: &[u8]) -> bool {
    oracle::validate(bytes, true).is_ok()
}

#[test]
fn v_02_every_version_nibble() {
    for version in 0..=15u8 {
        let mut bytes = inner().packet(b"payload");
        bytes[0] = version << 4 | 5;
        let expected = if version == 4 {
            Ok(())
        } else {
            Err(ParseError::BadVersion { version })
        };
        assert_eq!(Ipv4::parse(&bytes).map(|_| ()), expected);
        assert_eq!(Ipv4::parse_quoted(&bytes).map(|_| ()), expected);
        let wrapped = wrap(&tunnel(), &bytes);
        assert_eq!(
            wrapped.map(|_| ()),
            expected.map_err(EncapError::from),
            "E-02"
        );
    }
}

#[test]
fn v_05_every_checksum_but_two_at_most_is_refused() {
    // A header whose checksum computes to 0: both zeros verify (trap T3), and nothing else does.
    let atomic = Plain {
        identification: 0,
        ..inner()
    };
    let mut zero = atomic.packet(&[]);
    let complement = oracle::u16_at(&zero, 10);
    oracle::put_u16(&mut zero, 4, complement);
    oracle::fill_checksum(&mut zero);
    assert_eq!(oracle::u16_at(&zero, 10), 0);
    let usual = inner().packet(&[]);
    let right = oracle::u16_at(&usual, 10);
    for checksum in 0..=0xffff {
        oracle::put_u16(&mut zero, 10, checksum);
        assert_eq!(
            Ipv4::parse(&zero).is_ok(),
            checksum == 0 || checksum == 0xffff
        );
        let mut usual = usual.clone();
        oracle::put_u16(&mut usual, 10, checksum);
        assert_eq!(Ipv4::parse(&usual).is_ok(), checksum == right);
        assert!(Ipv4::parse_hardware_verified(&usual).is_ok());
    }
}

#[test]
fn v_06_v_07_v_08_every_total_length() {
    let mut bytes = vec![0x22; 65535 + 7];
    for present in [65535 + 7, 65535, 1500, 60, 20] {
        for total_len in 0..=0xffffu16 {
            let header = Ipv4Header::new(A.into(), B.into(), IpProtocol::UDP, total_len);
            bytes[..20].copy_from_slice(header.as_bytes());
            let parsed = Ipv4::parse(&bytes[..present]);
            let len = usize::from(total_len);
            if len < 20 {
                assert_eq!(parsed.err(), Some(ParseError::BadTotalLength { total_len }));
            } else if len > present {
                let have = u16::try_from(present).unwrap();
                let need = total_len;
                assert_eq!(parsed.err(), Some(ParseError::Truncated { need, have }));
            } else {
                let packet = parsed.unwrap();
                assert_eq!(
                    (packet.payload().len(), packet.slack()),
                    (len - 20, present - len)
                );
            }
        }
    }
}

#[test]
fn e_06_t31_every_inner_length() {
    let tunnel = tunnel();
    let receiver = receiver();
    let template = outer().packet(&[]);
    let mut buffer = vec![0xa5; 20 + 65535];
    for len in 0..=65535u16 {
        let header = Ipv4Header::new(A.into(), B.into(), IpProtocol::UDP, len);
        buffer[20..40].copy_from_slice(header.as_bytes());
        buffer[..20].fill(0xa5);
        let inner = Span::new(20, usize::from(len));
        let result = ipencap::encap(&tunnel, &mut buffer, inner, &PerPacket::new());
        match (len, result) {
            (0..20, result) => {
                // Cut to its total length, the packet is shorter than a header.
                let error = ParseError::Truncated {
                    need: 20,
                    have: len,
                };
                assert_eq!(result.unwrap_err(), error.into());
                assert_eq!(buffer[..20], [0xa5; 20]);
            }
            (20..=65515, Ok(outer)) => {
                assert_eq!(outer.len(), usize::from(len) + 20);
                let mut expected = template.clone();
                oracle::put_u16(&mut expected, 2, len + 20);
                oracle::fill_checksum(&mut expected);
                assert_eq!(outer[..20], expected);
                let opened = receiver.inspect(outer).unwrap();
                assert_eq!(opened.span(), Span::new(20, usize::from(len)));
                assert!(!opened.changes_bytes());
            }
            (65516.., Err(error)) => {
                let len = u32::from(len) + 20;
                assert_eq!(error, EncapError::TooLong { len });
                assert_eq!(buffer[..20], [0xa5; 20]);
            }
            (_, result) => panic!("{len}: {result:?}"),
        }
    }
}

#[test]
fn e_06_template_checksums_of_section_2_3() {
    let rows = [
        (20, 0xd49a),
        (36, 0xd48a),
        (576, 0xd26e),
        (1480, 0xcee6),
        (1500, 0xced2),
        (9000, 0xb186),
        (42000, 0x309e),
        (65515, 0xd4c2),
    ];
    for (len, checksum) in rows {
        let header = Ipv4Header::new(A.into(), B.into(), IpProtocol::UDP, len);
        let facts = Facts::trusted(&header);
        let outer = header_of(&tunnel(), &facts, &PerPacket::new()).unwrap();
        assert_eq!(oracle::u16_at(&outer, 10), checksum, "inner length {len}");
    }
}

#[test]
fn i_14_every_mtu_around_every_length() {
    for len in [20, 21, 1480, 1481, 65515] {
        let facts = Facts::trusted(&Ipv4Header::new(A.into(), B.into(), IpProtocol::UDP, len));
        for mtu in 0..=65535u16 {
            let expected = if len + 20 <= mtu {
                Ok(())
            } else {
                let mtu = mtu.saturating_sub(20);
                Err(EncapError::FragmentationNeeded { mtu })
            };
            let limited = |mtu| {
                with(OuterPolicy {
                    link_mtu: Some(mtu),
                    ..DEFAULT
                })
            };
            let result = header_of(&limited(mtu), &facts, &PerPacket::new()).map(|_| ());
            assert_eq!(result, expected, "length {len}, MTU {mtu}");
            let said = PerPacket::new().with_link_mtu(mtu);
            assert_eq!(header_of(&tunnel(), &facts, &said).map(|_| ()), expected);
            // Of two MTUs the smaller counts.
            let smaller = header_of(&limited(u16::MAX), &facts, &said);
            assert_eq!(smaller.map(|_| ()), expected);
        }
    }
}

#[test]
fn t_01_to_t_06_every_ttl_in_every_role() {
    for ttl in 0..=255u8 {
        let packet = Plain { ttl, ..inner() }.packet(b"payload");
        for role in [Role::Originate, Role::Forward] {
            for policy in [
                TtlPolicy::DEFAULT,
                TtlPolicy::Fixed(NonZeroU8::MIN),
                TtlPolicy::Inherit,
            ] {
                let tunnel = with(OuterPolicy {
                    role,
                    ttl: policy,
                    ..DEFAULT
                });
                let wrapped = wrap(&tunnel, &packet);
                let travelling = match (ttl, role) {
                    (0, _) => {
                        assert_eq!(wrapped.unwrap_err(), EncapError::TtlZero, "T-06");
                        continue;
                    }
                    (1, Role::Forward) => {
                        assert_eq!(wrapped.unwrap_err(), EncapError::TtlExpired, "T-04");
                        continue;
                    }
                    (_, Role::Forward) => ttl - 1,
                    (_, Role::Originate) => ttl,
                };
                let wrapped = wrapped.unwrap();
                let expected = match policy {
                    TtlPolicy::Fixed(fixed) => fixed.get(),
                    _ => travelling,
                };
                assert_eq!(wrapped[8], expected, "T-01, T-02");
                let carried = Plain {
                    ttl: travelling,
                    ..inner()
                }
                .packet(b"payload");
                assert_eq!(wrapped[20..], carried, "T-03, T-05");
            }
        }
        // T-07, T-08: the receiver minds the inner TTL only, and leaves it.
        let wrapped = Plain { ttl, ..outer() }.packet(&inner().packet(&[]));
        assert!(open(&receiver(), &wrapped).is_ok(), "T-07");
        let opened = open(&receiver(), &outer().packet(&packet));
        if ttl == 0 {
            assert_eq!(opened, Err(Reason::InnerTtlZero), "T-08");
        } else {
            assert_eq!(opened.unwrap().0, packet, "T-07");
        }
    }
    assert_eq!(
        TtlPolicy::default(),
        TtlPolicy::Fixed(NonZeroU8::new(64).unwrap())
    );
}

#[test]
fn c_16_ttl_shortcut_for_every_checksum() {
    // t = c + 0x0100; c' = (t + (t >= 0xffff)) & 0xffff, for every checksum but 0xffff.
    for checksum in 0..0xffffu16 {
        let sum = u32::from(checksum) + 0x0100;
        let shortcut = u16::try_from((sum + u32::from(sum >= 0xffff)) & 0xffff).unwrap();
        for (ttl, protocol) in [(255, 0), (64, 17), (2, 4), (1, 255)] {
            let old = u16::from_be_bytes([ttl, protocol]);
            let new = u16::from_be_bytes([ttl - 1, protocol]);
            assert_eq!(update_u16(checksum, old, new), shortcut);
            assert_eq!(oracle::equation_3(checksum, old, new), shortcut);
        }
        let mut header = Ipv4Header::from_bytes(outer().packet(&[])[..].try_into().unwrap());
        let mut bytes = *header.as_bytes();
        oracle::put_u16(&mut bytes, 10, checksum);
        header = Ipv4Header::from_bytes(bytes);
        assert!(header.decrement_ttl());
        assert_eq!(header.checksum(), shortcut);
    }
}

#[test]
fn c_17_ecn_shortcuts_for_every_checksum() {
    let transitions = [
        (Ecn::Ect1, Ecn::Ce, 0xfffd_u32),
        (Ecn::Ect0, Ecn::Ce, 0xfffe),
        (Ecn::Ect0, Ecn::Ect1, 0x0001),
    ];
    for (from, to, addend) in transitions {
        for checksum in 0..0xffffu16 {
            // The carry comes around at 0xffff already, as in C-16: that is 0's other encoding.
            let sum = u32::from(checksum) + addend;
            let shortcut = u16::try_from((sum + u32::from(sum >= 0xffff)) & 0xffff).unwrap();
            for dscp in [0, 10, 46, 63] {
                let dscp = Dscp::new(dscp).unwrap();
                let old = u16::from_be_bytes([0x45, dscp.with_ecn(from)]);
                let new = u16::from_be_bytes([0x45, dscp.with_ecn(to)]);
                assert_eq!(update_u16(checksum, old, new), shortcut, "{from} to {to}");
            }
            let mut bytes = outer().packet(&[]);
            bytes[1] = Dscp::EF.with_ecn(from);
            oracle::put_u16(&mut bytes, 10, checksum);
            let (header, _, _) = Ipv4Header::split_mut(&mut bytes).unwrap();
            header.set_ecn(to);
            assert_eq!(header.checksum(), shortcut);
        }
    }
}

#[test]
fn d_04_d_20_t40_every_protocol() {
    // Semantics D-20: 4, 41, 47, 55, 137 are tunnels; 94 is not RFC 2003 (trap T40).
    let tunnels = [4, 41, 47, 55, 137];
    let refusing = receiver().with_inner_tunnels(InnerTunnels::Refuse);
    for protocol in 0..=255u8 {
        let is_tunnel = tunnels.contains(&protocol);
        assert_eq!(IpProtocol(protocol).is_tunnel(), is_tunnel);

        let wrapped = Plain {
            protocol,
            ..outer()
        }
        .packet(&inner().packet(b"payload"));
        let opened = open(&receiver(), &wrapped).map(|_| ());
        let expected = if protocol == 4 {
            Ok(())
        } else {
            Err(Reason::NotTunnel)
        };
        assert_eq!(opened, expected, "D-04: outer protocol {protocol}");
        let unfiltered = inspect_without_filter(&IpIp, &wrapped);
        assert_eq!(unfiltered.is_ok(), protocol == 4);

        // Transit passes whatever it carries; what comes back to us does not.
        let transit = Plain {
            protocol,
            ..inner()
        }
        .packet(b"payload");
        let wrapped = outer().packet(&transit);
        assert_eq!(
            open(&receiver(), &wrapped),
            Ok((transit.clone(), None)),
            "D-20: transit"
        );
        let expected = if is_tunnel {
            Err(Reason::NestingLimit)
        } else {
            Ok(())
        };
        assert_eq!(
            open(&refusing, &wrapped).map(|_| ()),
            expected,
            "D-20: refused outright"
        );
        let ours = Plain {
            protocol,
            destination: R,
            ..inner()
        }
        .packet(b"payload");
        let wrapped = outer().packet(&ours);
        assert_eq!(
            open(&receiver(), &wrapped).map(|_| ()),
            expected,
            "D-20: opened again"
        );
        let deeper = receiver().with_max_depth(2);
        assert_eq!(open(&deeper, &wrapped).map(|_| ()), Ok(()), "D-20: DC-30");

        // Going in, every protocol is payload, and the outer protocol is 4.
        assert_eq!(wrap(&tunnel(), &transit).unwrap()[9], 4, "E-11");
    }
}

/// IANA's protocol numbers by the names that messages use; all others by number.
#[test]
fn every_protocol_number_and_name() {
    let named = [
        (1, IpProtocol::ICMP, "ICMP"),
        (4, IpProtocol::IPENCAP, "IP-in-IP"),
        (6, IpProtocol::TCP, "TCP"),
        (17, IpProtocol::UDP, "UDP"),
        (41, IpProtocol::IPV6, "IPv6"),
        (47, IpProtocol::GRE, "GRE"),
        (55, IpProtocol::MINIMAL, "minimal encapsulation"),
        (137, IpProtocol::MPLS, "MPLS"),
    ];
    for number in 0..=255u8 {
        let name = match named.iter().find(|row| row.0 == number) {
            Some(&(_, protocol, name)) => {
                assert_eq!(protocol, IpProtocol(number));
                name.to_owned()
            }
            None => format!("protocol {number}"),
        };
        assert_eq!(IpProtocol(number).to_string(), name);
    }
}

#[test]
fn v_10_v_12_v_15_d_03_e_08_e_09_every_flags_and_offset_word() {
    let originals = DfPolicy::Copy(IdSource::Constant(0xbeef));
    let mut as_inner = inner().packet(b"payload!");
    let mut as_outer = outer().packet(&inner().packet(&[]));
    for word in 0..=0xffffu16 {
        oracle::put_u16(&mut as_inner, 6, word);
        oracle::fill_checksum(&mut as_inner);
        let packet = Ipv4::parse(&as_inner).unwrap();
        let header = packet.header();
        assert_eq!(header.flags().bits(), word & 0xe000);
        assert_eq!(
            header.flags().contains(Ipv4Flags::RESERVED),
            word >> 15 == 1
        );
        assert_eq!(header.flags().contains(Ipv4Flags::DF), word >> 14 & 1 == 1);
        assert_eq!(header.flags().contains(Ipv4Flags::MF), word >> 13 & 1 == 1);
        assert_eq!(header.fragment_offset().units(), word & 0x1fff);
        assert_eq!(header.fragment_offset().bytes(), (word & 0x1fff) * 8);
        let is_fragment = word & 0x3fff != 0;
        assert_eq!(header.is_fragment(), is_fragment);
        let end = u32::from(word & 0x1fff) * 8 + 8;
        assert_eq!(header.exceeds_reassembly(), end > 65535 - 20, "V-15");

        // E-08, E-09: an inner DF is kept, everything else stays inside.
        let facts = Facts::of(packet);
        let said = PerPacket::new();
        let set = header_of(&tunnel(), &facts, &said).unwrap();
        assert_eq!(
            (oracle::u16_at(&set, 6), oracle::u16_at(&set, 4)),
            (0x4000, 0)
        );
        let copying = with(OuterPolicy {
            df: originals,
            ..DEFAULT
        });
        let copied = header_of(&copying, &facts, &said).unwrap();
        let df = word & 0x4000;
        let identification = if df == 0 { 0xbeef } else { 0 };
        assert_eq!(oracle::u16_at(&copied, 6), df, "F-09: never cleared");
        assert_eq!(oracle::u16_at(&copied, 4), identification, "F-01, F-02");

        // D-03 for the outer header; the inner one passes whatever it says.
        oracle::put_u16(&mut as_outer, 6, word);
        oracle::fill_checksum(&mut as_outer[..20]);
        let reason = receiver()
            .inspect(&as_outer)
            .err()
            .map(|refused| refused.reason);
        assert_eq!(reason, is_fragment.then_some(Reason::OuterFragment), "D-03");
        let carried = outer().packet(&as_inner);
        assert!(!receiver().inspect(&carried).unwrap().changes_bytes());
    }
}

#[test]
fn t27_every_fragment_offset_conversion() {
    for number in 0..=0xffffu16 {
        let from_units = FragmentOffset::from_units(number);
        assert_eq!(
            from_units.map(FragmentOffset::units),
            (number < 8192).then_some(number)
        );
        let bytes = from_units.map(|offset| u32::from(offset.bytes()));
        assert_eq!(bytes, (number < 8192).then_some(u32::from(number) * 8));

        let from_bytes = FragmentOffset::from_bytes(number);
        let whole = number % 8 == 0;
        assert_eq!(
            from_bytes.map(FragmentOffset::bytes),
            whole.then_some(number)
        );
        assert_eq!(
            from_bytes.map(FragmentOffset::units),
            whole.then_some(number / 8)
        );

        let from_word = FragmentOffset::from_bits_truncated(number);
        assert_eq!(from_word.units(), number & 0x1fff);
    }
    assert_eq!(FragmentOffset::MAX.bytes(), 65528);
    assert_eq!(FragmentOffset::ZERO.bytes(), 0);
}

/// 0/8, 127/8, 224/4 and 240/4 by first octet, as literal ranges.
const fn is_martian(first: u8) -> bool {
    matches!(first, 0 | 127 | 224..=239 | 240..=255)
}

#[test]
fn e_13_e_14_d_06_d_14_d_18_every_first_octet() {
    for first in 0..=255u8 {
        for rest in [[0, 0, 0], [1, 2, 3], [255, 255, 255]] {
            let address = [first, rest[0], rest[1], rest[2]];
            let ip = Ipv4Addr::from(address);
            let martian = is_martian(first);
            let class_e = first >= 240 && address != [255; 4];
            let multicast = (224..240).contains(&first);
            assert_eq!(is_unicast(ip), !martian);
            assert_eq!(is_class_e(ip), class_e);

            let forbidden = |error| if martian { Err(error) } else { Ok(()) };
            let as_source = Tunnel::new(ip, R.into(), IpIp).map(|_| ());
            assert_eq!(as_source, forbidden(ConfigError::ForbiddenSource), "E-13");
            let as_destination = Tunnel::new(L.into(), ip, IpIp).map(|_| ());
            assert_eq!(
                as_destination,
                forbidden(ConfigError::ForbiddenDestination),
                "E-14"
            );

            // D-05, D-06: also where the configuration names such an address.
            let to_it = Plain {
                destination: address,
                ..outer()
            }
            .packet(&inner().packet(&[]));
            let at_it = Receiver::new(IpIp, PointToPoint::new(ip, L.into(), &ANY));
            let reason = at_it.inspect(&to_it).err().map(|refused| refused.reason);
            assert_eq!(
                reason,
                martian.then_some(Reason::OuterDstNotLocal),
                "D-05: {ip}"
            );
            let from_it = Plain {
                source: address,
                ..outer()
            }
            .packet(&inner().packet(&[]));
            let for_it = Receiver::new(IpIp, PointToPoint::new(R.into(), ip, &ANY));
            let reason = for_it.inspect(&from_it).err().map(|refused| refused.reason);
            assert_eq!(
                reason,
                martian.then_some(Reason::OuterMartianSource),
                "D-06: {ip}"
            );

            // D-14, D-18, with their two relaxations.
            let plain = receiver();
            let inner_from_it = outer().packet(
                &Plain {
                    source: address,
                    ..inner()
                }
                .packet(&[]),
            );
            let reason = |receiver: &Receiver<_, _>, packet: &[u8]| {
                receiver.inspect(packet).err().map(|refused| refused.reason)
            };
            let refused = Some(Reason::InnerMartianSource);
            let expected = if martian { refused } else { None };
            assert_eq!(reason(&plain, &inner_from_it), expected, "D-14: {ip}");
            let expected = if martian && !class_e { refused } else { None };
            let relaxed = plain.allowing_class_e();
            assert_eq!(reason(&relaxed, &inner_from_it), expected, "A-28: {ip}");
            assert_eq!(
                reason(&plain.allowing_multicast(), &inner_from_it),
                if martian { refused } else { None },
                "multicast is never a source: {ip}"
            );

            let inner_to_it = outer().packet(
                &Plain {
                    destination: address,
                    ..inner()
                }
                .packet(&[]),
            );
            let refused = Some(Reason::InnerMartianDestination);
            let expected = if martian { refused } else { None };
            assert_eq!(reason(&plain, &inner_to_it), expected, "D-18: {ip}");
            let expected = if martian && !class_e { refused } else { None };
            assert_eq!(reason(&relaxed, &inner_to_it), expected, "A-28: {ip}");
            let expected = if martian && !multicast { refused } else { None };
            let relaxed = plain.allowing_multicast();
            assert_eq!(
                reason(&relaxed, &inner_to_it),
                expected,
                "D-18, opt-in: {ip}"
            );
        }
    }
}

#[test]
fn d_07_d_17_every_prefix_length() {
    for len in 0..=255u8 {
        // All host bits clear, and the lowest network bit set.
        let network = match len {
            0 => 0,
            1..=32 => 1u32 << (32 - len),
            _ => {
                let refused = Prefix::new(Ipv4Addr::UNSPECIFIED, len);
                assert_eq!(refused.err(), Some(ConfigError::BadPrefix));
                continue;
            }
        };
        let prefix = Prefix::new(Ipv4Addr::from_bits(network), len).unwrap();
        assert_eq!(prefix.network().to_bits(), network);
        for bit in 0..32u32 {
            let neighbour = network ^ 1 << bit;
            let inside = bit < 32 - u32::from(len);
            assert_eq!(prefix.contains(Ipv4Addr::from_bits(neighbour)), inside);
            let net = (network.to_be_bytes(), len);
            assert_eq!(oracle::in_net(neighbour.to_be_bytes(), net), inside);
            let with_host_bit = Prefix::new(Ipv4Addr::from_bits(network | 1 << bit), len);
            assert_eq!(with_host_bit.is_err(), inside, "/{len} with bit {bit}");
        }
    }
    assert_eq!(Prefix::ANY, Prefix::new(Ipv4Addr::UNSPECIFIED, 0).unwrap());
    assert_eq!(Prefix::host(R.into()), Prefix::new(R.into(), 32).unwrap());
}

/// The forms of an access, asked directly: a decapsulator asks in an order of its own.
#[test]
fn d_05_d_07_d_17_access_says_no_unless_told_otherwise() {
    let [here, there, elsewhere] = [R, L, B].map(Ipv4Addr::from);
    let inner_net = [Prefix::new(Ipv4Addr::new(10, 1, 0, 0), 16).unwrap()];
    let point = PointToPoint::new(here, there, &inner_net);
    let wide = Prefix::new(Ipv4Addr::new(198, 51, 0, 0), 16).unwrap();
    let peers = [
        Peer::new(Prefix::host(there), &inner_net).with_tag(7),
        Peer::new(wide, &[]).with_tag(8),
    ];
    let locals = [here, Ipv4Addr::new(203, 0, 113, 3)];
    let endpoints = [Ipv4Addr::new(192, 0, 2, 1)];
    let edge = Edge::new(&locals, &peers).with_endpoints(&endpoints);
    let accesses: [&dyn Access; 2] = [&point, &edge];
    for access in accesses {
        assert!(access.is_local(here) && !access.is_local(there));
        assert_eq!(access.peer(ipip_flow(there, here)), Some(0));
        assert!(!access.is_local(elsewhere), "a destination not ours");
        assert_eq!(
            access.peer(ipip_flow(elsewhere, here)),
            None,
            "a source unknown"
        );
        assert_eq!(
            access.peer(ipip_flow(here, there)),
            None,
            "the other way round"
        );
        assert!(access.allows_inner(0, A.into()));
        assert!(!access.allows_inner(0, B.into()));
        assert!(!access.is_endpoint(here));
    }
    // In order: the first peer whose prefix fits. Numbers that nobody was given are nobody's.
    let neighbour = Ipv4Addr::new(198, 51, 100, 2);
    assert_eq!(edge.peer(ipip_flow(neighbour, locals[1])), Some(1));
    assert_eq!((edge.tag(0), edge.tag(1), edge.tag(2)), (7, 8, 2));
    assert!(
        !edge.allows_inner(1, A.into()),
        "an empty list lets nothing in"
    );
    assert!(!edge.allows_inner(2, A.into()));
    assert!(edge.is_endpoint(endpoints[0]));
    assert_eq!((point.tag(0), point.is_endpoint(endpoints[0])), (0, false));

    // Nothing configured accepts nothing.
    let nothing = Edge::new(&[], &[]);
    assert!(!nothing.is_local(here));
    assert_eq!(nothing.peer(ipip_flow(there, here)), None);
    assert_eq!(Edge::new(&locals, &[]).peer(ipip_flow(there, here)), None);
    assert!(!Edge::new(&[], &peers).is_local(here));
    assert!(!PointToPoint::new(here, there, &[]).allows_inner(0, A.into()));
}

/// The outer flow of IP-in-IP between these.
const fn ipip_flow(source: Ipv4Addr, destination: Ipv4Addr) -> Flow {
    Flow::new(source, destination, IpProtocol::IPENCAP)
}

/// An access of one's own answers what it must; it and a reference to any access say the same as a whole.
#[test]
fn d_07_d_17_d_19_d_20_access_of_ones_own_and_by_reference() {
    struct Own;
    impl Access for Own {
        fn is_local(&self, address: Ipv4Addr) -> bool {
            address == Ipv4Addr::from(R)
        }
        fn peer(&self, outer: Flow) -> Option<u32> {
            let is_theirs = outer.source == Ipv4Addr::from(L) && self.is_local(outer.destination);
            is_theirs.then_some(3)
        }
        fn allows_inner(&self, peer: u32, inner_source: Ipv4Addr) -> bool {
            peer == 3 && inner_source == Ipv4Addr::from(A)
        }
    }

    /// The peer that sends from L to R, the tag, and the answers about R, A, a port and B.
    fn answers<T: Access>(access: T) -> (u32, u32, [bool; 5]) {
        let number = access.peer(ipip_flow(L.into(), R.into())).unwrap();
        let said = [
            access.peer(ipip_flow(R.into(), L.into())).is_some(),
            access.is_local(R.into()),
            access.allows_inner(number, A.into()),
            access.is_tunnel_port(R.into(), IpProtocol::UDP, 5555),
            access.is_endpoint(B.into()),
        ];
        (number, access.tag(number), said)
    }

    // Unless overridden a tag is the peer's number, and there are neither tunnel ports nor endpoints.
    let expected = (3, 3, [false, true, true, false, false]);
    assert_eq!(answers(Own), expected);
    assert_eq!(answers(&Own), expected);
    let elsewhere = Peer::new(Prefix::host(A.into()), &ANY);
    let peers = [
        elsewhere,
        Peer::new(Prefix::host(L.into()), &ANY).with_tag(9),
    ];
    let (locals, endpoints, ports) = ([R.into()], [B.into()], [4789, 5555]);
    let edge = Edge::new(&locals, &peers)
        .with_endpoints(&endpoints)
        .with_tunnel_ports(&ports);
    let by_reference = &edge;
    let expected = (1, 9, [false, true, true, true, true]);
    assert_eq!(answers(edge), expected);
    assert_eq!(answers(by_reference), expected);
    let nobody = A.into();
    assert!(!Access::is_tunnel_port(
        &by_reference,
        R.into(),
        IpProtocol::UDP,
        6080
    ));
    assert!(!Access::is_endpoint(&by_reference, nobody));
    assert!(!Access::is_local(&by_reference, nobody));
    assert!(!Access::allows_inner(&&Own, 4, nobody));
}

#[test]
fn p_13_every_length_at_every_alignment() {
    // Blocks of zeros and ones carry furthest; a pattern tells the bytes apart.
    let fills: [fn(usize) -> u8; 4] = [
        |_| 0xff,
        |at| if at / 16 % 2 == 0 { 0xff } else { 0x00 },
        |at| if at % 2 == 0 { 0xff } else { 0x01 },
        |at| u8::try_from((at * 7 + 3) % 256).unwrap(),
    ];
    for fill in fills {
        let bytes: Vec<u8> = (0..32 + 257).map(fill).collect();
        let border = bytes.as_ptr().align_offset(16).min(15);
        for len in 0..=257 {
            for alignment in 0..16 {
                let data = &bytes[border + alignment..][..len];
                let expected = oracle::checksum(data);
                assert_eq!(checksum(data), expected, "{len} bytes at {alignment}");
                assert_eq!(const_checksum(data), expected, "{len} bytes at {alignment}");
                let odd = Sum::new().add_bytes(&[0xc3]).add_bytes(data);
                let whole = [&[0xc3], data].concat();
                assert_eq!(odd.checksum(), oracle::checksum(&whole));
            }
        }
    }
}

#[test]
fn v_13_every_option_kind_and_length() {
    for kind in 0..=255u8 {
        for length in 0..=255u8 {
            let mut bytes = [0xee; 40];
            [bytes[0], bytes[1]] = [kind, length];
            let first = HeaderOptions::new(&bytes).next();
            match kind {
                0 => assert_eq!(first, None),
                1 => {
                    let nop = first.unwrap().unwrap();
                    assert_eq!((nop.kind(), nop.data()), (1, &[][..]));
                }
                _ if (2..=40).contains(&length) => {
                    let option = first.unwrap().unwrap();
                    assert_eq!(option.kind(), kind);
                    assert_eq!(option.data(), &bytes[2..usize::from(length)]);
                }
                _ => {
                    assert_eq!(first, Some(Err(ParseError::BadOption { kind })));
                    let mut options = HeaderOptions::new(&bytes);
                    let _ = options.next();
                    assert_eq!(options.next(), None, "broken once, ended");
                }
            }
            let found = HeaderOptions::new(&bytes).has_source_route();
            assert_eq!(found, oracle::has_source_route(&bytes), "V-14");
        }
        // The last byte of a header: a kind without a length.
        let last = [kind];
        let alone = HeaderOptions::new(&last).next();
        match kind {
            0 => assert_eq!(alone, None),
            1 => assert!(alone.unwrap().is_ok()),
            _ => assert_eq!(alone, Some(Err(ParseError::BadOption { kind }))),
        }
    }
}

#[test]
fn s_01_every_word_of_tcp_offset_and_flags() {
    for word in 0..=0xffffu16 {
        let mut bytes = [0x33; 60];
        oracle::put_u16(&mut bytes, 12, word);
        let words = word >> 12;
        let split = ipencap::wire::TcpHeader::split(&bytes);
        if words < 5 {
            let words = u8::try_from(words).unwrap();
            assert_eq!(split.err(), Some(ParseError::BadDataOffset { words }));
            continue;
        }
        let (header, options, rest) = split.unwrap();
        assert_eq!(u16::from(header.header_len()), words * 4);
        assert_eq!(header.flags(), TcpFlags::from_bits_truncate(word));
        assert_eq!(header.flags().bits(), word & 0x01ff);
        assert_eq!(options.len(), usize::from(words) * 4 - 20);
        assert_eq!(rest.len(), 60 - usize::from(words) * 4);
    }
}

#[cfg(feature = "heapless")]
#[test]
fn packet_buf_at_every_headroom_and_length() {
    use ipencap::packet::PacketBuf;

    let bytes: Vec<u8> = (0..70).collect();
    for headroom in 0..=70 {
        for len in 0..=70 {
            let made = PacketBuf::<64>::new(headroom, &bytes[..len]);
            assert_eq!(made.is_some(), headroom + len <= 64);
            // Received in place, over another packet, by a driver that says more than there is.
            let mut received = PacketBuf::<64>::EMPTY;
            assert_eq!((received.headroom(), received.as_slice()), (0, &[][..]));
            received.receive(7, |free| free.len());
            let room = 64 - headroom.min(64);
            received.receive(headroom, |free| {
                assert_eq!(free.len(), room);
                let len = len.min(free.len());
                free[..len].copy_from_slice(&bytes[..len]);
                if len < free.len() { len } else { usize::MAX }
            });
            assert_eq!(received.headroom(), headroom.min(64));
            assert_eq!(received.as_slice(), &bytes[..len.min(room)]);
            let Some(mut packet) = made else {
                continue;
            };
            assert_eq!(
                (packet.headroom(), packet.tailroom()),
                (headroom, 64 - headroom - len)
            );
            assert_eq!(packet.as_slice(), &bytes[..len]);
            let mut borrowed = packet.as_packet();
            assert_eq!(
                (borrowed.span(), borrowed.headroom()),
                (Span::new(headroom, len), headroom)
            );
            borrowed.as_mut_slice().fill(0xee);
            assert!(packet.as_slice().iter().all(|&byte| byte == 0xee));
        }
    }

    // What moves the borders is kept by `with_packet`; an error moves nothing.
    let inner = inner().packet(b"payload");
    let said = PerPacket::new();
    for headroom in 0..=40 {
        let mut packet = PacketBuf::<128>::new(headroom, &inner).unwrap();
        let result = packet.with_packet(|packet| packet.wrap(&tunnel(), &said));
        if headroom < 20 {
            assert!(result.is_err());
            assert_eq!(
                (packet.headroom(), packet.as_slice()),
                (headroom, &inner[..])
            );
            continue;
        }
        result.unwrap();
        assert_eq!(packet.headroom(), headroom - 20);
        assert_eq!(packet.as_slice(), wrap(&tunnel(), &inner).unwrap());
        let opened = packet
            .with_packet(|packet| packet.open(&receiver()))
            .unwrap();
        assert_eq!(opened.span(), Span::new(20, inner.len()));
        assert_eq!(
            (packet.headroom(), packet.as_slice()),
            (headroom, &inner[..])
        );
    }
}

/// Found by fuzzing: with more IP-in-IP headers than are looked behind for the flow inside, a stack and
/// one layer after the other choose different source ports. Up to there they are the same, and beyond
/// nothing else differs.
#[test]
fn l_05_l_08_a_stack_around_ip_in_ip_of_every_depth() {
    let ends = |number: u8| -> [Ipv4Addr; 2] {
        [[192, 0, 2, number].into(), [198, 51, 100, number].into()]
    };
    let [source, destination] = ends(1);
    let stack = (
        Tunnel::new(ends(2)[0], ends(2)[1], IpIp).unwrap(),
        Tunnel::new(source, destination, Gue::new()).unwrap(),
    );
    let said = PerPacket::new();
    let mut packet = inner().packet(&[0x9c, 0x40, 0, 53, 0, 9, 0, 0, 0]);
    for depth in 0..=12 {
        let place = Span::new(52, packet.len());
        let mut at_once = [&[0xa5; 52], &packet[..]].concat();
        let at_once = ipencap::encap(&stack, &mut at_once, place, &said)
            .unwrap()
            .to_vec();
        let mut one_by_one = [&[0xa5; 52], &packet[..]].concat();
        ipencap::encap(&stack.0, &mut one_by_one, place, &said).unwrap();
        let place = Span::new(32, packet.len() + 20);
        let one_by_one = ipencap::encap(&stack.1, &mut one_by_one, place, &said).unwrap();

        let differing: Vec<usize> = (0..at_once.len())
            .filter(|&at| at_once[at] != one_by_one[at])
            .collect();
        // Two more headers than the depth: the stack's own, and the one that all others are in front of.
        if depth + 2 <= 9 {
            assert!(differing.is_empty(), "{depth}: {differing:?}");
        } else {
            let is_port_or_checksum = |at: &usize| [20, 21, 26, 27].contains(at);
            assert!(!differing.is_empty(), "{depth}");
            assert!(differing.iter().all(is_port_or_checksum), "{depth}");
        }
        packet = Plain {
            source: [10, 3, 0, u8::try_from(depth).unwrap()],
            protocol: 4,
            ..inner()
        }
        .packet(&packet);
    }
}

/// Prefixes as text: all lengths there and back, and each mistake under its name.
#[test]
fn d_17_prefixes_as_text() {
    for len in 0..=32u8 {
        let bits = 0xc0a8_a5ff & u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
        let address = Ipv4Addr::from_bits(bits);
        let prefix = Prefix::new(address, len).unwrap();
        assert_eq!((prefix.len(), prefix.network()), (len, address));
        let text = format!("{address}/{len}");
        assert_eq!(prefix.to_string(), text);
        assert_eq!(text.parse(), Ok(prefix));
    }
    assert_eq!(
        ("0.0.0.0/0".parse(), Prefix::ANY.len()),
        (Ok(Prefix::ANY), 0)
    );
    let host = Prefix::host(L.into());
    assert_eq!(("198.51.100.1/32".parse(), host.len()), (Ok(host), 32));
    for (error, texts) in [
        (PrefixError::NoLength, &["", "10.0.0.0", "10.0.0.0 8"][..]),
        (
            PrefixError::BadAddress,
            &[
                "/8",
                "10.0.0/8",
                "10.0.0.256/8",
                "::1/8",
                " 10.0.0.0/8",
                "010.0.0.0/8",
            ],
        ),
        (
            PrefixError::BadLength,
            &[
                "10.0.0.0/",
                "10.0.0.0/33",
                "10.0.0.0/+8",
                "10.0.0.0/08",
                "10.0.0.0/-1",
                "10.0.0.0/8/8",
                "10.0.0.0/256",
                "10.0.0.0/8 ",
                "10.0.0.0/255.0.0.0",
                "10.0.0.0/٨",
            ],
        ),
        (
            PrefixError::HostBits,
            &["10.0.0.1/8", "10.0.0.0/6", "0.0.0.1/0"],
        ),
    ] {
        for text in texts {
            assert_eq!(text.parse::<Prefix>(), Err(error), "{text:?}");
        }
        assert!(error.to_string().len() > 10);
    }
}
