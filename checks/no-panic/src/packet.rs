use core::hint::black_box;
use core::ops::Range;

use ipencap::packet::{Flow, Packet, PacketMeta, Proven, Span};

use crate::given::{
    address, byte, bytes, double_word, ipv4_header, meta, protocol, size, span, word,
};
use crate::helper::{comparable, debug, seen, value};

pub fn call(buffer: &mut [u8]) {
    seen(Span::new(size(), size()));
    seen(Span::end(span()));
    seen(Span::get(span(), bytes()));
    seen(Span::get_mut(span(), black_box(&mut *buffer)));
    seen(<Span as From<Range<usize>>>::from(size()..size()));
    seen(<Span as Default>::default());
    value::<Span>(span());

    seen(PacketMeta::read(bytes()));
    if let Ok(packet) = black_box(ipencap::wire::Ipv4::parse(bytes())) {
        seen(PacketMeta::of(packet));
    }
    seen(PacketMeta::summed(bytes()));
    seen(PacketMeta::byte_sum(&meta()));
    seen(PacketMeta::trusted(ipv4_header()));
    seen(PacketMeta::not_ipv4(byte(), double_word(), byte()));
    seen(PacketMeta::header(&meta()));
    seen(PacketMeta::version(&meta()));
    seen(PacketMeta::len(&meta()));
    seen(PacketMeta::has_source_route(&meta()));
    seen(PacketMeta::is_empty(&meta()));
    seen(PacketMeta::carrying(meta(), &meta()));
    seen(PacketMeta::with_transport(
        meta(),
        word(),
        word(),
        black_box(None),
    ));
    seen(PacketMeta::flow(&meta()));
    seen(PacketMeta::known_sum(&meta()));
    comparable::<PacketMeta>(&meta());

    let flow = black_box(PacketMeta::flow(&meta()));
    seen(Flow::new(address(), address(), protocol()));
    seen(Flow::with_ports(flow, word(), word()));
    seen(Flow::reversed(flow));
    if let Ok(quoted) = black_box(ipencap::wire::Ipv4::parse_quoted(bytes())) {
        seen(Flow::of_quoted(quoted));
    }
    seen(Flow::hash(flow, double_word()));
    comparable::<Flow>(&flow);

    let mut packet = black_box(Packet::new(black_box(&mut *buffer), span()));
    borrowed(&mut packet);
    seen(Packet::into_parts(packet));

    let packet = black_box(Packet::new(black_box(&mut *buffer), span()));
    if let Ok(proven) = black_box(Packet::prove(packet)) {
        seen(Proven::meta(black_box(&proven)));
        seen(Proven::as_slice(black_box(&proven)));
    }
}

pub fn borrowed(packet: &mut Packet<'_>) {
    seen(Packet::headroom(black_box(packet)));
    seen(Packet::tailroom(black_box(packet)));
    seen(Packet::span(black_box(packet)));
    seen(Packet::as_slice(black_box(packet)));
    seen(Packet::as_mut_slice(black_box(packet)));
    debug::<Packet<'_>>(packet);
}
