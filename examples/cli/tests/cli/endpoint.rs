//! `ipencap endpoint`: a script of packets and its answers, line by line.

use core::net::Ipv4Addr;
use core::slice::from_ref;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use ipencap::wire::{Ecn, IpProtocol, Ipv4, Ipv4Flags, Ipv4Header, TcpHeader};
use serde_json::{Value, json};

use crate::program::{PROGRAM, Run, ipencap};
use crate::{P, TUNNEL, changed, digits, hex, lines, packet, wrap};

/// The other end of `TUNNEL`.
const BACK: &str = "ipip,src=203.0.113.2,dst=198.51.100.1";

const ALL: [&str; 2] = ["--allowed", "0.0.0.0/0"];

fn out(packet: &[u8]) -> Value {
    json!({"out": digits(packet)})
}

fn from_network(packet: &[u8]) -> Value {
    json!({"in": digits(packet)})
}

fn at(time: u64, mut line: Value) -> Value {
    line["t"] = time.into();
    line
}

fn run(options: &[&str], script: &[Value]) -> Run {
    let arguments = [&["endpoint"], options].concat();
    let lines: Vec<String> = script.iter().map(Value::to_string).collect();
    let script = lines.join("\n");
    ipencap(&arguments, script.as_bytes())
}

/// The answers to a script, one for each line.
fn answers(options: &[&str], script: &[Value]) -> Vec<Value> {
    let options = [options, &ALL].concat();
    let run = run(&options, script);
    assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""));
    let answers = lines(&run.stdout);
    assert_eq!(answers.len(), script.len());
    answers
}

fn through(specs: &[&str], script: &[Value]) -> Vec<Value> {
    let options: Vec<&str> = specs.iter().flat_map(|spec| ["--tunnel", spec]).collect();
    answers(&options, script)
}

fn verdict(answer: &Value) -> &str {
    answer["verdict"].as_str().unwrap()
}

fn reason(answer: &Value) -> (&str, &str) {
    (verdict(answer), answer["reason"].as_str().unwrap())
}

fn packets(list: &Value) -> Vec<Vec<u8>> {
    let list = list.as_array().unwrap().iter();
    list.map(|packet| hex(packet.as_str().unwrap())).collect()
}

fn only(list: &Value) -> Vec<u8> {
    let [packet] = &packets(list)[..] else {
        panic!("not one packet: {list}");
    };
    packet.clone()
}

/// An inner packet of so many bytes.
fn inner(len: usize, df: bool) -> Vec<u8> {
    packet(64, df, &vec![7; len - 20])
}

/// An ICMP error from a router to 198.51.100.1.
fn error(message_type: u8, code: u8, mtu: u16, quote: &[u8]) -> Vec<u8> {
    let [high, low] = mtu.to_be_bytes();
    let mut message = [&[message_type, code, 0, 0, 0, 0, high, low], quote].concat();
    let sum = ipencap::checksum::Sum::new().add_bytes(&message).checksum();
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let total_len = u16::try_from(20 + message.len()).unwrap();
    let (router, here) = (
        Ipv4Addr::new(192, 0, 2, 254),
        Ipv4Addr::new(198, 51, 100, 1),
    );
    let header = Ipv4Header::new(router, here, IpProtocol::ICMP, total_len);
    [header.as_bytes().as_slice(), &message].concat()
}

/// The script that the help and the README run: one of nearly everything.
#[test]
fn the_bundled_script_meets_every_side_of_the_endpoint() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/data/endpoint.jsonl");
    let script = fs::read(script).unwrap();
    let run = ipencap(
        &["endpoint", "--tunnel", TUNNEL, "--allowed", "10.2.0.0/16"],
        &script,
    );
    assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""));
    let answers = lines(&run.stdout);
    let seen: Vec<(u64, &str, usize, usize, Value, u64)> = answers
        .iter()
        .map(|answer| {
            let keys: Vec<&String> = answer.as_object().unwrap().keys().collect();
            let expected = ["t", "verdict", "network", "inner", "reason", "inner_mtu"];
            assert_eq!(keys, expected);
            (
                answer["t"].as_u64().unwrap(),
                verdict(answer),
                packets(&answer["network"]).len(),
                packets(&answer["inner"]).len(),
                answer["reason"].clone(),
                answer["inner_mtu"].as_u64().unwrap(),
            )
        })
        .collect();
    let expected = [
        (0, "Send", 1, 0, Value::Null, 1480),
        (10, "Deliver", 0, 1, Value::Null, 1480),
        (20, "Relay", 0, 1, Value::Null, 1480),
        (30, "Learnt", 0, 0, Value::Null, 70),
        (40, "Answer", 0, 1, "FragmentationNeeded".into(), 70),
        (50, "Split", 2, 0, Value::Null, 70),
        (60, "Drop", 0, 0, "UnknownPeer".into(), 70),
        (70, "Drop", 0, 0, "InnerSourceNotAllowed".into(), 70),
    ];
    assert_eq!(seen, expected);
}

/// What goes out is what `encap` makes, in every kind and stack; what comes in at the other end is the
/// inner packet again.
#[test]
fn packets_go_out_as_encap_wraps_them_and_come_in_at_the_other_end() {
    let p = hex(P);
    let inners = [
        p.clone(),
        inner(100, false),
        inner(1000, true),
        inner(77, false),
    ];
    let slices: Vec<&[u8]> = inners.iter().map(Vec::as_slice).collect();
    for kinds in [
        &["ipip"][..],
        &["ipip,df=copy,ttl=inherit,dscp=10"],
        &["fou,dport=5555"],
        &["gue"],
        &["gue,variant=1,csum=zero"],
        &["gre"],
        &["gre,key=7,csum=yes,seq=yes"],
        &["tcp,sport=40001,dport=443"],
        &["tcp,sport=40001,dport=443,seq=9,ack=3,framing=exclusive,timestamps=yes"],
        &["minenc"],
        &["ipip,id=7", "gre,seq=yes,df=copy", "fou,dport=5555,df=copy"],
        &["gue,df=copy", "tcp,sport=1,dport=2"],
    ] {
        let specs = |forwards: bool| -> Vec<String> {
            let ends = |(place, kind): (usize, &&str)| {
                let (near, far) = (
                    format!("192.0.2.{}", 10 + place),
                    format!("192.0.2.{}", 20 + place),
                );
                let (src, dst) = if forwards { (near, far) } else { (far, near) };
                format!("{kind},src={src},dst={dst}")
            };
            kinds.iter().enumerate().map(ends).collect()
        };
        let here = specs(true);
        let here: Vec<&str> = here.iter().map(String::as_str).collect();
        let script: Vec<Value> = inners.iter().map(|inner| out(inner)).collect();
        let sent = through(&here, &script);
        let outers: Vec<Vec<u8>> = sent.iter().map(|answer| only(&answer["network"])).collect();
        assert_eq!(outers, wrap(&here, &slices), "{kinds:?}");

        let there = specs(false);
        let there: Vec<&str> = there.iter().map(String::as_str).collect();
        let script: Vec<Value> = outers.iter().map(|outer| from_network(outer)).collect();
        for (answer, inner) in through(&there, &script).iter().zip(&inners) {
            assert_eq!(verdict(answer), "Deliver", "{kinds:?}: {answer}");
            assert_eq!(only(&answer["inner"]), *inner, "{kinds:?}");
        }
    }
}

/// A driver may wait for each answer before it writes the next line.
#[test]
fn each_line_is_answered_before_the_next_is_read() {
    let mut child = Command::new(PROGRAM)
        .args(["endpoint", "--tunnel", TUNNEL, "--allowed", "0.0.0.0/0"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut script = child.stdin.take().unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap());
    for time in 0..3 {
        writeln!(script, "{}", at(time, out(&hex(P)))).unwrap();
        let mut answer = String::new();
        answers.read_line(&mut answer).unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!((&answer["t"], verdict(&answer)), (&time.into(), "Send"));
    }
    // A last line without an end is one too.
    write!(script, "{}", json!({"local_mtu": 1000})).unwrap();
    drop(script);
    let mut answer = String::new();
    answers.read_line(&mut answer).unwrap();
    assert!(answer.contains("Learnt"), "{answer}");
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_wrong_line_ends_the_run_with_its_number() {
    let good = at(5, out(&hex(P))).to_string();
    for (wrong, says) in [
        ("", "empty"),
        ("   ", "empty"),
        ("{", "JSON"),
        ("{} {}", "JSON"),
        ("45000014", "object"),
        ("null", "object"),
        ("[]", "object"),
        ("\"out\"", "object"),
        ("\u{feff}{\"out\":\"\"}", "JSON"),
        ("{}", "one of"),
        ("{\"t\":5}", "one of"),
        ("{\"out\":\"\",\"in\":\"\"}", "one of"),
        ("{\"out\":\"\",\"local_mtu\":1400}", "one of"),
        ("{\"out\":\"\",\"note\":1}", "\"note\""),
        ("{\"outer\":\"\"}", "outer"),
        ("{\"out\":\"450\"}", "hexadecimal"),
        ("{\"out\":\"4 50\"}", "hexadecimal"),
        ("{\"in\":\"0x45\"}", "hexadecimal"),
        ("{\"in\":\"4g\"}", "hexadecimal"),
        ("{\"in\":\"\u{ff14}\u{ff15}\"}", "hexadecimal"),
        ("{\"in\":45}", "hexadecimal"),
        ("{\"in\":null}", "hexadecimal"),
        ("{\"in\":[\"45\"]}", "hexadecimal"),
        ("{\"local_mtu\":-1}", "local_mtu"),
        ("{\"local_mtu\":1400.5}", "local_mtu"),
        ("{\"local_mtu\":\"1400\"}", "local_mtu"),
        ("{\"t\":-1,\"out\":\"\"}", "milliseconds"),
        ("{\"t\":0.5,\"out\":\"\"}", "milliseconds"),
        ("{\"t\":\"0\",\"out\":\"\"}", "milliseconds"),
        ("{\"t\":null,\"out\":\"\"}", "milliseconds"),
        ("{\"t\":18446744073709551616,\"out\":\"\"}", "milliseconds"),
    ] {
        let script = format!("{good}\n{good}\n{wrong}\n{good}\n");
        let arguments = ["endpoint", "--tunnel", TUNNEL, "--allowed", "0.0.0.0/0"];
        let run = ipencap(&arguments, script.as_bytes());
        assert_eq!(run.status, Some(2), "{wrong}");
        assert_eq!(lines(&run.stdout).len(), 2, "{wrong}");
        assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
        let starts = "ipencap: line 3 of standard input: ";
        assert!(run.stderr.starts_with(starts), "{}", run.stderr);
        assert!(run.stderr.contains(says), "no {says} in {}", run.stderr);
    }
    // Bytes that are no text, and a line without an end.
    for script in [b"{\"out\":\"\xff\"}\n".to_vec(), vec![b' '; 3 << 20]] {
        let run = ipencap(&["endpoint", "--tunnel", TUNNEL], &script);
        assert_eq!(run.status, Some(2));
        let last = run.stderr.lines().last().unwrap();
        assert!(last.contains("line 1 of standard input"), "{last}");
    }
}

#[test]
fn no_line_no_answer() {
    let run = run(&[&["--tunnel", TUNNEL], &ALL[..]].concat(), &[]);
    assert_eq!((run.status, run.stdout.as_slice()), (Some(0), &b""[..]));
    assert_eq!(run.stderr, "");
}

/// The time of a line is the last one's if it says none, and may go back.
#[test]
fn time_is_what_the_script_says() {
    let p = hex(P);
    let script = [
        out(&p),
        at(7000, out(&p)),
        out(&p),
        at(3, out(&p)),
        out(&p),
        at(u64::MAX, out(&p)),
    ];
    let times: Vec<u64> = through(&[TUNNEL], &script)
        .iter()
        .map(|answer| answer["t"].as_u64().unwrap())
        .collect();
    assert_eq!(times, [0, 7000, 7000, 3, 3, u64::MAX]);
}

/// I-25, 15.4: the path MTU from a report, for ten minutes; the clock may go back in between.
#[test]
fn a_reported_mtu_holds_for_ten_minutes() {
    let full = inner(1480, true);
    let outer = &wrap(&[TUNNEL], &[&full])[0];
    let script = [
        at(1000, out(&full)),
        // A router that quotes 28 bytes does not say whose packet it was: I-31.
        from_network(&error(3, 4, 1400, &outer[..28])),
        at(0, out(&full)),
        at(600_999, out(&full)),
        at(601_000, out(&full)),
    ];
    let answers = through(&[TUNNEL], &script);
    let seen: Vec<(&str, u64)> = answers
        .iter()
        .map(|answer| (verdict(answer), answer["inner_mtu"].as_u64().unwrap()))
        .collect();
    let expected = [
        ("Send", 1480),
        ("Learnt", 1380),
        ("Answer", 1380),
        ("Answer", 1380),
        ("Send", 1480),
    ];
    assert_eq!(seen, expected);
}

/// IC-03, IC-04, IC-06 and IC-07 of the specification, byte for byte.
#[test]
fn relayed_errors_are_those_of_the_specification() {
    let header = hex("450005dc777740004011a9890a0100050a020009");
    let payload: Vec<u8> = (0..=u8::MAX).cycle().take(1480).collect();
    let original = [header, payload].concat();
    let soft = hex(
        "45c0003801010000fa01d1d0c00002fec63364010304f52f00000578450005f0000040004004ced2c6336401cb007102450005dc77774000",
    );
    let relayable = hex(
        "45c0004c01010000fa01d1bcc00002fec63364010304eb7300000578450005f0000040004004ced2c6336401cb007102450005dc777740004011a9890a0100050a0200090001020304050607",
    );
    let relayed = "45c0003800004000400125fe0a0100010a0100050304eb8700000564450005dc777740004011a9890a0100050a0200090001020304050607";
    let expired = hex(
        "45c0004c01020000fa01d1bbc00002fec63364010b00e8ef00000000450005f0000040004004ced2c6336401cb007102450005dc777740004011a9890a0100050a0200090001020304050607",
    );
    let unreachable = "45c0003800004000400125fe0a0100010a0100050301f0ee00000000450005dc777740004011a9890a0100050a0200090001020304050607";
    let options = [
        "--tunnel",
        TUNNEL,
        "--link-mtu",
        "1600",
        "--icmp-source",
        "10.1.0.1",
    ];
    let seen = answers(
        &options,
        &[
            out(&original),
            from_network(&relayable),
            from_network(&expired),
        ],
    );
    assert_eq!(
        (verdict(&seen[1]), &seen[1]["inner"]),
        ("Relay", &json!([relayed]))
    );
    assert_eq!(seen[1]["inner_mtu"], 1380);
    assert_eq!(
        (verdict(&seen[2]), &seen[2]["inner"]),
        ("Relay", &json!([unreachable]))
    );
    let seen = answers(&options, &[out(&original), from_network(&soft)]);
    assert_eq!(
        (verdict(&seen[1]), &seen[1]["inner"]),
        ("Learnt", &json!([]))
    );
    assert_eq!(seen[1]["inner_mtu"], 1380);

    // The TTL ends here: the quote has the one that it came with.
    let last_hop = changed(&hex(P), |header| header.set_ttl(1));
    let forwarding = format!("{TUNNEL},forward=yes");
    let options = ["--tunnel", &forwarding, "--icmp-source", "10.1.0.1"];
    let seen = answers(&options, &[out(&last_hop), out(&hex(P))]);
    let answer = "45c0004000004000400125f60a0100010a0100050b000932000000004500002412344000011153850a0100050a0200099c4000350010ace66970656e63617021";
    assert_eq!(reason(&seen[0]), ("Answer", "TtlExpired"));
    assert_eq!(seen[0]["inner"], json!([answer]));
    assert_eq!(only(&seen[1]["network"])[28], 63);
}

/// I-31, I-33: a router that quotes too little is believed, and the next source is told.
#[test]
fn a_packet_is_sent_with_a_notice_about_the_one_before() {
    let p = hex(P);
    let outer = &wrap(&[TUNNEL], &[&p])[0];
    let unreachable = error(3, 1, 0, &outer[..28]);
    let script = [out(&p), from_network(&unreachable), out(&p), out(&p)];
    let seen = through(&[TUNNEL], &script);
    assert_eq!(verdict(&seen[1]), "Learnt");
    assert_eq!(
        (verdict(&seen[2]), &seen[2]["reason"]),
        ("Send", &Value::Null)
    );
    let notice = only(&seen[2]["inner"]);
    assert_eq!((notice[20], notice[21]), (3, 1));
    assert_eq!(notice[28..], p);
    assert_eq!(only(&seen[2]["network"])[20..], p);
    assert_eq!(packets(&seen[3]["inner"]).len(), 0);
}

/// I-31: where no error may be sent about the next packet, or it is split, the one after that is told.
#[test]
fn a_notice_waits_until_a_source_can_be_told() {
    let p = hex(P);
    let outer = &wrap(&[TUNNEL], &[&p])[0];
    let multicast = changed(&p, |header| {
        header.edit(|edit| {
            edit.set_destination(Ipv4Addr::new(239, 1, 1, 1));
        });
    });
    let script = [
        out(&p),
        from_network(&error(3, 1, 0, &outer[..28])),
        out(&inner(2000, false)),
        out(&multicast),
        out(&p),
        out(&p),
    ];
    let seen = through(&[TUNNEL], &script);
    let verdicts: Vec<&str> = seen.iter().map(verdict).collect();
    let expected = ["Send", "Learnt", "Split", "Send", "Send", "Send"];
    assert_eq!(verdicts, expected);
    let told: Vec<usize> = seen
        .iter()
        .map(|answer| packets(&answer["inner"]).len())
        .collect();
    assert_eq!(told, [0, 0, 0, 0, 1, 0]);
    // For half a minute.
    let late = [
        script[0].clone(),
        script[1].clone(),
        at(30_000, script[4].clone()),
    ];
    assert_eq!(through(&[TUNNEL], &late)[2]["inner"], json!([]));
}

/// A script has no clock to wait for: every ICMP error that is due is shown.
#[test]
fn icmp_errors_are_not_limited() {
    let script = vec![out(&inner(1481, true)); 300];
    let seen = through(&[TUNNEL], &script);
    assert!(seen.iter().all(|answer| verdict(answer) == "Answer"));
}

/// I-32: an inner ICMP error is not answered with another, nor are packets to many.
#[test]
fn no_error_follows_from_an_error_about_an_error() {
    let inner_error = changed(&error(3, 1, 0, &hex(P)), |header| {
        header.edit(|edit| {
            edit.set_destination(Ipv4Addr::new(10, 2, 0, 9));
        });
    });
    let multicast = changed(&hex(P), |header| {
        header.edit(|edit| {
            edit.set_destination(Ipv4Addr::new(239, 1, 1, 1));
        });
    });
    for (inner, silence) in [(inner_error, "AboutAnError"), (multicast, "Multicast")] {
        let outer = &wrap(&[TUNNEL], &[&inner])[0];
        let script = [
            out(&inner),
            from_network(&error(3, 1, 0, outer)),
            out(&inner),
        ];
        let seen = through(&[TUNNEL], &script);
        assert_eq!(reason(&seen[1]), ("Ignored", silence));
        assert_eq!(
            (&seen[1]["inner"], &seen[2]["inner"]),
            (&json!([]), &json!([]))
        );
    }
}

/// D-17: `--allowed`, or `inner` of the first SPEC, is about what the peer sends; the other direction is free.
#[test]
fn the_peer_may_use_the_inner_sources_that_are_allowed() {
    // From 10.1.0.5 to 10.2.0.9.
    let inner = hex(P);
    let arrived = from_network(&wrap(&[BACK], &[&inner])[0]);
    let script = [out(&inner), arrived];
    let listed = format!("{TUNNEL},inner=10.1.0.0/16");
    let unlisted = format!("{TUNNEL},inner=10.9.0.0/16");
    for (options, second, notices) in [
        (
            &["--tunnel", TUNNEL, "--allowed", "10.1.0.0/16"][..],
            "Deliver",
            0,
        ),
        (&["--tunnel", TUNNEL, "--allowed", "10.1.0.5"], "Deliver", 0),
        (
            &[
                "--tunnel",
                TUNNEL,
                "--allowed",
                "10.2.0.0/16",
                "--allowed",
                "10.1.0.0/24",
            ],
            "Deliver",
            0,
        ),
        (&["--tunnel", TUNNEL, "--allowed", "10.2.0.0/16"], "Drop", 0),
        (&["--tunnel", &listed], "Deliver", 0),
        (&["--tunnel", &unlisted], "Drop", 0),
        (
            &["--tunnel", &unlisted, "--allowed", "10.1.0.0/16"],
            "Deliver",
            0,
        ),
        (&["--tunnel", TUNNEL], "Deliver", 1),
    ] {
        let run = run(options, &script);
        assert_eq!(run.status, Some(0));
        assert_eq!(run.stderr.lines().count(), notices, "{}", run.stderr);
        assert!(
            notices == 0 || run.stderr.contains("0.0.0.0/0"),
            "{}",
            run.stderr
        );
        let answers = lines(&run.stdout);
        assert_eq!(
            (verdict(&answers[0]), verdict(&answers[1])),
            ("Send", second),
            "{options:?}"
        );
        if second == "Drop" {
            assert_eq!(reason(&answers[1]).1, "InnerSourceNotAllowed");
        }
    }
}

/// D-18, D-20: `multicast` and `nested` of the first SPEC.
#[test]
fn keys_for_the_receiving_side_count_here_too() {
    let to = |group: Ipv4Addr| {
        changed(&hex(P), |header| {
            header.edit(|edit| {
                edit.set_destination(group);
            });
        })
    };
    let multicast = to(Ipv4Addr::new(239, 1, 1, 1));
    let nested = wrap(&["ipip,src=10.7.0.1,dst=10.8.0.1"], &[&hex(P)]).remove(0);
    for (inner, key, plain, with_key) in [
        (multicast, "multicast=yes", "Drop", "Deliver"),
        (nested, "nested=refuse", "Deliver", "Drop"),
    ] {
        let arrived = from_network(&wrap(&[BACK], &[&inner])[0]);
        assert_eq!(verdict(&through(&[TUNNEL], from_ref(&arrived))[0]), plain);
        let spec = format!("{TUNNEL},{key}");
        assert_eq!(verdict(&through(&[&spec], &[arrived])[0]), with_key);
    }
}

/// I-14 to I-16, X-02, X-10, O-01: the MTU of the link, of the path, and of a SPEC.
#[test]
fn what_does_not_fit_is_answered_or_split() {
    let with_mtu = format!("{TUNNEL},mtu=1300");
    let nested = "ipip,src=192.0.2.1,dst=192.0.2.2,mtu=1200";
    for (options, mtu) in [
        (&["--tunnel", TUNNEL][..], 1480),
        (&["--tunnel", TUNNEL, "--link-mtu", "1300"], 1280),
        (&["--tunnel", TUNNEL, "--mtu", "discover"], 1480),
        (&["--tunnel", TUNNEL, "--mtu", "1300"], 1280),
        (&["--tunnel", TUNNEL, "--mtu", "9000"], 1480),
        (
            &["--tunnel", TUNNEL, "--mtu", "9000", "--link-mtu", "9000"],
            8980,
        ),
        (&["--tunnel", &with_mtu], 1280),
        (&["--tunnel", nested, "--tunnel", TUNNEL], 1180),
    ] {
        let script = [
            out(&inner(mtu, true)),
            out(&inner(mtu, false)),
            out(&inner(mtu + 1, true)),
            out(&inner(mtu + 1, false)),
        ];
        let seen = answers(options, &script);
        let verdicts: Vec<&str> = seen.iter().map(verdict).collect();
        assert_eq!(verdicts, ["Send", "Send", "Answer", "Split"], "{options:?}");
        assert!(
            seen.iter().all(|answer| answer["inner_mtu"] == mtu),
            "{options:?}"
        );
        let answer = only(&seen[2]["inner"]);
        assert_eq!((answer[20], answer[21]), (3, 4));
        assert_eq!(
            usize::from(u16::from_be_bytes([answer[26], answer[27]])),
            mtu
        );
        assert_eq!(answer[28..], inner(mtu + 1, true)[..answer.len() - 28]);
        assert_eq!(packets(&seen[3]["network"]).len(), 2);
    }
}

/// I-20, 15.4: what is believed of a report, and that a fixed MTU is not changed by one; the system is always
/// believed.
#[test]
fn reports_change_what_is_to_be_discovered() {
    let full = inner(1480, true);
    let outer = &wrap(&[TUNNEL], &[&full])[0];
    let report = error(3, 4, 1300, &outer[..48]);
    let script = [out(&full), from_network(&report)];
    let seen = answers(&["--tunnel", TUNNEL, "--mtu", "1500"], &script);
    assert_eq!(reason(&seen[1]), ("Ignored", "Static"));
    assert_eq!(seen[1]["inner_mtu"], 1480);
    let seen = answers(&["--tunnel", TUNNEL], &script);
    assert_eq!(
        (verdict(&seen[1]), &seen[1]["inner_mtu"]),
        ("Relay", &1280.into())
    );
    // A report about what was never sent, and one about somebody else's packet.
    let seen = answers(&["--tunnel", TUNNEL], &[from_network(&report)]);
    assert_eq!(reason(&seen[0]), ("Ignored", "NeverSent"));
    let other = &wrap(&["ipip,src=198.51.100.1,dst=203.0.113.9"], &[&full])[0];
    let report = error(3, 4, 1300, &other[..48]);
    let seen = answers(&["--tunnel", TUNNEL], &[out(&full), from_network(&report)]);
    assert_eq!(reason(&seen[1]), ("Ignored", "NotOurs"));

    for (mtu, inner_mtu) in [
        (1400, 1380),
        (1500, 1480),
        (9000, 1480),
        (100_000, 1480),
        (68, 48),
        (0, 48),
    ] {
        let seen = through(&[TUNNEL], &[json!({"local_mtu": mtu}), out(&full)]);
        assert_eq!(
            (verdict(&seen[0]), &seen[0]["inner_mtu"]),
            ("Learnt", &inner_mtu.into())
        );
        match inner_mtu {
            1480 => assert_eq!(verdict(&seen[1]), "Send"),
            48 => assert_eq!(reason(&seen[1]), ("Drop", "MtuTooSmall")),
            _ => assert_eq!(reason(&seen[1]), ("Answer", "FragmentationNeeded")),
        }
    }
}

/// O-02: the MSS option of SYN segments in both directions.
#[test]
fn the_segment_size_is_lowered_as_asked() {
    let syn = hex(
        "4500002c00014000400626bb0a0100050a0200099c40005000000001000000006002ffffe7840000020405b4",
    );
    let arrived = &wrap(&[BACK], &[&syn])[0];
    let script = [out(&syn), from_network(arrived)];
    for (mss, expected) in [
        ("path", 1440),
        ("off", 1460),
        ("1000", 1000),
        ("1450", 1440),
        ("28", 28),
    ] {
        let seen = answers(&["--tunnel", TUNNEL, "--mss", mss], &script);
        let outer = only(&seen[0]["network"]);
        for inner in [&outer[20..], &only(&seen[1]["inner"])] {
            assert_eq!(
                u16::from_be_bytes([inner[42], inner[43]]),
                expected,
                "{mss}"
            );
            let ipv4 = Ipv4::parse(inner).unwrap();
            let (tcp, ..) = TcpHeader::split(ipv4.payload()).unwrap();
            // C-16, C-17: the checksum follows.
            let lowered = 1460 - expected;
            let sum = u32::from(0xe784_u16) + u32::from(lowered);
            let folded = u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
            assert_eq!(tcp.checksum(), folded, "{mss}");
        }
    }
    let seen = through(&[TUNNEL], &script);
    assert_eq!(only(&seen[0]["network"])[62..], 1440_u16.to_be_bytes());
}

/// F-07: the same numbers for the same seed, others for another, and none twice.
#[test]
fn a_seed_permutes_identifications() {
    let spec = format!("{TUNNEL},df=copy");
    let script = vec![out(&inner(40, false)); 500];
    let numbers = |seed: &[&str]| -> Vec<u16> {
        let seen = answers(&[&["--tunnel", &spec], seed].concat(), &script);
        let outers = seen.iter().map(|answer| only(&answer["network"]));
        outers
            .map(|outer| u16::from_be_bytes([outer[4], outer[5]]))
            .collect()
    };
    let counted: Vec<u16> = (1..=500).collect();
    assert_eq!(numbers(&[]), counted);
    let first = numbers(&["--seed", "1"]);
    assert_eq!(first, numbers(&["--seed", "1"]));
    assert_ne!(first, numbers(&["--seed", "18446744073709551615"]));
    let mut sorted = first.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), 500);
    assert_ne!(sorted, counted);
}

/// F-02: fragments and packets without DF use up a number, each layer its own.
#[test]
fn identifications_count_what_may_be_fragmented_in_each_layer() {
    let inside = "ipip,df=copy,src=192.0.2.1,dst=192.0.2.2";
    let around = format!("{TUNNEL},df=copy");
    let script = [
        out(&inner(40, true)),
        out(&inner(2000, false)),
        out(&inner(40, false)),
    ];
    let numbers = |specs: &[&str]| -> Vec<(u16, u16)> {
        let seen = through(specs, &script);
        let outers = seen.iter().flat_map(|answer| packets(&answer["network"]));
        let at = |outer: &[u8], place: usize| u16::from_be_bytes([outer[place], outer[place + 1]]);
        outers
            .map(|outer| (at(&outer, 4), at(&outer, 24)))
            .collect()
    };
    assert_eq!(
        numbers(&[inside, &around]),
        [(0, 0), (1, 1), (2, 2), (3, 3)]
    );
    let fixed = format!("{around},id=9");
    assert_eq!(numbers(&[inside, &fixed]), [(9, 0), (9, 1), (9, 2), (9, 3)]);
}

/// I-12: where ICMP errors come from.
#[test]
fn icmp_errors_come_from_the_address_that_is_said() {
    let script = [out(&inner(1481, true))];
    let around = "ipip,src=192.0.2.1,dst=192.0.2.2";
    for (options, source) in [
        (
            &["--tunnel", around, "--tunnel", TUNNEL][..],
            [198, 51, 100, 1],
        ),
        (
            &["--tunnel", TUNNEL, "--icmp-source", "10.1.0.1"],
            [10, 1, 0, 1],
        ),
    ] {
        let answer = only(&answers(options, &script)[0]["inner"]);
        assert_eq!(answer[12..16], source);
    }
}

/// outer fragments in any order; dropped if nobody asked to join them.
#[test]
fn outer_fragments_are_joined_if_asked() {
    let inner = inner(1000, true);
    let spec = format!("{BACK},df=copy,id=77");
    let outer = changed(&wrap(&[&spec], &[&inner])[0], |header| {
        header.set_flags(Ipv4Flags::empty());
    });
    let plan = ipencap::fragment::plan(&outer, 576).unwrap();
    let mut fragments: Vec<Vec<u8>> = plan
        .fragments(&outer)
        .unwrap()
        .map(|fragment| {
            let mut bytes = vec![0; fragment.len()];
            fragment.write(&outer, &mut bytes).unwrap();
            bytes
        })
        .collect();
    assert_eq!(fragments.len(), 2);
    let script: Vec<Value> = fragments
        .iter()
        .map(|fragment| from_network(fragment))
        .collect();
    for answer in through(&[TUNNEL], &script) {
        assert_eq!(reason(&answer), ("Drop", "OuterFragment"));
    }
    for _ in 0..2 {
        fragments.reverse();
        let script: Vec<Value> = fragments
            .iter()
            .map(|fragment| from_network(fragment))
            .collect();
        let seen = answers(&["--tunnel", TUNNEL, "--reassemble"], &script);
        assert_eq!((verdict(&seen[0]), verdict(&seen[1])), ("Held", "Whole"));
        assert_eq!(
            (&seen[0]["inner"], only(&seen[1]["inner"])),
            (&json!([]), inner.clone())
        );
    }
    // Half a minute later the first is forgotten.
    let late = [at(0, script[0].clone()), at(30_001, script[1].clone())];
    let seen = answers(&["--tunnel", TUNNEL, "--reassemble"], &late);
    assert_eq!((verdict(&seen[0]), verdict(&seen[1])), ("Held", "Held"));
}

/// N-10, D-05: what is written to a delivered packet, and what is no packet of the tunnel.
#[test]
fn what_comes_in_is_delivered_or_named() {
    let inner = changed(&hex(P), |header| {
        header.set_ecn(Ecn::Ect0);
    });
    let outer = &wrap(&[BACK], &[&inner])[0];
    let congested = changed(outer, |header| header.set_ecn(Ecn::Ce));
    let to_host = changed(&hex(P), |header| {
        header.edit(|edit| {
            edit.set_destination(Ipv4Addr::new(198, 51, 100, 1));
        });
    });
    let script = [
        from_network(&congested),
        from_network(&to_host),
        from_network(&hex(P)),
        from_network(&outer[..30]),
        from_network(b""),
        out(b""),
        out(&hex(P)[..30]),
    ];
    let seen = through(&[TUNNEL], &script);
    assert_eq!(only(&seen[0]["inner"])[1], 3);
    assert_eq!(
        (verdict(&seen[1]), &seen[1]["reason"]),
        ("Ours", &Value::Null)
    );
    assert_eq!(reason(&seen[2]), ("Drop", "OuterDstNotLocal"));
    assert_eq!(reason(&seen[3]), ("Drop", "OuterTruncated"));
    assert_eq!(reason(&seen[4]), ("Drop", "OuterTruncated"));
    assert_eq!(reason(&seen[5]), ("Drop", "Truncated"));
    assert_eq!(reason(&seen[6]), ("Drop", "Truncated"));
}

/// Bytes behind the inner packet are cut off (E-20); a packet may fill its line's limit nearly.
#[test]
fn slack_is_cut_and_long_packets_have_a_reason() {
    let p = hex(P);
    let padded = [p.clone(), vec![0; 70_000]].concat();
    let seen = through(
        &[TUNNEL],
        &[
            out(&padded),
            out(&inner(65_535, false)),
            out(&inner(65_535, true)),
        ],
    );
    assert_eq!(only(&seen[0]["network"])[20..], p);
    assert_eq!(
        (verdict(&seen[1]), packets(&seen[1]["network"]).len()),
        ("Split", 45)
    );
    assert_eq!(verdict(&seen[2]), "Answer");
}

#[test]
fn wrong_arguments_are_one_line_and_status_2() {
    let tunnel = ["--tunnel", TUNNEL];
    for (options, says) in [
        (vec![], "--tunnel"),
        (vec!["--tunnel", "ipip"], "src"),
        (vec!["--allowed", "10.0.0.0/33"], "10.0.0.0/33"),
        (vec!["--allowed", "10.1.2.3/8"], "10.1.2.3/8"),
        (vec!["--link-mtu", "67"], "67"),
        (vec!["--link-mtu", "65536"], "65536"),
        (vec!["--mtu", "67"], "68 to 65535"),
        (vec!["--mtu", "path"], "discover"),
        (vec!["--mtu", "-1"], "-1"),
        (vec!["--mss", "27"], "28 to 65535"),
        (vec!["--mss", "discover"], "off"),
        (vec!["--icmp-source", "router"], "router"),
        (vec!["--icmp-source", "224.0.0.1"], "224.0.0.1"),
        (vec!["--icmp-source", "0.0.0.0"], "0.0.0.0"),
        (vec!["--seed", "-1"], "-1"),
        (
            vec!["--seed", "18446744073709551616"],
            "18446744073709551616",
        ),
        (vec!["--reassemble=yes"], "reassemble"),
        (vec!["--mtu", "1400", "--mtu", "1300"], "--mtu"),
        (vec!["script.jsonl"], "script.jsonl"),
    ] {
        let tunnel = if options.contains(&"--tunnel") || options.is_empty() {
            &[][..]
        } else {
            &tunnel
        };
        let run = run(&[tunnel, &options].concat(), &[out(&hex(P))]);
        assert_eq!((run.status, run.stdout.len()), (Some(2), 0), "{options:?}");
        assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
        assert!(run.stderr.starts_with("ipencap: "), "{}", run.stderr);
        assert!(run.stderr.contains(says), "no {says} in {}", run.stderr);
    }
}

/// Standard output that is closed or full, with a script to answer.
#[test]
fn an_output_that_takes_nothing_ends_the_run() {
    let start = |output: Stdio| {
        let mut child = Command::new(PROGRAM)
            .args(["endpoint", "--tunnel", TUNNEL, "--allowed", "0.0.0.0/0"])
            .stdin(Stdio::piped())
            .stdout(output)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        writeln!(child.stdin.take().unwrap(), "{}", out(&hex(P))).unwrap();
        let output = child.wait_with_output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(start(writer.into()), (Some(0), String::new()));
    match fs::OpenOptions::new().write(true).open("/dev/full") {
        Ok(full) => {
            let (status, said) = start(full.into());
            assert_eq!((status, said.lines().count()), (Some(2), 1), "{said}");
            assert!(
                said.starts_with("ipencap: cannot write standard output: "),
                "{said}"
            );
        }
        Err(_) => println!("skipped: no /dev/full"),
    }
}

/// As some programs write whole numbers.
#[test]
fn a_whole_number_may_have_a_point() {
    let script = b"{\"t\":5.0,\"local_mtu\":1400.0}\n{\"t\":1e3,\"local_mtu\":1300}\n";
    let run = ipencap(
        &["endpoint", "--tunnel", TUNNEL, "--allowed", "0.0.0.0/0"],
        script,
    );
    let answers = lines(&run.stdout);
    assert_eq!(
        (&answers[0]["t"], &answers[0]["inner_mtu"]),
        (&json!(5), &json!(1380))
    );
    assert_eq!(
        (&answers[1]["t"], &answers[1]["inner_mtu"]),
        (&json!(1000), &json!(1280))
    );
    for wrong in ["5.5", "-1.0", "1e300"] {
        let line = format!("{{\"t\":{wrong},\"local_mtu\":1400}}\n");
        let run = ipencap(&["endpoint", "--tunnel", TUNNEL], line.as_bytes());
        assert_eq!(run.status, Some(2), "{wrong}");
    }
}

/// A script has no clock to wait for: every ICMP error that is due is shown, at one instant too.
#[test]
fn the_rate_of_icmp_errors_is_not_limited() {
    let script = vec![out(&inner(1500, true)); 70_000];
    let seen = answers(&["--tunnel", TUNNEL], &script);
    assert!(seen.iter().all(|answer| verdict(answer) == "Answer"));
}
