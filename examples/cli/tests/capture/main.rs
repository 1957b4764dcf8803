//! The capture reader: faults by hand-made files, and another reader's answers.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic: that is how it fails"
)]

use ipencap_cli::capture::{ReadError, Reader, Timestamp};

mod agreement;
mod faults;
#[path = "../shared/mod.rs"]
mod shared;

/// Link type, time and bytes of each packet.
type Packets = Vec<(u32, Timestamp, Vec<u8>)>;

/// What can be read, and how it ends.
fn read(bytes: &[u8]) -> (Packets, Result<(), ReadError>) {
    let mut packets = Vec::new();
    let mut reader = match Reader::new(bytes) {
        Ok(reader) => reader,
        Err(error) => return (packets, Err(error)),
    };
    loop {
        match reader.next_record() {
            Ok(Some(record)) => {
                packets.push((record.link_type, record.time, record.frame.to_vec()));
            }
            Ok(None) => return (packets, Ok(())),
            Err(error) => return (packets, Err(error)),
        }
    }
}
