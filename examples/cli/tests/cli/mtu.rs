//! `ipencap mtu`.

use serde_json::{Value, json};

use crate::program::{Run, ipencap};
use crate::vectors;

const ENDS: &str = "src=198.51.100.1,dst=203.0.113.2";

fn mtu(arguments: &[&str]) -> Run {
    ipencap(&[&["mtu"], arguments].concat(), b"")
}

fn rows(specs: &[&str], links: &[&str]) -> Vec<Value> {
    let specs: Vec<String> = specs.iter().map(|spec| format!("{spec},{ENDS}")).collect();
    let mut arguments = vec!["--json"];
    for spec in &specs {
        arguments.extend(["--tunnel", spec]);
    }
    for link in links {
        arguments.extend(["--link", link]);
    }
    let run = mtu(&arguments);
    assert_eq!(
        (run.status, run.stderr.as_str()),
        (Some(0), ""),
        "{arguments:?}"
    );
    let rows: Value = serde_json::from_slice(&run.stdout).unwrap();
    rows.as_array().unwrap().clone()
}

/// The tables of the specification, and the stacks that say them; none for those without a SPEC.
const TABLES: [(&str, &[&[&str]]); 19] = [
    ("plain", &[]),
    ("IPIP (RFC 2003)", &[&["ipip"]]),
    ("IPIP×2", &[&["ipip", "ipip"]]),
    ("IPIP×3", &[&["ipip", "ipip", "ipip"]]),
    (
        "UDP / FOU (IP+UDP)",
        &[&["fou,dport=5555"], &["gue,variant=1"]],
    ),
    ("GUE v0, no ext (IP+UDP+4)", &[&["gue"]]),
    ("GUE v0 + RCO ext (Hlen 2)", &[]),
    ("GLB GUE, 1 extra hop (Hlen 2)", &[]),
    (
        "IPIP+UDP (IP+UDP+IP)",
        &[&["ipip", "fou,dport=5555"], &["fou,dport=5555", "ipip"]],
    ),
    ("TCP segment, 20-byte hdr", &[&["tcp,sport=1,dport=2"]]),
    (
        "TCP segment, 32-byte hdr (timestamps)",
        &[
            &["tcp,sport=1,dport=2,timestamps=yes"],
            &["tcp,sport=1,dport=2,ts=1:2"],
        ],
    ),
    (
        "TCP stream, 20-byte hdr + 2-byte prefix",
        &[
            &["tcp,sport=1,dport=2,framing=exclusive"],
            &["tcp,sport=1,dport=2,framing=inclusive"],
        ],
    ),
    (
        "TCP stream, 32-byte hdr + 2-byte prefix",
        &[&["tcp,sport=1,dport=2,framing=exclusive,timestamps=yes"]],
    ),
    ("GRE base", &[&["gre"]]),
    (
        "GRE +key or +csum",
        &[&["gre,key=1"], &["gre,csum=yes"], &["gre,seq=yes"]],
    ),
    ("GRE +csum+key+seq", &[&["gre,key=1,csum=yes,seq=yes"]]),
    ("GRE-in-UDP (RFC 8086)", &[]),
    ("Minimal encap S=1 (RFC 2004)", &[&["minenc"]]),
    ("Minimal encap S=0", &[&["minenc,keep_source=no"]]),
];

#[test]
fn the_tables_of_the_specification() {
    let tables = vectors("mtu");
    let tables = tables.as_array().unwrap();
    assert_eq!(tables.len(), TABLES.len());
    let plain: Vec<Value> = comparison(&["576", "1280", "1400", "1492", "1500", "9000"])
        .into_iter()
        .filter(|row| row["name"] == "plain")
        .collect();
    for (table, (name, stacks)) in tables.iter().zip(TABLES) {
        assert_eq!(table["encap"], name);
        let expected = table["rows"].as_array().unwrap();
        let links: Vec<String> = expected
            .iter()
            .map(|row| row["link_mtu"].to_string())
            .collect();
        let links: Vec<&str> = links.iter().map(String::as_str).collect();
        let mut shown: Vec<Vec<Value>> = stacks.iter().map(|specs| rows(specs, &links)).collect();
        if name == "plain" {
            shown.push(plain.clone());
        }
        for rows in shown {
            assert_eq!(rows.len(), expected.len(), "{name}");
            for (row, expected) in rows.iter().zip(expected) {
                assert_eq!(row["link"], expected["link_mtu"], "{name}");
                assert_eq!(row["overhead"], table["overhead"], "{name}");
                assert_eq!(row["inner_mtu"], expected["inner_mtu"], "{name}");
                assert_eq!(row["tcp_mss"], expected["inner_tcp_mss"], "{name}");
                let percent = row["efficiency"].as_f64().unwrap() * 100.0;
                let said = expected["mss_over_mtu_pct"].as_f64().unwrap();
                assert!((percent - said).abs() < 0.0051, "{name}: {percent}");
            }
        }
    }
}

fn comparison(links: &[&str]) -> Vec<Value> {
    rows(&[], links)
}

#[test]
fn a_row_has_six_members_in_this_order() {
    let run = mtu(&["--json", "--tunnel", &format!("ipip,{ENDS}")]);
    let text: String = String::from_utf8(run.stdout)
        .unwrap()
        .split_whitespace()
        .collect();
    assert_eq!(
        text,
        r#"[{"name":"ipip","link":1500,"overhead":20,"inner_mtu":1480,"tcp_mss":1440,"efficiency":0.96}]"#
    );
}

#[test]
fn several_links_and_layers_are_each_said() {
    let stack = rows(&["ipip", "gre,key=1", "fou,dport=5555"], &["1500", "9000"]);
    assert_eq!(
        stack,
        [
            json!({
                "name": "ipip in gre in fou", "link": 1500, "overhead": 76,
                "inner_mtu": 1424, "tcp_mss": 1384, "efficiency": 1384.0 / 1500.0,
            }),
            json!({
                "name": "ipip in gre in fou", "link": 9000, "overhead": 76,
                "inner_mtu": 8924, "tcp_mss": 8884, "efficiency": 8884.0 / 9000.0,
            }),
        ]
    );
    // Ethernet unless said.
    assert_eq!(rows(&["gue"], &[])[0]["link"], 1500);
    let all = comparison(&[]);
    assert!(all.iter().all(|row| row["link"] == 1500));
    assert_eq!(comparison(&["1500", "1280"]).len(), 2 * all.len());
    // Every kind is in it.
    for kind in ["ipip", "fou", "gue", "gre", "tcp", "minenc"] {
        assert!(
            all.iter().any(|row| row["name"] == kind),
            "no {kind} in the comparison"
        );
    }
}

/// O-05: below 68 bytes nothing fits; and the overhead is what it is.
#[test]
fn where_nothing_fits_it_is_null() {
    for (link, inner_mtu) in [("1", None), ("20", None), ("87", None), ("88", Some(68))] {
        let row = rows(&["ipip"], &[link]).remove(0);
        assert_eq!(row["overhead"], 20);
        let (mss, share) = match inner_mtu {
            Some(mtu) => (json!(mtu - 40), json!(28.0 / 88.0)),
            None => (Value::Null, Value::Null),
        };
        assert_eq!(
            (&row["inner_mtu"], &row["tcp_mss"], &row["efficiency"]),
            (&json!(inner_mtu), &mss, &share),
            "{link}"
        );
    }
    // A stack that no packet is long enough for.
    let spec = format!("tcp,sport=1,dport=2,timestamps=yes,framing=exclusive,{ENDS}");
    let mut arguments = vec!["--json"];
    arguments.extend(["--tunnel", &spec].repeat(1300));
    let run = mtu(&arguments);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    let rows: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(rows[0]["inner_mtu"], Value::Null);
}

/// What a tunnel's own `mtu` leaves, whichever layer it is of, and however much the link carries.
#[test]
fn a_tunnel_with_an_mtu_has_no_more() {
    for (specs, link, inner_mtu) in [
        (&["ipip,mtu=1400"][..], "1500", Some(1380)),
        (&["ipip,mtu=1400"], "1300", Some(1280)),
        (&["ipip,mtu=40"], "1500", None),
        (&["ipip,mtu=1400", "fou,dport=5555"], "1500", Some(1380)),
        (&["ipip", "fou,dport=5555,mtu=1400"], "1500", Some(1352)),
    ] {
        let row = rows(specs, &[link]).remove(0);
        assert_eq!(row["inner_mtu"], json!(inner_mtu), "{specs:?}");
        let mss = inner_mtu.map(|mtu| mtu - 40);
        assert_eq!(row["tcp_mss"], json!(mss), "{specs:?}");
    }
}

/// The table for people says the same numbers, and draws every header as long as it is.
#[test]
fn headers_are_drawn_to_scale() {
    let run = mtu(&[]);
    assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""));
    let text = String::from_utf8(run.stdout).unwrap();
    let (table, drawings) = text.split_once("to scale").unwrap();
    for row in comparison(&[]) {
        let name = row["name"].as_str().unwrap();
        let overhead = row["overhead"].as_u64().unwrap();
        let line_of = |text: &str| {
            let line = text
                .lines()
                .find(|line| line.trim_start().starts_with(&format!("{name}  ")));
            line.unwrap_or_else(|| panic!("no {name} in {text}"))
                .to_owned()
        };
        let numbers: Vec<String> = line_of(table)
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        for value in [&row["overhead"], &row["inner_mtu"], &row["tcp_mss"]] {
            assert!(numbers.contains(&value.to_string()), "{name}: {numbers:?}");
        }
        let line = line_of(drawings);
        let start = line.find('|').unwrap();
        let end = line.rfind('|').unwrap();
        assert_eq!((end - start) as u64, overhead, "{line}");
    }
    // One drawing for one stack, whatever the links.
    let spec = format!("gue,{ENDS}");
    let run = mtu(&["--tunnel", &spec, "--link", "1500", "--link", "40"]);
    let text = String::from_utf8(run.stdout).unwrap();
    assert_eq!(text.matches("|IPv4").count(), 1, "{text}");
    let none = text.lines().find(|line| line.contains(" 40 ")).unwrap();
    assert_eq!(none.matches(" -").count(), 4, "{none}");
}

#[test]
fn wrong_arguments_of_mtu_are_one_line_and_status_2() {
    for (arguments, says) in [
        (&["--link", "0"][..], "--link"),
        (&["--link", "-1"], "-1"),
        (&["--link", "ethernet"], "ethernet"),
        (&["--link"], "--link"),
        (&["--tunnel"], "--tunnel"),
        (&["--tunnel", "ipip"], "src"),
        (&["--tunnel", "vxlan"], "vxlan"),
        (&["--fast"], "--fast"),
        (&["1500"], "1500"),
    ] {
        let run = mtu(arguments);
        assert_eq!(
            (run.status, run.stderr.lines().count(), run.stdout.len()),
            (Some(2), 1, 0),
            "{arguments:?}: {}",
            run.stderr
        );
        assert!(run.stderr.starts_with("ipencap: "), "{}", run.stderr);
        assert!(run.stderr.contains(says), "no {says} in {}", run.stderr);
    }
}
