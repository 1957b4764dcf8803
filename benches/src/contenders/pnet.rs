//! pnet_packet.

use pnet_packet::ip::IpNextHeaderProtocol;
use pnet_packet::ipv4::{Ipv4Flags, Ipv4Packet, MutableIpv4Packet, checksum as header_checksum};
use pnet_packet::tcp::{MutableTcpPacket, TcpFlags, ipv4_checksum as tcp_checksum};
use pnet_packet::udp::{MutableUdpPacket, ipv4_checksum as udp_checksum};
use pnet_packet::util;

use super::peer::{Peer, Seen};
use crate::fixtures::Layer;

/// pnet_packet.
#[derive(Debug)]
pub struct Pnet;

impl Peer for Pnet {
    #[inline(always)]
    fn read(bytes: &[u8]) -> Option<Seen> {
        Ipv4Packet::new(bytes).map(|packet| seen(&packet))
    }

    #[inline(always)]
    fn validate(bytes: &[u8]) -> Option<Seen> {
        let packet = Ipv4Packet::new(bytes)?;
        let seen = seen(&packet);
        // `new` checks that there are 20 bytes, and no more.
        let is_valid = packet.get_version() == 4
            && seen.header_len >= 20
            && usize::from(seen.total_len) >= seen.header_len
            && usize::from(seen.total_len) <= bytes.len()
            && header_checksum(&packet) == packet.get_checksum();
        is_valid.then_some(seen)
    }

    #[inline(always)]
    fn write_ipv4(bytes: &mut [u8], layer: &Layer, protocol: u8, tos: u8, total_len: u16) {
        let mut packet = MutableIpv4Packet::new(bytes).expect("20 bytes");
        packet.set_version(4);
        packet.set_header_length(5);
        packet.set_dscp(tos >> 2);
        packet.set_ecn(tos & 3);
        packet.set_total_length(total_len);
        packet.set_identification(0);
        packet.set_flags(Ipv4Flags::DontFragment);
        packet.set_fragment_offset(0);
        packet.set_ttl(layer.ttl);
        packet.set_next_level_protocol(IpNextHeaderProtocol(protocol));
        packet.set_source(layer.source);
        packet.set_destination(layer.destination);
        packet.set_checksum(header_checksum(&packet.to_immutable()));
    }

    #[inline(always)]
    fn write_udp(datagram: &mut [u8], layer: &Layer, has_checksum: bool) {
        let len = datagram.len() as u16;
        let mut packet = MutableUdpPacket::new(datagram).expect("8 bytes");
        packet.set_source(layer.source_port);
        packet.set_destination(layer.destination_port);
        packet.set_length(len);
        let checksum = if has_checksum {
            udp_checksum(&packet.to_immutable(), &layer.source, &layer.destination)
        } else {
            0
        };
        packet.set_checksum(checksum);
    }

    #[inline(always)]
    fn write_tcp(segment: &mut [u8], layer: &Layer) {
        let mut packet = MutableTcpPacket::new(segment).expect("20 bytes");
        packet.set_source(layer.source_port);
        packet.set_destination(layer.destination_port);
        packet.set_sequence(layer.sequence);
        packet.set_acknowledgement(layer.acknowledgment);
        packet.set_data_offset(5);
        packet.set_reserved(0);
        packet.set_flags(TcpFlags::PSH | TcpFlags::ACK);
        packet.set_window(layer.window);
        packet.set_urgent_ptr(0);
        let checksum = tcp_checksum(&packet.to_immutable(), &layer.source, &layer.destination);
        packet.set_checksum(checksum);
    }
}

#[inline(always)]
fn seen(packet: &Ipv4Packet<'_>) -> Seen {
    Seen {
        tos: packet.get_dscp() << 2 | packet.get_ecn(),
        total_len: packet.get_total_length(),
        header_len: usize::from(packet.get_header_length()) * 4,
        protocol: packet.get_next_level_protocol().0,
        is_fragment: packet.get_flags() & Ipv4Flags::MoreFragments != 0
            || packet.get_fragment_offset() != 0,
        source: packet.get_source(),
        destination: packet.get_destination(),
    }
}

/// The checksum of `bytes`; no word is left out.
#[inline(never)]
pub fn checksum(bytes: &[u8]) -> u16 {
    util::checksum(bytes, usize::MAX)
}

/// Another ToS, the header summed anew: it has no incremental update.
#[inline(never)]
pub fn set_tos(packet: &mut [u8], tos: u8) {
    let mut packet = MutableIpv4Packet::new(packet).expect("20 bytes");
    packet.set_dscp(tos >> 2);
    packet.set_ecn(tos & 3);
    packet.set_checksum(header_checksum(&packet.to_immutable()));
}
