//! All sockets: which exist, and which a peer's packets go through.

use core::net::{Ipv4Addr, SocketAddrV4};
use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsFd;

use ipencap::decap::OuterMeta;
use ipencap::tunnel::PeerId;
use ipencap::wire::{Ecn, IpProtocol};
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};

use crate::config::{Carrier, Peer};
use crate::sockets::NotSent;
use crate::sockets::raw::Raw;
use crate::sockets::tcp::{Connection, Listener};
use crate::sockets::udp::Udp;

const ICMP: u8 = 1;

/// Which socket has something, as a number for the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Tun,
    Signal,
    Links,
    Raw(usize),
    Udp(usize),
    Listener(usize),
    Connection(usize),
}

impl Source {
    pub(crate) const fn number(self) -> u64 {
        let (kind, index) = match self {
            Self::Tun => (0, 0),
            Self::Signal => (1, 0),
            Self::Raw(index) => (2, index),
            Self::Udp(index) => (3, index),
            Self::Listener(index) => (4, index),
            Self::Connection(index) => (5, index),
            Self::Links => (6, 0),
        };
        (kind << 32) | index as u64
    }

    pub(crate) const fn of(number: u64) -> Self {
        let index = (number & 0xffff_ffff) as usize;
        match number >> 32 {
            0 => Self::Tun,
            1 => Self::Signal,
            2 => Self::Raw(index),
            3 => Self::Udp(index),
            4 => Self::Listener(index),
            5 => Self::Connection(index),
            _ => Self::Links,
        }
    }
}

/// The sockets. Places of those that were closed are used again.
pub(crate) struct Ways {
    epoll: Epoll,
    offload: bool,
    raws: Vec<Option<Raw>>,
    udps: Vec<Option<Udp>>,
    listeners: Vec<Option<Listener>>,
    /// By the place of the peer, up to the last one that has a connection.
    connections: Vec<Option<Box<Watched>>>,
    /// What waited for connections that are no more.
    lost: Vec<NotSent>,
    has_said_fallback: bool,
}

/// What tells sockets apart.
#[derive(Default)]
struct Keys {
    raws: BTreeSet<(u8, Ipv4Addr)>,
    udps: BTreeSet<SocketAddrV4>,
    listeners: BTreeSet<SocketAddrV4>,
}

impl Keys {
    fn of(peers: &[Peer]) -> Self {
        let mut keys = Self::default();
        for peer in peers {
            match peer.carrier {
                Carrier::Raw { protocol, local } => {
                    keys.raws.extend([(protocol, local), (ICMP, local)]);
                }
                Carrier::Udp {
                    local, source_port, ..
                } => {
                    keys.udps.insert(local);
                    let from = source_port.map(|port| SocketAddrV4::new(*local.ip(), port));
                    keys.udps.extend(from);
                }
                Carrier::Tcp {
                    listen: true,
                    local,
                    ..
                } => {
                    keys.listeners.insert(local);
                }
                Carrier::Tcp { .. } => {}
            }
        }
        keys
    }
}

/// A connection, and what the system was asked to tell of it.
struct Watched {
    connection: Connection,
    told: Option<(u64, EpollFlags)>,
}

impl Ways {
    pub(crate) fn new(offload: bool) -> io::Result<Self> {
        Ok(Self {
            epoll: Epoll::new(nix::sys::epoll::EpollCreateFlags::EPOLL_CLOEXEC)?,
            offload,
            raws: Vec::new(),
            udps: Vec::new(),
            listeners: Vec::new(),
            connections: Vec::new(),
            lost: Vec::new(),
            has_said_fallback: false,
        })
    }

    pub(crate) const fn epoll(&self) -> &Epoll {
        &self.epoll
    }

    /// Opens the sockets that these peers need, and closes the others. Says what fails: then all is as it was.
    pub(crate) fn open(&mut self, peers: &[Peer]) -> Result<(), String> {
        let (old, new) = (self.keys(), Keys::of(peers));
        let opened = self.open_missing(&new);
        self.close_all_but(if opened.is_ok() { &new } else { &old });
        opened
    }

    fn keys(&self) -> Keys {
        Keys {
            raws: self.raws.iter().flatten().map(Raw::key).collect(),
            udps: self.udps.iter().flatten().map(Udp::local).collect(),
            listeners: self
                .listeners
                .iter()
                .flatten()
                .map(Listener::local)
                .collect(),
        }
    }

    fn open_missing(&mut self, wanted: &Keys) -> Result<(), String> {
        let open = self.keys();
        for &(protocol, local) in wanted.raws.difference(&open.raws) {
            let raw = Raw::open(protocol, local)
                .map_err(|error| cannot("open a raw socket at", local, &error))?;
            let index = place(&mut self.raws);
            self.watch(&raw, Source::Raw(index))?;
            self.raws[index] = Some(raw);
        }
        for &local in wanted.udps.difference(&open.udps) {
            let udp = Udp::open(local, self.offload)
                .map_err(|error| cannot("open a UDP socket at", local, &error))?;
            let index = place(&mut self.udps);
            self.watch(&udp, Source::Udp(index))?;
            self.udps[index] = Some(udp);
        }
        for &local in wanted.listeners.difference(&open.listeners) {
            let listener =
                Listener::open(local).map_err(|error| cannot("listen at", local, &error))?;
            let index = place(&mut self.listeners);
            self.watch(&listener, Source::Listener(index))?;
            self.listeners[index] = Some(listener);
        }
        Ok(())
    }

    fn close_all_but(&mut self, wanted: &Keys) {
        for raw in &mut self.raws {
            raw.take_if(|raw| !wanted.raws.contains(&raw.key()));
        }
        for udp in &mut self.udps {
            udp.take_if(|udp| !wanted.udps.contains(&udp.local()));
        }
        for listener in &mut self.listeners {
            listener.take_if(|listener| !wanted.listeners.contains(&listener.local()));
        }
    }

    /// Asks the system to tell when something has come.
    pub(crate) fn watch(&self, fd: &impl AsFd, source: Source) -> Result<(), String> {
        let event = EpollEvent::new(EpollFlags::EPOLLIN, source.number());
        self.epoll
            .add(fd, event)
            .map_err(|error| format!("cannot watch for what comes: {error}"))
    }

    /// A peer with a connection has this place now, or none has.
    pub(crate) fn set_connection(&mut self, peer: PeerId, carrier: Option<Carrier>) {
        let place = peer.place() as usize;
        if let Some(connection) = self.connection_at(place) {
            connection.lose();
            let lost = connection.take_lost();
            self.lost.extend(lost);
        }
        if let Some(Carrier::Tcp {
            listen,
            local,
            remote,
            framing,
        }) = carrier
        {
            if place >= self.connections.len() {
                self.connections.resize_with(place + 1, || None);
            }
            self.connections[place] = Some(Box::new(Watched {
                connection: Connection::new(listen, local, remote, framing),
                told: None,
            }));
        } else if let Some(old) = self.connections.get_mut(place) {
            *old = None;
        }
    }

    pub(crate) fn raw(&mut self, protocol: u8, local: Ipv4Addr) -> Option<&mut Raw> {
        let mut raws = self.raws.iter_mut().flatten();
        raws.find(|raw| raw.key() == (protocol, local))
    }

    pub(crate) fn raw_at(&mut self, index: usize) -> Option<&mut Raw> {
        self.raws.get_mut(index)?.as_mut()
    }

    pub(crate) fn udp(
        &mut self,
        local: SocketAddrV4,
        source_port: Option<u16>,
    ) -> Option<&mut Udp> {
        let from = SocketAddrV4::new(*local.ip(), source_port.unwrap_or(local.port()));
        self.udps
            .iter_mut()
            .flatten()
            .find(|udp| udp.local() == from)
    }

    pub(crate) fn udp_at(&mut self, index: usize) -> Option<&mut Udp> {
        self.udps.get_mut(index)?.as_mut()
    }

    pub(crate) fn connection(&mut self, peer: PeerId) -> Option<&mut Connection> {
        self.connection_at(peer.place() as usize)
    }

    pub(crate) fn connection_at(&mut self, place: usize) -> Option<&mut Connection> {
        Some(&mut self.connections.get_mut(place)?.as_mut()?.connection)
    }

    /// Whether the endpoint gets the ICMP messages to this address of ours itself.
    pub(crate) fn sees_icmp(&self, local: Ipv4Addr) -> bool {
        let mut raws = self.raws.iter().flatten();
        raws.any(|raw| raw.key() == (ICMP, local))
    }

    /// Which packet from the TUN device waits for a connection for longest.
    pub(crate) fn first_waiting(&self) -> Option<u64> {
        let connections = self.connections.iter().flatten();
        connections
            .filter_map(|watched| watched.connection.first_waiting())
            .map(|owner| owner.number)
            .min()
    }

    /// Sends what is queued.
    pub(crate) fn flush(&mut self, lost: &mut Vec<NotSent>) {
        lost.append(&mut self.lost);
        for raw in self.raws.iter_mut().flatten() {
            raw.flush(lost);
        }
        for udp in self.udps.iter_mut().flatten() {
            udp.flush(lost);
            let has_fallen_back = self.offload && !udp.segments();
            if has_fallen_back && !core::mem::replace(&mut self.has_said_fallback, true) {
                crate::say(
                    "the system refuses segmentation offload: datagrams are sent one by one from now on",
                );
            }
        }
        for place in 0..self.connections.len() {
            if let Some(connection) = self.connection_at(place) {
                connection.flush();
                lost.extend(connection.take_lost());
            }
            self.sync(place);
        }
    }

    /// Accepts the peers that connect; strangers are hung up on.
    pub(crate) fn accept(&mut self, index: usize) {
        let Some(Some(listener)) = self.listeners.get(index) else {
            return;
        };
        let local = listener.local();
        while let Some((socket, from)) = listener.accept() {
            let mut connections = self.connections.iter_mut().flatten();
            let peer = connections.find(|watched| {
                let connection = &watched.connection;
                connection.listens()
                    && connection.local() == local
                    && *connection.remote().ip() == from
            });
            if let Some(watched) = peer
                && watched.connection.accept(socket).is_err()
            {
                watched.connection.lose();
            }
        }
        for place in 0..self.connections.len() {
            self.sync(place);
        }
    }

    pub(crate) fn connect_due(&mut self) {
        let now = std::time::Instant::now();
        for place in 0..self.connections.len() {
            if let Some(connection) = self.connection_at(place)
                && connection
                    .deadline()
                    .is_some_and(|deadline| deadline <= now)
            {
                connection.connect();
                self.sync(place);
            }
        }
    }

    pub(crate) fn deadline(&self) -> Option<std::time::Instant> {
        let connections = self.connections.iter().flatten();
        connections
            .filter_map(|watched| watched.connection.deadline())
            .min()
    }

    /// Asks the system to tell what a connection waits for.
    pub(crate) fn sync(&mut self, place: usize) {
        let Some(Some(watched)) = self.connections.get_mut(place) else {
            return;
        };
        let number = watched.connection.number();
        let Some(socket) = watched.connection.socket() else {
            watched.told = None;
            return;
        };
        let mut flags = EpollFlags::EPOLLIN;
        flags.set(EpollFlags::EPOLLOUT, watched.connection.wants_to_write());
        if watched.told == Some((number, flags)) {
            return;
        }
        let mut event = EpollEvent::new(flags, Source::Connection(place).number());
        let done = match watched.told {
            // The same socket.
            Some((old, _)) if old == number => self.epoll.modify(socket, &mut event),
            _ => self.epoll.add(socket, event),
        };
        if done.is_ok() {
            watched.told = Some((number, flags));
        }
    }
}

/// What the packets of a connection arrive with.
pub(crate) const fn connection_meta(connection: &Connection, ecn: Ecn) -> OuterMeta {
    let (local, remote) = (connection.local(), connection.remote());
    let listened_at = if connection.listens() {
        local.port()
    } else {
        remote.port()
    };
    OuterMeta {
        source: *remote.ip(),
        source_port: remote.port(),
        destination: *local.ip(),
        protocol: IpProtocol::TCP,
        destination_port: listened_at,
        ecn,
    }
}

fn place<T>(places: &mut Vec<Option<T>>) -> usize {
    places.iter().position(Option::is_none).unwrap_or_else(|| {
        places.push(None);
        places.len() - 1
    })
}

fn cannot(what: &str, whom: impl core::fmt::Display, error: &io::Error) -> String {
    let remedy = match error.raw_os_error().map(nix::Error::from_raw) {
        Some(nix::Error::EPERM | nix::Error::EACCES) => {
            ": run as root, with CAP_NET_RAW, or for a port below 1024 with CAP_NET_BIND_SERVICE"
        }
        Some(nix::Error::EADDRINUSE) => {
            ": another program has it; stop that, or choose another port"
        }
        Some(nix::Error::EADDRNOTAVAIL) => {
            ": it is no address of this host; correct 'src', or add it to an interface"
        }
        _ => "",
    };
    format!("cannot {what} {whom}: {error}{remedy}")
}
