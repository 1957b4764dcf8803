//! The outer IPv4 header that all encapsulators but minimal encapsulation write.

use core::net::Ipv4Addr;

use zerocopy::transmute;

use super::PerPacket;
use super::policy::{DfPolicy, DscpPolicy, EcnPolicy, Role, TtlPolicy};
use crate::checksum::Sum;
use crate::error::{ConfigError, EncapError, ParseError};
use crate::filter::is_unicast;
use crate::packet::PacketMeta;
use crate::wire::{IpProtocol, Ipv4Flags, Ipv4Header};

/// Addresses and policies of an outer header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Outer {
    pub(super) source: Ipv4Addr,
    pub(super) destination: Ipv4Addr,
    pub(super) ttl: TtlPolicy,
    pub(super) dscp: DscpPolicy,
    pub(super) ecn: EcnPolicy,
    pub(super) df: DfPolicy,
    pub(super) atomic_identification: u16,
    pub(super) role: Role,
    pub(super) hairpin: bool,
    pub(super) link_mtu: Option<u16>,
}

impl Outer {
    pub(super) const fn new(source: Ipv4Addr, destination: Ipv4Addr) -> Result<Self, ConfigError> {
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

    /// The header in front of `overhead - 20` further bytes and the inner packet, or why there is
    /// none.
    #[inline]
    pub(super) fn judge(
        &self,
        inner: &PacketMeta,
        packet: &PerPacket,
        protocol: IpProtocol,
        overhead: u16,
    ) -> Result<Ipv4Header, EncapError> {
        if inner.version() != 4 {
            return Err(ParseError::BadVersion {
                version: inner.version(),
            }
            .into());
        }
        let header = inner.header();
        let inner_ttl = travelling_ttl(header.ttl(), self.role)?;
        refuse_loop(
            header.source(),
            self.source,
            self.destination,
            self.role,
            self.hairpin,
        )?;
        let total_len = fitting_len(inner, overhead, self.link_mtu, packet)?;
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
            u32::from_be_bytes([ttl, protocol.0, 0, 0]),
            self.source.to_bits(),
            self.destination.to_bits(),
        ];
        let sum = words
            .iter()
            .fold(Sum::new(), |sum, &word| sum.add_u32(word));
        let [first, second, third, fourth, fifth] = words;
        let third = third | u32::from(sum.checksum());
        let words = [first, second, third, fourth, fifth].map(u32::to_be);
        Ok(Ipv4Header::from_bytes(transmute!(words)))
    }

    /// Takes the inner TTL down in the buffer, if this hop forwards.
    #[inline]
    pub(super) fn forward(&self, inner_packet: &mut [u8], inner: &PacketMeta) {
        if self.role == Role::Forward {
            if let Some(fixed) = inner_packet.first_chunk_mut::<{ Ipv4Header::LEN }>() {
                let mut forwarded = *inner.header();
                // `judge` has refused the TTLs that cannot be taken down.
                let _: bool = forwarded.decrement_ttl();
                *fixed = *forwarded.as_bytes();
            }
        }
    }
}

/// The TTL with which the inner packet travels on (T-03 to T-06).
pub(super) const fn travelling_ttl(ttl: u8, role: Role) -> Result<u8, EncapError> {
    match (ttl, role) {
        (0, _) => Err(EncapError::TtlZero),
        (1, Role::Forward) => Err(EncapError::TtlExpired),
        (_, Role::Forward) => Ok(ttl.wrapping_sub(1)),
        (_, Role::Originate) => Ok(ttl),
    }
}

/// E-17 and E-18.
pub(super) fn refuse_loop(
    inner_source: Ipv4Addr,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    role: Role,
    hairpin: bool,
) -> Result<(), EncapError> {
    if inner_source == destination && !hairpin {
        Err(EncapError::LoopToExit { layer: 0 })
    } else if inner_source == source && role == Role::Forward {
        Err(EncapError::LoopOwnSource { layer: 0 })
    } else {
        Ok(())
    }
}

/// The outer total length, if 16 bits and the link can take it (E-06, I-14).
pub(super) fn fitting_len(
    inner: &PacketMeta,
    overhead: u16,
    link_mtu: Option<u16>,
    packet: &PerPacket,
) -> Result<u16, EncapError> {
    let len = inner.len().saturating_add(u32::from(overhead));
    let outer_len = u16::try_from(len).map_err(|_| EncapError::TooLong { len })?;
    let mtu = match (link_mtu, packet.link_mtu()) {
        (Some(configured), Some(said)) => configured.min(said),
        (Some(mtu), None) | (None, Some(mtu)) => mtu,
        (None, None) => return Ok(outer_len),
    };
    if outer_len > mtu {
        return Err(EncapError::FragmentationNeeded {
            mtu: mtu.saturating_sub(overhead),
        });
    }
    Ok(outer_len)
}

/// The policies of the outer header, as methods of the encapsulator that holds it in `outer`.
macro_rules! outer_policies {
    ($Type:ty) => {
        impl $Type {
            /// Sets how the outer TTL follows.
            #[inline]
            pub const fn with_ttl(mut self, ttl: $crate::encap::TtlPolicy) -> Self {
                self.outer.ttl = ttl;
                self
            }

            /// Sets how the outer DSCP follows.
            #[inline]
            pub const fn with_dscp(mut self, dscp: $crate::encap::DscpPolicy) -> Self {
                self.outer.dscp = dscp;
                self
            }

            /// Sets how the outer ECN field follows.
            #[inline]
            pub const fn with_ecn(mut self, ecn: $crate::encap::EcnPolicy) -> Self {
                self.outer.ecn = ecn;
                self
            }

            /// Sets how the outer DF flag follows.
            #[inline]
            pub const fn with_df(mut self, df: $crate::encap::DfPolicy) -> Self {
                self.outer.df = df;
                self
            }

            /// Sets the identification of outer packets with DF, which nobody reads (F-01; RFC 6864
            /// §4.1); 0 unless said.
            #[inline]
            pub const fn with_atomic_identification(mut self, identification: u16) -> Self {
                self.outer.atomic_identification = identification;
                self
            }

            /// Sets whether packets originate here or are forwarded.
            #[inline]
            pub const fn with_role(mut self, role: $crate::encap::Role) -> Self {
                self.outer.role = role;
                self
            }

            /// Sets the MTU of the link or path behind the tunnel, in bytes: a packet that would
            /// exceed it is [`EncapError::FragmentationNeeded`](crate::error::EncapError).
            #[inline]
            pub const fn with_link_mtu(mut self, mtu: u16) -> Self {
                self.outer.link_mtu = Some(mtu);
                self
            }

            /// Lets packets through whose inner source is the tunnel's exit (relaxes E-17).
            ///
            /// For a load balancer whose backends call the address that they stand behind: their
            /// packets come back into the tunnel they came from. Everywhere else such a packet loops
            /// (RFC 2003 §3.2).
            #[inline]
            pub const fn allowing_hairpin(mut self) -> Self {
                self.outer.hairpin = true;
                self
            }

            /// The outer source.
            #[inline]
            #[must_use]
            pub const fn source(&self) -> core::net::Ipv4Addr {
                self.outer.source
            }

            /// The outer destination, the tunnel's exit.
            #[inline]
            #[must_use]
            pub const fn destination(&self) -> core::net::Ipv4Addr {
                self.outer.destination
            }

            /// Whether the routing of this packet into this tunnel looks like a loop (L-04; RFC 2003
            /// §3.2): its source is the tunnel's exit or, when forwarding, the encapsulator; or it is
            /// already a packet of this very tunnel. The last case is not refused by
            /// [`encap`](crate::encap::encap).
            #[inline]
            #[must_use]
            pub fn would_loop(&self, inner: &$crate::packet::PacketMeta) -> bool {
                let port = self.tunnel_port();
                self.outer.would_loop(inner, Self::PROTOCOL, port)
            }
        }
    };
}
pub(super) use outer_policies;

impl Outer {
    pub(super) fn would_loop(
        &self,
        inner: &PacketMeta,
        protocol: IpProtocol,
        port: Option<u16>,
    ) -> bool {
        let header = inner.header();
        refuse_loop(
            header.source(),
            self.source,
            self.destination,
            self.role,
            self.hairpin,
        )
        .is_err()
            || (header.protocol() == protocol
                && header.source() == self.source
                && header.destination() == self.destination
                && port.is_none_or(|port| inner.flow().destination_port == port))
    }
}
