use ipencap::error::{ParseError, Reason};
use ipencap::wire::EcnAlarm;

use crate::generate::Bytes;

use super::{
    DROP, ECN_DECAPSULATED, Fields, Plain, ecn_alarm, equation_3, put_u16, u16_at, validate,
};

/// An address and a prefix length.
pub type Net = ([u8; 4], u8);

/// Whether `address` lies in `net`, bit by bit.
#[must_use]
pub fn in_net(address: [u8; 4], (network, len): Net) -> bool {
    (0..len).all(|bit| {
        let byte = usize::from(bit / 8);
        let mask = 0x80 >> (bit % 8);
        address[byte] & mask == network[byte] & mask
    })
}

/// A peer of a [`Pipeline`].
#[derive(Clone, Debug)]
pub struct Peer {
    /// Where it sends from.
    pub outer: Net,
    /// The inner sources it may use.
    pub inner: Vec<Net>,
    /// What the verdict says of it.
    pub tag: u32,
}

/// Who may send what.
#[derive(Clone, Debug)]
pub struct Network {
    /// Our own addresses.
    pub local: Vec<[u8; 4]>,
    /// Peers, the first that fits counts.
    pub peers: Vec<Peer>,
    /// Other tunnel endpoints.
    pub endpoints: Vec<[u8; 4]>,
    /// Addresses, protocols and ports at which other tunnels receive.
    pub ports: Vec<([u8; 4], u8, u16)>,
}

/// The switches of a decapsulator.
#[derive(Clone, Copy, Debug, Default)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "switches are independent of each other"
)]
pub struct Switches {
    /// Inner multicast destinations pass.
    pub multicast: bool,
    /// Inner class E addresses pass.
    pub class_e: bool,
    /// Inner packets from one of our own addresses pass.
    pub own_source: bool,
    /// Inner packets to the peer itself pass.
    pub to_peer: bool,
    /// The inner packet must fill the carrier's payload.
    pub exact_length: bool,
    /// Inner packets from an address to itself are refused.
    pub no_land: bool,
    /// Inner tunnel protocols are refused outright.
    pub refuse_tunnels: bool,
    /// The inner DSCP becomes the outer one.
    pub uniform_dscp: bool,
    /// How many layers may be opened.
    pub max_depth: u8,
}

/// A refusal: the reason, and bytes needed and present where it is a length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The first check that failed.
    pub reason: Reason,
    /// Bytes needed and present, or zeros; `None` where the rules do not say, inside of a carrier's
    /// headers.
    pub need_have: Option<(u16, u16)>,
}

/// What a decapsulator accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Where the inner packet begins.
    pub start: usize,
    /// The inner packet as it is delivered.
    pub inner: Bytes,
    /// Bytes of the carrier's payload behind it.
    pub slack: usize,
    /// The ECN alarm.
    pub alarm: Option<EcnAlarm>,
    /// The peer's tag.
    pub tag: u32,
    /// The carrier's number of the packet.
    pub sequence: Option<u32>,
}

/// Where a carrier's packet holds the inner one, and the inner one itself.
#[derive(Clone, Debug)]
pub struct Inside {
    /// Where the inner packet will begin, from the start of the outer one.
    pub start: usize,
    /// The inner packet's bytes with any slack, its header restored where it was taken apart.
    pub bytes: Vec<u8>,
    /// The carrier's number of the packet.
    pub sequence: Option<u32>,
}

/// A carrier as the oracle needs it.
pub trait NaiveCarrier {
    /// The outer protocol.
    fn protocol(&self) -> u8;

    /// What is inside of an outer packet, the carrier's own headers checked (D-10).
    ///
    /// # Errors
    /// The carrier's own reasons.
    fn inside(&self, outer: &Fields<'_>) -> Result<Inside, Reason>;

    /// Whether an inner packet to us would be opened by this carrier again.
    fn reopens(&self, inner: &Fields<'_>) -> bool {
        inner.protocol == self.protocol()
    }

    /// Whether the outer ECN field speaks of the inner packet.
    fn relays_ecn(&self) -> bool {
        true
    }

    /// Whether the inner packet must fill the carrier's payload.
    fn is_framed(&self) -> bool {
        false
    }

    /// The payload of an outer packet with this header: the carrier's own headers and `inner`, which
    /// need not be valid.
    fn framed(&self, outer: &Plain, inner: &[u8]) -> Vec<u8>;
}

/// A refusal without lengths.
#[must_use]
pub fn refuse(reason: Reason) -> Refusal {
    Refusal {
        reason,
        need_have: Some((0, 0)),
    }
}

/// An invalid header as a refusal: `[truncated, version, IHL, checksum, total length]`.
fn refuse_header(error: ParseError, reasons: [Reason; 5]) -> Refusal {
    match error {
        ParseError::Truncated { need, have } => Refusal {
            reason: reasons[0],
            need_have: Some((need, have)),
        },
        ParseError::BadVersion { .. } => refuse(reasons[1]),
        ParseError::BadIhl { .. } => refuse(reasons[2]),
        ParseError::BadChecksum => refuse(reasons[3]),
        ParseError::BadTotalLength { .. } => refuse(reasons[4]),
        other => panic!("an IPv4 header has no {other:?}"),
    }
}

/// 0/8, 127/8, 224/4, 240/4 with the broadcast address (D-06).
#[must_use]
pub fn is_martian(address: [u8; 4]) -> bool {
    address[0] == 0 || address[0] == 127 || address[0] >= 224
}

fn is_multicast(address: [u8; 4]) -> bool {
    address[0] / 16 == 14
}

/// 240/4 without the broadcast address.
fn is_class_e(address: [u8; 4]) -> bool {
    address[0] / 16 == 15 && address != [255; 4]
}

/// Whether LSRR or SSRR is found before the options end or break (V-13, V-14).
#[must_use]
pub fn has_source_route(options: &[u8]) -> bool {
    let mut at = 0;
    while at < options.len() {
        match options[at] {
            0 => return false,
            1 => at += 1,
            kind => {
                let Some(&length) = options.get(at + 1) else {
                    return false;
                };
                let length = usize::from(length);
                if length < 2 || at + length > options.len() {
                    return false;
                }
                if kind == 131 || kind == 137 {
                    return true;
                }
                at += length;
            }
        }
    }
    false
}

/// Whether a packet with these options may not have come to its last destination: an LSRR or SSRR with
/// its pointer within its length, or options that break (C-20).
pub(super) fn may_route_on(options: &[u8]) -> bool {
    let mut at = 0;
    while at < options.len() && options[at] != 0 {
        if options[at] == 1 {
            at += 1;
            continue;
        }
        let length = usize::from(*options.get(at + 1).unwrap_or(&0));
        if length < 2 || at + length > options.len() {
            return true;
        }
        let is_route = [131, 137].contains(&options[at]);
        if is_route && (length == 2 || usize::from(options[at + 2]) <= length) {
            return true;
        }
        at += length;
    }
    false
}

/// The decapsulation pipeline D-01 to D-23, line by line.
///
/// # Errors
/// The first check that fails.
#[allow(
    clippy::too_many_lines,
    reason = "the rules in their order, as the table has them"
)]
pub fn decapsulate(
    carrier: &dyn NaiveCarrier,
    network: &Network,
    switches: Switches,
    packet: &[u8],
) -> Result<Accepted, Refusal> {
    use Reason as R;
    let is_local = |address: [u8; 4]| network.local.contains(&address);

    // D-01, D-02
    let outer = validate(packet, true).map_err(|error| {
        refuse_header(
            error,
            [
                R::OuterTruncated,
                R::OuterBadVersion,
                R::OuterBadIhl,
                R::OuterBadChecksum,
                R::OuterBadTotalLength,
            ],
        )
    })?;
    // D-03
    if outer.is_fragment() {
        return Err(refuse(R::OuterFragment));
    }
    // D-04
    if outer.protocol != carrier.protocol() {
        return Err(refuse(R::NotTunnel));
    }
    // D-05: the local set is unicast, whatever was put into it.
    if !is_local(outer.destination) || is_martian(outer.destination) {
        return Err(refuse(R::OuterDstNotLocal));
    }
    // D-06
    if is_martian(outer.source) || is_local(outer.source) {
        return Err(refuse(R::OuterMartianSource));
    }
    // D-07
    let Some(peer) = network
        .peers
        .iter()
        .find(|peer| in_net(outer.source, peer.outer))
    else {
        return Err(refuse(R::UnknownPeer));
    };
    // D-08
    if has_source_route(outer.options) {
        return Err(refuse(R::OuterSourceRoute));
    }
    // D-09, D-10
    let Inside {
        start,
        bytes,
        sequence,
    } = carrier.inside(&outer).map_err(|reason| Refusal {
        reason,
        need_have: None,
    })?;
    // D-11
    let inner = validate(&bytes, true).map_err(|error| {
        refuse_header(
            error,
            [
                R::InnerTruncated,
                R::InnerBadVersion,
                R::InnerBadIhl,
                R::InnerBadChecksum,
                R::InnerBadTotalLength,
            ],
        )
    })?;
    // D-12
    if (switches.exact_length || carrier.is_framed()) && inner.slack != 0 {
        return Err(refuse(R::InnerLengthMismatch));
    }
    // D-13
    if inner.ttl == 0 {
        return Err(refuse(R::InnerTtlZero));
    }
    // D-14
    if is_martian(inner.source) && !(switches.class_e && is_class_e(inner.source)) {
        return Err(refuse(R::InnerMartianSource));
    }
    // D-15
    if is_local(inner.source) && !switches.own_source {
        return Err(refuse(R::InnerSourceIsLocal));
    }
    // D-16
    if (inner.source, inner.destination) == (outer.source, outer.destination) {
        return Err(refuse(R::InnerEqualsOuter));
    }
    // D-17: the longest prefix of all must be one of the peer's.
    let longest = |nets: &[Net]| {
        let holding = nets.iter().filter(|&&net| in_net(inner.source, net));
        holding.map(|net| net.1).max()
    };
    let own = longest(&peer.inner);
    let of_all = network.peers.iter().map(|peer| longest(&peer.inner)).max();
    if own.is_none() || Some(own) != of_all {
        return Err(refuse(R::InnerSourceNotAllowed));
    }
    // D-18
    let may_go = !is_martian(inner.destination)
        || (switches.multicast && is_multicast(inner.destination))
        || (switches.class_e && is_class_e(inner.destination));
    if !may_go {
        return Err(refuse(R::InnerMartianDestination));
    }
    // D-19
    let loops = if inner.destination == outer.source {
        !switches.to_peer
    } else {
        network.endpoints.contains(&inner.destination)
    };
    if loops {
        return Err(refuse(R::LoopToPeer));
    }
    // D-20
    let is_tunnel = [4, 41, 47, 55, 137].contains(&inner.protocol);
    let is_for_port = match inner.payload {
        [_, _, high, low, ..] if inner.flags_offset.trailing_zeros() >= 13 => {
            let port = u16::from_be_bytes([*high, *low]);
            let at = (inner.destination, inner.protocol, port);
            network.ports.contains(&at)
        }
        _ => false,
    };
    let reopened =
        is_local(inner.destination) && (is_tunnel || carrier.reopens(&inner) || is_for_port);
    if (reopened || (switches.refuse_tunnels && is_tunnel)) && switches.max_depth <= 1 {
        return Err(refuse(R::NestingLimit));
    }
    // D-21
    let outer_ecn = if carrier.relays_ecn() {
        outer.tos % 4
    } else {
        0 // N-17, M-06
    };
    let cell = usize::from(inner.tos % 4) * 4 + usize::from(outer_ecn);
    let ecn = ECN_DECAPSULATED[cell];
    if ecn == DROP {
        return Err(refuse(R::EcnDrop));
    }
    // D-22
    if switches.no_land && inner.source == inner.destination {
        return Err(refuse(R::InnerSourceEqualsDestination));
    }
    // D-23
    let dscp = if switches.uniform_dscp {
        outer.tos / 4
    } else {
        inner.tos / 4
    };
    let mut delivered = bytes[..inner.total_len].to_vec();
    let tos = dscp * 4 + ecn;
    if tos != inner.tos {
        let old = u16_at(&delivered, 0);
        delivered[1] = tos;
        let patched = equation_3(u16_at(&delivered, 10), old, u16_at(&delivered, 0));
        put_u16(&mut delivered, 10, patched);
    }
    Ok(Accepted {
        start,
        inner: Bytes(delivered),
        slack: inner.slack,
        alarm: ecn_alarm(inner.tos % 4, outer_ecn),
        tag: peer.tag,
        sequence,
    })
}
