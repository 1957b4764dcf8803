use super::{Carried, InUdp, Udp};
use crate::error::{ConfigError, Reason, Refused};
use crate::packet::{Facts, PerPacket};
use crate::wire::{GueHeader, GueVariant, IpProtocol, copy};

/// GUE variant 0: a header of 4 bytes says what is inside; 32-bit words of private data may follow it
/// (draft-ietf-intarea-gue-09).
///
/// ```text
///  [outer IPv4][UDP 8][GUE 4][N words][inner IPv4|payload]
///  └ overhead 32 + 4 N ──────────────┘
/// ```
///
/// A receiver takes both variants, and skips private data.
///
/// ```
/// use core::net::Ipv4Addr;
/// use ipencap::encap::{Encapsulate, Tunnel};
/// use ipencap::shim::Gue;
///
/// # fn main() -> Result<(), ipencap::error::ConfigError> {
/// let (left, right) = (Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2));
/// assert_eq!(Tunnel::new(left, right, Gue::new())?.overhead(), 32);
/// // A load balancer's next hops in private words.
/// let gue: Gue<2> = Gue::new().with_private_words([1, 0xc000_024d])?;
/// assert_eq!(Tunnel::new(left, right, gue)?.overhead(), 40);
/// # Ok(())
/// # }
/// ```
#[doc(alias = "gue")]
pub type Gue<const WORDS: usize = 0> = Udp<GueInside<WORDS>>;

/// GUE variant 1: the inner packet directly in the datagram, told from variant 0 by its version nibble
/// (draft-ietf-intarea-gue-09 §4).
pub type GueVariant1 = Udp<GueDirect>;

/// The GUE header and the private words behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GueInside<const WORDS: usize> {
    private: [u32; WORDS],
    /// Of header and words.
    sum: u16,
}

/// The version nibble of the inner packet, in place of a GUE header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs, reason = "there is nothing to set")]
pub struct GueDirect;

impl Gue {
    /// GUE to port 6080.
    #[inline]
    pub const fn new() -> Self {
        Self::to_port(GueHeader::PORT, GueInside::new([]))
    }

    /// Adds words of private data (draft-ietf-intarea-gue-09 §3.4).
    ///
    /// # Errors
    /// [`ConfigError::TooManyPrivateWords`] above 31.
    #[inline]
    pub const fn with_private_words<const N: usize>(
        self,
        words: [u32; N],
    ) -> Result<Gue<N>, ConfigError> {
        if N > GueHeader::MAX_WORDS {
            return Err(ConfigError::TooManyPrivateWords);
        }
        Ok(self.around(GueInside::new(words)))
    }
}

impl Default for Gue {
    #[inline]
    fn default() -> Self {
        Self::new()
    }
}

impl GueVariant1 {
    /// GUE variant 1 to port 6080.
    #[inline]
    pub const fn new() -> Self {
        Self::to_port(GueHeader::PORT, GueDirect)
    }
}

impl Default for GueVariant1 {
    #[inline]
    fn default() -> Self {
        Self::new()
    }
}

impl<const WORDS: usize> GueInside<WORDS> {
    const fn new(private: [u32; WORDS]) -> Self {
        let mut sum = crate::checksum::Sum::new().add_u32(u32::from_be_bytes(Self::header()));
        let mut words: &[u32] = &private;
        while let Some((word, rest)) = words.split_first() {
            sum = sum.add_u32(*word);
            words = rest;
        }
        Self {
            private,
            sum: sum.fold(),
        }
    }

    const fn header() -> [u8; GueHeader::LEN] {
        let [.., words] = WORDS.to_be_bytes();
        zerocopy::transmute!(GueHeader::new(IpProtocol::IPENCAP, words))
    }
}

impl<const WORDS: usize> InUdp for GueInside<WORDS> {
    #[inline(always)]
    fn len(&self) -> usize {
        WORDS.wrapping_mul(4).wrapping_add(GueHeader::LEN)
    }

    #[inline(always)]
    fn write(&self, bytes: &mut [u8], _inner: &Facts, _packet: &PerPacket) -> u16 {
        if let Some((fixed, private)) = bytes.split_first_chunk_mut() {
            *fixed = Self::header();
            for (bytes, word) in private.chunks_exact_mut(4).zip(self.private) {
                copy(&word.to_be_bytes(), bytes);
            }
        }
        self.sum
    }

    #[inline]
    fn read(&self, payload: &[u8]) -> Result<Carried, Refused> {
        read_either(payload)
    }

    #[inline]
    fn matches_quote(&self, quoted: &[u8]) -> bool {
        let private = quoted.get(GueHeader::LEN..).unwrap_or_default();
        let mut words = private.chunks(4).zip(self.private);
        super::begins_with(quoted, &Self::header())
            && words.all(|(quoted, word)| super::begins_with(quoted, &word.to_be_bytes()))
    }
}

impl InUdp for GueDirect {
    #[inline(always)]
    fn len(&self) -> usize {
        0
    }

    #[inline(always)]
    fn write(&self, _bytes: &mut [u8], _inner: &Facts, _packet: &PerPacket) -> u16 {
        0
    }

    #[inline]
    fn read(&self, payload: &[u8]) -> Result<Carried, Refused> {
        read_either(payload)
    }
}

/// Reads either variant, as a receiver of the other one does, too.
fn read_either(payload: &[u8]) -> Result<Carried, Refused> {
    Ok(Carried::behind(header_len(payload)?, payload.len()))
}

/// The length of what stands in front of the IPv4 packet, of either variant.
fn header_len(payload: &[u8]) -> Result<usize, Refused> {
    let reason = match GueVariant::of(payload) {
        None => Reason::GueTruncated,
        Some(GueVariant::Unknown) => Reason::GueBadVersion,
        Some(GueVariant::DirectIp { version: 4 }) => return Ok(0),
        Some(GueVariant::DirectIp { .. }) => Reason::GueBadVariant1Version,
        Some(GueVariant::Header) => {
            let (header, extension, _) = GueHeader::split(payload)
                .map_err(|error| Refused::truncated(Reason::GueTruncated, error))?;
            match header.protocol() {
                _ if header.is_control() => Reason::GueControl,
                _ if header.flags() != 0 => Reason::GueUnknownFlags,
                // A sum, not a difference of the lengths around it: of those the kernel's verifier keeps only bounds.
                IpProtocol::IPENCAP => return Ok(GueHeader::LEN.saturating_add(extension.len())),
                IpProtocol(0) => Reason::GueProtoZero,
                IpProtocol(59) => Reason::GueNoNextHeader,
                _ => Reason::UnsupportedInnerProtocol,
            }
        }
    };
    Err(Refused::new(reason))
}
