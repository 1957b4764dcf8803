use core::fmt::{self, Debug};
use core::marker::PhantomData;

use arbitrary::{Result, Unstructured};
use ipencap::Span;
use ipencap::decap::{Decapsulate, Opened, OuterPacket};
use ipencap::encap::{AnyTunnel, Encapsulate, PerPacket};
use ipencap::error::{EncapError, Refused};
use ipencap::wire::Ipv4;

use super::RuntimeForm;
use crate::oracle::{NaiveEncapsulator, NaiveStack, OuterPolicy};
use crate::registry::{CarrierSubject, Door, Endpoints, Enrol, Subject, Wishes};

/// The two tunnels as one.
pub trait Combine<I, O>: Debug + 'static {
    /// Both tunnels.
    type Tunnel: RuntimeForm;

    /// `inner` in `outer`.
    fn combine(inner: I, outer: O) -> Self::Tunnel;
}

/// `(inner, outer)`.
#[derive(Debug)]
pub struct Tuple;

/// `[inner, outer]`.
#[derive(Debug)]
pub struct Array;

/// `[inner, outer]` of tunnels chosen at run time.
#[derive(Debug)]
pub struct AnyTunnels;

impl<I: RuntimeForm, O: RuntimeForm> Combine<I, O> for Tuple {
    type Tunnel = (I, O);

    fn combine(inner: I, outer: O) -> (I, O) {
        (inner, outer)
    }
}

impl<T: RuntimeForm> Combine<T, T> for Array {
    type Tunnel = [T; 2];

    fn combine(inner: T, outer: T) -> [T; 2] {
        [inner, outer]
    }
}

impl<I: Into<AnyTunnel>, O: Into<AnyTunnel>> Combine<I, O> for AnyTunnels {
    type Tunnel = [AnyTunnel; 2];

    fn combine(inner: I, outer: O) -> [AnyTunnel; 2] {
        [inner.into(), outer.into()]
    }
}

/// Two encapsulators as one, in the form `F`.
pub struct StackSubject<O: Enrol, I: Enrol, F: Combine<I::Tunnel, O::Tunnel> = Tuple> {
    outer: O,
    inner: I,
    tunnel: F::Tunnel,
    form: PhantomData<F>,
}

impl<O: Enrol, I: Enrol, F: Combine<I::Tunnel, O::Tunnel>> StackSubject<O, I, F> {
    fn of(outer: O, inner: I) -> Self {
        let tunnel = F::combine(inner.tunnel(), outer.tunnel());
        Self {
            outer,
            inner,
            tunnel,
            form: PhantomData,
        }
    }

    fn naive_stack(&self) -> NaiveStack<'_> {
        NaiveStack {
            outer: self.outer.naive(),
            inner: self.inner.naive(),
        }
    }

    fn opener(&self) -> impl Decapsulate + '_ {
        (self.inner.decapsulator(), self.outer.decapsulator())
    }
}

impl<O: Enrol, I: Enrol, F: Combine<I::Tunnel, O::Tunnel>> Debug for StackSubject<O, I, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StackSubject")
            .field("outer", &self.outer)
            .field("inner", &self.inner)
            .finish_non_exhaustive()
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

impl<O: Enrol, I: Enrol, F: Combine<I::Tunnel, O::Tunnel>> Enrol for StackSubject<O, I, F> {
    type Tunnel = F::Tunnel;

    fn tunnel(&self) -> Self::Tunnel {
        self.tunnel
    }

    fn generate(u: &mut Unstructured<'_>, wishes: Wishes) -> Result<Self> {
        let endpoints = inner_endpoints(wishes.endpoints);
        let outer = O::generate(u, wishes)?;
        let inner = I::generate(
            u,
            Wishes {
                endpoints,
                ..wishes
            },
        )?;
        Ok(Self::of(outer, inner))
    }

    fn typical(endpoints: Endpoints) -> Self {
        Self::of(
            O::typical(endpoints),
            I::typical(inner_endpoints(endpoints)),
        )
    }

    /// Each form of the outer one around the typical inner one, which has forms of its own.
    fn forms(outer: OuterPolicy) -> Vec<(String, Self)> {
        let endpoints = inner_endpoints(Endpoints {
            source: outer.source,
            destination: outer.destination,
        });
        let forms = O::forms(outer).into_iter();
        let around = forms.map(|(name, outer)| (name, Self::of(outer, I::typical(endpoints))));
        around.collect()
    }
}

impl<O: Enrol, I: Enrol, F: Combine<I::Tunnel, O::Tunnel>> Subject for StackSubject<O, I, F> {
    fn encapsulator(&self) -> &dyn Encapsulate {
        &self.tunnel
    }

    fn any_tunnels(&self) -> Option<Vec<AnyTunnel>> {
        self.tunnel.any_tunnels()
    }

    fn decapsulator(&self) -> &dyn Decapsulate {
        self
    }

    fn matching_receiver(&self) -> Box<dyn Decapsulate + '_> {
        Box::new(Both(
            self.inner.matching_receiver(),
            self.outer.matching_receiver(),
        ))
    }

    fn encap(
        &self,
        door: Door,
        buffer: &mut [u8],
        inner: Span,
        packet: &PerPacket,
    ) -> core::result::Result<Span, EncapError> {
        door.encap(&self.tunnel, buffer, inner, packet)
    }

    fn naive(&self) -> &dyn NaiveEncapsulator {
        self
    }

    fn carrier(&self) -> Option<&dyn CarrierSubject> {
        None
    }
}

/// `(inner, outer)` of decapsulators that are boxed.
struct Both<'a>(Box<dyn Decapsulate + 'a>, Box<dyn Decapsulate + 'a>);

impl Both<'_> {
    fn opener(&self) -> impl Decapsulate + '_ {
        (&*self.0, &*self.1)
    }
}

impl Decapsulate for Both<'_> {
    fn layers(&self) -> u8 {
        self.opener().layers()
    }

    fn recognises(&self, outer: Ipv4<'_>) -> bool {
        self.opener().recognises(outer)
    }

    fn inspect_outer(&self, outer: OuterPacket<'_>) -> core::result::Result<Opened, Refused> {
        self.opener().inspect_outer(outer)
    }
}

impl<O: Enrol, I: Enrol, F: Combine<I::Tunnel, O::Tunnel>> Decapsulate for StackSubject<O, I, F> {
    fn layers(&self) -> u8 {
        self.opener().layers()
    }

    fn recognises(&self, outer: Ipv4<'_>) -> bool {
        self.opener().recognises(outer)
    }

    fn inspect_outer(&self, outer: OuterPacket<'_>) -> core::result::Result<Opened, Refused> {
        self.opener().inspect_outer(outer)
    }
}

impl<O: Enrol, I: Enrol, F: Combine<I::Tunnel, O::Tunnel>> NaiveEncapsulator
    for StackSubject<O, I, F>
{
    fn overhead(&self) -> usize {
        self.naive_stack().overhead()
    }

    fn link_mtus(&self) -> Vec<(usize, Option<u16>)> {
        self.naive_stack().link_mtus()
    }

    fn objections(&self, inner: &[u8], said: &PerPacket) -> Vec<EncapError> {
        self.naive_stack().objections(inner, said)
    }

    fn objections_but_lengths(&self, inner: &[u8], said: &PerPacket) -> Vec<EncapError> {
        self.naive_stack().objections_but_lengths(inner, said)
    }

    fn outer(&self, inner: &[u8], said: &PerPacket) -> Vec<u8> {
        self.naive_stack().outer(inner, said)
    }

    fn unquoted(&self, quote: &[u8]) -> Option<Vec<u8>> {
        self.naive_stack().unquoted(quote)
    }

    fn hops(&self) -> u8 {
        self.naive_stack().hops()
    }

    fn keeps_inner_header(&self) -> bool {
        self.naive_stack().keeps_inner_header()
    }

    fn has_headers_by_value(&self) -> bool {
        self.naive_stack().has_headers_by_value()
    }

    fn is_transparent(&self) -> bool {
        self.naive_stack().is_transparent()
    }
}
