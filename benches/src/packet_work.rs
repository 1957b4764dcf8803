//! Work on one packet in a buffer, timed alone or in a batch, by the same call for everybody.

use core::fmt::{Debug, Display};
use core::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use ipencap::Span;

use crate::Contender;
use crate::fixtures::{Ring, START, STRIDE};
use crate::verify;

/// What a contender does to one packet.
pub trait PacketWork<S> {
    /// Works on the packet at `packet` in `buffer`. Answers where the result starts, or another
    /// number that tells the work was done; [`REFUSED`] if the packet is not valid.
    fn run(setup: &S, buffer: &mut [u8], packet: Span) -> usize;
}

/// The answer to a packet that is not valid.
pub const REFUSED: usize = usize::MAX;

/// The call by which everybody is timed.
pub type Run<S> = fn(&S, &mut [u8], Span) -> usize;

/// A contender on packets, in the two forms in which it is called.
#[derive(Debug)]
pub struct PacketContender<S> {
    /// One packet: one call.
    pub one: Contender<Run<S>>,
    /// All slots of a window: one call, the work inlined in its loop. The answer joins all answers.
    pub batch: Run<S>,
    /// The same, of which it first touches the headers of a few packets at once: their lines come together.
    pub bursts: Run<S>,
}

/// A contender that does `W`.
pub fn contender<S, W: PacketWork<S>>(name: &'static str) -> PacketContender<S> {
    PacketContender {
        one: Contender {
            name,
            run: one::<S, W>,
        },
        batch: batch::<S, W>,
        bursts: bursts::<S, W>,
    }
}

#[inline(never)]
fn one<S, W: PacketWork<S>>(setup: &S, buffer: &mut [u8], packet: Span) -> usize {
    W::run(setup, buffer, packet)
}

#[inline(never)]
fn batch<S, W: PacketWork<S>>(setup: &S, window: &mut [u8], packet: Span) -> usize {
    let mut answers = 0;
    for slot in window.chunks_exact_mut(STRIDE) {
        answers ^= W::run(setup, slot, packet);
    }
    answers
}

/// So many packets are touched before the work on the first of them begins.
pub const BURST: usize = 16;

#[inline(never)]
fn bursts<S, W: PacketWork<S>>(setup: &S, window: &mut [u8], packet: Span) -> usize {
    let mut answers = 0;
    for burst in window.chunks_mut(BURST * STRIDE) {
        let firsts = burst.chunks_exact(STRIDE).map(|slot| slot[packet.start]);
        black_box(firsts.fold(0, |all, first| all ^ first));
        for slot in burst.chunks_exact_mut(STRIDE) {
            answers ^= W::run(setup, slot, packet);
        }
    }
    answers
}

/// One packet as input of a group, with the name of its row.
#[derive(Clone, Debug)]
pub struct Case {
    /// The name of the row.
    pub label: String,
    /// The buffer, the packet in it.
    pub buffer: Vec<u8>,
    /// Where the packet lies.
    pub packet: Span,
}

impl Case {
    /// `packet` behind [`START`] bytes.
    pub fn new(label: impl Display, packet: &[u8]) -> Self {
        let mut buffer = vec![0; START];
        buffer.extend_from_slice(packet);
        Self {
            label: label.to_string(),
            buffer,
            packet: Span::new(START, packet.len()),
        }
    }
}

/// Times every contender on one packet, after the proof that all do the same to it.
pub fn bench_one<S: Debug>(
    criterion: &mut Criterion,
    group: &str,
    contenders: &[PacketContender<S>],
    setup: &S,
    cases: &[Case],
) {
    let mut group = criterion.benchmark_group(group);
    for case in cases {
        verify::packet_work(contenders, setup, case);
        for contender in contenders {
            let Contender { name, run } = contender.one;
            let id = BenchmarkId::new(name, &case.label);
            let mut buffer = case.buffer.clone();
            group.bench_function(id, |bencher| {
                bencher.iter(|| {
                    run(
                        black_box(setup),
                        black_box(&mut buffer),
                        black_box(case.packet),
                    )
                });
            });
        }
    }
    group.finish();
}

/// Times every contender on windows of `count` packets of a ring, and reports it by the packet.
pub fn bench_batch<S: Debug>(
    criterion: &mut Criterion,
    group: &str,
    (label, count): (&str, usize),
    contenders: &[PacketContender<S>],
    setup: &S,
    (ring, packet): (&mut Ring, Span),
) {
    let slot = &ring.bytes[..STRIDE];
    let case = Case {
        label: label.to_owned(),
        buffer: slot.to_vec(),
        packet,
    };
    verify::packet_work(contenders, setup, &case);
    let mut group = criterion.benchmark_group(group);
    group.throughput(Throughput::Elements(count as u64));
    for contender in contenders {
        let id = BenchmarkId::new(contender.one.name, label);
        group.bench_function(id, |bencher| {
            let run = contender.batch;
            bencher.iter(|| {
                let window = black_box(ring.window(count));
                run(black_box(setup), window, black_box(packet))
            });
        });
    }
    group.finish();
}
