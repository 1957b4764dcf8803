//! What a receiver makes of inner packets, as data.

use super::pipeline::Switches;

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

    pub(super) const fn switches(self) -> Switches {
        const fn when(is_set: bool, switch: Switches) -> Switches {
            if is_set { switch } else { Switches::empty() }
        }
        let uniform = matches!(self.egress_dscp, EgressDscp::Uniform);
        let refuse = matches!(self.inner_tunnels, InnerTunnels::Refuse);
        when(uniform, Switches::UNIFORM_DSCP)
            .union(when(refuse, Switches::NO_TUNNELS))
            .union(when(self.allows_multicast, Switches::MULTICAST))
            .union(when(self.allows_class_e, Switches::CLASS_E))
            .union(when(self.allows_own_source, Switches::OWN_SOURCE))
            .union(when(self.allows_destination_peer, Switches::TO_PEER))
            .union(when(self.exact_length, Switches::EXACT_LENGTH))
            .union(when(self.refuses_land, Switches::NO_LAND))
    }
}

impl Default for InnerPolicy {
    #[inline]
    fn default() -> Self {
        Self::DEFAULT
    }
}
