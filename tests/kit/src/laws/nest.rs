use ipencap::Span;
use ipencap::decap::{Decapsulate, MAX_NESTING, Opened, OuterPacket, inspect_nested};
use ipencap::encap::Encapsulate;
use ipencap::error::{EncapError, Reason};
use ipencap::packet::Packet;
use ipencap::wire::{EcnAlarm, Ipv4};

use super::numbered;
use crate::generate::{Bytes, NestCase};
use crate::oracle;

/// The innermost packet as it leaves the last tunnel.
pub(super) fn travelled(case: &NestCase) -> Vec<u8> {
    let mut inner = case.inner.bytes.0.clone();
    for layer in &case.layers {
        inner[8] -= layer.naive().hops();
        if !layer.naive().is_transparent() {
            break;
        }
    }
    oracle::fill_checksum(&mut inner);
    inner
}

/// Whether no layer meets more IP-in-IP headers than are looked behind for the flow inside (L-05). With
/// more, a stack, whose layers hand on what the innermost has found, and one layer after the other,
/// which each look again, choose different source ports.
fn is_looked_through(case: &NestCase) -> bool {
    let layers = case.layers.iter().map(|it| it.decapsulator().layers());
    let layers: usize = layers.map(usize::from).sum();
    oracle::depth(&case.inner.bytes.0) + layers <= 9
}

/// Wraps the case's packet in all of its layers; `None` for a fragment that minimal encapsulation
/// must not carry, and for what is [too deep](is_looked_through).
pub(super) fn nested(case: &NestCase) -> Option<Vec<u8>> {
    if !is_looked_through(case) {
        return None;
    }
    let inner = &case.inner.bytes.0;
    let said = numbered(case.ordinal);
    let objections = case.layers[0].naive().objections(inner, &said);
    let overhead: usize = case
        .layers
        .iter()
        .map(|layer| layer.encapsulator().overhead())
        .sum();
    let mut buffer = vec![0xa5; overhead];
    buffer.extend(inner);
    let mut packet = Packet::new(&mut buffer, Span::new(overhead, inner.len()));
    for layer in &case.layers {
        if objections == [EncapError::Fragment] {
            assert_eq!(
                packet.wrap(layer.encapsulator(), &said),
                Err(EncapError::Fragment)
            );
            return None;
        }
        let expected = layer.naive().outer(packet.as_slice(), &said);
        packet.wrap(layer.encapsulator(), &said).unwrap();
        assert_eq!(Bytes(packet.as_slice().to_vec()), Bytes(expected));
    }
    assert_eq!(packet.headroom(), 0);
    Some(buffer)
}

/// P-02, P-05: what goes into up to four tunnels comes out of them, byte for byte.
pub fn law_roundtrip(case: &NestCase) {
    let Some(mut buffer) = nested(case) else {
        return;
    };
    let len = buffer.len();
    let mut packet = Packet::new(&mut buffer, Span::new(0, len));
    for layer in case.layers.iter().rev() {
        let opened = packet.open(layer.decapsulator()).unwrap();
        assert_eq!(opened.slack(), 0);
        assert_eq!(opened.layers(), layer.decapsulator().layers());
    }
    assert_eq!(packet.tailroom(), 0);
    assert_eq!(Bytes(packet.as_slice().to_vec()), Bytes(travelled(case)));
}

/// P-02: the receiver that a tunnel makes opens what the tunnel sends, with what is inside.
pub fn law_matching_receiver_opens(case: &NestCase) {
    let Some(mut buffer) = nested(case) else {
        return;
    };
    let len = buffer.len();
    let mut packet = Packet::new(&mut buffer, Span::new(0, len));
    for layer in case.layers.iter().rev() {
        let opened = packet.open(&*layer.matching_receiver()).unwrap();
        assert_eq!(opened.slack(), 0);
        assert_eq!(opened.layers(), layer.decapsulator().layers());
    }
    assert_eq!(Bytes(packet.as_slice().to_vec()), Bytes(travelled(case)));
}

/// N-18: inspecting layer by layer without writing sees the same as opening layer by layer, also
/// when a router has marked the outermost packet.
pub fn law_nested_inspection_equals_sequential(case: &NestCase) {
    let Some(mut marked) = nested(case) else {
        return;
    };
    marked[1] = marked[1] & 0xfc | case.mark;
    oracle::fill_checksum(&mut marked);

    let tunnels: Vec<&dyn Decapsulate> = case.layers.iter().map(|it| it.decapsulator()).collect();
    let at_once = inspect_nested(&tunnels, &marked, MAX_NESTING);

    let mut written = marked.clone();
    let mut place = Span::new(0, marked.len());
    let mut before: Option<Opened> = None;
    let (mut depth, mut alarms) = (0, Vec::new());
    for layer in case.layers.iter().rev() {
        let arrived = match &before {
            None => OuterPacket::new(&marked),
            Some(opened) => opened.outer_packet(&marked),
        };
        let step = ipencap::decap(layer.decapsulator(), place.get_mut(&mut written).unwrap())
            .map(|inner| inner.opened);
        let inspected = layer
            .decapsulator()
            .inspect_outer(arrived.expecting_tunnel());
        assert_eq!(inspected.err(), step.err());
        let (opened, step) = match (inspected, step) {
            (Ok(opened), Ok(step)) => (opened, step),
            (_, refused) => {
                assert_eq!(
                    at_once.err(),
                    refused.err().map(|refused| refused.inside(depth))
                );
                return;
            }
        };
        assert_eq!(
            (opened.slack(), opened.tag(), opened.alarm()),
            (step.slack(), step.tag(), step.alarm())
        );
        depth += opened.layers();
        alarms.extend(opened.alarm());
        // Spans of an inspection count from the start of the buffer, those of a step from its packet.
        place = Span::new(place.start + step.span().start, step.span().len);
        assert_eq!(opened.span(), place);
        let arrived = opened.outer_packet(&marked);

        let mut storage = None;
        let unwritten = arrived.parse(&mut storage).unwrap();
        let delivered = Ipv4::parse(place.get(&written).unwrap()).unwrap();
        assert_eq!(unwritten.header(), delivered.header());
        assert_eq!(unwritten.option_bytes(), delivered.option_bytes());
        assert_eq!(unwritten.payload().len(), delivered.payload().len());
        before = Some(opened);
    }
    assert_eq!(place.len, case.inner.bytes.0.len());

    // Of unknown depth: the same, with the worst alarm; and never one layer more than allowed.
    let opened = at_once.unwrap();
    assert_eq!((opened.span(), opened.layers()), (place, depth));
    let worst = [EcnAlarm::Dangerous, EcnAlarm::Possible]
        .into_iter()
        .find(|alarm| alarms.contains(alarm));
    assert_eq!(opened.alarm(), worst, "N-13");
    let layers = case.layers.iter().map(|it| it.decapsulator().layers());
    if depth > 1 && layers.into_iter().all(|layers| layers == 1) {
        let refused = inspect_nested(&tunnels, &marked, depth - 1).unwrap_err();
        let expected = (Reason::NestingLimit, depth - 1);
        assert_eq!((refused.reason, refused.layer), expected, "L-02");
    }
}

/// P-05: a stack is its layers one after the other, however it is bracketed, and `()` is nothing; in
/// both directions.
pub fn law_stack_is_associative(case: &NestCase) {
    if !is_looked_through(case) {
        return;
    }
    let identity: &dyn Encapsulate = &();
    let [a, b, c] = [0, 1, 2].map(|place| {
        let layer = case.layers.get(place);
        layer.map_or(identity, |layer| layer.encapsulator())
    });
    let left = ((a, b), c);
    let right = (a, (b, c));
    let with_identities = (((), right), ());
    let overhead = left.overhead();
    assert_eq!(right.overhead(), overhead);
    assert_eq!(with_identities.overhead(), overhead);

    let inner = &case.inner.bytes.0;
    let said = numbered(case.ordinal);
    let wrap = |tunnel: &dyn Encapsulate| {
        let mut buffer = vec![0xa5; overhead];
        buffer.extend(inner);
        let place = Span::new(overhead, inner.len());
        ipencap::encap(tunnel, &mut buffer, place, &said).map(|outer| Bytes(outer.to_vec()))
    };
    let made = wrap(&left);
    assert_eq!(wrap(&right), made);
    assert_eq!(wrap(&with_identities), made);
    let mut one_by_one = vec![0xa5; overhead];
    one_by_one.extend(inner);
    let mut place = Packet::new(&mut one_by_one, Span::new(overhead, inner.len()));
    let result = [a, b, c]
        .iter()
        .try_for_each(|tunnel| place.wrap(*tunnel, &said));
    assert_eq!(result.err(), made.as_ref().err().copied());
    let Ok(Bytes(made)) = made else {
        return;
    };
    assert_eq!(Bytes(place.as_slice().to_vec()), Bytes(made.clone()));

    let identity: &dyn Decapsulate = &();
    let [a, b, c] = [0, 1, 2].map(|place| {
        let layer = case.layers.get(place);
        layer.map_or(identity, |layer| layer.decapsulator())
    });
    let opened = ((a, b), c).inspect(&made).unwrap();
    assert_eq!((a, (b, c)).inspect(&made), Ok(opened));
    assert_eq!([a, b, c].inspect(&made), Ok(opened));
    assert_eq!([a, b, c].as_slice().inspect(&made), Ok(opened));
    assert_eq!((((a, b), c), ()).inspect(&made), Ok(opened));
    assert_eq!(((), ((a, b), c)).inspect(&made), Ok(opened));
    assert_eq!(([a, b], [c]).inspect(&made), Ok(opened));
}
