//! Ten million packets, or as many as `IPENCAP_XDP_PACKETS` says: the counters of all processors add up to them.

use core::net::Ipv4Addr;
use std::path::Path;

use ipencap::error::Reason;
use ipencap::wire::{IpProtocol, Ipv4Header};
use ipencap_xdp::{Decap, Failure};
use ipencap_xdp_maps::{Counter, DROPPED};

use crate::run::Program;
use crate::speed::time;

const PACKETS: u32 = 10_000_000;

/// In how many turns.
const TURNS: u32 = 40;

/// A packet from a source that is no peer, and others that the program leaves to the kernel: they are as they were after
/// it, so the kernel can run it on them as often as it likes.
fn packets(local: Ipv4Addr) -> Vec<(Vec<u8>, u32, u32)> {
    let stranger = Ipv4Addr::new(192, 0, 2, 66);
    let inner = Ipv4Header::new(
        [10, 1, 0, 5].into(),
        [10, 2, 0, 9].into(),
        IpProtocol(253),
        24,
    );
    let outer = |protocol| {
        let outer = Ipv4Header::new(stranger, local, protocol, 44);
        [&outer.as_bytes()[..], &inner.as_bytes()[..], &[0; 4]].concat()
    };
    let unknown = DROPPED + u32::try_from(Reason::UnknownPeer.index()).expect("a small number");
    let refused = outer(IpProtocol::IPENCAP);
    let mut options = refused.clone();
    options[0] = 0x46;
    let mut short = refused.clone();
    short.truncate(40);
    vec![
        (refused, 1, unknown),
        (options, 2, Counter::PassedOptions as u32),
        (short, 2, Counter::PassedShort as u32),
        (outer(IpProtocol::UDP), 2, Counter::PassedOther as u32),
    ]
}

/// Whether the sums are right.
pub fn check(objects: &Path) -> Result<bool, Failure> {
    let local = Ipv4Addr::new(192, 0, 2, 1);
    let mut program = Program::load(objects, "decap_ipip")?;
    Decap::from_anywhere(local, 0, Ipv4Addr::new(192, 0, 2, 2)).fill(&mut program.object)?;
    let packets = packets(local);
    let asked = std::env::var("IPENCAP_XDP_PACKETS").ok();
    let all = asked.map_or(PACKETS, |number| number.parse().expect("a number"));
    let rounds = TURNS / u32::try_from(packets.len()).expect("four");
    let runs = all / TURNS;
    for _ in 0..rounds {
        for (packet, action, _) in &packets {
            // Each time by a thread of its own, which the scheduler puts on some processor.
            std::thread::scope(|scope| {
                let run = || time(&mut program, packet, *action, runs);
                scope.spawn(run).join().expect("no panic")
            })?;
        }
    }
    let expected = u64::from(rounds) * u64::from(runs);
    let counters = program.counters()?;
    let passes = packets
        .iter()
        .all(|(_, _, counter)| counters[counter] == expected)
        && counters.values().sum::<u64>() == u64::from(runs * TURNS)
        && runs > 0;
    println!(
        "{all} packets of four kinds: {}\n",
        if passes {
            "the counters add up"
        } else {
            "the counters do not add up"
        }
    );
    Ok(passes)
}
