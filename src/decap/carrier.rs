use crate::error::Refused;
use crate::packet::Span;
use crate::wire::{IpProtocol, Ipv4};

/// The header of one kind of tunnel between the outer IPv4 header and the inner packet, as a
/// [`Receiver`](super::Receiver) reads it.
///
/// A carrier knows its own header only. Addresses, peers, loops and ECN are checked by the receiver, the
/// same for every carrier. A decapsulator that checks its peers for one encapsulation and not for
/// another is CVE-2024-7596.
pub trait Carrier {
    /// The outer protocol.
    const PROTOCOL: IpProtocol;

    /// Whether the outer packets belong to a connection with its own congestion control, as TCP's do.
    /// Then the outer ECN field is not passed on to the inner packet (RFC 9329 §9.5), and the inner
    /// packet must fill the payload.
    const IS_CONNECTION: bool = false;

    /// Checks the carrier's header in the payload of `outer`, and returns where the inner packet lies in
    /// that payload.
    ///
    /// # Errors
    /// [`Refused`], if the packet is not this carrier's or its header is invalid.
    fn read(&self, outer: Ipv4<'_>) -> Result<Carried, Refused>;

    /// Whether this carrier would open the packet if it is for one of our own addresses: by its
    /// protocol, and for UDP and TCP by its port.
    #[inline]
    fn reopens(&self, inner: Ipv4<'_>) -> bool {
        inner.header().protocol() == Self::PROTOCOL
    }
}

impl<C: Carrier + ?Sized> Carrier for &C {
    const PROTOCOL: IpProtocol = C::PROTOCOL;
    const IS_CONNECTION: bool = C::IS_CONNECTION;

    #[inline]
    fn read(&self, outer: Ipv4<'_>) -> Result<Carried, Refused> {
        (**self).read(outer)
    }

    #[inline]
    fn reopens(&self, inner: Ipv4<'_>) -> bool {
        (**self).reopens(inner)
    }
}

/// A [`Carrier`] over a protocol for which hosts have sockets, which remove the outer headers.
pub trait SocketCarrier: Carrier {
    /// Checks the carrier's header in `payload`, which a socket has received at `destination_port`, and
    /// returns where the inner packet lies in it.
    ///
    /// # Errors
    /// As [`Carrier::read`].
    fn read_payload(&self, destination_port: u16, payload: &[u8]) -> Result<Carried, Refused>;
}

/// Where the inner packet lies in a carrier's payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Carried {
    /// The inner packet and any bytes behind it.
    pub span: Span,
    /// The carrier's sequence number, if it has one.
    pub sequence: Option<u32>,
}

impl Carried {
    /// Everything behind the first `header_len` bytes of a payload of `len` bytes.
    #[inline]
    #[must_use]
    pub const fn behind(header_len: usize, len: usize) -> Self {
        Self {
            span: Span::new(header_len, len.saturating_sub(header_len)),
            sequence: None,
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

    /// The same with a sequence number.
    #[inline]
    #[must_use]
    pub const fn with_sequence(self, sequence: Option<u32>) -> Self {
        Self { sequence, ..self }
    }
}
