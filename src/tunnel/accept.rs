//! Whether a packet from the inner side may go to its peer in one piece.

use core::net::Ipv4Addr;

use super::cause::Cause;
use super::endpoint::{Core, counter_of, inner_mtu};
use super::peer_tunnel::PeerTunnel;
use super::peers::{MssPolicy, PeerId, PeerPolicy, Peers};
use super::tally::{Event, Tally};
use crate::decap::Opened;
use crate::encap::Encapsulate;
use crate::error::EncapError;
use crate::mss::{self, Patch};
use crate::packet::{Facts, InnerChecksum, PerPacket, Rules};
use crate::wire::IpProtocol;

/// All rules, with the reason of an error.
pub(super) const ALL: Rules = Rules::Explained;

/// The fixed IPv4 and TCP headers (RFC 6691 §2).
const TCP_HEADERS: u16 = 40;

/// What the caller says of a packet from the inner side.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) tenant: u32,
    pub(super) per_packet: &'a PerPacket,
}

impl<'a> Request<'a> {
    pub(super) const fn new(tenant: u32, per_packet: &'a PerPacket) -> Self {
        Self { tenant, per_packet }
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

    /// Whether there is enough of it.
    #[inline(always)]
    pub(super) fn check(&self, tunnel: &T) -> Result<(), EncapError> {
        let need = (self.need)(tunnel).ok_or(EncapError::NoPayloadForm)?;
        if need > self.have {
            return Err(EncapError::NoHeadroom {
                need: u16::try_from(need).unwrap_or(u16::MAX),
                have: u16::try_from(self.have).unwrap_or(u16::MAX),
            });
        }
        Ok(())
    }
}

/// A packet that its tunnel accepts in one piece, and about which there is no more to say than its numbers.
pub(super) struct Accepted {
    pub(super) peer: PeerId,
    pub(super) facts: Facts,
    pub(super) per_packet: PerPacket,
}

impl<P: Peers, C: Tally> Core<'_, P, C> {
    /// The packet with its numbers, if its tunnel accepts it by the common rules. `None`, for whatever reason, if
    /// there is more to say about it. Nothing has changed then.
    #[inline(always)]
    pub(super) fn accept_common(
        &mut self,
        request: Request<'_>,
        packet: &[u8],
        room: &Room<P::Tunnel>,
    ) -> Option<Accepted> {
        let rules = Rules::Common;
        let facts = Facts::read_by(packet, rules).ok()?;
        let peer = self.peers.owner(request.tenant, facts.destination())?;
        // First, so that the optimiser leaves out what is about packets inside.
        if facts.protocol() == IpProtocol::IPENCAP || mss::may_lower(packet) {
            return None;
        }
        let now = self.now();
        let (tunnel, path) = self.begun(peer)?;
        room.check(tunnel).ok()?;
        // Of a super-packet the longest part counts, not its whole length.
        if !path.is_quiet(now) || request.per_packet.segment_len().is_some() {
            return None;
        }
        if is_own(tunnel, &facts) {
            return None;
        }
        let mtu = path.mtu.current();
        let numbered = path.numbered(mtu, request.per_packet);
        let outer = tunnel.check(&facts, &numbered, rules).ok()?;
        // Once more: to check the packet most tunnels need few of them, and registers are few.
        let numbered = path.numbered(path.mtu.current(), request.per_packet);
        path.sent(now, &numbered, stream_len(tunnel, &facts), outer.len());
        Some(Accepted {
            peer,
            facts,
            per_packet: numbered,
        })
    }

    /// Adds its numbers to what the caller says of a packet, if the tunnel to this peer accepts it; they are used up
    /// then. Else it writes why. Both in place, because they are long to copy.
    #[inline(never)]
    pub(super) fn number(
        &mut self,
        peer: PeerId,
        facts: &Facts,
        numbered: &mut PerPacket,
        refusal: &mut Cause,
    ) -> bool {
        *refusal = Cause::NoPeer;
        let now = self.now();
        let Some((.., path)) = self.peer(peer) else {
            return false;
        };
        *numbered = path.numbered(path.mtu.current(), numbered);
        let mut counted = None;
        loop {
            let Some((tunnel, _, path)) = self.peer(peer) else {
                return false;
            };
            match longest(tunnel, facts, numbered) {
                Ok(longest) => {
                    path.sent(now, numbered, stream_len(tunnel, facts), longest);
                    break;
                }
                Err(EncapError::NoIdentification) if counted.is_none() => {
                    let there = tunnel.ends().1;
                    counted = Some(there);
                    self.identify(there, numbered);
                }
                Err(error) => {
                    *refusal = Cause::Encap(error);
                    return false;
                }
            }
        }
        if let Some(path) = counted.and_then(|there| counter_of(self.paths, there)) {
            path.use_ordinal();
        }
        true
    }

    /// Gives a packet to this address an identification. None may come again soon to the same address (RFC 6864 §4.3),
    /// whoever the peer is.
    fn identify(&mut self, there: Ipv4Addr, numbered: &mut PerPacket) {
        if let Some(path) = counter_of(self.paths, there) {
            let identifications = &self.config.identifications;
            let identification = identifications.of(u32::from(there), path.ordinal());
            *numbered = numbered.with_identification(identification);
        }
    }

    /// The numbers of a packet that goes to this peer whatever is known of the path; they are used up.
    #[cold]
    #[inline(never)]
    pub(super) fn number_probe(&mut self, peer: PeerId, facts: &Facts) -> Option<PerPacket> {
        let now = self.now();
        let (tunnel, _, path) = self.peer(peer)?;
        let numbered = path.numbered(u16::MAX, &PerPacket::new());
        tunnel.check(facts, &numbered, ALL).ok()?;
        path.count(now, &numbered, stream_len(tunnel, facts));
        Some(numbered)
    }

    /// [`number`](Self::number) of another fragment of a packet that is split, and counts it. The numbers that the
    /// caller gave are the first one's.
    pub(super) fn number_fragment(
        &mut self,
        per_packet: &PerPacket,
        peer: PeerId,
        fragment: &Facts,
        numbered: &mut PerPacket,
    ) -> bool {
        let mut refusal = Cause::NoPeer;
        *numbered = per_packet.without_numbers();
        let is_numbered = self.number(peer, fragment, numbered, &mut refusal);
        let event = if is_numbered {
            Event::Fragments
        } else {
            Event::DroppedOutbound(refusal)
        };
        self.tally.count(Some(peer), event, fragment.len_with(0));
        is_numbered
    }
}

/// The length of the longest outer packet that a packet becomes, if the tunnel accepts it. Of a super-packet a
/// segment counts.
#[inline(never)]
fn longest<T: PeerTunnel>(
    tunnel: &T,
    facts: &Facts,
    numbered: &PerPacket,
) -> Result<u32, EncapError> {
    let len = tunnel.check(facts, numbered, ALL)?.len();
    Ok(match numbered.segment_len() {
        Some(segment_len) => {
            let overhead = len.saturating_sub(facts.len());
            u32::from(segment_len).saturating_add(overhead).min(len)
        }
        None => len,
    })
}

/// How many bytes of a TCP layer's stream the packet takes.
#[inline(always)]
fn stream_len<T: PeerTunnel>(tunnel: &T, inner: &Facts) -> u32 {
    let beside = tunnel.stream_overhead().unwrap_or(0);
    inner
        .len()
        .saturating_add(u32::try_from(beside).unwrap_or(0))
}

/// Whether a packet is one that this very tunnel has written. One that shows no port counts as such: to wrap a
/// fragment of an own packet could go on for ever.
#[inline(always)]
pub(super) fn is_own<T: PeerTunnel>(tunnel: &T, facts: &Facts) -> bool {
    let ours = tunnel.departure();
    let port = u32::from(facts.flow().destination_port);
    facts.protocol() == ours.protocol()
        && (facts.source(), facts.destination()) == tunnel.ends()
        && (port == 0 || ours.number().is_none_or(|number| number == port))
}

/// How to lower the MSS option of a packet, if that is above what fits the path.
pub(super) fn clamp<T: PeerTunnel>(
    found: (&T, &PeerPolicy),
    path_mtu: u16,
    packet: &[u8],
    inner_checksum: InnerChecksum,
) -> Option<Patch> {
    let limit = most_mss(found, path_mtu)?;
    Some(mss::inspect(packet, limit)?.with_inner_checksum(inner_checksum))
}

/// [`clamp`] of what comes out of a packet, before its header is written.
pub(super) fn clamp_restored<T: PeerTunnel>(
    found: (&T, &PeerPolicy),
    path_mtu: u16,
    opened: &Opened,
    packet: &[u8],
) -> Option<Patch> {
    let mut header = None;
    let inner = opened.outer_packet(packet).parse(&mut header).ok()?;
    mss::inspect_behind(Some(inner), &[], most_mss(found, path_mtu)?)
}

/// What the MSS option is lowered to, if at all.
fn most_mss<T: PeerTunnel>((tunnel, policy): (&T, &PeerPolicy), path_mtu: u16) -> Option<u16> {
    let fits = inner_mtu(path_mtu, tunnel).saturating_sub(TCP_HEADERS);
    match policy.mss {
        MssPolicy::Off => None,
        MssPolicy::Path => Some(fits),
        MssPolicy::AtMost(most) => Some(fits.min(most)),
    }
}
