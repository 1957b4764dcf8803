//! What the tables point to: the items of `src/`, the tests, and who names which rule.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};

/// The texts that the check reads, by path, so that a broken copy can be checked as well.
#[derive(Clone)]
pub(crate) struct Project {
    pub(crate) texts: BTreeMap<String, String>,
}

/// What is asked for.
pub(crate) const RULES: &str = "tests/compliance/rules.txt";
/// What answers it.
pub(crate) const ANSWERS: &str = "tests/compliance/answers.txt";
/// The titles of the RFCs.
pub(crate) const RFCS: &str = "tests/compliance/rfcs.txt";
/// The page that is written from these.
pub(crate) const PAGE: &str = "src/guide/conformance.md";
/// Where tests are named as well.
pub(crate) const SECURITY: &str = "SECURITY.md";
pub(crate) const PITFALLS: &str = "src/guide/pitfalls.md";

/// The program's tests, of a package of their own.
const CLI: &str = "examples/cli/tests";

impl Project {
    pub(crate) fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut texts = BTreeMap::new();
        for folder in ["src", "tests", CLI] {
            read_folder(root, folder, &mut texts);
        }
        for path in [RULES, ANSWERS, RFCS, SECURITY] {
            texts.insert(
                path.to_owned(),
                fs::read_to_string(root.join(path)).unwrap(),
            );
        }
        Self { texts }
    }

    pub(crate) fn text(&self, path: &str) -> &str {
        &self.texts[path]
    }

    /// Those below a folder: what is behind it in the path, and the text.
    pub(crate) fn below(&self, folder: &str) -> impl Iterator<Item = (&str, &str)> {
        self.texts
            .iter()
            .filter_map(move |(path, text)| Some((path.strip_prefix(folder)?, &text[..])))
    }
}

/// The Rust and Markdown files of a folder.
fn read_folder(root: &Path, folder: &str, texts: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(root.join(folder)).unwrap() {
        let file = entry.unwrap().path();
        let name = file.file_name().unwrap().to_str().unwrap();
        let path = format!("{folder}/{name}");
        if file.is_dir() && name != "target" {
            read_folder(root, &path, texts);
        } else if file
            .extension()
            .is_some_and(|kind| kind == "rs" || kind == "md")
        {
            texts.insert(path, fs::read_to_string(&file).unwrap());
        }
    }
}

/// The names of what a source defines, also inside of macros.
pub(crate) fn items(source: &str) -> BTreeSet<String> {
    fn collect(tokens: TokenStream, items: &mut BTreeSet<String>) {
        const KEYWORDS: [&str; 7] = [
            "fn",
            "struct",
            "enum",
            "trait",
            "const",
            "type",
            "macro_rules",
        ];
        let mut defines = false;
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    let name = name.to_string();
                    if defines {
                        items.insert(name.clone());
                    }
                    defines = KEYWORDS.contains(&&name[..]);
                }
                TokenTree::Group(group) => collect(group.stream(), items),
                // `macro_rules!` has one before the name.
                TokenTree::Punct(punct) => defines &= punct.as_char() == '!',
                TokenTree::Literal(_) => {}
            }
        }
    }
    let mut items = BTreeSet::new();
    collect(source.parse().unwrap(), &mut items);
    items
}

/// The tests by `target::function`, each with its comments and its body.
pub(crate) fn tests(project: &Project) -> BTreeMap<String, String> {
    let mut tests = BTreeMap::new();
    let cli = project
        .below(CLI)
        .filter_map(|(path, text)| Some((path.strip_prefix('/')?, text)));
    for (path, text) in project.below("tests/").chain(cli) {
        let target = path.split('/').next().unwrap_or(path);
        let target = target.strip_suffix(".rs").unwrap_or(target);
        let (mut block, mut is_test) = (String::new(), false);
        for line in text.lines() {
            if line.is_empty() {
                if block.lines().all(|line| line.starts_with("//")) {
                    block.clear();
                }
                continue;
            }
            block.push_str(line);
            block.push('\n');
            is_test |= line == "#[test]";
            if line == "}" {
                let name = block.lines().find_map(|line| line.strip_prefix("fn "));
                if let (true, Some(name)) = (is_test, name) {
                    let name = name.split('(').next().unwrap_or(name);
                    tests.insert(format!("{target}::{name}"), block.clone());
                }
                block.clear();
                is_test = false;
            }
        }
    }
    tests
}

/// The rules that a text names, each range by its ends: `V-01 to V-04` in comments, `v_01_to_v_04` in
/// the names of functions; a single one is a range of one.
pub(crate) fn mentions(text: &str) -> Vec<(String, String)> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut words = Vec::new();
    for word in text.split(|c| !is_word(c)).filter(|word| !word.is_empty()) {
        let mut parts = word.split('_').peekable();
        while let Some(part) = parts.next() {
            let number =
                parts.next_if(|number| is_id(&format!("{}-{number}", part.to_uppercase())));
            words.push(match number {
                Some(number) => format!("{}-{number}", part.to_uppercase()),
                None => part.to_owned(),
            });
        }
    }
    let mut found: Vec<(String, String)> = Vec::new();
    for (at, word) in words.iter().enumerate().filter(|(_, word)| is_id(word)) {
        let is_end = matches!(&words[..at], [.., first, to] if to == "to" && is_id(first));
        match found.last_mut() {
            Some((_, last)) if is_end => last.clone_from(word),
            _ => found.push((word.clone(), word.clone())),
        }
    }
    found
}

fn is_id(word: &str) -> bool {
    matches!(word.as_bytes(), [letter, b'-', tens, ones]
        if letter.is_ascii_uppercase() && tens.is_ascii_digit() && ones.is_ascii_digit())
}

/// Whether `text` names the rule `id`, by itself or within a range.
pub(crate) fn bears(text: &str, id: &str) -> bool {
    mentions(text)
        .iter()
        .any(|(first, last)| first[..2] == id[..2] && (&first[..]..=&last[..]).contains(&id))
}
