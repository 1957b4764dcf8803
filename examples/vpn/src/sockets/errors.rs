//! The error queue of a socket: what routers and the system say of packets that were sent.

use core::net::{Ipv4Addr, SocketAddrV4};
use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd};

use nix::cmsg_space;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg};

/// `SO_EE_ORIGIN_LOCAL` and `SO_EE_ORIGIN_ICMP` of `linux/errqueue.h`.
const LOCAL: u8 = 1;
const ICMP: u8 = 2;

/// What is said about a packet from `local`, the socket's address, to `destination`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PathError {
    pub(crate) local: Ipv4Addr,
    pub(crate) destination: Ipv4Addr,
    pub(crate) kind: PathErrorKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PathErrorKind {
    /// The system refused it as longer than this.
    LocalMtu(u16),
    /// A router says that it was longer than this.
    ReportedMtu(u16),
    /// A router says that it did not arrive.
    Unreachable,
}

/// Takes the next error from the queue of a socket that has this address.
pub(crate) fn next(fd: impl AsFd, local: Ipv4Addr) -> Option<PathError> {
    let mut space = cmsg_space!(libc_error::Ext, SockaddrIn, u8);
    // The packet itself is not looked at.
    let mut bytes = [0; 64];
    let mut slices = [IoSliceMut::new(&mut bytes)];
    loop {
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        let message =
            recvmsg::<SockaddrIn>(fd.as_fd().as_raw_fd(), &mut slices, Some(&mut space), flags)
                .ok()?;
        let destination = message.address.map(SocketAddrV4::from);
        for control in message.cmsgs().ok()? {
            let ControlMessageOwned::Ipv4RecvErr(error, _) = control else {
                continue;
            };
            let is_mtu = error.ee_errno == nix::Error::EMSGSIZE as u32;
            let mtu = u16::try_from(error.ee_info).unwrap_or(u16::MAX);
            let kind = match (error.ee_origin, is_mtu) {
                (LOCAL, true) => PathErrorKind::LocalMtu(mtu),
                (ICMP, true) => PathErrorKind::ReportedMtu(mtu),
                (ICMP, false) => PathErrorKind::Unreachable,
                _ => continue,
            };
            if let Some(destination) = destination {
                return Some(PathError {
                    local,
                    destination: *destination.ip(),
                    kind,
                });
            }
        }
    }
}

/// The size of `struct sock_extended_err`, for the buffer.
mod libc_error {
    pub(super) type Ext = [u32; 4];
}
