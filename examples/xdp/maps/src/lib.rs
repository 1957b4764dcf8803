//! The keys and values of the maps that the XDP programs and their loader share, as bytes.
//!
//! Numbers are in the machine's byte order, addresses and ports as they stand in packets.

#![no_std]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What `decap_*` knows of the tunnel.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct DecapConfig {
    /// The outer address of this host.
    pub local: [u8; 4],
    /// The UDP port, for FOU and GUE.
    pub port: [u8; 2],
    /// Zero.
    pub reserved: [u8; 2],
}

/// A key of the trie of inner sources: a prefix of a peer's number and an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct InnerSource {
    /// 32 more than the length of the address prefix, in bits.
    pub prefix_len: u32,
    /// The peer's number, from 1.
    pub peer: u32,
    /// The address.
    pub address: [u8; 4],
}

/// A key of the trie of routes, whose values are the numbers of places, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Route {
    /// The length of the prefix, in bits.
    pub prefix_len: u32,
    /// The inner destination.
    pub address: [u8; 4],
}

/// A tunnel, as it is configured.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Settings {
    /// The outer source.
    pub local: [u8; 4],
    /// The outer destination.
    pub exit: [u8; 4],
    /// The UDP port that outer packets go to, for FOU and GUE.
    pub port: [u8; 2],
    /// The UDP port that they come from; 0 for a hash of the flow.
    pub source_port: [u8; 2],
    /// Of that hash.
    pub seed: u32,
    /// The longest outer packet, in bytes.
    pub link_mtu: u16,
    /// The identification of outer packets.
    pub identification: u16,
    /// The outer TTL; 0 for that of the inner packet.
    pub ttl: u8,
    /// The outer DSCP; 255 for that of the inner packet.
    pub dscp: u8,
    /// The ECN field: 0 by RFC 6040, 1 in compatibility mode, 2 by RFC 3168.
    pub ecn: u8,
    /// [`FORWARD`] and [`HAIRPIN`].
    pub flags: u8,
}

/// Of [`Settings::flags`]: this hop forwards, so it decrements the inner TTL.
pub const FORWARD: u8 = 1;
/// Of [`Settings::flags`]: packets that come from the tunnel's exit may go in.
pub const HAIRPIN: u8 = 2;

/// A place for a tunnel. The loader writes the settings and zeros; the program `compose` of the same object makes of them
/// the library's tunnel, which is some words that only that object understands.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Place {
    /// The settings.
    pub settings: Settings,
    /// Not zero where the tunnel has been made.
    pub is_ready: u64,
    /// The tunnel.
    pub tunnel: [u64; TUNNEL_WORDS],
}

/// Room for a tunnel, in words of 64 bits.
pub const TUNNEL_WORDS: usize = 11;

/// How outer packets leave.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Out {
    /// The interface; 0 for that by which the packet has come.
    pub interface: u32,
    /// The address of this host on it, from which ICMP errors come.
    pub address: [u8; 4],
    /// The Ethernet address of the next hop.
    pub next_hop: [u8; 6],
    /// The Ethernet address of the interface.
    pub own: [u8; 6],
    /// The Ethernet address of the interface by which packets come, and two zeros.
    pub ingress: [u8; 8],
}

/// What `balance_*` knows besides its tables.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct BalanceConfig {
    /// Of the flows' hash.
    pub seed: u32,
    /// The Ethernet address of the interface by which packets come, and two zeros.
    pub own: [u8; 8],
}

/// What a backend was sent, by one processor.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Sent {
    /// Packets.
    pub packets: u64,
    /// Their bytes, without outer headers.
    pub bytes: u64,
}

/// What became of a packet; a place in the map of counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[allow(clippy::exhaustive_enums, reason = "the loader prints them all")]
pub enum Counter {
    /// Packets opened or wrapped, and handed to the kernel. If it fails to send one of them, that is not counted here.
    Taken = 0,
    /// Their inner bytes.
    TakenBytes = 1,
    /// Passed on: not IPv4, not of the tunnel's protocol or port, not to this host or any of its routes, or, to be wrapped,
    /// in a frame to another Ethernet address than the interface's.
    PassedOther = 2,
    /// Passed on: a header with options.
    PassedOptions = 3,
    /// Passed on: a UDP checksum.
    PassedChecksum = 4,
    /// Passed on: a fragment of an outer packet.
    PassedFragment = 5,
    /// Passed on: too short for what the program reads at once.
    PassedShort = 6,
    /// Passed on: a packet that is itself of an IP-in-IP tunnel, whose flow is that of the packet inside.
    PassedTunnel = 9,
    /// Dropped: the VIP has no active backend.
    NoBackend = 10,
    /// Dropped: too long, with DF, and there are too many ICMP errors already, or the packet may not be answered.
    Unanswered = 11,
    /// Dropped: too long for the tunnel, without DF. The program does not split packets.
    MayBeFragmented = 12,
    /// Passed on: too long for the tunnel, without DF. The program does not split packets.
    PassedTooLong = 13,
    /// Answered with an ICMP error: too long for the tunnel.
    TooLong = 7,
    /// Dropped: the kernel had no room in front of the packet, or another failure of a helper.
    HelperFailed = 8,
}

impl Counter {
    /// All of them, with a name for people.
    pub const ALL: [(Self, &'static str); 14] = [
        (Self::Taken, "taken"),
        (Self::TakenBytes, "taken bytes"),
        (Self::PassedOther, "passed: not for this program"),
        (Self::PassedOptions, "passed: header options"),
        (Self::PassedChecksum, "passed: UDP checksum"),
        (Self::PassedFragment, "passed: outer fragment"),
        (Self::PassedShort, "passed: short"),
        (Self::PassedTunnel, "passed: a tunnel inside"),
        (Self::PassedTooLong, "passed: too long, without DF"),
        (Self::NoBackend, "dropped: no backend"),
        (Self::Unanswered, "dropped: too long, not answered"),
        (Self::MayBeFragmented, "dropped: too long, without DF"),
        (Self::TooLong, "answered: too long"),
        (Self::HelperFailed, "dropped: no headroom"),
    ];
}

/// The first counter of dropped packets: the library's number of the reason is added.
pub const DROPPED: u32 = 16;

/// How many counters there are.
pub const COUNTERS: u32 = 128;
