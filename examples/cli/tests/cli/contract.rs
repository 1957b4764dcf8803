//! What holds for every command: how it ends, and what it says last.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::files::Pcap;
use crate::program::{PROGRAM, ipencap};
use crate::{Folder, P, RAW, TUNNEL, accounted_for, bundled, hex, raw_capture, summary};

/// A tunnel that says which inner sources it accepts, so that `decap` need not.
fn quiet_tunnel() -> String {
    format!("{TUNNEL},inner=0.0.0.0/0")
}

/// Each command that reads one file and writes to standard output.
fn commands_that_print(folder: &Folder) -> Vec<Vec<String>> {
    let (lan, _) = bundled();
    let lan = lan.display().to_string();
    let tunnel = quiet_tunnel();
    let wrapped = folder.path("wrapped.pcap").display().to_string();
    let run = ipencap(&["encap", "--tunnel", &tunnel, &lan, &wrapped], b"");
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    let stream = folder.path("stream").display().to_string();
    let run = ipencap(&["stream", "--framing", "exclusive", &lan, &stream], b"");
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    let tour = folder.path("tour").display().to_string();
    [
        &["dissect", &lan][..],
        &["draw", &lan],
        &["encap", "--tunnel", &tunnel, &lan, "-"],
        &["decap", "--tunnel", &tunnel, &wrapped, "-"],
        &["stream", "--framing", "exclusive", &lan, "-"],
        &["unstream", "--framing", "exclusive", &stream, "-"],
        &["mtu"],
        &["mtu", "--json"],
        &["--out", &tour],
        &["--help"],
        &["encap", "--help"],
        &["--version"],
    ]
    .map(|words| words.iter().map(|&word| word.to_owned()).collect())
    .to_vec()
}

#[test]
fn a_closed_pipe_ends_every_command_quietly() {
    let folder = Folder::new("closed");
    for arguments in commands_that_print(&folder) {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = Command::new(PROGRAM)
            .args(&arguments)
            .stdin(Stdio::null())
            .stdout(writer)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
            .wait_with_output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            (output.status.code(), said.as_str()),
            (Some(0), ""),
            "{arguments:?}"
        );
    }
}

#[test]
fn a_full_disk_is_one_line_and_status_2() {
    let Ok(full) = fs::OpenOptions::new().write(true).open("/dev/full") else {
        println!("skipped: no /dev/full");
        return;
    };
    let folder = Folder::new("full");
    for arguments in commands_that_print(&folder) {
        let output = Command::new(PROGRAM)
            .args(&arguments)
            .stdin(Stdio::null())
            .stdout(full.try_clone().unwrap())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
            .wait_with_output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let lines = said.lines().count();
        assert_eq!(
            (output.status.code(), lines),
            (Some(2), 1),
            "{arguments:?}: {said}"
        );
        let says = "ipencap: cannot write standard output: ";
        assert!(said.starts_with(says), "{arguments:?}: {said}");
    }
}

/// The last line on standard error: packets are passed over, written or dropped.
#[test]
fn every_run_that_ends_well_counts_all_packets() {
    let folder = Folder::new("counts");
    for arguments in commands_that_print(&folder) {
        let run = ipencap(&arguments, b"");
        assert_eq!(run.status, Some(0), "{arguments:?}: {}", run.stderr);
        match arguments[0].as_str() {
            "dissect" => {
                let counts = summary(&run);
                assert_eq!(counts["written"], 0);
                assert_eq!(
                    counts["packets"],
                    run.stdout.split(|byte| *byte == b'\n').count() - 1
                );
            }
            "draw" => assert_eq!(summary(&run)["written"], 0),
            "encap" | "decap" | "stream" | "unstream" | "--out" if arguments[1] != "--help" => {
                let counts = summary(&run);
                assert_eq!(counts["packets"], accounted_for(&counts), "{arguments:?}");
                assert!(counts["written"].as_u64().unwrap() > 0, "{arguments:?}");
                let names: Vec<&String> = counts.as_object().unwrap().keys().collect();
                assert_eq!(names, ["packets", "passed_over", "written", "dropped"]);
            }
            _ => assert_eq!(run.stderr, "", "{arguments:?}"),
        }
    }
}

/// A record of 2 GiB: what is in front of it is written, and the error is the last line.
#[test]
fn an_impossible_record_is_named_behind_what_could_be_read() {
    let folder = Folder::new("impossible");
    let mut bytes = Pcap::new(RAW).packet(1, 2, &hex(P)).bytes();
    let place = bytes.len();
    bytes.extend([0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0]);
    bytes.extend([0x45; 100]);
    let input = folder.write("in.pcap", &bytes);
    let says = format!(
        "ipencap: cannot read {}: a packet of 2147483647 bytes, of which no capture has more than \
         262144, at byte {place} behind packet 1",
        input.display()
    );
    let input = input.display().to_string();
    for command in [
        &["dissect", &input][..],
        &["encap", "--tunnel", TUNNEL, &input, "-"],
        &["decap", "--tunnel", &quiet_tunnel(), &input, "-"],
        &["stream", "--framing", "bare", &input, "-"],
        &["draw", &input],
    ] {
        let run = ipencap(command, b"");
        assert_eq!(run.status, Some(2), "{command:?}");
        assert_eq!(
            run.stderr.lines().last(),
            Some(says.as_str()),
            "{command:?}"
        );
        assert!(!run.stdout.is_empty(), "{command:?}");
    }
}

/// IN equal to OUT, by every name that one file can have, for every command with both.
#[cfg(unix)]
#[test]
fn no_command_writes_over_what_it_reads() {
    let folder = Folder::new("over");
    let bytes = raw_capture(&[&hex(P)]);
    let input = folder.write("in.pcap", &bytes);
    let (soft, hard) = (folder.path("soft.pcap"), folder.path("hard.pcap"));
    std::os::unix::fs::symlink(&input, &soft).unwrap();
    fs::hard_link(&input, &hard).unwrap();
    let dotted = folder.path("../over/./in.pcap");
    let tunnel = quiet_tunnel();
    for options in [
        &["encap", "--tunnel", &tunnel][..],
        &["decap", "--tunnel", &tunnel],
        &["stream", "--framing", "bare"],
        &["unstream", "--framing", "bare"],
    ] {
        for output in [&input, &soft, &hard, &dotted] {
            for (from, to) in [(&input, output), (output, &input)] {
                let (from, to) = (from.to_str().unwrap(), to.to_str().unwrap());
                let run = ipencap(&[options, &[from, to]].concat(), b"");
                assert_eq!(run.status, Some(2), "{options:?} {from} {to}");
                assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
                assert!(run.stderr.contains("it is the input"), "{}", run.stderr);
                assert_eq!(fs::read(&input).unwrap(), bytes);
            }
        }
        // Redirected, as a shell does it.
        let file = fs::OpenOptions::new().append(true).open(&input).unwrap();
        let output = Command::new(PROGRAM)
            .args(options)
            .args([input.to_str().unwrap(), "-"])
            .stdout(file)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{options:?}");
        assert_eq!(fs::read(&input).unwrap(), bytes);
    }
}

/// A summary is one JSON object and nothing else, whatever was dropped.
#[test]
fn reasons_are_bare_names() {
    let mut cut = hex(P);
    cut.truncate(30);
    let mut bad = hex(P);
    bad[10] ^= 1;
    let run = ipencap(
        &["encap", "--tunnel", TUNNEL, "-", "-"],
        &raw_capture(&[cut, bad, hex(P)]),
    );
    let counts: Value = summary(&run);
    let dropped = serde_json::json!({"BadChecksum": 1, "Truncated": 1});
    assert_eq!(
        (&counts["dropped"], &counts["written"]),
        (&dropped, &1.into())
    );
    let run = ipencap(
        &["decap", "--tunnel", &quiet_tunnel(), "-", "-"],
        &raw_capture(&[hex(P)]),
    );
    let counts = summary(&run);
    assert_eq!(counts["packets"], accounted_for(&counts));
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
}
