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
/// Any 8 bytes are a valid value, and getters never fail. Setters update the checksum (RFC 1624) and
/// write 0xFFFF instead of 0. A checksum of 0 means that there is none, and setters leave it at 0 (RFC
/// 768).
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

/// The state of a UDP checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(
    clippy::exhaustive_enums,
    reason = "a checksum is absent, right or wrong"
)]
pub enum UdpChecksum {
    /// It is right.
    Valid,
    /// It is wrong: drop the datagram (RFC 1122 §4.1.3.4).
    Invalid,
    /// It is 0: the sender did not compute one (RFC 768).
    Absent,
}

impl UdpHeader {
    /// The length of the header, in bytes.
    pub const LEN: usize = 8;

    /// A header without checksum. `len` is the length of header and payload, in bytes.
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

    super::as_bytes!();

    /// Splits `bytes` into the header and the bytes that follow. The length field is not checked.
    ///
    /// # Errors
    /// [`ParseError::Truncated`] if there are fewer than 8 bytes.
    #[inline]
    pub fn split(bytes: &[u8]) -> Result<(&Self, &[u8]), ParseError> {
        Self::ref_from_prefix(bytes).map_err(|_| too_short(bytes.len()))
    }

    /// [`split`](Self::split) with mutable results.
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

    /// The length field: the length of header and payload, in bytes.
    #[inline]
    #[must_use]
    #[allow(
        clippy::len_without_is_empty,
        reason = "a field of the header, not a collection"
    )]
    pub const fn len(&self) -> u16 {
        self.len.get()
    }

    /// The checksum field; 0 means that there is no checksum.
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
    /// The checksum is updated for this field and for the length in the pseudo-header. If the payload
    /// changes too, update the checksum with [`patch`](Self::patch).
    #[inline]
    pub fn set_len(&mut self, len: u16) {
        let old = self.len();
        self.patch(Delta::new().replace_u16(old, len).replace_u16(old, len));
        self.len.set(len);
    }

    /// Updates the checksum for a change of the source or destination address in the IPv4 header.
    #[inline]
    pub fn patch_address(&mut self, old: Ipv4Addr, new: Ipv4Addr) {
        self.patch(Delta::new().replace_u32(old.to_bits(), new.to_bits()));
    }

    /// Updates the checksum for `delta`. A result of 0 becomes 0xFFFF, and an absent checksum stays absent.
    #[inline]
    pub fn patch(&mut self, delta: Delta) {
        self.checksum.set(Self::patched(self.checksum(), delta));
    }

    /// [`patch`](Self::patch) for a checksum that is not in a header.
    ///
    /// ```
    /// use ipencap::{checksum::Delta, wire::UdpHeader};
    /// let delta = Delta::new().replace_u16(0x2222, 0x3333);
    /// assert_eq!(UdpHeader::patched(0x1111, delta), 0xffff); // 0 would mean "no checksum"
    /// assert_eq!(UdpHeader::patched(0x0000, delta), 0x0000); // there is no checksum
    /// ```
    #[inline]
    #[must_use]
    pub const fn patched(checksum: u16, delta: Delta) -> u16 {
        match checksum {
            0 => 0,
            present => Self::transmitted(delta.apply(present)),
        }
    }

    /// A computed checksum in the form that UDP sends: 0xFFFF instead of 0 (RFC 768).
    #[inline]
    #[must_use]
    pub const fn transmitted(checksum: u16) -> u16 {
        if checksum == 0 { 0xffff } else { checksum }
    }

    /// Computes and sets the checksum over pseudo-header, header and `payload`. The pseudo-header's length
    /// is the header's length field.
    #[inline]
    pub fn fill_checksum(&mut self, source: Ipv4Addr, destination: Ipv4Addr, payload: &[u8]) {
        self.checksum = U16::ZERO;
        let sum = self.sum(source, destination, payload);
        self.checksum.set(Self::transmitted(sum.checksum()));
    }

    /// Removes the checksum. Only IPv4 allows this (RFC 768, RFC 8085 §3.4.1).
    #[inline]
    pub const fn clear_checksum(&mut self) {
        self.checksum = U16::ZERO;
    }

    /// Sets the checksum field to this value.
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

/// A UDP datagram: header and payload, delimited by the length field (RFC 768).
#[derive(Clone, Copy, Debug)]
pub struct Udp<'a> {
    header: &'a UdpHeader,
    payload: &'a [u8],
    slack: usize,
}

impl<'a> Udp<'a> {
    /// Parses the datagram at the start of an IPv4 payload. Checks the length, but not the checksum: for
    /// that [`checksum_status`](Self::checksum_status) needs the IPv4 addresses.
    ///
    /// # Errors
    /// [`ParseError::Truncated`] or [`ParseError::BadUdpLength`].
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

    /// The payload, up to the end by the length field.
    #[inline]
    #[must_use]
    pub const fn payload(self) -> &'a [u8] {
        self.payload
    }

    /// The number of bytes behind the end of the datagram, the UDP options area (RFC 9868).
    #[inline]
    #[must_use]
    pub const fn slack(self) -> usize {
        self.slack
    }

    /// Verifies the checksum, with the addresses of the IPv4 header (RFC 1122 §4.1.3.4).
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
