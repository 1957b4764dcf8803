use ipencap::error::{EncapError, ParseError};
use ipencap::stream::{Decoder, Event, StreamFraming};

use crate::generate::{Bytes, MutatedPacket, StreamCase};
use crate::oracle::{self, Heard, Receiver, Said};

const FRAMINGS: [StreamFraming; 4] = [
    StreamFraming::Exclusive,
    StreamFraming::Rfc4571,
    StreamFraming::Inclusive,
    StreamFraming::Bare,
];

/// S-12, S-20, S-22: a packet is framed if it fills its frame and fits the prefix, and else no byte
/// changes.
pub fn law_frame_matches_oracle(case: &MutatedPacket) {
    let packet = &case.bytes.0;
    for framing in FRAMINGS {
        let prefix_len = if framing == StreamFraming::Bare { 0 } else { 2 };
        let itself = if framing == StreamFraming::Inclusive {
            2
        } else {
            0
        };
        let mut frame = [&vec![0xa5; prefix_len], &packet[..]].concat();
        let before = frame.clone();
        let answer = framing.frame(&mut frame).map(|frame| Bytes(frame.to_vec()));
        let expected = match oracle::validate(packet, true) {
            Err(error) => Err(EncapError::Inner { error }),
            Ok(fields) if fields.slack > 0 => Err(EncapError::Inner {
                error: ParseError::BadTotalLength {
                    total_len: u16::try_from(fields.total_len).unwrap(),
                },
            }),
            Ok(fields) => match u16::try_from(fields.total_len + itself) {
                Err(_) => Err(EncapError::TooLong {
                    len: u32::try_from(fields.total_len + prefix_len).unwrap(),
                }),
                Ok(len) if prefix_len > 0 => Ok([&len.to_be_bytes(), &packet[..]].concat()),
                Ok(_) => Ok(packet.clone()),
            },
        };
        assert_eq!(answer, expected.clone().map(Bytes), "{framing:?}");
        assert_eq!(
            Bytes(frame),
            Bytes(expected.unwrap_or(before)),
            "{framing:?}"
        );
        for have in 0..prefix_len {
            let answer = framing.frame(&mut vec![0xa5; have]).err();
            let have = u16::try_from(have).unwrap();
            assert_eq!(answer, Some(EncapError::NoHeadroom { need: 2, have }));
        }
    }
}

/// S-10 to S-21: what a decoder says of a stream does not depend on how it arrives.
pub fn law_decoder_matches_oracle(case: &StreamCase) {
    let stream = &case.stream.0;
    let expected = oracle::hear(&case.receiver, stream);
    let mut rest = &stream[..];
    let mut pieces = Vec::new();
    for &piece in case.pieces.iter().chain([&stream.len()]) {
        let (head, tail) = rest.split_at(piece.min(rest.len()));
        pieces.push(head);
        rest = tail;
    }
    assert_eq!(decoded(&case.receiver, pieces), expected, "in pieces");
    assert_eq!(decoded(&case.receiver, [&stream[..]]), expected, "in one");
    let bytes = stream.chunks(1);
    assert_eq!(decoded(&case.receiver, bytes), expected, "byte by byte");
    if stream.len() <= 128 {
        for at in 0..stream.len() {
            let (head, tail) = stream.split_at(at);
            let halves = decoded(&case.receiver, [head, tail]);
            assert_eq!(halves, expected, "split at {at}");
        }
    }
}

/// What the decoder says of the stream in these pieces.
fn decoded<'p>(receiver: &Receiver, pieces: impl IntoIterator<Item = &'p [u8]>) -> Heard {
    let mut buffer = vec![0xa5; receiver.room];
    let mut decoder =
        Decoder::new(receiver.framing, &mut buffer).with_max_packet_len(receiver.max_packet_len);
    if !receiver.wants_preamble {
        decoder = decoder.without_preamble();
    }
    let mut frames = Vec::new();
    for mut piece in pieces {
        loop {
            let said = match decoder.push(&mut piece) {
                Ok(None) => break,
                Ok(Some(Event::Packet(packet))) => Said::Packet(packet.to_vec()),
                Ok(Some(Event::Skipped)) => Said::Skipped,
                Ok(Some(Event::Dropped(error))) => Said::Dropped(error),
                Ok(Some(event)) => panic!("{event:?}: unknown"),
                Err(error) => {
                    let again = decoder.push(&mut &b"\x00\x00"[..]);
                    assert_eq!(again, Err(error), "S-13, S-17: for good");
                    return Heard {
                        frames,
                        error: Some(error),
                        missing: 0,
                    };
                }
            };
            frames.push(said);
        }
        assert!(piece.is_empty(), "S-18: all bytes are taken");
    }
    Heard {
        frames,
        error: None,
        missing: decoder.missing(),
    }
}
