//! Inputs for the laws of endpoints: peers that come and go, packets from both sides, and time.

use arbitrary::{Arbitrary, Result, Unstructured};
use ipencap::encap::{InnerChecksum, PerPacket};
use ipencap::pmtu::PathMtuConfig;
use ipencap::time::Duration;
use ipencap::tunnel::{EndpointConfig, Identifications, MssPolicy, MtuPolicy, PeerPolicy};

use super::odds;
use crate::oracle::{
    self, Ids, NaiveGre, NaiveIpIp, NaiveMinimal, NaiveTunnel, NaiveUdp, Net, OuterPolicy, Plain,
    Ports, Summed, UdpKind,
};

/// A change of who the peers are. Numbers name peers in the order in which they came, again from the
/// start behind the last.
#[derive(Clone, Debug)]
pub enum PeerChange {
    /// A peer comes.
    Add(NaiveTunnel, PeerPolicy),
    /// A peer moves.
    Replace(usize, NaiveTunnel, PeerPolicy),
    /// A peer goes.
    Remove(usize),
    /// A peer gets a prefix.
    Allow(usize, Net),
    /// A peer loses a prefix.
    Disallow(usize, Net),
}

/// Peers that come and go.
#[derive(Clone, Debug)]
pub struct PeersCase {
    /// How many peers, arrivals, prefixes, and own addresses and ports there may be.
    pub rooms: [usize; 4],
    /// The changes.
    pub changes: Vec<PeerChange>,
}

/// The door through which a packet goes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointDoor {
    /// In place.
    InPlace,
    /// Judged only, and written by the caller.
    Judged,
    /// Through a socket.
    Payload,
}

/// A packet from the network.
#[derive(Clone, Debug)]
pub enum Coming {
    /// From a peer, with this inner packet.
    FromPeer {
        /// Which.
        peer: usize,
        /// The inner packet.
        inner: Vec<u8>,
        /// The identification of the outer one.
        identification: u16,
        /// The ECN field of the outer one.
        ecn: u8,
        /// The MTU by which it was split, and which fragment comes.
        fragment: Option<(u16, usize)>,
        /// A change of one byte, and whether the header checksum was mended.
        change: Option<(usize, u8, bool)>,
    },
    /// An ICMP error about an outer packet that was sent, so many packets ago.
    Report {
        /// Type, code, MTU.
        kind: (u8, u8, u16),
        /// How many packets ago.
        ago: usize,
        /// How much is quoted.
        quote_len: usize,
        /// A change of one byte of the quote.
        change: Option<(usize, u8)>,
    },
    /// Any packet.
    Any(Vec<u8>),
}

/// One thing that happens.
#[derive(Clone, Debug)]
pub enum Step {
    /// The peers change.
    Peers(PeerChange),
    /// A packet comes from the inner side.
    Outbound(EndpointDoor, u32, Vec<u8>, PerPacket),
    /// A packet comes from the network.
    Inbound(EndpointDoor, Coming),
    /// The system refuses a length.
    LocalMtu(usize, u16),
    /// A router has told the system of an MTU.
    ReportedMtu(usize, u16),
    /// The system cannot reach a peer.
    Unreachable(usize),
    /// What is due is asked for.
    Expire,
    /// The link changes.
    LinkMtu(u16),
}

/// What an endpoint lives through.
#[derive(Clone, Debug)]
pub struct EndpointCase {
    /// Its configuration, but for the rate of ICMP errors.
    pub config: EndpointConfig,
    /// Whether it may send ICMP errors.
    pub may_answer: bool,
    /// Whether it joins fragments.
    pub joins: bool,
    /// What happens, and when, in milliseconds.
    pub steps: Vec<(u64, Step)>,
}

const OURS: [[u8; 4]; 2] = [[198, 51, 100, 1], [198, 51, 100, 2]];
const THEIRS: [[u8; 4]; 3] = [[203, 0, 113, 2], [203, 0, 113, 3], [203, 0, 113, 4]];

fn outer(u: &mut Unstructured<'_>) -> Result<OuterPolicy> {
    Ok(OuterPolicy {
        source: *u.choose(&[OURS[0], OURS[0], OURS[0], OURS[1]])?,
        destination: *u.choose(&THEIRS)?,
        ttl: *u.choose(&[Some(64), None])?,
        dscp: *u.choose(&[None, None, Some(46)])?,
        ecn: *u.choose(&[oracle::ECN_NORMAL, oracle::ECN_COMPATIBILITY])?,
        df_follows: *u.choose(&[None, Some(Ids::PerPacket), Some(Ids::Constant(9))])?,
        atomic_identification: 0,
        forwards: odds(u, 1, 4)?,
        hairpin: false,
        link_mtu: *u.choose(&[None, None, None, Some(1300)])?,
    })
}

fn tunnel(u: &mut Unstructured<'_>) -> Result<NaiveTunnel> {
    let outer = outer(u)?;
    Ok(match u.int_in_range(0..=6u8)? {
        0 | 1 => NaiveTunnel::IpIp(NaiveIpIp(outer)),
        2 | 3 => NaiveTunnel::Udp(NaiveUdp {
            outer,
            destination_port: *u.choose(&[5555, 5556])?,
            source_port: None,
            ports: Ports::Dynamic,
            seed: 0,
            checksum: *u.choose(&[Summed::Offload, Summed::Zero])?,
            kind: UdpKind::Direct,
            receives_gue: false,
            requires_checksum: false,
        }),
        4 | 5 => {
            let number = *u.choose(&[None, Some(0)])?;
            NaiveTunnel::Gre(NaiveGre {
                outer,
                key: *u.choose(&[None, Some(1), Some(2)])?,
                checksum: odds(u, 1, 3)?,
                number,
                wants_sequence: number.is_some(),
            })
        }
        _ => NaiveTunnel::Minimal(NaiveMinimal {
            outer,
            keeps_source: true,
        }),
    })
}

fn policy(u: &mut Unstructured<'_>) -> Result<PeerPolicy> {
    Ok(PeerPolicy {
        mtu: match u.int_in_range(0..=5u8)? {
            0 => MtuPolicy::Static(*u.choose(&[1000, 9000, 60])?),
            1 => MtuPolicy::Discover(PathMtuConfig {
                floor: 68,
                ..PathMtuConfig::DEFAULT
            }),
            _ => MtuPolicy::Discover(PathMtuConfig::DEFAULT),
        },
        mss: *u.choose(&[MssPolicy::Path, MssPolicy::Off, MssPolicy::AtMost(1000)])?,
        tenant: *u.choose(&[0, 0, 0, 7])?,
        source_port: *u.choose(&[None, None, Some(50_000)])?,
        keepalive: *u.choose(&[None, Some(Duration::from_secs(25)), Some(Duration::ZERO)])?,
        silence: *u.choose(&[None, Some(Duration::from_secs(60)), Some(Duration::ZERO)])?,
        ..PeerPolicy::DEFAULT
    })
}

fn net(u: &mut Unstructured<'_>) -> Result<Net> {
    Ok(*u.choose(&[
        ([10, 2, 0, 0], 16),
        ([10, 0, 0, 0], 8),
        ([10, 3, 0, 0], 16),
        ([10, 2, 0, 0], 24),
        ([0, 0, 0, 0], 0),
        ([10, 2, 0, 9], 32),
    ])?)
}

fn change(u: &mut Unstructured<'_>) -> Result<PeerChange> {
    let peer = usize::from(u.arbitrary::<u8>()?);
    Ok(match u.int_in_range(0..=9u8)? {
        0..=2 => PeerChange::Add(tunnel(u)?, policy(u)?),
        3..=5 => PeerChange::Allow(peer, net(u)?),
        6 => PeerChange::Disallow(peer, net(u)?),
        7 => PeerChange::Remove(peer),
        _ => PeerChange::Replace(peer, tunnel(u)?, policy(u)?),
    })
}

impl<'a> Arbitrary<'a> for PeersCase {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let room = |u: &mut Unstructured<'_>| Ok(*u.choose(&[8, 3, 2, 1, 0])?);
        Ok(Self {
            rooms: [room(u)?, room(u)?, room(u)?, room(u)?],
            changes: (0..u.int_in_range(0..=24u8)?)
                .map(|_| change(u))
                .collect::<Result<_>>()?,
        })
    }
}

/// A packet of inner hosts.
fn inner(u: &mut Unstructured<'_>, is_ours: bool) -> Result<Vec<u8>> {
    let [near, far] = [
        [10, 1, 0, 5],
        *u.choose(&[[10, 2, 0, 9], [10, 2, 7, 7], [10, 3, 0, 1]])?,
    ];
    let (mut source, mut destination) = if is_ours { (near, far) } else { (far, near) };
    match u.int_in_range(0..=19u8)? {
        0 => source = *u.choose(&[THEIRS[0], OURS[0], [127, 0, 0, 1], [224, 0, 0, 1]])?,
        1 => destination = *u.choose(&[THEIRS[0], OURS[0], [224, 0, 0, 1], [10, 9, 9, 9]])?,
        2 => (source, destination) = (OURS[0], THEIRS[0]),
        _ => {}
    }
    let len = match u.int_in_range(0..=3u8)? {
        0 => usize::from(u.arbitrary::<u8>()?),
        1 => u.int_in_range(1200..=1500)?,
        2 => u.int_in_range(0..=3000)?,
        _ => *u.choose(&[40, 8, 0, 1232, 1440, 1472, 1480])?,
    };
    let mut payload: Vec<u8> = (0..len).map(|number| number.to_le_bytes()[0]).collect();
    let protocol = *u.choose(&[253, 253, 6, 6, 1, 4, 47, 17])?;
    let mut header = Plain {
        tos: *u.choose(&[0, 0, 2, 3])?,
        identification: *u.choose(&[1, 2])?,
        flags_offset: *u.choose(&[0x4000, 0x4000, 0, 0, 0x2000, 0x0009])?,
        ttl: *u.choose(&[64, 64, 64, 1, 0])?,
        source,
        destination,
        ..Plain::of(protocol)
    };
    match protocol {
        6 => {
            header.flags_offset &= 0xe000;
            let mss: u16 = *u.choose(&[1460, 1200, 536, 9000])?;
            let [high, low] = mss.to_be_bytes();
            let flags = *u.choose(&[2, 18, 16])?;
            let mut segment = vec![0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x60, flags];
            segment.extend([0xff, 0xff, 0, 0, 0, 0, 2, 4, high, low]);
            segment.extend(&payload[..payload.len().min(40)]);
            payload = segment;
        }
        1 => {
            payload.splice(0..0, [*u.choose(&[8, 3, 42])?, 0, 0, 0, 0, 1, 0, 1]);
            if header.flags_offset.trailing_zeros() >= 13 {
                oracle::put_u16(&mut payload, 2, 0);
                let checksum = oracle::checksum(&payload);
                oracle::put_u16(&mut payload, 2, checksum);
            }
        }
        17 => {
            let port: u16 = *u.choose(&[5555, 5556, 53])?;
            let [high, low] = port.to_be_bytes();
            payload.splice(0..0, [0x0f, 0xa0, high, low, 0, 8, 0, 0]);
        }
        _ => {}
    }
    if odds(u, 1, 8)? {
        header.options = vec![0x94, 4, 0, 0];
        if odds(u, 1, 4)? {
            header.options = vec![7, 3, 4, 0];
        }
    }
    let mut packet = header.packet(&payload);
    if protocol == 6 {
        if let Some((at, _)) = oracle::syn_at(&packet) {
            let checksum = oracle::tcp_checksum(&oracle::covered_by_tcp(&packet, at));
            oracle::put_u16(&mut packet, at + 16, checksum);
        }
    } else if odds(u, 1, 12)? {
        let at = u.int_in_range(0..=19usize)?;
        packet[at] ^= 1 << u.int_in_range(0..=7u8)?;
    }
    if odds(u, 1, 12)? {
        packet.extend([0xee; 5]);
    }
    Ok(packet)
}

fn said(u: &mut Unstructured<'_>) -> Result<PerPacket> {
    let mut said = PerPacket::new();
    if odds(u, 1, 6)? {
        said = said.with_identification(u.arbitrary()?);
    }
    if odds(u, 1, 6)? {
        said = said.with_sequence(u.arbitrary()?);
    }
    if odds(u, 1, 8)? {
        said = said.with_link_mtu(*u.choose(&[1280, 600, 100, 65_535])?);
    }
    if odds(u, 1, 8)? {
        said = said.with_flow_hash(u.arbitrary()?);
    }
    if odds(u, 1, 8)? {
        said = said.with_segment_len(*u.choose(&[1460, 500, 60, 3000])?);
    }
    if odds(u, 1, 12)? {
        said = said.with_inner_checksum(InnerChecksum::Partial);
    }
    Ok(said)
}

fn coming(u: &mut Unstructured<'_>) -> Result<Coming> {
    Ok(match u.int_in_range(0..=9u8)? {
        0..=5 => {
            let fragment = if odds(u, 1, 3)? {
                Some((*u.choose(&[1000, 600])?, u.int_in_range(0..=3usize)?))
            } else {
                None
            };
            Coming::FromPeer {
                peer: usize::from(u.arbitrary::<u8>()?),
                inner: if fragment.is_some() {
                    // The same ones often, so that fragments meet.
                    let len = *u.choose(&[1200, 1100])?;
                    let header = Plain {
                        source: *u.choose(&[[10, 2, 0, 9], [10, 3, 0, 1]])?,
                        destination: [10, 1, 0, 5],
                        flags_offset: 0,
                        ..Plain::of(253)
                    };
                    header.packet(&vec![7; len])
                } else {
                    inner(u, false)?
                },
                identification: *u.choose(&[1, 2, 3])?,
                ecn: *u.choose(&[0, 0, 0, 2, 3])?,
                fragment,
                change: if odds(u, 1, 6)? {
                    Some((
                        u.int_in_range(0..=60)?,
                        1 << u.int_in_range(0..=7u8)?,
                        u.arbitrary()?,
                    ))
                } else {
                    None
                },
            }
        }
        6..=8 => Coming::Report {
            kind: *u.choose(&[
                (3, 4, 1400),
                (3, 4, 1000),
                (3, 4, 576),
                (3, 4, 100),
                (3, 4, 0),
                (3, 4, 67),
                (3, 4, 9000),
                (3, 0, 0),
                (3, 1, 0),
                (3, 2, 0),
                (3, 3, 0),
                (3, 5, 0),
                (3, 13, 0),
                (4, 0, 0),
                (5, 0, 0),
                (11, 0, 0),
                (11, 1, 0),
                (12, 0, 0),
                (8, 0, 0),
            ])?,
            ago: usize::from(u.int_in_range(0..=3u8)?),
            quote_len: *u.choose(&[28, 48, 56, 64, 100, 548])?,
            change: if odds(u, 1, 8)? {
                Some((u.int_in_range(0..=60)?, 1 << u.int_in_range(0..=7u8)?))
            } else {
                None
            },
        },
        _ => {
            let header = Plain {
                source: *u.choose(&[[192, 0, 2, 254], THEIRS[0], OURS[0], [127, 0, 0, 1]])?,
                destination: *u.choose(&[OURS[0], OURS[0], [192, 0, 2, 9]])?,
                flags_offset: *u.choose(&[0, 0, 0, 0x2000])?,
                ..Plain::of(*u.choose(&[1, 4, 6, 17, 47, 55, 41, 99])?)
            };
            let mut payload = *u.choose(&[
                [8, 0, 0xf7, 0xfe, 0, 0, 0, 1, 9, 9],
                [0xc0, 0, 0x15, 0xb3, 0, 10, 0, 0, 9, 9],
                [0x20, 0, 8, 0, 0, 0, 0, 2, 9, 9],
            ])?;
            payload[8] = u.arbitrary()?;
            Coming::Any(header.packet(&payload[..u.int_in_range(0..=10)?]))
        }
    })
}

fn door(u: &mut Unstructured<'_>) -> Result<EndpointDoor> {
    Ok(*u.choose(&[
        EndpointDoor::InPlace,
        EndpointDoor::InPlace,
        EndpointDoor::Judged,
        EndpointDoor::Payload,
    ])?)
}

fn step(u: &mut Unstructured<'_>) -> Result<Step> {
    let peer = usize::from(u.arbitrary::<u8>()?);
    Ok(match u.int_in_range(0..=19u8)? {
        0 => Step::Peers(change(u)?),
        1 => Step::LocalMtu(peer, *u.choose(&[1400, 1000, 500, 60, 9000])?),
        2 if odds(u, 1, 2)? => Step::ReportedMtu(peer, *u.choose(&[1400, 1000, 500, 60, 9000, 0])?),
        2 => Step::Unreachable(peer),
        3 => Step::Expire,
        4 if odds(u, 1, 2)? => Step::LinkMtu(*u.choose(&[1500, 1400, 9000, 600, 65_535, 60])?),
        4..=11 => Step::Outbound(
            door(u)?,
            *u.choose(&[0, 0, 0, 7, 9])?,
            inner(u, true)?,
            said(u)?,
        ),
        _ => Step::Inbound(door(u)?, coming(u)?),
    })
}

impl<'a> Arbitrary<'a> for EndpointCase {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let identifications = *u.choose(&[
            Identifications::SEQUENTIAL,
            Identifications::keyed(0x1b87_3bd5_d8a4_5f11),
            Identifications::keyed(5).with_shard(3, 4),
        ])?;
        let config = EndpointConfig {
            link_mtu: *u.choose(&[1500, 1500, 1500, 1400, 9000, 65_535])?,
            icmp_source: *u.choose(&[None, Some([10, 1, 0, 1].into())])?,
            icmp_quote_len: *u.choose(&[548, 28, 0, 100, 65_535])?,
            identifications,
            ..EndpointConfig::DEFAULT
        };
        let (may_answer, joins) = (odds(u, 7, 8)?, odds(u, 2, 3)?);
        let mut steps = vec![];
        // Without peers little happens.
        for number in 0..u.int_in_range(1..=3u8)? {
            let mut policy = policy(u)?;
            if odds(u, 2, 3)? {
                policy.source_port = None;
                policy.tenant = 0;
            }
            steps.push((0, Step::Peers(PeerChange::Add(tunnel(u)?, policy))));
            let net = [
                ([10, 2, 0, 0], 16),
                ([10, 3, 0, 0], 16),
                ([10, 2, 7, 0], 24),
            ];
            let net = net[usize::from(number)];
            steps.push((0, Step::Peers(PeerChange::Allow(number.into(), net))));
        }
        let mut now: u64 = 0;
        for _ in 0..u.int_in_range(0..=24u8)? {
            now = match u.int_in_range(0..=15u8)? {
                0 => now.saturating_sub(u.arbitrary::<u32>()?.into()),
                1 => now.saturating_add(u.arbitrary::<u32>()?.into()),
                2 => now.saturating_add(u64::from(u.arbitrary::<u16>()?) * 16),
                3 if odds(u, 1, 8)? => u.arbitrary()?,
                _ => now.saturating_add(u.arbitrary::<u8>()?.into()),
            };
            steps.push((now, step(u)?));
        }
        Ok(Self {
            config,
            may_answer,
            joins,
            steps,
        })
    }
}
