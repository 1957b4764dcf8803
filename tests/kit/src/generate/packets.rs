//! IPv4 packets: valid ones, and nearly valid ones.

use arbitrary::{Arbitrary, Result, Unstructured};

use super::{Anything, Bytes, blocks, odds, raw};
use crate::oracle::{self, Plain};

/// Addresses that meet: tunnel ends, inner hosts, and the borders of everything that is martian.
pub const POOL: [[u8; 4]; 28] = [
    [198, 51, 100, 1],
    [203, 0, 113, 2],
    [192, 0, 2, 1],
    [192, 0, 2, 66],
    [10, 1, 0, 5],
    [10, 2, 0, 9],
    [10, 1, 255, 255],
    [8, 8, 8, 8],
    [0, 0, 0, 0],
    [0, 255, 255, 255],
    [1, 0, 0, 0],
    [126, 255, 255, 255],
    [127, 0, 0, 1],
    [127, 255, 255, 255],
    [128, 0, 0, 0],
    [223, 255, 255, 255],
    [224, 0, 0, 0],
    [224, 0, 0, 251],
    [239, 255, 255, 255],
    [240, 0, 0, 0],
    [240, 0, 0, 1],
    [255, 0, 0, 0],
    [255, 255, 255, 254],
    [255, 255, 255, 255],
    [169, 254, 1, 1],
    [192, 168, 0, 1],
    [172, 16, 104, 123],
    [100, 64, 0, 1],
];

pub(super) fn address(u: &mut Unstructured<'_>) -> Result<[u8; 4]> {
    if odds(u, 1, 8)? {
        u.arbitrary()
    } else {
        Ok(*u.choose(&POOL)?)
    }
}

/// An address that may stand at the end of a tunnel (E-13, E-14).
pub(super) fn unicast(u: &mut Unstructured<'_>) -> Result<[u8; 4]> {
    let address = address(u)?;
    Ok(if oracle::is_martian(address) {
        [198, 51, 100, address[3]]
    } else {
        address
    })
}

pub(super) fn tos(u: &mut Unstructured<'_>) -> Result<u8> {
    u.arbitrary()
}

pub(super) fn ttl(u: &mut Unstructured<'_>) -> Result<u8> {
    if odds(u, 1, 4)? {
        Ok(*u.choose(&[0, 1, 2, 255])?)
    } else {
        u.int_in_range(2..=255)
    }
}

pub(super) fn flags_offset(u: &mut Unstructured<'_>) -> Result<u16> {
    Ok(match u.int_in_range(0..=7u8)? {
        0..=2 => 0x4000,
        3 | 4 => 0x0000,
        5 => *u.choose(&[
            0x2000, 0xc000, 0x8000, 0x20b9, 0x1fff, 0x6000, 0xffff, 0x0001,
        ])?,
        _ => u.arbitrary()?,
    })
}

pub(super) fn protocol(u: &mut Unstructured<'_>) -> Result<u8> {
    if odds(u, 1, 4)? {
        u.arbitrary()
    } else {
        Ok(*u.choose(&[17, 6, 1, 253, 4, 41, 47, 55, 94, 137])?)
    }
}

/// Option bytes, 0 to 40: mostly none, some well formed, some not.
pub(super) fn options(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut options = Vec::new();
    if odds(u, 3, 4)? {
        return Ok(options);
    }
    for _ in 0..u.int_in_range(0..=6u8)? {
        match u.int_in_range(0..=7u8)? {
            0 | 1 => options.push(1),
            2 => options.extend([148, 4, 0, 0]),
            3 => options.extend([7, 7, 4, 0, 0, 0, 0]),
            4 => options.extend([*u.choose(&[131, 137])?, 7, 4, 192, 0, 2, 1]),
            5 => {
                let data = raw(u, 10)?;
                options.extend([u.arbitrary()?, u8::try_from(data.len() + 2).unwrap()]);
                options.extend(data);
            }
            6 => options.extend([u.arbitrary::<u8>()?, u.int_in_range(0..=50)?]),
            _ => options.push(0),
        }
    }
    options.truncate(40);
    options.resize(options.len().next_multiple_of(4), 0);
    Ok(options)
}

/// A valid IPv4 packet, as long as its total length says.
#[derive(Clone, Debug)]
pub struct Ipv4Packet {
    /// Its bytes.
    pub bytes: Bytes,
}

impl<'a> Arbitrary<'a> for Ipv4Packet {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let plain = Plain {
            tos: tos(u)?,
            identification: u.arbitrary()?,
            flags_offset: flags_offset(u)?,
            ttl: ttl(u)?,
            protocol: protocol(u)?,
            source: address(u)?,
            destination: address(u)?,
            options: options(u)?,
        };
        Ok(Self {
            bytes: Bytes(filled(u, &plain)?),
        })
    }
}

/// The packet with this header and a payload that suits its protocol, most of the time with a right
/// transport checksum; its header checksum is now and then 0, in either encoding.
pub(super) fn filled(u: &mut Unstructured<'_>, plain: &Plain) -> Result<Vec<u8>> {
    let zero = odds(u, 1, 8)?;
    let other_zero = odds(u, 1, 2)?;
    let is_right = odds(u, 2, 3)?;
    let payload = payload(u, plain, 0)?;
    let mut bytes = plain.packet(&payload);
    if is_right {
        bytes = oracle::known_sum_of(&bytes).unwrap_or(bytes);
    }
    if zero {
        zero_checksum(&mut bytes, other_zero);
    }
    Ok(bytes)
}

/// Mostly short, now and then as long as a packet can be, around the border of E-06 too; with a
/// transport header or packets inside, where the protocol says so.
pub(super) fn payload(u: &mut Unstructured<'_>, plain: &Plain, depth: u8) -> Result<Vec<u8>> {
    let header_len = 20 + plain.options.len();
    let mut payload = if depth == 0 && odds(u, 1, 16)? {
        let total = *u.choose(&[65535, 65516, 65515, 65514, 65475, 40000])?;
        vec![u.arbitrary()?; total - header_len]
    } else {
        blocks(u, 3)?
    };
    payload.truncate(65535 - header_len);
    match plain.protocol {
        4 if depth < 3 && payload.len() < 20000 && odds(u, 1, 2)? => {
            let inner = Plain {
                protocol: protocol(u)?,
                source: address(u)?,
                destination: address(u)?,
                flags_offset: flags_offset(u)?,
                ..plain.clone()
            };
            let behind = self::payload(u, &inner, depth + 1)?;
            payload = inner.packet(&behind);
            if odds(u, 1, 4)? {
                payload.extend(raw(u, 3)?);
            }
        }
        6 if payload.len() >= 20 && odds(u, 3, 4)? => {
            let words = u8::try_from((payload.len() / 4).min(15)).unwrap();
            payload[12] = u.int_in_range(5..=words)? << 4;
        }
        17 if payload.len() >= 8 && odds(u, 3, 4)? => {
            let len = u16::try_from(payload.len()).unwrap();
            oracle::put_u16(&mut payload, 4, len);
            let checksum = if odds(u, 3, 4)? { u.arbitrary()? } else { 0 };
            oracle::put_u16(&mut payload, 6, checksum);
        }
        _ => {}
    }
    Ok(payload)
}

/// Chooses the identification so that the header checksum computes to 0, and writes one of its two
/// encodings (trap T3).
fn zero_checksum(bytes: &mut [u8], other_zero: bool) {
    oracle::put_u16(bytes, 4, 0);
    oracle::fill_checksum(bytes);
    let identification = oracle::u16_at(bytes, 10);
    oracle::put_u16(bytes, 4, identification);
    oracle::put_u16(bytes, 10, if other_zero { 0xffff } else { 0 });
}

/// One fault in a packet.
#[derive(Clone, Copy, Debug)]
enum Fault {
    FlipBit(usize),
    Truncate(usize),
    TotalLen(u16),
    Ihl(u8),
    Version(u8),
    Checksum(u16),
}

fn fault(u: &mut Unstructured<'_>, len: usize) -> Result<Fault> {
    Ok(match u.int_in_range(0..=7u8)? {
        0 | 1 => Fault::FlipBit(u.int_in_range(0..=(len.min(64) * 8))?),
        2 => Fault::Truncate(u.int_in_range(0..=len)?),
        3 => {
            let len = u16::try_from(len.min(65535)).unwrap();
            Fault::TotalLen(match u.int_in_range(0..=5u8)? {
                0 => 0,
                1 => u.int_in_range(0..=60)?,
                2 => len.saturating_add(1),
                3 => len.saturating_sub(u.int_in_range(0..=30)?),
                4 => 65535,
                _ => u.arbitrary()?,
            })
        }
        4 => Fault::Ihl(u.int_in_range(0..=15)?),
        5 => Fault::Version(u.int_in_range(0..=15)?),
        6 => Fault::Checksum(u.arbitrary()?),
        _ => Fault::Checksum(0xffff),
    })
}

fn afflict(bytes: &mut Vec<u8>, fault: Fault, refill: bool) {
    match fault {
        Fault::Truncate(len) => return bytes.truncate(len),
        _ if bytes.len() < 20 => return,
        Fault::FlipBit(bit) => {
            if let Some(byte) = bytes.get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
            }
        }
        Fault::TotalLen(total_len) => oracle::put_u16(bytes, 2, total_len),
        Fault::Ihl(ihl) => bytes[0] = bytes[0] & 0xf0 | ihl,
        Fault::Version(version) => bytes[0] = version << 4 | bytes[0] & 0x0f,
        Fault::Checksum(checksum) => return oracle::put_u16(bytes, 10, checksum),
    }
    if refill {
        oracle::fill_checksum(bytes);
    }
}

pub(super) fn faults(u: &mut Unstructured<'_>, bytes: &mut Vec<u8>) -> Result<()> {
    for _ in 0..u.int_in_range(1..=2u8)? {
        let fault = fault(u, bytes.len())?;
        afflict(bytes, fault, odds(u, 2, 3)?);
    }
    Ok(())
}

/// A valid packet with bytes behind its total length.
#[derive(Clone, Debug, Arbitrary)]
pub struct SlackCase {
    /// The packet.
    pub packet: Ipv4Packet,
    /// What lies behind it.
    pub slack: Anything,
}

/// A packet that was valid before up to two faults and some slack: most are still nearly so.
#[derive(Clone, Debug)]
pub struct MutatedPacket {
    /// Its bytes.
    pub bytes: Bytes,
}

impl<'a> Arbitrary<'a> for MutatedPacket {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        if odds(u, 1, 16)? {
            let Anything(bytes) = u.arbitrary()?;
            return Ok(Self { bytes });
        }
        let Bytes(mut bytes) = u.arbitrary::<Ipv4Packet>()?.bytes;
        if odds(u, 2, 3)? {
            faults(u, &mut bytes)?;
        }
        if odds(u, 1, 3)? {
            bytes.extend(raw(u, 40)?);
        }
        Ok(Self {
            bytes: Bytes(bytes),
        })
    }
}
