use core::net::Ipv4Addr;

use super::carrier::{Carried, Carrier};
use super::decapsulator::Decapsulator;
use super::outer::{Outer, outer_policies};
use super::{Encapsulate, PerPacket};
use crate::error::{ConfigError, EncapError, Refused};
use crate::filter::Access;
use crate::packet::PacketMeta;
use crate::wire::{IpProtocol, Ipv4, Ipv4Header};

/// IP-in-IP: carries an IPv4 packet inside IPv4, protocol 4 (RFC 2003).
///
/// ```text
///  before   [······ headroom ······][inner IPv4|payload]
///  after    [······][outer IPv4    ][inner IPv4|payload]
///                   └ overhead  20 ┘
/// ```
///
/// # What it writes
///
/// | field | value | rule |
/// |---|---|---|
/// | version, IHL | 4, 5 words: inner options are not copied | E-03, E-15; RFC 2003 §3.1 |
/// | DSCP | the inner one, or [`with_dscp`](Self::with_dscp) | RFC 2983 §3.1, §4 |
/// | ECN | the inner one, or [`with_ecn`](Self::with_ecn) | RFC 6040 §4.1 |
/// | total length | inner total length + 20 | E-06 |
/// | identification | 0, or [`with_df`](Self::with_df)'s source where DF is clear | RFC 6864 §4 |
/// | DF | set, or [`with_df`](Self::with_df) | E-08; RFC 2003 §3.1 |
/// | reserved, MF, fragment offset | 0 | E-09 |
/// | TTL | 64, or [`with_ttl`](Self::with_ttl) | T-01; RFC 2003 §3.1 |
/// | protocol | 4 | E-11 |
/// | checksum | over these 20 bytes | E-12 |
/// | source, destination | as configured | E-13, E-14 |
///
/// The inner packet stays as it is, but for TTL - 1 and its checksum with [`Role::Forward`](super::Role::Forward).
///
/// # Choose policies
///
/// ```
/// use core::net::Ipv4Addr;
/// use core::num::NonZeroU8;
/// use ipencap::encap::{DfPolicy, DscpPolicy, EcnPolicy, IdSource, IpIp, Role, TtlPolicy};
/// use ipencap::wire::Dscp;
///
/// # fn main() -> Result<(), ipencap::error::ConfigError> {
/// let tunnel = IpIp::new(Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2))?
///     .with_role(Role::Forward)              // a router: inner TTL - 1
///     .with_ttl(TtlPolicy::Fixed(NonZeroU8::MAX))
///     .with_dscp(DscpPolicy::Fixed(Dscp::AF11))
///     .with_ecn(EcnPolicy::Compatibility)    // the other end may not know RFC 6040
///     .with_df(DfPolicy::Copy(IdSource::PerPacket))
///     .with_link_mtu(1500);                  // larger: FragmentationNeeded { mtu: 1480 }
/// # let _ = tunnel;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
#[doc(alias = "ipip")]
#[doc(alias = "proto 4")]
#[doc(alias = "encapsulation")]
pub struct IpIp {
    pub(super) outer: Outer,
}

outer_policies!(IpIp);

impl IpIp {
    /// The port that tells its packets from others of the protocol, if there is one.
    #[allow(clippy::unused_self, reason = "other encapsulators have one")]
    const fn tunnel_port(&self) -> Option<u16> {
        None
    }
}

impl IpIp {
    /// What it puts in front of a packet, in bytes.
    pub const OVERHEAD: usize = Ipv4Header::LEN;

    /// The longest inner packet, in bytes: 65515 (E-06).
    pub const MAX_INNER_LEN: u16 = 65515;

    /// A tunnel from `source`, an address of the encapsulator, to `destination`, the decapsulator's,
    /// with the default policies.
    ///
    /// # Errors
    /// [`ConfigError::ForbiddenSource`], [`ConfigError::ForbiddenDestination`] (E-13, E-14).
    #[inline]
    pub const fn new(source: Ipv4Addr, destination: Ipv4Addr) -> Result<Self, ConfigError> {
        match Outer::new(source, destination, IpProtocol::IPENCAP) {
            Ok(outer) => Ok(Self { outer }),
            Err(error) => Err(error),
        }
    }

    /// The outer header by value, for whoever cannot write in front of the packet: an I/O vector, a
    /// descriptor chain, a second buffer.
    ///
    /// With [`Role::Forward`](super::Role::Forward) the inner TTL is the caller's to take down
    /// ([`Ipv4Header::decrement_ttl`]).
    ///
    /// ```
    /// # use core::net::Ipv4Addr;
    /// # use ipencap::{encap::{IpIp, PerPacket}, packet::PacketMeta};
    /// # use ipencap::wire::{IpProtocol, Ipv4Header};
    /// # fn main() -> Result<(), Box<dyn core::error::Error>> {
    /// # let inner = *Ipv4Header::new(Ipv4Addr::new(10, 1, 0, 5), Ipv4Addr::new(10, 2, 0, 9), IpProtocol(253), 20).as_bytes();
    /// # let tunnel = IpIp::new(Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2))?;
    /// let header: [u8; 20] = tunnel.header(&PacketMeta::read(&inner)?, &PerPacket::new())?;
    /// let vectors = [&header[..], &inner[..]]; // for sendmsg, or the next two descriptors
    /// # let _ = vectors;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`encap`](super::encap), but for `NoHeadroom`.
    #[inline]
    pub fn header(
        &self,
        inner: &PacketMeta,
        packet: &PerPacket,
    ) -> Result<[u8; Self::OVERHEAD], EncapError> {
        self.judge(inner, packet)
            .map(|outer| *outer.header().as_bytes())
    }

    pub(super) const fn ordinary_inner_len(&self) -> u16 {
        self.outer.ordinary_inner_len(20)
    }

    /// These layers, the innermost first, of which the first calls ordinary what all of them do.
    pub(super) const fn folded_layers<const N: usize>(mut layers: [Self; N]) -> [Self; N] {
        let unfolded = layers;
        let mut rest: &[Self] = &unfolded;
        let (mut room, mut overhead) = (u16::MAX, 0u16);
        let mut inside: Option<&Self> = None;
        while let Some((layer, outer)) = rest.split_first() {
            let takes = layer.ordinary_inner_len().saturating_sub(overhead);
            let loops = match inside {
                Some(inside) => inside.source().to_bits() == layer.destination().to_bits(),
                None => false,
            };
            if loops {
                room = 0;
            } else if takes < room {
                room = takes;
            }
            overhead = overhead.saturating_add(20);
            inside = Some(layer);
            rest = outer;
        }
        if let Some((first, _)) = layers.split_first_mut() {
            first.outer = first.outer.with_ordinary_max_len(room.saturating_add(20));
        }
        layers
    }

    #[inline(always)]
    #[allow(
        clippy::unnecessary_wraps,
        reason = "other encapsulators need the packet's sum"
    )]
    pub(super) fn folded(&self, inner: &PacketMeta, _packet: &PerPacket) -> Option<PacketMeta> {
        Some(self.outer.folded(inner, 20).carrying(inner))
    }

    /// It has no checksum over the packet.
    #[allow(clippy::unused_self, reason = "other encapsulators have one")]
    pub(super) const fn needs_bytes(&self, _inner: &PacketMeta) -> bool {
        false
    }
}

impl Encapsulate for IpIp {
    #[inline]
    fn overhead(&self) -> usize {
        Self::OVERHEAD
    }

    #[inline]
    fn judge(&self, inner: &PacketMeta, packet: &PerPacket) -> Result<PacketMeta, EncapError> {
        let outer = self.outer.judge(inner, packet, 20)?;
        Ok(outer.carrying(inner))
    }

    #[inline]
    fn shares_headers(&self) -> bool {
        true
    }

    #[inline(always)]
    fn judge_ordinary(&self, inner: &PacketMeta, packet: &PerPacket) -> Option<PacketMeta> {
        let outer = self.outer.judge_ordinary(inner, packet, 20)?;
        Some(outer.carrying(inner))
    }

    #[inline]
    fn write(&self, frame: &mut [u8], inner: &PacketMeta, outer: &PacketMeta, packet: &PerPacket) {
        self.outer.forward(frame, Self::OVERHEAD);
        self.write_ordinary(frame, inner, outer, packet);
    }

    #[inline(always)]
    fn write_ordinary(
        &self,
        frame: &mut [u8],
        _inner: &PacketMeta,
        outer: &PacketMeta,
        _packet: &PerPacket,
    ) {
        if let Some(header) = frame.first_chunk_mut() {
            *header = *outer.header().as_bytes();
        }
    }
}

/// IP-in-IP as a decapsulator sees it: protocol 4, and the inner packet right behind the outer
/// header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct IpIpCarrier;

impl Carrier for IpIpCarrier {
    #[inline]
    fn protocol(&self) -> IpProtocol {
        IpProtocol::IPENCAP
    }

    #[inline]
    fn carried(&self, outer: Ipv4<'_>) -> Result<Carried, Refused> {
        Ok(Carried::behind(0, outer.payload().len()))
    }
}

impl<A: Access> Decapsulator<IpIpCarrier, A> {
    /// A decapsulator of IP-in-IP packets for whom `access` lets in.
    #[inline]
    pub const fn ipip(access: A) -> Self {
        Self::new(IpIpCarrier, access)
    }
}
