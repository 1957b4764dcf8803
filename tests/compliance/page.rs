//! The page of the guide that shows, RFC by RFC, what is asked for and what answers it.

use core::fmt::Write;
use std::collections::BTreeMap;

use crate::table::{Answer, How, Rule, Source};

const INTRODUCTION: &str = "\
What the RFCs ask of a tunnel, and what of it this crate does.

This page is written by a test (`tests/compliance/`) from two tables: the rules with their sources, and what answers each. It
cannot drift: the test fails where a rule has no answer, where the code or a test that an answer names is not there,
or where this page is not what the tables say.

A rule is **met** if tests whose names or comments contain its id show it; `tests/compliance/answers.txt` lists them. Otherwise the
status says why there is no test: met **by design**, because the types leave no other way; **documented**; **the caller's** to decide;
**not offered**, an option that is left open; **no requirement**, a note; **not yet**, because the crate has nothing the rule applies to. \
The levels are this project's requirements on itself, in the words of RFC 2119; *default* is a default value, *information* a note.
";

/// The page, and what keeps it from being whole.
pub(crate) fn page(
    rules: &[Rule],
    answers: &BTreeMap<String, Answer>,
    rfcs: &BTreeMap<u32, String>,
) -> String {
    let mut by_rfc: BTreeMap<u32, Vec<(&Rule, &Source)>> = BTreeMap::new();
    let mut others: Vec<&Rule> = Vec::new();
    let mut defaults: Vec<&Rule> = Vec::new();
    for rule in rules {
        let mut has_rfc = false;
        for source in &rule.sources {
            if let Some(rfc) = source.rfc() {
                by_rfc.entry(rfc).or_default().push((rule, source));
                has_rfc = true;
            }
        }
        if rule.level == "default" {
            defaults.push(rule);
        } else if !has_rfc {
            others.push(rule);
        }
    }

    let mut page = INTRODUCTION.to_owned();
    page.push_str("\n# Summary\n\n| status | rules |\n|---|---|\n");
    let mut statuses: BTreeMap<String, usize> = BTreeMap::new();
    for rule in rules {
        *statuses.entry(answer(rule, answers).0).or_default() += 1;
    }
    let mut statuses: Vec<_> = statuses.into_iter().collect();
    statuses.sort_by_key(|(_, count)| usize::MAX - count);
    for (status, count) in statuses {
        writeln!(page, "| {status} | {count} |").unwrap();
    }

    for (rfc, mut rows) in by_rfc {
        let title = rfcs.get(&rfc).map_or("", String::as_str);
        write!(page, "\n# RFC {rfc}: {title}\n\n").unwrap();
        page.push_str("| section | rule | level | what is asked | status | where |\n|---|---|---|---|---|---|\n");
        rows.sort_by_key(|(_, source)| order(&source.sections));
        for (rule, source) in rows {
            let sections = match &source.sections[..] {
                "" => String::new(),
                sections => format!("[§{sections}](https://www.rfc-editor.org/rfc/rfc{rfc})"),
            };
            write!(page, "| {sections} ").unwrap();
            row(&mut page, rule, answers);
        }
    }
    let rest = [
        (
            "Rules with other sources",
            "What drafts, registries, other implementations and this project's own decisions ask for.",
            others,
        ),
        (
            "Defaults",
            "What holds unless the caller chooses otherwise, where RFCs and implementations differ.",
            defaults,
        ),
    ];
    for (title, what, rules) in rest {
        write!(page, "\n# {title}\n\n{what}\n\n").unwrap();
        page.push_str("| source | rule | level | what is asked | status | where |\n|---|---|---|---|---|---|\n");
        for rule in rules {
            let sources = rule
                .sources
                .iter()
                .map(|source| match &source.sections[..] {
                    "" => source.document.clone(),
                    sections => format!("{} §{sections}", source.document),
                });
            let sources: Vec<String> = sources.collect();
            write!(page, "| {} ", sources.join("; ")).unwrap();
            row(&mut page, rule, answers);
        }
    }
    page
}

/// Sections by their numbers.
fn order(sections: &str) -> Vec<u32> {
    let first = sections.split([',', ' ']).next().unwrap_or_default();
    first
        .split('.')
        .filter_map(|part| part.parse().ok())
        .collect()
}

fn row(page: &mut String, rule: &Rule, answers: &BTreeMap<String, Answer>) {
    let (status, place) = answer(rule, answers);
    let (id, level, asked) = (&rule.id, &rule.level, &rule.requirement);
    writeln!(page, "| {id} | {level} | {asked} | {status} | {place} |").unwrap();
}

/// Status and place of what answers `rule`.
fn answer(rule: &Rule, answers: &BTreeMap<String, Answer>) -> (String, String) {
    let Some(own) = answers.get(&rule.id) else {
        return ("unanswered".to_owned(), String::new());
    };
    let (answer, other) = match &own.how {
        How::As(other) => (answers.get(other).unwrap_or(own), format!("as {other}: ")),
        _ => (own, String::new()),
    };
    let code = answer.code.iter().map(|(file, item)| match item {
        Some(item) => format!("`{item}` in `{file}`"),
        None => format!("`{file}`"),
    });
    let code: Vec<String> = code.collect();
    let code = code.join(", ");
    match &answer.how {
        How::Exempt(kind, reason) if code.is_empty() => (kind.clone(), format!("{other}{reason}")),
        How::Exempt(kind, reason) => (kind.clone(), format!("{other}{reason}; {code}")),
        _ => ("met".to_owned(), format!("{other}{code}")),
    }
}
