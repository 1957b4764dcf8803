//! UDP in front of a packet (FOU): without a checksum, over all bytes, and from the headers alone.
//!
//! Peers have no checksum from the headers: they sum all bytes. Everybody validates the inner packet.
#![allow(missing_docs, reason = "what `criterion_group!` makes has none")]

use criterion::{Criterion, criterion_group, criterion_main};
use ipencap_bench::contenders::limit::{LoadAllAndStore, Store};
use ipencap_bench::contenders::ours::{
    Encap, ProveThenEncap, Setup, Tunnels, UdpFull, UdpOffload, UdpZero,
};
use ipencap_bench::contenders::peers;
use ipencap_bench::fixtures::{self, Payload};
use ipencap_bench::packet_work::{Case, PacketContender, bench_one, contender};
use ipencap_bench::{settings, verify};

fn zero() -> Vec<PacketContender<Setup>> {
    peers::listed(
        [
            contender::<_, Encap<UdpZero>>("ipencap"),
            contender::<_, ProveThenEncap<UdpZero>>("ipencap_prove"),
        ],
        peers::udp::<false>(),
        [contender::<_, Store<28>>("limit_store")],
    )
}

/// `ipencap_offload` is the default policy; `ipencap_full` says what the sum over all bytes costs.
fn checksum() -> Vec<PacketContender<Setup>> {
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
    let (zero, checksum) = (zero(), checksum());
    for seed in 0..2000 {
        for payload in [Payload::Udp, Payload::UdpUnchecked, Payload::Tcp] {
            let len = 40 + (seed as usize * 7) % 1400;
            let packet = fixtures::packet(len, seed as u8, payload, seed);
            let case = Case::new(format!("{payload:?}, {len} B"), &packet);
            verify::packet_work(&zero, &setup, &case);
            verify::packet_work(&checksum, &setup, &case);
        }
    }
    let cases = |lens: &[usize]| -> Vec<_> {
        lens.iter()
            .map(|&len| Case::new(len, &fixtures::packet(len, 0, Payload::Udp, 1)))
            .collect()
    };
    bench_one(criterion, "udp_zero", &zero, &setup, &cases(&[64, 1400]));
    let sizes = cases(&[64, 1400, 9000, 60000]);
    bench_one(criterion, "udp_checksum", &checksum, &setup, &sizes);
}

criterion_group! {
    name = benches;
    config = settings();
    targets = bench
}
criterion_main!(benches);
