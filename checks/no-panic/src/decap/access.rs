use core::hint::black_box;
use core::net::Ipv4Addr;
use core::str::FromStr;

use ipencap::decap::{Access, Edge, Peer, PointToPoint};
use ipencap::packet::Flow;
use ipencap::wire::{self, Prefix};

use crate::given::{
    address, addresses, byte, bytes, double_word, flow, prefix, prefixes, protocol, word, words,
};
use crate::helper::{cloneable, debug, display, seen, value};

pub fn call() {
    seen(wire::is_unicast(address()));
    seen(wire::is_class_e(address()));

    seen(Prefix::new(address(), byte()));
    seen(Prefix::host(address()));
    seen(Prefix::contains(prefix(), address()));
    seen(Prefix::network(prefix()));
    seen(Prefix::len(prefix()));
    if let Ok(text) = core::str::from_utf8(bytes()) {
        seen(<Prefix as FromStr>::from_str(black_box(text)));
    }
    display::<Prefix>(&prefix());
    value::<Prefix>(prefix());

    let point_to_point = black_box(PointToPoint::new(address(), address(), prefixes()));
    let point_to_point = black_box(PointToPoint::with_source_port(point_to_point, word()));
    cloneable::<PointToPoint<'_>>(&point_to_point);
    access::<PointToPoint<'_>>(&point_to_point);

    let peer = black_box(Peer::new(prefix(), prefixes()));
    let peer = black_box(Peer::with_source_port(peer, word()));
    let peer = black_box(Peer::with_tag(peer, double_word()));
    cloneable::<Peer<'_>>(&peer);
    debug::<Peer<'_>>(&peer);

    let peers = [peer; 4];
    let edge = black_box(Edge::new(addresses(), black_box(peers.as_slice())));
    let edge = black_box(Edge::with_endpoints(edge, addresses()));
    let edge = black_box(Edge::with_tunnel_ports(edge, words()));
    cloneable::<Edge<'_>>(&edge);
    access::<Edge<'_>>(&edge);
    access::<&Edge<'_>>(&&edge);
    access::<Custom>(&Custom);
}

pub(super) fn access<A: Access>(access: &A) {
    seen(<A as Access>::is_local(black_box(access), address()));
    seen(<A as Access>::are_local(
        black_box(access),
        address(),
        address(),
    ));
    seen(<A as Access>::peer(black_box(access), flow()));
    seen(<A as Access>::allows_inner(
        black_box(access),
        double_word(),
        address(),
    ));
    seen(<A as Access>::tag(black_box(access), double_word()));
    seen(<A as Access>::is_endpoint(black_box(access), address()));
    seen(<A as Access>::is_tunnel_port(
        black_box(access),
        address(),
        protocol(),
        word(),
    ));
}

/// A user's own table, which overrides nothing.
struct Custom;

impl Access for Custom {
    fn is_local(&self, _address: Ipv4Addr) -> bool {
        black_box(true)
    }

    fn peer(&self, _outer: Flow) -> Option<u32> {
        black_box(None)
    }

    fn allows_inner(&self, _peer: u32, _inner_source: Ipv4Addr) -> bool {
        black_box(true)
    }
}
