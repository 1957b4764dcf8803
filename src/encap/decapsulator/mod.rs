use core::net::Ipv4Addr;

use super::Decapsulate;
use super::carrier::{Carried, Carrier, SocketCarrier};
use super::opened::{Arrived, Opened, OuterMeta, Rewrite};
use crate::error::{Reason, Refused};
use crate::filter::{Access, is_class_e, is_unicast};
use crate::packet::Span;
use crate::wire::{Dscp, Ecn, FragmentOffset, IpProtocol, Ipv4, Ipv4Header};

/// What becomes of the inner DSCP at decapsulation (RFC 2983 §5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum EgressDscp {
    /// It stays; the outer one is discarded: the pipe model (Q-05).
    #[default]
    Keep,
    /// The outer one replaces it: the uniform model. It lets the tunnel's path change priorities, so
    /// only for a path under the same administration (Q-06, Q-07).
    Uniform,
}

/// What a decapsulator thinks of inner packets that are tunnel packets themselves (D-20).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum InnerTunnels {
    /// In transit they pass: a user's own 6in4, GRE or IP-in-IP survives. Only what we would open
    /// again counts against the nesting limit.
    #[default]
    Transit,
    /// They are refused: protocols 4, 41, 47, 55 and 137.
    Refuse,
}

bitflags::bitflags! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    struct Switches: u8 {
        const MULTICAST = 1;
        const CLASS_E = 2;
        const TO_PEER = 4;
        const EXACT_LENGTH = 8;
        const NO_LAND = 16;
    }
}

/// Opens tunnel packets of one carrier for those whom an [`Access`] lets in: the pipeline of RFC
/// 2003 with what its successors learnt, silent and typed.
///
/// The checks run in this order, and the first that fails gives the reason. None of them writes.
///
/// | check | refused as | rule |
/// |---|---|---|
/// | outer header valid, slack trimmed | `OuterTruncated`, `OuterBadVersion`, `OuterBadIhl`, `OuterBadChecksum`, `OuterBadTotalLength` | D-01, D-02 |
/// | outer packet whole | `OuterFragment` | D-03 |
/// | protocol is the carrier's | `NotTunnel` | D-04 |
/// | outer destination is ours | `OuterDstNotLocal` | D-05 |
/// | outer source can be a peer, and is one | `OuterMartianSource`, `UnknownPeer` | D-06, D-07 |
/// | no source route | `OuterSourceRoute` | D-08 |
/// | the carrier's own header | the carrier's reasons | D-09, D-10 |
/// | inner header valid | `InnerTruncated`, `InnerBadVersion`, `InnerBadIhl`, `InnerBadChecksum`, `InnerBadTotalLength` | D-11 |
/// | inner length, if [exact](Self::with_exact_length) | `InnerLengthMismatch` | D-12 |
/// | inner TTL not 0 | `InnerTtlZero` | D-13 |
/// | inner source | `InnerMartianSource`, `InnerSourceIsLocal`, `InnerEqualsOuter`, `InnerSourceNotAllowed` | D-14 to D-17 |
/// | inner destination | `InnerMartianDestination`, `LoopToPeer` | D-18, D-19 |
/// | nesting | `NestingLimit` | D-20 |
/// | ECN | `EcnDrop` | D-21 |
/// | LAND, if [refused](Self::refusing_land) | `InnerSourceEqualsDestination` | D-22 |
///
/// Not checked: outer TTL, DSCP, identification and reserved flag; the inner packet's transport
/// checksum and fragment bits.
///
/// ```
/// use core::net::Ipv4Addr;
/// use ipencap::encap::{Decapsulate, Decapsulator, EgressDscp, InnerTunnels};
/// use ipencap::filter::{PointToPoint, Prefix};
///
/// let inner = [Prefix::new(Ipv4Addr::new(10, 1, 0, 0), 16).unwrap()];
/// let access = PointToPoint::new(
///     Ipv4Addr::new(203, 0, 113, 2), Ipv4Addr::new(198, 51, 100, 1), &inner);
/// let receiver = Decapsulator::ipip(access)
///     .with_inner_tunnels(InnerTunnels::Refuse)
///     .with_egress_dscp(EgressDscp::Keep);
///
/// let packet: &[u8] = b"\x45\x00\x00\x38\x00\x00\x40\x00\x40\x04\xd4\x8a\xc6\x33\x64\x01\xcb\x00\x71\x02\
///     \x45\x00\x00\x24\x12\x34\x40\x00\x40\x11\x14\x85\x0a\x01\x00\x05\x0a\x02\x00\x09\
///     \x9c\x40\x00\x35\x00\x10\xac\xe6ipencap!";
/// let opened = receiver.inspect(packet).unwrap(); // from a shared slice: nothing is written
/// assert_eq!(opened.span().get(packet), Some(&packet[20..]));
/// assert!(!opened.changes_bytes());
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Decapsulator<C, A> {
    carrier: C,
    access: A,
    dscp: EgressDscp,
    inner_tunnels: InnerTunnels,
    max_depth: u8,
    switches: Switches,
}

impl<C: Carrier, A: Access> Decapsulator<C, A> {
    /// A decapsulator for this carrier and for whom `access` lets in.
    #[inline]
    pub const fn new(carrier: C, access: A) -> Self {
        Self {
            carrier,
            access,
            dscp: EgressDscp::Keep,
            inner_tunnels: InnerTunnels::Transit,
            max_depth: 1,
            switches: Switches::empty(),
        }
    }

    /// Sets what becomes of the inner DSCP.
    #[inline]
    pub const fn with_egress_dscp(mut self, dscp: EgressDscp) -> Self {
        self.dscp = dscp;
        self
    }

    /// Sets what to think of inner tunnel packets.
    #[inline]
    pub const fn with_inner_tunnels(mut self, inner_tunnels: InnerTunnels) -> Self {
        self.inner_tunnels = inner_tunnels;
        self
    }

    /// Sets how many layers may be opened of one packet, in all its passes through this host; 1
    /// unless said (D-20, L-01). A caller that opens what came out says how deep it is with
    /// [`Arrived::at_depth`]; [`decap`](super::decap) is depth 0.
    #[inline]
    pub const fn with_max_depth(mut self, max_depth: u8) -> Self {
        self.max_depth = max_depth;
        self
    }

    /// Lets inner packets to multicast groups through (relaxes D-18).
    #[inline]
    pub const fn allowing_multicast(self) -> Self {
        self.switched(Switches::MULTICAST)
    }

    /// Lets inner class E addresses, 240/4, through (relaxes D-14 and D-18; A-28).
    #[inline]
    pub const fn allowing_class_e(self) -> Self {
        self.switched(Switches::CLASS_E)
    }

    /// Lets inner packets to the peer itself through (relaxes D-19). Only where the route to the
    /// peer cannot lead back into the tunnel: else two such ends play ping-pong.
    #[inline]
    pub const fn allowing_destination_peer(self) -> Self {
        self.switched(Switches::TO_PEER)
    }

    /// Refuses inner packets that are shorter than the carrier's payload (D-12).
    #[inline]
    pub const fn with_exact_length(self) -> Self {
        self.switched(Switches::EXACT_LENGTH)
    }

    /// Refuses inner packets from an address to itself (D-22).
    #[inline]
    pub const fn refusing_land(self) -> Self {
        self.switched(Switches::NO_LAND)
    }

    const fn switched(mut self, switch: Switches) -> Self {
        self.switches = self.switches.union(switch);
        self
    }

    const fn allows(&self, switch: Switches) -> bool {
        self.switches.contains(switch)
    }

    /// D-05 to D-07: may this source send to this destination, and which peer is it?
    #[inline]
    fn check_peer(&self, source: Ipv4Addr, destination: Ipv4Addr) -> Result<u32, Reason> {
        if !self.access.is_local(destination) || !is_unicast(destination) {
            return Err(Reason::OuterDstNotLocal);
        }
        if !is_unicast(source) || self.access.is_local(source) {
            return Err(Reason::OuterMartianSource);
        }
        self.access
            .peer(source, destination)
            .ok_or(Reason::UnknownPeer)
    }

    /// D-03 to D-08: may this outer packet be opened, and whose is it?
    #[inline]
    fn check_outer(&self, outer: Ipv4<'_>) -> Result<u32, Reason> {
        let header = outer.header();
        check_carrier(&self.carrier, header)?;
        let peer = self.check_peer(header.source(), header.destination())?;
        if !outer.option_bytes().is_empty() && outer.options().has_source_route() {
            return Err(Reason::OuterSourceRoute);
        }
        Ok(peer)
    }

    /// D-12 to D-20: may this peer have sent this inner packet from `outer_source` to
    /// `outer_destination`?
    #[inline]
    fn check_inner(
        &self,
        (outer_source, outer_destination): (Ipv4Addr, Ipv4Addr),
        inner: Ipv4<'_>,
        peer: u32,
        (depth, opened_next): (u8, bool),
    ) -> Result<(), Reason> {
        let header = inner.header();
        let (source, destination) = (header.source(), header.destination());
        let exact = self.allows(Switches::EXACT_LENGTH) || self.carrier.is_framed();
        if exact && inner.slack() > 0 {
            return Err(Reason::InnerLengthMismatch);
        }
        if header.ttl() == 0 {
            return Err(Reason::InnerTtlZero);
        }
        if !self.is_inner_unicast(source) {
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
        let to_group = destination.is_multicast() && self.allows(Switches::MULTICAST);
        if !self.is_inner_unicast(destination) && !to_group {
            return Err(Reason::InnerMartianDestination);
        }
        let to_peer = destination == outer_source && !self.allows(Switches::TO_PEER);
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
    fn open(
        &self,
        (outer_dscp, outer_ecn): (Dscp, Ecn),
        inner: Ipv4<'_>,
        start: usize,
        peer: u32,
    ) -> Result<Opened, Refused> {
        let outer_ecn = if self.carrier.relays_ecn() {
            outer_ecn
        } else {
            Ecn::NotEct
        };
        let dscp = match self.dscp {
            EgressDscp::Keep => inner.header().dscp(),
            EgressDscp::Uniform => outer_dscp,
        };
        let opened = open(outer_ecn, inner, start, dscp)?;
        let to_itself = inner.header().source() == inner.header().destination();
        if to_itself && self.allows(Switches::NO_LAND) {
            return Err(Refused::new(Reason::InnerSourceEqualsDestination));
        }
        Ok(Opened {
            tag: self.access.tag(peer),
            ..opened
        })
    }

    const fn is_inner_unicast(&self, address: Ipv4Addr) -> bool {
        is_unicast(address) || (is_class_e(address) && self.allows(Switches::CLASS_E))
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
        let is_tunnel = header.protocol().is_tunnel();
        (is_tunnel && self.inner_tunnels == InnerTunnels::Refuse)
            || (self.access.is_local(header.destination())
                && (is_tunnel || self.carrier.reopens(inner) || self.has_tunnel_port(inner)))
    }
}

impl<C: Carrier, A: Access> Decapsulate for Decapsulator<C, A> {
    #[inline]
    fn recognises(&self, outer: Ipv4<'_>) -> bool {
        self.access.is_local(outer.header().destination()) && self.carrier.reopens(outer)
    }

    #[inline]
    fn inspect_arrived(&self, arrived: Arrived<'_>) -> Result<Opened, Refused> {
        let mut storage = None;
        let outer = arrived.parse(&mut storage).map_err(Refused::outer)?;
        let peer = self.check_outer(outer).map_err(Refused::new)?;
        let carried = self.carrier.carried(outer)?;
        let inner = parse_inner(outer, &carried)?;
        let header = outer.header();
        let addresses = (header.source(), header.destination());
        let nesting = (arrived.depth(), arrived.is_opened_next());
        self.check_inner(addresses, inner, peer, nesting)
            .map_err(Refused::new)?;
        let opened = self.open(
            (header.dscp(), header.ecn()),
            inner,
            carried.span.start,
            peer,
        )?;
        Ok(placed(opened, arrived, outer, &carried))
    }
}

impl<C: SocketCarrier, A: Access> Decapsulator<C, A> {
    /// Judges what an ordinary socket has received, where the host has taken the outer headers off
    /// and verified them (D-05 to D-07, D-10 to D-22).
    ///
    /// The spans of the verdict count from the start of `payload`. The outer DSCP is not known here:
    /// the uniform model keeps the inner one.
    ///
    /// # Errors
    /// [`Refused`], by the first check that fails.
    #[inline]
    pub fn inspect_payload(&self, meta: &OuterMeta, payload: &[u8]) -> Result<Opened, Refused> {
        let peer = self
            .check_peer(meta.source, meta.destination)
            .map_err(Refused::new)?;
        let carried = self.carrier.carried_payload(meta, payload)?;
        let bytes = carried.span.get(payload).unwrap_or_default();
        let inner = Ipv4::parse(bytes).map_err(Refused::inner)?;
        self.check_inner((meta.source, meta.destination), inner, peer, (0, false))
            .map_err(Refused::new)?;
        let unmarked = inner.header().dscp();
        let opened = self.open((unmarked, meta.ecn), inner, carried.span.start, peer)?;
        Ok(Opened {
            sequence: carried.sequence,
            ..opened
        })
    }
}

/// Opens a packet of `carrier` from **anybody**, with **any** inner addresses: headers and ECN are
/// checked (D-01 to D-04, D-10 to D-13, D-21), who sent it is not.
///
/// For analysis, or where another layer has already checked what [`Decapsulator`] would. On a host
/// that forwards what comes out, this is the open decapsulator of CVE-2020-10136.
///
/// # Errors
/// [`Refused`], by the first check that fails.
#[inline]
pub fn inspect_without_filter<C: Carrier + ?Sized>(
    carrier: &C,
    packet: &[u8],
) -> Result<Opened, Refused> {
    let outer = Ipv4::parse(packet).map_err(Refused::outer)?;
    check_carrier(carrier, outer.header()).map_err(Refused::new)?;
    let place = carrier.carried(outer)?;
    let inner = parse_inner(outer, &place)?;
    if carrier.is_framed() && inner.slack() > 0 {
        return Err(Refused::new(Reason::InnerLengthMismatch));
    }
    if inner.header().ttl() == 0 {
        return Err(Refused::new(Reason::InnerTtlZero));
    }
    let outer_ecn = if carrier.relays_ecn() {
        outer.header().ecn()
    } else {
        Ecn::NotEct
    };
    let opened = open(outer_ecn, inner, place.span.start, inner.header().dscp())?;
    Ok(placed(opened, Arrived::new(packet), outer, &place))
}

/// D-03 and D-04.
#[inline]
fn check_carrier<C: Carrier + ?Sized>(carrier: &C, outer: &Ipv4Header) -> Result<(), Reason> {
    if outer.is_fragment() {
        Err(Reason::OuterFragment)
    } else if outer.protocol() != carrier.protocol() {
        Err(Reason::NotTunnel)
    } else {
        Ok(())
    }
}

/// D-11: the inner packet in the outer one's payload.
#[inline]
fn parse_inner<'a>(outer: Ipv4<'a>, carried: &'a Carried) -> Result<Ipv4<'a>, Refused> {
    let bytes = carried.span.get(outer.payload()).unwrap_or_default();
    match &carried.restored {
        None => Ipv4::parse(bytes),
        Some(header) => Ipv4::from_parts(header, outer.option_bytes(), bytes),
    }
    .map_err(Refused::inner)
}

/// Completes a verdict on an inner packet whose span counts from the carrier's payload: D-09, behind
/// all of the outer header, unless that is the inner one restored.
#[inline]
fn placed(opened: Opened, arrived: Arrived<'_>, outer: Ipv4<'_>, carried: &Carried) -> Opened {
    let back = opened.span.start;
    let outer_start = arrived.span().start;
    let (start, rewrite) = match carried.restored {
        None => {
            let header_len = usize::from(outer.header().header_len());
            (outer_start.saturating_add(header_len), opened.rewrite)
        }
        Some(restored) => {
            let before = arrived.rewrite().map_or(0, |rewrite| rewrite.options_back);
            let header = opened.rewrite.map_or(restored, |rewrite| rewrite.header);
            let options_back = before.saturating_add(back);
            (
                outer_start,
                Some(Rewrite {
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
        ..opened
    }
}

/// D-21 and D-23.
#[inline]
fn open(outer_ecn: Ecn, inner: Ipv4<'_>, start: usize, dscp: Dscp) -> Result<Opened, Refused> {
    let header = inner.header();
    let ecn = header
        .ecn()
        .decapsulated(outer_ecn)
        .ok_or(Refused::new(Reason::EcnDrop))?;
    let rewrite = (dscp.with_ecn(ecn) != header.tos()).then(|| {
        let mut header = *header;
        header.edit(|edit| {
            edit.set_dscp(dscp).set_ecn(ecn);
        });
        Rewrite {
            header,
            options_back: 0,
        }
    });
    Ok(Opened {
        // Inner slack lies within the outer total length, so it fits 16 bits.
        slack: u16::try_from(inner.slack()).unwrap_or(u16::MAX),
        alarm: header.ecn().alarm(outer_ecn),
        rewrite,
        ..Opened::new(Span::new(start, usize::from(header.total_len())))
    })
}
