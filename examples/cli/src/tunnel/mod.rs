//! Tunnels by their specifications: into them and out of them.
//!
//! All of the program's calls of the library's `encap` and `decap` stand in this folder.

use ipencap::Span;
use ipencap::decap::Decapsulate;
use ipencap::encap::PerPacket;
use ipencap::error::{EncapError, Refused};
use ipencap::wire::{Ipv4Flags, Ipv4Header};

use crate::packets::Change;

mod keys;
mod spec;

use spec::Numbering;
pub(crate) use spec::Spec;

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
        let headroom = tunnels.iter().map(Spec::overhead).sum();
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
            let overhead = tunnel.overhead();
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
            tunnels.insert(0, tunnel.decapsulator(layers));
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
