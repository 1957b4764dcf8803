//! smoltcp's time as the endpoint's.

use ipencap::time::Instant;

/// The same instant; what is before the start of smoltcp's clock is its start.
pub(crate) fn endpoint_time(timestamp: smoltcp::time::Instant) -> Instant {
    // Divided without a sign, as smoltcp does elsewhere: that links no other division.
    let micros = u64::try_from(timestamp.total_micros()).unwrap_or_default();
    Instant::from_millis(micros / 1000)
}

/// The same instant; what is behind the end of smoltcp's clock is its end.
pub(crate) fn smoltcp_time(instant: Instant) -> smoltcp::time::Instant {
    const END_MILLIS: i64 = i64::MAX / 1000;
    let millis = i64::try_from(instant.as_millis()).unwrap_or(END_MILLIS);
    smoltcp::time::Instant::from_millis(millis.min(END_MILLIS))
}
