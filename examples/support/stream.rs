//! The packets of a capture as a byte stream, as they travel over a TCP connection, and back.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use ipencap::error::EncapError;
use ipencap::stream::{Decoder, Event, StreamFraming};
use ipencap::wire::Ipv4;

use super::args::Failure;
use super::input::{Input, STREAM, Timestamp, refuse_same_file};
use super::link;
use super::output::Output;
use super::summary::Summary;

/// Every frame there can be: the longest packet and its prefix.
const LONGEST_FRAME: usize = 65_537;
/// How much is read at once.
const CHUNK: usize = 1 << 16;
const NO_TIME: Timestamp = Timestamp {
    seconds: 0,
    microseconds: 0,
};

/// `capture stream`.
pub(crate) fn write(framing: StreamFraming, input: &Path, output: &Path) -> Result<(), Failure> {
    refuse_same_file(input, output)?;
    let mut input = Input::open(input)?;
    let mut sink = Output::create_bare(output)?;
    sink.write(framing.preamble())?;

    let mut summary = Summary::default();
    let mut frame = Vec::new();
    let mut copy = || -> Result<(), Failure> {
        while let Some(record) = input.next()? {
            summary.packets += 1;
            let Some(packet) = link::ipv4_packet(record.link_type, record.frame) else {
                summary.passed_over += 1;
                continue;
            };
            match framed(framing, packet, &mut frame) {
                Ok(bytes) => {
                    sink.write(bytes)?;
                    summary.written += 1;
                }
                Err(error) => summary.drop_for(error.reason()),
            }
        }
        Ok(())
    };
    let outcome = copy();
    // What could be read is written even where the input breaks off.
    sink.flush()?;
    outcome?;
    summary.report();
    Ok(())
}

/// The frame of a packet, in `frame`, without what lies behind its total length.
fn framed<'f>(
    framing: StreamFraming,
    packet: &[u8],
    frame: &'f mut Vec<u8>,
) -> Result<&'f [u8], EncapError> {
    let slack = Ipv4::parse(packet)?.slack();
    frame.clear();
    frame.resize(framing.prefix_len(), 0);
    frame.extend_from_slice(&packet[..packet.len() - slack]);
    framing.frame(frame).map(|frame| &*frame)
}

/// `capture unstream`.
pub(crate) fn read(framing: StreamFraming, input: &Path, output: &Path) -> Result<(), Failure> {
    refuse_same_file(input, output)?;
    let (mut source, name) = open(input)?;
    let mut output = Output::create(output)?;
    let mut summary = Summary::default();
    let mut held = vec![0; LONGEST_FRAME];
    let mut decoder = Decoder::new(framing, &mut held);
    let mut chunk = vec![0; CHUNK];
    let outcome = loop {
        let count = match source.read(&mut chunk) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                break Err(Failure::new(format_args!("cannot read {name}: {error}")));
            }
        };
        if count == 0 {
            if decoder.missing() > 0 {
                summary.packets += 1;
                summary.drop_for("Incomplete");
            }
            break Ok(());
        }
        if !decode(&mut decoder, &chunk[..count], &mut output, &mut summary)? {
            break Ok(());
        }
    };
    output.flush()?;
    outcome?;
    summary.report();
    Ok(())
}

/// Takes the frames out of `bytes`; `false` once the framing is lost.
fn decode(
    decoder: &mut Decoder<'_>,
    mut bytes: &[u8],
    output: &mut Output,
    summary: &mut Summary,
) -> Result<bool, Failure> {
    loop {
        match decoder.push(&mut bytes) {
            Ok(None) => return Ok(true),
            Ok(Some(event)) => {
                summary.packets += 1;
                match event {
                    Event::Packet(packet) => {
                        output.packet(NO_TIME, packet)?;
                        summary.written += 1;
                    }
                    Event::Dropped(error) => summary.drop_for(error.name()),
                    // Empty messages and keepalives carry no packet.
                    _ => summary.passed_over += 1,
                }
            }
            Err(error) => {
                summary.packets += 1;
                summary.drop_for(error.name());
                return Ok(false);
            }
        }
    }
}

fn open(path: &Path) -> Result<(Box<dyn Read>, String), Failure> {
    if path == Path::new(STREAM) {
        return Ok((Box::new(io::stdin()), "standard input".to_owned()));
    }
    let name = path.display().to_string();
    match File::open(path) {
        Ok(file) => Ok((Box::new(file), name)),
        Err(error) => Err(Failure::new(format_args!("cannot read {name}: {error}"))),
    }
}
