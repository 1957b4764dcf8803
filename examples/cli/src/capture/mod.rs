//! Reads captures: pcap in all its variants and pcapng, told apart by their first bytes and not by
//! the file's name.
//!
//! Why not one of the reader crates: none bounds its memory when a length lies, and each refuses
//! files that libpcap reads. pcap-parser 0.17 panics in a debug build on a block of type 0x80000001
//! and length 8, hands out options behind the end of options, stops at a name resolution block
//! without an end record, and knows neither the swapped lengths of pcap 2.0 to 2.2 nor the modified
//! format in big-endian order. pcap-file 2 and 3 and rusty-pcap 0.9 refuse records above the
//! snapshot length; the latter allocates as much as that says. pcarp 2 reads only pcapng, and grows
//! its buffer to whatever length a block states. Once every length has been checked, all that is
//! left to a crate is reading integers.
//!
//! The formats: [pcap](https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-04.html) and
//! [pcapng](https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-03.html).

use std::io::{self, BufReader, ErrorKind, Read};

mod error;
pub mod link;
mod pcap;
mod pcapng;

pub use error::{Fault, ReadError};

/// The longest packet that is read, in bytes: libpcap's own limit.
pub const LONGEST_PACKET: usize = 262_144;

/// How a pcapng file begins, in either byte order.
const SECTION_HEADER: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// Time since 1970 as pcap files tell it: modulo 2^32 seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timestamp {
    /// Whole seconds.
    pub seconds: u32,
    /// Microseconds on top of the seconds.
    pub microseconds: u32,
}

/// One captured packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The link type's number, without the FCS bits.
    pub link_type: u32,
    /// When it was captured.
    pub time: Timestamp,
    /// The captured bytes, beginning with the link layer.
    pub frame: &'a [u8],
}

/// A capture that is being read, record by record.
///
/// It holds one packet at a time, of at most [`LONGEST_PACKET`] bytes.
#[derive(Debug)]
pub struct Reader<R> {
    source: Source<R>,
    format: Format,
    frame: Vec<u8>,
    packets: u64,
}

#[derive(Debug)]
enum Format {
    Pcap(pcap::Header),
    PcapNg(pcapng::Section),
}

/// A packet whose bytes are in the reader's buffer.
#[derive(Clone, Copy, Debug)]
struct Packet {
    link_type: u32,
    time: Timestamp,
}

impl<R: Read> Reader<R> {
    /// Reads the header of a capture.
    ///
    /// # Errors
    /// When the source cannot be read, or does not begin as a capture does.
    pub fn new(source: R) -> Result<Self, ReadError> {
        let mut source = Source {
            bytes: BufReader::with_capacity(1 << 16, source),
            position: 0,
        };
        let format = match begin(&mut source) {
            Ok(format) => format,
            Err(fault) => {
                return Err(ReadError {
                    fault,
                    at: 0,
                    packets: 0,
                });
            }
        };
        Ok(Self {
            source,
            format,
            frame: Vec::new(),
            packets: 0,
        })
    }

    /// The next packet, or `None` behind the last one.
    ///
    /// # Errors
    /// When the source cannot be read or is damaged. What was returned before is good; nothing
    /// behind the damage can be read.
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>, ReadError> {
        let mut at = self.source.position;
        let outcome = match &mut self.format {
            Format::Pcap(header) => header.next(&mut self.source, &mut self.frame),
            Format::PcapNg(section) => section.next(&mut self.source, &mut self.frame, &mut at),
        };
        match outcome {
            Ok(None) => Ok(None),
            Ok(Some(Packet { link_type, time })) => {
                self.packets += 1;
                Ok(Some(Record {
                    link_type,
                    time,
                    frame: &self.frame,
                }))
            }
            Err(fault) => Err(ReadError {
                fault,
                at,
                packets: self.packets,
            }),
        }
    }
}

/// Reads as far as the first record or block that may be a packet.
fn begin<R: Read>(source: &mut Source<R>) -> Result<Format, Fault> {
    let mut magic = [0; 4];
    match source.fill(&mut magic)? {
        0 => Err(Fault::Empty),
        4 if magic == SECTION_HEADER => pcapng::Section::begin(source).map(Format::PcapNg),
        4 => pcap::Header::read(magic, source).map(Format::Pcap),
        _ => Err(Fault::UnknownFormat),
    }
}

/// Bytes from anywhere, and how many of them have been read.
#[derive(Debug)]
struct Source<R> {
    bytes: BufReader<R>,
    position: u64,
}

impl<R: Read> Source<R> {
    /// Reads as many bytes as there are room for, fewer only at the end.
    fn fill(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let mut have = 0;
        while have < room.len() {
            match self.bytes.read(&mut room[have..]) {
                Ok(0) => break,
                Ok(count) => have += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.position += have as u64;
        Ok(have)
    }

    /// Reads exactly `N` bytes of a `part`.
    fn take<const N: usize>(&mut self, part: Part) -> Result<[u8; N], Fault> {
        let mut bytes = [0; N];
        let have = self.fill(&mut bytes)?;
        part.whole(have, N).map(|()| bytes)
    }

    /// Reads the captured bytes of a packet into `frame`.
    ///
    /// The caller has checked that `len` is at most [`LONGEST_PACKET`].
    fn packet(&mut self, frame: &mut Vec<u8>, len: usize, part: Part) -> Result<(), Fault> {
        frame.clear();
        frame.resize(len, 0);
        let have = self.fill(frame)?;
        part.whole(have, len)
    }

    /// Reads past bytes that nobody wants, without keeping them.
    fn skip(&mut self, len: u64, part: Part) -> Result<(), Fault> {
        let skipped = io::copy(&mut (&mut self.bytes).take(len), &mut io::sink())?;
        self.position += skipped;
        if skipped < len {
            return Err(part.ends(skipped));
        }
        Ok(())
    }
}

/// A record or block that is being read, for the message if the file ends inside of it.
#[derive(Clone, Copy, Debug)]
struct Part {
    what: &'static str,
    /// Its length by its own words, or as much of it as is known, in bytes.
    stated: u64,
    /// How many of its bytes have been read.
    before: u64,
}

impl Part {
    const fn ends(self, more: u64) -> Fault {
        Fault::Ends {
            what: self.what,
            stated: self.stated,
            present: self.before + more,
        }
    }

    const fn whole(self, have: usize, wanted: usize) -> Result<(), Fault> {
        if have < wanted {
            return Err(self.ends(have as u64));
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ByteOrder {
    #[default]
    Little,
    Big,
}

impl ByteOrder {
    const fn half(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        }
    }

    const fn word(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }

    const fn double(self, bytes: [u8; 8]) -> u64 {
        match self {
            Self::Little => u64::from_le_bytes(bytes),
            Self::Big => u64::from_be_bytes(bytes),
        }
    }

    /// The 32-bit words of a header.
    fn words<const N: usize>(self, bytes: &[u8]) -> [u32; N] {
        let mut words = [0; N];
        for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(4)) {
            *word = self.word([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
        words
    }
}
