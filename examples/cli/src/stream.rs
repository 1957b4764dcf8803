//! The packets of a capture as a byte stream, as they travel over a TCP connection, and back.

use std::io::{ErrorKind, Read};
use std::path::Path;

use ipencap::error::EncapError;
use ipencap::stream::{Decoder, Event, StreamFraming};
use ipencap::wire::Ipv4;

use crate::capture::Timestamp;
use crate::failure::Failure;
use crate::input::{self, Input, refuse_same_file};
use crate::output::Output;
use crate::packets::{Change, change_all};
use crate::summary::Summary;

/// Every frame there can be: the longest packet and its prefix.
pub(crate) const LONGEST_FRAME: usize = 65_537;
/// How much is read at once.
const CHUNK: usize = 1 << 16;

/// `ipencap stream`.
pub(crate) fn write(framing: StreamFraming, input: &Path, output: &Path) -> Result<(), Failure> {
    refuse_same_file(input, output)?;
    let mut input = Input::open(input)?;
    let mut sink = Output::create_bare(output)?;
    sink.write(framing.preamble())?;

    let mut summary = Summary::default();
    let mut frames = Frames::new(framing);
    let outcome = change_all(&mut input, &mut frames, &mut summary, |_, frame| {
        sink.write(frame)
    });
    // What could be read is written even where the input breaks off.
    sink.flush()?;
    outcome?;
    summary.report();
    Ok(())
}

/// Puts packets into the frames of a stream.
pub(crate) struct Frames {
    framing: StreamFraming,
    buffer: Vec<u8>,
}

impl Frames {
    pub(crate) const fn new(framing: StreamFraming) -> Self {
        let buffer = Vec::new();
        Self { framing, buffer }
    }

    /// What lies behind the packet's total length stays out.
    fn frame(&mut self, packet: &[u8]) -> Result<&[u8], EncapError> {
        let slack = Ipv4::parse(packet)?.slack();
        self.buffer.clear();
        self.buffer.resize(self.framing.prefix_len(), 0);
        self.buffer
            .extend_from_slice(&packet[..packet.len() - slack]);
        self.framing.frame(&mut self.buffer).map(|frame| &*frame)
    }
}

impl Change for Frames {
    fn change(&mut self, packet: &[u8]) -> Result<&[u8], &'static str> {
        self.frame(packet).map_err(EncapError::reason)
    }
}

/// `ipencap unstream`.
pub(crate) fn read(framing: StreamFraming, input: &Path, output: &Path) -> Result<(), Failure> {
    refuse_same_file(input, output)?;
    let (mut source, name) = input::open(input)?;
    let mut chunk = vec![0; CHUNK];
    // In this order: an input that cannot be read must not cost an old output.
    let mut next = Ok(read_some(&mut *source, &name, &mut chunk)?);
    let mut output = Output::create(output)?;
    let mut summary = Summary::default();
    let mut held = vec![0; LONGEST_FRAME];
    let mut decoder = Decoder::new(framing, &mut held);
    let mut taken = 0;
    let outcome = loop {
        let count = match next {
            Ok(count) => count,
            Err(failure) => break Err(failure),
        };
        if count == 0 {
            if decoder.missing() > 0 || (1..framing.preamble().len()).contains(&taken) {
                summary.packets += 1;
                summary.drop_for("Incomplete");
            }
            break Ok(());
        }
        taken += count;
        let bytes = &chunk[..count];
        let mut write = |packet: &[u8]| output.packet(Timestamp::default(), packet);
        if !decode(&mut decoder, bytes, &mut summary, &mut write)? {
            break Ok(());
        }
        next = read_some(&mut *source, &name, &mut chunk);
    };
    // What could be read is written even where the input breaks off.
    output.flush()?;
    outcome?;
    summary.report();
    Ok(())
}

/// Takes the frames out of `bytes` and hands on their packets; `false` once the framing is lost.
pub(crate) fn decode(
    decoder: &mut Decoder<'_>,
    mut bytes: &[u8],
    summary: &mut Summary,
    hand_on: &mut impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<bool, Failure> {
    loop {
        let event = decoder.push(&mut bytes);
        if let Ok(None) = event {
            return Ok(true);
        }
        summary.packets += 1;
        match event {
            Ok(Some(Event::Packet(packet))) => {
                hand_on(packet)?;
                summary.written += 1;
            }
            Ok(Some(Event::Dropped(error))) => summary.drop_for(error.name()),
            // Empty messages and keepalives carry no packet.
            Ok(_) => summary.passed_over += 1,
            Err(error) => {
                summary.drop_for(error.name());
                return Ok(false);
            }
        }
    }
}

/// The next bytes, as many as there are; none at the end.
fn read_some(source: &mut dyn Read, name: &str, chunk: &mut [u8]) -> Result<usize, Failure> {
    loop {
        match source.read(chunk) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            outcome => return outcome.map_err(|error| input::cannot_read(name, &error)),
        }
    }
}
