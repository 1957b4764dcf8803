//! What can go wrong, and whose fault it is.
//!
//! Small `Copy` types, at most 8 bytes each:
//!
//! | type | at fault | meaning |
//! |---|---|---|
//! | [`ParseError`] | the bytes | they are not the header that was asked for |
//! | [`EncapError`] | the caller | this packet cannot go into this tunnel |
//! | [`Refused`] | the peer, or somebody who poses as it | a decapsulator will not open this packet |
//!
//! [`ConfigError`] is for a tunnel that must not be built at all; byte streams have a
//! [`FrameError`](crate::stream::FrameError) and a [`StreamError`](crate::stream::StreamError).
//!
//! Each reason has a stable number below its type's `COUNT`, and a name, so that counters are a plain
//! array:
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

/// Writes an enum whose variants have a stable number, a name and a sentence that says what to do.
macro_rules! numbered {
    (
        $(#[$meta:meta])*
        pub enum $Name:ident ($count:literal) {
            $( $(#[$vmeta:meta])* $Variant:ident $({ $( $(#[$fmeta:meta])* $field:ident : $ty:ty),+ $(,)? })? = $number:literal, $say:literal; )+
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
            /// One more than the largest [`index`](Self::index): the length of an array of counters.
            pub const COUNT: usize = $count;

            /// The stable number of this reason, below [`COUNT`](Self::COUNT).
            #[inline]
            #[must_use]
            pub const fn index(self) -> usize {
                match self {
                    $( Self::$Variant { .. } => $number, )+
                }
            }

            /// The bare name of the variant, for logs and counters.
            #[inline]
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $( Self::$Variant { .. } => stringify!($Variant), )+
                }
            }

            /// Every name with its number, in the order of the numbers.
            pub const NAMES: &'static [(usize, &'static str)] = &[
                $( ($number, stringify!($Variant)), )+
            ];
        }

        impl fmt::Display for $Name {
            #[inline]
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match *self {
                    $( Self::$Variant $({ $($field),+ })? => write!(f, $say), )+
                }
            }
        }

        impl core::error::Error for $Name {}
    };
}
pub(crate) use numbered;

numbered! {
    /// Why bytes are not the header that was asked for.
    ///
    /// Lengths are in bytes. What to do with such a packet: drop it and count it; never answer it.
    pub enum ParseError (8) {
        /// Fewer bytes than the header or its total length needs (V-01, V-04, V-07; RFC 1812 §5.2.2).
        Truncated {
            /// Bytes needed.
            need: u16,
            /// Bytes present.
            have: u16,
        } = 0, "truncated: {need} bytes needed, {have} present; read more or drop";
        /// The version nibble is not 4 (V-02): another protocol, or a prefix such as the 4-byte
        /// address family of some TUN devices in front of the packet.
        BadVersion {
            /// The version nibble found.
            version: u8,
        } = 1, "IP version {version}, not 4; hand it to that protocol, or skip a link prefix";
        /// The header length nibble is below 5 words (V-03).
        BadIhl {
            /// The IHL nibble found, in 4-byte words.
            ihl: u8,
        } = 2, "header length of {ihl} words, at least 5 needed; drop";
        /// The checksum does not verify (V-05; RFC 1812 §5.2.2).
        BadChecksum = 3, "checksum does not verify; drop";
        /// The total length is smaller than the header, or zero as left by segmentation offload
        /// (V-06, V-09).
        BadTotalLength {
            /// The total length found, in bytes.
            total_len: u16,
        } = 4, "total length {total_len} is below the header length; drop, or switch segmentation offload off";
        /// The UDP length is below 8 (U-07; RFC 768).
        BadUdpLength {
            /// The UDP length found, in bytes.
            len: u16,
        } = 5, "UDP length {len} is below 8; drop";
        /// The TCP data offset is below 5 words (S-01; RFC 9293 §3.1).
        BadDataOffset {
            /// The data offset found, in 4-byte words.
            words: u8,
        } = 6, "TCP data offset of {words} words, at least 5 needed; drop";
        /// An option's length is below 2 or runs out of the header (V-13; RFC 791 §3.1).
        BadOption {
            /// The kind (type) of the option.
            kind: u8,
        } = 7, "option {kind} has a length outside of the header; ignore the options or drop";
    }
}

numbered! {
    /// Why a packet cannot go into a tunnel: the caller's side.
    ///
    /// On any of these no byte of the buffer has changed (E-23). To count them, use
    /// [`counter`](Self::counter), [`reason`](Self::reason) and [`counters`](Self::counters), which tell
    /// what is wrong with an invalid inner packet; [`index`](Self::index), [`name`](Self::name) and
    /// [`NAMES`](Self::NAMES) take all of these for one, `Inner`.
    pub enum EncapError (32) {
        /// The inner packet is not a valid IPv4 packet (E-01).
        Inner {
            /// What is wrong with it.
            error: ParseError,
        } = 0, "inner packet: {error}";
        /// Too few free bytes in front of the inner packet (E-19).
        NoHeadroom {
            /// Bytes the tunnel's headers need.
            need: u16,
            /// Bytes free in front of the inner packet.
            have: u16,
        } = 16, "{need} bytes of headroom needed, {have} free; place the packet further back";
        /// The outer packet, or the frame on a stream, would exceed 65535 bytes (E-06, S-12).
        TooLong {
            /// The length that it would have, in bytes.
            len: u32,
        } = 17, "{len} bytes with headers or prefix exceed 65535; send a shorter packet";
        /// The inner TTL is 0: such a packet must not travel (T-06; RFC 2003 §3.1).
        TtlZero = 18, "inner TTL is 0; drop";
        /// Forwarding would take the inner TTL to 0 (T-04; RFC 2003 §3.1).
        TtlExpired = 19, "inner TTL expires here; drop and send ICMP 11/0";
        /// The inner source is the tunnel's exit: the packet would loop (E-17; RFC 2003 §3.2).
        LoopToExit {
            /// The layer that refuses, counted from the innermost, 0.
            layer: u8,
        } = 20, "inner source is the tunnel exit of layer {layer}; drop, the route loops";
        /// A forwarded packet claims one of the encapsulator's own addresses (E-18; RFC 2003 §3.2).
        LoopOwnSource {
            /// The layer that refuses, counted from the innermost, 0.
            layer: u8,
        } = 21, "inner source is the encapsulator of layer {layer}; drop, the route loops";
        /// The outer packet would exceed the link's MTU (I-14; RFC 2003 §5.1).
        FragmentationNeeded {
            /// The largest inner packet that fits, in bytes: what ICMP 3/4 reports. Below 68 IPv4 cannot
            /// run over this link at all (O-05), and no such value may be reported.
            mtu: u16,
        } = 22, "outer packet exceeds the link; send ICMP 3/4 with MTU {mtu} if DF is set, else fragment; below MTU 68 the link carries no IPv4 through this tunnel";
        /// DF may be clear but no identification was said of the packet (F-02; RFC 6864 §4.3).
        NoIdentification = 23, "outer DF is clear and the packet has no identification; set PerPacket::with_identification";
        /// The inner transport checksum is not filled in yet, and the outer one cannot be had from
        /// the headers alone (C-22).
        PartialChecksum = 24, "inner checksum is partial and no header tells the sum; fill it in first";
        /// No sequence number was said of the packet (R-11).
        NoSequence = 25, "the tunnel numbers its packets; set PerPacket::with_sequence";
        /// The inner packet is a fragment, which minimal encapsulation cannot carry (M-01; RFC 2004
        /// §3).
        Fragment = 26, "minimal encapsulation cannot carry fragments; use another tunnel";
        /// The inner source is not the encapsulator, and minimal encapsulation was configured not to
        /// carry it (M-02; RFC 2004 §3).
        SourceNotKept = 27, "inner source is not the encapsulator's; configure the tunnel to keep it";
        /// A checksum covers bytes of the packet, and only its header is at hand
        /// ([`header`](crate::encap::header)).
        UnknownSum = 28, "the checksum covers the packet's bytes; read it with Facts::summed";
        /// The inner packet has a source route, which minimal encapsulation would leave in the outer
        /// header, and decapsulators refuse there (V-14, M-03; RFC 7126 §4.3).
        SourceRoute = 29, "minimal encapsulation would show the source route to the tunnel; use another tunnel";
        /// Minimal encapsulation moves the inner header, so its headers cannot be had by value.
        NotByValue = 30, "minimal encapsulation has no headers by value; wrap the packet in place";
    }
}

impl From<ParseError> for EncapError {
    #[inline]
    fn from(error: ParseError) -> Self {
        Self::Inner { error }
    }
}

impl EncapError {
    /// The same as seen from inside `layers` further layers of `overhead` bytes in all.
    #[inline]
    #[must_use]
    pub const fn outside(self, layers: u8, overhead: u16) -> Self {
        match self {
            Self::LoopToExit { layer } => Self::LoopToExit {
                layer: layer.saturating_add(layers),
            },
            Self::LoopOwnSource { layer } => Self::LoopOwnSource {
                layer: layer.saturating_add(layers),
            },
            Self::FragmentationNeeded { mtu } => Self::FragmentationNeeded {
                mtu: mtu.saturating_sub(overhead),
            },
            other => other,
        }
    }

    /// The bare name of the reason, with [`ParseError`]'s own name for an invalid inner packet.
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

    /// The stable number of the reason below [`COUNT`](Self::COUNT), with 0 to 15 for
    /// [`ParseError`]'s.
    #[inline]
    #[must_use]
    pub const fn counter(self) -> usize {
        match self {
            Self::Inner { error } => error.index(),
            other => other.index(),
        }
    }

    /// Every [`counter`](Self::counter) with its [`reason`](Self::reason): what an exporter of counters
    /// walks.
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
    /// Why a decapsulator does not open a packet, in the words of the pipeline it runs.
    ///
    /// None of these may be answered with an ICMP error: an answer is an oracle for scanners and a
    /// reflector for spoofed sources (RFC 4213 §3.6).
    pub enum Reason (51) {
        /// Outer header or total length exceeds the bytes present (D-01).
        OuterTruncated = 0, "outer packet is truncated";
        /// Outer version is not 4 (D-01).
        OuterBadVersion = 1, "outer version is not 4";
        /// Outer IHL is below 5 (D-01).
        OuterBadIhl = 2, "outer header length is below 5 words";
        /// Outer header checksum does not verify (D-01).
        OuterBadChecksum = 3, "outer header checksum does not verify";
        /// Outer total length is below its header (D-01).
        OuterBadTotalLength = 4, "outer total length is below its header";
        /// Outer packet is a fragment (D-03; RFC 7588 §3.4).
        OuterFragment = 5, "outer packet is a fragment; reassemble first if the tunnel needs it";
        /// Outer protocol is not this tunnel's (D-04).
        NotTunnel = 6, "outer protocol is not this tunnel's";
        /// Outer destination is not a local address of the tunnel (D-05; RFC 2003 §6.2).
        OuterDstNotLocal = 7, "outer destination is not this decapsulator";
        /// Outer source cannot be a peer: this-network, loopback, multicast, class E or our own (D-06).
        OuterMartianSource = 8, "outer source cannot be a peer";
        /// Outer source is not a configured peer (D-07; RFC 4213 §3.6, CVE-2020-10136).
        UnknownPeer = 9, "outer source is not a configured peer";
        /// Outer header carries a source route (D-08, V-14; RFC 7126 §4.3).
        OuterSourceRoute = 10, "outer header carries a source route";
        /// Inner header or total length exceeds the bytes present (D-11).
        InnerTruncated = 11, "inner packet is truncated";
        /// Inner version is not 4 (D-11).
        InnerBadVersion = 12, "inner version is not 4";
        /// Inner IHL is below 5 (D-11).
        InnerBadIhl = 13, "inner header length is below 5 words";
        /// Inner header checksum does not verify (D-11; RFC 1812 §5.2.2).
        InnerBadChecksum = 14, "inner header checksum does not verify";
        /// Inner total length is below its header (D-11).
        InnerBadTotalLength = 15, "inner total length is below its header";
        /// Inner total length differs from the carrier's payload in strict mode (D-12).
        InnerLengthMismatch = 16, "inner total length is not the payload's length";
        /// Inner TTL is 0 (D-13; RFC 2003 §3.1).
        InnerTtlZero = 17, "inner TTL is 0";
        /// Inner source is this-network, loopback, multicast or class E (D-14; RFC 1812 §5.3.7).
        InnerMartianSource = 18, "inner source cannot be a source";
        /// Inner source is one of our own addresses (D-15; RFC 2003 §3.2).
        InnerSourceIsLocal = 19, "inner source is one of our own addresses";
        /// Inner source and destination are the outer ones: a loop that nests itself (D-16).
        InnerEqualsOuter = 20, "inner addresses equal the outer ones";
        /// Inner source is outside of the peer's prefixes (D-17; RFC 2827).
        InnerSourceNotAllowed = 21, "inner source is outside of the peer's prefixes";
        /// Inner destination is this-network, loopback, class E, or multicast where that is off (D-18).
        InnerMartianDestination = 22, "inner destination cannot be delivered to";
        /// Inner destination is the peer itself or another tunnel endpoint: ping-pong (D-19).
        LoopToPeer = 23, "inner destination is a tunnel endpoint, the packet would go straight back";
        /// The inner packet is a tunnel packet that may not be opened (D-20).
        NestingLimit = 24, "inner packet is a tunnel packet beyond the nesting limit";
        /// Outer CE over inner Not-ECT (D-21; RFC 6040 §4.2).
        EcnDrop = 25, "congestion was marked on a packet whose inner header forbids marks";
        /// Inner source equals inner destination, where that is refused (D-22).
        InnerSourceEqualsDestination = 26, "inner source equals inner destination";
        /// Fewer bytes than the UDP header or its length says (U-08; RFC 768).
        UdpTruncated = 27, "UDP datagram is truncated";
        /// UDP length below 8 (U-07, U-10).
        UdpBadLength = 28, "UDP length is below its header";
        /// UDP checksum does not verify (U-05; RFC 1122 §4.1.3.4).
        UdpBadChecksum = 29, "UDP checksum does not verify";
        /// UDP checksum is absent where one is required (U-06).
        UdpChecksumRequired = 30, "UDP checksum is absent and required";
        /// Fewer bytes than the GUE header says (G-01, G-06).
        GueTruncated = 31, "GUE header is truncated";
        /// GUE variant 2 or 3 (G-04).
        GueBadVersion = 32, "GUE variant is unknown";
        /// GUE variant 1 whose payload is not IPv4 (G-03).
        GueBadVariant1Version = 33, "GUE variant 1 does not carry IPv4";
        /// A GUE control message, for the caller to handle (G-05).
        GueControl = 34, "GUE control message, no packet inside";
        /// GUE flags that are not understood (G-07, G-13).
        GueUnknownFlags = 35, "GUE flags are not understood";
        /// GUE protocol 0, which is reserved (G-10).
        GueProtoZero = 36, "GUE protocol is 0";
        /// GUE without payload: a keepalive (G-11).
        GueNoNextHeader = 37, "GUE keepalive, no packet inside";
        /// The carrier's payload is not IPv4 (G-12).
        UnsupportedInnerProtocol = 38, "carrier's payload is not IPv4";
        /// Fewer bytes than the GRE header says (R-06).
        GreTruncated = 39, "GRE header is truncated";
        /// GRE version is not 0 (R-01; RFC 2784 §2.3.1).
        GreBadVersion = 40, "GRE version is not 0";
        /// GRE bits that must be 0 are set: routing, strict source route, recursion control (R-02).
        GreReservedBits = 41, "GRE reserved bits are set";
        /// GRE checksum does not verify, or is absent where one is required (R-04, R-08).
        GreBadChecksum = 42, "GRE checksum does not verify, or its presence is not what was configured";
        /// GRE key is not the configured one, or one of the two is absent (R-07; RFC 2890 §2.1).
        GreKeyMismatch = 43, "GRE key is not the configured one";
        /// GRE payload is not IPv4 (R-09).
        GreUnsupportedProtocol = 44, "GRE payload is not IPv4";
        /// Fewer bytes than the TCP header says, or than its framing prefix (S-01, S-18).
        TcpTruncated = 45, "TCP segment is truncated";
        /// TCP data offset below 5 words (S-01; RFC 9293 §3.1).
        TcpBadOffset = 46, "TCP data offset is below its header";
        /// TCP checksum does not verify (S-02).
        TcpBadChecksum = 47, "TCP checksum does not verify";
        /// Fewer bytes than the minimal encapsulation header says (M-08).
        MinTruncated = 48, "minimal encapsulation header is truncated";
        /// Minimal encapsulation header checksum does not verify (M-04; RFC 2004 §3).
        MinBadChecksum = 49, "minimal encapsulation checksum does not verify";
        /// GRE sequence number is missing where one is expected (R-08, R-11).
        GreSequence = 50, "GRE sequence number is missing";
    }
}

/// Why, where and by how much a decapsulator refused a packet. Silent: nothing was sent, no byte
/// was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Refused {
    /// The first check that failed.
    pub reason: Reason,
    /// The encapsulation layer that refused, counted from the outermost, 0.
    pub layer: u8,
    /// Bytes needed, where the reason is a length; else 0.
    pub need: u16,
    /// Bytes present, where the reason is a length; else 0.
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

    /// The outer header's error as a refusal.
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

    /// The inner header's error as a refusal.
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

    /// The same, `layers` layers further inside.
    #[inline]
    #[must_use]
    pub const fn inside(self, layers: u8) -> Self {
        Self {
            layer: self.layer.saturating_add(layers),
            ..self
        }
    }

    /// A refusal for a lack of bytes, with the numbers of `error`.
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

    /// The bare name of the reason.
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

/// Why a tunnel must not be configured so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ConfigError {
    /// The outer source is unspecified, loopback, multicast, class E or broadcast (E-13; RFC 1122
    /// §3.2.1.3).
    ForbiddenSource,
    /// The outer destination is not a unicast address (E-14; RFC 2003 §3.1).
    ForbiddenDestination,
    /// A prefix length above 32, or an address with bits behind the prefix.
    BadPrefix,
    /// More than the 31 private words that a GUE header can count.
    TooManyPrivateWords,
    /// TCP options of more than 40 bytes, or not a multiple of 4.
    BadTcpOptions,
    /// IPv4 options of more than 40 bytes, or not a multiple of 4.
    BadIpv4Options,
    /// More layers than the template holds.
    TooManyLayers,
    /// Fewer layers than the template holds, and no identity to fill it up with.
    TooFewLayers,
}

/// Why text is not an IPv4 prefix, `address/length`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum PrefixError {
    /// There is no `/`.
    NoLength,
    /// What stands in front of the `/` is not an IPv4 address.
    BadAddress,
    /// What stands behind the `/` is not a decimal number from 0 to 32.
    BadLength,
    /// The address has bits behind the prefix.
    HostBits,
}

impl fmt::Display for PrefixError {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoLength => "a prefix needs a length: write 10.1.0.5/32 for one address",
            Self::BadAddress => "in front of the slash of a prefix stands an IPv4 address",
            Self::BadLength => "behind the slash of a prefix stands a length of 0 to 32",
            Self::HostBits => "the address has bits behind the prefix; set them to 0",
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
            Self::TooManyLayers => "the template holds fewer layers",
            Self::TooFewLayers => {
                "the template holds more layers; hold them as Layer, which fills up with what does nothing"
            },
        })
    }
}

impl core::error::Error for ConfigError {}

const _: () = assert!(size_of::<ParseError>() <= 8);
const _: () = assert!(size_of::<EncapError>() <= 8);
const _: () = assert!(size_of::<Refused>() <= 8);
const _: () = assert!(size_of::<ConfigError>() <= 8);
const _: () = assert!(size_of::<PrefixError>() <= 8);
