//! Packets to split, and fragments that arrive.

use arbitrary::{Arbitrary, Result, Unstructured};
use ipencap::fragment::Limits;
use ipencap::time::Duration;

use super::packets::faults;
use super::{Bytes, Ipv4Packet, MutatedPacket, odds, raw, verbatim};
use crate::oracle::{self, Plain};

/// A packet, and the MTUs of two links that it meets.
#[derive(Clone, Debug)]
pub struct FragmentCase {
    /// The packet: mostly valid, often without DF, in half of the cases a fragment itself.
    pub packet: Bytes,
    /// The first link.
    pub mtu: u16,
    /// The second, for the fragments whose number has a bit here.
    pub second_mtu: u16,
    /// Which fragments take the second link.
    pub detours: u64,
    /// In which order they arrive: the place of the next among those left, modulo their number.
    pub order: Vec<u8>,
    /// What happens to be in a buffer.
    pub dirt: u8,
}

impl<'a> Arbitrary<'a> for FragmentCase {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let (detours, dirt) = (u.arbitrary()?, u.arbitrary()?);
        let order = raw(u, 40)?;
        let around = u.int_in_range(0..=3u8)?;
        let any: u16 = u.int_in_range(20..=1600)?;
        let second_mtu = u.int_in_range(28..=600)?;
        let mut packet = if odds(u, 1, 8)? {
            u.arbitrary::<MutatedPacket>()?.bytes.0
        } else {
            u.arbitrary::<Ipv4Packet>()?.bytes.0
        };
        if odds(u, 3, 4)? && packet.len() >= 20 {
            packet[6] &= 0xbf; // DF
            if odds(u, 1, 2)? {
                packet[6] &= 0xc0;
                packet[7] = 0;
            }
            oracle::fill_checksum(&mut packet);
        }
        if let Some(bytes) = verbatim(u)? {
            packet = bytes;
        }
        let len = u16::try_from(packet.len()).unwrap_or(u16::MAX);
        let mtu = match around {
            0 => len.saturating_sub(any % 10),
            1 => len / 2,
            2 => 28 + any % 100,
            _ => any,
        };
        Ok(Self {
            packet: Bytes(packet),
            mtu,
            second_mtu,
            detours,
            order,
            dirt,
        })
    }
}

/// A fragment that arrives.
#[derive(Clone, Debug)]
pub struct ArrivingFragment {
    /// The time, in milliseconds.
    pub now: u64,
    /// Who sent it.
    pub peer: u32,
    /// The packet.
    pub bytes: Bytes,
}

/// Fragments of a few datagrams, shuffled, some of them copied, lost or changed; at most
/// [`KEYS`](Self::KEYS) datagrams at once.
#[derive(Clone, Debug)]
pub struct ReassemblyCase {
    /// What the reassembler admits.
    pub limits: Limits,
    /// The longest payload of a slot.
    pub payload_len: u16,
    /// Slots where there are too few of them.
    pub few: usize,
    /// In the order in which they arrive.
    pub arriving: Vec<ArrivingFragment>,
}

impl ReassemblyCase {
    /// The number of different keys that its fragments have at most.
    pub const KEYS: usize = 33;
}

fn limits(u: &mut Unstructured<'_>) -> Result<Limits> {
    let usual = Limits {
        per_peer: u16::MAX,
        ..Limits::DEFAULT
    };
    if odds(u, 1, 2)? {
        return Ok(usual);
    }
    Ok(Limits {
        timeout: Duration::from_millis(*u.choose(&[30_000, 100, 1000, 0, u64::MAX])?),
        min_len: *u.choose(&[8, 0, 16, 48])?,
        max_fragments: *u.choose(&[128, 0, 1, 2, 3, 5])?,
        max_distance: *u.choose(&[64, 0, 1, 2, 255])?,
        ..usual
    })
}

/// Fragments of one datagram, in order, without faults: of any lengths.
fn whole(u: &mut Unstructured<'_>, number: u8) -> Result<Vec<Vec<u8>>> {
    let options = match u.int_in_range(0..=5u8)? {
        0 => vec![148, 4, 0, 0],
        1 => vec![7, 7, 4, 0, 0, 0, 0, 0],
        _ => vec![],
    };
    let plain = Plain {
        tos: *u.choose(&[0, 2, 1, 3, 0xb8])?,
        identification: 0xbee0 + u16::from(number % 4),
        flags_offset: *u.choose(&[0, 0, 0, 0x4000, 0x8000])?,
        ttl: u.arbitrary()?,
        protocol: *u.choose(&[4, 17])?,
        source: *u.choose(&[[198, 51, 100, 1], [192, 0, 2, 1]])?,
        destination: [203, 0, 113, 2],
        options,
    };
    let len = match u.int_in_range(0..=7u8)? {
        0 => u.int_in_range(1..=8)?,
        1 => 1500,
        2 => *u.choose(&[65_515, 65_500, 65_475, 65_476])?,
        _ => u.int_in_range(1..=130)?,
    };
    let payload: Vec<u8> = (0..len)
        .map(|at: u16| at.to_le_bytes()[0] ^ number)
        .collect();
    let mut rest = &payload[..];
    let mut fragments = Vec::new();
    while !rest.is_empty() {
        let blocks = if rest.len() > 1000 {
            usize::from(u.int_in_range(100..=4000u16)?)
        } else {
            usize::from(u.int_in_range(1..=8u16)?)
        };
        let (data, behind) = rest.split_at((blocks * 8).min(rest.len()));
        let at = u16::try_from((payload.len() - rest.len()) / 8).unwrap();
        let more = u16::from(!behind.is_empty()) << 13;
        let mut plain = plain.clone();
        plain.flags_offset |= at | more;
        if at > 0 && plain.options.first() == Some(&7) {
            plain.options = vec![];
        }
        if 20 + plain.options.len() + data.len() <= 65_535 {
            fragments.push(plain.packet(data));
        }
        rest = behind;
    }
    Ok(fragments)
}

/// Changes a fragment, so that it is wrong or does not suit the others.
fn change(u: &mut Unstructured<'_>, fragment: &mut Vec<u8>) -> Result<()> {
    let header_len = usize::from(fragment[0] & 15) * 4;
    match u.int_in_range(0..=7u8)? {
        0 => fragment[1] = fragment[1] & 0xfc | u.int_in_range(0..=3u8)?,
        1 => fragment[6] ^= 0x20,
        2 => fragment[7] = fragment[7].wrapping_add(*u.choose(&[1, 255, 2])?),
        3 => {
            let cut = u.int_in_range(0..=fragment.len() - header_len)?;
            fragment.truncate(fragment.len() - cut);
        }
        4 => fragment.extend(raw(u, 24)?),
        5 => {
            if let Some(last) = fragment[header_len..].last_mut() {
                *last ^= 1;
            }
        }
        6 => fragment[8] ^= u.arbitrary::<u8>()?,
        _ => return faults(u, fragment),
    }
    let total_len = u16::try_from(fragment.len()).unwrap_or(u16::MAX);
    oracle::put_u16(fragment, 2, total_len);
    oracle::fill_checksum(fragment);
    Ok(())
}

impl<'a> Arbitrary<'a> for ReassemblyCase {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let limits = limits(u)?;
        let payload_len = if odds(u, 1, 4)? {
            *u.choose(&[120, 1, 0, 64, 66])?
        } else {
            *u.choose(&[1532, 65_515])?
        };
        let few = u.int_in_range(0..=3)?;
        let (mut pieces, mut peers) = (Vec::new(), Vec::new());
        for number in 0..u.int_in_range(1..=5u8)? {
            peers.push(u.int_in_range(0..=1u32)?);
            for fragment in whole(u, number)? {
                pieces.push((usize::from(number), fragment));
            }
        }
        let mut arriving = Vec::new();
        let mut now = 1_000_000u64;
        while !pieces.is_empty() && arriving.len() < 60 {
            let at = match u.int_in_range(0..=3u8)? {
                0 => 0,
                1 => pieces.len() - 1,
                _ => u.int_in_range(0..=pieces.len() - 1)?,
            };
            let (number, mut fragment) = if odds(u, 1, 8)? {
                pieces[at].clone() // it comes twice
            } else {
                pieces.remove(at)
            };
            if odds(u, 1, 16)? {
                continue; // it is lost
            }
            if odds(u, 1, 8)? {
                change(u, &mut fragment)?;
            }
            now = match u.int_in_range(0..=15u8)? {
                0 => now.saturating_add(u.int_in_range(0..=40_000)?),
                1 => now.saturating_sub(u.int_in_range(0..=40_000)?),
                2 => *u.choose(&[0, u64::MAX, 1_000_000])?,
                _ => now.saturating_add(u.int_in_range(0..=30)?),
            };
            arriving.push(ArrivingFragment {
                now,
                peer: peers[number],
                bytes: Bytes(fragment),
            });
        }
        if let Some(bytes) = verbatim(u)? {
            let bytes = Bytes(bytes);
            arriving.push(ArrivingFragment {
                now,
                peer: 0,
                bytes,
            });
        }
        Ok(Self {
            limits,
            payload_len,
            few,
            arriving,
        })
    }
}
