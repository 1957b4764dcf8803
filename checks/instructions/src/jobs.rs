//! The jobs, out of line, and for each signature one that does nothing: its instructions are not the
//! job's.

use ipencap::checksum::{Sum, update_u16};
use ipencap::encap::{
    Decapsulator, Inner, IpIp, IpIpCarrier, PerPacket, Stack, Tcp, Template, Udp,
};
use ipencap::error::{EncapError, Reason, Refused};
use ipencap::filter::PointToPoint;
use ipencap::packet::Proven;
use ipencap::stream::{Decoder, Event, StreamFraming};
use ipencap::wire::{Ecn, IpProtocol, Ipv4, Ipv4Header};
use ipencap::{Span, encap};

type Wrapped = Result<&'static mut [u8], EncapError>;
type Receiver = Decapsulator<IpIpCarrier, PointToPoint<'static>>;

#[inline(never)]
pub fn empty_of_header(_header: &[u8; 20]) -> u16 {
    0
}
#[inline(never)]
pub fn header_sum(header: &[u8; 20]) -> u16 {
    Sum::new().add_header(header).checksum()
}

#[inline(never)]
pub fn empty_of_words(_checksum: u16, _old: u16, _new: u16) -> u16 {
    0
}
#[inline(never)]
pub fn update(checksum: u16, old: u16, new: u16) -> u16 {
    update_u16(checksum, old, new)
}

#[inline(never)]
pub fn empty_of_header_and_ecn(_header: &mut Ipv4Header, _ecn: Ecn) {}
#[inline(never)]
pub fn rewrite_ecn(header: &mut Ipv4Header, ecn: Ecn) {
    header.set_ecn(ecn);
}

#[inline(never)]
pub fn empty_of_proven(_packet: Proven<'static>, _tunnel: &IpIp, _said: &PerPacket) -> Wrapped {
    Err(EncapError::TtlZero)
}

#[inline(never)]
pub fn empty_of_buffer(
    _buffer: &'static mut [u8],
    _inner: Span,
    _tunnel: &IpIp,
    _said: &PerPacket,
) -> Wrapped {
    Err(EncapError::TtlZero)
}
#[inline(never)]
pub fn ipip_validated(
    buffer: &'static mut [u8],
    inner: Span,
    tunnel: &IpIp,
    said: &PerPacket,
) -> Wrapped {
    encap(tunnel, buffer, inner, said)
}

#[inline(never)]
pub fn empty_of_bytes(_packet: &[u8]) -> Option<&[u8]> {
    None
}
#[inline(never)]
pub fn decap_headers(packet: &[u8]) -> Option<&[u8]> {
    let outer = Ipv4::parse(packet).ok()?;
    let header = outer.header();
    let is_ipip = header.protocol() == IpProtocol::IPENCAP && !header.is_fragment();
    is_ipip.then_some(outer.payload())
}

#[inline(never)]
pub fn empty_of_decap<'b>(
    _packet: &'b mut [u8],
    _receiver: &Receiver,
) -> Result<Inner<'b>, Refused> {
    Err(Refused::new(Reason::NotTunnel))
}
#[inline(never)]
pub fn decap<'b>(packet: &'b mut [u8], receiver: &Receiver) -> Result<Inner<'b>, Refused> {
    ipencap::decap(receiver, packet)
}

#[inline(never)]
pub fn empty_of_frame(_frame: &mut [u8]) -> Result<&mut [u8], EncapError> {
    Err(EncapError::TtlZero)
}
#[inline(never)]
pub fn frame(frame: &mut [u8]) -> Result<&mut [u8], EncapError> {
    StreamFraming::Exclusive.frame(frame)
}

#[inline(never)]
pub fn empty_of_decoder(_decoder: &mut Decoder<'_>, _input: &mut &[u8]) -> bool {
    false
}
#[inline(never)]
pub fn deframe(decoder: &mut Decoder<'_>, input: &mut &[u8]) -> bool {
    matches!(decoder.push(input), Ok(Some(Event::Packet(_))))
}

/// Jobs that wrap a proven packet.
macro_rules! wrap_proven {
    ($($name:ident $Tunnel:ty),+) => {
        $(
            #[inline(never)]
            pub fn $name(packet: Proven<'static>, tunnel: &$Tunnel, said: &PerPacket) -> Wrapped {
                packet.encap(tunnel, said)
            }
        )+
    };
}

wrap_proven!(
    ipip_proven IpIp,
    stack_x2 Stack<IpIp, IpIp>,
    template_x2 Template<IpIp, 2>,
    template_x3 Template<IpIp, 3>,
    template_x4 Template<IpIp, 4>,
    udp Udp,
    tcp Tcp
);
