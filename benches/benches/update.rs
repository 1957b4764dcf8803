//! Changes of a field under a checksum (RFC 1624): a word alone, and DSCP and ECN of a header.
#![allow(missing_docs, reason = "what `criterion_group!` makes has none")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use ipencap_bench::contenders::{etherparse, internet_checksum, limit, ours, plain, pnet, smoltcp};
use ipencap_bench::fixtures::{self, Payload};
use ipencap_bench::{Contender, is_limit, settings};

type Update = fn(u16, u16, u16) -> u16;
type SetTos = fn(&mut [u8], u8);

const UPDATES: [Contender<Update>; 4] = [
    Contender {
        name: "ipencap",
        run: ours::update,
    },
    Contender {
        name: "internet-checksum",
        run: internet_checksum::update,
    },
    Contender {
        name: "plain",
        run: plain::update,
    },
    Contender {
        name: "limit_empty_call",
        run: limit::empty_update,
    },
];

const REWRITES: [Contender<SetTos>; 8] = [
    Contender {
        name: "ipencap",
        run: ours::set_tos,
    },
    Contender {
        name: "ipencap_update_u16",
        run: ours::set_tos_by_update,
    },
    Contender {
        name: "etherparse",
        run: etherparse::set_tos,
    },
    Contender {
        name: "smoltcp",
        run: smoltcp::set_tos,
    },
    Contender {
        name: "pnet_packet",
        run: pnet::set_tos,
    },
    Contender {
        name: "internet-checksum",
        run: internet_checksum::set_tos,
    },
    Contender {
        name: "plain",
        run: plain::set_tos,
    },
    Contender {
        name: "limit_store",
        run: limit::store_tos,
    },
];

fn verify() {
    let mut random = fixtures::Random::new(5);
    for round in 0..100_000 {
        let [checksum, old, new] = [(); 3].map(|()| random.next_u32() as u16);
        let [tos, other_tos] = [(); 2].map(|()| random.next_u32() as u8);
        let expected = ours::update(checksum, old, new);
        for Contender { name, run } in UPDATES {
            if !is_limit(name) {
                let answer = run(checksum, old, new);
                assert_eq!(
                    answer, expected,
                    "{name}({checksum:#x}, {old:#x}, {new:#x})"
                );
            }
        }

        let packet = fixtures::packet(28, tos, Payload::Udp, round);
        let mut expected = packet.clone();
        ours::set_tos(&mut expected, other_tos);
        for Contender { name, run } in REWRITES {
            if !is_limit(name) {
                let mut packet = packet.clone();
                run(&mut packet, other_tos);
                assert_eq!(
                    packet, expected,
                    "{name} from ToS {tos:#x} to {other_tos:#x}"
                );
            }
        }
    }
}

fn bench(criterion: &mut Criterion) {
    verify();
    let mut group = criterion.benchmark_group("update_word");
    for Contender { name, run } in UPDATES {
        group.bench_function(BenchmarkId::new(name, "u16"), |bencher| {
            bencher.iter(|| run(black_box(0x1485), black_box(0x4011), black_box(0x3f11)));
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("rewrite_tos");
    let mut packet = fixtures::packet(64, 0, Payload::Udp, 1);
    for Contender { name, run } in REWRITES {
        group.bench_function(BenchmarkId::new(name, "dscp+ecn"), |bencher| {
            let mut tos = 0u8;
            bencher.iter(|| {
                tos = tos.wrapping_add(0x25);
                run(black_box(&mut packet), black_box(tos));
            });
        });
        // What the limit leaves is no valid header.
        packet = fixtures::packet(64, 0, Payload::Udp, 1);
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = settings();
    targets = bench
}
criterion_main!(benches);
