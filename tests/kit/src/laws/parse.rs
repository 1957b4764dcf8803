use core::net::Ipv4Addr;

use ipencap::Span;
use ipencap::decap::Prefix;
use ipencap::decap::inspect_without_filter;
use ipencap::encap::PerPacket;
use ipencap::error::ParseError;
use ipencap::packet::{Facts, Flow, Packet, Rules};
use ipencap::shim::IpIp;
use ipencap::wire::{
    Dscp, FragmentOffset, HeaderOptions, Icmpv4, Icmpv4Header, Ipv4, Ipv4Header, Ipv4Mut, Tcp,
    TcpHeader, Udp, UdpHeader,
};

use super::setters::assert_getters;
use crate::generate::{Anything, MutatedPacket, SlackCase};
use crate::oracle;
use crate::registry::{ENCAPSULATORS, Endpoints};

/// V-01 to V-16: every parser of IPv4 says what the rules say, and shows what the bytes are.
pub fn law_parse_matches_oracle(case: &MutatedPacket) {
    let bytes = &case.bytes.0;
    let expected = oracle::validate(bytes, true);
    let parsed = Ipv4::parse(bytes);
    assert_eq!(
        parsed.map(|_| ()),
        expected.as_ref().map(|_| ()).map_err(|&error| error)
    );
    if let (Ok(packet), Ok(fields)) = (parsed, &expected) {
        assert_shows(packet, fields, bytes);
    }

    let unverified = oracle::validate(bytes, false);
    let parsed = Ipv4::parse_hardware_verified(bytes);
    assert_eq!(
        parsed.map(|_| ()),
        unverified.as_ref().map(|_| ()).map_err(|&error| error)
    );
    if let (Ok(packet), Ok(fields)) = (parsed, &unverified) {
        assert_shows(packet, fields, bytes);
    }

    let mut copy = bytes.clone();
    match (Ipv4Mut::parse(&mut copy), &expected) {
        (Ok(packet), Ok(fields)) => {
            assert_eq!(packet.header.as_bytes(), &bytes[..20]);
            assert_eq!(packet.options, fields.options);
            assert_eq!(packet.payload, fields.payload);
        }
        (parsed, expected) => assert_eq!(parsed.err(), expected.as_ref().err().copied()),
    }

    let facts = Facts::read(bytes);
    assert_eq!(facts.err(), expected.as_ref().err().copied());
    if let (Ok(facts), Ok(fields)) = (facts, &expected) {
        assert_facts(&facts, fields);
        let summed = Facts::summed(bytes).unwrap();
        assert_facts(&summed, fields);
        let sum = !oracle::checksum(&bytes[..fields.total_len]) % 0xffff;
        assert_eq!(summed.byte_sum().map(|told| told % 0xffff), Some(sum));
        assert_eq!(
            (summed.flow(), summed.known_sum()),
            (facts.flow(), facts.known_sum())
        );
        assert_facts(
            &Facts::trusted(Ipv4::parse(bytes).unwrap().header()),
            fields,
        );
        let proven = Packet::new(&mut copy, Span::new(0, bytes.len()))
            .prove()
            .unwrap();
        assert_eq!(*proven.facts(), facts);
        assert_eq!(proven.as_slice(), &bytes[..fields.total_len]);

        // RFC 792: wherever a router cuts the packet, its flow is told right or not at all.
        for len in [20, 24, 28, 40, 48, 60, 68, 128, fields.total_len] {
            let Ok(quoted) = Ipv4::parse_quoted(&bytes[..len.min(fields.total_len)]) else {
                continue;
            };
            let flow = Flow::of_quoted(quoted);
            assert!(
                flow.is_none_or(|flow| flow == facts.flow()),
                "{len}: {flow:?}"
            );
            let has_8 = quoted.payload().len() >= 8 || !quoted.is_cut();
            let is_plain = fields.protocol != 4;
            assert!(flow.is_some() || !(has_8 && is_plain), "{len}");
            assert!(flow.is_some() || quoted.is_cut(), "{len}");
        }
    }

    assert_quoted(bytes);
}

/// The facts that a header alone tells.
fn assert_facts(facts: &Facts, fields: &oracle::Fields<'_>) {
    assert_eq!(facts.version(), 4);
    assert_eq!(usize::try_from(facts.len()), Ok(fields.total_len));
    assert_eq!(facts.source().octets(), fields.source);
    assert_eq!((facts.tos(), facts.ttl()), (fields.tos, fields.ttl));
    assert_eq!(facts.has_df(), fields.flags_offset & 0x4000 != 0);
    assert_eq!(facts.is_fragment(), fields.is_fragment());
    assert_eq!((facts.layers(), facts.overhead()), (0, 0));
}

fn assert_shows(packet: Ipv4<'_>, fields: &oracle::Fields<'_>, bytes: &[u8]) {
    assert_getters(packet.header(), bytes);
    assert_eq!(packet.option_bytes(), fields.options);
    assert_eq!(packet.payload(), fields.payload);
    assert_eq!(packet.slack(), fields.slack);
    assert_eq!(
        packet.options().has_source_route(),
        oracle::has_source_route(fields.options)
    );
}

/// V-01 to V-04 only, and a payload that may be cut.
fn assert_quoted(bytes: &[u8]) {
    let quoted = Ipv4::parse_quoted(bytes);
    match oracle::validate(bytes, false) {
        Err(error @ (ParseError::BadVersion { .. } | ParseError::BadIhl { .. })) => {
            assert_eq!(quoted.err(), Some(error));
        }
        Err(error) if bytes.len() < 20 || bytes.len() < usize::from(bytes[0] & 15) * 4 => {
            assert_eq!(quoted.err(), Some(error));
        }
        whole => {
            let quoted = quoted.unwrap();
            assert_getters(quoted.header(), bytes);
            let header_len = usize::from(bytes[0] & 15) * 4;
            let total_len = usize::from(oracle::u16_at(bytes, 2));
            let end = if total_len < header_len {
                bytes.len()
            } else {
                total_len.min(bytes.len())
            };
            assert_eq!(quoted.payload(), &bytes[header_len..end]);
            assert_eq!(quoted.is_cut(), total_len > bytes.len());
            assert_eq!(quoted.verifies(), oracle::verifies(&bytes[..header_len]));
            if let Ok(fields) = whole {
                assert_eq!(quoted.payload(), fields.payload);
            }
        }
    }
}

/// V-08, E-20, D-02: what stands behind the total length changes nothing but the slack.
pub fn law_parse_never_reads_past_total_len(case: &SlackCase) {
    let alone = &case.packet.bytes.0;
    let slack = &case.slack.0.0;
    let followed = [&alone[..], slack].concat();
    let (first, second) = (Ipv4::parse(alone).unwrap(), Ipv4::parse(&followed).unwrap());
    assert_eq!(first.header(), second.header());
    assert_eq!(first.option_bytes(), second.option_bytes());
    assert_eq!(first.payload(), second.payload());
    assert_eq!((first.slack(), second.slack()), (0, slack.len()));
    assert_eq!(first.payload().as_ptr_range().end, alone.as_ptr_range().end);
    assert_eq!(Facts::read(alone), Facts::read(&followed));

    // A decapsulator does not look behind the outer total length either.
    let mut outer = case.packet.bytes.0.clone();
    outer[9] = 4;
    oracle::fill_checksum(&mut outer);
    let followed = [&outer[..], slack].concat();
    let inspect = |bytes: &[u8]| inspect_without_filter(&IpIp, bytes);
    assert_eq!(inspect(&outer), inspect(&followed));
}

/// P-01: every parser, on anything.
pub fn law_no_panic(case: &Anything) {
    let bytes = &case.0.0;
    let mut copy = bytes.clone();
    let number = |at: usize| bytes.get(at).copied().unwrap_or(0);
    let (one, two) = (
        Ipv4Addr::from([number(0); 4]),
        Ipv4Addr::from([number(1); 4]),
    );

    let _ = Ipv4Header::split(bytes);
    let _ = Ipv4Header::split_mut(&mut copy);
    let _ = Ipv4::parse(bytes);
    let _ = Ipv4Mut::parse(&mut copy);
    if let Ok(packet) = Ipv4::parse_hardware_verified(bytes) {
        assert!(packet.options().count() <= 40);
        let _ = packet.options().has_source_route();
    }
    if let Ok(quoted) = Ipv4::parse_quoted(bytes) {
        let _ = (quoted.payload(), quoted.is_cut(), quoted.verifies());
        assert!(quoted.options().count() <= 40);
    }
    let _ = UdpHeader::split_mut(&mut copy);
    if let Ok(udp) = Udp::parse(bytes) {
        let _ = udp.checksum_status(one, two);
        assert_eq!(udp.payload().len() + udp.slack() + 8, bytes.len());
    }
    let _ = TcpHeader::split_mut(&mut copy);
    if let Ok(tcp) = Tcp::parse(bytes) {
        let _ = tcp.verifies(one, two);
        assert!(tcp.options().count() <= 40);
        let parts = 20 + tcp.option_bytes().len() + tcp.payload().len();
        assert_eq!(parts, bytes.len());
    }
    let _ = Icmpv4Header::split_mut(&mut copy);
    if let Ok(icmp) = Icmpv4::parse(bytes) {
        assert_eq!(icmp.payload().len() + 8, bytes.len());
    }
    assert!(HeaderOptions::new(bytes).count() <= bytes.len());

    let _ = Prefix::new(one, number(2));
    let _ = (
        Dscp::new(number(3)),
        FragmentOffset::from_units(u16::from(number(4)) * 256),
    );
    assert_eq!(copy, *bytes, "splitting for writing has written");

    // Spans anywhere, also beyond the end of memory.
    for span in [
        Span::new(usize::from(number(5)), usize::from(number(6))),
        Span::new(usize::MAX - usize::from(number(5)), usize::from(number(6))),
        Span::new(usize::from(number(5)), usize::MAX - usize::from(number(6))),
    ] {
        let inside = span.start <= bytes.len() && span.len <= bytes.len() - span.start;
        assert_eq!(span.get(bytes).is_some(), inside);
        assert_eq!(span.get_mut(&mut copy).is_some(), inside);
        let packet = Packet::new(&mut copy, span);
        assert_eq!(
            packet.headroom() + packet.as_slice().len() + packet.tailroom(),
            bytes.len()
        );
        let _ = packet.prove();
        for enrolled in ENCAPSULATORS {
            let subject = enrolled.typical(Endpoints {
                source: [198, 51, 100, 1],
                destination: [203, 0, 113, 2],
            });
            let tunnel = subject.encapsulator();
            let _ = ipencap::encap(tunnel, &mut copy, span, &PerPacket::new());
            copy.clone_from(bytes);
            if let Some(carrier) = subject.carrier() {
                let _ = carrier.inspect_without_filter(bytes);
            }
            let _ = ipencap::decap(subject.decapsulator(), &mut copy);
            copy.clone_from(bytes);
            // A frame that nobody checked: too short, or not what was checked.
            if let Ok(facts) = Facts::read(bytes) {
                for rules in [
                    Rules::Common,
                    Rules::All,
                    Rules::Explained,
                    Rules::HeadersOnly,
                ] {
                    let short = &mut copy[..usize::from(number(7)).min(bytes.len())];
                    tunnel.write(short, &facts, &PerPacket::new(), rules);
                    copy.clone_from(bytes);
                }
            }
        }
    }
}
