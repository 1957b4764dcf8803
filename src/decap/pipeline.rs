//! The checks of a receiver, each written once. None of them writes.
//!
//! They are compiled twice. The instance for common packets (`COMMON`) is inlined: there the outer and
//! inner header have no options, and what only some configurations allow is refused. Its errors are
//! thrown away. The other instance is out of line, handles every packet and configuration, and names
//! the error.

use core::net::Ipv4Addr;

use super::access::Access;
use super::opened::{Change, Opened, OuterPacket};
use super::policy::InnerPolicy;
use crate::error::{ParseError, Reason, Refused};
use crate::packet::{Flow, Span};
use crate::shim::Shim;
use crate::wire::{
    Dscp, Ecn, FragmentOffset, IpProtocol, Ipv4, Ipv4Header, Options, is_class_e, is_unicast,
};

/// What a receiver checks packets against.
#[derive(Clone, Copy, Debug)]
pub(super) struct Checks<A> {
    pub(super) access: A,
    pub(super) max_depth: u8,
    pub(super) policy: InnerPolicy,
    /// Whether the common instance may be asked: it knows nothing strict. Known before packets come, where the policy is.
    pub(super) are_common: bool,
}

/// What the checks of an inner packet need of the layers around it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around {
    pub(super) source: Ipv4Addr,
    pub(super) destination: Ipv4Addr,
    pub(super) peer: u32,
    /// The outer DSCP, `None` if it is not known.
    pub(super) dscp: Option<Dscp>,
    /// The outer ECN field, or Not-ECT where it says nothing about the inner packet.
    pub(super) ecn: Ecn,
    /// Whether the inner packet must fill the payload.
    pub(super) must_fill: bool,
    pub(super) depth: u8,
    pub(super) expects_tunnel: bool,
}

impl<A: Access> Checks<A> {
    /// What else is allowed and refused, by this instance.
    #[inline(always)]
    const fn policy<const COMMON: bool>(&self) -> InnerPolicy {
        if COMMON {
            InnerPolicy::DEFAULT
        } else {
            self.policy
        }
    }

    /// The whole pipeline.
    #[inline(always)]
    pub(super) fn inspect<const COMMON: bool, S: Shim>(
        &self,
        shim: &S,
        outer: &OuterPacket<'_>,
    ) -> Result<Opened, Refused> {
        let mut storage = None;
        let packet = if COMMON {
            parse::<true>(outer, outer.bytes())
        } else {
            outer.parse(&mut storage)
        }
        .map_err(Refused::outer)?;
        let header = packet.header();
        let peer = self
            .check_outer::<COMMON>(S::PROTOCOL, packet)
            .map_err(Refused::new)?;
        let place = shim.read(packet)?;
        let bytes = place.span.get(packet.payload()).unwrap_or_default();
        let inner = parse::<COMMON>(outer, bytes).map_err(Refused::inner)?;
        let tos = outer.tos(header);
        let around = Around {
            source: header.source(),
            destination: header.destination(),
            peer,
            dscp: Some(Dscp::from_tos(tos)),
            ecn: relayed_ecn::<S>(Ecn::from_bits_truncated(tos)),
            must_fill: S::IS_CONNECTION,
            depth: outer.depth(),
            expects_tunnel: outer.expects_tunnel(),
        };
        let header_len = Ipv4Header::LEN.wrapping_add(packet.option_bytes().len());
        let start = outer
            .span()
            .start
            .wrapping_add(header_len)
            .wrapping_add(place.span.start);
        let reopens = |inner: Ipv4<'_>| shim.reopens(inner);
        let opened = self.check_inner::<COMMON>(&around, inner, start, reopens)?;
        Ok(Opened {
            sequence: place.sequence,
            ..opened
        })
    }

    /// Whether packets of this outer flow may come here, and which peer sends them.
    #[inline(always)]
    pub(super) fn check_peer(&self, outer: Flow) -> Result<u32, Reason> {
        let (source, destination) = (outer.source, outer.destination);
        let (is_source_local, is_destination_local) = self.access.are_local(source, destination);
        if !is_destination_local || !is_unicast(destination) {
            return Err(Reason::OuterDstNotLocal);
        }
        if !is_unicast(source) || is_source_local {
            return Err(Reason::OuterMartianSource);
        }
        self.access.peer(outer).ok_or(Reason::UnknownPeer)
    }

    /// Whether this outer packet may be opened, and which peer has sent it.
    #[inline(always)]
    pub(super) fn check_outer<const COMMON: bool>(
        &self,
        protocol: IpProtocol,
        outer: Ipv4<'_>,
    ) -> Result<u32, Reason> {
        check_protocol(protocol, outer.header())?;
        let peer = self.check_peer(Flow::of(outer))?;
        // Common packets have no options.
        if !COMMON && outer.options().has_source_route() {
            return Err(Reason::OuterSourceRoute);
        }
        Ok(peer)
    }

    /// Whether the peer may have sent this inner packet, and the verdict on it. It lies at `start`;
    /// `reopens` tells whether the shim would open it again.
    #[inline(always)]
    pub(super) fn check_inner<const COMMON: bool>(
        &self,
        around: &Around,
        inner: Ipv4<'_>,
        start: usize,
        reopens: impl Fn(Ipv4<'_>) -> bool,
    ) -> Result<Opened, Refused> {
        let policy = self.policy::<COMMON>();
        check_form(
            inner,
            around.must_fill || (inner.slack() > 0 && policy.exact_length),
        )?;
        let exceeds_nesting = self
            .check_addresses::<COMMON>(around, inner, reopens)
            .map_err(Refused::new)?;
        let header = inner.header();
        let dscp = match around.dscp {
            Some(dscp) if policy.is_uniform() => dscp,
            _ => header.dscp(),
        };
        let opened = open(around.ecn, inner, start, dscp)?;
        let is_land = header.source() == header.destination();
        if policy.refuses_land && is_land {
            return Err(Refused::new(Reason::InnerSourceEqualsDestination));
        }
        Ok(Opened {
            tag: self.access.tag(around.peer),
            peer: Some(around.peer),
            depth: around.depth.saturating_add(1),
            exceeds_nesting,
            ..opened
        })
    }

    /// Whether the peer may have sent a packet with these addresses. `Ok(true)` if it is a tunnel packet
    /// beyond the nesting limit, but another layer is expected to open it.
    #[inline(always)]
    fn check_addresses<const COMMON: bool>(
        &self,
        around: &Around,
        inner: Ipv4<'_>,
        reopens: impl Fn(Ipv4<'_>) -> bool,
    ) -> Result<bool, Reason> {
        let (source, destination) = (inner.header().source(), inner.header().destination());
        let policy = self.policy::<COMMON>();
        if !may_be(source, false, policy.allows_class_e) {
            return Err(Reason::InnerMartianSource);
        }
        let (is_source_local, is_destination_local) = self.access.are_local(source, destination);
        if is_source_local && !policy.allows_own_source {
            return Err(Reason::InnerSourceIsLocal);
        }
        if COMMON {
            // As the outer packet is: it may be `InnerEqualsOuter`, or count against the nesting limit.
            if is_destination_local {
                return Err(Reason::NestingLimit);
            }
        } else if source == around.source && destination == around.destination {
            return Err(Reason::InnerEqualsOuter);
        }
        if !self.access.allows_inner(around.peer, source) {
            return Err(Reason::InnerSourceNotAllowed);
        }
        if !may_be(destination, policy.allows_multicast, policy.allows_class_e) {
            return Err(Reason::InnerMartianDestination);
        }
        let loops = if destination == around.source {
            !policy.allows_destination_peer
        } else {
            self.access.is_endpoint(destination)
        };
        if loops {
            return Err(Reason::LoopToPeer);
        }
        if COMMON {
            return Ok(false);
        }
        let exceeds = around.depth.saturating_add(1) >= self.max_depth
            && self.nests(inner, is_destination_local, reopens);
        if exceeds && !around.expects_tunnel {
            return Err(Reason::NestingLimit);
        }
        Ok(exceeds)
    }

    /// Whether the inner packet is a tunnel packet that counts against the nesting limit.
    fn nests(&self, inner: Ipv4<'_>, is_local: bool, reopens: impl Fn(Ipv4<'_>) -> bool) -> bool {
        if inner.header().protocol().is_tunnel() {
            is_local || self.policy.refuses_tunnels()
        } else {
            is_local && (reopens(inner) || self.has_tunnel_port(inner))
        }
    }

    fn has_tunnel_port(&self, inner: Ipv4<'_>) -> bool {
        let header = inner.header();
        let has_ports = matches!(header.protocol(), IpProtocol::UDP | IpProtocol::TCP)
            && header.fragment_offset() == FragmentOffset::ZERO;
        match inner.payload().first_chunk() {
            Some(&[_, _, high, low]) if has_ports => self.access.is_tunnel_port(
                header.destination(),
                header.protocol(),
                u16::from_be_bytes([high, low]),
            ),
            _ => false,
        }
    }
}

/// The packet at the start of these bytes, the outer or the inner one. The common instance refuses header options.
#[inline(always)]
fn parse<'b, const COMMON: bool>(
    outer: &OuterPacket<'_>,
    bytes: &'b [u8],
) -> Result<Ipv4<'b>, ParseError> {
    if COMMON {
        // Which error it is does not matter: the other instance names it.
        Ipv4::checked(bytes, Options::None).map_err(|_| ParseError::BadChecksum)
    } else {
        outer.parse_bytes(bytes)
    }
}

/// Whether an address is unicast, or of a class that is allowed.
#[inline(always)]
const fn may_be(address: Ipv4Addr, allows_multicast: bool, allows_class_e: bool) -> bool {
    is_unicast(address)
        || (address.is_multicast() && allows_multicast)
        || (is_class_e(address) && allows_class_e)
}

/// Whether this is a whole packet of this protocol.
#[inline(always)]
pub(super) fn check_protocol(protocol: IpProtocol, outer: &Ipv4Header) -> Result<(), Reason> {
    if outer.is_fragment() {
        Err(Reason::OuterFragment)
    } else if outer.protocol() != protocol {
        Err(Reason::NotTunnel)
    } else {
        Ok(())
    }
}

/// Whether the inner packet is as long as it must be, and alive.
#[inline(always)]
pub(super) const fn check_form(inner: Ipv4<'_>, must_fill: bool) -> Result<(), Refused> {
    if must_fill && inner.slack() > 0 {
        return Err(Refused::new(Reason::InnerLengthMismatch));
    }
    if inner.header().ttl() == 0 {
        return Err(Refused::new(Reason::InnerTtlZero));
    }
    Ok(())
}

/// A length that fits 16 bits, because it lies within the outer total length.
#[inline(always)]
const fn low_16_bits(len: usize) -> u16 {
    let [.., high, low] = len.to_be_bytes();
    u16::from_be_bytes([high, low])
}

/// What the outer ECN field says of the inner packet. On a connection it says nothing.
#[inline(always)]
pub(super) const fn relayed_ecn<S: Shim>(outer: Ecn) -> Ecn {
    if S::IS_CONNECTION { Ecn::NotEct } else { outer }
}

/// The verdict on an inner packet at `start` that gets this DSCP, by its ECN field and the outer one (RFC
/// 6040 §4.2).
#[inline(always)]
pub(super) fn open(
    outer_ecn: Ecn,
    inner: Ipv4<'_>,
    start: usize,
    dscp: Dscp,
) -> Result<Opened, Refused> {
    let header = inner.header();
    let (mut ecn, mut alarm) = (header.ecn(), None);
    // Equal fields stay, without an alarm, and nearly all are equal.
    if ecn != outer_ecn {
        let (new, raised) = ecn.decapsulation(outer_ecn);
        ecn = new.ok_or(Refused::new(Reason::EcnDrop))?;
        alarm = raised;
    }
    let tos = dscp.with_ecn(ecn);
    Ok(Opened {
        slack: low_16_bits(inner.slack()),
        alarm,
        change: (tos != header.tos()).then_some(Change::Tos(tos)),
        ..Opened::new(Span::new(start, usize::from(header.total_len())))
    })
}
