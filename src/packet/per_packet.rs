/// What changes from packet to packet, for all tunnels.
///
/// The default is right for the default policies.
///
/// ```
/// use ipencap::packet::PerPacket;
/// let seventh = PerPacket::new().with_identification(7).with_link_mtu(1500);
/// # let _ = seventh;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use]
pub struct PerPacket {
    sequence: u32,
    flow_hash: u32,
    tcp_sequence: u32,
    tcp_acknowledgment: u32,
    /// 65535 where there is no limit.
    link_mtu: u16,
    /// The same, but 0 where there is a segment length: such packets are none of the common ones.
    common_max_len: u16,
    identification: u16,
    segment_len: u16,
    /// Which of the values without a default are there; the others are 0.
    given: Given,
}

bitflags::bitflags! {
    /// Plain bits: copies of four `Option`s were taken apart and put together again.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    struct Given: u8 {
        const IDENTIFICATION = 1;
        const SEQUENCE = 2;
        const SEGMENT_LEN = 4;
        const FLOW_HASH = 8;
        /// The state of the inner checksum, if it is not complete.
        const VERIFIED = 16;
        const PARTIAL = 32;
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Given {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{=u8:b}", self.bits());
    }
}

impl Default for PerPacket {
    #[inline]
    fn default() -> Self {
        Self::new()
    }
}

impl PerPacket {
    /// All defaults.
    #[inline]
    pub const fn new() -> Self {
        Self {
            sequence: 0,
            flow_hash: 0,
            tcp_sequence: 0,
            tcp_acknowledgment: 0,
            link_mtu: u16::MAX,
            common_max_len: u16::MAX,
            identification: 0,
            segment_len: 0,
            given: Given::empty(),
        }
    }

    /// Sets the identification of outer headers that may be fragmented
    /// ([`IdSource::PerPacket`](crate::encap::IdSource::PerPacket)).
    ///
    /// It must not repeat within two minutes for the same source, destination and protocol (RFC 6864
    /// §4.3). A counter does; where identifications must not be predictable, permute the counter with a
    /// key (RFC 7739).
    #[inline]
    pub const fn with_identification(self, identification: u16) -> Self {
        Self {
            identification,
            given: self.given.union(Given::IDENTIFICATION),
            ..self
        }
    }

    /// Sets the sequence number of a GRE header ([`Gre::with_sequence`](crate::shim::Gre::with_sequence)).
    /// Count the packets of the tunnel from 0 (RFC 2890 §2.2). A packet that an [`Endpoint`](crate::tunnel::Endpoint)
    /// splits takes as many numbers as it has fragments.
    #[inline]
    pub const fn with_sequence(self, sequence: u32) -> Self {
        Self {
            sequence,
            given: self.given.union(Given::SEQUENCE),
            ..self
        }
    }

    /// Sets the MTU of the path that the outermost packet will take, in bytes: a packet that would
    /// exceed it is [`FragmentationNeeded`](crate::error::EncapError::FragmentationNeeded) instead.
    /// 65535 is no limit. If the tunnel has a
    /// [`link_mtu`](crate::encap::OuterPolicy::link_mtu) too, the smaller one counts.
    #[inline]
    pub const fn with_link_mtu(self, mtu: u16) -> Self {
        Self {
            link_mtu: mtu,
            ..self
        }
        .completed()
    }

    /// Sets the length of the longest segment, in bytes from its IPv4 header on, where the packet is a
    /// super-packet that a device will split (TCP or UDP segmentation offload).
    ///
    /// MTUs are compared with this length and the tunnel's overhead; the packet as a whole must still fit
    /// 16 bits. A length beyond the packet's own means the packet.
    #[inline]
    pub const fn with_segment_len(self, segment_len: u16) -> Self {
        Self {
            segment_len,
            given: self.given.union(Given::SEGMENT_LEN),
            ..self
        }
        .completed()
    }

    #[inline(always)]
    const fn has(&self, value: Given) -> bool {
        self.given.contains(value)
    }

    #[inline(always)]
    const fn completed(self) -> Self {
        let common_max_len = if self.has(Given::SEGMENT_LEN) {
            0
        } else {
            self.link_mtu
        };
        Self {
            common_max_len,
            ..self
        }
    }

    /// Sets the hash of the packet's flow, for outer source ports
    /// ([`SourcePort::Entropy`](crate::shim::SourcePort::Entropy)), where the caller has one: a network
    /// card's receive hash, a load balancer's. All fragments of a datagram must have the same.
    ///
    /// A hash that also chose the tunnel says less about the port. Of 1024 tunnels chosen by `hash % 1024`
    /// each would see 16 ports of [`PortRange::Dynamic`](crate::shim::PortRange::Dynamic), which has the
    /// low 14 bits. Choose by the high bits, `(u64::from(hash) * n) >> 32`, or use a range that all bits
    /// go into.
    #[inline]
    pub const fn with_flow_hash(self, hash: u32) -> Self {
        Self {
            flow_hash: hash,
            given: self.given.union(Given::FLOW_HASH),
            ..self
        }
    }

    /// Sets the state of the inner packet's own checksum.
    #[inline]
    pub const fn with_inner_checksum(self, inner_checksum: InnerChecksum) -> Self {
        let others = self.given.difference(Given::VERIFIED.union(Given::PARTIAL));
        Self {
            given: match inner_checksum {
                InnerChecksum::Complete => others,
                InnerChecksum::Verified => others.union(Given::VERIFIED),
                InnerChecksum::Partial => others.union(Given::PARTIAL),
            },
            ..self
        }
    }

    /// Sets sequence and acknowledgment number of an outer TCP segment ([`Tcp`](crate::shim::Tcp)).
    #[inline]
    pub const fn with_tcp_numbers(self, sequence: u32, acknowledgment: u32) -> Self {
        Self {
            tcp_sequence: sequence,
            tcp_acknowledgment: acknowledgment,
            ..self
        }
    }

    /// The identification of outer headers that may be fragmented.
    #[inline]
    #[must_use]
    pub const fn identification(&self) -> Option<u16> {
        if self.has(Given::IDENTIFICATION) {
            Some(self.identification)
        } else {
            None
        }
    }

    /// The sequence number of a GRE header.
    #[inline]
    #[must_use]
    pub const fn sequence(&self) -> Option<u32> {
        if self.has(Given::SEQUENCE) {
            Some(self.sequence)
        } else {
            None
        }
    }

    /// The MTU of the outermost packet's path, in bytes.
    #[inline]
    #[must_use]
    pub const fn link_mtu(&self) -> Option<u16> {
        match self.link_mtu {
            u16::MAX => None,
            mtu => Some(mtu),
        }
    }

    /// The length of the longest segment of a super-packet, in bytes.
    #[inline]
    #[must_use]
    pub const fn segment_len(&self) -> Option<u16> {
        if self.has(Given::SEGMENT_LEN) {
            Some(self.segment_len)
        } else {
            None
        }
    }

    /// The hash of the packet's flow.
    #[inline]
    #[must_use]
    pub const fn flow_hash(&self) -> Option<u32> {
        if self.has(Given::FLOW_HASH) {
            Some(self.flow_hash)
        } else {
            None
        }
    }

    /// The state of the inner packet's own checksum.
    #[inline]
    #[must_use]
    pub const fn inner_checksum(&self) -> InnerChecksum {
        if self.has(Given::VERIFIED) {
            InnerChecksum::Verified
        } else if self.has(Given::PARTIAL) {
            InnerChecksum::Partial
        } else {
            InnerChecksum::Complete
        }
    }

    /// Sequence and acknowledgment number of an outer TCP segment.
    #[inline]
    #[must_use]
    pub const fn tcp_numbers(&self) -> (u32, u32) {
        (self.tcp_sequence, self.tcp_acknowledgment)
    }

    /// The sequence number of the packet behind this one, which has one.
    #[inline(always)]
    pub(crate) const fn next_sequence(&self) -> u32 {
        self.sequence.wrapping_add(1)
    }

    /// The same without the numbers that no two packets share.
    pub(crate) const fn without_numbers(self) -> Self {
        let numbers = Given::IDENTIFICATION.union(Given::SEQUENCE);
        Self {
            identification: 0,
            sequence: 0,
            given: self.given.difference(numbers),
            ..self
        }
    }

    /// The longest outermost packet that these rules let pass, in bytes: the MTU, or what 16 bits can
    /// say.
    #[inline(always)]
    pub(crate) const fn max_len(&self, rules: Rules) -> u16 {
        match rules {
            Rules::Common => self.common_max_len,
            Rules::All | Rules::Explained | Rules::HeadersOnly => self.link_mtu,
        }
    }
}

/// The state of the inner packet's own TCP or UDP checksum.
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

/// Which packets and policies a call must handle. It is a constant in each call, so that the compiler removes
/// the branches for the others.
///
/// [`encap`](crate::encap()) first calls [`check`](crate::encap::Encapsulate::check) with
/// [`Common`](Self::Common), inlined. If that fails, it calls it with [`All`](Self::All), out of line. If that
/// fails, too, it calls it with [`Explained`](Self::Explained), and returns that error. A tunnel of your own may
/// ignore the rules and handle every packet each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "every tunnel must cover them all")]
pub enum Rules {
    /// Packets without header options, and the policies that most tunnels use. The tunnel may refuse any other
    /// packet with any error, which is not used.
    Common,
    /// Every packet and policy. The error is not used.
    All,
    /// Every packet and policy. The error is returned to the caller, so it must be the right one.
    Explained,
    /// As `Explained`, but without the packet's bytes: a checksum over them needs
    /// [`Facts::byte_sum`](crate::packet::Facts::byte_sum).
    HeadersOnly,
}

/// Evaluates an expression with each of the [`Rules`] as a constant: one body for each, where the rules
/// are known at run time only (dynamic dispatch).
macro_rules! by_rules {
    ($rules:expr, $constant:ident => $do:expr) => {{
        use $crate::packet::Rules;
        match $rules {
            Rules::Common if $crate::wire::COMMON_FIRST => {
                let $constant = Rules::Common;
                $do
            }
            Rules::All if $crate::wire::COMMON_FIRST => {
                let $constant = Rules::All;
                $do
            }
            Rules::HeadersOnly => {
                let $constant = Rules::HeadersOnly;
                $do
            }
            Rules::Common | Rules::All | Rules::Explained => {
                let $constant = Rules::Explained;
                $do
            }
        }
    }};
}
pub(crate) use by_rules;

impl Rules {
    /// Whether they are but the common ones.
    #[inline(always)]
    pub(crate) const fn are_common(self) -> bool {
        matches!(self, Self::Common)
    }

    /// Whether somebody reads the error.
    #[inline(always)]
    pub(crate) const fn explain(self) -> bool {
        matches!(self, Self::Explained | Self::HeadersOnly)
    }
}
