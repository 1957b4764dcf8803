//! From the network to the inner side.

use super::accept::{clamp, clamp_restored};
use super::arrival::Arrival;
use super::cause::Cause;
use super::endpoint::{Core, Endpoint};
use super::peer_tunnel::PeerTunnel;
use super::peers::{PeerAccess, PeerId, Peers};
use super::reassembly::Reassembly;
use super::reports::{ignore, quote_start};
use super::tally::{Event, Tally};
use super::verdict::Inbound;
use crate::decap::{Decapsulate, Opened, OuterPacket};
use crate::error::{Ignored, Reason, Refused};
use crate::fragment::{Added, SlotId};
use crate::icmp;
use crate::mss::{self, Patch};
use crate::packet::InnerChecksum;
use crate::time::Instant;
use crate::wire::{COMMON_FIRST, IpProtocol, Ipv4, is_unicast};

impl<'m, P: Peers, C: Tally, R: Reassembly<'m>> Endpoint<'m, P, C, R> {
    /// What to do with a packet from the network. Nothing is written.
    ///
    /// It must begin with its IPv4 header. Packets that are not for a tunnel of ours may be among them.
    #[inline]
    pub fn inbound(&mut self, now: Instant, packet: &[u8]) -> Inbound {
        if COMMON_FIRST {
            if let Some((peer, opened)) = self.core.open_common(now, packet) {
                return deliver(peer, opened);
            }
        }
        self.inbound_any(now, packet)
    }

    /// [`inbound`](Self::inbound), and writes what changes in a packet that is delivered: its ECN field and
    /// the MSS option of a SYN segment. The verdict tells where it is.
    #[inline]
    pub fn receive(&mut self, now: Instant, packet: &mut [u8]) -> Inbound {
        if COMMON_FIRST {
            if let Some((peer, opened)) = self.core.open_common(now, packet) {
                write::<P>(&opened, None, packet);
                return deliver(peer, opened);
            }
        }
        self.receive_any(now, packet)
    }

    /// [`inbound`](Self::inbound) of any packet.
    #[cfg_attr(
        not(all(target_os = "none", not(target_pointer_width = "64"))),
        inline(never)
    )]
    fn inbound_any(&mut self, now: Instant, packet: &[u8]) -> Inbound {
        self.core.advance(now);
        let verdict = self.judge_any(packet);
        self.core.count_inbound(&verdict, packet.len());
        verdict
    }

    fn judge_any(&mut self, packet: &[u8]) -> Inbound {
        match Ipv4::parse_by_call(packet) {
            Err(error) => refused(None, Refused::outer(error)),
            Ok(outer) if outer.header().is_fragment() => self.add_fragment(outer),
            Ok(outer) => self.core.judge(outer, packet, None),
        }
    }

    /// [`receive`](Self::receive) of any packet.
    #[cfg_attr(
        not(all(target_os = "none", not(target_pointer_width = "64"))),
        inline(never)
    )]
    fn receive_any(&mut self, now: Instant, packet: &mut [u8]) -> Inbound {
        let verdict = self.inbound_any(now, packet);
        self.write_verdict(&verdict, packet);
        verdict
    }

    /// Writes what a verdict says is to be written.
    pub(super) fn write_verdict(&mut self, verdict: &Inbound, packet: &mut [u8]) {
        match verdict {
            Inbound::Deliver { opened, clamp, .. } => write::<P>(opened, *clamp, packet),
            Inbound::Whole {
                slot,
                opened,
                clamp,
                ..
            } => {
                let reassembler = self.reassembler.get_mut();
                let datagram = reassembler.and_then(|reassembler| reassembler.packet(*slot));
                write::<P>(opened, *clamp, datagram.unwrap_or_default());
            }
            _ => {}
        }
    }

    /// What to do with a fragment. Only a peer's takes a place (RFC 8900 §6.1): its ports are not known yet.
    fn add_fragment(&mut self, outer: Ipv4<'_>) -> Inbound {
        let Self { core, reassembler } = self;
        let (source, destination) = (outer.header().source(), outer.header().destination());
        let (peer, reason) = if core.peers.is_local(destination) {
            match (
                core.peers.with_outer_address(source, 0),
                reassembler.get_mut(),
            ) {
                (Some(peer), Some(reassembler)) => {
                    return match reassembler.add_parsed(core.now(), u32::from(source), outer) {
                        Ok(Added::Complete(slot)) => self.judge_datagram(slot),
                        Ok(Added::Held { evicted }) => {
                            if let Some(evicted) = evicted {
                                core.tally.count(None, Event::GivenUp(evicted.reason), 0);
                            }
                            Inbound::Held
                        }
                        Ok(Added::Duplicate) => Inbound::Held,
                        Err(error) => Inbound::Drop {
                            peer: Some(peer),
                            cause: Cause::Reassembly(error),
                        },
                    };
                }
                (Some(peer), None) => (Some(peer), Reason::OuterFragment),
                (None, _) => (None, Reason::UnknownPeer),
            }
        } else {
            (None, Reason::OuterDstNotLocal)
        };
        refused(peer, Refused::new(reason))
    }

    /// The verdict on a datagram that is complete.
    fn judge_datagram(&mut self, slot: SlotId) -> Inbound {
        let Self { core, reassembler } = self;
        let reassembler = reassembler.get_mut();
        let datagram = reassembler.and_then(|reassembler| reassembler.packet(slot));
        let datagram = datagram.unwrap_or_default();
        match Ipv4::parse_by_call(datagram) {
            Ok(outer) => match core.judge(outer, datagram, Some(slot)) {
                // Where the caller would look for the packet there is only its last fragment.
                Inbound::HostsOwn => refused(None, Refused::new(Reason::NotTunnel)),
                Inbound::Relay {
                    peer, inner_mtu, ..
                } => Inbound::Learnt { peer, inner_mtu },
                verdict => verdict,
            },
            // Never: its header was made anew.
            Err(_) => refused(None, Refused::new(Reason::OuterBadChecksum)),
        }
    }
}

impl<P: Peers, C: Tally> Core<'_, P, C> {
    /// Opens a packet about which there is no more to say than where the inner packet lies. It is counted
    /// then; else nothing has changed.
    #[inline(always)]
    fn open_common(&mut self, now: Instant, packet: &[u8]) -> Option<(PeerId, Opened)> {
        let now = self.advance(now);
        // Of a packet that its receiver opens the arrival is right, though nothing of it is valid yet.
        let peer = self.peers.sender(&Arrival::of_plain(packet)?)?;
        let (tunnel, policy) = self.peers.get(peer)?;
        let access = PeerAccess::new(&self.peers, peer, (tunnel, policy));
        let outer = OuterPacket::new(packet).if_common();
        let opened = {
            let receiver = tunnel.peer_receiver(access, policy.inner);
            receiver.inspect_outer(outer).ok()?
        };
        let inner = packet.get(opened.span().start..)?;
        let may_lower = match opened.restored_header() {
            Some(header) if P::Tunnel::RESTORES_HEADER => mss::header_may_lower(header, inner),
            _ => mss::may_lower(inner),
        };
        if may_lower {
            return None;
        }
        let path = self.path(peer)?;
        if path.is_silent() {
            return None;
        }
        path.heard_again(now);
        self.tally.count(Some(peer), Event::Delivered, packet.len());
        Some((peer, opened))
    }

    /// What to do with a whole packet, which this slot has if it came in fragments.
    fn judge(&mut self, outer: Ipv4<'_>, packet: &[u8], slot: Option<SlotId>) -> Inbound {
        let peer = self.peers.sender(&Arrival::of(outer));
        let mut refusal = None;
        if let Some(peer) = peer {
            match &self.inspect(peer, packet) {
                Ok(opened) => return self.deliver(peer, opened, packet, slot),
                Err(error) => refusal = Some((peer, *error)),
            }
        }
        self.refuse_inbound(outer, packet, refusal)
    }

    fn inspect(&self, peer: PeerId, packet: &[u8]) -> Result<Opened, Refused> {
        let unknown = Refused::new(Reason::UnknownPeer);
        let (tunnel, policy) = self.peers.get(peer).ok_or(unknown)?;
        let access = PeerAccess::new(&self.peers, peer, (tunnel, policy));
        tunnel
            .peer_receiver(access, policy.inner)
            .inspect_outer(OuterPacket::new(packet).sharing_parser())
    }

    /// The verdict on a packet that was opened.
    pub(super) fn deliver(
        &mut self,
        peer: PeerId,
        opened: &Opened,
        packet: &[u8],
        slot: Option<SlotId>,
    ) -> Inbound {
        let now = self.now();
        let Some((tunnel, policy, path)) = self.peer(peer) else {
            return refused(None, Refused::new(Reason::UnknownPeer));
        };
        let was_silent = path.is_silent();
        path.heard(now);
        // What is sent back must fit the path.
        let (found, path_mtu) = ((tunnel, policy), path.mtu.current());
        let lowered = if P::Tunnel::RESTORES_HEADER && opened.restores_header() {
            clamp_restored(found, path_mtu, opened, packet)
        } else {
            let inner = opened.span().get(packet).unwrap_or_default();
            clamp(found, path_mtu, inner, InnerChecksum::Complete)
        };
        if was_silent {
            // It may fall silent again.
            self.expect(now);
        }
        match slot {
            None => Inbound::Deliver {
                peer,
                opened: *opened,
                clamp: lowered,
            },
            Some(slot) => Inbound::Whole {
                slot,
                peer,
                opened: *opened,
                clamp: lowered,
            },
        }
    }

    /// What to do with a packet that no peer's receiver has opened: `refusal` is who it may be from, and
    /// why that receiver has refused it.
    fn refuse_inbound(
        &mut self,
        outer: Ipv4<'_>,
        packet: &[u8],
        refusal: Option<(PeerId, Refused)>,
    ) -> Inbound {
        let header = outer.header();
        let (source, destination) = (header.source(), header.destination());
        if !self.peers.is_local(destination) {
            return refused(None, Refused::new(Reason::OuterDstNotLocal));
        }
        if let Some((peer, error)) = refusal {
            return refused(Some(peer), error);
        }
        if header.protocol() == IpProtocol::ICMP {
            return match icmp::read_parsed(outer) {
                Ok(report) => self.report(&report, quote_start(header)),
                Err(Ignored::NotAnError) => Inbound::HostsOwn,
                Err(ignored) => ignore(None, Cause::Ignored(ignored)),
            };
        }
        if !is_unicast(source) || self.peers.is_local(source) {
            return refused(None, Refused::new(Reason::OuterMartianSource));
        }
        // The receiver of a peer at this address can say why a packet is not that peer's.
        if let Some(peer) = self.peers.with_outer_address(source, 0) {
            match self.inspect(peer, packet) {
                // It comes from another port than the peer's.
                Ok(_) => return refused(None, Refused::new(Reason::UnknownPeer)),
                // Not where it is for a port at which another peer's socket may listen.
                Err(error)
                    if error.reason != Reason::NotTunnel || header.protocol().is_tunnel() =>
                {
                    return refused(Some(peer), error);
                }
                Err(_) => {}
            }
        }
        if self.is_for_tunnel(outer) {
            refused(None, Refused::new(Reason::UnknownPeer))
        } else {
            Inbound::HostsOwn
        }
    }

    /// Whether a packet to one of our own addresses is for a tunnel, whoever sent it.
    fn is_for_tunnel(&self, outer: Ipv4<'_>) -> bool {
        let header = outer.header();
        match (header.protocol(), outer.payload().first_chunk()) {
            (protocol @ (IpProtocol::UDP | IpProtocol::TCP), Some(&[_, _, high, low])) => {
                let port = u16::from_be_bytes([high, low]);
                self.peers.listens(header.destination(), protocol, port)
            }
            (protocol, _) => protocol.is_tunnel(),
        }
    }

    pub(super) fn count_inbound(&mut self, verdict: &Inbound, len: usize) {
        let (peer, event) = match *verdict {
            Inbound::Deliver { peer, .. } | Inbound::Whole { peer, .. } => {
                (Some(peer), Event::Delivered)
            }
            Inbound::Held => (None, Event::Held),
            Inbound::Learnt { peer, .. } => (Some(peer), Event::Learnt),
            Inbound::Relay { peer, .. } => (Some(peer), Event::Relayed),
            Inbound::HostsOwn => (None, Event::HostsOwn),
            Inbound::Ignored { peer, cause } => (peer, Event::Ignored(cause)),
            Inbound::Drop { peer, cause } => (peer, Event::DroppedInbound(cause)),
        };
        self.tally.count(peer, event, len);
    }
}

/// Applies a verdict to its packet.
#[cfg_attr(
    not(all(target_os = "none", not(target_pointer_width = "64"))),
    inline(always)
)]
fn write<P: Peers>(opened: &Opened, clamp: Option<Patch>, packet: &mut [u8]) {
    let inner = if P::Tunnel::RESTORES_HEADER {
        opened.apply(packet)
    } else {
        opened.apply_tos(packet)
    };
    if let Some(clamp) = clamp {
        clamp.apply(inner);
    }
}

/// The verdict on a packet about which there is no more to say.
#[inline(always)]
const fn deliver(peer: PeerId, opened: Opened) -> Inbound {
    Inbound::Deliver {
        peer,
        opened,
        clamp: None,
    }
}

pub(super) const fn refused(peer: Option<PeerId>, refused: Refused) -> Inbound {
    Inbound::Drop {
        peer,
        cause: Cause::Refused(refused),
    }
}
