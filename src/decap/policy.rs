//! What a receiver makes of inner packets, as data.

/// What becomes of the inner DSCP at decapsulation (RFC 2983 §5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum EgressDscp {
    /// It stays, and the outer one is discarded: the pipe model.
    #[default]
    Keep,
    /// The outer one replaces it: the uniform model. The tunnel's path can then change priorities, so
    /// use it only for a path under the same administration.
    Uniform,
}

/// Whether inner packets may be tunnel packets themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum InnerTunnels {
    /// In transit they pass: a user's own 6in4, GRE or IP-in-IP packets are payload. Only what this host
    /// would open again counts against the nesting limit.
    #[default]
    Transit,
    /// They are refused: protocols 4, 41, 47, 55 and 137.
    Refuse,
}

/// What a [`Receiver`](super::Receiver) allows and refuses of the packets inside, beyond what its
/// [`Access`](super::Access) says.
///
/// The fields are public, so a policy is changed with the update syntax, and passed on as a value:
///
/// ```
/// use ipencap::decap::{EgressDscp, InnerPolicy};
///
/// let policy = InnerPolicy { allows_multicast: true, ..InnerPolicy::DEFAULT };
/// assert_eq!(policy.egress_dscp, EgressDscp::Keep);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(
    clippy::exhaustive_structs,
    clippy::struct_excessive_bools,
    reason = "a set of choices, built by the caller"
)]
pub struct InnerPolicy {
    /// What becomes of the inner DSCP.
    pub egress_dscp: EgressDscp,
    /// Whether inner packets may be tunnel packets.
    pub inner_tunnels: InnerTunnels,
    /// Allows inner packets to multicast groups.
    pub allows_multicast: bool,
    /// Allows inner class E addresses, 240/4.
    pub allows_class_e: bool,
    /// Allows inner packets from one of our own addresses
    /// ([`Receiver::allowing_own_source`](super::Receiver::allowing_own_source)).
    pub allows_own_source: bool,
    /// Allows inner packets to the peer itself
    /// ([`Receiver::allowing_destination_peer`](super::Receiver::allowing_destination_peer)).
    pub allows_destination_peer: bool,
    /// Refuses inner packets that are shorter than the tunnel's payload.
    pub exact_length: bool,
    /// Refuses inner packets from an address to itself.
    pub refuses_land: bool,
}

impl InnerPolicy {
    /// Unicast only, no tunnels that this host would open again, the inner DSCP as it is.
    pub const DEFAULT: Self = Self {
        egress_dscp: EgressDscp::Keep,
        inner_tunnels: InnerTunnels::Transit,
        allows_multicast: false,
        allows_class_e: false,
        allows_own_source: false,
        allows_destination_peer: false,
        exact_length: false,
        refuses_land: false,
    };

    /// Whether it asks for no check that most packets do not need.
    #[inline(always)]
    pub(super) const fn is_common(self) -> bool {
        !(self.exact_length || self.refuses_land || self.is_uniform() || self.refuses_tunnels())
    }

    #[inline(always)]
    pub(super) const fn is_uniform(self) -> bool {
        matches!(self.egress_dscp, EgressDscp::Uniform)
    }

    #[inline(always)]
    pub(super) const fn refuses_tunnels(self) -> bool {
        matches!(self.inner_tunnels, InnerTunnels::Refuse)
    }
}

impl Default for InnerPolicy {
    #[inline]
    fn default() -> Self {
        Self::DEFAULT
    }
}
