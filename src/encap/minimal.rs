use core::net::Ipv4Addr;

use zerocopy::FromBytes;

use super::Encapsulate;
use super::outer::{HeaderLen, Outer};
use super::policy::{OuterPolicy, Role};
use crate::decap::{Minimal, Receiver};
use crate::error::{ConfigError, EncapError};
use crate::packet::{Composed, Facts, PerPacket, Quote, Rules};
use crate::wire::{IpProtocol, Ipv4Header, MinimalHeader};

/// Minimal encapsulation: not a second IPv4 header, but 8 or 12 bytes behind the one there is, which
/// is changed to lead to the tunnel's exit, protocol 55 (RFC 2004).
///
/// ```text
///  before  [··· headroom ···][IPv4 + options][payload]
///  after   [···][IPv4 + options][minimal 8, 12][payload]
///               └ to the exit ┘└ original addresses and protocol
/// ```
///
/// Whether the original source is carried (the S bit, 4 bytes more) is fixed by configuration, so
/// the overhead is the same for every packet. Without it a packet whose source is not the
/// encapsulator is refused ([`EncapError::SourceNotKept`]).
///
/// Of all encapsulations this one alone **moves and changes the inner header**, so it has no
/// [headers by value](super::header). Decapsulation restores it, with one exception: a header checksum
/// of 0xFFFF comes out as 0x0000, the other form of the same value, because RFC 1624 arithmetic never
/// yields 0xFFFF. No sender that follows RFC 1071 writes 0xFFFF there.
///
/// TTL, DSCP, ECN and DF need no policy: there is only one header. Fragments cannot be carried, nor can
/// packets with a source route: the options stay in the outer header, where decapsulators refuse them.
/// Receive with [`Receiver::minimal`](crate::decap::Receiver::minimal).
///
/// ```
/// use core::net::Ipv4Addr;
/// use ipencap::encap::{Encapsulate, MinEnc};
///
/// # fn main() -> Result<(), ipencap::error::ConfigError> {
/// let tunnel = MinEnc::new(Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2))?;
/// assert_eq!(tunnel.overhead(), 12);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[must_use]
pub struct MinEnc {
    /// For the checks that it shares with other tunnels.
    outer: Outer,
    keeps_source: bool,
}

impl MinEnc {
    /// A tunnel from `source`, an address of the encapsulator, to `destination`, the decapsulator's,
    /// that carries the original source.
    ///
    /// # Errors
    /// [`ConfigError::ForbiddenSource`], [`ConfigError::ForbiddenDestination`].
    #[inline]
    pub const fn new(source: Ipv4Addr, destination: Ipv4Addr) -> Result<Self, ConfigError> {
        let policy = &OuterPolicy::DEFAULT;
        match Outer::new(source, destination, IpProtocol::MINIMAL, policy) {
            Ok(outer) => Ok(Self {
                outer,
                keeps_source: true,
            }),
            Err(error) => Err(error),
        }
    }

    /// Leaves the original source out: for a host that tunnels its own packets (S bit 0).
    #[inline]
    pub const fn without_source(self) -> Self {
        Self {
            keeps_source: false,
            ..self
        }
    }

    /// Sets whether packets originate here or are forwarded.
    #[inline]
    pub const fn with_role(self, role: Role) -> Self {
        let policy = OuterPolicy {
            role,
            ..self.outer.policy()
        };
        Self {
            outer: self.outer.with_policy(&policy),
            ..self
        }
    }

    /// Sets the MTU of the link or path behind the tunnel, in bytes; `None` for no limit.
    #[inline]
    pub const fn with_link_mtu(self, link_mtu: Option<u16>) -> Self {
        let policy = OuterPolicy {
            link_mtu,
            ..self.outer.policy()
        };
        Self {
            outer: self.outer.with_policy(&policy),
            ..self
        }
    }

    /// The outer source.
    #[inline]
    #[must_use]
    pub const fn source(&self) -> Ipv4Addr {
        self.outer.source()
    }

    /// The outer destination, the tunnel's exit.
    #[inline]
    #[must_use]
    pub const fn destination(&self) -> Ipv4Addr {
        self.outer.destination()
    }

    /// A receiver of what this tunnel sends: for its far end, whom `access` describes.
    #[inline]
    pub const fn receiver<A>(&self, access: A) -> Receiver<Minimal, A> {
        Receiver::new(Minimal, access)
    }

    const fn overhead_len(&self) -> u16 {
        if self.keeps_source { 12 } else { 8 }
    }

    const fn facts(&self, inner: &Facts) -> Facts {
        let outer = Composed {
            source: self.outer.source(),
            destination: self.outer.destination(),
            protocol: IpProtocol::MINIMAL,
            tos: inner.tos(),
            ttl: inner.ttl().wrapping_sub(self.outer.hops()),
            has_df: inner.has_df(),
        };
        inner.inside(outer, self.overhead_len())
    }
}

impl Encapsulate for MinEnc {
    #[inline]
    fn overhead(&self) -> usize {
        usize::from(self.overhead_len())
    }

    #[inline]
    fn max_len(&self) -> u16 {
        self.outer.max_len()
    }

    #[inline]
    fn check(&self, inner: &Facts, packet: &PerPacket, rules: Rules) -> Result<Facts, EncapError> {
        let len = inner.len_with(self.overhead());
        // There is one body for all packets: the other rules would decline what needs more, or call a packet
        // of another version too long.
        if let Err(fault) = self.outer.check(inner, len, packet, Rules::Explained) {
            return Err(self
                .outer
                .error(fault, inner.figures(), self.overhead_len(), packet));
        }
        if inner.is_fragment() {
            return Err(EncapError::Fragment);
        }
        if inner.has_source_route() {
            return Err(EncapError::SourceRoute);
        }
        if !self.keeps_source && inner.source() != self.outer.source() {
            return Err(EncapError::SourceNotKept);
        }
        if matches!(rules, Rules::HeadersOnly) {
            return Err(EncapError::NotByValue);
        }
        Ok(self.facts(inner))
    }

    #[inline]
    fn write(&self, frame: &mut [u8], inner: &Facts, _packet: &PerPacket, _rules: Rules) -> Facts {
        let outer = self.facts(inner);
        let overhead = self.overhead();
        let Some((original, ..)) = frame
            .get(overhead..)
            .and_then(|packet| Ipv4Header::ref_from_prefix(packet).ok())
        else {
            return outer;
        };
        let mut header = *original;
        let minimal = MinimalHeader::new(original, self.keeps_source);
        let header_len = usize::from(original.header_len());
        let total_len = original.total_len().saturating_add(self.overhead_len());
        header.edit(|edit| {
            edit.set_ttl(outer.ttl())
                .set_total_len(total_len)
                .set_protocol(IpProtocol::MINIMAL)
                .set_source(self.outer.source())
                .set_destination(self.outer.destination());
        });
        let Some(headers) = frame.get_mut(..overhead.saturating_add(header_len)) else {
            return outer;
        };
        // The options move to the front with their header; the minimal header takes their place.
        headers.copy_within(overhead.., 0);
        if let Some((_, shim)) = headers.split_at_mut_checked(header_len) {
            minimal.write(shim);
        }
        if let Some(fixed) = headers.first_chunk_mut() {
            *fixed = *header.as_bytes();
        }
        outer
    }

    #[inline]
    fn inside_quote<'q>(&self, quote: Quote<'q>) -> Option<Quote<'q>> {
        let (header, shim) = (quote.header(), quote.payload());
        if !self.outer.matches(quote.header_bytes(), HeaderLen::Any) {
            return None;
        }
        let keeps_source = shim.get(1).map(|flags| flags & 0x80 != 0);
        if keeps_source.is_some_and(|keeps_source| keeps_source != self.keeps_source) {
            return None;
        }
        let (Some(mut header), Some(_)) = (header, shim.get(..self.overhead())) else {
            // The quote ends before the last of what the original header is made of.
            return quote.inside(self.overhead());
        };
        let (minimal, _) = MinimalHeader::parse(shim).ok()?;
        let total_len = header.total_len().saturating_sub(self.overhead_len());
        header.edit(|edit| {
            edit.set_total_len(total_len)
                .set_protocol(minimal.protocol())
                .set_source(minimal.source().unwrap_or(self.outer.source()))
                .set_destination(minimal.destination());
        });
        Some(quote.with_header(header, self.overhead()))
    }
}

impl core::fmt::Debug for MinEnc {
    #[inline]
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let policy = self.outer.policy();
        f.debug_struct("MinEnc")
            .field("source", &self.outer.source())
            .field("destination", &self.outer.destination())
            .field("keeps_source", &self.keeps_source)
            .field("role", &policy.role)
            .field("link_mtu", &policy.link_mtu)
            .finish()
    }
}
