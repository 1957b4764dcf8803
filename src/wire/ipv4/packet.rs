use core::net::Ipv4Addr;

use zerocopy::FromBytes;

use super::{Ipv4Header, too_short};
use crate::checksum::Sum;
use crate::error::ParseError;
use crate::wire::{COMMON_FIRST, HeaderOptions, reported_len};

/// The first byte of a header of five words.
const VERSION_4_WITHOUT_OPTIONS: u8 = 0x45;

/// A valid IPv4 packet: header, options and payload, bounded by its total length.
#[derive(Clone, Copy, Debug)]
pub struct Ipv4<'a> {
    header: &'a Ipv4Header,
    options: &'a [u8],
    payload: &'a [u8],
    slack: usize,
}

impl<'a> Ipv4<'a> {
    /// The packet at the start of `bytes`, proven by V-01 to V-07: version, header length, checksum
    /// and total length.
    ///
    /// Bytes behind the total length (Ethernet padding) are not part of it; [`slack`](Self::slack)
    /// counts them. The checksum cannot be left out (RFC 1812 §5.2.2);
    /// [`parse_hardware_verified`](Self::parse_hardware_verified) is for those whose network card
    /// has done it.
    ///
    /// # Errors
    /// [`ParseError`], in this order: `Truncated`, `BadVersion`, `BadIhl`, `Truncated`,
    /// `BadChecksum`, `BadTotalLength`, `Truncated`.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        if COMMON_FIRST {
            if let Ok(packet) = Self::checked(bytes, Options::None) {
                return Ok(packet);
            }
        }
        Self::parse_any(bytes)
    }

    /// [`parse`](Self::parse) where a packet without options is no more likely than one with.
    #[cfg_attr(not(all(target_os = "none", not(target_pointer_width = "64"))), cold)]
    #[cfg_attr(
        all(target_os = "none", not(target_pointer_width = "64")),
        inline(always)
    )]
    pub(crate) fn parse_any(bytes: &'a [u8]) -> Result<Self, ParseError> {
        Self::checked(bytes, Options::Any).map_err(|fault| fault.error(bytes))
    }

    /// The checks of [`parse`](Self::parse). With [`Options::None`] a packet that has options is a
    /// fault.
    #[inline(always)]
    pub(crate) fn checked(bytes: &'a [u8], options: Options) -> Result<Self, Fault> {
        let (header, rest) = Ipv4Header::ref_from_prefix(bytes).map_err(|_| Fault::Form)?;
        // Wraps to a large number below version 4 and 5 words.
        let option_words = header.version_ihl.wrapping_sub(VERSION_4_WITHOUT_OPTIONS);
        let most_words = match options {
            Options::None => 0,
            Options::Any => 10,
        };
        if option_words > most_words {
            return Err(Fault::Form);
        }
        let options_len = usize::from(option_words) << 2;
        let (options, rest) = rest.split_at_checked(options_len).ok_or(Fault::Form)?;
        let is_valid = if COMMON_FIRST {
            header.verifies(options)
        } else {
            // One loop for both.
            let header_len = Ipv4Header::LEN.wrapping_add(options_len);
            let whole = bytes.get(..header_len).unwrap_or_default();
            Sum::new().const_add_bytes(whole).is_valid()
        };
        if !is_valid {
            return Err(Fault::Checksum);
        }
        let header_len = Ipv4Header::LEN.wrapping_add(options_len);
        let payload_len = usize::from(header.total_len()).checked_sub(header_len);
        let (payload, slack) = payload_len
            .and_then(|len| rest.split_at_checked(len))
            .ok_or(Fault::Form)?;
        Ok(Self {
            header,
            options,
            payload,
            slack: slack.len(),
        })
    }

    /// [`parse`](Self::parse) without the checksum, for packets whose header checksum the receiving
    /// hardware has verified.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), without `BadChecksum`.
    #[inline]
    pub fn parse_hardware_verified(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let (header, options, rest) = Ipv4Header::split(bytes)?;
        Self::bounded(header, options, rest)
    }

    /// Reads a packet quoted inside an ICMP error, where only the header need be whole.
    ///
    /// Neither checksum nor total length is enforced: routers quote packets with lengths and
    /// checksums that no longer agree. `bytes` may end anywhere behind the header.
    ///
    /// ```
    /// use ipencap::wire::{Ipv4, IpProtocol};
    ///
    /// // 20 bytes of header and 8 of the payload of a packet of 1500 bytes.
    /// let quote = *b"\x45\x00\x05\xdc\x77\x77\x40\x00\x40\x11\xa9\x89\x0a\x01\x00\x05\x0a\x02\x00\x09\
    ///                \x9c\x40\x00\x35\x05\xc8\x00\x00";
    /// let quoted = Ipv4::parse_quoted(&quote).unwrap();
    /// assert_eq!(quoted.header().total_len(), 1500);
    /// assert_eq!(quoted.payload().len(), 8);
    /// assert!(quoted.is_cut());
    /// ```
    ///
    /// # Errors
    /// As [`Ipv4Header::split`].
    #[inline]
    pub fn parse_quoted(bytes: &'a [u8]) -> Result<QuotedIpv4<'a>, ParseError> {
        let (header, options, rest) = Ipv4Header::split(bytes)?;
        Ok(QuotedIpv4 {
            header,
            options,
            rest,
        })
    }

    /// The packet of a header that is not in front of its options and payload, proven by V-06 and
    /// V-07.
    #[inline]
    pub(crate) fn from_parts(
        header: &'a Ipv4Header,
        options: &'a [u8],
        payload: &'a [u8],
    ) -> Result<Self, ParseError> {
        Self::bounded(header, options, payload)
    }

    fn bounded(
        header: &'a Ipv4Header,
        options: &'a [u8],
        rest: &'a [u8],
    ) -> Result<Self, ParseError> {
        let payload_len = payload_len(header)?;
        let payload = rest
            .get(..payload_len)
            .ok_or_else(|| cut_payload(header, rest.len()))?;
        Ok(Self {
            header,
            options,
            payload,
            slack: rest.len().saturating_sub(payload_len),
        })
    }

    /// The fixed header.
    #[inline]
    #[must_use]
    pub const fn header(self) -> &'a Ipv4Header {
        self.header
    }

    /// The option bytes, 0 to 40.
    #[inline]
    #[must_use]
    pub const fn option_bytes(self) -> &'a [u8] {
        self.options
    }

    /// The options, one by one.
    #[inline]
    pub const fn options(self) -> HeaderOptions<'a> {
        HeaderOptions::new(self.options)
    }

    /// What the packet carries, up to its total length.
    #[inline]
    #[must_use]
    pub const fn payload(self) -> &'a [u8] {
        self.payload
    }

    /// The destination that the checksum of TCP or UDP covers: the last address of a source route that
    /// is not finished, else the header's destination (RFC 1122 §4.1.3.4, RFC 9293 §3.1).
    #[inline]
    #[must_use]
    pub fn final_destination(self) -> Ipv4Addr {
        if self.options.is_empty() {
            return self.header.destination();
        }
        let route = self.options().unfinished_route().ok().flatten();
        // In front of the addresses is the pointer.
        let addresses = route.and_then(|data| data.get(1..)).unwrap_or_default();
        match addresses.last_chunk() {
            Some(&[a, b, c, d]) => Ipv4Addr::new(a, b, c, d),
            None => self.header.destination(),
        }
    }

    /// Bytes behind the total length that are not part of the packet, such as Ethernet padding.
    #[inline]
    #[must_use]
    pub const fn slack(self) -> usize {
        self.slack
    }
}

/// Whether a header may have options: a constant, so that nothing of them is compiled where it may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Options {
    None,
    Any,
}

/// Why bytes are no packet: only what [`Fault::error`] cannot read from them.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// Version, a length, or too few bytes.
    Form,
    Checksum,
}

impl Fault {
    /// The first check that fails, with its numbers.
    #[cfg_attr(
        all(target_os = "none", not(target_pointer_width = "64")),
        inline(always)
    )]
    pub(crate) fn error(self, bytes: &[u8]) -> ParseError {
        let Ok((header, _)) = Ipv4Header::ref_from_prefix(bytes) else {
            return too_short(bytes);
        };
        let (version, header_len) = (header.version(), header.header_len());
        let total_len = header.total_len();
        let have = reported_len(bytes.len());
        if version != 4 {
            ParseError::BadVersion { version }
        } else if usize::from(header_len) < Ipv4Header::LEN {
            let ihl = header_len >> 2;
            ParseError::BadIhl { ihl }
        } else if have < u16::from(header_len) {
            let need = u16::from(header_len);
            ParseError::Truncated { need, have }
        } else if matches!(self, Self::Checksum) {
            ParseError::BadChecksum
        } else if total_len < u16::from(header_len) {
            ParseError::BadTotalLength { total_len }
        } else {
            let need = total_len;
            ParseError::Truncated { need, have }
        }
    }
}

/// A valid IPv4 packet, for writing.
#[derive(Debug)]
pub struct Ipv4Mut<'a> {
    /// The fixed header.
    pub header: &'a mut Ipv4Header,
    /// The option bytes. Changing them breaks the header checksum;
    /// [`Ipv4Header::fill_checksum`] mends it.
    pub options: &'a mut [u8],
    /// What the packet carries, up to its total length.
    pub payload: &'a mut [u8],
}

impl<'a> Ipv4Mut<'a> {
    /// [`Ipv4::parse`] for writing.
    ///
    /// # Errors
    /// As [`Ipv4::parse`].
    #[inline]
    pub fn parse(bytes: &'a mut [u8]) -> Result<Self, ParseError> {
        let (header, options, rest) = Ipv4Header::split_mut(bytes)?;
        if !header.verifies(options) {
            return Err(ParseError::BadChecksum);
        }
        let payload_len = payload_len(header)?;
        let cut = cut_payload(header, rest.len());
        let payload = rest.get_mut(..payload_len).ok_or(cut)?;
        Ok(Self {
            header,
            options,
            payload,
        })
    }
}

/// An IPv4 packet quoted inside an ICMP error: the header is whole, the payload may be cut.
#[derive(Clone, Copy, Debug)]
pub struct QuotedIpv4<'a> {
    header: &'a Ipv4Header,
    options: &'a [u8],
    rest: &'a [u8],
}

impl<'a> QuotedIpv4<'a> {
    /// The fixed header. Its total length is the original packet's.
    #[inline]
    #[must_use]
    pub const fn header(self) -> &'a Ipv4Header {
        self.header
    }

    /// The options, one by one.
    #[inline]
    pub const fn options(self) -> HeaderOptions<'a> {
        HeaderOptions::new(self.options)
    }

    /// What is left of the payload: at most what the total length says, where that is not below the
    /// header.
    #[inline]
    #[must_use]
    pub fn payload(self) -> &'a [u8] {
        match payload_len(self.header) {
            Ok(len) => self.rest.get(..len).unwrap_or(self.rest),
            Err(_) => self.rest,
        }
    }

    /// Whether payload bytes are missing.
    #[inline]
    #[must_use]
    pub fn is_cut(self) -> bool {
        payload_len(self.header).is_ok_and(|len| len > self.rest.len())
    }

    /// Whether the quoted header's checksum verifies. It need not: some hosts quote a header they
    /// have already changed.
    #[inline]
    #[must_use]
    pub fn verifies(self) -> bool {
        self.header.verifies(self.options)
    }
}

/// V-06: the payload's length by the total length, in bytes.
#[inline]
fn payload_len(header: &Ipv4Header) -> Result<usize, ParseError> {
    let total_len = header.total_len();
    match total_len.checked_sub(u16::from(header.header_len())) {
        Some(len) => Ok(usize::from(len)),
        None => Err(ParseError::BadTotalLength { total_len }),
    }
}

fn cut_payload(header: &Ipv4Header, rest_len: usize) -> ParseError {
    ParseError::Truncated {
        need: header.total_len(),
        have: reported_len(rest_len.saturating_add(usize::from(header.header_len()))),
    }
}
