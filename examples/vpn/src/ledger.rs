//! What became of every packet, by peer.

use ipencap::tunnel::{Event, PeerId, Tally};
use serde_json::{Map, Value, json};

use crate::sockets::Owner;

/// How often for each reason. There are few at a time.
#[derive(Clone, Debug, Default)]
struct Reasons(Vec<(&'static str, u64)>);

impl Reasons {
    fn add(&mut self, reason: &'static str, packets: u64) {
        match self.0.iter_mut().find(|(name, _)| *name == reason) {
            Some((_, count)) => *count += packets,
            None => self.0.push((reason, packets)),
        }
    }

    fn json(&self) -> Value {
        let reasons = self
            .0
            .iter()
            .map(|(name, count)| ((*name).to_owned(), json!(count)));
        Value::Object(reasons.collect::<Map<_, _>>())
    }
}

/// The packets of one peer, or of none.
#[derive(Clone, Debug, Default)]
struct Account {
    whole: u64,
    split: u64,
    pieces: u64,
    out_bytes: u64,
    answered: Reasons,
    dropped_out: Reasons,
    delivered: u64,
    in_bytes: u64,
    held: u64,
    learnt: u64,
    relayed: u64,
    ignored: u64,
    dropped_in: Reasons,
}

/// The counters of the program. It counts what comes by itself, and learns from the endpoint what became of it.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) from_tun: u64,
    pub(crate) from_network: u64,
    peers: Vec<Account>,
    none: Account,
    /// The packets that were split since the sockets were last asked what they did not take.
    splits: Vec<SplitPacket>,
}

/// A packet whose pieces wait to be sent.
#[derive(Debug)]
struct SplitPacket {
    number: u64,
    is_lost: bool,
}

impl Ledger {
    /// The place of a peer is another's from now on.
    pub(crate) fn begin(&mut self, peer: PeerId) {
        let place = place(peer);
        if place >= self.peers.len() {
            self.peers.resize_with(place + 1, Account::default);
        }
        self.peers[place] = Account::default();
    }

    /// A peer is gone: its packets are counted with those of no peer.
    pub(crate) fn end(&mut self, peer: PeerId) {
        if let Some(account) = self.peers.get_mut(place(peer)) {
            let gone = core::mem::take(account);
            self.none.absorb(&gone);
        }
    }

    /// A packet has been delivered: its inner length.
    pub(crate) fn delivered(&mut self, peer: PeerId, len: usize) {
        self.account(Some(peer)).in_bytes += len as u64;
    }

    /// A socket did not take a packet that had counted as sent, or a piece of one. Without one piece it is lost.
    pub(crate) fn not_sent(&mut self, owner: Owner, reason: &'static str) {
        let mut splits = self.splits.iter_mut();
        let split = splits.find(|split| split.number == owner.number);
        let is_split = split.is_some();
        if split.is_some_and(|split| core::mem::replace(&mut split.is_lost, true)) {
            return;
        }
        let account = self.account(Some(owner.peer));
        let sent = if is_split {
            &mut account.split
        } else {
            &mut account.whole
        };
        // It is 0 if the peer has come in place of another meanwhile.
        if let Some(fewer) = sent.checked_sub(1) {
            *sent = fewer;
            account.out_bytes = account.out_bytes.saturating_sub(u64::from(owner.len));
            account.dropped_out.add(reason, 1);
        }
    }

    /// All that was queued so far is sent, or [`not_sent`](Self::not_sent), but for packets from this number on: they
    /// may wait for a connection.
    pub(crate) fn all_sent(&mut self, waiting: Option<u64>) {
        match waiting {
            Some(first) => self.splits.retain(|split| split.number >= first),
            None => self.splits.clear(),
        }
    }

    /// What a peer's connection was closed for: no frame begins there.
    pub(crate) fn unframed(&mut self, peer: PeerId, reason: &'static str) {
        self.from_network += 1;
        self.account(Some(peer)).dropped_in.add(reason, 1);
    }

    /// The TUN device did not take packets that had counted as delivered: how many, and their bytes.
    pub(crate) fn not_delivered(&mut self, peer: PeerId, packets: u64, bytes: u64) {
        let account = self.account(Some(peer));
        let packets = packets.min(account.delivered);
        account.delivered -= packets;
        account.in_bytes = account.in_bytes.saturating_sub(bytes);
        if packets > 0 {
            account.dropped_in.add("DeviceRefused", packets);
        }
    }

    /// A super-packet of the TUN device that cannot be split.
    pub(crate) fn unreadable(&mut self) {
        self.from_tun += 1;
        self.none.dropped_out.add("Unreadable", 1);
    }

    /// A keepalive of a peer.
    pub(crate) fn keepalive(&mut self, peer: Option<PeerId>) {
        match peer {
            Some(_) => self.account(peer).ignored += 1,
            None => self.none.dropped_in.add("UnknownPeer", 1),
        }
    }

    /// An error of the path to a peer that the system told.
    pub(crate) fn unreachable(&mut self, peer: PeerId) {
        self.from_network += 1;
        self.account(Some(peer)).learnt += 1;
    }

    fn account(&mut self, peer: Option<PeerId>) -> &mut Account {
        match peer {
            Some(peer) => self.peers.get_mut(place(peer)).unwrap_or(&mut self.none),
            None => &mut self.none,
        }
    }

    /// All of it, with the names and inner MTUs of the peers.
    pub(crate) fn json(&self, peers: impl Iterator<Item = (PeerId, String, u16)>) -> Value {
        let empty = Account::default();
        let peers = peers.map(|(peer, name, inner_mtu)| {
            let account = self.peers.get(place(peer)).unwrap_or(&empty);
            json!({
                "name": name,
                "inner_mtu": inner_mtu,
                "out": account.out_json(),
                "in": account.in_json(),
            })
        });
        json!({
            "from_tun": self.from_tun,
            "from_network": self.from_network,
            "peers": peers.collect::<Vec<_>>(),
            "no_peer": { "out": self.none.out_json(), "in": self.none.in_json() },
        })
    }
}

impl Account {
    fn out_json(&self) -> Value {
        json!({
            "whole": self.whole,
            "split": self.split,
            "pieces": self.pieces,
            "bytes": self.out_bytes,
            "answered": self.answered.json(),
            "dropped": self.dropped_out.json(),
        })
    }

    fn in_json(&self) -> Value {
        json!({
            "delivered": self.delivered,
            "bytes": self.in_bytes,
            "held": self.held,
            "learnt": self.learnt,
            "relayed": self.relayed,
            "ignored": self.ignored,
            "dropped": self.dropped_in.json(),
        })
    }

    fn absorb(&mut self, other: &Self) {
        for (sum, more) in [
            (&mut self.whole, other.whole),
            (&mut self.split, other.split),
            (&mut self.pieces, other.pieces),
            (&mut self.out_bytes, other.out_bytes),
            (&mut self.delivered, other.delivered),
            (&mut self.in_bytes, other.in_bytes),
            (&mut self.held, other.held),
            (&mut self.learnt, other.learnt),
            (&mut self.relayed, other.relayed),
            (&mut self.ignored, other.ignored),
        ] {
            *sum += more;
        }
        for (sums, more) in [
            (&mut self.answered, &other.answered),
            (&mut self.dropped_out, &other.dropped_out),
            (&mut self.dropped_in, &other.dropped_in),
        ] {
            for (reason, count) in &more.0 {
                sums.add(reason, *count);
            }
        }
    }
}

impl Tally for Ledger {
    fn count(&mut self, peer: Option<PeerId>, event: Event, len: usize) {
        let account = self.account(peer);
        match event {
            Event::Sent => {
                account.whole += 1;
                account.out_bytes += len as u64;
            }
            Event::Split => {
                account.split += 1;
                account.out_bytes += len as u64;
                self.splits.push(SplitPacket {
                    number: self.from_tun,
                    is_lost: false,
                });
            }
            Event::Fragments => account.pieces += 1,
            Event::Answered(cause) => account.answered.add(cause.name(), 1),
            Event::DroppedOutbound(cause) => account.dropped_out.add(cause.name(), 1),
            Event::Delivered => account.delivered += 1,
            Event::Held => account.held += 1,
            Event::Learnt => account.learnt += 1,
            Event::Relayed => account.relayed += 1,
            Event::Ignored(_) => account.ignored += 1,
            Event::DroppedInbound(cause) => account.dropped_in.add(cause.name(), 1),
            // Not for a tunnel, or counted as held before.
            _ => {}
        }
    }
}

const fn place(peer: PeerId) -> usize {
    peer.place() as usize
}

#[cfg(test)]
mod tests {
    use ipencap::decap::PrefixEntry;
    use ipencap::encap::{AnyTunnel, Tunnel};
    use ipencap::shim::IpIp;
    use ipencap::tunnel::{ArrivalEntry, PeerPolicy, PeerSlot, PeerTable};

    use super::*;

    fn peer() -> PeerId {
        let tunnel = Tunnel::new([192, 0, 2, 1].into(), [192, 0, 2, 2].into(), IpIp).unwrap();
        let (mut slots, mut arrivals) = ([PeerSlot::EMPTY], [ArrivalEntry::EMPTY]);
        let (mut prefixes, mut addresses) = ([PrefixEntry::EMPTY], [PrefixEntry::EMPTY; 2]);
        let mut table = PeerTable::new(&mut slots, &mut arrivals, &mut prefixes, &mut addresses);
        table
            .add(AnyTunnel::IpIp(tunnel), PeerPolicy::DEFAULT)
            .unwrap()
    }

    /// Packets that no socket took leave the counts as if they had never been sent, also those that were lost long
    /// after, and in pieces.
    #[test]
    fn what_is_not_sent_has_no_bytes() {
        let peer = peer();
        let mut ledger = Ledger::default();
        ledger.begin(peer);
        let mut owners = Vec::new();
        for (event, len) in [
            (Event::Sent, 100),
            (Event::Split, 5000),
            (Event::Sent, 1400),
            (Event::Split, 3000),
        ] {
            ledger.from_tun += 1;
            ledger.count(Some(peer), event, len);
            owners.push(Owner {
                peer,
                number: ledger.from_tun,
                len: u16::try_from(len).unwrap(),
            });
        }
        let sums = |ledger: &Ledger| {
            let account = &ledger.peers[0];
            (account.whole, account.split, account.out_bytes)
        };
        assert_eq!(sums(&ledger), (2, 2, 9500));
        ledger.not_sent(owners[0], "SocketFull");
        assert_eq!(sums(&ledger), (1, 2, 9400));
        // The first packet that waits for a connection is the third.
        ledger.all_sent(Some(3));
        // Two pieces of one packet.
        ledger.not_sent(owners[3], "SocketUnreachable");
        ledger.not_sent(owners[3], "SocketUnreachable");
        assert_eq!(sums(&ledger), (1, 1, 6400));
        ledger.not_sent(owners[2], "SocketUnreachable");
        assert_eq!(sums(&ledger), (0, 1, 5000));
        ledger.all_sent(None);
        assert!(ledger.splits.is_empty());
        let dropped = ledger.peers[0].dropped_out.json();
        assert_eq!(dropped, json!({"SocketFull": 1, "SocketUnreachable": 2}));
    }
}
