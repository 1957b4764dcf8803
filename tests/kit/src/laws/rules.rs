use ipencap::Span;
use ipencap::encap::{Encapsulate, InnerChecksum, header};
use ipencap::error::EncapError;
use ipencap::packet::{Facts, Rules};
use ipencap::wire::Ipv4Header;

use super::encap::assert_same_packet;
use crate::generate::{Bytes, EncapCase};
use crate::oracle::{self, NaiveEncapsulator};

/// E-23, P-05: the common rules accept nothing that all rules refuse, all rules decide as the explained
/// ones do, and whichever of them have accepted write the same bytes and tell the same facts.
pub fn law_rules_agree(case: &EncapCase) {
    let facts = [Facts::read(&case.inner.0), Facts::summed(&case.inner.0)];
    for subject in &case.subjects {
        for inner in facts.into_iter().flatten() {
            assert_rules_agree(case, subject.encapsulator(), &inner);
        }
    }
}

fn assert_rules_agree(case: &EncapCase, tunnel: &dyn Encapsulate, inner: &Facts) {
    let check = |rules| tunnel.check(inner, &case.packet, rules);
    let explained = check(Rules::Explained);
    assert_eq!(check(Rules::All).ok(), explained.ok());
    // Whoever asks by the common rules asks first whether they are enough for the tunnel.
    let is_common = tunnel.rules() == Rules::Common;
    if is_common && check(Rules::Common).is_ok() {
        assert_eq!(check(Rules::Common), explained);
    }
    let len = usize::try_from(inner.len()).unwrap();
    let mut made: Option<Vec<u8>> = None;
    for rules in [Rules::Explained, Rules::All, Rules::Common] {
        let Ok(outer) = check(rules) else {
            continue;
        };
        if rules == Rules::Common && !is_common {
            continue;
        }
        let mut frame = vec![0xa5; tunnel.overhead()];
        frame.extend(&case.inner.0[..len]);
        let written = tunnel.write(&mut frame, inner, &case.packet, rules);
        assert_eq!(written, outer, "{rules:?}");
        let expected = made.get_or_insert_with(|| frame.clone());
        assert_eq!(Bytes(frame), Bytes(expected.clone()), "{rules:?}");
    }
}

/// E-16, C-20: the headers by value are what is written in place, where the sum of the packet's bytes is
/// known; where it is needed and not known there are none.
pub fn law_header_by_value_equals_in_place(case: &EncapCase) {
    for subject in &case.subjects {
        assert_header_by_value(case, subject.encapsulator(), subject.naive());
    }
}

/// [`law_header_by_value_equals_in_place`] for one tunnel.
pub(super) fn assert_header_by_value(
    case: &EncapCase,
    tunnel: &dyn Encapsulate,
    naive: &dyn NaiveEncapsulator,
) {
    const ROOM: usize = 500;
    let (overhead, said) = (tunnel.overhead(), &case.packet);
    let (Ok(facts), Ok(summed)) = (Facts::read(&case.inner.0), Facts::summed(&case.inner.0)) else {
        return;
    };
    let checked = tunnel.check(&facts, said, Rules::Explained);
    let by_value = header::<ROOM, _>(tunnel, &summed, said);
    if !naive.has_headers_by_value() {
        let refused = by_value.unwrap_err();
        assert!(checked.is_err() || refused == EncapError::NotByValue);
        return;
    }
    assert_eq!(by_value.err(), checked.err());
    let unsummed = header::<ROOM, _>(tunnel, &facts, said);
    if unsummed.err() == Some(EncapError::UnknownSum) {
        // The same checksums need a complete inner one.
        let partial = said.with_inner_checksum(InnerChecksum::Partial);
        let objections = naive.objections(&case.inner.0, &partial);
        assert!(objections.contains(&EncapError::PartialChecksum));
    } else {
        assert_eq!(unsummed, by_value);
    }
    if overhead > 0 {
        let need = u16::try_from(overhead).unwrap();
        let short = header::<0, _>(tunnel, &summed, said);
        assert_eq!(short.err(), Some(EncapError::NoHeadroom { need, have: 0 }));
    }
    let (Ok(by_value), Ok(checked)) = (by_value, checked) else {
        return;
    };

    let len = usize::try_from(facts.len()).unwrap();
    let mut frame = vec![0xa5; overhead];
    frame.extend(&case.inner.0[..len]);
    ipencap::encap(tunnel, &mut frame, Span::new(overhead, len), said).unwrap();
    let (in_place, inner) = frame.split_at(overhead);
    assert_eq!(
        Bytes(by_value.as_slice().to_vec()),
        Bytes(in_place.to_vec())
    );
    let mut headers = vec![0x5a; overhead];
    let written = tunnel.write(&mut headers, &summed, said, Rules::HeadersOnly);
    assert_eq!(Bytes(headers), Bytes(in_place.to_vec()));
    assert_same_packet(&written, &checked);

    // The inner packet is the caller's, but for the hops that it has made.
    let mut own = case.inner.0[..len].to_vec();
    while own[8] > inner[8] {
        assert!(Ipv4Header::split_mut(&mut own).unwrap().0.decrement_ttl());
    }
    assert_eq!(Bytes(own), Bytes(inner.to_vec()));
    let sum = !oracle::checksum(&frame) % 0xffff;
    assert_eq!(written.byte_sum().map(|told| told % 0xffff), Some(sum));
}
