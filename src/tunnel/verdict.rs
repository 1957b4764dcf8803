//! What an endpoint says of a packet. All are small values that borrow nothing.

use super::cause::Cause;
use super::peers::PeerId;
use crate::decap::Opened;
use crate::fragment::{Plan, SlotId};
use crate::icmp::IcmpError;
use crate::mss::Patch;
use crate::packet::{PerPacket, Span};

/// What to do with a packet from the inner side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
#[allow(
    clippy::large_enum_variant,
    reason = "without an allocator there is nowhere else to keep it"
)]
pub enum Outbound {
    /// Wrap it and send it to the peer.
    Send {
        /// Where it goes.
        peer: PeerId,
        /// What to wrap it with: the tunnel takes it.
        per_packet: PerPacket,
        /// Apply it to the packet first: the MSS option of a SYN segment.
        clamp: Option<Patch>,
        /// An ICMP error to send to the inner side as well: a router has reported that the peer cannot be reached,
        /// but quoted too little to tell the source of the packet that it dropped (RFC 2003 §5). Pass the inner
        /// packet to [`IcmpError::write`]: it is still at its place after [`send`](super::Endpoint::send), but
        /// minimal encapsulation overwrites its header, so copy the first 548 bytes before you call `send`.
        notice: Option<IcmpError>,
    },
    /// Split it, wrap each fragment and send them to the peer.
    Split {
        /// Where they go.
        peer: PeerId,
        /// How to split it.
        plan: Plan,
        /// What to wrap the first fragment with. For each of the others ask
        /// [`Endpoint::next_fragment`](super::Endpoint::next_fragment).
        per_packet: PerPacket,
        /// As for `Send`.
        clamp: Option<Patch>,
    },
    /// Do not send it. Send this to the inner side: it goes to the packet's source.
    Answer {
        /// The peer to which it would have gone.
        peer: Option<PeerId>,
        /// The ICMP error. [`IcmpError::write`] takes the packet for what it quotes.
        error: IcmpError,
        /// Why.
        cause: Cause,
    },
    /// Drop it.
    Drop {
        /// The peer to which it would have gone.
        peer: Option<PeerId>,
        /// Why.
        cause: Cause,
    },
}

impl Outbound {
    /// Drop it.
    // As a function: a constant is copied in one piece, padding included.
    #[inline(always)]
    pub(super) const fn drop(peer: Option<PeerId>, cause: Cause) -> Self {
        Self::Drop { peer, cause }
    }
}

/// What to do with a packet from the network.
///
/// What is to be applied was applied already if the verdict is from [`receive`](super::Endpoint::receive) or
/// [`receive_payload`](super::Endpoint::receive_payload), also to the datagram of [`Whole`](Self::Whole). If it is
/// from [`inbound`](super::Endpoint::inbound) or [`inbound_payload`](super::Endpoint::inbound_payload), which write
/// nothing, it is for the caller to apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
#[allow(
    clippy::large_enum_variant,
    reason = "without an allocator there is nowhere else to keep it"
)]
pub enum Inbound {
    /// Deliver what is inside to the inner side.
    Deliver {
        /// Who sent it.
        peer: PeerId,
        /// Where it lies. After `inbound`, apply it to the packet first.
        opened: Opened,
        /// After `inbound`, apply this to the inner packet then: the MSS option of a SYN segment.
        clamp: Option<Patch>,
    },
    /// It is a fragment, kept until the others have come.
    Held,
    /// It was the last fragment of a datagram: deliver what is inside of that.
    Whole {
        /// Where the datagram is: [`Endpoint::datagram`](super::Endpoint::datagram).
        slot: SlotId,
        /// Who sent it.
        peer: PeerId,
        /// Where the inner packet lies in the datagram. After `inbound`, apply it to the datagram first.
        opened: Opened,
        /// As for `Deliver`.
        clamp: Option<Patch>,
    },
    /// It was an ICMP error about a packet of ours. What is known of the path may have changed: compare the
    /// `inner_mtu` with the one before. It is the same if a router says with a short quote that the host cannot be
    /// reached (the source of the next packet is told then), or if nothing new was said.
    Learnt {
        /// Whose path it is.
        peer: PeerId,
        /// The longest inner packet that the path carries now, in bytes.
        inner_mtu: u16,
    },
    /// It was an ICMP error about a packet of ours. Send this to the inner side: it goes to the source of the
    /// packet inside.
    Relay {
        /// Whose path it is.
        peer: PeerId,
        /// The ICMP error. [`IcmpError::write`] takes the bytes at `quoted`.
        error: IcmpError,
        /// Where the packet from the network quotes the inner packet.
        quoted: Span,
        /// The longest inner packet that the path carries now, in bytes.
        inner_mtu: u16,
    },
    /// It is not for a tunnel, but for this host.
    HostsOwn,
    /// It was an ICMP error without effect.
    Ignored {
        /// Whose path it was about.
        peer: Option<PeerId>,
        /// Why.
        cause: Cause,
    },
    /// Drop it, and answer nothing.
    Drop {
        /// Who sent it.
        peer: Option<PeerId>,
        /// Why.
        cause: Cause,
    },
}

/// A change that time has brought, as [`Endpoint::expire`](super::Endpoint::expire) reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Change {
    /// The longest inner packet that the path carries has changed.
    InnerMtu {
        /// Whose path it is.
        peer: PeerId,
        /// The new inner MTU, in bytes.
        inner_mtu: u16,
    },
    /// Nothing has gone to the peer for as long as its policy says.
    ///
    /// What to send depends on who is to notice:
    ///
    /// - **An address translator** on the way: any datagram from the tunnel's socket to the peer, usually one byte
    ///   0xff (RFC 3948 §4). The peer's endpoint drops it as `InnerTruncated` (an empty one too), unless its
    ///   program takes such datagrams out first. For the peer it is no sign of life.
    /// - **The peer**, which watches [`PeerPolicy::silence`](super::PeerPolicy::silence): a packet that it delivers,
    ///   such as a ping to an inner address of its own, through [`Endpoint::send`](super::Endpoint::send). It also
    ///   keeps the translator's mapping.
    KeepaliveDue {
        /// The peer.
        peer: PeerId,
    },
    /// Nothing has come from the peer for as long as its policy says:
    /// [`PeerPolicy::silence`](super::PeerPolicy::silence) tells what counts. It is told once. No change tells that
    /// the peer is heard again; [`Endpoint::is_silent`](super::Endpoint::is_silent) is false then.
    ///
    /// [`Cause::Silent`] is something else: an ICMP error that must not be sent.
    Silent {
        /// The peer.
        peer: PeerId,
    },
}
