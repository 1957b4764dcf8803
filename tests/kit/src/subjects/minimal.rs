use arbitrary::{Result, Unstructured};
use ipencap::decap::{MinEncCarrier, inspect_minimal_without_filter};
use ipencap::encap::{MinEnc, Role};

use super::{Layer, ends, generated_outer, typical_outer};
use crate::generate::odds;
use crate::oracle::{NaiveMinimal, OuterPolicy};
use crate::registry::{Endpoints, Enrol, Wishes};

/// [`MinEnc`].
pub type MinEncSubject = Layer<MinEnc, MinEncCarrier, NaiveMinimal>;

impl MinEncSubject {
    fn of(naive: NaiveMinimal) -> Self {
        let (source, destination) = ends(&naive.outer);
        let mut tunnel =
            MinEnc::new(source, destination)
                .unwrap()
                .with_role(if naive.outer.forwards {
                    Role::Forward
                } else {
                    Role::Originate
                });
        if !naive.keeps_source {
            tunnel = tunnel.without_source();
        }
        if let Some(mtu) = naive.outer.link_mtu {
            tunnel = tunnel.with_link_mtu(mtu);
        }
        Self::with_inspection(tunnel, MinEncCarrier, naive, &naive.outer, |_, packet| {
            inspect_minimal_without_filter(packet)
        })
    }
}

impl Enrol for MinEncSubject {
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
