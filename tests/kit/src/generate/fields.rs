//! Inputs for the laws of checksums and setters.

use arbitrary::{Arbitrary, Result, Unstructured};

use super::{Bytes, Ipv4Packet, blocks, odds, pieces, raw, verbatim};
use crate::oracle;

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
        let mut data = blocks(u, 12)?;
        let pieces = pieces(u, data.len())?;
        let alignment = u.int_in_range(0..=15)?;
        if odds(u, 1, 32)? {
            // Beyond what 32 bits hold of 16-bit words (trap T11), and beyond the library's blocks.
            let long = *u.choose(&[131_078, 131_078, 131_078, (1 << 20) + 136])?;
            data.resize(data.len() + long, *u.choose(&[0xff, 0x00])?);
        }
        if let Some(bytes) = verbatim(u)? {
            data = bytes;
        }
        Ok(Self {
            data: Bytes(data),
            alignment,
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
        if odds(u, 1, 32)? {
            // Around what 16 bits can say (trap T12).
            let len = u.int_in_range(65_500..=65_580)?;
            bytes.resize(len, u.arbitrary()?);
        }
        Ok(Self {
            addresses,
            bytes: Bytes(bytes),
            valid,
            setters,
        })
    }
}
