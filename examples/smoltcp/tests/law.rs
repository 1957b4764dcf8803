//! For arbitrary traffic, what the stacks in a tunnel receive equals what they receive over a plain device of the same
//! MTU: byte for byte, and at the same time.

#![allow(
    missing_docs,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::std_instead_of_core,
    reason = "a test may panic; it uses a part of the simulation"
)]

#[path = "sim/wire.rs"]
mod wire;

use std::net::Ipv4Addr;

use ipencap::decap::Prefix;
use ipencap::encap::{AnyTunnel, Tunnel};
use ipencap::shim::{Fou, Gre, Gue, IpIp};
use ipencap::tunnel::{Endpoint, EndpointConfig, OnePeer, Path};
use ipencap_smoltcp::{Buffer, TunnelDevice};
use proptest::prelude::*;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{self, Device, DeviceCapabilities, Medium};
use smoltcp::socket::{icmp, raw, tcp, udp};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{
    HardwareAddress, Icmpv4Packet, Icmpv4Repr, IpAddress, IpCidr, IpProtocol, IpVersion,
};
use wire::{Link, Weather, Wire};

const OUTER: [Ipv4Addr; 2] = [
    Ipv4Addr::new(198, 51, 100, 1),
    Ipv4Addr::new(203, 0, 113, 2),
];
const INNER: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 1, 0, 5), Ipv4Addr::new(10, 2, 0, 9)];
const LONGEST: usize = 1500;

/// What one of the stacks does.
#[derive(Clone, Debug)]
enum Act {
    /// It sends a datagram, in fragments if it is long, to a port that may be closed.
    Datagram { len: usize, open: bool },
    /// It writes bytes to the TCP connection.
    Bytes(usize),
    /// It pings the other.
    Ping(usize),
    /// It sends a packet of an unknown protocol.
    Raw(usize),
}

/// Who acts, what it does, and how long it waits then, in milliseconds.
type Step = (usize, Act, u64);

fn step() -> impl Strategy<Value = Step> {
    let act = prop_oneof![
        (0..3000_usize, any::<bool>()).prop_map(|(len, open)| Act::Datagram { len, open }),
        (1..5000_usize).prop_map(Act::Bytes),
        (0..1400_usize).prop_map(Act::Ping),
        (0..1400_usize).prop_map(Act::Raw),
    ];
    (0..2_usize, act, prop_oneof![Just(0), 0..30_u64])
}

fn weather() -> impl Strategy<Value = Weather> {
    (0..100_u64, 0..100_u64, 0..100_u64).prop_map(|(lost, duplicated, reordered)| Weather {
        lost,
        duplicated,
        reordered,
        // The shorter frames of the plain device would arrive sooner.
        bytes_per_milli: None,
        ..Weather::FAIR
    })
}

/// Layers of a tunnel, the innermost first.
fn layers() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0..4_usize, 1..=3)
}

/// The layers from one end to the other; each has addresses of its own, or a packet would loop.
fn tunnel(kinds: &[usize], end: usize) -> &'static [AnyTunnel] {
    let layer = |(at, kind): (usize, &usize)| {
        let middle = [1, 2].map(|last| Ipv4Addr::new(192, 0, 2, 10 * at as u8 + last));
        let ends = if at + 1 == kinds.len() { OUTER } else { middle };
        let (here, there) = (ends[end], ends[1 - end]);
        match kind {
            0 => AnyTunnel::IpIp(Tunnel::new(here, there, IpIp).unwrap()),
            1 => AnyTunnel::Fou(Tunnel::new(here, there, Fou::new(5555)).unwrap()),
            2 => AnyTunnel::Gue(Tunnel::new(here, there, Gue::new()).unwrap()),
            _ => AnyTunnel::Gre(Tunnel::new(here, there, Gre::new()).unwrap()),
        }
    };
    Box::leak(kinds.iter().enumerate().map(layer).collect())
}

/// Notes down all that the stack receives.
struct Tap<D> {
    device: D,
    received: Vec<(Instant, Vec<u8>)>,
}

struct TapToken<'a, R> {
    token: R,
    now: Instant,
    received: &'a mut Vec<(Instant, Vec<u8>)>,
}

impl<R: phy::RxToken> phy::RxToken for TapToken<'_, R> {
    fn consume<T, F: FnOnce(&[u8]) -> T>(self, f: F) -> T {
        self.token.consume(|frame| {
            self.received.push((self.now, frame.to_vec()));
            f(frame)
        })
    }
}

impl<D: Device> Device for Tap<D> {
    type RxToken<'a>
        = TapToken<'a, D::RxToken<'a>>
    where
        Self: 'a;
    type TxToken<'a>
        = D::TxToken<'a>
    where
        Self: 'a;

    fn receive(&mut self, now: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        let (token, tx) = self.device.receive(now)?;
        let received = &mut self.received;
        Some((
            TapToken {
                token,
                now,
                received,
            },
            tx,
        ))
    }

    fn transmit(&mut self, now: Instant) -> Option<Self::TxToken<'_>> {
        self.device.transmit(now)
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.device.capabilities()
    }
}

/// A stack with a socket of each kind.
struct Stack<D> {
    tap: Tap<D>,
    interface: Interface,
    sockets: SocketSet<'static>,
    udp: SocketHandle,
    tcp: SocketHandle,
    icmp: SocketHandle,
    raw: SocketHandle,
    other: Ipv4Addr,
    to_write: usize,
}

impl<D: Device> Stack<D> {
    fn new(device: D, end: usize) -> Self {
        let mut tap = Tap {
            device,
            received: Vec::new(),
        };
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = end as u64;
        let mut interface = Interface::new(config, &mut tap, Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            addresses
                .push(IpCidr::new(IpAddress::Ipv4(INNER[end]), 32))
                .unwrap();
        });
        interface
            .routes_mut()
            .add_default_ipv4_route(INNER[end])
            .unwrap();
        let mut sockets = SocketSet::new(vec![]);
        let buffer =
            || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 8], vec![0; 16_000]);
        let mut socket = udp::Socket::new(buffer(), buffer());
        socket.bind(9000).unwrap();
        let udp = sockets.add(socket);
        let buffer = || tcp::SocketBuffer::new(vec![0; 8_000]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        if end == 0 {
            socket
                .connect(interface.context(), (INNER[1], 7), 49_152)
                .unwrap();
        } else {
            socket.listen(7).unwrap();
        }
        let tcp = sockets.add(socket);
        let buffer =
            || icmp::PacketBuffer::new(vec![icmp::PacketMetadata::EMPTY; 8], vec![0; 8_000]);
        let mut socket = icmp::Socket::new(buffer(), buffer());
        socket.bind(icmp::Endpoint::Ident(1)).unwrap();
        let icmp = sockets.add(socket);
        let buffer = || raw::PacketBuffer::new(vec![raw::PacketMetadata::EMPTY; 8], vec![0; 8_000]);
        let protocol = Some(IpProtocol::Unknown(253));
        let raw = sockets.add(raw::Socket::new(
            Some(IpVersion::Ipv4),
            protocol,
            buffer(),
            buffer(),
        ));
        let other = INNER[1 - end];
        Self {
            tap,
            interface,
            sockets,
            udp,
            tcp,
            icmp,
            raw,
            other,
            to_write: 0,
        }
    }

    /// What does not fit a socket's buffer is not sent, by either stack.
    fn act(&mut self, act: &Act) {
        match *act {
            Act::Datagram { len, open } => {
                let to = (self.other, if open { 9000 } else { 9 });
                let bytes: Vec<u8> = (0..len).map(|at| at as u8).collect();
                let _ = self
                    .sockets
                    .get_mut::<udp::Socket<'_>>(self.udp)
                    .send_slice(&bytes, to);
            }
            Act::Bytes(len) => self.to_write += len,
            Act::Ping(len) => {
                let data = vec![7; len];
                let ping = Icmpv4Repr::EchoRequest {
                    ident: 1,
                    seq_no: 1,
                    data: &data,
                };
                let mut bytes = vec![0; ping.buffer_len()];
                ping.emit(
                    &mut Icmpv4Packet::new_unchecked(&mut bytes),
                    &phy::ChecksumCapabilities::default(),
                );
                let to = IpAddress::Ipv4(self.other);
                let _ = self
                    .sockets
                    .get_mut::<icmp::Socket<'_>>(self.icmp)
                    .send_slice(&bytes, to);
            }
            Act::Raw(len) => {
                let own = self.interface.ipv4_addr().unwrap();
                let protocol = ipencap::wire::IpProtocol(253);
                let header =
                    ipencap::wire::Ipv4Header::new(own, self.other, protocol, 20 + len as u16);
                let mut bytes = header.as_bytes().to_vec();
                bytes.resize(20 + len, 9);
                let _ = self
                    .sockets
                    .get_mut::<raw::Socket<'_>>(self.raw)
                    .send_slice(&bytes);
            }
        }
    }

    fn poll(&mut self, now: Instant) {
        for _ in 0..2 {
            let socket = self.sockets.get_mut::<tcp::Socket<'_>>(self.tcp);
            if socket.can_send() && self.to_write > 0 {
                self.to_write -= socket.send_slice(&vec![5; self.to_write]).unwrap();
            }
            while socket.can_recv() {
                socket.recv(|bytes| (bytes.len(), ())).unwrap();
            }
            let socket = self.sockets.get_mut::<udp::Socket<'_>>(self.udp);
            while socket.recv().is_ok() {}
            self.interface.poll(now, &mut self.tap, &mut self.sockets);
        }
    }
}

/// All that both stacks receive.
fn play<D: Device>(mut stacks: [Stack<D>; 2], steps: &[Step]) -> [Vec<(Instant, Vec<u8>)>; 2] {
    let mut now = Instant::ZERO;
    for (who, act, wait) in steps.iter().chain(&[(0, Act::Bytes(1), 3000)]) {
        stacks[*who].act(act);
        let until = now + Duration::from_millis(*wait);
        loop {
            for stack in &mut stacks {
                stack.poll(now);
            }
            if now >= until {
                break;
            }
            now += Duration::from_millis(1);
        }
    }
    stacks.map(|stack| stack.tap.received)
}

proptest! {
    // What fails is printed in full.
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_tunnel_is_a_plain_device(
        steps in prop::collection::vec(step(), 1..20),
        weather in weather(),
        kinds in layers(),
        link_mtu in 700..=LONGEST,
        seed: u64,
    ) {
        let wire = Wire::new(seed, weather);
        let tunnelled = play([0, 1].map(|end| {
            let link = Link::new(&wire, end, Medium::Ip).with_mtu(link_mtu);
            let everything: &'static [Prefix] = &[Prefix::ANY];
            let peers = OnePeer::new(tunnel(&kinds, end), everything);
            let path: &'static mut [Path] = Box::leak(Box::new([Path::EMPTY]));
            let endpoint = Endpoint::new(peers, path, EndpointConfig::DEFAULT);
            let buffer = || Box::leak(Box::new([Buffer::<LONGEST>::EMPTY]));
            let device = TunnelDevice::new(link, endpoint, buffer(), buffer(), Instant::ZERO);
            Stack::new(device.unwrap(), end)
        }), &steps);

        let overhead: usize = kinds.iter().map(|kind| [20, 28, 32, 24][*kind]).sum();
        let wire = Wire::new(seed, weather);
        let plain = play([0, 1].map(|end| {
            Stack::new(Link::new(&wire, end, Medium::Ip).with_mtu(link_mtu - overhead), end)
        }), &steps);

        prop_assert_eq!(tunnelled[0].len(), plain[0].len());
        prop_assert_eq!(tunnelled[1].len(), plain[1].len());
        for (tunnelled, plain) in tunnelled.iter().flatten().zip(plain.iter().flatten()) {
            prop_assert_eq!(tunnelled, plain);
        }
        prop_assert!(plain.iter().any(|received| !received.is_empty()) || weather.lost > 0);
    }
}
