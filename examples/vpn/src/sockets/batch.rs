//! Several packets by one call.

use std::io::IoSlice;
use std::os::fd::AsRawFd;

use nix::cmsg_space;
use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrIn, sendmmsg};

use super::Refusal;

/// Packets that are received and sent by one call.
pub(crate) const BATCH: usize = 256;

/// What the system needs to send a batch.
pub(super) struct Sender(MultiHeaders<SockaddrIn>);

impl Sender {
    pub(super) fn new() -> Self {
        Self(MultiHeaders::preallocate(BATCH, None))
    }

    /// For packets with a TOS byte beside them.
    pub(super) fn with_tos() -> Self {
        Self(MultiHeaders::preallocate(BATCH, Some(cmsg_space!(u8))))
    }

    /// Sends packets to their addresses, [`BATCH`] at most. `lose` gets the number of each that the system does
    /// not take.
    pub(super) fn send<'a>(
        &'a mut self,
        fd: &impl AsRawFd,
        packets: &'a [[IoSlice<'a>; 1]],
        addresses: &[Option<SockaddrIn>],
        tos: Option<&'a u8>,
        mut lose: impl FnMut(usize, Refusal),
    ) {
        let control = tos.map(ControlMessage::Ipv4Tos);
        let (mut next, mut is_second_try) = (0, false);
        while next < packets.len() {
            let sent = sendmmsg(
                fd.as_raw_fd(),
                &mut self.0,
                &packets[next..],
                &addresses[next..],
                control.as_slice(),
                MsgFlags::MSG_DONTWAIT,
            );
            match sent.map(Iterator::count) {
                Ok(count) if count > 0 => {
                    next += count;
                    is_second_try = false;
                }
                // It may be the error of an earlier packet, which only now is told (`IP_RECVERR`).
                Err(error) if !is_second_try && error != nix::Error::EAGAIN => is_second_try = true,
                other => {
                    lose(next, other.map_or_else(Refusal::of, |_| Refusal::Full));
                    next += 1;
                    is_second_try = false;
                }
            }
        }
    }
}
