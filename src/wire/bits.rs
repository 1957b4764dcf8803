//! Header fields that share a byte or a word with others.

use core::fmt;

/// The explicit congestion notification field: the low two bits of the former type-of-service byte (RFC
/// 3168 §5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_enums, reason = "two bits have four values")]
#[repr(u8)]
pub enum Ecn {
    /// 00: the transport is not ECN-capable.
    #[default]
    NotEct = 0b00,
    /// 01: ECN-capable transport, ECT(1).
    Ect1 = 0b01,
    /// 10: ECN-capable transport, ECT(0).
    Ect0 = 0b10,
    /// 11: congestion experienced.
    Ce = 0b11,
}

/// The severity of an unexpected pair of inner and outer ECN fields at a decapsulator (RFC 6040 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum EcnAlarm {
    /// Marked `!` in RFC 6040, figure 4: potentially dangerous.
    Possible,
    /// Marked `!!!` in RFC 6040, figure 4: currently unused, and potentially dangerous.
    Dangerous,
}

impl Ecn {
    /// All four values, in ascending order.
    pub const ALL: [Self; 4] = [Self::NotEct, Self::Ect1, Self::Ect0, Self::Ce];

    /// The field in the low two bits of a type-of-service byte; the other bits are ignored.
    #[inline]
    #[must_use]
    pub const fn from_bits_truncated(tos: u8) -> Self {
        match tos & 0b11 {
            0b00 => Self::NotEct,
            0b01 => Self::Ect1,
            0b10 => Self::Ect0,
            _ => Self::Ce,
        }
    }

    /// The two bits of the field.
    #[inline]
    #[must_use]
    pub const fn bits(self) -> u8 {
        match self {
            Self::NotEct => 0b00,
            Self::Ect1 => 0b01,
            Self::Ect0 => 0b10,
            Self::Ce => 0b11,
        }
    }

    /// The inner field after decapsulation, or `None` if the packet must be dropped (RFC 6040 §4.2,
    /// figure 4).
    ///
    /// | inner \ outer | Not-ECT | ECT(0) | ECT(1) | CE |
    /// |---|---|---|---|---|
    /// | Not-ECT | Not-ECT | Not-ECT | Not-ECT | drop |
    /// | ECT(0) | ECT(0) | ECT(0) | ECT(1) | CE |
    /// | ECT(1) | ECT(1) | ECT(1) | ECT(1) | CE |
    /// | CE | CE | CE | CE | CE |
    ///
    /// ```
    /// use ipencap::wire::Ecn;
    /// assert_eq!(Ecn::Ect0.decapsulated(Ecn::Ce), Some(Ecn::Ce));
    /// assert_eq!(Ecn::NotEct.decapsulated(Ecn::Ce), None);
    /// ```
    #[inline]
    #[must_use]
    pub const fn decapsulated(self, outer: Self) -> Option<Self> {
        match (self, outer) {
            (Self::NotEct, Self::Ce) => None,
            (_, Self::Ce) | (Self::Ect0, Self::Ect1) => Some(outer),
            _ => Some(self),
        }
    }

    /// [`decapsulated`](Self::decapsulated) and [`alarm`](Self::alarm), from a table.
    #[inline]
    pub(crate) fn decapsulation(self, outer: Self) -> (Option<Self>, Option<EcnAlarm>) {
        const fn pair(inner: Ecn, outer: Ecn) -> (Option<Ecn>, Option<EcnAlarm>) {
            (inner.decapsulated(outer), inner.alarm(outer))
        }
        const fn row(inner: Ecn) -> [(Option<Ecn>, Option<EcnAlarm>); 4] {
            let [not_ect, ect1, ect0, ce] = Ecn::ALL;
            [
                pair(inner, not_ect),
                pair(inner, ect1),
                pair(inner, ect0),
                pair(inner, ce),
            ]
        }
        const TABLE: [[(Option<Ecn>, Option<EcnAlarm>); 4]; 4] = {
            let [not_ect, ect1, ect0, ce] = Ecn::ALL;
            [row(not_ect), row(ect1), row(ect0), row(ce)]
        };
        let row = TABLE.get(usize::from(self.bits()));
        let pair = row.and_then(|row| row.get(usize::from(outer.bits())));
        pair.copied().unwrap_or_default()
    }

    /// The alarm for this inner field below `outer`. Five of the sixteen pairs have one (RFC 6040 §4.2).
    #[inline]
    #[must_use]
    pub const fn alarm(self, outer: Self) -> Option<EcnAlarm> {
        match (self, outer) {
            (Self::NotEct, Self::Ect0 | Self::Ect1 | Self::Ce) | (Self::Ce, Self::Ect1) => {
                Some(EcnAlarm::Dangerous)
            }
            (Self::Ect1, Self::Ect0) => Some(EcnAlarm::Possible),
            _ => None,
        }
    }
}

impl fmt::Display for Ecn {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotEct => "Not-ECT",
            Self::Ect1 => "ECT(1)",
            Self::Ect0 => "ECT(0)",
            Self::Ce => "CE",
        })
    }
}

/// A differentiated services code point (DSCP): the high six bits of the former type-of-service byte (RFC
/// 2474 §3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Dscp(u8);

impl Dscp {
    /// Default forwarding, 0.
    pub const DEFAULT: Self = Self(0);
    /// Assured forwarding class 1, low drop precedence (RFC 2597).
    pub const AF11: Self = Self(10);
    /// Expedited forwarding (RFC 3246).
    pub const EF: Self = Self(46);
    /// Class selector 6, network control (RFC 2474 §4.2.2).
    pub const CS6: Self = Self(48);

    /// The code point with this value. `None` if it exceeds 63.
    #[inline]
    #[must_use]
    pub const fn new(value: u8) -> Option<Self> {
        if value < 64 { Some(Self(value)) } else { None }
    }

    /// The code point in the high six bits of a type-of-service byte; the other bits are ignored.
    #[inline]
    #[must_use]
    pub const fn from_tos(tos: u8) -> Self {
        Self(tos >> 2)
    }

    /// The value, 0 to 63.
    #[inline]
    #[must_use]
    pub const fn value(self) -> u8 {
        self.0
    }

    /// The type-of-service byte with this code point and `ecn`.
    #[inline]
    #[must_use]
    pub const fn with_ecn(self, ecn: Ecn) -> u8 {
        self.0 << 2 | ecn.bits()
    }
}

impl fmt::Display for Dscp {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

bitflags::bitflags! {
    /// The three flags of an IPv4 header, as bits of the 16-bit word that also contains the fragment offset
    /// (RFC 791 §3.1).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Ipv4Flags: u16 {
        /// The reserved flag. It is ignored and left unchanged (RFC 1812 §4.2.2.3).
        const RESERVED = 0x8000;
        /// Don't fragment.
        const DF = 0x4000;
        /// More fragments follow.
        const MF = 0x2000;
    }
}

bitflags::bitflags! {
    /// The flags of a TCP header, as bits of the 16-bit word that also contains the data offset (RFC 9293
    /// §3.1, RFC 3168 §6.1).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct TcpFlags: u16 {
        /// No more data from the sender.
        const FIN = 0x001;
        /// Synchronize sequence numbers.
        const SYN = 0x002;
        /// Reset the connection.
        const RST = 0x004;
        /// Push function.
        const PSH = 0x008;
        /// The acknowledgment field is valid.
        const ACK = 0x010;
        /// The urgent pointer is valid.
        const URG = 0x020;
        /// ECN echo.
        const ECE = 0x040;
        /// Congestion window reduced.
        const CWR = 0x080;
        /// Accurate ECN (formerly the nonce sum).
        const AE = 0x100;
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Ipv4Flags {
    #[inline]
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{=u16:x}", self.bits());
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for TcpFlags {
    #[inline]
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{=u16:x}", self.bits());
    }
}

/// The position of a fragment's data in the original datagram (RFC 791 §3.1).
///
/// The header field counts units of 8 bytes. This type converts between units and bytes.
///
/// ```
/// use ipencap::wire::FragmentOffset;
/// let offset = FragmentOffset::from_bytes(1480).unwrap();
/// assert_eq!(offset.units(), 185);
/// assert_eq!(FragmentOffset::from_bytes(1481), None);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FragmentOffset(u16);

impl FragmentOffset {
    /// The start of the datagram.
    pub const ZERO: Self = Self(0);
    /// The largest offset: 8191 units, 65528 bytes.
    pub const MAX: Self = Self(0x1fff);

    /// The offset in 8-byte units. `None` above 8191.
    #[inline]
    #[must_use]
    pub const fn from_units(units: u16) -> Option<Self> {
        if units <= Self::MAX.0 {
            Some(Self(units))
        } else {
            None
        }
    }

    /// The offset in bytes. `None` unless it is a multiple of 8.
    #[inline]
    #[must_use]
    pub const fn from_bytes(bytes: u16) -> Option<Self> {
        if bytes.trailing_zeros() >= 3 {
            Some(Self(bytes >> 3))
        } else {
            None
        }
    }

    /// The offset in the low 13 bits of a word; the flags in the other bits are ignored.
    #[inline]
    #[must_use]
    pub const fn from_bits_truncated(word: u16) -> Self {
        Self(word & Self::MAX.0)
    }

    /// The offset in 8-byte units, the value of the header field.
    #[inline]
    #[must_use]
    pub const fn units(self) -> u16 {
        self.0
    }

    /// The offset in bytes.
    #[inline]
    #[must_use]
    pub const fn bytes(self) -> u16 {
        self.0 << 3
    }
}
