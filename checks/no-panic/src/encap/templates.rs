use core::hint::black_box;

use ipencap::decap::PointToPoint;
use ipencap::decap::Receiver;
use ipencap::encap::{
    Gre, IpIp, Layer, Layered, Ring, Stack, Tcp, Template, TemplateLayer, Udp, decap_each,
    encap_each, encap_train,
};
use ipencap::packet::{Packet, Span};

use super::encapsulators::encapsulate;
use crate::given::{address, meta, per_packet, prefixes, size, span, word};
use crate::helper::{comparable, debug, seen};

pub fn call(buffer: &mut [u8]) {
    let (Ok(ipip), Ok(gre), Ok(udp), Ok(tcp)) = (
        black_box(IpIp::new(address(), address())),
        black_box(Gre::new(address(), address())),
        black_box(Udp::fou(address(), address(), word())),
        black_box(Tcp::new((address(), word()), (address(), word()))),
    ) else {
        return;
    };
    layer::<IpIp>(&ipip);
    layer::<Gre>(&gre);
    layer::<Udp>(&udp);
    layer::<Tcp>(&tcp);
    let layers = black_box([
        Layer::Identity,
        <Layer as From<IpIp>>::from(ipip),
        <Layer as From<Gre>>::from(gre),
        <Layer as From<Udp>>::from(udp),
        <Layer as From<Tcp>>::from(tcp),
    ]);
    for any in &layers {
        layer::<Layer>(any);
        encapsulate::<Layer>(any, buffer);
        comparable::<Layer>(any);
    }
    layered::<Layer, IpIp>(&ipip);
    layered::<Layer, Gre>(&gre);
    layered::<Layer, Udp>(&udp);
    layered::<Layer, Tcp>(&tcp);
    layered::<Layer, ()>(&());
    layered::<Layer, Stack<IpIp, Gre>>(&Stack {
        outer: ipip,
        inner: gre,
    });
    let slice = black_box(layers.as_slice());
    layered::<Layer, [Layer]>(slice);
    layered::<Layer, [Layer; 5]>(&layers);

    let one = black_box(Template::single(ipip));
    encapsulate::<Template<IpIp, 1>>(&one, buffer);
    let four = black_box(Template::nested([ipip; 4]));
    encapsulate::<Template<IpIp, 4>>(&four, buffer);
    seen(Template::header::<80>(&four, &meta(), &per_packet()));
    seen(Template::header::<7>(&four, &meta(), &per_packet()));
    let fou = black_box(Template::single(udp));
    encapsulate::<Template<Udp, 1>>(&fou, buffer);
    seen(Template::<IpIp, 2>::compile(&ipip));
    if let Ok(any) = black_box(Template::<Layer, 4>::compile(slice)) {
        encapsulate::<Template<Layer, 4>>(&any, buffer);
        seen(Template::header::<256>(&any, &meta(), &per_packet()));
        comparable::<Template<Layer, 4>>(&any);
    }
    batches(&ipip, buffer);
}

fn layer<L: TemplateLayer>(layer: &L) {
    seen(<L as TemplateLayer>::ordinary_len(layer));
    seen(<L as TemplateLayer>::with_ordinary_len(*layer, word()));
    seen(<L as TemplateLayer>::is_ordinary_from(layer, address()));
    seen(<L as TemplateLayer>::outer_source(layer));
    seen(<L as TemplateLayer>::judge_folded(
        layer,
        &meta(),
        &per_packet(),
    ));
    seen(<L as TemplateLayer>::sums_bytes(layer, &meta()));
}

fn layered<L: TemplateLayer, S: Layered<L> + ?Sized>(layers: &S) {
    seen(<S as Layered<L>>::depth(layers));
    seen(<S as Layered<L>>::layer(layers, size()));
    seen(Template::<L, 4>::compile(layers));
}

fn batches(tunnel: &IpIp, buffer: &mut [u8]) {
    let access = PointToPoint::new(address(), address(), prefixes());
    let receiver = black_box(Receiver::ipip(access));
    let said = |place: usize| {
        seen(place);
        per_packet()
    };
    let mut packets = [Packet::new(black_box(&mut *buffer), span())];
    let packets = black_box(packets.as_mut_slice());
    seen(encap::encap_each(tunnel, packets, said, |place, error| {
        seen((place, error));
    }));
    seen(encap::encap_train(tunnel, packets, &per_packet()));
    seen(encap::decap_each(&receiver, packets, |place, verdict| {
        seen((place, verdict));
    }));
    let mut spans = black_box([Span::default(); 4]);
    let mut ring = black_box(Ring::new(buffer, size(), &mut spans));
    seen(Ring::encap(&mut ring, tunnel, said, |place, error| {
        seen((place, error));
    }));
    seen(Ring::decap(&mut ring, &receiver, |place, verdict| {
        seen((place, verdict));
    }));
    debug::<Ring<'_>>(&ring);
}
