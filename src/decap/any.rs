use super::{Access, Decapsulate, InnerPolicy, Minimal, Opened, OuterMeta, OuterPacket, Receiver};
use crate::error::{Reason, Refused};
use crate::shim::{Fou, Gre, GreInUdp, Gue, GueVariant1, IpIp, Tcp};
use crate::wire::Ipv4;

/// A receiver of any kind of tunnel, chosen at run time. It opens what an
/// [`AnyTunnel`](crate::encap::AnyTunnel) sends ([`AnyTunnel::receiver`](crate::encap::AnyTunnel::receiver)).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
#[must_use]
pub enum AnyReceiver<A> {
    /// IP-in-IP.
    IpIp(Receiver<IpIp, A>),
    /// FOU.
    Fou(Receiver<Fou, A>),
    /// GUE, variant 0, without private words.
    Gue(Receiver<Gue, A>),
    /// GUE, variant 1.
    GueVariant1(Receiver<GueVariant1, A>),
    /// GRE in UDP.
    GreInUdp(Receiver<GreInUdp, A>),
    /// GRE.
    Gre(Receiver<Gre, A>),
    /// TCP segments.
    Tcp(Receiver<Tcp, A>),
    /// Minimal encapsulation.
    MinEnc(Receiver<Minimal, A>),
}

macro_rules! each {
    ($any:expr, $receiver:ident => $do:expr) => {
        match $any {
            AnyReceiver::IpIp($receiver) => $do,
            AnyReceiver::Fou($receiver) => $do,
            AnyReceiver::Gue($receiver) => $do,
            AnyReceiver::GueVariant1($receiver) => $do,
            AnyReceiver::GreInUdp($receiver) => $do,
            AnyReceiver::Gre($receiver) => $do,
            AnyReceiver::Tcp($receiver) => $do,
            AnyReceiver::MinEnc($receiver) => $do,
        }
    };
}

impl<A> AnyReceiver<A> {
    /// Sets all that is allowed and refused of inner packets.
    #[inline]
    pub const fn with_inner_policy(mut self, policy: InnerPolicy) -> Self {
        each!(&mut self, receiver => receiver.set_inner_policy(policy));
        self
    }
}

impl<A: Access> AnyReceiver<A> {
    /// [`Receiver::inspect_payload`], for the kinds in UDP and TCP.
    ///
    /// # Errors
    /// [`Refused`]: as there, and as `NotTunnel` by the other kinds.
    #[inline]
    pub fn inspect_payload(&self, meta: &OuterMeta, payload: &[u8]) -> Result<Opened, Refused> {
        self.inspect_layer(meta, payload, false)
    }

    #[inline]
    pub(crate) fn inspect_layer(
        &self,
        meta: &OuterMeta,
        payload: &[u8],
        expects_tunnel: bool,
    ) -> Result<Opened, Refused> {
        match self {
            Self::Fou(receiver) => receiver.inspect_layer(meta, payload, expects_tunnel),
            Self::Gue(receiver) => receiver.inspect_layer(meta, payload, expects_tunnel),
            Self::GueVariant1(receiver) => receiver.inspect_layer(meta, payload, expects_tunnel),
            Self::GreInUdp(receiver) => receiver.inspect_layer(meta, payload, expects_tunnel),
            Self::Tcp(receiver) => receiver.inspect_layer(meta, payload, expects_tunnel),
            Self::IpIp(_) | Self::Gre(_) | Self::MinEnc(_) => Err(Refused::new(Reason::NotTunnel)),
        }
    }
}

impl<A: Access> Decapsulate for AnyReceiver<A> {
    #[inline]
    fn recognises(&self, outer: Ipv4<'_>) -> bool {
        each!(self, receiver => receiver.recognises(outer))
    }

    #[inline]
    fn inspect_outer(&self, outer: OuterPacket<'_>) -> Result<Opened, Refused> {
        each!(self, receiver => receiver.inspect_outer(outer))
    }
}
