//! Runs the examples as a person would, from the outside.

use std::ffi::OsStr;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

/// What a run left behind.
pub(crate) struct Run {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

/// `capture` with these arguments and this on its standard input.
pub(crate) fn capture<A: AsRef<OsStr>>(arguments: &[A], stdin: &[u8]) -> Run {
    run("capture", arguments, stdin)
}

/// An example with these arguments and this on its standard input.
pub(crate) fn run<A: AsRef<OsStr>>(example: &str, arguments: &[A], stdin: &[u8]) -> Run {
    let mut child = Command::new(program(example))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the example starts");
    let mut pipe = child.stdin.take().expect("standard input is piped");
    thread::scope(|scope| {
        // The program may end without reading it all: then the pipe breaks, as it should.
        scope.spawn(move || {
            // In pieces, as pipes deliver.
            stdin
                .chunks(997)
                .try_for_each(|piece| pipe.write_all(piece))
        });
        let output = child.wait_with_output().expect("the example ends");
        Run {
            status: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).expect("UTF-8 on standard error"),
        }
    })
}

/// Where cargo puts the example: beside the folder of this test.
pub(crate) fn program(example: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let profile = test
        .ancestors()
        .nth(2)
        .expect("a test lies in target/PROFILE/deps");
    let name = format!("{example}{}", std::env::consts::EXE_SUFFIX);
    let program = profile.join("examples").join(name);
    assert!(
        program.exists(),
        "{} is missing: `cargo test` builds it, `cargo test --test …` does not; run \
         `cargo build --examples` first",
        program.display()
    );
    program
}
