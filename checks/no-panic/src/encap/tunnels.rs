use core::hint::black_box;

use ipencap::decap::PointToPoint;
use ipencap::encap::{
    self, AnyTunnel, Encapsulate, Header, MinEnc, OuterPolicy, PerPacket, Role, Rules, Tunnel,
};
use ipencap::error::EncapError;
use ipencap::packet::{Facts, Packet, Proven, Quote};
use ipencap::shim::{Fou, Gre, GreInUdp, Gue, GueVariant1, InUdp, IpIp, Shim, Tcp, Udp};

use crate::given::{address, bytes, facts, option, per_packet, prefixes, rules, size, span, word};
use crate::helper::{comparable, seen, value};
use crate::shim::{self, gre, tcp};

pub fn call(buffer: &mut [u8]) {
    let (Some(ipip), Some(gre), Some(tcp), Some(fou), Some(minimal)) = (
        tunnel(IpIp),
        tunnel(gre()),
        tunnel(tcp()),
        tunnel(shim::fou()),
        minimal(),
    ) else {
        return;
    };
    encapsulate::<Tunnel<IpIp>>(&ipip, buffer);
    encapsulate::<&Tunnel<IpIp>>(&&ipip, buffer);
    encapsulate::<dyn Encapsulate>(black_box(&ipip), buffer);
    encapsulate::<Tunnel<Gre>>(&gre, buffer);
    encapsulate::<Tunnel<Tcp>>(&tcp, buffer);
    encapsulate::<Tunnel<Fou>>(&fou, buffer);
    encapsulate::<MinEnc>(&minimal, buffer);
    payload(&fou, buffer);
    if let Some(gue) = shim::gue_2_words().and_then(tunnel) {
        encapsulate::<Tunnel<Gue<2>>>(&gue, buffer);
        payload(&gue, buffer);
        encapsulate::<(Tunnel<IpIp>, Tunnel<Gue<2>>)>(&(ipip, gue), buffer);
    }
    if let Some(gre_in_udp) = tunnel(shim::gre_in_udp()) {
        encapsulate::<Tunnel<GreInUdp>>(&gre_in_udp, buffer);
        payload(&gre_in_udp, buffer);
    }
    if let Some(own) = tunnel(shim::Custom) {
        encapsulate::<Tunnel<shim::Custom>>(&own, buffer);
    }
    encapsulate::<()>(&(), buffer);
    encapsulate::<Custom>(&Custom, buffer);
    encapsulate::<(Custom, Custom)>(&(Custom, Custom), buffer);
    encapsulate::<[Custom; 3]>(&[Custom, Custom, Custom], buffer);
    any(buffer);
}

/// Every kind of tunnel, chosen at run time.
fn any(buffer: &mut [u8]) {
    let (Some(ipip), Some(fou), Some(gue), Some(gue_1), Some(gre_in_udp), Some(gre), Some(tcp)) = (
        tunnel(IpIp),
        tunnel(Fou::new(word())),
        tunnel(Gue::new()),
        tunnel(GueVariant1::new()),
        tunnel(GreInUdp::new(gre())),
        tunnel(gre()),
        tunnel(tcp()),
    ) else {
        return;
    };
    let Some(minimal) = minimal() else { return };
    let tunnels = black_box([
        <AnyTunnel as From<Tunnel<IpIp>>>::from(ipip),
        <AnyTunnel as From<Tunnel<Fou>>>::from(fou),
        <AnyTunnel as From<Tunnel<Gue>>>::from(gue),
        <AnyTunnel as From<Tunnel<GueVariant1>>>::from(gue_1),
        <AnyTunnel as From<Tunnel<GreInUdp>>>::from(gre_in_udp),
        <AnyTunnel as From<Tunnel<Gre>>>::from(gre),
        <AnyTunnel as From<Tunnel<Tcp>>>::from(tcp),
        <AnyTunnel as From<MinEnc>>::from(minimal),
    ]);
    encapsulate::<[AnyTunnel; _]>(&tunnels, buffer);
    encapsulate::<[AnyTunnel]>(black_box(tunnels.as_slice()), buffer);
    for any in &tunnels {
        encapsulate::<AnyTunnel>(any, buffer);
        comparable::<AnyTunnel>(any);
    }
}

fn encapsulate<E: Encapsulate + ?Sized>(tunnel: &E, buffer: &mut [u8]) {
    seen(<E as Encapsulate>::overhead(tunnel));
    seen(<E as Encapsulate>::rules(tunnel));
    seen(<E as Encapsulate>::max_len(tunnel));
    if let Ok(quote) = black_box(Quote::parse(bytes())) {
        seen(<E as Encapsulate>::inside_quote(tunnel, quote));
    }
    seen(<E as Encapsulate>::check(
        tunnel,
        &facts(),
        &per_packet(),
        rules(),
    ));
    // What nobody has checked, too.
    seen(<E as Encapsulate>::write(
        tunnel,
        black_box(&mut *buffer),
        &facts(),
        &per_packet(),
        rules(),
    ));
    seen(encap::header::<80, E>(tunnel, &facts(), &per_packet()));
    if let Ok(header) = black_box(encap::header::<7, E>(tunnel, &facts(), &per_packet())) {
        seen(Header::as_slice(black_box(&header)));
        seen(<Header<7> as AsRef<[u8]>>::as_ref(black_box(&header)));
        value::<Header<7>>(header);
    }
    seen(encap::encap(
        tunnel,
        black_box(&mut *buffer),
        span(),
        &per_packet(),
    ));
    let mut packet = black_box(Packet::new(black_box(&mut *buffer), span()));
    seen(Packet::wrap(black_box(&mut packet), tunnel, &per_packet()));
    if let Ok(proven) = black_box(Packet::prove(packet)) {
        seen(Proven::wrap(proven, tunnel, &per_packet()));
    }
}

fn tunnel<S: Shim + PartialEq + core::hash::Hash>(shim: S) -> Option<Tunnel<S>> {
    let tunnel = black_box(Tunnel::new(address(), address(), black_box(shim))).ok()?;
    let tunnel = black_box(Tunnel::with_policy(tunnel, black_box(OuterPolicy::DEFAULT)));
    seen(Tunnel::policy(black_box(&tunnel)));
    seen(Tunnel::source(black_box(&tunnel)));
    seen(Tunnel::destination(black_box(&tunnel)));
    seen(Tunnel::would_loop(black_box(&tunnel), &facts()));
    let (shim, access) = (
        Tunnel::shim(black_box(&tunnel)),
        PointToPoint::new(address(), address(), prefixes()),
    );
    seen(shim);
    seen(Tunnel::receiver(black_box(&tunnel), access));
    comparable::<Tunnel<S>>(&tunnel);
    Some(tunnel)
}

fn minimal() -> Option<MinEnc> {
    let tunnel = black_box(MinEnc::new(address(), address())).ok()?;
    let tunnel = black_box(MinEnc::without_source(tunnel));
    let tunnel = black_box(MinEnc::with_role(tunnel, black_box(Role::Originate)));
    let tunnel = black_box(MinEnc::with_link_mtu(tunnel, option(word())));
    comparable::<MinEnc>(&tunnel);
    Some(tunnel)
}

fn payload<I: InUdp>(tunnel: &Tunnel<Udp<I>>, buffer: &mut [u8]) {
    seen(Tunnel::payload_overhead(black_box(tunnel)));
    seen(Tunnel::encap_payload(
        black_box(tunnel),
        black_box(&mut *buffer),
        &per_packet(),
    ));
    seen(Tunnel::encap_payload_train(
        black_box(tunnel),
        black_box(buffer),
        size(),
        &per_packet(),
    ));
}

/// A user's own tunnel, which answers anything and overrides nothing.
#[derive(Clone, Copy)]
struct Custom;

impl Encapsulate for Custom {
    fn overhead(&self) -> usize {
        size()
    }

    fn check(&self, _: &Facts, _: &PerPacket, _: Rules) -> Result<Facts, EncapError> {
        black_box(Ok(facts()))
    }

    fn write(&self, frame: &mut [u8], _: &Facts, _: &PerPacket, _: Rules) -> Facts {
        seen(frame);
        facts()
    }
}
