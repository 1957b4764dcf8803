//! An endpoint in lists and maps: every rule by itself, in the order in which the documentation has them.

use std::collections::HashMap;

use ipencap::encap::{InnerChecksum, PerPacket};
use ipencap::error::{EncapError, Ignored, ParseError, Reason, Silence};
use ipencap::icmp::Kind;
use ipencap::pmtu::{Effect, PathMtuConfig, QuotedLen};
use ipencap::tunnel::{EndpointConfig, MssPolicy, MtuPolicy, PeerPolicy};

use super::{
    Accepted, Fields, HeardIcmp, Joined, NaiveId, NaivePath, NaivePeers, NaiveReassembler,
    NaiveTunnel, Network, Peer, Refusal, Switches, arrival, clamped, decapsulate, fragments,
    hear_icmp, icmp_error, is_martian, silences, syn_at, tcp_checksum, u16_at, validate, verifies,
};
use super::{address_at, covered_by_tcp, equation_3, put_u16};

/// Why a packet did not go on: one of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// No peer.
    NoPeer,
    /// The inner MTU is below 68.
    MtuTooSmall,
    /// Segments too long.
    SegmentTooLong,
    /// No ICMP error now.
    RateLimited,
    /// A packet of the tunnel itself.
    RoutingLoop,
    /// No packet of ours is quoted.
    NotOurs,
    /// The tunnel refuses.
    Encap(EncapError),
    /// It cannot be split.
    Fragment(ipencap::error::FragmentError),
    /// No ICMP error about it, for one of these.
    Silent(Vec<Silence>),
    /// The decapsulator refuses.
    Refused(Reason),
    /// The reassembler refuses.
    Reassembly(ipencap::error::ReassemblyError),
    /// An ICMP error without effect.
    Ignored(Ignored),
    /// A report without effect.
    PathMtu(ipencap::error::PathMtuIgnored),
}

/// What becomes of a packet from the inner side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Went {
    /// These outer packets go to the peer; its source hears this besides.
    Out(NaiveId, Vec<Vec<u8>>, Option<Vec<u8>>),
    /// Its source hears this.
    Answered(Option<NaiveId>, Vec<u8>, Why),
    /// It is dropped.
    Dropped(Option<NaiveId>, Why),
}

/// What becomes of a packet from the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Came {
    /// This inner packet is delivered.
    Delivered(NaiveId, Vec<u8>),
    /// It waits for others.
    Held,
    /// The path is known better.
    Learnt(NaiveId, u16),
    /// An inner source hears this.
    Relayed(NaiveId, Vec<u8>, u16),
    /// Not for a tunnel.
    HostsOwn,
    /// Without effect.
    Ignored(Option<NaiveId>, Why),
    /// It is dropped.
    Dropped(Option<NaiveId>, Why),
}

/// What time brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    /// Another inner MTU.
    InnerMtu(NaiveId, u16),
    /// A keepalive is due.
    Keepalive(NaiveId),
    /// A peer is silent.
    Silent(NaiveId),
}

#[derive(Clone, Debug)]
struct PathState {
    mtu: NaivePath,
    told: u16,
    is_untold: bool,
    notice: Option<(Kind, u64)>,
    sequence: u32,
    stream: u32,
    heard: u64,
    spoke: u64,
    is_silent: bool,
}

/// The endpoint.
#[derive(Clone, Debug)]
pub struct NaiveEndpoint {
    /// Its peers.
    pub peers: NaivePeers,
    /// What it does.
    pub config: EndpointConfig,
    /// Whether it may send ICMP errors at all.
    pub may_answer: bool,
    /// What joins fragments.
    pub reassembler: Option<NaiveReassembler>,
    paths: HashMap<NaiveId, PathState>,
    /// By place.
    ordinals: HashMap<usize, u16>,
    clock: u64,
}

impl NaiveEndpoint {
    /// With peers, and nothing known of their paths.
    #[must_use]
    pub fn new(
        peers: NaivePeers,
        config: EndpointConfig,
        may_answer: bool,
        reassembler: Option<NaiveReassembler>,
    ) -> Self {
        Self {
            peers,
            config,
            may_answer,
            reassembler,
            paths: HashMap::new(),
            ordinals: HashMap::new(),
            clock: 0,
        }
    }

    fn link_mtu(&self, tunnel: &NaiveTunnel, policy: &PeerPolicy) -> u16 {
        let mut mtu = self.config.link_mtu;
        if let Some(own) = tunnel.outer().link_mtu {
            mtu = mtu.min(own);
        }
        if let MtuPolicy::Static(given) = policy.mtu {
            mtu = mtu.min(given);
        }
        mtu
    }

    fn path(&mut self, id: NaiveId) -> Option<&mut PathState> {
        let (tunnel, policy) = self.peers.get(id)?;
        let link = self.link_mtu(tunnel, policy);
        let config = match policy.mtu {
            MtuPolicy::Discover(config) => config,
            _ => PathMtuConfig::STATIC,
        };
        let clock = self.clock;
        let path = self.paths.entry(id).or_insert_with(|| {
            let mtu = NaivePath::new(link, config.floor, config.raise_after.as_millis());
            PathState {
                told: mtu.mtu(),
                mtu,
                is_untold: false,
                notice: None,
                sequence: 0,
                stream: 0,
                heard: clock,
                spoke: clock,
                is_silent: false,
            }
        });
        path.mtu.tick(clock);
        Some(path)
    }

    fn overhead(&self, id: NaiveId) -> u16 {
        let (tunnel, _) = self.peers.get(id).unwrap();
        u16::try_from(tunnel.encapsulator().overhead()).unwrap()
    }

    fn tick(&mut self, now: u64) {
        self.clock = self.clock.max(now);
    }

    /// The longest inner packet for a peer.
    pub fn inner_mtu(&mut self, now: u64, id: NaiveId) -> Option<u16> {
        self.tick(now);
        let mtu = self.path(id)?.mtu.mtu();
        Some(mtu.saturating_sub(self.overhead(id)))
    }

    /// Another MTU of the link.
    pub fn set_link_mtu(&mut self, now: u64, mtu: u16) {
        self.tick(now);
        self.config.link_mtu = mtu;
        let ids: Vec<_> = self.peers.all().iter().map(|(id, ..)| *id).collect();
        for id in ids {
            if !self.paths.contains_key(&id) {
                continue;
            }
            let (tunnel, policy) = self.peers.get(id).unwrap();
            let link = self.link_mtu(tunnel, policy);
            let path = self.path(id).unwrap();
            path.mtu.set_link(link);
            path.is_untold |= path.told != path.mtu.mtu();
            path.told = path.mtu.mtu();
        }
    }

    /// The system refused a length.
    pub fn local_mtu(&mut self, now: u64, id: NaiveId, mtu: u16) -> Came {
        self.tick(now);
        if let Some(path) = self.path(id) {
            path.mtu.local(mtu);
            path.told = path.mtu.mtu();
        }
        self.learnt(id)
    }

    /// A router has told the system of an MTU.
    pub fn reported_mtu(&mut self, now: u64, id: NaiveId, mtu: u16) -> Came {
        self.tick(now);
        if let Some(path) = self.path(id) {
            if let Effect::Ignored(reason) = path.mtu.unquoted_report(mtu) {
                return Came::Ignored(Some(id), Why::PathMtu(reason));
            }
            path.told = path.mtu.mtu();
        }
        self.learnt(id)
    }

    /// The system cannot reach a peer.
    pub fn unreachable(&mut self, now: u64, id: NaiveId) -> Came {
        self.tick(now);
        let until = self.clock.saturating_add(30_000);
        if let Some(path) = self.path(id) {
            path.notice = Some((Kind::HostUnreachable, until));
        }
        self.learnt(id)
    }

    fn learnt(&mut self, id: NaiveId) -> Came {
        match self.inner_mtu(0, id) {
            Some(mtu) => Came::Learnt(id, mtu),
            None => Came::Ignored(None, Why::NoPeer),
        }
    }

    /// What is due.
    pub fn expire(&mut self, now: u64) -> Vec<Due> {
        self.tick(now);
        let clock = self.clock;
        let mut due = vec![];
        let ids: Vec<_> = self.peers.all().iter().map(|(id, ..)| *id).collect();
        for id in ids {
            let overhead = self.overhead(id);
            let (_, policy) = self.peers.get(id).unwrap();
            let (keepalive, silence) = (policy.keepalive, policy.silence);
            let path = self.path(id).unwrap();
            let mtu = path.mtu.mtu();
            if path.told != mtu || path.is_untold {
                due.push(Due::InnerMtu(id, mtu.saturating_sub(overhead)));
            }
            path.told = mtu;
            path.is_untold = false;
            if let Some(after) = keepalive
                && after.as_millis() > 0
                && clock - path.spoke >= after.as_millis()
            {
                path.spoke = clock;
                due.push(Due::Keepalive(id));
            }
            if let Some(after) = silence
                && !path.is_silent
                && clock - path.heard >= after.as_millis()
            {
                path.is_silent = true;
                due.push(Due::Silent(id));
            }
        }
        due
    }

    /// Whether nothing has come from a peer for long.
    #[must_use]
    pub fn is_silent(&self, id: NaiveId) -> bool {
        self.peers.get(id).is_some() && self.paths.get(&id).is_some_and(|path| path.is_silent)
    }

    /// The ICMP error about a packet of which this is there, or why there is none.
    fn error(
        &self,
        id: Option<NaiveId>,
        bytes: &[u8],
        fields: &Fields<'_>,
        kind: Kind,
    ) -> Result<Vec<u8>, Why> {
        let outer_source = id.and_then(|id| self.peers.get(id));
        let outer_source = outer_source.map(|(tunnel, _)| tunnel.outer().source);
        let source = self.config.icmp_source.map(|source| source.octets());
        let source = source.or(outer_source).ok_or(Why::NoPeer)?;
        let mut silences = silences(fields);
        let (kind, code, mtu) = match kind {
            Kind::NetUnreachable => (3, 0, 0),
            Kind::HostUnreachable => (3, 1, 0),
            Kind::FragmentationNeeded { mtu } => (3, 4, mtu),
            Kind::TimeExceeded => (11, 0, 0),
            other => panic!("{other:?}"),
        };
        if code == 4 && mtu < 68 {
            silences.push(Silence::MtuBelowMinimum);
        }
        if code == 4 && fields.flags_offset & 0x4000 == 0 {
            silences.push(Silence::MayBeFragmented);
        }
        if is_martian(source) {
            silences.push(Silence::NoOwnAddress);
        }
        if !silences.is_empty() {
            return Err(Why::Silent(silences));
        }
        if !self.may_answer {
            return Err(Why::RateLimited);
        }
        let there = fields.total_len.min(bytes.len());
        let most = there.min(548);
        let least = there.min(fields.header_len + 8);
        let len = usize::from(self.config.icmp_quote_len).clamp(least, most.max(least));
        Ok(icmp_error((kind, code, mtu), &bytes[..len], source, None))
    }

    fn answer(&self, id: Option<NaiveId>, bytes: &[u8], kind: Kind, why: Why) -> Went {
        let fields = validate(bytes, true).unwrap();
        match self.error(id, bytes, &fields, kind) {
            Ok(error) => Went::Answered(id, error, why),
            Err(why) => Went::Dropped(id, why),
        }
    }

    /// The outer packet of an inner one that the tunnel accepts, with its numbers.
    fn wrapped(&mut self, id: NaiveId, packet: &[u8], said: &PerPacket) -> Result<Vec<u8>, Why> {
        let path = self.path(id).unwrap();
        let mtu = said.link_mtu().unwrap_or(u16::MAX).min(path.mtu.mtu());
        let (tcp, acknowledgment) = said.tcp_numbers();
        let numbered = said
            .with_link_mtu(mtu)
            .with_sequence(said.sequence().unwrap_or(path.sequence))
            .with_tcp_numbers(tcp.wrapping_add(path.stream), acknowledgment);
        let (tunnel, _) = self.peers.get(id).unwrap();
        let tunnel = tunnel.clone();
        let objections = |said: &PerPacket| tunnel.encapsulator().objections(packet, said);
        let identified = if numbered.identification().is_none() {
            numbered.with_identification(0)
        } else {
            numbered
        };
        if let Some(objection) = objections(&identified).first() {
            return Err(Why::Encap(*objection));
        }
        let numbered = if objections(&numbered).is_empty() {
            numbered
        } else {
            // F-02: what goes to one address is counted at one place, whoever is there.
            let there = u32::from_be_bytes(tunnel.outer().destination);
            let place = counting_place(there, self.peers.slots.len());
            let ordinal = self.ordinals.entry(place).or_default();
            let identification = self.config.identifications.of(there, *ordinal);
            *ordinal = ordinal.wrapping_add(1);
            numbered.with_identification(identification)
        };
        let outer = tunnel.encapsulator().outer(packet, &numbered);
        let inner_len = u16_at(packet, 2);
        let segment = said.segment_len().unwrap_or(inner_len).min(inner_len);
        let longest = usize::from(segment) + tunnel.encapsulator().overhead();
        let stream_len = tunnel.encapsulator().stream_len(inner_len.into());
        let stream_len = u32::try_from(stream_len.unwrap_or(0)).unwrap();
        let clock = self.clock;
        let path = self.path(id).unwrap();
        path.mtu.sent(u16::try_from(longest).unwrap());
        path.sequence = numbered.sequence().unwrap().wrapping_add(1);
        path.stream = path.stream.wrapping_add(stream_len);
        path.spoke = clock;
        Ok(outer)
    }

    /// The packet with its MSS lowered to what fits; the checksum of the segment is right after if it was before. A
    /// partial one stays.
    fn lowered(&mut self, id: NaiveId, mtu: u16, packet: &[u8], is_partial: bool) -> Vec<u8> {
        let (_, policy) = self.peers.get(id).unwrap();
        let fits = mtu.saturating_sub(self.overhead(id)).saturating_sub(40);
        let limit = match policy.mss {
            MssPolicy::Off => return packet.to_vec(),
            MssPolicy::AtMost(most) => fits.min(most),
            _ => fits,
        };
        let Some(mut lower) = clamped(packet, limit) else {
            return packet.to_vec();
        };
        let (at, end) = syn_at(packet).unwrap();
        let old = covered_by_tcp(packet, at);
        let mut checksum = u16_at(packet, at + 16);
        if is_partial {
            // The device sums what is there then.
        } else if verifies(&old) {
            checksum = tcp_checksum(&covered_by_tcp(&lower, at));
        } else {
            // A wrong one stays wrong by as much.
            for word in (at + 20..end).step_by(2) {
                let (old, new) = (u16_at(packet, word), u16_at(&lower, word));
                if old != new {
                    checksum = equation_3(checksum, old, new);
                }
            }
        }
        put_u16(&mut lower, at + 16, checksum);
        lower
    }

    /// A packet from the inner side.
    pub fn outbound(&mut self, now: u64, tenant: u32, packet: &[u8], said: &PerPacket) -> Went {
        self.tick(now);
        let fields = match validate(packet, true) {
            Ok(fields) => fields,
            Err(error) => return Went::Dropped(None, Why::Encap(error.into())),
        };
        let packet = &packet[..fields.total_len];
        let Some(id) = self.peers.owner(tenant, fields.destination) else {
            return self.answer(None, packet, Kind::NetUnreachable, Why::NoPeer);
        };
        let (tunnel, _) = self.peers.get(id).unwrap();
        let outer = tunnel.outer();
        let is_at_port = match (tunnel.kind(), fields.payload) {
            ((17, Some(ours)), [_, _, high, low, ..]) if !fields.is_fragment() => {
                let port = u16::from_be_bytes([*high, *low]);
                port == 0 || u32::from(port) == ours
            }
            _ => true,
        };
        if (fields.source, fields.destination) == (outer.source, outer.destination)
            && fields.protocol == tunnel.kind().0
            && is_at_port
        {
            return Went::Dropped(Some(id), Why::RoutingLoop);
        }
        let path_mtu = self.path(id).unwrap().mtu.mtu();
        let mtu = said.link_mtu().unwrap_or(u16::MAX).min(path_mtu);
        let is_partial = said.inner_checksum() == InnerChecksum::Partial;
        let lower = self.lowered(id, mtu, packet, is_partial);
        let objection = match self.wrapped(id, &lower, said) {
            Ok(outer) => {
                let notice = self.notice(id, packet, &fields);
                return Went::Out(id, vec![outer], notice);
            }
            Err(Why::Encap(objection)) => objection,
            Err(why) => return Went::Dropped(Some(id), why),
        };
        let why = Why::Encap(objection);
        let mtu = match objection {
            EncapError::TtlExpired => {
                return self.answer(Some(id), packet, Kind::TimeExceeded, why);
            }
            EncapError::FragmentationNeeded { mtu } => mtu,
            EncapError::TooLong { .. } => 65_535 - self.overhead(id),
            _ => return Went::Dropped(Some(id), why),
        };
        if mtu < 68 {
            return Went::Dropped(Some(id), Why::MtuTooSmall);
        }
        let has_df = fields.flags_offset & 0x4000 != 0;
        let is_super = said
            .segment_len()
            .is_some_and(|len| usize::from(len) < fields.total_len);
        // Segments that fit are not helped by an MTU.
        if is_super && (!has_df || matches!(objection, EncapError::TooLong { .. })) {
            return Went::Dropped(Some(id), Why::SegmentTooLong);
        }
        if has_df {
            let kind = Kind::FragmentationNeeded { mtu };
            return self.answer(Some(id), packet, kind, why);
        }
        if is_partial {
            // C-22: a device would sum a part of what the checksum covers.
            return Went::Dropped(Some(id), Why::Encap(EncapError::PartialChecksum));
        }
        let parts = match fragments(&lower, mtu) {
            Ok(parts) => parts,
            Err(error) => return Went::Dropped(Some(id), Why::Fragment(error)),
        };
        let mut outers = vec![];
        let (mut said, others) = (*said, unnumbered(said));
        for part in parts {
            let wrapped = self.wrapped(id, &part, &said);
            said = others;
            match wrapped {
                Ok(outer) => outers.push(outer),
                Err(why) => {
                    assert!(outers.is_empty(), "only some fragments are accepted");
                    return Went::Dropped(Some(id), why);
                }
            }
        }
        Went::Out(id, outers, None)
    }

    /// What the source of a packet that goes out hears besides (I-31).
    fn notice(&mut self, id: NaiveId, packet: &[u8], fields: &Fields<'_>) -> Option<Vec<u8>> {
        let clock = self.clock;
        let path = self.path(id).unwrap();
        path.notice = path.notice.filter(|(_, until)| clock < *until);
        let (kind, _) = path.notice?;
        let error = self.error(Some(id), packet, fields, kind).ok()?;
        self.path(id).unwrap().notice = None;
        Some(error)
    }

    /// A packet from the network.
    pub fn inbound(&mut self, now: u64, packet: &[u8]) -> Came {
        self.tick(now);
        let fields = match validate(packet, true) {
            Ok(fields) => fields,
            Err(error) => {
                let reason = match error {
                    ParseError::Truncated { .. } => Reason::OuterTruncated,
                    ParseError::BadVersion { .. } => Reason::OuterBadVersion,
                    ParseError::BadIhl { .. } => Reason::OuterBadIhl,
                    ParseError::BadChecksum => Reason::OuterBadChecksum,
                    _ => Reason::OuterBadTotalLength,
                };
                return Came::Dropped(None, Why::Refused(reason));
            }
        };
        if !fields.is_fragment() {
            return self.whole(packet, &fields);
        }
        if !self.peers.local().contains(&fields.destination) {
            return Came::Dropped(None, Why::Refused(Reason::OuterDstNotLocal));
        }
        let there = self.peers.with_outer_address(fields.source);
        let Some(first) = there.first() else {
            return Came::Dropped(None, Why::Refused(Reason::UnknownPeer));
        };
        let clock = self.clock;
        let Some(reassembler) = &mut self.reassembler else {
            return Came::Dropped(Some(*first), Why::Refused(Reason::OuterFragment));
        };
        let peer = u32::from_be_bytes(fields.source);
        match reassembler.add(clock, peer, packet) {
            Ok(Joined::Held(_) | Joined::Duplicate) => Came::Held,
            Err(error) => Came::Dropped(Some(*first), Why::Reassembly(error)),
            Ok(Joined::Complete(datagram)) => {
                let fields = validate(&datagram, true).unwrap();
                match self.whole(&datagram, &fields) {
                    Came::HostsOwn => Came::Dropped(None, Why::Refused(Reason::NotTunnel)),
                    Came::Relayed(id, _, mtu) => Came::Learnt(id, mtu),
                    came => came,
                }
            }
        }
    }

    /// The network as the receiver of a peer sees it.
    fn network(&self, id: NaiveId) -> Network {
        let (_, policy) = self.peers.get(id).unwrap();
        let all = self.peers.all();
        let peer = |(place, _): NaiveId, tunnel: &NaiveTunnel| {
            let prefixes = self.peers.prefixes.prefixes.iter();
            let place = u32::try_from(place).unwrap();
            let own = prefixes.filter(|entry| (entry.0, entry.2) == (policy.tenant, place));
            Peer {
                outer: (tunnel.outer().destination, 32),
                inner: own.map(|(_, net, _)| *net).collect(),
                tag: place,
            }
        };
        let (first, others): (Vec<_>, Vec<_>) = all.iter().partition(|(other, ..)| *other == id);
        let peers = first.into_iter().chain(others);
        Network {
            local: self.peers.local(),
            peers: peers.map(|(id, tunnel, _)| peer(id, tunnel)).collect(),
            endpoints: all.iter().map(|(_, t, _)| t.outer().destination).collect(),
            ports: self.peers.ports(),
        }
    }

    fn opened(&self, id: NaiveId, packet: &[u8]) -> Result<Accepted, Refusal> {
        let (tunnel, _) = self.peers.get(id).unwrap();
        let switches = Switches {
            max_depth: 1,
            ..Switches::default()
        };
        decapsulate(tunnel.carrier(), &self.network(id), switches, packet)
    }

    fn whole(&mut self, packet: &[u8], fields: &Fields<'_>) -> Came {
        let sender = self.peers.sender(arrival(packet));
        let opened = sender.map(|id| (id, self.opened(id, packet)));
        if let Some((id, Ok(accepted))) = &opened {
            let clock = self.clock;
            let path = self.path(*id).unwrap();
            path.heard = clock;
            path.is_silent = false;
            let mtu = path.mtu.mtu();
            let inner = self.lowered(*id, mtu, &accepted.inner.0, false);
            return Came::Delivered(*id, inner);
        }
        let refused = |id, reason| Came::Dropped(id, Why::Refused(reason));
        if !self.peers.local().contains(&fields.destination) {
            return refused(None, Reason::OuterDstNotLocal);
        }
        if let Some((id, Err(refusal))) = opened {
            return refused(Some(id), refusal.reason);
        }
        if fields.protocol == 1 {
            return self.icmp(packet);
        }
        if is_martian(fields.source) || self.peers.local().contains(&fields.source) {
            return refused(None, Reason::OuterMartianSource);
        }
        if let Some(first) = self.peers.with_outer_address(fields.source).first() {
            match self.opened(*first, packet) {
                Ok(_) => return refused(None, Reason::UnknownPeer),
                Err(refusal)
                    if refusal.reason != Reason::NotTunnel || is_tunnel(fields.protocol) =>
                {
                    return refused(Some(*first), refusal.reason);
                }
                Err(_) => {}
            }
        }
        let is_for_tunnel = match (fields.protocol, arrival(packet).2) {
            (protocol @ (6 | 17), Some(port)) => {
                let port = u16::try_from(port).unwrap();
                self.peers.listens(fields.destination, protocol, port)
            }
            (protocol, _) => is_tunnel(protocol),
        };
        if is_for_tunnel {
            refused(None, Reason::UnknownPeer)
        } else {
            Came::HostsOwn
        }
    }

    /// I-20 to I-34.
    fn icmp(&mut self, packet: &[u8]) -> Came {
        let heard = match hear_icmp(packet) {
            Ok(heard) => heard,
            Err(Ignored::NotAnError) => return Came::HostsOwn,
            Err(ignored) => return Came::Ignored(None, Why::Ignored(ignored)),
        };
        let quote = heard.quote;
        let destination = [quote[16], quote[17], quote[18], quote[19]];
        let there = self.peers.with_outer_address(destination);
        let may_be = |id: &NaiveId| {
            let (tunnel, policy) = self.peers.get(*id)?;
            let inner = tunnel.encapsulator().unquoted(quote)?;
            // What is quoted went to this peer.
            let is_its = inner.len() < 20
                || self.peers.owner(policy.tenant, address_at(&inner, 16)) == Some(*id);
            is_its.then_some((*id, inner))
        };
        let quoted: Vec<_> = there.iter().take(64).filter_map(may_be).collect();
        let mut came = Came::Ignored(None, Why::NotOurs);
        let mut is_told = false;
        for (id, inner) in quoted {
            let tells_peer = inner.len() >= 20;
            let of_peer = self.icmp_of(id, inner, &heard, is_told);
            if !is_told {
                is_told = !matches!(of_peer, Came::Ignored(..));
                came = of_peer;
            }
            if tells_peer {
                break;
            }
        }
        came
    }

    /// What an ICMP error means for this peer. Another one's has been told already.
    fn icmp_of(
        &mut self,
        id: NaiveId,
        inner: Vec<u8>,
        heard: &HeardIcmp<'_>,
        is_told: bool,
    ) -> Came {
        let quote = heard.quote;
        let (tunnel, _) = self.peers.get(id).unwrap();
        let (has_ports, keeps_header) = (
            tunnel.kind().0 == 17,
            tunnel.encapsulator().keeps_inner_header(),
        );
        let ignored = |why| Came::Ignored(Some(id), why);
        let by_table = |reason| ignored(Why::Ignored(reason));
        let kind = match (heard.kind, heard.code) {
            (3, 4) => {
                let quoted = QuotedLen {
                    total_len: u16_at(quote, 2),
                    header_len: quote[0] % 16 * 4,
                };
                let path = self.path(id).unwrap();
                if let Effect::Ignored(why) = path.mtu.report(u16_at(&heard.rest, 2), quoted) {
                    return ignored(Why::PathMtu(why));
                }
                path.told = path.mtu.mtu();
                path.is_untold |= is_told;
                let mtu = self.inner_mtu(0, id).unwrap();
                Kind::FragmentationNeeded { mtu }
            }
            (3, 0) => Kind::NetUnreachable,
            (3, 3) if !has_ports => return by_table(Ignored::PortUnreachable),
            (3, 5) => return by_table(Ignored::SourceRouteFailed),
            (4, _) => return by_table(Ignored::SourceQuench),
            (5, _) => return by_table(Ignored::Redirect),
            (12, _) => return by_table(Ignored::ParameterProblem),
            _ => Kind::HostUnreachable,
        };
        let inner = if keeps_header { inner } else { vec![] };
        let error = self.error_about_quoted(id, &inner, kind);
        let mtu = self.inner_mtu(0, id).unwrap();
        match error {
            Ok(error) => Came::Relayed(id, error, mtu),
            Err(_) if matches!(kind, Kind::FragmentationNeeded { .. }) => Came::Learnt(id, mtu),
            Err(Why::Silent(silences)) if silences == [Silence::QuoteTooShort] => {
                let until = self.clock.saturating_add(30_000);
                self.path(id).unwrap().notice = Some((kind, until));
                Came::Learnt(id, mtu)
            }
            Err(why) => ignored(why),
        }
    }

    /// I-31, I-32.
    fn error_about_quoted(&self, id: NaiveId, inner: &[u8], kind: Kind) -> Result<Vec<u8>, Why> {
        let silent = |silence| Err(Why::Silent(vec![silence]));
        let header_len = usize::from(inner.first().copied().unwrap_or(0) % 16) * 4;
        if inner.len() < 20 || inner.len() < header_len {
            return silent(Silence::QuoteTooShort);
        }
        let total_len = usize::from(u16_at(inner, 2));
        let is_right = (0x45..=0x4f).contains(&inner[0])
            && verifies(&inner[..header_len])
            && total_len >= header_len;
        if !is_right {
            return silent(Silence::Invalid);
        }
        if inner.len() < total_len.min(header_len + 8) {
            return silent(Silence::QuoteTooShort);
        }
        let seen = &inner[..inner.len().min(total_len)];
        let mut seeming = seen.to_vec();
        put_u16(&mut seeming, 2, u16::try_from(seen.len()).unwrap());
        let fields = validate(&seeming, false).unwrap();
        self.error(Some(id), seen, &fields, kind)
    }
}

/// At which of so many places packets to an address are counted.
fn counting_place(address: u32, places: usize) -> usize {
    let mut word = u64::from(address);
    word = ((word ^ word >> 16) * 0x7feb_352d) % (1 << 32);
    word = ((word ^ word >> 15) * 0x846c_a68b) % (1 << 32);
    word ^= word >> 16;
    usize::try_from(word >> 16).unwrap() * places / 65_536
}

/// The same without identification and sequence number.
fn unnumbered(said: &PerPacket) -> PerPacket {
    let (tcp, acknowledgment) = said.tcp_numbers();
    let mut other = PerPacket::new()
        .with_link_mtu(said.link_mtu().unwrap_or(u16::MAX))
        .with_inner_checksum(said.inner_checksum())
        .with_tcp_numbers(tcp, acknowledgment);
    if let Some(hash) = said.flow_hash() {
        other = other.with_flow_hash(hash);
    }
    if let Some(len) = said.segment_len() {
        other = other.with_segment_len(len);
    }
    other
}

/// Protocols that carry packets, by themselves.
fn is_tunnel(protocol: u8) -> bool {
    [4, 41, 47, 55, 137].contains(&protocol)
}
