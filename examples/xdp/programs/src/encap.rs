//! Puts packets into tunnels, by the header's value.

use core::num::NonZeroU8;

use ipencap::encap::{
    DscpPolicy, EcnPolicy, OuterPolicy, PerPacket, Role, TtlPolicy, Tunnel, header,
};
use ipencap::error::EncapError;
use ipencap::packet::Facts;
use ipencap::shim::Shim;
use ipencap::wire::{Dscp, IpProtocol, Ipv4, Ipv4Header};
use ipencap_xdp_maps::{Counter, FORWARD, HAIRPIN, Out, Route, Settings};

use crate::answer::answer;
use crate::ethernet::{ETHERNET, Ethernet};
use crate::flow::FlowWords;
use crate::glue::{Action, Context, Kept, Map, redirect};
use crate::tally::Verdict;

crate::map!(OUT: Map<u32, Out> = Map::array(1));
crate::map!(ROUTES: Map<Route, u32> = Map::trie(65536));

/// The map of tunnels of a program.
pub type Tunnels<S> = Map<u32, Kept<Tunnel<S>>>;

/// What is read of a packet: its IPv4 header without options, and eight bytes of UDP behind it.
pub const HEADERS: usize = ETHERNET + 20 + 8;

/// Makes the tunnel whose number is the frame's first four bytes. The loader runs it.
#[inline(always)]
pub fn compose<S: Shim + Copy>(
    context: &mut Context,
    tunnels: &'static Tunnels<S>,
    shim: impl FnOnce(&Settings) -> S,
) -> u32 {
    let Some(&number) = context
        .frame::<ETHERNET>()
        .and_then(|frame| frame.first_chunk())
    else {
        return Action::Drop as u32;
    };
    let is_made = tunnels.keep(u32::from_ne_bytes(number), |settings| {
        tunnel(settings, shim(settings))
    });
    (if is_made { Action::Pass } else { Action::Drop }) as u32
}

#[inline(always)]
fn tunnel<S: Shim>(settings: &Settings, shim: S) -> Option<Tunnel<S>> {
    let (local, exit) = (settings.local.into(), settings.exit.into());
    let policy = OuterPolicy {
        ttl: NonZeroU8::new(settings.ttl).map_or(TtlPolicy::Inherit, TtlPolicy::Fixed),
        dscp: match settings.dscp {
            255 => DscpPolicy::Copy,
            dscp => DscpPolicy::Fixed(Dscp::from_tos(dscp << 2)),
        },
        ecn: match settings.ecn {
            0 => EcnPolicy::Normal,
            1 => EcnPolicy::Compatibility,
            _ => EcnPolicy::Rfc3168,
        },
        atomic_identification: settings.identification,
        role: if settings.flags & FORWARD != 0 {
            Role::Forward
        } else {
            Role::Originate
        },
        link_mtu: Some(settings.link_mtu),
        hairpin: settings.flags & HAIRPIN != 0,
        ..OuterPolicy::DEFAULT
    };
    Some(Tunnel::new(local, exit, shim).ok()?.with_policy(policy))
}

/// Wraps packets to the destinations of the map of routes. `OVERHEAD` is what the tunnel puts in front.
#[inline(always)]
pub fn program<S: Shim + Copy, const OVERHEAD: usize>(
    context: &mut Context,
    tunnels: &'static Tunnels<S>,
) -> Verdict {
    let Some(head) = head(context) else {
        return Verdict::pass(Counter::PassedShort);
    };
    let ethernet = Ethernet::read(head);
    if !ethernet.is_ipv4() {
        return Verdict::pass(Counter::PassedOther);
    }
    let flow = FlowWords::read(head, ETHERNET).flow();
    let route = Route {
        prefix_len: 32,
        address: flow.destination.octets(),
    };
    let Some(number) = ROUTES.get(&route) else {
        return Verdict::pass(Counter::PassedOther);
    };
    // A frame that a switch floods, or a broadcast, is not this host's to forward (RFC 1812 section 5.3.4).
    if !OUT.get(&0).is_some_and(|out| ethernet.is_to(out.ingress)) {
        return Verdict::pass(Counter::PassedOther);
    }
    let Some((settings, tunnel)) = tunnels.kept(number) else {
        return Verdict::pass(Counter::PassedOther);
    };
    let hash = if S::PROTOCOL == IpProtocol::UDP {
        // The flow of a packet in a packet is that of the inner one, which is not looked for here.
        if flow.protocol == IpProtocol::IPENCAP {
            return Verdict::pass(Counter::PassedTunnel);
        }
        flow.hash(settings.seed)
    } else {
        0
    };
    match wrap::<S, OVERHEAD>(context, settings, tunnel, hash) {
        Ok((action, inner_len)) => Verdict::take(action, inner_len),
        // A tunnel device of the kernel's with the same routes splits what may be split.
        Err(Fault::Refused(EncapError::FragmentationNeeded { mtu })) => {
            let Some(out) = OUT.get(&0) else {
                return Verdict::pass(Counter::PassedOther);
            };
            let without_df = Verdict::pass(Counter::PassedTooLong);
            answer(context, mtu, |_| out.address.into(), without_df)
        }
        Err(fault) => fault.verdict(),
    }
}

/// The headers of a packet, if it is long enough.
#[inline(always)]
pub fn head(context: &mut Context) -> Option<&[u8; HEADERS]> {
    context.frame::<HEADERS>()?.first_chunk()
}

/// Why a packet was not wrapped.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// It is left to the kernel.
    Passed(Counter),
    /// The library refuses it.
    Refused(EncapError),
    /// A helper has failed.
    Failed,
}

impl Fault {
    /// What becomes of the packet.
    #[inline(always)]
    pub fn verdict(self) -> Verdict {
        match self {
            Self::Passed(why) => Verdict::pass(why),
            Self::Refused(error) => Verdict::drop(error.counter()),
            Self::Failed => Verdict::of(Action::Drop, Counter::HelperFailed),
        }
    }
}

/// Wraps a packet: what the kernel shall do with it, and its length before. No map is asked between the first check of
/// the packet and the last: see [`decap`](crate::decap).
#[inline(always)]
pub fn wrap<S: Shim + Copy, const OVERHEAD: usize>(
    context: &mut Context,
    settings: &Settings,
    tunnel: &Tunnel<S>,
    flow_hash: u32,
) -> Result<(u32, usize), Fault> {
    let Some(out) = OUT.get(&0) else {
        return Err(Fault::Passed(Counter::PassedOther));
    };
    let interface = context.interface();
    let Some(packet) = packet(context) else {
        return Err(Fault::Passed(Counter::PassedOptions));
    };
    // Of the header alone: no sum of the packet is known, and no flow.
    let facts = match Ipv4::parse(packet) {
        Ok(inner) => Facts::trusted(inner.header()),
        Err(error) => return Err(Fault::Refused(error.into())),
    };
    let per_packet = PerPacket::new().with_flow_hash(flow_hash);
    let header = match header::<OVERHEAD, _>(tunnel, &facts, &per_packet) {
        Ok(header) => header,
        Err(error) => return Err(Fault::Refused(error)),
    };
    if settings.flags & FORWARD != 0
        && let Ok((inner, ..)) = Ipv4Header::split_mut(packet)
    {
        let _is_alive: bool = inner.decrement_ttl();
    }
    let inner_len = facts.len() as usize;
    let Some(&header) = header.as_slice().first_chunk::<OVERHEAD>() else {
        return Err(Fault::Failed);
    };
    if !context.move_start(-(OVERHEAD as i32)) {
        return Err(Fault::Failed);
    }
    // The longest overhead; there was more behind the shorter ones.
    let Some((ethernet, outer)) = context
        .frame::<{ ETHERNET + 32 }>()
        .and_then(|frame| frame.split_first_chunk_mut::<ETHERNET>())
    else {
        return Err(Fault::Failed);
    };
    let Some(place) = outer.first_chunk_mut::<OVERHEAD>() else {
        return Err(Fault::Failed);
    };
    Ethernet::ipv4(out.next_hop, out.own).write(ethernet);
    *place = header;
    let action = if out.interface == 0 || out.interface == interface {
        Action::Tx as u32
    } else {
        redirect(out.interface)
    };
    Ok((action, inner_len))
}

/// The packet behind the Ethernet header, if its own has no options.
#[inline(always)]
fn packet(context: &mut Context) -> Option<&mut [u8]> {
    let (_, packet) = context
        .frame::<HEADERS>()?
        .split_first_chunk_mut::<ETHERNET>()?;
    if packet.first() == Some(&0x45) {
        Some(packet)
    } else {
        None
    }
}
