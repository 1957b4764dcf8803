//! How times grow: with layers, with the packet's length, with peers, prefixes and local addresses.
//!
//! | group | one figure is |
//! |---|---|
//! | `growth_encap`, `growth_decap` | a packet into 1 to 8 IP-in-IP headers, and out of them |
//! | `growth_length` | a packet of 64 to 60000 bytes into one tunnel |
//! | `growth_peers`, `growth_prefixes`, `growth_addresses` | `decap` of a packet, with so many peers, inner prefixes of one peer, or local addresses |
//! | `growth_load`, `growth_change` | so many prefixes into an empty table; one more into such a table, and out again |
//!
//! Packets come from any of the peers and prefixes, in no order. `ipencap_edge` is a list, `ipencap_table` an
//! `EdgeTable`, `ipencap_index` one with an index, and `ipencap_crowded` the same where all outer addresses
//! are in two far networks, so that the index is of little use.
#![allow(missing_docs, reason = "what `criterion_group!` makes has none")]

use std::env;
use std::hint::black_box;
use std::net::Ipv4Addr;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group,
    criterion_main,
};
use ipencap::decap::{
    Access, Decapsulate, Edge, EdgeTable, Peer, PointToPoint, PrefixEntry, PrefixTable, Receiver,
    decap_nested,
};
use ipencap::encap::{Encapsulate, PerPacket, Tunnel};
use ipencap::shim::{ChecksumPolicy, Fou, IpIp, SourcePort};
use ipencap::wire::{IpProtocol, Ipv4Header, Prefix};
use ipencap::{Span, decap, encap};
use ipencap_bench::fixtures::{self, Payload, Random};
use ipencap_bench::settings;

/// In front of the inner packet: eight headers, and some.
const ROOM: usize = 192;

/// Whether times are taken; else each benchmark runs once, and small ones do.
fn is_measuring() -> bool {
    let has = |argument: &str| env::args().any(|other| other == argument);
    has("--bench") && !has("--test")
}

/// The whole buffer for an inner packet of this length, and where that lies.
fn buffer(len: usize) -> (Vec<u8>, Span) {
    let mut buffer = vec![0; ROOM];
    buffer.extend(fixtures::packet(len, 0, Payload::Udp, 1));
    (buffer, Span::new(ROOM, len))
}

// --- Layers

fn ends(layer: usize) -> (Ipv4Addr, Ipv4Addr) {
    let layer = black_box(u8::try_from(layer).expect("few layers"));
    (
        Ipv4Addr::new(198, 51, 100, layer),
        Ipv4Addr::new(203, 0, 113, layer),
    )
}

/// So many tunnels, the innermost first.
fn tunnels<const N: usize>() -> [Tunnel<IpIp>; N] {
    core::array::from_fn(|layer| {
        let (source, destination) = ends(layer);
        Tunnel::new(source, destination, IpIp).expect("unicast")
    })
}

fn receivers<const N: usize>() -> [Receiver<IpIp, PointToPoint<'static>>; N] {
    core::array::from_fn(|layer| {
        let (source, destination) = ends(layer);
        let inner = match layer.checked_sub(1) {
            Some(inside) => Prefix::host(ends(inside).0),
            None => Prefix::new(Ipv4Addr::new(10, 1, 0, 0), 16).expect("a prefix"),
        };
        let inner = Box::leak(Box::new([inner]));
        Receiver::new(IpIp, PointToPoint::new(destination, source, inner))
    })
}

#[inline(never)]
fn wrap<T: Encapsulate + ?Sized>(tunnel: &T, buffer: &mut [u8], inner: Span) -> usize {
    encap(tunnel, buffer, inner, &PerPacket::new()).map_or(0, |outer| outer.len())
}

#[inline(never)]
fn unwrap<D: Decapsulate + ?Sized>(receiver: &D, outer: &mut [u8]) -> usize {
    decap(receiver, outer).map_or(0, |inner| inner.packet.len())
}

#[inline(never)]
fn unwrap_nested(receivers: &[&dyn Decapsulate], outer: &mut [u8]) -> usize {
    decap_nested(receivers, outer, 8).map_or(0, |inner| inner.packet.len())
}

fn layers<const N: usize>(criterion: &mut Criterion) {
    let (tunnels, receivers) = (tunnels::<N>(), receivers::<N>());
    let (mut buffer, inner) = buffer(64);
    let mut group = criterion.benchmark_group("growth_encap");
    let len = 64 + 20 * N;
    assert_eq!(wrap(&tunnels, &mut buffer, inner), len);
    let expected = buffer.clone();
    group.bench_function(BenchmarkId::new("ipencap_array", N), |bencher| {
        bencher.iter(|| wrap(black_box(&tunnels), black_box(&mut buffer), inner));
    });
    assert_eq!(wrap(tunnels.as_slice(), &mut buffer, inner), len);
    assert_eq!(buffer, expected);
    group.bench_function(BenchmarkId::new("ipencap_slice", N), |bencher| {
        bencher.iter(|| wrap(black_box(&tunnels[..]), black_box(&mut buffer), inner));
    });
    group.finish();

    let outer = &mut buffer[ROOM - 20 * N..];
    let by_reference: Vec<&dyn Decapsulate> =
        receivers.iter().map(|receiver| receiver as _).collect();
    assert_eq!(unwrap(&receivers, outer), 64);
    assert_eq!(unwrap(receivers.as_slice(), outer), 64);
    assert_eq!(unwrap_nested(&by_reference, outer), 64);
    let mut group = criterion.benchmark_group("growth_decap");
    group.bench_function(BenchmarkId::new("ipencap_array", N), |bencher| {
        bencher.iter(|| unwrap(black_box(&receivers), black_box(&mut *outer)));
    });
    group.bench_function(BenchmarkId::new("ipencap_slice", N), |bencher| {
        bencher.iter(|| unwrap(black_box(&receivers[..]), black_box(&mut *outer)));
    });
    group.bench_function(BenchmarkId::new("ipencap_nested", N), |bencher| {
        bencher.iter(|| unwrap_nested(black_box(&by_reference), black_box(&mut *outer)));
    });
    group.finish();
}

// --- Lengths

fn lengths(criterion: &mut Criterion) {
    let (source, destination) = ends(1);
    let fou = |checksum| {
        let port = black_box(SourcePort::Fixed(49152));
        let shim = Fou::new(5555).with_source_port(port);
        Tunnel::new(source, destination, shim.with_checksum(checksum)).expect("unicast")
    };
    let ipip = Tunnel::new(source, destination, IpIp).expect("unicast");
    let contenders: [(&str, &dyn Encapsulate, usize); 3] = [
        ("ipencap_ipip", &ipip, 20),
        ("ipencap_fou_offload", &fou(ChecksumPolicy::Offload), 28),
        ("ipencap_fou_full", &fou(ChecksumPolicy::Full), 28),
    ];
    let mut group = criterion.benchmark_group("growth_length");
    for len in [64, 256, 1400, 9000, 20_000, 40_000, 60_000] {
        let (mut buffer, inner) = buffer(len);
        let mut with_checksum = Vec::new();
        for (name, tunnel, overhead) in contenders {
            assert_eq!(wrap(tunnel, &mut buffer, inner), len + overhead);
            if overhead == 28 {
                with_checksum.push(buffer.clone());
            }
            group.bench_function(BenchmarkId::new(name, len), |bencher| {
                bencher.iter(|| wrap(black_box(tunnel), black_box(&mut buffer), inner));
            });
        }
        assert_eq!(
            with_checksum[0], with_checksum[1],
            "one checksum by two ways"
        );
    }
    group.finish();
}

// --- Peers, prefixes, addresses

const LOCAL: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);

/// The peers, prefixes and addresses of a benchmark: who sends from where.
#[derive(Clone, Debug)]
struct Plan {
    local: Vec<Ipv4Addr>,
    /// The outer address of each peer.
    outer: Vec<Ipv4Addr>,
    /// The inner prefixes of the peers: one for each, or all of the only peer.
    inner: Vec<Prefix>,
}

/// The only local address.
fn one() -> Vec<Ipv4Addr> {
    vec![black_box(LOCAL)]
}

/// Networks of 26 bits in 10.0.0.0/8.
fn inner(count: u32) -> Vec<Prefix> {
    let network = |number: u32| Ipv4Addr::from_bits((10 << 24) + (number << 6));
    let prefix = |number| Prefix::new(network(number), 26).expect("a prefix");
    (0..count).map(prefix).collect()
}

impl Plan {
    /// So many peers all over the upper half of the unicast addresses, at uneven distances.
    fn peers(count: u32) -> Self {
        let mut random = Random::new(7);
        let step = 0x5e00_0000 / count;
        let outer = (0..count)
            .map(|number| 0x8000_0000 + number * step + random.next_u32() % step)
            .map(Ipv4Addr::from_bits)
            .collect();
        Self {
            local: one(),
            outer,
            inner: inner(count),
        }
    }

    /// The same in two networks far from each other.
    fn crowded(count: u32) -> Self {
        let outer = (0..count)
            .map(|number| {
                let network = if number % 2 == 0 {
                    0x1000_0000
                } else {
                    0xc600_0000
                };
                Ipv4Addr::from_bits(network + number)
            })
            .collect();
        Self {
            outer,
            ..Self::peers(count)
        }
    }

    fn prefixes(count: u32) -> Self {
        Self {
            local: one(),
            outer: vec![ends(1).0],
            inner: inner(count),
        }
    }

    fn addresses(count: u32) -> Self {
        let address = |number: u32| Ipv4Addr::from_bits((172 << 24) + number * 3 + 1);
        Self {
            local: (0..count).map(address).collect(),
            ..Self::prefixes(1)
        }
    }

    fn owner(&self, inner: usize) -> usize {
        inner.min(self.outer.len() - 1)
    }

    /// An access list, with all of its memory leaked.
    fn edge(&self) -> Edge<'static> {
        let inner: &'static [Prefix] = self.inner.clone().leak();
        let peer = |(place, address): (usize, &Ipv4Addr)| {
            let own = if self.outer.len() == 1 {
                inner
            } else {
                &inner[place..=place]
            };
            Peer::new(Prefix::host(*address), own)
        };
        let peers: Vec<_> = self.outer.iter().enumerate().map(peer).collect();
        Edge::new(self.local.clone().leak(), peers.leak())
    }

    fn table(&self, is_indexed: bool) -> EdgeTable<'static> {
        let table = |count: usize| {
            let table = PrefixTable::new(vec![PrefixEntry::EMPTY; count].leak());
            let index_len = if is_indexed { count / 2 } else { 0 };
            table.with_index(vec![0; index_len].leak())
        };
        let mut table = EdgeTable::new(
            table(self.local.len()),
            table(self.outer.len()),
            table(self.inner.len()),
        );
        for local in &self.local {
            table.insert_local(Prefix::host(*local)).expect("room");
        }
        let outer = (0u32..).zip(&self.outer);
        table
            .load_outer(outer.map(|(peer, address)| (peer, Prefix::host(*address), None)))
            .expect("room");
        let inner = self.inner.iter().enumerate().map(|(place, prefix)| {
            let peer = u32::try_from(self.owner(place)).expect("few peers");
            (peer, *prefix)
        });
        table.load_inner(inner).expect("room");
        table
    }

    /// So many IP-in-IP packets from any of the peers and prefixes to any of the addresses.
    fn packets(&self, count: usize) -> Vec<[u8; 84]> {
        let mut random = Random::new(1);
        let mut up_to = |count: usize| random.next_u32() as usize % count;
        let packet = |_| {
            let inner = up_to(self.inner.len());
            let outer = self.outer[self.owner(inner)];
            let host = self.inner[inner].network().to_bits() + 5;
            packet(outer, self.local[up_to(self.local.len())], host.into())
        };
        (0..count).map(packet).collect()
    }
}

fn packet(source: Ipv4Addr, destination: Ipv4Addr, inner_source: Ipv4Addr) -> [u8; 84] {
    let mut packet = [0; 84];
    let outer = Ipv4Header::new(source, destination, IpProtocol::IPENCAP, 84);
    let inner_destination = Ipv4Addr::new(192, 0, 2, 9);
    let inner = Ipv4Header::new(inner_source, inner_destination, IpProtocol(253), 64);
    packet[..20].copy_from_slice(outer.as_bytes());
    packet[20..40].copy_from_slice(inner.as_bytes());
    packet
}

/// Opens all packets, and says how many were right.
#[inline(never)]
fn open<A: Access>(receiver: &Receiver<IpIp, A>, packets: &mut [[u8; 84]]) -> usize {
    let opened = packets.iter_mut().map(|packet| decap(receiver, packet));
    opened.flatten().count()
}

fn bench_access<A: Access>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: BenchmarkId,
    access: A,
    plan: &Plan,
    count: usize,
) {
    let receiver = Receiver::new(IpIp, access);
    let mut packets = plan.packets(count);
    assert_eq!(open(&receiver, &mut packets), count);
    // A stranger, a foreign inner source, another's address.
    let [stranger, foreign] = [[192, 0, 2, 66], [11, 0, 0, 1]].map(Ipv4Addr::from);
    let (outer, local) = (plan.outer[0], plan.local[0]);
    let inner = Ipv4Addr::from_bits(plan.inner[0].network().to_bits() + 5);
    let refused = [
        packet(stranger, local, inner),
        packet(outer, local, foreign),
        packet(outer, stranger, inner),
    ];
    assert_eq!(open(&receiver, &mut refused.clone()), 0);
    group.throughput(Throughput::Elements(count as u64));
    group.bench_function(id, |bencher| {
        bencher.iter(|| open(black_box(&receiver), black_box(&mut packets)));
    });
}

fn bench_plans(criterion: &mut Criterion, name: &str, plan: fn(u32) -> Plan) {
    let counts: &[u32] = if is_measuring() {
        &[1, 10, 100, 1000, 10_000, 100_000]
    } else {
        &[1, 10]
    };
    let mut group = criterion.benchmark_group(name);
    group.sampling_mode(SamplingMode::Flat);
    for &count in counts {
        let plan = plan(count);
        let id = |contender| BenchmarkId::new(contender, count);
        let window = 1024;
        // A list takes its time for each packet.
        let of_list = (100_000 / count as usize).clamp(16, window);
        bench_access(&mut group, id("ipencap_edge"), plan.edge(), &plan, of_list);
        let table = plan.table(false);
        bench_access(&mut group, id("ipencap_table"), table, &plan, window);
        let table = plan.table(true);
        bench_access(&mut group, id("ipencap_index"), table, &plan, window);
        if name == "growth_peers" {
            let plan = Plan::crowded(count);
            let table = plan.table(true);
            bench_access(&mut group, id("ipencap_crowded"), table, &plan, window);
        }
    }
    group.finish();
}

/// What changes of a table cost, for prefixes that come in no order.
fn changes(criterion: &mut Criterion) {
    let counts: &[u32] = if is_measuring() {
        &[10, 100, 1000, 10_000, 100_000]
    } else {
        &[10]
    };
    for &count in counts {
        let mut random = Random::new(3);
        let hosts: Vec<(u32, Prefix, u32)> = (0..count)
            .map(|number| (0, Prefix::host(random.next_u32().into()), number))
            .collect();
        let len = hosts.len();
        let mut entries = vec![PrefixEntry::EMPTY; len + 1];
        let mut index = vec![0; len / 2];
        let mut table = PrefixTable::new(&mut entries).with_index(&mut index);
        criterion
            .benchmark_group("growth_load")
            .sampling_mode(SamplingMode::Flat)
            .bench_function(BenchmarkId::new("ipencap_index", count), |bencher| {
                bencher.iter(|| {
                    table.clear();
                    table.load(hosts.iter().copied()).expect("room");
                });
            });
        let middle = Prefix::host(Ipv4Addr::new(128, 0, 0, 1));
        assert_eq!(table.get(0, middle), None);
        criterion.benchmark_group("growth_change").bench_function(
            BenchmarkId::new("ipencap_index", count),
            |bencher| {
                bencher.iter(|| {
                    table.insert(0, black_box(middle), 1).expect("room");
                    table.remove(0, black_box(middle))
                });
            },
        );
    }
}

fn bench(criterion: &mut Criterion) {
    layers::<1>(criterion);
    layers::<2>(criterion);
    layers::<3>(criterion);
    layers::<4>(criterion);
    layers::<5>(criterion);
    layers::<6>(criterion);
    layers::<7>(criterion);
    layers::<8>(criterion);
    lengths(criterion);
    bench_plans(criterion, "growth_peers", Plan::peers);
    bench_plans(criterion, "growth_prefixes", Plan::prefixes);
    bench_plans(criterion, "growth_addresses", Plan::addresses);
    changes(criterion);
}

criterion_group! {
    name = benches;
    config = settings().measurement_time(Duration::from_millis(300)).sample_size(20);
    targets = bench
}
criterion_main!(benches);
