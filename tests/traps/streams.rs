//! T44 and T45: lengths on a stream.

use ipencap::stream::{Decoder, Event, StreamError, StreamFraming};

use crate::inner;

/// What a decoder with a buffer of `room` bytes says to `stream`, in pieces of `piece` bytes.
fn decode(
    framing: StreamFraming,
    room: usize,
    stream: &[u8],
    piece: usize,
) -> Result<Vec<Vec<u8>>, StreamError> {
    let mut buffer = vec![0; room];
    let mut decoder = Decoder::new(framing, &mut buffer);
    let mut packets = Vec::new();
    for mut input in stream.chunks(piece) {
        while let Some(event) = decoder.push(&mut input)? {
            let Event::Packet(packet) = event else {
                assert_eq!(event, Event::Packet(&[]), "only packets are on this stream");
                continue;
            };
            packets.push(packet.to_vec());
        }
        assert!(input.is_empty(), "all was taken");
    }
    Ok(packets)
}

/// udp-over-tcp: a frame longer than the buffer filled it, and the next read, of nothing, looked like
/// the end of the connection. It is an error, said at once and again.
#[test]
fn t44_s_17_frame_longer_than_the_buffer() {
    for (prefix, room) in [(65535u16, 65535), (65534, 65535), (1501, 1502), (3, 4)] {
        let stream = [&prefix.to_be_bytes()[..], &[0x45; 40]].concat();
        for piece in [1, 2, 42] {
            let answer = decode(StreamFraming::Exclusive, room, &stream, piece);
            assert_eq!(answer, Err(StreamError::FrameTooLong), "{prefix} in {room}");
        }
        let mut buffer = vec![0; room];
        let mut decoder = Decoder::new(StreamFraming::Exclusive, &mut buffer);
        let mut input = &stream[..];
        assert!(decoder.push(&mut input).is_err());
        let mut nothing: &[u8] = &[];
        assert_eq!(decoder.push(&mut nothing), Err(StreamError::FrameTooLong));
    }
    // The longest packet there is, in the buffer that the documentation names.
    let longest = inner().packet(&vec![0x42; 65515]);
    let stream = [&[0xff, 0xff], &longest[..]].concat();
    for piece in [1, 1448, 65537] {
        let packets = decode(StreamFraming::Exclusive, 65537, &stream, piece).unwrap();
        assert!(packets.iter().eq([&longest]));
    }
}

/// minivpn: with fewer than two bytes the length was taken to be what there was.
#[test]
fn t44_s_18_half_a_prefix_is_no_length() {
    let mut buffer = [0; 64];
    let mut decoder = Decoder::new(StreamFraming::Exclusive, &mut buffer);
    let mut input: &[u8] = &[0x00];
    assert_eq!(decoder.push(&mut input), Ok(None));
    assert_eq!(decoder.missing(), 1);
}

#[test]
fn t45_s_13_frame_of_length_0() {
    let zero = [0x00, 0x00];
    for piece in [1, 2] {
        let answer = decode(StreamFraming::Exclusive, 64, &zero, piece);
        assert_eq!(answer, Err(StreamError::BadFrameLength));
    }
    let mut buffer = [0; 64];
    let mut decoder = Decoder::new(StreamFraming::Rfc4571, &mut buffer);
    let mut input = &zero[..];
    assert_eq!(decoder.push(&mut input), Ok(Some(Event::Skipped)));
}

#[test]
fn t45_s_19_every_split_and_several_frames_in_one_read() {
    let packets: Vec<Vec<u8>> = [0usize, 1, 8, 33]
        .map(|len| inner().packet(&vec![0x42; len]))
        .into();
    for (framing, own_len, preamble) in [
        (StreamFraming::Exclusive, 0u16, &b""[..]),
        (StreamFraming::Rfc4571, 0, b""),
        (StreamFraming::Inclusive, 2, b"IKETCP"),
    ] {
        let mut stream = preamble.to_vec();
        for packet in &packets {
            let prefix = u16::try_from(packet.len()).unwrap() + own_len;
            stream.extend(prefix.to_be_bytes());
            stream.extend(packet);
        }
        for piece in 1..=stream.len() {
            assert_eq!(decode(framing, 80, &stream, piece).unwrap(), packets);
        }
        for first in 0..stream.len() {
            let mut buffer = [0; 80];
            let mut decoder = Decoder::new(framing, &mut buffer);
            let mut found = 0;
            for mut input in [&stream[..first], &stream[first..]] {
                while let Some(event) = decoder.push(&mut input).unwrap() {
                    assert_eq!(event, Event::Packet(&packets[found]));
                    found += 1;
                }
            }
            assert_eq!(found, packets.len());
        }
    }
}
