//! Packets on a byte stream behind a 2-byte length, in bursts; times are by the packet.
//!
//! Ours validates every packet on both sides, the others know bytes only.
#![allow(missing_docs, reason = "what `criterion_group!` makes has none")]

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ipencap_bench::contenders::stream::{self, Deframe, FrameBurst, Received};
use ipencap_bench::contenders::tokio_util::{self, TokioUtil};
use ipencap_bench::{Contender, settings};

const BURST: usize = 64;

type Frame = fn(&mut FrameBurst) -> usize;

const FRAMERS: [Contender<Frame>; 6] = [
    Contender {
        name: "ipencap",
        run: stream::frame_in_place,
    },
    Contender {
        name: "ipencap_copied",
        run: stream::frame_copied,
    },
    Contender {
        name: "tokio-util",
        run: tokio_util::frame,
    },
    Contender {
        name: "plain",
        run: stream::frame_plain,
    },
    Contender {
        name: "limit_store",
        run: stream::limit_store,
    },
    Contender {
        name: "limit_copy",
        run: stream::limit_copy,
    },
];

const DEFRAMERS: [Contender<fn(&mut Received)>; 3] = [
    Contender {
        name: "ipencap",
        run: deframe::<stream::Ours>,
    },
    Contender {
        name: "tokio-util",
        run: deframe::<TokioUtil>,
    },
    Contender {
        name: "plain",
        run: deframe::<stream::Plain>,
    },
];

#[inline(never)]
fn deframe<D: Deframe>(received: &mut Received) {
    D::run(received, |packet| {
        black_box(packet);
    });
}

fn deframed<D: Deframe>(stream: &[u8]) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    D::run(&mut Received::new(stream), |packet| {
        packets.push(packet.to_vec());
    });
    packets
}

/// Everybody makes the same stream of the same packets, and takes the same packets off it.
fn verified_stream(len: usize) -> Vec<u8> {
    let mut burst = FrameBurst::new(BURST, len);
    let stream_len = stream::frame_in_place(&mut burst);
    let expected = burst.frames_in_place();
    assert_eq!(stream_len, expected.len());
    stream::frame_copied(&mut burst);
    assert_eq!(burst.output, expected, "ipencap, copied");
    stream::frame_plain(&mut burst);
    assert_eq!(burst.output, expected, "plain");
    tokio_util::frame(&mut burst);
    assert_eq!(burst.encoded, expected, "tokio-util");

    let packets = deframed::<stream::Ours>(&expected);
    let originals: Vec<_> = burst.shared.iter().map(|packet| packet.to_vec()).collect();
    assert_eq!(packets, originals, "ipencap");
    assert_eq!(deframed::<TokioUtil>(&expected), packets, "tokio-util");
    assert_eq!(deframed::<stream::Plain>(&expected), packets, "plain");
    expected
}

fn bench(criterion: &mut Criterion) {
    for len in [64, 1400] {
        let stream = verified_stream(len);

        let mut group = criterion.benchmark_group("stream_frame");
        group.throughput(Throughput::Elements(BURST as u64));
        let mut burst = FrameBurst::new(BURST, len);
        for Contender { name, run } in FRAMERS {
            group.bench_function(BenchmarkId::new(name, len), |bencher| {
                bencher.iter(|| run(black_box(&mut burst)));
            });
        }
        group.finish();

        let mut group = criterion.benchmark_group("stream_deframe");
        group.throughput(Throughput::Elements(BURST as u64));
        for Contender { name, run } in DEFRAMERS {
            group.bench_function(BenchmarkId::new(name, len), |bencher| {
                // A codec consumes its buffer, so everybody gets a new one, outside of the time.
                bencher.iter_batched_ref(
                    || Received::new(&stream),
                    |received| run(black_box(received)),
                    BatchSize::PerIteration,
                );
            });
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = settings();
    targets = bench
}
criterion_main!(benches);
