use super::udp::{bytes_sum, check_bytes};
use super::{Carried, InUdp, PseudoHeader, Shim, Udp, fold, halves};
use crate::error::{EncapError, Reason, Refused};
use crate::packet::{Facts, PerPacket, Rules};
use crate::wire::{self, GreFlags, GreHeader, IpProtocol, Ipv4};

/// GRE, protocol 47: a header with an optional checksum, key and sequence number (RFC 2784, RFC 2890).
///
/// ```text
///  before   [········· headroom ·········][inner IPv4|payload]
///  after    [···][outer IPv4][GRE 4 to 16][inner IPv4|payload]
///                └── overhead 24 to 36 ──┘
/// ```
///
/// The sequence number is the packet's ([`PerPacket::with_sequence`]). The checksum covers header and
/// payload, all of it.
///
/// A receiver expects what a sender writes: the key must be the same, or absent in both; a checksum
/// must be there if configured, and must not be if not. The sequence number comes with the verdict;
/// [`SequenceWindow`] orders by it.
///
/// ```
/// use core::net::Ipv4Addr;
/// use ipencap::encap::{Encapsulate, Tunnel};
/// use ipencap::shim::Gre;
///
/// # fn main() -> Result<(), ipencap::error::ConfigError> {
/// let gre = Gre::new().with_key(0xdead_beef);
/// let tunnel = Tunnel::new(Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2), gre)?;
/// assert_eq!(tunnel.overhead(), 28);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[must_use]
pub struct Gre {
    key: Option<u32>,
    checksum: bool,
    sequence: bool,
}

/// GRE in UDP, to port 4754 unless another is set (RFC 8086).
///
/// ```text
///  [outer IPv4][UDP 8][GRE 4 to 16][inner IPv4|payload]
///  └ overhead 32 to 44 ───────────┘
/// ```
///
/// An inner fragment gets a UDP checksum even with
/// [`ChecksumPolicy::Zero`](super::ChecksumPolicy::Zero) (RFC 8086 §4.1).
pub type GreInUdp = Udp<Gre>;

impl GreInUdp {
    /// The IANA port of GRE in UDP (RFC 8086 §10).
    pub const PORT: u16 = 4754;

    /// GRE in UDP to port 4754.
    #[inline]
    pub const fn new(gre: Gre) -> Self {
        Self::to_port(Self::PORT, gre)
    }
}

impl Gre {
    /// GRE without checksum, key and sequence number.
    #[inline]
    pub const fn new() -> Self {
        Self {
            key: None,
            checksum: false,
            sequence: false,
        }
    }

    /// Sets the key (RFC 2890 §2.1).
    #[inline]
    pub const fn with_key(self, key: u32) -> Self {
        Self {
            key: Some(key),
            ..self
        }
    }

    /// Adds a checksum over GRE header and payload (RFC 2784 §2.5).
    #[inline]
    pub const fn with_checksum(self) -> Self {
        Self {
            checksum: true,
            ..self
        }
    }

    /// Adds the sequence number that [`PerPacket::with_sequence`] sets for each packet (RFC 2890 §2.2).
    #[inline]
    pub const fn with_sequence(self) -> Self {
        Self {
            sequence: true,
            ..self
        }
    }

    #[inline(always)]
    fn header_len(self) -> usize {
        let optional = [self.key.is_some(), self.checksum, self.sequence];
        let words = optional.into_iter().map(usize::from);
        words.fold(GreHeader::LEN, |len, word| len.wrapping_add(word << 2))
    }

    fn flags(self) -> GreFlags {
        let mut flags = GreFlags::empty();
        flags.set(GreFlags::CHECKSUM, self.checksum);
        flags.set(GreFlags::KEY, self.key.is_some());
        flags.set(GreFlags::SEQUENCE, self.sequence);
        flags
    }

    #[inline(always)]
    fn check_header(
        self,
        inner: &Facts,
        packet: &PerPacket,
        rules: Rules,
    ) -> Result<(), EncapError> {
        if self.checksum {
            check_bytes(inner, packet, rules)?;
        }
        if self.sequence && packet.sequence().is_none() {
            return Err(EncapError::NoSequence);
        }
        Ok(())
    }

    /// Writes the header at the start of `bytes`, and returns the sum of its 16-bit words.
    #[inline(always)]
    fn write_header(self, bytes: &mut [u8], inner: &Facts, packet: &PerPacket) -> u16 {
        let header = GreHeader::new(self.flags());
        let sequence = packet.sequence().filter(|_| self.sequence);
        let optional = [self.key, sequence].map(|word| word.map(u32::to_be));
        let mut sum = halves(u32::from_ne_bytes(*header.as_bytes()));
        for word in optional.into_iter().flatten() {
            sum = sum.wrapping_add(halves(word));
        }
        let checksum = self.checksum.then(|| {
            let inner_packet = bytes.get(self.header_len()..).unwrap_or_default();
            let inner_sum = inner.byte_sum().unwrap_or_else(|| bytes_sum(inner_packet));
            !fold(sum.wrapping_add(super::stored(inner_sum)))
        });
        let mut rest = bytes;
        let mut put = |word: [u8; 4]| {
            if let Some((first, behind)) = core::mem::take(&mut rest).split_first_chunk_mut() {
                *first = word;
                rest = behind;
            }
        };
        put(*header.as_bytes());
        if let Some(checksum) = checksum {
            let [high, low] = checksum.to_ne_bytes();
            put([high, low, 0, 0]);
            sum = sum.wrapping_add(super::widened(checksum));
        }
        for word in optional.into_iter().flatten() {
            put(word.to_ne_bytes());
        }
        u16::from_be(fold(sum))
    }

    fn may_have_written(self, quoted: &[u8]) -> bool {
        let checksum_len = if self.checksum { 4 } else { 0 };
        let behind = quoted.get(GreHeader::LEN..).unwrap_or_default();
        let key = behind.get(checksum_len..).unwrap_or_default();
        super::begins_with(quoted, GreHeader::new(self.flags()).as_bytes())
            && self
                .key
                .is_none_or(|expected| super::begins_with(key, &expected.to_be_bytes()))
    }

    #[inline]
    fn read_header(self, bytes: &[u8]) -> Result<Carried, Refused> {
        let refused_flags = GreFlags::ROUTING | GreFlags::STRICT_ROUTE | GreFlags::RECURSION;
        if let Some(&fixed) = bytes.first_chunk::<{ GreHeader::LEN }>() {
            let header = GreHeader::from_bytes(fixed);
            if header.version() != 0 {
                return Err(Refused::new(Reason::GreBadVersion));
            }
            if header.flags().intersects(refused_flags) {
                return Err(Refused::new(Reason::GreReservedBits));
            }
        }
        let gre = wire::Gre::parse(bytes)
            .map_err(|error| Refused::truncated(Reason::GreTruncated, error))?;
        let reason = if gre.verifies() != self.checksum.then_some(true) {
            Reason::GreBadChecksum
        } else if gre.key() != self.key {
            Reason::GreKeyMismatch
        } else if self.sequence && gre.sequence().is_none() {
            Reason::GreSequence
        } else if gre.header().protocol() != GreHeader::IPV4 {
            Reason::GreUnsupportedProtocol
        } else {
            let header_len = bytes.len().saturating_sub(gre.payload().len());
            return Ok(Carried::behind(header_len, bytes.len())
                .with_sequence(gre.sequence().filter(|_| self.sequence)));
        };
        Err(Refused::new(reason))
    }
}

impl Shim for Gre {
    const PROTOCOL: IpProtocol = IpProtocol::GRE;

    #[inline(always)]
    fn len(&self) -> usize {
        self.header_len()
    }

    #[inline(always)]
    fn check(&self, inner: &Facts, packet: &PerPacket, rules: Rules) -> Result<(), EncapError> {
        self.check_header(inner, packet, rules)
    }

    #[inline(always)]
    fn write(
        &self,
        bytes: &mut [u8],
        inner: &Facts,
        packet: &PerPacket,
        _pseudo: PseudoHeader,
        _rules: Rules,
    ) {
        let _: u16 = self.write_header(bytes, inner, packet);
    }

    #[inline]
    fn read(&self, outer: Ipv4<'_>) -> Result<Carried, Refused> {
        self.read_header(outer.payload())
    }

    #[inline]
    fn tunnel_number(&self) -> Option<u32> {
        self.key
    }

    #[inline]
    fn matches_quote(&self, quoted: &[u8]) -> bool {
        self.may_have_written(quoted)
    }
}

impl InUdp for Gre {
    const SUMS_FRAGMENTS: bool = true;

    #[inline]
    fn numbers_packets(&self) -> bool {
        self.sequence
    }

    #[inline(always)]
    fn len(&self) -> usize {
        self.header_len()
    }

    #[inline(always)]
    fn check(&self, inner: &Facts, packet: &PerPacket, rules: Rules) -> Result<(), EncapError> {
        self.check_header(inner, packet, rules)
    }

    #[inline(always)]
    fn write(&self, bytes: &mut [u8], inner: &Facts, packet: &PerPacket) -> u16 {
        self.write_header(bytes, inner, packet)
    }

    #[inline]
    fn read(&self, payload: &[u8]) -> Result<Carried, Refused> {
        self.read_header(payload)
    }

    #[inline]
    fn matches_quote(&self, quoted: &[u8]) -> bool {
        self.may_have_written(quoted)
    }
}

/// The order of a GRE tunnel's packets: refuses those that are not newer than the newest (RFC 2890
/// §2.2).
///
/// ```
/// use ipencap::shim::SequenceWindow;
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
