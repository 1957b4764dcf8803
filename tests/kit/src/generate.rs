//! Structured inputs from a string of bytes.
//!
//! Uniformly random packets are refused by the first check, and uniformly random checksum data
//! never carries far (40 000 random cases missed the bug of trap T1). So: mostly valid, with few
//! and well-placed faults; blocks of 0x00 and 0xff; addresses from a small pool, so that they
//! meet.
//!
//! No generator fails: when the bytes run out, the rest is as if they were zeros.

use core::fmt;

use arbitrary::{Arbitrary, Result, Unstructured};

use crate::oracle::{self, Net, Network, Peer, Plain, Switches};
use crate::registry::{ENCAPSULATORS, Endpoints, Subject, Wishes};
use ipencap::encap::PerPacket;

/// The input of type `T` that an engine's bytes stand for.
#[must_use]
pub fn from_bytes<'a, T: Arbitrary<'a>>(bytes: &'a [u8]) -> T {
    T::arbitrary_take_rest(Unstructured::new(bytes)).expect("generators do not fail")
}

/// True in `numerator` of `denominator` cases; false when the bytes have run out.
///
/// # Errors
/// None.
pub fn odds(u: &mut Unstructured<'_>, numerator: u16, denominator: u16) -> Result<bool> {
    Ok(u.int_in_range(1..=denominator)? > denominator - numerator)
}

/// Bytes, printed as hex.
#[derive(Clone, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes ", self.0.len())?;
        for byte in self.0.iter().take(128) {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(if self.0.len() > 128 { "..." } else { "" })
    }
}

/// Up to `len` bytes as they come.
fn raw(u: &mut Unstructured<'_>, len: usize) -> Result<Vec<u8>> {
    let len = u.int_in_range(0..=len)?;
    (0..len).map(|_| u.arbitrary()).collect()
}

/// Blocks of zeros, of ones, of one byte, of a pattern: few bytes of input make long data.
fn blocks(u: &mut Unstructured<'_>, most: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for _ in 0..u.int_in_range(0..=most)? {
        let len = match u.int_in_range(0..=7u8)? {
            0..=2 => u.int_in_range(0..=20)?,
            3 | 4 => usize::from(u.int_in_range(0..=4u8)?) * 16,
            5 | 6 => u.int_in_range(0..=300)?,
            _ => u.int_in_range(0..=3000)?,
        };
        let fill: u8 = u.arbitrary()?;
        let kind = u.int_in_range(0..=4u8)?;
        let mut state = u64::from(fill) << 8 | 1;
        bytes.extend((0..len).map(|_| match kind {
            0 => 0x00,
            1 | 2 => 0xff,
            3 => fill,
            _ => {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()[3]
            }
        }));
    }
    Ok(bytes)
}

/// Anything at all, up to 300 bytes.
#[derive(Clone, Debug)]
pub struct Anything(pub Bytes);

impl<'a> Arbitrary<'a> for Anything {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self(Bytes(raw(u, 300)?)))
    }
}

/// Data to be summed, at some alignment, in some split.
#[derive(Clone, Debug)]
pub struct ChecksumCase {
    /// The data.
    pub data: Bytes,
    /// Bytes in front of it in memory, 0 to 15.
    pub alignment: usize,
    /// The lengths of the pieces, some of them 0; what is left is the last piece.
    pub pieces: Vec<usize>,
}

impl<'a> Arbitrary<'a> for ChecksumCase {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let data = blocks(u, 12)?;
        let mut left = data.len();
        let mut pieces = Vec::new();
        for _ in 0..u.int_in_range(0..=6u8)? {
            let piece = match u.int_in_range(0..=3u8)? {
                0 => 0,
                1 => u.int_in_range(0..=left.min(3))?,
                _ => u.int_in_range(0..=left)?,
            };
            pieces.push(piece);
            left -= piece;
        }
        Ok(Self {
            data: Bytes(data),
            alignment: u.int_in_range(0..=15)?,
            pieces,
        })
    }
}

/// One replacement inside checksummed data.
#[derive(Clone, Copy, Debug, Arbitrary)]
pub enum Replacement {
    /// Two bytes: anywhere, the place modulo the length, and the new value.
    Word(u16, u16),
    /// Four bytes: anywhere, the place modulo the length, and the new value.
    Double(u16, u32),
    /// From an even place to another: that many bytes from the pattern.
    Run(u16, u8, u8),
    /// A word becomes what it is already.
    Nothing(u16),
    /// A word becomes 0x0000.
    Zeros(u16),
    /// A word becomes 0xFFFF.
    Ones(u16),
}

/// Checksummed data with its checksum in front, and edits of it.
#[derive(Clone, Debug)]
pub struct UpdateCase {
    /// The covered data: a checksum field of two bytes, then at least 4 bytes.
    pub data: Bytes,
    /// The edits, one after the other.
    pub edits: Vec<Replacement>,
}

impl<'a> Arbitrary<'a> for UpdateCase {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let edits = (0..u.int_in_range(0..=8u8)?)
            .map(|_| u.arbitrary())
            .collect::<Result<_>>()?;
        let mut data = vec![0, 0];
        data.extend(blocks(u, 4)?);
        data.resize(data.len().max(6), 0);
        match u.int_in_range(0..=3u8)? {
            0 => oracle::put_u16(&mut data, 0, u.arbitrary()?),
            1 => {
                // Data whose checksum computes to 0, with the other zero in the field.
                oracle::put_u16(&mut data, 2, 0);
                let complement = oracle::checksum(&data);
                oracle::put_u16(&mut data, 2, complement);
                oracle::put_u16(&mut data, 0, 0xffff);
            }
            _ => {
                let computed = oracle::checksum(&data);
                oracle::put_u16(&mut data, 0, computed);
            }
        }
        Ok(Self {
            data: Bytes(data),
            edits,
        })
    }
}

/// One call of a setter of an IPv4 header. Values beyond a field's range are cut to it.
#[derive(Clone, Copy, Debug, Arbitrary)]
#[allow(missing_docs, reason = "named after the setters")]
pub enum Ipv4Setter {
    Dscp(u8),
    Ecn(u8),
    TotalLen(u16),
    Identification(u16),
    Flags(u8),
    FragmentOffset(u16),
    Ttl(u8),
    Protocol(u8),
    Source([u8; 4]),
    Destination([u8; 4]),
}

/// A header, whatever its 20 bytes say, and calls of its setters.
#[derive(Clone, Debug)]
pub struct SetterCase {
    /// The header.
    pub header: [u8; 20],
    /// The calls.
    pub setters: Vec<Ipv4Setter>,
}

impl<'a> Arbitrary<'a> for SetterCase {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut header: [u8; 20] = if odds(u, 1, 4)? {
            u.arbitrary()?
        } else {
            u.arbitrary::<Ipv4Packet>()?.bytes.0[..20]
                .try_into()
                .unwrap()
        };
        if odds(u, 1, 2)? {
            oracle::put_u16(&mut header, 10, 0);
            let computed = oracle::checksum(&header);
            oracle::put_u16(&mut header, 10, computed);
        }
        let setters = (0..u.int_in_range(0..=10u8)?)
            .map(|_| u.arbitrary())
            .collect::<Result<_>>()?;
        Ok(Self { header, setters })
    }
}

/// One call of a setter of a transport header.
#[derive(Clone, Copy, Debug, Arbitrary)]
#[allow(missing_docs, reason = "named after the setters")]
pub enum TransportSetter {
    SourcePort(u16),
    DestinationPort(u16),
    Sequence(u32),
    Acknowledgment(u32),
    Flags(u16),
    Window(u16),
    UrgentPointer(u16),
    Len(u16),
    Address([u8; 4]),
    TypeAndCode(u8, u8),
}

/// A transport header and payload between two addresses, and calls of its setters.
#[derive(Clone, Debug)]
pub struct TransportCase {
    /// Source and destination.
    pub addresses: [[u8; 4]; 2],
    /// The transport header and its payload, at least 20 bytes.
    pub bytes: Bytes,
    /// Whether a checksum is filled in first; otherwise whatever stands there.
    pub valid: bool,
    /// The calls.
    pub setters: Vec<TransportSetter>,
}

impl<'a> Arbitrary<'a> for TransportCase {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let addresses = u.arbitrary()?;
        let valid = odds(u, 3, 4)?;
        let setters = (0..u.int_in_range(0..=8u8)?)
            .map(|_| u.arbitrary())
            .collect::<Result<_>>()?;
        let mut bytes = raw(u, 40)?;
        bytes.extend(blocks(u, 2)?);
        bytes.resize(bytes.len().max(20), 0);
        Ok(Self {
            addresses,
            bytes: Bytes(bytes),
            valid,
            setters,
        })
    }
}

/// Addresses that meet: tunnel ends, inner hosts, and the borders of everything that is martian.
pub const POOL: [[u8; 4]; 28] = [
    [198, 51, 100, 1],
    [203, 0, 113, 2],
    [192, 0, 2, 1],
    [192, 0, 2, 66],
    [10, 1, 0, 5],
    [10, 2, 0, 9],
    [10, 1, 255, 255],
    [8, 8, 8, 8],
    [0, 0, 0, 0],
    [0, 255, 255, 255],
    [1, 0, 0, 0],
    [126, 255, 255, 255],
    [127, 0, 0, 1],
    [127, 255, 255, 255],
    [128, 0, 0, 0],
    [223, 255, 255, 255],
    [224, 0, 0, 0],
    [224, 0, 0, 251],
    [239, 255, 255, 255],
    [240, 0, 0, 0],
    [240, 0, 0, 1],
    [255, 0, 0, 0],
    [255, 255, 255, 254],
    [255, 255, 255, 255],
    [169, 254, 1, 1],
    [192, 168, 0, 1],
    [172, 16, 104, 123],
    [100, 64, 0, 1],
];

fn address(u: &mut Unstructured<'_>) -> Result<[u8; 4]> {
    if odds(u, 1, 8)? {
        u.arbitrary()
    } else {
        Ok(*u.choose(&POOL)?)
    }
}

/// An address that may stand at the end of a tunnel (E-13, E-14).
fn unicast(u: &mut Unstructured<'_>) -> Result<[u8; 4]> {
    let address = address(u)?;
    Ok(if oracle::is_martian(address) {
        [198, 51, 100, address[3]]
    } else {
        address
    })
}

fn tos(u: &mut Unstructured<'_>) -> Result<u8> {
    u.arbitrary()
}

fn ttl(u: &mut Unstructured<'_>) -> Result<u8> {
    if odds(u, 1, 4)? {
        Ok(*u.choose(&[0, 1, 2, 255])?)
    } else {
        u.int_in_range(2..=255)
    }
}

fn flags_offset(u: &mut Unstructured<'_>) -> Result<u16> {
    Ok(match u.int_in_range(0..=7u8)? {
        0..=2 => 0x4000,
        3 | 4 => 0x0000,
        5 => *u.choose(&[
            0x2000, 0xc000, 0x8000, 0x20b9, 0x1fff, 0x6000, 0xffff, 0x0001,
        ])?,
        _ => u.arbitrary()?,
    })
}

fn protocol(u: &mut Unstructured<'_>) -> Result<u8> {
    if odds(u, 1, 4)? {
        u.arbitrary()
    } else {
        Ok(*u.choose(&[17, 6, 1, 253, 4, 41, 47, 55, 94, 137])?)
    }
}

/// Option bytes, 0 to 40: mostly none, some well formed, some not.
fn options(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut options = Vec::new();
    if odds(u, 3, 4)? {
        return Ok(options);
    }
    for _ in 0..u.int_in_range(0..=6u8)? {
        match u.int_in_range(0..=7u8)? {
            0 | 1 => options.push(1),
            2 => options.extend([148, 4, 0, 0]),
            3 => options.extend([7, 7, 4, 0, 0, 0, 0]),
            4 => options.extend([*u.choose(&[131, 137])?, 7, 4, 192, 0, 2, 1]),
            5 => {
                let data = raw(u, 10)?;
                options.extend([u.arbitrary()?, u8::try_from(data.len() + 2).unwrap()]);
                options.extend(data);
            }
            6 => options.extend([u.arbitrary::<u8>()?, u.int_in_range(0..=50)?]),
            _ => options.push(0),
        }
    }
    options.truncate(40);
    options.resize(options.len().next_multiple_of(4), 0);
    Ok(options)
}

/// A valid IPv4 packet, as long as its total length says.
#[derive(Clone, Debug)]
pub struct Ipv4Packet {
    /// Its bytes.
    pub bytes: Bytes,
}

impl<'a> Arbitrary<'a> for Ipv4Packet {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let plain = Plain {
            tos: tos(u)?,
            identification: u.arbitrary()?,
            flags_offset: flags_offset(u)?,
            ttl: ttl(u)?,
            protocol: protocol(u)?,
            source: address(u)?,
            destination: address(u)?,
            options: options(u)?,
        };
        let zero = odds(u, 1, 8)?;
        let other_zero = odds(u, 1, 2)?;
        let payload = payload(u, plain.options.len())?;
        let mut bytes = plain.packet(&payload);
        if zero {
            zero_checksum(&mut bytes, other_zero);
        }
        Ok(Self {
            bytes: Bytes(bytes),
        })
    }
}

/// Mostly short, now and then as long as a packet can be, around the border of E-06 too.
fn payload(u: &mut Unstructured<'_>, options_len: usize) -> Result<Vec<u8>> {
    let most = 65535 - 20 - options_len;
    if odds(u, 1, 16)? {
        let total = *u.choose(&[65535, 65516, 65515, 65514, 65475, 40000])?;
        return Ok(vec![u.arbitrary()?; (total - 20 - options_len).min(most)]);
    }
    let mut payload = blocks(u, 3)?;
    payload.truncate(most);
    Ok(payload)
}

/// Chooses the identification so that the header checksum computes to 0, and writes one of its two
/// encodings (trap T3).
fn zero_checksum(bytes: &mut [u8], other_zero: bool) {
    oracle::put_u16(bytes, 4, 0);
    oracle::fill_checksum(bytes);
    let identification = oracle::u16_at(bytes, 10);
    oracle::put_u16(bytes, 4, identification);
    oracle::put_u16(bytes, 10, if other_zero { 0xffff } else { 0 });
}

/// One fault in a packet.
#[derive(Clone, Copy, Debug)]
enum Fault {
    FlipBit(usize),
    Truncate(usize),
    TotalLen(u16),
    Ihl(u8),
    Version(u8),
    Checksum(u16),
}

fn fault(u: &mut Unstructured<'_>, len: usize) -> Result<Fault> {
    Ok(match u.int_in_range(0..=7u8)? {
        0 | 1 => Fault::FlipBit(u.int_in_range(0..=(len.min(64) * 8))?),
        2 => Fault::Truncate(u.int_in_range(0..=len)?),
        3 => {
            let len = u16::try_from(len.min(65535)).unwrap();
            Fault::TotalLen(match u.int_in_range(0..=5u8)? {
                0 => 0,
                1 => u.int_in_range(0..=60)?,
                2 => len.saturating_add(1),
                3 => len.saturating_sub(u.int_in_range(0..=30)?),
                4 => 65535,
                _ => u.arbitrary()?,
            })
        }
        4 => Fault::Ihl(u.int_in_range(0..=15)?),
        5 => Fault::Version(u.int_in_range(0..=15)?),
        6 => Fault::Checksum(u.arbitrary()?),
        _ => Fault::Checksum(0xffff),
    })
}

fn afflict(bytes: &mut Vec<u8>, fault: Fault, refill: bool) {
    match fault {
        Fault::Truncate(len) => return bytes.truncate(len),
        _ if bytes.len() < 20 => return,
        Fault::FlipBit(bit) => {
            if let Some(byte) = bytes.get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
            }
        }
        Fault::TotalLen(total_len) => oracle::put_u16(bytes, 2, total_len),
        Fault::Ihl(ihl) => bytes[0] = bytes[0] & 0xf0 | ihl,
        Fault::Version(version) => bytes[0] = version << 4 | bytes[0] & 0x0f,
        Fault::Checksum(checksum) => return oracle::put_u16(bytes, 10, checksum),
    }
    if refill {
        oracle::fill_checksum(bytes);
    }
}

fn faults(u: &mut Unstructured<'_>, bytes: &mut Vec<u8>) -> Result<()> {
    for _ in 0..u.int_in_range(1..=2u8)? {
        let fault = fault(u, bytes.len())?;
        afflict(bytes, fault, odds(u, 2, 3)?);
    }
    Ok(())
}

/// A valid packet with bytes behind its total length.
#[derive(Clone, Debug, Arbitrary)]
pub struct SlackCase {
    /// The packet.
    pub packet: Ipv4Packet,
    /// What lies behind it.
    pub slack: Anything,
}

/// A packet that was valid before up to two faults and some slack: most are still nearly so.
#[derive(Clone, Debug)]
pub struct MutatedPacket {
    /// Its bytes.
    pub bytes: Bytes,
}

impl<'a> Arbitrary<'a> for MutatedPacket {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        if odds(u, 1, 16)? {
            let Anything(bytes) = u.arbitrary()?;
            return Ok(Self { bytes });
        }
        let Bytes(mut bytes) = u.arbitrary::<Ipv4Packet>()?.bytes;
        if odds(u, 2, 3)? {
            faults(u, &mut bytes)?;
        }
        if odds(u, 1, 3)? {
            bytes.extend(raw(u, 40)?);
        }
        Ok(Self {
            bytes: Bytes(bytes),
        })
    }
}

/// What a caller says with a packet.
fn per_packet(u: &mut Unstructured<'_>) -> Result<PerPacket> {
    let mut packet = PerPacket::new();
    if odds(u, 3, 4)? {
        packet = packet.with_ordinal(u.arbitrary()?);
    }
    if odds(u, 1, 4)? {
        packet = packet.with_link_mtu(mtu(u)?);
    }
    Ok(packet)
}

/// A link's MTU, around the lengths that generated packets have.
///
/// # Errors
/// None.
pub fn mtu(u: &mut Unstructured<'_>) -> Result<u16> {
    Ok(match u.int_in_range(0..=3u8)? {
        0 => *u.choose(&[0, 19, 20, 40, 68, 576, 1280, 1500, 9000, 65535])?,
        1 => u.int_in_range(40..=200)?,
        2 => u.int_in_range(0..=3000)?,
        _ => u.arbitrary()?,
    })
}

/// A packet to be wrapped by every encapsulator, somewhere in a buffer.
#[derive(Debug)]
pub struct EncapCase {
    /// One of each encapsulator, with arbitrary policies.
    pub subjects: Vec<Box<dyn Subject>>,
    /// What the caller says.
    pub packet: PerPacket,
    /// Free bytes in front of the packet.
    pub headroom: usize,
    /// The packet, valid or not, as the caller's span shows it: with slack.
    pub inner: Bytes,
    /// Bytes behind it.
    pub behind: Bytes,
}

impl<'a> Arbitrary<'a> for EncapCase {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let wishes = Wishes {
            endpoints: Endpoints {
                source: unicast(u)?,
                destination: unicast(u)?,
            },
            may_refuse: true,
        };
        let subjects = ENCAPSULATORS
            .iter()
            .map(|enrolled| enrolled.generate(u, wishes))
            .collect::<Result<_>>()?;
        let inner = if odds(u, 1, 3)? {
            u.arbitrary::<MutatedPacket>()?.bytes
        } else {
            let Bytes(mut bytes) = u.arbitrary::<Ipv4Packet>()?.bytes;
            if odds(u, 1, 4)? {
                bytes.extend(raw(u, 12)?);
            }
            Bytes(bytes)
        };
        let headroom = if odds(u, 1, 8)? {
            u.int_in_range(0..=24)?
        } else {
            u.int_in_range(20..=160)?
        };
        Ok(Self {
            subjects,
            packet: per_packet(u)?,
            headroom,
            inner,
            behind: Bytes(raw(u, 9)?),
        })
    }
}

/// An ordinary packet from 10.1/16 to 10.2/16 that any tunnel between other addresses takes.
#[derive(Clone, Debug)]
pub struct OrdinaryPacket {
    /// Its bytes: at most 64 KiB minus 512.
    pub bytes: Bytes,
}

impl<'a> Arbitrary<'a> for OrdinaryPacket {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let [from, to]: [[u8; 2]; 2] = u.arbitrary()?;
        let plain = Plain {
            tos: tos(u)?,
            identification: u.arbitrary()?,
            flags_offset: flags_offset(u)?,
            ttl: u.int_in_range(8..=255)?,
            protocol: protocol(u)?,
            source: [10, 1, from[0], from[1]],
            destination: [10, 2, to[0], to[1]],
            options: options(u)?,
        };
        let mut payload = payload(u, plain.options.len())?;
        payload.truncate(65535 - 60 - 512);
        Ok(Self {
            bytes: Bytes(plain.packet(&payload)),
        })
    }
}

/// Up to four tunnels around an ordinary packet, the innermost first.
#[derive(Debug)]
pub struct NestCase {
    /// The tunnels, each between addresses of its own.
    pub layers: Vec<Box<dyn Subject>>,
    /// The packet.
    pub inner: OrdinaryPacket,
    /// The packet's number.
    pub ordinal: u32,
    /// The ECN field that a router on the way writes into the outermost header, 0 to 3.
    pub mark: u8,
}

impl<'a> Arbitrary<'a> for NestCase {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let layers = (1..=u.int_in_range(1..=4u8)?)
            .map(|layer| {
                let wishes = Wishes {
                    endpoints: Endpoints {
                        source: [198, 51, 100, layer],
                        destination: [203, 0, 113, layer],
                    },
                    may_refuse: false,
                };
                u.choose(ENCAPSULATORS)?.generate(u, wishes)
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            layers,
            inner: u.arbitrary()?,
            ordinal: u.arbitrary()?,
            mark: u.int_in_range(0..=3)?,
        })
    }
}

/// A packet that arrives at a decapsulator, for every carrier.
#[derive(Debug)]
pub struct DecapCase {
    /// One of each encapsulator, with the packet as it arrives in that carrier.
    pub arrivals: Vec<(Box<dyn Subject>, Bytes)>,
    /// Who may send what.
    pub network: Network,
    /// Whether the network is one local address, one host peer and nothing else.
    pub point_to_point: bool,
    /// The decapsulator's switches.
    pub switches: Switches,
}

impl<'a> Arbitrary<'a> for DecapCase {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let point_to_point = odds(u, 1, 3)?;
        let network = if point_to_point {
            narrow_network(u)?
        } else {
            network(u)?
        };
        let outer = outer(u, &network)?;
        let inner = inner(u, &network, &outer)?;
        let slack = if odds(u, 1, 8)? { raw(u, 40)? } else { vec![] };
        let switches = switches(u)?;
        let wishes = Wishes {
            endpoints: Endpoints {
                source: [198, 51, 100, 1],
                destination: [203, 0, 113, 2],
            },
            may_refuse: true,
        };
        let mut arrivals = Vec::new();
        for enrolled in ENCAPSULATORS {
            let subject = enrolled.generate(u, wishes)?;
            let mut outer = outer.clone();
            if !odds(u, 1, 24)? {
                outer.protocol = subject.carrier().protocol();
            }
            let mut packet = outer.packet(&subject.framed(&outer, &inner));
            if odds(u, 1, 12)? {
                faults(u, &mut packet)?;
            }
            packet.extend(&slack);
            arrivals.push((subject, Bytes(packet)));
        }
        Ok(Self {
            arrivals,
            network,
            point_to_point,
            switches,
        })
    }
}

fn net(u: &mut Unstructured<'_>) -> Result<Net> {
    if odds(u, 1, 8)? {
        return Ok(([0; 4], 0));
    }
    let len = *u.choose(&[32, 16, 8, 24, 28, 31, 1])?;
    let address = u32::from_be_bytes(address(u)?);
    let mask = u32::MAX << (32 - len);
    Ok(((address & mask).to_be_bytes(), u8::try_from(len).unwrap()))
}

const OURS: [u8; 4] = [203, 0, 113, 2];
const THEIRS: [u8; 4] = [198, 51, 100, 1];
const THEIR_HOST: [u8; 4] = [10, 1, 0, 5];
const OUR_HOST: [u8; 4] = [10, 2, 0, 9];

fn narrow_network(u: &mut Unstructured<'_>) -> Result<Network> {
    let usual = !odds(u, 1, 8)?;
    let inner = if odds(u, 1, 8)? {
        (0..u.int_in_range(0..=2u8)?)
            .map(|_| net(u))
            .collect::<Result<_>>()?
    } else {
        vec![([10, 1, 0, 0], 16), ([0; 4], 0)]
    };
    Ok(Network {
        local: vec![if usual { OURS } else { address(u)? }],
        peers: vec![Peer {
            outer: (if usual { THEIRS } else { address(u)? }, 32),
            inner,
            tag: 0,
        }],
        endpoints: vec![],
    })
}

fn network(u: &mut Unstructured<'_>) -> Result<Network> {
    let mut local = vec![OURS];
    let mut peers = Vec::new();
    for _ in 0..u.int_in_range(0..=2u8)? {
        local.push(address(u)?);
    }
    if odds(u, 1, 16)? {
        local.clear();
    }
    for _ in 0..u.int_in_range(0..=2u8)? {
        peers.push(Peer {
            outer: net(u)?,
            inner: (0..u.int_in_range(0..=2u8)?)
                .map(|_| net(u))
                .collect::<Result<_>>()?,
            tag: u.arbitrary()?,
        });
    }
    peers.push(Peer {
        outer: (THEIRS, 32),
        inner: vec![([10, 1, 0, 0], 16), net(u)?],
        tag: u.arbitrary()?,
    });
    let endpoints = (0..u.int_in_range(0..=2u8)?)
        .map(|_| address(u))
        .collect::<Result<_>>()?;
    Ok(Network {
        local,
        peers,
        endpoints,
    })
}

fn switches(u: &mut Unstructured<'_>) -> Result<Switches> {
    Ok(Switches {
        multicast: odds(u, 1, 4)?,
        class_e: odds(u, 1, 4)?,
        to_peer: odds(u, 1, 4)?,
        exact_length: odds(u, 1, 4)?,
        no_land: odds(u, 1, 2)?,
        refuse_tunnels: odds(u, 1, 3)?,
        uniform_dscp: odds(u, 1, 3)?,
        max_depth: if odds(u, 1, 4)? { u.arbitrary()? } else { 1 },
    })
}

/// An outer header that is mostly right for `network`.
fn outer(u: &mut Unstructured<'_>, network: &Network) -> Result<Plain> {
    let source = if odds(u, 1, 8)? {
        address(u)?
    } else {
        network.peers.last().map_or(THEIRS, |peer| peer.outer.0)
    };
    let destination = if odds(u, 1, 8)? || network.local.is_empty() {
        address(u)?
    } else {
        *u.choose(&network.local)?
    };
    Ok(Plain {
        tos: tos(u)?,
        identification: u.arbitrary()?,
        flags_offset: if odds(u, 1, 12)? {
            flags_offset(u)?
        } else {
            *u.choose(&[0x4000, 0x0000, 0xc000])?
        },
        ttl: u.arbitrary()?,
        protocol: protocol(u)?,
        source,
        destination,
        options: options(u)?,
    })
}

/// An inner packet that is mostly right under `outer`, with slack behind it now and then.
fn inner(u: &mut Unstructured<'_>, network: &Network, outer: &Plain) -> Result<Vec<u8>> {
    if odds(u, 1, 16)? {
        let Bytes(mut bytes) = u.arbitrary::<MutatedPacket>()?.bytes;
        bytes.truncate(65000);
        return Ok(bytes);
    }
    let source = match u.int_in_range(0..=15u8)? {
        12 => *u.choose(&network.local).unwrap_or(&OURS),
        13 => outer.source,
        14 | 15 => address(u)?,
        _ => THEIR_HOST,
    };
    let destination = match u.int_in_range(0..=15u8)? {
        10 => source,
        11 => *u.choose(&network.local).unwrap_or(&OURS),
        12 => outer.source,
        13 => outer.destination,
        14 | 15 => address(u)?,
        _ => OUR_HOST,
    };
    let plain = Plain {
        tos: tos(u)?,
        identification: u.arbitrary()?,
        flags_offset: flags_offset(u)?,
        ttl: if odds(u, 1, 16)? { 0 } else { ttl(u)? },
        protocol: protocol(u)?,
        source,
        destination,
        options: options(u)?,
    };
    let zero = odds(u, 1, 8)?;
    let other_zero = odds(u, 1, 2)?;
    let mut payload = payload(u, plain.options.len())?;
    payload.truncate(65000);
    let mut bytes = plain.packet(&payload);
    if zero {
        zero_checksum(&mut bytes, other_zero);
    }
    if odds(u, 1, 16)? {
        faults(u, &mut bytes)?;
    }
    if odds(u, 1, 8)? {
        bytes.extend(raw(u, 24)?);
    }
    Ok(bytes)
}
