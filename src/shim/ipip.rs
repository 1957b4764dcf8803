use super::{Carried, PseudoHeader, Shim};
use crate::error::Refused;
use crate::packet::{Facts, PerPacket, Rules};
use crate::wire::{IpProtocol, Ipv4};

/// IP-in-IP: the inner packet right behind the outer IPv4 header, protocol 4 (RFC 2003).
///
/// ```text
///  before   [··· headroom ···][inner IPv4|payload]
///  after    [···][outer IPv4 ][inner IPv4|payload]
///                └ overhead 20┘
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[doc(alias = "ipip")]
#[doc(alias = "proto 4")]
#[allow(clippy::exhaustive_structs, reason = "there is nothing to set")]
pub struct IpIp;

impl Shim for IpIp {
    const PROTOCOL: IpProtocol = IpProtocol::IPENCAP;
    const READS_FLOW: bool = false;

    #[inline(always)]
    fn len(&self) -> usize {
        0
    }

    #[inline(always)]
    fn outer_facts(
        &self,
        outer: Facts,
        inner: &Facts,
        _packet: &PerPacket,
        _pseudo: PseudoHeader,
        _rules: Rules,
    ) -> Facts {
        outer.carrying(inner)
    }

    #[inline(always)]
    fn write(
        &self,
        _bytes: &mut [u8],
        _inner: &Facts,
        _packet: &PerPacket,
        _pseudo: PseudoHeader,
        _rules: Rules,
    ) {
    }

    #[inline(always)]
    fn read(&self, outer: Ipv4<'_>) -> Result<Carried, Refused> {
        Ok(Carried::behind(0, outer.payload().len()))
    }
}
