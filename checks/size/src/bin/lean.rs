//! The endpoint of a firmware that joins no fragments: IP-in-IP to one peer, in place, with ICMP errors.
#![no_std]
#![no_main]

use ipencap::decap::Prefix;
use ipencap::encap::Tunnel;
use ipencap::packet::{Packet, PerPacket, Span};
use ipencap::shim::IpIp;
use ipencap::time::Instant;
use ipencap::tunnel::{Endpoint, EndpointConfig, Inbound, OnePeer, Outbound, Path, PeerId};

type Endpoints = Endpoint<'static, OnePeer<'static, Tunnel<IpIp>>, (), ()>;

ipencap_size::entry!(|endpoint: &mut Endpoints,
                      tunnel: &Tunnel<IpIp>,
                      behind: &'static [Prefix; 1],
                      paths: &'static mut [Path; 1],
                      now: &Instant,
                      buffer: &mut [u8; 2048],
                      out: &mut [u8; 576],
                      span: &Span,
                      send: &mut fn(&mut [u8])| {
    // It begins.
    *endpoint = Endpoint::new(
        OnePeer::new(*tunnel, behind),
        paths,
        EndpointConfig::DEFAULT,
    )
    .without_reassembler();

    // A packet from the inner side.
    let mut packet = Packet::new(buffer, *span);
    let verdict = endpoint.send(*now, &mut packet, &PerPacket::new(), &mut *send);
    if let Outbound::Answer { error, .. } = verdict
        && let Some(icmp) = error.write(packet.as_slice(), out)
    {
        send(icmp);
    }

    // A packet from the network.
    match endpoint.receive(*now, buffer) {
        Inbound::Deliver { opened, .. } => {
            send(opened.span().get_mut(buffer).unwrap_or_default());
        }
        Inbound::Relay { error, quoted, .. } => {
            let quoted = quoted.get(buffer).unwrap_or_default();
            if let Some(icmp) = error.write(quoted, out) {
                send(icmp);
            }
        }
        _ => {}
    }

    // The link's MTU falls, and time passes.
    let _ = endpoint.local_mtu(*now, PeerId::new(0, 0), 1400);
    endpoint.expire(*now, |_| {});
    endpoint.next_deadline().map_or(0, |_| 1)
});
