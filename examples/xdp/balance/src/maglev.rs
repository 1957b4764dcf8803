use core::fmt;

use zerocopy::FromBytes;

/// What is known of a backend when a table is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs, reason = "built by the caller")]
pub struct Member {
    /// The number by which the caller finds it, below [`Slot::NONE`].
    pub backend: u16,
    /// What its order of preference follows from, another for each backend of a pool and always the same for this
    /// one: its address, say.
    pub identity: u32,
    /// Its share of the flows, relative to the other members' weights. 0: none, as if it were not a member.
    pub weight: u16,
    /// Whether it takes flows.
    pub state: State,
}

/// Whether a backend takes flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "there are no other cases")]
pub enum State {
    /// It takes new flows, and keeps those that it has.
    #[default]
    Active,
    /// It keeps the TCP connections that it has. All other flows go to stand-ins.
    Draining,
    /// It gets nothing. All its flows go to stand-ins.
    Down,
}

/// Where the flows of one slot of a table go. Four bytes, so that one load tells both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes)]
#[allow(clippy::exhaustive_structs, reason = "two numbers")]
#[repr(C)]
pub struct Slot {
    /// The backend of flows that begin now, and of those that nobody can tell from them.
    pub new_flows: u16,
    /// The backend of TCP connections that began before the last change.
    pub old_flows: u16,
}

impl Slot {
    /// In place of a backend's number: there is none.
    pub const NONE: u16 = u16::MAX;

    /// A slot without a backend: what to fill tables with.
    pub const EMPTY: Self = Self::of(Self::NONE);

    /// All flows to one backend.
    #[inline]
    #[must_use]
    pub const fn of(backend: u16) -> Self {
        Self {
            new_flows: backend,
            old_flows: backend,
        }
    }

    /// Whether old connections go elsewhere than new flows.
    #[inline]
    #[must_use]
    pub const fn is_changing(self) -> bool {
        self.new_flows != self.old_flows
    }
}

impl Default for Slot {
    #[inline]
    fn default() -> Self {
        Self::EMPTY
    }
}

/// What [`build`] remembers of a member while it works: 12 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Turn {
    /// The slot that it looks at next.
    next: u32,
    /// How many slots further it looks if that one is taken.
    skip: u32,
    /// It takes a slot for each of the greatest weights that this holds.
    credit: u32,
}

/// Why no table is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BuildError {
    /// The number of slots is not prime, so not every order of preference would visit all of them. Use
    /// [`table_len`].
    LenNotPrime,
    /// There are more members than slots.
    TooManyMembers,
    /// There are fewer turns than members.
    TooFewTurns,
    /// A member's number is [`Slot::NONE`].
    BackendNumber,
}

impl fmt::Display for BuildError {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LenNotPrime => {
                "the number of slots is not prime: take one from ipencap_balance::table_len"
            }
            Self::TooManyMembers => "more backends than slots: take a longer table",
            Self::TooFewTurns => "fewer turns than backends: pass one for each",
            Self::BackendNumber => "a backend has the number 65535, which means none",
        })
    }
}

impl core::error::Error for BuildError {}

/// Fills the table of a pool: Maglev hashing (Eisenbud et al., NSDI '16, §3.4), with weights.
///
/// Each member has an order in which it prefers the slots. They take turns, and each takes the free slot that it
/// prefers most, until none is free. In each round a member gains its weight as credit, and has a turn when it has
/// as much credit as the greatest weight. So everybody's number of slots is his share, or next to it.
///
/// The slots of members that are not [`Active`](State::Active) go to stand-ins: each of these slots follows a
/// sequence of its own through the table to the first slot of an active member. So their flows spread over all
/// others by weight, no other flow moves, and all come back when the member does.
///
/// `turns` is scratch memory, one for each member. The table depends on the order of the members: have the same
/// order in all balancers that share the service.
///
/// # Errors
/// Any [`BuildError`]; the table is unchanged then. Without active members no slot has a backend for new flows,
/// which is no error.
#[inline]
pub fn build(slots: &mut [Slot], members: &[Member], turns: &mut [Turn]) -> Result<(), BuildError> {
    let len = u32::try_from(slots.len()).map_err(|_| BuildError::LenNotPrime)?;
    if !is_prime(len) {
        return Err(BuildError::LenNotPrime);
    }
    if members.len() > slots.len().min(usize::from(Slot::NONE)) {
        return Err(BuildError::TooManyMembers);
    }
    let turns = turns
        .get_mut(..members.len())
        .ok_or(BuildError::TooFewTurns)?;
    if members.iter().any(|member| member.backend == Slot::NONE) {
        return Err(BuildError::BackendNumber);
    }
    for (turn, member) in turns.iter_mut().zip(members) {
        *turn = Turn::first(member.identity, len);
    }
    slots.fill(Slot::EMPTY);
    own(slots, members, turns, len);
    stand_in(slots, members, len);
    for slot in slots {
        *slot = named(*slot, members);
    }
    Ok(())
}

/// Lets the members take turns until no slot is free. `old_flows` becomes the owner's place in `members`.
fn own(slots: &mut [Slot], members: &[Member], turns: &mut [Turn], len: u32) {
    let greatest = members.iter().map(|member| member.weight).max();
    let greatest = u32::from(greatest.unwrap_or(0));
    if greatest == 0 {
        return;
    }
    let mut free = len;
    loop {
        // Each round takes a slot at least: whoever has the greatest weight has a turn in each.
        for ((place, turn), member) in (0..).zip(&mut *turns).zip(members) {
            turn.credit = turn.credit.wrapping_add(u32::from(member.weight));
            if turn.credit < greatest {
                continue;
            }
            turn.credit = turn.credit.wrapping_sub(greatest);
            turn.take(slots, place, len);
            free = free.wrapping_sub(1);
            if free == 0 {
                return;
            }
        }
    }
}

/// So many slots are looked at for a stand-in that is random. Where fewer than one in as many is active, most
/// stand-ins are those of the slots in front.
const MOST_HOPS: u8 = 64;

/// Sets `new_flows` to the place of whoever stands in for the owner, or of the owner.
fn stand_in(slots: &mut [Slot], members: &[Member], len: u32) {
    let active = |slot: Option<&Slot>| {
        let place = slot?.old_flows;
        let member = members.get(usize::from(place))?;
        (member.state == State::Active).then_some(place)
    };
    // The table is a ring: in front of the first slot is the last.
    let Some(mut in_front) = slots.iter().rev().find_map(|slot| active(Some(slot))) else {
        return;
    };
    for place in 0..len {
        let new_flows = if let Some(owner) = active(at(slots, place)) {
            in_front = owner;
            owner
        } else {
            let skip = Turn::first(place, len).skip;
            let mut next = place;
            let hops = (0..MOST_HOPS).find_map(|_| {
                next = further(next, skip, len);
                active(at(slots, next))
            });
            hops.unwrap_or(in_front)
        };
        if let Some(slot) = at_mut(slots, place) {
            slot.new_flows = new_flows;
        }
    }
}

/// A slot with backends' numbers for members' places.
fn named(slot: Slot, members: &[Member]) -> Slot {
    let member = |place| members.get(usize::from(place));
    let new_flows = member(slot.new_flows).map_or(Slot::NONE, |member| member.backend);
    let old_flows = match member(slot.old_flows) {
        Some(owner) if owner.state == State::Draining => owner.backend,
        _ => new_flows,
    };
    Slot {
        new_flows,
        old_flows,
    }
}

/// Keeps old connections where they are while a table with other members or weights takes over: they go on
/// to the backends of `previous`, a table of the same length, where `goes_on` says that these still take them.
///
/// Call it behind [`build`], and [`finish`] when no connection from before is left. A second change before that
/// breaks the connections of a slot that changes twice.
#[inline]
pub fn keep_old(slots: &mut [Slot], previous: &[Slot], goes_on: impl Fn(u16) -> bool) {
    for (slot, before) in slots.iter_mut().zip(previous) {
        for backend in [before.new_flows, before.old_flows] {
            if backend != slot.new_flows && backend != Slot::NONE && goes_on(backend) {
                slot.old_flows = backend;
            }
        }
    }
}

/// Ends a change: all connections go where new flows go. Then clear the record of flows that have
/// [`Begun`](crate::Begun) too.
#[inline]
pub fn finish(slots: &mut [Slot]) {
    for slot in slots {
        slot.old_flows = slot.new_flows;
    }
}

impl Turn {
    /// Where a member begins, and how far it goes: a pair for each identity. The skip is less than the prime
    /// `len`, so the member comes by every slot.
    fn first(identity: u32, len: u32) -> Self {
        let mixed = mix(u64::from(identity));
        Self {
            next: scaled(high_half(mixed), len),
            skip: scaled(high_half(mixed << 32), len.wrapping_sub(1)).wrapping_add(1),
            credit: 0,
        }
    }

    /// Takes the next free slot. There must be one.
    fn take(&mut self, slots: &mut [Slot], owner: u16, len: u32) {
        // All slots once around are `len`.
        for _ in 0..len {
            let place = self.next;
            self.next = further(place, self.skip, len);
            match at_mut(slots, place) {
                Some(slot) if slot.old_flows == Slot::NONE => {
                    slot.old_flows = owner;
                    return;
                }
                _ => {}
            }
        }
    }
}

fn at(slots: &[Slot], place: u32) -> Option<&Slot> {
    slots.get(usize::try_from(place).ok()?)
}

fn at_mut(slots: &mut [Slot], place: u32) -> Option<&mut Slot> {
    slots.get_mut(usize::try_from(place).ok()?)
}

/// `skip` places further on a ring of `len`, both of which are less than 2^31.
const fn further(place: u32, skip: u32, len: u32) -> u32 {
    let next = place.wrapping_add(skip);
    if next >= len {
        next.wrapping_sub(len)
    } else {
        next
    }
}

/// The place of a flow with this hash in a table of `len` slots: by the high bits, which leaves the low ones for
/// an outer source port.
#[inline(always)]
pub(crate) const fn scaled(hash: u32, len: u32) -> u32 {
    high_half(widened(hash).wrapping_mul(widened(len)))
}

#[inline(always)]
const fn high_half(word: u64) -> u32 {
    let [a, b, c, d, ..] = word.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

#[inline(always)]
const fn widened(word: u32) -> u64 {
    let [a, b, c, d] = word.to_be_bytes();
    u64::from_be_bytes([0, 0, 0, 0, a, b, c, d])
}

/// `SplitMix64`'s output function: near numbers become unrelated ones.
const fn mix(number: u64) -> u64 {
    let mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The lengths that a table may take, in slots: the greatest primes below powers of two.
const LENGTHS: [u32; 17] = [
    61, 127, 251, 509, 1021, 2039, 4093, 8191, 16_381, 32_749, 65_521, 131_071, 262_139, 524_287,
    1_048_573, 2_097_143, LONGEST,
];

const LONGEST: u32 = 4_194_301;

/// How many slots a pool's table should have, a prime below a power of two: at least 100 for each member (NSDI '16, §3.4), and
/// more where the members' weights differ, so that the smallest still has 100. At most 4,194,301.
///
/// Memory is four bytes a slot. The fewer slots, the less even the shares: with `n` slots on average a member may
/// have one more than another, which is 1/n. And the more flows move without need when a member is removed.
#[inline]
#[must_use]
pub fn table_len(members: &[Member]) -> u32 {
    let weights = members.iter().map(|member| u64::from(member.weight));
    let total = weights.clone().fold(0, u64::saturating_add);
    let least = weights.filter(|&weight| weight > 0).min().unwrap_or(1);
    let wanted = total.saturating_mul(100);
    let mut fits = LENGTHS
        .into_iter()
        .filter(|&len| u64::from(len).saturating_mul(least) >= wanted);
    fits.next().unwrap_or(LONGEST)
}

const fn is_prime(number: u32) -> bool {
    if number < 3 {
        return number == 2;
    }
    let mut divisor = 2_u32;
    while let Some(square) = divisor.checked_mul(divisor) {
        if square > number {
            break;
        }
        if number.is_multiple_of(divisor) {
            return false;
        }
        divisor = divisor.wrapping_add(1);
    }
    true
}
