//! Clamping an MSS, byte by byte.

use super::{checksum, put_u16, u16_at, validate};

/// Where the TCP header of a packet is that may be clamped, and where it ends with its options: a packet
/// inside up to four IP-in-IP headers.
#[must_use]
pub fn syn_at(packet: &[u8]) -> Option<(usize, usize)> {
    let mut at = 0;
    let mut bytes = packet;
    for _ in 0..5 {
        let fields = validate(bytes, false).ok()?;
        if fields.is_later_fragment() {
            return None;
        }
        at += fields.header_len;
        match fields.protocol {
            6 => {
                let segment = fields.payload;
                if segment.len() < 20 {
                    return None;
                }
                let header_len = usize::from(segment[12] / 16) * 4;
                let is_syn = segment[13] & 2 != 0;
                let is_whole = header_len >= 20 && header_len <= segment.len();
                return (is_syn && is_whole).then_some((at, at + header_len));
            }
            4 if !fields.is_fragment() => bytes = fields.payload,
            _ => return None,
        }
    }
    None
}

/// Where the values of all MSS options stand, from the start of the packet: `None` where the list of options
/// is not as RFC 9293 §3.1 draws it.
#[must_use]
pub fn mss_values(packet: &[u8], tcp_at: usize, end: usize) -> Option<Vec<usize>> {
    let mut places = vec![];
    let mut at = tcp_at + 20;
    while at < end {
        match packet[at] {
            0 => break,
            1 => at += 1,
            kind => {
                let len = usize::from(*packet[..end].get(at + 1)?);
                if len < 2 || at + len > end || (kind == 2 && len != 4) {
                    return None;
                }
                if kind == 2 {
                    places.push(at + 2);
                }
                at += len;
            }
        }
    }
    Some(places)
}

/// The length of the IPv4 header directly in front of the TCP header at `tcp_at`.
fn own_header_len(packet: &[u8], tcp_at: usize) -> usize {
    let mut at = 0;
    loop {
        let header_len = usize::from(packet[at] % 16) * 4;
        if at + header_len == tcp_at {
            return header_len;
        }
        at += header_len;
    }
}

/// The packet with every MSS above the limit lowered and the TCP checksum 0; `None` if nothing is to be
/// lowered.
#[must_use]
pub fn clamped(packet: &[u8], limit: u16) -> Option<Vec<u8>> {
    let (tcp_at, end) = syn_at(packet)?;
    // Headers around the packet of the connection take their length from each segment.
    let own_header_len = own_header_len(packet, tcp_at);
    let around = u16::try_from(tcp_at - own_header_len).unwrap_or(u16::MAX);
    let limit = limit.saturating_sub(around).max(28);
    let mut clamped = packet.to_vec();
    let mut has_changed = false;
    for at in mss_values(packet, tcp_at, end)? {
        if u16_at(packet, at) > limit {
            put_u16(&mut clamped, at, limit);
            has_changed = true;
        }
    }
    put_u16(&mut clamped, tcp_at + 16, 0);
    has_changed.then_some(clamped)
}

/// The pseudo-header and the segment that a TCP checksum at `tcp_at` covers, as far as they are there.
#[must_use]
pub fn covered_by_tcp(packet: &[u8], tcp_at: usize) -> Vec<u8> {
    let mut at = 0;
    loop {
        let fields = validate(&packet[at..], false).unwrap();
        if at + fields.header_len == tcp_at {
            let len = u16::try_from(fields.payload.len()).unwrap();
            let mut covered = vec![];
            covered.extend(fields.source);
            covered.extend(fields.destination);
            covered.extend([0, 6]);
            covered.extend(len.to_be_bytes());
            covered.extend(fields.payload);
            return covered;
        }
        at += fields.header_len;
    }
}

/// The TCP checksum of a segment behind its pseudo-header, over all bytes.
#[must_use]
pub fn tcp_checksum(covered: &[u8]) -> u16 {
    let mut blank = covered.to_vec();
    put_u16(&mut blank, 12 + 16, 0);
    checksum(&blank)
}
