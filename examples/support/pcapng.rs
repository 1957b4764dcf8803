//! What stands in a pcapng file: sections, the interfaces they describe, and packets in three forms.

use pcap_parser::nom::{self, Offset};
use pcap_parser::{
    Block, InterfaceDescriptionBlock, OptionCode, UnknownBlock, parse_block_be, parse_block_le,
};

use super::input::{Item, Timestamp};
use super::link::field;

/// Type of the obsolete Packet Block, which `pcap_parser` leaves as unknown.
const PACKET_BLOCK: u32 = 2;

/// What the section being read has said about itself.
#[derive(Default)]
pub(crate) struct Section {
    order: ByteOrder,
    interfaces: Vec<Interface>,
}

#[derive(Clone, Copy, Default)]
enum ByteOrder {
    #[default]
    Little,
    Big,
}

struct Interface {
    link_type: u32,
    /// At most this many bytes of a packet were captured.
    snaplen: usize,
    /// `if_tsresol`: a second has 10 to this power of ticks, or 2 if the top bit is set.
    resolution: u8,
    /// `if_tsoffset`: seconds to add, modulo 2^32.
    offset: u32,
}

/// A packet as its block describes it.
struct Packet<'b> {
    interface: u32,
    ticks: Option<u64>,
    captured: usize,
    /// The captured bytes and padding.
    data: &'b [u8],
}

impl Section {
    /// The block at the start of `bytes`.
    pub(crate) fn item(&mut self, bytes: &[u8]) -> Item {
        let parsed = match self.order {
            ByteOrder::Little => parse_block_le(bytes),
            ByteOrder::Big => parse_block_be(bytes),
        };
        let (rest, block) = match parsed {
            Ok(parsed) => parsed,
            Err(nom::Err::Incomplete(_)) => return Item::Incomplete,
            Err(_) => return Item::Damaged("a block makes no sense".to_owned()),
        };
        let len = bytes.offset(rest);
        match self.packet(&block) {
            Ok(None) => Item::Other { len },
            Ok(Some((interface, packet))) => {
                let start = bytes.offset(packet.data);
                Item::Packet {
                    len,
                    link_type: interface.link_type,
                    time: interface.time(packet.ticks),
                    frame: start..start + packet.captured,
                }
            }
            Err(damage) => Item::Damaged(damage),
        }
    }

    /// The packet in a block, if it holds one, with its interface.
    fn packet<'b>(
        &mut self,
        block: &Block<'b>,
    ) -> Result<Option<(&Interface, Packet<'b>)>, String> {
        let mut packet = match block {
            Block::SectionHeader(section) => {
                *self = Self::default();
                if section.big_endian() {
                    self.order = ByteOrder::Big;
                }
                return Ok(None);
            }
            Block::InterfaceDescription(description) => {
                self.interfaces
                    .push(Interface::new(description, self.order));
                return Ok(None);
            }
            Block::EnhancedPacket(packet) => Packet {
                interface: packet.if_id,
                ticks: Some(ticks(packet.ts_high, packet.ts_low)),
                captured: len(packet.caplen),
                data: packet.data,
            },
            Block::SimplePacket(packet) => Packet {
                interface: 0,
                ticks: None,
                captured: len(packet.origlen),
                data: packet.data,
            },
            Block::Unknown(unknown) if self.order.block_type(unknown) == PACKET_BLOCK => self
                .order
                .packet_block(unknown.data)
                .ok_or("a Packet Block is too short for its header")?,
            _ => return Ok(None),
        };
        let number = packet.interface;
        let interface = self
            .interfaces
            .get(len(number))
            .ok_or_else(|| format!("a packet names interface {number}, which is not described"))?;
        if matches!(block, Block::SimplePacket(_)) {
            // It has no captured length of its own: the wire length, unless cut by the snaplen.
            packet.captured = packet.captured.min(interface.snaplen);
        }
        let (captured, room) = (packet.captured, packet.data.len());
        if captured > room {
            return Err(format!(
                "a packet of {captured} bytes in a block for {room}"
            ));
        }
        Ok(Some((interface, packet)))
    }
}

impl ByteOrder {
    const fn half(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        }
    }

    const fn word(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }

    const fn double(self, bytes: [u8; 8]) -> u64 {
        match self {
            Self::Little => u64::from_le_bytes(bytes),
            Self::Big => u64::from_be_bytes(bytes),
        }
    }

    /// The parser reads the type of an unknown block as little-endian in any case.
    const fn block_type(self, block: &UnknownBlock<'_>) -> u32 {
        self.word(block.block_type.to_le_bytes())
    }

    fn packet_block(self, body: &[u8]) -> Option<Packet<'_>> {
        Some(Packet {
            interface: u32::from(self.half(field(body, 0)?)),
            ticks: Some(ticks(
                self.word(field(body, 4)?),
                self.word(field(body, 8)?),
            )),
            captured: len(self.word(field(body, 12)?)),
            data: body.get(20..)?,
        })
    }
}

impl Interface {
    fn new(description: &InterfaceDescriptionBlock<'_>, order: ByteOrder) -> Self {
        // The parser's own `if_tsoffset` is wrong in big-endian sections.
        let offset = description
            .options
            .iter()
            .find(|option| option.code == OptionCode::IfTsoffset)
            .and_then(|option| field(option.value(), 0))
            .map_or(0, |seconds| order.double(seconds) as u32);
        Self {
            link_type: description.linktype.0.cast_unsigned(),
            snaplen: match description.snaplen {
                0 => usize::MAX,
                limit => len(limit),
            },
            resolution: description.if_tsresol,
            offset,
        }
    }

    /// A Simple Packet Block has no time: then it is 0.
    fn time(&self, ticks: Option<u64>) -> Timestamp {
        let Some(ticks) = ticks else {
            return Timestamp::ZERO;
        };
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

fn ticks(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

/// A length that does not even fit the address space is too long in any case.
fn len(word: u32) -> usize {
    usize::try_from(word).unwrap_or(usize::MAX)
}
