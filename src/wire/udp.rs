use core::net::Ipv4Addr;

use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{IpProtocol, reported_len};
use crate::checksum::{Delta, Sum};
use crate::error::ParseError;

/// The 8-byte UDP header (RFC 768).
///
/// ```text
///  0              15 16             31
/// +-----------------+----------------+
/// |   source port   |destination port|  bytes 0..4
/// +-----------------+----------------+
/// |     length      |    checksum    |  bytes 4..8
/// +-----------------+----------------+
/// ```
///
/// Any 8 bytes are a value: getters never fail. A checksum of 0 means that there is none: setters
/// leave it so (C-13). Otherwise they patch it, and write 0xFFFF where it becomes 0 (C-14).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct UdpHeader {
    source_port: U16,
    destination_port: U16,
    len: U16,
    checksum: U16,
}

/// What a UDP checksum says about its datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(
    clippy::exhaustive_enums,
    reason = "a checksum is there or not, and right or not"
)]
pub enum UdpChecksum {
    /// It verifies.
    Valid,
    /// It does not verify: drop the datagram (RFC 1122 §4.1.3.4).
    Invalid,
    /// It is 0: the sender computed none (RFC 768).
    Absent,
}

impl UdpHeader {
    /// The header's length, in bytes.
    pub const LEN: usize = 8;

    /// A header without checksum. `len` counts the header and its payload, in bytes.
    #[inline]
    #[must_use]
    pub const fn new(source_port: u16, destination_port: u16, len: u16) -> Self {
        Self {
            source_port: U16::new(source_port),
            destination_port: U16::new(destination_port),
            len: U16::new(len),
            checksum: U16::ZERO,
        }
    }

    /// The header in these 8 bytes.
    #[inline]
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        zerocopy::transmute!(bytes)
    }

    /// The 8 bytes of the header.
    #[inline]
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        zerocopy::transmute_ref!(self)
    }

    /// Splits the header off the start of `bytes`, trusting no length.
    ///
    /// # Errors
    /// [`ParseError::Truncated`] below 8 bytes.
    #[inline]
    pub fn split(bytes: &[u8]) -> Result<(&Self, &[u8]), ParseError> {
        Self::ref_from_prefix(bytes).map_err(|_| too_short(bytes.len()))
    }

    /// [`split`](Self::split) for writing.
    ///
    /// # Errors
    /// As [`split`](Self::split).
    #[inline]
    pub fn split_mut(bytes: &mut [u8]) -> Result<(&mut Self, &mut [u8]), ParseError> {
        let len = bytes.len();
        Self::mut_from_prefix(bytes).map_err(|_| too_short(len))
    }

    /// The source port.
    #[inline]
    #[must_use]
    pub const fn source_port(&self) -> u16 {
        self.source_port.get()
    }

    /// The destination port.
    #[inline]
    #[must_use]
    pub const fn destination_port(&self) -> u16 {
        self.destination_port.get()
    }

    /// The length of header and payload, in bytes, as the header says.
    #[inline]
    #[must_use]
    #[allow(
        clippy::len_without_is_empty,
        reason = "a field of the header, not a collection"
    )]
    pub const fn len(&self) -> u16 {
        self.len.get()
    }

    /// The checksum as it stands; 0 means none.
    #[inline]
    #[must_use]
    pub const fn checksum(&self) -> u16 {
        self.checksum.get()
    }

    /// Sets the source port.
    #[inline]
    pub fn set_source_port(&mut self, port: u16) {
        self.patch(Delta::new().replace_u16(self.source_port(), port));
        self.source_port.set(port);
    }

    /// Sets the destination port.
    #[inline]
    pub fn set_destination_port(&mut self, port: u16) {
        self.patch(Delta::new().replace_u16(self.destination_port(), port));
        self.destination_port.set(port);
    }

    /// Sets the length of header and payload, in bytes.
    ///
    /// The checksum covers it twice, here and in the pseudo-header, and follows both. Payload bytes
    /// that come or go are the caller's to account for.
    #[inline]
    pub fn set_len(&mut self, len: u16) {
        let old = self.len();
        self.patch(Delta::new().replace_u16(old, len).replace_u16(old, len));
        self.len.set(len);
    }

    /// Makes the checksum follow a change of the source or destination address in the IPv4 header.
    #[inline]
    pub fn patch_address(&mut self, old: Ipv4Addr, new: Ipv4Addr) {
        self.patch(Delta::new().replace_u32(old.to_bits(), new.to_bits()));
    }

    /// Makes the checksum follow `delta`: an absent one stays absent, a 0 becomes 0xFFFF.
    #[inline]
    pub fn patch(&mut self, delta: Delta) {
        self.checksum.set(Self::patched(self.checksum(), delta));
    }

    /// The value of [`patch`](Self::patch) for a checksum that is not in a header.
    ///
    /// ```
    /// use ipencap::{checksum::Delta, wire::UdpHeader};
    /// let delta = Delta::new().replace_u16(0x2222, 0x3333);
    /// assert_eq!(UdpHeader::patched(0x1111, delta), 0xffff); // 0 on the wire would mean "none"
    /// assert_eq!(UdpHeader::patched(0x0000, delta), 0x0000); // none stays none
    /// ```
    #[inline]
    #[must_use]
    pub const fn patched(checksum: u16, delta: Delta) -> u16 {
        match checksum {
            0 => 0,
            present => Self::transmitted(delta.apply(present)),
        }
    }

    /// A computed checksum as UDP writes it: 0xFFFF for 0 (C-12; RFC 768).
    #[inline]
    #[must_use]
    pub const fn transmitted(checksum: u16) -> u16 {
        if checksum == 0 { 0xffff } else { checksum }
    }

    /// Computes the checksum over pseudo-header, header and `payload`; the header's length field
    /// counts.
    #[inline]
    pub fn fill_checksum(&mut self, source: Ipv4Addr, destination: Ipv4Addr, payload: &[u8]) {
        self.checksum = U16::ZERO;
        let sum = self.sum(source, destination, payload);
        self.checksum.set(Self::transmitted(sum.checksum()));
    }

    /// Switches the checksum off (RFC 768): opt-in, for IPv4 only (U-04).
    #[inline]
    pub const fn clear_checksum(&mut self) {
        self.checksum = U16::ZERO;
    }

    /// Writes this checksum as it is.
    #[inline]
    pub const fn set_raw_checksum(&mut self, checksum: u16) {
        self.checksum = U16::new(checksum);
    }

    fn sum(self, source: Ipv4Addr, destination: Ipv4Addr, payload: &[u8]) -> Sum {
        Sum::pseudo_header(source, destination, IpProtocol::UDP.0, self.len())
            .add_bytes(self.as_bytes())
            .add_bytes(payload)
    }
}

/// A UDP datagram: header and payload, bounded by its length field.
#[derive(Clone, Copy, Debug)]
pub struct Udp<'a> {
    header: &'a UdpHeader,
    payload: &'a [u8],
    slack: usize,
}

impl<'a> Udp<'a> {
    /// The datagram at the start of an IPv4 payload. Its length is proven, its checksum is not: see
    /// [`checksum_status`](Self::checksum_status), which needs the addresses.
    ///
    /// # Errors
    /// [`ParseError::Truncated`] or [`ParseError::BadUdpLength`] (U-07, U-08, U-10).
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let (header, rest) = UdpHeader::split(bytes)?;
        let len = header.len();
        let payload_len = usize::from(len)
            .checked_sub(UdpHeader::LEN)
            .ok_or(ParseError::BadUdpLength { len })?;
        let payload = rest.get(..payload_len).ok_or(ParseError::Truncated {
            need: len,
            have: reported_len(bytes.len()),
        })?;
        Ok(Self {
            header,
            payload,
            slack: rest.len().saturating_sub(payload_len),
        })
    }

    /// The header.
    #[inline]
    #[must_use]
    pub const fn header(self) -> &'a UdpHeader {
        self.header
    }

    /// What the datagram carries, up to its length.
    #[inline]
    #[must_use]
    pub const fn payload(self) -> &'a [u8] {
        self.payload
    }

    /// Bytes behind the length field's end, the UDP options area (U-09).
    #[inline]
    #[must_use]
    pub const fn slack(self) -> usize {
        self.slack
    }

    /// What the checksum says, with the addresses of the packet around it (U-05).
    #[inline]
    #[must_use]
    pub fn checksum_status(self, source: Ipv4Addr, destination: Ipv4Addr) -> UdpChecksum {
        if self.header.checksum() == 0 {
            UdpChecksum::Absent
        } else if self
            .header
            .sum(source, destination, self.payload)
            .is_valid()
        {
            UdpChecksum::Valid
        } else {
            UdpChecksum::Invalid
        }
    }
}

fn too_short(len: usize) -> ParseError {
    ParseError::Truncated {
        need: 8,
        have: reported_len(len),
    }
}
