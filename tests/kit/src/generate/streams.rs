//! Packets on byte streams.

use arbitrary::{Arbitrary, Result, Unstructured};
use ipencap::stream::StreamFraming;

use super::{Bytes, Ipv4Packet, MutatedPacket, odds, pieces, raw, verbatim};
use crate::oracle::Receiver;

/// A stream of frames, most of them right, and how it arrives.
#[derive(Clone, Debug)]
pub struct StreamCase {
    /// Who hears it.
    pub receiver: Receiver,
    /// All that is said.
    pub stream: Bytes,
    /// The lengths of the pieces in which it arrives; what is left is the last piece.
    pub pieces: Vec<usize>,
}

/// `packet` behind the prefix that `framing` wants, as far as it fits one.
fn frame(framing: StreamFraming, packet: &[u8]) -> Vec<u8> {
    let len = match framing {
        StreamFraming::Inclusive => packet.len() + 2,
        StreamFraming::Bare => return packet.to_vec(),
        _ => packet.len(),
    };
    let prefix = u16::try_from(len.min(65_535)).unwrap().to_be_bytes();
    [&prefix, packet].concat()
}

fn stream(u: &mut Unstructured<'_>, framing: StreamFraming) -> Result<Vec<u8>> {
    let mut stream = Vec::new();
    for _ in 0..u.int_in_range(0..=5u8)? {
        match u.int_in_range(0..=11u8)? {
            // Null packets, keepalives, and what is neither.
            0 => stream.extend([0, u.int_in_range(0..=4u8)?]),
            1 => stream.extend([0, *u.choose(&[3, 1, 2])?, *u.choose(&[0xff, 0xfe])?]),
            2 => stream.extend(raw(u, 24)?),
            3 => stream.extend(frame(framing, &raw(u, 24)?)),
            4 | 5 => stream.extend(frame(framing, &u.arbitrary::<MutatedPacket>()?.bytes.0)),
            6 => {
                // One end of the frame is not where its prefix says.
                let mut packet = u.arbitrary::<Ipv4Packet>()?.bytes.0;
                packet.extend(raw(u, 4)?);
                let mut framed = frame(framing, &packet);
                if odds(u, 1, 2)? {
                    framed.truncate(u.int_in_range(0..=framed.len())?);
                }
                stream.extend(framed);
            }
            _ => stream.extend(frame(framing, &u.arbitrary::<Ipv4Packet>()?.bytes.0)),
        }
    }
    Ok(stream)
}

impl<'a> Arbitrary<'a> for StreamCase {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let framing = *u.choose(&[
            StreamFraming::Exclusive,
            StreamFraming::Rfc4571,
            StreamFraming::Inclusive,
            StreamFraming::Bare,
        ])?;
        let wants_preamble = odds(u, 1, 2)?;
        let mut bytes = stream(u, framing)?;
        if wants_preamble && !odds(u, 1, 8)? {
            bytes.splice(..0, framing.preamble().iter().copied());
        }
        let room = match u.int_in_range(0..=7u8)? {
            0 => u.int_in_range(0..=8)?,
            1 => u.int_in_range(20..=120)?,
            2 => bytes.len().min(65_537),
            _ => 65_537,
        };
        let max_packet_len = match u.int_in_range(0..=7u8)? {
            0 => u.int_in_range(0..=120)?,
            1 => 1500,
            _ => usize::MAX,
        };
        let pieces = pieces(u, bytes.len())?;
        Ok(Self {
            receiver: Receiver {
                framing,
                wants_preamble,
                room,
                max_packet_len,
            },
            stream: Bytes(verbatim(u)?.unwrap_or(bytes)),
            pieces,
        })
    }
}
