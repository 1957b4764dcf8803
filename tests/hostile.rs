//! P-01 on real traffic: no packet of any capture panics, nor does one with a byte flipped or cut off.
//!
//! The bundled capture is always tried. Other people's captures stay where they are: in the folder
//! that the environment variable `IPENCAP_CAPTURES` names. Without it they are reported as skipped.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    reason = "a test may panic: that is how it fails"
)]

use core::net::Ipv4Addr;
use std::fs::File;
use std::path::{Path, PathBuf};

use ipencap::decap::{DEFAULT_NESTING, Decapsulate, Receiver, decap_nested};
use ipencap::decap::{PointToPoint, Prefix};
use ipencap::encap::{
    AnyTunnel, DfPolicy, Encapsulate, IdSource, MinEnc, OuterPolicy, PerPacket, Role, TtlPolicy,
    Tunnel, header,
};
use ipencap::error::Reason;
use ipencap::packet::Facts;
use ipencap::shim::{ChecksumPolicy, Fou, Gre, GreInUdp, Gue, IpIp, Tcp};
use ipencap::stream::{Decoder, StreamFraming};
use ipencap::wire::{
    self, GueHeader, Icmpv4, Ipv4, Ipv4Header, Ipv4Mut, LengthPrefix, MinimalHeader,
};
use ipencap::{Span, decap, encap};

#[path = "../examples/cli/src/capture/mod.rs"]
#[allow(dead_code, unreachable_pub, reason = "the program uses the rest")]
mod capture;

use capture::{Reader, link};

const BUNDLED: &str = "examples/cli/data/lan.pcap";

/// Headers end within so many bytes, however deep: flipping payload bytes changes no decision.
const FLIPPED: usize = 128;

const OURS: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const THEIRS: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);

#[test]
fn p_01_no_flipped_or_cut_packet_panics() {
    let mut captures = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(BUNDLED)];
    match std::env::var_os("IPENCAP_CAPTURES").map(PathBuf::from) {
        Some(folder) if folder.is_dir() => captures.extend(files(&folder)),
        _ => {
            println!(
                "skipped: IPENCAP_CAPTURES names no folder; only the bundled capture is tried"
            );
        }
    }
    let (mut packets, mut tries) = (0, 0);
    for capture in &captures {
        let file = File::open(capture).expect("a capture that can be read");
        let mut input = Reader::new(file).expect("a capture that opens");
        while let Ok(Some(record)) = input.next_record() {
            let packet = link::ipv4_packet(record.link_type, record.frame).unwrap_or(record.frame);
            // Beyond this a packet is payload, and longer ones would only be slower.
            let packet = &packet[..packet.len().min(2048)];
            packets += 1;
            tries += variants(packet);
        }
    }
    println!(
        "{} captures, {packets} packets, {tries} variants",
        captures.len()
    );
    assert!(tries > 10 * packets, "most packets have variants");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = folder.read_dir().expect("the folder of captures");
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.retain(|file| {
        let extension = file.extension().and_then(|extension| extension.to_str());
        matches!(extension, Some("pcap" | "pcapng" | "cap"))
    });
    files.sort();
    files
}

fn variants(packet: &[u8]) -> usize {
    everything(packet);
    let mut changed = packet.to_vec();
    let flipped = packet.len().min(FLIPPED);
    for at in 0..flipped {
        changed[at] ^= 0xff;
        everything(&changed);
        // With a checksum that is right again the packet gets further.
        if let Ok((header, options, _)) = Ipv4Header::split_mut(&mut changed) {
            let before = *header;
            header.fill_checksum(options);
            everything(&changed);
            let (header, ..) = Ipv4Header::split_mut(&mut changed).expect("split before");
            *header = before;
        }
        changed[at] ^= 0xff;
        everything(&packet[..at]);
    }
    assert_eq!(changed, packet, "every flip is taken back");
    1 + flipped * 3
}

/// Every door, with every kind of tunnel. What they answer is other tests' affair.
fn everything(bytes: &[u8]) {
    read(bytes);
    unwrap(bytes);
    wrap(bytes);
    for framing in [
        StreamFraming::Exclusive,
        StreamFraming::Rfc4571,
        StreamFraming::Inclusive,
        StreamFraming::Bare,
    ] {
        let mut held = [0; 256];
        let mut decoder = Decoder::new(framing, &mut held);
        let mut input = bytes;
        while let Ok(Some(_)) = decoder.push(&mut input) {}
        let _ = decoder.missing();
    }
}

fn read(bytes: &[u8]) {
    if let Ok(quoted) = Ipv4::parse_quoted(bytes) {
        let _ = (quoted.payload(), quoted.is_cut(), quoted.verifies());
        let _ = quoted.options().count();
    }
    if let Ok(packet) = Ipv4::parse_hardware_verified(bytes) {
        let header = packet.header();
        let _ = (header.exceeds_reassembly(), header.is_fragment());
        let _ = packet.options().has_source_route();
        let payload = packet.payload();
        if let Ok(udp) = wire::Udp::parse(payload) {
            let _ = udp.checksum_status(header.source(), header.destination());
        }
        if let Ok(tcp) = wire::Tcp::parse(payload) {
            let _ = (
                tcp.verifies(header.source(), header.destination()),
                tcp.options().count(),
            );
        }
        let _ = Icmpv4::parse(payload).map(|icmp| Ipv4::parse_quoted(icmp.payload()).is_ok());
        let _ = wire::Gre::parse(payload).map(wire::Gre::verifies);
        let _ = GueHeader::split(payload);
        let _ = MinimalHeader::parse(payload);
    }
    let _ = Ipv4Mut::parse(&mut bytes.to_vec());
    let _ = Facts::read(bytes).map(|meta| (meta.flow().hash(1), meta.known_sum()));
}

fn unwrap(bytes: &[u8]) {
    // From whom and to whom the packet says, so that it is not refused for that.
    let (source, destination) = Ipv4Header::split(bytes).map_or((OURS, THEIRS), |(header, ..)| {
        (header.source(), header.destination())
    });
    let access = PointToPoint::new(destination, source, &[Prefix::ANY]);
    let ipip = Receiver::new(IpIp, access).allowing_multicast();
    let fou = Receiver::new(Fou::new(5555), access);
    let gue = Receiver::new(Gue::new(), access);
    let gre_in_udp = Receiver::new(GreInUdp::new(Gre::new()), access);
    let gre = Receiver::new(Gre::new(), access);
    let tcp = Tcp::new(0, 443).with_framing(LengthPrefix::Exclusive);
    let tcp = Receiver::new(tcp, access);
    let minimal = Receiver::minimal(access);
    let twice = (ipip, ipip);
    let tunnels: [&dyn Decapsulate; 8] =
        [&ipip, &fou, &gue, &gre_in_udp, &gre, &tcp, &minimal, &twice];
    for tunnel in tunnels {
        let mut packet = bytes.to_vec();
        if let Err(refused) = decap(tunnel, &mut packet) {
            assert!(refused.reason.index() < Reason::COUNT);
            assert_eq!(packet, bytes, "P-03: {refused}");
        }
    }
    let _ = decap_nested(&tunnels, &mut bytes.to_vec(), DEFAULT_NESTING);
}

fn wrap(bytes: &[u8]) {
    let ipip = Tunnel::new(OURS, THEIRS, IpIp)
        .expect("unicast")
        .with_policy(OuterPolicy {
            role: Role::Forward,
            ttl: TtlPolicy::Inherit,
            df: DfPolicy::Copy(IdSource::PerPacket),
            ..OuterPolicy::DEFAULT
        });
    let fou = Tunnel::new(OURS, THEIRS, Fou::new(5555)).expect("unicast");
    let gue = Gue::new().with_checksum(ChecksumPolicy::Full);
    let gue = Tunnel::new(OURS, THEIRS, gue).expect("unicast");
    let gre = Gre::new().with_checksum();
    let gre_in_udp = Tunnel::new(OURS, THEIRS, GreInUdp::new(gre)).expect("unicast");
    let gre = Tunnel::new(OURS, THEIRS, gre).expect("unicast");
    let tcp = Tcp::new(40001, 443).with_framing(LengthPrefix::Inclusive);
    let tcp = Tunnel::new(OURS, THEIRS, tcp).expect("unicast");
    let minimal = MinEnc::new(OURS, THEIRS).expect("unicast");
    let nested = (ipip, fou);
    let mixed: [AnyTunnel; 3] = [gre.into(), ipip.into(), gue.into()];
    let tunnels: [&dyn Encapsulate; 9] = [
        &ipip,
        &fou,
        &gue,
        &gre_in_udp,
        &gre,
        &tcp,
        &minimal,
        &nested,
        &mixed,
    ];
    let facts = Facts::summed(bytes);
    for tunnel in tunnels {
        let overhead = tunnel.overhead();
        let mut buffer = vec![0xa5; overhead];
        buffer.extend_from_slice(bytes);
        let before = buffer.clone();
        let inner = Span::new(overhead, bytes.len());
        if encap(
            tunnel,
            &mut buffer,
            inner,
            &PerPacket::new().with_identification(1),
        )
        .is_err()
        {
            assert_eq!(buffer, before, "P-03");
        }
        if let Ok(facts) = &facts {
            let _ = header::<100, _>(tunnel, facts, &PerPacket::new());
        }
    }
}
