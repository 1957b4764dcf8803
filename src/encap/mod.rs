//! IPv4 packet in, IPv4 packet out: encapsulators.
//!
//! An encapsulator maps an IPv4 packet to an IPv4 packet, so encapsulators nest: the outer packet
//! of one is the inner packet of the next.
//!
//! ```text
//!  encap   frame  [ overhead() free bytes ][inner packet]
//!                 └──────── outer packet ───────────────┘
//! ```
//!
//! | door | judges | writes |
//! |---|---|---|
//! | [`encap()`] | the inner packet and the tunnel's policies | the outer header; the inner TTL when forwarding |
//!
//! On an error no byte of the buffer has changed.
//!
//! # Fast paths
//!
//! Nearly every packet has no options, is not about to die, and fits. The doors ask
//! [`Encapsulate::judge_ordinary`] first: straight-line code that
//! keeps all in registers and knows no reasons. What they decline goes check by check. The laws hold
//! both ways to the same bytes and verdicts. Small machines without a system pay for code: there every
//! packet goes check by check.
//!
//! # An encapsulator of one's own
//!
//! [`Encapsulate`] takes three functions: how many bytes it adds, what it thinks of a packet, and
//! how it writes its header. The doors, [`Packet::encap`], [`Proven::encap`] and [`Stack`] then work
//! with it. They see to the inner packet's validity, to headroom, and to writing nothing on an error;
//! `judge` sees to TTL 0, loops, the length of the outer packet, and [`PerPacket::link_mtu`].
//!
//! ```
//! use ipencap::encap::{Encapsulate, PerPacket};
//! use ipencap::error::EncapError;
//! use ipencap::packet::PacketMeta;
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
//!     fn judge(&self, inner: &PacketMeta, packet: &PerPacket) -> Result<PacketMeta, EncapError> {
//!         if inner.header().ttl() == 0 {
//!             return Err(EncapError::TtlZero);
//!         }
//!         let len = inner.len() + 40;
//!         match packet.link_mtu() {
//!             Some(mtu) if len > u32::from(mtu) => {
//!                 Err(EncapError::FragmentationNeeded { mtu: mtu.saturating_sub(40) })
//!             }
//!             _ => Ok(PacketMeta::not_ipv4(6, len, inner.header().tos()).carrying(inner)),
//!         }
//!     }
//!
//!     fn write(&self, frame: &mut [u8], inner: &PacketMeta, _: &PacketMeta, _: &PerPacket) {
//!         let Some(header) = frame.first_chunk_mut::<40>() else { return };
//!         let [high, low] = inner.header().total_len().to_be_bytes();
//!         let tos = inner.header().tos();
//!         header[..8].copy_from_slice(
//!             &[0x60 | tos >> 4, tos << 4, 0, 0, high, low, IpProtocol::IPENCAP.0, 64]);
//!         header[8..24].copy_from_slice(&self.source);
//!         header[24..].copy_from_slice(&self.destination);
//!     }
//! }
//! ```

use crate::error::EncapError;
use crate::packet::{Packet, PacketMeta, Proven, Span};
use crate::wire::COMMON_FIRST;

mod batch;
mod gre;
mod ipip;
mod layer;
mod minimal;
mod native;
mod outer;
mod per_packet;
mod policy;
mod stack;
mod tcp;
mod template;
mod udp;
mod udp_carrier;

pub use batch::{Ring, decap_each, encap_each, encap_train};
pub use gre::{Gre, GreCarrier, SequenceWindow};
pub use ipip::{IpIp, IpIpCarrier};
pub use layer::{Layer, Layered, TemplateLayer};
pub use minimal::MinEnc;
pub use per_packet::PerPacket;
pub use policy::{
    ChecksumPolicy, DfPolicy, DscpPolicy, EcnPolicy, IdSource, InnerChecksum, PortRange, Role,
    SourcePort, TtlPolicy,
};
pub use stack::Stack;
pub use tcp::{Tcp, TcpCarrier};
pub use template::Template;
pub use udp::Udp;
pub use udp_carrier::UdpCarrier;

/// Wraps an IPv4 packet in an outer header.
///
/// Judging is apart from writing: [`judge`](Self::judge) sees values, not the buffer, so a stack of
/// encapsulators can ask all of its layers before the first byte changes.
///
/// Dyn-compatible; `&self` everywhere, so one value serves all packets and threads.
pub trait Encapsulate {
    /// How many bytes it puts in front of a packet. Exact, and the same for every packet.
    fn overhead(&self) -> usize;

    /// How many layers it is: 1, but for stacks.
    #[inline]
    fn layers(&self) -> u8 {
        1
    }

    /// What the outer packet would be, or why there is none.
    ///
    /// # Errors
    /// Any [`EncapError`] but `NoHeadroom`, which the doors check.
    fn judge(&self, inner: &PacketMeta, packet: &PerPacket) -> Result<PacketMeta, EncapError>;

    /// The answer of [`judge`](Self::judge) for a packet that needs nothing unusual, `None` where
    /// that must be asked.
    ///
    /// The doors' fast path: a few comparisons and no refusals, to be inlined. Without it an
    /// encapsulator is slower, not different.
    #[inline]
    fn judge_ordinary(&self, _inner: &PacketMeta, _packet: &PerPacket) -> Option<PacketMeta> {
        None
    }

    /// Writes the outer header, where [`judge`](Self::judge) has answered `outer` for `inner`.
    ///
    /// `frame` is [`overhead`](Self::overhead) free bytes and the inner packet. Only those free
    /// bytes change, and the inner TTL with its checksum when forwarding. A frame that is too short
    /// is left as it is.
    fn write(&self, frame: &mut [u8], inner: &PacketMeta, outer: &PacketMeta, packet: &PerPacket);

    /// [`write`](Self::write) where [`judge_ordinary`](Self::judge_ordinary) has answered and `frame` is
    /// whole.
    #[inline]
    fn write_ordinary(
        &self,
        frame: &mut [u8],
        inner: &PacketMeta,
        outer: &PacketMeta,
        packet: &PerPacket,
    ) {
        self.write(frame, inner, outer, packet);
    }

    /// Whether equal packets get equal headers: nothing in them counts, but for what
    /// [`judge_ordinary`](Self::judge_ordinary) leaves to [`judge`](Self::judge). Asked by
    /// [`encap_train`].
    #[inline]
    fn shares_headers(&self) -> bool {
        false
    }

    /// Validates, judges and writes: `frame` is [`overhead`](Self::overhead) free bytes and the
    /// inner packet. Returns what the outer packet is.
    ///
    /// # Errors
    /// Any [`EncapError`]; `frame` is unchanged then.
    #[inline]
    fn encap(&self, frame: &mut [u8], packet: &PerPacket) -> Result<PacketMeta, EncapError> {
        let have = frame.len();
        let inner = frame
            .get(self.overhead()..)
            .ok_or_else(|| no_headroom(self.overhead(), have))?;
        let inner = PacketMeta::read(inner)?;
        let outer = self.judge(&inner, packet)?;
        // Slack is not tunnelled (E-20), nor does a checksum cover it.
        let len = usize::try_from(outer.len()).unwrap_or_default();
        let frame = frame.get_mut(..len).unwrap_or_default();
        self.write(frame, &inner, &outer, packet);
        Ok(outer)
    }
}

impl<E: Encapsulate + ?Sized> Encapsulate for &E {
    #[inline]
    fn overhead(&self) -> usize {
        (**self).overhead()
    }

    #[inline]
    fn layers(&self) -> u8 {
        (**self).layers()
    }

    #[inline]
    fn judge(&self, inner: &PacketMeta, packet: &PerPacket) -> Result<PacketMeta, EncapError> {
        (**self).judge(inner, packet)
    }

    #[inline]
    fn judge_ordinary(&self, inner: &PacketMeta, packet: &PerPacket) -> Option<PacketMeta> {
        (**self).judge_ordinary(inner, packet)
    }

    #[inline]
    fn write(&self, frame: &mut [u8], inner: &PacketMeta, outer: &PacketMeta, packet: &PerPacket) {
        (**self).write(frame, inner, outer, packet);
    }

    #[inline]
    fn shares_headers(&self) -> bool {
        (**self).shares_headers()
    }

    #[inline]
    fn write_ordinary(
        &self,
        frame: &mut [u8],
        inner: &PacketMeta,
        outer: &PacketMeta,
        packet: &PerPacket,
    ) {
        (**self).write_ordinary(frame, inner, outer, packet);
    }
}

/// Wraps the packet at `inner` in `buffer` into `tunnel`, in place: the outer header goes into the
/// bytes in front of it.
///
/// Returns the outer packet. Bytes behind the inner packet's total length are not part of it (E-20).
///
/// ```
/// # use core::net::Ipv4Addr;
/// # use ipencap::wire::{IpProtocol, Ipv4Header};
/// use ipencap::{Span, encap, encap::{IpIp, PerPacket}, error::EncapError};
/// # fn main() -> Result<(), Box<dyn core::error::Error>> {
/// # let inner = *Ipv4Header::new(Ipv4Addr::new(10, 1, 0, 5), Ipv4Addr::new(10, 2, 0, 9), IpProtocol(253), 20).as_bytes();
/// let tunnel = IpIp::new(Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2))?;
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
pub fn encap<'b, E: Encapsulate + ?Sized>(
    tunnel: &E,
    buffer: &'b mut [u8],
    inner: Span,
    packet: &PerPacket,
) -> Result<&'b mut [u8], EncapError> {
    let Some(meta) = inner.get(buffer).and_then(PacketMeta::read_ordinary) else {
        return encap_unusual(inner.start, tunnel, packet, ending_with(inner, buffer));
    };
    let Some((outer, place)) = place_ordinary(tunnel, inner.start, &meta, packet) else {
        return encap_unusual(inner.start, tunnel, packet, ending_with(inner, buffer));
    };
    let (_, frame) = buffer.split_at_mut_checked(place.start).unwrap_or_default();
    let (frame, _) = frame.split_at_mut_checked(place.len).unwrap_or_default();
    tunnel.write_ordinary(frame, &meta, &outer, packet);
    Ok(frame)
}

/// What the outer packet is, and its place around an inner one at `start`, where judging it is quick
/// and there is room for it.
#[inline(always)]
fn place_ordinary<E: Encapsulate + ?Sized>(
    tunnel: &E,
    start: usize,
    inner: &PacketMeta,
    packet: &PerPacket,
) -> Option<(PacketMeta, Span)> {
    let start = start.checked_sub(tunnel.overhead())?;
    let outer = tunnel.judge_ordinary(inner, packet)?;
    Some((outer, Span::new(start, usize::try_from(outer.len()).ok()?)))
}

/// An overhead fits 16 bits: no outer packet is longer.
#[inline]
fn narrowed(overhead: usize) -> u16 {
    u16::try_from(overhead).unwrap_or(u16::MAX)
}

/// The buffer up to the end of `span`, or its own.
#[inline(always)]
fn ending_with(span: Span, buffer: &mut [u8]) -> &mut [u8] {
    let end = span.end().min(buffer.len());
    buffer.get_mut(..end).unwrap_or_default()
}

/// [`encap()`], check by check, of the packet from `inner_start` to the end of `buffer`.
///
/// Out of line, the last thing its caller does, and with no more to hand over than fits registers: so
/// the caller's fast path keeps all in registers and saves none. Where there is no fast path it is all
/// of the door.
#[cfg_attr(
    not(all(target_os = "none", not(target_pointer_width = "64"))),
    cold,
    inline(never)
)]
fn encap_unusual<'b, E: Encapsulate + ?Sized>(
    inner_start: usize,
    tunnel: &E,
    packet: &PerPacket,
    buffer: &'b mut [u8],
) -> Result<&'b mut [u8], EncapError> {
    let meta = PacketMeta::read_any(buffer.get(inner_start..).unwrap_or_default())?;
    encap_read(inner_start, tunnel, packet, buffer, &meta)
}

/// [`encap_unusual`] of a packet that has been read.
#[inline(always)]
fn encap_read<'b, E: Encapsulate + ?Sized>(
    inner_start: usize,
    tunnel: &E,
    packet: &PerPacket,
    buffer: &'b mut [u8],
    meta: &PacketMeta,
) -> Result<&'b mut [u8], EncapError> {
    let overhead = tunnel.overhead();
    // Slack is not tunnelled (E-20), nor does a checksum cover it.
    let len = usize::from(meta.header().total_len()).saturating_add(overhead);
    let outer_start = inner_start.checked_sub(overhead);
    let frame = outer_start.and_then(|start| Span::new(start, len).get_mut(buffer));
    let frame = frame.ok_or_else(|| no_headroom(overhead, inner_start))?;
    let outer = tunnel.judge(meta, packet)?;
    tunnel.write(frame, meta, &outer, packet);
    Ok(frame)
}

#[cold]
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
    pub fn encap<E: Encapsulate + ?Sized>(
        &mut self,
        tunnel: &E,
        packet: &PerPacket,
    ) -> Result<(), EncapError> {
        let (buffer, inner) = self.parts_mut();
        let len = encap(tunnel, buffer, inner, packet)?.len();
        self.set_span(Span::new(
            inner.start.saturating_sub(tunnel.overhead()),
            len,
        ));
        Ok(())
    }
}

impl<'b> Proven<'b> {
    /// Wraps the packet into `tunnel` without validating it again, and returns the outer packet.
    ///
    /// # Errors
    /// Any [`EncapError`]; the buffer is unchanged then.
    #[inline]
    pub fn encap<E: Encapsulate + ?Sized>(
        self,
        tunnel: &E,
        packet: &PerPacket,
    ) -> Result<&'b mut [u8], EncapError> {
        if !COMMON_FIRST {
            return self.encap_unusual(tunnel, packet);
        }
        let Some(outer) = tunnel.judge_ordinary(&self.meta, packet) else {
            return self.encap_unusual(tunnel, packet);
        };
        // The buffer ends with the packet.
        let len = usize::try_from(outer.len_if_ipv4()).unwrap_or(usize::MAX);
        let Some(start) = self.buffer.len().checked_sub(len) else {
            return self.encap_unusual(tunnel, packet);
        };
        let (_, frame) = self.buffer.split_at_mut_checked(start).unwrap_or_default();
        tunnel.write_ordinary(frame, &self.meta, &outer, packet);
        Ok(frame)
    }

    /// [`encap_unusual`] without reading the packet again; with the arguments of its caller, where they
    /// are.
    #[cfg_attr(
        not(all(target_os = "none", not(target_pointer_width = "64"))),
        cold,
        inline(never)
    )]
    fn encap_unusual<E: Encapsulate + ?Sized>(
        self,
        tunnel: &E,
        packet: &PerPacket,
    ) -> Result<&'b mut [u8], EncapError> {
        let start = self.span().start;
        encap_read(start, tunnel, packet, self.buffer, &self.meta)
    }
}
