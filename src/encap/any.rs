use super::{Encapsulate, MinEnc, Tunnel};
use crate::error::EncapError;
use crate::packet::{Facts, PerPacket, Rules};
use crate::shim::{Fou, Gre, GreInUdp, Gue, GueVariant1, IpIp, Tcp};

/// Any tunnel, chosen at run time: what a configuration file asks for. A stack of them is a slice.
/// To receive, make a [`Receiver`](crate::decap::Receiver) for each and pass them to
/// [`decap_nested`](crate::decap::decap_nested()) as `&dyn Decapsulate`.
///
/// ```
/// use core::net::Ipv4Addr;
/// use ipencap::encap::{AnyTunnel, Encapsulate, Tunnel};
/// use ipencap::shim::{Fou, IpIp};
///
/// # fn main() -> Result<(), ipencap::error::ConfigError> {
/// let site = Tunnel::new(Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2), IpIp)?;
/// let (left, right) = (Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2));
/// let wan = Tunnel::new(left, right, Fou::new(5555))?;
/// let stack: Vec<AnyTunnel> = vec![site.into(), wan.into()]; // the innermost first
/// assert_eq!(stack.as_slice().overhead(), 48);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(
    clippy::large_enum_variant,
    reason = "without an allocator there is nowhere else to keep it"
)]
pub enum AnyTunnel {
    /// IP-in-IP.
    IpIp(Tunnel<IpIp>),
    /// FOU.
    Fou(Tunnel<Fou>),
    /// GUE, variant 0, without private words.
    Gue(Tunnel<Gue>),
    /// GUE, variant 1.
    GueVariant1(Tunnel<GueVariant1>),
    /// GRE in UDP.
    GreInUdp(Tunnel<GreInUdp>),
    /// GRE.
    Gre(Tunnel<Gre>),
    /// TCP segments.
    Tcp(Tunnel<Tcp>),
    /// Minimal encapsulation.
    MinEnc(MinEnc),
}

macro_rules! each {
    ($any:expr, $tunnel:ident => $do:expr) => {
        match $any {
            AnyTunnel::IpIp($tunnel) => $do,
            AnyTunnel::Fou($tunnel) => $do,
            AnyTunnel::Gue($tunnel) => $do,
            AnyTunnel::GueVariant1($tunnel) => $do,
            AnyTunnel::GreInUdp($tunnel) => $do,
            AnyTunnel::Gre($tunnel) => $do,
            AnyTunnel::Tcp($tunnel) => $do,
            AnyTunnel::MinEnc($tunnel) => $do,
        }
    };
}

impl Encapsulate for AnyTunnel {
    #[inline]
    fn overhead(&self) -> usize {
        each!(self, tunnel => tunnel.overhead())
    }

    #[inline]
    fn check(&self, inner: &Facts, packet: &PerPacket, rules: Rules) -> Result<Facts, EncapError> {
        each!(self, tunnel => tunnel.check(inner, packet, rules))
    }

    #[inline]
    fn write(&self, frame: &mut [u8], inner: &Facts, packet: &PerPacket, rules: Rules) -> Facts {
        each!(self, tunnel => tunnel.write(frame, inner, packet, rules))
    }

    #[inline]
    fn rules(&self) -> Rules {
        each!(self, tunnel => tunnel.rules())
    }

    #[inline]
    fn max_len(&self) -> u16 {
        each!(self, tunnel => tunnel.max_len())
    }
}

macro_rules! from {
    ($($variant:ident($Type:ty))+) => { $(
        impl From<$Type> for AnyTunnel {
            #[inline]
            fn from(tunnel: $Type) -> Self {
                Self::$variant(tunnel)
            }
        }
    )+ };
}

from! {
    IpIp(Tunnel<IpIp>) Fou(Tunnel<Fou>) Gue(Tunnel<Gue>) GueVariant1(Tunnel<GueVariant1>)
    GreInUdp(Tunnel<GreInUdp>) Gre(Tunnel<Gre>) Tcp(Tunnel<Tcp>) MinEnc(MinEnc)
}
