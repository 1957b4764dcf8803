//! 10 MB each way, over a path that narrows when half of them have arrived.

use std::cell::RefCell;
use std::rc::Rc;

use super::host::Host;
use super::transfer::{Goodput, Transfer};
use super::wire::Wire;

const TOTAL: usize = 10_000_000;
const NARROW: usize = 1280;
/// What is still slow, of both directions.
const SLOW: usize = 400_000;

/// How fast bytes arrived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    /// Until the path narrows.
    pub(crate) before: Goodput,
    /// The next 400 kB.
    pub(crate) during: Goodput,
    /// All behind those.
    pub(crate) after: Goodput,
}

/// 10 MB each way; every byte is compared. When half of them have arrived, the path narrows from 1500 to 1280 bytes.
pub(crate) fn narrowing(
    left: &mut impl Host,
    right: &mut impl Host,
    wire: &Rc<RefCell<Wire>>,
) -> Outcome {
    let mut transfer = Transfer::new(left, right, wire, TOTAL);
    let before = transfer.run(TOTAL);
    wire.borrow_mut().weather.mtu = NARROW;
    let during = transfer.run(TOTAL + SLOW);
    let after = transfer.run(2 * TOTAL);
    Outcome {
        before,
        during,
        after,
    }
}
