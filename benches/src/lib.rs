//! What the benchmarks of ipencap share: inputs, contenders, and the proof that all contenders do
//! the same work.
//!
//! ```text
//!  benches/*.rs      one subject each: which contenders, which inputs
//!  contenders/*.rs   one family each: ipencap, a peer crate, the plain way, the machine's limit
//!  fixtures.rs       packets, addresses, rings: data that no compiler can know
//!  measured.rs       what criterion has measured, for tables and plots
//!  packet_work.rs    one packet or a batch, by the same call for everybody
//!  verify.rs         everybody's bytes are ipencap's, or nothing is timed
//! ```

use core::time::Duration;

use criterion::{Criterion, PlottingBackend};

pub mod contenders;
pub mod fixtures;
pub mod measured;
pub mod packet_work;
pub mod verify;

/// The settings of all benchmarks; the command line overrides them.
pub fn settings() -> Criterion {
    Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(600))
        // Ten thousand are plenty for a median, and a tenth of the default's time.
        .nresamples(10_000)
        // Without the question whether gnuplot is installed.
        .plotting_backend(PlottingBackend::Plotters)
}

/// A function with the name under which its times are reported.
///
/// Names that begin with `ipencap` are ours, those with `limit` are the machine's, `plain` is the
/// way of who knows no crate; all others are peers.
#[derive(Clone, Copy, Debug)]
pub struct Contender<F> {
    /// Its name.
    pub name: &'static str,
    /// What is timed. Never inlined, and called through this pointer by everybody.
    pub run: F,
}

/// Whether this is a limit of the machine: it does less than the job, so its output is not compared.
pub fn is_limit(name: &str) -> bool {
    name.starts_with("limit")
}
