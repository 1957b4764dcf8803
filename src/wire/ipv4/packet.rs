use core::net::Ipv4Addr;

use zerocopy::FromBytes;

use super::{Ipv4Header, too_short};
use crate::checksum::Sum;
use crate::error::ParseError;
use crate::wire::{COMMON_FIRST, HeaderOptions, reported_len};

/// The first byte of a header without options: version 4 and a header length of five words.
const VERSION_4_WITHOUT_OPTIONS: u8 = 0x45;

/// A valid IPv4 packet: header, options and payload, delimited by the total length (RFC 791 §3.1).
#[derive(Clone, Copy, Debug)]
pub struct Ipv4<'a> {
    header: &'a Ipv4Header,
    options: &'a [u8],
    payload: &'a [u8],
    slack: usize,
}

impl<'a> Ipv4<'a> {
    /// Parses the packet at the start of `bytes`. Checks version, header length, checksum and total length
    /// (RFC 1812 §5.2.2).
    ///
    /// Bytes behind the total length, such as Ethernet padding, are not part of the packet.
    /// [`slack`](Self::slack) is their number. If the network card has verified the checksum, use
    /// [`parse_hardware_verified`](Self::parse_hardware_verified).
    ///
    /// # Errors
    /// [`ParseError`], in this order: `Truncated` for less than 20 bytes, `BadVersion`, `BadIhl`,
    /// `Truncated` for the header length, `BadChecksum`, `BadTotalLength`, `Truncated` for the total
    /// length.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        if COMMON_FIRST {
            if let Ok(packet) = Self::checked(bytes, Options::None) {
                return Ok(packet);
            }
        }
        Self::parse_any(bytes)
    }

    /// [`parse`](Self::parse) for programs that parse in several places: on small targets it is one function.
    /// The others are inlined there, so that what a caller does not use of the packet is left out.
    #[cfg_attr(not(all(target_os = "none", not(target_pointer_width = "64"))), inline)]
    #[cfg_attr(
        all(target_os = "none", not(target_pointer_width = "64")),
        inline(never)
    )]
    pub(crate) fn parse_by_call(bytes: &'a [u8]) -> Result<Self, ParseError> {
        if COMMON_FIRST {
            return Self::parse(bytes);
        }
        let (header, options, rest) = Ipv4Header::split(bytes)?;
        if !header_verifies(bytes, header.header_len()) {
            return Err(ParseError::BadChecksum);
        }
        Self::bounded(header, options, rest)
    }

    /// [`parse`](Self::parse) for packets that may well have options.
    #[cfg_attr(not(all(target_os = "none", not(target_pointer_width = "64"))), cold)]
    #[cfg_attr(
        all(target_os = "none", not(target_pointer_width = "64")),
        inline(always)
    )]
    pub(crate) fn parse_any(bytes: &'a [u8]) -> Result<Self, ParseError> {
        Self::checked(bytes, Options::Any).map_err(|fault| fault.error(bytes))
    }

    /// The checks of [`parse`](Self::parse). With [`Options::None`] they refuse a packet with options.
    #[inline(always)]
    pub(crate) fn checked(bytes: &'a [u8], options: Options) -> Result<Self, Fault> {
        let (header, rest) = Ipv4Header::ref_from_prefix(bytes).map_err(|_| Fault::Form)?;
        // If the version or the header length is too small, this wraps to a large number.
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
        let is_valid = if COMMON_FIRST || cfg!(target_arch = "bpf") {
            header.verifies(options)
        } else {
            // One loop for header and options is less code.
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

    /// [`parse`](Self::parse) for packets whose header checksum the hardware has verified. Does not check
    /// it again.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), without `BadChecksum`.
    #[inline]
    pub fn parse_hardware_verified(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let (header, options, rest) = Ipv4Header::split(bytes)?;
        Self::bounded(header, options, rest)
    }

    /// Parses a packet quoted inside an ICMP error, which may be truncated after the header.
    ///
    /// Checksum and total length are not checked, because some routers quote packets with wrong ones.
    ///
    /// ```
    /// use ipencap::wire::{Ipv4, IpProtocol};
    ///
    /// // The header and 8 bytes of the payload of a packet of 1500 bytes.
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

    /// A packet whose header is stored apart from its options and payload. Checks the total length (RFC 1812
    /// §5.2.2).
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

    /// The bytes of the options, 0 to 40.
    #[inline]
    #[must_use]
    pub const fn option_bytes(self) -> &'a [u8] {
        self.options
    }

    /// An iterator over the options.
    #[inline]
    pub const fn options(self) -> HeaderOptions<'a> {
        HeaderOptions::new(self.options)
    }

    /// The payload, up to the total length.
    #[inline]
    #[must_use]
    pub const fn payload(self) -> &'a [u8] {
        self.payload
    }

    /// The destination in the pseudo-header of a TCP or UDP checksum: the last address of an unfinished
    /// source route, or else the header's destination (RFC 1122 §4.1.3.4, RFC 9293 §3.1).
    #[inline]
    #[must_use]
    pub fn final_destination(self) -> Ipv4Addr {
        if self.options.is_empty() {
            return self.header.destination();
        }
        let route = self.options().unfinished_route().ok().flatten();
        // The pointer precedes the addresses.
        let addresses = route.and_then(|data| data.get(1..)).unwrap_or_default();
        match addresses.last_chunk() {
            Some(&[a, b, c, d]) => Ipv4Addr::new(a, b, c, d),
            None => self.header.destination(),
        }
    }

    /// The number of bytes behind the total length, such as Ethernet padding. They are not part of the
    /// packet.
    #[inline]
    #[must_use]
    pub const fn slack(self) -> usize {
        self.slack
    }
}

/// Whether a header may have options. It is a constant, so that code for options is compiled only where
/// it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Options {
    None,
    Any,
}

/// Why bytes are not a packet. [`Fault::error`] computes the details from the bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// The version, a length, or too few bytes.
    Form,
    Checksum,
}

impl Fault {
    /// The error of the first check that fails.
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

/// A valid IPv4 packet with mutable parts.
#[derive(Debug)]
pub struct Ipv4Mut<'a> {
    /// The fixed header.
    pub header: &'a mut Ipv4Header,
    /// The bytes of the options. After a change, update the header checksum with
    /// [`Ipv4Header::fill_checksum`].
    pub options: &'a mut [u8],
    /// The payload, up to the total length.
    pub payload: &'a mut [u8],
}

impl<'a> Ipv4Mut<'a> {
    /// [`Ipv4::parse`] with mutable results.
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

/// An IPv4 packet quoted inside an ICMP error: the header is complete, but the payload may be truncated.
#[derive(Clone, Copy, Debug)]
pub struct QuotedIpv4<'a> {
    header: &'a Ipv4Header,
    options: &'a [u8],
    rest: &'a [u8],
}

impl<'a> QuotedIpv4<'a> {
    /// The fixed header. Its total length is that of the original packet.
    #[inline]
    #[must_use]
    pub const fn header(self) -> &'a Ipv4Header {
        self.header
    }

    /// An iterator over the options.
    #[inline]
    pub const fn options(self) -> HeaderOptions<'a> {
        HeaderOptions::new(self.options)
    }

    /// The quoted part of the payload. It ends at the total length, unless that is less than the header
    /// length.
    #[inline]
    #[must_use]
    pub fn payload(self) -> &'a [u8] {
        match payload_len(self.header) {
            Ok(len) => self.rest.get(..len).unwrap_or(self.rest),
            Err(_) => self.rest,
        }
    }

    /// Whether the payload is truncated.
    #[inline]
    #[must_use]
    pub fn is_cut(self) -> bool {
        payload_len(self.header).is_ok_and(|len| len > self.rest.len())
    }

    /// Whether the checksum of the quoted header is right. It may be wrong, because some hosts quote a
    /// header that they have changed.
    #[inline]
    #[must_use]
    pub fn verifies(self) -> bool {
        self.header.verifies(self.options)
    }
}

/// Whether the checksum of the header at the start of these bytes is right, options included.
pub(crate) fn header_verifies(bytes: &[u8], header_len: u8) -> bool {
    let header = bytes.get(..usize::from(header_len)).unwrap_or_default();
    Sum::new().add_bytes(header).is_valid()
}

/// The length of the payload by the total length, in bytes. Fails if the total length is less than the
/// header length (RFC 1812 §5.2.2).
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
