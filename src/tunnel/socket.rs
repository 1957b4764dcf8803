//! An endpoint over the host's sockets.

use super::accept::Request;
use super::arrival::Arrival;
use super::cause::Cause;
use super::endpoint::{Core, Endpoint};
use super::inbound::refused;
use super::peers::{PeerAccess, Peers};
use super::reassembly::Reassembly;
use super::socket_tunnel::{Received, SocketTunnel};
use super::tally::Tally;
use super::verdict::{Inbound, Outbound};
use crate::decap::OuterMeta;
use crate::error::{EncapError, Reason, Refused};
use crate::packet::{Facts, InnerChecksum, Packet, PerPacket};
use crate::time::Instant;

impl<'m, P: Peers, C: Tally, R: Reassembly<'m>> Endpoint<'m, P, C, R>
where
    P::Tunnel: SocketTunnel,
{
    /// [`send`](Self::send) through a socket: `out` gets the payload of each datagram, and the facts of its
    /// outer packet. Send it to [`Facts::destination`] and the port of [`Facts::flow`], with the TOS byte of
    /// [`Facts::tos`] (the socket option `IP_TOS`), else ECN and DSCP are lost. See
    /// [sockets](super#sockets-of-the-host) for their other options.
    ///
    /// The free bytes that a packet needs in front of it are fewer than for `send`:
    /// [`SocketTunnel::payload_overhead`].
    #[inline]
    pub fn send_payload(
        &mut self,
        now: Instant,
        packet: &mut Packet<'_>,
        per_packet: &PerPacket,
        out: impl FnMut(&Facts, &mut [u8]),
    ) -> Outbound {
        self.send_payload_of(now, 0, packet, per_packet, out)
    }

    /// [`send_payload`](Self::send_payload) of a packet of this tenant.
    #[inline]
    pub fn send_payload_of(
        &mut self,
        now: Instant,
        tenant: u32,
        packet: &mut Packet<'_>,
        per_packet: &PerPacket,
        mut out: impl FnMut(&Facts, &mut [u8]),
    ) -> Outbound {
        self.core.advance(now);
        let request = Request::new(tenant, per_packet);
        let mut put =
            |tunnel: &P::Tunnel, packet: &mut Packet<'_>, _: &Facts, numbered: &PerPacket| {
                // The tunnel has accepted it, and there is room.
                if let Ok(outer) = tunnel.wrap_payload(packet, numbered) {
                    out(&outer, packet.as_mut_slice());
                }
            };
        if per_packet.inner_checksum() == InnerChecksum::Partial {
            // No device behind a socket fills it in.
            let cause = Cause::Encap(EncapError::PartialChecksum);
            let verdict = Outbound::Drop { peer: None, cause };
            self.core.count_outbound(&verdict, packet.as_slice().len());
            return verdict;
        }
        let (room, span) = (P::Tunnel::payload_overhead, packet.span());
        let mut verdict = Outbound::drop(None, Cause::NoPeer);
        self.core
            .send_any(request, packet, room, &mut put, &mut verdict);
        // A notice quotes the inner packet, not the datagram.
        packet.set_span(span);
        verdict
    }

    /// [`inbound`](Self::inbound) of what a UDP socket has received, or a connection: the host has removed
    /// the outermost headers. The verdict counts from the start of `payload`.
    #[inline]
    pub fn inbound_payload(&mut self, now: Instant, meta: &OuterMeta, payload: &[u8]) -> Inbound {
        let verdict = self.core.judge_payload(now, meta, payload);
        self.core.count_inbound(&verdict, payload.len());
        verdict
    }

    /// [`inbound_payload`](Self::inbound_payload), and writes what changes.
    #[inline]
    pub fn receive_payload(
        &mut self,
        now: Instant,
        meta: &OuterMeta,
        payload: &mut [u8],
    ) -> Inbound {
        let verdict = self.inbound_payload(now, meta, payload);
        self.write_verdict(&verdict, payload);
        verdict
    }
}

impl<P: Peers, C: Tally> Core<'_, P, C>
where
    P::Tunnel: SocketTunnel,
{
    fn judge_payload(&mut self, now: Instant, meta: &OuterMeta, payload: &[u8]) -> Inbound {
        self.advance(now);
        let sender = self.peers.sender(&Arrival::of_payload(meta));
        let sender = sender.and_then(|peer| Some((peer, self.peers.get(peer)?)));
        let Some((peer, (tunnel, policy))) = sender else {
            return refused(None, Refused::new(Reason::UnknownPeer));
        };
        let access = PeerAccess::new(&self.peers, peer, (tunnel, policy));
        let received = Received::new(meta, payload);
        match &tunnel.inspect_payload(access, policy.inner, received) {
            Ok(opened) => self.deliver(peer, opened, payload, None),
            Err(error) => Inbound::Drop {
                peer: Some(peer),
                cause: Cause::Refused(*error),
            },
        }
    }
}
