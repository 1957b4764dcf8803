//! Sends three packets over a TCP connection on loopback and reads them back with the decoder, which does no input or
//! output of its own. Run it with `cargo run --release --example stream`.

use core::error::Error;
use core::net::Ipv4Addr;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use ipencap::decap::{OuterMeta, PointToPoint, Prefix, Receiver};
use ipencap::shim::Tcp;
use ipencap::stream::{Decoder, Event, StreamFraming};
use ipencap::wire::{Ecn, IpProtocol};

/// Each packet comes behind its length, in two bytes.
const FRAMING: StreamFraming = StreamFraming::Exclusive;

/// UDP from 10.1.0.5 to 10.2.0.9.
const PACKET: [u8; 36] =
    *b"\x45\x00\x00\x24\x12\x34\x40\x00\x40\x11\x14\x85\x0a\x01\x00\x05\x0a\x02\x00\x09\
    \x9c\x40\x00\x35\x00\x10\xac\xe6ipencap!";

fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut sender = TcpStream::connect(listener.local_addr()?)?;
    for _ in 0..3 {
        let mut frame = vec![0; FRAMING.prefix_len()];
        frame.extend_from_slice(&PACKET);
        sender.write_all(FRAMING.frame(&mut frame)?)?;
    }
    drop(sender); // Closes the connection, so the loop below ends.

    // The names of the two ends: a decoder knows packets, a receiver knows who may send them.
    let left = Ipv4Addr::new(198, 51, 100, 1);
    let right = Ipv4Addr::new(203, 0, 113, 2);
    let inner_sources = ["10.1.0.0/16".parse::<Prefix>()?];
    let access = PointToPoint::new(right, left, &inner_sources);
    let receiver = Receiver::new(Tcp::new(40001, 443), access);
    let connection = OuterMeta {
        source: left,
        source_port: 40001,
        destination: right,
        protocol: IpProtocol::TCP,
        destination_port: 443,
        ecn: Ecn::NotEct,
    };

    let (mut stream, _) = listener.accept()?;
    let mut held = [0; 2048]; // for a frame that arrives in pieces
    let mut decoder = Decoder::new(FRAMING, &mut held);
    let mut bytes = [0; 50]; // so small that packets are cut
    loop {
        let len = stream.read(&mut bytes)?;
        if len == 0 {
            return Ok(());
        }
        println!("read {len} bytes");
        let mut unread = bytes.get(..len).unwrap_or_default();
        while let Some(event) = decoder.push(&mut unread)? {
            match event {
                Event::Packet(packet) => match receiver.inspect_payload(&connection, packet) {
                    Ok(_) => println!(
                        "  a packet of {} bytes, same bytes: {}",
                        packet.len(),
                        packet == PACKET
                    ),
                    Err(refused) => println!("  refused: {refused}"),
                },
                other => println!("  no packet: {other:?}"),
            }
        }
    }
}
