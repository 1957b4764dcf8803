//! Packets on their way into tunnels.

use arbitrary::{Arbitrary, Result, Unstructured};
use ipencap::encap::{InnerChecksum, PerPacket};

use super::packets::{flags_offset, options, payload, protocol, tos, unicast};
use super::{Bytes, Ipv4Packet, MutatedPacket, odds, raw, verbatim};
use crate::oracle::{self, Plain};
use crate::registry::{ENCAPSULATORS, Endpoints, Subject, Wishes};

/// What a caller says with a packet.
fn per_packet(u: &mut Unstructured<'_>) -> Result<PerPacket> {
    let mut packet = PerPacket::new();
    if odds(u, 3, 4)? {
        packet = packet.with_identification(u.arbitrary()?);
    }
    if odds(u, 3, 4)? {
        packet = packet.with_sequence(u.arbitrary()?);
    }
    if odds(u, 1, 4)? {
        packet = packet.with_link_mtu(mtu(u)?);
    }
    if odds(u, 1, 4)? {
        packet = packet.with_flow_hash(u.arbitrary()?);
    }
    if odds(u, 1, 4)? {
        packet = packet.with_segment_len(mtu(u)?);
    }
    if odds(u, 1, 8)? {
        packet = packet.with_inner_checksum(InnerChecksum::Partial);
    }
    Ok(packet.with_tcp_numbers(u.arbitrary()?, u.arbitrary()?))
}

/// A link's MTU, around the lengths that generated packets have.
///
/// # Errors
/// None.
pub fn mtu(u: &mut Unstructured<'_>) -> Result<u16> {
    Ok(match u.int_in_range(0..=3u8)? {
        0 => *u.choose(&[0, 19, 20, 40, 68, 576, 1280, 1500, 9000, 65535])?,
        1 => u.int_in_range(40..=200)?,
        2 => u.int_in_range(0..=3000)?,
        _ => u.arbitrary()?,
    })
}

/// A packet to be wrapped by every encapsulator, somewhere in a buffer.
#[derive(Debug)]
pub struct EncapCase {
    /// One of each encapsulator, with arbitrary policies.
    pub subjects: Vec<Box<dyn Subject>>,
    /// What the caller says.
    pub packet: PerPacket,
    /// Free bytes in front of the packet.
    pub headroom: usize,
    /// The packet, valid or not, as the caller's span shows it: with slack.
    pub inner: Bytes,
    /// Bytes behind it.
    pub behind: Bytes,
}

impl<'a> Arbitrary<'a> for EncapCase {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let wishes = Wishes {
            endpoints: Endpoints {
                source: unicast(u)?,
                destination: unicast(u)?,
            },
            may_refuse: true,
        };
        let subjects = ENCAPSULATORS
            .iter()
            .map(|enrolled| enrolled.generate(u, wishes))
            .collect::<Result<_>>()?;
        let inner = if odds(u, 1, 3)? {
            u.arbitrary::<MutatedPacket>()?.bytes
        } else {
            let Bytes(mut bytes) = u.arbitrary::<Ipv4Packet>()?.bytes;
            if odds(u, 1, 4)? {
                bytes.extend(raw(u, 12)?);
            }
            Bytes(bytes)
        };
        let headroom = if odds(u, 1, 8)? {
            u.int_in_range(0..=24)?
        } else {
            u.int_in_range(20..=160)?
        };
        let packet = per_packet(u)?;
        let behind = Bytes(raw(u, 9)?);
        Ok(Self {
            subjects,
            packet,
            headroom,
            inner: verbatim(u)?.map_or(inner, Bytes),
            behind,
        })
    }
}

/// Up to four tunnels that may refuse, and a packet, valid or not, for all of them at once.
#[derive(Debug)]
pub struct CompositionCase {
    /// The tunnels, the innermost first.
    pub layers: Vec<Box<dyn Subject>>,
    /// What the caller says, where the packet lies, and the packet.
    pub encap: EncapCase,
}

impl<'a> Arbitrary<'a> for CompositionCase {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        // Sometimes the same addresses twice: a loop between two layers.
        let ends = [1, 2, 3, 4].map(|number| ([198, 51, 100, number], [203, 0, 113, number]));
        let layers = (0..u.int_in_range(0..=4u8)?)
            .map(|_| {
                let (source, _) = *u.choose(&ends)?;
                let (other, exit) = *u.choose(&ends)?;
                let destination = if odds(u, 1, 8)? { other } else { exit };
                let wishes = Wishes {
                    endpoints: Endpoints {
                        source,
                        destination,
                    },
                    may_refuse: odds(u, 1, 2)?,
                };
                u.choose(ENCAPSULATORS)?.generate(u, wishes)
            })
            .collect::<Result<_>>()?;
        let mut encap: EncapCase = u.arbitrary()?;
        encap.headroom = if odds(u, 1, 8)? { 60 } else { 400 };
        encap.subjects.clear();
        Ok(Self { layers, encap })
    }
}

/// An ordinary packet from 10.1/16 to 10.2/16, its transport checksum right, that any tunnel between
/// other addresses takes; minimal encapsulation, if it is no fragment and has no source route.
#[derive(Clone, Debug)]
pub struct OrdinaryPacket {
    /// Its bytes: at most 64 KiB minus 512.
    pub bytes: Bytes,
}

impl OrdinaryPacket {
    /// The same without IPv4 options.
    #[must_use]
    fn without_options(self) -> Self {
        let Bytes(bytes) = self.bytes;
        let fields = oracle::validate(&bytes, true).unwrap();
        let plain = Plain {
            tos: fields.tos,
            identification: fields.identification,
            flags_offset: fields.flags_offset,
            ttl: fields.ttl,
            protocol: fields.protocol,
            source: fields.source,
            destination: fields.destination,
            options: vec![],
        };
        let bytes = plain.packet(fields.payload);
        // Without the route it may be known where the packet goes.
        let bytes = oracle::known_sum_of(&bytes).unwrap_or(bytes);
        Self {
            bytes: Bytes(bytes),
        }
    }

    fn has_source_route(&self) -> bool {
        let fields = oracle::validate(&self.bytes.0, true).unwrap();
        oracle::has_source_route(fields.options)
    }
}

impl<'a> Arbitrary<'a> for OrdinaryPacket {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let [from, to]: [[u8; 2]; 2] = u.arbitrary()?;
        let mut plain = Plain {
            tos: tos(u)?,
            identification: u.arbitrary()?,
            flags_offset: flags_offset(u)?,
            ttl: u.int_in_range(32..=255)?,
            protocol: protocol(u)?,
            source: [10, 1, from[0], from[1]],
            destination: [10, 2, to[0], to[1]],
            options: options(u)?,
        };
        let mut payload = payload(u, &plain, 0)?;
        if let Some(packet) = verbatim(u)? {
            if let Ok(fields) = oracle::validate(&packet, true) {
                plain.tos = fields.tos;
                plain.identification = fields.identification;
                plain.flags_offset = fields.flags_offset;
                plain.protocol = fields.protocol;
                plain.options = fields.options.to_vec();
                payload = fields.payload.to_vec();
            }
        }
        payload.truncate(65535 - 60 - 512);
        // An outer checksum from the headers alone takes the inner one to be right (C-21).
        let bytes = plain.packet(&payload);
        let bytes = oracle::known_sum_of(&bytes).unwrap_or(bytes);
        Ok(Self {
            bytes: Bytes(bytes),
        })
    }
}

/// Up to four tunnels around an ordinary packet, the innermost first.
#[derive(Debug)]
pub struct NestCase {
    /// The tunnels, each between addresses of its own.
    pub layers: Vec<Box<dyn Subject>>,
    /// The packet.
    pub inner: OrdinaryPacket,
    /// The packet's number.
    pub ordinal: u32,
    /// The ECN field that a router on the way writes into the outermost header, 0 to 3.
    pub mark: u8,
}

impl<'a> Arbitrary<'a> for NestCase {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let layers = (1..=u.int_in_range(1..=4u8)?)
            .map(|layer| {
                let wishes = Wishes {
                    endpoints: Endpoints {
                        source: [198, 51, 100, layer],
                        destination: [203, 0, 113, layer],
                    },
                    may_refuse: false,
                };
                u.choose(ENCAPSULATORS)?.generate(u, wishes)
            })
            .collect::<Result<Vec<Box<dyn Subject>>>>()?;
        let mut inner: OrdinaryPacket = u.arbitrary()?;
        if inner.has_source_route() && !layers[0].naive().keeps_inner_header() {
            // Minimal encapsulation refuses these: it would leave them in the outer header (D-08).
            inner = inner.without_options();
        }
        Ok(Self {
            layers,
            inner,
            ordinal: u.arbitrary()?,
            mark: u.int_in_range(0..=3)?,
        })
    }
}

/// One tunnel, and packets for it of which some are alike: the segments of a train, now and then
/// with a stranger between them.
#[derive(Debug)]
pub struct TrainCase {
    /// The tunnel.
    pub tunnel: Box<dyn Subject>,
    /// One packet or more.
    pub packets: Vec<Bytes>,
    /// The first packet's number.
    pub ordinal: u32,
}

impl<'a> Arbitrary<'a> for TrainCase {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let wishes = Wishes {
            endpoints: Endpoints {
                source: [198, 51, 100, 1],
                destination: [203, 0, 113, 1],
            },
            may_refuse: odds(u, 1, 4)?,
        };
        let tunnel = u.choose(ENCAPSULATORS)?.generate(u, wishes)?;
        let Bytes(mut leader) = u.arbitrary::<OrdinaryPacket>()?.bytes;
        leader.truncate(usize::from(oracle::u16_at(&leader, 2)));
        let mut packets = vec![Bytes(leader.clone())];
        for _ in 0..u.int_in_range(0..=5u8)? {
            let mut next = leader.clone();
            let header_len = usize::from(next[0] & 15) * 4;
            match u.int_in_range(0..=9u8)? {
                // Of another flow, with other marks, or no packet at all.
                0 => next[15] ^= 1,
                1 => next[1] ^= u.int_in_range(1..=3u8)?,
                2 => next = raw(u, 30)?,
                3 => next[8] ^= 1,
                4 => {
                    let len = u.int_in_range(header_len..=next.len())?;
                    next.truncate(len);
                    next[2..4].copy_from_slice(&u16::try_from(len).unwrap().to_be_bytes());
                }
                // The next segment: another identification.
                _ => next[5] = next[5].wrapping_add(1),
            }
            let is_packet = next.len() >= header_len && next[0] == leader[0];
            if is_packet && usize::from(oracle::u16_at(&next, 2)) == next.len() {
                oracle::fill_checksum(&mut next);
                next = oracle::known_sum_of(&next).unwrap_or(next);
                // Other bytes, which the header does not tell.
                if u.ratio(1, 2)? && next.len() > header_len {
                    let last = next.len() - 1;
                    next[last] ^= 1;
                }
            }
            packets.push(Bytes(next));
        }
        Ok(Self {
            tunnel,
            packets,
            ordinal: u.arbitrary()?,
        })
    }
}
