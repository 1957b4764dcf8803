use core::net::Ipv4Addr;

use super::gre::GreShim;
use super::native::{beside, fold, halves, stored, stored_payload_len, widened};
use super::outer::{Outer, outer_policies};
use super::policy::{ChecksumPolicy, InnerChecksum, SourcePort};
use super::udp_carrier::UdpCarrier;
use super::{Encapsulate, PerPacket};
use crate::checksum::Sum;
use crate::error::{ConfigError, EncapError};
use crate::packet::PacketMeta;
use crate::wire::{GueHeader, IpProtocol, UdpHeader, copy};

/// Carries an IPv4 packet inside UDP over IPv4: what passes where protocol 4 does not.
///
/// ```text
///  before  [············· headroom ············][inner IPv4|payload]
///  after   [···][outer IPv4][UDP 8][shim 0 to n][inner IPv4|payload]
///               └── overhead 28 + shim ────────┘
/// ```
///
/// | kind | shim | constructor |
/// |---|---|---|
/// | FOU: the IPv4 packet itself | 0 | [`fou`](Self::fou) |
/// | GUE variant 0 | 4, and [private words](Self::with_private_words) | [`gue`](Self::gue) |
/// | GUE variant 1: the IPv4 packet itself | 0 | [`gue_variant_1`](Self::gue_variant_1) |
/// | GRE in UDP (RFC 8086) | 4, or 8 with a key | [`gre`](Self::gre) |
///
/// The outer IPv4 header is written as [`IpIp`](super::IpIp) writes it, but for the protocol. UDP
/// source port and checksum follow [`SourcePort`] and [`ChecksumPolicy`]; the default port is a hash of
/// the inner flow with the seed 0, so set one of your own where its spread must not be foreseen.
///
/// Receive with [`Receiver::udp`](super::Receiver::udp) and a
/// [`UdpCarrier`](super::UdpCarrier) of the same kind.
///
/// ```
/// use core::net::Ipv4Addr;
/// use ipencap::encap::{ChecksumPolicy, Encapsulate, SourcePort, Udp};
///
/// # fn main() -> Result<(), ipencap::error::ConfigError> {
/// let tunnel = Udp::fou(Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2), 5555)?
///     .with_source_port(SourcePort::Fixed(0xc123))
///     .with_checksum(ChecksumPolicy::Full);
/// assert_eq!(tunnel.overhead(), 28);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
#[doc(alias = "fou")]
#[doc(alias = "gue")]
pub struct Udp<const WORDS: usize = 0> {
    pub(super) outer: Outer,
    source_port: SourcePort,
    destination_port: u16,
    /// Of pseudo-header, destination port and GUE header: all that is summed and does not vary.
    sum: u16,
    /// Of IP and UDP header and shim, in bytes.
    overhead: u16,
    checksum: ChecksumPolicy,
    shim: Shim,
    private: [u32; WORDS],
}

outer_policies!(Udp<WORDS>, const WORDS: usize);

impl<const WORDS: usize> Udp<WORDS> {
    /// The port that tells its packets from others of the protocol, if there is one.
    #[allow(clippy::unnecessary_wraps, reason = "other encapsulators have none")]
    const fn tunnel_port(&self) -> Option<u16> {
        Some(self.destination_port)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Shim {
    Direct,
    /// GUE, variant 0.
    Gue,
    /// GRE, with this key.
    Gre(Option<u32>),
}

impl Udp {
    const fn new(
        source: Ipv4Addr,
        destination: Ipv4Addr,
        destination_port: u16,
        shim: Shim,
    ) -> Result<Self, ConfigError> {
        match Outer::new(source, destination, IpProtocol::UDP) {
            Ok(outer) => Ok(Self {
                outer,
                source_port: SourcePort::Entropy {
                    seed: 0,
                    range: super::PortRange::Dynamic,
                },
                destination_port,
                sum: 0,
                overhead: 0,
                checksum: ChecksumPolicy::Offload,
                shim,
                private: [],
            }
            .completed()),
            Err(error) => Err(error),
        }
    }

    /// FOU: the IPv4 packet directly in UDP, to a port that both ends agree on.
    ///
    /// # Errors
    /// [`ConfigError::ForbiddenSource`], [`ConfigError::ForbiddenDestination`].
    #[inline]
    pub const fn fou(
        source: Ipv4Addr,
        destination: Ipv4Addr,
        destination_port: u16,
    ) -> Result<Self, ConfigError> {
        Self::new(source, destination, destination_port, Shim::Direct)
    }

    /// GUE, variant 0: a 4-byte header says what is inside. The port is 6080 unless
    /// [said](Self::with_destination_port) (draft-ietf-intarea-gue-09).
    ///
    /// # Errors
    /// As [`fou`](Self::fou).
    #[inline]
    pub const fn gue(source: Ipv4Addr, destination: Ipv4Addr) -> Result<Self, ConfigError> {
        Self::new(source, destination, GueHeader::PORT, Shim::Gue)
    }

    /// GUE, variant 1: the IPv4 packet directly in UDP, told from variant 0 by its version nibble.
    ///
    /// # Errors
    /// As [`fou`](Self::fou).
    #[inline]
    pub const fn gue_variant_1(
        source: Ipv4Addr,
        destination: Ipv4Addr,
    ) -> Result<Self, ConfigError> {
        Self::new(source, destination, GueHeader::PORT, Shim::Direct)
    }

    /// GRE in UDP, port 4754 unless [said](Self::with_destination_port) (RFC 8086).
    ///
    /// An inner fragment gets a UDP checksum even with [`ChecksumPolicy::Zero`] (U-16; RFC 8086
    /// §4.1).
    ///
    /// # Errors
    /// As [`fou`](Self::fou).
    #[inline]
    pub const fn gre(
        source: Ipv4Addr,
        destination: Ipv4Addr,
        key: Option<u32>,
    ) -> Result<Self, ConfigError> {
        Self::new(source, destination, UdpCarrier::GRE_PORT, Shim::Gre(key))
    }
}

impl<const WORDS: usize> Udp<WORDS> {
    /// Sets the destination port.
    #[inline]
    pub const fn with_destination_port(self, destination_port: u16) -> Self {
        Self {
            destination_port,
            ..self
        }
        .completed()
    }

    /// Sets where the source port comes from.
    #[inline]
    pub const fn with_source_port(self, source_port: SourcePort) -> Self {
        Self {
            source_port,
            ..self
        }
    }

    /// Sets how the checksum comes about.
    #[inline]
    pub const fn with_checksum(self, checksum: ChecksumPolicy) -> Self {
        Self { checksum, ..self }
    }

    /// Makes it GUE, variant 0, with these words behind the header: private data that the other end
    /// reads or skips (draft-ietf-intarea-gue-09 §3.4), such as a load balancer's next hops.
    ///
    /// ```
    /// # use core::net::Ipv4Addr;
    /// # use ipencap::encap::{Encapsulate, Udp};
    /// # fn main() -> Result<(), ipencap::error::ConfigError> {
    /// # let (left, right) = (Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2));
    /// let tunnel: Udp<2> = Udp::gue(left, right)?.with_private_words([1, 0xc000_024d])?;
    /// assert_eq!(tunnel.overhead(), 40);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ConfigError::TooManyPrivateWords`] above 31.
    #[inline]
    pub const fn with_private_words<const N: usize>(
        self,
        words: [u32; N],
    ) -> Result<Udp<N>, ConfigError> {
        if N > GueHeader::MAX_WORDS {
            return Err(ConfigError::TooManyPrivateWords);
        }
        Ok(Udp {
            outer: self.outer,
            source_port: self.source_port,
            destination_port: self.destination_port,
            sum: 0,
            overhead: 0,
            checksum: self.checksum,
            shim: Shim::Gue,
            private: words,
        }
        .completed())
    }

    /// The number of private words, which is at most 31.
    const fn words() -> u8 {
        let [.., words] = WORDS.to_be_bytes();
        words
    }

    /// The same with what follows from the other fields.
    const fn completed(self) -> Self {
        let mut sum = widened(self.outer.pseudo_sum()).wrapping_add(stored(self.destination_port));
        if matches!(self.shim, Shim::Gue) {
            sum = sum.wrapping_add(halves(Self::gue_header()));
            let mut words: &[u32] = &self.private;
            while let Some((word, rest)) = words.split_first() {
                sum = sum.wrapping_add(halves(word.to_be()));
                words = rest;
            }
        }
        Self {
            outer: self.outer.with_unusual(matches!(self.shim, Shim::Gre(_))),
            sum: fold(sum),
            overhead: self.shim_len().wrapping_add(28),
            ..self
        }
    }

    /// As it is stored.
    const fn gue_header() -> u32 {
        let header = GueHeader::new(IpProtocol::IPENCAP, Self::words());
        u32::from_ne_bytes(zerocopy::transmute!(header))
    }

    /// The payload form, for a socket whose host writes IP and UDP headers: the bytes in front of
    /// the inner packet inside the UDP payload. 0 for FOU, 4 for GUE.
    #[inline]
    #[must_use]
    pub fn payload_overhead(&self) -> usize {
        usize::from(self.overhead.wrapping_sub(28))
    }

    /// Writes the payload form: `frame` is [`payload_overhead`](Self::payload_overhead) free bytes
    /// and the inner packet. The inner packet is judged as [`encap`](super::encap) does; what the
    /// outer header would have been comes back, for the socket's options and source port.
    ///
    /// Send `payload_overhead()` bytes and the inner total length; slack behind it is not part of the
    /// datagram. The tunnel's addresses name its ends: they need not be what the socket is bound to.
    /// Where the receiver cannot tell ECN ([`OuterMeta::ecn`](super::OuterMeta)), say
    /// [`EcnPolicy::Compatibility`](super::EcnPolicy::Compatibility) here and `NotEct` there.
    ///
    /// ```
    /// use core::net::Ipv4Addr;
    /// use std::net::UdpSocket;
    /// use ipencap::decap::{Receiver, OuterMeta};
    /// use ipencap::encap::{EcnPolicy, PerPacket, Udp, UdpCarrier};
    /// use ipencap::decap::{PointToPoint, Prefix};
    /// use ipencap::wire::Ecn;
    ///
    /// # fn main() -> Result<(), Box<dyn core::error::Error>> {
    /// # let packet = *b"\x45\x00\x00\x24\x12\x34\x40\x00\x40\x11\x14\x85\x0a\x01\x00\x05\x0a\x02\x00\x09\
    /// #                 \x9c\x40\x00\x35\x00\x10\xac\xe6ipencap!";
    /// let (left, right) = (Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2));
    /// let tunnel = Udp::gue(left, right)?.with_ecn(EcnPolicy::Compatibility);
    /// let receiver = Receiver::udp(
    ///     UdpCarrier::gue(), PointToPoint::new(right, left, &[Prefix::ANY]));
    ///
    /// // Two ordinary sockets: the host writes IP and UDP headers.
    /// let (sender, listener) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    /// let mut frame = [0; 40];
    /// frame[tunnel.payload_overhead()..].copy_from_slice(&packet);
    /// tunnel.encap_payload(&mut frame, &PerPacket::new())?;
    /// sender.send_to(&frame, listener.local_addr()?)?;
    ///
    /// let mut payload = [0; 2048];
    /// let (len, from) = listener.recv_from(&mut payload)?;
    /// let meta = OuterMeta {
    ///     source: left, source_port: from.port(), // by the socket's peer, which was looked up
    ///     destination: right, destination_port: 6080,
    ///     ecn: Ecn::NotEct,
    /// };
    /// let opened = receiver.inspect_payload(&meta, &payload[..len])?;
    /// assert_eq!(opened.apply(&mut payload), packet);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Any [`EncapError`]; `frame` is unchanged then.
    #[inline]
    pub fn encap_payload(
        &self,
        frame: &mut [u8],
        packet: &PerPacket,
    ) -> Result<PacketMeta, EncapError> {
        let inner = self.read_payload(frame)?;
        self.write_payload(frame, &inner, packet)
    }

    /// The inner packet behind the free bytes of the payload form.
    pub(super) fn read_payload(&self, frame: &[u8]) -> Result<PacketMeta, EncapError> {
        let free = self.payload_overhead();
        let inner_packet = frame.get(free..);
        Ok(PacketMeta::read(
            inner_packet.ok_or(super::no_headroom(free, frame.len()))?,
        )?)
    }

    /// Judges this inner packet and writes the payload form.
    pub(super) fn write_payload(
        &self,
        frame: &mut [u8],
        inner: &PacketMeta,
        packet: &PerPacket,
    ) -> Result<PacketMeta, EncapError> {
        if packet.inner_checksum() == InnerChecksum::Partial {
            // No device behind an ordinary socket fills it in.
            return Err(EncapError::PartialChecksum);
        }
        let outer = self.judge(inner, packet)?;
        self.outer.forward(frame, self.payload_overhead());
        self.write_shim(frame.get_mut(..self.payload_overhead()).unwrap_or_default());
        Ok(outer)
    }

    #[inline]
    const fn shim_len(&self) -> u16 {
        match self.shim {
            Shim::Direct => 0,
            Shim::Gue => {
                let words = u16::from_be_bytes([0, Self::words()]);
                (words << 2).wrapping_add(4)
            }
            Shim::Gre(None) => 4,
            Shim::Gre(Some(_)) => 8,
        }
    }

    /// Writes all of `shim`.
    #[inline]
    fn write_shim(&self, shim: &mut [u8]) {
        match self.shim {
            Shim::Direct => {}
            Shim::Gue => {
                if let Some((fixed, private)) = shim.split_first_chunk_mut() {
                    *fixed = Self::gue_header().to_ne_bytes();
                    for (bytes, word) in private.chunks_exact_mut(4).zip(self.private) {
                        copy(&word.to_be_bytes(), bytes);
                    }
                }
            }
            Shim::Gre(key) => GreShim::keyed(key).write_plain(shim),
        }
    }

    pub(super) const fn ordinary_inner_len(&self) -> u16 {
        match self.checksum {
            ChecksumPolicy::Full => 0,
            _ => self.outer.ordinary_inner_len(self.overhead),
        }
    }

    #[inline(always)]
    pub(super) fn folded(&self, inner: &PacketMeta, packet: &PerPacket) -> Option<PacketMeta> {
        let has_checksum = self.checksum != ChecksumPolicy::Zero;
        if has_checksum && inner.known_sum().is_none() {
            return None;
        }
        let source_port = self.source_port.of(inner, packet);
        let outer = self.outer.folded(inner, self.overhead);
        Some(self.with_ports(outer, source_port, has_checksum))
    }

    pub(super) const fn needs_bytes(&self, inner: &PacketMeta) -> bool {
        let knows_enough = match self.checksum_of(inner) {
            ChecksumPolicy::Zero => true,
            ChecksumPolicy::Offload => inner.known_sum().is_some() || inner.byte_sum().is_some(),
            ChecksumPolicy::Full => inner.byte_sum().is_some(),
        };
        !knows_enough
    }

    /// The policy for this packet (U-16).
    #[inline]
    const fn checksum_of(&self, inner: &PacketMeta) -> ChecksumPolicy {
        match (self.checksum, self.shim) {
            (ChecksumPolicy::Zero, Shim::Gre(_)) if inner.header().is_fragment() => {
                ChecksumPolicy::Full
            }
            (policy, _) => policy,
        }
    }

    /// The outer packet with its ports, and the sum that a checksum gives it.
    #[inline(always)]
    fn with_ports(&self, outer: PacketMeta, source_port: u16, has_checksum: bool) -> PacketMeta {
        // A datagram with a checksum tells its own sum to the next layer (C-20).
        let known_sum = has_checksum.then(|| self.outer.transport_sum(&outer));
        outer.with_transport(source_port, self.destination_port, known_sum)
    }

    /// Writes the headers in front of a shim and packet that sum to `sum` without [`Self::sum`],
    /// `None` for no checksum.
    #[inline(always)]
    fn write_headers(&self, headers: &mut [u8; 28], outer: &PacketMeta, sum: Option<u32>) {
        let datagram_len = stored_payload_len(outer);
        let source_port = stored(outer.flow().source_port);
        let checksum = sum.map_or(0, |sum| {
            // The length counts twice: in the pseudo-header, and in the header.
            let sum = sum
                .wrapping_add(widened(self.sum))
                .wrapping_add(datagram_len)
                .wrapping_add(datagram_len)
                .wrapping_add(source_port);
            UdpHeader::transmitted(!fold(sum))
        });
        let ports = beside(source_port, stored(self.destination_port));
        let rest = beside(datagram_len, widened(checksum));
        if let Some((ip, udp)) = headers.split_first_chunk_mut() {
            *ip = *outer.header().as_bytes();
            if let Some(udp) = udp.first_chunk_mut::<{ UdpHeader::LEN }>() {
                *udp = zerocopy::transmute!([ports, rest]);
            }
        }
    }
}

/// Out of line, lest the fast paths without it give up registers for it.
#[inline(never)]
fn bytes_sum(bytes: &[u8]) -> u16 {
    Sum::new().add_bytes(bytes).fold()
}

impl<const WORDS: usize> Encapsulate for Udp<WORDS> {
    #[inline]
    fn overhead(&self) -> usize {
        usize::from(self.overhead)
    }

    #[inline]
    fn judge(&self, inner: &PacketMeta, packet: &PerPacket) -> Result<PacketMeta, EncapError> {
        let outer = self.outer.judge(inner, packet, self.overhead)?;
        let policy = self.checksum_of(inner);
        let sums_bytes = match policy {
            ChecksumPolicy::Offload => inner.known_sum().is_none(),
            ChecksumPolicy::Full => true,
            ChecksumPolicy::Zero => false,
        };
        if sums_bytes && packet.inner_checksum() == InnerChecksum::Partial {
            return Err(EncapError::PartialChecksum);
        }
        let has_checksum = policy != ChecksumPolicy::Zero;
        let source_port = self.source_port.of(inner, packet);
        Ok(self.with_ports(outer, source_port, has_checksum))
    }

    #[inline]
    fn shares_headers(&self) -> bool {
        self.checksum != ChecksumPolicy::Full
    }

    #[inline(always)]
    fn judge_ordinary(&self, inner: &PacketMeta, packet: &PerPacket) -> Option<PacketMeta> {
        let is_ordinary = match self.checksum {
            ChecksumPolicy::Offload => inner.known_sum().is_some(),
            ChecksumPolicy::Full => packet.inner_checksum() == InnerChecksum::Complete,
            ChecksumPolicy::Zero => true,
        };
        if !is_ordinary {
            return None;
        }
        let source_port = self.source_port.of(inner, packet);
        let outer = self.outer.judge_ordinary(inner, packet, self.overhead)?;
        let has_checksum = self.checksum != ChecksumPolicy::Zero;
        Some(self.with_ports(outer, source_port, has_checksum))
    }

    #[inline]
    fn write(&self, frame: &mut [u8], inner: &PacketMeta, outer: &PacketMeta, _packet: &PerPacket) {
        let Some((headers, behind)) = frame.split_first_chunk_mut::<28>() else {
            return;
        };
        let Some((shim, inner_packet)) = behind.split_at_mut_checked(self.payload_overhead())
        else {
            return;
        };
        self.outer.forward(inner_packet, 0);
        self.write_shim(shim);
        let policy = self.checksum_of(inner);
        let shim_sum = match self.shim {
            Shim::Direct | Shim::Gue => Sum::new(),
            Shim::Gre(_) => Sum::new().add_bytes(shim),
        };
        let sum = match (policy, inner.known_sum()) {
            (ChecksumPolicy::Zero, _) => None,
            (ChecksumPolicy::Offload, Some(known)) => Some(shim_sum.add_u16(known)),
            _ => Some(match inner.byte_sum() {
                Some(sum) => shim_sum.add_u16(sum),
                None => shim_sum.add_bytes(inner_packet),
            }),
        };
        self.write_headers(headers, outer, sum.map(|sum| stored(sum.fold())));
    }

    #[inline(always)]
    fn write_ordinary(
        &self,
        frame: &mut [u8],
        inner: &PacketMeta,
        outer: &PacketMeta,
        _packet: &PerPacket,
    ) {
        let Some((headers, behind)) = frame.split_first_chunk_mut::<28>() else {
            return;
        };
        let sum = match self.checksum {
            ChecksumPolicy::Zero => None,
            ChecksumPolicy::Offload => inner.known_sum(),
            ChecksumPolicy::Full => Some(bytes_sum(
                behind.get(self.payload_overhead()..).unwrap_or_default(),
            )),
        };
        if self.overhead > 28 {
            let (shim, _) = behind
                .split_at_mut_checked(self.payload_overhead())
                .unwrap_or_default();
            self.write_shim(shim);
        }
        self.write_headers(headers, outer, sum.map(stored));
    }
}
