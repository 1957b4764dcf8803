//! Peers of a tunnel endpoint: whose packets are whose.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "tests index and unwrap what they have built; a panic is how they fail"
)]

use core::net::Ipv4Addr;

use ipencap::decap::Prefix;
use ipencap::encap::{Encapsulate, PerPacket, Tunnel};
use ipencap::packet::{Quote, Span};
use ipencap::shim::{Fou, IpIp};
use ipencap::tunnel::{OnePeer, Peers, TwoWay};
use ipencap::wire::{IpProtocol, Ipv4Header};

const HERE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const THERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);

/// I-20: what goes to the peer is recognised in ICMP errors by the shim that sends.
#[test]
fn a_tunnel_with_two_shims_recognises_what_it_has_sent() {
    let sending = Tunnel::new(HERE, THERE, Fou::new(5555)).unwrap();
    let tunnel = TwoWay::new(sending, Fou::new(5556));
    let mut buffer = vec![0; 28];
    let (source, destination) = (Ipv4Addr::new(10, 1, 0, 5), Ipv4Addr::new(10, 2, 0, 9));
    let header = Ipv4Header::new(source, destination, IpProtocol(253), 100);
    buffer.extend(header.as_bytes());
    buffer.resize(28 + 100, 7);
    let outer = ipencap::encap(&tunnel, &mut buffer, Span::new(28, 100), &PerPacket::new());
    let outer = outer.unwrap();
    let quote = Quote::parse(&outer[..56]).unwrap();
    assert_eq!(tunnel.inside_quote(quote).unwrap().packet(), &outer[28..56]);

    let received = Tunnel::new(HERE, THERE, Fou::new(5556)).unwrap();
    assert!(received.inside_quote(quote).is_none());
}

/// D-17: a default route to the peer does not widen what the peer may send.
#[test]
fn a_default_route_is_for_sending_only() {
    let behind = ["10.2.0.0/16".parse::<Prefix>().unwrap()];
    let peers = OnePeer::new(Tunnel::new(HERE, THERE, IpIp).unwrap(), &behind);
    let (inside, outside) = (Ipv4Addr::new(10, 2, 0, 9), Ipv4Addr::new(10, 3, 0, 9));
    let peer = peers.owner(0, inside).unwrap();
    assert_eq!(peers.owner(0, outside), None);
    let peers = peers.with_default_route();
    let views: [&dyn Peers<Tunnel = Tunnel<IpIp>>; 2] = [&peers, &&peers];
    for peers in views {
        assert_eq!(peers.owner(0, inside), Some(peer));
        assert_eq!(peers.owner(0, outside), Some(peer));
        assert_eq!(peers.owner(1, outside), None);
        assert!(peers.allows(peer, 0, inside));
        assert!(!peers.allows(peer, 0, outside));
        assert!(!peers.allows(peer, 1, inside));
    }
}
