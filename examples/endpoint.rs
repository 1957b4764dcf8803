//! Two ends of a tunnel, and between them a router whose next link is narrow: who learns which MTU, and what
//! becomes of packets that are too long. Run it with `cargo run --release --example endpoint`.

use core::error::Error;
use core::net::Ipv4Addr;

use ipencap::decap::Prefix;
use ipencap::encap::Tunnel;
use ipencap::icmp::{IcmpError, Kind};
use ipencap::packet::{Packet, PerPacket, Span};
use ipencap::shim::IpIp;
use ipencap::time::Instant;
use ipencap::tunnel::{Endpoint, EndpointConfig, Inbound, OnePeer, Outbound, Path};
use ipencap::wire::{IpProtocol, Ipv4Flags, Ipv4Header};

const LEFT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const RIGHT: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);
const NARROW: u16 = 1400;

fn main() -> Result<(), Box<dyn Error>> {
    let behind_left = ["10.1.0.0/16".parse::<Prefix>()?];
    let behind_right = ["10.2.0.0/16".parse::<Prefix>()?];
    let (mut paths, mut other_paths) = ([Path::EMPTY], [Path::EMPTY]);
    let to_right = OnePeer::new(Tunnel::new(LEFT, RIGHT, IpIp)?, &behind_right);
    let to_left = OnePeer::new(Tunnel::new(RIGHT, LEFT, IpIp)?, &behind_left);
    let mut left = Endpoint::new(to_right, &mut paths, EndpointConfig::DEFAULT);
    let mut right = Endpoint::new(to_left, &mut other_paths, EndpointConfig::DEFAULT);

    for (second, (len, flags)) in (0_u64..).zip([
        (1500, Ipv4Flags::DF),
        (1480, Ipv4Flags::DF),
        (1480, Ipv4Flags::DF),
        (1480, Ipv4Flags::empty()),
        (1380, Ipv4Flags::DF),
    ]) {
        let now = Instant::from_millis(second.saturating_mul(1000));
        println!("{second} s: a packet of {len} bytes, flags {flags:?}");

        // From the inner side. What goes to the network is kept, instead of sent.
        let mut buffer = vec![0; 64];
        buffer.extend_from_slice(header(len, flags).as_bytes());
        buffer.resize(64_usize.saturating_add(usize::from(len)), 0);
        let mut packet = Packet::new(&mut buffer, Span::new(64, usize::from(len)));
        let mut network = Vec::new();
        let verdict = left.send(now, &mut packet, &PerPacket::new(), |outer| {
            network.push(outer.to_vec());
        });
        if let Outbound::Answer { error, .. } = verdict {
            println!("     its source is told: {:?}", error.kind());
        }

        // The router forwards what fits its next link, and reports the rest.
        for mut outer in network {
            if outer.len() <= usize::from(NARROW) {
                if let Inbound::Deliver { opened, .. } = right.receive(now, &mut outer) {
                    println!("     {} bytes come out on the right", opened.span().len);
                }
                continue;
            }
            let kind = Kind::FragmentationNeeded { mtu: NARROW };
            let error = IcmpError::about(&outer, kind, ROUTER)?;
            let mut report = vec![0; error.len()];
            error.write(&outer, &mut report).ok_or("no room")?;
            println!(
                "     the router drops {} bytes and reports {NARROW}",
                outer.len()
            );
            if let Inbound::Relay { error, .. } = left.receive(now, &mut report) {
                println!("     its source is told: {:?}", error.kind());
            }
        }
    }
    Ok(())
}

/// Of a packet from behind the left end to behind the right one.
fn header(len: u16, flags: Ipv4Flags) -> Ipv4Header {
    let (source, destination) = (Ipv4Addr::new(10, 1, 0, 5), Ipv4Addr::new(10, 2, 0, 9));
    let mut header = Ipv4Header::new(source, destination, IpProtocol(253), len);
    header.set_flags(flags);
    header
}
