//! Every capture, cut and with every length wrong: named, without a panic, in bounded memory.
//!
//! This file walks through the captures by itself, so that it knows what each damage must lead to.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic: that is how it fails"
)]

use std::fs;
use std::io::Read;
use std::path::Path;

use ipencap_cli::capture::{Fault, LONGEST_PACKET, ReadError, Reader};

mod shared;

/// A pcap record, or a pcapng block.
#[derive(Clone, Copy)]
struct Piece {
    at: usize,
    len: usize,
    /// How many packets stand in front of it.
    packets: u64,
    /// Whether it is a packet itself.
    is_packet: bool,
}

/// A field that holds a length.
#[derive(Clone, Copy)]
struct Field {
    at: usize,
    width: usize,
    kind: Kind,
    piece: Piece,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Of a pcap record.
    Captured,
    /// Of a pcapng packet block, with room for so many bytes.
    InBlock {
        room: usize,
    },
    /// Of a Simple Packet Block, whose interface cuts at so many bytes.
    Simple {
        room: usize,
        snaplen: usize,
    },
    BlockFirst {
        block_type: u32,
    },
    BlockLast,
    /// Of an option of an interface, with room for so many bytes.
    InterfaceOption {
        code: u16,
        room: usize,
    },
    /// What no packet's bytes depend on.
    Ignored,
    /// A snapshot length that a Simple Packet Block depends on.
    Snaplen,
}

struct Capture {
    bytes: Vec<u8>,
    header_len: usize,
    big_endian: bool,
    pieces: Vec<Piece>,
    fields: Vec<Field>,
}

impl Capture {
    fn load(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap();
        let is_pcapng = bytes.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]);
        let big_endian = match (is_pcapng, bytes[0], bytes[8]) {
            (false, first, _) => first == 0xa1,
            (true, _, magic) => magic == 0x1a,
        };
        let mut capture = Self {
            bytes,
            header_len: if is_pcapng { 0 } else { 24 },
            big_endian,
            pieces: Vec::new(),
            fields: Vec::new(),
        };
        if is_pcapng {
            capture.walk_pcapng();
        } else {
            capture.walk_pcap();
        }
        capture
    }

    fn word(&self, at: usize) -> usize {
        let bytes = self.bytes[at..at + 4].try_into().unwrap();
        let word = if self.big_endian {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        };
        word as usize
    }

    fn half(&self, at: usize) -> u16 {
        let bytes = self.bytes[at..at + 2].try_into().unwrap();
        if self.big_endian {
            u16::from_be_bytes(bytes)
        } else {
            u16::from_le_bytes(bytes)
        }
    }

    fn walk_pcap(&mut self) {
        let mut at = 24;
        let header = Piece {
            at: 0,
            len: 24,
            packets: 0,
            is_packet: false,
        };
        self.field(header, 16, 4, Kind::Ignored);
        while at < self.bytes.len() {
            let piece = Piece {
                at,
                len: 16 + self.word(at + 8),
                packets: self.pieces.len() as u64,
                is_packet: true,
            };
            self.pieces.push(piece);
            self.field(piece, at + 8, 4, Kind::Captured);
            self.field(piece, at + 12, 4, Kind::Ignored);
            at += piece.len;
        }
        assert_eq!(at, self.bytes.len());
    }

    fn walk_pcapng(&mut self) {
        let (mut at, mut packets, mut snaplens) = (0, 0, Vec::new());
        while at < self.bytes.len() {
            let (block_type, len) = (self.word(at) as u32, self.word(at + 4));
            let is_packet = matches!(block_type, 2 | 3 | 6);
            let piece = Piece {
                at,
                len,
                packets,
                is_packet,
            };
            self.pieces.push(piece);
            self.field(piece, at + 4, 4, Kind::BlockFirst { block_type });
            self.field(piece, at + len - 4, 4, Kind::BlockLast);
            let options = match block_type {
                0x0a0d_0d0a => {
                    // The section's own length has eight bytes.
                    self.field(piece, at + 16, 8, Kind::Ignored);
                    24
                }
                1 => {
                    snaplens.push((at + 12, self.word(at + 12)));
                    16
                }
                2 | 6 => {
                    self.field(piece, at + 20, 4, Kind::InBlock { room: len - 32 });
                    self.field(piece, at + 24, 4, Kind::Ignored);
                    28 + self.word(at + 20).next_multiple_of(4)
                }
                3 => {
                    let snaplen = snaplens[0].1;
                    let room = len - 16;
                    self.field(piece, at + 8, 4, Kind::Simple { room, snaplen });
                    self.field(piece, snaplens[0].0, 4, Kind::Snaplen);
                    len
                }
                5 => 20,
                _ => len,
            };
            let mut option = at + options;
            while option + 8 <= at + len {
                let (code, value_len) = (self.half(option), self.half(option + 2));
                let kind = if block_type == 1 {
                    let room = at + len - 4 - option - 4;
                    Kind::InterfaceOption { code, room }
                } else {
                    Kind::Ignored
                };
                self.field(piece, option + 2, 2, kind);
                if code == 0 {
                    break;
                }
                option += 4 + usize::from(value_len).next_multiple_of(4);
            }
            packets += u64::from(is_packet);
            at += len;
        }
        assert_eq!(at, self.bytes.len());
        // A snapshot length that no Simple Packet Block needs changes nothing.
        for (at, _) in snaplens {
            if !self.fields.iter().any(|field| field.at == at) {
                self.field(self.pieces[0], at, 4, Kind::Ignored);
            }
        }
    }

    fn field(&mut self, piece: Piece, at: usize, width: usize, kind: Kind) {
        self.fields.push(Field {
            at,
            width,
            kind,
            piece,
        });
    }

    fn packets(&self) -> u64 {
        self.pieces.iter().filter(|piece| piece.is_packet).count() as u64
    }

    /// Reads the capture with other bytes in one place.
    fn read_changed(&self, at: usize, bytes: &[u8]) -> (u64, Option<ReadError>) {
        let before = &self.bytes[..at];
        let after = &self.bytes[at + bytes.len()..];
        read(before.chain(bytes).chain(after))
    }
}

/// How many packets can be read, and what is behind them.
fn read(source: impl Read) -> (u64, Option<ReadError>) {
    let mut reader = match Reader::new(source) {
        Ok(reader) => reader,
        Err(error) => return (0, Some(error)),
    };
    let mut packets = 0;
    loop {
        match reader.next_record() {
            Ok(Some(record)) => {
                assert!(record.frame.len() <= LONGEST_PACKET);
                packets += 1;
            }
            Ok(None) => return (packets, None),
            Err(error) => {
                assert_eq!(error.packets, packets);
                return (packets, Some(error));
            }
        }
    }
}

#[test]
fn damaged_captures_are_named_for_what_they_are() {
    let before = most_memory();
    let (mut cuts, mut changes, mut largest) = (0, 0, 0);
    for path in shared::captures() {
        let capture = Capture::load(&path);
        let name = path.display().to_string();
        largest = largest.max(capture.bytes.len());
        let (packets, error) = read(&capture.bytes[..]);
        assert!(error.is_none(), "{name}: {}", error.unwrap());
        assert_eq!(packets, capture.packets(), "{name}");
        for cut in places_to_cut(&capture) {
            check_cut(&capture, cut, &name);
            cuts += 1;
        }
        for &field in &capture.fields {
            for value in values(&capture, field) {
                check_change(&capture, field, value, &name);
                changes += 1;
            }
        }
    }
    println!("{cuts} cuts, {changes} wrong lengths");
    assert!(cuts > 500 && changes > 500);
    // The file itself, the packet, the buffer in front of it, and what else a program needs.
    let more = most_memory().saturating_sub(before);
    assert!(
        more < 2 * largest as u64 + (4 << 20),
        "{more} bytes more than before"
    );
}

/// Each byte of small files; around every border and in every header of large ones.
fn places_to_cut(capture: &Capture) -> Vec<usize> {
    let len = capture.bytes.len();
    if len < 4096 {
        return (0..len).collect();
    }
    let mut places: Vec<usize> = (0..64).collect();
    for piece in &capture.pieces {
        for at in [0, 1, 4, 8, 11, 15, 16, 17, 28, piece.len / 2, piece.len - 1] {
            if at < piece.len {
                places.push(piece.at + at);
            }
        }
    }
    places.sort_unstable();
    places.dedup();
    places
}

fn check_cut(capture: &Capture, cut: usize, name: &str) {
    let what = format!("{name} cut at {cut}");
    let (packets, error) = read(&capture.bytes[..cut]);
    let is_border = |piece: &&Piece| piece.at == cut && cut >= 24;
    if cut == capture.header_len && cut > 0 || capture.pieces.iter().find(is_border).is_some() {
        assert!(error.is_none(), "{what}: {}", error.unwrap());
        return;
    }
    let error = error.unwrap_or_else(|| panic!("{what} is no error"));
    let in_front = |piece: &&Piece| piece.at + piece.len <= cut;
    let whole = capture.pieces.iter().take_while(in_front);
    let (count, end) = whole.fold((0, capture.header_len), |(count, _), piece| {
        (count + u64::from(piece.is_packet), piece.at + piece.len)
    });
    // A cut in the file header is at its beginning.
    let end = if cut < capture.header_len { 0 } else { end };
    assert_eq!((packets, error.at), (count, end as u64), "{what}: {error}");
    match error.fault {
        Fault::Empty => assert_eq!(cut, 0, "{what}"),
        Fault::UnknownFormat => assert!(cut < 4, "{what}"),
        Fault::Ends {
            stated, present, ..
        } => {
            assert!(present < stated, "{what}: {error}");
            assert!(present <= (cut - end) as u64, "{what}: {error}");
        }
        _ => panic!("{what}: {error}"),
    }
}

/// 0, 1, the maximum, and one past the end of what the field is about.
fn values(capture: &Capture, field: Field) -> Vec<u64> {
    let behind = (capture.bytes.len() - field.piece.at) as u64;
    let most = u64::MAX >> (64 - 8 * field.width);
    let past: &[u64] = &match field.kind {
        Kind::Captured => [behind - 15, behind - 15],
        Kind::InBlock { room } | Kind::Simple { room, .. } | Kind::InterfaceOption { room, .. } => {
            [room as u64 + 1, room as u64 + 4]
        }
        Kind::BlockLast => [field.piece.len as u64 + 1, behind + 4],
        // With and without the alignment that a block must have.
        Kind::BlockFirst { .. } | Kind::Ignored | Kind::Snaplen => [behind + 1, behind + 4],
    };
    let mut values = [&[0, 1, most], past].concat();
    values.retain(|value| *value <= most);
    values.dedup();
    values
}

fn check_change(capture: &Capture, field: Field, value: u64, name: &str) {
    let Field {
        at, width, piece, ..
    } = field;
    let bytes = if capture.big_endian {
        value.to_be_bytes()[8 - width..].to_vec()
    } else {
        value.to_le_bytes()[..width].to_vec()
    };
    let original = &capture.bytes[at..at + width];
    if bytes == original {
        return;
    }
    let (packets, error) = capture.read_changed(at, &bytes);
    let said = error
        .as_ref()
        .map_or("no error".to_owned(), ToString::to_string);
    let what = format!("{name}, {value} in the {width} bytes at {at}: {said}");
    let fault = error.as_ref().map(|error| &error.fault);
    let value = value as usize;
    let expected = match field.kind {
        Kind::Ignored | Kind::InterfaceOption { code: 0, .. } => fault.is_none(),
        // More or fewer bytes of a later packet: all that is known is that it does not panic.
        Kind::Snaplen => return,
        Kind::Captured => captured(capture, piece, value, fault),
        Kind::InBlock { room } => in_block(value, room, fault),
        Kind::Simple { room, snaplen } => {
            let cut = if snaplen == 0 {
                value
            } else {
                value.min(snaplen)
            };
            in_block(cut, room, fault)
        }
        Kind::BlockFirst { block_type } => block_len(capture, piece, block_type, value, fault),
        Kind::BlockLast => {
            let lengths = (piece.len as u32, value as u32);
            matches!(fault, Some(Fault::BlockLengthsDiffer { first, last })
                if (*first, *last) == lengths)
        }
        Kind::InterfaceOption { code, room } if value.next_multiple_of(4) > room => {
            matches!(fault, Some(Fault::OptionBeyondBlock { code: named, len, .. })
                if (*named, usize::from(*len)) == (code, value))
        }
        // What was the option's value is now read as the next option.
        Kind::InterfaceOption { .. } => {
            matches!(
                fault,
                None | Some(Fault::OptionLength { .. } | Fault::OptionBeyondBlock { .. })
            )
        }
    };
    assert!(expected, "{what}");
    match error {
        None if field.kind != Kind::Captured => assert_eq!(packets, capture.packets(), "{what}"),
        None => assert!(packets > piece.packets, "{what}"),
        // Behind a record that is too short the rest is read from a wrong place.
        Some(error) if field.kind == Kind::Captured && value <= 1 => {
            assert!(
                packets > piece.packets && error.at > piece.at as u64,
                "{what}"
            );
        }
        Some(error) => {
            let place = (piece.packets, piece.at as u64);
            assert_eq!((packets, error.at), place, "{what}");
        }
    }
}

fn captured(capture: &Capture, piece: Piece, value: usize, fault: Option<&Fault>) -> bool {
    let present = (capture.bytes.len() - piece.at - 16) as u64;
    match fault {
        _ if value <= 1 => true,
        Some(Fault::PacketTooLong { len }) => *len as usize == value && value > LONGEST_PACKET,
        Some(Fault::Ends {
            what,
            stated,
            present: named,
        }) => {
            (*what, *stated, *named) == ("packet", value as u64, present) && value <= LONGEST_PACKET
        }
        _ => false,
    }
}

fn in_block(value: usize, room: usize, fault: Option<&Fault>) -> bool {
    match fault {
        None => value <= room,
        Some(Fault::PacketTooLong { len }) => *len as usize == value && value > LONGEST_PACKET,
        Some(Fault::PacketBeyondBlock { len, room: named }) => {
            (*len as usize, *named as usize) == (value, room) && value > room
        }
        Some(_) => false,
    }
}

fn block_len(
    capture: &Capture,
    piece: Piece,
    block_type: u32,
    value: usize,
    fault: Option<&Fault>,
) -> bool {
    match fault {
        Some(Fault::BlockTooShort {
            block_type: named,
            len,
            ..
        }) => (*named, *len as usize) == (block_type, value) && value <= 1,
        Some(Fault::BlockUnaligned { len }) => {
            *len as usize == value && !value.is_multiple_of(4) && value > 1
        }
        Some(Fault::Ends {
            stated, present, ..
        }) => {
            let there = (capture.bytes.len() - piece.at) as u64;
            (*stated, *present) == (value as u64, there)
        }
        // The options of an interface go on in the next block.
        Some(Fault::OptionBeyondBlock { .. } | Fault::OptionLength { .. }) => {
            block_type == 1 && value > piece.len
        }
        _ => false,
    }
}

/// The most memory that this process has had so far, in bytes; 0 where the system does not say.
fn most_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
    kibibytes.map_or(0, |kibibytes: u64| kibibytes * 1024)
}
