//! What stands between the outer IPv4 header and the inner packet: one file for each kind of tunnel,
//! which writes and reads it.
//!
//! ```text
//!  [ outer IPv4 | shim | inner packet ]
//! ```
//!
//! | shim | bytes | protocol |
//! |---|---|---|
//! | [`IpIp`] | 0 | 4 |
//! | [`Fou`] | 8: UDP | 17 |
//! | [`Gue`] | 12 and more: UDP and the GUE header; 8 in variant 1 | 17 |
//! | [`GreInUdp`] | 12 to 24: UDP and GRE | 17 |
//! | [`Gre`] | 4 to 16 | 47 |
//! | [`Tcp`] | 20 and more: TCP, its options, and a length prefix | 6 |
//!
//! A [`Tunnel`](crate::encap::Tunnel) puts the outer IPv4 header around a shim of your own, too: it
//! implements [`Shim`], and all policies, checks and stacks work with it.
//!
//! ```
//! use core::net::Ipv4Addr;
//! use ipencap::encap::{Encapsulate, Tunnel};
//! use ipencap::error::{EncapError, Reason, Refused};
//! use ipencap::packet::{Facts, PerPacket, Rules};
//! use ipencap::shim::{Carried, PseudoHeader, Shim};
//! use ipencap::wire::{IpProtocol, Ipv4};
//!
//! /// MPLS in IP (RFC 4023): one label, the bottom of the stack.
//! #[derive(Clone, Copy)]
//! struct MplsInIp { label: u32 }
//!
//! impl Shim for MplsInIp {
//!     const PROTOCOL: IpProtocol = IpProtocol(137);
//!
//!     fn len(&self) -> usize { 4 }
//!
//!     fn write(&self, bytes: &mut [u8], _: &Facts, _: &PerPacket, _: PseudoHeader, _: Rules) {
//!         if let Some(entry) = bytes.first_chunk_mut() {
//!             *entry = (self.label << 12 | 0x1ff).to_be_bytes();
//!         }
//!     }
//!
//!     fn read(&self, outer: Ipv4<'_>) -> Result<Carried, Refused> {
//!         let entry = self.label << 12 | 0x100;
//!         match outer.payload().first_chunk() {
//!             Some(bytes) if u32::from_be_bytes(*bytes) & !0xeff == entry => {
//!                 Ok(Carried::behind(4, outer.payload().len()))
//!             }
//!             _ => Err(Refused::new(Reason::NotTunnel)),
//!         }
//!     }
//! }
//!
//! let ends = (Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2));
//! let tunnel = Tunnel::new(ends.0, ends.1, MplsInIp { label: 16 }).unwrap();
//! assert_eq!(tunnel.overhead(), 24);
//! ```

use crate::error::{EncapError, Refused};
use crate::packet::{Facts, PerPacket, Rules, Span};
use crate::wire::{IpProtocol, Ipv4};

mod fou;
mod gre;
mod gue;
mod ipip;
mod native;
mod policy;
mod tcp;
mod udp;

pub use fou::{DirectIpv4, Fou};
pub use gre::{Gre, GreInUdp, SequenceWindow};
pub use gue::{Gue, GueDirect, GueInside, GueVariant1};
pub use ipip::IpIp;
pub use native::PseudoHeader;
pub(crate) use native::{fold, halves, stored, widened};
pub use policy::{ChecksumPolicy, PortRange, SourcePort};
pub use tcp::Tcp;
pub use udp::{InUdp, Udp};

/// What a kind of tunnel puts between the outer IPv4 header and the inner packet.
///
/// Addresses, TTL, DSCP, ECN, DF, loops, MTUs and peers are not its business: a
/// [`Tunnel`](crate::encap::Tunnel) writes and a [`Receiver`](crate::decap::Receiver) checks them, the
/// same for every shim.
pub trait Shim: Copy {
    /// The outer header's protocol.
    const PROTOCOL: IpProtocol;

    /// Whether the outer packets are segments of a connection. Then their ECN field is the
    /// connection's, not the inner packet's (RFC 9329 §9.5), and the inner packet must fill the
    /// segment's payload.
    const IS_CONNECTION: bool = false;

    /// Whether the shim reads the packet's flow or sum ([`Facts::flow`], [`Facts::known_sum`]). If no shim of a
    /// program does, the code that computes them is not linked.
    const READS_FLOW: bool = true;

    /// How many bytes it is, the same for every packet.
    fn len(&self) -> usize;

    /// How many of them, the last ones, are part of a connection's byte stream, as a length in front of the packet
    /// is: 0 without a [connection](Self::IS_CONNECTION).
    #[inline(always)]
    fn prefix_len(&self) -> usize {
        0
    }

    /// Whether it has no bytes.
    #[inline]
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// [`Rules::Common`], the default, if [`check`](Self::check) may accept some packets by the common rules.
    /// [`Rules::All`] if it never does: then they are not tried.
    #[inline(always)]
    fn rules(&self) -> Rules {
        Rules::Common
    }

    /// Checks that this header can be written in front of the packet `inner`.
    ///
    /// # Errors
    /// The [`EncapError`] if not, such as `NoSequence` if [`PerPacket`] has no sequence number.
    #[inline(always)]
    fn check(&self, inner: &Facts, packet: &PerPacket, rules: Rules) -> Result<(), EncapError> {
        let _ = (inner, packet, rules);
        Ok(())
    }

    /// The facts of the outer packet with what this header tells of it: ports, and the sum of its bytes.
    #[inline(always)]
    fn outer_facts(
        &self,
        outer: Facts,
        inner: &Facts,
        packet: &PerPacket,
        pseudo: PseudoHeader,
        rules: Rules,
    ) -> Facts {
        let _ = (inner, packet, pseudo, rules);
        outer
    }

    /// Writes it at the start of `bytes`, which the inner packet follows.
    ///
    /// `inner` has passed [`check`](Self::check). Bytes that are too short for it stay as they are.
    fn write(
        &self,
        bytes: &mut [u8],
        inner: &Facts,
        packet: &PerPacket,
        pseudo: PseudoHeader,
        rules: Rules,
    );

    /// Where the inner packet lies in the outer packet's payload, after the checks of this header.
    ///
    /// # Errors
    /// Why the packet is not this tunnel's, or is broken.
    fn read(&self, outer: Ipv4<'_>) -> Result<Carried, Refused>;

    /// Whether a packet to one of our own addresses would be opened by this tunnel: by its protocol, and
    /// for UDP and TCP by its port.
    #[inline]
    fn reopens(&self, inner: Ipv4<'_>) -> bool {
        inner.header().protocol() == Self::PROTOCOL
    }

    /// Whether it can have written these bytes, which an ICMP error quotes from behind the outer IPv4
    /// header. The quote may end within them, or reach into the inner packet.
    ///
    /// It compares what is the same in all of its packets: ports, keys, flags. By default nothing: then
    /// addresses and protocol alone tell its packets from others.
    #[inline]
    fn matches_quote(&self, quoted: &[u8]) -> bool {
        let _ = quoted;
        true
    }

    /// The destination port by which its packets are told from others of the protocol.
    #[inline]
    fn tunnel_port(&self) -> Option<u16> {
        None
    }

    /// What tells its packets from those of other tunnels between the same two addresses: the destination
    /// port of UDP and TCP, the key of GRE, `None` if nothing does.
    #[inline]
    fn tunnel_number(&self) -> Option<u32> {
        self.tunnel_port().map(u32::from)
    }
}

/// A [`Shim`] over a protocol for which hosts have sockets: the host writes and reads the outer IPv4 and
/// UDP or TCP header.
pub trait SocketShim: Shim {
    /// Where the inner packet lies in what a socket has received.
    ///
    /// # Errors
    /// As [`Shim::read`].
    fn read_payload(&self, destination_port: u16, payload: &[u8]) -> Result<Carried, Refused>;
}

/// Where a payload holds the inner packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Carried {
    /// The bytes of the inner packet and any slack behind it.
    pub span: Span,
    /// The tunnel's sequence number, if it has one.
    pub sequence: Option<u32>,
}

impl Carried {
    /// Everything behind the first `shim_len` bytes of a payload of `len` bytes.
    #[inline]
    #[must_use]
    pub const fn behind(shim_len: usize, len: usize) -> Self {
        Self {
            span: Span::new(shim_len, len.saturating_sub(shim_len)),
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

/// Whether `quoted` begins with `expected`, as far as it reaches.
#[inline]
fn begins_with(quoted: &[u8], expected: &[u8]) -> bool {
    quoted
        .iter()
        .zip(expected)
        .all(|(quoted, expected)| quoted == expected)
}
