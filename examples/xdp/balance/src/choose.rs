use ipencap::icmp::Report;
use ipencap::packet::{Facts, Flow};
use ipencap::wire::{IpProtocol, Ipv4, QuotedIpv4, TcpFlags, TcpHeader};

use crate::{Begun, Pool, Slot, Vip, Vips};

/// What a balancer looks up: slices in user space ([`Tables`]), maps in an XDP program.
pub trait Maps {
    /// The pool of exactly this VIP.
    fn pool(&self, vip: Vip) -> Option<Pool>;

    /// The slot at this place, of those of all pools.
    fn slot(&self, place: u32) -> Option<Slot>;

    /// Whether a connection with this hash has begun since the table began to change.
    fn has_begun(&self, hash: u32) -> bool;

    /// Notes that one has.
    fn begin(&mut self, hash: u32);
}

/// The backend for a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "there are no other cases")]
pub enum Choice {
    /// The one with this number.
    Backend(u16),
    /// The VIP has no active backend.
    NoBackend,
    /// The packet goes to no VIP: leave it to the system.
    NotAVip,
}

/// Whether a packet is the first of its flow, as far as that can be told from it alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "there are no other cases")]
pub enum Stage {
    /// A TCP SYN: it is.
    Begins,
    /// Another TCP segment: it is not.
    GoesOn,
    /// Nobody can tell.
    Unknown,
}

impl Stage {
    /// The stage of the flow of this whole packet.
    #[inline]
    #[must_use]
    pub fn of(packet: Ipv4<'_>) -> Self {
        let header = packet.header();
        if header.protocol() != IpProtocol::TCP || header.is_fragment() {
            return Self::Unknown;
        }
        match TcpHeader::split(packet.payload()) {
            Ok((tcp, ..))
                if tcp.flags().intersection(TcpFlags::SYN | TcpFlags::ACK) == TcpFlags::SYN =>
            {
                Self::Begins
            }
            _ => Self::GoesOn,
        }
    }
}

/// Chooses the backend of a flow to `vip` with this [hash](Flow::hash).
///
/// `stage` is asked only in slots that change.
#[inline(always)]
pub fn choose(maps: &mut impl Maps, vip: Vip, hash: u32, stage: impl FnOnce() -> Stage) -> Choice {
    let pool = match maps.pool(vip) {
        Some(pool) => pool,
        None if vip.port == 0 => return Choice::NotAVip,
        None => match maps.pool(vip.any_port()) {
            Some(pool) => pool,
            None => return Choice::NotAVip,
        },
    };
    let Some(slot) = maps.slot(pool.place(hash)) else {
        return Choice::NoBackend;
    };
    let backend = if slot.is_changing() {
        changing(maps, slot, hash, stage())
    } else {
        slot.new_flows
    };
    match backend {
        Slot::NONE => Choice::NoBackend,
        backend => Choice::Backend(backend),
    }
}

#[inline]
fn changing(maps: &mut impl Maps, slot: Slot, hash: u32, stage: Stage) -> u16 {
    match stage {
        Stage::Begins => {
            maps.begin(hash);
            slot.new_flows
        }
        Stage::GoesOn if maps.has_begun(hash) => slot.new_flows,
        Stage::GoesOn => slot.old_flows,
        Stage::Unknown => slot.new_flows,
    }
}

/// What an ICMP error to a VIP is about: a packet that a backend has sent from this VIP to a client, and the flow of
/// the client's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Quoted {
    /// The VIP that the quoted packet comes from.
    pub vip: Vip,
    /// The flow of the packets of the other direction, by which the backend was chosen.
    pub flow: Flow,
}

impl Quoted {
    /// What this quoted packet tells; `None` where it is cut before its ports.
    #[inline]
    #[must_use]
    pub fn of(packet: QuotedIpv4<'_>) -> Option<Self> {
        let flow = Flow::of_quoted(packet)?.reversed();
        let protocol = packet.header().protocol();
        Some(Self {
            vip: Vip {
                address: packet.header().source(),
                // As in `Vip::of`.
                port: match protocol {
                    IpProtocol::TCP | IpProtocol::UDP => flow.destination_port,
                    _ => 0,
                },
                protocol,
            },
            flow,
        })
    }

    /// The same of an error that [`ipencap::icmp::read`] has read. It is for the backend only if it came to the
    /// quoted VIP: compare [`vip`](Self::vip)'s address with the destination of the error.
    #[inline]
    #[must_use]
    pub fn of_report(report: &Report<'_>) -> Option<Self> {
        Ipv4::parse_quoted(report.quote().packet())
            .ok()
            .and_then(Self::of)
    }

    /// The stage of the quoted flow: a packet of it has come back, so it has begun.
    #[inline]
    #[must_use]
    pub const fn stage(&self) -> Stage {
        match self.flow.protocol {
            IpProtocol::TCP => Stage::GoesOn,
            _ => Stage::Unknown,
        }
    }
}

/// The tables of a balancer in user space, all of them in the caller's memory.
#[derive(Debug)]
#[allow(clippy::exhaustive_structs, reason = "built by the caller")]
pub struct Tables<'a> {
    /// The pools of the VIPs.
    pub vips: Vips<'a>,
    /// The slots of all pools, one pool behind the other.
    pub slots: &'a [Slot],
    /// The connections that have begun while tables change.
    pub begun: Begun<'a>,
    /// The seed of the flows' hash, the same in all balancers that share a VIP. Keep it secret: whoever knows it
    /// can send all flows to one backend.
    pub seed: u32,
}

impl Tables<'_> {
    /// The backend for a packet, and the hash of its flow: for
    /// [`PerPacket::with_flow_hash`](ipencap::packet::PerPacket::with_flow_hash).
    ///
    /// `packet` is the whole valid packet of which these are the `facts`. An ICMP error to a VIP goes to the backend
    /// of the flow that it quotes.
    #[inline(always)]
    pub fn choose(&mut self, facts: &Facts, packet: &[u8]) -> (Choice, u32) {
        if facts.protocol() == IpProtocol::ICMP {
            return self.choose_icmp(facts, packet);
        }
        let hash = facts.flow().hash(self.seed);
        let choice = choose(self, Vip::of(facts), hash, || stage(packet));
        (choice, hash)
    }

    /// Echo requests and the like may have a pool of their own.
    #[cold]
    #[inline(never)]
    fn choose_icmp(&mut self, facts: &Facts, packet: &[u8]) -> (Choice, u32) {
        let quoted = ipencap::icmp::read(packet)
            .ok()
            .and_then(|report| Quoted::of_report(&report));
        let (vip, flow, stage) = match quoted {
            Some(quoted) if quoted.vip.address == facts.destination() => {
                (quoted.vip, quoted.flow, quoted.stage())
            }
            _ => (Vip::of(facts), facts.flow(), Stage::Unknown),
        };
        let hash = flow.hash(self.seed);
        (choose(self, vip, hash, || stage), hash)
    }
}

#[cold]
#[inline(never)]
fn stage(packet: &[u8]) -> Stage {
    Ipv4::parse(packet).map_or(Stage::Unknown, Stage::of)
}

impl Maps for Tables<'_> {
    #[inline(always)]
    fn pool(&self, vip: Vip) -> Option<Pool> {
        self.vips.get(vip)
    }

    #[inline(always)]
    fn slot(&self, place: u32) -> Option<Slot> {
        self.slots.get(usize::try_from(place).ok()?).copied()
    }

    #[inline]
    fn has_begun(&self, hash: u32) -> bool {
        self.begun.contains(hash)
    }

    #[inline]
    fn begin(&mut self, hash: u32) {
        self.begun.insert(hash);
    }
}
