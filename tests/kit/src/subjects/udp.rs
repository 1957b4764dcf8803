use arbitrary::{Result, Unstructured};
use ipencap::encap::{ChecksumPolicy, PortRange, SourcePort, Udp, UdpCarrier};

use super::{Layer, ends, generated_outer, gre, typical_outer, with_outer};
use crate::generate::odds;
use crate::oracle::{NaiveGre, NaiveUdp, OuterPolicy, Ports, Summed, UdpKind};
use crate::registry::{Endpoints, Enrol, Wishes};

/// [`Udp`]: FOU, GUE in both variants, GRE in UDP.
pub type UdpSubject = Layer<Udp, UdpCarrier, NaiveUdp>;

impl UdpSubject {
    fn of(naive: NaiveUdp) -> Self {
        let (source, destination) = ends(&naive.outer);
        let port = naive.destination_port;
        let (tunnel, carrier) = match &naive.kind {
            UdpKind::Direct if naive.receives_gue => {
                (Udp::gue_variant_1(source, destination), UdpCarrier::gue())
            }
            UdpKind::Direct => (Udp::fou(source, destination, port), UdpCarrier::fou(port)),
            UdpKind::Gue(words) => (
                Udp::gue(source, destination).and_then(|udp| udp.with_private_words(words)),
                UdpCarrier::gue(),
            ),
            UdpKind::Gre(naive) => (
                Udp::gre(source, destination, naive.key),
                UdpCarrier::gre(gre::carrier(naive)),
            ),
        };
        let tunnel = with_outer!(tunnel.unwrap(), naive.outer)
            .with_destination_port(port)
            .with_source_port(match naive.source_port {
                Some(port) => SourcePort::Fixed(port),
                None => SourcePort::Entropy {
                    seed: naive.seed,
                    range: match naive.ports {
                        Ports::Dynamic => PortRange::Dynamic,
                        Ports::DynamicFolded => PortRange::DynamicFolded,
                        Ports::Linux => PortRange::Linux,
                        Ports::Glb => PortRange::Glb,
                    },
                },
            })
            .with_checksum(match naive.checksum {
                Summed::Zero => ChecksumPolicy::Zero,
                Summed::Full => ChecksumPolicy::Full,
                Summed::Offload => ChecksumPolicy::Offload,
            });
        let mut carrier = carrier.with_destination_port(port);
        if naive.requires_checksum {
            carrier = carrier.requiring_checksum();
        }
        let outer = naive.outer;
        Self::new(tunnel, carrier, naive, &outer)
    }
}

const fn gre_in_udp(outer: OuterPolicy, key: Option<u32>) -> UdpKind {
    UdpKind::Gre(NaiveGre {
        outer,
        key,
        checksum: false,
        first_ordinal: None,
        wants_sequence: false,
    })
}

impl Enrol for UdpSubject {
    fn generate(u: &mut Unstructured<'_>, wishes: Wishes) -> Result<Self> {
        let outer = generated_outer(u, wishes)?;
        let kind = match u.int_in_range(0..=5u8)? {
            0..=2 => UdpKind::Direct,
            3 | 4 => {
                let words = u.int_in_range(0..=8usize)?;
                UdpKind::Gue((0..words).map(|_| u.arbitrary()).collect::<Result<_>>()?)
            }
            _ => {
                let key = if odds(u, 1, 2)? {
                    Some(u.arbitrary()?)
                } else {
                    None
                };
                gre_in_udp(outer, key)
            }
        };
        let checksum =
            *u.choose(&[Summed::Zero, Summed::Full, Summed::Offload, Summed::Offload])?;
        let is_summed = checksum != Summed::Zero;
        Ok(Self::of(NaiveUdp {
            outer,
            destination_port: *u.choose(&[5555, 6080, 4754, 53, 0])?,
            source_port: if odds(u, 1, 2)? {
                Some(u.arbitrary()?)
            } else {
                None
            },
            ports: *u.choose(&[
                Ports::Dynamic,
                Ports::DynamicFolded,
                Ports::Linux,
                Ports::Glb,
            ])?,
            seed: u.arbitrary()?,
            checksum,
            receives_gue: match kind {
                UdpKind::Direct => u.arbitrary()?,
                UdpKind::Gue(_) => true,
                UdpKind::Gre(_) => false,
            },
            kind,
            requires_checksum: (is_summed || wishes.may_refuse) && odds(u, 1, 3)?,
        }))
    }

    fn typical(endpoints: Endpoints) -> Self {
        Self::of(NaiveUdp {
            outer: typical_outer(endpoints),
            destination_port: 5555,
            source_port: None,
            ports: Ports::Dynamic,
            seed: 0,
            checksum: Summed::Offload,
            kind: UdpKind::Direct,
            receives_gue: false,
            requires_checksum: false,
        })
    }
}
