use core::net::Ipv4Addr;

use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{Dscp, Ecn, FragmentOffset, IpProtocol, Ipv4Flags, reported_len};
use crate::checksum::{Delta, Sum, fold_u32};
use crate::error::{ConfigError, ParseError};

mod packet;

pub use packet::{Ipv4, Ipv4Mut, QuotedIpv4};
pub(crate) use packet::{Options, header_verifies};

/// The fixed 20 bytes of an IPv4 header (RFC 791 §3.1).
///
/// ```text
///  0               8              16              24            31
/// +-------+-------+---------------+-------------------------------+
/// |version|  IHL  |   DSCP    |ECN|         total length          |  bytes 0..4
/// +-------+-------+---------------+-----+-------------------------+
/// |        identification         |flags|     fragment offset     |  bytes 4..8
/// +---------------+---------------+-----+-------------------------+
/// |      TTL      |   protocol    |        header checksum        |  bytes 8..12
/// +---------------+---------------+-------------------------------+
/// |                            source                             |  bytes 12..16
/// +---------------------------------------------------------------+
/// |                          destination                          |  bytes 16..20
/// +---------------------------------------------------------------+
/// |                   options, IHL * 4 - 20 bytes                 |
/// ```
///
/// Any 20 bytes are a valid value, and getters never fail. Setters update the header checksum (RFC 1624);
/// they do not repair a wrong one. Setting an address does **not** update the checksum of a UDP or TCP
/// payload, whose pseudo-header contains the address. Use
/// [`UdpHeader::patch_address`](super::UdpHeader::patch_address) or
/// [`TcpHeader::patch_address`](super::TcpHeader::patch_address) for that.
///
/// ```
/// use ipencap::wire::{Dscp, Ecn, IpProtocol, Ipv4Header};
/// use core::net::Ipv4Addr;
///
/// let mut header = Ipv4Header::new(
///     Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2), IpProtocol::IPENCAP, 56);
/// assert_eq!(header.checksum(), 0xd48a);
/// header.edit(|edit| {
///     edit.set_dscp(Dscp::EF).set_ecn(Ecn::Ect0); // one update of the checksum for both
/// });
/// assert_eq!(header.checksum(), 0xd3d0);
/// ```
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct Ipv4Header {
    version_ihl: u8,
    tos: u8,
    total_len: U16,
    identification: U16,
    flags_offset: U16,
    ttl: u8,
    protocol: u8,
    checksum: U16,
    source: [u8; 4],
    destination: [u8; 4],
}

impl Ipv4Header {
    /// The length of the fixed part, in bytes.
    pub const LEN: usize = 20;
    /// The length of the longest header, with 40 bytes of options.
    pub const MAX_LEN: usize = 60;

    /// A header without options, with DF set, identification 0, TTL 64, DSCP 0, Not-ECT and the right
    /// checksum.
    ///
    /// `total_len` is the length of header and payload, in bytes.
    #[inline]
    #[must_use]
    pub fn new(
        source: Ipv4Addr,
        destination: Ipv4Addr,
        protocol: IpProtocol,
        total_len: u16,
    ) -> Self {
        let flags = Ipv4Flags::DF.bits();
        Self::composed(source, destination, protocol, total_len, (0, 0, flags))
    }

    /// [`new`](Self::new) with this TOS byte, identification, and flags with offset.
    #[inline]
    pub(crate) fn composed(
        source: Ipv4Addr,
        destination: Ipv4Addr,
        protocol: IpProtocol,
        total_len: u16,
        (tos, identification, flags_offset): (u8, u16, u16),
    ) -> Self {
        let mut header = Self {
            version_ihl: 0x45,
            tos,
            total_len: U16::new(total_len),
            identification: U16::new(identification),
            flags_offset: U16::new(flags_offset),
            ttl: 64,
            protocol: protocol.0,
            checksum: U16::ZERO,
            source: source.octets(),
            destination: destination.octets(),
        };
        header
            .checksum
            .set(Sum::new().add_header(header.as_bytes()).checksum());
        header
    }

    /// Sets header length and checksum for `options`, which you write behind the header.
    ///
    /// The total length does not change, so it must already include the options.
    ///
    /// ```
    /// use core::net::Ipv4Addr;
    /// use ipencap::wire::{IpProtocol, Ipv4, Ipv4Header};
    /// # fn main() -> Result<(), Box<dyn core::error::Error>> {
    /// let router_alert = [0x94, 4, 0, 0];
    /// let (source, destination) = (Ipv4Addr::new(10, 1, 0, 5), Ipv4Addr::new(224, 0, 0, 22));
    /// let header = Ipv4Header::new(source, destination, IpProtocol(2), 24 + 8).with_options(&router_alert)?;
    /// let packet = [&header.as_bytes()[..], &router_alert, b"payload!"].concat();
    /// assert_eq!(Ipv4::parse(&packet)?.option_bytes(), router_alert);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ConfigError::BadIpv4Options`] unless their length is a multiple of 4 and at most 40 bytes. Their
    /// contents are not checked.
    #[inline]
    pub fn with_options(self, options: &[u8]) -> Result<Self, ConfigError> {
        let words = match u8::try_from(options.len()) {
            Ok(len @ (0 | 4 | 8 | 12 | 16 | 20 | 24 | 28 | 32 | 36 | 40)) => len >> 2,
            _ => return Err(ConfigError::BadIpv4Options),
        };
        let mut header = self;
        header.version_ihl = 0x45u8.saturating_add(words);
        header.fill_checksum(options);
        Ok(header)
    }

    super::as_bytes!();

    /// Splits `bytes` into the fixed header, the options and the bytes that follow. Total length and
    /// checksum are not checked.
    ///
    /// # Errors
    /// [`ParseError::Truncated`], [`ParseError::BadVersion`] or [`ParseError::BadIhl`].
    #[cfg_attr(not(all(target_os = "none", not(target_pointer_width = "64"))), inline)]
    #[cfg_attr(
        all(target_os = "none", not(target_pointer_width = "64")),
        inline(never)
    )]
    pub fn split(bytes: &[u8]) -> Result<(&Self, &[u8], &[u8]), ParseError> {
        let options_len = options_len(bytes)?;
        let (header, behind) = Self::ref_from_prefix(bytes).map_err(|_| too_short(bytes))?;
        let (options, rest) = behind
            .split_at_checked(options_len)
            .ok_or(cut_options(bytes, options_len))?;
        Ok((header, options, rest))
    }

    /// [`split`](Self::split) with mutable results.
    ///
    /// # Errors
    /// As [`split`](Self::split).
    #[inline]
    pub fn split_mut(bytes: &mut [u8]) -> Result<(&mut Self, &mut [u8], &mut [u8]), ParseError> {
        let options_len = options_len(bytes)?;
        let cut = cut_options(bytes, options_len);
        let short = too_short(bytes);
        let (header, behind) = Self::mut_from_prefix(bytes).map_err(|_| short)?;
        let (options, rest) = behind.split_at_mut_checked(options_len).ok_or(cut)?;
        Ok((header, options, rest))
    }

    /// The version: 4 if the header comes from [`split`](Self::split).
    #[inline]
    #[must_use]
    pub const fn version(&self) -> u8 {
        self.version_ihl >> 4
    }

    /// The length of the header with its options by the IHL field, in bytes: 0 to 60, and at least 20 if the
    /// header comes from [`split`](Self::split).
    #[inline]
    #[must_use]
    pub const fn header_len(&self) -> u8 {
        (self.version_ihl & 0x0f) << 2
    }

    /// The differentiated services code point.
    #[inline]
    #[must_use]
    pub const fn dscp(&self) -> Dscp {
        Dscp::from_tos(self.tos)
    }

    /// The ECN field.
    #[inline]
    #[must_use]
    pub const fn ecn(&self) -> Ecn {
        Ecn::from_bits_truncated(self.tos)
    }

    /// The former type-of-service byte: DSCP and ECN. Use it for display only, because the two fields need
    /// separate policies (RFC 9601 §4).
    #[inline]
    #[must_use]
    pub const fn tos(&self) -> u8 {
        self.tos
    }

    /// The length of header and payload, in bytes.
    #[inline]
    #[must_use]
    pub const fn total_len(&self) -> u16 {
        self.total_len.get()
    }

    /// The identification, the same in all fragments of a datagram.
    #[inline]
    #[must_use]
    pub const fn identification(&self) -> u16 {
        self.identification.get()
    }

    /// The three flags.
    #[inline]
    #[must_use]
    pub const fn flags(&self) -> Ipv4Flags {
        Ipv4Flags::from_bits_truncate(self.flags_offset.get())
    }

    /// The offset of this fragment's data in the original datagram.
    #[inline]
    #[must_use]
    pub const fn fragment_offset(&self) -> FragmentOffset {
        FragmentOffset::from_bits_truncated(self.flags_offset.get())
    }

    /// Whether this is a fragment: MF is set or the offset is not 0.
    #[inline]
    #[must_use]
    pub const fn is_fragment(&self) -> bool {
        self.flags_offset.get() & (Ipv4Flags::MF.bits() | FragmentOffset::MAX.units()) != 0
    }

    /// Whether the datagram that this fragment belongs to would exceed 65535 bytes (RFC 791 §3.1). Do not
    /// reassemble such a fragment.
    #[inline]
    #[must_use]
    pub fn exceeds_reassembly(&self) -> bool {
        // Header, offset and data of the fragment: the least length of the reassembled datagram.
        u32::from(self.fragment_offset().bytes()).wrapping_add(u32::from(self.total_len()))
            > u32::from(u16::MAX)
    }

    /// The time to live, in hops.
    #[inline]
    #[must_use]
    pub const fn ttl(&self) -> u8 {
        self.ttl
    }

    /// The protocol of the payload.
    #[inline]
    #[must_use]
    pub const fn protocol(&self) -> IpProtocol {
        IpProtocol(self.protocol)
    }

    /// The header checksum field.
    #[inline]
    #[must_use]
    pub const fn checksum(&self) -> u16 {
        self.checksum.get()
    }

    /// The source address.
    #[inline]
    #[must_use]
    pub const fn source(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(u32::from_be_bytes(self.source))
    }

    /// The destination address.
    #[inline]
    #[must_use]
    pub const fn destination(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(u32::from_be_bytes(self.destination))
    }

    /// Whether the checksum over the header and its `options` is right (RFC 1812 §5.2.2). A checksum of zero
    /// is valid in both encodings, 0x0000 and 0xFFFF.
    #[inline(always)]
    #[must_use]
    pub fn verifies(&self, options: &[u8]) -> bool {
        let sum = Sum::new().add_header(self.as_bytes());
        if options.is_empty() {
            sum.is_valid()
        } else {
            add_options(sum, options).is_valid()
        }
    }

    /// Computes and sets the checksum over the header and its `options`.
    ///
    /// Use this for new headers only. For a received header it would hide corruption.
    #[inline]
    pub fn fill_checksum(&mut self, options: &[u8]) {
        self.checksum = U16::ZERO;
        self.checksum.set(
            Sum::new()
                .add_header(self.as_bytes())
                .add_bytes(options)
                .checksum(),
        );
    }

    /// Sets total length, flags and offset of the header with options in `bytes`, and computes its checksum anew.
    #[cfg_attr(
        all(target_os = "none", not(target_pointer_width = "64")),
        inline(never)
    )]
    pub(crate) fn set_fragment(bytes: &mut [u8], total_len: u16, flags_offset: u16) {
        if let Ok((header, _)) = Self::mut_from_prefix(bytes) {
            header.total_len.set(total_len);
            header.flags_offset.set(flags_offset);
            header.checksum = U16::ZERO;
        }
        let checksum = Sum::new().add_bytes(bytes).checksum();
        if let Ok((header, _)) = Self::mut_from_prefix(bytes) {
            header.checksum.set(checksum);
        }
    }

    /// Changes several fields and updates the checksum once (RFC 1624).
    #[inline]
    pub fn edit(&mut self, change: impl FnOnce(&mut Ipv4Edit<'_>)) {
        let mut edit = Ipv4Edit {
            header: self,
            delta: Delta::new(),
        };
        change(&mut edit);
        let delta = edit.delta;
        self.checksum.set(delta.apply(self.checksum.get()));
    }

    /// Sets DSCP and ECN together.
    ///
    /// The formula of RFC 1624 §3 in 32 bits: three words of 16 bits cannot overflow.
    #[inline]
    pub(crate) fn set_tos(&mut self, tos: u8) {
        let sum = u32::from(!self.checksum.get())
            .wrapping_add(u32::from(!u16::from(self.tos)))
            .wrapping_add(u32::from(tos));
        self.checksum.set(!fold_u32(sum));
        self.tos = tos;
    }

    /// Decrements the TTL by one, as a router does (RFC 1812 §5.3.1). Returns `false` and changes nothing if
    /// the TTL is 0 or 1.
    #[inline]
    #[must_use]
    pub fn decrement_ttl(&mut self) -> bool {
        match self.ttl {
            0 | 1 => false,
            ttl => {
                self.ttl = ttl.wrapping_sub(1);
                // TTL is the high byte of its word. RFC 1624 equation 3 is simpler for this change: add 1
                // to the high byte of the checksum (test `decrement_ttl_is_equation_3`).
                let checksum = u16::from_ne_bytes(self.checksum.to_bytes());
                let one = u16::from_ne_bytes([1, 0]);
                let carry = u16::from(checksum >= !one);
                let checksum = checksum.wrapping_add(one).wrapping_add(carry);
                self.checksum = U16::from_bytes(checksum.to_ne_bytes());
                true
            }
        }
    }
}

/// Defines setters of [`Ipv4Header`] that call those of [`Ipv4Edit`].
macro_rules! setters {
    ($( $(#[$meta:meta])* $name:ident($value:ident: $Type:ty) ; )+) => {
        impl Ipv4Header {
            $(
                $(#[$meta])*
                #[inline]
                pub fn $name(&mut self, $value: $Type) {
                    self.edit(|edit| {
                        edit.$name($value);
                    });
                }
            )+
        }
    };
}

setters! {
    /// Sets the differentiated services code point.
    set_dscp(dscp: Dscp);
    /// Sets the ECN field.
    set_ecn(ecn: Ecn);
    /// Sets the total length, in bytes.
    set_total_len(total_len: u16);
    /// Sets the identification.
    set_identification(identification: u16);
    /// Sets the three flags. The fragment offset does not change.
    set_flags(flags: Ipv4Flags);
    /// Sets the fragment offset. The flags do not change.
    set_fragment_offset(offset: FragmentOffset);
    /// Sets the time to live, in hops.
    set_ttl(ttl: u8);
    /// Sets the protocol of the payload.
    set_protocol(protocol: IpProtocol);
    /// Sets the source address. Does not update a TCP or UDP checksum in the payload.
    set_source(source: Ipv4Addr);
    /// Sets the destination address. Does not update a TCP or UDP checksum in the payload.
    set_destination(destination: Ipv4Addr);
}

/// Several changes of a header with one update of the checksum; see [`Ipv4Header::edit`].
#[derive(Debug)]
pub struct Ipv4Edit<'h> {
    header: &'h mut Ipv4Header,
    delta: Delta,
}

impl Ipv4Edit<'_> {
    const fn set_tos(&mut self, tos: u8) -> &mut Self {
        // The other byte of the word does not change, so its value does not matter.
        self.delta = self.delta.replace_u16(
            u16::from_be_bytes([0, self.header.tos]),
            u16::from_be_bytes([0, tos]),
        );
        self.header.tos = tos;
        self
    }

    fn set_flags_offset(&mut self, word: u16) -> &mut Self {
        self.delta = self.delta.replace_u16(self.header.flags_offset.get(), word);
        self.header.flags_offset.set(word);
        self
    }

    /// See [`Ipv4Header::set_dscp`].
    #[inline]
    pub const fn set_dscp(&mut self, dscp: Dscp) -> &mut Self {
        self.set_tos(dscp.with_ecn(self.header.ecn()))
    }

    /// See [`Ipv4Header::set_ecn`].
    #[inline]
    pub const fn set_ecn(&mut self, ecn: Ecn) -> &mut Self {
        self.set_tos(self.header.dscp().with_ecn(ecn))
    }

    /// See [`Ipv4Header::set_total_len`].
    #[inline]
    pub fn set_total_len(&mut self, total_len: u16) -> &mut Self {
        self.delta = self
            .delta
            .replace_u16(self.header.total_len.get(), total_len);
        self.header.total_len.set(total_len);
        self
    }

    /// See [`Ipv4Header::set_identification`].
    #[inline]
    pub fn set_identification(&mut self, identification: u16) -> &mut Self {
        self.delta = self
            .delta
            .replace_u16(self.header.identification.get(), identification);
        self.header.identification.set(identification);
        self
    }

    /// See [`Ipv4Header::set_flags`].
    #[inline]
    pub fn set_flags(&mut self, flags: Ipv4Flags) -> &mut Self {
        let flags = flags & Ipv4Flags::all();
        self.set_flags_offset(flags.bits() | self.header.fragment_offset().units())
    }

    /// See [`Ipv4Header::set_fragment_offset`].
    #[inline]
    pub fn set_fragment_offset(&mut self, offset: FragmentOffset) -> &mut Self {
        self.set_flags_offset(self.header.flags().bits() | offset.units())
    }

    /// See [`Ipv4Header::set_ttl`].
    #[inline]
    pub const fn set_ttl(&mut self, ttl: u8) -> &mut Self {
        let protocol = self.header.protocol;
        self.delta = self.delta.replace_u16(
            u16::from_be_bytes([self.header.ttl, protocol]),
            u16::from_be_bytes([ttl, protocol]),
        );
        self.header.ttl = ttl;
        self
    }

    /// See [`Ipv4Header::set_protocol`].
    #[inline]
    pub const fn set_protocol(&mut self, protocol: IpProtocol) -> &mut Self {
        let ttl = self.header.ttl;
        self.delta = self.delta.replace_u16(
            u16::from_be_bytes([ttl, self.header.protocol]),
            u16::from_be_bytes([ttl, protocol.0]),
        );
        self.header.protocol = protocol.0;
        self
    }

    /// See [`Ipv4Header::set_source`].
    #[inline]
    pub const fn set_source(&mut self, source: Ipv4Addr) -> &mut Self {
        self.delta = self
            .delta
            .replace_u32(self.header.source().to_bits(), source.to_bits());
        self.header.source = source.octets();
        self
    }

    /// See [`Ipv4Header::set_destination`].
    #[inline]
    pub const fn set_destination(&mut self, destination: Ipv4Addr) -> &mut Self {
        self.delta = self
            .delta
            .replace_u32(self.header.destination().to_bits(), destination.to_bits());
        self.header.destination = destination.octets();
        self
    }
}

/// The length of the options, in bytes. Checks version and header length (RFC 1812 §5.2.2).
#[inline]
fn options_len(bytes: &[u8]) -> Result<usize, ParseError> {
    let header = bytes.first_chunk::<20>().ok_or_else(|| too_short(bytes))?;
    let [version_ihl, ..] = *header;
    let (version, ihl) = (version_ihl >> 4, version_ihl & 0x0f);
    if version != 4 {
        return Err(ParseError::BadVersion { version });
    }
    match ihl.checked_sub(5) {
        Some(words) => Ok(usize::from(words) << 2),
        None => Err(ParseError::BadIhl { ihl }),
    }
}

#[cold]
fn too_short(bytes: &[u8]) -> ParseError {
    ParseError::Truncated {
        need: 20,
        have: reported_len(bytes.len()),
    }
}

fn cut_options(bytes: &[u8], options_len: usize) -> ParseError {
    ParseError::Truncated {
        need: reported_len(options_len.saturating_add(Ipv4Header::LEN)),
        have: reported_len(bytes.len()),
    }
}

/// Out of line, because it would take registers from the code for packets without options.
#[cold]
#[inline(never)]
const fn add_options(sum: Sum, options: &[u8]) -> Sum {
    // At most 40 bytes, so the smallest loop is good enough.
    sum.const_add_bytes(options)
}
