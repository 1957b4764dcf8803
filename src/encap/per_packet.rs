use super::{InnerChecksum, narrowed};

/// What changes from packet to packet, for all encapsulators.
///
/// The default is right for the default policies.
///
/// ```
/// use ipencap::encap::PerPacket;
/// let seventh = PerPacket::new().with_identification(7).with_link_mtu(1500);
/// # let _ = seventh;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use]
pub struct PerPacket {
    identification: Option<u16>,
    sequence: Option<u32>,
    /// 65535 where nothing is said: no packet is longer.
    link_mtu: u16,
    /// 65535 where nothing is said: no packet is longer.
    segment_len: u16,
    flow_hash: Option<u32>,
    inner_checksum: InnerChecksum,
    tcp_sequence: u32,
    tcp_acknowledgment: u32,
}

impl Default for PerPacket {
    #[inline]
    fn default() -> Self {
        Self::new()
    }
}

impl PerPacket {
    /// Nothing said.
    #[inline]
    pub const fn new() -> Self {
        Self {
            identification: None,
            sequence: None,
            link_mtu: u16::MAX,
            segment_len: u16::MAX,
            flow_hash: None,
            inner_checksum: InnerChecksum::Complete,
            tcp_sequence: 0,
            tcp_acknowledgment: 0,
        }
    }

    /// Says the identification of outer headers that may be fragmented
    /// ([`IdSource::PerPacket`](super::IdSource::PerPacket)). It must not repeat within two minutes for the
    /// same source, destination and protocol (F-02; RFC 6864 §4.3). A counter does; where
    /// identifications must not be predictable, permute the counter with a key (F-07).
    #[inline]
    pub const fn with_identification(self, identification: u16) -> Self {
        Self {
            identification: Some(identification),
            ..self
        }
    }

    /// Says the sequence number of a GRE header ([`Gre::with_sequence`](super::Gre::with_sequence)). Count
    /// the packets of the tunnel from 0 (R-11; RFC 2890 §2.2).
    #[inline]
    pub const fn with_sequence(self, sequence: u32) -> Self {
        Self {
            sequence: Some(sequence),
            ..self
        }
    }

    /// Says the MTU of the path that the outermost packet will take, in bytes: a packet that would
    /// exceed it is [`FragmentationNeeded`](crate::error::EncapError::FragmentationNeeded) instead. 65535 is no limit.
    #[inline]
    pub const fn with_link_mtu(self, mtu: u16) -> Self {
        Self {
            link_mtu: mtu,
            ..self
        }
    }

    /// Says that the packet is a super-packet of segmentation offload, which hardware or the kernel will
    /// cut into packets of at most `len` bytes, headers included: its MTU check takes each as so long.
    ///
    /// ```text
    ///  super-packet   [headers][payload ······························]
    ///  segments       [headers][payload ···][headers][payload ···] …     each at most `len` bytes
    /// ```
    ///
    /// [`FragmentationNeeded`](crate::error::EncapError::FragmentationNeeded) is for segments that exceed the
    /// link. The super-packet with its headers must still fit 65535 bytes. What is written are the headers of
    /// the super-packet; whoever cuts it adapts them to each segment. A length above the packet's says
    /// nothing; 65535 is no limit.
    ///
    /// ```
    /// # use core::net::Ipv4Addr;
    /// # use ipencap::{error::EncapError, packet::PacketMeta, wire::{IpProtocol, Ipv4Header}};
    /// # use ipencap::encap::{Encapsulate, IpIp, PerPacket};
    /// # fn main() -> Result<(), ipencap::error::ConfigError> {
    /// let tunnel = IpIp::new(Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2))?.with_link_mtu(1500);
    /// # let (source, destination) = (Ipv4Addr::new(10, 1, 0, 5), Ipv4Addr::new(10, 2, 0, 9));
    /// let header = Ipv4Header::new(source, destination, IpProtocol::TCP, 14440);
    /// let super_packet = PacketMeta::trusted(header);
    /// assert!(tunnel.judge(&super_packet, &PerPacket::new().with_segment_len(1480)).is_ok());
    /// let refused = tunnel.judge(&super_packet, &PerPacket::new().with_segment_len(1481));
    /// assert_eq!(refused, Err(EncapError::FragmentationNeeded { mtu: 1480 }));
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub const fn with_segment_len(self, len: u16) -> Self {
        Self {
            segment_len: len,
            ..self
        }
    }

    /// Says the hash of the packet's flow, for outer source ports ([`SourcePort::Entropy`](super::SourcePort::Entropy)), where
    /// the caller has one: a card's receive hash, a load balancer's. All fragments of a datagram
    /// must have the same.
    #[inline]
    pub const fn with_flow_hash(self, hash: u32) -> Self {
        Self {
            flow_hash: Some(hash),
            ..self
        }
    }

    /// Says what is known of the inner packet's own checksum.
    #[inline]
    pub const fn with_inner_checksum(self, inner_checksum: InnerChecksum) -> Self {
        Self {
            inner_checksum,
            ..self
        }
    }

    /// Says sequence and acknowledgment number of an outer TCP segment ([`Tcp`](super::Tcp)).
    #[inline]
    pub const fn with_tcp_numbers(self, sequence: u32, acknowledgment: u32) -> Self {
        Self {
            tcp_sequence: sequence,
            tcp_acknowledgment: acknowledgment,
            ..self
        }
    }

    /// The hash of the packet's flow.
    #[inline]
    #[must_use]
    pub const fn flow_hash(&self) -> Option<u32> {
        self.flow_hash
    }

    /// What is known of the inner packet's own checksum.
    #[inline]
    #[must_use]
    pub const fn inner_checksum(&self) -> InnerChecksum {
        self.inner_checksum
    }

    /// Sequence and acknowledgment number of an outer TCP segment.
    #[inline]
    #[must_use]
    pub const fn tcp_numbers(&self) -> (u32, u32) {
        (self.tcp_sequence, self.tcp_acknowledgment)
    }

    /// The identification of outer headers that may be fragmented.
    #[inline]
    #[must_use]
    pub const fn identification(&self) -> Option<u16> {
        self.identification
    }

    /// The sequence number of a GRE header.
    #[inline]
    #[must_use]
    pub const fn sequence(&self) -> Option<u32> {
        self.sequence
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

    /// The longest packet that a super-packet will be cut into, in bytes.
    #[inline]
    #[must_use]
    pub const fn segment_len(&self) -> Option<u16> {
        match self.segment_len {
            u16::MAX => None,
            len => Some(len),
        }
    }

    /// The same to a layer around `inside` bytes of headers, which each segment gets.
    #[inline]
    pub(super) fn around(&self, inside: usize) -> Self {
        match self.segment_len() {
            Some(len) => self.with_segment_len(len.saturating_add(narrowed(inside))),
            None => *self,
        }
    }

    /// What it says to a layer that `outside` bytes of headers will be around: what they leave of the
    /// MTU.
    #[inline]
    pub(super) fn inside(&self, outside: usize) -> Self {
        match self.link_mtu() {
            Some(mtu) => self.with_link_mtu(mtu.saturating_sub(narrowed(outside))),
            None => *self,
        }
    }

    /// The longest outermost packet, in bytes: the MTU, or what 16 bits can say.
    #[inline]
    pub(crate) const fn max_len(&self) -> u16 {
        self.link_mtu
    }
}
