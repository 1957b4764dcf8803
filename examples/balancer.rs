//! Spreads 100,000 packets over 1000 backends by the hash of their flow, as a load balancer does, and counts what it
//! drops, by reason. Run it with `cargo run --release --example balancer`.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "the numbers are small, and every index exists"
)]

use core::error::Error;
use core::net::Ipv4Addr;

use ipencap::encap::{OuterPolicy, PerPacket, Tunnel};
use ipencap::error::EncapError;
use ipencap::packet::{Packet, Span};
use ipencap::shim::IpIp;
use ipencap::wire::{IpProtocol, Ipv4Header};

const BACKENDS: u32 = 1000;
/// Room for the outer header in front of each packet, in bytes.
const HEADROOM: usize = Ipv4Header::LEN;
/// Keep it secret: whoever knows it can send all packets to one backend.
const SEED: u32 = 0x5eed_1e55;

fn main() -> Result<(), Box<dyn Error>> {
    // One tunnel for each backend. A tunnel is plain data: make it once and keep it in a table.
    let balancer = Ipv4Addr::new(198, 51, 100, 1);
    let first_backend = Ipv4Addr::new(172, 16, 0, 1).to_bits();
    let policy = OuterPolicy {
        link_mtu: Some(1500),
        ..OuterPolicy::DEFAULT
    };
    let mut tunnels = Vec::new();
    for number in 0..BACKENDS {
        let backend = Ipv4Addr::from_bits(first_backend + number);
        tunnels.push(Tunnel::new(balancer, backend, IpIp)?.with_policy(policy));
    }

    let (mut sent, mut drops) = (vec![0; tunnels.len()], [0; EncapError::COUNT]);
    let mut buffer = [0; 2048];
    for number in 0..100_000 {
        match forward(&tunnels, receive(number, &mut buffer)) {
            Ok((backend, _outer)) => sent[backend] += 1, // Here `_outer` goes to the network.
            Err(error) => drops[error.counter()] += 1,
        }
    }

    let total = sent.iter().sum::<u32>();
    sent.sort_unstable();
    let (fewest, most) = (sent[0], sent[sent.len() - 1]);
    println!("sent {total} packets, {fewest} to {most} to each backend");
    for (counter, reason) in EncapError::counters().filter(|&(counter, _)| drops[counter] > 0) {
        println!("dropped {}: {reason}", drops[counter]);
    }
    Ok(())
}

/// Validates the packet, chooses the backend by the packet's flow, and wraps the packet.
fn forward<'b>(
    tunnels: &[Tunnel<IpIp>],
    packet: Packet<'b>,
) -> Result<(usize, &'b mut [u8]), EncapError> {
    let packet = packet.prove()?;
    // By the high bits of the hash: the low ones would be left for a source port, if the tunnel were over UDP.
    let hash = packet.facts().flow().hash(SEED);
    let backend = (u64::from(hash) * u64::from(BACKENDS)) >> 32;
    let backend = usize::try_from(backend).unwrap_or_default();
    Ok((backend, packet.wrap(&tunnels[backend], &PerPacket::new())?))
}

/// Stands for the network card: each packet is another client's, some are too long and some damaged.
fn receive(number: u32, buffer: &mut [u8]) -> Packet<'_> {
    let (client, service) = (0x0a00_0000 + number, Ipv4Addr::new(203, 0, 113, 80));
    let len = if number.is_multiple_of(250) {
        1490
    } else {
        100
    };
    let header = Ipv4Header::new(client.into(), service, IpProtocol::TCP, len);
    let packet = &mut buffer[HEADROOM..];
    packet[..20].copy_from_slice(header.as_bytes());
    packet[20..24].copy_from_slice(&[0x9c, 0x40, 0x01, 0xbb]); // ports 40000 and 443
    if number % 1000 == 1 {
        packet[8] ^= 1; // Another TTL, so the header checksum is wrong.
    }
    Packet::new(buffer, Span::new(HEADROOM, usize::from(len)))
}
