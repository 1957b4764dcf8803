//! Packets on a byte stream: framing and deframing a burst, and the ways to do it without a crate.

use bytes::{Bytes, BytesMut};
use ipencap::Span;
use ipencap::stream::{Decoder, Event, StreamFraming};
use tokio_util::codec::LengthDelimitedCodec;

use super::limit;
use crate::fixtures::{Ring, START, STRIDE};

const FRAMING: StreamFraming = StreamFraming::Exclusive;

/// Packets to be framed, in the forms in which contenders want them.
#[derive(Debug)]
pub struct FrameBurst {
    /// In slots, with headroom.
    pub slots: Vec<u8>,
    /// Where each packet lies in its slot.
    pub packet: Span,
    /// By reference count.
    pub shared: Vec<Bytes>,
    /// Where the frames go of those who copy.
    pub output: Vec<u8>,
    /// The same, for the codec.
    pub encoded: BytesMut,
    /// The codec.
    pub codec: LengthDelimitedCodec,
}

impl FrameBurst {
    /// `count` packets of `len` bytes.
    pub fn new(count: usize, len: usize) -> Self {
        let packet = Span::new(START, len);
        let slots = Ring::new(count, len).bytes;
        let shared = slots
            .chunks_exact(STRIDE)
            .map(|slot| Bytes::copy_from_slice(packet.get(slot).expect("a packet")))
            .collect();
        let stream_len = count * (len + 2);
        Self {
            slots,
            packet,
            shared,
            output: vec![0; stream_len],
            encoded: BytesMut::with_capacity(stream_len),
            codec: super::tokio_util::codec(),
        }
    }

    /// The frames that lie in the slots, one after the other.
    pub fn frames_in_place(&self) -> Vec<u8> {
        let frame = Span::new(self.packet.start - 2, self.packet.len + 2);
        self.slots
            .chunks_exact(STRIDE)
            .flat_map(|slot| frame.get(slot).expect("a frame"))
            .copied()
            .collect()
    }
}

/// Ours: the prefix goes into the headroom, nothing is copied. Every packet is validated.
#[inline(never)]
pub fn frame_in_place(burst: &mut FrameBurst) -> usize {
    let frame = Span::new(burst.packet.start - 2, burst.packet.len + 2);
    let mut len = 0;
    for slot in burst.slots.chunks_exact_mut(STRIDE) {
        let frame = frame.get_mut(slot).unwrap_or_default();
        len += FRAMING.frame(frame).map_or(0, |frame| frame.len());
    }
    len
}

/// Ours: packets are copied behind their prefixes, as for a single `write`. Every one is validated.
#[inline(never)]
pub fn frame_copied(burst: &mut FrameBurst) -> usize {
    let mut end = 0;
    for slot in burst.slots.chunks_exact(STRIDE) {
        let packet = burst.packet.get(slot).unwrap_or_default();
        let frame = &mut burst.output[end..end + 2 + packet.len()];
        frame[2..].copy_from_slice(packet);
        end += FRAMING.frame(frame).map_or(0, |frame| frame.len());
    }
    end
}

/// The plain way: length and packet into a vector. Nothing is validated.
#[inline(never)]
pub fn frame_plain(burst: &mut FrameBurst) -> usize {
    burst.output.clear();
    for slot in burst.slots.chunks_exact(STRIDE) {
        let packet = &slot[burst.packet.start..burst.packet.end()];
        let len = packet.len() as u16;
        burst.output.extend_from_slice(&len.to_be_bytes());
        burst.output.extend_from_slice(packet);
    }
    burst.output.len()
}

/// The limit in place: two bytes stored in each slot.
#[inline(never)]
pub fn limit_store(burst: &mut FrameBurst) -> usize {
    let at = burst.packet.start - 2;
    let prefix = (burst.packet.len as u16).to_be_bytes();
    for slot in burst.slots.chunks_exact_mut(STRIDE) {
        slot[at..at + 2].copy_from_slice(&prefix);
    }
    burst.slots.len()
}

/// The limit of those who copy: the packets alone, without their lengths.
#[inline(never)]
pub fn limit_copy(burst: &mut FrameBurst) -> usize {
    limit::copy_all(&burst.slots, burst.packet, &mut burst.output)
}

/// What has come out of a socket: many frames.
#[derive(Debug)]
pub struct Received {
    /// The stream in a plain buffer.
    pub stream: Vec<u8>,
    /// The same, for the codec.
    pub shared: BytesMut,
    /// Where the decoder keeps a frame that is not whole.
    pub held: Vec<u8>,
    /// The codec.
    pub codec: LengthDelimitedCodec,
}

impl Received {
    /// `stream`, just received.
    pub fn new(stream: &[u8]) -> Self {
        Self {
            stream: stream.to_vec(),
            shared: BytesMut::from(stream),
            held: vec![0; 65537],
            codec: super::tokio_util::codec(),
        }
    }
}

/// Takes all frames off a stream.
pub trait Deframe {
    /// Hands each packet to `sink`.
    fn run(received: &mut Received, sink: impl FnMut(&[u8]));
}

/// Ours: packets come as slices of what was received. Every one is validated.
#[derive(Debug)]
pub struct Ours;

impl Deframe for Ours {
    #[inline(always)]
    fn run(received: &mut Received, mut sink: impl FnMut(&[u8])) {
        let mut decoder = Decoder::new(FRAMING, &mut received.held);
        let mut stream = &received.stream[..];
        while let Some(event) = decoder.push(&mut stream).expect("whole frames") {
            if let Event::Packet(packet) = event {
                sink(packet);
            }
        }
    }
}

/// The plain way: a length, a slice. Nothing is validated, and frames must be whole.
#[derive(Debug)]
pub struct Plain;

impl Deframe for Plain {
    #[inline(always)]
    fn run(received: &mut Received, mut sink: impl FnMut(&[u8])) {
        let mut stream = &received.stream[..];
        while let Some((&len, rest)) = stream.split_first_chunk() {
            let (packet, rest) = rest.split_at(usize::from(u16::from_be_bytes(len)));
            sink(packet);
            stream = rest;
        }
    }
}
