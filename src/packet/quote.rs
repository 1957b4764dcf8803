use super::Span;
use crate::error::ParseError;
use crate::wire::{Ipv4Header, reported_len};

/// A packet that an ICMP error quotes, as far as it is quoted.
///
/// [`Encapsulate::inside_quote`](crate::encap::Encapsulate::inside_quote) tells whether a tunnel has
/// written it, and returns the packet inside:
///
/// ```
/// use core::net::Ipv4Addr;
/// use ipencap::encap::{Encapsulate, Tunnel};
/// use ipencap::packet::Quote;
/// use ipencap::shim::IpIp;
/// # fn main() -> Result<(), Box<dyn core::error::Error>> {
/// // The outer header and 28 bytes of the packet inside.
/// let bytes = *b"\x45\x00\x05\xf0\x00\x00\x40\x00\x40\x04\xce\xd2\xc6\x33\x64\x01\xcb\x00\x71\x02\
///                \x45\x00\x05\xdc\x77\x77\x40\x00\x40\x11\xa9\x89\x0a\x01\x00\x05\x0a\x02\x00\x09\
///                \x00\x01\x02\x03\x04\x05\x06\x07";
/// let quote = Quote::parse(&bytes)?;
///
/// let ours = Tunnel::new(Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2), IpIp)?;
/// let inner = ours.inside_quote(quote).ok_or("not ours")?;
/// assert_eq!(inner.header().map(|header| header.source()), Some(Ipv4Addr::new(10, 1, 0, 5)));
/// assert_eq!(inner.packet(), &bytes[20..]);
///
/// let other = Tunnel::new(Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 3), IpIp)?;
/// assert!(other.inside_quote(quote).is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Quote<'a> {
    /// All that is quoted, up to the end of this packet.
    bytes: &'a [u8],
    /// Where the packet begins, which may lie behind the end of `bytes`.
    start: usize,
    /// Where its payload begins.
    payload_start: usize,
    /// The header, if it is not the one at `start`.
    restored: Option<Ipv4Header>,
}

impl<'a> Quote<'a> {
    /// The packet at the start of the quoted `bytes`, such as [`Icmpv4::payload`](crate::wire::Icmpv4::payload).
    ///
    /// Like [`Ipv4::parse_quoted`](crate::wire::Ipv4::parse_quoted) it checks neither checksum nor total
    /// length, which some routers and hosts change before they quote.
    ///
    /// # Errors
    /// As [`Ipv4Header::split`]; [`ParseError::Truncated`] also for less than the header and 8 bytes, which
    /// every router quotes (RFC 792), unless that is the whole packet.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let (header, ..) = Ipv4Header::split(bytes)?;
        let (header_len, total_len) = lens(header);
        let need = header_len.saturating_add(8);
        let is_whole = total_len >= header_len && total_len <= bytes.len();
        if bytes.len() < need && !is_whole {
            return Err(ParseError::Truncated {
                need: reported_len(need),
                have: reported_len(bytes.len()),
            });
        }
        Ok(Self {
            bytes: bounded(bytes, 0, header),
            start: 0,
            payload_start: header_len,
            restored: None,
        })
    }

    /// The packet that begins `shim_len` bytes behind this one's header. `None` if the bytes there are not
    /// the start of an IPv4 header.
    ///
    /// If the quote ends before or within that header, the rest of it counts as right.
    #[inline]
    #[must_use]
    pub fn inside(self, shim_len: usize) -> Option<Self> {
        let start = self.payload_start.saturating_add(shim_len);
        let behind = self.bytes.get(start..).unwrap_or_default();
        let header_len = match behind.first() {
            Some(&first @ 0x45..=0x4f) => usize::from(first & 0x0f) << 2,
            Some(_) => return None,
            None => Ipv4Header::LEN,
        };
        let header = behind
            .first_chunk()
            .map(|fixed| Ipv4Header::from_bytes(*fixed));
        Some(Self {
            bytes: header.map_or(self.bytes, |header| bounded(self.bytes, start, &header)),
            start,
            payload_start: start.saturating_add(header_len),
            restored: None,
        })
    }

    /// The same packet with this header, of the same length, and without the first `shim_len` bytes of its
    /// payload.
    #[inline]
    pub(crate) const fn with_header(self, header: Ipv4Header, shim_len: usize) -> Self {
        let payload_start = self.payload_start.saturating_add(shim_len);
        Self {
            start: payload_start,
            payload_start,
            restored: Some(header),
            ..self
        }
    }

    /// The fixed header. `None` if the quote ends before or within it.
    #[inline]
    #[must_use]
    pub fn header(&self) -> Option<Ipv4Header> {
        let fixed = self.header_bytes().first_chunk()?;
        Some(Ipv4Header::from_bytes(*fixed))
    }

    /// What is quoted of the fixed header.
    #[inline]
    pub(crate) fn header_bytes(&self) -> &[u8] {
        match &self.restored {
            Some(header) => header.as_bytes(),
            None => self.packet(),
        }
    }

    /// The bytes behind the header and its options, as far as they are quoted.
    #[inline]
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.bytes.get(self.payload_start..).unwrap_or_default()
    }

    /// The packet as far as it is quoted.
    ///
    /// Nothing if the quote ends before it, or if the packet came out of minimal encapsulation, which
    /// stores its header in another form (RFC 2004 §3).
    #[inline]
    #[must_use]
    pub fn packet(&self) -> &'a [u8] {
        match self.restored {
            Some(_) => &[],
            None => self.bytes.get(self.start..).unwrap_or_default(),
        }
    }

    /// Where [`packet`](Self::packet) lies in the bytes that [`parse`](Self::parse) got. The start may be
    /// behind their end; the length is 0 then.
    #[inline]
    #[must_use]
    pub fn span(&self) -> Span {
        Span::new(self.start, self.packet().len())
    }
}

/// The length of the header by its IHL, and the total length.
fn lens(header: &Ipv4Header) -> (usize, usize) {
    (
        usize::from(header.header_len()),
        usize::from(header.total_len()),
    )
}

/// `bytes` up to the end of the packet at `start`, if its total length is plausible.
fn bounded<'a>(bytes: &'a [u8], start: usize, header: &Ipv4Header) -> &'a [u8] {
    let (header_len, total_len) = lens(header);
    let end = start.saturating_add(total_len);
    match bytes.get(..end) {
        Some(packet) if total_len >= header_len => packet,
        _ => bytes,
    }
}
