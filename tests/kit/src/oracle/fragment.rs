use ipencap::error::{Eviction, FragmentError, ParseError, ReassemblyError};
use ipencap::fragment::Limits;

use super::{Fields, fill_checksum, put_u16, validate};

/// RFC 791 §3.2, "An Example Fragmentation Procedure": cuts off a first fragment, and then treats the
/// rest as a packet of its own.
///
/// # Errors
/// The first of X-02, V-15, X-03 and V-13 that is broken.
pub fn fragments(packet: &[u8], mtu: u16) -> Result<Vec<Vec<u8>>, FragmentError> {
    let (mut first, mut rest) = cut(packet, mtu)?;
    let mut all = Vec::new();
    while let Some(others) = rest {
        all.push(first);
        (first, rest) = cut(&others, mtu)?;
    }
    all.push(first);
    Ok(all)
}

/// The first fragment, and a packet of what is left.
fn cut(packet: &[u8], mtu: u16) -> Result<(Vec<u8>, Option<Vec<u8>>), FragmentError> {
    let fields = validate(packet, true)?;
    let packet = &packet[..fields.total_len];
    if fields.total_len <= usize::from(mtu) {
        return Ok((packet.to_vec(), None));
    }
    if fields.flags_offset & 0x4000 != 0 {
        return Err(FragmentError::FragmentationNeeded { mtu });
    }
    let first_block = usize::from(fields.flags_offset & 0x1fff);
    if first_block * 8 + fields.total_len > 65_535 {
        return Err(FragmentError::ReassembledTooLong); // V-15
    }
    let Some(blocks @ 1..) = usize::from(mtu)
        .checked_sub(fields.header_len)
        .map(|room| room / 8)
    else {
        let need = u16::try_from(fields.header_len + 8).unwrap();
        return Err(FragmentError::MtuTooSmall { mtu, need });
    };
    let kept = copied(fields.options)?;
    let (data, rest) = fields.payload.split_at(blocks * 8);
    let mut first = [&packet[..fields.header_len], data].concat();
    let total_len = u16::try_from(first.len()).unwrap();
    put_u16(&mut first, 2, total_len);
    put_u16(&mut first, 6, fields.flags_offset | 0x2000);
    fill_checksum(&mut first);
    let mut others = [&packet[..20], &kept, rest].concat();
    let total_len = u16::try_from(others.len()).unwrap();
    others[0] = 0x45 + u8::try_from(kept.len() / 4).unwrap();
    put_u16(&mut others, 2, total_len);
    let flags = fields.flags_offset & 0xe000; // MF stays in the last if it was there
    put_u16(
        &mut others,
        6,
        flags | u16::try_from(first_block + blocks).unwrap(),
    );
    fill_checksum(&mut others);
    Ok((first, Some(others)))
}

/// the options whose first bit is set, and zeros up to a whole word.
fn copied(options: &[u8]) -> Result<Vec<u8>, ParseError> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < options.len() && options[at] != 0 {
        let kind = options[at];
        let len = if kind == 1 {
            1
        } else {
            match options.get(at + 1) {
                Some(&len) if len >= 2 && at + usize::from(len) <= options.len() => {
                    usize::from(len)
                }
                _ => return Err(ParseError::BadOption { kind }),
            }
        };
        if kind >= 128 {
            kept.extend(&options[at..at + len]);
        }
        at += len;
    }
    while kept.len() % 4 != 0 {
        kept.push(0);
    }
    Ok(kept)
}

/// The ECN field of a datagram by those of its fragments, as bits `1 << field`: the table of RFC 3168 §5.3
/// and RFC 9601 §5, where `None` means drop. No fragments have no row.
pub const ECN_REASSEMBLED: [Option<u8>; 16] = [
    None,
    Some(0), // Not-ECT
    Some(1), // ECT(1)
    None,
    Some(2), // ECT(0)
    None,
    Some(1), // ECT(1), ECT(0)
    None,
    Some(3), // CE
    None,
    Some(3), // CE, ECT(1)
    None,
    Some(3), // CE, ECT(0)
    None,
    Some(3), // CE, ECT(1), ECT(0)
    None,
];

/// A reassembler with a slot for every datagram that ever was, each byte by itself.
#[derive(Clone, Debug)]
pub struct NaiveReassembler {
    /// What it admits; it knows no limit per peer.
    pub limits: Limits,
    /// The longest payload that it admits.
    pub payload_len: usize,
    datagrams: Vec<Datagram>,
}

/// What became of a fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Joined {
    /// Others are missing. If it reused an identification, the datagram before it was given up for this reason.
    Held(Option<Eviction>),
    /// It was there.
    Duplicate,
    /// The datagram.
    Complete(Vec<u8>),
}

///
type Key = (u32, [u8; 4], [u8; 4], u8, u16);

#[derive(Clone, Debug)]
struct Datagram {
    key: Key,
    started: u64,
    younger: u32,
    is_dropped: bool,
    header: Option<Vec<u8>>,
    bytes: Vec<Option<u8>>,
    /// Offset, length, and whether it said that more follows.
    ranges: Vec<(usize, usize, bool)>,
    ecn_seen: usize,
}

impl NaiveReassembler {
    /// Without datagrams.
    #[must_use]
    pub const fn new(limits: Limits, payload_len: usize) -> Self {
        Self {
            limits,
            payload_len,
            datagrams: Vec::new(),
        }
    }

    /// for one fragment.
    ///
    /// # Errors
    /// Why it is dropped.
    pub fn add(&mut self, now: u64, peer: u32, fragment: &[u8]) -> Result<Joined, ReassemblyError> {
        let fields = validate(fragment, true)?;
        if !fields.is_fragment() {
            return Err(ReassemblyError::NotFragment);
        }
        let key = (
            peer,
            fields.source,
            fields.destination,
            fields.protocol,
            fields.identification,
        );
        let is_wrong = self.is_wrong(&fields);
        let mut given_up = None;
        if let Some(at) = self.datagrams.iter().position(|held| held.key == key) {
            let held = &self.datagrams[at];
            let deadline = held.started.saturating_add(self.limits.timeout.as_millis());
            let max_distance = u32::from(self.limits.max_distance);
            if now >= deadline {
                given_up = Some((at, Eviction::TimedOut));
            } else if max_distance < 255 && held.younger > max_distance {
                given_up = Some((at, Eviction::Overtaken));
            }
        }
        let found = self.datagrams.iter().position(|held| held.key == key);
        if given_up.is_some() || found.is_none() {
            is_wrong?;
            let evicted = given_up.and_then(|(at, reason)| {
                let held = self.datagrams.remove(at);
                (!held.is_dropped).then_some(reason)
            });
            for held in &mut self.datagrams {
                held.younger += u32::from(held.key.0 == peer);
            }
            self.datagrams.push(Datagram {
                key,
                started: now,
                younger: 0,
                is_dropped: false,
                header: None,
                bytes: vec![],
                ranges: vec![],
                ecn_seen: 0,
            });
            let at = self.datagrams.len() - 1;
            return match self.join(at, &fields, fragment)? {
                Joined::Held(_) => Ok(Joined::Held(evicted)),
                other => Ok(other),
            };
        }
        let at = found.unwrap();
        let was_dropped = self.datagrams[at].is_dropped;
        let answer = match is_wrong {
            Err(error) => Err(error),
            Ok(()) if was_dropped => Err(ReassemblyError::Discarded),
            Ok(()) => self.join(at, &fields, fragment),
        };
        match &answer {
            Err(_) => self.datagrams[at].is_dropped = true,
            Ok(Joined::Complete(_)) => {
                self.datagrams.remove(at);
            }
            Ok(_) => {}
        }
        answer
    }

    /// What is wrong with a fragment by itself.
    fn is_wrong(&self, fields: &Fields<'_>) -> Result<(), ReassemblyError> {
        let more = fields.flags_offset & 0x2000 != 0;
        let len = fields.payload.len();
        let reported = u16::try_from(len).unwrap();
        let end = usize::from(fields.flags_offset & 0x1fff) * 8 + len;
        if len == 0 {
            Err(ReassemblyError::EmptyFragment)
        } else if more && !len.is_multiple_of(8) {
            Err(ReassemblyError::BadFragmentLength { len: reported })
        } else if fields.header_len + end > 65_535 {
            Err(ReassemblyError::ReassembledTooLong)
        } else if more && reported < self.limits.min_len {
            Err(ReassemblyError::TooSmall { len: reported })
        } else if end > self.payload_len {
            Err(ReassemblyError::SlotTooShort {
                need: u16::try_from(end).unwrap(),
                have: u16::try_from(self.payload_len).unwrap(),
            })
        } else {
            Ok(())
        }
    }

    fn join(
        &mut self,
        at: usize,
        fields: &Fields<'_>,
        fragment: &[u8],
    ) -> Result<Joined, ReassemblyError> {
        let max_fragments = usize::from(self.limits.max_fragments.max(1));
        let held = &mut self.datagrams[at];
        let more = fields.flags_offset & 0x2000 != 0;
        let offset = usize::from(fields.flags_offset & 0x1fff) * 8;
        let len = fields.payload.len();
        let end = offset + len;
        // the last fragment ends behind all others, and all last ones end there.
        for &(other, other_len, other_more) in &held.ranges {
            let other_end = other + other_len;
            let agree = match (more, other_more) {
                (true, true) => true,
                (true, false) => end < other_end,
                (false, true) => other_end < end,
                (false, false) => other_end == end,
            };
            if !agree {
                return Err(ReassemblyError::InconsistentEnd);
            }
        }
        held.bytes.resize(held.bytes.len().max(end), None);
        let there = &held.bytes[offset..end];
        let meets = there.iter().any(Option::is_some);
        let is_copy = held.ranges.contains(&(offset, len, more))
            && there
                .iter()
                .zip(fields.payload)
                .all(|(a, b)| *a == Some(*b));
        if meets && !is_copy {
            return Err(ReassemblyError::OverlappingFragment);
        }
        let ecn_seen = held.ecn_seen | 1 << (fields.tos & 3);
        let Some(ecn) = ECN_REASSEMBLED[ecn_seen] else {
            return Err(ReassemblyError::EcnFragmentMix);
        };
        if is_copy {
            held.ecn_seen = ecn_seen;
            return Ok(Joined::Duplicate);
        }
        if held.ranges.len() >= max_fragments {
            return Err(ReassemblyError::TooManyFragments);
        }
        if offset == 0 {
            held.header = Some(fragment[..fields.header_len].to_vec());
        }
        let header_len = held.header.as_ref().map_or(0, Vec::len);
        if header_len + held.bytes.len() > 65_535 {
            return Err(ReassemblyError::ReassembledTooLong);
        }
        held.ecn_seen = ecn_seen;
        held.ranges.push((offset, len, more));
        for (place, byte) in fields.payload.iter().enumerate() {
            held.bytes[offset + place] = Some(*byte);
        }
        let is_ended = held.ranges.iter().any(|(_, _, more)| !more);
        let payload: Option<Vec<u8>> = held.bytes.iter().copied().collect();
        match (is_ended, &held.header, payload) {
            (true, Some(header), Some(payload)) => {
                //
                let mut packet = [&header[..], &payload].concat();
                packet[1] = packet[1] & 0xfc | ecn;
                let total_len = u16::try_from(packet.len()).unwrap();
                put_u16(&mut packet, 2, total_len);
                packet[6] &= 0xc0;
                packet[7] = 0;
                fill_checksum(&mut packet);
                Ok(Joined::Complete(packet))
            }
            _ => Ok(Joined::Held(None)),
        }
    }
}
