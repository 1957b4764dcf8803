use crate::ring::RingBuffer;

use crate::buffer::Buffer;
use crate::losses::{Losses, count};

/// Packets from the inner stack on their way to the network.
#[derive(Debug)]
pub(crate) struct Outgoing<'m, const N: usize> {
    pub(crate) packets: RingBuffer<'m, Buffer<N>>,
    pub(crate) losses: Losses,
    /// The longest headers of any tunnel.
    pub(crate) headroom: usize,
}

impl<'m, const N: usize> Outgoing<'m, N> {
    pub(crate) fn new(buffers: &'m mut [Buffer<N>]) -> Self {
        Self {
            packets: RingBuffer::new(buffers),
            losses: Losses::NONE,
            headroom: 0,
        }
    }

    pub(crate) fn has_room(&self) -> bool {
        !self.packets.is_full()
    }

    /// Takes a packet of so many bytes, which the stack writes. There is room.
    pub(crate) fn put<R>(&mut self, len: usize, write: impl FnOnce(&mut [u8]) -> R) -> R {
        // Never an error: a token is made only where there is room.
        let Ok(packet) = self.packets.enqueue_one() else {
            return write(&mut []);
        };
        let fits = packet.reserve(self.headroom, len) && len > 0;
        // smoltcp leaves the unused bytes of ICMP errors as they are: those of another packet.
        packet.packet_mut().fill(0);
        let result = write(packet.packet_mut());
        if !fits {
            count(&mut self.losses.too_long_from_inner);
            packet.reserve(0, 0);
        }
        result
    }
}
