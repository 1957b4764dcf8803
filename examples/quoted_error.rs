//! Reads an ICMP error about a tunnel packet: which flow was it, and how long may its packets be from now on?
//! Run it with `cargo run --release --example quoted_error`.

use core::error::Error;
use core::net::Ipv4Addr;

use ipencap::encap::{Encapsulate, PerPacket, Tunnel};
use ipencap::mtu::Overhead;
use ipencap::packet::Flow;
use ipencap::shim::IpIp;
use ipencap::wire::{Icmpv4, Icmpv4Header, IpProtocol, Ipv4, Ipv4Header};
use ipencap::{Span, encap};

/// UDP from 10.1.0.5 to 10.2.0.9.
const PACKET: [u8; 36] =
    *b"\x45\x00\x00\x24\x12\x34\x40\x00\x40\x11\x14\x85\x0a\x01\x00\x05\x0a\x02\x00\x09\
    \x9c\x40\x00\x35\x00\x10\xac\xe6ipencap!";

fn main() -> Result<(), Box<dyn Error>> {
    let left = Ipv4Addr::new(198, 51, 100, 1);
    let right = Ipv4Addr::new(203, 0, 113, 2);
    let tunnel = Tunnel::new(left, right, IpIp)?;
    let mut buffer = vec![0; tunnel.overhead()];
    buffer.extend_from_slice(&PACKET);
    let inner = Span::new(tunnel.overhead(), PACKET.len());
    let outer = encap(&tunnel, &mut buffer, inner, &PerPacket::new())?;
    let error = fragmentation_needed(outer, left, 1400)?;

    // This is what a tunnel endpoint does with a packet that arrives.
    let arrived = Ipv4::parse(&error)?;
    let icmp = Icmpv4::parse(arrived.payload())?;
    println!(
        "ICMP type {}, code {}",
        icmp.header().message_type(),
        icmp.header().code()
    );
    let quoted = Ipv4::parse_quoted(icmp.payload())?;
    // Anybody can send an ICMP error. Believe it only about a tunnel of yours.
    let (source, destination) = (quoted.header().source(), quoted.header().destination());
    if (source, destination) != (left, right) {
        return Err("it is about somebody else's packet".into());
    }
    println!("about the tunnel {source} -> {destination}");
    let flow = Flow::of_quoted(quoted).ok_or("the quote is too short")?;
    println!(
        "and in it the flow {}:{} -> {}:{}, {}",
        flow.source, flow.source_port, flow.destination, flow.destination_port, flow.protocol
    );
    let [_, _, high, low] = icmp.rest_of_header();
    let link_mtu = u32::from(u16::from_be_bytes([high, low]));
    let overhead = Overhead::of_bytes(tunnel.overhead());
    let inner_mtu = overhead
        .inner_mtu(link_mtu)
        .ok_or("nothing fits this link")?;
    println!("a link on the path carries {link_mtu} bytes, so {inner_mtu} fit inside the tunnel");
    Ok(())
}

/// What a router answers that cannot forward `packet`: ICMP type 3, code 4 (RFC 1191).
fn fragmentation_needed(packet: &[u8], to: Ipv4Addr, mtu: u16) -> Result<Vec<u8>, Box<dyn Error>> {
    let [high, low] = mtu.to_be_bytes();
    let rest = [&[0, 0, high, low], packet].concat();
    let mut icmp = Icmpv4Header::from_bytes([3, 4, 0, 0]);
    icmp.fill_checksum(&rest);
    let total_len = u16::try_from([20, 4, rest.len()].iter().sum::<usize>())?;
    let router = Ipv4Addr::new(192, 0, 2, 254);
    let header = Ipv4Header::new(router, to, IpProtocol::ICMP, total_len);
    Ok([header.as_bytes().as_slice(), icmp.as_bytes(), &rest].concat())
}
