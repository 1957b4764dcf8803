//! Packets from a network interface, by a packet socket (`AF_PACKET`), and out through raw sockets.
//!
//! Why not `AF_XDP`: of its crates `xdp` 0.8 is the one that is kept up and needs no C, but its rings are `unsafe` to
//! call, and a socket of it takes packets away from the system for good, so it needs an XDP program in front that knows
//! the VIPs. Then the whole balancer may as well run there: it does, `xdp attach`. This way needs no program in the
//! kernel and leaves the system's own packets alone, for some hundred thousand packets a second.

use core::net::{Ipv4Addr, SocketAddrV4};
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::sync::Arc;
use std::time::Instant as Clock;

use ipencap::Span;
use ipencap::packet::Facts;
use ipencap::time::Instant;
use ipencap_cli::capture::link;
use ipencap_cli::failure::{Failure, say};
use pnet_datalink::{Channel, Config, interfaces};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use socket2::{Domain, Protocol, Socket, Type};

use super::offload::finish_checksum;
use super::{Engine, Out};

/// Ethernet.
const ETHERNET: u32 = 1;

/// How long a run lasts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Until {
    pub(super) packets: Option<u64>,
    pub(super) seconds: Option<u64>,
}

/// Balances what an interface receives. The system sends outer packets and ICMP errors by its routes.
pub(super) fn of_device(engine: &mut Engine<'_>, name: &str, until: Until) -> Result<(), Failure> {
    let interface = interfaces()
        .into_iter()
        .find(|interface| interface.name == name)
        .ok_or_else(|| Failure::new(format_args!("there is no interface {name}")))?;
    let own = interface.mac;
    let config = Config {
        read_timeout: Some(Duration::from_millis(100)),
        read_buffer_size: 65_536,
        promiscuous: false,
        ..Config::default()
    };
    let why = |error: std::io::Error| {
        let root = match error.kind() {
            std::io::ErrorKind::PermissionDenied => {
                ": it needs root, or the capability CAP_NET_RAW"
            }
            _ => "",
        };
        Failure::new(format_args!("cannot open {name}: {error}{root}"))
    };
    let Channel::Ethernet(_, mut frames) =
        pnet_datalink::channel(&interface, config).map_err(why)?
    else {
        return Err(Failure::new(format_args!("{name} is no Ethernet device")));
    };
    // 255: the packets have their own headers.
    let raw = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(255))).map_err(why)?;
    let longest = mtu_of(name).map_err(why)?;
    let ended = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register(signal, Arc::clone(&ended)).map_err(why)?;
    }
    say(&format!("balance: listening on {name}"));

    let start = Clock::now();
    let mut buffer = vec![0; Engine::HEADROOM];
    let (mut taken, mut unsent, mut is_told) = (0_u64, 0_u64, false);
    loop {
        let is_late = until
            .seconds
            .is_some_and(|most| start.elapsed().as_secs() >= most);
        if is_late
            || ended.load(Ordering::Relaxed)
            || until.packets.is_some_and(|most| taken >= most)
        {
            break;
        }
        let frame = match frames.next() {
            Ok(frame) => frame,
            Err(error) if error.kind() == std::io::ErrorKind::TimedOut => continue,
            Err(error) => return Err(Failure::new(format_args!("cannot read {name}: {error}"))),
        };
        // What this host sends is seen here too, and what is for others or all.
        let is_for_us = own.is_none_or(|own| frame.get(..6) == Some(&own.octets()[..]));
        let Some(packet) = link::ipv4_packet(ETHERNET, frame).filter(|_| is_for_us) else {
            continue;
        };
        if packet.len() > longest {
            let is_of_vip = engine.drop_merged(packet);
            taken += u64::from(is_of_vip);
            if is_of_vip && !is_told {
                is_told = true;
                say(&format!(
                    "balance: {name} merges packets: they are dropped. Use ethtool -K {name} gro off, and for clients on this \
                     machine ethtool -K THEIR_DEVICE tx off tx-udp-segmentation off"
                ));
            }
            continue;
        }
        buffer.truncate(Engine::HEADROOM);
        buffer.extend_from_slice(packet);
        finish_checksum(&mut buffer[Engine::HEADROOM..]);
        let now = Instant::from_millis(start.elapsed().as_millis() as u64);
        let span = Span::new(Engine::HEADROOM, packet.len());
        let is_taken = engine.take(now, &mut buffer, span, |out| {
            let (Out::Backend(bytes) | Out::Client(bytes)) = out;
            if let Ok(facts) = Facts::read(bytes) {
                let to = SocketAddrV4::new(facts.destination(), 0);
                unsent += u64::from(raw.send_to(bytes, &to.into()).is_err());
            }
        });
        taken += u64::from(is_taken);
    }
    if unsent > 0 {
        say(&format!(
            "balance: the system did not send {unsent} packets: is there a route to every backend?"
        ));
    }
    Ok(())
}

/// The MTU of an interface that is up, in bytes.
fn mtu_of(name: &str) -> std::io::Result<usize> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    socket.bind_device(Some(name.as_bytes()))?;
    // The route to a multicast address is the interface itself, and has its MTU. Nothing is sent.
    socket.connect(&SocketAddrV4::new(Ipv4Addr::new(224, 0, 0, 1), 9).into())?;
    let mtu = nix::sys::socket::getsockopt(&socket, nix::sys::socket::sockopt::IpMtu)?;
    Ok(usize::try_from(mtu).unwrap_or(0))
}
