//! Naive oracles: the same answers as the library's, by the plainest way.
//!
//! Written from the RFCs and the rule tables, byte by byte; slow and allocating on purpose. Nothing
//! here calls the library: of it only plain data is used (errors, alarms, what a caller says with a
//! packet), so that questions and answers can be compared. A round trip cannot see a symmetric
//! mistake; these can.

use ipencap::error::ParseError;
use ipencap::wire::EcnAlarm;

mod carriers;
mod decap;
mod encap;
mod endpoint;
mod flow;
mod fragment;
mod icmp;
mod lengths;
mod mss;
mod paths;
mod peers;
mod stream;
mod tables;

pub use carriers::{
    NaiveGre, NaiveIpIp, NaiveMinimal, NaiveTcp, NaiveUdp, Summed, UdpKind, refill,
};
pub use decap::{
    Accepted, Inside, NaiveCarrier, Net, Network, Peer, Refusal, Switches, decapsulate,
    has_source_route, in_net, is_martian, refuse,
};
pub use encap::{Ids, NaiveEncapsulator, NaiveStack, OuterPolicy};
pub use endpoint::{Came, Due, NaiveEndpoint, Went, Why};
pub use flow::{Ports, depth, flow_hash, innermost, known_sum_of, murmur3, source_port};
pub use fragment::{ECN_REASSEMBLED, Joined, NaiveReassembler, fragments};
pub use icmp::{Heard as HeardIcmp, hear_icmp, icmp_error, silences};
pub use lengths::{fragment_count, outer_len};
pub use mss::{clamped, covered_by_tcp, mss_values, syn_at, tcp_checksum};
pub use paths::NaivePath;
pub use peers::{NaiveArrival, NaiveId, NaivePeers, NaiveSlot, NaiveTunnel, arrival};
pub use stream::{Heard, Receiver, Said, hear};
pub use tables::NaiveTable;

/// The C program of RFC 1071 §4.1, read byte by byte in network order.
#[must_use]
pub fn checksum(data: &[u8]) -> u16 {
    let mut sum = 0u64;
    let mut addr = 0;
    let mut count = data.len();
    while count > 1 {
        sum += u64::from(data[addr]) * 256 + u64::from(data[addr + 1]);
        addr += 2;
        count -= 2;
    }
    if count > 0 {
        sum += u64::from(data[addr]) * 256;
    }
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap()
}

/// The sum of the 16-bit words modulo 65535: 0 if the data carries a right checksum, and what is
/// wrong with it otherwise. An incremental update must not change it (P-07).
#[must_use]
pub fn residue(data: &[u8]) -> u16 {
    !checksum(data) % 0xffff
}

/// Whether data with its checksum in place sums to 0xFFFF (C-06).
#[must_use]
pub fn verifies(data: &[u8]) -> bool {
    checksum(data) == 0
}

/// The 16-bit field at `at`.
#[must_use]
pub fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from(bytes[at]) * 256 + u16::from(bytes[at + 1])
}

/// Writes a 16-bit field at `at`.
pub fn put_u16(bytes: &mut [u8], at: usize, value: u16) {
    [bytes[at], bytes[at + 1]] = value.to_be_bytes();
}

/// The four bytes at `at`.
#[must_use]
pub fn address_at(bytes: &[u8], at: usize) -> [u8; 4] {
    [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]
}

/// How the ECN field of an outer header follows from the inner one, by the numeric value of the
/// inner field: Not-ECT, ECT(1), ECT(0), CE (RFC 6040 figure 3).
pub type EcnRow = [u8; 4];

/// RFC 6040 figure 3, normal mode.
pub const ECN_NORMAL: EcnRow = [0b00, 0b01, 0b10, 0b11];
/// RFC 6040 figure 3, compatibility mode.
pub const ECN_COMPATIBILITY: EcnRow = [0b00, 0b00, 0b00, 0b00];
/// RFC 3168 §9.1.1, full functionality: CE becomes ECT(0).
pub const ECN_RFC3168: EcnRow = [0b00, 0b01, 0b10, 0b10];

/// In [`ECN_DECAPSULATED`]: the packet is dropped.
pub const DROP: u8 = 0xff;

/// RFC 6040 figure 4, indexed by `inner * 4 + outer`.
pub const ECN_DECAPSULATED: [u8; 16] = [0, 0, 0, DROP, 1, 1, 1, 3, 2, 1, 2, 3, 3, 3, 3, 3];

/// The flagged cells of RFC 6040 figure 4: bit `inner * 4 + outer`.
pub const ECN_ALARMS: u16 = 0x204e;

/// The one flagged cell with a single `!`: ECT(1) under ECT(0).
pub const ECN_POSSIBLE: usize = 6;

/// The alarm of a cell of RFC 6040 figure 4.
#[must_use]
pub fn ecn_alarm(inner: u8, outer: u8) -> Option<EcnAlarm> {
    let cell = usize::from(inner) * 4 + usize::from(outer);
    if ECN_ALARMS >> cell & 1 == 0 {
        None
    } else if cell == ECN_POSSIBLE {
        Some(EcnAlarm::Possible)
    } else {
        Some(EcnAlarm::Dangerous)
    }
}

/// A valid IPv4 packet, field by field, as V-01 to V-07 let it through.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    /// Header length with options, in bytes.
    pub header_len: usize,
    /// DSCP and ECN.
    pub tos: u8,
    /// Header and payload, in bytes.
    pub total_len: usize,
    /// Identification.
    pub identification: u16,
    /// The word of flags and fragment offset.
    pub flags_offset: u16,
    /// Hops left.
    pub ttl: u8,
    /// What the payload is.
    pub protocol: u8,
    /// Source address.
    pub source: [u8; 4],
    /// Destination address.
    pub destination: [u8; 4],
    /// The option bytes.
    pub options: &'a [u8],
    /// The payload, up to the total length.
    pub payload: &'a [u8],
    /// Bytes behind the total length.
    pub slack: usize,
}

impl Fields<'_> {
    /// Whether it is a fragment, first, middle or last.
    #[must_use]
    pub fn is_fragment(&self) -> bool {
        self.flags_offset & 0x3fff != 0
    }

    /// Whether its payload begins in the middle of a datagram, without a transport header.
    #[must_use]
    pub fn is_later_fragment(&self) -> bool {
        self.flags_offset & 0x1fff != 0
    }
}

/// V-01 to V-07, in this order, the checksum only if `with_checksum`.
///
/// # Errors
/// The first rule that is broken.
pub fn validate(bytes: &[u8], with_checksum: bool) -> Result<Fields<'_>, ParseError> {
    let present = bytes.len();
    let truncated = |need: usize| ParseError::Truncated {
        need: u16::try_from(need).unwrap(),
        have: u16::try_from(present).unwrap_or(u16::MAX),
    };
    if present < 20 {
        return Err(truncated(20)); // V-01
    }
    let version = bytes[0] / 16;
    if version != 4 {
        return Err(ParseError::BadVersion { version }); // V-02
    }
    let ihl = bytes[0] % 16;
    if ihl < 5 {
        return Err(ParseError::BadIhl { ihl }); // V-03
    }
    let header_len = usize::from(ihl) * 4;
    if header_len > present {
        return Err(truncated(header_len)); // V-04
    }
    if with_checksum && !verifies(&bytes[..header_len]) {
        return Err(ParseError::BadChecksum); // V-05
    }
    let total_len = usize::from(u16_at(bytes, 2));
    if total_len < header_len {
        return Err(ParseError::BadTotalLength {
            total_len: u16_at(bytes, 2),
        }); // V-06, V-09
    }
    if total_len > present {
        return Err(truncated(total_len)); // V-07
    }
    Ok(Fields {
        header_len,
        tos: bytes[1],
        total_len,
        identification: u16_at(bytes, 4),
        flags_offset: u16_at(bytes, 6),
        ttl: bytes[8],
        protocol: bytes[9],
        source: address_at(bytes, 12),
        destination: address_at(bytes, 16),
        options: &bytes[20..header_len],
        payload: &bytes[header_len..total_len],
        slack: present - total_len, // V-08
    })
}

/// The fields of an IPv4 packet to be written, byte by byte.
#[derive(Clone, Debug)]
pub struct Plain {
    /// DSCP and ECN.
    pub tos: u8,
    /// Identification.
    pub identification: u16,
    /// The word of flags and fragment offset.
    pub flags_offset: u16,
    /// Hops left.
    pub ttl: u8,
    /// What the payload is.
    pub protocol: u8,
    /// Source address.
    pub source: [u8; 4],
    /// Destination address.
    pub destination: [u8; 4],
    /// Option bytes: a multiple of 4, at most 40.
    pub options: Vec<u8>,
}

impl Plain {
    /// An unmarked packet with DF set, from 10.1.0.5 to 10.2.0.9.
    #[must_use]
    pub const fn of(protocol: u8) -> Self {
        Self {
            tos: 0,
            identification: 0x1234,
            flags_offset: 0x4000,
            ttl: 64,
            protocol,
            source: [10, 1, 0, 5],
            destination: [10, 2, 0, 9],
            options: vec![],
        }
    }

    /// The packet with this payload, as RFC 791 §3.1 draws it.
    #[must_use]
    pub fn packet(&self, payload: &[u8]) -> Vec<u8> {
        assert!(self.options.len() <= 40 && self.options.len().is_multiple_of(4));
        let ihl = u8::try_from(5 + self.options.len() / 4).unwrap();
        let total_len = u16::try_from(20 + self.options.len() + payload.len()).unwrap();
        let mut bytes = vec![0x40 | ihl, self.tos];
        bytes.extend(total_len.to_be_bytes());
        bytes.extend(self.identification.to_be_bytes());
        bytes.extend(self.flags_offset.to_be_bytes());
        bytes.extend([self.ttl, self.protocol, 0, 0]);
        bytes.extend(self.source);
        bytes.extend(self.destination);
        bytes.extend(&self.options);
        bytes.extend(payload);
        fill_checksum(&mut bytes);
        bytes
    }
}

/// Writes the right checksum into an IPv4 header, as long as its IHL and the bytes allow.
pub fn fill_checksum(bytes: &mut [u8]) {
    let header_len = (usize::from(bytes[0] % 16) * 4).clamp(20, bytes.len());
    put_u16(bytes, 10, 0);
    let computed = checksum(&bytes[..header_len]);
    put_u16(bytes, 10, computed);
}

/// RFC 1624 equation 3, in the arithmetic of the RFC: `HC' = ~(~HC + ~m + m')`.
#[must_use]
pub fn equation_3(checksum: u16, old: u16, new: u16) -> u16 {
    let mut sum = u32::from(!checksum) + u32::from(!old) + u32::from(new);
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap()
}
