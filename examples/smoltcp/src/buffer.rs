use core::fmt;

use ipencap::packet::{Packet, Span};
use ipencap::tunnel::PeerId;

/// The memory of one packet of up to `N` bytes with all headers of its tunnel: `N` is the MTU of the link, or the
/// longest outer packet that is to get through.
///
/// An empty one is all zero, so a static array of them lies in `.bss` and takes no flash.
#[derive(Clone)]
pub struct Buffer<const N: usize> {
    span: Span,
    /// The peer that it is to be sent to whatever the path MTU: a probe.
    probed: Option<PeerId>,
    bytes: [u8; N],
}

impl<const N: usize> Buffer<N> {
    /// What to fill the memory of a device with.
    pub const EMPTY: Self = Self {
        span: Span::new(0, 0),
        probed: None,
        bytes: [0; N],
    };

    /// Where the packet is in the bytes.
    pub(crate) const fn span(&self) -> Span {
        self.span
    }

    pub(crate) const fn set_span(&mut self, span: Span) {
        self.span = span;
    }

    pub(crate) fn packet(&self) -> &[u8] {
        self.span.get(&self.bytes).unwrap_or_default()
    }

    pub(crate) fn packet_mut(&mut self) -> &mut [u8] {
        self.span.get_mut(&mut self.bytes).unwrap_or_default()
    }

    /// The packet with the free bytes around it.
    pub(crate) fn as_packet(&mut self) -> Packet<'_> {
        Packet::new(&mut self.bytes, self.span)
    }

    pub(crate) const fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    pub(crate) const fn probed(&self) -> Option<PeerId> {
        if cfg!(feature = "path-check") {
            self.probed
        } else {
            None
        }
    }

    /// Becomes a probe of so many bytes, which this writes.
    pub(crate) fn set_probe(
        &mut self,
        peer: PeerId,
        (headroom, len): (usize, usize),
        write: impl FnOnce(&mut [u8]) -> Option<()>,
    ) -> bool {
        let fits = self.reserve(headroom, len);
        self.probed = Some(peer);
        fits && write(self.packet_mut()).is_some()
    }

    /// Becomes a packet of so many bytes with free bytes in front of it. `false` if there is not room enough: it is as
    /// long as it can be then.
    pub(crate) fn reserve(&mut self, headroom: usize, len: usize) -> bool {
        let room = N.saturating_sub(headroom);
        self.probed = None;
        self.span = Span::new(headroom, len.min(room));
        len <= room
    }

    /// Becomes a copy of this packet, or empty if there is not room enough.
    pub(crate) fn copy_from(&mut self, packet: &[u8]) -> bool {
        let copied = self.bytes.get_mut(..packet.len());
        let len = copied.map_or(0, |bytes| {
            copy(packet, bytes);
            packet.len()
        });
        self.span = Span::new(0, len);
        len == packet.len()
    }
}

impl<const N: usize> fmt::Debug for Buffer<N> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer")
            .field("span", &self.span)
            .finish_non_exhaustive()
    }
}

/// Copies `from` to `to`, up to the shorter length.
///
/// All copies of this crate are here, and not inlined. At `opt-level = "z"` the compiler then sees that the lengths are
/// equal, and links no panic.
#[inline(never)]
pub(crate) fn copy(from: &[u8], to: &mut [u8]) {
    let len = from.len().min(to.len());
    if let (Some(from), Some(to)) = (from.get(..len), to.get_mut(..len)) {
        to.copy_from_slice(from);
    }
}
