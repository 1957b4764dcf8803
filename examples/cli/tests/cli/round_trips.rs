//! Ordinary traffic into every kind of tunnel and every mix of them, and out again.

use std::collections::BTreeMap;

use serde_json::json;

use crate::files::packets;
use crate::{Folder, accounted_for, bundled, changed, summary, transform};

/// Kinds without addresses, each with the keys that change what is written.
const VARIANTS: [&str; 44] = [
    "ipip",
    "ipip,ttl=5",
    "ipip,ttl=inherit",
    "ipip,dscp=46",
    "ipip,ecn=compat",
    "ipip,ecn=rfc3168",
    "ipip,df=copy",
    "ipip,df=copy,id=513",
    "ipip,id=513",
    "ipip,forward=yes",
    "ipip,forward=yes,ttl=inherit",
    "fou,dport=5555",
    "fou,dport=5555,csum=full",
    "fou,dport=5555,csum=zero",
    "fou,dport=5555,forward=yes,csum=lco",
    "fou,dport=5555,forward=yes,csum=full",
    "fou,dport=1,sport=65535,df=copy,ecn=compat,dscp=63",
    "gue",
    "gue,variant=1",
    "gue,csum=full",
    "gue,csum=zero,variant=1",
    "gue,dport=5555,sport=0,ttl=255,ecn=rfc3168",
    "gue,forward=yes,csum=full,df=copy",
    "gre",
    "gre,key=0",
    "gre,key=4294967295",
    "gre,csum=yes",
    "gre,seq=yes",
    "gre,key=7,csum=yes,seq=yes",
    "gre,key=7,csum=yes,seq=yes,df=copy,forward=yes",
    "gre,csum=yes,ttl=inherit,ecn=compat,dscp=1",
    "tcp,sport=40001,dport=443",
    "tcp,sport=40001,dport=443,timestamps=yes",
    "tcp,sport=40001,dport=443,ts=4294967295:1",
    "tcp,sport=40001,dport=443,framing=exclusive",
    "tcp,sport=40001,dport=443,framing=inclusive",
    "tcp,sport=40001,dport=443,framing=inclusive,timestamps=yes,seq=4294967295",
    "tcp,sport=0,dport=1,window=0,ack=4294967295",
    "tcp,sport=40001,dport=443,dscp=copy,ecn=normal,df=copy",
    "tcp,sport=40001,dport=443,forward=yes,framing=exclusive",
    "tcp,sport=40001,dport=443,ttl=inherit,ecn=rfc3168",
    "minenc",
    "minenc,forward=yes",
    "minenc,keep_source=yes,forward=no",
];

/// One of each kind.
const KINDS: [&str; 6] = [
    "ipip",
    "fou,dport=5555",
    "gue",
    "gre,key=7,csum=yes,seq=yes",
    "tcp,sport=40001,dport=443,framing=exclusive",
    "minenc",
];

/// With addresses: each layer has its own.
fn with_addresses(variants: &[&str]) -> Vec<String> {
    (1..)
        .zip(variants)
        .map(|(layer, variant)| {
            format!(
                "{variant},src=198.51.100.{layer},dst=203.0.113.{layer},\
                 multicast=yes,inner=0.0.0.0/0"
            )
        })
        .collect()
}

/// The TTL with which a packet comes out of these layers, or `None` if it expires in front of one.
///
/// A forwarding layer takes one from the header that is outermost then: the packet's own in front of
/// the innermost layer, and in front of the next ones too as long as minimal encapsulation puts no
/// second header around it.
fn travelling_ttl(ttl: u8, variants: &[&str]) -> Option<u8> {
    let (mut innermost, mut outermost) = (ttl, ttl);
    let mut is_one_header = true;
    for variant in variants {
        if variant.contains("forward=yes") {
            outermost = outermost.checked_sub(1).filter(|ttl| *ttl > 0)?;
        }
        if is_one_header {
            innermost = outermost;
        }
        if !variant.starts_with("minenc") {
            is_one_header = false;
            outermost = match variant.split_once("ttl=").map(|(_, ttl)| ttl) {
                Some(ttl) if ttl.starts_with("inherit") => outermost,
                Some(ttl) => ttl.split(',').next().unwrap().parse().unwrap(),
                None => 64,
            };
        }
    }
    Some(innermost)
}

/// Through these layers and back: all that they take comes out as it was, but for the TTL where they
/// forward.
fn travels(folder: &Folder, variants: &[&str]) {
    let (lan, went_in) = bundled();
    let specs = with_addresses(variants);
    let specs: Vec<&str> = specs.iter().map(String::as_str).collect();
    let (into, out) = (folder.path("into.pcap"), folder.path("out.pcap"));

    let mut refused: BTreeMap<&str, u64> = BTreeMap::new();
    let mut expected = Vec::new();
    for (seconds, microseconds, packet) in went_in {
        match travelling_ttl(packet[8], variants) {
            None => *refused.entry("TtlExpired").or_default() += 1,
            Some(_) if variants[0].starts_with("minenc") && is_fragment(&packet) => {
                *refused.entry("Fragment").or_default() += 1;
            }
            Some(ttl) => {
                let packet = changed(&packet, |header| header.set_ttl(ttl));
                expected.push((seconds, microseconds, packet));
            }
        }
    }

    let wrapped = summary(&transform("encap", &specs, &lan, &into));
    assert_eq!(wrapped["dropped"], json!(refused), "{variants:?}");
    assert_eq!(wrapped["written"], expected.len(), "{variants:?}");
    assert_eq!(wrapped["packets"], accounted_for(&wrapped));

    let run = transform("decap", &specs, &into, &out);
    let opened = summary(&run);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    assert_eq!(opened["dropped"], json!({}), "{variants:?}");
    let came_out = packets(&std::fs::read(&out).unwrap());
    assert!(came_out == expected, "{variants:?}");
}

/// More fragments, or an offset.
fn is_fragment(packet: &[u8]) -> bool {
    (packet[6] & 0x3f, packet[7]) != (0, 0)
}

#[test]
fn ordinary_traffic_passes_every_kind_with_every_key() {
    let folder = Folder::new("round-keys");
    for variant in VARIANTS {
        travels(&folder, &[variant]);
    }
}

#[test]
fn ordinary_traffic_passes_every_pair_of_kinds() {
    let folder = Folder::new("round-pairs");
    for inner in KINDS {
        for outer in KINDS {
            travels(&folder, &[inner, outer]);
        }
    }
}

/// Three and four layers: every kind at every depth, with keys of all sorts.
#[test]
fn ordinary_traffic_passes_mixes_of_four() {
    let folder = Folder::new("round-mixes");
    let count = VARIANTS.len();
    for start in 0..count {
        // Steps without a common divisor with the count lead everywhere.
        let mix = [start, start * 2 + 7, start * 4 + 19, start * 8 + 31];
        let mix = mix.map(|index| VARIANTS[index % count]);
        travels(&folder, &mix[..3 + start % 2]);
    }
}

/// For a host that tunnels its own packets: here the middle layer's outer header is one.
#[test]
fn minimal_encapsulation_without_source_carries_the_encapsulators_own_packets() {
    let folder = Folder::new("round-own");
    let (lan, went_in) = bundled();
    let specs = [
        "ipip,src=198.51.100.1,dst=203.0.113.1,multicast=yes",
        "minenc,src=198.51.100.1,dst=203.0.113.2,keep_source=no",
    ];
    let (into, out) = (folder.path("into.pcap"), folder.path("out.pcap"));
    let wrapped = summary(&transform("encap", &specs, &lan, &into));
    assert_eq!(wrapped["written"], went_in.len());
    transform("decap", &specs, &into, &out);
    assert_eq!(packets(&std::fs::read(&out).unwrap()), went_in);

    // Other people's packets need their source.
    let wrapped = summary(&transform("encap", &specs[1..], &lan, &into));
    let fragments = went_in
        .iter()
        .filter(|(_, _, packet)| is_fragment(packet))
        .count();
    assert_eq!(
        wrapped["dropped"],
        json!({ "Fragment": fragments, "SourceNotKept": went_in.len() - fragments })
    );
}

/// `mtu`: each layer refuses by its own outer length, and says so under one name.
#[test]
fn what_does_not_fit_is_refused_by_every_kind() {
    let folder = Folder::new("round-mtu");
    let (lan, went_in) = bundled();
    let into = folder.path("into.pcap");
    for (kind, overhead) in [
        ("ipip", 20),
        ("fou,dport=5555", 28),
        ("gue", 32),
        ("gue,variant=1", 28),
        ("gre", 24),
        ("gre,key=7,csum=yes,seq=yes", 36),
        ("tcp,sport=1,dport=2", 40),
        ("tcp,sport=1,dport=2,framing=inclusive,timestamps=yes", 54),
    ] {
        let mtu = 576;
        let spec = format!("{kind},src=198.51.100.1,dst=203.0.113.2,mtu={mtu}");
        let wrapped = summary(&transform("encap", &[&spec], &lan, &into));
        let too_long = went_in
            .iter()
            .filter(|(_, _, packet)| packet.len() + overhead > mtu)
            .count();
        assert!(too_long > 0);
        assert_eq!(
            wrapped["dropped"],
            json!({ "FragmentationNeeded": too_long }),
            "{kind}"
        );
        let longest = packets(&std::fs::read(&into).unwrap())
            .into_iter()
            .map(|(_, _, packet)| packet.len())
            .max();
        assert!(longest.is_some_and(|longest| longest <= mtu), "{kind}");
    }
}
