//! Path MTUs over time: what is believed, what attackers can do, what a prober finds.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that panics fails"
)]

use core::net::Ipv4Addr;

use ipencap::encap::{Encapsulate, PerPacket, Tunnel};
use ipencap::error::{EncapError, PathMtuIgnored};
use ipencap::mtu::fragment_count;
use ipencap::pmtu::{
    BASE_PLPMTU, CONFIRMATION_TIMER, EFF_PMTU_START, Effect, MAX_PROBES, MIN_PLPMTU,
    MIN_PROBE_TIMER, MIN_RAISE_AFTER, PLATEAUS, PMTU_RAISE_TIMER, PROBE_TIMER, PathMtu,
    PathMtuConfig, Phase, Probe, Prober, ProberConfig, QuotedLen, RAISE_AFTER, RAISE_INTERVAL,
};
use ipencap::shim::IpIp;
use ipencap::time::{Duration, Instant};
use ipencap::wire::Ipv4;
use ipencap::{Span, encap};
use ipencap_kit::generate::{ProbeCase, Reports, Stage};
use ipencap_kit::laws::law_prober_finds_the_path_mtu;
use ipencap_kit::oracle::Plain;

const fn seconds(seconds: u64) -> Instant {
    Instant::from_millis(seconds * 1000)
}

const fn quoted(total_len: u16) -> QuotedLen {
    QuotedLen {
        total_len,
        header_len: 20,
    }
}

/// A path behind a link of 1500 bytes on which a packet of that length was sent.
fn used_path(config: PathMtuConfig) -> PathMtu {
    let mut path = PathMtu::new(1500, config);
    path.sent(Instant::ZERO, 1500);
    path
}

fn default_path() -> PathMtu {
    used_path(PathMtuConfig::DEFAULT)
}

/// What an IP-in-IP tunnel makes of a packet of `len` bytes on this path.
fn wrap(path: &PathMtu, now: Instant, len: usize) -> Result<usize, EncapError> {
    let [left, right] = [[198, 51, 100, 1], [203, 0, 113, 2]].map(Ipv4Addr::from);
    let tunnel = Tunnel::new(left, right, IpIp).unwrap();
    let packet = Plain::of(253).packet(&vec![0; len - 20]);
    let mut buffer = [&[0; 20], &packet[..]].concat();
    let link = PerPacket::new().with_link_mtu(path.get(now));
    let outer = encap(&tunnel, &mut buffer, Span::new(20, len), &link)?;
    let inner_mtu = usize::from(path.inner_mtu(now, tunnel.overhead()));
    assert!(len <= inner_mtu && outer.len() <= usize::from(path.get(now)));
    Ok(outer.len())
}

/// O-01, A-18, A-19: after a report of 1400, a packet of 1440 bytes does not fit; without DF it becomes two
/// fragments. Linux loses it.
#[test]
fn a_19_what_does_not_fit_any_more_is_told() {
    let (mut path, now) = (default_path(), Instant::ZERO);
    assert_eq!(wrap(&path, now, 1440), Ok(1460));
    let report = path.on_report(now, 1400, quoted(1500));
    assert_eq!(report, Effect::Lowered { mtu: 1400 });
    let needed = EncapError::FragmentationNeeded { mtu: 1380 };
    assert_eq!(wrap(&path, now, 1440), Err(needed));
    assert_eq!(wrap(&path, now, 1380), Ok(1400));
    let inner_mtu = path.inner_mtu(now, 20);
    assert_eq!(fragment_count(1440, 20, u32::from(inner_mtu)), Some(2));
}

/// `EMSGSIZE` with 1320 is believed at once, also below the floor and in a configured path, and raised
/// like a report.
#[test]
fn a_19_what_the_system_refuses_is_believed_at_once() {
    let (mut path, now) = (default_path(), seconds(5));
    assert_eq!(path.on_local(now, 1320), Some(1320));
    let needed = EncapError::FragmentationNeeded { mtu: 1300 };
    assert_eq!(wrap(&path, now, 1400), Err(needed));
    assert_eq!(path.on_local(now, 1320), None);
    assert_eq!(path.on_local(now, 1400), None, "a refusal never raises");
    assert_eq!(path.get(now), 1320);
    assert_eq!(path.on_local(now, 300), Some(300));
    assert_eq!(path.on_local(now, 20), Some(68));
    assert_eq!(path.next_deadline(), Some(seconds(605)));
    assert_eq!(path.poll(seconds(605)), Some(1500));

    let mut path = used_path(PathMtuConfig::STATIC);
    assert_eq!(path.on_local(now, 1320), Some(1320));
    assert_eq!(path.poll(seconds(605)), Some(1500));
}

/// a configured path MTU ignores every report.
#[test]
fn a_15_a_static_path_mtu_ignores_reports() {
    let mut path = used_path(PathMtuConfig::STATIC);
    for reported in [0, 67, 68, 552, 1400, 1499, 1500, 9000] {
        let report = path.on_report(Instant::ZERO, reported, quoted(1500));
        assert_eq!(report, Effect::Ignored(PathMtuIgnored::Static));
    }
    assert_eq!((path.get(seconds(1)), path.next_deadline()), (1500, None));
}

/// an MTU of 0 asks for the next plateau below the quoted length, which some systems quote too large by
/// the header (RFC 1191 §5).
#[test]
fn a_16_plateaus_where_no_mtu_is_reported() {
    let expected = [
        65_535, 32_000, 17_914, 8_166, 4_352, 2_002, 1_492, 1_006, 508, 296, 68,
    ];
    assert_eq!(PLATEAUS, expected);
    let config = PathMtuConfig {
        floor: 68,
        ..PathMtuConfig::DEFAULT
    };
    let estimate = |link_mtu, sent, quoted: QuotedLen| {
        let mut path = PathMtu::new(link_mtu, config);
        path.sent(Instant::ZERO, sent);
        path.on_report(Instant::ZERO, 0, quoted)
    };
    for total_len in 69..=2002 {
        // On a wide link nothing is corrected.
        let below = expected.into_iter().find(|&mtu| mtu < total_len).unwrap();
        let report = estimate(9000, total_len, quoted(total_len));
        assert_eq!(report, Effect::Lowered { mtu: below });
    }
    // From a 4.2BSD router about a packet of 1500 bytes, and from another.
    let lowered = Effect::Lowered { mtu: 1492 };
    assert_eq!(estimate(1500, 1500, quoted(1520)), lowered);
    assert_eq!(
        estimate(1500, 1500, quoted(1500)),
        Effect::Lowered { mtu: 1006 }
    );
    let longest_header = QuotedLen {
        total_len: 1560,
        header_len: 60,
    };
    assert_eq!(estimate(1500, 1500, longest_header), lowered);
    assert_eq!(
        estimate(1500, 1500, quoted(1521)),
        Effect::Ignored(PathMtuIgnored::NeverSent)
    );
    assert_eq!(
        estimate(1500, 1500, quoted(68)),
        Effect::Ignored(PathMtuIgnored::BelowMinimum)
    );
}

/// a quote of 28 bytes tells all that is needed.
#[test]
fn a_15_the_shortest_quote_is_enough() {
    let sent = Plain {
        source: [198, 51, 100, 1],
        destination: [203, 0, 113, 2],
        ..Plain::of(4)
    }
    .packet(&[0; 1480]);
    let quote = Ipv4::parse_quoted(&sent[..28]).unwrap();
    let lengths = QuotedLen::of(quote.header());
    assert_eq!(lengths, quoted(1500));
    let mut path = default_path();
    let report = path.on_report(Instant::ZERO, 1400, lengths);
    assert_eq!(report, Effect::Lowered { mtu: 1400 });
}

/// what is sent is remembered for 33 seconds at least and for 66 at most, whatever the clock does.
#[test]
fn a_15_a_report_is_about_a_packet_of_late() {
    for sent_at in (0..70_000).step_by(509) {
        for age in (0..100_000).step_by(1021) {
            let mut path = PathMtu::new(1500, PathMtuConfig::DEFAULT);
            path.sent(Instant::from_millis(sent_at), 1500);
            let now = Instant::from_millis(sent_at + age);
            path.sent(now, 576);
            let report = path.on_report(now, 1400, quoted(1500));
            match age {
                0..=32_768 => assert_eq!(report, Effect::Lowered { mtu: 1400 }),
                65_536.. => assert_eq!(report, Effect::Ignored(PathMtuIgnored::NeverSent)),
                _ => {}
            }
        }
    }
}

/// A-15, an attack: forged reports of every MTU about packets of every length do no more than the true one
/// about a packet of that length, never raise, and never go below the floor.
#[test]
fn a_15_forged_reports_are_bounded() {
    let now = Instant::ZERO;
    for sent in [68, 576, 1280, 1500] {
        for reported in (0..=1600).chain([9000, 65_535]) {
            for total_len in (0..=1600).step_by(13).chain([9000, 65_535, sent]) {
                let mut path = PathMtu::new(1500, PathMtuConfig::DEFAULT);
                path.sent(now, sent);
                let report = path.on_report(now, reported, quoted(total_len));
                let mtu = path.get(now);
                assert!((552..=1500).contains(&mtu));
                if total_len > sent + 20 {
                    assert!(matches!(report, Effect::Ignored(_)), "longer than any sent");
                }
                if reported > 0 && reported >= total_len {
                    assert!(matches!(report, Effect::Ignored(_)), "it fits");
                }
                if matches!(report, Effect::Ignored(_)) {
                    assert_eq!(mtu, 1500);
                } else {
                    assert!(mtu < sent.max(553), "{sent} {reported} {total_len}");
                }
            }
        }
    }
}

/// an attack: a flood of reports below the floor. The path MTU is lowered once; it stays at the
/// floor as long as the flood goes on, and is whole again ten minutes after it.
#[test]
fn a_15_a_flood_ends_at_the_floor() {
    let mut path = default_path();
    let first = path.on_report(Instant::ZERO, 68, quoted(1500));
    assert_eq!(first, Effect::BelowFloor { mtu: 552 });
    assert_eq!(path.inner_mtu(Instant::ZERO, 20), 532);
    for second in 0..3600 {
        path.sent(seconds(second), 552);
        let report = path.on_report(seconds(second), 100, quoted(552));
        assert_eq!(report, Effect::Ignored(PathMtuIgnored::AtFloor));
        assert_eq!(path.poll(seconds(second)), None);
    }
    assert_eq!(path.next_deadline(), Some(seconds(3599 + 600)));
    assert_eq!(path.get(seconds(3599 + 599)), 552);
    assert_eq!(path.get(seconds(3599 + 600)), 1500);
    // Who has sent nothing lately believes nothing.
    let late = seconds(3599 + 600);
    let report = path.on_report(late, 1400, quoted(1500));
    assert_eq!(report, Effect::Ignored(PathMtuIgnored::NeverSent));
    assert_eq!(path.poll(late), Some(1500));
}

/// raised ten minutes after the last report, never within five, and two minutes or more after a
/// confirmation (RFC 1191 §3). Each raise is told once.
#[test]
fn a_19_age_raises() {
    assert_eq!(RAISE_AFTER, Duration::from_secs(600));
    assert_eq!(MIN_RAISE_AFTER, Duration::from_secs(300));
    assert_eq!(RAISE_INTERVAL, Duration::from_secs(120));
    for (asked, given) in [
        (0, 300),
        (299, 300),
        (300, 300),
        (600, 600),
        (86_400, 86_400),
    ] {
        let mut path = used_path(PathMtuConfig {
            raise_after: Duration::from_secs(asked),
            ..PathMtuConfig::DEFAULT
        });
        let _ = path.on_report(Instant::ZERO, 1400, quoted(1500));
        assert_eq!(path.next_deadline(), Some(seconds(given)));
        let short_of_it = Instant::from_millis(given * 1000 - 1);
        assert_eq!(
            (path.get(short_of_it), path.poll(short_of_it)),
            (1400, None)
        );
        assert_eq!(path.poll(seconds(given)), Some(1500));
        assert_eq!(
            (path.poll(seconds(given)), path.next_deadline()),
            (None, None)
        );
    }
    let mut path = used_path(PathMtuConfig {
        raise_after: Duration::MAX,
        ..PathMtuConfig::DEFAULT
    });
    let _ = path.on_report(Instant::ZERO, 1400, quoted(1500));
    assert_eq!((path.next_deadline(), path.get(Instant::MAX)), (None, 1400));

    let mut path = default_path();
    let _ = path.on_report(Instant::ZERO, 1000, quoted(1500));
    assert_eq!(path.on_confirmed(seconds(599), 1200), Some(1200));
    assert_eq!(path.on_confirmed(seconds(599), 1100), None);
    assert_eq!(path.next_deadline(), Some(seconds(719)));
    assert_eq!(path.on_confirmed(seconds(600), 9000), Some(1500));
    assert_eq!(path.next_deadline(), None);
}

/// a clock that runs back an hour stands still; one that jumps ahead and back, too.
#[test]
fn a_19_a_clock_that_runs_back_stands_still() {
    let mut path = PathMtu::new(1500, PathMtuConfig::DEFAULT);
    path.sent(seconds(3700), 1500);
    let report = path.on_report(seconds(3700), 1400, quoted(1500));
    assert_eq!(report, Effect::Lowered { mtu: 1400 });
    for second in [100, 0, 3699] {
        let early = seconds(second);
        assert_eq!((path.poll(early), path.get(early)), (None, 1400));
        // What is reported then is reported at the latest time that was told.
        let report = path.on_report(early, 1400, quoted(1500));
        assert_eq!(report, Effect::Ignored(PathMtuIgnored::NotLower));
        assert_eq!(path.on_local(early, 1450), None);
        assert_eq!(path.next_deadline(), Some(seconds(4300)));
    }
    assert_eq!(path.poll(Instant::MAX), Some(1500));
    path.sent(Instant::MAX, 1500);
    let report = path.on_report(Instant::ZERO, 1400, quoted(1500));
    assert_eq!(report, Effect::Lowered { mtu: 1400 });
    assert_eq!(path.next_deadline(), None, "there is no time left");
}

/// O-01, O-05: the path follows its link.
#[test]
fn o_01_the_path_follows_its_link() {
    let (mut path, now) = (default_path(), Instant::ZERO);
    assert_eq!(path.set_link_mtu(now, 9000), Some(9000));
    assert_eq!(path.set_link_mtu(now, 1500), Some(1500));
    let _ = path.on_report(now, 1400, quoted(1500));
    assert_eq!(path.set_link_mtu(now, 9000), None, "a report still holds");
    assert_eq!((path.get(now), path.link_mtu()), (1400, 9000));
    assert_eq!(path.set_link_mtu(now, 1300), Some(1300));
    assert_eq!(path.next_deadline(), None);
    assert_eq!(path.set_link_mtu(now, 20), Some(68), "O-05");
    assert_eq!(path.inner_mtu(now, 20), 68, "O-05");
}

/// A path per peer in a microcontroller's memory, made by the compiler.
#[test]
fn a_path_is_const_and_small() {
    static PATHS: [PathMtu; 3] = [PathMtu::new(1500, PathMtuConfig::DEFAULT); 3];
    static PROBER: Prober = Prober::new(ProberConfig::DEFAULT);
    const { assert!(size_of::<PathMtu>() == 32) };
    const { assert!(size_of::<Prober>() <= 64) };
    const { assert!(size_of::<Effect>() <= 4) };
    assert_eq!(PATHS.map(|path| path.get(Instant::MAX)), [1500; 3]);
    assert_eq!(PROBER.phase(&PATHS[0]), Phase::Base);
}

// ---- Probes

/// O-07: the constants of RFC 8899 §5.1 and RFC 4821 §7, and what a configuration cannot undercut.
#[test]
fn o_07_constants() {
    assert_eq!((MIN_PLPMTU, BASE_PLPMTU, EFF_PMTU_START), (68, 1200, 1400));
    assert_eq!(MAX_PROBES, 3);
    assert_eq!(MIN_PROBE_TIMER, Duration::from_secs(1));
    assert!(PROBE_TIMER > Duration::from_secs(15));
    assert_eq!(PMTU_RAISE_TIMER, Duration::from_secs(600));
    assert!(CONFIRMATION_TIMER < PMTU_RAISE_TIMER);

    let mut path = PathMtu::new(1500, PathMtuConfig::DEFAULT);
    let mut prober = Prober::new(ProberConfig {
        base_plpmtu: 0,
        max_probes: 0,
        probe_timer: Duration::ZERO,
        raise_timer: Duration::ZERO,
        confirmation_timer: Duration::ZERO,
    });
    let probe = prober.poll(Instant::ZERO, &mut path).unwrap();
    assert_eq!(probe.len, 1500, "68 bytes pass everywhere");
    assert_eq!(prober.next_deadline(), Some(seconds(1)));
    let probe = prober.poll(seconds(1), &mut path).unwrap();
    assert!(probe.len < 1500, "one probe of a length");
}

/// Every MTU of 68 to 9000 bytes.
fn every_mtu() -> impl Iterator<Item = u16> {
    68..=9000
}

fn found(link_mtu: u16, stages: &[(u16, Reports)]) {
    law_prober_finds_the_path_mtu(&ProbeCase {
        link_mtu,
        base: BASE_PLPMTU,
        max_probes: MAX_PROBES,
        floor: 552,
        stages: stages
            .iter()
            .map(|&(mtu, reports)| Stage {
                mtu,
                reports,
                link_mtu: None,
            })
            .collect(),
    });
}

/// O-07: exactly what the path carries, within the bound of probes, with reports and without.
#[test]
fn o_07_every_path_mtu_is_found() {
    for mtu in every_mtu() {
        for reports in [Reports::None, Reports::Mtu, Reports::Zero] {
            found(9000, &[(mtu, reports)]);
        }
        found(mtu, &[(9000, Reports::None)]);
    }
}

/// O-07: and again after each change, up or down, although nobody tells.
#[test]
fn o_07_every_change_is_found() {
    for mtu in every_mtu().step_by(7) {
        for other in [68, 551, 1199, 1200, 1201, 1492, 1500, 8999, 9000] {
            found(9000, &[(mtu, Reports::None), (other, Reports::None)]);
            found(9000, &[(other, Reports::Mtu), (mtu, Reports::Mtu)]);
        }
    }
}

/// A prober at work, step by step.
struct Session {
    path: PathMtu,
    prober: Prober,
    now: Instant,
}

impl Session {
    const fn new(config: ProberConfig) -> Self {
        Self {
            path: PathMtu::new(1500, PathMtuConfig::DEFAULT),
            prober: Prober::new(config),
            now: Instant::ZERO,
        }
    }

    /// One on a path that was found to carry 1500 bytes.
    fn complete(config: ProberConfig) -> Self {
        let mut session = Self::new(config);
        session.expect(1200, Phase::Base);
        assert_eq!(session.confirm(1200), None, "so far taken for granted");
        session.expect(1500, Phase::Search);
        assert_eq!(session.confirm(1500), Some(1500));
        assert_eq!(session.phase(), Phase::Complete);
        session
    }

    fn phase(&self) -> Phase {
        self.prober.phase(&self.path)
    }

    /// The next probe has this length and is sent in this phase.
    fn expect(&mut self, len: u16, phase: Phase) {
        assert_eq!(self.phase(), phase);
        let probe = self.prober.poll(self.now, &mut self.path);
        assert_eq!(
            probe.map(|Probe { len, .. }| len),
            Some(len),
            "{:?}",
            self.prober
        );
        let _ = self.path.poll(self.now);
    }

    fn confirm(&mut self, len: u16) -> Option<u16> {
        self.prober.on_confirmed(self.now, len, &mut self.path)
    }

    fn wait(&mut self) -> Duration {
        let next = self.prober.next_deadline().unwrap();
        let waited = next.since(self.now);
        self.now = next;
        waited
    }

    fn mtu(&self) -> u16 {
        self.path.get(self.now)
    }
}

/// O-07: three probes of the base are lost: the error phase, at 68 bytes, until a smaller length passes.
#[test]
fn o_07_a_path_below_the_base() {
    let mut session = Session::new(ProberConfig::DEFAULT);
    for _ in 0..3 {
        session.expect(1200, Phase::Base);
        assert_eq!(session.mtu(), 1200);
        assert_eq!(session.wait(), PROBE_TIMER);
    }
    // The next length is the middle of 68 and 1199.
    let probe = session.prober.poll(session.now, &mut session.path);
    assert_eq!(probe.map(|probe| probe.len), Some(634));
    assert_eq!((session.phase(), session.mtu()), (Phase::Error, 68));
    assert_eq!(session.confirm(634), Some(634));
    assert_eq!(session.phase(), Phase::Error);
}

/// O-07: what was confirmed is confirmed again each minute; three losses in a row are a black hole. It may be
/// over soon: after the base the old length is tried first.
#[test]
fn o_07_a_black_hole_is_found_by_confirmation() {
    let mut session = Session::complete(ProberConfig::DEFAULT);
    assert_eq!(session.wait(), CONFIRMATION_TIMER);
    session.expect(1500, Phase::Complete);
    assert_eq!(session.confirm(1500), None);
    assert_eq!(session.wait(), CONFIRMATION_TIMER);
    for _ in 0..3 {
        session.expect(1500, Phase::Complete);
        assert_eq!(session.mtu(), 1500);
        assert_eq!(session.wait(), PROBE_TIMER);
    }
    let probe = session.prober.poll(session.now, &mut session.path);
    assert_eq!(probe.map(|probe| probe.len), Some(1200));
    assert_eq!((session.phase(), session.mtu()), (Phase::Base, 1200));
    assert_eq!(
        session.path.poll(session.now),
        Some(1200),
        "the caller learns"
    );
    let _ = session.confirm(1200);
    session.expect(1500, Phase::Search);
    assert_eq!(session.confirm(1500), Some(1500));
    assert_eq!(session.phase(), Phase::Complete);
}

/// O-07: the caller may know first, and may have confirmations of its own.
#[test]
fn o_07_a_black_hole_that_the_caller_suspects() {
    let mut session = Session::complete(ProberConfig {
        confirmation_timer: Duration::MAX,
        ..ProberConfig::DEFAULT
    });
    assert_eq!(
        session.prober.next_deadline(),
        None,
        "no timer at the link's MTU"
    );
    let told = session.prober.on_black_hole(session.now, &mut session.path);
    assert_eq!(told, Some(1200));
    let told = session.prober.on_black_hole(session.now, &mut session.path);
    assert_eq!(told, None);
    session.expect(1200, Phase::Base);
    let told = session.prober.on_black_hole(session.now, &mut session.path);
    assert_eq!(told, None);
    assert_eq!(
        session.prober.poll(session.now, &mut session.path),
        None,
        "suspicion does not hurry the probe that is on its way"
    );
}

/// O-07: a report about a probe bounds the search; the path MTU stays (RFC 8899 §4.6.2).
#[test]
fn o_07_a_report_about_a_probe_bounds_the_search() {
    let mut session = Session::new(ProberConfig::DEFAULT);
    session.expect(1200, Phase::Base);
    let _ = session.confirm(1200);
    session.expect(1500, Phase::Search);
    let (prober, path, now) = (&mut session.prober, &mut session.path, session.now);
    for (reported, total_len, reason) in [
        (1400, 1501, PathMtuIgnored::NeverSent),
        (1500, 1500, PathMtuIgnored::PacketFits),
        (67, 1500, PathMtuIgnored::BelowMinimum),
    ] {
        let report = prober.on_report(now, reported, quoted(total_len), path);
        assert_eq!(report, Effect::Ignored(reason));
        assert_eq!(
            prober.poll(now, path),
            None,
            "the probe is still on its way"
        );
    }
    let report = prober.on_report(now, 1400, quoted(1500), path);
    assert_eq!(report, Effect::Ignored(PathMtuIgnored::NotLower));
    assert_eq!(path.get(now), 1200);
    session.expect(1400, Phase::Search);
    assert_eq!(session.confirm(1500), None, "too late");
    assert_eq!(session.confirm(1400), Some(1400));
    assert_eq!(session.phase(), Phase::Complete);
}

/// O-07: a report about a packet that was confirmed before: down to the base, and up to what is reported once
/// both are confirmed. Without an MTU it is a black hole.
#[test]
fn o_07_a_report_about_a_packet_lowers_the_path_mtu() {
    let mut session = Session::complete(ProberConfig::DEFAULT);
    let (prober, path, now) = (&mut session.prober, &mut session.path, session.now);
    let report = prober.on_report(now, 1400, quoted(1500), path);
    assert_eq!(report, Effect::Lowered { mtu: 1200 });
    assert_eq!(path.poll(now), None, "told already");
    session.expect(1200, Phase::Base);
    let _ = session.confirm(1200);
    session.expect(1400, Phase::Search);
    assert_eq!(session.confirm(1400), Some(1400));

    let (prober, path, now) = (&mut session.prober, &mut session.path, session.now);
    let report = prober.on_report(now, 0, quoted(1500), path);
    assert_eq!(
        report,
        Effect::Ignored(PathMtuIgnored::NotLower),
        "about a probe"
    );
    let report = prober.on_report(now, 0, quoted(1400), path);
    assert_eq!(report, Effect::Lowered { mtu: 1200 });
    let report = prober.on_report(now, 700, quoted(1200), path);
    assert_eq!(report, Effect::Lowered { mtu: 700 });
    let report = prober.on_report(now, 100, quoted(700), path);
    assert_eq!(report, Effect::BelowFloor { mtu: 552 });
    session.expect(552, Phase::Error);
    assert_eq!(session.confirm(552), None);
}

/// O-07: a refusal of the system and a change of the link move the search.
#[test]
fn o_07_the_search_follows_system_and_link() {
    let mut session = Session::complete(ProberConfig::DEFAULT);
    let (prober, path, now) = (&mut session.prober, &mut session.path, session.now);
    assert_eq!(prober.on_local(now, 1320, path), Some(1320));
    assert_eq!(
        prober.phase(path),
        Phase::Complete,
        "1320 pass where 1500 did"
    );
    assert_eq!(prober.set_link_mtu(now, 9000, path), None);
    assert_eq!((path.get(now), path.link_mtu()), (1320, 9000));
    session.expect(9000, Phase::Search);
    assert_eq!(session.confirm(9000), Some(9000));
    let (prober, path, now) = (&mut session.prober, &mut session.path, session.now);
    assert_eq!(prober.set_link_mtu(now, 1400, path), Some(1400));
    assert_eq!(prober.phase(path), Phase::Complete);
    // A larger MTU is looked for when the raise timer ends: not at the link's MTU.
    assert_eq!(prober.next_deadline(), Some(now + CONFIRMATION_TIMER));
}

/// O-07: and a change of the link of which only the path is told.
#[test]
fn o_07_the_search_follows_a_link_that_the_path_is_told_of() {
    let mut session = Session::complete(ProberConfig::DEFAULT);
    assert_eq!(session.path.set_link_mtu(session.now, 9000), Some(9000));
    assert_eq!(session.wait(), CONFIRMATION_TIMER);
    session.expect(9000, Phase::Complete);
    assert_eq!((session.phase(), session.mtu()), (Phase::Search, 1500));
    assert_eq!(session.confirm(9000), Some(9000));
    assert_eq!(session.path.set_link_mtu(session.now, 1400), Some(1400));
    assert_eq!(session.path.set_link_mtu(session.now, 1500), Some(1500));
    session.wait();
    let probe = session.prober.poll(session.now, &mut session.path);
    assert_eq!(probe, None, "1500 pass where 9000 did");
    assert_eq!((session.phase(), session.mtu()), (Phase::Complete, 1500));
}

/// O-07: ten minutes after a search the next one begins; a prober that acts at its deadline has a later one.
#[test]
fn o_07_the_raise_timer() {
    let mut session = Session::complete(ProberConfig {
        confirmation_timer: Duration::MAX,
        ..ProberConfig::DEFAULT
    });
    let (prober, path, now) = (&mut session.prober, &mut session.path, session.now);
    assert_eq!(prober.on_local(now, 1320, path), Some(1320));
    assert_eq!(session.wait(), PMTU_RAISE_TIMER);
    session.expect(1500, Phase::Complete);
    assert_eq!(session.phase(), Phase::Search);
    assert_eq!(session.confirm(1500), Some(1500));
    assert_eq!(session.prober.next_deadline(), None);
}

/// O-07: an attacker who confirms what was not probed changes nothing.
#[test]
fn o_07_only_the_probe_on_its_way_can_be_confirmed() {
    let mut session = Session::new(ProberConfig::DEFAULT);
    for len in 0..=u16::MAX {
        assert_eq!(
            session.confirm(len),
            if len == 0 { Some(1200) } else { None }
        );
    }
    session.expect(1200, Phase::Base);
    for len in (0..=u16::MAX).filter(|&len| len != 1200) {
        assert_eq!(session.confirm(len), None);
    }
    assert_eq!((session.phase(), session.mtu()), (Phase::Base, 1200));
}
