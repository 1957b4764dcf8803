use core::hint::black_box;

use ipencap::decap::{
    self, Decapsulate, Edge, EgressDscp, InnerTunnels, Minimal, Opened, OuterMeta, OuterPacket,
    Peer, PointToPoint, Receiver,
};
use ipencap::error::Refused;
use ipencap::packet::Packet;
use ipencap::shim::{Gue, IpIp};
use ipencap::wire::Ipv4;

use crate::given::{address, addresses, byte, bytes, ecn, prefix, prefixes, protocol, span, word};
use crate::helper::{cloneable, comparable, seen, value};
use crate::shim::{self, fou, gre, gre_in_udp, tcp};

pub fn call(buffer: &mut [u8]) {
    let access = black_box(PointToPoint::new(address(), address(), prefixes()));
    let peers = [black_box(Peer::new(prefix(), prefixes())); 4];
    let edge = black_box(Edge::new(addresses(), black_box(peers.as_slice())));

    let ipip = configured(black_box(Receiver::new(IpIp, access)));
    decapsulate::<Receiver<_, _>>(&ipip, buffer);
    decapsulate::<&Receiver<_, _>>(&&ipip, buffer);
    let ipip = configured(black_box(Receiver::new(IpIp, &edge)));
    decapsulate::<Receiver<_, _>>(&ipip, buffer);
    let minimal = configured(black_box(Receiver::minimal(&edge)));
    decapsulate::<Receiver<_, _>>(&minimal, buffer);
    let gre = configured(black_box(Receiver::new(gre(), access)));
    decapsulate::<Receiver<_, _>>(&gre, buffer);
    let tcp = configured(black_box(Receiver::new(tcp(), &edge)));
    decapsulate::<Receiver<_, _>>(&tcp, buffer);
    let fou = configured(black_box(Receiver::new(fou(), &edge)));
    decapsulate::<Receiver<_, _>>(&fou, buffer);
    let gue = configured(black_box(Receiver::new(Gue::new(), &edge)));
    decapsulate::<Receiver<_, _>>(&gue, buffer);
    let gre_in_udp = configured(black_box(Receiver::new(gre_in_udp(), &edge)));
    decapsulate::<Receiver<_, _>>(&gre_in_udp, buffer);
    let custom = configured(black_box(Receiver::new(shim::Custom, access)));
    decapsulate::<Receiver<_, _>>(&custom, buffer);
    seen(Receiver::inspect_payload(&tcp, &outer_meta(), bytes()));
    seen(Receiver::inspect_payload(&fou, &outer_meta(), bytes()));
    seen(Receiver::inspect_payload(&gue, &outer_meta(), bytes()));
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

    seen(decap::inspect_minimal_without_filter(bytes()));
    seen(<Minimal as Default>::default());
    value::<Minimal>(Minimal);
    comparable::<OuterMeta>(&outer_meta());
}

fn decapsulate<D: Decapsulate + ?Sized>(tunnel: &D, buffer: &mut [u8]) {
    let outer = black_box(OuterPacket::new(bytes()));
    seen(<D as Decapsulate>::layers(tunnel));
    if let Ok(packet) = black_box(Ipv4::parse(bytes())) {
        seen(<D as Decapsulate>::recognises(tunnel, packet));
    }
    seen(<D as Decapsulate>::inspect_outer(tunnel, outer));
    seen(<D as Decapsulate>::open(tunnel, black_box(&mut *buffer)));
    if let Ok(opened) = black_box(<D as Decapsulate>::inspect(tunnel, bytes())) {
        // As the inner layer of a stack: with a header that is not in the buffer yet.
        let outer = black_box(Opened::outer_packet(&opened, bytes()));
        seen(<D as Decapsulate>::inspect_outer(tunnel, outer));
    }
    seen(decap::decap(tunnel, black_box(&mut *buffer)));
    let mut packet = black_box(Packet::new(black_box(&mut *buffer), span()));
    seen(Packet::open(black_box(&mut packet), tunnel));
    seen(packet);
}

fn configured<S: Copy, A: Copy>(tunnel: Receiver<S, A>) -> Receiver<S, A> {
    let dscp = black_box(EgressDscp::Keep);
    let tunnel = black_box(Receiver::with_egress_dscp(tunnel, dscp));
    let inner_tunnels = black_box(InnerTunnels::Transit);
    let tunnel = black_box(Receiver::with_inner_tunnels(tunnel, inner_tunnels));
    let tunnel = black_box(Receiver::with_max_depth(tunnel, byte()));
    let tunnel = black_box(Receiver::allowing_multicast(tunnel));
    let tunnel = black_box(Receiver::allowing_class_e(tunnel));
    let tunnel = black_box(Receiver::allowing_own_source(tunnel));
    let tunnel = black_box(Receiver::allowing_destination_peer(tunnel));
    let tunnel = black_box(Receiver::with_exact_length(tunnel));
    let tunnel = black_box(Receiver::refusing_land(tunnel));
    cloneable::<Receiver<S, A>>(&tunnel);
    tunnel
}

fn outer_meta() -> OuterMeta {
    OuterMeta {
        source: address(),
        destination: address(),
        protocol: protocol(),
        source_port: word(),
        destination_port: word(),
        ecn: ecn(),
    }
}

/// A user's own decapsulator, which answers anything and overrides nothing.
#[derive(Clone, Copy)]
struct Custom;

impl Decapsulate for Custom {
    fn recognises(&self, _outer: Ipv4<'_>) -> bool {
        black_box(true)
    }

    fn inspect_outer(&self, outer: OuterPacket<'_>) -> Result<Opened, Refused> {
        black_box(Ok(outer.opened(span())))
    }
}
