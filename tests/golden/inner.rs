//! What is wrapped for golden bytes; `checks/machines/answers` wraps the same on other machines.

use ipencap::encap::{InnerChecksum, PerPacket};
use ipencap_kit::oracle::Plain;
use ipencap_kit::registry::Endpoints;

/// The ends of the outermost tunnel.
pub(crate) const ENDPOINTS: Endpoints = Endpoints {
    source: [198, 51, 100, 1],
    destination: [203, 0, 113, 2],
};

/// A packet to wrap, and what its caller says of it.
pub(crate) struct Inner {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) header_len: usize,
    pub(crate) said: PerPacket,
}

/// One of each kind that the encapsulators treat in a way of its own.
pub(crate) fn inner_packets() -> Vec<Inner> {
    let plain = |tos, flags_offset, ttl, protocol| Plain {
        tos,
        identification: 0x1234,
        flags_offset,
        ttl,
        protocol,
        source: [10, 1, 0, 5],
        destination: [10, 2, 0, 9],
        options: vec![],
    };
    // The checksum of this datagram is right; of the others it is 0, or partial, or none.
    let datagram = b"\x9c\x40\x00\x35\x00\x10\xac\xe6ipencap!";
    let unsummed = b"\x9c\x40\x00\x35\x00\x10\x00\x00ipencap!";
    let partial = b"\x9c\x40\x00\x35\x00\x10\x14\x32ipencap!";
    let echo = b"\x08\x00\x19\x2d\x00\x01\x00\x01ping";
    let segment =
        b"\x9c\x40\x00\x50\x00\x00\x00\x01\x00\x00\x00\x00\x50\x10\x00\x00\x00\x00\xff\x30";
    let with_options = Plain {
        options: vec![0x94, 4, 0, 0],
        ..plain(0x28, 0x4000, 64, 17)
    };
    let nested = plain(0, 0x4000, 63, 4);
    let own = Plain {
        source: ENDPOINTS.source,
        ..plain(0, 0x4000, 64, 1)
    };
    let said = PerPacket::new()
        .with_identification(0x0203)
        .with_sequence(0x0001_0200)
        .with_tcp_numbers(0x0102_0304, 0x0a0b_0c0d);
    let inner = |name, header: &Plain, payload: &[u8], said| Inner {
        name,
        bytes: header.packet(payload),
        header_len: 20 + header.options.len(),
        said,
    };
    let partially = said.with_inner_checksum(InnerChecksum::Partial);
    vec![
        inner("UDP", &plain(0, 0x4000, 64, 17), datagram, said),
        inner(
            "UDP without checksum, AF11, ECT(0), no DF",
            &plain(0x2a, 0, 2, 17),
            unsummed,
            said,
        ),
        inner("from the encapsulator", &own, echo, said),
        inner(
            "UDP, partial checksum",
            &plain(0, 0x4000, 64, 17),
            partial,
            partially,
        ),
        inner(
            "TCP, EF, CE, TTL 1",
            &plain(0xbb, 0x4000, 1, 6),
            segment,
            said,
        ),
        inner("ICMP, no DF", &plain(0, 0, 255, 1), echo, said),
        inner(
            "first fragment, ECT(1)",
            &plain(1, 0x2000, 64, 17),
            datagram,
            said,
        ),
        inner("options", &with_options, datagram, said),
        inner(
            "IP-in-IP",
            &nested,
            &plain(0, 0x4000, 64, 17).packet(datagram),
            said,
        ),
    ]
}
