//! The pcap format: one header, then records.

use std::io::Read;

use super::{ByteOrder, Fault, LONGEST_PACKET, Packet, Part, Source, Timestamp};

/// The link type's part of its word; the bits above say whether and how frames end in an FCS.
const LINK_TYPE_BITS: u32 = 0x03ff_ffff;
/// The file header behind the magic, in bytes.
const HEADER_LEN: usize = 20;
/// A record's header: seconds, fraction, captured length, wire length.
const RECORD_HEADER_LEN: usize = 16;
/// What the modified format puts behind that: interface, protocol, packet type.
const MODIFIED_LEN: usize = 8;

/// What the file header says.
#[derive(Debug)]
pub(super) struct Header {
    order: ByteOrder,
    link_type: u32,
    nanoseconds: bool,
    /// Whether records have the longer header of Alexey Kuznetzov's patched libpcap.
    modified: bool,
    lengths: Lengths,
}

/// In which order a record tells its captured and its wire length.
#[derive(Clone, Copy, Debug)]
enum Lengths {
    CapturedFirst,
    WireFirst,
    /// Written by programs of both habits: the captured length is never the larger one.
    Either,
}

impl Header {
    /// Reads the file header behind its first four bytes.
    pub(super) fn read<R: Read>(magic: [u8; 4], source: &mut Source<R>) -> Result<Self, Fault> {
        let (order, nanoseconds, modified) = variant(magic).ok_or(Fault::UnknownFormat)?;
        let part = Part {
            what: "pcap file header",
            stated: 24,
            before: 4,
        };
        let header: [u8; HEADER_LEN] = source.take(part)?;
        let [first, .., link_type] = order.words::<5>(&header);
        let (major, minor) = match order {
            ByteOrder::Little => (first as u16, (first >> 16) as u16),
            ByteOrder::Big => ((first >> 16) as u16, first as u16),
        };
        let lengths = match (major, minor) {
            // 543.0 is what tcpdump on DG/UX wrote.
            (2, 0..=2) | (543, 0) => Lengths::WireFirst,
            (2, 3) => Lengths::Either,
            (2, 4) => Lengths::CapturedFirst,
            _ => {
                return Err(Fault::UnknownVersion {
                    format: "pcap",
                    major,
                    minor,
                });
            }
        };
        Ok(Self {
            order,
            link_type: link_type & LINK_TYPE_BITS,
            nanoseconds,
            modified,
            lengths,
        })
    }

    /// Reads the next record.
    pub(super) fn next<R: Read>(
        &self,
        source: &mut Source<R>,
        frame: &mut Vec<u8>,
    ) -> Result<Option<Packet>, Fault> {
        let header_len = RECORD_HEADER_LEN + if self.modified { MODIFIED_LEN } else { 0 };
        let mut header = [0; RECORD_HEADER_LEN + MODIFIED_LEN];
        let have = source.fill(&mut header[..header_len])?;
        if have == 0 {
            return Ok(None);
        }
        let part = Part {
            what: "record header",
            stated: header_len as u64,
            before: 0,
        };
        part.whole(have, header_len)?;
        let [seconds, fraction, first, second] = self.order.words(&header);
        let captured = match self.lengths {
            Lengths::CapturedFirst => first,
            Lengths::WireFirst => second,
            Lengths::Either => first.min(second),
        };
        let len = captured as usize;
        if len > LONGEST_PACKET {
            return Err(Fault::PacketTooLong { len: captured });
        }
        let part = Part {
            what: "packet",
            stated: len as u64,
            before: 0,
        };
        source.packet(frame, len, part)?;
        Ok(Some(Packet {
            link_type: self.link_type,
            time: Timestamp {
                seconds,
                microseconds: if self.nanoseconds {
                    fraction / 1000
                } else {
                    fraction
                },
            },
        }))
    }
}

/// Byte order, whether the fraction of a second is in nanoseconds, and whether the format is the
/// modified one; `None` for what is no magic.
const fn variant(magic: [u8; 4]) -> Option<(ByteOrder, bool, bool)> {
    use ByteOrder::{Big, Little};
    Some(match magic {
        [0xd4, 0xc3, 0xb2, 0xa1] => (Little, false, false),
        [0xa1, 0xb2, 0xc3, 0xd4] => (Big, false, false),
        [0x4d, 0x3c, 0xb2, 0xa1] => (Little, true, false),
        [0xa1, 0xb2, 0x3c, 0x4d] => (Big, true, false),
        [0x34, 0xcd, 0xb2, 0xa1] => (Little, false, true),
        [0xa1, 0xb2, 0xcd, 0x34] => (Big, false, true),
        _ => return None,
    })
}
