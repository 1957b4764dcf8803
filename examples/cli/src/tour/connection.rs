//! One direction of a TCP connection as packets, so that a stream can be looked at in a capture.

use core::net::Ipv4Addr;

use ipencap::error::EncapError;
use ipencap::wire::{IpProtocol, Ipv4, Ipv4Header, Tcp, TcpFlags, TcpHeader};

/// IPv4 and TCP headers without options.
pub(super) const HEADERS_LEN: usize = Ipv4Header::LEN + TcpHeader::LEN;

/// The sending side, from the first byte on. It is no TCP: nothing is acknowledged or sent again.
pub(super) struct Connection {
    ends: (Ipv4Addr, Ipv4Addr),
    ports: (u16, u16),
    sequence: u32,
}

impl Connection {
    pub(super) const fn new(
        (source, source_port): (Ipv4Addr, u16),
        (destination, destination_port): (Ipv4Addr, u16),
    ) -> Self {
        Self {
            ends: (source, destination),
            ports: (source_port, destination_port),
            sequence: 0,
        }
    }

    /// The packet that carries the next bytes of the stream.
    pub(super) fn segment(&mut self, bytes: &[u8]) -> Result<Vec<u8>, EncapError> {
        let (source, destination) = self.ends;
        let numbers = (self.sequence, 0);
        let flags = TcpFlags::PSH.union(TcpFlags::ACK);
        let mut tcp = TcpHeader::new(self.ports, numbers, 5, flags, 512);
        tcp.fill_checksum(source, destination, &[], bytes)?;
        let len = HEADERS_LEN + bytes.len();
        let total_len = u16::try_from(len).map_err(|_| EncapError::TooLong { len: len as u32 })?;
        let header = Ipv4Header::new(source, destination, IpProtocol::TCP, total_len);
        self.sequence = self.sequence.wrapping_add(bytes.len() as u32);
        Ok([header.as_bytes().as_slice(), tcp.as_bytes(), bytes].concat())
    }
}

/// The bytes of the stream in a packet of the connection, if that is what it is.
pub(super) fn bytes_of(packet: &[u8]) -> Option<&[u8]> {
    let packet = Ipv4::parse(packet).ok()?;
    let segment = Tcp::parse(packet.payload()).ok()?;
    let header = packet.header();
    segment
        .verifies(header.source(), header.destination())
        .then(|| segment.payload())
}
