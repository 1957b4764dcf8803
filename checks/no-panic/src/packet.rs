use core::hint::black_box;
use core::ops::Range;

use ipencap::packet::{Facts, Flow, InnerChecksum, Packet, PerPacket, Proven, Quote, Rules, Span};

use crate::given::{
    self, address, byte, bytes, double_word, facts, ipv4_header, protocol, rules, size, span, word,
};
use crate::helper::{cloneable, comparable, debug, seen, value};

pub fn call(buffer: &mut [u8]) {
    seen(Span::new(size(), size()));
    seen(Span::end(span()));
    seen(Span::get(span(), bytes()));
    seen(Span::get_mut(span(), black_box(&mut *buffer)));
    seen(<Span as From<Range<usize>>>::from(size()..size()));
    seen(<Span as Default>::default());
    value::<Span>(span());

    seen(Facts::read(bytes()));
    if let Ok(packet) = black_box(ipencap::wire::Ipv4::parse(bytes())) {
        seen(Facts::of(packet));
    }
    seen(Facts::summed(bytes()));
    seen(Facts::trusted(&ipv4_header()));
    seen(Facts::inside_version(&facts(), byte(), word(), byte()));
    seen(Facts::version(&facts()));
    seen(Facts::len(&facts()));
    seen(Facts::is_empty(&facts()));
    seen(Facts::source(&facts()));
    seen(Facts::destination(&facts()));
    seen(Facts::protocol(&facts()));
    seen(Facts::tos(&facts()));
    seen(Facts::ttl(&facts()));
    seen(Facts::has_df(&facts()));
    seen(Facts::is_fragment(&facts()));
    seen(Facts::has_source_route(&facts()));
    seen(Facts::flow(&facts()));
    seen(Facts::known_sum(&facts()));
    seen(Facts::byte_sum(&facts()));
    seen(Facts::layers(&facts()));
    seen(Facts::is_innermost(&facts()));
    seen(Facts::overhead(&facts()));
    comparable::<Facts>(&facts());
    per_packet();
    quote();

    let flow = black_box(Facts::flow(&facts()));
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
        seen(Proven::facts(black_box(&proven)));
        seen(Proven::as_slice(black_box(&proven)));
    }
}

fn quote() {
    let Ok(quote) = black_box(Quote::parse(bytes())) else {
        return;
    };
    seen(Quote::inside(quote, size()));
    seen(Quote::header(black_box(&quote)));
    seen(Quote::payload(black_box(&quote)));
    seen(Quote::packet(black_box(&quote)));
    seen(Quote::span(black_box(&quote)));
    cloneable::<Quote<'_>>(&quote);
}

fn per_packet() {
    let packet = given::per_packet;
    seen(<PerPacket as Default>::default());
    seen(PerPacket::new());
    seen(PerPacket::with_identification(packet(), word()));
    seen(PerPacket::with_sequence(packet(), double_word()));
    seen(PerPacket::with_link_mtu(packet(), word()));
    seen(PerPacket::with_segment_len(packet(), word()));
    seen(PerPacket::with_flow_hash(packet(), double_word()));
    let inner_checksum = black_box(InnerChecksum::Complete);
    seen(PerPacket::with_inner_checksum(packet(), inner_checksum));
    seen(PerPacket::with_tcp_numbers(
        packet(),
        double_word(),
        double_word(),
    ));
    seen(PerPacket::identification(&packet()));
    seen(PerPacket::sequence(&packet()));
    seen(PerPacket::link_mtu(&packet()));
    seen(PerPacket::segment_len(&packet()));
    seen(PerPacket::flow_hash(&packet()));
    seen(PerPacket::inner_checksum(&packet()));
    seen(PerPacket::tcp_numbers(&packet()));
    comparable::<PerPacket>(&packet());
    seen(<InnerChecksum as Default>::default());
    value::<InnerChecksum>(inner_checksum);
    value::<Rules>(rules());
}

pub fn borrowed(packet: &mut Packet<'_>) {
    seen(Packet::headroom(black_box(packet)));
    seen(Packet::tailroom(black_box(packet)));
    seen(Packet::span(black_box(packet)));
    seen(Packet::as_slice(black_box(packet)));
    seen(Packet::as_mut_slice(black_box(packet)));
    debug::<Packet<'_>>(packet);
}
