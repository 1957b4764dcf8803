//! The Ethernet header.

/// Its length without tags, in bytes.
pub const ETHERNET: usize = 14;

/// An Ethernet header in words: an array of 14 bytes would be kept on the stack at an odd place, where the verifier
/// allows no words.
#[derive(Clone, Copy, Debug)]
pub struct Ethernet {
    first: u64,
    second: u32,
    kind: u16,
}

impl Ethernet {
    /// The header at the start of a frame, of which `head` is what was checked.
    #[inline(always)]
    pub fn read<const HEADERS: usize>(head: &[u8; HEADERS]) -> Self {
        Self {
            first: u64::from_ne_bytes(octets(head, 0)),
            second: u32::from_ne_bytes(octets(head, 8)),
            kind: u16::from_ne_bytes(octets(head, 12)),
        }
    }

    /// The header of an IPv4 packet between these addresses.
    #[inline(always)]
    pub fn ipv4(destination: [u8; 6], source: [u8; 6]) -> Self {
        let ([a, b, c, d, e, f], [g, h, i, j, k, l]) = (destination, source);
        Self {
            first: u64::from_ne_bytes([a, b, c, d, e, f, g, h]),
            second: u32::from_ne_bytes([i, j, k, l]),
            kind: u16::to_be(0x0800),
        }
    }

    /// The header of an answer.
    #[inline(always)]
    pub fn reversed(self) -> Self {
        let [a, b, c, d, e, f, g, h] = self.first.to_ne_bytes();
        let [i, j, k, l] = self.second.to_ne_bytes();
        Self {
            kind: self.kind,
            ..Self::ipv4([g, h, i, j, k, l], [a, b, c, d, e, f])
        }
    }

    /// Whether the frame goes to this address: six bytes, and two zeros.
    #[inline(always)]
    pub fn is_to(self, own: [u8; 8]) -> bool {
        // What is shifted out is the start of the source.
        u64::from_le(self.first) << 16 == u64::from_le_bytes(own) << 16
    }

    /// Whether an IPv4 packet follows.
    #[inline(always)]
    pub fn is_ipv4(self) -> bool {
        self.kind == u16::to_be(0x0800)
    }

    /// Writes it.
    #[inline(always)]
    pub fn write(self, place: &mut [u8; ETHERNET]) {
        let [a, b, c, d, e, f, g, h] = self.first.to_ne_bytes();
        let [i, j, k, l] = self.second.to_ne_bytes();
        let [m, n] = self.kind.to_ne_bytes();
        *place = [a, b, c, d, e, f, g, h, i, j, k, l, m, n];
    }
}

/// `N` bytes of the headers; the place is a constant wherever this is called.
#[inline(always)]
pub fn octets<const N: usize, const HEADERS: usize>(head: &[u8; HEADERS], place: usize) -> [u8; N] {
    core::array::from_fn(|i| head[place + i])
}
