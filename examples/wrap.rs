//! Wraps a packet in IP-in-IP, takes it out at the other end, and shows that a stranger's copy is refused.
//! Run it with `cargo run --release --example wrap`.

use core::error::Error;
use core::net::Ipv4Addr;

use ipencap::decap::{PointToPoint, Prefix, Receiver};
use ipencap::encap::{Encapsulate, PerPacket, Tunnel};
use ipencap::shim::IpIp;
use ipencap::wire::Ipv4;
use ipencap::{Span, decap, encap};

/// UDP from 10.1.0.5 to 10.2.0.9.
const PACKET: [u8; 36] =
    *b"\x45\x00\x00\x24\x12\x34\x40\x00\x40\x11\x14\x85\x0a\x01\x00\x05\x0a\x02\x00\x09\
    \x9c\x40\x00\x35\x00\x10\xac\xe6ipencap!";

fn main() -> Result<(), Box<dyn Error>> {
    let left = Ipv4Addr::new(198, 51, 100, 1);
    let right = Ipv4Addr::new(203, 0, 113, 2);
    let tunnel = Tunnel::new(left, right, IpIp)?;

    // The buffer has room for the outer header in front of the packet, which does not move.
    let mut buffer = vec![0; tunnel.overhead()];
    buffer.extend_from_slice(&PACKET);
    print_packet("packet", &PACKET)?;

    let inner = Span::new(tunnel.overhead(), PACKET.len());
    let outer = encap(&tunnel, &mut buffer, inner, &PerPacket::new())?;
    print_packet("wrapped", outer)?;

    // The right end accepts what the left end sends, and inner sources in 10.1.0.0/16 only.
    let inner_sources = ["10.1.0.0/16".parse::<Prefix>()?];
    let receiver = Receiver::new(IpIp, PointToPoint::new(right, left, &inner_sources));
    let opened = decap(&receiver, outer)?;
    print_packet("unwrapped", opened.packet)?;
    println!("same bytes: {}", opened.packet == PACKET);

    // The same packet in a tunnel from an address that the right end does not know.
    let stranger = Tunnel::new(Ipv4Addr::new(192, 0, 2, 66), right, IpIp)?;
    let outer = encap(&stranger, &mut buffer, inner, &PerPacket::new())?;
    print_packet("stranger's", outer)?;
    match decap(&receiver, outer) {
        Ok(_) => return Err("a stranger's packet was accepted".into()),
        Err(refused) => println!("refused: {refused}"),
    }
    Ok(())
}

fn print_packet(name: &str, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
    let header = Ipv4::parse(bytes)?.header();
    println!(
        "{name:<10}  {:>13} -> {:<11}  {} bytes, carries {}",
        header.source().to_string(),
        header.destination().to_string(),
        header.total_len(),
        header.protocol(),
    );
    Ok(())
}
