//! A whole load balancer with 1,000 virtual IPs and 10,000 backends: validate the packet, find the pool of its VIP and
//! the backend of its flow in a Maglev table, wrap the packet, and count it.
//!
//! Times are by the packet, out of batches: of 64 hot packets, and of a ring that no cache holds.
#![allow(missing_docs, reason = "what `criterion_group!` makes has none")]

use core::num::NonZeroU8;

use criterion::{Criterion, criterion_group, criterion_main};
use ipencap::Span;
use ipencap::encap::{
    DfPolicy, DscpPolicy, EcnPolicy, IdSource, OuterPolicy, Role, TtlPolicy, Tunnel,
};
use ipencap::shim::{ChecksumPolicy, Gue, IpIp, Shim, SourcePort};
use ipencap::wire::Dscp;
use ipencap_balance::State;
use ipencap_bench::contenders::etherparse::Etherparse;
use ipencap_bench::contenders::ours::ipip;
use ipencap_bench::contenders::plain::Plain;
use ipencap_bench::contenders::pnet::Pnet;
use ipencap_bench::contenders::services::{Ours, Services, Theirs, to_vips};
use ipencap_bench::contenders::smoltcp::Smoltcp;
use ipencap_bench::fixtures::{self, Layer, Ring, START};
use ipencap_bench::packet_work::{PacketContender, bench_batch, contender};
use ipencap_bench::settings;

const INNER_LEN: usize = 64;

fn everybody() -> [PacketContender<Services<Tunnel<IpIp>>>; 5] {
    [
        contender::<_, Ours>("ipencap"),
        contender::<_, Theirs<Etherparse>>("etherparse"),
        contender::<_, Theirs<Smoltcp>>("smoltcp"),
        contender::<_, Theirs<Pnet>>("pnet_packet"),
        contender::<_, Theirs<Plain>>("plain"),
    ]
}

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
    let default = OuterPolicy::DEFAULT;
    let policies = [
        ("default", default),
        (
            "TTL 255",
            OuterPolicy {
                ttl: TtlPolicy::Fixed(NonZeroU8::MAX),
                ..default
            },
        ),
        (
            "TTL inherited",
            OuterPolicy {
                ttl: TtlPolicy::Inherit,
                ..default
            },
        ),
        (
            "DSCP fixed",
            OuterPolicy {
                dscp: DscpPolicy::Fixed(Dscp::DEFAULT),
                ..default
            },
        ),
        (
            "ECN compatibility",
            OuterPolicy {
                ecn: EcnPolicy::Compatibility,
                ..default
            },
        ),
        (
            "ECN as RFC 3168",
            OuterPolicy {
                ecn: EcnPolicy::Rfc3168,
                ..default
            },
        ),
        (
            "DF copied",
            OuterPolicy {
                df: DfPolicy::Copy(IdSource::Constant(7)),
                ..default
            },
        ),
        (
            "link MTU",
            OuterPolicy {
                link_mtu: Some(1500),
                ..default
            },
        ),
        (
            "hairpin",
            OuterPolicy {
                hairpin: true,
                ..default
            },
        ),
        (
            "TTL decremented",
            OuterPolicy {
                role: Role::Forward,
                ..default
            },
        ),
        (
            "all of these",
            OuterPolicy {
                ttl: TtlPolicy::Inherit,
                dscp: DscpPolicy::Fixed(Dscp::DEFAULT),
                ecn: EcnPolicy::Compatibility,
                df: DfPolicy::Copy(IdSource::Constant(7)),
                link_mtu: Some(1500),
                role: Role::Forward,
                hairpin: true,
                ..default
            },
        ),
    ];
    for (label, policy) in policies {
        row(criterion, label, State::Active, policy, IpIp);
    }
    row(criterion, "draining", State::Draining, default, IpIp);
    row(criterion, "down", State::Down, default, IpIp);
    let gue = Gue::new().with_checksum(ChecksumPolicy::Zero);
    row(criterion, "GUE, no checksum", State::Active, default, gue);
    let fixed = gue.with_source_port(SourcePort::Fixed(50_000));
    row(criterion, "GUE, fixed port", State::Active, default, fixed);
    let offload = gue.with_checksum(ChecksumPolicy::Offload);
    row(criterion, "GUE, checksum", State::Active, default, offload);
}

/// `state` is that of nine backends in ten.
fn row<S: Shim + core::fmt::Debug + 'static>(
    criterion: &mut Criterion,
    label: &str,
    state: State,
    policy: OuterPolicy,
    shim: S,
) {
    let [layer, ..] = fixtures::layers();
    let tunnel = |layer: &Layer| {
        Tunnel::new(layer.source, layer.destination, shim)
            .expect("addresses of documentation")
            .with_policy(policy)
    };
    let services = Services::new(layer, state, tunnel);
    let mut ring = Ring::new(4096, INNER_LEN);
    to_vips(&mut ring);
    let ours = [contender::<_, Ours>("ipencap")];
    let ring = (&mut ring, Span::new(START, INNER_LEN));
    bench_batch(
        criterion,
        "services_policies",
        (label, 4096),
        &ours,
        &services,
        ring,
    );
}

criterion_group! {
    name = benches;
    config = settings();
    targets = peers, policies
}
criterion_main!(benches);
