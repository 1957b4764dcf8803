//! TCP in front of a packet. The outer checksum follows from the headers alone where the inner
//! packet has a checksum of its own (rows `offload`), and needs all bytes where not (rows `full`).
//! Peers sum all bytes always. Everybody validates the inner packet.
#![allow(missing_docs, reason = "what `criterion_group!` makes has none")]

use criterion::{Criterion, criterion_group, criterion_main};
use ipencap_bench::contenders::limit::{LoadAllAndStore, Store};
use ipencap_bench::contenders::ours::{Encap, ProveThenEncap, Setup, TcpSegment, Tunnels};
use ipencap_bench::contenders::peers;
use ipencap_bench::fixtures::{self, Payload};
use ipencap_bench::packet_work::{Case, PacketContender, bench_one, contender};
use ipencap_bench::{settings, verify};

fn contenders() -> Vec<PacketContender<Setup>> {
    peers::listed(
        [
            contender::<_, Encap<TcpSegment>>("ipencap"),
            contender::<_, ProveThenEncap<TcpSegment>>("ipencap_prove"),
        ],
        peers::tcp(),
        [
            contender::<_, Store<40>>("limit_store"),
            contender::<_, LoadAllAndStore<40>>("limit_load_store"),
        ],
    )
}

fn bench(criterion: &mut Criterion) {
    let layers = fixtures::layers();
    let setup = (layers, Tunnels::new(&layers));
    let contenders = contenders();
    for seed in 0..2000 {
        for payload in [Payload::Udp, Payload::UdpUnchecked, Payload::Tcp] {
            let len = 40 + (seed as usize * 7) % 1400;
            let packet = fixtures::packet(len, seed as u8, payload, seed);
            let case = Case::new(format!("{payload:?}, {len} B"), &packet);
            verify::packet_work(&contenders, &setup, &case);
        }
    }
    let rows = [
        ("64, offload", 64, Payload::Udp),
        ("1400, offload", 1400, Payload::Udp),
        ("1400, full", 1400, Payload::UdpUnchecked),
    ];
    let cases =
        rows.map(|(label, len, payload)| Case::new(label, &fixtures::packet(len, 0, payload, 1)));
    bench_one(criterion, "tcp", &contenders, &setup, &cases);
}

criterion_group! {
    name = benches;
    config = settings();
    targets = bench
}
criterion_main!(benches);
