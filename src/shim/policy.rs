use super::widened;
use crate::packet::{Facts, PerPacket, Rules};

/// How the checksum of an outer UDP header comes about (RFC 768, RFC 8085 §3.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ChecksumPolicy {
    /// From the headers alone where the inner packet is a whole TCP segment or checksummed UDP
    /// datagram, whatever its size; else over all bytes. The same value either way, if the inner
    /// checksum is right; if it is wrong, so is the outer one, and the receiver drops the packet
    /// (local checksum offload).
    #[default]
    Offload,
    /// Over all bytes, always.
    Full,
    /// None (RFC 8085 §3.4.1): the inner packet must protect itself.
    Zero,
}

/// The source port of an outer UDP header (RFC 8086 §3.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SourcePort {
    /// A constant: all of the tunnel takes one path.
    Fixed(u16),
    /// From a hash of the inner flow, so that routers and cards spread the tunnel's flows:
    /// [`PerPacket::with_flow_hash`](crate::packet::PerPacket::with_flow_hash) where it is set, else
    /// [`Flow::hash`](crate::packet::Flow::hash) with this seed.
    Entropy {
        /// The seed of the hash, one per encapsulator.
        seed: u32,
        /// Where the port lies.
        range: PortRange,
    },
}

impl SourcePort {
    /// From a hash with the seed 0, in the range [`PortRange::Dynamic`].
    pub const DEFAULT: Self = Self::Entropy {
        seed: 0,
        range: PortRange::Dynamic,
    };
}

impl Default for SourcePort {
    #[inline]
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// How a 32-bit flow hash becomes a source port.
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
    /// use ipencap::shim::PortRange;
    /// assert_eq!(PortRange::Dynamic.port(0x1234_5678), 54904);
    /// assert_eq!(PortRange::Linux.port(0x1234_5678), 40299);
    /// ```
    #[inline]
    #[must_use]
    pub const fn port(self, hash: u32) -> u16 {
        match self {
            Self::Dynamic => PortMask::DYNAMIC.port(hash),
            Self::DynamicFolded => PortMask::DYNAMIC.port(hash ^ (hash >> 16)),
            Self::Glb => PortMask::GLB.port(hash),
            Self::Linux => {
                // As a fixed-point fraction of 2^32, in 16-bit halves.
                let ports = widened(LINUX_PORTS);
                let mixed = hash ^ (hash << 16);
                let low = ((mixed & 0xffff).wrapping_mul(ports)) >> 16;
                let high = (mixed >> 16).wrapping_mul(ports);
                LINUX_FIRST.wrapping_add(low_half(high.wrapping_add(low) >> 16))
            }
        }
    }
}

/// The first port of [`PortRange::Linux`], and how many there are.
const LINUX_FIRST: u16 = 32_768;
const LINUX_PORTS: u16 = 28_231;

/// Some constant bits, and the hash's in the others.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct PortMask {
    constant: u16,
    /// Which bits come from the hash.
    mask: u16,
}

impl PortMask {
    const DYNAMIC: Self = Self {
        constant: 0xc000,
        mask: 0x3fff,
    };
    const GLB: Self = Self {
        constant: 0x8000,
        mask: 0x7fff,
    };

    #[inline(always)]
    const fn port(self, hash: u32) -> u16 {
        self.constant | (low_half(hash) & self.mask)
    }
}

#[inline(always)]
const fn low_half(word: u32) -> u16 {
    let [_, _, high, low] = word.to_be_bytes();
    u16::from_be_bytes([high, low])
}

/// A [`SourcePort`] as what it comes to for most: some constant bits, and some of the flow's hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct PortBits {
    source_port: SourcePort,
    /// Without bits from the hash for a fixed port.
    bits: PortMask,
    /// Whether the bits come from the hash as they are.
    is_masked: bool,
    seed: u32,
}

impl PortBits {
    pub(super) const fn new(source_port: SourcePort) -> Self {
        let (bits, is_masked, seed) = match source_port {
            SourcePort::Fixed(constant) => (PortMask { constant, mask: 0 }, true, 0),
            SourcePort::Entropy { seed, range } => match range {
                PortRange::Glb => (PortMask::GLB, true, seed),
                PortRange::Dynamic => (PortMask::DYNAMIC, true, seed),
                PortRange::DynamicFolded | PortRange::Linux => (PortMask::DYNAMIC, false, seed),
            },
        };
        Self {
            source_port,
            bits,
            is_masked,
            seed,
        }
    }

    /// Whether the port is some constant bits and some of the hash.
    pub(super) const fn is_masked(&self) -> bool {
        self.is_masked
    }

    /// Whether some flow has this port.
    pub(super) const fn yields(&self, port: u16) -> bool {
        match self.source_port {
            SourcePort::Entropy {
                range: PortRange::Linux,
                ..
            } => port >= LINUX_FIRST && port.wrapping_sub(LINUX_FIRST) < LINUX_PORTS,
            _ => port & !self.bits.mask == self.bits.constant,
        }
    }

    #[inline(always)]
    pub(super) const fn of(&self, inner: &Facts, packet: &PerPacket, rules: Rules) -> u16 {
        if self.bits.mask == 0 {
            return self.bits.constant;
        }
        let hash = match packet.flow_hash() {
            Some(hash) => hash,
            None => inner.flow().hash(self.seed),
        };
        match self.source_port {
            SourcePort::Entropy { range, .. } if !rules.are_common() && !self.is_masked => {
                range.port(hash)
            }
            _ => self.bits.port(hash),
        }
    }
}

/// The configuration, not what it comes to.
impl core::fmt::Debug for PortBits {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.source_port.fmt(f)
    }
}
