use ipencap::checksum::{Sum, checksum};
use ipencap::wire::{IpProtocol, Ipv4, UdpHeader};

/// Computes the checksum of a packet whose sender has left it to the network device.
///
/// A sender on the same machine, such as a container, does so, and no device computes it on the way. Linux has put the
/// sum of the pseudo-header in the field.
pub(super) fn finish_checksum(packet: &mut [u8]) {
    let Ok(parsed) = Ipv4::parse(packet) else {
        return;
    };
    let header = parsed.header();
    let protocol = header.protocol();
    let at = match protocol {
        IpProtocol::TCP => 16,
        IpProtocol::UDP => 6,
        _ => return,
    };
    let (start, end) = (usize::from(header.header_len()), header.total_len());
    let len = end.saturating_sub(u16::from(header.header_len()));
    let pseudo = Sum::pseudo_header(header.source(), header.destination(), protocol.0, len);
    if header.is_fragment() {
        return;
    }
    let Some(segment) = packet.get_mut(start..usize::from(end)) else {
        return;
    };
    let left = pseudo.fold().to_be_bytes();
    if segment.get(at..at + 2) != Some(&left[..]) || pseudo.add_bytes(segment).is_valid() {
        return;
    }
    // The pseudo-header's sum stands in the field, so it is not added again.
    let checksum = checksum(segment);
    let checksum = if protocol == IpProtocol::UDP {
        UdpHeader::transmitted(checksum)
    } else {
        checksum
    };
    segment[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
}
