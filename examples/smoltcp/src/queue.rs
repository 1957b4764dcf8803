use core::fmt;

use crate::ring::RingBuffer;
use ipencap::decap::OuterMeta;
use ipencap::encap::Encapsulate;
use ipencap::fragment::Reassembler;
use ipencap::icmp::IcmpError;
use ipencap::packet::Facts;
use ipencap::time::Instant;
#[cfg(feature = "path-check")]
use ipencap::tunnel::PathCheck;
use ipencap::tunnel::{Endpoint, Inbound, Peers, Reassembly, SocketTunnel, Tally};
use smoltcp::iface::Interface;
use smoltcp::phy::{self, Checksum, Device, DeviceCapabilities, Medium};

use crate::buffer::Buffer;
use crate::clock::{endpoint_time, smoltcp_time};
use crate::error::SetUpError;
use crate::interface::renew;
use crate::losses::{Losses, count};
#[cfg(not(feature = "path-check"))]
use crate::no_path_check::PathCheck;
use crate::outgoing::Outgoing;
use crate::sending::{Sending, Way, Wrap, wrap_packet, wrap_payload};

/// The least MTU of IPv4 (RFC 791 §3.2).
const MIN_MTU: usize = 68;

/// The inner stack's device, and a queue each way between it and the endpoint of its tunnels.
///
/// The inner stack's [`Interface`] takes it as a device of [`Medium::Ip`]. The program carries what comes out of the
/// tunnel's side, outer packets or the payloads of datagrams, to sockets of another stack, and the other way. See the
/// [crate's](crate#an-ethernet-board) documentation for the loop.
pub struct TunnelQueue<'m, P: Peers, C, const N: usize, R = Option<Reassembler<'m>>> {
    endpoint: Endpoint<'m, P, C, R>,
    outgoing: Outgoing<'m, N>,
    incoming: RingBuffer<'m, Buffer<N>>,
    sending: Sending,
    check: Option<PathCheck>,
    mtu: usize,
}

impl<'m, P: Peers, C: Tally, const N: usize, R: Reassembly<'m>> TunnelQueue<'m, P, C, N, R> {
    /// The device of a stack whose packets go through the tunnels of `endpoint`.
    ///
    /// `outgoing` holds packets from the inner stack that the network has not taken yet, `incoming` those from the
    /// network that the inner stack has not taken yet. One of each is enough; more bridge bursts.
    ///
    /// The [`link_mtu`](ipencap::tunnel::EndpointConfig::link_mtu) of the endpoint is the IP MTU of the outer stack's
    /// interface, which drops longer packets without a word, or splits them if smoltcp has the feature
    /// `proto-ipv4-fragmentation`.
    ///
    /// # Errors
    /// [`SetUpError`] if there is no buffer, no peer, or no room for packets in a buffer.
    #[inline]
    pub fn new(
        endpoint: Endpoint<'m, P, C, R>,
        outgoing: &'m mut [Buffer<N>],
        incoming: &'m mut [Buffer<N>],
        timestamp: smoltcp::time::Instant,
    ) -> Result<Self, SetUpError> {
        if outgoing.is_empty() || incoming.is_empty() {
            return Err(SetUpError::NoBuffers);
        }
        let mut queue = Self {
            endpoint,
            outgoing: Outgoing::new(outgoing),
            incoming: RingBuffer::new(incoming),
            sending: Sending::NEW,
            check: None,
            mtu: 0,
        };
        queue.mtu = queue.measure(endpoint_time(timestamp))?;
        Ok(queue)
    }

    /// The same, which finds out the MTU of a path that is silent about it.
    #[cfg(feature = "path-check")]
    #[inline]
    #[must_use]
    pub const fn with_path_check(mut self, check: PathCheck) -> Self {
        self.check = Some(check);
        self
    }

    /// Sets or removes what finds out the MTU of a path that is silent about it.
    #[cfg(feature = "path-check")]
    #[inline]
    pub const fn set_path_check(&mut self, check: Option<PathCheck>) {
        self.check = check;
    }

    /// The endpoint: its peers, counters and timers.
    #[inline]
    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint<'m, P, C, R> {
        &self.endpoint
    }

    /// The endpoint, to change peers, to tell it of keepalives and the like. After a change of peers or of the link's
    /// MTU call [`follow_mtu`](Self::follow_mtu).
    #[inline]
    #[must_use]
    pub const fn endpoint_mut(&mut self) -> &mut Endpoint<'m, P, C, R> {
        &mut self.endpoint
    }

    /// What was lost here and not in the endpoint.
    #[inline]
    #[must_use]
    pub const fn losses(&self) -> &Losses {
        &self.outgoing.losses
    }

    /// The MTU that the inner stack is told, in bytes.
    #[inline]
    #[must_use]
    pub const fn mtu(&self) -> usize {
        self.mtu
    }

    /// Makes `interface` anew if the MTU has changed: smoltcp asks a device for it only once, in
    /// [`Interface::new`]. Call it before each poll. `true` if it has changed.
    ///
    /// Sockets stay as they are, and TCP sends its next segments, also those again that were lost, with the new length.
    /// Addresses, routes and [`any_ip`](Interface::any_ip) are kept. Fragments that were held are lost, and multicast
    /// groups are to be joined again. `random_seed` is as in [`Config`](smoltcp::iface::Config::random_seed).
    #[inline]
    pub fn follow_mtu(
        &mut self,
        timestamp: smoltcp::time::Instant,
        interface: &mut Interface,
        random_seed: u64,
    ) -> bool {
        let has_changed = self.update_mtu(timestamp);
        if has_changed {
            renew(interface, self, random_seed, timestamp);
        }
        has_changed
    }

    /// Asks the endpoint for the MTU. `true` if it is another now.
    pub(crate) fn update_mtu(&mut self, timestamp: smoltcp::time::Instant) -> bool {
        // Without a peer everything stays as it was.
        let mtu = self.measure(endpoint_time(timestamp)).unwrap_or(self.mtu);
        core::mem::replace(&mut self.mtu, mtu) != mtu
    }

    /// The MTU that the paths to all peers carry, and sets the headroom that all their tunnels need.
    fn measure(&mut self, now: Instant) -> Result<usize, SetUpError> {
        let (mut headroom, mut mtu) = (0, None);
        for place in 0..self.endpoint.peers().capacity() {
            let Some(peer) = self.endpoint.peers().at(place) else {
                continue;
            };
            let Some(path_mtu) = self.endpoint.inner_mtu(now, peer) else {
                continue;
            };
            if let Some((tunnel, _)) = self.endpoint.peers().get(peer) {
                headroom = tunnel.overhead().max(headroom);
            }
            mtu = Some(mtu.unwrap_or(u16::MAX).min(path_mtu));
        }
        let mtu = usize::from(mtu.ok_or(SetUpError::NoPeer)?);
        let room = N.saturating_sub(headroom);
        if room < MIN_MTU {
            return Err(SetUpError::ShortBuffers);
        }
        self.outgoing.headroom = headroom;
        // smoltcp computes with it as if nothing were smaller.
        Ok(mtu.clamp(MIN_MTU, room))
    }

    /// Whether there is room for another packet from the network: [`receive`](Self::receive) loses none then.
    #[inline]
    #[must_use]
    pub fn can_receive(&self) -> bool {
        !self.incoming.is_full()
    }

    /// Whether a packet to the network waits.
    #[inline]
    #[must_use]
    pub fn can_send(&self) -> bool {
        !self.outgoing.packets.is_empty()
    }

    /// When the inner stack is to be polled next though nothing comes, for what is due here, of which its own
    /// [`poll_at`](Interface::poll_at) does not know: packets that wait for it, at once, and probes of the path.
    ///
    /// While there is no room for packets to the network nothing is due. The stack is polled when [`send`](Self::send)
    /// has made room.
    #[inline]
    #[must_use]
    pub fn poll_at(&self) -> Option<smoltcp::time::Instant> {
        if self.has_incoming() && self.outgoing.has_room() {
            return Some(smoltcp::time::Instant::ZERO);
        }
        self.probe_at().map(smoltcp_time)
    }

    /// When a probe of the path is due.
    pub(crate) fn probe_at(&self) -> Option<Instant> {
        self.check
            .as_ref()
            .filter(|_| self.outgoing.has_room())
            .and_then(PathCheck::next_deadline)
    }

    /// Passes packets to the network, whole outer packets for a raw socket, as long as `put` takes them: it returns
    /// `false` for one that has to wait.
    ///
    /// A packet is judged and wrapped before `put` sees it, so whatever `put` takes for it, such as a token or a place in a
    /// buffer, is used.
    #[inline]
    pub fn send(
        &mut self,
        timestamp: smoltcp::time::Instant,
        mut put: impl FnMut(&mut [u8]) -> bool,
    ) {
        self.flush(endpoint_time(timestamp), wrap_packet, &mut |_, outer| {
            put(outer)
        });
    }

    /// A packet from the network, which begins with its IPv4 header. What it holds goes to the inner stack.
    ///
    /// The verdict tells what became of it: [`Inbound::HostsOwn`] is a packet for a socket of the host. `None` if there
    /// was no room ([`can_receive`](Self::can_receive)); that is counted.
    #[inline]
    pub fn receive(&mut self, timestamp: smoltcp::time::Instant, packet: &[u8]) -> Option<Inbound> {
        let now = endpoint_time(timestamp);
        self.accept(now, packet, |endpoint, copy| endpoint.receive(now, copy))
    }

    fn flush(
        &mut self,
        now: Instant,
        wrap: Wrap<P::Tunnel, N>,
        put: &mut dyn FnMut(Option<&Facts>, &mut [u8]) -> bool,
    ) {
        let Self {
            endpoint,
            outgoing,
            incoming,
            sending,
            check,
            ..
        } = self;
        let Outgoing {
            packets: outgoing,
            losses,
            headroom,
        } = outgoing;
        let mut way = Way {
            now,
            endpoint,
            wrap,
            tell: &mut |error, about| tell(incoming, error, about),
            put,
            losses,
        };
        loop {
            if let Some(check) = check.as_mut().filter(|_| !outgoing.is_full())
                && let Some((peer, len)) = check.poll(now, way.endpoint, 0)
            {
                let place = (*headroom, usize::from(len));
                let _kept = outgoing.enqueue_one_with(|probe| {
                    let is_put = probe.set_probe(peer, place, |bytes| check.write(bytes));
                    is_put.then_some(()).ok_or(())
                });
            }
            let gone = outgoing.dequeue_one_with(|packet| {
                if sending.step(packet, &mut way) {
                    Ok(())
                } else {
                    Err(())
                }
            });
            if !matches!(gone, Ok(Ok(()))) {
                return;
            }
        }
    }

    /// Lets the endpoint judge a copy of a packet, which is what the inner stack gets then.
    pub(crate) fn accept(
        &mut self,
        now: Instant,
        packet: &[u8],
        judge: impl FnOnce(&mut Endpoint<'m, P, C, R>, &mut [u8]) -> Inbound,
    ) -> Option<Inbound> {
        let Self {
            endpoint,
            outgoing: Outgoing { losses, .. },
            incoming,
            check,
            ..
        } = self;
        let mut verdict = None;
        let kept = incoming.enqueue_one_with(|copy| {
            if !copy.copy_from(packet) {
                count(&mut losses.too_long_from_network);
                return Err(());
            }
            let judged = judge(endpoint, copy.packet_mut());
            verdict = Some(judged);
            match judged {
                Inbound::Deliver { peer, opened, .. } => {
                    copy.set_span(opened.span());
                    let check = check.as_mut();
                    let is_answer = check
                        .is_some_and(|check| check.answers(now, endpoint, peer, copy.packet()));
                    (!is_answer).then_some(()).ok_or(())
                }
                Inbound::Whole { slot, opened, .. } => {
                    let datagram = endpoint.datagram(slot).unwrap_or_default();
                    let inner = opened.span().get(datagram).unwrap_or_default();
                    if copy.copy_from(inner) {
                        return Ok(());
                    }
                    count(&mut losses.too_long_from_network);
                    Err(())
                }
                Inbound::Relay { error, quoted, .. } => {
                    let told = write(&error, quoted.get(packet).unwrap_or_default(), copy);
                    if told.is_err() {
                        count(&mut losses.no_room_for_error);
                    }
                    told
                }
                _ => Err(()),
            }
        });
        if kept.is_err() {
            count(&mut losses.no_room_for_inner);
        }
        verdict
    }

    #[cfg(any(feature = "socket-raw", feature = "socket-udp"))]
    pub(crate) const fn count_never_taken(&mut self, packets: u32) {
        let counter = &mut self.outgoing.losses.never_taken;
        *counter = counter.wrapping_add(packets);
    }

    pub(crate) fn has_incoming(&self) -> bool {
        !self.incoming.is_empty()
    }

    /// Both sides of the inner stack.
    pub(crate) const fn parts(&mut self) -> (&mut RingBuffer<'m, Buffer<N>>, &mut Outgoing<'m, N>) {
        (&mut self.incoming, &mut self.outgoing)
    }

    /// [`parts`](Self::parts), if there is a packet for the inner stack and room for its answer.
    pub(crate) fn both(
        &mut self,
    ) -> Option<(&mut RingBuffer<'m, Buffer<N>>, &mut Outgoing<'m, N>)> {
        self.has_incoming().then(|| self.with_room())?
    }

    /// [`parts`](Self::parts), if there is room for an answer.
    pub(crate) fn with_room(
        &mut self,
    ) -> Option<(&mut RingBuffer<'m, Buffer<N>>, &mut Outgoing<'m, N>)> {
        self.outgoing.has_room().then(|| self.parts())
    }

    pub(crate) const fn outgoing(&mut self) -> &mut Outgoing<'m, N> {
        &mut self.outgoing
    }

    pub(crate) fn own_capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        // No hardware sees inner packets.
        capabilities.checksum.ipv4 = Checksum::Both;
        capabilities.checksum.udp = Checksum::Both;
        capabilities.checksum.tcp = Checksum::Both;
        capabilities.checksum.icmpv4 = Checksum::Both;
        capabilities
    }
}

impl<'m, P: Peers, C: Tally, const N: usize, R: Reassembly<'m>> TunnelQueue<'m, P, C, N, R>
where
    P::Tunnel: SocketTunnel,
{
    /// [`send`](Self::send) through a UDP socket: `put` gets the payload of each datagram, and the facts of its outer
    /// packet. Send it to [`Facts::destination`] and the port of [`Facts::flow`].
    #[inline]
    pub fn send_datagrams(
        &mut self,
        timestamp: smoltcp::time::Instant,
        mut put: impl FnMut(&Facts, &[u8]) -> bool,
    ) {
        self.flush(
            endpoint_time(timestamp),
            wrap_payload,
            &mut |facts, payload| facts.is_none_or(|facts| put(facts, payload)),
        );
    }

    /// [`receive`](Self::receive) of what a UDP socket has received.
    #[inline]
    pub fn receive_datagram(
        &mut self,
        timestamp: smoltcp::time::Instant,
        meta: &OuterMeta,
        payload: &[u8],
    ) -> Option<Inbound> {
        let now = endpoint_time(timestamp);
        self.accept(now, payload, |endpoint, copy| {
            endpoint.receive_payload(now, meta, copy)
        })
    }
}

/// Passes an ICMP error to the inner stack, if there is room.
fn tell<const N: usize>(
    incoming: &mut RingBuffer<'_, Buffer<N>>,
    error: &IcmpError,
    about: &[u8],
) -> bool {
    let told = incoming.enqueue_one_with(|copy| write(error, about, copy));
    matches!(told, Ok(Ok(())))
}

fn write<const N: usize>(error: &IcmpError, about: &[u8], to: &mut Buffer<N>) -> Result<(), ()> {
    let written = error.write(about, to.bytes_mut()).ok_or(())?.len();
    to.reserve(0, written);
    Ok(())
}

impl<'m, P: Peers, C: Tally, const N: usize, R: Reassembly<'m>> Device
    for TunnelQueue<'m, P, C, N, R>
{
    type RxToken<'a>
        = RxToken<'a, 'm, N>
    where
        Self: 'a;
    type TxToken<'a>
        = TxToken<'a, 'm, N>
    where
        Self: 'a;

    #[inline]
    fn receive(
        &mut self,
        _timestamp: smoltcp::time::Instant,
    ) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        let (incoming, outgoing) = self.both()?;
        Some((RxToken(incoming), TxToken(outgoing)))
    }

    #[inline]
    fn transmit(&mut self, _timestamp: smoltcp::time::Instant) -> Option<Self::TxToken<'_>> {
        let has_room = self.outgoing.has_room();
        has_room.then_some(TxToken(&mut self.outgoing))
    }

    #[inline]
    fn capabilities(&self) -> DeviceCapabilities {
        self.own_capabilities()
    }
}

impl<P: Peers, C, const N: usize, R> fmt::Debug for TunnelQueue<'_, P, C, N, R> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TunnelQueue")
            .field("outgoing", &self.outgoing.packets.len())
            .field("incoming", &self.incoming.len())
            .field("losses", &self.outgoing.losses)
            .field("mtu", &self.mtu)
            .field("check", &self.check)
            .finish_non_exhaustive()
    }
}

/// A packet for the inner stack.
#[derive(Debug)]
pub struct RxToken<'a, 'm, const N: usize>(pub(crate) &'a mut RingBuffer<'m, Buffer<N>>);

impl<const N: usize> phy::RxToken for RxToken<'_, '_, N> {
    #[inline]
    fn consume<T, F>(self, f: F) -> T
    where
        F: FnOnce(&[u8]) -> T,
    {
        match self.0.dequeue_one() {
            Ok(packet) => f(packet.packet()),
            // It was refused. Stacks pass over an empty one.
            Err(_) => f(&[]),
        }
    }
}

/// Room for a packet from the inner stack.
#[derive(Debug)]
pub struct TxToken<'a, 'm, const N: usize>(&'a mut Outgoing<'m, N>);

impl<const N: usize> phy::TxToken for TxToken<'_, '_, N> {
    #[inline]
    fn consume<T, F>(self, len: usize, f: F) -> T
    where
        F: FnOnce(&mut [u8]) -> T,
    {
        self.0.put(len, f)
    }
}
