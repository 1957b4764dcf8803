//! Where things lie: spans and packets in their buffers, fields in headers as their RFCs draw them.

#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    reason = "a test that panics fails"
)]

use ipencap::Span;
use ipencap::decap::{Decapsulate, Receiver};
use ipencap::decap::{PointToPoint, Prefix};
use ipencap::encap::{Encapsulate, PerPacket, Rules, Tunnel};
use ipencap::error::{ConfigError, ParseError, Reason};
use ipencap::packet::{Facts, Flow, Packet};
use ipencap::shim::{self, IpIp};
use ipencap::wire::{
    Gre, GreFlags, GreHeader, GueHeader, HeaderOptions, Icmpv4, Icmpv4Header, IpProtocol, Ipv4,
    Ipv4Header, MinimalHeader, TcpFlags, TcpHeader, UdpHeader,
};
use ipencap_kit::oracle::{self, Plain};

const A: [u8; 4] = [10, 1, 0, 5];
const B: [u8; 4] = [10, 2, 0, 9];

#[test]
fn spans_around_every_border() {
    for start in 0..=6 {
        for end in 0..=6 {
            let span = Span::from(start..end);
            let len = end.max(start) - start;
            assert_eq!(span, Span::new(start, len));
            assert_eq!(span.end(), start + len);
            let mut bytes = *b"abcd";
            let expected = (start + len <= 4).then(|| &b"abcd"[start..start + len]);
            assert_eq!(span.get(&bytes), expected, "{span:?}");
            assert_eq!(span.get_mut(&mut bytes).as_deref(), expected, "{span:?}");
        }
    }
    // Beyond the last address there is nothing.
    for (start, len) in [(usize::MAX, 1), (1, usize::MAX), (usize::MAX, usize::MAX)] {
        let span = Span::new(start, len);
        assert_eq!(span.end(), usize::MAX);
        assert_eq!((span.get(b"abcd"), span.get_mut(&mut [0; 4])), (None, None));
    }
}

#[test]
fn packets_are_cut_to_their_buffer() {
    let beyond = [usize::MAX - 1, usize::MAX];
    for start in (0..=6).chain(beyond) {
        for len in (0..=6).chain(beyond) {
            let mut bytes = *b"abcd";
            let mut packet = Packet::new(&mut bytes, Span::new(start, len));
            let start = start.min(4);
            let len = len.min(4 - start);
            assert_eq!(packet.span(), Span::new(start, len));
            assert_eq!(
                (packet.headroom(), packet.tailroom()),
                (start, 4 - start - len)
            );
            assert_eq!(packet.as_slice(), &b"abcd"[start..start + len]);
            packet.as_mut_slice().fill(b'x');
            let mut expected = *b"abcd";
            expected[start..start + len].fill(b'x');
            let (buffer, span) = packet.into_parts();
            assert_eq!((&*buffer, span), (&expected[..], Span::new(start, len)));
        }
    }
}

/// V-07, V-08: from the start of the span to the total length, whatever is around it.
#[test]
fn a_proven_packet_lies_between_headroom_and_slack() {
    let bytes = Plain::of(253).packet(b"payload");
    for (headroom, slack) in [(0, 0), (3, 0), (0, 5), (20, 9)] {
        let mut buffer = [&vec![0xa5; headroom][..], &bytes, &vec![0x5a; slack]].concat();
        let span = Span::new(headroom, bytes.len() + slack);
        let proven = Packet::new(&mut buffer, span).prove().unwrap();
        assert_eq!(proven.as_slice(), bytes);
        let facts = proven.facts();
        assert_eq!((facts.source(), facts.len()), (A.into(), 27));
    }
}

#[test]
fn only_a_packet_of_no_bytes_is_empty() {
    let header = |total_len| Ipv4Header::new(A.into(), B.into(), IpProtocol::UDP, total_len);
    for total_len in [0, 1, 20, u16::MAX] {
        let facts = Facts::trusted(&header(total_len));
        assert_eq!(facts.len(), u32::from(total_len));
        assert_eq!(facts.is_empty(), total_len == 0);
    }
}

/// What a tunnel of another IP version says of the packet it makes: flow and sum are the inner packet's,
/// and no IPv4 tunnel takes it for a short packet.
#[test]
fn c_20_e_02_facts_of_another_version() {
    let datagram = Plain::of(17).packet(&[0, 1, 0, 2, 0, 8, 0xab, 0xcd]);
    let inner = Facts::read(&datagram).unwrap();
    assert!(inner.known_sum().is_some());
    let six = inner.inside_version(6, 40, 0xb9);
    assert_eq!((six.version(), six.len(), six.tos()), (6, 68, 0xb9));
    assert_eq!((six.layers(), six.overhead()), (1, 40));
    assert_eq!(
        (six.flow(), six.known_sum()),
        (inner.flow(), inner.known_sum())
    );
    assert!(six.has_df() && !six.is_fragment() && !six.has_source_route());

    let tunnel = Tunnel::new([198, 51, 100, 1].into(), [203, 0, 113, 2].into(), IpIp).unwrap();
    for (len, overhead) in [
        (20, 0),
        (20, 40),
        (65_535, 0),
        (65_535, 40),
        (65_535, 65_535),
    ] {
        let header = Ipv4Header::new(A.into(), B.into(), IpProtocol::UDP, len);
        let six = Facts::trusted(&header).inside_version(6, overhead, 0);
        assert_eq!(six.len(), u32::from(len) + u32::from(overhead));
        for rules in [Rules::Common, Rules::All] {
            assert!(tunnel.check(&six, &PerPacket::new(), rules).is_err());
        }
        let refusal = tunnel.check(&six, &PerPacket::new(), Rules::Explained);
        let error = ParseError::BadVersion { version: 6 }.into();
        assert_eq!(refusal.unwrap_err(), error);
    }
}

/// C-20: where the headers do not tell it, the sum is that of the bytes.
#[test]
fn c_20_the_sum_of_all_bytes() {
    for len in [1, 2, 7, 300] {
        let bytes = Plain::of(253).packet(&vec![0x5d; len]);
        let facts = Facts::summed(&bytes).unwrap();
        assert_eq!(facts.byte_sum(), Some(!oracle::checksum(&bytes)));
        let read = Facts::read(&bytes).unwrap();
        assert_eq!(read.byte_sum(), None);
        assert_eq!((read.flow(), read.len()), (facts.flow(), facts.len()));
    }
}

/// C-20: a sum that the headers tell is shown as one, and one that they do not as none.
#[test]
fn a_packets_sums_are_shown() {
    let udp = [0, 1, 0, 2, 0, 8, 0xab, 0xcd];
    let sum = oracle::checksum(&[&A[..], &B, &[0, 17, 0, 8]].concat());
    let shown = |bytes: &[u8]| format!("{:?}", Facts::read(bytes).unwrap());
    let known = shown(&Plain::of(17).packet(&udp));
    assert!(
        known.contains(&format!("known_sum: Some({sum})")),
        "{known}"
    );
    let unknown = shown(&Plain::of(253).packet(&udp));
    assert!(unknown.contains("known_sum: None"), "{unknown}");
}

/// RFC 768; RFC 9293 §3.1; draft-ietf-intarea-gue §3.1; RFC 2890 §2; RFC 2004 §3.1.
#[test]
fn headers_are_made_as_they_are_drawn() {
    let udp = [0x9c, 0x40, 0, 53, 0, 16, 0, 0];
    let made = UdpHeader::new(40000, 53, 16);
    assert_eq!(*UdpHeader::split(&udp).unwrap().0, made);

    let tcp = [
        0x9c, 0x40, 0x01, 0xbb, 1, 2, 3, 4, 5, 6, 7, 8, 0x60, 0x12, 0x20, 0, 0, 0, 0, 0, 1, 1, 1, 0,
    ];
    let flags = TcpFlags::SYN | TcpFlags::ACK;
    // Six words; of more than fifteen the low four bits count.
    for words in [6, 0x16, 0xf6] {
        let numbers = (0x0102_0304, 0x0506_0708);
        let made = TcpHeader::new((40000, 443), numbers, words, flags, 0x2000);
        assert_eq!(*TcpHeader::split(&tcp).unwrap().0, made);
    }

    let gue = [2, 4, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0xff];
    for words in [2, 0x22, 0xe2] {
        let made = GueHeader::new(IpProtocol::IPENCAP, words);
        let (header, extension, rest) = GueHeader::split(&gue).unwrap();
        assert_eq!((*header, extension, rest), (made, &gue[4..12], &gue[12..]));
    }

    let gre = [0x30, 0, 0x08, 0x00, 0, 0, 0, 42, 0, 0, 0, 7, 0x45];
    let parsed = Gre::parse(&gre).unwrap();
    assert_eq!(
        *parsed.header(),
        GreHeader::new(GreFlags::KEY | GreFlags::SEQUENCE)
    );
    assert_eq!((parsed.key(), parsed.sequence()), (Some(42), Some(7)));

    let original = Ipv4Header::new(A.into(), B.into(), IpProtocol::UDP, 20);
    let drawn: [&[u8]; 2] = [
        &[17, 0, 0xe4, 0xf4, 10, 2, 0, 9],
        &[17, 0x80, 0xda, 0x6e, 10, 2, 0, 9, 10, 1, 0, 5],
    ];
    for (keeps_source, drawn) in [(false, drawn[0]), (true, drawn[1])] {
        let made = MinimalHeader::new(&original, keeps_source);
        let mut bytes = [0; 12];
        made.write(&mut bytes[..made.wire_len()]);
        assert_eq!(bytes[..made.wire_len()], *drawn);
        assert_eq!(MinimalHeader::parse(drawn), Ok((made, &[][..])));
    }
}

/// Setters patch the checksum; this writes it, be it right or wrong or none.
#[test]
fn c_12_c_13_a_raw_checksum_is_written_as_it_is() {
    let mut udp = UdpHeader::new(1, 2, 8);
    let mut tcp = TcpHeader::new((1, 2), (3, 4), 5, TcpFlags::ACK, 6);
    let others = (udp, tcp);
    for checksum in [0x1234, 0xffff, 0x0000] {
        udp.set_raw_checksum(checksum);
        tcp.set_raw_checksum(checksum);
        assert_eq!((udp.checksum(), tcp.checksum()), (checksum, checksum));
    }
    assert_eq!((udp, tcp), others, "another field has changed");
}

/// RFC 792: an echo request, its checksum by hand.
#[test]
fn icmp_echo_request() {
    let message = [8, 0, 0xe5, 0xca, 0x12, 0x34, 0, 1];
    let echo = Icmpv4::parse(&message).unwrap();
    assert_eq!((echo.header().message_type(), echo.header().code()), (8, 0));
    assert_eq!(echo.rest_of_header(), [0x12, 0x34, 0, 1]);
}

/// RFC 2784 §2.1: a checksum by hand; the 16 bits behind it are no part of it.
#[test]
fn r_04_the_checksum_of_a_gre_packet() {
    let carried = [0x80, 0, 8, 0, 0x65, 0xcb, 0, 0, 0x12, 0x34];
    let gre = Gre::parse(&carried).unwrap();
    assert_eq!((gre.checksum(), gre.verifies()), (Some(0x65cb), Some(true)));
    assert_eq!(gre.payload(), [0x12, 0x34]);

    let reserved = [0x80, 0, 8, 0, 0x65, 0xca, 0, 1, 0x12, 0x34];
    let gre = Gre::parse(&reserved).unwrap();
    assert_eq!((gre.checksum(), gre.verifies()), (Some(0x65ca), Some(true)));

    let plain = Gre::parse(&[0, 0, 8, 0, 0x65, 0xcb]).unwrap();
    assert_eq!((plain.checksum(), plain.verifies()), (None, None));
}

/// The GRE header and what is around it in a packet of these bytes, with the inner packet's offset.
fn gre_of(packet: &[u8]) -> (Gre<'_>, usize) {
    let (_, _, payload) = Ipv4Header::split(packet).unwrap();
    let gre = Gre::parse(payload).unwrap();
    (gre, packet.len() - gre.payload().len())
}

/// Checksum, key, sequence number and routing of a GRE header.
type Fields<'t> = (Option<u16>, Option<u32>, Option<u32>, &'t str);

/// RFC 1701: the word of checksum and offset is there for the routing bit alone, too. RFC 2637: version
/// 1 moves no field; only around PPP the key is none.
#[test]
fn r_05_gre_routing_and_version_1_keep_fields_apart() {
    let inner = "4500002412344000401114850a0100050a0200099c4000350010ace66970656e63617021";
    let outer = "450000500000400040 2fd447c6336401cb007102";
    // Flags and protocol, further fields; checksum, key, sequence number, routing.
    let routing = "08000004c000024d00000000";
    let cases: [(&str, Fields<'_>); 9] = [
        // The capture of the report: key 11223344, inner IPv4 header at offset 44.
        (
            "60000800 00000000 11223344 08000004c000024d00000000",
            (None, Some(0x1122_3344), None, routing),
        ),
        ("40000800 00000000 00000000", (None, None, None, "00000000")),
        (
            "c0000800 abcd0000 08000004c000024d00000000",
            (Some(0xabcd), None, None, routing),
        ),
        (
            "f0000800 abcd0004 11223344 00000007 08000004c000024d00000000",
            (Some(0xabcd), Some(0x1122_3344), Some(7), routing),
        ),
        (
            "50000800 00000000 00000007 00010000",
            (None, None, Some(7), "00010000"),
        ),
        ("20010800 11223344", (None, Some(0x1122_3344), None, "")),
        // In version 1 around IPv4 the bit of the acknowledgment means nothing.
        (
            "30810800 11223344 00000007",
            (None, Some(0x1122_3344), Some(7), ""),
        ),
        ("3001880b 00240009 00000007", (None, None, Some(7), "")),
        (
            "3081880b 00240009 00000007 00000006",
            (None, None, Some(7), ""),
        ),
    ];
    for (fields, (checksum, key, sequence, routing)) in cases {
        let gre_len = fields.replace(' ', "").len() / 2;
        let packet = hex(&[outer, fields, inner].concat());
        let (gre, inner_offset) = gre_of(&packet);
        assert_eq!(inner_offset, 20 + gre_len, "{fields}");
        assert_eq!(gre.checksum(), checksum, "{fields}");
        assert_eq!((gre.key(), gre.sequence()), (key, sequence), "{fields}");
        assert_eq!(gre.routing(), hex(routing), "{fields}");
        assert_eq!(gre.payload(), hex(inner), "{fields}");
        assert_eq!(gre.verifies().is_some(), checksum.is_some(), "{fields}");

        // cut anywhere in front of the payload there is no header, and never a wrong one.
        for len in 0..gre_len {
            let cut = Gre::parse(&packet[20..20 + len]).map(|_| ()).unwrap_err();
            assert!(
                matches!(cut, ParseError::Truncated { need, have }
                    if usize::from(have) == len && need > have),
                "{fields} cut to {len}: {cut:?}"
            );
        }
    }
}

/// whatever a reader shows, a decapsulator opens neither.
#[test]
fn r_01_r_02_decapsulators_refuse_routing_and_version_1() {
    let inner = "4500002412344000401114850a0100050a0200099c4000350010ace66970656e63617021";
    for (fields, reason) in [
        (
            "60000800 00000000 11223344 08000004c000024d00000000",
            Reason::GreReservedBits,
        ),
        (
            "60000800 00000000 11223344 08000004c000024d",
            Reason::GreReservedBits,
        ),
        ("20010800 11223344", Reason::GreBadVersion),
        ("3001880b 00240009 00000007", Reason::GreBadVersion),
    ] {
        let payload = hex(&[fields, inner].concat());
        let packet = Plain {
            source: [198, 51, 100, 1],
            destination: [203, 0, 113, 2],
            ..Plain::of(47)
        }
        .packet(&payload);
        let access = PointToPoint::new(
            [203, 0, 113, 2].into(),
            [198, 51, 100, 1].into(),
            &[Prefix::ANY],
        );
        let keyed = shim::Gre::new().with_key(0x1122_3344);
        let refused = Receiver::new(keyed, access).inspect(&packet).unwrap_err();
        assert_eq!(refused.reason, reason, "{fields}");
    }
}

fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    *bytes.first_chunk().unwrap()
}

/// Usable in a constant.
const GUE: GueHeader = GueHeader::from_bytes([2, 4, 0, 0]);

/// Any bytes are a header, and it has these bytes.
#[test]
fn headers_are_their_bytes() {
    let mut bytes = [0; 20];
    for (byte, value) in bytes.iter_mut().zip((0xf1..=0xff).chain(0x01..)) {
        *byte = value;
    }
    macro_rules! assert_bytes {
        ($($Header:ident)+) => {$(
            let header = $Header::from_bytes(first(&bytes));
            assert_eq!(header.as_bytes(), &first::<{ $Header::LEN }>(&bytes));
        )+};
    }
    assert_bytes!(Ipv4Header UdpHeader TcpHeader Icmpv4Header GueHeader GreHeader);
    assert_eq!(
        UdpHeader::from_bytes([0, 1, 0, 2, 0, 8, 0, 3]).destination_port(),
        2
    );
    assert_eq!(GUE, GueHeader::new(IpProtocol::IPENCAP, 2));

    let with_source = [17, 0x80, 0xda, 0x6e, 10, 2, 0, 9, 10, 1, 0, 5];
    let header = MinimalHeader::from_bytes(with_source);
    assert_eq!(header.as_bytes(), with_source);
    assert_eq!(MinimalHeader::parse(&with_source), Ok((header, &[][..])));
    // Without the S bit there are 8 bytes, and none of the source.
    let without = [17, 0, 0xe4, 0xf4, 10, 2, 0, 9, 1, 2, 3, 4];
    let header = MinimalHeader::from_bytes(without);
    assert_eq!(header.as_bytes(), &without[..8]);
    assert_eq!(MinimalHeader::parse(&without), Ok((header, &without[8..])));
}

/// V-13, S-03: where each option is, so that it can be changed in place.
#[test]
fn v_13_s_03_options_are_where_they_are_said_to_be() {
    let bytes = [
        1, 2, 4, 0x05, 0xb4, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 254, 2, 0, 9,
    ];
    let found: Vec<_> = HeaderOptions::new(&bytes)
        .map(|option| option.map(|option| (option.kind(), option.offset(), option.len())))
        .collect();
    let expected = [(1, 0, 1), (2, 1, 4), (1, 5, 1), (8, 6, 10), (254, 16, 2)];
    assert_eq!(found, expected.map(Ok));
    for option in HeaderOptions::new(&bytes).flatten() {
        let span = option.offset()..option.offset() + option.len();
        assert!(bytes[span].ends_with(option.data()));
    }

    // An MSS is lowered where it stands.
    let header = *TcpHeader::new((1, 2), (3, 4), 6, TcpFlags::SYN, 5).as_bytes();
    let mut packet = [&header[..], &[2, 4, 0x05, 0xb4]].concat();
    let (_, options, _) = TcpHeader::split_mut(&mut packet).unwrap();
    let mss = HeaderOptions::new(options)
        .flatten()
        .find(|option| option.kind() == 2);
    let value = mss.unwrap().offset() + 2;
    options[value..value + 2].copy_from_slice(&1400u16.to_be_bytes());
    assert_eq!(packet[20..], [2, 4, 0x05, 0x78]);
}

/// RFC 791 §3.1: as the oracle draws it, for every length of options.
#[test]
fn v_03_v_05_a_header_with_options_is_made() {
    let header = |total_len| Ipv4Header::new(A.into(), B.into(), IpProtocol::UDP, total_len);
    for len in 0..=300u16 {
        let options = vec![0x01; len.into()];
        let made = header(28).with_options(&options);
        if len > 40 || len % 4 != 0 {
            assert_eq!(made, Err(ConfigError::BadIpv4Options), "{len}");
            continue;
        }
        let total_len = 20 + len + 8;
        let made = header(total_len).with_options(&options).unwrap();
        let packet = [made.as_bytes(), &options[..], b"payload!"].concat();
        let drawn = Plain {
            options: options.clone(),
            ..Plain::of(17)
        };
        let drawn = Plain {
            source: A,
            destination: B,
            ..drawn
        }
        .packet(b"payload!");
        let mut expected = drawn;
        // `new` has its own identification, flags and TTL.
        expected[4..9].copy_from_slice(&[0, 0, 0x40, 0, 64]);
        expected[1] = 0;
        oracle::fill_checksum(&mut expected);
        assert_eq!(packet, expected, "{len}");
        // Others take the place of those there were.
        assert_eq!(made.with_options(&[]), Ok(header(total_len)), "{len}");
    }
}

/// RFC 792: the flow of the packet that an ICMP error is about.
#[test]
fn e_22_l_05_the_flow_of_a_quoted_packet() {
    let of = |bytes: &[u8], len: usize| Flow::of_quoted(Ipv4::parse_quoted(&bytes[..len]).unwrap());
    let ports = [0x9c, 0x40, 0, 53, 0, 108, 0xab, 0xcd];
    let plain = |protocol| Plain {
        source: A,
        destination: B,
        ..Plain::of(protocol)
    };
    let datagram = plain(17).packet(&[&ports[..], &[0; 100]].concat());
    let expected = Flow::new(A.into(), B.into(), IpProtocol::UDP).with_ports(40000, 53);
    assert_eq!(Facts::read(&datagram).unwrap().flow(), expected);
    for len in 20..datagram.len() {
        assert_eq!(of(&datagram, len), (len >= 24).then_some(expected), "{len}");
    }
    let answers = Flow::new(B.into(), A.into(), IpProtocol::UDP).with_ports(53, 40000);
    assert_eq!(expected.reversed(), answers);
    assert_eq!(expected.reversed().reversed(), expected);

    // A fragment and a protocol without ports have a flow as soon as there is a header.
    let fragment = Plain {
        flags_offset: 0x2000,
        ..plain(17)
    }
    .packet(&[0; 100]);
    let portless = Flow::new(A.into(), B.into(), IpProtocol::UDP);
    assert_eq!(of(&fragment, 20), Some(portless));
    let echo = plain(1).packet(&[8; 100]);
    assert_eq!(
        of(&echo, 20),
        Some(Flow::new(A.into(), B.into(), IpProtocol::ICMP))
    );

    // IP-in-IP: of the packet inside, as Facts says, or unknown.
    let outer = Plain {
        source: [192, 0, 2, 1],
        destination: [192, 0, 2, 2],
        ..Plain::of(4)
    };
    let nested = outer.packet(&datagram);
    assert_eq!(Facts::read(&nested).unwrap().flow(), expected);
    for len in 20..nested.len() {
        assert_eq!(of(&nested, len), (len >= 44).then_some(expected), "{len}");
    }
    // What is inside is no packet: the outer flow, which has no ports.
    let mut broken = nested.clone();
    broken[30] ^= 1;
    assert_eq!(of(&broken, 60), Some(Facts::read(&broken).unwrap().flow()));
}

fn hex(text: &str) -> Vec<u8> {
    let digits = text.replace(' ', "");
    let byte = |at| u8::from_str_radix(digits.get(at..at + 2).unwrap(), 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}
