//! What the devices tell the inner stack, what they lose, and that each loss is counted.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::std_instead_of_core,
    reason = "a test may panic"
)]

use std::net::Ipv4Addr;

use ipencap::decap::{Prefix, PrefixEntry};
use ipencap::encap::{AnyTunnel, DfPolicy, IdSource, OuterPolicy, Tunnel};
use ipencap::error::Reason;
use ipencap::fragment::{self, Limits, Reassembler, Slot};
use ipencap::icmp::{self, IcmpError, Kind, ReportKind};
use ipencap::packet::{Packet, PerPacket, Span};
use ipencap::pmtu::ProberConfig;
use ipencap::shim::{Fou, Gre, IpIp};
use ipencap::time::Duration;
use ipencap::tunnel::{
    ArrivalEntry, Cause, Counters, Endpoint, EndpointConfig, Event, Inbound, MtuPolicy, OnePeer,
    Path, PeerId, PeerPolicy, PeerSlot, PeerTable, PeerTunnel, Peers, Reassembly,
};
use ipencap::wire::{IpProtocol, Ipv4Flags, Ipv4Header};
use ipencap_smoltcp::{Buffer, Losses, PathCheck, SetUpError, TunnelDevice, TunnelQueue};
use smoltcp::iface::{Config, Interface, PollIngressSingleResult, SocketSet};
use smoltcp::phy::{
    Checksum, Device, DeviceCapabilities, Loopback, Medium, RxToken as _, TxToken as _,
};
use smoltcp::socket::{raw, udp};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

const HERE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const THERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
const INNER_HERE: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 5);
const INNER_THERE: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 9);
const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);
const NOW: Instant = Instant::ZERO;
const EVERYTHING: &[Prefix] = &[Prefix::ANY];
const PEER: PeerId = PeerId::new(0, 0);

type Queue<T, const N: usize = 1500> = TunnelQueue<'static, OnePeer<'static, T>, Counters, N>;

fn memory<T: Clone>(value: T, count: usize) -> &'static mut [T] {
    Box::leak(vec![value; count].into_boxed_slice())
}

fn endpoint<T: PeerTunnel>(tunnel: T) -> Endpoint<'static, OnePeer<'static, T>, Counters> {
    let peers = OnePeer::new(tunnel, EVERYTHING);
    Endpoint::new(peers, memory(Path::EMPTY, 1), EndpointConfig::DEFAULT)
        .with_tally(Counters::new())
}

fn queue_of<T: PeerTunnel, const N: usize>(tunnel: T, buffers: usize) -> Queue<T, N> {
    let buffers = || memory(Buffer::EMPTY, buffers);
    TunnelQueue::new(endpoint(tunnel), buffers(), buffers(), NOW).unwrap()
}

fn ipip() -> Tunnel<IpIp> {
    Tunnel::new(HERE, THERE, IpIp).unwrap()
}

/// From this stack, or to it.
fn inner(outgoing: bool, len: u16, flags: Ipv4Flags) -> Vec<u8> {
    let (from, to) = if outgoing {
        (INNER_HERE, INNER_THERE)
    } else {
        (INNER_THERE, INNER_HERE)
    };
    let mut header = Ipv4Header::new(from, to, IpProtocol(253), len);
    header.set_flags(flags);
    let mut packet = header.as_bytes().to_vec();
    packet.extend((20..len).map(|at| at as u8));
    packet
}

/// Wrapped by the other end.
fn outer(inner: &[u8]) -> Vec<u8> {
    wrapped(inner, OuterPolicy::DEFAULT)
}

fn wrapped(inner: &[u8], policy: OuterPolicy) -> Vec<u8> {
    let tunnel = Tunnel::new(THERE, HERE, IpIp).unwrap().with_policy(policy);
    let mut bytes = vec![0; 20];
    bytes.extend_from_slice(inner);
    let mut packet = Packet::new(&mut bytes, Span::new(20, inner.len()));
    packet.wrap(&tunnel, &PerPacket::new()).unwrap();
    bytes
}

fn transmit(device: &mut impl Device, packet: &[u8]) {
    let token = device.transmit(NOW).unwrap();
    token.consume(packet.len(), |bytes| {
        bytes.copy_from_slice(&packet[..bytes.len()]);
    });
}

fn receive(device: &mut impl Device) -> Option<Vec<u8>> {
    let (rx, _) = device.receive(NOW)?;
    Some(rx.consume(<[u8]>::to_vec))
}

fn sent<P: Peers>(queue: &mut TunnelQueue<'_, P, Counters, 1500>) -> Vec<Vec<u8>> {
    let mut sent = Vec::new();
    queue.send(NOW, |outer| {
        sent.push(outer.to_vec());
        true
    });
    sent
}

/// A device whose hardware does all checksums.
struct Offloading(Loopback);

impl Device for Offloading {
    type RxToken<'a> = <Loopback as Device>::RxToken<'a>;
    type TxToken<'a> = <Loopback as Device>::TxToken<'a>;

    fn receive(&mut self, now: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        self.0.receive(now)
    }

    fn transmit(&mut self, now: Instant) -> Option<Self::TxToken<'_>> {
        self.0.transmit(now)
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = self.0.capabilities();
        capabilities.max_transmission_unit = 1400;
        capabilities.max_burst_size = Some(3);
        capabilities.checksum.ipv4 = Checksum::None;
        capabilities.checksum.udp = Checksum::None;
        capabilities.checksum.tcp = Checksum::None;
        capabilities.checksum.icmpv4 = Checksum::None;
        capabilities
    }
}

#[test]
fn capabilities_are_those_of_inner_packets() {
    let below = Offloading(Loopback::new(Medium::Ip));
    let buffers = || memory(Buffer::<1500>::EMPTY, 1);
    let fou = Tunnel::new(HERE, THERE, Fou::new(5555)).unwrap();
    let device = TunnelDevice::new(below, endpoint(fou), buffers(), buffers(), NOW).unwrap();
    let capabilities = device.capabilities();
    assert_eq!(capabilities.medium, Medium::Ip);
    assert_eq!(capabilities.ip_mtu(), 1400 - 28);
    assert_eq!(capabilities.max_burst_size, Some(3));
    let checksums = capabilities.checksum;
    for checksum in [
        checksums.ipv4,
        checksums.udp,
        checksums.tcp,
        checksums.icmpv4,
    ] {
        assert!(
            checksum.tx() && checksum.rx(),
            "the hardware sees outer packets only"
        );
    }
}

#[test]
fn a_flood_of_refused_packets_does_not_hold_up_the_stack() {
    let mut below = Loopback::new(Medium::Ip);
    for _ in 0..1000 {
        transmit(&mut below, &[0xa5; 30]);
    }
    transmit(&mut below, &outer(&inner(false, 100, Ipv4Flags::DF)));
    let buffers = || memory(Buffer::<1500>::EMPTY, 1);
    let mut device = TunnelDevice::new(below, endpoint(ipip()), buffers(), buffers(), NOW).unwrap();
    let mut interface = Interface::new(Config::new(HardwareAddress::Ip), &mut device, NOW);
    let mut sockets = SocketSet::new(vec![]);
    let judged = |device: &TunnelDevice<'_, _, _, Counters, 1500>| {
        device.queue().endpoint().tally().inbound()
    };
    for packets in 1..=1000 {
        // A stack that passes over an empty packet says so.
        let result = interface.poll_ingress_single(NOW, &mut device, &mut sockets);
        assert_eq!(result, PollIngressSingleResult::PacketProcessed);
        assert_eq!(judged(&device), packets);
    }
    assert_eq!(receive(&mut device), Some(inner(false, 100, Ipv4Flags::DF)));
    assert_eq!(receive(&mut device), None);
    assert_eq!(*device.queue().losses(), Losses::default());
}

#[test]
fn short_buffers_shorten_packets() {
    let mut queue = queue_of::<_, 700>(ipip(), 1);
    assert_eq!(queue.capabilities().ip_mtu(), 680);
    transmit(&mut queue, &inner(true, 680, Ipv4Flags::DF));
    let mut lens = Vec::new();
    queue.send(NOW, |outer| {
        lens.push(outer.len());
        true
    });
    assert_eq!(lens, [700]);
    assert_eq!(*queue.losses(), Losses::default());
}

#[test]
fn what_is_missing_is_told() {
    let buffers = |count| memory(Buffer::<87>::EMPTY, count);
    let error = |outgoing, incoming| {
        TunnelQueue::new(endpoint(ipip()), buffers(outgoing), buffers(incoming), NOW).err()
    };
    assert_eq!(error(0, 1), Some(SetUpError::NoBuffers));
    assert_eq!(error(1, 0), Some(SetUpError::NoBuffers));
    assert_eq!(error(1, 1), Some(SetUpError::ShortBuffers));
    let buffers = || memory(Buffer::<88>::EMPTY, 1);
    assert!(TunnelQueue::new(endpoint(ipip()), buffers(), buffers(), NOW).is_ok());

    let table = PeerTable::<Tunnel<IpIp>>::new(
        memory(PeerSlot::EMPTY, 1),
        memory(ArrivalEntry::EMPTY, 1),
        &mut [],
        &mut [],
    );
    let nobody = Endpoint::new(table, memory(Path::EMPTY, 1), EndpointConfig::DEFAULT);
    assert_eq!(
        TunnelQueue::new(nobody, buffers(), buffers(), NOW).err(),
        Some(SetUpError::NoPeer)
    );

    let ethernet = Loopback::new(Medium::Ethernet);
    let device = TunnelDevice::new(ethernet, endpoint(ipip()), buffers(), buffers(), NOW);
    assert_eq!(device.err(), Some(SetUpError::NotIp));
}

#[test]
fn a_packet_that_is_too_long_for_the_path_is_answered() {
    let mut queue = queue_of::<_, 1500>(ipip(), 1);
    let _ = queue
        .endpoint_mut()
        .local_mtu(ipencap::time::Instant::ZERO, PEER, 1300);
    transmit(&mut queue, &inner(true, 1480, Ipv4Flags::DF));
    assert!(sent(&mut queue).is_empty());
    let answer = receive(&mut queue).unwrap();
    let report = icmp::read(&answer).unwrap();
    assert_eq!(report.kind(), ReportKind::FragmentationNeeded { mtu: 1280 });
    assert_eq!(report.quote().header().unwrap().source(), INNER_HERE);
    assert_eq!(receive(&mut queue), None);
}

#[test]
fn the_mss_of_a_syn_is_lowered_to_the_path() {
    let mut queue = queue_of::<_, 1500>(ipip(), 1);
    let _ = queue
        .endpoint_mut()
        .local_mtu(ipencap::time::Instant::ZERO, PEER, 1300);
    let mut syn = inner(true, 44, Ipv4Flags::DF);
    syn[9] = 6;
    let header = Ipv4Header::new(INNER_HERE, INNER_THERE, IpProtocol::TCP, 44);
    syn[..20].copy_from_slice(header.as_bytes());
    syn[20..].copy_from_slice(&[
        0xc0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0x60, 2, 0xff, 0xff, 0, 0, 0, 0, 2, 4, 5,
        180, // MSS 1460
    ]);
    transmit(&mut queue, &syn);
    let [outer] = &sent(&mut queue)[..] else {
        panic!("one packet")
    };
    assert_eq!(outer[20 + 42..20 + 44], 1240_u16.to_be_bytes());
}

#[test]
fn of_several_peers_the_narrowest_path_and_the_longest_headers_count() {
    let prefixes = || memory(PrefixEntry::EMPTY, 4);
    let mut table = PeerTable::new(
        memory(PeerSlot::EMPTY, 2),
        memory(ArrivalEntry::EMPTY, 2),
        prefixes(),
        prefixes(),
    );
    let near = AnyTunnel::IpIp(ipip());
    let far = Tunnel::new(HERE, ROUTER, Fou::new(5555)).unwrap();
    let narrow = PeerPolicy {
        mtu: MtuPolicy::Static(1000),
        ..PeerPolicy::DEFAULT
    };
    table.add(near, narrow).unwrap();
    let far = table.add(AnyTunnel::Fou(far), PeerPolicy::DEFAULT).unwrap();
    table.allow(far, Prefix::ANY).unwrap();
    let paths = memory(Path::EMPTY, 2);
    let endpoint = Endpoint::new(table, paths, EndpointConfig::DEFAULT).with_tally(Counters::new());
    let buffers = || memory(Buffer::<1500>::EMPTY, 1);
    let mut queue = TunnelQueue::new(endpoint, buffers(), buffers(), NOW).unwrap();
    assert_eq!(queue.mtu(), 980);
    transmit(&mut queue, &inner(true, 980, Ipv4Flags::DF));
    let lens: Vec<_> = sent(&mut queue).iter().map(Vec::len).collect();
    assert_eq!(lens, [1008]);
    assert_eq!(*queue.losses(), Losses::default());
}

#[test]
fn a_routers_error_reaches_the_inner_source() {
    let mut queue = queue_of::<_, 1500>(ipip(), 1);
    transmit(&mut queue, &inner(true, 1480, Ipv4Flags::DF));
    let [outer] = &sent(&mut queue)[..] else {
        panic!("one packet")
    };
    let error = IcmpError::about(outer, Kind::FragmentationNeeded { mtu: 1300 }, ROUTER).unwrap();
    let mut report = vec![0; error.len()];
    error.write(outer, &mut report).unwrap();
    assert!(matches!(
        queue.receive(NOW, &report),
        Some(Inbound::Relay { .. })
    ));
    let told = receive(&mut queue).unwrap();
    let report = icmp::read(&told).unwrap();
    assert_eq!(report.kind(), ReportKind::FragmentationNeeded { mtu: 1280 });
    assert_eq!(report.quote().header().unwrap().destination(), INNER_THERE);
}

#[test]
fn a_packet_that_may_be_split_is_split_though_the_network_takes_one_at_a_time() {
    let mut queue = queue_of::<_, 1500>(ipip(), 1);
    let _ = queue
        .endpoint_mut()
        .local_mtu(ipencap::time::Instant::ZERO, PEER, 600);
    let packet = inner(true, 1480, Ipv4Flags::empty());
    transmit(&mut queue, &packet);
    let mut pieces = Vec::new();
    for _ in 0..10 {
        assert!(queue.capabilities().ip_mtu() == 1480);
        let mut room = 1;
        queue.send(NOW, |outer| {
            if room > 0 {
                pieces.push(outer.to_vec());
            }
            room -= 1;
            room >= 0
        });
    }
    assert_eq!(pieces.len(), 3);
    // The data of all fragments, one behind the other.
    let data: Vec<u8> = pieces
        .iter()
        .flat_map(|piece| piece[40..].to_vec())
        .collect();
    assert_eq!(data, packet[20..]);
    assert!(!queue.can_send());
}

#[test]
fn outer_fragments_are_joined_on_request() {
    let may_be_split = OuterPolicy {
        df: DfPolicy::Copy(IdSource::Constant(7)),
        ..OuterPolicy::DEFAULT
    };
    let packet = inner(false, 1000, Ipv4Flags::empty());
    let outer = wrapped(&packet, may_be_split);
    let fragments: Vec<Vec<u8>> = fragment::plan(&outer, 600)
        .unwrap()
        .fragments(&outer)
        .unwrap()
        .map(|fragment| {
            let mut bytes = vec![0; fragment.len()];
            fragment.write(&outer, &mut bytes).unwrap();
            bytes
        })
        .collect();
    assert_eq!(fragments.len(), 2);

    let buffers = || memory(Buffer::<1500>::EMPTY, 1);
    let none = TunnelQueue::new(endpoint(ipip()), buffers(), buffers(), NOW).unwrap();
    refuses_fragments(none, &fragments);
    let never = endpoint(ipip()).without_reassembler();
    let never = TunnelQueue::new(never, buffers(), buffers(), NOW).unwrap();
    refuses_fragments(never, &fragments);

    let reassembler = || {
        let memory_len = Reassembler::memory_len(1, 1600);
        Reassembler::new(
            memory(Slot::new(), 1),
            memory(0, memory_len),
            Limits::DEFAULT,
        )
    };
    let endpoint_that_joins = endpoint(ipip()).with_reassembler(reassembler());
    let mut queue = TunnelQueue::new(endpoint_that_joins, buffers(), buffers(), NOW).unwrap();
    for fragment in fragments.iter().rev() {
        let _counted = queue.receive(NOW, fragment);
    }
    assert_eq!(receive(&mut queue), Some(packet));

    // What was joined may be longer than a buffer.
    let buffers = || memory(Buffer::<700>::EMPTY, 1);
    let endpoint_that_joins = endpoint(ipip()).with_reassembler(reassembler());
    let mut queue = TunnelQueue::new(endpoint_that_joins, buffers(), buffers(), NOW).unwrap();
    for fragment in &fragments {
        let _counted = queue.receive(NOW, fragment);
    }
    assert_eq!(receive(&mut queue), None);
    assert_eq!(queue.losses().too_long_from_network, 1);
}

fn refuses_fragments<R: Reassembly<'static>>(
    mut queue: TunnelQueue<'static, OnePeer<'static, Tunnel<IpIp>>, Counters, 1500, R>,
    fragments: &[Vec<u8>],
) {
    for fragment in fragments {
        let _counted = queue.receive(NOW, fragment);
    }
    assert_eq!(receive(&mut queue), None);
    let refused = Cause::Refused(ipencap::error::Refused::new(Reason::OuterFragment));
    let counted = queue
        .endpoint()
        .tally()
        .packets(Event::DroppedInbound(refused));
    assert_eq!(counted, 2);
}

#[test]
fn packets_for_the_host_are_given_back() {
    let mut queue = queue_of::<_, 1500>(ipip(), 1);
    let ping = Ipv4Header::new(ROUTER, HERE, IpProtocol::ICMP, 28);
    let mut ping = ping.as_bytes().to_vec();
    ping.extend_from_slice(&[8, 0, 0xf7, 0xff, 0, 0, 0, 0]);
    assert_eq!(queue.receive(NOW, &ping), Some(Inbound::HostsOwn));
    assert_eq!(receive(&mut queue), None);
}

#[test]
fn a_full_queue_to_the_inner_stack_is_counted() {
    let mut queue = queue_of::<_, 1500>(ipip(), 1);
    let packet = inner(false, 100, Ipv4Flags::DF);
    assert!(queue.can_receive());
    let _counted = queue.receive(NOW, &outer(&packet));
    assert!(!queue.can_receive());
    assert_eq!(queue.receive(NOW, &outer(&packet)), None);
    assert_eq!(queue.losses().no_room_for_inner, 1);
    // An answer has no room either.
    let _ = queue
        .endpoint_mut()
        .local_mtu(ipencap::time::Instant::ZERO, PEER, 600);
    transmit(&mut queue, &inner(true, 1480, Ipv4Flags::DF));
    assert!(sent(&mut queue).is_empty());
    assert_eq!(queue.losses().no_room_for_error, 1);
    // What was there is still there.
    assert_eq!(receive(&mut queue), Some(packet));
}

#[test]
fn what_is_too_long_is_counted() {
    let mut queue = queue_of::<_, 700>(ipip(), 1);
    let packet = inner(false, 681, Ipv4Flags::DF);
    assert_eq!(queue.receive(NOW, &outer(&packet)), None);
    assert_eq!(queue.losses().too_long_from_network, 1);
    transmit(&mut queue, &inner(true, 681, Ipv4Flags::DF));
    queue.send(NOW, |_| panic!("nothing is to be sent"));
    assert!(!queue.can_send());
    assert_eq!(queue.losses().too_long_from_inner, 1);
    transmit(&mut queue, &[]);
    queue.send(NOW, |_| panic!("nothing is to be sent"));
    assert_eq!(queue.losses().too_long_from_inner, 2);
}

#[test]
fn an_error_that_does_not_fit_a_buffer_is_counted() {
    let mut queue = queue_of::<_, 100>(ipip(), 1);
    let _ = queue
        .endpoint_mut()
        .local_mtu(ipencap::time::Instant::ZERO, PEER, 96);
    transmit(&mut queue, &inner(true, 80, Ipv4Flags::DF));
    queue.send(NOW, |_| panic!("it is too long for the path"));
    assert_eq!(queue.losses().no_room_for_error, 1);
}

#[test]
fn timers_of_zero_do_not_send_probes_for_ever() {
    let mut queue = queue_of::<_, 1500>(ipip(), 1);
    let config = ProberConfig {
        probe_timer: Duration::ZERO,
        ..PathCheck::CONFIG
    };
    queue.set_path_check(Some(
        PathCheck::new(INNER_HERE, INNER_THERE).with_config(config),
    ));
    assert_eq!(probes(&mut queue, 0).len(), 1);
    assert_eq!(probes(&mut queue, 1).len(), 1);
}

#[test]
fn a_peer_that_goes_while_its_packet_waits_is_counted() {
    let peers = memory(PeerSlot::EMPTY, 1);
    let prefixes = || memory(PrefixEntry::EMPTY, 2);
    let mut table = PeerTable::new(
        peers,
        memory(ArrivalEntry::EMPTY, 1),
        prefixes(),
        prefixes(),
    );
    let peer = table.add(ipip(), PeerPolicy::DEFAULT).unwrap();
    table.allow(peer, Prefix::ANY).unwrap();
    let endpoint = Endpoint::new(table, memory(Path::EMPTY, 1), EndpointConfig::DEFAULT)
        .with_tally(Counters::new());
    let buffers = || memory(Buffer::<1500>::EMPTY, 1);
    let mut queue = TunnelQueue::new(endpoint, buffers(), buffers(), NOW).unwrap();
    let _ = queue
        .endpoint_mut()
        .local_mtu(ipencap::time::Instant::ZERO, peer, 600);
    transmit(&mut queue, &inner(true, 1480, Ipv4Flags::empty()));
    let mut pieces = 0;
    queue.send(NOW, |_| {
        pieces += 1;
        pieces < 2
    });
    queue.endpoint_mut().peers_mut().remove(peer);
    // The second fragment was wrapped before; the third has no peer.
    assert_eq!(sent(&mut queue).len(), 1);
    assert_eq!(queue.losses().not_wrapped, 1);
    assert!(!queue.can_send());
}

#[test]
fn what_a_socket_never_takes_is_counted() {
    let mut queue = queue_of::<_, 1500>(ipip(), 1);
    transmit(&mut queue, &inner(true, 1480, Ipv4Flags::DF));
    let buffer = || raw::PacketBuffer::new(vec![raw::PacketMetadata::EMPTY; 4], vec![0; 1499]);
    queue.carry_raw(NOW, &mut raw::Socket::new(None, None, buffer(), buffer()));
    assert_eq!(queue.losses().never_taken, 1);
    assert!(!queue.can_send());

    let fou = Tunnel::new(HERE, THERE, Fou::new(5555)).unwrap();
    let mut queue = queue_of::<_, 1500>(fou, 1);
    let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 4], vec![0; 4000]);
    let mut not_bound = udp::Socket::new(buffer(), buffer());
    transmit(&mut queue, &inner(true, 1400, Ipv4Flags::DF));
    queue.carry_udp(NOW, &mut not_bound);
    assert_eq!(queue.losses().never_taken, 1);
    assert!(!queue.can_send());
}

#[test]
fn packets_wait_for_a_socket_that_is_full() {
    let mut queue = queue_of::<_, 1500>(ipip(), 2);
    let buffer = || raw::PacketBuffer::new(vec![raw::PacketMetadata::EMPTY; 1], vec![0; 1500]);
    let mut socket = raw::Socket::new(None, None, buffer(), buffer());
    for _ in 0..2 {
        transmit(&mut queue, &inner(true, 1480, Ipv4Flags::DF));
        queue.carry_raw(NOW, &mut socket);
    }
    assert!(queue.can_send(), "the socket has room for one");
    assert_eq!(*queue.losses(), Losses::default());
}

#[test]
fn an_interface_keeps_its_addresses_and_routes() {
    let mut queue = queue_of::<_, 1500>(ipip(), 1);
    let mut interface = Interface::new(Config::new(HardwareAddress::Ip), &mut queue, NOW);
    let own = [
        IpCidr::new(IpAddress::Ipv4(INNER_HERE), 32),
        IpCidr::new(IpAddress::v4(10, 9, 0, 1), 24),
    ];
    interface.update_ip_addrs(|addresses| addresses.extend_from_slice(&own).unwrap());
    interface
        .routes_mut()
        .add_default_ipv4_route(INNER_HERE)
        .unwrap();
    interface.set_any_ip(true);
    assert!(!queue.follow_mtu(NOW, &mut interface, 1));
    let _ = queue
        .endpoint_mut()
        .local_mtu(ipencap::time::Instant::ZERO, PEER, 1280);
    assert_eq!(queue.mtu(), 1480);
    assert!(queue.follow_mtu(NOW, &mut interface, 1));
    assert_eq!(queue.mtu(), 1260);
    assert_eq!(interface.ip_addrs(), own);
    assert!(interface.any_ip());
    let mut gateway = None;
    interface
        .routes_mut()
        .update(|routes| gateway = routes.first().map(|route| route.via_router));
    assert_eq!(gateway, Some(IpAddress::Ipv4(INNER_HERE)));
    assert!(!queue.follow_mtu(NOW, &mut interface, 1));
}

#[test]
fn a_path_too_narrow_for_ipv4_does_not_reach_the_stack() {
    let mut queue = queue_of::<_, 1500>(ipip(), 1);
    let mut interface = Interface::new(Config::new(HardwareAddress::Ip), &mut queue, NOW);
    let _ = queue
        .endpoint_mut()
        .local_mtu(ipencap::time::Instant::ZERO, PEER, 70);
    queue.follow_mtu(NOW, &mut interface, 1);
    // smoltcp subtracts headers from it without a look.
    assert_eq!(queue.mtu(), 68);
}

/// Probes that go out at this second, by their lengths as outer packets.
fn probes(queue: &mut Queue<Tunnel<IpIp>>, second: i64) -> Vec<usize> {
    let mut probes = Vec::new();
    queue.send(Instant::from_secs(second), |outer| {
        probes.push(outer.len());
        true
    });
    probes
}

#[test]
fn a_peer_that_answers_no_probe_changes_nothing() {
    let mut queue = queue_of::<_, 1500>(ipip(), 2);
    queue.set_path_check(Some(PathCheck::new(INNER_HERE, INNER_THERE)));
    for second in 0..100 {
        assert_eq!(probes(&mut queue, second), [48]);
    }
    let now = ipencap::time::Instant::from_millis(100_000);
    assert_eq!(queue.endpoint_mut().path_mtu(now, PEER), Some(1500));
}

#[test]
fn answers_to_probes_do_not_reach_the_stack() {
    let mut queue = queue_of::<_, 1500>(ipip(), 2);
    queue.set_path_check(Some(PathCheck::new(INNER_HERE, INNER_THERE)));
    let mut probe = Vec::new();
    queue.send(NOW, |outer| {
        probe = outer[20..].to_vec();
        true
    });
    let error = IcmpError::about(&probe, Kind::HostUnreachable, INNER_THERE).unwrap();
    let mut answer = vec![0; error.len()];
    error.write(&probe, &mut answer).unwrap();
    // Another error is the stack's.
    let _counted = queue.receive(NOW, &outer(&answer));
    assert_eq!(receive(&mut queue), Some(answer));
    let _counted = queue.receive(NOW, &answer_to(&probe));
    assert_eq!(receive(&mut queue), None);
    // The peer is alive, so the long one follows.
    assert_eq!(probes(&mut queue, 0), [1500]);
}

/// The answer of the stack at the other end to a probe, as the device receives it.
fn answer_to(probe: &[u8]) -> Vec<u8> {
    let error = IcmpError::about(probe, Kind::HostUnreachable, INNER_THERE).unwrap();
    let mut answer = vec![0; error.len()];
    error.write(probe, &mut answer).unwrap();
    // Port unreachable: code 3, and the checksum is smaller by the difference.
    answer[21] = 3;
    let sum = u16::from_be_bytes([answer[22], answer[23]]) - 2;
    answer[22..24].copy_from_slice(&sum.to_be_bytes());
    outer(&answer)
}

#[test]
fn an_answer_that_comes_again_does_not_make_probes_lost() {
    let mut queue = queue_of::<_, 1500>(ipip(), 2);
    queue.set_path_check(Some(PathCheck::new(INNER_HERE, INNER_THERE)));
    let mut probe = Vec::new();
    queue.send(NOW, |outer| {
        probe = outer[20..].to_vec();
        true
    });
    let answer = answer_to(&probe);
    let _counted = queue.receive(NOW, &answer);
    assert_eq!(probes(&mut queue, 0), [1500]);
    for _ in 0..10 {
        let _counted = queue.receive(NOW, &answer);
        assert_eq!(receive(&mut queue), None);
        assert_eq!(probes(&mut queue, 0), []);
    }
    // Nor when it is time: whether the peer is alive is asked first.
    assert_eq!(probes(&mut queue, 1), [48]);
    let _counted = queue.receive(Instant::from_secs(1), &answer);
    assert_eq!(probes(&mut queue, 1), [1500]);
}

/// A board sleeps until then, so it must not lie in the past.
#[test]
fn a_board_may_sleep_while_no_probe_can_be_sent() {
    // Somebody else's address.
    let elsewhere = memory("10.3.0.0/16".parse::<Prefix>().unwrap(), 1);
    let peers = OnePeer::new(ipip(), elsewhere);
    let end = Endpoint::new(peers, memory(Path::EMPTY, 1), EndpointConfig::DEFAULT)
        .with_tally(Counters::new());
    let buffers = || memory(Buffer::EMPTY, 2);
    let mut queue: Queue<_> = TunnelQueue::new(end, buffers(), buffers(), NOW).unwrap();
    queue.set_path_check(Some(PathCheck::new(INNER_HERE, INNER_THERE)));
    for second in 0..5 {
        assert_eq!(probes(&mut queue, second), []);
        assert_eq!(queue.poll_at(), Some(Instant::from_secs(second + 1)));
    }

    // Nothing has room, because the network takes nothing.
    let mut queue = queue_of::<_, 1500>(ipip(), 1);
    queue.set_path_check(Some(PathCheck::new(INNER_HERE, INNER_THERE)));
    assert_eq!(queue.poll_at(), Some(NOW));
    transmit(&mut queue, &inner(true, 100, Ipv4Flags::DF));
    queue.send(NOW, |_| false);
    assert_eq!(queue.poll_at(), None);
    // The packet goes, and the probe behind it.
    assert_eq!(probes(&mut queue, 3), [120, 48]);
    assert_eq!(queue.poll_at(), Some(Instant::from_secs(4)));
}

/// A device that takes nothing.
struct Busy;

impl Device for Busy {
    type RxToken<'a> = <Loopback as Device>::RxToken<'a>;
    type TxToken<'a> = <Loopback as Device>::TxToken<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        None
    }

    fn transmit(&mut self, _: Instant) -> Option<Self::TxToken<'_>> {
        None
    }

    fn capabilities(&self) -> DeviceCapabilities {
        Loopback::new(Medium::Ip).capabilities()
    }
}

/// As smoltcp does without a tunnel.
#[test]
fn a_board_does_not_sleep_while_packets_wait_for_the_device_below() {
    let buffers = || memory(Buffer::<1500>::EMPTY, 1);
    let mut device = TunnelDevice::new(Busy, endpoint(ipip()), buffers(), buffers(), NOW).unwrap();
    assert_eq!(device.poll_at(), None);
    transmit(&mut device, &inner(true, 100, Ipv4Flags::DF));
    assert_eq!(device.poll_at(), Some(NOW));
}

/// A receiver that keeps order takes probes and other packets.
#[test]
fn probes_are_numbered_like_other_packets() {
    let gre = Tunnel::new(HERE, THERE, Gre::new().with_sequence()).unwrap();
    let mut queue = queue_of::<_, 1500>(gre, 2);
    queue.set_path_check(Some(PathCheck::new(INNER_HERE, INNER_THERE)));
    let mut sequences: Vec<u32> = Vec::new();
    for _ in 0..2 {
        transmit(&mut queue, &inner(true, 100, Ipv4Flags::DF));
        for outer in sent(&mut queue) {
            sequences.push(u32::from_be_bytes(*outer[24..].first_chunk().unwrap()));
        }
    }
    // Two packets, and a probe.
    assert_eq!(sequences, [0, 1, 2]);
}

#[test]
fn memory_is_what_the_documentation_says() {
    assert!(size_of::<Option<PathCheck>>() <= 136);
    assert!(size_of::<Buffer<1500>>() <= 1500 + 32);
}
