//! The jobs, and for each signature one that does nothing: its instructions are not the job's. What a
//! job works on is made outside of what is counted, and the compiler does not know it.

use core::fmt::Debug;
use core::hint::black_box;
use core::net::Ipv4Addr;

use gungraun::{library_benchmark, library_benchmark_group, main};
use ipencap::checksum::{Sum, update_u16};
use ipencap::decap::{self as receiving, DEFAULT_NESTING, Decapsulate, Inner};
use ipencap::decap::{PointToPoint, Prefix};
use ipencap::encap::{
    ChecksumPolicy, Encapsulate, IpIp, IpIpCarrier, Layer, PerPacket, Role, SourcePort, Stack, Tcp,
    Template, Udp,
};
use ipencap::error::{EncapError, Reason, Refused};
use ipencap::packet::{Packet, Proven};
use ipencap::stream::{Decoder, Event, StreamFraming};
use ipencap::wire::{Ecn, IpProtocol, Ipv4, Ipv4Header};
use ipencap::{Span, encap};

type Wrapped = Result<&'static mut [u8], EncapError>;
type Receiver = receiving::Receiver<IpIpCarrier, PointToPoint<'static>>;

const HEADROOM: usize = 128;

fn leaked<T>(value: T) -> &'static mut T {
    Box::leak(Box::new(value))
}

/// Two ends, and two others.
fn ends() -> [Ipv4Addr; 4] {
    black_box(["198.51.100.1", "203.0.113.2", "192.0.2.1", "192.0.2.2"])
        .map(|address| address.parse().expect("an address"))
}

/// A buffer with a packet of `len` bytes behind some room, and where that lies.
fn buffer(len: u16) -> (&'static mut [u8], Span) {
    let packet_len = usize::from(len);
    let mut bytes = vec![0; HEADROOM + packet_len];
    let (source, destination) = (Ipv4Addr::new(10, 1, 0, 5), Ipv4Addr::new(10, 2, 0, 9));
    let header = Ipv4Header::new(source, destination, IpProtocol(6), len);
    bytes[HEADROOM..HEADROOM + 20].copy_from_slice(header.as_bytes());
    (Vec::leak(bytes), Span::new(HEADROOM, packet_len))
}

fn bytes(len: u16) -> &'static mut [u8] {
    buffer(len).0
}

fn proven(len: u16) -> Proven<'static> {
    let (bytes, span) = buffer(len);
    Packet::new(bytes, span).prove().expect("a valid packet")
}

/// A packet in IP-in-IP.
fn outer() -> &'static mut [u8] {
    wrapped(ipip(), Ecn::NotEct)
}

fn wrapped(tunnel: &impl Encapsulate, ecn: Ecn) -> &'static mut [u8] {
    let (bytes, span) = buffer(64);
    let (header, ..) = Ipv4Header::split_mut(&mut bytes[HEADROOM..]).expect("a header");
    header.set_ecn(ecn);
    encap(tunnel, bytes, span, said()).expect("wraps")
}

/// A packet with room for the length before it.
fn frame_room() -> &'static mut [u8] {
    let (bytes, span) = buffer(64);
    bytes.split_at_mut(span.start - 2).1
}

fn framed() -> &'static mut &'static [u8] {
    let frame = StreamFraming::Exclusive
        .frame(frame_room())
        .expect("frames");
    leaked(frame)
}

fn decoder() -> &'static mut Decoder<'static> {
    leaked(Decoder::new(StreamFraming::Exclusive, leaked([0; 2048])))
}

fn header() -> &'static mut Ipv4Header {
    leaked(Ipv4Header::from_bytes([0x45; 20]))
}

fn header_bytes() -> &'static [u8; 20] {
    header().as_bytes()
}

fn said() -> &'static PerPacket {
    leaked(PerPacket::new())
}

fn ipip() -> &'static IpIp {
    let [a, b, ..] = ends();
    leaked(IpIp::new(a, b).expect("unicast"))
}

fn other() -> &'static IpIp {
    let [.., c, d] = ends();
    leaked(IpIp::new(c, d).expect("unicast"))
}

fn forwarding() -> &'static IpIp {
    leaked(ipip().with_role(Role::Forward))
}

fn receiver() -> &'static Receiver {
    let [a, b, ..] = ends();
    leaked(receiver_of(a, b))
}

fn receiver_of(peer: Ipv4Addr, local: Ipv4Addr) -> Receiver {
    receiving::Receiver::ipip(PointToPoint::new(local, peer, leaked([Prefix::ANY])))
}

fn receiver_of_2() -> &'static (Receiver, Receiver) {
    let [a, b, c, d] = ends();
    leaked((receiver_of(a, b), receiver_of(c, d)))
}

/// The same two, for packets of unknown depth.
fn tunnels() -> &'static [&'static dyn Decapsulate] {
    let (inner, outer) = receiver_of_2();
    leaked([inner as &dyn Decapsulate, outer])
}

/// A packet in IP-in-IP whose ECN fields are these.
fn marked(inner: Ecn, outer: Ecn) -> &'static mut [u8] {
    let packet = wrapped(ipip(), inner);
    let (header, ..) = Ipv4Header::split_mut(packet).expect("a header");
    header.set_ecn(outer);
    packet
}

/// A packet in IP-in-IP that is itself IP-in-IP, between others.
fn tunnel_inside() -> &'static mut [u8] {
    let packet = wrapped(ipip(), Ecn::NotEct);
    let (header, ..) = Ipv4Header::split_mut(&mut packet[20..]).expect("a header");
    header.set_protocol(IpProtocol::IPENCAP);
    packet
}

fn stack_of_2() -> &'static Stack<IpIp, IpIp> {
    let (outer, inner) = (*other(), *ipip());
    leaked(Stack { outer, inner })
}

fn nested<const N: usize>() -> &'static Template<IpIp, N> {
    let mut layers = [*ipip(); N];
    for layer in layers.iter_mut().skip(1).step_by(2) {
        *layer = *other();
    }
    leaked(Template::nested(layers))
}

/// UDP with a source port of its own choice for each flow.
fn entropy() -> &'static Udp {
    let [a, b, ..] = ends();
    leaked(Udp::fou(a, b, 5555).expect("unicast"))
}

/// UDP whose checksum is derived from the inner one.
fn offload() -> &'static Udp {
    leaked(entropy().with_source_port(SourcePort::Fixed(49152)))
}

fn zero() -> &'static Udp {
    leaked(offload().with_checksum(ChecksumPolicy::Zero))
}

fn gue() -> Udp {
    let [a, b, ..] = ends();
    let gue = Udp::gue(a, b).expect("unicast");
    gue.with_source_port(SourcePort::Fixed(49152))
}

fn gue_0() -> &'static Udp {
    leaked(gue())
}

fn gue_1() -> &'static Udp {
    let [a, b, ..] = ends();
    let gue = Udp::gue_variant_1(a, b).expect("unicast");
    leaked(gue.with_source_port(SourcePort::Fixed(49152)))
}

fn gue_words() -> &'static Udp<2> {
    leaked(gue().with_private_words([1, 0xc000_024d]).expect("2 words"))
}

fn tcp_tunnel() -> &'static Tcp {
    let [a, b, ..] = ends();
    leaked(Tcp::new((a, 40001), (b, 443)).expect("unicast"))
}

fn single(udp: &Udp) -> &'static Template<Udp, 1> {
    leaked(Template::single(*udp))
}

/// UDP around TCP, both of which derive their checksums.
fn udp_tcp() -> &'static Template<Layer, 2> {
    let layers = [Layer::from(*tcp_tunnel()), Layer::from(*offload())];
    leaked(Template::compile(layers.as_slice()).expect("fits"))
}

/// Looks, outside of what is counted, that the job is done.
fn done<T: Debug, E: Debug>(answer: Result<T, E>) {
    assert!(answer.is_ok(), "the job is not done: {answer:?}");
}

fn found(payload: Option<&[u8]>) {
    assert!(payload.is_some(), "no IP-in-IP");
}

fn came_out(is_packet: bool) {
    assert!(is_packet, "no packet came out");
}

/// The control's instructions.
#[cfg(feature = "planted")]
#[inline(always)]
fn planted(times: u32) {
    for time in 0..times {
        black_box(time);
    }
}

#[library_benchmark]
#[bench::any(header_bytes())]
fn empty_of_header(_header: &[u8; 20]) -> u16 {
    0
}
#[library_benchmark]
#[bench::any(header_bytes())]
fn header_sum(header: &[u8; 20]) -> u16 {
    Sum::new().add_header(header).checksum()
}

#[library_benchmark]
#[bench::any(1, 2, 3)]
fn empty_of_words(_checksum: u16, _old: u16, _new: u16) -> u16 {
    0
}
#[library_benchmark]
#[bench::any(1, 2, 3)]
fn update(checksum: u16, old: u16, new: u16) -> u16 {
    update_u16(checksum, old, new)
}

#[library_benchmark]
#[bench::any(header(), Ecn::Ce)]
fn empty_of_header_and_ecn(_header: &mut Ipv4Header, _ecn: Ecn) {}
#[library_benchmark]
#[bench::any(header(), Ecn::Ce)]
fn rewrite_ecn(header: &mut Ipv4Header, ecn: Ecn) {
    header.set_ecn(ecn);
}

#[library_benchmark]
#[bench::any(bytes(64), Span::new(HEADROOM, 64), ipip(), said())]
fn empty_of_buffer(
    _buffer: &'static mut [u8],
    _inner: Span,
    _tunnel: &IpIp,
    _said: &PerPacket,
) -> Wrapped {
    Err(EncapError::TtlZero)
}
#[library_benchmark(teardown = done)]
#[bench::plain(bytes(64), Span::new(HEADROOM, 64), ipip(), said())]
#[bench::forwarding(bytes(64), Span::new(HEADROOM, 64), forwarding(), said())]
fn ipip_validated(
    buffer: &'static mut [u8],
    inner: Span,
    tunnel: &IpIp,
    said: &PerPacket,
) -> Wrapped {
    encap(tunnel, buffer, inner, said)
}

#[library_benchmark]
#[bench::any(proven(64), ipip(), said())]
fn empty_of_proven(_packet: Proven<'static>, _tunnel: &IpIp, _said: &PerPacket) -> Wrapped {
    Err(EncapError::TtlZero)
}
#[library_benchmark(teardown = done)]
#[bench::len_64(proven(64), ipip(), said())]
#[bench::len_1400(proven(1400), ipip(), said())]
#[bench::forwarding(proven(64), forwarding(), said())]
fn ipip_proven(packet: Proven<'static>, tunnel: &IpIp, said: &PerPacket) -> Wrapped {
    packet.encap(tunnel, said)
}
#[library_benchmark(teardown = done)]
#[bench::of_2(proven(64), stack_of_2(), said())]
fn stack(packet: Proven<'static>, tunnel: &Stack<IpIp, IpIp>, said: &PerPacket) -> Wrapped {
    packet.encap(tunnel, said)
}
#[library_benchmark(teardown = done)]
#[bench::of_ipip(proven(64), nested(), said())]
fn template_2(packet: Proven<'static>, tunnel: &Template<IpIp, 2>, said: &PerPacket) -> Wrapped {
    packet.encap(tunnel, said)
}
#[library_benchmark(teardown = done)]
#[bench::of_ipip(proven(64), nested(), said())]
fn template_3(packet: Proven<'static>, tunnel: &Template<IpIp, 3>, said: &PerPacket) -> Wrapped {
    packet.encap(tunnel, said)
}
#[library_benchmark(teardown = done)]
#[bench::of_ipip(proven(64), nested(), said())]
fn template_4(packet: Proven<'static>, tunnel: &Template<IpIp, 4>, said: &PerPacket) -> Wrapped {
    #[cfg(feature = "planted")]
    planted(6);
    packet.encap(tunnel, said)
}
#[library_benchmark(teardown = done)]
#[bench::zero(proven(64), zero(), said())]
#[bench::offload_64(proven(64), offload(), said())]
#[bench::offload_1400(proven(1400), offload(), said())]
#[bench::offload_9000(proven(9000), offload(), said())]
#[bench::offload_60000(proven(60000), offload(), said())]
#[bench::entropy(proven(64), entropy(), said())]
#[bench::gue(proven(64), gue_0(), said())]
#[bench::gue_variant_1(proven(64), gue_1(), said())]
fn udp(packet: Proven<'static>, tunnel: &Udp, said: &PerPacket) -> Wrapped {
    #[cfg(feature = "planted")]
    planted(packet.meta().len() >> 15);
    packet.encap(tunnel, said)
}
#[library_benchmark(teardown = done)]
#[bench::gue(proven(64), gue_words(), said())]
fn udp_2_words(packet: Proven<'static>, tunnel: &Udp<2>, said: &PerPacket) -> Wrapped {
    packet.encap(tunnel, said)
}
#[library_benchmark(teardown = done)]
#[bench::zero(proven(64), single(zero()), said())]
#[bench::offload_64(proven(64), single(offload()), said())]
#[bench::offload_60000(proven(60000), single(offload()), said())]
fn template_udp(packet: Proven<'static>, tunnel: &Template<Udp, 1>, said: &PerPacket) -> Wrapped {
    packet.encap(tunnel, said)
}
#[library_benchmark(teardown = done)]
#[bench::udp_tcp(proven(64), udp_tcp(), said())]
fn template_layers(
    packet: Proven<'static>,
    tunnel: &Template<Layer, 2>,
    said: &PerPacket,
) -> Wrapped {
    packet.encap(tunnel, said)
}
#[library_benchmark(teardown = done)]
#[bench::offload_64(proven(64), tcp_tunnel(), said())]
#[bench::offload_1400(proven(1400), tcp_tunnel(), said())]
#[bench::offload_9000(proven(9000), tcp_tunnel(), said())]
#[bench::offload_60000(proven(60000), tcp_tunnel(), said())]
fn tcp(packet: Proven<'static>, tunnel: &Tcp, said: &PerPacket) -> Wrapped {
    packet.encap(tunnel, said)
}

#[library_benchmark]
#[bench::any(outer())]
fn empty_of_bytes(_packet: &[u8]) -> Option<&[u8]> {
    None
}
#[library_benchmark(teardown = found)]
#[bench::any(outer())]
fn decap_headers(packet: &[u8]) -> Option<&[u8]> {
    let outer = Ipv4::parse(packet).ok()?;
    let header = outer.header();
    let is_ipip = header.protocol() == IpProtocol::IPENCAP && !header.is_fragment();
    is_ipip.then_some(outer.payload())
}

#[library_benchmark]
#[bench::any(outer(), receiver())]
fn empty_of_decap(
    _packet: &'static mut [u8],
    _receiver: &Receiver,
) -> Result<Inner<'static>, Refused> {
    Err(Refused::new(Reason::NotTunnel))
}
#[library_benchmark(teardown = done)]
#[bench::any(outer(), receiver())]
#[bench::ect(wrapped(ipip(), Ecn::Ect0), receiver())]
#[bench::ce(marked(Ecn::Ect0, Ecn::Ce), receiver())]
#[bench::ect_1(marked(Ecn::Ect0, Ecn::Ect1), receiver())]
#[bench::tunnel_inside(tunnel_inside(), receiver())]
fn decap(packet: &'static mut [u8], receiver: &Receiver) -> Result<Inner<'static>, Refused> {
    ipencap::decap(receiver, packet)
}
#[library_benchmark(teardown = done)]
#[bench::any(outer(), receiver())]
fn decap_by_reference(
    packet: &'static mut [u8],
    receiver: &Receiver,
) -> Result<Inner<'static>, Refused> {
    ipencap::decap(&receiver, packet)
}
#[library_benchmark(teardown = done)]
#[bench::any(outer(), receiver())]
fn decap_dyn(
    packet: &'static mut [u8],
    receiver: &'static dyn Decapsulate,
) -> Result<Inner<'static>, Refused> {
    ipencap::decap(receiver, packet)
}
#[library_benchmark(teardown = done)]
#[bench::of_1(outer(), tunnels())]
#[bench::of_2(wrapped(stack_of_2(), Ecn::NotEct), tunnels())]
fn decap_nested(
    packet: &'static mut [u8],
    tunnels: &[&'static dyn Decapsulate],
) -> Result<Inner<'static>, Refused> {
    receiving::decap_nested(tunnels, packet, DEFAULT_NESTING)
}
#[library_benchmark(teardown = done)]
#[bench::of_2(wrapped(stack_of_2(), Ecn::NotEct), receiver_of_2())]
fn decap_stack(
    packet: &'static mut [u8],
    receiver: &(Receiver, Receiver),
) -> Result<Inner<'static>, Refused> {
    ipencap::decap(receiver, packet)
}

#[library_benchmark]
#[bench::any(frame_room())]
fn empty_of_frame(_frame: &'static mut [u8]) -> Wrapped {
    Err(EncapError::TtlZero)
}
#[library_benchmark(teardown = done)]
#[bench::any(frame_room())]
fn frame(frame: &'static mut [u8]) -> Wrapped {
    StreamFraming::Exclusive.frame(frame)
}

#[library_benchmark]
#[bench::any(decoder(), framed())]
fn empty_of_decoder(_decoder: &mut Decoder<'_>, _input: &mut &[u8]) -> bool {
    false
}
#[library_benchmark(teardown = came_out)]
#[bench::any(decoder(), framed())]
fn deframe(decoder: &mut Decoder<'_>, input: &mut &[u8]) -> bool {
    matches!(decoder.push(input), Ok(Some(Event::Packet(_))))
}

library_benchmark_group!(
    name = jobs,
    benchmarks = [
        empty_of_header,
        header_sum,
        empty_of_words,
        update,
        empty_of_header_and_ecn,
        rewrite_ecn,
        empty_of_buffer,
        ipip_validated,
        empty_of_proven,
        ipip_proven,
        stack,
        template_2,
        template_3,
        template_4,
        udp,
        udp_2_words,
        template_udp,
        template_layers,
        tcp,
        empty_of_bytes,
        decap_headers,
        empty_of_decap,
        decap,
        decap_by_reference,
        decap_dyn,
        decap_nested,
        decap_stack,
        empty_of_frame,
        frame,
        empty_of_decoder,
        deframe,
    ]
);
main!(library_benchmark_groups = jobs);
