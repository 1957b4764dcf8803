//! Linux as an encapsulator: each outer packet byte for byte.

use core::net::Ipv4Addr;
use core::num::NonZeroU8;
use std::collections::BTreeSet;
use std::io::Read;

use flate2::read::GzDecoder;
use ipencap::encap::{DfPolicy, DscpPolicy, EcnPolicy, IdSource, IpIp, PerPacket, Role, TtlPolicy};
use ipencap::error::{EncapError, ParseError};
use ipencap::wire::{Dscp, FragmentOffset, Ipv4, Ipv4Flags, Ipv4Header};
use ipencap::{Span, encap};
use serde_json::Value;

use crate::{drops, icmp, packets, records, text, unhex};

/// The MTU of the path behind every tunnel of the corpus.
const PATH_MTU: u16 = 1500;

/// What this crate does with one packet that entered the tunnel.
#[derive(Clone, Copy, Debug)]
enum Ours {
    /// The outer packet that Linux sent, counted from 0.
    Equal(usize),
    /// The same without the bytes behind the inner total length.
    Trimmed(usize),
    /// An outer packet, where Linux sent none.
    Alone,
    /// None, for this reason.
    Refused(EncapError),
}
use Ours::{Alone, Equal, Refused, Trimmed};

/// Records with a difference, or without an outer packet.
struct Exception {
    ids: &'static [&'static str],
    /// One answer for each packet that entered the tunnel.
    ours: &'static [Ours],
    /// What Linux did, by the traces in the record.
    linux: &'static str,
    why: &'static str,
}

const TOO_BIG: &[Ours] = &[Refused(EncapError::FragmentationNeeded { mtu: 1480 })];

const EXCEPTIONS: &[Exception] = &[
    Exception {
        ids: &["ipip-ttl-inherit-001", "ipip-ttl-1-001", "ipip-ttl-255-001"],
        ours: &[Refused(EncapError::TtlZero)],
        linux: "sent",
        why: "T-06, A-07: an inner TTL of 0 must not travel",
    },
    Exception {
        ids: &["ipip-weird-005"],
        ours: &[Trimmed(0)],
        linux: "sent",
        why: "E-20, A-10: the inner total length ends the packet, not the buffer",
    },
    Exception {
        ids: &["ipip-weird-007"],
        ours: &[Refused(EncapError::Inner {
            error: ParseError::BadVersion { version: 6 },
        })],
        linux: "sent",
        why: "E-01, E-02, A-09: protocol 4 carries version 4",
    },
    Exception {
        ids: &["ipip-weird-009"],
        ours: &[Refused(EncapError::Inner {
            error: ParseError::BadIhl { ihl: 4 },
        })],
        linux: "sent",
        why: "E-01, V-03, A-09: the inner header is validated",
    },
    Exception {
        ids: &["ipip-weird-002"],
        ours: &[Refused(EncapError::Inner {
            error: ParseError::Truncated { need: 20, have: 1 },
        })],
        linux: "ipip_tunnel_xmit, tx_errs",
        why: "E-01, V-01: both refuse",
    },
    Exception {
        ids: &["ipip-weird-003"],
        ours: &[Refused(EncapError::Inner {
            error: ParseError::Truncated { need: 20, have: 19 },
        })],
        linux: "ipip_tunnel_xmit, tx_errs",
        why: "E-01, V-01: both refuse",
    },
    Exception {
        ids: &["fwd-weird-002"],
        ours: &[Refused(EncapError::Inner {
            error: ParseError::Truncated { need: 60, have: 50 },
        })],
        linux: "ip_rcv_core PKT_TOO_SMALL",
        why: "E-01, V-07: both refuse, Linux when it receives",
    },
    Exception {
        ids: &["fwd-ttl-001"],
        ours: &[Refused(EncapError::TtlZero)],
        linux: "ip_forward IP_INHDR, ICMP 11/0",
        why: "T-06: both refuse, Linux when it forwards",
    },
    Exception {
        ids: &["fwd-ttl-002"],
        ours: &[Refused(EncapError::TtlExpired)],
        linux: "ip_forward IP_INHDR, ICMP 11/0",
        why: "T-04: both refuse, Linux when it forwards",
    },
    Exception {
        ids: &["fwd-opts-007", "fwd-opts-008"],
        ours: &[Alone],
        linux: "ip_rcv_finish_core",
        why: "routing: Linux forwards no source route; the tunnel leaves options inside (E-15)",
    },
    Exception {
        ids: &["fwd-opts-010"],
        ours: &[Alone],
        linux: "ip_rcv_finish_core, ICMP 12/0",
        why: "routing: Linux reads options when it forwards, the tunnel does not (V-13, E-15)",
    },
    Exception {
        ids: &["loop-001", "loop-002"],
        ours: &[Alone],
        linux: "ip_tunnel_xmit, tx_errs, tx_colls",
        why: "routing: the route to the tunnel's exit leads into the tunnel (L-04)",
    },
    Exception {
        ids: &["loop-003", "loop-004"],
        ours: &[Alone],
        linux: "ip_tunnel_xmit, tx_errs, tx_carrier",
        why: "routing: no route to the tunnel's exit",
    },
    Exception {
        ids: &["loop-005"],
        ours: &[Alone],
        linux: "ip_tunnel_xmit, tx_errs, tx_carrier",
        why: "link state: the link below the tunnel is down",
    },
    Exception {
        ids: &[
            "ipip-size-026",
            "mtu-pmtudisc-dev1480-direct-005",
            "mtu-nopmtudisc-dev1480-direct-002",
            "mtu-nopmtudisc-dev1480-direct-003",
            "mtu-nopmtudisc-dev1480-direct-005",
            "mtu-nopmtudisc-dev1480-direct-006",
        ],
        ours: TOO_BIG,
        linux: "Message too long",
        why: "I-14: both refuse, Linux with EMSGSIZE before the tunnel",
    },
    Exception {
        ids: &[
            "mtu-pmtudisc-dev1480-fwd-010",
            "mtu-pmtudisc-dev1480-fwd-012",
            "mtu-pmtudisc-dev1480-fwd-013",
            "mtu-pmtudisc-dev1480-fwd-014",
            "mtu-pmtudisc-dev1480-again-001",
            "mtu-pmtudisc-dev1480-again-003",
            "mtu-nopmtudisc-dev1480-fwd-011",
            "mtu-nopmtudisc-dev1480-fwd-014",
            "mtu-nopmtudisc-dev1480-again-001",
            "mtu-nopmtudisc-dev1480-again-003",
        ],
        ours: TOO_BIG,
        linux: "ip_forward PKT_TOO_BIG, ICMP 3/4 1480",
        why: "I-14: both refuse with the same MTU, Linux when it forwards",
    },
    Exception {
        ids: &[
            "mtu-pmtudisc-dev1500-fwd-010",
            "mtu-pmtudisc-dev1500-again-001",
            "mtu-pmtudisc-dev2000-fwd-010",
            "mtu-pmtudisc-dev2000-fwd-011",
            "mtu-pmtudisc-dev2000-fwd-012",
            "mtu-pmtudisc-dev2000-again-001",
            "mtu-pmtudisc-dev2000-again-003",
            "mtu-nopmtudisc-dev1500-fwd-010",
            "mtu-nopmtudisc-dev1500-again-001",
            "mtu-nopmtudisc-dev1500-again-003",
            "mtu-nopmtudisc-dev2000-fwd-010",
            "mtu-nopmtudisc-dev2000-fwd-012",
            "mtu-nopmtudisc-dev2000-fwd-013",
            "mtu-nopmtudisc-dev2000-again-001",
            "mtu-nopmtudisc-dev2000-again-003",
        ],
        ours: TOO_BIG,
        linux: "ip_tunnel_xmit, tx_errs, ICMP 3/4 1480",
        why: "I-14: both refuse with the same MTU",
    },
    Exception {
        ids: &[
            "mtu-pmtudisc-dev1500-direct-006",
            "mtu-pmtudisc-dev2000-direct-006",
            "mtu-pmtudisc-dev2000-direct-008",
            "mtu-nopmtudisc-dev1500-direct-005",
            "mtu-nopmtudisc-dev2000-direct-006",
            "mtu-nopmtudisc-dev2000-direct-007",
        ],
        ours: TOO_BIG,
        linux: "ip_tunnel_xmit, tx_errs",
        why: "I-14: both refuse; Linux says so to nobody where the packet was not forwarded",
    },
    Exception {
        ids: &[
            "mtu-pmtudisc-dev1500-fwd-012",
            "mtu-pmtudisc-dev1500-fwd-014",
            "mtu-nopmtudisc-dev1500-fwd-012",
            "mtu-nopmtudisc-dev1500-fwd-013",
            "mtu-nopmtudisc-dev1500-fwd-014",
        ],
        ours: TOO_BIG,
        linux: "ip_forward PKT_TOO_BIG, ICMP 3/4 1500",
        why: "I-14: both refuse; Linux reports the device's MTU, too high for the path",
    },
    Exception {
        ids: &["mtu-nopmtudisc-dev2000-fwd-014"],
        ours: TOO_BIG,
        linux: "ip_forward PKT_TOO_BIG, ICMP 3/4 2000",
        why: "I-14: both refuse; Linux reports the device's MTU, too high for the path",
    },
    Exception {
        ids: &[
            "mtu-pmtudisc-dev1500-direct-002",
            "mtu-pmtudisc-dev1500-direct-003",
            "mtu-pmtudisc-dev2000-direct-003",
            "mtu-pmtudisc-dev2000-direct-004",
            "mtu-pmtudisc-dev2000-fwd-003",
            "mtu-pmtudisc-dev2000-fwd-004",
            "mtu-pmtudisc-dev2000-fwd-005",
            "mtu-pmtudisc-dev2000-fwd-006",
        ],
        ours: TOO_BIG,
        linux: "ip_fragment, tx_drop",
        why: "A-14: Linux loses it without a word, here the caller learns of it",
    },
    Exception {
        ids: &[
            "mtu-pmtudisc-dev1500-fwd-005",
            "mtu-pmtudisc-dev1500-fwd-006",
            "mtu-pmtudisc-dev1500-fwd-007",
            "mtu-pmtudisc-dev2000-fwd-007",
        ],
        ours: &[
            Refused(EncapError::FragmentationNeeded { mtu: 1480 }),
            Equal(0),
        ],
        linux: "sent, ip_fragment, tx_drop",
        why: "A-14: of two inner fragments Linux loses the first without a word",
    },
];

/// Forwarded records whose options Linux has written to, so that more than the TTL has changed.
const OPTIONS_REWRITTEN: &[&str] = &["fwd-opts-004"];

fn corpus() -> Vec<Value> {
    let mut large = String::new();
    GzDecoder::new(&include_bytes!("../data/kernel/encap-ipip-large.jsonl.gz")[..])
        .read_to_string(&mut large)
        .unwrap();
    let mut all = records(include_str!("../data/kernel/encap-ipip.jsonl"));
    all.extend(records(&large));
    all
}

/// The tunnel that an `ip link` command of the corpus describes. Linux resets CE (N-06).
fn tunnel(command: &str) -> IpIp {
    let mut words = command
        .strip_prefix("ip link add t0 type ipip ")
        .expect(command)
        .split(' ');
    let (mut local, mut remote) = (None, None);
    let (mut ttl, mut dscp, mut df) = (None, None, None);
    while let Some(option) = words.next() {
        let mut value = || words.next().expect(command);
        match option {
            "local" => local = value().parse::<Ipv4Addr>().ok(),
            "remote" => remote = value().parse::<Ipv4Addr>().ok(),
            "ttl" => {
                ttl = match value() {
                    "inherit" => Some(TtlPolicy::Inherit),
                    ttl => ttl.parse::<NonZeroU8>().ok().map(TtlPolicy::Fixed),
                }
            }
            "tos" => {
                dscp = match value() {
                    "inherit" => Some(DscpPolicy::Copy),
                    tos => {
                        let digits = tos.strip_prefix("0x").unwrap_or(tos);
                        let tos = u8::from_str_radix(digits, 16).expect(command);
                        // To Linux bit 0 means "inherit", the other ECN bit nothing.
                        Some(match tos & 1 {
                            1 => DscpPolicy::Copy,
                            _ => DscpPolicy::Fixed(Dscp::from_tos(tos)),
                        })
                    }
                }
            }
            "pmtudisc" => df = Some(DfPolicy::Set),
            "nopmtudisc" => df = Some(DfPolicy::Copy(IdSource::Ordinal)),
            _ => panic!("{command}: {option} is not known here"),
        }
    }
    IpIp::new(local.expect(command), remote.expect(command))
        .unwrap()
        .with_ttl(ttl.expect(command))
        .with_dscp(dscp.expect(command))
        .with_df(df.expect(command))
        .with_ecn(EcnPolicy::Rfc3168)
}

/// `inner` wrapped with the identification that Linux drew.
fn wrap(tunnel: IpIp, inner: &[u8], identification: u16) -> Result<Vec<u8>, EncapError> {
    let tunnel = tunnel.with_atomic_identification(identification);
    let mut buffer = [&[0; 20], inner].concat();
    let packet = PerPacket::new().with_ordinal(u32::from(identification));
    let span = Span::new(20, inner.len());
    encap(&tunnel, &mut buffer, span, &packet).map(|outer| outer.to_vec())
}

/// The outer packets with fragments of the same packet, which Linux sends in order, joined.
fn joined(outers: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut whole: Vec<Vec<u8>> = Vec::new();
    for outer in outers {
        let fragment = Ipv4::parse(outer).unwrap();
        let offset = fragment.header().fragment_offset();
        if offset == FragmentOffset::ZERO {
            whole.push(outer.clone());
        } else {
            let first = whole.last_mut().unwrap();
            assert_eq!(first.len() - 20, usize::from(offset.bytes()));
            first.extend(fragment.payload());
            let total_len = u16::try_from(first.len()).unwrap();
            let (header, _, _) = Ipv4Header::split_mut(first).unwrap();
            let same = fragment.header().identification();
            assert_eq!(header.identification(), same);
            header.edit(|edit| {
                edit.set_flags(fragment.header().flags() & Ipv4Flags::MF)
                    .set_total_len(total_len);
            });
        }
    }
    whole
}

/// What Linux did, by the traces in the record.
fn traces(record: &Value) -> String {
    let mut traces = Vec::new();
    if record["outer"][0].is_string() {
        traces.push("sent".to_owned());
    }
    match record["send_errno"].as_str() {
        Some(error) => traces.push(error.to_owned()),
        None => traces.extend(drops(record)),
    }
    let counters = record["dev"].as_object().into_iter().flatten();
    traces.extend(counters.map(|(name, _)| name.clone()));
    traces.extend(
        packets(&record["back"])
            .iter()
            .map(|back| icmp(back).unwrap()),
    );
    traces.join(", ")
}

/// The packets that entered the tunnel. Where Linux let none in: what was sent, and the role that
/// this crate is asked in then.
fn entered(record: &Value) -> (Vec<Vec<u8>>, Role) {
    let sent = unhex(text(record, "sent"));
    match record.get("entered") {
        None => (vec![sent], Role::Originate),
        Some(list) => match (packets(list), text(record, "path")) {
            (none, "forward") if none.is_empty() => (vec![sent], Role::Forward),
            (none, _) if none.is_empty() => (vec![sent], Role::Originate),
            (packets, _) => (packets, Role::Originate),
        },
    }
}

/// Whether this crate gives exactly the packets that Linux has sent, one for each that entered.
fn equals_linux(record: &Value, inners: &[Vec<u8>], wholes: &[Vec<u8>]) -> bool {
    let tunnel = tunnel(text(&record["tunnels"][0], "cmd"));
    inners.len() == wholes.len()
        && inners.iter().zip(wholes).all(|(inner, whole)| {
            let identification = Ipv4::parse(whole).unwrap().header().identification();
            let mtu = wrap(tunnel.with_link_mtu(PATH_MTU), inner, identification);
            let ours = wrap(tunnel, inner, identification);
            let told = if whole.len() > usize::from(PATH_MTU) {
                Err(EncapError::FragmentationNeeded { mtu: 1480 })
            } else {
                ours.clone()
            };
            assert_eq!(mtu, told, "{}: I-14", text(record, "id"));
            ours.as_ref() == Ok(whole)
        })
}

fn check_exception(record: &Value, exception: &Exception) {
    let id = text(record, "id");
    let (inners, role) = entered(record);
    let wholes = joined(&packets(&record["outer"]));
    let tunnel = tunnel(text(&record["tunnels"][0], "cmd"))
        .with_role(role)
        .with_link_mtu(PATH_MTU);
    assert_eq!(traces(record), exception.linux, "{id}: {}", exception.why);
    assert_eq!(inners.len(), exception.ours.len(), "{id}");

    let mut matched = 0;
    for (inner, ours) in inners.iter().zip(exception.ours) {
        let like = |place: usize| {
            let whole = wholes[place].clone();
            let identification = Ipv4::parse(&whole).unwrap().header().identification();
            (whole, wrap(tunnel, inner, identification))
        };
        match *ours {
            Equal(place) => {
                let (whole, answer) = like(place);
                assert_eq!(answer, Ok(whole), "{id}: {}", exception.why);
                matched += 1;
            }
            Trimmed(place) => {
                let (mut whole, answer) = like(place);
                let inner_len = Ipv4::parse(inner).unwrap().header().total_len();
                assert!(usize::from(inner_len) < inner.len(), "{id}: no slack");
                whole.truncate(usize::from(inner_len) + 20);
                let (header, _, _) = Ipv4Header::split_mut(&mut whole).unwrap();
                header.set_total_len(inner_len + 20);
                assert_eq!(answer, Ok(whole), "{id}: {}", exception.why);
                matched += 1;
            }
            Alone => {
                let outer = wrap(tunnel, inner, 1).expect(id);
                let carried = Ipv4::parse(&outer).expect(id).payload();
                let mut inner = inner.clone();
                if role == Role::Forward {
                    assert!(Ipv4Header::split_mut(&mut inner).unwrap().0.decrement_ttl());
                }
                assert_eq!(carried, inner, "{id}: {}", exception.why);
            }
            Refused(error) => {
                let answer = wrap(tunnel, inner, 1);
                assert_eq!(answer, Err(error), "{id}: {}", exception.why);
            }
        }
    }
    // Every packet that Linux sent is accounted for, unless ours is refused in its place.
    let refused = exception.ours.iter().any(|ours| matches!(ours, Refused(_)));
    assert!(
        matched == wholes.len() || refused,
        "{id}: {matched} matched"
    );
}

#[test]
fn e_01_to_e_20_outer_packets_of_linux() {
    let (mut equal, mut excepted, mut outers, mut fragmented) = (0, BTreeSet::new(), 0, 0);
    let corpus = corpus();
    for record in &corpus {
        let id = text(record, "id");
        let (inners, _) = entered(record);
        let sent = packets(&record["outer"]);
        let wholes = joined(&sent);
        let same = equals_linux(record, &inners, &wholes);
        if let Some(row) = EXCEPTIONS.iter().find(|row| row.ids.contains(&id)) {
            assert!(!same, "{id}: no difference any more: {}", row.why);
            check_exception(record, row);
            assert!(excepted.insert(id), "{id} stands twice in the corpus");
        } else {
            assert!(same, "{id}: {}; {}", text(record, "note"), traces(record));
            equal += 1;
            outers += wholes.len();
            fragmented += usize::from(wholes.len() != sent.len());
        }
    }
    let rows: Vec<_> = EXCEPTIONS.iter().flat_map(|row| row.ids).collect();
    for id in &rows {
        assert!(excepted.contains(*id), "{id} is not in the corpus");
    }
    assert_eq!(rows.len(), excepted.len(), "a record stands in two rows");
    println!(
        "encapsulation: {} records, {equal} equal ({outers} outer packets, {fragmented} records \
         with outer fragments, which were joined), {} excepted in {} rows",
        corpus.len(),
        excepted.len(),
        EXCEPTIONS.len(),
    );
    assert_eq!((corpus.len(), equal), (416, 342));
}

/// What Linux did as a router in front of its tunnel device, in one step: [`Role::Forward`].
#[test]
fn t_03_forwarded_packets_of_linux() {
    let (mut equal, mut rewritten) = (0, Vec::new());
    for record in &corpus() {
        let id = text(record, "id");
        let entered = packets(&record["entered"]);
        let wholes = joined(&packets(&record["outer"]));
        if text(record, "path") != "forward" || entered.len() != 1 || wholes.len() != 1 {
            continue;
        }
        let sent = unhex(text(record, "sent"));
        let identification = Ipv4::parse(&wholes[0]).unwrap().header().identification();
        let tunnel = tunnel(text(&record["tunnels"][0], "cmd")).with_role(Role::Forward);
        let outer = wrap(tunnel, &sent, identification).expect(id);
        if outer == wholes[0] {
            equal += 1;
        } else {
            // Whatever Linux did to the options, the outer header is the same.
            assert_eq!(outer[..20], wholes[0][..20], "{id}");
            rewritten.push(id.to_owned());
        }
    }
    println!("forwarding and encapsulation: {equal} equal, rewritten options: {rewritten:?}");
    assert_eq!(rewritten, OPTIONS_REWRITTEN);
    assert_eq!(equal, 56);
}
