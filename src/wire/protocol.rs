use core::fmt;

/// The protocol field of an IPv4 header. All 256 values are allowed (IANA, Assigned Internet Protocol
/// Numbers).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct IpProtocol(pub u8);

impl IpProtocol {
    /// ICMP for IPv4 (RFC 792).
    pub const ICMP: Self = Self(1);
    /// IPv4 encapsulation: IP-in-IP (RFC 2003).
    ///
    /// IANA's keyword is `IPv4`. IANA's `IPIP`, number 94, is a different, obsolete protocol.
    #[doc(alias = "ipip")]
    #[doc(alias = "IPIP")]
    #[doc(alias = "IPv4")]
    #[doc(alias = "proto 4")]
    pub const IPENCAP: Self = Self(4);
    /// TCP (RFC 9293).
    pub const TCP: Self = Self(6);
    /// UDP (RFC 768).
    pub const UDP: Self = Self(17);
    /// IPv6 encapsulation: 6in4 (RFC 4213).
    pub const IPV6: Self = Self(41);
    /// Generic routing encapsulation (RFC 2784).
    pub const GRE: Self = Self(47);
    /// Minimal encapsulation (RFC 2004).
    pub const MINIMAL: Self = Self(55);
    /// MPLS in IP (RFC 4023).
    pub const MPLS: Self = Self(137);

    /// Whether the payload is another packet: IPv4, IPv6, GRE, minimal encapsulation or MPLS.
    #[inline]
    #[must_use]
    pub const fn is_tunnel(self) -> bool {
        matches!(
            self,
            Self::IPENCAP | Self::IPV6 | Self::GRE | Self::MINIMAL | Self::MPLS
        )
    }
}

impl fmt::Display for IpProtocol {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ICMP => f.write_str("ICMP"),
            Self::IPENCAP => f.write_str("IP-in-IP"),
            Self::TCP => f.write_str("TCP"),
            Self::UDP => f.write_str("UDP"),
            Self::IPV6 => f.write_str("IPv6"),
            Self::GRE => f.write_str("GRE"),
            Self::MINIMAL => f.write_str("minimal encapsulation"),
            Self::MPLS => f.write_str("MPLS"),
            Self(number) => write!(f, "protocol {number}"),
        }
    }
}
