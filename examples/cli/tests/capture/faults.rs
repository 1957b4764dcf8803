//! Files that readers have stumbled over, each as small as it can be.

use std::io::{self, Read};

use ipencap_cli::capture::{Fault, LONGEST_PACKET, Reader, Timestamp};

use crate::read;

const PACKET: &[u8] = b"\x45packet";

fn words(big_endian: bool, words: &[u32]) -> Vec<u8> {
    let bytes = |word: &u32| {
        if big_endian {
            word.to_be_bytes()
        } else {
            word.to_le_bytes()
        }
    };
    words.iter().flat_map(bytes).collect()
}

/// A pcap file of one packet whose record begins with these words.
fn pcap(big_endian: bool, magic: u32, (major, minor): (u32, u32), record: &[u32]) -> Vec<u8> {
    let version = if big_endian {
        major << 16 | minor
    } else {
        minor << 16 | major
    };
    let header = words(big_endian, &[magic, version, 0, 0, 65535, 101]);
    [&header, &words(big_endian, record), PACKET].concat()
}

fn one(bytes: &[u8]) -> (Timestamp, Vec<u8>) {
    let (mut packets, end) = read(bytes);
    assert!(end.is_ok(), "{}", end.unwrap_err());
    assert_eq!(packets.len(), 1);
    let (link_type, time, frame) = packets.remove(0);
    assert_eq!(link_type, 101);
    (time, frame)
}

const fn at(seconds: u32, microseconds: u32) -> Timestamp {
    Timestamp {
        seconds,
        microseconds,
    }
}

const MICROSECONDS: u32 = 0xa1b2_c3d4;
const MODIFIED: u32 = 0xa1b2_cd34;

#[test]
fn old_versions_keep_their_lengths_in_the_other_order() {
    let (len, wire) = (PACKET.len() as u32, 1500);
    for big_endian in [false, true] {
        let file = |version, record: [u32; 4]| pcap(big_endian, MICROSECONDS, version, &record);
        let captured_first = [7, 8, len, wire];
        let wire_first = [7, 8, wire, len];
        let expected = (at(7, 8), PACKET.to_vec());
        for version in [(2, 0), (2, 1), (2, 2), (543, 0)] {
            assert_eq!(one(&file(version, wire_first)), expected, "{version:?}");
        }
        // 2.3 was written in both orders; the captured length is never the larger one.
        assert_eq!(one(&file((2, 3), wire_first)), expected);
        assert_eq!(one(&file((2, 3), captured_first)), expected);
        assert_eq!(one(&file((2, 4), captured_first)), expected);
        // In 2.4 a captured length above the wire length is one all the same.
        assert_eq!(one(&file((2, 4), [7, 8, len, 3])), expected);
        for (major, minor) in [(2, 5), (1, 0), (3, 0), (543, 1), (0, 0)] {
            let bytes = file((major, minor), captured_first);
            let error = read(&bytes).1.unwrap_err();
            let says = format!("pcap version {major}.{minor} is unknown, at byte 0");
            assert!(error.to_string().starts_with(&says), "{error}");
        }
    }
}

#[test]
fn the_modified_format_is_read_in_both_byte_orders() {
    for big_endian in [false, true] {
        let record = [7, 8, PACKET.len() as u32, 1500, 0xdead_beef, 0xffff_ffff];
        let bytes = pcap(big_endian, MODIFIED, (2, 4), &record);
        assert_eq!(one(&bytes), (at(7, 8), PACKET.to_vec()));
        let cut = read(&bytes[..24 + 20]).1.unwrap_err();
        assert_eq!(
            cut.to_string(),
            "the file ends inside of a record header: 20 bytes of 24 are there, at byte 24 behind \
             packet 0"
        );
    }
}

/// Counts what is read of an endless file.
struct Endless<'b> {
    begin: &'b [u8],
    read: u64,
}

impl Read for Endless<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let count = (&mut self.begin).chain(io::repeat(0)).read(room)?;
        self.read += count as u64;
        Ok(count)
    }
}

#[test]
fn an_impossible_record_is_refused_before_it_is_read() {
    let bytes = pcap(
        false,
        MICROSECONDS,
        (2, 4),
        &[0, 0, 0x7fff_ffff, 0x7fff_ffff],
    );
    let mut endless = Endless {
        begin: &bytes,
        read: 0,
    };
    let mut reader = Reader::new(&mut endless).unwrap();
    let error = reader.next_record().unwrap_err();
    assert_eq!(
        error.to_string(),
        "a packet of 2147483647 bytes, of which no capture has more than 262144, at byte 24 behind \
         packet 0"
    );
    drop(reader);
    assert!(endless.read <= 1 << 17, "{} bytes read", endless.read);
}

#[test]
fn packets_up_to_256_kib_are_read() {
    let longest = vec![0x45; LONGEST_PACKET];
    let too_long = vec![0x45; LONGEST_PACKET + 1];
    for big_endian in [false, true] {
        for (packet, fits) in [(&longest, true), (&too_long, false)] {
            let len = packet.len() as u32;
            let header = pcap(big_endian, MICROSECONDS, (2, 4), &[0, 0, len, len]);
            let header = &header[..header.len() - PACKET.len()];
            let ng = Ng::new(big_endian).interface(&[]);
            for bytes in [
                [header, packet].concat(),
                ng.clone().enhanced(0, packet).0,
                ng.clone().simple(packet).0,
                ng.clone().packet_block(packet).0,
            ] {
                let (packets, end) = read(&bytes);
                assert_eq!(packets.len(), usize::from(fits));
                match end {
                    Ok(()) => assert!(fits),
                    Err(error) => {
                        assert!(!fits, "{error}");
                        assert!(
                            matches!(error.fault, Fault::PacketTooLong { len: 262_145 }),
                            "{error}"
                        );
                    }
                }
            }
        }
    }
}

/// A pcapng file to be.
#[derive(Clone)]
struct Ng(Vec<u8>, bool);

impl Ng {
    /// A section header.
    fn new(big_endian: bool) -> Self {
        Self(Vec::new(), big_endian).section(0x1a2b_3c4d, (1, 0))
    }

    fn section(self, magic: u32, (major, minor): (u16, u16)) -> Self {
        let big_endian = self.1;
        let half = |value: u16| {
            if big_endian {
                value.to_be_bytes()
            } else {
                value.to_le_bytes()
            }
        };
        let body = [
            &words(big_endian, &[magic])[..],
            &half(major),
            &half(minor),
            &[0xff; 8],
        ];
        self.block(0x0a0d_0d0a, &body.concat())
    }

    fn block(mut self, block_type: u32, body: &[u8]) -> Self {
        let mut body = body.to_vec();
        body.resize(body.len().next_multiple_of(4), 0);
        let len = body.len() as u32 + 12;
        self.0.extend(words(self.1, &[block_type, len]));
        self.0.extend(body);
        self.0.extend(words(self.1, &[len]));
        self
    }

    /// An interface of link type 101 with these options, byte by byte.
    fn interface(self, options: &[u8]) -> Self {
        let link_type = if self.1 { 101 << 16 } else { 101 };
        let body = [&words(self.1, &[link_type, 0])[..], options].concat();
        self.block(1, &body)
    }

    fn enhanced(self, ticks: u64, packet: &[u8]) -> Self {
        let len = packet.len() as u32;
        let header = [0, (ticks >> 32) as u32, ticks as u32, len, len];
        let body = [&words(self.1, &header)[..], packet].concat();
        self.block(6, &body)
    }

    fn simple(self, packet: &[u8]) -> Self {
        let body = [&words(self.1, &[packet.len() as u32])[..], packet].concat();
        self.block(3, &body)
    }

    fn packet_block(self, packet: &[u8]) -> Self {
        let len = packet.len() as u32;
        let body = [&words(self.1, &[0, 0, 0, len, len])[..], packet].concat();
        self.block(2, &body)
    }

    /// Bytes of no shape.
    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    fn option(&self, code: u16, len: u16, value: &[u8]) -> Vec<u8> {
        let [code, len] = [code, len].map(|half| {
            if self.1 {
                half.to_be_bytes()
            } else {
                half.to_le_bytes()
            }
        });
        let mut bytes = [&code, &len, value].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }
}

/// The error of a file, as a person sees it.
fn error(ng: &Ng) -> String {
    read(&ng.0).1.unwrap_err().to_string()
}

#[test]
fn a_block_shorter_than_any_is_named() {
    for big_endian in [false, true] {
        let ng = Ng::new(big_endian).interface(&[]).enhanced(0, PACKET);
        let place = ng.0.len();
        for (block_type, len, least) in [
            (0x8000_0001, 8, 12),
            (0x8000_0001, 0, 12),
            (4, 11, 12),
            (1, 16, 20),
            (2, 28, 32),
            (3, 12, 16),
            (6, 31, 32),
        ] {
            let short = ng.clone().bytes(&words(big_endian, &[block_type, len]));
            let says = format!(
                "a block of type {block_type:#x} with a length of {len} bytes, which needs at least \
                 {least}, at byte {place} behind packet 1"
            );
            assert_eq!(error(&short), says);
        }
    }
}

#[test]
fn options_behind_the_end_of_options_are_ignored() {
    for big_endian in [false, true] {
        let ng = Ng::new(big_endian);
        let end = ng.option(0, 0, &[]);
        let nanoseconds = ng.option(9, 1, &[9]);
        let hour = if big_endian {
            3600_u64.to_be_bytes()
        } else {
            3600_u64.to_le_bytes()
        };
        let east = ng.option(14, 8, &hour);
        let beyond = ng.option(2, 65535, &[]);
        let time = |options: &[&[u8]]| {
            let ng = ng.clone().interface(&options.concat());
            one(&ng.enhanced(7_000_008, PACKET).0).0
        };
        assert_eq!(time(&[]), at(7, 8));
        assert_eq!(time(&[&nanoseconds, &east, &end]), at(3600, 7000));
        assert_eq!(time(&[&end, &nanoseconds, &east]), at(7, 8));
        assert_eq!(time(&[&end, &beyond]), at(7, 8));
        // The end of options has no value, whatever its length says.
        assert_eq!(time(&[&ng.option(0, 400, &[]), &nanoseconds]), at(7, 8));
        // Without an end they end with the block.
        assert_eq!(time(&[&nanoseconds]), at(0, 7000));
        // The first of equal options counts.
        let seconds = ng.option(9, 1, &[0]);
        assert_eq!(time(&[&nanoseconds, &seconds, &end]), at(0, 7000));
        assert_eq!(time(&[&seconds, &nanoseconds]), at(7_000_008, 0));
    }
}

#[test]
fn an_option_that_cannot_be_is_named() {
    for big_endian in [false, true] {
        let ng = Ng::new(big_endian);
        for (code, len, value, says) in [
            (
                2,
                9,
                &[0; 8][..],
                "option 2 with a length of 9 bytes in a block with room for 8",
            ),
            (
                9,
                65535,
                &[],
                "option 9 with a length of 65535 bytes in a block with room for 0",
            ),
            (
                9,
                2,
                &[6, 0],
                "option if_tsresol with a length of 2 bytes, which must be 1",
            ),
            (
                9,
                0,
                &[],
                "option if_tsresol with a length of 0 bytes, which must be 1",
            ),
            (
                14,
                4,
                &[0; 4],
                "option if_tsoffset with a length of 4 bytes, which must be 8",
            ),
        ] {
            let option = ng.option(code, len, value);
            let said = error(&ng.clone().interface(&option));
            assert_eq!(said, format!("{says}, at byte 28 behind packet 0"));
        }
    }
}

#[test]
fn blocks_without_a_packet_are_passed_over_whatever_is_in_them() {
    for big_endian in [false, true] {
        let ng = Ng::new(big_endian)
            .interface(&[])
            // Names: without an end record, with a record beyond the block, and no record at all.
            .block(
                4,
                &words(big_endian, &[0x0001_0008, 0x0a01_0005, 0x7800_0000]),
            )
            .block(4, &[0xff; 8])
            .block(4, &[])
            // Statistics, secrets, a journal, custom and unknown blocks.
            .block(5, &[0xff; 4])
            .block(10, &[0xff; 8])
            .block(9, &[0xff; 4])
            .block(0xbad, &[])
            .block(0x4000_0bad, &[0xff; 5])
            .block(0x8000_0001, &[])
            .block(0xffff_ffff, &vec![0xff; 1 << 20])
            .enhanced(7_000_008, PACKET);
        assert_eq!(one(&ng.0), (at(7, 8), PACKET.to_vec()));
    }
}

#[test]
fn a_section_of_an_unknown_kind_is_named() {
    for big_endian in [false, true] {
        let ng = Ng::new(big_endian).interface(&[]).enhanced(0, PACKET);
        let place = ng.0.len();
        // 1.2 is what some programs write for 1.0.
        assert!(read(&ng.clone().section(0x1a2b_3c4d, (1, 2)).0).1.is_ok());
        for (major, minor) in [(1, 1), (2, 0), (0, 0), (65535, 65535)] {
            assert_eq!(
                error(&ng.clone().section(0x1a2b_3c4d, (major, minor))),
                format!(
                    "pcapng version {major}.{minor} is unknown, at byte {place} behind packet 1"
                )
            );
        }
        let says = if big_endian { "01020304" } else { "04030201" };
        assert_eq!(
            error(&ng.clone().section(0x0102_0304, (1, 0))),
            format!(
                "a section whose byte-order magic {says} is none, at byte {place} behind packet 1"
            )
        );
        // Each section has its own byte order and interfaces.
        let other = Ng::new(!big_endian).interface(&[]).enhanced(0, PACKET);
        let (packets, end) = read(&[&ng.0[..], &other.0].concat());
        assert_eq!((packets.len(), end.is_ok()), (2, true));
    }
}

#[test]
fn lengths_that_contradict_each_other_are_named() {
    for big_endian in [false, true] {
        let ng = Ng::new(big_endian).interface(&[]);
        let place = ng.0.len();
        let whole = ng.clone().enhanced(0, PACKET);
        let changed = |at: usize, value: u32| {
            let mut ng = whole.clone();
            ng.0[at..at + 4].copy_from_slice(&words(big_endian, &[value]));
            error(&ng)
        };
        let behind = format!(", at byte {place} behind packet 0");
        let last = whole.0.len() - 4;
        for (field, value, says) in [
            (
                place + 4,
                41,
                "a block with a length of 41 bytes, which is no multiple of 4",
            ),
            (
                place + 4,
                44,
                "the file ends inside of a block: 40 bytes of 44 are there",
            ),
            (
                last,
                36,
                "a block with a length of 40 bytes at its start and of 36 at its end",
            ),
            (
                place + 20,
                9,
                "a packet of 9 bytes in a block with room for 8",
            ),
            (
                place + 8,
                1,
                "a packet of interface 1, which is not described",
            ),
        ] {
            assert_eq!(changed(field, value), format!("{says}{behind}"));
        }
    }
}

#[test]
fn no_section_can_ask_for_memory_without_end() {
    let mut ng = Ng::new(false);
    for _ in 0..16_384 {
        ng = ng.interface(&[]);
    }
    assert_eq!(read(&ng.clone().enhanced(0, PACKET).0).0.len(), 1);
    let said = error(&ng.interface(&[]));
    assert!(
        said.starts_with("a section with more than 16384 interfaces"),
        "{said}"
    );
}

#[test]
fn what_is_no_capture_is_said() {
    for (bytes, says) in [
        (&b""[..], "the file is empty"),
        (b"\x0a", "it begins like neither a pcap nor a pcapng file"),
        (b"GIF89a", "it begins like neither a pcap nor a pcapng file"),
        (
            b"\xd4\xc3\xb2\xa1\x02\x00",
            "the file ends inside of a pcap file header: 6 bytes of 24 are there, at byte 0 behind \
             packet 0",
        ),
        (
            b"\x0a\x0d\x0d\x0a\x1c\x00\x00\x00",
            "the file ends inside of a section header: 8 bytes of 28 are there, at byte 0 behind \
             packet 0",
        ),
    ] {
        assert_eq!(read(bytes).1.unwrap_err().to_string(), says);
    }
}
