//! The two tables, read: what is asked for, and what answers it.

/// A line of `rules.txt`.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) id: String,
    pub(crate) level: String,
    pub(crate) sources: Vec<Source>,
    pub(crate) requirement: String,
}

/// Where a rule comes from: a document, and a place in it if that is known.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) document: String,
    pub(crate) sections: String,
}

impl Source {
    /// The number, if it is an RFC.
    pub(crate) fn rfc(&self) -> Option<u32> {
        self.document.strip_prefix("RFC ")?.parse().ok()
    }
}

/// A line of `answers.txt`, for one of the rules it names.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) id: String,
    /// Files of `src/`, with an item each where one is named.
    pub(crate) code: Vec<(String, Option<String>)>,
    pub(crate) how: How,
}

#[derive(Clone, Debug)]
pub(crate) enum How {
    /// By these tests, `target::function`.
    Tested(Vec<String>),
    /// As this other rule.
    As(String),
    /// By no test: the kind of exception, and the reason.
    Exempt(String, String),
}

/// The kinds of exceptions, as `answers.txt` explains them, and whether they need code to point to.
pub(crate) const KINDS: [(&str, bool); 6] = [
    ("by design", true),
    ("documented", true),
    ("the caller's", true),
    ("not offered", false),
    ("no requirement", false),
    ("not yet", false),
];

fn lines(text: &str) -> impl Iterator<Item = (usize, Vec<&str>)> {
    text.lines()
        .zip(1..)
        .filter(|(line, _)| !line.starts_with('#'))
        .map(|(line, number)| (number, line.split(" | ").map(str::trim).collect()))
}

/// The rules, or the numbers of the lines that are none.
pub(crate) fn rules(text: &str, complaints: &mut Vec<String>) -> Vec<Rule> {
    let mut rules = Vec::new();
    for (number, fields) in lines(text) {
        let &[id, level, sources, requirement] = &fields[..] else {
            complaints.push(format!("rules.txt:{number}: not four fields"));
            continue;
        };
        rules.push(Rule {
            id: id.to_owned(),
            level: level.to_owned(),
            sources: sources.split("; ").map(source).collect(),
            requirement: requirement.to_owned(),
        });
    }
    rules
}

fn source(text: &str) -> Source {
    let (document, sections) = text.split_once(" §").unwrap_or((text, ""));
    Source {
        document: document.to_owned(),
        sections: sections.to_owned(),
    }
}

/// The answers, one for each rule, with ranges spelled out over the rules that there are.
pub(crate) fn answers(text: &str, rules: &[Rule], complaints: &mut Vec<String>) -> Vec<Answer> {
    let mut answers = Vec::new();
    for (number, fields) in lines(text) {
        let ids: Vec<String> = match fields[0].split_once(" to ") {
            None => vec![fields[0].to_owned()],
            Some((first, last)) => rules
                .iter()
                .map(|rule| rule.id.clone())
                .filter(|id| first[..2] == id[..2] && (first..=last).contains(&id.as_str()))
                .collect(),
        };
        let (code, how) = match &fields[1..] {
            [other] if other.starts_with("as ") => (vec![], How::As(other[3..].to_owned())),
            [code, answer] => (files(code), how(answer)),
            _ => {
                complaints.push(format!("answers.txt:{number}: not an answer"));
                continue;
            }
        };
        answers.extend(ids.into_iter().map(|id| Answer {
            id,
            code: code.clone(),
            how: how.clone(),
        }));
    }
    answers
}

fn files(text: &str) -> Vec<(String, Option<String>)> {
    text.split(", ")
        .filter(|&one| one != "-")
        .map(|one| match one.split_once(' ') {
            Some((file, item)) => (file.to_owned(), Some(item.to_owned())),
            None => (one.to_owned(), None),
        })
        .collect()
}

fn how(text: &str) -> How {
    match text.split_once(": ") {
        Some((kind, reason)) => How::Exempt(kind.to_owned(), reason.to_owned()),
        None => How::Tested(text.split(", ").map(str::to_owned).collect()),
    }
}
