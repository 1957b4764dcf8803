use ipencap::error::ParseError;
use ipencap::packet::Flow;
use ipencap::wire::{IpProtocol, Ipv4, Ipv4Header, QuotedIpv4, TcpFlags, TcpHeader};

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

#[cold]
#[inline(never)]
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

/// The flow of a packet by its own header, whatever is inside.
#[inline(always)]
#[must_use]
pub fn own_flow(packet: Ipv4<'_>) -> Flow {
    let header = packet.header();
    let flow = Flow::new(header.source(), header.destination(), header.protocol());
    match (header.protocol(), packet.payload()) {
        (IpProtocol::TCP | IpProtocol::UDP, &[a, b, c, d, ..]) if !header.is_fragment() => {
            flow.with_ports(u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
        }
        _ => flow,
    }
}

/// The flow of the client's packets that a quoted packet answers, by the quoted packet's own header; `None` where it
/// is cut before its ports.
///
/// An ICMP error to a VIP quotes a packet that a backend has sent from the VIP to a client. It is for the backend of
/// this flow, if it came to the flow's [`Vip`]: compare the destination of the error.
#[inline]
#[must_use]
pub fn answered_flow(quoted: QuotedIpv4<'_>) -> Option<Flow> {
    let header = quoted.header();
    if header.protocol() == IpProtocol::IPENCAP {
        // No flow of a packet inside.
        let flow = Flow::new(header.source(), header.destination(), header.protocol());
        return Some(flow.reversed());
    }
    Flow::of_quoted(quoted).map(Flow::reversed)
}

impl Stage {
    /// The stage of a flow of which a packet has come back: it has begun.
    #[inline]
    #[must_use]
    pub const fn of_answered(flow: Flow) -> Self {
        match flow.protocol {
            IpProtocol::TCP => Self::GoesOn,
            _ => Self::Unknown,
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
    /// The backend for the packet at the start of `bytes`, and the hash of its flow: for
    /// [`PerPacket::with_flow_hash`](ipencap::packet::PerPacket::with_flow_hash).
    ///
    /// An ICMP error to a VIP goes to the backend of the flow that it quotes. The header's checksum is not looked at:
    /// [`encap`](ipencap::encap()) does that.
    ///
    /// # Errors
    /// As [`Ipv4::parse_hardware_verified`].
    #[inline(always)]
    pub fn choose(&mut self, bytes: &[u8]) -> Result<(Choice, u32), ParseError> {
        let Some(flow) = plain_flow(bytes) else {
            return self.choose_any(bytes);
        };
        let hash = flow.hash(self.seed);
        Ok((choose(self, Vip::of(flow), hash, || stage(bytes)), hash))
    }

    /// [`choose`](Self::choose) for all packets.
    #[cold]
    #[inline(never)]
    fn choose_any(&mut self, bytes: &[u8]) -> Result<(Choice, u32), ParseError> {
        let packet = Ipv4::parse_hardware_verified(bytes)?;
        let (flow, stage) = match quoted_flow(packet, bytes) {
            Some(flow) => (flow, Stage::of_answered(flow)),
            // Echo requests and the like may have a pool of their own.
            None => (own_flow(packet), Stage::of(packet)),
        };
        let hash = flow.hash(self.seed);
        Ok((choose(self, Vip::of(flow), hash, || stage), hash))
    }
}

/// The flow of a packet of TCP or UDP without options that is no fragment: of most. The length of the packet is not
/// compared with that of the bytes.
#[inline(always)]
fn plain_flow(bytes: &[u8]) -> Option<Flow> {
    let start: &[u8; 24] = bytes.first_chunk()?;
    let (&header, ports) = start.split_first_chunk()?;
    let header = Ipv4Header::from_bytes(header);
    let is_plain = start[0] == 0x45
        && matches!(header.protocol(), IpProtocol::TCP | IpProtocol::UDP)
        && !header.is_fragment()
        && header.total_len() >= 24;
    let &[a, b, c, d] = ports.first_chunk()?;
    let flow = Flow::new(header.source(), header.destination(), header.protocol())
        .with_ports(u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    is_plain.then_some(flow)
}

/// The flow that an ICMP error is about, if it came to the sender of what it quotes.
fn quoted_flow(packet: Ipv4<'_>, bytes: &[u8]) -> Option<Flow> {
    if packet.header().protocol() != IpProtocol::ICMP {
        return None;
    }
    let report = ipencap::icmp::read(bytes).ok()?;
    let flow = answered_flow(Ipv4::parse_quoted(report.quote().packet()).ok()?)?;
    (flow.destination == packet.header().destination()).then_some(flow)
}

#[cold]
#[inline(never)]
fn stage(packet: &[u8]) -> Stage {
    Ipv4::parse_hardware_verified(packet).map_or(Stage::Unknown, Stage::of)
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
