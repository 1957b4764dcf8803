//! Makes the seed corpora, `seeds/TARGET/`, from the vectors and the kernel's packets in
//! `tests/data`: `cargo run --release -p ipencap-kit --example seeds`. The same files in every run.
//!
//! A case is generated from bytes that are decisions, and then, now and then, takes the rest of the
//! input as its packet: a seed is such decisions, chosen so that the packet gets far, and the packet.

use core::error::Error;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ipencap::icmp::IcmpError;
use ipencap_kit::arbitrary::{Arbitrary, Unstructured};
use ipencap_kit::generate::{
    ChecksumCase, CompositionCase, DecapCase, EncapCase, ErrorCase, FragmentCase, NestCase,
    ReassemblyCase, StreamCase, from_bytes,
};
use ipencap_kit::oracle;
use ipencap_kit::registry::{CarrierSubject, Subject};
use serde_json::Value;

/// The byte that says yes to a question with odds of 1 in 16.
const YES: u8 = 15;

/// The longest packet worth keeping.
const LONGEST: usize = 200;

#[allow(clippy::too_many_lines, reason = "a few for each target")]
fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (data, seeds) = (root.join("tests/data"), root.join("fuzz/seeds"));
    let mut vectors = BTreeMap::new();
    for file in ["semantics-vectors.json", "semantics-extra.json"] {
        let vector = serde_json::from_str(&fs::read_to_string(data.join(file))?)?;
        collect("P", &vector, &mut vectors);
    }
    let mut captures = BTreeMap::new();
    for carrier in [
        "decap",
        "encap-fou",
        "encap-gre",
        "encap-gue",
        "encap-ipip",
        "encap-nest",
    ] {
        let lines = fs::read_to_string(data.join(format!("kernel/{carrier}.jsonl")))?;
        // Neighbours differ in one field that the fuzzer will change by itself.
        for line in lines.lines().step_by(13) {
            let record: Value = serde_json::from_str(line)?;
            let id = record["id"].as_str().unwrap_or("setup");
            for key in ["inject", "outer"] {
                collect(id, &record[key][0], &mut captures);
            }
        }
    }
    let packets: Vec<_> = vectors
        .into_iter()
        .chain(captures)
        .filter(|(packet, _)| (1..=LONGEST).contains(&packet.len()))
        .map(|(packet, id)| (id, packet))
        .collect();

    let write = |target: &str, id: &str, bytes: &[u8]| {
        let folder = seeds.join(target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(id), bytes)
    };
    let mut dice = Dice(1);
    let mut usual = Vec::new();
    for (number, (id, packet)) in packets.iter().enumerate() {
        let len = u16::try_from(packet.len())?.to_be_bytes();
        write("parse", id, &[&[0, YES], &len, &packet[..]].concat())?;

        // One that no carrier accepts comes with the decisions under which another was accepted.
        if let Some(seed) = dice.seed(packet, 1, |case: &DecapCase| accepted(case, packet)) {
            usual = seed[..seed.len() - packet.len()].to_vec();
        }
        write("decap", id, &[&usual, &packet[..]].concat())?;
        // The rest needs no more than some shapes.
        if number % 4 != 0 {
            continue;
        }
        let whole =
            |case: &EncapCase| case.inner.0 == *packet && welcome(case) * 2 > case.subjects.len();
        if let Some(seed) = dice.seed(packet, 1, whole) {
            write("encap", id, &[&[0], &seed[..]].concat())?;
        }
        let stacked =
            |case: &CompositionCase| case.encap.inner.0 == *packet && case.layers.len() > 1;
        if let Some(seed) = dice.seed(packet, 2, stacked) {
            write("encap", &format!("{id}-stack"), &[&[1], &seed[..]].concat())?;
        }
        let depth = number / 4 % 4 + 1;
        let nested = |case: &NestCase| {
            case.layers.len() == depth && case.inner.bytes.0.len() == packet.len()
        };
        if let Some(seed) = dice.seed(packet, 6, nested) {
            write("roundtrip", id, &seed)?;
        }
        let fragments = |case: &FragmentCase| {
            let fragments = oracle::fragments(packet, case.mtu);
            case.packet.0 == *packet && fragments.is_ok_and(|fragments| fragments.len() > 1)
        };
        if let Some(seed) = dice.seed(packet, 1, fragments) {
            write("fragment", id, &[&[0], &seed[..]].concat())?;
        }
        let last = |case: &ReassemblyCase| {
            let last = case.arriving.last();
            case.arriving.len() > 2 && last.is_some_and(|last| last.bytes.0 == *packet)
        };
        if let Some(seed) = dice.seed(packet, 1, last) {
            write(
                "fragment",
                &format!("{id}-last"),
                &[&[1], &seed[..]].concat(),
            )?;
        }
        let answered = |case: &ErrorCase| {
            let about = IcmpError::about(packet, case.kind, case.source.into());
            case.offending.0 == *packet && about.is_ok()
        };
        if let Some(seed) = dice.seed(packet, 1, answered) {
            write("icmp", id, &[&[0], &seed[..]].concat())?;
        }
        let split = |case: &ChecksumCase| case.data.0 == *packet && !case.pieces.is_empty();
        if let Some(seed) = dice.seed(packet, 1, split) {
            write("checksum", id, &[&[0], &seed[..]].concat())?;
        }
    }
    streams(&packets, &mut dice, write)?;

    // Cases that have no packet: any decisions.
    for (target, kind) in [
        ("parse", 1),
        ("parse", 2),
        ("checksum", 1),
        ("checksum", 2),
        ("checksum", 3),
        ("encap", 2),
        ("encap", 3),
        ("stream", 1),
        ("table", 0),
        ("table", 1),
        ("endpoint", 0),
        ("endpoint", 1),
        ("pmtu", 0),
        ("pmtu", 1),
        ("pmtu", 2),
        ("mss", 0),
        ("fragment", 1),
        ("icmp", 1),
        ("icmp", 2),
    ] {
        for number in 0..6 {
            let mut seed = dice.bytes(200);
            seed[0] = kind;
            write(target, &format!("kind-{kind}-{number}"), &seed)?;
        }
    }
    Ok(())
}

/// Every IPv4 packet that is written in hexadecimal in `value`, with the id it stands under.
fn collect(id: &str, value: &Value, packets: &mut BTreeMap<Vec<u8>, String>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                let is_id = key.contains('-') && key.len() < 10;
                collect(if is_id { key } else { id }, member, packets);
            }
        }
        Value::Array(members) => {
            for member in members {
                collect(id, member, packets);
            }
        }
        Value::String(text) if text.starts_with('4') => {
            if let Some(packet) = unhex(text) {
                packets.entry(packet).or_insert_with(|| id.to_owned());
            }
        }
        _ => {}
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|digit| u8::try_from(digit.to_digit(16)?).ok())
        .collect();
    let pairs = digits?;
    if !pairs.len().is_multiple_of(2) {
        return None;
    }
    let pairs = pairs.chunks_exact(2);
    Some(pairs.map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// Whether this is what arrives in the case, and one of its carriers delivers what is inside.
fn accepted(case: &DecapCase, packet: &[u8]) -> bool {
    case.arrivals.iter().any(|(subject, arrival)| {
        let carrier = subject.carrier().map(CarrierSubject::naive);
        carrier.is_some_and(|carrier| {
            arrival.0 == packet
                && oracle::decapsulate(carrier, &case.network, case.switches, packet).is_ok()
        })
    })
}

/// How many of the case's encapsulators take its packet.
fn welcome(case: &EncapCase) -> usize {
    let takes = |subject: &dyn Subject| {
        let naive = subject.naive();
        naive.objections(&case.inner.0, &case.packet).is_empty()
            && naive.overhead() <= case.headroom
    };
    let subjects = case.subjects.iter();
    subjects.filter(|subject| takes(&***subject)).count()
}

/// Streams of one packet and of several, in every framing.
fn streams(
    packets: &[(String, Vec<u8>)],
    dice: &mut Dice,
    write: impl Fn(&str, &str, &[u8]) -> std::io::Result<()>,
) -> Result<(), Box<dyn Error>> {
    use ipencap::stream::StreamFraming::{Bare, Exclusive, Inclusive, Rfc4571};
    for framing in [Exclusive, Rfc4571, Inclusive, Bare] {
        for (number, some) in packets.chunks(24).enumerate() {
            let mut stream = framing.preamble().to_vec();
            for (_, packet) in some.iter().step_by(6) {
                let mut frame = [&vec![0; framing.prefix_len()], &packet[..]].concat();
                if framing.frame(&mut frame).is_ok() {
                    stream.extend(frame);
                }
            }
            match framing {
                Rfc4571 => stream.extend([0, 0]),
                Inclusive => stream.extend([0, 2, 0, 3, 0xff]),
                _ => {}
            }
            let heard = |case: &StreamCase| {
                case.receiver.framing == framing
                    && !oracle::hear(&case.receiver, &stream).frames.is_empty()
            };
            if let Some(seed) = dice.seed(&stream, 1, heard) {
                let name = format!("{framing:?}-{number}").to_lowercase();
                write("stream", &name, &[&[0], &seed[..]].concat())?;
            }
        }
    }
    Ok(())
}

/// Bytes that look random, the same in every run.
struct Dice(u64);

impl Dice {
    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut next = || {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0.to_le_bytes()[5]
        };
        (0..len).map(|_| next()).collect()
    }

    /// Decisions, and `packet`, that together make a case that is `good`: `None` if that is rare.
    ///
    /// The question whether the rest is a packet is the last byte that the case takes but `behind`.
    fn seed<T>(
        &mut self,
        packet: &[u8],
        behind: usize,
        good: impl Fn(&T) -> bool,
    ) -> Option<Vec<u8>>
    where
        T: for<'a> Arbitrary<'a>,
    {
        const MANY: usize = 512;
        (0..4000).find_map(|_| {
            // Often the first of several choices: the usual one.
            let mut decisions = self.bytes(MANY);
            let mask = self.bytes(MANY);
            for (byte, mask) in decisions.iter_mut().zip(mask) {
                if mask < 128 {
                    *byte = 0;
                }
            }
            let mut unstructured = Unstructured::new(&decisions);
            T::arbitrary(&mut unstructured).ok()?;
            let question = (MANY - unstructured.len()).checked_sub(behind)?;
            if question > 400 {
                return None;
            }
            decisions.truncate(question);
            decisions.push(YES);
            decisions.extend(packet);
            good(&from_bytes(&decisions)).then_some(decisions)
        })
    }
}
