//! Raw sockets: the endpoint writes and reads the outer IPv4 header.

use core::net::{Ipv4Addr, SocketAddrV4};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, setsockopt, sockopt};
use socket2::{Protocol, Socket, Type};

use super::batch::{BATCH, Sender};
use super::{Buffers, NotSent, Owner, open};

/// A socket for the packets of one IP protocol at one of our addresses.
pub(crate) struct Raw {
    fd: Socket,
    protocol: u8,
    local: Ipv4Addr,
    bytes: Vec<u8>,
    queued: Vec<Queued>,
    sending: Sender,
    receiving: MultiHeaders<SockaddrIn>,
    buffers: Buffers,
    lengths: Vec<usize>,
}

struct Queued {
    owner: Owner,
    to: Ipv4Addr,
    len: usize,
}

impl Raw {
    pub(crate) fn open(protocol: u8, local: Ipv4Addr) -> io::Result<Self> {
        let protocol_number = Protocol::from(i32::from(protocol));
        let fd = open(
            Type::RAW,
            Some(protocol_number),
            SocketAddrV4::new(local, 0),
        )?;
        fd.set_header_included_v4(true)?;
        setsockopt(&fd, sockopt::Ipv4RecvErr, &true)?;
        Ok(Self {
            fd,
            protocol,
            local,
            bytes: Vec::with_capacity(BATCH * 1600),
            queued: Vec::with_capacity(BATCH),
            sending: Sender::new(),
            receiving: MultiHeaders::preallocate(BATCH, None),
            buffers: Buffers::new(BATCH),
            lengths: Vec::with_capacity(BATCH),
        })
    }

    pub(crate) const fn key(&self) -> (u8, Ipv4Addr) {
        (self.protocol, self.local)
    }

    /// Queues a packet, and sends those before it if there are many.
    pub(crate) fn queue(&mut self, owner: Owner, outer: &[u8], lost: &mut Vec<NotSent>) {
        let Some(&[a, b, c, d]) = outer.get(16..).and_then(|rest| rest.first_chunk()) else {
            return;
        };
        if self.queued.len() == BATCH {
            self.flush(lost);
        }
        self.bytes.extend_from_slice(outer);
        self.queued.push(Queued {
            owner,
            to: Ipv4Addr::new(a, b, c, d),
            len: outer.len(),
        });
    }

    /// Sends what is queued.
    pub(crate) fn flush(&mut self, lost: &mut Vec<NotSent>) {
        let mut rest = &self.bytes[..];
        let mut slices = Vec::with_capacity(self.queued.len());
        for packet in &self.queued {
            let (bytes, behind) = rest.split_at(packet.len);
            slices.push([IoSlice::new(bytes)]);
            rest = behind;
        }
        let to = |packet: &Queued| Some(SockaddrIn::from(SocketAddrV4::new(packet.to, 0)));
        let addresses: Vec<_> = self.queued.iter().map(to).collect();
        let queued = &self.queued;
        self.sending
            .send(&self.fd, &slices, &addresses, None, |number, why| {
                let owner = queued[number].owner;
                lost.push(NotSent { owner, why });
            });
        self.bytes.clear();
        self.queued.clear();
    }

    /// Receives some packets.
    pub(crate) fn receive(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.lengths.clear();
        let mut slices: Vec<_> = self
            .buffers
            .iter_mut()
            .map(|buffer| [IoSliceMut::new(buffer)])
            .collect();
        let received = recvmmsg(
            self.fd.as_raw_fd(),
            &mut self.receiving,
            slices.iter_mut(),
            MsgFlags::MSG_DONTWAIT,
            None,
        );
        if let Ok(messages) = received {
            self.lengths.extend(messages.map(|message| message.bytes));
        }
        let lengths = self.lengths.iter();
        self.buffers
            .iter_mut()
            .zip(lengths)
            .map(|(buffer, len)| &mut buffer[..*len])
    }
}

impl AsFd for Raw {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
