use super::Decapsulate;
use super::access::Access;
use super::opened::{Change, Opened, OuterPacket, Restored};
use super::pipeline::{Around, check_form, check_protocol, open};
use super::receiver::Receiver;
use crate::error::{ParseError, Reason, Refused};
use crate::packet::Span;
use crate::wire::{Ecn, IpProtocol, Ipv4, Ipv4Header, MinimalHeader};

/// Minimal encapsulation (RFC 2004), as a [`Receiver`] opens it. The inner packet begins 8 or 12 bytes
/// into the outer one, where [`Opened::apply`] writes the header that the encapsulator took apart.
///
/// It is no [`Shim`](crate::shim::Shim): the inner header is not in the packet. There is only one ECN
/// field, so what the tunnel's path has marked stays marked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Minimal;

impl<A: Access> Receiver<Minimal, A> {
    /// A receiver of minimal encapsulation, from those whom `access` allows.
    #[inline]
    pub const fn minimal(access: A) -> Self {
        Self::new(Minimal, access)
    }
}

impl<A: Access> Decapsulate for Receiver<Minimal, A> {
    #[inline]
    fn recognises(&self, outer: Ipv4<'_>) -> bool {
        self.checks.access.is_local(outer.header().destination()) && is_minimal(outer)
    }

    #[inline]
    fn inspect_outer(&self, outer: OuterPacket<'_>) -> Result<Opened, Refused> {
        let mut storage = None;
        let packet = outer.parse(&mut storage).map_err(Refused::outer)?;
        let peer = self
            .checks
            .check_outer::<false>(IpProtocol::MINIMAL, packet)
            .map_err(Refused::new)?;
        let (header, payload) = read(packet)?;
        let inner = inner(&header, packet, payload)?;
        let around = Around {
            source: packet.header().source(),
            destination: packet.header().destination(),
            peer,
            dscp: None,
            ecn: Ecn::NotEct,
            must_fill: false,
            depth: outer.depth(),
            expects_tunnel: outer.expects_tunnel(),
        };
        let opened = self
            .checks
            .check_inner::<false>(&around, inner, 0, is_minimal)?;
        Ok(restored(opened, &outer, packet, header))
    }
}

/// [`inspect_without_filter`](super::inspect_without_filter) for minimal encapsulation.
///
/// # Errors
/// [`Refused`], by the first check that fails.
#[inline]
pub fn inspect_minimal_without_filter(packet: &[u8]) -> Result<Opened, Refused> {
    let outer = Ipv4::parse(packet).map_err(Refused::outer)?;
    check_protocol(IpProtocol::MINIMAL, outer.header()).map_err(Refused::new)?;
    let (header, payload) = read(outer)?;
    let inner = inner(&header, outer, payload)?;
    check_form(inner, false)?;
    let opened = open(Ecn::NotEct, inner, 0, inner.header().dscp())?;
    Ok(restored(opened, &OuterPacket::new(packet), outer, header))
}

fn is_minimal(packet: Ipv4<'_>) -> bool {
    packet.header().protocol() == IpProtocol::MINIMAL
}

/// The inner packet's fixed header, and what is behind the minimal header.
fn read(outer: Ipv4<'_>) -> Result<(Ipv4Header, &[u8]), Refused> {
    let (minimal, behind) = MinimalHeader::parse(outer.payload()).map_err(|error| match error {
        ParseError::BadChecksum => Refused::new(Reason::MinBadChecksum),
        error => Refused::truncated(Reason::MinTruncated, error),
    })?;
    // The minimal header lies within the total length, so the difference is not below zero.
    let minimal_len = u16::try_from(minimal.wire_len()).unwrap_or_default();
    let total_len = outer.header().total_len().saturating_sub(minimal_len);
    let mut header = *outer.header();
    header.edit(|edit| {
        edit.set_total_len(total_len)
            .set_protocol(minimal.protocol())
            .set_destination(minimal.destination());
        if let Some(source) = minimal.source() {
            edit.set_source(source);
        }
    });
    Ok((header, behind))
}

fn inner<'a>(
    header: &'a Ipv4Header,
    outer: Ipv4<'a>,
    payload: &'a [u8],
) -> Result<Ipv4<'a>, Refused> {
    Ipv4::from_parts(header, outer.option_bytes(), payload).map_err(Refused::inner)
}

/// The verdict with the place of the inner packet, and the header to be written there.
fn restored(
    opened: Opened,
    outer: &OuterPacket<'_>,
    packet: Ipv4<'_>,
    header: Ipv4Header,
) -> Opened {
    let (outer_len, inner_len) = (packet.header().total_len(), header.total_len());
    let minimal_len = outer_len.saturating_sub(inner_len);
    let before = outer.restored().map_or(0, |restored| restored.options_back);
    Opened {
        span: Span::new(
            outer.span().start.saturating_add(usize::from(minimal_len)),
            usize::from(inner_len),
        ),
        change: Some(Change::Header(Restored {
            header,
            options_back: before.saturating_add(minimal_len),
        })),
        ..opened
    }
}
