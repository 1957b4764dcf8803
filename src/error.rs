//! Error types: small `Copy` values of at most 8 bytes.
//!
//! | type | cause | meaning |
//! |---|---|---|
//! | [`ParseError`] | the bytes | they are not the expected header |
//! | [`EncapError`] | the caller | the packet cannot go into the tunnel |
//! | [`Refused`] | the peer, or an attacker with its address | the decapsulator dropped the packet |
//! | [`Silence`] | the packet, or who sent it | no ICMP error is sent about it |
//! | [`Ignored`] | a router, or an attacker | a received ICMP message has no effect |
//! | [`FragmentError`] | the caller | the packet cannot be split |
//! | [`ReassemblyError`] | the peer, or an attacker with its address | the reassembler dropped a fragment |
//! | [`Eviction`] | time, or too many datagrams at once | the reassembler gave up a datagram |
//! | [`FragmentAttack`] | an attacker | the packet is built to deceive a filter |
//! | [`PathMtuIgnored`] | a router, or an attacker with its address | a report that a packet was too big changes nothing |
//! | [`ConfigError`] | the configuration | the tunnel cannot be built |
//! | [`PrefixError`] | the configuration | the text is not an IPv4 prefix |
//! | [`TableError`] | the configuration | the table has no room for a prefix |
//! | [`PeerError`] | the configuration | the table of peers cannot be changed as asked |
//!
//! Byte streams have [`FrameError`](crate::stream::FrameError) and
//! [`StreamError`](crate::stream::StreamError).
//!
//! Every reason for a drop has a name and a stable number below the `COUNT` of its type, so drop counters are a
//! plain array. ([`ConfigError`] and [`PrefixError`] are for set-up and have neither.)
//!
//! ```
//! use ipencap::error::{Reason, Refused};
//!
//! let mut drops = [0u64; Reason::COUNT];
//! let refused = Refused::new(Reason::UnknownPeer);
//! if let Some(counter) = drops.get_mut(refused.reason.index()) {
//!     *counter += 1;
//! }
//! assert_eq!(drops[Reason::UnknownPeer.index()], 1);
//! assert_eq!(Reason::UnknownPeer.name(), "UnknownPeer");
//! ```

use core::fmt;

/// Defines an error enum. Each variant has a stable number and a message with the action to take.
macro_rules! numbered {
    (
        $(#[$meta:meta])*
        pub enum $Name:ident ($count:literal) {
            $( $(#[$vmeta:meta])* $Variant:ident $({ $( $(#[$fmeta:meta])* $field:ident : $ty:ty),+ $(,)? })? = $number:literal, $message:literal; )+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        #[non_exhaustive]
        #[repr(u8)]
        pub enum $Name {
            $( $(#[$vmeta])* $Variant $({ $( $(#[$fmeta])* $field : $ty),+ })? = $number, )+
        }

        impl $Name {
            /// The length of an array of counters: more than the largest [`index`](Self::index).
            pub const COUNT: usize = $count;

            /// The stable number of this reason, below [`COUNT`](Self::COUNT).
            #[inline]
            #[must_use]
            pub const fn index(self) -> usize {
                match self {
                    $( Self::$Variant { .. } => $number, )+
                }
            }

            /// The name of the variant, for logs and counters.
            #[inline]
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $( Self::$Variant { .. } => stringify!($Variant), )+
                }
            }

            /// All numbers with their names, in ascending order.
            pub const NAMES: &'static [(usize, &'static str)] = &[
                $( ($number, stringify!($Variant)), )+
            ];
        }

        impl fmt::Display for $Name {
            #[inline]
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match *self {
                    $( Self::$Variant $({ $($field),+ })? => write!(f, $message), )+
                }
            }
        }

        impl core::error::Error for $Name {}
    };
}
pub(crate) use numbered;

mod fragment;
mod icmp;

pub use fragment::{Eviction, FragmentAttack, FragmentError, ReassemblyError};
pub use icmp::{Ignored, PathMtuIgnored, Silence};

numbered! {
    /// Why bytes are not a valid header. Lengths are in bytes.
    ///
    /// Drop such a packet and count it. Do not send an ICMP error (RFC 1812 §4.3.2.7).
    pub enum ParseError (8) {
        /// There are fewer bytes than the header or its length field needs (RFC 1812 §5.2.2).
        Truncated {
            /// Bytes needed.
            need: u16,
            /// Bytes present.
            have: u16,
        } = 0, "truncated: {need} bytes needed, {have} present; read more or drop";
        /// The IP version is not 4 (RFC 1812 §5.2.2). The packet belongs to another protocol, or a link
        /// prefix precedes it, such as the 4-byte address family of some TUN devices.
        BadVersion {
            /// The value of the version field.
            version: u8,
        } = 1, "IP version {version}, not 4; hand it to that protocol, or skip a link prefix";
        /// The IPv4 header length (IHL) is below 5 words (RFC 1812 §5.2.2).
        BadIhl {
            /// The value of the IHL field, in 4-byte words.
            ihl: u8,
        } = 2, "header length of {ihl} words, at least 5 needed; drop";
        /// The checksum is wrong (RFC 1812 §5.2.2).
        BadChecksum = 3, "checksum does not verify; drop";
        /// The total length is less than the header length (RFC 1812 §5.2.2). Segmentation offload
        /// leaves a 0 there.
        BadTotalLength {
            /// The value of the total length field, in bytes.
            total_len: u16,
        } = 4, "total length {total_len} is below the header length; drop, or switch segmentation offload off";
        /// The UDP length is below 8 bytes (RFC 768).
        BadUdpLength {
            /// The value of the UDP length field, in bytes.
            len: u16,
        } = 5, "UDP length {len} is below 8; drop";
        /// The TCP data offset is below 5 words (RFC 9293 §3.1).
        BadDataOffset {
            /// The value of the data offset field, in 4-byte words.
            words: u8,
        } = 6, "TCP data offset of {words} words, at least 5 needed; drop";
        /// An option's length is below 2 or exceeds the header (RFC 791 §3.1).
        BadOption {
            /// The kind of the option; RFC 791 calls it type.
            kind: u8,
        } = 7, "option {kind} has a length outside of the header; ignore the options or drop";
    }
}

numbered! {
    /// Why a packet cannot go into a tunnel. No byte of the buffer has changed.
    ///
    /// For counters, use [`counter`](Self::counter), [`reason`](Self::reason) and
    /// [`counters`](Self::counters): they distinguish the causes of an invalid inner packet.
    /// [`index`](Self::index), [`name`](Self::name) and [`NAMES`](Self::NAMES) have one entry for all of
    /// them, `Inner`.
    pub enum EncapError (33) {
        /// The inner packet is not a valid IPv4 packet (RFC 1812 §5.2.2).
        Inner {
            /// The cause.
            error: ParseError,
        } = 0, "inner packet: {error}";
        /// There are too few free bytes in front of the inner packet.
        NoHeadroom {
            /// Length of the tunnel's headers, in bytes.
            need: u16,
            /// Free bytes in front of the inner packet.
            have: u16,
        } = 16, "{need} bytes of headroom needed, {have} free; place the packet further back";
        /// The outer packet, or the frame on a stream, would exceed 65535 bytes (RFC 791 §3.1).
        TooLong {
            /// The length it would have, in bytes.
            len: u32,
        } = 17, "{len} bytes with headers or prefix exceed 65535; send a shorter packet";
        /// The inner TTL is 0 (RFC 2003 §3.1).
        TtlZero = 18, "inner TTL is 0; drop";
        /// Forwarding would decrement the inner TTL to 0 (RFC 2003 §3.1).
        TtlExpired = 19, "inner TTL expires here; drop and send ICMP 11/0";
        /// The inner source is the tunnel's exit, so the packet would loop (RFC 2003 §3.2).
        LoopToExit {
            /// The layer that refuses, counted from the innermost, 0.
            layer: u8,
        } = 20, "inner source is the tunnel exit of layer {layer}; drop, the route loops";
        /// A forwarded packet has the encapsulator's address as its source (RFC 2003 §3.2).
        LoopOwnSource {
            /// The layer that refuses, counted from the innermost, 0.
            layer: u8,
        } = 21, "inner source is the encapsulator of layer {layer}; drop, the route loops";
        /// The outer packet would exceed the MTU of the link (RFC 2003 §5.1). Whether the inner packet has
        /// DF, which asks for an ICMP message, or may be fragmented, is for the caller to see.
        FragmentationNeeded {
            /// The longest inner packet that fits, in bytes. An ICMP 3/4 message reports this value
            /// (RFC 1191 §4). Do not report a value below 68: such a link cannot carry IPv4 (RFC 791
            /// §3.2).
            mtu: u16,
        } = 22, "outer packet exceeds the link; send ICMP 3/4 with MTU {mtu} if DF is set, else fragment; below MTU 68 the link carries no IPv4 through this tunnel";
        /// The outer DF flag is clear, but the packet has no identification (RFC 6864 §4.3). Set
        /// [`PerPacket::with_identification`](crate::packet::PerPacket::with_identification).
        NoIdentification = 23, "outer DF is clear and the packet has no identification; set PerPacket::with_identification";
        /// The inner TCP or UDP checksum is not filled in yet
        /// ([`InnerChecksum::Partial`](crate::packet::InnerChecksum::Partial)), and the outer checksum cannot be
        /// computed from the headers alone, or an endpoint would have to split the packet.
        PartialChecksum = 24, "inner checksum is partial, but the outer one covers all bytes or the packet is split; fill it in first";
        /// The tunnel writes sequence numbers, but the packet has none (RFC 2890 §2.2). Set
        /// [`PerPacket::with_sequence`](crate::packet::PerPacket::with_sequence).
        NoSequence = 25, "the tunnel numbers its packets; set PerPacket::with_sequence";
        /// The inner packet is a fragment, which minimal encapsulation cannot carry (RFC 2004 §3).
        Fragment = 26, "minimal encapsulation cannot carry fragments; use another tunnel";
        /// The inner source is not the encapsulator, and minimal encapsulation is configured to omit the
        /// original source (RFC 2004 §3).
        SourceNotKept = 27, "inner source is not the encapsulator's; configure the tunnel to keep it";
        /// A checksum covers the packet's bytes, but [`header`](crate::encap::header) has only
        /// [`Facts`](crate::packet::Facts) without their sum.
        UnknownSum = 28, "the checksum covers the packet's bytes; read it with Facts::summed";
        /// The inner packet has a source route. Minimal encapsulation would leave it in the outer header,
        /// where decapsulators refuse it (RFC 2004 §3, RFC 7126 §4.3).
        SourceRoute = 29, "minimal encapsulation leaves the source route in the outer header; use another tunnel";
        /// Minimal encapsulation moves the inner header, so [`header`](crate::encap::header) cannot
        /// return its headers by value.
        NotByValue = 30, "minimal encapsulation has no headers by value; wrap the packet in place";
        /// A socket of the host writes UDP and TCP headers only, and the tunnel has neither.
        NoPayloadForm = 31, "the tunnel is not in UDP or TCP; use a raw socket";
    }
}

numbered! {
    /// Why a prefix cannot go into a table. The table has not changed.
    pub enum TableError (4) {
        /// Every entry of the table's memory is in use.
        Full = 0, "the table is full; give it more entries";
    }
}

numbered! {
    /// Why a table of peers cannot be changed as asked. It has not changed.
    pub enum PeerError (8) {
        /// Every place for a peer is taken.
        NoPlace = 0, "every place for a peer is taken; give the table more slots";
        /// Another peer sends from the same address, with the same protocol and the same port or key.
        NotDistinct = 1, "another peer sends the same; tell them apart by port, key or address";
        /// There is no memory for another inner prefix.
        PrefixesFull = 2, "the table of prefixes is full; give it more entries";
        /// There is no such peer, or no longer.
        NoPeer = 3, "there is no such peer; it may have been removed";
        /// The peer, with its prefixes, is another tenant's.
        OtherTenant = 4, "the peer's prefixes are another tenant's; remove it and add it anew";
        /// There is no memory for another own address, or for another UDP or TCP port of one: the entries `own` of
        /// [`PeerTable::new`](crate::tunnel::PeerTable::new).
        OwnFull = 5, "the table of own addresses is full; give it two entries for each address with a port, one for each without";
    }
}

impl From<ParseError> for EncapError {
    #[inline]
    fn from(error: ParseError) -> Self {
        Self::Inner { error }
    }
}

impl EncapError {
    /// The name of the reason; for an invalid inner packet the name of its [`ParseError`].
    ///
    /// ```
    /// use ipencap::error::{EncapError, ParseError};
    /// assert_eq!(EncapError::from(ParseError::BadChecksum).reason(), "BadChecksum");
    /// assert_eq!(EncapError::TtlZero.reason(), "TtlZero");
    /// ```
    #[inline]
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Inner { error } => error.name(),
            other => other.name(),
        }
    }

    /// The stable number of the reason, below [`COUNT`](Self::COUNT). Numbers 0 to 15 are
    /// [`ParseError`]'s.
    #[inline]
    #[must_use]
    pub const fn counter(self) -> usize {
        match self {
            Self::Inner { error } => error.index(),
            other => other.index(),
        }
    }

    /// Every [`counter`](Self::counter) with its [`reason`](Self::reason), to export counters.
    ///
    /// ```
    /// use ipencap::error::{EncapError, ParseError};
    ///
    /// let mut drops = [0u64; EncapError::COUNT];
    /// drops[EncapError::from(ParseError::BadChecksum).counter()] += 1;
    /// let mut seen = EncapError::counters().filter(|&(counter, _)| drops[counter] > 0);
    /// assert_eq!(seen.next(), Some((3, "BadChecksum")));
    /// ```
    #[inline]
    pub fn counters() -> impl Iterator<Item = (usize, &'static str)> {
        let own = Self::NAMES.iter().filter(|(_, name)| *name != "Inner");
        ParseError::NAMES.iter().chain(own).copied()
    }
}

numbered! {
    /// Why a decapsulator refused a packet.
    ///
    /// Never answer such a packet with an ICMP error. The answer would help scanners and reflect spoofed
    /// packets (RFC 4213 §3.6).
    pub enum Reason (51) {
        /// Outer header length or total length exceeds the bytes present (RFC 1812 §5.2.2).
        OuterTruncated = 0, "outer packet is truncated";
        /// Outer version is not 4 (RFC 1812 §5.2.2).
        OuterBadVersion = 1, "outer version is not 4";
        /// Outer IHL is below 5 words (RFC 1812 §5.2.2).
        OuterBadIhl = 2, "outer header length is below 5 words";
        /// Outer header checksum is wrong (RFC 1812 §5.2.2).
        OuterBadChecksum = 3, "outer header checksum does not verify";
        /// Outer total length is less than the header length (RFC 1812 §5.2.2).
        OuterBadTotalLength = 4, "outer total length is below its header";
        /// Outer packet is a fragment (RFC 7588 §3.4).
        OuterFragment = 5, "outer packet is a fragment; reassemble first if the tunnel needs it";
        /// Outer protocol or destination port is not this tunnel's.
        NotTunnel = 6, "outer protocol is not this tunnel's";
        /// Outer destination is not a local address of the tunnel (RFC 4213 §3.6).
        OuterDstNotLocal = 7, "outer destination is not this decapsulator";
        /// Outer source cannot be a peer: 0.0.0.0/8, loopback, multicast, class E or a local address
        /// (RFC 1122 §3.2.1.3, RFC 1812 §5.3.7).
        OuterMartianSource = 8, "outer source cannot be a peer";
        /// Outer source is not a configured peer (RFC 4213 §3.6, CVE-2020-10136).
        UnknownPeer = 9, "outer source is not a configured peer";
        /// Outer header has a source route option (RFC 7126 §4.3, §4.4).
        OuterSourceRoute = 10, "outer header carries a source route";
        /// Inner header length or total length exceeds the bytes present (RFC 1812 §5.2.2).
        InnerTruncated = 11, "inner packet is truncated";
        /// Inner version is not 4 (RFC 1812 §5.2.2).
        InnerBadVersion = 12, "inner version is not 4";
        /// Inner IHL is below 5 words (RFC 1812 §5.2.2).
        InnerBadIhl = 13, "inner header length is below 5 words";
        /// Inner header checksum is wrong (RFC 1812 §5.2.2).
        InnerBadChecksum = 14, "inner header checksum does not verify";
        /// Inner total length is less than the header length (RFC 1812 §5.2.2).
        InnerBadTotalLength = 15, "inner total length is below its header";
        /// Bytes follow the inner packet, and the receiver requires an exact length. TCP always does.
        InnerLengthMismatch = 16, "inner total length is not the payload's length";
        /// Inner TTL is 0 (RFC 2003 §3.1).
        InnerTtlZero = 17, "inner TTL is 0";
        /// Inner source is in 0.0.0.0/8, loopback, multicast or class E (RFC 1812 §5.3.7).
        InnerMartianSource = 18, "inner source cannot be a source";
        /// Inner source is one of the decapsulator's own addresses (RFC 2003 §3.2).
        InnerSourceIsLocal = 19, "inner source is one of our own addresses";
        /// Inner source and destination equal the outer ones. Such packets can nest without end.
        InnerEqualsOuter = 20, "inner addresses equal the outer ones";
        /// Inner source is not in one of the peer's prefixes (RFC 2827, RFC 4213 §4).
        InnerSourceNotAllowed = 21, "inner source is outside of the peer's prefixes";
        /// Inner destination is in 0.0.0.0/8, loopback, class E, or multicast unless allowed (RFC 1812
        /// §5.3.7).
        InnerMartianDestination = 22, "inner destination cannot be delivered to";
        /// Inner destination is the peer or another tunnel endpoint: the packet would go back and forth
        /// (RFC 2784 §3.1).
        LoopToPeer = 23, "inner destination is a tunnel endpoint, the packet would go straight back";
        /// Inner packet is another tunnel packet for this host, beyond the nesting limit (RFC 2473
        /// §4.1.1).
        NestingLimit = 24, "inner packet is a tunnel packet beyond the nesting limit";
        /// Outer ECN field is CE and the inner one Not-ECT (RFC 6040 §4.2).
        EcnDrop = 25, "congestion was marked on a packet whose inner header forbids marks";
        /// Inner source equals inner destination (LAND attack), and the receiver refuses that.
        InnerSourceEqualsDestination = 26, "inner source equals inner destination";
        /// UDP header or UDP length exceeds the bytes present (RFC 768).
        UdpTruncated = 27, "UDP datagram is truncated";
        /// UDP length is below 8 bytes (RFC 768).
        UdpBadLength = 28, "UDP length is below its header";
        /// UDP checksum is wrong (RFC 1122 §4.1.3.4).
        UdpBadChecksum = 29, "UDP checksum does not verify";
        /// UDP checksum is absent, and the receiver requires one (RFC 8086 §6.1).
        UdpChecksumRequired = 30, "UDP checksum is absent and required";
        /// GUE header exceeds the bytes present (draft-ietf-intarea-gue-09 §3.1).
        GueTruncated = 31, "GUE header is truncated";
        /// GUE variant is 2 or 3 (draft-ietf-intarea-gue-09 §2).
        GueBadVersion = 32, "GUE variant is unknown";
        /// GUE variant 1, but the payload is not IPv4 (draft-ietf-intarea-gue-09 §4).
        GueBadVariant1Version = 33, "GUE variant 1 does not carry IPv4";
        /// GUE control message, which the caller may handle (draft-ietf-intarea-gue-09 §3.2.2).
        GueControl = 34, "GUE control message, no packet inside";
        /// GUE flags are not all 0; this crate supports none (draft-ietf-intarea-gue-09 §3.3).
        GueUnknownFlags = 35, "GUE flags are not understood";
        /// GUE protocol is 0, which is reserved.
        GueProtoZero = 36, "GUE protocol is 0";
        /// GUE protocol is 59, no next header: a keepalive (draft-ietf-intarea-gue-09 §3.2.1).
        GueNoNextHeader = 37, "GUE keepalive, no packet inside";
        /// GUE protocol is not 4, IPv4.
        UnsupportedInnerProtocol = 38, "carrier's payload is not IPv4";
        /// GRE header exceeds the bytes present (RFC 2784 §2.1, RFC 2890 §2).
        GreTruncated = 39, "GRE header is truncated";
        /// GRE version is not 0 (RFC 2784 §2.3.1).
        GreBadVersion = 40, "GRE version is not 0";
        /// GRE header has a routing, strict source route or recursion control bit (RFC 2784 §2.3).
        GreReservedBits = 41, "GRE reserved bits are set";
        /// GRE checksum is wrong, or present or absent against the configuration (RFC 2784 §2.5).
        GreBadChecksum = 42, "GRE checksum does not verify, or its presence is not what was configured";
        /// GRE key is not the configured one, or only one of the two exists (RFC 2890 §2.1).
        GreKeyMismatch = 43, "GRE key is not the configured one";
        /// GRE protocol type is not IPv4 (RFC 2784 §2.4).
        GreUnsupportedProtocol = 44, "GRE payload is not IPv4";
        /// TCP header or length prefix exceeds the bytes present (RFC 9293 §3.1).
        TcpTruncated = 45, "TCP segment is truncated";
        /// TCP data offset is below 5 words (RFC 9293 §3.1).
        TcpBadOffset = 46, "TCP data offset is below its header";
        /// TCP checksum is wrong (RFC 9293 §3.1).
        TcpBadChecksum = 47, "TCP checksum does not verify";
        /// Minimal encapsulation header exceeds the bytes present (RFC 2004 §3).
        MinTruncated = 48, "minimal encapsulation header is truncated";
        /// Minimal encapsulation header checksum is wrong (RFC 2004 §3).
        MinBadChecksum = 49, "minimal encapsulation checksum does not verify";
        /// GRE sequence number is missing, and the receiver requires one (RFC 2890 §2.2).
        GreSequence = 50, "GRE sequence number is missing";
    }
}

/// A packet that a decapsulator refused: the reason, the layer and, for short packets, the lengths.
/// No byte has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
// In words: 32-bit processors copy it in fewer instructions.
#[cfg_attr(target_pointer_width = "32", repr(C, align(4)))]
pub struct Refused {
    /// The first check that failed.
    pub reason: Reason,
    /// The layer that refused, counted from the outermost, 0.
    pub layer: u8,
    /// Bytes needed if the packet is truncated, otherwise 0.
    pub need: u16,
    /// Bytes present if the packet is truncated, otherwise 0.
    pub have: u16,
}

impl Refused {
    /// A refusal by the outermost layer, without lengths.
    #[inline]
    #[must_use]
    pub const fn new(reason: Reason) -> Self {
        Self {
            reason,
            layer: 0,
            need: 0,
            have: 0,
        }
    }

    /// The refusal for an invalid outer header.
    #[inline]
    #[must_use]
    pub const fn outer(error: ParseError) -> Self {
        Self::from_parse(
            error,
            [
                Reason::OuterTruncated,
                Reason::OuterBadVersion,
                Reason::OuterBadIhl,
                Reason::OuterBadChecksum,
                Reason::OuterBadTotalLength,
            ],
        )
    }

    /// The refusal for an invalid inner header.
    #[inline]
    #[must_use]
    pub const fn inner(error: ParseError) -> Self {
        Self::from_parse(
            error,
            [
                Reason::InnerTruncated,
                Reason::InnerBadVersion,
                Reason::InnerBadIhl,
                Reason::InnerBadChecksum,
                Reason::InnerBadTotalLength,
            ],
        )
    }

    /// The same refusal, `layers` layers further inside.
    #[inline]
    #[must_use]
    pub const fn inside(self, layers: u8) -> Self {
        Self {
            layer: self.layer.saturating_add(layers),
            ..self
        }
    }

    /// A refusal with the lengths of `error`, if it is [`ParseError::Truncated`].
    #[inline]
    #[must_use]
    pub const fn truncated(reason: Reason, error: ParseError) -> Self {
        match error {
            ParseError::Truncated { need, have } => Self {
                reason,
                layer: 0,
                need,
                have,
            },
            _ => Self::new(reason),
        }
    }

    const fn from_parse(error: ParseError, reasons: [Reason; 5]) -> Self {
        let [truncated, version, ihl, checksum, total_length] = reasons;
        match error {
            ParseError::Truncated { need, have } => Self {
                reason: truncated,
                layer: 0,
                need,
                have,
            },
            ParseError::BadVersion { .. } => Self::new(version),
            ParseError::BadIhl { .. } => Self::new(ihl),
            ParseError::BadChecksum => Self::new(checksum),
            ParseError::BadTotalLength { .. }
            | ParseError::BadUdpLength { .. }
            | ParseError::BadDataOffset { .. }
            | ParseError::BadOption { .. } => Self::new(total_length),
        }
    }

    /// The name of the reason.
    #[inline]
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.reason.name()
    }
}

impl fmt::Display for Refused {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (layer {}", self.reason, self.layer)?;
        if self.need > 0 {
            write!(f, ", {} bytes needed, {} present", self.need, self.have)?;
        }
        f.write_str("); drop silently and count")
    }
}

impl core::error::Error for Refused {}

/// Why a configuration is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ConfigError {
    /// The outer source is in 0.0.0.0/8, loopback, multicast, class E or broadcast (RFC 1122
    /// §3.2.1.3).
    ForbiddenSource,
    /// The outer destination is not a unicast address (RFC 2003 §3.1).
    ForbiddenDestination,
    /// The prefix length is above 32, or the address has bits set beyond the prefix.
    BadPrefix,
    /// There are more than 31 private words, the most that fit a GUE header.
    TooManyPrivateWords,
    /// The TCP options are longer than 40 bytes, or their length is not a multiple of 4 (RFC 9293 §3.1).
    BadTcpOptions,
    /// The IPv4 options are longer than 40 bytes, or their length is not a multiple of 4 (RFC 791 §3.1).
    BadIpv4Options,
}

/// Why text is not an IPv4 prefix of the form `address/length`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum PrefixError {
    /// The `/` is missing.
    NoLength,
    /// The part before the `/` is not an IPv4 address.
    BadAddress,
    /// The part after the `/` is not a decimal number from 0 to 32.
    BadLength,
    /// The address has bits set beyond the prefix.
    HostBits,
}

impl fmt::Display for PrefixError {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoLength => "a prefix needs a length: write 10.1.0.5/32 for one address",
            Self::BadAddress => "the part of a prefix before the slash must be an IPv4 address",
            Self::BadLength => "the part of a prefix after the slash must be a length of 0 to 32",
            Self::HostBits => "the address has bits set beyond the prefix; set them to 0",
        })
    }
}

impl core::error::Error for PrefixError {}

impl fmt::Display for ConfigError {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ForbiddenSource => {
                "the outer source must be unicast: not 0/8, loopback, multicast or class E"
            }
            Self::ForbiddenDestination => {
                "the outer destination must be unicast: not 0/8, loopback, multicast or class E"
            }
            Self::BadPrefix => "a prefix is an address without host bits and a length of 0 to 32",
            Self::TooManyPrivateWords => "a GUE header takes at most 31 private words",
            Self::BadTcpOptions => "TCP options are at most 40 bytes, in words of 4",
            Self::BadIpv4Options => "IPv4 options are at most 40 bytes, in words of 4",
        })
    }
}

impl core::error::Error for ConfigError {}

const _: () = assert!(size_of::<ParseError>() <= 8);
const _: () = assert!(size_of::<EncapError>() <= 8);
const _: () = assert!(size_of::<Refused>() <= 8);
const _: () = assert!(size_of::<ConfigError>() <= 8);
const _: () = assert!(size_of::<PrefixError>() <= 8);
const _: () = assert!(size_of::<TableError>() <= 8);
