//! Help, wrong arguments, and files that cannot be used.

use std::fs;

use crate::files::Pcap;
use crate::program::{PROGRAM, ipencap};
use crate::{Folder, P, RAW, TUNNEL, hex, transform};

/// What each `--help` and `-h` says for itself: usage, and one line to run as it is.
#[test]
fn help_ends_well_and_its_example_runs() {
    let folder = Folder::new("help");
    for command in [
        "", "dissect", "draw", "encap", "decap", "stream", "unstream", "mtu", "endpoint",
    ] {
        for help in ["--help", "-h"] {
            let arguments: Vec<&str> = [command, help]
                .into_iter()
                .filter(|word| !word.is_empty())
                .collect();
            let run = ipencap(&arguments, b"");
            assert_eq!(
                (run.status, run.stderr.as_str()),
                (Some(0), ""),
                "{command}"
            );
            let text = String::from_utf8(run.stdout).unwrap();
            let usage = format!("Usage: ipencap {command}");
            assert!(text.contains(usage.trim_end()), "{text}");
            let example: Vec<&str> = text
                .lines()
                .skip_while(|line| *line != "Example:")
                .skip(1)
                .collect();
            assert_eq!(example.len(), 1, "{command}");
            assert!(example[0].contains(command), "{example:?}");
            if help == "--help" {
                run_example(example[0].trim(), &folder);
            }
        }
    }
}

/// How the help and the README call the program.
const CARGO: &str = "cargo run --release -p ipencap-cli";

/// Runs a line of the help as it is, but with the program that is already built, and with files in
/// the test's folder.
fn run_example(line: &str, folder: &Folder) {
    if !cfg!(unix) {
        return;
    }
    let tour = format!("{PROGRAM} --out {}", folder.path("tour").display());
    let line = line
        .replace("/tmp/", &format!("{}/", folder.0.display()))
        .replace(&format!("{CARGO} --"), PROGRAM)
        .replace(CARGO, &tour);
    assert!(!line.contains("cargo"), "{line}");
    let output = std::process::Command::new("sh")
        .args(["-c", &line])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{line}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Every command of the README that calls the program.
#[test]
fn the_commands_of_the_readme_run() {
    let folder = Folder::new("readme");
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let commands: Vec<&str> = readme
        .lines()
        .filter(|line| line.starts_with(CARGO))
        .collect();
    // The tour, and a tunnel of each kind in the gallery.
    assert!(commands.contains(&CARGO));
    for kind in [
        "ipip,", "fou,", "gue,", "tcp,", "stream ", "gre,", "minenc,",
    ] {
        assert!(commands.iter().any(|line| line.contains(kind)), "{kind}");
    }
    for command in commands {
        run_example(command, &folder);
    }
}

#[test]
fn version_is_the_packages() {
    for argument in ["--version", "-V"] {
        let run = ipencap(&[argument], b"");
        let expected = format!("ipencap {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!((run.status, run.stdout), (Some(0), expected.into_bytes()));
        let run = ipencap(&["encap", argument], b"");
        assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""));
    }
}

#[test]
fn wrong_arguments_are_one_line_and_status_2() {
    let folder = Folder::new("arguments");
    let input = folder.write("in.pcap", &Pcap::new(RAW).packet(0, 0, &hex(P)).bytes());
    let out = folder.path("out.pcap");
    let tunnel = |spec: &str| -> Vec<String> {
        let (input, out) = (input.display().to_string(), out.display().to_string());
        ["encap", "--tunnel", spec]
            .map(str::to_owned)
            .into_iter()
            .chain([input, out])
            .collect()
    };
    let words = |line: &str| -> Vec<String> { line.split(' ').map(str::to_owned).collect() };
    let addresses = |rest: &str| tunnel(&format!("{TUNNEL},{rest}"));
    for (arguments, says) in [
        (words("fly"), "fly"),
        (words("dissect"), "IN"),
        (words("dissect --deep in.pcap"), "--deep"),
        (words("encap in.pcap out.pcap"), "--tunnel"),
        (words("--out somewhere dissect in.pcap"), "--out"),
        (
            words("dissect /nowhere/at/all.pcap"),
            "/nowhere/at/all.pcap",
        ),
        (
            tunnel("vxlan,src=198.51.100.1,dst=203.0.113.2,dport=4789"),
            "vxlan",
        ),
        (tunnel("sixinfour"), "sixinfour"),
        (tunnel(""), "--tunnel"),
        (tunnel("ipip"), "src"),
        (tunnel("ipip,src=198.51.100.1"), "dst"),
        (tunnel("ipip,dst=198.51.100.1"), "src"),
        (
            tunnel("ipip,src=198.51.100,dst=203.0.113.2"),
            "src=198.51.100",
        ),
        (addresses("colour=red"), "colour"),
        (addresses("dport=5555"), "dport"),
        (addresses("ttl"), "ttl"),
        (addresses(""), "key=value"),
        (addresses("ttl=64,ttl=64"), "ttl"),
        (addresses("src=198.51.100.1"), "src"),
        (addresses("ttl=0"), "ttl=0"),
        (addresses("ttl=256"), "ttl=256"),
        (addresses("ttl=+64"), "ttl=+64"),
        (addresses("ttl="), "ttl="),
        (addresses("ttl=copy"), "ttl=copy"),
        (addresses("dscp=64"), "dscp=64"),
        (addresses("dscp=-1"), "dscp=-1"),
        (addresses("ecn=on"), "ecn=on"),
        (addresses("df=clear"), "df=clear"),
        (addresses("id=65536"), "id=65536"),
        (addresses("forward=maybe"), "forward=maybe"),
        (addresses("mtu=0"), "mtu=0"),
        (addresses("mtu=65536"), "mtu=65536"),
        (addresses("inner=10.1.0.0"), ""),
        (addresses("inner=10.0.0.0/33"), "inner=10.0.0.0/33"),
        (addresses("inner=10.1.2.3/8"), "inner=10.1.2.3/8"),
        (addresses("inner=ten/8"), "inner=ten/8"),
        (addresses("multicast=perhaps"), "multicast=perhaps"),
        (addresses("nested=4"), "nested=4"),
    ] {
        // One of the rows is right: a prefix may be an address.
        if says.is_empty() {
            assert_eq!(ipencap(&arguments, b"").status, Some(0));
            fs::remove_file(&out).unwrap();
            continue;
        }
        let run = ipencap(&arguments, b"");
        assert_eq!(
            (run.status, run.stdout.len()),
            (Some(2), 0),
            "{arguments:?}: {}",
            run.stderr
        );
        assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
        assert!(run.stderr.starts_with("ipencap: "), "{}", run.stderr);
        assert!(run.stderr.contains(says), "no {says} in {}", run.stderr);
        assert!(!out.exists(), "{arguments:?}");
    }
}

/// E-13, E-14: the outer addresses, at either end of the tunnel.
#[test]
fn forbidden_addresses_are_refused() {
    let good = "198.51.100.1";
    for bad in [
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
    ] {
        for command in ["encap", "decap"] {
            for (src, dst, says) in [(bad, good, "src="), (good, bad, "dst=")] {
                let spec = format!("ipip,src={src},dst={dst}");
                let run = ipencap(&[command, "--tunnel", &spec, "-", "-"], b"");
                assert_eq!(
                    (run.status, run.stderr.lines().count()),
                    (Some(2), 1),
                    "{spec}"
                );
                assert!(
                    run.stderr.contains(&format!("{says}{bad}")),
                    "{}",
                    run.stderr
                );
            }
        }
    }
}

#[test]
fn the_input_is_never_the_output() {
    let folder = Folder::new("same");
    let bytes = Pcap::new(RAW).packet(0, 0, &hex(P)).bytes();
    let input = folder.write("in.pcap", &bytes);
    let mut names = vec![
        input.clone(),
        folder.path("../same/in.pcap"),
        folder.path("./in.pcap"),
    ];
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&input, folder.path("soft.pcap")).unwrap();
        names.push(folder.path("soft.pcap"));
        fs::hard_link(&input, folder.path("hard.pcap")).unwrap();
        names.push(folder.path("hard.pcap"));
    }
    for output in names {
        for (input, output) in [(&input, &output), (&output, &input)] {
            let run = transform("encap", &[TUNNEL], input, output);
            assert_eq!(run.status, Some(2), "{}", output.display());
            assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
            assert_eq!(fs::read(input).unwrap(), bytes);
        }
    }
}

#[test]
fn a_file_that_cannot_be_used_is_named() {
    let folder = Folder::new("unusable");
    let good = folder.write("good.pcap", &Pcap::new(RAW).bytes());
    let old = folder.write("old.pcap", b"precious");
    let cases: [(&[u8], &str); 4] = [
        (b"", "empty"),
        (b"\xd4\xc3\xb2\xa1\x02\x00", "ends"),
        (b"\x0a\x0d\x0d\x0a\x1c\x00\x00\x00", "ends"),
        (
            b"GIF89a, and then a lot that is no capture at all",
            "neither",
        ),
    ];
    for (bytes, says) in cases {
        let bad = folder.write("bad.pcap", bytes);
        let run = transform("encap", &[TUNNEL], &bad, &old);
        assert_eq!(
            (run.status, run.stderr.lines().count()),
            (Some(2), 1),
            "{}",
            run.stderr
        );
        assert!(
            run.stderr.contains("bad.pcap") && run.stderr.contains(says),
            "{}",
            run.stderr
        );
        assert_eq!(
            fs::read(&old).unwrap(),
            b"precious",
            "an unreadable input cost the output"
        );
    }
    let nowhere = folder.path("no/such/folder/out.pcap");
    let run = transform("encap", &[TUNNEL], &good, &nowhere);
    assert_eq!((run.status, run.stderr.lines().count()), (Some(2), 1));
    assert!(run.stderr.contains("no/such/folder"), "{}", run.stderr);
    let run = transform("encap", &[TUNNEL], &folder.0, &folder.path("out.pcap"));
    assert_eq!(
        (run.status, run.stderr.lines().count()),
        (Some(2), 1),
        "{}",
        run.stderr
    );
}
