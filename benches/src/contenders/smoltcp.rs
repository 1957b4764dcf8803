//! smoltcp, its `wire` module. `Ipv4Repr::emit` writes neither DSCP nor ECN, so the setters are used.

use smoltcp::wire::{
    IpAddress, IpProtocol, Ipv4Packet, TcpPacket, TcpSeqNumber, UdpPacket, checksum as sums,
};

use super::peer::{Peer, Seen};
use crate::fixtures::Layer;

/// smoltcp.
#[derive(Debug)]
pub struct Smoltcp;

impl Peer for Smoltcp {
    #[inline(always)]
    fn read(bytes: &[u8]) -> Option<Seen> {
        Ipv4Packet::new_checked(bytes)
            .ok()
            .map(|packet| seen(&packet))
    }

    #[inline(always)]
    fn validate(bytes: &[u8]) -> Option<Seen> {
        let packet = Ipv4Packet::new_checked(bytes).ok()?;
        // The version is not part of `new_checked`.
        (packet.version() == 4 && packet.verify_checksum()).then(|| seen(&packet))
    }

    #[inline(always)]
    fn write_ipv4(bytes: &mut [u8], layer: &Layer, protocol: u8, tos: u8, total_len: u16) {
        let mut packet = Ipv4Packet::new_unchecked(bytes);
        packet.set_version(4);
        packet.set_header_len(20);
        packet.set_dscp(tos >> 2);
        packet.set_ecn(tos & 3);
        packet.set_total_len(total_len);
        packet.set_ident(0);
        packet.clear_flags();
        packet.set_dont_frag(true);
        packet.set_frag_offset(0);
        packet.set_hop_limit(layer.ttl);
        packet.set_next_header(IpProtocol::from(protocol));
        packet.set_src_addr(layer.source);
        packet.set_dst_addr(layer.destination);
        packet.fill_checksum();
    }

    #[inline(always)]
    fn write_udp(datagram: &mut [u8], layer: &Layer, has_checksum: bool) {
        let len = datagram.len() as u16;
        let mut packet = UdpPacket::new_unchecked(datagram);
        packet.set_src_port(layer.source_port);
        packet.set_dst_port(layer.destination_port);
        packet.set_len(len);
        if has_checksum {
            packet.fill_checksum(
                &IpAddress::Ipv4(layer.source),
                &IpAddress::Ipv4(layer.destination),
            );
        } else {
            packet.set_checksum(0);
        }
    }

    #[inline(always)]
    fn write_tcp(segment: &mut [u8], layer: &Layer) {
        let mut packet = TcpPacket::new_unchecked(segment);
        packet.set_src_port(layer.source_port);
        packet.set_dst_port(layer.destination_port);
        packet.set_seq_number(TcpSeqNumber(layer.sequence.cast_signed()));
        packet.set_ack_number(TcpSeqNumber(layer.acknowledgment.cast_signed()));
        packet.clear_flags();
        packet.set_header_len(20);
        packet.set_psh(true);
        packet.set_ack(true);
        packet.set_window_len(layer.window);
        packet.set_urgent_at(0);
        packet.fill_checksum(
            &IpAddress::Ipv4(layer.source),
            &IpAddress::Ipv4(layer.destination),
        );
    }
}

#[inline(always)]
fn seen(packet: &Ipv4Packet<&[u8]>) -> Seen {
    Seen {
        tos: packet.dscp() << 2 | packet.ecn(),
        total_len: packet.total_len(),
        header_len: usize::from(packet.header_len()),
        protocol: packet.next_header().into(),
        is_fragment: packet.more_frags() || packet.frag_offset() != 0,
        source: packet.src_addr(),
        destination: packet.dst_addr(),
    }
}

/// The checksum of `bytes`.
#[inline(never)]
pub fn checksum(bytes: &[u8]) -> u16 {
    !sums::data(bytes)
}

/// Another ToS, the header summed anew: it has no incremental update.
#[inline(never)]
pub fn set_tos(packet: &mut [u8], tos: u8) {
    let mut packet = Ipv4Packet::new_unchecked(packet);
    packet.set_dscp(tos >> 2);
    packet.set_ecn(tos & 3);
    packet.fill_checksum();
}
