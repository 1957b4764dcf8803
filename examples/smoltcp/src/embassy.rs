//! The same for embassy-net: drivers, and a queue that a task shares with a stack.
//!
//! | your board has | take |
//! |---|---|
//! | a driver of bare IP packets, such as PPP | a [`SharedQueue`], and a [`TunnelDriver`] around the driver |
//! | Ethernet or radio | a stack on that, and a [`SharedQueue`] between its UDP socket and a second stack |
//!
//! ```ignore
//! static QUEUE: StaticCell<SharedQueue<'static, OnePeer<'static, Tunnel<Fou>>, (), 1500>> = StaticCell::new();
//! let queue = SharedQueue::new(endpoint, outgoing, incoming, || {
//!     ipencap::time::Instant::from_millis(embassy_time::Instant::now().as_millis())
//! });
//! let queue: &'static _ = QUEUE.init(queue.unwrap());
//! let (inner_stack, inner_runner) = embassy_net::new(queue.driver(), config, resources, seed);
//!
//! // The task of the tunnel; `socket` is a UDP socket of the outer stack, bound to the tunnel's port.
//! poll_fn(|cx| {
//!     queue.register(cx);
//!     // Also after an error: the socket wakes this task only if it was asked until it had nothing more.
//!     while queue.can_receive()
//!         && let Poll::Ready(received) = socket.poll_recv_from(&mut buffer, cx)
//!     {
//!         // Longer ones are not the peer's.
//!         if let Ok((len, meta)) = received {
//!             queue.receive_datagram(&outer_meta(meta), &buffer[..len]);
//!         }
//!     }
//!     queue.send_datagrams(|facts, payload| {
//!         let to = (facts.destination(), facts.flow().destination_port);
//!         match socket.poll_send_to(payload, to, cx) {
//!             Poll::Ready(sent) => {
//!                 never_taken += u32::from(sent.is_err()); // no route, or too long for the socket
//!                 true
//!             }
//!             Poll::Pending => false,
//!         }
//!     });
//!     // Only for a `PathCheck`, whose probes are sent when this task runs.
//!     if let Some(at) = queue.poll_at() {
//!         let timer = Timer::at(embassy_time::Instant::from_millis(at.as_millis()));
//!         // Polled once, it wakes this task in time.
//!         let _ = pin!(timer).poll(cx);
//!     }
//!     Poll::<Infallible>::Pending
//! })
//! .await
//! ```
//!
//! Around a driver nothing is to be carried, and the queue is for changes and counters:
//!
//! ```ignore
//! let driver = TunnelDriver::new(ppp, queue)?;
//! let (stack, runner) = embassy_net::new(driver, config, resources, seed);
//! // Any time later:
//! queue.with(|queue| queue.endpoint_mut().expire(now, |event| { /* … */ }));
//! ```
//!
//! A `PathCheck` there needs a task that waits until [`poll_at`](SharedQueue::poll_at), and wakes the stack by
//! [`with`](SharedQueue::with): the stack's own timers know nothing of probes.
//!
//! embassy-net asks a driver for its MTU only once. Where paths may become narrower, begin with what all carry:
//! [`MtuPolicy::Static`](ipencap::tunnel::MtuPolicy::Static)`(1280)` leaves 1260 bytes for inner packets in IP-in-IP, and
//! no TCP connection then depends on ICMP.

use core::cell::{RefCell, RefMut};
use core::fmt;
use core::task::{Context, Waker};

use crate::ring::RingBuffer;
use embassy_net_driver::{
    Capabilities, Driver, HardwareAddress, LinkState, RxToken as DriverRx, TxToken as DriverTx,
};
use ipencap::decap::OuterMeta;
use ipencap::fragment::Reassembler;
use ipencap::packet::Facts;
use ipencap::time::Instant;
use ipencap::tunnel::{Endpoint, Inbound, Peers, Reassembly, SocketTunnel, Tally};

use crate::buffer::{Buffer, copy};
use crate::clock::smoltcp_time;
use crate::error::SetUpError;
use crate::outgoing::Outgoing;
use crate::queue::TunnelQueue;

fn capabilities(mtu: usize, max_burst_size: Option<usize>) -> Capabilities {
    // All checksums are computed: no hardware sees inner packets.
    let mut capabilities = Capabilities::default();
    capabilities.max_transmission_unit = mtu;
    capabilities.max_burst_size = max_burst_size;
    capabilities
}

/// A driver around another, as [`TunnelDevice`](crate::TunnelDevice) is a device around another. Its packets wait in a
/// [`SharedQueue`], which stays with the program when embassy-net has the driver.
pub struct TunnelDriver<'s, 'm, D, P: Peers, C, const N: usize, R = Option<Reassembler<'m>>> {
    below: D,
    shared: &'s SharedQueue<'m, P, C, N, R>,
}

impl<'s, 'm, D: Driver, P: Peers, C: Tally, const N: usize, R: Reassembly<'m>>
    TunnelDriver<'s, 'm, D, P, C, N, R>
{
    /// Carries packets between the queue, which is to have no other [driver](SharedQueue::driver), and the driver `below`.
    /// The link's MTU of the queue's endpoint becomes that of `below`.
    ///
    /// # Errors
    /// [`SetUpError::NotIp`] if the driver below is not of [`HardwareAddress::Ip`].
    #[inline]
    pub fn new(below: D, shared: &'s SharedQueue<'m, P, C, N, R>) -> Result<Self, SetUpError> {
        if below.hardware_address() != HardwareAddress::Ip {
            return Err(SetUpError::NotIp);
        }
        let link_mtu = below.capabilities().max_transmission_unit.min(N);
        let link_mtu = u16::try_from(link_mtu).unwrap_or(u16::MAX);
        let now = (shared.clock)();
        shared.with(|queue| queue.endpoint_mut().set_link_mtu(now, link_mtu));
        Ok(Self { below, shared })
    }

    /// Sends packets that wait, as far as the driver below takes them.
    fn flush(&mut self, cx: &mut Context<'_>) {
        let Self { below, shared } = self;
        let now = smoltcp_time((shared.clock)());
        let mut queue = shared.queue.borrow_mut();
        queue.send(now, |outer| match below.transmit(cx) {
            Some(token) => {
                token.consume(outer.len(), |frame| copy(outer, frame));
                true
            }
            None => false,
        });
    }
}

impl<'s, 'm, D: Driver, P: Peers, C: Tally, const N: usize, R: Reassembly<'m>> Driver
    for TunnelDriver<'s, 'm, D, P, C, N, R>
{
    type RxToken<'a>
        = QueueRxToken<'a, 'm, N>
    where
        Self: 'a;
    type TxToken<'a>
        = DriverTxToken<'a, 's, 'm, D, P, C, N, R>
    where
        Self: 'a;

    #[inline]
    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        self.shared.stack.register(cx);
        self.flush(cx);
        let Self { below, shared } = self;
        let mut queue = shared.queue.borrow_mut();
        if !queue.has_incoming() {
            let (packet, unused) = below.receive(cx)?;
            drop(unused);
            let now = smoltcp_time((shared.clock)());
            packet.consume(|bytes| queue.receive(now, bytes));
        }
        // Also after one that was refused: more of them do not hold up the stack.
        let has_room = queue.outgoing().has_room();
        let (rx, tx) = has_room.then(|| shared.tokens(queue))?;
        Some((rx, DriverTxToken(Room::Queued(tx))))
    }

    #[inline]
    fn transmit(&mut self, cx: &mut Context<'_>) -> Option<Self::TxToken<'_>> {
        self.shared.stack.register(cx);
        self.flush(cx);
        let mut queue = self.shared.queue.borrow_mut();
        if queue.both().is_some() {
            // An ICMP error about what was just sent. Nobody else tells the stack of it.
            cx.waker().wake_by_ref();
        }
        let has_room = queue.outgoing().has_room();
        drop(queue);
        has_room.then(|| DriverTxToken(Room::Sent(self, cx.waker().clone())))
    }

    #[inline]
    fn link_state(&mut self, cx: &mut Context<'_>) -> LinkState {
        self.below.link_state(cx)
    }

    #[inline]
    fn capabilities(&self) -> Capabilities {
        let max_burst_size = self.below.capabilities().max_burst_size;
        capabilities(self.shared.queue.borrow().mtu(), max_burst_size)
    }

    #[inline]
    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ip
    }
}

impl<D, P: Peers, C, const N: usize, R> fmt::Debug for TunnelDriver<'_, '_, D, P, C, N, R> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TunnelDriver")
            .field("queue", self.shared)
            .finish_non_exhaustive()
    }
}

/// Room for a packet from the inner stack.
#[derive(Debug)]
pub struct DriverTxToken<'a, 's, 'm, D, P: Peers, C, const N: usize, R = Option<Reassembler<'m>>>(
    Room<'a, 's, 'm, D, P, C, N, R>,
);

#[derive(Debug)]
enum Room<'a, 's, 'm, D, P: Peers, C, const N: usize, R> {
    /// It is sent at the next call, because the packet that it may answer is still in use.
    Queued(QueueTxToken<'a, 'm, N>),
    /// It is sent at once.
    Sent(&'a mut TunnelDriver<'s, 'm, D, P, C, N, R>, Waker),
}

impl<'m, D: Driver, P: Peers, C: Tally, const N: usize, R: Reassembly<'m>> DriverTx
    for DriverTxToken<'_, '_, 'm, D, P, C, N, R>
{
    #[inline]
    fn consume<T, F>(self, len: usize, f: F) -> T
    where
        F: FnOnce(&mut [u8]) -> T,
    {
        match self.0 {
            Room::Queued(token) => token.consume(len, f),
            Room::Sent(driver, waker) => {
                let result = driver.shared.queue.borrow_mut().outgoing().put(len, f);
                // If it has to wait, the stack is woken when there is room below.
                driver.flush(&mut Context::from_waker(&waker));
                if driver.shared.queue.borrow_mut().both().is_some() {
                    // An ICMP error about it. Nobody else tells the stack of it.
                    waker.wake();
                }
                result
            }
        }
    }
}

/// A [`TunnelQueue`] that the inner stack's [driver](Self::driver) and the task that carries its packets share.
///
/// Both run on the same executor: it is not for several cores or interrupts.
pub struct SharedQueue<'m, P: Peers, C, const N: usize, R = Option<Reassembler<'m>>> {
    queue: RefCell<TunnelQueue<'m, P, C, N, R>>,
    /// The inner stack.
    stack: WakerSlot,
    /// The task that carries packets.
    carrier: WakerSlot,
    clock: fn() -> Instant,
}

impl<'m, P: Peers, C: Tally, const N: usize, R: Reassembly<'m>> SharedQueue<'m, P, C, N, R> {
    /// As [`TunnelQueue::new`].
    ///
    /// # Errors
    /// [`SetUpError`] if there is no buffer, no peer, or no room for packets in a buffer.
    #[inline]
    pub fn new(
        endpoint: Endpoint<'m, P, C, R>,
        outgoing: &'m mut [Buffer<N>],
        incoming: &'m mut [Buffer<N>],
        clock: fn() -> Instant,
    ) -> Result<Self, SetUpError> {
        let queue = TunnelQueue::new(endpoint, outgoing, incoming, smoltcp_time(clock()))?;
        Ok(Self {
            queue: RefCell::new(queue),
            stack: WakerSlot::default(),
            carrier: WakerSlot::default(),
            clock,
        })
    }

    /// The inner stack's driver. There is to be one.
    #[inline]
    #[must_use]
    pub const fn driver(&self) -> QueueDriver<'_, 'm, P, C, N, R> {
        QueueDriver(self)
    }

    /// The queues and the endpoint, for anything else, such as a change of peers. Afterwards the room that headers take and
    /// [`TunnelQueue::mtu`] are measured anew, and both sides are woken. (embassy-net does not ask for the MTU again.)
    ///
    /// # Panics
    /// If it is called again while the queues are in use.
    #[inline]
    pub fn with<T>(&self, f: impl FnOnce(&mut TunnelQueue<'m, P, C, N, R>) -> T) -> T {
        let mut queue = self.queue.borrow_mut();
        let result = f(&mut queue);
        queue.update_mtu(smoltcp_time((self.clock)()));
        drop(queue);
        self.stack.wake();
        self.carrier.wake();
        result
    }

    /// Carries packets, and wakes the inner stack if there is something for it to do.
    fn carry<T>(&self, f: impl FnOnce(&mut TunnelQueue<'m, P, C, N, R>) -> T) -> T {
        let mut queue = self.queue.borrow_mut();
        let was_full = !queue.outgoing().has_room();
        let result = f(&mut queue);
        let wakes = queue.outgoing().has_room() && (was_full || queue.has_incoming());
        drop(queue);
        if wakes {
            self.stack.wake();
        }
        result
    }

    /// A packet for the inner stack, and room for its answer.
    fn tokens<'a>(
        &'a self,
        queue: RefMut<'a, TunnelQueue<'m, P, C, N, R>>,
    ) -> (QueueRxToken<'a, 'm, N>, QueueTxToken<'a, 'm, N>) {
        let carrier = &self.carrier;
        let (incoming, outgoing) = RefMut::map_split(queue, TunnelQueue::parts);
        let rx = QueueRxToken { incoming, carrier };
        (rx, QueueTxToken { outgoing, carrier })
    }

    /// Wakes the task that carries packets when the inner stack has sent one, or has room for another.
    #[inline]
    pub fn register(&self, cx: &Context<'_>) {
        self.carrier.register(cx);
    }

    /// [`TunnelQueue::can_receive`].
    #[inline]
    #[must_use]
    pub fn can_receive(&self) -> bool {
        self.queue.borrow().can_receive()
    }

    /// When the task that carries packets is to run next though nothing wakes it: a probe of the path is due. Packets that
    /// wait for the inner stack have woken it. It may change whenever the queue is used.
    #[inline]
    #[must_use]
    pub fn poll_at(&self) -> Option<Instant> {
        self.queue.borrow().probe_at()
    }

    /// [`TunnelQueue::send`].
    #[inline]
    pub fn send(&self, put: impl FnMut(&mut [u8]) -> bool) {
        let now = smoltcp_time((self.clock)());
        self.carry(|queue| queue.send(now, put));
    }

    /// [`TunnelQueue::receive`]. A packet from a raw socket of a stack whose hardware computes checksums has none in its
    /// header: fill it in before ([`Ipv4Header::fill_checksum`](ipencap::wire::Ipv4Header::fill_checksum)).
    #[inline]
    pub fn receive(&self, packet: &[u8]) -> Option<Inbound> {
        let now = smoltcp_time((self.clock)());
        self.carry(|queue| queue.receive(now, packet))
    }
}

impl<'m, P: Peers, C: Tally, const N: usize, R: Reassembly<'m>> SharedQueue<'m, P, C, N, R>
where
    P::Tunnel: SocketTunnel,
{
    /// [`TunnelQueue::send_datagrams`].
    #[inline]
    pub fn send_datagrams(&self, put: impl FnMut(&Facts, &[u8]) -> bool) {
        let now = smoltcp_time((self.clock)());
        self.carry(|queue| queue.send_datagrams(now, put));
    }

    /// [`TunnelQueue::receive_datagram`].
    #[inline]
    pub fn receive_datagram(&self, meta: &OuterMeta, payload: &[u8]) -> Option<Inbound> {
        let now = smoltcp_time((self.clock)());
        self.carry(|queue| queue.receive_datagram(now, meta, payload))
    }
}

impl<P: Peers, C, const N: usize, R> fmt::Debug for SharedQueue<'_, P, C, N, R> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedQueue")
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}

/// Whom to wake.
#[derive(Debug, Default)]
struct WakerSlot(RefCell<Option<Waker>>);

impl WakerSlot {
    fn register(&self, cx: &Context<'_>) {
        let mut slot = self.0.borrow_mut();
        let is_same = |waker: &Waker| waker.will_wake(cx.waker());
        if !slot.as_ref().is_some_and(is_same) {
            *slot = Some(cx.waker().clone());
        }
    }

    fn wake(&self) {
        if let Some(waker) = self.0.take() {
            waker.wake();
        }
    }
}

/// The inner stack's side of a [`SharedQueue`].
pub struct QueueDriver<'s, 'm, P: Peers, C, const N: usize, R = Option<Reassembler<'m>>>(
    &'s SharedQueue<'m, P, C, N, R>,
);

impl<'m, P: Peers, C: Tally, const N: usize, R: Reassembly<'m>> Driver
    for QueueDriver<'_, 'm, P, C, N, R>
{
    type RxToken<'a>
        = QueueRxToken<'a, 'm, N>
    where
        Self: 'a;
    type TxToken<'a>
        = QueueTxToken<'a, 'm, N>
    where
        Self: 'a;

    #[inline]
    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        let shared = self.0;
        // Before the look, so that no wake is missed.
        shared.stack.register(cx);
        let mut queue = shared.queue.borrow_mut();
        let is_due = queue.both().is_some();
        is_due.then(|| shared.tokens(queue))
    }

    #[inline]
    fn transmit(&mut self, cx: &mut Context<'_>) -> Option<Self::TxToken<'_>> {
        let SharedQueue {
            queue,
            stack,
            carrier,
            ..
        } = self.0;
        stack.register(cx);
        let outgoing = RefMut::map(queue.borrow_mut(), TunnelQueue::outgoing);
        let has_room = outgoing.has_room();
        has_room.then_some(QueueTxToken { outgoing, carrier })
    }

    #[inline]
    fn link_state(&mut self, _cx: &mut Context<'_>) -> LinkState {
        LinkState::Up
    }

    #[inline]
    fn capabilities(&self) -> Capabilities {
        capabilities(self.0.queue.borrow().mtu(), None)
    }

    #[inline]
    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ip
    }
}

impl<P: Peers, C, const N: usize, R> fmt::Debug for QueueDriver<'_, '_, P, C, N, R> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("QueueDriver").field(self.0).finish()
    }
}

/// A packet for the inner stack.
#[derive(Debug)]
pub struct QueueRxToken<'a, 'm, const N: usize> {
    incoming: RefMut<'a, RingBuffer<'m, Buffer<N>>>,
    carrier: &'a WakerSlot,
}

impl<const N: usize> DriverRx for QueueRxToken<'_, '_, N> {
    #[inline]
    fn consume<T, F>(mut self, f: F) -> T
    where
        F: FnOnce(&mut [u8]) -> T,
    {
        let result = read(&mut self.incoming, f);
        self.carrier.wake();
        result
    }
}

/// Passes on the first packet.
fn read<R, const N: usize>(
    incoming: &mut RingBuffer<'_, Buffer<N>>,
    f: impl FnOnce(&mut [u8]) -> R,
) -> R {
    match incoming.dequeue_one() {
        Ok(packet) => f(packet.packet_mut()),
        // It was refused. Stacks pass over an empty one.
        Err(_) => f(&mut []),
    }
}

/// Room for a packet from the inner stack.
#[derive(Debug)]
pub struct QueueTxToken<'a, 'm, const N: usize> {
    outgoing: RefMut<'a, Outgoing<'m, N>>,
    carrier: &'a WakerSlot,
}

impl<const N: usize> DriverTx for QueueTxToken<'_, '_, N> {
    #[inline]
    fn consume<T, F>(mut self, len: usize, f: F) -> T
    where
        F: FnOnce(&mut [u8]) -> T,
    {
        let result = self.outgoing.put(len, f);
        self.carrier.wake();
        result
    }
}
