//! Connections, each with the packets of one peer as a stream.

use core::net::{Ipv4Addr, SocketAddrV4};
use core::time::Duration;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use ipencap::stream::{Decoder, Event, StreamFraming};
use ipencap::wire::LengthPrefix;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

use super::MAX_LEN;

/// What waits for the connection at most: more would only be late.
const MOST_WAITING: usize = 1 << 20;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The connection to one peer: there, on its way, or to be made again.
pub(crate) struct Connection {
    state: State,
    framing: StreamFraming,
    /// Whether the peer connects to us.
    listens: bool,
    local: SocketAddrV4,
    remote: SocketAddrV4,
    pause: Duration,
    out: Vec<u8>,
    /// What has come of a frame that is not complete.
    incoming: Vec<u8>,
    has_seen_preamble: bool,
    /// How many sockets it had.
    number: u64,
}

enum State {
    /// Nothing to do before then.
    Waiting(Instant),
    Connecting(Socket),
    Up(Socket),
}

impl Connection {
    pub(crate) fn new(
        listens: bool,
        local: SocketAddrV4,
        remote: SocketAddrV4,
        framing: LengthPrefix,
    ) -> Self {
        Self {
            state: State::Waiting(Instant::now()),
            framing: match framing {
                LengthPrefix::Exclusive => StreamFraming::Exclusive,
                LengthPrefix::Inclusive => StreamFraming::Inclusive,
            },
            listens,
            local,
            remote,
            pause: FIRST_PAUSE,
            out: Vec::new(),
            incoming: Vec::new(),
            has_seen_preamble: false,
            number: 0,
        }
    }

    /// Differs for each socket.
    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    pub(crate) const fn remote(&self) -> SocketAddrV4 {
        self.remote
    }

    pub(crate) const fn local(&self) -> SocketAddrV4 {
        self.local
    }

    pub(crate) const fn listens(&self) -> bool {
        self.listens
    }

    /// When to [connect](Self::connect) again.
    pub(crate) const fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Waiting(until) if !self.listens => Some(until),
            _ => None,
        }
    }

    /// Begins to connect. Whether it is done is told by [`on_writable`](Self::on_writable).
    pub(crate) fn connect(&mut self) {
        let begun = (|| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
            socket.set_nonblocking(true)?;
            // Any port of ours: one that is still in use would delay us.
            socket.bind(&SocketAddrV4::new(*self.local.ip(), 0).into())?;
            match socket.connect(&self.remote.into()) {
                Err(error) if error.raw_os_error() != Some(nix::Error::EINPROGRESS as i32) => {
                    Err(error)
                }
                _ => Ok(socket),
            }
        })();
        match begun {
            Ok(socket) => {
                self.number += 1;
                self.state = State::Connecting(socket);
            }
            Err(_) => self.lose(),
        }
    }

    /// The peer has connected to us. An earlier connection is closed: the peer has forgotten it.
    pub(crate) fn accept(&mut self, socket: Socket) -> io::Result<()> {
        socket.set_nonblocking(true)?;
        self.number += 1;
        self.begin(socket)
    }

    fn begin(&mut self, socket: Socket) -> io::Result<()> {
        socket.set_tcp_nodelay(true)?;
        // A peer that has vanished is noticed in ten seconds.
        socket.set_tcp_keepalive(
            &TcpKeepalive::new()
                .with_time(Duration::from_secs(10))
                .with_interval(Duration::from_secs(5))
                .with_retries(3),
        )?;
        socket.set_tcp_user_timeout(Some(Duration::from_secs(10)))?;
        self.out.clear();
        self.incoming.clear();
        self.has_seen_preamble = !self.listens;
        if !self.listens {
            self.out.extend_from_slice(self.framing.preamble());
        }
        self.pause = FIRST_PAUSE;
        self.state = State::Up(socket);
        Ok(())
    }

    /// The connection is gone; it will be made again after a pause.
    pub(crate) fn lose(&mut self) {
        self.state = State::Waiting(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.out.clear();
    }

    pub(crate) const fn is_up(&self) -> bool {
        matches!(self.state, State::Up(_))
    }

    /// Queues a frame; `false` if it is lost.
    pub(crate) fn queue(&mut self, frame: &[u8]) -> bool {
        let takes_it = self.is_up() && self.out.len() <= MOST_WAITING;
        if takes_it {
            self.out.extend_from_slice(frame);
        }
        takes_it
    }

    /// Whether something waits until the connection takes more.
    pub(crate) const fn wants_to_write(&self) -> bool {
        match self.state {
            State::Connecting(_) => true,
            State::Up(_) => !self.out.is_empty(),
            State::Waiting(_) => false,
        }
    }

    /// Sends what is queued, as much as the connection takes.
    pub(crate) fn flush(&mut self) {
        let State::Up(socket) = &mut self.state else {
            return;
        };
        while !self.out.is_empty() {
            match socket.write(&self.out) {
                Ok(0) => return,
                Ok(len) => {
                    self.out.drain(..len);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return self.lose(),
            }
        }
    }

    /// The system says that there is room, or that the connection is made, or that it failed.
    pub(crate) fn on_writable(&mut self) {
        if let State::Connecting(socket) = &self.state {
            let made = socket.take_error().ok().flatten().is_none() && socket.peer_addr().is_ok();
            let waiting = State::Waiting(Instant::now());
            let State::Connecting(socket) = core::mem::replace(&mut self.state, waiting) else {
                return;
            };
            if !made || self.begin(socket).is_err() {
                return self.lose();
            }
        }
        self.flush();
    }

    /// Reads once, and passes on the frames that are complete. Returns whether there may be more.
    pub(crate) fn read(&mut self, scratch: &mut [u8], frames: &mut Vec<Vec<u8>>) -> bool {
        let State::Up(socket) = &mut self.state else {
            return false;
        };
        let held = self.incoming.len();
        self.incoming.resize(held + MAX_LEN, 0);
        let read = socket.read(&mut self.incoming[held..]);
        let len = match read {
            Ok(0) => {
                self.lose();
                return false;
            }
            Ok(len) => len,
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                self.incoming.truncate(held);
                return false;
            }
            Err(_) => {
                self.lose();
                return false;
            }
        };
        self.incoming.truncate(held + len);
        if !self.has_seen_preamble {
            let preamble = self.framing.preamble();
            if self.incoming.len() < preamble.len() {
                return true;
            }
            if !self.incoming.starts_with(preamble) {
                self.lose();
                return false;
            }
            self.incoming.drain(..preamble.len());
            self.has_seen_preamble = true;
        }
        // A frame that is not complete stays in `incoming`, so the decoder begins between frames each time.
        let mut decoder = Decoder::new(self.framing, scratch).without_preamble();
        let mut input = &self.incoming[..];
        let mut rest = input.len();
        loop {
            match decoder.push(&mut input) {
                Ok(Some(event)) => {
                    if let Event::Packet(packet) = event {
                        frames.push(framed(self.framing, packet));
                    }
                    rest = input.len();
                }
                Ok(None) => break,
                Err(_) => {
                    self.lose();
                    return false;
                }
            }
        }
        let taken = self.incoming.len() - rest;
        self.incoming.drain(..taken);
        len == MAX_LEN
    }

    pub(crate) fn socket(&self) -> Option<BorrowedFd<'_>> {
        match &self.state {
            State::Waiting(_) => None,
            State::Connecting(socket) | State::Up(socket) => Some(socket.as_fd()),
        }
    }
}

/// A packet with its length in front again: the tunnel checks that, too.
fn framed(framing: StreamFraming, packet: &[u8]) -> Vec<u8> {
    let len = u16::try_from(packet.len()).unwrap_or(u16::MAX);
    let prefix = framing.length_prefix().and_then(|prefix| prefix.of(len));
    [&prefix.unwrap_or_default(), packet].concat()
}

/// Where peers connect to.
pub(crate) struct Listener {
    socket: Socket,
    local: SocketAddrV4,
}

impl Listener {
    pub(crate) fn open(local: SocketAddrV4) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_reuse_address(true)?;
        socket.bind(&local.into())?;
        socket.listen(16)?;
        Ok(Self { socket, local })
    }

    pub(crate) const fn local(&self) -> SocketAddrV4 {
        self.local
    }

    /// The next connection, and who has made it.
    pub(crate) fn accept(&self) -> Option<(Socket, Ipv4Addr)> {
        let (socket, from) = self.socket.accept().ok()?;
        Some((socket, *from.as_socket_ipv4()?.ip()))
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
