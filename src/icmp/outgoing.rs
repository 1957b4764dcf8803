use core::net::Ipv4Addr;

use super::{MIN_MTU, message};
use crate::checksum::Sum;
use crate::error::{ParseError, Silence};
use crate::wire::{
    FragmentOffset, Icmpv4Header, IpProtocol, Ipv4, Ipv4Flags, Ipv4Header, copy, header_verifies,
    is_unicast,
};

/// What an ICMP error says (RFC 792, RFC 1812 §5.2.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Kind {
    /// The destination's network cannot be reached: type 3, code 0.
    NetUnreachable,
    /// The destination cannot be reached: type 3, code 1.
    HostUnreachable,
    /// The packet is too long and has the DF flag: type 3, code 4 (RFC 1191 §4).
    FragmentationNeeded {
        /// The longest packet that fits, in bytes: at least 68.
        mtu: u16,
    },
    /// An administrator forbids it: type 3, code 13.
    Prohibited,
    /// The TTL has come to 0 on the way: type 11, code 0.
    TimeExceeded,
    /// A fragment is missing: type 11, code 1. About the first fragment.
    ReassemblyTimeExceeded,
}

impl Kind {
    /// The type of the message.
    #[inline]
    #[must_use]
    pub const fn message_type(self) -> u8 {
        match self {
            Self::TimeExceeded | Self::ReassemblyTimeExceeded => message::TIME_EXCEEDED,
            _ => message::UNREACHABLE,
        }
    }

    /// The code within the type.
    #[inline]
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::NetUnreachable | Self::TimeExceeded => 0,
            Self::HostUnreachable | Self::ReassemblyTimeExceeded => 1,
            Self::FragmentationNeeded { .. } => 4,
            Self::Prohibited => 13,
        }
    }
}

/// An ICMP error about a packet, as an IPv4 packet to its source.
///
/// ```text
///  [IPv4 20][ICMP 8][the offending packet, as much as fits 576 bytes in all]
/// ```
///
/// A small value that borrows nothing. Its [length](Self::len) is known before a byte is written. TOS 0xC0,
/// TTL 64, DF (RFC 1812 §4.3.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
// In words: 32-bit processors copy it in fewer instructions.
#[cfg_attr(target_pointer_width = "32", repr(C, align(4)))]
pub struct IcmpError {
    source: Ipv4Addr,
    destination: Ipv4Addr,
    // Plain numbers: an `Option` or `Result` of this is copied in one piece.
    message_type: u8,
    code: u8,
    /// The second half of the rest of the ICMP header.
    mtu: u16,
    identification: u16,
    /// DF, or nothing with an identification.
    flags: u16,
    quote_len: u16,
    shortest_quote: u16,
    longest_quote: u16,
}

const _: () = assert!(size_of::<IcmpError>() <= 24);

/// As many bytes as every host takes (RFC 1812 §4.3.2.3).
const MAX_LEN: usize = 576;

/// What must be quoted of a packet besides its header (RFC 792).
const MIN_QUOTED_PAYLOAD: usize = 8;

impl IcmpError {
    /// The length of the headers in front of the quoted packet, in bytes.
    pub const HEADER_LEN: usize = 28;

    /// An error about the packet at the start of `offending`, from `source`, which is an address of the
    /// interface that received it (RFC 1812 §4.3.2.4).
    ///
    /// Pass the packet as it was received: with the TTL that it had then, and without outer headers (RFC
    /// 1812 §4.3.2.3). Do not ask about a packet that came as a broadcast or multicast of the link (RFC 1122
    /// §3.2.2), which the packet does not show. Ask a [`Bucket`](super::Bucket) before you send (RFC 1812
    /// §4.3.2.8).
    ///
    /// # Errors
    /// The [`Silence`] that the packet or the MTU asks for: any but `QuoteTooShort`.
    #[inline]
    pub fn about(offending: &[u8], kind: Kind, source: Ipv4Addr) -> Result<Self, Silence> {
        let packet = Ipv4::parse_by_call(offending).map_err(|_| Silence::Invalid)?;
        let offending = Offending {
            header: packet.header(),
            payload: packet.payload(),
        };
        offending.check(kind, source)?;
        Ok(offending.error(kind, source, u16::MAX))
    }

    /// An error about a packet that another ICMP error quotes and that may be cut:
    /// [`Quote::packet`](crate::packet::Quote::packet). Pass the same bytes to [`write`](Self::write).
    ///
    /// # Errors
    /// The [`Silence`] that the packet or the MTU asks for, as for a whole packet (RFC 1812 §4.3.2.7);
    /// `QuoteTooShort` if less than its header and 8 bytes are quoted.
    #[inline]
    pub fn about_quoted(quoted: &[u8], kind: Kind, source: Ipv4Addr) -> Result<Self, Silence> {
        let offending = Offending::quoted(quoted)?;
        offending.check(kind, source)?;
        Ok(offending.error(kind, source, u16::MAX))
    }

    /// Sets how much of the packet is quoted, in bytes: at least its header and 8 bytes (RFC 792), at most
    /// what fits a packet of 576 bytes (RFC 1812 §4.3.2.3), which is the default.
    #[inline]
    pub const fn with_quote_len(mut self, len: u16) -> Self {
        self.quote_len = if len < self.shortest_quote {
            self.shortest_quote
        } else if len > self.longest_quote {
            self.longest_quote
        } else {
            len
        };
        self
    }

    /// Sets an identification and clears DF, as Linux does. Without one the identification is 0 and DF is
    /// set: only a packet without DF needs an identification (RFC 6864 §4).
    #[inline]
    pub const fn with_identification(mut self, identification: u16) -> Self {
        self.identification = identification;
        self.flags = 0;
        self
    }

    /// What it says.
    #[inline]
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match (self.message_type, self.code) {
            (message::TIME_EXCEEDED, 0) => Kind::TimeExceeded,
            (message::TIME_EXCEEDED, _) => Kind::ReassemblyTimeExceeded,
            (_, 0) => Kind::NetUnreachable,
            (_, 1) => Kind::HostUnreachable,
            (_, 4) => Kind::FragmentationNeeded { mtu: self.mtu },
            _ => Kind::Prohibited,
        }
    }

    /// The address that it comes from.
    #[inline]
    #[must_use]
    pub const fn source(&self) -> Ipv4Addr {
        self.source
    }

    /// The address that it goes to: the source of the offending packet.
    #[inline]
    #[must_use]
    pub const fn destination(&self) -> Ipv4Addr {
        self.destination
    }

    /// How many bytes of the offending packet it quotes.
    #[inline]
    #[must_use]
    pub fn quote_len(&self) -> usize {
        usize::from(self.quote_len)
    }

    /// The length of the whole IPv4 packet, in bytes: 48 to 576.
    #[inline]
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.quote_len().saturating_add(Self::HEADER_LEN)
    }

    /// The IPv4 and the ICMP header, which the first [`quote_len`](Self::quote_len) bytes of `offending`
    /// follow: for an I/O vector, or to write them in front of the packet in its own buffer. `None` if there
    /// are fewer bytes than these.
    #[inline]
    #[must_use]
    pub fn header(&self, offending: &[u8]) -> Option<[u8; Self::HEADER_LEN]> {
        let quote = offending.get(..self.quote_len())?;
        let ip = Ipv4Header::composed(
            self.source,
            self.destination,
            IpProtocol::ICMP,
            self.quote_len.saturating_add(28),
            (0xc0, self.identification, self.flags),
        );
        let [high, low] = Sum::new()
            .add_u16(u16::from_be_bytes([self.message_type, self.code]))
            .add_u16(self.mtu)
            .add_bytes(quote)
            .checksum()
            .to_be_bytes();
        let icmp = Icmpv4Header::from_bytes([self.message_type, self.code, high, low]);
        let [mtu_high, mtu_low] = self.mtu.to_be_bytes();
        let rest = [0, 0, mtu_high, mtu_low];
        Some(zerocopy::transmute!(Headers { ip, icmp, rest }))
    }

    /// Writes the whole IPv4 packet at the start of `out`, and returns it.
    ///
    /// `offending` begins with the packet that the error is about, as it was. `None` if `out` is shorter than
    /// [`len`](Self::len), or `offending` than [`quote_len`](Self::quote_len); `out` is unchanged then.
    #[inline]
    #[must_use]
    pub fn write<'o>(&self, offending: &[u8], out: &'o mut [u8]) -> Option<&'o mut [u8]> {
        let packet = out.get_mut(..self.len())?;
        let header = self.header(offending)?;
        let (place, quote) = packet.split_first_chunk_mut()?;
        *place = header;
        copy(offending, quote);
        Some(packet)
    }
}

/// A packet that an error is about, with a valid header.
#[derive(Clone, Copy)]
pub(crate) struct Offending<'a> {
    header: &'a Ipv4Header,
    payload: &'a [u8],
}

impl<'a> Offending<'a> {
    /// A packet that may be cut, as in the quote of another error.
    pub(crate) fn quoted(bytes: &'a [u8]) -> Result<Self, Silence> {
        let packet = Ipv4::parse_quoted(bytes).map_err(|error| match error {
            ParseError::Truncated { .. } => Silence::QuoteTooShort,
            _ => Silence::Invalid,
        })?;
        let header = packet.header();
        if !header_verifies(bytes, header.header_len())
            || header.total_len() < u16::from(header.header_len())
        {
            return Err(Silence::Invalid);
        }
        let payload = packet.payload();
        if packet.is_cut() && payload.len() < MIN_QUOTED_PAYLOAD {
            return Err(Silence::QuoteTooShort);
        }
        Ok(Self { header, payload })
    }

    /// Whether its source may be told this.
    pub(crate) fn check(self, kind: Kind, source: Ipv4Addr) -> Result<(), Silence> {
        silence(self.header, self.payload)?;
        match kind {
            Kind::FragmentationNeeded { mtu } if mtu < MIN_MTU => Err(Silence::MtuBelowMinimum),
            Kind::FragmentationNeeded { .. } if !self.header.flags().contains(Ipv4Flags::DF) => {
                Err(Silence::MayBeFragmented)
            }
            _ if !is_unicast(source) => Err(Silence::NoOwnAddress),
            _ => Ok(()),
        }
    }

    /// The error, which quotes so much of it if that is allowed.
    pub(crate) fn error(self, kind: Kind, source: Ipv4Addr, quote_len: u16) -> IcmpError {
        let header_len = usize::from(self.header.header_len());
        let within = |payload_len: usize, max_len: usize| {
            let quote_len = payload_len
                .min(self.payload.len())
                .saturating_add(header_len);
            u16::try_from(quote_len.min(max_len)).unwrap_or(u16::MAX)
        };
        let longest_quote = within(usize::MAX, MAX_LEN.wrapping_sub(IcmpError::HEADER_LEN));
        let shortest_quote = within(MIN_QUOTED_PAYLOAD, MAX_LEN);
        IcmpError {
            source,
            destination: self.header.source(),
            message_type: kind.message_type(),
            code: kind.code(),
            mtu: match kind {
                Kind::FragmentationNeeded { mtu } => mtu,
                _ => 0,
            },
            identification: 0,
            flags: Ipv4Flags::DF.bits(),
            quote_len: quote_len.max(shortest_quote).min(longest_quote),
            shortest_quote,
            longest_quote,
        }
    }
}

/// The headers in front of the quoted packet.
#[derive(zerocopy::IntoBytes, zerocopy::Immutable)]
#[repr(C)]
struct Headers {
    ip: Ipv4Header,
    icmp: Icmpv4Header,
    rest: [u8; 4],
}

/// Whether an error may be sent about a packet with this valid header (RFC 1122 §3.2.2, RFC 1812 §4.3.2.7).
fn silence(header: &Ipv4Header, payload: &[u8]) -> Result<(), Silence> {
    if header.fragment_offset() != FragmentOffset::ZERO {
        return Err(Silence::LaterFragment);
    }
    if !is_unicast(header.source()) {
        return Err(Silence::SourceNotAHost);
    }
    if header.destination().is_multicast() {
        return Err(Silence::Multicast);
    }
    if header.destination().is_broadcast() {
        return Err(Silence::Broadcast);
    }
    if header.protocol() != IpProtocol::ICMP {
        return Ok(());
    }
    match payload.first() {
        None => Err(Silence::IcmpTruncated),
        Some(
            &(message::UNREACHABLE
            | message::SOURCE_QUENCH
            | message::REDIRECT
            | message::TIME_EXCEEDED
            | message::PARAMETER_PROBLEM),
        ) => Err(Silence::AboutAnError),
        // Echo, router discovery, timestamp, information, address mask (RFC 792, RFC 950, RFC 1256).
        Some(0 | 8 | 9 | 10 | 13..=18) => Ok(()),
        Some(_) => Err(Silence::UnknownIcmpType),
    }
}
