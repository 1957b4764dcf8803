//! A board on Ethernet that runs the loop of the crate's documentation, and sleeps as that says.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::std_instead_of_core,
    reason = "a test may panic"
)]

use std::collections::VecDeque;
use std::net::Ipv4Addr;

use ipencap::decap::Prefix;
use ipencap::encap::Tunnel;
use ipencap::icmp::{IcmpError, Kind};
use ipencap::packet::{Packet, PerPacket, Span};
use ipencap::shim::IpIp;
use ipencap::tunnel::{Counters, Endpoint, EndpointConfig, OnePeer, Path};
use ipencap::wire::{IpProtocol, Ipv4Flags, Ipv4Header};
use ipencap_smoltcp::{Buffer, Losses, TunnelQueue};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{self, ChecksumCapabilities, Device, DeviceCapabilities, Medium, TxToken as _};
use smoltcp::socket::{raw, udp};
use smoltcp::time::Instant;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol,
    EthernetRepr, HardwareAddress, IpAddress, IpCidr, IpVersion,
};

const HERE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const THERE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
const INNER_HERE: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 5);
const INNER_THERE: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 9);
const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);
const OUR_MAC: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);
const PEER_MAC: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 2]);
const PORT: u16 = 9;
const NOW: Instant = Instant::ZERO;
const HEADER: usize = 14;

/// Frames that arrive, and those that were sent.
struct Ethernet {
    arriving: VecDeque<Vec<u8>>,
    sent: Vec<Vec<u8>>,
    checksums: ChecksumCapabilities,
}

struct Received(Vec<u8>);

impl phy::RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

struct Sending<'a>(&'a mut Vec<Vec<u8>>);

impl phy::TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.0.push(frame);
        result
    }
}

impl Device for Ethernet {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received, Sending<'_>)> {
        let frame = self.arriving.pop_front()?;
        Some((Received(frame), Sending(&mut self.sent)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sending<'_>> {
        Some(Sending(&mut self.sent))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1500 + HEADER;
        capabilities.checksum = self.checksums.clone();
        capabilities
    }
}

impl Ethernet {
    /// A packet arrives from the peer's side.
    fn arrives(&mut self, packet: &[u8]) {
        self.arriving
            .push_back(frame(EthernetProtocol::Ipv4, packet));
    }

    /// The packets that were sent, with the checksum that hardware fills in.
    fn packets(&mut self) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        for sent in self.sent.drain(..) {
            if EthernetFrame::new_unchecked(&sent).ethertype() != EthernetProtocol::Ipv4 {
                continue;
            }
            let mut packet = sent[HEADER..].to_vec();
            let (header, options, _) = Ipv4Header::split_mut(&mut packet).unwrap();
            header.fill_checksum(options);
            packets.push(packet);
        }
        packets
    }
}

fn frame(ethertype: EthernetProtocol, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; HEADER + payload.len()];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes);
    let header = EthernetRepr {
        src_addr: PEER_MAC,
        dst_addr: OUR_MAC,
        ethertype,
    };
    header.emit(&mut frame);
    frame.payload_mut().copy_from_slice(payload);
    bytes
}

/// The peer asks for our hardware address, and so tells its own.
fn arp() -> Vec<u8> {
    let request = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr: PEER_MAC,
        source_protocol_addr: THERE,
        target_hardware_addr: EthernetAddress::BROADCAST,
        target_protocol_addr: HERE,
    };
    let mut bytes = vec![0; request.buffer_len()];
    request.emit(&mut ArpPacket::new_unchecked(&mut bytes));
    frame(EthernetProtocol::Arp, &bytes)
}

/// A datagram for the inner stack, wrapped by the peer.
fn outer() -> Vec<u8> {
    const LEN: u16 = 60;
    let mut bytes = vec![0; 20];
    let header = Ipv4Header::new(INNER_THERE, INNER_HERE, IpProtocol::UDP, LEN);
    bytes.extend_from_slice(header.as_bytes());
    for word in [PORT, PORT, LEN - 20, 0] {
        bytes.extend_from_slice(&word.to_be_bytes());
    }
    bytes.resize(20 + usize::from(LEN), 7);
    let tunnel = Tunnel::new(THERE, HERE, IpIp).unwrap();
    let mut packet = Packet::new(&mut bytes, Span::new(20, usize::from(LEN)));
    packet.wrap(&tunnel, &PerPacket::new()).unwrap();
    bytes
}

fn memory(buffers: usize) -> &'static mut [Buffer<1500>] {
    Box::leak(vec![Buffer::EMPTY; buffers].into_boxed_slice())
}

fn raw_socket(protocol: u8, packets: usize) -> raw::Socket<'static> {
    let buffer = || {
        let metadata = vec![raw::PacketMetadata::EMPTY; packets];
        raw::PacketBuffer::new(metadata, vec![0; 1500 * packets])
    };
    let protocol = smoltcp::wire::IpProtocol::from(protocol);
    raw::Socket::new(Some(IpVersion::Ipv4), Some(protocol), buffer(), buffer())
}

struct Board {
    ethernet: Ethernet,
    outer: Interface,
    outer_sockets: SocketSet<'static>,
    ipip: SocketHandle,
    icmp: SocketHandle,
    queue: TunnelQueue<'static, OnePeer<'static, Tunnel<IpIp>>, Counters, 1500>,
    inner: Interface,
    inner_sockets: SocketSet<'static>,
    udp: SocketHandle,
}

impl Board {
    /// Raw sockets hold four packets each way.
    fn new(checksums: ChecksumCapabilities, outgoing: usize, incoming: usize) -> Self {
        const EVERYTHING: &[Prefix] = &[Prefix::ANY];
        let mut ethernet = Ethernet {
            arriving: VecDeque::new(),
            sent: Vec::new(),
            checksums,
        };
        let config = Config::new(HardwareAddress::Ethernet(OUR_MAC));
        let mut outer = Interface::new(config, &mut ethernet, NOW);
        outer.update_ip_addrs(|addresses| {
            let address = IpCidr::new(IpAddress::Ipv4(HERE), 24);
            addresses.push(address).unwrap();
        });
        let mut outer_sockets = SocketSet::new(vec![]);
        let ipip = outer_sockets.add(raw_socket(4, 4));
        let icmp = outer_sockets.add(raw_socket(1, 4));

        let peers = OnePeer::new(Tunnel::new(HERE, THERE, IpIp).unwrap(), EVERYTHING);
        let path = Box::leak(Box::new([Path::EMPTY]));
        let endpoint =
            Endpoint::new(peers, path, EndpointConfig::DEFAULT).with_tally(Counters::new());
        let mut queue =
            TunnelQueue::new(endpoint, memory(outgoing), memory(incoming), NOW).unwrap();
        let mut inner = Interface::new(Config::new(HardwareAddress::Ip), &mut queue, NOW);
        inner.update_ip_addrs(|addresses| {
            let address = IpCidr::new(IpAddress::Ipv4(INNER_HERE), 32);
            addresses.push(address).unwrap();
        });
        inner
            .routes_mut()
            .add_default_ipv4_route(INNER_HERE)
            .unwrap();
        let buffer =
            || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 64], vec![0; 65_536]);
        let mut socket = udp::Socket::new(buffer(), buffer());
        socket.bind(PORT).unwrap();
        let mut inner_sockets = SocketSet::new(vec![]);
        let udp = inner_sockets.add(socket);
        Self {
            ethernet,
            outer,
            outer_sockets,
            ipip,
            icmp,
            queue,
            inner,
            inner_sockets,
            udp,
        }
    }

    /// The same, which knows the peer's hardware address.
    fn with_neighbor(mut self) -> Self {
        self.ethernet.arriving.push_back(arp());
        self.poll();
        self
    }

    /// The loop of the crate's documentation.
    fn poll(&mut self) {
        let Self {
            ethernet,
            outer,
            outer_sockets,
            queue,
            inner,
            inner_sockets,
            ..
        } = self;
        outer.poll(NOW, ethernet, outer_sockets);
        queue.receive_raw(NOW, outer_sockets.get_mut(self.icmp));
        queue.carry_raw(NOW, outer_sockets.get_mut(self.ipip));
        queue.follow_mtu(NOW, inner, 7);
        inner.poll(NOW, queue, inner_sockets);
        queue.receive_raw(NOW, outer_sockets.get_mut(self.icmp));
        queue.carry_raw(NOW, outer_sockets.get_mut(self.ipip));
    }

    fn poll_at(&mut self) -> Option<Instant> {
        let inner = self.inner.poll_at(NOW, &self.inner_sockets);
        let outer = self.outer.poll_at(NOW, &self.outer_sockets);
        let queue = self.queue.poll_at();
        inner.into_iter().chain(outer).chain(queue).min()
    }

    /// Runs until it may sleep.
    fn run(&mut self) {
        for _ in 0..50 {
            self.poll();
            if self.poll_at().is_none_or(|at| at > NOW) {
                return;
            }
        }
        panic!("it never sleeps");
    }

    fn udp(&mut self) -> &mut udp::Socket<'static> {
        self.inner_sockets.get_mut(self.udp)
    }

    fn send(&mut self, len: usize) {
        let to = (IpAddress::Ipv4(INNER_THERE), PORT);
        self.udp().send_slice(&vec![7; len], to).unwrap();
    }
}

/// A router's report about a packet.
fn report(about: &[u8], mtu: u16) -> Vec<u8> {
    let error = IcmpError::about(about, Kind::FragmentationNeeded { mtu }, ROUTER).unwrap();
    let mut report = vec![0; error.len()];
    error.write(about, &mut report).unwrap();
    report
}

/// smoltcp's raw sockets write the header of a received packet anew, without a checksum if hardware is to compute it.
#[test]
fn packets_arrive_though_hardware_does_all_checksums() {
    let mut board = Board::new(ChecksumCapabilities::ignored(), 2, 2).with_neighbor();
    board.ethernet.arrives(&outer());
    board.run();
    assert_eq!(board.udp().recv().map(|(payload, _)| payload.len()), Ok(32));

    board.send(1400);
    board.run();
    let [sent] = &board.ethernet.packets()[..] else {
        panic!("one packet")
    };
    assert_eq!(sent.len(), 1400 + 48);
    board.ethernet.arrives(&report(sent, 1300));
    board.run();
    board.poll();
    assert_eq!(board.queue.mtu(), 1280, "the router's report was not read");
    assert_eq!(*board.queue.losses(), Losses::default());
}

#[test]
fn a_board_that_sleeps_by_poll_at_leaves_no_packet_behind() {
    let mut board = Board::new(ChecksumCapabilities::default(), 8, 1).with_neighbor();
    for _ in 0..4 {
        board.ethernet.arrives(&outer());
    }
    board.run();
    for _ in 0..4 {
        assert!(
            board.udp().recv().is_ok(),
            "it waits while the board sleeps"
        );
    }

    for _ in 0..8 {
        board.send(1400);
    }
    board.run();
    assert_eq!(board.ethernet.packets().len(), 8, "some wait");

    // An ICMP error for the inner stack about what it has sent: the stack is to read it at once.
    let now = ipencap::time::Instant::ZERO;
    let peer = ipencap::tunnel::PeerId::new(0, 0);
    let _ = board.queue.endpoint_mut().local_mtu(now, peer, 1300);
    let mut header = Ipv4Header::new(INNER_HERE, INNER_THERE, IpProtocol(253), 1428);
    header.set_flags(Ipv4Flags::DF);
    let too_long = [header.as_bytes(), &[0; 1408][..]].concat();
    let token = Device::transmit(&mut board.queue, NOW).unwrap();
    token.consume(too_long.len(), |bytes| bytes.copy_from_slice(&too_long));
    assert_eq!(board.queue.poll_at(), None);
    board.queue.send(NOW, |_| panic!("it is too long"));
    assert_eq!(board.queue.poll_at(), Some(NOW));
    board.run();
    assert_eq!(board.queue.poll_at(), None, "the error waits");
    assert_eq!(*board.queue.losses(), Losses::default());
}

/// smoltcp asks for it every second, and the packets wait in the socket and the queue so long.
#[test]
fn a_board_sleeps_while_the_peer_has_no_hardware_address() {
    let mut board = Board::new(ChecksumCapabilities::default(), 8, 1);
    for _ in 0..8 {
        board.send(1400);
    }
    board.run();
    assert!(board.queue.can_send());
    board.ethernet.arriving.push_back(arp());
    board.run();
    assert_eq!(board.ethernet.packets().len(), 8);
}

#[test]
fn routers_are_heard_while_packets_pour_in() {
    let mut board = Board::new(ChecksumCapabilities::default(), 2, 1).with_neighbor();
    board.send(1400);
    board.run();
    let [sent] = &board.ethernet.packets()[..] else {
        panic!("one packet")
    };
    for _ in 0..2 {
        board.ethernet.arrives(&outer());
    }
    board.poll();
    board.ethernet.arrives(&report(sent, 1300));
    for _ in 0..5 {
        for _ in 0..2 {
            board.ethernet.arrives(&outer());
        }
        board.poll();
    }
    assert_eq!(board.queue.mtu(), 1280, "the router's report was not read");
}
