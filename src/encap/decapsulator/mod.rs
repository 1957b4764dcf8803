use super::Decapsulate;
use super::carrier::{Carrier, SocketCarrier};
use super::opened::{Arrived, Opened, OuterMeta};
use crate::error::{Reason, Refused};
use crate::filter::Access;
use crate::packet::Flow;
use crate::wire::Ipv4;

mod ordinary;
mod pipeline;

use pipeline::{check_carrier, open, parse_inner, placed, relayed_ecn};

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
        const UNIFORM_DSCP = 32;
        const NO_TUNNELS = 64;
        /// Those that ask more of every packet.
        const STRICT = Self::NO_LAND.bits() | Self::UNIFORM_DSCP.bits() | Self::NO_TUNNELS.bits();
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
/// | opens what was wrapped by | constructor |
/// |---|---|
/// | [`IpIp`](super::IpIp) | [`ipip`](Self::ipip) |
/// | [`Udp`](super::Udp) | [`udp`](Self::udp), with a [`UdpCarrier`](super::UdpCarrier) |
/// | [`Tcp`](super::Tcp) | [`tcp`](Self::tcp), with a [`TcpCarrier`](super::TcpCarrier) |
/// | [`Gre`](super::Gre) | [`gre`](Self::gre), with a [`GreCarrier`](super::GreCarrier) |
/// | [`MinEnc`](super::MinEnc) | [`minimal`](Self::minimal) |
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
            max_depth: 1,
            switches: Switches::empty(),
        }
    }

    /// Sets what becomes of the inner DSCP.
    #[inline]
    pub const fn with_egress_dscp(self, dscp: EgressDscp) -> Self {
        self.switched(Switches::UNIFORM_DSCP, matches!(dscp, EgressDscp::Uniform))
    }

    /// Sets what to think of inner tunnel packets.
    #[inline]
    pub const fn with_inner_tunnels(self, inner_tunnels: InnerTunnels) -> Self {
        self.switched(
            Switches::NO_TUNNELS,
            matches!(inner_tunnels, InnerTunnels::Refuse),
        )
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
        self.switched(Switches::MULTICAST, true)
    }

    /// Lets inner class E addresses, 240/4, through (relaxes D-14 and D-18; A-28).
    #[inline]
    pub const fn allowing_class_e(self) -> Self {
        self.switched(Switches::CLASS_E, true)
    }

    /// Lets inner packets to the peer itself through (relaxes D-19). Only where the route to the
    /// peer cannot lead back into the tunnel: else two such ends play ping-pong.
    #[inline]
    pub const fn allowing_destination_peer(self) -> Self {
        self.switched(Switches::TO_PEER, true)
    }

    /// Refuses inner packets that are shorter than the carrier's payload (D-12).
    #[inline]
    pub const fn with_exact_length(self) -> Self {
        self.switched(Switches::EXACT_LENGTH, true)
    }

    /// Refuses inner packets from an address to itself (D-22).
    #[inline]
    pub const fn refusing_land(self) -> Self {
        self.switched(Switches::NO_LAND, true)
    }

    const fn switched(mut self, switch: Switches, on: bool) -> Self {
        self.switches = if on {
            self.switches.union(switch)
        } else {
            self.switches.difference(switch)
        };
        self
    }

    const fn has(&self, switch: Switches) -> bool {
        self.switches.contains(switch)
    }
}

impl<C: Carrier, A: Access> Decapsulate for Decapsulator<C, A> {
    #[inline]
    fn recognises(&self, outer: Ipv4<'_>) -> bool {
        self.access.is_local(outer.header().destination()) && self.carrier.reopens(outer)
    }

    #[inline(always)]
    fn inspect_ordinary(&self, packet: &[u8]) -> Option<Opened> {
        self.ordinary(packet)
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
        let outer = Flow::new(meta.source, meta.destination, self.carrier.protocol())
            .with_ports(meta.source_port, meta.destination_port);
        let peer = self.check_peer(outer).map_err(Refused::new)?;
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
    let outer_ecn = relayed_ecn(carrier, outer.header().ecn());
    let opened = open(outer_ecn, inner, place.span.start, inner.header().dscp())?;
    Ok(placed(opened, Arrived::new(packet), outer, &place))
}
