//! The tunnel endpoint: what a packet costs in each direction, with one peer and with many.
//!
//! Times are by the packet, out of rounds over 1024 peers: of a table the searches are of different peers, as
//! in practice.
#![allow(missing_docs, reason = "what `criterion_group!` makes has none")]

use std::hint::black_box;
use std::net::Ipv4Addr;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ipencap::decap::{Prefix, PrefixEntry};
use ipencap::encap::{Encapsulate, Tunnel};
use ipencap::packet::{Packet, PerPacket, Span};
use ipencap::shim::IpIp;
use ipencap::time::Instant;
use ipencap::tunnel::{
    ArrivalEntry, Endpoint, EndpointConfig, Inbound, OnePeer, Outbound, Path, PeerPolicy, PeerSlot,
    PeerTable, Peers,
};
use ipencap::wire::{IpProtocol, Ipv4Header};
use ipencap_bench::settings;

/// Ours.
const HERE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// Behind us.
const INSIDE: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 5);
const INNER_LEN: usize = 64;
/// Packets of one round.
const ROUND: usize = 1024;
const HEADROOM: usize = 64;

fn leaked<T>(value: Vec<T>) -> &'static mut [T] {
    Vec::leak(value)
}

/// The outer address of a peer.
fn far_end(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x6440_0000 + number * 3)
}

/// A host behind a peer, whose prefix is a /24.
fn behind(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0a00_0009 + (number << 8))
}

fn tunnel(number: u32) -> Tunnel<IpIp> {
    Tunnel::new(HERE, far_end(number), IpIp).expect("unicast")
}

fn prefix(number: u32) -> Prefix {
    let [a, b, c, _] = behind(number).octets();
    Prefix::new(Ipv4Addr::new(a, b, c, 0), 24).expect("no host bits")
}

/// A table of so many peers with a prefix each, and with indexes of so many entries.
fn table(peers: u32, index: usize) -> PeerTable<'static, Tunnel<IpIp>> {
    let len = peers as usize;
    let mut table = PeerTable::new(
        leaked(vec![PeerSlot::EMPTY; len]),
        leaked(vec![ArrivalEntry::EMPTY; len]),
        leaked(vec![PrefixEntry::EMPTY; len]),
        leaked(vec![PrefixEntry::EMPTY; 2]),
    );
    for number in 0..peers {
        let peer = table.add(tunnel(number), PeerPolicy::DEFAULT);
        let peer = peer.expect("there is room");
        table.allow(peer, prefix(number)).expect("there is room");
    }
    table.with_index(leaked(vec![0; index]), leaked(vec![0; index]))
}

fn endpoint<P: Peers>(peers: P) -> Endpoint<'static, P> {
    let paths = vec![Path::EMPTY; peers.capacity() as usize];
    let mut endpoint = Endpoint::new(peers, leaked(paths), EndpointConfig::DEFAULT);
    // Every path begins.
    endpoint.expire(Instant::ZERO, |_| {});
    endpoint
}

fn inner(source: Ipv4Addr, destination: Ipv4Addr) -> Vec<u8> {
    let len = u16::try_from(INNER_LEN).expect("short");
    let header = Ipv4Header::new(source, destination, IpProtocol::UDP, len);
    let mut packet = header.as_bytes().to_vec();
    packet.resize(INNER_LEN, 7);
    packet
}

/// The peers of a round: all of them, far from each other.
fn round(peers: u32) -> impl Iterator<Item = u32> {
    let wanted = u32::try_from(ROUND).expect("small");
    (0..wanted).map(move |place| place.wrapping_mul(0x9e37_79b1) % peers)
}

/// Packets to the peers, with room in front of each.
fn outgoing(peers: u32) -> Vec<Vec<u8>> {
    let packet = |number| {
        let mut buffer = vec![0; HEADROOM];
        buffer.extend(inner(INSIDE, behind(number)));
        buffer
    };
    round(peers).map(packet).collect()
}

/// Packets from the peers.
fn incoming(peers: u32) -> Vec<Vec<u8>> {
    let packet = |number| {
        let there = Tunnel::new(far_end(number), HERE, IpIp).expect("unicast");
        let overhead = there.overhead();
        let mut buffer = vec![0; overhead];
        buffer.extend(inner(behind(number), INSIDE));
        let span = Span::new(overhead, INNER_LEN);
        ipencap::encap(&there, &mut buffer, span, &PerPacket::new()).expect("it fits");
        buffer
    };
    round(peers).map(packet).collect()
}

#[inline(never)]
fn outbound<P: Peers>(endpoint: &mut Endpoint<'_, P>, now: Instant, packet: &[u8]) -> Outbound {
    endpoint.outbound(now, packet, &PerPacket::new())
}

#[inline(never)]
fn send<P: Peers>(endpoint: &mut Endpoint<'_, P>, now: Instant, buffer: &mut [u8]) -> Outbound {
    let mut packet = Packet::new(buffer, Span::new(HEADROOM, INNER_LEN));
    endpoint.send(now, &mut packet, &PerPacket::new(), |outer| {
        black_box(outer);
    })
}

#[inline(never)]
fn inbound<P: Peers>(endpoint: &mut Endpoint<'_, P>, now: Instant, packet: &[u8]) -> Inbound {
    endpoint.inbound(now, packet)
}

#[inline(never)]
fn receive<P: Peers>(endpoint: &mut Endpoint<'_, P>, now: Instant, packet: &mut [u8]) -> Inbound {
    endpoint.receive(now, packet)
}

/// Every packet goes to the peer whose it is, as its tunnel alone would wrap it, and comes from there.
fn verify<P: Peers>(endpoint: &mut Endpoint<'_, P>, peers: u32) {
    let now = Instant::from_millis(1);
    for (number, mut buffer) in round(peers).zip(outgoing(peers)) {
        let owner = endpoint.peers().owner(0, behind(number));
        let mut alone = buffer.clone();
        let span = Span::new(HEADROOM, INNER_LEN);
        ipencap::encap(&tunnel(number), &mut alone, span, &PerPacket::new()).expect("it fits");
        match outbound(endpoint, now, &buffer[HEADROOM..]) {
            Outbound::Send { peer, .. } => assert_eq!(Some(peer), owner),
            other => panic!("{other:?}"),
        }
        match send(endpoint, now, &mut buffer) {
            Outbound::Send { peer, .. } => assert_eq!(Some(peer), owner),
            other => panic!("{other:?}"),
        }
        assert_eq!(buffer, alone);
    }
    for (number, mut packet) in round(peers).zip(incoming(peers)) {
        let owner = endpoint.peers().owner(0, behind(number));
        let there = inbound(endpoint, now, &packet);
        let Inbound::Deliver { peer, opened, .. } = there else {
            panic!("{there:?}");
        };
        assert_eq!(
            (Some(peer), opened.span()),
            (owner, Span::new(20, INNER_LEN))
        );
        assert_eq!(receive(endpoint, now, &mut packet), there);
    }
}

fn bench_peers<P: Peers>(
    criterion: &mut Criterion,
    row: &str,
    peers: u32,
    mut endpoint: Endpoint<'_, P>,
) {
    verify(&mut endpoint, peers);
    let mut millis = 2;
    let mut next = || {
        millis += 1;
        Instant::from_millis(millis)
    };
    let id = || BenchmarkId::new("ipencap", row);
    let mut group = |name: &str, work: &mut dyn FnMut(Instant)| {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(ROUND as u64));
        group.bench_function(id(), |bencher| bencher.iter(|| work(next())));
        group.finish();
    };
    let mut packets = outgoing(peers);
    group("endpoint_outbound", &mut |now| {
        for packet in &packets {
            let _ = black_box(outbound(&mut endpoint, now, &packet[HEADROOM..]));
        }
    });
    group("endpoint_send", &mut |now| {
        for buffer in &mut packets {
            let _ = black_box(send(&mut endpoint, now, buffer));
        }
    });
    let mut packets = incoming(peers);
    group("endpoint_inbound", &mut |now| {
        for packet in &packets {
            let _ = black_box(inbound(&mut endpoint, now, packet));
        }
    });
    group("endpoint_receive", &mut |now| {
        for packet in &mut packets {
            let _ = black_box(receive(&mut endpoint, now, packet));
        }
    });
}

fn bench(criterion: &mut Criterion) {
    let behind = leaked(vec![prefix(0)]);
    let one = OnePeer::new(tunnel(0), behind);
    bench_peers(criterion, "one", 1, endpoint(one));
    // Without `--bench` each runs once, to be verified.
    let is_timed = std::env::args().any(|argument| argument == "--bench");
    let sizes: &[u32] = if is_timed {
        &[1, 100, 10_000, 65_000]
    } else {
        &[1, 100]
    };
    for &peers in sizes {
        bench_peers(
            criterion,
            &peers.to_string(),
            peers,
            endpoint(table(peers, 0)),
        );
        let indexed = endpoint(table(peers, peers as usize));
        bench_peers(criterion, &format!("{peers}_indexed"), peers, indexed);
    }
}

criterion_group! {
    name = benches;
    config = settings();
    targets = bench
}
criterion_main!(benches);
