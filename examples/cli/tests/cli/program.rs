//! Runs the program as a person would, from the outside.

use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;

/// Where cargo has put the program.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_ipencap");

/// What a run left behind.
pub(crate) struct Run {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

/// The program with these arguments and this on its standard input.
pub(crate) fn ipencap<A: AsRef<OsStr>>(arguments: &[A], stdin: &[u8]) -> Run {
    let mut child = Command::new(PROGRAM)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut pipe = child.stdin.take().expect("standard input is piped");
    thread::scope(|scope| {
        // The program may end without reading it all: then the pipe breaks, as it should.
        scope.spawn(move || {
            // In pieces, as pipes deliver.
            stdin
                .chunks(997)
                .try_for_each(|piece| pipe.write_all(piece))
        });
        let output = child.wait_with_output().expect("the program ends");
        Run {
            status: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).expect("UTF-8 on standard error"),
        }
    })
}
