//! What a packet costs.

use core::hint::black_box;

use ipencap::packet::{Packet, PerPacket, Span};
use ipencap::time::Instant;
use ipencap::tunnel::{Endpoint, Inbound, Outbound, Peers, Tally};
use semihosting::println;
use smoltcp::iface::{SocketSet, SocketStorage};
use smoltcp::phy::Device;
use smoltcp::socket::udp;
use smoltcp::time::Duration;
use smoltcp::wire::IpAddress;

use crate::board::PACKET_LENS;
use crate::ends::{Ends, Fault, LEFT, RIGHT};
use crate::instructions::Counter;
use crate::packets;
use crate::stack;
use crate::steps::SocketMemory;

/// How often something is done, for an average.
const TIMES: u32 = 200;

const PORT: u16 = 9;

/// As much room in front of a packet as any tunnel here needs.
pub const HEADROOM: usize = 64;

/// What one packet costs at both ends.
#[derive(Clone, Copy, Default)]
struct Cost {
    sent: u32,
    received: u32,
}

fn print(name: &str, [short, long]: [Cost; 2]) {
    println!(
        "  {name:<34} {:>8} {:>8}   {:>8} {:>8}",
        short.sent, short.received, long.sent, long.received
    );
}

/// The heading of what this module prints.
pub fn print_heading() {
    let [short, long] = PACKET_LENS;
    println!("instructions for a UDP packet of {short} bytes, and of {long} bytes");
    println!(
        "  {:<34} {:>8} {:>8}   {:>8} {:>8}",
        "", "sent", "received", "sent", "received"
    );
}

/// What the endpoints alone do with a packet.
pub fn endpoints<P: Peers, C: Tally>(
    counter: &Counter,
    name: &str,
    left: &mut Endpoint<'_, P, C>,
    right: &mut Endpoint<'_, P, C>,
    [inner, outer]: &mut SocketMemory,
) -> Result<(), Fault> {
    let now = Instant::from_millis(0);
    let mut costs = [Cost::default(); 2];
    let mut stacks = (None, None);
    for (cost, len) in costs.iter_mut().zip(PACKET_LENS) {
        packets::udp(&mut inner[HEADROOM..HEADROOM + len], LEFT, RIGHT, PORT);
        let mut outer_len = 0;
        let mut send = |out: &mut dyn FnMut(&mut [u8])| {
            // What was written in front of the packet is written anew each time.
            let mut packet = Packet::new(&mut inner[..], Span::new(HEADROOM, len));
            matches!(
                left.send(now, &mut packet, &PerPacket::new(), out),
                Outbound::Send { .. }
            )
        };
        let mut keep = |bytes: &mut [u8]| {
            outer_len = bytes.len();
            outer[..outer_len].copy_from_slice(bytes);
        };
        if !send(&mut keep) {
            return Err("the packet is not sent");
        }
        cost.sent = counter.of_each(TIMES, || {
            black_box(send(&mut |bytes| {
                black_box(bytes);
            }));
        });
        stacks.0 = stack::used_by(|| {
            send(&mut |bytes| {
                black_box(bytes);
            })
        })
        .0;
        let mut receive = || {
            matches!(
                right.receive(now, &mut outer[..outer_len]),
                Inbound::Deliver { .. }
            )
        };
        if !receive() {
            return Err("the packet is not delivered");
        }
        cost.received = counter.of_each(TIMES, || {
            black_box(receive());
        });
        stacks.1 = stack::used_by(receive).0;
    }
    print(name, costs);
    if let (Some(sent), Some(received)) = stacks {
        println!("    and {sent} and {received} bytes of stack");
    }
    Ok(())
}

/// What two stacks do with a packet from one socket to another, and their devices.
pub fn stacks<D: Device>(
    counter: &Counter,
    name: &str,
    ends: &mut Ends<D>,
    [left, right]: &mut SocketMemory,
) -> Result<(), Fault> {
    let mut storage = [[SocketStorage::EMPTY], [SocketStorage::EMPTY]];
    let [left_storage, right_storage] = &mut storage;
    let (mut left_sockets, mut right_sockets) = (
        SocketSet::new(&mut left_storage[..]),
        SocketSet::new(&mut right_storage[..]),
    );
    let mut metadata = [udp::PacketMetadata::EMPTY; 4];
    let [one, two, three, four] = &mut metadata;
    let mut sender = udp::Socket::new(
        udp::PacketBuffer::new(core::slice::from_mut(one), &mut [][..]),
        udp::PacketBuffer::new(core::slice::from_mut(two), &mut left[..]),
    );
    sender.bind(PORT).map_err(|_| "cannot bind")?;
    let sender = left_sockets.add(sender);
    let mut receiver = udp::Socket::new(
        udp::PacketBuffer::new(core::slice::from_mut(three), &mut right[..]),
        udp::PacketBuffer::new(core::slice::from_mut(four), &mut [][..]),
    );
    receiver.bind(PORT).map_err(|_| "cannot bind")?;
    let receiver = right_sockets.add(receiver);

    let mut costs = [Cost::default(); 2];
    for (cost, len) in costs.iter_mut().zip(PACKET_LENS) {
        for _ in 0..TIMES {
            let socket = left_sockets.get_mut::<udp::Socket>(sender);
            // Without the headers of IPv4 and UDP.
            socket
                .send(len - 28, (IpAddress::from(RIGHT), PORT))
                .map_err(|_| "cannot send")?
                .fill(0x42);
            cost.sent += counter.of(|| ends.left.poll(ends.now, &mut left_sockets));
            cost.received += counter.of(|| ends.right.poll(ends.now, &mut right_sockets));
            let socket = right_sockets.get_mut::<udp::Socket>(receiver);
            let (bytes, _) = socket.recv().map_err(|_| "nothing is received")?;
            if bytes.len() != len - 28 {
                return Err("another packet is received");
            }
            ends.now += Duration::from_millis(1);
        }
        cost.sent /= TIMES;
        cost.received /= TIMES;
    }
    print(name, costs);
    Ok(())
}
