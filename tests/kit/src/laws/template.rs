use ipencap::Span;
use ipencap::encap::{Encapsulate, IpIp, Layer, PerPacket, Stack, Template};
use ipencap::error::EncapError;
use ipencap::packet::PacketMeta;
use ipencap::wire::Ipv4Header;

use crate::generate::{Bytes, CompositionCase};
use crate::registry::Door;

type Made = (Vec<u8>, Result<Span, EncapError>);

fn wrapped(case: &CompositionCase, door: Door, tunnel: &dyn Encapsulate) -> Made {
    let case = &case.encap;
    let mut buffer = vec![0xa5; case.headroom];
    buffer.extend(&case.inner.0);
    buffer.extend(&case.behind.0);
    let inner = Span::new(case.headroom, case.inner.0.len());
    let result = door.encap(tunnel, &mut buffer, inner, &case.packet);
    (buffer, result)
}

/// Hands the stack of `layers` around `inner` to `then`.
fn stacked<T>(
    layers: &[Layer],
    inner: &dyn Encapsulate,
    then: &mut dyn FnMut(&dyn Encapsulate) -> T,
) -> T {
    match layers.split_first() {
        None => then(inner),
        Some((layer, outside)) => {
            let outer: &dyn Encapsulate = layer;
            stacked(outside, &Stack { outer, inner }, then)
        }
    }
}

fn ipip(layers: &[Layer]) -> Vec<IpIp> {
    let ipip = |layer: &Layer| match layer {
        Layer::IpIp(ipip) => Some(*ipip),
        _ => None,
    };
    layers.iter().filter_map(ipip).collect()
}

/// L-08, P-05: a template is the stack of its layers, through every door: the same bytes, or the same
/// error and no byte changed; and so are its headers by value in front of the packet.
pub fn law_template_equals_stack(case: &CompositionCase) {
    let layers: Vec<Layer> = case.layers.iter().filter_map(|it| it.layer()).collect();
    let template = Template::<Layer, 4>::compile(layers.as_slice()).unwrap();
    stacked(&layers, &(), &mut |stack| {
        assert_eq!(template.overhead(), stack.overhead());
        assert_eq!(template.layers(), stack.layers());
        for door in Door::ALL {
            if door == Door::Method && case.encap.headroom < stack.overhead() {
                continue; // Its frame begins with the headroom.
            }
            let (bytes, result) = wrapped(case, door, stack);
            let (made, answer) = wrapped(case, door, &template);
            assert_eq!(answer, result, "{door:?}");
            assert_eq!(Bytes(made), Bytes(bytes), "{door:?}");
        }
        let typed = ipip(&layers);
        if typed.len() == layers.len() {
            let expected = wrapped(case, Door::Function, stack);
            let made = match typed[..] {
                [] => wrapped(case, Door::Function, &()),
                [a] => wrapped(case, Door::Function, &Template::single(a)),
                [a, b] => wrapped(case, Door::Function, &Template::nested([a, b])),
                [a, b, c] => wrapped(case, Door::Function, &Template::nested([a, b, c])),
                [a, b, c, d] => wrapped(case, Door::Function, &Template::nested([a, b, c, d])),
                _ => unreachable!("four at most"),
            };
            assert_eq!(made.1, expected.1);
            assert_eq!(Bytes(made.0), Bytes(expected.0));
        }
        if let Ok(meta) = PacketMeta::read(&case.encap.inner.0) {
            by_value(case, &template, stack, &meta);
        }
    });
}

fn by_value(
    case: &CompositionCase,
    template: &Template<Layer, 4>,
    stack: &dyn Encapsulate,
    meta: &PacketMeta,
) {
    const ROOM: usize = 400;
    let said: &PerPacket = &case.encap.packet;
    let judged = stack.judge(meta, said);
    let headers = match template.header::<ROOM>(meta, said) {
        Err(EncapError::UnknownSum) => {
            assert!(judged.is_ok());
            let meta = PacketMeta::summed(&case.encap.inner.0).unwrap();
            template.header::<ROOM>(&meta, said)
        }
        answer => answer,
    };
    assert_eq!(headers.err(), judged.err());
    let (buffer, result) = wrapped(case, Door::Function, stack);
    let (Ok(headers), Ok(outer)) = (headers, result) else {
        return;
    };
    let (unused, headers) = headers.split_at(ROOM - template.overhead());
    assert!(unused.iter().all(|&byte| byte == 0));
    let outer = outer.get(&buffer).unwrap();
    let (expected, inner) = outer.split_at(template.overhead());
    assert_eq!(Bytes(headers.to_vec()), Bytes(expected.to_vec()));

    // And the inner packet is the caller's, but for the hops it has made.
    let mut own = case.encap.inner.0[..inner.len()].to_vec();
    while own[8] > inner[8] {
        assert!(Ipv4Header::split_mut(&mut own).unwrap().0.decrement_ttl());
    }
    assert_eq!(Bytes(own), Bytes(inner.to_vec()));
}
