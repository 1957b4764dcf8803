//! Connections, each with the packets of one peer as a stream.

use core::net::{Ipv4Addr, SocketAddrV4};
use core::time::Duration;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use ipencap::stream::{Decoder, Event, StreamError, StreamFraming};
use ipencap::wire::LengthPrefix;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

use super::{MAX_LEN, NotSent, Owner, Refusal};

/// What waits for the connection at most: more would only be late.
const MOST_WAITING: usize = 1 << 20;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A peer that does not answer for so long has vanished.
const PATIENCE: Duration = Duration::from_secs(10);

/// The connection to one peer: there, on its way, or to be made again.
pub(crate) struct Connection {
    state: State,
    framing: StreamFraming,
    /// Whether the peer connects to us.
    listens: bool,
    local: SocketAddrV4,
    remote: SocketAddrV4,
    pause: Duration,
    out: Waiting,
    /// What was lost with a connection, until somebody asks.
    lost: Vec<NotSent>,
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
            out: Waiting::default(),
            lost: Vec::new(),
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
            // Else the system tries for two minutes.
            socket.set_tcp_user_timeout(Some(PATIENCE))?;
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
        socket.set_tcp_keepalive(
            &TcpKeepalive::new()
                .with_time(PATIENCE)
                .with_interval(Duration::from_secs(5))
                .with_retries(3),
        )?;
        socket.set_tcp_user_timeout(Some(PATIENCE))?;
        self.out.lose(&mut self.lost);
        self.incoming.clear();
        self.has_seen_preamble = !self.listens;
        if !self.listens {
            self.out.push(None, self.framing.preamble());
        }
        self.pause = FIRST_PAUSE;
        self.state = State::Up(socket);
        Ok(())
    }

    /// The connection is gone; it will be made again after a pause.
    pub(crate) fn lose(&mut self) {
        self.state = State::Waiting(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.out.lose(&mut self.lost);
    }

    /// Queues a frame, or says why it is lost.
    pub(crate) fn queue(&mut self, owner: Owner, frame: &[u8]) -> Result<(), Refusal> {
        if !matches!(self.state, State::Up(_)) {
            return Err(Refusal::Unreachable);
        }
        if self.out.bytes.len() > MOST_WAITING {
            return Err(Refusal::Full);
        }
        self.out.push(Some(owner), frame);
        Ok(())
    }

    /// The frames that were lost with a connection, as none had been sent whole.
    pub(crate) fn take_lost(&mut self) -> Vec<NotSent> {
        core::mem::take(&mut self.lost)
    }

    /// Whose frame waits for longest.
    pub(crate) fn first_waiting(&self) -> Option<Owner> {
        self.out.frames.iter().find_map(|(owner, _)| *owner)
    }

    /// Whether something waits until the connection takes more.
    pub(crate) const fn wants_to_write(&self) -> bool {
        match self.state {
            State::Connecting(_) => true,
            State::Up(_) => !self.out.bytes.is_empty(),
            State::Waiting(_) => false,
        }
    }

    /// Sends what is queued, as much as the connection takes.
    pub(crate) fn flush(&mut self) {
        let State::Up(socket) = &mut self.state else {
            return;
        };
        while !self.out.bytes.is_empty() {
            match socket.write(&self.out.bytes) {
                Ok(0) => return,
                Ok(len) => self.out.pop(len),
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

    /// Reads once, and passes on the frames that are complete, also those without a right packet: whoever opens
    /// them says so. Returns whether there may be more.
    ///
    /// # Errors
    /// The connection was closed, because no frame begins where one should.
    pub(crate) fn read(
        &mut self,
        scratch: &mut [u8],
        frames: &mut Vec<Vec<u8>>,
    ) -> Result<bool, StreamError> {
        let State::Up(socket) = &mut self.state else {
            return Ok(false);
        };
        let held = self.incoming.len();
        self.incoming.resize(held + MAX_LEN, 0);
        let read = socket.read(&mut self.incoming[held..]);
        let len = match read {
            Ok(0) => {
                self.lose();
                return Ok(false);
            }
            Ok(len) => len,
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                self.incoming.truncate(held);
                return Ok(false);
            }
            Err(_) => {
                self.lose();
                return Ok(false);
            }
        };
        self.incoming.truncate(held + len);
        if !self.has_seen_preamble {
            let preamble = self.framing.preamble();
            if self.incoming.len() < preamble.len() {
                return Ok(true);
            }
            if !self.incoming.starts_with(preamble) {
                self.lose();
                return Err(StreamError::BadMagic);
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
                    if let Event::Packet(_) | Event::Dropped(_) = event {
                        let start = self.incoming.len() - rest;
                        let end = self.incoming.len() - input.len();
                        frames.push(self.incoming[start..end].to_vec());
                    }
                    rest = input.len();
                }
                Ok(None) => break,
                Err(error) => {
                    self.lose();
                    return Err(error);
                }
            }
        }
        let taken = self.incoming.len() - rest;
        self.incoming.drain(..taken);
        Ok(len == MAX_LEN)
    }

    pub(crate) fn socket(&self) -> Option<BorrowedFd<'_>> {
        match &self.state {
            State::Waiting(_) => None,
            State::Connecting(socket) | State::Up(socket) => Some(socket.as_fd()),
        }
    }
}

/// Frames that the connection has not taken yet.
#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// Whose, unless it is a preamble, and how many bytes of them are left.
    frames: VecDeque<(Option<Owner>, usize)>,
}

impl Waiting {
    fn push(&mut self, owner: Option<Owner>, frame: &[u8]) {
        self.bytes.extend_from_slice(frame);
        self.frames.push_back((owner, frame.len()));
    }

    /// So many bytes were sent.
    fn pop(&mut self, len: usize) {
        self.bytes.drain(..len);
        let mut sent = len;
        while let Some((_, left)) = self.frames.front_mut() {
            if sent < *left {
                *left -= sent;
                return;
            }
            sent -= *left;
            self.frames.pop_front();
        }
    }

    /// The connection is gone. A frame that was sent in part is lost, too.
    fn lose(&mut self, lost: &mut Vec<NotSent>) {
        self.bytes.clear();
        let owners = self.frames.drain(..).filter_map(|(owner, _)| owner);
        lost.extend(owners.map(|owner| NotSent {
            owner,
            why: Refusal::Unreachable,
        }));
    }
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

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use ipencap::decap::PrefixEntry;
    use ipencap::encap::{AnyTunnel, Tunnel};
    use ipencap::shim::Tcp;
    use ipencap::tunnel::{ArrivalEntry, PeerId, PeerPolicy, PeerSlot, PeerTable};
    use ipencap::wire::{IpProtocol, Ipv4Header};

    use super::*;

    fn peer() -> PeerId {
        let (ours, theirs) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2));
        let tunnel = AnyTunnel::Tcp(Tunnel::new(ours, theirs, Tcp::new(7, 7)).unwrap());
        let (mut slots, mut arrivals) = ([PeerSlot::EMPTY], [ArrivalEntry::EMPTY]);
        let (mut prefixes, mut addresses) = ([PrefixEntry::EMPTY], [PrefixEntry::EMPTY; 2]);
        let mut table = PeerTable::new(&mut slots, &mut arrivals, &mut prefixes, &mut addresses);
        table.add(tunnel, PeerPolicy::DEFAULT).unwrap()
    }

    fn owner(number: u64) -> Owner {
        Owner {
            peer: peer(),
            number,
            len: 100,
        }
    }

    fn packet(destination: [u8; 4]) -> Vec<u8> {
        let source = Ipv4Addr::new(10, 3, 0, 9);
        let header = Ipv4Header::new(source, destination.into(), IpProtocol(253), 20);
        header.as_bytes().to_vec()
    }

    fn frame(packet: &[u8]) -> Vec<u8> {
        let len = u16::try_from(packet.len()).unwrap();
        [&len.to_be_bytes(), packet].concat()
    }

    /// A connection that listens, and the peer's end of it.
    fn connected() -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let local = SocketAddrV4::new(Ipv4Addr::LOCALHOST, listener.local_addr().unwrap().port());
        let theirs = TcpStream::connect(local).unwrap();
        let (ours, _) = listener.accept().unwrap();
        let mut connection = Connection::new(true, local, local, LengthPrefix::Exclusive);
        connection.accept(ours.into()).unwrap();
        (connection, theirs)
    }

    /// Until the peer's bytes have come.
    fn read(connection: &mut Connection, wanted: usize) -> Result<Vec<Vec<u8>>, StreamError> {
        let (mut scratch, mut frames) = (vec![0; MAX_LEN + 2], Vec::new());
        for _ in 0..1000 {
            connection.read(&mut scratch, &mut frames)?;
            if frames.len() >= wanted {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(frames)
    }

    /// A frame without a right packet is passed on as it came, so that whoever opens it counts it.
    #[test]
    fn every_frame_is_passed_on() {
        let (mut connection, mut theirs) = connected();
        let mut bad_checksum = packet([10, 1, 0, 1]);
        bad_checksum[10] ^= 1;
        let mut ipv6 = vec![0; 40];
        ipv6[0] = 0x60;
        let with_slack = [packet([10, 1, 0, 1]), vec![0]].concat();
        let sent: Vec<Vec<u8>> = [packet([10, 1, 0, 2]), bad_checksum, ipv6, with_slack]
            .iter()
            .map(|packet| frame(packet))
            .collect();
        theirs.write_all(&sent.concat()).unwrap();
        assert_eq!(read(&mut connection, sent.len()), Ok(sent));
    }

    #[test]
    fn a_frame_that_cannot_be_closes_the_connection() {
        let (mut connection, mut theirs) = connected();
        theirs.write_all(&[0, 0, 1, 2, 3]).unwrap();
        assert_eq!(read(&mut connection, 1), Err(StreamError::BadFrameLength));
        assert!(connection.socket().is_none());
    }

    /// What the system took of a frame in part is lost with the connection; what it took whole counts as sent.
    #[test]
    fn frames_that_wait_are_lost_one_by_one() {
        let mut waiting = Waiting::default();
        waiting.push(None, b"IKETCP");
        for number in 1..=4 {
            waiting.push(Some(owner(number)), &[0; 100]);
        }
        for len in [3, 3 + 60, 40 + 100, 99] {
            waiting.pop(len);
        }
        let mut lost = Vec::new();
        waiting.lose(&mut lost);
        let numbers: Vec<u64> = lost.iter().map(|lost| lost.owner.number).collect();
        assert_eq!(numbers, [3, 4]);
        assert!(lost.iter().all(|lost| lost.why == Refusal::Unreachable));
        assert!(waiting.bytes.is_empty() && waiting.frames.is_empty());
    }

    #[test]
    fn a_connection_is_full_only_while_it_is_up() {
        let (mut connection, theirs) = connected();
        let frame = frame(&vec![0; 60_000]);
        let mut queued = 0;
        let full = loop {
            match connection.queue(owner(queued), &frame) {
                Ok(()) => queued += 1,
                Err(why) => break why,
            }
        };
        assert_eq!(full, Refusal::Full);
        assert_eq!(
            connection.first_waiting().map(|owner| owner.number),
            Some(0)
        );
        connection.lose();
        drop(theirs);
        assert_eq!(
            connection.queue(owner(0), &frame),
            Err(Refusal::Unreachable)
        );
        assert_eq!(connection.take_lost().len() as u64, queued);
        assert!(connection.take_lost().is_empty());
    }
}
