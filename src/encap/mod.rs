//! IPv4 packet in, outer packet out: tunnels, their policies, and stacks of tunnels.
//!
//! ```text
//!  before   [··· headroom ···][inner packet]
//!  after    [ tunnel.overhead()][inner packet]      the inner bytes have not moved
//!           └──── outer packet ────────────┘
//! ```
//!
//! A [`Tunnel`] is an outer IPv4 header with a [shim](crate::shim) behind it. The outer packet is an IPv4
//! packet too, so tunnels nest: tuples, arrays and slices of tunnels are tunnels, the innermost first.
//!
//! | task | start at |
//! |---|---|
//! | wrap a packet in place | [`encap()`] |
//! | choose TTL, DSCP, ECN, DF, MTU | [`OuterPolicy`] |
//! | nest tunnels | [`Encapsulate`] of `(inner, outer)`, `[tunnel; N]`, `[tunnel]` |
//! | choose a tunnel at run time | [`AnyTunnel`] |
//! | headers by value, for an I/O vector | [`header`] |
//! | send through a UDP socket | [`Tunnel::encap_payload`] |
//! | recognise a packet of a tunnel in an ICMP error | [`Encapsulate::inside_quote`] |
//! | minimal encapsulation (RFC 2004) | [`MinEnc`] |
//!
//! On an error no byte of the buffer has changed. Nothing here ever sends anything.
//!
//! # How a packet passes
//!
//! The inner packet is parsed once, into [`Facts`]. Each tunnel [checks](Encapsulate::check) facts and
//! answers with the facts of its outer packet, so that the next one parses nothing. When all have agreed,
//! they [write](Encapsulate::write) their headers in one pass. Each rule stands once in the source and is
//! compiled twice: inlined without the branches that [common](Rules::Common) packets do not need, and out
//! of line with all of them. Targets without an operating system get the second only.
//!
//! # An encapsulation of one's own
//!
//! Between IPv4 and the packet: implement [`Shim`](crate::shim::Shim). With another outer header:
//! implement [`Encapsulate`].
//!
//! ```
//! use ipencap::encap::Encapsulate;
//! use ipencap::error::EncapError;
//! use ipencap::packet::{Facts, PerPacket, Rules};
//! use ipencap::wire::IpProtocol;
//!
//! /// IPv4 in IPv6 (RFC 2473), between two fixed addresses.
//! struct FourInSix { source: [u8; 16], destination: [u8; 16] }
//!
//! impl Encapsulate for FourInSix {
//!     fn overhead(&self) -> usize {
//!         40
//!     }
//!
//!     fn check(&self, inner: &Facts, packet: &PerPacket, _: Rules) -> Result<Facts, EncapError> {
//!         if inner.ttl() == 0 {
//!             return Err(EncapError::TtlZero);
//!         }
//!         match packet.link_mtu() {
//!             Some(mtu) if inner.len() + 40 > u32::from(mtu) => {
//!                 Err(EncapError::FragmentationNeeded { mtu: mtu.saturating_sub(40) })
//!             }
//!             _ => Ok(inner.inside_version(6, 40, inner.tos())),
//!         }
//!     }
//!
//!     fn write(&self, frame: &mut [u8], inner: &Facts, _: &PerPacket, _: Rules) -> Facts {
//!         let outer = inner.inside_version(6, 40, inner.tos());
//!         let Some(header) = frame.first_chunk_mut::<40>() else { return outer };
//!         let [_, _, high, low] = inner.len().to_be_bytes();
//!         let tos = inner.tos();
//!         header[..8].copy_from_slice(
//!             &[0x60 | tos >> 4, tos << 4, 0, 0, high, low, IpProtocol::IPENCAP.0, 64]);
//!         header[8..24].copy_from_slice(&self.source);
//!         header[24..].copy_from_slice(&self.destination);
//!         outer
//!     }
//! }
//! ```

use crate::error::{EncapError, ParseError};
use crate::packet::{Facts, Packet, Proven, Quote, Span};
use crate::wire::COMMON_FIRST;

mod any;
mod by_value;
mod minimal;
mod outer;
mod payload;
mod policy;
mod stack;
mod tunnel;

pub use any::AnyTunnel;
pub(crate) use any::each;
pub use by_value::{Header, header};
pub use minimal::MinEnc;
pub use policy::{DfPolicy, DscpPolicy, EcnPolicy, IdSource, OuterPolicy, Role, TtlPolicy};
pub use tunnel::Tunnel;

#[doc(inline)]
pub use crate::packet::{InnerChecksum, PerPacket, Rules};

/// Wraps an IPv4 packet in outer headers: a tunnel, or a stack of them.
///
/// Checking is apart from writing, so a stack can ask all of its tunnels before the first byte changes.
/// Dyn-compatible; `&self` everywhere, so one value serves all packets and threads.
pub trait Encapsulate {
    /// How many bytes it puts in front of a packet: the same for every packet.
    fn overhead(&self) -> usize;

    /// Whether this packet can go in, and the facts of the outer packet that it would become.
    ///
    /// Refuse a packet with TTL 0, one that would loop, and one whose outer packet would exceed 65535 bytes or
    /// [`PerPacket::link_mtu`]. With [`Rules::Common`] you may also refuse, with any error, a packet that needs a
    /// rarely used policy: you are asked again with [`Rules::All`].
    ///
    /// # Errors
    /// Any [`EncapError`] but `NoHeadroom`.
    fn check(&self, inner: &Facts, packet: &PerPacket, rules: Rules) -> Result<Facts, EncapError>;

    /// Writes the headers of a packet that [`check`](Self::check) has accepted by the same rules, and
    /// returns the same facts.
    ///
    /// `frame` is [`overhead`](Self::overhead) free bytes and the inner packet, or with
    /// [`Rules::HeadersOnly`] the free bytes alone. Only these change, and the inner TTL with its
    /// checksum when forwarding. A frame that is too short is left as it is.
    fn write(&self, frame: &mut [u8], inner: &Facts, packet: &PerPacket, rules: Rules) -> Facts;

    /// [`Rules::Common`], the default, if [`check`](Self::check) may accept some packets by the common rules.
    /// [`Rules::All`] if it never does: then [`encap`](crate::encap()) does not try them.
    #[inline]
    fn rules(&self) -> Rules {
        Rules::Common
    }

    /// The longest outer packet it may make, in bytes: the MTU it is configured with, else 65535.
    #[inline]
    fn max_len(&self) -> u16 {
        u16::MAX
    }

    /// The packet inside a packet that an ICMP error quotes. `None` if this tunnel has not written the
    /// quoted packet, or cannot tell: believe no error about it (RFC 5927 §4.1).
    ///
    /// A tunnel compares addresses, protocol and what is quoted of its [shim](crate::shim::Shim::matches_quote).
    /// A stack compares the outermost layer first, then each one inwards as far as the quote reaches. The 28
    /// bytes that every router quotes are enough. Not compared are the fields that routers and hosts change:
    /// TOS, total length, identification, DF, TTL and checksums.
    #[inline]
    fn inside_quote<'q>(&self, quote: Quote<'q>) -> Option<Quote<'q>> {
        let _ = quote;
        None
    }
}

impl<T: Encapsulate + ?Sized> Encapsulate for &T {
    #[inline(always)]
    fn overhead(&self) -> usize {
        (**self).overhead()
    }

    #[inline(always)]
    fn check(&self, inner: &Facts, packet: &PerPacket, rules: Rules) -> Result<Facts, EncapError> {
        (**self).check(inner, packet, rules)
    }

    #[inline(always)]
    fn write(&self, frame: &mut [u8], inner: &Facts, packet: &PerPacket, rules: Rules) -> Facts {
        (**self).write(frame, inner, packet, rules)
    }

    #[inline(always)]
    fn rules(&self) -> Rules {
        (**self).rules()
    }

    #[inline(always)]
    fn max_len(&self) -> u16 {
        (**self).max_len()
    }

    #[inline]
    fn inside_quote<'q>(&self, quote: Quote<'q>) -> Option<Quote<'q>> {
        (**self).inside_quote(quote)
    }
}

/// Wraps the packet at `inner` in `buffer` into `tunnel`, in place.
///
/// Returns the outer packet, which begins `tunnel.overhead()` bytes before `inner`. Bytes behind the inner
/// packet's total length are not part of it. An `inner` that ends behind the buffer is cut to it.
///
/// To answer an error with the same buffer, return the length and not this slice: a slice that one branch
/// returns is borrowed in the other too.
///
/// ```
/// # use core::net::Ipv4Addr;
/// # use ipencap::wire::{IpProtocol, Ipv4Header};
/// use ipencap::encap::{PerPacket, Tunnel};
/// use ipencap::{Span, encap, error::EncapError, shim::IpIp};
/// # fn main() -> Result<(), Box<dyn core::error::Error>> {
/// # let inner = *Ipv4Header::new(Ipv4Addr::new(10, 1, 0, 5), Ipv4Addr::new(10, 2, 0, 9), IpProtocol(253), 20).as_bytes();
/// let tunnel = Tunnel::new(Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2), IpIp)?;
/// let mut buffer = [0; 40];
/// buffer[20..].copy_from_slice(&inner);
///
/// // Too close to the front: a plain error, and the buffer is as it was.
/// let error = encap(&tunnel, &mut buffer[1..], Span::new(19, 20), &PerPacket::new()).unwrap_err();
/// assert_eq!(error, EncapError::NoHeadroom { need: 20, have: 19 });
///
/// let outer = encap(&tunnel, &mut buffer, Span::new(20, 20), &PerPacket::new())?;
/// assert_eq!(outer.len(), 40);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Any [`EncapError`]; `buffer` is unchanged then.
#[inline(always)]
pub fn encap<'b, T: Encapsulate + ?Sized>(
    tunnel: &T,
    buffer: &'b mut [u8],
    inner: Span,
    packet: &PerPacket,
) -> Result<&'b mut [u8], EncapError> {
    if COMMON_FIRST && matches!(tunnel.rules(), Rules::Common) {
        let bytes = inner.get(buffer);
        if let Ok((facts, place)) = place(tunnel, bytes, inner.start, packet, Rules::Common) {
            return Ok(write(tunnel, buffer, place, &facts, packet, Rules::Common));
        }
    }
    let end = inner.end().min(buffer.len());
    encap_any(
        inner.start,
        tunnel,
        packet,
        buffer.get_mut(..end).unwrap_or_default(),
    )
}

/// All rules. Where flash is dear they are compiled once, for the packets and the errors.
const ALL: Rules = if COMMON_FIRST {
    Rules::All
} else {
    Rules::Explained
};

/// [`encap()`] by all rules, of the packet from `start` to the end of `buffer`.
///
/// A tail call out of line, whose arguments fit in registers: the caller saves none for it.
#[cfg_attr(
    not(all(target_os = "none", not(target_pointer_width = "64"))),
    inline(never)
)]
fn encap_any<'b, T: Encapsulate + ?Sized>(
    start: usize,
    tunnel: &T,
    packet: &PerPacket,
    buffer: &'b mut [u8],
) -> Result<&'b mut [u8], EncapError> {
    match place(tunnel, buffer.get(start..), start, packet, ALL) {
        Ok((facts, place)) => Ok(write(tunnel, buffer, place, &facts, packet, ALL)),
        Err(error) if ALL.explain() => Err(error),
        Err(_) => refuse(start, tunnel, packet, buffer),
    }
}

/// The error of [`encap_any`]; a tail call with its arguments.
#[cold]
#[inline(never)]
fn refuse<'b, T: Encapsulate + ?Sized>(
    start: usize,
    tunnel: &T,
    packet: &PerPacket,
    buffer: &'b mut [u8],
) -> Result<&'b mut [u8], EncapError> {
    match place(tunnel, buffer.get(start..), start, packet, Rules::Explained) {
        // What is refused without a reason is not accepted with one.
        Ok(_) => Err(no_headroom(tunnel.overhead(), start)),
        Err(error) => Err(error),
    }
}

/// The facts of the packet at the start of `bytes`, which lie behind `start` bytes, and the place of the
/// outer packet.
#[inline(always)]
fn place<T: Encapsulate + ?Sized>(
    tunnel: &T,
    bytes: Option<&[u8]>,
    start: usize,
    packet: &PerPacket,
    rules: Rules,
) -> Result<(Facts, Span), EncapError> {
    let Some(bytes) = bytes else {
        return Err(ParseError::Truncated { need: 20, have: 0 }.into());
    };
    let facts = Facts::read_by(bytes, rules)?;
    let overhead = tunnel.overhead();
    let Some(outer_start) = start.checked_sub(overhead) else {
        return Err(no_headroom(overhead, start));
    };
    tunnel.check(&facts, packet, rules)?;
    Ok((facts, Span::new(outer_start, facts.len_with(overhead))))
}

#[inline(always)]
fn write<'b, T: Encapsulate + ?Sized>(
    tunnel: &T,
    buffer: &'b mut [u8],
    outer: Span,
    facts: &Facts,
    packet: &PerPacket,
    rules: Rules,
) -> &'b mut [u8] {
    // Both lie within the buffer: the checks have seen to it, the compiler has not.
    let Some((_, frame)) = buffer.split_at_mut_checked(outer.start) else {
        return Default::default();
    };
    let Some((frame, _)) = frame.split_at_mut_checked(outer.len) else {
        return Default::default();
    };
    tunnel.write(frame, facts, packet, rules);
    frame
}

#[inline]
fn no_headroom(need: usize, have: usize) -> EncapError {
    EncapError::NoHeadroom {
        need: u16::try_from(need).unwrap_or(u16::MAX),
        have: u16::try_from(have).unwrap_or(u16::MAX),
    }
}

impl Packet<'_> {
    /// Wraps the packet into `tunnel`, in place; the packet is the outer one afterwards.
    ///
    /// # Errors
    /// Any [`EncapError`]; nothing has changed then.
    #[inline]
    pub fn wrap<T: Encapsulate + ?Sized>(
        &mut self,
        tunnel: &T,
        packet: &PerPacket,
    ) -> Result<(), EncapError> {
        let (buffer, inner) = self.parts_mut();
        let len = encap(tunnel, buffer, inner, packet)?.len();
        let start = inner.start.saturating_sub(tunnel.overhead());
        self.set_span(Span::new(start, len));
        Ok(())
    }
}

impl<'b> Proven<'b> {
    /// Wraps the packet into `tunnel` without validating it again, and returns the outer packet, as
    /// [`encap()`] does.
    ///
    /// # Errors
    /// Any [`EncapError`]; the buffer is unchanged then.
    #[inline(always)]
    pub fn wrap<T: Encapsulate + ?Sized>(
        self,
        tunnel: &T,
        packet: &PerPacket,
    ) -> Result<&'b mut [u8], EncapError> {
        if COMMON_FIRST && matches!(tunnel.rules(), Rules::Common) {
            if let Ok(start) = self.outer_start(tunnel, packet, Rules::Common) {
                return Ok(self.write(start, tunnel, packet, Rules::Common));
            }
        }
        self.wrap_any(tunnel, packet)
    }

    /// [`wrap`](Self::wrap) by all rules; out of line as [`encap_any`] is.
    #[cfg_attr(
        not(all(target_os = "none", not(target_pointer_width = "64"))),
        inline(never)
    )]
    fn wrap_any<T: Encapsulate + ?Sized>(
        self,
        tunnel: &T,
        packet: &PerPacket,
    ) -> Result<&'b mut [u8], EncapError> {
        match self.outer_start(tunnel, packet, ALL) {
            Ok(start) => Ok(self.write(start, tunnel, packet, ALL)),
            Err(error) if ALL.explain() => Err(error),
            Err(_) => self.refuse(tunnel, packet),
        }
    }

    #[cold]
    #[inline(never)]
    fn refuse<T: Encapsulate + ?Sized>(
        &self,
        tunnel: &T,
        packet: &PerPacket,
    ) -> Result<&'b mut [u8], EncapError> {
        match self.outer_start(tunnel, packet, Rules::Explained) {
            Ok(start) => Err(no_headroom(tunnel.overhead(), start)),
            Err(error) => Err(error),
        }
    }

    #[inline(always)]
    fn write<T: Encapsulate + ?Sized>(
        self,
        start: usize,
        tunnel: &T,
        packet: &PerPacket,
        rules: Rules,
    ) -> &'b mut [u8] {
        let Some((_, frame)) = self.buffer.split_at_mut_checked(start) else {
            return Default::default();
        };
        tunnel.write(frame, &self.facts, packet, rules);
        frame
    }

    /// Where the outer packet begins; the buffer ends with the packet.
    #[inline(always)]
    fn outer_start<T: Encapsulate + ?Sized>(
        &self,
        tunnel: &T,
        packet: &PerPacket,
        rules: Rules,
    ) -> Result<usize, EncapError> {
        let overhead = tunnel.overhead();
        let checked = tunnel.check(&self.facts, packet, rules);
        if let Some(start) = self.buffer.len().checked_sub(self.facts.len_with(overhead)) {
            checked.map(|_| start)
        } else {
            let have = self.buffer.len().saturating_sub(self.facts.len_with(0));
            Err(no_headroom(overhead, have))
        }
    }
}
