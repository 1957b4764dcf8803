//! LIN: packets that a Linux kernel has sent.

use core::net::Ipv4Addr;

use ipencap::Span;
use ipencap::checksum::Sum;
use ipencap::decap::{PointToPoint, Prefix};
use ipencap::decap::{Receiver, inspect_without_filter};
use ipencap::encap::{OuterPolicy, PerPacket, TtlPolicy, Tunnel};
use ipencap::shim::{ChecksumPolicy, Gue, IpIp, SourcePort};
use ipencap::wire::{Icmpv4, IpProtocol, Ipv4, Ipv4Flags, Ipv4Header, Udp as UdpView, UdpChecksum};

use crate::Book;
use crate::decapsulation::opened;
use crate::doors::through_doors;
use crate::oracle::{L, hex};

/// LIN-01 and LIN-02 show G-13 and G-14, and F-08.
#[test]
fn lin_captured_from_linux() {
    lin(&mut Book::open());
}

pub(crate) fn lin(book: &mut Book) {
    book.each("linux", "LIN", |id, vector| {
        let packet = hex(vector);
        let outer = Ipv4::parse(&packet).expect(id);
        let header = outer.header();
        let ends = [header.source(), header.destination()];
        assert_eq!(ends, [L, Ipv4Addr::new(198, 51, 100, 2)], "{id}");
        assert_eq!(header.flags(), Ipv4Flags::DF, "{id}");
        assert_ne!(header.identification(), 0, "{id}: F-08");
        assert_eq!(outer.slack(), 0, "{id}");
        let mut rebuilt = Ipv4Header::new(ends[0], ends[1], IpProtocol::UDP, header.total_len());
        rebuilt.set_identification(header.identification());
        assert_eq!(rebuilt.as_bytes(), header.as_bytes(), "{id}: rebuilt");

        let udp = UdpView::parse(outer.payload()).expect(id);
        let status = udp.checksum_status(ends[0], ends[1]);
        assert_eq!(status, UdpChecksum::Absent, "{id}: U-06");
        assert_eq!(udp.header().destination_port(), 6080, "{id}");

        // An IP-in-IP tunnel must not take it for its own (D-04).
        let access = PointToPoint::new(ends[1], ends[0], &[Prefix::ANY]);
        let refused = opened(id, &Receiver::new(IpIp, access), &packet).unwrap_err();
        assert_eq!(refused.name(), "NotTunnel", "{id}: D-04");

        let shim_len = usize::from(udp.payload()[0] & 0x1f) * 4 + 4;
        let inner = Ipv4::parse(&udp.payload()[shim_len..]).expect(id);
        assert_eq!(inner.slack(), 0, "{id}");
        let (source, destination) = (inner.header().source(), inner.header().destination());
        // A GUE tunnel does, if the inner checksum is complete (G-13).
        let gue = Gue::new();
        let verdict = opened(id, &Receiver::new(gue, access), &packet);
        let structural = inspect_without_filter(&gue, &packet).map(|opened| opened.span());
        match id {
            "LIN-01" => {
                let bytes = &packet[20 + 8 + 4..];
                assert_eq!(verdict, Ok((bytes.to_vec(), 0, None)), "{id}: G-09");
                assert_eq!(structural, Ok(Span::new(32, bytes.len())), "{id}");

                // And it would have sent the same bytes (G-14).
                let gue = gue
                    .with_source_port(SourcePort::Fixed(udp.header().source_port()))
                    .with_checksum(ChecksumPolicy::Zero);
                let tunnel = Tunnel::new(ends[0], ends[1], gue).unwrap();
                let tunnel = tunnel.with_policy(OuterPolicy {
                    ttl: TtlPolicy::Inherit,
                    atomic_identification: 0xf89d,
                    ..OuterPolicy::DEFAULT
                });
                let sent = through_doors(id, &tunnel, bytes, PerPacket::new());
                assert_eq!(sent.as_ref(), Ok(&packet), "{id}: G-14");

                assert_eq!(header.identification(), 0xf89d, "{id}");
                let icmp = Icmpv4::parse(inner.payload()).expect(id);
                assert_eq!(icmp.header().message_type(), 8, "{id}");
            }
            "LIN-02" => {
                assert_eq!(verdict.unwrap_err().name(), "GueUnknownFlags", "{id}: G-13");
                let refused = structural.unwrap_err();
                assert_eq!(refused.name(), "GueUnknownFlags", "{id}: G-07");

                // The pseudo-header's sum where the checksum should be: what remote checksum
                // offload leaves (G-13).
                let segment = UdpView::parse(inner.payload()).expect(id);
                let len = segment.header().len();
                let pseudo = Sum::pseudo_header(source, destination, IpProtocol::UDP.0, len);
                assert_eq!(pseudo.fold(), 0x1428, "{id}");
                assert_eq!(segment.header().checksum(), 0x1428, "{id}");
                let status = segment.checksum_status(source, destination);
                assert_eq!(status, UdpChecksum::Invalid, "{id}");
                let mut mended = *segment.header();
                mended.fill_checksum(source, destination, segment.payload());
                assert_eq!(mended.checksum(), 0x6465, "{id}");
            }
            _ => panic!("{id}: no check for this vector"),
        }
    });
}
