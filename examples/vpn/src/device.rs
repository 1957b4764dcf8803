//! The TUN device: packets from the inner side, split into segments, and packets to it, merged again.

use core::net::Ipv4Addr;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};

use ipencap::tunnel::PeerId;
use nix::errno::Errno;
use tun_rs::{
    DeviceBuilder, ExpandBuffer, GROTable, IDEAL_BATCH_SIZE, SyncDevice, VIRTIO_NET_HDR_LEN,
    VirtioNetHdr,
};

use crate::config::Interface;
use crate::sockets::MAX_LEN;

/// The free bytes in front of each packet: four layers of IPv4 and TCP with timestamps take 208.
pub(crate) const HEADROOM: usize = 256;
/// Packets that are written at once.
pub(crate) const BATCH: usize = IDEAL_BATCH_SIZE;

/// A TUN device.
pub(crate) struct Tun {
    device: SyncDevice,
    name: String,
    raw: Vec<u8>,
    segments: Vec<Vec<u8>>,
    lengths: Vec<usize>,
    queue: Vec<Vec<u8>>,
    /// Whose packets are queued, in their order.
    owners: Vec<Option<PeerId>>,
    /// A megabyte that is used again and again: to make it costs more than to merge.
    merger: Merger,
}

impl Tun {
    /// Makes the device, with its addresses and this MTU.
    pub(crate) fn open(interface: &Interface, mtu: u16) -> io::Result<Self> {
        let mut builder = DeviceBuilder::new().mtu(mtu).offload(interface.offload);
        if let Some(name) = &interface.name {
            builder = builder.name(name);
        }
        let mut addresses = interface.addresses.iter();
        if let Some((address, prefix_len)) = addresses.next() {
            builder = builder.ipv4(*address, *prefix_len, None);
        }
        let device = builder.build_sync()?;
        for (address, prefix_len) in addresses {
            device.add_address_v4(*address, *prefix_len)?;
        }
        device.set_nonblocking(true)?;
        accept_own_source(&device.name()?);
        let count = if device.tcp_gso() { BATCH } else { 1 };
        Ok(Self {
            name: device.name()?,
            device,
            raw: vec![0; VIRTIO_NET_HDR_LEN + MAX_LEN],
            segments: segments(count, mtu),
            lengths: vec![0; count],
            queue: Vec::new(),
            owners: Vec::new(),
            merger: Merger::default(),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn index(&self) -> io::Result<u32> {
        self.device.if_index()
    }

    pub(crate) fn has_offload(&self) -> bool {
        self.device.tcp_gso()
    }

    pub(crate) fn set_mtu(&mut self, mtu: u16) -> io::Result<()> {
        self.device.set_mtu(mtu)?;
        self.segments = segments(self.segments.len(), mtu);
        Ok(())
    }

    pub(crate) fn add_address(&self, (address, prefix_len): (Ipv4Addr, u8)) -> io::Result<()> {
        self.device.add_address_v4(address, prefix_len)
    }

    pub(crate) fn remove_address(&self, address: Ipv4Addr) -> io::Result<()> {
        self.device.remove_address(address.into())
    }

    /// Reads a packet, or the segments of a super-packet; `None` if there is none now.
    pub(crate) fn read(&mut self) -> io::Result<Option<Segments<'_>>> {
        let (raw, lengths) = (&mut self.raw, &mut self.lengths);
        match self
            .device
            .recv_multiple(raw, &mut self.segments, lengths, HEADROOM)
        {
            Ok(count) => Ok(Some(Segments {
                buffers: &mut self.segments[..count],
                lengths: &self.lengths[..count],
                is_unreadable: false,
            })),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            // Not the system's: a super-packet that cannot be split. It is lost.
            Err(error) if error.raw_os_error().is_none() => Ok(Some(Segments {
                buffers: &mut [],
                lengths: &[],
                is_unreadable: true,
            })),
            Err(error) => Err(error),
        }
    }

    /// Queues a packet, of this peer unless the program has made it. [`flush`](Self::flush) writes it.
    pub(crate) fn queue(&mut self, peer: Option<PeerId>, packet: &[u8]) {
        let offset = self.offset();
        let queued = self.owners.len();
        if queued == self.queue.len() {
            self.queue
                .push(Vec::with_capacity(VIRTIO_NET_HDR_LEN + MAX_LEN));
        }
        let buffer = &mut self.queue[queued];
        buffer.clear();
        buffer.resize(offset, 0);
        buffer.extend_from_slice(packet);
        self.owners.push(peer);
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.owners.len() >= BATCH
    }

    /// Writes the packets that are queued. What the system does not take is lost, like what a full queue of a
    /// device loses: `lose` gets whose packets, how many, and their bytes.
    pub(crate) fn flush(&mut self, mut lose: impl FnMut(PeerId, u64, u64)) -> io::Result<()> {
        let mut owners = core::mem::take(&mut self.owners);
        let packets = &mut self.queue[..owners.len()];
        let has_header = self.device.tcp_gso();
        if has_header {
            // The device's own `send_multiple` does this, too, but does not tell which packets were not taken.
            self.merger.merge(packets, self.device.udp_gso())?;
        }
        let mut result = Ok(());
        for (index, packet) in packets.iter().enumerate() {
            if has_header && is_merged(packet) {
                continue;
            }
            match self.device.send(packet) {
                Ok(_) => {}
                Err(error) => {
                    if let Some(peer) = owners[index] {
                        let (count, bytes) = merged(packet, has_header);
                        lose(peer, count, bytes);
                    }
                    if !is_passing(&error) {
                        result = Err(error);
                    }
                }
            }
        }
        owners.clear();
        self.owners = owners;
        result
    }

    fn offset(&self) -> usize {
        if self.has_offload() {
            VIRTIO_NET_HDR_LEN
        } else {
            0
        }
    }
}

/// Merges packets of one flow.
#[derive(Default)]
struct Merger(GROTable);

/// In place of the header of a packet that has become part of another. No header begins like this.
const MERGED: [u8; VIRTIO_NET_HDR_LEN] = [0xff; VIRTIO_NET_HDR_LEN];

impl Merger {
    /// Merges packets that have room for a header in front. Those that are part of others then are
    /// [merged](is_merged), the others have a header.
    fn merge<B: ExpandBuffer>(&mut self, packets: &mut [B], with_udp: bool) -> io::Result<()> {
        for packet in &mut *packets {
            if let Some(header) = packet.as_mut().first_chunk_mut() {
                *header = MERGED;
            }
        }
        self.0.apply_gro(packets, VIRTIO_NET_HDR_LEN, with_udp)
    }
}

fn is_merged(packet: &[u8]) -> bool {
    packet.first_chunk() == Some(&MERGED)
}

/// Buffers for segments of a super-packet. The first is for packets that come whole, too, and holds the longest:
/// somebody may raise the MTU of the device, and the others have some room for that only. None takes memory until it is
/// written.
fn segments(count: usize, mtu: u16) -> Vec<Vec<u8>> {
    let room = |number| match number {
        0 => MAX_LEN,
        _ => usize::from(mtu.max(2048)),
    };
    (0..count)
        .map(|number| vec![0; HEADROOM + room(number)])
        .collect()
}

/// ICMP errors for inner hosts come through the device from its own address. Linux drops packets that come from
/// outside with a source of its own, unless it is told.
fn accept_own_source(name: &str) {
    let setting = format!("/proc/sys/net/ipv4/conf/{name}/accept_local");
    if let Err(error) = std::fs::write(&setting, "1") {
        crate::say(&format!(
            "cannot set {setting} to 1 ({error}): senders on this side will not hear of packets that are too long; \
             run sysctl -w net.ipv4.conf.{name}.accept_local=1"
        ));
    }
}

/// How many packets are in one that is written, and their bytes, each with headers of its own.
fn merged(written: &[u8], has_header: bool) -> (u64, u64) {
    if !has_header {
        return (1, written.len() as u64);
    }
    let len = written.len().saturating_sub(VIRTIO_NET_HDR_LEN);
    match VirtioNetHdr::decode(written) {
        Ok(header) if header.gso_size > 0 => {
            let headers_len = usize::from(header.hdr_len);
            let payload_len = len.saturating_sub(headers_len);
            let count = payload_len.div_ceil(usize::from(header.gso_size)).max(1);
            (count as u64, (payload_len + count * headers_len) as u64)
        }
        _ => (1, len as u64),
    }
}

/// Whether an error says that this packet is not taken, and not that the device is gone.
fn is_passing(error: &io::Error) -> bool {
    let passing = [
        Errno::EAGAIN,
        Errno::ENOBUFS,
        Errno::ENOMEM,
        Errno::EIO,
        Errno::EINVAL,
        Errno::EMSGSIZE,
    ];
    error
        .raw_os_error()
        .is_none_or(|number| passing.contains(&Errno::from_raw(number)))
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

/// Packets that were read at once, each behind [`HEADROOM`] free bytes.
pub(crate) struct Segments<'a> {
    pub(crate) buffers: &'a mut [Vec<u8>],
    pub(crate) lengths: &'a [usize],
    /// Whether there was a packet that could not be split.
    pub(crate) is_unreadable: bool,
}

#[cfg(test)]
mod tests {
    use ipencap::checksum::Sum;
    use ipencap::wire::{IpProtocol, Ipv4Header};

    use super::*;

    /// A device whose MTU somebody has raised has long packets.
    #[test]
    fn a_whole_packet_of_any_length_has_room() {
        for count in [1, BATCH] {
            let segments = segments(count, 1472);
            assert_eq!(segments.len(), count);
            assert_eq!(segments[0].len(), HEADROOM + MAX_LEN);
        }
    }

    /// A segment of a TCP connection, behind room for a header.
    fn segment(port: u8, sequence: u32, payload: &[u8]) -> Vec<u8> {
        let (source, destination) = (Ipv4Addr::new(10, 1, 0, 2), Ipv4Addr::new(10, 2, 0, 2));
        let tcp_len = u16::try_from(20 + payload.len()).unwrap();
        let mut tcp = vec![0, port, 0, 80];
        tcp.extend(sequence.to_be_bytes());
        tcp.extend([0, 0, 0, 1, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0]);
        tcp.extend(payload);
        let mut pseudo = [source.octets(), destination.octets()].concat();
        pseudo.extend([0, 6]);
        pseudo.extend(tcp_len.to_be_bytes());
        let checksum = Sum::new().add_bytes(&pseudo).add_bytes(&tcp).checksum();
        tcp[16..18].copy_from_slice(&checksum.to_be_bytes());
        let header = Ipv4Header::new(source, destination, IpProtocol::TCP, 20 + tcp_len);
        let mut packet = Vec::with_capacity(VIRTIO_NET_HDR_LEN + MAX_LEN);
        packet.resize(VIRTIO_NET_HDR_LEN, 0);
        packet.extend(header.as_bytes());
        packet.extend(tcp);
        packet
    }

    /// Each packet is written once: by itself, or in the one that it was merged into, whatever came before.
    #[test]
    fn every_packet_is_written_once() {
        let mut merger = Merger::default();
        for round in 0..3 {
            let at = |number: u32| 1000 * round + 100 * number;
            let mut packets = vec![
                segment(1, at(0), &[1; 100]),
                segment(2, at(7), &[2; 100]),
                segment(1, at(1), &[3; 100]),
                // Before what has come.
                segment(2, at(6), &[4; 100]),
                // Wrong checksums, of one that may be merged and of one that another may be merged into.
                segment(1, at(2), &[5; 100]),
                segment(3, at(0), &[6; 100]),
                segment(3, at(1), &[7; 100]),
                // No payload, no TCP.
                segment(4, at(0), &[]),
                [vec![0; VIRTIO_NET_HDR_LEN], vec![0x45; 28]].concat(),
            ];
            let checksum_at = VIRTIO_NET_HDR_LEN + 20 + 16;
            packets[4][checksum_at] ^= 1;
            packets[5][checksum_at] ^= 1;
            merger.merge(&mut packets, true).unwrap();
            let written: Vec<_> = packets.iter().filter(|packet| !is_merged(packet)).collect();
            let payloads: Vec<Vec<u8>> = written
                .iter()
                .map(|packet| {
                    let mut kinds = packet.get(50..).unwrap_or_default().to_vec();
                    kinds.dedup();
                    kinds.retain(|kind| (1..8).contains(kind));
                    kinds.dedup();
                    kinds
                })
                .collect();
            let counts: Vec<u64> = written
                .iter()
                .map(|packet| merged(packet, true).0)
                .collect();
            assert_eq!(
                (payloads, counts),
                (
                    vec![
                        vec![1, 3],
                        vec![4, 2],
                        vec![5],
                        vec![6],
                        vec![7],
                        vec![],
                        vec![],
                    ],
                    vec![2, 2, 1, 1, 1, 1, 1],
                ),
                "round {round}"
            );
        }
    }
}
