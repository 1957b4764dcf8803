//! The tunnel between the inner stack and a UDP socket of the outer stack.

use core::convert::Infallible;
use core::future::poll_fn;
use core::net::Ipv4Addr;
use core::task::Poll;

use embassy_net::udp::{PacketMetadata, UdpMetadata, UdpSocket};
use embassy_net::{IpAddress, Stack};
use static_cell::{ConstStaticCell, StaticCell};

use ipencap::decap::{OuterMeta, Prefix};
use ipencap::encap::Tunnel;
use ipencap::error::ConfigError;
use ipencap::shim::{Fou, SourcePort};
use ipencap::time::Instant;
use ipencap::tunnel::{
    Endpoint, EndpointConfig, Event, MtuPolicy, OnePeer, Path, PeerId, PeerPolicy, Tally,
};
use ipencap::wire::{Ecn, IpProtocol};
use ipencap_smoltcp::Buffer;
use ipencap_smoltcp::embassy::{QueueDriver, SharedQueue};

/// The other end of the tunnel, and the UDP port of both ends.
const PEER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
const PORT: u16 = 5555;

/// What is behind the other end.
const BEHIND: &[Prefix] = &[match Prefix::new(Ipv4Addr::new(10, 9, 0, 0), 24) {
    Ok(prefix) => prefix,
    Err(_) => panic!("the prefix is wrong"),
}];

/// The longest packet that the Ethernet carries, in bytes.
const LINK_MTU: usize = 1500;

/// The MTU of the path, in bytes. embassy-net asks for an MTU only once, and passes no router's report on, so
/// this must fit every path.
const PATH_MTU: u16 = 1400;

type Queue = SharedQueue<'static, OnePeer<'static, Tunnel<Fou>>, Log, LINK_MTU>;

/// The device of the inner stack.
pub type Driver = QueueDriver<'static, 'static, OnePeer<'static, Tunnel<Fou>>, Log, LINK_MTU>;

/// Logs what goes wrong.
pub struct Log;

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

/// The end of the tunnel at this address of the outer stack.
pub fn new(local: Ipv4Addr) -> Result<&'static Queue, ConfigError> {
    static PATHS: ConstStaticCell<[Path; 1]> = ConstStaticCell::new([Path::EMPTY]);
    static OUTGOING: ConstStaticCell<[Buffer<LINK_MTU>; 2]> =
        ConstStaticCell::new([Buffer::EMPTY; 2]);
    static INCOMING: ConstStaticCell<[Buffer<LINK_MTU>; 2]> =
        ConstStaticCell::new([Buffer::EMPTY; 2]);
    static QUEUE: StaticCell<Queue> = StaticCell::new();

    // The socket sends from one port, and its stack computes the checksum.
    let fou = Fou::new(PORT).with_source_port(SourcePort::Fixed(PORT));
    let policy = PeerPolicy {
        mtu: MtuPolicy::Static(PATH_MTU),
        ..PeerPolicy::DEFAULT
    };
    let peers = OnePeer::new(Tunnel::new(local, PEER, fou)?, BEHIND).with_policy(policy);
    let endpoint = Endpoint::new(peers, PATHS.take(), EndpointConfig::DEFAULT).with_tally(Log);
    let Ok(queue) = SharedQueue::new(endpoint, OUTGOING.take(), INCOMING.take(), now) else {
        defmt::panic!("the queue refuses its set-up");
    };
    Ok(QUEUE.init(queue))
}

/// Carries packets both ways, for ever.
pub async fn run(outer: Stack<'static>, local: Ipv4Addr, queue: &'static Queue) -> ! {
    let (mut received, mut to_send) = ([0; 2 * LINK_MTU], [0; 2 * LINK_MTU]);
    let mut metadata = [[PacketMetadata::EMPTY; 4]; 2];
    let [received_metadata, to_send_metadata] = &mut metadata;
    let mut socket = UdpSocket::new(
        outer,
        received_metadata,
        &mut received,
        to_send_metadata,
        &mut to_send,
    );
    if socket.bind(PORT).is_err() {
        defmt::panic!("cannot bind the tunnel's port");
    }
    let mut datagram = [0; LINK_MTU];
    let never: Infallible = poll_fn(|cx| {
        queue.register(cx);
        while queue.can_receive()
            && let Poll::Ready(received) = socket.poll_recv_from(&mut datagram, cx)
        {
            // Longer ones are not the peer's.
            if let Ok((len, from)) = received {
                queue.receive_datagram(&meta(&from, local), &datagram[..len]);
            }
        }
        queue.send_datagrams(|facts, payload| {
            let to = (IpAddress::Ipv4(facts.destination()), PORT);
            let sent = socket.poll_send_to(payload, to, cx);
            if matches!(sent, Poll::Ready(Err(_))) {
                defmt::info!(
                    "the socket never takes a datagram of {} bytes",
                    payload.len()
                );
            }
            sent.is_ready()
        });
        Poll::Pending
    })
    .await;
    match never {}
}

/// What the stack knows of a datagram's headers. It does not tell the ECN field.
fn meta(from: &UdpMetadata, local: Ipv4Addr) -> OuterMeta {
    let IpAddress::Ipv4(source) = from.endpoint.addr;
    OuterMeta {
        source,
        destination: local,
        protocol: IpProtocol::UDP,
        source_port: from.endpoint.port,
        destination_port: PORT,
        ecn: Ecn::NotEct,
    }
}
