use core::hint::black_box;
use core::ops::Add;

use ipencap::time::{Duration, Instant};

use crate::given::long_word;
use crate::helper::{display, ordered, seen, value};

pub fn call() {
    let instant = || black_box(Instant::ZERO);
    let duration = || black_box(Duration::ZERO);
    seen(Instant::from_millis(long_word()));
    seen(Instant::as_millis(instant()));
    seen(Instant::since(instant(), instant()));
    seen(<Instant as Add<Duration>>::add(instant(), duration()));
    value::<Instant>(instant());
    ordered::<Instant>(&instant());
    display::<Instant>(&instant());
    seen(<Instant as Default>::default());
    seen(Duration::from_millis(long_word()));
    seen(Duration::from_secs(long_word()));
    seen(Duration::as_millis(duration()));
    seen(<Duration as From<core::time::Duration>>::from(black_box(
        core::time::Duration::ZERO,
    )));
    value::<Duration>(duration());
    ordered::<Duration>(&duration());
    display::<Duration>(&duration());
    seen(<Duration as Default>::default());
}
