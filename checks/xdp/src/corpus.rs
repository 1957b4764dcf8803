//! The packets that Linux's tunnel devices took and sent, through the programs.

use core::net::Ipv4Addr;
use core::num::NonZeroU8;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use flate2::read::GzDecoder;
use ipencap::decap::{Decapsulate, Inner, PointToPoint, Prefix, Receiver};
use ipencap::encap::{
    DscpPolicy, EcnPolicy, Encapsulate, OuterPolicy, PerPacket, TtlPolicy, Tunnel,
};
use ipencap::error::{EncapError, Reason, Refused};
use ipencap::shim::{ChecksumPolicy, Fou, Gue, IpIp, SourcePort};
use ipencap::wire::{Dscp, Ipv4};
use ipencap::{Span, decap, encap};
use ipencap_xdp::{Decap, Failure};
use ipencap_xdp_maps::{Out, Route, Settings};
use serde_json::Value;

use crate::run::{Done, ETHERNET, OWN, Program};

/// The outer ends of all tunnels of the corpus.
const LOCAL: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// The action that sends a packet back.
const TX: u32 = 3;

/// What became of the packets of a program.
#[derive(Default)]
pub struct Row {
    /// Taken, and the same as native and as Linux's.
    taken: usize,
    /// Taken, and the same as native; Linux did something else.
    taken_here_only: usize,
    /// Dropped, for the same reason as native.
    dropped: usize,
    /// Left to the kernel, by kind.
    passed: BTreeMap<&'static str, usize>,
    pub different: Vec<String>,
}

/// Of each program: as many packets as it takes like Linux, takes otherwise, drops and passes.
const WHOLE: [(&str, [usize; 4]); 6] = [
    ("decap_ipip", [46, 0, 29, 56]),
    ("decap_fou", [15, 1, 10, 39]),
    ("decap_gue", [17, 1, 23, 154]),
    ("encap_ipip", [299, 74, 3, 27]),
    ("encap_fou", [79, 8, 0, 93]),
    ("encap_gue", [66, 15, 0, 154]),
];

/// What Linux's decapsulators do not take for its wrong UDP checksum. Without the checksum, it is a good packet.
const ONLY_HERE: [&str; 2] = ["fou-udp-003", "gue-gue-003"];

impl Row {
    /// Whether these are as many packets of each sort as the corpus has.
    pub fn is_whole(&self, name: &str) -> bool {
        let numbers = [
            self.taken,
            self.taken_here_only,
            self.dropped,
            self.passed.values().sum(),
        ];
        let is_whole = WHOLE.contains(&(name, numbers));
        if !is_whole {
            println!("{name}: {numbers:?} are other numbers than the corpus has");
        }
        is_whole
    }

    pub fn print(&self, name: &str) {
        let passed: Vec<_> = self
            .passed
            .iter()
            .map(|(kind, n)| format!("{} {n}", kind.trim_start_matches("passed: ")))
            .collect();
        println!(
            "| {name} | {} | {} | {} | {} | {} |",
            self.taken,
            self.taken_here_only,
            self.dropped,
            self.different.len(),
            passed.join(", ")
        );
    }
}

pub const HEAD: &str = "| program | taken, as Linux | taken, Linux did otherwise | dropped, same reason | different | left to \
                        the kernel |\n|---|---|---|---|---|---|";

fn lines(path: &Path) -> Result<Vec<Value>, Failure> {
    let bytes = std::fs::read(path).map_err(|error| Failure::of(path.display(), &error))?;
    let text = if path.extension().is_some_and(|end| end == "gz") {
        let mut text = String::new();
        GzDecoder::new(&bytes[..])
            .read_to_string(&mut text)
            .map_err(|error| Failure::of(path.display(), &error))?;
        text
    } else {
        String::from_utf8(bytes).map_err(|error| Failure::of(path.display(), &error))?
    };
    Ok(text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect())
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).expect("hex"))
        .collect()
}

fn packets(list: &Value) -> Vec<Vec<u8>> {
    let list = list.as_array().into_iter().flatten();
    list.map(|packet| unhex(packet.as_str().expect("hex")))
        .collect()
}

/// A packet, and the same without its UDP checksum, which the programs do not verify.
fn variants(packet: Vec<u8>) -> Vec<Vec<u8>> {
    let mut variants = vec![packet.clone()];
    if packet.len() >= 28 && packet[0] == 0x45 && packet[9] == 17 && packet[26..28] != [0, 0] {
        let mut without = packet;
        without[26..28].fill(0);
        variants.push(without);
    }
    variants
}

/// The decapsulators.
pub fn decap_row(objects: &Path, data: &Path, kind: &str) -> Result<Row, Failure> {
    let (configurations, port): (&[&str], u16) = match kind {
        "ipip" => (
            &["ipip", "ipip-any", "ipip-rpf1", "ipip-rpf2", "ipip-ttl64"],
            0,
        ),
        "fou" => (&["fou"], 5555),
        _ => (&["gue"], 6080),
    };
    let access = PointToPoint::new(LOCAL, PEER, &[Prefix::ANY]);
    let native: Box<dyn Decapsulate> = match kind {
        "ipip" => Box::new(Receiver::new(IpIp, access)),
        "fou" => Box::new(Receiver::new(Fou::new(port), access)),
        _ => Box::new(Receiver::new(Gue::new(), access)),
    };
    let mut program = Program::load(objects, &format!("decap_{kind}"))?;
    Decap::from_anywhere(LOCAL, port, PEER).fill(&mut program.object)?;
    let mut row = Row::default();
    for record in lines(&data.join("decap.jsonl"))? {
        let id = record["id"].as_str().unwrap_or_default();
        let in_scope = configurations.contains(&record["cfg"].as_str().unwrap_or_default());
        if !in_scope || record.get("setup").is_some() {
            continue;
        }
        for packet in packets(&record["inject"]).into_iter().flat_map(variants) {
            let done = program.run(&packet)?;
            let mut buffer = packet.clone();
            let answer = decap(&*native, &mut buffer);
            match (done, answer) {
                (Done::Taken(_, ethernet, out), Ok(inner)) => {
                    let mut expected = inner.packet.to_vec();
                    let slack = usize::from(inner.opened.slack());
                    // What lies behind the inner packet stays.
                    let behind = out.len().saturating_sub(expected.len());
                    let end = inner.opened.span().end();
                    expected.extend(&packet[end..]);
                    if out != expected || behind < slack || ethernet != ETHERNET {
                        row.different.push(format!("{id}: other bytes than native"));
                    } else if packets(&record["decap"]["t0"])
                        .first()
                        .is_some_and(|linux| out.starts_with(linux))
                    {
                        row.taken += 1;
                    } else if ONLY_HERE.contains(&id) {
                        row.taken_here_only += 1;
                    } else {
                        row.different.push(format!("{id}: Linux has not taken it"));
                    }
                }
                (Done::Dropped(reason), Err(refused)) if reason == refused.reason.index() => {
                    row.dropped += 1;
                }
                (Done::Passed(why), answer) if decap_passes(kind, port, why, &packet, &answer) => {
                    *row.passed.entry(why).or_default() += 1;
                }
                (done, answer) => row.different.push(format!(
                    "{id}: {done:?}, native {:?}",
                    answer.map(|inner| inner.packet.len())
                )),
            }
        }
    }
    Ok(row)
}

/// Whether the packet has what a decapsulator says it has not taken it for.
fn decap_passes(
    kind: &str,
    port: u16,
    why: &str,
    packet: &[u8],
    native: &Result<Inner<'_>, Refused>,
) -> bool {
    let (protocol, shim) = match kind {
        "ipip" => (4, 0),
        "fou" => (17, 8),
        _ => (17, 12),
    };
    let is_udp = protocol == 17;
    if why == "passed: short" {
        return packet.len() < 20 + shim + 20 + 4;
    }
    match why {
        "passed: not for this program" => {
            packet[9] != protocol
                || packet[16..20] != LOCAL.octets()
                || (is_udp && packet[22..24] != port.to_be_bytes())
                || matches!(native, Err(refused) if refused.reason == Reason::NotTunnel)
        }
        "passed: UDP checksum" => is_udp && packet[26..28] != [0, 0],
        "passed: header options" => {
            packet[0] != 0x45
                || packet[20 + shim] != 0x45
                || (kind == "gue" && packet[28] & !0x20 != 0)
        }
        "passed: outer fragment" => packet[6] & 0x3f != 0 || packet[7] != 0,
        _ => false,
    }
}

/// The same of an encapsulator.
fn encap_passes(kind: &str, why: &str, inner: &[u8]) -> bool {
    match why {
        "passed: short" => inner.len() < 28,
        "passed: header options" => inner[0] != 0x45,
        "passed: a tunnel inside" => kind != "ipip" && inner[9] == 4,
        _ => false,
    }
}

/// A device of the corpus, as far as the programs have its settings.
struct Device {
    settings: Settings,
    policy: OuterPolicy,
    needs_df: bool,
    has_checksum: bool,
    auto_port: bool,
}

impl Device {
    fn parse(command: &str) -> Self {
        let word = |name: &str| {
            let mut words = command.split(' ').skip_while(|word| *word != name);
            words.nth(1)
        };
        let ttl = word("ttl")
            .and_then(|ttl| ttl.parse().ok())
            .unwrap_or_default();
        // To Linux bit 0 of a TOS means "inherit".
        let tos = word("tos").unwrap_or("0");
        let tos = match u8::from_str_radix(tos.trim_start_matches("0x"), 16) {
            Ok(tos) if tos & 1 == 0 => Some(tos),
            _ => None,
        };
        let source_port: u16 = word("encap-sport")
            .and_then(|port| port.parse().ok())
            .unwrap_or_default();
        let port: u16 = word("encap-dport")
            .and_then(|port| port.parse().ok())
            .unwrap_or_default();
        Self {
            settings: Settings {
                local: LOCAL.octets(),
                exit: PEER.octets(),
                port: port.to_be_bytes(),
                source_port: source_port.to_be_bytes(),
                seed: 0,
                link_mtu: u16::MAX,
                identification: 0,
                ttl,
                dscp: tos.map_or(255, |tos| tos >> 2),
                ecn: 2,
                flags: 0,
            },
            policy: OuterPolicy {
                ttl: NonZeroU8::new(ttl).map_or(TtlPolicy::Inherit, TtlPolicy::Fixed),
                dscp: tos.map_or(DscpPolicy::Copy, |tos| {
                    DscpPolicy::Fixed(Dscp::from_tos(tos))
                }),
                ecn: EcnPolicy::Rfc3168,
                ..OuterPolicy::DEFAULT
            },
            needs_df: command.contains("nopmtudisc"),
            has_checksum: command.contains(" encap-csum"),
            auto_port: source_port == 0,
        }
    }
}

/// What the library makes of a packet in process.
fn wrapped<T: Encapsulate>(tunnel: &T, inner: &[u8]) -> Result<Vec<u8>, EncapError> {
    let mut buffer = vec![0; tunnel.overhead()];
    buffer.extend_from_slice(inner);
    let span = Span::new(tunnel.overhead(), inner.len());
    Ok(encap(tunnel, &mut buffer, span, &PerPacket::new())?.to_vec())
}

fn native(kind: &str, device: &Device) -> Result<Native, Failure> {
    let source_port = match u16::from_be_bytes(device.settings.source_port) {
        0 => SourcePort::DEFAULT,
        port => SourcePort::Fixed(port),
    };
    let port = u16::from_be_bytes(device.settings.port);
    let bad = |error| Failure::of("tunnel", &error);
    Ok(match kind {
        "ipip" => Native::IpIp(
            Tunnel::new(LOCAL, PEER, IpIp)
                .map_err(bad)?
                .with_policy(device.policy),
        ),
        "fou" => {
            let fou = Fou::new(port)
                .with_checksum(ChecksumPolicy::Zero)
                .with_source_port(source_port);
            Native::Fou(
                Tunnel::new(LOCAL, PEER, fou)
                    .map_err(bad)?
                    .with_policy(device.policy),
            )
        }
        _ => {
            let gue = Gue::new()
                .with_destination_port(port)
                .with_checksum(ChecksumPolicy::Zero)
                .with_source_port(source_port);
            Native::Gue(
                Tunnel::new(LOCAL, PEER, gue)
                    .map_err(bad)?
                    .with_policy(device.policy),
            )
        }
    })
}

enum Native {
    IpIp(Tunnel<IpIp>),
    Fou(Tunnel<Fou>),
    Gue(Tunnel<Gue>),
}

impl Native {
    fn wrap(&self, inner: &[u8]) -> Result<Vec<u8>, EncapError> {
        match self {
            Self::IpIp(tunnel) => wrapped(tunnel, inner),
            Self::Fou(tunnel) => wrapped(tunnel, inner),
            Self::Gue(tunnel) => wrapped(tunnel, inner),
        }
    }
}

/// The encapsulators.
pub fn encap_row(objects: &Path, data: &Path, kind: &str) -> Result<Row, Failure> {
    let mut program = Program::load(objects, &format!("encap_{kind}"))?;
    let out = Out {
        next_hop: [2, 0, 0, 0, 0, 9],
        own: [2, 0, 0, 0, 0, 1],
        ingress: OWN,
        ..Out::default()
    };
    program.object.set_out(&out)?;
    let everything = Route {
        prefix_len: 0,
        address: [0; 4],
    };
    program.object.route("ROUTES", everything, 1_u32)?;
    let mut records = lines(&data.join(format!("encap-{kind}.jsonl")))?;
    records.extend(lines(&data.join(format!("encap-{kind}-large.jsonl.gz")))?);
    let mut row = Row::default();
    for record in &records {
        let id = record["id"].as_str().unwrap_or_default();
        let [tunnel] = &record["tunnels"].as_array().expect("tunnels")[..] else {
            continue;
        };
        let entered = match record.get("entered") {
            None => packets(&Value::Array(vec![record["sent"].clone()])),
            Some(list) => packets(list),
        };
        let outers = packets(&record["outer"]);
        let one_for_each = entered.len() == outers.len();
        for (i, inner) in entered.iter().enumerate() {
            let mut device = Device::parse(tunnel["cmd"].as_str().expect("a command"));
            let linux = if one_for_each { outers.get(i) } else { None };
            if let Some(linux) = linux {
                let id = u16::from_be_bytes([linux[4], linux[5]]);
                device.settings.identification = id;
                device.policy.atomic_identification = id;
                if device.auto_port && kind != "ipip" {
                    device.settings.source_port = [linux[20], linux[21]];
                }
            }
            program.object.keep("TUNNELS", 1, &device.settings)?;
            let done = program.run(inner)?;
            let native = native(kind, &device)?.wrap(inner);
            match (done, native) {
                (Done::Taken(TX, ethernet, bytes), Ok(native)) => {
                    let inner_len = Ipv4::parse(inner).map_or(0, Ipv4::slack);
                    let whole = [&native[..], &inner[inner.len() - inner_len..]].concat();
                    let sent = [&out.next_hop[..], &out.own, &[8, 0]].concat();
                    if bytes != whole || ethernet != sent {
                        row.different.push(format!("{id}: other bytes than native"));
                    } else if linux == Some(&bytes) {
                        row.taken += 1;
                    } else if device.has_checksum {
                        *row.passed
                            .entry("(taken without the checksum that Linux adds)")
                            .or_default() += 1;
                    } else if device.needs_df || linux.is_none() || inner_len > 0 {
                        // Linux copies DF, fragments, drops what is too long for its device, or carries what lies
                        // behind the packet in its length.
                        row.taken_here_only += 1;
                    } else {
                        row.different.push(format!("{id}: other bytes than Linux"));
                    }
                }
                (Done::Dropped(reason), Err(error)) if reason == error.counter() => {
                    row.dropped += 1;
                }
                (Done::Passed(why), _) if encap_passes(kind, why, inner) => {
                    *row.passed.entry(why).or_default() += 1;
                }
                (done, native) => row
                    .different
                    .push(format!("{id}: {done:?}, native {native:?}")),
            }
        }
    }
    Ok(row)
}
