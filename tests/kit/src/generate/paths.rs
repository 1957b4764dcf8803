//! What happens to a path: packets, reports true and forged, clocks that jump.

use arbitrary::{Arbitrary, Result, Unstructured};
use ipencap::pmtu::QuotedLen;

use super::odds;

/// A call of a path's functions.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "named as the functions")]
pub enum PathCall {
    Sent(u16),
    Report(u16, QuotedLen),
    Unquoted(u16),
    Local(u16),
    Confirmed(u16),
    Link(u16),
    Poll,
}

/// A path and what happens to it.
#[derive(Clone, Debug)]
pub struct PathCase {
    /// The MTU of its link.
    pub link_mtu: u16,
    /// Its floor.
    pub floor: u16,
    /// The milliseconds after which it is raised.
    pub raise_after: u64,
    /// The clock in milliseconds, and what happens then.
    pub calls: Vec<(u64, PathCall)>,
}

fn len(u: &mut Unstructured<'_>) -> Result<u16> {
    Ok(match u.int_in_range(0..=4u8)? {
        0 => 1500,
        1 => *u.choose(&[
            1400, 576, 552, 551, 68, 67, 0, 1, 1480, 1520, 9000, 65_535, 1006, 508, 88, 69,
        ])?,
        2 => u.int_in_range(40..=600)?,
        3 => u.int_in_range(1000..=1600)?,
        _ => u.arbitrary()?,
    })
}

/// The next time of the clock: mostly later, at times earlier, at times far away.
fn later(u: &mut Unstructured<'_>, clock: u64) -> Result<u64> {
    Ok(match u.int_in_range(0..=15u8)? {
        0..=5 => clock,
        6 | 7 => clock.saturating_add(u.int_in_range(1..=2000)?),
        8 | 9 => clock.saturating_add(u.int_in_range(1..=70_000)?),
        10 | 11 => clock.saturating_add(u.int_in_range(1..=700_000)?),
        12 => clock.saturating_add(*u.choose(&[600_000, 599_999, 300_000, 120_000, 32_768])?),
        13 => clock.saturating_sub(u.int_in_range(1..=3_600_000)?),
        14 => u.int_in_range(0..=700_000)?,
        _ if odds(u, 1, 4)? => *u.choose(&[u64::MAX, u64::MAX - 1, u64::MAX - 600_000, 1 << 40])?,
        _ => clock,
    })
}

fn quoted(u: &mut Unstructured<'_>) -> Result<QuotedLen> {
    Ok(QuotedLen {
        total_len: len(u)?,
        header_len: *u.choose(&[20, 20, 20, 24, 60, 0, 255])?,
    })
}

fn floor(u: &mut Unstructured<'_>) -> Result<u16> {
    Ok(if odds(u, 1, 3)? {
        *u.choose(&[68, 0, 1200, 65_535, 65_534])?
    } else {
        552
    })
}

impl<'a> Arbitrary<'a> for PathCase {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let (link_mtu, floor) = (len(u)?, floor(u)?);
        let raise_after = if odds(u, 1, 3)? {
            *u.choose(&[300_000, 0, 86_400_000, u64::from(u32::MAX), u64::MAX])?
        } else {
            600_000
        };
        let (mut clock, mut last_sent) = (0, 0);
        let calls = (0..u.int_in_range(0..=24u8)?)
            .map(|_| {
                clock = later(u, clock)?;
                let call = match u.int_in_range(0..=13u8)? {
                    0..=3 => {
                        last_sent = len(u)?;
                        PathCall::Sent(last_sent)
                    }
                    // A report that may be true.
                    12 | 13 => {
                        let mtu = u.int_in_range(0..=last_sent)?;
                        let header_len = 20;
                        let total_len = last_sent;
                        let quoted = QuotedLen {
                            total_len,
                            header_len,
                        };
                        PathCall::Report(mtu, quoted)
                    }
                    4..=6 => PathCall::Report(len(u)?, quoted(u)?),
                    7 => PathCall::Unquoted(len(u)?),
                    8 => PathCall::Local(len(u)?),
                    9 => PathCall::Confirmed(len(u)?),
                    10 => PathCall::Link(len(u)?),
                    _ => PathCall::Poll,
                };
                Ok((clock, call))
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            link_mtu,
            floor,
            raise_after,
            calls,
        })
    }
}

/// What routers do with a packet that is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reports {
    /// They drop it and say nothing.
    None,
    /// They report the MTU.
    Mtu,
    /// They report an MTU of 0, as before RFC 1191.
    Zero,
}

/// How a path behaves for a while.
#[derive(Clone, Copy, Debug)]
pub struct Stage {
    /// What it carries, in bytes.
    pub mtu: u16,
    /// What its routers say.
    pub reports: Reports,
    /// The MTU that the link has from then on, of which the prober is not told.
    pub link_mtu: Option<u16>,
}

/// A path that changes, and a prober's parameters.
#[derive(Clone, Debug)]
pub struct ProbeCase {
    /// The MTU of the link.
    pub link_mtu: u16,
    /// The length that every path is expected to carry.
    pub base: u16,
    /// How many probes of one length are lost.
    pub max_probes: u8,
    /// The floor of the path.
    pub floor: u16,
    /// How the path behaves, one after the other.
    pub stages: Vec<Stage>,
}

fn stage(u: &mut Unstructured<'_>) -> Result<Stage> {
    Ok(Stage {
        mtu: len(u)?.max(68),
        reports: *u.choose(&[Reports::None, Reports::Mtu, Reports::Zero])?,
        link_mtu: if odds(u, 1, 3)? { Some(len(u)?) } else { None },
    })
}

impl<'a> Arbitrary<'a> for ProbeCase {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let link_mtu = len(u)?;
        let base = if odds(u, 1, 3)? { len(u)? } else { 1200 };
        let max_probes = *u.choose(&[3, 3, 1, 0, 5])?;
        let floor = floor(u)?;
        let stages = (0..=u.int_in_range(0..=4u8)?)
            .map(|_| stage(u))
            .collect::<Result<_>>()?;
        Ok(Self {
            link_mtu,
            base,
            max_probes,
            floor,
            stages,
        })
    }
}

/// A call of a prober's functions.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "named as the functions")]
pub enum ProberCall {
    Poll,
    /// What was probed last.
    Confirmed,
    /// Of this length, whatever was probed.
    ConfirmedLen(u16),
    Report(u16, QuotedLen),
    Local(u16),
    Link(u16),
    /// Of the path, which does not tell the prober.
    PathLink(u16),
    BlackHole,
    /// At the next deadline.
    Wait,
}

/// A prober, and anything at all that happens to it.
#[derive(Clone, Debug)]
pub struct ProberCase {
    /// The MTU of the link.
    pub link_mtu: u16,
    /// The length that every path is expected to carry.
    pub base: u16,
    /// The floor of the path.
    pub floor: u16,
    /// The three timers, in milliseconds.
    pub timers: [u64; 3],
    /// The clock in milliseconds, and what happens then.
    pub calls: Vec<(u64, ProberCall)>,
}

impl<'a> Arbitrary<'a> for ProberCase {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let link_mtu = len(u)?;
        let base = if odds(u, 1, 3)? { len(u)? } else { 1200 };
        let floor = floor(u)?;
        let mut timer = |usual: u64| {
            Ok(if odds(u, 1, 4)? {
                *u.choose(&[0, 1000, 600_000, u64::MAX])?
            } else {
                usual
            })
        };
        let timers = [timer(16_000)?, timer(600_000)?, timer(60_000)?];
        let mut clock = 0;
        let calls = (0..u.int_in_range(0..=40u8)?)
            .map(|_| {
                clock = later(u, clock)?;
                let call = match u.int_in_range(0..=16u8)? {
                    0..=2 => ProberCall::Poll,
                    3..=5 => ProberCall::Confirmed,
                    6 => ProberCall::ConfirmedLen(len(u)?),
                    7 | 8 => ProberCall::Report(len(u)?, quoted(u)?),
                    9 => ProberCall::Local(len(u)?),
                    10 => ProberCall::Link(len(u)?),
                    11 => ProberCall::BlackHole,
                    12 => ProberCall::PathLink(len(u)?),
                    _ => ProberCall::Wait,
                };
                Ok((clock, call))
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            link_mtu,
            base,
            floor,
            timers,
            calls,
        })
    }
}
