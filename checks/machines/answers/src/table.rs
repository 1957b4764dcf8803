//! The answers, which `build.rs` writes.

#![allow(clippy::unreadable_literal, reason = "nobody writes or reads them")]

use ipencap::encap::{InnerChecksum, PerPacket};

use crate::checksums::fill_checksum;
use crate::tunnels::Ends;

/// Longer than any packet of the tables, with room in front.
pub type Buffer = [u8; 600];

/// A packet to wrap, and what its caller says of it.
pub struct Inner {
    pub name: &'static str,
    pub bytes: &'static [u8],
    pub header_len: usize,
    pub is_partial: bool,
    pub identification: u16,
    pub sequence: u32,
    pub tcp_numbers: (u32, u32),
}

impl Inner {
    pub fn said(&self) -> PerPacket {
        let (sequence, acknowledgment) = self.tcp_numbers;
        let said = PerPacket::new()
            .with_identification(self.identification)
            .with_sequence(self.sequence)
            .with_tcp_numbers(sequence, acknowledgment);
        if self.is_partial {
            said.with_inner_checksum(InnerChecksum::Partial)
        } else {
            said
        }
    }

    /// As it comes out of a tunnel, which takes a hop off or does not.
    pub fn arriving(&self, is_forwarded: bool) -> Buffer {
        let mut buffer = [0; 600];
        let arriving = &mut buffer[..self.bytes.len()];
        arriving.copy_from_slice(self.bytes);
        if is_forwarded {
            arriving[8] -= 1;
            fill_checksum(&mut arriving[..self.header_len]);
        }
        buffer
    }
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
