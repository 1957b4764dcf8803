//! Every encapsulator once. The line of a new one in [`ENCAPSULATORS`] enrols it in every law.

use core::fmt::Debug;
use core::net::Ipv4Addr;
use core::num::NonZeroU8;

use arbitrary::{Result, Unstructured};
use ipencap::Span;
use ipencap::encap::{
    Carrier, Decapsulate, Decapsulator, DfPolicy, DscpPolicy, EcnPolicy, EgressDscp, Encapsulate,
    IdSource, InnerTunnels, IpIp, IpIpCarrier, Opened, PerPacket, Role, TtlPolicy,
    inspect_without_filter,
};
use ipencap::error::{EncapError, Reason, Refused};
use ipencap::filter::{Access, PointToPoint, Prefix};
use ipencap::packet::{Packet, PacketMeta};
use ipencap::wire::Dscp;

use crate::generate::{mtu, odds};
use crate::oracle::{self, Fields, Ids, NaiveCarrier, Plain, Rfc2003, Said, Switches};

/// The encapsulators of the library.
pub const ENCAPSULATORS: &[Enrolled] = &[Enrolled::new::<IpIpSubject>("IpIp")];

/// An encapsulator by name, with the two ways to make one.
#[derive(Clone, Copy, Debug)]
pub struct Enrolled {
    /// Its type's name.
    pub name: &'static str,
    generate: fn(&mut Unstructured<'_>, Wishes) -> Result<Box<dyn Subject>>,
    typical: fn(Endpoints) -> Box<dyn Subject>,
}

impl Enrolled {
    const fn new<S: Enrol + 'static>(name: &'static str) -> Self {
        Self {
            name,
            generate: |u, wishes| Ok(Box::new(S::generate(u, wishes)?)),
            typical: |endpoints| Box::new(S::typical(endpoints)),
        }
    }

    /// One with arbitrary policies.
    ///
    /// # Errors
    /// None.
    pub fn generate(&self, u: &mut Unstructured<'_>, wishes: Wishes) -> Result<Box<dyn Subject>> {
        (self.generate)(u, wishes)
    }

    /// One with the default policies, for benches and golden bytes.
    #[must_use]
    pub fn typical(&self, endpoints: Endpoints) -> Box<dyn Subject> {
        (self.typical)(endpoints)
    }
}

/// The two ends of a tunnel.
#[derive(Clone, Copy, Debug)]
pub struct Endpoints {
    /// The encapsulator's address.
    pub source: [u8; 4],
    /// The decapsulator's address.
    pub destination: [u8; 4],
}

/// What a generated encapsulator must look like.
#[derive(Clone, Copy, Debug)]
pub struct Wishes {
    /// Its ends: unicast addresses.
    pub endpoints: Endpoints,
    /// Whether it may refuse an [ordinary packet](crate::generate::OrdinaryPacket) with an ordinal.
    pub may_refuse: bool,
}

/// An encapsulator that can be made for a law.
pub trait Enrol: Subject + Sized {
    /// One with arbitrary policies.
    ///
    /// # Errors
    /// None.
    fn generate(u: &mut Unstructured<'_>, wishes: Wishes) -> Result<Self>;

    /// One with the default policies.
    fn typical(endpoints: Endpoints) -> Self;
}

/// The doors to an encapsulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// `ipencap::encap`.
    Function,
    /// `Encapsulate::encap`.
    Method,
    /// `Packet::encap`.
    Packet,
    /// `Packet::prove`, then `Proven::encap`.
    Proven,
}

impl Door {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Function, Self::Method, Self::Packet, Self::Proven];

    /// Wraps the packet at `inner` through this door; returns where the outer packet lies.
    ///
    /// # Errors
    /// As the door.
    pub fn encap<E: Encapsulate + ?Sized>(
        self,
        tunnel: &E,
        buffer: &mut [u8],
        inner: Span,
        packet: &PerPacket,
    ) -> core::result::Result<Span, EncapError> {
        let outer_start = inner.start.saturating_sub(tunnel.overhead());
        match self {
            Self::Function => {
                let outer = ipencap::encap(tunnel, buffer, inner, packet)?;
                Ok(Span::new(outer_start, outer.len()))
            }
            Self::Method => {
                let end = inner.end().min(buffer.len());
                let frame = &mut buffer[outer_start..end];
                let outer = tunnel.encap(frame, packet)?;
                Ok(Span::new(
                    outer_start,
                    usize::try_from(outer.len()).unwrap(),
                ))
            }
            Self::Packet => {
                let mut place = Packet::new(buffer, inner);
                let before = place.span();
                let result = place.encap(tunnel, packet);
                if result.is_err() {
                    assert_eq!(
                        place.span(),
                        before,
                        "a failed encapsulation moved the packet"
                    );
                }
                result.map(|()| place.span())
            }
            Self::Proven => {
                let proven = Packet::new(buffer, inner).prove()?;
                let outer = proven.encap(tunnel, packet)?;
                Ok(Span::new(outer_start, outer.len()))
            }
        }
    }
}

/// An encapsulator under the laws: the real one, and what a naive one would do.
pub trait Subject: Debug {
    /// The encapsulator, by dynamic dispatch.
    fn encapsulator(&self) -> &dyn Encapsulate;

    /// A decapsulator at the other end that takes any inner packet from the encapsulator.
    fn decapsulator(&self) -> &dyn Decapsulate;

    /// A decapsulator of this carrier for other networks.
    fn receiver<'a>(&self, access: &'a dyn Access, switches: Switches)
    -> Box<dyn Decapsulate + 'a>;

    /// [`inspect_without_filter`] of this carrier.
    ///
    /// # Errors
    /// As it.
    fn inspect_without_filter(&self, packet: &[u8]) -> core::result::Result<Opened, Refused>;

    /// [`Door::encap`] by static dispatch.
    ///
    /// # Errors
    /// As the door.
    fn encap(
        &self,
        door: Door,
        buffer: &mut [u8],
        inner: Span,
        packet: &PerPacket,
    ) -> core::result::Result<Span, EncapError>;

    /// The outer headers by value.
    ///
    /// # Errors
    /// As the encapsulator, but for `NoHeadroom`.
    fn header(
        &self,
        inner: &PacketMeta,
        packet: &PerPacket,
    ) -> core::result::Result<Vec<u8>, EncapError>;

    /// Whether it takes a hop off the inner TTL.
    fn forwards(&self) -> bool;

    /// Every objection to this inner packet, by the oracle.
    fn objections(&self, inner: &[u8], packet: &PerPacket) -> Vec<EncapError>;

    /// The outer packet around an inner one without objections, by the oracle.
    fn expected(&self, inner: &[u8], packet: &PerPacket) -> Vec<u8>;

    /// What a naive decapsulator must know of the carrier.
    fn carrier(&self) -> &dyn NaiveCarrier;

    /// The payload of an outer packet with this header: the carrier's shim and `inner`, which need
    /// not be valid.
    fn framed(&self, outer: &Plain, inner: &[u8]) -> Vec<u8>;
}

/// A decapsulator with these switches.
pub fn switched<C: Carrier, A: Access>(
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

fn said(packet: &PerPacket) -> Said {
    Said {
        ordinal: packet.ordinal(),
        link_mtu: packet.link_mtu(),
    }
}

/// [`IpIp`] with its oracle.
#[derive(Debug)]
pub struct IpIpSubject {
    tunnel: IpIp,
    receiver: Decapsulator<IpIpCarrier, PointToPoint<'static>>,
    naive: Rfc2003,
    carrier: NaiveIpIp,
}

impl IpIpSubject {
    fn of(naive: Rfc2003) -> Self {
        let source = Ipv4Addr::from(naive.source);
        let destination = Ipv4Addr::from(naive.destination);
        let mut tunnel = IpIp::new(source, destination)
            .unwrap()
            .with_ttl(match naive.ttl {
                Some(ttl) => TtlPolicy::Fixed(NonZeroU8::new(ttl).unwrap()),
                None => TtlPolicy::Inherit,
            })
            .with_dscp(match naive.dscp {
                Some(dscp) => DscpPolicy::Fixed(Dscp::new(dscp).unwrap()),
                None => DscpPolicy::Copy,
            })
            .with_ecn(match naive.ecn {
                oracle::ECN_COMPATIBILITY => EcnPolicy::Compatibility,
                oracle::ECN_RFC3168 => EcnPolicy::Rfc3168,
                _ => EcnPolicy::Normal,
            })
            .with_df(match naive.df_follows {
                Some(Ids::Ordinal) => DfPolicy::Copy(IdSource::Ordinal),
                Some(Ids::Constant(constant)) => DfPolicy::Copy(IdSource::Constant(constant)),
                None => DfPolicy::Set,
            })
            .with_atomic_identification(naive.atomic_identification)
            .with_role(if naive.forwards {
                Role::Forward
            } else {
                Role::Originate
            });
        if naive.hairpin {
            tunnel = tunnel.allowing_hairpin();
        }
        if let Some(mtu) = naive.link_mtu {
            tunnel = tunnel.with_link_mtu(mtu);
        }
        Self {
            tunnel,
            receiver: IpIp::decapsulator(PointToPoint::new(destination, source, &[Prefix::ANY])),
            naive,
            carrier: NaiveIpIp,
        }
    }
}

impl Enrol for IpIpSubject {
    fn generate(u: &mut Unstructured<'_>, wishes: Wishes) -> Result<Self> {
        Ok(Self::of(Rfc2003 {
            source: wishes.endpoints.source,
            destination: wishes.endpoints.destination,
            ttl: match u.int_in_range(0..=2u8)? {
                0 => Some(64),
                1 => Some(u.int_in_range(1..=255)?),
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
                2 => Some(Ids::Ordinal),
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
        }))
    }

    fn typical(endpoints: Endpoints) -> Self {
        Self::of(Rfc2003 {
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
        })
    }
}

impl Subject for IpIpSubject {
    fn encapsulator(&self) -> &dyn Encapsulate {
        &self.tunnel
    }

    fn decapsulator(&self) -> &dyn Decapsulate {
        &self.receiver
    }

    fn receiver<'a>(
        &self,
        access: &'a dyn Access,
        switches: Switches,
    ) -> Box<dyn Decapsulate + 'a> {
        Box::new(switched(IpIpCarrier, access, switches))
    }

    fn inspect_without_filter(&self, packet: &[u8]) -> core::result::Result<Opened, Refused> {
        inspect_without_filter(&IpIpCarrier, packet)
    }

    fn encap(
        &self,
        door: Door,
        buffer: &mut [u8],
        inner: Span,
        packet: &PerPacket,
    ) -> core::result::Result<Span, EncapError> {
        door.encap(&self.tunnel, buffer, inner, packet)
    }

    fn header(
        &self,
        inner: &PacketMeta,
        packet: &PerPacket,
    ) -> core::result::Result<Vec<u8>, EncapError> {
        self.tunnel.header(inner, packet).map(Vec::from)
    }

    fn forwards(&self) -> bool {
        self.naive.forwards
    }

    fn objections(&self, inner: &[u8], packet: &PerPacket) -> Vec<EncapError> {
        self.naive.objections(inner, said(packet))
    }

    fn expected(&self, inner: &[u8], packet: &PerPacket) -> Vec<u8> {
        self.naive.outer(inner, said(packet))
    }

    fn carrier(&self) -> &dyn NaiveCarrier {
        &self.carrier
    }

    fn framed(&self, _outer: &Plain, inner: &[u8]) -> Vec<u8> {
        inner.to_vec()
    }
}

#[derive(Debug)]
struct NaiveIpIp;

impl NaiveCarrier for NaiveIpIp {
    fn protocol(&self) -> u8 {
        4
    }

    fn shim_len(&self, _outer: &Fields<'_>) -> core::result::Result<usize, Reason> {
        Ok(0)
    }
}
