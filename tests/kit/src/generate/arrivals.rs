//! Packets on their way out of tunnels.

use arbitrary::{Arbitrary, Result, Unstructured};

use super::packets::{address, faults, filled, flags_offset, options, protocol, tos, ttl};
use super::{Bytes, MutatedPacket, odds, raw, verbatim};
use crate::oracle::{self, Net, Network, Peer, Plain, Switches};
use crate::registry::{ENCAPSULATORS, Endpoints, Subject, Wishes};

/// A packet that arrives at a decapsulator, for every carrier.
#[derive(Debug)]
pub struct DecapCase {
    /// One of each encapsulator, with the packet as it arrives in that carrier.
    pub arrivals: Vec<(Box<dyn Subject>, Bytes)>,
    /// Who may send what.
    pub network: Network,
    /// Whether the network is one local address, one host peer and nothing else.
    pub point_to_point: bool,
    /// The decapsulator's switches.
    pub switches: Switches,
}

impl<'a> Arbitrary<'a> for DecapCase {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let point_to_point = odds(u, 1, 3)?;
        let network = if point_to_point {
            narrow_network(u)?
        } else {
            network(u)?
        };
        let outer = outer(u, &network)?;
        let inner = inner(u, &network, &outer)?;
        let slack = if odds(u, 1, 8)? { raw(u, 40)? } else { vec![] };
        let switches = switches(u)?;
        let wishes = Wishes {
            endpoints: Endpoints {
                source: [198, 51, 100, 1],
                destination: [203, 0, 113, 2],
            },
            may_refuse: true,
        };
        let mut arrivals = Vec::new();
        for enrolled in ENCAPSULATORS {
            let subject = enrolled.generate(u, wishes)?;
            let Some(carrier) = subject.carrier() else {
                continue;
            };
            let mut outer = outer.clone();
            if !odds(u, 1, 24)? {
                outer.protocol = carrier.naive().protocol();
            }
            let mut payload = carrier.naive().framed(&outer, &inner);
            if odds(u, 1, 6)? {
                spoil(u, &outer, &mut payload)?;
            }
            let mut packet = outer.packet(&payload);
            if odds(u, 1, 12)? {
                faults(u, &mut packet)?;
            }
            packet.extend(&slack);
            arrivals.push((subject, Bytes(packet)));
        }
        if let Some(packet) = verbatim(u)? {
            for (_, arrival) in &mut arrivals {
                arrival.0.clone_from(&packet);
            }
        }
        Ok(Self {
            arrivals,
            network,
            point_to_point,
            switches,
        })
    }
}

/// A fault in the carrier's own header; its checksum, and UDP's length, are mended most of the time.
fn spoil(u: &mut Unstructured<'_>, outer: &Plain, payload: &mut Vec<u8>) -> Result<()> {
    if odds(u, 1, 6)? {
        payload.truncate(u.int_in_range(0..=24)?);
        if outer.protocol == 17 && payload.len() >= 8 && odds(u, 2, 3)? {
            let len = u16::try_from(payload.len()).unwrap();
            oracle::put_u16(payload, 4, len);
        }
    } else if let Some(last) = payload.len().min(24).checked_sub(1) {
        // Where flags, protocols and lengths stand, or anywhere.
        let at = if odds(u, 1, 3)? {
            u.int_in_range(0..=last)?
        } else {
            *u.choose(&[0, 1, 2, 3, 5, 8, 9, 10, 12])?
        };
        payload[at.min(last)] = if odds(u, 1, 3)? {
            u.arbitrary()?
        } else {
            *u.choose(&[0, 7, 59, 41, 0x20, 0x55, 0x80])?
        };
    }
    if odds(u, 3, 4)? {
        oracle::refill(outer, payload);
    }
    Ok(())
}

fn net(u: &mut Unstructured<'_>) -> Result<Net> {
    if odds(u, 1, 8)? {
        return Ok(([0; 4], 0));
    }
    let len = *u.choose(&[32, 16, 8, 24, 28, 31, 1])?;
    let address = u32::from_be_bytes(address(u)?);
    let mask = u32::MAX << (32 - len);
    Ok(((address & mask).to_be_bytes(), u8::try_from(len).unwrap()))
}

const OURS: [u8; 4] = [203, 0, 113, 2];
const THEIRS: [u8; 4] = [198, 51, 100, 1];
const THEIR_HOST: [u8; 4] = [10, 1, 0, 5];
const OUR_HOST: [u8; 4] = [10, 2, 0, 9];

fn narrow_network(u: &mut Unstructured<'_>) -> Result<Network> {
    let usual = !odds(u, 1, 8)?;
    let inner = if odds(u, 1, 8)? {
        (0..u.int_in_range(0..=2u8)?)
            .map(|_| net(u))
            .collect::<Result<_>>()?
    } else {
        vec![([10, 1, 0, 0], 16), ([0; 4], 0)]
    };
    Ok(Network {
        local: vec![if usual { OURS } else { address(u)? }],
        peers: vec![Peer {
            outer: (if usual { THEIRS } else { address(u)? }, 32),
            inner,
            tag: 0,
        }],
        endpoints: vec![],
        ports: vec![],
    })
}

fn network(u: &mut Unstructured<'_>) -> Result<Network> {
    let mut local = vec![OURS];
    let mut peers = Vec::new();
    for _ in 0..u.int_in_range(0..=2u8)? {
        local.push(address(u)?);
    }
    if odds(u, 1, 16)? {
        local.clear();
    }
    for _ in 0..u.int_in_range(0..=2u8)? {
        peers.push(Peer {
            outer: net(u)?,
            inner: (0..u.int_in_range(0..=2u8)?)
                .map(|_| net(u))
                .collect::<Result<_>>()?,
            tag: u.arbitrary()?,
        });
    }
    peers.push(Peer {
        outer: (THEIRS, 32),
        inner: vec![([10, 1, 0, 0], 16), net(u)?],
        tag: u.arbitrary()?,
    });
    let endpoints = (0..u.int_in_range(0..=2u8)?)
        .map(|_| address(u))
        .collect::<Result<_>>()?;
    Ok(Network {
        local,
        peers,
        endpoints,
        ports: vec![],
    })
}

fn switches(u: &mut Unstructured<'_>) -> Result<Switches> {
    Ok(Switches {
        multicast: odds(u, 1, 4)?,
        class_e: odds(u, 1, 4)?,
        own_source: odds(u, 1, 4)?,
        to_peer: odds(u, 1, 4)?,
        exact_length: odds(u, 1, 4)?,
        no_land: odds(u, 1, 2)?,
        refuse_tunnels: odds(u, 1, 3)?,
        uniform_dscp: odds(u, 1, 3)?,
        max_depth: if odds(u, 1, 4)? { u.arbitrary()? } else { 1 },
    })
}

/// An outer header that is mostly right for `network`.
fn outer(u: &mut Unstructured<'_>, network: &Network) -> Result<Plain> {
    let source = if odds(u, 1, 8)? {
        address(u)?
    } else {
        network.peers.last().map_or(THEIRS, |peer| peer.outer.0)
    };
    let destination = if odds(u, 1, 8)? || network.local.is_empty() {
        address(u)?
    } else {
        *u.choose(&network.local)?
    };
    Ok(Plain {
        tos: tos(u)?,
        identification: u.arbitrary()?,
        flags_offset: if odds(u, 1, 12)? {
            flags_offset(u)?
        } else {
            *u.choose(&[0x4000, 0x0000, 0xc000])?
        },
        ttl: u.arbitrary()?,
        protocol: protocol(u)?,
        source,
        destination,
        options: options(u)?,
    })
}

/// An inner packet that is mostly right under `outer`, with slack behind it now and then.
fn inner(u: &mut Unstructured<'_>, network: &Network, outer: &Plain) -> Result<Vec<u8>> {
    if odds(u, 1, 16)? {
        let Bytes(mut bytes) = u.arbitrary::<MutatedPacket>()?.bytes;
        bytes.truncate(65000);
        return Ok(bytes);
    }
    let source = match u.int_in_range(0..=15u8)? {
        12 => *u.choose(&network.local).unwrap_or(&OURS),
        13 => outer.source,
        14 | 15 => address(u)?,
        _ => THEIR_HOST,
    };
    let destination = match u.int_in_range(0..=15u8)? {
        10 => source,
        11 => *u.choose(&network.local).unwrap_or(&OURS),
        12 => outer.source,
        13 => outer.destination,
        14 | 15 => address(u)?,
        _ => OUR_HOST,
    };
    let mut plain = Plain {
        tos: tos(u)?,
        identification: u.arbitrary()?,
        flags_offset: flags_offset(u)?,
        ttl: if odds(u, 1, 16)? { 0 } else { ttl(u)? },
        protocol: protocol(u)?,
        source,
        destination,
        options: options(u)?,
    };
    let mut bytes = if odds(u, 1, 8)? {
        let payload = to_a_tunnel_port(u, &mut plain)?;
        plain.packet(&payload)
    } else {
        filled(u, &plain)?
    };
    if bytes.len() > 65000 {
        bytes.truncate(65000);
        oracle::put_u16(&mut bytes, 2, 65000);
        oracle::fill_checksum(&mut bytes);
    }
    if odds(u, 1, 16)? {
        faults(u, &mut bytes)?;
    }
    if odds(u, 1, 8)? {
        bytes.extend(raw(u, 24)?);
    }
    Ok(bytes)
}

/// A transport header to a port that a carrier listens on, or what looks like one in a fragment (D-20,
/// trap T28).
fn to_a_tunnel_port(u: &mut Unstructured<'_>, plain: &mut Plain) -> Result<Vec<u8>> {
    let (protocol, port) = *u.choose(&[(17, 5555), (17, 6080), (6, 443), (6, 4500)])?;
    plain.protocol = protocol;
    let mut payload = vec![0; u.int_in_range(20..=40)?];
    oracle::put_u16(&mut payload, 2, port);
    payload[12] = *u.choose(&[0x50, 0x60, 0xf0, 0x40])?;
    Ok(payload)
}
