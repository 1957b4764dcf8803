//! MTU and overhead: the tables of the specification, by the calculator and by packets.

use core::net::Ipv4Addr;

use ipencap::encap::{Encapsulate, MinEnc, PerPacket, Tunnel};
use ipencap::error::EncapError;
use ipencap::mtu::{Efficiency, Overhead};
use ipencap::shim::{Fou, Gre, GreInUdp, Gue, GueVariant1, IpIp, Shim, Tcp};
use ipencap::wire::LengthPrefix;
use ipencap::{Span, encap};
use serde_json::Value;

use crate::Book;
use crate::oracle::{B, L, R, over, plain_outer};

/// And O-06.
#[test]
fn o_01_o_02_overheads() {
    overheads(&mut Book::open());
}

#[test]
fn s_31_tcp_with_timestamps() {
    tcp_timestamps(&mut Book::open());
}

/// And P-14.
#[test]
fn o_03_o_04_required_link_mtu() {
    required(&mut Book::open());
}

/// Layer `number` of a nested tunnel, counted from the inside.
fn layer(number: u8) -> Tunnel<IpIp> {
    let [source, destination] = [1, 2].map(|end| Ipv4Addr::new(198, 18, number, end));
    Tunnel::new(source, destination, IpIp).unwrap()
}

fn boxed<S: Shim + 'static>(shim: S) -> Box<dyn Encapsulate> {
    Box::new(over(shim))
}

/// A row's overhead, as the calculator says it, and the encapsulators that have it.
fn row(name: &str) -> (Overhead, Vec<Box<dyn Encapsulate>>) {
    let fou = Fou::new(5555);
    let gue = Gue::new();
    let with_words = gue.with_private_words([0; 2]).unwrap();
    let tcp = Tcp::new(40001, 443);
    let stamped = tcp.with_timestamps(1, 2);
    let framings = [LengthPrefix::Exclusive, LengthPrefix::Inclusive];
    let framed = |tcp: Tcp| -> Vec<Box<dyn Encapsulate>> {
        framings
            .map(|framing| boxed(tcp.with_framing(framing)))
            .into()
    };
    let gre = Gre::new();
    let word = Overhead::of(4);
    match name {
        "plain" => (Overhead::NONE, vec![Box::new(())]),
        "IPIP (RFC 2003)" => (Overhead::IPIP, vec![Box::new(layer(1))]),
        "IPIP×2" => {
            let two = [layer(1), layer(2)];
            (Overhead::IPIP.repeat(2), vec![Box::new(two)])
        }
        "IPIP×3" => {
            let (tuple, array) = ((layer(1), (layer(2), layer(3))), [1, 2, 3].map(layer));
            (
                Overhead::IPIP.repeat(3),
                vec![Box::new(tuple), Box::new(array)],
            )
        }
        "UDP / FOU (IP+UDP)" => {
            let tunnels = vec![boxed(fou), boxed(GueVariant1::new())];
            (Overhead::FOU, tunnels)
        }
        "GUE v0, no ext (IP+UDP+4)" => (Overhead::GUE, vec![boxed(gue)]),
        "GUE v0 + RCO ext (Hlen 2)" | "GLB GUE, 1 extra hop (Hlen 2)" => {
            let overhead = Overhead::GUE.around(word.repeat(2));
            (overhead, vec![boxed(with_words)])
        }
        "IPIP+UDP (IP+UDP+IP)" => {
            let overhead = Overhead::FOU.around(Overhead::IPIP);
            let (outside, inside) = ((layer(1), over(fou)), (over(fou), layer(1)));
            (overhead, vec![Box::new(outside), Box::new(inside)])
        }
        "TCP segment, 20-byte hdr" => (Overhead::TCP, vec![boxed(tcp)]),
        "TCP segment, 32-byte hdr (timestamps)" => (Overhead::TCP_TIMESTAMPS, vec![boxed(stamped)]),
        "TCP stream, 20-byte hdr + 2-byte prefix" => {
            (Overhead::TCP.around(Overhead::STREAM_PREFIX), framed(tcp))
        }
        "TCP stream, 32-byte hdr + 2-byte prefix" => {
            let overhead = Overhead::TCP_TIMESTAMPS.around(Overhead::STREAM_PREFIX);
            (overhead, framed(stamped))
        }
        "GRE base" => (Overhead::GRE, vec![boxed(gre)]),
        "GRE +key or +csum" => {
            let tunnels = vec![boxed(gre.with_key(42)), boxed(gre.with_checksum())];
            (Overhead::GRE.around(word), tunnels)
        }
        "GRE +csum+key+seq" => {
            let all = gre.with_key(42).with_checksum().with_sequence();
            (Overhead::GRE.around(word.repeat(3)), vec![boxed(all)])
        }
        "GRE-in-UDP (RFC 8086)" => {
            let gre_in_udp = GreInUdp::new(gre);
            (Overhead::GRE_IN_UDP, vec![boxed(gre_in_udp)])
        }
        "Minimal encap S=1 (RFC 2004)" => (
            Overhead::MINIMAL,
            vec![Box::new(MinEnc::new(L, R).unwrap())],
        ),
        "Minimal encap S=0" => {
            let without = MinEnc::new(L, R).unwrap().without_source();
            (Overhead::MINIMAL_WITHOUT_SOURCE, vec![Box::new(without)])
        }
        _ => panic!("{name}: no check for this row"),
    }
}

fn length(value: &Value) -> u32 {
    value.as_u64().unwrap().try_into().unwrap()
}

/// A percentage with two decimals, rounded.
fn check_percentage(name: &str, efficiency: Efficiency, expected: &Value) {
    let difference = efficiency.ratio() * 100.0 - expected.as_f64().unwrap();
    assert!(difference.abs() < 0.005_000_1, "{name}: {efficiency:?}");
    let per_mille = f64::from(efficiency.per_mille());
    let rest = efficiency.ratio() * 1000.0 - per_mille;
    assert!((0.0..1.0).contains(&rest), "{name}: {efficiency:?}");
}

/// What `tunnel` makes of an inner packet of `len` bytes from the encapsulator itself.
fn outer_len(tunnel: &dyn Encapsulate, len: u32, packet: PerPacket) -> Result<u32, EncapError> {
    let len = usize::try_from(len).unwrap();
    let overhead = tunnel.overhead();
    let mut buffer = vec![0; overhead + len];
    buffer[overhead..overhead + 20].copy_from_slice(&plain_outer(L, B, 0, len));
    let packet = packet.with_sequence(1);
    let outer = encap(tunnel, &mut buffer, Span::new(overhead, len), &packet)?;
    Ok(outer.len().try_into().unwrap())
}

pub(crate) fn overheads(book: &mut Book) {
    book.each_row("mtu", |name, vector| {
        let (overhead, tunnels) = row(name);
        let bytes = length(&vector["overhead"]);
        assert_eq!(overhead.bytes(), Some(bytes), "{name}: O-06");
        for tunnel in &tunnels {
            let said = Overhead::of_bytes(tunnel.overhead());
            assert_eq!(said, Overhead::of(bytes), "{name}: O-06");
        }
        for cell in vector["rows"].as_array().unwrap() {
            let link_mtu = length(&cell["link_mtu"]);
            let inner_mtu = length(&cell["inner_mtu"]);
            let mss = length(&cell["inner_tcp_mss"]);
            assert_eq!(
                overhead.inner_mtu(link_mtu),
                Some(inner_mtu),
                "{name}: O-01"
            );
            assert_eq!(overhead.tcp_mss(link_mtu), Some(mss), "{name}: O-02");
            assert_eq!(overhead.link_mtu(inner_mtu), Some(link_mtu), "{name}: P-14");
            let efficiency = overhead.efficiency(link_mtu).expect(name);
            check_percentage(name, efficiency, &cell["mss_over_mtu_pct"]);
            let on_the_wire = overhead.ethernet_efficiency(link_mtu).expect(name);
            check_percentage(name, on_the_wire, &cell["mss_over_wire_pct"]);

            let link = PerPacket::new().with_link_mtu(link_mtu.try_into().unwrap());
            for tunnel in tunnels.iter().filter(|tunnel| tunnel.overhead() > 0) {
                let fits = outer_len(&**tunnel, inner_mtu, link);
                assert_eq!(fits, Ok(link_mtu), "{name}: P-14, with a packet");
                let mtu = inner_mtu.try_into().unwrap();
                let exceeds = outer_len(&**tunnel, inner_mtu + 1, link);
                let needed = Err(EncapError::FragmentationNeeded { mtu });
                assert_eq!(exceeds, needed, "{name}: I-14");
            }
        }
    });
}

pub(crate) fn tcp_timestamps(book: &mut Book) {
    book.each_row("mtu_tcp_timestamps", |name, vector| {
        let (overhead, _) = row(name);
        for cell in vector["rows"].as_array().unwrap() {
            let link_mtu = length(&cell["link_mtu"]);
            let payload_len = overhead.tcp_payload_len(link_mtu, 12).expect(name);
            assert_eq!(cell["payload"], payload_len, "{name}: S-31");
            let efficiency = Efficiency {
                payload_len,
                carried_len: link_mtu,
            };
            check_percentage(name, efficiency, &cell["payload_over_mtu_pct"]);
        }
    });
}

pub(crate) fn required(book: &mut Book) {
    book.each_row("mtu_required", |name, vector| {
        let (overhead, tunnels) = row(name);
        let link_mtu = length(&vector["link_mtu_for_1500"]);
        assert_eq!(overhead.link_mtu(1500), Some(link_mtu), "{name}: O-03");
        let longest = length(&vector["max_inner_len"]);
        assert_eq!(overhead.max_inner_len(), Some(longest), "{name}: O-04");
        for tunnel in tunnels.iter().filter(|tunnel| tunnel.overhead() > 0) {
            let none = PerPacket::new();
            assert_eq!(
                outer_len(&**tunnel, 1500, none),
                Ok(link_mtu),
                "{name}: O-03"
            );
            assert_eq!(
                outer_len(&**tunnel, longest, none),
                Ok(65535),
                "{name}: O-04"
            );
            let error = outer_len(&**tunnel, longest + 1, none).unwrap_err();
            assert_eq!(error.reason(), "TooLong", "{name}: E-06");
        }
    });
}

#[test]
fn o_05_o_08_small_links() {
    assert_eq!(Overhead::IPIP.inner_mtu(88), Some(68), "O-05");
    assert_eq!(Overhead::IPIP.inner_mtu(87), None, "O-05");
    assert_eq!(Overhead::IPIP.tcp_mss(88), Some(28), "S-33");
    assert_eq!(Overhead::IPIP.tcp_mss(87), None, "S-33");
    assert_eq!(Overhead::IPIP.inner_mtu(1280), Some(1260), "O-08");
    assert_eq!(Overhead::IPIP.tcp_mss(1500), Some(1440), "S-30");
    assert_eq!(Overhead::IPIP.tcp_payload_len(1500, 12), Some(1428), "S-31");
}

/// 65535 bytes are the most; a padding is to at least 1 and at most 65535; four paddings are kept apart. What
/// cannot be held fits nothing, however much is put around it.
#[test]
fn o_04_o_06_borders_of_what_an_overhead_holds() {
    let whole = Overhead::of(65_535);
    assert_eq!(whole.bytes(), Some(65_535));
    assert_eq!(
        (whole.outer_len(0), whole.outer_len(1)),
        (Some(65_535), None)
    );
    let halves = Overhead::of(32_768).around(Overhead::of(32_767));
    assert_eq!(halves, whole, "O-06");
    assert_eq!(Overhead::IPIP.outer_len(65_515), Some(65_535));
    assert_eq!(Overhead::IPIP.outer_len(65_516), None);
    assert_eq!(Overhead::IPIP.added_len(65_515), Some(20));
    assert_eq!(Overhead::IPIP.added_len(65_516), None);
    let longest = Overhead::IPIP.max_inner_len();
    assert_eq!(Overhead::IPIP.inner_mtu(u32::MAX), longest, "O-01, O-04");
    assert_eq!(Overhead::padding(65_535).outer_len(1), Some(65_535));

    // To 3, 4, 3, ... of one byte: 1, 3, 4, 6, 8, as many as there are.
    let paddings = |count: u8| {
        let layers = [3, 4].map(Overhead::padding).into_iter().cycle();
        let join = |inner, outer: Overhead| outer.around(inner);
        layers.take(count.into()).fold(Overhead::NONE, join)
    };
    let outer_lens = [0, 1, 2, 3, 4].map(|count| paddings(count).outer_len(1));
    assert_eq!(outer_lens, [1, 3, 4, 6, 8].map(Some));

    let too_many = [
        Overhead::of(65_536),
        Overhead::of_bytes(usize::MAX),
        halves.around(Overhead::of(1)),
        Overhead::padding(0),
        Overhead::padding(65_536),
        paddings(5),
        paddings(2).around(paddings(3)),
    ];
    for overhead in too_many {
        for around in [
            overhead,
            overhead.around(Overhead::IPIP),
            Overhead::IPIP.around(overhead),
        ] {
            assert_eq!(around.bytes(), None, "{around:?}");
            assert_eq!(around.outer_len(0), None, "{around:?}");
            assert_eq!(around.max_inner_len(), None, "{around:?}");
        }
    }
}

#[test]
fn no_share_of_nothing() {
    let nothing = Efficiency {
        payload_len: 1460,
        carried_len: 0,
    };
    assert_eq!((nothing.ratio(), nothing.per_mille()), (0.0, 0));
    // O-05: below the smallest MTU there is no efficiency either.
    assert_eq!(Overhead::IPIP.ethernet_efficiency(87), None);
    let least = Overhead::IPIP.ethernet_efficiency(88).unwrap();
    assert_eq!((least.payload_len, least.carried_len), (28, 88 + 38));
}
