//! How the fields of an outer header follow from the inner one: policies as plain data.

use core::num::NonZeroU8;

use super::PerPacket;
use crate::packet::{Flow, PacketMeta};
use crate::wire::{Dscp, Ecn};

/// Whether the encapsulator is the packet's origin or a hop on its way.
///
/// | who wraps | role |
/// |---|---|
/// | a daemon that reads from a TUN device | `Originate`: the kernel's forwarding has already decremented the TTL |
/// | a host, its own packets | `Originate` |
/// | a router or load balancer that takes packets from the link itself (XDP, DPDK, a raw socket) | `Forward`, unless something else decrements |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(
    clippy::exhaustive_enums,
    reason = "RFC 2003 §3.1 knows these two cases"
)]
pub enum Role {
    /// The packet starts here, or its hop here is already counted: the inner TTL stays (T-05).
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
    /// [`PerPacket::with_identification`].
    PerPacket,
    /// This value in every packet. Only to reproduce a packet that somebody else has made: fragments
    /// of different packets with the same identification are mixed up.
    Constant(u16),
}

/// How the checksum of an outer UDP header comes about (U-02 to U-04, C-20 to C-22).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ChecksumPolicy {
    /// From the headers alone where the inner packet is a whole TCP segment or checksummed UDP
    /// datagram, whatever its size; else over all bytes. The same value either way, if the inner
    /// checksum is right; if it is wrong, so is the outer one, and the receiver drops the packet
    /// (local checksum offload; C-20, C-21).
    #[default]
    Offload,
    /// Over all bytes, always.
    Full,
    /// None (U-04; RFC 8085 §3.4.1): the inner packet must protect itself.
    Zero,
}

/// What the caller knows of the inner packet's own TCP or UDP checksum (C-22).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum InnerChecksum {
    /// It is filled in.
    #[default]
    Complete,
    /// It is filled in, and hardware has verified it.
    Verified,
    /// It still holds the sum of the pseudo-header, as a TUN device with offload hands packets over
    /// (`CHECKSUM_PARTIAL`, virtio's `NEEDS_CSUM`). An outer checksum from the headers alone becomes
    /// right when the inner one is filled in; a sum over all bytes would not.
    Partial,
}

/// The source port of an outer UDP header (U-13, U-14; RFC 8086 §3.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SourcePort {
    /// A constant: all of the tunnel takes one path.
    Fixed(u16),
    /// From a hash of the inner flow ([`Flow::hash`](crate::packet::Flow::hash) with this seed, or
    /// [`PerPacket::with_flow_hash`]), so that routers and cards spread the tunnel's flows.
    Entropy {
        /// The seed of the hash, one per encapsulator.
        seed: u32,
        /// Where the port lies.
        range: PortRange,
    },
}

impl Default for SourcePort {
    #[inline]
    fn default() -> Self {
        Self::Entropy {
            seed: 0,
            range: PortRange::Dynamic,
        }
    }
}

/// How a 32-bit flow hash becomes a source port (A-33).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum PortRange {
    /// 49152 to 65535, from the low 14 bits (RFC 8086 §3.2.1).
    #[default]
    Dynamic,
    /// 49152 to 65535, from all 32 bits.
    DynamicFolded,
    /// 32768 to 60999, as Linux with its default local port range.
    Linux,
    /// 32768 to 65535, as the GLB director.
    Glb,
}

impl PortRange {
    /// The port of this flow hash.
    ///
    /// ```
    /// use ipencap::encap::PortRange;
    /// assert_eq!(PortRange::Dynamic.port(0x1234_5678), 54904);
    /// assert_eq!(PortRange::Linux.port(0x1234_5678), 40299);
    /// ```
    #[inline]
    #[must_use]
    pub const fn port(self, hash: u32) -> u16 {
        let [_, _, high, low] = match self {
            Self::Dynamic => 0xc000 | (hash & 0x3fff),
            Self::DynamicFolded => 0xc000 | ((hash ^ (hash >> 16)) & 0x3fff),
            Self::Glb => 0x8000 | (hash & 0x7fff),
            Self::Linux => {
                // The range's 28231 ports, as a fixed-point fraction of 2^32, in 16-bit halves.
                let mixed = hash ^ (hash << 16);
                let low = ((mixed & 0xffff).wrapping_mul(28_231)) >> 16;
                let high = (mixed >> 16).wrapping_mul(28_231);
                32_768u32.wrapping_add(high.wrapping_add(low) >> 16)
            }
        }
        .to_be_bytes();
        u16::from_be_bytes([high, low])
    }
}

impl SourcePort {
    #[inline(always)]
    pub(super) const fn of(self, inner: &PacketMeta, packet: &PerPacket) -> u16 {
        match (self, packet.flow_hash()) {
            (Self::Fixed(port), _) => port,
            (Self::Entropy { range, .. }, Some(hash)) => range.port(hash),
            (Self::Entropy { seed, range }, None) => hashed_port(inner.flow(), seed, range),
        }
    }
}

/// Out of line, lest the fast paths give up registers for it.
#[cold]
#[inline(never)]
const fn hashed_port(flow: Flow, seed: u32, range: PortRange) -> u16 {
    range.port(flow.hash(seed))
}
