//! Runs the program with `--check`, as a person would: right and wrong configurations.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may panic"
)]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_ipencap-vpn");

struct Run {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

fn vpn(arguments: &[&str]) -> Run {
    let output = Command::new(PROGRAM)
        .args(arguments)
        .output()
        .expect("the program starts");
    Run {
        status: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("UTF-8 on standard output"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8 on standard error"),
    }
}

/// A file that is gone after the test.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: impl AsRef<[u8]>) -> Self {
        let name = format!("ipencap-vpn-{}-{name}.toml", std::process::id()).replace(' ', "-");
        let path = std::env::temp_dir().join(name);
        fs::write(&path, text).expect("the folder for temporary files can be written");
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("a path in UTF-8")
    }

    fn check(&self) -> Run {
        vpn(&["--check", "--config", self.path()])
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A file of `broken.txt` or `doubtful.txt`.
struct Case {
    name: &'static str,
    line: usize,
    /// What is said has all of these in it.
    words: Vec<&'static str>,
    text: String,
}

fn cases(file: &'static str) -> Vec<Case> {
    let case = |text: &'static str| {
        let (title, text) = text.split_once('\n')?;
        let (name, rest) = title.split_once(", line ")?;
        let (line, words) = rest.split_once(": ")?;
        Some(Case {
            name,
            line: line.parse().ok()?,
            words: words.split(" | ").collect(),
            text: spelled(text),
        })
    };
    let cases = file.split("\n=== ").skip(1).map(case);
    cases
        .map(|case| case.expect("a title with name, line and words"))
        .collect()
}

/// With addresses for the ends of layers.
fn spelled(text: &str) -> String {
    text.replace("{S}", "src=198.51.100.1,dst=203.0.113.2")
        .replace("{T}", "src=198.51.100.1,dst=203.0.113.3")
        .replace("{I}", "src=10.9.0.1,dst=10.9.0.2")
        .replace("{J}", "src=10.8.0.1,dst=10.8.0.2")
}

/// One line, with the file's name, the right line in it, what is wrong and what to do.
#[test]
fn broken_files() {
    let cases = cases(include_str!("broken.txt"));
    assert!(cases.len() >= 75, "{} cases", cases.len());
    for case in cases {
        let file = File::new(case.name, &case.text);
        assert_refused(&file, &case);
    }
}

#[test]
fn a_file_that_is_no_text() {
    let file = File::new("bytes", b"[[peer]]\nname = \"\xff\"\n");
    let case = Case {
        name: "bytes",
        line: 2,
        words: vec!["UTF-8"],
        text: String::new(),
    };
    assert_refused(&file, &case);
}

fn assert_refused(file: &File, case: &Case) {
    let run = file.check();
    let (name, said) = (case.name, run.stderr.trim_end());
    assert_eq!(run.status, Some(2), "{name}: {said} {}", run.stdout);
    assert_eq!(run.stdout, "", "{name}");
    assert_eq!(run.stderr.lines().count(), 1, "{name}: {said}");
    let place = format!("ipencap-vpn: {}:{}: ", file.path(), case.line);
    let Some(rest) = said.strip_prefix(&place) else {
        panic!("{name}: not {place} but {said}");
    };
    assert!(rest.contains(": "), "{name} names no remedy: {said}");
    for word in &case.words {
        assert!(rest.contains(word), "{name}: no '{word}' in: {said}");
    }
}

#[test]
fn doubtful_files() {
    for case in cases(include_str!("doubtful.txt")) {
        let file = File::new(case.name, &case.text);
        let run = file.check();
        let name = case.name;
        assert_eq!(run.status, Some(0), "{name}: {}", run.stderr);
        let lines = run.stdout.lines();
        let warnings: Vec<&str> = lines.filter(|line| line.starts_with("warning")).collect();
        let [warning] = warnings.as_slice() else {
            panic!("{name}: {warnings:?}");
        };
        let place = format!("warning: {}:{}: ", file.path(), case.line);
        assert!(warning.starts_with(&place), "{name}: {warning}");
        for word in &case.words {
            assert!(warning.contains(word), "{name}: no '{word}' in: {warning}");
        }
    }
}

const GOOD: &str = r#"
# Every key there is.
[interface]
name = "tun7"
address = ["10.0.0.1/24", "10.1.0.1/32"]
link_mtu = 1500
offload = false
stats_interval = 60

[[peer]]
name = "branch"
tunnel = ["ipip,{I}", "fou,{S},dport=5555"]
allowed = ["10.2.0.0/16", "10.0.0.2"]
mtu = "discover"
mss = "path"
reassemble = true
keepalive = 25

[[peer]]
name = "office"
tunnel = ["gre,{T},key=5"]
allowed = ["10.3.0.0/16"]
mtu = 1_400
mss = 1200
probe = "10.3.0.9"

[[peer]]
name = "hut"
tunnel = ["tcp,{T},sport=0,dport=443,framing=exclusive,listen=yes"]
allowed = ["10.5.0.0/16"]

[[peer]]
name = "road"
tunnel = ["gre,{J}", "minenc,{I}", "gue,src=172.16.0.1,dst=172.16.0.2", "tcp,{S},sport=0,dport=443,framing=inclusive,listen=yes"]
allowed = ["10.4.0.0/16"]
probe = "off"
mss = "off"
"#;

fn good() -> String {
    spelled(GOOD)
}

#[test]
fn a_right_file() {
    let file = File::new("good", good());
    let run = file.check();
    assert_eq!(
        (run.status, run.stderr.as_str()),
        (Some(0), ""),
        "{}",
        run.stdout
    );
    for line in [
        "peer branch: ipip in fou, by UDP 198.51.100.1:5555 to 203.0.113.2:5555",
        "peer office: gre, by IP protocol 47 at 198.51.100.1",
        "peer road: gre in minenc in gue in tcp, by TCP, listening at 198.51.100.1:443 for 203.0.113.2",
        "  allowed   10.2.0.0/16, 10.0.0.2/32",
    ] {
        assert!(
            run.stdout.lines().any(|said| said == line),
            "{line}: {}",
            run.stdout
        );
    }
    assert!(!run.stdout.contains("warning"), "{}", run.stdout);
}

/// The figures are those of `ipencap mtu`: FOU and IP-in-IP are 28 and 20 bytes, GRE with a key 28.
#[test]
fn figures_in_json() {
    let file = File::new("json", good());
    let run = vpn(&["--json", "--check", "--config", file.path()]);
    assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""));
    let said: Value = serde_json::from_str(&run.stdout).expect("one JSON object");
    let figures = |peer: &Value| {
        let keys = ["name", "link", "overhead", "inner_mtu", "tcp_mss", "probe"];
        keys.map(|key| peer[key].clone())
    };
    let peers = said["peers"].as_array().expect("a list");
    let expected = [
        [
            json!("branch"),
            json!(1500),
            json!(48),
            json!(1452),
            json!(1412),
            json!("10.0.0.2"),
        ],
        [
            json!("office"),
            json!(1400),
            json!(28),
            json!(1372),
            json!(1200),
            json!("10.3.0.9"),
        ],
        [
            json!("hut"),
            json!(1500),
            json!(42),
            json!(1458),
            json!(1418),
            json!(null),
        ],
        [
            json!("road"),
            json!(1500),
            json!(110),
            json!(1390),
            json!(1350),
            json!(null),
        ],
    ];
    assert_eq!(peers.iter().map(figures).collect::<Vec<_>>(), expected);
    assert_eq!(
        said["peers"][0]["tunnel"][0],
        json!("ipip,src=10.9.0.1,dst=10.9.0.2")
    );
    assert_eq!(said["peers"][1]["allowed"], json!(["10.3.0.0/16"]));
    assert_eq!(
        said["interface"]["address"],
        json!(["10.0.0.1/24", "10.1.0.1/32"])
    );
    assert_eq!(said["interface"]["link_mtu"], json!(1500));
    assert_eq!(said["interface"]["offload"], json!(false));
    assert_eq!(said["warnings"], json!([]));
}

#[test]
fn one_peer_without_a_file() {
    let ends = "src=198.51.100.1,dst=203.0.113.2";
    let (gre, fou) = (
        "gre,src=10.9.0.1,dst=10.9.0.2",
        format!("fou,{ends},dport=5555"),
    );
    let run = vpn(&[
        "--check",
        "--json",
        "--tunnel",
        gre,
        "--tunnel",
        &fou,
        "--tun",
        "tun9",
        "--address",
        "10.0.0.1/24",
        "--allowed",
        "10.0.0.0/24",
        "--link-mtu",
        "1400",
        "--no-routes",
    ]);
    assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""));
    let said: Value = serde_json::from_str(&run.stdout).expect("one JSON object");
    assert_eq!(said["peers"][0]["name"], json!("peer"));
    assert_eq!(said["peers"][0]["inner_mtu"], json!(1348));
    assert_eq!(said["interface"]["name"], json!("tun9"));
    assert_eq!(said["interface"]["routes"], json!(false));
    assert_eq!(said["warnings"], json!([]));

    let ipip = format!("ipip,{ends}");
    let run = vpn(&["--check", "--tunnel", &ipip]);
    assert_eq!(run.status, Some(0));
    assert!(
        run.stdout.contains("warning: --allowed: "),
        "{}",
        run.stdout
    );
    assert!(
        run.stdout.contains("  allowed   0.0.0.0/0"),
        "{}",
        run.stdout
    );
}

#[test]
fn wrong_arguments() {
    let ends = "src=198.51.100.1,dst=203.0.113.2";
    let (ipip, udp) = (format!("ipip,{ends}"), format!("fou,{ends}"));
    let cases: [(&[&str], &str); 11] = [
        (&[], "--config <FILE>"),
        (&["--check"], "--tunnel <SPEC>"),
        (&["--json", "--tunnel", &ipip], "--check"),
        (
            &["--check", "--config", "/nowhere/vpn.toml"],
            "cannot read /nowhere/vpn.toml",
        ),
        (
            &["--check", "--config", "x.toml", "--tunnel", &ipip],
            "cannot be used with",
        ),
        (
            &["--check", "--config", "x.toml", "--tun", "tun0"],
            "cannot be used with",
        ),
        (&["--check", "--tunnel", &udp], "--tunnel: "),
        (&["--check", "--tunnel", &ipip, "--tun", "a/b"], "a/b"),
        (
            &["--check", "--tunnel", &ipip, "--address", "10.0.0.1"],
            "no length",
        ),
        (
            &["--check", "--tunnel", &ipip, "--allowed", "10.0.0.1/8"],
            "set them to 0",
        ),
        (&["--check", "--tunnel", &ipip, "--link-mtu", "60"], "68"),
    ];
    for (arguments, words) in cases {
        let run = vpn(arguments);
        assert_eq!(
            (run.status, run.stdout.as_str()),
            (Some(2), ""),
            "{arguments:?}"
        );
        assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
        assert!(run.stderr.contains(words), "{arguments:?}: {}", run.stderr);
    }
}

/// The example of the help runs as it is, but with the program that is already built.
#[test]
fn help_and_its_example() {
    for help in ["--help", "-h"] {
        let run = vpn(&[help]);
        assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""));
        assert!(run.stdout.contains("Usage: ipencap-vpn"), "{}", run.stdout);
        let example = run
            .stdout
            .lines()
            .skip_while(|line| *line != "Example:")
            .nth(1);
        let (_, arguments) = example
            .and_then(|line| line.split_once(" -- "))
            .expect("an example");
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let run = vpn(&arguments);
        assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""));
        assert!(!run.stdout.contains("warning"), "{}", run.stdout);
    }
}

/// What a connection has no use for costs nothing, and the program says where a figure is not final.
#[test]
fn figures_of_what_will_run() {
    let tcp =
        "tcp,src=198.51.100.1,dst=203.0.113.2,sport=0,dport=443,framing=exclusive,timestamps=yes";
    let run = vpn(&["--check", "--json", "--tunnel", tcp]);
    let said: Value = serde_json::from_str(&run.stdout).expect("one JSON object");
    assert_eq!(said["peers"][0]["overhead"], json!(42));
    assert_eq!(said["peers"][0]["inner_mtu"], json!(1458));

    let text = |link: &str, mtu: u16| {
        let peer = r#"[[peer]]
            name = "a"
            tunnel = ["ipip,{S}"]
            allowed = ["10.2.0.0/16"]"#;
        spelled(&format!("[interface]\n{link}\n{peer}\nmtu = {mtu}\n"))
    };
    let cases = [
        ("", 9000, "  outer MTU 1500, until the link has been asked"),
        ("", 1400, "  outer MTU 1400"),
        ("link_mtu = 9000", 8000, "  outer MTU 8000"),
    ];
    for (link, mtu, expected) in cases {
        let file = File::new("outer", text(link, mtu));
        let run = file.check();
        let is_said = run.stdout.lines().any(|line| line == expected);
        assert!(is_said, "{expected}: {}", run.stdout);
    }
}
