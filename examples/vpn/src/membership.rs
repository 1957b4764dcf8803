//! Peers come, change and go.

use std::collections::{HashMap, HashSet};

use ipencap::decap::Prefix;
use ipencap::tunnel::{PeerId, Peers as _};

use crate::config::{Config, Interface, Peer};
use crate::cost::Cost;
use crate::engine::{self, Engine};
use crate::peers::{self, Member, Room};
use crate::sockets;

impl Engine {
    /// The peers that are there.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().flatten()
    }

    /// All networks of the peers.
    pub(crate) fn networks(&self) -> Vec<Prefix> {
        let networks = self.members().flat_map(|member| &member.allowed);
        networks.copied().collect()
    }

    /// What the TUN device carries at most: the largest inner MTU of any peer, as its link and its settings have
    /// it. The endpoint answers what is too long for the others, and what is too long for a path: that may become
    /// wider again.
    pub(crate) fn tun_mtu(&self) -> u16 {
        let mtu = |member: &Member| {
            let (stack, policy) = self.endpoint.peers().get(member.id)?;
            let cost = Cost::of(stack, Some(self.link_mtu), policy.mtu);
            u16::try_from(cost.inner_mtu?).ok()
        };
        self.members().filter_map(mtu).max().unwrap_or(1280).max(68)
    }

    /// Adds a peer.
    pub(crate) fn add(&mut self, interface: &Interface, peer: Peer) -> Result<(), String> {
        let mut peer = peer;
        let stack = self.stacks.of(core::mem::take(&mut peer.stack));
        let id = peers::add(self.endpoint.peers_mut(), stack, &peer)
            .map_err(|error| format!("peer {}: {error}", peer.name))?;
        self.endpoint.tally_mut().begin(id);
        self.ways.set_connection(id, Some(peer.carrier));
        let check = match peer.mtu {
            ipencap::tunnel::MtuPolicy::Discover(_) => peers::check(interface, &peer, id),
            _ => None,
        };
        self.members[id.place() as usize] = Some(Member::new(id, peer, check));
        Ok(())
    }

    fn remove(&mut self, place: usize) {
        if let Some(member) = self.members[place].take() {
            self.close(member.id);
            self.endpoint.peers_mut().remove(member.id);
            self.endpoint.tally_mut().end(member.id);
        }
    }

    /// What waits for a connection is lost, and counted as the peer's.
    fn close(&mut self, peer: PeerId) {
        self.ways.set_connection(peer, None);
        self.ways.flush(&mut self.lost);
        self.learn_from_lost(self.now());
    }

    /// Closes all connections.
    pub(crate) fn end(&mut self) {
        let peers: Vec<PeerId> = self.members().map(|member| member.id).collect();
        for peer in peers {
            self.close(peer);
        }
    }

    /// Peers come, change and go. Those that stay the same notice nothing, unless there are more than the table
    /// has room for: then all paths are learnt anew. Returns why some peers are not there; an error changes nothing.
    pub(crate) fn reload(&mut self, old: &Interface, new: Config) -> Result<Vec<String>, String> {
        let link_mtu = link_mtu(&new);
        self.ways.open(&new.peers)?;
        if !self.room.holds(&new.peers) {
            self.end();
            self.room = Room::for_peers(&new.peers);
            let ledger = core::mem::take(self.endpoint.tally_mut());
            self.endpoint = engine::endpoint(&new.interface, self.room, link_mtu);
            *self.endpoint.tally_mut() = ledger;
            let members = (0..self.room.peers).map(|_| None).collect();
            for member in core::mem::replace(&mut self.members, members)
                .into_iter()
                .flatten()
            {
                self.endpoint.tally_mut().end(member.id);
            }
        }
        let mut wanted: HashMap<&str, &Peer> = HashMap::new();
        if old.addresses.first() == new.interface.addresses.first() {
            wanted.extend(new.peers.iter().map(|peer| (peer.name.as_str(), peer)));
        }
        let mut staying: HashSet<Box<str>> = HashSet::new();
        for place in 0..self.members.len() {
            let table = self.endpoint.peers();
            let member = self.members[place].as_ref();
            let same = member.and_then(|member| {
                let peer = wanted.get(&*member.name)?;
                member.is(table, peer).then(|| member.name.clone())
            });
            match same {
                Some(name) => {
                    staying.insert(name);
                }
                None => self.remove(place),
            }
        }
        if self.link_mtu != link_mtu {
            let now = self.now();
            self.link_mtu = link_mtu;
            self.endpoint.set_link_mtu(now, link_mtu);
        }
        self.endpoint
            .set_icmp_source(engine::icmp_source(&new.interface));
        let mut failed = Vec::new();
        for peer in new.peers {
            if !staying.contains(peer.name.as_str())
                && let Err(line) = self.add(&new.interface, peer)
            {
                failed.push(line);
            }
        }
        Ok(failed)
    }
}

/// What the links to the peers carry: the most of any.
pub(crate) fn link_mtu(config: &Config) -> u16 {
    let mut ours: Vec<_> = config.peers.iter().map(|peer| peer.ends().0).collect();
    ours.sort_unstable();
    ours.dedup();
    let asked = ours.into_iter().filter_map(sockets::link_mtu);
    config
        .interface
        .link_mtu
        .or_else(|| asked.max())
        .unwrap_or(1500)
}
