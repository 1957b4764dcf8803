//! The bytes that every configuration writes, so that none of them changes unnoticed.
//!
//! `packets.txt` has the headers: every encapsulator of the kit's registry in each of its forms, with
//! each policy of the outer header by itself, and nested, around a few inner packets; first of all
//! what each constructor makes without a choice. `digests.txt`
//! has a digest for each form with every set of policies. Whoever has deployed a tunnel sees these
//! bytes: a change is a breaking one, even where both ends still understand each other.
//!
//! If it is meant, `UPDATE_GOLDEN=1 cargo test --test golden` writes both anew, and the changelog has
//! to name it with the mark **wire**.

#![allow(
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    reason = "a test that panics fails"
)]

mod inner;

use core::fmt::Write;
use core::net::Ipv4Addr;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use ipencap::Span;
use ipencap::encap::{Encapsulate, Gre, IpIp, MinEnc, PerPacket, Tcp, Template, Udp};
use ipencap::error::EncapError;
use ipencap::stream::StreamFraming;
use ipencap_kit::registry::{Door, ENCAPSULATORS, Enrolled, Subject};
use ipencap_kit::subjects::{
    GreSubject, IpIpSubject, MinEncSubject, StackSubject, TcpSubject, UdpSubject, all_policies,
    single_policies,
};
use sha2::{Digest, Sha256};

use inner::{ENDPOINTS, Inner, inner_packets};

/// Nestings that the registry has not, for it has each pair of kinds once at most.
const NESTED: [Enrolled; 5] = [
    Enrolled::new::<Twice<IpIpSubject>>("Stack<IpIp, Stack<IpIp, IpIp>>"),
    Enrolled::new::<StackSubject<IpIpSubject, Twice<IpIpSubject>>>(
        "Stack<IpIp, Stack<IpIp, Stack<IpIp, IpIp>>>",
    ),
    Enrolled::new::<Twice<UdpSubject<0>>>("Stack<Udp, Stack<IpIp, IpIp>>"),
    Enrolled::new::<StackSubject<IpIpSubject, UdpSubject<0>>>("Stack<IpIp, Udp>"),
    Enrolled::new::<StackSubject<GreSubject, StackSubject<TcpSubject, MinEncSubject>>>(
        "Stack<Gre, Stack<Tcp, MinEnc>>",
    ),
];

/// Around two layers of IP-in-IP.
type Twice<S> = StackSubject<S, StackSubject<IpIpSubject, IpIpSubject>>;

/// What `encap`, which needs `overhead` bytes, writes in front of the payload of `inner`, or why it
/// refuses.
fn written(
    overhead: usize,
    inner: &Inner,
    encap: impl FnOnce(&mut [u8], Span, &PerPacket) -> Result<Span, EncapError>,
) -> String {
    let mut buffer = [&vec![0xa5; overhead], &inner.bytes[..]].concat();
    let place = Span::new(overhead, inner.bytes.len());
    match encap(&mut buffer, place, &inner.said) {
        Err(error) => error.reason().to_owned(),
        Ok(outer) => {
            assert_eq!((outer.start, outer.len), (0, buffer.len()));
            let (headers, payload) = buffer.split_at(overhead + inner.header_len);
            assert_eq!(payload, &inner.bytes[inner.header_len..]);
            hex(headers)
        }
    }
}

fn written_by(subject: &dyn Subject, inner: &Inner) -> String {
    let overhead = subject.encapsulator().overhead();
    written(overhead, inner, |buffer, place, said| {
        subject.encap(Door::Function, buffer, place, said)
    })
}

/// Every constructor, without a choice: what users get who make none.
fn as_constructed() -> Vec<(&'static str, Box<dyn Encapsulate>)> {
    let [l, r]: [Ipv4Addr; 2] = [ENDPOINTS.source.into(), ENDPOINTS.destination.into()];
    let tcp = || Tcp::new((l, 40000), (r, 443)).unwrap();
    vec![
        ("IpIp::new", Box::new(IpIp::new(l, r).unwrap())),
        ("Udp::fou", Box::new(Udp::fou(l, r, 5555).unwrap())),
        ("Udp::gue", Box::new(Udp::gue(l, r).unwrap())),
        (
            "Udp::gue_variant_1",
            Box::new(Udp::gue_variant_1(l, r).unwrap()),
        ),
        ("Udp::gre", Box::new(Udp::gre(l, r, None).unwrap())),
        ("Tcp::new", Box::new(tcp())),
        (
            "Tcp::with_timestamps",
            Box::new(tcp().with_timestamps(0x1122_3344, 0x5566_7788)),
        ),
        ("Gre::new", Box::new(Gre::new(l, r).unwrap())),
        ("MinEnc::new", Box::new(MinEnc::new(l, r).unwrap())),
        (
            "Template::single",
            Box::new(Template::single(IpIp::new(l, r).unwrap())),
        ),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn encapsulators() -> impl Iterator<Item = &'static Enrolled> {
    ENCAPSULATORS.iter().chain(&NESTED)
}

/// A line for each configuration and inner packet.
fn packets() -> String {
    let inner_packets = inner_packets();
    let mut lines = String::new();
    for (name, tunnel) in as_constructed() {
        for inner in &inner_packets {
            let headers = written(tunnel.overhead(), inner, |buffer, place, said| {
                Door::Function.encap(&*tunnel, buffer, place, said)
            });
            writeln!(
                lines,
                "{name} | as constructed | {} | {headers}",
                inner.name
            )
            .unwrap();
        }
    }
    let mut add = |name: &str, form: &str, subject: &dyn Subject, inner_packets: &[Inner]| {
        for inner in inner_packets {
            let headers = written_by(subject, inner);
            writeln!(lines, "{name} | {form} | {} | {headers}", inner.name).unwrap();
        }
    };
    for enrolled in encapsulators() {
        let name = enrolled.name;
        add(
            name,
            "typical",
            &*enrolled.typical(ENDPOINTS),
            &inner_packets,
        );
        for (policy, outer) in single_policies(ENDPOINTS) {
            let forms = enrolled.forms(outer);
            let [(form, subject), others @ ..] = &forms[..] else {
                continue;
            };
            let form = format!("{form}, {policy}");
            add(name, &form, &**subject, &inner_packets);
            // The digests have the rest.
            for (form, subject) in others.iter().filter(|_| policy == "default") {
                add(name, form, &**subject, &inner_packets[..3]);
            }
            if enrolled.typical(ENDPOINTS).carrier().is_none() {
                break;
            }
        }
    }
    for framing in [
        StreamFraming::Exclusive,
        StreamFraming::Inclusive,
        StreamFraming::Rfc4571,
        StreamFraming::Bare,
    ] {
        let preamble = hex(framing.preamble());
        writeln!(lines, "stream | {framing:?} | preamble | {preamble}").unwrap();
        for inner in &inner_packets {
            let len = framing.prefix_len();
            let mut frame = [&vec![0xa5; len], &inner.bytes[..]].concat();
            let frame = framing.frame(&mut frame).unwrap();
            assert_eq!(frame[len..], inner.bytes);
            let prefix = hex(&frame[..len]);
            writeln!(lines, "stream | {framing:?} | {} | {prefix}", inner.name).unwrap();
        }
    }
    lines
}

/// A line for each form: how many packets with every set of policies, and their digest.
fn digests() -> String {
    let inner_packets = inner_packets();
    let policies = all_policies(ENDPOINTS);
    let mut lines = String::new();
    for enrolled in encapsulators() {
        let mut digests: Vec<(String, usize, Sha256)> = Vec::new();
        for outer in &policies {
            for (index, (form, subject)) in enrolled.forms(*outer).into_iter().enumerate() {
                if index == digests.len() {
                    digests.push((form, 0, Sha256::new()));
                }
                for inner in &inner_packets {
                    let headers = written_by(&*subject, inner);
                    digests[index].1 += usize::from(headers.starts_with('4'));
                    digests[index].2.update(headers);
                    digests[index].2.update("\n");
                }
            }
        }
        for (form, count, digest) in digests {
            let digest = hex(&digest.finalize());
            writeln!(
                lines,
                "{} | {form} | {count} packets | {digest}",
                enrolled.name
            )
            .unwrap();
        }
    }
    lines
}

/// The lines in which two texts differ.
fn differences(expected: &str, found: &str) -> Vec<String> {
    let (old, new) = (expected.lines(), found.lines());
    let counts = [old.clone().count(), new.clone().count()];
    let mut differences: Vec<String> = old
        .zip(new)
        .filter(|(old, new)| old != new)
        .map(|(old, new)| format!("- {old}\n+ {new}"))
        .collect();
    if counts[0] != counts[1] {
        differences.push(format!("{} lines, now {}", counts[0], counts[1]));
    }
    differences
}

fn compare(file: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(file);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, found).unwrap();
    }
    let differences = differences(&fs::read_to_string(&path).unwrap(), found);
    let first: Vec<_> = differences.iter().take(10).map(String::as_str).collect();
    assert!(
        differences.is_empty(),
        "{file}: what is written on the wire has changed in {} lines, among them\n{}\n\
         If that is meant: UPDATE_GOLDEN=1 cargo test --test golden, and CHANGELOG.md names it, marked **wire**.",
        differences.len(),
        first.join("\n"),
    );
}

#[test]
fn packets_are_as_they_were() {
    compare("packets.txt", &packets());
}

#[test]
fn digests_are_as_they_were() {
    compare("digests.txt", &digests());
}

/// The control: another byte, a line more, a line less.
#[test]
fn differences_are_found() {
    let golden = include_str!("packets.txt");
    assert!(differences(golden, golden).is_empty());
    assert_eq!(
        differences(golden, &golden.replacen("4500", "4501", 1)).len(),
        1
    );
    assert_eq!(differences(golden, &format!("{golden}new\n")).len(), 1);
    assert!(!differences(golden, &golden[golden.find('\n').unwrap() + 1..]).is_empty());
}

/// Whatever is an encapsulator in `src/` has golden bytes, but for those that the laws hold equal to
/// what has.
#[test]
fn every_encapsulator_has_golden_bytes() {
    let equal_by_law = ["E", "Layer", "Template"];
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/encap")).unwrap() {
        let path = entry.unwrap().path();
        let source = if path.is_file() {
            fs::read_to_string(path).unwrap()
        } else {
            String::new()
        };
        for line in source.lines().filter(|line| line.starts_with("impl")) {
            let Some((_, of)) = line.split_once(" Encapsulate for ") else {
                continue;
            };
            let name: String = of
                .trim_start_matches('&')
                .chars()
                .take_while(|c| c.is_alphanumeric())
                .collect();
            found.insert(name);
        }
    }
    // `()` has no name, and no header.
    found.remove("");
    assert!(found.len() > 5, "{found:?}");
    for golden in [include_str!("packets.txt"), include_str!("digests.txt")] {
        let missing: Vec<_> = found
            .iter()
            .filter(|name| !equal_by_law.contains(&&name[..]))
            .filter(|name| !golden.lines().any(|line| line.starts_with(&name[..])))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
        for enrolled in encapsulators() {
            let start = format!("{} | ", enrolled.name);
            assert!(
                golden.lines().any(|line| line.starts_with(&start)),
                "{start}"
            );
        }
    }
}

/// The public interface's list knows the constructors.
#[test]
fn every_constructor_has_golden_bytes() {
    let interface = include_str!("../../checks/api/baseline.txt");
    let mut constructors = 0;
    for line in interface.lines().filter(|line| !line.contains("(self")) {
        let Some((_, path)) = line.split_once("fn ipencap::encap::") else {
            continue;
        };
        if !line.ends_with("-> core::result::Result<Self, ipencap::error::ConfigError>") {
            continue;
        }
        let name = path.split('(').next().unwrap();
        if name.starts_with("Template<") {
            continue; // It is compiled from what others have constructed.
        }
        let start = format!("{name} | as constructed | ");
        let golden = include_str!("packets.txt");
        assert!(
            golden.lines().any(|line| line.starts_with(&start)),
            "{name}"
        );
        constructors += 1;
    }
    assert!(constructors > 5, "only {constructors}");
}
