//! Known-answer vectors of the specification, through the public interface only.
//!
//! `data/semantics-vectors.json` is the specification's own file; `data/semantics-extra.json` holds
//! what stands only in its text. A round trip cannot see a symmetric mistake, these bytes can.
//!
//! Every vector whose id begins with one of [`FAMILIES`] must be exercised: a family panics on a
//! vector that it does not know, and `every_vector_in_scope_is_exercised` on a family that is not
//! run.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "tests index and unwrap what they have built; a panic is how they fail"
)]

mod checksum;
mod decapsulation;
mod encapsulation;
mod linux;
mod oracle;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Prefixes of the vectors in scope, with how many there are of each, in both files together.
const FAMILIES: [(&str, usize); 8] = [
    ("ENC", 14),
    ("TX", 7),
    ("TMPL", 8),
    ("DC", 46 + 1 + 11),
    ("EC", 16),
    ("CK", 18 + 5),
    ("INC", 18 + 8),
    ("LIN", 2),
];

/// The group of the file that holds EC, TMPL and TX vectors and some of CK.
const MIXED: &str = "ecn_template_checksum_reassembly_tx";

/// The vectors in scope, and those of them that have passed.
struct Book {
    vectors: BTreeMap<(String, String), Value>,
    exercised: BTreeSet<(String, String)>,
}

impl Book {
    fn open() -> Self {
        let files = [
            include_str!("../data/semantics-vectors.json"),
            include_str!("../data/semantics-extra.json"),
        ];
        let mut vectors = BTreeMap::new();
        for file in files {
            let file: Value = serde_json::from_str(file).unwrap();
            for (group, members) in file.as_object().unwrap() {
                for (id, vector) in members.as_object().into_iter().flatten() {
                    let family = id.split('-').next().unwrap();
                    if FAMILIES.iter().any(|&(name, _)| name == family) {
                        let key = (group.clone(), id.clone());
                        let twin = vectors.insert(key, vector.clone());
                        assert_eq!(twin, None, "{id} stands twice in {group}");
                    }
                }
            }
        }
        Self {
            vectors,
            exercised: BTreeSet::new(),
        }
    }

    /// Runs `check` on every vector of `family` in `group`.
    fn each(&mut self, group: &str, family: &str, check: impl Fn(&str, &Value)) {
        for ((in_group, id), vector) in &self.vectors {
            if in_group == group && id.split('-').next() == Some(family) {
                check(id, vector);
                self.exercised.insert((in_group.clone(), id.clone()));
            }
        }
    }

    /// The vectors of `group` by their ids.
    fn group(&self, group: &str) -> BTreeMap<String, Value> {
        let members = self.vectors.iter().filter(|((of, _), _)| of == group);
        members
            .map(|((_, id), vector)| (id.clone(), vector.clone()))
            .collect()
    }
}

#[test]
fn every_vector_in_scope_is_exercised() {
    let mut book = Book::open();
    for (family, count) in FAMILIES {
        let found = book
            .vectors
            .keys()
            .filter(|(_, id)| id.split('-').next() == Some(family))
            .count();
        assert_eq!(found, count, "{family}: vectors in the two files");
    }
    for family in [
        encapsulation::enc,
        encapsulation::tx,
        encapsulation::tmpl,
        decapsulation::dc,
        decapsulation::ec,
        checksum::ck,
        checksum::inc,
        linux::lin,
    ] {
        family(&mut book);
    }
    let forgotten: Vec<_> = book
        .vectors
        .keys()
        .filter(|key| !book.exercised.contains(*key))
        .collect();
    assert!(forgotten.is_empty(), "not exercised: {forgotten:?}");
}
