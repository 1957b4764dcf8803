//! The pcapng format: sections of blocks, some of which hold a packet.
//!
//! Only what leads to a packet is read: section headers, interface descriptions, and the three kinds
//! of packet blocks. Every other block is passed over by its length.

use std::io::Read;

use super::{ByteOrder, Fault, LONGEST_PACKET, Packet, Part, SECTION_HEADER, Source, Timestamp};

const INTERFACE_DESCRIPTION: u32 = 1;
/// Obsolete, and still in old files.
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;
const SECTION_HEADER_TYPE: u32 = 0x0a0d_0d0a;

/// Type, length, and the length again at the end, in bytes.
const FRAME_LEN: u32 = 12;
/// More interfaces than any section describes; it bounds the memory that a file can ask for.
const MOST_INTERFACES: usize = 16_384;

/// What the section being read has said about itself.
#[derive(Debug)]
pub(super) struct Section {
    order: ByteOrder,
    interfaces: Vec<Interface>,
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    link_type: u16,
    /// At most this many bytes of a packet were captured; 0 is no limit.
    snaplen: u32,
    /// `if_tsresol`: a second has 10 to this power of ticks, or 2 if the top bit is set.
    resolution: u8,
    /// `if_tsoffset`: seconds to add, modulo 2^32.
    offset: u32,
}

/// A block behind its type and length. What is read is counted, so that the rest can be skipped.
struct Body {
    len: u32,
    /// Between what has been read and the length at the end, in bytes.
    left: u32,
}

impl Body {
    fn take<const N: usize, R: Read>(&mut self, source: &mut Source<R>) -> Result<[u8; N], Fault> {
        let part = self.part();
        self.left -= N as u32;
        source.take(part)
    }

    fn skip<R: Read>(&mut self, len: u32, source: &mut Source<R>) -> Result<(), Fault> {
        let part = self.part();
        self.left -= len;
        source.skip(u64::from(len), part)
    }

    /// Skips what is left, and compares the length at the end.
    fn finish<R: Read>(mut self, order: ByteOrder, source: &mut Source<R>) -> Result<(), Fault> {
        self.skip(self.left, source)?;
        let last = order.word(source.take(self.part())?);
        if last != self.len {
            return Err(Fault::BlockLengthsDiffer {
                first: self.len,
                last,
            });
        }
        Ok(())
    }

    fn part(&self) -> Part {
        Part {
            what: "block",
            stated: u64::from(self.len),
            before: u64::from(self.len) - 4 - u64::from(self.left),
        }
    }
}

impl Section {
    /// Reads a section header behind its type.
    pub(super) fn begin<R: Read>(source: &mut Source<R>) -> Result<Self, Fault> {
        let part = Part {
            what: "section header",
            stated: 28,
            before: 4,
        };
        let [len, magic]: [[u8; 4]; 2] = pair(source.take(part)?);
        let order = match magic {
            [0x4d, 0x3c, 0x2b, 0x1a] => ByteOrder::Little,
            [0x1a, 0x2b, 0x3c, 0x4d] => ByteOrder::Big,
            _ => return Err(Fault::ByteOrderMagic(magic)),
        };
        let len = order.word(len);
        let mut body = body(SECTION_HEADER_TYPE, len)?;
        // The magic is read already.
        body.left -= 4;
        let [a, b, c, d] = body.take(source)?;
        let (major, minor) = (order.half([a, b]), order.half([c, d]));
        // Some programs write 1.2 and mean 1.0.
        if major != 1 || !matches!(minor, 0 | 2) {
            return Err(Fault::UnknownVersion {
                format: "pcapng",
                major,
                minor,
            });
        }
        body.finish(order, source)?;
        let interfaces = Vec::new();
        Ok(Self { order, interfaces })
    }

    /// Reads up to and with the next packet. `at` becomes the place of the block read last.
    pub(super) fn next<R: Read>(
        &mut self,
        source: &mut Source<R>,
        frame: &mut Vec<u8>,
        at: &mut u64,
    ) -> Result<Option<Packet>, Fault> {
        loop {
            *at = source.position;
            let mut block_type = [0; 4];
            let have = source.fill(&mut block_type)?;
            if have == 0 {
                return Ok(None);
            }
            let part = Part {
                what: "block",
                stated: u64::from(FRAME_LEN),
                before: 0,
            };
            part.whole(have, 4)?;
            if block_type == SECTION_HEADER {
                *self = Self::begin(source)?;
                continue;
            }
            let block_type = self.order.word(block_type);
            let len = self.order.word(source.take(Part { before: 4, ..part })?);
            let mut body = body(block_type, len)?;
            let packet = match block_type {
                INTERFACE_DESCRIPTION => {
                    let interface = self.interface(&mut body, source)?;
                    if self.interfaces.len() == MOST_INTERFACES {
                        return Err(Fault::TooManyInterfaces(MOST_INTERFACES));
                    }
                    self.interfaces.push(interface);
                    None
                }
                ENHANCED_PACKET | PACKET => {
                    Some(self.packet(block_type, &mut body, source, frame)?)
                }
                SIMPLE_PACKET => Some(self.simple_packet(&mut body, source, frame)?),
                _ => None,
            };
            body.finish(self.order, source)?;
            if packet.is_some() {
                return Ok(packet);
            }
        }
    }

    fn described(&self, number: u32) -> Result<Interface, Fault> {
        self.interfaces
            .get(number as usize)
            .copied()
            .ok_or(Fault::UndescribedInterface(number))
    }

    /// An Enhanced Packet Block, or the obsolete block whose interface is a half word.
    fn packet<R: Read>(
        &self,
        block_type: u32,
        body: &mut Body,
        source: &mut Source<R>,
        frame: &mut Vec<u8>,
    ) -> Result<Packet, Fault> {
        let header: [u8; 20] = body.take(source)?;
        let [mut number, high, low, captured, _] = self.order.words(&header);
        if block_type == PACKET {
            let [a, b, ..] = header;
            number = u32::from(self.order.half([a, b]));
        }
        let interface = self.described(number)?;
        read_packet(captured, body, source, frame)?;
        let ticks = u64::from(high) << 32 | u64::from(low);
        Ok(Packet {
            link_type: u32::from(interface.link_type),
            time: interface.time(ticks),
        })
    }

    /// A Simple Packet Block has no captured length of its own: it is the wire length, unless cut
    /// by the snapshot length. It has no time either: then that is 0.
    fn simple_packet<R: Read>(
        &self,
        body: &mut Body,
        source: &mut Source<R>,
        frame: &mut Vec<u8>,
    ) -> Result<Packet, Fault> {
        let wire_len = self.order.word(body.take(source)?);
        let interface = self.described(0)?;
        let captured = match interface.snaplen {
            0 => wire_len,
            limit => wire_len.min(limit),
        };
        read_packet(captured, body, source, frame)?;
        Ok(Packet {
            link_type: u32::from(interface.link_type),
            time: Timestamp::default(),
        })
    }

    fn interface<R: Read>(
        &self,
        body: &mut Body,
        source: &mut Source<R>,
    ) -> Result<Interface, Fault> {
        let [[a, b, _, _], snaplen] = pair(body.take(source)?);
        let (mut resolution, mut offset) = (None, None);
        while body.left >= 4 {
            let [a, b, c, d] = body.take(source)?;
            let (code, len) = (self.order.half([a, b]), self.order.half([c, d]));
            // The end of options, whatever follows.
            if code == 0 {
                break;
            }
            let padded = u32::from(len).next_multiple_of(4);
            if padded > body.left {
                return Err(Fault::OptionBeyondBlock {
                    code,
                    len,
                    room: body.left,
                });
            }
            match (code, len) {
                // The first of equal options counts.
                (9, 1) if resolution.is_none() => {
                    let [power, ..]: [u8; 4] = body.take(source)?;
                    resolution = Some(power);
                }
                (14, 8) if offset.is_none() => {
                    offset = Some(self.order.double(body.take(source)?) as u32);
                }
                (9, _) if resolution.is_none() => {
                    return Err(Fault::OptionLength {
                        option: "if_tsresol",
                        len,
                        expected: 1,
                    });
                }
                (14, _) if offset.is_none() => {
                    return Err(Fault::OptionLength {
                        option: "if_tsoffset",
                        len,
                        expected: 8,
                    });
                }
                _ => body.skip(padded, source)?,
            }
        }
        Ok(Interface {
            link_type: self.order.half([a, b]),
            snaplen: self.order.word(snaplen),
            // Microseconds unless said.
            resolution: resolution.unwrap_or(6),
            offset: offset.unwrap_or(0),
        })
    }
}

/// Checks a block's length.
const fn body(block_type: u32, len: u32) -> Result<Body, Fault> {
    let least = FRAME_LEN
        + match block_type {
            SECTION_HEADER_TYPE => 16,
            INTERFACE_DESCRIPTION => 8,
            ENHANCED_PACKET | PACKET => 20,
            SIMPLE_PACKET => 4,
            _ => 0,
        };
    if len < least {
        return Err(Fault::BlockTooShort {
            block_type,
            len,
            least,
        });
    }
    if !len.is_multiple_of(4) {
        return Err(Fault::BlockUnaligned { len });
    }
    Ok(Body {
        len,
        left: len - FRAME_LEN,
    })
}

/// Checks the captured length of a packet and reads its bytes.
fn read_packet<R: Read>(
    captured: u32,
    body: &mut Body,
    source: &mut Source<R>,
    frame: &mut Vec<u8>,
) -> Result<(), Fault> {
    if captured as usize > LONGEST_PACKET {
        return Err(Fault::PacketTooLong { len: captured });
    }
    if captured > body.left {
        return Err(Fault::PacketBeyondBlock {
            len: captured,
            room: body.left,
        });
    }
    let part = body.part();
    body.left -= captured;
    source.packet(frame, captured as usize, part)
}

impl Interface {
    fn time(&self, ticks: u64) -> Timestamp {
        let power = u32::from(self.resolution & 0x7f);
        let base: u128 = if self.resolution & 0x80 == 0 { 10 } else { 2 };
        // A unit too fine for 128 bits makes every 64-bit timestamp less than a microsecond.
        let microseconds = base
            .checked_pow(power)
            .map_or(0, |second| u128::from(ticks) * 1_000_000 / second);
        let seconds = (microseconds / 1_000_000) as u32;
        Timestamp {
            seconds: seconds.wrapping_add(self.offset),
            microseconds: (microseconds % 1_000_000) as u32,
        }
    }
}

/// Eight bytes as two words.
fn pair(bytes: [u8; 8]) -> [[u8; 4]; 2] {
    let mut words = [[0; 4]; 2];
    for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(4)) {
        word.copy_from_slice(bytes);
    }
    words
}
