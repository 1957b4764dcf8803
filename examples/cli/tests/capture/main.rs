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

use std::path::{Path, PathBuf};

use ipencap_cli::capture::{ReadError, Reader, Timestamp};

mod agreement;
mod faults;

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

/// The bundled capture, and other people's in the folder that `IPENCAP_CAPTURES` names.
fn captures() -> Vec<PathBuf> {
    let mut captures = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("data/lan.pcap")];
    let folder = std::env::var_os("IPENCAP_CAPTURES").map(PathBuf::from);
    let Some(folder) = folder.filter(|folder| folder.is_dir()) else {
        println!("skipped: IPENCAP_CAPTURES names no folder; only the bundled capture is read");
        return captures;
    };
    let entries = folder.read_dir().unwrap();
    captures.extend(entries.map(|entry| entry.unwrap().path()).filter(|file| {
        let extension = file.extension().and_then(|extension| extension.to_str());
        matches!(extension, Some("pcap" | "pcapng" | "cap"))
    }));
    captures
}
