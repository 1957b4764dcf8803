//! The load balancer: each packet goes where the library sends it, with the same bytes; ICMP errors and packets that are
//! too long; and the time that a packet takes among many VIPs and backends.

use core::fmt::Write as _;
use core::net::Ipv4Addr;
use std::collections::BTreeMap;
use std::path::Path;

use ipencap::Span;
use ipencap::checksum::Sum;
use ipencap::icmp::{IcmpError, Kind};
use ipencap::wire::{IpProtocol, Ipv4Header};
use ipencap_balance::{Balancer, Begun, Count, Outcome, Tables};
use ipencap_xdp::balance::{Balance, Layout};
use ipencap_xdp::{Config, Failure};

use crate::run::{Done, ETHERNET, Program};
use crate::speed::time;

/// Of the measurement; a comparison has enough with a tenth.
const POOLS: u32 = 100;
const VIPS_OF_POOL: u32 = 10;
const BACKENDS_OF_POOL: u32 = 100;

/// As long as a packet may take, in nanoseconds.
const MOST_NS: f64 = 100.0;

/// As many times the mean as a backend may get.
const MOST_SPREAD: f64 = 1.1;

const MTU: u16 = 1500;

fn vip(number: u32) -> Ipv4Addr {
    (0xcb00_7100 + number).into()
}

fn config(kind: &str, pools: u32) -> Result<(Config, Balance), Failure> {
    let mut text = format!(
        "program = \"balance\"\nsource = \"198.51.100.1\"\ntunnel = \"{kind}\"\nlink_mtu = {MTU}\nseed = 7\n\
         [out]\nnext_hop = \"02:00:00:00:00:09\"\n"
    );
    for pool in 0..pools {
        let vips: Vec<_> = (0..VIPS_OF_POOL)
            .map(|i| format!("\"{}:443/tcp\"", vip(pool * VIPS_OF_POOL + i)))
            .collect();
        let backends: Vec<_> = (0..BACKENDS_OF_POOL)
            .map(|i| {
                let address = Ipv4Addr::from(0xac10_0001 + pool * BACKENDS_OF_POOL + i);
                format!("{{ address = \"{address}\" }}")
            })
            .collect();
        let _ = write!(
            text,
            "[[pool]]\nvip = [{}]\nbackend = [{}]\n",
            vips.join(", "),
            backends.join(", ")
        );
    }
    let path = std::env::temp_dir().join(format!("ipencap-xdp-check-{}.toml", std::process::id()));
    std::fs::write(&path, text).map_err(|error| Failure::of(path.display(), &error))?;
    let config = Config::read(&path);
    std::fs::remove_file(&path).map_err(|error| Failure::of(path.display(), &error))?;
    let config = config?;
    let Config::Balance(balance) = config.clone() else {
        return Err(Failure::new("not a balancer's configuration"));
    };
    Ok((config, balance))
}

/// The packet of a client to a VIP: TCP, of this length.
fn packet(client: u32, vip: Ipv4Addr, len: u16) -> Vec<u8> {
    let header = Ipv4Header::new((0x0a00_0000 + client).into(), vip, IpProtocol::TCP, len);
    let mut packet = header.as_bytes().to_vec();
    let port = u16::try_from(1024 + client % 60_000).expect("a port");
    packet.extend(port.to_be_bytes());
    packet.extend([0x01, 0xbb]);
    packet.resize(usize::from(len), 0);
    packet[32] = 0x50;
    packet[33] = 0x10; // ACK
    packet
}

/// An ICMP error of a router to a VIP, about a packet of the VIP to this client.
fn error(client: u32, vip: Ipv4Addr) -> Vec<u8> {
    let back = Ipv4Header::new(vip, (0x0a00_0000 + client).into(), IpProtocol::TCP, 1500);
    let port = u16::try_from(1024 + client % 60_000).expect("a port");
    let mut message = vec![3, 4, 0, 0, 0, 0, 5, 120];
    message.extend(back.as_bytes());
    message.extend([0x01, 0xbb]);
    message.extend(port.to_be_bytes());
    message.extend([0, 0, 0, 1]);
    let sum = Sum::new().add_bytes(&message).checksum();
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let router = Ipv4Addr::new(192, 0, 2, 77);
    let header = Ipv4Header::new(router, vip, IpProtocol::ICMP, 56);
    [header.as_bytes(), &message[..]].concat()
}

/// Compares both tunnels, and measures. Whether all is as it should be.
pub fn check(objects: &Path, bench: bool) -> Result<bool, Failure> {
    let mut passes = true;
    let pools = if bench { POOLS } else { POOLS / 10 };
    let vips = pools * VIPS_OF_POOL;
    for kind in ["ipip", "gue"] {
        let (config, balance) = config(kind, pools)?;
        let layout = Layout::new(&balance)?;
        let mut program = Program {
            object: config.load(objects)?,
        };
        config.fill(&mut program.object, "lo")?;
        let mut memory = Vec::new();
        let mut sets = vec![[0; 8]; 64];
        let mut counts = vec![Count::default(); layout.backends.len()];
        let tunnels: Result<Vec<_>, _> = layout
            .backends
            .iter()
            .map(|&backend| balance.tunnel_to(backend))
            .collect();
        let tunnels = tunnels.map_err(|error| Failure::of("tunnel", &error))?;
        let mut native = Balancer {
            tables: Tables {
                vips: layout.vips(&mut memory)?,
                slots: &layout.slots,
                begun: Begun::new(&mut sets),
                seed: 7,
            },
            tunnels: &tunnels,
            counts: &mut counts,
        };
        let (mut sent, mut errors, mut answered) = (0, 0, 0);
        let mut different = Vec::new();
        for client in 0..3000_u32 {
            let vip = vip(client * 7 % vips);
            for (is_error, inner) in [
                (false, packet(client, vip, 100)),
                (true, error(client, vip)),
            ] {
                let mut buffer = vec![0; 32];
                buffer.extend(&inner);
                let expected = match native.forward(&mut buffer, Span::new(32, inner.len())) {
                    Outcome::Send { outer, .. } => outer.get(&buffer).map(<[u8]>::to_vec),
                    _ => None,
                };
                match program.run(&inner)? {
                    Done::Taken(3, _, bytes) if Some(&bytes) == expected.as_ref() => {
                        *(if is_error { &mut errors } else { &mut sent }) += 1;
                    }
                    done => different.push(format!("client {client}: {done:?}")),
                }
            }
        }
        for client in 0..5 {
            let inner = packet(client, vip(client), MTU - 1);
            let overhead = if kind == "ipip" { 20 } else { 32 };
            let kind = Kind::FragmentationNeeded {
                mtu: MTU - overhead,
            };
            let expected = IcmpError::about(&inner, kind, vip(client))
                .map_err(|error| Failure::of("ICMP", &error))?
                .with_quote_len(28);
            let mut whole = vec![0; expected.len()];
            let _written = expected.write(&inner, &mut whole);
            // One each millisecond.
            std::thread::sleep(core::time::Duration::from_millis(3));
            let mut to_sender = ETHERNET[6..12].to_vec();
            to_sender.extend(&ETHERNET[..6]);
            match program.run_answered(&inner)? {
                Some((ethernet, bytes)) if bytes == whole && ethernet[..12] == to_sender => {
                    answered += 1;
                }
                done => different.push(format!("too long: {done:?}, expected {whole:?}")),
            }
        }
        println!(
            "balance_{kind}: {sent} packets and {errors} ICMP errors to the backend that the library chooses, the same \
             bytes; {answered} too long, answered; {} different",
            different.len()
        );
        for different in different.iter().take(5) {
            println!("DIFFERENT: {different}");
        }
        passes &= different.is_empty() && answered == 5;
        passes &= spread(&layout);
        if bench {
            passes &= measure(objects, kind, &config, vips)?;
        }
    }
    Ok(passes)
}

/// The time of a packet, less what moving the start of the frame takes. Whether it is short enough.
fn measure(objects: &Path, kind: &str, config: &Config, vips: u32) -> Result<bool, Failure> {
    let folder = objects.join("bench");
    let name = format!("{}_bench", config.program());
    let mut program = Program {
        object: config.load_as(&folder, &name)?,
    };
    config.fill(&mut program.object, "lo")?;
    let mut base = Program::load(&folder, &format!("encap_{kind}_base"))?;
    let flows = 200;
    let mut ns = f64::MAX;
    for _ in 0..5 {
        let mut sum = 0.0;
        for client in 0..flows {
            let vip = vip(client * 97 % vips);
            sum += time(&mut program, &packet(client, vip, 100), 3, 5_000)?;
        }
        let base = time(&mut base, &packet(0, vip(0), 100), 3, 1_000_000)?;
        ns = ns.min(sum / f64::from(flows) - base);
    }
    println!("balance_{kind}: {ns:.0} ns for a packet, with 1000 VIPs and 10000 backends");
    if ns > MOST_NS {
        println!("balance_{kind}: more than {MOST_NS} ns");
    }
    Ok(ns <= MOST_NS)
}

/// How evenly the slots of all pools are spread.
fn spread(layout: &Layout) -> bool {
    let mut slots: BTreeMap<u16, u32> = BTreeMap::new();
    for slot in &layout.slots {
        *slots.entry(slot.new_flows).or_default() += 1;
    }
    let most = f64::from(slots.values().copied().max().unwrap_or_default());
    let mean = layout.slots.len() as f64 / layout.backends.len() as f64;
    println!(
        "{} backends, {} slots: the most of one is {:.3} times the mean",
        slots.len(),
        layout.slots.len(),
        most / mean
    );
    slots.len() == layout.backends.len() && most / mean <= MOST_SPREAD
}
