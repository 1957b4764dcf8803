use super::{Encapsulate, no_headroom};
use crate::error::EncapError;
use crate::packet::{Facts, PerPacket, Rules};

/// The headers of an outer packet, at most `N` bytes, by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Header<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Header<N> {
    /// The bytes that go in front of the inner packet.
    #[inline]
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl<const N: usize> AsRef<[u8]> for Header<N> {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

/// All headers that `tunnel` puts in front of a packet, by value: for whoever cannot write in front of
/// it. An I/O vector, a descriptor chain, a ring of headers.
///
/// A checksum that covers the packet's bytes needs their sum: [`Facts::summed`]. With
/// [`Role::Forward`](super::Role::Forward) decrement the inner TTL yourself
/// ([`Ipv4Header::decrement_ttl`](crate::wire::Ipv4Header::decrement_ttl)).
///
/// ```
/// # use core::net::Ipv4Addr;
/// use ipencap::encap::{PerPacket, Tunnel, header};
/// use ipencap::{packet::Facts, shim::IpIp};
/// # use ipencap::wire::{IpProtocol, Ipv4Header};
/// # fn main() -> Result<(), Box<dyn core::error::Error>> {
/// # let inner = *Ipv4Header::new(Ipv4Addr::new(10, 1, 0, 5), Ipv4Addr::new(10, 2, 0, 9), IpProtocol(253), 20).as_bytes();
/// let site = Tunnel::new(Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2), IpIp)?;
/// let wan = Tunnel::new(Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2), IpIp)?;
/// let headers = header::<40, _>(&(site, wan), &Facts::read(&inner)?, &PerPacket::new())?;
/// let vectors = [headers.as_slice(), &inner[..]]; // for sendmsg, or the next two descriptors
/// # let _ = vectors;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`encap`](super::encap()); `NoHeadroom` if `N` is less than the overhead;
/// [`EncapError::UnknownSum`] where a checksum covers bytes whose sum `inner` does not know.
#[inline]
pub fn header<const N: usize, T: Encapsulate + ?Sized>(
    tunnel: &T,
    inner: &Facts,
    packet: &PerPacket,
) -> Result<Header<N>, EncapError> {
    let len = tunnel.overhead();
    let mut bytes = [0; N];
    let Some(frame) = bytes.get_mut(..len) else {
        return Err(no_headroom(len, N));
    };
    tunnel.check(inner, packet, Rules::HeadersOnly)?;
    tunnel.write(frame, inner, packet, Rules::HeadersOnly);
    Ok(Header { bytes, len })
}
