use super::opened::OuterMeta;
use crate::error::Refused;
use crate::packet::Span;
use crate::wire::{IpProtocol, Ipv4, Ipv4Header};

/// How a kind of tunnel carries its inner packet: what a [`Decapsulator`](super::Decapsulator) must know of it.
///
/// Everything else (addresses, peers, loops, ECN) is the pipeline's, the same for every carrier: a
/// decapsulator that checks its peers for one and not for another is CVE-2024-7596.
pub trait Carrier {
    /// The outer protocol (D-04).
    fn protocol(&self) -> IpProtocol;

    /// Where the inner packet lies in the outer packet's payload, the carrier's own headers proven
    /// (D-10).
    ///
    /// # Errors
    /// The reason why the packet is not this carrier's, or is broken.
    fn carried(&self, outer: Ipv4<'_>) -> Result<Carried, Refused>;

    /// Whether a packet to one of our own addresses would be opened by this carrier: by its protocol,
    /// and for UDP and TCP by its port (D-20).
    #[inline]
    fn reopens(&self, inner: Ipv4<'_>) -> bool {
        inner.header().protocol() == self.protocol()
    }

    /// Whether the outer ECN field says something about the inner packet. On a TCP connection it
    /// does not: TCP has answered to it (N-17; RFC 9329 §9.5).
    #[inline]
    fn relays_ecn(&self) -> bool {
        true
    }

    /// Whether the inner packet must fill the carrier's payload (S-20).
    #[inline]
    fn is_framed(&self) -> bool {
        false
    }
}

impl<C: Carrier + ?Sized> Carrier for &C {
    #[inline]
    fn protocol(&self) -> IpProtocol {
        (**self).protocol()
    }

    #[inline]
    fn carried(&self, outer: Ipv4<'_>) -> Result<Carried, Refused> {
        (**self).carried(outer)
    }

    #[inline]
    fn reopens(&self, inner: Ipv4<'_>) -> bool {
        (**self).reopens(inner)
    }

    #[inline]
    fn relays_ecn(&self) -> bool {
        (**self).relays_ecn()
    }

    #[inline]
    fn is_framed(&self) -> bool {
        (**self).is_framed()
    }
}

/// A [`Carrier`] over a protocol for which hosts have sockets: it can be judged without its outer
/// headers.
pub trait SocketCarrier: Carrier {
    /// Where the inner packet lies in what the socket has received.
    ///
    /// # Errors
    /// As [`Carrier::carried`].
    fn carried_payload(&self, meta: &OuterMeta, payload: &[u8]) -> Result<Carried, Refused>;
}

/// Where a carrier's payload holds the inner packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Carried {
    /// The bytes of the inner packet and any slack behind it.
    pub span: Span,
    /// The carrier's sequence number, if it has one.
    pub sequence: Option<u32>,
    /// The inner packet's fixed header, where it is not in front of the span: minimal encapsulation
    /// has taken it apart. Its options are still behind the outer header.
    pub restored: Option<Ipv4Header>,
}

impl Carried {
    /// Everything behind the first `shim_len` bytes of a payload of `len` bytes.
    #[inline]
    #[must_use]
    pub const fn behind(shim_len: usize, len: usize) -> Self {
        Self {
            span: Span::new(shim_len, len.saturating_sub(shim_len)),
            sequence: None,
            restored: None,
        }
    }

    /// The same, `by` bytes further back.
    #[inline]
    #[must_use]
    pub const fn moved(self, by: usize) -> Self {
        let start = self.span.start.saturating_add(by);
        Self {
            span: Span::new(start, self.span.len),
            ..self
        }
    }

    /// The same for an inner packet with this fixed header, of which the span is the payload.
    #[inline]
    #[must_use]
    pub const fn restoring(self, header: Ipv4Header) -> Self {
        Self {
            restored: Some(header),
            ..self
        }
    }

    /// The same with a sequence number.
    #[inline]
    #[must_use]
    pub const fn with_sequence(self, sequence: Option<u32>) -> Self {
        Self { sequence, ..self }
    }
}
