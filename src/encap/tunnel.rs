use core::fmt;
use core::net::Ipv4Addr;

use super::Encapsulate;
use super::outer::{HeaderLen, Outer};
use super::policy::OuterPolicy;
use crate::decap::Receiver;
use crate::error::{ConfigError, EncapError};
use crate::packet::{Facts, PerPacket, Quote, Rules, by_rules};
use crate::shim::Shim;
use crate::wire::Ipv4Header;

/// As many bytes as an IPv4 packet has at most: no shim fits that is as long.
const MOST_SHIM: usize = 65_535;

/// A tunnel: an outer IPv4 header and a [`Shim`] in front of a packet.
///
/// ```text
///  before   [··· headroom ···][inner IPv4|payload]
///  after    [outer IPv4][shim][inner IPv4|payload]
/// ```
///
/// Plain data without pointers, [`Copy`] and made in `const`: a load balancer keeps one for each
/// backend, firmware keeps them in flash. Receive with a [`Receiver`](crate::decap::Receiver) of the same
/// shim.
///
/// ```
/// use core::net::Ipv4Addr;
/// use ipencap::encap::{Encapsulate, Tunnel};
/// use ipencap::shim::{Fou, IpIp};
///
/// # fn main() -> Result<(), ipencap::error::ConfigError> {
/// let (left, right) = (Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2));
/// assert_eq!(Tunnel::new(left, right, IpIp)?.overhead(), 20);
/// assert_eq!(Tunnel::new(left, right, Fou::new(5555))?.overhead(), 28);
///
/// // In flash.
/// static BACKEND: Tunnel<IpIp> =
///     match Tunnel::new(Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2), IpIp) {
///         Ok(tunnel) => tunnel,
///         Err(_) => panic!("not unicast"),
///     };
/// # let _ = &BACKEND;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[must_use]
pub struct Tunnel<S> {
    outer: Outer,
    shim: S,
}

impl<S: Shim> Tunnel<S> {
    /// A tunnel from `source`, an address of the encapsulator, to `destination`, the decapsulator's,
    /// with the default policies: [`OuterPolicy::DEFAULT`], or [`OuterPolicy::CONNECTION`] over a
    /// connection.
    ///
    /// # Errors
    /// [`ConfigError::ForbiddenSource`], [`ConfigError::ForbiddenDestination`].
    #[inline]
    pub const fn new(
        source: Ipv4Addr,
        destination: Ipv4Addr,
        shim: S,
    ) -> Result<Self, ConfigError> {
        let policy = if S::IS_CONNECTION {
            &OuterPolicy::CONNECTION
        } else {
            &OuterPolicy::DEFAULT
        };
        match Outer::new(source, destination, S::PROTOCOL, policy) {
            Ok(outer) => Ok(Self { outer, shim }),
            Err(error) => Err(error),
        }
    }

    /// Sets the policies of the outer header, all of them.
    #[inline]
    pub const fn with_policy(self, policy: OuterPolicy) -> Self {
        Self {
            outer: self.outer.with_policy(&policy),
            shim: self.shim,
        }
    }

    /// The policies of the outer header.
    #[inline]
    #[must_use]
    pub const fn policy(&self) -> OuterPolicy {
        self.outer.policy()
    }

    /// The shim.
    #[inline]
    #[must_use]
    pub const fn shim(&self) -> S {
        self.shim
    }

    /// A receiver of what this tunnel sends: for its far end, whom `access` describes.
    ///
    /// ```
    /// use core::net::Ipv4Addr;
    /// use ipencap::decap::{PointToPoint, Prefix};
    /// use ipencap::encap::{PerPacket, Tunnel};
    /// use ipencap::shim::Gue;
    /// use ipencap::{Span, decap, encap};
    /// # use ipencap::wire::{IpProtocol, Ipv4Header};
    /// # fn main() -> Result<(), Box<dyn core::error::Error>> {
    /// # let inner = *Ipv4Header::new(Ipv4Addr::new(10, 1, 0, 5), Ipv4Addr::new(10, 2, 0, 9), IpProtocol(253), 20).as_bytes();
    /// let (left, right) = (Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2));
    /// let tunnel = Tunnel::new(left, right, Gue::new())?;
    /// let receiver = tunnel.receiver(PointToPoint::new(right, left, &[Prefix::ANY]));
    ///
    /// let mut buffer = [0; 52];
    /// buffer[32..].copy_from_slice(&inner);
    /// let outer = encap(&tunnel, &mut buffer, Span::new(32, 20), &PerPacket::new())?;
    /// assert_eq!(decap(&receiver, outer)?.packet, inner);
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub const fn receiver<A>(&self, access: A) -> Receiver<S, A> {
        Receiver::new(self.shim, access)
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

    /// Whether a route that leads this packet into this tunnel looks like a loop (RFC 2003 §3.2): its
    /// source is the tunnel's exit or, when forwarding, the encapsulator; or it is already a packet of
    /// this very tunnel. The last case is not refused by [`encap`](crate::encap()). A fragment shows no port, so
    /// one of this tunnel is not known if it has ports.
    #[inline]
    #[must_use]
    pub fn would_loop(&self, inner: &Facts) -> bool {
        self.outer.would_loop(inner, self.shim.tunnel_port())
    }

    /// Decrements the TTL of the inner packet, if this hop forwards.
    pub(crate) fn forward(&self, inner_packet: &mut [u8]) {
        self.outer.forward(inner_packet, Rules::All);
    }

    #[inline(always)]
    fn overhead_len(&self) -> u16 {
        // At most 60 bytes of headers and the shim's: no shim that fits an IPv4 packet is longer.
        u16::try_from(self.overhead()).unwrap_or(u16::MAX)
    }

    #[inline(always)]
    fn facts(&self, inner: &Facts, len: usize, packet: &PerPacket, rules: Rules) -> Facts {
        let outer = self.outer.facts(inner, self.overhead_len(), rules);
        self.shim
            .outer_facts(outer, inner, packet, self.outer.pseudo(len), rules)
    }

    #[inline(always)]
    fn check_by(
        &self,
        inner: &Facts,
        packet: &PerPacket,
        rules: Rules,
    ) -> Result<Facts, EncapError> {
        let len = inner.len_with(self.overhead());
        if let Err(fault) = self.outer.check(inner, len, packet, rules) {
            if rules.explain() {
                let (figures, overhead) = (inner.figures(), self.overhead_len());
                return Err(match rules {
                    Rules::HeadersOnly => self.outer.error_apart(fault, figures, overhead, packet),
                    _ => self.outer.error(fault, figures, overhead, packet),
                });
            }
            return Err(EncapError::TtlZero);
        }
        self.shim.check(inner, packet, rules)?;
        let mut outer = self.facts(inner, len, packet, rules);
        if matches!(rules, Rules::HeadersOnly) {
            // That it is known is enough here; `write` tells the value.
            outer = outer.with_byte_sum(inner.byte_sum());
        }
        Ok(outer)
    }

    #[inline(always)]
    fn write_by(&self, frame: &mut [u8], inner: &Facts, packet: &PerPacket, rules: Rules) -> Facts {
        let len = inner.len_with(self.overhead());
        let outer = self.facts(inner, len, packet, rules);
        let Some((header, behind)) = frame.split_first_chunk_mut() else {
            return outer;
        };
        let pseudo = self.outer.pseudo(len);
        let Some((_, inner_packet)) = behind.split_at_mut_checked(self.shim.len()) else {
            return outer;
        };
        self.outer.forward(inner_packet, rules);
        self.shim.write(behind, inner, packet, pseudo, rules);
        *header = self.outer.header(inner, len, packet, rules);
        if matches!(rules, Rules::HeadersOnly) {
            // The IPv4 header adds nothing.
            let shim = behind.get(..self.shim.len()).unwrap_or_default();
            let sum = |inner| {
                crate::checksum::Sum::new()
                    .add_bytes(shim)
                    .add_u16(inner)
                    .fold()
            };
            return outer.with_byte_sum(inner.byte_sum().map(sum));
        }
        outer
    }
}

impl<S: Shim> Encapsulate for Tunnel<S> {
    #[inline(always)]
    fn overhead(&self) -> usize {
        // A shim that no packet has room for is too long by any length: sums of this one do not wrap.
        self.shim.len().min(MOST_SHIM).wrapping_add(Ipv4Header::LEN)
    }

    #[inline(always)]
    fn rules(&self) -> Rules {
        match self.outer.rules() {
            Rules::Common => self.shim.rules(),
            rules => rules,
        }
    }

    #[inline(always)]
    fn max_len(&self) -> u16 {
        self.outer.max_len()
    }

    #[inline]
    fn inside_quote<'q>(&self, quote: Quote<'q>) -> Option<Quote<'q>> {
        let is_ours = self.outer.matches(quote.header_bytes(), HeaderLen::Fixed)
            && self.shim.matches_quote(quote.payload());
        if is_ours {
            quote.inside(self.shim.len())
        } else {
            None
        }
    }

    #[inline(always)]
    fn check(&self, inner: &Facts, packet: &PerPacket, rules: Rules) -> Result<Facts, EncapError> {
        by_rules!(rules, rules => self.check_by(inner, packet, rules))
    }

    #[inline(always)]
    fn write(&self, frame: &mut [u8], inner: &Facts, packet: &PerPacket, rules: Rules) -> Facts {
        by_rules!(rules, rules => self.write_by(frame, inner, packet, rules))
    }
}

#[expect(
    clippy::missing_fields_in_debug,
    reason = "the outer words repeat what the policy says"
)]
impl<S: Shim + fmt::Debug> fmt::Debug for Tunnel<S> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tunnel")
            .field("source", &self.source())
            .field("destination", &self.destination())
            .field("policy", &self.policy())
            .field("shim", &self.shim)
            .finish()
    }
}
