//! Time as the caller tells it: nothing wraps, and what runs backwards stands still.

use ipencap::time::{Duration, Instant};

#[test]
fn time_neither_wraps_nor_runs_backwards() {
    let late = Instant::from_millis(u64::MAX - 1);
    assert_eq!(late + Duration::from_millis(7), Instant::MAX);
    assert_eq!(Instant::MAX + Duration::MAX, Instant::MAX);
    assert_eq!(Instant::ZERO.since(late), Duration::ZERO);
    assert_eq!(late.since(Instant::ZERO).as_millis(), u64::MAX - 1);
    assert_eq!(Duration::from_secs(u64::MAX), Duration::MAX);
    assert_eq!(Duration::from_secs(3).as_millis(), 3_000);
    let (second, moment) = (Duration::from_secs(1), Instant::from_millis(7));
    assert_eq!(format!("{second}, {moment}"), "1000 ms, 7 ms");
}

#[test]
fn durations_of_the_standard_library_convert() {
    let convert = |duration: core::time::Duration| Duration::from(duration);
    assert_eq!(
        convert(core::time::Duration::from_micros(2_999)).as_millis(),
        2
    );
    assert_eq!(convert(core::time::Duration::MAX), Duration::MAX);
}
