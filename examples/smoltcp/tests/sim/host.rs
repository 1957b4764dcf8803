//! A host: a stack with one TCP socket, and what is below it.

use std::net::Ipv4Addr;

use ipencap::decap::Prefix;
use ipencap::tunnel::{Counters, Endpoint, EndpointConfig, OnePeer, Path, PeerTunnel};
use ipencap_smoltcp::{Buffer, Losses, PathCheck, TunnelDevice};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::Device;
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

use super::wire::Link;

const LINK_MTU: usize = 1500;
pub(crate) const SOCKET_LEN: usize = 1 << 16;

/// The memory of a tunnel, for as long as the program runs.
pub(crate) struct Memory {
    pub(crate) path: &'static mut [Path],
    pub(crate) outgoing: &'static mut [Buffer<LINK_MTU>],
    pub(crate) incoming: &'static mut [Buffer<LINK_MTU>],
}

impl Memory {
    pub(crate) fn new(buffers: usize) -> Self {
        let some = || Box::leak(vec![Buffer::EMPTY; buffers].into_boxed_slice());
        Self {
            path: Box::leak(Box::new([Path::EMPTY])),
            outgoing: some(),
            incoming: some(),
        }
    }
}

/// The end of a tunnel to a peer with any inner address.
pub(crate) fn endpoint<T: PeerTunnel>(
    tunnel: T,
    path: &'static mut [Path],
) -> Endpoint<'static, OnePeer<'static, T>, Counters> {
    const EVERYTHING: &[Prefix] = &[Prefix::ANY];
    let peers = OnePeer::new(tunnel, EVERYTHING);
    Endpoint::new(peers, path, EndpointConfig::DEFAULT).with_tally(Counters::new())
}

/// A stack with one TCP socket.
pub(crate) struct Stack {
    pub(crate) interface: Interface,
    pub(crate) sockets: SocketSet<'static>,
    pub(crate) tcp: SocketHandle,
    pub(crate) address: Ipv4Addr,
}

impl Stack {
    pub(crate) fn new(address: Ipv4Addr, device: &mut impl Device, now: Instant) -> Self {
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = u64::from(u32::from(address));
        let mut interface = Interface::new(config, device, now);
        interface.update_ip_addrs(|addresses| {
            addresses
                .push(IpCidr::new(IpAddress::Ipv4(address), 32))
                .unwrap();
        });
        interface
            .routes_mut()
            .add_default_ipv4_route(address)
            .unwrap();
        let buffer = || tcp::SocketBuffer::new(vec![0; SOCKET_LEN]);
        let mut sockets = SocketSet::new(vec![]);
        let tcp = sockets.add(tcp::Socket::new(buffer(), buffer()));
        Self {
            interface,
            sockets,
            tcp,
            address,
        }
    }
}

/// A host whose stack's packets go through a tunnel.
pub(crate) struct TunnelHost<T: PeerTunnel> {
    pub(crate) stack: Stack,
    pub(crate) device: TunnelDevice<'static, Link, OnePeer<'static, T>, Counters, LINK_MTU>,
}

impl<T: PeerTunnel> TunnelHost<T> {
    pub(crate) fn new(tunnel: T, address: Ipv4Addr, link: Link, now: Instant) -> Self {
        let memory = Memory::new(4);
        let endpoint = endpoint(tunnel, memory.path);
        let mut device =
            TunnelDevice::new(link, endpoint, memory.outgoing, memory.incoming, now).unwrap();
        let stack = Stack::new(address, &mut device, now);
        Self { stack, device }
    }

    /// Looks whether long packets arrive at `target`.
    pub(crate) const fn checking(mut self, target: Ipv4Addr) -> Self {
        let check = PathCheck::new(self.stack.address, target);
        self.device.queue_mut().set_path_check(Some(check));
        self
    }
}

/// What a transfer needs of a host.
pub(crate) trait Host {
    fn stack(&mut self) -> &mut Stack;
    fn poll(&mut self, now: Instant);
    fn poll_at(&mut self, now: Instant) -> Option<Instant>;
    fn counters(&self) -> &Counters;
    fn losses(&self) -> Losses;
    /// What the inner stack was told.
    fn mtu(&self) -> usize;
    /// Tokens of the link that the tunnel has taken to send with, and those that it has used.
    fn tokens(&self) -> Option<(u64, u64)>;
}

impl<T: PeerTunnel> Host for TunnelHost<T> {
    fn stack(&mut self) -> &mut Stack {
        &mut self.stack
    }

    fn poll(&mut self, now: Instant) {
        let Self { stack, device } = self;
        device.follow_mtu(now, &mut stack.interface, 7);
        stack.interface.poll(now, device, &mut stack.sockets);
    }

    fn poll_at(&mut self, now: Instant) -> Option<Instant> {
        let stack = self.stack.interface.poll_at(now, &self.stack.sockets);
        stack.into_iter().chain(self.device.poll_at()).min()
    }

    fn counters(&self) -> &Counters {
        self.device.queue().endpoint().tally()
    }

    fn losses(&self) -> Losses {
        *self.device.queue().losses()
    }

    fn mtu(&self) -> usize {
        self.device.queue().mtu()
    }

    fn tokens(&self) -> Option<(u64, u64)> {
        Some(self.device.below().tokens())
    }
}
