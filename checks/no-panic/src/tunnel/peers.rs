use core::hint::black_box;

use ipencap::decap::{
    Access, AnyReceiver, Decapsulate, InnerPolicy, Opened, OuterPacket, PrefixEntry, Receiver,
};
use ipencap::encap::{AnyTunnel, Encapsulate, MinEnc, Tunnel};
use ipencap::packet::{Packet, Quote};
use ipencap::shim::{Fou, Gre, IpIp, Shim, Tcp};
use ipencap::tunnel::{
    ArrivalEntry, LayersReceiver, OnePeer, PeerSlot, PeerTable, PeerTunnel, Peers, Received,
    SocketTunnel, TwoWay,
};
use ipencap::wire::Ipv4;

use super::Tunnels;
use super::values::{arrival, meta, peer_id, policy};
use crate::given::{
    address, bytes, double_word, facts, per_packet, prefix, prefixes, protocol, rules, size, span,
    word,
};
use crate::helper::{cloneable, comparable, seen};
use crate::shim::{fou, gre, tcp};

pub fn call(tunnels: &Tunnels, buffer: &mut [u8]) {
    let Tunnels {
        ipip,
        fou: udp,
        gre: keyed,
        tcp: connection,
        minimal,
        any,
    } = *tunnels;
    both_ways::<Tunnel<IpIp>>(&ipip);
    both_ways::<&Tunnel<IpIp>>(&&ipip);
    both_ways::<Tunnel<Fou>>(&udp);
    both_ways::<Tunnel<Gre>>(&keyed);
    both_ways::<Tunnel<Tcp>>(&connection);
    both_ways::<MinEnc>(&minimal);
    both_ways::<AnyTunnel>(&any);
    both_ways::<(Tunnel<IpIp>, Tunnel<Fou>)>(&(ipip, udp));
    both_ways::<[Tunnel<IpIp>; 2]>(&[ipip, ipip]);
    both_ways::<[Tunnel<IpIp>]>(black_box([ipip, ipip].as_slice()));

    through_socket::<Tunnel<Fou>>(&udp, buffer);
    through_socket::<&Tunnel<Fou>>(&&udp, buffer);
    through_socket::<Tunnel<Tcp>>(&connection, buffer);
    through_socket::<AnyTunnel>(&any, buffer);
    through_socket::<(Tunnel<IpIp>, Tunnel<Fou>)>(&(ipip, udp), buffer);
    through_socket::<[Tunnel<Fou>; 2]>(&[udp, udp], buffer);
    through_socket::<[Tunnel<Fou>]>(black_box([udp, udp].as_slice()), buffer);

    let two_way = black_box(TwoWay::new(udp, fou()));
    seen(TwoWay::sending(&two_way));
    seen(TwoWay::receiving(&two_way));
    comparable::<TwoWay<_, _>>(&two_way);
    both_ways::<TwoWay<_, _>>(&two_way);
    through_socket::<TwoWay<_, _>>(&two_way, buffer);
    both_directions(&two_way, buffer);

    let one = black_box(OnePeer::new(ipip, prefixes()));
    let one = black_box(OnePeer::with_policy(one, policy()));
    let one = black_box(OnePeer::with_default_route(one));
    cloneable::<OnePeer<'_, _>>(&one);
    lookups::<OnePeer<'_, _>>(&one);
    lookups::<&OnePeer<'_, _>>(&&one);
    table(ipip);
    chosen(&any, &minimal);
    let pair = black_box([ipip, ipip]);
    let policy = black_box(InnerPolicy::DEFAULT);
    layers(&<[Tunnel<IpIp>] as PeerTunnel>::peer_receiver(
        &pair, Anybody, policy,
    ));
}

fn both_directions(tunnel: &TwoWay<Fou>, buffer: &mut [u8]) {
    seen(<TwoWay<Fou> as Encapsulate>::overhead(tunnel));
    seen(<TwoWay<Fou> as Encapsulate>::max_len(tunnel));
    seen(<TwoWay<Fou> as Encapsulate>::rules(tunnel));
    let (facts, packet) = (facts(), per_packet());
    seen(<TwoWay<Fou> as Encapsulate>::check(
        tunnel,
        &facts,
        &packet,
        rules(),
    ));
    seen(<TwoWay<Fou> as Encapsulate>::write(
        tunnel,
        black_box(buffer),
        &facts,
        &packet,
        rules(),
    ));
    if let Ok(quote) = Quote::parse(bytes()) {
        seen(<TwoWay<Fou> as Encapsulate>::inside_quote(tunnel, quote));
    }
}

fn both_ways<T: PeerTunnel + ?Sized>(tunnel: &T) {
    let tunnel = black_box(tunnel);
    seen(<T as PeerTunnel>::ends(tunnel));
    seen(<T as PeerTunnel>::inner_ends(tunnel));
    seen(<T as PeerTunnel>::is_end(tunnel, address()));
    seen(<T as PeerTunnel>::listens(
        tunnel,
        address(),
        protocol(),
        word(),
    ));
    seen(<T as PeerTunnel>::arrival(tunnel));
    seen(<T as PeerTunnel>::departure(tunnel));
    seen(<T as PeerTunnel>::stream_overhead(tunnel));
    let policy = black_box(InnerPolicy::DEFAULT);
    let receiver = <T as PeerTunnel>::peer_receiver(tunnel, Anybody, policy);
    seen(<T::Receiver<'_, Anybody> as Decapsulate>::inspect(
        &receiver,
        bytes(),
    ));
}

/// Whoever may send what: any answer.
#[derive(Clone, Copy, Debug)]
struct Anybody;

impl Access for Anybody {
    fn is_local(&self, address: core::net::Ipv4Addr) -> bool {
        black_box(address.is_private())
    }

    fn peer(&self, outer: ipencap::packet::Flow) -> Option<u32> {
        seen(outer);
        black_box(Some(0))
    }

    fn allows_inner(&self, peer: u32, inner_source: core::net::Ipv4Addr) -> bool {
        seen((peer, inner_source));
        black_box(true)
    }
}

fn layers(layers: &LayersReceiver<'_, Tunnel<IpIp>, Anybody>) {
    cloneable::<LayersReceiver<'_, _, _>>(layers);
    let outer = black_box(OuterPacket::new(bytes()));
    seen(<LayersReceiver<'_, _, _> as Decapsulate>::layers(layers));
    seen(<LayersReceiver<'_, _, _> as Decapsulate>::inspect_outer(
        layers, outer,
    ));
    if let Ok(packet) = Ipv4::parse(bytes()) {
        seen(<LayersReceiver<'_, _, _> as Decapsulate>::recognises(
            layers, packet,
        ));
    }
}

fn through_socket<T: SocketTunnel + ?Sized>(tunnel: &T, buffer: &mut [u8]) {
    let tunnel = black_box(tunnel);
    seen(<T as SocketTunnel>::payload_overhead(tunnel));
    let mut packet = Packet::new(black_box(buffer), span());
    let said = per_packet();
    seen(<T as SocketTunnel>::wrap_payload(
        tunnel,
        black_box(&mut packet),
        &said,
    ));
    let meta = meta();
    let received = black_box(Received::new(&meta, bytes()));
    let policy = black_box(InnerPolicy::DEFAULT);
    seen(<T as SocketTunnel>::inspect_payload(
        tunnel, Anybody, policy, received,
    ));
}

fn lookups<P: Peers>(peers: &P) {
    let peers = black_box(peers);
    seen(<P as Peers>::capacity(peers));
    seen(<P as Peers>::at(peers, double_word()));
    seen(<P as Peers>::get(peers, peer_id()).is_some());
    seen(<P as Peers>::owner(peers, double_word(), address()));
    seen(<P as Peers>::known(peers, peer_id()));
    seen(<P as Peers>::sender(peers, &arrival()));
    seen(<P as Peers>::allows(
        peers,
        peer_id(),
        double_word(),
        address(),
    ));
    seen(<P as Peers>::with_outer_address(peers, address(), size()));
    seen(<P as Peers>::is_local(peers, address()));
    seen(<P as Peers>::are_local(peers, address(), address()));
    seen(<P as Peers>::listens(peers, address(), protocol(), word()));
}

fn table(tunnel: Tunnel<IpIp>) {
    let mut slots = [PeerSlot::EMPTY; 4];
    cloneable::<PeerSlot<_>>(&slots[0]);
    let mut arrivals = [ArrivalEntry::EMPTY; 4];
    let (mut prefixes, mut own) = ([PrefixEntry::EMPTY; 4], [PrefixEntry::EMPTY; 4]);
    let table = black_box(PeerTable::new(
        black_box(slots.as_mut_slice()),
        black_box(arrivals.as_mut_slice()),
        black_box(prefixes.as_mut_slice()),
        black_box(own.as_mut_slice()),
    ));
    let (mut by_arrival, mut by_prefix) = ([0; 8], [0; 8]);
    let mut table = black_box(PeerTable::with_index(
        table,
        black_box(by_arrival.as_mut_slice()),
        black_box(by_prefix.as_mut_slice()),
    ));
    for _ in 0..size() {
        let table = black_box(&mut table);
        seen(PeerTable::add(table, tunnel, policy()));
        seen(PeerTable::replace(table, peer_id(), tunnel, policy()));
        seen(PeerTable::allow(table, peer_id(), prefix()));
        seen(PeerTable::disallow(table, peer_id(), prefix()));
        seen(PeerTable::remove(table, peer_id()));
        PeerTable::iter(table).for_each(seen);
        PeerTable::prefixes(table, peer_id()).for_each(seen);
        lookups::<PeerTable<'_, _>>(table);
    }
}

/// Every kind of tunnel, and of receiver, that is chosen at run time.
fn chosen(any: &AnyTunnel, minimal: &MinEnc) {
    seen(AnyTunnel::source(any));
    seen(AnyTunnel::destination(any));
    seen(MinEnc::source(minimal));
    seen(MinEnc::destination(minimal));
    let policy = black_box(InnerPolicy::DEFAULT);
    seen(<InnerPolicy as Default>::default());
    comparable::<InnerPolicy>(&policy);
    let receiver = black_box(MinEnc::receiver(minimal, Anybody));
    let receiver = black_box(Receiver::with_inner_policy(receiver, policy));
    seen(<Receiver<_, _> as Decapsulate>::inspect(&receiver, bytes()));
    let receiver = black_box(AnyTunnel::receiver(any, Anybody));
    let receiver = black_box(AnyReceiver::with_inner_policy(receiver, policy));
    cloneable::<AnyReceiver<_>>(&receiver);
    seen(AnyReceiver::inspect_payload(&receiver, &meta(), bytes()));
    let outer = black_box(OuterPacket::new(bytes()));
    seen(<AnyReceiver<_> as Decapsulate>::layers(&receiver));
    if let Ok(opened) = <AnyReceiver<_> as Decapsulate>::inspect_outer(&receiver, outer) {
        seen(Opened::restores_header(&opened));
    }
    if let Ok(packet) = Ipv4::parse(bytes()) {
        seen(<AnyReceiver<_> as Decapsulate>::recognises(
            &receiver, packet,
        ));
    }
    seen(<Fou as Shim>::tunnel_number(&fou()));
    seen(<Gre as Shim>::tunnel_number(&gre()));
    seen(<Tcp as Shim>::tunnel_number(&tcp()));
}
