use ipencap::Span;
use ipencap::encap::{AnyTunnel, Encapsulate};
use ipencap::error::EncapError;
use ipencap::packet::Packet;

use super::rules::assert_header_by_value;
use crate::generate::{Bytes, CompositionCase};
use crate::oracle::{self, NaiveEncapsulator, NaiveStack};
use crate::registry::{Door, Subject};

type Made = (Vec<u8>, Result<Span, EncapError>);

fn wrapped(case: &CompositionCase, door: Door, tunnel: &(impl Encapsulate + ?Sized)) -> Made {
    let case = &case.encap;
    let mut buffer = vec![0xa5; case.headroom];
    buffer.extend(&case.inner.0);
    buffer.extend(&case.behind.0);
    let inner = Span::new(case.headroom, case.inner.0.len());
    let result = door.encap(tunnel, &mut buffer, inner, &case.packet);
    (buffer, result)
}

/// Hands the tuple of `layers` around `inner`, and the naive form of it, to `then`.
fn nested(
    layers: &[Box<dyn Subject>],
    inner: &dyn Encapsulate,
    naive: &dyn NaiveEncapsulator,
    then: &mut dyn FnMut(&dyn Encapsulate, &dyn NaiveEncapsulator),
) {
    match layers.split_first() {
        None => then(inner, naive),
        Some((layer, outside)) => {
            let around = NaiveStack {
                outer: layer.naive(),
                inner: naive,
            };
            nested(outside, &(inner, layer.encapsulator()), &around, then);
        }
    }
}

/// That this form of the case's tunnels makes what the tuple makes.
fn assert_form(
    case: &CompositionCase,
    form: &(impl Encapsulate + ?Sized),
    tuple: &dyn Encapsulate,
    name: &str,
) {
    assert_eq!(form.overhead(), tuple.overhead(), "{name}");
    for door in Door::ALL {
        let (bytes, result) = wrapped(case, door, tuple);
        let (made, answer) = wrapped(case, door, form);
        assert_eq!(answer, result, "{name}, {door:?}");
        assert_eq!(Bytes(made), Bytes(bytes), "{name}, {door:?}");
    }
}

/// L-08, P-05: tunnels in a tuple, in an array, in a slice, and in a slice of [`AnyTunnel`]s, which the
/// registry tells of every tunnel, are the same tunnel through every door: the same bytes, or the same
/// error and no byte changed. So are they one after the other, and their headers by value. An error names
/// the tunnel that refuses, and the one MTU that all of them leave.
pub fn law_all_compositions_agree(case: &CompositionCase) {
    let Some((first, outside)) = case.layers.split_first() else {
        let none: [AnyTunnel; 0] = [];
        let made = wrapped(case, Door::Function, none.as_slice());
        assert_eq!(made, wrapped(case, Door::Function, &()));
        return;
    };
    let dynamic: Vec<&dyn Encapsulate> = case.layers.iter().map(|it| it.encapsulator()).collect();
    let any: Option<Vec<_>> = case.layers.iter().map(|it| it.any_tunnels()).collect();
    nested(
        outside,
        first.encapsulator(),
        first.naive(),
        &mut |tuple, naive| {
            assert_form(case, dynamic.as_slice(), tuple, "slice");
            match dynamic[..] {
                [a] => assert_form(case, &[a], tuple, "array"),
                [a, b] => assert_form(case, &[a, b], tuple, "array"),
                [a, b, c] => assert_form(case, &[a, b, c], tuple, "array"),
                [a, b, c, d] => assert_form(case, &[a, b, c, d], tuple, "array"),
                _ => unreachable!("four at most"),
            }
            assert_form(case, &((), (tuple, ())), tuple, "with identities");
            if let Some(any) = &any {
                let any: Vec<AnyTunnel> = any.concat();
                assert_form(case, any.as_slice(), tuple, "any");
                assert_header_by_value(&case.encap, &any.as_slice(), naive);
            }
            one_by_one(case, tuple, naive);
            assert_header_by_value(&case.encap, tuple, naive);
        },
    );
}

/// Against the naive stack; and where nobody objects, one tunnel after the other.
fn one_by_one(case: &CompositionCase, tuple: &dyn Encapsulate, naive: &dyn NaiveEncapsulator) {
    let said = &case.encap.packet;
    let (bytes, result) = wrapped(case, Door::Function, tuple);
    let outer = match result {
        Ok(outer) => outer,
        Err(error) => {
            let mut objections = naive.objections(&case.encap.inner.0, said);
            if case.encap.headroom < tuple.overhead() {
                objections.push(EncapError::NoHeadroom {
                    need: u16::try_from(tuple.overhead()).unwrap(),
                    have: u16::try_from(case.encap.headroom).unwrap(),
                });
            }
            assert!(objections.contains(&error), "{error:?}, but {objections:?}");
            return;
        }
    };
    assert_eq!(naive.objections(&case.encap.inner.0, said), []);
    let layers = case.layers.iter().map(|it| it.decapsulator().layers());
    let layers: usize = layers.map(usize::from).sum();
    if oracle::depth(&case.encap.inner.0) + layers > 9 {
        // Deeper a tunnel that reads the packet again does not find the flow that a stack hands on (L-05).
        return;
    }
    let mut buffer = vec![0xa5; case.encap.headroom];
    buffer.extend(&case.encap.inner.0);
    buffer.extend(&case.encap.behind.0);
    let inner = Span::new(case.encap.headroom, case.encap.inner.0.len());
    let mut packet = Packet::new(&mut buffer, inner);
    let mut said = *said;
    for layer in &case.layers {
        let overhead = layer.encapsulator().overhead();
        packet.wrap(layer.encapsulator(), &said).unwrap();
        // A segment has the headers that the packet has.
        if let Some(len) = said.segment_len() {
            let len = len.saturating_add(u16::try_from(overhead).unwrap());
            said = said.with_segment_len(len);
        }
    }
    assert_eq!(packet.span(), outer);
    assert_eq!(Bytes(buffer), Bytes(bytes));
}
