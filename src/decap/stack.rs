//! Several layers as one: tuples, arrays and slices, the innermost first.

use super::Decapsulate;
use super::opened::{Opened, OuterPacket};
use crate::error::Refused;
use crate::packet::Span;
use crate::wire::Ipv4;

/// Takes the header of `layer` off. `opens_next` tells whether a layer inside opens what comes out.
#[inline(always)]
fn inspect_layer<D: Decapsulate + ?Sized>(
    layer: &D,
    outer: OuterPacket<'_>,
    opens_next: bool,
) -> Result<Opened, Refused> {
    layer.inspect_outer(if opens_next {
        outer.expecting_tunnel()
    } else {
        outer
    })
}

/// Two layers: `(inner, outer)`. Each runs its own checks, the outermost first. The packet that comes out
/// of `outer` must be addressed to, and come from, whom `inner` expects. Tuples nest.
impl<I: Decapsulate, O: Decapsulate> Decapsulate for (I, O) {
    #[inline]
    fn layers(&self) -> u8 {
        self.0.layers().saturating_add(self.1.layers())
    }

    #[inline]
    fn recognises(&self, outer: Ipv4<'_>) -> bool {
        if self.1.layers() > 0 {
            self.1.recognises(outer)
        } else {
            self.0.recognises(outer)
        }
    }

    #[inline(always)]
    fn inspect_outer(&self, outer: OuterPacket<'_>) -> Result<Opened, Refused> {
        let middle = inspect_layer(&self.1, outer, self.0.layers() > 0)?;
        let next = middle.outer_packet(outer.buffer());
        match inspect_layer(&self.0, next, outer.expects_tunnel()) {
            Ok(mut opened) => {
                opened.go_behind(&middle);
                Ok(opened)
            }
            Err(refused) => Err(refused.inside(middle.layers())),
        }
    }
}

/// Layers of one type, the innermost first. An empty slice is the identity, as `()` is.
impl<D: Decapsulate> Decapsulate for [D] {
    #[inline]
    fn layers(&self) -> u8 {
        self.iter()
            .fold(0, |layers: u8, layer| layers.saturating_add(layer.layers()))
    }

    #[inline]
    fn recognises(&self, outer: Ipv4<'_>) -> bool {
        let outermost = self.iter().rev().find(|layer| layer.layers() > 0);
        outermost.is_some_and(|layer| layer.recognises(outer))
    }

    #[inline]
    fn inspect_outer(&self, outer: OuterPacket<'_>) -> Result<Opened, Refused> {
        let Some((outermost, mut inside)) = self.split_last() else {
            return ().inspect_outer(outer);
        };
        let mut opened = inspect_layer(outermost, outer, inside.layers() > 0)?;
        while let Some((layer, rest)) = inside.split_last() {
            let next = opened.outer_packet(outer.buffer());
            let opens_next = rest.layers() > 0 || outer.expects_tunnel();
            opened = match inspect_layer(layer, next, opens_next) {
                Ok(mut next) => {
                    next.go_behind(&opened);
                    next
                }
                Err(refused) => return Err(refused.inside(opened.layers())),
            };
            inside = rest;
        }
        Ok(opened)
    }
}

/// As the slice.
impl<D: Decapsulate, const N: usize> Decapsulate for [D; N] {
    #[inline]
    fn layers(&self) -> u8 {
        self.as_slice().layers()
    }

    #[inline]
    fn recognises(&self, outer: Ipv4<'_>) -> bool {
        self.as_slice().recognises(outer)
    }

    #[inline]
    fn inspect_outer(&self, outer: OuterPacket<'_>) -> Result<Opened, Refused> {
        self.as_slice().inspect_outer(outer)
    }
}

/// The identity: it checks that the packet is valid, and opens nothing.
impl Decapsulate for () {
    #[inline]
    fn layers(&self) -> u8 {
        0
    }

    #[inline]
    fn recognises(&self, _outer: Ipv4<'_>) -> bool {
        false
    }

    #[inline]
    fn inspect_outer(&self, outer: OuterPacket<'_>) -> Result<Opened, Refused> {
        let mut storage = None;
        let packet = outer.parse(&mut storage).map_err(Refused::outer)?;
        let len = usize::from(packet.header().total_len());
        Ok(Opened {
            layers: 0,
            depth: outer.depth(),
            slack: u16::try_from(packet.slack()).unwrap_or(u16::MAX),
            change: outer.change(),
            ..Opened::new(Span::new(outer.span().start, len))
        })
    }
}
