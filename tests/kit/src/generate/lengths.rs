//! Inputs for the law of lengths.

use arbitrary::{Arbitrary, Result, Unstructured};

use super::odds;

/// What one layer of a tunnel adds to a packet.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    /// So many bytes.
    Bytes(u32),
    /// Padding to a multiple of this.
    Padding(u32),
    /// Padding to a multiple of the first, by a device of this MTU.
    ClampedPadding(u32, u32),
}

/// Up to six layers, and lengths around their borders.
#[derive(Clone, Debug)]
pub struct LengthCase {
    /// The layers, the innermost first.
    pub parts: Vec<Part>,
    /// A link's MTU or a packet's length.
    pub len: u32,
    /// A header's length.
    pub header_len: u32,
    /// A packet's length, for fragmentation at `len`.
    pub total_len: u32,
}

fn len(u: &mut Unstructured<'_>) -> Result<u32> {
    Ok(match u.int_in_range(0..=5u8)? {
        0 => u.int_in_range(0..=130)?,
        1 => u.int_in_range(1380..=1520)?,
        2 => u.int_in_range(65_400..=65_600)?,
        3 => *u.choose(&[0, 67, 68, 576, 65_535, 65_536, u32::MAX])?,
        _ => u.int_in_range(0..=70_000)?,
    })
}

impl<'a> Arbitrary<'a> for LengthCase {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let parts = (0..u.int_in_range(0..=6u8)?)
            .map(|_| {
                Ok(if odds(u, 1, 4)? {
                    let mtu = u32::from(odds(u, 9, 10)?) * len(u)?;
                    Part::ClampedPadding(*u.choose(&[16, 4, 1, 3, 64, 0, 65_535, 65_536])?, mtu)
                } else if odds(u, 1, 3)? {
                    Part::Padding(*u.choose(&[16, 4, 1, 3, 64, 0, 65_535, 65_536])?)
                } else if odds(u, 1, 12)? {
                    Part::Bytes(*u.choose(&[65_535, 65_536, u32::MAX, 32_768])?)
                } else {
                    Part::Bytes(u.int_in_range(0..=120)?)
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            parts,
            len: len(u)?,
            header_len: u.int_in_range(0..=80)?,
            total_len: u.int_in_range(0..=70_000)?,
        })
    }
}
