use ipencap::Span;
use ipencap::encap::{Encapsulate, PerPacket, Tunnel, encap};
use ipencap::error::{EncapError, ParseError};
use ipencap::shim::IpIp;

use crate::{Choice, Tables};

/// A balancer in user space: from a packet to the outer packet for its backend.
///
/// All memory is the caller's.
#[derive(Debug)]
#[allow(clippy::exhaustive_structs, reason = "built by the caller")]
pub struct Balancer<'a, T> {
    /// What tells the backend.
    pub tables: Tables<'a>,
    /// The backends, by their numbers.
    pub backends: &'a mut [Backend<T>],
}

/// A backend. Tunnel and counters lie beside each other: with an IP-in-IP tunnel they are one line of a cache, of
/// which a packet then needs one and not three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "built by the caller")]
#[repr(C, align(64))]
pub struct Backend<T> {
    /// The way to it.
    pub tunnel: T,
    /// What it was sent.
    pub count: Count,
}

impl<T> Backend<T> {
    /// A backend that was sent nothing yet.
    #[inline]
    #[must_use]
    pub const fn new(tunnel: T) -> Self {
        let count = Count {
            packets: 0,
            bytes: 0,
        };
        Self { tunnel, count }
    }
}

const _: () = assert!(size_of::<Backend<Tunnel<IpIp>>>() == 64);

/// What a backend was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "two numbers")]
#[repr(C)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Their bytes, without the outer headers.
    pub bytes: u64,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// Send what is at this span of the buffer.
    Send {
        /// The number of the backend.
        backend: u16,
        /// The outer packet.
        outer: Span,
    },
    /// The packet goes to no VIP. It is as it was: leave it to the system.
    NotAVip,
    /// No backend is active.
    NoBackend,
    /// The packet does not fit the tunnel: answer it with an ICMP error, or split it if it has no DF flag
    /// ([`ipencap::fragment::plan`]) and wrap all fragments for the same backend.
    TooLong {
        /// The number of the backend.
        backend: u16,
        /// The longest packet that fits, in bytes.
        mtu: u16,
    },
    /// The tunnel refuses the packet for another reason.
    Refused(EncapError),
    /// The packet is not valid.
    Invalid(ParseError),
}

impl<T: Encapsulate> Balancer<'_, T> {
    /// Chooses the backend of the packet at `packet` in `buffer`, and wraps it in place. Unless it is to be sent, the
    /// buffer is as it was.
    #[inline(always)]
    pub fn forward(&mut self, buffer: &mut [u8], packet: Span) -> Outcome {
        let chosen = self.tables.choose(packet.get(buffer).unwrap_or_default());
        let (backend, hash) = match chosen {
            Ok((Choice::Backend(backend), hash)) => (backend, hash),
            Ok((Choice::NoBackend, _)) => return Outcome::NoBackend,
            Ok((Choice::NotAVip, _)) => return Outcome::NotAVip,
            Err(error) => return Outcome::Invalid(error),
        };
        let Some(Backend { tunnel, count }) = self.backends.get_mut(usize::from(backend)) else {
            return Outcome::NoBackend;
        };
        // This validates the packet.
        let per_packet = PerPacket::new().with_flow_hash(hash);
        match encap(&*tunnel, buffer, packet, &per_packet) {
            Ok(outer) => {
                let len = outer.len();
                let inner_len = len.wrapping_sub(tunnel.overhead());
                count.packets = count.packets.wrapping_add(1);
                let bytes = u64::try_from(inner_len).unwrap_or_default();
                count.bytes = count.bytes.wrapping_add(bytes);
                let start = packet.start.wrapping_sub(tunnel.overhead());
                Outcome::Send {
                    backend,
                    outer: Span::new(start, len),
                }
            }
            Err(EncapError::FragmentationNeeded { mtu }) => Outcome::TooLong { backend, mtu },
            Err(EncapError::Inner { error }) => Outcome::Invalid(error),
            Err(error) => Outcome::Refused(error),
        }
    }
}
