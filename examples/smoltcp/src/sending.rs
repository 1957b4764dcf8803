//! What becomes of the first packet in the queue to the network.

use ipencap::fragment::Fragments;
use ipencap::icmp::IcmpError;
use ipencap::packet::{Facts, PerPacket, Rules, Span};
use ipencap::time::Instant;
use ipencap::tunnel::{
    Endpoint, Outbound, PeerId, PeerTunnel, Peers, Reassembly, SocketTunnel, Tally,
};
use ipencap::wire::Ipv4Header;

use crate::buffer::Buffer;
use crate::losses::{Losses, count};

/// How far the first packet has come. A packet that was judged waits here, wrapped, until the network takes it.
#[derive(Debug)]
pub(crate) struct Sending {
    stage: Stage,
    split: Option<Split>,
}

#[derive(Debug)]
enum Stage {
    /// It is as the inner stack has written it.
    New,
    /// It is an outer packet or a datagram, with the facts of its outer header.
    Wrapped(Option<Facts>),
}

/// A packet of which each fragment is wrapped when the one before was sent.
#[derive(Debug)]
struct Split {
    peer: PeerId,
    per_packet: PerPacket,
    fragments: Fragments,
    /// Where the packet begins in its buffer.
    start: usize,
    is_first: bool,
}

/// Wraps a packet in place, for the endpoint has accepted it. For a datagram it returns the facts of the outer packet.
pub(crate) type Wrap<T, const N: usize> =
    fn(&T, &mut Buffer<N>, &PerPacket) -> Result<Option<Facts>, ()>;

/// Wraps a packet into a whole outer packet.
pub(crate) fn wrap_packet<T: PeerTunnel, const N: usize>(
    tunnel: &T,
    packet: &mut Buffer<N>,
    per_packet: &PerPacket,
) -> Result<Option<Facts>, ()> {
    let facts = if T::READS_FLOW {
        Facts::read(packet.packet()).map_err(drop)?
    } else {
        // The endpoint has read it, and there is no more to know.
        let header = packet.packet().first_chunk().ok_or(())?;
        Facts::trusted(&Ipv4Header::from_bytes(*header))
    };
    let overhead = tunnel.overhead();
    let start = packet.span().start.checked_sub(overhead).ok_or(())?;
    let len = usize::try_from(facts.len()).map_err(drop)?;
    packet.set_span(Span::new(start, len.saturating_add(overhead)));
    // It was checked when its numbers were given out.
    tunnel.write(packet.packet_mut(), &facts, per_packet, Rules::Explained);
    Ok(None)
}

/// Wraps a packet into the payload of a datagram.
pub(crate) fn wrap_payload<T: SocketTunnel, const N: usize>(
    tunnel: &T,
    packet: &mut Buffer<N>,
    per_packet: &PerPacket,
) -> Result<Option<Facts>, ()> {
    let mut wrapped = packet.as_packet();
    let facts = tunnel
        .wrap_payload(&mut wrapped, per_packet)
        .map_err(drop)?;
    let span = wrapped.span();
    packet.set_span(span);
    Ok(Some(facts))
}

/// What [`Sending::step`] works with.
pub(crate) struct Way<'w, 'm, P: Peers, C, const N: usize, R> {
    pub(crate) now: Instant,
    pub(crate) endpoint: &'w mut Endpoint<'m, P, C, R>,
    pub(crate) wrap: Wrap<P::Tunnel, N>,
    /// Passes an ICMP error about a packet to the inner stack.
    pub(crate) tell: &'w mut dyn FnMut(&IcmpError, &[u8]) -> bool,
    /// Sends an outer packet or a datagram, or says that this has to wait.
    pub(crate) put: &'w mut dyn FnMut(Option<&Facts>, &mut [u8]) -> bool,
    pub(crate) losses: &'w mut Losses,
}

impl Sending {
    pub(crate) const NEW: Self = Self {
        stage: Stage::New,
        split: None,
    };

    /// Whether the first packet waits, wrapped.
    pub(crate) const fn is_under_way(&self) -> bool {
        matches!(self.stage, Stage::Wrapped(_)) || self.split.is_some()
    }

    /// Goes on with the first packet. `true` when there is no more to do about it, `false` when it has to wait.
    pub(crate) fn step<'m, P: Peers, C: Tally, const N: usize, R: Reassembly<'m>>(
        &mut self,
        packet: &mut Buffer<N>,
        way: &mut Way<'_, 'm, P, C, N, R>,
    ) -> bool {
        if !self.is_under_way() && !self.judge(packet, way) {
            return true;
        }
        loop {
            if let Stage::Wrapped(facts) = &self.stage {
                if !(way.put)(facts.as_ref(), packet.packet_mut()) {
                    return false;
                }
                self.stage = Stage::New;
            }
            if !self.wrap_fragment(packet, way) {
                *self = Self::NEW;
                return true;
            }
        }
    }

    /// Asks the endpoint what to do with a packet. `false` if nothing of it is to be sent.
    fn judge<'m, P: Peers, C: Tally, const N: usize, R: Reassembly<'m>>(
        &mut self,
        packet: &mut Buffer<N>,
        way: &mut Way<'_, 'm, P, C, N, R>,
    ) -> bool {
        if packet.packet().is_empty() {
            // It was too long or empty, and was counted.
            return false;
        }
        if let Some(peer) = packet.probed() {
            return self.wrap_probe(peer, packet, way);
        }
        match way
            .endpoint
            .outbound(way.now, packet.packet(), &PerPacket::new())
        {
            Outbound::Send {
                peer,
                per_packet,
                clamp,
                notice,
            } => {
                if let Some(error) = &notice {
                    tell(error, packet, way);
                }
                if let Some(clamp) = clamp {
                    clamp.apply(packet.packet_mut());
                }
                self.wrap(peer, &per_packet, packet, way)
            }
            Outbound::Split {
                peer,
                plan,
                per_packet,
                clamp,
            } => {
                if let Some(clamp) = clamp {
                    clamp.apply(packet.packet_mut());
                }
                let start = packet.span().start;
                let Ok(fragments) = plan.fragments(packet.packet()) else {
                    count(&mut way.losses.not_wrapped);
                    return false;
                };
                self.split = Some(Split {
                    peer,
                    per_packet,
                    fragments,
                    start,
                    is_first: true,
                });
                true
            }
            Outbound::Answer { error, .. } => {
                tell(&error, packet, way);
                false
            }
            // Counted by the endpoint.
            Outbound::Drop { .. } => false,
            // None of this version.
            _ => {
                count(&mut way.losses.not_wrapped);
                false
            }
        }
    }

    fn wrap<'m, P: Peers, C: Tally, const N: usize, R: Reassembly<'m>>(
        &mut self,
        peer: PeerId,
        per_packet: &PerPacket,
        packet: &mut Buffer<N>,
        way: &mut Way<'_, 'm, P, C, N, R>,
    ) -> bool {
        let peer = way.endpoint.peers().get(peer);
        let wrapped = peer.map(|(tunnel, _)| (way.wrap)(tunnel, packet, per_packet));
        let Some(Ok(facts)) = wrapped else {
            count(&mut way.losses.not_wrapped);
            return false;
        };
        self.stage = Stage::Wrapped(facts);
        true
    }

    /// Wraps a probe, which the endpoint has not seen: it may be longer than the path MTU.
    fn wrap_probe<'m, P: Peers, C: Tally, const N: usize, R: Reassembly<'m>>(
        &mut self,
        peer: PeerId,
        packet: &mut Buffer<N>,
        way: &mut Way<'_, 'm, P, C, N, R>,
    ) -> bool {
        let numbered = way.endpoint.number_probe(way.now, peer, packet.packet());
        numbered.is_some_and(|per_packet| self.wrap(peer, &per_packet, packet, way))
    }

    /// Wraps the next fragment, if there is one.
    fn wrap_fragment<'m, P: Peers, C: Tally, const N: usize, R: Reassembly<'m>>(
        &mut self,
        packet: &mut Buffer<N>,
        way: &mut Way<'_, 'm, P, C, N, R>,
    ) -> bool {
        let Some(split) = &mut self.split else {
            return false;
        };
        let Some(fragment) = split.fragments.next() else {
            return false;
        };
        let (peer, per_packet) = (split.peer, split.per_packet);
        let numbered = if core::mem::take(&mut split.is_first) {
            Some(per_packet)
        } else {
            way.endpoint
                .next_fragment(way.now, peer, &PerPacket::new(), &fragment)
        };
        let span = fragment.write_in_place(packet.bytes_mut(), split.start);
        let (Some(numbered), Ok(span)) = (numbered, span) else {
            count(&mut way.losses.not_wrapped);
            return false;
        };
        packet.set_span(span);
        self.wrap(peer, &numbered, packet, way)
    }
}

/// Passes an ICMP error to the inner stack, or counts it.
fn tell<P: Peers, C, const N: usize, R>(
    error: &IcmpError,
    about: &Buffer<N>,
    way: &mut Way<'_, '_, P, C, N, R>,
) {
    if !(way.tell)(error, about.packet()) {
        count(&mut way.losses.no_room_for_error);
    }
}
