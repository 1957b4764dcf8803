use arbitrary::{Result, Unstructured};
use ipencap::encap::{Gre, GreCarrier};

use super::{Layer, ends, generated_outer, typical_outer, with_outer};
use crate::generate::odds;
use crate::oracle::{NaiveGre, OuterPolicy};
use crate::registry::{Endpoints, Enrol, Wishes};

/// [`Gre`].
pub type GreSubject = Layer<Gre, GreCarrier, NaiveGre>;

impl GreSubject {
    fn of(naive: NaiveGre) -> Self {
        let (source, destination) = ends(&naive.outer);
        let mut tunnel = with_outer!(Gre::new(source, destination).unwrap(), naive.outer);
        if let Some(key) = naive.key {
            tunnel = tunnel.with_key(key);
        }
        if naive.checksum {
            tunnel = tunnel.with_checksum();
        }
        if naive.number.is_some() {
            tunnel = tunnel.with_sequence();
        }
        Self::new(tunnel, carrier(&naive), naive, &naive.outer)
    }
}

/// The receiver's side of a GRE header.
pub(super) const fn carrier(naive: &NaiveGre) -> GreCarrier {
    let mut carrier = GreCarrier::new();
    if let Some(key) = naive.key {
        carrier = carrier.with_key(key);
    }
    if naive.checksum {
        carrier = carrier.with_checksum();
    }
    if naive.wants_sequence {
        carrier = carrier.with_sequence();
    }
    carrier
}

impl Enrol for GreSubject {
    fn generate(u: &mut Unstructured<'_>, wishes: Wishes) -> Result<Self> {
        let number = if odds(u, 1, 3)? {
            Some(u.arbitrary()?)
        } else {
            None
        };
        Ok(Self::of(NaiveGre {
            outer: generated_outer(u, wishes)?,
            key: if odds(u, 1, 3)? {
                Some(u.arbitrary()?)
            } else {
                None
            },
            checksum: u.arbitrary()?,
            number,
            wants_sequence: number.is_some() && odds(u, 1, 2)?,
        }))
    }

    fn typical(endpoints: Endpoints) -> Self {
        Self::of(NaiveGre {
            outer: typical_outer(endpoints),
            key: None,
            checksum: false,
            number: None,
            wants_sequence: false,
        })
    }

    fn forms(outer: OuterPolicy) -> Vec<(String, Self)> {
        let mut forms = Vec::new();
        for checksum in [false, true] {
            for key in [None, Some(0xdead_beef)] {
                for number in [None, Some(3)] {
                    let naive = NaiveGre {
                        outer,
                        key,
                        checksum,
                        number,
                        wants_sequence: number.is_some(),
                    };
                    let flags = [
                        (checksum, "checksum"),
                        (key.is_some(), "key"),
                        (number.is_some(), "sequence"),
                    ];
                    let names: Vec<_> = flags.into_iter().filter(|flag| flag.0).collect();
                    let names: Vec<_> = names.into_iter().map(|flag| flag.1).collect();
                    let name = if names.is_empty() {
                        "plain".to_owned()
                    } else {
                        names.join(" ")
                    };
                    forms.push((name, Self::of(naive)));
                }
            }
        }
        forms
    }
}
