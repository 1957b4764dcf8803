use core::hint::black_box;

use ipencap::wire::{Gre, GreFlags, GreHeader, GueHeader, GueVariant, MinimalHeader};

use crate::given::{array, byte, bytes, ipv4_header, protocol, word};
use crate::helper::{cloneable, seen, value};

pub fn call(buffer: &mut [u8]) {
    gre();
    gue();
    minimal(buffer);
}

fn gre() {
    let header = black_box(GreHeader::new(black_box(
        GreFlags::from_bits_retain(word()),
    )));
    seen(GreHeader::from_bytes(array()));
    seen(GreHeader::as_bytes(black_box(&header)));
    seen(GreHeader::flags(header));
    seen(GreHeader::flags_and_version(header));
    seen(GreHeader::version(header));
    seen(GreHeader::protocol(header));
    seen(GreHeader::is_pptp(header));
    value::<GreHeader>(header);
    if let Ok(packet) = black_box(Gre::parse(bytes())) {
        seen(Gre::header(packet));
        seen(Gre::checksum(packet));
        seen(Gre::verifies(packet));
        seen(Gre::key(packet));
        seen(Gre::sequence(packet));
        seen(Gre::routing(packet));
        seen(Gre::payload(packet));
        cloneable::<Gre<'_>>(&packet);
    }
}

fn gue() {
    seen(GueVariant::of(bytes()));
    value::<GueVariant>(black_box(GueVariant::Header));
    seen(GueHeader::new(protocol(), byte()));
    seen(GueHeader::from_bytes(array()));
    if let Ok((header, _, _)) = black_box(GueHeader::split(bytes())) {
        let header = black_box(*header);
        seen(GueHeader::as_bytes(black_box(&header)));
        seen(GueHeader::is_control(header));
        seen(GueHeader::extension_len(header));
        seen(GueHeader::protocol(header));
        seen(GueHeader::flags(header));
        value::<GueHeader>(header);
    }
}

fn minimal(buffer: &mut [u8]) {
    seen(MinimalHeader::new(&ipv4_header(), black_box(true)));
    seen(MinimalHeader::from_bytes(array()));
    if let Ok((header, _)) = black_box(MinimalHeader::parse(bytes())) {
        let header = black_box(header);
        seen(MinimalHeader::as_bytes(black_box(&header)));
        seen(MinimalHeader::wire_len(black_box(&header)));
        seen(MinimalHeader::protocol(black_box(&header)));
        seen(MinimalHeader::destination(black_box(&header)));
        seen(MinimalHeader::source(black_box(&header)));
        MinimalHeader::write(black_box(&header), black_box(&mut *buffer));
        value::<MinimalHeader>(header);
    }
}
