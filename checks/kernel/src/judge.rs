//! The kernel's answers against what was expected.

use std::collections::BTreeMap;
use std::process::ExitCode;

use ipencap::wire::{Icmpv4, IpProtocol, Ipv4, Tcp, TcpFlags};
use ipencap_kit::oracle::{equation_3, put_u16, u16_at};
use serde_json::Value;

use crate::plan::{Case, Expected, Setup, hex};

/// What became of the packets of an encapsulator.
#[derive(Default)]
struct Row {
    refused: BTreeMap<&'static str, usize>,
    sent: usize,
    delivered: usize,
    by_rule: BTreeMap<&'static str, usize>,
    different: usize,
    damaged: usize,
    reported: usize,
}

/// Prints a table, and every packet of which the kernel made something else; fails if there is one, or a
/// damaged one that is not among them.
pub fn judge(plan: &[Setup], mut answers: impl Iterator<Item = String>) -> ExitCode {
    let mut rows: BTreeMap<&str, Row> = BTreeMap::new();
    for (number, setup) in plan.iter().enumerate() {
        for case in &setup.cases {
            let row = rows.entry(&case.encapsulator).or_default();
            let packet = match &case.packet {
                Ok(packet) => packet,
                Err(reason) => {
                    *row.refused.entry(reason).or_default() += 1;
                    continue;
                }
            };
            let line = answers.next().expect("an answer for each packet");
            let answer = Answer::parse(&serde_json::from_str(&line).expect(&line));
            let verdict = compare(&case.expected, &answer);
            if case.is_damaged {
                row.damaged += 1;
                row.reported += usize::from(verdict.is_err());
                continue;
            }
            row.sent += 1;
            match (verdict, case.expected.rule()) {
                (Ok(()), None) => row.delivered += 1,
                (Ok(()), Some(rule)) => *row.by_rule.entry(rule).or_default() += 1,
                (Err(why), _) => {
                    row.different += 1;
                    report(number, setup, case, packet, &why, &line);
                }
            }
        }
    }
    assert!(answers.next().is_none(), "more answers than packets");
    print(&rows)
}

fn report(number: usize, setup: &Setup, case: &Case, packet: &[u8], why: &str, line: &str) {
    let (encapsulator, form, inner) = (&case.encapsulator, &case.form, case.inner_name);
    println!("DIFFERENT: {encapsulator} | {form} | {inner}: {why}");
    println!("  setup {number}: {}", setup.commands.join("; "));
    println!("  sent {}\n  answer {line}", hex(packet));
}

fn print(rows: &BTreeMap<&str, Row>) -> ExitCode {
    let counts = |counts: &BTreeMap<&str, usize>| {
        let counts: Vec<_> = counts
            .iter()
            .map(|(what, n)| format!("{what} {n}"))
            .collect();
        counts.join(", ")
    };
    println!(
        "| encapsulator | sent | delivered, the same | answered by rule | different | damaged, reported | refused here |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (name, row) in rows {
        println!(
            "| `{name}` | {} | {} | {} | {} | {} of {} | {} |",
            row.sent,
            row.delivered,
            counts(&row.by_rule),
            row.different,
            row.reported,
            row.damaged,
            counts(&row.refused),
        );
    }
    let sum = |of: fn(&Row) -> usize| rows.values().map(of).sum::<usize>();
    let (sent, different) = (sum(|row| row.sent), sum(|row| row.different));
    let (damaged, reported) = (sum(|row| row.damaged), sum(|row| row.reported));
    println!(
        "\n{sent} packets, {different} different; {reported} of {damaged} damaged packets reported"
    );
    if different == 0 && reported == damaged && damaged > 0 && sent > 0 {
        ExitCode::SUCCESS
    } else {
        println!("FAILED");
        ExitCode::FAILURE
    }
}

/// What the kernel did with one packet.
struct Answer {
    delivered: Vec<Vec<u8>>,
    forwarded: Vec<Vec<u8>>,
    wire: Vec<Vec<u8>>,
}

impl Answer {
    fn parse(answer: &Value) -> Self {
        let packets = |list: &Value| -> Vec<Vec<u8>> {
            let list = list.as_array().into_iter().flatten();
            list.map(|packet| unhex(packet.as_str().unwrap())).collect()
        };
        let devices = answer["delivered"].as_object().unwrap();
        Self {
            delivered: devices.values().flat_map(packets).collect(),
            forwarded: packets(&answer["forwarded"]),
            wire: packets(&answer["wire"]),
        }
    }
}

/// Why the answer is not what was expected.
fn compare(expected: &Expected, answer: &Answer) -> Result<(), String> {
    match expected {
        Expected::Inner(inner) => {
            // Each device of a nest delivers one, the innermost the shortest.
            let shortest = answer.delivered.iter().min_by_key(|packet| packet.len());
            let shortest = shortest.ok_or("nothing delivered")?;
            if shortest != inner {
                return Err(format!("another packet delivered than {}", hex(inner)));
            }
            let sent_on = routed(inner);
            if answer.forwarded != sent_on.into_iter().collect::<Vec<_>>() {
                return Err("not sent on as a router does".into());
            }
            Ok(())
        }
        Expected::Reset(sequence) => {
            let is_reset = |packet: &Ipv4<'_>| {
                let Ok(segment) = Tcp::parse(packet.payload()) else {
                    return false;
                };
                let header = segment.header();
                packet.header().protocol() == IpProtocol::TCP
                    && header.flags().contains(TcpFlags::RST)
                    && header.sequence() == *sequence
            };
            answered(answer, is_reset)
                .then_some(())
                .ok_or_else(|| "no reset".into())
        }
        Expected::ProtocolUnreachable => {
            let is_unreachable = |packet: &Ipv4<'_>| {
                let Ok(message) = Icmpv4::parse(packet.payload()) else {
                    return false;
                };
                let header = message.header();
                packet.header().protocol() == IpProtocol::ICMP
                    && (header.message_type(), header.code()) == (3, 2)
            };
            let unreachable = answered(answer, is_unreachable).then_some(());
            unreachable.ok_or_else(|| "no ICMP 3/2".into())
        }
    }
}

/// Whether such a packet, and no other, came back.
fn answered(answer: &Answer, is_it: impl Fn(&Ipv4<'_>) -> bool) -> bool {
    match &answer.wire[..] {
        [packet] => Ipv4::parse(packet).is_ok_and(|packet| is_it(&packet)),
        _ => false,
    }
}

/// What a router makes of `inner`: one hop less, or nothing.
fn routed(inner: &[u8]) -> Option<Vec<u8>> {
    let mut routed = inner.to_vec();
    if routed[8] <= 1 {
        return None;
    }
    let old = u16_at(&routed, 8);
    routed[8] -= 1;
    let patched = equation_3(u16_at(&routed, 10), old, u16_at(&routed, 8));
    put_u16(&mut routed, 10, patched);
    Some(routed)
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |digits| u8::from_str_radix(digits, 16).unwrap();
    (0..text.len())
        .step_by(2)
        .map(|at| digit(&text[at..at + 2]))
        .collect()
}
