//! The checks of the pipeline, each with its reasons. None of them writes.

use core::net::Ipv4Addr;

use super::{Decapsulator, Switches};
use crate::encap::carrier::{Carried, Carrier};
use crate::encap::opened::{Arrived, Opened, Rewrite};
use crate::error::{Reason, Refused};
use crate::filter::{Access, is_class_e, is_unicast};
use crate::packet::{Flow, Span};
use crate::wire::{Dscp, Ecn, FragmentOffset, IpProtocol, Ipv4, Ipv4Header};

impl<C: Carrier, A: Access> Decapsulator<C, A> {
    /// D-05 to D-07: may packets of this outer flow come here, and which peer sends them?
    #[inline]
    pub(super) fn check_peer(&self, outer: Flow) -> Result<u32, Reason> {
        let (source, destination) = (outer.source, outer.destination);
        if !self.access.is_local(destination) || !may_be(destination, Switches::empty()) {
            return Err(Reason::OuterDstNotLocal);
        }
        if !may_be(source, Switches::empty()) || self.access.is_local(source) {
            return Err(Reason::OuterMartianSource);
        }
        self.access.peer(outer).ok_or(Reason::UnknownPeer)
    }

    /// D-03 to D-08: may this outer packet be opened, and whose is it?
    #[inline]
    pub(super) fn check_outer(&self, outer: Ipv4<'_>) -> Result<u32, Reason> {
        let header = outer.header();
        check_carrier(&self.carrier, header)?;
        let peer = self.check_peer(Flow::of(outer))?;
        if outer.options().has_source_route() {
            return Err(Reason::OuterSourceRoute);
        }
        Ok(peer)
    }

    /// D-12 to D-20: may this peer have sent this inner packet from `outer_source` to
    /// `outer_destination`?
    #[inline]
    pub(super) fn check_inner(
        &self,
        (outer_source, outer_destination): (Ipv4Addr, Ipv4Addr),
        inner: Ipv4<'_>,
        peer: u32,
        (depth, opened_next): (u8, bool),
    ) -> Result<(), Reason> {
        let header = inner.header();
        let (source, destination) = (header.source(), header.destination());
        let exact = self.has(Switches::EXACT_LENGTH) || self.carrier.is_framed();
        if exact && inner.slack() > 0 {
            return Err(Reason::InnerLengthMismatch);
        }
        if header.ttl() == 0 {
            return Err(Reason::InnerTtlZero);
        }
        if !may_be(source, self.switches.difference(Switches::MULTICAST)) {
            return Err(Reason::InnerMartianSource);
        }
        if self.access.is_local(source) {
            return Err(Reason::InnerSourceIsLocal);
        }
        if source == outer_source && destination == outer_destination {
            return Err(Reason::InnerEqualsOuter);
        }
        if !self.access.allows_inner(peer, source) {
            return Err(Reason::InnerSourceNotAllowed);
        }
        if !may_be(destination, self.switches) {
            return Err(Reason::InnerMartianDestination);
        }
        let to_peer = destination == outer_source && !self.has(Switches::TO_PEER);
        if to_peer || self.access.is_endpoint(destination) {
            return Err(Reason::LoopToPeer);
        }
        let is_last = depth.saturating_add(1) >= self.max_depth && !opened_next;
        if is_last && self.nests(inner) {
            return Err(Reason::NestingLimit);
        }
        Ok(())
    }

    /// D-21 to D-23: the verdict on an inner packet at `start`, under an outer header with this DSCP
    /// and ECN field.
    #[inline]
    pub(super) fn open(
        &self,
        (outer_dscp, outer_ecn): (Dscp, Ecn),
        inner: Ipv4<'_>,
        start: usize,
        peer: u32,
    ) -> Result<Opened, Refused> {
        let outer_ecn = relayed_ecn(&self.carrier, outer_ecn);
        let dscp = if self.has(Switches::UNIFORM_DSCP) {
            outer_dscp
        } else {
            inner.header().dscp()
        };
        let opened = open(outer_ecn, inner, start, dscp)?;
        let to_itself = inner.header().source() == inner.header().destination();
        if to_itself && self.has(Switches::NO_LAND) {
            return Err(Refused::new(Reason::InnerSourceEqualsDestination));
        }
        Ok(Opened {
            tag: self.access.tag(peer),
            peer: Some(peer),
            ..opened
        })
    }

    fn has_tunnel_port(&self, inner: Ipv4<'_>) -> bool {
        let header = inner.header();
        let has_ports = matches!(header.protocol(), IpProtocol::UDP | IpProtocol::TCP)
            && header.fragment_offset() == FragmentOffset::ZERO;
        match inner.payload().first_chunk() {
            Some(&[_, _, high, low]) if has_ports => self
                .access
                .is_tunnel_port(header.protocol(), u16::from_be_bytes([high, low])),
            _ => false,
        }
    }

    fn nests(&self, inner: Ipv4<'_>) -> bool {
        let header = inner.header();
        let is_local = self.access.is_local(header.destination());
        if header.protocol().is_tunnel() {
            is_local || self.has(Switches::NO_TUNNELS)
        } else {
            is_local && (self.carrier.reopens(inner) || self.has_tunnel_port(inner))
        }
    }
}

/// Whether an address is unicast, or of a class that these switches let through.
#[cfg_attr(not(all(target_os = "none", not(target_pointer_width = "64"))), inline)]
#[cfg_attr(
    all(target_os = "none", not(target_pointer_width = "64")),
    inline(never)
)]
const fn may_be(address: Ipv4Addr, relaxed: Switches) -> bool {
    is_unicast(address)
        || (address.is_multicast() && relaxed.contains(Switches::MULTICAST))
        || (is_class_e(address) && relaxed.contains(Switches::CLASS_E))
}

/// D-03 and D-04.
#[inline]
pub(super) fn check_carrier<C: Carrier + ?Sized>(
    carrier: &C,
    outer: &Ipv4Header,
) -> Result<(), Reason> {
    if outer.is_fragment() {
        Err(Reason::OuterFragment)
    } else if outer.protocol() != carrier.protocol() {
        Err(Reason::NotTunnel)
    } else {
        Ok(())
    }
}

/// What the outer ECN field says of the inner packet.
#[inline]
pub(super) fn relayed_ecn<C: Carrier + ?Sized>(carrier: &C, outer: Ecn) -> Ecn {
    if carrier.relays_ecn() {
        outer
    } else {
        Ecn::NotEct
    }
}

/// D-11: the inner packet in the outer one's payload.
#[inline]
pub(super) fn parse_inner<'a>(outer: Ipv4<'a>, carried: &'a Carried) -> Result<Ipv4<'a>, Refused> {
    let bytes = carried.span.get(outer.payload()).unwrap_or_default();
    match &carried.restored {
        None => Ipv4::parse_any(bytes),
        Some(header) => Ipv4::from_parts(header, outer.option_bytes(), bytes),
    }
    .map_err(Refused::inner)
}

/// Completes a verdict on an inner packet whose span counts from the carrier's payload: D-09, behind
/// all of the outer header, unless that is the inner one restored.
#[inline]
pub(super) fn placed(
    opened: Opened,
    arrived: Arrived<'_>,
    outer: Ipv4<'_>,
    carried: &Carried,
) -> Opened {
    let back = opened.span.start;
    let outer_start = arrived.span().start;
    let (start, rewrite) = match carried.restored {
        None => {
            let header_len = usize::from(outer.header().header_len());
            (outer_start.saturating_add(header_len), opened.rewrite)
        }
        Some(restored) => {
            let before = match arrived.rewrite() {
                Some(Rewrite::Header { options_back, .. }) => options_back,
                Some(Rewrite::Tos(_)) | None => 0,
            };
            let options_back = before.saturating_add(back);
            let mut header = restored;
            if let Some(Rewrite::Tos(tos)) = opened.rewrite {
                header.set_tos(tos);
            }
            (
                outer_start,
                Some(Rewrite::Header {
                    header,
                    options_back,
                }),
            )
        }
    };
    let span = Span::new(start.saturating_add(back), opened.span.len);
    Opened {
        span,
        rewrite,
        sequence: carried.sequence,
        depth: arrived.depth().saturating_add(1),
        ..opened
    }
}

/// D-21 and D-23.
#[inline]
pub(super) fn open(
    outer_ecn: Ecn,
    inner: Ipv4<'_>,
    start: usize,
    dscp: Dscp,
) -> Result<Opened, Refused> {
    let header = inner.header();
    let ecn = header
        .ecn()
        .decapsulated(outer_ecn)
        .ok_or(Refused::new(Reason::EcnDrop))?;
    Ok(Opened {
        // Inner slack lies within the outer total length, so it fits 16 bits.
        slack: u16::try_from(inner.slack()).unwrap_or(u16::MAX),
        alarm: header.ecn().alarm(outer_ecn),
        rewrite: Rewrite::to_tos(header, dscp.with_ecn(ecn)),
        ..Opened::new(Span::new(start, usize::from(header.total_len())))
    })
}
