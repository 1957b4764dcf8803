//! What the packets of a tunnel are numbered by.

use core::cell::Cell;

use ipencap::encap::{AnyTunnel, Encapsulate, PerPacket, Rules};
use ipencap::error::EncapError;
use ipencap::packet::Facts;

use super::Spec;

/// The numbers of a tunnel's next packet. Each kind of tunnel writes those that it has a field for.
#[derive(Clone, Copy)]
pub(super) struct Numbers {
    /// Counts the packets that may be fragmented.
    identification: u16,
    /// Counts all packets, for GRE.
    sequence: u32,
    /// Counts the bytes that TCP segments carry.
    stream: u32,
    acknowledgment: u32,
    /// The length in front of each packet on the stream, in bytes.
    prefix_len: u32,
}

impl Default for Numbers {
    fn default() -> Self {
        Self::of_stream(0, 0, 0)
    }
}

impl Numbers {
    pub(super) const fn of_stream(sequence: u32, acknowledgment: u32, prefix_len: usize) -> Self {
        Self {
            identification: 1,
            sequence: 0,
            stream: sequence,
            acknowledgment,
            prefix_len: prefix_len as u32,
        }
    }

    const fn of(self, packet: &PerPacket) -> PerPacket {
        packet
            .with_identification(self.identification)
            .with_sequence(self.sequence)
            .with_tcp_numbers(self.stream, self.acknowledgment)
    }

    /// Those of the packet behind this one.
    const fn next(self, inner: &Facts, outer: &Facts) -> Self {
        let fragmentable = !outer.has_df();
        Self {
            identification: self.identification.wrapping_add(fragmentable as u16),
            sequence: self.sequence.wrapping_add(1),
            stream: self.stream.wrapping_add(self.prefix_len + inner.len()),
            ..self
        }
    }
}

/// A tunnel that numbers its packets itself: the layers of a stack count apart.
pub(super) struct Numbered {
    tunnel: AnyTunnel,
    next: Cell<Numbers>,
}

impl Numbered {
    pub(super) const fn new(spec: &Spec) -> Self {
        Self {
            tunnel: spec.tunnel(),
            next: Cell::new(spec.numbers()),
        }
    }
}

impl Encapsulate for Numbered {
    fn overhead(&self) -> usize {
        self.tunnel.overhead()
    }

    fn check(&self, inner: &Facts, packet: &PerPacket, rules: Rules) -> Result<Facts, EncapError> {
        let packet = self.next.get().of(packet);
        self.tunnel.check(inner, &packet, rules)
    }

    /// Counts the packet, too: only what all layers have accepted is written, and once.
    fn write(&self, frame: &mut [u8], inner: &Facts, packet: &PerPacket, rules: Rules) -> Facts {
        let numbers = self.next.get();
        let outer = self.tunnel.write(frame, inner, &numbers.of(packet), rules);
        self.next.set(numbers.next(inner, &outer));
        outer
    }

    fn rules(&self) -> Rules {
        self.tunnel.rules()
    }

    fn max_len(&self) -> u16 {
        self.tunnel.max_len()
    }
}
