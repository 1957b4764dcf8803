//! The jobs, and for each signature one that does nothing: its instructions are not the job's. What a
//! job works on is made outside of what is counted, and the compiler does not know it.

use core::fmt::Debug;
use core::hint::black_box;
use core::net::Ipv4Addr;

use gungraun::{library_benchmark, library_benchmark_group, main};
use ipencap::Span;
use ipencap::checksum::{Sum, update_u16};
use ipencap::decap::{
    self as receiving, DEFAULT_NESTING, Decapsulate, EdgeTable, Inner, PointToPoint, Prefix,
    PrefixEntry, PrefixTable,
};
use ipencap::encap::{
    AnyTunnel, DfPolicy, DscpPolicy, EcnPolicy, Encapsulate, Header, IdSource, OuterPolicy,
    PerPacket, Role, TtlPolicy, Tunnel, encap, header as header_of,
};
use ipencap::error::{EncapError, Reason, Refused};
use ipencap::packet::{Facts, Packet, Proven};
use ipencap::shim::{ChecksumPolicy, Fou, Gre, Gue, GueVariant1, IpIp, Shim, SourcePort, Tcp};
use ipencap::stream::{Decoder, Event, StreamFraming};
use ipencap::time::Instant;
use ipencap::tunnel::{Cause, Endpoint, EndpointConfig, Inbound, OnePeer, Outbound, Path};
use ipencap::wire::{Dscp, Ecn, IpProtocol, Ipv4, Ipv4Header};

type Ipip = Tunnel<IpIp>;
type Wrapped = Result<&'static mut [u8], EncapError>;
type Opened = Result<Inner<'static>, Refused>;
type Access = PointToPoint<'static>;
type Receiver = receiving::Receiver<IpIp, Access>;
type FouReceiver = receiving::Receiver<Fou, Access>;
type TableReceiver = receiving::Receiver<IpIp, EdgeTable<'static>>;

const HEADROOM: usize = 192;

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

/// Where the packet of a buffer lies: bytes behind it are none of it.
fn whole() -> Span {
    Span::new(HEADROOM, 64)
}

fn bytes(len: u16) -> &'static mut [u8] {
    buffer(len).0
}

fn proven(len: u16) -> Proven<'static> {
    let (bytes, span) = buffer(len);
    Packet::new(bytes, span).prove().expect("a valid packet")
}

/// A buffer with a packet whose header has eight bytes of options.
fn with_options() -> &'static mut [u8] {
    let (buffer, span) = buffer(64);
    let bytes = &mut buffer[span.start..];
    bytes[0] = 0x47;
    // No operation, seven times, and the end.
    bytes[20..28].copy_from_slice(&[1, 1, 1, 1, 1, 1, 1, 0]);
    bytes[10..12].fill(0);
    let checksum = Sum::new().add_bytes(&bytes[..28]).checksum();
    bytes[10..12].copy_from_slice(&checksum.to_be_bytes());
    buffer
}

/// A buffer with an IP-in-IP packet.
fn with_ipip() -> &'static mut [u8] {
    let packet = wrapped(other(), Ecn::NotEct);
    let (bytes, span) = buffer(84);
    bytes[span.start..].copy_from_slice(packet);
    bytes
}

/// A packet in IP-in-IP.
fn outer() -> &'static mut [u8] {
    wrapped(ipip(), Ecn::NotEct)
}

fn wrapped<T: Encapsulate + ?Sized>(tunnel: &T, ecn: Ecn) -> &'static mut [u8] {
    let (bytes, span) = buffer(64);
    let (header, ..) = Ipv4Header::split_mut(&mut bytes[HEADROOM..]).expect("a header");
    header.set_ecn(ecn);
    encap(tunnel, bytes, span, said()).expect("wraps")
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

fn facts() -> &'static Facts {
    let (buffer, span) = buffer(64);
    leaked(Facts::read(&buffer[span.start..]).expect("a valid packet"))
}

fn said() -> &'static PerPacket {
    leaked(PerPacket::new())
}

fn identified() -> &'static PerPacket {
    leaked(PerPacket::new().with_identification(7))
}

fn hashed() -> &'static PerPacket {
    leaked(PerPacket::new().with_flow_hash(77))
}

fn tunnel<S: Shim>(shim: S) -> &'static Tunnel<S> {
    let [a, b, ..] = ends();
    leaked(Tunnel::new(a, b, shim).expect("unicast"))
}

fn ipip() -> &'static Ipip {
    tunnel(IpIp)
}

fn other() -> &'static Ipip {
    let [.., c, d] = ends();
    leaked(Tunnel::new(c, d, IpIp).expect("unicast"))
}

const DEFAULT: OuterPolicy = OuterPolicy::DEFAULT;
const FORWARD: OuterPolicy = OuterPolicy {
    role: Role::Forward,
    ..DEFAULT
};
const INHERITED_TTL: OuterPolicy = OuterPolicy {
    ttl: TtlPolicy::Inherit,
    ..DEFAULT
};
const FIXED_DSCP: OuterPolicy = OuterPolicy {
    dscp: DscpPolicy::Fixed(Dscp::DEFAULT),
    ..DEFAULT
};
const ECN_COMPATIBILITY: OuterPolicy = OuterPolicy {
    ecn: EcnPolicy::Compatibility,
    ..DEFAULT
};
const RFC_3168: OuterPolicy = OuterPolicy {
    ecn: EcnPolicy::Rfc3168,
    ..DEFAULT
};
const COPIED_DF: OuterPolicy = OuterPolicy {
    df: DfPolicy::Copy(IdSource::PerPacket),
    ..DEFAULT
};
const IDENTIFICATION: OuterPolicy = OuterPolicy {
    atomic_identification: 7,
    ..DEFAULT
};
const LINK_MTU: OuterPolicy = OuterPolicy {
    link_mtu: Some(1500),
    ..DEFAULT
};
const HAIRPIN: OuterPolicy = OuterPolicy {
    hairpin: true,
    ..DEFAULT
};
const ALL: OuterPolicy = OuterPolicy {
    ttl: TtlPolicy::Inherit,
    dscp: DscpPolicy::Fixed(Dscp::DEFAULT),
    ecn: EcnPolicy::Rfc3168,
    df: DfPolicy::Copy(IdSource::PerPacket),
    atomic_identification: 7,
    role: Role::Forward,
    link_mtu: Some(1500),
    hairpin: true,
};

fn with(policy: OuterPolicy) -> &'static Ipip {
    leaked(ipip().with_policy(black_box(policy)))
}

/// Layers between two and two other ends, in turn.
fn layers<const N: usize>(policy: OuterPolicy) -> &'static [Ipip; N] {
    let mut layers = [ipip().with_policy(black_box(policy)); N];
    for layer in layers.iter_mut().skip(1).step_by(2) {
        *layer = other().with_policy(black_box(policy));
    }
    leaked(layers)
}

fn tuple_of_2() -> &'static (Ipip, Ipip) {
    leaked((*ipip(), *other()))
}

fn tuple_of_4() -> &'static (((Ipip, Ipip), Ipip), Ipip) {
    leaked(((*tuple_of_2(), *ipip()), *other()))
}

/// FOU with a source port of its own for each flow.
fn entropy() -> &'static Tunnel<Fou> {
    tunnel(Fou::new(5555))
}

/// One source port for all, so that the checksum is what counts.
fn fixed_port() -> SourcePort {
    SourcePort::Fixed(49152)
}

fn fou(checksum: ChecksumPolicy) -> &'static Tunnel<Fou> {
    tunnel(
        Fou::new(5555)
            .with_source_port(fixed_port())
            .with_checksum(checksum),
    )
}

fn gue_2_words() -> &'static Tunnel<Gue<2>> {
    let gue = Gue::new().with_source_port(fixed_port());
    tunnel(gue.with_private_words([1, 0xc000_024d]).expect("2 words"))
}

fn tcp_tunnel() -> &'static Tunnel<Tcp> {
    tunnel(Tcp::new(40001, 443))
}

/// TCP inside UDP, both of which derive their checksums.
fn tcp_udp() -> &'static (Tunnel<Tcp>, Tunnel<Fou>) {
    leaked((*tcp_tunnel(), *fou(ChecksumPolicy::Offload)))
}

/// The same, chosen at run time.
fn any_tcp_udp() -> &'static [AnyTunnel] {
    let (tcp, fou) = *tcp_udp();
    leaked([AnyTunnel::from(tcp), AnyTunnel::from(fou)])
}

fn any_ipip() -> &'static AnyTunnel {
    leaked(AnyTunnel::from(*ipip()))
}

fn access(peer: Ipv4Addr, local: Ipv4Addr) -> Access {
    PointToPoint::new(local, peer, leaked([Prefix::ANY]))
}

fn receiver() -> &'static Receiver {
    let [a, b, ..] = ends();
    leaked(Receiver::new(IpIp, access(a, b)))
}

/// A receiver with so many peers, of which the usual one is in the middle.
fn of_table(peers: u32, index_len: usize) -> &'static TableReceiver {
    let [a, b, ..] = ends();
    let room = || PrefixTable::new(Vec::leak(vec![PrefixEntry::EMPTY; 10_000]));
    let indexed = || room().with_index(Vec::leak(vec![0; index_len]));
    let mut table = EdgeTable::new(room(), indexed(), indexed());
    table.insert_local(Prefix::host(b)).expect("room");
    let first = |middle: Ipv4Addr| middle.to_bits() - peers / 2;
    let (outer, inner) = (first(a), first(Ipv4Addr::new(10, 1, 0, 5)));
    let host = |address| Prefix::host(Ipv4Addr::from_bits(address));
    let outer = (0..peers).map(|peer| (peer, host(outer + peer), None));
    table.load_outer(outer).expect("room");
    let inner = (0..peers).map(|peer| (peer, host(inner + peer)));
    table.load_inner(inner).expect("room");
    leaked(TableReceiver::new(IpIp, table))
}

fn fou_receiver() -> &'static FouReceiver {
    let [a, b, ..] = ends();
    leaked(FouReceiver::new(Fou::new(5555), access(a, b)))
}

fn receivers_of_2() -> &'static (Receiver, Receiver) {
    let [.., c, d] = ends();
    leaked((*receiver(), Receiver::new(IpIp, access(c, d))))
}

/// The same two, for packets of unknown depth.
fn tunnels() -> &'static [&'static dyn Decapsulate] {
    let (inner, outer) = receivers_of_2();
    leaked([inner as &dyn Decapsulate, outer])
}

type OneEnd = Endpoint<'static, OnePeer<'static, Ipip>>;

const NOW: Instant = Instant::from_millis(5_000);

/// One end of a tunnel, which has sent and received before.
fn one_end(tunnel: Ipip) -> &'static mut OneEnd {
    let peers = OnePeer::new(tunnel, leaked([Prefix::ANY]));
    let endpoint = Endpoint::new(peers, leaked([Path::EMPTY]), EndpointConfig::DEFAULT);
    let endpoint = leaked(endpoint);
    endpoint.expire(Instant::ZERO, |_| {});
    goes_out(endpoint.outbound(NOW, inner_packet(), said()));
    endpoint
}

fn sender() -> &'static mut OneEnd {
    one_end(*ipip())
}

fn far_end() -> &'static mut OneEnd {
    let [a, b, ..] = ends();
    one_end(Tunnel::new(b, a, IpIp).expect("unicast"))
}

fn inner_packet() -> &'static [u8] {
    let (bytes, span) = buffer(64);
    &bytes[span.start..]
}

fn room() -> &'static mut Packet<'static> {
    let (bytes, span) = buffer(64);
    leaked(Packet::new(bytes, span))
}

fn nothing() -> Outbound {
    Outbound::Drop {
        peer: None,
        cause: Cause::NoPeer,
    }
}

fn goes_out(verdict: Outbound) {
    assert!(matches!(verdict, Outbound::Send { .. }), "{verdict:?}");
}

fn comes_in(verdict: Inbound) {
    assert!(matches!(verdict, Inbound::Deliver { .. }), "{verdict:?}");
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
#[bench::any(bytes(64), whole(), ipip(), said())]
fn empty_of_buffer(
    _buffer: &'static mut [u8],
    _inner: Span,
    _tunnel: &Ipip,
    _said: &PerPacket,
) -> Wrapped {
    Err(EncapError::TtlZero)
}
#[library_benchmark(teardown = done)]
#[bench::plain(bytes(64), whole(), ipip(), said())]
#[bench::options(with_options(), whole(), ipip(), said())]
#[bench::ipip_inside(with_ipip(), Span::new(HEADROOM, 84), ipip(), said())]
#[bench::forwarding(bytes(64), whole(), with(FORWARD), said())]
#[bench::inherited_ttl(bytes(64), whole(), with(INHERITED_TTL), said())]
#[bench::fixed_dscp(bytes(64), whole(), with(FIXED_DSCP), said())]
#[bench::ecn_compatibility(bytes(64), whole(), with(ECN_COMPATIBILITY), said())]
#[bench::rfc_3168(bytes(64), whole(), with(RFC_3168), said())]
#[bench::copied_df(bytes(64), whole(), with(COPIED_DF), identified())]
#[bench::identification(bytes(64), whole(), with(IDENTIFICATION), said())]
#[bench::link_mtu(bytes(64), whole(), with(LINK_MTU), said())]
#[bench::hairpin(bytes(64), whole(), with(HAIRPIN), said())]
#[bench::all_policies(bytes(64), whole(), with(ALL), identified())]
fn ipip_validated(
    buffer: &'static mut [u8],
    inner: Span,
    tunnel: &Ipip,
    said: &PerPacket,
) -> Wrapped {
    encap(tunnel, buffer, inner, said)
}

#[library_benchmark]
#[bench::any(proven(64), ipip(), said())]
fn empty_of_proven(_packet: Proven<'static>, _tunnel: &Ipip, _said: &PerPacket) -> Wrapped {
    Err(EncapError::TtlZero)
}
#[library_benchmark(teardown = done)]
#[bench::len_64(proven(64), ipip(), said())]
#[bench::len_1400(proven(1400), ipip(), said())]
#[bench::forwarding(proven(64), with(FORWARD), said())]
#[bench::inherited_ttl(proven(64), with(INHERITED_TTL), said())]
#[bench::fixed_dscp(proven(64), with(FIXED_DSCP), said())]
#[bench::ecn_compatibility(proven(64), with(ECN_COMPATIBILITY), said())]
#[bench::rfc_3168(proven(64), with(RFC_3168), said())]
#[bench::copied_df(proven(64), with(COPIED_DF), identified())]
#[bench::identification(proven(64), with(IDENTIFICATION), said())]
#[bench::link_mtu(proven(64), with(LINK_MTU), said())]
#[bench::hairpin(proven(64), with(HAIRPIN), said())]
#[bench::all_policies(proven(64), with(ALL), identified())]
fn ipip_proven(packet: Proven<'static>, tunnel: &Ipip, said: &PerPacket) -> Wrapped {
    packet.wrap(tunnel, said)
}
#[library_benchmark(teardown = done)]
#[bench::any(proven(64), ipip(), said())]
fn ipip_dyn(packet: Proven<'static>, tunnel: &dyn Encapsulate, said: &PerPacket) -> Wrapped {
    packet.wrap(tunnel, said)
}
#[library_benchmark(teardown = done)]
#[bench::ipip(proven(64), tuple_of_2(), said())]
fn tuple_2(packet: Proven<'static>, tunnel: &(Ipip, Ipip), said: &PerPacket) -> Wrapped {
    packet.wrap(tunnel, said)
}
#[library_benchmark(teardown = done)]
#[bench::ipip(proven(64), tuple_of_4(), said())]
fn tuple_4(
    packet: Proven<'static>,
    tunnel: &(((Ipip, Ipip), Ipip), Ipip),
    said: &PerPacket,
) -> Wrapped {
    packet.wrap(tunnel, said)
}
#[library_benchmark(teardown = done)]
#[bench::offload(proven(64), tcp_udp(), said())]
fn tuple_of_tcp_fou(
    packet: Proven<'static>,
    tunnel: &(Tunnel<Tcp>, Tunnel<Fou>),
    said: &PerPacket,
) -> Wrapped {
    packet.wrap(tunnel, said)
}
#[library_benchmark(teardown = done)]
#[bench::ipip(proven(64), layers(DEFAULT), said())]
fn array_2(packet: Proven<'static>, tunnel: &[Ipip; 2], said: &PerPacket) -> Wrapped {
    packet.wrap(tunnel, said)
}
#[library_benchmark(teardown = done)]
#[bench::ipip(proven(64), layers(DEFAULT), said())]
#[bench::forwarding(proven(64), layers(FORWARD), said())]
fn array_4(packet: Proven<'static>, tunnel: &[Ipip; 4], said: &PerPacket) -> Wrapped {
    #[cfg(feature = "planted")]
    planted(6);
    packet.wrap(tunnel, said)
}
#[library_benchmark(teardown = done)]
#[bench::ipip(proven(64), layers(DEFAULT), said())]
fn array_8(packet: Proven<'static>, tunnel: &[Ipip; 8], said: &PerPacket) -> Wrapped {
    packet.wrap(tunnel, said)
}
#[library_benchmark(teardown = done)]
#[bench::of_4(proven(64), layers::<4>(DEFAULT), said())]
fn slice(packet: Proven<'static>, tunnel: &[Ipip], said: &PerPacket) -> Wrapped {
    packet.wrap(tunnel, said)
}
#[library_benchmark(teardown = done)]
#[bench::ipip(proven(64), any_ipip(), said())]
fn any(packet: Proven<'static>, tunnel: &AnyTunnel, said: &PerPacket) -> Wrapped {
    packet.wrap(tunnel, said)
}
#[library_benchmark(teardown = done)]
#[bench::of_tcp_fou(proven(64), any_tcp_udp(), said())]
fn any_slice(packet: Proven<'static>, tunnel: &[AnyTunnel], said: &PerPacket) -> Wrapped {
    packet.wrap(tunnel, said)
}
#[library_benchmark(teardown = done)]
#[bench::entropy(proven(64), entropy(), said())]
#[bench::hash_given(proven(64), entropy(), hashed())]
#[bench::offload_64(proven(64), fou(ChecksumPolicy::Offload), said())]
#[bench::offload_1400(proven(1400), fou(ChecksumPolicy::Offload), said())]
#[bench::offload_9000(proven(9000), fou(ChecksumPolicy::Offload), said())]
#[bench::offload_60000(proven(60000), fou(ChecksumPolicy::Offload), said())]
#[bench::zero(proven(64), fou(ChecksumPolicy::Zero), said())]
#[bench::full(proven(64), fou(ChecksumPolicy::Full), said())]
fn fou(packet: Proven<'static>, tunnel: &Tunnel<Fou>, said: &PerPacket) -> Wrapped {
    #[cfg(feature = "planted")]
    planted(packet.facts().len() >> 15);
    packet.wrap(tunnel, said)
}
#[library_benchmark(teardown = done)]
#[bench::offload(proven(64), tunnel(Gue::new().with_source_port(fixed_port())), said())]
fn gue(packet: Proven<'static>, tunnel: &Tunnel<Gue>, said: &PerPacket) -> Wrapped {
    packet.wrap(tunnel, said)
}
#[library_benchmark(teardown = done)]
#[bench::offload(proven(64), tunnel(GueVariant1::new().with_source_port(fixed_port())), said())]
fn gue_variant_1(
    packet: Proven<'static>,
    tunnel: &Tunnel<GueVariant1>,
    said: &PerPacket,
) -> Wrapped {
    packet.wrap(tunnel, said)
}
#[library_benchmark(teardown = done)]
#[bench::offload(proven(64), gue_2_words(), said())]
fn gue_2_words(packet: Proven<'static>, tunnel: &Tunnel<Gue<2>>, said: &PerPacket) -> Wrapped {
    packet.wrap(tunnel, said)
}
#[library_benchmark(teardown = done)]
#[bench::offload_64(proven(64), tcp_tunnel(), said())]
#[bench::offload_1400(proven(1400), tcp_tunnel(), said())]
#[bench::offload_9000(proven(9000), tcp_tunnel(), said())]
#[bench::offload_60000(proven(60000), tcp_tunnel(), said())]
fn tcp(packet: Proven<'static>, tunnel: &Tunnel<Tcp>, said: &PerPacket) -> Wrapped {
    packet.wrap(tunnel, said)
}
#[library_benchmark(teardown = done)]
#[bench::plain(proven(64), tunnel(Gre::new()), said())]
#[bench::key_checksum(proven(64), tunnel(Gre::new().with_key(7).with_checksum()), said())]
fn gre(packet: Proven<'static>, tunnel: &Tunnel<Gre>, said: &PerPacket) -> Wrapped {
    packet.wrap(tunnel, said)
}

#[library_benchmark]
#[bench::any(facts(), ipip(), said())]
fn empty_of_facts(
    _inner: &Facts,
    _tunnel: &Ipip,
    _said: &PerPacket,
) -> Result<Header<40>, EncapError> {
    Err(EncapError::TtlZero)
}
#[library_benchmark(teardown = done)]
#[bench::ipip(facts(), ipip(), said())]
fn header_1(inner: &Facts, tunnel: &Ipip, said: &PerPacket) -> Result<Header<40>, EncapError> {
    header_of(tunnel, inner, said)
}
#[library_benchmark(teardown = done)]
#[bench::ipip(facts(), layers(DEFAULT), said())]
fn header_2(inner: &Facts, tunnel: &[Ipip; 2], said: &PerPacket) -> Result<Header<40>, EncapError> {
    header_of(tunnel, inner, said)
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
fn empty_of_decap(_packet: &'static mut [u8], _receiver: &Receiver) -> Opened {
    Err(Refused::new(Reason::NotTunnel))
}
#[library_benchmark(teardown = done)]
#[bench::any(outer(), receiver())]
#[bench::ect(wrapped(ipip(), Ecn::Ect0), receiver())]
#[bench::ce(marked(Ecn::Ect0, Ecn::Ce), receiver())]
#[bench::ect_1(marked(Ecn::Ect0, Ecn::Ect1), receiver())]
#[bench::tunnel_inside(tunnel_inside(), receiver())]
fn decap(packet: &'static mut [u8], receiver: &Receiver) -> Opened {
    receiving::decap(receiver, packet)
}
#[library_benchmark(teardown = done)]
#[bench::any(outer(), receiver())]
fn decap_by_reference(packet: &'static mut [u8], receiver: &Receiver) -> Opened {
    receiving::decap(&receiver, packet)
}
#[library_benchmark(teardown = done)]
#[bench::any(outer(), receiver())]
fn decap_dyn(packet: &'static mut [u8], receiver: &'static dyn Decapsulate) -> Opened {
    receiving::decap(receiver, packet)
}
#[library_benchmark(teardown = done)]
#[bench::of_1(outer(), tunnels())]
#[bench::of_2(wrapped(tuple_of_2(), Ecn::NotEct), tunnels())]
fn decap_nested(packet: &'static mut [u8], tunnels: &[&'static dyn Decapsulate]) -> Opened {
    receiving::decap_nested(tunnels, packet, DEFAULT_NESTING)
}
#[library_benchmark(teardown = done)]
#[bench::of_2(wrapped(tuple_of_2(), Ecn::NotEct), receivers_of_2())]
fn decap_tuple(packet: &'static mut [u8], receivers: &(Receiver, Receiver)) -> Opened {
    receiving::decap(receivers, packet)
}
#[library_benchmark(teardown = done)]
#[bench::of_1(outer(), of_table(1, 0))]
#[bench::of_10000(outer(), of_table(10_000, 0))]
#[bench::of_10000_indexed(outer(), of_table(10_000, 4096))]
fn decap_table(packet: &'static mut [u8], receiver: &TableReceiver) -> Opened {
    receiving::decap(receiver, packet)
}
#[library_benchmark(teardown = done)]
#[bench::checksum(wrapped(fou(ChecksumPolicy::Full), Ecn::NotEct), fou_receiver())]
#[bench::no_checksum(wrapped(fou(ChecksumPolicy::Zero), Ecn::NotEct), fou_receiver())]
fn decap_fou(packet: &'static mut [u8], receiver: &FouReceiver) -> Opened {
    receiving::decap(receiver, packet)
}

#[library_benchmark]
#[bench::any(sender(), inner_packet(), said())]
fn empty_of_outbound(_: &mut OneEnd, _packet: &[u8], _said: &PerPacket) -> Outbound {
    nothing()
}
#[library_benchmark(teardown = goes_out)]
#[bench::any(sender(), inner_packet(), said())]
fn endpoint_outbound(endpoint: &mut OneEnd, packet: &[u8], said: &PerPacket) -> Outbound {
    endpoint.outbound(NOW, packet, said)
}
#[library_benchmark]
#[bench::any(sender(), room(), said())]
fn empty_of_send(_: &mut OneEnd, _packet: &mut Packet<'static>, _said: &PerPacket) -> Outbound {
    nothing()
}
#[library_benchmark(teardown = goes_out)]
#[bench::any(sender(), room(), said())]
fn endpoint_send(
    endpoint: &mut OneEnd,
    packet: &mut Packet<'static>,
    said: &PerPacket,
) -> Outbound {
    endpoint.send(NOW, packet, said, |outer| {
        black_box(outer);
    })
}
#[library_benchmark]
#[bench::any(far_end(), outer())]
fn empty_of_inbound(_: &mut OneEnd, _packet: &mut [u8]) -> Inbound {
    Inbound::Held
}
#[library_benchmark(teardown = comes_in)]
#[bench::any(far_end(), outer())]
fn endpoint_inbound(endpoint: &mut OneEnd, packet: &mut [u8]) -> Inbound {
    endpoint.inbound(NOW, packet)
}
#[library_benchmark(teardown = comes_in)]
#[bench::any(far_end(), outer())]
fn endpoint_receive(endpoint: &mut OneEnd, packet: &mut [u8]) -> Inbound {
    endpoint.receive(NOW, packet)
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
        ipip_dyn,
        tuple_2,
        tuple_4,
        tuple_of_tcp_fou,
        array_2,
        array_4,
        array_8,
        slice,
        any,
        any_slice,
        fou,
        gue,
        gue_variant_1,
        gue_2_words,
        tcp,
        gre,
        empty_of_facts,
        header_1,
        header_2,
        empty_of_bytes,
        decap_headers,
        empty_of_decap,
        decap,
        decap_by_reference,
        decap_dyn,
        decap_nested,
        decap_tuple,
        decap_table,
        decap_fou,
        empty_of_outbound,
        endpoint_outbound,
        empty_of_send,
        endpoint_send,
        empty_of_inbound,
        endpoint_inbound,
        endpoint_receive,
        empty_of_frame,
        frame,
        empty_of_decoder,
        deframe,
    ]
);
main!(library_benchmark_groups = jobs);
