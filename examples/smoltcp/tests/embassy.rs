//! embassy-net's drivers: what they pass on, and whom they wake.

#![cfg(feature = "embassy-net-driver")]
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
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};

use embassy_net_driver::{
    Capabilities, Driver, HardwareAddress, LinkState, RxToken as _, TxToken as _,
};
use ipencap::decap::{Prefix, PrefixEntry};
use ipencap::encap::AnyTunnel;
use ipencap::encap::Tunnel;
use ipencap::shim::{Fou, IpIp};
use ipencap::time::Instant;
use ipencap::tunnel::{
    ArrivalEntry, Endpoint, EndpointConfig, OnePeer, Path, PeerId, PeerPolicy, PeerSlot, PeerTable,
};
use ipencap::wire::{IpProtocol, Ipv4Flags, Ipv4Header};
use ipencap_smoltcp::embassy::{SharedQueue, TunnelDriver};
use ipencap_smoltcp::{Buffer, Losses, PathCheck, SetUpError};

const ENDS: [Ipv4Addr; 2] = [
    Ipv4Addr::new(198, 51, 100, 1),
    Ipv4Addr::new(203, 0, 113, 2),
];
const INNER: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 1, 0, 5), Ipv4Addr::new(10, 2, 0, 9)];

type Shared = SharedQueue<'static, OnePeer<'static, Tunnel<IpIp>>, (), 1500>;

const fn clock() -> Instant {
    Instant::ZERO
}

fn memory<T: Clone>(value: T) -> &'static mut [T] {
    Box::leak(vec![value].into_boxed_slice())
}

fn endpoint(end: usize) -> Endpoint<'static, OnePeer<'static, Tunnel<IpIp>>> {
    const EVERYTHING: &[Prefix] = &[Prefix::ANY];
    let tunnel = Tunnel::new(ENDS[end], ENDS[1 - end], IpIp).unwrap();
    let peers = OnePeer::new(tunnel, EVERYTHING);
    Endpoint::new(peers, memory(Path::EMPTY), EndpointConfig::DEFAULT)
}

fn shared(end: usize) -> Shared {
    let buffers = || memory(Buffer::EMPTY);
    SharedQueue::new(endpoint(end), buffers(), buffers(), clock).unwrap()
}

fn packet(from: usize, len: u16) -> Vec<u8> {
    let header = Ipv4Header::new(INNER[from], INNER[1 - from], IpProtocol(253), len);
    let mut packet = header.as_bytes().to_vec();
    packet.resize(usize::from(len), 7);
    packet
}

/// Counts how often it is woken.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Bell {
    fn rang(&self) -> bool {
        self.0.swap(0, Ordering::Relaxed) > 0
    }
}

fn transmit(driver: &mut impl Driver, cx: &mut Context<'_>, packet: &[u8]) -> bool {
    let Some(token) = driver.transmit(cx) else {
        return false;
    };
    token.consume(packet.len(), |bytes| bytes.copy_from_slice(packet));
    true
}

fn receive(driver: &mut impl Driver, cx: &mut Context<'_>) -> Option<Vec<u8>> {
    let (rx, _) = driver.receive(cx)?;
    Some(rx.consume(|bytes| bytes.to_vec()))
}

/// What waits to go to the network.
fn sent(queue: &Shared) -> Vec<Vec<u8>> {
    let mut sent = Vec::new();
    queue.send(|outer| {
        sent.push(outer.to_vec());
        true
    });
    sent
}

#[test]
fn a_shared_queue_wakes_both_sides() {
    let (stack, carrier) = (Arc::<Bell>::default(), Arc::<Bell>::default());
    let (stack_waker, carrier_waker) = (Waker::from(stack.clone()), Waker::from(carrier.clone()));
    let (mut stack_cx, carrier_cx) = (
        Context::from_waker(&stack_waker),
        Context::from_waker(&carrier_waker),
    );
    let (queue, other) = (shared(0), shared(1));
    let mut driver = queue.driver();
    assert_eq!(driver.capabilities().max_transmission_unit, 1480);
    assert!(driver.hardware_address() == HardwareAddress::Ip);

    // From the stack to the network.
    queue.register(&carrier_cx);
    assert!(transmit(&mut driver, &mut stack_cx, &packet(0, 100)));
    assert!(carrier.rang());
    assert!(
        !transmit(&mut driver, &mut stack_cx, &packet(0, 100)),
        "it is full"
    );
    let outers = sent(&queue);
    assert!(stack.rang(), "there is room again");
    assert!(transmit(&mut driver, &mut stack_cx, &packet(0, 101)));

    // And from the network to the stack.
    let _ = sent(&queue);
    assert_eq!(receive(&mut driver, &mut stack_cx), None);
    let _ = other.receive(&outers[0]);
    let mut others = other.driver();
    assert_eq!(receive(&mut others, &mut stack_cx), Some(packet(0, 100)));
    assert!(transmit(&mut others, &mut stack_cx, &packet(1, 60)));
    queue.register(&carrier_cx);
    let _ = queue.receive(&sent(&other)[0]);
    assert!(stack.rang());
    assert!(!queue.can_receive());
    assert_eq!(receive(&mut driver, &mut stack_cx), Some(packet(1, 60)));
    assert!(carrier.rang(), "there is room again");
}

#[test]
fn an_answer_is_written_while_the_packet_is_read() {
    let mut cx = Context::from_waker(Waker::noop());
    let (queue, other) = (shared(0), shared(1));
    assert!(transmit(&mut other.driver(), &mut cx, &packet(1, 60)));
    let _ = queue.receive(&sent(&other)[0]);
    let mut driver = queue.driver();
    let (rx, tx) = driver.receive(&mut cx).unwrap();
    rx.consume(|received| {
        assert_eq!(received, packet(1, 60));
        tx.consume(60, |bytes| bytes.copy_from_slice(&packet(0, 60)));
    });
    assert_eq!(sent(&queue).len(), 1);
}

/// A driver of bare IP packets with room for some.
struct Modem {
    room: usize,
    sent: Vec<Vec<u8>>,
    arrived: VecDeque<Vec<u8>>,
    medium: HardwareAddress,
    waker: Option<Waker>,
}

impl Modem {
    const fn new(room: usize) -> Self {
        Self {
            room,
            sent: Vec::new(),
            arrived: VecDeque::new(),
            medium: HardwareAddress::Ip,
            waker: None,
        }
    }
}

struct ModemRx(Vec<u8>);

impl embassy_net_driver::RxToken for ModemRx {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(mut self, f: F) -> R {
        f(&mut self.0)
    }
}

struct ModemTx<'a>(&'a mut Modem);

impl embassy_net_driver::TxToken for ModemTx<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.0.room -= 1;
        self.0.sent.push(frame);
        result
    }
}

impl Driver for Modem {
    type RxToken<'a> = ModemRx;
    type TxToken<'a> = ModemTx<'a>;

    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(ModemRx, ModemTx<'_>)> {
        self.waker = Some(cx.waker().clone());
        let frame = self.arrived.pop_front()?;
        Some((ModemRx(frame), ModemTx(self)))
    }

    fn transmit(&mut self, cx: &mut Context<'_>) -> Option<ModemTx<'_>> {
        self.waker = Some(cx.waker().clone());
        (self.room > 0).then_some(ModemTx(self))
    }

    fn link_state(&mut self, _: &mut Context<'_>) -> LinkState {
        LinkState::Down
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = 1400;
        capabilities.max_burst_size = Some(2);
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        self.medium
    }
}

#[test]
fn a_driver_around_another_waits_for_it() {
    let bell = Arc::<Bell>::default();
    let waker = Waker::from(bell.clone());
    let mut cx = Context::from_waker(&waker);
    let mut modem = Modem::new(1);
    let mut outer = vec![0; 20];
    outer.extend_from_slice(&packet(1, 200));
    let span = ipencap::Span::new(20, 200);
    let tunnel = Tunnel::new(ENDS[1], ENDS[0], IpIp).unwrap();
    let mut arriving = ipencap::packet::Packet::new(&mut outer, span);
    arriving
        .wrap(&tunnel, &ipencap::packet::PerPacket::new())
        .unwrap();
    modem.arrived.push_back(vec![0xa5; 30]); // refused
    modem.arrived.push_back(outer);

    let queue = shared(0);
    let mut driver = TunnelDriver::new(modem, &queue).unwrap();
    assert_eq!(driver.capabilities().max_transmission_unit, 1380);
    assert_eq!(driver.capabilities().max_burst_size, Some(2));
    assert!(driver.link_state(&mut cx) == LinkState::Down);
    // One at a time, so that a flood of refused packets does not hold up the stack.
    assert_eq!(receive(&mut driver, &mut cx), Some(vec![]));
    assert_eq!(receive(&mut driver, &mut cx), Some(packet(1, 200)));
    assert_eq!(receive(&mut driver, &mut cx), None);

    // The modem has room for one, the queue for another.
    assert!(transmit(&mut driver, &mut cx, &packet(0, 100)));
    assert!(transmit(&mut driver, &mut cx, &packet(0, 100)));
    assert!(!transmit(&mut driver, &mut cx, &packet(0, 100)));
    assert_eq!(queue.with(|queue| *queue.losses()), Losses::default());

    // What changes the queue wakes the stack.
    assert!(bell.rang());
    queue.with(|_| ());
    assert!(!bell.rang(), "it was woken");
    let _ = receive(&mut driver, &mut cx);
    queue.with(|_| ());
    assert!(bell.rang());
}

/// An ICMP error about what the stack sends comes without an interrupt.
#[test]
fn a_driver_around_another_wakes_the_stack_for_an_error() {
    let bell = Arc::<Bell>::default();
    let waker = Waker::from(bell.clone());
    let mut cx = Context::from_waker(&waker);
    let queue = shared(0);
    let mut driver = TunnelDriver::new(Modem::new(9), &queue).unwrap();
    let _ = queue.with(|queue| {
        let peer = PeerId::new(0, 0);
        queue.endpoint_mut().local_mtu(clock(), peer, 1000)
    });
    assert!(transmit(&mut driver, &mut cx, &packet(0, 100)));
    assert!(!bell.rang());
    let mut long = packet(0, 1380);
    let (header, options, _) = Ipv4Header::split_mut(&mut long).unwrap();
    header.set_flags(Ipv4Flags::DF);
    header.fill_checksum(options);
    assert!(transmit(&mut driver, &mut cx, &long));
    assert!(bell.rang());
    assert!(receive(&mut driver, &mut cx).is_some());
}

/// The stack cannot take the packet, because its answer would have no room. The modem wakes it in time.
#[test]
fn a_stack_sleeps_while_the_driver_below_is_busy() {
    let bell = Arc::<Bell>::default();
    let waker = Waker::from(bell.clone());
    let mut cx = Context::from_waker(&waker);
    let (queue, other) = (shared(0), shared(1));
    let mut driver = TunnelDriver::new(Modem::new(0), &queue).unwrap();
    assert!(transmit(&mut driver, &mut cx, &packet(0, 100)));
    assert!(transmit(&mut other.driver(), &mut cx, &packet(1, 60)));
    let _ = queue.receive(&sent(&other)[0]);
    let _ = bell.rang();
    assert_eq!(receive(&mut driver, &mut cx), None);
    assert!(!transmit(&mut driver, &mut cx, &packet(0, 100)));
    assert!(!bell.rang());
}

#[test]
fn only_bare_ip_will_do() {
    let mut modem = Modem::new(1);
    modem.medium = HardwareAddress::Ethernet([2, 0, 0, 0, 0, 1]);
    let queue = shared(0);
    let driver = TunnelDriver::new(modem, &queue);
    assert_eq!(driver.err(), Some(SetUpError::NotIp));
}

#[test]
fn a_stack_is_woken_only_if_there_is_something_to_do() {
    let bell = Arc::<Bell>::default();
    let waker = Waker::from(bell.clone());
    let mut cx = Context::from_waker(&waker);
    let queue = shared(0);
    let mut driver = queue.driver();
    assert_eq!(receive(&mut driver, &mut cx), None);
    assert!(sent(&queue).is_empty());
    let _ = queue.receive(&[0xa5; 30]); // refused
    assert!(transmit(&mut driver, &mut cx, &packet(0, 100)));
    queue.send(|_| false);
    assert!(!bell.rang());
    assert_eq!(sent(&queue).len(), 1);
    assert!(bell.rang());
}

#[test]
fn a_task_learns_when_a_probe_is_due() {
    let queue = shared(0);
    assert_eq!(queue.poll_at(), None);
    queue.with(|queue| queue.set_path_check(Some(PathCheck::new(INNER[0], INNER[1]))));
    assert_eq!(queue.poll_at(), Some(clock()));
    assert_eq!(sent(&queue).len(), 1);
    assert_eq!(queue.poll_at(), Some(Instant::from_millis(1000)));
}

/// Packets to a peer with longer headers than those before it have room for them.
#[test]
fn a_peer_that_is_added_later_gets_packets() {
    let mut cx = Context::from_waker(Waker::noop());
    let prefixes = || Box::leak(Box::new([PrefixEntry::EMPTY; 4]));
    let arrivals = Box::leak(Box::new([ArrivalEntry::EMPTY; 2]));
    let peers = Box::leak(Box::new([PeerSlot::EMPTY; 2]));
    let mut table = PeerTable::new(peers, arrivals, prefixes(), prefixes());
    let ipip = AnyTunnel::IpIp(Tunnel::new(ENDS[0], ENDS[1], IpIp).unwrap());
    table.add(ipip, PeerPolicy::DEFAULT).unwrap();
    let paths = Box::leak(Box::new([Path::EMPTY; 2]));
    let endpoint = Endpoint::new(table, paths, EndpointConfig::DEFAULT);
    let buffers = || memory(Buffer::<1500>::EMPTY);
    let queue = SharedQueue::new(endpoint, buffers(), buffers(), clock).unwrap();
    queue.with(|queue| {
        let elsewhere = Ipv4Addr::new(192, 0, 2, 7);
        let fou = AnyTunnel::Fou(Tunnel::new(ENDS[0], elsewhere, Fou::new(5555)).unwrap());
        let peers = queue.endpoint_mut().peers_mut();
        let peer = peers.add(fou, PeerPolicy::DEFAULT).unwrap();
        peers.allow(peer, Prefix::ANY).unwrap();
    });
    assert!(transmit(&mut queue.driver(), &mut cx, &packet(0, 100)));
    let mut lens = Vec::new();
    queue.send(|outer| {
        lens.push(outer.len());
        true
    });
    assert_eq!(lens, [128]);
    assert_eq!(queue.with(|queue| *queue.losses()), Losses::default());
}
