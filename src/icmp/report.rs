use core::net::Ipv4Addr;

use super::outgoing::Kind;
use super::{MIN_MTU, message};
use crate::error::{Ignored, ParseError};
use crate::packet::Quote;
use crate::wire::{Icmpv4, IpProtocol, Ipv4, is_unicast};

/// What a received ICMP error says (RFC 792).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ReportKind {
    /// Type 3, code 0.
    NetUnreachable,
    /// Type 3, code 1.
    HostUnreachable,
    /// Type 3, code 2.
    ProtocolUnreachable,
    /// Type 3, code 3.
    PortUnreachable,
    /// Type 3, code 4 (RFC 1191 §4).
    FragmentationNeeded {
        /// The MTU of the next link, in bytes; 0 from a router that does not tell it (RFC 1191 §5).
        mtu: u16,
    },
    /// Type 3, code 5.
    SourceRouteFailed,
    /// Type 3 with another code: the destination is unknown, isolated or prohibited (RFC 1812 §5.2.7.1).
    Unreachable {
        /// The code.
        code: u8,
    },
    /// Type 4, deprecated by RFC 6633.
    SourceQuench,
    /// Type 5.
    Redirect,
    /// Type 11, code 0.
    TimeExceeded,
    /// Type 11, code 1.
    ReassemblyTimeExceeded,
    /// Type 12.
    ParameterProblem {
        /// The offset of the byte that is wrong, in the quoted packet.
        pointer: u8,
    },
}

/// A valid ICMP error, and the packet that it quotes.
///
/// Anybody can send one. Believe it only if it quotes a packet of yours:
/// [`Encapsulate::inside_quote`](crate::encap::Encapsulate::inside_quote) (RFC 5927 §4.1).
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    kind: ReportKind,
    reporter: Ipv4Addr,
    quote: Quote<'a>,
}

/// What the encapsulator does about an error from inside the tunnel (RFC 2003 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Relay {
    /// It tells the inner source this.
    Tell(Kind),
    /// It takes note, and answers the next packet that does not fit: the router does not tell the MTU (RFC
    /// 1191 §5).
    TakeNote,
}

/// Reads an ICMP error: a whole IPv4 packet, which was sent to this host.
///
/// The quoted packet ends where extensions begin (RFC 4884 §4).
///
/// ```
/// use core::net::Ipv4Addr;
/// use ipencap::encap::{Encapsulate, Tunnel};
/// use ipencap::icmp::{self, IcmpError, Kind, Relay, ReportKind};
/// use ipencap::shim::IpIp;
/// # fn main() -> Result<(), Box<dyn core::error::Error>> {
/// // 192.0.2.254 cannot forward an outer packet of 1520 bytes, and quotes its first 48.
/// let packet = *b"\x45\xc0\x00\x4c\x01\x01\x00\x00\xfa\x01\xd1\xbc\xc0\x00\x02\xfe\xc6\x33\x64\x01\
///     \x03\x04\xeb\x73\x00\x00\x05\x78\x45\x00\x05\xf0\x00\x00\x40\x00\x40\x04\xce\xd2\
///     \xc6\x33\x64\x01\xcb\x00\x71\x02\x45\x00\x05\xdc\x77\x77\x40\x00\x40\x11\xa9\x89\
///     \x0a\x01\x00\x05\x0a\x02\x00\x09\x00\x01\x02\x03\x04\x05\x06\x07";
/// let report = icmp::read(&packet)?;
/// assert_eq!(report.kind(), ReportKind::FragmentationNeeded { mtu: 1400 });
/// assert_eq!((report.reporter(), report.quoted_len()), (Ipv4Addr::new(192, 0, 2, 254), 1520));
///
/// // Is it about a packet of ours? Then its source may be told.
/// let tunnel = Tunnel::new(Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2), IpIp)?;
/// let inner = tunnel.inside_quote(report.quote()).ok_or("not ours")?.packet();
/// let Relay::Tell(kind) = report.relayed(tunnel.overhead())? else { return Ok(()) };
/// assert_eq!(kind, Kind::FragmentationNeeded { mtu: 1380 });
/// let error = IcmpError::about_quoted(inner, kind, Ipv4Addr::new(10, 1, 0, 1))?;
/// assert_eq!((error.destination(), error.len()), (Ipv4Addr::new(10, 1, 0, 5), 56));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The [`Ignored`] of the first check that fails: `Invalid`, `NotIcmp`, `Fragment`, `ReporterNotAHost`,
/// `IcmpTruncated`, `BadChecksum`, `NotAnError`, `UnknownCode`, `QuoteNotIpv4`, `QuoteTooShort`.
#[inline]
pub fn read(packet: &[u8]) -> Result<Report<'_>, Ignored> {
    let packet = Ipv4::parse_by_call(packet).map_err(|_| Ignored::Invalid)?;
    read_parsed(packet)
}

/// [`read`] of a packet with a valid IPv4 header.
pub(crate) fn read_parsed(packet: Ipv4<'_>) -> Result<Report<'_>, Ignored> {
    let header = packet.header();
    if header.protocol() != IpProtocol::ICMP {
        return Err(Ignored::NotIcmp);
    }
    if header.is_fragment() {
        return Err(Ignored::Fragment);
    }
    let reporter = header.source();
    if !is_unicast(reporter) {
        return Err(Ignored::ReporterNotAHost);
    }
    let icmp = Icmpv4::parse(packet.payload()).map_err(|error| match error {
        ParseError::BadChecksum => Ignored::BadChecksum,
        _ => Ignored::IcmpTruncated,
    })?;
    let kind = kind(icmp)?;
    let quote = Quote::parse(quoted(icmp)).map_err(|error| match error {
        ParseError::Truncated { .. } => Ignored::QuoteTooShort,
        _ => Ignored::QuoteNotIpv4,
    })?;
    Ok(Report {
        kind,
        reporter,
        quote,
    })
}

const fn kind(icmp: Icmpv4<'_>) -> Result<ReportKind, Ignored> {
    let [pointer, _, high, low] = icmp.rest_of_header();
    let mtu = u16::from_be_bytes([high, low]);
    let code = icmp.header().code();
    Ok(match (icmp.header().message_type(), code) {
        (message::UNREACHABLE, 0) => ReportKind::NetUnreachable,
        (message::UNREACHABLE, 1) => ReportKind::HostUnreachable,
        (message::UNREACHABLE, 2) => ReportKind::ProtocolUnreachable,
        (message::UNREACHABLE, 3) => ReportKind::PortUnreachable,
        (message::UNREACHABLE, 4) => ReportKind::FragmentationNeeded { mtu },
        (message::UNREACHABLE, 5) => ReportKind::SourceRouteFailed,
        (message::UNREACHABLE, _) => ReportKind::Unreachable { code },
        (message::SOURCE_QUENCH, _) => ReportKind::SourceQuench,
        (message::REDIRECT, _) => ReportKind::Redirect,
        (message::TIME_EXCEEDED, 0) => ReportKind::TimeExceeded,
        (message::TIME_EXCEEDED, 1) => ReportKind::ReassemblyTimeExceeded,
        (message::TIME_EXCEEDED, _) => return Err(Ignored::UnknownCode),
        (message::PARAMETER_PROBLEM, _) => ReportKind::ParameterProblem { pointer },
        _ => return Err(Ignored::NotAnError),
    })
}

/// The quoted packet without the extensions behind it. Its length stands in words of 4 bytes in byte 5 of
/// the message, where the type has one; 0 means that there are none (RFC 4884 §4).
fn quoted(icmp: Icmpv4<'_>) -> &[u8] {
    let all = icmp.payload();
    let [_, words, ..] = icmp.rest_of_header();
    match icmp.header().message_type() {
        message::UNREACHABLE | message::TIME_EXCEEDED | message::PARAMETER_PROBLEM
            if words != 0 =>
        {
            all.get(..usize::from(words) << 2).unwrap_or(all)
        }
        _ => all,
    }
}

impl<'a> Report<'a> {
    /// What it says.
    #[inline]
    #[must_use]
    pub const fn kind(&self) -> ReportKind {
        self.kind
    }

    /// Who sent it: a router on the way, or the tunnel's exit.
    #[inline]
    #[must_use]
    pub const fn reporter(&self) -> Ipv4Addr {
        self.reporter
    }

    /// The packet that it is about, as far as it is quoted.
    #[inline]
    #[must_use]
    pub const fn quote(&self) -> Quote<'a> {
        self.quote
    }

    /// The total length of that packet by its own header, in bytes: what the next MTU is guessed from if the
    /// router does not tell it (RFC 1191 §5). Some hosts reduce it before they quote.
    #[inline]
    #[must_use]
    pub fn quoted_len(&self) -> u16 {
        self.quote.header().map_or(0, |header| header.total_len())
    }

    /// What to do about the error if it quotes a packet of a tunnel with so many bytes of `overhead` (RFC
    /// 2003 §4).
    ///
    /// | received | told to the inner source |
    /// |---|---|
    /// | net unreachable | net unreachable |
    /// | host, protocol unreachable; other codes | host unreachable |
    /// | port unreachable | host unreachable, if the tunnel has ports: its exit does not listen |
    /// | fragmentation needed | the same, with the MTU less the overhead, at least 68 |
    /// | time exceeded | host unreachable |
    ///
    /// First update the tunnel's path MTU, and report what that leaves if it is less than what the router
    /// says. [`IcmpError::about_quoted`](super::IcmpError::about_quoted) sees to the packets about which no
    /// error may be sent.
    ///
    /// # Errors
    /// The [`Ignored`] that the rest is: `MtuBelowMinimum`, `PortUnreachable`, `SourceRouteFailed`,
    /// `SourceQuench`, `Redirect`, `ParameterProblem`.
    #[inline]
    pub fn relayed(&self, overhead: usize) -> Result<Relay, Ignored> {
        match self.kind {
            ReportKind::FragmentationNeeded { mtu: 0 } => Ok(Relay::TakeNote),
            ReportKind::FragmentationNeeded { mtu } if mtu < MIN_MTU => {
                Err(Ignored::MtuBelowMinimum)
            }
            ReportKind::FragmentationNeeded { mtu } => {
                let overhead = u16::try_from(overhead).unwrap_or(u16::MAX);
                let mtu = mtu.saturating_sub(overhead).max(MIN_MTU);
                Ok(Relay::Tell(Kind::FragmentationNeeded { mtu }))
            }
            _ => self.relayed_unreachable().map(Relay::Tell),
        }
    }

    /// [`relayed`](Self::relayed) of a report that is not about an MTU.
    #[inline(always)]
    pub(crate) fn relayed_unreachable(&self) -> Result<Kind, Ignored> {
        match self.kind {
            ReportKind::NetUnreachable => Ok(Kind::NetUnreachable),
            ReportKind::PortUnreachable if !self.has_ports() => Err(Ignored::PortUnreachable),
            ReportKind::SourceRouteFailed => Err(Ignored::SourceRouteFailed),
            ReportKind::SourceQuench => Err(Ignored::SourceQuench),
            ReportKind::Redirect => Err(Ignored::Redirect),
            ReportKind::ParameterProblem { .. } => Err(Ignored::ParameterProblem),
            ReportKind::HostUnreachable
            | ReportKind::ProtocolUnreachable
            | ReportKind::PortUnreachable
            | ReportKind::FragmentationNeeded { .. }
            | ReportKind::Unreachable { .. }
            | ReportKind::TimeExceeded
            | ReportKind::ReassemblyTimeExceeded => Ok(Kind::HostUnreachable),
        }
    }

    /// Whether the quoted packet is of a protocol with ports.
    fn has_ports(&self) -> bool {
        let protocol = self.quote.header().map(|header| header.protocol());
        matches!(protocol, Some(IpProtocol::UDP | IpProtocol::TCP))
    }
}
