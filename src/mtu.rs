//! What a tunnel costs: overheads, and the MTUs and segment sizes that follow from them.
//!
//! Lengths in, lengths out, all `const`: no packet is looked at. Nothing wraps; where no packet fits
//! the answer is `None`.
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
//! // WireGuard over IPv6 pads to 16 bytes, but not beyond the MTU of its device.
//! const WIREGUARD: Overhead = Overhead::of(80).around(Overhead::clamped_padding(16, 1420));
//! assert_eq!(WIREGUARD.outer_len(1400), Some(1488));
//! assert_eq!(WIREGUARD.inner_mtu(1500), Some(1420));
//! ```
//!
//! An encapsulator's [`overhead`](crate::encap::Encapsulate::overhead) is the same number:
//!
//! ```
//! use core::net::Ipv4Addr;
//! use ipencap::{encap::{Encapsulate, IpIp}, mtu::Overhead};
//! # fn main() -> Result<(), ipencap::error::ConfigError> {
//! let tunnel = IpIp::new(Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 2))?;
//! assert_eq!(Overhead::of_bytes(tunnel.overhead()), Overhead::IPIP);
//! # Ok(())
//! # }
//! ```

/// The smallest MTU an IPv4 link may have, in bytes (RFC 791 §3.2).
pub const MIN_MTU: u32 = 68;

/// The longest IPv4 packet, in bytes (RFC 791 §3.1).
pub const MAX_PACKET_LEN: u32 = 65_535;

/// What every host must be able to reassemble, in bytes: below an inner MTU of this even datagrams
/// that respect it are fragmented (O-09; RFC 1122 §3.3.2).
pub const MIN_REASSEMBLY_LEN: u32 = 576;

/// An IPv4 header and a TCP header without options, in bytes: what the MSS does not count (RFC 6691
/// §2).
pub const TCP_IPV4_HEADERS_LEN: u32 = 40;

/// What Ethernet adds to an IP packet on the wire, in bytes: header 14, check sequence 4, preamble 8,
/// gap 12.
pub const ETHERNET_WIRE_LEN: u32 = 38;

/// How many paddings one overhead can hold.
const MAX_PADDINGS: usize = 4;

/// What a tunnel, or a stack of them, adds to a packet: bytes, and padding to a multiple, which may
/// be clamped to the MTU of a device.
///
/// Overheads form a monoid: [`around`](Self::around) is associative and [`NONE`](Self::NONE) is its
/// identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Overhead {
    /// From the inside out: so many bytes more, then up to a multiple.
    paddings: [Padding; MAX_PADDINGS],
    used: u8,
    /// Bytes outside of all paddings.
    bytes: u32,
    /// More than an overhead can hold was asked for: nothing fits.
    overflowed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Padding {
    bytes_before: u32,
    alignment: u32,
    /// What is padded is never longer, padded or not.
    max_len: u32,
}

const NO_PADDING: Padding = Padding {
    bytes_before: 0,
    alignment: 1,
    max_len: u32::MAX,
};

impl Padding {
    /// The length of what is padded, out of that of the packet inside.
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

    /// The longest packet inside that is padded to at most `outer_len` bytes.
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

/// How much of what a link carries is payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Efficiency {
    /// Payload bytes.
    pub payload_len: u32,
    /// Bytes carried for them.
    pub carried_len: u32,
}

impl Efficiency {
    /// The share, 0 to 1.
    #[inline]
    #[must_use]
    pub fn ratio(self) -> f64 {
        if self.carried_len == 0 {
            return 0.0;
        }
        f64::from(self.payload_len) / f64::from(self.carried_len)
    }

    /// The share in thousandths, rounded down: without floating point.
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
    /// IP-in-IP: an IPv4 header.
    pub const IPIP: Self = Self::of(20);
    /// FOU, and GUE variant 1: IPv4 and UDP.
    pub const FOU: Self = Self::of(28);
    /// GUE variant 0 without private words: IPv4, UDP and 4 bytes.
    pub const GUE: Self = Self::of(32);
    /// GRE without optional fields: IPv4 and 4 bytes; each field is 4 more.
    pub const GRE: Self = Self::of(24);
    /// GRE in UDP: IPv4, UDP and 4 bytes.
    pub const GRE_IN_UDP: Self = Self::of(32);
    /// A TCP segment without options: IPv4 and TCP.
    pub const TCP: Self = Self::of(40);
    /// A TCP segment with timestamps.
    pub const TCP_TIMESTAMPS: Self = Self::of(52);
    /// A 16-bit length in front of a packet on a stream.
    pub const STREAM_PREFIX: Self = Self::of(2);
    /// Minimal encapsulation with the original source.
    pub const MINIMAL: Self = Self::of(12);
    /// Minimal encapsulation without the original source.
    pub const MINIMAL_WITHOUT_SOURCE: Self = Self::of(8);

    /// So many bytes, whatever the packet.
    #[inline]
    pub const fn of(bytes: u32) -> Self {
        Self {
            paddings: [NO_PADDING; MAX_PADDINGS],
            used: 0,
            bytes,
            overflowed: bytes > MAX_PACKET_LEN,
        }
    }

    /// So many bytes, as an encapsulator says them.
    #[inline]
    pub fn of_bytes(bytes: usize) -> Self {
        Self::of(u32::try_from(bytes).unwrap_or(u32::MAX))
    }

    /// Padding to a multiple of `alignment` bytes, 1 or more: 4 for IPsec's ESP.
    ///
    /// What is padded is all that this is [`around`](Self::around). See
    /// [`clamped_padding`](Self::clamped_padding) for WireGuard.
    #[inline]
    pub const fn padding(alignment: u32) -> Self {
        Self::clamped_padding(alignment, u32::MAX)
    }

    /// Padding to a multiple of `alignment` bytes, 1 or more, but never beyond `device_mtu`, as
    /// WireGuard pads to 16 up to the MTU of its device.
    ///
    /// ```text
    /// | what is padded, n bytes | padding |      n to min(next multiple, device_mtu)
    /// ```
    ///
    /// What is padded is all that this is [`around`](Self::around). The device takes nothing longer
    /// than its MTU: the [`outer_len`](Self::outer_len) of a longer packet is `None`, and the
    /// [`inner_mtu`](Self::inner_mtu) never exceeds the device's.
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

    /// This overhead on the outside of `inner`'s.
    ///
    /// At most four paddings are kept apart; with more the result fits nothing and every question is
    /// answered `None`.
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

    /// This overhead `times` over, one around the other.
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

    /// The number of bytes added to every packet, `None` if that depends on the packet's length.
    #[inline]
    #[must_use]
    pub const fn bytes(self) -> Option<u32> {
        if self.used == 0 && !self.overflowed {
            Some(self.bytes)
        } else {
            None
        }
    }

    /// The length of the outer packet around an inner one of `inner_len` bytes; `None` above 65535, and
    /// where a device that pads does not take it.
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

    /// The bytes added to an inner packet of `inner_len` bytes; `None` where
    /// [`outer_len`](Self::outer_len) is.
    #[inline]
    #[must_use]
    pub const fn added_len(self, inner_len: u32) -> Option<u32> {
        match self.outer_len(inner_len) {
            Some(outer_len) => outer_len.checked_sub(inner_len),
            None => None,
        }
    }

    /// The longest inner packet whose outer one has at most `outer_len` bytes, whether or not that is
    /// enough for IPv4.
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

    /// The MTU for inner packets on a link or path of `link_mtu` bytes, `None` below the 68 bytes that
    /// IPv4 needs (O-01, O-05).
    #[inline]
    #[must_use]
    pub const fn inner_mtu(self, link_mtu: u32) -> Option<u32> {
        match self.largest_inner(link_mtu) {
            Some(mtu) if mtu >= MIN_MTU => Some(mtu),
            _ => None,
        }
    }

    /// The value of the MSS option for inner TCP connections: the inner MTU less 40 (O-02; RFC 6691
    /// §2). It does not count TCP options, whichever are in use.
    #[inline]
    #[must_use]
    pub const fn tcp_mss(self, link_mtu: u32) -> Option<u32> {
        self.tcp_payload_len(link_mtu, 0)
    }

    /// The payload of a full inner TCP segment with `options_len` bytes of options: 12 with
    /// timestamps (S-31; RFC 6691 §2).
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

    /// The MTU that a link must have for inner packets of `inner_mtu` bytes (O-03).
    #[inline]
    #[must_use]
    pub const fn link_mtu(self, inner_mtu: u32) -> Option<u32> {
        self.outer_len(inner_mtu)
    }

    /// The longest inner packet that any link could carry, in bytes (O-04).
    #[inline]
    #[must_use]
    pub const fn max_inner_len(self) -> Option<u32> {
        self.largest_inner(MAX_PACKET_LEN)
    }

    /// Inner TCP payload per byte of a full packet on the link.
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

    /// Inner TCP payload per byte that Ethernet spends on a full packet, preamble and gap included.
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

/// How many fragments a packet of `total_len` bytes with a header of `header_len` bytes becomes at
/// `mtu` (X-01, X-03; RFC 791 §3.2).
///
/// `None` if not even 8 bytes of data fit behind the header. Options are counted in every fragment,
/// as if all of them were copied.
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
    // Every fragment but the last carries a multiple of 8 bytes; the last may use all of the room.
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
