//! From the inner side to a peer.

use super::accept::{ALL, Accepted, Need, Request, Room, is_own};
use super::cause::Cause;
use super::endpoint::{Core, Endpoint};
use super::peer_tunnel::PeerTunnel;
use super::peers::{PeerId, Peers};
use super::reassembly::Reassembly;
use super::tally::{Event, Tally};
use super::verdict::Outbound;
use crate::encap::Encapsulate;
use crate::error::ParseError;
use crate::fragment::Fragment;
use crate::icmp::Kind;
use crate::packet::{Facts, Packet, PerPacket, Rules, Span};
use crate::time::Instant;
use crate::wire::{COMMON_FIRST, Ipv4};

/// Wraps a packet that was accepted, with room in front of it, and sends it.
type Put<'a, T> = &'a mut dyn FnMut(&T, &mut Packet<'_>, &Facts, &PerPacket);

impl<'m, P: Peers, C: Tally, R: Reassembly<'m>> Endpoint<'m, P, C, R> {
    /// What to do with a packet from the inner side. Nothing is written.
    ///
    /// `per_packet` has what the caller knows of the packet: the flow's hash, the state of its checksum, and for
    /// a super-packet the length of its segments. The endpoint sets the GRE sequence number and the
    /// identification where the caller does not, and of a packet that is split it sets those of all fragments but the
    /// first. Its sequence numbers go on from the last one, whoever gave that. A TCP sequence number is the caller's
    /// plus what the stream to the peer has carried before.
    ///
    /// The verdict is counted, and the packet's identification and sequence number are not used again. If you then do
    /// not send a packet that the verdict says to send, count that yourself.
    #[inline]
    pub fn outbound(&mut self, now: Instant, packet: &[u8], per_packet: &PerPacket) -> Outbound {
        self.outbound_of(now, 0, packet, per_packet)
    }

    /// [`outbound`](Self::outbound) of a packet of this tenant.
    #[inline]
    pub fn outbound_of(
        &mut self,
        now: Instant,
        tenant: u32,
        packet: &[u8],
        per_packet: &PerPacket,
    ) -> Outbound {
        let core = &mut self.core;
        core.advance(now);
        let request = Request::new(tenant, per_packet);
        if COMMON_FIRST {
            if let Some(accepted) = core.accept_common(request, packet, &Room::ENOUGH) {
                let (peer, per_packet) = (accepted.peer, accepted.per_packet);
                core.tally.count(Some(peer), Event::Sent, packet.len());
                return send(peer, per_packet);
            }
        }
        core.outbound_any(request, packet)
    }

    /// Wraps a packet from the inner side in place, and passes on what goes to the peer: one outer packet, or
    /// one for each fragment. `out` sends each before the next is written.
    ///
    /// The packet needs as many free bytes in front of it as the tunnel's
    /// [`overhead`](Encapsulate::overhead), also if it is split, and none behind it. For a static buffer there is
    /// [`mtu::Overhead`](crate::mtu::Overhead), which is `const`. 256 bytes are enough for four layers of at most
    /// 64 bytes each; TCP with 40 bytes of options takes 82, GUE with 31 private words 156.
    /// Room comes first: with too little, each packet to the peer is dropped
    /// ([`NoHeadroom`](crate::error::EncapError::NoHeadroom)), also one that would have been answered.
    ///
    /// The caller sends an [`Answer`](Outbound::Answer) and a notice itself. Both quote the inner packet, which is
    /// still at its place. With [`Answer`](Outbound::Answer) and [`Drop`](Outbound::Drop) it is unchanged. With
    /// [`Send`](Outbound::Send) its TTL may be decremented (when forwarding) and its MSS option lowered, and minimal
    /// encapsulation has moved its header.
    #[inline]
    pub fn send(
        &mut self,
        now: Instant,
        packet: &mut Packet<'_>,
        per_packet: &PerPacket,
        out: impl FnMut(&mut [u8]),
    ) -> Outbound {
        self.send_of(now, 0, packet, per_packet, out)
    }

    /// [`send`](Self::send) of a packet of this tenant.
    #[inline]
    pub fn send_of(
        &mut self,
        now: Instant,
        tenant: u32,
        packet: &mut Packet<'_>,
        per_packet: &PerPacket,
        mut out: impl FnMut(&mut [u8]),
    ) -> Outbound {
        self.core.advance(now);
        let request = Request::new(tenant, per_packet);
        if COMMON_FIRST {
            if let Some(verdict) = self.core.send_common(request, packet, &mut out) {
                return verdict;
            }
        }
        let mut put =
            |tunnel: &P::Tunnel, packet: &mut Packet<'_>, facts: &Facts, numbered: &PerPacket| {
                out(write(tunnel, packet, facts, numbered, ALL));
            };
        let need = |tunnel: &P::Tunnel| Some(tunnel.overhead());
        let mut verdict = Outbound::drop(None, Cause::NoPeer);
        self.core
            .send_any(request, packet, need, &mut put, &mut verdict);
        verdict
    }

    /// What to wrap another fragment of a packet with that is [split](Outbound::Split). The caller has
    /// wrapped the first one with what the verdict says. `per_packet` is what was said of the packet to
    /// [`outbound`](Self::outbound).
    ///
    /// `None` if the peer was removed, or if the fragment no longer fits because the path has become narrower. Nobody
    /// needs the fragments behind it then. It counts as [`DroppedOutbound`](Event::DroppedOutbound).
    #[inline]
    pub fn next_fragment(
        &mut self,
        now: Instant,
        peer: PeerId,
        per_packet: &PerPacket,
        fragment: &Fragment,
    ) -> Option<PerPacket> {
        self.core.advance(now);
        let Some(peer) = self.core.named(peer) else {
            let event = Event::DroppedOutbound(Cause::NoPeer);
            self.core.tally.count(None, event, fragment.len());
            return None;
        };
        let facts = Facts::trusted(fragment.header());
        let mut numbered = PerPacket::new();
        self.core
            .number_fragment(per_packet, peer, &facts, &mut numbered)
            .then_some(numbered)
    }

    /// What to wrap a packet with that goes to this peer beside [`send`](Self::send), as a
    /// [probe](Self::probe) does that may be longer than what is known to pass. Its numbers are used up like those of
    /// any packet: a receiver that keeps GRE's sequence takes both. It is not counted, but speaks for us like a
    /// keepalive.
    ///
    /// `None` if there is no such peer, or its tunnel does not take the packet.
    #[inline]
    #[must_use]
    pub fn number_probe(&mut self, now: Instant, peer: PeerId, probe: &[u8]) -> Option<PerPacket> {
        self.core.advance(now);
        let parsed = Ipv4::parse_by_call(probe).ok()?;
        let facts = Facts::of_by_call(parsed, P::Tunnel::READS_FLOW);
        self.core.number_probe(peer, &facts)
    }
}

impl<P: Peers, C: Tally> Core<'_, P, C> {
    /// [`Endpoint::outbound_of`] of any packet.
    #[inline(never)]
    fn outbound_any(&mut self, request: Request<'_>, packet: &[u8]) -> Outbound {
        let mut verdict = Outbound::drop(None, Cause::NoPeer);
        match Ipv4::parse_by_call(packet) {
            Ok(parsed) => {
                let facts = Facts::of_by_call(parsed, P::Tunnel::READS_FLOW);
                self.judge_outbound(request, packet, &facts, &Room::ENOUGH, &mut verdict);
            }
            Err(error) => verdict = invalid(error),
        }
        self.count_outbound(&verdict, packet.len());
        verdict
    }

    /// Wraps a packet that needs no more than the common rules.
    #[inline(always)]
    fn send_common(
        &mut self,
        request: Request<'_>,
        packet: &mut Packet<'_>,
        out: &mut impl FnMut(&mut [u8]),
    ) -> Option<Outbound> {
        let room = Room {
            have: packet.headroom(),
            need: |tunnel: &P::Tunnel| Some(tunnel.overhead()),
        };
        let len = packet.as_slice().len();
        let Accepted {
            peer,
            facts,
            per_packet,
        } = self.accept_common(request, packet.as_slice(), &room)?;
        let (tunnel, _) = self.peers.get(peer)?;
        out(write(tunnel, packet, &facts, &per_packet, Rules::Common));
        self.tally.count(Some(peer), Event::Sent, len);
        Some(send(peer, per_packet))
    }

    /// Wraps any packet, or its fragments, by `put`, which needs so much room in front of it.
    #[cfg_attr(
        not(all(target_os = "none", not(target_pointer_width = "64"))),
        inline(never)
    )]
    pub(super) fn send_any(
        &mut self,
        request: Request<'_>,
        packet: &mut Packet<'_>,
        need: Need<P::Tunnel>,
        put: Put<'_, P::Tunnel>,
        verdict: &mut Outbound,
    ) {
        let room = Room {
            have: packet.headroom(),
            need,
        };
        let len = packet.as_slice().len();
        match Ipv4::parse_by_call(packet.as_slice()) {
            Ok(parsed) => {
                let facts = Facts::of_by_call(parsed, P::Tunnel::READS_FLOW);
                self.judge_outbound(request, packet.as_slice(), &facts, &room, verdict);
                self.put(request, packet, &facts, verdict, put);
            }
            Err(error) => *verdict = invalid(error),
        }
        self.count_outbound(verdict, len);
    }

    /// Wraps a packet, or its fragments, as its verdict says.
    fn put(
        &mut self,
        request: Request<'_>,
        packet: &mut Packet<'_>,
        facts: &Facts,
        verdict: &Outbound,
        put: Put<'_, P::Tunnel>,
    ) {
        match verdict {
            Outbound::Send {
                peer,
                per_packet,
                clamp,
                ..
            } => {
                if let Some(clamp) = clamp {
                    clamp.apply(packet.as_mut_slice());
                }
                if let Some((tunnel, _)) = self.peers.get(self.peers.known(*peer)) {
                    put(tunnel, packet, facts, per_packet);
                }
            }
            Outbound::Split { .. } => self.send_fragments(request, packet, verdict, put),
            _ => {}
        }
    }

    /// What to do with a valid packet. The verdicts are written in place: they are long to copy.
    fn judge_outbound(
        &mut self,
        request: Request<'_>,
        packet: &[u8],
        facts: &Facts,
        room: &Room<P::Tunnel>,
        verdict: &mut Outbound,
    ) {
        let Some(peer) = self.peers.owner(request.tenant, facts.destination()) else {
            *verdict = Outbound::drop(None, Cause::NoPeer);
            return self.answer(packet, Kind::NetUnreachable, verdict);
        };
        let mut cause = Cause::NoPeer;
        let mut may_go = false;
        if let Some((tunnel, ..)) = self.peer(peer) {
            match room.check(tunnel) {
                Ok(()) if is_own(tunnel, facts) => cause = Cause::RoutingLoop,
                Ok(()) => may_go = true,
                Err(error) => cause = Cause::Encap(error),
            }
        }
        let mut per_packet = *request.per_packet;
        if may_go && self.number(peer, facts, &mut per_packet, &mut cause) {
            *verdict = Outbound::Send {
                peer,
                per_packet,
                clamp: self.clamp_outbound(peer, packet, &per_packet),
                notice: self.notice(peer, packet),
            };
        } else {
            *verdict = dropped(peer, cause);
            self.refuse(request, peer, packet, verdict);
        }
    }

    /// Wraps the fragments of a packet that is split in place, one after the other.
    // Apart, so that its memory is not there while the packet is judged.
    #[inline(never)]
    fn send_fragments(
        &mut self,
        request: Request<'_>,
        packet: &mut Packet<'_>,
        verdict: &Outbound,
        put: Put<'_, P::Tunnel>,
    ) {
        let Outbound::Split {
            peer,
            plan,
            per_packet,
            clamp,
        } = verdict
        else {
            return;
        };
        let peer = &self.peers.known(*peer);
        let mut fragments = plan.fragments_of(packet.as_slice());
        if let Some(clamp) = clamp {
            clamp.apply(packet.as_mut_slice());
        }
        let (buffer, span) = packet.parts_mut();
        let mut numbered = *per_packet;
        let mut is_first = true;
        while let Some(fragment) = fragments.advance() {
            let facts = Facts::trusted_by_call(fragment.header());
            // The verdict has the numbers of the first.
            if !is_first && !self.number_fragment(request.per_packet, *peer, &facts, &mut numbered)
            {
                return;
            }
            is_first = false;
            let Ok(inner) = fragment.write_in_place(buffer, span.start) else {
                return;
            };
            let mut fragment = Packet::new(buffer, inner);
            if let Some((tunnel, _)) = self.peers.get(*peer) {
                put(tunnel, &mut fragment, &facts, &numbered);
            }
        }
    }

    pub(super) fn count_outbound(&mut self, verdict: &Outbound, len: usize) {
        let (peer, event) = match *verdict {
            Outbound::Send { peer, .. } => (Some(peer), Event::Sent),
            Outbound::Split { peer, .. } => (Some(peer), Event::Split),
            Outbound::Answer { peer, cause, .. } => (peer, Event::Answered(cause)),
            Outbound::Drop { peer, cause } => (peer, Event::DroppedOutbound(cause)),
        };
        self.tally.count(peer, event, len);
    }
}

/// The verdict on what is no packet.
fn invalid(error: ParseError) -> Outbound {
    Outbound::Drop {
        peer: None,
        cause: Cause::Encap(error.into()),
    }
}

const fn dropped(peer: PeerId, cause: Cause) -> Outbound {
    Outbound::Drop {
        peer: Some(peer),
        cause,
    }
}

/// The verdict on a packet about which there is no more to say.
#[inline(always)]
const fn send(peer: PeerId, per_packet: PerPacket) -> Outbound {
    Outbound::Send {
        peer,
        per_packet,
        clamp: None,
        notice: None,
    }
}

/// Wraps a packet that was accepted.
#[cfg_attr(
    not(all(target_os = "none", not(target_pointer_width = "64"))),
    inline(always)
)]
fn write<'p, T: Encapsulate>(
    tunnel: &T,
    packet: &'p mut Packet<'_>,
    facts: &Facts,
    per_packet: &PerPacket,
    rules: Rules,
) -> &'p mut [u8] {
    let overhead = tunnel.overhead();
    let (buffer, inner) = packet.parts_mut();
    let start = inner.start.saturating_sub(overhead);
    let frame = Span::new(start, facts.len_with(overhead)).get_mut(buffer);
    let frame = frame.unwrap_or_default();
    tunnel.write(frame, facts, per_packet, rules);
    frame
}
