//! What counts the packets of a tunnel: identifications, GRE's and TCP's sequence numbers.

use crate::{P, hex, packet, wrap};

const ENDS: &str = "src=198.51.100.1,dst=203.0.113.2";

fn inners(dfs: &[bool]) -> Vec<Vec<u8>> {
    dfs.iter().map(|&df| packet(64, df, b"")).collect()
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn identification(bytes: &[u8]) -> u16 {
    u16::from_be_bytes([bytes[4], bytes[5]])
}

/// In every kind alike: 0 with DF, else from 1; or what was said.
#[test]
fn identifications_count_what_may_be_fragmented() {
    let inners = inners(&[true, false, false, true, false]);
    let inners: Vec<&[u8]> = inners.iter().map(Vec::as_slice).collect();
    for kind in [
        "ipip",
        "fou,dport=5555",
        "gue",
        "gre",
        "gre,key=1,csum=yes,seq=yes",
        "tcp,sport=1,dport=2",
    ] {
        for (keys, expected) in [
            ("", [0, 0, 0, 0, 0]),
            (",id=9", [9, 9, 9, 9, 9]),
            (",df=copy", [0, 1, 2, 0, 3]),
            (",df=copy,id=9", [9, 9, 9, 9, 9]),
        ] {
            let outers = wrap(&[&format!("{kind}{keys},{ENDS}")], &inners);
            let ids: Vec<u16> = outers.iter().map(|outer| identification(outer)).collect();
            assert_eq!(ids, expected, "{kind}{keys}");
        }
    }
}

/// the first one is 0, and every packet has one, whatever its DF flag.
#[test]
fn gre_numbers_every_packet_from_zero() {
    let inners = inners(&[true, false, false, true, false]);
    let inners: Vec<&[u8]> = inners.iter().map(Vec::as_slice).collect();
    for (keys, at) in [("", 24), (",key=5", 28), (",key=5,csum=yes", 32)] {
        for df in ["set", "copy"] {
            let spec = format!("gre,seq=yes,df={df}{keys},{ENDS}");
            let outers = wrap(&[&spec], &inners);
            let numbers: Vec<u32> = outers.iter().map(|outer| word(outer, at)).collect();
            assert_eq!(numbers, [0, 1, 2, 3, 4], "{spec}");
        }
    }
}

/// The sequence number advances by what the segments carry, the length prefix included.
#[test]
fn tcp_numbers_advance_by_the_payload() {
    let inners: Vec<Vec<u8>> = [1, 100, 7]
        .map(|len| packet(64, true, &vec![0; len]))
        .into();
    let inners: Vec<&[u8]> = inners.iter().map(Vec::as_slice).collect();
    for (keys, expected) in [
        ("", [0, 21, 141]),
        (",seq=1000,ack=5", [1000, 1021, 1141]),
        (",framing=exclusive", [0, 23, 145]),
        (",framing=inclusive,timestamps=yes", [0, 23, 145]),
        (",seq=4294967280", [4_294_967_280, 5, 125]),
    ] {
        let spec = format!("tcp,sport=40001,dport=443{keys},{ENDS}");
        let outers = wrap(&[&spec], &inners);
        let numbers: Vec<u32> = outers.iter().map(|outer| word(outer, 24)).collect();
        assert_eq!(numbers, expected, "{keys}");
        let acknowledged = if keys.contains("ack") { 5 } else { 0 };
        assert!(outers.iter().all(|outer| word(outer, 28) == acknowledged));
    }
}

/// Each layer counts for itself, and only what it has wrapped.
#[test]
fn layers_count_for_themselves() {
    let gre = format!("gre,seq=yes,{ENDS}");
    let tcp = "tcp,sport=1,dport=2,src=192.0.2.1,dst=192.0.2.2";
    let p = hex(P);
    let outers = wrap(&[&gre, tcp], &[&p, &p, &p]);
    let numbers: Vec<(u32, u32)> = outers
        .iter()
        .map(|outer| (word(outer, 24), word(outer, 40 + 24)))
        .collect();
    // The TCP segments carry 20 bytes of IPv4, 8 of GRE and P.
    assert_eq!(numbers, [(0, 0), (64, 1), (128, 2)]);
}
