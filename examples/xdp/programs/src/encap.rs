//! Puts packets into tunnels, by the header's value.

use core::num::NonZeroU8;

use ipencap::encap::{
    DscpPolicy, EcnPolicy, OuterPolicy, PerPacket, Role, TtlPolicy, Tunnel, header,
};
use ipencap::error::EncapError;
use ipencap::packet::{Facts, Flow};
use ipencap::shim::{ChecksumPolicy, InUdp, PortRange, Shim, SourcePort, Udp};
use ipencap::wire::{Dscp, IpProtocol, Ipv4, Ipv4Header};
use ipencap_xdp_maps::{Counter, FORWARD, HAIRPIN, Out, Route, Settings};

use crate::ethernet::{ETHERNET, Ethernet, octets};
use crate::glue::{Action, Context, Kept, Map, redirect};
use crate::tally::{count, drop, pass, take};

crate::map!(OUT: Map<u32, Out> = Map::array(1));
crate::map!(ROUTES: Map<Route, u32> = Map::trie(65536));

/// The map of tunnels of a program.
pub type Tunnels<S> = Map<u32, Kept<Tunnel<S>>>;

/// What is read of a packet: its IPv4 header without options, and eight bytes of UDP behind it.
const HEADERS: usize = ETHERNET + 20 + 8;

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

/// A UDP shim by these settings.
#[inline(always)]
pub fn udp<I: InUdp>(settings: &Settings, shim: Udp<I>) -> Udp<I> {
    let source_port = match u16::from_be_bytes(settings.source_port) {
        0 => SourcePort::Entropy {
            seed: settings.seed,
            range: PortRange::Dynamic,
        },
        port => SourcePort::Fixed(port),
    };
    shim.with_destination_port(u16::from_be_bytes(settings.port))
        .with_checksum(ChecksumPolicy::Zero)
        .with_source_port(source_port)
}

/// Wraps packets to the destinations of the map of routes. `OVERHEAD` is what the tunnel puts in front.
#[inline(always)]
pub fn program<S: Shim + Copy, const OVERHEAD: usize>(
    context: &mut Context,
    tunnels: &'static Tunnels<S>,
) -> u32 {
    let interface = context.interface();
    let Some(frame) = context.frame::<HEADERS>() else {
        return pass(Counter::PassedShort);
    };
    let Some(head) = frame.first_chunk::<HEADERS>() else {
        return pass(Counter::PassedShort);
    };
    if !Ethernet::read(head).is_ipv4() {
        return pass(Counter::PassedOther);
    }
    let route = Route {
        prefix_len: 32,
        address: octets(head, ETHERNET + 16),
    };
    let Some(number) = ROUTES.get(&route) else {
        return pass(Counter::PassedOther);
    };
    let Some(out) = OUT.get(&0) else {
        return pass(Counter::PassedOther);
    };
    let Some((settings, tunnel)) = tunnels.kept(number) else {
        return pass(Counter::PassedOther);
    };
    if head[ETHERNET] != 0x45 {
        return pass(Counter::PassedOptions);
    }
    // The flow of a packet in a packet is that of the inner one, which is not looked for here.
    if S::PROTOCOL == IpProtocol::UDP && head[ETHERNET + 9] == IpProtocol::IPENCAP.0 {
        return pass(Counter::PassedTunnel);
    }
    let ports = octets(head, ETHERNET + 20);
    let Some((_, packet)) = frame.split_first_chunk_mut::<ETHERNET>() else {
        return pass(Counter::PassedShort);
    };
    let inner = match Ipv4::parse(packet) {
        Ok(inner) => inner,
        Err(error) => return drop(EncapError::from(error).counter()),
    };
    // Of the header alone: no sum of the packet is known.
    let facts = Facts::trusted(inner.header());
    let mut per_packet = PerPacket::new();
    if S::PROTOCOL == IpProtocol::UDP {
        per_packet = per_packet.with_flow_hash(flow(inner.header(), ports).hash(settings.seed));
    }
    let header = match header::<OVERHEAD, _>(tunnel, &facts, &per_packet) {
        Ok(header) => header,
        Err(error) => return drop(error.counter()),
    };
    if settings.flags & FORWARD != 0
        && let Ok((inner, ..)) = Ipv4Header::split_mut(packet)
    {
        let _is_alive: bool = inner.decrement_ttl();
    }
    let inner_len = facts.len() as usize;
    let Some(&header) = header.as_slice().first_chunk::<OVERHEAD>() else {
        return failed();
    };
    if !context.move_start(-(OVERHEAD as i32)) {
        return failed();
    }
    // The longest overhead; there was more behind the shorter ones.
    let Some(frame) = context.frame::<{ ETHERNET + 32 }>() else {
        return failed();
    };
    let Some((ethernet, outer)) = frame.split_first_chunk_mut::<ETHERNET>() else {
        return failed();
    };
    let Some(place) = outer.first_chunk_mut::<OVERHEAD>() else {
        return failed();
    };
    Ethernet::ipv4(out.next_hop, out.own).write(ethernet);
    *place = header;
    take(inner_len);
    if out.interface == 0 || out.interface == interface {
        Action::Tx as u32
    } else {
        redirect(out.interface)
    }
}

/// The flow of a packet that begins with these four bytes behind its header, as the library sees it.
#[inline(always)]
fn flow(header: &Ipv4Header, [a, b, c, d]: [u8; 4]) -> Flow {
    let flow = Flow::new(header.source(), header.destination(), header.protocol());
    let has_ports = matches!(header.protocol(), IpProtocol::TCP | IpProtocol::UDP)
        && !header.is_fragment()
        && header.total_len() >= 24;
    if has_ports {
        flow.with_ports(u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
    } else {
        flow
    }
}

#[inline(always)]
fn failed() -> u32 {
    count(Counter::HelperFailed);
    Action::Drop as u32
}
