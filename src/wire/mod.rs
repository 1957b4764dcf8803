//! Zero-copy views of headers: bytes in, `&Header` out.
//!
//! * A view is a reference into the caller's bytes, at any alignment: nothing is copied.
//! * Accessors are total. Only splitting can fail: `split` separates a header from what follows,
//!   `parse` also proves its lengths (and, for IPv4, its checksum), [`Ipv4::parse_quoted`] reads a
//!   packet cut short inside an ICMP error.
//! * Setters keep the header's own checksum right, by RFC 1624. `edit` patches it once for several
//!   fields.
//! * Lengths are bytes and end in `_len`; addresses are [`core::net::Ipv4Addr`]; integers are in
//!   the machine's byte order.
//!
//! The traits that zerocopy derives for the header types are not part of this crate's stable
//! interface.
//!
//! # Parse a packet, patch a field
//!
//! ```
//! use ipencap::wire::{IpProtocol, Ipv4, Ipv4Header, Udp, UdpChecksum};
//! # fn main() -> Result<(), ipencap::error::ParseError> {
//! let mut bytes = *b"\x45\x00\x00\x24\x12\x34\x40\x00\x40\x11\x14\x85\x0a\x01\x00\x05\x0a\x02\x00\x09\
//!                    \x9c\x40\x00\x35\x00\x10\xac\xe6ipencap!";
//!
//! let packet = Ipv4::parse(&bytes)?;
//! assert_eq!(packet.header().protocol(), IpProtocol::UDP);
//! let udp = Udp::parse(packet.payload())?;
//! assert_eq!(udp.header().destination_port(), 53);
//! assert_eq!(udp.payload(), b"ipencap!");
//! let header = packet.header();
//! assert_eq!(udp.checksum_status(header.source(), header.destination()), UdpChecksum::Valid);
//!
//! let (header, _options, _rest) = Ipv4Header::split_mut(&mut bytes)?;
//! header.set_ttl(63); // the header checksum follows
//! assert!(Ipv4::parse(&bytes).is_ok());
//! # Ok(())
//! # }
//! ```

mod address;
mod bits;
mod gre;
mod gue;
mod icmpv4;
mod ipv4;
mod minimal;
mod options;
mod prefix;
mod protocol;
mod tcp;
mod udp;

pub use address::{Prefix, is_class_e, is_unicast};
pub use bits::{Dscp, Ecn, EcnAlarm, FragmentOffset, Ipv4Flags, TcpFlags};
pub use gre::{Gre, GreFlags, GreHeader};
pub use gue::{GueHeader, GueVariant};
pub use icmpv4::{Icmpv4, Icmpv4Header};
pub(crate) use ipv4::Options;
pub use ipv4::{Ipv4, Ipv4Edit, Ipv4Header, Ipv4Mut, QuotedIpv4};
pub use minimal::MinimalHeader;
pub use options::{HeaderOption, HeaderOptions};
pub use prefix::LengthPrefix;
pub use protocol::IpProtocol;
pub use tcp::{Tcp, TcpHeader};
pub use udp::{Udp, UdpChecksum, UdpHeader};

/// Whether code that handles all packets is compiled a second time for the common ones, without the
/// branches that these do not need. Targets without an operating system pay for flash, not for cycles:
/// there every packet takes the code that handles all.
pub(crate) const COMMON_FIRST: bool = cfg!(not(all(
    target_os = "none",
    not(target_pointer_width = "64")
)));

/// `len` bytes at most, as an error can carry it: headers and total lengths fit 16 bits, so a
/// longer buffer is never what was missing.
pub(crate) fn reported_len(len: usize) -> u16 {
    u16::try_from(len).unwrap_or(u16::MAX)
}

/// Copies as many bytes as both have: where the lengths are equal by construction, but the compiler
/// cannot see it, `copy_from_slice` would link a panic.
#[inline]
pub(crate) fn copy(from: &[u8], to: &mut [u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}
