use core::fmt;

use arbitrary::{Result, Unstructured};
use ipencap::Span;
use ipencap::decap::Decapsulate;
use ipencap::encap::{self, Encapsulate, IpIp, IpIpCarrier, PerPacket};
use ipencap::error::EncapError;
use ipencap::packet::PacketMeta;

use super::{Layer, ends, generated_outer, typical_outer, with_outer};
use crate::oracle::{NaiveEncapsulator, NaiveIpIp, OuterPolicy};
use crate::registry::{CarrierSubject, Door, Endpoints, Enrol, Subject, Wishes};

/// [`IpIp`], which also offers its header by value.
pub struct IpIpSubject(Layer<IpIp, IpIpCarrier, NaiveIpIp>);

impl IpIpSubject {
    fn of(outer: OuterPolicy) -> Self {
        let (source, destination) = ends(&outer);
        let tunnel = with_outer!(IpIp::new(source, destination).unwrap(), outer);
        Self(Layer::new(tunnel, IpIpCarrier, NaiveIpIp(outer), &outer))
    }
}

impl Enrol for IpIpSubject {
    fn generate(u: &mut Unstructured<'_>, wishes: Wishes) -> Result<Self> {
        Ok(Self::of(generated_outer(u, wishes)?))
    }

    fn typical(endpoints: Endpoints) -> Self {
        Self::of(typical_outer(endpoints))
    }

    fn forms(outer: OuterPolicy) -> Vec<(String, Self)> {
        vec![("plain".to_owned(), Self::of(outer))]
    }
}

impl fmt::Debug for IpIpSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Subject for IpIpSubject {
    fn encapsulator(&self) -> &dyn Encapsulate {
        self.0.encapsulator()
    }

    fn decapsulator(&self) -> &dyn Decapsulate {
        self.0.decapsulator()
    }

    fn encap(
        &self,
        door: Door,
        buffer: &mut [u8],
        inner: Span,
        packet: &PerPacket,
    ) -> core::result::Result<Span, EncapError> {
        self.0.encap(door, buffer, inner, packet)
    }

    fn header(
        &self,
        inner: &PacketMeta,
        packet: &PerPacket,
    ) -> Option<core::result::Result<Vec<u8>, EncapError>> {
        Some(self.0.encapsulator.header(inner, packet).map(Vec::from))
    }

    fn layer(&self) -> Option<encap::Layer> {
        self.0.layer()
    }

    fn naive(&self) -> &dyn NaiveEncapsulator {
        Subject::naive(&self.0)
    }

    fn carrier(&self) -> Option<&dyn CarrierSubject> {
        self.0.carrier()
    }
}
