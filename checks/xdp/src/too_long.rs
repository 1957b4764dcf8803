//! Packets that are too long for a tunnel, and frames to other hosts.

use core::net::Ipv4Addr;
use core::time::Duration;
use std::path::Path;

use ipencap::checksum::Sum;
use ipencap::icmp::{IcmpError, Kind};
use ipencap::wire::{IpProtocol, Ipv4Header};
use ipencap_xdp::Failure;
use ipencap_xdp_maps::{Counter, Out, Route, Settings};

use crate::run::{ETHERNET, OWN, Program};

const MTU: u16 = 1500;
const DROP: u32 = 1;
const PASS: u32 = 2;

/// The outer headers' length, in bytes.
fn overhead(kind: &str) -> u16 {
    match kind {
        "ipip" => 20,
        "fou" => 28,
        _ => 32,
    }
}

/// The packet without DF.
fn without_df(mut packet: Vec<u8>) -> Vec<u8> {
    packet[6] &= !0x40;
    packet[10..12].fill(0);
    let sum = Sum::new().add_bytes(&packet[..20]).checksum();
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// What is wrong with what a program does with packets of 1499 bytes, which `packet` makes of their source; and with a
/// packet that would fit, in frames to other hosts. `source` is that of ICMP errors.
pub fn check(
    program: &mut Program,
    kind: &str,
    packet: impl Fn(Ipv4Addr, u16) -> Vec<u8>,
    source: Ipv4Addr,
    split: (u32, Counter),
) -> Result<Vec<String>, Failure> {
    let sender = Ipv4Addr::new(10, 0, 0, 7);
    let inner = packet(sender, MTU - 1);
    let mtu = MTU - overhead(kind);
    let expected = IcmpError::about(&inner, Kind::FragmentationNeeded { mtu }, source)
        .map_err(|error| Failure::of("ICMP", &error))?
        .with_quote_len(28);
    let mut answer = vec![0; expected.len()];
    let _written = expected.write(&inner, &mut answer);
    let to_sender = [&ETHERNET[6..12], &ETHERNET[..6]].concat();
    let nobodys = packet(Ipv4Addr::UNSPECIFIED, MTU - 1);
    let divisible = without_df(inner.clone());
    let mut wrong = Vec::new();
    for _ in 0..5 {
        // One answer each millisecond. What is not answered takes none of them.
        std::thread::sleep(Duration::from_millis(3));
        for _ in 0..5 {
            if !program.does(&ETHERNET, &divisible, split)? {
                wrong.push("without DF".to_owned());
            }
            if !program.does(&ETHERNET, &nobodys, (DROP, Counter::Unanswered))? {
                wrong.push("from 0.0.0.0".to_owned());
            }
        }
        match program.run_answered(&inner)? {
            Some((ethernet, bytes)) if bytes == answer && ethernet[..12] == to_sender => {}
            done => wrong.push(format!("{done:?}, expected {answer:?}")),
        }
    }
    let mut broadcast = ETHERNET;
    broadcast[..6].fill(0xff);
    let mut to_other = ETHERNET;
    to_other[5] ^= 1;
    for ethernet in [broadcast, to_other] {
        for inner in [&inner, &packet(sender, 100)] {
            if !program.does(&ethernet, inner, (PASS, Counter::PassedOther))? {
                wrong.push(format!("taken in a frame to {:x?}", &ethernet[..6]));
            }
        }
    }
    Ok(wrong)
}

/// The encapsulators.
pub fn encap(objects: &Path, kind: &str) -> Result<Vec<String>, Failure> {
    let mut program = Program::load(objects, &format!("encap_{kind}"))?;
    let address = Ipv4Addr::new(198, 51, 100, 1);
    program.object.set_out(&Out {
        address: address.octets(),
        ingress: OWN,
        ..Out::default()
    })?;
    let settings = Settings {
        local: address.octets(),
        exit: [192, 0, 2, 2],
        port: 6080_u16.to_be_bytes(),
        link_mtu: MTU,
        ttl: 64,
        ..Settings::default()
    };
    program.object.keep("TUNNELS", 1, &settings)?;
    let everything = Route {
        prefix_len: 0,
        address: [0; 4],
    };
    program.object.route("ROUTES", everything, 1_u32)?;
    let packet = |source, len| {
        let header = Ipv4Header::new(source, [10, 2, 0, 9].into(), IpProtocol::TCP, len);
        let mut packet = header.as_bytes().to_vec();
        packet.resize(usize::from(len), 0);
        packet
    };
    let split = (PASS, Counter::PassedTooLong);
    check(&mut program, kind, packet, address, split)
}

/// A balancer, which has `vip`.
pub fn balance(
    program: &mut Program,
    kind: &str,
    packet: impl Fn(Ipv4Addr, u16) -> Vec<u8>,
    vip: Ipv4Addr,
) -> Result<Vec<String>, Failure> {
    let split = (DROP, Counter::MayBeFragmented);
    check(program, kind, packet, vip, split)
}
