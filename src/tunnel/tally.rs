use core::fmt;

use super::cause::Cause;
use super::peers::PeerId;
use crate::error::Eviction;

/// What became of a packet, for counting. An endpoint counts every packet that it is given once, so that
/// nothing is lost unseen:
///
/// ```text
///  from the inner side  =  Sent + Split + Answered + DroppedOutbound
///  from the network     =  Delivered + Held + Learnt + Relayed + HostsOwn + Ignored + DroppedInbound
/// ```
///
/// [`Fragments`](Self::Fragments) and [`GivenUp`](Self::GivenUp) are told besides. So is a fragment that
/// [`Endpoint::next_fragment`](super::Endpoint::next_fragment) refuses, as `DroppedOutbound`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Event {
    /// From the inner side: it goes to the peer in one piece.
    Sent,
    /// From the inner side: it goes to the peer in fragments.
    Split,
    /// From the inner side: its source gets an ICMP error instead.
    Answered(Cause),
    /// From the inner side: it was dropped.
    DroppedOutbound(Cause),
    /// From the network: the inner packet goes to the inner side. A fragment that completes its datagram
    /// is one of these.
    Delivered,
    /// From the network: a fragment, kept until the others have come.
    Held,
    /// From the network: an ICMP error that may have changed what is known of the path.
    Learnt,
    /// From the network: an ICMP error that was passed on to an inner source.
    Relayed,
    /// From the network: for this host, but not for a tunnel.
    HostsOwn,
    /// From the network: an ICMP error without effect.
    Ignored(Cause),
    /// From the network: it was dropped.
    DroppedInbound(Cause),
    /// A packet that counts as `Split` makes one more fragment.
    Fragments,
    /// An incomplete datagram was given up: its fragments had counted as `Held`.
    GivenUp(Eviction),
}

const KINDS: [(usize, &str); 8] = [
    (0, "Sent"),
    (1, "Split"),
    (2, "Delivered"),
    (3, "Held"),
    (4, "Learnt"),
    (5, "Relayed"),
    (6, "HostsOwn"),
    (7, "Fragments"),
];
const ANSWERED: usize = KINDS.len();
const DROPPED_OUTBOUND: usize = ANSWERED.wrapping_add(Cause::COUNT);
const DROPPED_INBOUND: usize = DROPPED_OUTBOUND.wrapping_add(Cause::COUNT);
const IGNORED: usize = DROPPED_INBOUND.wrapping_add(Cause::COUNT);
const GIVEN_UP: usize = IGNORED.wrapping_add(Cause::COUNT);

impl Event {
    /// The length of an array of counters: more than the largest [`index`](Self::index). 700 in this version.
    pub const COUNT: usize = GIVEN_UP.wrapping_add(Eviction::COUNT);

    /// The number of this event, below [`COUNT`](Self::COUNT).
    ///
    /// It is the same in every program with this version of the crate. Another version may have more causes,
    /// and other numbers then: what is stored or sent elsewhere goes by the names.
    #[inline]
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Sent => 0,
            Self::Split => 1,
            Self::Delivered => 2,
            Self::Held => 3,
            Self::Learnt => 4,
            Self::Relayed => 5,
            Self::HostsOwn => 6,
            Self::Fragments => 7,
            Self::Answered(cause) => ANSWERED.wrapping_add(cause.index()),
            Self::DroppedOutbound(cause) => DROPPED_OUTBOUND.wrapping_add(cause.index()),
            Self::DroppedInbound(cause) => DROPPED_INBOUND.wrapping_add(cause.index()),
            Self::Ignored(cause) => IGNORED.wrapping_add(cause.index()),
            Self::GivenUp(eviction) => GIVEN_UP.wrapping_add(eviction.index()),
        }
    }

    /// The name of the event, without its cause.
    #[inline]
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sent => "Sent",
            Self::Split => "Split",
            Self::Delivered => "Delivered",
            Self::Held => "Held",
            Self::Learnt => "Learnt",
            Self::Relayed => "Relayed",
            Self::HostsOwn => "HostsOwn",
            Self::Fragments => "Fragments",
            Self::Answered(_) => "Answered",
            Self::DroppedOutbound(_) => "DroppedOutbound",
            Self::DroppedInbound(_) => "DroppedInbound",
            Self::Ignored(_) => "Ignored",
            Self::GivenUp(_) => "GivenUp",
        }
    }

    /// Every [`index`](Self::index) with the name of the event and that of its cause (`""` if it has none), to
    /// export an array of counters of your own.
    ///
    /// There are fewer than [`COUNT`](Self::COUNT): some numbers are not in use ([`Cause::counters`]). Two
    /// causes may have one name, as `Invalid` of a packet and of an ICMP error: add them up, or tell them apart by
    /// [`Cause::counters`].
    ///
    /// ```
    /// use ipencap::error::Silence;
    /// use ipencap::tunnel::{Cause, Event};
    ///
    /// let mut counters = [0_u32; Event::COUNT];
    /// counters[Event::Sent.index()] += 1;
    /// counters[Event::DroppedOutbound(Cause::Silent(Silence::Multicast)).index()] += 1;
    ///
    /// let happened = Event::counters().filter(|&(index, ..)| counters[index] > 0);
    /// let happened: Vec<_> = happened.map(|(_, event, cause)| (event, cause)).collect();
    /// assert_eq!(happened, [("Sent", ""), ("DroppedOutbound", "Multicast")]);
    /// ```
    #[inline]
    pub fn counters() -> impl Iterator<Item = (usize, &'static str, &'static str)> {
        let plain = KINDS.into_iter().map(|(index, name)| (index, name, ""));
        let caused = |first: usize, event: &'static str| {
            Cause::counters().map(move |(index, _, name)| (first.wrapping_add(index), event, name))
        };
        let evictions = Eviction::NAMES.iter();
        let given_up =
            evictions.map(|&(index, name)| (GIVEN_UP.wrapping_add(index), "GivenUp", name));
        plain
            .chain(caused(ANSWERED, "Answered"))
            .chain(caused(DROPPED_OUTBOUND, "DroppedOutbound"))
            .chain(caused(DROPPED_INBOUND, "DroppedInbound"))
            .chain(caused(IGNORED, "Ignored"))
            .chain(given_up)
    }
}

/// Counts what an endpoint does. `()` counts nothing and costs nothing; [`Counters`] counts all packets.
/// For counters of each peer, implement it: [`PeerId::place`] is the index.
pub trait Tally {
    /// An event about a packet of `len` bytes, of this peer if it is known.
    fn count(&mut self, peer: Option<PeerId>, event: Event, len: usize);
}

impl Tally for () {
    #[inline]
    fn count(&mut self, _peer: Option<PeerId>, _event: Event, _len: usize) {}
}

impl<T: Tally + ?Sized> Tally for &mut T {
    #[inline]
    fn count(&mut self, peer: Option<PeerId>, event: Event, len: usize) {
        (**self).count(peer, event, len);
    }
}

/// Packets and bytes by what became of them, over all peers. Those of several cores add up
/// ([`merge`](Self::merge)).
///
/// ```
/// use ipencap::tunnel::{Counters, Event, Tally};
///
/// let (mut first_core, mut second_core) = (Counters::new(), Counters::new());
/// first_core.count(None, Event::Sent, 1500);
/// second_core.count(None, Event::Sent, 60);
/// first_core.merge(&second_core);
/// assert_eq!(first_core.packets(Event::Sent), 2);
/// assert_eq!(first_core.bytes(Event::Sent), 1560);
/// assert_eq!(first_core.outbound(), 2);
/// assert_eq!(format!("{first_core:?}"), "[Sent 2]");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Counters {
    packets: [u64; Event::COUNT],
    bytes: [u64; KINDS.len()],
}

/// What has happened at all, as [`Counters::iter`] tells it.
impl fmt::Debug for Counters {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As text: the debug form of a string can panic, as far as the linker knows.
        struct Counted((&'static str, &'static str, u64));
        impl fmt::Debug for Counted {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let (event, cause, count) = self.0;
                if cause.is_empty() {
                    write!(f, "{event} {count}")
                } else {
                    write!(f, "{event} {cause} {count}")
                }
            }
        }
        f.debug_list().entries(self.iter().map(Counted)).finish()
    }
}

impl Counters {
    /// All zero.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self {
            packets: [0; Event::COUNT],
            bytes: [0; KINDS.len()],
        }
    }

    /// How often this has happened.
    #[inline]
    #[must_use]
    pub fn packets(&self, event: Event) -> u64 {
        self.packets.get(event.index()).copied().unwrap_or_default()
    }

    /// The bytes of the packets to which this has happened, as they were passed to the endpoint. 0 for
    /// events with a cause, of which only the packets are counted.
    ///
    /// | event | bytes |
    /// |---|---|
    /// | `Sent`, `Split` | of the inner packets, before they are wrapped or split |
    /// | `Fragments` | of the inner fragments, with their IPv4 headers, before they are wrapped |
    /// | `Delivered`, `Held` and the others from the network | of the whole outer packets, or of the payloads of datagrams and connections if it was [`receive_payload`](super::Endpoint::receive_payload) |
    ///
    /// All are the lengths of the slices: bytes behind the end of a packet count. Of a datagram that came in
    /// fragments each fragment counts by itself, the last as `Delivered`.
    /// [`reported_mtu`](super::Endpoint::reported_mtu) counts no bytes.
    #[inline]
    #[must_use]
    pub fn bytes(&self, event: Event) -> u64 {
        self.bytes.get(event.index()).copied().unwrap_or_default()
    }

    /// All packets from the inner side.
    #[inline]
    #[must_use]
    pub fn outbound(&self) -> u64 {
        self.packets(Event::Sent)
            .wrapping_add(self.packets(Event::Split))
            .wrapping_add(self.sum(ANSWERED))
            .wrapping_add(self.sum(DROPPED_OUTBOUND))
    }

    /// All packets from the network.
    #[inline]
    #[must_use]
    pub fn inbound(&self) -> u64 {
        let passed = [
            Event::Delivered,
            Event::Held,
            Event::Learnt,
            Event::Relayed,
            Event::HostsOwn,
        ];
        let not_passed = self.sum(DROPPED_INBOUND).wrapping_add(self.sum(IGNORED));
        passed.iter().fold(not_passed, |sum, event| {
            sum.wrapping_add(self.packets(*event))
        })
    }

    /// Adds the counters of another core.
    #[inline]
    pub fn merge(&mut self, other: &Self) {
        add(&mut self.packets, &other.packets);
        add(&mut self.bytes, &other.bytes);
    }

    /// Everything that has happened at all: the name of the event, that of its cause, and how often, in the order
    /// of [`Event::counters`].
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> + '_ {
        Event::counters()
            .map(|(index, event, cause)| {
                let count = self.packets.get(index).copied().unwrap_or_default();
                (event, cause, count)
            })
            .filter(|&(_, _, count)| count > 0)
    }

    fn sum(&self, first: usize) -> u64 {
        let counters = self.packets.iter().skip(first).take(Cause::COUNT);
        counters.fold(0, |sum: u64, count| sum.wrapping_add(*count))
    }
}

impl Default for Counters {
    #[inline]
    fn default() -> Self {
        Self::new()
    }
}

impl Tally for Counters {
    #[inline]
    fn count(&mut self, _peer: Option<PeerId>, event: Event, len: usize) {
        if let Some(packets) = self.packets.get_mut(event.index()) {
            *packets = packets.wrapping_add(1);
        }
        if let Some(bytes) = self.bytes.get_mut(event.index()) {
            *bytes = bytes.wrapping_add(u64::try_from(len).unwrap_or(u64::MAX));
        }
    }
}

fn add(sums: &mut [u64], others: &[u64]) {
    for (sum, other) in sums.iter_mut().zip(others) {
        *sum = sum.wrapping_add(*other);
    }
}
