use core::hint::black_box;

use ipencap::decap::{
    self, Carried, Carrier, Decapsulate, Edge, EgressDscp, InnerTunnels, MinEncCarrier, Opened,
    OuterMeta, OuterPacket, Peer, PointToPoint, Receiver, SocketCarrier,
};
use ipencap::encap::{GreCarrier, IpIpCarrier, SequenceWindow, TcpCarrier, UdpCarrier};
use ipencap::error::Refused;
use ipencap::packet::Packet;
use ipencap::wire::{IpProtocol, Ipv4, LengthPrefix};

use crate::given::{
    address, addresses, byte, bytes, double_word, ecn, prefix, prefixes, size, span, word,
};
use crate::helper::{cloneable, comparable, seen, value};

pub fn call(buffer: &mut [u8]) {
    let access = black_box(PointToPoint::new(address(), address(), prefixes()));
    let peers = [black_box(Peer::new(prefix(), prefixes())); 4];
    let edge = black_box(Edge::new(addresses(), black_box(peers.as_slice())));

    let ipip = configured(black_box(Receiver::ipip(access)));
    decapsulate::<Receiver<_, _>>(&ipip, buffer);
    decapsulate::<&Receiver<_, _>>(&&ipip, buffer);
    let ipip = configured(black_box(Receiver::ipip(&edge)));
    decapsulate::<Receiver<_, _>>(&ipip, buffer);
    let minimal = configured(black_box(Receiver::minimal(&edge)));
    decapsulate::<Receiver<_, _>>(&minimal, buffer);
    let gre = configured(black_box(Receiver::gre(gre_carrier(), access)));
    decapsulate::<Receiver<_, _>>(&gre, buffer);
    let tcp = configured(black_box(Receiver::tcp(tcp_carrier(), &edge)));
    decapsulate::<Receiver<_, _>>(&tcp, buffer);
    let udp = configured(black_box(Receiver::udp(udp_carrier(), &edge)));
    decapsulate::<Receiver<_, _>>(&udp, buffer);
    let custom = configured(black_box(Receiver::new(Custom, access)));
    decapsulate::<Receiver<_, _>>(&custom, buffer);
    seen(Receiver::inspect_payload(&tcp, &outer_meta(), bytes()));
    seen(Receiver::inspect_payload(&udp, &outer_meta(), bytes()));
    seen(Receiver::inspect_payload(&custom, &outer_meta(), bytes()));

    decapsulate::<()>(&(), buffer);
    decapsulate::<Custom>(&Custom, buffer);
    decapsulate::<dyn Decapsulate>(black_box(&Custom), buffer);
    decapsulate::<(_, _)>(&(Custom, gre), buffer);
    decapsulate::<[_; 2]>(&[gre, gre], buffer);
    decapsulate::<[_]>(black_box([gre, gre].as_slice()), buffer);
    let tunnels: [&dyn Decapsulate; 4] = black_box([&ipip, &gre, &Custom, &()]);
    let tunnels = black_box(tunnels.as_slice());
    seen(decap::inspect_nested(tunnels, bytes(), byte()));
    seen(decap::decap_nested(tunnels, black_box(buffer), byte()));

    carriers();
}

fn decapsulate<D: Decapsulate + ?Sized>(tunnel: &D, buffer: &mut [u8]) {
    let arrived = black_box(OuterPacket::new(bytes()));
    seen(<D as Decapsulate>::layers(tunnel));
    if let Ok(packet) = black_box(Ipv4::parse(bytes())) {
        seen(<D as Decapsulate>::recognises(tunnel, packet));
    }
    seen(<D as Decapsulate>::inspect_outer(tunnel, arrived));
    seen(<D as Decapsulate>::open(tunnel, black_box(&mut *buffer)));
    if let Ok(opened) = black_box(<D as Decapsulate>::inspect(tunnel, bytes())) {
        // As the inner layer of a stack: with a header that is not in the buffer yet.
        let arrived = black_box(Opened::outer_packet(&opened, bytes()));
        seen(<D as Decapsulate>::inspect_outer(tunnel, arrived));
    }
    seen(decap::decap(tunnel, black_box(&mut *buffer)));
    let mut packet = black_box(Packet::new(black_box(&mut *buffer), span()));
    seen(Packet::decap(black_box(&mut packet), tunnel));
    seen(packet);
}

fn configured<C: Copy, A: Copy>(tunnel: Receiver<C, A>) -> Receiver<C, A> {
    let dscp = black_box(EgressDscp::Keep);
    let tunnel = black_box(Receiver::with_egress_dscp(tunnel, dscp));
    let inner_tunnels = black_box(InnerTunnels::Transit);
    let tunnel = black_box(Receiver::with_inner_tunnels(tunnel, inner_tunnels));
    let tunnel = black_box(Receiver::with_max_depth(tunnel, byte()));
    let tunnel = black_box(Receiver::allowing_multicast(tunnel));
    let tunnel = black_box(Receiver::allowing_class_e(tunnel));
    let tunnel = black_box(Receiver::allowing_destination_peer(tunnel));
    let tunnel = black_box(Receiver::with_exact_length(tunnel));
    let tunnel = black_box(Receiver::refusing_land(tunnel));
    cloneable::<Receiver<C, A>>(&tunnel);
    tunnel
}

fn gre_carrier() -> GreCarrier {
    let carrier = black_box(GreCarrier::new());
    let carrier = black_box(GreCarrier::with_key(carrier, double_word()));
    let carrier = black_box(GreCarrier::with_checksum(carrier));
    black_box(GreCarrier::with_sequence(carrier))
}

fn tcp_carrier() -> TcpCarrier {
    let carrier = black_box(TcpCarrier::new(word()));
    black_box(TcpCarrier::with_framing(
        carrier,
        black_box(LengthPrefix::Inclusive),
    ))
}

fn udp_carrier() -> UdpCarrier {
    seen(UdpCarrier::gue());
    seen(UdpCarrier::fou(word()));
    let carrier = black_box(UdpCarrier::gre(gre_carrier()));
    let carrier = black_box(UdpCarrier::with_destination_port(carrier, word()));
    black_box(UdpCarrier::requiring_checksum(carrier))
}

fn carriers() {
    seen(<IpIpCarrier as Default>::default());
    seen(<MinEncCarrier as Default>::default());
    seen(<GreCarrier as Default>::default());
    value::<IpIpCarrier>(IpIpCarrier);
    value::<MinEncCarrier>(MinEncCarrier);
    seen(decap::inspect_minimal_without_filter(bytes()));
    value::<GreCarrier>(gre_carrier());
    value::<TcpCarrier>(tcp_carrier());
    value::<UdpCarrier>(udp_carrier());

    let mut window = black_box(SequenceWindow::new());
    seen(<SequenceWindow as Default>::default());
    seen(SequenceWindow::accept(
        black_box(&mut window),
        double_word(),
    ));
    value::<SequenceWindow>(window);

    if let Ok(outer) = black_box(Ipv4::parse(bytes())) {
        carrier::<IpIpCarrier>(&IpIpCarrier, outer);
        carrier::<GreCarrier>(&gre_carrier(), outer);
        carrier::<TcpCarrier>(&tcp_carrier(), outer);
        carrier::<UdpCarrier>(&udp_carrier(), outer);
        carrier::<&UdpCarrier>(&&udp_carrier(), outer);
        carrier::<Custom>(&Custom, outer);
    }
    socket_carrier::<TcpCarrier>(&tcp_carrier());
    socket_carrier::<UdpCarrier>(&udp_carrier());

    seen(Carried::behind(size(), size()));
    seen(Carried::moved(carried(), size()));
    seen(Carried::with_sequence(carried(), black_box(None)));
    seen(<Carried as Default>::default());
    comparable::<Carried>(&carried());
    comparable::<OuterMeta>(&outer_meta());
}

fn carrier<C: Carrier>(carrier: &C, outer: Ipv4<'_>) {
    seen(<C as Carrier>::read(carrier, outer));
    seen(<C as Carrier>::reopens(carrier, outer));
    seen(decap::inspect_without_filter(carrier, bytes()));
}

fn socket_carrier<C: SocketCarrier>(carrier: &C) {
    seen(<C as SocketCarrier>::read_payload(carrier, word(), bytes()));
}

fn carried() -> Carried {
    black_box(Carried::behind(size(), size()))
}

fn outer_meta() -> OuterMeta {
    OuterMeta {
        source: address(),
        destination: address(),
        source_port: word(),
        destination_port: word(),
        ecn: ecn(),
    }
}

/// A user's own carrier and decapsulator, which answer anything and override nothing.
#[derive(Clone, Copy)]
struct Custom;

impl Carrier for Custom {
    const PROTOCOL: IpProtocol = IpProtocol(99);

    fn read(&self, _outer: Ipv4<'_>) -> Result<Carried, Refused> {
        black_box(Ok(carried()))
    }
}

impl SocketCarrier for Custom {
    fn read_payload(&self, _destination_port: u16, _payload: &[u8]) -> Result<Carried, Refused> {
        black_box(Ok(carried()))
    }
}

impl Decapsulate for Custom {
    fn recognises(&self, _outer: Ipv4<'_>) -> bool {
        black_box(true)
    }

    fn inspect_outer(&self, arrived: OuterPacket<'_>) -> Result<Opened, Refused> {
        black_box(Ok(arrived.opened(span())))
    }
}
