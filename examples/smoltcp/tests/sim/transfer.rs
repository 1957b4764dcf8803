//! Bytes each way over one TCP connection.

use std::cell::RefCell;
use std::rc::Rc;

use smoltcp::socket::tcp;
use smoltcp::time::{Duration, Instant};

use super::Wire;
use super::host::{Host, Stack};

const PORT: u16 = 7;
/// Nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(3600);

/// The byte at this place of the stream of one end.
pub(crate) const fn byte_at(end: usize, at: usize) -> u8 {
    let mixed = (at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15 ^ end as u64);
    mixed.to_be_bytes()[1]
}

/// How far the bytes of one end have come.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stream {
    pub(crate) written: usize,
    pub(crate) read: usize,
}

/// Bytes each way between two hosts.
pub(crate) struct Transfer<'h, A, B> {
    left: &'h mut A,
    right: &'h mut B,
    wire: Rc<RefCell<Wire>>,
    pub(crate) now: Instant,
    streams: [Stream; 2],
    total: usize,
}

/// Bytes of both directions that have arrived, and how long that took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Goodput {
    pub(crate) bytes: usize,
    pub(crate) time: Duration,
}

impl Goodput {
    pub(crate) fn per_second(self) -> f64 {
        self.bytes as f64 * 1e6 / self.time.total_micros().max(1) as f64
    }
}

impl<'h, A: Host, B: Host> Transfer<'h, A, B> {
    /// Connects the left host to the right one, to send `total` bytes each way.
    pub(crate) fn new(
        left: &'h mut A,
        right: &'h mut B,
        wire: &Rc<RefCell<Wire>>,
        total: usize,
    ) -> Self {
        let now = Instant::ZERO;
        let to = right.stack().address;
        let server = right.stack();
        server
            .sockets
            .get_mut::<tcp::Socket<'_>>(server.tcp)
            .listen(PORT)
            .unwrap();
        let Stack {
            interface,
            sockets,
            tcp,
            ..
        } = left.stack();
        let client = sockets.get_mut::<tcp::Socket<'_>>(*tcp);
        client
            .connect(interface.context(), (to, PORT), 49_152)
            .unwrap();
        Self {
            left,
            right,
            wire: Rc::clone(wire),
            now,
            streams: [Stream::default(); 2],
            total,
        }
    }

    pub(crate) fn arrived(&self) -> usize {
        self.streams.iter().map(|stream| stream.read).sum()
    }

    /// Goes on until so many bytes have arrived, of both directions.
    pub(crate) fn run(&mut self, arrived: usize) -> Goodput {
        let (begins, before) = (self.now, self.arrived());
        while self.arrived() < arrived {
            self.step();
            assert!(
                self.now < Instant::ZERO + PATIENCE,
                "stuck at {:?}",
                self.streams
            );
        }
        Goodput {
            bytes: self.arrived() - before,
            time: self.now - begins,
        }
    }

    fn step(&mut self) {
        let Self {
            left,
            right,
            streams: [out, back],
            ..
        } = self;
        for _ in 0..2 {
            left.poll(self.now);
            right.poll(self.now);
            exchange(left.stack(), 0, out, back, self.total);
            exchange(right.stack(), 1, back, out, self.total);
        }
        let mut next = [left.poll_at(self.now), right.poll_at(self.now)];
        next[0] = next
            .into_iter()
            .chain([self.wire.borrow().next_arrival()])
            .flatten()
            .min();
        let soon = self.now + Duration::from_micros(100);
        self.now = next[0].unwrap_or(soon).max(soon);
    }
}

/// Writes what fits of this end's bytes, and reads and compares what came of the other's.
pub(crate) fn exchange(
    stack: &mut Stack,
    end: usize,
    own: &mut Stream,
    others: &mut Stream,
    total: usize,
) {
    let socket = stack.sockets.get_mut::<tcp::Socket<'_>>(stack.tcp);
    while socket.can_send() && own.written < total {
        own.written += socket
            .send(|free| {
                let len = free.len().min(total - own.written);
                for (at, byte) in (own.written..).zip(&mut free[..len]) {
                    *byte = byte_at(end, at);
                }
                (len, len)
            })
            .unwrap();
    }
    while socket.can_recv() {
        others.read += socket
            .recv(|bytes| {
                let right = (others.read..)
                    .zip(&*bytes)
                    .all(|(at, byte)| *byte == byte_at(1 - end, at));
                assert!(right, "other bytes than were sent, behind {}", others.read);
                (bytes.len(), bytes.len())
            })
            .unwrap();
    }
    assert!(
        socket.is_open() || others.read == total,
        "the connection is gone"
    );
}
