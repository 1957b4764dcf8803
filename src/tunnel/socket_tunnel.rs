//! Tunnels over the host's sockets: the host writes and reads the outermost headers.

use super::peer_tunnel::{PeerTunnel, TwoWay};
use super::stack::{Around, inspect_inside};
use crate::decap::{Access, InnerPolicy, Opened, OuterMeta, Receiver};
use crate::encap::{AnyTunnel, Encapsulate, Tunnel};
use crate::error::{EncapError, Reason, Refused};
use crate::packet::{Facts, Packet, PerPacket, Rules, Span};
use crate::shim::{InUdp, Shim, SocketShim, Tcp, Udp};

/// A [`PeerTunnel`] over a socket of the host, which writes and reads the outermost IPv4 and UDP header; or
/// over a connection, whose stream the caller splits into frames ([`stream`](crate::stream)). What is given and
/// taken then is a frame: with the length in front, if the [`Tcp`] has one.
pub trait SocketTunnel: PeerTunnel {
    /// The free bytes that a packet needs in front of it: what the socket is given before the packet. `None`
    /// if no socket takes the tunnel's packets: a kind without UDP or TCP that was chosen at run time.
    fn payload_overhead(&self) -> Option<usize>;

    /// Wraps the packet in place into what the socket sends. Returns the facts of the outer packet, as the
    /// host should write its headers.
    ///
    /// # Errors
    /// Any [`EncapError`]; nothing has changed then.
    fn wrap_payload(
        &self,
        packet: &mut Packet<'_>,
        per_packet: &PerPacket,
    ) -> Result<Facts, EncapError>;

    /// Opens what the socket has received from the peer.
    ///
    /// # Errors
    /// [`Refused`], by the first check that fails.
    fn inspect_payload<A: Access>(
        &self,
        access: A,
        policy: InnerPolicy,
        received: Received<'_>,
    ) -> Result<Opened, Refused>;
}

/// What a socket has received, and whether another layer will open what comes out of it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Received<'a> {
    /// Who sent it, and where to.
    pub meta: &'a OuterMeta,
    /// The datagram's payload.
    pub payload: &'a [u8],
    /// Whether another layer opens what comes out.
    pub expects_tunnel: bool,
}

impl<'a> Received<'a> {
    /// A datagram with one layer.
    #[inline]
    #[must_use]
    pub const fn new(meta: &'a OuterMeta, payload: &'a [u8]) -> Self {
        Self {
            meta,
            payload,
            expects_tunnel: false,
        }
    }
}

/// The outermost IPv4 and UDP header, which the host writes.
const HOST_HEADERS: usize = 28;

/// Where a packet begins with `room` bytes in front of it.
fn start_with(packet: &Packet<'_>, room: usize) -> Result<usize, EncapError> {
    let have = packet.headroom();
    have.checked_sub(room).ok_or(EncapError::NoHeadroom {
        need: u16::try_from(room).unwrap_or(u16::MAX),
        have: u16::try_from(have).unwrap_or(u16::MAX),
    })
}

impl<I: InUdp> SocketTunnel for Tunnel<Udp<I>> {
    #[inline]
    fn payload_overhead(&self) -> Option<usize> {
        Some(Self::payload_overhead(self))
    }

    #[inline]
    fn wrap_payload(
        &self,
        packet: &mut Packet<'_>,
        per_packet: &PerPacket,
    ) -> Result<Facts, EncapError> {
        let room = Self::payload_overhead(self);
        let start = start_with(packet, room)?;
        let (buffer, span) = packet.parts_mut();
        let frame = Span::new(start, span.len.saturating_add(room));
        let frame = frame.get_mut(buffer).unwrap_or_default();
        let outer = self.encap_payload(frame, per_packet)?;
        // Bytes behind the inner packet are no part of the datagram.
        let len = outer.len_with(0).saturating_sub(HOST_HEADERS);
        packet.set_span(Span::new(start, len));
        Ok(outer)
    }

    #[inline]
    fn inspect_payload<A: Access>(
        &self,
        access: A,
        policy: InnerPolicy,
        received: Received<'_>,
    ) -> Result<Opened, Refused> {
        inspect_layer(self.shim(), access, policy, received)
    }
}

fn inspect_layer<S: SocketShim, A: Access>(
    shim: S,
    access: A,
    policy: InnerPolicy,
    received: Received<'_>,
) -> Result<Opened, Refused> {
    Receiver::new(shim, access)
        .with_inner_policy(policy)
        .inspect_layer(received.meta, received.payload, received.expects_tunnel)
}

impl SocketTunnel for Tunnel<Tcp> {
    #[inline]
    fn payload_overhead(&self) -> Option<usize> {
        Some(self.shim().prefix_len())
    }

    #[inline]
    fn wrap_payload(
        &self,
        packet: &mut Packet<'_>,
        per_packet: &PerPacket,
    ) -> Result<Facts, EncapError> {
        let facts = Facts::read(packet.as_slice())?;
        let outer = self.check(&facts, per_packet, Rules::Explained)?;
        let room = self.shim().prefix_len();
        let start = start_with(packet, room)?;
        let len = facts.len_with(0);
        packet.set_span(Span::new(packet.span().start, len));
        self.forward(packet.as_mut_slice());
        packet.set_span(Span::new(start, len.saturating_add(room)));
        let packet_len = u16::try_from(len).unwrap_or(u16::MAX);
        self.shim().write_prefix(packet.as_mut_slice(), packet_len);
        Ok(outer)
    }

    #[inline]
    fn inspect_payload<A: Access>(
        &self,
        access: A,
        policy: InnerPolicy,
        received: Received<'_>,
    ) -> Result<Opened, Refused> {
        inspect_layer(self.shim(), access, policy, received)
    }
}

impl<S: Shim, R: SocketShim> SocketTunnel for TwoWay<S, R>
where
    Tunnel<S>: SocketTunnel,
{
    #[inline]
    fn payload_overhead(&self) -> Option<usize> {
        SocketTunnel::payload_overhead(self.sending())
    }

    #[inline]
    fn wrap_payload(
        &self,
        packet: &mut Packet<'_>,
        per_packet: &PerPacket,
    ) -> Result<Facts, EncapError> {
        self.sending().wrap_payload(packet, per_packet)
    }

    #[inline]
    fn inspect_payload<A: Access>(
        &self,
        access: A,
        policy: InnerPolicy,
        received: Received<'_>,
    ) -> Result<Opened, Refused> {
        inspect_layer(self.receiving(), access, policy, received)
    }
}

/// The kinds over UDP and TCP. The others have no payload form: nothing goes in and nothing comes out.
impl SocketTunnel for AnyTunnel {
    #[inline]
    fn payload_overhead(&self) -> Option<usize> {
        match self {
            Self::Fou(tunnel) => Some(tunnel.payload_overhead()),
            Self::Gue(tunnel) => Some(tunnel.payload_overhead()),
            Self::GueVariant1(tunnel) => Some(tunnel.payload_overhead()),
            Self::GreInUdp(tunnel) => Some(tunnel.payload_overhead()),
            Self::Tcp(tunnel) => SocketTunnel::payload_overhead(tunnel),
            Self::IpIp(_) | Self::Gre(_) | Self::MinEnc(_) => None,
        }
    }

    #[inline]
    fn wrap_payload(
        &self,
        packet: &mut Packet<'_>,
        per_packet: &PerPacket,
    ) -> Result<Facts, EncapError> {
        match self {
            Self::Fou(tunnel) => tunnel.wrap_payload(packet, per_packet),
            Self::Gue(tunnel) => tunnel.wrap_payload(packet, per_packet),
            Self::GueVariant1(tunnel) => tunnel.wrap_payload(packet, per_packet),
            Self::GreInUdp(tunnel) => tunnel.wrap_payload(packet, per_packet),
            Self::Tcp(tunnel) => tunnel.wrap_payload(packet, per_packet),
            Self::IpIp(_) | Self::Gre(_) | Self::MinEnc(_) => Err(EncapError::NoPayloadForm),
        }
    }

    #[inline]
    fn inspect_payload<A: Access>(
        &self,
        access: A,
        policy: InnerPolicy,
        received: Received<'_>,
    ) -> Result<Opened, Refused> {
        let opener = self.receiver(access).with_inner_policy(policy);
        opener.inspect_layer(received.meta, received.payload, received.expects_tunnel)
    }
}

impl<T: SocketTunnel + ?Sized> SocketTunnel for &T {
    #[inline]
    fn payload_overhead(&self) -> Option<usize> {
        (**self).payload_overhead()
    }

    #[inline]
    fn wrap_payload(
        &self,
        packet: &mut Packet<'_>,
        per_packet: &PerPacket,
    ) -> Result<Facts, EncapError> {
        (**self).wrap_payload(packet, per_packet)
    }

    #[inline]
    fn inspect_payload<A: Access>(
        &self,
        access: A,
        policy: InnerPolicy,
        received: Received<'_>,
    ) -> Result<Opened, Refused> {
        (**self).inspect_payload(access, policy, received)
    }
}

/// Two layers: `(inner, outer)`.
impl<I: PeerTunnel, O: SocketTunnel> SocketTunnel for (I, O) {
    #[inline]
    fn payload_overhead(&self) -> Option<usize> {
        let outermost = self.1.payload_overhead()?;
        Some(self.0.overhead().saturating_add(outermost))
    }

    #[inline]
    fn wrap_payload(
        &self,
        packet: &mut Packet<'_>,
        per_packet: &PerPacket,
    ) -> Result<Facts, EncapError> {
        wrap_stack(&self.0, &self.1, self, packet, per_packet)
    }

    #[inline]
    fn inspect_payload<A: Access>(
        &self,
        access: A,
        policy: InnerPolicy,
        received: Received<'_>,
    ) -> Result<Opened, Refused> {
        inspect_stack(&self.0, &self.1, (access, policy), received)
    }
}

/// Layers of one type, the innermost first.
impl<T: SocketTunnel> SocketTunnel for [T] {
    #[inline]
    fn payload_overhead(&self) -> Option<usize> {
        let (outermost, inside) = self.split_last()?;
        let inside = Encapsulate::overhead(inside);
        Some(outermost.payload_overhead()?.saturating_add(inside))
    }

    #[inline]
    fn wrap_payload(
        &self,
        packet: &mut Packet<'_>,
        per_packet: &PerPacket,
    ) -> Result<Facts, EncapError> {
        match self.split_last() {
            Some((outermost, inside)) => wrap_stack(&inside, outermost, &self, packet, per_packet),
            None => Err(EncapError::NoPayloadForm),
        }
    }

    #[inline]
    fn inspect_payload<A: Access>(
        &self,
        access: A,
        policy: InnerPolicy,
        received: Received<'_>,
    ) -> Result<Opened, Refused> {
        match self.split_last() {
            None => Err(Refused::new(Reason::NotTunnel)),
            Some((outermost, [])) => outermost.inspect_payload(access, policy, received),
            Some((outermost, inside)) => {
                inspect_stack(&inside, outermost, (access, policy), received)
            }
        }
    }
}

/// As the slice.
impl<T: SocketTunnel, const N: usize> SocketTunnel for [T; N] {
    #[inline]
    fn payload_overhead(&self) -> Option<usize> {
        self.as_slice().payload_overhead()
    }

    #[inline]
    fn wrap_payload(
        &self,
        packet: &mut Packet<'_>,
        per_packet: &PerPacket,
    ) -> Result<Facts, EncapError> {
        self.as_slice().wrap_payload(packet, per_packet)
    }

    #[inline]
    fn inspect_payload<A: Access>(
        &self,
        access: A,
        policy: InnerPolicy,
        received: Received<'_>,
    ) -> Result<Opened, Refused> {
        self.as_slice().inspect_payload(access, policy, received)
    }
}

/// Wraps a packet into `inside`, and the result into what `outermost` gives the socket, if the whole
/// `stack` accepts it.
fn wrap_stack<I: PeerTunnel, O: SocketTunnel, T: SocketTunnel>(
    inside: &I,
    outermost: &O,
    stack: &T,
    packet: &mut Packet<'_>,
    per_packet: &PerPacket,
) -> Result<Facts, EncapError> {
    let facts = Facts::read(packet.as_slice())?;
    stack.check(&facts, per_packet, Rules::Explained)?;
    // Nothing changes unless there is room for all layers.
    let room = stack.payload_overhead();
    let room = room.ok_or(EncapError::NoPayloadForm)?;
    start_with(packet, room)?;
    packet.wrap(inside, &per_packet.with_link_mtu(u16::MAX))?;
    outermost.wrap_payload(packet, per_packet)
}

/// Opens what `outermost` gets from the socket, and what comes out of it with `inside`.
fn inspect_stack<I: PeerTunnel, O: SocketTunnel, A: Access>(
    inside: &I,
    outermost: &O,
    (access, policy): (A, InnerPolicy),
    received: Received<'_>,
) -> Result<Opened, Refused> {
    let around = Around::new(outermost.inner_ends(), inside.ends());
    let expecting = Received {
        expects_tunnel: true,
        ..received
    };
    let opened = outermost.inspect_payload(around, InnerPolicy::DEFAULT, expecting)?;
    let innermost = inside.peer_receiver(access, policy);
    inspect_inside(
        &innermost,
        &opened,
        received.payload,
        received.expects_tunnel,
    )
}
