use crate::error::FragmentAttack;
use crate::wire::{IpProtocol, Ipv4};

/// The bytes of a TCP header up to the end of its flags, and two more (RFC 1858 §3.2.1, `tmin`).
const TCP_FLAGS_END: usize = 16;

/// Checks that `packet` does not try to get TCP flags past a packet filter (RFC 1858, RFC 3128).
///
/// Nothing in this crate calls it. Ask it about the inner packets that a receiver delivers, if a filter
/// behind the tunnel judges TCP connections and does not reassemble.
///
/// ```
/// use ipencap::error::FragmentAttack;
/// use ipencap::fragment::check_tcp_fragment;
/// use ipencap::wire::Ipv4;
///
/// // A first fragment with 8 bytes of TCP: the ports and the sequence number, but no flags.
/// let tiny = *b"\x45\x00\x00\x1c\x00\x05\x20\x00\x40\x06\x46\xc7\x0a\x01\x00\x05\x0a\x02\x00\x09\
///               \x9c\x40\x00\x50\x00\x00\x00\x01";
/// let packet = Ipv4::parse(&tiny).unwrap();
/// assert_eq!(check_tcp_fragment(packet), Err(FragmentAttack::TinyFirstFragment));
/// ```
///
/// # Errors
/// [`FragmentAttack`]: drop the packet.
#[inline]
pub fn check_tcp_fragment(packet: Ipv4<'_>) -> Result<(), FragmentAttack> {
    let header = packet.header();
    if header.protocol() != IpProtocol::TCP {
        return Ok(());
    }
    match header.fragment_offset().units() {
        0 if packet.payload().len() < TCP_FLAGS_END => Err(FragmentAttack::TinyFirstFragment),
        1 => Err(FragmentAttack::OverlappingHeader),
        _ => Ok(()),
    }
}
