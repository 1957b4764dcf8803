use arbitrary::{Result, Unstructured};
use ipencap::encap::Tunnel;
use ipencap::shim::Gre;

use super::{Layer, generated_outer, typical_outer};
use crate::generate::odds;
use crate::oracle::{NaiveGre, OuterPolicy};
use crate::registry::{Endpoints, Enrol, Wishes};

/// [`Gre`].
pub type GreSubject = Layer<Tunnel<Gre>, Gre, NaiveGre>;

impl GreSubject {
    fn of(naive: NaiveGre) -> Self {
        Self::of_tunnel(&naive.outer, sent(&naive), received(&naive), naive)
    }
}

/// The sender's side of a GRE header.
pub(super) const fn sent(naive: &NaiveGre) -> Gre {
    shim(naive, naive.number.is_some())
}

/// The receiver's side.
pub(super) const fn received(naive: &NaiveGre) -> Gre {
    shim(naive, naive.wants_sequence)
}

const fn shim(naive: &NaiveGre, is_numbered: bool) -> Gre {
    let mut gre = Gre::new();
    if let Some(key) = naive.key {
        gre = gre.with_key(key);
    }
    if naive.checksum {
        gre = gre.with_checksum();
    }
    if is_numbered {
        gre = gre.with_sequence();
    }
    gre
}

/// Any GRE header; a receiver that ignores the number, or asks for it.
pub(super) fn generated(u: &mut Unstructured<'_>, outer: OuterPolicy) -> Result<NaiveGre> {
    let number = if odds(u, 1, 3)? {
        Some(u.arbitrary()?)
    } else {
        None
    };
    Ok(NaiveGre {
        outer,
        key: if odds(u, 1, 3)? {
            Some(u.arbitrary()?)
        } else {
            None
        },
        checksum: u.arbitrary()?,
        number,
        wants_sequence: number.is_some() && odds(u, 1, 2)?,
    })
}

/// No options.
pub(super) const fn plain(outer: OuterPolicy) -> NaiveGre {
    NaiveGre {
        outer,
        key: None,
        checksum: false,
        number: None,
        wants_sequence: false,
    }
}

/// Every set of options, by name.
pub(super) fn all_options(outer: OuterPolicy) -> Vec<(String, NaiveGre)> {
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
                forms.push((name, naive));
            }
        }
    }
    forms
}

impl Enrol for GreSubject {
    type Tunnel = Tunnel<Gre>;

    fn tunnel(&self) -> Self::Tunnel {
        self.encapsulator
    }

    fn generate(u: &mut Unstructured<'_>, wishes: Wishes) -> Result<Self> {
        let outer = generated_outer(u, wishes)?;
        Ok(Self::of(generated(u, outer)?))
    }

    fn typical(endpoints: Endpoints) -> Self {
        Self::of(plain(typical_outer(endpoints)))
    }

    fn forms(outer: OuterPolicy) -> Vec<(String, Self)> {
        let forms = all_options(outer).into_iter();
        forms.map(|(name, naive)| (name, Self::of(naive))).collect()
    }
}
