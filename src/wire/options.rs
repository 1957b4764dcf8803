use crate::error::ParseError;

/// One option of an IPv4 or TCP header (RFC 791 §3.1, RFC 9293 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HeaderOption<'a> {
    kind: u8,
    data: &'a [u8],
    offset: usize,
}

impl<'a> HeaderOption<'a> {
    /// IPv4 and TCP: no operation, one byte of padding.
    pub const NOP: u8 = 1;
    /// IPv4: loose source and record route (RFC 791 §3.1).
    pub const LSRR: u8 = 131;
    /// IPv4: strict source and record route (RFC 791 §3.1).
    pub const SSRR: u8 = 137;
    /// TCP: maximum segment size (RFC 9293 §3.2).
    pub const TCP_MSS: u8 = 2;
    /// TCP: timestamps (RFC 7323 §3).
    pub const TCP_TIMESTAMPS: u8 = 8;

    /// The kind byte. RFC 791 calls it type.
    #[inline]
    #[must_use]
    pub const fn kind(self) -> u8 {
        self.kind
    }

    /// The bytes after kind and length. Empty for [`NOP`](Self::NOP).
    #[inline]
    #[must_use]
    pub const fn data(self) -> &'a [u8] {
        self.data
    }

    /// The offset of the kind byte in the option bytes. The header in front of them has 20 bytes, in IPv4
    /// and in TCP.
    #[inline]
    #[must_use]
    pub const fn offset(self) -> usize {
        self.offset
    }

    /// The length with kind and length byte, in bytes. 1 for [`NOP`](Self::NOP).
    #[inline]
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "no option is empty")]
    pub const fn len(self) -> usize {
        match self.kind {
            Self::NOP => 1,
            _ => self.data.len().saturating_add(2),
        }
    }
}

/// An iterator over the options of an IPv4 or TCP header (RFC 791 §3.1, RFC 9293 §3.1).
///
/// Kind 0 ends the list, and kind 1 is a single byte. Every other option has a length byte of at least 2
/// and ends within the header. Otherwise the iterator returns [`ParseError::BadOption`] once and ends.
///
/// ```
/// use ipencap::wire::HeaderOptions;
///
/// let timestamps = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2];
/// let kinds: Vec<u8> = HeaderOptions::new(&timestamps).flatten().map(|option| option.kind()).collect();
/// assert_eq!(kinds, [1, 1, 8]);
///
/// let stamp = HeaderOptions::new(&timestamps).flatten().find(|option| option.kind() == 8).unwrap();
/// assert_eq!((stamp.offset(), stamp.len()), (2, 10)); // the data begins at offset 4
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct HeaderOptions<'a> {
    rest: &'a [u8],
    /// Where that begins.
    offset: usize,
}

impl<'a> HeaderOptions<'a> {
    /// An iterator over the option bytes of a header.
    #[inline]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            offset: 0,
        }
    }

    /// Whether there is a loose or strict source route. An invalid list is searched up to its first
    /// invalid option.
    #[inline]
    #[must_use]
    pub fn has_source_route(mut self) -> bool {
        while let Some(Ok(option)) = self.step() {
            if matches!(option.kind, HeaderOption::LSRR | HeaderOption::SSRR) {
                return true;
            }
        }
        false
    }

    /// The data of the first unfinished source route. Its pointer is within its length, so the packet will
    /// go on to other destinations than the header's (RFC 791 §3.1).
    ///
    /// # Errors
    /// As the iterator, because an invalid list may contain such a route.
    pub(crate) fn unfinished_route(self) -> Result<Option<&'a [u8]>, ParseError> {
        for option in self {
            let HeaderOption { kind, data, .. } = option?;
            let pointer = data.first().map_or(0, |pointer| usize::from(*pointer));
            // The pointer counts from the kind byte, two bytes before the data.
            let is_unfinished = pointer <= data.len().saturating_add(2);
            if is_unfinished && matches!(kind, HeaderOption::LSRR | HeaderOption::SSRR) {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// The next option, or the kind of one that is invalid.
    #[cfg_attr(not(all(target_os = "none", not(target_pointer_width = "64"))), inline)]
    #[cfg_attr(
        all(target_os = "none", not(target_pointer_width = "64")),
        inline(never)
    )]
    pub(crate) fn step(&mut self) -> Option<Result<HeaderOption<'a>, u8>> {
        let (&kind, behind) = self.rest.split_first()?;
        let (data_at, len) = match kind {
            0 => {
                self.rest = &[];
                return None;
            }
            HeaderOption::NOP => (1, 1),
            _ => (2, behind.first().map_or(0, |len| usize::from(*len))),
        };
        let option = self.rest.split_at_checked(len);
        let option = option.and_then(|(option, rest)| Some((option.get(data_at..)?, rest)));
        let Some((data, rest)) = option else {
            self.rest = &[];
            return Some(Err(kind));
        };
        let offset = self.offset;
        self.rest = rest;
        self.offset = offset.wrapping_add(len);
        Some(Ok(HeaderOption { kind, data, offset }))
    }
}

impl<'a> Iterator for HeaderOptions<'a> {
    type Item = Result<HeaderOption<'a>, ParseError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let option = self.step()?;
        Some(option.map_err(|kind| ParseError::BadOption { kind }))
    }
}

impl core::iter::FusedIterator for HeaderOptions<'_> {}
