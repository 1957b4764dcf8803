//! The answers, which `build.rs` writes.

use crate::tunnels::Ends;

/// A packet to wrap, and what its caller says of it.
pub struct Inner {
    pub name: &'static str,
    pub bytes: &'static [u8],
    pub header_len: usize,
    pub is_partial: bool,
    pub ordinal: u32,
    pub tcp_numbers: (u32, u32),
}

/// What a tunnel makes of the inner packets.
pub struct Configuration {
    pub name: &'static str,
    pub form: &'static str,
    pub answers: &'static [Answer],
}

/// What it makes of one.
pub struct Answer {
    /// All bytes up to the end of the inner header, or the reason for a refusal.
    pub wrapped: Result<&'static [u8], &'static str>,
    /// Why the other end refuses what was wrapped, if it does.
    pub refused: &'static str,
}

/// What the other end of a tunnel makes of a packet.
pub struct Arrival {
    pub name: &'static str,
    pub form: &'static str,
    pub packet: &'static [u8],
    pub answer: Result<&'static [u8], &'static str>,
}

include!(concat!(env!("OUT_DIR"), "/answers.rs"));
