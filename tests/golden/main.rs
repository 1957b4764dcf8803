//! The bytes that every configuration writes, so that none of them changes unnoticed.
//!
//! `packets.txt` has the headers: every kind of tunnel in each of its forms, with each policy of the
//! outer header by itself, and nested, around a few inner packets; first of all what each constructor
//! makes without a choice. `digests.txt` has a digest for each form with every set of policies, and
//! `gre-in-udp.txt` the headers of GRE in UDP with a checksum or a sequence number. Whoever has deployed a
//! tunnel sees these bytes: a change is a breaking one, even where both ends still understand each other.
//!
//! The labels in the files are older than today's names, so that the files need not change: `Udp` is
//! FOU, GUE and GRE in UDP, and `Stack<O, I>` is `(I, O)`.
//!
//! If a change is meant, `UPDATE_GOLDEN=1 cargo test --test golden` writes the files anew, and the
//! changelog has to name it with the mark **wire**.

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
use std::sync::LazyLock;

use ipencap::Span;
use ipencap::encap::{AnyTunnel, Encapsulate, MinEnc, PerPacket, Tunnel};
use ipencap::error::EncapError;
use ipencap::shim::{Fou, Gre, GreInUdp, Gue, GueVariant1, IpIp, Shim, Tcp};
use ipencap::stream::StreamFraming;
use ipencap_kit::oracle::OuterPolicy;
use ipencap_kit::registry::{Door, ENCAPSULATORS, Enrol, Enrolled, Subject};
use ipencap_kit::subjects::{
    FouSubject, GreInUdpSubject, GreSubject, GueSubject, GueVariant1Subject, IpIpSubject,
    MinEncSubject, StackSubject, TcpSubject, all_policies, single_policies,
};
use sha2::{Digest, Sha256};

use inner::{ENDPOINTS, Inner, inner_packets};

/// Encapsulators under one label, in the order of the files. The first has the typical form.
struct Kept {
    label: &'static str,
    encapsulators: Vec<Enrolled>,
}

impl Kept {
    fn new<S: Enrol>(label: &'static str) -> Self {
        let encapsulators = vec![Enrolled::new::<S>(label)];
        Self {
            label,
            encapsulators,
        }
    }

    fn and<S: Enrol>(mut self) -> Self {
        self.encapsulators.push(Enrolled::new::<S>(self.label));
        self
    }

    fn typical(&self) -> Box<dyn Subject> {
        self.encapsulators[0].typical(ENDPOINTS)
    }

    fn forms(&self, outer: OuterPolicy) -> Vec<(String, Box<dyn Subject>)> {
        let forms = self.encapsulators.iter();
        let forms = forms.flat_map(|enrolled| enrolled.forms(outer));
        forms.filter(|(form, _)| !is_later(form)).collect()
    }
}

/// Whether a form has come later than the files: those of GRE in UDP but without options and with a key.
fn is_later(form: &str) -> bool {
    match form.split_once(", ") {
        Some((gre, _)) => gre.starts_with("GRE") && !matches!(gre, "GRE" | "GRE key"),
        None => false,
    }
}

/// Around two layers of IP-in-IP.
type Twice<S> = StackSubject<S, StackSubject<IpIpSubject, IpIpSubject>>;

fn kept() -> Vec<Kept> {
    type Around<S> = StackSubject<S, IpIpSubject>;
    vec![
        Kept::new::<IpIpSubject>("IpIp"),
        Kept::new::<FouSubject>("Udp")
            .and::<GueSubject<0>>()
            .and::<GueVariant1Subject>()
            .and::<GreInUdpSubject>(),
        Kept::new::<GueSubject<2>>("Udp<2>"),
        Kept::new::<TcpSubject>("Tcp"),
        Kept::new::<GreSubject>("Gre"),
        Kept::new::<MinEncSubject>("MinEnc"),
        Kept::new::<Around<IpIpSubject>>("Stack<IpIp, IpIp>"),
        Kept::new::<Around<FouSubject>>("Stack<Udp, IpIp>")
            .and::<Around<GueSubject<0>>>()
            .and::<Around<GueVariant1Subject>>()
            .and::<Around<GreInUdpSubject>>(),
        Kept::new::<StackSubject<TcpSubject, MinEncSubject>>("Stack<Tcp, MinEnc>"),
        Kept::new::<Twice<IpIpSubject>>("Stack<IpIp, Stack<IpIp, IpIp>>"),
        Kept::new::<StackSubject<IpIpSubject, Twice<IpIpSubject>>>(
            "Stack<IpIp, Stack<IpIp, Stack<IpIp, IpIp>>>",
        ),
        Kept::new::<Twice<FouSubject>>("Stack<Udp, Stack<IpIp, IpIp>>")
            .and::<Twice<GueSubject<0>>>()
            .and::<Twice<GueVariant1Subject>>()
            .and::<Twice<GreInUdpSubject>>(),
        Kept::new::<StackSubject<IpIpSubject, FouSubject>>("Stack<IpIp, Udp>"),
        Kept::new::<StackSubject<GreSubject, StackSubject<TcpSubject, MinEncSubject>>>(
            "Stack<Gre, Stack<Tcp, MinEnc>>",
        ),
    ]
}

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
    fn over<S: Shim>(shim: S) -> Tunnel<S> {
        let [l, r]: [Ipv4Addr; 2] = [ENDPOINTS.source.into(), ENDPOINTS.destination.into()];
        Tunnel::new(l, r, shim).unwrap()
    }
    let tcp = Tcp::new(40000, 443);
    let stamped = tcp.with_timestamps(0x1122_3344, 0x5566_7788);
    let [l, r] = [ENDPOINTS.source.into(), ENDPOINTS.destination.into()];
    vec![
        ("IpIp::new", Box::new(over(IpIp))),
        ("Udp::fou", Box::new(over(Fou::new(5555)))),
        ("Udp::gue", Box::new(over(Gue::new()))),
        ("Udp::gue_variant_1", Box::new(over(GueVariant1::new()))),
        ("Udp::gre", Box::new(over(GreInUdp::new(Gre::new())))),
        ("Tcp::new", Box::new(over(tcp))),
        ("Tcp::with_timestamps", Box::new(over(stamped))),
        ("Gre::new", Box::new(over(Gre::new()))),
        ("MinEnc::new", Box::new(MinEnc::new(l, r).unwrap())),
        ("Template::single", Box::new(AnyTunnel::from(over(IpIp)))),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
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
    for kept in kept() {
        let name = kept.label;
        add(name, "typical", &*kept.typical(), &inner_packets);
        for (policy, outer) in single_policies(ENDPOINTS) {
            let forms = kept.forms(outer);
            let [(form, subject), others @ ..] = &forms[..] else {
                continue;
            };
            let form = format!("{form}, {policy}");
            add(name, &form, &**subject, &inner_packets);
            // The digests have the rest.
            for (form, subject) in others.iter().filter(|_| policy == "default") {
                add(name, form, &**subject, &inner_packets[..3]);
            }
            if kept.typical().carrier().is_none() {
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

/// The same for the forms that are not in `packets.txt`.
fn gre_in_udp() -> String {
    let enrolled = Enrolled::new::<GreInUdpSubject>("Tunnel<GreInUdp>");
    let (_, outer) = single_policies(ENDPOINTS).swap_remove(0);
    let mut lines = String::new();
    let forms = enrolled.forms(outer);
    for (form, subject) in forms.iter().filter(|(form, _)| is_later(form)) {
        for inner in &inner_packets()[..4] {
            let (name, headers) = (enrolled.name, written_by(&**subject, inner));
            writeln!(lines, "{name} | {form} | {} | {headers}", inner.name).unwrap();
        }
    }
    lines
}

/// A line for each form: how many packets with every set of policies, and their digest.
fn digests() -> String {
    let inner_packets = inner_packets();
    let policies = all_policies(ENDPOINTS);
    let mut lines = String::new();
    for kept in kept() {
        let mut digests: Vec<(String, usize, Sha256)> = Vec::new();
        for outer in &policies {
            for (index, (form, subject)) in kept.forms(*outer).into_iter().enumerate() {
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
            let label = kept.label;
            writeln!(lines, "{label} | {form} | {count} packets | {digest}").unwrap();
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

/// The files; written anew if that is asked for, by whichever test comes first.
static PACKETS: LazyLock<String> = LazyLock::new(|| golden("packets.txt", packets));
static DIGESTS: LazyLock<String> = LazyLock::new(|| golden("digests.txt", digests));
static GRE_IN_UDP: LazyLock<String> = LazyLock::new(|| golden("gre-in-udp.txt", gre_in_udp));

fn golden(file: &str, found: fn() -> String) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let path = folder.join(file);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, found()).unwrap();
    }
    fs::read_to_string(&path).unwrap()
}

fn compare(file: &str, golden: &str, found: &str) {
    let differences = differences(golden, found);
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
    compare("packets.txt", &PACKETS, &packets());
}

#[test]
fn digests_are_as_they_were() {
    compare("digests.txt", &DIGESTS, &digests());
}

#[test]
fn gre_in_udp_is_as_it_was() {
    compare("gre-in-udp.txt", &GRE_IN_UDP, &gre_in_udp());
}

/// The control: another byte, a line more, a line less.
#[test]
fn differences_are_found() {
    let golden: &str = &PACKETS;
    assert!(differences(golden, golden).is_empty());
    assert_eq!(
        differences(golden, &golden.replacen("4500", "4501", 1)).len(),
        1
    );
    assert_eq!(differences(golden, &format!("{golden}new\n")).len(), 1);
    assert!(!differences(golden, &golden[golden.find('\n').unwrap() + 1..]).is_empty());
}

/// Under which labels the files have the bytes of the types in `src/` that write headers.
const LABELS: &[(&str, &str)] = &[
    ("MinEnc", "MinEnc | "),
    ("IpIp", "IpIp | "),
    ("Tcp", "Tcp | "),
    ("Gre", "Gre | "),
    ("Udp", "Udp | "),
    ("DirectIpv4", "Udp | FOU, "),
    ("GueInside", "Udp | GUE, "),
    ("GueDirect", "Udp | GUE variant 1, "),
];

/// Those that write nothing of their own; the laws hold them equal to what they are made of.
const COMPOSED: [&str; 3] = ["T", "Tunnel", "AnyTunnel"];

/// The types that implement one of these traits in a folder of `src/`. Tuples, slices and arrays have no
/// name.
fn implementers(folder: &str, traits: &[&str]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let source = fs::read_to_string(path).unwrap();
        for line in source.lines().filter(|line| line.starts_with("impl")) {
            let implemented = traits.iter().find_map(|one| {
                let (_, of) = line.split_once(&format!(" {one} for "))?;
                Some(of.trim_start_matches('&'))
            });
            let name = implemented.unwrap_or_default();
            found.extend(
                name.split(|c: char| !c.is_alphanumeric())
                    .next()
                    .map(str::to_owned),
            );
        }
    }
    found.remove("");
    found
}

#[test]
fn whatever_writes_headers_has_golden_bytes() {
    let mut found = implementers("src/encap", &["Encapsulate"]);
    found.extend(implementers("src/shim", &["Shim", "InUdp"]));
    let known: BTreeSet<String> = LABELS
        .iter()
        .map(|(name, _)| *name)
        .chain(COMPOSED)
        .map(str::to_owned)
        .collect();
    let differ: Vec<_> = found.symmetric_difference(&known).collect();
    assert!(differ.is_empty(), "in `src/` or in LABELS only: {differ:?}");
    for golden in [&*PACKETS, &*DIGESTS] {
        for &(name, label) in LABELS {
            assert!(golden.lines().any(|line| line.starts_with(label)), "{name}");
        }
        for kept in kept() {
            let start = format!("{} | ", kept.label);
            assert!(
                golden.lines().any(|line| line.starts_with(&start)),
                "{start}"
            );
        }
    }
}

/// Whatever the kit has of one layer is among the golden encapsulators.
#[test]
fn every_enrolled_layer_has_golden_bytes() {
    let forms = |enrolled: &Enrolled| {
        let (_, outer) = single_policies(ENDPOINTS).swap_remove(0);
        enrolled.forms(outer)
    };
    let kept: BTreeSet<String> = kept()
        .iter()
        .flat_map(|kept| kept.encapsulators.iter().flat_map(forms))
        .map(|(_, subject)| format!("{subject:?}"))
        .collect();
    let mut layers = 0;
    for enrolled in ENCAPSULATORS {
        if enrolled.typical(ENDPOINTS).carrier().is_some() {
            let (form, subject) = forms(enrolled).swap_remove(0);
            let name = enrolled.name;
            assert!(kept.contains(&format!("{subject:?}")), "{name} | {form}");
            layers += 1;
        }
    }
    assert!(layers > 8, "only {layers}");
}

/// By which label `packets.txt` has what a constructor of a shim makes.
const CONSTRUCTORS: &[(&str, &str)] = &[
    ("Fou", "Udp::fou"),
    ("Gue", "Udp::gue"),
    ("GueVariant1", "Udp::gue_variant_1"),
    ("GreInUdp", "Udp::gre"),
    ("Gre", "Gre::new"),
    ("Tcp", "Tcp::new"),
    ("SequenceWindow", ""), // It is no shim.
];

#[test]
fn every_constructor_has_golden_bytes() {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/shim")).unwrap() {
        let source = fs::read_to_string(entry.unwrap().path()).unwrap();
        let mut of = None;
        for line in source.lines() {
            if line.starts_with("impl") {
                let name = line
                    .strip_prefix("impl ")
                    .and_then(|name| name.strip_suffix(" {"));
                of = name.filter(|name| !name.contains(' '));
            } else if line.starts_with("    pub const fn new(") {
                found.extend(of.map(str::to_owned));
            }
        }
    }
    let known: BTreeSet<String> = CONSTRUCTORS
        .iter()
        .map(|&(name, _)| name.to_owned())
        .collect();
    let differ: Vec<_> = found.symmetric_difference(&known).collect();
    assert!(
        differ.is_empty(),
        "in `src/` or in CONSTRUCTORS only: {differ:?}"
    );
    for &(name, label) in CONSTRUCTORS {
        let start = format!("{label} | as constructed | ");
        let is_golden = PACKETS.lines().any(|line| line.starts_with(&start));
        assert!(is_golden || label.is_empty(), "{name}");
    }
}
