use super::native::beside;
use super::policy::PortBits;
use super::{
    Carried, ChecksumPolicy, PseudoHeader, Shim, SocketShim, SourcePort, fold, stored, widened,
};
use crate::checksum::Sum;
use crate::error::{EncapError, ParseError, Reason, Refused};
use crate::packet::{Facts, InnerChecksum, PerPacket, Rules};
use crate::wire::{self, FragmentOffset, IpProtocol, Ipv4, UdpChecksum, UdpHeader};

/// A UDP header, and what stands between it and the inner packet: nothing in [`Fou`](super::Fou), a
/// header of its own in [`Gue`](super::Gue) and [`GreInUdp`](super::GreInUdp).
///
/// ```text
///  before  [············· headroom ············][inner IPv4|payload]
///  after   [···][outer IPv4][UDP 8][I: 0 to n  ][inner IPv4|payload]
///               └── overhead 28 + n ───────────┘
/// ```
///
/// A sender's source port and checksum follow [`SourcePort`] and [`ChecksumPolicy`]. The default port is
/// a hash of the inner flow with the seed 0: set a seed of your own where the spread must not be
/// foreseen. A receiver verifies every checksum that is there. It does not look at the source port, unless
/// its access list does ([`PointToPoint::with_source_port`](crate::decap::PointToPoint::with_source_port)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Udp<I> {
    source_port: PortBits,
    destination_port: u16,
    checksum: ChecksumPolicy,
    requires_checksum: bool,
    /// The rules that a sender needs.
    rules: Rules,
    pub(super) inside: I,
}

impl<I> Udp<I> {
    /// Datagrams to this port, which carry `inside` and then the inner packet: for an [`InUdp`] of your
    /// own. The shims of this module have constructors, such as [`Fou::new`](super::Fou::new).
    #[inline]
    pub const fn to_port(destination_port: u16, inside: I) -> Self {
        Self {
            source_port: PortBits::new(SourcePort::DEFAULT),
            destination_port,
            checksum: ChecksumPolicy::Offload,
            requires_checksum: false,
            rules: Rules::Common,
            inside,
        }
    }

    /// The same with what follows from the other fields.
    const fn completed(&mut self) {
        // Sums of bytes and uncommon ports are calls, for which the common packets would give up
        // registers.
        let is_common =
            self.source_port.is_masked() && !matches!(self.checksum, ChecksumPolicy::Full);
        self.rules = if is_common { Rules::Common } else { Rules::All };
    }

    /// The same around other contents.
    pub(super) const fn around<J: Copy>(&self, inside: J) -> Udp<J> {
        Udp {
            source_port: self.source_port,
            destination_port: self.destination_port,
            checksum: self.checksum,
            requires_checksum: self.requires_checksum,
            rules: self.rules,
            inside,
        }
    }
}

impl<I: Copy> Udp<I> {
    /// Sets the destination port.
    #[inline]
    pub const fn with_destination_port(mut self, destination_port: u16) -> Self {
        self.destination_port = destination_port;
        self
    }

    /// Sets where a sender's source port comes from.
    #[inline]
    pub const fn with_source_port(mut self, source_port: SourcePort) -> Self {
        self.source_port = PortBits::new(source_port);
        self.completed();
        self
    }

    /// Sets how a sender's checksum comes about.
    #[inline]
    pub const fn with_checksum(mut self, checksum: ChecksumPolicy) -> Self {
        self.checksum = checksum;
        self.completed();
        self
    }

    /// Makes a receiver refuse datagrams without a checksum. A socket's host takes them and does not
    /// tell, so this does not hold for [payloads](crate::decap::Receiver::inspect_payload).
    #[inline]
    pub const fn requiring_checksum(mut self) -> Self {
        self.requires_checksum = true;
        self
    }

    /// The destination port.
    #[inline]
    #[must_use]
    pub const fn destination_port(&self) -> u16 {
        self.destination_port
    }
}

/// What a [`Udp`] shim has between the UDP header and the inner packet.
pub trait InUdp: Copy {
    /// Whether inner fragments get a checksum even with [`ChecksumPolicy::Zero`] (RFC 8086 §4.1).
    const SUMS_FRAGMENTS: bool = false;

    /// How many bytes it is, the same for every packet.
    fn len(&self) -> usize;

    /// Whether it has no bytes.
    #[inline]
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether each packet gets a number of its own, so that no two headers are equal.
    #[inline]
    fn numbers_packets(&self) -> bool {
        false
    }

    /// As [`Shim::check`].
    ///
    /// # Errors
    /// As there.
    #[inline(always)]
    fn check(&self, inner: &Facts, packet: &PerPacket, rules: Rules) -> Result<(), EncapError> {
        let _ = (inner, packet, rules);
        Ok(())
    }

    /// Writes it at the start of `bytes`, which the inner packet follows, and returns the sum of its
    /// 16-bit words.
    fn write(&self, bytes: &mut [u8], inner: &Facts, packet: &PerPacket) -> u16;

    /// As [`Shim::read`], in the payload of the datagram.
    ///
    /// # Errors
    /// As there.
    fn read(&self, payload: &[u8]) -> Result<Carried, Refused>;

    /// As [`Shim::matches_quote`], of the bytes behind the UDP header.
    #[inline]
    fn matches_quote(&self, quoted: &[u8]) -> bool {
        let _ = quoted;
        true
    }
}

impl<I: InUdp> Udp<I> {
    /// The bytes between the UDP header and the inner packet: what a sender through a UDP socket writes.
    #[inline]
    #[must_use]
    pub fn payload_overhead(&self) -> usize {
        self.inside.len()
    }

    /// Whether no two packets get equal headers.
    pub(crate) fn numbers_packets(&self) -> bool {
        self.inside.numbers_packets()
    }

    /// Writes what stands behind the UDP header at the start of `bytes`.
    #[inline]
    pub(crate) fn write_inside(&self, bytes: &mut [u8], inner: &Facts, packet: &PerPacket) {
        let _: u16 = self.inside.write(bytes, inner, packet);
    }

    #[inline(always)]
    const fn checksum_of(&self, inner: &Facts) -> ChecksumPolicy {
        match self.checksum {
            ChecksumPolicy::Zero if I::SUMS_FRAGMENTS && inner.is_fragment() => {
                ChecksumPolicy::Full
            }
            policy => policy,
        }
    }

    /// The sum of the inner packet that the checksum needs, `None` for no checksum.
    #[inline(always)]
    fn inner_sum(&self, inner: &Facts, inner_packet: &[u8], rules: Rules) -> Option<u16> {
        match self.checksum_of(inner) {
            ChecksumPolicy::Zero => None,
            _ if rules.are_common() => Some(inner.known_sum().unwrap_or_default()),
            ChecksumPolicy::Offload if inner.known_sum().is_some() => inner.known_sum(),
            _ => Some(inner.byte_sum().unwrap_or_else(|| bytes_sum(inner_packet))),
        }
    }
}

/// Out of line: most callers do not need it, and would give up registers for it.
#[inline(never)]
pub(super) fn bytes_sum(bytes: &[u8]) -> u16 {
    Sum::new().add_bytes(bytes).fold()
}

/// What a checksum over the inner packet's bytes needs: that its own one is complete, and the bytes.
#[inline(always)]
pub(super) fn check_bytes(
    inner: &Facts,
    packet: &PerPacket,
    rules: Rules,
) -> Result<(), EncapError> {
    if packet.inner_checksum() == InnerChecksum::Partial {
        Err(EncapError::PartialChecksum)
    } else if matches!(rules, Rules::HeadersOnly) && inner.byte_sum().is_none() {
        Err(EncapError::UnknownSum)
    } else {
        Ok(())
    }
}

impl<I: InUdp> Shim for Udp<I> {
    const PROTOCOL: IpProtocol = IpProtocol::UDP;

    #[inline(always)]
    fn len(&self) -> usize {
        self.inside.len().saturating_add(UdpHeader::LEN)
    }

    #[inline(always)]
    fn rules(&self) -> Rules {
        self.rules
    }

    #[inline(always)]
    fn check(&self, inner: &Facts, packet: &PerPacket, rules: Rules) -> Result<(), EncapError> {
        match self.checksum_of(inner) {
            // Whoever asks by too few rules must not get an answer.
            _ if rules.are_common() && !self.rules.are_common() => {
                return Err(EncapError::UnknownSum);
            }
            ChecksumPolicy::Zero => {
                if rules.are_common() && !inner.is_innermost() {
                    return Err(EncapError::UnknownSum);
                }
            }
            // A sum is known of innermost packets only.
            _ if rules.are_common() => {
                if inner.known_sum().is_none() {
                    return Err(EncapError::UnknownSum);
                }
            }
            ChecksumPolicy::Offload if inner.known_sum().is_some() => {}
            _ => check_bytes(inner, packet, rules)?,
        }
        self.inside.check(inner, packet, rules)
    }

    #[inline(always)]
    fn outer_facts(
        &self,
        outer: Facts,
        inner: &Facts,
        packet: &PerPacket,
        pseudo: PseudoHeader,
        rules: Rules,
    ) -> Facts {
        // A checksum makes the datagram sum to the complement of its pseudo-header.
        let has_checksum = self.checksum_of(inner) != ChecksumPolicy::Zero;
        let source_port = self.source_port.of(inner, packet, rules);
        outer
            .with_ports(source_port, self.destination_port)
            .with_known_sum(has_checksum.then(|| !pseudo.sum()))
    }

    #[inline(always)]
    fn write(
        &self,
        bytes: &mut [u8],
        inner: &Facts,
        packet: &PerPacket,
        pseudo: PseudoHeader,
        rules: Rules,
    ) {
        let Some((header, behind)) = bytes.split_first_chunk_mut::<{ UdpHeader::LEN }>() else {
            return;
        };
        let inside_sum = self.inside.write(behind, inner, packet);
        let inner_packet = behind.get(self.inside.len()..).unwrap_or_default();
        let source_port = stored(self.source_port.of(inner, packet, rules));
        let destination_port = stored(self.destination_port);
        let len = pseudo.stored_len();
        let inner_sum = self.inner_sum(inner, inner_packet, rules);
        let checksum = inner_sum.map_or(0, |inner_sum| {
            // The length counts twice: in the pseudo-header, and in the header.
            let sum = pseudo
                .native_sum()
                .wrapping_add(len)
                .wrapping_add(source_port)
                .wrapping_add(destination_port)
                .wrapping_add(stored(inside_sum))
                .wrapping_add(stored(inner_sum));
            UdpHeader::transmitted(!fold(sum))
        });
        *header = zerocopy::transmute!([
            beside(source_port, destination_port),
            beside(len, widened(checksum)),
        ]);
    }

    #[inline(always)]
    fn read(&self, outer: Ipv4<'_>) -> Result<Carried, Refused> {
        let udp = wire::Udp::parse(outer.payload()).map_err(|error| match error {
            ParseError::BadUdpLength { .. } => Refused::new(Reason::UdpBadLength),
            error => Refused::truncated(Reason::UdpTruncated, error),
        })?;
        if udp.header().destination_port() != self.destination_port {
            return Err(Refused::new(Reason::NotTunnel));
        }
        match udp.checksum_status(outer.header().source(), outer.final_destination()) {
            UdpChecksum::Invalid => return Err(Refused::new(Reason::UdpBadChecksum)),
            UdpChecksum::Absent if self.requires_checksum => {
                return Err(Refused::new(Reason::UdpChecksumRequired));
            }
            UdpChecksum::Absent | UdpChecksum::Valid => {}
        }
        Ok(self.inside.read(udp.payload())?.moved(UdpHeader::LEN))
    }

    #[inline]
    fn reopens(&self, inner: Ipv4<'_>) -> bool {
        inner.header().protocol() == IpProtocol::UDP
            && inner.header().fragment_offset() == FragmentOffset::ZERO
            && UdpHeader::split(inner.payload())
                .is_ok_and(|(udp, _)| udp.destination_port() == self.destination_port)
    }

    /// The source port must be one that [`SourcePort`] yields. Who sends through a socket sets it to the
    /// socket's port with [`SourcePort::Fixed`].
    #[inline]
    fn matches_quote(&self, quoted: &[u8]) -> bool {
        let source_port = quoted.first_chunk().copied().map(u16::from_be_bytes);
        let behind = quoted.get(2..).unwrap_or_default();
        source_port.is_none_or(|port| self.source_port.yields(port))
            && super::begins_with(behind, &self.destination_port.to_be_bytes())
            && self
                .inside
                .matches_quote(quoted.get(UdpHeader::LEN..).unwrap_or_default())
    }

    #[inline]
    fn tunnel_port(&self) -> Option<u16> {
        Some(self.destination_port)
    }
}

impl<I: InUdp> SocketShim for Udp<I> {
    #[inline]
    fn read_payload(&self, destination_port: u16, payload: &[u8]) -> Result<Carried, Refused> {
        if destination_port != self.destination_port {
            return Err(Refused::new(Reason::NotTunnel));
        }
        self.inside.read(payload)
    }
}
