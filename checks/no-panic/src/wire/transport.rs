use core::hint::black_box;

use ipencap::checksum::Delta;
use ipencap::wire::{Icmpv4, Icmpv4Header, Tcp, TcpFlags, TcpHeader, Udp, UdpHeader};

use crate::given::{address, array, byte, bytes, double_word, word};
use crate::helper::{cloneable, comparable, debug, seen, value};

pub fn call(buffer: &mut [u8]) {
    udp(buffer);
    tcp(buffer);
    icmpv4(buffer);
}

fn delta() -> Delta {
    black_box(Delta::new())
}

fn udp(buffer: &mut [u8]) {
    let mut header = black_box(UdpHeader::new(word(), word(), word()));
    seen(UdpHeader::from_bytes(array()));
    seen(UdpHeader::as_bytes(black_box(&header)));
    seen(UdpHeader::split(bytes()));
    seen(UdpHeader::split_mut(black_box(&mut *buffer)));
    seen(UdpHeader::source_port(black_box(&header)));
    seen(UdpHeader::destination_port(black_box(&header)));
    seen(UdpHeader::len(black_box(&header)));
    seen(UdpHeader::checksum(black_box(&header)));
    UdpHeader::set_source_port(black_box(&mut header), word());
    UdpHeader::set_destination_port(black_box(&mut header), word());
    UdpHeader::set_len(black_box(&mut header), word());
    UdpHeader::patch_address(black_box(&mut header), address(), address());
    UdpHeader::patch(black_box(&mut header), delta());
    seen(UdpHeader::patched(word(), delta()));
    seen(UdpHeader::transmitted(word()));
    UdpHeader::fill_checksum(black_box(&mut header), address(), address(), bytes());
    UdpHeader::set_raw_checksum(black_box(&mut header), word());
    UdpHeader::clear_checksum(black_box(&mut header));
    value::<UdpHeader>(black_box(header));

    if let Ok(datagram) = black_box(Udp::parse(bytes())) {
        seen(Udp::header(datagram));
        seen(Udp::payload(datagram));
        seen(Udp::slack(datagram));
        seen(Udp::checksum_status(datagram, address(), address()));
        cloneable::<Udp<'_>>(&datagram);
        debug::<Udp<'_>>(&datagram);
    }
}

fn tcp(buffer: &mut [u8]) {
    let flags = || black_box(TcpFlags::from_bits_retain(word()));
    seen(TcpHeader::new(
        (word(), word()),
        (double_word(), double_word()),
        byte(),
        flags(),
        word(),
    ));
    seen(TcpHeader::from_bytes(array()));
    seen(TcpHeader::split_mut(black_box(&mut *buffer)));
    if let Ok((header, _, _)) = black_box(TcpHeader::split(bytes())) {
        let mut header = black_box(*header);
        seen(TcpHeader::as_bytes(black_box(&header)));
        seen(TcpHeader::source_port(black_box(&header)));
        seen(TcpHeader::destination_port(black_box(&header)));
        seen(TcpHeader::sequence(black_box(&header)));
        seen(TcpHeader::acknowledgment(black_box(&header)));
        seen(TcpHeader::header_len(black_box(&header)));
        seen(TcpHeader::flags(black_box(&header)));
        seen(TcpHeader::window(black_box(&header)));
        seen(TcpHeader::checksum(black_box(&header)));
        seen(TcpHeader::urgent_pointer(black_box(&header)));
        TcpHeader::set_source_port(black_box(&mut header), word());
        TcpHeader::set_destination_port(black_box(&mut header), word());
        TcpHeader::set_sequence(black_box(&mut header), double_word());
        TcpHeader::set_acknowledgment(black_box(&mut header), double_word());
        TcpHeader::set_flags(black_box(&mut header), flags());
        TcpHeader::set_window(black_box(&mut header), word());
        TcpHeader::set_urgent_pointer(black_box(&mut header), word());
        TcpHeader::patch_address(black_box(&mut header), address(), address());
        TcpHeader::patch(black_box(&mut header), delta());
        TcpHeader::set_raw_checksum(black_box(&mut header), word());
        seen(TcpHeader::fill_checksum(
            black_box(&mut header),
            address(),
            address(),
            bytes(),
            bytes(),
        ));
        comparable::<TcpHeader>(&header);
    }
    if let Ok(segment) = black_box(Tcp::parse(bytes())) {
        seen(Tcp::header(segment));
        seen(Tcp::option_bytes(segment));
        seen(Tcp::options(segment));
        seen(Tcp::payload(segment));
        seen(Tcp::verifies(segment, address(), address()));
        cloneable::<Tcp<'_>>(&segment);
    }
}

fn icmpv4(buffer: &mut [u8]) {
    seen(Icmpv4Header::from_bytes(array()));
    seen(Icmpv4Header::split_mut(black_box(&mut *buffer)));
    if let Ok((header, _)) = black_box(Icmpv4Header::split(bytes())) {
        let mut header = black_box(*header);
        seen(Icmpv4Header::as_bytes(black_box(&header)));
        seen(Icmpv4Header::message_type(black_box(&header)));
        seen(Icmpv4Header::code(black_box(&header)));
        seen(Icmpv4Header::checksum(black_box(&header)));
        Icmpv4Header::set_type_and_code(black_box(&mut header), byte(), byte());
        Icmpv4Header::patch(black_box(&mut header), delta());
        Icmpv4Header::fill_checksum(black_box(&mut header), bytes());
        value::<Icmpv4Header>(black_box(header));
    }
    if let Ok(message) = black_box(Icmpv4::parse(bytes())) {
        seen(Icmpv4::header(message));
        seen(Icmpv4::rest_of_header(message));
        seen(Icmpv4::payload(message));
        cloneable::<Icmpv4<'_>>(&message);
        debug::<Icmpv4<'_>>(&message);
    }
}
