//! Every rule of the specification has an answer, and no answer points to nothing.
//!
//! `rules.txt` is what is asked for, `answers.txt` the code and the tests, or the reasons. From both
//! the page `src/guide/conformance.md` is written; `UPDATE_CONFORMANCE=1 cargo test --test compliance`
//! writes it anew.

#![allow(
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    reason = "a test that panics fails"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use project::{
    ANSWERS, PAGE, PITFALLS, Project, RFCS, RULES, SECURITY, bears, items, mentions, tests,
};
use table::{Answer, How, KINDS, Rule};

mod page;
mod project;
mod table;

const LEVELS: [&str; 7] = [
    "MUST",
    "MUST NOT",
    "SHOULD",
    "SHOULD NOT",
    "MAY",
    "default",
    "information",
];

/// All that is wrong with the tables and what they point to.
fn complaints(project: &Project) -> Vec<String> {
    let mut found = Vec::new();
    let rules = table::rules(project.text(RULES), &mut found);
    let list = table::answers(project.text(ANSWERS), &rules, &mut found);
    let known: BTreeSet<&str> = rules.iter().map(|rule| &rule.id[..]).collect();
    let answers = by_id(&list);
    let rfcs = rfcs(project);
    let tests = tests(project);

    for (index, rule) in rules.iter().enumerate() {
        if !LEVELS.contains(&&rule.level[..]) {
            found.push(format!("{}: no level '{}'", rule.id, rule.level));
        }
        if rules[..index].iter().any(|other| other.id == rule.id) {
            found.push(format!("{} stands twice in rules.txt", rule.id));
        }
        if !answers.contains_key(&rule.id) {
            found.push(format!("{} has no answer", rule.id));
        }
        for rfc in rule.sources.iter().filter_map(table::Source::rfc) {
            if !rfcs.contains_key(&rfc) {
                found.push(format!("{}: RFC {rfc} has no title in rfcs.txt", rule.id));
            }
        }
    }
    for rfc in rfcs.keys() {
        let mut sources = rules.iter().flat_map(|rule| &rule.sources);
        if !sources.any(|source| source.rfc() == Some(*rfc)) {
            found.push(format!("rfcs.txt: nothing comes from RFC {rfc}"));
        }
    }

    for (index, answer) in list.iter().enumerate() {
        let id = &answer.id;
        if !known.contains(&id[..]) {
            found.push(format!("{id} is answered, but no rule"));
        }
        if list[..index].iter().any(|other| other.id == *id) {
            found.push(format!("{id} is answered twice"));
        }
        for (file, item) in &answer.code {
            match (project.texts.get(&format!("src/{file}")), item) {
                (None, _) => found.push(format!("{id}: no file src/{file}")),
                (Some(source), Some(item)) if !items(source).contains(item) => {
                    found.push(format!("{id}: no `{item}` in src/{file}"));
                }
                _ => {}
            }
        }
        complain_of_how(answer, &answers, &tests, &mut found);
    }

    // Here stand what is no rule, in the controls, and the page, which is checked as a whole.
    let exempt = ["tests/compliance/main.rs", PAGE];
    for (path, text) in project.below("").filter(|(path, _)| !exempt.contains(path)) {
        for (first, last) in mentions(text) {
            let unknown = [first, last]
                .into_iter()
                .filter(|id| !known.contains(&id[..]));
            found.extend(unknown.map(|id| format!("{path} names {id}, which is no rule")));
        }
    }
    for file in [SECURITY, PITFALLS, ANSWERS] {
        for name in test_names(project.text(file)).filter(|name| !tests.contains_key(*name)) {
            found.push(format!("{file}: no test {name}"));
        }
    }
    if project.text(PAGE) != page::page(&rules, &answers, &rfcs) {
        found.push("src/guide/conformance.md is not what the tables say".to_owned());
    }
    found
}

/// What is wrong with the way in which a rule is answered.
fn complain_of_how(
    answer: &Answer,
    answers: &BTreeMap<String, Answer>,
    tests: &BTreeMap<String, String>,
    found: &mut Vec<String>,
) {
    let id = &answer.id;
    match &answer.how {
        How::Tested(names) => {
            if answer.code.is_empty() {
                found.push(format!("{id}: tested, but by no code"));
            }
            for name in names {
                match tests.get(name) {
                    None => found.push(format!("{id}: no test {name}")),
                    Some(test) if !bears(test, id) => {
                        found.push(format!("{name} does not bear {id}"));
                    }
                    Some(_) => {}
                }
            }
        }
        How::As(other) => {
            let other_answer = answers.get(other).map(|answer| &answer.how);
            if matches!(other_answer, None | Some(How::As(_))) {
                found.push(format!("{id}: {other} has no answer of its own"));
            }
        }
        How::Exempt(kind, _) => match KINDS.iter().find(|(name, _)| name == kind) {
            None => found.push(format!("{id}: no kind '{kind}'")),
            Some((_, true)) if answer.code.is_empty() => {
                found.push(format!("{id}: {kind}, but by no code"));
            }
            Some(_) => {}
        },
    }
}

fn by_id(answers: &[Answer]) -> BTreeMap<String, Answer> {
    answers
        .iter()
        .map(|answer| (answer.id.clone(), answer.clone()))
        .collect()
}

/// Titles by numbers.
fn rfcs(project: &Project) -> BTreeMap<u32, String> {
    project
        .text(RFCS)
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(number, title)| (number.parse().unwrap(), title.to_owned()))
        .collect()
}

/// The tests that a text names: `` `target::function` ``.
fn test_names(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2).filter(|code| {
        code.contains("::")
            && code
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_:".contains(c))
    })
}

/// The project; its page written anew if that is asked for, by whichever test comes first.
static PROJECT: LazyLock<Project> = LazyLock::new(|| {
    let mut project = Project::read();
    if std::env::var_os("UPDATE_CONFORMANCE").is_some() {
        let rules: Vec<Rule> = table::rules(project.text(RULES), &mut Vec::new());
        let answers = table::answers(project.text(ANSWERS), &rules, &mut Vec::new());
        let page = page::page(&rules, &by_id(&answers), &rfcs(&project));
        fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE), &page).unwrap();
        project.texts.insert(PAGE.to_owned(), page);
    }
    project
});

#[test]
fn every_rule_is_answered_and_no_answer_dangles() {
    let found = complaints(&PROJECT);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// A file, what to replace in it and by what, and how the complaint about this begins.
type Break = (&'static str, &'static str, &'static str, &'static str);

const V_02: &str = "tables::v_02_every_version_nibble";

const BREAKS: [Break; 20] = [
    (ANSWERS, "\nV-02 |", "\n# |", "V-02 has no answer"),
    (RULES, "\nV-16 |", "\n# |", "V-16 is answered, but no rule"),
    (
        ANSWERS,
        "\nV-02 |",
        "\nV-02 to V-03 |",
        "V-03 is answered twice",
    ),
    (
        RULES,
        "\nA-45 |",
        "\nA-44 |",
        "A-44 stands twice in rules.txt",
    ),
    (
        RULES,
        "V-02 | MUST",
        "V-02 | OUGHT",
        "V-02: no level 'OUGHT'",
    ),
    (ANSWERS, V_02, "tables::v_02", "V-02: no test tables::v_02"),
    (
        "tests/tables.rs",
        "fn v_02_every",
        "fn v_02",
        "V-02: no test tables::v_02_every",
    ),
    (
        "tests/tables.rs",
        "#[test]\nfn v_02",
        "fn v_02",
        "V-02: no test tables::v_02_every",
    ),
    (
        ANSWERS,
        V_02,
        "hostile::p_01_no_flipped_or_cut_packet_panics",
        "hostile::p_01_no_flipped_or_cut_packet_panics does not bear V-02",
    ),
    (
        ANSWERS,
        "packet.rs slack |",
        "packet.rs slacks |",
        "V-08: no `slacks` in src/wire/ipv4/packet.rs",
    ),
    (
        ANSWERS,
        "V-08 | wire/ipv4",
        "V-08 | wire/ipv5",
        "V-08: no file src/wire/ipv5",
    ),
    (
        ANSWERS,
        "A-01 | as N-01",
        "A-01 | as N-16",
        "A-01: N-16 has no answer of its own",
    ),
    (
        ANSWERS,
        "not offered: a",
        "not wanted: a",
        "Q-04: no kind 'not wanted'",
    ),
    (
        ANSWERS,
        "encap/policy.rs IdSource | doc",
        "- | doc",
        "F-06: documented, but by no code",
    ),
    (
        RFCS,
        "9868 ",
        "9869 ",
        "U-09: RFC 9868 has no title in rfcs.txt",
    ),
    (
        "src/mtu.rs",
        "\n",
        "\n// Z-99\n",
        "src/mtu.rs names Z-99, which is no rule",
    ),
    (
        "tests/laws.rs",
        "fn p_01_",
        "fn p_01_z_99_",
        "tests/laws.rs names Z-99, which is no rule",
    ),
    (
        SECURITY,
        "`laws::",
        "`laws::not_",
        "SECURITY.md: no test laws::not_",
    ),
    (
        PITFALLS,
        "`endpoint::",
        "`endpoint::not_",
        "src/guide/pitfalls.md: no test endpoint::not_",
    ),
    (
        PAGE,
        "# Summary",
        "# Sum",
        "src/guide/conformance.md is not what the tables say",
    ),
];
/// The control: a copy with one of these breaks is found to be broken, and where.
#[test]
fn what_is_broken_is_reported() {
    let whole: &Project = &PROJECT;
    for (path, what, instead, expected) in BREAKS {
        let mut broken = whole.clone();
        let intact = whole.text(path);
        assert!(intact.contains(what), "{path} has no '{what}'");
        broken
            .texts
            .insert(path.to_owned(), intact.replacen(what, instead, 1));
        let found = complaints(&broken);
        assert!(
            found.iter().any(|one| one.starts_with(expected)),
            "{expected}: {found:?}"
        );
    }
}

/// Which ids a text bears, in comments and in names.
#[test]
fn ids_are_found_in_comments_and_names() {
    let range = |first: &str, last: &str| (first.to_owned(), last.to_owned());
    assert_eq!(mentions(" E-01"), [range("E-01", "E-01")]);
    assert_eq!(
        mentions("/// N-01, N-02 to\n/// N-06; AF-11, T06, E-1, RFC-07"),
        [range("N-01", "N-01"), range("N-02", "N-06")]
    );
    assert_eq!(
        mentions("fn c_20_c_23_to_c_24_t49_ck_05_of_16() {"),
        [range("C-20", "C-20"), range("C-23", "C-24")]
    );
    assert!(bears("fn v_01_to_v_16_x()", "V-09") && !bears("fn v_01_to_v_16_x()", "E-09"));
}
