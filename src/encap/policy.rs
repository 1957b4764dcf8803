//! How the fields of an outer header follow from the inner one: policies as plain data.

use core::num::NonZeroU8;

use crate::wire::{Dscp, Ecn};

/// Whether the encapsulator is the packet's origin or a hop on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(
    clippy::exhaustive_enums,
    reason = "RFC 2003 §3.1 knows these two cases"
)]
pub enum Role {
    /// The packet starts here, or a forwarding step has already decremented its TTL: the inner TTL stays.
    /// A program that reads from a TUN device needs this: the kernel has decremented the TTL.
    #[default]
    Originate,
    /// The packet is on its way through: the inner TTL is decremented, and a packet that claims to
    /// come from the encapsulator itself is refused (RFC 2003 §3.1, §3.2).
    Forward,
}

/// The outer TTL (RFC 2003 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum TtlPolicy {
    /// A constant, in hops.
    Fixed(NonZeroU8),
    /// The inner TTL, after any decrement: the tunnel counts as the hops it is.
    Inherit,
}

impl TtlPolicy {
    /// 64 hops (RFC 1853 §2).
    pub const DEFAULT: Self = match NonZeroU8::new(64) {
        Some(ttl) => Self::Fixed(ttl),
        None => Self::Inherit,
    };
}

impl Default for TtlPolicy {
    #[inline]
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The outer DSCP (RFC 2983).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum DscpPolicy {
    /// The inner DSCP: the uniform model (RFC 2983 §3.1).
    #[default]
    Copy,
    /// A constant: the pipe model (RFC 2983 §4).
    Fixed(Dscp),
}

/// The outer ECN field.
///
/// | inner | `Normal` | `Compatibility` | `Rfc3168` |
/// |---|---|---|---|
/// | Not-ECT | Not-ECT | Not-ECT | Not-ECT |
/// | ECT(0) | ECT(0) | Not-ECT | ECT(0) |
/// | ECT(1) | ECT(1) | Not-ECT | ECT(1) |
/// | CE | CE | Not-ECT | ECT(0) |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum EcnPolicy {
    /// Copies the field: for a decapsulator known to follow RFC 6040, as this crate's and Linux's
    /// do (RFC 6040 §4.1).
    #[default]
    Normal,
    /// Clears the field: for a decapsulator that may ignore it (RFC 6040 §4.1, RFC 9601 §4).
    Compatibility,
    /// Resets CE to ECT(0): wire-identical with Linux (RFC 3168 §9.1.1, superseded by RFC 6040).
    Rfc3168,
}

impl EcnPolicy {
    /// The outer field over this inner one.
    ///
    /// ```
    /// use ipencap::{encap::EcnPolicy, wire::Ecn};
    /// assert_eq!(EcnPolicy::Normal.outer(Ecn::Ce), Ecn::Ce);
    /// assert_eq!(EcnPolicy::Rfc3168.outer(Ecn::Ce), Ecn::Ect0);
    /// ```
    #[inline]
    #[must_use]
    pub const fn outer(self, inner: Ecn) -> Ecn {
        match (self, inner) {
            (Self::Compatibility, _) => Ecn::NotEct,
            (Self::Rfc3168, Ecn::Ce) => Ecn::Ect0,
            (_, inner) => inner,
        }
    }
}

/// The outer DF flag (RFC 2003 §3.1, RFC 7588 §3.3.2.1). An inner DF is always kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum DfPolicy {
    /// Always set: the outer packet is atomic and needs no identification (RFC 6864 §4.1).
    #[default]
    Set,
    /// The inner flag. Where it is clear routers may fragment the outer packet, which then needs an
    /// identification of its own (RFC 6864 §4.3).
    Copy(IdSource),
}

/// Where the identification of an outer packet comes from that may be fragmented.
///
/// It must not repeat for the same source, destination and protocol within two minutes: that bounds
/// such a tunnel to 546 packets a second (RFC 6864 §3.2). Prefer [`DfPolicy::Set`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum IdSource {
    /// [`PerPacket::with_identification`](crate::packet::PerPacket::with_identification).
    PerPacket,
    /// This value in every packet. Only to reproduce a packet that somebody else has made: fragments
    /// of different packets with the same identification are mixed up.
    Constant(u16),
}

/// How the outer IPv4 header follows from the inner one: plain data, all fields public.
///
/// ```
/// use core::net::Ipv4Addr;
/// use ipencap::encap::{EcnPolicy, OuterPolicy, Role, Tunnel};
/// use ipencap::shim::IpIp;
///
/// # fn main() -> Result<(), ipencap::error::ConfigError> {
/// let router = OuterPolicy {
///     role: Role::Forward,
///     ecn: EcnPolicy::Compatibility, // the other end may not know RFC 6040
///     link_mtu: Some(1500),          // larger: FragmentationNeeded { mtu: 1480 }
///     ..OuterPolicy::DEFAULT
/// };
/// let (left, right) = (Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2));
/// let tunnel = Tunnel::new(left, right, IpIp)?.with_policy(router);
/// assert_eq!(tunnel.policy(), router);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(
    clippy::exhaustive_structs,
    reason = "built by the caller, the fields not named from DEFAULT"
)]
pub struct OuterPolicy {
    /// The outer TTL: 64 by default.
    pub ttl: TtlPolicy,
    /// The outer DSCP: copied by default.
    pub dscp: DscpPolicy,
    /// The outer ECN field: copied by default.
    pub ecn: EcnPolicy,
    /// The outer DF flag: set by default.
    pub df: DfPolicy,
    /// The identification of outer packets with DF: 0 by default. They need none (RFC 6864 §4.1).
    pub atomic_identification: u16,
    /// Whether this hop forwards the packets: no by default.
    pub role: Role,
    /// The MTU of the link or path behind the tunnel, in bytes: no limit by default, nor for 65535. A
    /// packet that would exceed it is
    /// [`FragmentationNeeded`](crate::error::EncapError::FragmentationNeeded). If the packet has an MTU
    /// too, the smaller one counts ([`PerPacket::with_link_mtu`](crate::packet::PerPacket::with_link_mtu)).
    pub link_mtu: Option<u16>,
    /// Whether packets pass whose inner source is the tunnel's exit: no by default.
    ///
    /// For a load balancer whose backends call the service that they belong to: the balancer may choose
    /// for such a packet the backend that sent it. That backend's receiver must [allow its own
    /// address](crate::decap::Receiver::allowing_own_source) as the source. Everywhere else such a packet
    /// loops (RFC 2003 §3.2).
    pub hairpin: bool,
}

impl OuterPolicy {
    /// The defaults.
    pub const DEFAULT: Self = Self {
        ttl: TtlPolicy::DEFAULT,
        dscp: DscpPolicy::Copy,
        ecn: EcnPolicy::Normal,
        df: DfPolicy::Set,
        atomic_identification: 0,
        role: Role::Originate,
        link_mtu: None,
        hairpin: false,
    };

    /// The defaults of a tunnel over a connection: one DSCP, 0, and no ECN (RFC 9329 §9.3, §9.5).
    pub const CONNECTION: Self = Self {
        dscp: DscpPolicy::Fixed(Dscp::DEFAULT),
        ecn: EcnPolicy::Compatibility,
        ..Self::DEFAULT
    };
}

impl Default for OuterPolicy {
    #[inline]
    fn default() -> Self {
        Self::DEFAULT
    }
}
