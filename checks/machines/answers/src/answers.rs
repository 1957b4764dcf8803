//! The comparisons.

use core::fmt::Arguments;
use core::net::Ipv4Addr;

use ipencap::Span;
use ipencap::checksum::{self, Sum};
use ipencap::encap::{
    Decapsulate, Decapsulator, Encapsulate, InnerChecksum, IpIp, PerPacket, Template,
};
use ipencap::error::EncapError;
use ipencap::filter::{PointToPoint, Prefix};
use ipencap::packet::Packet;

use crate::table::{
    ARRIVALS, Answer, Arrival, Configuration, ENDS, GOLDEN, INNER, Inner, KERNEL_ENDS,
};
use crate::tunnels::{Ends, with_tunnel};

/// Longer than any packet of the tables, with room in front.
type Buffer = [u8; 600];

/// Says something, and counts what was compared.
struct Report<'a> {
    say: &'a mut dyn FnMut(Arguments<'_>),
    right: u32,
    wrong: u32,
}

impl Report<'_> {
    fn expect(&mut self, is_right: bool, what: Arguments<'_>) {
        if is_right {
            self.right += 1;
            return;
        }
        self.wrong += 1;
        // The first few are enough to see.
        if self.wrong <= 10 {
            (self.say)(format_args!("WRONG: {what}\n"));
        }
    }

    /// One group of answers.
    fn group(&mut self, name: &str, check: fn(&mut Self)) {
        let before = self.right;
        check(self);
        let right = self.right - before;
        (self.say)(format_args!("{name}: {right} right\n"));
        // A group that compares nothing proves nothing.
        self.wrong += u32::from(right == 0);
    }
}

/// Whether this machine gives the known answers.
pub fn check(say: &mut dyn FnMut(Arguments<'_>)) -> bool {
    let mut report = Report {
        say,
        right: 0,
        wrong: 0,
    };
    report.group("checksums", check_checksums);
    report.group("golden packets, through every door", check_golden);
    report.group("limits", check_limits);
    report.group("nested templates", check_templates);
    report.group("the kernel's packets", check_arrivals);
    report.group("ECN pairs", check_ecn);
    report.group("flipped bits", check_flipped);
    let (right, wrong) = (report.right, report.wrong);
    (report.say)(format_args!("{right} right, {wrong} wrong\n"));
    wrong == 0
}

/// RFC 1071, two bytes at a time.
fn naive_checksum(bytes: &[u8]) -> u16 {
    let mut sum = 0u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |&low| u32::from(low));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap()
}

fn fill_checksum(header: &mut [u8]) {
    header[10..12].fill(0);
    let filled = naive_checksum(header).to_be_bytes();
    header[10..12].copy_from_slice(&filled);
}

/// All lengths to 300 at each alignment, with bytes that carry much; and every split of some.
fn check_checksums(report: &mut Report<'_>) {
    let mut bytes = [0; 304];
    for pattern in 0..4u8 {
        let mut value = 1u32;
        for byte in &mut bytes {
            value = value.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = match pattern {
                0 => 0x00,
                1 => 0xff,
                2 => value.to_be_bytes()[0],
                _ => value.to_be_bytes()[0] | 0xfe,
            };
        }
        for start in 0..4 {
            for len in 0..=300 {
                let part = &bytes[start..start + len];
                let same = checksum::checksum(part) == naive_checksum(part);
                report.expect(same, format_args!("checksum {pattern} {start} {len}"));
            }
        }
        for split in 0..=64 {
            let (front, back) = bytes[..64].split_at(split);
            let sum = Sum::new().add_bytes(front).add_bytes(back).checksum();
            let same = sum == naive_checksum(&bytes[..64]);
            report.expect(same, format_args!("checksum {pattern} split at {split}"));
        }
        // In front of words that are all 0 the two zeros would differ (C-09).
        let mut header = [0; 20];
        header.copy_from_slice(&bytes[..20]);
        header[0] = 0x45;
        let (old, before) = (
            u16::from_be_bytes([header[8], header[9]]),
            naive_checksum(&header),
        );
        for new in [0, 1, 0x00ff, 0x7fff, 0xfffe, 0xffff_u16] {
            header[8..10].copy_from_slice(&new.to_be_bytes());
            let same = checksum::update_u16(before, old, new) == naive_checksum(&header);
            report.expect(same, format_args!("update {pattern} {old} {new}"));
        }
    }
}

impl Inner {
    fn said(&self) -> PerPacket {
        let (sequence, acknowledgment) = self.tcp_numbers;
        let said = PerPacket::new()
            .with_ordinal(self.ordinal)
            .with_tcp_numbers(sequence, acknowledgment);
        if self.is_partial {
            said.with_inner_checksum(InnerChecksum::Partial)
        } else {
            said
        }
    }

    /// As it comes out of a tunnel, which takes a hop off or does not.
    fn arriving(&self, is_forwarded: bool) -> Buffer {
        let mut buffer = [0; 600];
        let arriving = &mut buffer[..self.bytes.len()];
        arriving.copy_from_slice(self.bytes);
        if is_forwarded {
            arriving[8] -= 1;
            fill_checksum(&mut arriving[..self.header_len]);
        }
        buffer
    }
}

/// The doors to an encapsulator, all of which must give the same.
const DOORS: [&str; 4] = ["function", "method", "packet", "proven"];

/// Wraps the packet at `place` through a door; says where the outer packet lies.
fn wrap(
    door: &str,
    tunnel: &dyn Encapsulate,
    buffer: &mut [u8],
    place: Span,
    said: &PerPacket,
) -> Result<Span, EncapError> {
    let outer_start = place.start.saturating_sub(tunnel.overhead());
    let len = match door {
        "function" => ipencap::encap(tunnel, buffer, place, said)?.len(),
        "method" => {
            let frame = &mut buffer[outer_start..place.start + place.len];
            usize::try_from(tunnel.encap(frame, said)?.len()).unwrap()
        }
        "packet" => {
            let mut packet = Packet::new(buffer, place);
            packet.encap(tunnel, said)?;
            packet.span().len
        }
        _ => {
            let proven = Packet::new(buffer, place).prove()?;
            proven.encap(tunnel, said)?.len()
        }
    };
    Ok(Span::new(outer_start, len))
}

/// Each golden packet through each door, and out again.
fn check_golden(report: &mut Report<'_>) {
    for configuration in GOLDEN {
        let Configuration {
            name,
            form,
            answers,
        } = *configuration;
        with_tunnel(name, form, ENDS, &mut |tunnel, opens| {
            for (inner, answer) in INNER.iter().zip(answers) {
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
    for door in ["function", "packet", "proven"] {
        let refused = wrap(door, tunnel, &mut buffer, place, &inner.said()).is_err();
        report.expect(
            refused && buffer == before,
            format_args!("{} without headroom, {door}", configuration.name),
        );
    }
}

fn ipip(ends: Ends) -> IpIp {
    IpIp::new(ends.0.into(), ends.1.into()).unwrap()
}

/// Errors with their numbers: headroom, MTU, hops, loops, an inner packet that is none.
fn check_limits(report: &mut Report<'_>) {
    let tunnel = ipip(ENDS);
    let inner = INNER[0].bytes;
    let said = PerPacket::new();
    let mut expect =
        |change: &dyn Fn(&mut [u8]), said: &PerPacket, start: usize, error: EncapError| {
            for door in ["function", "packet", "proven"] {
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
        for door in ["function", "packet", "proven"] {
            let answer = wrap(door, &tunnel, &mut bytes, Span::new(20, inner.len()), &said);
            let is_inner = matches!(answer, Err(EncapError::Inner { .. }));
            report.expect(
                is_inner && bytes == before,
                format_args!("byte {at} {value}: {answer:?}"),
            );
        }
    }
}

/// A nest in one pass gives the bytes of its layers, one after the other.
fn check_templates(report: &mut Report<'_>) {
    // The innermost first.
    let layers = [
        ipip(ENDS.nested().nested()),
        ipip(ENDS.nested()),
        ipip(ENDS),
    ];
    let template = Template::<IpIp, 3>::nested(layers);
    for inner in INNER {
        let (said, len) = (inner.said(), inner.bytes.len());
        let mut at_once: Buffer = [0; 600];
        at_once[60..][..len].copy_from_slice(inner.bytes);
        let mut one_by_one = at_once;
        let answer = ipencap::encap(&template, &mut at_once, Span::new(60, len), &said);
        let mut result = Ok(());
        let mut packet = Packet::new(&mut one_by_one, Span::new(60, len));
        for layer in &layers {
            result = result.and_then(|()| packet.encap(layer, &said));
        }
        let what = format_args!("template | {}: {result:?}", inner.name);
        match (answer, result) {
            (Ok(outer), Ok(())) => report.expect(outer == packet.as_slice(), what),
            (Err(error), Err(by_layer)) => report.expect(error.reason() == by_layer.reason(), what),
            _ => report.expect(false, what),
        }
    }
}

fn check_arrivals(report: &mut Report<'_>) {
    for arrival in ARRIVALS {
        let Arrival {
            name,
            form,
            packet,
            answer,
        } = *arrival;
        with_tunnel(name, form, KERNEL_ENDS, &mut |_, opens| {
            let mut buffer: Buffer = [0; 600];
            let buffer = &mut buffer[..packet.len()];
            buffer.copy_from_slice(packet);
            let inspected = opens.inspect(buffer).map_err(|refused| refused.name());
            match ipencap::decap(opens, buffer) {
                Ok(inner) => {
                    let same = answer == Ok(&*inner.packet) && inspected == Ok(inner.opened);
                    report.expect(same, format_args!("{name} | {form}: opened {packet:02x?}"));
                }
                Err(refused) => {
                    let reason = refused.name();
                    let same =
                        answer == Err(reason) && inspected == Err(reason) && buffer == packet;
                    report.expect(
                        same,
                        format_args!("{name} | {form}: {reason} {packet:02x?}"),
                    );
                }
            }
        });
    }
}

/// RFC 6040, figure 4: by the inner field, then by the outer one; `None` is a drop.
const ECN: [[Option<u8>; 4]; 4] = [
    [Some(0), Some(0), Some(0), None],
    [Some(1), Some(1), Some(1), Some(3)],
    [Some(2), Some(1), Some(2), Some(3)],
    [Some(3), Some(3), Some(3), Some(3)],
];

/// Every pair, in each packet that is opened at all, over IP, UDP and GRE.
fn check_ecn(report: &mut Report<'_>) {
    let is_chosen = |configuration: &&Configuration| {
        let Configuration { name, form, .. } = configuration;
        matches!(
            (*name, *form),
            ("IpIp" | "Udp" | "Gre", "typical") | ("Gre", "checksum")
        )
    };
    for configuration in GOLDEN.iter().filter(is_chosen) {
        let Configuration { name, form, .. } = *configuration;
        with_tunnel(name, form, ENDS, &mut |tunnel, opens| {
            let answers = INNER.iter().zip(configuration.answers);
            for (inner, _) in answers.filter(|(_, answer)| answer.refused.is_empty()) {
                for (inner_ecn, row) in (0..).zip(ECN) {
                    for (outer_ecn, cell) in (0..).zip(row) {
                        let what =
                            format_args!("{name} | {} | {inner_ecn} {outer_ecn}", inner.name);
                        let same =
                            is_combined((tunnel, opens), inner, (inner_ecn, outer_ecn), cell);
                        report.expect(same, what);
                    }
                }
            }
        });
    }
}

/// Whether the pair of ECN fields becomes what the cell says.
fn is_combined(
    (tunnel, opens): (&dyn Encapsulate, &dyn Decapsulate),
    inner: &Inner,
    (inner_ecn, outer_ecn): (u8, u8),
    cell: Option<u8>,
) -> bool {
    let Some((mut buffer, outer)) = with_ecn(tunnel, inner, inner_ecn, outer_ecn) else {
        return false;
    };
    let mut expected = inner.arriving(false);
    let expected = &mut expected[..inner.bytes.len()];
    expected[1] = expected[1] & !3 | cell.unwrap_or(0);
    fill_checksum(&mut expected[..inner.header_len]);
    let packet = outer.get_mut(&mut buffer).unwrap_or_default();
    match ipencap::decap(opens, packet) {
        Ok(opened) => cell.is_some() && opened.packet == expected,
        Err(refused) => cell.is_none() && refused.name().starts_with("Ecn"),
    }
}

/// `inner` with this ECN field, in a tunnel whose outer header has that one.
fn with_ecn(
    tunnel: &dyn Encapsulate,
    inner: &Inner,
    inner_ecn: u8,
    outer_ecn: u8,
) -> Option<(Buffer, Span)> {
    let mut buffer: Buffer = [0; 600];
    let place = Span::new(tunnel.overhead(), inner.bytes.len());
    let bytes = place.get_mut(&mut buffer)?;
    bytes.copy_from_slice(inner.bytes);
    bytes[1] = bytes[1] & !3 | inner_ecn;
    fill_checksum(&mut bytes[..inner.header_len]);
    let outer = wrap("function", tunnel, &mut buffer, place, &PerPacket::new()).ok()?;
    buffer[outer.start + 1] = buffer[outer.start + 1] & !3 | outer_ecn;
    fill_checksum(&mut buffer[outer.start..][..20]);
    Some((buffer, outer))
}

/// Every bit of an outer header: each is refused, and changes nothing.
fn check_flipped(report: &mut Report<'_>) {
    let inner = INNER[0].bytes;
    let (local, peer): (Ipv4Addr, Ipv4Addr) = (ENDS.1.into(), ENDS.0.into());
    let opens = Decapsulator::ipip(PointToPoint::new(local, peer, &[Prefix::ANY]));
    let mut buffer: Buffer = [0; 600];
    buffer[20..][..inner.len()].copy_from_slice(inner);
    let place = Span::new(20, inner.len());
    let wrapped = wrap(
        "function",
        &ipip(ENDS),
        &mut buffer,
        place,
        &PerPacket::new(),
    );
    let len = wrapped.map_or(0, |outer| outer.len);
    report.expect(
        opens.inspect(&buffer[..len]).is_ok(),
        format_args!("before"),
    );
    for bit in 0..160 {
        let mut flipped = buffer;
        flipped[bit / 8] ^= 1 << (bit % 8);
        let before = flipped;
        let refused = ipencap::decap(&opens, &mut flipped[..len]).is_err();
        report.expect(refused && flipped == before, format_args!("bit {bit}"));
    }
    for cut in 0..len {
        let refused = ipencap::decap(&opens, &mut buffer[..cut]).is_err();
        report.expect(refused, format_args!("cut at {cut}"));
    }
}
