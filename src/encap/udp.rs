use core::net::Ipv4Addr;

use zerocopy::IntoBytes;

use super::gre::GreShim;
use super::outer::{Outer, outer_policies};
use super::policy::{ChecksumPolicy, InnerChecksum, SourcePort};
use super::udp_carrier::UdpCarrier;
use super::{Encapsulate, PerPacket};
use crate::checksum::Sum;
use crate::error::{ConfigError, EncapError};
use crate::packet::PacketMeta;
use crate::wire::{self, GueHeader, IpProtocol, UdpHeader, copy};

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
/// source port and checksum follow [`SourcePort`] and [`ChecksumPolicy`].
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
pub struct Udp {
    outer: Outer,
    destination_port: u16,
    source_port: SourcePort,
    checksum: ChecksumPolicy,
    shim: Shim,
}

outer_policies!(Udp);

impl Udp {
    /// The port that tells its packets from others of the protocol, if there is one.
    #[allow(clippy::unnecessary_wraps, reason = "other encapsulators have none")]
    const fn tunnel_port(&self) -> Option<u16> {
        Some(self.destination_port)
    }
}

/// The private words of a GUE header that are kept in the encapsulator.
const MAX_PRIVATE_WORDS: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Shim {
    Direct,
    Gue {
        words: u8,
        private: [u32; MAX_PRIVATE_WORDS],
    },
    Gre(GreShim),
}

impl Udp {
    const PROTOCOL: IpProtocol = IpProtocol::UDP;

    const fn new(
        source: Ipv4Addr,
        destination: Ipv4Addr,
        destination_port: u16,
        shim: Shim,
    ) -> Result<Self, ConfigError> {
        match Outer::new(source, destination) {
            Ok(outer) => Ok(Self {
                outer,
                destination_port,
                source_port: SourcePort::Entropy {
                    seed: 0,
                    range: super::PortRange::Dynamic,
                },
                checksum: ChecksumPolicy::Offload,
                shim,
            }),
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
        let shim = Shim::Gue {
            words: 0,
            private: [0; MAX_PRIVATE_WORDS],
        };
        Self::new(source, destination, GueHeader::PORT, shim)
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
        let shim = match key {
            Some(key) => GreShim::PLAIN.with_key(key),
            None => GreShim::PLAIN,
        };
        Self::new(source, destination, UdpCarrier::GRE_PORT, Shim::Gre(shim))
    }

    /// Sets the destination port.
    #[inline]
    pub const fn with_destination_port(self, destination_port: u16) -> Self {
        Self {
            destination_port,
            ..self
        }
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
    /// # Errors
    /// [`ConfigError::TooManyPrivateWords`] above 8.
    #[inline]
    pub fn with_private_words(self, words: &[u32]) -> Result<Self, ConfigError> {
        let mut private = [0; MAX_PRIVATE_WORDS];
        let count = u8::try_from(words.len()).map_err(|_| ConfigError::TooManyPrivateWords)?;
        let target = private
            .get_mut(..words.len())
            .ok_or(ConfigError::TooManyPrivateWords)?;
        for (target, word) in target.iter_mut().zip(words) {
            *target = *word;
        }
        Ok(Self {
            shim: Shim::Gue {
                words: count,
                private,
            },
            ..self
        })
    }

    /// The payload form, for a socket whose host writes IP and UDP headers: the bytes in front of
    /// the inner packet inside the UDP payload. 0 for FOU, 4 for GUE.
    #[inline]
    #[must_use]
    pub fn payload_overhead(&self) -> usize {
        usize::from(self.shim_len())
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
    /// use ipencap::encap::{Decapsulator, EcnPolicy, OuterMeta, PerPacket, Udp, UdpCarrier};
    /// use ipencap::filter::{PointToPoint, Prefix};
    /// use ipencap::wire::Ecn;
    ///
    /// # fn main() -> Result<(), Box<dyn core::error::Error>> {
    /// # let packet = *b"\x45\x00\x00\x24\x12\x34\x40\x00\x40\x11\x14\x85\x0a\x01\x00\x05\x0a\x02\x00\x09\
    /// #                 \x9c\x40\x00\x35\x00\x10\xac\xe6ipencap!";
    /// let (left, right) = (Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2));
    /// let tunnel = Udp::gue(left, right)?.with_ecn(EcnPolicy::Compatibility);
    /// let receiver = Decapsulator::udp(
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
        let (need, have) = (self.payload_overhead(), frame.len());
        let no_headroom = super::no_headroom(need, have);
        let (shim, inner_packet) = frame.split_at_mut_checked(need).ok_or(no_headroom)?;
        let inner = PacketMeta::read(inner_packet)?;
        if packet.inner_checksum() == InnerChecksum::Partial {
            // No device behind an ordinary socket fills it in.
            return Err(EncapError::PartialChecksum);
        }
        let outer = self.judge(&inner, packet)?;
        self.outer.forward(inner_packet, &inner);
        let inner_len = usize::from(inner.header().total_len());
        self.shim.write(
            shim,
            inner_packet.get(..inner_len).unwrap_or_default(),
            packet,
        );
        Ok(outer)
    }

    fn shim_len(&self) -> u16 {
        match self.shim {
            Shim::Direct => 0,
            Shim::Gue { words, .. } => (u16::from(words) << 2).saturating_add(4),
            Shim::Gre(gre) => gre.len(),
        }
    }

    fn overhead_len(&self) -> u16 {
        self.shim_len().saturating_add(28)
    }

    /// The policy for this packet (U-16).
    const fn checksum_of(&self, inner: &PacketMeta) -> ChecksumPolicy {
        match (self.checksum, self.shim) {
            (ChecksumPolicy::Zero, Shim::Gre(_)) if inner.header().is_fragment() => {
                ChecksumPolicy::Full
            }
            (policy, _) => policy,
        }
    }
}

impl Encapsulate for Udp {
    #[inline]
    fn overhead(&self) -> usize {
        usize::from(self.overhead_len())
    }

    #[inline]
    fn judge(&self, inner: &PacketMeta, packet: &PerPacket) -> Result<PacketMeta, EncapError> {
        if let Shim::Gre(gre) = self.shim {
            gre.judge(packet)?;
        }
        let header = self
            .outer
            .judge(inner, packet, Self::PROTOCOL, self.overhead_len())?;
        let policy = self.checksum_of(inner);
        let sums_bytes = match policy {
            ChecksumPolicy::Offload => inner.known_sum().is_none(),
            ChecksumPolicy::Full => true,
            ChecksumPolicy::Zero => false,
        };
        if sums_bytes && packet.inner_checksum() == InnerChecksum::Partial {
            return Err(EncapError::PartialChecksum);
        }
        // A datagram with a checksum tells its own sum to the next layer (C-20).
        let len = header.total_len().saturating_sub(20);
        let known_sum = (policy != ChecksumPolicy::Zero).then(|| !pseudo_sum(&header, len).fold());
        let source_port = self.source_port.of(inner, packet);
        Ok(PacketMeta::trusted(header).with_transport(
            source_port,
            self.destination_port,
            known_sum,
        ))
    }

    #[inline]
    fn write(&self, frame: &mut [u8], inner: &PacketMeta, outer: &PacketMeta, packet: &PerPacket) {
        let Some((header, behind)) = frame.split_first_chunk_mut() else {
            return;
        };
        let Some((udp_bytes, behind)) = behind.split_first_chunk_mut::<{ UdpHeader::LEN }>() else {
            return;
        };
        let Some((shim, inner_packet)) = behind.split_at_mut_checked(self.payload_overhead())
        else {
            return;
        };
        self.outer.forward(inner_packet, inner);
        self.shim.write(shim, inner_packet, packet);

        let len = outer.header().total_len().saturating_sub(20);
        let mut udp = UdpHeader::new(outer.flow().source_port, self.destination_port, len);
        let policy = self.checksum_of(inner);
        if policy != ChecksumPolicy::Zero {
            let fields = pseudo_sum(outer.header(), len)
                .add_bytes(udp.as_bytes())
                .add_bytes(shim);
            let sum = match inner.known_sum() {
                Some(known) if policy == ChecksumPolicy::Offload => fields.add_u16(known),
                _ => fields.add_bytes(inner_packet),
            };
            udp.set_raw_checksum(UdpHeader::transmitted(sum.checksum()));
        }
        *udp_bytes = zerocopy::transmute!(udp);
        *header = *outer.header().as_bytes();
    }
}

const fn pseudo_sum(header: &wire::Ipv4Header, len: u16) -> Sum {
    Sum::pseudo_header(
        header.source(),
        header.destination(),
        IpProtocol::UDP.0,
        len,
    )
}

impl Shim {
    fn write(&self, shim: &mut [u8], inner_packet: &[u8], packet: &PerPacket) {
        match self {
            Self::Direct => {}
            Self::Gue { words, private } => {
                let header = GueHeader::new(IpProtocol::IPENCAP, *words);
                if let Some((fixed, behind)) = shim.split_first_chunk_mut::<{ GueHeader::LEN }>() {
                    *fixed = zerocopy::transmute!(header);
                    for (bytes, word) in behind.chunks_exact_mut(4).zip(private) {
                        copy(&word.to_be_bytes(), bytes);
                    }
                }
            }
            Self::Gre(gre) => gre.write(shim, inner_packet, packet),
        }
    }
}
