/// The 16-bit length in front of a packet on a byte stream (S-10, S-11): big-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_enums, reason = "a length counts itself or not")]
pub enum LengthPrefix {
    /// The length of the packet (OpenVPN, RFC 4571 §2).
    Exclusive,
    /// The length of the packet and of the prefix itself (RFC 9329 §3).
    Inclusive,
}

impl LengthPrefix {
    /// Its own length, in bytes.
    pub const LEN: usize = 2;

    /// The prefix of a packet of `len` bytes, `None` if 16 bits cannot say it: above 65533 where it
    /// counts itself (S-12).
    #[inline]
    #[must_use]
    pub const fn of(self, len: u16) -> Option<[u8; Self::LEN]> {
        let value = match self {
            Self::Exclusive => Some(len),
            Self::Inclusive => len.checked_add(2),
        };
        match value {
            Some(value) => Some(value.to_be_bytes()),
            None => None,
        }
    }

    /// The length of the packet behind this prefix, in bytes, `None` if it counts less than itself.
    #[inline]
    #[must_use]
    pub const fn packet_len(self, prefix: [u8; Self::LEN]) -> Option<u16> {
        let value = u16::from_be_bytes(prefix);
        match self {
            Self::Exclusive => Some(value),
            Self::Inclusive => value.checked_sub(2),
        }
    }
}
