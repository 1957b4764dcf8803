//! IP-in-IP, one to four layers: one hot packet, one call.
//!
//! | group | job |
//! |---|---|
//! | `ipip_encap` | validate the inner packet, write the headers |
//! | `ipip_encap_proven` | write the headers in front of a packet that somebody else has validated |
//! | `ipip_decap_headers` | validate the headers, find the inner packet |
//! | `ipip_decap` | the whole pipeline; peers have none and validate all headers, the inner one too |
#![allow(missing_docs, reason = "what `criterion_group!` makes has none")]

use criterion::{Criterion, criterion_group, criterion_main};
use ipencap_bench::contenders::limit::{Load, Store};
use ipencap_bench::contenders::ours::{
    Choice, Decap, Encap, EncapProven, InspectWithoutFilter, Ipip, IpipArray, ParseOnly,
    ProveThenEncap, Receivers, Setup, Tunnels,
};
use ipencap_bench::contenders::peers;
use ipencap_bench::fixtures::{self, Payload};
use ipencap_bench::packet_work::{Case, PacketContender, bench_one, contender};
use ipencap_bench::{settings, verify};

/// What everybody does who wraps a packet into `N` headers of together `LEN` bytes.
fn encap<const N: usize, const LEN: usize>() -> Vec<PacketContender<Setup>>
where
    Ipip<N>: Choice,
    IpipArray<N>: Choice,
{
    peers::listed(
        [
            contender::<_, Encap<Ipip<N>>>("ipencap"),
            contender::<_, ProveThenEncap<Ipip<N>>>("ipencap_prove"),
            contender::<_, Encap<IpipArray<N>>>("ipencap_array"),
        ],
        peers::ipip::<N, true>(),
        [contender::<_, Store<LEN>>("limit_store")],
    )
}

fn encap_proven<const N: usize, const LEN: usize>() -> Vec<PacketContender<Setup>>
where
    Ipip<N>: Choice,
    IpipArray<N>: Choice,
{
    peers::listed(
        [
            contender::<_, EncapProven<Ipip<N>>>("ipencap"),
            contender::<_, EncapProven<IpipArray<N>>>("ipencap_array"),
        ],
        peers::ipip::<N, false>(),
        [contender::<_, Store<LEN>>("limit_store")],
    )
}

fn decap_headers<const N: usize, const LEN: usize>() -> Vec<PacketContender<Setup>> {
    peers::listed(
        [contender::<_, ParseOnly<N>>("ipencap")],
        peers::unwrap::<N, false>(),
        [contender::<_, Load<LEN>>("limit_load")],
    )
}

fn decap<const N: usize, const LEN: usize>() -> Vec<PacketContender<Setup>>
where
    Ipip<N>: Receivers,
{
    let mut contenders = vec![contender::<_, Decap<Ipip<N>>>("ipencap")];
    if N == 1 {
        contenders.push(contender::<_, InspectWithoutFilter>("ipencap_no_filter"));
    }
    contenders.extend(peers::unwrap::<N, true>());
    contenders.push(contender::<_, Load<LEN>>("limit_load"));
    contenders
}

fn depth<const N: usize, const LEN: usize, const LEN_AND_INNER: usize>(
    criterion: &mut Criterion,
    setup: &Setup,
    inner_lens: &[usize],
) where
    Ipip<N>: Choice + Receivers,
    IpipArray<N>: Choice,
{
    let encap = encap::<N, LEN>();
    let encap_proven = encap_proven::<N, LEN>();
    let decap_headers = decap_headers::<N, LEN>();
    let decap = decap::<N, LEN_AND_INNER>();

    // Every ToS, and lengths around the words; then every bit of the first header.
    for tos in 0..=255 {
        let inner = fixtures::packet(28 + usize::from(tos), tos, Payload::Udp, u64::from(tos));
        let case = Case::new(format!("ToS {tos:#x}"), &inner);
        verify::packet_work(&encap, setup, &case);
        verify::packet_work(&encap_proven, setup, &case);
        let outer = wrapped::<N>(setup, &case);
        verify::packet_work(&decap_headers, setup, &outer);
        verify::packet_work(&decap, setup, &outer);
        if tos % 16 == 0 {
            verify::refusals(&encap, setup, &case);
            verify::refusals(&decap_headers, setup, &outer);
            verify::refusals(&decap, setup, &outer);
        }
    }

    let label = |len| format!("x{N}, {len} B");
    let inners: Vec<_> = inner_lens
        .iter()
        .map(|&len| Case::new(label(len), &fixtures::packet(len, 0xb8, Payload::Udp, 1)))
        .collect();
    let outers: Vec<_> = inners
        .iter()
        .map(|case| wrapped::<N>(setup, case))
        .collect();
    bench_one(criterion, "ipip_encap", &encap, setup, &inners);
    bench_one(
        criterion,
        "ipip_encap_proven",
        &encap_proven,
        setup,
        &inners,
    );
    bench_one(
        criterion,
        "ipip_decap_headers",
        &decap_headers,
        setup,
        &outers,
    );
    bench_one(criterion, "ipip_decap", &decap, setup, &outers);
}

/// The case's packet inside `N` headers.
fn wrapped<const N: usize>(setup: &Setup, case: &Case) -> Case
where
    Ipip<N>: Choice,
{
    let mut case = case.clone();
    let run = contender::<_, Encap<Ipip<N>>>("ipencap").one.run;
    let start = run(setup, &mut case.buffer, case.packet);
    case.packet = (start..case.packet.end()).into();
    case
}

fn bench(criterion: &mut Criterion) {
    let layers = fixtures::layers();
    let setup = (layers, Tunnels::new(&layers));
    depth::<1, 20, 40>(criterion, &setup, &[64, 1400]);
    depth::<2, 40, 60>(criterion, &setup, &[64]);
    depth::<3, 60, 80>(criterion, &setup, &[64]);
    depth::<4, 80, 100>(criterion, &setup, &[64]);
}

criterion_group! {
    name = benches;
    config = settings();
    targets = bench
}
criterion_main!(benches);
