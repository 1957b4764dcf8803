use core::hint::black_box;

use ipencap::pmtu::{
    Effect, PathMtu, PathMtuConfig, Phase, Probe, Prober, ProberConfig, QuotedLen,
};
use ipencap::time::Instant;

use crate::given::{byte, ipv4_header, long_word, size, word};
use crate::helper::{comparable, seen, value};

pub fn call() {
    let now = || Instant::from_millis(long_word());
    let quoted = || {
        black_box(QuotedLen {
            total_len: word(),
            header_len: byte(),
        })
    };
    let config = || black_box(PathMtuConfig::STATIC);
    seen(<PathMtuConfig as Default>::default());
    value::<PathMtuConfig>(config());
    seen(QuotedLen::of(&ipv4_header()));
    value::<QuotedLen>(quoted());

    let mut path = black_box(PathMtu::new(word(), config()));
    PathMtu::sent(&mut path, now(), word());
    let effect = PathMtu::on_report(black_box(&mut path), now(), word(), quoted());
    value::<Effect>(effect);
    seen(PathMtu::on_unquoted_report(
        black_box(&mut path),
        now(),
        word(),
    ));
    seen(PathMtu::on_local(black_box(&mut path), now(), word()));
    seen(PathMtu::on_confirmed(black_box(&mut path), now(), word()));
    seen(PathMtu::set_link_mtu(black_box(&mut path), now(), word()));
    seen(PathMtu::poll(black_box(&mut path), now()));
    seen(PathMtu::get(black_box(&path), now()));
    seen(PathMtu::inner_mtu(black_box(&path), now(), size()));
    seen(PathMtu::link_mtu(black_box(&path)));
    seen(PathMtu::next_deadline(black_box(&path)));
    comparable::<PathMtu>(&path);

    let config = || black_box(ProberConfig::DEFAULT);
    seen(<ProberConfig as Default>::default());
    value::<ProberConfig>(config());
    let mut prober = black_box(Prober::new(config()));
    if let Some(probe) = Prober::poll(black_box(&mut prober), now(), black_box(&mut path)) {
        value::<Probe>(probe);
    }
    seen(Prober::on_confirmed(
        black_box(&mut prober),
        now(),
        word(),
        black_box(&mut path),
    ));
    seen(Prober::on_report(
        black_box(&mut prober),
        now(),
        word(),
        quoted(),
        black_box(&mut path),
    ));
    seen(Prober::on_local(
        black_box(&mut prober),
        now(),
        word(),
        black_box(&mut path),
    ));
    seen(Prober::set_link_mtu(
        black_box(&mut prober),
        now(),
        word(),
        black_box(&mut path),
    ));
    seen(Prober::on_black_hole(
        black_box(&mut prober),
        now(),
        black_box(&mut path),
    ));
    seen(Prober::next_deadline(black_box(&prober)));
    value::<Phase>(Prober::phase(black_box(&prober), black_box(&path)));
    comparable::<Prober>(&prober);
}
