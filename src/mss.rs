//! Lower the maximum segment size (MSS) that an inner TCP connection announces.
//!
//! Both ends of a connection tell each other in their SYN segments how much a segment may carry. What they
//! tell is made for their own links and ignores the tunnel between them. Where ICMP is filtered, full
//! segments then vanish in the tunnel. A tunnel that lowers the option in both directions avoids that.
//!
//! ```
//! use ipencap::{mss, mtu::Overhead};
//!
//! // A SYN with an MSS of 1460, on its way into an IP-in-IP tunnel over a path with an MTU of 1500.
//! let mut packet = *b"\x45\x00\x00\x2c\x00\x01\x40\x00\x40\x06\x26\xbb\x0a\x01\x00\x05\x0a\x02\x00\x09\
//!                     \x9c\x40\x00\x50\x00\x00\x00\x01\x00\x00\x00\x00\x60\x02\xff\xff\xe7\x84\x00\x00\
//!                     \x02\x04\x05\xb4";
//! let limit = Overhead::IPIP.tcp_mss(1500).and_then(|mss| u16::try_from(mss).ok());
//! assert_eq!(limit, Some(1440));
//! if let Some(patch) = limit.and_then(|limit| mss::inspect(&packet, limit)) {
//!     patch.apply(&mut packet);
//! }
//! assert_eq!(packet[42..], 1440u16.to_be_bytes());
//! assert_eq!(packet[36..38], [0xe7, 0x98]); // the checksum follows
//! ```
//!
//! # What is lowered
//!
//! * The option in a SYN or SYN-ACK, if it is above the limit. It is never raised, and where it is missing
//!   none is inserted: without it the other end sends at most 536 bytes (RFC 9293 §3.7.1).
//! * Every MSS option above the limit, if there are several: receivers differ in which one they take.
//! * Also in a packet that is itself inside up to [`MAX_DEPTH`] IP-in-IP headers: to what is left of the
//!   limit after these headers.
//!
//! # What is left as it is
//!
//! * Anything but a valid IPv4 packet with a whole TCP header. Header checksums of IPv4 are not verified.
//! * A fragment, unless it is the first one and holds the TCP header with all options. A fragment of a
//!   tunnel packet is not looked into.
//! * A packet with an invalid option: one with a length of 0 or 1 or past the end of the header, or an MSS
//!   option whose length is not 4.

use crate::checksum::Delta;
use crate::packet::InnerChecksum;
use crate::wire::{HeaderOption, HeaderOptions, IpProtocol, Ipv4, Ipv4Header, TcpFlags, TcpHeader};

/// The most IP-in-IP headers around a TCP packet in which [`inspect`] finds it.
pub const MAX_DEPTH: u8 = 4;

/// The least value that is written, in bytes: the MTU that IPv4 needs (68, RFC 791 §3.2), less the 40 bytes
/// of the headers (RFC 6691 §2). A lower limit is taken for this one.
pub const MIN_MSS: u16 = 28;

/// How to lower the MSS option of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Patch {
    /// Where the TCP header begins, in bytes from the start of the packet.
    tcp_at: usize,
    mss: u16,
    inner_checksum: InnerChecksum,
}

/// How to lower the MSS option of the IPv4 packet at the start of `packet` to `mss` bytes; `None` if there is
/// nothing to lower. Only reads.
///
/// `mss` is the MTU of inner packets less 40, whether or not TCP options are in use (RFC 6691 §2):
/// [`Overhead::tcp_mss`](crate::mtu::Overhead::tcp_mss). A value below [`MIN_MSS`] is taken for that.
///
/// For all other packets than SYN segments this is a few comparisons.
#[inline]
#[must_use]
pub fn inspect(packet: &[u8], mss: u16) -> Option<Patch> {
    inspect_behind(None, packet, mss)
}

/// [`inspect`] of the first packet, or of the one at the start of `bytes`.
#[inline]
pub(crate) fn inspect_behind<'a>(
    mut first: Option<Ipv4<'a>>,
    mut bytes: &'a [u8],
    mss: u16,
) -> Option<Patch> {
    let mut limit = mss;
    let mut tcp_at = 0;
    for _ in 0..=MAX_DEPTH {
        let ipv4 = match first.take() {
            Some(first) => first,
            None => Ipv4::parse_hardware_verified(bytes).ok()?,
        };
        let header = ipv4.header();
        if header.fragment_offset().bytes() > 0 {
            return None;
        }
        tcp_at = usize::from(header.header_len()).checked_add(tcp_at)?;
        match header.protocol() {
            IpProtocol::IPENCAP if !header.is_fragment() => {
                limit = limit.saturating_sub(u16::from(header.header_len()));
                bytes = ipv4.payload();
            }
            IpProtocol::TCP => {
                let (tcp, options, _) = TcpHeader::split(ipv4.payload()).ok()?;
                if !tcp.flags().contains(TcpFlags::SYN) {
                    return None;
                }
                let mss = limit.max(MIN_MSS);
                first_above(options, mss)?;
                return Some(Patch {
                    tcp_at,
                    mss,
                    inner_checksum: InnerChecksum::Complete,
                });
            }
            _ => return None,
        }
    }
    None
}

/// Whether there may be something to lower in this valid packet: it is a SYN segment, or another packet is
/// inside. A fragment may look like one.
#[inline]
#[must_use]
pub(crate) fn may_lower(packet: &[u8]) -> bool {
    let Some(fixed) = packet.first_chunk() else {
        return false;
    };
    header_may_lower(&Ipv4Header::from_bytes(*fixed), packet)
}

/// [`may_lower`] of a packet that will get this header.
#[inline]
#[must_use]
pub(crate) fn header_may_lower(header: &Ipv4Header, packet: &[u8]) -> bool {
    // Not one `match`: what comes behind knows then that the protocol is not 4.
    if header.protocol() == IpProtocol::IPENCAP {
        return true;
    }
    if header.protocol() != IpProtocol::TCP {
        return false;
    }
    let flags_at = usize::from(header.header_len()).wrapping_add(13);
    let flags = packet.get(flags_at).copied().unwrap_or_default();
    TcpFlags::from_bits_retain(flags.into()).contains(TcpFlags::SYN)
}

impl Patch {
    /// Sets the state of the TCP checksum, as for [`PerPacket`](crate::packet::PerPacket). A
    /// [partial](InnerChecksum::Partial) one is the sum of the pseudo-header, and the hardware will add all
    /// the rest: it does not change with the option.
    #[inline]
    pub const fn with_inner_checksum(self, inner_checksum: InnerChecksum) -> Self {
        Self {
            inner_checksum,
            ..self
        }
    }

    /// The value that is written, in bytes.
    #[inline]
    #[must_use]
    pub const fn mss(self) -> u16 {
        self.mss
    }

    /// Lowers the option in `packet`, the one that was inspected, and updates the TCP checksum (RFC 1624
    /// §3, equation 3). A wrong checksum stays wrong.
    ///
    /// The headers in front of the TCP header may have changed since, but not their length. Nothing changes
    /// where the option is no longer above the limit.
    #[inline]
    pub fn apply(self, packet: &mut [u8]) {
        let Some(segment) = packet.get_mut(self.tcp_at..) else {
            return;
        };
        let Ok((header, options, _)) = TcpHeader::split_mut(segment) else {
            return;
        };
        let new = self.mss.to_be_bytes();
        let mut delta = None;
        while let Some(at) = first_above(options, self.mss) {
            let Some(value) = options.get_mut(at..).and_then(<[u8]>::first_chunk_mut) else {
                return;
            };
            let old = u16::from_be_bytes(*value);
            let so_far = delta.unwrap_or(Delta::new());
            delta = Some(if at % 2 == 0 {
                so_far.replace_u16(old, self.mss)
            } else {
                so_far.replace_odd_u16(old, self.mss)
            });
            *value = new;
        }
        if let (Some(delta), false) = (delta, self.inner_checksum == InnerChecksum::Partial) {
            header.patch(delta);
        }
    }
}

/// Where among the option bytes the value of the first MSS option above `limit` begins; `None` if there is
/// none, or an option is invalid.
fn first_above(options: &[u8], limit: u16) -> Option<usize> {
    let mut found = None;
    let mut options = HeaderOptions::new(options);
    while let Some(option) = options.step() {
        let option = option.ok()?;
        if option.kind() == HeaderOption::TCP_MSS {
            let value = <[u8; 2]>::try_from(option.data()).ok()?;
            if found.is_none() && u16::from_be_bytes(value) > limit {
                found = option.offset().checked_add(2);
            }
        }
    }
    found
}
