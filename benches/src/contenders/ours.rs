//! ipencap, by all of its functions.

use core::num::NonZeroU8;

use ipencap::decap::{Decapsulate, PointToPoint, Receiver, inspect_without_filter};
use ipencap::encap::{Encapsulate, OuterPolicy, PerPacket, TtlPolicy, Tunnel};
use ipencap::packet::{Facts, Packet, Rules};
use ipencap::shim::{ChecksumPolicy, Fou, IpIp, SourcePort, Tcp};
use ipencap::wire::{Dscp, Ecn, IpProtocol, Ipv4, Ipv4Header, Prefix};
use ipencap::{Span, checksum as sums, decap, encap};

use super::peer::Backends;
use crate::fixtures::Layer;
use crate::packet_work::{PacketWork, REFUSED};

type To1 = Tunnel<IpIp>;
type To2 = (To1, To1);
type To3 = (To2, To1);
type To4 = (To3, To1);
type From1 = Receiver<IpIp, PointToPoint<'static>>;
type From2 = (From1, From1);
type From3 = (From2, From1);
type From4 = (From3, From1);

/// Both ends of a tunnel of every kind and depth.
#[derive(Debug)]
pub struct Tunnels {
    tuples: (To1, To2, To3, To4),
    arrays: ([To1; 1], [To1; 2], [To1; 3], [To1; 4]),
    from: (From1, From2, From3, From4),
    udp_zero: Tunnel<Fou>,
    udp_offload: Tunnel<Fou>,
    udp_full: Tunnel<Fou>,
    tcp: Tunnel<Tcp>,
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
            Receiver::new(IpIp, PointToPoint::new(destination, source, sources))
        };
        let to_2 = (one, two);
        let to_3 = (to_2, three);
        let from_2 = (from(0), from(1));
        let from_3 = (from_2, from(2));
        let layer = layers[0];
        let fou =
            Fou::new(layer.destination_port).with_source_port(SourcePort::Fixed(layer.source_port));
        let udp = |checksum| {
            Tunnel::new(layer.source, layer.destination, fou.with_checksum(checksum))
                .expect("addresses of documentation")
                .with_policy(OuterPolicy {
                    ttl: ttl(layer.ttl),
                    ..OuterPolicy::DEFAULT
                })
        };
        let segment = Tcp::new(layer.source_port, layer.destination_port).with_window(layer.window);
        let tcp = Tunnel::new(layer.source, layer.destination, segment)
            .expect("addresses of documentation")
            .with_policy(OuterPolicy {
                ttl: ttl(layer.ttl),
                ..OuterPolicy::CONNECTION
            });
        Self {
            tuples: (one, to_2, to_3, (to_3, four)),
            arrays: (
                [one],
                [one, two],
                [one, two, three],
                [one, two, three, four],
            ),
            from: (from(0), from_2, from_3, (from_3, from(3))),
            udp_zero: udp(ChecksumPolicy::Zero),
            udp_offload: udp(ChecksumPolicy::Offload),
            udp_full: udp(ChecksumPolicy::Full),
            tcp,
        }
    }
}

/// The IP-in-IP tunnel of a layer.
pub fn ipip(layer: &Layer) -> Tunnel<IpIp> {
    Tunnel::new(layer.source, layer.destination, IpIp)
        .expect("addresses of documentation")
        .with_policy(OuterPolicy {
            ttl: ttl(layer.ttl),
            ..OuterPolicy::DEFAULT
        })
}

pub(super) fn ttl(ttl: u8) -> TtlPolicy {
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

/// Receivers of `N` layers.
pub trait Receivers {
    /// Its type.
    type Tunnel: Decapsulate;

    /// It, out of all tunnels.
    fn of(setup: &Setup) -> &Self::Tunnel;
}

/// `N` layers of IP-in-IP, as a tuple.
#[derive(Debug)]
pub struct Ipip<const N: usize>;

/// `N` layers of IP-in-IP, as an array.
#[derive(Debug)]
pub struct IpipArray<const N: usize>;

macro_rules! depth {
    ($N:literal, $Tunnel:ty, $From:ty, $field:tt) => {
        impl Choice for Ipip<$N> {
            type Tunnel = $Tunnel;

            #[inline(always)]
            fn of((_, tunnels): &Setup) -> (&Self::Tunnel, PerPacket) {
                (&tunnels.tuples.$field, PerPacket::new())
            }
        }

        impl Choice for IpipArray<$N> {
            type Tunnel = [To1; $N];

            #[inline(always)]
            fn of((_, tunnels): &Setup) -> (&Self::Tunnel, PerPacket) {
                (&tunnels.arrays.$field, PerPacket::new())
            }
        }

        impl Receivers for Ipip<$N> {
            type Tunnel = $From;

            #[inline(always)]
            fn of((_, tunnels): &Setup) -> &Self::Tunnel {
                &tunnels.from.$field
            }
        }
    };
}

depth!(1, To1, From1, 0);
depth!(2, To2, From2, 1);
depth!(3, To3, From3, 2);
depth!(4, To4, From4, 3);

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
    type Tunnel = Tunnel<Fou>;

    #[inline(always)]
    fn of((_, tunnels): &Setup) -> (&Self::Tunnel, PerPacket) {
        (&tunnels.udp_zero, PerPacket::new())
    }
}

impl Choice for UdpOffload {
    type Tunnel = Tunnel<Fou>;

    #[inline(always)]
    fn of((_, tunnels): &Setup) -> (&Self::Tunnel, PerPacket) {
        (&tunnels.udp_offload, PerPacket::new())
    }
}

impl Choice for UdpFull {
    type Tunnel = Tunnel<Fou>;

    #[inline(always)]
    fn of((_, tunnels): &Setup) -> (&Self::Tunnel, PerPacket) {
        (&tunnels.udp_full, PerPacket::new())
    }
}

impl Choice for TcpSegment {
    type Tunnel = Tunnel<Tcp>;

    #[inline(always)]
    fn of(([layer, ..], tunnels): &Setup) -> (&Self::Tunnel, PerPacket) {
        let numbers = PerPacket::new().with_tcp_numbers(layer.sequence, layer.acknowledgment);
        (&tunnels.tcp, numbers)
    }
}

/// `ipencap::encap`: validates, checks, writes.
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

/// `Packet::prove`, then `Proven::wrap`: the same in two steps, between which a tunnel can be
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
        match proven.wrap(tunnel, &per_packet) {
            Ok(_) => packet.start - tunnel.overhead(),
            Err(_) => REFUSED,
        }
    }
}

/// `Encapsulate::check` and `write` for a packet that somebody else has validated, a card say: by the
/// common rules, and by all where these do not do.
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
        let inner = Facts::trusted(&Ipv4Header::from_bytes(*header));
        let Some(start) = packet.start.checked_sub(tunnel.overhead()) else {
            return REFUSED;
        };
        if tunnel.check(&inner, &per_packet, Rules::Common).is_err() {
            return encap_uncommon::<C>(setup, buffer, packet);
        }
        let Some(frame) = buffer.get_mut(start..packet.end()) else {
            return REFUSED;
        };
        tunnel.write(frame, &inner, &per_packet, Rules::Common);
        start
    }
}

/// What the common rules do not cover.
#[cold]
#[inline(never)]
fn encap_uncommon<C: Choice>(setup: &Setup, buffer: &mut [u8], packet: Span) -> usize {
    let (tunnel, per_packet) = C::of(setup);
    match encap(tunnel, buffer, packet, &per_packet) {
        Ok(_) => packet.start - tunnel.overhead(),
        Err(_) => REFUSED,
    }
}

/// `ipencap::decap`: the whole pipeline, for one peer and one prefix of inner
/// sources a layer.
#[derive(Debug)]
pub struct Decap<R>(R);

impl<R: Receivers> PacketWork<Setup> for Decap<R> {
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
        match inspect_without_filter(&IpIp, outer) {
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

impl<T, const PARTS: u8> PacketWork<(Backends<To1>, Backends<T>)> for Balance<PARTS> {
    #[inline(always)]
    fn run((backends, _): &(Backends<To1>, Backends<T>), buffer: &mut [u8], packet: Span) -> usize {
        let Ok(proven) = Packet::new(buffer, packet).prove() else {
            return REFUSED;
        };
        if PARTS == 1 {
            return proven.facts().len() as usize;
        }
        let hash = proven.facts().flow().hash(backends.seed);
        if PARTS == 2 {
            return hash as usize;
        }
        let tunnel = &backends.tunnels[usize::from(hash as u16)];
        if PARTS == 3 {
            return tunnel.destination().to_bits() as usize;
        }
        match proven.wrap(tunnel, &PerPacket::new()) {
            Ok(_) => packet.start - tunnel.overhead(),
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
