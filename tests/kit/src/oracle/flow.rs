//! What an encapsulator reads of the flow inside: for source ports and for the checksum that needs
//! no payload.

use super::decap::may_route_on;
use super::{checksum, put_u16, u16_at, validate};

/// How a flow hash becomes a source port (semantics §9.4).
#[derive(Clone, Copy, Debug)]
pub enum Ports {
    /// `0xC000 | (h & 0x3FFF)`.
    Dynamic,
    /// `0xC000 | ((h ^ h>>16) & 0x3FFF)`.
    DynamicFolded,
    /// `h ^= h<<16; port = ((u64)h * (max - min) >> 32) + min`, 32768 to 60999.
    Linux,
    /// `0x8000 | (h & 0x7FFF)`.
    Glb,
}

/// The source port of this hash, in 64-bit arithmetic.
#[must_use]
pub fn source_port(ports: Ports, hash: u32) -> u16 {
    let hash = u64::from(hash);
    let port = match ports {
        Ports::Dynamic => 0xc000 | (hash & 0x3fff),
        Ports::DynamicFolded => 0xc000 | ((hash ^ hash >> 16) & 0x3fff),
        Ports::Glb => 0x8000 | (hash & 0x7fff),
        Ports::Linux => {
            let mixed = (hash ^ hash << 16) & 0xffff_ffff;
            ((mixed * (60999 - 32768)) >> 32) + 32768
        }
    };
    u16::try_from(port).unwrap()
}

/// `MurmurHash3_x86_32`, by its published description.
#[must_use]
pub fn murmur3(bytes: &[u8], seed: u32) -> u32 {
    let mut hash = seed;
    assert!(bytes.len().is_multiple_of(4), "no tail is needed here");
    for block in bytes.chunks(4) {
        let mut k = u32::from_le_bytes(block.try_into().unwrap());
        k = k.wrapping_mul(0xcc9e_2d51);
        k = k.rotate_left(15);
        k = k.wrapping_mul(0x1b87_3593);
        hash ^= k;
        hash = hash.rotate_left(13);
        hash = hash.wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    hash ^= u32::try_from(bytes.len()).unwrap();
    hash ^= hash >> 16;
    hash = hash.wrapping_mul(0x85eb_ca6b);
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

/// Where the packet behind the IP-in-IP headers begins: of up to eight, each whole, valid and
/// without slack (L-05).
#[must_use]
pub fn innermost(packet: &[u8]) -> usize {
    let mut start = 0;
    for _ in 0..8 {
        let fields = validate(&packet[start..], true).unwrap();
        let behind = start + fields.header_len;
        let next = validate(fields.payload, true);
        if fields.protocol != 4 || fields.is_fragment() || next.is_err() || next.unwrap().slack != 0
        {
            break;
        }
        start = behind;
    }
    start
}

/// How many IP-in-IP headers stand in front of what [`innermost`] would find if it looked further.
#[must_use]
pub fn depth(packet: &[u8]) -> usize {
    let (mut start, mut depth) = (0, 0);
    loop {
        let next = start + innermost(&packet[start..]);
        if next == start {
            return depth;
        }
        while start < next {
            start += usize::from(packet[start] & 15) * 4;
            depth += 1;
        }
    }
}

/// The hash of the innermost packet's flow: addresses, ports where it has any and is whole (E-22),
/// three zeros and the protocol.
#[must_use]
pub fn flow_hash(packet: &[u8], seed: u32) -> u32 {
    let fields = validate(&packet[innermost(packet)..], true).unwrap();
    let has_ports =
        [6, 17].contains(&fields.protocol) && !fields.is_fragment() && fields.payload.len() >= 4;
    let ports = if has_ports {
        &fields.payload[..4]
    } else {
        &[0; 4]
    };
    let key = [
        &fields.source[..],
        &fields.destination,
        ports,
        &[0, 0, 0, fields.protocol],
    ];
    murmur3(&key.concat(), seed)
}

/// C-20: whether the headers of `packet` (without slack) tell its sum; and if so, the packet with
/// its transport checksum as it should be, which has that sum (C-21).
#[must_use]
pub fn known_sum_of(packet: &[u8]) -> Option<Vec<u8>> {
    let start = innermost(packet);
    let fields = validate(&packet[start..], true).unwrap();
    if fields.is_fragment() || may_route_on(fields.options) {
        return None;
    }
    let payload = fields.payload;
    let len = u16::try_from(payload.len()).unwrap();
    let field = match fields.protocol {
        6 if payload.len() >= 20 => 16,
        17 if payload.len() >= 8 && u16_at(payload, 6) != 0 && u16_at(payload, 4) == len => 6,
        _ => return None,
    };
    let mut corrected = packet[..start + fields.total_len].to_vec();
    let transport = start + fields.header_len;
    put_u16(&mut corrected, transport + field, 0);
    let pseudo = [
        &fields.source[..],
        &fields.destination,
        &[0, fields.protocol],
        &len.to_be_bytes(),
    ]
    .concat();
    let filled = checksum(&[&pseudo, &corrected[transport..]].concat());
    put_u16(&mut corrected, transport + field, filled);
    Some(corrected)
}
