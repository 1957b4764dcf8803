//! What decapsulators make of packets that others have sent, or damaged.

use core::net::Ipv4Addr;

use ipencap::Span;
use ipencap::decap::{Decapsulate, PointToPoint, Receiver};
use ipencap::encap::{Encapsulate, PerPacket};
use ipencap::error::Refused;
use ipencap::shim::IpIp;
use ipencap::wire::Prefix;

use crate::answers::Report;
use crate::checksums::fill_checksum;
use crate::departures::{ipip, wrap};
use crate::table::{
    ARRIVALS, Arrival, Buffer, Configuration, ENDS, GOLDEN, INNER, Inner, KERNEL_ENDS,
};
use crate::tunnels::with_tunnel;

pub fn check_kernel(report: &mut Report<'_>) {
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
            let inspected = opens.inspect(buffer).map_err(Refused::name);
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
pub fn check_ecn(report: &mut Report<'_>) {
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
pub fn check_flipped(report: &mut Report<'_>) {
    let inner = INNER[0].bytes;
    let (local, peer): (Ipv4Addr, Ipv4Addr) = (ENDS.1.into(), ENDS.0.into());
    let opens = Receiver::new(IpIp, PointToPoint::new(local, peer, &[Prefix::ANY]));
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
