//! Room for IPv6: an encapsulator with an outer header of 40 bytes, of another IP version, written
//! outside of the crate with nothing but its public interface.
//!
//! What it proves: the traits, the doors and the verdict do not know that outer headers are IPv4 and
//! 20 bytes long, so IPv6 can come without a changed signature.

#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    reason = "a test that panics fails"
)]

use core::net::{Ipv4Addr, Ipv6Addr};

use ipencap::Span;
use ipencap::decap::{Decapsulate, Opened, OuterPacket, Receiver};
use ipencap::decap::{PointToPoint, Prefix};
use ipencap::encap::{AnyTunnel, Encapsulate, PerPacket, Rules, Tunnel, header};
use ipencap::error::{EncapError, ParseError, Reason, Refused};
use ipencap::packet::{Facts, Packet};
use ipencap::shim::IpIp;
use ipencap::wire::{Ecn, EcnAlarm, Ipv4};
use ipencap_kit::oracle::{self, Plain};

const HEADER_LEN: usize = 40;

/// IPv4 in something like IPv6 (RFC 2473): version 6, traffic class, payload length, next header 4,
/// hop limit, two addresses of 16 bytes.
#[derive(Clone, Copy, Debug)]
struct FourInSix {
    source: Ipv6Addr,
    destination: Ipv6Addr,
    hop_limit: u8,
}

impl Encapsulate for FourInSix {
    fn overhead(&self) -> usize {
        HEADER_LEN
    }

    fn check(&self, inner: &Facts, _: &PerPacket, _: Rules) -> Result<Facts, EncapError> {
        if inner.version() != 4 {
            let version = inner.version();
            return Err(ParseError::BadVersion { version }.into());
        }
        if inner.ttl() == 0 {
            return Err(EncapError::TtlZero);
        }
        // The payload length has 16 bits of its own: every IPv4 packet fits.
        Ok(inner.inside_version(6, 40, inner.tos()))
    }

    fn write(&self, frame: &mut [u8], inner: &Facts, _: &PerPacket, _: Rules) -> Facts {
        let outer = inner.inside_version(6, 40, inner.tos());
        let Some((header, _)) = frame.split_first_chunk_mut::<HEADER_LEN>() else {
            return outer;
        };
        let traffic_class = outer.tos();
        header[0] = 0x60 | traffic_class >> 4;
        header[1] = traffic_class << 4;
        header[2..4].fill(0);
        header[4..6].copy_from_slice(&u16::try_from(inner.len()).unwrap().to_be_bytes());
        header[6] = 4;
        header[7] = self.hop_limit;
        header[8..24].copy_from_slice(&self.source.octets());
        header[24..].copy_from_slice(&self.destination.octets());
        outer
    }
}

/// The other end: one peer, checked before anything else, as D-05 to D-07 ask.
#[derive(Clone, Copy, Debug)]
struct SixFromFour {
    local: Ipv6Addr,
    peer: Ipv6Addr,
}

impl Decapsulate for SixFromFour {
    /// What it opens is never IPv4.
    fn recognises(&self, _outer: Ipv4<'_>) -> bool {
        false
    }

    fn inspect_outer(&self, arrived: OuterPacket<'_>) -> Result<Opened, Refused> {
        let bytes = arrived.bytes();
        let Some((header, payload)) = bytes.split_first_chunk::<HEADER_LEN>() else {
            let have = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
            let error = ParseError::Truncated { need: 40, have };
            return Err(Refused::truncated(Reason::OuterTruncated, error));
        };
        if header[0] >> 4 != 6 {
            return Err(Refused::new(Reason::OuterBadVersion));
        }
        if header[6] != 4 {
            return Err(Refused::new(Reason::NotTunnel));
        }
        if header[24..] != self.local.octets() {
            return Err(Refused::new(Reason::OuterDstNotLocal));
        }
        if header[8..24] != self.peer.octets() {
            return Err(Refused::new(Reason::UnknownPeer));
        }
        let len = usize::from(oracle::u16_at(header, 4));
        let have = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        let error = ParseError::Truncated { need: 40, have };
        let payload = payload
            .get(..len)
            .ok_or_else(|| Refused::truncated(Reason::OuterTruncated, error))?;
        let inner = Ipv4::parse(payload).map_err(Refused::inner)?;
        if inner.header().ttl() == 0 {
            return Err(Refused::new(Reason::InnerTtlZero));
        }
        let outer_ecn = Ecn::from_bits_truncated(header[1] >> 4);
        let ecn = inner
            .header()
            .ecn()
            .decapsulated(outer_ecn)
            .ok_or(Refused::new(Reason::EcnDrop))?;
        let span = Span::new(HEADER_LEN, usize::from(inner.header().total_len()));
        Ok(arrived.opened(span).with_ecn(inner, ecn))
    }
}

const fn sender() -> FourInSix {
    FourInSix {
        source: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1),
        destination: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2),
        hop_limit: 64,
    }
}

const fn receiver() -> SixFromFour {
    SixFromFour {
        local: sender().destination,
        peer: sender().source,
    }
}

fn inner(tos: u8) -> Vec<u8> {
    Plain {
        tos,
        identification: 0x1234,
        flags_offset: 0x4000,
        ttl: 64,
        protocol: 253,
        source: [10, 1, 0, 5],
        destination: [10, 2, 0, 9],
        options: vec![1, 1, 1, 0],
    }
    .packet(b"whatever is inside")
}

/// What the encapsulator must write in front of `inner`, byte by byte.
fn expected(inner: &[u8]) -> Vec<u8> {
    let (tos, len) = (inner[1], u16::try_from(inner.len()).unwrap());
    let mut bytes = vec![0x60 | tos >> 4, tos << 4, 0, 0];
    bytes.extend(len.to_be_bytes());
    bytes.extend([4, 64]);
    bytes.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    bytes.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    bytes.extend(inner);
    bytes
}

/// A poisoned buffer with `packet` behind `headroom` bytes, and some slack behind it.
fn staged(headroom: usize, packet: &[u8]) -> (Vec<u8>, Span) {
    let buffer = [&vec![0xa5; headroom], packet, &[0x5a; 5]].concat();
    (buffer, Span::new(headroom, packet.len()))
}

#[test]
fn every_door_takes_an_outer_header_of_40_bytes() {
    let tunnel = sender();
    let erased: &dyn Encapsulate = &tunnel;
    let said = PerPacket::new();
    let packet = inner(0xb8);
    let outer = expected(&packet);

    let (mut buffer, span) = staged(47, &packet);
    assert_eq!(
        ipencap::encap(&tunnel, &mut buffer, span, &said).unwrap(),
        outer
    );
    assert_eq!(buffer[..7], [0xa5; 7]);
    let (mut buffer, span) = staged(47, &packet);
    assert_eq!(
        ipencap::encap(erased, &mut buffer, span, &said).unwrap(),
        outer
    );

    let (mut buffer, span) = staged(40, &packet);
    let mut place = Packet::new(&mut buffer, span);
    place.wrap(&tunnel, &said).unwrap();
    assert_eq!(
        (place.as_slice(), place.headroom(), place.tailroom()),
        (&outer[..], 0, 5)
    );
    let (mut buffer, span) = staged(40, &packet);
    let mut place = Packet::new(&mut buffer, span);
    place.wrap(erased, &said).unwrap();
    assert_eq!(place.as_slice(), outer);

    let (mut buffer, span) = staged(40, &packet);
    let proven = Packet::new(&mut buffer, span).prove().unwrap();
    assert_eq!(proven.wrap(&tunnel, &said).unwrap(), outer);
    let (mut buffer, span) = staged(40, &packet);
    let proven = Packet::new(&mut buffer, span).prove().unwrap();
    assert_eq!(proven.wrap(erased, &said).unwrap(), outer);

    let facts = Facts::read(&packet).unwrap();
    let made = tunnel.check(&facts, &said, Rules::Explained).unwrap();
    assert_eq!(
        (made.version(), usize::try_from(made.len())),
        (6, Ok(outer.len()))
    );
    let by_value = header::<40, _>(&tunnel, &facts, &said).unwrap();
    assert_eq!(by_value.as_slice(), &outer[..40]);
}

#[test]
fn refusals_change_nothing_p_03() {
    let tunnel = sender();
    let said = PerPacket::new();
    for headroom in 0..40 {
        let (mut buffer, span) = staged(headroom, &inner(0));
        let before = buffer.clone();
        let have = u16::try_from(headroom).unwrap();
        let error = EncapError::NoHeadroom { need: 40, have };
        assert_eq!(
            ipencap::encap(&tunnel, &mut buffer, span, &said).unwrap_err(),
            error
        );
        let mut place = Packet::new(&mut buffer, span);
        assert_eq!(place.wrap(&tunnel, &said), Err(error));
        assert_eq!(place.span(), span);
        assert_eq!(buffer, before);
    }
    let mut dead = inner(0);
    dead[8] = 0;
    oracle::fill_checksum(&mut dead);
    let (mut buffer, span) = staged(40, &dead);
    let before = buffer.clone();
    let error = ipencap::encap(&tunnel, &mut buffer, span, &said).unwrap_err();
    assert_eq!((error, buffer), (EncapError::TtlZero, before));
}

#[test]
fn what_goes_in_comes_out_through_every_door_p_02() {
    let receiver = receiver();
    let erased: &dyn Decapsulate = &receiver;
    for tos in 0..=255u8 {
        let packet = inner(tos);
        let mut outer = expected(&packet);
        assert!(!receiver.inspect(&outer).unwrap().changes_bytes());
        let opened = ipencap::decap(&receiver, &mut outer).unwrap();
        assert_eq!(opened.packet, packet);
        assert_eq!(opened.opened.span(), Span::new(40, packet.len()));
        let mut again = expected(&packet);
        assert_eq!(ipencap::decap(erased, &mut again).unwrap().packet, packet);

        let (mut buffer, span) = staged(3, &expected(&packet));
        let mut place = Packet::new(&mut buffer, span);
        let opened = place.open(&receiver).unwrap();
        assert_eq!(opened.layers(), 1);
        assert_eq!((place.as_slice(), place.headroom()), (&packet[..], 43));
    }
}

#[test]
fn ecn_follows_rfc_6040_n_10() {
    for (index, &result) in oracle::ECN_DECAPSULATED.iter().enumerate() {
        let [inner_ecn, outer_ecn] = [index / 4, index % 4].map(|ecn| u8::try_from(ecn).unwrap());
        let mut outer = expected(&inner(0x28 | inner_ecn));
        outer[1] = outer[1] & 0xcf | outer_ecn << 4;
        let before = outer.clone();
        match ipencap::decap(&receiver(), &mut outer) {
            Ok(opened) => {
                assert_eq!(opened.packet, inner(0x28 | result), "N-11");
                let changes = opened.opened.changes_bytes();
                assert_eq!(changes, result != inner_ecn, "N-12");
            }
            Err(refused) => {
                assert_eq!((refused.reason, result), (Reason::EcnDrop, oracle::DROP));
                assert_eq!(outer, before);
            }
        }
    }
}

/// D-01, D-05, D-07.
#[test]
fn refused_packets_have_the_reasons_of_a_receiver() {
    let changed = |at: usize, value: u8| {
        let mut outer = expected(&inner(0));
        outer[at] = value;
        let before = outer.clone();
        let refused = ipencap::decap(&receiver(), &mut outer).unwrap_err();
        assert_eq!(outer, before);
        refused.reason
    };
    assert_eq!(changed(0, 0x45), Reason::OuterBadVersion);
    assert_eq!(changed(6, 41), Reason::NotTunnel);
    assert_eq!(changed(39, 3), Reason::OuterDstNotLocal);
    assert_eq!(changed(23, 3), Reason::UnknownPeer);
    assert_eq!(changed(5, 200), Reason::OuterTruncated);
    assert_eq!(changed(5, 10), Reason::InnerTruncated);
    assert_eq!(changed(40, 0x60), Reason::InnerBadVersion);
    assert_eq!(changed(51, 0), Reason::InnerBadChecksum);
    let refused = receiver().inspect(&[0x60; 39]).unwrap_err();
    assert_eq!((refused.need, refused.have), (40, 39));
}

fn ipip() -> Tunnel<IpIp> {
    let [source, destination] = [[198, 51, 100, 1], [203, 0, 113, 2]].map(Ipv4Addr::from);
    Tunnel::new(source, destination, IpIp).unwrap()
}

static ANY: [Prefix; 1] = [Prefix::ANY];

/// The closure over IPv4 is kept by values, not by types: an IPv4 encapsulator says no (E-02).
#[test]
fn ipip_refuses_to_wrap_the_result_e_02() {
    let said = PerPacket::new();
    let error = EncapError::from(ParseError::BadVersion { version: 6 });
    let packet = inner(0);
    let (mut buffer, span) = staged(60, &packet);
    let mut place = Packet::new(&mut buffer, span);
    place.wrap(&sender(), &said).unwrap();
    let once = place.span();
    assert_eq!(place.wrap(&ipip(), &said), Err(error));
    assert_eq!(place.span(), once);
    assert_eq!(place.as_slice(), expected(&packet));
    assert_eq!(
        ipencap::encap(&ipip(), &mut buffer, once, &said).unwrap_err(),
        error
    );

    // Also by values alone, before a byte is written.
    let facts = Facts::read(&packet).unwrap();
    let made = sender().check(&facts, &said, Rules::Explained).unwrap();
    assert_eq!(header::<20, _>(&ipip(), &made, &said), Err(error));
    for rules in [Rules::Explained, Rules::HeadersOnly] {
        assert_eq!(ipip().check(&made, &said, rules), Err(error));
        assert_eq!(
            AnyTunnel::from(ipip()).check(&made, &said, rules),
            Err(error)
        );
    }
    for rules in [Rules::Common, Rules::All] {
        assert!(ipip().check(&made, &said, rules).is_err());
    }
    assert_eq!(sender().check(&made, &said, Rules::Explained), Err(error));
    let upside_down = (sender(), ipip());
    let (mut buffer, span) = staged(60, &packet);
    let before = buffer.clone();
    assert_eq!(
        ipencap::encap(&upside_down, &mut buffer, span, &said).unwrap_err(),
        error
    );
    assert_eq!(buffer, before);
}

/// Around an IPv4 tunnel it is a layer as any other, in both directions.
#[test]
fn stacks_around_ipip_l_08_n_18() {
    let tunnel = (ipip(), sender());
    assert_eq!(tunnel.overhead(), 60);
    let packet = inner(0x02);
    let (mut buffer, span) = staged(60, &packet);
    let outer = ipencap::encap(&tunnel, &mut buffer, span, &PerPacket::new())
        .unwrap()
        .to_vec();
    let (mut middle, span) = staged(20, &packet);
    let middle = ipencap::encap(&ipip(), &mut middle, span, &PerPacket::new()).unwrap();
    assert_eq!(outer, expected(middle));

    let access = PointToPoint::new(ipip().destination(), ipip().source(), &ANY);
    let both_ends = (Receiver::new(IpIp, access), receiver());
    let mut arrived = outer.clone();
    let opened = ipencap::decap(&both_ends, &mut arrived).unwrap();
    assert_eq!(opened.packet, packet);
    assert_eq!(
        (opened.opened.layers(), opened.opened.span().start),
        (2, 60)
    );

    // A mark on the outermost header reaches the packet through the layer between.
    let mut marked = outer;
    marked[1] |= 0x30;
    let opened = ipencap::decap(&both_ends, &mut marked).unwrap();
    assert_eq!(opened.packet, inner(0x03));
    assert_eq!(opened.opened.alarm(), None::<EcnAlarm>);
}
