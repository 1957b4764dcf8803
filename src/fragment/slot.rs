use core::net::Ipv4Addr;
use core::ops::{Add, Range};

use crate::error::ReassemblyError;
use crate::time::{Duration, Instant};
use crate::wire::{Ecn, FragmentOffset, Ipv4, Ipv4Flags, Ipv4Header, copy};

/// Room for the longest header, in front of the payload.
pub(super) const HEADER_ROOM: usize = Ipv4Header::MAX_LEN;

/// What the reassembler knows of one datagram: 32 bytes. Its bytes are in the reassembler's memory.
///
/// ```
/// use ipencap::fragment::Slot;
/// static SLOTS: [Slot; 2] = [Slot::new(); 2];
/// # let _ = SLOTS;
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    /// When its first fragment arrived.
    started: Instant,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    peer: u32,
    identification: u16,
    /// The end of the payload by what has arrived, in bytes.
    end: u16,
    /// The number of 8-byte blocks that are there.
    blocks: u16,
    protocol: u8,
    fragments: u8,
    /// How many datagrams its peer has begun since.
    younger: u8,
    /// The length of the header at offset 0, 0 as long as that is missing.
    header_len: u8,
    /// Which ECN fields have arrived, a bit for each.
    ecn_seen: u8,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    /// The last fragment is missing, so the end is not known.
    Open,
    /// The last fragment is there.
    EndKnown,
    /// The datagram was dropped, and so are its later fragments.
    Discarded,
}

/// What [`Slot::insert`] did with a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inserted {
    Held,
    Duplicate,
    Complete,
}

/// A fragment with a valid header, from a peer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Incoming<'p> {
    pub(super) packet: Ipv4<'p>,
    pub(super) peer: u32,
}

impl Incoming<'_> {
    const fn is_last(&self) -> bool {
        !self.packet.header().flags().contains(Ipv4Flags::MF)
    }

    fn len(&self) -> u16 {
        let header = self.packet.header();
        header
            .total_len()
            .saturating_sub(u16::from(header.header_len()))
    }

    const fn offset(&self) -> u16 {
        self.packet.header().fragment_offset().bytes()
    }

    /// The end of its data in the datagram's payload, in bytes. Right if [`check`](Self::check) is.
    pub(super) fn end(&self) -> u16 {
        self.offset().saturating_add(self.len())
    }

    /// What can be said of the fragment alone.
    pub(super) fn check(&self, min_len: u16, payload_len: u16) -> Result<(), ReassemblyError> {
        let len = self.len();
        if len == 0 {
            return Err(ReassemblyError::EmptyFragment);
        }
        if !self.is_last() && len & 7 != 0 {
            return Err(ReassemblyError::BadFragmentLength { len });
        }
        if self.packet.header().exceeds_reassembly() {
            return Err(ReassemblyError::ReassembledTooLong);
        }
        if !self.is_last() && len < min_len {
            return Err(ReassemblyError::TooSmall { len });
        }
        let need = self.end();
        if need > payload_len {
            let have = payload_len;
            return Err(ReassemblyError::SlotTooShort { need, have });
        }
        Ok(())
    }
}

/// The memory of one slot.
///
/// ```text
///  [present: a bit for each block|begins: likewise|60 for the header|payload]
///                                                   [header|         payload]     a complete datagram
/// ```
#[derive(Debug)]
pub(super) struct Memory<'m> {
    /// Which 8-byte blocks are there.
    pub(super) present: &'m mut [u8],
    /// Which of them are the first of a fragment: what an exact copy of a fragment is compared with.
    pub(super) begins: &'m mut [u8],
    /// Room for the header, then the payload.
    pub(super) datagram: &'m mut [u8],
}

impl Slot {
    /// A slot without a datagram.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self {
            started: Instant::ZERO,
            source: Ipv4Addr::UNSPECIFIED,
            destination: Ipv4Addr::UNSPECIFIED,
            peer: 0,
            identification: 0,
            end: 0,
            blocks: 0,
            protocol: 0,
            fragments: 0,
            younger: 0,
            header_len: 0,
            ecn_seen: 0,
            state: State::Free,
        }
    }

    pub(super) fn is_free(&self) -> bool {
        self.state == State::Free
    }

    pub(super) fn is_discarded(&self) -> bool {
        self.state == State::Discarded
    }

    /// Whether it holds fragments.
    pub(super) const fn is_open(&self) -> bool {
        matches!(self.state, State::Open | State::EndKnown)
    }

    pub(super) const fn peer(&self) -> u32 {
        self.peer
    }

    pub(super) const fn younger(&self) -> u8 {
        self.younger
    }

    pub(super) const fn started(&self) -> Instant {
        self.started
    }

    /// A datagram of its peer was begun.
    pub(super) const fn overtake(&mut self) {
        self.younger = self.younger.saturating_add(1);
    }

    pub(super) const fn free(&mut self) {
        self.state = State::Free;
    }

    pub(super) const fn discard(&mut self) {
        self.state = State::Discarded;
    }

    pub(super) fn deadline(&self, timeout: Duration) -> Instant {
        self.started.add(timeout)
    }

    /// Whether the fragment belongs to the datagram of this slot (RFC 791 §3.2).
    pub(super) fn matches(&self, fragment: &Incoming<'_>) -> bool {
        let header = fragment.packet.header();
        !self.is_free()
            && self.identification == header.identification()
            && self.source == header.source()
            && self.destination == header.destination()
            && self.protocol == header.protocol().0
            && self.peer == fragment.peer
    }

    /// Takes the slot for the datagram of this fragment, whatever it held.
    pub(super) fn begin(&mut self, now: Instant, fragment: &Incoming<'_>, memory: &mut Memory<'_>) {
        let header = fragment.packet.header();
        *self = Self {
            started: now,
            source: header.source(),
            destination: header.destination(),
            peer: fragment.peer,
            identification: header.identification(),
            protocol: header.protocol().0,
            state: State::Open,
            ..Self::new()
        };
        memory.present.fill(0);
        memory.begins.fill(0);
    }

    /// Puts the fragment, which was checked alone, into its datagram. On an error nothing has changed.
    pub(super) fn insert(
        &mut self,
        fragment: &Incoming<'_>,
        max_fragments: u8,
        memory: &mut Memory<'_>,
    ) -> Result<Inserted, ReassemblyError> {
        let end = fragment.end();
        let is_end_known = self.state == State::EndKnown;
        let is_consistent = match (fragment.is_last(), is_end_known) {
            (true, true) => end == self.end,
            // One that said that more follows must not end there or behind.
            (true, false) => end > self.end,
            (false, true) => end < self.end,
            (false, false) => true,
        };
        if !is_consistent {
            return Err(ReassemblyError::InconsistentEnd);
        }
        let is_duplicate = match memory.overlap(fragment) {
            Overlap::None => false,
            Overlap::Copy => true,
            Overlap::Other => return Err(ReassemblyError::OverlappingFragment),
        };
        let ecn_seen = self.ecn_seen | ecn_bit(fragment.packet.header().ecn());
        if ecn_seen & NOT_ECT_SEEN != 0 && ecn_seen != NOT_ECT_SEEN {
            return Err(ReassemblyError::EcnFragmentMix);
        }
        if is_duplicate {
            // It may have met congestion where the other did not.
            self.ecn_seen = ecn_seen;
            return Ok(Inserted::Duplicate);
        }
        if self.fragments >= max_fragments {
            return Err(ReassemblyError::TooManyFragments);
        }
        let header_len = if fragment.offset() == 0 {
            fragment.packet.header().header_len()
        } else {
            self.header_len
        };
        let end = end.max(self.end);
        // The first fragment's header may be longer than that of the fragment at the end.
        if end > u16::MAX.saturating_sub(u16::from(header_len)) {
            return Err(ReassemblyError::ReassembledTooLong);
        }
        memory.store(fragment);
        self.end = end;
        self.header_len = header_len;
        self.ecn_seen = ecn_seen;
        self.fragments = self.fragments.saturating_add(1);
        self.blocks = self.blocks.saturating_add(units(fragment.len(), 3));
        if fragment.is_last() {
            self.state = State::EndKnown;
        }
        // Without overlaps, as many blocks as there are to the end means all of them.
        if self.state == State::EndKnown && self.blocks == units(self.end, 3) {
            self.finish(memory);
            return Ok(Inserted::Complete);
        }
        Ok(Inserted::Held)
    }

    /// Makes the header that of the whole datagram: the first fragment's, without MF and offset (RFC 791
    /// §3.2), with the ECN field of all (RFC 3168 §5.3, RFC 9601 §5).
    fn finish(&self, memory: &mut Memory<'_>) {
        let total_len = self.end.saturating_add(u16::from(self.header_len));
        let ecn = self.ecn();
        let range = self.range().unwrap_or_default();
        if let Some(datagram) = memory.datagram.get_mut(range) {
            if let Ok((header, options, _)) = Ipv4Header::split_mut(datagram) {
                header.set_total_len(total_len);
                header.set_fragment_offset(FragmentOffset::ZERO);
                header.set_flags(header.flags().difference(Ipv4Flags::MF));
                header.set_ecn(ecn);
                header.fill_checksum(options);
            }
        }
    }

    /// The ECN field of the whole datagram. Not-ECT was not mixed with others.
    const fn ecn(&self) -> Ecn {
        if self.ecn_seen & ecn_bit(Ecn::Ce) != 0 {
            Ecn::Ce
        } else if self.ecn_seen & ecn_bit(Ecn::Ect1) != 0 {
            Ecn::Ect1
        } else if self.ecn_seen & ecn_bit(Ecn::Ect0) != 0 {
            Ecn::Ect0
        } else {
            Ecn::NotEct
        }
    }

    /// Where the datagram is in [`Memory::datagram`], if it is complete.
    pub(super) fn range(&self) -> Option<Range<usize>> {
        let start = HEADER_ROOM.checked_sub(usize::from(self.header_len))?;
        let end = HEADER_ROOM.saturating_add(usize::from(self.end));
        Some(start..end)
    }
}

impl Default for Slot {
    #[inline]
    fn default() -> Self {
        Self::new()
    }
}

const NOT_ECT_SEEN: u8 = ecn_bit(Ecn::NotEct);

const fn ecn_bit(ecn: Ecn) -> u8 {
    match ecn {
        Ecn::NotEct => 1,
        Ecn::Ect1 => 1 << 1,
        Ecn::Ect0 => 1 << 2,
        Ecn::Ce => 1 << 3,
    }
}

/// How a fragment meets those that have arrived.
enum Overlap {
    None,
    /// It is an exact copy of one.
    Copy,
    Other,
}

impl Memory<'_> {
    fn overlap(&self, fragment: &Incoming<'_>) -> Overlap {
        let (first, behind) = blocks(fragment);
        let (mut is_any, mut are_all, mut begins_inside) = (false, true, false);
        for block in first..behind {
            let is_present = bit(self.present, block);
            is_any |= is_present;
            are_all &= is_present;
            begins_inside |= block != first && bit(self.begins, block);
        }
        if !is_any {
            return Overlap::None;
        }
        let start = HEADER_ROOM.saturating_add(usize::from(fragment.offset()));
        let body = fragment.packet.payload();
        let there = self.datagram.get(start..start.saturating_add(body.len()));
        // A fragment begins where it does and none inside of it, and it ends where it does.
        let is_same_range = bit(self.begins, first)
            && !begins_inside
            && are_all
            && (!bit(self.present, behind) || bit(self.begins, behind));
        // Byte by byte: that links no other comparison.
        if is_same_range && there.is_some_and(|there| there.iter().eq(body)) {
            Overlap::Copy
        } else {
            Overlap::Other
        }
    }

    fn store(&mut self, fragment: &Incoming<'_>) {
        let (first, behind) = blocks(fragment);
        for block in first..behind {
            set_bit(self.present, block);
        }
        set_bit(self.begins, first);
        let start = HEADER_ROOM.saturating_add(usize::from(fragment.offset()));
        let to = self.datagram.get_mut(start..).unwrap_or_default();
        copy(fragment.packet.payload(), to);
        if fragment.offset() == 0 {
            let header = fragment.packet.header();
            let start = HEADER_ROOM.saturating_sub(usize::from(header.header_len()));
            let to = self.datagram.get_mut(start..).unwrap_or_default();
            copy(header.as_bytes(), to);
            let to = to.get_mut(Ipv4Header::LEN..).unwrap_or_default();
            copy(fragment.packet.option_bytes(), to);
        }
    }
}

/// How many units of `1 << shift` bytes hold `len` bytes.
pub(super) fn units(len: u16, shift: u32) -> u16 {
    let whole = len.wrapping_shr(shift);
    let is_rest = whole.wrapping_shl(shift) != len;
    whole.saturating_add(u16::from(is_rest))
}

/// The first 8-byte block of a fragment, and the one behind it.
fn blocks(fragment: &Incoming<'_>) -> (u16, u16) {
    (fragment.offset() >> 3, units(fragment.end(), 3))
}

fn bit(bits: &[u8], number: u16) -> bool {
    let byte = bits.get(usize::from(number >> 3));
    byte.is_some_and(|byte| byte & mask(number) != 0)
}

fn set_bit(bits: &mut [u8], number: u16) {
    if let Some(byte) = bits.get_mut(usize::from(number >> 3)) {
        *byte |= mask(number);
    }
}

fn mask(number: u16) -> u8 {
    1u8.wrapping_shl(u32::from(number & 7))
}

const _: () = assert!(size_of::<Slot>() == 32);
