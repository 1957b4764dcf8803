//! What is wrong with a capture, and where.

use core::fmt;
use std::io;

use super::LONGEST_PACKET;

/// Why a capture cannot be read any further.
#[derive(Debug)]
pub struct ReadError {
    /// What is wrong.
    pub fault: Fault,
    /// Where the damaged record or block begins, in bytes from the start of the file.
    pub at: u64,
    /// How many packets stand in front of it.
    pub packets: u64,
}

/// What is wrong with a capture.
#[derive(Debug)]
pub enum Fault {
    /// The system could not read the file.
    Io(io::Error),
    /// There is not a single byte.
    Empty,
    /// It begins like no capture.
    UnknownFormat,
    /// A version of the format that nobody has written down.
    UnknownVersion {
        /// `pcap` or `pcapng`.
        format: &'static str,
        /// The number in front of the point.
        major: u16,
        /// The number behind the point.
        minor: u16,
    },
    /// The file ends where there should be more.
    Ends {
        /// What it ends in.
        what: &'static str,
        /// How long that should be, in bytes.
        stated: u64,
        /// How much of it is there, in bytes.
        present: u64,
    },
    /// A packet longer than [`LONGEST_PACKET`].
    PacketTooLong {
        /// Its captured length, in bytes.
        len: u32,
    },
    /// A block too short for what every block of its type holds.
    BlockTooShort {
        /// Its type.
        block_type: u32,
        /// Its length, in bytes.
        len: u32,
        /// The least length of a block of this type, in bytes.
        least: u32,
    },
    /// A block whose length is no multiple of 4.
    BlockUnaligned {
        /// Its length, in bytes.
        len: u32,
    },
    /// A block whose second length is another than the first.
    BlockLengthsDiffer {
        /// The length at its start, in bytes.
        first: u32,
        /// The length at its end, in bytes.
        last: u32,
    },
    /// A section header with a byte-order magic that is none.
    ByteOrderMagic(
        /// Its four bytes.
        [u8; 4],
    ),
    /// A packet that does not fit into its block.
    PacketBeyondBlock {
        /// Its captured length, in bytes.
        len: u32,
        /// The room in the block, in bytes.
        room: u32,
    },
    /// A packet of an interface that no block has described.
    UndescribedInterface(
        /// The interface's number, from 0.
        u32,
    ),
    /// More interfaces in one section than are kept in memory.
    TooManyInterfaces(
        /// How many are kept.
        usize,
    ),
    /// An option that does not fit into its block.
    OptionBeyondBlock {
        /// Its code.
        code: u16,
        /// Its length, in bytes.
        len: u16,
        /// The room in the block, in bytes.
        room: u32,
    },
    /// An option of an interface whose length is not that of its kind.
    OptionLength {
        /// `if_tsresol` or `if_tsoffset`.
        option: &'static str,
        /// Its length, in bytes.
        len: u16,
        /// What it should be, in bytes.
        expected: u16,
    },
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fault, at, packets } = self;
        match fault {
            // There is no place in such files.
            Fault::Io(_) | Fault::Empty | Fault::UnknownFormat => write!(f, "{fault}"),
            _ => write!(f, "{fault}, at byte {at} behind packet {packets}"),
        }
    }
}

impl core::error::Error for ReadError {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::Empty => f.write_str("the file is empty"),
            Self::UnknownFormat => f.write_str("it begins like neither a pcap nor a pcapng file"),
            Self::UnknownVersion {
                format,
                major,
                minor,
            } => write!(f, "{format} version {major}.{minor} is unknown"),
            Self::Ends {
                what,
                stated,
                present,
            } => write!(
                f,
                "the file ends inside of a {what}: {present} bytes of {stated} are there"
            ),
            Self::PacketTooLong { len } => write!(
                f,
                "a packet of {len} bytes, of which no capture has more than {LONGEST_PACKET}"
            ),
            Self::BlockTooShort {
                block_type,
                len,
                least,
            } => write!(
                f,
                "a block of type {block_type:#x} with a length of {len} bytes, which needs at \
                 least {least}"
            ),
            Self::BlockUnaligned { len } => write!(
                f,
                "a block with a length of {len} bytes, which is no multiple of 4"
            ),
            Self::BlockLengthsDiffer { first, last } => write!(
                f,
                "a block with a length of {first} bytes at its start and of {last} at its end"
            ),
            Self::ByteOrderMagic(magic) => write!(
                f,
                "a section whose byte-order magic {:08x} is none",
                u32::from_be_bytes(*magic)
            ),
            Self::PacketBeyondBlock { len, room } => {
                write!(f, "a packet of {len} bytes in a block with room for {room}")
            }
            Self::UndescribedInterface(number) => {
                write!(f, "a packet of interface {number}, which is not described")
            }
            Self::TooManyInterfaces(most) => {
                write!(f, "a section with more than {most} interfaces")
            }
            Self::OptionBeyondBlock { code, len, room } => write!(
                f,
                "option {code} with a length of {len} bytes in a block with room for {room}"
            ),
            Self::OptionLength {
                option,
                len,
                expected,
            } => write!(
                f,
                "option {option} with a length of {len} bytes, which must be {expected}"
            ),
        }
    }
}
