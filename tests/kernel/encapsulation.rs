//! Linux as an encapsulator: each outer packet byte for byte.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use flate2::read::GzDecoder;
use ipencap::checksum::Sum;
use ipencap::encap::Role;
use ipencap::error::EncapError;
use ipencap::packet::{Facts, Quote};
use ipencap::shim::ChecksumPolicy;
use ipencap::wire::{FragmentOffset, Ipv4, Ipv4Flags, Ipv4Header};
use serde_json::Value;

use crate::device::{Device, Tunnel};
use crate::exceptions::Ours::{Alone, Equal, KeepsDf, NotOffered, Refused, Trimmed};
use crate::exceptions::{self, Exception};
use crate::{drops, icmp, packets, records, text, unhex};

/// The MTU of the path behind every tunnel of the corpus.
const PATH_MTU: u16 = 1500;

/// The records of one kind of tunnel.
pub(crate) struct Corpus {
    name: &'static str,
    lines: &'static str,
    large: &'static [u8],
    exceptions: &'static [Exception],
    /// How many records there are, and how many of them need no exception.
    counts: (usize, usize),
    /// How many of them were forwarded, whole, into the tunnel.
    forwarded: usize,
}

const IPIP: Corpus = Corpus {
    name: "ipip",
    lines: include_str!("../data/kernel/encap-ipip.jsonl"),
    large: include_bytes!("../data/kernel/encap-ipip-large.jsonl.gz"),
    exceptions: exceptions::IPIP,
    counts: (416, 342),
    forwarded: 56,
};

const FOU: Corpus = Corpus {
    name: "fou",
    lines: include_str!("../data/kernel/encap-fou.jsonl"),
    large: include_bytes!("../data/kernel/encap-fou-large.jsonl.gz"),
    exceptions: exceptions::FOU,
    counts: (184, 172),
    forwarded: 17,
};

const GUE: Corpus = Corpus {
    name: "gue",
    lines: include_str!("../data/kernel/encap-gue.jsonl"),
    large: include_bytes!("../data/kernel/encap-gue-large.jsonl.gz"),
    exceptions: exceptions::GUE,
    counts: (237, 216),
    forwarded: 19,
};

const GRE: Corpus = Corpus {
    name: "gre",
    lines: include_str!("../data/kernel/encap-gre.jsonl"),
    large: include_bytes!("../data/kernel/encap-gre-large.jsonl.gz"),
    exceptions: exceptions::GRE,
    counts: (191, 173),
    forwarded: 8,
};

const NEST: Corpus = Corpus {
    name: "nest",
    lines: include_str!("../data/kernel/encap-nest.jsonl"),
    large: include_bytes!("../data/kernel/encap-nest-large.jsonl.gz"),
    exceptions: exceptions::NEST,
    counts: (178, 161),
    forwarded: 12,
};

const ALL: [&Corpus; 5] = [&IPIP, &FOU, &GUE, &GRE, &NEST];

/// Forwarded records whose options Linux has written to, so that more than the TTL has changed.
const OPTIONS_REWRITTEN: &[&str] = &["fwd-opts-004"];

pub(crate) const CORPORA: [Corpus; 5] = [IPIP, FOU, GUE, GRE, NEST];

impl Corpus {
    pub(crate) fn records(&self) -> Vec<Value> {
        let mut large = String::new();
        GzDecoder::new(self.large)
            .read_to_string(&mut large)
            .unwrap();
        let mut all = records(self.lines);
        all.extend(records(&large));
        all
    }
}

/// The devices of a record, the outermost first.
fn devices(record: &Value) -> Vec<Device> {
    let tunnels = record["tunnels"].as_array().unwrap();
    let commands = tunnels.iter().map(|tunnel| text(tunnel, "cmd"));
    commands.map(Device::parse).collect()
}

/// All records of packets that Linux was given to encapsulate.
pub(crate) fn all_records() -> Vec<Value> {
    ALL.iter().flat_map(|corpus| corpus.records()).collect()
}

/// The bytes that the devices of a record put in front of a packet.
pub(crate) fn overhead(record: &Value) -> usize {
    tunnel(&devices(record), Role::Originate).overhead()
}

/// Whether `quote` is of a packet of the record's devices, which have sent `outer`.
pub(crate) fn quotes(record: &Value, outer: &[u8], quote: Quote<'_>) -> bool {
    tunnel(&devices(record), Role::Originate).wrote(outer, quote)
}

const fn tunnel(devices: &[Device], role: Role) -> Tunnel<'_> {
    Tunnel {
        devices,
        role,
        link_mtu: None,
        checksum: ChecksumPolicy::Full,
    }
}

/// The number of the first packet that entered the record's device, counted from 1: ids count the
/// records of a device.
///
/// The forwarded ones follow the 35 that were not.
fn first_ordinal(record: &Value) -> u32 {
    let id = text(record, "id");
    let (group, number) = id.rsplit_once('-').unwrap();
    let before = if group.ends_with("-fwd") { 35 } else { 0 };
    before + number.parse::<u32>().unwrap()
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
    let devices = devices(record);
    if inners.len() != wholes.len() || !devices.iter().all(Device::is_offered) {
        return false;
    }
    let ordinals = first_ordinal(record)..;
    let mut packets = inners.iter().zip(wholes).zip(ordinals);
    packets.all(|((inner, whole), ordinal)| equals_whole(record, &devices, inner, whole, ordinal))
}

fn equals_whole(
    record: &Value,
    devices: &[Device],
    inner: &[u8],
    whole: &[u8],
    ordinal: u32,
) -> bool {
    let id = text(record, "id");
    let tunnel = tunnel(devices, Role::Originate);
    let drawn = tunnel.drawn(whole);
    let ours = tunnel.wrap(inner, &drawn, ordinal, None);
    let on_path = tunnel.wrap(inner, &drawn, ordinal, Some(PATH_MTU));
    let told = if whole.len() > usize::from(PATH_MTU) {
        let mtu = PATH_MTU - u16::try_from(tunnel.overhead()).unwrap();
        Err(EncapError::FragmentationNeeded { mtu })
    } else {
        ours.clone()
    };
    assert_eq!(on_path, told, "{id}: I-14");
    if ours.as_deref() != Ok(whole) {
        return false;
    }
    assert_eq!(tunnel.open(whole), inner, "{id}: P-02");

    // From the headers alone the same, wherever the inner packet has the sum that these tell.
    let offload = Tunnel {
        checksum: ChecksumPolicy::Offload,
        ..tunnel
    };
    let known = Facts::read(inner).unwrap().known_sum();
    let right = known.is_none_or(|known| Sum::new().add_u16(!known).add_bytes(inner).is_valid());
    let same = offload.wrap(inner, &drawn, ordinal, None).as_deref() == Ok(whole);
    let unchecked = Tunnel {
        checksum: ChecksumPolicy::Zero,
        ..offload
    };
    let has_checksum = unchecked.wrap(inner, &drawn, ordinal, None).as_deref() != Ok(whole);
    assert_eq!(same, right || !has_checksum, "{id}: P-06, C-21");
    true
}

fn check_exception(record: &Value, exception: &Exception) {
    let id = text(record, "id");
    let (inners, role) = entered(record);
    let wholes = joined(&packets(&record["outer"]));
    let devices = devices(record);
    let tunnel = Tunnel {
        link_mtu: Some(PATH_MTU),
        ..tunnel(&devices, role)
    };
    assert_eq!(traces(record), exception.linux, "{id}: {}", exception.why);
    assert_eq!(inners.len(), exception.ours.len(), "{id}");

    let mut matched = 0;
    for (inner, ours) in inners.iter().zip(exception.ours) {
        let ordinal = first_ordinal(record);
        let like = |place: usize| {
            let whole = wholes[place].clone();
            let drawn = tunnel.drawn(&whole);
            (whole, tunnel.wrap(inner, &drawn, ordinal, None))
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
                assert_eq!(tunnel.overhead(), 20, "{id}: no other length to mend");
                whole.truncate(usize::from(inner_len) + 20);
                let (header, _, _) = Ipv4Header::split_mut(&mut whole).unwrap();
                header.set_total_len(inner_len + 20);
                assert_eq!(answer, Ok(whole), "{id}: {}", exception.why);
                matched += 1;
            }
            KeepsDf(place) => {
                let (mut whole, answer) = like(place);
                let inner_flags = Ipv4::parse(inner).unwrap().header().flags();
                assert!(inner_flags.contains(Ipv4Flags::DF), "{id}: no DF to keep");
                let (header, _, _) = Ipv4Header::split_mut(&mut whole).unwrap();
                assert_eq!(header.flags(), Ipv4Flags::empty(), "{id}");
                header.set_flags(Ipv4Flags::DF);
                assert_eq!(answer, Ok(whole), "{id}: {}", exception.why);
                matched += 1;
            }
            Alone => {
                let outer = tunnel.wrap(inner, &[], ordinal, None).expect(id);
                let carried = &outer[tunnel.overhead()..];
                let mut inner = inner.clone();
                if role == Role::Forward {
                    assert!(Ipv4Header::split_mut(&mut inner).unwrap().0.decrement_ttl());
                }
                assert_eq!(carried, inner, "{id}: {}", exception.why);
            }
            Refused(error) => {
                let answer = tunnel.wrap(inner, &[], ordinal, None);
                assert_eq!(answer, Err(error), "{id}: {}", exception.why);
            }
            NotOffered => {
                let [device] = devices[..] else {
                    panic!("{id}: {devices:?}");
                };
                assert!(!device.is_offered(), "{id}: {}", exception.why);
                let whole = &wholes[matched];
                let refused = device.inspect(whole).unwrap_err();
                assert_eq!(refused.name(), "UnsupportedInnerProtocol", "{id}: G-12");
                matched += 1;
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

fn check(corpus: &Corpus) {
    let (mut equal, mut excepted, mut outers, mut fragmented) = (0, BTreeSet::new(), 0, 0);
    let records = corpus.records();
    for record in &records {
        let id = text(record, "id");
        let (inners, _) = entered(record);
        let sent = packets(&record["outer"]);
        let wholes = joined(&sent);
        let same = equals_linux(record, &inners, &wholes);
        let mut rows = corpus.exceptions.iter();
        if let Some(row) = rows.find(|row| row.ids.contains(&id)) {
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
    let rows: Vec<_> = corpus.exceptions.iter().flat_map(|row| row.ids).collect();
    for id in &rows {
        assert!(excepted.contains(*id), "{id} is not in the corpus");
    }
    assert_eq!(rows.len(), excepted.len(), "a record stands in two rows");
    println!(
        "{}: {} records, {equal} equal ({outers} outer packets, {fragmented} records with outer \
         fragments, which were joined), {} excepted in {} rows",
        corpus.name,
        records.len(),
        excepted.len(),
        corpus.exceptions.len(),
    );
    assert_eq!((records.len(), equal), corpus.counts, "{}", corpus.name);
}

/// And N-06, which is Linux's way, and I-14, on a path too small for the packet.
#[test]
fn e_01_to_e_20_outer_packets_of_linux() {
    check(&IPIP);
}

#[test]
fn u_01_to_u_04_outer_packets_of_linux_over_fou() {
    check(&FOU);
}

#[test]
fn g_14_outer_packets_of_linux_over_gue() {
    check(&GUE);
}

#[test]
fn r_03_to_r_11_outer_packets_of_linux_over_gre() {
    check(&GRE);
}

#[test]
fn l_08_outer_packets_of_linux_over_nested_tunnels() {
    check(&NEST);
}

/// What Linux did as a router in front of its tunnel device, in one step: [`Role::Forward`].
#[test]
fn t_03_forwarded_packets_of_linux() {
    let mut rewritten = Vec::new();
    for corpus in ALL {
        let mut equal = 0;
        for record in &corpus.records() {
            let id = text(record, "id");
            let entered = packets(&record["entered"]);
            let wholes = joined(&packets(&record["outer"]));
            let excepted = corpus.exceptions.iter().any(|row| row.ids.contains(&id));
            let whole_way = entered.len() == 1 && wholes.len() == 1;
            if text(record, "path") != "forward" || !whole_way || excepted {
                continue;
            }
            let sent = unhex(text(record, "sent"));
            let devices = devices(record);
            let tunnel = tunnel(&devices, Role::Forward);
            let whole = &wholes[0];
            let drawn = tunnel.drawn(whole);
            let outer = tunnel.wrap(&sent, &drawn, first_ordinal(record), None);
            let outer = outer.expect(id);
            if outer == *whole {
                equal += 1;
            } else {
                // Whatever Linux did to the options, the outer header is the same.
                assert_eq!(outer[..20], whole[..20], "{id}");
                rewritten.push(id.to_owned());
            }
        }
        println!("{}: {equal} forwarded and encapsulated", corpus.name);
        assert_eq!(equal, corpus.forwarded, "{}", corpus.name);
    }
    assert_eq!(rewritten, OPTIONS_REWRITTEN);
}

/// What Linux makes of its link's MTU, unless it was told another one.
#[test]
fn o_01_device_mtus_of_linux() {
    let mut seen = BTreeSet::new();
    for corpus in ALL {
        for record in &corpus.records() {
            let id = text(record, "id");
            if id.contains("mtu") {
                continue;
            }
            let mut mtu = usize::from(PATH_MTU);
            let tunnels = record["tunnels"].as_array().unwrap();
            for (device, tunnel) in devices(record).iter().zip(tunnels) {
                mtu -= device.taken_from_mtu();
                assert_eq!(tunnel["mtu"], mtu, "{id}: O-01");
                seen.insert((corpus.name, mtu));
            }
        }
    }
    println!("device MTUs: {seen:?}");
}

/// Linux keeps a flow on one source port as this crate's [`Flow`](ipencap::packet::Flow) does: the
/// same flow, the same port, on every device and whatever the identification and TOS; fragments
/// without ports.
#[test]
fn u_15_e_22_flows_of_linux() {
    let mut ports = BTreeMap::new();
    let mut fragments = 0;
    for corpus in [&FOU, &GUE] {
        for record in &corpus.records() {
            let [device] = devices(record)[..] else {
                panic!("one device");
            };
            if !device.spreads_flows() {
                continue;
            }
            let (inners, _) = entered(record);
            let wholes = joined(&packets(&record["outer"]));
            for (inner, whole) in inners.iter().zip(&wholes) {
                let facts = Facts::read(inner).unwrap();
                fragments += usize::from(facts.is_fragment());
                let port = [whole[20], whole[21]];
                let known = *ports.entry(facts.flow().hash(0)).or_insert(port);
                assert_eq!(known, port, "{}: {:?}", text(record, "id"), facts.flow());
            }
        }
    }
    println!("{} flows, {fragments} fragments", ports.len());
    assert!(fragments > 0, "E-22 was not seen");
}
