//! Tunnel overheads, and the MTUs and TCP segment sizes that result from them.
//!
//! All functions compute with lengths in bytes and are `const`; none reads a packet. Nothing wraps
//! around. The result is `None` where no packet fits.
//!
//! ```
//! use ipencap::mtu::Overhead;
//!
//! // IP-in-IP inside FOU, on an Ethernet link.
//! const TUNNEL: Overhead = Overhead::FOU.around(Overhead::IPIP);
//! assert_eq!(TUNNEL.inner_mtu(1500), Some(1452));
//! assert_eq!(TUNNEL.tcp_mss(1500), Some(1412));
//! assert_eq!(TUNNEL.link_mtu(1500), Some(1548));
//!
//! // WireGuard over IPv6 pads to multiples of 16 bytes, up to the MTU of its device.
//! const WIREGUARD: Overhead = Overhead::of(80).around(Overhead::clamped_padding(16, 1420));
//! assert_eq!(WIREGUARD.outer_len(1400), Some(1488));
//! assert_eq!(WIREGUARD.inner_mtu(1500), Some(1420));
//! ```
//!
//! The [`overhead`](crate::encap::Encapsulate::overhead) of a tunnel is the same number:
//!
//! ```
//! use core::net::Ipv4Addr;
//! use ipencap::{encap::{Encapsulate, Tunnel}, mtu::Overhead, shim::IpIp};
//! # fn main() -> Result<(), ipencap::error::ConfigError> {
//! let tunnel = Tunnel::new(Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2), IpIp)?;
//! assert_eq!(Overhead::of_bytes(tunnel.overhead()), Overhead::IPIP);
//! # Ok(())
//! # }
//! ```

/// The smallest MTU of an IPv4 link, in bytes (RFC 791 §3.2).
pub const MIN_MTU: u32 = 68;

/// The longest IPv4 packet, in bytes (RFC 791 §3.1).
pub const MAX_PACKET_LEN: u32 = 65_535;

/// The datagram length that every host can reassemble, in bytes (RFC 1122 §3.3.2). With a smaller
/// inner MTU, even datagrams of this length are fragmented.
pub const MIN_REASSEMBLY_LEN: u32 = 576;

/// The length of an IPv4 header and a TCP header without options, in bytes: the difference between
/// MTU and MSS (RFC 6691 §2).
pub const TCP_IPV4_HEADERS_LEN: u32 = 40;

/// The bytes that Ethernet adds to an IP packet on the wire: header 14, check sequence 4, preamble 8
/// and gap 12.
pub const ETHERNET_WIRE_LEN: u32 = 38;

/// The most paddings that one overhead can hold.
const MAX_PADDINGS: usize = 4;

/// The bytes and the padding that a tunnel or a stack of tunnels adds to a packet.
///
/// Overheads form a monoid: [`around`](Self::around) is associative and [`NONE`](Self::NONE) is its
/// identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Overhead {
    /// In order from the inside out. Each adds bytes, then pads to a multiple.
    paddings: [Padding; MAX_PADDINGS],
    used: u8,
    /// Bytes added outside of all paddings.
    bytes: u32,
    /// More paddings or bytes than an overhead can hold: no packet fits.
    overflowed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Padding {
    bytes_before: u32,
    alignment: u32,
    /// The longest length after padding. Longer packets do not fit.
    max_len: u32,
}

const NO_PADDING: Padding = Padding {
    bytes_before: 0,
    alignment: 1,
    max_len: u32::MAX,
};

impl Padding {
    /// The length after padding of an inner packet of `inner_len` bytes.
    const fn outer_len(self, inner_len: u32) -> Option<u32> {
        let len = inner_len.saturating_add(self.bytes_before);
        if len > self.max_len {
            return None;
        }
        match len.checked_next_multiple_of(self.alignment) {
            Some(padded) if padded < self.max_len => Some(padded),
            Some(_) => Some(self.max_len),
            None => None,
        }
    }

    /// The longest inner packet whose length after padding is at most `outer_len` bytes.
    const fn largest_inner(self, outer_len: u32) -> Option<u32> {
        let len = if outer_len >= self.max_len {
            self.max_len
        } else {
            match outer_len.checked_rem(self.alignment) {
                Some(remainder) => outer_len.saturating_sub(remainder),
                None => return None,
            }
        };
        len.checked_sub(self.bytes_before)
    }
}

/// The share of payload in the bytes that a link carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Efficiency {
    /// Payload bytes.
    pub payload_len: u32,
    /// All bytes that the link carries for this payload.
    pub carried_len: u32,
}

impl Efficiency {
    /// The share, from 0 to 1.
    #[inline]
    #[must_use]
    pub fn ratio(self) -> f64 {
        if self.carried_len == 0 {
            return 0.0;
        }
        f64::from(self.payload_len) / f64::from(self.carried_len)
    }

    /// The share in thousandths, rounded down, without floating point.
    #[inline]
    #[must_use]
    pub const fn per_mille(self) -> u32 {
        match self
            .payload_len
            .saturating_mul(1000)
            .checked_div(self.carried_len)
        {
            Some(per_mille) => per_mille,
            None => 0,
        }
    }
}

impl Overhead {
    /// No tunnel.
    pub const NONE: Self = Self::of(0);
    /// IP-in-IP: an IPv4 header (RFC 2003).
    pub const IPIP: Self = Self::of(20);
    /// FOU, and GUE variant 1: IPv4 and UDP.
    pub const FOU: Self = Self::of(28);
    /// GUE variant 0 without private words: IPv4, UDP and 4 bytes.
    pub const GUE: Self = Self::of(32);
    /// GRE without optional fields: IPv4 and 4 bytes (RFC 2784). Each optional field adds 4 bytes.
    pub const GRE: Self = Self::of(24);
    /// GRE in UDP without optional fields: IPv4, UDP and 4 bytes (RFC 8086).
    pub const GRE_IN_UDP: Self = Self::of(32);
    /// A TCP segment without options: IPv4 and TCP.
    pub const TCP: Self = Self::of(40);
    /// A TCP segment with the timestamps option, padded to 12 bytes (RFC 7323).
    pub const TCP_TIMESTAMPS: Self = Self::of(52);
    /// A 16-bit length in front of a packet on a stream.
    pub const STREAM_PREFIX: Self = Self::of(2);
    /// Minimal encapsulation with the original source (RFC 2004).
    pub const MINIMAL: Self = Self::of(12);
    /// Minimal encapsulation without the original source (RFC 2004).
    pub const MINIMAL_WITHOUT_SOURCE: Self = Self::of(8);

    /// The same number of bytes for every packet.
    #[inline]
    pub const fn of(bytes: u32) -> Self {
        Self {
            paddings: [NO_PADDING; MAX_PADDINGS],
            used: 0,
            bytes,
            overflowed: bytes > MAX_PACKET_LEN,
        }
    }

    /// [`of`](Self::of) for a `usize`, the type that
    /// [`Encapsulate::overhead`](crate::encap::Encapsulate::overhead) returns.
    #[inline]
    pub fn of_bytes(bytes: usize) -> Self {
        Self::of(u32::try_from(bytes).unwrap_or(u32::MAX))
    }

    /// Padding to a multiple of `alignment` bytes, for example 4 for IPsec ESP. With 0 no packet fits.
    ///
    /// Everything that this overhead is [`around`](Self::around) counts towards the multiple. For
    /// WireGuard use [`clamped_padding`](Self::clamped_padding).
    #[inline]
    pub const fn padding(alignment: u32) -> Self {
        Self::clamped_padding(alignment, u32::MAX)
    }

    /// Padding to a multiple of `alignment` bytes, but not beyond `device_mtu` bytes. WireGuard pads to
    /// 16 bytes up to the MTU of its device. With an alignment of 0 no packet fits.
    ///
    /// ```text
    /// | packet, n bytes | padding |      n becomes min(next multiple, device_mtu)
    /// ```
    ///
    /// Everything that this overhead is [`around`](Self::around) counts towards the multiple. The device
    /// does not accept packets longer than its MTU: [`outer_len`](Self::outer_len) returns `None` for
    /// them, and [`inner_mtu`](Self::inner_mtu) never exceeds `device_mtu`.
    ///
    /// ```
    /// use ipencap::mtu::Overhead;
    /// let over_ipv4 = Overhead::of(60).around(Overhead::clamped_padding(16, 1420));
    /// assert_eq!(over_ipv4.outer_len(1409), Some(1480)); // not 1484
    /// assert_eq!(over_ipv4.outer_len(1421), None);
    /// // IP-in-IP through that device.
    /// assert_eq!(over_ipv4.around(Overhead::IPIP).inner_mtu(1500), Some(1400));
    /// ```
    #[inline]
    pub const fn clamped_padding(alignment: u32, device_mtu: u32) -> Self {
        let mut overhead = Self::NONE;
        overhead.paddings[0] = Padding {
            bytes_before: 0,
            alignment,
            max_len: device_mtu,
        };
        overhead.used = 1;
        overhead.overflowed = alignment == 0 || alignment > MAX_PACKET_LEN;
        overhead
    }

    /// The overhead of this tunnel around a tunnel with the overhead `inner`.
    ///
    /// An overhead can hold four paddings. With more, no packet fits and every function returns `None`.
    #[inline]
    pub const fn around(self, inner: Self) -> Self {
        let mut sum = inner;
        sum.overflowed = self.overflowed || inner.overflowed;
        let mut outer = self.paddings.as_slice();
        let mut left = self.used;
        while left > 0 {
            left = left.saturating_sub(1);
            let Some((padding, rest)) = outer.split_first() else {
                break;
            };
            outer = rest;
            let bytes_before = sum.bytes.saturating_add(padding.bytes_before);
            let padding = Padding {
                bytes_before,
                ..*padding
            };
            match sum.used {
                0 => sum.paddings[0] = padding,
                1 => sum.paddings[1] = padding,
                2 => sum.paddings[2] = padding,
                3 => sum.paddings[3] = padding,
                _ => sum.overflowed = true,
            }
            sum.used = sum.used.saturating_add(1);
            sum.bytes = 0;
        }
        sum.bytes = sum.bytes.saturating_add(self.bytes);
        sum.overflowed = sum.overflowed || sum.bytes > MAX_PACKET_LEN;
        sum
    }

    /// This overhead `times` times, each around the previous one.
    #[inline]
    pub const fn repeat(self, times: u8) -> Self {
        let mut sum = Self::NONE;
        let mut left = times;
        while left > 0 {
            left = left.saturating_sub(1);
            sum = self.around(sum);
        }
        sum
    }

    /// The number of bytes added to every packet, or `None` if it depends on the packet's length.
    #[inline]
    #[must_use]
    pub const fn bytes(self) -> Option<u32> {
        if self.used == 0 && !self.overflowed {
            Some(self.bytes)
        } else {
            None
        }
    }

    /// The length of the outer packet around an inner packet of `inner_len` bytes. `None` if it exceeds
    /// 65535 bytes or the MTU of a device that pads.
    #[inline]
    #[must_use]
    pub const fn outer_len(self, inner_len: u32) -> Option<u32> {
        if self.overflowed {
            return None;
        }
        let mut len = inner_len;
        let mut paddings = self.paddings.as_slice();
        while let Some((padding, rest)) = paddings.split_first() {
            paddings = rest;
            len = match padding.outer_len(len) {
                Some(len) => len,
                None => return None,
            };
        }
        len = len.saturating_add(self.bytes);
        if len > MAX_PACKET_LEN {
            None
        } else {
            Some(len)
        }
    }

    /// The number of bytes added to an inner packet of `inner_len` bytes. `None` if
    /// [`outer_len`](Self::outer_len) is `None`.
    #[inline]
    #[must_use]
    pub const fn added_len(self, inner_len: u32) -> Option<u32> {
        match self.outer_len(inner_len) {
            Some(outer_len) => outer_len.checked_sub(inner_len),
            None => None,
        }
    }

    /// The longest inner packet whose outer packet has at most `outer_len` bytes. It may be shorter than
    /// an IPv4 header.
    const fn largest_inner(self, outer_len: u32) -> Option<u32> {
        if self.overflowed {
            return None;
        }
        let outer_len = if outer_len > MAX_PACKET_LEN {
            MAX_PACKET_LEN
        } else {
            outer_len
        };
        let Some(mut len) = outer_len.checked_sub(self.bytes) else {
            return None;
        };
        let mut paddings = self.paddings.as_slice();
        while let Some((padding, rest)) = paddings.split_last() {
            paddings = rest;
            len = match padding.largest_inner(len) {
                Some(len) => len,
                None => return None,
            };
        }
        Some(len)
    }

    /// The MTU for inner packets on a link or path with an MTU of `link_mtu` bytes (RFC 2003 §5.1).
    /// `None` if it is below 68 bytes, the least that IPv4 needs (RFC 791 §3.2).
    #[inline]
    #[must_use]
    pub const fn inner_mtu(self, link_mtu: u32) -> Option<u32> {
        match self.largest_inner(link_mtu) {
            Some(mtu) if mtu >= MIN_MTU => Some(mtu),
            _ => None,
        }
    }

    /// The value of the MSS option for inner TCP connections, in bytes: the inner MTU less 40. It is the
    /// same whether or not TCP options are in use (RFC 6691 §2).
    #[inline]
    #[must_use]
    pub const fn tcp_mss(self, link_mtu: u32) -> Option<u32> {
        self.tcp_payload_len(link_mtu, 0)
    }

    /// The payload of a full inner TCP segment with `options_len` bytes of TCP options, in bytes (RFC
    /// 6691 §2). The timestamps option takes 12 bytes.
    #[inline]
    #[must_use]
    pub const fn tcp_payload_len(self, link_mtu: u32, options_len: u32) -> Option<u32> {
        match self.inner_mtu(link_mtu) {
            Some(mtu) => match mtu.checked_sub(TCP_IPV4_HEADERS_LEN) {
                Some(mss) => mss.checked_sub(options_len),
                None => None,
            },
            None => None,
        }
    }

    /// The link MTU that inner packets of `inner_mtu` bytes need.
    #[inline]
    #[must_use]
    pub const fn link_mtu(self, inner_mtu: u32) -> Option<u32> {
        self.outer_len(inner_mtu)
    }

    /// The longest inner packet whose outer packet has at most 65535 bytes (RFC 791 §3.1).
    #[inline]
    #[must_use]
    pub const fn max_inner_len(self) -> Option<u32> {
        self.largest_inner(MAX_PACKET_LEN)
    }

    /// The share of inner TCP payload in a full packet on the link.
    #[inline]
    #[must_use]
    pub const fn efficiency(self, link_mtu: u32) -> Option<Efficiency> {
        match self.tcp_mss(link_mtu) {
            Some(payload_len) => Some(Efficiency {
                payload_len,
                carried_len: link_mtu,
            }),
            None => None,
        }
    }

    /// The share of inner TCP payload in all bytes of a full packet on Ethernet, with preamble and gap.
    #[inline]
    #[must_use]
    pub const fn ethernet_efficiency(self, link_mtu: u32) -> Option<Efficiency> {
        match self.tcp_mss(link_mtu) {
            Some(payload_len) => {
                let carried_len = link_mtu.saturating_add(ETHERNET_WIRE_LEN);
                Some(Efficiency {
                    payload_len,
                    carried_len,
                })
            }
            None => None,
        }
    }
}

/// The number of fragments that a packet of `total_len` bytes with a header of `header_len` bytes
/// becomes on a link with an MTU of `mtu` bytes (RFC 791 §3.2).
///
/// `None` if not even 8 bytes of data fit behind the header. The result assumes that all IPv4 options
/// are copied into every fragment.
///
/// ```
/// use ipencap::mtu::fragment_count;
/// assert_eq!(fragment_count(1480, 20, 1480), Some(1));
/// assert_eq!(fragment_count(1481, 20, 1480), Some(2));
/// assert_eq!(fragment_count(65535, 20, 1500), Some(45));
/// assert_eq!(fragment_count(100, 20, 27), None);
/// ```
#[inline]
#[must_use]
pub const fn fragment_count(total_len: u32, header_len: u32, mtu: u32) -> Option<u32> {
    if total_len <= mtu {
        return Some(1);
    }
    let (Some(data_len), Some(room)) = (
        total_len.checked_sub(header_len),
        mtu.checked_sub(header_len),
    ) else {
        return None;
    };
    // Every fragment but the last carries a multiple of 8 bytes. The last may use all the room.
    let unit = room & !7;
    if unit == 0 {
        return None;
    }
    match data_len.saturating_sub(room).checked_next_multiple_of(unit) {
        Some(before_last) => match before_last.checked_div(unit) {
            Some(count) => Some(count.saturating_add(1)),
            None => None,
        },
        None => None,
    }
}
