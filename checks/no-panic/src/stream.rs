use core::hint::black_box;

use ipencap::stream::{Decoder, Event, FrameError, StreamError, StreamFraming};

use crate::given::{bytes, size};
use crate::helper::{debug, display, seen, value};

pub fn call(buffer: &mut [u8]) {
    let framing = || black_box(StreamFraming::Bare);
    seen(StreamFraming::prefix_len(framing()));
    seen(StreamFraming::preamble(framing()));
    seen(StreamFraming::length_prefix(framing()));
    seen(StreamFraming::frame(framing(), black_box(&mut *buffer)));
    value::<StreamFraming>(framing());

    let frame_error = || black_box(FrameError::InnerLengthMismatch);
    seen(FrameError::name(frame_error()));
    seen(FrameError::counter(frame_error()));
    FrameError::counters().for_each(seen);
    display::<FrameError>(&frame_error());
    value::<FrameError>(frame_error());

    let stream_error = || black_box(StreamError::BadMagic);
    seen(StreamError::name(stream_error()));
    seen(StreamError::index(stream_error()));
    display::<StreamError>(&stream_error());
    value::<StreamError>(stream_error());

    let decoder = black_box(Decoder::new(framing(), black_box(&mut *buffer)));
    let decoder = black_box(Decoder::with_max_packet_len(decoder, size()));
    let mut decoder = black_box(Decoder::without_preamble(decoder));
    loop {
        let mut input = bytes();
        match black_box(Decoder::push(
            black_box(&mut decoder),
            black_box(&mut input),
        )) {
            Ok(Some(event)) => {
                seen(<Event<'_> as PartialEq>::eq(
                    black_box(&event),
                    black_box(&event),
                ));
                debug::<Event<'_>>(&event);
            }
            Ok(None) => {}
            Err(_) => break,
        }
    }
    seen(Decoder::missing(black_box(&decoder)));
    debug::<Decoder<'_>>(&decoder);
}
