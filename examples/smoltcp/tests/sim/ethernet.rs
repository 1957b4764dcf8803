//! A host on Ethernet: an outer stack whose socket carries the tunnel, and an inner one with a queue below it.

use std::net::Ipv4Addr;

use ipencap::tunnel::{Counters, OnePeer, PeerTunnel};
use ipencap_smoltcp::{Losses, PathCheck, TunnelQueue};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::{AnySocket, raw};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr, IpProtocol, IpVersion};

use super::host::{Host, Memory, Stack, endpoint};
use super::wire::Link;

pub(crate) type Queue<T> = TunnelQueue<'static, OnePeer<'static, T>, Counters, 1500>;
type Carry<T> = fn(&mut Queue<T>, Instant, &mut SocketSet<'static>, SocketHandle);

pub(crate) fn raw_socket(protocol: IpProtocol) -> raw::Socket<'static> {
    let buffer = || raw::PacketBuffer::new(vec![raw::PacketMetadata::EMPTY; 8], vec![0; 12_000]);
    raw::Socket::new(Some(IpVersion::Ipv4), Some(protocol), buffer(), buffer())
}

pub(crate) struct EthernetHost<T: PeerTunnel> {
    link: Link,
    outer: Interface,
    outer_sockets: SocketSet<'static>,
    carrier: SocketHandle,
    icmp: SocketHandle,
    carry: Carry<T>,
    pub(crate) queue: Queue<T>,
    stack: Stack,
}

impl<T: PeerTunnel> EthernetHost<T> {
    /// The socket is of the outer stack, and `carry` moves packets between it and the queue.
    pub(crate) fn new(
        (tunnel, address): (T, Ipv4Addr),
        mut link: Link,
        socket: impl AnySocket<'static>,
        carry: Carry<T>,
        now: Instant,
    ) -> Self {
        let outer_address = tunnel.ends().0;
        let [.., last] = outer_address.octets();
        let hardware = EthernetAddress([2, 0, 0, 0, 0, last]);
        let mut outer = Interface::new(
            Config::new(HardwareAddress::Ethernet(hardware)),
            &mut link,
            now,
        );
        outer.update_ip_addrs(|addresses| {
            let address = IpCidr::new(IpAddress::Ipv4(outer_address), 24);
            addresses.push(address).unwrap();
        });
        let mut outer_sockets = SocketSet::new(vec![]);
        let carrier = outer_sockets.add(socket);
        let icmp = outer_sockets.add(raw_socket(IpProtocol::Icmp));
        let memory = Memory::new(4);
        let endpoint = endpoint(tunnel, memory.path);
        let mut queue = TunnelQueue::new(endpoint, memory.outgoing, memory.incoming, now).unwrap();
        let stack = Stack::new(address, &mut queue, now);
        Self {
            link,
            outer,
            outer_sockets,
            carrier,
            icmp,
            carry,
            queue,
            stack,
        }
    }

    /// Looks whether long packets arrive at `target`.
    pub(crate) const fn checking(mut self, target: Ipv4Addr) -> Self {
        self.queue
            .set_path_check(Some(PathCheck::new(self.stack.address, target)));
        self
    }
}

impl<T: PeerTunnel> Host for EthernetHost<T> {
    fn stack(&mut self) -> &mut Stack {
        &mut self.stack
    }

    fn poll(&mut self, now: Instant) {
        let Self {
            link,
            outer,
            outer_sockets,
            carrier,
            icmp,
            carry,
            queue,
            stack,
        } = self;
        outer.poll(now, link, outer_sockets);
        queue.receive_raw(now, outer_sockets.get_mut(*icmp));
        carry(queue, now, outer_sockets, *carrier);
        queue.follow_mtu(now, &mut stack.interface, 7);
        stack.interface.poll(now, queue, &mut stack.sockets);
        queue.receive_raw(now, outer_sockets.get_mut(*icmp));
        carry(queue, now, outer_sockets, *carrier);
    }

    fn poll_at(&mut self, now: Instant) -> Option<Instant> {
        let inner = self.stack.interface.poll_at(now, &self.stack.sockets);
        let outer = self.outer.poll_at(now, &self.outer_sockets);
        inner
            .into_iter()
            .chain(outer)
            .chain(self.queue.poll_at())
            .min()
    }

    fn counters(&self) -> &Counters {
        self.queue.endpoint().tally()
    }

    fn losses(&self) -> Losses {
        *self.queue.losses()
    }

    fn mtu(&self) -> usize {
        self.queue.mtu()
    }

    fn tokens(&self) -> Option<(u64, u64)> {
        None
    }
}
