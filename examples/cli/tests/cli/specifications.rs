//! Which SPEC is right, key by key and kind by kind.

use crate::program::{Run, ipencap};
use crate::{P, hex, raw_capture};

const ENDS: &str = "src=198.51.100.1,dst=203.0.113.2";

/// Kinds with the keys they cannot do without.
const KINDS: [(&str, &str); 6] = [
    ("ipip", ""),
    ("fou", ",dport=5555"),
    ("gue", ""),
    ("gre", ""),
    ("tcp", ",sport=40001,dport=443"),
    ("minenc", ""),
];

/// A key, the kinds that have it, right values and wrong ones.
type Key = (
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
    &'static [&'static str],
);

const ALL: &[&str] = &["ipip", "fou", "gue", "gre", "tcp", "minenc"];
const BUT_MINENC: &[&str] = &["ipip", "fou", "gue", "gre", "tcp"];
const NOT_YES_NOR_NO: &[&str] = &["", "true", "1", "YES", "yes ", "no;"];
const NO_16_BITS: &[&str] = &["", "65536", "-1", "+1", "0x10", "1.0", " 1", "auto1"];
const NO_32_BITS: &[&str] = &[
    "",
    "4294967296",
    "-1",
    "+1",
    "0x10",
    "1 ",
    "99999999999999999999",
];

const KEYS: [Key; 26] = [
    (
        "ttl",
        BUT_MINENC,
        &["1", "255", "inherit"],
        &["0", "256", "", "copy", "-1"],
    ),
    (
        "dscp",
        BUT_MINENC,
        &["0", "63", "copy"],
        &["64", "", "inherit", "-1", "ef"],
    ),
    (
        "ecn",
        BUT_MINENC,
        &["normal", "compat", "rfc3168"],
        &["", "none", "RFC3168", "copy"],
    ),
    (
        "df",
        BUT_MINENC,
        &["set", "copy"],
        &["", "clear", "0", "yes"],
    ),
    ("id", BUT_MINENC, &["0", "65535"], NO_16_BITS),
    ("forward", ALL, &["yes", "no"], NOT_YES_NOR_NO),
    (
        "mtu",
        BUT_MINENC,
        &["68", "65535"],
        &["0", "65536", "", "-1", "none"],
    ),
    (
        "inner",
        ALL,
        &["0.0.0.0/0", "10.1.0.0/16", "10.1.0.5/32", "10.1.0.5"],
        &[
            "",
            "10.1.0.0/33",
            "10.1.0.0/",
            "10.1.0.0/-1",
            "10.1.2.3/8",
            "10.1/16",
            "any",
            "::/0",
        ],
    ),
    ("multicast", ALL, &["yes", "no"], NOT_YES_NOR_NO),
    (
        "nested",
        ALL,
        &["transit", "refuse"],
        &["", "yes", "no", "4"],
    ),
    (
        "dport",
        &["fou", "gue", "tcp"],
        &["1", "65535"],
        &["0", "65536", "", "-1", "auto"],
    ),
    (
        "sport",
        &["fou", "gue"],
        &["0", "65535", "auto"],
        NO_16_BITS,
    ),
    (
        "sport",
        &["tcp"],
        &["0", "65535"],
        &["65536", "", "-1", "auto"],
    ),
    (
        "csum",
        &["fou", "gue"],
        &["lco", "full", "zero"],
        &["", "yes", "no", "none", "LCO"],
    ),
    (
        "csum",
        &["gre"],
        &["yes", "no"],
        &["", "lco", "full", "zero", "1"],
    ),
    ("variant", &["gue"], &["0", "1"], &["2", "", "-1", "yes"]),
    ("key", &["gre"], &["0", "4294967295"], NO_32_BITS),
    ("seq", &["gre"], &["yes", "no"], &["", "0", "1", "7"]),
    (
        "seq",
        &["tcp"],
        &["0", "4294967295"],
        &["", "yes", "no", "4294967296"],
    ),
    ("ack", &["tcp"], &["0", "4294967295"], NO_32_BITS),
    ("window", &["tcp"], &["0", "65535"], NO_16_BITS),
    ("timestamps", &["tcp"], &["yes", "no"], NOT_YES_NOR_NO),
    (
        "ts",
        &["tcp"],
        &["0:0", "4294967295:4294967295"],
        &[
            "",
            "0",
            ":",
            "0:",
            ":0",
            "1:2:3",
            "4294967296:0",
            "0:-1",
            "yes",
        ],
    ),
    (
        "framing",
        &["tcp"],
        &["none", "exclusive", "inclusive"],
        &["", "bare", "yes", "16"],
    ),
    ("keep_source", &["minenc"], &["yes"], NOT_YES_NOR_NO),
    ("colour", &[], &["red"], &[]),
];

fn tried(command: &str, spec: &str) -> Run {
    ipencap(
        &[command, "--tunnel", spec, "-", "-"],
        &raw_capture(&[hex(P)]),
    )
}

/// One line, status 2, nothing written.
fn assert_refused(run: &Run, spec: &str, says: &str) {
    assert_eq!(
        (run.status, run.stderr.lines().count(), run.stdout.len()),
        (Some(2), 1, 0),
        "{spec}: {}",
        run.stderr
    );
    assert!(run.stderr.contains(says), "no {says} in {}", run.stderr);
}

/// The kind with all it needs but this key, which is given below.
fn without(kind: &str, needed: &str, key: &str) -> String {
    let needed: Vec<&str> = needed
        .split(',')
        .filter(|item| !item.is_empty() && !item.starts_with(&format!("{key}=")))
        .collect();
    let needed = needed.iter().map(|item| format!(",{item}"));
    format!("{kind},{ENDS}{}", needed.collect::<String>())
}

#[test]
fn each_kind_takes_its_keys_within_their_ranges() {
    for (kind, needed) in KINDS {
        for (key, kinds, right, wrong) in KEYS {
            if !kinds.contains(&kind) {
                continue;
            }
            let kind = without(kind, needed, key);
            for value in right {
                let spec = format!("{kind},{key}={value}");
                for command in ["encap", "decap"] {
                    let run = tried(command, &spec);
                    assert_eq!(run.status, Some(0), "{command} {spec}: {}", run.stderr);
                }
            }
            for value in wrong {
                let spec = format!("{kind},{key}={value}");
                assert_refused(&tried("encap", &spec), &spec, &format!("{key}={value}"));
            }
            let nameless = format!("{kind},{key}");
            assert_refused(&tried("decap", &nameless), &nameless, key);
            let twice = format!("{kind},{key}={0},{key}={0}", right[0]);
            let run = tried("decap", &twice);
            if key == "inner" {
                assert_eq!(run.status, Some(0), "{}", run.stderr);
            } else {
                assert_refused(&run, &twice, key);
            }
        }
    }
}

#[test]
fn no_kind_takes_the_keys_of_others() {
    for (kind, needed) in KINDS {
        for (key, _, right, _) in KEYS {
            let has_it = KEYS
                .iter()
                .any(|(known, kinds, ..)| *known == key && kinds.contains(&kind));
            if has_it {
                continue;
            }
            let spec = format!("{kind},{ENDS}{needed},{key}={}", right[0]);
            for command in ["encap", "decap"] {
                assert_refused(&tried(command, &spec), &spec, key);
            }
            let run = ipencap(&["mtu", "--tunnel", &spec], b"");
            assert_refused(&run, &spec, key);
        }
    }
}

#[test]
fn what_a_kind_needs_must_be_said() {
    for (kind, needed) in KINDS {
        let ends = ENDS.split(',').map(str::to_owned);
        let others = needed.split(',').filter(|item| !item.is_empty());
        let all: Vec<String> = ends.chain(others.map(str::to_owned)).collect();
        for missing in &all {
            let rest: Vec<&str> = all
                .iter()
                .filter(|item| *item != missing)
                .map(String::as_str)
                .collect();
            let spec = format!("{kind},{}", rest.join(","));
            let (key, _) = missing.split_once('=').unwrap();
            assert_refused(&tried("encap", &spec), &spec, key);
        }
        // E-13, E-14, in every kind.
        for (key, address) in [
            ("src", "0.0.0.0"),
            ("src", "127.0.0.1"),
            ("src", "224.0.0.1"),
            ("dst", "240.0.0.1"),
            ("dst", "255.255.255.255"),
            ("dst", "198.51.100"),
            ("dst", "::1"),
            ("dst", ""),
        ] {
            let given = if key == "src" {
                format!("src={address},dst=203.0.113.2")
            } else {
                format!("src=198.51.100.1,dst={address}")
            };
            let spec = format!("{kind},{given}{needed}");
            let says = format!("{key}={address}");
            assert_refused(&tried("encap", &spec), &spec, &says);
            assert_refused(&tried("decap", &spec), &spec, &says);
        }
    }
}

#[test]
fn values_that_contradict_each_other_are_refused() {
    let spec = format!("tcp,{ENDS},sport=1,dport=2,timestamps=no,ts=1:2");
    assert_refused(&tried("encap", &spec), &spec, "ts=1:2");
}

#[test]
fn what_is_no_kind_is_said_with_those_that_are() {
    for spec in [
        "vxlan",
        "IPIP",
        " ipip",
        "ipip ",
        "ipip;src=1.2.3.4",
        "=",
        "ipip6",
    ] {
        let spec = format!("{spec},{ENDS}");
        let run = tried("encap", &spec);
        assert_refused(&run, &spec, "ipip, fou, gue, gre, tcp, minenc");
    }
    // The wrong one of several.
    let right = format!("ipip,{ENDS}");
    let run = ipencap(
        &["encap", "--tunnel", &right, "--tunnel", "fou", "-", "-"],
        b"",
    );
    assert_refused(&run, "fou", "'fou'");
}
