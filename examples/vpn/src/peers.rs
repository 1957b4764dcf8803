//! The peers: what the endpoint knows of them, and what carries their packets.

use core::net::Ipv4Addr;
use std::collections::HashSet;

use ipencap::decap::{Prefix, PrefixEntry};
use ipencap::encap::AnyTunnel;
use ipencap::error::PeerError;
use ipencap::pmtu::ProberConfig;
use ipencap::time::Duration;
use ipencap::tunnel::{
    ArrivalEntry, Echo, PathCheck, PeerId, PeerPolicy, PeerSlot, PeerTable, Peers,
};

use crate::config::{Carrier, Interface, Peer};

/// The layers of a tunnel, the innermost first.
pub(crate) type Stack = &'static [AnyTunnel];

/// A peer that is in the endpoint's table: what the table does not know of it. There may be thousands, so it is small.
pub(crate) struct Member {
    pub(crate) id: PeerId,
    pub(crate) name: Box<str>,
    pub(crate) carrier: Carrier,
    pub(crate) allowed: Box<[Prefix]>,
    pub(crate) probe: Option<Ipv4Addr>,
    pub(crate) check: Option<Box<Check>>,
}

/// Pings to an inner address behind the peer, while packets go there.
pub(crate) type Check = PathCheck<Echo>;

/// How often it looks.
const CHECK: ProberConfig = ProberConfig {
    probe_timer: Duration::from_secs(1),
    confirmation_timer: Duration::from_secs(1),
    ..ProberConfig::DEFAULT
};
/// How many long pings in a row are lost before the path MTU is searched.
const MOST_LOST: u8 = 2;

impl Member {
    pub(crate) fn new(id: PeerId, peer: Peer, check: Option<Box<Check>>) -> Self {
        Self {
            id,
            name: peer.name.into(),
            carrier: peer.carrier,
            allowed: peer.allowed.into(),
            probe: peer.probe,
            check,
        }
    }

    /// Whether the file says the same of it again.
    pub(crate) fn is(&self, table: &PeerTable<'static, Stack>, peer: &Peer) -> bool {
        *self.name == *peer.name
            && self.carrier == peer.carrier
            && *self.allowed == *peer.allowed
            && self.probe == peer.probe
            && table
                .get(self.id)
                .is_some_and(|(stack, known)| *known == policy(peer) && **stack == *peer.stack)
    }
}

/// Stacks live as long as the program, so that the table can be refilled while packets pass. Equal ones are
/// kept once: reading a file again and again takes no more memory.
#[derive(Default)]
pub(crate) struct Stacks(HashSet<Stack>);

impl Stacks {
    pub(crate) fn of(&mut self, layers: Box<[AnyTunnel]>) -> Stack {
        if let Some(stack) = self.0.get(&*layers) {
            return stack;
        }
        let stack: Stack = Box::leak(layers);
        self.0.insert(stack);
        stack
    }
}

/// How much room there is.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    pub(crate) peers: usize,
    prefixes: usize,
}

impl Room {
    /// For these peers, and some more.
    pub(crate) fn for_peers(peers: &[Peer]) -> Self {
        let prefixes: usize = peers.iter().map(|peer| peer.allowed.len()).sum();
        Self {
            peers: peers.len() + peers.len() / 8 + 16,
            prefixes: prefixes + prefixes / 8 + 64,
        }
    }

    pub(crate) fn holds(self, peers: &[Peer]) -> bool {
        let prefixes: usize = peers.iter().map(|peer| peer.allowed.len()).sum();
        peers.len() <= self.peers && prefixes <= self.prefixes
    }

    /// An empty table of this size. It lives as long as the program.
    pub(crate) fn table(self) -> PeerTable<'static, Stack> {
        PeerTable::new(
            Vec::leak(vec![PeerSlot::EMPTY; self.peers]),
            Vec::leak(vec![ArrivalEntry::EMPTY; self.peers]),
            Vec::leak(vec![PrefixEntry::EMPTY; self.prefixes]),
            // An address, and a port of it.
            Vec::leak(vec![PrefixEntry::EMPTY; 2 * self.peers]),
        )
    }
}

/// What the endpoint does for a peer.
pub(crate) fn policy(peer: &Peer) -> PeerPolicy {
    PeerPolicy {
        mtu: peer.mtu,
        mss: peer.mss,
        inner: peer.inner_policy,
        keepalive: peer.keepalive.map(Duration::from),
        ..PeerPolicy::DEFAULT
    }
}

/// Adds a peer with its prefixes.
pub(crate) fn add(
    table: &mut PeerTable<'static, Stack>,
    stack: Stack,
    peer: &Peer,
) -> Result<PeerId, PeerError> {
    let id = table.add(stack, policy(peer))?;
    for prefix in &peer.allowed {
        if let Err(error) = table.allow(id, *prefix) {
            table.remove(id);
            return Err(error);
        }
    }
    Ok(id)
}

/// The check of the path to a peer, if it has an address that answers.
pub(crate) fn check(interface: &Interface, peer: &Peer, id: PeerId) -> Option<Box<Check>> {
    let (source, _) = *interface.addresses.first()?;
    // Anything that other programs are unlikely to use.
    let identifier = (std::process::id() as u16) ^ (id.place() as u16).rotate_left(3) ^ 0x6970;
    let check = PathCheck::with_probes(source, peer.probe?, Echo(identifier))
        .with_config(CHECK)
        .searching_after(MOST_LOST)
        .while_sending();
    Some(Box::new(check))
}
