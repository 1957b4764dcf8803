//! Every shim of the library has its line in the registry of the kit, so that all laws hold for it.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The types that implement `Shim` by themselves, and those that are UDP with something inside.
fn shims(source: &str) -> impl Iterator<Item = &str> {
    source.lines().filter_map(|line| {
        let own = line
            .strip_prefix("impl Shim for ")
            .and_then(|rest| rest.strip_suffix(" {"));
        let in_udp = line
            .strip_prefix("pub type ")
            .and_then(|rest| rest.split_once(" = Udp<"))
            .map(|(name, _)| name);
        let name = own.or(in_udp)?;
        name.split('<').next()
    })
}

#[test]
fn every_shim_is_in_the_registry() {
    let registry = fs::read_to_string(Path::new(ROOT).join("tests/kit/src/registry.rs")).unwrap();
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(Path::new(ROOT).join("src/shim")).unwrap() {
        let source = fs::read_to_string(entry.unwrap().path()).unwrap();
        found.extend(shims(&source).map(str::to_owned));
    }
    assert!(found.contains("IpIp") && found.contains("Gue"), "{found:?}");
    let missing: Vec<_> = found
        .iter()
        .filter(|name| !registry.contains(&format!("(\"Tunnel<{name}>\")")))
        .collect();
    assert!(missing.is_empty(), "not enrolled: {missing:?}");
}

#[test]
fn shims_are_found_in_their_sources() {
    let source = "pub type Gue<const WORDS: usize = 0> = Udp<GueInside<WORDS>>;\n\
                  impl<I: InUdp> Shim for Udp<I> {\nimpl Shim for Gre {\nimpl Shim for &Gre {";
    assert_eq!(shims(source).collect::<Vec<_>>(), ["Gue", "Gre", "&Gre"]);
}
