use core::fmt::Debug;

use arbitrary::{Result, Unstructured};
use ipencap::Span;
use ipencap::decap::{Decapsulate, Opened, OuterPacket};
use ipencap::encap::{Encapsulate, PerPacket, Stack};
use ipencap::error::{EncapError, Refused};
use ipencap::packet::PacketMeta;
use ipencap::wire::Ipv4;

use crate::oracle::{NaiveEncapsulator, NaiveStack, OuterPolicy};
use crate::registry::{CarrierSubject, Door, Endpoints, Enrol, Subject, Wishes};

/// [`Stack`] of two encapsulators.
#[derive(Debug)]
pub struct StackSubject<O, I> {
    outer: O,
    inner: I,
}

impl<O: Subject, I: Subject> StackSubject<O, I> {
    fn tunnel(&self) -> Stack<&dyn Encapsulate, &dyn Encapsulate> {
        Stack {
            outer: self.outer.encapsulator(),
            inner: self.inner.encapsulator(),
        }
    }

    fn naive_stack(&self) -> NaiveStack<'_> {
        NaiveStack {
            outer: self.outer.naive(),
            inner: self.inner.naive(),
        }
    }
}

/// The ends of the inner tunnel: others than those of the outer one, most of the time.
const fn inner_endpoints(outer: Endpoints) -> Endpoints {
    let [.., last] = outer.source;
    Endpoints {
        source: [192, 0, 2, last],
        destination: [192, 0, 2, last ^ 0x80],
    }
}

impl<O: Enrol, I: Enrol> Enrol for StackSubject<O, I> {
    fn generate(u: &mut Unstructured<'_>, wishes: Wishes) -> Result<Self> {
        let endpoints = inner_endpoints(wishes.endpoints);
        Ok(Self {
            outer: O::generate(u, wishes)?,
            inner: I::generate(
                u,
                Wishes {
                    endpoints,
                    ..wishes
                },
            )?,
        })
    }

    fn typical(endpoints: Endpoints) -> Self {
        Self {
            outer: O::typical(endpoints),
            inner: I::typical(inner_endpoints(endpoints)),
        }
    }

    /// Each form of the outer one around the typical inner one, which has forms of its own.
    fn forms(outer: OuterPolicy) -> Vec<(String, Self)> {
        let endpoints = inner_endpoints(Endpoints {
            source: outer.source,
            destination: outer.destination,
        });
        let forms = O::forms(outer).into_iter();
        let around = forms.map(|(name, outer)| {
            let inner = I::typical(endpoints);
            (name, Self { outer, inner })
        });
        around.collect()
    }
}

impl<O: Subject, I: Subject> Subject for StackSubject<O, I> {
    fn encapsulator(&self) -> &dyn Encapsulate {
        self
    }

    fn decapsulator(&self) -> &dyn Decapsulate {
        self
    }

    fn encap(
        &self,
        door: Door,
        buffer: &mut [u8],
        inner: Span,
        packet: &PerPacket,
    ) -> core::result::Result<Span, EncapError> {
        door.encap(&self.tunnel(), buffer, inner, packet)
    }

    fn naive(&self) -> &dyn NaiveEncapsulator {
        self
    }

    fn carrier(&self) -> Option<&dyn CarrierSubject> {
        None
    }
}

impl<O: Subject, I: Subject> Encapsulate for StackSubject<O, I> {
    fn overhead(&self) -> usize {
        self.tunnel().overhead()
    }

    fn layers(&self) -> u8 {
        self.tunnel().layers()
    }

    fn judge(
        &self,
        inner: &PacketMeta,
        packet: &PerPacket,
    ) -> core::result::Result<PacketMeta, EncapError> {
        self.tunnel().judge(inner, packet)
    }

    fn write(&self, frame: &mut [u8], inner: &PacketMeta, outer: &PacketMeta, packet: &PerPacket) {
        self.tunnel().write(frame, inner, outer, packet);
    }
}

impl<O: Subject, I: Subject> StackSubject<O, I> {
    fn opener(&self) -> impl Decapsulate + '_ {
        (self.inner.decapsulator(), self.outer.decapsulator())
    }
}

impl<O: Subject, I: Subject> Decapsulate for StackSubject<O, I> {
    fn layers(&self) -> u8 {
        self.opener().layers()
    }

    fn recognises(&self, outer: Ipv4<'_>) -> bool {
        self.opener().recognises(outer)
    }

    fn inspect_outer(&self, arrived: OuterPacket<'_>) -> core::result::Result<Opened, Refused> {
        self.opener().inspect_outer(arrived)
    }
}

impl<O: Subject, I: Subject> NaiveEncapsulator for StackSubject<O, I> {
    fn overhead(&self) -> usize {
        self.naive_stack().overhead()
    }

    fn objections(&self, inner: &[u8], said: &PerPacket) -> Vec<EncapError> {
        self.naive_stack().objections(inner, said)
    }

    fn outer(&self, inner: &[u8], said: &PerPacket) -> Vec<u8> {
        self.naive_stack().outer(inner, said)
    }

    fn hops(&self) -> u8 {
        self.naive_stack().hops()
    }

    fn keeps_inner_header(&self) -> bool {
        self.naive_stack().keeps_inner_header()
    }

    fn is_transparent(&self) -> bool {
        self.naive_stack().is_transparent()
    }
}
