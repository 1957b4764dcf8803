use core::net::Ipv4Addr;

use super::{Encapsulate, Gre, IpIp, PerPacket, Stack, Tcp, Udp, narrowed};
use crate::error::EncapError;
use crate::packet::PacketMeta;

/// An encapsulator that a [`Template`](super::Template) can hold: it writes in front of the packet
/// and leaves the packet as it is, but for the TTL.
///
/// All but [`MinEnc`](super::MinEnc) are, and [`Layer`], which is any of them. One that counts no
/// [`layers`](Encapsulate::layers) does nothing: [`Template::compile`](super::Template::compile)
/// leaves it out.
pub trait TemplateLayer: Encapsulate + Copy {
    /// The layer that does nothing, where there is one: it fills a template up.
    const IDENTITY: Option<Self>;

    /// The longest inner packet that [`judge_ordinary`](Encapsulate::judge_ordinary) can accept, in
    /// bytes; 0 if it accepts none.
    fn ordinary_len(&self) -> u16;

    /// The same, which calls no inner packet ordinary that is longer.
    #[must_use]
    fn with_ordinary_len(self, len: u16) -> Self;

    /// Whether every packet from `source` whose TTL is not 0 is ordinary, its length and sum apart.
    fn is_ordinary_from(&self, source: Ipv4Addr) -> bool;

    /// The source of the packets that it makes, `None` if that is the inner one.
    fn outer_source(&self) -> Option<Ipv4Addr>;

    /// [`judge_ordinary`](Encapsulate::judge_ordinary) of a packet that was found ordinary, its sum
    /// apart.
    fn judge_folded(&self, inner: &PacketMeta, packet: &PerPacket) -> Option<PacketMeta>;

    /// Whether its checksum covers bytes of the inner packet whose sum `inner` does not know.
    fn sums_bytes(&self, inner: &PacketMeta) -> bool;
}

macro_rules! template_layer {
    ($Type:ty $(, $($generic:tt)+)?) => {
        impl $(<$($generic)+>)? TemplateLayer for $Type {
            const IDENTITY: Option<Self> = None;

            #[inline]
            fn ordinary_len(&self) -> u16 {
                self.ordinary_inner_len()
            }

            #[inline]
            fn with_ordinary_len(mut self, len: u16) -> Self {
                let max_len = len.saturating_add(narrowed(self.overhead()));
                self.outer = self.outer.with_ordinary_max_len(max_len);
                self
            }

            #[inline]
            fn is_ordinary_from(&self, source: Ipv4Addr) -> bool {
                self.ordinary_inner_len() > 0 && source != self.destination()
            }

            #[inline]
            fn outer_source(&self) -> Option<Ipv4Addr> {
                Some(self.source())
            }

            #[inline(always)]
            fn judge_folded(&self, inner: &PacketMeta, packet: &PerPacket) -> Option<PacketMeta> {
                self.folded(inner, packet)
            }

            #[inline]
            fn sums_bytes(&self, inner: &PacketMeta) -> bool {
                self.needs_bytes(inner)
            }
        }
    };
}

template_layer!(IpIp);
template_layer!(Udp<WORDS>, const WORDS: usize);
template_layer!(Tcp);
template_layer!(Gre);

/// Any encapsulator that a [`Template`](super::Template) can hold, chosen at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(
    clippy::large_enum_variant,
    reason = "without an allocator there is nowhere else to keep it"
)]
pub enum Layer {
    /// Nothing: the identity.
    Identity,
    /// IP-in-IP.
    IpIp(IpIp),
    /// UDP: FOU, GUE without private words, GRE in UDP.
    Udp(Udp),
    /// TCP segments.
    Tcp(Tcp),
    /// GRE.
    Gre(Gre),
}

macro_rules! each_layer {
    ($layer:expr, $name:ident => $do:expr, $identity:expr) => {
        match $layer {
            Layer::Identity => $identity,
            Layer::IpIp($name) => $do,
            Layer::Udp($name) => $do,
            Layer::Tcp($name) => $do,
            Layer::Gre($name) => $do,
        }
    };
}

impl Encapsulate for Layer {
    #[inline]
    fn overhead(&self) -> usize {
        each_layer!(self, layer => layer.overhead(), 0)
    }

    #[inline]
    fn layers(&self) -> u8 {
        each_layer!(self, layer => layer.layers(), 0)
    }

    #[inline]
    fn judge(&self, inner: &PacketMeta, packet: &PerPacket) -> Result<PacketMeta, EncapError> {
        each_layer!(self, layer => layer.judge(inner, packet), Ok(*inner))
    }

    #[inline]
    fn shares_headers(&self) -> bool {
        each_layer!(self, layer => layer.shares_headers(), true)
    }

    #[inline(always)]
    fn judge_ordinary(&self, inner: &PacketMeta, packet: &PerPacket) -> Option<PacketMeta> {
        each_layer!(self, layer => layer.judge_ordinary(inner, packet), Some(*inner))
    }

    #[inline]
    fn write(&self, frame: &mut [u8], inner: &PacketMeta, outer: &PacketMeta, packet: &PerPacket) {
        each_layer!(self, layer => layer.write(frame, inner, outer, packet), ());
    }

    #[inline(always)]
    fn write_ordinary(
        &self,
        frame: &mut [u8],
        inner: &PacketMeta,
        outer: &PacketMeta,
        packet: &PerPacket,
    ) {
        each_layer!(self, layer => layer.write_ordinary(frame, inner, outer, packet), ());
    }
}

impl TemplateLayer for Layer {
    const IDENTITY: Option<Self> = Some(Self::Identity);

    #[inline]
    fn ordinary_len(&self) -> u16 {
        each_layer!(self, layer => layer.ordinary_len(), u16::MAX)
    }

    #[inline]
    fn with_ordinary_len(self, len: u16) -> Self {
        match self {
            Self::Identity => Self::Identity,
            Self::IpIp(layer) => Self::IpIp(layer.with_ordinary_len(len)),
            Self::Udp(layer) => Self::Udp(layer.with_ordinary_len(len)),
            Self::Tcp(layer) => Self::Tcp(layer.with_ordinary_len(len)),
            Self::Gre(layer) => Self::Gre(layer.with_ordinary_len(len)),
        }
    }

    #[inline]
    fn is_ordinary_from(&self, source: Ipv4Addr) -> bool {
        each_layer!(self, layer => layer.is_ordinary_from(source), true)
    }

    #[inline]
    fn outer_source(&self) -> Option<Ipv4Addr> {
        each_layer!(self, layer => layer.outer_source(), None)
    }

    #[inline(always)]
    fn judge_folded(&self, inner: &PacketMeta, packet: &PerPacket) -> Option<PacketMeta> {
        each_layer!(self, layer => layer.judge_folded(inner, packet), Some(*inner))
    }

    #[inline]
    fn sums_bytes(&self, inner: &PacketMeta) -> bool {
        each_layer!(self, layer => layer.sums_bytes(inner), false)
    }
}

/// What can be compiled to a [`Template`](super::Template): an encapsulator, a [`Stack`] of them, a
/// slice of layers.
pub trait Layered<L> {
    /// How many layers it has.
    fn depth(&self) -> usize;

    /// The layer with this number; the innermost has number 0.
    fn layer(&self, number: usize) -> Option<L>;
}

impl<L: Copy> Layered<L> for [L] {
    #[inline]
    fn depth(&self) -> usize {
        self.len()
    }

    #[inline]
    fn layer(&self, number: usize) -> Option<L> {
        self.get(number).copied()
    }
}

impl<L: Copy, const N: usize> Layered<L> for [L; N] {
    #[inline]
    fn depth(&self) -> usize {
        N
    }

    #[inline]
    fn layer(&self, number: usize) -> Option<L> {
        self.get(number).copied()
    }
}

impl<L> Layered<L> for () {
    #[inline]
    fn depth(&self) -> usize {
        0
    }

    #[inline]
    fn layer(&self, _number: usize) -> Option<L> {
        None
    }
}

impl<L, O: Layered<L>, I: Layered<L>> Layered<L> for Stack<O, I> {
    #[inline]
    fn depth(&self) -> usize {
        self.inner.depth().saturating_add(self.outer.depth())
    }

    #[inline]
    fn layer(&self, number: usize) -> Option<L> {
        match number.checked_sub(self.inner.depth()) {
            Some(number) => self.outer.layer(number),
            None => self.inner.layer(number),
        }
    }
}

macro_rules! layered {
    ($Type:ty, $variant:ident) => {
        impl From<$Type> for Layer {
            #[inline]
            fn from(layer: $Type) -> Self {
                Self::$variant(layer)
            }
        }

        impl<L: From<$Type>> Layered<L> for $Type {
            #[inline]
            fn depth(&self) -> usize {
                1
            }

            #[inline]
            fn layer(&self, number: usize) -> Option<L> {
                (number == 0).then(|| (*self).into())
            }
        }
    };
}

layered!(IpIp, IpIp);
layered!(Udp, Udp);
layered!(Tcp, Tcp);
layered!(Gre, Gre);
