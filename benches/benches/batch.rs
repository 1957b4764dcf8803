//! Batches of packets, the work inlined in the loop; times are by the packet.
//!
//! | row | packets |
//! |---|---|
//! | `32 hot`, `64 hot` | the same ones again and again |
//! | `beyond L2`, `beyond L3` | the next 4096 of a ring that the cache does not hold |
#![allow(missing_docs, reason = "what `criterion_group!` makes has none")]

use criterion::{Criterion, criterion_group, criterion_main};
use ipencap::Span;
use ipencap_bench::contenders::etherparse::Etherparse;
use ipencap_bench::contenders::limit::{Load, LoadAllAndStore, Store};
use ipencap_bench::contenders::ours::{
    Decap, Encap, EncapProven, Ipip, Nested, ParseOnly, Setup, Tunnels, UdpFull, UdpOffload,
};
use ipencap_bench::contenders::peer::{self, Udp, Unwrap};
use ipencap_bench::contenders::plain::Plain;
use ipencap_bench::contenders::pnet::Pnet;
use ipencap_bench::contenders::smoltcp::Smoltcp;
use ipencap_bench::fixtures::{self, Ring, START};
use ipencap_bench::packet_work::{PacketContender, bench_batch, contender};
use ipencap_bench::settings;

const INNER_LEN: usize = 1400;

fn encap() -> Vec<PacketContender<Setup>> {
    vec![
        contender::<_, Encap<Nested<1>>>("ipencap"),
        contender::<_, peer::Ipip<Etherparse, 1, true>>("etherparse"),
        contender::<_, peer::Ipip<Smoltcp, 1, true>>("smoltcp"),
        contender::<_, peer::Ipip<Pnet, 1, true>>("pnet_packet"),
        contender::<_, peer::Ipip<Plain, 1, true>>("plain"),
        contender::<_, Store<20>>("limit_store"),
    ]
}

fn encap_proven() -> Vec<PacketContender<Setup>> {
    vec![
        contender::<_, EncapProven<Nested<1>>>("ipencap"),
        contender::<_, peer::Ipip<Etherparse, 1, false>>("etherparse"),
        contender::<_, peer::Ipip<Smoltcp, 1, false>>("smoltcp"),
        contender::<_, peer::Ipip<Pnet, 1, false>>("pnet_packet"),
        contender::<_, peer::Ipip<Plain, 1, false>>("plain"),
        contender::<_, Store<20>>("limit_store"),
    ]
}

fn encap_x4() -> Vec<PacketContender<Setup>> {
    vec![
        contender::<_, Encap<Nested<4>>>("ipencap"),
        contender::<_, peer::Ipip<Etherparse, 4, true>>("etherparse"),
        contender::<_, peer::Ipip<Smoltcp, 4, true>>("smoltcp"),
        contender::<_, peer::Ipip<Pnet, 4, true>>("pnet_packet"),
        contender::<_, peer::Ipip<Plain, 4, true>>("plain"),
        contender::<_, Store<80>>("limit_store"),
    ]
}

fn decap_headers() -> Vec<PacketContender<Setup>> {
    vec![
        contender::<_, ParseOnly<1>>("ipencap"),
        contender::<_, Unwrap<Etherparse, 1, false>>("etherparse"),
        contender::<_, Unwrap<Smoltcp, 1, false>>("smoltcp"),
        contender::<_, Unwrap<Pnet, 1, false>>("pnet_packet"),
        contender::<_, Unwrap<Plain, 1, false>>("plain"),
        contender::<_, Load<20>>("limit_load"),
    ]
}

fn decap() -> Vec<PacketContender<Setup>> {
    vec![
        contender::<_, Decap<Ipip<1>>>("ipencap"),
        contender::<_, Unwrap<Etherparse, 1, true>>("etherparse"),
        contender::<_, Unwrap<Smoltcp, 1, true>>("smoltcp"),
        contender::<_, Unwrap<Pnet, 1, true>>("pnet_packet"),
        contender::<_, Unwrap<Plain, 1, true>>("plain"),
        contender::<_, Load<40>>("limit_load"),
    ]
}

fn udp() -> Vec<PacketContender<Setup>> {
    vec![
        contender::<_, Encap<UdpOffload>>("ipencap_offload"),
        contender::<_, Encap<UdpFull>>("ipencap_full"),
        contender::<_, Udp<Etherparse, true>>("etherparse"),
        contender::<_, Udp<Smoltcp, true>>("smoltcp"),
        contender::<_, Udp<Pnet, true>>("pnet_packet"),
        contender::<_, Store<28>>("limit_store"),
        contender::<_, LoadAllAndStore<28>>("limit_load_store"),
    ]
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
