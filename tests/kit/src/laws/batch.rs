use ipencap::Span;
use ipencap::encap::{
    Encapsulate, PerPacket, Ring, SourcePort, Udp, decap_each, encap_each, encap_train,
};
use ipencap::error::EncapError;
use ipencap::packet::Packet;

use super::numbered;
use crate::generate::{Bytes, TrainCase};
use crate::registry::Subject;

/// Every slot of the case: room for the headers, the packet, and three bytes more.
const HEADROOM: usize = 120;

fn slots(case: &TrainCase, stride: usize) -> (Vec<u8>, Vec<Span>) {
    let mut memory = vec![0xa5; stride * case.packets.len()];
    let mut spans = Vec::new();
    for (slot, Bytes(packet)) in memory.chunks_exact_mut(stride).zip(&case.packets) {
        slot[HEADROOM..HEADROOM + packet.len()].copy_from_slice(packet);
        spans.push(Span::new(HEADROOM, packet.len()));
    }
    (memory, spans)
}

fn stride(case: &TrainCase) -> usize {
    let longest = case.packets.iter().map(|packet| packet.0.len()).max();
    HEADROOM + longest.unwrap() + 3
}

fn packets<'b>(memory: &'b mut [u8], stride: usize, spans: &[Span]) -> Vec<Packet<'b>> {
    let slots = memory.chunks_exact_mut(stride).zip(spans);
    slots.map(|(slot, span)| Packet::new(slot, *span)).collect()
}

type Answers = Vec<Result<(), EncapError>>;

fn said(case: &TrainCase, place: usize) -> PerPacket {
    numbered(case.ordinal.wrapping_add(u32::try_from(place).unwrap()))
}

/// One by one: what everything else must equal.
fn one_by_one(case: &TrainCase, tunnel: &dyn Encapsulate) -> (Vec<u8>, Vec<Span>, Answers) {
    let stride = stride(case);
    let (mut memory, spans) = slots(case, stride);
    let mut packets = packets(&mut memory, stride, &spans);
    let answers = (0..)
        .zip(&mut packets)
        .map(|(place, packet)| packet.encap(tunnel, &said(case, place)))
        .collect();
    let spans = packets.iter().map(Packet::span).collect();
    (memory, spans, answers)
}

/// Many packets in one call are the same packets one by one, in both directions, as a slice and as a
/// ring; and those that a train takes are the same, too.
pub fn law_batch_equals_one_by_one(case: &TrainCase) {
    let subject: &dyn Subject = &*case.tunnel;
    let (tunnel, stride) = (subject.encapsulator(), stride(case));
    let (expected, expected_spans, answers) = one_by_one(case, tunnel);
    let refusals: Vec<_> = (0..)
        .zip(&answers)
        .filter_map(|(place, answer)| Some((place, answer.err()?)))
        .collect();

    let (mut memory, spans) = slots(case, stride);
    let mut refused = Vec::new();
    let mut each = packets(&mut memory, stride, &spans);
    let wrapped = encap_each(
        tunnel,
        &mut each,
        |place| said(case, place),
        |place, error| refused.push((place, error)),
    );
    assert_eq!(wrapped, answers.len() - refusals.len());
    assert_eq!(refused, refusals);
    let places: Vec<_> = each.iter().map(Packet::span).collect();
    assert_eq!(places, expected_spans);
    assert_eq!(Bytes(memory), Bytes(expected.clone()));

    let (mut memory, mut spans) = slots(case, stride);
    let mut refused = Vec::new();
    let mut ring = Ring::new(&mut memory, stride, &mut spans);
    let wrapped = ring.encap(
        tunnel,
        |place| said(case, place),
        |place, error| refused.push((place, error)),
    );
    assert_eq!(
        (wrapped, &refused),
        (answers.len() - refusals.len(), &refusals)
    );
    assert_eq!(spans, expected_spans);
    assert_eq!(Bytes(memory), Bytes(expected));

    back(case, subject);
    train(case, tunnel);
    payload_train(case);
}

fn back(case: &TrainCase, subject: &dyn Subject) {
    let stride = stride(case);
    let (mut memory, spans, _) = one_by_one(case, subject.encapsulator());
    let mut copies = [memory.clone(), memory.clone()];
    let mut verdicts = Vec::new();
    let mut expected_spans = Vec::new();
    for mut packet in packets(&mut memory, stride, &spans) {
        verdicts.push(packet.decap(subject.decapsulator()));
        expected_spans.push(packet.span());
    }
    let [slice, ring] = &mut copies;
    let mut each = packets(slice, stride, &spans);
    let mut answers = Vec::new();
    let tell = |_, verdict| answers.push(verdict);
    let opened = decap_each(subject.decapsulator(), &mut each, tell);
    assert_eq!(opened, verdicts.iter().filter(|it| it.is_ok()).count());
    assert_eq!(answers, verdicts);
    let places: Vec<_> = each.iter().map(Packet::span).collect();
    assert_eq!(places, expected_spans);
    assert_eq!(Bytes(slice.clone()), Bytes(memory.clone()));

    let (mut spans, mut answers) = (spans, Vec::new());
    let tell = |_, verdict| answers.push(verdict);
    let count = Ring::new(ring, stride, &mut spans).decap(subject.decapsulator(), tell);
    assert_eq!((count, answers, spans), (opened, verdicts, expected_spans));
    assert_eq!(Bytes(ring.clone()), Bytes(memory));
}

/// C-30 to C-32.
fn train(case: &TrainCase, tunnel: &dyn Encapsulate) {
    let stride = stride(case);
    let (mut memory, spans) = slots(case, stride);
    let before = memory.clone();
    let all_say = said(case, 0);
    let mut cars = packets(&mut memory, stride, &spans);
    let result = encap_train(tunnel, &mut cars, &all_say);
    let places: Vec<_> = cars.iter().map(Packet::span).collect();

    let (mut expected, _) = slots(case, stride);
    let mut singles = packets(&mut expected, stride, &spans);
    let first = singles[0].encap(tunnel, &all_say);
    assert_eq!(result.err(), first.err());
    let taken = result.unwrap_or(0);
    assert!(taken <= case.packets.len());
    for (place, single) in singles.iter_mut().enumerate() {
        if (1..taken).contains(&place) {
            single.encap(tunnel, &all_say).unwrap();
        }
        assert_eq!(places[place], single.span());
    }
    if taken == 0 {
        assert_eq!(Bytes(memory.clone()), Bytes(before));
    }
    assert_eq!(Bytes(memory), Bytes(expected));
}

/// C-35: what a socket with segmentation offload sends are the same datagrams.
fn payload_train(case: &TrainCase) {
    let [source, destination] = [[198, 51, 100, 1], [203, 0, 113, 1]].map(Into::into);
    let tunnel = Udp::gue(source, destination)
        .unwrap()
        .with_source_port(SourcePort::Fixed(7));
    let free = tunnel.payload_overhead();
    let segment_len = free + case.packets[0].0.len();
    let mut segments = Vec::new();
    for Bytes(packet) in &case.packets {
        segments.extend(vec![0xa5; free]);
        segments.extend(packet);
    }
    let before = segments.clone();
    let said = PerPacket::new();
    let (taken, outer) = tunnel
        .encap_payload_train(&mut segments, segment_len, &said)
        .unwrap();
    assert_eq!(segments[taken..], before[taken..]);
    for (segment, original) in segments[..taken]
        .chunks(segment_len)
        .zip(before[..taken].chunks(segment_len))
    {
        let mut single = original.to_vec();
        let meta = tunnel.encap_payload(&mut single, &said).unwrap();
        assert_eq!(Bytes(segment.to_vec()), Bytes(single));
        let headers = [outer.header(), meta.header()].map(|header| (header.tos(), header.ttl()));
        assert_eq!(headers[0], headers[1]);
        assert_eq!(outer.flow(), meta.flow());
    }
}
