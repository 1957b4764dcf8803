//! ICMP errors: what is relayed, what a quote shows of a stack of tunnels, and how often errors are sent.
//!
//! What an error looks like and about which packets none is sent: `laws.rs`, `vectors/icmp.rs`,
//! `kernel/errors.rs`.

#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    reason = "a test that panics fails"
)]

use core::net::Ipv4Addr;

use ipencap::encap::{AnyTunnel, Encapsulate, MinEnc, PerPacket, Rules, Tunnel};
use ipencap::error::{EncapError, Ignored, Refused, Silence};
use ipencap::icmp::{self, Bucket, BucketConfig, IcmpError, Kind, Relay, ReportKind};
use ipencap::packet::{Facts, Quote};
use ipencap::shim::{
    Carried, Fou, Gre, GreInUdp, Gue, GueVariant1, IpIp, PortRange, PseudoHeader, Shim, SourcePort,
    Tcp,
};
use ipencap::time::{Duration, Instant};
use ipencap::wire::{IpProtocol, Ipv4};
use ipencap::{Span, encap};
use ipencap_kit::oracle::{self, Plain};

const L: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const R: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
const ROUTER: [u8; 4] = [192, 0, 2, 254];

/// An ICMP error from a router on the way to L.
fn received(kind: u8, code: u8, rest: [u8; 4], quote: &[u8]) -> Vec<u8> {
    let mut message = [&[kind, code, 0, 0], &rest[..], quote].concat();
    let computed = oracle::checksum(&message);
    oracle::put_u16(&mut message, 2, computed);
    let outer = Plain {
        source: ROUTER,
        destination: L.octets(),
        ..Plain::of(1)
    };
    outer.packet(&message)
}

/// A packet from L to R of this protocol.
fn outer(protocol: u8) -> Vec<u8> {
    let plain = Plain {
        source: L.octets(),
        destination: R.octets(),
        ..Plain::of(protocol)
    };
    plain.packet(&[0; 60])
}

fn inner() -> Vec<u8> {
    Plain::of(253).packet(&[7; 400])
}

fn wrapped(tunnel: &(impl Encapsulate + ?Sized)) -> Vec<u8> {
    let mut buffer = vec![0; tunnel.overhead()];
    buffer.extend(inner());
    let span = Span::new(tunnel.overhead(), buffer.len() - tunnel.overhead());
    let packet = PerPacket::new().with_identification(1).with_sequence(2);
    encap(tunnel, &mut buffer, span, &packet).unwrap().to_vec()
}

/// I-21 to I-30: every type and code, about every carrier.
#[test]
fn i_21_to_i_30_what_is_relayed() {
    for protocol in [4, 6, 17, 47, 55] {
        let quote = outer(protocol);
        for kind in 0..=255 {
            for code in 0..=255 {
                let packet = received(kind, code, [9, 0, 5, 220], &quote);
                let relayed = icmp::read(&packet).and_then(|report| report.relayed(20));
                let expected = match (kind, code) {
                    (3, 0) => Ok(Kind::NetUnreachable), // I-21
                    (3, 3) if ![6, 17].contains(&protocol) => Err(Ignored::PortUnreachable), // I-24
                    (3, 4) => Ok(Kind::FragmentationNeeded { mtu: 1480 }), // I-25
                    (3, 5) => Err(Ignored::SourceRouteFailed), // I-26
                    // I-22, I-23, I-24, I-29
                    (3, _) | (11, 0 | 1) => Ok(Kind::HostUnreachable),
                    (4, _) => Err(Ignored::SourceQuench), // I-27
                    (5, _) => Err(Ignored::Redirect),     // I-28
                    (11, _) => Err(Ignored::UnknownCode),
                    (12, _) => Err(Ignored::ParameterProblem), // I-30
                    _ => Err(Ignored::NotAnError),
                };
                assert_eq!(
                    relayed,
                    expected.map(Relay::Tell),
                    "{kind}/{code}, {protocol}"
                );
            }
        }
    }
    let pointer = received(12, 0, [9, 0, 0, 0], &outer(4));
    let kind = icmp::read(&pointer).unwrap().kind();
    assert_eq!(kind, ReportKind::ParameterProblem { pointer: 9 });
}

/// I-25, I-14: every MTU, less overheads of every length.
#[test]
fn i_25_i_14_every_mtu() {
    let quote = outer(4);
    for overhead in [0, 20, 28, 60, 65_536] {
        for mtu in 0..=u16::MAX {
            let [high, low] = mtu.to_be_bytes();
            let packet = received(3, 4, [0, 0, high, low], &quote);
            let relayed = icmp::read(&packet).unwrap().relayed(overhead);
            let least = usize::from(mtu).saturating_sub(overhead).max(68);
            let expected = match mtu {
                0 => Ok(Relay::TakeNote),
                1..=67 => Err(Ignored::MtuBelowMinimum),
                _ => Ok(Relay::Tell(Kind::FragmentationNeeded {
                    mtu: least.try_into().unwrap(),
                })),
            };
            assert_eq!(relayed, expected, "{mtu} less {overhead}");
        }
    }
}

/// I-34, I-31: an extension behind a short quote, with the length in byte 5 and padding as RFC 4884 §5.2 asks
/// or without. The MTU is learnt; neither padding nor extension becomes part of a packet.
#[test]
fn i_34_i_31_extensions_are_no_packet() {
    let tunnel = Tunnel::new(L, R, IpIp).unwrap();
    let packet = wrapped(&tunnel);
    let extension = [0x20, 0, 0x12, 0x34, 0, 8, 1, 1, 0, 0, 0x45, 0];
    for (quoted, padded, words) in [(28, 28, 7), (28, 128, 32), (48, 48, 12), (48, 128, 32)] {
        let mut quote = packet[..quoted].to_vec();
        quote.resize(padded, 0);
        quote.extend(extension);
        let message = received(3, 4, [0, words, 5, 120], &quote);
        let report = icmp::read(&message).unwrap();
        assert_eq!(report.kind(), ReportKind::FragmentationNeeded { mtu: 1400 });
        assert_eq!(usize::from(report.quoted_len()), packet.len());
        assert_eq!(report.quote().packet().len(), padded);
        let found = tunnel.inside_quote(report.quote()).unwrap();
        let kind = Kind::FragmentationNeeded { mtu: 1380 };
        let relayed = IcmpError::about_quoted(found.packet(), kind, GATEWAY);
        match (quoted, padded) {
            (28, 28) => assert_eq!(relayed, Err(Silence::QuoteTooShort)),
            // The padding is no header: its checksum is wrong.
            (28, _) => assert_eq!(relayed, Err(Silence::Invalid)),
            _ => assert_eq!(relayed.unwrap().destination(), Ipv4Addr::new(10, 1, 0, 5)),
        }
    }
    // Types without a length have something else in byte 5; a length beyond the message is none.
    let redirect = received(5, 1, [192, 7, 2, 1], &packet);
    assert_eq!(icmp::read(&redirect).unwrap().quote().packet(), packet);
    let long = received(3, 1, [0, 255, 0, 0], &packet);
    assert_eq!(icmp::read(&long).unwrap().quote().packet(), packet);
}

/// Every kind of tunnel as one that is chosen at run time.
fn every_kind() -> Vec<AnyTunnel> {
    vec![
        Tunnel::new(L, R, IpIp).unwrap().into(),
        Tunnel::new(L, R, Fou::new(5555)).unwrap().into(),
        Tunnel::new(L, R, Gue::new()).unwrap().into(),
        Tunnel::new(L, R, GueVariant1::new()).unwrap().into(),
        Tunnel::new(L, R, GreInUdp::new(Gre::new().with_key(7)))
            .unwrap()
            .into(),
        Tunnel::new(L, R, Gre::new().with_key(7)).unwrap().into(),
        Tunnel::new(L, R, Tcp::new(40_001, 443)).unwrap().into(),
        MinEnc::new(L, R).unwrap().into(),
    ]
}

/// I-31, I-20: 28 bytes tell every kind of tunnel from every other.
#[test]
fn i_31_i_20_28_bytes_are_enough() {
    let all = every_kind();
    for (number, tunnel) in all.iter().enumerate() {
        let packet = wrapped(tunnel);
        let message = received(3, 1, [0; 4], &packet[..28]);
        let report = icmp::read(&message).unwrap();
        let recognised: Vec<usize> = (0..all.len())
            .filter(|&other| all[other].inside_quote(report.quote()).is_some())
            .collect();
        // GUE's two variants begin alike within 28 bytes.
        let expected = if [2, 3].contains(&number) {
            vec![2, 3]
        } else {
            vec![number]
        };
        assert_eq!(recognised, expected, "{tunnel:?}");
        let short = received(3, 1, [0; 4], &packet[..27]);
        assert_eq!(icmp::read(&short).err(), Some(Ignored::QuoteTooShort));
    }
}

/// I-20: a stack looks at every layer that is quoted. A wrong one further inside is not found if the quote
/// ends before it.
#[test]
fn i_20_every_layer_of_a_nest() {
    let site = Tunnel::new(
        [192, 0, 2, 1].into(),
        [192, 0, 2, 2].into(),
        Gre::new().with_key(7),
    );
    let wan = Tunnel::new(L, R, Fou::new(5555)).unwrap();
    let stack = (site.unwrap(), wan);
    let packet = wrapped(&stack);
    let inner_start = stack.overhead();
    for len in 28..=packet.len() {
        let quote = Quote::parse(&packet[..len]).unwrap();
        let found = stack.inside_quote(quote).unwrap();
        assert_eq!(found.span().start, inner_start);
        assert_eq!(
            found.packet(),
            packet.get(inner_start..len).unwrap_or_default()
        );
        assert_eq!(found.header().is_some(), len >= inner_start + 20);
        // The key, behind both headers and the flags.
        let key_at = 28 + 20 + 4;
        for key_byte in key_at..key_at + 4 {
            let mut wrong = packet[..len].to_vec();
            if let Some(byte) = wrong.get_mut(key_byte) {
                *byte ^= 1;
            }
            let found = stack.inside_quote(Quote::parse(&wrong).unwrap());
            assert_eq!(found.is_some(), len <= key_byte, "{len}");
        }
    }
}

/// U-15, I-20: a source port is accepted if and only if the tunnel's range has it.
#[test]
fn i_20_every_source_port() {
    let of_range = |range| SourcePort::Entropy { seed: 7, range };
    for (policy, first, last) in [
        (SourcePort::Fixed(4444), 4444, 4444),
        (of_range(PortRange::Dynamic), 49152, 65535),
        (of_range(PortRange::DynamicFolded), 49152, 65535),
        (of_range(PortRange::Glb), 32768, 65535),
        (of_range(PortRange::Linux), 32768, 60998),
    ] {
        let tunnel = Tunnel::new(L, R, Fou::new(5555).with_source_port(policy)).unwrap();
        let mut packet = wrapped(&tunnel);
        for port in 0..=u16::MAX {
            oracle::put_u16(&mut packet, 20, port);
            let found = tunnel.inside_quote(Quote::parse(&packet[..28]).unwrap());
            assert_eq!(
                found.is_some(),
                (first..=last).contains(&port),
                "{policy:?} {port}"
            );
        }
    }
    // No hash leaves the range.
    assert_eq!(PortRange::Linux.port(0), 32768);
    let ports = (0..=u16::MAX).map(|hash| PortRange::Linux.port(u32::from(hash) << 16));
    assert_eq!(ports.max(), Some(60998));
}

/// I-20: Linux quotes an outer packet that it has taken a UDP header off with a total length that is less by
/// as much, and with the old checksum.
#[test]
fn i_20_linux_quotes_with_another_length() {
    let tunnel = Tunnel::new(L, R, Gue::new()).unwrap();
    let whole = wrapped(&tunnel);
    for removed in [0, 8, 12] {
        let mut packet = whole.clone();
        let total_len = u16::try_from(whole.len()).unwrap() - removed;
        oracle::put_u16(&mut packet, 2, total_len);
        let message = received(3, 1, [0; 4], &packet[..100]);
        let report = icmp::read(&message).unwrap();
        assert_eq!(report.quoted_len(), total_len);
        let found = tunnel.inside_quote(report.quote()).unwrap();
        assert_eq!(found.packet(), &whole[32..100]);
    }
}

/// A shim of one's own that compares nothing: addresses and protocol tell its packets.
#[derive(Clone, Copy)]
struct Own;

impl Shim for Own {
    const PROTOCOL: IpProtocol = IpProtocol(137);

    fn len(&self) -> usize {
        4
    }

    fn write(&self, bytes: &mut [u8], _: &Facts, _: &PerPacket, _: PseudoHeader, _: Rules) {
        bytes[..4].copy_from_slice(&[1, 2, 3, 4]);
    }

    fn read(&self, outer: Ipv4<'_>) -> Result<Carried, Refused> {
        Ok(Carried::behind(4, outer.payload().len()))
    }
}

/// An encapsulator of one's own that knows nothing of quotes.
struct Foreign;

impl Encapsulate for Foreign {
    fn overhead(&self) -> usize {
        0
    }

    fn check(&self, inner: &Facts, _: &PerPacket, _: Rules) -> Result<Facts, EncapError> {
        Ok(*inner)
    }

    fn write(&self, _: &mut [u8], inner: &Facts, _: &PerPacket, _: Rules) -> Facts {
        *inner
    }
}

/// I-20: by default a shim compares nothing, and an encapsulator recognises nothing.
#[test]
fn i_20_tunnels_of_ones_own() {
    let tunnel = Tunnel::new(L, R, Own).unwrap();
    let packet = wrapped(&tunnel);
    let quote = Quote::parse(&packet).unwrap();
    assert_eq!(tunnel.inside_quote(quote).unwrap().packet(), inner());
    let dynamic: &dyn Encapsulate = &tunnel;
    assert!([dynamic, &()].inside_quote(quote).is_some());
    assert!([dynamic, &Foreign].inside_quote(quote).is_none());
    assert!(Foreign.inside_quote(quote).is_none());
    let mut changed = packet;
    changed[20] ^= 1;
    assert!(
        tunnel
            .inside_quote(Quote::parse(&changed).unwrap())
            .is_some()
    );
    changed[16] ^= 1;
    assert!(
        tunnel
            .inside_quote(Quote::parse(&changed).unwrap())
            .is_none()
    );
}

/// P-04: other implementations read what is built.
#[test]
fn p_04_peers_read_the_errors() {
    use smoltcp::phy::ChecksumCapabilities;
    use smoltcp::wire::{Icmpv4DstUnreachable, Icmpv4Packet, Icmpv4Repr, Icmpv4TimeExceeded};
    for (kind, unreachable) in [
        (
            Kind::NetUnreachable,
            Some(Icmpv4DstUnreachable::NetUnreachable),
        ),
        (
            Kind::HostUnreachable,
            Some(Icmpv4DstUnreachable::HostUnreachable),
        ),
        (
            Kind::FragmentationNeeded { mtu: 576 },
            Some(Icmpv4DstUnreachable::FragRequired),
        ),
        (Kind::Prohibited, Some(Icmpv4DstUnreachable::CommProhibited)),
        (Kind::TimeExceeded, None),
    ] {
        // smoltcp 0.12 reads no error that quotes a packet in part.
        let packet = Plain::of(17).packet(&[0x5a; 500]);
        let error = IcmpError::about(&packet, kind, GATEWAY).unwrap();
        let mut out = vec![0; error.len()];
        let written = error.write(&packet, &mut out).unwrap();

        let message = Icmpv4Packet::new_checked(&written[20..]).unwrap();
        let checks = ChecksumCapabilities::default();

        match (Icmpv4Repr::parse(&message, &checks).unwrap(), unreachable) {
            (Icmpv4Repr::DstUnreachable { reason, .. }, Some(expected)) => {
                assert_eq!(reason, expected);
            }
            (Icmpv4Repr::TimeExceeded { reason, .. }, None) => {
                assert_eq!(reason, Icmpv4TimeExceeded::TtlExpired);
            }
            other => panic!("{kind:?}: {other:?}"),
        }

        let (ipv4, payload) = etherparse::Ipv4Header::from_slice(written).unwrap();
        assert_eq!(ipv4.header_checksum, ipv4.calc_header_checksum());
        assert_eq!((ipv4.dscp.value(), ipv4.ecn.value()), (48, 0), "I-13");
        let icmpv4 = etherparse::Icmpv4Slice::from_slice(payload).unwrap();
        let codes = (icmpv4.type_u8(), icmpv4.code_u8());
        assert_eq!(codes, (kind.message_type(), kind.code()));
        if let Kind::FragmentationNeeded { mtu } = kind {
            assert_eq!(
                icmpv4.bytes5to8(),
                [0, 0, mtu.to_be_bytes()[0], mtu.to_be_bytes()[1]]
            );
        }
    }
}

// ---- The rate of errors

const fn bucket(per_second: u16, burst: u16, key: u64) -> Bucket {
    Bucket::new(BucketConfig {
        per_second,
        burst,
        key,
    })
}

/// How many of many errors may be sent `now`.
fn taken(bucket: &mut Bucket, now: Instant) -> usize {
    (0..1000).filter(|_| bucket.take(now)).count()
}

/// I-07: no more than the burst at once, and no more than the rate over time, whatever the key and the rhythm.
#[test]
fn i_07_never_more_than_burst_and_rate() {
    for key in 0..200 {
        let mut bucket = bucket(10, 6, key);
        let mut now = Instant::from_millis(key * 777);
        let mut sent = taken(&mut bucket, now);
        assert!((3..=6).contains(&sent), "{sent} at once");
        let mut state = key;
        let start = now;
        while now.since(start) < Duration::from_secs(60) {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            now = now + Duration::from_millis(state >> 59);
            sent += usize::from(bucket.take(now));
        }
        // 600 tokens and the burst. An error costs one to two tokens, so that it is less.
        assert!((300..=606).contains(&sent), "{sent} in a minute");
        assert!((350..=450).contains(&sent), "{sent}: about two thirds");
    }
}

/// I-07: who counts errors does not learn how many are left. With another key there is another count.
#[test]
fn i_07_the_count_depends_on_the_key() {
    let now = Instant::from_millis(5);
    let counts: Vec<usize> = (0..1000)
        .map(|key| taken(&mut bucket(1, 50, key), now))
        .collect();
    let mut different = counts.clone();
    different.sort_unstable();
    different.dedup();
    assert!(different.len() >= 8, "{different:?}");
    let mean = counts.iter().sum::<usize>() / counts.len();
    assert!((32..=36).contains(&mean), "{mean}");
    // The same key yields the same.
    assert_eq!(taken(&mut bucket(1, 50, 7), now), counts[7]);
}

/// I-07: a clock that jumps either way yields no more than the burst.
#[test]
fn i_07_clocks_that_jump() {
    let mut bucket = bucket(100, 5, 3);
    let hour = Instant::from_millis(3_600_000);
    assert!(taken(&mut bucket, hour) <= 5);
    // An hour back, and to and fro.
    for now in [Instant::ZERO, hour, Instant::ZERO, hour] {
        assert_eq!(taken(&mut bucket, now), 0);
    }
    // Ahead to the end of time: full once.
    assert!((2..=5).contains(&taken(&mut bucket, Instant::MAX)));
    assert_eq!(taken(&mut bucket, Instant::MAX), 0);
    assert_eq!(taken(&mut bucket, hour), 0);
}

/// I-07: at the limits of the configuration.
#[test]
fn i_07_limits_of_the_configuration() {
    let later = Instant::from_millis(u64::from(u32::MAX) * 3);
    assert_eq!(taken(&mut bucket(10, 0, 1), later), 0);
    let mut once = bucket(0, 1, 1);
    assert_eq!(taken(&mut once, Instant::ZERO), 1);
    assert_eq!(taken(&mut once, later), 0);
    let mut most = bucket(u16::MAX, u16::MAX - 1, 1);
    let sent = (0..70_000).filter(|_| most.take(later)).count();
    assert!((40_000..=46_000).contains(&sent), "{sent}");
    assert!(most.take(later + Duration::from_millis(1)));
    let mut unlimited = bucket(0, u16::MAX, 1);
    let sent = (0..70_000).filter(|_| unlimited.take(Instant::ZERO));
    assert_eq!(sent.count(), 70_000);
    // What others can cause leaves half of the burst: 20 tokens, of which an error costs one to two.
    let mut spared = bucket(0, 40, 1);
    let spare = (0..100).filter(|_| spared.take_spare(later)).count();
    assert!((10..=20).contains(&spare), "{spare}");
    let kept = taken(&mut spared, later);
    assert!((9..=20).contains(&kept), "{kept}");
    // Whatever the jitter, an answer finds a token after as many of these as there may be.
    for (burst, key) in (1..=64).flat_map(|burst| (0..100).map(move |key| (burst, key))) {
        let mut spared = bucket(0, burst, key);
        let spare = (0..100).filter(|_| spared.take_spare(later)).count();
        assert_eq!(spare > 0, burst >= 4, "{burst} {key}");
        assert!(spared.take(later), "{burst} {key}");
    }
    // A token after exactly as long as it takes.
    let mut slow = bucket(1, 1, 1);
    assert_eq!(taken(&mut slow, Instant::ZERO), 1);
    assert_eq!(taken(&mut slow, Instant::from_millis(999)), 0);
    assert_eq!(taken(&mut slow, Instant::from_millis(2023)), 1);
}
