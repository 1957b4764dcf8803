//! What the packets of a tunnel are numbered by.

use core::cell::Cell;
use core::net::Ipv4Addr;

use ipencap::decap::{Access, AnyReceiver, InnerPolicy};
use ipencap::encap::{AnyTunnel, Encapsulate, PerPacket, Rules};
use ipencap::error::EncapError;
use ipencap::packet::{Facts, Quote};
use ipencap::tunnel::{Arrival, Identifications, PeerTunnel};

use super::Spec;

/// The numbers of a tunnel's next packet. Each kind of tunnel writes those that it has a field for.
#[derive(Clone, Copy)]
pub(super) struct Numbers {
    /// Counts the packets that may be fragmented.
    ordinal: u16,
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
            ordinal: 0,
            sequence: 0,
            stream: sequence,
            acknowledgment,
            prefix_len: prefix_len as u32,
        }
    }

    const fn of(self, packet: &PerPacket, identification: u16) -> PerPacket {
        packet
            .with_identification(identification)
            .with_sequence(self.sequence)
            .with_tcp_numbers(self.stream, self.acknowledgment)
    }

    /// Those of the packet behind this one.
    const fn next(self, inner: &Facts, outer: &Facts) -> Self {
        let fragmentable = !outer.has_df();
        Self {
            ordinal: self.ordinal.wrapping_add(fragmentable as u16),
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
    identifications: Identifications,
    /// Its place in the stack: the layers do not share identifications.
    layer: u32,
}

impl Numbered {
    /// The layers of a stack, the innermost first, each with identifications from 1.
    pub(super) fn stack(specs: &[Spec]) -> Vec<Self> {
        Self::stack_with(specs, Identifications::SEQUENTIAL)
    }

    pub(super) fn stack_with(specs: &[Spec], identifications: Identifications) -> Vec<Self> {
        let layer = |(layer, spec): (u32, &Spec)| Self {
            tunnel: spec.tunnel(),
            next: Cell::new(spec.numbers()),
            identifications,
            layer,
        };
        (0..).zip(specs).map(layer).collect()
    }

    fn numbered(&self, packet: &PerPacket) -> PerPacket {
        let numbers = self.next.get();
        let identification = self.identifications.of(self.layer, numbers.ordinal);
        numbers.of(packet, identification)
    }
}

impl Encapsulate for Numbered {
    fn overhead(&self) -> usize {
        self.tunnel.overhead()
    }

    fn check(&self, inner: &Facts, packet: &PerPacket, rules: Rules) -> Result<Facts, EncapError> {
        self.tunnel.check(inner, &self.numbered(packet), rules)
    }

    /// Counts the packet, too: only what all layers have accepted is written, and once.
    fn write(&self, frame: &mut [u8], inner: &Facts, packet: &PerPacket, rules: Rules) -> Facts {
        let packet = self.numbered(packet);
        let outer = self.tunnel.write(frame, inner, &packet, rules);
        self.next.set(self.next.get().next(inner, &outer));
        outer
    }

    fn rules(&self) -> Rules {
        self.tunnel.rules()
    }

    fn max_len(&self) -> u16 {
        self.tunnel.max_len()
    }

    fn inside_quote<'q>(&self, quote: Quote<'q>) -> Option<Quote<'q>> {
        self.tunnel.inside_quote(quote)
    }
}

impl PeerTunnel for Numbered {
    type Receiver<'t, A: Access> = AnyReceiver<A>;

    fn peer_receiver<A: Access>(&self, access: A, policy: InnerPolicy) -> AnyReceiver<A> {
        self.tunnel.peer_receiver(access, policy)
    }

    fn ends(&self) -> (Ipv4Addr, Ipv4Addr) {
        self.tunnel.ends()
    }

    fn arrival(&self) -> Arrival {
        self.tunnel.arrival()
    }
}
