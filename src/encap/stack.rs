use super::opened::{Arrived, Opened};
use super::{Decapsulate, Encapsulate, PerPacket, narrowed};
use crate::error::{EncapError, Refused};
use crate::packet::{PacketMeta, Span};
use crate::wire::Ipv4;

/// Two layers as one: packets go into `inner` first, the result into `outer`. Stacks nest.
///
/// ```text
///  [outer's headers][inner's headers][packet]
///  └ overhead: the sum of both ─────┘
/// ```
///
/// All layers judge before any writes, so a refusal by the outermost leaves no byte changed. The
/// bytes are those of one layer after the other. `()` is the layer that does nothing: the identity.
///
/// One exception: no more than eight IP-in-IP headers are looked behind for the flow inside, from where
/// the innermost layer reads the packet. With more, one layer after the other would find another flow
/// each, and so hash other source ports (`l_05_l_08_…` in `tests/tables.rs`).
///
/// ```
/// use core::net::Ipv4Addr;
/// use ipencap::encap::{Encapsulate, IpIp, Stack, Udp};
///
/// # fn main() -> Result<(), ipencap::error::ConfigError> {
/// let site = IpIp::new(Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2))?;
/// let wan = Udp::fou(Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2), 5555)?;
/// let tunnel = Stack { outer: wan, inner: site };
/// assert_eq!(tunnel.overhead(), 48);
/// # Ok(())
/// # }
/// ```
///
/// As a [`Decapsulate`] it runs each layer's own pipeline in turn, outermost first: the packet that
/// comes out of `outer` must be addressed to, and come from, whom `inner` expects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[must_use]
#[allow(clippy::exhaustive_structs, reason = "a pair, built by the caller")]
pub struct Stack<Outer, Inner> {
    /// The layer on the outside.
    pub outer: Outer,
    /// The layer next to the packet.
    pub inner: Inner,
}

impl<O: Encapsulate, I: Encapsulate> Encapsulate for Stack<O, I> {
    #[inline]
    fn overhead(&self) -> usize {
        self.outer.overhead().saturating_add(self.inner.overhead())
    }

    #[inline]
    fn layers(&self) -> u8 {
        self.outer.layers().saturating_add(self.inner.layers())
    }

    #[inline]
    fn judge(&self, inner: &PacketMeta, packet: &PerPacket) -> Result<PacketMeta, EncapError> {
        let middle = self
            .inner
            .judge(inner, &packet.inside(self.outer.overhead()))?;
        self.outer
            .judge(&middle, &packet.around(self.inner.overhead()))
            .map_err(|error| error.outside(self.inner.layers(), narrowed(self.inner.overhead())))
    }

    #[inline]
    fn shares_headers(&self) -> bool {
        self.outer.shares_headers() && self.inner.shares_headers()
    }

    #[inline(always)]
    fn judge_ordinary(&self, inner: &PacketMeta, packet: &PerPacket) -> Option<PacketMeta> {
        let middle = self
            .inner
            .judge_ordinary(inner, &packet.inside(self.outer.overhead()))?;
        // What a segment's length would allow is for `judge`.
        self.outer.judge_ordinary(&middle, packet)
    }

    #[inline(always)]
    fn write_ordinary(
        &self,
        frame: &mut [u8],
        inner: &PacketMeta,
        outer: &PacketMeta,
        packet: &PerPacket,
    ) {
        let Some(middle) = self
            .inner
            .judge_ordinary(inner, &packet.inside(self.outer.overhead()))
        else {
            return;
        };
        if let Some((_, middle_frame)) = frame.split_at_mut_checked(self.outer.overhead()) {
            self.inner
                .write_ordinary(middle_frame, inner, &middle, packet);
        }
        self.outer.write_ordinary(frame, &middle, outer, packet);
    }

    #[inline]
    fn write(&self, frame: &mut [u8], inner: &PacketMeta, outer: &PacketMeta, packet: &PerPacket) {
        // Else the outer layer alone might find room.
        if frame.len() < self.overhead() {
            return;
        }
        // Pure, and already answered once by `judge`.
        let Ok(middle) = self
            .inner
            .judge(inner, &packet.inside(self.outer.overhead()))
        else {
            return;
        };
        if let Some(middle_frame) = frame.get_mut(self.outer.overhead()..) {
            self.inner.write(middle_frame, inner, &middle, packet);
        }
        let packet = packet.around(self.inner.overhead());
        self.outer.write(frame, &middle, outer, &packet);
    }
}

impl<O: Decapsulate, I: Decapsulate> Decapsulate for Stack<O, I> {
    #[inline]
    fn opens(&self) -> bool {
        self.outer.opens() || self.inner.opens()
    }

    #[inline]
    fn recognises(&self, outer: Ipv4<'_>) -> bool {
        if self.outer.opens() {
            self.outer.recognises(outer)
        } else {
            self.inner.recognises(outer)
        }
    }

    #[inline(always)]
    fn inspect_ordinary(&self, packet: &[u8]) -> Option<Opened> {
        let middle = self.outer.inspect_ordinary(packet)?;
        let inside = middle.span();
        let opened = self.inner.inspect_ordinary(inside.get(packet)?)?;
        Some(opened.further_back(inside.start).behind(&middle))
    }

    #[inline]
    fn inspect_arrived(&self, arrived: Arrived<'_>) -> Result<Opened, Refused> {
        let outer = if self.inner.opens() {
            arrived.opened_next()
        } else {
            arrived
        };
        let middle = self.outer.inspect_arrived(outer)?;
        let next = middle.arrived(arrived.buffer());
        let next = if arrived.is_opened_next() {
            next.opened_next()
        } else {
            next
        };
        match self.inner.inspect_arrived(next) {
            Ok(inner) => Ok(inner.behind(&middle)),
            Err(refused) => Err(refused.inside(middle.layers())),
        }
    }
}

/// The identity: a layer that validates the packet and changes nothing.
impl Encapsulate for () {
    #[inline]
    fn overhead(&self) -> usize {
        0
    }

    #[inline]
    fn layers(&self) -> u8 {
        0
    }

    #[inline]
    fn judge(&self, inner: &PacketMeta, _packet: &PerPacket) -> Result<PacketMeta, EncapError> {
        Ok(*inner)
    }

    #[inline]
    fn judge_ordinary(&self, inner: &PacketMeta, _packet: &PerPacket) -> Option<PacketMeta> {
        Some(*inner)
    }

    #[inline]
    fn shares_headers(&self) -> bool {
        true
    }

    #[inline]
    fn write(
        &self,
        _frame: &mut [u8],
        _inner: &PacketMeta,
        _outer: &PacketMeta,
        _packet: &PerPacket,
    ) {
    }
}

/// The identity: the packet is its own inside, if it is valid.
impl Decapsulate for () {
    #[inline]
    fn opens(&self) -> bool {
        false
    }

    #[inline]
    fn recognises(&self, _outer: Ipv4<'_>) -> bool {
        false
    }

    #[inline]
    fn inspect_arrived(&self, arrived: Arrived<'_>) -> Result<Opened, Refused> {
        let mut storage = None;
        let packet = arrived.parse(&mut storage).map_err(Refused::outer)?;
        let len = usize::from(packet.header().total_len());
        Ok(Opened {
            layers: 0,
            depth: arrived.depth(),
            slack: u16::try_from(packet.slack()).unwrap_or(u16::MAX),
            rewrite: arrived.rewrite(),
            ..Opened::new(Span::new(arrived.span().start, len))
        })
    }
}
