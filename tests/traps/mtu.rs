//! T43 and T47: overheads that exceed the link, and padding.

use ipencap::encap::{PerPacket, Tunnel};
use ipencap::error::EncapError;
use ipencap::mtu::Overhead;
use ipencap::shim::IpIp;
use ipencap::{Span, encap};

use crate::{inner, tunnel};

/// openconnect#80 computed an MTU of -20.
#[test]
fn t43_o_05_overhead_beyond_the_link_is_none() {
    let nested = Overhead::IPIP.repeat(10);
    assert_eq!(nested.bytes(), Some(200));
    for link in [0, 1, 20, 67, 68, 199, 200, 267] {
        assert_eq!(nested.inner_mtu(link), None, "a link of {link}");
        assert_eq!(nested.tcp_mss(link), None, "a link of {link}");
        assert!(nested.efficiency(link).is_none(), "a link of {link}");
    }
    assert_eq!(
        nested.inner_mtu(268),
        Some(68),
        "O-05: what every link must carry"
    );
    assert_eq!(nested.tcp_mss(268), Some(28));
    let absurd = Overhead::of(u32::MAX).around(Overhead::IPIP);
    assert_eq!(absurd.bytes(), None);
    assert_eq!(absurd.inner_mtu(u32::MAX), None);
    assert_eq!(absurd.link_mtu(1500), None);
}

/// An MTU that somebody has forged makes an error, not a length below zero, and no byte changes.
#[test]
fn t43_silly_mtu_of_the_link() {
    let far = Tunnel::new([192, 0, 2, 1].into(), [192, 0, 2, 2].into(), IpIp).unwrap();
    let stack = (tunnel(), far);
    let packet = inner().packet(&[0x42; 100]);
    for (mtu, expected) in [
        (0, 0),
        (19, 0),
        (20, 0),
        (39, 0),
        (40, 0),
        (67, 27),
        (159, 119),
    ] {
        let mut buffer = [&[0xa5; 40], &packet[..]].concat();
        let before = buffer.clone();
        let said = PerPacket::new().with_link_mtu(mtu);
        let answer = encap(&stack, &mut buffer, Span::new(40, 120), &said);
        let needed = EncapError::FragmentationNeeded { mtu: expected };
        assert_eq!(answer.err(), Some(needed), "{mtu}");
        assert_eq!(buffer, before);
    }
    let mut buffer = [&[0xa5; 40], &packet[..]].concat();
    let said = PerPacket::new().with_link_mtu(160);
    assert!(encap(&stack, &mut buffer, Span::new(40, 120), &said).is_ok());
}

/// cilium#45940: 1420 + 80 = 1500, but 1420 is no multiple of 16.
#[test]
fn t47_padding_to_16() {
    let wireguard = Overhead::of(80).around(Overhead::padding(16));
    assert_eq!(wireguard.outer_len(1420), Some(1504));
    assert_eq!(wireguard.outer_len(1408), Some(1488));
    assert_eq!(wireguard.inner_mtu(1500), Some(1408));
    assert_eq!(wireguard.inner_mtu(1504), Some(1424));
    assert_eq!(wireguard.link_mtu(1420), Some(1504));
    for link in 160..2000 {
        let Some(mtu) = wireguard.inner_mtu(link) else {
            continue;
        };
        assert!(mtu.next_multiple_of(16) + 80 <= link);
        assert!(
            (mtu + 1).next_multiple_of(16) + 80 > link,
            "one more would fit"
        );
    }
    // And inside another tunnel, which does not know of it.
    let nested = Overhead::IPIP.around(wireguard);
    assert_eq!(nested.outer_len(1401), Some(20 + 1408 + 80));
}

/// WireGuard itself: the padding ends at the device's MTU, and 1420 + 80 is 1500.
#[test]
fn t47_padding_clamped_to_the_device_mtu() {
    let over_ipv6 = Overhead::of(80).around(Overhead::clamped_padding(16, 1420));
    assert_eq!(over_ipv6.inner_mtu(1500), Some(1420));
    assert_eq!(over_ipv6.tcp_mss(1500), Some(1380));
    // Inner length and outer: whole blocks as far as they fit, then the MTU. More does not pass.
    for (inner_len, outer_len) in [
        (1, Some(96)),
        (1392, Some(1472)),
        (1393, Some(1488)),
        (1408, Some(1488)),
        (1409, Some(1500)),
        (1420, Some(1500)),
        (1421, None),
    ] {
        assert_eq!(over_ipv6.outer_len(inner_len), outer_len, "{inner_len}");
    }
    // The link is too narrow for the MTU: whole blocks, as if nothing were clamped.
    assert_eq!(over_ipv6.inner_mtu(1499), Some(1408));
    assert_eq!(over_ipv6.inner_mtu(1487), Some(1392));
    // It is wider: the device carries no more.
    for link in [1501, 1600, 9000, u32::MAX] {
        assert_eq!(over_ipv6.inner_mtu(link), Some(1420), "{link}");
    }
    assert_eq!(over_ipv6.max_inner_len(), Some(1420));
    assert_eq!(over_ipv6.bytes(), None);

    // Over IPv4, with the same device and with the widest.
    let over_ipv4 = |mtu| Overhead::of(60).around(Overhead::clamped_padding(16, mtu));
    assert_eq!(over_ipv4(1420).inner_mtu(1500), Some(1420));
    assert_eq!(over_ipv4(1420).link_mtu(1420), Some(1480));
    assert_eq!(over_ipv4(1440).inner_mtu(1500), Some(1440));

    // IP-in-IP inside: the device sees 20 bytes more. WireGuard inside WireGuard: both clamp.
    let ipip_inside = over_ipv6.around(Overhead::IPIP);
    assert_eq!(ipip_inside.inner_mtu(1500), Some(1400));
    assert_eq!(ipip_inside.outer_len(1389), Some(1500));
    assert_eq!(ipip_inside.outer_len(1388), Some(1488));
    let inner = Overhead::of(60).around(Overhead::clamped_padding(16, 1360));
    let twice = over_ipv6.around(inner);
    assert_eq!(twice.inner_mtu(1500), Some(1360));
    assert_eq!(twice.outer_len(1345), Some(1500));
    assert_eq!(twice.outer_len(1344), Some(1488));

    // A clamp that no packet reaches is none; one that all exceed lets nothing through.
    let unclamped = Overhead::clamped_padding(16, 65_535);
    assert_eq!(unclamped.outer_len(65_519), Some(65_520));
    assert_eq!(unclamped.outer_len(65_521), Some(65_535));
    assert_eq!(
        Overhead::clamped_padding(16, 67).inner_mtu(1500),
        None,
        "O-05"
    );
    assert_eq!(Overhead::clamped_padding(0, 1420).outer_len(1), None);
}
