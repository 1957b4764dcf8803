//! The encapsulators with what a naive one would do: a file each, an `impl Enrol` each.

use core::any::Any;
use core::fmt::{self, Debug};
use core::net::Ipv4Addr;

use arbitrary::{Result, Unstructured};
use ipencap::Span;
use ipencap::encap::{
    self, Carrier, Decapsulate, Decapsulator, EgressDscp, Encapsulate, Gre, InnerTunnels, IpIp,
    Opened, OuterMeta, PerPacket, SocketCarrier, Tcp, Udp, inspect_without_filter,
};
use ipencap::error::{EncapError, Refused};
use ipencap::filter::{Access, PointToPoint, Prefix};
use ipencap::packet::PacketMeta;

use crate::generate::{mtu, odds};
use crate::oracle::{self, Ids, NaiveCarrier, NaiveEncapsulator, OuterPolicy, Switches};
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
pub use stack::StackSubject;
pub use tcp::TcpSubject;
pub use udp::UdpSubject;

/// One layer: an encapsulator `E`, a decapsulator of carrier `C` at its other end, and the naive
/// form `N` of both.
pub struct Layer<E, C, N> {
    encapsulator: E,
    carrier: C,
    decapsulator: Decapsulator<C, PointToPoint<'static>>,
    naive: N,
    inspect_payload: Option<InspectPayload<C>>,
    payload_form: Option<PayloadForm<E>>,
}

/// `Decapsulator::inspect_payload`, of a decapsulator that is made for the call.
type InspectPayload<C> =
    fn(C, &dyn Access, Switches, &OuterMeta, &[u8]) -> core::result::Result<Opened, Refused>;

/// How an encapsulator writes what goes through a socket.
struct PayloadForm<E> {
    overhead: fn(&E) -> usize,
    encap: fn(&E, &mut [u8], &PerPacket) -> core::result::Result<PacketMeta, EncapError>,
}

impl<E, C: Carrier + Copy + 'static, N> Layer<E, C, N> {
    fn new(encapsulator: E, carrier: C, naive: N, ends: &OuterPolicy) -> Self {
        let access = PointToPoint::new(ends.destination.into(), ends.source.into(), &[Prefix::ANY]);
        Self {
            encapsulator,
            carrier,
            decapsulator: Decapsulator::new(carrier, access),
            naive,
            inspect_payload: None,
            payload_form: None,
        }
    }

    /// The same with a carrier over a protocol that hosts have sockets for.
    fn over_sockets(self) -> Self
    where
        C: SocketCarrier,
    {
        Self {
            inspect_payload: Some(|carrier, access, switches, meta, payload| {
                switched(carrier, access, switches).inspect_payload(meta, payload)
            }),
            ..self
        }
    }

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

/// `encapsulator` as a layer of a template, if it is one of those.
fn template_layer<E: 'static>(encapsulator: &E) -> Option<encap::Layer> {
    let any: &dyn Any = encapsulator;
    let ipip = any.downcast_ref::<IpIp>().copied().map(encap::Layer::from);
    let udp = any.downcast_ref::<Udp>().copied().map(encap::Layer::from);
    let tcp = any.downcast_ref::<Tcp>().copied().map(encap::Layer::from);
    let gre = any.downcast_ref::<Gre>().copied().map(encap::Layer::from);
    ipip.or(udp).or(tcp).or(gre)
}

impl<E, C, N> Subject for Layer<E, C, N>
where
    E: Encapsulate + 'static,
    C: Carrier + Copy + 'static,
    N: NaiveEncapsulator + NaiveCarrier,
{
    fn encapsulator(&self) -> &dyn Encapsulate {
        &self.encapsulator
    }

    fn decapsulator(&self) -> &dyn Decapsulate {
        &self.decapsulator
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

    fn layer(&self) -> Option<encap::Layer> {
        template_layer(&self.encapsulator)
    }

    fn payload_overhead(&self) -> Option<usize> {
        let form = self.payload_form.as_ref()?;
        Some((form.overhead)(&self.encapsulator))
    }

    fn encap_payload(
        &self,
        frame: &mut [u8],
        packet: &PerPacket,
    ) -> Option<core::result::Result<PacketMeta, EncapError>> {
        let form = self.payload_form.as_ref()?;
        Some((form.encap)(&self.encapsulator, frame, packet))
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
    C: Carrier + Copy + 'static,
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
        inspect_without_filter(&self.carrier, packet)
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
fn switched<C: Carrier, A: Access>(
    carrier: C,
    access: A,
    switches: Switches,
) -> Decapsulator<C, A> {
    let mut receiver = Decapsulator::new(carrier, access)
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

/// The policies of `$outer` on the encapsulator `$tunnel`, which has the methods but no trait for
/// them.
macro_rules! with_outer {
    ($tunnel:expr, $outer:expr) => {{
        use core::num::NonZeroU8;
        use ipencap::encap::{DfPolicy, DscpPolicy, EcnPolicy, IdSource, Role, TtlPolicy};
        let outer: $crate::oracle::OuterPolicy = $outer;
        let mut tunnel = $tunnel
            .with_ttl(match outer.ttl {
                Some(ttl) => TtlPolicy::Fixed(NonZeroU8::new(ttl).unwrap()),
                None => TtlPolicy::Inherit,
            })
            .with_dscp(match outer.dscp {
                Some(dscp) => DscpPolicy::Fixed(ipencap::wire::Dscp::new(dscp).unwrap()),
                None => DscpPolicy::Copy,
            })
            .with_ecn(match outer.ecn {
                $crate::oracle::ECN_COMPATIBILITY => EcnPolicy::Compatibility,
                $crate::oracle::ECN_RFC3168 => EcnPolicy::Rfc3168,
                _ => EcnPolicy::Normal,
            })
            .with_df(match outer.df_follows {
                Some($crate::oracle::Ids::PerPacket) => DfPolicy::Copy(IdSource::PerPacket),
                Some($crate::oracle::Ids::Constant(constant)) => {
                    DfPolicy::Copy(IdSource::Constant(constant))
                }
                None => DfPolicy::Set,
            })
            .with_atomic_identification(outer.atomic_identification)
            .with_role(if outer.forwards {
                Role::Forward
            } else {
                Role::Originate
            });
        if outer.hairpin {
            tunnel = tunnel.allowing_hairpin();
        }
        if let Some(mtu) = outer.link_mtu {
            tunnel = tunnel.with_link_mtu(mtu);
        }
        tunnel
    }};
}
use with_outer;
