//! Writes the answers as tables: `tests/golden/packets.txt`, and what this machine makes of the packets that
//! were sent to a Linux kernel, which `tests/kernel/` holds to what that made of them.

#![allow(clippy::pedantic, reason = "a build script that panics fails")]

#[path = "../../../tests/golden/inner.rs"]
mod inner;
#[path = "src/tunnels.rs"]
mod tunnels;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::{env, fs};

use ipencap::encap::InnerChecksum;
use serde_json::Value;

use inner::{ENDPOINTS, inner_packets};
use tunnels::{Ends, with_tunnel};

/// Longer packets are left out: there is little memory where this runs.
const MAX_LEN: usize = 400;

/// Which configurations of the kernel's tunnels have a name here.
const CONFIGURATIONS: [(&str, &str, &str); 9] = [
    ("ipip", "IpIp", "typical"),
    ("ipip-any", "IpIp", "typical"),
    ("ipip-rpf1", "IpIp", "typical"),
    ("ipip-rpf2", "IpIp", "typical"),
    ("ipip-ttl64", "IpIp", "typical"),
    ("fou", "Udp::fou", ""),
    ("gue", "Udp::gue", ""),
    ("gre", "Gre", "plain"),
    ("gre-csum", "Gre", "checksum"),
];

fn main() {
    let out = env::var("OUT_DIR").unwrap();
    let root = "../../..";
    let golden = fs::read_to_string(format!("{root}/tests/golden/packets.txt")).unwrap();
    let corpus = fs::read_to_string(format!("{root}/tests/data/kernel/decap.jsonl")).unwrap();
    for file in ["tests/golden", "tests/data/kernel/decap.jsonl"] {
        println!("cargo::rerun-if-changed={root}/{file}");
    }
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/tunnels.rs");
    let wrong = env::var_os("CARGO_FEATURE_PLANT_WRONG_ANSWER").is_some();
    let tables = format!(
        "{}{}{}",
        inner_table(),
        golden_table(&golden, wrong),
        arrival_table(&corpus, wrong)
    );
    fs::write(format!("{out}/answers.rs"), tables).unwrap();
    if env::var("CARGO_CFG_TARGET_OS").unwrap() == "none" {
        fs::write(format!("{out}/memory.x"), memory()).unwrap();
        println!("cargo::rustc-link-search={out}");
        // The Cortex-M script reads the memories itself.
        if env::var("CARGO_CFG_TARGET_ARCH").unwrap() != "arm" {
            println!("cargo::rustc-link-arg=-Tmemory.x");
        }
        println!("cargo::rustc-link-arg=-Tlink.x");
        println!("cargo::rustc-link-arg=--nmagic");
    }
}

/// The memories of QEMU's `mps2-an386`, `microbit` and `virt`.
fn memory() -> &'static str {
    match &env::var("TARGET").unwrap()[..] {
        "thumbv7em-none-eabihf" => {
            "MEMORY { FLASH : ORIGIN = 0, LENGTH = 4M RAM : ORIGIN = 0x20000000, LENGTH = 4M }"
        }
        "thumbv6m-none-eabi" => {
            "MEMORY { FLASH : ORIGIN = 0, LENGTH = 256K RAM : ORIGIN = 0x20000000, LENGTH = 16K }"
        }
        "riscv32imac-unknown-none-elf" => {
            "MEMORY { RAM : ORIGIN = 0x80000000, LENGTH = 16M }
             REGION_ALIAS(\"REGION_TEXT\", RAM); REGION_ALIAS(\"REGION_RODATA\", RAM);
             REGION_ALIAS(\"REGION_DATA\", RAM); REGION_ALIAS(\"REGION_BSS\", RAM);
             REGION_ALIAS(\"REGION_HEAP\", RAM); REGION_ALIAS(\"REGION_STACK\", RAM);"
        }
        target => panic!("what memory has {target}?"),
    }
}

fn inner_table() -> String {
    let mut table = format!(
        "pub const ENDS: Ends = Ends({:?}, {:?});\npub static INNER: &[Inner] = &[\n",
        ENDPOINTS.source, ENDPOINTS.destination
    );
    for inner in inner_packets() {
        let (bytes, header_len, said) = (&inner.bytes, inner.header_len, inner.said);
        let is_partial = said.inner_checksum() == InnerChecksum::Partial;
        let (sequence, acknowledgment) = said.tcp_numbers();
        let (identification, number) = (said.identification().unwrap(), said.sequence().unwrap());
        writeln!(
            table,
            "Inner {{ name: {:?}, bytes: &{bytes:?}, header_len: {header_len}, is_partial: {is_partial}, \
             identification: {identification}, sequence: {number}, tcp_numbers: ({sequence}, {acknowledgment}) }},",
            inner.name
        )
        .unwrap();
    }
    table + "];\n"
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digits).collect()
}

/// Why the other end of a tunnel refuses `packet`; nothing where it does not.
fn refusal(name: &str, form: &str, ends: Ends, mut packet: Vec<u8>) -> &'static str {
    let mut refusal = "";
    with_tunnel(name, form, ends, &mut |_, opens| {
        if let Err(refused) = ipencap::decap(opens, &mut packet) {
            refusal = refused.name();
        }
    });
    refusal
}

/// Each configuration with its answers, in the order of the inner packets.
fn golden_table(golden: &str, wrong: bool) -> String {
    let inner_packets = inner_packets();
    let mut configurations: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    let mut plant = wrong;
    for line in golden.lines() {
        let fields: Vec<_> = line.split(" | ").collect();
        let [name, form, inner, answer] = fields[..] else {
            panic!("{line}");
        };
        if name == "stream" {
            continue;
        }
        let answers = configurations.entry((name, form)).or_default();
        let packet = &inner_packets[answers.len()];
        assert_eq!(packet.name, inner, "{line}");
        if !answer.starts_with('4') {
            answers.push(format!(
                "Answer {{ wrapped: Err({answer:?}), refused: \"\" }}"
            ));
            continue;
        }
        let mut bytes = unhex(answer);
        let whole = [&bytes[..], &packet.bytes[packet.header_len..]].concat();
        let refused = refusal(
            name,
            form,
            Ends(ENDPOINTS.source, ENDPOINTS.destination),
            whole,
        );
        if std::mem::take(&mut plant) {
            bytes[1] ^= 1;
        }
        answers.push(format!(
            "Answer {{ wrapped: Ok(&{bytes:?}), refused: {refused:?} }}"
        ));
    }
    let mut table = "pub static GOLDEN: &[Configuration] = &[\n".to_owned();
    for ((name, form), answers) in configurations {
        let answers = answers.join(", ");
        writeln!(
            table,
            "Configuration {{ name: {name:?}, form: {form:?}, answers: &[{answers}] }},"
        )
        .unwrap();
    }
    table + "];\n"
}

/// Each packet that was sent to the kernel, and what the decapsulator of the same name says here.
fn arrival_table(corpus: &str, wrong: bool) -> String {
    let (local, peer) = ([192, 0, 2, 1], [192, 0, 2, 2]);
    let mut table = format!(
        "pub const KERNEL_ENDS: Ends = Ends({peer:?}, {local:?});\npub static ARRIVALS: &[Arrival] = &[\n"
    );
    let mut plant = wrong;
    for line in corpus.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let known = |row: &&(&str, &str, &str)| record["cfg"] == row.0;
        let Some((_, name, form)) = CONFIGURATIONS.iter().find(known) else {
            continue;
        };
        for packet in record["inject"].as_array().into_iter().flatten() {
            let packet = unhex(packet.as_str().unwrap());
            if packet.len() > MAX_LEN {
                continue;
            }
            let mut answer = String::new();
            with_tunnel(name, form, Ends(peer, local), &mut |_, opens| {
                let mut packet = packet.clone();
                answer = match ipencap::decap(opens, &mut packet) {
                    Ok(inner) => format!("Ok(&{:?})", inner.packet),
                    Err(refused) => format!("Err({:?})", refused.name()),
                };
            });
            if answer.starts_with("Err") && std::mem::take(&mut plant) {
                answer = "Err(\"Wrong\")".to_owned();
            }
            writeln!(
                table,
                "Arrival {{ name: {name:?}, form: {form:?}, packet: &{packet:?}, answer: {answer} }},"
            )
            .unwrap();
        }
    }
    table + "];\n"
}
