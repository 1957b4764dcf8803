//! Sends packets to virtual IPs (VIPs) to their backends.

use ipencap::error::EncapError;
use ipencap::shim::Shim;
use ipencap::wire::IpProtocol;
use ipencap_balance::{Choice, Pool, Slot, Stage, Vip, choose};
use ipencap_xdp_maps::{BalanceConfig, Counter, Sent};

use crate::answer::{QUOTE, answer};
use crate::encap::{Fault, HEADERS, Tunnels, head, wrap};
use crate::ethernet::{ETHERNET, Ethernet, octets};
use crate::flow::{FlowWords, is_fragment};
use crate::glue::{Action, Context, Map};
use crate::tally::Verdict;

crate::map!(BALANCE: Map<u32, BalanceConfig> = Map::array(1));
crate::map!(VIPS: Map<u64, Pool> = Map::hash(65536));
// The loader makes these two as long as the configuration needs.
crate::map!(SLOTS: Map<u32, Slot> = Map::array(1));
crate::map!(SENT: Map<u32, Sent> = Map::sums(1));
crate::map!(BEGUN: Map<u32, u32> = Map::recent(65536));

/// The tables of the library's balancer, in maps.
struct Maps;

impl ipencap_balance::Maps for Maps {
    #[inline(always)]
    fn pool(&self, vip: Vip) -> Option<Pool> {
        // One word: the verifier takes no misaligned ones on the stack.
        VIPS.get(&u64::from_ne_bytes(vip.to_bytes()))
    }

    #[inline(always)]
    fn slot(&self, place: u32) -> Option<Slot> {
        SLOTS.get(&place)
    }

    #[inline(always)]
    fn has_begun(&self, hash: u32) -> bool {
        BEGUN.get(&hash).is_some()
    }

    #[inline(always)]
    fn begin(&mut self, hash: u32) {
        BEGUN.set(&hash, &1);
    }
}

/// Sends packets to their backends. `OVERHEAD` is what the tunnel puts in front.
#[inline(always)]
pub fn program<S: Shim + Copy, const OVERHEAD: usize>(
    context: &mut Context,
    tunnels: &'static Tunnels<S>,
) -> Verdict {
    let Some(config) = BALANCE.get(&0) else {
        return Verdict::pass(Counter::PassedOther);
    };
    let flow = match flow_of(context, config.own) {
        Ok(words) => words.flow(),
        Err(why) => return Verdict::pass(why),
    };
    let vip = Vip {
        address: flow.destination,
        port: flow.destination_port,
        protocol: flow.protocol,
    };
    let hash = flow.hash(config.seed);
    let backend = match choose(&mut Maps, vip, hash, || stage(context)) {
        Choice::Backend(backend) => u32::from(backend),
        Choice::NotAVip => return Verdict::pass(Counter::PassedOther),
        Choice::NoBackend => return Verdict::of(Action::Drop, Counter::NoBackend),
    };
    let Some((settings, tunnel)) = tunnels.kept(backend) else {
        return Verdict::of(Action::Drop, Counter::NoBackend);
    };
    match wrap::<S, OVERHEAD>(context, settings, tunnel, hash) {
        Ok((action, inner_len)) => {
            SENT.add_packet(backend, inner_len as u64);
            Verdict::take(action, inner_len)
        }
        // From the VIP, which is the address that the client knows. Nothing behind this program would split a packet
        // that may be split: a router would bring it back.
        Err(Fault::Refused(EncapError::FragmentationNeeded { mtu })) => answer(
            context,
            mtu,
            |head| octets::<4, _>(head, ETHERNET + 16).into(),
            Verdict::of(Action::Drop, Counter::MayBeFragmented),
        ),
        Err(fault) => fault.verdict(),
    }
}

/// The flow of a packet to this Ethernet address: of an ICMP error, that of the packet that it quotes.
#[inline(always)]
fn flow_of(context: &mut Context, own: [u8; 8]) -> Result<FlowWords, Counter> {
    let Some(head) = head(context) else {
        return Err(Counter::PassedShort);
    };
    let ethernet = Ethernet::read(head);
    // A frame that a switch floods comes to other balancers too.
    if !ethernet.is_ipv4() || !ethernet.is_to(own) {
        return Err(Counter::PassedOther);
    }
    if head[ETHERNET] != 0x45 {
        return Err(Counter::PassedOptions);
    }
    let flow = FlowWords::read(head, ETHERNET);
    if flow.protocol == IpProtocol::ICMP.0.into() && is_error(head) {
        let quoted = quoted(context).ok_or(Counter::PassedOther)?;
        if quoted.destination != flow.destination {
            return Err(Counter::PassedOther);
        }
        return Ok(quoted);
    }
    Ok(flow)
}

/// Whether an ICMP packet is an error: destination unreachable, time exceeded, parameter problem.
#[inline(always)]
fn is_error(head: &[u8; HEADERS]) -> bool {
    matches!(head[ETHERNET + 20], 3 | 11 | 12) && !is_fragment(head, ETHERNET)
}

/// Whether a flow begins. It is seldom asked, and reads all of it from the packet again: what one packet needs and
/// another does not, the verifier would have to follow separately.
#[inline(always)]
fn stage(context: &mut Context) -> Stage {
    const FLAGS: usize = ETHERNET + 20 + 13;
    let Some(head) = head(context) else {
        return Stage::Unknown;
    };
    let protocol = IpProtocol(head[ETHERNET + 9]);
    if is_fragment(head, ETHERNET) {
        return Stage::Unknown;
    }
    if protocol == IpProtocol::ICMP && is_error(head) {
        return match quoted(context) {
            // A packet of it has come back.
            Some(quoted) if quoted.protocol == IpProtocol::TCP.0.into() => Stage::GoesOn,
            _ => Stage::Unknown,
        };
    }
    if protocol != IpProtocol::TCP {
        return Stage::Unknown;
    }
    let flags = context
        .frame::<{ FLAGS + 1 }>()
        .and_then(|frame| frame.get(FLAGS))
        .copied()
        .unwrap_or_default();
    // SYN without ACK.
    if flags & 0x12 == 0x02 {
        Stage::Begins
    } else {
        Stage::GoesOn
    }
}

/// The flow that an ICMP error is about, in the direction of the client's packets. The checksum of the message covers as
/// much as is quoted, a length that the verifier does not follow: the backend verifies it.
#[inline(always)]
fn quoted(context: &mut Context) -> Option<FlowWords> {
    const PLACE: usize = ETHERNET + 20 + 8;
    let head = context
        .frame::<{ PLACE + QUOTE }>()?
        .first_chunk::<{ PLACE + QUOTE }>()?;
    // A packet in a packet hides the flow further in.
    if head[PLACE] != 0x45 || head[PLACE + 9] == IpProtocol::IPENCAP.0 {
        return None;
    }
    Some(FlowWords::read(head, PLACE).reversed())
}
