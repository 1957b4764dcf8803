//! What the engine does by itself, when it is time: keepalives, pings, connections that are made again.

use ipencap::packet::{Packet, Span};
use ipencap::time::Instant;
use ipencap::tunnel::{Change, PeerId, Peers, SocketTunnel};

use crate::config::Carrier;
use crate::device::HEADROOM;
use crate::engine::{Engine, NAT_KEEPALIVE};
use crate::peers::{Check, Member};
use crate::sockets::Owner;

impl Engine {
    /// Does what is due. `say` tells the person.
    pub(crate) fn on_time(&mut self, mut say: impl FnMut(&str)) {
        let now = self.now();
        let mut changes = Vec::new();
        if self
            .endpoint
            .next_deadline()
            .is_some_and(|deadline| deadline <= now)
        {
            self.endpoint.expire(now, |change| changes.push(change));
        }
        for change in changes {
            match change {
                Change::InnerMtu { peer, inner_mtu } => {
                    if let Some(member) = self.member(peer) {
                        say(&format!(
                            "peer {}: the inner MTU is {inner_mtu} now",
                            member.name
                        ));
                    }
                }
                Change::KeepaliveDue { peer } => self.keep_alive(peer),
                _ => {}
            }
        }
        if self.checks_due <= now {
            for place in 0..self.members.len() {
                self.check_path(now, place);
            }
            let checks = self.members.iter().flatten();
            let dues = checks.filter_map(|member| member.check.as_ref()?.next_deadline());
            self.checks_due = dues.min().unwrap_or(Instant::MAX);
        }
        self.ways.connect_due();
        self.ways.flush(&mut self.lost);
        self.learn_from_lost(now);
    }

    /// When [`on_time`](Self::on_time) has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let checks = Some(self.checks_due).filter(|due| *due < Instant::MAX);
        let connections = self.ways.deadline().map(|time| self.instant(time));
        checks
            .into_iter()
            .chain(self.endpoint.next_deadline())
            .chain(connections)
            .min()
    }

    fn keep_alive(&mut self, peer: PeerId) {
        let place = peer.place() as usize;
        let Some(Some(member)) = self.members.get(place) else {
            return;
        };
        if member.check.is_some() {
            self.ping(place, Check::SHORT_LEN);
        } else if let Carrier::Udp {
            local,
            remote,
            source_port,
            ..
        } = member.carrier
        {
            let mut lost = Vec::new();
            if let Some(udp) = self.ways.udp(local, source_port) {
                udp.queue(
                    Owner::beside_tun(peer),
                    (remote, 0),
                    &NAT_KEEPALIVE,
                    &mut lost,
                );
                udp.flush(&mut lost);
            }
        }
    }

    fn check_path(&mut self, now: Instant, place: usize) {
        let Some(Some(member)) = self.members.get_mut(place) else {
            return;
        };
        let Some(check) = &mut member.check else {
            return;
        };
        if let Some((_, len)) = check.poll(now, &mut self.endpoint, 0) {
            self.ping(place, len);
        }
    }

    /// Sends a ping through the tunnel, of this length, beside the endpoint: it may be longer than the path MTU that
    /// is known.
    fn ping(&mut self, place: usize, len: u16) {
        let now = self.now();
        let Self {
            members,
            ways,
            scratch,
            endpoint,
            ..
        } = self;
        let Some(Some(Member {
            id,
            carrier,
            check: Some(check),
            ..
        })) = members.get(place)
        else {
            return;
        };
        let len = usize::from(len);
        if check
            .write(&mut scratch[HEADROOM..HEADROOM + len])
            .is_none()
        {
            return;
        }
        let mut packet = Packet::new(scratch, Span::new(HEADROOM, len));
        let said = endpoint.number_probe(now, *id, packet.as_slice());
        let (Some(said), Some((tunnel, _))) = (said, endpoint.peers().get(*id)) else {
            return;
        };
        // A lost ping is what pings are for.
        let mut lost = Vec::new();
        match *carrier {
            Carrier::Raw { protocol, local } => {
                if packet.wrap(tunnel, &said).is_ok()
                    && let Some(raw) = ways.raw(protocol, local)
                {
                    raw.queue(Owner::beside_tun(*id), packet.as_slice(), &mut lost);
                    raw.flush(&mut lost);
                }
            }
            Carrier::Udp {
                local,
                remote,
                source_port,
                ..
            } => {
                if let Ok(outer) = tunnel.wrap_payload(&mut packet, &said)
                    && let Some(udp) = ways.udp(local, source_port)
                {
                    udp.queue(
                        Owner::beside_tun(*id),
                        (remote, outer.tos()),
                        packet.as_slice(),
                        &mut lost,
                    );
                    udp.flush(&mut lost);
                }
            }
            // The system finds the MTU of a connection.
            Carrier::Tcp { .. } => {}
        }
    }
}
