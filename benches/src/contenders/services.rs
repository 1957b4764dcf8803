//! A whole load balancer: 1,000 virtual IPs, 10,000 backends, Maglev tables. All have the same tables, and count
//! packets and bytes by backend.

use core::cell::RefCell;
use core::fmt::Debug;
use core::marker::PhantomData;
use core::net::Ipv4Addr;
use core::num::NonZeroU8;

use ipencap::Span;
use ipencap::encap::{
    DfPolicy, DscpPolicy, EcnPolicy, Encapsulate, IdSource, OuterPolicy, Role, TtlPolicy, Tunnel,
};
use ipencap::shim::{ChecksumPolicy, Gue, IpIp, Shim, SourcePort};
use ipencap::wire::{Dscp, IpProtocol};
use ipencap_balance::{
    Backend, Balancer, Begun, Choice, Member, Outcome, Pool, Set, Slot, Stage, State, Tables, Turn,
    Vip, VipEntry, Vips, build, choose, table_len,
};

use super::etherparse::Etherparse;
use super::peer::{Peer, flow_hash};
use super::plain::Plain;
use super::pnet::Pnet;
use super::smoltcp::Smoltcp;
use crate::fixtures::{Layer, Ring, START, STRIDE, layers, plain_sum};
use crate::packet_work::{PacketContender, PacketWork, REFUSED, contender};

/// The length of the packets, in bytes.
pub const INNER_LEN: usize = 64;

/// How many virtual IPs there are.
pub const VIPS: u16 = 1000;

/// How many backends each has for itself.
pub const BACKENDS_EACH: u16 = 10;

/// The balancer, and the backends as the peers are told them, in lines of a cache as ours are.
#[derive(Debug)]
pub struct Services<T: 'static>(RefCell<(Balancer<'static, T>, Vec<Backend<Layer>>)>);

/// The virtual IP of this number. Four ports of each address.
pub fn vip(number: u16) -> Vip {
    let [high, low] = (number / 4).to_be_bytes();
    Vip {
        address: Ipv4Addr::new(203, 0, high, low),
        port: [53, 80, 443, 8443][usize::from(number % 4)],
        protocol: IpProtocol::UDP,
    }
}

impl<T: 'static> Services<T> {
    /// All tunnels like `layer`, to the backends' addresses. Members in this `state`.
    ///
    /// The memory is never given back: a benchmark is a process.
    pub fn new(layer: Layer, state: State, tunnel: impl Fn(&Layer) -> T) -> Self {
        let mut slots = Vec::new();
        let mut pools = Vec::new();
        let mut layers = Vec::new();
        for number in 0..VIPS {
            let members: Vec<Member> = (0..BACKENDS_EACH)
                .map(|place| {
                    let backend = number * BACKENDS_EACH + place;
                    let [high, low] = backend.to_be_bytes();
                    let destination = Ipv4Addr::new(172, 16, high, low);
                    layers.push(Layer {
                        destination,
                        ..layer
                    });
                    Member {
                        backend,
                        identity: destination.to_bits(),
                        weight: 1,
                        state: if place == 0 { State::Active } else { state },
                    }
                })
                .collect();
            let len = table_len(&members);
            let first = slots.len();
            slots.resize(first + len as usize, Slot::EMPTY);
            let turns = &mut [Turn::default(); BACKENDS_EACH as usize];
            build(&mut slots[first..], &members, turns).expect("a table");
            let first = u32::try_from(first).expect("a place");
            pools.push((vip(number), Pool::new(first, len)));
        }
        let entries = vec![VipEntry::default(); 4096].leak();
        let sets: Vec<Set> = vec![[0; 8]; 8192];
        let balancer = Balancer {
            tables: Tables {
                vips: Vips::new(entries, pools).expect("room for all"),
                slots: slots.leak(),
                begun: Begun::new(sets.leak()),
                seed: core::hint::black_box(0x9747_b28c),
            },
            backends: layers
                .iter()
                .map(|layer| Backend::new(tunnel(layer)))
                .collect::<Vec<_>>()
                .leak(),
        };
        let theirs = layers.into_iter().map(Backend::new).collect();
        Self(RefCell::new((balancer, theirs)))
    }
}

/// Readdresses the UDP packets of a ring to the virtual IPs, one behind the other.
pub fn to_vips(ring: &mut Ring) {
    for (number, slot) in (0..VIPS).cycle().zip(ring.bytes.chunks_exact_mut(STRIDE)) {
        let packet = &mut slot[START..];
        let len = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
        let packet = &mut packet[..len];
        let vip = vip(number);
        packet[16..20].copy_from_slice(&vip.address.octets());
        packet[22..24].copy_from_slice(&vip.port.to_be_bytes());
        packet[10..12].fill(0);
        let checksum = !plain_sum(&packet[..20], 0);
        packet[10..12].copy_from_slice(&checksum.to_be_bytes());
        packet[26..28].fill(0);
        let pseudo = plain_sum(&packet[12..20], 17 + (len as u32 - 20));
        let checksum = !plain_sum(&packet[20..], u32::from(pseudo));
        packet[26..28].copy_from_slice(&checksum.to_be_bytes());
    }
}

/// Ours and the peers, and the way without any crate.
pub fn everybody() -> [PacketContender<Services<Tunnel<IpIp>>>; 5] {
    [
        contender::<_, Ours>("ipencap"),
        contender::<_, Theirs<Etherparse>>("etherparse"),
        contender::<_, Theirs<Smoltcp>>("smoltcp"),
        contender::<_, Theirs<Pnet>>("pnet_packet"),
        contender::<_, Theirs<Plain>>("plain"),
    ]
}

/// Each policy that a tunnel may have, the default first, and all at once last.
pub fn policies() -> [(&'static str, OuterPolicy); 11] {
    let default = OuterPolicy::DEFAULT;
    [
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
    ]
}

/// Something that is done with the balancer of each row.
pub trait Rows {
    /// Does it. All tunnels have this shim and policy, and nine backends in ten this state.
    fn row<S: Shim + Debug + 'static>(
        &mut self,
        label: &'static str,
        services: Services<Tunnel<S>>,
    );
}

/// Every policy, state and tunnel.
pub fn each_row(rows: &mut impl Rows) {
    for (label, policy) in policies() {
        row(rows, label, State::Active, policy, IpIp);
    }
    let default = OuterPolicy::DEFAULT;
    row(rows, "draining", State::Draining, default, IpIp);
    row(rows, "down", State::Down, default, IpIp);
    let gue = Gue::new().with_checksum(ChecksumPolicy::Zero);
    row(rows, "GUE, no checksum", State::Active, default, gue);
    let fixed = gue.with_source_port(SourcePort::Fixed(50_000));
    row(rows, "GUE, fixed port", State::Active, default, fixed);
    let offload = gue.with_checksum(ChecksumPolicy::Offload);
    row(rows, "GUE, checksum", State::Active, default, offload);
}

fn row<S: Shim + Debug + 'static>(
    rows: &mut impl Rows,
    label: &'static str,
    state: State,
    policy: OuterPolicy,
    shim: S,
) {
    let [layer, ..] = layers();
    let tunnel = |layer: &Layer| {
        Tunnel::new(layer.source, layer.destination, shim)
            .expect("addresses of documentation")
            .with_policy(policy)
    };
    rows.row(label, Services::new(layer, state, tunnel));
}

/// Ours: `Balancer::forward`.
#[derive(Debug)]
pub struct Ours;

impl<T: Encapsulate + 'static> PacketWork<Services<T>> for Ours {
    #[inline(always)]
    fn run(services: &Services<T>, buffer: &mut [u8], packet: Span) -> usize {
        match services.0.borrow_mut().0.forward(buffer, packet) {
            Outcome::Send { outer, .. } => outer.start,
            _ => REFUSED,
        }
    }
}

/// The same by a peer: its validation and its header around the same lookup.
#[derive(Debug)]
pub struct Theirs<P>(PhantomData<P>);

impl<T: Debug + 'static, P: Peer> PacketWork<Services<T>> for Theirs<P> {
    #[inline(always)]
    fn run(services: &Services<T>, buffer: &mut [u8], packet: Span) -> usize {
        let bytes = &buffer[packet.start..packet.start + packet.len];
        let Some(seen) = P::validate(bytes) else {
            return REFUSED;
        };
        let port = match bytes.get(seen.header_len + 2..seen.header_len + 4) {
            Some(&[high, low]) if matches!(seen.protocol, 6 | 17) && !seen.is_fragment => {
                u16::from_be_bytes([high, low])
            }
            _ => 0,
        };
        let vip = Vip {
            address: seen.destination,
            port,
            protocol: IpProtocol(seen.protocol),
        };
        let (balancer, backends) = &mut *services.0.borrow_mut();
        let hash = flow_hash(&seen, bytes, balancer.tables.seed);
        // Nobody asks for the stage of a UDP flow.
        let choice = choose(&mut balancer.tables, vip, hash, || Stage::Unknown);
        let Choice::Backend(backend) = choice else {
            return REFUSED;
        };
        let backend = &mut backends[usize::from(backend)];
        backend.count.packets += 1;
        backend.count.bytes += u64::from(seen.total_len);
        let start = packet.start - 20;
        let outer = &mut buffer[start..];
        P::write_ipv4(outer, &backend.tunnel, 4, seen.tos, seen.total_len + 20);
        start
    }
}
