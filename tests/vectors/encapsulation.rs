//! ENC, TX and TMPL: what goes into a tunnel, by every door.

use core::net::Ipv4Addr;
use core::num::NonZeroU8;

use ipencap::checksum::{const_checksum, update_u16};
use ipencap::encap::{
    DfPolicy, DscpPolicy, EcnPolicy, Encapsulate, IdSource, OuterPolicy, PerPacket, Role, Rules,
    TtlPolicy, Tunnel, header,
};
use ipencap::error::EncapError;
use ipencap::packet::Facts;
use ipencap::shim::IpIp;
use ipencap::wire::{Dscp, Ecn, IpProtocol, Ipv4Flags, Ipv4Header};

use crate::doors::through_doors;
use crate::oracle::{A, B, L, P, R, hex, mend, p_with, plain_outer, tunnel, unhex, word};
use crate::{Book, MIXED};

/// ENC-01 to ENC-10 show E-03, E-08, E-09, E-11, E-15, E-16, E-21, T-01, T-03, F-01, F-02, F-10
/// and L-08.
#[test]
fn enc_encapsulation() {
    enc(&mut Book::open());
}

/// TX-01 to TX-07 show E-17, E-18, T-04, T-06 and L-04.
#[test]
fn tx_refusals_at_encapsulation() {
    tx(&mut Book::open());
}

/// E-12, by the table of outer checksums.
#[test]
fn tmpl_outer_checksums() {
    tmpl(&mut Book::open());
}

fn with_df(df: DfPolicy) -> Tunnel<IpIp> {
    tunnel().with_policy(OuterPolicy {
        df,
        ..OuterPolicy::DEFAULT
    })
}

fn with_ecn(ecn: EcnPolicy) -> Tunnel<IpIp> {
    tunnel().with_policy(OuterPolicy {
        ecn,
        ..OuterPolicy::DEFAULT
    })
}

/// The answer of `tunnel` to `inner`, the same through every door and by value.
pub(crate) fn wrapped(
    id: &str,
    tunnel: &Tunnel<IpIp>,
    role: Role,
    inner: &[u8],
    packet: PerPacket,
) -> Result<Vec<u8>, EncapError> {
    let policy = tunnel.policy();
    let tunnel = &tunnel.with_policy(OuterPolicy { role, ..policy });
    let answer = through_doors(id, tunnel, inner, packet);

    // By value: the two parts stand wherever the caller has them; the inner TTL is the caller's.
    let headers = Facts::read(inner)
        .map_err(EncapError::from)
        .and_then(|facts| header::<20, _>(tunnel, &facts, &packet));
    let by_value = headers.map(|header| {
        let mut inner = inner.to_vec();
        if role == Role::Forward {
            assert!(Ipv4Header::split_mut(&mut inner).unwrap().0.decrement_ttl());
        }
        [header.as_slice(), &inner].concat()
    });
    assert_eq!(by_value, answer, "{id}, by value");
    answer
}

pub(crate) fn inner(book: &mut Book) {
    book.each("encap", "inner_P", |id, packet| {
        assert_eq!(hex(packet), P, "{id}");
    });
}

pub(crate) fn enc(book: &mut Book) {
    book.each("encap", "ENC", |id, wire| {
        let wire = hex(wire);
        let none = PerPacket::new();
        let with_tos = |tos| p_with(|p| p[1] = tos);
        let with_flags = |high| p_with(|p| p[6] = high);
        let copying_df = with_df(DfPolicy::Copy(IdSource::PerPacket));

        let (inner, layers) = match id {
            "ENC-01" | "ENC-02" => (P.to_vec(), vec![tunnel()]),
            "ENC-03" => (with_tos(0xba), vec![tunnel()]),
            "ENC-04a" => (with_tos(0x2b), vec![tunnel()]),
            "ENC-04b" => {
                let ecn = EcnPolicy::Compatibility;
                (with_tos(0x2b), vec![with_ecn(ecn)])
            }
            "ENC-04c" => {
                let ecn = EcnPolicy::Rfc3168;
                (with_tos(0x2b), vec![with_ecn(ecn)])
            }
            "ENC-04d" => {
                let linux_default = tunnel().with_policy(OuterPolicy {
                    dscp: DscpPolicy::Fixed(Dscp::DEFAULT),
                    ecn: EcnPolicy::Rfc3168,
                    ..OuterPolicy::DEFAULT
                });
                (with_tos(0x2b), vec![linux_default])
            }
            "ENC-05a" => (with_flags(0x00), vec![tunnel()]),
            "ENC-05b" => {
                let inner = with_flags(0x00);
                // F-02, F-03: no identification may be made up.
                let error = EncapError::NoIdentification;
                let answer = wrapped(id, &copying_df, Role::Originate, &inner, none);
                assert_eq!(answer, Err(error), "{id} without an identification");
                let constant = with_df(DfPolicy::Copy(IdSource::Constant(0xbeef)));
                let answer = wrapped(id, &constant, Role::Originate, &inner, none);
                assert_eq!(answer.as_ref(), Ok(&wire), "{id} with a constant");
                (inner, vec![copying_df])
            }
            "ENC-06" => (with_flags(0x20), vec![tunnel()]),
            "ENC-07" => (with_flags(0xc0), vec![tunnel()]),
            "ENC-08" => {
                let mut inner = [&P[..20], b"\x94\x04\x00\x00", &P[20..]].concat();
                inner[0] = 0x46;
                inner[3] = 40;
                mend(&mut inner);
                (inner, vec![tunnel()])
            }
            "ENC-09" | "ENC-10" => {
                let ends = [
                    [192, 0, 2, 1],
                    [192, 0, 2, 2],
                    [198, 18, 0, 1],
                    [198, 18, 0, 2],
                ];
                let [second, second_exit, third, third_exit] = ends.map(Ipv4Addr::from);
                let mut layers = vec![tunnel(), Tunnel::new(second, second_exit, IpIp).unwrap()];
                if id == "ENC-10" {
                    layers.push(Tunnel::new(third, third_exit, IpIp).unwrap());
                }
                (P.to_vec(), layers)
            }
            _ => panic!("{id}: no check for this vector"),
        };
        let role = if id == "ENC-02" {
            Role::Forward
        } else {
            Role::Originate
        };
        // Written where one is needed (ENC-05b).
        let packet = none.with_identification(0xbeef);
        let outer = layers.iter().fold(inner, |inner, layer| {
            wrapped(id, layer, role, &inner, packet).expect(id)
        });
        assert_eq!(outer, wire, "{id}");
        if layers.len() > 1 {
            enc_as_stack(id, &layers, &wire);
        }
        if id == "ENC-01" {
            assert_eq!(&outer[20..], P, "E-16");
        }
    });
}

/// All layers in one call (L-08): as tuples in both groupings, with the identity at any place, as an
/// array and as a slice.
fn enc_as_stack(id: &str, layers: &[Tunnel<IpIp>], wire: &[u8]) {
    let none = PerPacket::new();
    let inner = Facts::read(P).unwrap();
    let check = |stack: &dyn Encapsulate| {
        let outer = stack.check(&inner, &none, Rules::Explained).expect(id);
        assert_eq!(usize::from(outer.layers()), layers.len(), "{id}");
        assert_eq!(stack.overhead(), layers.len() * 20, "{id}: O-06");
        let outer = through_doors(id, stack, P, none);
        assert_eq!(outer.as_deref(), Ok(wire), "{id}: as one");
    };
    check(&layers);
    match *layers {
        [first, second] => {
            check(&[first, second]);
            check(&(first, second));
            check(&((first, second), ()));
            check(&((), (first, second)));
        }
        [first, second, third] => {
            check(&[first, second, third]);
            check(&((first, second), third));
            check(&(first, (second, third)));
        }
        _ => panic!("{id}: {} layers", layers.len()),
    }
}

pub(crate) fn tx(book: &mut Book) {
    book.each(MIXED, "TX", |id, vector| {
        let inner = hex(&vector["inner"]);
        let role = if vector["forward"].as_bool().unwrap() {
            Role::Forward
        } else {
            Role::Originate
        };
        let answer = wrapped(id, &tunnel(), role, &inner, PerPacket::new());
        let mut words = vector["result"].as_str().unwrap().split(' ');
        match (words.next().unwrap(), answer) {
            ("OK", Ok(outer)) => {
                let mut travelling = inner.clone();
                if role == Role::Forward {
                    travelling[8] -= 1;
                    mend(&mut travelling);
                }
                let expected = [&plain_outer(L, R, 0, 56)[..], &travelling].concat();
                assert_eq!(outer, expected, "{id}");
            }
            ("ERR", Err(error)) => assert_eq!(error.reason(), words.next().unwrap(), "{id}"),
            (result, answer) => panic!("{id}: {result} expected, got {answer:?}"),
        }

        let facts = Facts::read(&inner).unwrap();
        let in_role = OuterPolicy {
            role,
            ..OuterPolicy::DEFAULT
        };
        let loops = tunnel().with_policy(in_role).would_loop(&facts);
        assert_eq!(loops, matches!(id, "TX-05" | "TX-06"), "{id}: L-04");
        if id == "TX-05" {
            let local = wrapped(id, &tunnel(), Role::Originate, &inner, PerPacket::new());
            assert_eq!(
                local,
                Err(EncapError::LoopToExit { layer: 0 }),
                "{id}, E-17"
            );
            let hairpin = tunnel().with_policy(OuterPolicy {
                hairpin: true,
                ..OuterPolicy::DEFAULT
            });
            let answer = wrapped(id, &hairpin, role, &inner, PerPacket::new());
            assert!(answer.is_ok(), "{id}: hairpin allowed");
        }
    });
}

pub(crate) fn tmpl(book: &mut Book) {
    book.each(MIXED, "TMPL", |id, vector| {
        let total_len = u16::try_from(vector["total_len"].as_u64().unwrap()).unwrap();
        let expected = word(&vector["checksum"]);
        let inner_len = usize::from(total_len) - 20;
        assert_eq!(id, format!("TMPL-{inner_len}"));

        let mut inner = vec![0; inner_len];
        inner[..20].copy_from_slice(&plain_outer(A, B, 0, inner_len));
        let outer = wrapped(id, &tunnel(), Role::Originate, &inner, PerPacket::new()).expect(id);
        let (header, _, rest) = Ipv4Header::split(&outer).expect(id);
        assert_eq!(header.total_len(), total_len, "{id}: E-06");
        assert_eq!(header.checksum(), expected, "{id}: E-12");
        assert_eq!(rest, inner, "{id}: E-16");

        let made = Ipv4Header::new(L, R, IpProtocol::IPENCAP, total_len);
        assert_eq!(made.as_bytes(), header.as_bytes(), "{id}: Ipv4Header::new");
        // From the template with total length 0: RFC 1624, equation 3, with m = 0.
        assert_eq!(
            update_u16(0xd4c2, 0, total_len),
            expected,
            "{id}: equation 3"
        );
        let mut blank = *header.as_bytes();
        blank[10..12].fill(0);
        assert_eq!(const_checksum(&blank), expected, "{id}: in full");
    });
}

#[test]
fn tmpl_rows_with_tos_and_identification() {
    let template = Ipv4Header::new(L, R, IpProtocol::IPENCAP, 0);
    assert_eq!(
        template.as_bytes()[..],
        unhex("45000000000040004004d4c2c6336401cb007102")
    );
    let rows = [
        (0xba, 0x0000, Ipv4Flags::DF, 56, 0xd3d0),
        (0x00, 0xbeef, Ipv4Flags::empty(), 56, 0x559b),
        (0x2b, 0xffff, Ipv4Flags::empty(), 1500, 0x0ebc),
    ];
    for (tos, identification, flags, total_len, expected) in rows {
        let mut header = template;
        header.edit(|edit| {
            edit.set_dscp(Dscp::from_tos(tos))
                .set_ecn(Ecn::from_bits_truncated(tos))
                .set_identification(identification)
                .set_flags(flags)
                .set_total_len(total_len);
        });
        assert_eq!(header.checksum(), expected, "TOS {tos:#04x}, {total_len}");
        assert_eq!(header.tos(), tos);

        let df = DfPolicy::Copy(IdSource::Constant(identification));
        let inner = Ipv4Header::new(A, B, IpProtocol(253), total_len - 20);
        let mut inner = inner;
        inner.edit(|edit| {
            edit.set_dscp(Dscp::from_tos(tos))
                .set_ecn(Ecn::from_bits_truncated(tos))
                .set_flags(flags);
        });
        let facts = Facts::trusted(&inner);
        let outer =
            ipencap::encap::header::<20, _>(&with_df(df), &facts, &PerPacket::new()).unwrap();
        assert_eq!(outer.as_slice(), header.as_bytes(), "TOS {tos:#04x}");
    }
}

#[test]
fn e_06_outer_length_ends_at_65535() {
    let inner_of = |len: u16| {
        let mut inner = vec![0; usize::from(len)];
        inner[..20].copy_from_slice(&plain_outer(A, B, 0, usize::from(len)));
        inner
    };
    let encapsulate =
        |inner: &[u8]| wrapped("E-06", &tunnel(), Role::Originate, inner, PerPacket::new());

    let longest = inner_of(65515);
    let outer = encapsulate(&longest).unwrap();
    assert_eq!(
        outer[..20],
        unhex("4500ffff000040004004d4c2c6336401cb007102")
    );
    assert_eq!(outer[20..], longest);
    for len in [65516, 65535] {
        let error = EncapError::TooLong {
            len: u32::from(len) + 20,
        };
        assert_eq!(encapsulate(&inner_of(len)), Err(error), "inner of {len}");
    }
}

#[test]
fn t_02_to_t_06_ttl_at_encapsulation() {
    let with_ttl = |ttl| p_with(|p| p[8] = ttl);
    let rows = [
        (255, Ok(254)),
        (64, Ok(63)),
        (2, Ok(1)),
        (1, Err(EncapError::TtlExpired)),
        (0, Err(EncapError::TtlZero)),
    ];
    for (ttl, forwarded) in rows {
        let inner = with_ttl(ttl);
        let encapsulate = |policy, role| {
            let tunnel = tunnel().with_policy(OuterPolicy {
                ttl: policy,
                ..OuterPolicy::DEFAULT
            });
            wrapped("T-03", &tunnel, role, &inner, PerPacket::new())
        };
        let outer = encapsulate(TtlPolicy::DEFAULT, Role::Forward);
        let expected =
            forwarded.map(|ttl| [&plain_outer(L, R, 0, 56)[..], &with_ttl(ttl)].concat());
        assert_eq!(outer, expected, "T-03, T-04, T-06: inner TTL {ttl}");

        // T-02: inherited after the decrement, and never 0.
        let inherited = encapsulate(TtlPolicy::Inherit, Role::Forward).map(|outer| outer[8]);
        assert_eq!(inherited, forwarded, "T-02: inner TTL {ttl}");

        // T-05: the origin does not decrement.
        let fixed = TtlPolicy::Fixed(NonZeroU8::MIN);
        let local = encapsulate(fixed, Role::Originate).map(|outer| (outer[8], outer[28]));
        let expected = match ttl {
            0 => Err(EncapError::TtlZero),
            _ => Ok((1, ttl)),
        };
        assert_eq!(local, expected, "T-01, T-05, T-06: inner TTL {ttl}");

        let mut inner = inner;
        let (header, _, _) = Ipv4Header::split_mut(&mut inner).unwrap();
        assert_eq!(header.decrement_ttl(), forwarded.is_ok(), "T-10: {ttl}");
        assert_eq!(inner, with_ttl(forwarded.unwrap_or(ttl)), "T-10: {ttl}");
    }
}

/// The four ECN fields in the order of the specification's rows.
const ECN_ROWS: [Ecn; 4] = [Ecn::NotEct, Ecn::Ect0, Ecn::Ect1, Ecn::Ce];

#[test]
fn n_01_n_02_n_06_ecn_at_ingress() {
    let rows = [
        (EcnPolicy::Normal, [0xb8, 0xba, 0xb9, 0xbb]),
        (EcnPolicy::Compatibility, [0xb8, 0xb8, 0xb8, 0xb8]),
        (EcnPolicy::Rfc3168, [0xb8, 0xba, 0xb9, 0xba]),
    ];
    for (policy, outer_tos) in rows {
        for (ecn, tos) in ECN_ROWS.into_iter().zip(outer_tos) {
            let inner = p_with(|p| p[1] = Dscp::EF.with_ecn(ecn));
            let tunnel = with_ecn(policy);
            let outer = wrapped("N-01", &tunnel, Role::Originate, &inner, PerPacket::new());
            let expected = [&plain_outer(L, R, tos, 56)[..], &inner].concat();
            assert_eq!(outer, Ok(expected), "N-01 to N-03: {policy:?} over {ecn}");
            assert_eq!(policy.outer(ecn).bits(), tos & 3, "{policy:?} over {ecn}");
        }
    }
}

#[test]
fn q_02_q_03_dscp_at_ingress() {
    let rows = [
        (0xba, DscpPolicy::Copy, 0xba),
        (0xba, DscpPolicy::Fixed(Dscp::DEFAULT), 0x02),
        (0xbb, DscpPolicy::Fixed(Dscp::AF11), 0x2b),
    ];
    for (inner_tos, policy, outer_tos) in rows {
        let inner = p_with(|p| p[1] = inner_tos);
        let tunnel = tunnel().with_policy(OuterPolicy {
            dscp: policy,
            ..OuterPolicy::DEFAULT
        });
        let outer = wrapped("Q-02", &tunnel, Role::Originate, &inner, PerPacket::new());
        let expected = [&plain_outer(L, R, outer_tos, 56)[..], &inner].concat();
        assert_eq!(outer, Ok(expected), "Q-02, Q-03: {policy:?}");
    }
}
