//! Reads an ICMP error about a tunnel packet: which flow was it, and how long may its packets be from now on? And
//! tells the sender of the packet inside. Run it with `cargo run --release --example quoted_error`.

use core::error::Error;
use core::net::Ipv4Addr;

use ipencap::encap::{Encapsulate, PerPacket, Tunnel};
use ipencap::icmp::{self, IcmpError, Kind, Relay};
use ipencap::packet::Flow;
use ipencap::shim::IpIp;
use ipencap::wire::Ipv4;
use ipencap::{Span, encap};

/// UDP from 10.1.0.5 to 10.2.0.9, with DF.
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

    // This is what a router does that cannot forward it.
    let router = Ipv4Addr::new(192, 0, 2, 254);
    let too_big = IcmpError::about(outer, Kind::FragmentationNeeded { mtu: 1400 }, router)?;
    let arrived = written(too_big, outer)?;

    // And this what a tunnel endpoint does with what arrives.
    let report = icmp::read(&arrived)?;
    println!("{} says {:?}", report.reporter(), report.kind());
    // Anybody can send an ICMP error. Believe it only about a packet of yours.
    let quote = report.quote();
    let inner = tunnel.inside_quote(quote).ok_or("not ours")?.packet();
    println!("about the tunnel {left} -> {right}");
    let flow = Flow::of_quoted(Ipv4::parse_quoted(inner)?).ok_or("the quote is too short")?;
    println!(
        "and in it the flow {}:{} -> {}:{}, {}",
        flow.source, flow.source_port, flow.destination, flow.destination_port, flow.protocol
    );
    if let Relay::Tell(kind) = report.relayed(tunnel.overhead())? {
        let gateway = Ipv4Addr::new(10, 1, 0, 1);
        let relayed = IcmpError::about_quoted(inner, kind, gateway)?;
        println!("so {} is told {kind:?}", relayed.destination());
        println!("in a packet of {} bytes", written(relayed, inner)?.len());
    }
    Ok(())
}

/// The whole IPv4 packet of `error` about `offending`.
fn written(error: IcmpError, offending: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut packet = vec![0; error.len()];
    error.write(offending, &mut packet).ok_or("too short")?;
    Ok(packet)
}
