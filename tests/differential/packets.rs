//! What the parsers are asked about: captures, vectors, a kernel's packets, and changes of them.

#![allow(
    clippy::ptr_arg,
    reason = "all changes have one type, and some change the length"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ipencap_kit::oracle::{self, Plain};
use serde_json::Value;

use crate::capture::{Reader, link};

/// Packets with their names, each once.
pub(crate) struct Packets {
    known: BTreeSet<Vec<u8>>,
    pub(crate) all: Vec<(String, Vec<u8>)>,
}

/// Our own packets, which are always there.
pub(crate) fn committed() -> Packets {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut packets = Packets {
        known: BTreeSet::new(),
        all: Vec::new(),
    };
    packets.add_capture(&root.join("examples/cli/data/lan.pcap"));
    for file in files(&root.join("tests/data"), "json") {
        let text = fs::read_to_string(&file).expect("a file of vectors");
        packets.add_json(&file, &serde_json::from_str(&text).expect("JSON"));
    }
    for file in files(&root.join("tests/data/kernel"), "jsonl") {
        for line in fs::read_to_string(&file).expect("records").lines() {
            packets.add_json(&file, &serde_json::from_str(line).expect("JSON"));
        }
    }
    for (name, packet) in crafted() {
        packets.add(name.to_owned(), &packet);
    }
    packets
}

/// The captures of others, or a word about why there are none.
pub(crate) fn captured() -> Option<Packets> {
    let folder = std::env::var_os("IPENCAP_CAPTURES").map(PathBuf::from);
    let Some(folder) = folder.filter(|folder| folder.is_dir()) else {
        println!("skipped: IPENCAP_CAPTURES names no folder; only our own packets are compared");
        return None;
    };
    let mut packets = Packets {
        known: BTreeSet::new(),
        all: Vec::new(),
    };
    for extension in ["pcap", "pcapng", "cap"] {
        for file in files(&folder, extension) {
            packets.add_capture(&file);
        }
    }
    Some(packets)
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = folder.read_dir().expect("a folder");
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.retain(|file| file.extension().is_some_and(|found| found == extension));
    files.sort();
    files
}

impl Packets {
    fn add(&mut self, name: String, packet: &[u8]) {
        if self.known.insert(packet.to_vec()) {
            self.all.push((name, packet.to_vec()));
        }
    }

    fn add_capture(&mut self, file: &Path) {
        let bytes = fs::File::open(file).expect("a capture that can be read");
        let mut input = Reader::new(bytes).expect("a capture that opens");
        let mut number = 0;
        while let Ok(Some(record)) = input.next_record() {
            number += 1;
            let packet = link::ipv4_packet(record.link_type, record.frame).unwrap_or(record.frame);
            self.add(format!("{}, packet {number}", file.display()), packet);
        }
    }

    /// Every text that is a packet in hexadecimal, by the look of it.
    fn add_json(&mut self, file: &Path, value: &Value) {
        match value {
            Value::String(text) => {
                let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
                if is_hex && text.len() >= 16 && text.len() % 2 == 0 {
                    self.add(format!("{}: {text}", file.display()), &unhex(text));
                }
            }
            Value::Array(values) => values.iter().for_each(|value| self.add_json(file, value)),
            Value::Object(values) => values.values().for_each(|value| self.add_json(file, value)),
            _ => {}
        }
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes().chunks(2);
    bytes
        .map(|digits| {
            u8::from_str_radix(core::str::from_utf8(digits).expect("ASCII"), 16).expect("hex")
        })
        .collect()
}

/// Packets that have what no capture shows: an authentication header, and every kind of TCP option.
fn crafted() -> Vec<(&'static str, Vec<u8>)> {
    let header = |protocol| Plain {
        tos: 0x28,
        ..Plain::of(protocol)
    };
    let segment = |options: &[u8]| {
        let words = u8::try_from(5 + options.len() / 4).expect("at most 40 bytes");
        let mut segment = vec![0x9c, 0x40, 0x01, 0xbb, 0, 0, 0, 1, 0, 0, 0, 2];
        segment.extend([words << 4, 0x12, 0x20, 0x00, 0, 0, 0, 0]);
        segment.extend(options);
        segment.extend(b"data");
        let plain = header(6);
        oracle::refill(&plain, &mut segment);
        plain.packet(&segment)
    };
    let authenticated = [
        &[
            4, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
        ][..],
        b"behind it",
    ]
    .concat();
    let mut short = header(17).packet(b"payload!");
    short[0] = 0x44;
    oracle::put_u16(&mut short, 10, 0);
    let checksum = oracle::checksum(&short[..16]);
    oracle::put_u16(&mut short, 10, checksum);
    let mut cut = header(51).packet(b"cut");
    cut[10] ^= 1;
    vec![
        ("a checksum of four words that verifies", short),
        ("authentication header, cut, under a wrong checksum", cut),
        ("authentication header", header(51).packet(&authenticated)),
        (
            "all options of TCP",
            segment(&[
                2, 4, 0x05, 0xb4, 3, 3, 7, 4, 2, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 5, 10, 0, 0, 0,
                1, 0, 0, 0, 2, 1, 0,
            ]),
        ),
        ("an option that nobody knows", segment(&[254, 4, 0, 0])),
        (
            "a maximum segment size of three bytes",
            segment(&[2, 3, 5, 0]),
        ),
        (
            "an option that ends behind the header",
            segment(&[254, 9, 0, 0]),
        ),
        ("timestamps without room for them", segment(&[1, 1, 8, 2])),
        ("an option of length 1", segment(&[254, 1, 0, 0])),
    ]
}

/// Numbers without a pattern, the same in every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % end
    }

    fn word(&mut self) -> u16 {
        u16::try_from(self.below(0x1_0000)).expect("16 bits")
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// A way to change a packet whose header is whole: `at` is where its payload begins.
type Change = fn(&mut Vec<u8>, at: usize, &mut Random);

/// What is changed, and whether the checksums follow: that of IPv4, that of the payload.
pub(crate) const CHANGES: [(&str, bool, bool, Change); 20] = [
    ("a bit of the first 80 bytes", false, false, flip),
    ("a bit of the first 80 bytes", true, false, flip),
    ("a bit of the first 80 bytes", true, true, flip),
    ("cut", false, false, cut),
    ("total length", true, false, total_len),
    ("total length, cut to it", true, true, cut_with_total_len),
    ("IHL", true, false, ihl),
    ("flags and offset", true, false, |bytes, _, random| {
        oracle::put_u16(bytes, 6, random.word());
    }),
    ("protocol", true, true, |bytes, _, random| {
        bytes[9] = random.one_of(&[6, 17, 4, 51, 1]);
    }),
    ("options of IPv4", true, false, insert_options),
    (
        "bytes behind the packet",
        false,
        false,
        |bytes, _, random| {
            let len = bytes.len() + 1 + random.below(20);
            bytes.resize(len, 0xee);
        },
    ),
    ("checksum of IPv4", false, false, |bytes, _, random| {
        let checksum = random.one_of(&[0x0000, 0xffff, 0x1234]);
        oracle::put_u16(bytes, 10, checksum);
    }),
    (
        "another zero as checksum of IPv4",
        false,
        false,
        |bytes, _, _| {
            oracle::fill_checksum(bytes);
            add_word(bytes, 4, 10);
            oracle::put_u16(bytes, 10, 0xffff);
        },
    ),
    ("word of the payload", true, true, |bytes, at, random| {
        let word = random.one_of(&[0, 1, 7, 8, 9, 20, 0xffff]);
        at_most(bytes, at + 2 * random.below(12), word);
    }),
    ("word of the payload", true, false, |bytes, at, random| {
        let word = random.word();
        at_most(bytes, at + 2 * random.below(12), word);
    }),
    ("length of UDP", true, true, |bytes, at, random| {
        let len = u16::try_from(bytes.len() - at.min(bytes.len())).unwrap_or(u16::MAX);
        let said = random.one_of(&[0, 7, 8, len.wrapping_sub(1), len, len.wrapping_add(1)]);
        at_most(bytes, at + 4, said);
    }),
    (
        "offset and flags of TCP",
        true,
        true,
        |bytes, at, random| {
            let word = random.word();
            at_most(bytes, at + 12, word);
        },
    ),
    ("options of TCP", true, true, |bytes, at, random| {
        let at = at + 20 + 2 * random.below(8);
        let kind = random.one_of(&[0, 1, 2, 3, 4, 5, 8, 19, 254]);
        let length = random.one_of(&[0, 1, 2, 3, 4, 10, 11, 18, 26, 34, 40]);
        at_most(bytes, at, kind << 8 | length);
    }),
    (
        "checksum of the payload",
        true,
        false,
        |bytes, at, random| {
            let checksum = random.one_of(&[0x0000, 0xffff, 0x1234]);
            let field = if bytes[9] == 6 { 16 } else { 6 };
            at_most(bytes, at + field, checksum);
        },
    ),
    (
        "another zero as checksum of the payload",
        true,
        false,
        |bytes, at, _| {
            refill_payload(bytes, at);
            // A port of UDP, and TCP's urgent pointer, take the checksum's place in the sum.
            let (field, checksum) = if bytes[9] == 6 { (18, 16) } else { (0, 6) };
            if bytes.len() >= at + checksum + 2 {
                add_word(bytes, at + field, at + checksum);
                oracle::put_u16(bytes, at + checksum, 0xffff);
            }
        },
    ),
];

/// `packet` with one change, or none where it is no packet that could be changed so.
pub(crate) fn changed(
    packet: &[u8],
    (_, refills, refills_payload, change): &(&str, bool, bool, Change),
    random: &mut Random,
) -> Option<Vec<u8>> {
    let at = usize::from(packet.first()? % 16) * 4;
    if at < 20 || packet.len() < at {
        return None;
    }
    let mut bytes = packet.to_vec();
    change(&mut bytes, at, random);
    if *refills_payload {
        refill_payload(&mut bytes, at);
    }
    if *refills && bytes.len() >= 20 {
        oracle::fill_checksum(&mut bytes);
    }
    Some(bytes)
}

/// The right checksum for what the IPv4 header says that its payload is.
fn refill_payload(bytes: &mut [u8], at: usize) {
    let end = usize::from(oracle::u16_at(bytes, 2)).min(bytes.len());
    if end < at {
        return;
    }
    let header = Plain {
        tos: 0,
        identification: 0,
        flags_offset: 0,
        ttl: 0,
        protocol: bytes[9],
        source: oracle::address_at(bytes, 12),
        destination: oracle::address_at(bytes, 16),
        options: vec![],
    };
    if matches!(header.protocol, 6 | 17) {
        oracle::refill(&header, &mut bytes[at..end]);
    }
}

/// Writes a word where there is room for it.
fn at_most(bytes: &mut [u8], at: usize, word: u16) {
    if bytes.len() >= at + 2 {
        oracle::put_u16(bytes, at, word);
    }
}

/// Adds one word to another, in ones' complement arithmetic: the sum of both is the same if the added
/// one becomes 0.
fn add_word(bytes: &mut [u8], to: usize, from: usize) {
    let sum = u32::from(oracle::u16_at(bytes, to)) + u32::from(oracle::u16_at(bytes, from));
    let folded = (sum & 0xffff) + (sum >> 16);
    oracle::put_u16(bytes, to, u16::try_from(folded).expect("one carry at most"));
}

fn flip(bytes: &mut Vec<u8>, _: usize, random: &mut Random) {
    let bit = random.below(bytes.len().min(80) * 8);
    bytes[bit / 8] ^= 1 << (bit % 8);
}

fn cut(bytes: &mut Vec<u8>, _: usize, random: &mut Random) {
    // Mostly where the headers are.
    let len = bytes.len();
    let most = if random.below(4) == 0 {
        len
    } else {
        len.min(64)
    };
    bytes.truncate(random.below(most));
}

fn total_len(bytes: &mut Vec<u8>, at: usize, random: &mut Random) {
    let len = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    let header_len = u16::try_from(at).expect("60 at most");
    let random_len = random.word();
    let said = random.one_of(&[
        0,
        19,
        20,
        header_len - 1,
        header_len,
        header_len + 8,
        len - 1,
        len,
        len.saturating_add(1),
        0xffff,
        random_len,
    ]);
    oracle::put_u16(bytes, 2, said);
}

fn cut_with_total_len(bytes: &mut Vec<u8>, at: usize, random: &mut Random) {
    let len = at + random.below(bytes.len() - at + 1);
    bytes.truncate(len);
    let len = u16::try_from(len).unwrap_or(u16::MAX);
    oracle::put_u16(bytes, 2, len);
}

fn ihl(bytes: &mut Vec<u8>, _: usize, random: &mut Random) {
    let ihl = u8::try_from(random.below(16)).expect("four bits");
    bytes[0] = bytes[0] & 0xf0 | ihl;
}

fn insert_options(bytes: &mut Vec<u8>, at: usize, random: &mut Random) {
    let words = random.below((60 - at) / 4 + 1);
    let options = (0..words * 4).map(|_| random.one_of(&[0, 1, 2, 4, 7, 131, 148]));
    let options: Vec<u8> = options.collect();
    bytes.splice(at..at, options);
    bytes[0] += u8::try_from(words).expect("ten at most");
    let said =
        oracle::u16_at(bytes, 2).saturating_add(u16::try_from(words * 4).expect("40 at most"));
    oracle::put_u16(bytes, 2, said);
}
