use ipencap::error::PathMtuIgnored;
use ipencap::pmtu::{Effect, PathMtu, PathMtuConfig, Phase, Prober, ProberConfig, QuotedLen};
use ipencap::time::{Duration, Instant};

use crate::generate::{PathCall, PathCase, ProbeCase, ProberCall, ProberCase, Reports, Stage};
use crate::oracle::NaivePath;

/// O-01, O-05, A-15 to: a path MTU is what RFC 1191 makes of all that happened, and every change is
/// told once.
pub fn law_path_mtu_matches_oracle(case: &PathCase) {
    let config = PathMtuConfig {
        floor: case.floor,
        raise_after: Duration::from_millis(case.raise_after),
    };
    let mut path = PathMtu::new(case.link_mtu, config);
    let mut naive = NaivePath::new(case.link_mtu, case.floor, case.raise_after);
    let mut known = path.get(Instant::ZERO);
    assert_eq!(known, naive.mtu());
    for &(clock, call) in &case.calls {
        let now = Instant::from_millis(clock);
        naive.tick(clock);
        assert_eq!(path.get(now), naive.mtu(), "O-01: {call:?}");
        let before = naive.mtu();
        let told = match call {
            PathCall::Sent(len) => {
                path.sent(now, len);
                naive.sent(len);
                None
            }
            PathCall::Report(..) | PathCall::Unquoted(_) => {
                let (report, naive_report) = match call {
                    PathCall::Report(reported, quoted) => (
                        path.on_report(now, reported, quoted),
                        naive.report(reported, quoted),
                    ),
                    PathCall::Unquoted(reported) => (
                        path.on_unquoted_report(now, reported),
                        naive.unquoted_report(reported),
                    ),
                    _ => unreachable!(),
                };
                assert_eq!(report, naive_report, "A-15");
                assert!(naive.mtu() <= before, "a report never raises");
                match report {
                    Effect::Lowered { mtu } | Effect::BelowFloor { mtu } => Some(mtu),
                    _ => None,
                }
            }
            PathCall::Local(mtu) => {
                naive.local(mtu);
                path.on_local(now, mtu)
            }
            PathCall::Confirmed(len) => {
                naive.confirmed(len);
                path.on_confirmed(now, len)
            }
            PathCall::Link(mtu) => {
                naive.set_link(mtu);
                path.set_link_mtu(now, mtu)
            }
            PathCall::Poll => path.poll(now),
        };
        let mtu = path.get(now);
        assert_eq!(mtu, naive.mtu(), "{call:?}");
        assert!((68..=path.link_mtu()).contains(&mtu), "{mtu}");
        assert_eq!(path.inner_mtu(now, 20), (mtu - 20).max(68), "A-17");
        assert_eq!(path.inner_mtu(now, usize::MAX), 68, "O-05");

        // Who listens to what is told knows the path MTU.
        if let Some(told) = told {
            // A report about a path MTU that was due to rise may tell what the caller knows already.
            assert!(told != known || matches!(call, PathCall::Report(..) | PathCall::Unquoted(_)));
            known = told;
        }
        let mut polled = path;
        match polled.poll(now) {
            Some(told) => assert!(told == mtu && told != known),
            None => assert_eq!(known, mtu),
        }
        assert_eq!(polled.poll(now), None, "each change is told once");
        assert_eq!(polled.get(now), mtu);

        // Nothing happens before the deadline, and behind it there is another, or none.
        let deadline = path.next_deadline();
        let expected = naive.deadline().map(Instant::from_millis);
        assert_eq!(deadline, expected.filter(|&due| due < Instant::MAX));
        if let Some(deadline) = deadline {
            let short_of_it = Instant::from_millis(deadline.as_millis() - 1);
            assert_eq!(path.get(short_of_it), mtu);
            assert_eq!(path.get(deadline), path.link_mtu());
            assert!(path.link_mtu() > mtu);
            let _ = polled.poll(deadline);
            let next = polled.next_deadline();
            assert!(next.is_none_or(|next| next > deadline));
        }
    }
}

/// The most lengths that a search tries: the base, the link's MTU, and halves.
fn most_lengths(link_mtu: u16) -> u32 {
    2 + u16::BITS - link_mtu.leading_zeros()
}

/// A prober at work on a path that carries what a stage says.
struct Simulation {
    path: PathMtu,
    prober: Prober,
    now: Instant,
    max_probes: u8,
}

impl Simulation {
    /// Sends what the prober wants until it rests, and returns the probes' lengths.
    fn settle(&mut self, stage: Stage) -> Vec<u16> {
        let mut sent = vec![];
        loop {
            while let Some(probe) = self.prober.poll(self.now, &mut self.path) {
                sent.push(probe.len);
                assert!(sent.len() < 1000, "no end: {sent:?}");
                self.answer(stage, probe.len);
            }
            let Some(next) = self.prober.next_deadline() else {
                return sent;
            };
            assert!(next > self.now);
            if next.since(self.now) > Duration::from_secs(16) {
                return sent;
            }
            self.now = next;
        }
    }

    fn answer(&mut self, stage: Stage, len: u16) {
        let (prober, path) = (&mut self.prober, &mut self.path);
        self.now = self.now + Duration::from_millis(20);
        if len <= stage.mtu {
            let _ = prober.on_confirmed(self.now, len, path);
            return;
        }
        let reported = match stage.reports {
            Reports::None => return,
            Reports::Mtu => stage.mtu,
            Reports::Zero => 0,
        };
        let quoted = QuotedLen {
            total_len: len,
            header_len: 20,
        };
        let before = path.get(self.now);
        let report = prober.on_report(self.now, reported, quoted, path);
        assert!(path.get(self.now) <= before);
        assert_ne!(
            report,
            Effect::Ignored(PathMtuIgnored::NeverSent),
            "probes count as sent"
        );
    }

    /// Until the prober has found out by itself that the path has changed.
    fn adapt(&mut self, stage: Stage) -> Vec<u16> {
        let mut sent = vec![];
        for _ in 0..24 {
            sent = self.settle(stage);
            if self.path.get(self.now) == stage.mtu.min(self.path.link_mtu()) {
                return sent;
            }
            self.now = self.prober.next_deadline().unwrap();
        }
        panic!("never found: {:?} {:?} {sent:?}", self.path, self.prober);
    }

    fn is_settled_at(&self, mtu: u16) {
        let (path, prober) = (&self.path, &self.prober);
        assert_eq!(path.get(self.now), mtu, "{prober:?}");
        let phase = prober.phase(path);
        assert!(matches!(phase, Phase::Complete | Phase::Error), "{phase:?}");
        assert_eq!(path.next_deadline(), None, "age does not raise it");
    }
}

/// O-07: whatever a path carries from 68 bytes on is found, exactly and within the bound of probes, and again
/// after each change, of the link too. Reports only help.
pub fn law_prober_finds_the_path_mtu(case: &ProbeCase) {
    let floor = PathMtuConfig {
        floor: case.floor,
        ..PathMtuConfig::DEFAULT
    };
    let config = ProberConfig {
        base_plpmtu: case.base,
        max_probes: case.max_probes,
        ..ProberConfig::DEFAULT
    };
    let mut simulation = Simulation {
        path: PathMtu::new(case.link_mtu, floor),
        prober: Prober::new(config),
        now: Instant::ZERO,
        max_probes: case.max_probes.max(1),
    };
    for (number, &stage) in case.stages.iter().enumerate() {
        if let Some(link_mtu) = stage.link_mtu {
            let _ = simulation.path.set_link_mtu(simulation.now, link_mtu);
        }
        let link_mtu = simulation.path.link_mtu();
        let mtu = stage.mtu.min(link_mtu);
        if number == 0 {
            let sent = simulation.settle(stage);
            simulation.is_settled_at(mtu);
            let mut lengths = sent.clone();
            lengths.dedup();
            // A report that is below the floor costs a try of the floor.
            let most = most_lengths(link_mtu) + u32::from(stage.reports == Reports::Mtu);
            assert!(lengths.len() <= usize::try_from(most).unwrap(), "{sent:?}");
            assert!(sent.len() <= lengths.len() * usize::from(simulation.max_probes));
            if stage.reports == Reports::Mtu && mtu >= case.base.max(case.floor) {
                assert!(sent.len() <= 3, "one report is enough: {sent:?}");
            }
        } else {
            let _ = simulation.adapt(stage);
        }
    }
}

/// O-07: whatever happens, a prober raises a path MTU only to what was confirmed, takes back what others raised it
/// above that, sends no second probe before the first was lost or answered, and is not asked for twice at the same time.
pub fn law_prober_raises_only_what_is_confirmed(case: &ProberCase) {
    let floor = PathMtuConfig {
        floor: case.floor,
        ..PathMtuConfig::DEFAULT
    };
    let [probe_timer, raise_timer, confirmation_timer] = case.timers.map(Duration::from_millis);
    let mut path = PathMtu::new(case.link_mtu, floor);
    let mut prober = Prober::new(ProberConfig {
        base_plpmtu: case.base,
        max_probes: 3,
        probe_timer,
        raise_timer,
        confirmation_timer,
    });
    let mut sent_len = None;
    let first = prober.poll(Instant::ZERO, &mut path);
    sent_len = first.map(|probe| probe.len).or(sent_len);
    let _ = path.poll(Instant::ZERO);
    let mut known = path.get(Instant::ZERO);
    // The base is taken for granted.
    let mut most_confirmed = case.base.max(68);
    for &(clock, call) in &case.calls {
        let mut now = Instant::from_millis(clock);
        let before = path.get(now);
        let mut told = None;
        let mut may_rise_to = 0;
        match call {
            ProberCall::Poll | ProberCall::Wait => {
                if let (ProberCall::Wait, Some(deadline)) = (call, prober.next_deadline()) {
                    now = deadline;
                }
                if let Some(probe) = prober.poll(now, &mut path) {
                    assert!((68..=path.link_mtu()).contains(&probe.len));
                    sent_len = Some(probe.len);
                }
                assert_eq!(prober.poll(now, &mut path), None, "one probe at a time");
                let next = prober.next_deadline();
                assert!(next.is_none_or(|next| next > now), "{now:?} {next:?}");
            }
            ProberCall::Confirmed => {
                let len = sent_len.unwrap_or(0);
                may_rise_to = len;
                told = prober.on_confirmed(now, len, &mut path);
            }
            ProberCall::ConfirmedLen(len) => {
                may_rise_to = if sent_len == Some(len) { len } else { 0 };
                told = prober.on_confirmed(now, len, &mut path);
            }
            ProberCall::Report(reported, quoted) => {
                match prober.on_report(now, reported, quoted, &mut path) {
                    Effect::Lowered { mtu } | Effect::BelowFloor { mtu } => {
                        assert!(mtu < before && mtu == path.get(now));
                        told = Some(mtu);
                    }
                    _ => {}
                }
            }
            ProberCall::Local(mtu) => {
                told = prober.on_local(now, mtu, &mut path);
                assert!(path.get(now) <= mtu.max(68), "EMSGSIZE");
            }
            ProberCall::Link(mtu) => {
                told = prober.set_link_mtu(now, mtu, &mut path);
                assert_eq!(path.link_mtu(), mtu.max(68));
            }
            ProberCall::PathLink(mtu) => {
                told = path.set_link_mtu(now, mtu);
                may_rise_to = mtu.max(68);
            }
            ProberCall::BlackHole => told = prober.on_black_hole(now, &mut path),
        }
        let mtu = path.get(now);
        if !matches!(call, ProberCall::PathLink(_)) {
            most_confirmed = most_confirmed.max(may_rise_to);
            assert!(mtu <= most_confirmed, "{call:?}: {mtu}");
        }
        assert!(
            mtu <= before.max(may_rise_to),
            "{call:?}: {before} to {mtu}"
        );
        assert!((68..=path.link_mtu()).contains(&mtu));
        if let Some(told) = told {
            assert_ne!(told, known, "{call:?}");
            known = told;
        }
        if let Some(told) = path.poll(now) {
            assert_ne!(told, known, "{call:?}");
            known = told;
        }
        assert_eq!(known, mtu, "{call:?}");
        assert_eq!(path.next_deadline(), None, "age does not raise it");
    }
}
