//! Sums, against the plainest way to make them.

use ipencap::checksum::{self, Sum};

use crate::answers::Report;

/// RFC 1071, two bytes at a time.
fn naive_checksum(bytes: &[u8]) -> u16 {
    let mut sum = 0u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |&low| u32::from(low));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap()
}

pub fn fill_checksum(header: &mut [u8]) {
    header[10..12].fill(0);
    let filled = naive_checksum(header).to_be_bytes();
    header[10..12].copy_from_slice(&filled);
}

/// All lengths to 300 at each alignment, with bytes that carry much; and every split of some.
pub fn check(report: &mut Report<'_>) {
    let mut bytes = [0; 304];
    for pattern in 0..4u8 {
        let mut value = 1u32;
        for byte in &mut bytes {
            value = value.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = match pattern {
                0 => 0x00,
                1 => 0xff,
                2 => value.to_be_bytes()[0],
                _ => value.to_be_bytes()[0] | 0xfe,
            };
        }
        for start in 0..4 {
            for len in 0..=300 {
                let part = &bytes[start..start + len];
                let same = checksum::checksum(part) == naive_checksum(part);
                report.expect(same, format_args!("checksum {pattern} {start} {len}"));
            }
        }
        for split in 0..=64 {
            let (front, back) = bytes[..64].split_at(split);
            let sum = Sum::new().add_bytes(front).add_bytes(back).checksum();
            let same = sum == naive_checksum(&bytes[..64]);
            report.expect(same, format_args!("checksum {pattern} split at {split}"));
        }
        // In front of words that are all 0 the two zeros would differ (C-09).
        let mut header = [0; 20];
        header.copy_from_slice(&bytes[..20]);
        header[0] = 0x45;
        let (old, before) = (
            u16::from_be_bytes([header[8], header[9]]),
            naive_checksum(&header),
        );
        for new in [0, 1, 0x00ff, 0x7fff, 0xfffe, 0xffff_u16] {
            header[8..10].copy_from_slice(&new.to_be_bytes());
            let same = checksum::update_u16(before, old, new) == naive_checksum(&header);
            report.expect(same, format_args!("update {pattern} {old} {new}"));
        }
    }
}
