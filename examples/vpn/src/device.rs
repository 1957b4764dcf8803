//! The TUN device: packets from the inner side, split into segments, and packets to it, merged again.

use core::net::Ipv4Addr;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};

use tun_rs::{DeviceBuilder, GROTable, IDEAL_BATCH_SIZE, SyncDevice, VIRTIO_NET_HDR_LEN};

use crate::config::Interface;
use crate::sockets::{MAX_LEN, zeroed};

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
    merging: GROTable,
    queue: Vec<Vec<u8>>,
    queued: usize,
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
            segments: zeroed(count, segment_room(mtu)),
            lengths: vec![0; count],
            merging: GROTable::new(),
            queue: Vec::new(),
            queued: 0,
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
        self.segments = zeroed(self.segments.len(), segment_room(mtu));
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

    /// Queues a packet. [`flush`](Self::flush) writes it.
    pub(crate) fn queue(&mut self, packet: &[u8]) {
        let offset = self.offset();
        if self.queued == self.queue.len() {
            self.queue
                .push(Vec::with_capacity(VIRTIO_NET_HDR_LEN + MAX_LEN));
        }
        let buffer = &mut self.queue[self.queued];
        buffer.clear();
        buffer.resize(offset, 0);
        buffer.extend_from_slice(packet);
        self.queued += 1;
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.queued >= BATCH
    }

    /// Writes the packets that are queued. What the system does not take is lost, like what a full queue of a
    /// device loses.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let queued = core::mem::take(&mut self.queued);
        if queued == 0 {
            return Ok(());
        }
        let offset = self.offset();
        let written =
            self.device
                .send_multiple(&mut self.merging, &mut self.queue[..queued], offset);
        match written {
            Err(error) if !is_passing(&error) => Err(error),
            _ => Ok(()),
        }
    }

    fn offset(&self) -> usize {
        if self.has_offload() {
            VIRTIO_NET_HDR_LEN
        } else {
            0
        }
    }
}

/// What a packet of the device takes, and some more: somebody may raise its MTU.
fn segment_room(mtu: u16) -> usize {
    HEADROOM + usize::from(mtu.max(2048))
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

/// Whether an error says that this packet is not taken, and not that the device is gone.
fn is_passing(error: &io::Error) -> bool {
    use nix::errno::Errno;
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
