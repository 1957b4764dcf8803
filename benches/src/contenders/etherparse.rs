//! etherparse, its headers and header slices. `PacketBuilder` copies the payload, so it cannot work
//! in place and is not here.

use etherparse::checksum::Sum16BitWords;
use etherparse::{
    IpDscp, IpEcn, IpFragOffset, IpNumber, Ipv4Header, Ipv4HeaderSlice, Ipv4Options, TcpHeader,
    UdpHeader,
};

use super::peer::{Peer, Seen};
use crate::fixtures::Layer;

/// etherparse.
#[derive(Debug)]
pub struct Etherparse;

impl Peer for Etherparse {
    #[inline(always)]
    fn read(bytes: &[u8]) -> Option<Seen> {
        Ipv4HeaderSlice::from_slice(bytes).ok().map(seen)
    }

    #[inline(always)]
    fn validate(bytes: &[u8]) -> Option<Seen> {
        let header = Ipv4HeaderSlice::from_slice(bytes).ok()?;
        let seen = seen(header);
        let is_valid = usize::from(seen.total_len) >= seen.header_len
            && usize::from(seen.total_len) <= bytes.len()
            && checksum_of(header.slice()) == 0;
        is_valid.then_some(seen)
    }

    #[inline(always)]
    fn write_ipv4(bytes: &mut [u8], layer: &Layer, protocol: u8, tos: u8, total_len: u16) {
        let header = Ipv4Header {
            dscp: IpDscp::try_new(tos >> 2).expect("six bits"),
            ecn: IpEcn::try_new(tos & 3).expect("two bits"),
            total_len,
            identification: 0,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: IpFragOffset::ZERO,
            time_to_live: layer.ttl,
            protocol: IpNumber(protocol),
            header_checksum: 0,
            source: layer.source.octets(),
            destination: layer.destination.octets(),
            options: Ipv4Options::default(),
        };
        // `write` computes the checksum.
        header.write(&mut &mut bytes[..20]).expect("20 bytes");
    }

    #[inline(always)]
    fn write_udp(datagram: &mut [u8], layer: &Layer, has_checksum: bool) {
        let length = datagram.len() as u16;
        let (start, payload) = datagram.split_first_chunk_mut::<8>().expect("8 bytes");
        let mut header = UdpHeader {
            source_port: layer.source_port,
            destination_port: layer.destination_port,
            length,
            checksum: 0,
        };
        if has_checksum {
            header.checksum = header
                .calc_checksum_ipv4_raw(layer.source.octets(), layer.destination.octets(), payload)
                .expect("a payload that fits");
        }
        *start = header.to_bytes();
    }

    #[inline(always)]
    fn write_tcp(segment: &mut [u8], layer: &Layer) {
        let (start, payload) = segment.split_first_chunk_mut::<20>().expect("20 bytes");
        let mut header = TcpHeader::new(
            layer.source_port,
            layer.destination_port,
            layer.sequence,
            layer.window,
        );
        header.psh = true;
        header.ack = true;
        header.acknowledgment_number = layer.acknowledgment;
        header.checksum = header
            .calc_checksum_ipv4_raw(layer.source.octets(), layer.destination.octets(), payload)
            .expect("a payload that fits");
        start.copy_from_slice(&header.to_bytes());
    }
}

#[inline(always)]
fn seen(header: Ipv4HeaderSlice<'_>) -> Seen {
    Seen {
        tos: header.dcp().value() << 2 | header.ecn().value(),
        total_len: header.total_len(),
        header_len: header.slice().len(),
        protocol: header.protocol().0,
        is_fragment: header.is_fragmenting_payload(),
        source: header.source_addr(),
        destination: header.destination_addr(),
    }
}

#[inline(always)]
fn checksum_of(bytes: &[u8]) -> u16 {
    // Its sums are of words in the machine's order.
    Sum16BitWords::new()
        .add_slice(bytes)
        .ones_complement()
        .to_be()
}

/// The checksum of `bytes`.
#[inline(never)]
pub fn checksum(bytes: &[u8]) -> u16 {
    checksum_of(bytes)
}

/// Another ToS: the header is read, changed and written, as it has neither setters in place nor an
/// incremental update.
#[inline(never)]
pub fn set_tos(packet: &mut [u8], tos: u8) {
    let (mut header, _) = Ipv4Header::from_slice(packet).expect("a header");
    header.dscp = IpDscp::try_new(tos >> 2).expect("six bits");
    header.ecn = IpEcn::try_new(tos & 3).expect("two bits");
    header.write(&mut &mut packet[..]).expect("20 bytes");
}
