//! A tunnel to a peer, both ways.

use core::net::Ipv4Addr;

use super::arrival::Arrival;
use crate::decap::{Access, AnyReceiver, Decapsulate, InnerPolicy, Minimal, Receiver};
use crate::encap::{AnyTunnel, Encapsulate, MinEnc, Tunnel, each};
use crate::error::EncapError;
use crate::packet::{Facts, PerPacket, Quote, Rules};
use crate::shim::Shim;
use crate::wire::IpProtocol;

/// A tunnel to one peer, both ways: [`Encapsulate`] wraps what goes to the peer, and a receiver opens what
/// comes from it.
///
/// Every [`Tunnel`], [`MinEnc`] and [`AnyTunnel`] is one, and tuples, arrays and slices of them are, the
/// innermost first. Where the two directions differ, in UDP ports or GRE keys, [`TwoWay`] takes a shim for
/// each.
pub trait PeerTunnel: Encapsulate {
    /// What opens packets from the peer.
    type Receiver<'t, A: Access>: Decapsulate
    where
        Self: 't;

    /// Whether it reads the flow of a packet or its sum: [`Shim::READS_FLOW`].
    const READS_FLOW: bool = true;

    /// Whether the receiver may restore a header that was taken apart
    /// ([`Opened::restores_header`](crate::decap::Opened::restores_header)).
    const RESTORES_HEADER: bool = true;

    /// Whether it may have several layers: then [`inner_ends`](Self::inner_ends) may be others than
    /// [`ends`](Self::ends), and [`is_end`](Self::is_end) and [`listens`](Self::listens) know all layers.
    const IS_STACK: bool = true;

    /// The receiver of packets from the peer. `access` says who may send what in the innermost layer; the
    /// layers around it take packets from their own far end only.
    fn peer_receiver<A: Access>(&self, access: A, policy: InnerPolicy) -> Self::Receiver<'_, A>;

    /// Our address and the peer's in the outermost IPv4 header: source and destination of what we send.
    fn ends(&self) -> (Ipv4Addr, Ipv4Addr);

    /// The source and destination that the innermost layer writes.
    #[inline]
    fn inner_ends(&self) -> (Ipv4Addr, Ipv4Addr) {
        self.ends()
    }

    /// Whether this is our address in one of the layers, and whether it is the peer's in one.
    #[inline]
    fn is_end(&self, address: Ipv4Addr) -> (bool, bool) {
        let (outermost, innermost) = (self.ends(), self.inner_ends());
        (
            address == outermost.0 || address == innermost.0,
            address == outermost.1 || address == innermost.1,
        )
    }

    /// The address, protocol and port or key by which packets from the peer are recognised.
    fn arrival(&self) -> Arrival;

    /// Whether one of the layers receives at this UDP or TCP port of this address of ours.
    #[inline]
    fn listens(&self, address: Ipv4Addr, protocol: IpProtocol, port: u16) -> bool {
        let arrival = self.arrival();
        // The number of a GRE tunnel is its key.
        matches!(protocol, IpProtocol::UDP | IpProtocol::TCP)
            && address == self.ends().0
            && arrival.protocol() == protocol
            && arrival.number() == Some(u32::from(port))
    }

    /// The address, protocol and port or key by which the peer recognises what we send. Override it where the two
    /// directions differ.
    #[inline]
    fn departure(&self) -> Arrival {
        let arrival = self.arrival();
        Arrival::new(self.ends().0, arrival.protocol(), arrival.number())
    }

    /// How many bytes each packet takes of the byte stream of the outermost TCP layer, beside its own: a length
    /// prefix, and the headers of layers inside. `None` without such a layer. What an endpoint numbers the segments
    /// by: those of a second TCP layer, further in, have the numbers of the outermost.
    #[inline]
    fn stream_overhead(&self) -> Option<usize> {
        None
    }
}

impl<S: Shim> PeerTunnel for Tunnel<S> {
    type Receiver<'t, A: Access>
        = Receiver<S, A>
    where
        S: 't;

    const READS_FLOW: bool = S::READS_FLOW;
    const RESTORES_HEADER: bool = false;
    const IS_STACK: bool = false;

    #[inline]
    fn peer_receiver<A: Access>(&self, access: A, policy: InnerPolicy) -> Receiver<S, A> {
        self.receiver(access).with_inner_policy(policy)
    }

    #[inline]
    fn ends(&self) -> (Ipv4Addr, Ipv4Addr) {
        (self.source(), self.destination())
    }

    #[inline]
    fn arrival(&self) -> Arrival {
        Arrival::new(self.destination(), S::PROTOCOL, self.shim().tunnel_number())
    }

    #[inline]
    fn stream_overhead(&self) -> Option<usize> {
        S::IS_CONNECTION.then(|| self.shim().prefix_len())
    }
}

impl PeerTunnel for MinEnc {
    type Receiver<'t, A: Access> = Receiver<Minimal, A>;

    const IS_STACK: bool = false;

    #[inline]
    fn peer_receiver<A: Access>(&self, access: A, policy: InnerPolicy) -> Receiver<Minimal, A> {
        self.receiver(access).with_inner_policy(policy)
    }

    #[inline]
    fn ends(&self) -> (Ipv4Addr, Ipv4Addr) {
        (self.source(), self.destination())
    }

    #[inline]
    fn arrival(&self) -> Arrival {
        Arrival::new(self.destination(), IpProtocol::MINIMAL, None)
    }
}

impl PeerTunnel for AnyTunnel {
    type Receiver<'t, A: Access> = AnyReceiver<A>;

    const IS_STACK: bool = false;

    #[inline]
    fn peer_receiver<A: Access>(&self, access: A, policy: InnerPolicy) -> AnyReceiver<A> {
        self.receiver(access).with_inner_policy(policy)
    }

    #[inline]
    fn ends(&self) -> (Ipv4Addr, Ipv4Addr) {
        (self.source(), self.destination())
    }

    #[inline]
    fn arrival(&self) -> Arrival {
        each!(self, tunnel => tunnel.arrival())
    }

    #[inline]
    fn stream_overhead(&self) -> Option<usize> {
        each!(self, tunnel => tunnel.stream_overhead())
    }
}

/// A tunnel whose peer sends with another shim than it receives: to another UDP port, or with another GRE
/// key.
///
/// ```
/// use core::net::Ipv4Addr;
/// use ipencap::encap::Tunnel;
/// use ipencap::shim::Fou;
/// use ipencap::tunnel::{PeerTunnel, TwoWay};
/// # fn main() -> Result<(), ipencap::error::ConfigError> {
/// let (here, there) = (Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2));
/// // The peer listens on port 5555, we on 5556.
/// let tunnel = TwoWay::new(Tunnel::new(here, there, Fou::new(5555))?, Fou::new(5556));
/// assert_eq!(tunnel.arrival().number(), Some(5556));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct TwoWay<S: Shim, R = S> {
    sending: Tunnel<S>,
    receiving: R,
}

impl<S: Shim, R: Shim> TwoWay<S, R> {
    /// Packets to the peer go into `sending`; those from it have the shim `receiving`.
    #[inline]
    pub const fn new(sending: Tunnel<S>, receiving: R) -> Self {
        Self { sending, receiving }
    }

    /// The tunnel to the peer.
    #[inline]
    pub const fn sending(&self) -> &Tunnel<S> {
        &self.sending
    }

    /// The shim of packets from the peer.
    #[inline]
    #[must_use]
    pub const fn receiving(&self) -> R {
        self.receiving
    }
}

impl<S: Shim, R: Shim> Encapsulate for TwoWay<S, R> {
    #[inline(always)]
    fn overhead(&self) -> usize {
        self.sending.overhead()
    }

    #[inline(always)]
    fn check(&self, inner: &Facts, packet: &PerPacket, rules: Rules) -> Result<Facts, EncapError> {
        self.sending.check(inner, packet, rules)
    }

    #[inline(always)]
    fn write(&self, frame: &mut [u8], inner: &Facts, packet: &PerPacket, rules: Rules) -> Facts {
        self.sending.write(frame, inner, packet, rules)
    }

    #[inline(always)]
    fn rules(&self) -> Rules {
        self.sending.rules()
    }

    #[inline(always)]
    fn max_len(&self) -> u16 {
        self.sending.max_len()
    }

    #[inline]
    fn inside_quote<'q>(&self, quote: Quote<'q>) -> Option<Quote<'q>> {
        self.sending.inside_quote(quote)
    }
}

impl<S: Shim, R: Shim> PeerTunnel for TwoWay<S, R> {
    type Receiver<'t, A: Access>
        = Receiver<R, A>
    where
        Self: 't;

    const READS_FLOW: bool = S::READS_FLOW;
    const RESTORES_HEADER: bool = false;
    const IS_STACK: bool = false;

    #[inline]
    fn peer_receiver<A: Access>(&self, access: A, policy: InnerPolicy) -> Receiver<R, A> {
        Receiver::new(self.receiving, access).with_inner_policy(policy)
    }

    #[inline]
    fn ends(&self) -> (Ipv4Addr, Ipv4Addr) {
        self.sending.ends()
    }

    #[inline]
    fn arrival(&self) -> Arrival {
        let number = self.receiving.tunnel_number();
        Arrival::new(self.sending.destination(), R::PROTOCOL, number)
    }

    #[inline]
    fn departure(&self) -> Arrival {
        self.sending.departure()
    }

    #[inline]
    fn stream_overhead(&self) -> Option<usize> {
        self.sending.stream_overhead()
    }
}

impl<T: PeerTunnel + ?Sized> PeerTunnel for &T {
    type Receiver<'t, A: Access>
        = T::Receiver<'t, A>
    where
        Self: 't;

    const READS_FLOW: bool = T::READS_FLOW;
    const RESTORES_HEADER: bool = T::RESTORES_HEADER;
    const IS_STACK: bool = T::IS_STACK;

    #[inline]
    fn peer_receiver<A: Access>(&self, access: A, policy: InnerPolicy) -> T::Receiver<'_, A> {
        (**self).peer_receiver(access, policy)
    }

    #[inline]
    fn ends(&self) -> (Ipv4Addr, Ipv4Addr) {
        (**self).ends()
    }

    #[inline]
    fn inner_ends(&self) -> (Ipv4Addr, Ipv4Addr) {
        (**self).inner_ends()
    }

    #[inline]
    fn is_end(&self, address: Ipv4Addr) -> (bool, bool) {
        (**self).is_end(address)
    }

    #[inline]
    fn arrival(&self) -> Arrival {
        (**self).arrival()
    }

    #[inline]
    fn listens(&self, address: Ipv4Addr, protocol: IpProtocol, port: u16) -> bool {
        (**self).listens(address, protocol, port)
    }

    #[inline]
    fn departure(&self) -> Arrival {
        (**self).departure()
    }

    #[inline]
    fn stream_overhead(&self) -> Option<usize> {
        (**self).stream_overhead()
    }
}
