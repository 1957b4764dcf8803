//! The Internet checksum, from a header to the largest packet, hot in the first cache.
#![allow(missing_docs, reason = "what `criterion_group!` makes has none")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ipencap_bench::contenders::{etherparse, internet_checksum, limit, ours, plain, pnet, smoltcp};
use ipencap_bench::{Contender, fixtures, is_limit, settings};

type Checksum = fn(&[u8]) -> u16;

const CONTENDERS: [Contender<Checksum>; 8] = [
    Contender {
        name: "ipencap",
        run: ours::checksum,
    },
    Contender {
        name: "etherparse",
        run: etherparse::checksum,
    },
    Contender {
        name: "smoltcp",
        run: smoltcp::checksum,
    },
    Contender {
        name: "pnet_packet",
        run: pnet::checksum,
    },
    Contender {
        name: "internet-checksum",
        run: internet_checksum::checksum,
    },
    Contender {
        name: "plain",
        run: plain::checksum,
    },
    Contender {
        name: "limit_load_words",
        run: limit::load_words,
    },
    Contender {
        name: "limit_load_vectors",
        run: limit::load_vectors,
    },
];

/// For 20 bytes there is a door of its own.
const HEADER: Contender<Checksum> = Contender {
    name: "ipencap_add_header",
    run: ours::header_checksum,
};

const SIZES: [usize; 9] = [20, 40, 64, 128, 256, 512, 1500, 9000, 65535];

/// All lengths to 299 and the sizes measured, at every alignment, in bytes that carry much and none.
fn verify() {
    let lengths = (0..300).chain(SIZES);
    for len in lengths {
        for (start, bytes) in (0..8).flat_map(|start| {
            let len = start + len;
            [vec![0; len], vec![0xff; len], fixtures::bytes(len, 3)].map(|bytes| (start, bytes))
        }) {
            let bytes = &bytes[start..];
            let expected = ours::checksum(bytes);
            for Contender { name, run } in CONTENDERS.into_iter().chain([HEADER]) {
                // pnet_packet says 0 for no bytes at all, where the sum's complement is 0xffff.
                let is_known = name == "pnet_packet" && bytes.is_empty();
                if !is_limit(name) && !is_known {
                    assert_eq!(run(bytes), expected, "{name} on {len} bytes at {start}");
                }
            }
        }
    }
}

fn bench(criterion: &mut Criterion) {
    verify();
    let mut group = criterion.benchmark_group("checksum");
    for size in SIZES {
        group.throughput(Throughput::Bytes(size as u64));
        let bytes = fixtures::bytes(size, 1);
        let header = (size == 20).then_some(HEADER);
        for Contender { name, run } in CONTENDERS.into_iter().chain(header) {
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                bencher.iter(|| run(black_box(&bytes)));
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = settings();
    targets = bench
}
criterion_main!(benches);
