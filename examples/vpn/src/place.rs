//! Where a value was written, so that whoever is told about it finds it.

use std::path::Path;

use ipencap_cli::failure::Failure;

/// A line of the file, counted from 1, or an option of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Line(usize),
    Option(&'static str),
}

impl Place {
    /// `FILE:LINE` or the option.
    pub(crate) fn named(self, file: Option<&Path>) -> String {
        match (self, file) {
            (Self::Line(line), Some(file)) => format!("{}:{line}", file.display()),
            (Self::Line(line), None) => format!("line {line}"),
            (Self::Option(option), _) => option.to_owned(),
        }
    }
}

/// A value, and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Placed<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}

impl<T> Placed<T> {
    pub(crate) const fn new(value: T, place: Place) -> Self {
        Self { value, place }
    }

    /// What `read` makes of the value, at the same place.
    pub(crate) fn read<U>(
        self,
        read: impl FnOnce(T) -> Result<U, String>,
    ) -> Result<Placed<U>, Wrong> {
        match read(self.value) {
            Ok(value) => Ok(Placed::new(value, self.place)),
            Err(text) => Err(Wrong::new(self.place, text)),
        }
    }
}

/// What is wrong, or worth a warning, at some place.
#[derive(Clone, Debug)]
pub(crate) struct Wrong {
    place: Place,
    /// `what is wrong: what to do`
    text: String,
}

impl Wrong {
    pub(crate) fn new(place: Place, text: impl Into<String>) -> Self {
        Self {
            place,
            text: text.into(),
        }
    }

    /// One line that begins with the place.
    pub(crate) fn line(&self, file: Option<&Path>) -> String {
        format!("{}: {}", self.place.named(file), self.text)
    }

    pub(crate) fn failure(&self, file: Option<&Path>) -> Failure {
        Failure::new(self.line(file))
    }
}
