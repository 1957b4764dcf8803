//! ipencap, by all of its doors.

use core::num::NonZeroU8;

use ipencap::decap::{Decapsulate, Receiver, inspect_without_filter};
use ipencap::decap::{PointToPoint, Prefix};
use ipencap::encap::{
    ChecksumPolicy, Encapsulate, IpIp, IpIpCarrier, PerPacket, SourcePort, Stack, Tcp, Template,
    TtlPolicy, Udp,
};
use ipencap::packet::{Packet, PacketMeta};
use ipencap::wire::{Dscp, Ecn, IpProtocol, Ipv4, Ipv4Header};
use ipencap::{Span, checksum as sums, decap, encap};

use super::peer::Backends;
use crate::fixtures::Layer;
use crate::packet_work::{PacketWork, REFUSED};

type Ipip2 = Stack<IpIp, IpIp>;
type Ipip3 = Stack<IpIp, Ipip2>;
type Ipip4 = Stack<IpIp, Ipip3>;
type From1 = Receiver<IpIpCarrier, PointToPoint<'static>>;
type From2 = Stack<From1, From1>;
type From3 = Stack<From1, From2>;
type From4 = Stack<From1, From3>;

/// Both ends of a tunnel of every kind and depth, and the layers for those who build headers of them.
#[derive(Debug)]
pub struct Tunnels {
    ipip: (IpIp, Ipip2, Ipip3, Ipip4),
    templates: (
        Template<IpIp, 1>,
        Template<IpIp, 2>,
        Template<IpIp, 3>,
        Template<IpIp, 4>,
    ),
    from: (From1, From2, From3, From4),
    udp_zero: Udp,
    udp_offload: Udp,
    udp_full: Udp,
    tcp: Tcp,
}

impl Tunnels {
    /// The tunnels of these layers.
    pub fn new(layers: &[Layer; 4]) -> Self {
        let [one, two, three, four] = layers.map(|layer| ipip(&layer));
        let inner = Prefix::new([10, 1, 0, 0].into(), 16).expect("a prefix");
        // What comes out of an outer layer comes from the next layer's encapsulator.
        let sources = [
            inner,
            Prefix::host(layers[0].source),
            Prefix::host(layers[1].source),
            Prefix::host(layers[2].source),
        ];
        let from = |place: usize| {
            let Layer {
                source,
                destination,
                ..
            } = layers[place];
            let sources = Box::leak(Box::new([sources[place]]));
            Receiver::ipip(PointToPoint::new(destination, source, sources))
        };
        let stack2 = Stack {
            outer: two,
            inner: one,
        };
        let stack3 = Stack {
            outer: three,
            inner: stack2,
        };
        let stack4 = Stack {
            outer: four,
            inner: stack3,
        };
        let from2 = Stack {
            outer: from(1),
            inner: from(0),
        };
        let from3 = Stack {
            outer: from(2),
            inner: from2,
        };
        let from4 = Stack {
            outer: from(3),
            inner: from3,
        };
        let layer = layers[0];
        let udp = Udp::fou(layer.source, layer.destination, layer.destination_port)
            .expect("addresses of documentation")
            .with_ttl(ttl(layer.ttl))
            .with_source_port(SourcePort::Fixed(layer.source_port));
        let tcp = Tcp::new(
            (layer.source, layer.source_port),
            (layer.destination, layer.destination_port),
        )
        .expect("addresses of documentation")
        .with_ttl(ttl(layer.ttl))
        .with_window(layer.window);
        Self {
            ipip: (one, stack2, stack3, stack4),
            templates: (
                Template::single(one),
                Template::nested([one, two]),
                Template::nested([one, two, three]),
                Template::nested([one, two, three, four]),
            ),
            from: (from(0), from2, from3, from4),
            udp_zero: udp.with_checksum(ChecksumPolicy::Zero),
            udp_offload: udp.with_checksum(ChecksumPolicy::Offload),
            udp_full: udp.with_checksum(ChecksumPolicy::Full),
            tcp,
        }
    }
}

/// The IP-in-IP tunnel of a layer.
pub fn ipip(layer: &Layer) -> IpIp {
    IpIp::new(layer.source, layer.destination)
        .expect("addresses of documentation")
        .with_ttl(ttl(layer.ttl))
}

fn ttl(ttl: u8) -> TtlPolicy {
    TtlPolicy::Fixed(NonZeroU8::new(ttl).expect("a TTL"))
}

/// What everybody is given: our tunnels, and the layers that they were built of.
pub type Setup = ([Layer; 4], Tunnels);

/// The encapsulator of a job.
pub trait Choice {
    /// Its type.
    type Tunnel: Encapsulate;

    /// It, out of all tunnels.
    fn of(setup: &Setup) -> (&Self::Tunnel, PerPacket);
}

/// Decapsulators of `N` layers.
pub trait Receiver {
    /// Its type.
    type Tunnel: Decapsulate;

    /// It, out of all tunnels.
    fn of(setup: &Setup) -> &Self::Tunnel;
}

/// `N` layers of IP-in-IP, as a stack.
#[derive(Debug)]
pub struct Ipip<const N: usize>;

/// `N` layers of IP-in-IP, as a template.
#[derive(Debug)]
pub struct Nested<const N: usize>;

macro_rules! depth {
    ($N:literal, $Tunnel:ty, $From:ty, $field:tt) => {
        impl Choice for Ipip<$N> {
            type Tunnel = $Tunnel;

            #[inline(always)]
            fn of((_, tunnels): &Setup) -> (&Self::Tunnel, PerPacket) {
                (&tunnels.ipip.$field, PerPacket::new())
            }
        }

        impl Choice for Nested<$N> {
            type Tunnel = Template<IpIp, $N>;

            #[inline(always)]
            fn of((_, tunnels): &Setup) -> (&Self::Tunnel, PerPacket) {
                (&tunnels.templates.$field, PerPacket::new())
            }
        }

        impl Receiver for Ipip<$N> {
            type Tunnel = $From;

            #[inline(always)]
            fn of((_, tunnels): &Setup) -> &Self::Tunnel {
                &tunnels.from.$field
            }
        }
    };
}

depth!(1, IpIp, From1, 0);
depth!(2, Ipip2, From2, 1);
depth!(3, Ipip3, From3, 2);
depth!(4, Ipip4, From4, 3);

/// UDP without a checksum.
#[derive(Debug)]
pub struct UdpZero;

/// UDP with a checksum from the headers alone.
#[derive(Debug)]
pub struct UdpOffload;

/// UDP with a checksum over all bytes.
#[derive(Debug)]
pub struct UdpFull;

/// TCP.
#[derive(Debug)]
pub struct TcpSegment;

impl Choice for UdpZero {
    type Tunnel = Udp;

    #[inline(always)]
    fn of((_, tunnels): &Setup) -> (&Udp, PerPacket) {
        (&tunnels.udp_zero, PerPacket::new())
    }
}

impl Choice for UdpOffload {
    type Tunnel = Udp;

    #[inline(always)]
    fn of((_, tunnels): &Setup) -> (&Udp, PerPacket) {
        (&tunnels.udp_offload, PerPacket::new())
    }
}

impl Choice for UdpFull {
    type Tunnel = Udp;

    #[inline(always)]
    fn of((_, tunnels): &Setup) -> (&Udp, PerPacket) {
        (&tunnels.udp_full, PerPacket::new())
    }
}

impl Choice for TcpSegment {
    type Tunnel = Tcp;

    #[inline(always)]
    fn of(([layer, ..], tunnels): &Setup) -> (&Tcp, PerPacket) {
        let numbers = PerPacket::new().with_tcp_numbers(layer.sequence, layer.acknowledgment);
        (&tunnels.tcp, numbers)
    }
}

/// The first door, `ipencap::encap`: validates, judges, writes.
#[derive(Debug)]
pub struct Encap<C>(C);

impl<C: Choice> PacketWork<Setup> for Encap<C> {
    #[inline(always)]
    fn run(setup: &Setup, buffer: &mut [u8], packet: Span) -> usize {
        let (tunnel, per_packet) = C::of(setup);
        match encap(tunnel, buffer, packet, &per_packet) {
            Ok(_) => packet.start - tunnel.overhead(),
            Err(_) => REFUSED,
        }
    }
}

/// `Packet::prove`, then `Proven::encap`: the same in two steps, between which a tunnel can be
/// looked up.
#[derive(Debug)]
pub struct ProveThenEncap<C>(C);

impl<C: Choice> PacketWork<Setup> for ProveThenEncap<C> {
    #[inline(always)]
    fn run(setup: &Setup, buffer: &mut [u8], packet: Span) -> usize {
        let (tunnel, per_packet) = C::of(setup);
        let Ok(proven) = Packet::new(buffer, packet).prove() else {
            return REFUSED;
        };
        match proven.encap(tunnel, &per_packet) {
            Ok(_) => packet.start - tunnel.overhead(),
            Err(_) => REFUSED,
        }
    }
}

/// `Proven::encap` for a packet that somebody else has proven, a card say: its fast path, and what it
/// leaves to the other.
#[derive(Debug)]
pub struct EncapProven<C>(C);

impl<C: Choice> PacketWork<Setup> for EncapProven<C> {
    #[inline(always)]
    fn run(setup: &Setup, buffer: &mut [u8], packet: Span) -> usize {
        let (tunnel, per_packet) = C::of(setup);
        let bytes = packet.get(buffer).unwrap_or_default();
        let Some(header) = bytes.first_chunk() else {
            return REFUSED;
        };
        let inner = PacketMeta::trusted(Ipv4Header::from_bytes(*header));
        let Some(start) = packet.start.checked_sub(tunnel.overhead()) else {
            return REFUSED;
        };
        let Some(outer) = tunnel.judge_ordinary(&inner, &per_packet) else {
            return encap_unusual::<C>(setup, buffer, packet);
        };
        let Some(frame) = buffer.get_mut(start..packet.end()) else {
            return REFUSED;
        };
        tunnel.write_ordinary(frame, &inner, &outer, &per_packet);
        start
    }
}

/// What the fast path leaves to the other.
#[cold]
#[inline(never)]
fn encap_unusual<C: Choice>(setup: &Setup, buffer: &mut [u8], packet: Span) -> usize {
    let (tunnel, per_packet) = C::of(setup);
    match encap(tunnel, buffer, packet, &per_packet) {
        Ok(_) => packet.start - tunnel.overhead(),
        Err(_) => REFUSED,
    }
}

/// The second door, `ipencap::decap`: the whole pipeline, for one peer and one prefix of inner
/// sources a layer.
#[derive(Debug)]
pub struct Decap<R>(R);

impl<R: Receiver> PacketWork<Setup> for Decap<R> {
    #[inline(always)]
    fn run(setup: &Setup, buffer: &mut [u8], packet: Span) -> usize {
        let outer = packet.get_mut(buffer).unwrap_or_default();
        match decap(R::of(setup), outer) {
            Ok(inner) => packet.start + inner.opened.span().start,
            Err(_) => REFUSED,
        }
    }
}

/// The pipeline without the question who sent it: both headers and ECN, no addresses.
#[derive(Debug)]
pub struct InspectWithoutFilter;

impl PacketWork<Setup> for InspectWithoutFilter {
    #[inline(always)]
    fn run(_: &Setup, buffer: &mut [u8], packet: Span) -> usize {
        let outer = packet.get(buffer).unwrap_or_default();
        match inspect_without_filter(&IpIpCarrier, outer) {
            Ok(opened) => packet.start + opened.span().start,
            Err(_) => REFUSED,
        }
    }
}

/// Header validation only: parse, protocol, no fragment; `N` times.
#[derive(Debug)]
pub struct ParseOnly<const N: usize>;

impl<S, const N: usize> PacketWork<S> for ParseOnly<N> {
    #[inline(always)]
    fn run(_: &S, buffer: &mut [u8], packet: Span) -> usize {
        let mut bytes = packet.get(buffer).unwrap_or_default();
        let mut start = packet.start;
        for _ in 0..N {
            let Ok(outer) = Ipv4::parse(bytes) else {
                return REFUSED;
            };
            let header = outer.header();
            if header.protocol() != IpProtocol::IPENCAP || header.is_fragment() {
                return REFUSED;
            }
            bytes = outer.payload();
            start += usize::from(header.header_len());
        }
        start
    }
}

/// A load balancer's step, as far as [`peer::Balance`](super::peer::Balance) carries it.
#[derive(Debug)]
pub struct Balance<const PARTS: u8>;

impl<T, const PARTS: u8> PacketWork<(Backends<IpIp>, Backends<T>)> for Balance<PARTS> {
    #[inline(always)]
    fn run(
        (backends, _): &(Backends<IpIp>, Backends<T>),
        buffer: &mut [u8],
        packet: Span,
    ) -> usize {
        let Ok(proven) = Packet::new(buffer, packet).prove() else {
            return REFUSED;
        };
        if PARTS == 1 {
            return usize::from(proven.meta().header().total_len());
        }
        let hash = proven.meta().flow().hash(backends.seed);
        if PARTS == 2 {
            return hash as usize;
        }
        let tunnel = &backends.tunnels[usize::from(hash as u16)];
        if PARTS == 3 {
            return tunnel.destination().to_bits() as usize;
        }
        match proven.encap(tunnel, &PerPacket::new()) {
            Ok(_) => packet.start - IpIp::OVERHEAD,
            Err(_) => REFUSED,
        }
    }
}

/// The checksum of `bytes`.
#[inline(never)]
pub fn checksum(bytes: &[u8]) -> u16 {
    sums::checksum(bytes)
}

/// The checksum of 20 bytes by the straight line for headers; of other lengths as [`checksum`].
#[inline(never)]
pub fn header_checksum(bytes: &[u8]) -> u16 {
    match bytes.try_into() {
        Ok(header) => sums::Sum::new().add_header(header).checksum(),
        Err(_) => sums::checksum(bytes),
    }
}

/// A 16-bit word changes.
#[inline(never)]
pub fn update(checksum: u16, old: u16, new: u16) -> u16 {
    sums::update_u16(checksum, old, new)
}

/// Another ToS, by the setters that keep the checksum right.
#[inline(never)]
pub fn set_tos(packet: &mut [u8], tos: u8) {
    let (header, ..) = Ipv4Header::split_mut(packet).expect("a header");
    header.edit(|edit| {
        edit.set_dscp(Dscp::from_tos(tos))
            .set_ecn(Ecn::from_bits_truncated(tos));
    });
}

/// Another ToS, by the checksum's own incremental update.
#[inline(never)]
pub fn set_tos_by_update(packet: &mut [u8], tos: u8) {
    let header = packet.first_chunk_mut::<20>().expect("20 bytes");
    let old = u16::from_be_bytes([header[0], header[1]]);
    let new = u16::from_be_bytes([header[0], tos]);
    let checksum = u16::from_be_bytes([header[10], header[11]]);
    header[1] = tos;
    header[10..12].copy_from_slice(&sums::update_u16(checksum, old, new).to_be_bytes());
}
