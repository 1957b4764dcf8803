//! Stacks of tunnels to a peer: pairs, arrays and slices of layers, the innermost first.

use core::net::Ipv4Addr;

use super::arrival::Arrival;
use super::peer_tunnel::PeerTunnel;
use crate::decap::{Access, Decapsulate, InnerPolicy, Opened, OuterPacket};
use crate::error::{Reason, Refused};
use crate::packet::Flow;
use crate::wire::{IpProtocol, Ipv4};

/// Who may send to a layer of a stack: the far end of that layer, packets of the layer inside.
#[derive(Clone, Copy, Debug)]
pub struct Around {
    local: Ipv4Addr,
    peer: Ipv4Addr,
    inner_source: Ipv4Addr,
}

impl Around {
    /// Of the layer between these ends, around one whose packets are between those.
    pub(super) const fn new(
        (local, peer): (Ipv4Addr, Ipv4Addr),
        inner: (Ipv4Addr, Ipv4Addr),
    ) -> Self {
        Self {
            local,
            peer,
            inner_source: inner.1,
        }
    }
}

impl Access for Around {
    #[inline]
    fn is_local(&self, address: Ipv4Addr) -> bool {
        address == self.local
    }

    #[inline]
    fn peer(&self, outer: Flow) -> Option<u32> {
        (outer.source == self.peer).then_some(0)
    }

    #[inline]
    fn allows_inner(&self, _peer: u32, inner_source: Ipv4Addr) -> bool {
        inner_source == self.inner_source
    }
}

/// Two layers: `(inner, outer)`.
impl<I: PeerTunnel, O: PeerTunnel> PeerTunnel for (I, O) {
    type Receiver<'t, A: Access>
        = (I::Receiver<'t, A>, O::Receiver<'t, Around>)
    where
        Self: 't;

    const READS_FLOW: bool = I::READS_FLOW || O::READS_FLOW;
    const RESTORES_HEADER: bool = I::RESTORES_HEADER || O::RESTORES_HEADER;

    #[inline]
    fn peer_receiver<A: Access>(&self, access: A, policy: InnerPolicy) -> Self::Receiver<'_, A> {
        let around = Around::new(self.1.inner_ends(), self.0.ends());
        (
            self.0.peer_receiver(access, policy),
            self.1.peer_receiver(around, InnerPolicy::DEFAULT),
        )
    }

    #[inline]
    fn ends(&self) -> (Ipv4Addr, Ipv4Addr) {
        self.1.ends()
    }

    #[inline]
    fn inner_ends(&self) -> (Ipv4Addr, Ipv4Addr) {
        self.0.inner_ends()
    }

    #[inline]
    fn is_end(&self, address: Ipv4Addr) -> (bool, bool) {
        let (inner, outer) = (self.0.is_end(address), self.1.is_end(address));
        (inner.0 || outer.0, inner.1 || outer.1)
    }

    #[inline]
    fn arrival(&self) -> Arrival {
        self.1.arrival()
    }

    #[inline]
    fn listens(&self, address: Ipv4Addr, protocol: IpProtocol, port: u16) -> bool {
        self.0.listens(address, protocol, port) || self.1.listens(address, protocol, port)
    }

    #[inline]
    fn departure(&self) -> Arrival {
        self.1.departure()
    }

    #[inline]
    fn stream_overhead(&self) -> Option<usize> {
        let outermost = self.1.stream_overhead();
        outermost.map_or_else(
            || self.0.stream_overhead(),
            |outermost| Some(outermost.saturating_add(self.0.overhead())),
        )
    }
}

/// The receiver of a slice or array of tunnels, the innermost first.
#[derive(Clone, Copy, Debug)]
pub struct LayersReceiver<'t, T, A> {
    layers: &'t [T],
    access: A,
    policy: InnerPolicy,
}

impl<T: PeerTunnel, A: Access> Decapsulate for LayersReceiver<'_, T, A> {
    #[inline]
    fn layers(&self) -> u8 {
        u8::try_from(self.layers.len()).unwrap_or(u8::MAX)
    }

    #[inline]
    fn recognises(&self, outer: Ipv4<'_>) -> bool {
        self.layers.last().is_some_and(|layer| {
            let receiver = layer.peer_receiver(&self.access, self.policy);
            receiver.recognises(outer)
        })
    }

    #[inline]
    fn inspect_outer(&self, outer: OuterPacket<'_>) -> Result<Opened, Refused> {
        let Some(innermost) = self.layers.first() else {
            return Err(Refused::new(Reason::NotTunnel));
        };
        let mut opened: Option<Opened> = None;
        for pair in self.layers.windows(2).rev() {
            let [inside, layer] = pair else { continue };
            let access = Around::new(layer.inner_ends(), inside.ends());
            let receiver = layer.peer_receiver(access, InnerPolicy::DEFAULT);
            opened = Some(inspect_next(&receiver, opened.as_ref(), outer, true)?);
        }
        let receiver = innermost.peer_receiver(&self.access, self.policy);
        let opens_next = outer.expects_tunnel();
        inspect_next(&receiver, opened.as_ref(), outer, opens_next)
    }
}

/// Opens the next layer inside of what `opened` has found in `outer`.
fn inspect_next<D: Decapsulate>(
    receiver: &D,
    opened: Option<&Opened>,
    outer: OuterPacket<'_>,
    opens_next: bool,
) -> Result<Opened, Refused> {
    match opened {
        None => inspect_by(receiver, outer, opens_next),
        Some(opened) => inspect_inside(receiver, opened, outer.buffer(), opens_next),
    }
}

/// Opens what `opened` has found in `buffer`.
pub(super) fn inspect_inside<D: Decapsulate>(
    receiver: &D,
    opened: &Opened,
    buffer: &[u8],
    opens_next: bool,
) -> Result<Opened, Refused> {
    match inspect_by(receiver, opened.outer_packet(buffer), opens_next) {
        Ok(next) => Ok(next.behind(opened)),
        Err(refused) => Err(refused.inside(opened.layers())),
    }
}

fn inspect_by<D: Decapsulate>(
    receiver: &D,
    packet: OuterPacket<'_>,
    opens_next: bool,
) -> Result<Opened, Refused> {
    receiver.inspect_outer(if opens_next {
        packet.expecting_tunnel()
    } else {
        packet
    })
}

impl<T: PeerTunnel> PeerTunnel for [T] {
    type Receiver<'t, A: Access>
        = LayersReceiver<'t, T, A>
    where
        T: 't;

    const READS_FLOW: bool = T::READS_FLOW;
    const RESTORES_HEADER: bool = T::RESTORES_HEADER;

    #[inline]
    fn peer_receiver<A: Access>(&self, access: A, policy: InnerPolicy) -> Self::Receiver<'_, A> {
        LayersReceiver {
            layers: self,
            access,
            policy,
        }
    }

    #[inline]
    fn ends(&self) -> (Ipv4Addr, Ipv4Addr) {
        self.last().map_or(NO_ENDS, T::ends)
    }

    #[inline]
    fn inner_ends(&self) -> (Ipv4Addr, Ipv4Addr) {
        self.first().map_or(NO_ENDS, T::inner_ends)
    }

    #[inline]
    fn is_end(&self, address: Ipv4Addr) -> (bool, bool) {
        let ends = self.iter().map(|layer| layer.is_end(address));
        ends.fold((false, false), |all, layer| {
            (all.0 || layer.0, all.1 || layer.1)
        })
    }

    #[inline]
    fn arrival(&self) -> Arrival {
        self.last().map_or(NOTHING, T::arrival)
    }

    #[inline]
    fn listens(&self, address: Ipv4Addr, protocol: IpProtocol, port: u16) -> bool {
        self.iter()
            .any(|layer| layer.listens(address, protocol, port))
    }

    #[inline]
    fn departure(&self) -> Arrival {
        self.last().map_or(NOTHING, T::departure)
    }

    #[inline]
    fn stream_overhead(&self) -> Option<usize> {
        let (mut inside, mut found) = (0usize, None);
        for layer in self {
            found = layer
                .stream_overhead()
                .map(|own| own.saturating_add(inside))
                .or(found);
            inside = inside.saturating_add(layer.overhead());
        }
        found
    }
}

/// Of a stack without layers: no packet comes from there.
const NO_ENDS: (Ipv4Addr, Ipv4Addr) = (Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED);
const NOTHING: Arrival = Arrival::new(NO_ENDS.1, IpProtocol(0), None);

/// As the slice.
impl<T: PeerTunnel, const N: usize> PeerTunnel for [T; N] {
    type Receiver<'t, A: Access>
        = LayersReceiver<'t, T, A>
    where
        T: 't;

    const READS_FLOW: bool = T::READS_FLOW;
    const RESTORES_HEADER: bool = T::RESTORES_HEADER;

    #[inline]
    fn peer_receiver<A: Access>(&self, access: A, policy: InnerPolicy) -> Self::Receiver<'_, A> {
        self.as_slice().peer_receiver(access, policy)
    }

    #[inline]
    fn ends(&self) -> (Ipv4Addr, Ipv4Addr) {
        self.as_slice().ends()
    }

    #[inline]
    fn inner_ends(&self) -> (Ipv4Addr, Ipv4Addr) {
        self.as_slice().inner_ends()
    }

    #[inline]
    fn is_end(&self, address: Ipv4Addr) -> (bool, bool) {
        self.as_slice().is_end(address)
    }

    #[inline]
    fn arrival(&self) -> Arrival {
        self.as_slice().arrival()
    }

    #[inline]
    fn listens(&self, address: Ipv4Addr, protocol: IpProtocol, port: u16) -> bool {
        self.as_slice().listens(address, protocol, port)
    }

    #[inline]
    fn departure(&self) -> Arrival {
        self.as_slice().departure()
    }

    #[inline]
    fn stream_overhead(&self) -> Option<usize> {
        self.as_slice().stream_overhead()
    }
}
