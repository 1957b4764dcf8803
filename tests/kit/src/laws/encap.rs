use ipencap::Span;
use ipencap::error::{EncapError, Reason};
use ipencap::packet::{Facts, Rules};
use ipencap::wire::Ipv4;

use crate::generate::{Bytes, EncapCase};
use crate::oracle;
use crate::registry::{Door, Subject};

/// A buffer filled with `poison`, with the case's packet in its place.
fn staged(case: &EncapCase, poison: u8) -> (Vec<u8>, Span) {
    let mut buffer = vec![poison; case.headroom];
    buffer.extend(&case.inner.0);
    buffer.extend(&case.behind.0);
    (buffer, Span::new(case.headroom, case.inner.0.len()))
}

/// Wraps the case's packet by the first door; the outer packet's place, and the buffer.
fn wrapped(
    case: &EncapCase,
    subject: &dyn Subject,
    poison: u8,
) -> (Vec<u8>, Result<Span, EncapError>) {
    let (mut buffer, span) = staged(case, poison);
    let result = Door::Function.encap(subject.encapsulator(), &mut buffer, span, &case.packet);
    (buffer, result)
}

/// The outer packets of the case, for the laws of success.
fn successes(case: &EncapCase) -> impl Iterator<Item = (&dyn Subject, Vec<u8>, Span)> {
    case.subjects.iter().filter_map(|subject| {
        let (buffer, result) = wrapped(case, &**subject, 0xa5);
        Some((&**subject, buffer, result.ok()?))
    })
}

/// E-01 to E-23, differentially: accepted if and only if the rules have no objection, refused for one
/// of the objections, and the same bytes as the naive encapsulator's.
pub fn law_encap_matches_oracle(case: &EncapCase) {
    for subject in &case.subjects {
        let need = subject.naive().overhead();
        let mut objections = subject.naive().objections(&case.inner.0, &case.packet);
        if case.headroom < need {
            objections.push(EncapError::NoHeadroom {
                need: u16::try_from(need).unwrap(),
                have: u16::try_from(case.headroom).unwrap(),
            });
        }
        let (buffer, result) = wrapped(case, &**subject, 0xa5);
        match result {
            Ok(outer) => {
                assert_eq!(objections, [], "accepted in spite of");
                let expected = subject.naive().outer(&case.inner.0, &case.packet);
                let outer = outer.get(&buffer).unwrap();
                assert_eq!(Bytes(outer.to_vec()), Bytes(expected));
            }
            Err(error) => {
                assert!(objections.contains(&error), "{error:?}, but {objections:?}");
            }
        }
    }
}

/// The overhead is exact, and the same for every packet.
pub fn law_overhead_is_exact(case: &EncapCase) {
    for (subject, buffer, outer) in successes(case) {
        let overhead = subject.encapsulator().overhead();
        let inner_len = usize::from(oracle::u16_at(&case.inner.0, 2));
        assert_eq!(outer.start + overhead, case.headroom);
        assert_eq!(outer.len, inner_len + overhead);
        let packet = Ipv4::parse(outer.get(&buffer).unwrap()).unwrap();
        assert_eq!(usize::from(packet.header().total_len()), outer.len);
        assert_eq!(packet.slack(), 0);
    }
}

/// E-16, E-19: only the headers in front are written, and TTL and checksum when forwarding.
pub fn law_untouched_payload(case: &EncapCase) {
    for (subject, buffer, outer) in successes(case) {
        let (mut before, _) = staged(case, 0xa5);
        let inner = case.headroom;
        let header_len = usize::from(before[inner] & 15) * 4;
        let hops = subject.naive().hops();
        let may_change = if subject.naive().keeps_inner_header() {
            if hops > 0 {
                assert_eq!(buffer[inner + 8], before[inner + 8] - hops, "T-03");
                let header = &buffer[inner..inner + header_len];
                assert!(oracle::verifies(header), "T-03: the checksum follows");
                for field in [8, 10, 11] {
                    before[inner + field] = buffer[inner + field];
                }
            }
            outer.start..inner
        } else {
            outer.start..inner + header_len // M-03
        };
        before[may_change.clone()].copy_from_slice(&buffer[may_change]);
        assert_eq!(Bytes(buffer), Bytes(before));
    }
}

/// P-03, E-23: on an error of any door no byte of the buffer has changed.
pub fn law_encap_is_all_or_nothing(case: &EncapCase) {
    for subject in &case.subjects {
        for door in Door::ALL {
            let (mut buffer, span) = staged(case, 0xa5);
            let before = buffer.clone();
            if subject
                .encap(door, &mut buffer, span, &case.packet)
                .is_err()
            {
                assert_eq!(Bytes(buffer), Bytes(before), "{door:?}");
            }
        }
    }
}

/// P-04, P-06: every checksum that is emitted verifies with another summer, unless it was built on a
/// wrong inner one; then it is wrong, too.
pub fn law_emitted_checksums_verify(case: &EncapCase) {
    for (subject, buffer, outer) in successes(case) {
        let headers = if subject.naive().keeps_inner_header() {
            vec![outer.start, case.headroom]
        } else {
            vec![outer.start]
        };
        for header in headers {
            let header_len = usize::from(buffer[header] & 15) * 4;
            assert!(oracle::verifies(&buffer[header..header + header_len]));
        }
        assert_ne!(
            oracle::u16_at(&buffer, outer.start + 10),
            0xffff,
            "C-12, trap T3"
        );
        let Some(carrier) = subject.carrier() else {
            continue;
        };
        let packet = outer.get(&buffer).unwrap();
        let fields = oracle::validate(packet, true).unwrap();
        let inner = &case.inner.0[..usize::from(oracle::u16_at(&case.inner.0, 2))];
        let is_right = oracle::known_sum_of(inner)
            .is_none_or(|right| oracle::checksum(&right) == oracle::checksum(inner));
        match carrier.naive().inside(&fields) {
            Ok(inside) => assert_eq!(inside.bytes.len(), inner.len()),
            Err(Reason::UdpBadChecksum | Reason::TcpBadChecksum) => assert!(!is_right, "C-21"),
            // This one sends none to a receiver that wants one.
            Err(Reason::UdpChecksumRequired) => {}
            Err(Reason::GreBadChecksum | Reason::GreSequence) if fields.protocol == 17 => {}
            Err(reason) => panic!("{reason}"),
        }
    }
}

/// Trap T33: whatever lay in the headroom, every outer byte is written.
pub fn law_dirty_headroom(case: &EncapCase) {
    for subject in &case.subjects {
        let (first, result) = wrapped(case, &**subject, 0xa5);
        let (second, again) = wrapped(case, &**subject, 0x5a);
        assert_eq!(result, again);
        if let Ok(outer) = result {
            let outers = [&first, &second].map(|buffer| Bytes(outer.get(buffer).unwrap().to_vec()));
            assert_eq!(outers[0], outers[1]);
            assert!(first[..outer.start].iter().all(|&byte| byte == 0xa5));
            assert!(second[..outer.start].iter().all(|&byte| byte == 0x5a));
        }
    }
}

/// P-05: all doors, by static and dynamic dispatch, make the same packet or the same error, which is the
/// one that the check tells.
pub fn law_doors_agree(case: &EncapCase) {
    for subject in &case.subjects {
        let tunnel = subject.encapsulator();
        let (buffer, result) = wrapped(case, &**subject, 0xa5);
        for door in Door::ALL {
            let (mut by_static, span) = staged(case, 0xa5);
            let static_result = subject.encap(door, &mut by_static, span, &case.packet);
            assert_eq!(static_result, result, "{door:?}, static");
            assert_eq!(Bytes(by_static), Bytes(buffer.clone()), "{door:?}, static");

            let (mut by_dyn, span) = staged(case, 0xa5);
            let dyn_result = door.encap(tunnel, &mut by_dyn, span, &case.packet);
            assert_eq!(dyn_result, result, "{door:?}, dynamic");
            assert_eq!(Bytes(by_dyn), Bytes(buffer.clone()), "{door:?}, dynamic");
        }

        let Ok(inner) = Facts::read(&case.inner.0) else {
            continue;
        };
        let checked = tunnel.check(&inner, &case.packet, Rules::Explained);
        if case.headroom >= tunnel.overhead() {
            assert_eq!(checked.err(), result.err());
        }
        if let (Ok(outer), Ok(checked)) = (result, checked) {
            let read = Facts::read(outer.get(&buffer).unwrap()).unwrap();
            assert_same_packet(&checked, &read);
            let overhead = u16::try_from(tunnel.overhead()).unwrap();
            assert_eq!(checked.overhead(), overhead);
            assert_eq!(checked.layers(), subject.decapsulator().layers());
        }
    }
}

/// That these are facts of the same packet, however it came about: what was checked is what was made.
pub(super) fn assert_same_packet(checked: &Facts, read: &Facts) {
    let tell = |facts: &Facts| {
        (
            (facts.version(), facts.len(), facts.source(), facts.tos()),
            (facts.ttl(), facts.has_df(), facts.is_fragment()),
            (facts.has_source_route(), facts.flow(), facts.known_sum()),
        )
    };
    assert_eq!(tell(checked), tell(read));
}
