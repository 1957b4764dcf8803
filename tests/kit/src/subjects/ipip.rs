use arbitrary::{Result, Unstructured};
use ipencap::encap::Tunnel;
use ipencap::shim::IpIp;

use super::{Layer, generated_outer, typical_outer};
use crate::oracle::{NaiveIpIp, OuterPolicy};
use crate::registry::{Endpoints, Enrol, Wishes};

/// [`IpIp`].
pub type IpIpSubject = Layer<Tunnel<IpIp>, IpIp, NaiveIpIp>;

impl IpIpSubject {
    fn of(outer: OuterPolicy) -> Self {
        Self::of_tunnel(&outer, IpIp, IpIp, NaiveIpIp(outer))
    }
}

impl Enrol for IpIpSubject {
    type Tunnel = Tunnel<IpIp>;

    fn tunnel(&self) -> Self::Tunnel {
        self.encapsulator
    }

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
