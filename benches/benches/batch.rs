//! Batches of packets, the work inlined in the loop; times are by the packet.
//!
//! | row | packets |
//! |---|---|
//! | `32 hot`, `64 hot` | the same ones again and again |
//! | `beyond L2`, `beyond L3` | the next 4096 of a ring that the cache does not hold |
#![allow(missing_docs, reason = "what `criterion_group!` makes has none")]

use criterion::{Criterion, criterion_group, criterion_main};
use ipencap::Span;
use ipencap_bench::contenders::limit::{Load, LoadAllAndStore, Store};
use ipencap_bench::contenders::ours::{
    Decap, Encap, EncapProven, Ipip, ParseOnly, Setup, Tunnels, UdpFull, UdpOffload,
};
use ipencap_bench::contenders::peers;
use ipencap_bench::fixtures::{self, Ring, START};
use ipencap_bench::packet_work::{PacketContender, bench_batch, contender};
use ipencap_bench::settings;

const INNER_LEN: usize = 1400;

fn encap() -> Vec<PacketContender<Setup>> {
    peers::listed(
        [contender::<_, Encap<Ipip<1>>>("ipencap")],
        peers::ipip::<1, true>(),
        [contender::<_, Store<20>>("limit_store")],
    )
}

fn encap_proven() -> Vec<PacketContender<Setup>> {
    peers::listed(
        [contender::<_, EncapProven<Ipip<1>>>("ipencap")],
        peers::ipip::<1, false>(),
        [contender::<_, Store<20>>("limit_store")],
    )
}

fn encap_x4() -> Vec<PacketContender<Setup>> {
    peers::listed(
        [contender::<_, Encap<Ipip<4>>>("ipencap")],
        peers::ipip::<4, true>(),
        [contender::<_, Store<80>>("limit_store")],
    )
}

fn decap_headers() -> Vec<PacketContender<Setup>> {
    peers::listed(
        [contender::<_, ParseOnly<1>>("ipencap")],
        peers::unwrap::<1, false>(),
        [contender::<_, Load<20>>("limit_load")],
    )
}

fn decap() -> Vec<PacketContender<Setup>> {
    peers::listed(
        [contender::<_, Decap<Ipip<1>>>("ipencap")],
        peers::unwrap::<1, true>(),
        [contender::<_, Load<40>>("limit_load")],
    )
}

fn udp() -> Vec<PacketContender<Setup>> {
    peers::listed(
        [
            contender::<_, Encap<UdpOffload>>("ipencap_offload"),
            contender::<_, Encap<UdpFull>>("ipencap_full"),
        ],
        peers::udp::<true>(),
        [
            contender::<_, Store<28>>("limit_store"),
            contender::<_, LoadAllAndStore<28>>("limit_load_store"),
        ],
    )
}

fn bench(criterion: &mut Criterion) {
    let layers = fixtures::layers();
    let setup = (layers, Tunnels::new(&layers));
    let (l2, l3) = fixtures::cache_sizes();
    let inner = Span::new(START, INNER_LEN);
    let outer = Span::new(START - 20, 20 + INNER_LEN);
    let rows = [
        ("32 hot", 32, 32),
        ("64 hot", 64, 64),
        ("beyond L2", 4096, fixtures::packets_beyond(l2)),
        ("beyond L3", 4096, fixtures::packets_beyond(l3)),
    ];
    for (label, window, count) in rows {
        let mut ring = Ring::new(count, INNER_LEN);
        let row = (label, window);
        let mut run = |group, contenders: &[PacketContender<Setup>], packet| {
            bench_batch(
                criterion,
                group,
                row,
                contenders,
                &setup,
                (&mut ring, packet),
            );
        };
        run("batch_encap", &encap(), inner);
        run("batch_encap_proven", &encap_proven(), inner);
        run("batch_encap_x4", &encap_x4(), inner);
        run("batch_udp_1400", &udp(), inner);
        for slot in ring.bytes.chunks_exact_mut(fixtures::STRIDE) {
            (encap()[0].one.run)(&setup, slot, inner);
        }
        let mut run = |group, contenders: &[PacketContender<Setup>], packet| {
            bench_batch(
                criterion,
                group,
                row,
                contenders,
                &setup,
                (&mut ring, packet),
            );
        };
        run("batch_decap_headers", &decap_headers(), outer);
        run("batch_decap", &decap(), outer);
    }
}

criterion_group! {
    name = benches;
    config = settings();
    targets = bench
}
criterion_main!(benches);
