use super::slot::{HEADER_ROOM, Incoming, Inserted, Memory, Slot, units};
use crate::error::{Eviction, ReassemblyError};
use crate::packet::Span;
use crate::time::{Duration, Instant};
use crate::wire::Ipv4;

/// The longest payload of a datagram, in bytes (RFC 791 §3.1).
const MAX_PAYLOAD_LEN: u16 = u16::MAX.wrapping_sub(20);

/// Bytes of payload that two bytes of bits for blocks are for.
const BYTES_PER_BITMAP_BYTE: usize = 64;

/// These, with the two bytes.
const UNIT: usize = BYTES_PER_BITMAP_BYTE.wrapping_add(2);

/// What a [`Reassembler`] admits.
///
/// ```
/// use ipencap::fragment::Limits;
/// // Peers on Ethernet links only: no small fragments.
/// const LIMITS: Limits = Limits { min_len: 552, max_fragments: 4, ..Limits::DEFAULT };
/// # let _ = LIMITS;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(
    clippy::exhaustive_structs,
    reason = "built by the caller, the fields not named from DEFAULT"
)]
pub struct Limits {
    /// How long after its first fragment a datagram may be completed. 30 seconds by default, as in Linux;
    /// RFC 1122 §3.3.2 names 60 to 120 seconds. At high rates identifications repeat sooner, and fragments
    /// of different datagrams could be joined (RFC 4963): choose less.
    pub timeout: Duration,
    /// The number of datagrams that one peer may have in work at once, at least 1. 64 by default.
    pub per_peer: u16,
    /// The least data of a fragment other than the last, in bytes. 8 by default: all.
    pub min_len: u16,
    /// The most fragments of a datagram. 128 by default: enough for 65535 bytes over an MTU of 576.
    pub max_fragments: u8,
    /// How many datagrams a peer may begin after this one before its late fragments belong to a new
    /// datagram with the same identification (RFC 4963 §3). 64 by default; 255 is no limit.
    pub max_distance: u8,
}

impl Limits {
    /// The defaults of all fields.
    pub const DEFAULT: Self = Self {
        timeout: Duration::from_secs(30),
        per_peer: 64,
        min_len: 8,
        max_fragments: 128,
        max_distance: 64,
    };
}

impl Default for Limits {
    #[inline]
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What [`Reassembler::add`] did with a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Added {
    /// It is kept; others are missing.
    Held {
        /// The datagram that was given up for this one. Count it.
        evicted: Option<Evicted>,
    },
    /// It is an exact copy of a fragment that has arrived before, and was ignored.
    Duplicate,
    /// The datagram is complete: [`Reassembler::packet`] has it until the next fragment is added.
    Complete(SlotId),
}

/// A datagram that was given up, incomplete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Evicted {
    /// Why.
    pub reason: Eviction,
    /// The peer that had sent its fragments.
    pub peer: u32,
}

/// Names a complete datagram of a [`Reassembler`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SlotId(usize);

/// No slot has this place.
const NONE: SlotId = SlotId(usize::MAX);

/// Joins fragments of IPv4 datagrams, in the caller's memory (RFC 791 §3.2, RFC 815).
///
/// Each datagram takes a [`Slot`] and an equal share of the memory. Fragments may come in any order. All
/// work for a fragment is bounded: a look at each slot, and the copy of its data.
///
/// # Who may send fragments
///
/// **Check the sender first.** A fragment of a stranger that gets here takes a slot from a peer. Ask
/// [`Access`](crate::decap::Access) whether the destination is local and which peer the source is, and
/// pass the peer's number. A fragment has no port, so that must do for peers behind one address. The
/// complete packet then goes through [`decap`](crate::decap()) as any other.
///
/// # When slots run out
///
/// The new datagram always gets a slot, so a lone first fragment never blocks the others. It takes, in
/// this order: a free slot or one whose timeout is over, one of a datagram that was dropped, the peer's
/// own oldest, and, if the peer has none, the one that has been overtaken by most datagrams of its own
/// peer. So a peer that sends only first fragments evicts its own datagrams. It takes at most one slot
/// of another peer: the oldest of the peer that is likely to hold most.
///
/// # Memory
///
/// | for | bytes |
/// |---|---|
/// | each slot | 32 |
/// | each slot's share of the memory | the payload, 1/32 of it, and 60 for the header |
/// | the reassembler itself | 48 with 32-bit pointers |
///
/// Two slots for payloads of 1532 bytes, enough for 1500 bytes inside any tunnel of this crate, take 3392
/// bytes in all with 32-bit pointers.
///
/// ```
/// use ipencap::fragment::{Added, Limits, Reassembler, Slot};
/// use ipencap::time::Instant;
/// # use core::net::Ipv4Addr;
/// # use ipencap::wire::{Ipv4Flags, Ipv4Header, IpProtocol};
/// # fn main() -> Result<(), Box<dyn core::error::Error>> {
/// # let (source, destination) = (Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2));
/// # let mut header = Ipv4Header::new(source, destination, IpProtocol::IPENCAP, 1520);
/// # header.set_flags(Ipv4Flags::empty());
/// # let mut packet = [0; 1520];
/// # packet[..20].copy_from_slice(header.as_bytes());
/// # let plan = ipencap::fragment::plan(&packet, 1500)?;
/// # let arriving = plan.fragments(&packet)?.map(|fragment| {
/// #     let mut bytes = vec![0; fragment.len()];
/// #     fragment.write(&packet, &mut bytes).unwrap();
/// #     bytes
/// # });
/// let mut slots = [Slot::new(); 2];
/// let mut memory = [0; Reassembler::memory_len(2, 1532)];
/// let mut reassembler = Reassembler::new(&mut slots, &mut memory, Limits::DEFAULT);
///
/// let peer = 0; // from `Access::peer`
/// let mut whole = None;
/// for (millis, fragment) in (0..).zip(arriving) {
///     match reassembler.add(Instant::from_millis(millis), peer, &fragment)? {
///         Added::Complete(slot) => whole = reassembler.packet(slot).map(|packet| packet.len()),
///         Added::Held { evicted: Some(evicted) } => println!("{}", evicted.reason),
///         _ => {}
///     }
/// }
/// assert_eq!(whole, Some(1520));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Reassembler<'m> {
    slots: &'m mut [Slot],
    memory: &'m mut [u8],
    /// The length of a slot's share of the memory.
    share_len: usize,
    /// The longest payload that a slot takes.
    payload_len: u16,
    /// The length of the bits for blocks, in bytes.
    bitmap_len: u16,
    limits: Limits,
    /// The datagram that is complete, or [`NONE`]. Its slot is already free.
    complete: SlotId,
}

impl<'m> Reassembler<'m> {
    /// A reassembler with as many datagrams at once as there are slots. Whatever the slots held is
    /// forgotten.
    ///
    /// The memory is shared out evenly; [`memory_len`](Self::memory_len) says how much is needed.
    #[inline]
    #[must_use]
    pub fn new(slots: &'m mut [Slot], memory: &'m mut [u8], limits: Limits) -> Self {
        slots.iter_mut().for_each(Slot::free);
        let share_len = memory.len().checked_div(slots.len()).unwrap_or(0);
        // The inverse of `memory_len`.
        let for_payload = share_len.saturating_sub(HEADER_ROOM);
        let (full, rest) = (for_payload / UNIT, for_payload % UNIT);
        let payload_len = full
            .wrapping_mul(BYTES_PER_BITMAP_BYTE)
            .saturating_add(rest.saturating_sub(2));
        let payload_len = u16::try_from(payload_len)
            .unwrap_or(u16::MAX)
            .min(MAX_PAYLOAD_LEN);
        Self {
            slots,
            memory,
            share_len,
            payload_len,
            bitmap_len: units(payload_len, 6).saturating_mul(2),
            limits,
            complete: NONE,
        }
    }

    /// The bytes of memory for `slots` datagrams with payloads of up to `payload_len` bytes.
    ///
    /// The payload of an outer packet is all that is behind its IPv4 header: the tunnel's other headers, such as the
    /// UDP header, and the inner packet. For inner packets of up to `inner_mtu` bytes it is `inner_mtu + overhead -
    /// 20`, with the whole [`overhead`](crate::mtu::Overhead) of the tunnel: 1480 for IP-in-IP with an inner MTU of
    /// 1480, 1508 for FOU with one of 1500.
    ///
    /// ```
    /// use ipencap::fragment::Reassembler;
    /// assert_eq!(Reassembler::memory_len(2, 1532), 2 * (1532 + 60 + 2 * 24));
    /// ```
    #[inline]
    #[must_use]
    pub const fn memory_len(slots: usize, payload_len: usize) -> usize {
        // Rounded up.
        let bitmap_len =
            payload_len.saturating_add(BYTES_PER_BITMAP_BYTE - 1) / BYTES_PER_BITMAP_BYTE;
        let both_len = bitmap_len.saturating_mul(2);
        let share_len = payload_len
            .saturating_add(both_len)
            .saturating_add(HEADER_ROOM);
        slots.saturating_mul(share_len)
    }

    /// The longest payload of a datagram that can be reassembled, in bytes: 0 if the memory is too small for
    /// any.
    #[inline]
    #[must_use]
    pub const fn payload_len(&self) -> u16 {
        self.payload_len
    }

    /// Adds a fragment that `peer` has sent, at the time `now`.
    ///
    /// The caller has checked that the fragment is for this host and comes from this peer; see
    /// [above](Self#who-may-send-fragments). Datagrams of different peers are never joined. Their key is
    /// peer, source, destination, protocol and identification (RFC 791 §3.2).
    ///
    /// The datagram that is complete has the header of its first fragment with its options and TTL, without MF
    /// and offset. Its ECN field is CE if any fragment's was, else ECT(1) if any was, else what all had (RFC
    /// 3168 §5.3, RFC 9601 §5).
    ///
    /// # Errors
    /// [`ReassemblyError`] if the fragment was dropped. In most cases so is its datagram, and further fragments
    /// of that are [`Discarded`](ReassemblyError::Discarded) until the timeout or until another datagram
    /// needs the slot.
    #[inline]
    pub fn add(
        &mut self,
        now: Instant,
        peer: u32,
        fragment: &[u8],
    ) -> Result<Added, ReassemblyError> {
        self.complete = NONE;
        let packet = Ipv4::parse_by_call(fragment)?;
        if !packet.header().is_fragment() {
            return Err(ReassemblyError::NotFragment);
        }
        self.add_parsed(now, peer, packet)
    }

    /// [`add`](Self::add) of a packet that is known to be a valid fragment.
    #[inline(never)]
    pub(crate) fn add_parsed(
        &mut self,
        now: Instant,
        peer: u32,
        packet: Ipv4<'_>,
    ) -> Result<Added, ReassemblyError> {
        self.complete = NONE;
        let fragment = &Incoming::new(packet, peer);
        let checked = fragment.check(self.limits.min_len, self.payload_len);
        let mut place = self.slots.iter().position(|slot| slot.matches(fragment));
        let mut evicted = None;
        if let Some(found) = place {
            if let Some(reason) = self.over(now, found) {
                // A fragment that is wrong by itself begins no datagram.
                checked?;
                evicted = self.free(found, reason);
                place = None;
            }
        }
        // Never comes: without slots, `check` refuses every fragment so.
        let no_slot = ReassemblyError::SlotTooShort {
            need: fragment.end,
            have: 0,
        };
        let place = if let Some(place) = place {
            place
        } else {
            checked?;
            let Some((place, other)) = self.vacate(now, peer) else {
                return Err(no_slot);
            };
            self.begin(now, fragment, place);
            // Not both: where an eviction has left a slot, `vacate` takes that.
            evicted = evicted.or(other);
            place
        };
        let max_fragments = self.limits.max_fragments.max(1);
        let Some((slot, mut memory)) = self.slot(place) else {
            return Err(no_slot);
        };
        if slot.is_discarded() {
            checked?;
            return Err(ReassemblyError::Discarded);
        }
        match checked.and_then(|()| slot.insert(fragment, max_fragments, &mut memory)) {
            Ok(Inserted::Held) => Ok(Added::Held { evicted }),
            Ok(Inserted::Duplicate) => Ok(Added::Duplicate),
            Ok(Inserted::Complete) => {
                slot.free();
                self.complete = SlotId(place);
                Ok(Added::Complete(SlotId(place)))
            }
            Err(error) => {
                slot.discard();
                Err(error)
            }
        }
    }

    /// The complete datagram, an IPv4 packet with a right checksum, to pass on to
    /// [`decap`](crate::decap()). `None` if another fragment was added since.
    #[cfg_attr(not(all(target_os = "none", not(target_pointer_width = "64"))), inline)]
    #[cfg_attr(
        all(target_os = "none", not(target_pointer_width = "64")),
        inline(never)
    )]
    #[must_use]
    pub fn packet(&mut self, slot: SlotId) -> Option<&mut [u8]> {
        if self.complete != slot {
            return None;
        }
        let (slot, memory) = self.slot(slot.0)?;
        memory.datagram.get_mut(slot.range()?)
    }

    /// When the next timeout is over, so that [`expire`](Self::expire) is worth a call: `None` if no slot is
    /// taken. Looks at every slot.
    #[inline]
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let taken = self.slots.iter().filter(|slot| !slot.is_free());
        taken
            .map(Slot::started)
            .min()
            .map(|oldest| oldest + self.limits.timeout)
    }

    /// Gives up the datagrams whose timeout is over, and returns how many of them were incomplete: count them
    /// as [`Eviction::TimedOut`]. Those that were dropped before are not counted again.
    ///
    /// Optional: [`add`](Self::add) does not use what is over. The timeout is over *at* the deadline, so after
    /// `expire(deadline)` the [next deadline](Self::next_deadline) is later. No ICMP error is due: a tunnel
    /// endpoint is silent (RFC 4213 §3.6).
    #[inline]
    pub fn expire(&mut self, now: Instant) -> usize {
        let mut incomplete = 0usize;
        for slot in self.slots.iter_mut() {
            if !slot.is_free() && slot.is_late(self.limits.timeout, now) {
                incomplete = incomplete.saturating_add(usize::from(slot.is_open()));
                slot.free();
            }
        }
        incomplete
    }

    /// Why the datagram at this place takes no more fragments, if it does not.
    fn over(&self, now: Instant, place: usize) -> Option<Eviction> {
        let slot = self.slots.get(place)?;
        if slot.is_late(self.limits.timeout, now) {
            Some(Eviction::TimedOut)
        } else if slot.younger() > self.limits.max_distance {
            Some(Eviction::Overtaken)
        } else {
            None
        }
    }

    /// Frees the slot, and says what is to be counted for it.
    fn free(&mut self, place: usize, reason: Eviction) -> Option<Evicted> {
        let slot = self.slots.get_mut(place)?;
        let peer = slot.peer();
        let evicted = slot.is_open().then_some(Evicted { reason, peer });
        slot.free();
        evicted
    }

    /// Frees a slot for a new datagram of `peer`: the one with the greatest preference, of equal ones the
    /// oldest.
    fn vacate(&mut self, now: Instant, peer: u32) -> Option<(usize, Option<Evicted>)> {
        let is_own = |slot: &&Slot| slot.is_open() && slot.peer() == peer;
        // Not `count` and `enumerate`: nothing tells the compiler that their sums cannot overflow.
        let own = self.slots.iter().filter(is_own);
        let open = own.fold(0usize, |count, _| count.wrapping_add(1));
        let is_at_limit = open >= usize::from(self.limits.per_peer.max(1));
        let mut chosen = None;
        let (mut best, mut best_started) = (0, Instant::MAX);
        for place in 0..self.slots.len() {
            let Some(slot) = self.slots.get(place) else {
                break;
            };
            if is_at_limit && !is_own(&slot) {
                continue;
            }
            let preference = self.preference(now, peer, slot);
            let is_older = preference == best && slot.started() <= best_started;
            if preference > best || is_older {
                chosen = Some(place);
                (best, best_started) = (preference, slot.started());
            }
        }
        let place = chosen?;
        let reason = if best >> 8 == u16::from(EXPIRED) {
            Eviction::TimedOut
        } else if is_at_limit {
            Eviction::PeerLimit
        } else {
            Eviction::SlotNeeded
        };
        Some((place, self.free(place, reason)))
    }

    /// The greater, the rather is this slot taken for a new datagram of `peer`: its rank, then how many of its
    /// peer are younger.
    fn preference(&self, now: Instant, peer: u32, slot: &Slot) -> u16 {
        let rank = if slot.is_free() {
            FREE
        } else if slot.is_late(self.limits.timeout, now) {
            EXPIRED
        } else if slot.is_discarded() {
            DISCARDED
        } else if slot.peer() == peer {
            OWN
        } else {
            OTHER
        };
        u16::from(rank) << 8 | u16::from(slot.younger())
    }

    /// Gives a slot to the datagram of this fragment.
    fn begin(&mut self, now: Instant, fragment: &Incoming<'_>, place: usize) {
        for slot in self.slots.iter_mut() {
            if slot.peer() == fragment.peer {
                slot.overtake();
            }
        }
        if let Some((slot, mut memory)) = self.slot(place) {
            slot.begin(now, fragment, &mut memory);
        }
    }

    /// A slot and its share of the memory.
    fn slot(&mut self, place: usize) -> Option<(&mut Slot, Memory<'_>)> {
        let slot = self.slots.get_mut(place)?;
        let start = place.wrapping_mul(self.share_len);
        let share = Span::new(start, self.share_len).get_mut(self.memory)?;
        let bitmap_len = usize::from(self.bitmap_len);
        let (blocks, datagram) = share.split_at_mut_checked(bitmap_len)?;
        let memory = Memory { blocks, datagram };
        Some((slot, memory))
    }
}

/// Ranks of slots: the greatest is taken first for a new datagram.
const OTHER: u8 = 0;
const OWN: u8 = 1;
const DISCARDED: u8 = 2;
const EXPIRED: u8 = 3;
const FREE: u8 = 4;

#[cfg(target_pointer_width = "32")]
const _: () = assert!(size_of::<Reassembler<'_>>() <= 48);
