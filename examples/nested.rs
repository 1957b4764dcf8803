//! Puts a packet into three IP-in-IP tunnels, one inside the other, and takes it out of all three.
//! Run it with `cargo run --release --example nested`.

use core::error::Error;
use core::net::Ipv4Addr;

use ipencap::decap::{PointToPoint, Prefix, Receiver};
use ipencap::encap::{Encapsulate, PerPacket, Tunnel};
use ipencap::shim::IpIp;
use ipencap::wire::{IpProtocol, Ipv4};
use ipencap::{Span, decap, encap};

/// UDP from 10.1.0.5 to 10.2.0.9.
const PACKET: [u8; 36] =
    *b"\x45\x00\x00\x24\x12\x34\x40\x00\x40\x11\x14\x85\x0a\x01\x00\x05\x0a\x02\x00\x09\
    \x9c\x40\x00\x35\x00\x10\xac\xe6ipencap!";

fn main() -> Result<(), Box<dyn Error>> {
    // Source and destination of each tunnel, the innermost first.
    let ends = [
        (Ipv4Addr::new(172, 16, 0, 1), Ipv4Addr::new(172, 16, 0, 2)),
        (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)),
        (
            Ipv4Addr::new(198, 51, 100, 1),
            Ipv4Addr::new(203, 0, 113, 2),
        ),
    ];
    let [inner, middle, outer] =
        ends.map(|(source, destination)| Tunnel::new(source, destination, IpIp));
    // An array of tunnels is a tunnel, too. So is a tuple, whose tunnels may be of different kinds.
    let tunnels = [inner?, middle?, outer?];

    let mut buffer = vec![0; tunnels.overhead()];
    buffer.extend_from_slice(&PACKET);
    let place = Span::new(tunnels.overhead(), PACKET.len());
    let outermost = encap(&tunnels, &mut buffer, place, &PerPacket::new())?;
    println!(
        "{} bytes of packet, {} bytes with three more headers:",
        PACKET.len(),
        outermost.len()
    );
    print_headers(outermost)?;

    // Each tunnel has its own peer, and its own list of what may be inside.
    let any = [Prefix::ANY];
    let receivers = ends.map(|(source, destination)| {
        Receiver::new(IpIp, PointToPoint::new(destination, source, &any))
    });
    let opened = decap(&receivers, outermost)?;
    println!("{} headers taken off:", opened.opened.layers());
    print_headers(opened.packet)?;
    println!("same bytes: {}", opened.packet == PACKET);
    Ok(())
}

/// Prints each IPv4 header, from the outermost to the innermost.
fn print_headers(packet: &[u8]) -> Result<(), Box<dyn Error>> {
    let mut packet = Ipv4::parse(packet)?;
    loop {
        let header = packet.header();
        println!(
            "  {} -> {}  {}",
            header.source(),
            header.destination(),
            header.protocol()
        );
        if header.protocol() != IpProtocol::IPENCAP {
            return Ok(());
        }
        packet = Ipv4::parse(packet.payload())?;
    }
}
