use super::{Carried, InUdp, Udp};
use crate::error::Refused;
use crate::packet::{Facts, PerPacket};

/// FOU: the inner packet directly in a UDP datagram, to a port that both ends agree on.
///
/// ```text
///  [outer IPv4][UDP 8][inner IPv4|payload]
///  └ overhead 28 ────┘
/// ```
///
/// ```
/// use core::net::Ipv4Addr;
/// use ipencap::encap::{Encapsulate, Tunnel};
/// use ipencap::shim::{ChecksumPolicy, Fou, SourcePort};
///
/// # fn main() -> Result<(), ipencap::error::ConfigError> {
/// let fou = Fou::new(5555)
///     .with_source_port(SourcePort::Fixed(0xc123))
///     .with_checksum(ChecksumPolicy::Full);
/// let tunnel = Tunnel::new(Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2), fou)?;
/// assert_eq!(tunnel.overhead(), 28);
/// # Ok(())
/// # }
/// ```
#[doc(alias = "fou")]
pub type Fou = Udp<DirectIpv4>;

/// Nothing: the IPv4 packet begins right behind the UDP header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs, reason = "there is nothing to set")]
pub struct DirectIpv4;

impl Fou {
    /// FOU to this port.
    #[inline]
    pub const fn new(destination_port: u16) -> Self {
        Self::to_port(destination_port, DirectIpv4)
    }
}

impl InUdp for DirectIpv4 {
    #[inline(always)]
    fn len(&self) -> usize {
        0
    }

    #[inline(always)]
    fn write(&self, _bytes: &mut [u8], _inner: &Facts, _packet: &PerPacket) -> u16 {
        0
    }

    #[inline(always)]
    fn read(&self, payload: &[u8]) -> Result<Carried, Refused> {
        Ok(Carried::behind(0, payload.len()))
    }
}
