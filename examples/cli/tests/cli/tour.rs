//! `ipencap` without a command.

use std::fs;

use serde_json::json;

use crate::files::packets;
use crate::program::ipencap;
use crate::{Folder, accounted_for, bundled, lines, summary};

/// What travels on the byte stream of a TCP connection.
const STREAM: &str = "tcp-stream.pcap";

#[test]
fn the_tour_leaves_captures_that_open_again() {
    let folder = Folder::new("tour");
    let out = folder.path("deep/er");
    let run = ipencap(&["--out".as_ref(), out.as_os_str()], b"");
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    let shown = String::from_utf8(run.stdout.clone()).unwrap();
    assert!(
        shown.lines().count() <= 60,
        "{} lines",
        shown.lines().count()
    );
    assert!(!shown.contains("DIFFERENT"), "{shown}");
    for kind in ["ipip", "minenc", "gre", "fou", "gue", "tcp"] {
        let row = |line: &&str| line.trim_start().starts_with(kind) && line.contains("every byte");
        assert!(shown.lines().any(|line| row(&line)), "no {kind}: {shown}");
    }
    let mut files: Vec<_> = fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let mut written = 0;
    for file in &files {
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(shown.contains(name), "{name} is not mentioned");
        let run = ipencap(&["dissect".as_ref(), file.as_os_str()], b"");
        let lines = lines(&run.stdout);
        for line in &lines {
            let first = &line["layers"][0];
            assert_eq!(first["src"], "198.51.100.1", "{name}");
            assert_eq!(first["ck_status"], "good", "{name}");
        }
        if name != STREAM {
            written += lines.len();
        }
    }
    written += streamed(&packets(&fs::read(out.join(STREAM)).unwrap()));
    assert!(written > 0);
    // It ends with a sentence, and with the counts of all kinds on standard error.
    let last = shown.lines().last().unwrap();
    assert!(last.starts_with("All ") && last.ends_with('.'), "{last}");
    let counts = summary(&run);
    assert_eq!(run.stderr.lines().count(), 1);
    assert_eq!(counts["written"], written);
    assert_eq!(counts["packets"], accounted_for(&counts));
    assert_eq!(
        counts["dropped"],
        json!({ "Fragment": 12 }),
        "by minimal encapsulation"
    );
    // All that was wrapped is in the files.
    let wrapped: usize = shown
        .lines()
        .filter(|line| line.ends_with("every byte"))
        .map(|line| {
            let words: Vec<&str> = line.split("  ").filter(|word| !word.is_empty()).collect();
            words[3].trim().parse::<usize>().unwrap()
        })
        .sum();
    assert_eq!(wrapped, written);
    // Somewhere it cannot write.
    let blocked = folder.write("file", b"");
    let run = ipencap(&["--out".as_ref(), blocked.join("below").as_os_str()], b"");
    assert_eq!(
        (run.status, run.stderr.lines().count()),
        (Some(2), 1),
        "{}",
        run.stderr
    );
}

/// How many packets the segments carry: all of the bundled capture, one behind the other.
fn streamed(segments: &[(u32, u32, Vec<u8>)]) -> usize {
    let mut stream = Vec::new();
    for (.., segment) in segments {
        let sequence = u32::from_be_bytes(segment[24..28].try_into().unwrap());
        assert_eq!(sequence as usize, stream.len());
        stream.extend_from_slice(&segment[40..]);
    }
    let (_, packets) = bundled();
    let expected: Vec<u8> = packets
        .iter()
        .flat_map(|(.., packet)| [&(packet.len() as u16).to_be_bytes()[..], packet].concat())
        .collect();
    assert!(stream == expected, "the stream is not the bundled capture");
    packets.len()
}
