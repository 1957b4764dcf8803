use core::net::Ipv4Addr;

use crate::icmp::{self, ReportKind};
use crate::wire::{Icmpv4Header, IpProtocol, Ipv4, UdpHeader};

pub(super) const ECHO_REPLY: u8 = 0;
const ECHO_REQUEST: u8 = 8;

/// What a [`PathCheck`](super::PathCheck) sends, and what answers it: an ICMP message.
pub trait PathProbe {
    /// The protocol in the probe's IPv4 header.
    const PROTOCOL: IpProtocol;

    /// Writes what is behind that header, of a probe of `total_len` bytes. `None` if there is too little room.
    #[must_use]
    fn write(&self, total_len: u16, behind: &mut [u8]) -> Option<()>;

    /// The total length of the probe that an ICMP packet answers. It went from `source` to `target`. `None` if
    /// it answers none.
    fn answered_len(&self, source: Ipv4Addr, target: Ipv4Addr, answer: &[u8]) -> Option<u16>;
}

/// UDP datagrams to this port, where nobody listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs, reason = "a port")]
pub struct ClosedPort(pub u16);

impl PathProbe for ClosedPort {
    const PROTOCOL: IpProtocol = IpProtocol::UDP;

    #[inline]
    fn write(&self, _: u16, behind: &mut [u8]) -> Option<()> {
        let len = u16::try_from(behind.len()).ok()?;
        behind.fill(0);
        *behind.first_chunk_mut()? = *UdpHeader::new(self.0, self.0, len).as_bytes();
        Some(())
    }

    #[inline]
    fn answered_len(&self, source: Ipv4Addr, target: Ipv4Addr, answer: &[u8]) -> Option<u16> {
        let report = icmp::read(answer).ok()?;
        let is_closed = matches!(
            report.kind(),
            ReportKind::PortUnreachable | ReportKind::ProtocolUnreachable
        );
        let quoted = report.quote().header()?;
        let [high, low] = self.0.to_be_bytes();
        let is_probe = is_closed
            && report.reporter() == target
            && (quoted.source(), quoted.destination()) == (source, target)
            && quoted.protocol() == IpProtocol::UDP
            && report.quote().payload().first_chunk() == Some(&[high, low, high, low]);
        is_probe.then(|| report.quoted_len())
    }
}

/// Pings with this identifier, which tells them from those of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs, reason = "an identifier")]
pub struct Echo(pub u16);

impl PathProbe for Echo {
    const PROTOCOL: IpProtocol = IpProtocol::ICMP;

    #[inline]
    fn write(&self, total_len: u16, behind: &mut [u8]) -> Option<()> {
        // The sequence number is the length: an answer that comes in fragments does not tell it.
        let ([a, b], [c, d]) = (self.0.to_be_bytes(), total_len.to_be_bytes());
        behind.fill(0);
        *behind.first_chunk_mut()? = [0, 0, 0, 0, a, b, c, d];
        let (header, rest) = Icmpv4Header::split_mut(behind).ok()?;
        header.set_type_and_code(ECHO_REQUEST, 0);
        header.fill_checksum(rest);
        Some(())
    }

    #[inline]
    fn answered_len(&self, source: Ipv4Addr, target: Ipv4Addr, answer: &[u8]) -> Option<u16> {
        let answer = Ipv4::parse(answer).ok()?;
        let header = answer.header();
        let &[ECHO_REPLY, _, _, _, a, b, c, d] = answer.payload().first_chunk()? else {
            return None;
        };
        let is_probe = (header.source(), header.destination()) == (target, source)
            && header.fragment_offset().bytes() == 0
            && [a, b] == self.0.to_be_bytes();
        is_probe.then(|| u16::from_be_bytes([c, d]))
    }
}
