//! NE, OK and IC: which packets are answered with an ICMP error, the error, and what becomes of those that
//! come back.

use core::net::Ipv4Addr;

use ipencap::encap::{Encapsulate, Role, TtlPolicy};
use ipencap::encap::{OuterPolicy, PerPacket};
use ipencap::error::{EncapError, Silence};
use ipencap::icmp::{self, IcmpError, Kind, Relay, ReportKind};
use ipencap::{Span, encap};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::Book;
use crate::oracle::{A, L, hex, tunnel};

/// The encapsulator's address on the inner side.
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);

const KINDS: [Kind; 5] = [
    Kind::NetUnreachable,
    Kind::HostUnreachable,
    Kind::FragmentationNeeded { mtu: 1480 },
    Kind::TimeExceeded,
    Kind::ReassemblyTimeExceeded,
];

/// NE-01 to NE-13 show P-15 with I-01 to I-05 and I-08: whatever there is to say. And I-32, of a quoted
/// packet.
#[test]
fn ne_never_answered() {
    never(&mut Book::open());
}

pub(crate) fn never(book: &mut Book) {
    book.each("icmp_never", "NE", |id, vector| {
        let packet = hex(vector);
        let silence = match id {
            "NE-01" | "NE-02" => Silence::AboutAnError,
            "NE-03" => Silence::LaterFragment,
            "NE-04" => Silence::Broadcast,
            "NE-05" => Silence::Multicast,
            "NE-06" | "NE-07" | "NE-08" | "NE-09" | "NE-10" => Silence::SourceNotAHost,
            "NE-11" => Silence::Invalid,
            "NE-12" => Silence::IcmpTruncated,
            "NE-13" => Silence::UnknownIcmpType,
            _ => panic!("{id}: no check for this vector"),
        };
        for kind in KINDS {
            let about = IcmpError::about(&packet, kind, GATEWAY);
            assert_eq!(about, Err(silence), "{id}");
            let quoted = packet.get(..28).unwrap_or(&packet);
            let about = IcmpError::about_quoted(quoted, kind, GATEWAY);
            assert_eq!(about, Err(silence), "{id}, quoted");
        }
    });
}

/// OK-01 and OK-02, and I-15.
#[test]
fn ok_answered() {
    allowed(&mut Book::open());
}

pub(crate) fn allowed(book: &mut Book) {
    book.each("icmp_never", "OK", |id, vector| {
        let packet = hex(vector);
        for kind in KINDS {
            let about = IcmpError::about(&packet, kind, GATEWAY);
            let has_df = packet[6] & 0x40 != 0;
            if matches!(kind, Kind::FragmentationNeeded { .. }) && !has_df {
                assert_eq!(about, Err(Silence::MayBeFragmented), "{id}: I-15");
            } else {
                assert_eq!(about.unwrap().destination(), A, "{id}");
            }
        }
    });
}

/// IC-01 to IC-07 show I-10 to I-14, I-22, I-25, I-29 and I-31.
#[test]
fn ic_errors_built_and_relayed() {
    built(&mut Book::open());
}

fn written(error: IcmpError, about: &[u8]) -> Vec<u8> {
    let mut out = vec![0; error.len()];
    error.write(about, &mut out).unwrap().to_vec()
}

fn number(vector: &Value, key: &str) -> u16 {
    vector[key].as_u64().unwrap().try_into().unwrap()
}

pub(crate) fn built(book: &mut Book) {
    book.each("icmp", "IC", |id, vector| match id {
        "IC-01" | "IC-02" => {
            let counting = (0..=255).cycle();
            let mut original = hex(&vector["original_header"]);
            original.extend(counting.take(usize::from(number(vector, "original_len")) - 20));
            let mtu = number(vector, "mtu");
            let error = IcmpError::about(&original, Kind::FragmentationNeeded { mtu }, GATEWAY)
                .unwrap()
                .with_quote_len(number(vector, "quote"));
            let packet = written(error, &original);
            if id == "IC-01" {
                assert_eq!(packet, hex(&vector["result"]), "{id}");
            } else {
                assert!(packet.starts_with(&hex(&vector["result_starts"])), "{id}");
                assert_eq!(packet.len(), 576, "{id}");
                assert_eq!(Sha256::digest(&packet)[..], hex(&vector["sha256"]), "{id}");
            }
        }
        "IC-07" => {
            let original = hex(&vector["original"]);
            let router = tunnel().with_policy(OuterPolicy {
                role: Role::Forward,
                ttl: TtlPolicy::Inherit,
                ..OuterPolicy::DEFAULT
            });
            let mut buffer = [&[0; 20], &original[..]].concat();
            let inner = Span::new(20, original.len());
            let refused = encap(&router, &mut buffer, inner, &PerPacket::new()).unwrap_err();
            assert_eq!(refused, EncapError::TtlExpired, "{id}");
            // I-11: with the TTL that it had.
            let error = IcmpError::about(&buffer[20..], Kind::TimeExceeded, GATEWAY).unwrap();
            assert_eq!(
                written(error, &buffer[20..]),
                hex(&vector["result"]),
                "{id}"
            );
        }
        "IC-03" | "IC-04" | "IC-06" => {
            let received = hex(&vector["received"]);
            let report = icmp::read(&received).unwrap();
            assert_eq!(report.reporter(), Ipv4Addr::new(192, 0, 2, 254), "{id}");
            assert_eq!(report.quoted_len(), 1520, "{id}");
            assert_eq!(report.quote().header().unwrap().source(), L, "{id}");
            let kind = match id {
                "IC-06" => ReportKind::TimeExceeded,
                _ => ReportKind::FragmentationNeeded { mtu: 1400 },
            };
            assert_eq!(report.kind(), kind, "{id}");
            let ours = tunnel();
            let inner = ours.inside_quote(report.quote()).expect(id);
            let Relay::Tell(kind) = report.relayed(ours.overhead()).unwrap() else {
                panic!("{id}: not relayed");
            };
            let error = IcmpError::about_quoted(inner.packet(), kind, GATEWAY);
            if id == "IC-03" {
                assert_eq!(error, Err(Silence::QuoteTooShort), "{id}: I-31");
            } else {
                let relayed = written(error.unwrap(), inner.packet());
                assert_eq!(relayed, hex(&vector["relayed"]), "{id}");
            }
        }
        _ => panic!("{id}: no check for this vector"),
    });
}
