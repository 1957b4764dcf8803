use core::hint::black_box;

use ipencap::decap::{Opened, OuterPacket, inspect_without_filter};
use ipencap::shim::IpIp;
use ipencap::wire::Ipv4;

use crate::given::{byte, bytes, ecn, span};
use crate::helper::{cloneable, comparable, seen};

pub fn call(buffer: &mut [u8]) {
    let arrived = || black_box(OuterPacket::new(bytes()));
    let opened = || black_box(OuterPacket::opened(black_box(&arrived()), span()));
    verdict(opened(), buffer);
    if let Ok(packet) = black_box(Ipv4::parse(bytes())) {
        verdict(black_box(Opened::with_ecn(opened(), packet, ecn())), buffer);
    }
    if let Ok(opened) = black_box(inspect_without_filter(&IpIp, bytes())) {
        verdict(opened, buffer);
    }
}

/// `opened` need not be of the packet that it is applied to.
fn verdict(opened: Opened, buffer: &mut [u8]) {
    seen(Opened::span(black_box(&opened)));
    seen(Opened::slack(black_box(&opened)));
    seen(Opened::tag(black_box(&opened)));
    seen(Opened::peer(black_box(&opened)));
    seen(Opened::layers(black_box(&opened)));
    seen(Opened::alarm(black_box(&opened)));
    seen(Opened::sequence(black_box(&opened)));
    seen(Opened::changes_bytes(black_box(&opened)));
    seen(Opened::apply(black_box(&opened), black_box(&mut *buffer)));
    seen(Opened::behind(black_box(opened), black_box(&opened)));
    comparable::<Opened>(&opened);

    let arrived = black_box(Opened::outer_packet(black_box(&opened), bytes()));
    seen(OuterPacket::bytes(black_box(&arrived)));
    seen(OuterPacket::expects_tunnel(black_box(&arrived)));
    seen(Opened::exceeds_nesting(black_box(&opened)));
    seen(OuterPacket::parse(
        black_box(&arrived),
        black_box(&mut None),
    ));
    seen(OuterPacket::depth(black_box(&arrived)));
    seen(OuterPacket::at_depth(arrived, byte()));
    seen(OuterPacket::expecting_tunnel(arrived));
    cloneable::<OuterPacket<'_>>(&arrived);
}
