//! Known-answer vectors of the specification, through the public interface only.
//!
//! `data/semantics-vectors.json` is the specification's own file; `data/semantics-extra.json` holds
//! what stands only in its text; `data/flow-hash.json` holds the vectors that this crate publishes for
//! its flow hash. A round trip cannot see a symmetric mistake, these bytes can.
//!
//! Every vector must be exercised: a family panics on a vector that it does not know, and
//! `every_vector_is_exercised` on a family that is not run.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "tests index and unwrap what they have built; a panic is how they fail"
)]

mod carriers;
mod checksum;
mod decapsulation;
mod doors;
mod encapsulation;
mod flow;
mod fragment;
mod icmp;
mod linux;
mod mtu;
mod offload;
mod oracle;
mod pmtu;
mod reception;
mod stream;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// The families of vectors, with how many there are of each, in all files together: the part of the
/// id in front of the hyphen, or the name of the table.
const FAMILIES: &[(&str, usize)] = &[
    ("inner_P", 1),
    ("ENC", 14),
    ("UDP", 8 + 4),
    ("GRE", 4),
    ("MIN", 2),
    ("TCP", 2),
    ("TX", 7),
    ("TMPL", 8),
    ("DC", 46 + 1 + 11),
    ("EC", 16),
    ("UR", 9),
    ("GU", 15),
    ("GR", 8),
    ("ME", 3),
    ("CK", 18 + 5),
    ("INC", 18 + 8),
    ("LIN", 2 + 1),
    ("FH", 6),
    ("FR", 14),
    ("RA", 15),
    ("AT", 2),
    ("reassembly_ecn", 15),
    ("NE", 13),
    ("OK", 2),
    ("IC", 6),
    ("mtu", 19),
    ("mtu_tcp_timestamps", 10),
    ("mtu_required", 19),
    ("source_port_entropy", 8),
    ("ptb", 17),
];

/// The group of the file that holds EC, TMPL and TX vectors and some of CK.
const MIXED: &str = "ecn_template_checksum_reassembly_tx";

/// The group of packets received over UDP, GRE and minimal encapsulation.
const RECEIVED: &str = "udp_gue_gre_min_rx";

/// The families in which a table's rows have names or hashes for ids.
const TABLES: &[&str] = &[
    "reassembly_ecn",
    "mtu",
    "mtu_tcp_timestamps",
    "mtu_required",
    "source_port_entropy",
    "ptb",
];

fn family_of<'a>(group: &'a str, id: &'a str) -> &'a str {
    if TABLES.contains(&group) {
        group
    } else {
        id.split('-').next().unwrap()
    }
}

/// The rows of a table by what each begins with: a name, or some numbers.
fn rows_by_first_cell(rows: &[Value]) -> impl Iterator<Item = (String, &Value)> {
    rows.iter().map(|row| {
        let mut cells = row.as_object().unwrap().values();
        let name = match cells.next().unwrap() {
            Value::String(name) => name.clone(),
            first => {
                let numbers = cells.take_while(|cell| cell.is_number());
                let numbers = core::iter::once(first).chain(numbers);
                numbers.map(Value::to_string).collect::<Vec<_>>().join(" ")
            }
        };
        (name, row)
    })
}

/// The vectors, and those of them that have passed.
struct Book {
    vectors: BTreeMap<(String, String), Value>,
    exercised: BTreeSet<(String, String)>,
}

impl Book {
    fn open() -> Self {
        let mut book = Self {
            vectors: BTreeMap::new(),
            exercised: BTreeSet::new(),
        };
        for file in [
            include_str!("../data/semantics-vectors.json"),
            include_str!("../data/semantics-extra.json"),
            include_str!("../data/flow-hash.json"),
        ] {
            let file: Value = serde_json::from_str(file).unwrap();
            for (group, members) in file.as_object().unwrap() {
                match members {
                    Value::Object(members) => {
                        for (id, vector) in members {
                            book.add(group, id, vector);
                        }
                    }
                    Value::Array(rows) => {
                        for (id, row) in rows_by_first_cell(rows) {
                            book.add(group, &id, row);
                        }
                    }
                    prose => assert!(prose.is_string() && group == "readme", "{group}"),
                }
            }
        }
        book
    }

    fn add(&mut self, group: &str, id: &str, vector: &Value) {
        let key = (group.to_owned(), id.to_owned());
        let twin = self.vectors.insert(key, vector.clone());
        assert_eq!(twin, None, "{id} stands twice in {group}");
    }

    /// Runs `check` on every vector of `family` in `group`.
    fn each(&mut self, group: &str, family: &str, check: impl Fn(&str, &Value)) {
        for ((in_group, id), vector) in &self.vectors {
            if in_group == group && family_of(group, id) == family {
                check(id, vector);
                self.exercised.insert((in_group.clone(), id.clone()));
            }
        }
    }

    /// Runs `check` on every row of a table.
    fn each_row(&mut self, table: &str, check: impl Fn(&str, &Value)) {
        self.each(table, table, check);
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
fn every_vector_is_exercised() {
    let mut book = Book::open();
    let mut found = BTreeMap::new();
    for (group, id) in book.vectors.keys() {
        *found.entry(family_of(group, id)).or_insert(0) += 1;
    }
    let families = FAMILIES.iter().copied().collect();
    assert_eq!(found, families, "vectors in the files by family");

    for family in [
        encapsulation::inner,
        encapsulation::enc,
        encapsulation::tx,
        encapsulation::tmpl,
        carriers::udp,
        carriers::gre,
        carriers::min,
        carriers::tcp,
        decapsulation::dc,
        decapsulation::ec,
        reception::ur,
        reception::gu,
        reception::gr,
        reception::me,
        checksum::ck,
        checksum::inc,
        linux::lin,
        offload::lco,
        flow::fh,
        flow::ports,
        fragment::fr,
        fragment::ra,
        fragment::reassembly_ecn,
        fragment::at,
        icmp::never,
        icmp::allowed,
        icmp::built,
        mtu::overheads,
        mtu::tcp_timestamps,
        mtu::required,
        pmtu::reports,
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
