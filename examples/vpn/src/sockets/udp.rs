//! UDP sockets, with segmentation offload where the system has it.

use core::net::SocketAddrV4;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use ipencap::wire::Ecn;
use nix::cmsg_space;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrIn, recvmmsg,
    sendmsg, setsockopt, sockopt,
};
use rustix::net::sockopt::{Ipv4PathMtuDiscovery, set_ip_mtu_discover};
use socket2::{Socket, Type};

use super::batch::Sender;
use super::{Buffers, MAX_LEN, NotSent, Owner, Refusal, open};

/// What `UDP_SEGMENT` takes at once.
const MOST_SEGMENTS: usize = 64;
const MOST_PAYLOAD: usize = 65_507;

/// A socket that FOU and GUE packets arrive at, or leave from.
pub(crate) struct Udp {
    fd: Socket,
    local: SocketAddrV4,
    segments: bool,
    train: Train,
    buffers: Buffers,
    /// In the order of the buffers; `None` for what the system says too little of.
    arrived: Vec<Option<Arrived>>,
}

/// Datagrams that are sent by one call: to one address, with one TOS byte. With segmentation offload all have one
/// length but for the last.
struct Train {
    bytes: Vec<u8>,
    to: SocketAddrV4,
    tos: u8,
    segment_len: usize,
    lens: Vec<usize>,
    owners: Vec<Owner>,
    is_closed: bool,
    sender: Sender,
}

impl Udp {
    pub(crate) fn open(local: SocketAddrV4, offload: bool) -> io::Result<Self> {
        let fd = open(Type::DGRAM, None, local)?;
        setsockopt(&fd, sockopt::IpRecvTos, &true)?;
        setsockopt(&fd, sockopt::Ipv4RecvErr, &true)?;
        // DF in every packet; the path MTU is the endpoint's business.
        set_ip_mtu_discover(&fd, Ipv4PathMtuDiscovery::PROBE)?;
        if offload {
            // A kernel without it passes datagrams one by one.
            let _ = setsockopt(&fd, sockopt::UdpGroSegment, &true);
        }
        // The memory of trains is 64 KB each.
        let count = if offload { 8 } else { 64 };
        Ok(Self {
            fd,
            local,
            segments: offload,
            train: Train {
                bytes: Vec::with_capacity(MAX_LEN),
                to: local,
                tos: 0,
                segment_len: 0,
                lens: Vec::with_capacity(MOST_SEGMENTS),
                owners: Vec::with_capacity(MOST_SEGMENTS),
                is_closed: false,
                sender: Sender::with_tos(),
            },
            buffers: Buffers::new(count),
            arrived: Vec::with_capacity(count),
        })
    }

    pub(crate) const fn local(&self) -> SocketAddrV4 {
        self.local
    }

    /// Whether it sends by segmentation offload. Once the system has refused that, it is not tried again.
    pub(crate) const fn segments(&self) -> bool {
        self.segments
    }

    /// Queues a datagram, and sends those before it if it is not of their kind.
    pub(crate) fn queue(
        &mut self,
        owner: Owner,
        (to, tos): (SocketAddrV4, u8),
        payload: &[u8],
        lost: &mut Vec<NotSent>,
    ) {
        let train = &self.train;
        let is_next_segment = !train.is_closed && payload.len() <= train.segment_len;
        let joins = (!self.segments || is_next_segment)
            && (train.to, train.tos) == (to, tos)
            && train.owners.len() < MOST_SEGMENTS
            && train.bytes.len() + payload.len() <= MOST_PAYLOAD;
        if !joins {
            self.flush(lost);
            (self.train.to, self.train.tos) = (to, tos);
            self.train.segment_len = payload.len();
            self.train.is_closed = false;
        }
        let train = &mut self.train;
        train.is_closed |= payload.len() < train.segment_len || payload.is_empty();
        train.bytes.extend_from_slice(payload);
        train.lens.push(payload.len());
        train.owners.push(owner);
    }

    /// Sends what is queued.
    pub(crate) fn flush(&mut self, lost: &mut Vec<NotSent>) {
        let Self { fd, train, .. } = self;
        if train.owners.is_empty() {
            return;
        }
        if !self.segments || train.owners.len() == 1 {
            train.send_singly(fd, lost);
        } else {
            match train.send_segments(fd) {
                Ok(()) => {}
                // Some devices and kernels refuse it, at any time.
                Err(nix::Error::EIO | nix::Error::EINVAL | nix::Error::EOPNOTSUPP) => {
                    self.segments = false;
                    train.send_singly(fd, lost);
                }
                // Perhaps only some of them are too long.
                Err(nix::Error::EMSGSIZE) => train.send_singly(fd, lost),
                Err(error) => {
                    let why = Refusal::of(error);
                    lost.extend(train.owners.iter().map(|&owner| NotSent { owner, why }));
                }
            }
        }
        let train = &mut self.train;
        train.bytes.clear();
        train.lens.clear();
        train.owners.clear();
    }

    /// Receives, and passes on one datagram, several of one length at once, or a batch of them. Returns whether
    /// there may be more.
    pub(crate) fn receive(
        &mut self,
        each: &mut dyn FnMut(Datagrams<'_>) -> io::Result<()>,
    ) -> io::Result<bool> {
        let Self { fd, local, .. } = self;
        receive_all(fd, &mut self.buffers, &mut self.arrived);
        for (buffer, arrived) in self.buffers.iter_mut().zip(&self.arrived) {
            let Some(arrived) = arrived else { continue };
            each(Datagrams {
                from: arrived.from,
                to: *local,
                ecn: arrived.ecn,
                stride: arrived.stride.max(1),
                bytes: &mut buffer[..arrived.len],
            })?;
        }
        Ok(self.arrived.len() == self.buffers.count())
    }
}

/// Receives into each buffer until nothing is left.
fn receive_all(fd: &Socket, buffers: &mut Buffers, arrived: &mut Vec<Option<Arrived>>) {
    arrived.clear();
    // Anew each time: the system leaves in them how much it has told, which would be all the room next time.
    let control = Some(cmsg_space!(i32, u8));
    let mut headers = MultiHeaders::preallocate(buffers.count(), control);
    let mut slices: Vec<_> = buffers
        .iter_mut()
        .map(|buffer| [IoSliceMut::new(buffer)])
        .collect();
    let messages = recvmmsg(
        fd.as_raw_fd(),
        &mut headers,
        slices.iter_mut(),
        MsgFlags::MSG_DONTWAIT,
        None,
    );
    if let Ok(messages) = messages {
        arrived.extend(messages.map(|message| Arrived::of(&message)));
    }
}

/// What the system tells beside the bytes.
struct Arrived {
    from: SocketAddrV4,
    ecn: Ecn,
    stride: usize,
    len: usize,
}

impl Arrived {
    fn of(message: &RecvMsg<'_, '_, SockaddrIn>) -> Option<Self> {
        let len = message.bytes;
        let from = message.address.map(SocketAddrV4::from)?;
        let (mut ecn, mut stride) = (Ecn::NotEct, len);
        for control in message.cmsgs().ok()? {
            match control {
                ControlMessageOwned::Ipv4Tos(tos) => ecn = Ecn::from_bits_truncated(tos),
                ControlMessageOwned::UdpGroSegments(segment) => {
                    stride = usize::try_from(segment).unwrap_or(len);
                }
                _ => {}
            }
        }
        Some(Self {
            from,
            ecn,
            stride,
            len,
        })
    }
}

impl AsFd for Udp {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// What one call has received.
pub(crate) struct Datagrams<'a> {
    pub(crate) from: SocketAddrV4,
    pub(crate) to: SocketAddrV4,
    pub(crate) ecn: Ecn,
    /// The length of each but the last.
    pub(crate) stride: usize,
    pub(crate) bytes: &'a mut [u8],
}

impl Train {
    fn send_singly(&mut self, fd: &Socket, lost: &mut Vec<NotSent>) {
        let mut rest = &self.bytes[..];
        let mut payloads = Vec::with_capacity(self.lens.len());
        for len in &self.lens {
            let (payload, behind) = rest.split_at(*len);
            payloads.push([IoSlice::new(payload)]);
            rest = behind;
        }
        let addresses = vec![Some(SockaddrIn::from(self.to)); payloads.len()];
        let owners = &self.owners;
        self.sender
            .send(fd, &payloads, &addresses, Some(&self.tos), |number, why| {
                let owner = owners[number];
                lost.push(NotSent { owner, why });
            });
    }

    fn send_segments(&self, fd: &Socket) -> nix::Result<()> {
        let segment_len = u16::try_from(self.segment_len).unwrap_or(u16::MAX);
        let call = || {
            sendmsg(
                fd.as_raw_fd(),
                &[IoSlice::new(&self.bytes)],
                &[
                    ControlMessage::Ipv4Tos(&self.tos),
                    ControlMessage::UdpGsoSegments(&segment_len),
                ],
                MsgFlags::MSG_DONTWAIT,
                Some(&SockaddrIn::from(self.to)),
            )
        };
        match call() {
            Ok(_) => Ok(()),
            Err(error @ (nix::Error::EAGAIN | nix::Error::EIO | nix::Error::EINVAL)) => Err(error),
            // It may be the error of an earlier packet, which only now is told (`IP_RECVERR`).
            Err(_) => call().map(drop),
        }
    }
}
