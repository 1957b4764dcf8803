use core::net::Ipv4Addr;

use ipencap::encap::Encapsulate;
use ipencap::error::Silence;
use ipencap::icmp::{self, IcmpError, Kind, ReportKind};
use ipencap::packet::Quote;

use super::nest::{nested, travelled};
use crate::generate::{Bytes, ErrorCase, QuoteCase, ReportCase};
use crate::oracle;

/// P-15: an error is built if and only if no rule is against it, and then byte for byte as the rules
/// describe: it quotes the header and 8 bytes at least, and is 576 bytes long at most. I-32: the same of a
/// packet that another error quotes.
pub fn law_icmp_error_matches_oracle(case: &ErrorCase) {
    let whole = &case.offending.0;
    let made = IcmpError::about(whole, case.kind, case.source.into());
    match oracle::validate(whole, true) {
        Err(_) => assert_eq!(made, Err(Silence::Invalid), "I-05"),
        Ok(fields) => compare(case, &fields, made, whole),
    }

    let quoted = &whole[..case.quoted.min(whole.len())];
    let made = IcmpError::about_quoted(quoted, case.kind, case.source.into());
    let header_len = usize::from(quoted.first().copied().unwrap_or(0) % 16) * 4;
    if quoted.len() < 20 || header_len > quoted.len() {
        assert!(
            matches!(made, Err(Silence::QuoteTooShort | Silence::Invalid)),
            "{made:?}"
        );
        return;
    }
    // The header as if the packet ended with the quote.
    let total_len = usize::from(oracle::u16_at(quoted, 2));
    let is_right = (0x45..=0x4f).contains(&quoted[0])
        && oracle::verifies(&quoted[..header_len])
        && total_len >= header_len;
    if !is_right {
        assert_eq!(made, Err(Silence::Invalid), "I-05");
    } else if quoted.len() < total_len.min(header_len + 8) {
        assert_eq!(made, Err(Silence::QuoteTooShort), "I-31");
    } else {
        let mut seeming = quoted[..quoted.len().min(total_len)].to_vec();
        let len = u16::try_from(seeming.len()).unwrap();
        oracle::put_u16(&mut seeming, 2, len);
        let fields = oracle::validate(&seeming, false).unwrap();
        compare(case, &fields, made, quoted);
    }
}

/// Compares the error about the packet of these `fields` with what the rules say of it.
fn compare(
    case: &ErrorCase,
    fields: &oracle::Fields<'_>,
    made: Result<IcmpError, Silence>,
    bytes: &[u8],
) {
    let mut silences = oracle::silences(fields);
    let (kind, code, mtu) = match case.kind {
        Kind::NetUnreachable => (3, 0, 0),
        Kind::HostUnreachable => (3, 1, 0),
        Kind::FragmentationNeeded { mtu } => (3, 4, mtu),
        Kind::Prohibited => (3, 13, 0),
        Kind::TimeExceeded => (11, 0, 0),
        Kind::ReassemblyTimeExceeded => (11, 1, 0),
        other => panic!("{other:?} has no twin"),
    };
    assert_eq!((case.kind.message_type(), case.kind.code()), (kind, code));
    if (kind, code) == (3, 4) && mtu < 68 {
        silences.push(Silence::MtuBelowMinimum); // I-14
    }
    if (kind, code) == (3, 4) && fields.flags_offset & 0x4000 == 0 {
        silences.push(Silence::MayBeFragmented); // I-15
    }
    if oracle::is_martian(case.source) {
        silences.push(Silence::NoOwnAddress); // I-12
    }
    let mut error = match made {
        Err(silence) => return assert!(silences.contains(&silence), "{silence} {silences:?}"),
        Ok(error) => error,
    };
    assert_eq!(silences, [], "P-15");

    // I-10.
    let most = fields.total_len.min(548);
    let least = fields.total_len.min(fields.header_len + 8);
    let mut quote_len = most;
    if let Some(wanted) = case.quote_len {
        error = error.with_quote_len(wanted);
        quote_len = usize::from(wanted).clamp(least, most);
    }
    if let Some(identification) = case.identification {
        error = error.with_identification(identification);
    }
    assert_eq!(
        (error.quote_len(), error.len()),
        (quote_len, quote_len + 28)
    );
    assert!(error.len() <= 576);
    assert_eq!(error.kind(), case.kind);
    let ends = (error.source().octets(), error.destination().octets());
    assert_eq!(ends, (case.source, fields.source));

    // I-11 to I-14.
    let quote = &bytes[..quote_len];
    let expected = oracle::icmp_error((kind, code, mtu), quote, case.source, case.identification);
    let mut out = vec![0xa5; error.len() + 3];
    let written = error.write(bytes, &mut out).unwrap().to_vec();
    assert_eq!(Bytes(written), Bytes(expected.clone()));
    assert_eq!(out[error.len()..], [0xa5; 3]);
    assert_eq!(error.header(quote).unwrap(), expected[..28]);
    assert!(
        oracle::verifies(&expected[..20]) && oracle::verifies(&expected[20..]),
        "P-04"
    );

    let mut short = vec![0xa5; error.len() - 1];
    assert_eq!(error.write(bytes, &mut short), None);
    let mut out = vec![0xa5; error.len()];
    assert_eq!(error.write(&quote[..quote_len - 1], &mut out), None);
    assert!(short.iter().chain(&out).all(|byte| *byte == 0xa5), "P-03");
    let report = icmp::read(&expected);
    let quotes_enough = quote_len == fields.total_len || quote_len >= fields.header_len + 8;
    assert_eq!(
        report.is_ok(),
        quotes_enough && !oracle::is_martian(case.source)
    );
}

/// I-20, I-34: what a received error says, who says it and what it quotes, or why it is ignored.
pub fn law_report_matches_oracle(case: &ReportCase) {
    let packet = &case.packet.0;
    let (report, heard) = match (icmp::read(packet), oracle::hear_icmp(packet)) {
        (Ok(report), Ok(heard)) => (report, heard),
        (report, heard) => {
            assert_eq!(report.err(), heard.err());
            return;
        }
    };
    let mtu = oracle::u16_at(&heard.rest, 2);
    let pointer = heard.rest[0];
    let expected = match (heard.kind, heard.code) {
        (3, 0) => ReportKind::NetUnreachable,
        (3, 1) => ReportKind::HostUnreachable,
        (3, 2) => ReportKind::ProtocolUnreachable,
        (3, 3) => ReportKind::PortUnreachable,
        (3, 4) => ReportKind::FragmentationNeeded { mtu },
        (3, 5) => ReportKind::SourceRouteFailed,
        (3, code) => ReportKind::Unreachable { code },
        (4, _) => ReportKind::SourceQuench,
        (5, _) => ReportKind::Redirect,
        (11, 0) => ReportKind::TimeExceeded,
        (11, _) => ReportKind::ReassemblyTimeExceeded,
        _ => ReportKind::ParameterProblem { pointer },
    };
    assert_eq!(report.kind(), expected);
    assert_eq!(report.reporter(), Ipv4Addr::from(heard.reporter));
    assert_eq!(report.quote().packet(), heard.quote);
    assert_eq!(report.quoted_len(), oracle::u16_at(heard.quote, 2));
}

/// The tunnels of the case as one.
fn stack(case: &QuoteCase) -> Vec<&dyn Encapsulate> {
    let layers = case.nest.layers.iter();
    layers.map(|layer| layer.encapsulator()).collect()
}

/// The least that routers quote of `packet`.
fn least(packet: &[u8]) -> usize {
    (usize::from(packet[0] % 16) * 4 + 8).min(packet.len())
}

/// I-20: of a packet of its own that has been changed, a stack of tunnels recognises what the naive ones
/// recognise, at every length of the quote, and finds the same packet inside.
pub fn law_quotes_match_oracle(case: &QuoteCase) {
    let Some(mut outer) = nested(&case.nest) else {
        return;
    };
    for &(at, bits) in &case.changes {
        if let Some(byte) = outer.get_mut(at) {
            *byte ^= bits;
        }
    }
    let stack = stack(case);
    let keeps = case.nest.layers[0].naive().keeps_inner_header();
    for len in (0..=outer.len().min(140)).chain([outer.len()]) {
        let bytes = &outer[..len];
        let Ok(quote) = Quote::parse(bytes) else {
            // Shorter than what every router quotes, or no IPv4 header.
            let is_header = len >= 20 && (0x45..=0x4f).contains(&outer[0]);
            let header_len = usize::from(outer[0] % 16) * 4;
            // A total length that was changed may say that the quote is whole, or no longer that it is.
            let is_whole =
                is_header && (header_len..=len).contains(&usize::from(oracle::u16_at(bytes, 2)));
            assert!(!is_header || (len < header_len + 8 && !is_whole) || len < header_len);
            continue;
        };
        let total_len = usize::from(oracle::u16_at(bytes, 2));
        let header_len = usize::from(outer[0] % 16) * 4;
        let end = if total_len >= header_len {
            total_len.min(len)
        } else {
            len
        };
        let mut layers = case.nest.layers.iter().rev();
        let expected = layers.try_fold(bytes[..end].to_vec(), |packet, layer| {
            layer.naive().unquoted(&packet)
        });
        let found = stack.as_slice().inside_quote(quote);
        assert_eq!(found.is_some(), expected.is_some(), "{len} bytes");
        let (Some(found), Some(expected)) = (found, expected) else {
            continue;
        };
        // Nobody has to mend a wrong checksum.
        let without_checksum = |header: &[u8]| [&header[..10], &header[12..20]].concat();
        let header = found
            .header()
            .map(|header| without_checksum(header.as_bytes()));
        assert_eq!(
            header,
            expected.get(..20).map(without_checksum),
            "{len} bytes"
        );
        let header_len = expected
            .first()
            .map_or(20, |first| usize::from(first % 16) * 4);
        let payload = expected.get(header_len..).unwrap_or_default();
        assert_eq!(found.payload(), payload, "{len} bytes");
        let packet = if keeps { &expected[..] } else { &[] };
        assert_eq!(found.packet(), packet, "{len} bytes");
        let span = found.span();
        assert_eq!(span.len, packet.len());
        if span.len > 0 {
            assert_eq!(span.get(bytes), Some(packet));
        }
    }
}

/// I-31: what a stack of tunnels writes it recognises in every quote of the header and 8 bytes or more, with
/// whatever a router has changed on the way, and no other stack does.
pub fn law_tunnels_recognise_their_quotes(case: &QuoteCase) {
    let Some(mut outer) = nested(&case.nest) else {
        return;
    };
    let inner = travelled(&case.nest);
    let stack = stack(case);
    for (at, bits) in &case.changes {
        // TOS, identification, flags, TTL and checksum of the outermost header.
        let at = [1, 4, 5, 6, 8, 10, 11][at % 7];
        outer[at] ^= if at == 6 { bits & 0xe0 } else { *bits };
    }
    oracle::fill_checksum(&mut outer);
    // As a host quotes that has removed a shim before.
    let total_len = oracle::u16_at(&outer, 2);
    let least = least(&outer);
    for removed in [0, 8, 12] {
        oracle::put_u16(&mut outer, 2, total_len - removed);
        let whole = usize::from(total_len - removed);
        for len in (least..=whole.min(140).max(least)).chain([whole]) {
            let bytes = &outer[..len.max(least)];
            let quote = Quote::parse(bytes).unwrap();
            let found = stack.as_slice().inside_quote(quote).unwrap();
            let is_transparent = case
                .nest
                .layers
                .iter()
                .all(|it| it.naive().is_transparent());
            if let Some(header) = found.header().filter(|_| !is_transparent) {
                assert_eq!(header.as_bytes()[..10], inner[..10], "{len} bytes");
                assert_eq!(header.as_bytes()[12..], inner[12..20], "{len} bytes");
                // Options are not in it.
                let verifies = oracle::verifies(header.as_bytes());
                assert!(verifies || removed > 0 || inner[0] != 0x45, "{len} bytes");
            }
            let header_len = usize::from(inner[0] % 16) * 4;
            assert!(inner[header_len..].starts_with(found.payload()));

            // The same tunnels the other way round, and none of them alone but one.
            let mut swapped = stack.clone();
            swapped.reverse();
            if swapped.len() > 1 {
                assert!(swapped.as_slice().inside_quote(quote).is_none());
            }
        }
    }
    oracle::put_u16(&mut outer, 2, total_len);
    // Any bit of what identifies the outermost tunnel.
    for at in [9, 12, 13, 14, 15, 16, 17, 18, 19] {
        let bits = case.changes[0].1;
        outer[at] ^= bits;
        let quote = Quote::parse(&outer).unwrap();
        assert!(stack.as_slice().inside_quote(quote).is_none(), "byte {at}");
        outer[at] ^= bits;
    }
}
