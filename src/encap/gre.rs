use core::net::Ipv4Addr;

use super::carrier::{Carried, Carrier};
use super::decapsulator::Decapsulator;
use super::outer::{Outer, outer_policies};
use super::{Encapsulate, PerPacket};
use crate::checksum::Sum;
use crate::error::{ConfigError, EncapError, Reason, Refused};
use crate::filter::Access;
use crate::packet::PacketMeta;
use crate::wire::{self, GreFlags, GreHeader, IpProtocol, Ipv4, copy};

/// GRE: carries an IPv4 packet inside IPv4, protocol 47, behind a header with an optional checksum,
/// key and sequence number (RFC 2784, RFC 2890).
///
/// ```text
///  before   [········· headroom ·········][inner IPv4|payload]
///  after    [···][outer IPv4][GRE 4 to 16][inner IPv4|payload]
///                └── overhead 24 to 36 ──┘
/// ```
///
/// The outer header is written as [`IpIp`](super::IpIp) writes it, but for the protocol. The
/// sequence number is the packet's ([`PerPacket::with_sequence`]). A GRE checksum covers
/// header and payload, all of it. Receive with [`Decapsulator::gre`] and a [`GreCarrier`] that expects
/// the same fields.
///
/// ```
/// use core::net::Ipv4Addr;
/// use ipencap::encap::{Encapsulate, Gre};
///
/// # fn main() -> Result<(), ipencap::error::ConfigError> {
/// let tunnel = Gre::new(Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2))?
///     .with_key(0xdead_beef);
/// assert_eq!(tunnel.overhead(), 28);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Gre {
    pub(super) outer: Outer,
    shim: GreShim,
}

outer_policies!(Gre);

impl Gre {
    /// The port that tells its packets from others of the protocol, if there is one.
    #[allow(clippy::unused_self, reason = "other encapsulators have one")]
    const fn tunnel_port(&self) -> Option<u16> {
        None
    }
}

impl Gre {
    /// A tunnel from `source` to `destination` without checksum, key and sequence number.
    ///
    /// # Errors
    /// [`ConfigError::ForbiddenSource`], [`ConfigError::ForbiddenDestination`].
    #[inline]
    pub const fn new(source: Ipv4Addr, destination: Ipv4Addr) -> Result<Self, ConfigError> {
        match Outer::new(source, destination, IpProtocol::GRE) {
            Ok(outer) => Ok(Self {
                outer,
                shim: GreShim::PLAIN,
            }),
            Err(error) => Err(error),
        }
    }

    /// Adds this key (RFC 2890 §2.1).
    #[inline]
    pub const fn with_key(mut self, key: u32) -> Self {
        self.shim.key = Some(key);
        self
    }

    /// Adds a checksum over GRE header and payload (RFC 2784 §2.5).
    #[inline]
    pub const fn with_checksum(mut self) -> Self {
        self.shim.checksum = true;
        self
    }

    /// Adds the sequence number that [`PerPacket::with_sequence`] says of each packet (R-11; RFC 2890
    /// §2.2).
    #[inline]
    pub const fn with_sequence(mut self) -> Self {
        self.shim.sequence = true;
        self
    }

    fn overhead_len(&self) -> u16 {
        self.shim.len().saturating_add(20)
    }

    pub(super) fn ordinary_inner_len(&self) -> u16 {
        if self.shim.is_plain() {
            self.outer.ordinary_inner_len(self.overhead_len())
        } else {
            0
        }
    }

    #[inline(always)]
    #[allow(
        clippy::unnecessary_wraps,
        reason = "other encapsulators need the packet's sum"
    )]
    pub(super) fn folded(&self, inner: &PacketMeta, _packet: &PerPacket) -> Option<PacketMeta> {
        Some(self.outer.folded(inner, self.overhead_len()))
    }

    pub(super) const fn needs_bytes(&self, inner: &PacketMeta) -> bool {
        self.shim.checksum && inner.byte_sum().is_none()
    }
}

impl Encapsulate for Gre {
    #[inline]
    fn overhead(&self) -> usize {
        usize::from(self.overhead_len())
    }

    #[inline]
    fn judge(&self, inner: &PacketMeta, packet: &PerPacket) -> Result<PacketMeta, EncapError> {
        self.shim.judge(packet)?;
        self.outer.judge(inner, packet, self.overhead_len())
    }

    #[inline]
    fn shares_headers(&self) -> bool {
        true
    }

    #[inline(always)]
    fn judge_ordinary(&self, inner: &PacketMeta, packet: &PerPacket) -> Option<PacketMeta> {
        if !self.shim.is_plain() {
            return None;
        }
        self.outer
            .judge_ordinary(inner, packet, self.overhead_len())
    }

    #[inline]
    fn write(&self, frame: &mut [u8], inner: &PacketMeta, outer: &PacketMeta, packet: &PerPacket) {
        let Some((header, behind)) = frame.split_first_chunk_mut() else {
            return;
        };
        let shim_len = usize::from(self.shim.len());
        let Some((shim, inner_packet)) = behind.split_at_mut_checked(shim_len) else {
            return;
        };
        self.outer.forward(inner_packet, 0);
        let sum = match inner.byte_sum() {
            Some(sum) => Sum::new().add_u16(sum),
            None if self.shim.checksum => Sum::new().add_bytes(inner_packet),
            None => Sum::new(),
        };
        self.shim.write(shim, sum, packet);
        *header = *outer.header().as_bytes();
    }

    #[inline(always)]
    fn write_ordinary(
        &self,
        frame: &mut [u8],
        _inner: &PacketMeta,
        outer: &PacketMeta,
        _packet: &PerPacket,
    ) {
        if let Some((ip, behind)) = frame.split_first_chunk_mut() {
            *ip = *outer.header().as_bytes();
            self.shim.write_plain(behind);
        }
    }
}

/// The GRE header: also behind a UDP header (RFC 8086).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct GreShim {
    key: Option<u32>,
    checksum: bool,
    sequence: bool,
}

impl GreShim {
    const PLAIN: Self = Self {
        key: None,
        checksum: false,
        sequence: false,
    };

    /// With a key and nothing else.
    pub(super) const fn keyed(key: Option<u32>) -> Self {
        Self { key, ..Self::PLAIN }
    }

    /// Its length, in bytes.
    fn len(&self) -> u16 {
        let optional = [self.key.is_some(), self.checksum, self.sequence];
        optional.into_iter().fold(
            4u16,
            |len, present| {
                if present { len.saturating_add(4) } else { len }
            },
        )
    }

    /// Whether it has neither checksum nor sequence number.
    #[inline]
    const fn is_plain(&self) -> bool {
        !self.checksum && !self.sequence
    }

    /// Writes a [plain](Self::is_plain) one at the start of `bytes`.
    #[inline]
    pub(super) fn write_plain(&self, bytes: &mut [u8]) {
        let Some((fixed, behind)) = bytes.split_first_chunk_mut::<{ GreHeader::LEN }>() else {
            return;
        };
        let mut flags = GreFlags::empty();
        flags.set(GreFlags::KEY, self.key.is_some());
        *fixed = zerocopy::transmute!(GreHeader::new(flags));
        if let (Some(key), Some(target)) = (self.key, behind.first_chunk_mut()) {
            *target = key.to_be_bytes();
        }
    }

    fn judge(&self, packet: &PerPacket) -> Result<(), EncapError> {
        if self.checksum && packet.inner_checksum() == super::InnerChecksum::Partial {
            return Err(EncapError::PartialChecksum);
        }
        if self.sequence && packet.sequence().is_none() {
            return Err(EncapError::NoSequence);
        }
        Ok(())
    }

    /// Writes all of `shim`, in front of a packet with this sum.
    fn write(&self, shim: &mut [u8], inner_packet: Sum, packet: &PerPacket) {
        let mut flags = GreFlags::empty();
        flags.set(GreFlags::CHECKSUM, self.checksum);
        flags.set(GreFlags::KEY, self.key.is_some());
        // `judge` has refused packets without one.
        let sequence = packet.sequence().filter(|_| self.sequence);
        flags.set(GreFlags::SEQUENCE, sequence.is_some());
        let header = GreHeader::new(flags);

        let checksum = self.checksum.then(|| {
            // Absent fields add nothing to the sum.
            let fields = Sum::new()
                .add_bytes(header.as_bytes())
                .add_u32(self.key.unwrap_or_default())
                .add_u32(sequence.unwrap_or_default());
            u32::from(fields.join(inner_packet).checksum()) << 16
        });
        let words = [
            Some(u32::from_be_bytes(zerocopy::transmute!(header))),
            checksum,
            self.key,
            sequence,
        ];
        for (bytes, word) in shim.chunks_exact_mut(4).zip(words.into_iter().flatten()) {
            copy(&word.to_be_bytes(), bytes);
        }
    }
}

/// GRE as a decapsulator sees it: which key and checksum it expects.
///
/// The key must be the configured one, or absent if none is. A checksum must be there if configured,
/// and must not be if not (R-08). A sequence number is handed on with the verdict;
/// [`SequenceWindow`] orders by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[must_use]
pub struct GreCarrier {
    key: Option<u32>,
    checksum: bool,
    sequence: bool,
}

impl GreCarrier {
    /// GRE without checksum and key.
    #[inline]
    pub const fn new() -> Self {
        Self {
            key: None,
            checksum: false,
            sequence: false,
        }
    }

    /// Expects this key.
    #[inline]
    pub const fn with_key(self, key: u32) -> Self {
        Self {
            key: Some(key),
            ..self
        }
    }

    /// Expects a checksum.
    #[inline]
    pub const fn with_checksum(self) -> Self {
        Self {
            checksum: true,
            ..self
        }
    }

    /// Expects a sequence number.
    #[inline]
    pub const fn with_sequence(self) -> Self {
        Self {
            sequence: true,
            ..self
        }
    }

    pub(super) fn carried_in(&self, bytes: &[u8]) -> Result<Carried, Refused> {
        let refused_flags = GreFlags::ROUTING | GreFlags::STRICT_ROUTE | GreFlags::RECURSION;
        if let Some(&fixed) = bytes.first_chunk::<{ GreHeader::LEN }>() {
            let header: GreHeader = zerocopy::transmute!(fixed);
            if header.version() != 0 {
                return Err(Refused::new(Reason::GreBadVersion));
            }
            if header.flags().intersects(refused_flags) {
                return Err(Refused::new(Reason::GreReservedBits));
            }
        }
        let gre = wire::Gre::parse(bytes)
            .map_err(|error| Refused::truncated(Reason::GreTruncated, error))?;
        let header = gre.header();
        let reason = if gre.verifies() != self.checksum.then_some(true) {
            Reason::GreBadChecksum
        } else if gre.key() != self.key {
            Reason::GreKeyMismatch
        } else if self.sequence && gre.sequence().is_none() {
            Reason::GreSequence
        } else if header.protocol() != GreHeader::IPV4 {
            Reason::GreUnsupportedProtocol
        } else {
            let shim_len = bytes.len().saturating_sub(gre.payload().len());
            return Ok(Carried::behind(shim_len, bytes.len())
                .with_sequence(gre.sequence().filter(|_| self.sequence)));
        };
        Err(Refused::new(reason))
    }
}

impl Carrier for GreCarrier {
    #[inline]
    fn protocol(&self) -> IpProtocol {
        IpProtocol::GRE
    }

    #[inline]
    fn carried(&self, outer: Ipv4<'_>) -> Result<Carried, Refused> {
        self.carried_in(outer.payload())
    }
}

impl<A: Access> Decapsulator<GreCarrier, A> {
    /// A decapsulator of GRE packets for whom `access` lets in.
    #[inline]
    pub const fn gre(carrier: GreCarrier, access: A) -> Self {
        Self::new(carrier, access)
    }
}

/// The order of a GRE tunnel's packets: refuses those that are not newer than the newest (R-11; RFC
/// 2890 §2.2).
///
/// ```
/// use ipencap::encap::SequenceWindow;
///
/// let mut window = SequenceWindow::new();
/// let accepted: Vec<bool> = [5, 6, 6, 4, 100, 7].map(|number| window.accept(number)).to_vec();
/// assert_eq!(accepted, [true, true, false, false, true, false]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SequenceWindow {
    newest: Option<u32>,
}

impl SequenceWindow {
    /// No packet seen yet: the first is accepted whatever its number.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self { newest: None }
    }

    /// Whether a packet with this number is newer than all before, counting round at 2^32; if so it
    /// is the newest from now on. The newest and the 2^31 - 1 numbers before it are not.
    #[inline]
    pub const fn accept(&mut self, number: u32) -> bool {
        if let Some(newest) = self.newest {
            let ahead = number.wrapping_sub(newest);
            if ahead == 0 || ahead > 1 << 31 {
                return false;
            }
        }
        self.newest = Some(number);
        true
    }
}
