//! Opens what a command reads, and refuses to write over it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use crate::capture::{Reader, Record};
use crate::failure::Failure;

/// The path that means standard input or standard output.
pub(crate) const STREAM: &str = "-";

/// Opens a file, or standard input for `-`; says how to call it.
pub(crate) fn open(path: &Path) -> Result<(Box<dyn Read>, String), Failure> {
    if path == Path::new(STREAM) {
        return Ok((Box::new(io::stdin()), "standard input".to_owned()));
    }
    let name = path.display().to_string();
    match File::open(path) {
        Ok(file) => Ok((Box::new(file), name)),
        Err(error) => Err(cannot_read(&name, &error)),
    }
}

pub(crate) fn cannot_read(name: &str, why: &dyn core::fmt::Display) -> Failure {
    Failure::new(format_args!("cannot read {name}: {why}"))
}

/// A capture that is being read, and its name for people.
#[allow(missing_debug_implementations, reason = "a source has none")]
pub struct Input {
    reader: Reader<Box<dyn Read>>,
    name: String,
}

impl Input {
    /// Opens a capture, or standard input for `-`.
    ///
    /// # Errors
    /// It cannot be read, or is no capture.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let (source, name) = open(path)?;
        Self::new(source, name)
    }

    /// Reads a capture from anywhere; `name` is for the error messages.
    pub(crate) fn new(source: Box<dyn Read>, name: String) -> Result<Self, Failure> {
        match Reader::new(source) {
            Ok(reader) => Ok(Self { reader, name }),
            Err(error) => Err(cannot_read(&name, &error)),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The next packet, or `None` behind the last one.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>, Failure> {
        let name = &self.name;
        self.reader
            .next_record()
            .map_err(|error| cannot_read(name, &error))
    }
}

/// Writing into the file that is being read would destroy it.
///
/// # Errors
/// They are one file.
pub fn refuse_same_file(input: &Path, output: &Path) -> Result<(), Failure> {
    if same_file(input, output) {
        let (input, output) = (input.display(), output.display());
        return Err(Failure::new(format_args!(
            "cannot write {output}: it is the input {input}"
        )));
    }
    Ok(())
}

/// Whether two paths are one file, through links, relative paths and redirected streams too.
fn same_file(input: &Path, output: &Path) -> bool {
    let named = input == output && input != Path::new(STREAM);
    let (input, output) = (
        of_stream(input, "/dev/stdin"),
        of_stream(output, "/dev/stdout"),
    );
    // Two ends of one terminal or `/dev/null` are harmless, and are no files.
    let is_file = |path| fs::metadata(path).is_ok_and(|data| data.is_file());
    named || is_file(input) && is_file(output) && identity(input) == identity(output)
}

/// Where the system shows which file a standard stream has been redirected to.
fn of_stream<'a>(path: &'a Path, stream: &'a str) -> &'a Path {
    if path == Path::new(STREAM) {
        Path::new(stream)
    } else {
        path
    }
}

#[cfg(unix)]
fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).ok().map(|data| (data.dev(), data.ino()))
}

#[cfg(not(unix))]
fn identity(path: &Path) -> Option<std::path::PathBuf> {
    fs::canonicalize(path).ok()
}
