//! What is tried through a tunnel, or without one.

use smoltcp::iface::{SocketSet, SocketStorage};
use smoltcp::phy::{ChecksumCapabilities, Device};
use smoltcp::socket::{icmp, raw, tcp, udp};
use smoltcp::wire::{Icmpv4Packet, Icmpv4Repr, IpAddress, IpProtocol, IpVersion};

use ipencap::icmp::{self as icmp_errors, ReportKind};

use crate::board::{ECHO_LEN, SOCKET_LEN};
use crate::ends::{Ends, Fault, RIGHT};

/// The memory of the sockets of both ends.
pub type SocketMemory = [[u8; SOCKET_LEN]; 2];

const PING: u16 = 0x2003;
const ECHO_PORT: u16 = 7;
const UDP_PORT: u16 = 4004;

/// An echo request of 56 bytes, and its reply.
pub fn ping<D: Device>(ends: &mut Ends<D>, [memory, _]: &mut SocketMemory) -> Result<(), Fault> {
    let (receive, send) = memory.split_at_mut(SOCKET_LEN / 2);
    let mut storage = [SocketStorage::EMPTY];
    let mut sockets = SocketSet::new(&mut storage[..]);
    let mut arrived = [icmp::PacketMetadata::EMPTY];
    let mut leaving = [icmp::PacketMetadata::EMPTY];
    let mut socket = icmp::Socket::new(
        icmp::PacketBuffer::new(&mut arrived[..], receive),
        icmp::PacketBuffer::new(&mut leaving[..], send),
    );
    socket
        .bind(icmp::Endpoint::Ident(PING))
        .map_err(|_| "cannot bind")?;
    let data = b"ipencap: 56 bytes that go through the tunnel and return!";
    let request = Icmpv4Repr::EchoRequest {
        ident: PING,
        seq_no: 1,
        data,
    };
    let place = socket
        .send(request.buffer_len(), RIGHT.into())
        .map_err(|_| "cannot send")?;
    request.emit(
        &mut Icmpv4Packet::new_unchecked(place),
        &ChecksumCapabilities::default(),
    );
    let socket = sockets.add(socket);
    ends.run(&mut sockets, &mut SocketSet::new(&mut [][..]), |left, _| {
        left.get_mut::<icmp::Socket>(socket).can_recv()
    })?;

    let (bytes, from) = sockets
        .get_mut::<icmp::Socket>(socket)
        .recv()
        .map_err(|_| "no reply")?;
    let packet = Icmpv4Packet::new_checked(bytes).map_err(|_| "a reply that is cut")?;
    let reply = Icmpv4Repr::parse(&packet, &ChecksumCapabilities::default())
        .map_err(|_| "a broken reply")?;
    let expected = Icmpv4Repr::EchoReply {
        ident: PING,
        seq_no: 1,
        data,
    };
    if reply == expected && from == RIGHT.into() {
        Ok(())
    } else {
        Err("the reply is another")
    }
}

/// The byte at this place of what is echoed.
fn pattern(place: usize) -> u8 {
    (place ^ (place >> 8)).to_le_bytes()[0]
}

/// A TCP connection, on which the right end sends back what comes: every byte must return.
pub fn echo<D: Device>(ends: &mut Ends<D>, [left, right]: &mut SocketMemory) -> Result<(), Fault> {
    let mut storage = [[SocketStorage::EMPTY], [SocketStorage::EMPTY]];
    let [left_storage, right_storage] = &mut storage;
    let mut left_sockets = SocketSet::new(&mut left_storage[..]);
    let mut right_sockets = SocketSet::new(&mut right_storage[..]);
    let socket = |memory| {
        let (receive, send) = <[u8]>::split_at_mut(memory, SOCKET_LEN / 2);
        tcp::Socket::new(
            tcp::SocketBuffer::new(receive),
            tcp::SocketBuffer::new(send),
        )
    };
    let mut server = socket(&mut right[..]);
    server.listen(ECHO_PORT).map_err(|_| "cannot listen")?;
    let server = right_sockets.add(server);
    let mut client = socket(&mut left[..]);
    // Another port each time: the last connection's is not forgotten at once.
    let port = 49152 + u16::try_from(ends.now.total_millis() % 16_000).unwrap_or(0);
    client
        .connect(ends.left.context(), (RIGHT, ECHO_PORT), port)
        .map_err(|_| "cannot connect")?;
    let client = left_sockets.add(client);

    let (mut sent, mut returned, mut wrong) = (0, 0, false);
    ends.run(&mut left_sockets, &mut right_sockets, |left, right| {
        let server = right.get_mut::<tcp::Socket>(server);
        // What has come is sent back as far as there is room.
        let room = server.send_capacity() - server.send_queue();
        let mut bytes = [0; 128];
        let mut room = room;
        while room > 0 && server.can_recv() {
            let limit = room.min(bytes.len());
            let len = server.recv_slice(&mut bytes[..limit]).unwrap_or(0);
            room -= server.send_slice(&bytes[..len]).unwrap_or(0);
        }

        let client = left.get_mut::<tcp::Socket>(client);
        if client.may_send() {
            let _ = client.send(|place| {
                let len = place.len().min(ECHO_LEN - sent);
                for byte in &mut place[..len] {
                    *byte = pattern(sent);
                    sent += 1;
                }
                (len, ())
            });
        }
        let _ = client.recv(|bytes| {
            for byte in &*bytes {
                wrong |= *byte != pattern(returned);
                returned += 1;
            }
            (bytes.len(), ())
        });
        returned == ECHO_LEN
    })?;
    left_sockets.get_mut::<tcp::Socket>(client).abort();
    right_sockets.get_mut::<tcp::Socket>(server).abort();
    if wrong {
        Err("other bytes return")
    } else {
        Ok(())
    }
}

/// Sends a datagram in an IP packet of `len` bytes that must not be fragmented. It is reported to be too long for the
/// path, which carries `mtu` bytes.
///
/// The report is read by a raw socket: smoltcp's sockets for ICMP drop those that quote less than the whole packet, and
/// do not tell the MTU.
pub fn too_long<D: Device>(
    ends: &mut Ends<D>,
    [reports, memory]: &mut SocketMemory,
    len: usize,
    mtu: u16,
) -> Result<(), Fault> {
    let mut storage = [SocketStorage::EMPTY, SocketStorage::EMPTY];
    let mut sockets = SocketSet::new(&mut storage[..]);
    let (mut arrived, mut leaving) = ([raw::PacketMetadata::EMPTY], [raw::PacketMetadata::EMPTY]);
    let listener = sockets.add(raw::Socket::new(
        Some(IpVersion::Ipv4),
        Some(IpProtocol::Icmp),
        raw::PacketBuffer::new(&mut arrived[..], &mut reports[..]),
        raw::PacketBuffer::new(&mut leaving[..], &mut [][..]),
    ));
    let (mut udp_arrived, mut udp_leaving) =
        ([udp::PacketMetadata::EMPTY], [udp::PacketMetadata::EMPTY]);
    let mut sender = udp::Socket::new(
        udp::PacketBuffer::new(&mut udp_arrived[..], &mut [][..]),
        udp::PacketBuffer::new(&mut udp_leaving[..], &mut memory[..]),
    );
    sender.bind(UDP_PORT).map_err(|_| "cannot bind")?;
    // Without the headers of IPv4 and UDP.
    sender
        .send(len - 28, (IpAddress::from(RIGHT), 9))
        .map_err(|_| "cannot send")?
        .fill(0x42);
    sockets.add(sender);
    ends.run(&mut sockets, &mut SocketSet::new(&mut [][..]), |left, _| {
        left.get_mut::<raw::Socket>(listener).can_recv()
    })?;

    let report = sockets
        .get_mut::<raw::Socket>(listener)
        .recv()
        .map_err(|_| "no report")?;
    match icmp_errors::read(report) {
        Ok(report) if report.kind() == (ReportKind::FragmentationNeeded { mtu }) => Ok(()),
        Ok(_) => Err("the report says something else"),
        Err(_) => Err("the report is broken"),
    }
}
