//! The system tells when a device goes down and comes up.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::Error;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};

/// `RTMGRP_LINK` and `RTM_NEWLINK` of `linux/rtnetlink.h`.
const LINK_GROUP: u32 = 1;
const NEW_LINK: u16 = 16;
/// `IFF_UP` of `linux/if.h`.
const UP: u32 = 1;
/// The lengths of `struct nlmsghdr` and `struct ifinfomsg`.
const HEADER_LEN: usize = 16;
const INFO_LEN: usize = 16;
/// What matters stands at the start of a message; the end of a long one is cut.
const ROOM: usize = 4096;

/// What the system tells of one device, which is up when this begins.
pub(crate) struct Links {
    fd: OwnedFd,
    index: u32,
    is_up: bool,
}

impl Links {
    pub(crate) fn open(index: u32) -> io::Result<Self> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let route = SockProtocol::NetlinkRoute;
        let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, route)?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, LINK_GROUP))?;
        Ok(Self {
            fd,
            index,
            is_up: true,
        })
    }

    /// Reads what has come. Returns whether the device has come up again since.
    pub(crate) fn is_up_again(&mut self) -> bool {
        let mut bytes = [0; ROOM];
        let mut is_up_again = false;
        loop {
            match recv(self.fd.as_raw_fd(), &mut bytes, MsgFlags::empty()) {
                Ok(len) => is_up_again |= self.read(&bytes[..len]),
                Err(Error::EINTR) => {}
                // Some were lost: it may have been down.
                Err(Error::ENOBUFS) => is_up_again |= self.is_up,
                Err(_) => return is_up_again,
            }
        }
    }

    fn read(&mut self, mut messages: &[u8]) -> bool {
        let mut is_up_again = false;
        while let Some((header, body)) = messages.split_first_chunk::<HEADER_LEN>() {
            let len = word(header, 0) as usize;
            let kind = u16::from_ne_bytes([header[4], header[5]]);
            if kind == NEW_LINK && body.len() >= INFO_LEN && word(body, 4) == self.index {
                let is_up = word(body, 8) & UP != 0;
                is_up_again |= is_up && !self.is_up;
                self.is_up = is_up;
            }
            let next = len.max(HEADER_LEN).next_multiple_of(4);
            messages = messages.get(next..).unwrap_or_default();
        }
        is_up_again
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let word = bytes.get(at..).and_then(|rest| rest.first_chunk());
    word.copied().map_or(0, u32::from_ne_bytes)
}

impl AsFd for Links {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, index: u32, flags: u32, attributes: usize) -> Vec<u8> {
        let len = u32::try_from(HEADER_LEN + INFO_LEN + attributes).unwrap();
        let mut message = len.to_ne_bytes().to_vec();
        message.extend(kind.to_ne_bytes());
        message.extend([0; 10]);
        message.extend([0; 4]);
        message.extend(index.to_ne_bytes());
        message.extend(flags.to_ne_bytes());
        message.extend([0xff; 4]);
        message.resize(len.next_multiple_of(4) as usize, 0xee);
        message
    }

    #[test]
    fn a_device_comes_up_once_after_each_time_that_it_was_down() {
        let mut links = Links::open(7).unwrap();
        let (up, down) = (0x1043, 0x1002);
        for (messages, expected) in [
            (vec![message(16, 7, up, 0)], false),
            (vec![message(16, 7, down, 5)], false),
            // Of another device, and of another kind.
            (vec![message(16, 8, up, 0), message(20, 7, up, 0)], false),
            (vec![message(16, 8, down, 3), message(16, 7, up, 0)], true),
            (vec![message(16, 7, up, 0)], false),
            // Both in one piece.
            (vec![message(16, 7, down, 2), message(16, 7, up, 1)], true),
            (vec![message(16, 7, down, 2), vec![0; 40]], false),
        ] {
            assert_eq!(links.read(&messages.concat()), expected, "{messages:?}");
        }
        assert!(!links.is_up_again());
    }
}
