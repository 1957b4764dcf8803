use core::fmt;

use ipencap::fragment::Reassembler;
use ipencap::tunnel::{Endpoint, Peers, Reassembly, Tally};
use smoltcp::iface::Interface;
use smoltcp::phy::{self, Device, DeviceCapabilities, Medium, RxToken as _, TxToken as _};
use smoltcp::time::Instant;

use crate::buffer::{Buffer, copy};
use crate::clock::endpoint_time;
use crate::error::SetUpError;
use crate::interface::renew;
use crate::outgoing::Outgoing;
use crate::queue::{self, TunnelQueue};

/// A device of [`Medium::Ip`] around another: what the stack sends goes into a tunnel and then to the device below,
/// and what comes from there out of a tunnel and then to the stack.
///
/// The outer addresses belong to the tunnel alone: packets for them that are not of a tunnel, such as pings, have no
/// stack to answer them, and count as [`Event::HostsOwn`](ipencap::tunnel::Event::HostsOwn).
///
/// Each call of [`receive`](Device::receive) takes at most one packet from the device below. For one that the tunnel
/// refuses the stack gets an empty packet, which it passes over.
pub struct TunnelDevice<'m, D, P: Peers, C, const N: usize, R = Option<Reassembler<'m>>> {
    below: D,
    queue: TunnelQueue<'m, P, C, N, R>,
}

impl<'m, D: Device, P: Peers, C: Tally, const N: usize, R: Reassembly<'m>>
    TunnelDevice<'m, D, P, C, N, R>
{
    /// Carries packets through the tunnels of `endpoint` and the device `below`, whose MTU is the link's.
    ///
    /// The buffers are as for [`TunnelQueue::new`]. One `incoming` is enough: packets wait in the device below.
    ///
    /// # Errors
    /// [`SetUpError`] if the device below is not of [`Medium::Ip`], there is no buffer, no peer, or no room for packets
    /// in a buffer.
    #[inline]
    pub fn new(
        below: D,
        mut endpoint: Endpoint<'m, P, C, R>,
        outgoing: &'m mut [Buffer<N>],
        incoming: &'m mut [Buffer<N>],
        timestamp: Instant,
    ) -> Result<Self, SetUpError> {
        let capabilities = below.capabilities();
        if capabilities.medium != Medium::Ip {
            return Err(SetUpError::NotIp);
        }
        let link_mtu = u16::try_from(capabilities.ip_mtu().min(N)).unwrap_or(u16::MAX);
        endpoint.set_link_mtu(endpoint_time(timestamp), link_mtu);
        let queue = TunnelQueue::new(endpoint, outgoing, incoming, timestamp)?;
        Ok(Self { below, queue })
    }

    /// The queues and the endpoint: its peers, counters, timers, and what was lost.
    #[inline]
    #[must_use]
    pub const fn queue(&self) -> &TunnelQueue<'m, P, C, N, R> {
        &self.queue
    }

    /// The queues and the endpoint, to change peers and the like.
    #[inline]
    #[must_use]
    pub const fn queue_mut(&mut self) -> &mut TunnelQueue<'m, P, C, N, R> {
        &mut self.queue
    }

    /// The device below.
    #[inline]
    #[must_use]
    pub const fn below(&self) -> &D {
        &self.below
    }

    /// The device below, for its own functions. What is received and sent there directly passes the tunnel by.
    #[inline]
    #[must_use]
    pub const fn below_mut(&mut self) -> &mut D {
        &mut self.below
    }

    /// [`TunnelQueue::follow_mtu`]: call it before each poll of `interface`.
    #[inline]
    pub fn follow_mtu(
        &mut self,
        timestamp: Instant,
        interface: &mut Interface,
        random_seed: u64,
    ) -> bool {
        let has_changed = self.queue.update_mtu(timestamp);
        if has_changed {
            renew(interface, self, random_seed, timestamp);
        }
        has_changed
    }

    /// When the stack is to be polled next though nothing comes, beside its own [`poll_at`](Interface::poll_at): at once
    /// while packets wait here, also for the device below, as the stack does without a tunnel; and for probes of the
    /// path.
    #[inline]
    #[must_use]
    pub fn poll_at(&self) -> Option<Instant> {
        if self.queue.can_send() {
            return Some(Instant::ZERO);
        }
        self.queue.poll_at()
    }

    /// Sends packets that wait, as far as the device below takes them. A poll of the stack does so too.
    #[inline]
    pub fn flush(&mut self, timestamp: Instant) {
        let Self { below, queue } = self;
        queue.send(timestamp, |outer| match below.transmit(timestamp) {
            Some(token) => {
                token.consume(outer.len(), |frame| copy(outer, frame));
                true
            }
            None => false,
        });
    }
}

impl<'m, D: Device, P: Peers, C: Tally, const N: usize, R: Reassembly<'m>> Device
    for TunnelDevice<'m, D, P, C, N, R>
{
    type RxToken<'a>
        = queue::RxToken<'a, 'm, N>
    where
        Self: 'a;
    type TxToken<'a>
        = TxToken<'a, 'm, D, P, C, N, R>
    where
        Self: 'a;

    #[inline]
    fn receive(&mut self, timestamp: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        // Answers to the last packet wait in the queue, and ICMP errors about them come out of this.
        self.flush(timestamp);
        let Self { below, queue } = self;
        if !queue.has_incoming() {
            let (packet, unused) = below.receive(timestamp)?;
            drop(unused);
            packet.consume(|bytes| queue.receive(timestamp, bytes));
        }
        // Also after one that was refused: more of them do not hold up the stack.
        let (incoming, outgoing) = queue.with_room()?;
        Some((queue::RxToken(incoming), TxToken(Room::Queued(outgoing))))
    }

    #[inline]
    fn transmit(&mut self, timestamp: Instant) -> Option<Self::TxToken<'_>> {
        self.flush(timestamp);
        self.queue
            .outgoing()
            .has_room()
            .then_some(TxToken(Room::Sent(self, timestamp)))
    }

    #[inline]
    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = self.queue.own_capabilities();
        capabilities.max_burst_size = self.below.capabilities().max_burst_size;
        capabilities
    }
}

impl<D, P: Peers, C, const N: usize, R> fmt::Debug for TunnelDevice<'_, D, P, C, N, R> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TunnelDevice")
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}

/// Room for a packet from the stack.
#[derive(Debug)]
pub struct TxToken<'a, 'm, D, P: Peers, C, const N: usize, R = Option<Reassembler<'m>>>(
    Room<'a, 'm, D, P, C, N, R>,
);

#[derive(Debug)]
enum Room<'a, 'm, D, P: Peers, C, const N: usize, R> {
    /// It is sent at the next call, because the packet that it may answer is still in use.
    Queued(&'a mut Outgoing<'m, N>),
    /// It is sent at once.
    Sent(&'a mut TunnelDevice<'m, D, P, C, N, R>, Instant),
}

impl<'m, D: Device, P: Peers, C: Tally, const N: usize, R: Reassembly<'m>> phy::TxToken
    for TxToken<'_, 'm, D, P, C, N, R>
{
    #[inline]
    fn consume<T, F>(self, len: usize, f: F) -> T
    where
        F: FnOnce(&mut [u8]) -> T,
    {
        match self.0 {
            Room::Queued(outgoing) => outgoing.put(len, f),
            Room::Sent(device, timestamp) => {
                let result = device.queue.outgoing().put(len, f);
                device.flush(timestamp);
                result
            }
        }
    }
}
