//! No packet vanishes: it arrives, or its source is told the MTU that fits, or a reason is counted.
//!
//! | test | stacks | lengths |
//! |---|---|---|
//! | here, in every build | 12 of one to four layers | all from 20 to 2000 |
//! | | all 1554 of one to four layers | those around what fits |
//! | ignored, because it takes minutes | all 1554 | all from 20 to 2000 |
//!
//! Each with DF and without, on links of seven MTUs, with the path MTU as configured, lowered by a router, lowered
//! by the system, and raised again.

use core::net::Ipv4Addr;
use core::num::NonZero;
use std::thread;

use ipencap::decap::Prefix;
use ipencap::encap::{AnyTunnel, MinEnc, Tunnel};
use ipencap::error::EncapError;
use ipencap::icmp::{BucketConfig, Kind};
use ipencap::packet::{Packet, Span};
use ipencap::shim::{Fou, Gre, Gue, IpIp, Tcp};
use ipencap::time::{Duration, Instant};
use ipencap::tunnel::{
    Cause, Counters, Endpoint, EndpointConfig, Event, Inbound, OnePeer, Outbound, Path, PeerPolicy,
    Peers,
};
use ipencap_kit::oracle;

use crate::ends::{FAR, NEAR, SAID, START, at, inner, prefix, too_big};

/// A layer, and the length of its headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layer {
    IpIp,
    Fou,
    Gue,
    Gre,
    MinEnc,
    Tcp,
}

use Layer::{Fou as F, Gre as G, Gue as U, IpIp as I, MinEnc as M, Tcp as T};

const LAYERS: [Layer; 6] = [I, F, U, G, M, T];

impl Layer {
    const fn overhead(self) -> u16 {
        match self {
            Self::IpIp => 20,
            Self::Fou | Self::Gre => 28,
            Self::Gue => 32,
            Self::MinEnc => 12,
            Self::Tcp => 40,
        }
    }

    fn tunnel(self, from: Ipv4Addr, to: Ipv4Addr) -> AnyTunnel {
        match self {
            Self::IpIp => Tunnel::new(from, to, IpIp).unwrap().into(),
            Self::Fou => Tunnel::new(from, to, Fou::new(5555)).unwrap().into(),
            Self::Gue => Tunnel::new(from, to, Gue::new()).unwrap().into(),
            Self::Gre => Tunnel::new(from, to, Gre::new().with_key(7))
                .unwrap()
                .into(),
            Self::MinEnc => MinEnc::new(from, to).unwrap().into(),
            Self::Tcp => Tunnel::new(from, to, Tcp::new(40_001, 443)).unwrap().into(),
        }
    }
}

const LINKS: [u16; 7] = [68, 576, 1280, 1400, 1492, 1500, 9000];

/// How the path MTU came to what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Configured,
    Reported,
    Refused,
    Raised,
}

const STATES: [State; 4] = [
    State::Configured,
    State::Reported,
    State::Refused,
    State::Raised,
];

type End<'a> = Endpoint<'a, OnePeer<'a, &'a [AnyTunnel]>, Counters>;

const HEADROOM: usize = 200;

/// The longest inner packet.
const LONGEST: usize = 2000;

/// Where packets lie, one after the other.
struct Buffers {
    /// As it is sent.
    sent: Vec<u8>,
    /// As it was.
    inner: Vec<u8>,
    /// As it arrives.
    outer: Vec<u8>,
}

impl Buffers {
    fn new() -> Self {
        Self {
            sent: vec![0xa5; HEADROOM + LONGEST],
            inner: inner(LONGEST, true),
            outer: vec![0; HEADROOM + LONGEST],
        }
    }

    /// Makes the inner packet one of this length and flag.
    fn prepare(&mut self, len: usize, has_df: bool) {
        oracle::put_u16(&mut self.inner, 2, u16::try_from(len).unwrap());
        self.inner[6] = if has_df { 0x40 } else { 0 };
        oracle::fill_checksum(&mut self.inner[..20]);
        self.sent[HEADROOM..HEADROOM + len].copy_from_slice(&self.inner[..len]);
    }
}

/// Sends a packet of this length; the number of outer packets, and what was said.
///
/// Asserts that each is no longer than `path_mtu`, that the far end opens it, and that its packet is the inner one
/// or the next part of it.
fn send(
    near: &mut End<'_>,
    far: &mut End<'_>,
    now: Instant,
    buffers: &mut Buffers,
    len: usize,
    path_mtu: u16,
) -> (Outbound, usize) {
    let Buffers { sent, inner, outer } = buffers;
    let (mut count, mut next) = (0, 20);
    let mut packet = Packet::new(sent, Span::new(HEADROOM, len));
    let verdict = near.send(now, &mut packet, &SAID, |written| {
        assert!(written.len() <= usize::from(path_mtu));
        let arriving = &mut outer[..written.len()];
        arriving.copy_from_slice(written);
        let verdict = far.receive(now, arriving);
        let Inbound::Deliver { opened, .. } = verdict else {
            panic!("{verdict:?}")
        };
        let arrived = opened.span().get(arriving).unwrap();
        let flags_offset = oracle::u16_at(arrived, 6);
        let end = next + arrived.len() - 20;
        if arrived.len() == len {
            assert!(arrived == &inner[..len]);
        } else {
            assert_eq!(usize::from(flags_offset & 0x1fff) * 8, next - 20);
            assert_eq!(flags_offset & 0xe000 != 0, end < len);
            assert!(oracle::verifies(&arrived[..20]));
            assert!(arrived[20..] == inner[next..end]);
            assert!(arrived[12..20] == inner[12..20] && arrived[4..6] == inner[4..6]);
        }
        next = end;
        count += 1;
    });
    assert!(count == 0 || next == len, "{next} of {len} bytes arrive");
    (verdict, count)
}

/// What becomes of packets of these lengths through a stack, the innermost layer first.
#[allow(
    clippy::too_many_lines,
    reason = "one story from the first packet to the sums"
)]
fn walk(
    layers: &[Layer],
    link_mtu: u16,
    state: State,
    buffers: &mut Buffers,
    lens: impl Fn(u16) -> Vec<usize>,
) {
    let stack = |is_near: bool| -> Vec<AnyTunnel> {
        let layers = (1..).zip(layers).map(|(number, layer)| {
            let ends = [1, 2].map(|end| Ipv4Addr::new(198, 51, number, end));
            let [from, to] = if is_near { ends } else { [ends[1], ends[0]] };
            layer.tunnel(from, to)
        });
        layers.collect()
    };
    let (out, back) = (stack(true), stack(false));
    let (mut near_path, mut far_path) = ([Path::EMPTY], [Path::EMPTY]);
    let config = EndpointConfig {
        link_mtu,
        icmp_rate: BucketConfig {
            per_second: u16::MAX,
            burst: u16::MAX,
            key: 1,
        },
        ..EndpointConfig::DEFAULT
    };
    let (behind_near, behind_far): ([Prefix; 1], [Prefix; 1]) = ([prefix(NEAR)], [prefix(FAR)]);
    let peers = OnePeer::new(&out[..], &behind_far).with_policy(PeerPolicy::DEFAULT);
    let mut near = Endpoint::new(peers, &mut near_path, config).with_tally(Counters::new());
    let peers = OnePeer::new(&back[..], &behind_near);
    let mut far = Endpoint::new(peers, &mut far_path, config).with_tally(Counters::new());
    let id = near.peers().at(0).unwrap();

    let overhead: u16 = layers.iter().map(|layer| layer.overhead()).sum();
    let (mut now, mut path_mtu, mut calls) = (START, link_mtu, 0);
    if state != State::Configured {
        let lowered = link_mtu.min(1600) - link_mtu.min(1600) / 10;
        if state == State::Refused {
            path_mtu = lowered.max(68);
            let _ = near.local_mtu(now, id, lowered);
        } else {
            // A router cannot lower it below the floor, nor without a packet that is too long for it.
            if lowered < 552 {
                return;
            }
            let len = usize::from(link_mtu.min(1600) - overhead);
            buffers.prepare(len, true);
            let mut quote = [0; 200];
            let mut packet = Packet::new(&mut buffers.sent, Span::new(HEADROOM, len));
            let verdict = near.send(now, &mut packet, &SAID, |outer| {
                quote.copy_from_slice(&outer[..200]);
            });
            calls += 1;
            assert!(matches!(verdict, Outbound::Send { .. }), "{verdict:?}");
            let report = too_big(&quote, lowered);
            let verdict = near.inbound(now, &report);
            let heard = match verdict {
                // The source of the quoted packet is told the MTU that fits.
                Inbound::Relay {
                    error, inner_mtu, ..
                } => {
                    assert_eq!(error.kind(), Kind::FragmentationNeeded { mtu: inner_mtu });
                    inner_mtu
                }
                // Minimal encapsulation has moved its header, so the next one is.
                Inbound::Learnt { inner_mtu, .. } if layers.contains(&M) => inner_mtu,
                _ => panic!("{verdict:?}"),
            };
            assert_eq!(heard, lowered - overhead);
            path_mtu = lowered;
            if state == State::Raised {
                now = at(600);
                path_mtu = link_mtu;
            }
        }
    }
    let fits = path_mtu.saturating_sub(overhead);
    assert_eq!(near.inner_mtu(now, id), Some(fits));
    let mut arrived = 0;
    for len in lens(fits) {
        for has_df in [true, false] {
            now = now + Duration::from_millis(1);
            buffers.prepare(len, has_df);
            let (verdict, count) = send(&mut near, &mut far, now, buffers, len, path_mtu);
            calls += 1;
            arrived += count;
            let case = || format!("{layers:?} {link_mtu} {state:?} {len} {has_df}: {verdict:?}");
            if len <= usize::from(fits) {
                assert!(
                    matches!(verdict, Outbound::Send { .. }) && count == 1,
                    "{}",
                    case()
                );
                continue;
            }
            match verdict {
                _ if fits < 68 => {
                    let too_small = matches!(
                        verdict,
                        Outbound::Drop {
                            cause: Cause::MtuTooSmall,
                            ..
                        }
                    );
                    assert!(too_small && count == 0, "{}", case());
                }
                Outbound::Answer { error, .. } => {
                    assert!(has_df && count == 0, "{}", case());
                    assert_eq!(
                        error.kind(),
                        Kind::FragmentationNeeded { mtu: fits },
                        "{}",
                        case()
                    );
                }
                Outbound::Split { plan, .. } => {
                    assert!(!has_df && count == usize::from(plan.count()), "{}", case());
                }
                // RFC 2004 §3.
                Outbound::Drop {
                    cause: Cause::Encap(EncapError::Fragment),
                    ..
                } => {
                    assert!(!has_df && layers[0] == M && count == 0, "{}", case());
                }
                _ => panic!("{}", case()),
            }
        }
    }
    assert_eq!(near.tally().outbound(), calls);
    assert_eq!(
        far.tally().packets(Event::Delivered),
        u64::try_from(arrived).unwrap()
    );
    assert_eq!(far.tally().inbound(), u64::try_from(arrived).unwrap());
}

/// All stacks of one to four layers.
fn stacks() -> Vec<Vec<Layer>> {
    let mut all: Vec<Vec<Layer>> = vec![];
    let mut longest: Vec<Vec<Layer>> = vec![vec![]];
    for _ in 0..4 {
        longest = longest
            .iter()
            .flat_map(|stack| LAYERS.map(|layer| [&stack[..], &[layer]].concat()))
            .collect();
        all.extend(longest.clone());
    }
    all
}

/// I-14, I-15, A-14, A-18: every length through stacks of each depth.
#[test]
fn x_13_a_14_no_length_vanishes() {
    let stacks: [&[Layer]; 12] = [
        &[I],
        &[F],
        &[U],
        &[G],
        &[M],
        &[T],
        &[I, F],
        &[M, I],
        &[I, G, F],
        &[G, M, T],
        &[I, I, I, I],
        &[F, T, U, G],
    ];
    let mut buffers = Buffers::new();
    for layers in stacks {
        for link_mtu in LINKS {
            for state in STATES {
                walk(layers, link_mtu, state, &mut buffers, |_| {
                    (20..=LONGEST).collect()
                });
            }
        }
    }
}

/// The same through every stack, of lengths around those that fit.
#[test]
fn x_13_a_14_no_stack_swallows() {
    let edges = |fits: u16| {
        let fits = usize::from(fits);
        let around = fits.saturating_sub(9)..=fits + 9;
        let all = around.chain([20, 21, 67, 68, 69, 576, 1500, 1999, LONGEST]);
        all.filter(|len| (20..=LONGEST).contains(len))
            .step_by(2)
            .collect()
    };
    let mut buffers = Buffers::new();
    for layers in stacks() {
        for link_mtu in LINKS {
            for state in STATES {
                walk(&layers, link_mtu, state, &mut buffers, edges);
            }
        }
    }
}

/// The same through every stack, of every length. `cargo test --test endpoint -- --ignored` runs it.
#[test]
#[ignore = "takes minutes; CI runs it"]
fn x_13_a_14_no_length_vanishes_in_any_stack() {
    let stacks = stacks();
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        for first in 0..threads {
            let own = stacks.iter().skip(first).step_by(threads);
            scope.spawn(|| {
                let mut buffers = Buffers::new();
                for layers in own {
                    for link_mtu in LINKS {
                        for state in STATES {
                            walk(layers, link_mtu, state, &mut buffers, |_| {
                                (20..=LONGEST).collect()
                            });
                        }
                    }
                }
            });
        }
    });
}
