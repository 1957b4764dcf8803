//! Structured inputs from a string of bytes.
//!
//! Uniformly random packets are refused by the first check, and uniformly random checksum data
//! never carries far (40 000 random cases missed the bug of trap T1). So: mostly valid, with few
//! and well-placed faults; blocks of 0x00 and 0xff; addresses from a small pool, so that they
//! meet.
//!
//! No generator fails: when the bytes run out, the rest is as if they were zeros.

use core::fmt;

use arbitrary::{Arbitrary, Result, Unstructured};

mod arrivals;
mod departures;
mod endpoint;
mod errors;
mod fields;
mod fragments;
mod lengths;
mod mss;
mod packets;
mod paths;
mod streams;
mod tables;

pub use arrivals::DecapCase;
pub use departures::{CompositionCase, EncapCase, NestCase, OrdinaryPacket, TrainCase, mtu};
pub use endpoint::{Coming, EndpointCase, EndpointDoor, PeerChange, PeersCase, Step};
pub use errors::{ErrorCase, QuoteCase, ReportCase};
pub use fields::{
    ChecksumCase, Ipv4Setter, Replacement, SetterCase, TransportCase, TransportSetter, UpdateCase,
};
pub use fragments::{ArrivingFragment, FragmentCase, ReassemblyCase};
pub use lengths::{LengthCase, Part};
pub use mss::MssCase;
pub use packets::{Ipv4Packet, MutatedPacket, POOL, SlackCase};
pub use paths::{PathCall, PathCase, ProbeCase, ProberCall, ProberCase, Reports, Stage};
pub use streams::StreamCase;
pub use tables::{Change, EdgeCase, EdgeChange, PrefixCase};

/// The input of type `T` that an engine's bytes stand for.
#[must_use]
pub fn from_bytes<'a, T: Arbitrary<'a>>(bytes: &'a [u8]) -> T {
    T::arbitrary_take_rest(Unstructured::new(bytes)).expect("generators do not fail")
}

/// True in `numerator` of `denominator` cases; false when the bytes have run out.
///
/// # Errors
/// None.
pub fn odds(u: &mut Unstructured<'_>, numerator: u16, denominator: u16) -> Result<bool> {
    Ok(u.int_in_range(1..=denominator)? > denominator - numerator)
}

/// Bytes, printed as hex.
#[derive(Clone, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes ", self.0.len())?;
        for byte in self.0.iter().take(128) {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(if self.0.len() > 128 { "..." } else { "" })
    }
}

/// Up to `len` bytes as they come.
pub(crate) fn raw(u: &mut Unstructured<'_>, len: usize) -> Result<Vec<u8>> {
    let len = u.int_in_range(0..=len)?;
    (0..len).map(|_| u.arbitrary()).collect()
}

/// Now and then all that is left of the input, as it is: so packets of others enter a fuzzer's corpus.
/// The last thing that a generator asks for, because nothing is left after it.
pub(crate) fn verbatim(u: &mut Unstructured<'_>) -> Result<Option<Vec<u8>>> {
    if odds(u, 1, 16)? {
        Ok(Some(u.bytes(u.len())?.to_vec()))
    } else {
        Ok(None)
    }
}

/// Lengths of pieces that together are at most `len`, some of them 0.
pub(crate) fn pieces(u: &mut Unstructured<'_>, len: usize) -> Result<Vec<usize>> {
    let mut left = len;
    let mut pieces = Vec::new();
    for _ in 0..u.int_in_range(0..=6u8)? {
        let piece = match u.int_in_range(0..=3u8)? {
            0 => 0,
            1 => u.int_in_range(0..=left.min(3))?,
            _ => u.int_in_range(0..=left)?,
        };
        pieces.push(piece);
        left -= piece;
    }
    Ok(pieces)
}

/// Blocks of zeros, of ones, of one byte, of a pattern: few bytes of input make long data.
pub(crate) fn blocks(u: &mut Unstructured<'_>, most: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for _ in 0..u.int_in_range(0..=most)? {
        let len = match u.int_in_range(0..=7u8)? {
            0..=2 => u.int_in_range(0..=20)?,
            3 | 4 => usize::from(u.int_in_range(0..=4u8)?) * 16,
            5 | 6 => u.int_in_range(0..=300)?,
            _ => u.int_in_range(0..=3000)?,
        };
        let fill: u8 = u.arbitrary()?;
        let kind = u.int_in_range(0..=4u8)?;
        let mut state = u64::from(fill) << 8 | 1;
        bytes.extend((0..len).map(|_| match kind {
            0 => 0x00,
            1 | 2 => 0xff,
            3 => fill,
            _ => {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()[3]
            }
        }));
    }
    Ok(bytes)
}

/// Anything at all, up to 300 bytes.
#[derive(Clone, Debug)]
pub struct Anything(pub Bytes);

impl<'a> Arbitrary<'a> for Anything {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self(Bytes(raw(u, 300)?)))
    }
}
