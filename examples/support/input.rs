//! Reading captures: pcap in all its variants, and pcapng, told apart by the first bytes and not by
//! the name.
//!
//! [`pcap_parser`] knows the formats; this file feeds it from a file or a pipe of any length, and
//! brings every timestamp to microseconds.

use core::ops::Range;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use pcap_parser::nom::{self, Offset};
use pcap_parser::{
    PcapHeader, parse_pcap_frame, parse_pcap_frame_be, parse_pcap_frame_modified, parse_pcap_header,
};

use super::args::Failure;
use super::pcapng::Section;

/// The path that means standard input or standard output.
pub(crate) const STREAM: &str = "-";
/// How much is read at once.
const CHUNK: usize = 1 << 16;
/// The link type's part of its word; the bits above say whether and how frames end in an FCS.
const LINK_TYPE_BITS: u32 = 0x03ff_ffff;
/// How a pcapng file begins, in either byte order.
const SECTION_HEADER: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// Since 1970, as pcap files tell it: modulo 2^32 seconds.
#[derive(Clone, Copy)]
pub(crate) struct Timestamp {
    pub(crate) seconds: u32,
    pub(crate) microseconds: u32,
}

impl Timestamp {
    pub(crate) const ZERO: Self = Self {
        seconds: 0,
        microseconds: 0,
    };
}

/// One captured packet.
pub(crate) struct Record<'a> {
    /// The link type's number, without the FCS bits.
    pub(crate) link_type: u32,
    pub(crate) time: Timestamp,
    /// The captured bytes, beginning with the link layer.
    pub(crate) frame: &'a [u8],
}

/// A capture that is being read.
pub(crate) struct Input {
    source: Box<dyn Read>,
    name: String,
    format: Format,
    buffer: Vec<u8>,
    /// Bytes of the buffer that are done with.
    done: usize,
    /// Bytes of the file in front of the buffer.
    dropped: u64,
    exhausted: bool,
    packets: u64,
}

enum Format {
    Pcap { header: PcapHeader },
    PcapNg { section: Section },
}

/// What stands at the head of the buffer.
pub(crate) enum Item {
    Packet {
        len: usize,
        link_type: u32,
        time: Timestamp,
        frame: Range<usize>,
    },
    /// A header, or a block that holds no packet.
    Other {
        len: usize,
    },
    /// Its end is not in the buffer yet.
    Incomplete,
    Damaged(String),
}

impl Input {
    /// Opens a file, or standard input for `-`, and reads up to the first packet.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let (source, name): (Box<dyn Read>, _) = if path == Path::new(STREAM) {
            (Box::new(io::stdin()), "standard input".to_owned())
        } else {
            let name = path.display().to_string();
            let file = File::open(path).map_err(|error| cannot_read(&name, &error))?;
            (Box::new(file), name)
        };
        Self::new(source, name)
    }

    /// Reads a capture from anywhere; `name` is for the error messages.
    pub(crate) fn new(source: Box<dyn Read>, name: String) -> Result<Self, Failure> {
        let mut input = Self {
            source,
            name,
            // Stands until the first bytes say what the file is.
            format: Format::PcapNg {
                section: Section::default(),
            },
            buffer: Vec::new(),
            done: 0,
            dropped: 0,
            exhausted: false,
            packets: 0,
        };
        while input.unread().len() < SECTION_HEADER.len() && !input.exhausted {
            input.fill()?;
        }
        let is_pcapng = input.unread().starts_with(&SECTION_HEADER);
        loop {
            let complete = if is_pcapng {
                match input.next_item() {
                    Item::Other { len } => Some(len),
                    Item::Incomplete => None,
                    _ => return Err(input.unknown_format()),
                }
            } else {
                match parse_pcap_header(input.unread()) {
                    Ok((_, header)) => {
                        let len = header.size();
                        input.format = Format::Pcap { header };
                        Some(len)
                    }
                    Err(nom::Err::Incomplete(_)) => None,
                    Err(_) => return Err(input.unknown_format()),
                }
            };
            match complete {
                Some(len) => {
                    input.done += len;
                    return Ok(input);
                }
                None if input.exhausted => return Err(input.unknown_format()),
                None => input.fill()?,
            }
        }
    }

    /// The next packet, or `None` behind the last one. An error is final: what was returned before
    /// is good, nothing behind it can be read.
    pub(crate) fn next(&mut self) -> Result<Option<Record<'_>>, Failure> {
        loop {
            match self.next_item() {
                Item::Packet {
                    len,
                    link_type,
                    time,
                    frame,
                } => {
                    let head = self.done;
                    self.done += len;
                    self.packets += 1;
                    let frame = &self.buffer[head + frame.start..head + frame.end];
                    return Ok(Some(Record {
                        link_type,
                        time,
                        frame,
                    }));
                }
                Item::Other { len } => self.done += len,
                Item::Incomplete if !self.exhausted => self.fill()?,
                Item::Incomplete if self.unread().is_empty() => return Ok(None),
                Item::Incomplete => return Err(self.broken("the file ends inside of a record")),
                Item::Damaged(why) => return Err(self.broken(&why)),
            }
        }
    }

    fn unread(&self) -> &[u8] {
        &self.buffer[self.done..]
    }

    fn fill(&mut self) -> Result<(), Failure> {
        self.buffer.drain(..self.done);
        self.dropped += self.done as u64;
        self.done = 0;
        let have = self.buffer.len();
        self.buffer.resize(have + CHUNK, 0);
        let outcome = loop {
            match self.source.read(&mut self.buffer[have..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                outcome => break outcome,
            }
        };
        let read = *outcome.as_ref().unwrap_or(&0);
        self.buffer.truncate(have + read);
        self.exhausted = outcome.map_err(|error| cannot_read(&self.name, &error))? == 0;
        Ok(())
    }

    fn next_item(&mut self) -> Item {
        let bytes = &self.buffer[self.done..];
        match &mut self.format {
            Format::Pcap { header } => pcap_item(header, bytes),
            Format::PcapNg { section } => section.item(bytes),
        }
    }

    fn unknown_format(&self) -> Failure {
        let what = if self.buffer.is_empty() {
            "the file is empty"
        } else {
            "it begins like neither a pcap nor a pcapng file"
        };
        cannot_read(&self.name, &what)
    }

    fn broken(&self, why: &str) -> Failure {
        let at = self.dropped + self.done as u64;
        cannot_read(
            &self.name,
            &format_args!("{why}, at byte {at} behind packet {}", self.packets),
        )
    }
}

fn cannot_read(name: &str, why: &dyn core::fmt::Display) -> Failure {
    Failure::new(format_args!("cannot read {name}: {why}"))
}

fn pcap_item(header: &PcapHeader, bytes: &[u8]) -> Item {
    let parsed = if header.is_modified_format() {
        parse_pcap_frame_modified(bytes)
    } else if header.is_bigendian() {
        parse_pcap_frame_be(bytes)
    } else {
        parse_pcap_frame(bytes)
    };
    match parsed {
        Ok((rest, record)) => {
            let fraction = record.ts_usec;
            let microseconds = if header.is_nanosecond_precision() {
                fraction / 1000
            } else {
                fraction
            };
            let start = bytes.offset(record.data);
            Item::Packet {
                len: bytes.offset(rest),
                link_type: header.network.0.cast_unsigned() & LINK_TYPE_BITS,
                time: Timestamp {
                    seconds: record.ts_sec,
                    microseconds,
                },
                frame: start..start + record.data.len(),
            }
        }
        Err(nom::Err::Incomplete(_)) => Item::Incomplete,
        Err(_) => Item::Damaged("a record makes no sense".to_owned()),
    }
}

/// Writing into the file that is being read would destroy it.
pub(crate) fn refuse_same_file(input: &Path, output: &Path) -> Result<(), Failure> {
    if same_file(input, output) {
        let (input, output) = (input.display(), output.display());
        return Err(Failure::new(format_args!(
            "cannot write {output}: it is the input {input}"
        )));
    }
    Ok(())
}

/// Whether two paths are one file, through links, relative paths and redirected streams too.
fn same_file(input: &Path, output: &Path) -> bool {
    let named = input == output && input != Path::new(STREAM);
    let (input, output) = (
        of_stream(input, "/dev/stdin"),
        of_stream(output, "/dev/stdout"),
    );
    // Two ends of one terminal or `/dev/null` are harmless, and are no files.
    let is_file = |path| fs::metadata(path).is_ok_and(|data| data.is_file());
    named || is_file(input) && is_file(output) && identity(input) == identity(output)
}

/// Where the system shows which file a standard stream has been redirected to.
fn of_stream<'a>(path: &'a Path, stream: &'a str) -> &'a Path {
    if path == Path::new(STREAM) {
        Path::new(stream)
    } else {
        path
    }
}

#[cfg(unix)]
fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).ok().map(|data| (data.dev(), data.ino()))
}

#[cfg(not(unix))]
fn identity(path: &Path) -> Option<std::path::PathBuf> {
    fs::canonicalize(path).ok()
}
