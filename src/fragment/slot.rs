use core::net::Ipv4Addr;
use core::ops::Range;

use crate::error::ReassemblyError;
use crate::time::{Duration, Instant};
use crate::wire::{Ecn, Ipv4, Ipv4Flags, Ipv4Header, copy, reported_len};

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
    packet: Ipv4<'p>,
    pub(super) peer: u32,
    /// Where its data begins and ends in the datagram's payload, in bytes. The end is right if
    /// [`check`](Self::check) is.
    offset: u16,
    pub(super) end: u16,
    is_last: bool,
}

impl<'p> Incoming<'p> {
    pub(super) fn new(packet: Ipv4<'p>, peer: u32) -> Self {
        let header = packet.header();
        let offset = header.fragment_offset().bytes();
        Self {
            packet,
            peer,
            offset,
            end: reported_len(usize::from(offset).saturating_add(packet.payload().len())),
            is_last: !header.flags().contains(Ipv4Flags::MF),
        }
    }

    /// What can be said of the fragment alone.
    pub(super) fn check(&self, min_len: u16, payload_len: u16) -> Result<(), ReassemblyError> {
        let len = reported_len(self.packet.payload().len());
        if len == 0 {
            return Err(ReassemblyError::EmptyFragment);
        }
        if !self.is_last && len & 7 != 0 {
            return Err(ReassemblyError::BadFragmentLength { len });
        }
        if self.packet.header().exceeds_reassembly() {
            return Err(ReassemblyError::ReassembledTooLong);
        }
        if !self.is_last && len < min_len {
            return Err(ReassemblyError::TooSmall { len });
        }
        let need = self.end;
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
///  [two bits for each 8-byte block|60 for the header|payload]
///                                           [header|payload]     a complete datagram
/// ```
#[derive(Debug)]
pub(super) struct Memory<'m> {
    /// Which 8-byte blocks are there, and which of them are the first of a fragment: what an exact copy of a
    /// fragment is compared with.
    pub(super) blocks: &'m mut [u8],
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

    /// Whether it is time to give up.
    #[cfg_attr(
        all(target_os = "none", not(target_pointer_width = "64")),
        inline(never)
    )]
    pub(super) fn is_late(&self, timeout: Duration, now: Instant) -> bool {
        now >= self.started + timeout
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
        memory.blocks.fill(0);
    }

    /// Puts the fragment, which was checked alone, into its datagram. On an error nothing has changed.
    pub(super) fn insert(
        &mut self,
        fragment: &Incoming<'_>,
        max_fragments: u8,
        memory: &mut Memory<'_>,
    ) -> Result<Inserted, ReassemblyError> {
        let end = fragment.end;
        let is_end_known = self.state == State::EndKnown;
        let is_consistent = match (fragment.is_last, is_end_known) {
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
        let header = fragment.packet.header();
        let ecn_seen = self.ecn_seen | ecn_bit(header.ecn());
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
        let header_len = if fragment.offset == 0 {
            header.header_len()
        } else {
            self.header_len
        };
        let end = end.max(self.end);
        // The first fragment's header may be longer than that of the fragment at the end.
        let Some(total_len) = end.checked_add(u16::from(header_len)) else {
            return Err(ReassemblyError::ReassembledTooLong);
        };
        self.blocks = self.blocks.saturating_add(memory.store(fragment));
        self.end = end;
        self.header_len = header_len;
        self.ecn_seen = ecn_seen;
        self.fragments = self.fragments.saturating_add(1);
        if fragment.is_last {
            self.state = State::EndKnown;
        }
        // Without overlaps, as many blocks as there are to the end means all of them.
        if self.state == State::EndKnown && self.blocks == units(self.end, 3) {
            self.finish(total_len, memory);
            return Ok(Inserted::Complete);
        }
        Ok(Inserted::Held)
    }

    /// Makes the header that of the whole datagram: the first fragment's, without MF and offset (RFC 791
    /// §3.2), with the ECN field of all (RFC 3168 §5.3, RFC 9601 §5).
    fn finish(&self, total_len: u16, memory: &mut Memory<'_>) {
        let header = HEADER_ROOM.wrapping_sub(usize::from(self.header_len))..HEADER_ROOM;
        let Some(header) = memory.datagram.get_mut(header) else {
            return;
        };
        if let Some([_, tos, _, _, _, _, flags_offset, ..]) =
            header.first_chunk_mut::<{ Ipv4Header::LEN }>()
        {
            *tos = (*tos & !0b11) | self.ecn().bits();
            let kept = Ipv4Flags::all().difference(Ipv4Flags::MF).bits();
            let flags = u16::from_be_bytes([*flags_offset, 0]) & kept;
            Ipv4Header::set_fragment(header, total_len, flags);
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
    // One of four values.
    1u8.wrapping_shl(widened(ecn.bits()))
}

const fn widened(value: u8) -> u32 {
    u32::from_be_bytes([0, 0, 0, value])
}

/// How a fragment meets those that have arrived.
enum Overlap {
    None,
    /// It is an exact copy of one.
    Copy,
    Other,
}

/// Of a block that is there: the low bit, and the other one if a fragment begins with it.
const PRESENT: u8 = 0b01;
const BEGINS: u8 = 0b11;

impl Memory<'_> {
    fn block(&self, number: u16) -> u8 {
        let byte = self.blocks.get(usize::from(number >> 2));
        (byte.copied().unwrap_or(0) >> shift(number)) & 0b11
    }

    fn overlap(&self, fragment: &Incoming<'_>) -> Overlap {
        let (first, behind) = blocks(fragment);
        // An exact copy ends where a fragment ended, begins where one began, and none began inside.
        let (mut is_any, mut is_copy) = (false, self.block(behind) != PRESENT);
        let mut wanted = BEGINS;
        for number in first..behind {
            let block = self.block(number);
            is_any |= block != 0;
            is_copy &= block == wanted;
            wanted = PRESENT;
        }
        if !is_any {
            return Overlap::None;
        }
        let start = HEADER_ROOM.saturating_add(usize::from(fragment.offset));
        let there = self.datagram.get(start..).unwrap_or_default();
        let body = fragment.packet.payload();
        // Byte by byte: that links no other comparison.
        if is_copy && there.iter().zip(body).all(|(there, byte)| there == byte) {
            Overlap::Copy
        } else {
            Overlap::Other
        }
    }

    /// Returns how many blocks it has.
    fn store(&mut self, fragment: &Incoming<'_>) -> u16 {
        let (first, behind) = blocks(fragment);
        let mut state = BEGINS;
        for number in first..behind {
            if let Some(byte) = self.blocks.get_mut(usize::from(number >> 2)) {
                *byte |= state << shift(number);
            }
            state = PRESENT;
        }
        let packet = fragment.packet;
        self.copy(
            packet.payload(),
            usize::from(fragment.offset).wrapping_add(HEADER_ROOM),
        );
        if first == 0 {
            let header = packet.header();
            let start = HEADER_ROOM.saturating_sub(usize::from(header.header_len()));
            self.copy(header.as_bytes(), start);
            self.copy(packet.option_bytes(), start.wrapping_add(Ipv4Header::LEN));
        }
        behind.saturating_sub(first)
    }

    fn copy(&mut self, bytes: &[u8], to: usize) {
        copy(bytes, self.datagram.get_mut(to..).unwrap_or_default());
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
    (fragment.offset >> 3, units(fragment.end, 3))
}

/// Where in its byte the two bits of a block are.
const fn shift(number: u16) -> u32 {
    let [_, low] = number.to_be_bytes();
    widened(low & 0b11) << 1
}

const _: () = assert!(size_of::<Slot>() == 32);
