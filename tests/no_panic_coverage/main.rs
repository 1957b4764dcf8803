//! Nothing public is missing from `checks/no-panic`, the program that proves that nothing panics.
//!
//! Both sources are parsed, not compiled: what the library makes public (functions, methods, the
//! functions of its traits and of the traits it implements or derives, and what its macros write) must
//! be called in the program, by a path that names its type.

#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that panics fails"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use library::Library;

mod library;
mod names;
mod program;

/// What the program does not call, and why not.
const EXCLUDED: &[(&str, &str)] = &[
    ("<encap::Arrived as Debug>::fmt", MANY_FIELDS),
    ("<encap::Carried as Debug>::fmt", MANY_FIELDS),
    ("<encap::Decapsulator as Debug>::fmt", MANY_FIELDS),
    ("<encap::Gre as Debug>::fmt", ADDRESS),
    ("<encap::Inner as Debug>::fmt", ADDRESS),
    ("<encap::IpIp as Debug>::fmt", ADDRESS),
    ("<encap::Layer as Debug>::fmt", ADDRESS),
    ("<encap::MinEnc as Debug>::fmt", ADDRESS),
    ("<encap::Opened as Debug>::fmt", MANY_FIELDS),
    ("<encap::OuterMeta as Debug>::fmt", ADDRESS),
    ("<encap::PerPacket as Debug>::fmt", MANY_FIELDS),
    ("<encap::Tcp as Debug>::fmt", ADDRESS),
    ("<encap::Template as Debug>::fmt", ADDRESS),
    ("<encap::Udp as Debug>::fmt", ADDRESS),
    ("<filter::Edge as Debug>::fmt", ADDRESS),
    ("<filter::PointToPoint as Debug>::fmt", ADDRESS),
    ("<packet::Flow as Debug>::fmt", ADDRESS),
    ("<packet::PacketMeta as Debug>::fmt", ADDRESS),
    ("<packet::Proven as Debug>::fmt", ADDRESS),
    ("<wire::Gre as Debug>::fmt", MANY_FIELDS),
    ("<wire::Ipv4 as Debug>::fmt", MANY_FIELDS),
    ("<wire::Ipv4Edit as Debug>::fmt", MANY_FIELDS),
    ("<wire::Ipv4Header as Debug>::fmt", MANY_FIELDS),
    ("<wire::Ipv4Mut as Debug>::fmt", MANY_FIELDS),
    ("<wire::QuotedIpv4 as Debug>::fmt", MANY_FIELDS),
    ("<wire::Tcp as Debug>::fmt", MANY_FIELDS),
    ("<wire::TcpHeader as Debug>::fmt", MANY_FIELDS),
];

const ADDRESS: &str =
    "contains an Ipv4Addr, in whose Debug core keeps an unwrap for when a width is set";
const MANY_FIELDS: &str = "is, or contains, a derive for more than five fields: \
    core compares the number of names and values that derive has written";

/// Traits of which the program calls nothing for any type, and why not.
const EXCLUDED_TRAITS: &[(&str, &str)] = &[
    ("Copy", "has no function"),
    ("Eq", "has no function"),
    ("Error", "has no function of ours"),
    ("FusedIterator", "has no function"),
    (
        "FromBytes",
        "zerocopy's, outside of the stable interface; `split` and `parse` call it",
    ),
    ("IntoBytes", "zerocopy's; `fill_checksum` calls it"),
    ("KnownLayout", "zerocopy's; has no function of ours"),
    ("Immutable", "zerocopy's; has no function"),
    ("Unaligned", "zerocopy's; has no function"),
    (
        "Format",
        "defmt's own functions panic, if a logger is entered twice",
    ),
];

#[test]
fn every_public_function_is_in_the_no_panic_program() {
    let missing = report(&library(), &program());
    assert!(
        missing.is_empty(),
        "call these in checks/no-panic, or exclude them here with a reason:\n{}",
        missing.join("\n")
    );
}

/// One made-up public thing of each kind, and by what name it must be reported.
const MADE_UP: &[(&str, &[&str])] = &[
    ("pub const fn made_up() {}", &["wire::made_up"]),
    (
        "pub struct New; impl New { pub fn f(&self) {} fn hidden() {} }",
        &["wire::New::f"],
    ),
    (
        "impl Ipv4Header { pub fn made_up(&self) {} }",
        &["wire::Ipv4Header::made_up"],
    ),
    (
        "use crate::packet::Packet; impl Packet<'_> { pub fn g() {} }",
        &["packet::Packet::g"],
    ),
    (
        "#[derive(Clone, Ord)] pub struct New;",
        &["<wire::New as Clone>::clone", "<wire::New as Ord>::cmp"],
    ),
    (
        "impl From<u8> for Ecn { fn from(_: u8) -> Self { Self::Ce } }",
        &["<wire::Ecn as From<u8>>::from"],
    ),
    (
        "pub trait New { fn required(); fn provided() {} } impl New for Ecn { fn required() {} }",
        &[
            "<Custom as New>::provided",
            "<wire::Ecn as New>::provided",
            "<wire::Ecn as New>::required",
        ],
    ),
    (
        "setters! { /** Sets it. */ set_new(new: u8); }",
        &["wire::Ipv4Header::set_new"],
    ),
    (
        "outer_policies!(New);",
        &["wire::New::with_ttl", "wire::New::would_loop"],
    ),
    (
        "outer_policies!(New<WORDS>, const WORDS: usize);",
        &["wire::New::with_ttl", "wire::New::would_loop"],
    ),
    (
        "template_layer!(New<WORDS>, const WORDS: usize);",
        &[
            "<wire::New as TemplateLayer>::ordinary_len",
            "<wire::New as TemplateLayer>::sums_bytes",
        ],
    ),
    (
        "use crate::encap::Layer; layered!(New, Variant);",
        &[
            "<wire::New as Layered>::depth",
            "<wire::New as Layered>::layer",
            "<encap::Layer as From<New>>::from",
        ],
    ),
    (
        "pub trait New<T> { fn f(&self); } impl<T> New<T> for [T] { fn f(&self) {} } \
         impl<T, const N: usize> New<T> for [T; N] { fn f(&self) {} } impl New<u8> for Ecn { fn f(&self) {} }",
        &[
            "<[_] as New>::f",
            "<[_; _] as New>::f",
            "<wire::Ecn as New>::f",
        ],
    ),
    (
        "numbered! { pub enum New (1) { A = 0, \"a\"; } }",
        &[
            "wire::New::name",
            "<wire::New as Display>::fmt",
            "<wire::New as Hash>::hash",
        ],
    ),
    (
        "bitflags::bitflags! { #[derive(Clone)] pub struct New: u8 { const A = 1; } struct Hidden: u8 { const B = 1; } }",
        &[
            "wire::New::from_name",
            "<wire::New as Not>::not",
            "<wire::New as Clone>::clone",
        ],
    ),
    (
        "mod inline { impl Ecn { pub fn deep() {} } } #[cfg(test)] mod tests { pub fn hidden() {} }",
        &["wire::Ecn::deep"],
    ),
];

#[test]
fn what_is_made_up_is_reported_missing() {
    let calls = program();
    let before = report(&library(), &calls);
    for (source, names) in MADE_UP {
        let mut sources = sources(&root().join("src"));
        sources.push(("wire/made_up.rs".to_owned(), (*source).to_owned()));
        let missing = report(&Library::parse(&sources), &calls);
        for name in *names {
            assert!(
                missing.iter().any(|line| line == name),
                "{name} of {source}: {missing:?}"
            );
        }
        let hidden = missing
            .iter()
            .any(|line| line.to_lowercase().contains("hidden"));
        assert!(!hidden, "{source}: {missing:?}");
        assert!(before.iter().all(|line| missing.contains(line)), "{source}");
    }
}

#[test]
fn stale_exclusions_are_reported() {
    let (library, calls) = (library(), program());
    let gone = [("wire::Ecn::was_removed", "")];
    let called = [("checksum::verify", "")];
    assert_eq!(
        stale(&library, &calls, &gone, &[]),
        ["wire::Ecn::was_removed"]
    );
    assert_eq!(stale(&library, &calls, &called, &[]), ["checksum::verify"]);
    assert_eq!(stale(&library, &calls, &[], &[("Gone", "")]), ["Gone"]);
    assert_eq!(stale(&library, &calls, EXCLUDED, EXCLUDED_TRAITS), [""; 0]);
}

/// What the library has, the program does not call and nobody has excluded.
fn report(library: &Library, calls: &BTreeSet<String>) -> Vec<String> {
    let excluded: BTreeSet<&str> = EXCLUDED.iter().map(|(name, _)| *name).collect();
    library
        .functions
        .iter()
        .filter(|name| !calls.contains(*name) && !excluded.contains(name.as_str()))
        .cloned()
        .collect()
}

/// Exclusions of what is not there, or not missing.
fn stale(
    library: &Library,
    calls: &BTreeSet<String>,
    functions: &[(&str, &str)],
    traits: &[(&str, &str)],
) -> Vec<String> {
    let functions = functions
        .iter()
        .filter(|(name, _)| !library.functions.contains(*name) || calls.contains(*name));
    let traits = traits
        .iter()
        .filter(|(name, _)| !library.excluded_traits.contains(*name));
    functions
        .chain(traits)
        .map(|(name, _)| (*name).to_owned())
        .collect()
}

fn library() -> Library {
    Library::parse(&sources(&root().join("src")))
}

fn program() -> BTreeSet<String> {
    program::calls(&sources(&root().join("checks/no-panic/src")))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The name below `folder` and the text of each source file.
fn sources(folder: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(path) = folders.pop() {
        for entry in fs::read_dir(&path).expect("a folder that can be read") {
            let path = entry.expect("an entry that can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(folder).expect("a path below the folder");
                let text = fs::read_to_string(&path).expect("a file that can be read");
                files.push((name.to_string_lossy().into_owned(), text));
            }
        }
    }
    files
}
