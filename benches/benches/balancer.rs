//! A load balancer's step and its parts: validate the packet, hash its flow, look up one of 65,536
//! backends, wrap the packet for it. Every row does what the row above does and one thing more.
//!
//! Times are by the packet, out of batches: of 64 hot packets, and of a ring that no cache holds.
#![allow(missing_docs, reason = "what `criterion_group!` makes has none")]

use std::hint::black_box;
use std::net::Ipv4Addr;

use criterion::{Criterion, criterion_group, criterion_main};
use ipencap::Span;
use ipencap::encap::Tunnel;
use ipencap::shim::IpIp;
use ipencap_bench::contenders::etherparse::Etherparse;
use ipencap_bench::contenders::limit::{Load, Store};
use ipencap_bench::contenders::ours;
use ipencap_bench::contenders::peer::{Backends, Balance};
use ipencap_bench::contenders::plain::Plain;
use ipencap_bench::contenders::pnet::Pnet;
use ipencap_bench::contenders::smoltcp::Smoltcp;
use ipencap_bench::fixtures::{self, Layer, Ring, START};
use ipencap_bench::packet_work::{PacketContender, bench_batch, contender};
use ipencap_bench::settings;

const INNER_LEN: usize = 64;

type Setup = (Backends<Tunnel<IpIp>>, Backends<Layer>);

fn parts<const PARTS: u8>() -> Vec<PacketContender<Setup>> {
    vec![
        contender::<_, ours::Balance<PARTS>>("ipencap"),
        contender::<_, Balance<Etherparse, PARTS>>("etherparse"),
        contender::<_, Balance<Smoltcp, PARTS>>("smoltcp"),
        contender::<_, Balance<Pnet, PARTS>>("pnet_packet"),
        contender::<_, Balance<Plain, PARTS>>("plain"),
        if PARTS == 4 {
            contender::<_, Store<20>>("limit_store")
        } else {
            contender::<_, Load<20>>("limit_load")
        },
    ]
}

fn setup() -> Setup {
    let [layer, ..] = fixtures::layers();
    let layers: Vec<_> = (0..65536)
        .map(|number: u32| {
            let [_, _, high, low] = number.to_be_bytes();
            Layer {
                destination: Ipv4Addr::new(172, 16, high, low),
                ..layer
            }
        })
        .collect();
    let seed = black_box(0x9747_b28c);
    let tunnels = layers.iter().map(ours::ipip).collect();
    (Backends::new(tunnels, seed), Backends::new(layers, seed))
}

fn bench(criterion: &mut Criterion) {
    let setup = setup();
    let (_, l3) = fixtures::cache_sizes();
    let inner = Span::new(START, INNER_LEN);
    let rings = [
        ("balancer_hot", 64, 64),
        ("balancer_beyond_l3", 4096, fixtures::packets_beyond(l3)),
    ];
    for (group, window, count) in rings {
        let mut ring = Ring::new(count, INNER_LEN);
        let mut run = |label, contenders: &[PacketContender<Setup>]| {
            let row = (label, window);
            bench_batch(
                criterion,
                group,
                row,
                contenders,
                &setup,
                (&mut ring, inner),
            );
        };
        run("1 validate", &parts::<1>());
        run("2 + hash", &parts::<2>());
        run("3 + lookup", &parts::<3>());
        run("4 + encap", &parts::<4>());
    }
}

criterion_group! {
    name = benches;
    config = settings();
    targets = bench
}
criterion_main!(benches);
