//! How the fields of an outer header follow from the inner one: policies as plain data.

use core::num::NonZeroU8;

use super::PerPacket;
use crate::error::EncapError;
use crate::wire::{Dscp, Ecn};

/// Whether the encapsulator is the packet's origin or a hop on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(
    clippy::exhaustive_enums,
    reason = "RFC 2003 §3.1 knows these two cases"
)]
pub enum Role {
    /// The packet starts here: the inner TTL stays (T-05).
    #[default]
    Originate,
    /// The packet is on its way through: the inner TTL is decremented, and a packet that claims to
    /// come from the encapsulator itself is refused (T-03, E-18; RFC 2003 §3.1, §3.2).
    Forward,
}

/// The outer TTL (T-01, T-02; RFC 2003 §3.1).
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

    pub(super) const fn outer(self, inner_ttl: u8) -> u8 {
        match self {
            Self::Fixed(ttl) => ttl.get(),
            Self::Inherit => inner_ttl,
        }
    }
}

impl Default for TtlPolicy {
    #[inline]
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The outer DSCP (Q-02, Q-03; RFC 2983).
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

impl DscpPolicy {
    pub(super) const fn outer(self, inner: Dscp) -> Dscp {
        match self {
            Self::Copy => inner,
            Self::Fixed(dscp) => dscp,
        }
    }
}

/// The outer ECN field (N-01, N-02, N-06).
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

/// The outer DF flag (E-08; RFC 2003 §3.1, RFC 7588 §3.3.2.1). An inner DF is always kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum DfPolicy {
    /// Always set: the outer packet is atomic and needs no identification (RFC 6864 §4.1).
    #[default]
    Set,
    /// The inner flag. Where it is clear routers may fragment the outer packet, which then needs an
    /// identification of its own (F-02, F-03; RFC 6864 §4.3).
    Copy(IdSource),
}

/// Where the identification of an outer packet comes from that may be fragmented.
///
/// It must not repeat for the same source, destination and protocol within two minutes: that bounds
/// such a tunnel to 546 packets a second (F-06; RFC 6864 §3.2). Prefer [`DfPolicy::Set`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum IdSource {
    /// The low 16 bits of [`PerPacket::with_ordinal`].
    Ordinal,
    /// This value in every packet. Only to reproduce a packet that somebody else has made: fragments
    /// of different packets with the same identification are mixed up.
    Constant(u16),
}

impl IdSource {
    pub(super) fn identification(self, packet: &PerPacket) -> Result<u16, EncapError> {
        match self {
            Self::Constant(identification) => Ok(identification),
            Self::Ordinal => {
                let [_, _, high, low] = packet
                    .ordinal()
                    .ok_or(EncapError::NoIdentification)?
                    .to_be_bytes();
                Ok(u16::from_be_bytes([high, low]))
            }
        }
    }
}
