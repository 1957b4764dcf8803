//! Writing packets without a link layer as a pcap file.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::capture::Timestamp;
use crate::failure::Failure;
use crate::input::STREAM;

/// Link type RAW: packets begin with the IP header.
const LINKTYPE_RAW: u32 = 101;
/// No IPv4 packet is longer.
const SNAPLEN: u32 = 65535;

/// A pcap file (little-endian, version 2.4, microseconds) that is being written.
#[allow(missing_debug_implementations, reason = "a sink has none")]
pub struct Output {
    sink: BufWriter<Box<dyn Write>>,
    name: String,
}

impl Output {
    /// Creates the file, or takes standard output, and writes the file header.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn create(path: &Path) -> Result<Self, Failure> {
        let mut output = Self::create_bare(path)?;
        let mut header = Vec::with_capacity(24);
        header.extend_from_slice(&0xa1b2_c3d4_u32.to_le_bytes());
        header.extend_from_slice(&2_u16.to_le_bytes());
        header.extend_from_slice(&4_u16.to_le_bytes());
        // Time zone and accuracy: zero in every file there is.
        header.extend_from_slice(&[0; 8]);
        header.extend_from_slice(&SNAPLEN.to_le_bytes());
        header.extend_from_slice(&LINKTYPE_RAW.to_le_bytes());
        output.write(&header)?;
        Ok(output)
    }

    /// Creates the file, or takes standard output, and writes nothing yet: for a stream of bytes.
    pub(crate) fn create_bare(path: &Path) -> Result<Self, Failure> {
        let (sink, name): (Box<dyn Write>, _) = if path == Path::new(STREAM) {
            (Box::new(io::stdout()), "standard output".to_owned())
        } else {
            let name = path.display().to_string();
            let file = File::create(path).map_err(|error| Failure::write(&name, &error))?;
            (Box::new(file), name)
        };
        Ok(Self {
            sink: BufWriter::new(sink),
            name,
        })
    }

    /// Writes one packet, whole: its wire length is its captured length.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn packet(&mut self, time: Timestamp, packet: &[u8]) -> Result<(), Failure> {
        // What was read is at most 256 KiB long, and tunnels add no more than 64 KiB each.
        let len = packet.len() as u32;
        for word in [time.seconds, time.microseconds, len, len] {
            self.write(&word.to_le_bytes())?;
        }
        self.write(packet)
    }

    /// Without this the last packets may stay in the buffer and an error with them.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn flush(&mut self) -> Result<(), Failure> {
        self.sink
            .flush()
            .map_err(|error| Failure::write(&self.name, &error))
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.sink
            .write_all(bytes)
            .map_err(|error| Failure::write(&self.name, &error))
    }
}
