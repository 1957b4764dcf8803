//! Sends a packet through a FOU tunnel between two ordinary UDP sockets on loopback, without root.
//! Run it with `cargo run --release --example fou_socket`.

use core::error::Error;
use core::net::Ipv4Addr;
use core::time::Duration;
use std::net::UdpSocket;

use ipencap::decap::{OuterMeta, PointToPoint, Prefix, Receiver};
use ipencap::encap::{EcnPolicy, OuterPolicy, PerPacket, Tunnel};
use ipencap::shim::Fou;
use ipencap::wire::{Ecn, IpProtocol, Ipv4};

/// UDP from 10.1.0.5 to 10.2.0.9.
const PACKET: [u8; 36] =
    *b"\x45\x00\x00\x24\x12\x34\x40\x00\x40\x11\x14\x85\x0a\x01\x00\x05\x0a\x02\x00\x09\
    \x9c\x40\x00\x35\x00\x10\xac\xe6ipencap!";

fn main() -> Result<(), Box<dyn Error>> {
    let left_socket = UdpSocket::bind("127.0.0.1:0")?;
    let right_socket = UdpSocket::bind("127.0.0.1:0")?;
    // A connected socket receives from its peer only.
    left_socket.connect(right_socket.local_addr()?)?;
    right_socket.connect(left_socket.local_addr()?)?;
    right_socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    let port = right_socket.local_addr()?.port();

    // The names of the two ends. Loopback addresses are refused as tunnel ends, so these stand for them.
    let left = Ipv4Addr::new(198, 51, 100, 1);
    let right = Ipv4Addr::new(203, 0, 113, 2);

    // Left: the kernel writes the outer IP and UDP headers, so a FOU packet needs no bytes in front of it.
    // The receiving socket does not tell the outer ECN field; `Compatibility` keeps ECN out of it.
    let tunnel = Tunnel::new(left, right, Fou::new(port))?.with_policy(OuterPolicy {
        ecn: EcnPolicy::Compatibility,
        ..OuterPolicy::DEFAULT
    });
    let mut frame = vec![0; tunnel.payload_overhead()];
    frame.extend_from_slice(&PACKET);
    tunnel.encap_payload(&mut frame, &PerPacket::new())?;
    left_socket.send(&frame)?;
    println!(
        "left:  sent {} bytes of UDP payload to port {port}",
        frame.len()
    );

    // Right: check who sent the packet and what is inside, as for any other tunnel.
    let inner_sources = ["10.1.0.0/16".parse::<Prefix>()?];
    let access = PointToPoint::new(right, left, &inner_sources);
    let receiver = Receiver::new(Fou::new(port), access);
    let mut buffer = [0; 2048];
    let len = right_socket.recv(&mut buffer)?;
    let payload = buffer.get_mut(..len).unwrap_or_default();
    let outer = OuterMeta {
        source: left,
        source_port: left_socket.local_addr()?.port(),
        destination: right,
        protocol: IpProtocol::UDP,
        destination_port: port,
        ecn: Ecn::NotEct,
    };
    let packet = receiver.inspect_payload(&outer, payload)?.apply(payload);
    let header = Ipv4::parse(packet)?.header();
    println!(
        "right: got a packet from {} to {}",
        header.source(),
        header.destination()
    );
    println!("same bytes: {}", packet == PACKET);
    Ok(())
}
