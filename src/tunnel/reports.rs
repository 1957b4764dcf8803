//! What routers and the system say of a path.

use super::cause::Cause;
use super::endpoint::{Core, Endpoint, inner_mtu};
use super::peers::{PeerId, Peers};
use super::reassembly::Reassembly;
use super::tally::Tally;
use super::verdict::Inbound;
use crate::encap::Encapsulate;
use crate::error::Silence;
use crate::icmp::{Kind, Report, ReportKind};
use crate::packet::{Quote, Span};
use crate::pmtu::{self, QuotedLen};
use crate::time::Instant;
use crate::wire::Ipv4Header;

/// The most peers behind one outer address that are asked whether an ICMP error is about them: it does not always
/// quote what tells them apart.
const MOST_BEHIND_ADDRESS: usize = 64;

impl<'m, P: Peers, C: Tally, R: Reassembly<'m>> Endpoint<'m, P, C, R> {
    /// The system refused to send a packet to this peer that is longer than `mtu` bytes (`EMSGSIZE`, or
    /// `SO_EE_ORIGIN_LOCAL` in a socket's error queue; see [sockets](super#sockets-of-the-host)). That is
    /// believed at once, also below the floor and on a path with a [static](super::MtuPolicy::Static) MTU, and holds
    /// until the path MTU is raised (after ten minutes by default). The verdict is [`Inbound::Learnt`], also if `mtu`
    /// is not lower than the path MTU and nothing has changed. It is not counted, because no packet was received.
    #[inline]
    pub fn local_mtu(&mut self, now: Instant, peer: PeerId, mtu: u16) -> Inbound {
        let now = self.core.advance(now);
        let Some(peer) = self.core.named(peer) else {
            return ignore(None, Cause::NoPeer);
        };
        if let Some((_, _, path)) = self.core.peer(peer) {
            path.mtu.on_local(now, mtu);
            let deadline = path.mtu.next_deadline();
            self.core.expect(deadline.unwrap_or(Instant::MAX));
        }
        self.core.learnt(peer)
    }

    /// A router has told the system that the path to this peer has an MTU of `mtu` bytes, 0 if it knows none:
    /// `SO_EE_ORIGIN_ICMP` with `EMSGSIZE` in a socket's error queue. The system knows the socket, but not
    /// who sent the report, so it is believed like one about the longest packet sent lately: never below the
    /// path's floor. It is counted like a packet from the network.
    #[inline]
    pub fn reported_mtu(&mut self, now: Instant, peer: PeerId, mtu: u16) -> Inbound {
        self.core.advance(now);
        let verdict = self.core.reported_mtu(peer, mtu);
        self.core.count_inbound(&verdict, 0);
        verdict
    }

    /// The system says that this peer cannot be reached: another ICMP error in a socket's error queue. The
    /// source of the next packet to the peer is told so. The verdict is [`Inbound::Learnt`] although nothing that it
    /// tells has changed. It is not counted.
    #[inline]
    pub fn unreachable(&mut self, now: Instant, peer: PeerId) -> Inbound {
        let now = self.core.advance(now);
        let Some(peer) = self.core.named(peer) else {
            return ignore(None, Cause::NoPeer);
        };
        if let Some((_, _, path)) = self.core.peer(peer) {
            path.take_note(now, Kind::HostUnreachable);
        }
        self.core.learnt(peer)
    }
}

impl<P: Peers, C: Tally> Core<'_, P, C> {
    /// An ICMP error to one of our own addresses (RFC 2003 §4). Its quote begins `quote_start` bytes behind
    /// the start of its packet.
    pub(super) fn report(&mut self, report: &Report<'_>, quote_start: usize) -> Inbound {
        let Some(header) = report.quote().header() else {
            return ignore(None, Cause::NotOurs);
        };
        let mut verdict = ignore(None, Cause::NotOurs);
        let mut is_told = false;
        for number in 0..MOST_BEHIND_ADDRESS {
            let there = header.destination();
            let Some(peer) = self.peers.with_outer_address(there, number) else {
                break;
            };
            let Some(inner) = self.quoted(report.quote(), peer) else {
                continue;
            };
            let of_peer = self.report_of(peer, (report, &header), inner, is_told, quote_start);
            if !is_told {
                verdict = of_peer;
                is_told = !matches!(verdict, Inbound::Ignored { .. });
            }
            // Else it may be about the next one, too. Their path is the same.
            if inner.tells_peer || self.peers.capacity() == 1 {
                break;
            }
        }
        verdict
    }

    /// What it says of the path to this peer. If the verdict is about another, [`Endpoint::expire`] tells of this one's MTU.
    fn report_of(
        &mut self,
        peer: PeerId,
        (report, header): (&Report<'_>, &Ipv4Header),
        inner: Inside<'_>,
        is_told: bool,
        quote_start: usize,
    ) -> Inbound {
        let now = self.now();
        let Some((tunnel, _, path)) = self.peer(peer) else {
            return ignore(None, Cause::NotOurs);
        };
        let kind = if let ReportKind::FragmentationNeeded { mtu } = report.kind() {
            let quoted = QuotedLen::of(header);
            if let pmtu::Effect::Ignored(reason) = path.mtu.on_report(now, mtu, quoted) {
                return ignore(Some(peer), Cause::PathMtu(reason));
            }
            let mtu = inner_mtu(path.mtu.current(), tunnel);
            let deadline = if is_told {
                path.tell_mtu();
                now
            } else {
                path.mtu.next_deadline().unwrap_or(Instant::MAX)
            };
            self.expect(deadline);
            Kind::FragmentationNeeded { mtu }
        } else {
            match report.relayed_unreachable() {
                Ok(kind) => kind,
                Err(ignored) => return ignore(Some(peer), Cause::Ignored(ignored)),
            }
        };
        self.relay(peer, kind, inner, quote_start)
    }

    fn reported_mtu(&mut self, peer: PeerId, mtu: u16) -> Inbound {
        let Some(peer) = self.named(peer) else {
            return ignore(None, Cause::NoPeer);
        };
        let now = self.now();
        if let Some((_, _, path)) = self.peer(peer) {
            if let pmtu::Effect::Ignored(reason) = path.mtu.on_unquoted_report(now, mtu) {
                return ignore(Some(peer), Cause::PathMtu(reason));
            }
            let deadline = path.mtu.next_deadline();
            self.expect(deadline.unwrap_or(Instant::MAX));
        }
        self.learnt(peer)
    }

    /// Tells the source of the quoted inner packet, or the next one that asks.
    // Else it would take more stack.
    #[inline(always)]
    fn relay(
        &mut self,
        peer: PeerId,
        kind: Kind,
        inner: Inside<'_>,
        quote_start: usize,
    ) -> Inbound {
        // Whoever forges reports shall not use up what answers to our own sources need.
        let error = self.error_about(Some(peer), kind, inner.packet, true);
        let Some(inner_mtu) = self.inner_mtu(peer) else {
            return ignore(None, Cause::NotOurs);
        };
        let is_about_mtu = matches!(kind, Kind::FragmentationNeeded { .. });
        match error {
            Ok(error) => {
                let start = quote_start.saturating_add(inner.start);
                Inbound::Relay {
                    peer,
                    error,
                    quoted: Span::new(start, inner.packet.len()),
                    inner_mtu,
                }
            }
            // The path MTU is known now: the next packet that does not fit is answered.
            Err(_) if is_about_mtu => Inbound::Learnt { peer, inner_mtu },
            Err(Cause::Silent(Silence::QuoteTooShort)) => {
                let now = self.now();
                if let Some((_, _, path)) = self.peer(peer) {
                    path.take_note(now, kind);
                }
                Inbound::Learnt { peer, inner_mtu }
            }
            Err(cause) => ignore(Some(peer), cause),
        }
    }

    fn learnt(&mut self, peer: PeerId) -> Inbound {
        match self.inner_mtu(peer) {
            Some(inner_mtu) => Inbound::Learnt { peer, inner_mtu },
            None => ignore(None, Cause::NoPeer),
        }
    }

    /// The packet inside of the quoted one, if that may have been sent to this peer.
    fn quoted<'q>(&self, quote: Quote<'q>, peer: PeerId) -> Option<Inside<'q>> {
        let (tunnel, policy) = self.peers.get(peer)?;
        let inner = tunnel.inside_quote(quote)?;
        // Where it is quoted: a packet that does not go to this peer is none that was sent to it.
        let destination = inner.header().map(|header| header.destination());
        let owner = destination.map(|inner| self.peers.owner(policy.tenant, inner));
        owner
            .is_none_or(|owner| owner == Some(peer))
            .then(|| Inside {
                start: inner.span().start,
                packet: inner.packet(),
                tells_peer: owner.is_some(),
            })
    }
}

/// The packet inside of a quoted one, as far as it is quoted, and where it begins in the quote.
#[derive(Clone, Copy)]
struct Inside<'q> {
    start: usize,
    packet: &'q [u8],
    /// Whether its destination is quoted, which only one peer has.
    tells_peer: bool,
}

/// Where the quote begins in an ICMP packet with this header.
pub(super) fn quote_start(header: &Ipv4Header) -> usize {
    usize::from(header.header_len()).wrapping_add(8)
}

pub(super) const fn ignore(peer: Option<PeerId>, cause: Cause) -> Inbound {
    Inbound::Ignored { peer, cause }
}
