//! Ends of tunnels for tests, and packets to send through them.

use core::net::Ipv4Addr;

use ipencap::decap::{Prefix, PrefixEntry};
use ipencap::encap::{DfPolicy, IdSource, OuterPolicy, Tunnel};
use ipencap::fragment::{Limits, Reassembler, Slot};
use ipencap::packet::{Packet, PerPacket, Span};
use ipencap::shim::IpIp;
use ipencap::time::Instant;
use ipencap::tunnel::{
    ArrivalEntry, Endpoint, EndpointConfig, Event, Inbound, OnePeer, Outbound, Path, PeerId,
    PeerPolicy, PeerSlot, PeerTable, PeerTunnel, Peers, Tally,
};
use ipencap_kit::oracle::{self, Plain};

pub(crate) const HERE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
pub(crate) const THERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
pub(crate) const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 3);
pub(crate) const ROUTER: [u8; 4] = [192, 0, 2, 254];

/// The networks behind HERE and THERE.
pub(crate) const NEAR: &str = "10.1.0.0/16";
pub(crate) const FAR: &str = "10.2.0.0/16";

pub(crate) const START: Instant = Instant::ZERO;

/// The caller says nothing.
pub(crate) const SAID: PerPacket = PerPacket::new();

pub(crate) const fn at(seconds: u64) -> Instant {
    Instant::from_millis(seconds * 1000)
}

/// Memory for a test.
pub(crate) fn memory<T: Clone>(value: T, len: usize) -> &'static mut [T] {
    vec![value; len].leak()
}

pub(crate) fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

/// Every event that an endpoint tells of, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger(pub(crate) Vec<(Option<PeerId>, Event, usize)>);

impl Tally for Ledger {
    fn count(&mut self, peer: Option<PeerId>, event: Event, len: usize) {
        self.0.push((peer, event, len));
    }
}

impl Ledger {
    pub(crate) fn of(&self, event: Event) -> usize {
        self.0
            .iter()
            .filter(|(_, other, _)| *other == event)
            .count()
    }

    /// What became of packets: each is there once.
    pub(crate) fn packets(&self) -> usize {
        let packets = self
            .0
            .iter()
            .filter(|(_, event, _)| !matches!(event, Event::Fragments | Event::GivenUp(_)));
        packets.count()
    }

    /// The event of the packet that was passed last.
    pub(crate) fn last(&self) -> Event {
        self.0.last().unwrap().1
    }
}

pub(crate) type End<P> = Endpoint<'static, P, Ledger>;
pub(crate) type One<T> = End<OnePeer<'static, T>>;
pub(crate) type Many<T> = End<PeerTable<'static, T>>;

/// The end of a tunnel to a peer that has `behind` it.
pub(crate) fn one<T: PeerTunnel>(tunnel: T, behind: &str) -> One<T> {
    with(tunnel, behind, PeerPolicy::DEFAULT, EndpointConfig::DEFAULT)
}

pub(crate) fn with<T: PeerTunnel>(
    tunnel: T,
    behind: &str,
    policy: PeerPolicy,
    config: EndpointConfig,
) -> One<T> {
    let behind = memory(prefix(behind), 1);
    let peers = OnePeer::new(tunnel, behind).with_policy(policy);
    Endpoint::new(peers, memory(Path::EMPTY, 1), config).with_tally(Ledger::default())
}

/// An endpoint with room for so many peers, and none yet.
pub(crate) fn many<T: PeerTunnel + Clone + 'static>(
    room: usize,
    config: EndpointConfig,
) -> Many<T> {
    let table = table(room);
    Endpoint::new(table, memory(Path::EMPTY, room), config).with_tally(Ledger::default())
}

pub(crate) fn table<T: PeerTunnel + Clone + 'static>(room: usize) -> PeerTable<'static, T> {
    PeerTable::new(
        memory(PeerSlot::EMPTY, room),
        memory(ArrivalEntry::EMPTY, room),
        memory(PrefixEntry::EMPTY, 2 * room),
        memory(PrefixEntry::EMPTY, 2 * room),
    )
}

/// The same end with `slots` to join fragments in.
pub(crate) fn joining<P: Peers>(end: End<P>, slots: usize, payload_len: usize) -> End<P> {
    let memory_len = Reassembler::memory_len(slots, payload_len);
    let reassembler = Reassembler::new(
        memory(Slot::new(), slots),
        memory(0, memory_len),
        Limits::DEFAULT,
    );
    end.with_reassembler(reassembler)
}

pub(crate) fn ipip(source: Ipv4Addr, destination: Ipv4Addr) -> Tunnel<IpIp> {
    Tunnel::new(source, destination, IpIp).unwrap()
}

/// Outer packets may be fragmented where inner ones may.
pub(crate) const COPY_DF: OuterPolicy = OuterPolicy {
    df: DfPolicy::Copy(IdSource::PerPacket),
    ..OuterPolicy::DEFAULT
};

/// Two ends of IP-in-IP.
pub(crate) fn pair() -> (One<Tunnel<IpIp>>, One<Tunnel<IpIp>>) {
    (one(ipip(HERE, THERE), FAR), one(ipip(THERE, HERE), NEAR))
}

/// A packet of `len` bytes from behind HERE to behind THERE.
pub(crate) fn inner(len: usize, has_df: bool) -> Vec<u8> {
    between([10, 1, 0, 5], [10, 2, 0, 9], len, has_df)
}

pub(crate) fn between(source: [u8; 4], destination: [u8; 4], len: usize, has_df: bool) -> Vec<u8> {
    let payload: Vec<u8> = (0..len - 20)
        .map(|number| number.to_le_bytes()[0])
        .collect();
    let header = Plain {
        flags_offset: if has_df { 0x4000 } else { 0 },
        source,
        destination,
        ..Plain::of(253)
    };
    header.packet(&payload)
}

/// A SYN segment with this MSS.
pub(crate) fn syn(mss: u16, flags: u8) -> Vec<u8> {
    let mut segment = vec![
        0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x60, flags, 0xff, 0xff,
    ];
    segment.extend([0, 0, 0, 0, 2, 4]);
    segment.extend(mss.to_be_bytes());
    let mut packet = Plain::of(6).packet(&segment);
    let checksum = oracle::tcp_checksum(&oracle::covered_by_tcp(&packet, 20));
    oracle::put_u16(&mut packet, 36, checksum);
    packet
}

/// What an end sends of a packet from its inner side, and what it says.
pub(crate) fn send<P: Peers>(
    end: &mut End<P>,
    now: Instant,
    packet: &[u8],
) -> (Outbound, Vec<Vec<u8>>) {
    send_as(end, now, 0, packet, &SAID)
}

pub(crate) fn send_as<P: Peers>(
    end: &mut End<P>,
    now: Instant,
    tenant: u32,
    packet: &[u8],
    said: &PerPacket,
) -> (Outbound, Vec<Vec<u8>>) {
    const HEADROOM: usize = 200;
    let mut buffer = [&[0xa5; HEADROOM], packet].concat();
    let mut packet = Packet::new(&mut buffer, Span::new(HEADROOM, packet.len()));
    let mut outers = vec![];
    let verdict = end.send_of(now, tenant, &mut packet, said, |outer| {
        outers.push(outer.to_vec());
    });
    (verdict, outers)
}

/// What an end says of a packet from the network, and the inner packet that it delivers.
pub(crate) fn receive<P: Peers>(
    end: &mut End<P>,
    now: Instant,
    packet: &[u8],
) -> (Inbound, Option<Vec<u8>>) {
    let mut buffer = packet.to_vec();
    let verdict = end.receive(now, &mut buffer);
    let delivered = match verdict {
        Inbound::Deliver { opened, .. } => opened.span().get(&buffer),
        Inbound::Whole { slot, opened, .. } => opened.span().get(end.datagram(slot).unwrap()),
        _ => None,
    };
    (verdict, delivered.map(<[u8]>::to_vec))
}

/// What an end delivers of a packet from the network that it must deliver.
pub(crate) fn delivered<P: Peers>(end: &mut End<P>, now: Instant, packet: &[u8]) -> Vec<u8> {
    let (verdict, inner) = receive(end, now, packet);
    inner.unwrap_or_else(|| panic!("{verdict:?}"))
}

/// The one outer packet of a packet that is sent whole.
pub(crate) fn sent<P: Peers>(end: &mut End<P>, now: Instant, packet: &[u8]) -> Vec<u8> {
    let (verdict, mut outers) = send(end, now, packet);
    assert!(matches!(verdict, Outbound::Send { .. }), "{verdict:?}");
    assert_eq!(outers.len(), 1);
    outers.remove(0)
}

/// The MTU that a packet's source is told.
pub(crate) fn told<P: Peers>(end: &mut End<P>, now: Instant, packet: &[u8]) -> Option<u16> {
    let (verdict, outers) = send(end, now, packet);
    let Outbound::Answer { error, .. } = verdict else {
        return None;
    };
    assert_eq!(outers, [[0; 0]; 0]);
    let mut out = vec![0; error.len()];
    let message = error.write(packet, &mut out).unwrap();
    let heard = oracle::hear_icmp(message).unwrap();
    assert_eq!(heard.quote, &packet[..error.quote_len()]);
    ((heard.kind, heard.code) == (3, 4)).then(|| oracle::u16_at(&heard.rest, 2))
}

/// A report of a router about the outer packet of which it quotes this much.
pub(crate) fn too_big(quote: &[u8], mtu: u16) -> Vec<u8> {
    oracle::icmp_error((3, 4, mtu), quote, ROUTER, Some(7))
}

/// Numbers that look random, the same in every run.
#[derive(Clone, Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) const fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) % bound
    }

    pub(crate) fn index(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(u64::try_from(bound).unwrap())).unwrap()
    }
}
