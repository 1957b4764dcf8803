use ipencap::Span;
use ipencap::encap::{Encapsulate, PerPacket, encap};
use ipencap::error::{EncapError, ParseError};

use crate::{Choice, Tables};

/// A balancer in user space: from a packet to the outer packet for its backend.
///
/// All memory is the caller's.
#[derive(Debug)]
#[allow(clippy::exhaustive_structs, reason = "built by the caller")]
pub struct Balancer<'a, T> {
    /// What tells the backend.
    pub tables: Tables<'a>,
    /// The way to each backend, by its number.
    pub tunnels: &'a [T],
    /// What each backend was sent, by its number.
    pub counts: &'a mut [Count],
}

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
        let place = usize::from(backend);
        let (Some(tunnel), Some(count)) = (self.tunnels.get(place), self.counts.get_mut(place))
        else {
            return Outcome::NoBackend;
        };
        // This validates the packet.
        let per_packet = PerPacket::new().with_flow_hash(hash);
        match encap(tunnel, buffer, packet, &per_packet) {
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
