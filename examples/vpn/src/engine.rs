//! What passes between the TUN device and the sockets. The endpoint says what to do with each packet; this
//! does it.

use core::net::Ipv4Addr;
use std::io;

use ipencap::decap::OuterMeta;
use ipencap::encap::PerPacket;
use ipencap::icmp::IcmpError;
use ipencap::packet::{Packet, Span};
use ipencap::time::Instant;
use ipencap::tunnel::{
    Arrival, Endpoint, EndpointConfig, Inbound, Outbound, Path, PeerId, PeerTable, PeerTunnel,
    Peers,
};
use ipencap::wire::{Ecn, IpProtocol};
use serde_json::Value;

use crate::config::{Carrier, Config, Interface};
use crate::device::{HEADROOM, Tun};
use crate::ledger::Ledger;
use crate::peers::{Check, Member, Room, Stack, Stacks};
use crate::sockets::batch::BATCH;
use crate::sockets::errors::{PathError, PathErrorKind};
use crate::sockets::{MAX_LEN, NotSent, Owner, Refusal, mtu_to};
use crate::ways::{Ways, connection_meta};

/// What keeps an address translator's mapping alive (RFC 3948 §4).
pub(crate) const NAT_KEEPALIVE: [u8; 1] = [0xff];
/// Calls for one socket until others have their turn.
const MOST_CALLS: usize = 64;

pub(crate) type End = Endpoint<'static, PeerTable<'static, Stack>, Ledger>;

/// The middle of the program.
pub(crate) struct Engine {
    pub(crate) endpoint: End,
    /// What the endpoint has been told of the link.
    pub(crate) link_mtu: u16,
    pub(crate) members: Vec<Option<Member>>,
    /// No check of a path is due before. To ask each of a thousand is too much for each packet.
    pub(crate) checks_due: Instant,
    pub(crate) ways: Ways,
    pub(crate) stacks: Stacks,
    pub(crate) room: Room,
    pub(crate) lost: Vec<NotSent>,
    to_inner: Vec<Vec<u8>>,
    pub(crate) scratch: Vec<u8>,
    started: std::time::Instant,
}

impl Engine {
    pub(crate) fn new(config: &Config, link_mtu: u16, ways: Ways) -> Self {
        let room = Room::for_peers(&config.peers);
        Self {
            endpoint: endpoint(&config.interface, room, link_mtu),
            link_mtu,
            members: (0..room.peers).map(|_| None).collect(),
            checks_due: Instant::MAX,
            ways,
            stacks: Stacks::default(),
            room,
            lost: Vec::new(),
            to_inner: Vec::new(),
            scratch: vec![0; HEADROOM + MAX_LEN],
            started: std::time::Instant::now(),
        }
    }

    /// The time that the endpoint goes by.
    pub(crate) fn now(&self) -> Instant {
        self.instant(std::time::Instant::now())
    }

    pub(crate) fn instant(&self, time: std::time::Instant) -> Instant {
        let passed = time.saturating_duration_since(self.started).as_millis();
        Instant::from_millis(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    pub(crate) fn member(&self, id: PeerId) -> Option<&Member> {
        let member = self.members.get(id.place() as usize)?.as_ref();
        member.filter(|member| member.id == id)
    }

    /// Passes what the TUN device has to the peers.
    pub(crate) fn pass_tun(&mut self, tun: &mut Tun) -> io::Result<()> {
        let now = self.now();
        for _ in 0..MOST_CALLS {
            let Some(segments) = tun.read()? else { break };
            if segments.is_unreadable {
                self.endpoint.tally_mut().unreadable();
            }
            let mut is_answered = false;
            for (buffer, len) in segments.buffers.iter_mut().zip(segments.lengths) {
                let mut packet = Packet::new(buffer, Span::new(HEADROOM, *len));
                let answer = self.outbound(now, &mut packet);
                // One answer for all segments of a super-packet.
                if let Some(error) = answer.filter(|_| !is_answered) {
                    is_answered = true;
                    self.to_inner.push(written(&error, packet.as_slice()));
                }
            }
        }
        for packet in self.to_inner.drain(..) {
            put(tun, &mut self.endpoint, None, &packet)?;
        }
        self.ways.flush(&mut self.lost);
        self.learn_from_lost(now);
        flush(tun, &mut self.endpoint)
    }

    /// Sends a packet to its peer. Returns the ICMP error that its source gets.
    fn outbound(&mut self, now: Instant, packet: &mut Packet<'_>) -> Option<IcmpError> {
        self.endpoint.tally_mut().from_tun += 1;
        let peer = destination(packet.as_slice())
            .and_then(|address| self.endpoint.peers().owner(0, address));
        let place = peer.map_or(usize::MAX, |peer| peer.place() as usize);
        let member = self.members.get_mut(place).and_then(Option::as_mut);
        let (ways, lost) = (&mut self.ways, &mut self.lost);
        let number = self.endpoint.tally().from_tun;
        let len = u16::try_from(packet.as_slice().len()).unwrap_or(u16::MAX);
        let said = PerPacket::new();
        let verdict = match member {
            None => self.endpoint.send(now, packet, &said, |_| ()),
            Some(Member {
                id, carrier, check, ..
            }) => {
                if let Some(check) = check {
                    check.on_sent(now, packet.as_slice());
                    hasten(&mut self.checks_due, check);
                }
                let owner = Owner {
                    peer: *id,
                    number,
                    len,
                };
                let no_socket = NotSent {
                    owner,
                    why: Refusal::Unreachable,
                };
                match *carrier {
                    Carrier::Raw { protocol, local } => {
                        let mut raw = ways.raw(protocol, local);
                        self.endpoint
                            .send(now, packet, &said, |outer| match &mut raw {
                                Some(raw) => raw.queue(owner, outer, lost),
                                None => lost.push(no_socket),
                            })
                    }
                    Carrier::Udp {
                        local,
                        remote,
                        source_port,
                        ..
                    } => {
                        let mut udp = ways.udp(local, source_port);
                        self.endpoint
                            .send_payload(now, packet, &said, |outer, payload| match &mut udp {
                                Some(udp) => {
                                    udp.queue(owner, (remote, outer.tos()), payload, lost);
                                }
                                None => lost.push(no_socket),
                            })
                    }
                    Carrier::Tcp { .. } => {
                        let mut connection = ways.connection(*id);
                        self.endpoint
                            .send_payload(now, packet, &said, |_, payload| {
                                let queued = match &mut connection {
                                    Some(connection) => connection.queue(owner, payload),
                                    None => Err(Refusal::Unreachable),
                                };
                                if let Err(why) = queued {
                                    lost.push(NotSent { owner, why });
                                }
                            })
                    }
                }
            }
        };
        match verdict {
            Outbound::Send { notice, .. } => notice,
            Outbound::Answer { error, .. } => Some(error),
            _ => None,
        }
    }

    /// Passes what a UDP socket has received to the inner side.
    pub(crate) fn pass_udp(&mut self, index: usize, tun: &mut Tun) -> io::Result<()> {
        let now = self.now();
        let mut inside = Inside {
            endpoint: &mut self.endpoint,
            members: &mut self.members,
            checks_due: &mut self.checks_due,
            tun,
            now,
        };
        let Some(udp) = self.ways.udp_at(index) else {
            return Ok(());
        };
        for _ in 0..MOST_CALLS {
            let has_more = udp.receive(&mut |datagrams| {
                let meta = OuterMeta {
                    source: *datagrams.from.ip(),
                    source_port: datagrams.from.port(),
                    destination: *datagrams.to.ip(),
                    protocol: IpProtocol::UDP,
                    destination_port: datagrams.to.port(),
                    ecn: datagrams.ecn,
                };
                // A datagram without a byte is one, too.
                let empty = datagrams.bytes.is_empty().then_some(&mut [][..]);
                let payloads = datagrams.bytes.chunks_mut(datagrams.stride);
                for payload in payloads.chain(empty) {
                    inside.endpoint.tally_mut().from_network += 1;
                    if payload == NAT_KEEPALIVE {
                        let peers = inside.endpoint.peers();
                        let peer = peers.sender(&Arrival::of_payload(&meta));
                        inside.endpoint.tally_mut().keepalive(peer);
                        continue;
                    }
                    let verdict = inside.endpoint.receive_payload(now, &meta, payload);
                    inside.take(&verdict, payload)?;
                }
                Ok(())
            })?;
            if !has_more {
                break;
            }
        }
        inside.flush()
    }

    /// Passes what a raw socket has received to the inner side.
    pub(crate) fn pass_raw(&mut self, index: usize, tun: &mut Tun) -> io::Result<()> {
        let now = self.now();
        let mut inside = Inside {
            endpoint: &mut self.endpoint,
            members: &mut self.members,
            checks_due: &mut self.checks_due,
            tun,
            now,
        };
        let Some(raw) = self.ways.raw_at(index) else {
            return Ok(());
        };
        for _ in 0..MOST_CALLS {
            let mut received = 0;
            for packet in raw.receive() {
                received += 1;
                let verdict = inside.endpoint.receive(now, packet);
                if verdict != Inbound::HostsOwn {
                    inside.endpoint.tally_mut().from_network += 1;
                }
                inside.take(&verdict, packet)?;
            }
            if received < BATCH {
                break;
            }
        }
        inside.flush()
    }

    /// Passes what a connection has received to the inner side.
    pub(crate) fn pass_connection(&mut self, place: usize, tun: &mut Tun) -> io::Result<()> {
        let now = self.now();
        let mut inside = Inside {
            endpoint: &mut self.endpoint,
            members: &mut self.members,
            checks_due: &mut self.checks_due,
            tun,
            now,
        };
        let Some(connection) = self.ways.connection_at(place) else {
            return Ok(());
        };
        let member = inside.members.get(place).and_then(Option::as_ref);
        let peer = member.map(|member| member.id);
        let meta = connection_meta(connection, Ecn::NotEct);
        let mut frames = Vec::new();
        for _ in 0..MOST_CALLS {
            let read = connection.read(&mut self.scratch, &mut frames);
            for frame in &mut frames {
                inside.endpoint.tally_mut().from_network += 1;
                let verdict = inside.endpoint.receive_payload(now, &meta, frame);
                inside.take(&verdict, frame)?;
            }
            frames.clear();
            match (read, peer) {
                (Ok(true), _) => {}
                (Err(error), Some(peer)) => {
                    inside.endpoint.tally_mut().unframed(peer, error.name());
                    break;
                }
                _ => break,
            }
        }
        inside.flush()
    }

    /// What a socket's error queue says.
    pub(crate) fn on_path_error(&mut self, error: PathError) {
        let now = self.now();
        // With a socket for ICMP the endpoint sees the whole message.
        let is_seen = self.ways.sees_icmp(error.local);
        for number in 0.. {
            let peers = self.endpoint.peers();
            let Some(peer) = peers.with_outer_address(error.destination, number) else {
                break;
            };
            let tunnel = peers.get(peer);
            if tunnel.is_none_or(|(stack, _)| stack.ends().0 != error.local) {
                continue;
            }
            match error.kind {
                PathErrorKind::LocalMtu(mtu) => {
                    let _ = self.endpoint.local_mtu(now, peer, mtu);
                }
                PathErrorKind::ReportedMtu(mtu) if !is_seen => {
                    self.endpoint.tally_mut().from_network += 1;
                    let _ = self.endpoint.reported_mtu(now, peer, mtu);
                }
                PathErrorKind::Unreachable if !is_seen => {
                    self.endpoint.tally_mut().unreachable(peer);
                    let _ = self.endpoint.unreachable(now, peer);
                }
                _ => {}
            }
        }
    }

    /// Counts the packets that the sockets did not take, and learns from those that were too long.
    pub(crate) fn learn_from_lost(&mut self, now: Instant) {
        let mut asked = None;
        for NotSent { owner, why } in core::mem::take(&mut self.lost) {
            let peer = owner.peer;
            self.endpoint.tally_mut().not_sent(owner, why.name());
            if why != Refusal::TooLong || asked == Some(peer) {
                continue;
            }
            asked = Some(peer);
            let ends = self
                .endpoint
                .peers()
                .get(peer)
                .map(|(stack, _)| stack.ends());
            if let Some(Ok(mtu)) = ends.map(|(local, remote)| mtu_to(local, remote)) {
                let _ = self.endpoint.local_mtu(now, peer, mtu);
            }
        }
        let waiting = self.ways.first_waiting();
        self.endpoint.tally_mut().all_sent(waiting);
    }

    /// The counters, as JSON.
    pub(crate) fn counters(&mut self) -> Value {
        let now = self.now();
        let mut peers = Vec::new();
        for member in self.members.iter().flatten() {
            let inner_mtu = self.endpoint.inner_mtu(now, member.id).unwrap_or_default();
            peers.push((member.id, member.name.to_string(), inner_mtu));
        }
        self.endpoint.tally().json(peers.into_iter())
    }
}

/// An endpoint without peers.
pub(crate) fn endpoint(interface: &Interface, room: Room, link_mtu: u16) -> End {
    let paths = Vec::leak(vec![Path::EMPTY; room.peers]);
    let seed = crate::random();
    let defaults = EndpointConfig::DEFAULT;
    let endpoint_config = EndpointConfig {
        link_mtu,
        icmp_source: icmp_source(interface),
        identifications: ipencap::tunnel::Identifications::keyed(seed),
        icmp_rate: ipencap::icmp::BucketConfig {
            key: seed.rotate_left(32),
            ..defaults.icmp_rate
        },
        ..defaults
    };
    Endpoint::new(room.table(), paths, endpoint_config).with_tally(Ledger::default())
}

/// What ICMP errors to inner sources come from.
pub(crate) fn icmp_source(interface: &Interface) -> Option<Ipv4Addr> {
    interface.addresses.first().map(|(address, _)| *address)
}

/// Where packets from the network go.
struct Inside<'e> {
    endpoint: &'e mut End,
    members: &'e mut [Option<Member>],
    checks_due: &'e mut Instant,
    tun: &'e mut Tun,
    now: Instant,
}

impl Inside<'_> {
    /// Does what the endpoint says of a packet from the network.
    fn take(&mut self, verdict: &Inbound, bytes: &[u8]) -> io::Result<()> {
        match verdict {
            Inbound::Deliver { peer, opened, .. } => {
                let inner = opened.span().get(bytes).unwrap_or_default();
                self.endpoint.tally_mut().delivered(*peer, inner.len());
                if self.answers(*peer, inner) {
                    return Ok(());
                }
                put(self.tun, self.endpoint, Some(*peer), inner)
            }
            Inbound::Relay { error, quoted, .. } => {
                let quoted = quoted.get(bytes).unwrap_or_default();
                put(self.tun, self.endpoint, None, &written(error, quoted))
            }
            _ => Ok(()),
        }
    }

    /// Whether it answers a ping of ours.
    fn answers(&mut self, peer: PeerId, inner: &[u8]) -> bool {
        let place = peer.place() as usize;
        let member = self.members.get_mut(place).and_then(Option::as_mut);
        let Some(check) = member.and_then(|member| member.check.as_mut()) else {
            return false;
        };
        let answers = check.answers(self.now, self.endpoint, peer, inner);
        if answers {
            hasten(self.checks_due, check);
        }
        answers
    }

    fn flush(self) -> io::Result<()> {
        flush(self.tun, self.endpoint)
    }
}

/// The check may be due before all others.
fn hasten(checks_due: &mut Instant, check: &Check) {
    if let Some(due) = check.next_deadline() {
        *checks_due = due.min(*checks_due);
    }
}

/// Queues a packet for the TUN device: one of this peer that was delivered, or an ICMP error.
fn put(tun: &mut Tun, endpoint: &mut End, peer: Option<PeerId>, packet: &[u8]) -> io::Result<()> {
    tun.queue(peer, packet);
    if tun.is_full() {
        flush(tun, endpoint)
    } else {
        Ok(())
    }
}

/// Writes what is queued for the TUN device, and counts what it does not take.
fn flush(tun: &mut Tun, endpoint: &mut End) -> io::Result<()> {
    tun.flush(|peer, packets, bytes| {
        endpoint.tally_mut().not_delivered(peer, packets, bytes);
    })
}

/// The ICMP error about this packet.
fn written(error: &IcmpError, offending: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; error.len()];
    // There is room, and the error was made for these bytes.
    let _ = error.write(offending, &mut packet);
    packet
}

fn destination(packet: &[u8]) -> Option<Ipv4Addr> {
    let octets: [u8; 4] = *packet.get(16..)?.first_chunk()?;
    Some(octets.into())
}
