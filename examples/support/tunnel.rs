//! The packets of a capture into tunnels and out of them again.

use std::path::Path;

use ipencap::Span;
use ipencap::encap::{Decapsulate, PerPacket};
use ipencap::error::{EncapError, Refused};
use ipencap::wire::{Ipv4Flags, Ipv4Header};

use super::args::{Failure, say};
use super::input::{Input, Timestamp, refuse_same_file};
use super::link;
use super::output::Output;
use super::spec::{Numbering, Spec};
use super::summary::Summary;

/// What is done to each packet: another packet comes out, or the name of the reason why none does.
pub(crate) trait Change {
    fn change(&mut self, packet: &[u8]) -> Result<&[u8], &'static str>;
}

/// Wraps packets by some tunnels, the first one innermost.
pub(crate) struct Wrap<'s> {
    tunnels: &'s [Spec],
    /// A counter for each tunnel.
    counters: Vec<Counter>,
    headroom: usize,
    buffer: Vec<u8>,
}

impl<'s> Wrap<'s> {
    pub(crate) fn new(tunnels: &'s [Spec]) -> Self {
        let headroom = tunnels
            .iter()
            .map(|tunnel| tunnel.encapsulator().overhead())
            .sum();
        Self {
            tunnels,
            counters: tunnels.iter().map(Counter::new).collect(),
            headroom,
            buffer: vec![0; headroom],
        }
    }

    /// What all the tunnels together put in front of a packet, in bytes.
    pub(crate) const fn overhead(&self) -> usize {
        self.headroom
    }
}

impl Change for Wrap<'_> {
    fn change(&mut self, packet: &[u8]) -> Result<&[u8], &'static str> {
        self.buffer.truncate(self.headroom);
        self.buffer.extend_from_slice(packet);
        let mut span = Span::new(self.headroom, packet.len());
        for (tunnel, counter) in self.tunnels.iter().zip(&mut self.counters) {
            let outer = counter
                .encap(tunnel, &mut self.buffer, span)
                .map_err(EncapError::reason)?;
            counter.count(outer);
            let overhead = tunnel.encapsulator().overhead();
            span = Span::new(span.start - overhead, outer.len());
        }
        Ok(span.get(&self.buffer).unwrap_or_default())
    }
}

/// What a tunnel's packets are numbered by.
struct Counter {
    numbering: Numbering,
    /// Of the next packet that may be fragmented, from 1.
    identification: u16,
}

impl Counter {
    const fn new(tunnel: &Spec) -> Self {
        Self {
            numbering: tunnel.numbering(),
            identification: 1,
        }
    }

    fn encap<'b>(
        &self,
        tunnel: &Spec,
        buffer: &'b mut [u8],
        inner: Span,
    ) -> Result<&'b mut [u8], EncapError> {
        let packet = PerPacket::new().with_identification(self.identification);
        match self.numbering {
            Numbering::Fragmentable => {
                ipencap::encap(tunnel.encapsulator(), buffer, inner, &packet)
            }
            Numbering::Gre { sequence } => {
                let packet = packet.with_sequence(sequence);
                ipencap::encap(tunnel.encapsulator(), buffer, inner, &packet)
            }
            Numbering::Tcp {
                sequence,
                acknowledgment,
                ..
            } => {
                let packet = packet.with_tcp_numbers(sequence, acknowledgment);
                ipencap::encap(tunnel.encapsulator(), buffer, inner, &packet)
            }
        }
    }

    fn count(&mut self, outer: &[u8]) {
        match &mut self.numbering {
            Numbering::Fragmentable => {}
            Numbering::Gre { sequence } => *sequence = sequence.wrapping_add(1),
            Numbering::Tcp {
                sequence,
                headers_len,
                ..
            } => *sequence = sequence.wrapping_add(outer.len() as u32 - *headers_len),
        }
        if may_be_fragmented(outer) {
            self.identification = self.identification.wrapping_add(1);
        }
    }
}

fn may_be_fragmented(packet: &[u8]) -> bool {
    Ipv4Header::split(packet).is_ok_and(|(header, ..)| !header.flags().contains(Ipv4Flags::DF))
}

/// Takes packets out of some tunnels, the last one first.
pub(crate) struct Unwrap<'s> {
    /// Outermost first.
    tunnels: Vec<Box<dyn Decapsulate + 's>>,
    buffer: Vec<u8>,
}

impl<'s> Unwrap<'s> {
    pub(crate) fn new(tunnels: &'s [Spec]) -> Self {
        let outwards = tunnels.iter().zip(1..);
        let mut tunnels: Vec<Box<dyn Decapsulate + 's>> = Vec::new();
        for (tunnel, layers) in outwards {
            tunnels.insert(0, Box::new(tunnel.decapsulator(layers)));
        }
        Self {
            tunnels,
            buffer: Vec::new(),
        }
    }
}

impl Change for Unwrap<'_> {
    fn change(&mut self, packet: &[u8]) -> Result<&[u8], &'static str> {
        self.buffer.clear();
        self.buffer.extend_from_slice(packet);
        let mut packet = self.buffer.as_mut_slice();
        for tunnel in &self.tunnels {
            packet = ipencap::decap(&**tunnel, packet)
                .map_err(Refused::name)?
                .packet;
        }
        Ok(packet)
    }
}

/// `capture encap`.
pub(crate) fn encap(tunnels: &[Spec], input: &Path, output: &Path) -> Result<(), Failure> {
    let (mut input, mut output) = open(input, output)?;
    run(&mut input, &mut output, &mut Wrap::new(tunnels))?.report();
    Ok(())
}

/// `capture decap`.
pub(crate) fn decap(tunnels: &[Spec], input: &Path, output: &Path) -> Result<(), Failure> {
    let (mut input, mut output) = open(input, output)?;
    for (number, tunnel) in (1..)
        .zip(tunnels)
        .filter(|(_, tunnel)| tunnel.accepts_any_inner())
    {
        say(&format!(
            "capture: tunnel {number} ({}) has no inner=PREFIX: inner sources in 0.0.0.0/0, all of \
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
pub(crate) fn run(
    input: &mut Input,
    output: &mut Output,
    by: &mut impl Change,
) -> Result<Summary, Failure> {
    let mut summary = Summary::default();
    let write = |time, changed: &[u8]| output.packet(time, changed);
    let outcome = change_all(input, by, &mut summary, write);
    // What could be read is written even where the input breaks off.
    output.flush()?;
    outcome.map(|()| summary)
}

/// Changes every packet of `input`, counts what becomes of it, and hands on what comes out.
pub(crate) fn change_all(
    input: &mut Input,
    by: &mut impl Change,
    summary: &mut Summary,
    mut hand_on: impl FnMut(Timestamp, &[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    while let Some(record) = input.next()? {
        summary.packets += 1;
        let Some(packet) = link::ipv4_packet(record.link_type, record.frame) else {
            summary.passed_over += 1;
            continue;
        };
        match by.change(packet) {
            Ok(changed) => {
                hand_on(record.time, changed)?;
                summary.written += 1;
            }
            Err(reason) => summary.drop_for(reason),
        }
    }
    Ok(())
}
