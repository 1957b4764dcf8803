//! The keys and values of the maps that the XDP programs and their loader share, as bytes.
//!
//! Numbers are in the machine's byte order, addresses and ports as they stand in packets.

#![no_std]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The names of the maps in the objects.
pub mod names {
    /// One [`DecapConfig`](crate::DecapConfig) or [`EncapConfig`](crate::EncapConfig).
    pub const CONFIG: &str = "CONFIG";
    /// The number of each peer, from 1, by its outer address.
    pub const PEERS: &str = "PEERS";
    /// The inner sources of the peers: a trie of [`InnerSource`](crate::InnerSource).
    pub const INNER: &str = "INNER";
    /// The [`Exit`](crate::Exit) of each inner destination: a trie of [`Route`](crate::Route).
    pub const ROUTES: &str = "ROUTES";
    /// What became of the packets, by [`Counter`](crate::Counter), for each processor.
    pub const COUNTERS: &str = "COUNTERS";
}

/// What `decap_*` knows of the tunnel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
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

/// A key of the trie of routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Route {
    /// The length of the prefix, in bits.
    pub prefix_len: u32,
    /// The inner destination.
    pub address: [u8; 4],
}

/// What `encap_*` knows of this end of its tunnels, and where outer packets go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct EncapConfig {
    /// The outer source.
    pub local: [u8; 4],
    /// The UDP port that outer packets go to, for FOU and GUE.
    pub port: [u8; 2],
    /// The longest outer packet, in bytes.
    pub link_mtu: u16,
    /// Spreads the source ports of FOU and GUE.
    pub seed: u32,
    /// The interface that outer packets leave by; 0 for that by which they have come.
    pub interface: u32,
    /// The next hop's Ethernet address, and that of the interface.
    pub ethernet: [u8; 12],
}

/// The exit of a tunnel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Exit {
    /// The outer destination.
    pub address: [u8; 4],
}

/// What became of a packet; a place in the map of counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[allow(clippy::exhaustive_enums, reason = "the loader prints them all")]
pub enum Counter {
    /// Packets opened or wrapped.
    Taken = 0,
    /// Their inner bytes.
    TakenBytes = 1,
    /// Passed on: not IPv4, not of the tunnel's protocol or port, or not to this host or any of its routes.
    PassedOther = 2,
    /// Passed on: a header with options.
    PassedOptions = 3,
    /// Passed on: a UDP checksum.
    PassedChecksum = 4,
    /// Passed on: a fragment of an outer packet.
    PassedFragment = 5,
    /// Passed on: too short for what the program reads at once.
    PassedShort = 6,
    /// Answered with an ICMP error: too long for the tunnel.
    TooLong = 7,
    /// Dropped: the kernel had no room in front of the packet, or another failure of a helper.
    HelperFailed = 8,
}

impl Counter {
    /// All of them, with a name for people.
    pub const ALL: [(Self, &'static str); 9] = [
        (Self::Taken, "taken"),
        (Self::TakenBytes, "taken bytes"),
        (Self::PassedOther, "passed: not of a tunnel"),
        (Self::PassedOptions, "passed: header options"),
        (Self::PassedChecksum, "passed: UDP checksum"),
        (Self::PassedFragment, "passed: outer fragment"),
        (Self::PassedShort, "passed: short"),
        (Self::TooLong, "answered: too long"),
        (Self::HelperFailed, "dropped: no headroom"),
    ];
}

/// The first counter of dropped packets: the library's number of the reason is added.
pub const DROPPED: u32 = 16;

/// How many counters there are.
pub const COUNTERS: u32 = 128;
