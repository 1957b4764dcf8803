//! The policies of an outer header: from the enums to the words, and back for display.

use core::fmt;
use core::num::NonZeroU8;

use super::{Outer, Switches};
use crate::encap::policy::{DfPolicy, DscpPolicy, EcnPolicy, IdSource, Role, TtlPolicy};
use crate::wire::{Dscp, Ecn};

/// The ECN field's bits in the TOS byte.
const ECN: u8 = 0b11;

impl Outer {
    pub(in crate::encap) const fn with_ttl(self, ttl: TtlPolicy) -> Self {
        let (ttl, inherits) = match ttl {
            TtlPolicy::Fixed(ttl) => (ttl.get(), false),
            TtlPolicy::Inherit => (0, true),
        };
        let mut second = self.second.to_ne_bytes();
        second[0] = ttl;
        Self {
            second: u64::from_ne_bytes(second),
            ..self.switched(Switches::INHERIT_TTL, inherits)
        }
        .completed()
    }

    pub(in crate::encap) const fn with_dscp(self, dscp: DscpPolicy) -> Self {
        match dscp {
            DscpPolicy::Copy => self.with_tos(self.copied_tos | !ECN, 0),
            DscpPolicy::Fixed(dscp) => {
                self.with_tos(self.copied_tos & ECN, dscp.with_ecn(Ecn::NotEct))
            }
        }
    }

    pub(in crate::encap) const fn with_ecn(self, ecn: EcnPolicy) -> Self {
        let copied = match ecn {
            EcnPolicy::Normal | EcnPolicy::Rfc3168 => self.copied_tos | ECN,
            EcnPolicy::Compatibility => self.copied_tos & !ECN,
        };
        self.with_tos(copied, self.constant_tos())
            .switched(Switches::RESET_CE, matches!(ecn, EcnPolicy::Rfc3168))
    }

    pub(in crate::encap) const fn with_df(self, df: DfPolicy) -> Self {
        let (copies, counts, identification) = match df {
            DfPolicy::Set => (false, false, 0),
            DfPolicy::Copy(IdSource::PerPacket) => (true, true, 0),
            DfPolicy::Copy(IdSource::Constant(identification)) => (true, false, identification),
        };
        Self {
            identification,
            ..self
                .switched(Switches::COPY_DF, copies)
                .switched(Switches::PER_PACKET_IDENTIFICATION, counts)
        }
    }

    pub(in crate::encap) const fn with_atomic_identification(self, identification: u16) -> Self {
        let mut first = self.first.to_ne_bytes();
        [first[4], first[5]] = identification.to_be_bytes();
        Self {
            first: u64::from_ne_bytes(first),
            ..self
        }
        .completed()
    }

    pub(in crate::encap) const fn with_role(self, role: Role) -> Self {
        self.switched(Switches::FORWARD, matches!(role, Role::Forward))
    }

    pub(in crate::encap) const fn with_link_mtu(self, mtu: u16) -> Self {
        Self {
            max_len: mtu,
            ..self
        }
        .completed()
    }

    pub(in crate::encap) const fn allowing_hairpin(self) -> Self {
        self.switched(Switches::HAIRPIN, true)
    }

    /// Sets whether it calls no packet ordinary.
    pub(in crate::encap) const fn with_unusual(self, is_unusual: bool) -> Self {
        self.switched(Switches::UNUSUAL, is_unusual)
    }

    const fn with_tos(self, copied: u8, constant: u8) -> Self {
        let mut first = self.first.to_ne_bytes();
        first[1] = constant;
        Self {
            first: u64::from_ne_bytes(first),
            copied_tos: copied,
            ..self
        }
        .completed()
    }

    const fn switched(self, switch: Switches, on: bool) -> Self {
        let switches = if on {
            self.switches.union(switch)
        } else {
            self.switches.difference(switch)
        };
        Self { switches, ..self }.completed()
    }

    #[inline]
    pub(super) const fn constant_tos(&self) -> u8 {
        let [_, tos, ..] = self.first.to_ne_bytes();
        tos
    }

    const fn ttl(&self) -> TtlPolicy {
        let [ttl, ..] = self.second.to_ne_bytes();
        match NonZeroU8::new(ttl) {
            Some(ttl) => TtlPolicy::Fixed(ttl),
            None => TtlPolicy::Inherit,
        }
    }

    const fn dscp(&self) -> DscpPolicy {
        if self.copied_tos & !ECN == 0 {
            DscpPolicy::Fixed(Dscp::from_tos(self.constant_tos()))
        } else {
            DscpPolicy::Copy
        }
    }

    const fn ecn(&self) -> EcnPolicy {
        if self.copied_tos & ECN == 0 {
            EcnPolicy::Compatibility
        } else if self.switches.contains(Switches::RESET_CE) {
            EcnPolicy::Rfc3168
        } else {
            EcnPolicy::Normal
        }
    }

    const fn df(&self) -> DfPolicy {
        if !self.switches.contains(Switches::COPY_DF) {
            DfPolicy::Set
        } else if self.switches.contains(Switches::PER_PACKET_IDENTIFICATION) {
            DfPolicy::Copy(IdSource::PerPacket)
        } else {
            DfPolicy::Copy(IdSource::Constant(self.identification))
        }
    }
}

/// The policies, not what they come to.
impl fmt::Debug for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [_, _, _, _, high, low, ..] = self.first.to_ne_bytes();
        f.debug_struct("Outer")
            .field("source", &self.source())
            .field("destination", &self.destination())
            .field("ttl", &self.ttl())
            .field("dscp", &self.dscp())
            .field("ecn", &self.ecn())
            .field("df", &self.df())
            .field("atomic_identification", &u16::from_be_bytes([high, low]))
            .field("role", &self.role())
            .field("hairpin", &self.switches.contains(Switches::HAIRPIN))
            .field("max_len", &self.max_len)
            .finish_non_exhaustive()
    }
}

/// The policies of the outer header, as methods of the encapsulator that holds it in `outer`.
macro_rules! outer_policies {
    ($Type:ty $(, $($generic:tt)+)?) => {
        impl $(<$($generic)+>)? $Type {
            /// Sets how the outer TTL follows.
            #[inline]
            pub const fn with_ttl(mut self, ttl: $crate::encap::TtlPolicy) -> Self {
                self.outer = self.outer.with_ttl(ttl);
                self
            }

            /// Sets how the outer DSCP follows.
            #[inline]
            pub const fn with_dscp(mut self, dscp: $crate::encap::DscpPolicy) -> Self {
                self.outer = self.outer.with_dscp(dscp);
                self
            }

            /// Sets how the outer ECN field follows.
            #[inline]
            pub const fn with_ecn(mut self, ecn: $crate::encap::EcnPolicy) -> Self {
                self.outer = self.outer.with_ecn(ecn);
                self
            }

            /// Sets how the outer DF flag follows.
            #[inline]
            pub const fn with_df(mut self, df: $crate::encap::DfPolicy) -> Self {
                self.outer = self.outer.with_df(df);
                self
            }

            /// Sets the identification of outer packets with DF, which nobody reads (F-01; RFC 6864
            /// §4.1); 0 unless said.
            #[inline]
            pub const fn with_atomic_identification(mut self, identification: u16) -> Self {
                self.outer = self.outer.with_atomic_identification(identification);
                self
            }

            /// Sets whether packets originate here or are forwarded.
            #[inline]
            pub const fn with_role(mut self, role: $crate::encap::Role) -> Self {
                self.outer = self.outer.with_role(role);
                self
            }

            /// Sets the MTU of the link or path behind the tunnel, in bytes: a packet that would
            /// exceed it is [`EncapError::FragmentationNeeded`](crate::error::EncapError).
            #[inline]
            pub const fn with_link_mtu(mut self, mtu: u16) -> Self {
                self.outer = self.outer.with_link_mtu(mtu);
                self
            }

            /// Lets packets through whose inner source is the tunnel's exit (relaxes E-17).
            ///
            /// For a load balancer whose backends call the address that they stand behind: their
            /// packets come back into the tunnel they came from. Everywhere else such a packet loops
            /// (RFC 2003 §3.2).
            #[inline]
            pub const fn allowing_hairpin(mut self) -> Self {
                self.outer = self.outer.allowing_hairpin();
                self
            }

            /// The outer source.
            #[inline]
            #[must_use]
            pub const fn source(&self) -> core::net::Ipv4Addr {
                self.outer.source()
            }

            /// The outer destination, the tunnel's exit.
            #[inline]
            #[must_use]
            pub const fn destination(&self) -> core::net::Ipv4Addr {
                self.outer.destination()
            }

            /// Whether the routing of this packet into this tunnel looks like a loop (L-04; RFC 2003
            /// §3.2): its source is the tunnel's exit or, when forwarding, the encapsulator; or it is
            /// already a packet of this very tunnel. The last case is not refused by
            /// [`encap`](crate::encap::encap).
            #[inline]
            #[must_use]
            pub fn would_loop(&self, inner: &$crate::packet::PacketMeta) -> bool {
                let port = self.tunnel_port();
                self.outer.would_loop(inner, port)
            }
        }
    };
}
pub(in crate::encap) use outer_policies;
