//! tokio-util's `LengthDelimitedCodec` on `bytes`, without its runtime: framing and nothing else.

use bytes::{Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder, LengthDelimitedCodec};

use super::stream::{Deframe, FrameBurst, Received};

/// A codec with a prefix of 2 bytes that counts the packet alone.
pub fn codec() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder()
        .length_field_length(2)
        .max_frame_length(65535)
        .new_codec()
}

/// Frames all packets into one buffer.
#[inline(never)]
pub fn frame(burst: &mut FrameBurst) -> usize {
    burst.encoded.clear();
    for packet in &burst.shared {
        // A reference is counted, nothing is copied: `encode` takes its packet by value.
        burst
            .codec
            .encode(Bytes::clone(packet), &mut burst.encoded)
            .expect("a packet that fits");
    }
    burst.encoded.len()
}

/// Takes frames off the codec's own buffer.
#[derive(Debug)]
pub struct TokioUtil;

impl Deframe for TokioUtil {
    #[inline(always)]
    fn run(received: &mut Received, mut sink: impl FnMut(&[u8])) {
        let buffer: &mut BytesMut = &mut received.shared;
        while let Some(frame) = received.codec.decode(buffer).expect("whole frames") {
            sink(&frame);
        }
    }
}
