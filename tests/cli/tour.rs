//! `capture` without a command.

use std::fs;

use crate::example::capture;
use crate::{Folder, lines, summary};

#[test]
fn the_tour_leaves_captures_that_open_again() {
    let folder = Folder::new("tour");
    let out = folder.path("deep/er");
    let run = capture(&["--out".as_ref(), out.as_os_str()], b"");
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    let shown = String::from_utf8(run.stdout.clone()).unwrap();
    assert!(
        shown.lines().count() <= 60,
        "{} lines",
        shown.lines().count()
    );
    assert!(!shown.contains("DIFFERENT"), "{shown}");
    let mut files: Vec<_> = fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let mut written = 0;
    for file in &files {
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(shown.contains(name), "{name} is not mentioned");
        let run = capture(&["dissect".as_ref(), file.as_os_str()], b"");
        let lines = lines(&run.stdout);
        assert!(
            lines
                .iter()
                .all(|line| line["layers"][0]["src"] == "198.51.100.1"
                    || line["layers"][0]["src"] == "192.0.2.1"),
            "{name}"
        );
        written += lines.len();
    }
    let counts = summary(&run);
    assert_eq!(counts["written"], written);
    assert!(written > 0);
    // Somewhere it cannot write.
    let blocked = folder.write("file", b"");
    let run = capture(&["--out".as_ref(), blocked.join("below").as_os_str()], b"");
    assert_eq!(
        (run.status, run.stderr.lines().count()),
        (Some(2), 1),
        "{}",
        run.stderr
    );
}
