//! What an IPv4 address may be: unicast, class E, or within a prefix.

use core::fmt;
use core::net::Ipv4Addr;
use core::str::FromStr;

use crate::error::{ConfigError, PrefixError};

/// An IPv4 prefix: an address without host bits and a length of 0 to 32.
///
/// ```
/// use ipencap::{error::PrefixError, wire::Prefix};
///
/// let branch: Prefix = "10.1.0.0/16".parse().unwrap();
/// assert_eq!((branch.network().octets(), branch.len()), ([10, 1, 0, 0], 16));
/// assert_eq!(branch.to_string(), "10.1.0.0/16");
/// assert_eq!("10.1.0.5/16".parse::<Prefix>(), Err(PrefixError::HostBits));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Prefix {
    network: u32,
    mask: u32,
}

#[cfg(feature = "defmt")]
impl defmt::Format for Prefix {
    #[inline]
    fn format(&self, formatter: defmt::Formatter<'_>) {
        let network = Ipv4Addr::from_bits(self.network);
        defmt::write!(formatter, "{}/{=u32}", network, self.mask.leading_ones());
    }
}

impl Prefix {
    /// `0.0.0.0/0`: every address. As a list of inner sources it is an explicit choice to let the
    /// peer spoof any of them.
    pub const ANY: Self = Self {
        network: 0,
        mask: 0,
    };

    /// The prefix `address/len`.
    ///
    /// # Errors
    /// [`ConfigError::BadPrefix`] for a length above 32 or an address with bits behind the prefix.
    #[inline]
    pub const fn new(address: Ipv4Addr, len: u8) -> Result<Self, ConfigError> {
        let mask = match len {
            0 => 0,
            1..=32 => u32::MAX << (32u8.wrapping_sub(len) & 31),
            _ => return Err(ConfigError::BadPrefix),
        };
        let network = address.to_bits();
        if network & !mask == 0 {
            Ok(Self { network, mask })
        } else {
            Err(ConfigError::BadPrefix)
        }
    }

    /// The prefix of one address, `address/32`.
    #[inline]
    #[must_use]
    pub const fn host(address: Ipv4Addr) -> Self {
        Self {
            network: address.to_bits(),
            mask: u32::MAX,
        }
    }

    /// Whether `address` lies in it.
    #[inline]
    #[must_use]
    pub const fn contains(self, address: Ipv4Addr) -> bool {
        address.to_bits() & self.mask == self.network
    }

    /// The address without host bits.
    #[inline]
    #[must_use]
    pub const fn network(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.network)
    }

    /// Its length, 0 to 32 bits.
    #[inline]
    #[must_use]
    #[allow(
        clippy::len_without_is_empty,
        reason = "a number of bits, not of items"
    )]
    pub const fn len(self) -> u8 {
        let [.., len] = self.mask.leading_ones().to_be_bytes();
        len
    }
}

/// As `10.1.0.0/16`.
impl fmt::Display for Prefix {
    #[inline]
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d] = self.network().octets();
        write!(formatter, "{a}.{b}.{c}.{d}/{}", self.len())
    }
}

/// Reads `10.1.0.0/16`, and nothing else.
impl FromStr for Prefix {
    type Err = PrefixError;

    #[inline]
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, len) = text.split_once('/').ok_or(PrefixError::NoLength)?;
        let address = address.parse().map_err(|_| PrefixError::BadAddress)?;
        // `parse` would also take a sign and leading zeros.
        let is_number = matches!(len.as_bytes(), [b'0'..=b'9'] | [b'1'..=b'9', b'0'..=b'9']);
        let len = len.parse().ok().filter(|len| is_number && *len <= 32);
        let len = len.ok_or(PrefixError::BadLength)?;
        Self::new(address, len).map_err(|_| PrefixError::HostBits)
    }
}

/// Whether `address` can be a sender's or receiver's own on this network: not 0/8, 127/8,
/// multicast, class E or broadcast (RFC 1122 §3.2.1.3, RFC 1812 §5.3.7).
#[inline]
#[must_use]
pub const fn is_unicast(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    // Not 0, and not from 224 on.
    first.wrapping_sub(1) < 223 && first != 127
}

/// Whether `address` is in 240/4, other than the limited broadcast (RFC 1112 §4).
#[inline]
#[must_use]
pub const fn is_class_e(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    first >= 240 && !address.is_broadcast()
}
