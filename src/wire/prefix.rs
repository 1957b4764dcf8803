/// The 16-bit big-endian length in front of a packet on a byte stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(
    clippy::exhaustive_enums,
    reason = "the length includes the prefix or not"
)]
pub enum LengthPrefix {
    /// The length of the packet (OpenVPN, RFC 4571 §2).
    Exclusive,
    /// The length of the packet and the prefix (RFC 9329 §3).
    Inclusive,
}

impl LengthPrefix {
    /// The length of the prefix, in bytes.
    pub const LEN: usize = 2;

    /// The prefix of a packet of `len` bytes. `None` if the value exceeds 16 bits, which happens above
    /// 65533 bytes for [`Inclusive`](Self::Inclusive).
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

    /// The length of the packet behind this prefix, in bytes. `None` if the value is less than the length
    /// of the prefix, which it includes.
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
