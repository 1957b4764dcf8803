use core::fmt;

use crate::error::{
    EncapError, FragmentError, Ignored, PathMtuIgnored, Reason, ReassemblyError, Refused, Silence,
};

/// Why an endpoint has not passed a packet on.
///
/// Each has a name and a number below [`COUNT`](Self::COUNT): counters are an array. [`name`](Self::name) is the
/// short form for logs; `Display` is a sentence that says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Cause {
    /// No peer has a prefix that holds the inner destination.
    NoPeer,
    /// The path is so narrow that its inner MTU is below 68 bytes, the least that IPv4 needs (RFC 791 §3.2).
    MtuTooSmall,
    /// The segments of a super-packet exceed the inner MTU, and the packet may be fragmented; or its segments fit, but
    /// the whole with the tunnel's headers exceeds 65535 bytes. Segment it first, and pass the segments.
    SegmentTooLong,
    /// There were too many ICMP errors of late (RFC 1812 §4.3.2.8).
    RateLimited,
    /// The packet is an outer packet of this very tunnel: the route to the peer leads into the tunnel (RFC 2003
    /// §3.2). A fragment of the tunnel's protocol between its ends counts as one, because it does not show the port.
    RoutingLoop,
    /// An ICMP error does not quote a packet of any of the tunnels (RFC 5927 §4.1).
    NotOurs,
    /// The packet cannot go into the tunnel.
    Encap(EncapError),
    /// The packet cannot be split.
    Fragment(FragmentError),
    /// An ICMP error is due but must not be sent. (That a peer has gone silent is
    /// [`Change::Silent`](super::Change::Silent).)
    Silent(Silence),
    /// The packet from the network was refused.
    Refused(Refused),
    /// The fragment from the network was dropped.
    Reassembly(ReassemblyError),
    /// The ICMP error has no effect.
    Ignored(Ignored),
    /// The reported MTU has no effect.
    PathMtu(PathMtuIgnored),
}

const OWN: [(usize, &str); 6] = [
    (0, "NoPeer"),
    (1, "MtuTooSmall"),
    (2, "SegmentTooLong"),
    (3, "RateLimited"),
    (4, "NotOurs"),
    (5, "RoutingLoop"),
];
const ENCAP: usize = OWN.len();
const FRAGMENT: usize = ENCAP.wrapping_add(EncapError::COUNT);
const SILENT: usize = FRAGMENT.wrapping_add(FragmentError::COUNT);
const REFUSED: usize = SILENT.wrapping_add(Silence::COUNT);
const REASSEMBLY: usize = REFUSED.wrapping_add(Reason::COUNT);
const IGNORED: usize = REASSEMBLY.wrapping_add(ReassemblyError::COUNT);
const PATH_MTU: usize = IGNORED.wrapping_add(Ignored::COUNT);

impl Cause {
    /// The length of an array of counters: more than the largest [`index`](Self::index).
    pub const COUNT: usize = PATH_MTU.wrapping_add(PathMtuIgnored::COUNT);

    /// The number of this cause, below [`COUNT`](Self::COUNT).
    ///
    /// It is the same in every program with this version of the crate. Another version may have more causes, and
    /// other numbers then: what is stored or sent elsewhere goes by the names.
    #[inline]
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::NoPeer => 0,
            Self::MtuTooSmall => 1,
            Self::SegmentTooLong => 2,
            Self::RateLimited => 3,
            Self::NotOurs => 4,
            Self::RoutingLoop => 5,
            Self::Encap(error) => ENCAP.wrapping_add(error.counter()),
            Self::Fragment(error) => FRAGMENT.wrapping_add(error.counter()),
            Self::Silent(silence) => SILENT.wrapping_add(silence.index()),
            Self::Refused(refused) => REFUSED.wrapping_add(refused.reason.index()),
            Self::Reassembly(error) => REASSEMBLY.wrapping_add(error.counter()),
            Self::Ignored(ignored) => IGNORED.wrapping_add(ignored.index()),
            Self::PathMtu(ignored) => PATH_MTU.wrapping_add(ignored.index()),
        }
    }

    /// The name of the reason, for logs and counters: `TtlZero` where `Display` says "inner TTL is 0; drop".
    #[inline]
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoPeer => "NoPeer",
            Self::MtuTooSmall => "MtuTooSmall",
            Self::SegmentTooLong => "SegmentTooLong",
            Self::RateLimited => "RateLimited",
            Self::NotOurs => "NotOurs",
            Self::RoutingLoop => "RoutingLoop",
            Self::Encap(error) => error.reason(),
            Self::Fragment(error) => error.reason(),
            Self::Silent(silence) => silence.name(),
            Self::Refused(refused) => refused.name(),
            Self::Reassembly(error) => error.reason(),
            Self::Ignored(ignored) => ignored.name(),
            Self::PathMtu(ignored) => ignored.name(),
        }
    }

    /// Every [`index`](Self::index) with what it is about and the [`name`](Self::name), to export counters.
    /// Names alone may repeat.
    ///
    /// There are fewer than [`COUNT`](Self::COUNT), because some numbers are not in use:
    /// [`EncapError`], [`FragmentError`] and [`ReassemblyError`] keep 16 for [`ParseError`](crate::error::ParseError),
    /// so that a new one moves none of theirs.
    #[inline]
    pub fn counters() -> impl Iterator<Item = (usize, &'static str, &'static str)> {
        fn under(
            about: &'static str,
            first: usize,
            counters: impl Iterator<Item = (usize, &'static str)>,
        ) -> impl Iterator<Item = (usize, &'static str, &'static str)> {
            counters.map(move |(index, name)| (first.wrapping_add(index), about, name))
        }
        under("endpoint", 0, OWN.into_iter())
            .chain(under("encap", ENCAP, EncapError::counters()))
            .chain(under("fragment", FRAGMENT, FragmentError::counters()))
            .chain(under("icmp", SILENT, Silence::NAMES.iter().copied()))
            .chain(under("decap", REFUSED, Reason::NAMES.iter().copied()))
            .chain(under("reassembly", REASSEMBLY, ReassemblyError::counters()))
            .chain(under("report", IGNORED, Ignored::NAMES.iter().copied()))
            .chain(under(
                "path MTU",
                PATH_MTU,
                PathMtuIgnored::NAMES.iter().copied(),
            ))
    }
}

impl fmt::Display for Cause {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPeer => f.write_str("no peer has a prefix that holds the inner destination"),
            Self::MtuTooSmall => {
                f.write_str("the path leaves less than 68 bytes for inner packets")
            }
            Self::SegmentTooLong => {
                f.write_str("the super-packet or its segments are too long; segment it first")
            }
            Self::RateLimited => f.write_str("too many ICMP errors of late; drop"),
            Self::NotOurs => f.write_str("the ICMP error is not about a packet of ours; drop"),
            Self::RoutingLoop => {
                f.write_str("the packet is one of this tunnel; route the peer outside of it")
            }
            Self::Encap(error) => error.fmt(f),
            Self::Fragment(error) => error.fmt(f),
            Self::Silent(silence) => silence.fmt(f),
            Self::Refused(refused) => refused.fmt(f),
            Self::Reassembly(error) => error.fmt(f),
            Self::Ignored(ignored) => ignored.fmt(f),
            Self::PathMtu(ignored) => ignored.fmt(f),
        }
    }
}

const _: () = assert!(size_of::<Cause>() <= 12);
