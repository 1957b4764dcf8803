//! T40 to T48: what must not be opened, what must not be changed, and what links put in front.

use ipencap::Span;
use ipencap::decap::inspect_without_filter;
use ipencap::error::{ParseError, Reason};
use ipencap::packet::Packet;
use ipencap::shim::IpIp;
use ipencap::wire::{IpProtocol, Ipv4};
use ipencap_kit::oracle::Plain;

use crate::{A, B, L, R, inner, outer, reason, receiver, tunnel, wrap};

#[test]
fn t40_protocol_94_is_not_ip_in_ip() {
    assert_eq!(IpProtocol::IPENCAP, IpProtocol(4));
    assert!(!IpProtocol(94).is_tunnel());
    let packet = Plain {
        protocol: 94,
        ..outer()
    }
    .packet(&inner().packet(&[]));
    assert_eq!(reason(&packet), Some(Reason::NotTunnel));
    let unfiltered = inspect_without_filter(&IpIp, &packet);
    assert_eq!(unfiltered.unwrap_err().reason, Reason::NotTunnel);
}

#[test]
fn t41_failed_decapsulation_changes_nothing() {
    // Each of these would be written to (outer CE, inner ECT(0)) if a later check did not fail.
    let marked = |outer_header: Plain, inner_header: Plain| {
        Plain {
            tos: 3,
            ..outer_header
        }
        .packet(
            &Plain {
                tos: 2,
                ..inner_header
            }
            .packet(b"payload"),
        )
    };
    let packets = [
        (
            marked(
                Plain {
                    destination: A,
                    ..outer()
                },
                inner(),
            ),
            Reason::OuterDstNotLocal,
        ),
        (
            marked(
                Plain {
                    source: B,
                    ..outer()
                },
                inner(),
            ),
            Reason::UnknownPeer,
        ),
        (
            marked(outer(), Plain { ttl: 0, ..inner() }),
            Reason::InnerTtlZero,
        ),
        (
            marked(
                outer(),
                Plain {
                    destination: L,
                    ..inner()
                },
            ),
            Reason::LoopToPeer,
        ),
        (
            marked(
                outer(),
                Plain {
                    source: R,
                    ..inner()
                },
            ),
            Reason::InnerSourceIsLocal,
        ),
    ];
    for (packet, expected) in packets {
        let mut buffer = [&[0xa5; 3], &packet[..], &[0xa5; 3]].concat();
        let before = buffer.clone();
        let span = Span::new(3, packet.len());
        let mut place = Packet::new(&mut buffer, span);
        assert_eq!(place.open(&receiver()).unwrap_err().reason, expected);
        assert_eq!(place.span(), span);
        assert_eq!(place.as_slice(), packet);
        let refused = ipencap::decap(&receiver(), span.get_mut(&mut buffer).unwrap());
        assert_eq!(refused.unwrap_err().reason, expected);
        assert_eq!(buffer, before);
    }
    // LAND comes last, behind ECN: even there nothing has been written.
    let mut land = marked(
        outer(),
        Plain {
            source: B,
            ..inner()
        },
    );
    let before = land.clone();
    let refused = ipencap::decap(&receiver().refusing_land(), &mut land).unwrap_err();
    assert_eq!(refused.reason, Reason::InnerSourceEqualsDestination);
    assert_eq!(land, before);
    assert!(
        ipencap::decap(&receiver(), &mut land)
            .unwrap()
            .opened
            .changes_bytes()
    );
}

#[test]
fn t48_address_family_prefix_of_a_tun_device() {
    let packet = inner().packet(b"payload");
    // Linux's packet information, macOS's address family in both byte orders.
    for prefix in [[0, 0, 8, 0], [0, 0, 0, 2], [2, 0, 0, 0]] {
        let prefixed = [&prefix[..], &packet].concat();
        let error = ParseError::BadVersion { version: 0 };
        assert_eq!(Ipv4::parse(&prefixed).err(), Some(error));
        assert_eq!(wrap(&tunnel(), &prefixed), Err(error.into()));
        assert!(error.to_string().contains("skip a link prefix"), "{error}");
        assert!(Ipv4::parse(&prefixed[4..]).is_ok());
    }
}
