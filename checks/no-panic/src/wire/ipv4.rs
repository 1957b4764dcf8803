use core::hint::black_box;

use ipencap::wire::{FragmentOffset, Ipv4, Ipv4Edit, Ipv4Flags, Ipv4Header, Ipv4Mut, QuotedIpv4};

use crate::given::{address, array, byte, bytes, dscp, ecn, ipv4_header, protocol, word};
use crate::helper::{cloneable, comparable, seen};

pub fn call(buffer: &mut [u8]) {
    packets(buffer);
    setters();
}

fn packets(buffer: &mut [u8]) {
    let header = || black_box(&const { Ipv4Header::from_bytes([0; 20]) });
    seen(Ipv4Header::new(address(), address(), protocol(), word()));
    seen(Ipv4Header::from_bytes(array()));
    seen(Ipv4Header::with_options(ipv4_header(), bytes()));
    seen(Ipv4Header::as_bytes(header()));
    seen(Ipv4Header::split(bytes()));
    seen(Ipv4Header::split_mut(black_box(&mut *buffer)));
    seen(Ipv4Header::version(header()));
    seen(Ipv4Header::header_len(header()));
    seen(Ipv4Header::dscp(header()));
    seen(Ipv4Header::ecn(header()));
    seen(Ipv4Header::tos(header()));
    seen(Ipv4Header::total_len(header()));
    seen(Ipv4Header::identification(header()));
    seen(Ipv4Header::flags(header()));
    seen(Ipv4Header::fragment_offset(header()));
    seen(Ipv4Header::is_fragment(header()));
    seen(Ipv4Header::exceeds_reassembly(header()));
    seen(Ipv4Header::ttl(header()));
    seen(Ipv4Header::protocol(header()));
    seen(Ipv4Header::checksum(header()));
    seen(Ipv4Header::source(header()));
    seen(Ipv4Header::destination(header()));
    seen(Ipv4Header::verifies(header(), bytes()));
    comparable::<Ipv4Header>(&ipv4_header());

    seen(Ipv4::parse_hardware_verified(bytes()));
    if let Ok(packet) = black_box(Ipv4::parse(bytes())) {
        seen(Ipv4::header(packet));
        seen(Ipv4::option_bytes(packet));
        seen(Ipv4::options(packet));
        seen(Ipv4::payload(packet));
        seen(Ipv4::slack(packet));
        seen(Ipv4::final_destination(packet));
        cloneable::<Ipv4<'_>>(&packet);
    }
    seen(Ipv4Mut::parse(black_box(&mut *buffer)));
    if let Ok(quoted) = black_box(Ipv4::parse_quoted(bytes())) {
        seen(QuotedIpv4::header(quoted));
        seen(QuotedIpv4::options(quoted));
        seen(QuotedIpv4::payload(quoted));
        seen(QuotedIpv4::is_cut(quoted));
        seen(QuotedIpv4::verifies(quoted));
        cloneable::<QuotedIpv4<'_>>(&quoted);
    }
}

fn setters() {
    let flags = || black_box(Ipv4Flags::from_bits_retain(word()));
    let offset = || black_box(FragmentOffset::ZERO);
    let mut header = ipv4_header();

    Ipv4Header::fill_checksum(black_box(&mut header), bytes());
    seen(Ipv4Header::decrement_ttl(black_box(&mut header)));
    Ipv4Header::set_dscp(black_box(&mut header), dscp());
    Ipv4Header::set_ecn(black_box(&mut header), ecn());
    Ipv4Header::set_total_len(black_box(&mut header), word());
    Ipv4Header::set_identification(black_box(&mut header), word());
    Ipv4Header::set_flags(black_box(&mut header), flags());
    Ipv4Header::set_fragment_offset(black_box(&mut header), offset());
    Ipv4Header::set_ttl(black_box(&mut header), byte());
    Ipv4Header::set_protocol(black_box(&mut header), protocol());
    Ipv4Header::set_source(black_box(&mut header), address());
    Ipv4Header::set_destination(black_box(&mut header), address());
    Ipv4Header::edit(black_box(&mut header), |edit| {
        Ipv4Edit::set_dscp(black_box(&mut *edit), dscp());
        Ipv4Edit::set_ecn(black_box(&mut *edit), ecn());
        Ipv4Edit::set_total_len(black_box(&mut *edit), word());
        Ipv4Edit::set_identification(black_box(&mut *edit), word());
        Ipv4Edit::set_flags(black_box(&mut *edit), flags());
        Ipv4Edit::set_fragment_offset(black_box(&mut *edit), offset());
        Ipv4Edit::set_ttl(black_box(&mut *edit), byte());
        Ipv4Edit::set_protocol(black_box(&mut *edit), protocol());
        Ipv4Edit::set_source(black_box(&mut *edit), address());
        Ipv4Edit::set_destination(black_box(&mut *edit), address());
    });
}
