//! LCO: the outer checksum from the headers alone, and what follows for trains of segments.

use ipencap::checksum::Sum;
use ipencap::decap::inspect_without_filter;
use ipencap::encap::{Encapsulate, InnerChecksum, PerPacket, Tunnel};
use ipencap::error::EncapError;
use ipencap::packet::Facts;
use ipencap::shim::{ChecksumPolicy, Fou, IpIp, Tcp};
use ipencap::wire::{IpProtocol, Ipv4, Ipv4Header, TcpFlags, TcpHeader, Udp as UdpView};

use crate::Book;
use crate::carriers::{MIDDLE, MIDDLE_EXIT, fou, udp_tunnel};
use crate::doors::through_doors;
use crate::oracle::{A, B, L, P, R, hex, over, p_with, word};

/// C-20 and P-06, by the table of outer checksums.
#[test]
fn lco_outer_checksums() {
    lco(&mut Book::open());
}

pub(crate) fn lco(book: &mut Book) {
    let (transmitted, captured) = (book.group("encap"), book.group("linux"));
    for family in ["UDP", "LIN"] {
        book.each("lco", family, |id, vector| {
            let s_pi = word(&vector["s_pi"]);
            let Some(expected) = vector.get("outer").map(word) else {
                // LIN-02: behind the GUE header and its two words.
                let inner = &hex(&captured[id])[20 + 8 + 12..];
                let inner = Ipv4::parse(inner).expect(id);
                let udp = UdpView::parse(inner.payload()).expect(id);
                assert_eq!(udp.header().checksum(), s_pi, "{id}: G-13");
                assert_eq!(inner_pseudo_sum(inner), s_pi, "{id}");
                return;
            };
            assert_eq!(inner_pseudo_sum(Ipv4::parse(P).unwrap()), s_pi, "{id}");
            let inner = Facts::read(P).unwrap();
            assert_eq!(inner.known_sum(), Some(!s_pi), "{id}: C-20");

            let wire = hex(&transmitted[id]);
            let udp = UdpView::parse(&wire[20..]).expect(id);
            assert_eq!(udp.header().checksum(), expected, "{id}: the vector");
            // The formula of the text: everything in front of P as bytes, P by its pseudo-header.
            let len = u16::try_from(wire.len() - 20).unwrap();
            let mut fields = wire[20..wire.len() - P.len()].to_vec();
            fields[6..8].fill(0);
            let by_formula = Sum::pseudo_header(L, R, IpProtocol::UDP.0, len)
                .add_bytes(&fields)
                .add_u16(!s_pi);
            assert_eq!(by_formula.checksum(), expected, "{id}: by LCO");

            for policy in [ChecksumPolicy::Offload, ChecksumPolicy::Full] {
                let outside = udp_tunnel(id, policy);
                let inside = Tunnel::new(MIDDLE, MIDDLE_EXIT, IpIp).unwrap();
                let stack = (inside, outside);
                let tunnel: &dyn Encapsulate = if id == "UDP-07" { &stack } else { &outside };
                let outer = through_doors(id, tunnel, P, PerPacket::new()).expect(id);
                let udp = UdpView::parse(&outer[20..]).expect(id);
                assert_eq!(udp.header().checksum(), expected, "{id}: {policy:?}");
            }
        });
    }
}

/// `S_pi` of the text: the folded sum of the inner pseudo-header.
fn inner_pseudo_sum(inner: Ipv4<'_>) -> u16 {
    let header = inner.header();
    let len = u16::try_from(inner.payload().len()).unwrap();
    let (source, destination) = (header.source(), header.destination());
    Sum::pseudo_header(source, destination, header.protocol().0, len).fold()
}

/// A TCP segment from A to B with this payload, as one of a burst.
fn segment(number: u16, payload: &[u8]) -> Vec<u8> {
    let total_len = u16::try_from(40 + payload.len()).unwrap();
    let mut header = Ipv4Header::new(A, B, IpProtocol::TCP, total_len);
    header.set_identification(number);
    let flags = if number.is_multiple_of(2) {
        TcpFlags::ACK
    } else {
        TcpFlags::ACK | TcpFlags::PSH
    };
    let mut tcp = TcpHeader::new((40000, 443), (u32::from(number) * 1400, 1), 5, flags, 512);
    tcp.fill_checksum(A, B, &[], payload).unwrap();
    [&header.as_bytes()[..], tcp.as_bytes(), payload].concat()
}

#[test]
fn c_30_c_31_equal_segments_have_equal_outer_checksums() {
    let outer_of = |inner: &[u8]| {
        let [offload, full] = [ChecksumPolicy::Offload, ChecksumPolicy::Full].map(|policy| {
            let tunnel = over(fou().with_checksum(policy));
            through_doors("C-30", &tunnel, inner, PerPacket::new()).unwrap()
        });
        assert_eq!(offload, full, "P-06");
        offload
    };
    let payload_of = |number: u16, len: u16| -> Vec<u8> {
        (0..len)
            .map(|at| (at * 31 + number * 7).to_be_bytes()[1])
            .collect()
    };
    let burst: Vec<Vec<u8>> = (0..6)
        .map(|number| outer_of(&segment(number, &payload_of(number, 1400))))
        .collect();
    for outer in &burst {
        assert_eq!(outer[26..28], [0xd1, 0x32], "C-30");
        // C-32: outer IP and UDP header are the same bytes.
        assert_eq!(outer[..28], burst[0][..28], "C-32");
    }
    let last = outer_of(&segment(6, &payload_of(6, 777)));
    assert_eq!(last[26..28], [0xd3, 0xa1], "C-31");
    assert_eq!(0xd132 + (1400 - 777), 0xd3a1, "C-31: the rule");
}

#[test]
fn c_20_c_23_where_the_headers_do_not_tell_the_sum() {
    let icmp = {
        let mut header = Ipv4Header::new(A, B, IpProtocol::ICMP, 28);
        header.set_identification(7);
        let echo = [8, 0, 0xf7, 0xff, 0, 0, 0, 0];
        [&header.as_bytes()[..], &echo].concat()
    };
    let longer_than_its_datagram = {
        let mut inner = [&P[..], &[0; 4]].concat();
        inner[3] += 4;
        crate::oracle::mend(&mut inner);
        inner
    };
    let rows = [
        ("first fragment", p_with(|p| p[6] = 0x20)),
        ("last fragment", p_with(|p| (p[6], p[7]) = (0, 1))),
        ("UDP without checksum", p_with(|p| p[26..28].fill(0))),
        ("ICMP", icmp),
        ("UDP shorter than its packet", longer_than_its_datagram),
    ];
    let fou = over(fou());
    let tcp = over(Tcp::new(40001, 443));
    for (name, inner) in rows {
        let meta = Facts::read(&inner).unwrap();
        assert_eq!(meta.known_sum(), None, "C-20: {name}");
        let outer = through_doors(name, &fou, &inner, PerPacket::new()).unwrap();
        assert!(
            inspect_without_filter(&Fou::new(5555), &outer).is_ok(),
            "{name}"
        );
        let partial = PerPacket::new().with_inner_checksum(InnerChecksum::Partial);
        let refused = Err(EncapError::PartialChecksum);
        assert_eq!(
            through_doors(name, &fou, &inner, partial),
            refused,
            "C-22: {name}"
        );
        assert_eq!(
            through_doors(name, &tcp, &inner, partial),
            refused,
            "C-22: {name}"
        );
    }
}

/// C-21, P-06: an inner checksum that is wrong by some delta makes the outer one wrong by as much.
#[test]
fn c_21_an_inner_error_is_kept() {
    let broken = p_with(|p| p[28] ^= 0x20);
    let fou = over(fou());
    let outer = through_doors("C-21", &fou, &broken, PerPacket::new()).unwrap();
    let refused = inspect_without_filter(&Fou::new(5555), &outer).unwrap_err();
    assert_eq!(refused.name(), "UdpBadChecksum", "C-21");
    let sum = |packet: &[u8], protocol: u8| {
        let packet = Ipv4::parse(packet).unwrap();
        let len = u16::try_from(packet.payload().len()).unwrap();
        let header = packet.header();
        Sum::pseudo_header(header.source(), header.destination(), protocol, len)
            .add_bytes(packet.payload())
            .fold()
    };
    assert_eq!(sum(&outer, 17), sum(&broken, 17), "P-06: the same delta");
    assert_ne!(sum(&broken, 17), 0xffff);
}
