//! Zero-copy views of headers.
//!
//! * A view is a reference to the caller's bytes, at any alignment. Nothing is copied.
//! * Only parsing can fail. `split` separates a header from the bytes that follow. `parse` also checks the
//!   lengths, and for IPv4 and ICMP the checksum. [`Ipv4::parse_quoted`] parses the truncated packet inside
//!   an ICMP error.
//! * Getters cannot fail.
//! * Setters update the header's checksum (RFC 1624). [`Ipv4Header::edit`] updates it once for several
//!   fields.
//! * Lengths are in bytes, and their names end in `_len`. Addresses are [`core::net::Ipv4Addr`]. Integers
//!   are in native byte order.
//!
//! The header types implement zerocopy traits, which are not part of this crate's stable interface.
//!
//! # Parse a packet and change a field
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
//! header.set_ttl(63); // also updates the header checksum
//! assert!(Ipv4::parse(&bytes).is_ok());
//! # Ok(())
//! # }
//! ```

/// What the headers have in common that are valid whatever their bytes: items of an `impl`.
macro_rules! as_bytes {
    () => {
        /// The header with these [`LEN`](Self::LEN) bytes.
        #[inline]
        #[must_use]
        pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
            zerocopy::transmute!(bytes)
        }

        /// The [`LEN`](Self::LEN) bytes of the header.
        #[inline]
        #[must_use]
        pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
            zerocopy::transmute_ref!(self)
        }
    };
}
use as_bytes;

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
pub use ipv4::{Ipv4, Ipv4Edit, Ipv4Header, Ipv4Mut, QuotedIpv4};
pub(crate) use ipv4::{Options, header_verifies};
pub use minimal::MinimalHeader;
pub use options::{HeaderOption, HeaderOptions};
pub use prefix::LengthPrefix;
pub use protocol::IpProtocol;
pub use tcp::{Tcp, TcpHeader};
pub use udp::{Udp, UdpChecksum, UdpHeader};

/// Whether code is compiled twice: once for all packets, and once for the common packets, without the
/// branches that these do not need. On targets without an operating system code size matters more than
/// speed, so there is only the code for all packets. Nor is there for BPF: there the kernel's verifier follows both.
pub(crate) const COMMON_FIRST: bool = cfg!(not(any(
    target_arch = "bpf",
    all(target_os = "none", not(target_pointer_width = "64"))
)));

/// `len` as errors report it, at most 65535. Headers and total lengths fit 16 bits, so a longer buffer is
/// never too short.
pub(crate) fn reported_len(len: usize) -> u16 {
    u16::try_from(len).unwrap_or(u16::MAX)
}

/// Tells the optimiser to keep a comparison that hardly ever comes here out of the way.
#[cold]
pub(crate) const fn is_rare() {}

/// Copies `from` to `to`, up to the shorter length. Use it where the lengths are equal but the compiler
/// cannot prove it: `copy_from_slice` would link a panic there.
#[cfg_attr(not(all(target_os = "none", not(target_pointer_width = "64"))), inline)]
#[cfg_attr(
    all(target_os = "none", not(target_pointer_width = "64")),
    inline(never)
)]
pub(crate) fn copy(from: &[u8], to: &mut [u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}
