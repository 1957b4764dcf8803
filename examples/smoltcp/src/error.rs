use core::fmt;

/// Why a device cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SetUpError {
    /// There is no buffer for one of the directions.
    NoBuffers,
    /// The buffers leave less than 68 bytes behind the headers of the tunnels, the least MTU of IPv4 (RFC 791 §3.2).
    ShortBuffers,
    /// The endpoint has no peer, so nothing says how long packets may be.
    NoPeer,
    /// The device below does not send and receive bare IP packets ([`Medium::Ip`](smoltcp::phy::Medium::Ip)). On
    /// Ethernet, a stack of its own has to find out hardware addresses: see the
    /// [crate's](crate#an-ethernet-board) documentation.
    NotIp,
}

impl fmt::Display for SetUpError {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoBuffers => "a device needs a buffer for each direction",
            Self::ShortBuffers => "the buffers leave less than 68 bytes behind the tunnel's headers; make them longer",
            Self::NoPeer => "add a peer to the endpoint first",
            Self::NotIp => "the device below must be of Medium::Ip; on Ethernet carry the packets by sockets of an outer stack",
        })
    }
}

impl core::error::Error for SetUpError {}
