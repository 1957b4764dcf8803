//! Whether a packet from the inner side may go to its peer in one piece.

use super::cause::Cause;
use super::endpoint::{Core, inner_mtu};
use super::path::Path;
use super::peer_tunnel::PeerTunnel;
use super::peers::{MssPolicy, PeerId, PeerPolicy, Peers};
use super::tally::{Event, Tally};
use crate::error::EncapError;
use crate::mss::{self, Patch};
use crate::packet::{Facts, PerPacket, Rules};
use crate::time::Instant;
use crate::wire::IpProtocol;

/// All rules, with the reason of an error.
pub(super) const ALL: Rules = Rules::Explained;

/// The fixed IPv4 and TCP headers (RFC 6691 §2).
const TCP_HEADERS: u16 = 40;

/// A packet from the inner side, and what the caller says of it.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) now: Instant,
    pub(super) tenant: u32,
    pub(super) per_packet: &'a PerPacket,
}

impl<'a> Request<'a> {
    pub(super) const fn new(now: Instant, tenant: u32, per_packet: &'a PerPacket) -> Self {
        Self {
            now,
            tenant,
            per_packet,
        }
    }
}

/// The free bytes in front of a packet, and how many of them its tunnel takes.
pub(super) struct Room<T> {
    pub(super) have: usize,
    pub(super) need: Need<T>,
}

/// The free bytes that a tunnel needs; `None` if it takes no packets in this way.
pub(super) type Need<T> = fn(&T) -> Option<usize>;

impl<T> Room<T> {
    /// Of a packet that is not written.
    pub(super) const ENOUGH: Self = Self {
        have: usize::MAX,
        need: |_| Some(0),
    };
}

/// A packet that its tunnel accepts in one piece.
pub(super) struct Accepted {
    pub(super) peer: PeerId,
    pub(super) facts: Facts,
    pub(super) per_packet: PerPacket,
    pub(super) clamp: Option<Patch>,
}

/// Why a packet does not go to its peer in one piece.
#[derive(Clone, Copy)]
pub(super) struct Refusal {
    /// The peer to which it would have gone.
    pub(super) peer: Option<PeerId>,
    pub(super) cause: Cause,
}

/// What is kept of the reason why a packet does not go to its peer in one piece.
pub(super) trait Why {
    fn new(peer: Option<PeerId>, cause: Cause) -> Self;
}

impl Why for Refusal {
    #[inline]
    fn new(peer: Option<PeerId>, cause: Cause) -> Self {
        Self { peer, cause }
    }
}

/// Nothing: the optimiser would keep the reason and the accepted packet in the same memory.
impl Why for () {
    #[inline]
    fn new(_peer: Option<PeerId>, _cause: Cause) -> Self {}
}

impl<P: Peers, C: Tally> Core<'_, P, C> {
    /// The packet with its numbers, if its tunnel accepts it by these rules.
    ///
    /// The common rules refuse, for whatever reason, a packet about which there is more to say than its
    /// numbers. Nothing has changed then, and nobody reads the reason.
    #[cfg_attr(
        not(all(target_os = "none", not(target_pointer_width = "64"))),
        inline(always)
    )]
    pub(super) fn accept<E: Why>(
        &mut self,
        request: Request<'_>,
        packet: &[u8],
        room: &Room<P::Tunnel>,
        rules: Rules,
    ) -> Result<Accepted, E> {
        let now = request.now;
        let facts = match Facts::read_by_call(packet, rules, P::Tunnel::READS_FLOW) {
            Ok(facts) => facts,
            Err(error) => return Err(E::new(None, Cause::Encap(error.into()))),
        };
        let Some(peer) = self.peers.owner(request.tenant, facts.destination()) else {
            return Err(E::new(None, Cause::NoPeer));
        };
        let refusal = |cause| E::new(Some(peer), cause);
        if rules.are_common() {
            // First, so that the optimiser leaves out what is about packets inside.
            if facts.protocol() == IpProtocol::IPENCAP
                || self.path(peer).is_none()
                || mss::may_lower(packet)
            {
                return Err(refusal(Cause::NoPeer));
            }
        }
        let Some((tunnel, _, path)) = self.peer(now, peer) else {
            return Err(refusal(Cause::NoPeer));
        };
        let Some(need) = (room.need)(tunnel) else {
            return Err(refusal(Cause::Encap(EncapError::NoPayloadForm)));
        };
        if need > room.have {
            return Err(refusal(Cause::Encap(EncapError::NoHeadroom {
                need: u16::try_from(need).unwrap_or(u16::MAX),
                have: u16::try_from(room.have).unwrap_or(u16::MAX),
            })));
        }
        let mut numbered = PerPacket::new();
        let taken = if rules.are_common() {
            // Of a super-packet the longest part counts, not its whole length.
            if !path.is_quiet(now) || request.per_packet.segment_len().is_some() {
                return Err(refusal(Cause::NoPeer));
            }
            take(
                tunnel,
                path,
                (now, request.per_packet),
                &facts,
                rules,
                &mut numbered,
            )
        } else {
            self.number((now, request.per_packet), peer, &facts, &mut numbered)
        };
        if let Err(cause) = taken {
            return Err(refusal(cause));
        }
        let clamp = if rules.are_common() {
            None
        } else {
            let found = self.peers.get(peer);
            found.and_then(|found| clamp_outbound(found, packet, &numbered))
        };
        Ok(Accepted {
            peer,
            facts,
            per_packet: numbered,
            clamp,
        })
    }

    /// Writes the numbers of a packet that the tunnel to this peer accepts; they are used up.
    #[inline(never)]
    pub(super) fn number(
        &mut self,
        (now, per_packet): (Instant, &PerPacket),
        peer: PeerId,
        facts: &Facts,
        numbered: &mut PerPacket,
    ) -> Result<(), Cause> {
        let (tunnel, _, path) = self.peer(now, peer).ok_or(Cause::NoPeer)?;
        match take(tunnel, path, (now, per_packet), facts, ALL, numbered) {
            Err(Cause::Encap(EncapError::NoIdentification)) => {}
            taken => return taken,
        }
        // An outer header of it may be fragmented. Two peers at one address may have the same source,
        // destination and protocol, for which no identification may come again soon (RFC 6864 §4.3). So all
        // that are there count with the first.
        let (_, destination) = tunnel.ends();
        let first = self.peers.with_outer_address(destination, 0);
        let first = first.filter(|first| self.peer(now, *first).is_some());
        let counting = first.unwrap_or(peer);
        let (_, _, path) = self.peer(now, counting).ok_or(Cause::NoPeer)?;
        let ordinal = path.ordinal();
        let identification = self.config.identifications.of(counting.place(), ordinal);
        let identified = per_packet.with_identification(identification);
        let (tunnel, _, path) = self.peer(now, peer).ok_or(Cause::NoPeer)?;
        let taken = take(tunnel, path, (now, &identified), facts, ALL, numbered);
        if taken.is_ok() {
            if let Some((_, _, path)) = self.peer(now, counting) {
                path.use_ordinal();
            }
        }
        taken
    }

    /// Writes the numbers of another fragment of a packet that is split.
    pub(super) fn number_fragment(
        &mut self,
        request: (Instant, &PerPacket),
        peer: PeerId,
        fragment: &Facts,
        numbered: &mut PerPacket,
    ) -> Result<(), Cause> {
        let taken = self.number(request, peer, fragment, numbered);
        if taken.is_ok() {
            let len = fragment.len_with(0);
            self.tally.count(Some(peer), Event::Fragments, len);
        }
        taken
    }
}

/// Writes the numbers of a packet, if the tunnel accepts it by these rules; they are used up then.
#[cfg_attr(
    not(all(target_os = "none", not(target_pointer_width = "64"))),
    inline(always)
)]
#[cfg_attr(
    all(target_os = "none", not(target_pointer_width = "64")),
    inline(never)
)]
fn take<T: PeerTunnel>(
    tunnel: &T,
    path: &mut Path,
    (now, per_packet): (Instant, &PerPacket),
    facts: &Facts,
    rules: Rules,
    numbered: &mut PerPacket,
) -> Result<(), Cause> {
    if facts.protocol() == tunnel.arrival().protocol()
        && (facts.source(), facts.destination()) == tunnel.ends()
    {
        return Err(Cause::RoutingLoop);
    }
    let mtu = if rules.are_common() {
        path.mtu.current()
    } else {
        path.mtu.get(now)
    };
    *numbered = path.numbered(mtu, per_packet);
    let outer = match tunnel.check(facts, numbered, rules) {
        Ok(outer) => outer,
        Err(error) => return Err(Cause::Encap(error)),
    };
    if rules.are_common() {
        // Once more: to check the packet most tunnels need few of them, and registers are few.
        *numbered = path.numbered(path.mtu.current(), per_packet);
        path.sent_soon(now, stream_len(tunnel, facts), outer.len());
        return Ok(());
    }
    let longest = match numbered.segment_len() {
        Some(segment_len) => {
            let overhead = outer.len().saturating_sub(facts.len());
            u32::from(segment_len)
                .saturating_add(overhead)
                .min(outer.len())
        }
        None => outer.len(),
    };
    let longest = u16::try_from(longest).unwrap_or(u16::MAX);
    path.sent(now, stream_len(tunnel, facts), longest);
    Ok(())
}

/// How many bytes of a TCP layer's stream the packet takes.
fn stream_len<T: PeerTunnel>(tunnel: &T, inner: &Facts) -> u32 {
    let beside = tunnel.stream_overhead().unwrap_or(0);
    inner
        .len()
        .saturating_add(u32::try_from(beside).unwrap_or(0))
}

/// How to lower the MSS option of a packet to the peer.
pub(super) fn clamp_outbound<T: PeerTunnel>(
    peer: (&T, &PeerPolicy),
    packet: &[u8],
    per_packet: &PerPacket,
) -> Option<Patch> {
    let path_mtu = per_packet.link_mtu().unwrap_or(u16::MAX);
    let patch = clamp(peer, path_mtu, packet)?;
    Some(patch.with_inner_checksum(per_packet.inner_checksum()))
}

/// How to lower the MSS option of a packet, if that is above what fits the path.
pub(super) fn clamp<T: PeerTunnel>(
    (tunnel, policy): (&T, &PeerPolicy),
    path_mtu: u16,
    packet: &[u8],
) -> Option<Patch> {
    let fits = inner_mtu(path_mtu, tunnel).saturating_sub(TCP_HEADERS);
    let limit = match policy.mss {
        MssPolicy::Off => return None,
        MssPolicy::Path => fits,
        MssPolicy::AtMost(most) => fits.min(most),
    };
    mss::inspect(packet, limit)
}
