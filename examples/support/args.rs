//! Arguments and failures: whatever goes wrong is one line on standard error and status 2.

use core::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

/// What went wrong and where, in one line.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(line: impl fmt::Display) -> Self {
        Self(one_line(&line.to_string()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Runs `body` with the parsed arguments and turns its outcome into an exit status.
pub(crate) fn run<A: Parser>(
    program: &str,
    body: impl FnOnce(A) -> Result<ExitCode, Failure>,
) -> ExitCode {
    let outcome = match A::try_parse() {
        Ok(arguments) => body(arguments),
        Err(asked) if !asked.use_stderr() => print(&asked.to_string()),
        Err(wrong) => Err(Failure::new(first_paragraph(&wrong.to_string()))),
    };
    outcome.unwrap_or_else(|failure| {
        say(&format!("{program}: {failure}"));
        ExitCode::from(2)
    })
}

/// A line on standard error. If even that is closed, there is nobody left to tell.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Help and the version go to standard output.
fn print(text: &str) -> Result<ExitCode, Failure> {
    write!(io::stdout(), "{text}")
        .map_err(|error| Failure::new(format_args!("cannot write standard output: {error}")))?;
    Ok(ExitCode::SUCCESS)
}

/// clap spreads a complaint, the usage and a hint over several paragraphs; the first one says it.
fn first_paragraph(complaint: &str) -> String {
    let paragraph: Vec<&str> = complaint
        .lines()
        .take_while(|line| !line.is_empty())
        .collect();
    let joined = paragraph.join(" ");
    joined.strip_prefix("error: ").unwrap_or(&joined).to_owned()
}

/// File names and values may hold line breaks; a report must not.
fn one_line(text: &str) -> String {
    let words: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    words.join(" ")
}
