//! The tunnel between the inner stack's device and a UDP socket of the outer stack.

use core::net::Ipv4Addr;
use core::task::{Context, Waker};

use embassy_futures::select::{Either3, select3};
use embassy_net::udp::{PacketMetadata, UdpMetadata, UdpSocket};
use embassy_net::{IpAddress, Stack};
use embassy_net_driver_channel as channel;
use embassy_net_driver_channel::driver::LinkState;
use embassy_time::Timer;

use ipencap::decap::{OuterMeta, Prefix};
use ipencap::encap::Tunnel;
use ipencap::packet::{Packet, PerPacket, Span};
use ipencap::shim::{Fou, SourcePort};
use ipencap::time::Instant;
use ipencap::tunnel::{
    Change, Endpoint, EndpointConfig, Event, Inbound, MtuPolicy, OnePeer, Outbound, Path, PeerId,
    PeerPolicy, Tally,
};
use ipencap::wire::Ecn;

/// The other end of the tunnel, and the UDP port of both ends.
const PEER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
const PORT: u16 = 5555;

/// The MTU of the Ethernet, and of the inner stack: less IPv4 and UDP, in bytes.
const LINK_MTU: u16 = 1500;
pub const MTU: usize = LINK_MTU as usize - 28;

/// Logs what goes wrong.
struct Log;

impl Tally for Log {
    fn count(&mut self, peer: Option<PeerId>, event: Event, len: usize) {
        match event {
            Event::Sent | Event::Delivered => {}
            _ => defmt::info!("{} {} {}", peer, event, len),
        }
    }
}

fn now() -> Instant {
    Instant::from_millis(embassy_time::Instant::now().as_millis())
}

/// Carries packets both ways, for ever.
pub async fn run(outer: Stack<'static>, device: channel::Runner<'static, MTU>) -> ! {
    let (state, mut to_stack, mut from_stack) = device.split();
    let (mut received, mut to_send) = ([0; 2 * MTU], [0; 2 * MTU]);
    let mut metadata = [[PacketMetadata::EMPTY; 4]; 2];
    let [received_metadata, to_send_metadata] = &mut metadata;
    let mut socket = UdpSocket::new(
        outer,
        received_metadata,
        &mut received,
        to_send_metadata,
        &mut to_send,
    );
    defmt::unwrap!(socket.bind(PORT).ok());

    // The outer address is DHCP's to say.
    outer.wait_config_up().await;
    let local = defmt::unwrap!(outer.config_v4()).address.address();
    // The socket sends from one port, and the stack computes the checksum.
    let fou = Fou::new(PORT).with_source_port(SourcePort::Fixed(PORT));
    let tunnel = defmt::unwrap!(Tunnel::new(local, PEER, fou).ok());
    let behind = [defmt::unwrap!("10.9.0.0/24".parse::<Prefix>().ok())];
    // embassy-net tells nobody of routers' reports, so the MTU is given.
    let policy = PeerPolicy {
        mtu: MtuPolicy::Static(LINK_MTU),
        ..PeerPolicy::DEFAULT
    };
    let mut path = [Path::EMPTY];
    let peers = OnePeer::new(tunnel, &behind).with_policy(policy);
    let mut endpoint = Endpoint::new(peers, &mut path, EndpointConfig::DEFAULT).with_tally(Log);
    state.set_link_state(LinkState::Up);

    loop {
        let deadline = endpoint.next_deadline().unwrap_or(Instant::MAX);
        let deadline =
            embassy_time::Instant::from_millis(deadline.as_millis().min(u64::from(u32::MAX)));
        let arrival = async {
            let place = to_stack.rx_buf().await;
            let arrived = socket.recv_from(place).await;
            (place, arrived)
        };
        match select3(from_stack.tx_buf(), arrival, Timer::at(deadline)).await {
            Either3::First(bytes) => {
                let len = bytes.len();
                // The outer stack writes the headers, so no room is needed in front of the packet.
                let mut packet = Packet::new(bytes, Span::new(0, len));
                let verdict = endpoint.send_payload(
                    now(),
                    &mut packet,
                    &PerPacket::new(),
                    |facts, datagram| {
                        let to = (IpAddress::Ipv4(facts.destination()), PORT);
                        // If its queue is full the datagram is lost, as in any queue on the way.
                        if socket
                            .poll_send_to(datagram, to, &mut Context::from_waker(Waker::noop()))
                            .is_pending()
                        {
                            defmt::info!("no room for a datagram");
                        }
                    },
                );
                if let Outbound::Answer { error, .. } = verdict
                    && let Some(place) = to_stack.try_rx_buf()
                    && let Some(icmp) = error.write(packet.as_slice(), place)
                {
                    let len = icmp.len();
                    to_stack.rx_done(len);
                }
                from_stack.tx_done();
            }
            Either3::Second((place, Ok((len, from)))) => {
                let payload = &mut place[..len];
                let meta = meta(&from, local);
                if let Inbound::Deliver { opened, .. } =
                    endpoint.receive_payload(now(), &meta, payload)
                {
                    // The stack takes packets from the start of the buffer.
                    let inner = opened.span();
                    payload.copy_within(inner.start..inner.end(), 0);
                    to_stack.rx_done(inner.len);
                }
            }
            Either3::Second((_, Err(_))) => defmt::info!("a datagram was longer than {}", MTU),
            Either3::Third(()) => endpoint.expire(now(), |change| match change {
                Change::Silent { .. } => defmt::warn!("the peer is silent"),
                change => defmt::info!("{}", change),
            }),
        }
    }
}

/// What the stack knows of a datagram's headers. It does not tell the ECN field.
fn meta(from: &UdpMetadata, local: Ipv4Addr) -> OuterMeta {
    let IpAddress::Ipv4(source) = from.endpoint.addr;
    OuterMeta {
        source,
        destination: local,
        source_port: from.endpoint.port,
        destination_port: PORT,
        ecn: Ecn::NotEct,
    }
}
