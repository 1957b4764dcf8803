//! Source ports: the hash of a flow, and the ranges it is spread over.

use ipencap::encap::PerPacket;
use ipencap::packet::Facts;
use ipencap::shim::{Gue, PortRange, SourcePort};

use crate::Book;
use crate::doors::through_doors;
use crate::oracle::{P, hex, number, over, p_with};

/// U-13 and U-15.
#[test]
fn fh_flow_hashes() {
    fh(&mut Book::open());
}

#[test]
fn u_13_a_33_source_port_ranges() {
    ports(&mut Book::open());
}

pub(crate) fn fh(book: &mut Book) {
    book.each("flow_hash", "FH", |id, vector| {
        let packet = hex(&vector["packet"]);
        let (seed, expected) = (number(&vector["seed"]), number(&vector["hash"]));
        let flow = Facts::read(&packet).expect(id).flow();
        let [source_port, destination_port] =
            [flow.source_port, flow.destination_port].map(u16::to_be_bytes);
        let key = [
            &flow.source.octets()[..],
            &flow.destination.octets(),
            &source_port,
            &destination_port,
            &[0, 0, 0, flow.protocol.0],
        ];
        assert_eq!(key.concat(), hex(&vector["key"]), "{id}: what is hashed");
        assert_eq!(flow.hash(seed), expected, "{id}");

        // The port that an encapsulator makes of it, and of the same hash from the caller.
        for range in RANGES {
            let source_port = SourcePort::Entropy { seed, range };
            let tunnel = over(Gue::new().with_source_port(source_port));
            let outer = through_doors(id, &tunnel, &packet, PerPacket::new()).expect(id);
            assert_eq!(outer[20..22], range.port(expected).to_be_bytes(), "{id}");
            let said = PerPacket::new().with_flow_hash(expected);
            let same = through_doors(id, &tunnel, &packet, said);
            assert_eq!(same.as_ref(), Ok(&outer), "{id}: U-15");
        }
    });
}

const RANGES: [PortRange; 4] = [
    PortRange::Dynamic,
    PortRange::DynamicFolded,
    PortRange::Linux,
    PortRange::Glb,
];

pub(crate) fn ports(book: &mut Book) {
    let columns = ["low14", "fold14", "linux_32768_60999", "glb15"];
    book.each_row("source_port_entropy", |hash, row| {
        for (range, column) in RANGES.into_iter().zip(columns) {
            let port = range.port(number(&row["hash"]));
            assert_eq!(row[column], port, "{hash}: {range:?}");
        }
    });
}

#[test]
fn u_15_e_22_what_a_flow_is() {
    let flow_of = |packet: &[u8]| Facts::read(packet).unwrap().flow();
    let p = flow_of(P);
    // Not in the flow: TTL, identification, TOS, checksum, payload.
    let others = [
        p_with(|p| p[8] = 3),
        p_with(|p| p[4] ^= 0xff),
        p_with(|p| p[1] = 0xb8),
        p_with(|p| p[27] ^= 1),
        p_with(|p| p[35] ^= 1),
    ];
    for other in others {
        assert_eq!(flow_of(&other), p, "U-15");
    }
    // E-22: all fragments of a datagram are one flow, which has no ports.
    let first = flow_of(&p_with(|p| p[6] = 0x20));
    let later = p_with(|p| {
        (p[6], p[7]) = (0x20, 0x01);
        p[20..24].fill(0xee);
    });
    assert_eq!(flow_of(&later), first, "E-22");
    assert_eq!((first.source_port, first.destination_port), (0, 0), "E-22");
    assert_ne!(first, p, "E-22");
}
