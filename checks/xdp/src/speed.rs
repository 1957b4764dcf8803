//! Nanoseconds for a packet, beside the same in C: the kernel runs a program and what puts the frame back a million times,
//! and then what puts it back alone.

use core::net::Ipv4Addr;
use std::path::Path;

use aya::programs::{TestRun as _, TestRunOptions};
use ipencap::encap::{Encapsulate, PerPacket, Tunnel};
use ipencap::shim::{ChecksumPolicy, Fou, Gue, IpIp};
use ipencap::wire::{IpProtocol, Ipv4Header};
use ipencap::{Span, encap};
use ipencap_xdp::{Decap, Failure};
use ipencap_xdp_maps::{Out, Route, Settings};

use crate::run::{ETHERNET, OWN, Program};

const LOCAL: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const RUNS: u32 = 1_000_000;
const ROUNDS: usize = 7;

/// As many times as the same program in C a program may take.
const MOST: [(&str, f64); 2] = [("decap", 1.5), ("encap", 1.6)];

/// A UDP packet of 100 bytes from the inside of the peer.
fn inner(destination: Ipv4Addr) -> Vec<u8> {
    let source = Ipv4Addr::new(10, 1, 0, 5);
    let header = Ipv4Header::new(source, destination, IpProtocol::UDP, 100);
    let mut packet = header.as_bytes().to_vec();
    packet.extend([0x9c, 0x40, 0, 53, 0, 80, 0, 0]);
    packet.resize(100, 0);
    packet
}

/// What comes to the decapsulator.
fn outer(kind: &str) -> Vec<u8> {
    fn wrap(tunnel: &impl Encapsulate) -> Vec<u8> {
        let mut buffer = vec![0; tunnel.overhead()];
        buffer.extend(inner(Ipv4Addr::new(10, 2, 0, 9)));
        let span = Span::new(tunnel.overhead(), 100);
        encap(tunnel, &mut buffer, span, &PerPacket::new())
            .expect("it fits")
            .to_vec()
    }
    let zero = ChecksumPolicy::Zero;
    let expect = "addresses of hosts";
    match kind {
        "ipip" => wrap(&Tunnel::new(PEER, LOCAL, IpIp).expect(expect)),
        "fou" => wrap(&Tunnel::new(PEER, LOCAL, Fou::new(5555).with_checksum(zero)).expect(expect)),
        _ => wrap(&Tunnel::new(PEER, LOCAL, Gue::new().with_checksum(zero)).expect(expect)),
    }
}

fn port(kind: &str) -> u16 {
    match kind {
        "gue" => 6080,
        _ => 5555,
    }
}

fn load(folder: &Path, job: &str, kind: &str, end: &str) -> Result<Program, Failure> {
    let mut program = Program::load(folder, &format!("{job}_{kind}{end}"))?;
    if end == "_base" {
        return Ok(program);
    }
    if job == "decap" {
        Decap::from_anywhere(LOCAL, port(kind), PEER).fill(&mut program.object)?;
        return Ok(program);
    }
    let out = Out {
        next_hop: [2, 0, 0, 0, 0, 9],
        own: [2, 0, 0, 0, 0, 1],
        ingress: OWN,
        ..Out::default()
    };
    program.object.set_out(&out)?;
    let settings = Settings {
        local: LOCAL.octets(),
        exit: PEER.octets(),
        port: port(kind).to_be_bytes(),
        link_mtu: 1500,
        ttl: 64,
        dscp: 255,
        ..Settings::default()
    };
    program.object.keep("TUNNELS", 1, &settings)?;
    let everything = Route {
        prefix_len: 0,
        address: [0; 4],
    };
    program.object.route("ROUTES", everything, 1_u32)?;
    Ok(program)
}

/// The mean of so many runs, in nanoseconds.
pub fn time(program: &mut Program, packet: &[u8], action: u32, runs: u32) -> Result<f64, Failure> {
    let frame = [&ETHERNET[..], packet].concat();
    let mut options = TestRunOptions::new();
    options.data_in = Some(&frame);
    options.repeat = runs;
    let done = program
        .object
        .program()?
        .test_run(options)
        .map_err(|error| Failure::of("test_run", &error))?;
    assert_eq!(done.return_value, action, "another action");
    Ok(done.duration.as_nanos() as f64)
}

/// All six, beside C. Fails where one takes more times as long as it may.
pub fn table(objects: &Path, c: &Path) -> Result<bool, Failure> {
    println!(
        "| program | instructions, ours / C | verified, ours / C | executed, ours / C | ns, ours / C | ratio |\n\
         |---|---|---|---|---|---|"
    );
    let mut passes = true;
    for (job, most) in MOST {
        for kind in ["ipip", "fou", "gue"] {
            let (packet, action) = if job == "decap" {
                (outer(kind), 2)
            } else {
                (inner(Ipv4Addr::new(10, 2, 0, 9)), 3)
            };
            let mut plain = [load(objects, job, kind, "")?, load(c, job, kind, "")?];
            let [ours, theirs] = [plain[0].run(&packet)?, plain[1].run(&packet)?];
            assert_eq!(ours, theirs, "{job}_{kind}: other bytes than C");
            let mut sizes = Vec::new();
            for (program, folder) in plain.iter_mut().zip([objects, c]) {
                let executed = program.executed(folder, &packet)?;
                let info = program.object.program()?.info();
                let info = info.map_err(|error| Failure::of("info", &error))?;
                let len = info.size_translated().unwrap_or_default() / 8;
                let verified = info.verified_instruction_count().unwrap_or_default();
                sizes.push((len, verified, executed));
            }
            let bench = objects.join("bench");
            let mut programs = [
                load(&bench, job, kind, "_bench")?,
                load(&bench, job, kind, "_base")?,
                load(c, job, kind, "_bench")?,
                load(c, job, kind, "_base")?,
            ];
            let mut best = [f64::MAX; 4];
            for _ in 0..ROUNDS {
                for (best, program) in best.iter_mut().zip(&mut programs) {
                    *best = best.min(time(program, &packet, action, RUNS)?);
                }
            }
            let [ours, theirs] = [best[0] - best[1], best[2] - best[3]];
            let ratio = ours / theirs;
            println!(
                "| {job}_{kind} | {} / {} | {} / {} | {} / {} | {ours} / {theirs} | {ratio:.2} |",
                sizes[0].0, sizes[1].0, sizes[0].1, sizes[1].1, sizes[0].2, sizes[1].2
            );
            if ratio > most {
                println!("{job}_{kind}: more than {most} times the time of C");
                passes = false;
            }
        }
    }
    Ok(passes)
}
