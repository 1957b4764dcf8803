use core::net::Ipv4Addr;

use super::{Encapsulate, MinEnc, Tunnel};
use crate::decap::AnyReceiver;
use crate::error::EncapError;
use crate::packet::{Facts, PerPacket, Quote, Rules};
use crate::shim::{Fou, Gre, GreInUdp, Gue, GueVariant1, IpIp, Tcp};

/// Any tunnel, chosen at run time: what a configuration file asks for. A stack of them is a slice.
/// To receive, make a [`receiver`](Self::receiver) of each: a slice of these is a receiver of the stack.
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

/// Does the same with a tunnel of whichever kind.
macro_rules! each {
    ($any:expr, $tunnel:ident => $do:expr) => {
        match $any {
            $crate::encap::AnyTunnel::IpIp($tunnel) => $do,
            $crate::encap::AnyTunnel::Fou($tunnel) => $do,
            $crate::encap::AnyTunnel::Gue($tunnel) => $do,
            $crate::encap::AnyTunnel::GueVariant1($tunnel) => $do,
            $crate::encap::AnyTunnel::GreInUdp($tunnel) => $do,
            $crate::encap::AnyTunnel::Gre($tunnel) => $do,
            $crate::encap::AnyTunnel::Tcp($tunnel) => $do,
            $crate::encap::AnyTunnel::MinEnc($tunnel) => $do,
        }
    };
}

pub(crate) use each;

impl AnyTunnel {
    /// The outer source.
    #[inline]
    #[must_use]
    pub const fn source(&self) -> Ipv4Addr {
        each!(self, tunnel => tunnel.source())
    }

    /// The outer destination, the tunnel's exit.
    #[inline]
    #[must_use]
    pub const fn destination(&self) -> Ipv4Addr {
        each!(self, tunnel => tunnel.destination())
    }

    /// A receiver of what this tunnel sends: for its far end, whom `access` describes.
    #[inline]
    pub const fn receiver<A>(&self, access: A) -> AnyReceiver<A> {
        match self {
            Self::IpIp(tunnel) => AnyReceiver::IpIp(tunnel.receiver(access)),
            Self::Fou(tunnel) => AnyReceiver::Fou(tunnel.receiver(access)),
            Self::Gue(tunnel) => AnyReceiver::Gue(tunnel.receiver(access)),
            Self::GueVariant1(tunnel) => AnyReceiver::GueVariant1(tunnel.receiver(access)),
            Self::GreInUdp(tunnel) => AnyReceiver::GreInUdp(tunnel.receiver(access)),
            Self::Gre(tunnel) => AnyReceiver::Gre(tunnel.receiver(access)),
            Self::Tcp(tunnel) => AnyReceiver::Tcp(tunnel.receiver(access)),
            Self::MinEnc(tunnel) => AnyReceiver::MinEnc(tunnel.receiver(access)),
        }
    }
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

    #[inline]
    fn inside_quote<'q>(&self, quote: Quote<'q>) -> Option<Quote<'q>> {
        each!(self, tunnel => tunnel.inside_quote(quote))
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
