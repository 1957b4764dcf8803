//! SYN segments with options of all kinds, in packets of all kinds.

use arbitrary::{Arbitrary, Result, Unstructured};

use super::{Bytes, MutatedPacket, odds, raw, verbatim};
use crate::oracle::{Plain, covered_by_tcp, put_u16, syn_at, tcp_checksum};

/// A packet whose MSS may have to be lowered.
#[derive(Clone, Debug)]
pub struct MssCase {
    /// The packet, with what follows it in its buffer.
    pub packet: Bytes,
    /// To what the MSS is to be lowered.
    pub limit: u16,
}

fn mss(u: &mut Unstructured<'_>) -> Result<u16> {
    Ok(match u.int_in_range(0..=3u8)? {
        0 => 1460,
        1 => *u.choose(&[0, 1, 27, 28, 29, 536, 1440, 1441, 8960, 65_535])?,
        2 => u.int_in_range(1400..=1500)?,
        _ => u.arbitrary()?,
    })
}

/// Up to 40 bytes, padded to words.
fn options(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut options = vec![];
    for _ in 0..u.int_in_range(0..=8u8)? {
        let next = match u.int_in_range(0..=11u8)? {
            0..=4 => {
                let [high, low] = mss(u)?.to_be_bytes();
                vec![2, 4, high, low]
            }
            5 | 6 => vec![1],
            7 => vec![3, 3, 7],
            8 => [&[8, 10][..], &[0x5a; 8]].concat(),
            9 => vec![4, 2],
            10 => vec![*u.choose(&[0, 2, 3, 30])?, u.int_in_range(0..=12)?],
            _ => raw(u, 6)?,
        };
        if options.len() + next.len() <= 40 {
            options.extend(next);
        }
    }
    options.resize(options.len().next_multiple_of(4), u8::from(odds(u, 1, 2)?));
    Ok(options)
}

fn packet(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let options = options(u)?;
    let words = if odds(u, 1, 10)? {
        u.int_in_range(0..=15u8)?
    } else {
        u8::try_from(5 + options.len() / 4).unwrap()
    };
    let flags = *u.choose(&[0x02, 0x12, 0x02, 0x12, 0xc2, 0x52, 0x10, 0x04, 0x06])?;
    let mut segment = vec![0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0];
    segment.extend([words << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend(options);
    segment.extend(raw(u, 9)?);
    if odds(u, 1, 10)? {
        segment.truncate(u.int_in_range(0..=segment.len())?);
    }

    let mut packet = segment;
    for level in 0..*u.choose(&[1, 1, 1, 2, 3, 5, 6, 7])? {
        let protocol = match (odds(u, 1, 16)?, level) {
            (true, _) => *u.choose(&[17, 47, 6, 4])?,
            (_, 0) => 6,
            _ => 4,
        };
        let flags_offset = if odds(u, 1, 6)? {
            *u.choose(&[0x2000, 0x0001, 0x2001, 0x8000, 0x6000])?
        } else {
            0x4000
        };
        let options = vec![1; usize::from(u.int_in_range(0..=3u8)?.saturating_sub(1)) * 4];
        packet = Plain {
            flags_offset,
            options,
            ..Plain::of(protocol)
        }
        .packet(&packet);
    }
    if let Some((tcp_at, _)) = syn_at(&packet) {
        let checksum = if odds(u, 1, 6)? {
            u.arbitrary()?
        } else {
            tcp_checksum(&covered_by_tcp(&packet, tcp_at))
        };
        put_u16(&mut packet, tcp_at + 16, checksum);
    }
    packet.extend(raw(u, 8)?);
    if odds(u, 1, 12)? {
        packet.truncate(u.int_in_range(0..=packet.len())?);
    }
    Ok(packet)
}

impl<'a> Arbitrary<'a> for MssCase {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let limit = mss(u)?;
        let packet = if odds(u, 1, 16)? {
            u.arbitrary::<MutatedPacket>()?.bytes.0
        } else {
            packet(u)?
        };
        Ok(Self {
            limit,
            packet: Bytes(verbatim(u)?.unwrap_or(packet)),
        })
    }
}
