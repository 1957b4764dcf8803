//! What encapsulators make of packets, and what the other end makes of that.

use core::fmt::Arguments;

use ipencap::Span;
use ipencap::decap::Decapsulate;
use ipencap::encap::{Encapsulate, PerPacket, Tunnel};
use ipencap::error::EncapError;
use ipencap::packet::Packet;
use ipencap::shim::IpIp;

use crate::answers::Report;
use crate::checksums::fill_checksum;
use crate::table::{Answer, Buffer, Configuration, ENDS, GOLDEN, INNER, Inner};
use crate::tunnels::{Ends, with_tunnel};

/// The ways to wrap a packet, all of which must give the same.
const DOORS: [&str; 3] = ["function", "packet", "proven"];

/// Wraps the packet at `place` in one of these ways; says where the outer packet lies.
pub fn wrap(
    door: &str,
    tunnel: &dyn Encapsulate,
    buffer: &mut [u8],
    place: Span,
    said: &PerPacket,
) -> Result<Span, EncapError> {
    let outer_start = place.start.saturating_sub(tunnel.overhead());
    let len = match door {
        "function" => ipencap::encap(tunnel, buffer, place, said)?.len(),
        "packet" => {
            let mut packet = Packet::new(buffer, place);
            packet.wrap(tunnel, said)?;
            packet.span().len
        }
        _ => {
            let proven = Packet::new(buffer, place).prove()?;
            proven.wrap(tunnel, said)?.len()
        }
    };
    Ok(Span::new(outer_start, len))
}

/// Each golden packet in each of these ways, and out again.
pub fn check_golden(report: &mut Report<'_>) {
    for configuration in GOLDEN {
        let Configuration { name, form, .. } = configuration;
        with_tunnel(name, form, ENDS, &mut |tunnel, opens| {
            for (inner, answer) in INNER.iter().zip(configuration.answers) {
                for door in DOORS {
                    let what = format_args!("{name} | {form} | {} | {door}", inner.name);
                    check_packet(
                        report,
                        configuration,
                        (tunnel, opens),
                        inner,
                        answer,
                        door,
                        what,
                    );
                }
                check_headroom(report, tunnel, inner, configuration);
            }
        });
    }
}

fn check_packet(
    report: &mut Report<'_>,
    configuration: &Configuration,
    (tunnel, opens): (&dyn Encapsulate, &dyn Decapsulate),
    inner: &Inner,
    answer: &Answer,
    door: &str,
    what: Arguments<'_>,
) {
    let overhead = tunnel.overhead();
    let place = Span::new(overhead + 3, inner.bytes.len());
    let mut buffer: Buffer = [0xa5; 600];
    buffer[place.start..][..place.len].copy_from_slice(inner.bytes);
    let before = buffer;
    let outer = match (
        wrap(door, tunnel, &mut buffer, place, &inner.said()),
        answer.wrapped,
    ) {
        (Ok(outer), Ok(headers)) => {
            let packet = outer.get(&buffer).unwrap_or_default();
            let payload = &inner.bytes[inner.header_len..];
            let same = packet.len() == headers.len() + payload.len()
                && packet.starts_with(headers)
                && packet.ends_with(payload);
            let rest = buffer[..3] == before[..3]
                && buffer[place.start + place.len..] == before[place.start + place.len..];
            report.expect(same && rest, what);
            outer
        }
        (Err(error), Err(reason)) => {
            let same = error.reason() == reason && buffer == before;
            return report.expect(same, what);
        }
        _ => return report.expect(false, what),
    };
    let packet = outer.get_mut(&mut buffer).unwrap_or_default();
    match ipencap::decap(opens, packet) {
        Ok(opened) => {
            let arriving = inner.arriving(configuration.form.ends_with("forwarding"));
            let same = opened.packet == &arriving[..inner.bytes.len()];
            report.expect(same && answer.refused.is_empty(), what);
        }
        Err(refused) => report.expect(refused.name() == answer.refused, what),
    }
}

/// One byte too few in front: refused, and as it was.
fn check_headroom(
    report: &mut Report<'_>,
    tunnel: &dyn Encapsulate,
    inner: &Inner,
    configuration: &Configuration,
) {
    let have = tunnel.overhead() - 1;
    let mut buffer: Buffer = [0xa5; 600];
    buffer[have..][..inner.bytes.len()].copy_from_slice(inner.bytes);
    let before = buffer;
    let place = Span::new(have, inner.bytes.len());
    for door in DOORS {
        let refused = wrap(door, tunnel, &mut buffer, place, &inner.said()).is_err();
        report.expect(
            refused && buffer == before,
            format_args!("{} without headroom, {door}", configuration.name),
        );
    }
}

pub fn ipip(ends: Ends) -> Tunnel<IpIp> {
    Tunnel::new(ends.0.into(), ends.1.into(), IpIp).unwrap()
}

/// Errors with their numbers: headroom, MTU, hops, loops, an inner packet that is none.
pub fn check_limits(report: &mut Report<'_>) {
    let tunnel = ipip(ENDS);
    let inner = INNER[0].bytes;
    let said = PerPacket::new();
    let mut expect =
        |change: &dyn Fn(&mut [u8]), said: &PerPacket, start: usize, error: EncapError| {
            for door in DOORS {
                let mut buffer: Buffer = [0xa5; 600];
                let place = Span::new(start, inner.len());
                buffer[start..][..inner.len()].copy_from_slice(inner);
                let header = &mut buffer[start..][..20];
                change(header);
                fill_checksum(header);
                let before = buffer;
                let answer = wrap(door, &tunnel, &mut buffer, place, said);
                report.expect(
                    answer == Err(error) && buffer == before,
                    format_args!("{door}: {answer:?} instead of {error:?}"),
                );
            }
        };
    let as_it_is = |_: &mut [u8]| {};
    expect(
        &as_it_is,
        &said,
        19,
        EncapError::NoHeadroom { need: 20, have: 19 },
    );
    expect(
        &as_it_is,
        &said,
        0,
        EncapError::NoHeadroom { need: 20, have: 0 },
    );
    let len = u16::try_from(inner.len()).unwrap();
    let short = said.with_link_mtu(len + 19);
    expect(
        &as_it_is,
        &short,
        20,
        EncapError::FragmentationNeeded { mtu: len - 1 },
    );
    expect(&|header| header[8] = 0, &said, 20, EncapError::TtlZero);
    let from_exit = |header: &mut [u8]| header[12..16].copy_from_slice(&ENDS.1);
    expect(&from_exit, &said, 20, EncapError::LoopToExit { layer: 0 });
    for (at, value) in [(0, 0x65), (0, 0x44), (0, 0x4f), (2, 0xff), (3, 0)] {
        let mut bytes: Buffer = [0; 600];
        bytes[20..][..inner.len()].copy_from_slice(inner);
        bytes[20 + at] = value;
        let before = bytes;
        for door in DOORS {
            let answer = wrap(door, &tunnel, &mut bytes, Span::new(20, inner.len()), &said);
            let is_inner = matches!(answer, Err(EncapError::Inner { .. }));
            report.expect(
                is_inner && bytes == before,
                format_args!("byte {at} {value}: {answer:?}"),
            );
        }
    }
}

/// A stack gives the bytes of its layers, one after the other.
pub fn check_stacks(report: &mut Report<'_>) {
    // The innermost first.
    let layers = [
        ipip(ENDS.nested().nested()),
        ipip(ENDS.nested()),
        ipip(ENDS),
    ];
    for inner in INNER {
        let (said, len) = (inner.said(), inner.bytes.len());
        let mut at_once: Buffer = [0; 600];
        at_once[60..][..len].copy_from_slice(inner.bytes);
        let mut one_by_one = at_once;
        let answer = ipencap::encap(&layers, &mut at_once, Span::new(60, len), &said);
        let mut result = Ok(());
        let mut packet = Packet::new(&mut one_by_one, Span::new(60, len));
        for layer in &layers {
            result = result.and_then(|()| packet.wrap(layer, &said));
        }
        let what = format_args!("stack | {}: {result:?}", inner.name);
        match (answer, result) {
            (Ok(outer), Ok(())) => report.expect(outer == packet.as_slice(), what),
            (Err(error), Err(by_layer)) => report.expect(error.reason() == by_layer.reason(), what),
            _ => report.expect(false, what),
        }
    }
}
