//! From the inner side to a peer.

use super::accept::{ALL, Accepted, Need, Refusal, Request, Room, clamp_outbound};
use super::cause::Cause;
use super::endpoint::{Core, Endpoint, inner_mtu};
use super::peers::{PeerId, Peers};
use super::tally::{Event, Tally};
use super::verdict::Outbound;
use crate::encap::Encapsulate;
use crate::error::EncapError;
use crate::fragment::{self, Fragment};
use crate::icmp::{IcmpError, Kind};
use crate::mtu::MIN_MTU;
use crate::packet::{Facts, Packet, PerPacket, Rules, Span};
use crate::time::Instant;
use crate::wire::{COMMON_FIRST, Ipv4, Ipv4Flags};

/// Wraps a packet that was accepted, with room in front of it, and sends it.
type Put<'a, T> = &'a mut dyn FnMut(&T, &mut Packet<'_>, &Facts, &PerPacket);

impl<P: Peers, C: Tally> Endpoint<'_, P, C> {
    /// What to do with a packet from the inner side. Nothing is written.
    ///
    /// `per_packet` has what the caller knows of the packet: the flow's hash, the state of its checksum, and for
    /// a super-packet the length of its segments. The endpoint sets the GRE sequence number and the
    /// identification where the caller does not. A TCP sequence number is the caller's plus what the stream to the peer
    /// has carried before.
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
        let now = core.advance(now);
        if COMMON_FIRST {
            let request = Request::new(now, tenant, per_packet);
            let accepted = core.accept::<()>(request, packet, &Room::ENOUGH, Rules::Common);
            if let Ok(accepted) = accepted {
                let (peer, per_packet) = (accepted.peer, accepted.per_packet);
                core.tally.count(Some(peer), Event::Sent, packet.len());
                return send(peer, per_packet);
            }
        }
        core.outbound_any(Request::new(now, tenant, per_packet), packet)
    }

    /// Wraps a packet from the inner side in place, and passes on what goes to the peer: one outer packet, or
    /// one for each fragment. `out` sends each before the next is written.
    ///
    /// The packet needs as many free bytes in front of it as the tunnel's
    /// [`overhead`](Encapsulate::overhead), also if it is split, and none behind it. For a static buffer there is
    /// [`mtu::Overhead`](crate::mtu::Overhead), which is `const`. 256 bytes are enough for four layers of at most
    /// 64 bytes each; TCP with 40 bytes of options takes 82, GUE with 31 private words 156.
    /// Room comes first: with too little, each packet to the peer is dropped
    /// ([`NoHeadroom`](EncapError::NoHeadroom)), also one that would have been answered.
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
        let now = self.core.advance(now);
        if COMMON_FIRST {
            let request = Request::new(now, tenant, per_packet);
            if let Some(verdict) = self.core.send_common(request, packet, &mut out) {
                return verdict;
            }
        }
        let mut put =
            |tunnel: &P::Tunnel, packet: &mut Packet<'_>, facts: &Facts, numbered: &PerPacket| {
                out(write(tunnel, packet, facts, numbered, ALL));
            };
        let request = Request::new(now, tenant, per_packet);
        let need = |tunnel: &P::Tunnel| Some(tunnel.overhead());
        self.core.send_any(request, packet, need, &mut put)
    }

    /// What to wrap another fragment of a packet with that is [split](Outbound::Split). The caller has
    /// wrapped the first one with what the verdict says. `None` if the peer was removed.
    #[inline]
    pub fn next_fragment(
        &mut self,
        now: Instant,
        peer: PeerId,
        per_packet: &PerPacket,
        fragment: &Fragment,
    ) -> Option<PerPacket> {
        let now = self.core.advance(now);
        let facts = Facts::trusted(fragment.header());
        let mut numbered = PerPacket::new();
        let request = (now, per_packet);
        self.core
            .number_fragment(request, peer, &facts, &mut numbered)
            .ok()?;
        Some(numbered)
    }
}

impl<P: Peers, C: Tally> Core<'_, P, C> {
    /// [`Endpoint::outbound_of`] of any packet.
    #[inline(never)]
    fn outbound_any(&mut self, request: Request<'_>, packet: &[u8]) -> Outbound {
        let verdict = match &self.accept::<Refusal>(request, packet, &Room::ENOUGH, ALL) {
            Ok(accepted) => Outbound::Send {
                peer: accepted.peer,
                per_packet: accepted.per_packet,
                clamp: accepted.clamp,
                notice: self.notice(request.now, accepted.peer, packet),
            },
            Err(refusal) => self.refuse(request, packet, *refusal),
        };
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
        let accepted = self.accept::<()>(request, packet.as_slice(), &room, Rules::Common);
        let Accepted {
            peer,
            facts,
            per_packet,
            ..
        } = accepted.ok()?;
        let (tunnel, _) = self.peers.get(peer)?;
        out(write(tunnel, packet, &facts, &per_packet, Rules::Common));
        self.tally.count(Some(peer), Event::Sent, len);
        Some(send(peer, per_packet))
    }

    /// Wraps any packet, or its fragments, by `put`, which needs so much room in front of it.
    #[inline(never)]
    pub(super) fn send_any(
        &mut self,
        request: Request<'_>,
        packet: &mut Packet<'_>,
        need: Need<P::Tunnel>,
        put: Put<'_, P::Tunnel>,
    ) -> Outbound {
        let room = Room {
            have: packet.headroom(),
            need,
        };
        let len = packet.as_slice().len();
        let verdict = match &self.accept::<Refusal>(request, packet.as_slice(), &room, ALL) {
            Ok(accepted) => {
                let notice = self.notice(request.now, accepted.peer, packet.as_slice());
                if let Some(clamp) = accepted.clamp {
                    clamp.apply(packet.as_mut_slice());
                }
                if let Some((tunnel, _)) = self.peers.get(accepted.peer) {
                    put(tunnel, packet, &accepted.facts, &accepted.per_packet);
                }
                Outbound::Send {
                    peer: accepted.peer,
                    per_packet: accepted.per_packet,
                    clamp: accepted.clamp,
                    notice,
                }
            }
            Err(refusal) => {
                let verdict = self.refuse(request, packet.as_slice(), *refusal);
                self.send_fragments(request, packet, &verdict, put);
                verdict
            }
        };
        self.count_outbound(&verdict, len);
        verdict
    }

    /// The ICMP error that is due because an earlier packet did not get through. It stays due if it must not
    /// be sent to the source of this packet.
    #[cold]
    fn notice(&mut self, now: Instant, peer: PeerId, packet: &[u8]) -> Option<IcmpError> {
        let kind = self.path(peer)?.notice(now)?;
        let error = self.error_about(now, Some(peer), kind, packet, false);
        let error = error.ok()?;
        self.path(peer)?.forget_notice();
        Some(error)
    }

    /// What to do with a packet that does not go to its peer in one piece.
    #[cold]
    fn refuse(&mut self, request: Request<'_>, packet: &[u8], refusal: Refusal) -> Outbound {
        let Refusal { peer, cause } = refusal;
        let kind = match (peer, cause) {
            (None, Cause::NoPeer) => Kind::NetUnreachable,
            (_, Cause::Encap(EncapError::TtlExpired)) => Kind::TimeExceeded,
            (Some(peer), Cause::Encap(EncapError::FragmentationNeeded { mtu })) => {
                return self.exceeds(request, peer, packet, (mtu, cause));
            }
            (Some(peer), Cause::Encap(EncapError::TooLong { .. })) => {
                let tunnel = self.peers.get(peer).map(|(tunnel, _)| tunnel);
                let mtu = tunnel.map_or(u16::MAX, |tunnel| inner_mtu(u16::MAX, tunnel));
                return self.exceeds(request, peer, packet, (mtu, cause));
            }
            _ => return Outbound::Drop { peer, cause },
        };
        self.answer(request.now, peer, packet, (kind, cause))
    }

    /// What to do with a valid packet that exceeds the inner MTU.
    fn exceeds(
        &mut self,
        request: Request<'_>,
        peer: PeerId,
        packet: &[u8],
        (mtu, cause): (u16, Cause),
    ) -> Outbound {
        let Ok(parsed) = Ipv4::parse_by_call(packet) else {
            return dropped(peer, cause);
        };
        let header = parsed.header();
        let segment_len = request.per_packet.segment_len();
        if u32::from(mtu) < MIN_MTU {
            dropped(peer, Cause::MtuTooSmall)
        } else if header.flags().contains(Ipv4Flags::DF) {
            let kind = Kind::FragmentationNeeded { mtu };
            self.answer(request.now, Some(peer), packet, (kind, cause))
        } else if segment_len.is_some_and(|len| len < header.total_len()) {
            dropped(peer, Cause::SegmentTooLong)
        } else {
            self.split(request, peer, (parsed, packet), mtu)
        }
    }

    /// How to split a packet that exceeds the inner MTU, if the tunnel takes its fragments.
    fn split(
        &mut self,
        request: Request<'_>,
        peer: PeerId,
        (parsed, packet): (Ipv4<'_>, &[u8]),
        mtu: u16,
    ) -> Outbound {
        let plan = match fragment::plan_parsed(parsed, mtu) {
            Ok(plan) => plan,
            Err(error) => return dropped(peer, Cause::Fragment(error)),
        };
        let mut first = Facts::trusted_by_call(parsed.header());
        first.make_first_fragment(plan.first_len());
        let mut per_packet = PerPacket::new();
        let numbers = (request.now, request.per_packet);
        match self.number_fragment(numbers, peer, &first, &mut per_packet) {
            Ok(()) => {
                let found = self.peers.get(peer);
                Outbound::Split {
                    peer,
                    plan,
                    per_packet,
                    clamp: found.and_then(|found| clamp_outbound(found, packet, &per_packet)),
                }
            }
            Err(cause) => dropped(peer, cause),
        }
    }

    /// Wraps the fragments of a packet that is split in place, one after the other.
    #[cold]
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
        let mut fragments = plan.fragments_of(packet.as_slice());
        if let Some(clamp) = clamp {
            clamp.apply(packet.as_mut_slice());
        }
        let (buffer, span) = packet.parts_mut();
        let mut numbered = *per_packet;
        let mut is_first = true;
        while let Some(fragment) = fragments.advance() {
            let facts = Facts::trusted_by_call(fragment.header());
            let numbers = (request.now, request.per_packet);
            let is_numbered = is_first
                || self
                    .number_fragment(numbers, *peer, &facts, &mut numbered)
                    .is_ok();
            is_first = false;
            let written = fragment.write_in_place(buffer, span.start);
            let (true, Ok(inner)) = (is_numbered, written) else {
                return;
            };
            let mut fragment = Packet::new(buffer, inner);
            if let Some((tunnel, _)) = self.peers.get(*peer) {
                put(tunnel, &mut fragment, &facts, &numbered);
            }
        }
    }

    /// An ICMP error to the source of the packet, or the reason why there is none.
    fn answer(
        &mut self,
        now: Instant,
        peer: Option<PeerId>,
        packet: &[u8],
        (kind, cause): (Kind, Cause),
    ) -> Outbound {
        match self.error_about(now, peer, kind, packet, false) {
            Ok(error) => Outbound::Answer { peer, error, cause },
            Err(cause) => Outbound::Drop { peer, cause },
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
