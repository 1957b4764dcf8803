//! The fast path: the same pipeline for a packet that passes, has no options and needs no change.

use core::net::Ipv4Addr;

use super::pipeline::{check_carrier, relayed_ecn};
use super::{Decapsulator, Switches};
use crate::encap::carrier::Carrier;
use crate::encap::opened::Opened;
use crate::filter::{Access, is_unicast};
use crate::packet::{Flow, Span};
use crate::wire::{Ipv4, Ipv4Header, Options};

impl<C: Carrier, A: Access> Decapsulator<C, A> {
    /// The verdict on such a packet, in one go; `None` for every other, whose reason or change the
    /// pipeline tells.
    #[inline(always)]
    pub(super) fn ordinary(&self, packet: &[u8]) -> Option<Opened> {
        let outer = Ipv4::checked(packet, Options::None).ok()?;
        let header = outer.header();
        check_carrier(&self.carrier, header).ok()?;
        let peer = self.check_peer(Flow::of(outer)).ok()?;
        let carried = self.carrier.carried(outer).ok()?;
        if carried.restored.is_some() {
            return None;
        }
        let inner = Ipv4::checked(carried.span.get(outer.payload())?, Options::None).ok()?;
        if inner.slack() > 0 || !self.is_ordinary(header.source(), inner.header(), peer) {
            return None;
        }
        let outer_ecn = relayed_ecn(&self.carrier, header.ecn());
        if !inner.header().ecn().is_undisturbed(outer_ecn) {
            return None;
        }
        let start = carried.span.start.wrapping_add(Ipv4Header::LEN);
        Some(Opened {
            tag: self.access.tag(peer),
            peer: Some(peer),
            sequence: carried.sequence,
            ..Opened::new(Span::new(start, carried.span.len))
        })
    }

    /// Whether this peer may surely have sent this packet from `outer_source`, and nothing is to be
    /// done with it: sufficient for D-13 to D-20, D-22 and D-23, not necessary.
    #[inline(always)]
    fn is_ordinary(&self, outer_source: Ipv4Addr, inner: &Ipv4Header, peer: u32) -> bool {
        let (source, destination) = (inner.source(), inner.destination());
        inner.ttl() != 0
            && is_unicast(source)
            && is_unicast(destination)
            && destination != outer_source
            && !self.access.is_local(source)
            && !self.access.is_local(destination)
            && !self.access.is_endpoint(destination)
            && self.access.allows_inner(peer, source)
            && !self.switches.intersects(Switches::STRICT)
    }
}
