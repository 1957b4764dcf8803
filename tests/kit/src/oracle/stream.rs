use ipencap::error::ParseError;
use ipencap::stream::{FrameError, StreamError, StreamFraming};

use super::{u16_at, validate};

/// A receiver of packets on a stream.
#[derive(Clone, Copy, Debug)]
pub struct Receiver {
    /// How packets are told apart.
    pub framing: StreamFraming,
    /// Whether the stream begins with a preamble, in framings that have one.
    pub wants_preamble: bool,
    /// The longest frame, prefix included.
    pub room: usize,
    /// The longest packet.
    pub max_packet_len: usize,
}

/// What a receiver says of one frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It holds this packet.
    Packet(Vec<u8>),
    /// It holds none, and means none.
    Skipped,
    /// It holds a broken one.
    Dropped(FrameError),
}

/// What a receiver says of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Frame by frame.
    pub frames: Vec<Said>,
    /// What ended it, if anything did.
    pub error: Option<StreamError>,
    /// How many bytes the frame at the end, or its prefix, still needs.
    pub missing: usize,
}

/// S-10 to S-21: what is on `stream`, all of which is there.
#[must_use]
pub fn hear(receiver: &Receiver, stream: &[u8]) -> Heard {
    let mut heard = Heard {
        frames: Vec::new(),
        error: None,
        missing: 0,
    };
    let mut rest = stream;
    if receiver.wants_preamble && receiver.framing == StreamFraming::Inclusive {
        let begun = rest.len().min(6);
        if rest[..begun] != b"IKETCP"[..begun] {
            heard.error = Some(StreamError::BadMagic); // S-21
            return heard;
        }
        rest = &rest[begun..];
    }
    while !rest.is_empty() {
        let head_len = if receiver.framing == StreamFraming::Bare {
            4
        } else {
            2
        };
        if receiver.room < head_len {
            heard.error = Some(StreamError::FrameTooLong); // S-17: not even a head
            return heard;
        }
        if rest.len() < head_len {
            heard.missing = head_len - rest.len();
            return heard;
        }
        let (prefix_len, packet_len) = match lengths(receiver.framing, rest) {
            Ok(lengths) => lengths,
            Err(error) => {
                heard.error = Some(error);
                return heard;
            }
        };
        let frame_len = prefix_len + packet_len;
        if frame_len > receiver.room || packet_len > receiver.max_packet_len {
            heard.error = Some(StreamError::FrameTooLong); // S-17
            return heard;
        }
        if rest.len() < frame_len {
            heard.missing = frame_len - rest.len(); // S-18
            return heard;
        }
        match content(receiver.framing, &rest[prefix_len..frame_len]) {
            Ok(said) => heard.frames.push(said),
            Err(error) => {
                heard.error = Some(error);
                return heard;
            }
        }
        rest = &rest[frame_len..];
    }
    heard
}

/// The lengths of a frame's prefix and packet.
fn lengths(framing: StreamFraming, head: &[u8]) -> Result<(usize, usize), StreamError> {
    let word = usize::from(u16_at(head, 0));
    match framing {
        StreamFraming::Exclusive if word == 0 => Err(StreamError::BadFrameLength), // S-13
        StreamFraming::Exclusive | StreamFraming::Rfc4571 => Ok((2, word)),
        StreamFraming::Inclusive if word < 2 => Err(StreamError::BadFrameLength), // S-13, S-14
        StreamFraming::Inclusive => Ok((2, word - 2)),
        _ => {
            let total_len = usize::from(u16_at(head, 2));
            let header_len = usize::from(head[0] % 16) * 4;
            if head[0] / 16 == 4 && header_len >= 20 && total_len >= header_len {
                Ok((0, total_len))
            } else {
                Err(StreamError::BadFrameLength)
            }
        }
    }
}

fn content(framing: StreamFraming, packet: &[u8]) -> Result<Said, StreamError> {
    if packet.is_empty() {
        return Ok(Said::Skipped); // S-13, S-15
    }
    if framing == StreamFraming::Inclusive && packet == [0xff] {
        return Ok(Said::Skipped); // S-16
    }
    let error: ParseError = match validate(packet, true) {
        Ok(fields) if fields.slack == 0 => return Ok(Said::Packet(packet.to_vec())),
        Ok(_) => return Ok(Said::Dropped(FrameError::InnerLengthMismatch)), // S-20
        Err(error) => error,
    };
    if framing == StreamFraming::Bare {
        Err(StreamError::BadFrameLength)
    } else {
        Ok(Said::Dropped(FrameError::Inner(error)))
    }
}
