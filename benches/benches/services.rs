//! A whole load balancer with 1,000 virtual IPs and 10,000 backends: find the pool of the packet's VIP and the backend
//! of its flow in a Maglev table, validate the packet, wrap it, and count it.
//!
//! Times are by the packet, out of batches: of 64 hot packets, of 4096, and of a ring that no cache holds.
#![allow(missing_docs, reason = "what `criterion_group!` makes has none")]

use core::fmt::Debug;

use criterion::{Criterion, criterion_group, criterion_main};
use ipencap::Span;
use ipencap::encap::Tunnel;
use ipencap::shim::Shim;
use ipencap_balance::State;
use ipencap_bench::contenders::ours::ipip;
use ipencap_bench::contenders::services::{
    INNER_LEN, Ours, Rows, Services, each_row, everybody, to_vips,
};
use ipencap_bench::fixtures::{self, Ring, START};
use ipencap_bench::packet_work::{bench_batch, contender};
use ipencap_bench::settings;

fn peers(criterion: &mut Criterion) {
    let [layer, ..] = fixtures::layers();
    let services = Services::new(layer, State::Active, ipip);
    let (_, l3) = fixtures::cache_sizes();
    let inner = Span::new(START, INNER_LEN);
    for (group, window, count) in [
        ("services_hot", 64, 64),
        ("services_all_vips", 4096, 4096),
        ("services_beyond_l3", 4096, fixtures::packets_beyond(l3)),
    ] {
        let mut ring = Ring::new(count, INNER_LEN);
        to_vips(&mut ring);
        let row = ("IP-in-IP", window);
        let ring = (&mut ring, inner);
        bench_batch(criterion, group, row, &everybody(), &services, ring);
    }
}

/// How much a policy takes, beside the default.
fn policies(criterion: &mut Criterion) {
    struct Bench<'c>(&'c mut Criterion);

    impl Rows for Bench<'_> {
        fn row<S: Shim + Debug + 'static>(
            &mut self,
            label: &'static str,
            services: Services<Tunnel<S>>,
        ) {
            let mut ring = Ring::new(4096, INNER_LEN);
            to_vips(&mut ring);
            let ours = [contender::<_, Ours>("ipencap")];
            let (row, ring) = ((label, 4096), (&mut ring, Span::new(START, INNER_LEN)));
            bench_batch(self.0, "services_policies", row, &ours, &services, ring);
        }
    }

    each_row(&mut Bench(criterion));
}

criterion_group! {
    name = benches;
    config = settings();
    targets = peers, policies
}
criterion_main!(benches);
