//! `ipencap encap` and `ipencap decap`: the packets of a capture, one by one, into another capture.

use std::path::Path;

use crate::capture::{Timestamp, link};
use crate::failure::{Failure, say};
use crate::input::{Input, refuse_same_file};
use crate::output::Output;
use crate::summary::Summary;
use crate::tunnel::{Spec, Unwrap, Wrap};

/// What is done to each packet: another packet comes out, or the name of the reason why none does.
pub(crate) trait Change {
    fn change(&mut self, packet: &[u8]) -> Result<&[u8], &'static str>;
}

/// `ipencap encap`.
pub(crate) fn encap(tunnels: &[Spec], input: &Path, output: &Path) -> Result<(), Failure> {
    let (mut input, mut output) = open(input, output)?;
    run(&mut input, &mut output, &mut Wrap::new(tunnels))?.report();
    Ok(())
}

/// `ipencap decap`.
pub(crate) fn decap(tunnels: &[Spec], input: &Path, output: &Path) -> Result<(), Failure> {
    let (mut input, mut output) = open(input, output)?;
    for (number, tunnel) in (1..)
        .zip(tunnels)
        .filter(|(_, tunnel)| tunnel.accepts_any_inner())
    {
        say(&format!(
            "ipencap: tunnel {number} ({}) has no inner=PREFIX: inner sources in 0.0.0.0/0, all of \
             them, are accepted",
            tunnel.kind()
        ));
    }
    run(&mut input, &mut output, &mut Unwrap::new(tunnels))?.report();
    Ok(())
}

fn open(input: &Path, output: &Path) -> Result<(Input, Output), Failure> {
    refuse_same_file(input, output)?;
    // In this order: an input that cannot be read must not cost an old output.
    Ok((Input::open(input)?, Output::create(output)?))
}

/// Changes every packet of `input` and writes what comes out.
fn run(input: &mut Input, output: &mut Output, by: &mut impl Change) -> Result<Summary, Failure> {
    let mut summary = Summary::default();
    let outcome = change_all(input, by, &mut summary, |before, changed| {
        output.packet(before.time, changed)
    });
    // What could be read is written even where the input breaks off.
    output.flush()?;
    outcome.map(|()| summary)
}

/// A packet that has been changed, as it was before.
pub(crate) struct Before<'p> {
    /// Its place in the capture, from 1.
    pub(crate) number: u64,
    pub(crate) time: Timestamp,
    pub(crate) packet: &'p [u8],
}

/// Changes every packet of `input`, counts what becomes of it, and hands on what comes out.
pub(crate) fn change_all(
    input: &mut Input,
    by: &mut impl Change,
    summary: &mut Summary,
    mut hand_on: impl FnMut(Before<'_>, &[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    while let Some(record) = input.next_record()? {
        summary.packets += 1;
        let Some(packet) = link::ipv4_packet(record.link_type, record.frame) else {
            summary.passed_over += 1;
            continue;
        };
        match by.change(packet) {
            Ok(changed) => {
                let before = Before {
                    number: summary.packets,
                    time: record.time,
                    packet,
                };
                hand_on(before, changed)?;
                summary.written += 1;
            }
            Err(reason) => summary.drop_for(reason),
        }
    }
    Ok(())
}
