//! Packets on a byte stream: the rules S-10 to S-22 by their rows, and TCP-01's payload in every split.

use ipencap::error::{EncapError, ParseError};
use ipencap::stream::{Decoder, Event, FrameError, StreamError, StreamFraming};

use crate::Book;
use crate::oracle::{A, B, P, hex, plain_outer};
use StreamFraming::{Bare, Exclusive, Inclusive, Rfc4571};

/// An event that outlives the decoder.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Packet(Vec<u8>),
    Skipped,
    Dropped(FrameError),
}
use Seen::{Dropped, Packet, Skipped};

/// All that a decoder says of a stream that arrives in `pieces`: the events, then the error that ended
/// it, if one did.
fn seen<'p>(
    framing: StreamFraming,
    max_packet_len: usize,
    pieces: impl IntoIterator<Item = &'p [u8]>,
) -> (Vec<Seen>, Option<StreamError>) {
    let mut buffer = vec![0xa5; 65_537];
    let mut decoder = Decoder::new(framing, &mut buffer)
        .with_max_packet_len(max_packet_len)
        .without_preamble();
    read(&mut decoder, pieces)
}

fn read<'p>(
    decoder: &mut Decoder<'_>,
    pieces: impl IntoIterator<Item = &'p [u8]>,
) -> (Vec<Seen>, Option<StreamError>) {
    let mut events = Vec::new();
    for mut piece in pieces {
        loop {
            match decoder.push(&mut piece) {
                Ok(None) => break,
                Ok(Some(Event::Packet(packet))) => events.push(Packet(packet.to_vec())),
                Ok(Some(Event::Skipped)) => events.push(Skipped),
                Ok(Some(Event::Dropped(error))) => events.push(Dropped(error)),
                Ok(Some(event)) => panic!("{event:?}: not known here"),
                Err(error) => {
                    // S-13, S-17: for good.
                    assert_eq!(decoder.push(&mut &P[..]), Err(error));
                    return (events, Some(error));
                }
            }
        }
        assert!(piece.is_empty(), "S-18: all bytes are taken");
    }
    (events, None)
}

/// The same in one piece, byte by byte, and in every two-way split, which must not matter (S-19).
fn decoded(framing: StreamFraming, stream: &[u8]) -> (Vec<Seen>, Option<StreamError>) {
    decoded_up_to(framing, usize::MAX, stream)
}

fn decoded_up_to(
    framing: StreamFraming,
    max_packet_len: usize,
    stream: &[u8],
) -> (Vec<Seen>, Option<StreamError>) {
    let whole = seen(framing, max_packet_len, [stream]);
    let bytes = seen(framing, max_packet_len, stream.chunks(1));
    assert_eq!(bytes, whole, "{framing:?}, S-19: byte by byte");
    for at in 1..stream.len() {
        let (head, tail) = stream.split_at(at);
        let split = seen(framing, max_packet_len, [head, tail]);
        assert_eq!(split, whole, "{framing:?}, S-19: split at {at}");
    }
    whole
}

fn packet() -> Seen {
    Packet(P.to_vec())
}

/// `stream` and then a good frame: whether the stream has survived it.
fn with_next(framing: StreamFraming, stream: &[u8]) -> (Vec<Seen>, Option<StreamError>) {
    decoded(framing, &[stream, &framed(framing, P)].concat())
}

fn framed(framing: StreamFraming, packet: &[u8]) -> Vec<u8> {
    let mut frame = [&vec![0xa5; framing.prefix_len()], packet].concat();
    framing.frame(&mut frame).unwrap().to_vec()
}

/// And P-08.
#[test]
fn s_19_tcp_01_in_every_split() {
    for (id, framing) in [("TCP-01", Exclusive), ("TCP-02", Inclusive)] {
        let wire = hex(&Book::open().group("encap")[id]);
        let payload = &wire[wire.len() - 38..];
        assert_eq!(payload, framed(framing, P), "{id}: S-22");
        let mut splits = 0;
        for at in 1..payload.len() {
            let (head, tail) = payload.split_at(at);
            let answer = seen(framing, usize::MAX, [head, tail]);
            assert_eq!(answer, (vec![packet()], None), "{id}: split at {at}");
            splits += 1;
        }
        assert_eq!(splits, 37, "{id}");
        let answer = seen(framing, usize::MAX, payload.chunks(1));
        assert_eq!(answer, (vec![packet()], None), "{id}: byte by byte");
        let answer = seen(framing, usize::MAX, [payload]);
        assert_eq!(answer, (vec![packet()], None), "{id}: in one piece");
    }
}

#[test]
fn s_10_s_11_prefix_values() {
    let rows: [(StreamFraming, &[u8]); 4] = [
        (Exclusive, b"\x00\x24"),
        (Rfc4571, b"\x00\x24"),
        (Inclusive, b"\x00\x26"),
        (Bare, b""),
    ];
    for (framing, prefix) in rows {
        let frame = framed(framing, P);
        assert_eq!(frame, [prefix, P].concat(), "S-10, S-22: {framing:?}");
        let long = [plain_outer(A, B, 0, 0x0102).to_vec(), vec![0; 0x0102 - 20]].concat();
        let frame = framed(framing, &long);
        let extra = u8::from(framing == Inclusive) * 2;
        assert_eq!(
            frame[..prefix.len()],
            [1, 2 + extra][..prefix.len()],
            "S-11"
        );
        assert_eq!(decoded(framing, &frame), (vec![Packet(long)], None), "S-10");
    }
}

#[test]
fn s_12_longest_packets() {
    let rows = [
        (Exclusive, 65_535),
        (Rfc4571, 65_535),
        (Inclusive, 65_533),
        (Bare, 65_535),
    ];
    for (framing, longest) in rows {
        for len in [65_533, 65_534, 65_535] {
            let packet = [plain_outer(A, B, 0, len).to_vec(), vec![0; len - 20]].concat();
            let mut frame = [vec![0xa5; framing.prefix_len()], packet.clone()].concat();
            let untouched = frame.clone();
            if len <= longest {
                framing.frame(&mut frame).unwrap();
                let answer = seen(framing, usize::MAX, [&frame[..]]);
                assert_eq!(answer, (vec![Packet(packet)], None), "S-12: {framing:?}");
            } else {
                // With the two bytes of the length itself.
                let len = u32::try_from(len + 2).unwrap();
                let answer = framing.frame(&mut frame).unwrap_err();
                assert_eq!(answer, EncapError::TooLong { len }, "S-12: {framing:?}");
                assert_eq!(frame, untouched, "S-12: {framing:?}");
            }
        }
    }
}

const FATAL: Option<StreamError> = Some(StreamError::BadFrameLength);

const fn truncated(have: u16) -> Seen {
    Dropped(FrameError::Inner(ParseError::Truncated { need: 20, have }))
}

#[test]
fn s_13_prefix_0() {
    assert_eq!(with_next(Exclusive, b"\0\0"), (vec![], FATAL), "OpenVPN");
    assert_eq!(with_next(Inclusive, b"\0\0"), (vec![], FATAL), "RFC 9329");
    let null_packet = (vec![Skipped, packet()], None);
    assert_eq!(with_next(Rfc4571, b"\0\0"), null_packet, "RFC 4571");
}

#[test]
fn s_14_prefix_1() {
    let broken = (vec![truncated(1), packet()], None);
    assert_eq!(with_next(Exclusive, b"\0\x01\x45"), broken);
    assert_eq!(with_next(Rfc4571, b"\0\x01\x45"), broken);
    assert_eq!(with_next(Inclusive, b"\0\x01\x45"), (vec![], FATAL));
}

/// Without a prefix the header says where the next packet begins: one that cannot is fatal as soon as its length
/// is there, and so is a broken one.
#[test]
fn s_13_s_14_s_17_bare_heads() {
    let heads: [([u8; 4], Option<usize>); 8] = [
        ([0x65, 0, 0, 40], None), // version
        ([0x44, 0, 0, 40], None), // header length
        ([0x45, 0, 0, 19], None), // total length
        ([0x4f, 0, 0, 59], None),
        ([0x00, 0, 0, 0], None),
        ([0x45, 0, 0, 20], Some(16)),
        ([0x4f, 0, 0, 60], Some(56)),
        ([0x46, 0, 1, 0], Some(252)),
    ];
    for (head, missing) in heads {
        let mut buffer = [0; 256];
        let mut decoder = Decoder::new(Bare, &mut buffer);
        let answer = read(&mut decoder, [&head[..]]);
        let error = if missing.is_none() { FATAL } else { None };
        assert_eq!(answer, (vec![], error), "{head:02x?}");
        if let Some(missing) = missing {
            assert_eq!(decoder.missing(), missing, "S-18: {head:02x?}");
        }
    }
    let mut broken = P.to_vec();
    broken[10] ^= 1;
    assert_eq!(with_next(Bare, &broken), (vec![], FATAL), "checksum");
}

#[test]
fn s_15_prefix_2() {
    let broken = (vec![truncated(2), packet()], None);
    assert_eq!(with_next(Exclusive, b"\0\x02\x45\0"), broken);
    assert_eq!(with_next(Rfc4571, b"\0\x02\x45\0"), broken);
    let empty_message = (vec![Skipped, packet()], None);
    assert_eq!(with_next(Inclusive, b"\0\x02"), empty_message);
}

#[test]
fn s_16_keepalive() {
    let keepalive = (vec![Skipped, packet()], None);
    assert_eq!(with_next(Inclusive, b"\0\x03\xff"), keepalive);
    // Another byte is no keepalive, and with the other framings there are none.
    let broken = (vec![truncated(1), packet()], None);
    assert_eq!(with_next(Inclusive, b"\0\x03\xfe"), broken);
    assert_eq!(with_next(Exclusive, b"\0\x01\xff"), broken);
    assert_eq!(with_next(Rfc4571, b"\0\x01\xff"), broken);
}

#[test]
fn s_17_frames_beyond_the_limit() {
    let too_long = (vec![packet()], Some(StreamError::FrameTooLong));
    for framing in [Exclusive, Rfc4571, Inclusive, Bare] {
        let frame = framed(framing, P);
        let at_the_limit = decoded_up_to(framing, P.len(), &frame);
        assert_eq!(at_the_limit, (vec![packet()], None), "{framing:?}");

        let longer = [plain_outer(A, B, 0, 37).to_vec(), vec![0; 17]].concat();
        let stream = [frame, framed(framing, &longer)].concat();
        let answer = decoded_up_to(framing, P.len(), &stream);
        assert_eq!(answer, too_long, "{framing:?}");
        // Its length says so: the rest of the frame is not waited for.
        let head = &stream[..stream.len() - 33];
        let answer = decoded_up_to(framing, P.len(), head);
        assert_eq!(answer, too_long, "{framing:?}: by its head");

        // The buffer is a limit as well.
        let mut buffer = vec![0; framing.prefix_len() + P.len()];
        let mut decoder = Decoder::new(framing, &mut buffer).without_preamble();
        let answer = read(&mut decoder, [&stream[..]]);
        assert_eq!(answer, too_long, "{framing:?}: by the buffer");
    }
}

/// Found by fuzzing: a buffer that holds no head said `BadFrameLength` of a bad one that came whole,
/// and `FrameTooLong` of the same in pieces.
#[test]
fn s_17_s_19_buffer_too_small_for_a_head() {
    for (framing, head_len) in [(Exclusive, 2), (Rfc4571, 2), (Inclusive, 2), (Bare, 4)] {
        for room in 0..head_len {
            for stream in [b"\0\0\0\0", b"\0\x24\x45\0"] {
                for piece in 1..=stream.len() {
                    let mut buffer = vec![0; room];
                    let mut decoder = Decoder::new(framing, &mut buffer).without_preamble();
                    let answer = read(&mut decoder, stream.chunks(piece));
                    let too_long = (vec![], Some(StreamError::FrameTooLong));
                    assert_eq!(answer, too_long, "{framing:?} in {room}, by {piece}");
                }
            }
        }
    }
}

/// A buffer that holds a head and nothing behind it: the frames that are no more than a head.
#[test]
fn s_13_s_15_s_17_buffer_of_a_head() {
    let rows: [(_, &[u8], _); 5] = [
        (Exclusive, b"\0\0", (vec![], FATAL)),
        (Rfc4571, b"\0\0", (vec![Skipped], None)),
        (Inclusive, b"\0\x02", (vec![Skipped], None)),
        (Inclusive, b"\0\0", (vec![], FATAL)),
        (Bare, b"\x60\0\0\0", (vec![], FATAL)),
    ];
    for (framing, stream, expected) in rows {
        for piece in 1..=stream.len() {
            let mut buffer = vec![0; stream.len()];
            let mut decoder = Decoder::new(framing, &mut buffer).without_preamble();
            let answer = read(&mut decoder, stream.chunks(piece));
            assert_eq!(answer, expected, "{framing:?}, by {piece}");
        }
    }
}

#[test]
fn s_18_incomplete_frames() {
    for framing in [Exclusive, Rfc4571, Inclusive, Bare] {
        let frame = framed(framing, P);
        let head_len = if framing == Bare { 4 } else { 2 };
        for at in 0..frame.len() {
            let mut buffer = [0; 64];
            let mut decoder = Decoder::new(framing, &mut buffer).without_preamble();
            let mut piece = &frame[..at];
            assert_eq!(
                decoder.push(&mut piece),
                Ok(None),
                "{framing:?}: {at} bytes"
            );
            let missing = match at {
                0 => 0,
                at if at < head_len => head_len - at,
                at => frame.len() - at,
            };
            assert_eq!(decoder.missing(), missing, "{framing:?}: {at} bytes");
            let mut rest = &frame[at..];
            assert_eq!(decoder.push(&mut rest), Ok(Some(Event::Packet(P))));
            assert_eq!((rest.len(), decoder.missing()), (0, 0), "{framing:?}");
        }
    }
}

#[test]
fn s_19_several_frames_in_one_read() {
    let other = plain_outer(A, B, 0xb8, 20).to_vec();
    for framing in [Exclusive, Rfc4571, Inclusive, Bare] {
        let [first, second] = [P, &other[..]].map(|packet| framed(framing, packet));
        let stream = [&first[..], &second, &first, &second[..9]].concat();
        let expected = vec![packet(), Packet(other.clone()), packet()];
        assert_eq!(decoded(framing, &stream), (expected, None), "{framing:?}");
    }
}

/// A packet inside of a packet is no frame, even where a read begins with it.
#[test]
fn s_19_a_frame_inside_of_a_packet_in_every_split() {
    for framing in [Exclusive, Rfc4571, Inclusive, Bare] {
        let inside = framed(framing, P);
        let outer = plain_outer(A, B, 0, 20 + inside.len());
        let outer = [&outer[..], &inside].concat();
        let answer = decoded(framing, &framed(framing, &outer));
        assert_eq!(answer, (vec![Packet(outer)], None), "{framing:?}");
    }
}

#[test]
fn s_20_packets_that_do_not_fill_their_frames() {
    for framing in [Exclusive, Rfc4571, Inclusive] {
        let extra = if framing == Inclusive { 2 } else { 0 };
        // 4 bytes more than the total length says.
        let longer = [&[0, 40 + extra], &P[..], &[0xee; 4]].concat();
        let mismatch = Dropped(FrameError::InnerLengthMismatch);
        let expected = (vec![mismatch, packet()], None);
        assert_eq!(with_next(framing, &longer), expected, "{framing:?}");
        // 4 bytes less.
        let shorter = [&[0, 32 + extra], &P[..32]].concat();
        let short = ParseError::Truncated { need: 36, have: 32 };
        let expected = (vec![Dropped(FrameError::Inner(short)), packet()], None);
        assert_eq!(with_next(framing, &shorter), expected, "{framing:?}");

        // Nor does the sender make such frames.
        let mut slack = [&[0xa5; 2], &P[..], &[0; 4]].concat();
        let untouched = slack.clone();
        assert!(framing.frame(&mut slack).is_err(), "{framing:?}");
        assert_eq!(slack, untouched, "{framing:?}");
    }
}

#[test]
fn s_21_magic() {
    assert_eq!(Inclusive.preamble(), hex_magic(), "RFC 9329 §4");
    for framing in [Exclusive, Rfc4571, Bare] {
        assert_eq!(framing.preamble(), b"", "{framing:?}");
    }
    let stream = [Inclusive.preamble(), &framed(Inclusive, P)].concat();
    let from_start = |pieces: &[&[u8]]| {
        let mut buffer = [0; 64];
        let mut decoder = Decoder::new(Inclusive, &mut buffer);
        read(&mut decoder, pieces.iter().copied())
    };
    for at in 0..=stream.len() {
        let (head, tail) = stream.split_at(at);
        assert_eq!(from_start(&[head, tail]), (vec![packet()], None), "at {at}");
    }
    let bad = (vec![], Some(StreamError::BadMagic));
    for at in 0..6 {
        let mut stream = stream.clone();
        stream[at] ^= 0x20;
        assert_eq!(from_start(&[&stream]), bad, "byte {at}");
        assert_eq!(from_start(&[&stream[..=at]]), bad, "byte {at}, at once");
    }
    // Once: a second one is read as a length, 0x494b, which is too long for this buffer.
    let again = [&stream[..], Inclusive.preamble()].concat();
    let too_long = (vec![packet()], Some(StreamError::FrameTooLong));
    assert_eq!(from_start(&[&again]), too_long, "twice");
    assert_eq!(from_start(&[&framed(Inclusive, P)]), bad, "without magic");
}

fn hex_magic() -> Vec<u8> {
    crate::oracle::unhex("494b45544350")
}
