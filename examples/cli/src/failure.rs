//! Failures: whatever goes wrong is one line on standard error and status 2.

use core::fmt;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

/// Why a run ends before its work is done.
#[derive(Debug)]
pub enum Failure {
    /// What went wrong and where, in one line.
    Because(String),
    /// The reader of what is written has gone away, as `head` does: no error.
    ClosedPipe,
}

impl Failure {
    /// Because of this line.
    pub fn new(line: impl fmt::Display) -> Self {
        Self::Because(one_line(&line.to_string()))
    }

    /// What could not be written, and why.
    pub fn write(name: impl fmt::Display, error: &io::Error) -> Self {
        if error.kind() == ErrorKind::BrokenPipe {
            Self::ClosedPipe
        } else {
            Self::new(format_args!("cannot write {name}: {error}"))
        }
    }

    /// The exit status, and the line if there is something to say.
    #[must_use]
    pub fn report(&self, program: &str) -> ExitCode {
        match self {
            Self::Because(line) => {
                say(&format!("{program}: {line}"));
                ExitCode::from(2)
            }
            Self::ClosedPipe => ExitCode::SUCCESS,
        }
    }
}

/// A line on standard error. If even that is closed, there is nobody left to tell.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Text on standard output.
///
/// # Errors
/// It cannot be written.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| Failure::write("standard output", &error))
}

/// File names and values may hold line breaks; a report must not.
pub fn one_line(text: &str) -> String {
    let words: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    words.join(" ")
}
