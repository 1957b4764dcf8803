//! The encapsulators with what a naive one would do: a file each, an `impl Enrol` each.

use core::fmt::{self, Debug};
use core::net::Ipv4Addr;
use core::num::NonZeroU8;

use arbitrary::{Result, Unstructured};
use ipencap::Span;
use ipencap::decap::{Access, PointToPoint, Prefix};
use ipencap::decap::{
    Decapsulate, EgressDscp, InnerTunnels, Opened, OuterMeta, Receiver, inspect_without_filter,
};
use ipencap::encap::{
    self, AnyTunnel, DfPolicy, DscpPolicy, EcnPolicy, Encapsulate, IdSource, MinEnc, PerPacket,
    Role, TtlPolicy, Tunnel,
};
use ipencap::error::{EncapError, Refused};
use ipencap::packet::Facts;
use ipencap::shim::{
    ChecksumPolicy, Fou, Gre, GreInUdp, Gue, GueVariant1, IpIp, Shim, SocketShim, Tcp,
};
use ipencap::wire::Dscp;

use crate::generate::{mtu, odds};
use crate::oracle::{
    self, Ids, NaiveCarrier, NaiveEncapsulator, NaiveTunnel, OuterPolicy, Summed, Switches,
};
use crate::registry::{CarrierSubject, Door, Endpoints, Subject, Wishes};

mod gre;
mod ipip;
mod minimal;
mod stack;
mod tcp;
mod udp;

pub use gre::GreSubject;
pub use ipip::IpIpSubject;
pub use minimal::MinEncSubject;
pub use stack::{AnyTunnels, Array, Combine, StackSubject, Tuple};
pub use tcp::TcpSubject;
pub use udp::{FouSubject, GreInUdpSubject, GueSubject, GueVariant1Subject, UdpSubject};

/// A tunnel, and the form it has among tunnels that are chosen at run time.
pub trait RuntimeForm: Encapsulate + Copy + 'static {
    /// The same tunnels as [`AnyTunnel`]s, the innermost first; `None` where one of them is not among
    /// those.
    fn any_tunnels(&self) -> Option<Vec<AnyTunnel>>;
}

macro_rules! any_tunnel {
    ($($tunnel:ty),+) => { $(
        impl RuntimeForm for $tunnel {
            fn any_tunnels(&self) -> Option<Vec<AnyTunnel>> {
                Some(vec![(*self).into()])
            }
        }
    )+ };
}

any_tunnel!(
    Tunnel<IpIp>,
    Tunnel<Fou>,
    Tunnel<Gue>,
    Tunnel<GueVariant1>,
    Tunnel<GreInUdp>,
    Tunnel<Tcp>,
    Tunnel<Gre>,
    MinEnc,
    AnyTunnel
);

/// Private words have a length that is known at compile time: there is no run-time form.
impl RuntimeForm for Tunnel<Gue<2>> {
    fn any_tunnels(&self) -> Option<Vec<AnyTunnel>> {
        None
    }
}

impl<I: RuntimeForm, O: RuntimeForm> RuntimeForm for (I, O) {
    fn any_tunnels(&self) -> Option<Vec<AnyTunnel>> {
        Some([self.0.any_tunnels()?, self.1.any_tunnels()?].concat())
    }
}

impl<T: RuntimeForm, const N: usize> RuntimeForm for [T; N] {
    fn any_tunnels(&self) -> Option<Vec<AnyTunnel>> {
        let layers: Option<Vec<_>> = self.iter().map(RuntimeForm::any_tunnels).collect();
        Some(layers?.concat())
    }
}

/// One layer: an encapsulator `E`, a decapsulator of `C` at its other end, and the naive form `N` of
/// both.
pub struct Layer<E, C, N> {
    encapsulator: E,
    carrier: C,
    decapsulator: Receiver<C, PointToPoint<'static>>,
    matching: Receiver<C, PointToPoint<'static>>,
    naive: N,
    inspect_without_filter: InspectWithoutFilter<C>,
    inspect_payload: Option<InspectPayload<C>>,
    payload_form: Option<PayloadForm<E>>,
}

/// `inspect_without_filter` of a carrier.
type InspectWithoutFilter<C> = fn(&C, &[u8]) -> core::result::Result<Opened, Refused>;

/// `Receiver::inspect_payload`, of a decapsulator that is made for the call.
type InspectPayload<C> =
    fn(C, &dyn Access, Switches, &OuterMeta, &[u8]) -> core::result::Result<Opened, Refused>;

/// How an encapsulator writes what goes through a socket.
struct PayloadForm<E> {
    overhead: fn(&E) -> usize,
    encap: fn(&E, &mut [u8], &PerPacket) -> core::result::Result<Facts, EncapError>,
    train: PayloadTrain<E>,
}

/// `Tunnel::encap_payload_train`.
type PayloadTrain<E> =
    fn(&E, &mut [u8], usize, &PerPacket) -> core::result::Result<(usize, Facts), EncapError>;

/// The far end of the tunnel: it takes any inner packet.
fn far_end(ends: &OuterPolicy) -> PointToPoint<'static> {
    PointToPoint::new(ends.destination.into(), ends.source.into(), &[Prefix::ANY])
}

impl<S: Shim + 'static, N> Layer<Tunnel<S>, S, N> {
    /// A tunnel with the policies of `outer` and the shim `sent`, and a receiver with `received`.
    fn of_tunnel(outer: &OuterPolicy, sent: S, received: S, naive: N) -> Self {
        let (source, destination) = ends(outer);
        let tunnel = Tunnel::new(source, destination, sent).unwrap();
        let encapsulator = tunnel.with_policy(library_policy(outer));
        Self {
            encapsulator,
            carrier: received,
            decapsulator: Receiver::new(received, far_end(outer)),
            matching: encapsulator.receiver(far_end(outer)),
            naive,
            inspect_without_filter,
            inspect_payload: None,
            payload_form: None,
        }
    }

    /// The same with a shim over a protocol that hosts have sockets for.
    fn over_sockets(self) -> Self
    where
        S: SocketShim,
    {
        Self {
            inspect_payload: Some(|carrier, access, switches, meta, payload| {
                switched(carrier, access, switches).inspect_payload(meta, payload)
            }),
            ..self
        }
    }
}

impl<E, C, N> Layer<E, C, N> {
    /// The same with an encapsulator that writes what goes through a socket.
    fn with_payload_form(self, payload_form: PayloadForm<E>) -> Self {
        Self {
            payload_form: Some(payload_form),
            ..self
        }
    }
}

impl<E, C, N: Debug> Debug for Layer<E, C, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.naive)
    }
}

impl<E, C, N> Subject for Layer<E, C, N>
where
    E: RuntimeForm,
    C: Copy + 'static,
    for<'a> Receiver<C, PointToPoint<'a>>: Decapsulate,
    for<'a> Receiver<C, &'a dyn Access>: Decapsulate,
    N: NaiveEncapsulator + NaiveCarrier,
{
    fn encapsulator(&self) -> &dyn Encapsulate {
        &self.encapsulator
    }

    fn any_tunnels(&self) -> Option<Vec<AnyTunnel>> {
        self.encapsulator.any_tunnels()
    }

    fn decapsulator(&self) -> &dyn Decapsulate {
        &self.decapsulator
    }

    fn matching_receiver(&self) -> Box<dyn Decapsulate + '_> {
        Box::new(self.matching)
    }

    fn encap(
        &self,
        door: Door,
        buffer: &mut [u8],
        inner: Span,
        packet: &PerPacket,
    ) -> core::result::Result<Span, EncapError> {
        door.encap(&self.encapsulator, buffer, inner, packet)
    }

    fn payload_overhead(&self) -> Option<usize> {
        let form = self.payload_form.as_ref()?;
        Some((form.overhead)(&self.encapsulator))
    }

    fn encap_payload(
        &self,
        frame: &mut [u8],
        packet: &PerPacket,
    ) -> Option<core::result::Result<Facts, EncapError>> {
        let form = self.payload_form.as_ref()?;
        Some((form.encap)(&self.encapsulator, frame, packet))
    }

    fn encap_payload_train(
        &self,
        segments: &mut [u8],
        segment_len: usize,
        packet: &PerPacket,
    ) -> Option<core::result::Result<(usize, Facts), EncapError>> {
        let form = self.payload_form.as_ref()?;
        Some((form.train)(
            &self.encapsulator,
            segments,
            segment_len,
            packet,
        ))
    }

    fn naive(&self) -> &dyn NaiveEncapsulator {
        &self.naive
    }

    fn carrier(&self) -> Option<&dyn CarrierSubject> {
        Some(self)
    }
}

impl<E, C, N> CarrierSubject for Layer<E, C, N>
where
    C: Copy + 'static,
    for<'a> Receiver<C, &'a dyn Access>: Decapsulate,
    N: NaiveCarrier,
{
    fn receiver<'a>(
        &self,
        access: &'a dyn Access,
        switches: Switches,
    ) -> Box<dyn Decapsulate + 'a> {
        Box::new(switched(self.carrier, access, switches))
    }

    fn inspect_without_filter(&self, packet: &[u8]) -> core::result::Result<Opened, Refused> {
        (self.inspect_without_filter)(&self.carrier, packet)
    }

    fn inspect_payload(
        &self,
        access: &dyn Access,
        switches: Switches,
        meta: &OuterMeta,
        payload: &[u8],
    ) -> Option<core::result::Result<Opened, Refused>> {
        let inspect = self.inspect_payload?;
        Some(inspect(self.carrier, access, switches, meta, payload))
    }

    fn naive(&self) -> &dyn NaiveCarrier {
        &self.naive
    }
}

/// A decapsulator with these switches.
fn switched<C, A>(carrier: C, access: A, switches: Switches) -> Receiver<C, A> {
    let mut receiver = Receiver::new(carrier, access)
        .with_max_depth(switches.max_depth)
        .with_inner_tunnels(if switches.refuse_tunnels {
            InnerTunnels::Refuse
        } else {
            InnerTunnels::Transit
        })
        .with_egress_dscp(if switches.uniform_dscp {
            EgressDscp::Uniform
        } else {
            EgressDscp::Keep
        });
    if switches.multicast {
        receiver = receiver.allowing_multicast();
    }
    if switches.class_e {
        receiver = receiver.allowing_class_e();
    }
    if switches.own_source {
        receiver = receiver.allowing_own_source();
    }
    if switches.to_peer {
        receiver = receiver.allowing_destination_peer();
    }
    if switches.exact_length {
        receiver = receiver.with_exact_length();
    }
    if switches.no_land {
        receiver = receiver.refusing_land();
    }
    receiver
}

/// The default policies of an outer header.
fn typical_outer(endpoints: Endpoints) -> OuterPolicy {
    OuterPolicy {
        source: endpoints.source,
        destination: endpoints.destination,
        ttl: Some(64),
        dscp: None,
        ecn: oracle::ECN_NORMAL,
        df_follows: None,
        atomic_identification: 0,
        forwards: false,
        hairpin: false,
        link_mtu: None,
    }
}

/// The name of a choice, and what it changes.
type Choice = (&'static str, fn(&mut OuterPolicy));

/// The policies of an outer header, one choice of each kind beside the default.
const CHOICES: [Choice; 9] = [
    ("TTL 255", |outer| outer.ttl = Some(255)),
    ("TTL inherited", |outer| outer.ttl = None),
    ("DSCP 46", |outer| outer.dscp = Some(46)),
    ("ECN compatibility", |outer| {
        outer.ecn = oracle::ECN_COMPATIBILITY;
    }),
    ("ECN RFC 3168", |outer| outer.ecn = oracle::ECN_RFC3168),
    ("DF copied, identification said", |outer| {
        outer.df_follows = Some(Ids::PerPacket);
    }),
    ("DF copied, constant", |outer| {
        outer.df_follows = Some(Ids::Constant(0xbeef));
    }),
    ("identification", |outer| {
        outer.atomic_identification = 0x1234;
    }),
    ("forwarding", |outer| outer.forwards = true),
];

/// The default policies of an outer header, and each other choice by itself, by name.
#[must_use]
pub fn single_policies(endpoints: Endpoints) -> Vec<(&'static str, OuterPolicy)> {
    let typical = typical_outer(endpoints);
    let mut policies = vec![("default", typical)];
    for (name, choose) in CHOICES {
        let mut policy = typical;
        choose(&mut policy);
        policies.push((name, policy));
    }
    policies
}

/// Every set of these choices; of two that exclude each other the later counts.
#[must_use]
pub fn all_policies(endpoints: Endpoints) -> Vec<OuterPolicy> {
    (0..1_u32 << CHOICES.len())
        .map(|chosen| {
            let mut policy = typical_outer(endpoints);
            for (bit, (_, choose)) in CHOICES.iter().enumerate() {
                if chosen >> bit & 1 == 1 {
                    choose(&mut policy);
                }
            }
            policy
        })
        .collect()
}

/// Arbitrary policies of an outer header.
fn generated_outer(u: &mut Unstructured<'_>, wishes: Wishes) -> Result<OuterPolicy> {
    Ok(OuterPolicy {
        ttl: match u.int_in_range(0..=2u8)? {
            0 => Some(64),
            // A TTL that a forwarding layer around this one would take to 0 is refused.
            1 => Some(u.int_in_range(if wishes.may_refuse { 1 } else { 16 }..=255)?),
            _ => None,
        },
        dscp: if odds(u, 1, 3)? {
            Some(u.int_in_range(0..=63)?)
        } else {
            None
        },
        ecn: *u.choose(&[
            oracle::ECN_NORMAL,
            oracle::ECN_COMPATIBILITY,
            oracle::ECN_RFC3168,
        ])?,
        df_follows: match u.int_in_range(0..=3u8)? {
            0 | 1 => None,
            2 => Some(Ids::PerPacket),
            _ => Some(Ids::Constant(u.arbitrary()?)),
        },
        atomic_identification: if odds(u, 1, 4)? { u.arbitrary()? } else { 0 },
        forwards: u.arbitrary()?,
        hairpin: odds(u, 1, 4)?,
        link_mtu: if wishes.may_refuse && odds(u, 1, 4)? {
            Some(mtu(u)?)
        } else {
            None
        },
        ..typical_outer(wishes.endpoints)
    })
}

fn ends(outer: &OuterPolicy) -> (Ipv4Addr, Ipv4Addr) {
    (outer.source.into(), outer.destination.into())
}

/// A naive tunnel of one layer as the library has it, at run time.
#[must_use]
pub fn library_tunnel(naive: &NaiveTunnel) -> AnyTunnel {
    let outer = naive.outer();
    let (source, destination) = ends(outer);
    let policy = library_policy(outer);
    match naive {
        NaiveTunnel::IpIp(_) => Tunnel::new(source, destination, IpIp)
            .unwrap()
            .with_policy(policy)
            .into(),
        NaiveTunnel::Udp(naive) => {
            let checksum = match naive.checksum {
                Summed::Zero => ChecksumPolicy::Zero,
                Summed::Full => ChecksumPolicy::Full,
                Summed::Offload => ChecksumPolicy::Offload,
            };
            let fou = Fou::new(naive.destination_port).with_checksum(checksum);
            Tunnel::new(source, destination, fou)
                .unwrap()
                .with_policy(policy)
                .into()
        }
        NaiveTunnel::Gre(naive) => {
            let gre = gre::sent(naive);
            Tunnel::new(source, destination, gre)
                .unwrap()
                .with_policy(policy)
                .into()
        }
        NaiveTunnel::Minimal(_) => MinEnc::new(source, destination)
            .unwrap()
            .with_role(role(outer))
            .with_link_mtu(outer.link_mtu)
            .into(),
    }
}

fn library_policy(outer: &OuterPolicy) -> encap::OuterPolicy {
    encap::OuterPolicy {
        ttl: match outer.ttl {
            Some(ttl) => TtlPolicy::Fixed(NonZeroU8::new(ttl).unwrap()),
            None => TtlPolicy::Inherit,
        },
        dscp: match outer.dscp {
            Some(dscp) => DscpPolicy::Fixed(Dscp::new(dscp).unwrap()),
            None => DscpPolicy::Copy,
        },
        ecn: match outer.ecn {
            oracle::ECN_COMPATIBILITY => EcnPolicy::Compatibility,
            oracle::ECN_RFC3168 => EcnPolicy::Rfc3168,
            _ => EcnPolicy::Normal,
        },
        df: match outer.df_follows {
            Some(Ids::PerPacket) => DfPolicy::Copy(IdSource::PerPacket),
            Some(Ids::Constant(constant)) => DfPolicy::Copy(IdSource::Constant(constant)),
            None => DfPolicy::Set,
        },
        atomic_identification: outer.atomic_identification,
        role: role(outer),
        link_mtu: outer.link_mtu,
        hairpin: outer.hairpin,
    }
}

fn role(outer: &OuterPolicy) -> Role {
    if outer.forwards {
        Role::Forward
    } else {
        Role::Originate
    }
}
