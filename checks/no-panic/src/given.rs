//! Arguments of which the optimiser knows nothing but the type.

use core::hint::black_box;
use core::net::Ipv4Addr;

use ipencap::Span;
use ipencap::error::ParseError;
use ipencap::packet::{Facts, Flow, PerPacket, Rules};
use ipencap::wire::{Dscp, Ecn, IpProtocol, Ipv4Header, Prefix};

pub fn byte() -> u8 {
    black_box(0)
}

pub fn word() -> u16 {
    black_box(0)
}

pub fn words() -> &'static [u16] {
    black_box(&[0; 16])
}

pub fn double_word() -> u32 {
    black_box(0)
}

pub fn long_word() -> u64 {
    black_box(0)
}

pub fn size() -> usize {
    black_box(0)
}

pub fn array<const N: usize>() -> [u8; N] {
    black_box([0; N])
}

/// Any bytes, in any number.
pub fn bytes() -> &'static [u8] {
    black_box(&[0; 64])
}

pub fn address() -> Ipv4Addr {
    Ipv4Addr::from_bits(double_word())
}

pub fn addresses() -> &'static [Ipv4Addr] {
    black_box(&[Ipv4Addr::UNSPECIFIED; 4])
}

pub fn prefix() -> Prefix {
    black_box(Prefix::ANY)
}

pub fn prefixes() -> &'static [Prefix] {
    black_box(&[Prefix::ANY; 4])
}

pub fn ecn() -> Ecn {
    black_box(Ecn::NotEct)
}

pub fn dscp() -> Dscp {
    black_box(Dscp::DEFAULT)
}

pub fn protocol() -> IpProtocol {
    IpProtocol(byte())
}

pub fn flow() -> Flow {
    Flow::with_ports(Flow::new(address(), address(), protocol()), word(), word())
}

pub fn parse_error() -> ParseError {
    black_box(ParseError::BadChecksum)
}

pub fn ipv4_header() -> Ipv4Header {
    black_box(Ipv4Header::from_bytes(array()))
}

pub fn span() -> Span {
    Span {
        start: size(),
        len: size(),
    }
}

pub fn facts() -> Facts {
    black_box(Facts::trusted(&ipv4_header()))
}

pub fn rules() -> Rules {
    black_box(Rules::Common)
}

pub fn option<T>(value: T) -> Option<T> {
    black_box(Some(value))
}

pub fn per_packet() -> PerPacket {
    black_box(PerPacket::new())
}
