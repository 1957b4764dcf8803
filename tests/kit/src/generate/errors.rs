//! ICMP errors on their way out and in, and what they quote.

use arbitrary::{Arbitrary, Result, Unstructured};
use ipencap::icmp::Kind;

use super::packets::{address, faults, unicast};
use super::{Bytes, Ipv4Packet, MutatedPacket, NestCase, mtu, odds, raw, verbatim};
use crate::oracle::{self, Plain};

/// A packet, valid or not, that an ICMP error shall be sent about.
#[derive(Debug)]
pub struct ErrorCase {
    /// The packet.
    pub offending: Bytes,
    /// What the error says.
    pub kind: Kind,
    /// Who sends it.
    pub source: [u8; 4],
    /// How much to quote, if not as much as possible.
    pub quote_len: Option<u16>,
    /// The error's identification, if it shall have one.
    pub identification: Option<u16>,
    /// How many bytes of the packet another error has quoted.
    pub quoted: usize,
}

impl<'a> Arbitrary<'a> for ErrorCase {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let kind = match u.int_in_range(0..=9u8)? {
            0 => Kind::NetUnreachable,
            1 => Kind::HostUnreachable,
            2 => Kind::Prohibited,
            3 => Kind::TimeExceeded,
            4 => Kind::ReassemblyTimeExceeded,
            5 => Kind::FragmentationNeeded {
                mtu: u.int_in_range(60..=76)?,
            },
            _ => Kind::FragmentationNeeded { mtu: mtu(u)? },
        };
        let source = if odds(u, 1, 8)? {
            address(u)?
        } else {
            unicast(u)?
        };
        let quote_len = if odds(u, 1, 2)? {
            Some(u.int_in_range(0..=600)?)
        } else {
            None
        };
        let identification = if odds(u, 1, 3)? {
            Some(u.arbitrary()?)
        } else {
            None
        };
        let quoted = u.int_in_range(0..=100)?;
        let mut offending = if odds(u, 1, 4)? {
            u.arbitrary::<MutatedPacket>()?.bytes
        } else {
            u.arbitrary::<Ipv4Packet>()?.bytes
        };
        if odds(u, 1, 2)? {
            // ICMP, mostly of a known type.
            let bytes = &mut offending.0;
            let header_len = usize::from(bytes.first().copied().unwrap_or(0) % 16) * 4;
            if header_len >= 20 && header_len < bytes.len() {
                bytes[9] = 1;
                bytes[header_len] = u.int_in_range(0..=20)?;
                oracle::fill_checksum(bytes);
            }
        }
        Ok(Self {
            offending: verbatim(u)?.map_or(offending, Bytes),
            kind,
            source,
            quote_len,
            identification,
            quoted,
        })
    }
}

/// An ICMP error as it arrives, with up to two faults.
#[derive(Debug)]
pub struct ReportCase {
    /// The packet.
    pub packet: Bytes,
}

impl<'a> Arbitrary<'a> for ReportCase {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let kind = if odds(u, 1, 8)? {
            u.arbitrary()?
        } else {
            *u.choose(&[3, 3, 3, 3, 11, 12, 4, 5])?
        };
        let code = if odds(u, 1, 8)? {
            u.arbitrary()?
        } else {
            u.int_in_range(0..=5)?
        };
        let Bytes(quoted) = u.arbitrary::<Ipv4Packet>()?.bytes;
        let mut quote = quoted;
        quote.truncate(match u.int_in_range(0..=3u8)? {
            0 => 28,
            1 => u.int_in_range(0..=70)?,
            _ => 548,
        });
        let mut rest = [0, 0, 0, 0];
        [rest[2], rest[3]] = mtu(u)?.to_be_bytes();
        if odds(u, 1, 4)? {
            rest[0] = u.arbitrary()?;
        }
        if odds(u, 1, 3)? {
            // RFC 4884: the length in words, padding or not, and an extension.
            if odds(u, 3, 4)? {
                quote.resize(quote.len().next_multiple_of(4).max(128), 0);
            }
            rest[1] = u8::try_from(quote.len() / 4).unwrap();
            if odds(u, 1, 8)? {
                rest[1] = u.arbitrary()?;
            }
            quote.extend([0x20, 0, 0, 0]);
            quote.extend(raw(u, 20)?);
        }
        let mut message = vec![kind, code, 0, 0];
        message.extend(rest);
        message.extend(quote);
        if odds(u, 1, 16)? {
            message.truncate(u.int_in_range(0..=8)?);
        }
        if message.len() >= 4 && !odds(u, 1, 16)? {
            let computed = oracle::checksum(&message);
            oracle::put_u16(&mut message, 2, computed);
        }
        let outer = Plain {
            flags_offset: if odds(u, 1, 16)? {
                *u.choose(&[0x2000, 0x0001, 0x4000, 0x8000])?
            } else {
                0
            },
            protocol: if odds(u, 1, 16)? { u.arbitrary()? } else { 1 },
            source: address(u)?,
            destination: unicast(u)?,
            ..Plain::of(1)
        };
        let mut packet = outer.packet(&message);
        if odds(u, 1, 8)? {
            faults(u, &mut packet)?;
        }
        Ok(Self {
            packet: Bytes(verbatim(u)?.unwrap_or(packet)),
        })
    }
}

/// A packet of up to four tunnels in a quote: changed on its way, or by somebody who makes it up.
#[derive(Debug)]
pub struct QuoteCase {
    /// The tunnels and the packet.
    pub nest: NestCase,
    /// Which bytes of the outermost packet are changed, and which of their bits.
    pub changes: Vec<(usize, u8)>,
}

impl<'a> Arbitrary<'a> for QuoteCase {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let changes = (0..u.int_in_range(1..=2u8)?)
            .map(|_| {
                let bits = if odds(u, 1, 2)? {
                    1 << u.int_in_range(0..=7u8)?
                } else {
                    u.int_in_range(1..=255)?
                };
                Ok((u.int_in_range(0..=80)?, bits))
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            changes,
            nest: u.arbitrary()?,
        })
    }
}
