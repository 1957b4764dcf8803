//! The load balancer: each packet goes where the library sends it, with the same bytes; ICMP errors and packets that are
//! too long; and the time that a packet takes among many VIPs and backends.

use core::fmt::Write as _;
use core::net::Ipv4Addr;
use std::collections::BTreeMap;
use std::path::Path;

use ipencap::Span;
use ipencap::checksum::Sum;
use ipencap::wire::{IpProtocol, Ipv4Header};
use ipencap_balance::{Backend, Balancer, Begun, Outcome, Tables};
use ipencap_xdp::balance::{Balance, Layout};
use ipencap_xdp::{Config, Failure};
use ipencap_xdp_maps::BalanceConfig;

use crate::run::{Done, OWN, Program};
use crate::speed::time;
use crate::too_long;

/// Of the measurement; a comparison has enough with a tenth.
const POOLS: u32 = 100;
const VIPS_OF_POOL: u32 = 10;
const BACKENDS_OF_POOL: u32 = 100;

/// As long as a packet may take, in nanoseconds.
const MOST_NS: f64 = 100.0;

/// As many times the mean as a backend may get.
const MOST_SPREAD: f64 = 1.1;

const MTU: u16 = 1500;

const SEED: u32 = 7;

fn vip(number: u32) -> Ipv4Addr {
    (0xcb00_7100 + number).into()
}

fn config(kind: &str, pools: u32) -> Result<(Config, Balance), Failure> {
    let mut text = format!(
        "program = \"balance\"\nsource = \"198.51.100.1\"\ntunnel = \"{kind}\"\nlink_mtu = {MTU}\nseed = {SEED}\n\
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

/// Fills the maps, as on an interface that the frames here go to.
fn fill(config: &Config, program: &mut Program) -> Result<(), Failure> {
    config.fill(&mut program.object, "lo")?;
    program.object.set_balance(&BalanceConfig {
        seed: SEED,
        own: OWN,
    })
}

/// The packet of a client to a VIP: TCP, of this length.
fn packet(client: u32, vip: Ipv4Addr, len: u16) -> Vec<u8> {
    let port = u16::try_from(1024 + client % 60_000).expect("a port");
    packet_from((0x0a00_0000 + client).into(), port, vip, len)
}

fn packet_from(source: Ipv4Addr, port: u16, vip: Ipv4Addr, len: u16) -> Vec<u8> {
    let header = Ipv4Header::new(source, vip, IpProtocol::TCP, len);
    let mut packet = header.as_bytes().to_vec();
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
        fill(&config, &mut program)?;
        let mut memory = Vec::new();
        let mut sets = vec![[0; 8]; 64];
        let backends: Result<Vec<_>, _> = layout
            .backends
            .iter()
            .map(|&backend| balance.tunnel_to(backend).map(Backend::new))
            .collect();
        let mut backends = backends.map_err(|error| Failure::of("tunnel", &error))?;
        let mut native = Balancer {
            tables: Tables {
                vips: layout.vips(&mut memory)?,
                slots: &layout.slots,
                begun: Begun::new(&mut sets),
                seed: SEED,
            },
            backends: &mut backends,
        };
        let (mut sent, mut errors) = (0, 0);
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
        let wrong = too_long::balance(
            &mut program,
            kind,
            |source, len| packet_from(source, 4000, vip(0), len),
            vip(0),
        )?;
        different.extend(wrong.into_iter().map(|what| format!("too long: {what}")));
        println!(
            "balance_{kind}: {sent} packets and {errors} ICMP errors to the backend that the library chooses, the same \
             bytes; {} different, with what is too long or in frames to others",
            different.len()
        );
        for different in different.iter().take(5) {
            println!("DIFFERENT: {different}");
        }
        passes &= different.is_empty() && (sent, errors) == (3000, 3000);
        passes &= spread(&layout);
        if bench {
            let executed = program.executed(objects, &packet(1, vip(0), 100))?;
            println!("balance_{kind}: executes {executed} instructions for a packet");
            passes &= measure(objects, kind, &config, vips)?;
        }
    }
    Ok(passes)
}

/// The time of a packet, less what moving the start of the frame takes. Whether it is short enough. The kernel repeats one
/// packet many times, so what it needs of the tables lies in the caches: among many flows at once it takes longer.
fn measure(objects: &Path, kind: &str, config: &Config, vips: u32) -> Result<bool, Failure> {
    let folder = objects.join("bench");
    let name = format!("{}_bench", config.program());
    let mut program = Program {
        object: config.load_as(&folder, &name)?,
    };
    fill(config, &mut program)?;
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
    println!(
        "balance_{kind}: {ns:.0} ns for a packet that is repeated, in tables of {vips} VIPs and {} backends",
        POOLS * BACKENDS_OF_POOL
    );
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
