use core::hint::black_box;

use ipencap::encap::Tunnel;
use ipencap::fragment::{Limits, Reassembler, Slot, plan};
use ipencap::packet::Packet;
use ipencap::pmtu::{Prober, ProberConfig};
use ipencap::shim::{Fou, IpIp};
use ipencap::time::Instant;
use ipencap::tunnel::{
    ClosedPort, Counters, Echo, Endpoint, Inbound, OnePeer, Outbound, Path, PathCheck, PathProbe,
    PeerTunnel, Peers, Reassembly, SocketTunnel,
};

use super::Tunnels;
use super::values::{config, meta, peer_id};
use crate::given::{
    address, bytes, double_word, long_word, per_packet, prefixes, size, span, word,
};
use crate::helper::{cloneable, seen, value};

type End<'m, P> = Endpoint<'m, P, Counters>;

fn now() -> Instant {
    Instant::from_millis(long_word())
}

pub fn call(tunnels: &Tunnels, buffer: &mut [u8]) {
    let Tunnels { ipip, fou, any, .. } = *tunnels;
    run(black_box(OnePeer::new(ipip, prefixes())), buffer, |_, _| {});
    run(black_box(OnePeer::new(any, prefixes())), buffer, sockets);
    run(black_box(OnePeer::new(fou, prefixes())), buffer, sockets);
    let stack: (Tunnel<IpIp>, Tunnel<Fou>) = (ipip, fou);
    run(black_box(OnePeer::new(stack, prefixes())), buffer, sockets);
    never_joining(black_box(OnePeer::new(ipip, prefixes())));
}

fn never_joining<P: Peers>(peers: P) {
    let mut paths = [Path::EMPTY; 2];
    let end = Endpoint::new(peers, black_box(paths.as_mut_slice()), config());
    let mut end = black_box(Endpoint::without_reassembler(end));
    seen(Endpoint::inbound(&mut end, now(), bytes()));
    let mut held: Option<Reassembler<'_>> = black_box(None);
    seen(<Option<Reassembler<'_>> as Reassembly<'_>>::get(&held).is_some());
    seen(<Option<Reassembler<'_>> as Reassembly<'_>>::get_mut(&mut held).is_some());
    seen(<() as Reassembly<'_>>::get(&()).is_some());
    seen(<() as Reassembly<'_>>::get_mut(&mut ()).is_some());
}

fn run<P: Peers>(peers: P, buffer: &mut [u8], sockets: impl Fn(&mut End<'_, P>, &mut [u8])) {
    let mut paths = [Path::EMPTY; 2];
    let mut slots = [Slot::new(); 2];
    let mut memory = [0; 512];
    let held = Reassembler::new(
        &mut slots,
        black_box(memory.as_mut_slice()),
        Limits::DEFAULT,
    );
    let paths = black_box(paths.as_mut_slice());
    let end = Endpoint::with_tally(Endpoint::new(peers, paths, config()), Counters::new());
    let mut end = black_box(Endpoint::with_reassembler(end, held));
    for _ in 0..size() {
        let end = black_box(&mut end);
        outbound(end, buffer);
        inbound(end, buffer);
        sockets(end, buffer);
        rest(end);
    }
}

fn outbound<P: Peers>(end: &mut End<'_, P>, buffer: &mut [u8]) {
    let said = per_packet();
    seen(Endpoint::outbound(end, now(), bytes(), &said));
    let verdict = black_box(Endpoint::outbound_of(
        end,
        now(),
        double_word(),
        bytes(),
        &said,
    ));
    cloneable::<Outbound>(&verdict);
    seen(<Outbound as PartialEq>::eq(&verdict, black_box(&verdict)));
    let fragments = plan(bytes(), word()).and_then(|plan| plan.fragments(bytes()));
    if let Some(fragment) = fragments.ok().and_then(|mut fragments| fragments.next()) {
        seen(Endpoint::next_fragment(
            end,
            now(),
            peer_id(),
            &said,
            &fragment,
        ));
    }
    seen(Endpoint::number_probe(end, now(), peer_id(), bytes()));
    let mut packet = Packet::new(black_box(&mut *buffer), span());
    seen(Endpoint::send(
        end,
        now(),
        black_box(&mut packet),
        &said,
        |outer| seen(outer.len()),
    ));
    let mut packet = Packet::new(black_box(&mut *buffer), span());
    let packet = black_box(&mut packet);
    seen(Endpoint::send_of(
        end,
        now(),
        double_word(),
        packet,
        &said,
        |outer| {
            seen(outer.len());
        },
    ));
}

fn inbound<P: Peers>(end: &mut End<'_, P>, buffer: &mut [u8]) {
    let verdict = black_box(Endpoint::inbound(end, now(), bytes()));
    cloneable::<Inbound>(&verdict);
    seen(<Inbound as PartialEq>::eq(&verdict, black_box(&verdict)));
    seen(Endpoint::receive(end, now(), black_box(buffer)));
    if let Inbound::Whole { slot, .. } = verdict {
        seen(Endpoint::datagram(end, slot).is_some());
    }
}

fn sockets<P: Peers>(end: &mut End<'_, P>, buffer: &mut [u8])
where
    P::Tunnel: SocketTunnel + PeerTunnel,
{
    let said = per_packet();
    let mut packet = Packet::new(black_box(&mut *buffer), span());
    let packet = black_box(&mut packet);
    seen(Endpoint::send_payload(
        end,
        now(),
        packet,
        &said,
        |outer, payload| seen((outer.len(), payload.len())),
    ));
    let mut packet = Packet::new(black_box(&mut *buffer), span());
    let packet = black_box(&mut packet);
    seen(Endpoint::send_payload_of(
        end,
        now(),
        double_word(),
        packet,
        &said,
        |outer, payload| {
            seen((outer.len(), payload.len()));
        },
    ));
    seen(Endpoint::inbound_payload(end, now(), &meta(), bytes()));
    seen(Endpoint::receive_payload(
        end,
        now(),
        &meta(),
        black_box(buffer),
    ));
}

fn rest<P: Peers>(end: &mut End<'_, P>) {
    seen(Endpoint::peers(end).capacity());
    seen(Endpoint::peers_mut(end).capacity());
    seen(Endpoint::tally(end).outbound());
    seen(Endpoint::tally_mut(end).inbound());
    seen(Endpoint::inner_mtu(end, now(), peer_id()));
    seen(Endpoint::path_mtu(end, now(), peer_id()));
    seen(Endpoint::local_mtu(end, now(), peer_id(), word()));
    seen(Endpoint::reported_mtu(end, now(), peer_id(), word()));
    seen(Endpoint::unreachable(end, now(), peer_id()));
    let mut prober = black_box(Prober::new(ProberConfig::DEFAULT));
    seen(Endpoint::probe(
        end,
        now(),
        peer_id(),
        black_box(&mut prober),
    ));
    Endpoint::on_confirmed(end, now(), peer_id(), black_box(&mut prober), word());
    checks(end);
    Endpoint::set_link_mtu(end, now(), word());
    Endpoint::set_icmp_source(end, black_box(Some(address())));
    seen(Endpoint::next_deadline(end));
    Endpoint::expire(end, now(), seen);
    seen(Endpoint::is_silent(end, peer_id()));
}

fn checks<P: Peers>(end: &mut End<'_, P>) {
    let echo = black_box(Echo(word()));
    let port = black_box(ClosedPort(word()));
    value::<Echo>(echo);
    value::<ClosedPort>(port);
    let mut probe = [0; 64];
    let probe = black_box(probe.as_mut_slice());
    probes::<Echo>(&echo, probe);
    probes::<ClosedPort>(&port, probe);
    check(
        end,
        PathCheck::with_port(PathCheck::new(address(), address()), word()),
    );
    check(end, PathCheck::with_probes(address(), address(), echo));
}

fn probes<K: PathProbe>(kind: &K, probe: &mut [u8]) {
    seen(<K as PathProbe>::write(kind, word(), probe));
    seen(<K as PathProbe>::answered_len(
        kind,
        address(),
        address(),
        probe,
    ));
}

fn check<P: Peers, K: PathProbe + Clone>(end: &mut End<'_, P>, check: PathCheck<K>) {
    let check = PathCheck::with_config(black_box(check), black_box(ProberConfig::DEFAULT));
    let check = PathCheck::searching_after(check, black_box(2));
    let mut check = black_box(PathCheck::while_sending(check));
    cloneable::<PathCheck<K>>(&check);
    seen(PathCheck::target(&check));
    PathCheck::on_sent(&mut check, now(), bytes());
    seen(PathCheck::next_deadline(&check));
    seen(PathCheck::poll(&mut check, now(), end, double_word()));
    let mut probe = [0; 64];
    let probe = black_box(probe.as_mut_slice());
    seen(PathCheck::write(&check, probe));
    seen(PathCheck::answers(&mut check, now(), end, peer_id(), probe));
}
