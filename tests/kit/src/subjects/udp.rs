use core::any::Any;

use arbitrary::{Result, Unstructured};
use ipencap::encap::{ChecksumPolicy, PortRange, SourcePort, Udp, UdpCarrier};

use super::{Layer, PayloadForm, ends, generated_outer, gre, typical_outer, with_outer};
use crate::generate::odds;
use crate::oracle::{NaiveGre, NaiveUdp, OuterPolicy, Ports, Summed, UdpKind};
use crate::registry::{Endpoints, Enrol, Wishes};

/// [`Udp`]: FOU, GUE in both variants, GRE in UDP; with private words only GUE.
pub type UdpSubject<const WORDS: usize> = Layer<Udp<WORDS>, UdpCarrier, NaiveUdp>;

impl<const WORDS: usize> UdpSubject<WORDS> {
    fn of(naive: NaiveUdp) -> Self {
        let (source, destination) = ends(&naive.outer);
        let port = naive.destination_port;
        let carrier = match &naive.kind {
            UdpKind::Direct if !naive.receives_gue => UdpCarrier::fou(port),
            UdpKind::Direct | UdpKind::Gue(_) => UdpCarrier::gue(),
            UdpKind::Gre { expected, .. } => UdpCarrier::gre(gre::carrier(expected)),
        };
        let tunnel: Udp<WORDS> = match &naive.kind {
            UdpKind::Direct if naive.receives_gue => {
                wordless(Udp::gue_variant_1(source, destination))
            }
            UdpKind::Direct => wordless(Udp::fou(source, destination, port)),
            UdpKind::Gre { sent, .. } => wordless(Udp::gre(source, destination, sent.key)),
            UdpKind::Gue(words) => {
                let words: [u32; WORDS] = words.as_slice().try_into().unwrap();
                let gue = Udp::gue(source, destination).unwrap();
                gue.with_private_words(words).unwrap()
            }
        };
        let tunnel = with_outer!(tunnel, naive.outer)
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
            .over_sockets()
            .with_payload_form(PayloadForm {
                overhead: Udp::<WORDS>::payload_overhead,
                encap: Udp::<WORDS>::encap_payload,
            })
    }
}

/// This tunnel, where `WORDS` is the 0 that it has.
fn wordless<const WORDS: usize>(
    tunnel: core::result::Result<Udp, ipencap::error::ConfigError>,
) -> Udp<WORDS> {
    let tunnel: Box<dyn Any> = Box::new(tunnel.unwrap());
    *tunnel.downcast().unwrap()
}

/// With a key or without, and a receiver that may want more than that.
fn gre_in_udp(u: &mut Unstructured<'_>, outer: OuterPolicy, wishes: Wishes) -> Result<UdpKind> {
    let key = if odds(u, 1, 2)? {
        Some(u.arbitrary()?)
    } else {
        None
    };
    let sent = NaiveGre {
        outer,
        key,
        checksum: false,
        number: None,
        wants_sequence: false,
    };
    let mut expected = sent;
    if wishes.may_refuse {
        expected.checksum = odds(u, 1, 4)?;
        if odds(u, 1, 4)? {
            expected.number = Some(u.arbitrary()?);
            expected.wants_sequence = odds(u, 2, 3)?;
        }
    }
    Ok(UdpKind::Gre { sent, expected })
}

impl<const WORDS: usize> Enrol for UdpSubject<WORDS> {
    fn generate(u: &mut Unstructured<'_>, wishes: Wishes) -> Result<Self> {
        let outer = generated_outer(u, wishes)?;
        let kind = match u.int_in_range(0..=5u8)? {
            0..=2 if WORDS == 0 => UdpKind::Direct,
            3 | 4 if WORDS == 0 => UdpKind::Gue(Vec::new()),
            _ if WORDS > 0 => UdpKind::Gue(u.arbitrary::<[u32; WORDS]>()?.to_vec()),
            _ => gre_in_udp(u, outer, wishes)?,
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
                UdpKind::Gre { .. } => false,
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
            kind: if WORDS == 0 {
                UdpKind::Direct
            } else {
                UdpKind::Gue(vec![0x0102_0304; WORDS])
            },
            receives_gue: WORDS > 0,
            requires_checksum: false,
        })
    }

    fn forms(outer: OuterPolicy) -> Vec<(String, Self)> {
        let gre = |key| {
            let sent = NaiveGre {
                outer,
                key,
                checksum: false,
                number: None,
                wants_sequence: false,
            };
            UdpKind::Gre {
                sent,
                expected: sent,
            }
        };
        let gue = || UdpKind::Gue(vec![0x0102_0304; WORDS]);
        let kinds = match WORDS {
            0 => vec![
                ("FOU", false, UdpKind::Direct),
                ("GUE", true, gue()),
                ("GUE variant 1", true, UdpKind::Direct),
                ("GRE", false, gre(None)),
                ("GRE key", false, gre(Some(0xdead_beef))),
            ],
            _ => vec![("GUE words", true, gue())],
        };
        // Each checksum with the default port, each port with the default checksum.
        let choices = [
            ("offload", Summed::Offload, None, Ports::Dynamic),
            ("full", Summed::Full, None, Ports::Dynamic),
            ("zero", Summed::Zero, None, Ports::Dynamic),
            ("folded port", Summed::Offload, None, Ports::DynamicFolded),
            ("port of Linux", Summed::Offload, None, Ports::Linux),
            ("port of GLB", Summed::Offload, None, Ports::Glb),
            ("fixed port", Summed::Offload, Some(0xc123), Ports::Dynamic),
        ];
        let mut forms = Vec::new();
        for (kind_name, receives_gue, kind) in kinds {
            for (choice, checksum, source_port, ports) in choices {
                let naive = NaiveUdp {
                    outer,
                    destination_port: 5555,
                    source_port,
                    ports,
                    seed: 0,
                    checksum,
                    kind: kind.clone(),
                    receives_gue,
                    requires_checksum: false,
                };
                forms.push((format!("{kind_name}, {choice}"), Self::of(naive)));
            }
        }
        forms
    }
}
