//! One end of a tunnel: what the library's endpoint says of each packet, as names and bytes.

use core::net::Ipv4Addr;

use ipencap::Span;
use ipencap::decap::Prefix;
use ipencap::encap::{Encapsulate, PerPacket};
use ipencap::fragment::{Limits, Reassembler, Slot};
use ipencap::icmp::{BucketConfig, IcmpError};
use ipencap::packet::Packet;
use ipencap::time::Instant;
use ipencap::tunnel::{
    Cause, Endpoint, EndpointConfig, Identifications, Inbound, MssPolicy, MtuPolicy, OnePeer,
    Outbound, Path, PeerId, PeerPolicy, Peers,
};

use super::numbers::Numbered;
use super::spec::Spec;

/// Datagrams that may be in pieces at once.
const SLOTS: usize = 64;
/// The longest payload that an IPv4 packet has.
const MAX_PAYLOAD_LEN: usize = 65_515;

/// What is done for the peer.
#[derive(Clone)]
pub(crate) struct Policy {
    /// The inner sources that the peer may use.
    pub(crate) allowed: Vec<Prefix>,
    pub(crate) link_mtu: u16,
    pub(crate) mtu: MtuPolicy,
    pub(crate) mss: MssPolicy,
    pub(crate) reassemble: bool,
    pub(crate) icmp_source: Option<Ipv4Addr>,
    pub(crate) seed: Option<u64>,
}

/// What happens to an end of a tunnel.
pub(crate) enum Event {
    /// A packet comes from the inner side.
    Out(Vec<u8>),
    /// A packet comes from the network.
    In(Vec<u8>),
    /// The system refused a packet that is longer than this, in bytes.
    LocalMtu(u16),
}

/// What the endpoint makes of it.
pub(crate) struct Outcome {
    pub(crate) verdict: &'static str,
    /// Packets to the peer.
    pub(crate) network: Vec<Vec<u8>>,
    /// Packets to the inner side.
    pub(crate) inner: Vec<Vec<u8>>,
    pub(crate) reason: Option<&'static str>,
    /// The longest inner packet that the path carries then, in bytes.
    pub(crate) inner_mtu: u16,
}

impl Outcome {
    fn new(verdict: &'static str, cause: Option<Cause>) -> Self {
        Self {
            verdict,
            network: Vec::new(),
            inner: Vec::new(),
            reason: cause.map(Cause::name),
            inner_mtu: 0,
        }
    }

    fn with_inner(self, inner: Option<Vec<u8>>) -> Self {
        Self {
            inner: inner.into_iter().collect(),
            ..self
        }
    }
}

/// What an end of a tunnel keeps.
pub(crate) struct Memory {
    stack: Vec<Numbered>,
    paths: [Path; 1],
    slots: Vec<Slot>,
    datagrams: Vec<u8>,
}

impl Memory {
    pub(crate) fn new(tunnels: &[Spec], policy: &Policy) -> Self {
        let identifications = policy
            .seed
            .map_or(Identifications::SEQUENTIAL, Identifications::keyed);
        let slots = if policy.reassemble { SLOTS } else { 0 };
        Self {
            stack: Numbered::stack_with(tunnels, identifications),
            paths: [Path::EMPTY],
            slots: vec![Slot::new(); slots],
            datagrams: vec![0; Reassembler::memory_len(slots, MAX_PAYLOAD_LEN)],
        }
    }
}

/// One end of a tunnel with one peer.
pub(crate) struct End<'m> {
    endpoint: Endpoint<'m, OnePeer<'m, &'m [Numbered]>>,
    peer: PeerId,
    overhead: usize,
}

impl<'m> End<'m> {
    /// The end of `tunnels`, of which the first is the innermost; `None` if there are none.
    pub(crate) fn new(
        tunnels: &[Spec],
        policy: &'m Policy,
        memory: &'m mut Memory,
    ) -> Option<Self> {
        let Memory {
            stack,
            paths,
            slots,
            datagrams,
        } = memory;
        let stack: &'m [Numbered] = stack;
        let peers = OnePeer::new(stack, &policy.allowed)
            .with_default_route()
            .with_policy(PeerPolicy {
                mtu: policy.mtu,
                mss: policy.mss,
                inner: tunnels.first()?.inner_policy(),
                ..PeerPolicy::DEFAULT
            });
        let default = EndpointConfig::DEFAULT;
        let config = EndpointConfig {
            link_mtu: policy.link_mtu,
            icmp_source: policy.icmp_source,
            // A script has no clock to wait for: every ICMP error that is due is shown.
            icmp_rate: BucketConfig {
                per_second: u16::MAX,
                burst: u16::MAX,
                key: policy.seed.unwrap_or_default(),
            },
            ..default
        };
        let peer = peers.at(0)?;
        let endpoint = Endpoint::new(peers, paths, config);
        Some(Self {
            endpoint: if policy.reassemble {
                endpoint.with_reassembler(Reassembler::new(slots, datagrams, Limits::DEFAULT))
            } else {
                endpoint
            },
            peer,
            overhead: stack.overhead(),
        })
    }

    pub(crate) fn handle(&mut self, millis: u64, event: Event) -> Outcome {
        let now = Instant::from_millis(millis);
        let outcome = match event {
            Event::Out(packet) => self.send(now, &packet),
            Event::In(packet) => self.receive(now, packet),
            Event::LocalMtu(mtu) => named(self.endpoint.local_mtu(now, self.peer, mtu)),
        };
        Outcome {
            inner_mtu: self.endpoint.inner_mtu(now, self.peer).unwrap_or_default(),
            ..outcome
        }
    }

    fn send(&mut self, now: Instant, packet: &[u8]) -> Outcome {
        let mut buffer = vec![0; self.overhead];
        buffer.extend_from_slice(packet);
        let span = Span::new(self.overhead, packet.len());
        let mut network = Vec::new();
        let verdict = self.endpoint.send(
            now,
            &mut Packet::new(&mut buffer, span),
            &PerPacket::new(),
            |outer| network.push(outer.to_vec()),
        );
        let outcome = match verdict {
            Outbound::Send { notice, .. } => {
                let notice = notice.map(|error| written(&error, packet));
                Outcome::new("Send", None).with_inner(notice)
            }
            Outbound::Split { .. } => Outcome::new("Split", None),
            Outbound::Answer { error, cause, .. } => {
                Outcome::new("Answer", Some(cause)).with_inner(Some(written(&error, packet)))
            }
            Outbound::Drop { cause, .. } => Outcome::new("Drop", Some(cause)),
            _ => UNKNOWN,
        };
        Outcome { network, ..outcome }
    }

    fn receive(&mut self, now: Instant, mut packet: Vec<u8>) -> Outcome {
        let verdict = self.endpoint.receive(now, &mut packet);
        let inner = match verdict {
            Inbound::Deliver { opened, .. } => opened.span().get(&packet).map(<[u8]>::to_vec),
            Inbound::Whole { slot, opened, .. } => self
                .endpoint
                .datagram(slot)
                .and_then(|datagram| opened.span().get(datagram))
                .map(<[u8]>::to_vec),
            Inbound::Relay { error, quoted, .. } => {
                quoted.get(&packet).map(|quoted| written(&error, quoted))
            }
            _ => None,
        };
        named(verdict).with_inner(inner)
    }
}

/// The name of a verdict, and its reason.
fn named(verdict: Inbound) -> Outcome {
    match verdict {
        Inbound::Deliver { .. } => Outcome::new("Deliver", None),
        Inbound::Held => Outcome::new("Held", None),
        Inbound::Whole { .. } => Outcome::new("Whole", None),
        Inbound::Learnt { .. } => Outcome::new("Learnt", None),
        Inbound::Relay { .. } => Outcome::new("Relay", None),
        Inbound::HostsOwn => Outcome::new("Ours", None),
        Inbound::Ignored { cause, .. } => Outcome::new("Ignored", Some(cause)),
        Inbound::Drop { cause, .. } => Outcome::new("Drop", Some(cause)),
        _ => UNKNOWN,
    }
}

/// A verdict that a later version of the library may have.
const UNKNOWN: Outcome = Outcome {
    verdict: "Unknown",
    network: Vec::new(),
    inner: Vec::new(),
    reason: None,
    inner_mtu: 0,
};

/// The ICMP error about this packet.
fn written(error: &IcmpError, offending: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; error.len()];
    // There is room, and the error was made for these bytes.
    let _ = error.write(offending, &mut packet);
    packet
}
