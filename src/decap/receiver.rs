use super::Decapsulate;
use super::access::Access;
use super::opened::{Inner, Opened, OuterMeta, OuterPacket};
use super::pipeline::{Around, Checks, check_form, check_protocol, open, relayed_ecn};
use super::policy::{EgressDscp, InnerPolicy, InnerTunnels};
use crate::error::{Reason, Refused};
use crate::packet::Flow;
use crate::shim::{Shim, SocketShim};
use crate::wire::{COMMON_FIRST, Ipv4, Ipv4Header};

/// Opens packets of one encapsulation, from those whom an [`Access`] allows (RFC 2003 and its
/// successors). It never answers.
///
/// The checks run in this order, and the first that fails is the reason. None of them writes.
///
/// | check | refused as | source |
/// |---|---|---|
/// | outer header valid | `OuterTruncated`, `OuterBadVersion`, `OuterBadIhl`, `OuterBadChecksum`, `OuterBadTotalLength` | RFC 1812 §5.2.2 |
/// | outer packet whole | `OuterFragment` | RFC 7588 §3.4 |
/// | protocol is the shim's | `NotTunnel` | |
/// | outer destination is ours | `OuterDstNotLocal` | RFC 2003 §6.2 |
/// | outer source can be a peer, and is one | `OuterMartianSource`, `UnknownPeer` | RFC 4213 §3.6 |
/// | no source route | `OuterSourceRoute` | RFC 7126 §4.3 |
/// | the shim | the shim's reasons | |
/// | inner header valid | `InnerTruncated`, `InnerBadVersion`, `InnerBadIhl`, `InnerBadChecksum`, `InnerBadTotalLength` | RFC 1812 §5.2.2 |
/// | inner length, if [exact](Self::with_exact_length) | `InnerLengthMismatch` | |
/// | inner TTL not 0 | `InnerTtlZero` | RFC 2003 §3.1 |
/// | inner source | `InnerMartianSource`, `InnerSourceIsLocal` unless [allowed](Self::allowing_own_source), `InnerEqualsOuter`, `InnerSourceNotAllowed` | RFC 1812 §5.3.7, RFC 2003 §3.2, RFC 2827 |
/// | inner destination | `InnerMartianDestination`, less [multicast](Self::allowing_multicast) or [class E](Self::allowing_class_e); `LoopToPeer` unless [allowed](Self::allowing_destination_peer) | RFC 1812 §5.3.7 |
/// | nesting | `NestingLimit` | RFC 2473 §4.1 |
/// | ECN | `EcnDrop` | RFC 6040 §4.2 |
/// | source is not the destination, if [refused](Self::refusing_land) | `InnerSourceEqualsDestination` | |
///
/// Make one with the [shim](crate::shim) that the sender's [`Tunnel`](crate::encap::Tunnel) has, or from
/// that tunnel ([`Tunnel::receiver`](crate::encap::Tunnel::receiver)). For minimal encapsulation there is
/// [`minimal`](Self::minimal).
///
/// Not checked: outer TTL, DSCP, identification and reserved flag; the inner packet's transport
/// checksum and fragment bits.
///
/// ```
/// use core::net::Ipv4Addr;
/// use ipencap::decap::{Decapsulate, EgressDscp, InnerTunnels, PointToPoint, Prefix, Receiver};
/// use ipencap::shim::IpIp;
///
/// let inner = [Prefix::new(Ipv4Addr::new(10, 1, 0, 0), 16).unwrap()];
/// let access = PointToPoint::new(
///     Ipv4Addr::new(203, 0, 113, 2), Ipv4Addr::new(198, 51, 100, 1), &inner);
/// let receiver = Receiver::new(IpIp, access)
///     .with_inner_tunnels(InnerTunnels::Refuse)
///     .with_egress_dscp(EgressDscp::Keep);
///
/// let packet: &[u8] = b"\x45\x00\x00\x38\x00\x00\x40\x00\x40\x04\xd4\x8a\xc6\x33\x64\x01\xcb\x00\x71\x02\
///     \x45\x00\x00\x24\x12\x34\x40\x00\x40\x11\x14\x85\x0a\x01\x00\x05\x0a\x02\x00\x09\
///     \x9c\x40\x00\x35\x00\x10\xac\xe6ipencap!";
/// let opened = receiver.inspect(packet).unwrap(); // reads only
/// assert_eq!(opened.span().get(packet), Some(&packet[20..]));
/// assert!(!opened.changes_bytes());
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Receiver<S, A> {
    shim: S,
    pub(super) checks: Checks<A>,
}

impl<S, A> Receiver<S, A> {
    /// A receiver of tunnels with this shim, from those whom `access` allows.
    #[inline]
    pub const fn new(shim: S, access: A) -> Self {
        Self {
            shim,
            checks: Checks {
                access,
                max_depth: 1,
                policy: InnerPolicy::DEFAULT,
                are_common: true,
            },
        }
    }

    /// Sets all that is allowed and refused of inner packets.
    #[inline]
    pub const fn with_inner_policy(mut self, policy: InnerPolicy) -> Self {
        self.set_inner_policy(policy);
        self
    }

    pub(super) const fn set_inner_policy(&mut self, policy: InnerPolicy) {
        self.checks.policy = policy;
        self.checks.are_common = policy.is_common();
    }

    /// Sets what becomes of the inner DSCP.
    #[inline]
    pub const fn with_egress_dscp(self, dscp: EgressDscp) -> Self {
        let policy = InnerPolicy {
            egress_dscp: dscp,
            ..self.checks.policy
        };
        self.with_inner_policy(policy)
    }

    /// Sets whether inner packets may be tunnel packets.
    #[inline]
    pub const fn with_inner_tunnels(self, inner_tunnels: InnerTunnels) -> Self {
        let policy = InnerPolicy {
            inner_tunnels,
            ..self.checks.policy
        };
        self.with_inner_policy(policy)
    }

    /// Sets how many layers of one packet this host may open, over all passes of the packet; 1 by
    /// default. A caller that opens what came out passes the depth on with
    /// [`OuterPacket::at_depth`]; [`decap`](super::decap()) starts at depth 0.
    #[inline]
    pub const fn with_max_depth(mut self, max_depth: u8) -> Self {
        self.checks.max_depth = max_depth;
        self
    }

    /// Allows inner packets to multicast groups.
    #[inline]
    pub const fn allowing_multicast(self) -> Self {
        let policy = InnerPolicy {
            allows_multicast: true,
            ..self.checks.policy
        };
        self.with_inner_policy(policy)
    }

    /// Allows inner class E addresses, 240/4.
    #[inline]
    pub const fn allowing_class_e(self) -> Self {
        let policy = InnerPolicy {
            allows_class_e: true,
            ..self.checks.policy
        };
        self.with_inner_policy(policy)
    }

    /// Allows inner packets from one of our own addresses: on a load balancer's backend that calls the
    /// service it belongs to, where the balancer sends such packets
    /// ([`OuterPolicy::hairpin`](crate::encap::OuterPolicy::hairpin)). The access list must still allow
    /// the address.
    #[inline]
    pub const fn allowing_own_source(self) -> Self {
        let policy = InnerPolicy {
            allows_own_source: true,
            ..self.checks.policy
        };
        self.with_inner_policy(policy)
    }

    /// Allows inner packets to the peer itself. Use it only where the route to the peer cannot lead back
    /// into the tunnel: two such ends would send a packet back and forth until its TTL is 0. A load
    /// balancer's backend needs it if the service has the address that the balancer's tunnels start from.
    #[inline]
    pub const fn allowing_destination_peer(self) -> Self {
        let policy = InnerPolicy {
            allows_destination_peer: true,
            ..self.checks.policy
        };
        self.with_inner_policy(policy)
    }

    /// Refuses inner packets that are shorter than the tunnel's payload.
    #[inline]
    pub const fn with_exact_length(self) -> Self {
        let policy = InnerPolicy {
            exact_length: true,
            ..self.checks.policy
        };
        self.with_inner_policy(policy)
    }

    /// Refuses inner packets from an address to itself, as in a LAND attack.
    #[inline]
    pub const fn refusing_land(self) -> Self {
        let policy = InnerPolicy {
            refuses_land: true,
            ..self.checks.policy
        };
        self.with_inner_policy(policy)
    }
}

impl<S: Shim, A: Access> Receiver<S, A> {
    /// Inspects any packet: the instance of the pipeline that is out of line.
    #[cfg_attr(
        not(all(target_os = "none", not(target_pointer_width = "64"))),
        cold,
        inline(never)
    )]
    #[cfg_attr(all(target_os = "none", not(target_pointer_width = "64")), inline)]
    fn inspect_any(&self, outer: OuterPacket<'_>) -> Result<Opened, Refused> {
        self.checks.inspect::<false, S>(&self.shim, &outer)
    }

    #[cold]
    #[inline(never)]
    fn open_any<'b>(&self, packet: &'b mut [u8]) -> Result<Inner<'b>, Refused> {
        let opened = self.inspect_any(OuterPacket::new(packet))?;
        Ok(opened.into_inner(packet))
    }
}

impl<S: Shim, A: Access> Decapsulate for Receiver<S, A> {
    #[inline]
    fn recognises(&self, outer: Ipv4<'_>) -> bool {
        let is_local = self.checks.access.is_local(outer.header().destination());
        is_local && self.shim.reopens(outer)
    }

    #[inline(always)]
    fn inspect_outer(&self, outer: OuterPacket<'_>) -> Result<Opened, Refused> {
        if COMMON_FIRST && self.checks.are_common && outer.restored().is_none() {
            if let Ok(opened) = self.checks.inspect::<true, S>(&self.shim, &outer) {
                return Ok(opened);
            }
        }
        if COMMON_FIRST && outer.is_if_common() {
            return Err(Refused::new(Reason::NotTunnel));
        }
        self.inspect_any(outer)
    }

    /// The verdict on a common packet stays in registers until it is written into the result.
    #[inline(always)]
    fn open<'b>(&self, packet: &'b mut [u8]) -> Result<Inner<'b>, Refused> {
        let outer = OuterPacket::new(packet);
        if !COMMON_FIRST {
            // Inlined, it does not link what only nested packets need.
            let opened = self.checks.inspect::<false, S>(&self.shim, &outer)?;
            return Ok(opened.into_inner(packet));
        }
        if self.checks.are_common {
            if let Ok(opened) = self.checks.inspect::<true, S>(&self.shim, &outer) {
                return Ok(opened.into_inner(packet));
            }
        }
        self.open_any(packet)
    }
}

impl<S: SocketShim, A: Access> Receiver<S, A> {
    /// Inspects what an ordinary socket has received, where the host has removed and verified the outer
    /// headers. All other checks are made.
    ///
    /// The span of the verdict counts from the start of `payload`. The outer DSCP is not known here, so
    /// the uniform model keeps the inner one.
    ///
    /// # Errors
    /// [`Refused`], by the first check that fails.
    #[inline]
    pub fn inspect_payload(&self, meta: &OuterMeta, payload: &[u8]) -> Result<Opened, Refused> {
        self.inspect_layer(meta, payload, false)
    }

    /// [`inspect_payload`](Self::inspect_payload), where another layer may open what comes out.
    #[inline]
    pub(crate) fn inspect_layer(
        &self,
        meta: &OuterMeta,
        payload: &[u8],
        expects_tunnel: bool,
    ) -> Result<Opened, Refused> {
        if meta.protocol != S::PROTOCOL {
            return Err(Refused::new(Reason::NotTunnel));
        }
        let outer = Flow::new(meta.source, meta.destination, S::PROTOCOL)
            .with_ports(meta.source_port, meta.destination_port);
        let peer = self.checks.check_peer(outer).map_err(Refused::new)?;
        let carried = self.shim.read_payload(meta.destination_port, payload)?;
        let bytes = carried.span.get(payload).unwrap_or_default();
        let inner = Ipv4::parse(bytes).map_err(Refused::inner)?;
        let around = Around {
            source: meta.source,
            destination: meta.destination,
            peer,
            dscp: None,
            ecn: relayed_ecn::<S>(meta.ecn),
            must_fill: S::IS_CONNECTION,
            depth: 0,
            expects_tunnel,
        };
        let reopens = |inner: Ipv4<'_>| self.shim.reopens(inner);
        let opened =
            self.checks
                .check_inner::<false>(&around, inner, carried.span.start, reopens)?;
        Ok(Opened {
            sequence: carried.sequence,
            ..opened
        })
    }
}

/// Opens a packet of `shim` from **anybody**, with **any** inner addresses: headers and ECN are
/// checked, who sent it is not.
///
/// For analysis, or where another layer has already checked what [`Receiver`] would. On a host that
/// forwards what comes out, this is the open decapsulator of CVE-2020-10136.
///
/// # Errors
/// [`Refused`], by the first check that fails.
#[inline]
pub fn inspect_without_filter<S: Shim>(shim: &S, packet: &[u8]) -> Result<Opened, Refused> {
    let outer = Ipv4::parse(packet).map_err(Refused::outer)?;
    check_protocol(S::PROTOCOL, outer.header()).map_err(Refused::new)?;
    let place = shim.read(outer)?;
    let bytes = place.span.get(outer.payload()).unwrap_or_default();
    let inner = Ipv4::parse(bytes).map_err(Refused::inner)?;
    check_form(inner, S::IS_CONNECTION)?;
    let header_len = Ipv4Header::LEN.wrapping_add(outer.option_bytes().len());
    let start = header_len.wrapping_add(place.span.start);
    let ecn = relayed_ecn::<S>(outer.header().ecn());
    let opened = open(ecn, inner, start, inner.header().dscp())?;
    Ok(Opened {
        sequence: place.sequence,
        ..opened
    })
}
