use arbitrary::{Result, Unstructured};
use ipencap::decap::{Minimal, Receiver, inspect_minimal_without_filter};
use ipencap::encap::MinEnc;

use super::{Layer, ends, far_end, generated_outer, role, typical_outer};
use crate::generate::odds;
use crate::oracle::{NaiveMinimal, OuterPolicy};
use crate::registry::{Endpoints, Enrol, Wishes};

/// [`MinEnc`].
pub type MinEncSubject = Layer<MinEnc, Minimal, NaiveMinimal>;

impl MinEncSubject {
    fn of(naive: NaiveMinimal) -> Self {
        let (source, destination) = ends(&naive.outer);
        let mut tunnel = MinEnc::new(source, destination)
            .unwrap()
            .with_role(role(&naive.outer))
            .with_link_mtu(naive.outer.link_mtu);
        if !naive.keeps_source {
            tunnel = tunnel.without_source();
        }
        let receiver = Receiver::minimal(far_end(&naive.outer));
        Self {
            encapsulator: tunnel,
            carrier: Minimal,
            decapsulator: receiver,
            matching: receiver,
            naive,
            inspect_without_filter: |_, packet| inspect_minimal_without_filter(packet),
            inspect_payload: None,
            payload_form: None,
        }
    }
}

impl Enrol for MinEncSubject {
    type Tunnel = MinEnc;

    fn tunnel(&self) -> Self::Tunnel {
        self.encapsulator
    }

    fn generate(u: &mut Unstructured<'_>, wishes: Wishes) -> Result<Self> {
        Ok(Self::of(NaiveMinimal {
            outer: OuterPolicy {
                hairpin: false,
                ..generated_outer(u, wishes)?
            },
            keeps_source: !wishes.may_refuse || odds(u, 3, 4)?,
        }))
    }

    fn typical(endpoints: Endpoints) -> Self {
        Self::of(NaiveMinimal {
            outer: typical_outer(endpoints),
            keeps_source: true,
        })
    }

    fn forms(outer: OuterPolicy) -> Vec<(String, Self)> {
        let form = |name: &str, keeps_source| {
            let naive = NaiveMinimal {
                outer,
                keeps_source,
            };
            (name.to_owned(), Self::of(naive))
        };
        vec![form("with source", true), form("without source", false)]
    }
}
