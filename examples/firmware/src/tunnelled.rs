//! The two stacks with a tunnel between them, and what they must do through it.

use core::net::Ipv4Addr;

use ipencap::decap::Prefix;
use ipencap::encap::Encapsulate;
use ipencap::icmp::{IcmpError, Kind};
use ipencap::packet::{PerPacket, Span};
use ipencap::pmtu::PathMtuConfig;
use ipencap::tunnel::{
    Endpoint, EndpointConfig, MssPolicy, MtuPolicy, OnePeer, Path, PeerPolicy, PeerTunnel,
};
use ipencap::{encap, fragment};
use ipencap_smoltcp::{Buffer, TunnelDevice};
use semihosting::println;
use smoltcp::iface::SocketSet;
use smoltcp::time::{Duration, Instant};

use crate::board::NARROW_MTU;
use crate::counts::Counts;
use crate::ends::{End, Ends, Fault, LEFT, RIGHT};
use crate::link::{LINK_MTU, Link, Port, ROUTER};
use crate::measure::HEADROOM;
use crate::packets::{self, Numbers};
use crate::steps::{self, SocketMemory};

/// The outer addresses.
pub const OUTER_LEFT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
pub const OUTER_RIGHT: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);

const FRAME: usize = LINK_MTU as usize;

/// How many packets that come in fragments an end joins at the same time.
const DATAGRAMS: usize = 1;

/// The memory of one end.
pub struct EndMemory {
    outgoing: [Buffer<FRAME>; 1],
    incoming: [Buffer<FRAME>; 1],
    slots: [fragment::Slot; DATAGRAMS],
    fragments: [u8; fragment::Reassembler::memory_len(DATAGRAMS, FRAME)],
}

impl EndMemory {
    pub const NEW: Self = Self {
        outgoing: [Buffer::EMPTY],
        incoming: [Buffer::EMPTY],
        slots: [fragment::Slot::new(); DATAGRAMS],
        fragments: [0; fragment::Reassembler::memory_len(DATAGRAMS, FRAME)],
    };
}

/// The whole end of a tunnel: one peer, an access list, path MTU, ICMP errors, MSS clamping, fragments, counters.
pub type TunnelEndpoint<'m, T> = Endpoint<'m, OnePeer<'m, T>, Counts>;

pub type Tunnelled<'m, T> = TunnelDevice<'m, Port<'m>, OnePeer<'m, T>, Counts, FRAME>;

/// The control that clamping does something: without it, packets are too long for the narrow router.
const MSS: MssPolicy = if cfg!(feature = "plant-no-clamp") {
    MssPolicy::Off
} else {
    MssPolicy::Path
};

/// The least MTU that a router's report is believed, in bytes. The default of 552 is hardly less than the MTU of the cable
/// of the smallest board.
const FLOOR: u16 = 256;

/// The end of a tunnel to one peer, behind which there are the inner addresses `behind`.
fn endpoint<'m, T: PeerTunnel>(
    tunnel: T,
    behind: &'m [Prefix],
    path: &'m mut [Path; 1],
    slots: &'m mut [fragment::Slot],
    fragments: &'m mut [u8],
) -> TunnelEndpoint<'m, T> {
    // What an earlier endpoint has learnt in this memory is not true here.
    *path = [Path::EMPTY];
    let mtu = MtuPolicy::Discover(PathMtuConfig {
        floor: FLOOR,
        ..PathMtuConfig::DEFAULT
    });
    let peers = OnePeer::new(tunnel, behind).with_policy(PeerPolicy {
        mtu,
        mss: MSS,
        ..PeerPolicy::DEFAULT
    });
    let config = EndpointConfig {
        link_mtu: LINK_MTU,
        ..EndpointConfig::DEFAULT
    };
    let limits = fragment::Limits {
        timeout: ipencap::time::Duration::from_secs(5),
        ..fragment::Limits::DEFAULT
    };
    Endpoint::new(peers, path, config)
        .with_reassembler(fragment::Reassembler::new(slots, fragments, limits))
        .with_tally(Counts::default())
}

/// A stack whose packets go through `tunnel` onto the cable.
fn end<'m, T: PeerTunnel>(
    tunnel: T,
    behind: &'m [Prefix],
    port: Port<'m>,
    memory: &'m mut EndMemory,
    path: &'m mut [Path; 1],
    address: Ipv4Addr,
    random_seed: u64,
) -> Result<End<Tunnelled<'m, T>>, Fault> {
    let endpoint = endpoint(
        tunnel,
        behind,
        path,
        &mut memory.slots,
        &mut memory.fragments,
    );
    let device = TunnelDevice::new(
        port,
        endpoint,
        &mut memory.outgoing,
        &mut memory.incoming,
        Instant::ZERO,
    )
    .map_err(|_| "the device refuses its set-up")?;
    Ok(End::new(device, address, random_seed))
}

/// Prints a step, and how it went.
fn step(name: &str, result: Result<(), Fault>) -> Result<(), Fault> {
    match result {
        Ok(()) => println!("  {name}"),
        Err(fault) => println!("  {name}: FAILED, {fault}"),
    }
    result
}

fn ensure(holds: bool, fault: Fault) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err(fault) }
}

const fn host(address: Ipv4Addr) -> [Prefix; 1] {
    match Prefix::new(address, 32) {
        Ok(prefix) => [prefix],
        Err(_) => panic!("a prefix of one address cannot be wrong"),
    }
}

const BEHIND_LEFT: &[Prefix] = &host(LEFT);
const BEHIND_RIGHT: &[Prefix] = &host(RIGHT);

/// Both stacks, with a tunnel between them.
pub fn ends<'m, T: PeerTunnel>(
    to_right: T,
    to_left: T,
    link: &'m Link,
    [left, right]: &'m mut [EndMemory; 2],
    [left_path, right_path]: &'m mut [[Path; 1]; 2],
) -> Result<Ends<Tunnelled<'m, T>>, Fault> {
    link.set_mtu(LINK_MTU);
    Ok(Ends {
        left: end(
            to_right,
            BEHIND_RIGHT,
            link.left(),
            left,
            left_path,
            LEFT,
            1,
        )?,
        right: end(
            to_left,
            BEHIND_LEFT,
            link.right(),
            right,
            right_path,
            RIGHT,
            2,
        )?,
        now: Instant::ZERO,
    })
}

/// All that two stacks must do through a tunnel.
pub fn run<T: PeerTunnel + Copy>(
    ends: &mut Ends<Tunnelled<'_, T>>,
    (to_right, to_left): (T, T),
    link: &Link,
    sockets: &mut SocketMemory,
) -> Result<(), Fault> {
    let inner_mtu = usize::from(LINK_MTU) - to_right.overhead();
    let narrow = NARROW_MTU - (LINK_MTU - u16::try_from(inner_mtu).unwrap_or(0));

    step("a ping is answered", steps::ping(ends, sockets))?;
    step("TCP: every byte is echoed", steps::echo(ends, sockets))?;
    step(
        "a packet in fragments is joined",
        fragments(ends, to_right, link),
    )?;

    link.set_mtu(NARROW_MTU);
    let told = steps::too_long(ends, sockets, inner_mtu, narrow)
        .and_then(|()| ensure(link.refused() == 1, "the router has not refused it"))
        .and_then(|()| ensure(counts(ends).relayed == 1, "no report was relayed"));
    step(
        "the path is narrow: the router's report reaches the stack",
        told,
    )?;
    let answered = steps::too_long(ends, sockets, inner_mtu, narrow)
        .and_then(|()| ensure(link.refused() == 1, "the router was asked again"))
        .and_then(|()| ensure(counts(ends).answered == 1, "nothing was answered"));
    step("a packet that is too long is answered at once", answered)?;
    let clamped = steps::echo(ends, sockets)
        .and_then(|()| ensure(link.refused() == 1, "segments were too long for the path"));
    step("TCP: the MSS is clamped to the path", clamped)?;

    let result = hostile(ends, (to_right, to_left), link);
    step("hostile bytes are counted and do no harm", result)?;
    step("and a ping is answered again", steps::ping(ends, sockets))?;
    let counts = *ends.right.device.queue().endpoint().tally();
    println!("  {counts:?}");
    println!(
        "  {:?}, {} lost on the cable",
        ends.right.device.queue().losses(),
        link.lost()
    );
    Ok(())
}

fn counts<T: PeerTunnel>(ends: &Ends<Tunnelled<'_, T>>) -> Counts {
    *ends.left.device.queue().endpoint().tally()
}

fn right_counts<T: PeerTunnel>(ends: &Ends<Tunnelled<'_, T>>) -> Counts {
    *ends.right.device.queue().endpoint().tally()
}

/// The length of the inner packets that are sent by hand, in bytes.
const SAMPLE: usize = 92;

type Sample = [u8; HEADROOM + SAMPLE];

/// An outer packet from one end to the other.
fn sample<'b>(
    tunnel: &impl Encapsulate,
    bytes: &'b mut Sample,
    from: Ipv4Addr,
    to: Ipv4Addr,
) -> Result<&'b mut [u8], Fault> {
    packets::udp(&mut bytes[HEADROOM..], from, to, 9);
    encap(
        tunnel,
        bytes,
        Span::new(HEADROOM, SAMPLE),
        &PerPacket::new(),
    )
    .map_err(|_| "cannot wrap")
}

/// Lets the right end take what is on the cable, and the left one what comes back.
fn exchange<T: PeerTunnel>(ends: &mut Ends<Tunnelled<'_, T>>) {
    ends.right.poll(ends.now, &mut SocketSet::new(&mut [][..]));
    ends.left.poll(ends.now, &mut SocketSet::new(&mut [][..]));
    ends.now += Duration::from_millis(1);
}

/// A router has split an outer packet.
#[inline(never)]
fn fragments<T: PeerTunnel + Copy>(
    ends: &mut Ends<Tunnelled<'_, T>>,
    to_right: T,
    link: &Link,
) -> Result<(), Fault> {
    let mut bytes = [0; HEADROOM + SAMPLE];
    let outer = sample(&to_right, &mut bytes, LEFT, RIGHT)?;
    // Without DF, as a router may find it. The byte of the flags.
    outer[6] &= !0x40;
    packets::repair(outer);
    let before = right_counts(ends).delivered;
    let plan = fragment::plan(outer, 68).map_err(|_| "cannot split")?;
    let mut number = 0;
    for fragment in plan.fragments(outer).map_err(|_| "cannot split")? {
        link.left()
            .put(fragment.len(), |place| fragment.write(outer, place).is_ok())
            .then_some(())
            .ok_or("no room")?;
        exchange(ends);
        number += 1;
    }
    ensure(number > 1, "there was nothing to split")?;
    ensure(
        right_counts(ends).delivered == before + 1,
        "it was not delivered",
    )
}

/// Packets from the network that are damaged in every way: each bit, each length, and many at once.
#[inline(never)]
fn hostile<T: PeerTunnel + Copy>(
    ends: &mut Ends<Tunnelled<'_, T>>,
    (to_right, to_left): (T, T),
    link: &Link,
) -> Result<(), Fault> {
    let (mut bytes, mut other, mut about) = (
        [0; HEADROOM + SAMPLE],
        [0; HEADROOM + SAMPLE],
        [0; HEADROOM + SAMPLE + 28],
    );
    let outer = &*sample(&to_right, &mut bytes, LEFT, RIGHT)?;
    let from_right = &*sample(&to_left, &mut other, RIGHT, LEFT)?;
    let kind = Kind::FragmentationNeeded { mtu: 600 };
    let error = IcmpError::about(from_right, kind, ROUTER).map_err(|_| "no report")?;
    let report = &*error.write(from_right, &mut about).ok_or("no report")?;

    let before = right_counts(ends).inbound();
    let mut injected = 0;
    let mut numbers = Numbers(0x2545_f491);
    for packet in [outer, report] {
        for bit in 0..packet.len() * 8 {
            send(ends, link, packet, |copy| copy[bit / 8] ^= 1 << (bit % 8));
            // With a right checksum the damage is seen later, or not at all.
            send(ends, link, packet, |copy| {
                copy[bit / 8] ^= 1 << (bit % 8);
                packets::repair(copy);
            });
        }
        for len in 1..packet.len() {
            send(ends, link, &packet[..len], |_| {});
        }
        for _ in 0..500 {
            send(ends, link, packet, |copy| {
                for _ in 0..=numbers.below(8) {
                    copy[numbers.below(copy.len())] = numbers.next().to_be_bytes()[0];
                }
                packets::repair(copy);
            });
        }
        injected += packet.len() * 17 - 1 + 500;
    }
    let counted = right_counts(ends).inbound() - before;
    ensure(
        usize::try_from(counted) == Ok(injected),
        "not every packet was counted once",
    )
}

fn send<T: PeerTunnel>(
    ends: &mut Ends<Tunnelled<'_, T>>,
    link: &Link,
    packet: &[u8],
    damage: impl FnOnce(&mut [u8]),
) {
    link.left().put(packet.len(), |place| {
        place.copy_from_slice(packet);
        damage(place);
    });
    exchange(ends);
}
