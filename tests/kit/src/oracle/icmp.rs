//! ICMP errors by RFC 792, RFC 1122 §3.2.2, RFC 1812 §4.3 and RFC 4884, and what a quote shows of a tunnel.

use ipencap::error::{Ignored, Silence};

use super::{
    Fields, OuterPolicy, Ports, address_at, checksum, fill_checksum, is_martian, put_u16, u16_at,
    validate, verifies,
};

/// The types of ICMP errors.
const ERRORS: [u8; 5] = [3, 4, 5, 11, 12];

/// Queries, answers and advertisements: no errors.
const NO_ERRORS: [u8; 10] = [0, 8, 9, 10, 13, 14, 15, 16, 17, 18];

/// Every reason not to answer the packet with an ICMP error, but those of its kind (I-01 to I-05).
#[must_use]
pub fn silences(fields: &Fields<'_>) -> Vec<Silence> {
    let mut silences = Vec::new();
    if fields.flags_offset & 0x1fff != 0 {
        silences.push(Silence::LaterFragment); // I-03
    }
    if is_martian(fields.source) {
        silences.push(Silence::SourceNotAHost); // I-04
    }
    match fields.destination {
        [224..=239, ..] => silences.push(Silence::Multicast), // I-02
        [255, 255, 255, 255] => silences.push(Silence::Broadcast),
        _ => {}
    }
    if fields.protocol == 1 {
        match fields.payload.first() {
            None => silences.push(Silence::IcmpTruncated), // I-01
            Some(kind) if ERRORS.contains(kind) => silences.push(Silence::AboutAnError),
            Some(kind) if !NO_ERRORS.contains(kind) => silences.push(Silence::UnknownIcmpType),
            Some(_) => {}
        }
    }
    silences
}

/// The ICMP error of this type, code and MTU about a packet of which `quote` is quoted, byte for byte (I-10
/// to I-14).
#[must_use]
pub fn icmp_error(
    (kind, code, mtu): (u8, u8, u16),
    quote: &[u8],
    source: [u8; 4],
    identification: Option<u16>,
) -> Vec<u8> {
    let mut icmp = vec![kind, code, 0, 0, 0, 0];
    icmp.extend(mtu.to_be_bytes());
    icmp.extend(quote);
    let computed = checksum(&icmp);
    put_u16(&mut icmp, 2, computed);
    let total_len = u16::try_from(20 + icmp.len()).unwrap();
    let mut packet = vec![0x45, 0xc0];
    packet.extend(total_len.to_be_bytes());
    packet.extend(identification.unwrap_or(0).to_be_bytes());
    packet.extend(if identification.is_some() {
        [0x00, 0x00]
    } else {
        [0x40, 0x00]
    });
    packet.extend([64, 1, 0, 0]);
    packet.extend(source);
    packet.extend(address_at(quote, 12));
    fill_checksum(&mut packet);
    packet.extend(icmp);
    packet
}

/// What a received ICMP error says: type, code, bytes 4 to 7, who sent it, and what it quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard<'a> {
    /// The type.
    pub kind: u8,
    /// The code.
    pub code: u8,
    /// Bytes 4 to 7 of the message.
    pub rest: [u8; 4],
    /// The source of the packet.
    pub reporter: [u8; 4],
    /// The quoted packet, up to its total length.
    pub quote: &'a [u8],
}

/// The ICMP error in a whole IPv4 packet.
///
/// # Errors
/// The first reason to ignore it, in the order of the layers.
pub fn hear_icmp(packet: &[u8]) -> Result<Heard<'_>, Ignored> {
    let Ok(fields) = validate(packet, true) else {
        return Err(Ignored::Invalid);
    };
    if fields.protocol != 1 {
        return Err(Ignored::NotIcmp);
    }
    if fields.is_fragment() {
        return Err(Ignored::Fragment);
    }
    if is_martian(fields.source) {
        return Err(Ignored::ReporterNotAHost);
    }
    let message = fields.payload;
    if message.len() < 8 {
        return Err(Ignored::IcmpTruncated);
    }
    if !verifies(message) {
        return Err(Ignored::BadChecksum);
    }
    let (kind, code) = (message[0], message[1]);
    if !ERRORS.contains(&kind) {
        return Err(Ignored::NotAnError);
    }
    if kind == 11 && code > 1 {
        return Err(Ignored::UnknownCode);
    }
    let mut quote = &message[8..];
    let words = usize::from(message[5]);
    if [3, 11, 12].contains(&kind) && words > 0 && words * 4 <= quote.len() {
        quote = &quote[..words * 4]; // I-34
    }
    if quote.len() < 20 {
        return Err(Ignored::QuoteTooShort);
    }
    if !(0x45..=0x4f).contains(&quote[0]) {
        return Err(Ignored::QuoteNotIpv4);
    }
    let header_len = usize::from(quote[0] % 16) * 4;
    let total_len = usize::from(u16_at(quote, 2));
    if quote.len() < header_len {
        return Err(Ignored::QuoteTooShort);
    }
    if total_len >= header_len && total_len <= quote.len() {
        quote = &quote[..total_len];
    } else if quote.len() < header_len + 8 {
        return Err(Ignored::QuoteTooShort);
    }
    Ok(Heard {
        kind,
        code,
        rest: address_at(message, 4),
        reporter: fields.source,
        quote,
    })
}

/// Whether the quoted outer header, as far as it goes, is one that the tunnel writes: what routers change
/// is not looked at (I-20).
pub(super) fn owns(quote: &[u8], outer: &OuterPolicy, protocol: u8) -> bool {
    let expected = [&[protocol][..], &outer.source, &outer.destination].concat();
    let places = [9].into_iter().chain(12..20);
    let agrees = |(at, byte): (usize, &u8)| quote.get(at).is_none_or(|quoted| quoted == byte);
    places.zip(&expected).all(agrees)
        && quote.get(6).is_none_or(|byte| byte % 32 == 0)
        && quote.get(7).is_none_or(|byte| *byte == 0)
}

/// Whether the bytes from `at` on are these, as far as they are quoted. `None` matches all.
pub(super) fn agrees(quote: &[u8], at: usize, expected: &[Option<u8>]) -> bool {
    let quoted = quote.get(at..).unwrap_or(&[]);
    let mut pairs = quoted.iter().zip(expected);
    pairs.all(|(quoted, expected)| expected.is_none_or(|expected| *quoted == expected))
}

/// The packet `len` bytes into the quote, as far as it is quoted and up to its total length. `None` if it
/// is not IPv4.
pub(super) fn behind(quote: &[u8], len: usize) -> Option<Vec<u8>> {
    let packet = quote.get(len..).unwrap_or(&[]);
    let Some(first) = packet.first() else {
        return Some(vec![]);
    };
    if first / 16 != 4 || first % 16 < 5 {
        return None;
    }
    let header_len = usize::from(first % 16) * 4;
    if packet.len() >= 20 {
        let total_len = usize::from(u16_at(packet, 2));
        if (header_len..packet.len()).contains(&total_len) {
            return Some(packet[..total_len].to_vec());
        }
    }
    Some(packet.to_vec())
}

/// Whether a flow can have this source port.
pub(super) fn may_be_port(ports: Ports, port: u16) -> bool {
    match ports {
        Ports::Dynamic | Ports::DynamicFolded => port >= 49152,
        Ports::Glb => port >= 32768,
        // The last port of the range is never reached.
        Ports::Linux => (32768..60999).contains(&port),
    }
}
