//! Reasons of [`fragment`](crate::fragment).

use core::fmt;

use super::ParseError;

numbered! {
    /// Why a packet is not split into fragments. No byte of a buffer has changed.
    ///
    /// For counters, use [`counter`](Self::counter), [`reason`](Self::reason) and
    /// [`counters`](Self::counters), as with [`EncapError`](super::EncapError).
    #[cfg_attr(target_pointer_width = "32", repr(align(4)))]
    pub enum FragmentError (21) {
        /// The packet is not a valid IPv4 packet (RFC 1812 §5.2.2), or its options are invalid, so that
        /// nobody can tell which of them to copy (RFC 791 §3.1).
        Packet {
            /// The cause.
            error: ParseError,
        } = 0, "packet: {error}";
        /// The packet exceeds the MTU and has DF set (RFC 791 §2.3, RFC 1191 §4).
        FragmentationNeeded {
            /// The MTU that it exceeds, in bytes. An ICMP 3/4 message reports this value.
            mtu: u16,
        } = 16, "DF is set; drop and send ICMP 3/4 with MTU {mtu}";
        /// The MTU has no room for the header and 8 bytes of data (RFC 791 §3.2).
        MtuTooSmall {
            /// The MTU, in bytes.
            mtu: u16,
            /// The least MTU that would do, in bytes.
            need: u16,
        } = 17, "MTU of {mtu} bytes, {need} needed for a header and 8 bytes; drop, or use another link";
        /// The packet is a fragment of a datagram that would exceed 65535 bytes, so its fragments would
        /// have offsets that the header cannot hold (RFC 791 §3.1).
        ReassembledTooLong = 18, "fragment of a datagram above 65535 bytes; drop";
        /// The buffer is shorter than the fragment, or ends in front of it.
        NoRoom {
            /// Bytes needed.
            need: u16,
            /// Bytes present.
            have: u16,
        } = 19, "{need} bytes of buffer needed, {have} present; pass a longer one";
        /// The packet is not the one that the plan was made for: header length or total length differ.
        OtherPacket = 20, "packet is not the one that was planned; plan again";
    }
}

numbered! {
    /// Why a fragment was dropped. Unless said otherwise, so is the datagram that it belongs to, with all
    /// its later fragments until the timeout (RFC 5722 §4).
    ///
    /// Drop it silently and count it. For counters, use [`counter`](Self::counter),
    /// [`reason`](Self::reason) and [`counters`](Self::counters), as with
    /// [`EncapError`](super::EncapError).
    #[cfg_attr(target_pointer_width = "32", repr(align(4)))]
    pub enum ReassemblyError (27) {
        /// The fragment is not a valid IPv4 packet (RFC 1812 §5.2.2). Nobody knows its datagram.
        Packet {
            /// The cause.
            error: ParseError,
        } = 0, "fragment: {error}";
        /// The packet is whole: MF is clear and the offset is 0. Nothing was dropped.
        NotFragment = 16, "packet is whole; take it as it is";
        /// The fragment has no data.
        EmptyFragment = 17, "fragment without data; drop and count";
        /// The fragment has MF set and its data is not a multiple of 8 bytes (RFC 791 §3.1).
        BadFragmentLength {
            /// The length of its data, in bytes.
            len: u16,
        } = 18, "{len} bytes of data with MF set, not a multiple of 8; drop and count";
        /// The datagram would exceed 65535 bytes (RFC 791 §3.1): the ping of death.
        ReassembledTooLong = 19, "datagram would exceed 65535 bytes; drop and count";
        /// The fragment overlaps others and is not an exact copy of one (RFC 5722 §4).
        OverlappingFragment = 20, "fragments overlap; drop and count";
        /// Two last fragments have different ends, or a fragment has data behind the end.
        InconsistentEnd = 21, "fragments disagree where the datagram ends; drop and count";
        /// Some fragments are Not-ECT and others are not (RFC 9601 §5).
        EcnFragmentMix = 22, "Not-ECT is mixed with other ECN fields; drop and count";
        /// The fragment has MF set and less data than [`Limits::min_len`](crate::fragment::Limits::min_len).
        TooSmall {
            /// The length of its data, in bytes.
            len: u16,
        } = 23, "{len} bytes of data with MF set, below the limit; drop and count, or lower the limit";
        /// The datagram has more fragments than
        /// [`Limits::max_fragments`](crate::fragment::Limits::max_fragments).
        TooManyFragments = 24, "more fragments than the limit; drop and count, or raise the limit";
        /// The payload of the datagram does not fit a slot.
        SlotTooShort {
            /// Length of the payload up to the end of this fragment, in bytes.
            need: u16,
            /// The longest payload that fits, in bytes. 0 if there are no slots.
            have: u16,
        } = 25, "payload of {need} bytes or more, a slot holds {have}; drop and count, or give the slots more memory";
        /// A fragment of the datagram was dropped before, and the timeout is not over.
        Discarded = 26, "the datagram was dropped before; drop and count";
    }
}

numbered! {
    /// Why the reassembler gave up a datagram that was not complete.
    pub enum Eviction (4) {
        /// Its timeout is over (RFC 791 §3.2, RFC 1122 §3.3.2).
        TimedOut = 0, "fragments missing at the timeout";
        /// Another datagram needed its slot.
        SlotNeeded = 1, "its slot was needed; provide more slots if this is frequent";
        /// Its peer began more datagrams than [`Limits::per_peer`](crate::fragment::Limits::per_peer).
        PeerLimit = 2, "its peer holds as many slots as it may";
        /// Its peer began more than [`Limits::max_distance`](crate::fragment::Limits::max_distance)
        /// datagrams since. The identification was probably used again (RFC 4963).
        Overtaken = 3, "too many younger datagrams of its peer; the identification is probably used again";
    }
}

numbered! {
    /// Why a fragment, or a packet, looks like an attack on a packet filter behind the tunnel (RFC 1858, RFC
    /// 3128).
    pub enum FragmentAttack (2) {
        /// A TCP header that ends before its flags: a filter cannot judge it, and the rest may follow in
        /// another fragment (RFC 1858 §3.2.1).
        TinyFirstFragment = 0, "TCP header ends before its flags; drop and count";
        /// A TCP fragment at offset 8: it would overwrite the flags that a filter has judged (RFC 1858 §4.2,
        /// RFC 3128).
        OverlappingHeader = 1, "TCP fragment at offset 8 overwrites the flags; drop and count";
    }
}

/// How errors that contain a [`ParseError`] are counted.
macro_rules! counted_with_parse_errors {
    ($($Error:ident),+) => { $(
        impl From<ParseError> for $Error {
            #[inline]
            fn from(error: ParseError) -> Self {
                Self::Packet { error }
            }
        }

        impl $Error {
            /// The name of the reason; for an invalid packet the name of its [`ParseError`].
            #[inline]
            #[must_use]
            pub const fn reason(self) -> &'static str {
                match self {
                    Self::Packet { error } => error.name(),
                    other => other.name(),
                }
            }

            /// The stable number of the reason, below [`COUNT`](Self::COUNT). Numbers 0 to 15 are
            /// [`ParseError`]'s.
            #[inline]
            #[must_use]
            pub const fn counter(self) -> usize {
                match self {
                    Self::Packet { error } => error.index(),
                    other => other.index(),
                }
            }

            /// Every [`counter`](Self::counter) with its [`reason`](Self::reason), to export counters.
            #[inline]
            pub fn counters() -> impl Iterator<Item = (usize, &'static str)> {
                let own = Self::NAMES.iter().filter(|(_, name)| *name != "Packet");
                ParseError::NAMES.iter().chain(own).copied()
            }
        }

        const _: () = assert!(size_of::<$Error>() <= 8);
    )+ };
}
counted_with_parse_errors!(FragmentError, ReassemblyError);
