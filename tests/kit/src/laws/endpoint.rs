use ipencap::decap::{OuterMeta, Prefix, PrefixEntry};
use ipencap::encap::{AnyTunnel, InnerChecksum, PerPacket};
use ipencap::error::{EncapError, Reason};
use ipencap::fragment::{Limits, Reassembler, Slot};
use ipencap::icmp::{BucketConfig, IcmpError};
use ipencap::packet::{Packet, Span};
use ipencap::time::Instant;
use ipencap::tunnel::{
    Arrival, ArrivalEntry, Cause, Change, Endpoint, EndpointConfig, Event, Inbound, Outbound, Path,
    PeerId, PeerSlot, PeerTable, Peers, Tally,
};
use ipencap::wire::{Ecn, IpProtocol};

use crate::generate::{Coming, EndpointCase, EndpointDoor, PeerChange, PeersCase, Step};
use crate::oracle::{
    self, Came, Due, NaiveEndpoint, NaiveId, NaivePeers, NaiveReassembler, NaiveTunnel, Net, Went,
    Why,
};
use crate::subjects::library_tunnel;

fn id(peer: PeerId) -> NaiveId {
    (usize::try_from(peer.place()).unwrap(), peer.generation())
}

fn peer_id((place, generation): NaiveId) -> PeerId {
    PeerId::new(u32::try_from(place).unwrap(), generation)
}

fn prefix((network, len): Net) -> Prefix {
    Prefix::new(network.into(), len).unwrap()
}

/// All handles that were ever given out.
struct Handles(Vec<NaiveId>);

impl Handles {
    /// One that was never given out, if there is none yet.
    fn get(&self, number: usize) -> NaiveId {
        match self.0.len() {
            0 => (0, 0),
            len => self.0[number % len],
        }
    }
}

fn change_peers(
    table: &mut PeerTable<'_, AnyTunnel>,
    naive: &mut NaivePeers,
    handles: &mut Handles,
    change: &PeerChange,
) {
    match change {
        PeerChange::Add(tunnel, policy) => {
            let expected = naive.add(tunnel.clone(), *policy);
            let added = table.add(library_tunnel(tunnel), *policy);
            assert_eq!(added.map(id), expected);
            handles.0.extend(expected);
        }
        PeerChange::Replace(peer, tunnel, policy) => {
            let peer = handles.get(*peer);
            let expected = naive.replace(peer, tunnel.clone(), *policy);
            let moved = table.replace(peer_id(peer), library_tunnel(tunnel), *policy);
            assert_eq!(moved.map(id), expected);
            handles.0.extend(expected);
        }
        PeerChange::Remove(peer) => {
            let peer = handles.get(*peer);
            assert_eq!(table.remove(peer_id(peer)), naive.remove(peer));
        }
        PeerChange::Allow(peer, net) => {
            let peer = handles.get(*peer);
            let before = table.allow(peer_id(peer), prefix(*net));
            assert_eq!(before.map(|before| before.map(id)), naive.allow(peer, *net));
        }
        PeerChange::Disallow(peer, net) => {
            let peer = handles.get(*peer);
            let had = table.disallow(peer_id(peer), prefix(*net));
            assert_eq!(had, naive.disallow(peer, *net));
        }
    }
}

/// D-17: a table of peers answers as lists do that are searched from end to end, whoever has come, moved and gone
/// before; what it refuses changes nothing.
pub fn law_peer_table_matches_oracle(case: &PeersCase) {
    let [peers, arrivals, prefixes, own] = case.rooms;
    // Without an index, with one of few slots, and of more than there are peers.
    for index in [0, 2, 3, 64] {
        let mut slots = vec![PeerSlot::EMPTY; peers];
        let mut arrivals = vec![ArrivalEntry::EMPTY; arrivals];
        let mut prefixes = vec![PrefixEntry::EMPTY; prefixes];
        let mut own = vec![PrefixEntry::EMPTY; own];
        let (mut by_arrival, mut by_prefix) = (vec![7; index], vec![7; index]);
        let mut table = PeerTable::new(&mut slots, &mut arrivals, &mut prefixes, &mut own)
            .with_index(&mut by_arrival, &mut by_prefix);
        let mut naive = NaivePeers::new(case.rooms);
        let mut handles = Handles(vec![]);
        for change in &case.changes {
            change_peers(&mut table, &mut naive, &mut handles, change);
            check_peers(&table, &naive, &handles);
        }
    }
}

fn check_peers(table: &PeerTable<'_, AnyTunnel>, naive: &NaivePeers, handles: &Handles) {
    let all: Vec<_> = naive.all().iter().map(|(id, ..)| *id).collect();
    assert_eq!(table.iter().map(id).collect::<Vec<_>>(), all);
    assert_eq!(
        usize::try_from(table.capacity()).unwrap(),
        naive.slots.len()
    );
    for handle in &handles.0 {
        // One that was given up owns nothing.
        for address in [[10, 2, 0, 9], [10, 3, 0, 1]] {
            let is_owner = naive.owner(0, address) == Some(*handle);
            assert_eq!(table.allows(peer_id(*handle), 0, address.into()), is_owner);
        }
        let found = table.get(peer_id(*handle));
        let expected = naive.get(*handle);
        assert_eq!(found.is_some(), expected.is_some());
        if let (Some((tunnel, policy)), Some((other, other_policy))) = (found, expected) {
            assert_eq!((tunnel, policy), (&library_tunnel(other), other_policy));
        }
        let place = u32::try_from(handle.0).unwrap();
        let mut prefixes: Vec<_> = naive.prefixes.sorted();
        prefixes.retain(|entry| entry.2 == place && expected.is_some());
        let prefixes: Vec<_> = prefixes.iter().map(|(_, net, _)| prefix(*net)).collect();
        let of_peer: Vec<_> = table.prefixes(peer_id(*handle)).collect();
        assert_eq!(of_peer, prefixes);
    }
    let inner = [
        [10, 2, 0, 9],
        [10, 2, 7, 7],
        [10, 3, 0, 1],
        [10, 9, 9, 9],
        [11, 0, 0, 1],
    ];
    for address in inner {
        for tenant in [0, 7, 1] {
            let owner = table.owner(tenant, address.into());
            assert_eq!(owner.map(id), naive.owner(tenant, address));
        }
    }
    for last in 1..=4u8 {
        for address in [[198, 51, 100, last], [203, 0, 113, last]] {
            let local = naive.local().contains(&address);
            assert_eq!(table.is_local(address.into()), local);
            let both = table.are_local(address.into(), [198, 51, 100, 1].into());
            let other = naive.local().contains(&[198, 51, 100, 1]);
            assert_eq!(both, (local, other));
            let there = naive.with_outer_address(address);
            for number in 0..=there.len() {
                let found = table.with_outer_address(address.into(), number);
                assert_eq!(found.map(id), there.get(number).copied());
            }
            for (protocol, number) in [
                (4, None),
                (17, Some(5555)),
                (17, Some(5556)),
                (17, None),
                (47, None),
                (47, Some(1)),
                (47, Some(2)),
                (55, None),
                (6, Some(5555)),
            ] {
                if let Some(port) = number.and_then(|number| u16::try_from(number).ok()) {
                    let listens = table.listens(address.into(), IpProtocol(protocol), port);
                    assert_eq!(listens, naive.listens(address, protocol, port));
                }
                for port in [None, Some(50_000), Some(50_001)] {
                    let arrival = Arrival::new(address.into(), IpProtocol(protocol), number);
                    let sender = table.sender(&arrival.with_source_port(port));
                    assert_eq!(
                        sender.map(id),
                        naive.sender((address, protocol, number, port))
                    );
                }
            }
        }
    }
}

/// Every event, in order.
#[derive(Debug, Default)]
struct Log(Vec<(Option<PeerId>, Event, usize)>);

impl Tally for Log {
    fn count(&mut self, peer: Option<PeerId>, event: Event, len: usize) {
        self.0.push((peer, event, len));
    }
}

impl Log {
    /// The one packet that was counted, and how many fragments.
    fn take(&mut self) -> (Option<PeerId>, Event, usize, usize) {
        let mut events = core::mem::take(&mut self.0);
        events.retain(|(_, event, _)| !matches!(event, Event::GivenUp(_)));
        let is_fragment = |entry: &(_, Event, _)| entry.1 == Event::Fragments;
        let fragments = events.iter().filter(|entry| is_fragment(entry)).count();
        events.retain(|entry| !is_fragment(entry));
        let [(peer, event, len)] = events[..] else {
            panic!("a packet is counted once, not {events:?}")
        };
        (peer, event, len, fragments)
    }
}

/// Whether the library's cause is what the rules say.
fn agree(cause: Cause, why: &Why) -> bool {
    match (cause, why) {
        (Cause::NoPeer, Why::NoPeer)
        | (Cause::MtuTooSmall, Why::MtuTooSmall)
        | (Cause::SegmentTooLong, Why::SegmentTooLong)
        | (Cause::RateLimited, Why::RateLimited)
        | (Cause::RoutingLoop, Why::RoutingLoop)
        | (Cause::NotOurs, Why::NotOurs) => true,
        (Cause::Encap(cause), Why::Encap(why)) => cause == *why,
        (Cause::Fragment(cause), Why::Fragment(why)) => cause == *why,
        (Cause::Silent(cause), Why::Silent(why)) => why.contains(&cause),
        (Cause::Refused(cause), Why::Refused(why)) => cause.reason == *why,
        (Cause::Reassembly(cause), Why::Reassembly(why)) => cause == *why,
        (Cause::Ignored(cause), Why::Ignored(why)) => cause == *why,
        (Cause::PathMtu(cause), Why::PathMtu(why)) => cause == *why,
        _ => false,
    }
}

fn written(error: &IcmpError, about: &[u8]) -> Vec<u8> {
    let mut out = vec![0; error.len()];
    error
        .write(about, &mut out)
        .expect("there is room")
        .to_vec()
}

type Both<'m> = Endpoint<'m, PeerTable<'m, AnyTunnel>, Log>;

const HEADROOM: usize = 100;

/// What the library sends of a packet, through any door.
fn send(
    endpoint: &mut Both<'_>,
    now: Instant,
    door: EndpointDoor,
    tenant: u32,
    packet: &[u8],
    said: &PerPacket,
) -> (Outbound, Vec<Vec<u8>>) {
    let mut outers = vec![];
    let mut buffer = [&[0xa5; HEADROOM], packet].concat();
    let mut place = Packet::new(&mut buffer, Span::new(HEADROOM, packet.len()));
    let mut out = |outer: &mut [u8]| outers.push(outer.to_vec());
    let verdict = match door {
        EndpointDoor::InPlace => endpoint.send_of(now, tenant, &mut place, said, out),
        EndpointDoor::Payload => {
            endpoint.send_payload_of(now, tenant, &mut place, said, |_, payload| out(payload))
        }
        EndpointDoor::Judged => {
            let verdict = endpoint.outbound_of(now, tenant, packet, said);
            let mut packet = packet.to_vec();
            let wrap = |endpoint: &Both<'_>, peer, inner: &[u8], numbered: &PerPacket| {
                let (tunnel, _) = endpoint.peers().get(peer).unwrap();
                let mut buffer = [&[0xa5; HEADROOM], inner].concat();
                let inner = Span::new(HEADROOM, inner.len());
                ipencap::encap(tunnel, &mut buffer, inner, numbered)
                    .unwrap()
                    .to_vec()
            };
            match verdict {
                Outbound::Send {
                    peer,
                    per_packet,
                    clamp,
                    ..
                } => {
                    if let Some(clamp) = clamp {
                        clamp.apply(&mut packet);
                    }
                    out(&mut wrap(endpoint, peer, &packet, &per_packet));
                }
                Outbound::Split {
                    peer,
                    per_packet,
                    clamp,
                    plan,
                } => {
                    if let Some(clamp) = clamp {
                        clamp.apply(&mut packet);
                    }
                    let mut first = Some(per_packet);
                    for fragment in plan.fragments(&packet).unwrap() {
                        let numbered = first
                            .take()
                            .or_else(|| endpoint.next_fragment(now, peer, said, &fragment));
                        let mut frame = vec![0; fragment.len()];
                        let inner = fragment.write(&packet, &mut frame).unwrap();
                        out(&mut wrap(endpoint, peer, inner, &numbered.unwrap()));
                    }
                }
                _ => {}
            }
            verdict
        }
    };
    if matches!(verdict, Outbound::Drop { .. }) {
        assert_eq!(buffer[HEADROOM..], *packet, "a dropped packet has changed");
    }
    (verdict, outers)
}

/// X-10, I-06, I-07, I-20 to I-33, F-02, A-14 to A-22: whatever comes from either side, whoever the peers are and
/// however time goes, an endpoint does what lists and maps do by the rules: the same verdicts, the same bytes. It
/// counts every packet once, and nothing is due before it says so.
#[allow(clippy::too_many_lines, reason = "a case for each call")]
pub fn law_endpoint_matches_oracle(case: &EndpointCase) {
    let rooms = [4, 4, 16, 16];
    let mut slots = vec![PeerSlot::EMPTY; rooms[0]];
    let mut arrivals = vec![ArrivalEntry::EMPTY; rooms[1]];
    let mut prefixes = vec![PrefixEntry::EMPTY; rooms[2]];
    let mut own = vec![PrefixEntry::EMPTY; rooms[3]];
    let mut paths = vec![Path::EMPTY; rooms[0]];
    // As many as there are packets.
    let mut holding = vec![Slot::new(); 32];
    let mut memory = vec![0; Reassembler::memory_len(32, 1480)];
    let table = PeerTable::new(&mut slots, &mut arrivals, &mut prefixes, &mut own);
    let config = EndpointConfig {
        icmp_rate: BucketConfig {
            per_second: 0,
            burst: if case.may_answer { u16::MAX } else { 0 },
            key: 3,
        },
        ..case.config
    };
    let mut endpoint = Endpoint::new(table, &mut paths, config).with_tally(Log::default());
    let mut reassembler = None;
    if case.joins {
        let library = Reassembler::new(&mut holding, &mut memory, Limits::DEFAULT);
        reassembler = Some(NaiveReassembler::new(
            Limits::DEFAULT,
            library.payload_len().into(),
        ));
        endpoint = endpoint.with_reassembler(library);
    }
    let peers = NaivePeers::new(rooms);
    let mut naive = NaiveEndpoint::new(peers, config, case.may_answer, reassembler);
    let mut handles = Handles(vec![]);
    let mut sent: Vec<Vec<u8>> = vec![];
    let mut latest = 0;
    for (millis, step) in &case.steps {
        let (millis, now) = (*millis, Instant::from_millis(*millis));
        match step {
            Step::Peers(change) => {
                let table = endpoint.peers_mut();
                change_peers(table, &mut naive.peers, &mut handles, change);
            }
            Step::Outbound(door, tenant, packet, said) => {
                let outers = law_outbound(
                    &mut endpoint,
                    &mut naive,
                    millis,
                    (*door, *tenant),
                    packet,
                    said,
                );
                sent.extend(outers);
            }
            Step::Inbound(door, coming) => {
                if let Some(packet) = arriving(&naive.peers, &handles, &sent, coming) {
                    let is_changed = !matches!(
                        coming,
                        Coming::FromPeer {
                            change: None,
                            fragment: None,
                            ..
                        }
                    );
                    let door = if is_changed {
                        EndpointDoor::InPlace
                    } else {
                        *door
                    };
                    law_inbound(&mut endpoint, &mut naive, millis, door, &packet);
                }
            }
            Step::LocalMtu(peer, mtu) => {
                let peer = handles.get(*peer);
                let verdict = endpoint.local_mtu(now, peer_id(peer), *mtu);
                compare_inbound(&verdict, &naive.local_mtu(millis, peer, *mtu), &[]);
            }
            Step::ReportedMtu(peer, mtu) => {
                let peer = handles.get(*peer);
                let verdict = endpoint.reported_mtu(now, peer_id(peer), *mtu);
                let (_, event, len, _) = endpoint.tally_mut().take();
                assert!(matches!(event, Event::Learnt | Event::Ignored(_)) && len == 0);
                compare_inbound(&verdict, &naive.reported_mtu(millis, peer, *mtu), &[]);
            }
            Step::Unreachable(peer) => {
                let peer = handles.get(*peer);
                let verdict = endpoint.unreachable(now, peer_id(peer));
                compare_inbound(&verdict, &naive.unreachable(millis, peer), &[]);
            }
            Step::Expire => {
                let mut due = vec![];
                endpoint.expire(now, |change| {
                    due.push(match change {
                        Change::InnerMtu { peer, inner_mtu } => Due::InnerMtu(id(peer), inner_mtu),
                        Change::KeepaliveDue { peer } => Due::Keepalive(id(peer)),
                        Change::Silent { peer } => Due::Silent(id(peer)),
                        other => panic!("{other:?}"),
                    });
                });
                endpoint.tally_mut().0.clear();
                assert_eq!(due, naive.expire(millis));
                let next = endpoint.next_deadline().map(Instant::as_millis);
                assert!(
                    next.is_none_or(|next| next > millis.max(latest)),
                    "{next:?}"
                );
            }
            Step::LinkMtu(mtu) => {
                endpoint.set_link_mtu(now, *mtu);
                naive.set_link_mtu(millis, *mtu);
            }
        }
        latest = latest.max(millis);
        for handle in &handles.0 {
            let mtu = endpoint.inner_mtu(now, peer_id(*handle));
            assert_eq!(mtu, naive.inner_mtu(millis, *handle));
            assert_eq!(
                endpoint.is_silent(peer_id(*handle)),
                naive.is_silent(*handle)
            );
        }
        // Nothing is due before the deadline.
        let deadline = endpoint
            .next_deadline()
            .map_or(u64::MAX, Instant::as_millis);
        if deadline > latest.saturating_add(1) {
            assert_eq!(naive.clone().expire(deadline - 1), [], "before {deadline}");
        }
    }
}

fn law_outbound(
    endpoint: &mut Both<'_>,
    naive: &mut NaiveEndpoint,
    millis: u64,
    (door, tenant): (EndpointDoor, u32),
    packet: &[u8],
    said: &PerPacket,
) -> Vec<Vec<u8>> {
    let now = Instant::from_millis(millis);
    let owner = oracle::validate(packet, true)
        .ok()
        .and_then(|fields| naive.peers.owner(tenant, fields.destination));
    let is_udp =
        owner.is_none_or(|owner| matches!(naive.peers.get(owner), Some((NaiveTunnel::Udp(_), _))));
    let (verdict, mut outers) = send(endpoint, now, door, tenant, packet, said);
    let (counted_for, event, len, fragments) = endpoint.tally_mut().take();
    assert_eq!(len, packet.len());
    if door == EndpointDoor::Payload && said.inner_checksum() == InnerChecksum::Partial {
        let cause = Cause::Encap(EncapError::PartialChecksum);
        assert_eq!(event, Event::DroppedOutbound(cause));
        return vec![];
    }
    if door == EndpointDoor::Payload && !is_udp {
        assert_eq!(event.name(), "DroppedOutbound");
        assert!(matches!(verdict, Outbound::Drop { cause, .. } if cause.name() == "NoPayloadForm"));
        return vec![];
    }
    let went = naive.outbound(millis, tenant, packet, said);
    let context = || format!("{verdict:?}\n{went:?}");
    match (&verdict, &went) {
        (Outbound::Send { peer, notice, .. }, Went::Out(to, expected, told)) => {
            assert_eq!(id(*peer), *to);
            assert_eq!(expected.len(), 1, "{}", context());
            let notice = notice.map(|error| written(&error, packet));
            assert_eq!(notice, *told, "{}", context());
            assert_eq!(
                (event, counted_for, fragments),
                (Event::Sent, Some(*peer), 0)
            );
        }
        (Outbound::Split { peer, plan, .. }, Went::Out(to, expected, None)) => {
            assert_eq!(id(*peer), *to);
            assert_eq!(expected.len(), usize::from(plan.count()), "{}", context());
            assert_eq!((event, fragments), (Event::Split, expected.len()));
        }
        (Outbound::Answer { peer, error, cause }, Went::Answered(to, expected, why)) => {
            assert_eq!(peer.map(id), *to);
            assert!(agree(*cause, why), "{}", context());
            assert_eq!(written(error, packet), *expected, "{}", context());
            assert_eq!((event, counted_for), (Event::Answered(*cause), *peer));
        }
        (Outbound::Drop { peer, cause }, Went::Dropped(to, why)) => {
            assert_eq!(peer.map(id), *to, "{}", context());
            assert!(agree(*cause, why), "{}", context());
            assert_eq!(
                (event, counted_for),
                (Event::DroppedOutbound(*cause), *peer)
            );
        }
        _ => panic!("{}", context()),
    }
    let expected = match went {
        Went::Out(_, expected, _) => expected,
        _ => vec![],
    };
    if door == EndpointDoor::Payload {
        // Without the outer IPv4 and UDP header.
        let payloads: Vec<_> = expected.iter().map(|outer| outer[28..].to_vec()).collect();
        assert_eq!(outers, payloads);
        outers.clone_from(&expected);
    }
    assert_eq!(outers, expected);
    outers
}

/// The packet that comes, if there is anything that it can be about.
fn arriving(
    peers: &NaivePeers,
    handles: &Handles,
    sent: &[Vec<u8>],
    coming: &Coming,
) -> Option<Vec<u8>> {
    match coming {
        Coming::Any(packet) => Some(packet.clone()),
        Coming::Report {
            kind,
            ago,
            quote_len,
            change,
        } => {
            let about = sent.len().checked_sub(ago + 1)?;
            let mut quote = sent[about].clone();
            quote.truncate(*quote_len);
            let source = oracle::address_at(&quote, 12);
            if let Some((at, bits)) = change {
                let at = at % quote.len();
                quote[at] ^= bits;
            }
            let mut report = oracle::icmp_error(*kind, &quote, [192, 0, 2, 254], Some(5));
            report[16..20].copy_from_slice(&source);
            oracle::fill_checksum(&mut report);
            Some(report)
        }
        Coming::FromPeer {
            peer,
            inner,
            identification,
            ecn,
            fragment,
            change,
        } => {
            let (tunnel, policy) = peers.get(handles.get(*peer))?;
            oracle::validate(inner, true).ok()?;
            let mut back = tunnel.clone();
            let outer = match &mut back {
                NaiveTunnel::IpIp(tunnel) => &mut tunnel.0,
                NaiveTunnel::Udp(tunnel) => {
                    tunnel.source_port = policy.source_port;
                    &mut tunnel.outer
                }
                NaiveTunnel::Gre(tunnel) => &mut tunnel.outer,
                NaiveTunnel::Minimal(tunnel) => &mut tunnel.outer,
            };
            (outer.source, outer.destination) = (outer.destination, outer.source);
            (outer.forwards, outer.link_mtu) = (false, None);
            let said = PerPacket::new().with_identification(1).with_sequence(1);
            if inner.len() > 60_000 {
                return None;
            }
            let mut packet = back.encapsulator().outer(inner, &said);
            packet[1] = packet[1] & 0xfc | ecn;
            oracle::put_u16(&mut packet, 4, *identification);
            oracle::fill_checksum(&mut packet);
            if let Some((mtu, number)) = fragment {
                packet[6] &= 0x3f;
                oracle::fill_checksum(&mut packet);
                let fragments = oracle::fragments(&packet, *mtu).ok()?;
                packet.clone_from(&fragments[number % fragments.len()]);
            }
            if let Some((at, bits, is_mended)) = change {
                let at = at % packet.len();
                packet[at] ^= bits;
                if *is_mended {
                    oracle::fill_checksum(&mut packet);
                }
            }
            Some(packet)
        }
    }
}

fn law_inbound(
    endpoint: &mut Both<'_>,
    naive: &mut NaiveEndpoint,
    millis: u64,
    door: EndpointDoor,
    packet: &[u8],
) {
    let now = Instant::from_millis(millis);
    let fields = oracle::validate(packet, true).ok();
    let is_payload = door == EndpointDoor::Payload
        && fields.as_ref().is_some_and(|fields| {
            fields.protocol == 17 && naive.peers.sender(oracle::arrival(packet)).is_some()
        });
    let came = naive.inbound(millis, packet);
    let mut buffer = packet.to_vec();
    // The host has verified the checksum of UDP.
    let is_lost = matches!(came, Came::Dropped(_, Why::Refused(Reason::UdpBadChecksum)));
    if is_payload && !is_lost {
        let fields = fields.unwrap();
        let start = fields.header_len + 8;
        let meta = OuterMeta {
            source: fields.source.into(),
            destination: fields.destination.into(),
            protocol: IpProtocol::UDP,
            source_port: oracle::u16_at(fields.payload, 0),
            destination_port: oracle::u16_at(fields.payload, 2),
            ecn: Ecn::from_bits_truncated(fields.tos),
        };
        let payload = &mut buffer[start..fields.total_len];
        let verdict = endpoint.receive_payload(now, &meta, payload);
        let (_, _, len, _) = endpoint.tally_mut().take();
        assert_eq!(len, payload.len());
        match (&verdict, &came) {
            (Inbound::Deliver { peer, opened, .. }, Came::Delivered(from, inner)) => {
                assert_eq!(id(*peer), *from);
                assert_eq!(opened.span().get(payload), Some(&inner[..]));
            }
            (Inbound::Drop { cause, .. }, Came::Dropped(_, why)) => {
                assert!(agree(*cause, why), "{cause} {why:?}");
            }
            _ => panic!("{verdict:?}\n{came:?}"),
        }
        return;
    }
    let verdict = if door == EndpointDoor::Judged {
        endpoint.inbound(now, &buffer)
    } else {
        endpoint.receive(now, &mut buffer)
    };
    let (peer, event, len, fragments) = endpoint.tally_mut().take();
    assert_eq!((len, fragments), (packet.len(), 0));
    compare_inbound(&verdict, &came, packet);
    let expected = match verdict {
        Inbound::Deliver { peer, .. } | Inbound::Whole { peer, .. } => {
            (Some(peer), Event::Delivered)
        }
        Inbound::Held => (None, Event::Held),
        Inbound::Learnt { peer, .. } => (Some(peer), Event::Learnt),
        Inbound::Relay { peer, .. } => (Some(peer), Event::Relayed),
        Inbound::HostsOwn => (None, Event::HostsOwn),
        Inbound::Ignored { peer, cause } => (peer, Event::Ignored(cause)),
        Inbound::Drop { peer, cause } => (peer, Event::DroppedInbound(cause)),
        other => panic!("{other:?}"),
    };
    assert_eq!((peer, event), expected);
    if let Came::Delivered(_, inner) = &came {
        if door == EndpointDoor::Judged {
            // Nothing was written; the caller does.
            let (opened, clamp) = match verdict {
                Inbound::Deliver { opened, clamp, .. } => (opened, clamp),
                Inbound::Whole {
                    slot,
                    opened,
                    clamp,
                    ..
                } => {
                    buffer = endpoint.datagram(slot).unwrap().to_vec();
                    (opened, clamp)
                }
                other => panic!("{other:?}"),
            };
            let arrived = opened.apply(&mut buffer);
            if let Some(clamp) = clamp {
                clamp.apply(arrived);
            }
            assert_eq!(arrived, inner);
        } else {
            let arrived = match verdict {
                Inbound::Deliver { opened, .. } => opened.span().get(&buffer),
                Inbound::Whole { slot, opened, .. } => {
                    opened.span().get(endpoint.datagram(slot).unwrap())
                }
                _ => None,
            };
            assert_eq!(arrived, Some(&inner[..]));
        }
    } else {
        assert_eq!(buffer, packet, "a packet that is not delivered has changed");
    }
}

fn compare_inbound(verdict: &Inbound, came: &Came, packet: &[u8]) {
    let context = || format!("{verdict:?}\n{came:?}");
    let is_same = match (verdict, came) {
        (Inbound::Deliver { peer, .. } | Inbound::Whole { peer, .. }, Came::Delivered(from, _)) => {
            id(*peer) == *from
        }
        (Inbound::Held, Came::Held) | (Inbound::HostsOwn, Came::HostsOwn) => true,
        (Inbound::Learnt { peer, inner_mtu }, Came::Learnt(from, mtu)) => {
            (id(*peer), inner_mtu) == (*from, mtu)
        }
        (
            Inbound::Relay {
                peer,
                error,
                quoted,
                inner_mtu,
            },
            Came::Relayed(from, bytes, mtu),
        ) => {
            assert_eq!(
                written(error, quoted.get(packet).unwrap()),
                *bytes,
                "{}",
                context()
            );
            (id(*peer), inner_mtu) == (*from, mtu)
        }
        (Inbound::Ignored { peer, cause }, Came::Ignored(from, why))
        | (Inbound::Drop { peer, cause }, Came::Dropped(from, why)) => {
            peer.map(id) == *from && agree(*cause, why)
        }
        _ => false,
    };
    assert!(is_same, "{}", context());
}
