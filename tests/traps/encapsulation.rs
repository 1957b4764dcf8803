//! T31 to T38: lengths, headroom, fields and loops on the way in.

use ipencap::Span;
use ipencap::decap::Decapsulate;
use ipencap::encap::{
    DfPolicy, Encapsulate, IdSource, OuterPolicy, PerPacket, Rules, Tunnel, header,
};
use ipencap::error::{EncapError, Reason};
use ipencap::packet::{Facts, Packet};
use ipencap::shim::IpIp;
use ipencap::wire::Ipv4Header;
use ipencap_kit::oracle::{self, Plain};

use crate::{A, B, L, R, forwarding, inner, outer, reason, receiver, tunnel, wrap};

fn with_df(df: DfPolicy) -> Tunnel<IpIp> {
    tunnel().with_policy(OuterPolicy {
        df,
        ..OuterPolicy::DEFAULT
    })
}

#[test]
fn t31_lengths_around_65535() {
    for (len, expected) in [
        (65515usize, Ok(65535)),
        (65516, Err(EncapError::TooLong { len: 65536 })),
        (65520, Err(EncapError::TooLong { len: 65540 })),
        (65535, Err(EncapError::TooLong { len: 65555 })),
    ] {
        let packet = inner().packet(&vec![0x42; len - 20]);
        assert_eq!(wrap(&tunnel(), &packet).map(|outer| outer.len()), expected);
    }
    // 65536 bytes cannot be said in a header: what lies behind 65535 is slack.
    let longest = [&inner().packet(&vec![0x42; 65515])[..], &[0x42]].concat();
    assert_eq!(longest.len(), 65536);
    assert_eq!(
        wrap(&tunnel(), &longest),
        Err(EncapError::TooLong { len: 65555 })
    );
}

#[test]
fn t32_e_19_short_headroom_is_an_error_and_changes_nothing() {
    let packet = inner().packet(b"payload");
    for have in 0..20u16 {
        let mut buffer = vec![0xa5; usize::from(have)];
        buffer.extend(&packet);
        let before = buffer.clone();
        let span = Span::new(usize::from(have), packet.len());
        let error = EncapError::NoHeadroom { need: 20, have };
        let said = PerPacket::new();
        let result = ipencap::encap(&tunnel(), &mut buffer, span, &said);
        assert_eq!(result.unwrap_err(), error);
        let mut place = Packet::new(&mut buffer, span);
        assert_eq!(place.wrap(&tunnel(), &said), Err(error));
        assert_eq!(place.span(), span);
        let proven = Packet::new(&mut buffer, span).prove().unwrap();
        assert_eq!(proven.wrap(&tunnel(), &said).unwrap_err(), error);
        assert_eq!(buffer, before);
    }
    // A frame that ends before its headroom does is left as it is.
    let facts = Facts::read(&packet).unwrap();
    let said = PerPacket::new();
    for rules in [Rules::Common, Rules::All, Rules::Explained] {
        tunnel().check(&facts, &said, rules).unwrap();
        for have in 0..20 {
            let mut frame = vec![0xa5; have];
            tunnel().write(&mut frame, &facts, &said, rules);
            assert!(frame.iter().all(|&byte| byte == 0xa5), "{rules:?}, {have}");
        }
    }
}

#[test]
fn t33_dirty_headroom_is_written_over() {
    let packet = inner().packet(b"payload");
    let clean = wrap(&tunnel(), &packet).unwrap();
    for poison in 0..=255u8 {
        let mut buffer = vec![poison; 25];
        buffer.extend(&packet);
        let span = Span::new(25, packet.len());
        let outer = ipencap::encap(&tunnel(), &mut buffer, span, &PerPacket::new()).unwrap();
        assert_eq!(outer, clean);
        assert_eq!(buffer[..5], [poison; 5]);
    }
}

#[test]
fn t34_f_01_f_04_identification_is_never_the_inner_one() {
    let packet = Plain {
        flags_offset: 0,
        ..inner()
    }
    .packet(b"payload");
    // Atomic: any value, 0 by default.
    assert_eq!(oracle::u16_at(&wrap(&tunnel(), &packet).unwrap(), 4), 0);
    // Not atomic: unless the caller says one there is no identification (F-02, F-03), so never 0 by chance.
    let copying = with_df(DfPolicy::Copy(IdSource::PerPacket));
    assert_eq!(wrap(&copying, &packet), Err(EncapError::NoIdentification));
    let facts = Facts::read(&packet).unwrap();
    let mut seen = vec![false; 65536];
    for number in (0xfff0..=0xffffu16).chain(0..0xfff0) {
        let said = PerPacket::new().with_identification(number);
        let header = header::<20, _>(&copying, &facts, &said).unwrap();
        assert_eq!(oracle::u16_at(header.as_slice(), 6), 0);
        let identification = usize::from(oracle::u16_at(header.as_slice(), 4));
        assert!(
            !seen[identification],
            "65536 packets in a row are told apart"
        );
        seen[identification] = true;
    }
}

#[test]
fn t35_ttl_0_and_1_and_the_checksum_after_the_decrement() {
    let with_ttl = |ttl| Plain { ttl, ..inner() }.packet(b"payload");
    assert_eq!(wrap(&forwarding(), &with_ttl(0)), Err(EncapError::TtlZero));
    assert_eq!(
        wrap(&forwarding(), &with_ttl(1)),
        Err(EncapError::TtlExpired)
    );
    assert_eq!(wrap(&tunnel(), &with_ttl(0)), Err(EncapError::TtlZero));
    assert_eq!(wrap(&tunnel(), &with_ttl(1)).unwrap()[20..], with_ttl(1));
    for ttl in 2..=255 {
        assert_eq!(
            wrap(&forwarding(), &with_ttl(ttl)).unwrap()[20..],
            with_ttl(ttl - 1)
        );
    }
    // The error survives the hop (C-15): a header that was proven by nobody is not repaired.
    let mut wrong = Ipv4Header::from_bytes(with_ttl(64)[..20].try_into().unwrap());
    let mut bytes = *wrong.as_bytes();
    bytes[10] ^= 0x40;
    wrong = Ipv4Header::from_bytes(bytes);
    assert!(wrong.decrement_ttl());
    assert!(!wrong.verifies(&[]));
}

/// F-05.
#[test]
fn t36_inner_df_is_always_kept() {
    for df in [
        DfPolicy::Set,
        DfPolicy::Copy(IdSource::PerPacket),
        DfPolicy::Copy(IdSource::Constant(7)),
    ] {
        for (inner_word, outer_word) in [(0x4000, 0x4000), (0xc000, 0x4000), (0x6000, 0x4000)] {
            let packet = Plain {
                flags_offset: inner_word,
                ..inner()
            }
            .packet(&[]);
            let wrapped = wrap(&with_df(df), &packet).unwrap();
            assert_eq!(oracle::u16_at(&wrapped, 6), outer_word, "{df:?}");
            assert_eq!(wrapped[20..], packet);
        }
    }
}

#[test]
fn t38_self_encapsulation_is_noticed_on_both_ends() {
    let from = |source, destination| {
        Plain {
            source,
            destination,
            protocol: 4,
            ..inner()
        }
        .packet(&inner().packet(&[]))
    };
    // E-17, E-18 going in; a host's own traffic may (TX-07).
    let to_exit = EncapError::LoopToExit { layer: 0 };
    let own_source = EncapError::LoopOwnSource { layer: 0 };
    assert_eq!(wrap(&tunnel(), &from(R, B)), Err(to_exit));
    assert_eq!(wrap(&forwarding(), &from(R, B)), Err(to_exit));
    assert_eq!(wrap(&forwarding(), &from(L, B)), Err(own_source));
    assert!(wrap(&tunnel(), &from(L, B)).is_ok());
    let hairpin = tunnel().with_policy(OuterPolicy {
        hairpin: true,
        ..OuterPolicy::DEFAULT
    });
    assert!(wrap(&hairpin, &from(R, B)).is_ok());

    // L-04: its own outer packet once more.
    let facts = |packet: &[u8]| Facts::read(packet).unwrap();
    let once = wrap(&tunnel(), &inner().packet(&[])).unwrap();
    assert!(tunnel().would_loop(&facts(&once)));
    assert!(forwarding().would_loop(&facts(&once)));
    assert!(tunnel().would_loop(&facts(&from(R, B))));
    assert!(!tunnel().would_loop(&facts(&from(L, B))));
    assert!(forwarding().would_loop(&facts(&from(L, B))));
    assert!(!tunnel().would_loop(&facts(&inner().packet(&[]))));

    // D-16 coming out, at depth N + 1 for every N; D-20 where only the destination is ours.
    let mut nested = inner().packet(&[]);
    for depth in 1..=12 {
        nested = outer().packet(&nested);
        let expected = (depth > 1).then_some(Reason::InnerEqualsOuter);
        assert_eq!(reason(&nested), expected, "{depth} layers");
    }
    let to_us = outer().packet(&from(A, R));
    assert_eq!(reason(&to_us), Some(Reason::NestingLimit));
    assert!(receiver().with_max_depth(2).inspect(&to_us).is_ok());
}
