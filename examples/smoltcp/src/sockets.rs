//! Between a queue and the sockets of an outer stack.

#[cfg(feature = "socket-udp")]
use core::net::Ipv4Addr;

use ipencap::tunnel::{Peers, Reassembly, Tally};
#[cfg(feature = "socket-raw")]
use ipencap::wire::Ipv4Header;
use smoltcp::time::Instant;

#[cfg(feature = "socket-raw")]
use crate::clock::endpoint_time;
use crate::losses::count;
use crate::queue::TunnelQueue;

#[cfg(feature = "socket-raw")]
impl<'m, P: Peers, C: Tally, const N: usize, R: Reassembly<'m>> TunnelQueue<'m, P, C, N, R> {
    /// Carries packets both ways between the queue and a raw socket of the tunnel's protocol, such as
    /// [`IpProtocol::IpIp`](https://docs.rs/smoltcp/latest/smoltcp/wire/enum.IpProtocol.html) with number 4. Packets wait
    /// in the socket while there is no room for them here, and the other way.
    ///
    /// smoltcp's raw sockets write and read the outer header anew: ECN, DSCP, identification and options are lost, and DF
    /// is always set. They send nothing, without a word, for an Ethernet device whose IPv4 checksums are
    /// [`Checksum::Rx`](https://docs.rs/smoltcp/latest/smoltcp/phy/enum.Checksum.html): checked by software and computed
    /// by hardware. `None`, `Both` and `Tx` work.
    #[inline]
    pub fn carry_raw(&mut self, timestamp: Instant, socket: &mut smoltcp::socket::raw::Socket<'_>) {
        self.receive_raw(timestamp, socket);
        let mut never_taken = 0;
        self.send(timestamp, |outer| {
            if outer.len() > socket.payload_send_capacity() {
                count(&mut never_taken);
                return true;
            }
            socket.send_slice(outer).is_ok()
        });
        self.count_never_taken(never_taken);
    }

    /// Takes packets from a raw socket, such as one for ICMP: the endpoint learns from routers then how long packets
    /// may be. The outer stack answers pings as without the socket.
    #[inline]
    pub fn receive_raw(
        &mut self,
        timestamp: Instant,
        socket: &mut smoltcp::socket::raw::Socket<'_>,
    ) {
        let now = endpoint_time(timestamp);
        while self.can_receive() {
            let Ok(packet) = socket.recv() else { return };
            let _counted = self.accept(now, packet, |endpoint, copy| {
                // smoltcp or the hardware has checked the header that came. This one smoltcp has written, without a
                // checksum if the hardware computes those of what is sent.
                if let Ok((header, options, _)) = Ipv4Header::split_mut(copy) {
                    header.fill_checksum(options);
                }
                endpoint.receive(now, copy)
            });
        }
    }
}

#[cfg(feature = "socket-udp")]
impl<'m, P: Peers, C: Tally, const N: usize, R: Reassembly<'m>> TunnelQueue<'m, P, C, N, R>
where
    P::Tunnel: ipencap::tunnel::SocketTunnel,
{
    /// Carries packets both ways between the queue and a UDP socket, which is bound to the port where the tunnel
    /// receives. Packets wait in the socket while there is no room for them here, and the other way.
    ///
    /// Datagrams come from that port too. Tell the tunnel so
    /// ([`SourcePort::Fixed`](ipencap::shim::SourcePort::Fixed)), or it does not know its own datagrams in ICMP errors and
    /// learns of no narrower path. smoltcp's UDP sockets do not tell and cannot set ECN and DSCP: these are lost.
    #[inline]
    pub fn carry_udp(&mut self, timestamp: Instant, socket: &mut smoltcp::socket::udp::Socket<'_>) {
        use ipencap::decap::OuterMeta;
        use ipencap::wire::{Ecn, IpProtocol};
        use smoltcp::socket::udp::SendError;
        use smoltcp::wire::{IpAddress, IpEndpoint};

        let port = socket.endpoint().port;
        while self.can_receive() {
            let Ok((payload, from)) = socket.recv() else {
                break;
            };
            let meta = OuterMeta {
                source: ipv4(from.endpoint.addr),
                destination: from.local_address.map_or(Ipv4Addr::UNSPECIFIED, ipv4),
                protocol: IpProtocol::UDP,
                source_port: from.endpoint.port,
                destination_port: port,
                ecn: Ecn::NotEct,
            };
            let _counted = self.receive_datagram(timestamp, &meta, payload);
        }
        let mut never_taken = 0;
        self.send_datagrams(timestamp, |facts, payload| {
            let destination = IpAddress::Ipv4(facts.destination());
            let to = IpEndpoint::new(destination, facts.flow().destination_port);
            let sent = if payload.len() > socket.payload_send_capacity() {
                Err(SendError::Unaddressable)
            } else {
                socket.send_slice(payload, to)
            };
            if sent == Err(SendError::Unaddressable) {
                count(&mut never_taken);
            }
            sent != Err(SendError::BufferFull)
        });
        self.count_never_taken(never_taken);
    }
}

#[cfg(feature = "socket-udp")]
const fn ipv4(address: smoltcp::wire::IpAddress) -> Ipv4Addr {
    #[allow(
        unreachable_patterns,
        reason = "another package may switch on IPv6 in smoltcp"
    )]
    match address {
        smoltcp::wire::IpAddress::Ipv4(address) => address,
        _ => Ipv4Addr::UNSPECIFIED,
    }
}
