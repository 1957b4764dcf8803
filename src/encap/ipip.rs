use core::net::Ipv4Addr;

use zerocopy::transmute;

use super::decapsulator::{Carrier, Decapsulator};
use super::policy::{DfPolicy, DscpPolicy, EcnPolicy, Role, TtlPolicy};
use super::{Encapsulate, PerPacket};
use crate::checksum::Sum;
use crate::error::{ConfigError, EncapError, ParseError, Reason};
use crate::filter::{Access, is_unicast};
use crate::packet::PacketMeta;
use crate::wire::{IpProtocol, Ipv4, Ipv4Flags, Ipv4Header};

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
/// | DSCP | the inner one, or [`dscp`](Self::with_dscp) | RFC 2983 §3.1, §4 |
/// | ECN | the inner one, or [`ecn`](Self::with_ecn) | RFC 6040 §4.1 |
/// | total length | inner total length + 20 | E-06 |
/// | identification | 0, or [`df`](Self::with_df)'s source where DF is clear | RFC 6864 §4 |
/// | DF | set, or [`df`](Self::with_df) | E-08; RFC 2003 §3.1 |
/// | reserved, MF, fragment offset | 0 | E-09 |
/// | TTL | 64, or [`ttl`](Self::with_ttl) | T-01; RFC 2003 §3.1 |
/// | protocol | 4 | E-11 |
/// | checksum | over these 20 bytes | E-12 |
/// | source, destination | as configured | E-13, E-14 |
///
/// The inner packet stays as it is, but for TTL - 1 and its checksum with [`Role::Forward`].
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
///     .with_df(DfPolicy::Copy(IdSource::Ordinal))
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
    source: Ipv4Addr,
    destination: Ipv4Addr,
    ttl: TtlPolicy,
    dscp: DscpPolicy,
    ecn: EcnPolicy,
    df: DfPolicy,
    atomic_identification: u16,
    role: Role,
    hairpin: bool,
    link_mtu: Option<u16>,
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
        if !is_unicast(source) {
            return Err(ConfigError::ForbiddenSource);
        }
        if !is_unicast(destination) {
            return Err(ConfigError::ForbiddenDestination);
        }
        Ok(Self {
            source,
            destination,
            ttl: TtlPolicy::DEFAULT,
            dscp: DscpPolicy::Copy,
            ecn: EcnPolicy::Normal,
            df: DfPolicy::Set,
            atomic_identification: 0,
            role: Role::Originate,
            hairpin: false,
            link_mtu: None,
        })
    }

    /// Sets how the outer TTL follows.
    #[inline]
    pub const fn with_ttl(self, ttl: TtlPolicy) -> Self {
        Self { ttl, ..self }
    }

    /// Sets how the outer DSCP follows.
    #[inline]
    pub const fn with_dscp(self, dscp: DscpPolicy) -> Self {
        Self { dscp, ..self }
    }

    /// Sets how the outer ECN field follows.
    #[inline]
    pub const fn with_ecn(self, ecn: EcnPolicy) -> Self {
        Self { ecn, ..self }
    }

    /// Sets how the outer DF flag follows.
    #[inline]
    pub const fn with_df(self, df: DfPolicy) -> Self {
        Self { df, ..self }
    }

    /// Sets the identification of outer packets with DF, which nobody reads (F-01; RFC 6864 §4.1);
    /// 0 unless said.
    #[inline]
    pub const fn with_atomic_identification(self, identification: u16) -> Self {
        Self {
            atomic_identification: identification,
            ..self
        }
    }

    /// Sets whether packets originate here or are forwarded.
    #[inline]
    pub const fn with_role(self, role: Role) -> Self {
        Self { role, ..self }
    }

    /// Sets the MTU of the link or path behind the tunnel, in bytes: a packet that would exceed it
    /// is [`EncapError::FragmentationNeeded`].
    #[inline]
    pub const fn with_link_mtu(self, mtu: u16) -> Self {
        Self {
            link_mtu: Some(mtu),
            ..self
        }
    }

    /// Lets packets through whose inner source is the tunnel's exit (relaxes E-17).
    ///
    /// For a load balancer whose backends call the address that they stand behind: their packets
    /// come back into the tunnel they came from. Everywhere else such a packet loops (RFC 2003
    /// §3.2).
    #[inline]
    pub const fn allowing_hairpin(self) -> Self {
        Self {
            hairpin: true,
            ..self
        }
    }

    /// The outer source.
    #[inline]
    #[must_use]
    pub const fn source(&self) -> Ipv4Addr {
        self.source
    }

    /// The outer destination, the tunnel's exit.
    #[inline]
    #[must_use]
    pub const fn destination(&self) -> Ipv4Addr {
        self.destination
    }

    /// The outer header by value, for whoever cannot write in front of the packet: an I/O vector, a
    /// descriptor chain, a second buffer.
    ///
    /// With [`Role::Forward`] the inner TTL is the caller's to take down
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

    /// Whether the routing of this packet into this tunnel looks like a loop (L-04; RFC 2003 §3.2):
    /// its source is the tunnel's exit or, when forwarding, the encapsulator; or it is already a
    /// packet of this very tunnel. The last case is not refused by [`encap`](super::encap).
    #[inline]
    #[must_use]
    pub fn would_loop(&self, inner: &PacketMeta) -> bool {
        let header = inner.header();
        self.refuses_source(header.source()).is_some()
            || (header.protocol() == IpProtocol::IPENCAP
                && header.source() == self.source
                && header.destination() == self.destination)
    }

    /// A decapsulator of this kind; see [`Decapsulator::ipip`].
    #[inline]
    pub const fn decapsulator<A: Access>(access: A) -> Decapsulator<IpIpCarrier, A> {
        Decapsulator::new(IpIpCarrier, access)
    }

    fn refuses_source(&self, source: Ipv4Addr) -> Option<EncapError> {
        if source == self.destination && !self.hairpin {
            Some(EncapError::LoopToExit { layer: 0 })
        } else if source == self.source && self.role == Role::Forward {
            Some(EncapError::LoopOwnSource { layer: 0 })
        } else {
            None
        }
    }

    /// The TTL with which the inner packet travels on.
    const fn travelling_ttl(&self, ttl: u8) -> Result<u8, EncapError> {
        match (ttl, self.role) {
            (0, _) => Err(EncapError::TtlZero),
            (1, Role::Forward) => Err(EncapError::TtlExpired),
            (_, Role::Forward) => Ok(ttl.wrapping_sub(1)),
            (_, Role::Originate) => Ok(ttl),
        }
    }

    fn outer_len(&self, inner: &PacketMeta, packet: &PerPacket) -> Result<u16, EncapError> {
        let len = inner.len().saturating_add(20);
        let outer_len = u16::try_from(len).map_err(|_| EncapError::TooLong { len })?;
        let mtu = match (self.link_mtu, packet.link_mtu()) {
            (Some(configured), Some(said)) => configured.min(said),
            (Some(mtu), None) | (None, Some(mtu)) => mtu,
            (None, None) => return Ok(outer_len),
        };
        if outer_len > mtu {
            return Err(EncapError::FragmentationNeeded {
                mtu: mtu.saturating_sub(20),
            });
        }
        Ok(outer_len)
    }
}

impl Encapsulate for IpIp {
    #[inline]
    fn overhead(&self) -> usize {
        Self::OVERHEAD
    }

    #[inline]
    fn judge(&self, inner: &PacketMeta, packet: &PerPacket) -> Result<PacketMeta, EncapError> {
        if inner.version() != 4 {
            return Err(ParseError::BadVersion {
                version: inner.version(),
            }
            .into());
        }
        let header = inner.header();
        let inner_ttl = self.travelling_ttl(header.ttl())?;
        if let Some(error) = self.refuses_source(header.source()) {
            return Err(error);
        }
        let total_len = self.outer_len(inner, packet)?;
        let (identification, flags) = match self.df {
            DfPolicy::Copy(ids) if !header.flags().contains(Ipv4Flags::DF) => {
                (ids.identification(packet)?, 0)
            }
            _ => (self.atomic_identification, Ipv4Flags::DF.bits()),
        };
        let tos = self
            .dscp
            .outer(header.dscp())
            .with_ecn(self.ecn.outer(header.ecn()));
        let ttl = self.ttl.outer(inner_ttl);

        // The checksum is summed from the values, and the header composed in whole words: reading
        // back bytes that were just stored costs more than all of this.
        let words = [
            u32::from_be_bytes([0x45, tos, 0, 0]) | u32::from(total_len),
            u32::from(identification) << 16 | u32::from(flags),
            u32::from_be_bytes([ttl, IpProtocol::IPENCAP.0, 0, 0]),
            self.source.to_bits(),
            self.destination.to_bits(),
        ];
        let sum = words
            .iter()
            .fold(Sum::new(), |sum, &word| sum.add_u32(word));
        let [first, second, third, fourth, fifth] = words;
        let third = third | u32::from(sum.checksum());
        let words = [first, second, third, fourth, fifth].map(u32::to_be);
        Ok(PacketMeta::trusted(Ipv4Header::from_bytes(transmute!(
            words
        ))))
    }

    #[inline]
    fn write(&self, frame: &mut [u8], inner: &PacketMeta, outer: &PacketMeta, _packet: &PerPacket) {
        let Some((header, inner_packet)) = frame.split_first_chunk_mut::<{ Self::OVERHEAD }>()
        else {
            return;
        };
        if self.role == Role::Forward {
            let mut forwarded = *inner.header();
            let Some(fixed) = inner_packet.first_chunk_mut::<{ Ipv4Header::LEN }>() else {
                return;
            };
            // `judge` has refused the TTLs that cannot be taken down.
            let _: bool = forwarded.decrement_ttl();
            *fixed = *forwarded.as_bytes();
        }
        *header = *outer.header().as_bytes();
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
    fn shim_len(&self, _outer: Ipv4<'_>) -> Result<usize, Reason> {
        Ok(0)
    }
}

impl<A: Access> Decapsulator<IpIpCarrier, A> {
    /// A decapsulator of IP-in-IP packets for whom `access` lets in.
    #[inline]
    pub const fn ipip(access: A) -> Self {
        Self::new(IpIpCarrier, access)
    }
}
