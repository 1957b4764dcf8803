use crate::generate::Part;

/// The length of the outer packet around an inner one, part by part from the inside out: `None`
/// where it exceeds 65535 or a part makes no sense.
#[must_use]
pub fn outer_len(parts: &[Part], inner_len: u64) -> Option<u64> {
    let mut len = inner_len;
    for part in parts {
        match *part {
            Part::Bytes(bytes) => len += u64::from(bytes),
            Part::Padding(alignment @ 1..=65535) => {
                while !len.is_multiple_of(u64::from(alignment)) {
                    len += 1;
                }
            }
            // As WireGuard does: never beyond its device's MTU, which no packet exceeds.
            Part::ClampedPadding(alignment @ 1..=65535, mtu) => {
                if len > u64::from(mtu) {
                    return None;
                }
                while !len.is_multiple_of(u64::from(alignment)) && len < u64::from(mtu) {
                    len += 1;
                }
            }
            Part::Padding(_) | Part::ClampedPadding(..) => return None,
        }
    }
    (len <= 65535).then_some(len)
}

/// RFC 791 §3.2, one fragment after the other: `None` where a fragment would hold no 8 bytes.
#[must_use]
pub fn fragment_count(total_len: u32, header_len: u32, mtu: u32) -> Option<u32> {
    if total_len <= mtu {
        return Some(1);
    }
    let mut left = total_len.checked_sub(header_len)?;
    let room = mtu.checked_sub(header_len)?;
    if room < 8 {
        return None;
    }
    let mut count = 1;
    while left > room {
        left -= room / 8 * 8;
        count += 1;
    }
    Some(count)
}
