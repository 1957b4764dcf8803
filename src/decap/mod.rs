//! Takes packets out of tunnels: checks an outer packet, and says what is inside.
//!
//! ```text
//!  packet [outer header][inner packet][slack]
//!         inspect ──► Opened { span, alarm, … } ──► apply
//!         reads only                                writes ECN, DSCP and checksum, if they change
//! ```
//!
//! | task | start at |
//! |---|---|
//! | open packets of one tunnel | [`decap()`] and a [`Receiver`] |
//! | choose the receiver at run time | [`AnyReceiver`] |
//! | say who may send what | [`PointToPoint`], [`Edge`], [`EdgeTable`], [`Access`] |
//! | find the peer of an address among many | [`PrefixTable`] |
//! | open known layers | a tuple, array or slice of receivers |
//! | open as many layers as there are | [`decap_nested`] |
//! | open what a socket received | [`Receiver::inspect_payload`] |
//! | look at a packet without opening it | [`Decapsulate::inspect`] |
//! | analyse packets from anybody | [`inspect_without_filter`] |
//! | receive an encapsulation of your own | [`Shim`](crate::shim::Shim) |
//!
//! On an error no byte of the packet has changed. Nothing is ever answered: an answer would help
//! scanners and reflect spoofed packets (RFC 4213 §3.6).
//!
//! # Several layers
//!
//! A tuple `(inner, outer)`, an array or a slice of receivers opens its layers one after the other. The
//! first element is the innermost layer. `()` and an empty slice open nothing.
//!
//! ```
//! use core::net::Ipv4Addr;
//! use ipencap::decap::{Decapsulate, PointToPoint, Prefix, Receiver};
//! use ipencap::shim::{Fou, IpIp};
//!
//! let site = Receiver::new(IpIp, PointToPoint::new(
//!     Ipv4Addr::new(192, 0, 2, 2), Ipv4Addr::new(192, 0, 2, 1), &[Prefix::ANY]));
//! let wan_sources = [Prefix::host(Ipv4Addr::new(192, 0, 2, 1))];
//! let wan = Receiver::new(Fou::new(5555), PointToPoint::new(
//!     Ipv4Addr::new(203, 0, 113, 2), Ipv4Addr::new(198, 51, 100, 1), &wan_sources));
//! assert_eq!((site, wan).layers(), 2);
//! ```

use crate::error::Refused;
use crate::packet::{Packet, Span};
use crate::wire::Ipv4;

mod access;
mod any;
mod edge_table;
mod index;
mod minimal;
mod nested;
mod opened;
mod pipeline;
mod policy;
mod prefix_table;
mod receiver;
mod stack;

pub use crate::wire::Prefix;
pub use access::{Access, Edge, Peer, PointToPoint};
pub use any::AnyReceiver;
pub use edge_table::EdgeTable;
pub(crate) use index::Index;
pub use minimal::{Minimal, inspect_minimal_without_filter};
pub use nested::{DEFAULT_NESTING, MAX_NESTING, decap_nested, inspect_nested};
pub use opened::{Inner, Opened, OuterMeta, OuterPacket};
pub use policy::{EgressDscp, InnerPolicy, InnerTunnels};
pub use prefix_table::{PrefixEntry, PrefixTable};
pub use receiver::{Receiver, inspect_without_filter};

/// Checks a packet that may be an outer one, and says what is inside.
///
/// Dyn-compatible. It reads only, so it works on shared slices (a receive ring, a capture).
pub trait Decapsulate {
    /// How many headers it takes off: 1 for all but stacks.
    #[inline]
    fn layers(&self) -> u8 {
        1
    }

    /// Whether a valid packet is addressed to it and of its protocol and port, whoever sent it.
    /// [`decap_nested`] offers it only such packets.
    fn recognises(&self, outer: Ipv4<'_>) -> bool;

    /// Checks a packet from the wire, or from the layer outside.
    ///
    /// # Errors
    /// [`Refused`], by the first check that fails.
    fn inspect_outer(&self, outer: OuterPacket<'_>) -> Result<Opened, Refused>;

    /// Checks a packet from the wire.
    ///
    /// # Errors
    /// [`Refused`], by the first check that fails.
    #[inline(always)]
    fn inspect(&self, packet: &[u8]) -> Result<Opened, Refused> {
        self.inspect_outer(OuterPacket::new(packet))
    }

    /// Checks a packet from the wire and writes what changes: what [`decap()`] does.
    ///
    /// # Errors
    /// [`Refused`], by the first check that fails; `packet` is unchanged then.
    #[inline(always)]
    fn open<'b>(&self, packet: &'b mut [u8]) -> Result<Inner<'b>, Refused> {
        Ok(self.inspect(packet)?.into_inner(packet))
    }
}

impl<D: Decapsulate + ?Sized> Decapsulate for &D {
    #[inline]
    fn layers(&self) -> u8 {
        (**self).layers()
    }

    #[inline]
    fn recognises(&self, outer: Ipv4<'_>) -> bool {
        (**self).recognises(outer)
    }

    #[inline(always)]
    fn inspect_outer(&self, outer: OuterPacket<'_>) -> Result<Opened, Refused> {
        (**self).inspect_outer(outer)
    }

    #[inline(always)]
    fn open<'b>(&self, packet: &'b mut [u8]) -> Result<Inner<'b>, Refused> {
        (**self).open(packet)
    }
}

/// Opens `packet` with `tunnel`: inspects it, then writes the few bytes that decapsulation may
/// change.
///
/// ```
/// # use core::net::Ipv4Addr;
/// use ipencap::{decap, decap::{PointToPoint, Prefix, Receiver}, error::Reason, shim::IpIp};
/// # use ipencap::wire::{IpProtocol, Ipv4Header};
/// # let mut packet = *Ipv4Header::new(Ipv4Addr::new(192, 0, 2, 66), Ipv4Addr::new(203, 0, 113, 2), IpProtocol::IPENCAP, 20).as_bytes();
/// let receiver = Receiver::new(IpIp, PointToPoint::new(
///     Ipv4Addr::new(203, 0, 113, 2),  // ours
///     Ipv4Addr::new(198, 51, 100, 1), // the peer's
///     &[Prefix::ANY],
/// ));
/// let mut drops = [0u32; Reason::COUNT];
/// match decap(&receiver, &mut packet) {
///     Ok(inner) => println!("{} bytes inside", inner.packet.len()),
///     Err(refused) => drops[refused.reason.index()] += 1, // count it, and answer nothing
/// }
/// assert_eq!(drops[Reason::UnknownPeer.index()], 1);
/// ```
///
/// # Errors
/// [`Refused`], by the first check that fails; `packet` is unchanged then.
#[inline(always)]
pub fn decap<'b, D: Decapsulate + ?Sized>(
    tunnel: &D,
    packet: &'b mut [u8],
) -> Result<Inner<'b>, Refused> {
    tunnel.open(packet)
}

impl Packet<'_> {
    /// Opens the packet with `tunnel`; the packet is the inner one afterwards.
    ///
    /// # Errors
    /// [`Refused`]; nothing has changed then.
    #[inline]
    pub fn open<D: Decapsulate + ?Sized>(&mut self, tunnel: &D) -> Result<Opened, Refused> {
        let opened = tunnel.inspect(self.as_slice())?;
        opened.apply(self.as_mut_slice());
        let start = self.span().start.saturating_add(opened.span().start);
        self.set_span(Span::new(start, opened.span().len));
        Ok(opened)
    }
}
