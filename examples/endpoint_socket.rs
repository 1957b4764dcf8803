//! Two tunnel endpoints over UDP sockets on loopback, without root: what a VPN over FOU does with each packet.
//! Run it with `cargo run --release --example endpoint_socket`.

use core::error::Error;
use core::net::Ipv4Addr;
use std::net::UdpSocket;
use std::time;

use ipencap::decap::{OuterMeta, Prefix};
use ipencap::encap::{EcnPolicy, OuterPolicy, Tunnel};
use ipencap::packet::{Packet, PerPacket, Span};
use ipencap::shim::Fou;
use ipencap::time::{Duration, Instant};
use ipencap::tunnel::{
    Change, Endpoint, EndpointConfig, Inbound, OnePeer, Outbound, Path, PeerPolicy,
};
use ipencap::wire::{Ecn, IpProtocol, Ipv4Flags, Ipv4Header};

/// The names of the two ends. Loopback addresses are refused as tunnel ends, so these stand for them.
const LEFT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const RIGHT: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);

fn main() -> Result<(), Box<dyn Error>> {
    let left_socket = UdpSocket::bind("127.0.0.1:0")?;
    let right_socket = UdpSocket::bind("127.0.0.1:0")?;
    left_socket.connect(right_socket.local_addr()?)?;
    let port = right_socket.local_addr()?.port();

    // The sockets do not tell the outer ECN field; `Compatibility` keeps ECN out of it.
    let policy = OuterPolicy {
        ecn: EcnPolicy::Compatibility,
        ..OuterPolicy::DEFAULT
    };
    let there = Tunnel::new(LEFT, RIGHT, Fou::new(port))?.with_policy(policy);
    let back = Tunnel::new(RIGHT, LEFT, Fou::new(port))?.with_policy(policy);
    let behind_left = ["10.1.0.0/16".parse::<Prefix>()?];
    let behind_right = ["10.2.0.0/16".parse::<Prefix>()?];
    let to_right = OnePeer::new(there, &behind_right).with_policy(PeerPolicy {
        keepalive: Some(Duration::from_secs(25)),
        ..PeerPolicy::DEFAULT
    });
    let (mut paths, mut other_paths) = ([Path::EMPTY], [Path::EMPTY]);
    let mut left = Endpoint::new(to_right, &mut paths, EndpointConfig::DEFAULT);
    let to_left = OnePeer::new(back, &behind_left);
    let mut right = Endpoint::new(to_left, &mut other_paths, EndpointConfig::DEFAULT);

    // The endpoint's clock begins wherever the program likes.
    let began = time::Instant::now();
    let millis = || u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);

    // A TUN device would give these packets.
    let headroom = there.payload_overhead();
    for len in [100, 1472, 1473] {
        let mut buffer = vec![0; headroom];
        buffer.extend_from_slice(header(len).as_bytes());
        buffer.resize(headroom.saturating_add(len.into()), 0);
        let mut packet = Packet::new(&mut buffer, Span::new(headroom, len.into()));
        let now = Instant::from_millis(millis());
        let verdict = left.send_payload(now, &mut packet, &PerPacket::new(), |_, datagram| {
            println!("left:  sends {:?} bytes", left_socket.send(datagram));
        });
        if let Outbound::Answer { error, .. } = verdict {
            // For the TUN device: `error.write(packet.as_slice(), &mut answer)`.
            println!("left:  tells the source {:?}", error.kind());
        }
    }

    let mut buffer = [0; 2048];
    for _ in 0..2 {
        let len = right_socket.recv(&mut buffer)?;
        let datagram = buffer.get_mut(..len).unwrap_or_default();
        let outer = OuterMeta {
            source: LEFT,
            destination: RIGHT,
            protocol: IpProtocol::UDP,
            source_port: left_socket.local_addr()?.port(),
            destination_port: port,
            ecn: Ecn::NotEct,
        };
        let now = Instant::from_millis(millis());
        if let Inbound::Deliver { opened, .. } = right.receive_payload(now, &outer, datagram) {
            // For the TUN device: `opened.span().get(datagram)`.
            println!("right: takes out {} bytes", opened.span().len);
        }
    }

    // A loop waits for packets until `left.next_deadline()` at most, then calls this. Here nobody waits.
    left.expire(Instant::from_millis(30_000), |change| {
        if let Change::KeepaliveDue { .. } = change {
            println!("left:  keeps alive, {:?} bytes", left_socket.send(&[]));
        }
    });
    Ok(())
}

fn header(len: u16) -> Ipv4Header {
    let (source, destination) = ([10, 1, 0, 5].into(), [10, 2, 0, 9].into());
    let mut header = Ipv4Header::new(source, destination, IpProtocol::UDP, len);
    header.set_flags(Ipv4Flags::DF);
    header
}
